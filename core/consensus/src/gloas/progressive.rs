//! Roots of progressive containers: those of their fields in a tree that grows to the right, and
//! which fields there are.
//!
//! A progressive tree holds its first chunk in a subtree of one leaf, the next four in one of four,
//! the next sixteen in one of sixteen, and so on. The left child of each node of its spine is such
//! a subtree, the right child is the rest; the rest of nothing is the zero chunk.
//!
//! Reference: consensus specification, `ssz/simple-serialize.md`, "Merkleization"; EIP-7916 and
//! EIP-7495.

use crate::hashing::{depth_of, hash_concat, merkleize, uint_leaf};
use crate::primitives::Root;

/// The root of a progressive tree over `chunks`.
fn merkleize_progressive(chunks: &[Root]) -> Root {
    let mut subtrees = Vec::new();
    let (mut rest, mut leaves) = (chunks, 1);
    // Each round takes a chunk at least, and four times as many as the last.
    while !rest.is_empty() {
        let (first, behind) = rest.split_at(leaves.min(rest.len()));
        subtrees.push(merkleize(first, depth_of(leaves as u64)));
        (rest, leaves) = (behind, leaves.saturating_mul(4));
    }
    subtrees.iter().rfold(Root::ZERO, |rest, subtree| hash_concat(subtree, &rest))
}

/// The root of a progressive container all of whose fields are active, by its fields' roots.
///
/// # Panics
/// If there are more than 64 fields.
pub(super) fn progressive_container_root(fields: &[Root]) -> Root {
    assert!(fields.len() <= 64, "the active fields fit a number");
    let active = u64::MAX.checked_shr(64 - fields.len() as u32).unwrap_or(0);
    hash_concat(&merkleize_progressive(fields), &uint_leaf(active))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::hash;

    /// The rule as the specification words it, by recursion and with a plain hash.
    fn recursive(chunks: &[Root], leaves: usize) -> Root {
        if chunks.is_empty() {
            return Root::ZERO;
        }
        let (first, rest) = chunks.split_at(leaves.min(chunks.len()));
        let mut level = first.to_vec();
        level.resize(leaves, Root::ZERO);
        while level.len() > 1 {
            level = level.chunks(2).map(pair).collect();
        }
        pair(&[level[0], recursive(rest, leaves * 4)])
    }

    fn pair(roots: &[Root]) -> Root {
        hash(&[roots[0].as_ref(), roots[1].as_ref()].concat())
    }

    #[test]
    fn a_progressive_tree_is_that_of_the_recursive_rule() {
        // Compares every number of chunks up to the fourth subtree.
        for count in 0..90 {
            let chunks: Vec<Root> = (0..count).map(|at| hash(&[at])).collect();
            assert_eq!(merkleize_progressive(&chunks), recursive(&chunks, 1), "{count} chunks");
        }
    }

    #[test]
    fn the_first_chunk_is_on_the_left() {
        // Two chunks: the second is alone in a subtree of four, and nothing follows it.
        let [first, second] = [1, 2].map(|at| Root::new([at; 32]));
        let (zero, zeros) = (Root::ZERO, pair(&[Root::ZERO, Root::ZERO]));
        let four = pair(&[pair(&[second, zero]), zeros]);
        let expected = pair(&[first, pair(&[four, zero])]);
        assert_eq!(merkleize_progressive(&[first, second]), expected);
    }

    #[test]
    fn the_active_fields_are_mixed_in() {
        // Three fields: the three lowest bits of the chunk to the right.
        let fields = [1, 2, 3].map(|at| Root::new([at; 32]));
        let mut active = [0; 32];
        active[0] = 7;
        let expected = pair(&[recursive(&fields, 1), Root::new(active)]);
        assert_eq!(progressive_container_root(&fields), expected);
        assert_eq!(progressive_container_root(&[]), pair(&[Root::ZERO, Root::ZERO]));
    }
}
