//! HotDB: the DAG of committed blocks since finality, and the states that make it cheap to reach
//! any.
//!
//! **Contract.** Answers `trail(root, slot)` and `commit(block, state)`, each with exactly one
//! reply, in the order in which they arrive, and never waits for another service.
//!
//! | event | reply |
//! |---|---|
//! | `Trail { root, slot }` | `Trail`, `UnknownParent`, `Pruned` or `BeforeBlock` |
//! | `Commit { block, state }` | `Committed`, `AlreadyCommitted`, `UnknownParent`, `Pruned` or `Full` |
//! | `PostState(state)` | none: a gift, dropped if of no use |
//! | `Prune { finalized, justified, head }` | none |
//!
//! ```text
//!            commit                      prune(finalised)
//!   unknown ────────> committed (trail) ─────────────────> pruned ──(bounded memory)──> unknown
//! ```
//!
//! **Invariants.**
//! - I1 Every reply is total: an unknown parent is an answer, not a wait (hazards R4, R5).
//! - I2 HotDB never asks anything of anyone. States it would like are named in the trail, and
//!   workers post them back when they pass by (hazard R3).
//! - I3 The base of the DAG has a cached state, so every committed block has a trail.
//! - I4 Blocks, state bytes and remembered pruned roots are bounded by [`Limits`]; states of the
//!   finalised, justified and head blocks are never evicted (hazard R10).
//! - I5 Pruning drops what does not descend from the finalised block, nothing else (hazard R12).
//! - I6 One mailbox: a trail that is asked for after a commit was acknowledged sees that commit.
//!
//! **Blocking.** Below everything but the ColdDB: workers and Clearance may wait for it, it for
//! nobody.

mod machine;
mod service;
pub mod shell;
#[cfg(test)]
mod tests;

pub use machine::{CommitReply, Effect, Event, HotDb, Limits, Prune, StateAt, Trail, TrailReply};
pub(crate) use service::{HotDbHandle, HotDbService};
