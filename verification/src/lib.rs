//! The checks of Blocksmith: scenarios, must-fail twins (the same checks over variants that carry a
//! fault), linearizability, and the sweep of memory orderings. The command `blocksmith-check` runs
//! them.

pub mod catalogue;
pub mod channel;
pub mod command;
pub mod document;
pub mod linearizability;
pub mod proofs;
pub mod scenarios;
pub mod sweep;
pub mod twins;
