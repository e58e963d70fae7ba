//! HotDB: the DAG of committed blocks since finality, and the cached states that make any of them
//! cheap to reach.
//!
//! **Contract.** The HotDB answers `trail(root, slot)` and `commit(block, state)`, each with
//! exactly one reply, in the order in which they arrive. It never waits for another service.
//!
//! | event | reply |
//! |---|---|
//! | `Trail { root, slot }` | `Trail`, `UnknownParent`, `Pruned`, `TooFar` or `BeforeBlock` |
//! | `Committees { target }` | `Committees`, or as above, or `Stale` |
//! | `Commit { block, state }` | `Committed`, `AlreadyCommitted`, `UnknownParent`, `Pruned` or `Full` |
//! | `PostState(state)` | none: the state is dropped if it is of no use |
//! | `PostCommittees(committees)` | none |
//! | `Prune { finalized, justified, head }` | none |
//!
//! ```text
//!            commit                      prune(finalised)
//!   unknown ────────> committed (trail) ─────────────────> pruned ──(bounded memory)──> unknown
//! ```
//!
//! **Invariants.**
//! - I1 Replies are total: an unknown parent is an answer, not a wait (hazards R4, R5).
//! - I2 The HotDB never asks anything of anyone. The trail names the states that it would like, and
//!   workers post them back when they pass by them (hazard R3).
//! - I3 The base of the DAG has a cached state, so every committed block has a trail.
//! - I4 Blocks and states are bounded in number and together in bytes; committees, lists of
//!   proposers and remembered pruned roots are bounded in number ([`Limits`]). States of the
//!   finalised, justified and head blocks are never evicted (hazard R10). Of n slots a branch has
//!   O(log n) checkpoints, which thin with age (T1 to T4 in `thinning`).
//! - I5 Pruning drops only blocks that do not descend from the finalised block (hazard R12). It
//!   drops all of them if the finalised block's own state is cached.
//! - I6 There is one mailbox, so a trail that is asked for after a commit was acknowledged sees
//!   that commit.
//! - I7 Attestations load no state (hazards R13, A4). Committees are cached by (dependent root,
//!   epoch), so a state is needed once for each branch and epoch, whatever targets are attested to.
//!   A target is stale if its branch is one that nobody builds: its block is not the head, is the
//!   dependent root itself, and all that builds on it lies before the preceding epoch. Such a
//!   target costs a look-up, unless the committees are there anyhow. So n forged attestations cost
//!   at most one trail for each live branch and epoch. An honest validator votes for such a target
//!   only if it has missed more than a whole epoch of blocks.
//! - I8 The proposers of an epoch are a function of the epoch and of the last block before its
//!   start (its dependent root). They are kept by the two, from the first state of the epoch that
//!   comes and has them. They have a bound of their own ([`Limits::proposers`]), as they are small
//!   and outlive the passing states. A trail says who is expected to propose at its slot, so a
//!   block of another proposer costs a look-up. If it does not, a worker with a block of a later
//!   epoch than its parent's posts the parent's state in that epoch, valid block or not (I10 of the
//!   Rewinder). That is a passing state, as every advanced one.
//! - I9 A trail that replays blocks brings along the state of a pinned block that descends from the
//!   wanted one: of the head, for instance, unless the wanted block is on another branch. A worker
//!   with a block of a proposer that nobody has registered needs no replay to see that (I10 of the
//!   Rewinder).
//!
//! The committees' cache is the HotDB's, as nobody else knows a target's dependent root, and one
//! owner needs no lock. Workers compute; the one that does so claims the key (I9 of the Rewinder).
//!
//! **Blocking.** In the blocking order the HotDB is below everything but the ColdDB. Workers and
//! Clearance may wait for it; it waits for nobody.

mod event;
mod machine;
mod service;
pub mod shell;
#[cfg(test)]
mod tests;
mod thinning;

pub use event::{
    CommitReply, CommitteesAt, CommitteesKey, Effect, Event, Limits, Prune, StateAt, Trail,
    TrailReply,
};
pub use machine::HotDb;
pub(crate) use service::{HotDbHandle, HotDbService};
