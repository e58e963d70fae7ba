//! The beacon node's API over HTTP, and a node around the services that serves it.
//!
//! **Contract.** [`Node::start`] makes the genesis of a development network, starts the services, a
//! clock that ticks them, and the server. [`Node::stop`] goes the other way: first no client is
//! answered any more, then the clock stops, then the services do. A validator client that knows the
//! beacon API can do its duties through the server: no other way leads in. What it submits goes the
//! way of everything that comes from a network; what is accepted is handed to [`Broadcast`].
//!
//! ```text
//!   validator client ──HTTP──> server ──> handlers ──async──> Client (services)
//!                                 ^          │  │
//!                                 │ events   │  └──> Broadcast (network)
//!                                hub <── follower <── watch of the chain     clock ──> tick
//! ```
//!
//! | request | answered by |
//! |---|---|
//! | genesis, configuration, the node itself, metrics, events | `info`, `events` |
//! | states, validators, committees | `states` |
//! | blocks and headers; a block to publish | `blocks` |
//! | duties, liveness, subscriptions | `duties` |
//! | a block to sign, data to attest to, an aggregate | `validator` |
//! | attestations, aggregates, slashings, exits | `pool` |
//! | the payload-timeliness committee, in the test fork alone | `payloads` |
//!
//! | status | when |
//! |---|---|
//! | 400 | malformed, or cannot be; a list names its failures |
//! | 404 | the node does not have it; no such path |
//! | 405, 406, 408, 413, 415 | as HTTP says; 408 by [`Limits`], 413 beyond [`MAX_BODY`] |
//! | 500 | a fault of ours |
//! | 503 | syncing, stopping, or too much to do |
//!
//! Every error has the body `{"code", "message"}`, but for what is not HTTP.
//!
//! **Invariants.** Those of the modules: B1 to B3 in `beacon`, E1 to E3 in `events`, Q1 and Q2 in
//! `request`, R1 in `recent`, S1 to S3 in `pool`, Y1 to Y3 in `payloads`, T1 in `duties`, W1 to W4 in `server`. And:
//! - N1 A handler holds no lock across an await. The services never wait for a handler.
//! - N2 The clock tells the services each slot, and once more half a second before it, in the order
//!   of time as the clock shows it.
//!
//! Reference: ethereum/beacon-APIs; what a real client asks is recorded in
//! `tests/interop/README.md`.

mod beacon;
mod blocks;
mod broadcast;
mod clock;
mod dump;
mod duties;
mod error;
mod eth1;
mod events;
mod follower;
mod info;
mod node;
mod payloads;
mod pool;
mod recent;
mod request;
mod requests;
mod routes;
mod server;
mod states;
#[cfg(test)]
mod tests;
mod validator;

pub use broadcast::{Broadcast, Loopback, Published};
pub use clock::{SlotClock, Time};
pub use dump::FILES;
pub use error::ApiError;
pub use eth1::Eth1Votes;
pub use events::{HELD, STREAMS, Topic};
pub use node::{Node, NodeError, Options, Parts};
pub use routes::MAX_BODY;
pub use server::{Limits, MAX_HEAD, STOP};
