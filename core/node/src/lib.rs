//! Adapters between the services and the outside.
//!
//! Services own no clock, thread, socket or file; what they need of those comes from here. So far
//! there are [`recording`], which reads a recorded chain from a folder or from the program itself,
//! and [`metrics`], which serves the broker's figures.
#![forbid(unsafe_code)]

#[cfg(feature = "execution")]
pub mod execution;
pub mod metrics;
pub mod recording;
pub mod store;
