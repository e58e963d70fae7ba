//! The validator client: the machine of the duties between a beacon node and a signer, over HTTP.
//!
//! ```text
//!            heads, indices                      requests by duty
//!   beacon node ───────────> BeaconValidator ───────────────────> pools of threads ──> beacon node
//!        (events, polls)       (one thread)   <─── answers ───────        │
//!                                                                         ├──> guard (in memory)
//!                                                                         └──> signer
//! ```
//!
//! **Contract.** [`ValidatorClient::start`] needs a node and one signer of the standard APIs, no
//! matter whose. What is signed, and when, is decided by
//! [`blocksmith::beacon_validator`]. The signer's slashing protection is the one that is durable;
//! a [`MemoryGuard`] stands before it.

mod client;
mod figures;
mod followers;
mod guard;
mod payload;
mod ports;
mod requests;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use blocksmith::beacon_validator::Reading;
use blocksmith::beacon_validator::service::Clock;

pub use client::{ClientError, Options, ValidatorClient};
pub use figures::DutyFigures;
pub use guard::MemoryGuard;
pub use payload::{PayloadFigures, PayloadRequests};
pub use requests::{Guard, GuardedMessage, Requests};

/// The machine's clock, read as time since genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    /// Genesis, in seconds since the Unix epoch.
    pub genesis_time: u64,
}

impl Clock for WallClock {
    fn read(&self) -> Reading {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = now.checked_sub(Duration::from_secs(self.genesis_time));
        let ms = since.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        ms.map_or(Reading::BeforeGenesis, Reading::SinceGenesis)
    }
}
