//! The depth of the checks of linearizability.

/// How many client programs the checks try on each channel, and how large those are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Fewer schedules and preemptions of the programs that CI runs; takes seconds.
    Quick,
    /// The programs that CI runs and the tests expect; takes a minute.
    #[default]
    Ci,
    /// Longer programs and more threads; takes about an hour.
    Deep,
}
