//! The tree of blocks, in one array where parents come before children (I1).
//!
//! A vote's balance is kept at the block that it names. One backward pass adds every block's weight
//! to its parent's and picks each block's best child, so that finding the head costs one visit per
//! block, whatever the number of validators.
//!
//! Reference: consensus-specs v1.5.0 `get_head`, `get_filtered_block_tree`, `get_ancestor`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

use crate::consensus::{Checkpoint, Epoch, Slot};

/// Weights are summed in 128 bits: 2^64 validators of 2^64 Gwei fit, so no sum overflows.
pub(super) type Weight = u128;

/// One block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node<R> {
    pub(super) root: R,
    /// Place of the parent in the array; `None` only for the first.
    parent: Option<usize>,
    pub(super) slot: Slot,
    /// Epoch justified in the block's post-state.
    pub(super) justified_epoch: Epoch,
    /// Epoch justified once the post-state is pulled up to the next epoch.
    pub(super) unrealized_justified_epoch: Epoch,
    /// Balances of the latest messages that name this very block (I3).
    own_weight: Weight,
}

/// What decides which leaves may be head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Viability<R> {
    pub(super) justified: Checkpoint<R>,
    pub(super) finalized: Checkpoint<R>,
    pub(super) current_epoch: Epoch,
    pub(super) slots_per_epoch: u64,
}

/// The tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProtoArray<R> {
    nodes: Vec<Node<R>>,
    places: BTreeMap<R, usize>,
}

impl<R: Copy + Eq + Ord + Hash + Debug> ProtoArray<R> {
    /// Returns a tree of one block, the anchor.
    pub(super) fn new(anchor: R, slot: Slot, justified_epoch: Epoch) -> Self {
        let node = Node {
            root: anchor,
            parent: None,
            slot,
            justified_epoch,
            unrealized_justified_epoch: justified_epoch,
            own_weight: 0,
        };
        Self { nodes: vec![node], places: BTreeMap::from([(anchor, 0)]) }
    }

    /// Returns the number of blocks.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns root, parent and slot of every block, parents first; the first is its own parent.
    pub(super) fn blocks(&self) -> Vec<(R, R, Slot)> {
        let parent = |node: &Node<R>| node.parent.map_or(node.root, |place| self.nodes[place].root);
        self.nodes.iter().map(|node| (node.root, parent(node), node.slot)).collect()
    }

    pub(super) fn node(&self, root: R) -> Option<&Node<R>> {
        self.nodes.get(*self.places.get(&root)?)
    }

    /// Adds a block below `parent`. Returns whether it was added: not if the parent is unknown or
    /// the block is known.
    pub(super) fn insert(
        &mut self,
        root: R,
        parent: R,
        slot: Slot,
        justified_epoch: Epoch,
        unrealized_justified_epoch: Epoch,
    ) -> bool {
        let Some(&parent) = self.places.get(&parent) else { return false };
        if self.places.contains_key(&root) {
            return false;
        }
        self.places.insert(root, self.nodes.len());
        self.nodes.push(Node {
            root,
            parent: Some(parent),
            slot,
            justified_epoch,
            unrealized_justified_epoch,
            own_weight: 0,
        });
        true
    }

    /// Returns the last block at or before `slot` on the chain that ends in `root`
    /// (`get_ancestor`); `None` if `root` is not in the tree or the chain starts after `slot`.
    pub(super) fn ancestor(&self, root: R, slot: Slot) -> Option<R> {
        let mut node = self.node(root)?;
        while node.slot > slot {
            node = self.nodes.get(node.parent?)?;
        }
        Some(node.root)
    }

    /// Adds to the weight of `root` itself; nothing if it is not in the tree.
    pub(super) fn add_weight(&mut self, root: R, balance: u64) {
        if let Some(node) = self.places.get(&root).and_then(|&place| self.nodes.get_mut(place)) {
            node.own_weight = node.own_weight.saturating_add(Weight::from(balance));
        }
    }

    /// Takes from the weight of `root` itself what [`Self::add_weight`] put there.
    pub(super) fn remove_weight(&mut self, root: R, balance: u64) {
        if let Some(node) = self.places.get(&root).and_then(|&place| self.nodes.get_mut(place)) {
            node.own_weight = node.own_weight.saturating_sub(Weight::from(balance));
        }
    }

    /// Sets every weight to zero.
    pub(super) fn clear_weights(&mut self) {
        for node in &mut self.nodes {
            node.own_weight = 0;
        }
    }

    /// Returns the weight of every block with its descendants, `boost` counted at its block.
    fn weights(&self, boost: Option<(R, Weight)>) -> Vec<Weight> {
        let mut weights: Vec<Weight> = self.nodes.iter().map(|node| node.own_weight).collect();
        if let Some((root, score)) = boost
            && let Some(&place) = self.places.get(&root)
        {
            weights[place] = weights[place].saturating_add(score);
        }
        for (place, node) in self.nodes.iter().enumerate().rev() {
            if let Some(parent) = node.parent {
                weights[parent] = weights[parent].saturating_add(weights[place]);
            }
        }
        weights
    }

    /// Returns the weight of `root` with its descendants (`get_weight`).
    pub(super) fn weight(&self, root: R, boost: Option<(R, Weight)>) -> Option<Weight> {
        let place = *self.places.get(&root)?;
        self.weights(boost).get(place).copied()
    }

    /// Returns the head (`get_head`): from the justified block on, the heaviest child that has a
    /// viable leaf; of equal ones the larger root.
    pub(super) fn head(&self, boost: Option<(R, Weight)>, rule: &Viability<R>) -> R {
        let weights = self.weights(boost);
        let descends = self.descends_from(rule.finalized, rule.slots_per_epoch);
        let mut has_child = vec![false; self.nodes.len()];
        let mut best_child: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate().rev() {
            // By I1 all children were visited: a branch is viable through its best child.
            let viable = if has_child[place] {
                best_child[place].is_some()
            } else {
                descends[place] && leaf_is_viable(node, rule)
            };
            let Some(parent) = node.parent else { continue };
            has_child[parent] = true;
            let better = |other: usize| {
                (weights[place], node.root) > (weights[other], self.nodes[other].root)
            };
            if viable && best_child[parent].is_none_or(better) {
                best_child[parent] = Some(place);
            }
        }
        let Some(&start) = self.places.get(&rule.justified.root) else {
            return rule.justified.root;
        };
        let mut head = start;
        while let Some(child) = best_child[head] {
            head = child;
        }
        self.nodes[head].root
    }

    /// Tells for every block whether `checkpoint` is its `get_checkpoint_block`; true for all at
    /// genesis.
    fn descends_from(&self, checkpoint: Checkpoint<R>, slots_per_epoch: u64) -> Vec<bool> {
        let start = checkpoint.epoch.saturating_mul(slots_per_epoch);
        let mut descends = vec![false; self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate() {
            descends[place] = checkpoint.epoch == 0
                || node.root == checkpoint.root
                || node.parent.is_some_and(|parent| descends[parent] && node.slot > start);
        }
        descends
    }

    /// Drops what does not descend from the finalised checkpoint (I2), unless one of `needed` would
    /// be among it. Returns the number of blocks dropped.
    pub(super) fn prune(&mut self, rule: &Viability<R>, needed: &[R]) -> usize {
        let keep = self.descends_from(rule.finalized, rule.slots_per_epoch);
        if !needed.iter().all(|root| self.places.get(root).is_some_and(|&place| keep[place])) {
            return 0;
        }
        let before = self.nodes.len();
        let mut moved: Vec<Option<usize>> = vec![None; before];
        let mut kept = Vec::new();
        for (place, mut node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            if keep[place] {
                node.parent = node.parent.and_then(|parent| moved[parent]);
                moved[place] = Some(kept.len());
                kept.push(node);
            }
        }
        self.places = kept.iter().enumerate().map(|(place, node)| (node.root, place)).collect();
        self.nodes = kept;
        before - self.nodes.len()
    }

    /// Returns how many blocks lie between `from` and its last common ancestor with `to`; 0 if `to`
    /// descends from `from`. `None` if either is not in the tree.
    pub(super) fn blocks_left(&self, from: R, to: R) -> Option<u64> {
        let (mut old, mut new) = (*self.places.get(&from)?, *self.places.get(&to)?);
        let mut left = 0_u64;
        // By I1 a parent's place is smaller: the larger place cannot be the common ancestor.
        while old != new {
            if old > new {
                old = self.nodes[old].parent?;
                left += 1;
            } else {
                new = self.nodes[new].parent?;
            }
        }
        Some(left)
    }
}

/// The leaf rule of `filter_block_tree`, without its finality half.
fn leaf_is_viable<R>(node: &Node<R>, rule: &Viability<R>) -> bool {
    let block_epoch = node.slot / rule.slots_per_epoch;
    let voting_source_epoch = if rule.current_epoch > block_epoch {
        node.unrealized_justified_epoch
    } else {
        node.justified_epoch
    };
    rule.justified.epoch == 0
        || voting_source_epoch == rule.justified.epoch
        || voting_source_epoch.saturating_add(2) >= rule.current_epoch
}
