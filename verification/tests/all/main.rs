//! The command as a user runs it, and the engines that need no test binary of their own.

#[path = "../checks/mod.rs"]
mod checks;
mod command;
mod state;

mod stepped {
    //! What the stepped engine says of the scenarios and the twins.
    use blocksmith_models::verdict::Engine;

    crate::checks::tests! { Engine::Stepped; engine notifier mailbox spsc mpmc oneshot task select broker lifecycle }
}

mod threads {
    //! The scenarios on real threads and futexes.
    use blocksmith_models::verdict::Engine;

    crate::checks::tests! { Engine::Std; notifier mailbox spsc mpmc oneshot task select broker lifecycle services }
}
