//! What members of a payload-timeliness committee say and sign, alone and together.
//!
//! The two aggregates are progressive containers: their encoding is that of plain ones, their roots
//! are not. Their bits and indices have room for a committee of the preset.
//!
//! Reference: consensus specification, `gloas/beacon-chain.md`, "Containers".

use ssz_rs::prelude::*;

use super::bit_vector::BitVector;
use super::progressive::progressive_container_root;
use crate::containers::wire_container;
use crate::hash_tree::{HashTree, container_root, container_roots};
use crate::hashing::mix_in_length;
use crate::json::{Json, write_object};
use crate::preset::Preset;
use crate::primitives::{Root, SignatureBytes, Slot, ValidatorIndex};
use crate::tree::PersistentList;
use crate::wire::{
    self, BYTES_PER_OFFSET, DecodeError, Field, Layout, check_container, container_fixed_len,
    decode_exact, split_container,
};

wire_container! {
    /// What a member says about the payload of a block.
    #[derive(Copy, Hash)]
    pub struct PayloadAttestationData {
        /// The block.
        pub beacon_block_root: Root,
        /// The slot that the member was assigned to.
        pub slot: Slot,
        /// Whether the member saw the block's payload in time.
        pub payload_present: bool,
        /// Whether the blobs of that payload were available to the member.
        pub blob_data_available: bool,
    }

    /// The signed vote of one member, as it travels by gossip.
    #[derive(Copy, Hash)]
    pub struct PayloadAttestationMessage {
        /// The member. It is not signed.
        pub validator_index: ValidatorIndex,
        /// What the member says.
        pub data: PayloadAttestationData,
        /// The member's signature of the data.
        pub signature: SignatureBytes,
    }
}

/// Bytes of the encoding of the data.
const DATA_LEN: Option<usize> = PayloadAttestationData::FIXED_LEN;
/// Bytes of the encoding of a signature.
const SIGNATURE_LEN: Option<usize> = SignatureBytes::FIXED_LEN;

/// Equal votes of several members, as a block carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadAttestation<P: Preset> {
    /// The places of the committee that vote; a member may hold several.
    pub aggregation_bits: BitVector<P::PtcSize>,
    /// What the members say.
    pub data: PayloadAttestationData,
    /// The aggregate of their signatures, one for each place.
    pub signature: SignatureBytes,
}

impl<P: Preset> PayloadAttestation<P> {
    /// Decodes a value that has to fill `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] names what is wrong. Nothing panics, whatever the bytes are.
    pub fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bits_len = Some(BitVector::<P::PtcSize>::ENCODED_LEN);
        let [bits, data, signature] = split_container(bytes, [bits_len, DATA_LEN, SIGNATURE_LEN])?;
        Ok(Self {
            aggregation_bits: BitVector::from_ssz_bytes(bits)?,
            data: decode_exact(data)?,
            signature: decode_exact(signature)?,
        })
    }

    /// The SSZ encoding.
    pub fn encode(&self) -> Vec<u8> {
        let (data, signature) = (wire::Wire::encode(&self.data), self.signature.as_ref());
        [self.aggregation_bits.as_bytes(), &data, signature].concat()
    }

    /// The Merkle root, as that of a progressive container.
    pub fn hash_tree_root(&self) -> Root {
        progressive_container_root(&[
            self.aggregation_bits.hash_tree_root(),
            self.data.hash_root(),
            self.signature.hash_root(),
        ])
    }
}

impl<P: Preset> Json for PayloadAttestation<P> {
    fn write_json(&self, text: &mut String) {
        write_object(
            &[
                ("aggregation_bits", &self.aggregation_bits),
                ("data", &self.data),
                ("signature", &self.signature),
            ],
            text,
        );
    }
}

/// Equal votes with their voters listed, one for each place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedPayloadAttestation<P: Preset> {
    /// The voters; in ascending order if valid, and as often as each has places that vote.
    pub attesting_indices: PersistentList<ValidatorIndex, P::PtcSize>,
    /// What they say.
    pub data: PayloadAttestationData,
    /// The aggregate of their signatures.
    pub signature: SignatureBytes,
}

impl<P: Preset> IndexedPayloadAttestation<P> {
    /// Decodes a value that has to fill `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError`] names what is wrong. Nothing panics, whatever the bytes are, and the memory
    /// allocated is bounded by a small multiple of `bytes.len()`.
    pub fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let [indices, data, signature] = split_container(bytes, [None, DATA_LEN, SIGNATURE_LEN])?;
        Ok(Self {
            attesting_indices: PersistentList::from_ssz_bytes(indices)?,
            data: decode_exact(data)?,
            signature: decode_exact(signature)?,
        })
    }

    /// The SSZ encoding.
    pub fn encode(&self) -> Vec<u8> {
        let (data, signature) = (wire::Wire::encode(&self.data), self.signature.as_ref());
        let fixed_part = BYTES_PER_OFFSET + data.len() + signature.len();
        // Far below what four bytes can count.
        let mut buffer = (fixed_part as u32).to_le_bytes().to_vec();
        buffer.extend_from_slice(&data);
        buffer.extend_from_slice(signature);
        self.attesting_indices.append_ssz(&mut buffer);
        buffer
    }

    /// The Merkle root, as that of a progressive container.
    pub fn hash_tree_root(&self) -> Root {
        // The list's own root wants a limit of a chunk at least, which a small committee is below.
        let indices = self.attesting_indices.to_vec();
        let list = mix_in_length(&u64::sequence_root(&indices, P::PTC_SIZE), indices.len());
        progressive_container_root(&[list, self.data.hash_root(), self.signature.hash_root()])
    }
}

impl<P: Preset> Json for IndexedPayloadAttestation<P> {
    fn write_json(&self, text: &mut String) {
        write_object(
            &[
                ("attesting_indices", &self.attesting_indices),
                ("data", &self.data),
                ("signature", &self.signature),
            ],
            text,
        );
    }
}
