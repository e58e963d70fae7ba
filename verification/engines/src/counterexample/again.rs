//! Has a check run a recorded execution again.
//!
//! **Contract.** A check is a function that calls an engine, perhaps several times, and knows
//! nothing of recorded executions. [`again`] leaves the recorded one on the thread and calls the
//! check. Each engine counts its runs there ([`begin`]). The run of the recorded number finds the
//! request, follows the recorded execution instead of searching, and leaves its answer. Runs before
//! it search as usual.

use std::cell::{Cell, RefCell};
use std::fmt;

use super::Counterexample;
use crate::verdict::Engine;

/// What is to be done with a recorded execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Follow it step by step.
    Replay,
    /// Follow it step by step, with each of its threads on a thread of the operating system that is
    /// held at a turnstile before each operation. For what Stepped recorded.
    Threads,
    /// Follow it, and then take away what the violation does not need.
    Shrink,
}

/// Why a recorded execution is not one of the code as it is now, or cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Another engine recorded it.
    Engine(String),
    /// The step of this number, from 1, has a choice that the engine does not know; 0 is the
    /// beginning.
    Choice(usize),
    /// The step of this number is not possible.
    Impossible {
        /// The step's number.
        step: usize,
        /// The operation that was recorded.
        recorded: String,
    },
    /// The thread does something else in the step of this number.
    Differs {
        /// The step's number.
        step: usize,
        /// The operation that was recorded.
        recorded: String,
        /// The operation that the code performs now.
        found: String,
    },
    /// All steps fit, and nothing is violated in the end.
    Holds,
    /// Something else is violated.
    Violates {
        /// The violation that was recorded.
        recorded: String,
        /// The violation of the code as it is now.
        found: String,
    },
    /// The same is violated, after another number of steps.
    Length {
        /// The number of steps that were recorded.
        recorded: usize,
        /// The number of steps now.
        found: usize,
    },
    /// The same is violated, but another part of the steps is taken for ever, or none is.
    Cycle {
        /// As [`Counterexample::cycle_from`] was recorded.
        recorded: Option<usize>,
        /// The same now.
        found: Option<usize>,
    },
    /// The check has not come to the run that found it.
    NoRun,
    /// The engine cannot do this, for this reason.
    Unable(&'static str),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(engine) => write!(f, "this engine cannot follow what {engine} recorded"),
            Self::Choice(0) => f.write_str("the beginning that is recorded is none"),
            Self::Choice(step) => write!(f, "step {step} has a choice that is none"),
            Self::Impossible { step, recorded } => {
                write!(f, "the schedule no longer fits at step {step}: {recorded} is not possible")
            }
            Self::Differs { step, recorded, found } => write!(
                f,
                "the schedule no longer fits at step {step}: recorded was {recorded}, now it is \
                 {found}"
            ),
            Self::Holds => f.write_str("the schedule fits, and nothing is violated"),
            Self::Violates { recorded, found } => {
                write!(f, "another violation than was recorded: {recorded}, now it is {found}")
            }
            Self::Length { recorded, found } => write!(
                f,
                "the schedule no longer fits: recorded were {recorded} steps to the violation, \
                 now there are {found}"
            ),
            Self::Cycle { recorded, found } => {
                let words = |from: &Option<usize>| {
                    from.map_or("no cycle".to_owned(), |from| format!("a cycle after step {from}"))
                };
                write!(f, "recorded was {}, now there is {}", words(recorded), words(found))
            }
            Self::NoRun => f.write_str("the check ends before the run that was recorded"),
            Self::Unable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Misfit {}

/// Why an engine cannot follow an execution with [`Again::Threads`].
pub(crate) const NO_THREADS: Misfit =
    Misfit::Unable("only what Stepped recorded can be followed on threads");

/// What an engine is asked to do in place of a search.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) recorded: Counterexample,
    pub(crate) how: Again,
}

type Answer = Result<Counterexample, Misfit>;

thread_local! {
    static REQUEST: RefCell<Option<Request>> = const { RefCell::new(None) };
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
    /// Runs of engines that the check has begun.
    static RUNS: Cell<usize> = const { Cell::new(0) };
}

impl Request {
    /// Leaves the answer, with the check and the run of the recorded execution.
    pub(crate) fn answer(self, answer: Answer) {
        let Self { recorded: Counterexample { check, run, .. }, .. } = self;
        ANSWER.set(Some(answer.map(|found| Counterexample { check, run, ..found })));
    }
}

/// Begins a run of an engine. Returns its number within the check, and what it is asked to do if it
/// is not to search.
pub(crate) fn begin(engine: Engine) -> (usize, Option<Request>) {
    let run = RUNS.replace(RUNS.get() + 1);
    let is_meant = |request: &mut Request| request.recorded.run == run;
    let request = REQUEST.with_borrow_mut(|request| request.take_if(is_meant));
    let Some(request) = request else { return (run, None) };
    if request.recorded.engine == engine.name() {
        return (run, Some(request));
    }
    let other = request.recorded.engine.clone();
    request.answer(Err(Misfit::Engine(other)));
    (run, None)
}

/// Forgets the runs of an earlier check on this thread.
pub(super) fn forget_runs() {
    RUNS.set(0);
}

/// Keeps what an engine of another crate has found by a search that is the same each time. If a
/// recorded execution is to be followed, compares what was found with it instead, operations and
/// changes.
pub fn found(engine: Engine, found: Option<Counterexample>) {
    let (run, request) = begin(engine);
    let Some(request) = request else {
        if let Some(found) = found {
            super::keep(Counterexample { run, ..found });
        }
        return;
    };
    let answer = match (request.how, found) {
        (Again::Shrink, _) => Err(Misfit::Unable("this engine makes no counterexample smaller")),
        (Again::Threads, _) => Err(NO_THREADS),
        (Again::Replay, None) => Err(Misfit::Holds),
        (Again::Replay, Some(found)) => same(&request.recorded, found),
    };
    request.answer(answer);
}

/// Returns what was found if it is what was recorded.
fn same(recorded: &Counterexample, found: Counterexample) -> Answer {
    compare(recorded, &found, true)?;
    let pairs = recorded.steps.iter().zip(&found.steps);
    if let Some((step, (one, now))) = (1..).zip(pairs).find(|(_, (a, b))| a.changes != b.changes) {
        let words = |step: &super::Step| {
            let changes: Vec<_> = super::render::changes(step).collect();
            format!("{} ({})", step.operation, changes.join(", "))
        };
        return Err(Misfit::Differs { step, recorded: words(one), found: words(now) });
    }
    // A longer one means that the recorded behaviour is one, and ends well.
    if found.steps.len() > recorded.steps.len() {
        return Err(Misfit::Holds);
    }
    compare_ends(recorded, &found)?;
    Ok(found)
}

/// Runs a check that a recorded execution refutes, so that it follows that execution. `check` calls
/// the engines as it does to search. Blocks until done; uses one thread.
///
/// # Errors
/// The first step that is not possible any more or does something else; or nothing is violated, or
/// something else, or after another number of steps, or with another cycle; or why the engine
/// cannot do what it is asked to.
pub fn again(recorded: &Counterexample, how: Again, check: impl FnOnce()) -> Answer {
    forget_runs();
    REQUEST.set(Some(Request { recorded: recorded.clone(), how }));
    ANSWER.set(None);
    check();
    REQUEST.set(None);
    drop(super::take());
    ANSWER.take().unwrap_or(Err(Misfit::NoRun))
}

/// Compares what an execution shows now with what was recorded, as far as both have steps.
/// [`compare_ends`] compares the ends. `misfits` says that the engine could not go on as recorded.
///
/// # Errors
/// The first step in which they differ, or that is not possible any more.
pub(crate) fn compare(
    recorded: &Counterexample,
    found: &Counterexample,
    misfits: bool,
) -> Result<(), Misfit> {
    for (step, (one, now)) in (1..).zip(recorded.steps.iter().zip(&found.steps)) {
        if one.operation != now.operation || one.thread != now.thread {
            let name = |of: &Counterexample, it: &super::Step| {
                format!("{} by {}", it.operation, of.thread(it.thread))
            };
            let (recorded, found) = (name(recorded, one), name(found, now));
            return Err(Misfit::Differs { step, recorded, found });
        }
    }
    let reached = found.steps.len();
    match recorded.steps.get(reached) {
        Some(next) if misfits => {
            Err(Misfit::Impossible { step: reached + 1, recorded: next.operation.clone() })
        }
        _ => Ok(()),
    }
}

/// Compares how an execution ends now with how the recorded one does: what is violated, after how
/// many steps, and which of them are taken for ever.
///
/// # Errors
/// [`Misfit::Violates`], [`Misfit::Length`] or [`Misfit::Cycle`].
pub(crate) fn compare_ends(
    recorded: &Counterexample,
    found: &Counterexample,
) -> Result<(), Misfit> {
    if kind(&recorded.violation) != kind(&found.violation) {
        let (recorded, found) = (recorded.violation.clone(), found.violation.clone());
        return Err(Misfit::Violates { recorded, found });
    }
    let steps = (recorded.steps.len(), found.steps.len());
    if steps.0 != steps.1 {
        return Err(Misfit::Length { recorded: steps.0, found: steps.1 });
    }
    let (recorded, found) = (recorded.cycle_from, found.cycle_from);
    if recorded == found { Ok(()) } else { Err(Misfit::Cycle { recorded, found }) }
}

/// Returns the words of a violation without the text of a panic, which has source lines and values.
/// Those may change, as they may in a step.
fn kind(violation: &str) -> &str {
    const PANIC: &str = "panic ";
    if violation.starts_with(PANIC) { PANIC } else { violation }
}
