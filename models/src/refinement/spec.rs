//! The state graph of a specification, from the checker of the gate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tla_checker::checker::{CheckResult, check};
use tla_checker::export::DotMode;
use tla_checker::load::prepare_from_path;

use super::graph::{MAX_STATES, Side, restricted};
use super::value::{Value, Variables};
use crate::tla::{SpecError, folder};

/// A specification's states, and its steps by the number of the state that they begin in.
#[derive(Debug, Default)]
struct States {
    variables: Vec<Variables>,
    steps: BTreeMap<usize, Vec<(String, usize)>>,
    is_target: BTreeSet<usize>,
}

/// Explores a specification under a configuration of the folder [`folder`], and shows its variables
/// `names`. The configuration must hold.
///
/// # Errors
/// If the specification cannot be read or evaluated, or if the configuration does not hold.
pub fn explore(spec: &str, cfg: &str, names: &BTreeSet<&str>) -> Result<Side, SpecError> {
    let path = folder().join(spec).with_extension("tla");
    let cfg = folder().join(cfg).with_extension("cfg");
    let fails = |reason: String| SpecError::Load { path: path.clone(), reason };
    let graph = dot(&path, &cfg)?;
    let states = read(&graph).map_err(fails)?;
    let has_all = |variables: &Variables| names.iter().all(|name| variables.contains_key(*name));
    if let Some(variables) = states.variables.iter().find(|variables| !has_all(variables)) {
        return Err(fails(format!("{names:?} are not all among {:?}", variables.keys())));
    }
    let initial = initial(&states);
    let steps = |number: &usize| {
        let steps = states.steps.get(number).map_or(&[][..], Vec::as_slice);
        steps.iter().map(|(word, next)| (word, *next)).collect()
    };
    let word = |word: &&String| (*word).clone();
    let show = |number: &usize| restricted(&states.variables[*number], names);
    Side::explore("the specification", initial, steps, word, show)
        .map_err(|error| fails(error.to_string()))
}

/// Returns the numbers of the initial states: the first, and those that no step leads to. One of
/// several initial states to which a step leads would be missing here, and be told as a difference.
fn initial(states: &States) -> Vec<usize> {
    let is_initial = |number: &usize| *number == 0 || !states.is_target.contains(number);
    (0..states.variables.len()).filter(is_initial).collect()
}

/// Returns the checker's graph in the language DOT.
fn dot(path: &Path, cfg: &Path) -> Result<String, SpecError> {
    let fails = |reason: String| SpecError::Load { path: path.to_path_buf(), reason };
    let mut prepared =
        prepare_from_path(path, Some(cfg), &[]).map_err(|error| fails(error.to_string()))?;
    let config = &mut prepared.checker_config;
    (config.max_states, config.max_depth) = (MAX_STATES, MAX_STATES);
    (config.export_dot_string, config.dot_mode) = (true, DotMode::Full);
    // What the configuration claims is the gate's affair.
    config.check_liveness = false;
    config.quiet = true;
    match check(&prepared.spec, &prepared.domains, &prepared.checker_config) {
        CheckResult::Ok(stats) => {
            stats.dot_graph.ok_or_else(|| fails("the checker gives no graph".to_owned()))
        }
        other => Err(SpecError::Evaluation {
            path: path.to_path_buf(),
            reason: format!("{other:?}").chars().take(400).collect(),
        }),
    }
}

fn read(graph: &str) -> Result<States, String> {
    let mut states = States::default();
    for line in graph.lines().map(str::trim) {
        let Some(rest) = line.strip_prefix('s') else { continue };
        let number = |text: &str| text.trim().trim_start_matches('s').parse::<usize>().ok();
        let (ends, label) = rest.split_once('[').unwrap_or((rest.trim_end_matches(';'), ""));
        let label = label.split_once("label=\"").map_or("", |(_, label)| label);
        if let Some((from, to)) = ends.split_once("->") {
            let (Some(from), Some(to)) = (number(from), number(to)) else {
                return Err(format!("no edge: {line}"));
            };
            let word = label.split_once('"').map_or("a step", |(word, _)| word).to_owned();
            states.steps.entry(from).or_default().push((word, to));
            states.is_target.insert(to);
        } else if number(ends) == Some(states.variables.len()) {
            states.variables.push(read_state(label)?);
        }
    }
    Ok(states)
}

/// Reads the label of a node: the variables, with `\n` between them.
fn read_state(label: &str) -> Result<Variables, String> {
    let end = label.rfind('"').ok_or_else(|| format!("no label: {label}"))?;
    let text = label[..end].replace("\\\"", "\"").replace("\\n", "\n");
    let variable = |line: &str| {
        let (name, value) = line.split_once('=').ok_or_else(|| format!("no variable: {line}"))?;
        let value: Value = value.parse().map_err(|error| format!("{line}: {error}"))?;
        Ok((name.to_owned(), value))
    };
    text.lines().map(variable).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{explore, initial, read};
    use crate::refinement::value::Value;

    /// Two initial states, a step between them and to a third state, and a step that stays.
    const GRAPH: &str = "digraph StateGraph {\n  rankdir=TB;\n  node [shape=box];\n  \
        s0 [label=\"x={1, 2}\\ny=\\\"a\\\"\"];\n  s1 [label=\"x={}\\ny=\\\"b\\\"\"];\n  \
        s2 [label=\"x={1}\\ny=\\\"b\\\"\"];\n  \
        s0 -> s2 [label=\"Go\"];\n  s1 -> s2;\n  s2 -> s2 [label=\"Stay\"];\n}\n";

    #[test]
    fn a_graph_of_the_checker_is_read_with_its_values_steps_and_initial_states() {
        // A graph as the checker writes it.
        let states = read(GRAPH).expect("a graph");
        assert_eq!(states.variables.len(), 3);
        assert_eq!(states.variables[0]["x"], Value::set([2_u8, 1]));
        assert_eq!(states.variables[1]["y"], Value::from("b"));
        assert_eq!(states.steps[&0], [("Go".to_owned(), 2)]);
        assert_eq!(states.steps[&1], [("a step".to_owned(), 2)]);
        assert_eq!(initial(&states), [0, 1]);
    }

    #[test]
    fn a_graph_that_cannot_be_read_is_an_error() {
        // A label without its value, a value that is none, an edge without an end.
        for (from, to) in [("x={1, 2}", "x"), ("x={1, 2}", "x={1, 2"), ("s1 -> s2", "s1 -> t")] {
            assert!(read(&GRAPH.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn what_does_not_hold_or_is_not_there_is_not_explored() {
        // A configuration that must fail, one that is absent, and a variable that is absent.
        let none = BTreeSet::new();
        assert!(explore("SlashingProtection", "SlashingProtection_SignFirst", &none).is_err());
        assert!(explore("SlashingProtection", "Absent", &none).is_err());
        let absent = BTreeSet::from(["absent"]);
        assert!(explore("HotDbTrail", "HotDbTrail", &absent).is_err());
    }
}
