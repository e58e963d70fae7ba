//! Does Blocksmith do what the specification says? This crate runs test vectors in the official
//! layout ([`vectors`]), and recorded chains through the services on real threads ([`replay`]), and
//! compares each with the answers of an independent implementation. It also attacks the services
//! ([`attack`]), and measures what that costs.
#![forbid(unsafe_code)]

pub mod attack;
pub mod config;
mod process;
mod protocol;
pub mod replay;
pub mod types;
pub mod vectors;
mod yaml;

pub use protocol::{Committees, Counts, Moments, PerPreset, Protocol, State, Work};
