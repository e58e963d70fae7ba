//! The machine; see [`crate::ptc_duties`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;

use crate::consensus::{Epoch, Slot, ValidatorIndex};
use crate::machine::Machine;

/// Names a request, once.
pub type RequestId = u64;

/// Bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Validators; those beyond are not taken.
    pub validators: usize,
    /// Lists of one epoch under different roots; the one that was confirmed longest ago goes.
    pub branches: usize,
    /// How often an epoch is asked about in one slot.
    pub asks_per_slot: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self { validators: 16_384, branches: 2, asks_per_slot: 4 }
    }
}

/// What the machine has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Answers that came late, twice, or to nothing that was asked.
    pub stray: u64,
    /// Entries of answers that were not taken, and validators beyond the limit.
    pub dropped: u64,
    /// Answers for all validators that were of another root than what was heard before.
    pub straddled: u64,
}

/// An entry of an answer: the validator votes on the payload of the slot's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listed<K> {
    /// The validator.
    pub validator: ValidatorIndex,
    /// Its public key.
    pub key: K,
    /// The slot.
    pub slot: Slot,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply<K, R> {
    /// A beacon node's answer.
    Duties {
        /// The root that the duties depend on.
        dependent_root: R,
        /// The duties of those that were asked for.
        duties: Vec<Listed<K>>,
    },
    /// No beacon node gave an answer.
    Failed,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<K, R> {
    /// The clock shows this slot; it may step back.
    Slot(Slot),
    /// Our validators, from now on.
    Validators(Vec<(ValidatorIndex, K)>),
    /// A beacon node has a head on whose branch the duties of an epoch depend on this root.
    Head {
        /// The epoch.
        epoch: Epoch,
        /// Its dependent root.
        dependent_root: R,
    },
    /// A request has ended.
    Answered {
        /// The request.
        request: RequestId,
        /// What became of it.
        reply: Reply<K, R>,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Ask a beacon node for the duties of these validators in an epoch.
    Ask {
        /// The request.
        request: RequestId,
        /// The epoch.
        epoch: Epoch,
        /// The validators, ascending: one, or all of ours.
        validators: Vec<ValidatorIndex>,
    },
}

/// Why the duties of a slot are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoDuties {
    /// There is no list of the slot's epoch.
    Unknown,
    /// There are lists of the slot's epoch, none of them under the branch's root.
    OtherBranch,
}

/// The duties of an epoch on the branches with one dependent root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct List<K, R> {
    root: R,
    /// Who was asked for, with the key that it had then.
    covers: BTreeMap<ValidatorIndex, K>,
    duties: BTreeMap<ValidatorIndex, Slot>,
}

impl<K: Copy + Eq, R> List<K, R> {
    /// Returns the duties of a slot. A validator that is gone, or has another key, has none.
    fn of_slot(
        &self,
        slot: Slot,
        ours: &BTreeMap<ValidatorIndex, K>,
    ) -> impl Iterator<Item = Listed<K>> {
        let of_slot = self.duties.iter().filter(move |(_, at)| **at == slot);
        of_slot.filter_map(move |(validator, _)| {
            let key = self.covers.get(validator)?;
            let is_ours = ours.get(validator) == Some(key);
            is_ours.then_some(Listed { validator: *validator, key: *key, slot })
        })
    }
}

/// What is known of an epoch, and what is asked about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Known<K, R> {
    /// Under different roots; the one that was confirmed last is the last.
    lists: VecDeque<List<K, R>>,
    /// The root that was heard of last, from an answer or a head.
    root: Option<R>,
    asked: Option<Asked<K>>,
    /// How often it was asked about in this slot.
    asks: u8,
    /// Whether the root is to be asked for.
    again: bool,
}

impl<K, R> Default for Known<K, R> {
    fn default() -> Self {
        Self { lists: VecDeque::new(), root: None, asked: None, asks: 0, again: true }
    }
}

/// A request under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked<K> {
    request: RequestId,
    validators: BTreeMap<ValidatorIndex, K>,
}

/// The duties of our validators; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PtcDuties<K, R> {
    limits: Limits,
    slots_per_epoch: u64,
    slot: Option<Slot>,
    validators: BTreeMap<ValidatorIndex, K>,
    epochs: BTreeMap<Epoch, Known<K, R>>,
    next_request: RequestId,
    counters: Counters,
}

impl<K: Copy + Eq, R: Copy + Eq> PtcDuties<K, R> {
    /// Returns a machine that knows neither a slot nor a validator.
    ///
    /// # Panics
    /// If an epoch has no slots, or a limit is 0.
    #[must_use]
    pub fn new(slots_per_epoch: u64, limits: Limits) -> Self {
        let Limits { validators, branches, asks_per_slot } = limits;
        assert!(slots_per_epoch > 0, "an epoch has slots");
        assert!(validators > 0 && branches > 0 && asks_per_slot > 0, "{limits:?}");
        Self {
            limits,
            slots_per_epoch,
            slot: None,
            validators: BTreeMap::new(),
            epochs: BTreeMap::new(),
            next_request: 0,
            counters: Counters::default(),
        }
    }

    /// Returns what was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the number of requests under way.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.epochs.values().filter(|known| known.asked.is_some()).count()
    }

    /// Returns the number of lists that are held.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.epochs.values().map(|known| known.lists.len()).sum()
    }

    /// Returns the duties of our validators in `slot` on the branches whose dependent root for the
    /// slot's epoch is `dependent_root`, in the order of the validators (I3).
    ///
    /// # Errors
    /// [`NoDuties`] if no list says what they are. That a list has none for the slot is no error.
    pub fn duties(&self, slot: Slot, dependent_root: R) -> Result<Vec<Listed<K>>, NoDuties> {
        let known = self.epochs.get(&(slot / self.slots_per_epoch)).ok_or(NoDuties::Unknown)?;
        if known.lists.is_empty() {
            return Err(NoDuties::Unknown);
        }
        let list = known.list(dependent_root).ok_or(NoDuties::OtherBranch)?;
        Ok(list.of_slot(slot, &self.validators).collect())
    }

    /// Returns whether a list of any branch has a duty of our validators in `slot`.
    #[must_use]
    pub fn has_duties(&self, slot: Slot) -> bool {
        let Some(known) = self.epochs.get(&(slot / self.slots_per_epoch)) else { return false };
        let mut lists = known.lists.iter();
        lists.any(|list| list.of_slot(slot, &self.validators).next().is_some())
    }

    fn set_slot(&mut self, slot: Slot) {
        if self.slot == Some(slot) {
            return;
        }
        self.slot = Some(slot);
        let epoch = slot / self.slots_per_epoch;
        let next = epoch.saturating_add(1);
        self.epochs.retain(|of, _| (epoch.saturating_sub(2)..=next).contains(of));
        for known in self.epochs.values_mut() {
            // I5: what is under way is of an earlier slot.
            (known.asked, known.asks, known.again) = (None, 0, true);
        }
        for epoch in [epoch, next] {
            self.epochs.entry(epoch).or_default();
        }
    }

    fn set_validators(&mut self, validators: Vec<(ValidatorIndex, K)>) {
        self.validators.clear();
        for (index, key) in validators {
            let fits = self.validators.len() < self.limits.validators;
            if fits && !self.validators.contains_key(&index) {
                self.validators.insert(index, key);
            } else {
                self.counters.dropped += 1;
            }
        }
    }

    fn set_head(&mut self, epoch: Epoch, dependent_root: R) {
        if let Some(known) = self.epochs.get_mut(&epoch) {
            known.again |= known.root != Some(dependent_root);
            known.root = Some(dependent_root);
        }
    }

    /// Takes an answer for its request; everything else is stray.
    fn answered(&mut self, request: RequestId, reply: Reply<K, R>) {
        let is_for = |known: &Known<K, R>| {
            known.asked.as_ref().is_some_and(|asked| asked.request == request)
        };
        let found = self.epochs.iter_mut().find(|(_, known)| is_for(known));
        let Some((epoch, known)) = found else {
            self.counters.stray += 1;
            return;
        };
        let (epoch, asked) = (*epoch, known.asked.take());
        let Some(Asked { validators, .. }) = asked else { return };
        let Reply::Duties { dependent_root, duties } = reply else { return };
        // The small answer before, or a head since, may be of another branch.
        let is_other = known.root.is_some_and(|root| root != dependent_root);
        known.root = Some(dependent_root);
        known.again = false;
        if !is_covered(&self.validators, &validators) {
            // One of several: its root is all that it is for.
            return;
        }
        if is_other && validators.len() > 1 {
            known.again = true;
            self.counters.straddled += 1;
        }
        let list = self.checked(epoch, dependent_root, validators, duties);
        self.store(epoch, list);
    }

    /// Returns the list of an answer, without what cannot be a duty of ours.
    fn checked(
        &mut self,
        epoch: Epoch,
        root: R,
        covers: BTreeMap<ValidatorIndex, K>,
        entries: Vec<Listed<K>>,
    ) -> List<K, R> {
        let mut duties = BTreeMap::new();
        for Listed { validator, key, slot } in entries {
            let is_ours = covers.get(&validator) == Some(&key);
            let in_epoch = slot / self.slots_per_epoch == epoch;
            // A validator votes in one slot of an epoch; the first entry counts.
            if is_ours && in_epoch && !duties.contains_key(&validator) {
                duties.insert(validator, slot);
            } else {
                self.counters.dropped += 1;
            }
        }
        List { root, covers, duties }
    }

    fn store(&mut self, epoch: Epoch, list: List<K, R>) {
        let branches = self.limits.branches;
        let Some(known) = self.epochs.get_mut(&epoch) else { return };
        known.lists.retain(|other| other.root != list.root);
        known.lists.push_back(list);
        while known.lists.len() > branches {
            known.lists.pop_front();
        }
    }

    /// Asks about this epoch and the next, as far as something is missing.
    fn ask(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(slot) = self.slot.filter(|_| !self.validators.is_empty()) else { return effects };
        let epoch = slot / self.slots_per_epoch;
        for epoch in [epoch, epoch.saturating_add(1)] {
            let Some(known) = self.epochs.get_mut(&epoch) else { continue };
            if known.asked.is_some() || known.asks >= self.limits.asks_per_slot {
                continue;
            }
            let count = if known.again { 1 } else { self.validators.len() };
            if !known.again && known.is_covered(&self.validators) {
                continue;
            }
            let ours = self.validators.iter().take(count);
            let validators: BTreeMap<_, _> = ours.map(|(index, key)| (*index, *key)).collect();
            let request = self.next_request;
            self.next_request += 1;
            known.asks += 1;
            effects.push(Effect::Ask {
                request,
                epoch,
                validators: validators.keys().copied().collect(),
            });
            known.asked = Some(Asked { request, validators });
        }
        effects
    }
}

/// Returns whether all of ours were asked for, with the keys that they have.
fn is_covered<K: Eq>(
    ours: &BTreeMap<ValidatorIndex, K>,
    asked: &BTreeMap<ValidatorIndex, K>,
) -> bool {
    ours.iter().all(|(index, key)| asked.get(index) == Some(key))
}

impl<K: Eq, R: Copy + Eq> Known<K, R> {
    fn list(&self, root: R) -> Option<&List<K, R>> {
        self.lists.iter().find(|list| list.root == root)
    }

    /// Returns whether there is a list under the root that was heard of last, for all of ours. Such
    /// a list is confirmed by this.
    fn is_covered(&mut self, validators: &BTreeMap<ValidatorIndex, K>) -> bool {
        let Some(at) = self.lists.iter().position(|list| Some(list.root) == self.root) else {
            return false;
        };
        let is_covered = is_covered(validators, &self.lists[at].covers);
        if let Some(list) = self.lists.remove(at) {
            self.lists.push_back(list);
        }
        is_covered
    }
}

impl<K: Copy + Eq + Debug, R: Copy + Eq + Debug> Machine for PtcDuties<K, R> {
    type Event = Event<K, R>;
    type Effect = Effect;

    fn handle(&mut self, (): &(), event: Event<K, R>) -> Vec<Effect> {
        match event {
            Event::Slot(slot) => self.set_slot(slot),
            Event::Validators(validators) => self.set_validators(validators),
            Event::Head { epoch, dependent_root } => self.set_head(epoch, dependent_root),
            Event::Answered { request, reply } => self.answered(request, reply),
        }
        self.ask()
    }
}
