//! The thread, with ports that hand every request to the test.

mod panics;

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use blocksmith_sync::{Primitives, Std};

use super::super::service::{
    Answer, Builder, Journal, MAX_REQUESTS, PayloadAttestationHandle, Port, Ports,
};
use super::*;
use crate::beacon_validator::service::{Clock, Ending};
use crate::supervision::contain;

/// A request with the means to answer it.
type Started = (Request<ToyVotes>, Answer<Std, ToyVotes>);

/// A test that waits longer than this has failed.
const LONG: Duration = Duration::from_secs(30);

/// Slots that are long enough that no time of theirs comes by itself during a test.
const SLOW: ToyVotes = ToyVotes { timing: Timing::gloas(4, 1200 * MS) };
const MS: u64 = 100_000;

/// Validators from this one on vote in the slot after `SLOT`.
const LATER: ValidatorIndex = 10;

/// Answers lists and tells the test of their epochs, and hands other requests to the test.
#[derive(Clone)]
struct ToTest(mpsc::Sender<Started>, mpsc::Sender<u64>);

impl Port<Std, ToyVotes> for ToTest {
    fn start(&mut self, request: Request<ToyVotes>, _: u64, answer: Answer<Std, ToyVotes>) {
        if let Request::Duties { epoch, validators } = &request {
            let listed = validators.iter().filter(|_| *epoch == SLOT / 4);
            let slot_of = |of| if of < LATER { SLOT } else { SLOT + 1 };
            let duty = |of: &u64| Listed { validator: *of, key: *of as u8, slot: slot_of(*of) };
            let duties = listed.map(duty).collect();
            answer.give(Reply::Duties { dependent_root: 1, duties });
            // A test that has ended needs no more, here and below.
            let _ = self.1.send(*epoch);
        } else {
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
    lists: mpsc::Receiver<u64>,
    heard: mpsc::Receiver<Heard>,
    ended: mpsc::Receiver<Ending>,
}

/// Starts a service in slot 4, and lets the time for the data of `SLOT` come, in which the validators
/// 1 and 2 vote. Each reading of the clock is later by `step` milliseconds.
fn start(step: u64) -> Running {
    start_with(step, 8, &[1, 2])
}

/// As [`start`], with room for so many requests, and for these validators.
fn start_with(step: u64, requests: usize, validators: &[u64]) -> Running {
    let clock = |now| SetClock(now, Cell::new(0), step);
    let service = Builder::new(SLOW).requests(requests);
    Running::launch(service, validators, |ports, now| Ports {
        clock: Box::new(clock(now)),
        ..ports
    })
}

impl Running {
    /// Starts a service with the ports that `ports` makes of the test's own and of the time that
    /// the test sets. The head of `SLOT` and the validators are told.
    fn launch(
        service: Builder<ToyVotes>,
        validators: &[u64],
        ports: impl FnOnce(Ports<Std, ToyVotes>, Arc<AtomicU64>) -> Ports<Std, ToyVotes>,
    ) -> Self {
        let (to_test, requests) = mpsc::channel();
        let (tell_list, lists) = mpsc::channel();
        let (tell, heard) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let now = Arc::new(AtomicU64::new((SLOT * 1200 + FETCH) * MS));
        let to_test = ToTest(to_test, tell_list);
        let own = Ports {
            clock: Box::new(SetClock(now.clone(), Cell::new(0), 0)),
            node: Box::new(to_test.clone()),
            signer: Box::new(to_test),
            journal: Box::new(Tells(tell)),
        };
        let limits = Limits { node_ms: 60 * MS, retry_ms: 1, gather_ms: 1200 * MS, ..limits() };
        let (service, handle) = service.limits(limits).build(ports(own, now.clone()));
        // The handle of the thread is dropped: the test waits for its last word.
        drop(Std::spawn("votes", move || end.send(service.run())));
        handle.head(head('a', SLOT));
        let of = |index: &u64| Validator { index: *index, key: *index as u8, may_sign: true };
        handle.validators(validators.iter().map(of).collect());
        Self { handle, now, requests, lists, heard, ended }
    }

    /// Stops the service, and waits for its end.
    fn stop(&self) {
        self.handle.stop();
        assert_eq!(self.ended.recv_timeout(LONG), Ok(Ending::Stopped));
    }

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
        match self.next() {
            (Request::Sign { duty, key, data }, answer) => {
                answer.give(Reply::Signature((key, data)));
                duty.validator
            }
            (other, _) => panic!("{other:?}"),
        }
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
    for (request, answer) in started {
        let Request::Sign { key, data, .. } = request else { panic!("{request:?}") };
        answer.give(Reply::Signature((key, data)));
    }
    let (request, answer) = running.next();
    let Request::Publish { votes, .. } = request else { panic!("{request:?}") };
    assert_eq!(votes.iter().map(|vote| vote.validator).collect::<Vec<_>>(), [1, 2]);
    answer.give(Reply::Published { refused: Vec::new() });
    let lead = sent(((DUE - FETCH) * MS).cast_signed());
    assert_eq!(running.outcomes(2), [(id(SLOT, 1), lead), (id(SLOT, 2), lead)]);
    running.stop();
    assert!(running.requests.try_recv().is_err(), "nothing else was asked");
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
    let (_, answer) = running.next();
    answer.give(Reply::Published { refused: Vec::new() });
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
    let running = start_with(1, 2, &[1, 2, 3]);
    running.answer_data();
    let hanging = [running.next(), running.next()];
    assert_eq!(running.outcomes(1), [(id(SLOT, 3), missed(Reason::SignerFailed))]);
    for (request, answer) in hanging {
        let Request::Sign { key, data, .. } = request else { panic!("{request:?}") };
        answer.give(Reply::Signature((key, data)));
    }
    let (request, answer) = running.next();
    let Request::Publish { votes, .. } = request else { panic!("{request:?}") };
    assert_eq!(votes.iter().map(|vote| vote.validator).collect::<Vec<_>>(), [1, 2]);
    answer.give(Reply::Published { refused: Vec::new() });
    let ends = running.outcomes(2);
    assert!(ends.iter().all(|(_, how)| matches!(how, Outcome::Sent { .. })), "{ends:?}");
    running.stop();
}

#[test]
fn a_vote_that_a_client_has_no_room_for_ends_when_it_was_tried_often_enough() {
    // A client whose queue is full drops the answer, each time.
    let running = start(1);
    running.answer_data();
    running.sign();
    running.sign();
    for _ in 0..limits().attempts {
        let (request, answer) = running.next();
        assert!(matches!(request, Request::Publish { .. }), "{request:?}");
        drop(answer);
    }
    let failed = missed(Reason::PublishFailed);
    assert_eq!(running.outcomes(2), [(id(SLOT, 1), failed), (id(SLOT, 2), failed)]);
    running.stop();
    assert!(running.requests.try_recv().is_err(), "it is not tried again");
}

#[test]
fn a_stop_does_not_wait_for_answers_and_nothing_is_published_after_it() {
    // The signatures come after the stop.
    let running = start(0);
    running.answer_data();
    let signs = [running.next(), running.next()];
    running.handle.stop();
    running.stop();
    for (_, answer) in signs {
        let of = data('a', SLOT);
        answer.give(Reply::Signature((1, of)));
    }
    running.handle.head(head('b', SLOT));
    assert!(running.requests.try_recv().is_err(), "the service is gone");
}

#[test]
fn what_comes_late_is_handled_at_the_time_that_the_clock_shows_then() {
    // P5: the slot is over when the data come, and nobody has told the service so.
    let running = start(0);
    let (_, answer) = running.next();
    running.now.store((SLOT + 1) * 1200 * MS, Ordering::Relaxed);
    answer.give(Reply::Data(data('a', SLOT)));
    let late = missed(Reason::NodeLate);
    assert_eq!(running.outcomes(2), [(id(SLOT, 1), late), (id(SLOT, 2), late)]);
    running.stop();
    assert!(running.requests.try_recv().is_err(), "nothing is signed");
}

/// A clock that shows what another one shows, and of whose moves the service is told.
struct Announced(SetClock);

impl Clock for Announced {
    fn read(&self) -> Reading {
        self.0.read()
    }

    fn is_told(&self) -> bool {
        true
    }
}

#[test]
fn a_tick_has_the_clock_read_at_once() {
    // The first batch's time comes. Nothing but a message has this clock read, so that no reading
    // for a wait can be meant for the tick's.
    let running = Running::launch(Builder::new(SLOW), &[1, 2], |own, now| Ports {
        clock: Box::new(Announced(SetClock(now, Cell::new(0), 0))),
        ..own
    });
    running.answer_data();
    assert_eq!(running.sign(), 1);
    let hangs = running.next();
    let hear = || running.heard.recv_timeout(LONG).expect("it is signed");
    while hear() != Heard::Took(Step::Sign) {}
    running.now.store((SLOT * 1200 + GATHER) * MS, Ordering::Relaxed);
    running.handle.tick();
    assert!(matches!(running.next().0, Request::Publish { .. }));
    drop(hangs);
    running.stop();
}

/// A clock that shows one time for so many readings, and another one from then on.
struct Jumps(Cell<u64>, Reading, Reading);

impl Clock for Jumps {
    fn read(&self) -> Reading {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        if left > 0 { self.1 } else { self.2 }
    }
}

/// A clock that counts its readings, and of whose moves the service is told.
struct Told(Arc<AtomicU64>);

impl Clock for Told {
    fn read(&self) -> Reading {
        self.0.fetch_add(1, Ordering::Relaxed);
        Reading::SinceGenesis(SLOT * 1200 * MS)
    }

    fn is_told(&self) -> bool {
        true
    }
}

#[test]
fn a_clock_whose_moves_are_told_is_read_for_messages_alone() {
    // The start, the head, the validators, and the answers to four requests for lists.
    let readings = Arc::new(AtomicU64::new(0));
    let clock = Box::new(Told(readings.clone()));
    let running = Running::launch(Builder::new(SLOW), &[1, 2], |own, _| Ports { clock, ..own });
    for epoch in [1, 2, 1, 2] {
        assert_eq!(running.lists.recv_timeout(LONG), Ok(epoch));
    }
    running.stop();
    assert_eq!(readings.load(Ordering::Relaxed), 7);
}

/// Slots of 120 ms, which are waited for.
const FAST: ToyVotes = ToyVotes { timing: Timing::gloas(4, 120) };

#[test]
fn genesis_is_noticed_without_a_message() {
    // The start, the head and the validators come before genesis, and one reading more.
    let clock = Jumps(Cell::new(4), Reading::BeforeGenesis, Reading::SinceGenesis(SLOT * 120));
    let ports = |own, _| Ports { clock: Box::new(clock), ..own };
    let running = Running::launch(Builder::new(FAST), &[1], ports);
    assert_eq!(running.lists.recv_timeout(LONG), Ok(SLOT / 4));
    running.stop();
}

#[test]
fn a_clock_that_has_stepped_back_is_noticed_within_a_slot_without_a_message() {
    // It goes back by twenty minutes when it is read for the next wait. So the reading is an odd
    // one: each turn reads the clock, and so does the wait before it.
    let at = |slot| Reading::SinceGenesis(slot * 120);
    let clock = Jumps(Cell::new(13), at(SLOT + 10_000), at(SLOT));
    let ports = |own, _| Ports { clock: Box::new(clock), ..own };
    let running = Running::launch(Builder::new(FAST), &[1], ports);
    let next = || running.lists.recv_timeout(LONG).expect("it is asked");
    while next() != SLOT / 4 {}
    running.stop();
}

/// A journal that lets time pass while it hears of a signature.
struct Slow(Tells, Arc<AtomicU64>);

impl Journal for Slow {
    fn began(&mut self, duty: DutyId) {
        self.0.began(duty);
    }

    fn ended(&mut self, duty: DutyId, outcome: Outcome) {
        self.0.ended(duty, outcome);
    }

    fn took(&mut self, slot: Slot, step: Step, ms: u64) {
        if step == Step::Sign {
            self.1.store((SLOT * 1200 + GATHER) * MS, Ordering::Relaxed);
        }
        self.0.took(slot, step, ms);
    }
}

#[test]
fn the_time_that_an_event_takes_is_not_waited_for_again() {
    // The first batch's time comes while the only signature is handled. No message comes after it.
    let (tell, _heard) = mpsc::channel();
    let running = Running::launch(Builder::new(SLOW), &[1, 2], |own, now| Ports {
        journal: Box::new(Slow(Tells(tell), now)),
        ..own
    });
    running.answer_data();
    assert_eq!(running.sign(), 1);
    let hangs = running.next();
    assert!(matches!(running.next().0, Request::Publish { .. }));
    drop(hangs);
    running.stop();
}

#[test]
fn a_service_that_has_room_for_more_requests_than_a_mailbox_is_not_built() {
    // As many as there may be, and one more.
    let build = |requests| {
        let service = Builder::new(SLOW).requests(requests);
        contain(|| Running::launch(service, &[], |own, _| own).stop())
    };
    let text = "32767 requests are more than a mailbox can hold".to_owned();
    assert_eq!([MAX_REQUESTS, MAX_REQUESTS + 1].map(build), [Ok(()), Err(text)]);
}

#[test]
fn a_payload_that_a_node_has_is_voted_on_before_the_time_for_data() {
    // The clock reads the slot's beginning when the payload is told.
    let running = Running::launch(Builder::new(SLOW), &[1], |ports, now| {
        now.store(SLOT * 1200 * MS, Ordering::Relaxed);
        ports
    });
    while running.lists.recv_timeout(LONG).expect("lists are asked for") != SLOT / 4 {}
    running.handle.available(SLOT, head('a', SLOT).root);
    running.answer_data();
    running.stop();
}

/// A clock that shows a time before genesis.
struct Before;

impl Clock for Before {
    fn read(&self) -> Reading {
        Reading::BeforeGenesis
    }
}

#[test]
fn before_genesis_the_service_wakes_twelve_times_in_a_slots_length() {
    // A service that nobody runs.
    let (to_test, _) = mpsc::channel();
    let (lists, _) = mpsc::channel();
    let (tell, _) = mpsc::channel();
    let to_test = ToTest(to_test, lists);
    let ports = Ports {
        clock: Box::new(Before),
        node: Box::new(to_test.clone()),
        signer: Box::new(to_test),
        journal: Box::new(Tells(tell)),
    };
    let (service, _handle) = Builder::new(SLOW).limits(limits()).build::<Std>(ports);
    assert_eq!(service.until_next(), Duration::from_millis(100 * MS));
}
