//! The catalogue, and the Explorer.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use blocksmith_models::catalogue::{
    Expected, ExploreError, check_explorable, checks, explorable, explore,
};

#[test]
fn identifiers_are_unique_and_every_violation_that_is_expected_is_a_named_hazard() {
    // Reads the list; runs nothing.
    let checks = checks();
    let ids: BTreeSet<_> = checks.iter().map(|check| check.id.clone()).collect();
    assert_eq!(ids.len(), checks.len());
    for check in &checks {
        assert_eq!(check.expected == Expected::Violated, check.hazard.is_some(), "{}", check.id);
        let parts: Vec<_> = check.id.split('.').collect();
        assert_eq!((parts.len(), parts[0], parts[2]), (3, check.protocol, check.engine.name()));
    }
}

#[test]
fn checks_run_what_they_name() {
    // One of each kind, the cheapest: the verdict is what the check expects.
    for id in [
        "services.queries.stateright",
        "services.queries_r4.stateright",
        "quarantine.Quarantine_VerdictBeforeCommit.tla",
    ] {
        let checks = checks();
        let check = checks.iter().find(|check| check.id == id).unwrap();
        let verdict = (check.run)();
        assert_eq!((verdict.word(), verdict.engine), (check.expected.word(), check.engine), "{id}");
    }
}

#[test]
fn the_explorer_is_served_on_loopback_for_known_names_only() {
    // Nothing is bound: each request is refused before.
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
