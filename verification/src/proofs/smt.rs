//! Proof obligations in SMT-LIB 2, and the solvers that settle them.
//!
//! **Contract.** For a relation, an invariant I, and what is to be proved S:
//! - *existence*: there is a first state. This must be `sat`. Without a first state, no state can
//!   be reached, and the others say nothing.
//! - *initiation*: no first state violates I;
//! - *consecution*, one obligation a step: no step leads from I to a state that violates I;
//! - *safety*: no state in I violates S.
//!
//! The last three must be `unsat`: then I holds in every state that can be reached, of any
//! instance, and so does S. For a twin, a path of the stated length from a first state to one that violates S
//! is asked for; it must be `sat`, and its model is the counterexample. The logic is linear integer
//! arithmetic without quantifiers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde::Serialize;

use super::formula::Formula;
use super::relation::{Named, Relation, Step};

/// A solver of SMT-LIB 2 problems: a program that reads a script from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Solver {
    /// z3.
    Z3,
    /// cvc5.
    Cvc5,
}

impl Solver {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Z3, Self::Cvc5];

    /// The program's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Z3 => "z3",
            Self::Cvc5 => "cvc5",
        }
    }

    /// Runs a script. Blocks until the solver has ended, at most 60 s for each of its questions.
    ///
    /// # Errors
    /// If the solver cannot be run, or says something else than answers.
    pub fn run(self, script: &str) -> Result<String, String> {
        let arguments: &[&str] = match self {
            Self::Z3 => &["-smt2", "-in", "-t:60000"],
            Self::Cvc5 => &["--lang=smt2", "--incremental", "--tlimit-per=60000", "-"],
        };
        let mut command = Command::new(self.name());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let fail = |error| format!("{}: {error}", self.name());
        let mut child = command.spawn().map_err(fail)?;
        let mut input = child.stdin.take().expect("it is piped");
        let script = script.to_owned();
        let writer = std::thread::spawn(move || input.write_all(script.as_bytes()));
        let output = child.wait_with_output().map_err(fail)?;
        // A solver that ends before it has read all has said why.
        let written = writer.join().expect("writing does not panic");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_wrong = |line: &str| line.starts_with("(error");
        if let Some(line) = text.lines().find(|line| is_wrong(line)) {
            return Err(format!("{}: {line}", self.name()));
        }
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}: {}", self.name(), output.status, errors.trim()));
        }
        written.map_err(fail)?;
        Ok(text)
    }
}

/// A question, and what it is about.
#[derive(Clone, Debug)]
pub(super) struct Obligation {
    pub(super) name: String,
    body: String,
    /// The answer that it must have: `sat` or `unsat`.
    wanted: &'static str,
}

/// The questions about a relation, each with the answer that it must have.
#[derive(Clone, Debug)]
pub(super) struct Obligations {
    head: String,
    pub(super) all: Vec<Obligation>,
}

impl Obligations {
    pub(super) fn of(relation: &Relation) -> Self {
        let mut head = String::from("(set-logic QF_LIA)\n");
        let inputs = relation.steps.iter().flat_map(|step| &step.inputs);
        let mut inputs: Vec<&str> = inputs.map(String::as_str).collect();
        inputs.sort_unstable();
        inputs.dedup();
        for name in relation.names().chain(inputs.iter().copied()) {
            let _ = writeln!(head, "(declare-const {name} Int)");
        }
        for name in relation.names() {
            let _ = writeln!(head, "(declare-const {name}_ Int)");
        }
        let first = initial(relation, &now);
        let mut all = vec![
            Obligation {
                name: "existence of a first state".to_owned(),
                body: format!("(assert {first})\n"),
                wanted: "sat",
            },
            Obligation {
                name: "initiation".to_owned(),
                body: format!("(assert {first})\n(assert (not {}))\n", invariant(relation, &now)),
                wanted: "unsat",
            },
        ];
        for step in &relation.steps {
            all.push(Obligation {
                name: format!("consecution of {}", step.name),
                body: format!(
                    "(assert {})\n(assert {})\n(assert (not {}))\n",
                    invariant(relation, &now),
                    taken(relation, step, &now, &next),
                    invariant(relation, &next)
                ),
                wanted: "unsat",
            });
        }
        for Named { name, formula } in &relation.safe {
            all.push(Obligation {
                name: format!("safety: {name}"),
                body: format!(
                    "(assert {})\n(assert (not {}))\n",
                    invariant(relation, &now),
                    rendered(formula, &now)
                ),
                wanted: "unsat",
            });
        }
        Self { head, all }
    }

    /// Returns the whole as one script.
    pub(super) fn script(&self) -> String {
        let mut script = self.head.clone();
        for Obligation { name, body, .. } in &self.all {
            let _ = write!(script, "; {name}\n(push 1)\n{body}(check-sat)\n(pop 1)\n");
        }
        script
    }

    /// Returns the names of those that have another answer than they must, with that answer.
    ///
    /// # Errors
    /// As [`Solver::run`], and if there are not as many answers as questions.
    pub(super) fn settle(&self, solver: Solver) -> Result<Vec<(String, String)>, String> {
        let output = solver.run(&self.script())?;
        self.open(&output).map_err(|error| format!("{}: {error}", solver.name()))
    }

    /// Compares the lines of a solver with the answers that the obligations must have.
    fn open(&self, output: &str) -> Result<Vec<(String, String)>, String> {
        let answers: Vec<&str> = output.lines().collect();
        if answers.len() != self.all.len() {
            let (asked, got) = (self.all.len(), answers.len());
            return Err(format!("{got} answers to {asked} questions"));
        }
        let pairs = self.all.iter().zip(answers).filter(|(it, answer)| *answer != it.wanted);
        Ok(pairs.map(|(it, answer)| (it.name.clone(), answer.to_owned())).collect())
    }
}

/// A path of a relation as its solver's model has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Model {
    /// The numbers with which it starts, of those that may be any.
    pub first: Vec<(String, i64)>,
    /// The steps, each with its inputs and with what it changes.
    pub steps: Vec<String>,
}

/// Returns the script that asks for a path of `length` steps to a state that is not safe.
pub(super) fn search(relation: &Relation, length: usize) -> String {
    let mut script = String::from("(set-option :produce-models true)\n(set-logic QF_LIA)\n");
    for at in 0..=length {
        for name in relation.names() {
            let _ = writeln!(script, "(declare-const {name}_{at} Int)");
        }
        if at < length {
            let _ = writeln!(script, "(declare-const step_{at} Int)");
        }
    }
    let _ = writeln!(script, "(assert {})", initial(relation, &|name| format!("{name}_0")));
    for at in 0..length {
        let choices = (0..relation.steps.len()).map(|step| {
            let here = |name: &str| {
                let is_input = relation.steps[step].inputs.iter().any(|input| input == name);
                if is_input { format!("{name}_{at}_{step}") } else { format!("{name}_{at}") }
            };
            let there = |name: &str| format!("{name}_{}", at + 1);
            for input in &relation.steps[step].inputs {
                let _ = writeln!(script, "(declare-const {input}_{at}_{step} Int)");
            }
            let taken = taken(relation, &relation.steps[step], &here, &there);
            format!("(and (= step_{at} {step}) {taken})")
        });
        let choices: Vec<String> = choices.collect();
        let _ = writeln!(script, "(assert (or {} false))", choices.join(" "));
    }
    let end = |name: &str| format!("{name}_{length}");
    let safe = relation.safe.iter().map(|safe| rendered(&safe.formula, &end));
    let _ = writeln!(script, "(assert (not (and true {})))", safe.collect::<Vec<_>>().join(" "));
    script.push_str("(check-sat)\n");
    script
}

/// Looks for a path of `length` steps to a state that is not safe.
///
/// # Errors
/// As [`Solver::run`].
pub(super) fn find(
    relation: &Relation,
    length: usize,
    solver: Solver,
) -> Result<Option<Model>, String> {
    let script = search(relation, length);
    // Without a model, the question for values is an error, so the answer is looked at first.
    match solver.run(&script)?.trim() {
        "unsat" => Ok(None),
        "sat" => {
            let wanted = (0..=length).flat_map(|at| {
                let counters = relation.names().map(move |name| format!("{name}_{at}"));
                counters.chain((at < length).then(|| format!("step_{at}")))
            });
            let wanted = wanted.collect::<Vec<_>>().join(" ");
            let answer = solver.run(&format!("{script}(get-value ({wanted}))\n"))?;
            model(relation, length, &answer).map(Some)
        }
        other => Err(format!("{}: {other}", solver.name())),
    }
}

/// Reads the values of a model.
fn model(relation: &Relation, length: usize, answer: &str) -> Result<Model, String> {
    let values = values(answer);
    let value =
        |name: String| values.get(&name).copied().ok_or_else(|| format!("the model lacks {name}"));
    let mut first = Vec::new();
    for counter in relation.counters.iter().filter(|counter| counter.is_free) {
        first.push((counter.name.clone(), value(format!("{}_0", counter.name))?));
    }
    let mut steps = Vec::new();
    for at in 0..length {
        let step = usize::try_from(value(format!("step_{at}"))?).ok();
        let step = step.and_then(|step| relation.steps.get(step)).ok_or("no such step")?;
        let mut changes = Vec::new();
        for name in relation.names() {
            let (old, new) = (value(format!("{name}_{at}"))?, value(format!("{name}_{}", at + 1))?);
            if old != new {
                changes.push(format!("{name} {old} -> {new}"));
            }
        }
        steps.push(format!("{:<32} {}", step.name, changes.join(", ")));
    }
    Ok(Model { first, steps })
}

/// Reads pairs of a name and a number, `(name 3)` or `(name (- 3))`.
fn values(answer: &str) -> BTreeMap<String, i64> {
    let spaced = answer.replace(['(', ')'], " ");
    let mut tokens = spaced.split_whitespace().peekable();
    let mut values = BTreeMap::new();
    while let Some(name) = tokens.next() {
        let sign = if tokens.next_if_eq(&"-").is_some() { -1 } else { 1 };
        if let Some(number) = tokens.peek().and_then(|token| token.parse::<i64>().ok()) {
            tokens.next();
            values.insert(name.to_owned(), sign * number);
        }
    }
    values
}

fn now(name: &str) -> String {
    name.to_owned()
}

fn next(name: &str) -> String {
    format!("{name}_")
}

fn rendered(formula: &Formula, rename: &dyn Fn(&str) -> String) -> String {
    let mut out = String::new();
    formula.smt(&mut out, rename);
    out
}

/// The invariant, with the counters' being natural numbers.
fn invariant(relation: &Relation, rename: &dyn Fn(&str) -> String) -> String {
    let natural = relation.names().map(|name| format!("(>= {} 0)", rename(name)));
    let parts = relation.invariants.iter().map(|it| rendered(&it.formula, rename));
    format!("(and {})", natural.chain(parts).collect::<Vec<_>>().join(" "))
}

fn initial(relation: &Relation, rename: &dyn Fn(&str) -> String) -> String {
    let counters = relation.counters.iter().map(|counter| {
        let sign = if counter.is_free { ">=" } else { "=" };
        format!("({sign} {} 0)", rename(&counter.name))
    });
    let assumed = relation.assumed.iter().map(|it| rendered(it, rename));
    format!("(and {})", counters.chain(assumed).collect::<Vec<_>>().join(" "))
}

/// The step is taken, from one state to another.
fn taken(
    relation: &Relation,
    step: &Step,
    here: &dyn Fn(&str) -> String,
    there: &dyn Fn(&str) -> String,
) -> String {
    let inputs = step.inputs.iter().map(|input| format!("(>= {} 0)", here(input)));
    let guard = rendered(&step.guard, here);
    let changes = relation.names().map(|name| {
        let mut new = String::new();
        match step.updates.iter().find(|(changed, _)| changed == name) {
            Some((_, term)) => term.smt(&mut new, here),
            None => new = here(name),
        }
        format!("(= {} {new})", there(name))
    });
    let parts = inputs.chain([guard]).chain(changes);
    format!("(and {})", parts.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::{Obligations, Relation};

    const NOWHERE: &str = "
counter n
assume n >= 1
step up
  when n >= 1
  do n += 1
invariant a: n >= 1
safe b: n >= 1
";

    #[test]
    fn a_relation_without_a_first_state_is_not_proved() {
        // No state has n = 0 and n >= 1, so a solver answers `unsat` to all.
        let relation = Relation::read("nowhere", NOWHERE).expect("a relation");
        let obligations = Obligations::of(&relation);
        let names: Vec<_> = obligations.all.iter().map(|it| it.name.as_str()).collect();
        let existence = "existence of a first state";
        assert_eq!(names, [existence, "initiation", "consecution of up", "safety: b"]);
        let question = "; existence of a first state\n(push 1)\n(assert (and (= n 0) (>= n 1)))\n\
            (check-sat)\n(pop 1)\n";
        assert!(obligations.script().contains(question), "{}", obligations.script());
        let open = |output: &str| obligations.open(output);
        let all_unsat = open("unsat\nunsat\nunsat\nunsat\n");
        assert_eq!(all_unsat, Ok(vec![(existence.to_owned(), "unsat".to_owned())]));
        assert_eq!(open("sat\nunsat\nunsat\nunsat\n"), Ok(Vec::new()));
        let open_step = Ok(vec![("consecution of up".to_owned(), "sat".to_owned())]);
        assert_eq!(open("sat\nunsat\nsat\nunsat\n"), open_step);
        assert!(open("sat\nunsat\nunsat\n").is_err());
    }
}
