//! `replay --trace`: what is in the file. `blocksmith-check trace` judges what it says.

use std::collections::BTreeMap;
use std::fs;
#[cfg(unix)]
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn replay(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blocksmith"));
    command.arg("replay").args(arguments).output().expect("it was built beside this test")
}

#[test]
fn a_trace_has_a_head_every_step_in_its_number_and_an_end_mark() {
    // Replays the embedded chain, at rest and with panics.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trace");
    let name = file.to_str().expect("a plain path");
    for more in [&[][..], &["--pace", "race", "--inject", "quarantine:panic/7"]] {
        let output = replay(&[&["--trace", name], more].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{error}");
        assert!(!error.contains("left out"), "{error}");
        let text = fs::read_to_string(&file).expect("the trace");
        let line = |line: &str| -> Value { serde_json::from_str(line).expect("JSON") };
        let lines: Vec<_> = text.lines().map(line).collect();
        assert_eq!(lines[0], json!({ "format": "blocksmith-trace", "version": 1 }));
        let (end, steps) = lines[1..].split_last().expect("an end");
        assert_eq!(*end, json!({ "end": { "steps": steps.len(), "left_out": 0 } }));
        let (mut next, mut verdicts, mut lost) = (BTreeMap::new(), 0, 0);
        for step in steps {
            let thread = (step["service"].to_string(), step["thread"].as_u64());
            let number: &mut u64 = next.entry(thread).or_insert(0);
            assert_eq!(step["number"].as_u64(), Some(*number), "{step}");
            *number += 1;
            let effects = step["effects"].as_array().expect("a list");
            let is_verdict = |effect: &&Value| {
                effect.as_str().is_some_and(|words| words.starts_with("verdict "))
            };
            verdicts += effects.iter().filter(is_verdict).count();
            lost += usize::from(step["lost"] != "");
        }
        assert!(verdicts > 100, "{verdicts}");
        assert_eq!(lost > 0, !more.is_empty());
        for (service, ..) in next.keys() {
            let services = ["quarantine", "clearance", "rewinder", "hot_db"];
            assert!(services.iter().any(|known| *service == format!("{known:?}")), "{service}");
        }
        assert_eq!(next.len(), 6, "three workers, and three services with one thread each");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_replay() {
    // A folder that is not there, and rounds, of which there would be no end.
    let output = replay(&["--trace", "nowhere/trace"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--trace nowhere/trace"));
    let output = replay(&["--trace", "trace", "--for", "1s"]);
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_told_as_a_fault_of_the_machine() {
    // The device that is always full, where there is one: as the trace, and as one of the files of
    // seeds, whose name is known from seeds that were written before.
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let is_full = |output: Output, file: &str| {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{error}");
        assert!(error.contains(file) && error.contains("No space left"), "{error}");
        assert!(output.stdout.is_empty());
    };
    is_full(replay(&["--trace", "/dev/full"]), "--trace /dev/full");

    let folder = tempfile::tempdir().expect("a folder");
    let (root, out) = (folder.path().join("cases"), folder.path().join("seeds"));
    let case = root.join("minimal/phase0/ssz_static/Attestation/s/a");
    fs::create_dir_all(&case).expect("a folder");
    let packed = snap::raw::Encoder::new().compress_vec(b"one").expect("a short text");
    fs::write(case.join("serialized.ssz_snappy"), packed).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_blocksmith"));
    command.arg("seeds").args([&root, &out]);
    let first = command.output().expect("it was built beside this test");
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    let kind = out.join("attestation");
    let mut seeds = fs::read_dir(&kind).expect("seeds");
    let seed = seeds.next().expect("a seed").expect("an entry").path();
    fs::remove_file(&seed).expect("it is there");
    std::os::unix::fs::symlink(full, &seed).expect("a link");
    let name = kind.to_str().expect("a plain path");
    is_full(command.output().expect("as before"), name);
}
