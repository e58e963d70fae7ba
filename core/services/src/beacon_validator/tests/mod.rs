//! The rules of the machine, one test each, and random sequences of events.

mod attestations;
mod lists;
mod panics;
mod proposals;
mod random;
mod service;
mod time;

use std::collections::BTreeMap;

use super::toy::{Signed, ToyData, ToyDuties, ToyProposal, ToySignature};
use super::{
    BeaconValidator, DutyId, DutyList, Effect, Event, Head, Kind, Limits, Listed, Message, Outcome,
    Place, Protection, Reading, Reason, Reply, Request, RequestId, SignedDuty, Timing, Validator,
};
use crate::consensus::{Epoch, Slot, ValidatorIndex};
use crate::machine::Machine;

/// Slots of 12 ms and epochs of four: attestations are due at 4, gathered until 6; aggregates are
/// due at 8, gathered until 10; proposals end at 8.
pub(super) const TOY: ToyDuties = ToyDuties { timing: Timing::phase0(4, 12) };

/// A block of slot 3, the last of epoch 0, on which everything of epoch 1 depends.
pub(super) const HEAD: Head<u8> =
    Head { root: 3, slot: 3, current_dependent: 0, previous_dependent: 0 };

pub(super) fn limits() -> Limits {
    Limits { node_ms: 3, retry_ms: 1, hold_ms: 1, attempts: 3, ..Limits::default() }
}

pub(super) fn duty(slot: Slot, kind: Kind, validator: ValidatorIndex) -> DutyId {
    DutyId { slot, kind, validator }
}

pub(super) fn proposer(slot: Slot, validator: ValidatorIndex) -> Listed<u8> {
    Listed { key: validator as u8, validator, slot, place: None }
}

pub(super) fn attester(slot: Slot, validator: ValidatorIndex, committee: u64) -> Listed<u8> {
    let position = validator % 8;
    let place = Place { committee, committee_length: 8, committees_at_slot: 2, position };
    Listed { key: validator as u8, validator, slot, place: Some(place) }
}

/// What an honest node answers for an attestation at `HEAD` in slot 4 and later.
pub(super) fn data(slot: Slot, committee: u64) -> ToyData {
    ToyData { slot, committee, head: HEAD.root, source: 0, target: slot / 4 }
}

/// The machine, and everything that it has asked for and that was not answered.
pub(super) struct World {
    pub(super) machine: BeaconValidator<ToyDuties>,
    pub(super) asked: BTreeMap<RequestId, Request<ToyDuties>>,
    /// When each request is given up.
    by_ms: BTreeMap<RequestId, u64>,
    pub(super) published: Vec<Vec<SignedDuty<ToyDuties>>>,
    pub(super) began: Vec<DutyId>,
    pub(super) ended: Vec<(DutyId, Outcome)>,
    /// The validators of each subscription.
    pub(super) subscribed: Vec<Vec<ValidatorIndex>>,
}

impl World {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            machine: BeaconValidator::new(&TOY, limits),
            asked: BTreeMap::new(),
            by_ms: BTreeMap::new(),
            published: Vec::new(),
            began: Vec::new(),
            ended: Vec::new(),
            subscribed: Vec::new(),
        }
    }

    /// Returns a world at the start of slot 4, the first of epoch 1, that knows `HEAD`, the
    /// validators, and the lists of epoch 1.
    pub(super) fn at_epoch_1(
        validators: &[ValidatorIndex],
        proposers: &[Listed<u8>],
        attesters: &[Listed<u8>],
    ) -> Self {
        let mut world = Self::new(limits());
        world.head(HEAD);
        world.validators(validators);
        world.clock(4, 0);
        // Both lists of epoch 1 depend on blocks of epoch 0.
        world.answer_list(1, DutyList::Proposers, HEAD.root, proposers);
        world.answer_list(1, DutyList::Attesters, HEAD.current_dependent, attesters);
        world
    }

    pub(super) fn event(&mut self, event: Event<ToyDuties>) {
        for effect in self.machine.handle(&TOY, event) {
            match effect {
                Effect::Ask { id, by_ms, request } => {
                    self.by_ms.insert(id, by_ms);
                    if let Request::Publish(batch) = &request {
                        self.published.push(batch.clone());
                    }
                    assert!(self.asked.insert(id, request).is_none(), "{id} is used twice");
                }
                Effect::Subscribe(listed) => {
                    let validators = listed.iter().map(|listed| listed.validator).collect();
                    self.subscribed.push(validators);
                }
                Effect::Began(duty) => self.began.push(duty),
                Effect::Ended { duty, outcome } => self.ended.push((duty, outcome)),
            }
        }
    }

    /// Reads the clock. Requests whose time is over are no longer answered.
    pub(super) fn clock(&mut self, slot: Slot, ms: u64) {
        let by_ms = &self.by_ms;
        self.asked.retain(|id, _| by_ms[id] > slot * 12 + ms);
        self.event(Event::Clock(Reading::SinceGenesis(slot * 12 + ms)));
    }

    pub(super) fn head(&mut self, head: Head<u8>) {
        self.event(Event::Head(head));
    }

    pub(super) fn validators(&mut self, validators: &[ValidatorIndex]) {
        let of =
            |index: &ValidatorIndex| Validator { index: *index, key: *index as u8, may_sign: true };
        self.event(Event::Validators(validators.iter().map(of).collect()));
    }

    pub(super) fn reply(&mut self, request: RequestId, reply: Reply<ToyDuties>) {
        self.asked.remove(&request);
        self.event(Event::Reply { request, reply });
    }

    /// Returns the one request that fits.
    pub(super) fn find(&self, fits: impl Fn(&Request<ToyDuties>) -> bool) -> RequestId {
        let found: Vec<_> = self.asked.iter().filter(|(_, request)| fits(request)).collect();
        assert_eq!(found.len(), 1, "{:#?}", self.asked);
        *found[0].0
    }

    pub(super) fn count(&self, fits: impl Fn(&Request<ToyDuties>) -> bool) -> usize {
        self.asked.values().filter(|request| fits(request)).count()
    }

    pub(super) fn answer_list(
        &mut self,
        epoch: Epoch,
        which: DutyList,
        dependent_root: u8,
        listed: &[Listed<u8>],
    ) {
        let id = self.find(asks_list(epoch, which));
        self.reply(id, Reply::Duties { dependent_root, listed: listed.to_vec() });
    }

    /// Answers the requests of a kind as an honest node, a protection that records everything and
    /// a signer do. Returns how many there were.
    pub(super) fn answer(&mut self, fits: fn(&Request<ToyDuties>) -> bool) -> usize {
        let ids: Vec<_> =
            self.asked.iter().filter(|(_, request)| fits(request)).map(|(id, _)| *id).collect();
        for id in &ids {
            let reply = honest(&self.asked[id]);
            self.reply(*id, reply);
        }
        ids.len()
    }

    /// Answers everything but lists until nothing more is asked.
    pub(super) fn run(&mut self) {
        while self.answer(|request| !matches!(request, Request::Duties { .. })) > 0 {}
    }

    pub(super) fn outcome(&self, duty: DutyId) -> Option<Outcome> {
        let mut outcomes = self.ended.iter().filter(|(of, _)| *of == duty);
        let outcome = outcomes.next().map(|(_, outcome)| *outcome);
        assert_eq!(outcomes.next(), None, "{duty:?} ends twice");
        outcome
    }

    pub(super) fn missed(&self, duty: DutyId) -> Option<Reason> {
        match self.outcome(duty) {
            Some(Outcome::Missed(reason)) => Some(reason),
            _ => None,
        }
    }
}

/// Returns what an honest node, protection and signer answer.
pub(super) fn honest(request: &Request<ToyDuties>) -> Reply<ToyDuties> {
    match request {
        Request::Duties { .. } => Reply::Failed,
        Request::Produce { slot, reveal } => {
            let epoch = slot / 4;
            let proposer = u64::from(reveal.key);
            let reveal = (reveal.key, epoch);
            Reply::Block(ToyProposal { slot: *slot, proposer, parent: HEAD.root, reveal })
        }
        Request::Data { slot, committee } => Reply::Data(data(*slot, *committee)),
        Request::Protect(batch) => {
            let answers = batch.iter().map(|guarded| (guarded.duty, Protection::Recorded));
            Reply::Protected(answers.collect())
        }
        Request::Sign { key, message, .. } => {
            Reply::Signature(ToySignature { key: *key, of: Signed::of(message) })
        }
        Request::Aggregate { data, .. } => Reply::Aggregate(*data),
        Request::Publish(_) => Reply::Published { refused: Vec::new() },
    }
}

pub(super) fn is_sign(request: &Request<ToyDuties>) -> bool {
    matches!(request, Request::Sign { .. })
}

pub(super) fn is_data(request: &Request<ToyDuties>) -> bool {
    matches!(request, Request::Data { .. })
}

pub(super) fn is_protect(request: &Request<ToyDuties>) -> bool {
    matches!(request, Request::Protect(_))
}

pub(super) fn is_publish(request: &Request<ToyDuties>) -> bool {
    matches!(request, Request::Publish(_))
}

pub(super) fn is_produce(request: &Request<ToyDuties>) -> bool {
    matches!(request, Request::Produce { .. })
}

pub(super) fn is_merge(request: &Request<ToyDuties>) -> bool {
    matches!(request, Request::Aggregate { .. })
}

/// Returns whether a request is for a list.
pub(super) fn asks_list(epoch: Epoch, which: DutyList) -> impl Fn(&Request<ToyDuties>) -> bool {
    move |request| match request {
        Request::Duties { epoch: of, list, .. } => (*of, *list) == (epoch, which),
        _ => false,
    }
}

/// Returns whether a request is for the signature of a duty.
pub(super) fn signs(duty: DutyId) -> impl Fn(&Request<ToyDuties>) -> bool {
    move |request| matches!(request, Request::Sign { duty: of, .. } if *of == duty)
}

/// Returns whether an attestation or a block is to be signed.
pub(super) fn signs_protected(request: &Request<ToyDuties>) -> bool {
    matches!(request, Request::Sign { message, .. } if message.is_protected())
}

pub(super) fn is_selection(request: &Request<ToyDuties>) -> bool {
    matches!(request, Request::Sign { message: Message::Selection(_), .. })
}
