//! Tests of what a wake orders under loom, as the contract of `Futex` says.

use std::time::Duration;

use blocksmith_engines::loom::{self, Loom, LoomBounds};
use blocksmith_engines::verdict::Outcome;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::{Atomic, Futex, Join, Primitives};

/// A word to sleep on, and something else.
struct Shared<P: Primitives> {
    word: P::Futex,
    other: P::AtomicU32,
}

fn shared<P: Primitives>() -> P::Arc<Shared<P>> {
    P::arc(Shared { word: Atomic::new(0), other: Atomic::new(0) })
}

/// If the word is what it was when the wait has ended, a wake has ended it: the first one.
fn a_wake_ends_a_wait<P: Primitives>() {
    let shared = shared::<P>();
    let waking = shared.clone();
    let thread = P::spawn("waker", move || {
        waking.other.store(1, Relaxed);
        waking.word.wake(1);
        waking.word.store(1, Relaxed); // for a thread that comes too late to be woken
        waking.word.wake(1);
    });
    shared.word.wait(0);
    if shared.word.load(Relaxed) == 0 {
        assert_eq!(shared.other.load(Relaxed), 1, "what precedes the wake is not seen");
    }
    assert!(thread.join().is_ok());
}

/// The word has changed, and nobody wakes.
fn a_change_ends_a_wait<P: Primitives>() {
    let shared = shared::<P>();
    let changing = shared.clone();
    let thread = P::spawn("changer", move || {
        changing.other.store(1, Relaxed);
        changing.word.store(1, Relaxed);
    });
    let _ = shared.word.wait_timeout(0, Duration::from_secs(1));
    if shared.word.load(Relaxed) == 1 {
        assert_eq!(shared.other.load(Relaxed), 1, "what precedes the change is not seen");
    }
    assert!(thread.join().is_ok());
}

#[test]
fn a_wake_orders_memory() {
    // Every access is relaxed, in every execution.
    let verdict = loom::check(a_wake_ends_a_wait::<Loom>, 2, LoomBounds::unbounded());
    assert_eq!(verdict.outcome, Outcome::Verified);
    assert_eq!(verdict.bounds["wake_memory"], "a wake orders memory");
}

#[test]
fn a_wait_that_no_wake_ends_orders_nothing() {
    // The same accesses, with a wait that finds another word, or expires.
    let verdict = loom::check(a_change_ends_a_wait::<Loom>, 2, LoomBounds::unbounded());
    assert!(matches!(verdict.outcome, Outcome::Violated { counterexample, .. }
        if counterexample.contains("what precedes the change is not seen")));
}
