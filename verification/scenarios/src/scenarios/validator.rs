//! Scenarios of the validators' thread: signers that answer from threads of their own, late or
//! never; panics of the machine, of ports and of the journal; ports that enter the service again.
//!
//! **What each shows.** Every duty that has begun ends once, with the outcome that it must have,
//! and the thread ends. The beacon node answers within the call that asks, through the slot that is
//! reserved for the answer. The scenario sets the clock, and tells the service.

use blocksmith::beacon_validator::service::{
    Answer, BeaconNode, BeaconValidatorHandle, BeaconValidatorService, Clock, Ending, Journal,
    Port, Ports, SignerProtects,
};
use blocksmith::beacon_validator::toy::{POISON, Signed, ToyData, ToyDuties, ToySignature};
use blocksmith::beacon_validator::{
    DutyId, DutyList, Head, Limits, Listed, Message, Outcome, Place, Reading, Reason, Reply,
    Request, Timing, Validator,
};
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

/// Slots of 12 ms, epochs of four slots.
const TOY: ToyDuties = ToyDuties { timing: Timing::phase0(4, 12) };
const HEAD: Head<u8> = Head { root: 3, slot: 3, current_dependent: 0, previous_dependent: 0 };
/// When attestations of slot 4 are due, and those of slot 5.
const IN_4: u64 = 52;
const IN_5: u64 = 64;

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
    handle: P::Arc<P::Mutex<Option<BeaconValidatorHandle<P, ToyDuties>>>>,
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

    fn handle(&self) -> Option<BeaconValidatorHandle<P, ToyDuties>> {
        if self.conduct != Conduct::EntersAgain {
            return None;
        }
        self.handle.lock().clone()
    }
}

impl<P: Primitives> Clock for Foreign<P> {
    fn read(&self) -> Reading {
        Reading::SinceGenesis(self.world.now.load(Relaxed))
    }

    fn is_told(&self) -> bool {
        true
    }
}

impl<P: Primitives> Port<P, ToyDuties> for Foreign<P> {
    fn start(&mut self, request: Request<ToyDuties>, _: u64, answer: Answer<P, ToyDuties>) {
        if let Some(handle) = self.handle() {
            handle.head(HEAD);
        }
        if let Request::Publish(_) = request {
            // ORDERING: relaxed; the scenario reads it after it has joined the thread.
            self.world.published.fetch_add(1, Relaxed);
        }
        answer.give(answer_to(&request, self.conduct == Conduct::Poisons));
        self.end_call();
    }
}

impl<P: Primitives> BeaconNode<P, ToyDuties> for Foreign<P> {
    fn subscribe(&mut self, _: Vec<Listed<u8>>) {
        self.end_call();
    }
}

impl<P: Primitives> Journal for Foreign<P> {
    fn began(&mut self, _: DutyId) {
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

/// Validator 1 attests in slot 4, and validator 3 in slot 5.
fn attesters() -> Vec<Listed<u8>> {
    let place = Place { committee: 0, committee_length: 8, committees_at_slot: 2, position: 1 };
    let of = |(slot, key)| Listed { key, validator: u64::from(key), slot, place: Some(place) };
    [(4, 1), (5, 3)].map(of).to_vec()
}

/// What an honest node answers, or one that sends poisoned data for slot 4.
fn answer_to(request: &Request<ToyDuties>, poisons: bool) -> Reply<ToyDuties> {
    match request {
        Request::Duties { epoch, list, .. } => {
            let Some(dependent_root) = HEAD.dependent_root(&TOY.timing, *list, *epoch) else {
                return Reply::Failed;
            };
            let is_listed = (*epoch, *list) == (1, DutyList::Attesters);
            let listed = if is_listed { attesters() } else { Vec::new() };
            Reply::Duties { dependent_root, listed }
        }
        Request::Data { slot, committee } => {
            let head = if poisons && *slot == 4 { POISON } else { HEAD.root };
            let (slot, committee) = (*slot, *committee);
            Reply::Data(ToyData { slot, committee, head, source: 0, target: slot / 4 })
        }
        Request::Publish(_) => Reply::Published { refused: Vec::new() },
        _ => Reply::Failed,
    }
}

/// What a signer signs. Selection proofs are refused, so that nobody aggregates.
fn sign(request: &Request<ToyDuties>) -> Reply<ToyDuties> {
    match request {
        Request::Sign { message: Message::Selection(_), .. } => Reply::Refused,
        Request::Sign { key, message, .. } => {
            Reply::Signature(ToySignature { key: *key, of: Signed::of(message) })
        }
        _ => Reply::Failed,
    }
}

type Errand<P> = (Request<ToyDuties>, Answer<P, ToyDuties>);

/// Hands what is to be signed to another thread; a selection proof is refused at once.
struct Signers<P: Primitives> {
    errands: mailbox::Sender<P, Errand<P>>,
    throws: bool,
}

impl<P: Primitives> Port<P, ToyDuties> for Signers<P> {
    fn start(&mut self, request: Request<ToyDuties>, _: u64, answer: Answer<P, ToyDuties>) {
        if matches!(&request, Request::Sign { message: Message::Selection(_), .. }) {
            answer.give(sign(&request));
        } else {
            // The signer may be gone; the answer is dropped then.
            drop(self.errands.send((request, answer)));
        }
        if self.throws {
            throw();
        }
    }
}

/// A service that runs, and the means of a scenario.
struct Running<P: Primitives> {
    world: P::Arc<World<P>>,
    handle: BeaconValidatorHandle<P, ToyDuties>,
    thread: P::JoinHandle<Ending>,
    errands: mailbox::Receiver<P, Errand<P>>,
}

impl<P: Primitives> Running<P> {
    /// Starts a service in slot 4 whose validators are known. As many panics are tolerated.
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
            clock: foreign.another(),
            node: foreign.another(),
            signer: Box::new(Signers { errands: sender, throws }),
            protection: Box::new(SignerProtects),
            journal: foreign.another(),
        };
        drop(foreign);
        let window = std::time::Duration::from_secs(3600);
        let intensity = Intensity { max_restarts: panics, window };
        let limits = Limits::default();
        let (service, handle) =
            BeaconValidatorService::with_intensity(TOY, limits, 16, ports, intensity);
        if conduct == Conduct::EntersAgain {
            *place.lock() = Some(handle.clone());
        }
        let thread = P::spawn("validators", move || {
            let ending = service.run();
            // The service's own handle would keep its mailbox.
            *place.lock() = None;
            ending
        });
        handle.head(HEAD);
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

    fn set(&self, now: u64) {
        // ORDERING: relaxed; the message that follows orders it.
        self.world.now.store(now, Relaxed);
        self.handle.tick();
    }

    /// Stops the service. Returns how it ended, how its duties ended, and what was published.
    fn stop(self) -> (Ending, Vec<(u64, Outcome)>, u32) {
        self.handle.stop();
        let ending = join(self.thread);
        let ended = self.world.ended.lock().clone();
        (ending, ended, self.world.published.load(Relaxed))
    }
}

const LOST: (u64, Outcome) = (4, Outcome::Missed(Reason::Fault));

/// A signer's thread answers while the clock moves to the next slot: the duty is sent, or missed
/// for its signer or for the answer to its publication, and the next slot's is sent.
pub fn a_signer_answers_beside_the_clock<P: Primitives>() {
    let running = Running::<P>::start(Conduct::Good, 0);
    let (request, answer) = running.errand();
    let signer = P::spawn("signer", move || answer.give(sign(&request)));
    running.set(IN_5);
    let (request, answer) = running.errand();
    answer.give(sign(&request));
    join(signer);
    let (ending, ended, published) = running.stop();
    assert_eq!(ending, Ending::Stopped);
    let sent = ended.iter().filter(|(_, outcome)| *outcome == Outcome::Sent).count();
    // What was signed for slot 5 was handed over before the stop.
    assert!((sent.max(1)..=2).contains(&(published as usize)), "{ended:?}, {published}");
    let late = [Reason::SignerLate, Reason::PublishLate].map(Outcome::Missed);
    assert!(ended[0].1 == Outcome::Sent || late.contains(&ended[0].1), "{ended:?}");
}

/// The service is stopped while a signer's thread answers. What comes after the stop is dropped.
pub fn a_stop_beside_a_signature<P: Primitives>() {
    let running = Running::<P>::start(Conduct::Good, 0);
    let (request, answer) = running.errand();
    let signer = P::spawn("signer", move || answer.give(sign(&request)));
    let (ending, ended, published) = running.stop();
    join(signer);
    assert_eq!(ending, Ending::Stopped);
    assert!(ended.is_empty() || ended == [(4, Outcome::Sent)], "{ended:?}");
    assert!(published as usize >= ended.len(), "{ended:?}, {published}");
}

/// A signer never answers. Its duty ends with its slot, and the stop waits for no answer.
pub fn a_signer_that_never_answers<P: Primitives>() {
    let running = Running::<P>::start(Conduct::Good, 0);
    let never = running.errand();
    running.set(IN_5);
    let later = running.errand();
    let (ending, ended, published) = running.stop();
    assert_eq!((ending, published), (Ending::Stopped, 0));
    assert_eq!(ended, [(4, Outcome::Missed(Reason::SignerLate))]);
    drop((never, later));
}

/// The machine panics in slot 4. The successor does slot 5's duty, and no duty of slot 4.
pub fn a_successor_does_the_next_slot<P: Primitives>() {
    let running = Running::<P>::start(Conduct::Poisons, 1);
    running.set(IN_5);
    let (request, answer) = running.errand();
    assert!(matches!(&request, Request::Sign { duty, .. } if duty.slot == 5), "{request:?}");
    answer.give(sign(&request));
    let (ending, ended, published) = running.stop();
    assert_eq!((ending, published), (Ending::Stopped, 1));
    let slots: Vec<_> = ended.iter().map(|(slot, _)| *slot).collect();
    assert!(slots.windows(2).all(|pair| pair[0] < pair[1]), "a duty ends once: {ended:?}");
    let missed: Vec<_> = ended.iter().filter(|(slot, _)| *slot == 4).collect();
    assert!(missed.iter().all(|(_, outcome)| *outcome != Outcome::Sent), "{ended:?}");
}

/// No panic is tolerated, and the machine panics: the thread ends and says so, its duty has ended,
/// and nobody who calls the service afterwards waits.
pub fn too_many_panics_end_the_thread<P: Primitives>() {
    let Running { world, handle, thread, errands } = Running::<P>::start(Conduct::Poisons, 0);
    assert_eq!(join(thread), Ending::TooManyPanics);
    handle.head(HEAD);
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
    running.set(IN_5);
    let (request, answer) = running.errand();
    assert!(matches!(&request, Request::Sign { duty, .. } if duty.slot == 5), "{request:?}");
    answer.give(sign(&request));
    let (ending, ended, published) = running.stop();
    assert_eq!(ending, Ending::Stopped);
    assert_eq!(ended[0].0, 4, "{ended:?}");
    // The clock may have moved before the first signature came, or before it was published.
    let late = [Reason::SignerLate, Reason::PublishLate].map(|why| (4, Outcome::Missed(why)));
    assert!(ended.iter().all(|end| end.1 == Outcome::Sent || late.contains(end)), "{ended:?}");
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
    assert_eq!(*world.ended.lock(), [(4, Outcome::Sent)]);
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
            validator::a_signer_answers_beside_the_clock,
            "a signature that comes as its slot ends is published or dropped, and its duty ends once",
            Some(&hazard::V3),
            threads: 3, loom: preemptions(0), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            validator::a_stop_beside_a_signature,
            "a stop waits for no signature, and what comes after it is dropped", Some(&hazard::M10),
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            validator::a_signer_that_never_answers,
            "a signer that never answers costs its duty, and holds up neither the next nor the stop",
            Some(&hazard::V6),
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            validator::a_successor_does_the_next_slot,
            "a machine that panics has a successor, and each duty ends once", Some(&hazard::L5),
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            validator::too_many_panics_end_the_thread,
            "beyond the intensity the thread ends, its duties with it, and nobody waits for it",
            Some(&hazard::L6),
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            validator::foreign_code_throws,
            "ports and a journal that throw in every call cost no duty", Some(&hazard::N12),
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            validator::foreign_code_enters_again,
            "a port may tell a head, and a journal may stop the service that calls it",
            Some(&hazard::M8),
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: None, std: RUNS,
        },
    ]
}
