//! A validator client: the machine of the duties, between a beacon node and a signer.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use blocksmith::beacon_validator::service::{
    BeaconValidatorHandle, BeaconValidatorService, Ending, Journal, Ports,
};
use blocksmith::beacon_validator::{DutyProtocol, Limits, Validator};
use blocksmith::slashing_protection;
use blocksmith_consensus::{
    ChainConfig, ConfigError, Mainnet, Minimal, Phase0Duties, PublicKeyBytes, Root,
};
use blocksmith_sync::Std;
use thiserror::Error;

use super::WallClock;
use super::guard::MemoryGuard;
use super::ports::{Heads, Pool};
use super::requests::Requests;
use crate::beacon_client::{BeaconClient, KnownValidator};
use crate::http_client::HttpError;
use crate::remote_signer::RemoteSigner;

/// Threads that talk to the beacon node, and to the signer.
const NODE_THREADS: usize = 8;
const SIGNER_THREADS: usize = 32;
/// Requests under way at once, at most.
const REQUESTS: usize = 4096;
/// How long a call that no duty waits for may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before a stream of events that has ended is opened again.
const REOPEN: Duration = Duration::from_millis(500);

/// What a validator client is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The beacon node's address, `http://host:port`.
    pub beacon_node: String,
    /// The signer's address.
    pub signer: String,
    /// The text of its blocks; `None` leaves it to the node.
    pub graffiti: Option<Root>,
}

/// Why a validator client does not start.
#[derive(Debug, Error)]
pub enum ClientError {
    /// An address cannot be used, or the node or the signer gives no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The node's configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node is of another preset.
    #[error("PRESET_BASE: {0:?} is neither minimal nor mainnet")]
    Preset(String),
    /// The times of a slot are out of order.
    #[error("the configuration's times of a slot are out of order")]
    Timing,
    /// The signer has more keys than a client takes.
    #[error("the signer has {0} keys, and a client takes {1} at most")]
    Keys(usize, usize),
}

/// A validator client whose threads run. Dropping it stops it.
pub struct ValidatorClient {
    handle: BeaconValidatorHandle<Std, Phase0Duties>,
    duties: Option<JoinHandle<Ending>>,
    /// Their drop ends the threads that follow the node.
    stops: Vec<mpsc::Sender<()>>,
    validators: usize,
}

impl ValidatorClient {
    /// Asks the node for its chain and the signer for its keys, and starts. Blocks for a few calls.
    /// `journal` hears how each duty goes; it is called on the duties' thread and must not block.
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn start(options: &Options, journal: impl Journal + 'static) -> Result<Self, ClientError> {
        let node = BeaconClient::new(&options.beacon_node)?;
        let signer = RemoteSigner::new(&options.signer)?;
        let genesis = node.genesis(PATIENCE)?;
        let protocol = protocol(&node.spec(PATIENCE)?)?;
        let timing = protocol.timing();
        let keys = signer.public_keys(PATIENCE)?;
        let limits = Limits::default();
        if keys.len() > limits.validators {
            return Err(ClientError::Keys(keys.len(), limits.validators));
        }
        let clock = WallClock { genesis_time: genesis.genesis_time };
        let guard = MemoryGuard::new(
            genesis.genesis_validators_root,
            slashing_protection::Limits::default(),
        );
        let epoch = timing.slots_per_epoch;
        let (client, graffiti) = (node.clone(), options.graffiti);
        let requests = Arc::new(Requests::new(client, signer, genesis, graffiti, epoch, guard));
        let heads = Arc::new(Heads::new(epoch));
        let pool = |name, threads| Box::new(Pool::start(name, threads, &requests, &heads, clock));
        let ports = Ports {
            clock: Box::new(clock),
            node: pool("validator_node", NODE_THREADS),
            signer: pool("validator_sign", SIGNER_THREADS),
            // One thread: the guard is in memory, and answers in the order in which it is asked.
            protection: pool("validator_guard", 1),
            journal: Box::new(journal),
        };
        let (service, handle) = BeaconValidatorService::new(protocol, limits, REQUESTS, ports);
        heads.tell_to(handle.clone());
        let duties = std::thread::spawn(move || service.run());
        let slot = Duration::from_millis(timing.slot_ms);
        let stops = vec![
            follow_heads(node.clone(), heads, slot),
            follow_keys(node, keys.clone(), handle.clone(), slot),
        ];
        Ok(Self { handle, duties: Some(duties), stops, validators: keys.len() })
    }

    /// Returns how many keys the signer has.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.validators
    }

    /// Stops: no message is sent from now on, except by a call that is under way. Blocks until the
    /// duties' thread has ended. Threads that wait for the node or the signer end by themselves,
    /// once their calls do.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for ValidatorClient {
    fn drop(&mut self) {
        self.stops.clear();
        self.handle.stop();
        if let Some(duties) = self.duties.take() {
            // A panic of the duties' thread has been reported.
            let _ = duties.join();
        }
    }
}

/// Returns the duties of the chain with this configuration.
fn protocol(spec: &[(String, String)]) -> Result<Phase0Duties, ClientError> {
    let of = |name: &str| spec.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let minimal = match of("PRESET_BASE") {
        Some("minimal") => true,
        Some("mainnet") => false,
        other => return Err(ClientError::Preset(other.unwrap_or_default().to_owned())),
    };
    let mut config = if minimal { ChainConfig::minimal() } else { ChainConfig::mainnet() };
    // The newer name of the length of a slot has the last word.
    for name in ["SECONDS_PER_SLOT", "SLOT_DURATION_MS", "ATTESTATION_DUE_BPS", "AGGREGATE_DUE_BPS"]
    {
        if let Some(value) = of(name) {
            config.set(name, value)?;
        }
    }
    let duties = match minimal {
        true => Phase0Duties::new::<Minimal>(&config),
        false => Phase0Duties::new::<Mainnet>(&config),
    };
    duties.timing().check().then_some(duties).ok_or(ClientError::Timing)
}

/// Starts the thread that tells the node's heads. A stream lasts for sixteen slots at most.
fn follow_heads(node: BeaconClient, heads: Arc<Heads>, slot: Duration) -> mpsc::Sender<()> {
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        loop {
            match node.heads(slot.saturating_mul(16)) {
                Ok(stream) => {
                    for event in stream {
                        heads.tell(&event);
                        if is_over(&stopped, Duration::ZERO) {
                            return;
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "no stream of heads"),
            }
            // A stream that ends at once must not be opened in a circle.
            if is_over(&stopped, REOPEN.min(slot)) {
                return;
            }
        }
    });
    stop
}

/// Starts the thread that learns the indices of the keys. Keys that are not known yet are asked for
/// in every slot (hazard D1).
fn follow_keys(
    node: BeaconClient,
    keys: Vec<PublicKeyBytes>,
    handle: BeaconValidatorHandle<Std, Phase0Duties>,
    slot: Duration,
) -> mpsc::Sender<()> {
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let mut known: Vec<KnownValidator> = Vec::new();
        loop {
            let missing: Vec<PublicKeyBytes> = keys
                .iter()
                .filter(|key| !known.iter().any(|known| known.pubkey == **key))
                .copied()
                .collect();
            if missing.is_empty() {
                return;
            }
            match node.validators(&missing, PATIENCE) {
                Ok(found) if !found.is_empty() => {
                    known.extend(found);
                    let ours = |known: &KnownValidator| Validator {
                        index: known.index,
                        key: known.pubkey,
                        may_sign: true,
                    };
                    handle.validators(known.iter().map(ours).collect());
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "the keys' validators are not known"),
            }
            if is_over(&stopped, slot) {
                return;
            }
        }
    });
    stop
}

/// Waits for a stop, at most for `pause`, and returns whether it has come.
fn is_over(stopped: &mpsc::Receiver<()>, pause: Duration) -> bool {
    stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout)
}

#[cfg(test)]
mod tests {
    use blocksmith::beacon_validator::Reading;
    use blocksmith::beacon_validator::service::Clock;

    use super::*;

    #[test]
    fn the_times_come_from_the_nodes_configuration() {
        // A slot of two seconds in the minimal preset; no preset; a length that cannot be.
        let spec = |pairs: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            protocol(&pairs.iter().map(owned).collect::<Vec<_>>())
        };
        let minimal = ("PRESET_BASE", "minimal");
        let timing = spec(&[minimal, ("SECONDS_PER_SLOT", "2")]).unwrap().timing();
        assert_eq!((timing.slot_ms, timing.slots_per_epoch), (2_000, 8));
        let newer = [minimal, ("SLOT_DURATION_MS", "500"), ("SECONDS_PER_SLOT", "2")];
        assert_eq!(spec(&newer).unwrap().timing().slot_ms, 500);
        assert!(matches!(spec(&[]), Err(ClientError::Preset(_))));
        let zero = spec(&[minimal, ("SECONDS_PER_SLOT", "0")]);
        assert!(matches!(zero, Err(ClientError::Config(_))));
    }

    #[test]
    fn the_clock_counts_from_genesis_and_says_when_it_has_not_come() {
        // Genesis at the epoch of the clock, and far in the future.
        assert!(
            matches!(WallClock { genesis_time: 0 }.read(), Reading::SinceGenesis(ms) if ms > 0)
        );
        assert_eq!(WallClock { genesis_time: u64::MAX }.read(), Reading::BeforeGenesis);
    }
}
