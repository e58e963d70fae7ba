//! The `HistoricalBatch`: what the state's accumulator of roots commits to, period by period.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "HistoricalBatch".

use crate::hash_tree::container_root;
use crate::json::{Json, write_object};
use crate::preset::Preset;
use crate::primitives::Root;
use crate::tree::PersistentVector;
use crate::wire::DecodeError;

/// Block and state roots of a past period, as `historical_roots` accumulates them.
#[derive(Clone, Debug)]
pub struct HistoricalBatch<P: Preset> {
    /// Block roots of the period.
    pub block_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
    /// State roots of the period.
    pub state_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
}

impl<P: Preset> HistoricalBatch<P> {
    /// Decodes a batch that has to fill `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] if the length is not that of the two vectors.
    pub fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let expected = 2 * PersistentVector::<Root, P::SlotsPerHistoricalRoot>::ENCODED_LEN;
        if bytes.len() != expected {
            return Err(DecodeError::Length { provided: bytes.len(), expected });
        }
        let (block_roots, state_roots) = bytes.split_at(expected / 2);
        Ok(Self {
            block_roots: PersistentVector::from_ssz_bytes(block_roots)?,
            state_roots: PersistentVector::from_ssz_bytes(state_roots)?,
        })
    }

    /// The SSZ encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        self.block_roots.append_ssz(&mut buffer);
        self.state_roots.append_ssz(&mut buffer);
        buffer
    }

    /// The Merkle root of the batch.
    pub fn hash_tree_root(&self) -> Root {
        container_root(&[self.block_roots.hash_tree_root(), self.state_roots.hash_tree_root()])
    }
}

impl<P: Preset> Json for HistoricalBatch<P> {
    fn write_json(&self, text: &mut String) {
        write_object(
            &[("block_roots", &self.block_roots), ("state_roots", &self.state_roots)],
            text,
        );
    }
}
