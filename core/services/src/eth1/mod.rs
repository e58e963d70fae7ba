//! Eth1Monitor: follows the execution layer's chain for block production. It knows the votes on the
//! deposit contract and the deposits that a proposer must include.
//!
//! **Contract.** The monitor asks an [`ExecutionNode`] for headers and for the deposits of the
//! contract, in order, up to the follow distance behind the node's latest block. It answers a
//! proposer from what it has ([`Eth1Handle::proposal`]), and never by asking the node. A proposer
//! gives it the few values of a state that the answer depends on ([`VotingState`]), not the state.
//! A node that hangs, fails, lies about a hash or changes its chain between two answers costs
//! freshness: the monitor then votes as the state does, or on the last block that it could check.
//!
//! ```text
//!                latest               header n                deposits of the batch
//!   Resting ────────────> Latest ───────────────> Headers ───────────────> Deposits
//!      ^                    │                      │    ^                      │
//!      │ nothing new        │                      │    └── more to follow ────┤
//!      └────────────────────┴───────── up to date ─┴───────────────────────────┤
//!                                                                              │
//!   any failure: rest, longer each time             other parent: go back one block
//!   deposits that do not fit: ask again, then drop the window, then everything
//! ```
//!
//! **Invariants.**
//! - I1 The blocks of the window have consecutive numbers, and each is the parent of the next.
//! - I2 No block is followed that is less than [`Limits::distance`] behind the latest.
//! - I3 The deposits taken in are numbered from 0 without a gap. Those of a block of the window
//!   came with that block's hash.
//! - I4 A block that is no longer of the node's chain takes its deposits with it.
//! - I5 One request is under way at most. An answer to any other request is dropped.
//! - I6 Window, batch and pause are bounded ([`Limits`]).
//! - I7 No panic of the node or of the [`DepositContract`] ends a thread. No proposal is made from
//!   deposits that a change which was cut short has left; they are read anew.
//!
//! **Blocking.** A proposer waits for the monitor's thread, which waits for nobody. A second thread
//! calls the node; no lock is held and no mailbox is full while it waits for an answer.
//!
//! Reference: consensus specification, `phase0/validator.md`, "Eth1 Data" and "Deposits".

mod machine;
mod service;
#[cfg(test)]
mod tests;
mod vote;

pub use machine::{
    Answer, BlockHeader, DepositLog, Effect, Eth1Monitor, Event, Failure, Followed, Limits,
    LimitsError, Question,
};
pub use service::{
    DepositContract, Eth1Handle, Eth1Rules, Eth1Service, ExecutionNode, LogsOf, Proposal,
    ProposalError,
};
pub use vote::{Candidates, VotingState, get_eth1_vote};
