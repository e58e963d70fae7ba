//! The votes against beacon nodes and a signer: over HTTP, and in simulated time.

mod requests;
mod slot;
mod stand_in;
mod table;
