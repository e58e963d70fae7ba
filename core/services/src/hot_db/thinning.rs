//! The cached states of the HotDB, and which of them give way.
//!
//! A state of a committed block is a *checkpoint*: it is kept up to a slot that its block and its
//! parent's slot fix once and for all. Any other state, an advanced one for example, is *passing*:
//! it waits in line behind a few others and then goes.
//!
//! - T1 A block's level is the highest `j` for which a multiple of `2^j` lies after the parent's
//!   slot and not after the block's own. Its checkpoint lasts for `spacing * 2^level` slots, in
//!   terms of the newest block's slot. So on every branch, whatever slots are empty, the first
//!   block at or after each multiple of `2^j` has at least level `j`.
//! - T2 Gap: from a block whose slot is `age` slots before the newest, less than `2^j` slots lead
//!   back to a checkpoint, or to the base, where `j` is the least with `(spacing - 1) * 2^j >=
//!   age`. That is less than twice the age over `spacing - 1`. For the last multiple of `2^j`
//!   before the block is less than `2^j` slots away, and the first block after it is not older than
//!   its checkpoint lasts.
//! - T3 Count: the blocks of a branch that have level `j` and checkpoints lie within `spacing *
//!   2^j`
//!   slots and pass a multiple of `2^j` each, so they are at most `spacing + 1`. A branch of `n`
//!   slots thus has at most `(spacing + 1) * (log2(n) + 2)` checkpoints.
//! - T4 Under a bound on bytes passing states go first, the oldest in line before the others; then
//!   the checkpoints that would expire first; and last a passing state that has just come, as
//!   others may wait for it. A pinned state never goes.
//!
//! What is next to go stands first in a queue or in an ordered set, so that an eviction costs
//! O(log n) for n states.
//!
//! The rule's shape is that of "checkpointing in O(log n) space" for one chain; levels by the
//! parent's slot carry it over to a DAG with empty slots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::consensus::{Consensus, Slot};
use crate::hot_db::event::StateAt;

/// A block's root, and the slot that its state was advanced to.
pub(super) type Key<R> = (R, Slot);

/// Returns the slot up to which the state of a block is a checkpoint (T1).
pub(super) fn expiry(spacing: u64, parent: Slot, slot: Slot) -> Slot {
    // The highest bit in which the two differ is set in the later one.
    let level = (parent ^ slot).checked_ilog2().unwrap_or(0);
    slot.saturating_add(spacing.saturating_mul(1 << level))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Cached<C: Consensus> {
    state: StateAt<C>,
    bytes: usize,
    /// The slot up to which it is a checkpoint; `None` for a passing state.
    expiry: Option<Slot>,
}

/// Cached states by block and slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct StateCache<C: Consensus> {
    states: BTreeMap<Key<C::Root>, Cached<C>>,
    /// Checkpoints that are not pinned; the first expires first.
    checkpoints: BTreeSet<(Slot, Key<C::Root>)>,
    /// Passing states that are not pinned, in the order in which they came.
    passing: VecDeque<Key<C::Root>>,
    /// Bound on `passing`.
    passing_limit: usize,
    /// States that never go once they are cached, at most four.
    pinned: BTreeSet<Key<C::Root>>,
    bytes: usize,
}

impl<C: Consensus> StateCache<C> {
    pub(super) fn new(passing_limit: usize) -> Self {
        Self {
            states: BTreeMap::new(),
            checkpoints: BTreeSet::new(),
            passing: VecDeque::new(),
            passing_limit,
            pinned: BTreeSet::new(),
            bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    /// Returns what all states cost together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns what the pinned ones cost together.
    pub(super) fn pinned_bytes(&self) -> usize {
        self.pinned.iter().filter_map(|key| self.states.get(key)).map(|cached| cached.bytes).sum()
    }

    /// Returns the pinned states that are cached, at most four.
    pub(super) fn pinned(&self) -> impl Iterator<Item = &StateAt<C>> {
        self.pinned.iter().filter_map(|key| self.states.get(key)).map(|cached| &cached.state)
    }

    pub(super) fn contains(&self, key: Key<C::Root>) -> bool {
        self.states.contains_key(&key)
    }

    /// Returns the state of block `root` at the last slot of `from..=until` for which there is one.
    pub(super) fn last(&self, root: C::Root, from: Slot, until: Slot) -> Option<&StateAt<C>> {
        if from > until {
            return None;
        }
        let mut range = self.states.range((root, from)..=(root, until));
        range.next_back().map(|(_, cached)| &cached.state)
    }

    /// Adds a state, a checkpoint up to slot `expiry` or a passing one. A state that is there
    /// already stays, and becomes a checkpoint if this one is.
    pub(super) fn insert(&mut self, consensus: &C, state: StateAt<C>, expiry: Option<Slot>) {
        let key = (state.root, state.slot);
        if self.states.get(&key).is_some_and(|there| expiry.is_none() || there.expiry.is_some()) {
            return;
        }
        self.remove(key);
        let bytes = consensus.state_bytes(&state.state);
        self.bytes = self.bytes.saturating_add(bytes);
        self.states.insert(key, Cached { state, bytes, expiry });
        if !self.pinned.contains(&key) {
            self.queue(key, expiry);
        }
        if self.passing.len() > self.passing_limit
            && let Some(first) = self.passing.front()
        {
            self.remove(*first);
        }
    }

    fn queue(&mut self, key: Key<C::Root>, expiry: Option<Slot>) {
        match expiry {
            Some(expiry) => {
                self.checkpoints.insert((expiry, key));
            }
            None => self.passing.push_back(key),
        }
    }

    /// Pins these states, cached or not, and no others.
    pub(super) fn pin(&mut self, pinned: BTreeSet<Key<C::Root>>) {
        let before = std::mem::replace(&mut self.pinned, pinned);
        for key in before {
            if let Some(expiry) = self.states.get(&key).map(|cached| cached.expiry)
                && !self.pinned.contains(&key)
            {
                self.queue(key, expiry);
            }
        }
        for key in &self.pinned {
            match self.states.get(key).map(|cached| cached.expiry) {
                Some(Some(expiry)) => {
                    self.checkpoints.remove(&(expiry, *key));
                }
                Some(None) => self.passing.retain(|other| other != key),
                None => {}
            }
        }
    }

    /// Evicts the checkpoints that expire before slot `newest`.
    pub(super) fn thin(&mut self, newest: Slot) {
        while let Some((expiry, key)) = self.checkpoints.first().copied()
            && expiry < newest
        {
            self.remove(key);
        }
    }

    /// Evicts states until they cost no more than `bytes` (T4), or only pinned ones are left.
    /// `newest` has just come.
    pub(super) fn shrink(&mut self, bytes: usize, newest: Option<Key<C::Root>>) {
        while self.bytes > bytes {
            let waits = self.passing.front().copied();
            let expires = self.checkpoints.first().map(|(_, key)| *key);
            let Some(key) = waits.filter(|key| Some(*key) != newest).or(expires).or(waits) else {
                break;
            };
            self.remove(key);
        }
    }

    /// Drops every state of a block.
    pub(super) fn remove_block(&mut self, root: C::Root) {
        let keys: Vec<_> =
            self.states.range((root, 0)..=(root, Slot::MAX)).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.remove(key));
    }

    fn remove(&mut self, key: Key<C::Root>) {
        let Some(out) = self.states.remove(&key) else { return };
        self.bytes = self.bytes.saturating_sub(out.bytes);
        match out.expiry {
            Some(expiry) => {
                self.checkpoints.remove(&(expiry, key));
            }
            // The line is bounded by `passing_limit`.
            None => self.passing.retain(|other| *other != key),
        }
    }
}
