//! The machine: the clock, the requests under way, and how duties begin and end; see
//! [`crate::payload_attestation`].

mod answers;
mod round;
mod steps;

use std::collections::{BTreeMap, VecDeque};

use crate::beacon_validator::{Head, Reading, Validator};
use crate::consensus::{Epoch, Slot, ValidatorIndex};
use crate::machine::Machine;
use crate::payload_attestation::event::{
    DutyId, Effect, Event, Outcome, Reason, Request, RequestId,
};
use crate::payload_attestation::protocol::{Timing, VoteProtocol};
use crate::ptc_duties::{self, PtcDuties};
use round::{Round, Stage};

/// Bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Bounds on validators and on lists of duties.
    pub duties: ptc_duties::Limits,
    /// Heads that are remembered; the oldest goes.
    pub heads: usize,
    /// How often data are asked for in a slot before their time, and again after it.
    pub asks_per_slot: u8,
    /// After so many failures in a row of its signer, or of publications, a duty is missed. The
    /// default leaves no slot before its end, since the rests between them become longer.
    pub attempts: u8,
    /// How long a beacon node may take for an answer before it is asked again, in milliseconds.
    pub node_ms: u64,
    /// How long a step rests after a failure, in milliseconds. A signer and a publication rest
    /// twice as long after each further failure, up to [`Limits::MAX_REST`] times this.
    pub retry_ms: u64,
    /// How long the votes that are signed wait for the others, at most, in milliseconds.
    pub gather_ms: u64,
}

impl Limits {
    /// The longest rest between two attempts, in lengths of the first.
    pub const MAX_REST: u64 = 8;

    /// Returns how long a signer or a publication rests after so many failures in a row, in
    /// milliseconds.
    #[must_use]
    pub const fn rest_ms(&self, failures: u8) -> u64 {
        let doublings = failures.saturating_sub(1);
        let times = if doublings < 3 { 1 << doublings } else { Self::MAX_REST };
        self.retry_ms.saturating_mul(times)
    }
}

impl Default for Limits {
    /// For slots of 6 to 12 seconds.
    fn default() -> Self {
        Self {
            duties: ptc_duties::Limits::default(),
            heads: 16,
            asks_per_slot: 16,
            attempts: 20,
            node_ms: 750,
            retry_ms: 100,
            gather_ms: 1000,
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
    /// Steps of the clock back to an earlier slot.
    pub steps_back: u64,
}

/// For which slots a process may have voted before its machine began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Past {
    /// Nothing is known: the machine is the first of its process. Another process may have voted in
    /// the slot that the clock shows first, and in no later one.
    #[default]
    Unknown,
    /// The machine's predecessor in this process has voted, or another process may have, in these
    /// slots and in no later one.
    Known {
        /// The slot in which the process began, unless it was before genesis.
        first: Option<Slot>,
        /// The last slot in which a duty has begun.
        done: Option<Slot>,
    },
}

impl Past {
    /// Returns what is known if the process began at this time.
    #[must_use]
    pub const fn at(timing: &Timing, at: Reading) -> Self {
        let first = match at {
            Reading::BeforeGenesis => None,
            Reading::SinceGenesis(ms) => Some(ms / timing.slot_ms),
        };
        Self::Known { first, done: None }
    }
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    /// Duties; the number is that of the machine of the lists.
    Duties(ptc_duties::RequestId),
    Data,
    Sign(ValidatorIndex),
    Publish(Vec<ValidatorIndex>),
}

/// A request under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pending {
    since_ms: u64,
    by_ms: u64,
    asked: Asked,
}

/// The votes of our validators; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PayloadAttestation<V: VoteProtocol> {
    protocol: V,
    limits: Limits,
    timing: Timing,
    duties: PtcDuties<V::Key, V::Root>,
    past: Past,
    /// Our validators, and whether they may sign.
    validators: BTreeMap<ValidatorIndex, (V::Key, bool)>,
    /// The latest heads, the newest last.
    heads: VecDeque<Head<V::Root>>,
    /// The votes of the slot; `None` before genesis.
    round: Option<Round<V>>,
    /// The last reading of the clock, in milliseconds since genesis.
    now_ms: u64,
    requests: BTreeMap<RequestId, Pending>,
    next_request: RequestId,
    counters: Counters,
}

type Effects<V> = Vec<Effect<V>>;

impl<V: VoteProtocol> PayloadAttestation<V> {
    /// Returns a machine without validators that has read no clock.
    ///
    /// # Panics
    /// If the times are out of order ([`Timing::check`]), or a limit is 0.
    #[must_use]
    pub fn new(protocol: V, limits: Limits) -> Self {
        Self::after(protocol, limits, Past::Unknown)
    }

    /// Returns a machine that knows for which slots there may have been votes before it.
    ///
    /// # Panics
    /// As [`PayloadAttestation::new`].
    #[must_use]
    pub fn after(protocol: V, limits: Limits, past: Past) -> Self {
        let timing = protocol.timing();
        assert!(timing.check(), "the times of a slot are in order: {timing:?}");
        let Limits { heads, asks_per_slot, attempts, node_ms, retry_ms, .. } = limits;
        assert!(heads > 0 && asks_per_slot > 0 && attempts > 0, "{limits:?}");
        assert!(node_ms > 0 && retry_ms > 0, "{limits:?}");
        Self {
            duties: PtcDuties::new(timing.slots_per_epoch, limits.duties),
            protocol,
            limits,
            timing,
            past,
            validators: BTreeMap::new(),
            heads: VecDeque::new(),
            round: None,
            now_ms: 0,
            requests: BTreeMap::new(),
            next_request: 0,
            counters: Counters::default(),
        }
    }

    /// Returns what was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the lists of duties.
    #[must_use]
    pub fn duties(&self) -> &PtcDuties<V::Key, V::Root> {
        &self.duties
    }

    /// Returns the number of requests under way.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Returns the duties that have begun and not ended, ascending.
    pub fn under_way(&self) -> impl Iterator<Item = DutyId> {
        self.round.iter().flat_map(|round| {
            let votes = round.votes.iter().filter(|(_, vote)| !vote.is_done());
            votes.map(|(validator, _)| DutyId { slot: round.slot, validator: *validator })
        })
    }

    /// Returns what a successor has to know: for which slots there may be votes.
    #[must_use]
    pub fn past(&self) -> Past {
        match self.past {
            Past::Unknown => Past::Unknown,
            Past::Known { first, done } => {
                let begun = self.round.as_ref().filter(|round| !round.votes.is_empty());
                Past::Known { first, done: done.max(begun.map(|round| round.slot)) }
            }
        }
    }

    /// Returns when the machine has to be woken at the latest, in milliseconds since genesis.
    /// `None` before genesis: once in a slot's length is enough then.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let (now, round) = (self.now_ms, self.round.as_ref()?);
        let Timing { fetch_ms, due_ms, late_ms, .. } = self.timing;
        let of_slot = [fetch_ms, due_ms, late_ms].map(|ms| self.timing.at(round.slot, ms));
        let of_requests = self.requests.values().map(|pending| pending.by_ms);
        let of_votes = round.votes.values().filter_map(|vote| match vote.stage {
            Stage::SignsAgain(at) => Some(at),
            _ => None,
        });
        let rests = [round.rests_until_ms, round.leave_ms];
        of_slot
            .into_iter()
            .chain(of_requests)
            .chain(of_votes)
            .chain(rests)
            .chain(round.publishes_again_ms)
            .filter(|at| *at > now)
            .chain([self.timing.at(round.slot.saturating_add(1), 0)])
            .min()
    }

    /// Makes a request that is given up at `by_ms`.
    fn ask(&mut self, effects: &mut Effects<V>, asked: Asked, by_ms: u64, request: Request<V>) {
        let id = self.next_request;
        self.next_request += 1;
        self.requests.insert(id, Pending { since_ms: self.now_ms, by_ms, asked });
        effects.push(Effect::Ask { id, by_ms, request });
    }

    /// Returns when a beacon node is asked again: it may not keep a step to its deadline (P2).
    fn node_by_ms(&self, deadline_ms: u64) -> u64 {
        self.now_ms.saturating_add(self.limits.node_ms).min(deadline_ms)
    }

    /// Hands an event to the lists of duties, and makes the requests that they ask for.
    fn tell_duties(&mut self, event: ptc_duties::Event<V::Key, V::Root>, effects: &mut Effects<V>) {
        let slot = self.round.as_ref().map_or(0, |round| round.slot);
        let by_ms = self.node_by_ms(self.timing.at(slot.saturating_add(1), 0));
        for asked in self.duties.handle(&(), event) {
            let ptc_duties::Effect::Ask { request, epoch, validators } = asked;
            let of_duties = Request::Duties { epoch, validators };
            self.ask(effects, Asked::Duties(request), by_ms, of_duties);
        }
    }

    /// Takes the time: a new slot begins, an earlier one comes back, or requests are given up.
    fn read(&mut self, at: Reading, effects: &mut Effects<V>) {
        let (now, slot) = match at {
            Reading::BeforeGenesis => (0, None),
            Reading::SinceGenesis(ms) => (ms, Some(ms / self.timing.slot_ms)),
        };
        if self.past == Past::Unknown {
            self.past = Past::at(&self.timing, at);
        }
        self.now_ms = now;
        let known = self.round.as_ref().map(|round| round.slot);
        if slot > known {
            self.advance(slot, effects);
        } else if slot < known {
            self.step_back(slot, effects);
        }
        self.expire(effects);
    }

    /// A later slot has come: what is left of earlier ones is missed.
    fn advance(&mut self, slot: Option<Slot>, effects: &mut Effects<V>) {
        let Some(slot) = slot else { return };
        if let Some(known) = self.round.as_ref().map(|round| round.slot) {
            self.begin_listed(effects);
            self.end_round(None, effects);
            // Nothing is known of slots that are further back than the lists reach.
            let reach = self.timing.slots_per_epoch.saturating_mul(2);
            for over in known.saturating_add(1).max(slot.saturating_sub(reach))..slot {
                self.round = Some(Round::new(over));
                self.begin_listed(effects);
                self.end_round(None, effects);
            }
        }
        self.enter(slot, effects);
    }

    /// The clock shows an earlier slot, or a time before genesis. What is under way is given up,
    /// and no duty of its slot begins again.
    fn step_back(&mut self, slot: Option<Slot>, effects: &mut Effects<V>) {
        self.counters.steps_back += 1;
        self.end_round(Some(Reason::ClockStepped), effects);
        if let Some(slot) = slot {
            self.enter(slot, effects);
        }
    }

    /// Ends the round and what is under way in it, and remembers its slot if a duty of it has begun.
    fn end_round(&mut self, why: Option<Reason>, effects: &mut Effects<V>) {
        self.past = self.past();
        let is_asked = self.asks_data();
        // What was asked is of this slot, lists as well.
        self.requests.clear();
        let Some(round) = self.round.take() else { return };
        for (validator, vote) in round.votes.iter().filter(|(_, vote)| !vote.is_done()) {
            let why = why.unwrap_or_else(|| round.why_late(vote, is_asked, true));
            let duty = DutyId { slot: round.slot, validator: *validator };
            effects.push(Effect::Ended { duty, outcome: Outcome::Missed(why) });
        }
    }

    fn enter(&mut self, slot: Slot, effects: &mut Effects<V>) {
        self.round = Some(Round::new(slot));
        self.tell_duties(ptc_duties::Event::Slot(slot), effects);
    }

    /// Returns whether data are asked for.
    fn asks_data(&self) -> bool {
        self.requests.values().any(|pending| pending.asked == Asked::Data)
    }

    /// Gives up the requests whose time is over.
    fn expire(&mut self, effects: &mut Effects<V>) {
        let now = self.now_ms;
        let due = self.requests.iter().filter(|(_, pending)| pending.by_ms <= now);
        let due: Vec<_> = due.map(|(id, _)| *id).collect();
        for id in due {
            let Some(Pending { asked, .. }) = self.requests.remove(&id) else { continue };
            self.failed(asked, true, effects);
        }
    }

    /// Ends a duty of the round, unless it has ended.
    fn end(&mut self, validator: ValidatorIndex, outcome: Outcome, effects: &mut Effects<V>) {
        let Some(round) = &mut self.round else { return };
        let slot = round.slot;
        let Some(vote) = round.votes.get_mut(&validator).filter(|vote| !vote.is_done()) else {
            return;
        };
        vote.stage = Stage::Done;
        effects.push(Effect::Ended { duty: DutyId { slot, validator }, outcome });
    }

    fn miss(&mut self, validator: ValidatorIndex, why: Reason, effects: &mut Effects<V>) {
        self.end(validator, Outcome::Missed(why), effects);
    }

    fn set_validators(&mut self, validators: Vec<Validator<V::Key>>, effects: &mut Effects<V>) {
        let bound = self.limits.duties.validators;
        let of = validators.iter().map(|known| (known.index, known.key)).collect();
        self.validators.clear();
        for Validator { index, key, may_sign } in validators {
            if self.validators.len() < bound {
                self.validators.entry(index).or_insert((key, may_sign));
            }
        }
        self.tell_duties(ptc_duties::Event::Validators(of), effects);
        let gone = self.round.iter().flat_map(|round| &round.votes);
        let gone = gone.filter_map(|(validator, vote)| {
            let is_ours = self.validators.get(validator).filter(|(key, _)| *key == vote.key);
            match is_ours {
                None => Some((*validator, Reason::Removed)),
                Some((_, false)) => Some((*validator, Reason::MayNotSign)),
                Some((_, true)) => None,
            }
        });
        for (validator, why) in gone.collect::<Vec<_>>() {
            self.miss(validator, why, effects);
        }
    }

    fn set_head(&mut self, head: Head<V::Root>, effects: &mut Effects<V>) {
        let held = self.heads.len();
        self.heads.retain(|known| known.root != head.root);
        let is_new = self.heads.len() == held;
        self.heads.push_back(head);
        let excess = self.heads.len().saturating_sub(self.limits.heads);
        self.heads.drain(..excess);
        let Some(round) = &mut self.round else { return };
        // Data may be had now, or those of another block (P3). A head again is no news (P6).
        if is_new && head.slot == round.slot {
            round.rests_until_ms = round.rests_until_ms.min(self.now_ms);
        }
        let epoch = self.timing.epoch(round.slot);
        for epoch in [epoch, epoch.saturating_add(1)] {
            self.tell_head(head, epoch, effects);
        }
    }

    /// Tells the lists on which root the duties of an epoch depend on a head's branch.
    fn tell_head(&mut self, head: Head<V::Root>, epoch: Epoch, effects: &mut Effects<V>) {
        let root = head.shuffling_root(self.timing.slots_per_epoch, epoch);
        if let Some(dependent_root) = root {
            self.tell_duties(ptc_duties::Event::Head { epoch, dependent_root }, effects);
        }
    }
}

impl<V: VoteProtocol> Machine<Reading> for PayloadAttestation<V> {
    type Event = Event<V>;
    type Effect = Effect<V>;

    /// Handles an event at the time that the clock shows now (P5). The slot may be another one than
    /// that of the event before.
    fn handle(&mut self, at: &Reading, event: Event<V>) -> Vec<Effect<V>> {
        let mut effects = Vec::new();
        self.read(*at, &mut effects);
        match event {
            Event::Wake => {}
            Event::Validators(validators) => self.set_validators(validators, &mut effects),
            Event::Head(head) => self.set_head(head, &mut effects),
            Event::Available { slot, block } => {
                let round = self.round.as_mut().filter(|round| round.slot == slot);
                if let Some(round) = round {
                    round.available = Some(block);
                }
            }
            Event::Reply { request, reply } => self.answer(request, reply, &mut effects),
        }
        self.drive(&mut effects);
        effects
    }
}
