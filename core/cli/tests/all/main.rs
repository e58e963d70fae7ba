//! The command `blocksmith` as a user runs it.

mod attack;
mod command;
mod devnet;
mod durable;
mod node;
mod signer;
mod signer_kills;
mod state;
mod trace;
