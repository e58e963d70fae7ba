//! Services of a consensus client, generic over the consensus protocol ([`consensus::Consensus`])
//! and over the synchronisation primitives ([`blocksmith_sync::Primitives`]).
//!
//! A service is a pure state machine (`machine.rs`: events in, effects out, no clock, no thread)
//! and a thin shell (`service.rs`: mailbox, thread, effects). The machines are what the models
//! explore as communicating processes; the shells run under the concurrency checkers over a protocol
//! that is a toy. That protocol and the injection of faults are behind the feature `testing`, which
//! is off by default.
#![forbid(unsafe_code)]

pub mod activity;
pub mod blocksmith;
mod bounded;
pub mod clearance;
pub mod consensus;
pub mod fork_choice;
pub mod hot_db;
pub mod identified;
pub mod machine;
pub mod notice;
mod observer;
pub mod quarantine;
pub mod rewinder;
pub mod slashing;
pub mod supervision;
#[cfg(any(test, feature = "testing"))]
pub mod toy;
pub mod verdict;

pub use blocksmith::{
    Anchor, Blocksmith, Client, Config, NoticeReceiver, Pending, ServiceCounters, StartError,
    StateError, StopReport, Submission,
};
