//! Services in a ring, each with a bounded mailbox: when sends that wait can wait for one another.
//!
//! **Contract.** Each service is a process with one mailbox, and does one thing at a time: it asks,
//! or it takes a message and passes it on. While it holds a message for which the next mailbox has
//! no room, it waits, and does nothing else. The mailboxes are bounded FIFOs; that the channels
//! are, is shown elsewhere, of the code itself. No code of core runs here: the model is about the
//! order of waits alone.
//!
//! ```text
//!   0 ──ask──> 1 ──> .. ──> k-1        sends that wait: down the order only
//!   ^   ^      :             │
//!   └───┴······└─── answer ──┘         answers: into a slot that the asker reserved before it asked
//! ```
//!
//! A request of a service goes down the order to the lowest, which answers the one who asked. The
//! answer never waits, because an asker has at most as many requests out as it has slots for
//! answers.
//!
//! | property | says |
//! |---|---|
//! | no deadlock | a state without steps is the end: every request is answered |
//! | answered once | no request has two answers |
//! | bounded | no mailbox holds more than its capacity, no asker more answers than slots |
//!
//! Every step takes a request one place further, so no run is endless, and "no deadlock" says that
//! every request is answered.
//!
//! **Bounds.** The services, capacities and requests of each [`Scenario`]; services without
//! content.
//!
//! **Twins.** A [`Fault`] is a variant that must be refuted.

mod model;
mod words;

pub use model::{
    Action, Fault, Message, Ring, SCENARIOS, Scenario, Service, State, TWINS, Twin, check,
};
