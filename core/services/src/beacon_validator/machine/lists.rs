//! Our validators, the heads, and the lists of duties.

use std::collections::{BTreeMap, BTreeSet};

use super::duty::{Duty, Stage, Step};
use super::{Asked, BeaconValidator, Effects, first_of, last_of};
use crate::beacon_validator::event::{
    DutyId, Effect, Kind, Listed, Outcome, Reason, Request, Validator,
};
use crate::beacon_validator::protocol::{DutyList, DutyProtocol, Head};
use crate::consensus::Epoch;

/// What is known of a list of duties.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct List<R> {
    /// The root that came with the last answer.
    root: Option<R>,
    /// How often it was asked for in this slot.
    asks: u8,
    is_asked: bool,
    /// Whether it is to be asked for again in this slot.
    again: bool,
}

impl<R> Default for List<R> {
    fn default() -> Self {
        Self { root: None, asks: 0, is_asked: false, again: false }
    }
}

impl<V: DutyProtocol> BeaconValidator<V> {
    /// Takes our validators as they are from now on. Duties of a validator that is gone, has
    /// another key or may no longer sign end.
    pub(super) fn set_validators(
        &mut self,
        validators: Vec<Validator<V::Key>>,
        effects: &mut Effects<V>,
    ) {
        let mut taken = BTreeMap::new();
        let mut keys = BTreeSet::new();
        for validator in validators {
            let fits = taken.len() < self.limits.validators;
            if !fits || taken.contains_key(&validator.index) || !keys.insert(validator.key) {
                self.counters.dropped += 1;
                continue;
            }
            taken.insert(validator.index, validator);
        }
        if taken == self.validators {
            return;
        }
        self.validators = taken;
        let ids: Vec<_> = self.duties.keys().copied().collect();
        for id in ids {
            let Some(duty) = self.duties.get(&id) else { continue };
            let known = self.validators.get(&id.validator).filter(|known| known.key == duty.key);
            match known {
                None => self.withdraw(id, effects),
                Some(known) if !known.may_sign && self.slot == Some(id.slot) => {
                    self.end(id, Outcome::Missed(Reason::MayNotSign), effects);
                }
                Some(_) => {}
            }
        }
        self.lists.values_mut().for_each(|list| list.again = true);
        self.poll(effects);
    }

    /// Takes a head. Lists that depend on another root than the head's branch are asked for again.
    pub(super) fn set_head(&mut self, protocol: &V, head: Head<V::Root>, effects: &mut Effects<V>) {
        self.heads.retain(|known| known.root != head.root);
        self.heads.push_back(head);
        while self.heads.len() > self.limits.heads {
            self.heads.pop_front();
        }
        for ((epoch, which), list) in &mut self.lists {
            let root = head.dependent_root(&self.timing, *which, *epoch);
            list.again |= root.is_some() && list.root.is_some() && root != list.root;
        }
        self.wake_for(protocol, head.root);
        self.poll(effects);
    }

    /// Attestations whose data wait for this very head need not wait for the clock.
    fn wake_for(&mut self, protocol: &V, head: V::Root) {
        let Some(slot) = self.slot else { return };
        let data =
            self.data.iter().filter_map(|(committee, data)| Some((committee, data.as_ref()?)));
        let awaited = data.filter(|(_, data)| protocol.data_claims(data).head == head);
        let awaited: BTreeSet<u64> = awaited.map(|(committee, _)| *committee).collect();
        for (id, duty) in self.duties.range_mut(first_of(slot)..=last_of(slot)) {
            let is_here = duty.place.is_some_and(|place| awaited.contains(&place.committee));
            let is_vote = id.kind == Kind::Attestation && duty.last == Some(Reason::UnknownHead);
            duty.rests &= !(is_vote && is_here);
        }
    }

    pub(super) fn head(&self, root: V::Root) -> Option<Head<V::Root>> {
        self.heads.iter().find(|known| known.root == root).copied()
    }

    /// Forgets the lists of other epochs than this and the next; each may be asked for anew.
    pub(super) fn roll_lists(&mut self) {
        let epoch = self.epoch();
        let next = epoch.saturating_add(1);
        self.lists.retain(|(of, _), _| *of == epoch || *of == next);
        for list in self.lists.values_mut() {
            (list.asks, list.again) = (0, true);
        }
        let lists = &self.lists;
        self.requests.retain(|_, pending| match &pending.asked {
            Asked::List(epoch, which) => lists.contains_key(&(*epoch, *which)),
            _ => true,
        });
    }

    /// Asks for lists that are due: once in each slot, and again after a change. The proposers of
    /// the next epoch are asked for in the last slot only, as every block changes their root.
    pub(super) fn poll(&mut self, effects: &mut Effects<V>) {
        if self.validators.is_empty() || !self.has_read {
            return;
        }
        let (epoch, per_epoch) = (self.epoch(), self.timing.slots_per_epoch);
        let next = epoch.saturating_add(1);
        let is_last = self.slot.is_some_and(|slot| slot % per_epoch == per_epoch - 1);
        let wanted = [
            (epoch, DutyList::Proposers, true),
            (epoch, DutyList::Attesters, true),
            (next, DutyList::Attesters, true),
            (next, DutyList::Proposers, is_last),
        ];
        for (epoch, which, _) in wanted.into_iter().filter(|(.., is_wanted)| *is_wanted) {
            let list = self.lists.entry((epoch, which)).or_default();
            let is_due = list.asks == 0 || list.again;
            if !is_due || list.is_asked || list.asks >= self.limits.asks_per_slot {
                continue;
            }
            (list.is_asked, list.again) = (true, false);
            list.asks += 1;
            let validators = self.validators.keys().copied().collect();
            let request = Request::Duties { epoch, list: which, validators };
            let by_ms = self.node_by_ms(u64::MAX);
            self.ask(effects, Asked::List(epoch, which), by_ms, request);
        }
    }

    pub(super) fn list_failed(&mut self, epoch: Epoch, which: DutyList) {
        if let Some(list) = self.lists.get_mut(&(epoch, which)) {
            (list.is_asked, list.again) = (false, true);
        }
    }

    /// Takes a list under the root that came with it.
    pub(super) fn listed(
        &mut self,
        epoch: Epoch,
        which: DutyList,
        root: V::Root,
        listed: &[Listed<V::Key>],
        effects: &mut Effects<V>,
    ) {
        let Some(list) = self.lists.get_mut(&(epoch, which)) else { return };
        list.is_asked = false;
        list.root = Some(root);
        let newest = self.heads.back();
        let branch = newest.and_then(|head| head.dependent_root(&self.timing, which, epoch));
        list.again |= branch.is_some_and(|branch| branch != root);
        let entries = self.checked(epoch, which, listed);
        self.withdraw_unlisted(epoch, which, &entries, effects);
        let mut is_news = false;
        for (id, entry) in &entries {
            is_news |= self.place(*id, entry, root, effects);
        }
        if which == DutyList::Attesters && is_news {
            effects.push(Effect::Subscribe(entries.into_values().collect()));
        }
        self.poll(effects);
    }

    /// Returns the entries that can be duties of ours, by duty.
    fn checked(
        &mut self,
        epoch: Epoch,
        which: DutyList,
        listed: &[Listed<V::Key>],
    ) -> BTreeMap<DutyId, Listed<V::Key>> {
        let mut entries = BTreeMap::new();
        // An attester has one duty in an epoch, and a slot one proposer.
        let mut seen = BTreeSet::new();
        for entry in listed {
            let known = self.validators.get(&entry.validator);
            let is_ours = known.is_some_and(|known| known.key == entry.key);
            if which == DutyList::Proposers && !is_ours {
                // A list of proposers names everybody's.
                continue;
            }
            let (kind, once, fits) = match (which, entry.place) {
                (DutyList::Proposers, None) => (Kind::Proposal, entry.slot, true),
                (DutyList::Attesters, Some(place)) => {
                    let fits = place.position < place.committee_length;
                    (Kind::Attestation, entry.validator, fits)
                }
                _ => (Kind::Attestation, entry.validator, false),
            };
            let in_epoch = self.timing.epoch(entry.slot) == epoch;
            if !is_ours || !fits || !in_epoch || !seen.insert(once) {
                self.counters.dropped += 1;
                continue;
            }
            let id = DutyId { slot: entry.slot, kind, validator: entry.validator };
            entries.insert(id, *entry);
        }
        entries
    }

    /// Withdraws the duties of an epoch that a new list does not have.
    fn withdraw_unlisted(
        &mut self,
        epoch: Epoch,
        which: DutyList,
        entries: &BTreeMap<DutyId, Listed<V::Key>>,
        effects: &mut Effects<V>,
    ) {
        let first = epoch.saturating_mul(self.timing.slots_per_epoch);
        let last = first.saturating_add(self.timing.slots_per_epoch - 1);
        let of_list = |kind: Kind| (kind == Kind::Proposal) == (which == DutyList::Proposers);
        let is_listed = |id: DutyId| {
            let kind = if id.kind == Kind::Aggregation { Kind::Attestation } else { id.kind };
            entries.contains_key(&DutyId { kind, ..id })
        };
        let known = self.duties.range(first_of(first)..=last_of(last)).map(|(id, _)| *id);
        let gone: Vec<_> = known.filter(|id| of_list(id.kind) && !is_listed(*id)).collect();
        for id in gone {
            if self.duties.get(&id).is_some_and(Duty::is_early) {
                self.withdraw(id, effects);
            }
        }
    }

    /// Takes a duty away. If it has begun, it is missed; otherwise it was never ours.
    fn withdraw(&mut self, id: DutyId, effects: &mut Effects<V>) {
        self.end(id, Outcome::Missed(Reason::Reassigned), effects);
        if self.slot != Some(id.slot) {
            self.duties.remove(&id);
        }
    }

    /// Enters a duty, or moves one of which nothing has been made yet. Returns whether it is new.
    fn place(
        &mut self,
        id: DutyId,
        entry: &Listed<V::Key>,
        root: V::Root,
        effects: &mut Effects<V>,
    ) -> bool {
        let is_over = self.slot.is_some_and(|now| id.slot < now);
        let is_done = self.done.is_some_and(|done| id.slot <= done);
        if is_over || is_done {
            return false;
        }
        let first = if id.kind == Kind::Proposal { Step::Reveal } else { Step::Data };
        let mut is_new = self.enter(id, entry, root, first, effects);
        if id.kind == Kind::Attestation {
            let aggregation = DutyId { kind: Kind::Aggregation, ..id };
            is_new |= self.enter(aggregation, entry, root, Step::Select, effects);
        }
        is_new
    }

    fn enter(
        &mut self,
        id: DutyId,
        entry: &Listed<V::Key>,
        root: V::Root,
        first: Step<V>,
        effects: &mut Effects<V>,
    ) -> bool {
        if let Some(duty) = self.duties.get_mut(&id) {
            let is_moved = (duty.place, duty.dependent_root) != (entry.place, root);
            if !is_moved || !duty.is_early() {
                return false;
            }
            (duty.place, duty.dependent_root) = (entry.place, root);
            // The data of the committee that it was in are not those of its own.
            if matches!(duty.stage, Stage::Asked(Step::Data)) {
                duty.stage = Stage::Next(Step::Data);
            }
            duty.rests = false;
            return true;
        }
        self.duties.insert(id, Duty::new(entry.key, entry.place, root, first));
        if self.slot == Some(id.slot) {
            self.begin(id, effects);
        }
        true
    }
}
