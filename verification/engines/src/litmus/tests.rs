//! The engine's own test: the tables of the literature, and each rule taken out.

use std::collections::BTreeSet;

use super::literature::{self, Test};
use super::*;
use crate::verdict::Outcome as LoomOutcome;

fn test(name: &str) -> Test {
    let found = literature::tests().into_iter().find(|test| test.program.name == name);
    found.unwrap_or_else(|| panic!("no test {name}"))
}

#[test]
fn each_test_of_the_literature_has_its_answer_in_each_model() {
    // Judges every program under every model, and shows all rows that differ at once.
    let tests = literature::tests();
    assert!(tests.len() > 80, "{} tests", tests.len());
    let names: BTreeSet<_> = tests.iter().map(|test| test.program.name).collect();
    assert_eq!(names.len(), tests.len(), "two tests have one name");
    let mut wrong = Vec::new();
    for Test { program, expected, .. } in tests {
        let found = judge_under(&program, MODELS).expect("well formed").map(|one| one.answer);
        if found != expected {
            wrong.push(format!("{}: {found:?}, expected {expected:?}\n{program}", program.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn each_model_allows_what_the_one_before_it_allows() {
    // Compares the sets of all outcomes, not only those that are asked about. The compilation to
    // x86 is sound: what TSO allows, RC11 allows.
    for Test { program, .. } in literature::tests() {
        let [sc, tso, rc11, lb] = judge_under(&program, MODELS).expect("well formed");
        for (stronger, weaker) in [(&sc, &tso), (&tso, &rc11), (&rc11, &lb)] {
            assert!(!stronger.outcomes.is_empty(), "{}", program.name);
            assert!(
                stronger.outcomes.is_subset(&weaker.outcomes),
                "{}: {} allows more than {}",
                program.name,
                stronger.model.name,
                weaker.model.name
            );
        }
    }
}

#[test]
fn without_any_one_of_its_rules_a_model_gives_a_known_test_another_answer() {
    // Takes each rule out. The row of the named test changes from forbidden to allowed; so the
    // table above would not pass with that rule missing.
    let rows = [
        (Rule::TotalOrder, SC, "SB+rlx"),
        (Rule::PerLocation, TSO, "CoWR"),
        (Rule::StoreOrder, TSO, "MP+rlx"),
        (Rule::StoreFence, TSO, "SB+f.sc"),
        (Rule::Coherence, RC11, "CoRR"),
        (Rule::Atomicity, RC11, "2RMW"),
        (Rule::ScAccesses, RC11, "SB+sc"),
        (Rule::ScFences, RC11, "IRIW+f.sc"),
        (Rule::NoThinAir, RC11, "LB+rlx"),
        (Rule::Synchronises, RC11, "MP+ra"),
        (Rule::ReleaseFences, RC11, "MP+f.rel+acq"),
        (Rule::AcquireFences, RC11, "MP+rel+f.acq"),
        (Rule::ReleaseSequences, RC11, "MP+rel-rmw+acq"),
    ];
    for (rule, model, name) in rows {
        assert!(model.has(rule));
        let program = test(name).program;
        let answers = judge_under(&program, [model, model.without(rule)]).expect("well formed");
        let answers = answers.map(|judgement| judgement.answer);
        assert_eq!(answers, [Answer::Forbidden, Answer::Allowed], "{rule:?} and {name}");
    }
    assert_eq!(rows.map(|(rule, ..)| rule), Rule::ALL, "a rule has no row");
}

#[test]
fn a_witness_shows_the_execution_that_answers() {
    // The reads of store buffering read what memory begins with; a race names its two accesses.
    let [_, tso, ..] = judge_under(&test("SB+rlx").program, MODELS).expect("well formed");
    let witness = tso.witness.expect("it is allowed");
    for line in ["T1 reads y=0 rlx", "T2 reads x=0 rlx"] {
        assert!(witness.contains(line), "{witness}");
    }
    assert_eq!(witness.matches("from the beginning").count(), 2, "{witness}");
    let race = judge(&test("MP+plain+rlx").program, RC11).expect("well formed");
    let witness = race.witness.expect("it races");
    let line = "race: T1 writes x=1 plain and T2 reads x=1 plain";
    assert!(witness.contains(line) || witness.contains("and T2 reads x=0 plain"), "{witness}");
    let forbidden = judge(&test("MP+ra").program, RC11).expect("well formed");
    assert_eq!(forbidden.witness, None);
}

#[test]
fn loom_agrees_with_rc11_on_the_small_tests_of_the_literature() {
    // Compares all outcomes of the tests of two threads that have no SeqCst access. Load buffering
    // is what RC11 forbids and loom cannot see, so both agree there, too. loom lets a store of
    // another thread come between the read and the write of a read-modify-write: it allows more.
    const MORE: [&str; 2] = ["RMW+W", "RMW+W-later"];
    let (mut compared, mut more) = (0, Vec::new());
    for Test { program, .. } in literature::tests() {
        if program.threads.len() > 2 {
            continue;
        }
        let Some(explored) = explore(&program, 120).expect("well formed") else { continue };
        let rc11 = judge(&program, RC11).expect("well formed");
        if explored.verdict.outcome != LoomOutcome::Verified {
            assert_eq!(rc11.answer, Answer::Race, "{}: {}", program.name, explored.verdict);
        } else if explored.outcomes != rc11.outcomes {
            assert!(explored.outcomes.is_superset(&rc11.outcomes), "{}", program.name);
            more.push(program.name);
        }
        compared += 1;
    }
    assert!(compared > 30, "{compared} tests");
    assert_eq!(more, MORE);
}
