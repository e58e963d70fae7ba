//! Random sequences of events: an adversary chooses the clock, the heads, the lists, and which
//! request is answered how and how often.

use std::collections::{BTreeMap, BTreeSet};

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::*;

/// What comes next. Numbers are reduced to what there is.
#[derive(Clone, Debug)]
enum Step {
    /// The clock goes on by so many milliseconds.
    Forward(u8),
    /// The clock steps back.
    Back(u8),
    /// A head of one of few branches.
    Head(u8),
    /// Answers one of the requests that were ever made: old ones are answered again.
    Answer { which: u16, how: u8 },
    /// The validators whose bits are set may sign.
    MaySign(u8),
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        match u8::arbitrary(g) % 16 {
            0..=1 => Self::Forward(u8::arbitrary(g) % 4),
            2 if u8::arbitrary(g) < 64 => Self::Forward(u8::arbitrary(g)),
            3 if u8::arbitrary(g) < 64 => Self::Back(u8::arbitrary(g) % 20),
            5 => Self::Head(u8::arbitrary(g)),
            6 if u8::arbitrary(g) < 64 => Self::MaySign(u8::arbitrary(g)),
            _ => Self::Answer { which: u16::arbitrary(g), how: u8::arbitrary(g) },
        }
    }
}

/// The machine, all that it has asked for, and what is to hold of it.
struct Adversary {
    machine: BeaconValidator<ToyDuties>,
    now: u64,
    asked: Vec<(RequestId, Request<ToyDuties>)>,
    given_up: BTreeMap<RequestId, u64>,
    answered: BTreeSet<RequestId>,
    /// What protection has recorded, by key.
    recorded: BTreeMap<u8, Vec<Signed>>,
    may_sign: u8,
    began: BTreeSet<DutyId>,
    ended: BTreeSet<DutyId>,
    sent: usize,
    latest_slot: Slot,
}

const VALIDATORS: ValidatorIndex = 4;

impl Adversary {
    fn new() -> Self {
        let mut adversary = Self {
            machine: BeaconValidator::new(&TOY, limits()),
            now: 0,
            asked: Vec::new(),
            given_up: BTreeMap::new(),
            answered: BTreeSet::new(),
            recorded: BTreeMap::new(),
            may_sign: u8::MAX,
            began: BTreeSet::new(),
            ended: BTreeSet::new(),
            sent: 0,
            latest_slot: 0,
        };
        adversary.event(Event::Head(HEAD));
        adversary.set_validators();
        adversary.tell(4 * 12);
        adversary
    }

    fn set_validators(&mut self) {
        let of = |index| Validator {
            index,
            key: index as u8,
            may_sign: self.may_sign >> index & 1 == 1,
        };
        let validators = (0..VALIDATORS).map(of).collect();
        self.event(Event::Validators(validators));
    }

    fn tell(&mut self, now: u64) {
        self.now = now;
        self.latest_slot = self.latest_slot.max(now / 12);
        self.event(Event::Clock(Reading::SinceGenesis(now)));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Forward(ms) => self.tell(self.now + u64::from(*ms)),
            // A step back by more than an epoch is a restart, which has its own test.
            Step::Back(ms) => {
                let lowest = self.latest_slot.saturating_sub(4) * 12;
                self.tell(self.now.saturating_sub(u64::from(*ms)).max(lowest));
            }
            Step::Head(number) => {
                let slot = 3 + u64::from(number / 4 % 8);
                let branch = number % 2;
                let (current_dependent, previous_dependent) = (branch, branch);
                let root = 10 + number % 8;
                self.event(Event::Head(Head { root, slot, current_dependent, previous_dependent }));
            }
            Step::Answer { which, how } => self.answer(usize::from(*which), *how),
            Step::MaySign(bits) => {
                self.may_sign = *bits;
                self.set_validators();
            }
        }
    }

    fn answer(&mut self, which: usize, how: u8) {
        if self.asked.is_empty() {
            return;
        }
        // Mostly one that is awaited.
        let is_open =
            |(id, _): &(RequestId, _)| self.given_up[id] > self.now && !self.answered.contains(id);
        let open: Vec<_> =
            (0..self.asked.len()).filter(|index| is_open(&self.asked[*index])).collect();
        let which = if how.is_multiple_of(8) || open.is_empty() {
            which % self.asked.len()
        } else {
            open[which % open.len()]
        };
        let (request, asked) = self.asked[which].clone();
        let reply = match how / 8 % 32 {
            0 => Reply::Failed,
            // A signer is trusted to sign what it is asked to.
            1 if !is_sign(&asked) => {
                Reply::Signature(ToySignature { key: 0, of: Signed::Randao(how.into()) })
            }
            2 => Reply::Data(ToyData { head: how % 3, ..data(self.now / 12, 0) }),
            _ => self.reply(&asked, how),
        };
        self.answered.insert(request);
        self.event(Event::Reply { request, reply });
    }

    fn reply(&mut self, asked: &Request<ToyDuties>, how: u8) -> Reply<ToyDuties> {
        match asked {
            Request::Duties { epoch, list, .. } => {
                let slot = |validator: u64| epoch * 4 + (validator + u64::from(how)) % 4;
                let validators = 0..VALIDATORS;
                let of_head = HEAD.dependent_root(&TOY.timing, *list, *epoch).unwrap_or(0);
                let dependent_root = [0, 1, of_head, of_head][usize::from(how % 4)];
                let listed = match list {
                    DutyList::Proposers => validators.map(|v| proposer(slot(v), v)).collect(),
                    DutyList::Attesters => {
                        validators.map(|v| attester(slot(v), v, v % 2)).collect()
                    }
                };
                Reply::Duties { dependent_root, listed }
            }
            Request::Protect(batch) => {
                let answers = batch.iter().map(|guarded| {
                    let message = Signed::of(&guarded.message);
                    let record = self.recorded.entry(guarded.key).or_default();
                    if record.iter().any(|old| old.is_slashable_with(message)) {
                        return (guarded.duty, Protection::AlreadySigned);
                    }
                    record.push(message);
                    (guarded.duty, Protection::Recorded)
                });
                Reply::Protected(answers.collect())
            }
            other => honest(other),
        }
    }

    fn event(&mut self, event: Event<ToyDuties>) {
        let effects = self.machine.handle(&TOY, event);
        for effect in effects {
            match effect {
                Effect::Ask { id, by_ms, request } => self.note(id, by_ms, request),
                Effect::Subscribe(_) => {}
                Effect::Began(duty) => assert!(self.began.insert(duty), "{duty:?} begins twice"),
                Effect::Ended { duty, outcome } => {
                    assert!(self.began.contains(&duty), "{duty:?} has not begun");
                    assert!(self.ended.insert(duty), "{duty:?} ends twice");
                    self.sent += usize::from(outcome == Outcome::Sent);
                }
            }
        }
        self.check();
    }

    fn note(&mut self, id: RequestId, by_ms: u64, request: Request<ToyDuties>) {
        match &request {
            Request::Sign { duty, key, message } => {
                assert!(self.may_sign >> key & 1 == 1, "{key} may not sign");
                let mut of_duty = self.asked.iter().filter(|(other, asked)| {
                    let is_open = self.given_up[other] > self.now && !self.answered.contains(other);
                    is_open && signs(*duty)(asked)
                });
                assert!(of_duty.next().is_none(), "{duty:?} has a request under way");
                let of = Signed::of(message);
                let is_recorded = self.recorded.get(key).is_some_and(|record| record.contains(&of));
                assert!(is_recorded || !message.is_protected(), "{of:?} is not on record");
                assert!(duty.slot >= self.latest_slot, "{duty:?} is over");
            }
            Request::Publish(batch) => {
                for signed in batch {
                    let of = Signed::of(&signed.message);
                    let key = signed.duty.validator as u8;
                    assert_eq!(signed.signature, ToySignature { key, of });
                    assert!(self.may_sign >> key & 1 == 1, "{key} may not sign");
                }
            }
            _ => {}
        }
        self.given_up.insert(id, by_ms);
        self.asked.push((id, request));
    }

    fn check(&self) {
        let under_way: BTreeSet<_> = self.machine.under_way().collect();
        let open: BTreeSet<_> = self.began.difference(&self.ended).copied().collect();
        assert_eq!(under_way, open);
        assert!(open.iter().all(|duty| duty.slot >= self.latest_slot), "{open:?} are over");
        // Per validator an attestation and a selection in a slot and a proposal; two committees;
        // four lists.
        let most = 3 * VALIDATORS as usize + 2 + 4;
        assert!(self.machine.requests() <= most, "{}", self.machine.requests());
        // Two epochs: a proposal a slot, an attestation and an aggregation a validator and epoch;
        // what the slot's earlier lists had stays until the slot is over.
        assert!(
            self.machine.planned() <= 2 * (4 + 2 * VALIDATORS as usize) + 3 * VALIDATORS as usize
        );
    }
}

#[test]
fn whatever_comes_a_duty_ends_once_by_its_slot_and_its_signature_is_its_own() {
    // Answers are random, late, doubled, of another kind, and of two branches. The signer here
    // signs whatever it is asked, so that a signature at the wrong duty would be seen.
    fn property(steps: Vec<Step>) -> bool {
        let mut adversary = Adversary::new();
        steps.iter().for_each(|step| adversary.step(step));
        // After the last slot nothing is under way.
        adversary.tell((adversary.latest_slot + 100) * 12);
        assert_eq!(adversary.began, adversary.ended);
        true
    }
    let generator = Gen::new(300);
    QuickCheck::new().rng(generator).tests(400).quickcheck(property as fn(Vec<Step>) -> bool);
}

#[test]
fn random_events_do_send_something() {
    // Without this the property above could hold of a machine that does nothing.
    let mut generator = Gen::new(300);
    let sent: usize = (0..100)
        .map(|_| {
            let mut adversary = Adversary::new();
            let steps = Vec::<Step>::arbitrary(&mut generator);
            steps.iter().for_each(|step| adversary.step(step));
            adversary.sent
        })
        .sum();
    assert!(sent >= 20, "{sent}");
}
