//! The gate for the TLA+ specifications, run over every configuration.

use std::fs;

use blocksmith_engines::verdict::Engine;
use blocksmith_models::catalogue::checks;
use blocksmith_models::tla::{CONFIGURATIONS, check_spec, folder, run};

#[test]
fn every_configuration_gives_its_answer_with_its_number_of_states() {
    // Runs each check of the gate, and compares its verdict, the property that broke, and the
    // number of states with the expected ones.
    let checks = checks().into_iter().filter(|check| check.engine == Engine::Tla);
    let mut wrong = Vec::new();
    for check in checks {
        let verdict = (check.run)();
        println!("{}: {verdict}", check.id);
        assert!(check.states.is_some(), "{} pins no number of states", check.id);
        wrong.extend(check.difference(&verdict).map(|what| format!("{}: {what}", check.id)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_of_the_folder_is_in_the_list() {
    // Reads the folder: a configuration that is not listed would never be run.
    let mut found = 0;
    for file in fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("cfg") => assert!(CONFIGURATIONS.iter().any(|c| c.cfg == name), "{name}"),
            Some("tla") => assert!(CONFIGURATIONS.iter().any(|c| c.spec == name), "{name}"),
            _ => continue,
        }
        found += 1;
    }
    assert!(found > CONFIGURATIONS.len());
}

#[test]
fn every_specification_has_a_configuration_that_must_fail() {
    // Each specification has at least one configuration that holds, and one that must fail.
    for entry in CONFIGURATIONS {
        let of_spec = || CONFIGURATIONS.iter().filter(|other| other.spec == entry.spec);
        assert!(of_spec().any(|other| !other.expected.is_violated()), "{}", entry.spec);
        assert!(of_spec().any(|other| other.expected.is_violated()), "{}", entry.spec);
    }
}

#[test]
fn a_specification_that_cannot_be_read_is_no_success() {
    // A name without a file gives an error, and the verdict is not "verified".
    assert!(run(&folder().join("Absent.tla"), &folder().join("Absent.cfg")).is_err());
    let verdict = check_spec("Absent", "Absent");
    assert_eq!((verdict.engine, verdict.word()), (Engine::Tla, "truncated"));
    let text = check_spec("Quarantine", "Quarantine_VerdictBeforeCommit");
    assert!(text.counterexample().unwrap().contains("ParentFirst"), "{text:?}");
}
