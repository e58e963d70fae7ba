//! Every check, as data. The command, the tests and the reports read this list.
//!
//! An entry is one scenario, twin or model under one engine, with the expected verdict. A must-fail
//! twin is expected to be `violated`. No check may end `truncated`.

use blocksmith_engines::verdict::{Engine, Outcome, Verdict};
use blocksmith_models::hazard;

pub use blocksmith_models::catalogue::{Breaks, Check, Expected};

use crate::linearizability::{self, Depth};
use crate::scenarios::{self, Row};
use crate::twins::{self, Twin};
use blocksmith_engines::loom::{Loom, LoomBounds};
use blocksmith_engines::mutant::{self, Mutant, Weakening};
use blocksmith_engines::{loom, shuttle, stepped};

/// Returns all checks as CI runs them: first scenarios and twins, then models and specifications.
#[must_use]
pub fn catalogue() -> Vec<Check> {
    catalogue_at(Depth::default())
}

/// Returns all checks. `depth` says how far those of linearizability look.
#[must_use]
pub fn catalogue_at(depth: Depth) -> Vec<Check> {
    let mut checks = Vec::new();
    for scenario in scenarios::scenarios() {
        add_scenario(&mut checks, scenario);
    }
    for twin in twins::twins() {
        add_twin(&mut checks, twin);
    }
    let fences = [
        ("prepare", "the notifier without the fence in prepare"),
        ("notify", "the notifier without the fence in notify"),
    ];
    for (index, (name, claim)) in fences.into_iter().enumerate() {
        checks.push(Check {
            id: format!("notifier.fence_dropped_in_{name}.loom"),
            claim,
            protocol: "notifier",
            hazard: Some(&hazard::N2),
            engine: Engine::Loom,
            expected: Expected::Violated(&[Breaks::Deadlock]),
            states: None,
            run: Box::new(move || notifier_without_fence(index)),
        });
    }
    checks.extend(linearizability::list::checks(depth));
    checks.extend(blocksmith_models::catalogue::checks());
    checks
}

fn add_scenario(checks: &mut Vec<Check>, row: Row) {
    let Row { protocol, claim, hazard, scenario } = row;
    for engine in scenario.engines() {
        checks.push(Check {
            id: format!("{protocol}.{}.{engine}", scenario.name),
            claim,
            protocol,
            hazard,
            engine,
            expected: Expected::Verified,
            states: None,
            run: Box::new(move || scenario.check(engine).expect("the engine has bounds")),
        });
    }
}

fn add_twin(checks: &mut Vec<Check>, twin: Twin) {
    for &engine in twin.engines {
        let run: Box<dyn Fn() -> Verdict + Send + Sync> = match engine {
            Engine::Loom => {
                Box::new(move || loom::check(twin.loom, twin.threads, twin.loom_bounds()))
            }
            Engine::Shuttle => {
                Box::new(move || shuttle::check(twin.shuttle, twin.threads, twin.shuttle_bounds()))
            }
            _ => {
                Box::new(move || stepped::check(twin.stepped, twin.threads, twin.stepped_limits()))
            }
        };
        checks.push(Check {
            id: format!("{}.{}.{engine}", twin.protocol, twin.name),
            claim: twin.claim,
            protocol: twin.protocol,
            hazard: Some(twin.hazard),
            engine,
            expected: twin.expected,
            states: None,
            run,
        });
    }
}

/// Checks the real notifier with one of its fences left out (hazard N2). Fence 0 is the one in
/// `prepare`, and fence 1 the one in `notify`.
fn notifier_without_fence(index: usize) -> Verdict {
    let scenario = scenarios::notifier::relaxed_flag::<Mutant<Loom>>;
    let bounds = LoomBounds::preemptions(2);
    let sites = mutant::record(|| {
        let _ = loom::check(scenario, 2, LoomBounds::preemptions(1));
    });
    let mut fences = sites.into_iter().filter(|site| site.operation == "fence");
    let Some(site) = fences.nth(index) else {
        let mut verdict = loom::check(scenario, 2, bounds);
        verdict.outcome = Outcome::Truncated { by: format!("there is no fence number {index}") };
        return verdict;
    };
    mutant::weaken(Weakening { site, to: None }, || loom::check(scenario, 2, bounds))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Breaks, Expected, catalogue, catalogue_at};
    use crate::linearizability::Depth;
    use blocksmith_models::hazard;

    #[test]
    fn every_hazard_of_waiting_channels_and_life_cycle_has_a_twin_that_must_fail() {
        // Reads the families N, M, B and L. Each twin's own check sees that the twin is refuted.
        // The compiler refutes M13: a documentation test of `primitives` must not compile.
        const WITHOUT: [&str; 1] = ["M13"];
        let checks = catalogue();
        let twins = checks.iter().filter(|check| check.expected.is_violated());
        let refuted: BTreeSet<_> =
            twins.filter_map(|check| check.hazard.map(|row| row.id)).collect();
        let rows = hazard::all().filter(|row| row.id.starts_with(['N', 'M', 'B', 'L']));
        let open: Vec<_> = rows
            .map(|row| row.id)
            .filter(|id| !refuted.contains(id) && !WITHOUT.contains(id))
            .collect();
        assert!(open.is_empty(), "no twin carries {open:?}");
    }

    #[test]
    fn every_hazard_of_the_rewinder_and_the_stores_has_a_twin_that_must_fail() {
        // Reads the families R and S, and what else the rules of these services exclude. The
        // compiler refutes R8: documentation tests of `verdict` must not compile.
        const WITHOUT: [&str; 1] = ["R8"];
        const MORE: [&str; 12] =
            ["Q9", "C3", "C4", "C6", "C7", "C8", "C9", "C11", "C12", "A4", "A12", "A13"];
        let checks = catalogue();
        let twins = checks.iter().filter(|check| check.expected.is_violated());
        let refuted: BTreeSet<_> =
            twins.filter_map(|check| check.hazard.map(|row| row.id)).collect();
        let rows = hazard::all().map(|row| row.id);
        let open: Vec<_> = rows
            .filter(|id| id.starts_with(['R', 'S']) || MORE.contains(id))
            .filter(|id| !refuted.contains(id) && !WITHOUT.contains(id))
            .collect();
        assert!(open.is_empty(), "no twin carries {open:?}");
    }

    #[test]
    fn every_hazard_of_validators_and_of_the_execution_layer_has_a_twin_that_must_fail() {
        // Reads the families V, D, P and E.
        let checks = catalogue();
        let twins = checks.iter().filter(|check| check.expected.is_violated());
        let refuted: BTreeSet<_> =
            twins.filter_map(|check| check.hazard.map(|row| row.id)).collect();
        let rows =
            hazard::all().map(|row| row.id).filter(|id| id.starts_with(['V', 'D', 'P', 'E']));
        let open: Vec<_> = rows.filter(|id| !refuted.contains(id)).collect();
        assert!(open.is_empty(), "no twin carries {open:?}");
    }

    #[test]
    fn no_two_checks_have_one_id() {
        // An id names a check on the command line, in reports, and in the recorded costs.
        let ids: Vec<_> = catalogue().into_iter().map(|check| check.id).collect();
        let mut seen = BTreeSet::new();
        let twice: Vec<_> = ids.iter().filter(|id| !seen.insert(*id)).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn every_twin_names_the_property_that_must_break() {
        // A panic is named by a part of its message that is long enough to tell it from others.
        for check in catalogue().iter().filter(|check| check.expected.is_violated()) {
            let breaks = check.expected.breaks();
            assert!(!breaks.is_empty(), "{}: any violation would do", check.id);
            for one in breaks {
                if let Breaks::Panic(part) | Breaks::Property(part) = one {
                    assert!(part.len() >= 6, "{}: {one} says nothing", check.id);
                }
            }
        }
    }

    #[test]
    fn a_twin_that_breaks_another_property_is_not_as_expected() {
        // Compares a lost wake-up, which is a deadlock, with entries that name a panic and a data
        // race.
        let id = "notifier.no_second_look.stepped";
        let mut check = catalogue().into_iter().find(|check| check.id == id).expect("it is there");
        let verdict = (check.run)();
        assert_eq!(check.difference(&verdict), None);
        for wrong in [Breaks::DataRace, Breaks::Panic("lost wake-up")] {
            check.expected = Expected::Violated(Box::leak(Box::new([wrong])));
            let difference = format!("violated by deadlock, expected violated by {wrong}");
            assert_eq!(check.difference(&verdict), Some(difference));
        }
    }

    #[test]
    fn every_depth_has_the_same_checks() {
        // The depth changes how far a check looks, and never which checks there are.
        let ids =
            |depth| -> Vec<_> { catalogue_at(depth).into_iter().map(|check| check.id).collect() };
        assert_eq!(ids(Depth::Quick), ids(Depth::Ci));
        assert_eq!(ids(Depth::Deep), ids(Depth::Ci));
    }
}
