//! HotDB: the DAG of committed blocks since finality, and the cached states that make any of them
//! cheap to reach.
//!
//! **Contract.** The HotDB answers `trail(root, slot)` and `commit(block, state)`, each with
//! exactly one reply, in the order in which they arrive. It never waits for another service.
//!
//! | event | reply |
//! |---|---|
//! | `Trail { root, slot }` | `Trail`, `UnknownParent`, `Pruned`, `TooFar` or `BeforeBlock` |
//! | `Commit { block, state }` | `Committed`, `AlreadyCommitted`, `UnknownParent`, `Pruned` or `Full` |
//! | `PostState(state)` | none: the state is dropped if it is of no use |
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
//! - I4 Blocks, state bytes and remembered pruned roots are bounded by [`Limits`]; states of the
//!   finalised, justified and head blocks are never evicted (hazard R10).
//! - I5 Pruning drops only blocks that do not descend from the finalised block (hazard R12). It
//!   drops all of them if the finalised block's own state is cached.
//! - I6 There is one mailbox, so a trail that is asked for after a commit was acknowledged sees
//!   that commit.
//!
//! **Blocking.** In the blocking order the HotDB is below everything but the ColdDB. Workers and
//! Clearance may wait for it; it waits for nobody.

mod machine;
mod service;
pub mod shell;
#[cfg(test)]
mod tests;

pub use machine::{CommitReply, Effect, Event, HotDb, Limits, Prune, StateAt, Trail, TrailReply};
pub(crate) use service::{HotDbHandle, HotDbService};
