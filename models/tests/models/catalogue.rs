//! The catalogue, and the Explorer.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use blocksmith_models::catalogue::{
    Breaks, Check, Expected, ExploreError, check_explorable, checks, explorable, explore,
};

/// Returns the check of that id.
fn check(id: &str) -> Check {
    checks().into_iter().find(|check| check.id == id).expect("there is such a check")
}

#[test]
fn identifiers_are_unique_and_every_violation_that_is_expected_is_a_named_hazard() {
    // Reads the list; runs nothing.
    let checks = checks();
    let ids: BTreeSet<_> = checks.iter().map(|check| check.id.clone()).collect();
    assert_eq!(ids.len(), checks.len());
    for check in &checks {
        assert_eq!(check.expected.is_violated(), check.hazard.is_some(), "{}", check.id);
        let parts: Vec<_> = check.id.split('.').collect();
        assert_eq!((parts.len(), parts[0], parts[2]), (3, check.protocol, check.engine.name()));
    }
}

#[test]
fn checks_run_what_they_name() {
    // Runs the cheapest check of each kind: its verdict is the one that the check expects.
    for id in [
        "services.queries.stateright",
        "services.queries_r4.stateright",
        "quarantine.Quarantine_VerdictBeforeCommit.tla",
    ] {
        let checks = checks();
        let check = checks.iter().find(|check| check.id == id).unwrap();
        let verdict = (check.run)();
        assert_eq!((check.difference(&verdict), verdict.engine), (None, check.engine), "{id}");
    }
}

#[test]
fn a_twin_that_breaks_another_property_is_not_as_expected() {
    // A worker's verdict that leaves before the commit breaks the property "parent first". The
    // result is compared with the right entry, and with entries that name another property, a
    // deadlock and a panic.
    let mut check = check("services.chain_r6.stateright");
    let verdict = (check.run)();
    assert_eq!(check.difference(&verdict), None);
    for wrong in [Breaks::Property("one verdict each"), Breaks::Deadlock, Breaks::Panic("parent")] {
        check.expected = Expected::Violated(Box::leak(Box::new([wrong])));
        assert!(!check.is_as_expected(&verdict), "{wrong}");
        assert_eq!(
            check.difference(&verdict),
            Some(format!("violated by property \"parent first\", expected violated by {wrong}"))
        );
    }
    check.expected = Expected::Verified;
    assert_eq!(check.difference(&verdict), Some("violated, expected verified".to_owned()));
}

#[test]
fn another_number_of_states_is_not_as_expected() {
    // Compares a ring of 37 states with an entry that pins 38 states, and with one that pins none.
    let mut check = check("ring.two_of_one.stateright");
    let verdict = (check.run)();
    assert_eq!((check.states, check.difference(&verdict)), (Some(37), None));
    check.states = Some(38);
    assert_eq!(check.difference(&verdict), Some("37 states, expected 38".to_owned()));
    check.states = None;
    assert!(check.is_as_expected(&verdict));
}

#[test]
fn every_model_and_specification_that_holds_pins_its_number_of_states() {
    // Reads the list. A run of a check compares the number with the states that it visits.
    for check in checks().iter().filter(|check| !check.expected.is_violated()) {
        assert!(check.states.is_some(), "{}", check.id);
    }
}

#[test]
fn the_explorer_is_served_on_loopback_for_known_names_only() {
    // No address is bound, because each request is refused first.
    let loopback: SocketAddr = ([127, 0, 0, 1], 1).into();
    let open: SocketAddr = ([0, 0, 0, 0], 3000).into();
    let error = explore("services.nothing", loopback).unwrap_err();
    assert!(matches!(&error, ExploreError::UnknownName { known, .. } if *known == explorable()));
    for name in ["services.chain", "lifecycle.crashes", "ring.two_of_one", "ring.two_send_round"] {
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
    assert_eq!(check_explorable("services.chain", open), Err(ExploreError::NotLoopback(open)));
    assert_eq!(explore("services.chain_r6", open), Err(ExploreError::NotLoopback(open)));
}
