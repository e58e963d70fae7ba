//! Scenarios of the event notifier. The conditions are relaxed atomics, so that only the notifier
//! orders what the threads do.

use std::time::Duration;

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Join, Primitives};

use super::{EIGHT, RUNS, Row, SAMPLE, TOO_LARGE, preemptions, restless, restless_states, states};
use crate::row;

/// A number that threads wait for, and the notifier that tells of its changes.
pub struct Shared<P: Primitives> {
    /// Tells of its changes.
    pub changed: EventNotifier<P>,
    /// The number.
    pub count: P::AtomicU32,
}

impl<P: Primitives> Shared<P> {
    /// Makes the number and its notifier.
    pub fn new(count: u32) -> P::Arc<Self> {
        P::arc(Self { changed: EventNotifier::new(), count: Atomic::new(count) })
    }

    /// Takes one of the permits that `count` counts, if there is one.
    pub fn take(&self) -> Option<()> {
        let mut count = self.count.load(Relaxed);
        while count > 0 {
            match self.count.compare_exchange(count, count - 1, Relaxed, Relaxed) {
                Ok(_) => return Some(()),
                Err(found) => count = found,
            }
        }
        None
    }

    /// Adds a permit: it publishes first and then notifies.
    pub fn put(&self) {
        self.count.fetch_add(1, Relaxed);
        self.changed.notify_one();
    }
}

/// Joins a thread, and asserts that it did not panic.
pub fn join<T, J: Join<T>>(thread: J) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(_) => panic!("a thread of the scenario panicked"),
    }
}

/// One thread publishes, and another waits for it.
pub fn relaxed_flag<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let producer = P::spawn("producer", move || {
        other.count.store(1, Relaxed);
        other.changed.notify_one();
    });
    shared.changed.wait_until(|| (shared.count.load(Relaxed) == 1).then_some(()));
    join(producer);
}

/// Two threads publish, and a waiter needs both publications.
pub fn two_producers<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let producers = ["producer 1", "producer 2"].map(|name| {
        let shared = shared.clone();
        P::spawn(name, move || shared.put())
    });
    shared.changed.wait_until(|| (shared.count.load(Relaxed) == 2).then_some(()));
    producers.into_iter().for_each(join);
}

/// One thread publishes twice, and a waiter needs both publications. The second notification may
/// find the wake of the first on its way.
pub fn a_wake_for_two<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let producer = P::spawn("producer", move || {
        other.put();
        other.put();
    });
    shared.changed.wait_until(|| (shared.count.load(Relaxed) == 2).then_some(()));
    join(producer);
}

/// One thread publishes twice, and a waiter waits for one publication after the other. A wake that
/// was on its way for the first wait must not keep the second wait from being notified.
pub fn one_wait_after_another<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let producer = P::spawn("producer", move || {
        other.put();
        other.put();
    });
    for _ in 0..2 {
        shared.changed.wait_until(|| shared.take());
    }
    join(producer);
}

/// One thread puts two permits one after the other, for two waiters.
pub fn two_waiters<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let waiters = ["waiter 1", "waiter 2"].map(|name| {
        let shared = shared.clone();
        P::spawn(name, move || shared.changed.wait_until(|| shared.take()))
    });
    shared.put();
    shared.put();
    waiters.into_iter().for_each(join);
    assert_eq!(shared.count.load(Relaxed), 0);
}

/// Two waiters want the only permit. One waits for a limited time, and passes the permit on if it
/// gets it. The other waits without limit, and must get the permit in the end.
pub fn a_waiter_gives_up<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let (first, second) = (shared.clone(), shared.clone());
    let impatient = P::spawn("impatient", move || {
        let soon = Duration::from_millis(1);
        if first.changed.wait_until_timeout(soon, || first.take()).is_some() {
            first.put();
        }
    });
    let patient = P::spawn("patient", move || second.changed.wait_until(|| second.take()));
    shared.put();
    join(impatient);
    join(patient);
}

/// Two waiters want one of two permits. One waits for a limited time, which may be over when a wake
/// is on its way to it. The other waits without limit.
pub fn a_claimed_waiter_gives_up<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let (first, second) = (shared.clone(), shared.clone());
    let impatient = P::spawn("impatient", move || {
        let soon = Duration::from_millis(1);
        let _ = first.changed.prepare().wait_timeout(soon);
        // Whatever the outcome, this thread looks no more. So it passes on the notification that it
        // may have had (the notifier's rule R2).
        first.changed.notify_one();
    });
    let patient = P::spawn("patient", move || second.changed.wait_until(|| second.take()));
    shared.put();
    shared.put();
    join(impatient);
    join(patient);
}

/// A waiter takes a permit before the wake that belongs to it, and waits for another permit. That
/// wake, which is now meant for the other waiter, may then find it.
pub fn a_wake_meets_a_latecomer<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let waiters = [("waiter of one", 1), ("waiter of two", 2)].map(|(name, permits)| {
        let shared = shared.clone();
        P::spawn(name, move || {
            (0..permits).for_each(|_| shared.changed.wait_until(|| shared.take()));
        })
    });
    (0..3).for_each(|_| shared.put());
    waiters.into_iter().for_each(join);
    assert_eq!(shared.count.load(Relaxed), 0);
}

/// One thread registers and cancels without ever sleeping. The other must get the only permit.
pub fn a_waiter_cancels<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let (first, second) = (shared.clone(), shared.clone());
    let fickle = P::spawn("fickle", move || drop(first.changed.prepare()));
    let patient = P::spawn("patient", move || second.changed.wait_until(|| second.take()));
    shared.put();
    join(fickle);
    join(patient);
}

/// Eight threads: four put a permit each, and four wait for one. One of the waiters waits for a
/// limited time, and passes its permit on if it gets one.
pub fn eight_threads<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let waiters = [(); 3].map(|()| {
        let shared = shared.clone();
        P::spawn("waiter", move || shared.changed.wait_until(|| shared.take()))
    });
    let other = shared.clone();
    let impatient = P::spawn("impatient", move || {
        let soon = Duration::from_millis(1);
        if other.changed.wait_until_timeout(soon, || other.take()).is_some() {
            other.put();
        }
    });
    let producers = [(); 3].map(|()| {
        let shared = shared.clone();
        P::spawn("producer", move || shared.put())
    });
    shared.put();
    waiters.into_iter().for_each(join);
    join(impatient);
    producers.into_iter().for_each(join);
    assert_eq!(shared.count.load(Relaxed), 1);
}

/// One thread publishes, and two waiters wait for it.
pub fn notify_all<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let waiters = ["waiter 1", "waiter 2"].map(|name| {
        let shared = shared.clone();
        P::spawn(name, move || {
            shared.changed.wait_until(|| (shared.count.load(Relaxed) == 1).then_some(()));
        })
    });
    shared.count.store(1, Relaxed);
    shared.changed.notify_all();
    waiters.into_iter().for_each(join);
}

/// Returns the scenarios of this module, with their bounds.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            notifier::relaxed_flag,
            "a waiter sees a relaxed publication that was followed by a notification", Some(&hazard::N2),
            threads: 2, loom: restless(6), shuttle: SAMPLE, stepped: restless_states(10_000), std: RUNS,
        },
        row! {
            notifier::two_producers,
            "a waiter that needs two publications gets both", Some(&hazard::N1),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            notifier::a_wake_for_two,
            "a notification that finds a wake on its way is not lost", Some(&hazard::N7),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(100_000), std: RUNS,
        },
        row! {
            notifier::one_wait_after_another,
            "a wake that was on its way to one wait is not counted for the next", Some(&hazard::N7),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(100_000), std: RUNS,
        },
        row! {
            notifier::two_waiters,
            "two permits with two notify_one release two waiters", None,
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: states(600_000), std: RUNS,
        },
        row! {
            notifier::a_waiter_gives_up,
            "a waiter whose time runs out takes no notification from another", Some(&hazard::N7),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(1_000_000), std: None,
        },
        row! {
            notifier::a_claimed_waiter_gives_up,
            "a waiter whose time runs out with a wake on its way keeps none from another", Some(&hazard::N7),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            notifier::a_wake_meets_a_latecomer,
            "a wake that finds a waiter who came later leaves nobody asleep", Some(&hazard::N7),
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            notifier::a_waiter_cancels,
            "a waiter that cancels takes no notification from another", Some(&hazard::N7),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
        row! {
            notifier::eight_threads,
            "of eight threads everyone that waits gets a permit, and none is lost", Some(&hazard::N8),
            threads: 8, loom: None, shuttle: EIGHT, stepped: None, std: Some(100),
        },
        row! {
            notifier::notify_all,
            "notify_all releases every waiter", None,
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
    ]
}
