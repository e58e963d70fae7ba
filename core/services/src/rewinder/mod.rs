//! Rewinder: the only caller of the state transition.
//!
//! **Contract.** Takes [`Job`]s and answers each exactly once: a block is run through the full
//! transition and committed, an attestation is verified against its target's state, a state is
//! loaded. Workers are threads that pull from one queue of lanes; one more worker serves duties
//! alone. A worker that pulls an attestation takes along others that wait for the same target's
//! state, and verifies their signatures together.
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
//! - I1 Every job is answered exactly once: also when the HotDB knows nothing (hazards R4, R5),
//!   when the worker panics (L5), when the queue refuses it or closes (Q10).
//! - I2 A block is answered valid only after the HotDB has acknowledged its commit (R6, R7).
//! - I3 [`crate::verdict::Cleared`] is made here alone, from what the full check yielded (R8).
//! - I4 A task waits while a worker that would take it idles only if another worker is loading the
//!   state that the task needs (R1, R11), or has taken it within its share: attestations of one
//!   target are divided among the workers that are idle when one pulls. Duties always have a worker
//!   (R2).
//! - I5 Lanes are bounded; a full one refuses.
//! - I6 A fault of ours is answered as `Fault`, never as a rejection.
//! - I7 Attestations that are pulled together are answered in their order, each with its own
//!   outcome: an invalid one condemns none of the others. They are at most
//!   [`crate::blocksmith::Config::attestation_batch`], so a block or a duty waits for no more than
//!   that. A panic among them is a `Fault` to each that has no answer, and none is retried.
//! - I8 A general worker that has committed the first block of an epoch on its branch keeps the
//!   state, at most one and the newest, and has the protocol prepare that epoch
//!   ([`crate::consensus::Consensus::prepare_epoch`]) once nothing waits in any lane. All its
//!   answers have been given by then, and a fault or a panic of the preparation changes none; a
//!   panic counts as one of the worker's. A stop leaves it out. States that attestations ask for
//!   are not prepared: forged ones could ask for any number of them, and blocks cannot be forged.
//!
//! [`shell`] is what a worker does with its tasks; threads, models and twins run it alike.
//!
//! **Blocking.** Workers wait for the queue, and for the HotDB, which waits for nobody. A task that
//! comes while a worker prepares an epoch is another's, or waits for the end of that; the worker
//! that is reserved for duties prepares nothing (R2). Submitting never blocks. Answers go through
//! reserved slots and one-shots and never block.

mod dispatcher;
mod service;
pub mod shell;
mod worker;

pub use dispatcher::{Dispatcher, Lane, Role, StateKey};
pub(crate) use service::{ReplyTo, RewinderHandle, RewinderService};
pub use worker::{Answer, Job, Worker, WorkerEffect, WorkerEvent};

#[cfg(test)]
mod tests;
