//! What loom says of the scenarios and the twins, each against what is expected.

use blocksmith_models::verdict::Engine;

mod checks;

checks::tests! { Engine::Loom; engine notifier mailbox oneshot lifecycle services }
