//! The composition of the services: every scenario is verified with its number of states, and every
//! twin is refuted by a property that it names.

use std::collections::{BTreeMap, BTreeSet};

use blocksmith_engines::explore::judge;
use blocksmith_models::composition::{
    ENDLESS, MAX_KEPT, Pipeline, SCENARIOS, TWINS, check, check_end, scenario, verdicts_that_occur,
};
use blocksmith_models::hazard;

use crate::all_hold;

#[test]
fn every_scenario_holds_in_all_interleavings_and_has_its_number_of_states() {
    // Explores each scenario without a fault, and compares the number of distinct states.
    all_hold(SCENARIOS.iter().map(|make| {
        let scenario = make();
        (scenario.name, scenario.states, check(scenario, None))
    }));
}

#[test]
fn every_fault_in_the_wiring_is_refuted_by_the_property_it_breaks() {
    // Explores each twin's scenario with its fault.
    for twin in TWINS {
        let verdict = check(twin.scenario(), Some(twin.fault));
        let found = verdict.violation().unwrap_or_else(|| panic!("{:?}: {verdict}", twin.fault));
        assert!(twin.violates.iter().any(|breaks| breaks.is(found)), "{:?}: {found}", twin.fault);
    }
}

#[test]
fn a_counterexample_is_a_shortest_one_and_names_actor_operation_and_object() {
    // A worker's verdict leaves before the commit. The counterexample has twelve steps, and shows
    // the order of the two.
    let twin = TWINS.iter().find(|twin| *twin.hazard == hazard::R6).unwrap();
    let verdict = check(twin.scenario(), Some(twin.fault));
    let text = verdict.counterexample().unwrap();
    let steps: Vec<_> = text.lines().skip(1).take_while(|line| *line != "then").collect();
    assert_eq!(steps.len(), 12, "{text}");
    assert!(steps[8].contains("worker 0    answers quarantine's request 0: valid block 1"));
    assert!(!text.contains("takes commit of block 1"), "{text}");
}

#[test]
fn every_verdict_that_a_scenario_allows_occurs() {
    // Visits the smaller scenarios again, and collects the words of their verdicts. A word that
    // never occurs was not tested.
    for make in SCENARIOS.iter().filter(|make| make().states < 50_000) {
        let allowed = make().items.into_iter().map(|(_, words)| words.iter().copied().collect());
        let allowed: Vec<BTreeSet<_>> = allowed.collect();
        assert_eq!(verdicts_that_occur(make()), allowed, "{}", make().name);
    }
}

#[test]
fn every_fault_has_a_twin() {
    // The list of twins names each hazard of the composition once.
    let hazards: Vec<_> = TWINS.iter().map(|twin| twin.hazard.id).collect();
    assert_eq!(hazards, ["R3", "R4", "R6", "Q1", "Q4", "M8", "C5", "Q10", "Q2", "Q5"]);
}

#[test]
fn every_run_of_a_scenario_comes_to_rest() {
    // Looks for fair cycles, and ends that are not at rest, in all scenarios that can be kept.
    let kept = SCENARIOS.iter().map(|make| make()).filter(|scenario| scenario.states < MAX_KEPT);
    all_hold(kept.map(|scenario| (scenario.name, scenario.states, check_end(scenario, None))));
}

#[test]
fn a_service_that_looks_for_ever_is_seen_by_the_search_for_cycles_alone() {
    // A request that goes behind the others again and again: there always is a next step, so no
    // state is a deadlock, and nothing that is said of a single state is wrong.
    let found = check_end(ENDLESS.scenario(), Some(ENDLESS.fault));
    assert!(ENDLESS.violates[0].is(found.violation().unwrap()), "{found}");
    let text = found.counterexample().unwrap();
    assert!(text.contains("for ever"), "{text}");
    assert_eq!(check(ENDLESS.scenario(), Some(ENDLESS.fault)).word(), "verified");
}

#[test]
fn a_search_that_is_stopped_is_truncated() {
    // Explores the chain with a limit of a hundred states.
    let pipeline = Pipeline::new(scenario("chain").unwrap(), None);
    let verdict = judge(pipeline, |_, _| String::new(), BTreeMap::new(), 100);
    assert_eq!(verdict.word(), "truncated");
}
