//! Tests of the table, and of the notifier and channels on it: what other systems run is run here.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::{AtomicPtr as StdPtr, AtomicUsize};
use std::cell::UnsafeCell;
use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::mailbox::{OnFull, mailbox};
use crate::mpmc::mpmc;
use crate::notifier::EventNotifier;
use crate::primitives::{Atomic, Futex, Ordering, Primitives};
use crate::{Backpressure, Closed, RecvTimeoutError, Std, oneshot};

/// A word that threads sleep on with the table.
struct Word(AtomicU32);

// SAFETY: std's atomic, operation by operation.
unsafe impl Atomic<u32> for Word {
    fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }
    fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }
    fn store(&self, value: u32, order: Ordering) {
        self.0.store(value, order);
    }
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.0.swap(value, order)
    }
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_add(value, order)
    }
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_sub(value, order)
    }
    fn fetch_max(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_max(value, order)
    }
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.0.compare_exchange(current, new, success, failure)
    }
}

// SAFETY: the word is std's atomic.
unsafe impl Futex for Word {
    fn wait(&self, expected: u32) {
        wait(&self.0, expected);
    }
    fn wait_timeout(&self, expected: u32, timeout: Duration) -> WaitOutcome {
        wait_timeout(&self.0, expected, timeout)
    }
    fn wake(&self, count: u32) {
        wake(&self.0, count);
    }
}

/// `Std` as it would be without a futex.
struct Parked;

// SAFETY: all but the futex is `Std`'s.
unsafe impl Primitives for Parked {
    type AtomicU32 = AtomicU32;
    type AtomicU64 = AtomicU64;
    type AtomicUsize = AtomicUsize;
    type AtomicPtr<T> = StdPtr<T>;
    type Futex = Word;
    type Cell<T> = UnsafeCell<T>;
    type Mutex<T: Send> = Mutex<T>;
    type Arc<T: Send + Sync> = Arc<T>;
    type JoinHandle<T: Send + 'static> = std::thread::JoinHandle<T>;

    fn fence(order: Ordering) {
        Std::fence(order);
    }
    fn arc<T: Send + Sync>(value: T) -> Arc<T> {
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

/// Looks and steps aside are for backends that ask for them; no two keys are the same.
#[test]
fn a_backend_that_says_nothing_sleeps_at_once() {
    assert!(!Parked::looks() && !Parked::step_aside() && !Parked::reporting());
    assert_ne!(Parked::secret(), Parked::secret());
}

/// Waits until `count` threads sleep on a word: they are on the list before they sleep.
fn until_asleep(word: &AtomicU32, count: usize) {
    let here = address(word);
    let asleep = || Bucket::of(here).lock().entries.iter().filter(|entry| entry.0 == here).count();
    while asleep() != count {
        std::thread::yield_now();
    }
}

/// Two words share a bucket; of three sleepers on one of them first one is woken, then all.
#[test]
fn a_wake_takes_as_many_of_its_own_word_as_it_says() {
    let words: Arc<Vec<AtomicU32>> = Arc::new((0..=BUCKETS).map(|_| AtomicU32::new(7)).collect());
    let (first, last) = (0, BUCKETS); // as far apart as the table is long
    let sleep_on = |index: usize| {
        let words = words.clone();
        std::thread::spawn(move || wait(&words[index], 7))
    };
    let asleep = [first, first, first].map(sleep_on);
    let other = sleep_on(last);
    until_asleep(&words[first], 3);
    until_asleep(&words[last], 1);
    wake(&words[last], 0);
    wake(&words[1], u32::MAX);
    wake(&words[first], 1);
    until_asleep(&words[first], 2);
    until_asleep(&words[last], 1);
    wake(&words[first], u32::MAX);
    asleep.into_iter().for_each(|thread| thread.join().unwrap());
    wake(&words[last], 1);
    other.join().unwrap();
}

/// Words that lie side by side do not share a bucket, as far as there are buckets.
#[test]
fn neighbours_have_buckets_of_their_own() {
    let words: Vec<_> = (0..BUCKETS).map(|_| AtomicU32::new(0)).collect();
    let buckets: HashSet<_> =
        words.iter().map(|word| core::ptr::from_ref(Bucket::of(address(word)))).collect();
    assert_eq!(buckets.len(), BUCKETS);
}

/// Another value, a time that is up, a time that the clock cannot hold.
#[test]
fn a_wait_that_need_not_sleep_returns() {
    let word = AtomicU32::new(1);
    wait(&word, 2);
    assert_eq!(wait_timeout(&word, 2, Duration::MAX), WaitOutcome::Woken);
    assert_eq!(wait_timeout(&word, 1, Duration::from_millis(1)), WaitOutcome::TimedOut);
    until_asleep(&word, 0);
}

/// Two threads hand a turn back and forth; a lost wake would leave both asleep.
#[test]
fn every_handover_of_a_notifier_arrives() {
    const TURNS: u32 = 20_000;
    let shared = Arc::new((AtomicU32::new(0), EventNotifier::<Parked>::new()));
    let threads = [0, 1].map(|own| {
        let shared = shared.clone();
        std::thread::spawn(move || {
            let (turn, changed) = &*shared;
            for round in (own..TURNS).step_by(2) {
                changed.wait_until(|| (turn.load(Relaxed) == round).then_some(()));
                turn.store(round + 1, Relaxed);
                changed.notify_one();
            }
        })
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(shared.0.load(Relaxed), TURNS);
}

/// Blocked senders and receivers of a mailbox and of a pool's queue, one-shots, timed waits.
#[test]
fn channels_block_and_wake() {
    let (sender, receiver) = mailbox::<Parked, u64>(2, 0, OnFull::Block);
    let (tasks, pool) = mpmc::<Parked, u64>(2, Backpressure::Block);
    let senders = [sender.clone(), sender].map(|sender| {
        std::thread::spawn(move || (1..=2_000).all(|item| sender.send(item) == Ok(None)))
    });
    let workers = [pool.clone(), pool].map(|pool| std::thread::spawn(move || pool.iter().sum()));
    for item in &receiver {
        tasks.send(item).unwrap();
    }
    drop(tasks);
    let sum: u64 = workers
        .into_iter()
        .map(|thread: std::thread::JoinHandle<u64>| thread.join().unwrap())
        .sum();
    assert!(senders.into_iter().all(|thread| thread.join().unwrap()));
    assert_eq!((sum, receiver.recv()), (2_000 * 2_001, Err(Closed)));
    for round in 0..1_000_u32 {
        let (reply, answer) = oneshot::channel::<Parked, u32>();
        let thread = std::thread::spawn(move || reply.send(round));
        assert_eq!((answer.recv(), thread.join().unwrap()), (Ok(round), Ok(())));
    }
    let (_sender, receiver) = mailbox::<Parked, u32>(1, 0, OnFull::Block);
    let soon = Duration::from_millis(1);
    assert_eq!(receiver.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
}
