//! Rewinder: the only caller of the state transition.
//!
//! **Contract.** The Rewinder takes [`Job`]s and answers each exactly once. A block is run through
//! the full transition and committed. An attestation is verified with the committees of its
//! target's epoch and branch, which the HotDB keeps. A state is loaded. Workers are threads that
//! pull from one queue of lanes; one more worker may
//! serve duties alone ([`crate::blocksmith::Config::reserved_worker`]). A worker that pulls an
//! attestation takes along others that wait for the same target's state and verifies their
//! signatures together.
//!
//! ```text
//!   submit ──> lanes: duties > blocks > attestations > unproven > queries
//!                 │ pull (no state of mine is being loaded by another)
//!                 v
//!               Idle ──RequestTrail──────> AwaitTrail ──Claim──> AwaitClaim ──Requeue──> Idle
//!                 ^    RequestCommittees    │ │ Committees            │ claimed, and asked again
//!                 │                         │ │  nothing to replay    v
//!                 │                         │ ├───────────────────> Load <─┐ GiveWay, part by part
//!                 │                         │ │                     │  │ ─┘
//!                 │                         │ v  Loaded: others may │  │ Commit
//!                 ├──Answer to each────── Verify <──────────────────┘  v
//!                 │                       │  ^ GiveWay, step by step  │
//!                 │                       └──┘                        │
//!                 └──Answer, acknowledged────────────────────── AwaitCommit
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
//! - I5 Lanes are bounded. A full lane refuses. What the node itself asks for has places of its own
//!   before those of clients: three states for Clearance and one for the ColdDB. Attestations of
//!   peers that are not proven have a lane of their own, so that forged ones spoil no product of
//!   signatures with others (A2).
//! - I6 A fault of ours is answered as `Fault`, never as a rejection.
//! - I7 Attestations that are pulled together are answered in their order, each with its own
//!   outcome: an invalid one condemns none of the others. At most
//!   [`crate::blocksmith::Config::attestation_batch`] are pulled together. They are verified in steps
//!   of at most 16, and of 4, each alone, once a quarter has failed (`batch`). Answers leave with
//!   their step. After a panic each of them that has no answer is answered `Fault`, and none is
//!   retried.
//! - I8 A general worker that has committed the first block of an epoch on its branch keeps the
//!   state, also if that block went first within other work. It keeps at most one such state, the
//!   newest. Once nothing waits in any lane, it has the protocol prepare that epoch
//!   ([`crate::consensus::Consensus::prepare_epoch`]). The worker has given all its answers by
//!   then, and a fault or a panic of the preparation changes none of them. A panic counts as one of
//!   the worker's. A stop skips the preparation. States that attestations ask for are not prepared:
//!   forged attestations could ask for any number of states, and blocks cannot be forged.
//! - I9 What has to be replayed is claimed first, by the key (root, slot) of the block's state, or
//!   by (dependent root, epoch) of committees (R11). A worker that finds it claimed puts its tasks
//!   back before the others of their lane, and they wait until the other worker reports. So an
//!   uncached parent is replayed once for all blocks on top of it: its state is posted and reported
//!   before the first of them is judged. A worker that has claimed asks the HotDB once more:
//!   another may have reported the state between the trail and the claim. A worker that waits holds
//!   no claim. A block of a later epoch than its parent's may have two claims, one after the other:
//!   its parent's state, and that state in the block's epoch (I10).
//! - I10 Whether the slot is the proposer's is checked first, if the proposers of the epoch are
//!   known on the branch: that needs neither a signature nor a state of the epoch. A block's
//!   proposer's signature, and in the block's own epoch whether the slot is the proposer's, are
//!   checked by the state that the trail starts from: before a claim, a replay and the transition
//!   (A1, A9). The transition then leaves that one signature out. The reason is the one that the
//!   transition would give. A block's root was computed when it was decoded, so the check hashes no
//!   block, and none while a trail is under way. An earlier ancestor's state may not know the
//!   proposer: then a state of a pinned block on top of the parent is asked, if the trail has one
//!   (I9 of the HotDB). Whom that does not know, the parent does not know, and a bad signature is
//!   bad there, too: so the block is refused before a claim and a replay. Otherwise the parent's
//!   state is asked once it is there, before any empty slot is run. So a block without a registered
//!   key's signature has no state advanced into another epoch. Where
//!   none of this tells whether the slot is the proposer's, the parent's state is taken to the
//!   start of the block's epoch, under a claim. The proposer is checked there, and the state is
//!   posted, so that the next block finds it. Whoever has a registered key has a branch advanced
//!   once for each epoch, and not for each block (A4), while the HotDB keeps the epoch's proposers
//!   ([`crate::hot_db::Limits::proposers`]).
//! - I11 A load is done in parts of a bounded number of slots (`load`), and a batch in steps of a
//!   bounded number of votes. Between two parts a worker that serves every lane takes all duties
//!   that wait. Between two steps it takes all duties and at most four blocks (A2). What goes first
//!   is itself interrupted only for lanes before its own, and waits for nothing that it interrupts
//!   (`precedence`). Once the services are stopping, what has no answer is answered `Refused`
//!   (A12). So are the states and blocks that clients ask for and no worker has begun.
//! - I12 A replayed state is posted back only if its root is the one its block claims (R9).
//! - I13 A block is produced as a duty (`production`). The last part of its load is followed by one
//!   step, which runs the block. A load that is in hand gives way to it between two parts, and a
//!   batch of attestations between two steps. Where another worker loads exactly its state, it
//!   waits for that load, and not for what the state was loaded for: the state is posted and
//!   reported before an operation is checked in it, or a block is produced or judged on it.
//!
//! [`shell`] holds what a worker does with its tasks. Threads, models and twins (variants with a
//! deliberate fault, which a check must catch) all run it.
//!
//! **Blocking.** Workers wait for the queue, and for the HotDB, which waits for nobody. A task that
//! comes while a worker prepares an epoch is taken by another worker or waits until the preparation
//! ends. The worker that is reserved for duties prepares nothing (R2). Submitting never blocks.
//! Answers go through reserved slots and one-shots, so answering never blocks.

mod batch;
mod dispatcher;
mod gossip;
mod load;
mod precedence;
mod production;
mod service;
pub mod shell;
mod worker;

pub use batch::Batch;
pub use dispatcher::{Dispatcher, Lane, Role, StateKey};
pub use load::Load;
pub use precedence::{GoesFirst, Pause};
pub use production::Production;
pub(crate) use service::{ReplyTo, RewinderHandle, RewinderService};
pub use worker::{Answer, Job, Worker, WorkerEffect, WorkerEvent};

#[cfg(test)]
pub(crate) mod tests;
