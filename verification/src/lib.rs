//! The checks of Blocksmith: scenarios, must-fail twins and linearizability (from
//! [`blocksmith_scenarios`]), models and specifications (from [`blocksmith_models`]), the sweep of
//! memory orderings, the ordering arguments as litmus programs, and the proofs. The command
//! `blocksmith-check` runs them.

pub mod catalogue;
pub mod command;
pub mod corpus;
pub mod document;
pub mod litmus;
pub mod proofs;
pub mod sweep;

pub use blocksmith_scenarios::{linearizability, scenarios, twins};
