//! Litmus programs under axiomatic memory models: an opinion on orderings that shares no code and
//! no method with loom.
//!
//! **Contract.** [`judge`] enumerates all executions of a small program (at most four threads and
//! twelve events), keeps those that a model's axioms allow, and says whether the outcome that the
//! program asks about is among them. There are no schedules here, and no threads: an execution is a
//! graph of events, which says what each read reads from (`rf`), and in which order the writes to
//! each location take effect (`co`). It blocks for as long as the enumeration takes, and ends with
//! [`Malformed::TooMany`] after twenty million choices.
//!
//! | answer | means |
//! |---|---|
//! | [`Answer::Forbidden`] | no execution of the model ends like this |
//! | [`Answer::Allowed`] | one does; the judgement shows it |
//! | [`Answer::Race`] | some execution has a data race on a plain location, so a language gives the program no meaning; the judgement shows it |
//!
//! [`explore`] runs the same program under loom, so that the two can be compared. [`literature`]
//! has the tests whose answers are known, which are this module's own test.

mod execution;
pub mod literature;
mod loom_run;
mod model;
mod operation;
mod program;
mod relation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

pub use loom_run::{Explored, explore};
pub use model::{MODELS, Model, RC11, RC11_LB, Rule, SC, TSO};
pub use operation::*;
pub use program::{Condition, MAX_OPERATIONS, MAX_THREADS, Malformed, Outcome, Program};

use execution::{Execution, enumerate};
use relation::members;

/// What a model says about a program's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It cannot come out like this.
    Forbidden,
    /// It can.
    Allowed,
    /// Two plain accesses race.
    Race,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forbidden => "forbidden",
            Self::Allowed => "allowed",
            Self::Race => "race",
        })
    }
}

/// What one model says about one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The model.
    pub model: Model,
    /// The answer to the program's question.
    pub answer: Answer,
    /// All outcomes, whether asked about or not.
    pub outcomes: BTreeSet<Outcome>,
    /// How many executions the model allows.
    pub executions: u64,
    /// An execution with the outcome that is asked about, or with a race: one event per line.
    pub witness: Option<String>,
}

/// Judges a program under one model. Blocks until all executions are enumerated.
///
/// # Errors
/// The program is malformed, or has too many executions.
pub fn judge(program: &Program, model: Model) -> Result<Judgement, Malformed> {
    judge_under(program, [model]).map(|[judgement]| judgement)
}

/// Judges a program under several models, with one enumeration.
///
/// # Errors
/// As [`judge`].
pub fn judge_under<const N: usize>(
    program: &Program,
    models: [Model; N],
) -> Result<[Judgement; N], Malformed> {
    let mut judgements = models.map(|model| Judgement {
        model,
        answer: Answer::Forbidden,
        outcomes: BTreeSet::new(),
        executions: 0,
        witness: None,
    });
    enumerate(program, |execution| {
        for judgement in &mut judgements {
            judgement.take(program, execution);
        }
    })?;
    Ok(judgements)
}

impl Judgement {
    /// Takes an execution into account.
    fn take(&mut self, program: &Program, execution: &Execution) {
        if !self.model.allows(execution) {
            return;
        }
        self.executions += 1;
        self.outcomes.insert(execution.outcome);
        let race = self.model.race(execution);
        let answer = match race {
            Some(_) => Answer::Race,
            None if program.is_asked(&execution.outcome) => Answer::Allowed,
            None => Answer::Forbidden,
        };
        if answer > self.answer {
            self.answer = answer;
            self.witness = Some(listing(execution, race));
        }
    }
}

/// Lists the events of an execution, with what each read reads from, and the order of writes.
fn listing(execution: &Execution, race: Option<(usize, usize)>) -> String {
    let name = |place: usize| {
        let event = &execution.events[place];
        let number = |value: Option<u32>| value.map(|value| value.cast_signed().to_string());
        let what = match (event.location, number(event.read), number(event.written)) {
            (None, ..) => "fence".to_owned(),
            (Some(at), Some(read), None) => format!("reads {at}={read}"),
            (Some(at), Some(read), Some(to)) => format!("turns {at}={read} into {to}"),
            (Some(at), None, to) => format!("writes {at}={}", to.unwrap_or_default()),
        };
        match event.thread {
            0 => "the beginning".to_owned(),
            thread => format!("T{thread} {what} {}", event.mode),
        }
    };
    let mut text = String::new();
    for place in 0..execution.events.len() {
        if execution.events[place].thread == 0 {
            continue;
        }
        let from = (0..execution.events.len()).find(|&write| execution.rf.has(write, place));
        let _ = match from {
            Some(write) => writeln!(text, "{:<32} from {}", name(place), name(write)),
            None => writeln!(text, "{}", name(place)),
        };
    }
    let threads = execution.set(|event| event.thread != 0);
    for from in members(threads) {
        for to in (0..execution.events.len()).filter(|&to| execution.co.has(from, to)) {
            let _ = writeln!(text, "{:<32} before {}", name(from), name(to));
        }
    }
    if let Some((one, other)) = race {
        let _ = writeln!(text, "race: {} and {}", name(one), name(other));
    }
    text
}
