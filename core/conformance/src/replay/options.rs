//! How to replay.

use std::fmt;
use std::time::Duration;

use super::inject::Inject;

/// How often an item, or a question, is repeated whose answer an injected panic took.
pub(super) const ATTEMPTS: usize = 100;

/// How fast the events follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Rest after every event.
    Lockstep,
    /// Rest before every tick.
    Flood,
    /// No rest before the end.
    Race,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lockstep => "lockstep",
            Self::Flood => "flood",
            Self::Race => "race",
        })
    }
}

/// How to replay.
#[derive(Clone, Debug)]
pub struct Options {
    /// The pace.
    pub pace: Pace,
    /// General Rewinder workers, at least 1.
    pub workers: usize,
    /// Faults to inject.
    pub faults: Vec<Inject>,
    /// How long the services may take to stop when the replay is interrupted.
    pub deadline: Duration,
}
