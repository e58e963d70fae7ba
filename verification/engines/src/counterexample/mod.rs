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
//! So far [`stepped`](crate::stepped) keeps counterexamples.

mod itf;
mod page;
mod render;

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

pub use itf::{Itf, Unreadable};
pub use page::html;
pub use render::{dot, mermaid, table};

/// One step of one thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The thread, as an index into [`Counterexample::threads`].
    pub thread: usize,
    /// What the schedule chose: `run`, or `run N` for a wake that takes the `N`th selection of
    /// sleepers (or a clock that jumps); `expire`; `spurious`.
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
    /// The source line, as `file:line`.
    pub source: String,
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
    /// Whether the end of a handle to shared ownership was a step.
    pub handle_steps: bool,
    /// The threads' labels.
    pub threads: Vec<String>,
    /// The steps.
    pub steps: Vec<Step>,
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

    /// Returns where each thread stands, and the cycle, one a line.
    #[must_use]
    pub fn ending(&self) -> Vec<String> {
        let ends = self.end.iter().enumerate();
        let mut lines: Vec<_> = ends
            .map(|(thread, end)| {
                let place = if end.source.is_empty() { "" } else { &format!(" [{}]", end.source) };
                format!("{}: {}{place}", self.thread(thread), end.what)
            })
            .collect();
        if let Some(cycle) = self.cycle() {
            let names: Vec<_> =
                cycle.iter().chain(cycle.first()).map(|thread| format!("T{thread}")).collect();
            lines.push(format!("cycle of waits: {}", names.join(" -> ")));
        }
        lines
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

/// Takes the counterexample that was kept last on this thread.
#[must_use]
pub fn take() -> Option<Counterexample> {
    KEPT.take()
}

#[cfg(test)]
mod tests;
