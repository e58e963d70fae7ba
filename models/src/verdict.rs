//! What an engine says of a check: never a green tick, always the bounds within which it looked.
//!
//! | verdict | meaning | exit code of the command |
//! |---|---|---|
//! | [`Outcome::Verified`] | every behaviour within the bounds was explored (or, for a random engine, every sampled one), none broke the property | 0 if this was expected |
//! | [`Outcome::Violated`] | a behaviour breaks the property; the counterexample shows it | 1 unless a must-fail twin |
//! | [`Outcome::Truncated`] | a limit stopped the engine before the bounds were exhausted: not a success | 3 |

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// The engine that gave a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Weak memory, exhaustive up to the stated bounds.
    Loom,
    /// Random and PCT schedules of the real code, sequentially consistent.
    Shuttle,
    /// The real code one operation at a time, every interleaving, sequentially consistent.
    Stepped,
    /// Communicating state machines, every interleaving.
    Stateright,
    /// A TLA+ specification, every reachable state.
    Tla,
    /// Real threads on this machine.
    Std,
}

impl Engine {
    /// Returns the name that the command line and the reports use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loom => "loom",
            Self::Shuttle => "shuttle",
            Self::Stepped => "stepped",
            Self::Stateright => "stateright",
            Self::Tla => "tla",
            Self::Std => "std",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The three possible answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing within the bounds breaks the property.
    Verified,
    /// Something does: the text names the property and lists the steps.
    Violated {
        /// The property, then one step a line: actor, operation, object, value, source line.
        counterexample: String,
    },
    /// A limit was hit first.
    Truncated {
        /// Which limit.
        by: String,
    },
}

/// An answer with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Who looked.
    pub engine: Engine,
    /// Name and value of each bound and assumption (`threads`, `preemptions`, `memory_model`, ..).
    pub bounds: BTreeMap<&'static str, String>,
    /// Distinct states visited, where the engine counts states.
    pub states: Option<u64>,
    /// Executions run, where the engine counts executions.
    pub executions: Option<u64>,
    /// The answer.
    pub outcome: Outcome,
}

impl Verdict {
    /// Returns the word for the outcome: `verified`, `violated` or `truncated`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Verified => "verified",
            Outcome::Violated { .. } => "violated",
            Outcome::Truncated { .. } => "truncated",
        }
    }

    /// Returns the counterexample, if there is one.
    #[must_use]
    pub fn counterexample(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Violated { counterexample } => Some(counterexample),
            _ => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.word(), self.engine)?;
        if let Outcome::Truncated { by } = &self.outcome {
            write!(f, " ({by})")?;
        }
        if let Some(states) = self.states {
            write!(f, ", {states} states")?;
        }
        if let Some(executions) = self.executions {
            write!(f, ", {executions} executions")?;
        }
        for (name, value) in &self.bounds {
            write!(f, ", {name} {value}")?;
        }
        Ok(())
    }
}
