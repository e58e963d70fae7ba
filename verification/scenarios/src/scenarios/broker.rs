//! Scenarios of the broker, which threads that sample, threads that subscribe and a restarted
//! service share.

use std::time::Duration;

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::broker::{Broker, Level, Limits, Threshold, Weight};
use blocksmith_sync::mailbox::{Closed, Counters, OnFull, TryRecvError};
use blocksmith_sync::{Atomic, Primitives};

use super::notifier::join;
use super::{RUNS, Row, SAMPLE, UNBOUNDED, preemptions, states};
use crate::row;

/// Returns limits by which a level ends with the first low sample. No item is ever too old, however
/// much time passes.
pub(crate) fn at_once() -> Limits {
    let full_age = Duration::from_secs(1 << 30);
    Limits { dwell: Duration::ZERO, full_age, ..Limits::default() }
}

/// Returns the figures of a mailbox of ten places that holds `depth` items.
pub(crate) fn holds(depth: u32) -> Counters {
    let depth = u64::from(depth);
    Counters { depth, sent: depth, capacity: 10, ..Counters::default() }
}

/// Returns a broker of one mailbox, and the number that stands for the mailbox's depth.
fn watched<P: Primitives>(limits: Limits) -> (Broker<P>, P::Arc<P::AtomicU32>) {
    let depth = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let shown = depth.clone();
    let broker = match Broker::new(limits) {
        Ok(broker) => broker,
        Err(error) => panic!("the limits make sense: {error}"),
    };
    let read = move || holds(shown.load(Relaxed));
    assert_eq!(broker.watch("work", Weight::Counts, read), Ok(()));
    (broker, depth)
}

/// A thread subscribes while the level rises. It finds the new level, or is told of it.
pub fn a_subscriber_misses_nothing<P: Primitives>() {
    let (broker, depth) = watched::<P>(at_once());
    depth.store(10, Relaxed);
    let sampler = broker.clone();
    let thread = P::spawn("sampler", move || assert!(sampler.observe().is_some()));
    let Ok((mut level, changes)) = broker.subscribe() else { panic!("there is room") };
    if level == Level::Normal {
        level = changes.recv().map_or(level, |change| change.to);
    }
    assert_eq!(level, Level::Critical);
    join(thread);
    assert_eq!(changes.try_recv(), Err(TryRecvError::Empty), "told twice");
}

/// Two threads sample while the load comes and goes. The last change that a subscriber is told of
/// is the level.
pub fn changes_are_told_in_order<P: Primitives>() {
    let (broker, depth) = watched::<P>(at_once());
    let Ok((level, changes)) = broker.subscribe() else { panic!("there is room") };
    let (other, load) = (broker.clone(), depth.clone());
    let thread = P::spawn("sampler", move || {
        load.store(10, Relaxed);
        other.observe();
    });
    depth.store(0, Relaxed);
    broker.observe();
    join(thread);
    let last = changes.try_recv().map_or(level, |change| change.to);
    assert_eq!(last, broker.level());
    assert_eq!(last, broker.snapshot().level);
}

/// The load rises, moves between the thresholds while a thread samples, and ends. The level rises
/// once, holds, and ends once.
pub fn no_flapping<P: Primitives>() {
    let mut limits = at_once();
    limits.thresholds = [Threshold { rise: 900, fall: 100 }; 3];
    let (broker, depth) = watched::<P>(limits);
    depth.store(9, Relaxed);
    assert_eq!(broker.observe().map(|change| change.to), Some(Level::Critical), "it rises");
    let load = depth.clone();
    let thread = P::spawn("load", move || {
        for next in [2, 8, 1] {
            load.store(next, Relaxed);
        }
    });
    for _ in 0..3 {
        assert_eq!(broker.observe(), None, "the level flaps");
    }
    join(thread);
    assert_eq!((broker.observe(), broker.level()), (None, Level::Critical), "the level flaps");
    depth.store(0, Relaxed);
    assert_eq!(broker.observe().map(|change| change.to), Some(Level::Normal), "it ends");
}

/// A service ends after its first message while the second is being sent. Its successor receives
/// the second.
pub fn a_mailbox_outlives_its_service<P: Primitives>() {
    let Ok(broker) = Broker::<P>::new(at_once()) else { panic!("the limits make sense") };
    let Ok((sender, lease)) = broker.open::<u32>("work", Weight::Counts, 2, 0, OnFull::Refuse)
    else {
        panic!("the name is new")
    };
    let service = P::spawn("service", move || assert_eq!(lease.recv(), Ok(1)));
    assert_eq!([sender.send(1), sender.send(2)], [Ok(None); 2]);
    join(service);
    let Ok(successor) = broker.claim::<u32>("work") else { panic!("it came back") };
    assert_eq!(successor.try_recv(), Ok(2));
    drop(sender);
    assert_eq!(successor.recv(), Err(Closed));
}

/// A thread that samples at intervals is told to end.
pub fn the_sampler_ends<P: Primitives>() {
    let (broker, depth) = watched::<P>(at_once());
    depth.store(10, Relaxed);
    let sampler = broker.clone();
    let thread = P::spawn("sampler", move || sampler.serve(Duration::from_micros(50), |_| ()));
    let Ok((level, changes)) = broker.subscribe() else { panic!("there is room") };
    if level == Level::Normal {
        assert_eq!(changes.recv().map(|change| change.to), Ok(Level::Critical));
    }
    broker.stop();
    join(thread);
}

pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            broker::a_subscriber_misses_nothing,
            "who subscribes while the level changes finds the new one or is told of it", Some(&hazard::N1),
            threads: 2, loom: preemptions(3), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        row! {
            broker::changes_are_told_in_order,
            "the last change that a subscriber is told of is the level, whoever samples", Some(&hazard::B5),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        row! {
            broker::no_flapping,
            "a level begins above one threshold, holds down to a lower one, and ends below it", Some(&hazard::B1),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(100_000), std: RUNS,
        },
        row! {
            broker::a_mailbox_outlives_its_service,
            "a successor has what its predecessor left in the mailbox", Some(&hazard::L5),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        row! {
            broker::the_sampler_ends,
            "a thread that samples between sleeps ends when it is told to", Some(&hazard::N10),
            threads: 2, loom: None, shuttle: None, stepped: None, std: RUNS,
        },
    ]
}
