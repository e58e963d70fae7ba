//! The pure part of the HotDB; see [`crate::hot_db`] for its contract.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::bounded::BoundedSet;
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::identified::IdentifiedBlock;
use crate::machine::Machine;

/// Bounds of a HotDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Blocks kept since finality, at least 2. A commit beyond that is refused.
    pub blocks: usize,
    /// Bytes that cached states may cost by [`Consensus::state_bytes`]. Pinned states stay even if
    /// they alone cost more.
    pub state_bytes: usize,
    /// Distance in slots between states that are evicted last, at least 1; also how many blocks
    /// a trail may replay before the HotDB asks for a state in its middle.
    pub checkpoint_slots: u64,
    /// Roots of pruned blocks remembered, so that a request for one is answered `Pruned`.
    pub pruned_roots: usize,
    /// How many slots a state may be advanced after its block. A request for more is answered
    /// `TooFar`: no task of a worker takes more empty slots than this.
    pub distance: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blocks: 1 << 16,
            state_bytes: 1 << 30,
            checkpoint_slots: 32,
            pruned_roots: 1 << 12,
            distance: 1 << 13,
        }
    }
}

/// A state with the place it belongs to. It is compared and hashed by the place alone, as the state
/// is a function of the place.
pub struct StateAt<C: Consensus> {
    /// Root of the last block in the state.
    pub root: C::Root,
    /// Slot the state was advanced to, at least the block's.
    pub slot: Slot,
    /// The state.
    pub state: C::State,
}

impl<C: Consensus> Clone for StateAt<C> {
    fn clone(&self) -> Self {
        Self { root: self.root, slot: self.slot, state: self.state.clone() }
    }
}

impl<C: Consensus> PartialEq for StateAt<C> {
    fn eq(&self, other: &Self) -> bool {
        (self.root, self.slot) == (other.root, other.slot)
    }
}

impl<C: Consensus> Eq for StateAt<C> {}

impl<C: Consensus> Hash for StateAt<C> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.root, self.slot).hash(hasher);
    }
}

impl<C: Consensus> fmt::Debug for StateAt<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "state({:?} at {})", self.root, self.slot)
    }
}

/// How to reach a state: start from `start` and apply `blocks` in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trail<C: Consensus> {
    /// The closest cached state.
    pub start: StateAt<C>,
    /// The blocks between it and the wanted one, oldest first. All were valid when committed.
    pub blocks: Vec<IdentifiedBlock<C>>,
    /// Slot of the block whose root was asked for.
    pub block_slot: Slot,
    /// Roots among `blocks` whose state the HotDB would like posted back. Nobody waits for them.
    pub wanted: Vec<C::Root>,
    /// Whether the HotDB would like the state at the wanted slot posted back.
    pub want_target: bool,
}

/// The answer to a request for a trail. There is always one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TrailReply<C: Consensus> {
    /// The trail.
    Trail(Box<Trail<C>>),
    /// No such block was committed.
    UnknownParent,
    /// The block was pruned: it is not a descendant of the finalised block, or lies before it.
    Pruned,
    /// The wanted slot lies further after the block's own than [`Limits::distance`].
    TooFar {
        /// The block's slot.
        block_slot: Slot,
    },
    /// The wanted slot lies before the block's own.
    BeforeBlock {
        /// The block's slot.
        block_slot: Slot,
    },
}

/// The answer to a commit. There is always one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitReply {
    /// The block is in the HotDB: trails to it are answered from now on.
    Committed,
    /// The block was in the HotDB already.
    AlreadyCommitted,
    /// Its parent is not in the HotDB.
    UnknownParent,
    /// Its parent was pruned.
    Pruned,
    /// The bound on blocks is reached; try again after finality has moved.
    Full,
}

/// What happens to the HotDB.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<C: Consensus> {
    /// A worker wants to reach a state. This only reads: a panic leaves the HotDB whole.
    Trail {
        /// The block.
        root: C::Root,
        /// The slot that its state is to be advanced to.
        slot: Slot,
    },
    /// A worker has verified a block.
    Commit {
        /// The block.
        block: IdentifiedBlock<C>,
        /// The state after it.
        state: StateAt<C>,
    },
    /// A worker posts back a state that a trail had asked for.
    PostState(StateAt<C>),
    /// Clearance says what to keep.
    Prune(Prune<C::Root>),
}

/// What is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prune<R> {
    /// The finalised checkpoint: what does not descend from it may go.
    pub finalized: Checkpoint<R>,
    /// Root of the justified block, whose state stays cached.
    pub justified: R,
    /// Root of the head, whose state stays cached.
    pub head: R,
}

/// What the HotDB asks for: that an answer be given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<C: Consensus> {
    /// The one answer to [`Event::Trail`].
    Trail(TrailReply<C>),
    /// The one answer to [`Event::Commit`].
    Committed(CommitReply),
}

/// A committed block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node<C: Consensus> {
    /// `None` for the anchor.
    block: Option<IdentifiedBlock<C>>,
    parent: C::Root,
    slot: Slot,
}

/// The DAG of committed blocks since finality, and a bounded cache of states.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HotDb<C: Consensus> {
    limits: Limits,
    nodes: BTreeMap<C::Root, Node<C>>,
    states: BTreeMap<(C::Root, Slot), StateAt<C>>,
    state_bytes: usize,
    root: C::Root,
    pinned: BTreeSet<C::Root>,
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
        let mut db = Self {
            limits,
            nodes: BTreeMap::from([(root, Node { block: None, parent: root, slot })]),
            states: BTreeMap::new(),
            state_bytes: 0,
            root,
            pinned: BTreeSet::from([root]),
            pruned: BoundedSet::new(limits.pruned_roots),
        };
        let at = consensus.state_slot(&state);
        db.cache(consensus, StateAt { root, slot: at, state });
        db
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

    /// Returns whether a block is committed.
    #[must_use]
    pub fn contains(&self, root: C::Root) -> bool {
        self.nodes.contains_key(&root)
    }

    /// Returns how to reach the state of block `root` at `slot`.
    #[must_use]
    pub fn trail(&self, root: C::Root, slot: Slot) -> TrailReply<C> {
        let Some(node) = self.nodes.get(&root) else {
            return self.missing(root);
        };
        let block_slot = node.slot;
        if slot < block_slot {
            return TrailReply::BeforeBlock { block_slot };
        }
        if slot - block_slot > self.limits.distance {
            return TrailReply::TooFar { block_slot };
        }
        let mut blocks = Vec::new();
        let mut wanted = Vec::new();
        let (mut at, mut until) = (root, slot);
        // The loop is bounded by the number of nodes: every step goes to a parent, and the anchor
        // has a state.
        loop {
            if let Some((_, start)) = self.states.range((at, 0)..=(at, until)).next_back() {
                blocks.reverse();
                let want_target = slot > block_slot && (start.root, start.slot) != (root, slot);
                let trail = Trail { start: start.clone(), blocks, block_slot, wanted, want_target };
                return TrailReply::Trail(Box::new(trail));
            }
            let Some(node) = self.nodes.get(&at) else { return TrailReply::Pruned };
            let Some(block) = &node.block else { return TrailReply::Pruned };
            if (blocks.len() as u64 + 1).is_multiple_of(self.limits.checkpoint_slots) {
                wanted.push(at);
            }
            blocks.push(block.clone());
            at = node.parent;
            until = node.slot;
        }
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
        if self.nodes.contains_key(&header.root) {
            return CommitReply::AlreadyCommitted;
        }
        if !self.nodes.contains_key(&header.parent) {
            return match self.missing(header.parent) {
                TrailReply::Pruned => CommitReply::Pruned,
                _ => CommitReply::UnknownParent,
            };
        }
        if self.nodes.len() >= self.limits.blocks {
            return CommitReply::Full;
        }
        let (root, parent, slot) = (header.root, header.parent, header.slot);
        self.nodes.insert(root, Node { block: Some(block), parent, slot });
        self.cache(consensus, StateAt { root, slot, state: state.state });
        CommitReply::Committed
    }

    /// Takes back a state that a trail asked for. States of unknown blocks are dropped.
    fn post_state(&mut self, consensus: &C, state: StateAt<C>) {
        if self.nodes.get(&state.root).is_some_and(|node| node.slot <= state.slot) {
            self.cache(consensus, state);
        }
    }

    /// Drops what does not descend from the finalised block, and pins its state, the justified one
    /// and the head's. Returns how many blocks were dropped. Unknown roots change nothing.
    ///
    /// If the finalised block's own state is not cached, the blocks from the closest ancestor that
    /// has one are kept as well, so that every trail still has a start.
    fn prune(
        &mut self,
        consensus: &C,
        Prune { finalized, justified, head }: Prune<C::Root>,
    ) -> usize {
        if !self.nodes.contains_key(&finalized.root) {
            return 0;
        }
        self.pinned = BTreeSet::from([finalized.root, justified, head]);
        let base = self.closest_with_state(finalized.root);
        if base == self.root {
            return 0;
        }
        let gone = self.not_descending_from(base);
        for root in &gone {
            self.nodes.remove(root);
            self.pruned.insert(*root);
        }
        self.root = base;
        if let Some(node) = self.nodes.get_mut(&base) {
            node.block = None;
            node.parent = base;
        }
        let dead: Vec<_> = self
            .states
            .keys()
            .filter(|(root, _)| !self.nodes.contains_key(root))
            .copied()
            .collect();
        for key in dead {
            self.evict(consensus, key);
        }
        gone.len()
    }

    /// Returns the block itself or its closest ancestor whose own state is cached. The anchor has
    /// one.
    fn closest_with_state(&self, root: C::Root) -> C::Root {
        let mut at = root;
        while at != self.root {
            match self.nodes.get(&at) {
                Some(node) if !self.states.contains_key(&(at, node.slot)) => at = node.parent,
                _ => break,
            }
        }
        at
    }

    fn not_descending_from(&self, base: C::Root) -> Vec<C::Root> {
        let mut kept = BTreeSet::from([base]);
        let mut by_slot: Vec<_> = self.nodes.iter().map(|(r, n)| (n.slot, *r, n.parent)).collect();
        by_slot.sort_unstable();
        for (_, root, parent) in &by_slot {
            if kept.contains(parent) {
                kept.insert(*root);
            }
        }
        by_slot.iter().map(|(_, root, _)| *root).filter(|root| !kept.contains(root)).collect()
    }

    fn cache(&mut self, consensus: &C, state: StateAt<C>) {
        let bytes = consensus.state_bytes(&state.state);
        let newest = (state.root, state.slot);
        if self.states.insert(newest, state).is_none() {
            self.state_bytes = self.state_bytes.saturating_add(bytes);
        }
        while self.state_bytes > self.limits.state_bytes {
            let Some(key) = self.victim(newest) else { break };
            self.evict(consensus, key);
        }
    }

    fn evict(&mut self, consensus: &C, key: (C::Root, Slot)) {
        if let Some(out) = self.states.remove(&key) {
            let freed = consensus.state_bytes(&out.state);
            self.state_bytes = self.state_bytes.saturating_sub(freed);
        }
    }

    /// Returns the state to evict: advanced ones first, then those between checkpoints, then the
    /// oldest. It is never a pinned one, nor the newest.
    fn victim(&self, newest: (C::Root, Slot)) -> Option<(C::Root, Slot)> {
        let spacing = self.limits.checkpoint_slots;
        self.states
            .keys()
            .filter(|key| **key != newest && !self.keeps(key))
            .min_by_key(|(root, slot)| {
                let own = self.nodes.get(root).is_some_and(|node| node.slot == *slot);
                (own, slot.is_multiple_of(spacing), *slot, *root)
            })
            .copied()
    }

    /// Returns whether a state is never evicted: a pinned block's own state, and the anchor's,
    /// whatever its slot.
    fn keeps(&self, (root, slot): &(C::Root, Slot)) -> bool {
        *root == self.root
            || self.pinned.contains(root)
                && self.nodes.get(root).is_some_and(|node| node.slot == *slot)
    }
}

impl<C: Consensus> Machine<C> for HotDb<C> {
    type Event = Event<C>;
    type Effect = Effect<C>;

    fn handle(&mut self, consensus: &C, event: Event<C>) -> Vec<Effect<C>> {
        match event {
            Event::Trail { root, slot } => vec![Effect::Trail(self.trail(root, slot))],
            Event::Commit { block, state } => {
                vec![Effect::Committed(self.commit(consensus, block, state))]
            }
            Event::PostState(state) => {
                self.post_state(consensus, state);
                Vec::new()
            }
            Event::Prune(keep) => {
                let pruned = self.prune(consensus, keep);
                tracing::debug!(pruned, epoch = keep.finalized.epoch, "pruned");
                Vec::new()
            }
        }
    }
}
