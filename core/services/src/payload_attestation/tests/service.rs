//! The thread, with ports that hand every request to the test.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use blocksmith_sync::{Primitives, Std};

use super::super::service::{Answer, Builder, Journal, PayloadAttestationHandle, Port, Ports};
use super::*;
use crate::beacon_validator::service::{Clock, Ending};

/// A request with the means to answer it.
type Started = (Request<ToyVotes>, Answer<Std, ToyVotes>);

/// A test that waits longer than this has failed.
const LONG: Duration = Duration::from_secs(30);

/// Slots that are long enough that no time of theirs comes by itself during a test.
const SLOW: ToyVotes = ToyVotes { timing: Timing::gloas(4, 1200 * MS) };
const MS: u64 = 100_000;

/// Answers lists, and hands other requests to the test.
struct ToTest(mpsc::Sender<Started>);

impl Port<Std, ToyVotes> for ToTest {
    fn start(&mut self, request: Request<ToyVotes>, _: u64, answer: Answer<Std, ToyVotes>) {
        if let Request::Duties { epoch, validators } = &request {
            let listed = validators.iter().filter(|_| *epoch == SLOT / 4);
            let duty = |of: &u64| Listed { validator: *of, key: *of as u8, slot: SLOT };
            let duties = listed.map(duty).collect();
            answer.give(Reply::Duties { dependent_root: 1, duties });
        } else {
            // A test that has ended needs no more.
            drop(self.0.send((request, answer)));
        }
    }
}

/// A clock that shows slot 4 when it is read first, and then what the test has set. Each reading is
/// later than the one before by the last number.
struct SetClock(Arc<AtomicU64>, Cell<u64>, u64);

impl Clock for SetClock {
    fn read(&self) -> Reading {
        let readings = self.1.replace(self.1.get() + 1);
        let now = self.0.load(Ordering::Relaxed) + readings * self.2;
        Reading::SinceGenesis(if readings == 0 { 4 * 1200 * MS } else { now })
    }
}

/// What the journal hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Began(DutyId),
    Took(Step),
    Ended(DutyId, Outcome),
}

struct Tells(mpsc::Sender<Heard>);

impl Tells {
    fn tell(&self, heard: Heard) {
        // A test that has ended hears no more.
        let _ = self.0.send(heard);
    }
}

impl Journal for Tells {
    fn began(&mut self, duty: DutyId) {
        self.tell(Heard::Began(duty));
    }

    fn ended(&mut self, duty: DutyId, outcome: Outcome) {
        self.tell(Heard::Ended(duty, outcome));
    }

    fn took(&mut self, _: Slot, step: Step, _: u64) {
        self.tell(Heard::Took(step));
    }
}

struct Running {
    handle: PayloadAttestationHandle<Std, ToyVotes>,
    now: Arc<AtomicU64>,
    requests: mpsc::Receiver<Started>,
    heard: mpsc::Receiver<Heard>,
    thread: <Std as Primitives>::JoinHandle<Ending>,
}

/// Starts a service in slot 4, and lets the time for the data of `SLOT` come, in which the validators
/// 1 and 2 vote. Each reading of the clock is later by `step` milliseconds.
fn start(step: u64) -> Running {
    start_with(step, 8, &[1, 2])
}

/// As [`start`], with room for so many requests, and for these validators.
fn start_with(step: u64, requests: usize, validators: &[u64]) -> Running {
    let room = requests;
    let (to_test, requests) = mpsc::channel();
    let (tell, heard) = mpsc::channel();
    let now = Arc::new(AtomicU64::new((SLOT * 1200 + FETCH) * MS));
    let ports = Ports {
        clock: Box::new(SetClock(now.clone(), Cell::new(0), step)),
        node: Box::new(ToTest(to_test.clone())),
        signer: Box::new(ToTest(to_test)),
        journal: Box::new(Tells(tell)),
    };
    let limits = Limits { node_ms: 60 * MS, retry_ms: 1, gather_ms: 1200 * MS, ..limits() };
    let (service, handle) = Builder::new(SLOW).limits(limits).requests(room).build(ports);
    let thread = Std::spawn("votes", || service.run());
    handle.head(head('a', SLOT));
    let of = |index: &u64| Validator { index: *index, key: *index as u8, may_sign: true };
    handle.validators(validators.iter().map(of).collect());
    Running { handle, now, requests, heard, thread }
}

/// As [`start_with`], with the data fetched already.
fn start_signing(step: u64, requests: usize, validators: &[u64]) -> Running {
    let running = start_with(step, requests, validators);
    running.answer_data();
    running
}

/// Answers a request for a signature, and returns for whom it is.
fn signed((request, answer): Started) -> ValidatorIndex {
    let Request::Sign { duty, key, data } = request else { panic!("{request:?}") };
    answer.give(Reply::Signature((key, data)));
    duty.validator
}

impl Running {
    fn next(&self) -> Started {
        self.requests.recv_timeout(LONG).expect("it is asked")
    }

    /// Sets the clock, and tells the slot's head.
    fn set(&self, slot: Slot, ms: u64) {
        self.now.store((slot * 1200 + ms) * MS, Ordering::Relaxed);
        self.handle.head(head('a', slot));
    }

    fn answer_data(&self) {
        let (request, answer) = self.next();
        assert_eq!(request, Request::Data { slot: SLOT });
        answer.give(Reply::Data(data('a', SLOT)));
    }

    /// Signs what is asked for, and returns for whom it is.
    fn sign(&self) -> ValidatorIndex {
        signed(self.next())
    }

    /// Returns the means to answer a publication, which is to be of the votes of these validators.
    fn publication(&self, of: &[ValidatorIndex]) -> Answer<Std, ToyVotes> {
        let (request, answer) = self.next();
        let Request::Publish { votes, .. } = request else { panic!("{request:?}") };
        assert_eq!(votes.iter().map(|vote| vote.validator).collect::<Vec<_>>(), of);
        answer
    }

    /// Stops the service, and returns what it has asked for and was not taken.
    fn stop(self) -> Vec<Started> {
        self.handle.stop();
        assert_eq!(self.thread.join().expect("it ends"), Ending::Stopped);
        self.requests.try_iter().collect()
    }

    fn outcomes(&self, count: usize) -> Vec<(DutyId, Outcome)> {
        let mut ends = Vec::new();
        while ends.len() < count {
            if let Heard::Ended(duty, outcome) = self.heard.recv_timeout(LONG).expect("it ends") {
                ends.push((duty, outcome));
            }
        }
        ends
    }
}

#[test]
fn a_slot_is_one_request_for_data_one_for_each_signature_and_one_publication() {
    // Both signatures are asked for before either comes; the journal hears of every step.
    let running = start(0);
    running.answer_data();
    let started = [running.next(), running.next()];
    assert_eq!(started.map(signed), [1, 2]);
    running.publication(&[1, 2]).give(Reply::Published { refused: Vec::new() });
    let lead = sent(((DUE - FETCH) * MS).cast_signed());
    assert_eq!(running.outcomes(2), [(id(SLOT, 1), lead), (id(SLOT, 2), lead)]);
    assert!(running.stop().is_empty(), "nothing else was asked");
}

#[test]
fn a_signer_that_hangs_holds_nobody_up_and_its_duty_ends_with_its_slot() {
    // One signature never comes; the other one leaves by the deadline.
    let running = start(0);
    running.answer_data();
    assert_eq!(running.sign(), 1);
    let hangs = running.next();
    // The signature is there before the first batch's time is read.
    let hear = || running.heard.recv_timeout(LONG).expect("it is signed");
    while hear() != Heard::Took(Step::Sign) {}
    running.set(SLOT, GATHER);
    running.publication(&[1]).give(Reply::Published { refused: Vec::new() });
    let lead = sent(((DUE - GATHER) * MS).cast_signed());
    assert_eq!(running.outcomes(1), [(id(SLOT, 1), lead)]);
    running.set(SLOT + 1, 0);
    assert_eq!(running.outcomes(1), [(id(SLOT, 2), missed(Reason::SignerLate))]);
    drop(hangs);
    running.stop();
}

#[test]
fn an_answer_that_is_dropped_is_a_failure() {
    // The node forgets the data, and the signer a signature: both are asked again when the clock
    // has moved on.
    let running = start(1);
    drop(running.next());
    running.answer_data();
    drop(running.next());
    assert_eq!(running.sign(), 2);
    assert_eq!(running.sign(), 1);
    running.stop();
}

#[test]
fn a_duty_for_whose_signature_there_is_no_room_ends_and_delays_nobody() {
    // Two signers hang and take all the room. The third vote is tried as often as is tolerated.
    let running = start_signing(1, 2, &[1, 2, 3]);
    let hanging = [running.next(), running.next()];
    assert_eq!(running.outcomes(1), [(id(SLOT, 3), missed(Reason::SignerFailed))]);
    assert_eq!(hanging.map(signed), [1, 2]);
    running.publication(&[1, 2]).give(Reply::Published { refused: Vec::new() });
    let ends = running.outcomes(2);
    assert!(ends.iter().all(|(_, how)| matches!(how, Outcome::Sent { .. })), "{ends:?}");
    running.stop();
}

#[test]
fn a_vote_that_a_client_has_no_room_for_ends_when_it_was_tried_often_enough() {
    // A client whose queue is full drops the answer, each time.
    let running = start_signing(1, 8, &[1, 2]);
    running.sign();
    running.sign();
    for _ in 0..limits().attempts {
        drop(running.publication(&[1, 2]));
    }
    let failed = missed(Reason::PublishFailed);
    assert_eq!(running.outcomes(2), [(id(SLOT, 1), failed), (id(SLOT, 2), failed)]);
    assert!(running.stop().is_empty(), "it is not tried again");
}

#[test]
fn a_stop_does_not_wait_for_answers_and_nothing_is_published_after_it() {
    // The signatures come after the stop.
    let running = start(0);
    running.answer_data();
    let signs = [running.next(), running.next()];
    running.handle.stop();
    running.handle.stop();
    assert_eq!(running.thread.join().expect("it ends"), Ending::Stopped);
    for (_, answer) in signs {
        let of = data('a', SLOT);
        answer.give(Reply::Signature((1, of)));
    }
    running.handle.head(head('b', SLOT));
    assert!(running.requests.try_recv().is_err(), "the service is gone");
}
