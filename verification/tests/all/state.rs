//! `slots`, `transition`, `root` and `decode` as a user runs them, on the recorded chain's files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A file of the recorded chain.
fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/chain").join(name);
    path.to_str().expect("a plain path").to_owned()
}

/// Runs the command on the minimal preset; returns its exit code, stdout and stderr.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_blocksmith"))
        .args(arguments)
        .args(["--preset", "minimal"])
        .output()
        .expect("the command was built beside this test");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (status.code(), text(&stdout), text(&stderr))
}

#[test]
fn slots_prints_and_reports_the_root_at_each_slot() {
    // Goes from genesis to its own slot and two later ones; the first root is that of the file.
    let genesis = file("genesis.ssz");
    let folder = TempDir::new().expect("a temporary folder");
    let report = folder.path().join("slots.json");
    let json = report.to_str().expect("a plain path");
    let (code, out, _) = run(&["slots", "--state", &genesis, "--to", "0,3,9", "--json", json]);
    assert_eq!(code, Some(0));
    let (_, root, _) = run(&["root", "--type", "BeaconState", &genesis]);
    let report: Value =
        serde_json::from_slice(&fs::read(&report).expect("a report")).expect("JSON");
    let expected = ["0", "3", "9"].map(|slot| {
        format!("{slot} {}", report["roots"][slot].as_str().expect("a root of each slot"))
    });
    assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    assert_eq!(report["roots"]["0"], root.as_str());
}

#[test]
fn slots_that_lie_behind_or_too_far_ahead_are_refused() {
    // A slot before one that was asked for, and one that would take for ever.
    let genesis = file("genesis.ssz");
    for (to, why) in [("4,3", "the state is at slot 4"), ("99999999999", "at most")] {
        let (code, out, error) = run(&["slots", "--state", &genesis, "--to", to]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn transition_says_the_root_after_a_block_or_why_it_is_invalid() {
    // Applies the chain's first block to genesis, and one whose parent is another.
    let (genesis, first, later) =
        (file("genesis.ssz"), file("blocks/000.ssz"), file("blocks/003.ssz"));
    for more in [&[][..], &["--no-bls"]] {
        let arguments = [&["transition", "--state", &genesis, "--block", &first], more].concat();
        let (code, out, _) = run(&arguments);
        let (_, json, _) = run(&["decode", "--type", "SignedBeaconBlock", &first]);
        let block: Value = serde_json::from_str(&json).expect("JSON");
        let root = block["message"]["state_root"].as_str().expect("a root");
        assert_eq!((code, out), (Some(0), format!("valid {root}")));
    }
    let (code, out, _) = run(&["transition", "--state", &genesis, "--block", &later]);
    assert_eq!(code, Some(1));
    assert!(out.starts_with("invalid bad_block_header: BlockHeader: parent root 0x"), "{out}");
}

#[test]
fn a_configuration_by_file_is_used_and_its_unknown_keys_are_reported() {
    // Gives a number, a list that belongs to a later fork, then a value that is no number.
    let folder = TempDir::new().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    fs::write(&config, "SECONDS_PER_SLOT: 3\nBLOB_SCHEDULE: []\n").expect("a file");
    let path = config.to_str().expect("a plain path");
    let genesis = file("genesis.ssz");
    let arguments = ["slots", "--state", &genesis, "--to", "0", "--config", path];
    let (code, _, error) = run(&arguments);
    assert_eq!(code, Some(0), "{error}");
    assert!(error.contains("unknown key BLOB_SCHEDULE"), "{error}");
    fs::write(&config, "CHURN_LIMIT_QUOTIENT: many\n").expect("a file");
    let (code, _, error) = run(&arguments);
    assert_eq!(code, Some(2));
    assert!(error.contains("CHURN_LIMIT_QUOTIENT cannot be many"), "{error}");
}

#[test]
fn what_is_no_such_value_is_refused() {
    // An unknown type, bytes of other types, and no file.
    let block = file("blocks/000.ssz");
    let cases = [
        (["decode", "--type", "Block", &block], "--type Block: phase0 has"),
        (["root", "--type", "Checkpoint", &block], "not a Checkpoint"),
        (["root", "--type", "BeaconState", &block], "not a BeaconState"),
        (["decode", "--type", "Checkpoint", "nowhere.ssz"], "nowhere.ssz"),
    ];
    for (arguments, why) in cases {
        let (code, out, error) = run(&arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(error.contains(why), "{error}");
    }
}
