//! Drives a recorded chain through the real services on real threads, and compares their answers
//! with those of the oracle, an independent implementation.
//!
//! | pace | what it does | what is compared |
//! |---|---|---|
//! | lockstep | the services come to rest after every event | every verdict, reason, state root and view |
//! | flood | all events of a slot come at once; the services come to rest only before the next tick | final verdicts, final chain |
//! | race | everything comes at once, including ticks; there is no waiting at all | one verdict per item, nothing lost |
//!
//! Faults can be injected ([`Inject`]). An item whose verdict is `Dropped(Fault)` is then handed in
//! again, in order, when the services next come to rest; a question that is lost is asked again.
//! The end is the same as without faults. A signal stops the services within a deadline; the error
//! says what was pending.
//!
//! A soak replays the chain again and again with fresh services, and reports what they left behind:
//! memory, threads, items. [`Monitor`] shows the queues meanwhile.
//!
//! In the race the clock outruns the items, so many of them are too old or come after finality:
//! what happens to each depends on the schedule, but each gets exactly one verdict.

mod driver;
mod error;
mod inject;
mod monitor;
mod options;
mod report;
mod restated;
mod run;
mod soak;
mod stage;

pub use driver::replay;
pub use error::ReplayError;
pub use inject::{Inject, InjectError};
pub use monitor::Monitor;
pub use options::{Options, Pace};
pub use report::{Entry, FinalView, Mismatch, Outcome, Tally};
pub use soak::{Held, Soak, Span, SpanError, Total, soak};
pub use stage::Stage;

#[cfg(test)]
mod tests;
