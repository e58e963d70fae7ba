//! The thread, with ports that hand every request to the test.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blocksmith_sync::{Primitives, Std};

use super::super::service::{
    Answer, BeaconNode, BeaconValidatorHandle, BeaconValidatorService, Clock, Ending, Journal,
    Port, Ports, SignerProtects,
};
use super::*;

/// A request with the means to answer it.
type Started = (Request<ToyDuties>, Answer<Std, ToyDuties>);

/// Hands requests to the test.
struct ToTest(mpsc::Sender<Started>);

impl Port<Std, ToyDuties> for ToTest {
    fn start(&mut self, request: Request<ToyDuties>, _: u64, answer: Answer<Std, ToyDuties>) {
        // A test that has ended needs no more.
        let _ = self.0.send((request, answer));
    }
}

impl BeaconNode<Std, ToyDuties> for ToTest {
    fn subscribe(&mut self, _: Vec<Listed<u8>>) {}
}

/// A clock that the test sets.
struct SetClock(Arc<AtomicU64>);

impl Clock for SetClock {
    fn read(&self) -> Reading {
        Reading::SinceGenesis(self.0.load(Ordering::Relaxed))
    }
}

/// Keeps outcomes, and tells the test of each.
struct Outcomes(Arc<Mutex<Vec<(DutyId, Outcome)>>>, mpsc::Sender<()>);

impl Journal for Outcomes {
    fn began(&mut self, _: DutyId) {}

    fn ended(&mut self, duty: DutyId, outcome: Outcome) {
        self.0.lock().expect("no holder panics").push((duty, outcome));
        let _ = self.1.send(());
    }
}

struct Running {
    handle: BeaconValidatorHandle<Std, ToyDuties>,
    now: Arc<AtomicU64>,
    requests: mpsc::Receiver<Started>,
    outcomes: Arc<Mutex<Vec<(DutyId, Outcome)>>>,
    ended: mpsc::Receiver<()>,
    thread: <Std as Primitives>::JoinHandle<Ending>,
}

/// Slots that are long enough that no time of theirs comes by itself during a test.
const SLOW: ToyDuties = ToyDuties { timing: Timing::phase0(4, 12_000_000) };
const MS: u64 = 1_000_000;

/// A test that waits longer than this has failed.
const LONG: Duration = Duration::from_secs(30);

fn start() -> Running {
    start_with(8)
}

fn start_with(room: usize) -> Running {
    let (to_test, requests) = mpsc::channel();
    let (tell, ended) = mpsc::channel();
    let now = Arc::new(AtomicU64::new(48 * MS));
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let ports = Ports {
        clock: Box::new(SetClock(now.clone())),
        node: Box::new(ToTest(to_test.clone())),
        signer: Box::new(ToTest(to_test)),
        protection: Box::new(SignerProtects),
        journal: Box::new(Outcomes(outcomes.clone(), tell)),
    };
    let limits = Limits { node_ms: 100 * MS, ..limits() };
    let (service, handle) = BeaconValidatorService::new(SLOW, limits, room, ports);
    let thread = Std::spawn("validators", || service.run());
    handle.head(HEAD);
    let validators = [1, 3].map(|index| Validator { index, key: index as u8, may_sign: true });
    handle.validators(validators.to_vec());
    Running { handle, now, requests, outcomes, ended, thread }
}

impl Running {
    /// Returns the next request, and fails if it does not fit.
    fn next(&self, fits: impl Fn(&Request<ToyDuties>) -> bool) -> Started {
        let (request, answer) = self.requests.recv_timeout(LONG).expect("it is asked");
        assert!(fits(&request), "{request:?}");
        (request, answer)
    }

    /// Answers the three lists: both validators attest in slot 4.
    fn lists(&self) {
        for _ in 0..3 {
            let (request, answer) = self.next(|request| matches!(request, Request::Duties { .. }));
            let Request::Duties { epoch, list, .. } = request else { unreachable!() };
            let dependent_root =
                HEAD.dependent_root(&SLOW.timing, list, epoch).expect("it is known");
            let listed = match (epoch, list) {
                (1, DutyList::Attesters) => vec![attester(4, 1, 0), attester(4, 3, 0)],
                _ => Vec::new(),
            };
            answer.give(Reply::Duties { dependent_root, listed });
        }
        for _ in 0..2 {
            let (request, answer) = self.next(is_selection);
            answer.give(honest(&request));
        }
    }

    fn set(&self, ms: u64) {
        self.now.store(ms * MS, Ordering::Relaxed);
        self.handle.tick();
    }
}

#[test]
fn requests_overlap_and_a_signer_that_hangs_holds_nobody_up() {
    // Both signatures are asked for before either comes; one never comes.
    let running = start();
    running.lists();
    running.set(52);
    let (request, answer) = running.next(is_data);
    answer.give(honest(&request));
    let (first, answer_first) = running.next(is_sign);
    let (_, hangs) = running.next(is_sign);
    answer_first.give(honest(&first));
    running.set(54);
    let (request, answer) = running.next(is_publish);
    answer.give(honest(&request));
    running.ended.recv_timeout(LONG).expect("the first has ended");
    running.set(60);
    running.ended.recv_timeout(LONG).expect("the second has ended");
    let outcomes = running.outcomes.lock().expect("no holder panics").clone();
    assert_eq!(outcomes[0], (duty(4, Kind::Attestation, 1), Outcome::Sent));
    let late = Outcome::Missed(Reason::SignerLate);
    assert_eq!(outcomes[1], (duty(4, Kind::Attestation, 3), late));
    drop(hangs);
    running.handle.stop();
    assert!(running.thread.join().is_ok());
}

#[test]
fn an_answer_that_is_dropped_is_a_failure() {
    // The signer forgets both; they are asked for again when the clock is read next, and not when
    // another message comes at the same time.
    let running = start();
    running.lists();
    running.set(52);
    let (request, answer) = running.next(is_data);
    answer.give(honest(&request));
    for _ in 0..2 {
        drop(running.next(is_sign));
    }
    let validators = [1, 3, 5].map(|index| Validator { index, key: index as u8, may_sign: true });
    running.handle.validators(validators.to_vec());
    drop(running.next(|request| matches!(request, Request::Duties { .. })));
    running.set(53);
    let mut asked = std::iter::from_fn(|| running.requests.recv_timeout(LONG).ok());
    let (request, answer) = asked.find(|(request, _)| is_sign(request)).expect("it is asked");
    answer.give(honest(&request));
    running.handle.stop();
    assert!(running.thread.join().is_ok());
}

#[test]
fn a_stop_does_not_wait_for_answers_and_nothing_is_published_after_it() {
    // The signatures come after the stop.
    let running = start();
    running.lists();
    running.set(52);
    let (request, answer) = running.next(is_data);
    answer.give(honest(&request));
    let signs = [running.next(is_sign), running.next(is_sign)];
    running.handle.stop();
    assert!(running.thread.join().is_ok());
    for (request, answer) in signs {
        answer.give(honest(&request));
    }
    assert!(running.requests.try_recv().is_err(), "the service is gone");
}

#[test]
fn a_request_for_which_there_is_no_room_is_made_later() {
    // There is room for one, and the machine asks for three lists.
    let running = start_with(1);
    let proposers = |request: &Request<ToyDuties>| asks_list(1, DutyList::Proposers)(request);
    let attesters = |request: &Request<ToyDuties>| asks_list(1, DutyList::Attesters)(request);
    let (_, first) = running.next(proposers);
    first.give(Reply::Duties { dependent_root: HEAD.root, listed: Vec::new() });
    running.set(49);
    let (_, second) = running.next(attesters);
    drop(second);
    running.handle.stop();
    assert!(running.thread.join().is_ok());
}

/// A clock that the test sets, also to before genesis.
struct AnyClock(Arc<Mutex<Reading>>);

impl Clock for AnyClock {
    fn read(&self) -> Reading {
        *self.0.lock().expect("no holder panics")
    }
}

#[test]
fn the_machine_is_told_the_time_when_it_is_due_or_steps_back_and_is_woken_by_then() {
    // Before genesis; at the start of slot 4; when nothing is due; when attestations are; and a
    // step back. What the machine was told last is what the wait counts from.
    let now = Arc::new(Mutex::new(Reading::BeforeGenesis));
    let (to_test, _) = mpsc::channel();
    let (tell, _) = mpsc::channel();
    let ports = Ports {
        clock: Box::new(AnyClock(now.clone())),
        node: Box::new(ToTest(to_test.clone())),
        signer: Box::new(ToTest(to_test)),
        protection: Box::new(SignerProtects),
        journal: Box::new(Outcomes(Arc::default(), tell)),
    };
    let (mut service, _handle) = BeaconValidatorService::new(SLOW, limits(), 8, ports);
    let mut until_next = |reading| {
        *now.lock().expect("no holder panics") = reading;
        service.read_clock(false).expect("nothing panics");
        service.until_next()
    };
    assert_eq!(until_next(Reading::BeforeGenesis), Duration::from_millis(MS));
    for (now, left) in [(48, 4), (49, 4), (52, 2), (51, 1)] {
        let now = Reading::SinceGenesis(now * MS);
        assert_eq!(until_next(now), Duration::from_millis(left * MS), "{now:?}");
    }
}
