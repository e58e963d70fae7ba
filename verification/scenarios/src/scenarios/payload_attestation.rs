//! Scenarios of the thread of votes on payloads: signers that answer from threads of their own, late
//! or never; panics of the machine, of ports and of the journal; ports that enter the service again.
//!
//! **What each shows.** Every duty that has begun ends once, with the outcome that it must have,
//! and the thread ends. The beacon node answers within the call that asks, through the slot that is
//! reserved for the answer. The scenario sets the clock, and tells the service with a head.

use std::cell::Cell;

use blocksmith::beacon_validator::service::{Clock, Ending};
use blocksmith::beacon_validator::{Head, Reading, Validator};
use blocksmith::payload_attestation::service::{
    Answer, Builder, Journal, PayloadAttestationHandle, Port, Ports,
};
use blocksmith::payload_attestation::toy::{POISON, ToyVote, ToyVotes};
use blocksmith::payload_attestation::{DutyId, Outcome, Reason, Reply, Request, Step, Timing};
use blocksmith::ptc_duties::Listed;
use blocksmith::supervision::Intensity;
use blocksmith_engines::thrown::throw;
use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::mailbox::{self, OnFull, mailbox};
use blocksmith_sync::{Atomic, Mutex, Primitives};

use super::notifier::join;
use super::{Row, preemptions};
use crate::row;
use blocksmith_engines::shuttle::ShuttleBounds;

/// Slots of 24 ms, epochs of four slots: data at 15 ms, deadline at 18.
const TOY: ToyVotes = ToyVotes { timing: Timing::gloas(4, 24) };
/// A time in slot 3, in which the process begins, and the times for the data of slots 4 and 5.
const IN_3: u64 = 72;
const IN_4: u64 = 111;
const IN_5: u64 = 135;

/// The block of a slot, as a head.
fn head(slot: u64) -> Head<u8> {
    Head { root: slot as u8, slot, current_dependent: 0, previous_dependent: 0 }
}

/// What a scenario shares with what the service calls.
struct World<P: Primitives> {
    now: P::AtomicU64,
    /// How the duties have ended, in order.
    ended: P::Mutex<Vec<(u64, Outcome)>>,
    published: P::AtomicU32,
}

/// How foreign code behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conduct {
    /// As its contract says.
    Good,
    /// The node sends data over which the machine panics, for slot 4.
    Poisons,
    /// Each of its calls throws when it is done.
    Throws,
    /// The node tells a head within its call, and the journal stops the service at the first end.
    EntersAgain,
}

/// The clock, the node and the journal of a scenario.
struct Foreign<P: Primitives> {
    world: P::Arc<World<P>>,
    conduct: Conduct,
    /// Of the service itself, for what enters it again.
    handle: P::Arc<P::Mutex<Option<PayloadAttestationHandle<P, ToyVotes>>>>,
}

impl<P: Primitives> Foreign<P> {
    fn another(&self) -> Box<Self> {
        let Self { world, conduct, handle } = self;
        Box::new(Self { world: world.clone(), conduct: *conduct, handle: handle.clone() })
    }

    fn end_call(&self) {
        if self.conduct == Conduct::Throws {
            throw();
        }
    }

    fn handle(&self) -> Option<PayloadAttestationHandle<P, ToyVotes>> {
        if self.conduct != Conduct::EntersAgain {
            return None;
        }
        self.handle.lock().clone()
    }
}

/// A clock that shows slot 3 when it is read first, and what the scenario has set from then on.
struct SetClock<P: Primitives> {
    world: P::Arc<World<P>>,
    was_read: Cell<bool>,
}

impl<P: Primitives> Clock for SetClock<P> {
    fn read(&self) -> Reading {
        let is_first = !self.was_read.replace(true);
        Reading::SinceGenesis(if is_first { IN_3 } else { self.world.now.load(Relaxed) })
    }

    fn is_told(&self) -> bool {
        true
    }
}

impl<P: Primitives> Port<P, ToyVotes> for Foreign<P> {
    fn start(&mut self, request: Request<ToyVotes>, _: u64, answer: Answer<P, ToyVotes>) {
        if let Some(handle) = self.handle() {
            handle.head(head(4));
        }
        if let Request::Publish { .. } = request {
            // ORDERING: relaxed; the scenario reads it after it has joined the thread.
            self.world.published.fetch_add(1, Relaxed);
        }
        answer.give(answer_to(&request, self.conduct == Conduct::Poisons));
        self.end_call();
    }
}

impl<P: Primitives> Journal for Foreign<P> {
    fn began(&mut self, _: DutyId) {
        self.end_call();
    }

    fn took(&mut self, _: u64, _: Step, _: u64) {
        self.end_call();
    }

    fn ended(&mut self, duty: DutyId, outcome: Outcome) {
        self.world.ended.lock().push((duty.slot, outcome));
        if let Some(handle) = self.handle() {
            handle.stop();
        }
        self.end_call();
    }
}

/// What an honest node answers, or one that sends poisoned data for slot 4. Validator 1 votes in
/// slot 4, and validator 3 in slot 5.
fn answer_to(request: &Request<ToyVotes>, poisons: bool) -> Reply<ToyVotes> {
    match request {
        Request::Duties { epoch, validators } => {
            let all = [(1, 4), (3, 5)].into_iter();
            let listed = all.filter(|(of, _)| *epoch == 1 && validators.contains(of));
            let duty = |(validator, slot)| Listed { validator, key: validator as u8, slot };
            Reply::Duties { dependent_root: 0, duties: listed.map(duty).collect() }
        }
        Request::Data { slot } => {
            let block = if poisons && *slot == 4 { POISON } else { head(*slot).root };
            Reply::Data(ToyVote { slot: *slot, block, is_complete: true })
        }
        Request::Publish { .. } => Reply::Published { refused: Vec::new() },
        Request::Sign { .. } => Reply::Failed,
    }
}

fn sign(request: &Request<ToyVotes>) -> Reply<ToyVotes> {
    match request {
        Request::Sign { key, data, .. } => Reply::Signature((*key, *data)),
        _ => Reply::Failed,
    }
}

type Errand<P> = (Request<ToyVotes>, Answer<P, ToyVotes>);

/// Hands what is to be signed to another thread.
struct Signers<P: Primitives> {
    errands: mailbox::Sender<P, Errand<P>>,
    throws: bool,
}

impl<P: Primitives> Port<P, ToyVotes> for Signers<P> {
    fn start(&mut self, request: Request<ToyVotes>, _: u64, answer: Answer<P, ToyVotes>) {
        // The signer may be gone; the answer is dropped then.
        drop(self.errands.send((request, answer)));
        if self.throws {
            throw();
        }
    }
}

/// A service that runs, and the means of a scenario.
struct Running<P: Primitives> {
    world: P::Arc<World<P>>,
    handle: PayloadAttestationHandle<P, ToyVotes>,
    thread: P::JoinHandle<Ending>,
    errands: mailbox::Receiver<P, Errand<P>>,
}

impl<P: Primitives> Running<P> {
    /// Starts a service that comes to slot 4, whose validators are known. As many panics are tolerated.
    fn start(conduct: Conduct, panics: usize) -> Self {
        let world = P::arc(World {
            now: Atomic::new(IN_4),
            ended: Mutex::new(Vec::new()),
            published: Atomic::new(0),
        });
        let place = P::arc(P::Mutex::new(None));
        let foreign = Foreign { world: world.clone(), conduct, handle: place.clone() };
        let (sender, errands) = mailbox(4, 0, OnFull::Block);
        let throws = conduct == Conduct::Throws;
        let ports = Ports {
            clock: Box::new(SetClock::<P> { world: world.clone(), was_read: Cell::new(false) }),
            node: foreign.another(),
            signer: Box::new(Signers { errands: sender, throws }),
            journal: foreign.another(),
        };
        drop(foreign);
        let window = std::time::Duration::from_secs(3600);
        let intensity = Intensity { max_restarts: panics, window };
        let builder = Builder::new(TOY).requests(16).intensity(intensity);
        let (service, handle) = builder.build(ports);
        if conduct == Conduct::EntersAgain {
            *place.lock() = Some(handle.clone());
        }
        let thread = P::spawn("votes", move || {
            let ending = service.run();
            // The service's own handle would keep its mailbox.
            *place.lock() = None;
            ending
        });
        handle.head(head(4));
        let known = |key: u8| Validator { index: key.into(), key, may_sign: true };
        handle.validators([1, 3].map(known).to_vec());
        Self { world, handle, thread, errands }
    }

    /// Receives what is to be signed, in the scenario's own thread.
    fn errand(&self) -> Errand<P> {
        match self.errands.recv() {
            Ok(errand) => errand,
            Err(_) => panic!("the service asks for a signature"),
        }
    }

    /// Lets slot 5 come.
    fn set_5(&self) {
        // ORDERING: relaxed; the message that follows orders it.
        self.world.now.store(IN_5, Relaxed);
        self.handle.head(head(5));
    }

    /// Stops the service. Returns how it ended, how its duties ended, and what was published.
    fn stop(self) -> (Ending, Vec<(u64, Outcome)>, u32) {
        self.handle.stop();
        let ending = join(self.thread);
        let ended = self.world.ended.lock().clone();
        (ending, ended, self.world.published.load(Relaxed))
    }
}

/// The vote of slot 4 left at its time, three milliseconds before the deadline.
const SENT: (u64, Outcome) = (4, Outcome::Sent { lead_ms: 3 });

fn is_sent(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Sent { .. })
}

const LOST: (u64, Outcome) = (4, Outcome::Missed(Reason::Fault));

/// A signer's thread answers while the clock moves to the next slot: the duty is sent, or missed
/// for its signer, and the next slot's is sent.
pub fn a_signer_answers_beside_the_clock<P: Primitives>() {
    let running = Running::<P>::start(Conduct::Good, 0);
    let (request, answer) = running.errand();
    let signer = P::spawn("signer", move || answer.give(sign(&request)));
    running.set_5();
    let (request, answer) = running.errand();
    answer.give(sign(&request));
    join(signer);
    let (ending, ended, published) = running.stop();
    assert_eq!(ending, Ending::Stopped);
    let sent = ended.iter().filter(|(_, outcome)| is_sent(outcome)).count();
    // What was signed for slot 5 was handed over before the stop.
    assert!((sent.max(1)..=2).contains(&(published as usize)), "{ended:?}, {published}");
    let late = [Reason::SignerLate, Reason::PublishLate].map(Outcome::Missed);
    assert!(is_sent(&ended[0].1) || late.contains(&ended[0].1), "{ended:?}");
}

/// The service is stopped while a signer's thread answers. What comes after the stop is dropped.
pub fn a_stop_beside_a_signature<P: Primitives>() {
    let running = Running::<P>::start(Conduct::Good, 0);
    let (request, answer) = running.errand();
    let signer = P::spawn("signer", move || answer.give(sign(&request)));
    let (ending, ended, published) = running.stop();
    join(signer);
    assert_eq!(ending, Ending::Stopped);
    assert!(ended.is_empty() || ended == [SENT], "{ended:?}");
    assert!(published as usize >= ended.len(), "{ended:?}, {published}");
}

/// A signer never answers. Its duty ends with its slot, and the stop waits for no answer.
pub fn a_signer_that_never_answers<P: Primitives>() {
    let running = Running::<P>::start(Conduct::Good, 0);
    let never = running.errand();
    running.set_5();
    let later = running.errand();
    let (ending, ended, published) = running.stop();
    assert_eq!((ending, published), (Ending::Stopped, 0));
    assert_eq!(ended, [(4, Outcome::Missed(Reason::SignerLate))]);
    drop((never, later));
}

/// The machine panics in slot 4. The successor does slot 5's duty, and no duty of slot 4.
pub fn a_successor_does_the_next_slot<P: Primitives>() {
    let running = Running::<P>::start(Conduct::Poisons, 1);
    running.set_5();
    let (request, answer) = running.errand();
    assert!(matches!(&request, Request::Sign { duty, .. } if duty.slot == 5), "{request:?}");
    answer.give(sign(&request));
    let (ending, ended, published) = running.stop();
    assert_eq!((ending, published), (Ending::Stopped, 1));
    let slots: Vec<_> = ended.iter().map(|(slot, _)| *slot).collect();
    assert!(slots.windows(2).all(|pair| pair[0] < pair[1]), "a duty ends once: {ended:?}");
    let missed: Vec<_> = ended.iter().filter(|(slot, _)| *slot == 4).collect();
    assert!(missed.iter().all(|(_, outcome)| !is_sent(outcome)), "{ended:?}");
}

/// No panic is tolerated, and the machine panics: the thread ends and says so, its duty has ended,
/// and nobody who calls the service afterwards waits.
pub fn too_many_panics_end_the_thread<P: Primitives>() {
    let Running { world, handle, thread, errands } = Running::<P>::start(Conduct::Poisons, 0);
    assert_eq!(join(thread), Ending::TooManyPanics);
    handle.head(head(4));
    handle.tick();
    handle.stop();
    assert_eq!(*world.ended.lock(), [LOST]);
    drop(errands);
}

/// Node, signer and journal throw in each of their calls, after they have done what they should.
pub fn foreign_code_throws<P: Primitives>() {
    let running = Running::<P>::start(Conduct::Throws, 0);
    let (request, answer) = running.errand();
    answer.give(sign(&request));
    running.set_5();
    let (request, answer) = running.errand();
    assert!(matches!(&request, Request::Sign { duty, .. } if duty.slot == 5), "{request:?}");
    answer.give(sign(&request));
    let (ending, ended, published) = running.stop();
    assert_eq!(ending, Ending::Stopped);
    assert_eq!(ended[0].0, 4, "{ended:?}");
    // The clock may have moved before the first signature came, or before it was published.
    let late = [Reason::SignerLate, Reason::PublishLate].map(|why| (4, Outcome::Missed(why)));
    assert!(ended.iter().all(|end| is_sent(&end.1) || late.contains(end)), "{ended:?}");
    assert!(published >= 1, "what was signed for slot 5 was handed over before the stop");
}

/// The node tells heads within its calls, and the journal stops the service from within.
pub fn foreign_code_enters_again<P: Primitives>() {
    let Running { world, handle, thread, errands } = Running::<P>::start(Conduct::EntersAgain, 0);
    match errands.recv() {
        Ok((request, answer)) => answer.give(sign(&request)),
        Err(_) => panic!("the service asks for a signature"),
    }
    assert_eq!(join(thread), Ending::Stopped);
    assert_eq!(*world.ended.lock(), [SENT]);
    drop(handle);
}

/// The schedules of one scenario under shuttle.
const SAMPLE: Option<ShuttleBounds> = Some(ShuttleBounds::iterations(3_000));
/// The number of runs on real threads.
const RUNS: Option<usize> = Some(200);

/// Returns the scenarios of this module. The stepped engine does not run them, as with those of the
/// other services: the models explore the machine with all that it talks to instead.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            payload_attestation::a_signer_answers_beside_the_clock,
            "a signature that comes as its slot ends is published or dropped, and its duty ends once",
            Some(&hazard::P5),
            threads: 3, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            payload_attestation::a_stop_beside_a_signature,
            "a stop waits for no signature, and what comes after it is dropped", Some(&hazard::M10),
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            payload_attestation::a_signer_that_never_answers,
            "a signer that never answers costs its duty, and holds up neither the next nor the stop",
            Some(&hazard::V7),
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            payload_attestation::a_successor_does_the_next_slot,
            "a machine that panics has a successor, and each duty ends once", Some(&hazard::L5),
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            payload_attestation::too_many_panics_end_the_thread,
            "beyond the intensity the thread ends, its duties with it, and nobody waits for it",
            Some(&hazard::L6),
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            payload_attestation::foreign_code_throws,
            "ports and a journal that throw in every call cost no duty", Some(&hazard::N12),
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            payload_attestation::foreign_code_enters_again,
            "a port may tell a head, and a journal may stop the service that calls it",
            Some(&hazard::M8),
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
    ]
}
