//! Why a replay could not be carried out.

use thiserror::Error;

use blocksmith::store::StoreError;
use blocksmith::{StartError, StateError, StopReport};

use super::options::ATTEMPTS;

/// Why a replay could not be carried out.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The services did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The store failed while the services ran.
    #[error("store: {0}")]
    Store(StoreError),
    /// A service ended before it was told to.
    #[error("{0} ended before it was told to")]
    Gone(&'static str),
    /// The state of the final head could not be had.
    #[error("state of the final head: {0}")]
    State(#[from] StateError),
    /// A thread panicked.
    #[error("panicked: {}", .0.join(", "))]
    Panicked(Vec<String>),
    /// Notices were evicted, so the tally would be wrong.
    #[error("{0} notices were evicted unread")]
    NoticesLost(u64),
    /// A signal came before the end.
    #[error("interrupted by signal {signal} after {events} of {of} events")]
    Interrupted {
        /// Its number.
        signal: i32,
        /// Events that had been handed in.
        events: usize,
        /// Events that there are.
        of: usize,
        /// How the services stopped.
        report: Box<StopReport>,
    },
    /// An item, or a question, failed on our side again and again.
    #[error("{0} failed {ATTEMPTS} times")]
    FailsForEver(String),
    /// The thread that drives the replay panicked.
    #[error("the replay's own thread panicked")]
    Driver,
    /// An item had no verdict after everything had stopped.
    #[error("event {0} has no verdict though every service has ended")]
    NoVerdict(usize),
}
