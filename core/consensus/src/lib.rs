//! The phase0 state transition of the Ethereum consensus specification.

#![forbid(unsafe_code)]

pub mod bls;
mod caches;
mod config;
mod containers;
mod error;
mod persistent;
mod preset;
mod primitives;
pub mod shuffling;
mod state;
mod wire;

pub use caches::Committees;
pub use config::{ChainConfig, ConfigError};
pub use containers::*;
pub use error::{AsFault, Fault, Overflow, StateError, integer_squareroot};
pub use preset::{Length, Mainnet, Minimal, Preset};
pub use primitives::*;
pub use state::{BeaconState, HistoricalBatch, PersistentList, PersistentVector};
pub use wire::{DecodeError, Layout, Wire, decode_exact};
