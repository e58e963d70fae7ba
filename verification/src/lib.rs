//! The checks of Blocksmith: scenarios, must-fail twins, linearizability, the sweep of orderings,
//! and the `blocksmith-check` command that runs them.

pub mod catalogue;
pub mod channel;
pub mod command;
pub mod document;
pub mod linearizability;
pub mod scenarios;
pub mod sweep;
pub mod twins;
