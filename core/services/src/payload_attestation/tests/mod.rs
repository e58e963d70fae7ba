//! Each invariant by itself, over nodes and signers that the test plays; then the thread.

mod batches;
mod clock;
mod data;
mod duties;
mod panics;
mod random;
mod service;

use std::collections::BTreeMap;

use super::toy::{ToyVote, ToyVotes};
use super::{
    DutyId, Effect, Event, Limits, Outcome, PayloadAttestation, Reason, Reply, Request, RequestId,
    Step, Timing,
};
use crate::beacon_validator::{Head, Reading, Validator};
use crate::consensus::{Slot, ValidatorIndex};
use crate::machine::Machine;
use crate::ptc_duties::Listed;
use crate::supervision::contain;

/// Slots of 1200 ms, epochs of four slots: data at 750 ms, first batch at 850, deadline at 900,
/// second batch at 1050.
const TOY: ToyVotes = ToyVotes { timing: Timing::gloas(4, 1200) };
const FETCH: u64 = 750;
const GATHER: u64 = 850;
const DUE: u64 = 900;
const LATE: u64 = 1050;
/// The slot in which most tests have their duties. The process begins in the one before.
const SLOT: Slot = 5;

fn limits() -> Limits {
    Limits { asks_per_slot: 4, attempts: 3, node_ms: 60, retry_ms: 20, ..Limits::default() }
}

/// The block of a slot on a branch, as a head. The branches `a` and `b` have other committees.
fn head(branch: char, slot: Slot) -> Head<u8> {
    let dependent = if branch == 'a' { 1 } else { 2 };
    let root = (slot % 20) as u8 * 10 + dependent;
    Head { root, slot, current_dependent: dependent, previous_dependent: dependent }
}

fn data(branch: char, slot: Slot) -> ToyVote {
    ToyVote { slot, block: head(branch, slot).root, is_complete: true }
}

fn id(slot: Slot, validator: ValidatorIndex) -> DutyId {
    DutyId { slot, validator }
}

type Asked = (RequestId, u64, Request<ToyVotes>);

/// A machine, and what the test has not answered yet.
struct Line {
    machine: PayloadAttestation<ToyVotes>,
    now: u64,
    /// Requests with their times.
    asked: Vec<Asked>,
    began: Vec<DutyId>,
    ended: Vec<(DutyId, Outcome)>,
    took: Vec<(Step, u64)>,
    /// Who votes when, by the root that it depends on.
    lists: BTreeMap<u8, Vec<(ValidatorIndex, Slot)>>,
    /// The branch from which lists are answered; `None` if nobody answers.
    root: Option<u8>,
    /// Requests for lists that were answered.
    list_requests: usize,
}

impl Line {
    /// A process that began in slot 4, whose validators vote in `SLOT` on branch `a`; on branch `b`
    /// they vote in the next slot.
    fn of(validators: &[ValidatorIndex]) -> Self {
        let mut line = Self::at(SLOT * 1200 - 1200, validators);
        line.tell(Event::Head(head('a', 4)));
        line.until(SLOT, 0);
        line
    }

    /// A process that begins at a time.
    fn at(now: u64, validators: &[ValidatorIndex]) -> Self {
        let mut line = Self {
            machine: PayloadAttestation::new(TOY, limits()),
            now,
            asked: Vec::new(),
            began: Vec::new(),
            ended: Vec::new(),
            took: Vec::new(),
            lists: BTreeMap::new(),
            root: Some(1),
            list_requests: 0,
        };
        let of = |slot| validators.iter().map(|validator| (*validator, slot)).collect();
        line.lists = BTreeMap::from([(1, of(SLOT)), (2, of(SLOT + 1))]);
        line.set_validators(validators);
        line
    }

    /// A process that begins in slot 4, whose validators vote in these slots on branch `a`.
    fn listed(duties: &[(ValidatorIndex, Slot)]) -> Self {
        let mut line = Self::at(4 * 1200, &[]);
        line.lists = BTreeMap::from([(1, duties.to_vec())]);
        let validators: Vec<_> = duties.iter().map(|(validator, _)| *validator).collect();
        line.tell(Event::Head(head('a', 4)));
        line.set_validators(&validators);
        line
    }

    fn set_validators(&mut self, validators: &[ValidatorIndex]) {
        let of = |index: &u64| Validator { index: *index, key: *index as u8, may_sign: true };
        self.tell(Event::Validators(validators.iter().map(of).collect()));
    }

    fn tell(&mut self, event: Event<ToyVotes>) {
        for effect in self.machine.handle(&Reading::SinceGenesis(self.now), event) {
            match effect {
                Effect::Ask { id, by_ms, request } => self.asked.push((id, by_ms, request)),
                Effect::Began(duty) => self.began.push(duty),
                Effect::Took { step, ms, .. } => self.took.push((step, ms)),
                Effect::Ended { duty, outcome } => self.ended.push((duty, outcome)),
            }
        }
        self.serve_lists();
    }

    /// Hands an event over while the node's head is on the branch of another root.
    fn serve(&mut self, root: u8, event: Event<ToyVotes>) {
        self.root = Some(root);
        self.tell(event);
        self.root = Some(1);
    }

    /// Answers every request for duties.
    fn serve_lists(&mut self) {
        let is_list = |asked: &Asked| matches!(asked.2, Request::Duties { .. });
        while let Some(root) = self.root
            && let Some(at) = self.asked.iter().position(is_list)
        {
            let (request, _, asked) = self.asked.remove(at);
            let Request::Duties { epoch, validators } = asked else { continue };
            self.list_requests += 1;
            let reply = self.list(root, epoch, &validators);
            self.tell(Event::Reply { request, reply });
        }
    }

    fn list(&self, root: u8, epoch: u64, validators: &[ValidatorIndex]) -> Reply<ToyVotes> {
        let of_epoch = |(validator, slot): &&(ValidatorIndex, Slot)| {
            slot / 4 == epoch && validators.contains(validator)
        };
        let listed = self.lists.get(&root).into_iter().flatten().filter(of_epoch);
        let duties = listed
            .map(|(validator, slot)| Listed {
                validator: *validator,
                key: *validator as u8,
                slot: *slot,
            })
            .collect();
        Reply::Duties { dependent_root: root, duties }
    }

    /// Moves the clock, and wakes the machine at each of its times.
    fn until(&mut self, slot: Slot, ms: u64) {
        let to = slot * 1200 + ms;
        loop {
            let next = self.machine.wake_at().expect("after genesis");
            assert!(next > self.now, "a time that has come is no time to wait for");
            if next > to {
                break;
            }
            self.now = next;
            self.tell(Event::Wake);
        }
        self.now = to;
        self.tell(Event::Wake);
    }

    /// Takes the only request that a predicate picks.
    fn take(&mut self, picks: impl Fn(&Request<ToyVotes>) -> bool) -> Asked {
        let mut found: Vec<_> =
            self.asked.iter().enumerate().filter(|(_, asked)| picks(&asked.2)).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        let at = found.remove(0).0;
        self.asked.remove(at)
    }

    fn data_requests(&self) -> usize {
        self.asked.iter().filter(|asked| matches!(asked.2, Request::Data { .. })).count()
    }

    fn answer_data(&mut self, reply: Reply<ToyVotes>) {
        let (request, ..) = self.take(|asked| matches!(asked, Request::Data { .. }));
        self.tell(Event::Reply { request, reply });
    }

    /// Answers the request for the signature of a validator.
    fn sign(&mut self, validator: ValidatorIndex) {
        let (_, _, Request::Sign { key, data, .. }) = self.look_sign(validator) else {
            unreachable!("it was looked for")
        };
        self.answer_sign(validator, Reply::Signature((key, data)));
    }

    fn look_sign(&self, validator: ValidatorIndex) -> Asked {
        let is_its = |asked: &&Asked| matches!(asked.2, Request::Sign { duty, .. } if duty.validator == validator);
        self.asked.iter().find(is_its).cloned().expect("a signature is asked for")
    }

    fn answer_sign(&mut self, validator: ValidatorIndex, reply: Reply<ToyVotes>) {
        let (request, ..) = self.take(
            |asked| matches!(asked, Request::Sign { duty, .. } if duty.validator == validator),
        );
        self.tell(Event::Reply { request, reply });
    }

    fn signers(&self) -> Vec<ValidatorIndex> {
        let of = self.asked.iter().filter_map(|(.., asked)| match asked {
            Request::Sign { duty, .. } => Some(duty.validator),
            _ => None,
        });
        of.collect()
    }

    /// The validators whose votes are on their way, by batch.
    fn batches(&self) -> Vec<Vec<ValidatorIndex>> {
        let of = self.asked.iter().filter_map(|(.., asked)| match asked {
            Request::Publish { votes, .. } => {
                Some(votes.iter().map(|vote| vote.validator).collect())
            }
            _ => None,
        });
        of.collect()
    }

    fn answer_publish(&mut self, reply: Reply<ToyVotes>) {
        let (request, ..) = self.take(|asked| matches!(asked, Request::Publish { .. }));
        self.tell(Event::Reply { request, reply });
    }

    /// Asserts how the duties have ended, in order.
    fn assert_ended(&self, expected: &[(ValidatorIndex, Outcome)]) {
        let expected: Vec<_> =
            expected.iter().map(|(validator, how)| (id(SLOT, *validator), *how)).collect();
        assert_eq!(self.ended, expected);
    }
}

fn all_taken() -> Reply<ToyVotes> {
    Reply::Published { refused: Vec::new() }
}

fn sent(lead_ms: i64) -> Outcome {
    Outcome::Sent { lead_ms }
}

fn missed(why: Reason) -> Outcome {
    Outcome::Missed(why)
}

#[test]
fn limits_of_nothing_and_times_out_of_order_are_refused() {
    // Each limit as 0; then a deadline after the time of the late batch.
    let zeros = [
        Limits { heads: 0, ..limits() },
        Limits { asks_per_slot: 0, ..limits() },
        Limits { attempts: 0, ..limits() },
        Limits { node_ms: 0, ..limits() },
        Limits { retry_ms: 0, ..limits() },
    ];
    for limits in zeros {
        assert!(contain(|| PayloadAttestation::new(TOY, limits)).is_err(), "{limits:?}");
    }
    let late = ToyVotes { timing: Timing { due_ms: 1100, ..TOY.timing } };
    assert!(contain(|| PayloadAttestation::new(late, limits())).is_err());
    assert!(contain(|| PayloadAttestation::new(TOY, limits())).is_ok());
}
