//! Services of a consensus client, generic over the consensus protocol ([`consensus::Consensus`])
//! and over the synchronisation primitives ([`blocksmith_sync::Primitives`]).
//!
//! A service is a pure state machine (`machine.rs`: events in, effects out, no clock, no thread)
//! and a thin shell (`service.rs`: mailbox, thread, effects). The machines are what the models
//! explore as communicating processes; the shells run under the concurrency checkers over
//! [`toy::Toy`].
#![forbid(unsafe_code)]

pub mod activity;
pub mod blocksmith;
mod bounded;
pub mod clearance;
pub mod consensus;
pub mod fork_choice;
pub mod hot_db;
pub mod notice;
mod observer;
pub mod quarantine;
pub mod rewinder;
pub mod slashing;
pub mod supervision;
pub mod toy;
pub mod verdict;
