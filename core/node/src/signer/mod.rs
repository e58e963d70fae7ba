//! The signer: secret keys in a process of their own, behind the remote-signing API.
//!
//! **Contract.** [`Signer::start`] serves on an address of the loopback interface until it is
//! stopped or dropped. It signs what slashing protection allows, and computes by itself what it
//! signs.
//!
//! ```text
//!  HTTP ──> server ──> signing      what is signed: root and statement, from the object
//!              │
//!              ├─────> batch        one thread with the store: many requests, one commit
//!              │         └─ protection (SQLite)
//!              └─────> signature    after the commit (hazard V1)
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`keystore`] | decrypts EIP-2335 files and locks them |
//! | [`protection`] | the store of `blocksmith::slashing_protection` in SQLite |
//! | [`interchange`] | EIP-3076 files |
//! | [`signing`] | reads a request and computes its signing root |
//! | [`batch`] | gathers requests for one transaction |
//! | [`horizon`] | refuses what lies too far ahead of the clock, if the signer has one |
//! | [`log`] | a line for each signature that can be slashable, if that is wanted |
//! | [`figures`] | counts what was signed, refused, and why |
//! | [`server`] | HTTP, with its bounds |
//!
//! **Invariants.**
//! - I1 A signature over a block or an attestation is made after its record was committed.
//! - I2 What is signed is computed from the request's object. A root that the request states is
//!   compared with it, and never used.
//! - I3 One signer at a time has a database, and one has a keystore; both are locked.
//! - I4 Once the database has failed, no block and no attestation is signed until a restart.
//! - I5 What is signed is for the chain of the records, whether it can be slashable or not. Only a
//!   deposit is for none.
//! - I6 With a clock, what lies more than an epoch ahead is refused before it is recorded. Without
//!   one, whoever reaches the signer can bar a key by a vote for a far epoch.
//! - I7 The stop takes at most twice [`STOP_PATIENCE`], and the time of one commit.
//!
//! **Blocking.** Requests wait for the thread that has the store, and it waits for its disk alone.

pub mod batch;
pub mod figures;
pub mod horizon;
pub mod interchange;
pub mod keystore;
pub mod log;
pub mod protection;
pub mod server;
pub mod signing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use blocksmith::slashing_protection::{Limits, ProtectionStore};
use blocksmith::store::StoreError;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use batch::{Counters, Protector};
use figures::Figures;
use horizon::Horizon;
use keystore::LockedKey;
use log::SignatureLog;

/// Time that requests have to be finished once the signer stops.
pub const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Why the signer does not start.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The address can be reached from elsewhere, and nobody has to identify himself.
    #[error("{0}: not an address of the loopback interface")]
    NotLoopback(SocketAddr),
    /// The system refuses.
    #[error("{address}: {error}")]
    Io {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// An epoch has no slots.
    #[error("an epoch has at least one slot")]
    NoSlots,
}

/// How a signer is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether `listen` may be an address that others reach. Whoever reaches it can have anything
    /// signed that slashing protection allows.
    pub beyond_loopback: bool,
    /// Slots of an epoch: 32 in the mainnet preset, 8 in the minimal one.
    pub slots_per_epoch: u64,
    /// Records of a key.
    pub limits: Limits,
}

/// What a signer may have besides; by default it has neither.
#[derive(Default)]
pub struct Parts {
    /// Where each block and attestation is logged before it is signed.
    pub log: Option<SignatureLog>,
    /// How far ahead of the clock what is signed may lie (I6).
    pub horizon: Option<Horizon>,
}

/// A signer that serves.
pub struct Signer {
    address: SocketAddr,
    protector: Option<Protector>,
    figures: Arc<Figures>,
    stop: watch::Sender<bool>,
    server: Option<tokio::task::JoinHandle<()>>,
    runtime: Option<Runtime>,
    /// Ends once nobody can ask any more.
    protection: Option<Box<dyn FnOnce() + Send + Sync>>,
    /// The locks on the keystores.
    _keys: Vec<LockedKey>,
}

impl Signer {
    /// Serves `keys`, guarded by `store` and by what `parts` there are. `on_failure` is called, in
    /// another thread, if the store or the log fails; the signer ought to be stopped then.
    ///
    /// # Errors
    /// [`SignerError`] if the address is not allowed or cannot be bound.
    pub fn start<S: ProtectionStore + Send + 'static>(
        config: Config,
        keys: Vec<LockedKey>,
        store: S,
        parts: Parts,
        on_failure: impl FnOnce(StoreError) + Send + 'static,
    ) -> Result<Self, SignerError> {
        Self::bounded(config, server::Bounds::default(), keys, store, parts, on_failure)
    }

    /// As [`Self::start`], with other bounds.
    fn bounded<S: ProtectionStore + Send + 'static>(
        config: Config,
        bounds: server::Bounds,
        keys: Vec<LockedKey>,
        store: S,
        parts: Parts,
        on_failure: impl FnOnce(StoreError) + Send + 'static,
    ) -> Result<Self, SignerError> {
        if !config.listen.ip().is_loopback() && !config.beyond_loopback {
            return Err(SignerError::NotLoopback(config.listen));
        }
        if config.slots_per_epoch == 0 {
            return Err(SignerError::NoSlots);
        }
        let failed = |error| SignerError::Io { address: config.listen, error };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(processors)
            .thread_name("signer")
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind(config.listen)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (protector, thread): (_, JoinHandle<S>) =
            Protector::start(store, config.limits, parts.log, on_failure).map_err(failed)?;
        let by_key = keys.iter().map(|key| (key.public_key, key.secret.clone()));
        let by_key: BTreeMap<_, _> = by_key.collect();
        let figures = Arc::new(Figures::default());
        let shared = server::Shared::new(
            by_key,
            protector.clone(),
            parts.horizon,
            figures.clone(),
            config.slots_per_epoch,
            bounds,
        );
        let (stop, stopping) = watch::channel(false);
        let serving = server::serve(listener, Arc::new(shared), stopping, STOP_PATIENCE);
        let server = runtime.spawn(serving);
        let protection = Box::new(move || match thread.join() {
            Ok(store) => drop(store),
            Err(_) => tracing::error!("the thread of the slashing protection had panicked"),
        });
        Ok(Self {
            address,
            protector: Some(protector),
            figures,
            stop,
            server: Some(server),
            runtime: Some(runtime),
            protection: Some(protection),
            _keys: keys,
        })
    }

    /// Returns the address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what was signed and refused.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Returns what slashing protection has done.
    #[must_use]
    pub fn counters(&self) -> Option<&Counters> {
        self.protector.as_ref().map(Protector::counters)
    }
}

/// Stops: no connection is accepted any more, what was begun is finished, and the store is closed.
/// Blocks as I7 says.
impl Drop for Signer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let (Some(runtime), Some(server)) = (self.runtime.take(), self.server.take()) {
            if runtime.block_on(server).is_err() {
                tracing::error!("the server of the signer had panicked");
            }
            runtime.shutdown_timeout(STOP_PATIENCE);
        }
        drop(self.protector.take());
        if let Some(join) = self.protection.take() {
            join();
        }
    }
}
