//! The form of a file: the Informal Trace Format (ADR 15 of Apalache, *Informal Trace Format in
//! JSON*).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

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
    handle_steps: bool,
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
    #[serde(default)]
    choice: String,
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
            handle_steps: of.handle_steps,
            threads: of.threads.clone(),
            end: of.end.clone(),
        };
        let vars =
            ["thread", "operation", "object", "before", "after", "result", "source", "objects"];
        let mut objects = BTreeMap::new();
        let mut states = vec![State::beginning()];
        for (step, index) in of.steps.iter().zip(1..) {
            if let (Some(object), Some(after)) = (&step.object, &step.after) {
                objects.insert(object.clone(), after.clone());
            }
            states.push(State::after(step, index, &objects));
        }
        Self { meta, vars: vars.map(str::to_owned).to_vec(), states }
    }
}

impl State {
    fn beginning() -> Self {
        Self {
            meta: StateMeta { index: 0, choice: String::new() },
            thread: -1,
            operation: String::new(),
            object: String::new(),
            before: String::new(),
            after: String::new(),
            result: String::new(),
            source: String::new(),
            objects: Map::default(),
        }
    }

    fn after(step: &Step, index: usize, objects: &BTreeMap<String, String>) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            meta: StateMeta { index, choice: step.choice.clone() },
            thread: i64::try_from(step.thread).unwrap_or(i64::MAX),
            operation: step.operation.clone(),
            object: text(&step.object),
            before: text(&step.before),
            after: text(&step.after),
            result: step.result.clone(),
            source: step.source.clone(),
            objects: Map { entries: objects.clone().into_iter().collect() },
        }
    }

    fn step(self) -> Option<Step> {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Some(Step {
            thread: usize::try_from(self.thread).ok()?,
            choice: self.meta.choice,
            operation: self.operation,
            object: some(self.object),
            before: some(self.before),
            after: some(self.after),
            result: self.result,
            source: self.source,
        })
    }
}

impl TryFrom<Itf> for Counterexample {
    type Error = Unreadable;

    fn try_from(Itf { meta, states, .. }: Itf) -> Result<Self, Unreadable> {
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
        let mut states = states.into_iter();
        if states.next().is_none_or(|first| first.thread != -1) {
            return Err(Unreadable::NoBeginning);
        }
        let mut steps = Vec::new();
        for (state, index) in states.zip(1..) {
            let step = state.step().filter(|step| step.thread < threads);
            steps.push(step.ok_or(Unreadable::Thread(index))?);
        }
        Ok(Self {
            check: meta.check,
            engine: meta.engine,
            violation: meta.violation,
            handle_steps: meta.handle_steps,
            threads: meta.threads,
            steps,
            end: meta.end,
        })
    }
}
