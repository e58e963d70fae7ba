//! Panics: of the machine's step, and of what the service calls.

use std::sync::mpsc;
use std::time::Duration;

use blocksmith_sync::{Primitives, Std};

use super::super::service::{
    Answer, BeaconNode, BeaconValidatorHandle, BeaconValidatorService, Clock, Ending, Journal,
    Port, Ports, SignerProtects,
};
use super::super::succession::{Succession, TooManyPanics};
use super::super::toy::POISON;
use super::*;
use crate::supervision::Intensity;

const FOUR: DutyId = DutyId { slot: 4, kind: Kind::Attestation, validator: 1 };
const FIVE: DutyId = DutyId { slot: 5, kind: Kind::Attestation, validator: 3 };
const NOW: Duration = Duration::from_secs(1);

/// One panic in a minute is tolerated.
const ONE: Intensity = Intensity { max_restarts: 1, window: Duration::from_secs(60) };

/// A machine and its successors, and what they have asked for.
struct Line {
    machines: Succession<ToyDuties>,
    asked: Vec<(RequestId, Request<ToyDuties>)>,
}

impl Line {
    /// Returns a line at slot 4, whose validators 1 and 3 attest in slots 4 and 5.
    fn at_4(intensity: Intensity) -> Self {
        let mut line = Self::new(intensity);
        line.event(Event::Head(HEAD));
        let validators = [1, 3].map(|index| Validator { index, key: index as u8, may_sign: true });
        line.event(Event::Validators(validators.to_vec()));
        line.event(Event::Clock(Reading::SinceGenesis(48)));
        line.lists();
        line
    }

    fn new(intensity: Intensity) -> Self {
        Self { machines: Succession::new(TOY, limits(), intensity), asked: Vec::new() }
    }

    fn event(&mut self, event: Event<ToyDuties>) -> Vec<Effect<ToyDuties>> {
        let effects = self.machines.step(event).expect("no panic");
        let asked = effects.iter().filter_map(|effect| match effect {
            Effect::Ask { id, request, .. } => Some((*id, request.clone())),
            _ => None,
        });
        self.asked.extend(asked);
        effects
    }

    /// Answers every request for a list: the attesters of epoch 1 are known.
    fn lists(&mut self) {
        while let Some(at) =
            self.asked.iter().position(|(_, asked)| matches!(asked, Request::Duties { .. }))
        {
            let (request, Request::Duties { epoch, list, .. }) = self.asked.remove(at) else {
                unreachable!("it was looked for")
            };
            let dependent_root = HEAD.dependent_root(&TOY.timing, list, epoch).expect("known");
            let listed = match (epoch, list) {
                (1, DutyList::Attesters) => vec![attester(4, 1, 0), attester(5, 3, 0)],
                _ => Vec::new(),
            };
            self.event(Event::Reply { request, reply: Reply::Duties { dependent_root, listed } });
        }
    }

    fn data_request(&self) -> RequestId {
        self.asked.iter().find(|(_, asked)| is_data(asked)).expect("it is asked for").0
    }

    /// Has the machine panic over the data of slot 4.
    fn poison(&mut self) {
        self.event(Event::Clock(Reading::SinceGenesis(52)));
        let request = self.data_request();
        let reply = Reply::Data(ToyData { head: POISON, ..data(4, 0) });
        let panicked = self.machines.step(Event::Reply { request, reply });
        assert_eq!(panicked, Err("the data are poisoned".to_owned()));
        self.asked.clear();
    }
}

fn began(effects: &[Effect<ToyDuties>]) -> Vec<DutyId> {
    let began = effects.iter().filter_map(|effect| match effect {
        Effect::Began(duty) => Some(*duty),
        _ => None,
    });
    began.collect()
}

#[test]
fn a_panic_ends_the_duties_under_way_once_and_a_successor_does_those_of_later_slots() {
    // Slot 4's duty is lost. The successor knows the validators and both heads, asks for the lists
    // anew, and does slot 5's with data of the older head.
    let mut line = Line::at_4(ONE);
    line.event(Event::Head(Head { root: 9, ..HEAD }));
    line.poison();
    let lost = vec![(FOUR, Outcome::Missed(Reason::Fault))];
    assert_eq!(line.machines.replace(NOW), (lost, Ok(())));
    assert_eq!(line.machines.number(), 1);
    line.event(Event::Clock(Reading::SinceGenesis(53)));
    assert!(line.asked.iter().any(|(_, asked)| asks_list(1, DutyList::Attesters)(asked)));
    line.lists();
    assert_eq!(line.machines.get().under_way().count(), 0, "slot 4 is not begun again");
    let effects = line.event(Event::Clock(Reading::SinceGenesis(60)));
    assert_eq!(began(&effects), [FIVE]);
    line.event(Event::Clock(Reading::SinceGenesis(64)));
    let request = line.data_request();
    let effects = line.event(Event::Reply { request, reply: Reply::Data(data(5, 0)) });
    let protects =
        |effect: &Effect<_>| matches!(effect, Effect::Ask { request: Request::Protect(_), .. });
    assert!(effects.iter().any(protects), "the older head is known: {effects:?}");
}

#[test]
fn a_duty_that_has_ended_is_not_ended_by_a_later_panic() {
    // Slot 4's duty is missed when slot 5 begins; then the machine panics.
    let mut line = Line::at_4(ONE);
    line.event(Event::Clock(Reading::SinceGenesis(60)));
    line.event(Event::Clock(Reading::SinceGenesis(64)));
    let request = line.data_request();
    let reply = Reply::Data(ToyData { head: POISON, ..data(5, 0) });
    assert!(line.machines.step(Event::Reply { request, reply }).is_err());
    assert_eq!(line.machines.replace(NOW).0, [(FIVE, Outcome::Missed(Reason::Fault))]);
}

#[test]
fn more_panics_than_are_tolerated_leave_no_successor() {
    // One is tolerated in a minute. The second comes in the same minute, or in the next one.
    for (seconds, succeeds) in [(59, Err(TooManyPanics)), (61, Ok(()))] {
        let mut line = Line::at_4(ONE);
        line.poison();
        assert_eq!(line.machines.replace(NOW).1, Ok(()));
        assert_eq!(line.machines.replace(NOW + Duration::from_secs(seconds)).1, succeeds);
    }
}

#[test]
fn a_successor_whose_clock_is_set_back_by_more_than_an_epoch_does_the_duties_again() {
    // The clock has read slot 100 by mistake, and a duty of it has begun.
    let mut line = Line::new(ONE);
    line.event(Event::Head(HEAD));
    line.event(Event::Validators(vec![Validator { index: 3, key: 3, may_sign: true }]));
    line.event(Event::Clock(Reading::SinceGenesis(1200)));
    let (request, _) = line.asked.remove(1);
    let reply = Reply::Duties { dependent_root: HEAD.root, listed: vec![attester(100, 3, 0)] };
    assert_eq!(began(&line.event(Event::Reply { request, reply })).len(), 1);
    assert_eq!(line.machines.replace(NOW).1, Ok(()));
    line.asked.clear();
    line.event(Event::Clock(Reading::SinceGenesis(48)));
    line.lists();
    assert_eq!(began(&line.event(Event::Clock(Reading::SinceGenesis(60)))), [FIVE]);
}

/// Panics without the panic hook, as it is ordered.
fn throw() -> ! {
    std::panic::resume_unwind(Box::new("ordered"))
}

/// A port, clock and journal that panics once, and does as it should otherwise.
struct Panics<T> {
    is_due: std::sync::atomic::AtomicBool,
    inner: T,
}

impl<T> Panics<T> {
    fn once(inner: T) -> Box<Self> {
        Box::new(Self { is_due: true.into(), inner })
    }

    fn strike(&self) {
        if self.is_due.swap(false, std::sync::atomic::Ordering::Relaxed) {
            throw();
        }
    }
}

struct Fixed;

impl Clock for Panics<Fixed> {
    fn read(&self) -> Reading {
        self.strike();
        Reading::SinceGenesis(48)
    }

    fn is_told(&self) -> bool {
        true
    }
}

/// Tells the test of requests, and drops their answers.
struct Tells(mpsc::Sender<Request<ToyDuties>>);

impl Port<Std, ToyDuties> for Panics<Tells> {
    fn start(&mut self, request: Request<ToyDuties>, _: u64, answer: Answer<Std, ToyDuties>) {
        self.strike();
        let Tells(tell) = &self.inner;
        tell.send(request.clone()).expect("the test waits");
        if let Request::Duties { epoch, list, .. } = request {
            let dependent_root = HEAD.dependent_root(&TOY.timing, list, epoch).expect("known");
            let listed = match (epoch, list) {
                (1, DutyList::Attesters) => vec![attester(4, 1, 0)],
                _ => Vec::new(),
            };
            answer.give(Reply::Duties { dependent_root, listed });
        }
    }
}

impl BeaconNode<Std, ToyDuties> for Panics<Tells> {
    fn subscribe(&mut self, _: Vec<Listed<u8>>) {
        throw();
    }
}

/// A signer that tells the test when its first call has ended, with a panic or without.
struct TellsTheEnd(Box<Panics<Tells>>, Option<mpsc::Sender<()>>);

impl Port<Std, ToyDuties> for TellsTheEnd {
    fn start(&mut self, request: Request<ToyDuties>, by_ms: u64, answer: Answer<Std, ToyDuties>) {
        let Self(inner, end) = self;
        // The test's receiver is disconnected when this goes, which is after the answer has gone.
        let _end = end.take();
        inner.start(request, by_ms, answer);
    }
}

impl Journal for Panics<mpsc::Sender<DutyId>> {
    fn began(&mut self, duty: DutyId) {
        self.inner.send(duty).expect("the test waits");
        self.strike();
    }

    fn ended(&mut self, _: DutyId, _: Outcome) {}
}

#[test]
fn a_port_a_clock_and_a_journal_that_panic_cost_that_call_alone() {
    // The clock panics at its first reading, the node over the first list with the answer in its
    // hand and whenever it is told of attesters, and the journal over the first duty.
    let (tell, requests) = mpsc::channel();
    let (began, begun) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let ports = Ports {
        clock: Panics::once(Fixed),
        node: Panics::once(Tells(tell.clone())),
        signer: Box::new(TellsTheEnd(Panics::once(Tells(tell)), Some(end))),
        protection: Box::new(SignerProtects),
        journal: Panics::once(began),
    };
    let (service, handle) = BeaconValidatorService::new(TOY, limits(), 8, ports);
    let thread = Std::spawn("validators", || service.run());
    handle.head(HEAD);
    handle.validators(vec![Validator { index: 1, key: 1, may_sign: true }]);
    let next = || requests.recv_timeout(Duration::from_secs(30)).expect("it is asked");
    // The first list is asked for again, as the drop of its answer is a failure.
    let lists: Vec<_> = (0..3).map(|_| next()).collect();
    assert!(lists.iter().any(|request| asks_list(1, DutyList::Proposers)(request)), "{lists:?}");
    assert_eq!(begun.recv_timeout(Duration::from_secs(30)), Ok(FOUR));
    // The failure of the first selection proof is in the mailbox before the clock is read.
    let disconnected = Err(mpsc::RecvTimeoutError::Disconnected);
    assert_eq!(ended.recv_timeout(Duration::from_secs(30)), disconnected);
    handle.tick();
    assert!(is_selection(&next()), "the signer is asked again");
    handle.stop();
    assert_eq!(thread.join().expect("it ends"), Ending::Stopped);
}

/// Holds the service's thread up in its first request, until the test lets it go on.
struct Holds(mpsc::Sender<()>, mpsc::Receiver<()>);

impl Port<Std, ToyDuties> for Holds {
    fn start(&mut self, _: Request<ToyDuties>, _: u64, _: Answer<Std, ToyDuties>) {
        self.0.send(()).expect("the test waits");
        // It is let go on by the end of the test's sender, too.
        let _ = self.1.recv();
    }
}

impl BeaconNode<Std, ToyDuties> for Holds {
    fn subscribe(&mut self, _: Vec<Listed<u8>>) {}
}

#[test]
fn a_stop_does_not_wait_for_room_in_the_mailbox() {
    // The thread is held up in a port and 64 messages fill its mailbox; a second stop does nothing.
    let (arrive, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let (began, _begun) = mpsc::channel();
    let (tell, _requests) = mpsc::channel();
    let ports = Ports {
        clock: Box::new(Panics { is_due: false.into(), inner: Fixed }),
        node: Box::new(Holds(arrive, released)),
        signer: Panics::once(Tells(tell)),
        protection: Box::new(SignerProtects),
        journal: Panics::once(began),
    };
    let (service, handle) = BeaconValidatorService::new(TOY, limits(), 8, ports);
    let thread = Std::spawn("validators", || service.run());
    handle.validators(vec![Validator { index: 1, key: 1, may_sign: true }]);
    arrived.recv_timeout(Duration::from_secs(30)).expect("it is asked");
    (0..64).for_each(|_| handle.head(HEAD));
    handle.stop();
    handle.stop();
    drop(release);
    assert_eq!(thread.join().expect("it ends"), Ending::Stopped);
}

/// A node whose data for slot 4 are poisoned; a signer that hands everything to the test; and a
/// journal that tells of every duty.
#[derive(Clone)]
struct Poisons {
    clock: std::sync::Arc<std::sync::atomic::AtomicU64>,
    errands: mpsc::Sender<Answer<Std, ToyDuties>>,
    told: mpsc::Sender<(DutyId, Option<Outcome>)>,
}

impl Clock for Poisons {
    fn read(&self) -> Reading {
        Reading::SinceGenesis(self.clock.load(std::sync::atomic::Ordering::Relaxed))
    }

    fn is_told(&self) -> bool {
        true
    }
}

impl Port<Std, ToyDuties> for Poisons {
    fn start(&mut self, request: Request<ToyDuties>, _: u64, answer: Answer<Std, ToyDuties>) {
        match request {
            Request::Duties { epoch, list, .. } => {
                let dependent_root = HEAD.dependent_root(&TOY.timing, list, epoch).expect("known");
                let in_4 = [1, 5, 7, 9].map(|validator| attester(4, validator, 0));
                let listed = match (epoch, list) {
                    (1, DutyList::Attesters) => [&in_4[..], &[attester(5, 3, 0)]].concat(),
                    _ => Vec::new(),
                };
                answer.give(Reply::Duties { dependent_root, listed });
            }
            Request::Data { slot: 4, .. } => {
                answer.give(Reply::Data(ToyData { head: POISON, ..data(4, 0) }));
            }
            // The test may have ended.
            _ => drop(self.errands.send(answer)),
        }
    }
}

impl BeaconNode<Std, ToyDuties> for Poisons {
    fn subscribe(&mut self, _: Vec<Listed<u8>>) {}
}

impl Journal for Poisons {
    fn began(&mut self, duty: DutyId) {
        self.told.send((duty, None)).expect("the test waits");
    }

    fn ended(&mut self, duty: DutyId, outcome: Outcome) {
        self.told.send((duty, Some(outcome))).expect("the test waits");
    }
}

/// A service of validators 1, 3, 5, 7 and 9 at slot 4, and the ends of its channels.
struct Poisoned {
    clock: std::sync::Arc<std::sync::atomic::AtomicU64>,
    asked: mpsc::Receiver<Answer<Std, ToyDuties>>,
    journal: mpsc::Receiver<(DutyId, Option<Outcome>)>,
    handle: BeaconValidatorHandle<Std, ToyDuties>,
    thread: <Std as Primitives>::JoinHandle<Ending>,
}

fn poisoned(intensity: Intensity) -> Poisoned {
    let (errands, asked) = mpsc::channel();
    let (told, journal) = mpsc::channel();
    let clock = std::sync::Arc::new(52.into());
    let foreign = Poisons { clock: std::sync::Arc::clone(&clock), errands, told };
    let ports = Ports {
        clock: Box::new(foreign.clone()),
        node: Box::new(foreign.clone()),
        signer: Box::new(foreign.clone()),
        protection: Box::new(SignerProtects),
        journal: Box::new(foreign),
    };
    let (service, handle) =
        BeaconValidatorService::with_intensity(TOY, limits(), 32, ports, intensity);
    let thread = Std::spawn("validators", || service.run());
    handle.head(HEAD);
    let ours = [1, 3, 5, 7, 9].map(|index| Validator { index, key: index as u8, may_sign: true });
    handle.validators(ours.to_vec());
    Poisoned { clock, asked, journal, handle, thread }
}

#[test]
fn too_many_panics_end_the_thread_and_drop_the_journal() {
    // No panic is tolerated. The four duties of slot 4 are told as missed before the end.
    let none = Intensity { max_restarts: 0, ..ONE };
    let Poisoned { journal, thread, asked, handle, .. } = poisoned(none);
    assert_eq!(thread.join().expect("it ends"), Ending::TooManyPanics);
    let steps: Vec<_> = journal.try_iter().collect();
    let missed = Some(Outcome::Missed(Reason::Fault));
    assert_eq!(steps.iter().filter(|(_, ended)| *ended == missed).count(), 4, "{steps:?}");
    assert_eq!(journal.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    drop((asked, handle));
}

#[test]
fn an_answer_to_a_predecessor_is_dropped_though_a_request_has_its_number() {
    // The first machine leaves four selection proofs under way, numbered 4 to 7. The successor asks
    // for the one of slot 5 under number 7. The old ones make their validator an aggregator.
    let Poisoned { clock, asked, journal, handle, thread } = poisoned(ONE);
    let next = || asked.recv_timeout(Duration::from_secs(30)).expect("it is asked");
    let tells = || journal.recv_timeout(Duration::from_secs(30)).expect("it is told");
    let old: Vec<_> = (0..4).map(|_| next()).collect();
    let lost = (0..8).map(|_| tells()).filter(|(_, ended)| ended.is_some());
    assert!(lost.into_iter().all(|(_, ended)| ended == Some(Outcome::Missed(Reason::Fault))));
    clock.store(64, std::sync::atomic::Ordering::Relaxed);
    handle.tick();
    // The data of slot 5 and the selection proof are asked for.
    let under_way = [next(), next()];
    assert_eq!(tells(), (FIVE, None));
    for answer in old {
        let proof = ToySignature { key: 2, of: Signed::Selection(4) };
        answer.give(Reply::Signature(proof));
    }
    handle.stop();
    assert_eq!(thread.join().expect("it ends"), Ending::Stopped);
    drop(under_way);
    assert_eq!(journal.try_iter().next(), None, "a duty of another's proof");
}
