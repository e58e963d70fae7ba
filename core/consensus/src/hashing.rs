//! SHA-256 in batches, and the roots of small trees.
//!
//! `hashtree` hashes 64-byte blocks side by side, with the machine's SHA extensions or vector
//! units; measured on the project's machines, it takes three quarters of the time of `sha2` and
//! half of that of `ethereum_hashing`. Everything here that builds a level of a tree passes it the
//! whole level at once.

use std::sync::{LazyLock, Once};

use crate::primitives::Root;

/// Bytes of a root.
pub(crate) const ROOT_LEN: usize = 32;
/// Numbers in a 32-byte leaf of the specification's tree.
pub(crate) const PACKED: usize = ROOT_LEN / size_of::<u64>();
/// Levels of the deepest tree: more than any list's limit needs.
const MAX_DEPTH: usize = 64;
/// Roots that [`merkleize`] holds on the stack.
const STACK_ROOTS: usize = 64;

/// `zero(d)` is the root of a tree of depth `d` whose leaves are all zero.
static ZEROS: LazyLock<[Root; MAX_DEPTH + 1]> = LazyLock::new(|| {
    let mut zeros = [Root::ZERO; MAX_DEPTH + 1];
    for depth in 0..MAX_DEPTH {
        zeros[depth + 1] = hash_concat(&zeros[depth], &zeros[depth]);
    }
    zeros
});

/// The root of a tree of this depth whose leaves are all zero.
pub(crate) fn zero(depth: usize) -> &'static Root {
    &ZEROS[depth]
}

/// Hashes each 64 bytes of `input` to 32 bytes of `output`.
///
/// # Panics
/// If `input` is not whole blocks, or `output` is not half as long.
pub(crate) fn hash_blocks(output: &mut [u8], input: &[u8]) {
    static DETECTED: Once = Once::new();
    // Picks the implementation. It happens only once, because the library's own first call may race
    // with itself.
    DETECTED.call_once(|| {
        let _ = hashtree_rs::init();
    });
    let count = input.len() / (2 * ROOT_LEN);
    assert_eq!(input.len(), count * 2 * ROOT_LEN, "whole blocks");
    assert_eq!(output.len(), count * ROOT_LEN, "one digest a block");
    if count > 0 {
        hashtree_rs::hash(output, input, count);
    }
}

/// SHA-256 of each 64 bytes of `input`, hashed side by side.
///
/// # Panics
/// If `input` is not whole blocks.
pub fn hash_pairs(input: &[u8]) -> Vec<u8> {
    let mut output = vec![0; input.len() / 2];
    hash_blocks(&mut output, input);
    output
}

/// SHA-256 of two roots side by side.
pub fn hash_concat(left: &Root, right: &Root) -> Root {
    let mut input = [0; 2 * ROOT_LEN];
    input[..ROOT_LEN].copy_from_slice(left.as_ref());
    input[ROOT_LEN..].copy_from_slice(right.as_ref());
    let mut output = [0; ROOT_LEN];
    hash_blocks(&mut output, &input);
    Root::new(output)
}

/// The root of `depth` levels over `leaves`, padded with zero leaves.
///
/// # Panics
/// If there are more leaves than such a tree has.
pub(crate) fn merkleize(leaves: &[Root], depth: usize) -> Root {
    assert!(depth >= 64 || leaves.len() as u64 <= 1 << depth, "too many leaves");
    match leaves {
        [] => return *zero(depth),
        [only] => return pad(*only, 0, depth),
        _ => {}
    }
    if leaves.len() <= STACK_ROOTS {
        let mut input = [0; STACK_ROOTS * ROOT_LEN];
        let mut output = [0; STACK_ROOTS / 2 * ROOT_LEN];
        reduce(leaves, depth, &mut input, &mut output)
    } else {
        let mut input = vec![0; (leaves.len() + 1) * ROOT_LEN];
        let mut output = vec![0; leaves.len().div_ceil(2) * ROOT_LEN];
        reduce(leaves, depth, &mut input, &mut output)
    }
}

/// Like [`merkleize`], level by level between two buffers.
fn reduce(leaves: &[Root], depth: usize, input: &mut [u8], output: &mut [u8]) -> Root {
    for (bytes, leaf) in input.chunks_exact_mut(ROOT_LEN).zip(leaves) {
        bytes.copy_from_slice(leaf.as_ref());
    }
    let (mut count, mut level) = (leaves.len(), 0);
    while count > 1 {
        if count % 2 == 1 {
            input[count * ROOT_LEN..][..ROOT_LEN].copy_from_slice(zero(level).as_ref());
            count += 1;
        }
        count /= 2;
        let bytes = count * ROOT_LEN;
        hash_blocks(&mut output[..bytes], &input[..2 * bytes]);
        input[..bytes].copy_from_slice(&output[..bytes]);
        level += 1;
    }
    let mut root = [0; ROOT_LEN];
    root.copy_from_slice(&input[..ROOT_LEN]);
    pad(Root::new(root), level, depth)
}

/// The root of a tree of `depth` whose first subtree of depth `level` has root `root`, the rest of
/// which is zero.
pub(crate) fn pad(root: Root, level: usize, depth: usize) -> Root {
    (level..depth).fold(root, |root, level| hash_concat(&root, zero(level)))
}

/// A list's root with its length mixed in.
pub(crate) fn mix_in_length(root: &Root, length: usize) -> Root {
    hash_concat(root, &uint_leaf(length as u64))
}

/// A `u64` as a Merkle leaf.
pub(crate) fn uint_leaf(value: u64) -> Root {
    let mut leaf = [0; ROOT_LEN];
    leaf[..8].copy_from_slice(&value.to_le_bytes());
    Root::new(leaf)
}

/// Packs numbers into leaves; returns how many leaves they fill.
pub(crate) fn pack(values: &[u64], leaves: &mut [Root]) -> usize {
    for (leaf, numbers) in leaves.iter_mut().zip(values.chunks(PACKED)) {
        let mut bytes = [0; ROOT_LEN];
        for (place, number) in bytes.chunks_exact_mut(size_of::<u64>()).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        *leaf = Root::new(bytes);
    }
    values.len().div_ceil(PACKED)
}

/// The leaves of a list of numbers, packed; for lists that travel.
pub(crate) fn packed(values: &[u64]) -> Vec<Root> {
    let mut leaves = vec![Root::ZERO; values.len().div_ceil(PACKED)];
    pack(values, &mut leaves);
    leaves
}

/// Levels of the smallest tree with so many leaves.
pub(crate) const fn depth_of(leaves: u64) -> usize {
    if leaves <= 1 { 0 } else { (u64::BITS - (leaves - 1).leading_zeros()) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitives::hash;

    #[test]
    fn blocks_hash_as_one_at_a_time() {
        // Compares batches of several sizes with the plain hash.
        for count in [0usize, 1, 2, 3, 17] {
            let input: Vec<u8> = (0..count * 64).map(|at| at as u8).collect();
            let output = hash_pairs(&input);
            for (block, digest) in input.chunks_exact(64).zip(output.chunks_exact(32)) {
                assert_eq!(hash(block).as_ref(), digest);
            }
        }
    }

    #[test]
    fn a_tree_is_its_leaves_padded_with_zeros() {
        // Compares every count up to 70 with leaves that are written out.
        for count in 0..70usize {
            let leaves: Vec<Root> = (0..count).map(|at| Root::new([at as u8 + 1; 32])).collect();
            let depth = depth_of(count as u64) + 1;
            let mut level = leaves.clone();
            level.resize(1 << depth, Root::ZERO);
            while level.len() > 1 {
                level = level.chunks(2).map(|pair| hash_concat(&pair[0], &pair[1])).collect();
            }
            assert_eq!(merkleize(&leaves, depth), level[0], "{count} leaves");
        }
    }
}
