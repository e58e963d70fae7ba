//! The calls that the threads of one execution made, and the answers that they got, in order.
//!
//! Events are recorded with the standard library's memory, which no checker sees. The checkers run
//! the threads of an execution one at a time, so the recorded order is that of the execution. The
//! recording adds no synchronisation that could hide a fault.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stateright::semantics::{
    ConsistencyTester, LinearizabilityTester, SequentialConsistencyTester,
};

use super::either;
use super::program::{Call, Program};
use super::spec::{Channels, Granularity, Response, Step};

/// A call, or the return from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// The call begins.
    Call,
    /// The call returns.
    Return {
        /// The answer.
        response: Response,
        /// Whether the call used its end up.
        gone: bool,
    },
}

/// An event of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// The thread.
    pub thread: usize,
    /// The position of the call among those of its thread.
    pub call: usize,
    /// Whether the call begins or returns.
    pub what: What,
}

/// The events of an execution, in order.
pub type History = Vec<Event>;

/// The order of calls that the specification must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A call that returned before another began comes before it: linearizability.
    RealTime,
    /// The calls of one thread are ordered, and so are those that a signal orders. Under weak
    /// memory threads can tell no other order, so "before" has no other meaning there.
    Program,
}

impl Order {
    /// Returns the name of the order, for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RealTime => "real time",
            Self::Program => "program order and signals",
        }
    }
}

/// Records one execution.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<History>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Adds an event.
    pub fn note(&self, thread: usize, call: usize, what: What) {
        lock(&self.0).push(Event { thread, call, what });
    }

    /// Returns what was recorded.
    #[must_use]
    pub fn history(&self) -> History {
        lock(&self.0).clone()
    }
}

/// Judges the histories of one program. It judges each distinct history once.
#[derive(Debug)]
pub struct Judge {
    program: Program,
    granularity: Granularity,
    order: Order,
    allowed: Mutex<HashSet<History>>,
    refuted: Mutex<Option<History>>,
}

impl Judge {
    /// Returns a judge that has seen no history.
    #[must_use]
    pub fn new(program: Program, granularity: Granularity, order: Order) -> Self {
        let (allowed, refuted) = (Mutex::default(), Mutex::default());
        Self { program, granularity, order, allowed, refuted }
    }

    /// Returns the program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Judges a complete history.
    ///
    /// # Panics
    /// If the specification does not allow the history. The panic is how the checker learns of it.
    pub fn hear(&self, history: History) {
        if lock(&self.allowed).contains(&history) {
            return;
        }
        if self.allows(&history) {
            lock(&self.allowed).insert(history);
        } else {
            *lock(&self.refuted) = Some(history);
            panic!("no order of these calls is one of a bounded FIFO with close");
        }
    }

    /// Returns how many distinct histories were allowed.
    #[must_use]
    pub fn distinct(&self) -> usize {
        lock(&self.allowed).len()
    }

    /// Returns the table of the history that was refuted, if one was.
    #[must_use]
    pub fn table(&self) -> Option<String> {
        lock(&self.refuted).as_ref().map(|history| table(&self.program, history))
    }

    fn allows(&self, history: &History) -> bool {
        let channels = Channels::new(&self.program, self.granularity);
        match self.order {
            Order::RealTime => self.replay(history, LinearizabilityTester::new(channels)),
            Order::Program => self.replay(history, SequentialConsistencyTester::new(channels)),
        }
    }

    /// Tells the tester the steps of every call, in the order in which the calls began and ended.
    /// To the tester each step has a thread of its own, since the steps of one call overlap. The
    /// specification keeps them in order.
    fn replay<T>(&self, history: &History, mut tester: T) -> bool
    where
        T: ConsistencyTester<(usize, usize), Channels>,
    {
        let mut steps = vec![0; self.program.threads.len()];
        let mut open: Vec<Vec<(usize, usize)>> = vec![Vec::new(); self.program.threads.len()];
        let mut told = Ok(());
        for (place, event) in history.iter().enumerate() {
            let thread = event.thread;
            if event.what == What::Call {
                for step in self.steps(history, place, &mut steps[thread]) {
                    let name = (thread, step.number);
                    open[thread].push(name);
                    told = told.and_then(|()| tester.on_invoke(name, step).map(|_| ()));
                }
            } else {
                for name in open[thread].drain(..) {
                    told = told.and_then(|()| tester.on_return(name, true).map(|_| ()));
                }
            }
        }
        debug_assert_eq!(told, Ok(()), "a complete history, in order");
        tester.is_consistent()
    }

    /// Returns the steps of the call that begins at `place`. `number` is that of the thread's next
    /// step, and is counted up.
    fn steps(&self, history: &History, place: usize, number: &mut usize) -> Vec<Step> {
        let Event { thread, call, .. } = history[place];
        let mut later = history[place..].iter().filter(|e| (e.thread, e.call) == (thread, call));
        let Some(Event { what: What::Return { response, gone }, .. }) = later.nth(1) else {
            return Vec::new();
        };
        let groups =
            either::points(&self.program, (thread, call), response, *gone, self.granularity);
        let numbered = groups.into_iter().map(|(lane, points)| {
            *number += 1;
            Step { thread, number: *number - 1, lane, points }
        });
        numbered.collect()
    }
}

/// Returns a history as a table, with a line for each event and a column for each thread.
fn table(program: &Program, history: &History) -> String {
    const WIDTH: usize = 26;
    let mut text = String::new();
    let threads = 0..program.threads.len();
    for thread in threads.clone() {
        let _ = write!(text, "  {:<WIDTH$}", program.thread_name(thread));
    }
    text.push('\n');
    for event in history {
        let call = program.threads[event.thread].calls[event.call];
        let item = program.item(event.thread, event.call);
        let cell = match &event.what {
            What::Call if call.sends() => format!("{}({item}) ..", call.name()),
            What::Call => format!("{} ..", call.name()),
            What::Return { response, .. } => {
                format!(".. {}: {}", call.name(), describe(call, response))
            }
        };
        for thread in threads.clone() {
            let cell = if thread == event.thread { cell.as_str() } else { "" };
            let _ = write!(text, "  {cell:<WIDTH$}");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn describe(call: Call, response: &Response) -> String {
    match response {
        Response::Evicted(item) => format!("Evicted({item})"),
        Response::Item(item) => format!("{item}"),
        Response::Items(items) => format!("{items:?}"),
        Response::Count(count) => format!("{count}"),
        Response::Flag(flag) => format!("{flag}"),
        Response::Done if call == Call::Drop => "gone".to_owned(),
        _ => format!("{response:?}"),
    }
}
