//! The life cycle: every scenario is verified with its number of states, every twin is refuted.

use blocksmith_models::lifecycle::{SCENARIOS, TWINS, check};

use crate::all_hold;

#[test]
fn every_scenario_holds_in_all_interleavings_and_has_its_number_of_states() {
    // Explores each scenario without a fault, and compares the number of distinct states.
    all_hold(
        SCENARIOS.iter().map(|scenario| (scenario.name, scenario.states, check(scenario, None))),
    );
}

#[test]
fn every_fault_of_the_life_cycle_is_refuted_by_the_property_it_breaks() {
    // Explores each twin's scenario with its fault.
    let hazards: Vec<_> = TWINS.iter().map(|twin| twin.hazard.id).collect();
    assert_eq!(hazards, ["L2", "L3", "L4", "L5", "L6"]);
    for twin in TWINS {
        let verdict = check(&SCENARIOS[twin.scenario], Some(twin.fault));
        let found = verdict.violation().unwrap_or_else(|| panic!("{:?}: {verdict}", twin.fault));
        assert!(twin.violates.iter().any(|breaks| breaks.is(found)), "{:?}: {found}", twin.fault);
    }
}
