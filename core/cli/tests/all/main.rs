//! The command `blocksmith` as a user runs it.

mod command;
mod durable;
mod state;
