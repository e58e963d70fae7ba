//! The ring: every scenario is verified with its number of states, and every twin is refuted.

use blocksmith_models::ring::{Fault, SCENARIOS, TWINS, check};

use crate::all_hold;

#[test]
fn waits_that_go_down_only_are_free_of_deadlock_at_every_capacity() {
    // Explores each scenario without a fault, and compares the number of distinct states.
    all_hold(
        SCENARIOS.iter().map(|scenario| (scenario.name, scenario.states, check(scenario, None))),
    );
}

#[test]
fn every_fault_of_the_ring_is_refuted_by_the_property_it_breaks() {
    // Explores each twin's scenario with its fault.
    for twin in TWINS {
        let verdict = check(&SCENARIOS[twin.scenario], Some(twin.fault));
        let found = verdict.violation().unwrap_or_else(|| panic!("{}: {verdict}", twin.name));
        assert!(twin.violates.iter().any(|breaks| breaks.is(found)), "{}: {found}", twin.name);
    }
}

#[test]
fn the_deadlock_round_two_services_is_a_shortest_one() {
    // Each service asks and sends, in four steps. Each asks again and has its request in hand, in
    // two steps. Then both mailboxes are full.
    let verdict = check(&SCENARIOS[0], Some(Fault::SendsRoundTheRing));
    let text = verdict.counterexample().unwrap();
    let steps = text.lines().skip(1).take_while(|line| *line != "then").count();
    assert_eq!(steps, 6, "{text}");
}
