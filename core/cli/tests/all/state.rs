//! `slots`, `transition`, `root` and `decode` as a user runs them, on the recorded chain's files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A file of the recorded chain.
fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/chain").join(name);
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
    // A slot before the state's, and one that would take for ever.
    let genesis = file("genesis.ssz");
    for (to, why) in [("4,3", "the state is at slot 4"), ("99999999999", "at most")] {
        let (code, out, error) = run(&["slots", "--state", &genesis, "--to", to]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn transition_says_the_root_after_a_block_or_why_it_is_invalid() {
    // Applies the chain's first block to genesis, and then one with another parent.
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
    // Gives a number, a list that belongs to a later fork, then a value that is not a number.
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
fn a_configuration_for_another_preset_is_refused() {
    // The file says which preset it is for: the other one, then the right one.
    let folder = TempDir::new().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    let path = config.to_str().expect("a plain path");
    let genesis = file("genesis.ssz");
    let arguments = ["slots", "--state", &genesis, "--to", "0", "--config", path];
    fs::write(&config, "PRESET_BASE: 'mainnet'\n").expect("a file");
    let (code, out, error) = run(&arguments);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
    assert!(error.contains("PRESET_BASE cannot be mainnet, expected minimal"), "{error}");
    fs::write(&config, "PRESET_BASE: minimal\nCONFIG_NAME: 'x'\n").expect("a file");
    let (code, _, error) = run(&arguments);
    assert_eq!((code, error.as_str()), (Some(0), ""));
}

#[test]
fn vectors_take_a_configuration_by_file() {
    // A genesis state is valid, or too early, according to the preset's configuration, to a file's,
    // and to a file for the other preset. A file that is not a configuration ends the command
    // before a case is run.
    let folder = TempDir::new().expect("a temporary folder");
    let case = folder.path().join("vectors/minimal/phase0/genesis/validity/suite/case");
    fs::create_dir_all(&case).expect("a folder");
    let state = fs::read(file("genesis.ssz")).expect("the chain's genesis");
    let packed = snap::raw::Encoder::new().compress_vec(&state).expect("a block");
    fs::write(case.join("genesis.ssz_snappy"), packed).expect("a file");
    let (config, root) = (folder.path().join("config.yaml"), folder.path().join("vectors"));
    let [path, root] = [&config, &root].map(|path| path.to_str().expect("a plain path"));
    let vectors = |valid: bool, text: &str| {
        fs::write(case.join("is_valid.yaml"), format!("{valid}\n")).expect("a file");
        fs::write(&config, text).expect("a file");
        Command::new(env!("CARGO_BIN_EXE_blocksmith"))
            .args(["vectors", root, "--config", path])
            .output()
            .expect("the command was built beside this test")
    };
    let early = "MIN_GENESIS_ACTIVE_VALIDATOR_COUNT: 1\nMIN_GENESIS_TIME: 0\n";
    let late = "MIN_GENESIS_ACTIVE_VALIDATOR_COUNT: 1\nMIN_GENESIS_TIME: 18446744073709551615\n";
    let cases = [
        (true, early.to_owned(), 0, ""),
        (true, late.to_owned(), 1, ""),
        (false, late.to_owned(), 0, ""),
        (true, format!("{early}PRESET_BASE: minimal\n"), 0, ""),
        (false, format!("{early}PRESET_BASE: minimal\n"), 1, ""),
        (true, format!("{early}BLOB_SCHEDULE: []\n"), 0, "unknown key BLOB_SCHEDULE"),
        (true, "PRESET_BASE: other\n".to_owned(), 2, "PRESET_BASE cannot be other"),
        (true, "MIN_GENESIS_TIME: soon\n".to_owned(), 2, "MIN_GENESIS_TIME cannot be soon"),
        (true, "- 1\n".to_owned(), 2, "config.yaml"),
    ];
    for (valid, text, code, why) in cases {
        let Output { status, stderr, .. } = vectors(valid, &text);
        let error = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(code), "{text}: {error}");
        assert!(error.contains(why), "{text}: {error}");
    }
    // A file for the other preset has no effect.
    let other = vectors(true, &format!("{late}PRESET_BASE: mainnet\n")).status.code();
    let without = Command::new(env!("CARGO_BIN_EXE_blocksmith"))
        .args(["vectors", root])
        .output()
        .expect("the command was built beside this test");
    assert_eq!(other, without.status.code());
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
