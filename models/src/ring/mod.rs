//! Services in a ring, each with a bounded mailbox. The model shows when blocking sends can wait
//! for one another.
//!
//! **Contract.** Each service is a process with one mailbox, and does one thing at a time: it asks,
//! or it takes a message and passes it on. While it holds a message for which the next mailbox has
//! no room, it waits, and does nothing else. The mailboxes are bounded FIFOs; other checks show
//! that the channels' code behaves like that. No code of core runs here: the model is only about
//! the order of waits.
//!
//! ```text
//!   0 ──ask──> 1 ──> .. ──> k-1        sends that wait: down the order only
//!   ^   ^      :             │
//!   └───┴······└─── answer ──┘         answers: into a slot that the asker reserved before it asked
//! ```
//!
//! A service's request goes down the order to the lowest service, which answers the asker. The
//! answer never waits, because an asker has at most as many outstanding requests as it has slots
//! for answers.
//!
//! | property | meaning |
//! |---|---|
//! | no deadlock | a state without further steps is the end: every request is answered |
//! | answered once | no request has two answers |
//! | bounded | no mailbox holds more messages than its capacity, and no asker more answers than slots |
//!
//! Every step takes a request one place further, so no run is infinite. "No deadlock" therefore
//! means that every request is answered. [`check_end`] does not rely on that argument: it looks for a
//! run in which a request has no answer, ever.
//!
//! **Bounds.** The services, capacities and requests are those of each [`Scenario`]. The services
//! have no content.
//!
//! **Twins.** A must-fail twin is the same check over a variant that carries a [`Fault`]; it must
//! be refuted.

mod model;
mod words;

pub use model::{
    Action, Fault, Message, Ring, SCENARIOS, Scenario, Service, State, TWINS, Twin, UNANSWERED,
    check, check_end,
};
