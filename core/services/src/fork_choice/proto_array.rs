//! The tree of blocks, in one array where parents come before children (I1).
//!
//! A vote's balance is kept at the block that it names. What follows from the balances, the weights
//! of branches and the best of them, is kept in [`Segments`] and updated along the changed path
//! alone. It is an index: two trees with the same blocks and weights are equal, whatever their
//! indices have been through.
//!
//! Reference: consensus-specs v1.7.0-alpha.13 `get_head`, `get_filtered_block_tree`,
//! `get_ancestor`.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};

use super::segments::{Delta, Segments};
use crate::consensus::{Checkpoint, Epoch, Slot, ValidatorIndex};

/// Weights are summed in 128 bits: 2^63 validators of 2^64 Gwei fit, so no sum overflows.
pub(super) type Weight = u128;

/// One block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node<R> {
    pub(super) root: R,
    /// Place of the parent in the array; `None` only for the first.
    pub(super) parent: Option<usize>,
    pub(super) slot: Slot,
    /// The block's proposer; `None` for the anchor.
    pub(super) proposer: Option<ValidatorIndex>,
    /// Whether the block came in its own slot, before attesters vote.
    pub(super) timely: bool,
    /// Epoch justified in the block's post-state.
    pub(super) justified_epoch: Epoch,
    /// Epoch justified once the post-state is pulled up to the next epoch.
    pub(super) unrealized_justified_epoch: Epoch,
    /// Balances of the latest messages that name this very block (I3).
    pub(super) own_weight: Weight,
}

/// What is told of a new block.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewBlock<R> {
    pub(super) root: R,
    pub(super) parent: R,
    pub(super) slot: Slot,
    pub(super) proposer: ValidatorIndex,
    pub(super) timely: bool,
    pub(super) justified_epoch: Epoch,
    pub(super) unrealized_justified_epoch: Epoch,
}

/// What decides which leaves may be head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Viability<R> {
    pub(super) justified: Checkpoint<R>,
    pub(super) finalized: Checkpoint<R>,
    pub(super) current_epoch: Epoch,
    pub(super) slots_per_epoch: u64,
}

/// The tree.
#[derive(Clone, Debug)]
pub(super) struct ProtoArray<R> {
    nodes: Vec<Node<R>>,
    places: BTreeMap<R, usize>,
    rule: Viability<R>,
    segments: Segments<R>,
    /// Changes of weight, by place, that [`Self::settle`] has yet to pass on. Empty between events.
    changes: BTreeMap<usize, Delta>,
    /// What more [`Self::settle`] has to do. Nothing between events.
    pending: Pending,
}

/// How much of the index a change concerns that is not one of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pending {
    Nothing,
    /// Which leaves may be head.
    Leaves,
    /// All of it.
    Everything,
}

// The index follows from the blocks, and the rule and the boost from what the store has beside the
// tree.
impl<R: PartialEq> PartialEq for ProtoArray<R> {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes
    }
}

impl<R: Eq> Eq for ProtoArray<R> {}

impl<R: Hash> Hash for ProtoArray<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.nodes.hash(state);
    }
}

impl<R: Copy + Eq + Ord + Hash + Debug> ProtoArray<R> {
    /// Returns a tree of one block: the anchor, which is justified by `rule`.
    pub(super) fn new(slot: Slot, rule: Viability<R>) -> Self {
        let node = Node {
            root: rule.justified.root,
            parent: None,
            slot,
            proposer: None,
            timely: false,
            justified_epoch: rule.justified.epoch,
            unrealized_justified_epoch: rule.justified.epoch,
            own_weight: 0,
        };
        let (places, nodes) = (BTreeMap::from([(node.root, 0)]), vec![node]);
        let segments = Segments::build(&nodes, &rule, None);
        Self { nodes, places, rule, segments, changes: BTreeMap::new(), pending: Pending::Nothing }
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

    /// Returns the parent of a block in the tree; `None` for the first.
    pub(super) fn parent(&self, node: &Node<R>) -> Option<&Node<R>> {
        self.nodes.get(node.parent?)
    }

    /// Returns whether `proposer` has another block of the same slot in the tree than `node`. Costs
    /// a visit for each block.
    pub(super) fn has_equivocation(&self, node: &Node<R>) -> bool {
        let same = |other: &&Node<R>| other.slot == node.slot && other.proposer == node.proposer;
        node.proposer.is_some() && self.nodes.iter().filter(same).count() > 1
    }

    /// Returns whether the finalised checkpoint is on the chain that ends in `root`.
    pub(super) fn descends_from_finalized(&self, root: R) -> bool {
        self.places.get(&root).is_some_and(|&place| self.segments.descends(place))
    }

    /// Adds a block. Returns whether it was added: not if the parent is unknown or the block is
    /// known.
    pub(super) fn insert(&mut self, block: &NewBlock<R>) -> bool {
        let Some(&parent) = self.places.get(&block.parent) else { return false };
        if self.places.contains_key(&block.root) {
            return false;
        }
        // The index takes in blocks of no weight, when nothing else is pending.
        self.settle();
        self.places.insert(block.root, self.nodes.len());
        self.nodes.push(Node {
            root: block.root,
            parent: Some(parent),
            slot: block.slot,
            proposer: Some(block.proposer),
            timely: block.timely,
            justified_epoch: block.justified_epoch,
            unrealized_justified_epoch: block.unrealized_justified_epoch,
            own_weight: 0,
        });
        self.segments.insert(&self.nodes, &self.rule);
        true
    }

    /// Returns the last block at or before `slot` on the chain that ends in `root`
    /// (`get_ancestor`); `None` if `root` is not in the tree or the chain starts after `slot`.
    /// Costs a visit for each block in between.
    pub(super) fn ancestor(&self, root: R, slot: Slot) -> Option<R> {
        let mut node = self.node(root)?;
        while node.slot > slot {
            node = self.nodes.get(node.parent?)?;
        }
        Some(node.root)
    }

    /// Adds to the weight of `root` itself; nothing if it is not in the tree.
    pub(super) fn add_weight(&mut self, root: R, balance: u64) {
        self.change_weight(root, Delta::from(balance));
    }

    /// Takes from the weight of `root` itself what [`Self::add_weight`] put there.
    pub(super) fn remove_weight(&mut self, root: R, balance: u64) {
        self.change_weight(root, -Delta::from(balance));
    }

    fn change_weight(&mut self, root: R, delta: Delta) {
        let Some(&place) = self.places.get(&root) else { return };
        let own = &mut self.nodes[place].own_weight;
        *own = own.saturating_add_signed(delta);
        *self.changes.entry(place).or_default() += delta;
    }

    /// Sets every weight to zero.
    pub(super) fn clear_weights(&mut self) {
        for node in &mut self.nodes {
            node.own_weight = 0;
        }
        self.pending = Pending::Everything;
    }

    /// Moves the boost: `score` counts for `root`, and for nothing if it is not in the tree.
    pub(super) fn set_boost(&mut self, boost: Option<(R, Weight)>) {
        let place = |(root, score)| Some((*self.places.get(&root)?, score));
        let boost = boost.and_then(place);
        let signed = |score| Delta::try_from(score).unwrap_or(Delta::MAX);
        if let Some((place, score)) = self.segments.set_boost(boost) {
            *self.changes.entry(place).or_default() -= signed(score);
        }
        if let Some((place, score)) = boost {
            *self.changes.entry(place).or_default() += signed(score);
        }
    }

    /// Sets what decides which leaves may be head.
    pub(super) fn set_rule(&mut self, rule: Viability<R>) {
        let pending = if rule.finalized != self.rule.finalized {
            Pending::Everything
        } else if rule != self.rule {
            Pending::Leaves
        } else {
            Pending::Nothing
        };
        self.pending = self.pending.max(pending);
        self.rule = rule;
    }

    /// Passes on what has changed since the last call.
    fn settle(&mut self) {
        let mut changes = std::mem::take(&mut self.changes);
        let pending = std::mem::replace(&mut self.pending, Pending::Nothing);
        if pending == Pending::Everything {
            self.segments = Segments::build(&self.nodes, &self.rule, self.segments.boost());
            return;
        }
        changes.retain(|_, delta| *delta != 0);
        self.segments.apply(changes, &self.nodes, &self.rule);
        if pending == Pending::Leaves {
            self.segments.review_leaves(&self.nodes, &self.rule);
        }
    }

    /// Passes on what has changed, and returns the head (`get_head`) if it may be another than when
    /// this was last called: from the justified block on, the heaviest child that has a viable
    /// leaf; of equal ones the larger root.
    pub(super) fn changed_head(&mut self) -> Option<R> {
        self.settle();
        self.segments.take_moved().then(|| {
            let justified = self.rule.justified.root;
            let head = self.places.get(&justified).map(|&start| self.segments.head(start));
            head.map_or(justified, |place| self.nodes[place].root)
        })
    }

    /// Returns the weight of `root` with its descendants (`get_weight`).
    pub(super) fn weight(&self, root: R) -> Option<Weight> {
        Some(self.segments.weight(*self.places.get(&root)?, &self.nodes))
    }

    /// Returns the leaves of `get_filtered_block_tree`, each with its weight.
    pub(super) fn viable_leaves(&self) -> Vec<(R, Weight)> {
        let Some(&start) = self.places.get(&self.rule.justified.root) else { return Vec::new() };
        let leaves = self.segments.viable_leaves(start).into_iter();
        let with_weight =
            |place: usize| (self.nodes[place].root, self.segments.weight(place, &self.nodes));
        leaves.map(with_weight).collect()
    }

    /// Drops what does not descend from the finalised checkpoint (I2), unless one of `needed` would
    /// be among it. Everything has been passed on.
    pub(super) fn prune(&mut self, needed: &[R]) {
        debug_assert!(self.changes.is_empty() && self.pending == Pending::Nothing, "up to date");
        if !needed.iter().all(|root| self.descends_from_finalized(*root)) {
            return;
        }
        let before = self.nodes.len();
        let mut moved: Vec<Option<usize>> = vec![None; before];
        let mut kept = Vec::new();
        for (place, mut node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            if self.segments.descends(place) {
                node.parent = node.parent.and_then(|parent| moved[parent]);
                moved[place] = Some(kept.len());
                kept.push(node);
            }
        }
        self.nodes = kept;
        if self.nodes.len() < before {
            let places = self.nodes.iter().enumerate();
            self.places = places.map(|(place, node)| (node.root, place)).collect();
            let boost = self.segments.boost().and_then(|(at, score)| Some((moved[at]?, score)));
            self.segments = Segments::build(&self.nodes, &self.rule, boost);
            // The head is a descendant of what stays.
            self.segments.take_moved();
        }
    }

    /// Returns how many blocks lie between `from` and its last common ancestor with `to`; 0 if `to`
    /// descends from `from`. `None` if either is not in the tree. Costs a visit for each block
    /// between either and the ancestor.
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
pub(super) fn leaf_is_viable<R>(node: &Node<R>, rule: &Viability<R>) -> bool {
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

#[cfg(test)]
impl<R: Copy + Eq + Ord + Hash + Debug> ProtoArray<R> {
    /// Asserts that the index is what it would be if it were built now (S4).
    pub(super) fn assert_index(&self) {
        let built = Segments::build(&self.nodes, &self.rule, self.segments.boost());
        assert_eq!(self.segments.entries(), built.entries());
    }
}
