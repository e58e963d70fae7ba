//! What the CI workflow runs is what `.ci/run` runs: no step is left out, none is run twice, and
//! none is skipped where all of them must run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::workspace;

/// Returns the names between `steps=(` and `)`.
fn steps(script: &str) -> Vec<&str> {
    let (_, rest) = script.split_once("\nsteps=(\n").expect("the list of the steps");
    rest.split_once("\n)").expect("its end").0.split_whitespace().collect()
}

/// Returns the names that the lines of the workflow hand to the script.
fn named(workflow: &str) -> Vec<&str> {
    let lines = workflow.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let commands = lines.filter_map(|line| line.strip_prefix("- run: .ci/run"));
    commands.flat_map(str::split_whitespace).collect()
}

/// Returns what differs, a line each.
fn differences(script: &str, workflow: &str) -> Vec<String> {
    let (steps, named) = (steps(script), named(workflow));
    let mut found = Vec::new();
    for step in &steps {
        if !script.contains(&format!("\n{step}() {{\n")) {
            found.push(format!(".ci/run has no function {step}"));
        }
        match named.iter().filter(|other| *other == step).count() {
            1 => {}
            0 => found.push(format!("the workflow leaves out {step}")),
            times => found.push(format!("the workflow runs {step} {times} times")),
        }
    }
    let unknown = named.iter().filter(|name| !steps.contains(name));
    found.extend(unknown.map(|name| format!(".ci/run has no step {name}")));
    found
}

#[test]
fn the_workflow_runs_each_step_of_the_script_once() {
    // Compares the names in both files; then leaves one out, doubles one, adds one that is none,
    // and takes a function out of the script.
    let read = |path| fs::read_to_string(workspace(path)).expect("a file of the workspace");
    let (script, workflow) = (read(".ci/run"), read(".github/workflows/ci.yml"));
    assert_eq!(differences(&script, &workflow), Vec::<String>::new());
    assert!(steps(&script).len() > 10, "{:?}", steps(&script));
    for (from, to, what) in [
        (" corpus", "", "the workflow leaves out corpus"),
        (" corpus", " corpus corpus", "the workflow runs corpus 2 times"),
        (" corpus", " corpus corpse", ".ci/run has no step corpse"),
        ("- run: .ci/run tests", "- run: echo .ci/run tests", "the workflow leaves out tests"),
    ] {
        assert_eq!(differences(&script, &workflow.replacen(from, to, 1)), [what]);
    }
    let without = script.replace("\ncorpus() {\n", "\ncorpse() {\n");
    assert_eq!(differences(&without, &workflow), [".ci/run has no function corpus"]);
}

/// Returns the jobs of a workflow, each with its lines.
fn jobs(workflow: &str) -> Vec<String> {
    let (_, jobs) = workflow.split_once("\njobs:\n").expect("the jobs");
    let mut all: Vec<String> = Vec::new();
    for line in jobs.lines() {
        let is_name = line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
        match all.last_mut() {
            Some(job) if !is_name => *job += &format!("{line}\n"),
            _ => all.push(format!("{line}\n")),
        }
    }
    all
}

#[test]
fn the_workflow_skips_no_step() {
    // Reads which steps may skip something, and looks at the jobs that run them.
    let read = |path| fs::read_to_string(workspace(path)).expect("a file of the workspace");
    let (script, workflow) = (read(".ci/run"), read(".github/workflows/ci.yml"));
    let body = |step: &str| {
        let (_, rest) = script.split_once(&format!("\n{step}() {{\n")).expect("a function");
        rest.split_once("\n}\n").expect("its end").0
    };
    let skips = |step: &&str| body(step).contains(" skip ") || body(step).contains(".ci/page");
    let may_skip: Vec<&str> = steps(&script).into_iter().filter(skips).collect();
    assert_eq!(may_skip, ["other_systems", "pages", "tlc", "licences"]);
    for script in [&script, &read(".ci/page")] {
        assert!(!script.contains("echo \"skipped"), "only `skip` says that something is skipped");
    }
    for job in jobs(&workflow) {
        let runs = named(&job);
        let is_complete = job.contains("    env:\n      BLOCKSMITH_CI_COMPLETE: \"1\"\n");
        assert!(is_complete || !may_skip.iter().any(|step| runs.contains(step)), "{job}");
    }
}

/// Runs the step `other_systems` with a rustup that lists these targets, and nothing else of Rust.
fn other_systems(installed: &str, variable: (&str, &str)) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let targets = format!("#!/bin/sh\n[ \"$1\" != target ] || {{ {installed} }}\n");
    let tools = [("rustup", &*targets), ("cargo", "#!/bin/sh\necho \"$@\"\n"), ("make", "")];
    for (name, text) in tools {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("the folder is ours");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    }
    let path = std::env::var("PATH").expect("a path");
    let mut command = Command::new(workspace(".ci/run"));
    command.arg("other_systems").current_dir(Path::new("/")).env_clear();
    command.env("PATH", format!("{}:{path}", folder.path().display()));
    command.env(variable.0, variable.1).output().expect("bash is there")
}

#[test]
fn a_step_that_would_be_skipped_fails_only_where_everything_must_run() {
    // Runs the check for other systems with both targets and many more after them, and without.
    let complete = ("BLOCKSMITH_CI_COMPLETE", "1");
    let all = "echo x86_64-apple-darwin; echo x86_64-pc-windows-msvc; seq 100000;";
    let output = other_systems(all, complete);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && !text.contains("skipped"), "{text}");
    for target in ["x86_64-apple-darwin", "x86_64-pc-windows-msvc"] {
        let checked = format!("check -p blocksmith-sync --features stream --target {target}");
        assert!(text.contains(&checked), "{text}");
    }
    for (variable, is_skipped) in [(complete, false), (("CI", "true"), true)] {
        let output = other_systems("exit 1;", variable);
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.success(), is_skipped, "{variable:?}: {text}");
        assert!(text.contains("skipped: the standard library of x86_64-apple-darwin"), "{text}");
    }
}
