//! What the HotDB is told, what it answers, and its bounds; see [`crate::hot_db`].

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::consensus::{Checkpoint, Consensus, Epoch, Slot, ValidatorIndex};
use crate::identified::IdentifiedBlock;

/// Bounds of a HotDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Blocks kept since finality, at least 2. A commit beyond that is refused.
    pub blocks: usize,
    /// Bytes that blocks and cached states may cost together, at least 1, by
    /// [`Consensus::block_bytes`] and
    /// [`Consensus::state_bytes`]. Blocks may take half of that, so that a state always finds room
    /// and finality can move; a commit beyond is refused. States have the rest. Only pinned states
    /// can exceed the bound: a state that is cached when it becomes pinned stays, whatever it
    /// costs.
    pub bytes: usize,
    /// Slots for which the state of every block is kept, at least 1. Older states thin out as
    /// powers of two with age (T1 in `thinning`). Also how many blocks a trail may replay before
    /// the HotDB asks for a state in its middle.
    pub checkpoint_slots: u64,
    /// States that are kept though they are no checkpoints: advanced ones, and those that were
    /// replayed between checkpoints. The one that came first gives way.
    pub passing_states: usize,
    /// Committees that are kept, of one epoch and branch each. Those that came first give way.
    pub committees: usize,
    /// Lists of proposers that are kept, of one epoch and branch each. Those that came first give
    /// way. A list of mainnet's 32 slots costs less than 512 bytes with its two keys, so the
    /// default costs less than 4 MiB. A registered key that signs for others' slots on more
    /// branches and epochs than this by turns has each of them advanced anew.
    pub proposers: usize,
    /// Roots of pruned blocks remembered, so that a request for one is answered `Pruned`.
    pub pruned_roots: usize,
    /// How many slots a state may be advanced after its block, or after the last state of that
    /// block that is there, at least 1. A request for more is answered `TooFar`: no task of a
    /// worker takes more empty slots than this. After a longer gap without blocks, who has to goes
    /// in legs.
    pub distance: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blocks: 1 << 16,
            bytes: 1 << 30,
            checkpoint_slots: 32,
            passing_states: 64,
            committees: 64,
            proposers: 1 << 13,
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

/// What committees are a function of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitteesKey<R> {
    /// The last block before the start of the preceding epoch. If finality has passed it, the base
    /// of the DAG takes its place: all that is left descends from both.
    pub dependent_root: R,
    /// The epoch.
    pub epoch: Epoch,
}

/// Committees with the place they belong to. They are compared and hashed by the place alone, as
/// they are a function of it.
pub struct CommitteesAt<C: Consensus> {
    /// The branch and the epoch.
    pub key: CommitteesKey<C::Root>,
    /// The committees.
    pub committees: C::Committees,
}

impl<C: Consensus> Clone for CommitteesAt<C> {
    fn clone(&self) -> Self {
        Self { key: self.key, committees: self.committees.clone() }
    }
}

impl<C: Consensus> PartialEq for CommitteesAt<C> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<C: Consensus> Eq for CommitteesAt<C> {}

impl<C: Consensus> Hash for CommitteesAt<C> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.key.hash(hasher);
    }
}

impl<C: Consensus> fmt::Debug for CommitteesAt<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CommitteesKey { dependent_root, epoch } = self.key;
        write!(f, "committees(epoch {epoch} after {dependent_root:?})")
    }
}

/// How to reach a state: start from `start` and apply `blocks` in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trail<C: Consensus> {
    /// The closest cached state.
    pub start: StateAt<C>,
    /// The blocks between it and the wanted one, oldest first. All were valid when committed.
    pub blocks: Vec<IdentifiedBlock<C>>,
    /// Root of the block whose state is reached.
    pub root: C::Root,
    /// That block's slot.
    pub block_slot: Slot,
    /// The slot to which its state is to be advanced.
    pub slot: Slot,
    /// Roots among `blocks` whose state the HotDB would like posted back. Nobody waits for them.
    pub wanted: Vec<C::Root>,
    /// Whether the HotDB would like the state at `slot` posted back. A worker that advances it to
    /// run a block does not.
    pub want_target: bool,
    /// The proposer of `slot` on this branch, if it is known (I8).
    pub expected_proposer: Option<ValidatorIndex>,
    /// The state of a pinned block that descends from the wanted one, if there is one and the trail
    /// replays blocks (I9).
    pub descendant: Option<StateAt<C>>,
    /// The committees that the state is to give, if the trail was asked for because of them. The
    /// HotDB would like them posted back.
    pub committees: Option<CommitteesKey<C::Root>>,
}

impl<C: Consensus> Trail<C> {
    /// Returns whether there is something to replay: another worker may be replaying it.
    #[must_use]
    pub fn replays(&self) -> bool {
        !self.blocks.is_empty()
    }
}

/// The answer to a request for a trail or for committees. There is always one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TrailReply<C: Consensus> {
    /// The trail.
    Trail(Box<Trail<C>>),
    /// The committees: only to [`Event::Committees`].
    Committees(CommitteesAt<C>),
    /// Nothing builds on the target any more: only to [`Event::Committees`] (I7).
    Stale,
    /// No such block was committed.
    UnknownParent,
    /// The block was pruned: it is not a descendant of the finalised block, or lies before it.
    Pruned,
    /// The wanted slot lies further than [`Limits::distance`] after the block's own, and after all
    /// its states that are there.
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
    /// The bound on blocks or on bytes is reached; try again after finality has moved.
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
    /// A worker wants to verify attestations of a target. This only reads.
    Committees {
        /// The target.
        target: Checkpoint<C::Root>,
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
    /// A worker posts back committees that a trail had asked for.
    PostCommittees(CommitteesAt<C>),
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
    /// The one answer to [`Event::Trail`] or [`Event::Committees`].
    Trail(TrailReply<C>),
    /// The one answer to [`Event::Commit`].
    Committed(CommitReply),
}
