//! What can happen next to a thread, and what is written down of it.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// What a thread is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It will run local code, up to the next operation.
    Woken,
    /// It waits before an operation.
    Ready,
    /// It sleeps on a futex; there is a deadline if the wait is timed.
    Asleep { object: u32, deadline: Option<Duration> },
    /// It has ended.
    Ended,
}

/// Why a sleeper goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WakeReason {
    Woken,
    Expired,
    Spurious,
}

/// One thing that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// Which thread.
    pub thread: u8,
    /// How the thread goes on.
    pub choice: Choice,
}

/// How a thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// It performs its next operation; the number selects which sleepers a wake takes.
    Run(u8),
    /// Its timed wait is over.
    Expire,
    /// It wakes up spuriously.
    Spurious,
}

/// One line of a trace.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) thread: u8,
    pub(super) label: Arc<str>,
    pub(super) text: String,
    pub(super) result: String,
    pub(super) at: &'static Location<'static>,
    /// Whether a thread says it of itself.
    pub(super) is_landmark: bool,
}
