//! Validator indices, packed: an attestation on record keeps who cast it for as long as the window
//! lasts, and eight bytes an index would cost more than everything else of it.
//!
//! Each index is stored as its distance from the one before it, seven bits a byte, the lowest
//! first. Members of one committee of 500,000 validators are about 1,000 apart: two bytes each.

use crate::consensus::ValidatorIndex;

/// The bits of a byte that hold a part of a number; the remaining bit says that more follows.
const PART_BITS: u32 = 7;
const MORE: u8 = 1 << PART_BITS;

/// Ascending indices.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Indices {
    packed: Box<[u8]>,
    len: usize,
}

impl Indices {
    /// Packs ascending indices. Out of order they are kept as well, at ten bytes each.
    pub(super) fn new(indices: &[ValidatorIndex]) -> Self {
        let mut packed = Vec::with_capacity(2 * indices.len());
        let mut previous: ValidatorIndex = 0;
        for index in indices {
            let mut rest = index.wrapping_sub(previous);
            previous = *index;
            while rest >= u64::from(MORE) {
                packed.push((rest as u8) | MORE);
                rest >>= PART_BITS;
            }
            packed.push(rest as u8);
        }
        Self { packed: packed.into_boxed_slice(), len: indices.len() }
    }

    /// Returns how many indices there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the memory behind this value, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        self.packed.len()
    }

    /// Returns the indices, in the order in which they were given.
    pub(super) fn unpack(&self) -> Vec<ValidatorIndex> {
        let mut indices = Vec::with_capacity(self.len);
        let (mut previous, mut distance, mut shift) = (0u64, 0u64, 0);
        for byte in &self.packed {
            distance |= u64::from(byte & !MORE) << shift;
            shift += PART_BITS;
            if byte & MORE == 0 {
                previous = previous.wrapping_add(distance);
                indices.push(previous);
                (distance, shift) = (0, 0);
            }
        }
        indices
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::Indices;

    #[test]
    fn members_of_a_committee_take_two_bytes_each() {
        // Indices 1,000 apart, and the largest one.
        let members: Vec<u64> = (1..=100).map(|at| at * 1_000).collect();
        assert_eq!(Indices::new(&members).heap_bytes(), 200);
        assert_eq!(Indices::new(&[u64::MAX]).unpack(), [u64::MAX]);
    }

    quickcheck! {
        /// What is packed comes out again, in any order and of any size.
        fn packing_loses_nothing(indices: Vec<u64>) -> bool {
            let packed = Indices::new(&indices);
            packed.len() == indices.len() && packed.unpack() == indices
        }
    }
}
