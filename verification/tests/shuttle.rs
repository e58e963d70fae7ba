//! What shuttle says of the scenarios and the twins, each against what is expected.

use blocksmith_models::verdict::Engine;

mod checks;

checks::tests! {
    Engine::Shuttle;
    engine notifier mailbox spsc mpmc oneshot task select broker lifecycle services linearizability
}
