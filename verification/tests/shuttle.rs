//! The checks under shuttle: the verdict on each scenario and each twin is the expected one.

use blocksmith_engines::shuttle::{ShuttleBounds, check};
use blocksmith_engines::verdict::{Engine, Outcome};

mod checks;

checks::tests! {
    Engine::Shuttle;
    engine notifier mailbox spsc mpmc oneshot watch task time foreign select broker lifecycle services trace validator payload_attestation linearizability
}

#[test]
fn only_a_sleep_that_ends_for_nothing_refutes_its_twin() {
    // Runs as many schedules without spurious wake-ups: none of them fails.
    let twin = checks::twin("a_sleep_that_ends_is_a_message");
    let bounds = ShuttleBounds { spurious: 0, ..twin.shuttle_bounds() };
    assert_eq!(check(twin.shuttle, twin.threads, bounds).outcome, Outcome::Verified);
}
