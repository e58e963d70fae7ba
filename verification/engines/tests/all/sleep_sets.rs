//! Sleep sets leave out no state and no verdict of `Stepped`, and save steps.

use std::cell::RefCell;
use std::time::Duration;

use blocksmith_engines::stepped::{Limits, Stepped};
use blocksmith_engines::verdict::Verdict;
use blocksmith_sync::Ordering::{AcqRel, Relaxed};
use blocksmith_sync::{Atomic, Futex as _, Join, Mutex as _, Primitives, WaitOutcome};
use quickcheck::{QuickCheck, TestResult};

use crate::stepped::{
    Arc, Futex, Mutex, U32, arc, check, hand_over, increments, park, spawn, stack,
};

/// Searches a scenario with and without sleep sets, and returns how many times the steps the second
/// search takes.
#[track_caller]
fn factor(scenario: fn(), limits: Limits) -> f64 {
    let reduced = check(scenario, limits);
    let whole = check(scenario, Limits { sleep_sets: false, ..limits });
    assert_eq!(reduced.word(), whole.word(), "{reduced} / {whole}");
    let length = |verdict: &Verdict| verdict.counterexample().map(|text| text.lines().count());
    assert_eq!(length(&reduced), length(&whole), "a counterexample is a shortest one");
    if reduced.word() == "verified" {
        assert_eq!(reduced.states, whole.states, "no state is left out");
    }
    let steps = |verdict: &Verdict| verdict.bounds["steps_taken"].parse::<f64>().unwrap();
    assert!(steps(&reduced) <= steps(&whole), "{reduced} / {whole}");
    steps(&whole) / steps(&reduced)
}

/// Two threads sleep on one word, and the main one wakes them one by one.
fn two_sleepers() {
    let shared = arc((Futex::new(0), U32::new(9)));
    let waiters = [0, 1].map(|index| {
        let shared = shared.clone();
        spawn("waiter", move || {
            shared.0.wait_timeout(0, Duration::from_millis(1));
            shared.1.swap(index, AcqRel)
        })
    });
    shared.0.wake(1);
    shared.0.wake(1);
    waiters.into_iter().for_each(|waiter| assert_ne!(waiter.join().unwrap(), 7));
}

#[test]
fn sleep_sets_leave_out_no_state_and_no_verdict() {
    // Small scenarios, correct and faulty ones, with and without hints.
    let scenarios: [fn(); 9] = [
        two_sleepers,
        || increments(true),
        || increments(false),
        || park(true),
        || park(false),
        || stack(false),
        || stack(true),
        || hand_over(1),
        || hand_over(2),
    ];
    for scenario in scenarios {
        factor(scenario, Limits::default());
        factor(scenario, Limits { hints: false, spurious_wakeups: 1, ..Limits::default() });
    }
}

#[test]
fn of_threads_that_share_nothing_one_order_is_taken() {
    // Three threads with four operations each on an atomic of their own: of each two steps both
    // orders lead to one state, so nearly every state is met by one step instead of by three.
    fn apart() {
        let threads = ["left", "middle", "right"].map(|name| {
            spawn(name, || {
                let own = U32::new(0);
                for _ in 0..4 {
                    own.fetch_add(1, Relaxed);
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    let gained = factor(apart, Limits::default());
    assert!((1.8..3.0).contains(&gained), "{gained}");
}

thread_local! {
    /// What each thread of [`random`] does: the object, and what it does with it.
    static PROGRAM: RefCell<Vec<Vec<(u8, u8)>>> = const { RefCell::new(Vec::new()) };
}

/// What the threads of a random program share.
struct Common {
    atomics: [U32; 2],
    words: [Futex; 2],
    lock: Mutex<u32>,
    handles: Mutex<Option<Arc<U32>>>,
}

/// Does one thing with an object; `seen` is what the thread has learnt.
fn operate(shared: &Common, object: u8, operation: u8, seen: &mut u32) {
    let at = usize::from(object % 2);
    let (atomic, word) = (&shared.atomics[at], &shared.words[at]);
    match operation % 12 {
        0 => *seen = atomic.load(Relaxed),
        1 => atomic.store(*seen, Relaxed),
        2 => *seen = atomic.fetch_add(*seen, Relaxed),
        3 => {
            *seen = atomic.compare_exchange(*seen, 2, Relaxed, Relaxed).unwrap_or_else(|it| it);
        }
        4 => *shared.lock.lock() += *seen,
        5 => {
            let mut guard = shared.lock.lock();
            *guard = guard.wrapping_mul(3).wrapping_add(atomic.load(Relaxed));
        }
        6 => {
            *seen =
                u32::from(word.wait_timeout(0, Duration::from_millis(1)) == WaitOutcome::TimedOut)
        }
        7 => word.wait(0),
        8 => word.wake(1),
        9 => word.store(1, Relaxed),
        10 => Stepped::yield_now(),
        // Whoever gives the last handle up ends what it owns.
        _ => *seen = shared.handles.lock().take().map_or(7, |it| it.load(Relaxed)),
    }
}

/// Runs the threads of [`PROGRAM`], and fails if they leave one certain value.
fn random() {
    let shared = arc(Common {
        atomics: [0; 2].map(U32::new),
        words: [0; 2].map(Futex::new),
        lock: Mutex::new(0),
        handles: Mutex::new(Some(arc(U32::new(5)))),
    });
    let threads = PROGRAM.with_borrow(|program| {
        let spawned = program.iter().map(|operations| {
            let (shared, operations) = (shared.clone(), operations.clone());
            spawn("worker", move || {
                let mut seen = 1;
                for (object, operation) in operations {
                    operate(&shared, object, operation, &mut seen);
                }
                seen
            })
        });
        spawned.collect::<Vec<_>>()
    });
    let seen: Vec<u32> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let end = shared.atomics.each_ref().map(|atomic| atomic.load(Relaxed));
    assert!(end != [2, 1] && seen != [1, 0, 0], "{end:?} {seen:?}");
}

#[test]
fn sleep_sets_leave_out_no_state_of_random_programs() {
    // Two or three threads with up to three operations each, on atomics, words to sleep on, locks
    // and shared ownership. Those that end in a deadlock are compared, too.
    fn property(program: Vec<Vec<(u8, u8)>>) -> TestResult {
        let threads = program.iter().take(3).map(|one| one.iter().copied().take(3).collect());
        PROGRAM.set(threads.collect());
        factor(
            random,
            Limits { handle_steps: program.len().is_multiple_of(2), ..Limits::default() },
        );
        TestResult::passed()
    }
    QuickCheck::new().tests(150).quickcheck(property as fn(Vec<Vec<(u8, u8)>>) -> TestResult);
}
