//! The rules of ARCHITECTURE.md on which crate may depend on which.

use std::process::Command;

use crate::workspace;

/// The crates that a node links, and the crate of the command `blocksmith`.
const CORE: [&str; 7] = [
    "blocksmith-sync",
    "blocksmith",
    "blocksmith-consensus",
    "blocksmith-node",
    "blocksmith-conformance",
    "blocksmith-terminal",
    "blocksmith-cli",
];
/// The crates on which none of them may depend: the checkers, and the crates that use them.
const CHECKERS: [&str; 10] = [
    "loom",
    "shuttle",
    "stateright",
    "corosensei",
    "tla-checker",
    "blocksmith-engines",
    "blocksmith-models",
    "blocksmith-scenarios",
    "blocksmith-verification",
    "blocksmith-tests",
];

/// Crates of ours that nobody outside can link.
const UNPUBLISHED: [&str; 5] = [
    "blocksmith-cli",
    "blocksmith-models",
    "blocksmith-scenarios",
    "blocksmith-tests",
    "blocksmith-verification",
];

/// The most crates that a newcomer builds before the first block is replayed.
const MAX_CRATES: usize = 90;

/// Returns the names of all crates that are linked into `package`, itself included.
fn normal_dependencies(package: &str) -> Vec<String> {
    tree(package, "normal").iter().map(|line| name(line)).collect()
}

/// Returns the lines of the tree of `package` along the given kinds of edges: of each crate the name,
/// the version and what cargo adds in brackets. The first is `package` itself.
fn tree(package: &str, edges: &str) -> Vec<String> {
    let text = cargo(&["tree", "--edges", edges, "--prefix", "none", "--package", package]);
    text.lines().map(str::to_owned).collect()
}

/// Returns what cargo prints in the workspace, without the network.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--offline")
        .current_dir(workspace(""))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// Returns the name in a line of a tree.
fn name(line: &str) -> String {
    line.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn core_knows_no_checker() {
    // Asks cargo for the normal dependencies of each core crate.
    for package in CORE {
        let dependencies = normal_dependencies(package);
        assert_eq!(dependencies.first().map(String::as_str), Some(package));
        for checker in CHECKERS {
            assert!(!dependencies.iter().any(|name| name == checker), "{package} needs {checker}");
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    // sync depends on no crate of ours, and services on sync alone. Neither needs BLS or SSZ.
    let sync = normal_dependencies("blocksmith-sync");
    assert!(!sync.iter().skip(1).any(|name| name.starts_with("blocksmith")), "{sync:?}");
    let services = normal_dependencies("blocksmith");
    let ours: Vec<&String> =
        services.iter().filter(|name| name.starts_with("blocksmith")).collect();
    assert_eq!(ours, ["blocksmith", "blocksmith-sync"]);
    for protocol in ["blst", "ssz_rs", "milhouse", "ethereum_ssz"] {
        assert!(!services.iter().any(|name| name == protocol), "services need {protocol}");
    }
}

#[test]
fn the_engines_stand_on_sync_alone() {
    // Asks cargo: a user who checks code of their own needs no service, no consensus and no model.
    let engines = normal_dependencies("blocksmith-engines");
    let ours: Vec<&String> = engines.iter().filter(|name| name.starts_with("blocksmith")).collect();
    assert_eq!(ours, ["blocksmith-engines", "blocksmith-sync"]);
}

#[test]
fn the_first_command_builds_from_few_crates() {
    // Counts what README's first command compiles: every crate of its tree in each of its versions,
    // those of build scripts and macros included.
    let versions = |line: &String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let crates: std::collections::BTreeSet<_> =
        tree("blocksmith-cli", "normal,build").iter().map(versions).collect();
    assert!(crates.len() <= MAX_CRATES, "{} crates: {crates:?}", crates.len());
}

#[test]
fn every_library_says_what_crates_io_and_docs_rs_ask_for() {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let said: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut unpublished = vec![];
    for package in said["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        if package["publish"] == serde_json::json!([]) {
            unpublished.push(name);
            continue;
        }
        for key in ["description", "license", "readme", "rust_version"] {
            let value = package[key].as_str().unwrap_or_default();
            assert!(!value.is_empty(), "{name} has no {key}");
        }
        for key in ["keywords", "categories"] {
            let words = package[key].as_array().map_or(0, Vec::len);
            assert!((1..=5).contains(&words), "{name}: {words} {key}, of which there are 1 to 5");
        }
        assert_eq!(package["documentation"], format!("https://docs.rs/{name}"), "{name}");
        // Documentation that docs.rs builds without a feature lacks what the feature brings.
        let all = &package["metadata"]["docs"]["rs"]["all-features"];
        assert_eq!(*all, true, "{name}: metadata.docs.rs.all-features");
    }
    unpublished.sort_unstable();
    assert_eq!(unpublished, UNPUBLISHED);
}
