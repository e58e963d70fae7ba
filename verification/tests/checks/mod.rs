//! Runs the checks of one engine, and compares each verdict with the expected one. The test
//! binaries share this module.

use std::collections::BTreeSet;
use std::time::Instant;

use blocksmith_engines::verdict::Engine;
use blocksmith_verification::catalogue::catalogue;
use blocksmith_verification::twins::{Twin, twins};

/// Runs the checks of `engine` whose protocol is `protocol`. Asserts that each verdict is the
/// expected one.
pub(crate) fn run(engine: Engine, protocol: &str) {
    let mut wrong = Vec::new();
    let checks = catalogue().into_iter().filter(|check| check.engine == engine);
    let checks: Vec<_> = checks.filter(|check| check.protocol == protocol).collect();
    assert!(!checks.is_empty(), "{engine} has no check of {protocol}");
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

/// Returns the twin of that name.
pub(crate) fn twin(name: &str) -> Twin {
    twins().into_iter().find(|twin| twin.name == name).expect("there is such a twin")
}

/// Asserts that these are exactly the protocols of which the engine has a check.
pub(crate) fn are_all(engine: Engine, protocols: &[&str]) {
    let checks = catalogue().into_iter().filter(|check| check.engine == engine);
    let known: BTreeSet<_> = checks.map(|check| check.protocol).collect();
    let run: BTreeSet<_> = protocols.iter().copied().collect();
    assert_eq!(
        known, run,
        "a protocol of the catalogue is not run, or one that is run is not there"
    );
}

/// Defines a test for each protocol, and a test that no protocol is missing.
macro_rules! tests {
    ($engine:expr; $($protocol:ident)*) => {
        $(
            #[test]
            fn $protocol() {
                $crate::checks::run($engine, stringify!($protocol));
            }
        )*

        #[test]
        fn every_protocol_of_the_catalogue_is_run() {
            // Compares the list of this engine's tests with the catalogue.
            $crate::checks::are_all($engine, &[$(stringify!($protocol)),*]);
        }
    };
}

pub(crate) use tests;
