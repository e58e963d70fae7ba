//! Hash tree roots of values that travel, without copying them.
//!
//! `ssz_rs` computes the same roots and is the reference in the tests; it needs exclusive access to
//! a value and hashes one node at a time.

use ssz_rs::{Bitlist, List, SimpleSerialize, Vector};

use crate::hashing::{
    PACKED, ROOT_LEN, depth_of, hash_blocks, merkleize, mix_in_length, packed, uint_leaf, zero,
};
use crate::primitives::{FixedBytes, Root};

/// A value with a Merkle root.
pub trait HashTree: Sized {
    /// The Merkle root of the value.
    fn hash_root(&self) -> Root;

    /// The roots of many values; those of common types are hashed side by side.
    fn hash_roots(values: &[&Self]) -> Vec<Root> {
        values.iter().map(|value| value.hash_root()).collect()
    }

    /// The root of a tree over `values`, with room for `limit`.
    fn sequence_root(values: &[Self], limit: usize) -> Root {
        let values: Vec<&Self> = values.iter().collect();
        merkleize(&Self::hash_roots(&values), depth_of(limit as u64))
    }
}

/// The roots of `count` containers whose fields' roots are given, a list per field: level by level,
/// all containers side by side.
pub(crate) fn container_roots(count: usize, fields: &[Vec<Root>]) -> Vec<Root> {
    let width = fields.len().next_power_of_two();
    let mut rows = Rows::new(count, width);
    for (at, field) in fields.iter().enumerate() {
        field.iter().enumerate().for_each(|(row, root)| rows.set(row, at, root));
    }
    rows.reduce()
}

/// Trees of one shape, each a row of leaves; leaves that are not set are zero.
struct Rows {
    bytes: Vec<u8>,
    width: usize,
}

impl Rows {
    /// # Panics
    /// Unless `width` is a power of two.
    fn new(count: usize, width: usize) -> Self {
        assert!(width.is_power_of_two(), "a full tree");
        Self { bytes: vec![0; count * width * ROOT_LEN], width }
    }

    fn set(&mut self, row: usize, at: usize, root: &Root) {
        let place = (row * self.width + at) * ROOT_LEN;
        self.bytes[place..place + ROOT_LEN].copy_from_slice(root.as_ref());
    }

    /// The root of each row.
    fn reduce(self) -> Vec<Root> {
        let (mut input, mut output) = (self.bytes, Vec::new());
        for _ in 0..depth_of(self.width as u64) {
            output.resize(input.len() / 2, 0);
            hash_blocks(&mut output, &input);
            std::mem::swap(&mut input, &mut output);
        }
        input.as_chunks::<ROOT_LEN>().0.iter().map(|bytes| Root::new(*bytes)).collect()
    }
}

/// The root of a container with these fields' roots.
pub(crate) fn container_root(fields: &[Root]) -> Root {
    merkleize(fields, depth_of(fields.len() as u64))
}

impl HashTree for u64 {
    fn hash_root(&self) -> Root {
        uint_leaf(*self)
    }

    fn sequence_root(values: &[Self], limit: usize) -> Root {
        merkleize(&packed(values), depth_of(limit.div_ceil(PACKED) as u64))
    }
}

impl HashTree for bool {
    fn hash_root(&self) -> Root {
        uint_leaf(u64::from(*self))
    }
}

impl<const N: usize> HashTree for FixedBytes<N> {
    fn hash_root(&self) -> Root {
        bytes_root(self.as_ref(), N)
    }

    fn hash_roots(values: &[&Self]) -> Vec<Root> {
        let width = N.div_ceil(ROOT_LEN).next_power_of_two();
        let mut rows = Rows::new(values.len(), width);
        for (row, value) in rows.bytes.chunks_exact_mut(width * ROOT_LEN).zip(values) {
            row[..N].copy_from_slice(value.as_ref());
        }
        rows.reduce()
    }
}

/// The root of a byte string with room for `limit` bytes.
pub(crate) fn bytes_root(bytes: &[u8], limit: usize) -> Root {
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
                // Whatever lies behind the last bit belongs to no member.
                let mut bytes = bytes.to_vec();
                bytes.iter_mut().last().into_iter().for_each(|last| *last &= (1 << used) - 1);
                bytes_root(&bytes, limit)
            }
        };
        mix_in_length(&root, self.len())
    }

    fn hash_roots(values: &[&Self]) -> Vec<Root> {
        let one_leaf = |value: &&Self| value.len() <= 8 * ROOT_LEN;
        if !values.iter().all(one_leaf) {
            return values.iter().map(|value| value.hash_root()).collect();
        }
        let pairs = |left: &[Root], right: &dyn Fn(usize) -> Root| {
            let mut rows = Rows::new(values.len(), 2);
            for (row, left) in left.iter().enumerate() {
                rows.set(row, 0, left);
                rows.set(row, 1, &right(row));
            }
            rows.reduce()
        };
        let mut roots: Vec<Root> = values.iter().map(|value| bits_leaf(value)).collect();
        for level in 0..depth_of(N.div_ceil(8 * ROOT_LEN) as u64) {
            roots = pairs(&roots, &|_| *zero(level));
        }
        pairs(&roots, &|row| uint_leaf(values[row].len() as u64))
    }
}

/// Bits that fit a leaf; what lies behind the last one is nobody's.
pub(crate) fn bits_leaf<const N: usize>(bits: &Bitlist<N>) -> Root {
    let mut leaf = [0; ROOT_LEN];
    let (bytes, used) = (bits.as_raw_slice(), bits.len());
    leaf[..bytes.len()].copy_from_slice(bytes);
    if !used.is_multiple_of(8) {
        leaf[used / 8] &= (1 << (used % 8)) - 1;
    }
    Root::new(leaf)
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
