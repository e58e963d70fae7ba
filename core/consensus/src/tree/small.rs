//! A tree of at most 32 leaves that remembers its nodes, for the fields of a state.

use crate::hashing::{ROOT_LEN, hash_blocks, zero};
use crate::primitives::Root;

/// Levels below the root.
const DEPTH: usize = 5;
const LEAVES: usize = 1 << DEPTH;

/// A tree of depth five whose nodes are kept. Node 1 is the root; the children of `i` are `2 * i`
/// and `2 * i + 1`.
#[derive(Clone, Debug)]
pub(crate) struct SmallTree {
    nodes: [Root; 2 * LEAVES],
}

impl Default for SmallTree {
    fn default() -> Self {
        let level = |node: usize| DEPTH - node.max(1).ilog2() as usize;
        Self { nodes: std::array::from_fn(|node| *zero(level(node))) }
    }
}

impl SmallTree {
    /// The root over `leaves`, followed by zeros. Only nodes with a changed leaf below them are
    /// hashed; those of one level are hashed side by side.
    ///
    /// # Panics
    /// If there are more than 32 leaves.
    pub(crate) fn root(&mut self, leaves: &[Root]) -> Root {
        assert!(leaves.len() <= LEAVES, "too many leaves");
        // Bit `i` stands for node `i` of the level at hand.
        let mut changed: u64 = 0;
        for at in 0..LEAVES {
            let leaf = leaves.get(at).unwrap_or(&Root::ZERO);
            let node = &mut self.nodes[LEAVES + at];
            if node != leaf {
                *node = *leaf;
                changed |= 1 << (LEAVES + at);
            }
        }
        while changed > 1 << 1 {
            changed = self.hash_parents(changed);
        }
        self.nodes[1]
    }

    /// Hashes the parents of the nodes in `changed`, which are all of one level; returns those
    /// parents.
    fn hash_parents(&mut self, mut changed: u64) -> u64 {
        let mut input = [0; LEAVES * ROOT_LEN];
        let mut output = [0; LEAVES / 2 * ROOT_LEN];
        let (mut parents, mut count, mut above) = ([0; LEAVES / 2], 0, 0);
        for (pair, place) in input.chunks_exact_mut(2 * ROOT_LEN).zip(&mut parents) {
            if changed == 0 {
                break;
            }
            let parent = changed.trailing_zeros() as usize / 2;
            changed &= !(0b11 << (2 * parent));
            pair[..ROOT_LEN].copy_from_slice(self.nodes[2 * parent].as_ref());
            pair[ROOT_LEN..].copy_from_slice(self.nodes[2 * parent + 1].as_ref());
            *place = parent;
            count += 1;
        }
        hash_blocks(&mut output[..count * ROOT_LEN], &input[..2 * count * ROOT_LEN]);
        for (parent, bytes) in parents[..count].iter().zip(output.as_chunks::<ROOT_LEN>().0) {
            self.nodes[*parent] = Root::new(*bytes);
            above |= 1 << parent;
        }
        above
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;
    use crate::hashing::merkleize;

    quickcheck! {
        fn the_root_is_that_of_the_leaves_whatever_was_there_before(rounds: Vec<Vec<u8>>) -> bool {
            let mut tree = SmallTree::default();
            rounds.iter().all(|leaves| {
                let leaves: Vec<Root> =
                    leaves.iter().take(LEAVES).map(|byte| Root::new([byte % 3; 32])).collect();
                tree.root(&leaves) == merkleize(&leaves, DEPTH)
            })
        }
    }

    #[test]
    fn an_empty_tree_is_zeros() {
        // Asks for the root of no leaves, then of one, then of none again.
        let mut tree = SmallTree::default();
        assert_eq!(tree.root(&[]), *zero(DEPTH));
        assert_eq!(tree.root(&[Root::new([1; 32])]), merkleize(&[Root::new([1; 32])], DEPTH));
        assert_eq!(tree.root(&[]), *zero(DEPTH));
    }
}
