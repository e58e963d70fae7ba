//! Merkle branches, and the deposit contract's incremental tree.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "is_valid_merkle_branch";
//! deposit contract, `get_deposit_root`.

use crate::hashing::{hash_concat, uint_leaf};
use crate::primitives::{DEPOSIT_CONTRACT_TREE_DEPTH, Root};

/// Whether `leaf` at `index` is under `root`, according to the first `depth` siblings of `branch`,
/// lowest first. False if the branch is shorter.
pub fn is_valid_merkle_branch(
    leaf: Root,
    branch: &[Root],
    depth: usize,
    index: u64,
    root: Root,
) -> bool {
    branch.get(..depth).is_some_and(|branch| merkle_branch_root(leaf, branch, index) == root)
}

/// The root to which `leaf` at `index` leads with all siblings of `branch`, lowest first.
pub(crate) fn merkle_branch_root(leaf: Root, branch: &[Root], index: u64) -> Root {
    branch.iter().enumerate().fold(leaf, |value, (level, sibling)| {
        // Above the 64th level an index has no bits.
        let right = level < 64 && (index >> level) & 1 == 1;
        if right { hash_concat(sibling, &value) } else { hash_concat(&value, sibling) }
    })
}

/// The deposit tree's left edge: enough to append leaves and to know the root, in constant space.
#[derive(Clone, Debug)]
pub struct DepositTree {
    /// `left[h]` is the last complete subtree of height `h` that waits for its right sibling.
    left: [Root; DEPOSIT_CONTRACT_TREE_DEPTH],
    count: u64,
}

impl Default for DepositTree {
    fn default() -> Self {
        Self { left: [Root::ZERO; DEPOSIT_CONTRACT_TREE_DEPTH], count: 0 }
    }
}

impl DepositTree {
    /// Appends the root of a deposit. Returns whether there was room.
    pub fn push(&mut self, leaf: Root) -> bool {
        if self.count >> DEPOSIT_CONTRACT_TREE_DEPTH != 0
            || self.count + 1 == 1 << DEPOSIT_CONTRACT_TREE_DEPTH
        {
            return false;
        }
        self.count += 1;
        let height = self.count.trailing_zeros() as usize;
        let node = self.left[..height].iter().fold(leaf, |node, left| hash_concat(left, &node));
        self.left[height] = node;
        true
    }

    /// The root of a list of all leaves so far.
    pub fn root(&self) -> Root {
        let (mut node, mut zero) = (Root::ZERO, Root::ZERO);
        for height in 0..DEPOSIT_CONTRACT_TREE_DEPTH {
            node = if (self.count >> height) & 1 == 1 {
                hash_concat(&self.left[height], &node)
            } else {
                hash_concat(&node, &zero)
            };
            zero = hash_concat(&zero, &zero);
        }
        hash_concat(&node, &uint_leaf(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_found_at_its_own_index_only() {
        // Builds a tree of two leaves and tries both indices and a branch that is too short.
        let (left, right) = (Root::new([1; 32]), Root::new([2; 32]));
        let root = hash_concat(&left, &right);
        assert!(is_valid_merkle_branch(right, &[left], 1, 1, root));
        assert!(!is_valid_merkle_branch(right, &[left], 1, 0, root));
        assert!(!is_valid_merkle_branch(right, &[], 1, 1, root));
    }

    #[test]
    fn the_deposit_tree_has_the_root_of_the_list_of_its_leaves() {
        // Appends seven leaves and compares each root with that of a list of the same limit.
        type Leaves = crate::tree::PersistentList<Root, typenum::U4294967296>;
        let mut tree = DepositTree::default();
        for count in 0..7u8 {
            let leaves: Vec<Root> = (0..count).map(|byte| Root::new([byte; 32])).collect();
            let expected = Leaves::try_from(leaves).unwrap().hash_tree_root();
            assert_eq!(tree.root(), expected, "{count} leaves");
            assert!(tree.push(Root::new([count; 32])));
        }
    }
}
