//! The life cycle of two services, the lower of which works for the upper one. They are started,
//! crash, are restarted, and are stopped, with work queued all the while.
//!
//! **Contract.** The policy is core's own [`blocksmith::supervision::Supervision`]; the services
//! are reduced to what supervision sees of them: a mailbox of bounded capacity, a reserved slot for
//! the stop and for each answer, and messages. Some messages are poisoned: a service that handles
//! one panics. A crash and the start of the successor are two steps, and any other step may come in
//! between.
//!
//! ```text
//!   submit ──> upper's mailbox ──> upper ──task──> lower's mailbox ──> lower
//!                    ^   ^ stop             answer                      │
//!                    │   └── owner, or supervision                      │
//!                    └──────────────────────────────────────────────────┘
//! ```
//!
//! | property | meaning |
//! |---|---|
//! | no deadlock | a state without further steps is the end: both services have ended |
//! | answered once | no request has two answers; at the end each request that was made has one |
//! | nothing queued is lost | a request that is not poisoned fails only if a service is broken for good |
//! | not retried | no service handles a poisoned message twice |
//! | intensity | there are at most `max_restarts` successors before the stop |
//! | stop terminates | the number of steps after the stop is bounded |
//!
//! **Bounds.** The requests and mailboxes are those of each [`Scenario`]. All panics fall into one
//! window (the policy's own test covers the moving window). The content of the machines is left
//! out; for that see [`crate::composition`].
//!
//! **Twins.** A must-fail twin is the same check over a variant that carries a [`Fault`]; it must
//! be refuted.

mod model;
mod words;

pub use model::{
    Action, Fault, Lifecycle, Poison, Request, SCENARIOS, Scenario, State, TWINS, Twin, UNANSWERED,
    check, check_end,
};
