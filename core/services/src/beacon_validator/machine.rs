//! The machine: the clock, the requests under way, and how duties begin and end; see
//! [`crate::beacon_validator`].

mod answers;
mod duty;
mod lists;
mod steps;

use std::collections::{BTreeMap, VecDeque};

use crate::beacon_validator::event::{
    DutyId, Effect, Event, Kind, Outcome, Reason, Request, RequestId, Validator,
};
use crate::beacon_validator::protocol::{DutyList, DutyProtocol, Head, Reading, Timing};
use crate::consensus::{Epoch, Slot, ValidatorIndex};
use crate::machine::Machine;
use duty::{Duty, Stage, Step};
use lists::List;

/// Bounds that are not given by the number of validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Validators; those beyond are not taken.
    pub validators: usize,
    /// Heads that are remembered; the oldest goes.
    pub heads: usize,
    /// How often a list is asked for in one slot.
    pub asks_per_slot: u8,
    /// After so many failures a duty is missed.
    pub attempts: u8,
    /// How long a beacon node may take for an answer before it is asked again, in milliseconds.
    pub node_ms: u64,
    /// How long a duty rests after a failure, in milliseconds.
    pub retry_ms: u64,
    /// How long attestations wait for those of other committees before they are protected, in
    /// milliseconds.
    pub hold_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            validators: 16_384,
            heads: 16,
            asks_per_slot: 4,
            attempts: 16,
            node_ms: 1500,
            retry_ms: 200,
            hold_ms: 50,
        }
    }
}

/// What the machine has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counters {
    /// Answers that came late, twice, or to nothing that was asked.
    pub stray: u64,
    /// Answers of another kind than was asked for.
    pub malformed: u64,
    /// Entries of lists that were not taken, and validators beyond the limit.
    pub dropped: u64,
    /// Steps of the clock that made the machine begin anew.
    pub resets: u64,
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    List(Epoch, DutyList),
    Data(u64),
    Duty(DutyId),
    Batch(Vec<DutyId>),
}

/// A request under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pending {
    by_ms: u64,
    asked: Asked,
}

/// The duties of our validators; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BeaconValidator<V: DutyProtocol> {
    limits: Limits,
    timing: Timing,
    /// Whether the clock was read at all.
    has_read: bool,
    /// The last reading of the clock; `None` before genesis.
    now_ms: Option<u64>,
    /// The slot whose duties are done: the latest that the clock has read.
    slot: Option<Slot>,
    /// Duties of this slot and of earlier ones are a predecessor's.
    done: Option<Slot>,
    validators: BTreeMap<ValidatorIndex, Validator<V::Key>>,
    /// The latest heads, the newest last.
    heads: VecDeque<Head<V::Root>>,
    lists: BTreeMap<(Epoch, DutyList), List<V::Root>>,
    /// Duties of the slot and of later ones.
    duties: BTreeMap<DutyId, Duty<V>>,
    /// The data of the slot by committee; `None` while it is asked for.
    data: BTreeMap<u64, Option<V::Data>>,
    requests: BTreeMap<RequestId, Pending>,
    next_request: RequestId,
    counters: Counters,
}

type Effects<V> = Vec<Effect<V>>;

impl<V: DutyProtocol> BeaconValidator<V> {
    /// Returns a machine without validators that has read no clock.
    ///
    /// # Panics
    /// If the times are out of order ([`Timing::check`]), or a limit is 0.
    #[must_use]
    pub fn new(protocol: &V, limits: Limits) -> Self {
        let timing = protocol.timing();
        assert!(timing.check(), "the times of a slot are in order: {timing:?}");
        let Limits { heads, asks_per_slot, attempts, node_ms, .. } = limits;
        assert!(heads > 0 && asks_per_slot > 0 && attempts > 0 && node_ms > 0, "{limits:?}");
        Self {
            limits,
            timing,
            has_read: false,
            now_ms: None,
            slot: None,
            done: None,
            validators: BTreeMap::new(),
            heads: VecDeque::new(),
            lists: BTreeMap::new(),
            duties: BTreeMap::new(),
            data: BTreeMap::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            counters: Counters::default(),
        }
    }

    /// Returns the successor of a machine that began duties of slot `done` and of no later one. It
    /// begins none of these slots' duties, until the clock steps back by more than an epoch.
    ///
    /// # Panics
    /// As [`BeaconValidator::new`].
    #[must_use]
    pub fn after(protocol: &V, limits: Limits, done: Option<Slot>) -> Self {
        Self { slot: done, done, ..Self::new(protocol, limits) }
    }

    /// Returns what was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the number of requests under way.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Returns the duties that have begun and not ended, ascending.
    pub fn under_way(&self) -> impl Iterator<Item = DutyId> {
        let under_way = self.duties.iter().filter(|(_, duty)| duty.is_under_way());
        under_way.map(|(id, _)| *id)
    }

    /// Returns the number of duties that are known, those of coming slots included.
    #[must_use]
    pub fn planned(&self) -> usize {
        self.duties.len()
    }

    /// Returns when the clock has to be read at the latest, in milliseconds since genesis. `None`
    /// before genesis: once in a slot's length is enough then.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let (now, slot) = (self.now_ms?, self.slot?);
        let Timing {
            proposal_end_ms,
            attestation_ms,
            attestation_gather_ms,
            aggregate_ms,
            aggregate_gather_ms,
            ..
        } = self.timing;
        let times = [
            proposal_end_ms,
            attestation_ms,
            attestation_gather_ms,
            aggregate_ms,
            aggregate_gather_ms,
        ];
        let of_slot = times.into_iter().map(|ms| self.timing.at(slot, ms));
        let of_requests = self.requests.values().map(|pending| pending.by_ms);
        let rests = self.of_slot(slot).any(|(_, duty)| duty.rests);
        let is_held = |stage: &Stage<V>| matches!(stage, Stage::Next(Step::Protect(_)));
        let holds = self.of_slot(slot).any(|(_, duty)| is_held(&duty.stage));
        let short = [
            rests.then(|| now.saturating_add(self.limits.retry_ms.max(1))),
            holds.then(|| now.saturating_add(self.limits.hold_ms.max(1))),
        ];
        of_slot
            .chain(of_requests)
            .chain(short.into_iter().flatten())
            .filter(|at| *at > now)
            .chain([self.timing.at(slot.saturating_add(1), 0)])
            .min()
    }

    fn of_slot(&self, slot: Slot) -> impl Iterator<Item = (&DutyId, &Duty<V>)> {
        self.duties.range(first_of(slot)..=last_of(slot))
    }

    /// Returns the epoch of the slot, or the first before genesis.
    fn epoch(&self) -> Epoch {
        self.slot.map_or(0, |slot| self.timing.epoch(slot))
    }

    fn deadline_ms(&self, id: DutyId) -> u64 {
        match id.kind {
            Kind::Proposal => self.timing.at(id.slot, self.timing.proposal_end_ms),
            Kind::Attestation | Kind::Aggregation => self.timing.at(id.slot.saturating_add(1), 0),
        }
    }

    /// Makes a request that is given up at `by_ms`.
    fn ask(&mut self, effects: &mut Effects<V>, asked: Asked, by_ms: u64, request: Request<V>) {
        let id = self.next_request;
        self.next_request += 1;
        self.requests.insert(id, Pending { by_ms, asked });
        effects.push(Effect::Ask { id, by_ms, request });
    }

    /// Returns when a beacon node is asked again: it may not keep a duty to its deadline.
    fn node_by_ms(&self, deadline_ms: u64) -> u64 {
        let soon = self.now_ms.unwrap_or(0).saturating_add(self.limits.node_ms);
        soon.min(deadline_ms)
    }

    fn read(&mut self, protocol: &V, reading: Reading, effects: &mut Effects<V>) {
        let slot = match reading {
            Reading::BeforeGenesis => None,
            Reading::SinceGenesis(ms) => Some(ms / self.timing.slot_ms),
        };
        let lowest = slot.unwrap_or(0).saturating_add(self.timing.slots_per_epoch);
        if self.slot.is_some_and(|latest| latest > lowest) {
            self.reset(effects);
        }
        self.has_read = true;
        self.now_ms = match reading {
            Reading::BeforeGenesis => None,
            Reading::SinceGenesis(ms) => Some(ms),
        };
        self.expire();
        if slot > self.slot {
            self.turn(slot, effects);
        }
        self.end_late(effects);
        self.wake_resting();
        self.poll(effects);
        self.drive(protocol, true, effects);
    }

    /// Begins anew after a step back by more than an epoch.
    fn reset(&mut self, effects: &mut Effects<V>) {
        self.counters.resets += 1;
        let under_way: Vec<_> = self.under_way().collect();
        for id in under_way {
            self.end(id, Outcome::Missed(Reason::ClockStepped), effects);
        }
        self.duties.clear();
        self.data.clear();
        self.lists.clear();
        self.requests.clear();
        (self.slot, self.done) = (None, None);
    }

    /// A slot has begun: what is left of earlier ones is missed.
    fn turn(&mut self, slot: Option<Slot>, effects: &mut Effects<V>) {
        let Some(slot) = slot else { return };
        let over: Vec<_> = self.duties.range(..first_of(slot)).map(|(id, _)| *id).collect();
        for id in over {
            self.begin(id, effects);
            let reason = self.duties.get(&id).map_or(Reason::SlotOver, Duty::late_reason);
            self.end(id, Outcome::Missed(reason), effects);
            self.duties.remove(&id);
        }
        self.data.clear();
        self.requests.retain(|_, pending| matches!(pending.asked, Asked::List(..)));
        self.slot = Some(slot);
        self.roll_lists();
        let now: Vec<_> = self.of_slot(slot).map(|(id, _)| *id).collect();
        for id in now {
            self.begin(id, effects);
        }
    }

    /// Begins a duty whose slot has come. Whether there is an aggregation is known only with its
    /// selection proof.
    fn begin(&mut self, id: DutyId, effects: &mut Effects<V>) {
        let may_sign = self.validators.get(&id.validator).is_some_and(|known| known.may_sign);
        let Some(duty) = self.duties.get_mut(&id) else { return };
        if duty.began || matches!(duty.stage, Stage::Done) {
            return;
        }
        if id.kind == Kind::Aggregation {
            if !may_sign {
                duty.stage = Stage::Done;
            }
            return;
        }
        duty.began = true;
        effects.push(Effect::Began(id));
        if !may_sign {
            self.end(id, Outcome::Missed(Reason::MayNotSign), effects);
        } else if self.now_ms.is_some_and(|now| now >= self.deadline_ms(id)) {
            self.end(id, Outcome::Missed(Reason::SlotOver), effects);
        }
    }

    /// Ends a duty, unless it has ended.
    fn end(&mut self, id: DutyId, outcome: Outcome, effects: &mut Effects<V>) {
        let Some(duty) = self.duties.get_mut(&id) else { return };
        let was_under_way = duty.is_under_way();
        duty.stage = Stage::Done;
        duty.rests = false;
        if was_under_way {
            effects.push(Effect::Ended { duty: id, outcome });
        }
    }

    /// Counts a failure of a duty's step: it is tried again, or the duty is missed.
    fn fail(&mut self, id: DutyId, reason: Reason, effects: &mut Effects<V>) {
        let attempts = self.limits.attempts;
        let Some(duty) = self.duties.get_mut(&id) else { return };
        duty.failures = duty.failures.saturating_add(1);
        if duty.failures >= attempts {
            self.end(id, Outcome::Missed(reason), effects);
            return;
        }
        duty.last = Some(reason);
        duty.go_back();
    }

    /// Gives up the requests whose time is over.
    fn expire(&mut self) {
        let Some(now) = self.now_ms else { return };
        let due = self.requests.iter().filter(|(_, pending)| pending.by_ms <= now);
        let due: Vec<_> = due.map(|(id, _)| *id).collect();
        for id in due {
            let Some(pending) = self.requests.remove(&id) else { continue };
            match pending.asked {
                Asked::List(epoch, list) => self.list_failed(epoch, list),
                Asked::Data(committee) => self.data_failed(committee),
                Asked::Duty(id) => self.time_out(id),
                Asked::Batch(ids) => ids.into_iter().for_each(|id| self.time_out(id)),
            }
        }
    }

    /// Lets a duty whose request was given up try again. What may have had an effect is not tried
    /// again: those requests last to the duty's deadline.
    fn time_out(&mut self, id: DutyId) {
        if let Some(duty) = self.duties.get_mut(&id) {
            duty.uncertain |= matches!(duty.stage, Stage::Asked(Step::Publish(..)));
            duty.last = Some(duty.late_reason());
            duty.go_back();
        }
    }

    /// Lets resting duties go on, with fresh data.
    fn wake_resting(&mut self) {
        let Some(slot) = self.slot else { return };
        let mut stale = Vec::new();
        for (id, duty) in self.duties.range_mut(first_of(slot)..=last_of(slot)) {
            let rested = std::mem::take(&mut duty.rests);
            if rested
                && id.kind == Kind::Attestation
                && matches!(duty.stage, Stage::Next(Step::Data))
            {
                stale.extend(duty.place.map(|place| place.committee));
            }
        }
        for committee in stale {
            if matches!(self.data.get(&committee), Some(Some(_))) {
                self.data.remove(&committee);
            }
        }
    }

    /// Ends the duties of the slot whose deadline has come.
    fn end_late(&mut self, effects: &mut Effects<V>) {
        let (Some(now), Some(slot)) = (self.now_ms, self.slot) else { return };
        let under_way = self.of_slot(slot).filter(|(_, duty)| duty.is_under_way());
        let late = under_way.filter(|(id, _)| self.deadline_ms(**id) <= now);
        let late: Vec<_> = late.map(|(id, duty)| (*id, duty.late_reason())).collect();
        for (id, reason) in late {
            self.end(id, Outcome::Missed(reason), effects);
        }
    }
}

impl<V: DutyProtocol> Machine<V> for BeaconValidator<V> {
    type Event = Event<V>;
    type Effect = Effect<V>;

    fn handle(&mut self, protocol: &V, event: Event<V>) -> Vec<Effect<V>> {
        let mut effects = Vec::new();
        match event {
            Event::Clock(reading) => self.read(protocol, reading, &mut effects),
            Event::Validators(validators) => {
                self.set_validators(validators, &mut effects);
                self.drive(protocol, false, &mut effects);
            }
            Event::Head(head) => {
                self.set_head(protocol, head, &mut effects);
                self.drive(protocol, false, &mut effects);
            }
            Event::Reply { request, reply } => {
                self.answer(protocol, request, reply, &mut effects);
                self.drive(protocol, false, &mut effects);
            }
        }
        effects
    }
}

/// Returns the least identity of a slot.
const fn first_of(slot: Slot) -> DutyId {
    DutyId { slot, kind: Kind::Proposal, validator: 0 }
}

/// Returns the greatest identity of a slot.
const fn last_of(slot: Slot) -> DutyId {
    DutyId { slot, kind: Kind::Aggregation, validator: ValidatorIndex::MAX }
}
