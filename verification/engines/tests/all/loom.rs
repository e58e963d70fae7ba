//! Tests of what a wake orders under loom, as the contract of `Futex` says, and of the bounds of a
//! verdict.

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

/// A thread sees what another does, and a long time passes. That takes one preemption and a jump of
/// the clock.
fn a_pause_beside_a_step<P: Primitives>() {
    let shared = shared::<P>();
    let storing = shared.clone();
    let thread = P::spawn("other", move || storing.other.store(1, Relaxed));
    let before = P::now();
    let seen = shared.other.load(Relaxed);
    assert!(seen == 0 || P::now() == before, "a pause beside a step");
    assert!(thread.join().is_ok());
}

#[test]
fn a_verdict_names_the_bound_on_preemptions_where_the_clock_jumps() {
    // The clock jumps in executions without preemptions; then in those with one or two, too.
    let check = |preemptions| {
        let bounds =
            LoomBounds { spurious_preemptions: Some(preemptions), ..LoomBounds::preemptions(3) };
        loom::check(a_pause_beside_a_step::<Loom>, 2, bounds)
    };
    let clock = |bound| {
        format!("jumps at most once, at one of the first 2 readings; preemptions then: {bound}")
    };
    let few = check(0);
    assert_eq!(few.outcome, Outcome::Verified);
    assert_eq!(few.bounds["preemptions"], "below 3 and some with 3");
    assert_eq!(few.bounds["spurious"], "none");
    assert_eq!(few.bounds["clock"], clock("below 0 and some with 0"));
    let more = check(2);
    assert!(matches!(more.outcome, Outcome::Violated { .. }));
    assert_eq!(more.bounds["clock"], clock("below 2 and some with 2"));
    // Where it does not jump, there is nothing to say.
    let still = LoomBounds { jumps: 0, ..LoomBounds::preemptions(1) };
    let verdict = loom::check(a_pause_beside_a_step::<Loom>, 2, still);
    assert_eq!(verdict.bounds["clock"], "passes with expiries alone");
}
