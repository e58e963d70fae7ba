//! The families of client programs, as checks of the catalogue.

use blocksmith_engines::verdict::Engine;
use blocksmith_models::catalogue::{Breaks, Check, Expected};
use blocksmith_models::hazard::{self, Hazard};
use blocksmith_sync::OnFull;

use super::depth::Depth;
use super::faulty::{self, Fault, Faulty};
use super::faulty_watch::{self, Fault as WatchFault, FaultyWatch};
use super::program::{Calls, Shape};
use super::spec::Granularity::{self, AtOnce, InSteps, Latest};
use super::subjects::{KEEPERS, Keeping, ONE_SHOT, OneShot, Subject, TASKS, THREADS, WATCH, Watch};
use super::{Family, LINEARIZABLE, Runner, check};
use crate::channel::{Mailbox, Mpmc, Spsc};

const BLOCK: &[OnFull] = &[OnFull::Block];
const REFUSE: &[OnFull] = &[OnFull::Refuse];
const EVICT: &[OnFull] = &[OnFull::EvictOldest];
const BACKPRESSURE: &[OnFull] = &[OnFull::Block, OnFull::Refuse];
const EVERY_POLICY: &[OnFull] = &[OnFull::Block, OnFull::Refuse, OnFull::EvictOldest];
const ONE: &[usize] = &[1];
const ONE_AND_TWO: &[usize] = &[1, 2];

/// One sender and one receiver.
const fn pair(calls: usize, in_all: usize) -> Shape {
    Shape { senders: 1, receivers: 1, calls, in_all, signal: false }
}

const fn told(shape: Shape) -> Shape {
    Shape { signal: true, ..shape }
}

/// Two senders and a receiver.
const fn two_senders(calls: usize, in_all: usize) -> Shape {
    Shape { senders: 2, ..pair(calls, in_all) }
}

/// A sender and two receivers.
const fn two_receivers(calls: usize, in_all: usize) -> Shape {
    Shape { receivers: 2, ..pair(calls, in_all) }
}

/// What a faulty channel must break.
const NOT_LINEARIZABLE: Expected = Expected::Violated(&[Breaks::Property(LINEARIZABLE)]);

/// What a check says besides its family.
#[derive(Clone, Copy)]
struct Head {
    name: &'static str,
    claim: &'static str,
    hazard: Option<&'static Hazard>,
    expected: Expected,
}

/// A check, and what it enumerates.
struct Entry {
    check: Check,
    size: Box<dyn Fn() -> Size>,
}

/// What a family enumerates, in words.
pub struct Size {
    /// The check's id.
    pub id: String,
    /// Threads and calls.
    pub clients: String,
    /// Capacities, then policies.
    pub channels: String,
    /// Client programs.
    pub programs: usize,
}

impl Head {
    fn check<S: Subject>(self, family: Family<S>) -> Entry {
        let engine = match family.runner {
            Runner::Shuttle(_) => Engine::Shuttle,
            Runner::Loom(_) | Runner::LoomSpurious(_) => Engine::Loom,
        };
        let id = format!("linearizability.{}.{engine}", self.name);
        let (sized, name) = (family.clone(), id.clone());
        let size = move || Size {
            id: name.clone(),
            clients: sized.clients(),
            channels: format!("{:?}, {:?}", sized.capacities, sized.policies),
            programs: sized.programs().len(),
        };
        let check = Check {
            id,
            claim: self.claim,
            protocol: "linearizability",
            hazard: self.hazard,
            engine,
            expected: self.expected,
            states: None,
            run: Box::new(move || check(&family)),
        };
        Entry { check, size: Box::new(size) }
    }
}

/// The depths of one channel.
struct Channel<S> {
    subject: S,
    calls: Calls,
    granularity: Granularity,
    policies: &'static [OnFull],
    capacities: &'static [usize],
    /// Programs for shuttle, in CI and deep.
    sampled: [Vec<Shape>; 2],
    /// Programs for loom, in CI and deep; those with a signal, in CI with one preemption less.
    explored: [Vec<Shape>; 2],
    told: [Vec<Shape>; 2],
}

impl<S: Subject> Channel<S> {
    fn checks(self, names: [&'static str; 2], claim: &'static str, depth: Depth) -> [Entry; 3] {
        let (place, schedules, preemptions, signalled) = match depth {
            Depth::Quick => (0, 10, 1, 1),
            Depth::Ci => (0, 40, 2, 1),
            Depth::Deep => (1, 100, 2, 2),
        };
        let family = |shapes: &[Vec<Shape>; 2], capacities, policies, runner| Family {
            subject: self.subject,
            calls: self.calls,
            granularity: self.granularity,
            shapes: shapes[place].clone(),
            capacities,
            policies,
            runner,
        };
        let (capacities, policies) = (self.capacities, self.policies);
        let head = Head { name: names[0], claim, hazard: None, expected: Expected::Verified };
        let told = Head { name: names[1], ..head };
        [
            head.check(family(&self.sampled, capacities, policies, Runner::Shuttle(schedules))),
            head.check(family(&self.explored, ONE, BLOCK, Runner::Loom(preemptions))),
            told.check(family(&self.told, ONE, policies, Runner::LoomSpurious(signalled))),
        ]
    }
}

/// Returns the checks: channels, then faults.
#[must_use]
pub fn checks(depth: Depth) -> Vec<Check> {
    entries(depth).into_iter().map(|entry| entry.check).collect()
}

/// Returns what the checks that must hold enumerate.
#[must_use]
pub fn sizes(depth: Depth) -> Vec<Size> {
    let holds = |entry: &Entry| entry.check.expected == Expected::Verified;
    entries(depth).into_iter().filter(holds).map(|entry| (entry.size)()).collect()
}

fn entries(depth: Depth) -> Vec<Entry> {
    let spsc = Channel {
        subject: Spsc,
        calls: THREADS,
        granularity: AtOnce,
        policies: BACKPRESSURE,
        capacities: ONE_AND_TWO,
        sampled: [vec![pair(2, 4)], vec![pair(3, 6)]],
        explored: [vec![pair(1, 2)], vec![pair(2, 3)]],
        told: [vec![told(pair(1, 2))], vec![told(pair(1, 2))]],
    };
    let mpmc = Channel {
        subject: Mpmc,
        calls: THREADS,
        granularity: AtOnce,
        policies: BACKPRESSURE,
        capacities: ONE_AND_TWO,
        sampled: [
            vec![pair(2, 4), two_senders(1, 3), two_receivers(1, 3)],
            vec![pair(3, 5), two_senders(2, 4), two_receivers(2, 4)],
        ],
        explored: [vec![pair(1, 2)], vec![pair(2, 3)]],
        told: [vec![told(pair(1, 2))], vec![told(pair(1, 2))]],
    };
    let mailbox = Channel {
        subject: Mailbox,
        calls: THREADS,
        granularity: InSteps,
        policies: EVERY_POLICY,
        capacities: ONE_AND_TWO,
        sampled: [vec![pair(2, 4), two_senders(1, 3)], vec![pair(3, 5), two_senders(2, 4)]],
        explored: [vec![pair(1, 2)], vec![pair(2, 3)]],
        told: [vec![told(pair(1, 2))], vec![told(pair(1, 2))]],
    };
    let oneshot = Channel {
        subject: OneShot,
        calls: ONE_SHOT,
        granularity: AtOnce,
        policies: BLOCK,
        capacities: ONE,
        sampled: [vec![pair(3, 4)], vec![pair(5, 6)]],
        explored: [vec![pair(3, 4)], vec![pair(5, 6)]],
        told: [vec![told(pair(2, 3))], vec![told(pair(4, 5))]],
    };
    let watch = Channel {
        subject: Watch,
        calls: WATCH,
        granularity: Latest,
        policies: BLOCK,
        capacities: ONE,
        sampled: [
            vec![pair(2, 4), two_senders(1, 3), two_receivers(1, 3)],
            vec![pair(3, 5), two_senders(2, 4), two_receivers(2, 4)],
        ],
        explored: [vec![pair(1, 2)], vec![pair(2, 3)]],
        told: [vec![told(pair(1, 2))], vec![told(pair(1, 2))]],
    };
    let mut all = Vec::new();
    all.extend(spsc.checks(["spsc", "spsc_told"], "the ring is a bounded FIFO with close", depth));
    all.extend(mpmc.checks(
        ["mpmc", "mpmc_told"],
        "the pool's queue is a bounded FIFO with close",
        depth,
    ));
    all.extend(mailbox.checks(
        ["mailbox", "mailbox_told"],
        "the mailbox is a bounded FIFO with close whose calls happen in steps",
        depth,
    ));
    all.extend(oneshot.checks(
        ["oneshot", "oneshot_told"],
        "the one-shot is a FIFO for one item with close",
        depth,
    ));
    all.extend(watch.checks(
        ["watch", "watch_told"],
        "the watch is, for each reader, a place for one item that a later one replaces, with close",
        depth,
    ));
    all.extend(keepers("mpmc_permits", Keeping(Mpmc), AtOnce, BACKPRESSURE, depth));
    all.extend(keepers("mailbox_permits", Keeping(Mailbox), InSteps, EVERY_POLICY, depth));
    all.extend(tasks("spsc_tasks", Spsc, AtOnce, depth));
    all.extend(tasks("mpmc_tasks", Mpmc, AtOnce, depth));
    all.extend(tasks("mailbox_tasks", Mailbox, InSteps, depth));
    all.extend(faults());
    all.extend(faults_of_keepers());
    all.extend(faults_of_watches());
    all
}

/// Further calls of a channel: samples at two capacities, and two threads of a call each under loom
/// with signals.
struct Further<S> {
    subject: S,
    calls: Calls,
    granularity: Granularity,
    policies: &'static [OnFull],
    /// Programs for shuttle, in CI and deep.
    sampled: [Vec<Shape>; 2],
}

impl<S: Subject> Further<S> {
    fn checks(self, name: &'static str, claim: &'static str, depth: Depth) -> [Entry; 2] {
        let head = Head { name, claim, hazard: None, expected: Expected::Verified };
        let (place, schedules, preemptions) = match depth {
            Depth::Quick => (0, 10, 1),
            Depth::Ci => (0, 40, 1),
            Depth::Deep => (1, 100, 2),
        };
        let Self { subject, calls, granularity, policies, sampled } = self;
        let family = |shapes, capacities, policies, runner| Family {
            subject,
            calls,
            granularity,
            shapes,
            capacities,
            policies,
            runner,
        };
        let [explored, sampled] = [vec![pair(1, 2)], sampled[place].clone()];
        let runner = Runner::LoomSpurious(preemptions);
        [
            head.check(family(sampled, ONE_AND_TWO, policies, Runner::Shuttle(schedules))),
            head.check(family(explored, ONE, BLOCK, runner)),
        ]
    }
}

/// The calls of threads that keep places.
fn keepers<S: Subject>(
    name: &'static str,
    subject: S,
    granularity: Granularity,
    policies: &'static [OnFull],
    depth: Depth,
) -> [Entry; 2] {
    let sampled = [vec![pair(2, 4), two_senders(1, 3)], vec![pair(3, 5), two_senders(2, 4)]];
    let claim = "the same for places that are kept, and used or given back";
    Further { subject, calls: KEEPERS, granularity, policies, sampled }.checks(name, claim, depth)
}

/// The calls of tasks and of batches.
fn tasks<S: Subject>(
    name: &'static str,
    subject: S,
    granularity: Granularity,
    depth: Depth,
) -> [Entry; 2] {
    let (policies, sampled) = (BLOCK, [vec![pair(2, 4)], vec![pair(3, 5)]]);
    let claim = "the same for the calls of tasks, awaited and dropped, and for batches";
    Further { subject, calls: TASKS, granularity, policies, sampled }.checks(name, claim, depth)
}

/// The channel of which the faulty ones are variants.
const FAULTLESS: Head = Head {
    name: "a_locked_queue",
    claim: "the queue of which the faulty ones are variants",
    hazard: None,
    expected: Expected::Verified,
};

const SAMPLE: Runner = Runner::Shuttle(200);

const fn twin(name: &'static str, claim: &'static str, hazard: Option<&'static Hazard>) -> Head {
    Head { name, claim, hazard, expected: NOT_LINEARIZABLE }
}

/// The harness itself: a channel without a fault passes, every fault is refuted.
fn faults() -> Vec<Entry> {
    let faulty = |head: Head, fault, shape, policies, runner| {
        let (granularity, shapes, capacities) = (AtOnce, vec![shape], ONE_AND_TWO);
        let (subject, calls) = (Faulty(fault), faulty::CALLS);
        head.check(Family { subject, calls, granularity, shapes, capacities, policies, runner })
    };
    let lifo = twin("last_in_first_out", "the newest item is received first", Some(&hazard::M15));
    let late = twin(
        "accepted_after_close",
        "an item is accepted after the end was seen",
        Some(&hazard::M5),
    );
    let stale = twin("stale_empty", "empty, though a send has returned", Some(&hazard::M3));
    let more = twin("one_too_many", "two senders find the same room", Some(&hazard::M7));
    let twice = twin("received_twice", "two receivers take the same item", Some(&hazard::M6));
    let lost =
        twin("lost_on_eviction", "an item that evicted another is dropped", Some(&hazard::M7));
    let strict = twin(
        "mailbox_at_once",
        "the mailbox, if its calls are to happen at once: why they happen in steps",
        Some(&hazard::M3),
    );
    let mailbox = Family {
        subject: Mailbox,
        calls: THREADS,
        granularity: AtOnce,
        shapes: vec![two_senders(1, 3)],
        capacities: ONE,
        policies: BLOCK,
        runner: Runner::Shuttle(400),
    };
    vec![
        faulty(FAULTLESS, Fault::None, two_senders(1, 3), EVICT, SAMPLE),
        faulty(FAULTLESS, Fault::None, pair(1, 2), REFUSE, Runner::Loom(2)),
        faulty(lifo, Fault::LastInFirstOut, pair(2, 4), REFUSE, SAMPLE),
        faulty(lifo, Fault::LastInFirstOut, pair(2, 3), REFUSE, Runner::Loom(2)),
        faulty(late, Fault::AcceptedAfterClose, pair(2, 4), REFUSE, SAMPLE),
        faulty(late, Fault::AcceptedAfterClose, pair(2, 3), REFUSE, Runner::Loom(2)),
        faulty(stale, Fault::StaleEmpty, pair(2, 3), REFUSE, SAMPLE),
        faulty(stale, Fault::StaleEmpty, told(pair(1, 2)), REFUSE, Runner::Loom(2)),
        faulty(more, Fault::OneTooMany, two_senders(1, 3), REFUSE, SAMPLE),
        faulty(twice, Fault::ReceivedTwice, two_receivers(1, 3), REFUSE, SAMPLE),
        faulty(lost, Fault::LostOnEviction, two_senders(2, 4), EVICT, SAMPLE),
        strict.check(mailbox),
    ]
}

/// The same for places that are kept.
fn faults_of_keepers() -> Vec<Entry> {
    let keeping = |head: Head, fault, shape, runner| {
        let (granularity, shapes, capacities) = (AtOnce, vec![shape], ONE_AND_TWO);
        let (subject, calls, policies) = (Faulty(fault), faulty::KEEPERS, REFUSE);
        head.check(Family { subject, calls, granularity, shapes, capacities, policies, runner })
    };
    let none = Head { name: "a_locked_queue_keeps", ..FAULTLESS };
    let unkept =
        twin("a_place_is_not_kept", "another item takes a place that was kept", Some(&hazard::M7));
    let unfreed = twin(
        "a_place_is_not_freed",
        "full, though the place that was kept is given back",
        Some(&hazard::M7),
    );
    vec![
        keeping(none, Fault::None, two_senders(1, 3), SAMPLE),
        keeping(none, Fault::None, pair(1, 2), Runner::Loom(2)),
        keeping(unkept, Fault::PlaceNotKept, two_senders(1, 3), SAMPLE),
        keeping(unkept, Fault::PlaceNotKept, two_senders(1, 2), Runner::Loom(2)),
        keeping(unfreed, Fault::PlaceNotFreed, pair(2, 3), SAMPLE),
        keeping(unfreed, Fault::PlaceNotFreed, pair(2, 3), Runner::Loom(2)),
    ]
}

/// The same for a place whose value is replaced.
fn faults_of_watches() -> Vec<Entry> {
    let watching = |head: Head, fault, shape, runner| {
        let (granularity, shapes, capacities, policies) = (Latest, vec![shape], ONE, BLOCK);
        let (subject, calls) = (FaultyWatch(fault), faulty_watch::CALLS);
        head.check(Family { subject, calls, granularity, shapes, capacities, policies, runner })
    };
    let none = Head {
        name: "a_locked_place",
        claim: "the watch of which the faulty ones are variants",
        ..FAULTLESS
    };
    let seen = twin(
        "seen_by_all",
        "what one reader of a watch has seen is not told to the other",
        Some(&hazard::A11),
    );
    let seen_late = twin(
        "seen_too_late",
        "a value that comes while a reader reads counts as seen",
        Some(&hazard::A11),
    );
    let queued = twin(
        "watch_in_line",
        "the watch, if each of its values were to be read: why a later one replaces an earlier",
        Some(&hazard::A11),
    );
    let watch = Family {
        subject: Watch,
        calls: WATCH,
        granularity: AtOnce,
        shapes: vec![pair(2, 3)],
        capacities: ONE_AND_TWO,
        policies: BLOCK,
        runner: Runner::Shuttle(100),
    };
    vec![
        watching(none, WatchFault::None, two_receivers(1, 3), SAMPLE),
        watching(none, WatchFault::None, pair(2, 3), Runner::Loom(2)),
        watching(seen, WatchFault::SeenByAll, two_receivers(1, 3), SAMPLE),
        watching(seen, WatchFault::SeenByAll, two_receivers(1, 3), Runner::Loom(1)),
        watching(seen_late, WatchFault::SeenTooLate, pair(2, 4), SAMPLE),
        watching(seen_late, WatchFault::SeenTooLate, pair(2, 4), Runner::Loom(3)),
        queued.check(watch),
    ]
}
