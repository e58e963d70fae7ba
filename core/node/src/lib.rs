//! Adapters between the services and the outside.
//!
//! Services own no clock, thread, socket or file; what they need of those comes from here:
//! [`recording`] reads a recorded chain from a folder or from the program itself, [`store`] is the
//! durable store, [`metrics`] serves the broker's figures, [`trace`] writes the steps of the
//! machines to a file, and [`interop`] makes the genesis of a development network. With the feature
//! `api` there is a node that serves the beacon API.
#![forbid(unsafe_code)]

#[cfg(feature = "api")]
pub mod api;
#[cfg(feature = "client")]
pub mod beacon_client;
#[cfg(feature = "client")]
pub mod beacon_nodes;
#[cfg(feature = "execution")]
pub mod execution;
#[cfg(feature = "client")]
mod http_client;
pub mod interop;
pub mod metrics;
#[cfg(any(feature = "api", feature = "signer"))]
mod patient;
pub mod recording;
#[cfg(feature = "client")]
pub mod remote_signer;
#[cfg(feature = "signer")]
pub mod signer;
pub mod store;
#[cfg(all(test, any(feature = "client", feature = "execution")))]
mod test_server;
pub mod trace;
#[cfg(feature = "client")]
pub mod validator;

#[cfg(feature = "client")]
pub use http_client::HttpError;

/// How long a server pauses after the operating system had no connection to give, such as for want
/// of handles. It then tries again, however often that fails: a server that gave up would be deaf
/// for good after a short burst of connections.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
