//! The command as a user runs it, and the checks under the engines that need no test binary of
//! their own.

#[path = "../checks/mod.rs"]
mod checks;
mod command;
mod proofs;

mod stepped {
    //! The checks under the stepped engine.
    use blocksmith_engines::stepped::{Limits, check};
    use blocksmith_engines::verdict::{Engine, Outcome};

    crate::checks::tests! { Engine::Stepped; engine notifier mailbox spsc mpmc oneshot watch task time foreign select broker lifecycle services validator payload_attestation }

    #[test]
    fn only_a_sleep_that_ends_for_nothing_or_early_refutes_its_twins() {
        // Explores the same interleavings without spurious wake-ups, where a timed wait expires
        // only when nothing else can happen: none of them fails.
        for name in [
            "a_sleep_that_ends_is_a_message",
            "an_expiry_loses_the_item",
            "an_expiry_stays_in_line",
        ] {
            let twin = crate::checks::twin(name);
            let limits = Limits { spurious_wakeups: 0, expiries: 0, ..twin.stepped_limits() };
            let verdict = check(twin.stepped, twin.threads, limits);
            assert_eq!(verdict.outcome, Outcome::Verified, "{name}");
        }
    }
}

mod threads {
    //! The scenarios on real threads and real futexes.
    use blocksmith_engines::verdict::Engine;

    crate::checks::tests! { Engine::Std; notifier mailbox spsc mpmc oneshot watch task time foreign select broker lifecycle services validator payload_attestation }
}
