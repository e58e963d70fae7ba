//! Containers inside the state: the encoding of the persistent lists, spoken through the wire's.
//!
//! The state's large lists are `milhouse` trees, whose elements speak `ethereum_ssz` and
//! `tree_hash`. The impls here forward to [`Wire`] and [`decode_exact`], so that there is one
//! definition of every container; [`Validator`], of which there may be a million, is written out.

use ssz::{Decode, Encode};
use tree_hash::{Hash256, PackedEncoding, TreeHash, TreeHashType};

use crate::containers::{
    BeaconBlockHeader, Checkpoint, Eth1Data, Fork, PendingAttestation, Validator,
};
use crate::primitives::{FixedBytes, Root};
use crate::wire::{BYTES_PER_OFFSET, Layout, Wire, decode_exact};

macro_rules! sizes {
    ($type:ty) => {
        fn is_ssz_fixed_len() -> bool {
            <$type as Layout>::FIXED_LEN.is_some()
        }

        fn ssz_fixed_len() -> usize {
            <$type as Layout>::FIXED_LEN.unwrap_or(BYTES_PER_OFFSET)
        }
    };
}

macro_rules! container_tree_hash {
    ($type:ty, $root:expr) => {
        impl TreeHash for $type {
            fn tree_hash_type() -> TreeHashType {
                TreeHashType::Container
            }

            fn tree_hash_packed_encoding(&self) -> PackedEncoding {
                PackedEncoding::from_slice(self.tree_hash_root().as_slice())
            }

            fn tree_hash_packing_factor() -> usize {
                1
            }

            fn tree_hash_root(&self) -> Hash256 {
                let root: fn(&Self) -> Hash256 = $root;
                root(self)
            }
        }
    };
}

macro_rules! forward_to_wire {
    ($($type:ty),+ $(,)?) => {$(
        impl Encode for $type {
            sizes!($type);

            fn ssz_bytes_len(&self) -> usize {
                <$type as Layout>::FIXED_LEN.unwrap_or_else(|| Wire::encode(self).len())
            }

            fn ssz_append(&self, buf: &mut Vec<u8>) {
                buf.extend_from_slice(&Wire::encode(self));
            }
        }

        impl Decode for $type {
            sizes!($type);

            fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, ssz::DecodeError> {
                decode_exact(bytes).map_err(|e| ssz::DecodeError::BytesInvalid(e.to_string()))
            }
        }

        container_tree_hash!($type, |value| Wire::hash_tree_root(value).into());
    )+};
}

forward_to_wire!(Fork, Checkpoint, Eth1Data, BeaconBlockHeader, PendingAttestation);

impl Encode for Validator {
    sizes!(Validator);

    fn ssz_bytes_len(&self) -> usize {
        <Self as Encode>::ssz_fixed_len()
    }

    fn ssz_append(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(self.pubkey.as_ref());
        buf.extend_from_slice(self.withdrawal_credentials.as_ref());
        buf.extend_from_slice(&self.effective_balance.to_le_bytes());
        buf.push(u8::from(self.slashed));
        for epoch in [
            self.activation_eligibility_epoch,
            self.activation_epoch,
            self.exit_epoch,
            self.withdrawable_epoch,
        ] {
            buf.extend_from_slice(&epoch.to_le_bytes());
        }
    }
}

impl Decode for Validator {
    sizes!(Validator);

    fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, ssz::DecodeError> {
        let expected = <Self as Decode>::ssz_fixed_len();
        let mut rest = bytes;
        let validator = (|| {
            Some(Self {
                pubkey: take(&mut rest)?,
                withdrawal_credentials: take(&mut rest)?,
                effective_balance: take_u64(&mut rest)?,
                slashed: match take::<1>(&mut rest)?.to_bytes() {
                    [0] => false,
                    [1] => true,
                    _ => return None,
                },
                activation_eligibility_epoch: take_u64(&mut rest)?,
                activation_epoch: take_u64(&mut rest)?,
                exit_epoch: take_u64(&mut rest)?,
                withdrawable_epoch: take_u64(&mut rest)?,
            })
        })();
        validator
            .filter(|_| rest.is_empty())
            .ok_or(ssz::DecodeError::InvalidByteLength { len: bytes.len(), expected })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<FixedBytes<N>> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(FixedBytes::new(*head))
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    take::<8>(bytes).map(|raw| u64::from_le_bytes(raw.to_bytes()))
}

/// A `u64` as a Merkle leaf.
pub(crate) fn uint_leaf(value: u64) -> Root {
    let mut leaf = [0; 32];
    leaf[..8].copy_from_slice(&value.to_le_bytes());
    Root::new(leaf)
}

container_tree_hash!(Validator, |validator| {
    let leaves: [Root; 8] = [
        validator.pubkey.tree_hash_root().into(),
        validator.withdrawal_credentials,
        uint_leaf(validator.effective_balance),
        uint_leaf(u64::from(validator.slashed)),
        uint_leaf(validator.activation_eligibility_epoch),
        uint_leaf(validator.activation_epoch),
        uint_leaf(validator.exit_epoch),
        uint_leaf(validator.withdrawable_epoch),
    ];
    merkle_root_of(&leaves)
});

/// Merkle root of leaves, padded with zeros to a power of two.
pub(crate) fn merkle_root_of(leaves: &[Root]) -> Hash256 {
    let mut bytes = Vec::with_capacity(leaves.len() * 32);
    for leaf in leaves {
        bytes.extend_from_slice(leaf.as_ref());
    }
    tree_hash::merkle_root(&bytes, 0)
}
