//! Hash tree roots of what travels, without copying it.
//!
//! `ssz_rs` computes the same roots and is the reference in the tests; it wants a value to itself and
//! hashes one node at a time.

use ssz_rs::{Bitlist, List, SimpleSerialize, Vector};

use super::element::{number_leaf, packed};
use super::hashing::{ROOT_LEN, depth_of, merkleize, mix_in_length};
use crate::primitives::{FixedBytes, Root};

/// A value with a Merkle root.
pub trait HashTree: Sized {
    /// The Merkle root of the value.
    fn hash_root(&self) -> Root;

    /// The root of a tree over `values`, with room for `limit`.
    fn sequence_root(values: &[Self], limit: usize) -> Root {
        let roots: Vec<Root> = values.iter().map(Self::hash_root).collect();
        merkleize(&roots, depth_of(limit as u64))
    }
}

/// The root of a container with these fields' roots.
pub(crate) fn container_root(fields: &[Root]) -> Root {
    merkleize(fields, depth_of(fields.len() as u64))
}

impl HashTree for u64 {
    fn hash_root(&self) -> Root {
        number_leaf(*self)
    }

    fn sequence_root(values: &[Self], limit: usize) -> Root {
        const PACKED: usize = ROOT_LEN / size_of::<u64>();
        merkleize(&packed(values), depth_of(limit.div_ceil(PACKED) as u64))
    }
}

impl HashTree for bool {
    fn hash_root(&self) -> Root {
        number_leaf(u64::from(*self))
    }
}

impl<const N: usize> HashTree for FixedBytes<N> {
    fn hash_root(&self) -> Root {
        bytes_root(self.as_ref(), N)
    }
}

/// The root of a byte string with room for `limit` bytes.
fn bytes_root(bytes: &[u8], limit: usize) -> Root {
    /// Enough for a signature and for the bits of any committee.
    const LEAVES: usize = 8;
    let count = bytes.len().div_ceil(ROOT_LEN);
    let depth = depth_of(limit.div_ceil(ROOT_LEN) as u64);
    let fill = |leaves: &mut [Root]| {
        for (leaf, part) in leaves.iter_mut().zip(bytes.chunks(ROOT_LEN)) {
            let mut padded = [0; ROOT_LEN];
            padded[..part.len()].copy_from_slice(part);
            *leaf = Root::new(padded);
        }
    };
    if count <= LEAVES {
        let mut leaves = [Root::ZERO; LEAVES];
        fill(&mut leaves);
        merkleize(&leaves[..count], depth)
    } else {
        let mut leaves = vec![Root::ZERO; count];
        fill(&mut leaves);
        merkleize(&leaves, depth)
    }
}

impl<const N: usize> HashTree for Bitlist<N> {
    fn hash_root(&self) -> Root {
        let limit = N.div_ceil(8);
        let bytes = self.as_raw_slice();
        let root = match self.len() % 8 {
            0 => bytes_root(bytes, limit),
            used => {
                // What lies behind the last bit is nobody's.
                let mut bytes = bytes.to_vec();
                bytes.iter_mut().last().into_iter().for_each(|last| *last &= (1 << used) - 1);
                bytes_root(&bytes, limit)
            }
        };
        mix_in_length(&root, self.len())
    }
}

impl<T: HashTree + SimpleSerialize, const N: usize> HashTree for List<T, N> {
    fn hash_root(&self) -> Root {
        mix_in_length(&T::sequence_root(self, N), self.len())
    }
}

impl<T: HashTree + SimpleSerialize, const N: usize> HashTree for Vector<T, N> {
    fn hash_root(&self) -> Root {
        T::sequence_root(self, N)
    }
}
