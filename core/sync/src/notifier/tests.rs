//! Tests of the notifier on real threads, and of how often it asks the kernel.

use super::*;
use crate::Std;
use crate::primitives::Ordering;
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
    let shared = Arc::new((AtomicU32::new(0), EventNotifier::<Counting>::new()));
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
    asleep(changed, 2);
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

/// The primitives of `Std`, with a futex that counts its wakes and holds back woken threads.
struct Counting;

/// Counts the calls to `wake`, tells when a thread goes to sleep, and lets it return only while
/// nobody holds `gate`.
struct CountingFutex {
    word: AtomicU32,
    wakes: AtomicU32,
    sleeps: AtomicU32,
    slept: Notifier,
    gate: std::sync::Mutex<()>,
}

// SAFETY: the word of std, operation by operation.
unsafe impl Atomic<u32> for CountingFutex {
    fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
            wakes: AtomicU32::new(0),
            sleeps: AtomicU32::new(0),
            slept: Notifier::new(),
            gate: std::sync::Mutex::new(()),
        }
    }
    fn load(&self, order: Ordering) -> u32 {
        self.word.load(order)
    }
    fn store(&self, value: u32, order: Ordering) {
        self.word.store(value, order);
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.word.swap(value, order)
    }
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.word.fetch_add(value, order)
    }
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        self.word.fetch_sub(value, order)
    }
    fn fetch_max(&self, value: u32, order: Ordering) -> u32 {
        self.word.fetch_max(value, order)
    }
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.word.compare_exchange(current, new, success, failure)
    }
}

// SAFETY: as above.
unsafe impl Futex for CountingFutex {
    fn wait(&self, expected: u32) {
        self.sleeps.fetch_add(1, Relaxed);
        self.slept.notify_all();
        self.word.wait(expected);
        drop(self.gate.lock());
    }
    fn wait_timeout(&self, expected: u32, timeout: Duration) -> WaitOutcome {
        self.word.wait_timeout(expected, timeout)
    }
    fn wake(&self, count: u32) {
        self.wakes.fetch_add(1, Relaxed);
        self.word.wake(count);
    }
}

// SAFETY: those of `Std`.
unsafe impl Primitives for Counting {
    type AtomicU32 = <Std as Primitives>::AtomicU32;
    type AtomicU64 = <Std as Primitives>::AtomicU64;
    type AtomicUsize = <Std as Primitives>::AtomicUsize;
    type AtomicPtr<T> = <Std as Primitives>::AtomicPtr<T>;
    type Futex = CountingFutex;
    type Cell<T> = <Std as Primitives>::Cell<T>;
    type Mutex<T: Send> = <Std as Primitives>::Mutex<T>;
    type Arc<T: Send + Sync> = <Std as Primitives>::Arc<T>;
    type JoinHandle<T: Send + 'static> = <Std as Primitives>::JoinHandle<T>;

    fn fence(order: Ordering) {
        Std::fence(order);
    }
    fn arc<T: Send + Sync>(value: T) -> Self::Arc<T> {
        Std::arc(value)
    }
    fn spawn<T: Send + 'static>(
        name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Self::JoinHandle<T> {
        Std::spawn(name, body)
    }
    fn now() -> Duration {
        Std::now()
    }
    fn yield_now() {
        Std::yield_now();
    }
}

/// Waits until `threads` threads have come to their sleep.
fn asleep(notifier: &EventNotifier<Counting>, threads: u32) {
    let futex = &notifier.epoch;
    futex.slept.wait_until(|| (futex.sleeps.load(Relaxed) == threads).then_some(()));
}

/// Calls to `wake`, wakes on their way, sleepers.
fn figures(notifier: &EventNotifier<Counting>) -> (u32, u32, u32) {
    let waiters = notifier.waiters.load(Relaxed);
    (notifier.epoch.wakes.load(Relaxed), wakes(waiters), sleepers(waiters))
}

/// A thread sleeps, is woken, and does not get to run. Of five publications with their
/// notifications, the first wakes it. When it runs, it finds all five.
#[test]
fn until_the_woken_thread_runs_one_wake_is_enough() {
    let shared = Arc::new((AtomicUsize::new(0), EventNotifier::<Counting>::new()));
    let other = shared.clone();
    let (count, changed) = &*shared;
    let gate = changed.epoch.gate.lock().unwrap();
    let thread = std::thread::spawn(move || {
        other.1.wait_until(|| (other.0.load(Relaxed) == 5).then_some(()));
    });
    asleep(changed, 1);
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
    let shared = Arc::new((AtomicUsize::new(0), EventNotifier::<Counting>::new()));
    let (count, changed) = &*shared;
    let gate = changed.epoch.gate.lock().unwrap();
    let threads = [(); 3].map(|()| {
        let shared = shared.clone();
        std::thread::spawn(move || {
            shared.1.wait_until(|| (shared.0.load(Relaxed) == 1).then_some(()));
        })
    });
    asleep(changed, 3);
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
    let notifier = EventNotifier::<Counting>::new();
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
