//! The list of the gate for the TLA+ specifications. `blocksmith-check check --engine tla`, a step
//! of CI, runs the gate over every configuration.

use std::collections::BTreeSet;
use std::fs;

use blocksmith_engines::counterexample::{self, Again, Counterexample, Itf, Misfit, again};
use blocksmith_engines::verdict::{Breaks, Engine};
use blocksmith_models::tla::{CONFIGURATIONS, check_spec, folder, run};

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

/// Returns the names of the invariants and properties of a configuration.
fn properties(cfg: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(folder().join(cfg).with_extension("cfg")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("\\*"));
    let mut names = BTreeSet::new();
    let mut is_list = false;
    for word in lines.flat_map(str::split_whitespace) {
        match word {
            "INVARIANTS" | "PROPERTY" => is_list = true,
            "CONSTANTS" | "SPECIFICATION" => is_list = false,
            name if is_list => _ = names.insert(name.to_owned()),
            _ => {}
        }
    }
    names
}

#[test]
fn every_property_that_holds_is_broken_by_a_configuration_that_must_fail() {
    // Reads the files and the list: what no fault breaks may say nothing. `TypeOK` bounds the
    // variables' values, and is left out.
    let mut count = 0;
    for entry in CONFIGURATIONS.iter().filter(|entry| !entry.expected.is_violated()) {
        let of_spec = CONFIGURATIONS.iter().filter(|other| other.spec == entry.spec);
        let breaks: Vec<_> = of_spec.flat_map(|other| other.expected.breaks()).collect();
        for name in properties(entry.cfg).iter().filter(|name| *name != "TypeOK") {
            let is_it = |what: &&Breaks| matches!(what, Breaks::Property(it) if *it == *name);
            assert!(breaks.iter().any(is_it), "{}: {name}", entry.cfg);
            count += 1;
        }
    }
    assert!(count > 40, "{count} properties");
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

#[test]
fn what_the_checker_finds_is_written_down_and_found_again() {
    // An invariant that breaks and a lasso, through a file and back: found again, told from one
    // with another value, violation or cycle or a step less, and not where the configuration holds.
    let fails = [
        ("SlashingProtection", "SlashingProtection_SignFirst", false),
        ("HotDbTrail", "HotDbTrail_ClaimStays", true),
    ];
    for (spec, cfg, is_lasso) in fails {
        let check = || drop(check_spec(spec, cfg));
        check();
        let found = counterexample::take().expect("it is violated");
        assert_eq!((&*found.engine, found.cycle_from.is_some()), ("tla", is_lasso), "{cfg}");
        assert_eq!(found.threads, [spec]);
        assert!(found.steps.iter().all(|step| !step.changes.is_empty()), "{found:?}");
        let recorded = Counterexample::try_from(Itf::from(&found)).expect("a file of our own");
        assert_eq!(again(&recorded, Again::Replay, check), Ok(found.clone()), "{cfg}");

        let mut other = found.clone();
        other.steps[0].changes[0].after.push('1');
        let told = again(&other, Again::Replay, check);
        assert!(matches!(told, Err(Misfit::Differs { step: 1, .. })), "{told:?}");
        let violation = "property \"Another\"".to_owned();
        let other = Counterexample { violation, ..found.clone() };
        let told = again(&other, Again::Replay, check);
        assert!(matches!(told, Err(Misfit::Violates { .. })), "{told:?}");
        let cycles = if is_lasso { [None, Some(0)] } else { [Some(0), Some(1)] };
        for cycle_from in cycles {
            let other = Counterexample { cycle_from, ..found.clone() };
            let told = again(&other, Again::Replay, check);
            assert!(matches!(told, Err(Misfit::Cycle { .. })), "{told:?}");
        }
        let mut shorter = found.clone();
        shorter.steps.pop();
        assert_eq!(again(&shorter, Again::Replay, check), Err(Misfit::Holds), "{cfg}");
        let holds = || drop(check_spec(spec, spec));
        assert_eq!(again(&found, Again::Replay, holds), Err(Misfit::Holds), "{cfg}");
        let unable = again(&found, Again::Shrink, check);
        assert!(matches!(unable, Err(Misfit::Unable(_))), "{unable:?}");
    }
}
