//! Does Blocksmith do what the specification says? Test vectors in the official layout
//! ([`vectors`]), and recorded chains through the services on real threads ([`replay`]), each
//! compared with what an independent implementation answered.
#![forbid(unsafe_code)]

pub mod config;
pub mod replay;
pub mod types;
pub mod vectors;
