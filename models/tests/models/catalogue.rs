//! The catalogue, and the Explorer.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use blocksmith_models::catalogue::{ExploreError, check_explorable, entries, explorable, explore};
use blocksmith_models::verdict::Engine;

#[test]
fn identifiers_are_unique_and_every_violation_that_is_expected_is_a_named_hazard() {
    // Reads the list; runs nothing.
    let entries = entries();
    let ids: BTreeSet<_> = entries.iter().map(|entry| entry.id.clone()).collect();
    assert_eq!(ids.len(), entries.len());
    for entry in &entries {
        assert!(matches!(entry.expected, "verified" | "violated"));
        assert_eq!(entry.expected == "violated", entry.hazard.is_some(), "{}", entry.id);
        let tla = entry.id.starts_with("tla/");
        assert_eq!(entry.engine == Engine::Tla, tla, "{}", entry.id);
    }
}

#[test]
fn entries_run_what_they_name() {
    // One of each kind, the cheapest: the verdict is what the entry expects.
    for id in ["services/queries", "services/queries-r4", "tla/Quarantine_VerdictBeforeCommit"] {
        let entries = entries();
        let entry = entries.iter().find(|entry| entry.id == id).unwrap();
        let verdict = (entry.run)();
        assert_eq!((verdict.word(), verdict.engine), (entry.expected, entry.engine), "{id}");
    }
}

#[test]
fn the_explorer_is_served_on_loopback_for_known_names_only() {
    // Nothing is bound: each request is refused before.
    let loopback: SocketAddr = ([127, 0, 0, 1], 1).into();
    let open: SocketAddr = ([0, 0, 0, 0], 3000).into();
    let error = explore("services/nothing", loopback).unwrap_err();
    assert!(matches!(&error, ExploreError::UnknownName { known, .. } if *known == explorable()));
    assert!(error.to_string().contains("services/chain"), "{error}");
    assert_eq!(check_explorable("services/chain", open), Err(ExploreError::NotLoopback(open)));
    assert_eq!(explore("services/chain-r6", open), Err(ExploreError::NotLoopback(open)));
}
