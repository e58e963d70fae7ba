//! The `blocksmith` command as a user runs it: results, bad input, exit codes.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

fn chain() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/chain")
}

fn blocksmith(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_blocksmith"))
        .args(arguments)
        .output()
        .expect("the command was built beside this test")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A copy of the recorded chain to damage.
fn copy() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for part in ["", "blocks", "attestations"] {
        fs::create_dir_all(folder.path().join(part)).expect("a folder");
        for entry in fs::read_dir(chain().join(part)).expect("the recorded chain") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let target = folder.path().join(part).join(path.file_name().expect("a name"));
                fs::copy(&path, target).expect("a copy");
            }
        }
    }
    folder
}

/// Runs with bad input and returns what stderr says. Nothing may be on stdout, and no file may be
/// written.
fn refused(arguments: &[&str]) -> String {
    let out = TempDir::new().expect("a temporary folder");
    let report = out.path().join("report.json");
    let report = report.to_str().expect("a plain path");
    let mut all = arguments.to_vec();
    all.extend(["--json", report]);
    let output = blocksmith(&all);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(text(&output.stdout), "");
    assert_eq!(fs::read_dir(out.path()).expect("the folder").count(), 0, "something was written");
    error
}

fn report(arguments: &[&str]) -> (Output, Value) {
    let out = TempDir::new().expect("a temporary folder");
    let file = out.path().join("report.json");
    let mut all = arguments.to_vec();
    all.extend(["--json", file.to_str().expect("a plain path")]);
    let output = blocksmith(&all);
    let json = fs::read(file).expect("a report was written");
    (output, serde_json::from_slice(&json).expect("the report is JSON"))
}

fn manifest() -> Value {
    let bytes = fs::read(chain().join("manifest.json")).expect("the recorded chain");
    serde_json::from_slice(&bytes).expect("the manifest is JSON")
}

#[test]
fn without_arguments_the_embedded_chain_is_replayed_and_equals_the_manifest() {
    // The default run, as a newcomer starts it.
    let output = blocksmith(&[]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    assert!(out.contains(" 0 differ"), "{out}");
    assert_eq!(out.matches("equals the manifest").count(), 4, "{out}");
}

#[test]
fn in_lockstep_every_event_has_the_oracles_answer() {
    // The JSON report is compared with the manifest here, not by the command.
    let chain = chain();
    let (output, json) = report(&["replay", chain.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let manifest = manifest();
    let (found, expected) = (&json["events"], &manifest["events"]);
    assert_eq!(found.as_array().map(Vec::len), expected.as_array().map(Vec::len));
    let mut blocks = 0;
    for (found, expected) in
        found.as_array().into_iter().flatten().zip(expected.as_array().into_iter().flatten())
    {
        if expected["type"] == "block" {
            blocks += 1;
            // The one expectation that the gossip rules of today change.
            let late = expected["reason"] == "not_after_finalized_slot";
            let verdict = if late { Some("ignored") } else { expected["verdict"].as_str() };
            assert_eq!(found["verdict"].as_str(), verdict, "{expected}");
            assert_eq!(found["reason"], expected["reason"], "{expected}");
        }
        if expected["verdict"] == "valid" {
            assert_eq!(found["post_state_root"], expected["post_state_root"]);
        }
        let after = &expected["after_v1_5_0"];
        for field in ["head", "justified", "finalized"] {
            if !after.is_null() {
                assert_eq!(found[field], after[field], "{field} after {expected}");
            }
        }
    }
    assert_eq!(blocks, 65);
    assert_eq!(json["final"]["head"], manifest["final_head"]);
    assert_eq!(json["final"]["state_root"], manifest["final_state_root"]);
    assert_eq!(json["final"]["finalized"], manifest["final_finalized"]);
}

#[test]
fn a_flood_ends_where_lockstep_does_with_any_number_of_workers() {
    // 1, 2 and 4 workers get all events of a slot at once.
    let manifest = manifest();
    for workers in ["1", "2", "4"] {
        let (output, json) = report(&["replay", "--pace", "flood", "--workers", workers]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        assert_eq!(json["final"]["head"], manifest["final_head"]);
        assert_eq!(json["final"]["state_root"], manifest["final_state_root"]);
    }
}

#[test]
fn a_race_gives_every_item_one_verdict() {
    // There is no waiting at all, three times over: the schedule differs, the counts do not.
    for workers in ["1", "2", "4"] {
        let (output, json) = report(&["replay", "--pace", "race", "--workers", workers]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        let events = json["events"].as_array().expect("a list");
        let answered = events.iter().filter(|event| !event["verdict"].is_null()).count();
        assert_eq!(answered, 65 + 226);
        assert!(text(&output.stdout).contains("291 items, one verdict each"));
    }
}

#[test]
fn a_truncated_block_file_is_named_with_its_digest() {
    // The file has one byte less than was recorded.
    let folder = copy();
    let block = folder.path().join("blocks/005.ssz");
    let bytes = fs::read(&block).expect("a block");
    fs::write(&block, &bytes[..bytes.len() - 1]).expect("a shorter block");
    let error = refused(&["replay", folder.path().to_str().expect("a plain path")]);
    assert!(error.contains("blocks/005.ssz") && error.contains("sha256"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    // The manifest names it, the folder does not have it.
    let folder = copy();
    fs::remove_file(folder.path().join("blocks/007.ssz")).expect("it was there");
    let error = refused(&["replay", folder.path().to_str().expect("a plain path")]);
    assert!(error.contains(".file: blocks/007.ssz: No such file"), "{error}");
}

#[test]
fn a_file_outside_the_folder_is_refused() {
    // The first block's path leads out of the folder.
    let folder = copy();
    let path = folder.path().join("manifest.json");
    let text = fs::read_to_string(&path).expect("the manifest");
    fs::write(&path, text.replacen("blocks/000.ssz", "../blocks/000.ssz", 1)).expect("written");
    let error = refused(&["replay", folder.path().to_str().expect("a plain path")]);
    assert!(error.contains("events[1].file") && error.contains("leads out"), "{error}");
}

#[test]
fn a_genesis_of_the_wrong_preset_is_refused() {
    // The manifest says mainnet, the state is minimal.
    let folder = copy();
    let path = folder.path().join("manifest.json");
    let mut manifest = manifest();
    manifest["spec"] = "phase0.mainnet".into();
    for event in manifest["events"].as_array_mut().expect("a list") {
        if event["type"] == "tick" {
            let time = 1_600_000_000 + event["slot"].as_u64().expect("a slot") * 12;
            event["time"] = time.into();
        }
    }
    fs::write(&path, manifest.to_string()).expect("written");
    let error = refused(&["replay", folder.path().to_str().expect("a plain path")]);
    assert!(error.contains("genesis.ssz: not a state of the mainnet preset"), "{error}");
}

#[test]
fn wrong_usage_is_told_with_exit_code_two() {
    // No workers, no such pace, no such folder, no such command.
    assert!(refused(&["replay", "--workers", "0"]).contains("--workers"));
    assert!(refused(&["replay", "--pace", "walk"]).contains("--pace"));
    assert!(refused(&["replay", "/no/such/folder"]).contains("/no/such/folder"));
    assert!(refused(&["vectors", "/no/such/folder"]).contains("/no/such/folder"));
    // What the other command does is no part of this one.
    assert!(refused(&["check"]).contains("blocksmith-check"));
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_work() {
    // The folder of the report does not exist.
    let output = blocksmith(&["replay", "--json", "/no/such/folder/report.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/no/such/folder/report.json"));
}

#[test]
fn injected_panics_in_each_service_change_nothing_at_the_end() {
    // One panic, then one every ten messages, in each service in turn, in lockstep and in the
    // flood.
    let manifest = manifest();
    for service in ["quarantine", "clearance", "rewinder", "hot_db"] {
        for pace in ["lockstep", "flood"] {
            for fault in ["panic@7", "panic/10"] {
                let inject = format!("{service}:{fault}");
                let (output, json) = report(&["replay", "--pace", pace, "--inject", &inject]);
                let out = text(&output.stdout);
                assert_eq!(output.status.code(), Some(0), "{pace} {inject}: {out}");
                assert!(out.contains(&format!("injected {inject}: ")), "{out}");
                assert!(!out.contains(": 0 panics"), "{out}");
                assert_eq!(json["final"]["head"], manifest["final_head"]);
                assert_eq!(json["final"]["state_root"], manifest["final_state_root"]);
            }
        }
    }
}

#[test]
fn a_service_that_always_panics_is_told_with_exit_code_four() {
    // Every message of the worker panics: an item fails as often as it is handed in.
    let output = blocksmith(&["replay", "--inject", "rewinder:panic/1"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("failed 100 times"), "{}", text(&output.stderr));
}

#[test]
fn a_fault_that_is_not_understood_is_refused() {
    // No such service, no such fault, no such message.
    assert!(refused(&["replay", "--inject", "network:panic@1"]).contains("no service"));
    assert!(
        refused(&["replay", "--inject", "rewinder:sleep"]).contains("expected SERVICE:panic@N")
    );
    assert!(refused(&["replay", "--inject", "rewinder:panic@0"]).contains("no number from 1"));
}

#[test]
fn a_signal_in_the_middle_stops_in_order_and_says_what_was_pending() {
    // Every task of the workers takes long, so the replay is not over when the signal comes; it is
    // sent when the first panic is reported, which is in the middle.
    for (signal, number) in [("TERM", 15), ("INT", 2)] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_blocksmith"))
            .args(["replay", "--inject", "rewinder:panic@3", "--inject", "rewinder:delay=100"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command was built beside this test");
        let mut told = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let panic = told.find(|line| line.as_ref().is_ok_and(|line| line.contains("panicked")));
        assert!(panic.is_some(), "the third task panics");
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        let rest = std::thread::spawn(move || told.count());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(128 + number), "{}", text(&output.stdout));
        let out = text(&output.stdout);
        assert!(out.contains(&format!("interrupted by signal {number} after ")), "{out}");
        assert!(out.contains("pending at the stop: ") && out.contains("7 threads joined"), "{out}");
        assert!(rest.join().is_ok());
    }
}

/// The number after `words` in a report.
fn number_after(report: &str, words: &str) -> Option<u64> {
    let rest = report.split_once(words)?.1.trim_start();
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[test]
fn a_soak_says_rounds_memory_threads_and_queues() {
    // There are as many rounds as fit, at least one. The test checks what is printed, not how long
    // it takes.
    let (output, json) = report(&["replay", "--pace", "flood", "--for", "2s"]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    let rounds: u64 = out.split(' ').next().and_then(|word| word.parse().ok()).expect("rounds");
    assert!(rounds >= 1, "{out}");
    assert_eq!(number_after(&out, "pace flood:"), Some(rounds * 349), "{out}");
    assert!(out.contains(&format!("{} items", rounds * 291)), "{out}");
    assert!(out.contains("0 rounds differ"), "{out}");
    let threads = number_after(&out, "threads:").expect("a number");
    assert!(out.contains(&format!("{threads} before, {threads} after, 0 left")), "{out}");
    for place in ["before the first round", "after the first", "after the last", "the largest"] {
        assert!(number_after(&out, place).is_some_and(|kib| kib > 0), "{place}: {out}");
    }
    let row = |name: &str| {
        let row = out.lines().find(|line| line.trim_start().starts_with(name)).expect("a row");
        row.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    // Every item went in and came out, and none was refused, evicted or left.
    let items = row("quarantine.items");
    assert_eq!(items[2..5], ["0", "0", "0"], "{out}");
    assert_eq!(items[0], items[1], "{out}");
    for name in ["quarantine ", "clearance", "hot_db", "rewinder.blocks", "rewinder.attestations"] {
        assert!(row(name)[0] != "0", "{name}: {out}");
    }
    let manifest = manifest();
    assert!(out.contains(manifest["final_head"].as_str().expect("a root")), "{out}");
    assert_eq!(json["final"]["head"], manifest["final_head"]);
}

#[test]
fn a_monitor_without_a_terminal_writes_lines_to_stderr_and_leaves_stdout_alone() {
    // The results are the same as without a monitor; its last line stands at the end.
    let output = blocksmith(&["replay", "--monitor"]);
    let plain = blocksmith(&["replay"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), text(&plain.stdout));
    let error = text(&output.stderr);
    let last = error.lines().last().expect("a line");
    assert!(last.starts_with("load normal (") && last.contains("; quarantine 0/1024"), "{error}");
    assert_eq!(text(&plain.stderr), "");
}

/// A replay that goes round until it is told to stop, and serves its figures.
struct Serving {
    child: Child,
    told: Lines<BufReader<ChildStderr>>,
    address: SocketAddr,
}

impl Serving {
    /// Starts one; the address is told on stderr.
    fn start(pace: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_blocksmith"))
            .args(["replay", "--pace", pace, "--for", "1h", "--metrics", "localhost:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command was built beside this test");
        let mut told = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let line = told.next().expect("a line").expect("in UTF-8");
        let address = line.strip_prefix("metrics at http://");
        let address = address.and_then(|rest| rest.split('/').next()?.parse().ok());
        Self { child, told, address: address.expect("an address") }
    }

    fn ask(&self) -> String {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("in UTF-8");
        answer
    }

    /// Asks until the answer is the wanted one, for a minute at most.
    fn ask_until(&self, is_wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        let answers = std::iter::repeat_with(|| self.ask());
        let mut in_time = answers.take_while(|_| start.elapsed() < Duration::from_secs(60));
        in_time.find(|answer| is_wanted(answer)).expect("the wanted answer within a minute")
    }

    /// Interrupts it, and returns its exit code and what it has printed.
    fn interrupt(&mut self) -> (Option<i32>, String) {
        let sent = Command::new("kill").args(["-s", "INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        let (mut out, mut stdout) = (String::new(), self.child.stdout.take().expect("a pipe"));
        stdout.read_to_string(&mut out).expect("in UTF-8");
        assert!(self.told.by_ref().all(|line| line.is_ok()));
        (self.child.wait().expect("it ends").code(), out)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended, unless a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn metrics_are_served_on_loopback_while_the_services_run() {
    // The chain goes round until the signal, and is asked in the middle. Before the first services
    // are started there is nothing to tell.
    let mut serving = Serving::start("flood");
    let answer = serving.ask_until(|answer| !answer.starts_with("HTTP/1.1 503 "));
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    for queue in ["quarantine", "clearance", "hot_db", "rewinder.blocks", "notices"] {
        let sample = format!("\nblocksmith_mailbox_depth{{mailbox=\"{queue}\"}} ");
        assert!(answer.contains(&sample), "{queue}: {answer}");
    }
    let (code, out) = serving.interrupt();
    assert_eq!(code, Some(130), "{out}");
    assert!(out.contains(" rounds in ") && out.contains("interrupted by signal 2 after"), "{out}");
}

/// Returns the histogram of times to verdicts of one kind: buckets by bound, sum, count.
fn verdict_times(answer: &str, kind: &str) -> (Vec<(f64, u64)>, f64, u64) {
    let name = "blocksmith_verdict_duration_seconds";
    let of = |line: &str, sample: &str| -> Option<String> {
        Some(line.strip_prefix(&format!("{name}{sample}{{kind=\"{kind}\""))?.to_owned())
    };
    let bucket = |line: &str| {
        let rest = of(line, "_bucket")?;
        let (bound, below) = rest.strip_prefix(",le=\"")?.split_once("\"} ")?;
        Some((bound.parse().ok()?, below.parse().ok()?))
    };
    let single = |sample: &str| {
        let mut found = answer.lines().filter_map(|line| of(line, sample));
        found.find_map(|rest| Some(rest.strip_prefix("} ")?.to_owned())).expect("a sample")
    };
    let sum = single("_sum").parse().expect("seconds");
    let count = single("_count").parse().expect("a count");
    (answer.lines().filter_map(bucket).collect(), sum, count)
}

#[test]
fn the_times_to_verdicts_are_served_while_the_services_run() {
    // At each pace, until both kinds were timed: in the race, too, where nobody looks for a verdict
    // before the end. The buckets never fall, the last is the count, and no time is longer than the
    // replay has gone on.
    for pace in ["lockstep", "race"] {
        let start = Instant::now();
        let mut serving = Serving::start(pace);
        let answer = serving.ask_until(|answer| {
            answer.starts_with("HTTP/1.1 200 OK")
                && ["block", "attestation"].iter().all(|kind| verdict_times(answer, kind).2 > 0)
        });
        let elapsed = start.elapsed().as_secs_f64();
        for kind in ["block", "attestation"] {
            let (buckets, sum, count) = verdict_times(&answer, kind);
            assert!(buckets.len() > 10 && buckets.is_sorted_by(|a, b| a.0 < b.0), "{buckets:?}");
            assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{pace} {kind}: {buckets:?}");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{pace} {kind}");
            assert!(sum > 0.0 && sum <= elapsed * count as f64, "{pace} {kind}: {sum} of {count}");
        }
        assert_eq!(serving.interrupt().0, Some(130));
    }
}

#[test]
fn an_address_that_others_reach_or_a_time_that_is_none_is_refused() {
    // All interfaces, no address, no unit, and a time of zero.
    assert!(refused(&["replay", "--metrics", "0.0.0.0:0"]).contains("not an address of the loop"));
    assert!(refused(&["replay", "--metrics", "here"]).contains("--metrics"));
    assert!(refused(&["replay", "--for", "10"]).contains("such as 30s"));
    assert!(refused(&["replay", "--for", "0s"]).contains("more than nothing"));
}
