//! What an engine says about a check: never just a green tick, but always the bounds within which
//! it looked.
//!
//! | verdict | meaning | exit code of the command |
//! |---|---|---|
//! | [`Outcome::Verified`] | every behaviour within the bounds was explored (or, for a random engine, every sampled one), and none broke the property | 0 if this was expected |
//! | [`Outcome::Violated`] | a behaviour breaks the property; the counterexample shows it | 1, unless the check is a must-fail twin (a variant with a deliberate fault, which must be refuted) |
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
    /// The real code, one operation at a time, every interleaving, sequentially consistent.
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

/// The property that a behaviour breaks, as an engine found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Violation {
    /// No thread can go on, and not all have ended.
    Deadlock,
    /// Two accesses to plain memory that nothing orders.
    DataRace,
    /// An allocation or an owner is left after every thread has ended.
    Leak,
    /// A panic, with its message: a scenario's assertion, or the code's.
    Panic(String),
    /// A property of a model or of a specification, by its name.
    Property(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock => f.write_str("deadlock"),
            Self::DataRace => f.write_str("data race"),
            Self::Leak => f.write_str("leak"),
            Self::Panic(message) => {
                let words: Vec<_> = message.split_whitespace().collect();
                write!(f, "panic \"{}\"", words.join(" "))
            }
            Self::Property(name) => write!(f, "property \"{name}\""),
        }
    }
}

/// The property that a must-fail twin has to break: which [`Violation`] must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Breaks {
    /// [`Violation::Deadlock`].
    Deadlock,
    /// [`Violation::DataRace`].
    DataRace,
    /// [`Violation::Leak`].
    Leak,
    /// [`Violation::Panic`] with a message that contains this.
    Panic(&'static str),
    /// [`Violation::Property`] of this name.
    Property(&'static str),
}

impl Breaks {
    /// Returns whether this is what was found.
    #[must_use]
    pub fn is(self, found: &Violation) -> bool {
        match (self, found) {
            (Self::Deadlock, Violation::Deadlock)
            | (Self::DataRace, Violation::DataRace)
            | (Self::Leak, Violation::Leak) => true,
            (Self::Panic(part), Violation::Panic(message)) => message.contains(part),
            (Self::Property(name), Violation::Property(found)) => name == found,
            _ => false,
        }
    }
}

impl fmt::Display for Breaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock => f.write_str("deadlock"),
            Self::DataRace => f.write_str("data race"),
            Self::Leak => f.write_str("leak"),
            Self::Panic(part) => write!(f, "panic \"{part}\""),
            Self::Property(name) => write!(f, "property \"{name}\""),
        }
    }
}

/// The answer that a check must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expected {
    /// The property holds within the bounds.
    Verified,
    /// The property does not hold, and one of these must break: the check is a must-fail twin.
    Violated(&'static [Breaks]),
}

impl Expected {
    /// Returns the word that [`Verdict::word`] uses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Violated(_) => "violated",
        }
    }

    /// Returns whether the check is a must-fail twin.
    #[must_use]
    pub fn is_violated(self) -> bool {
        matches!(self, Self::Violated(_))
    }

    /// Returns the properties, one of which must break; none for a check that must hold.
    #[must_use]
    pub fn breaks(self) -> &'static [Breaks] {
        match self {
            Self::Verified => &[],
            Self::Violated(breaks) => breaks,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        for (place, breaks) in self.breaks().iter().enumerate() {
            write!(f, "{}{breaks}", if place == 0 { " by " } else { " or " })?;
        }
        Ok(())
    }
}

/// The three possible answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing within the bounds breaks the property.
    Verified,
    /// Something within the bounds breaks it.
    Violated {
        /// The property that it breaks.
        violation: Violation,
        /// The property in words, then one step per line: actor, operation, object, value, source
        /// line.
        counterexample: String,
    },
    /// A limit was hit first.
    Truncated {
        /// Which limit.
        by: String,
    },
}

/// An answer with the bounds and figures on which it rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The engine that looked.
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

    /// Returns the property that is broken, if one is.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        match &self.outcome {
            Outcome::Violated { violation, .. } => Some(violation),
            _ => None,
        }
    }

    /// Returns the counterexample, if there is one.
    #[must_use]
    pub fn counterexample(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Violated { counterexample, .. } => Some(counterexample),
            _ => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.word(), self.engine)?;
        match &self.outcome {
            Outcome::Verified => {}
            Outcome::Violated { violation, .. } => write!(f, " ({violation})")?,
            Outcome::Truncated { by } => write!(f, " ({by})")?,
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
