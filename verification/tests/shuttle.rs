//! What shuttle says of the scenarios and the twins, each against what is expected.

use blocksmith_engines::shuttle::{ShuttleBounds, check};
use blocksmith_engines::verdict::{Engine, Outcome};

mod checks;

checks::tests! {
    Engine::Shuttle;
    engine notifier mailbox spsc mpmc oneshot watch task time foreign select broker lifecycle services linearizability
}

#[test]
fn only_a_sleep_that_ends_for_nothing_refutes_its_twin() {
    // As many schedules without that choice find nothing wrong.
    let twin = checks::twin("a_sleep_that_ends_is_a_message");
    let bounds = ShuttleBounds { spurious: 0, ..twin.shuttle_bounds() };
    assert_eq!(check(twin.shuttle, twin.threads, bounds).outcome, Outcome::Verified);
}
