//! The form of a file: the Informal Trace Format (ADR 15 of Apalache, *Informal Trace Format in
//! JSON*).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::words::changes;
use super::{Counterexample, Standing, Step};

/// The most steps of a file that is read.
const MAX_STEPS: usize = 100_000;
/// The most threads of a file that is read.
const MAX_THREADS: usize = 256;

const FORMAT: &str = "ITF";
const DESCRIPTION: &str = "https://apalache-mc.org/docs/adr/015adr-trace.html";

/// A trace: a state for the beginning, and one for each step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Itf {
    #[serde(rename = "#meta")]
    meta: Meta,
    vars: Vec<String>,
    states: Vec<State>,
    /// The state in which the steps that are taken for ever begin.
    #[serde(rename = "loop", default, skip_serializing_if = "Option::is_none")]
    cycle_from: Option<usize>,
}

/// What the format leaves to the tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Meta {
    format: String,
    #[serde(rename = "format-description")]
    format_description: String,
    check: String,
    engine: String,
    violation: String,
    #[serde(default)]
    search: String,
    #[serde(default)]
    handle_steps: bool,
    #[serde(default)]
    run: usize,
    #[serde(default)]
    start: String,
    threads: Vec<String>,
    end: Vec<Standing>,
}

/// A state: what was done last, and what the objects hold that have been used so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    #[serde(rename = "#meta")]
    meta: StateMeta,
    /// -1 in the beginning.
    thread: i64,
    operation: String,
    object: String,
    before: String,
    after: String,
    result: String,
    source: String,
    objects: Map,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StateMeta {
    index: usize,
    /// The schedule's choice; the beginning has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    choice: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_landmark: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Map {
    #[serde(rename = "#map")]
    entries: Vec<(String, String)>,
}

/// Why a file is no counterexample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The field `#meta.format` has another value.
    Format(String),
    /// There are more steps, threads or standings than a counterexample has.
    TooLarge,
    /// The state of this index names a thread that does not exist.
    Thread(usize),
    /// The first state has a step, or there is no state.
    NoBeginning,
    /// A thread in the end waits for one that does not exist.
    End,
    /// The field `loop` names a state that does not exist.
    Loop,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(found) => write!(f, "#meta.format is {found:?}, expected {FORMAT:?}"),
            Self::TooLarge => {
                write!(f, "more than {MAX_STEPS} steps, or more than {MAX_THREADS} threads")
            }
            Self::Thread(state) => {
                write!(f, "states[{state}].thread is no thread of #meta.threads")
            }
            Self::NoBeginning => f.write_str("states[0] is not a beginning"),
            Self::Loop => f.write_str("loop is no state of states"),
            Self::End => f.write_str("#meta.end names a thread that is not in #meta.threads"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<&Counterexample> for Itf {
    fn from(of: &Counterexample) -> Self {
        let meta = Meta {
            format: FORMAT.to_owned(),
            format_description: DESCRIPTION.to_owned(),
            check: of.check.clone(),
            engine: of.engine.clone(),
            violation: of.violation.clone(),
            search: of.search.clone(),
            handle_steps: of.handle_steps,
            run: of.run,
            start: of.start.clone(),
            threads: of.threads.clone(),
            end: of.end.clone(),
        };
        let vars =
            ["thread", "operation", "object", "before", "after", "result", "source", "objects"];
        let mut states = vec![State::beginning(&of.initial)];
        for ((step, objects), index) in of.steps.iter().zip(of.objects()).zip(1..) {
            states.push(State::after(step, index, objects));
        }
        let vars = vars.map(str::to_owned).to_vec();
        Self { meta, vars, states, cycle_from: of.cycle_from }
    }
}

impl State {
    fn beginning(initial: &BTreeMap<String, String>) -> Self {
        Self {
            meta: StateMeta { index: 0, choice: String::new(), is_landmark: false },
            thread: -1,
            operation: String::new(),
            object: String::new(),
            before: String::new(),
            after: String::new(),
            result: String::new(),
            source: String::new(),
            objects: Map { entries: initial.clone().into_iter().collect() },
        }
    }

    fn after(step: &Step, index: usize, objects: BTreeMap<String, String>) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            meta: StateMeta { index, choice: step.choice.clone(), is_landmark: step.is_landmark },
            thread: i64::try_from(step.thread).unwrap_or(i64::MAX),
            operation: step.operation.clone(),
            object: text(&step.object),
            before: text(&step.before),
            after: text(&step.after),
            result: step.result.clone(),
            source: step.source.clone(),
            objects: Map { entries: objects.into_iter().collect() },
        }
    }

    /// Returns the step, and what the objects hold after it. `before` is what they held before.
    fn step(self, before: &BTreeMap<String, String>) -> Option<(Step, BTreeMap<String, String>)> {
        let objects: BTreeMap<_, _> = self.objects.entries.into_iter().collect();
        let mut changes = changes(before, &objects);
        changes.retain(|change| change.object != self.object);
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let step = Step {
            thread: usize::try_from(self.thread).ok()?,
            choice: self.meta.choice,
            operation: self.operation,
            object: some(self.object),
            before: some(self.before),
            after: some(self.after),
            result: self.result,
            source: self.source,
            changes,
            is_landmark: self.meta.is_landmark,
        };
        Some((step, objects))
    }
}

impl TryFrom<Itf> for Counterexample {
    type Error = Unreadable;

    fn try_from(Itf { meta, states, cycle_from, .. }: Itf) -> Result<Self, Unreadable> {
        if meta.format != FORMAT {
            return Err(Unreadable::Format(meta.format));
        }
        let threads = meta.threads.len();
        if states.len() > MAX_STEPS || threads > MAX_THREADS || meta.end.len() > threads {
            return Err(Unreadable::TooLarge);
        }
        if meta.end.iter().flat_map(|end| &end.waits_for).any(|thread| *thread >= threads) {
            return Err(Unreadable::End);
        }
        if cycle_from.is_some_and(|state| state >= states.len()) {
            return Err(Unreadable::Loop);
        }
        let mut states = states.into_iter();
        let first = states.next().filter(|first| first.thread == -1);
        let first = first.ok_or(Unreadable::NoBeginning)?;
        let initial: BTreeMap<_, _> = first.objects.entries.into_iter().collect();
        let mut objects = initial.clone();
        let mut steps = Vec::new();
        for (state, index) in states.zip(1..) {
            let step = state.step(&objects).filter(|(step, _)| step.thread < threads);
            let (step, after) = step.ok_or(Unreadable::Thread(index))?;
            steps.push(step);
            objects = after;
        }
        Ok(Self {
            check: meta.check,
            engine: meta.engine,
            violation: meta.violation,
            search: meta.search,
            handle_steps: meta.handle_steps,
            run: meta.run,
            start: meta.start,
            initial,
            threads: meta.threads,
            steps,
            cycle_from,
            end: meta.end,
        })
    }
}
