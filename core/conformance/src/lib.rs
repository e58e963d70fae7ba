//! Does Blocksmith do what the specification says? This crate runs test vectors in the official
//! layout ([`vectors`]), and recorded chains through the services on real threads ([`replay`]), and
//! compares each with the answers of an independent implementation.
#![forbid(unsafe_code)]

pub mod config;
pub mod replay;
pub mod types;
pub mod vectors;
