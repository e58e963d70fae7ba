//! The phase0 `BeaconState`: persistent lists, and caches that clones share.
//!
//! Everything whose length grows with the chain is a `milhouse` tree: a clone of the state copies
//! one pointer per list, neighbours share nodes, and each node remembers its hash, so that a root
//! after a few writes costs a few paths. Writes collect in a list's update map until
//! [`BeaconState::apply_updates`] builds them into the tree; reads see them at once.
//!
//! - S1: `process_slot` applies all updates before it takes the root, so a state at rest after a
//!   slot has none.
//! - S2: the caches (`caches`) are functions of the fields. Who writes `validators`, `slot` or
//!   `randao_mixes` by other means than this crate's functions calls [`BeaconState::drop_caches`].
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "BeaconState".

use std::collections::BTreeMap;

use milhouse::{List, Value, Vector};
use ssz::{Decode, Encode, SszDecoderBuilder, SszEncoder};
use tree_hash::{Hash256, TreeHash};

use crate::accessors::get_current_epoch;
use crate::caches::Caches;
use crate::containers::{
    BeaconBlockHeader, Checkpoint, Eth1Data, Fork, PendingAttestation, Validator,
};
use crate::error::Fault;
use crate::persistent::{merkle_root_of, uint_leaf};
use crate::preset::Preset;
use crate::primitives::{Gwei, Root, Slot};
use crate::wire::{DecodeError, Wire};

/// A persistent list of at most `N` elements.
pub type PersistentList<T, N> = List<T, N, BTreeMap<usize, T>>;
/// A persistent vector of exactly `N` elements.
pub type PersistentVector<T, N> = Vector<T, N, BTreeMap<usize, T>>;

/// The state of the beacon chain after some block or slot.
///
/// # Examples
/// ```
/// use blocksmith_consensus::{BeaconState, Minimal};
/// assert!(BeaconState::<Minimal>::from_ssz_bytes(&[1, 2, 3]).is_err());
/// ```
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are those of the specification")]
pub struct BeaconState<P: Preset> {
    pub genesis_time: u64,
    pub genesis_validators_root: Root,
    pub slot: Slot,
    pub fork: Fork,
    pub latest_block_header: BeaconBlockHeader,
    pub block_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
    pub state_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
    pub historical_roots: PersistentList<Root, P::HistoricalRootsLimit>,
    pub eth1_data: Eth1Data,
    pub eth1_data_votes: PersistentList<Eth1Data, P::SlotsPerEth1VotingPeriod>,
    pub eth1_deposit_index: u64,
    pub validators: PersistentList<Validator, P::ValidatorRegistryLimit>,
    pub balances: PersistentList<Gwei, P::ValidatorRegistryLimit>,
    pub randao_mixes: PersistentVector<Root, P::EpochsPerHistoricalVector>,
    pub slashings: PersistentVector<Gwei, P::EpochsPerSlashingsVector>,
    pub previous_epoch_attestations: PersistentList<PendingAttestation, P::MaxPendingAttestations>,
    pub current_epoch_attestations: PersistentList<PendingAttestation, P::MaxPendingAttestations>,
    /// Bit `i` is set if the `i`-th last epoch was justified; the upper four bits are zero.
    pub justification_bits: u8,
    pub previous_justified_checkpoint: Checkpoint,
    pub current_justified_checkpoint: Checkpoint,
    pub finalized_checkpoint: Checkpoint,
    pub(crate) caches: Caches,
}

/// Block and state roots of a past period, as `historical_roots` accumulates them.
#[derive(Clone, Debug)]
pub struct HistoricalBatch<P: Preset> {
    /// Block roots of the period.
    pub block_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
    /// State roots of the period.
    pub state_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
}

/// Calls a macro with every field of the state in encoding order.
macro_rules! for_each_field {
    ($do:ident) => {
        $do!(
            genesis_time: u64,
            genesis_validators_root: Root,
            slot: Slot,
            fork: Fork,
            latest_block_header: BeaconBlockHeader,
            block_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
            state_roots: PersistentVector<Root, P::SlotsPerHistoricalRoot>,
            historical_roots: PersistentList<Root, P::HistoricalRootsLimit>,
            eth1_data: Eth1Data,
            eth1_data_votes: PersistentList<Eth1Data, P::SlotsPerEth1VotingPeriod>,
            eth1_deposit_index: u64,
            validators: PersistentList<Validator, P::ValidatorRegistryLimit>,
            balances: PersistentList<Gwei, P::ValidatorRegistryLimit>,
            randao_mixes: PersistentVector<Root, P::EpochsPerHistoricalVector>,
            slashings: PersistentVector<Gwei, P::EpochsPerSlashingsVector>,
            previous_epoch_attestations:
                PersistentList<PendingAttestation, P::MaxPendingAttestations>,
            current_epoch_attestations:
                PersistentList<PendingAttestation, P::MaxPendingAttestations>,
            justification_bits: u8,
            previous_justified_checkpoint: Checkpoint,
            current_justified_checkpoint: Checkpoint,
            finalized_checkpoint: Checkpoint,
        )
    };
}

/// Calls a macro with the names of the fields that are persistent lists.
macro_rules! for_each_list {
    ($do:ident) => {
        $do!(
            block_roots,
            state_roots,
            historical_roots,
            eth1_data_votes,
            validators,
            balances,
            randao_mixes,
            slashings,
            previous_epoch_attestations,
            current_epoch_attestations,
        )
    };
}

impl<P: Preset> BeaconState<P> {
    /// Decodes a state that has to fill `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] if an offset, a length, a limit or a value is not what the type wants.
    /// Nothing panics, and what is allocated is a small multiple of `bytes.len()`.
    pub fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let invalid = |error: ssz::DecodeError| DecodeError::Value(format!("{error:?}"));
        let mut builder = SszDecoderBuilder::new(bytes);
        macro_rules! register {
            ($($field:ident: $type:ty),+ $(,)?) => {
                $(builder.register_type::<$type>().map_err(invalid)?;)+
            };
        }
        for_each_field!(register);
        let mut decoder = builder.build().map_err(invalid)?;
        macro_rules! decode {
            ($($field:ident: $type:ty),+ $(,)?) => {
                Self {
                    $($field: decoder.decode_next::<$type>().map_err(invalid)?,)+
                    caches: Caches::default(),
                }
            };
        }
        let mut state = for_each_field!(decode);
        if state.justification_bits >> 4 != 0 {
            return Err(DecodeError::Value("justification bits beyond the fourth".into()));
        }
        state.drop_caches();
        Ok(state)
    }

    /// The SSZ encoding.
    pub fn encode(&self) -> Vec<u8> {
        macro_rules! fixed_len {
            ($($field:ident: $type:ty),+ $(,)?) => { 0 $(+ <$type as Encode>::ssz_fixed_len())+ };
        }
        let mut buffer = Vec::new();
        let mut encoder = SszEncoder::container(&mut buffer, for_each_field!(fixed_len));
        macro_rules! append {
            ($($field:ident: $type:ty),+ $(,)?) => { $(encoder.append(&self.$field);)+ };
        }
        for_each_field!(append);
        encoder.finalize();
        buffer
    }

    /// Builds pending writes into the trees.
    ///
    /// # Errors
    /// [`Fault`] if a tree refuses a write that its list accepted.
    pub fn apply_updates(&mut self) -> Result<(), Fault> {
        macro_rules! apply {
            ($($field:ident),+ $(,)?) => { $(self.$field.apply_updates()?;)+ };
        }
        for_each_list!(apply);
        Ok(())
    }

    fn has_pending_updates(&self) -> bool {
        macro_rules! pending {
            ($($field:ident),+ $(,)?) => { false $(|| self.$field.has_pending_updates())+ };
        }
        for_each_list!(pending)
    }

    /// The Merkle root of the state. Hashes that were computed before, by this state or by a
    /// clone that shares the nodes, are reused.
    ///
    /// # Errors
    /// As [`BeaconState::apply_updates`], which is run on a clone if there are pending writes.
    pub fn hash_tree_root(&self) -> Result<Root, Fault> {
        if self.has_pending_updates() {
            let mut applied = self.clone();
            applied.apply_updates()?;
            return Ok(applied.merkle_root());
        }
        Ok(self.merkle_root())
    }

    fn merkle_root(&self) -> Root {
        let leaves: [Root; 21] = [
            uint_leaf(self.genesis_time),
            self.genesis_validators_root,
            uint_leaf(self.slot),
            Wire::hash_tree_root(&self.fork),
            Wire::hash_tree_root(&self.latest_block_header),
            self.block_roots.tree_hash_root().into(),
            self.state_roots.tree_hash_root().into(),
            self.historical_roots.tree_hash_root().into(),
            Wire::hash_tree_root(&self.eth1_data),
            self.eth1_data_votes.tree_hash_root().into(),
            uint_leaf(self.eth1_deposit_index),
            self.validators.tree_hash_root().into(),
            self.balances.tree_hash_root().into(),
            self.randao_mixes.tree_hash_root().into(),
            self.slashings.tree_hash_root().into(),
            self.previous_epoch_attestations.tree_hash_root().into(),
            self.current_epoch_attestations.tree_hash_root().into(),
            uint_leaf(u64::from(self.justification_bits)),
            Wire::hash_tree_root(&self.previous_justified_checkpoint),
            Wire::hash_tree_root(&self.current_justified_checkpoint),
            Wire::hash_tree_root(&self.finalized_checkpoint),
        ];
        merkle_root_of(&leaves).into()
    }

    /// Forgets what was derived from the fields; see S2 in the module's text.
    pub fn drop_caches(&mut self) {
        self.caches = Caches::default();
        self.caches.index_public_keys(&self.validators);
        self.caches.start_epoch(get_current_epoch(self));
    }

    /// An estimate, from above, of the bytes that keeping this state costs if a state within an
    /// epoch of it is kept as well: what an epoch rewrites whole (balances, pending
    /// attestations), and the paths to what it rewrites in part.
    pub fn bytes_beside_neighbours(&self) -> usize {
        /// A tree node with its hash, lock and reference counts.
        const NODE: usize = 96;
        /// Balances per leaf of their tree.
        const PACKED: usize = 4;
        let balances = 3 * NODE * self.balances.len().div_ceil(PACKED);
        let pending =
            self.previous_epoch_attestations.len() + self.current_epoch_attestations.len();
        let attestations = pending * (size_of::<PendingAttestation>() + 3 * NODE);
        // A slot rewrites one path in each of five lists, none of them deeper than this.
        const DEPTH: usize = 16;
        let paths = P::SLOTS_PER_EPOCH as usize * 5 * DEPTH * NODE;
        size_of::<Self>() + balances + attestations + paths
    }
}

impl<P: Preset> HistoricalBatch<P> {
    /// Decodes a batch that has to fill `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] if the length is not that of the two vectors.
    pub fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        type Roots<P> = PersistentVector<Root, <P as Preset>::SlotsPerHistoricalRoot>;
        let length = <Roots<P> as Decode>::ssz_fixed_len();
        if bytes.len() != 2 * length {
            return Err(DecodeError::Length { provided: bytes.len(), expected: 2 * length });
        }
        let decode = |part| {
            Roots::<P>::from_ssz_bytes(part).map_err(|e| DecodeError::Value(format!("{e:?}")))
        };
        Ok(Self { block_roots: decode(&bytes[..length])?, state_roots: decode(&bytes[length..])? })
    }

    /// The SSZ encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut buffer = self.block_roots.as_ssz_bytes();
        self.state_roots.ssz_append(&mut buffer);
        buffer
    }

    /// The Merkle root of the batch.
    ///
    /// # Errors
    /// [`Fault`] if a vector with pending writes refuses them.
    pub fn hash_tree_root(&self) -> Result<Root, Fault> {
        let [block_roots, state_roots] =
            [applied_root(&self.block_roots)?, applied_root(&self.state_roots)?];
        Ok(merkle_root_of(&[block_roots.into(), state_roots.into()]).into())
    }
}

fn applied_root<T: Value + Send + Sync, N: typenum::Unsigned>(
    vector: &PersistentVector<T, N>,
) -> Result<Hash256, Fault> {
    let mut vector = vector.clone();
    vector.apply_updates()?;
    Ok(vector.tree_hash_root())
}
