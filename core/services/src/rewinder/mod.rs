//! Rewinder: the only caller of the state transition.
//!
//! **Contract.** The Rewinder takes [`Job`]s and answers each exactly once. A block is run through
//! the full transition and committed. An attestation is verified against its target's state. A
//! state is loaded. Workers are threads that pull from one queue of lanes; one more worker may
//! serve duties alone ([`crate::blocksmith::Config::reserved_worker`]). A worker that pulls an
//! attestation takes along others that wait for the same target's state and verifies their
//! signatures together.
//!
//! ```text
//!   submit ──> lanes: duties > blocks > attestations > queries
//!                 │ pull (no state of mine is being loaded by another)
//!                 v
//!               Idle ──RequestTrail──> AwaitTrail ──Commit──> AwaitCommit
//!                 ^                     │  │ Answer                │ acknowledged: Answer
//!                 ├─────────────────────│──┴───────────────────────┘
//!                 │                     │ Loaded: others may load this state
//!                 └──Answer to each── Verify
//! ```
//!
//! **Invariants.**
//! - I1 Every job is answered exactly once, also when the HotDB knows nothing (hazards R4, R5),
//!   when the worker panics (L5), and when the queue refuses it or closes (Q10).
//! - I2 A block is answered valid only after the HotDB has acknowledged its commit (R6, R7).
//! - I3 Only the Rewinder makes a [`crate::verdict::Cleared`], from what the full check yielded
//!   (R8).
//! - I4 A task waits while a worker that would take it is idle only in two cases: another worker is
//!   loading the state that the task needs (R1, R11), or has taken the task within its share. A
//!   share comes about when attestations of one target are divided among the workers that are idle
//!   when one pulls. With a reserved worker, duties always have a worker (R2).
//! - I5 Lanes are bounded. A full lane refuses.
//! - I6 A fault of ours is answered as `Fault`, never as a rejection.
//! - I7 Attestations that are pulled together are answered in their order, each with its own
//!   outcome: an invalid one condemns none of the others. At most
//!   [`crate::blocksmith::Config::attestation_batch`] are pulled together, so a block or a duty
//!   waits for no more than that. After a panic each of them that has no answer is answered
//!   `Fault`, and none is retried.
//! - I8 A general worker that has committed the first block of an epoch on its branch keeps the
//!   state. It keeps at most one such state, the newest. Once nothing waits in any lane, it has the
//!   protocol prepare that epoch ([`crate::consensus::Consensus::prepare_epoch`]). The worker has
//!   given all its answers by then, and a fault or a panic of the preparation changes none of them.
//!   A panic counts as one of the worker's. A stop skips the preparation. States that attestations
//!   ask for are not prepared: forged attestations could ask for any number of states, and blocks
//!   cannot be forged.
//!
//! [`shell`] holds what a worker does with its tasks. Threads, models and twins (variants with a
//! deliberate fault, which a check must catch) all run it.
//!
//! **Blocking.** Workers wait for the queue, and for the HotDB, which waits for nobody. A task that
//! comes while a worker prepares an epoch is taken by another worker or waits until the preparation
//! ends. The worker that is reserved for duties prepares nothing (R2). Submitting never blocks.
//! Answers go through reserved slots and one-shots, so answering never blocks.

mod dispatcher;
mod load;
mod service;
pub mod shell;
mod worker;

pub use dispatcher::{Dispatcher, Lane, Role, StateKey};
pub use load::Load;
pub(crate) use service::{ReplyTo, RewinderHandle, RewinderService};
pub use worker::{Answer, Job, Worker, WorkerEffect, WorkerEvent};

#[cfg(test)]
mod tests;
