//! Loom, Shuttle and Mutant backends, the scenarios, the vector runner and the blocksmith command.

pub mod vectors;
