//! The pure part of the HotDB; see [`crate::hot_db`] for its contract.

use std::collections::{BTreeMap, BTreeSet};

use crate::bounded::{BoundedMap, BoundedSet};
use crate::consensus::{Checkpoint, Consensus, Epoch, Slot, ValidatorIndex};
use crate::hot_db::event::{
    CommitReply, CommitteesAt, CommitteesKey, Effect, Event, Limits, Prune, StateAt, Trail,
    TrailReply,
};
use crate::hot_db::thinning::{Key, StateCache, expiry};
use crate::identified::IdentifiedBlock;
use crate::machine::Machine;

/// A committed block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node<C: Consensus> {
    /// `None` for the anchor.
    block: Option<IdentifiedBlock<C>>,
    parent: C::Root,
    slot: Slot,
    /// What [`Consensus::block_bytes`] says of the block.
    bytes: usize,
    /// Slots and roots of the committed blocks on top of it.
    children: BTreeSet<(Slot, C::Root)>,
}

/// The DAG of committed blocks since finality, and bounded caches of states and committees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HotDb<C: Consensus> {
    limits: Limits,
    nodes: BTreeMap<C::Root, Node<C>>,
    /// What the blocks cost together.
    block_bytes: usize,
    /// The highest slot of a committed block.
    newest: Slot,
    states: StateCache<C>,
    committees: BoundedMap<CommitteesKey<C::Root>, CommitteesAt<C>>,
    /// The proposers of the slots of an epoch, by the last block before its start.
    proposers: BoundedMap<(C::Root, Epoch), Vec<ValidatorIndex>>,
    /// The base of the DAG, and the slot of its pinned state.
    root: Key<C::Root>,
    head: C::Root,
    pruned: BoundedSet<C::Root>,
}

impl<C: Consensus> HotDb<C> {
    /// Returns a HotDB that holds the anchor: a finalised block's root and the state after it.
    ///
    /// # Panics
    /// If a bound is zero (`blocks` below 2): that is a mistake of the caller, not of a peer.
    #[must_use]
    pub fn new(consensus: &C, limits: Limits, root: C::Root, slot: Slot, state: C::State) -> Self {
        assert!(limits.blocks >= 2 && limits.checkpoint_slots >= 1, "bounds must not be zero");
        let at = consensus.state_slot(&state);
        let mut states = StateCache::new(limits.passing_states);
        states.pin(BTreeSet::from([(root, at)]));
        states.insert(consensus, StateAt { root, slot: at, state }, Some(Slot::MAX));
        let anchor =
            Node { block: None, parent: root, slot, bytes: 0, children: BTreeSet::default() };
        Self {
            limits,
            nodes: BTreeMap::from([(root, anchor)]),
            block_bytes: 0,
            newest: slot,
            states,
            committees: BoundedMap::new(limits.committees),
            proposers: BoundedMap::new(limits.proposers),
            root: (root, at),
            head: root,
            pruned: BoundedSet::new(limits.pruned_roots),
        }
    }

    /// Remembers blocks that were pruned before this HotDB was made, the oldest first.
    pub(crate) fn remember_pruned(&mut self, roots: impl IntoIterator<Item = C::Root>) {
        roots.into_iter().for_each(|root| self.pruned.insert(root));
    }

    /// Returns how many blocks are kept, the anchor included.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.nodes.len()
    }

    /// Returns how many states are cached.
    #[must_use]
    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// Returns what the blocks and the cached states cost together, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.block_bytes.saturating_add(self.states.bytes())
    }

    /// Returns what the pinned states cost together, in bytes.
    #[must_use]
    pub fn pinned_bytes(&self) -> usize {
        self.states.pinned_bytes()
    }

    /// Returns whether a block is committed.
    #[must_use]
    pub fn contains(&self, root: C::Root) -> bool {
        self.nodes.contains_key(&root)
    }

    /// Returns root and parent of every block. The base is its own parent.
    pub fn parents(&self) -> impl Iterator<Item = (C::Root, C::Root)> {
        self.nodes.iter().map(|(root, node)| (*root, node.parent))
    }

    /// Returns how to reach the state of block `root` at `slot`.
    #[must_use]
    pub fn trail(&self, root: C::Root, slot: Slot) -> TrailReply<C> {
        let block_slot = match self.reachable(root, slot) {
            Ok(block_slot) => block_slot,
            Err(reply) => return reply,
        };
        let Some(mut trail) = self.trail_to(root, slot) else { return TrailReply::Pruned };
        trail.want_target =
            slot > block_slot && (trail.start.root, trail.start.slot) != (root, slot);
        TrailReply::Trail(Box::new(trail))
    }

    /// Returns the slot of a block whose state may be advanced to `slot`, or why it may not.
    fn reachable(&self, root: C::Root, slot: Slot) -> Result<Slot, TrailReply<C>> {
        let block_slot = match self.nodes.get(&root) {
            Some(node) => node.slot,
            None => return Err(self.missing(root)),
        };
        if slot < block_slot {
            return Err(TrailReply::BeforeBlock { block_slot });
        }
        let from = self.states.last(root, 0, slot).map_or(block_slot, |state| state.slot);
        if slot - from > self.limits.distance {
            return Err(TrailReply::TooFar { block_slot });
        }
        Ok(block_slot)
    }

    fn trail_to(&self, root: C::Root, slot: Slot) -> Option<Trail<C>> {
        let block_slot = self.nodes.get(&root)?.slot;
        let mut blocks = Vec::new();
        let mut wanted = Vec::new();
        let (mut at, mut until) = (root, slot);
        // The loop is bounded by the number of nodes: every step goes to a parent, and the base
        // has a state.
        let start = loop {
            if let Some(start) = self.states.last(at, 0, until) {
                break start.clone();
            }
            let node = self.nodes.get(&at)?;
            let block = node.block.as_ref()?;
            // Others may wait for the block's own state; those in between shorten a replay.
            let far = (blocks.len() as u64 + 1).is_multiple_of(self.limits.checkpoint_slots);
            if blocks.is_empty() || far {
                wanted.push(at);
            }
            blocks.push(block.clone());
            at = node.parent;
            until = node.slot;
        };
        blocks.reverse();
        Some(Trail {
            start,
            blocks,
            root,
            block_slot,
            slot,
            wanted,
            want_target: false,
            expected_proposer: None,
            descendant: None,
            committees: None,
        })
    }

    /// Returns the committees of a target's epoch on its branch, or how to reach a state that
    /// gives them. They are the same for all targets of the epoch with one dependent root.
    #[must_use]
    pub fn committees(&self, consensus: &C, target: Checkpoint<C::Root>) -> TrailReply<C> {
        let epoch = target.epoch;
        let reachable = self.reachable(target.root, consensus.start_slot(epoch));
        if let Err(reply) = reachable {
            return reply;
        }
        // Any state of the branch from the preceding epoch to the next one gives them.
        let from = consensus.start_slot(epoch.saturating_sub(1));
        let until = consensus.start_slot(epoch.saturating_add(2)).saturating_sub(1);
        let (mut at, mut start) = (target.root, None);
        // Slots fall along parents, and the target lies at most an epoch after `from`.
        let slot = loop {
            let Some(node) = self.nodes.get(&at) else { return TrailReply::Pruned };
            start = start.or_else(|| self.states.last(at, from, until));
            if node.slot < from || at == self.root.0 {
                break node.slot;
            }
            at = node.parent;
        };
        let key = CommitteesKey { dependent_root: at, epoch };
        if let Some(known) = self.committees.get(&key) {
            return TrailReply::Committees(known.clone());
        }
        let trail = match start.cloned() {
            Some(start) => {
                let (root, slot) = (start.root, start.slot);
                let block_slot = self.nodes.get(&root).map_or(slot, |node| node.slot);
                let (blocks, wanted) = (Vec::new(), Vec::new());
                Some(Trail {
                    start,
                    blocks,
                    root,
                    block_slot,
                    slot,
                    wanted,
                    want_target: false,
                    expected_proposer: None,
                    descendant: None,
                    committees: None,
                })
            }
            None if at == target.root && self.is_stale(at, from) => return TrailReply::Stale,
            None => self.trail_to(at, from.max(slot)),
        };
        let Some(mut trail) = trail else { return TrailReply::Pruned };
        trail.committees = Some(key);
        TrailReply::Trail(Box::new(trail))
    }

    /// Returns the proposer of `slot` on the branch of block `root`, which is of that slot or
    /// before it, if the proposers of the slot's epoch are known there (I8).
    #[must_use]
    pub fn expected_proposer(
        &self,
        consensus: &C,
        root: C::Root,
        slot: Slot,
    ) -> Option<ValidatorIndex> {
        let epoch = consensus.epoch_at(slot);
        let key = (self.last_before(consensus, root, epoch)?, epoch);
        let place = usize::try_from(slot - consensus.start_slot(epoch)).ok()?;
        self.proposers.get(&key)?.get(place).copied()
    }

    /// Returns the state of the first pinned block that descends from block `root`, if there is one
    /// (I9). There are at most four walks, each bounded by the blocks between the two: slots fall
    /// along parents.
    #[must_use]
    pub fn pinned_descendant(&self, root: C::Root) -> Option<&StateAt<C>> {
        let slot = self.nodes.get(&root)?.slot;
        let mut later: Vec<_> = self.states.pinned().filter(|at| at.slot > slot).collect();
        later.sort_by_key(|at| at.slot);
        later.into_iter().find(|at| self.ancestor(at.root, slot) == Some(root))
    }

    /// Returns the last block of a branch at a slot or before it.
    fn ancestor(&self, root: C::Root, slot: Slot) -> Option<C::Root> {
        let mut at = root;
        loop {
            let node = self.nodes.get(&at)?;
            if node.slot <= slot {
                return Some(at);
            }
            if at == self.root.0 {
                return None;
            }
            at = node.parent;
        }
    }

    /// Returns the last block of a branch before an epoch, or the base of the DAG. The walk is
    /// bounded by the slots of the epoch: slots fall along parents.
    fn last_before(&self, consensus: &C, root: C::Root, epoch: Epoch) -> Option<C::Root> {
        let start = consensus.start_slot(epoch);
        let mut at = root;
        loop {
            let node = self.nodes.get(&at)?;
            if node.slot < start || at == self.root.0 {
                return Some(at);
            }
            at = node.parent;
        }
    }

    /// Keeps the proposers of the epoch of a state that has come, unless they are kept already
    /// (I8).
    fn keep_proposers(&mut self, consensus: &C, state: &StateAt<C>) {
        let epoch = consensus.epoch_at(state.slot);
        let Some(before) = self.last_before(consensus, state.root, epoch) else { return };
        let key = (before, epoch);
        if self.proposers.get(&key).is_none()
            && let Some(proposers) = consensus.proposers(&state.state)
        {
            self.proposers.insert(key, proposers);
        }
    }

    /// Returns whether no branch has the block as its last one before slot `from`: it is not the
    /// head, and all that builds on it came earlier than that (I7).
    fn is_stale(&self, root: C::Root, from: Slot) -> bool {
        let last_child =
            self.nodes.get(&root).and_then(|node| node.children.last()).map(|(slot, _)| *slot);
        root != self.head && last_child.is_some_and(|slot| slot < from)
    }

    fn missing(&self, root: C::Root) -> TrailReply<C> {
        if self.pruned.contains(&root) { TrailReply::Pruned } else { TrailReply::UnknownParent }
    }

    fn commit(
        &mut self,
        consensus: &C,
        block: IdentifiedBlock<C>,
        state: StateAt<C>,
    ) -> CommitReply {
        let header = block.identity();
        let (root, parent, slot) = (header.root, header.parent, header.slot);
        if self.nodes.contains_key(&root) {
            return CommitReply::AlreadyCommitted;
        }
        let bytes = consensus.block_bytes(block.item());
        let full = self.nodes.len() >= self.limits.blocks
            || self.block_bytes.saturating_add(bytes) > self.limits.bytes / 2;
        let Some(above) = self.nodes.get_mut(&parent) else {
            return match self.missing(parent) {
                TrailReply::Pruned => CommitReply::Pruned,
                _ => CommitReply::UnknownParent,
            };
        };
        if full {
            return CommitReply::Full;
        }
        above.children.insert((slot, root));
        let expiry = expiry(self.limits.checkpoint_slots, above.slot, slot);
        let children = BTreeSet::default();
        self.nodes.insert(root, Node { block: Some(block), parent, slot, bytes, children });
        self.block_bytes += bytes;
        self.newest = self.newest.max(slot);
        // A late block's checkpoint may have expired, but its children come next.
        let expiry = Some(expiry).filter(|expiry| *expiry >= self.newest);
        self.cache(consensus, StateAt { root, slot, state: state.state }, expiry);
        CommitReply::Committed
    }

    /// Takes back a state that a trail asked for. States of unknown blocks are dropped.
    fn post_state(&mut self, consensus: &C, state: StateAt<C>) {
        let Some(node) = self.nodes.get(&state.root) else { return };
        if state.slot < node.slot {
            return;
        }
        // A block's own state is a checkpoint again, if that has not expired.
        let own = (state.slot == node.slot).then(|| {
            let above = self.nodes.get(&node.parent).map_or(node.slot, |parent| parent.slot);
            expiry(self.limits.checkpoint_slots, above, node.slot)
        });
        let expiry = own.filter(|expiry| *expiry >= self.newest);
        self.cache(consensus, state, expiry);
    }

    /// Takes in a state, and lets states go until the bounds are kept.
    fn cache(&mut self, consensus: &C, state: StateAt<C>, expiry: Option<Slot>) {
        self.keep_proposers(consensus, &state);
        let key = (state.root, state.slot);
        self.states.insert(consensus, state, expiry);
        self.states.thin(self.newest);
        self.states.shrink(self.limits.bytes.saturating_sub(self.block_bytes), Some(key));
    }

    /// Drops what does not descend from the finalised block, and pins its state, the justified one
    /// and the head's. Returns how many blocks were dropped. Unknown roots change nothing.
    ///
    /// If the finalised block's own state is not cached, the blocks from the closest ancestor that
    /// has one are kept as well, so that every trail still has a start.
    fn prune(&mut self, Prune { finalized, justified, head }: Prune<C::Root>) -> usize {
        let Some(node) = self.nodes.get(&finalized.root) else { return 0 };
        let finalized = (finalized.root, node.slot);
        self.head = head;
        let base = self.closest_with_state(finalized.0);
        let moves = base != self.root.0;
        let before = self.nodes.len();
        if moves && let Some(node) = self.nodes.get(&base) {
            let slot = node.slot;
            self.drop_all_but(base);
            self.root = (base, slot);
        }
        let own = |root| Some((root, self.nodes.get(&root)?.slot));
        let pinned = [own(justified), own(head), Some(finalized), Some(self.root)];
        self.states.pin(pinned.into_iter().flatten().collect());
        self.states.thin(self.newest);
        self.states.shrink(self.limits.bytes.saturating_sub(self.block_bytes), None);
        before - self.nodes.len()
    }

    /// Returns the block itself or its closest ancestor whose own state is cached. The anchor has
    /// one.
    fn closest_with_state(&self, root: C::Root) -> C::Root {
        let mut at = root;
        while at != self.root.0 {
            match self.nodes.get(&at) {
                Some(node) if !self.states.contains((at, node.slot)) => at = node.parent,
                _ => break,
            }
        }
        at
    }

    /// Makes `base` the base of the DAG: drops every block that does not descend from it. The cost
    /// is O(log n) for each block that goes; what stays is not looked at.
    fn drop_all_but(&mut self, base: C::Root) {
        let mut gone = vec![self.root.0];
        let mut order = Vec::new();
        while let Some(root) = gone.pop() {
            let Some(node) = self.nodes.remove(&root) else { continue };
            gone.extend(node.children.iter().map(|(_, child)| *child).filter(|c| *c != base));
            order.push((node.slot, root));
            self.block_bytes -= node.bytes;
            self.states.remove_block(root);
        }
        // Of the pruned roots the latest are remembered longest.
        order.sort_unstable();
        order.into_iter().for_each(|(_, root)| self.pruned.insert(root));
        if let Some(node) = self.nodes.get_mut(&base) {
            self.block_bytes -= std::mem::take(&mut node.bytes);
            node.block = None;
            node.parent = base;
        }
    }
}

impl<C: Consensus> Machine<C> for HotDb<C> {
    type Event = Event<C>;
    type Effect = Effect<C>;

    fn handle(&mut self, consensus: &C, event: Event<C>) -> Vec<Effect<C>> {
        match event {
            Event::Trail { root, slot } => {
                let mut reply = self.trail(root, slot);
                if let TrailReply::Trail(trail) = &mut reply {
                    trail.expected_proposer = self.expected_proposer(consensus, root, slot);
                    if trail.replays() {
                        trail.descendant = self.pinned_descendant(root).cloned();
                    }
                }
                vec![Effect::Trail(reply)]
            }
            Event::Committees { target } => {
                vec![Effect::Trail(self.committees(consensus, target))]
            }
            Event::Commit { block, state } => {
                vec![Effect::Committed(self.commit(consensus, block, state))]
            }
            Event::PostState(state) => {
                self.post_state(consensus, state);
                Vec::new()
            }
            Event::PostCommittees(at) => {
                self.committees.insert(at.key, at);
                Vec::new()
            }
            Event::Prune(keep) => {
                let pruned = self.prune(keep);
                tracing::debug!(pruned, epoch = keep.finalized.epoch, "pruned");
                Vec::new()
            }
        }
    }
}
