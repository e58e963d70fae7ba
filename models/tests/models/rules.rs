//! The rules of the machines: every instance is verified with its number of states, and every twin
//! is refuted.

use std::collections::BTreeSet;

use blocksmith_models::rules::rules;

use crate::all_hold;

#[test]
fn every_rule_holds_of_the_machines() {
    // Explores each instance without a fault, and compares the number of distinct states.
    all_hold(rules().map(|rule| (rule.name, rule.states, (rule.model)().check())));
}

#[test]
fn every_fault_at_a_port_is_refuted_by_the_property_it_breaks() {
    // Explores each instance with each of its faults.
    let mut wrong = Vec::new();
    for twin in rules().flat_map(|rule| rule.twins) {
        let verdict = (twin.model)().check();
        println!("{}: {verdict}", twin.name);
        let found = verdict.violation();
        if !found.is_some_and(|found| twin.breaks.iter().any(|breaks| breaks.is(found))) {
            wrong.push(format!("{}: {verdict}\n{:?}", twin.name, verdict.counterexample()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_rule_has_a_twin_for_each_of_its_properties_that_matter() {
    // Reads the lists. Names are unique; a rule without a twin is only there for its twins' sake.
    let mut names = BTreeSet::new();
    for rule in rules() {
        assert!(names.insert(rule.name), "{} is there twice", rule.name);
        for twin in rule.twins {
            assert!(names.insert(twin.name), "{} is there twice", twin.name);
        }
    }
    let without: Vec<_> = rules().filter(|rule| rule.twins.is_empty()).map(|r| r.name).collect();
    assert_eq!(without, ["read_again_readers_first"]);
}

#[test]
fn every_hazard_of_the_quarantine_has_a_twin_at_its_port() {
    // Reads the lists: what an adversary does to the Quarantine, and what it is to do about that.
    const ROWS: [&str; 23] = [
        "A1", "A2", "A3", "A5", "A7", "A8", "A9", "A11", "A14", "A15", "A16", "A17", "A18", "A20",
        "Q3", "Q7", "Q11", "C1", "C2", "C10", "C13", "C14", "C15",
    ];
    all_have_twins(&ROWS);
}

#[test]
fn every_hazard_of_slashing_protection_has_a_twin() {
    // Reads the lists; the other rows of validators are those of duties.
    all_have_twins(&["V1", "V2", "V5"]);
}

fn all_have_twins(rows: &[&str]) {
    let refuted: BTreeSet<_> =
        rules().flat_map(|rule| rule.twins).map(|twin| twin.hazard.id).collect();
    let open: Vec<_> = rows.iter().filter(|id| !refuted.contains(*id)).collect();
    assert!(open.is_empty(), "no twin carries {open:?}");
}

#[test]
fn every_hazard_of_signing_has_a_twin_at_a_port_of_the_machine() {
    // Reads the lists. P6 is of streams, which a thread waits for: its twins are a thread, and the
    // design that the votes come from.
    all_have_twins(&["V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9", "V10", "V11"]);
    all_have_twins(&["D1", "D2", "D3", "D4", "D5", "P1", "P2", "P3", "P4", "P5", "P7", "P8"]);
}

#[test]
fn every_fault_of_the_first_design_of_the_votes_is_found_in_it() {
    // Reads the lists: each rule of the design has one twin, the design as it was described.
    let of_design: Vec<_> = rules().filter(|rule| rule.name.starts_with("design_")).collect();
    let mut found: Vec<_> =
        of_design.iter().flat_map(|rule| rule.twins).map(|twin| twin.hazard.id).collect();
    found.sort_unstable();
    let expected =
        ["D1", "D2", "D3", "D4", "D5", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "V10", "V7"];
    assert_eq!(found, expected);
    for rule in of_design {
        assert_eq!(Some(rule.name), rule.twins.first().map(|twin| twin.name).and_then(mended));
    }

    fn mended(twin: &str) -> Option<&'static str> {
        rules().map(|rule| rule.name).find(|name| *name == format!("{twin}_mended"))
    }
}

#[test]
fn every_hazard_of_the_execution_layer_has_a_twin() {
    // Reads the lists.
    all_have_twins(&["E1", "E2", "E3", "E4", "E5", "E6"]);
}
