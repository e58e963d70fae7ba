//! The services of a consensus client, generic over the consensus protocol
//! ([`consensus::Consensus`]) and over the synchronisation primitives
//! ([`blocksmith_sync::Primitives`]).
//!
//! A service has three parts. Its pure state machine (`machine.rs`) takes events and returns
//! effects; it has no clock and no thread. Its shell (`shell.rs`) turns messages into events and
//! carries the effects out, generic over what the service talks to. `service.rs` has the mailbox
//! and the thread. The models run machines and shells as communicating processes. The concurrency
//! checkers run whole services over a toy protocol. That protocol and the injection of faults are
//! behind the feature `testing`, which is off by default.
#![forbid(unsafe_code)]

pub mod activity;
pub mod attestation_pool;
pub mod beacon_validator;
pub mod bits;
pub mod blocksmith;
mod bounded;
pub mod clearance;
pub mod cold_db;
pub mod consensus;
pub mod eth1;
pub mod fork_choice;
pub mod gossip;
pub mod hot_db;
pub mod identified;
pub mod machine;
pub mod notice;
mod observer;
pub mod operation_pool;
pub mod payload;
pub mod payload_attestation;
pub mod peer_pool;
pub mod ptc_duties;
pub mod quarantine;
pub mod rewinder;
pub mod slashing;
pub mod slashing_protection;
pub mod store;
pub mod supervision;
#[cfg(any(test, feature = "testing"))]
pub mod toy;
#[cfg(any(test, feature = "testing"))]
mod toy_codec;
#[cfg(any(test, feature = "testing"))]
mod toy_invalid;
#[cfg(any(test, feature = "testing"))]
mod toy_payload;
#[cfg(any(test, feature = "testing"))]
mod toy_production;
pub mod trace;
pub mod verdict;
#[cfg(test)]
mod words;

pub use blocksmith::{
    Anchor, Blocksmith, Client, Config, Gone, NoticeReceiver, Pending, ProduceError, ReadError,
    ServiceCounters, StartError, StateError, StopReport, Submission,
};
