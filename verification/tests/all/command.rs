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
fn the_gate_of_the_specifications_gives_every_expected_answer() {
    // Runs `check --engine tla`, as CI does, must-fail configurations included.
    let output = check(&["--engine", "tla", "--json", "-"]);
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
