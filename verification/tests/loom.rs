//! What loom says of the scenarios and the twins, each against what is expected.

use blocksmith_models::verdict::Engine;

mod checks;

checks::tests! {
    Engine::Loom;
    engine notifier mailbox spsc mpmc oneshot task select broker lifecycle services linearizability
}

#[test]
fn every_ordering_of_sync_is_necessary_or_explained() {
    // Weakens each ordering and fence of sync, one at a time: a scenario fails, or the source says why.
    let (results, unvisited) = blocksmith_verification::sweep::sweep(1);
    assert!(!results.is_empty());
    assert!(unvisited.is_empty(), "no scenario visits {unvisited:?}");
    let unsettled: Vec<_> = results.iter().filter(|result| !result.is_settled()).collect();
    assert!(unsettled.is_empty(), "{unsettled:#?}");
}
