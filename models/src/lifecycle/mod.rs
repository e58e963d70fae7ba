//! The life cycle of two services, the upper of which has the lower work for it: started, crashed,
//! restarted, stopped, with work queued all the while.
//!
//! **Contract.** The policy is core's own [`blocksmith::supervision::Supervision`]; the services
//! are reduced to what supervision sees of them: a mailbox with room for so many requests, a slot
//! reserved for the stop and for each answer, and messages of which some are poisoned, so that
//! whoever handles them panics. A crash and the start of the successor are two steps, and anybody
//! may step in between.
//!
//! ```text
//!   submit ──> upper's mailbox ──> upper ──task──> lower's mailbox ──> lower
//!                    ^   ^ stop             answer                      │
//!                    │   └── owner, or supervision                      │
//!                    └──────────────────────────────────────────────────┘
//! ```
//!
//! | property | says |
//! |---|---|
//! | no deadlock | a state without steps is the end: both services have ended |
//! | answered once | no request has two answers; at the end each that was made has one |
//! | nothing queued is lost | a request that is not poisoned fails only if a service is torn for good |
//! | not retried | no service handles a poisoned message twice |
//! | intensity | at most `max_restarts` successors before the stop |
//! | stop terminates | the steps after the stop are bounded |
//!
//! **Bounds.** The requests and mailboxes of each [`Scenario`]; all panics fall into one window
//! (that the window moves is the policy's own test). Machines' content is left out: see
//! [`crate::composition`].
//!
//! **Twins.** A [`Fault`] is a variant that must be refuted.

mod model;
mod words;

pub use model::{
    Action, Fault, Lifecycle, Poison, Request, SCENARIOS, Scenario, State, TWINS, Twin, check,
};
