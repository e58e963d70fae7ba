//! The swap-or-not shuffle: of one index, and of a whole list at once.
//!
//! Each round pairs positions by reflection about a pivot and swaps a pair or not by one hash bit.
//! A round is an involution on positions. So a list is shuffled in place by applying to it, last
//! round first, the rounds that [`compute_shuffled_index`] applies to one index first round first.
//! A hash then serves 256 positions rather than one.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "compute_shuffled_index".

use crate::primitives::{Root, ValidatorIndex, hash, hash_one_block};

/// Bits in a hash, which is how many positions one hash decides.
const POSITIONS_PER_HASH: u64 = 256;

/// An index that is not below the number of indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("index {index} is not below {index_count}")]
pub struct IndexOutOfRange {
    /// The index.
    pub index: u64,
    /// How many indices there are.
    pub index_count: u64,
}

/// The position at which `index` of `index_count` lands after `rounds` rounds under `seed`.
///
/// # Errors
/// [`IndexOutOfRange`] if `index >= index_count`, in particular if there are none.
pub fn compute_shuffled_index(
    index: u64,
    index_count: u64,
    seed: &Root,
    rounds: u8,
) -> Result<u64, IndexOutOfRange> {
    if index >= index_count {
        return Err(IndexOutOfRange { index, index_count });
    }
    let count = u128::from(index_count);
    let mut current = index;
    for round in 0..rounds {
        let pivot = pivot(seed, round, index_count);
        // Below `count`, hence within 64 bits.
        let flip = ((u128::from(pivot) + count - u128::from(current)) % count) as u64;
        let position = current.max(flip);
        let source = source(seed, round, position / POSITIONS_PER_HASH);
        if bit(&source, position) {
            current = flip;
        }
    }
    Ok(current)
}

/// Shuffles `list` in place: afterwards `list[i]` is what was at `compute_shuffled_index(i)`.
pub fn shuffle_list(list: &mut [ValidatorIndex], seed: &Root, rounds: u8) {
    if list.len() < 2 {
        return;
    }
    // Half the width is half the memory traffic; no registry is longer than 32 bits can count.
    let narrow: Result<Vec<u32>, _> = list.iter().map(|index| u32::try_from(*index)).collect();
    match narrow {
        Ok(mut narrow) => {
            shuffle(&mut narrow, seed, rounds);
            for (wide, narrow) in list.iter_mut().zip(narrow) {
                *wide = ValidatorIndex::from(narrow);
            }
        }
        Err(_) => shuffle(list, seed, rounds),
    }
}

/// Numbers that can be swapped in pairs without a branch.
trait Number: Copy {
    /// Swaps `left` and `right` if the lowest bit of `bit` is set; its other bits must be clear.
    fn swap_if(bit: u8, left: &mut Self, right: &mut Self);
}

macro_rules! number {
    ($($type:ty),+) => {$(
        impl Number for $type {
            fn swap_if(bit: u8, left: &mut Self, right: &mut Self) {
                let mask = <$type>::from(bit).wrapping_neg();
                let difference = (*left ^ *right) & mask;
                *left ^= difference;
                *right ^= difference;
            }
        }
    )+};
}

number!(u32, u64);

fn shuffle<T: Number>(list: &mut [T], seed: &Root, rounds: u8) {
    let count = list.len() as u64;
    for round in (0..rounds).rev() {
        let pivot = pivot(seed, round, count);
        let (first, second) = list.split_at_mut(pivot as usize + 1);
        swap_mirrored(first, 0, seed, round);
        swap_mirrored(second, pivot + 1, seed, round);
    }
}

/// Swaps or leaves each pair of `part` that is mirrored about its middle. The part's first position
/// in the list is `first`; the bit of a pair is that of its higher position.
fn swap_mirrored<T: Number>(part: &mut [T], first: u64, seed: &Root, round: u8) {
    let half = part.len() / 2;
    let upper = part.len() - half;
    let (mut low, mut high) = part.split_at_mut(upper);
    low = &mut low[..half];
    // `high` holds the positions from here on; it is processed from its end, one hash at a time.
    let start = first + upper as u64;
    while let Some(last) = (start + high.len() as u64).checked_sub(1).filter(|_| !high.is_empty()) {
        let chunk = last / POSITIONS_PER_HASH;
        let from = (chunk * POSITIONS_PER_HASH).max(start);
        let bits = expand(&source(seed, round, chunk));
        let bits =
            &bits[(from % POSITIONS_PER_HASH) as usize..=(last % POSITIONS_PER_HASH) as usize];
        let (rest_of_low, rest_of_high);
        let (pairs_low, pairs_high);
        (pairs_low, rest_of_low) = low.split_at_mut(bits.len());
        (rest_of_high, pairs_high) = high.split_at_mut((from - start) as usize);
        for ((left, right), bit) in
            pairs_low.iter_mut().zip(pairs_high.iter_mut().rev()).zip(bits.iter().rev())
        {
            T::swap_if(*bit, left, right);
        }
        (low, high) = (rest_of_low, rest_of_high);
    }
}

/// The bits of a hash, one byte for each bit.
fn expand(source: &Root) -> [u8; POSITIONS_PER_HASH as usize] {
    let mut bits = [0; POSITIONS_PER_HASH as usize];
    for (bits, byte) in bits.chunks_exact_mut(8).zip(source.as_bytes()) {
        for (at, bit) in bits.iter_mut().enumerate() {
            *bit = (byte >> at) & 1;
        }
    }
    bits
}

fn pivot(seed: &Root, round: u8, count: u64) -> u64 {
    let mut input = [0; 33];
    input[..32].copy_from_slice(seed.as_ref());
    input[32] = round;
    let digest = hash(&input).to_bytes();
    let (head, _) = digest.split_first_chunk::<8>().expect("a hash has 32 bytes");
    u64::from_le_bytes(*head) % count
}

fn source(seed: &Root, round: u8, chunk: u64) -> Root {
    let mut input = [0; 37];
    input[..32].copy_from_slice(seed.as_ref());
    input[32] = round;
    // The specification writes the chunk as four bytes: registries have less than 2^40 entries.
    input[33..].copy_from_slice(&(chunk as u32).to_le_bytes());
    hash_one_block(&input)
}

fn bit(source: &Root, position: u64) -> bool {
    let byte = source.as_bytes()[(position % POSITIONS_PER_HASH / 8) as usize];
    (byte >> (position % 8)) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_a_list_is_shuffling_each_of_its_indices() {
        // Compares both algorithms for sizes around the granularity of a hash, and for odd round
        // counts.
        for (count, rounds) in
            [(1, 10), (2, 90), (3, 10), (255, 90), (256, 90), (257, 7), (700, 10)]
        {
            let seed = hash(&[count as u8, rounds]);
            let mut list: Vec<u64> = (0..count).collect();
            shuffle_list(&mut list, &seed, rounds);
            for index in 0..count {
                let shuffled = compute_shuffled_index(index, count, &seed, rounds).unwrap();
                assert_eq!(list[index as usize], shuffled, "index {index} of {count}");
            }
        }
    }

    #[test]
    fn an_index_beyond_the_count_is_an_error() {
        // Asks for an index at the count, and for one of nothing.
        assert!(compute_shuffled_index(5, 5, &Root::ZERO, 10).is_err());
        assert!(compute_shuffled_index(0, 0, &Root::ZERO, 10).is_err());
    }
}
