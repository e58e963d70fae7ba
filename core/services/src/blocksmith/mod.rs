//! Blocksmith: owns the services, starts them, stops them in reverse, joins every thread.
//!
//! **Contract.** [`Blocksmith::start`] creates every mailbox, then the threads, from the bottom of
//! the blocking order up: HotDB, Rewinder, Clearance, Quarantine. A [`Client`] submits items and
//! asks questions from any thread. [`Blocksmith::stop`] (or the drop) goes the other way, and
//! returns when every thread has ended; [`Blocksmith::stop_within`] returns by a deadline, and
//! names who has not.
//!
//! ```text
//!   Client ──> Quarantine ──> Clearance ──> Rewinder ──> HotDB        who may wait for whom
//!      ^           ^  ^           │  ^          │  │                   (left to right only)
//!      │ verdict   │  └─imported──┘  └─balances─┘  │
//!      └───────────┴────────────answers────────────┘                  replies: reserved slots,
//!                                                                      one-shots; never block
//! ```
//!
//! **Invariants.**
//! - I1 Mailboxes exist before threads and are moved into them (hazard L2).
//! - I2 A service ends when its mailbox is closed, empty, and no answer to it is outstanding; no
//!   flag is polled (L1).
//! - I3 Stopped in the reverse order of starting: who sends is gone before who receives (L4). Every
//!   submission has its verdict when [`Blocksmith::stop`] returns.
//! - I4 A panic costs the message that was being handled; see [`crate::supervision`]. Its requester
//!   got an error, [`StopReport`] counts it.
//! - I5 The broker watches every queue (see `load`); a thread of its own takes the samples and
//!   tells of changes as [`crate::notice::Notice::Load`]. It waits for nobody, and ends first. At
//!   its highest level Clearance looks for slashable offences no more; what else a level asks for
//!   is the node's to do.

mod client;
mod load;
mod service;
#[cfg(test)]
mod tests;

pub use client::{Client, ServiceCounters, StateError, Submission};
pub use service::{Anchor, Blocksmith, Config, NoticeReceiver, Pending, StartError, StopReport};
