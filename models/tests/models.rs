//! The tests of the models: verdicts, numbers of states, and twins that must be refuted.

#[path = "models/catalogue.rs"]
mod catalogue;
#[path = "models/composition.rs"]
mod composition;
#[path = "models/lifecycle.rs"]
mod lifecycle;
#[path = "models/refinement.rs"]
mod refinement;
#[path = "models/ring.rs"]
mod ring;
#[path = "models/rules.rs"]
mod rules;
#[path = "models/tla.rs"]
mod tla;
#[path = "models/trace.rs"]
mod trace;

use blocksmith_engines::verdict::{Outcome, Verdict};

/// Asserts that each named scenario is verified, and has the given number of distinct states.
fn all_hold(results: impl Iterator<Item = (&'static str, u64, Verdict)>) {
    let mut wrong = Vec::new();
    for (name, states, verdict) in results {
        println!("{name}: {verdict}");
        if verdict.outcome != Outcome::Verified || verdict.states != Some(states) {
            wrong.push(format!("{name}: {verdict}\n{:?}", verdict.counterexample()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
