//! How far an exploration goes.

use std::time::Duration;

/// What passes when the clock jumps: longer than any deadline of a scenario.
pub const A_LONG_TIME: Duration = Duration::from_secs(3600);

/// How far an exploration goes; part of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Generated states (repeats included) after which the verdict is `Truncated`.
    pub max_states: usize,
    /// Steps of one execution after which the verdict is `Truncated`.
    pub max_steps: usize,
    /// Timed waits of one execution that may expire while other threads can still run.
    pub expiries: u32,
    /// Spurious wake-ups of one execution.
    pub spurious_wakeups: u32,
    /// Readings of the clock in one execution that may find that a long time has passed.
    pub jumps: u32,
    /// Times that a thread may pass `yield_now` although nothing changed since it last did.
    pub idle_yields: u32,
    /// Whether a panic in a spawned thread is a result for its `join` rather than a violation.
    pub panics_end_threads: bool,
    /// Whether giving up one of several handles of shared ownership is a step.
    /// [`check`](super::check) turns this on by itself if a destructor of shared content performs
    /// an operation.
    pub handle_steps: bool,
    /// Whether the hints of the code under test are believed.
    pub hints: bool,
    /// Whether equal states are merged. Off, every schedule is a state of its own.
    pub dedup: bool,
    /// Whether, of two independent steps, only one order is taken. Off, every step of every state
    /// is. The states are the same.
    pub sleep_sets: bool,
}

impl Limits {
    /// The usual limits.
    pub const DEFAULT: Self = Self {
        max_states: 200_000,
        max_steps: 2_000,
        expiries: 2,
        spurious_wakeups: 0,
        jumps: 1,
        idle_yields: 1,
        panics_end_threads: false,
        handle_steps: false,
        hints: true,
        dedup: true,
        sleep_sets: true,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
