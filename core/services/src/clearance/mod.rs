//! Clearance: the canonical chain. It owns the fork choice and tells the HotDB what to keep.
//!
//! **Contract.** Cleared blocks and attestations and the clock come in, in one order; head,
//! justified and finalised checkpoint come out. Each message is answered with the finalised
//! checkpoint, or with the news that it was lost.
//!
//! ```text
//!   cleared block ──────┐
//!   cleared attestation ├──> fork choice ──> head, justified, finalised ──> notices
//!   tick ───────────────┘        │ needs balances               └─────────> HotDB: keep and prune
//!                                v
//!                     Rewinder: state of the justified checkpoint ──> balances
//! ```
//!
//! **Invariants.**
//! - I1 Only what passed the firewall comes in: the types leave no other way (hazard R8).
//! - I2 A block is in the HotDB before it is here (R7).
//! - I3 At most one request for balances per justified checkpoint is under way; while it is, the
//!   last balances known count. A failed request is repeated at the next tick, not in a loop.
//! - I4 A block that the fork choice does not take, other than for finality or as a copy, is told
//!   and its message counts as lost: no block is accepted and then missing here.
//! - I5 The HotDB is told at most once per message.
//! - I6 Between being told that the load forbids detection and that it allows it again, the
//!   detector is shown finality alone; every block and vote that it is not shown is counted.
//!
//! [`shell`] is what is done with a message; threads, models and twins run it alike.
//!
//! **Blocking.** May wait for the HotDB's mailbox. It never waits for the Rewinder (the balances
//! come as a message into a reserved slot) nor for Quarantine (its replies have reserved slots,
//! too).

mod machine;
mod service;
pub mod shell;

pub use machine::{ChainView, Clearance, Effect, Event};
pub(crate) use service::{ClearanceHandle, ClearanceMessage, ClearanceService, Receipt};
