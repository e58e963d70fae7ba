//! Blocksmith: the owner of the services. It starts them, stops them in reverse order and joins
//! every thread.
//!
//! **Contract.** [`Blocksmith::start`] creates every mailbox first. It then starts the threads from
//! the bottom of the blocking order up: ColdDB (if there is a store), HotDB, Rewinder, Clearance,
//! Quarantine. A [`Client`]
//! submits items and asks questions from any thread. [`Blocksmith::stop`] (or the drop) goes the
//! other way and returns when every thread has ended. [`Blocksmith::stop_within`] returns by about
//! a deadline and names the threads that have not ended.
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
//! - I3 Services stop in the reverse order of starting: a sender is gone before its receiver (L4).
//!   Every submission has its verdict when [`Blocksmith::stop`] returns.
//! - I4 A panic costs the message that was being handled; see [`crate::supervision`]. The requester
//!   gets an error, and [`StopReport`] counts the panic.
//! - I5 The broker measures the load: it watches every queue (see `load`). Unless
//!   [`Config::observe_every`] is `None`, a thread of its own takes the samples and reports each
//!   change of the load level as [`crate::notice::Notice::Load`]. That thread waits for nobody and
//!   ends first. At the highest level Clearance no longer looks for slashable offences. Whatever
//!   else a level asks for is left to the node.

mod client;
mod config;
mod gossip;
mod load;
mod machines;
mod production;
mod service;
#[cfg(test)]
mod tests;

pub use client::{Client, ReadError, ServiceCounters, StateError, Submission};
pub use config::Config;
pub use production::{Gone, PayloadVotes, ProduceError, ProducedBlock};
pub use service::{Anchor, Blocksmith, Pending, StartError, StopReport};

pub use crate::observer::NoticeReceiver;
