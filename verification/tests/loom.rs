//! What loom says of the scenarios and the twins, each against what is expected.

use std::time::Instant;

use blocksmith_models::verdict::Engine;
use blocksmith_verification::catalogue::catalogue;

/// Runs loom's checks whose id begins so, and compares each verdict with the expected one.
fn run(beginning: &str) {
    let mut wrong = Vec::new();
    let checks = catalogue().into_iter().filter(|check| check.engine == Engine::Loom);
    let checks: Vec<_> = checks.filter(|check| check.id.starts_with(beginning)).collect();
    assert!(!checks.is_empty(), "no check is named {beginning}..");
    for check in checks {
        let start = Instant::now();
        let verdict = (check.run)();
        println!("{:<50} {:>6.1} s  {verdict}", check.id, start.elapsed().as_secs_f32());
        if !check.is_as_expected(&verdict) {
            let detail = verdict.counterexample().unwrap_or_default();
            wrong.push(format!("{}: {verdict}\n{detail}", check.id));
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}

macro_rules! tests {
    ($($name:ident: $beginning:literal,)*) => { $(
        #[test]
        fn $name() {
            run($beginning);
        }
    )* };
}

tests! {
    notifier: "notifier.",
    mailbox: "mailbox.",
    oneshot: "oneshot.",
    lifecycle: "lifecycle.",
    services: "services.",
}
