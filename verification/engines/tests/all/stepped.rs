//! Tests of the `Stepped` backend on small scenarios whose answer is known.

use std::time::Duration;

use blocksmith_engines::stepped::{self, Limits, Stepped};
use blocksmith_engines::verdict::{Outcome, Verdict};
use blocksmith_sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use blocksmith_sync::{
    Atomic, AtomicPtr as _, Cell as _, Futex as _, Join, Mutex as _, Primitives, WaitOutcome,
};

pub(crate) type Arc<T> = <Stepped as Primitives>::Arc<T>;
pub(crate) type U32 = <Stepped as Primitives>::AtomicU32;
type Ptr<T> = <Stepped as Primitives>::AtomicPtr<T>;
pub(crate) type Futex = <Stepped as Primitives>::Futex;
type Cell<T> = <Stepped as Primitives>::Cell<T>;
pub(crate) type Mutex<T> = <Stepped as Primitives>::Mutex<T>;

pub(crate) fn arc<T: Send + Sync>(value: T) -> Arc<T> {
    Stepped::arc(value)
}

pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> <Stepped as Primitives>::JoinHandle<T> {
    Stepped::spawn(name, body)
}

/// Explores a scenario; the number of its threads is counted.
pub(crate) fn check(scenario: fn(), limits: Limits) -> Verdict {
    stepped::check(scenario, 1, limits)
}

#[track_caller]
fn verified(verdict: &Verdict) {
    assert_eq!(verdict.outcome, Outcome::Verified, "{verdict}");
}

#[track_caller]
fn refuted(verdict: &Verdict) -> &str {
    verdict.counterexample().unwrap_or_else(|| panic!("{verdict}"))
}

pub(crate) fn increments(atomically: bool) {
    let counter = arc(U32::new(0));
    let threads = ["left", "right"].map(|name| {
        let counter = counter.clone();
        spawn(name, move || {
            if atomically {
                counter.fetch_add(1, Relaxed);
            } else {
                let seen = counter.load(Relaxed);
                counter.store(seen + 1, Relaxed);
            }
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(counter.load(Relaxed), 2, "an update is lost");
}

#[test]
fn two_atomic_increments_both_count() {
    // Explores both orders of two read-modify-writes.
    let verdict = check(|| increments(true), Limits::default());
    verified(&verdict);
    assert_eq!(verdict.bounds["threads"], "3");
}

#[test]
fn a_split_increment_loses_an_update() {
    // Must be refuted, by a schedule of six steps: two loads, two stores, two joins, and the last
    // load.
    let verdict = check(|| increments(false), Limits::default());
    let text = refuted(&verdict);
    assert!(text.contains("an update is lost"), "{text}");
    assert!(text.contains("left") && text.contains("store(1)"), "{text}");
    assert!(text.contains("stepped.rs:"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("stepped.rs:")).count(), 8, "{text}");
}

/// One waiter and one notifier share a condition and a futex word. The fault is not to look at the
/// condition again after the word has been read.
pub(crate) fn park(recheck: bool) {
    let shared = arc((U32::new(0), Futex::new(0)));
    let waiter = {
        let shared = shared.clone();
        spawn("waiter", move || {
            let (condition, word) = &*shared;
            while condition.load(Acquire) == 0 {
                let ticket = word.load(Acquire);
                if recheck && condition.load(Acquire) != 0 {
                    break;
                }
                word.wait(ticket);
            }
        })
    };
    let (condition, word) = &*shared;
    condition.store(1, Release);
    word.fetch_add(1, Release);
    word.wake(1);
    waiter.join().unwrap();
}

#[test]
fn a_waiter_that_rechecks_is_woken() {
    // All interleavings of one waiter and one notifier.
    verified(&check(|| park(true), Limits::default()));
}

#[test]
fn a_waiter_that_does_not_recheck_sleeps_for_ever() {
    // This is the twin of the test above: the ticket is read after the notifier has bumped the word
    // and woken.
    let verdict = check(|| park(false), Limits::default());
    let text = refuted(&verdict);
    assert!(text.contains("no deadlock") && text.contains("asleep on futex"), "{text}");
}

#[test]
fn two_locks_in_opposite_order_deadlock_and_in_one_order_do_not() {
    // The classical pair of locks.
    fn scenario(crossed: bool) {
        let locks = arc((Mutex::new(0u32), Mutex::new(0u32)));
        let other = {
            let locks = locks.clone();
            spawn("other", move || {
                let (first, second) =
                    if crossed { (&locks.1, &locks.0) } else { (&locks.0, &locks.1) };
                let mut a = first.lock();
                *a += 1;
                *second.lock() += 1;
            })
        };
        {
            let mut a = locks.0.lock();
            *a += 1;
            *locks.1.lock() += 1;
        }
        other.join().unwrap();
        assert_eq!((*locks.0.lock(), *locks.1.lock()), (2, 2));
    }
    verified(&check(|| scenario(false), Limits::default()));
    assert!(refuted(&check(|| scenario(true), Limits::default())).contains("no deadlock"));
}

#[test]
fn a_timed_wait_expires_at_any_moment_and_moves_the_clock_to_its_deadline() {
    // With a wake that races the expiry both outcomes are explored: each assertion alone is
    // refuted.
    fn scenario(expected: Option<WaitOutcome>) {
        let word = arc(Futex::new(0));
        let waiter = {
            let word = word.clone();
            spawn("waiter", move || {
                let start = Stepped::now();
                let outcome = word.wait_timeout(0, Duration::from_secs(3));
                let passed = Stepped::now() - start;
                assert_eq!(outcome == WaitOutcome::TimedOut, passed == Duration::from_secs(3));
                outcome
            })
        };
        word.store(1, Release);
        word.wake(1);
        let outcome = waiter.join().unwrap();
        assert!(expected.is_none_or(|expected| expected == outcome), "{outcome:?}");
    }
    let still = Limits { jumps: 0, ..Limits::default() };
    verified(&check(|| scenario(None), still));
    refuted(&check(|| scenario(Some(WaitOutcome::Woken)), still));
    refuted(&check(|| scenario(Some(WaitOutcome::TimedOut)), still));
    let none = Limits { expiries: 0, ..still };
    verified(&check(|| scenario(Some(WaitOutcome::Woken)), none));
    // If the clock may jump, it says nothing about how the wait ended.
    refuted(&check(|| scenario(None), Limits::default()));
}

#[test]
fn a_long_time_passes_between_any_two_readings_or_none_does() {
    // Each assertion alone is refuted; a clock that cannot jump stands still between operations.
    fn scenario(jumped: [bool; 2]) {
        let readings = [(); 3].map(|()| Stepped::now());
        let passed = [readings[1] - readings[0], readings[2] - readings[1]];
        assert_ne!(passed.map(|passed| passed > Duration::ZERO), jumped);
    }
    refuted(&check(|| scenario([false, false]), Limits::default()));
    refuted(&check(|| scenario([true, false]), Limits::default()));
    refuted(&check(|| scenario([false, true]), Limits::default()));
    verified(&check(|| scenario([true, true]), Limits::default()));
    refuted(&check(|| scenario([true, true]), Limits { jumps: 2, ..Limits::default() }));
    verified(&check(|| scenario([true, false]), Limits { jumps: 0, ..Limits::default() }));
}

#[test]
fn a_timed_wait_that_nobody_wakes_expires_even_without_a_budget() {
    // Otherwise the bound would look like a deadlock.
    fn scenario() {
        let word = Futex::new(0);
        assert_eq!(word.wait_timeout(0, Duration::from_millis(1)), WaitOutcome::TimedOut);
    }
    verified(&check(scenario, Limits { expiries: 0, ..Limits::default() }));
}

#[test]
fn a_spurious_wake_up_is_found_within_its_budget_only() {
    // A waiter that takes any return for a message fails as soon as one spurious wake-up is
    // allowed.
    fn scenario() {
        let word = arc(Futex::new(0));
        let waiter = {
            let word = word.clone();
            spawn("waiter", move || {
                word.wait(0);
                assert_eq!(word.load(Acquire), 1, "woken without a message");
            })
        };
        word.store(1, Release);
        word.wake(1);
        waiter.join().unwrap();
    }
    verified(&check(scenario, Limits::default()));
    let verdict = check(scenario, Limits { spurious_wakeups: 1, ..Limits::default() });
    assert!(refuted(&verdict).contains("ends spuriously"));
}

#[test]
fn a_wake_of_one_may_take_either_sleeper() {
    // Each assertion about who went first is refuted.
    fn scenario(first: u32) {
        let shared = arc((Futex::new(0), U32::new(9)));
        let waiters = [0, 1].map(|index| {
            let shared = shared.clone();
            spawn("waiter", move || {
                shared.0.wait(0);
                let _ = shared.1.compare_exchange(9, index, AcqRel, Acquire);
            })
        });
        shared.0.store(1, Release);
        shared.0.wake(1);
        shared.0.wake(1);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(shared.1.load(Acquire), first);
    }
    refuted(&check(|| scenario(0), Limits::default()));
    refuted(&check(|| scenario(1), Limits::default()));
}

/// A stack of nodes, to which two threads push and from which the main thread pops.
pub(crate) fn stack(hints: bool) {
    struct Node {
        value: u32,
        next: *mut Node,
    }
    let head: Arc<Ptr<Node>> = arc(Ptr::new(std::ptr::null_mut()));
    let pushers = [1, 2].map(|value| {
        let head = head.clone();
        spawn("pusher", move || {
            let node = Box::into_raw(Box::new(Node { value, next: std::ptr::null_mut() }));
            let mark = Stepped::mark();
            let mut seen = head.load(Relaxed);
            loop {
                // SAFETY: the node belongs to this thread until the exchange succeeds.
                unsafe { (*node).next = seen };
                match head.compare_exchange(seen, node, Release, Relaxed) {
                    Ok(_) => break,
                    Err(_) if hints => {
                        Stepped::rewind(mark);
                        seen = head.load(Relaxed);
                    }
                    Err(found) => seen = found,
                }
            }
        })
    });
    for pusher in pushers {
        pusher.join().unwrap();
    }
    let mut sum = 0;
    let mut node = head.load(Acquire);
    while !node.is_null() {
        // SAFETY: every node was leaked by its pusher and is taken once, after both have ended.
        let taken = unsafe { Box::from_raw(node) };
        sum += taken.value;
        node = taken.next;
    }
    assert_eq!(sum, 3);
}

#[test]
fn pointers_are_told_apart_by_version_and_every_push_arrives() {
    // A lock-free stack with contention; the state count shows that addresses play no part.
    let first = check(|| stack(false), Limits::default());
    let second = check(|| stack(false), Limits::default());
    verified(&first);
    assert_eq!(first.states, second.states);
    verified(&check(|| stack(true), Limits::default()));
}

#[test]
fn the_last_of_several_handles_runs_the_destructor_whoever_holds_it() {
    // Both threads can be the last: the assertion that it is always the main thread is refuted.
    struct Tell(Arc<U32>, <Stepped as Primitives>::AtomicU32);
    impl Drop for Tell {
        fn drop(&mut self) {
            let owner = self.1.load(Relaxed);
            self.0.store(owner, Release);
        }
    }
    fn scenario(pinned: bool) {
        let told = arc(U32::new(0));
        let shared = arc(Tell(told.clone(), U32::new(7)));
        let other = {
            let shared = shared.clone();
            spawn("other", move || drop(shared))
        };
        if !pinned {
            drop(shared);
            other.join().unwrap();
            assert_eq!(told.load(Acquire), 7, "the destructor ran before both handles were gone");
        } else {
            other.join().unwrap();
            assert_eq!(told.load(Acquire), 7, "the destructor has not run");
        }
    }
    verified(&check(|| scenario(false), Limits::default()));
    assert!(refuted(&check(|| scenario(true), Limits::default())).contains("has not run"));
}

#[test]
fn yield_now_waits_for_a_change_so_that_a_spin_loop_has_few_states() {
    // A spin on a flag ends, without hints; a spin on a flag that nobody sets is cut off, never
    // verified.
    fn scenario(set: bool) {
        let flag = arc(U32::new(0));
        let other = {
            let flag = flag.clone();
            spawn("setter", move || {
                if set {
                    flag.store(1, Release);
                }
            })
        };
        while flag.load(Acquire) == 0 {
            Stepped::yield_now();
        }
        other.join().unwrap();
    }
    let verdict = check(|| scenario(true), Limits::default());
    verified(&verdict);
    assert!(verdict.states.unwrap() < 40, "{verdict}");
    let verdict = check(|| scenario(false), Limits { max_steps: 50, ..Limits::default() });
    assert_eq!(verdict.outcome, Outcome::Truncated { by: "max_steps 50".into() });
}

#[test]
fn a_limit_that_is_hit_is_no_success() {
    // Stops the counter scenario after 1 state: the verdict says so.
    let verdict = check(|| increments(true), Limits { max_states: 1, ..Limits::default() });
    assert_eq!(verdict.word(), "truncated");
}

#[test]
fn a_panic_in_a_thread_is_a_violation_unless_it_is_a_result() {
    // The thread holds a guard while it panics; the mutex is free afterwards.
    fn scenario() {
        let lock = arc(Mutex::new(0u32));
        let other = {
            let lock = lock.clone();
            spawn("worker", move || {
                let _guard = lock.lock();
                panic!("a poisoned task");
            })
        };
        assert!(other.join().is_err());
        *lock.lock() += 1;
    }
    let verdict = check(scenario, Limits::default());
    assert!(refuted(&verdict).contains("a poisoned task"));
    verified(&check(scenario, Limits { panics_end_threads: true, ..Limits::default() }));
}

/// A one-place buffer that hands over `items` items, with hints at both loop heads.
pub(crate) fn hand_over(items: u32) {
    let shared = arc((Futex::new(0), Shared(Cell::new(0u32))));
    struct Shared(Cell<u32>);
    // SAFETY: the word says whose turn it is; only that thread accesses the cell.
    unsafe impl Sync for Shared {}
    // SAFETY: as above.
    unsafe impl Send for Shared {}
    let producer = {
        let shared = shared.clone();
        spawn("producer", move || {
            for item in 0..items {
                Stepped::checkpoint(u64::from(item));
                while shared.0.load(Acquire) == 1 {
                    shared.0.wait(1);
                }
                // SAFETY: see `Shared`.
                shared.1.0.with_mut(|slot| unsafe { *slot = item });
                shared.0.store(1, Release);
                shared.0.wake(u32::MAX);
            }
        })
    };
    for item in 0..items {
        Stepped::checkpoint(u64::from(item));
        while shared.0.load(Acquire) == 0 {
            shared.0.wait(0);
        }
        // SAFETY: see `Shared`.
        assert_eq!(shared.1.0.with(|slot| unsafe { *slot }), item);
        shared.0.store(0, Release);
        shared.0.wake(u32::MAX);
    }
    producer.join().unwrap();
}

#[test]
fn dedup_changes_no_verdict() {
    // Small scenarios, correct and faulty ones, run with every schedule as its own state, and with
    // merging.
    let scenarios: [fn(); 6] = [
        || increments(true),
        || increments(false),
        || park(true),
        || park(false),
        || stack(false),
        || hand_over(1),
    ];
    for scenario in scenarios {
        let merged = check(scenario, Limits::default());
        let limits = Limits { dedup: false, max_states: 2_000_000, ..Limits::default() };
        let unmerged = check(scenario, limits);
        assert_eq!(merged.word(), unmerged.word());
        assert!(merged.states <= unmerged.states, "{merged} / {unmerged}");
    }
}

#[test]
fn hints_change_no_verdict_and_save_states() {
    // The buffer with two items, and the stack, run with the hints believed and ignored.
    let scenarios: [fn(); 2] = [|| hand_over(2), || stack(true)];
    for scenario in scenarios {
        let believed = check(scenario, Limits::default());
        let ignored = check(scenario, Limits { hints: false, ..Limits::default() });
        verified(&believed);
        verified(&ignored);
        assert!(believed.states < ignored.states, "{believed} / {ignored}");
    }
}
