//! The command `blocksmith-check` as a user runs it: selections, reports, and what happens on a
//! terminal, in a pipe, on a full disk and after a signal.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blocksmith-check"));
    command.args(arguments);
    command
}

fn check(arguments: &[&str]) -> Output {
    command(&[&["check"], arguments].concat()).output().expect("it was built beside this test")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn wrong_usage_is_told_with_exit_code_two() {
    // Gives an unknown protocol, an unknown id, and parts that do not exist. stdout stays empty.
    let refused = |arguments: &[&str]| {
        let output = check(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stdout), "");
        text(&output.stderr)
    };
    assert!(refused(&["--protocol", "teleport"]).contains("teleport"));
    assert!(refused(&["--id", "oneshot.tele"]).contains("oneshot.tele"));
    for shard in ["0/2", "3/2", "1", "a/b", "1/2000"] {
        assert!(refused(&["--list", "--shard", shard]).contains(shard));
    }
}

#[test]
fn the_parts_of_a_selection_are_the_whole() {
    // Lists three shards of one protocol: together and sorted they are the whole list.
    let list = |arguments: &[&str]| -> Vec<String> {
        let output = check(&[&["--list", "--protocol", "mailbox"], arguments].concat());
        assert_eq!(output.status.code(), Some(0));
        let mut lines: Vec<_> = text(&output.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let mut parts =
        [["--shard", "1/3"], ["--shard", "2/3"], ["--shard", "3/3"]].map(|s| list(&s)).concat();
    parts.sort();
    assert_eq!(parts, list(&[]));
    assert!(parts.len() > 10);
}

#[test]
fn junit_has_a_case_for_every_check_with_its_verdict() {
    // Runs the one-shot's checks under Stepped. A refuted twin passes, and its counterexample is in
    // the report.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("junit.xml");
    let file = file.to_str().expect("a plain path");
    let selection = ["--protocol", "oneshot", "--engine", "stepped", "--junit", file];
    let output = check(&selection);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let xml = fs::read_to_string(file).expect("written");
    let listed = text(&check(&["--list", "--protocol", "oneshot", "--engine", "stepped"]).stdout)
        .lines()
        .count();
    assert_eq!(xml.matches("<testcase ").count(), listed);
    assert!(xml.contains("failures=\"0\"") && xml.contains("violated"), "{xml}");
}

#[test]
fn the_gate_of_a_specification_gives_every_expected_answer() {
    // Runs one specification of `check --engine tla`, must-fail configurations included; CI runs
    // all of them with the command.
    let output = check(&["--engine", "tla", "--protocol", "lifecycle", "--json", "-"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = json.as_array().expect("a list");
    assert!(rows.iter().all(|row| row["expected"] == row["verdict"]));
    assert!(rows.iter().any(|row| row["verdict"] == "violated"), "there are must-fail twins");
}

#[test]
fn a_run_is_as_wide_as_it_says_and_silent_on_stderr() {
    // Runs checks that hold and twins that are refuted, of which shuttle and loom would print more.
    let output = check(&["--protocol", "time"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
    let stdout = text(&output.stdout);
    let mut widths = stdout.lines().map(|line| line.chars().count());
    assert!(widths.all(|width| width <= 100), "{stdout}");
    assert!(stdout.contains("\nholds ") && stdout.contains("\nrefuted "), "{stdout}");
    // The word "verified" stands only where its bounds do.
    assert!(!stdout.contains("verified"));
    let verbose = check(&["--id", "oneshot.the_receiver_goes.stepped", "--verbose"]);
    let verbose = text(&verbose.stdout);
    assert!(verbose.contains("verified by stepped") && verbose.contains("max_states"), "{verbose}");
}

#[test]
fn colours_are_as_asked() {
    // A pipe gets no colour by default, and gets it if asked for.
    let one = ["--id", "oneshot.the_receiver_goes.stepped"];
    let has_color = |arguments: &[&str]| {
        let output = check(&[&one, arguments].concat());
        text(&output.stdout).contains('\u{1b}')
    };
    assert!(!has_color(&[]) && !has_color(&["--color", "never"]));
    assert!(has_color(&["--color", "always"]));
}

#[test]
fn a_report_on_stdout_is_alone_there() {
    // The report takes stdout, so the lines for a person are on stderr.
    let output = check(&["--id", "oneshot.the_receiver_goes.stepped", "--json", "-"]);
    let rows: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert_eq!(rows[0]["verdict"], "verified");
    assert!(text(&output.stderr).contains("1 of 1 as expected"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_ends_it_quietly_and_a_full_disk_does_not() {
    // A pipe that is closed after one line ends the command as SIGPIPE would. /dev/full gives exit
    // code 4 and the reason.
    let mut child = command(&["check", "--protocol", "oneshot"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    stdout.read_line(&mut line).expect("the head");
    drop(stdout);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(141), String::new()));

    if let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") {
        let mut run = command(&["check", "--protocol", "oneshot"]);
        let output = run.stdout(full).output().expect("it ends");
        assert_eq!(output.status.code(), Some(4));
        assert!(text(&output.stderr).contains("stdout"), "{}", text(&output.stderr));
        let report = ["--id", "oneshot.the_receiver_goes.stepped", "--json", "/dev/full"];
        let output = check(&report);
        assert_eq!(output.status.code(), Some(4));
        assert!(text(&output.stderr).contains("/dev/full"));
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_order_with_what_was_done_in_the_report() {
    // Sends SIGTERM, and SIGINT, after the first line. The report has the checks that the lines
    // name.
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let folder = tempfile::tempdir().expect("a folder");
        let report = folder.path().join("report.json");
        let mut child = command(&["check", "--jobs", "1", "--json"])
            .arg(&report)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut lines = String::new();
        for _ in 0..3 {
            stdout.read_line(&mut lines).expect("a line");
        }
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
        std::io::Read::read_to_string(&mut stdout, &mut lines).expect("the rest");
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(code), "{lines}");
        assert!(lines.contains("interrupted by signal") && lines.contains("not done, and left: "));
        let rows = fs::read_to_string(&report).expect("the report is there");
        let rows: Value = serde_json::from_str(&rows).expect("JSON");
        let done =
            lines.lines().filter(|line| line.starts_with("holds ") || line.starts_with("refuted "));
        assert_eq!(rows.as_array().map(Vec::len), Some(done.count()));
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }
}

#[test]
fn the_litmus_programs_of_one_argument_are_judged_and_reported() {
    // Judges the one-shot's arguments. The table has a row for each program, and the report says
    // that nothing differs; a name that no argument has is refused.
    let output = command(&["litmus", "--id", "oneshot", "--json", "-"]).output();
    let output = output.expect("it was built beside this test");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let rows: Value = serde_json::from_str(&text(&output.stdout)).expect("JSON on stdout");
    let rows = rows.as_array().expect("rows");
    assert!(rows.len() > 10, "{} rows", rows.len());
    for row in rows {
        assert_eq!(row["difference"], Value::Null, "{row}");
        assert_eq!(row["loom"], "agrees", "{row}");
        let is_written = row["variant"] == "as written";
        assert_eq!(row["answers"]["RC11"] == "forbidden", is_written, "{row}");
        assert_eq!(row["witness"].is_null(), is_written, "{row}");
    }
    let refused = command(&["litmus", "--id", "teleport"]).output();
    let refused = refused.expect("it was built beside this test");
    assert_eq!((refused.status.code(), text(&refused.stdout)), (Some(2), String::new()));
    assert!(text(&refused.stderr).contains("teleport"));
}

#[test]
fn the_litmus_table_has_the_literature_if_it_is_asked_for() {
    // Asks for one argument besides: the table has both, and says that all is as expected.
    let arguments = ["litmus", "--literature", "--id", "spsc.close_tail", "--verbose"];
    let output = command(&arguments).output().expect("it was built beside this test");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for words in ["IRIW+f.sc", "spsc.close_tail: ", "redundant: ", "race: ", "0 not as expected"] {
        assert!(table.contains(words), "{table}");
    }
    assert!(table.lines().all(|line| line.len() <= 100), "{table}");
}

#[test]
fn a_counterexample_is_written_shown_in_every_form_and_run_again() {
    // Refutes the notifier without a second look under Stepped, in a folder that is not there yet.
    let folder = tempfile::tempdir().expect("a folder");
    let (path, id) = (folder.path().join("found"), "notifier.no_second_look.stepped");
    let arguments =
        ["--id", id, "--write-counterexamples", path.to_str().expect("a path in UTF-8")];
    let output = check(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let file = path.join(format!("{id}.itf.json"));
    let name = file.to_str().expect("a path in UTF-8");
    let line = format!("    blocksmith-check counterexample {name} --replay");
    assert!(text(&output.stdout).lines().any(|printed| printed == line));
    let show = |more: &[&str]| {
        let output = command(&[&["counterexample", name], more].concat()).output();
        output.expect("it was built beside this test")
    };
    let table = text(&show(&[]).stdout);
    for words in ["T0 main: sleeps on futex", "T1 producer: has ended", "notifier.rs:"] {
        assert!(table.contains(words), "{table}");
    }
    for (format, words) in [
        ("html", "<!DOCTYPE html>"),
        ("mermaid", "sequenceDiagram"),
        ("dot", "digraph counterexample"),
        ("itf", "\"#meta\":{\"format\":\"ITF\""),
        ("json", "\"violation\":\"deadlock\""),
    ] {
        let output = show(&["--format", format]);
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert!(text(&output.stdout).contains(words), "{format}");
    }
    let replayed = show(&["--replay"]);
    assert_eq!((replayed.status.code(), text(&replayed.stdout)), (Some(0), table.clone()));
    let shrunk = show(&["--shrink"]);
    assert_eq!(shrunk.status.code(), Some(0), "{}", text(&shrunk.stderr));
    let steps = |table: &str| table.lines().take_while(|line| *line != "in the end").count();
    assert!(steps(&text(&shrunk.stdout)) <= steps(&table) && steps(&table) > 5);
    // As if the code had moved: the first step is another operation.
    let recorded = fs::read_to_string(&file).expect("the file");
    let moved = recorded.replacen("\"operation\":\"futex", "\"operation\":\"moved futex", 1);
    assert_ne!(moved, recorded);
    fs::write(&file, moved).expect("the file is ours");
    let output = show(&["--replay"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("no longer fits at step"), "{}", text(&output.stdout));
    for (damaged, why) in [("{}", "missing field"), ("no JSON", "expected")] {
        fs::write(&file, damaged).expect("the file is ours");
        let output = show(&[]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
}

/// The lines of an output that begin with one of these words.
fn lines_of(output: &Output, words: &[&str]) -> Vec<String> {
    let begins = |line: &&str| words.iter().any(|word| line.starts_with(&format!("{word} ")));
    text(&output.stdout).lines().filter(begins).map(str::to_owned).collect()
}

/// Returns the ids in the second column of lines.
fn ids(lines: &[String]) -> Vec<&str> {
    let mut ids: Vec<_> = lines.iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_run_ends_with_its_budget_says_what_it_left_and_goes_on_from_there() {
    // Gives the broker's checks under loom a second; one is recorded to take several. Then goes on
    // without a budget, and again when nothing is left. The union is what a run at once has.
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state.json");
    let state = state.to_str().expect("a plain path");
    let which = ["--protocol", "broker", "--engine", "loom"];
    let selection = [&which[..], &["--resume", state]].concat();
    let listed = text(&check(&[&which[..], &["--list"]].concat()).stdout).lines().count();

    let first = check(&[&selection[..], &["--budget", "1s", "--jobs", "1"]].concat());
    assert_eq!(first.status.code(), Some(3), "{}", text(&first.stdout));
    let (done, left) = (lines_of(&first, &["holds", "refuted"]), lines_of(&first, &["left"]));
    assert!(!left.is_empty() && done.len() + left.len() == listed, "{}", text(&first.stdout));
    let sum = format!("truncated by the budget: {} of {listed} checks are left", left.len());
    assert!(text(&first.stdout).contains(&sum), "{}", text(&first.stdout));

    let report = ["--json", "-"];
    let second = check(&[&selection[..], &report].concat());
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stderr));
    let lines = text(&second.stderr);
    if !done.is_empty() {
        let before = format!("{} checks were done before", done.len());
        assert!(lines.contains(&before), "{lines}");
    }
    let rows: Value = serde_json::from_slice(&second.stdout).expect("JSON");
    let rows = rows.as_array().expect("rows");
    let mut all: Vec<_> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    all.sort_unstable();
    let mut union = [ids(&done), ids(&left)].concat();
    union.sort_unstable();
    assert_eq!(all, union);
    assert!(rows.iter().all(|row| row["expected"] == row["verdict"]));

    let third = check(&selection[..]);
    assert_eq!(third.status.code(), Some(0));
    assert!(text(&third.stdout).contains(&format!("{listed} checks were done before")));
}

#[test]
fn a_run_is_gone_on_with_only_by_the_same_program_over_the_same_checks() {
    // Changes the selection, the version and the program's digest in the file, an id, and all of it.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("state.json");
    let name = file.to_str().expect("a plain path");
    let one = ["--id", "oneshot.the_receiver_goes.stepped", "--resume", name];
    assert_eq!(check(&one).status.code(), Some(0));
    let whole = fs::read_to_string(&file).expect("the state");
    let refused = |arguments: &[&str], text_of_file: &str, words: &str| {
        fs::write(&file, text_of_file).expect("the file is ours");
        let output = check(arguments);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
        let told = text(&output.stderr);
        assert!(told.contains(words) && told.contains(name), "{told}");
        assert_eq!(fs::read_to_string(&file).expect("it is still there"), text_of_file);
    };
    let other = ["--id", "oneshot.the_sender_goes.stepped", "--resume", name];
    refused(&other, &whole, "checks: ");
    let field = |name: &str, value: &str| {
        let mut state: Value = serde_json::from_str(&whole).expect("JSON");
        state[name] = Value::from(value);
        state.to_string()
    };
    refused(&one, &field("version", "0.0.0"), "version: ");
    refused(&one, &field("program", "0"), "program: ");
    refused(&one, &field("format", "other"), "format: ");
    refused(&one, &whole.replace("the_receiver_goes", "the_receiver_stays"), "no such check");
    refused(&one, "no JSON", "expected");
    refused(&one, "{}", "missing field");
    for budget in ["0s", "10", "a day"] {
        let output = check(&["--id", "oneshot.the_receiver_goes.stepped", "--budget", budget]);
        assert_eq!(output.status.code(), Some(2), "{budget}");
        assert!(text(&output.stderr).contains("as in 90s, 10m or 1h"), "{}", text(&output.stderr));
    }
}

/// A trace of the services over the toy protocol, recorded on real threads.
const TRACE: &str = include_str!("../../../models/tests/models/trace.jsonl");

#[test]
fn a_trace_is_judged_with_an_exit_code_for_each_answer() {
    // Judges a recorded trace: whole, with a verdict doubled, cut short, with a word that is none,
    // and one that is not there.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trace");
    let name = file.to_str().expect("a plain path");
    let judge = |trace: &str| {
        fs::write(&file, trace).expect("the file is ours");
        command(&["trace", name]).output().expect("it was built beside this test")
    };
    let whole = judge(TRACE);
    assert_eq!(whole.status.code(), Some(0), "{}", text(&whole.stdout));
    assert!(text(&whole.stdout).starts_with("behaviour of the specification: "));

    let lines: Vec<_> = TRACE.lines().collect();
    let at = lines.iter().position(|line| line.contains("verdict item=")).expect("a verdict");
    let verdict = lines[at].find("verdict item=").map(|start| {
        let rest = &lines[at][start..];
        &rest[..rest.find('"').expect("the end of the effect")]
    });
    let verdict = verdict.expect("as above");
    let twice = TRACE.replacen(verdict, &format!("{verdict}\",\"{verdict}"), 1);
    let refuted = judge(&twice);
    assert_eq!(refuted.status.code(), Some(1));
    let told = text(&refuted.stdout);
    assert!(told.starts_with(&format!("refuted at line {}: quarantine: ", at + 1)), "{told}");
    assert!(told.contains("exactly one verdict"), "{told}");

    let cut = judge(&TRACE[..TRACE.len() / 2]);
    assert_eq!(cut.status.code(), Some(3));
    assert!(text(&cut.stdout).starts_with("incomplete: "), "{}", text(&cut.stdout));

    let bogus = judge(&TRACE.replacen("\"event\":\"submit", "\"event\":\"sumbit", 1));
    assert_eq!((bogus.status.code(), text(&bogus.stdout)), (Some(2), String::new()));
    let told = text(&bogus.stderr);
    assert!(told.contains(name) && told.contains("sumbit") && told.contains("line "), "{told}");

    let missing = command(&["trace", "nowhere/trace"]).output().expect("as above");
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("nowhere/trace"));
}

#[test]
fn a_counterexample_of_every_engine_is_run_again_and_made_smaller() {
    // One twin of each engine, a behaviour that goes on for ever among them.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path in UTF-8");
    for (id, words) in [
        ("services.invalid_r3.stateright", "cycle of waits: "),
        ("rules.blocks_first_for_ever.stateright", "-- from here on, for ever:"),
        ("services.verdict_before_commit.shuttle", "puts off the commit of block 1"),
        ("notifier.fence_dropped_in_prepare.loom", "sleeps on atomic"),
        ("notifier.no_second_look.stepped", "sleeps on futex"),
    ] {
        let output = check(&["--id", id, "--write-counterexamples", path]);
        assert_eq!(output.status.code(), Some(0), "{id}: {}", text(&output.stdout));
        let file = folder.path().join(format!("{id}.itf.json"));
        let name = file.to_str().expect("a path in UTF-8");
        let show = |more: &[&str]| {
            let output = command(&[&["counterexample", name], more].concat()).output();
            let output = output.expect("it was built beside this test");
            assert_eq!(output.status.code(), Some(0), "{id}: {}", text(&output.stdout));
            text(&output.stdout)
        };
        let table = show(&[]);
        assert!(table.contains(words), "{table}");
        assert_eq!(show(&["--replay"]), table, "{id}");
        let shrunk = show(&["--shrink", "--operations"]);
        let all = show(&["--operations"]);
        assert!(shrunk.lines().count() <= all.lines().count() + 1, "{shrunk}{all}");
    }
}
