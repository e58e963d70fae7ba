//! `blocksmith attack` as a user runs it.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

fn attack(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_blocksmith"))
        .arg("attack")
        .args(arguments)
        .output()
        .expect("the command was built beside this test")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn two_attacks_at_two_sizes_give_a_table_a_report_and_curves() {
    // Small sizes; the table, the JSON file and the pictures are of the same rows.
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();
    let (json, svg) = (path("rows.json"), path("curves/of"));
    let sizes = ["--n", "16,4", "--peers", "1,2", "--workers", "2", "--seconds", "30"];
    let outputs = ["--attack", "A1,a7", "--json", &json, "--svg", &svg];
    let output = attack(&[&sizes[..], &outputs[..]].concat());
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "there is progress on no terminal");
    let rows: Value = serde_json::from_slice(&fs::read(&json).expect("a report")).expect("JSON");
    let rows = rows.as_array().expect("a list");
    let seen: Vec<(Option<&str>, _, _)> = rows
        .iter()
        .map(|row| (row["attack"].as_str(), row["n"].as_u64(), row["peers"].as_u64()))
        .collect();
    let expected = [
        (Some("A1"), Some(4), Some(1)),
        (Some("A1"), Some(4), Some(2)),
        (Some("A1"), Some(16), Some(1)),
        (Some("A1"), Some(16), Some(2)),
        (Some("A7"), Some(4), Some(1)),
        (Some("A7"), Some(16), Some(1)),
    ];
    assert_eq!(seen, expected);
    for row in rows {
        assert_eq!(row["verdicts_lost"], 0, "{row}");
        let head = format!(
            "{:<8} {:>6} {:>3} ",
            row["attack"].as_str().unwrap_or_default(),
            row["n"].as_u64().unwrap_or_default(),
            row["peers"].as_u64().unwrap_or_default()
        );
        assert_eq!(out.lines().filter(|line| line.starts_with(&head)).count(), 1, "{head}: {out}");
    }
    assert!(out.contains("bad_proposer_signature 16") && out.contains("growth: slots"), "{out}");
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    assert!(out.ends_with("0 verdicts lost\n"), "{out}");
    let curves: BTreeSet<_> = fs::read_dir(&svg)
        .expect("the folder was made")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    assert_eq!(curves, BTreeSet::from(["A1.svg".to_owned(), "A7.svg".to_owned()]));
    let curve = fs::read_to_string(folder.path().join("curves/of/A1.svg")).expect("a picture");
    assert!(curve.starts_with("<svg ") && curve.ends_with("</svg>\n"));
}

#[test]
fn a_report_on_stdout_is_alone_there() {
    // The table goes to stderr then.
    let output = attack(&["--attack", "A13", "--n", "16", "--json", "-"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let rows: Value = serde_json::from_slice(&output.stdout).expect("nothing but JSON");
    assert_eq!(rows[0]["attack"], "A13");
    assert!(text(&output.stderr).contains("0 verdicts lost"));
}

#[test]
fn wrong_attacks_sizes_and_folders_are_refused() {
    // Each with exit code 2, before anything is run or written.
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let file = file.to_str().expect("a plain path");
    for (arguments, says) in [
        (["--attack", "A15"], "A15"),
        (["--attack", ""], "no such attack"),
        (["--n", "0"], "0"),
        (["--n", "65537"], "65537"),
        (["--peers", "0"], "0"),
        (["--workers", "0"], "0"),
        (["--seconds", "0"], "0"),
        (["--chain", "16385"], "16385"),
        (["--branches", "65"], "65"),
        (["--svg", file], "--svg"),
        (["--json", "none/such/file"], "--json"),
    ] {
        let output = attack(&arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
        assert_eq!(text(&output.stdout), "");
    }
}
