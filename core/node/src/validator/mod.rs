//! The validator client's connections: what the machine of the duties asks for, over HTTP.

mod requests;
#[cfg(test)]
mod tests;

pub use requests::{Guard, GuardedMessage, Requests};
