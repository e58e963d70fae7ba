//! The checks under loom: the verdict on each scenario and each twin is the expected one.

use blocksmith_engines::loom::{LoomBounds, check};
use blocksmith_engines::verdict::{Engine, Outcome};
use blocksmith_verification::sweep::{Job, Sweep};

mod checks;

checks::tests! {
    Engine::Loom;
    engine notifier mailbox spsc mpmc oneshot watch task time foreign select broker lifecycle services trace validator payload_attestation linearizability
}

#[test]
fn every_ordering_of_sync_is_necessary_or_explained() {
    // Weakens each ordering and fence of sync, one at a time. A scenario fails, or the source says
    // why none can.
    let Sweep { jobs, unvisited } = Sweep::record();
    assert!(!jobs.is_empty());
    assert!(unvisited.is_empty(), "no scenario visits {unvisited:?}");
    let results = jobs.iter().map(Job::run);
    let unsettled: Vec<_> = results.filter(|result| !result.is_settled()).collect();
    assert!(unsettled.is_empty(), "{unsettled:#?}");
}

#[test]
fn only_a_sleep_that_ends_for_nothing_refutes_its_twin() {
    // Runs the same executions without spurious wake-ups: none of them fails.
    let twin = checks::twin("a_sleep_that_ends_is_a_message");
    let bounds = LoomBounds { spurious: 0, ..twin.loom_bounds() };
    assert_eq!(check(twin.loom, twin.threads, bounds).outcome, Outcome::Verified);
}
