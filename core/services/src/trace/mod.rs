//! Traces: one event of `tracing` for each step of a machine.
//!
//! **Contract.** Every shell hands an event to its machine through
//! [`crate::supervision::Steps::hand`]. That is the one place where a step is told, after the
//! machine has handled the event and before an effect of it is carried out. So an effect is told
//! before the step that it brings about elsewhere, and whatever receives the events one at a time
//! has them in an order of cause and effect. The target is [`TARGET`], and the level is `TRACE`. If
//! nobody listens, a step costs the one look that `tracing` takes to find that out; no word is put
//! together then.
//!
//! The fields are stable: a change of one, or of a word below, is a change of [`VERSION`].
//!
//! | field | type | meaning |
//! |---|---|---|
//! | `service` | text | `quarantine`, `clearance`, `rewinder`, `hot_db` or `cold_db` |
//! | `instance` | u64 | which services of this process: those of one start have one number |
//! | `thread` | u64 | which thread of the service: a worker of the Rewinder, else 0 |
//! | `life` | u64 | how many machines of this thread were lost by a panic before this step |
//! | `number` | u64 | the step's number in its thread, from 0, without a gap |
//! | `event` | text | what the machine was told, in words |
//! | `effects` | text | what it asks for, in order, each in words, with `; ` between them |
//! | `lost` | text | what a panic has taken: nothing, `message` or `machine` |
//!
//! Words are a verb and then `name=value`, with one space between them. A value has no space. Its
//! form is one of these:
//!
//! | value | form |
//! |---|---|
//! | a root | the text that the protocol gives it, without what follows the 14th character |
//! | an item | its kind, `:`, and its root; for a block also `/` and 8 digits of its signature's hash |
//! | a checkpoint | the epoch, `@`, and the root |
//! | a list | its entries, with `,` between them |
//!
//! Step 0 of a thread is `begin`, which the starter tells before the thread runs, in the order of
//! starting. It has the bounds and what the service knows from the beginning. The last step is
//! `end`, which the thread tells before it closes what is below. Between two steps of a worker's
//! task, the worker may serve others: the steps of the inner task stand between those of the outer.
//!
//! [`Step::of`] reads an event back, for a subscriber that keeps or judges the steps.

mod begins;
mod bodies;
mod items;
mod step;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use begins::Begins;
pub use step::Step;
pub use words::Words;
pub(crate) use words::effects;

use crate::supervision::{Loss, ServiceName};

/// The target of the events.
pub const TARGET: &str = "blocksmith::step";

/// The version of the fields and the words.
pub const VERSION: u64 = 1;

/// Stands for an event or for effects whose words could not be put together, because the protocol's
/// code panicked. It is no word, so a trace with it is not a behaviour.
pub const UNTOLD: &str = "untold";

/// Numbers the steps of one thread of a service.
#[derive(Debug)]
pub struct Tracer {
    service: ServiceName,
    instance: u64,
    thread: u64,
    life: AtomicU64,
    number: AtomicU64,
}

impl Tracer {
    /// Returns a tracer that has told nothing yet.
    #[must_use]
    pub fn new(service: ServiceName, instance: u64, thread: u64) -> Arc<Self> {
        let (life, number) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { service, instance, thread, life, number })
    }

    /// Returns a tracer for another thread of the same service.
    pub(crate) fn another(&self, thread: u64) -> Arc<Self> {
        Self::new(self.service, self.instance, thread)
    }

    /// Returns whether somebody listens.
    #[must_use]
    pub fn is_heard() -> bool {
        tracing::enabled!(target: TARGET, tracing::Level::TRACE)
    }

    /// Tells that the thread begins, if somebody listens. `words` is what its service knows: nothing,
    /// or a space before each `name=value`.
    pub fn begin(&self, words: &str) {
        if Self::is_heard() {
            self.tell(&format!("begin{words}"), "", None);
        }
    }

    /// Tells that the thread ends.
    pub fn end(&self) {
        if Self::is_heard() {
            self.tell("end", "", None);
        }
    }

    /// Tells a step. One thread at a time tells steps of a tracer.
    pub fn tell(&self, event: &str, effects: &str, lost: Option<Loss>) {
        // ORDERING: relaxed; the starter tells the first step before the thread runs, and the
        // thread tells the others.
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let life = self.life.load(Ordering::Relaxed);
        let lost = match lost {
            None => "",
            Some(Loss::Message) => "message",
            Some(Loss::Machine) => {
                self.life.store(life + 1, Ordering::Relaxed);
                "machine"
            }
        };
        let Self { service, instance, thread, .. } = self;
        tracing::trace!(
            target: TARGET,
            service = service.word(), instance, thread, life, number, event, effects, lost
        );
    }
}
