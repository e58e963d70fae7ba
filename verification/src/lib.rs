//! The checks of Blocksmith: scenarios, must-fail twins (the same checks over variants that carry a
//! fault), linearizability, the sweep of memory orderings, and the ordering arguments as litmus
//! programs. The command `blocksmith-check` runs them.

pub mod catalogue;
pub mod channel;
pub mod command;
pub mod corpus;
pub mod document;
pub mod linearizability;
pub mod litmus;
pub mod proofs;
pub mod scenarios;
pub mod sweep;
pub mod twins;
