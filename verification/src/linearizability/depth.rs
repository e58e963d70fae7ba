//! How far the checks of the channels go.

/// How many client programs are tried on each channel, and how large they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Seconds.
    Quick,
    /// What CI runs and the tests expect: a minute.
    #[default]
    Ci,
    /// As far as an hour or so goes.
    Deep,
}
