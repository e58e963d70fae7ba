//! Loom, Shuttle and Mutant backends, the scenarios, the vector runner and the blocksmith command.

pub mod catalogue;
pub mod channel;
pub mod command;
mod config;
pub mod document;
pub mod engines;
pub mod linearizability;
pub mod replay;
pub mod scenarios;
pub mod sweep;
pub mod twins;
mod types;
pub mod vectors;
