//! [`BitVector`]: as many bits as its type says.
//!
//! Reference: consensus specification, `ssz/simple-serialize.md`, "Bitvector".

use std::marker::PhantomData;

use crate::hash_tree::bytes_root;
use crate::json::{Json, write_hex};
use crate::preset::Length;
use crate::primitives::Root;
use crate::wire::DecodeError;

/// A vector of `N` bits; `N` is at least one.
///
/// # Examples
/// ```
/// use blocksmith_consensus::gloas::BitVector;
/// let mut bits = BitVector::<typenum::U16>::default();
/// assert!(bits.set(9, true) && !bits.set(16, true));
/// assert_eq!(bits.ones().collect::<Vec<_>>(), [9]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitVector<N> {
    /// The lowest bit of the first byte is bit 0; bits from `N` on are zero.
    bytes: Vec<u8>,
    length: PhantomData<fn() -> N>,
}

impl<N: Length> Default for BitVector<N> {
    fn default() -> Self {
        Self { bytes: vec![0; Self::ENCODED_LEN], length: PhantomData }
    }
}

impl<N: Length> BitVector<N> {
    /// Bytes of every encoding.
    pub const ENCODED_LEN: usize = N::USIZE.div_ceil(8);

    /// Decodes bits that have to fill `bytes` exactly.
    ///
    /// # Errors
    /// [`DecodeError::Length`] if there are more or fewer bytes; [`DecodeError::Value`] if a bit
    /// behind the last one is set.
    pub fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() != Self::ENCODED_LEN {
            let (provided, expected) = (bytes.len(), Self::ENCODED_LEN);
            return Err(DecodeError::Length { provided, expected });
        }
        let used = N::USIZE % 8;
        if used > 0 && bytes.last().is_some_and(|last| last >> used != 0) {
            return Err(DecodeError::Value(format!("a bit beyond the {} of the vector", N::USIZE)));
        }
        Ok(Self { bytes: bytes.to_vec(), length: PhantomData })
    }

    /// The SSZ encoding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bit `index`, or `None` if there is no such bit.
    pub fn get(&self, index: usize) -> Option<bool> {
        let byte = *self.bytes.get(index / 8).filter(|_| index < N::USIZE)?;
        Some((byte >> (index % 8)) & 1 == 1)
    }

    /// Sets bit `index` to `value`. Returns whether there is such a bit.
    pub fn set(&mut self, index: usize, value: bool) -> bool {
        let Some(byte) = self.bytes.get_mut(index / 8).filter(|_| index < N::USIZE) else {
            return false;
        };
        *byte = (*byte & !(1 << (index % 8))) | (u8::from(value) << (index % 8));
        true
    }

    /// Positions of the bits that are set, in ascending order.
    pub fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        (0..N::USIZE).filter(|index| self.get(*index) == Some(true))
    }

    /// The Merkle root of the bits.
    pub fn hash_tree_root(&self) -> Root {
        bytes_root(&self.bytes, Self::ENCODED_LEN)
    }
}

impl<N: Length> Json for BitVector<N> {
    fn write_json(&self, text: &mut String) {
        write_hex(&self.bytes, text);
    }
}

#[cfg(test)]
mod tests {
    use typenum::{U12, U16};

    use super::*;

    #[test]
    fn bits_beyond_the_length_do_not_exist() {
        // Twelve bits in two bytes: the upper four bits are neither decoded nor set nor read.
        assert!(BitVector::<U12>::from_ssz_bytes(&[0xff, 0x0f]).is_ok());
        assert!(BitVector::<U12>::from_ssz_bytes(&[0xff, 0x1f]).is_err());
        let mut bits = BitVector::<U12>::default();
        assert!(!bits.set(12, true) && bits.get(12).is_none());
        assert!(bits.set(11, true));
        assert_eq!(bits.as_bytes(), [0, 8]);
    }

    #[test]
    fn a_bit_that_is_cleared_leaves_the_others() {
        // Sets three bits and clears one of them.
        let mut bits = BitVector::<U16>::default();
        for at in [0, 7, 8] {
            bits.set(at, true);
        }
        bits.set(7, false);
        assert_eq!(bits.ones().collect::<Vec<_>>(), [0, 8]);
        assert_eq!(bits.as_bytes(), [1, 1]);
    }
}
