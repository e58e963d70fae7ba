//! `replay --data`: killed at any moment, it goes on and ends as an undisturbed replay does.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn replay(data: &Path, pace: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blocksmith"));
    command.args(["replay", "--pace", pace, "--data"]).arg(data);
    command
}

/// Replays until the log has told of `commits` commits, and kills the process then. Returns the
/// last finalised epoch that it had acknowledged.
fn kill_after(commits: usize, data: &Path, pace: &str) -> u64 {
    let mut child = replay(data, pace)
        .env("RUST_LOG", "blocksmith=debug")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command was built beside this test");
    let log = BufReader::new(child.stderr.take().expect("it is piped"));
    let (mut seen, mut acknowledged) = (0, 0);
    for line in log.lines() {
        let line = line.expect("the log is text");
        if let Some((_, rest)) = line.split_once("finality is durable epoch=") {
            let epoch = rest.split(' ').next().and_then(|epoch| epoch.parse().ok());
            acknowledged = epoch.expect("an epoch");
        }
        seen += usize::from(line.contains("committed writes="));
        if seen == commits {
            break;
        }
    }
    assert_eq!(seen, commits, "the replay ended before it was killed");
    child.kill().expect("it runs");
    child.wait().expect("it has been killed");
    acknowledged
}

/// Replays to the end and returns what is printed, and the report.
fn finish(data: &Path, pace: &str) -> (String, Value) {
    let report = data.join("report.json");
    let output = replay(data, pace).arg("--json").arg(&report).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{error}");
    let json = std::fs::read(report).expect("a report was written");
    (text, serde_json::from_slice(&json).expect("the report is JSON"))
}

#[test]
fn a_replay_that_is_killed_goes_on_and_ends_as_an_undisturbed_one() {
    // Eight moments, counted in commits: from the first to one near the end, in two paces.
    let folder = TempDir::new().expect("a temporary folder");
    let (_, undisturbed) = finish(&folder.path().join("whole"), "lockstep");
    let moments = [1, 2, 40, 120, 190, 260, 310].map(|commits| (commits, "lockstep"));
    for (commits, pace) in moments.into_iter().chain([(30, "flood")]) {
        let data = folder.path().join(format!("{pace}_{commits}"));
        let acknowledged = kill_after(commits, &data, pace);
        let (text, report) = finish(&data, pace);
        assert_eq!(report["final"], undisturbed["final"], "{pace}, after {commits} commits");
        assert!(text.contains(" 0 differ"), "{text}");
        let resumed =
            text.split_once("finalised epoch ").and_then(|(_, rest)| rest.split(',').next());
        let resumed: u64 = resumed.and_then(|epoch| epoch.parse().ok()).expect("it has resumed");
        assert!(resumed >= acknowledged, "epoch {resumed}, but {acknowledged} was acknowledged");
    }
}

#[test]
fn a_replay_that_is_killed_twice_goes_on() {
    // The second run is killed as well, after it has resumed.
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data");
    kill_after(150, &data, "lockstep");
    kill_after(100, &data, "lockstep");
    let (text, report) = finish(&data, "lockstep");
    assert!(text.contains("resumed at slot ") && text.contains(" 0 differ"), "{text}");
    assert_eq!(report["final"]["finalized"][0], 5);
}

#[test]
fn a_finished_replay_that_runs_again_ends_alike() {
    // Everything is known already.
    let folder = TempDir::new().expect("a temporary folder");
    let (_, first) = finish(folder.path(), "flood");
    let (text, second) = finish(folder.path(), "flood");
    assert!(text.contains("resumed at slot "), "{text}");
    assert_eq!(first["final"], second["final"]);
}

#[test]
fn a_folder_in_use_or_damaged_is_named_with_exit_code_two() {
    // The test itself holds the lock of the folder; then the file is cut in half.
    let folder = TempDir::new().expect("a temporary folder");
    finish(folder.path(), "flood");
    let lock = File::options().write(true).open(folder.path().join("lock")).expect("the lock");
    lock.lock().expect("nobody has it");
    let refused = |part: &str| {
        let output = replay(folder.path(), "lockstep").output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(part) && error.contains("--data"), "{error}");
        assert!(output.stdout.is_empty());
    };
    refused("in use by another process");
    drop(lock);
    let file = folder.path().join("blocksmith.redb");
    let bytes = std::fs::read(&file).expect("the store");
    std::fs::write(&file, &bytes[..bytes.len() / 2]).expect("written");
    refused("blocksmith.redb: damaged");
}
