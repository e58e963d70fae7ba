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
//! With a store the services keep what a restart needs. A replay that finds something there goes on
//! from it: it hands in the same events again, but no tick of a slot that the clock had passed.
//! What the services know already is ignored as a duplicate or as too old, and nothing is compared
//! for it. From the first event of the slot that the clock had reached, the chain is compared after
//! each event, and at the end it is that of an undisturbed replay.
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
