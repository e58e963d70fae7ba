//! What the CI workflow runs is what `.ci/run` runs: no step is left out, and none is run twice.

use std::fs;

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
