//! A counterexample that travels: the steps of one failing execution as data, which can be written
//! to a file, shown in several forms, and run again.
//!
//! **Contract.** An engine that refutes a check [keeps](keep) the counterexample on its thread, and
//! whoever ran the check [takes](take) it there. [`Itf`] is the form of a file: the Informal Trace
//! Format of the TLA+ tools (JSON), one state for the beginning and one for each step, so that their
//! viewers read it, too. What a file says is not trusted: reading one checks its bounds.
//!
//! | form | function |
//! |---|---|
//! | a table: one column for each thread, one row for each step | [`table`] |
//! | a Mermaid sequence diagram | [`mermaid`] |
//! | a graph of the steps for Graphviz, with the order of each thread and of each object | [`dot`] |
//! | one self-contained page | [`html`] |
//!
//! What a thread is depends on the engine: a thread of the code, or a process of a model. Each
//! engine says how it found the execution ([`Counterexample::search`]), and keeps what it needs to
//! find it again ([`Counterexample::start`] and the choice of each step).
//!
//! [`again`] has a check run once more, not to search, but to follow a recorded execution
//! ([`Again::Replay`], [`Again::Threads`]), or to make it smaller ([`Again::Shrink`]).

mod again;
mod fields;
mod itf;
mod page;
mod render;
mod words;

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use again::{Again, Misfit, again, found};
pub(crate) use again::{NO_THREADS, Request, begin, compare, compare_ends};
pub use fields::fields;
pub use itf::{Itf, Unreadable};
pub use page::html;
pub(crate) use render::listing;
pub use render::{dot, mermaid, table};
pub(crate) use words::{Described, Path, Walk};
pub use words::{Stand, Words};

/// What a step changed besides the object that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The object.
    pub object: String,
    /// What it held before.
    pub before: String,
    /// What it holds afterwards.
    pub after: String,
}

/// One step of one thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The thread, as an index into [`Counterexample::threads`].
    pub thread: usize,
    /// What the schedule chose, in the engine's own words. Stepped: `run`, or `run N` for a wake
    /// that takes the `N`th selection of sleepers (or a clock that jumps); `expire`; `spurious`. A
    /// model: the action. An engine that keeps its schedule elsewhere: nothing.
    pub choice: String,
    /// What the thread did.
    pub operation: String,
    /// On which object.
    pub object: Option<String>,
    /// What the object held before.
    pub before: Option<String>,
    /// What it held afterwards.
    pub after: Option<String>,
    /// What the operation returned, or did.
    pub result: String,
    /// The source line, as `file:line`; empty for a step of a model.
    pub source: String,
    /// What else it changed.
    pub changes: Vec<Change>,
    /// Whether it is no operation, but what a thread says of itself: a landmark among many steps.
    pub is_landmark: bool,
}

impl Step {
    /// Returns what a thread says of itself.
    pub(crate) fn landmark(thread: usize, words: String, source: String) -> Self {
        Self {
            thread,
            choice: String::new(),
            operation: words,
            object: None,
            before: None,
            after: None,
            result: String::new(),
            source,
            changes: Vec::new(),
            is_landmark: true,
        }
    }
}

/// Where a thread stands in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it does or waits for, in words.
    pub what: String,
    /// The threads of which one would have to go on first, as indices; none if it does not wait.
    pub waits_for: Vec<usize>,
    /// The source line, as `file:line`; empty if it has ended.
    pub source: String,
}

/// A failing execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterexample {
    /// The id of the check in its catalogue; empty if it has none.
    pub check: String,
    /// The engine that found it.
    pub engine: String,
    /// What is violated.
    pub violation: String,
    /// How the engine came by it, in a sentence: whether a shorter one can exist.
    pub search: String,
    /// Whether the end of a handle to shared ownership was a step.
    pub handle_steps: bool,
    /// How many runs of an engine the check made before the one that found it.
    pub run: usize,
    /// What the engine needs besides the choices of the steps. A model: the number of the initial
    /// state. Shuttle: the schedule.
    pub start: String,
    /// What the objects hold in the beginning, as far as it is known.
    pub initial: BTreeMap<String, String>,
    /// The threads' labels.
    pub threads: Vec<String>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The number of steps after which a cycle begins, whose steps are then taken for ever. If it
    /// is the number of all steps, nothing happens any more. `None` if the behaviour is finite.
    pub cycle_from: Option<usize>,
    /// Where each thread stands in the end.
    pub end: Vec<Standing>,
}

impl Counterexample {
    /// Returns the name of a thread: its index and its label.
    #[must_use]
    pub fn thread(&self, index: usize) -> String {
        let label = self.threads.get(index).map_or("", String::as_str);
        format!("T{index} {label}")
    }

    /// Returns a shortest cycle of threads in the end, each of which waits for the next one, and
    /// the last one for the first. A thread that could be let go by several is in a cycle only if
    /// all of those wait, too.
    #[must_use]
    pub fn cycle(&self) -> Option<Vec<usize>> {
        let waits = |thread: usize| self.end.get(thread).map_or(&[][..], |end| &end.waits_for);
        // Those that can never go on: take away, again and again, whoever waits for one that can.
        let mut stuck: Vec<_> =
            (0..self.end.len()).filter(|&thread| !waits(thread).is_empty()).collect();
        loop {
            let before = stuck.len();
            let all = stuck.clone();
            stuck.retain(|&thread| waits(thread).iter().all(|other| all.contains(other)));
            if stuck.len() == before {
                break;
            }
        }
        let paths = stuck.iter().filter_map(|&start| shortest_cycle(start, &waits));
        paths.min_by_key(Vec::len)
    }

    /// Returns the counterexample with the landmarks alone, and the last step of each thread that
    /// has one after its last landmark; `None` if it has no landmarks.
    #[must_use]
    pub fn landmarks(&self) -> Option<Self> {
        let last: Vec<_> = (0..self.threads.len())
            .map(|thread| self.steps.iter().rposition(|step| step.thread == thread))
            .collect();
        let stays =
            |(place, step): &(usize, &Step)| step.is_landmark || last.contains(&Some(*place));
        let steps: Vec<_> =
            self.steps.iter().enumerate().filter(stays).map(|(_, step)| step.clone()).collect();
        let has_landmarks = steps.iter().any(|step| step.is_landmark);
        has_landmarks.then(|| Self { steps, ..self.clone() })
    }

    /// Returns, for each step, what every object holds after it that is known so far.
    pub fn objects(&self) -> impl Iterator<Item = BTreeMap<String, String>> + '_ {
        self.steps.iter().scan(self.initial.clone(), |objects, step| {
            if let (Some(object), Some(after)) = (&step.object, &step.after) {
                objects.insert(object.clone(), after.clone());
            }
            let changes = step.changes.iter();
            objects.extend(changes.map(|change| (change.object.clone(), change.after.clone())));
            Some(objects.clone())
        })
    }

    /// Returns where each thread stands, what the objects hold that only a model names, and the
    /// cycle, one a line.
    #[must_use]
    pub fn ending(&self) -> Vec<String> {
        let ends = self.end.iter().enumerate().filter(|(_, end)| !end.what.is_empty());
        let mut lines: Vec<_> = ends
            .map(|(thread, end)| {
                let place = if end.source.is_empty() { "" } else { &format!(" [{}]", end.source) };
                format!("{}: {}{place}", self.thread(thread), end.what)
            })
            .collect();
        let is_told = |object: &String| self.threads.contains(object);
        let left = self.initial.keys().filter(|object| !is_told(object));
        if let Some(last) = self.objects().last() {
            let all = left.filter_map(|object| Some((object, last.get(object)?)));
            lines.extend(all.map(|(object, value)| format!("{object} = {}", render::cut(value))));
        }
        lines.extend(self.cycle_line());
        lines
    }

    /// Returns the cycle of waits, as a line.
    fn cycle_line(&self) -> Option<String> {
        let cycle = self.cycle()?;
        let names: Vec<_> =
            cycle.iter().chain(cycle.first()).map(|thread| format!("T{thread}")).collect();
        Some(format!("cycle of waits: {}", names.join(" -> ")))
    }
}

/// Returns a shortest path from `start` back to it.
fn shortest_cycle<'a>(start: usize, waits: &impl Fn(usize) -> &'a [usize]) -> Option<Vec<usize>> {
    let mut paths = std::collections::VecDeque::from([vec![start]]);
    let mut seen = Vec::new();
    while let Some(path) = paths.pop_front() {
        for &next in waits(*path.last()?) {
            if next == start {
                return Some(path);
            }
            if !seen.contains(&next) {
                seen.push(next);
                paths.push_back([&path[..], &[next]].concat());
            }
        }
    }
    None
}

thread_local! {
    static KEPT: RefCell<Option<Counterexample>> = const { RefCell::new(None) };
}

/// Keeps a counterexample on this thread, in place of an earlier one.
pub fn keep(counterexample: Counterexample) {
    KEPT.set(Some(counterexample));
}

/// Takes the counterexample that was kept last on this thread. A check that is run next counts its
/// engines' runs from the beginning.
#[must_use]
pub fn take() -> Option<Counterexample> {
    again::forget_runs();
    KEPT.take()
}

#[cfg(test)]
mod tests;
