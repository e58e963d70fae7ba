//! Tests of the notifier on real threads, and of how often it asks the kernel.

use super::*;
use crate::Std;
use crate::scripted::{Scripted, script};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize};

type Notifier = EventNotifier<Std>;

/// Two threads hand a baton to each other ten thousand times; a lost wake-up hangs the test.
#[test]
fn every_handover_arrives() {
    let shared = Arc::new((AtomicUsize::new(0), Notifier::new()));
    let other = Arc::clone(&shared);
    let turn = |(count, changed): &(AtomicUsize, Notifier), parity: usize| {
        for _ in 0..10_000 {
            changed.wait_until(|| (count.load(Relaxed) % 2 == parity).then_some(()));
            count.fetch_add(1, Relaxed);
            changed.notify_one();
        }
    };
    let thread = std::thread::spawn(move || turn(&other, 1));
    turn(&shared, 0);
    thread.join().unwrap();
    assert_eq!(shared.0.load(Relaxed), 20_000);
}

/// The condition never holds: the call returns `None` once the time is up, not before.
#[test]
fn a_timed_wait_ends() {
    let notifier = Notifier::new();
    let before = Std::now();
    let found = notifier.wait_until_timeout(Duration::from_millis(5), || None::<()>);
    assert_eq!(found, None);
    assert!(Std::now() - before >= Duration::from_millis(5));
    assert_eq!(notifier.waiters(), 0);
}

/// A token prepared before a notification does not sleep; no timing is involved.
#[test]
fn a_notification_between_prepare_and_wait_prevents_the_sleep() {
    let notifier = Notifier::new();
    let token = notifier.prepare();
    notifier.notify_one();
    token.wait();
    let token = notifier.prepare();
    notifier.notify_one();
    assert_eq!(token.wait_timeout(Duration::ZERO), WaitOutcome::Woken);
    drop(notifier.prepare());
    assert_eq!(notifier.waiters(), 0);
}

/// The condition of a thread that was woken panics: the notification is passed on to the other
/// thread.
#[test]
fn a_condition_that_panics_passes_the_notification_on() {
    let shared = Arc::new((AtomicU32::new(0), EventNotifier::<Scripted>::new()));
    let (permits, changed) = &*shared;
    let take = |permits: &AtomicU32| {
        permits.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1)).ok().map(drop)
    };
    let threads = [(); 2].map(|()| {
        let shared = shared.clone();
        std::thread::spawn(move || {
            shared.1.wait_until(|| {
                // Whichever of the two comes first, once there is something to take.
                let first =
                    shared.0.fetch_update(Relaxed, Relaxed, |count| (count == 2).then_some(1));
                assert!(first.is_err(), "the first that was woken panics");
                take(&shared.0)
            });
        })
    });
    changed.until_asleep(2);
    permits.store(2, Relaxed);
    changed.notify_one();
    let ends = threads.map(|thread| thread.join().is_ok());
    assert!(ends == [true, false] || ends == [false, true], "{ends:?}");
    assert_eq!((permits.load(Relaxed), changed.waiters()), (0, 0));
}

/// Eight sleepers, `notify_all` until all have left: each leaves exactly once.
#[test]
fn notify_all_releases_every_waiter() {
    static GO: AtomicU32 = AtomicU32::new(0);
    static CHANGED: Notifier = Notifier::new_static();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(|| {
                CHANGED.wait_until(|| (GO.load(Relaxed) == 1).then_some(()));
            })
        })
        .collect();
    GO.store(1, Relaxed);
    CHANGED.notify_all();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(CHANGED.waiters(), 0);
}

/// As many tokens as are allowed, and one more, which panics and leaves the figures unchanged.
#[test]
fn the_number_of_threads_is_bounded() {
    let notifier = Notifier::new();
    let tokens: Vec<_> = (0..MAX_THREADS).map(|_| notifier.prepare()).collect();
    let one_more = std::panic::AssertUnwindSafe(|| drop(notifier.prepare()));
    let message = std::panic::catch_unwind(one_more).unwrap_err();
    assert_eq!(message.downcast_ref(), Some(&"more than 2^19 threads wait"));
    assert_eq!(notifier.waiters(), MAX_THREADS);
    notifier.notify_all();
    drop(tokens);
    assert_eq!(notifier.waiters(), 0);
}

impl EventNotifier<Scripted> {
    /// Waits until threads have gone to sleep at least that many times.
    pub(crate) fn until_asleep(&self, times: u32) {
        self.epoch.until_asleep(times);
    }

    /// Runs `body` while no thread that has gone to sleep returns, whether it is woken or not.
    pub(crate) fn while_asleep<R>(&self, body: impl FnOnce() -> R) -> R {
        let _gate = self.epoch.gate.lock().unwrap();
        body()
    }
}

/// Calls to `wake`, wakes on their way, sleepers.
fn figures(notifier: &EventNotifier<Scripted>) -> (u32, u32, u32) {
    let waiters = notifier.waiters.load(Relaxed);
    (notifier.epoch.wakes.load(Relaxed), wakes(waiters), sleepers(waiters))
}

/// A thread sleeps, is woken, and does not get to run. Of five publications with their
/// notifications, the first wakes it. When it runs, it finds all five.
#[test]
fn until_the_woken_thread_runs_one_wake_is_enough() {
    let shared = Arc::new((AtomicUsize::new(0), EventNotifier::<Scripted>::new()));
    let other = shared.clone();
    let (count, changed) = &*shared;
    let gate = changed.epoch.gate.lock().unwrap();
    let thread = std::thread::spawn(move || {
        other.1.wait_until(|| (other.0.load(Relaxed) == 5).then_some(()));
    });
    changed.until_asleep(1);
    for _ in 0..5 {
        count.fetch_add(1, Relaxed);
        changed.notify_one();
    }
    assert_eq!(figures(changed), (1, 1, 0));
    drop(gate);
    thread.join().unwrap();
    changed.notify_one();
    assert_eq!(figures(changed), (1, 0, 0));
}

/// Three threads sleep; as many are woken as notifications ask for, with no more calls than that
/// takes.
#[test]
fn each_sleeper_is_woken_once() {
    let shared = Arc::new((AtomicUsize::new(0), EventNotifier::<Scripted>::new()));
    let (count, changed) = &*shared;
    let gate = changed.epoch.gate.lock().unwrap();
    let threads = [(); 3].map(|()| {
        let shared = shared.clone();
        std::thread::spawn(move || {
            shared.1.wait_until(|| (shared.0.load(Relaxed) == 1).then_some(()));
        })
    });
    changed.until_asleep(3);
    count.store(1, Relaxed);
    changed.notify_many(2);
    assert_eq!(figures(changed), (1, 2, 1));
    changed.notify_one();
    changed.notify_one();
    changed.notify_all();
    assert_eq!(figures(changed), (2, 3, 0));
    drop(gate);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(figures(changed), (2, 0, 0));
}

/// Tokens of one thread end in all possible ways. Each takes a wake that is on its way off the
/// count, which never falls below zero, and a token that comes later is woken again.
#[test]
fn a_token_that_goes_takes_a_wake_off() {
    let notifier = EventNotifier::<Scripted>::new();
    let (first, second) = (notifier.prepare(), notifier.prepare());
    notifier.notify_one();
    assert_eq!(figures(&notifier), (1, 1, 1));
    drop(second); // cancelled
    assert_eq!(figures(&notifier), (1, 0, 1));
    notifier.notify_one();
    notifier.notify_one();
    assert_eq!(figures(&notifier), (2, 1, 0));
    let third = notifier.prepare();
    assert_eq!(third.wait_timeout(Duration::ZERO), WaitOutcome::TimedOut);
    assert_eq!(figures(&notifier), (2, 0, 1));
    let fourth = notifier.prepare();
    notifier.notify_all();
    assert_eq!(figures(&notifier), (3, 2, 0));
    first.wait();
    fourth.wait();
    drop(notifier.prepare());
    assert_eq!(figures(&notifier), (3, 0, 0));
}

/// A notification comes just when the time of a wait is up: the wait was woken, and so its thread
/// knows that it owes a look.
#[test]
fn a_notification_at_the_deadline_counts_as_a_wake_up() {
    let notifier = Arc::new(EventNotifier::<Scripted>::new());
    let other = notifier.clone();
    script(|script| script.at_timed_wait.set(Some(Box::new(move || other.notify_one()))));
    assert_eq!(notifier.prepare().wait_timeout(Duration::MAX), WaitOutcome::Woken);
    script(|script| script.at_timed_wait.set(Some(Box::new(|| ()))));
    assert_eq!(notifier.prepare().wait_timeout(Duration::MAX), WaitOutcome::TimedOut);
    assert_eq!(figures(&notifier), (1, 0, 0));
}

/// A thread that waits again after a notification finds what that notification was for without
/// asking the kernel.
#[test]
fn a_token_that_is_notified_does_not_ask_the_kernel() {
    let notifier = EventNotifier::<Scripted>::new();
    let token = notifier.prepare();
    notifier.notify_one();
    token.wait();
    assert_eq!(notifier.epoch.sleeps.load(Relaxed), 0);
}

/// A value's `Debug` names its type, and shows nothing that other threads change.
#[test]
fn debug_names_the_type() {
    let notifier = Notifier::new();
    assert_eq!(format!("{notifier:?}"), "EventNotifier { .. }");
    assert_eq!(format!("{:?}", notifier.until(|| None::<()>)), "Until { .. }");
}
