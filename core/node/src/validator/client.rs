//! A validator client: the machine of the duties, between beacon nodes and a signer.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use blocksmith::beacon_validator::service::{
    BeaconValidatorHandle, BeaconValidatorService, Ending, Journal, Ports,
};
use blocksmith::beacon_validator::{DutyProtocol, Limits};
use blocksmith::payload_attestation::service::Journal as PayloadJournal;
use blocksmith::slashing_protection;
use blocksmith_consensus::{ChainConfig, ConfigError, Mainnet, Minimal, Phase0Duties, Root};
use blocksmith_sync::Std;
use thiserror::Error;

use super::WallClock;
use super::figures::{DutyFigures, Figured};
use super::followers::{Keys, OnPayload, follow_events, follow_health, follow_keys};
use super::guard::MemoryGuard;
use super::payload::{PayloadFigures, PayloadRequests, Payloads, payload_timing};
use super::ports::{Heads, Pool, perform};
use super::requests::Requests;
use crate::beacon_nodes::BeaconNodes;
use crate::http_client::HttpError;
use crate::remote_signer::RemoteSigner;

/// Threads that talk to the beacon node, and to the signer.
const NODE_THREADS: usize = 8;
const SIGNER_THREADS: usize = 32;
/// Requests under way at once, at most.
const REQUESTS: usize = 4096;
/// How long a call that no duty waits for may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a validator client is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The beacon nodes' addresses, `http://host:port`, in the order in which they are preferred.
    pub beacon_nodes: Vec<String>,
    /// Whether votes and aggregates are sent to all nodes at once, as blocks always are.
    pub broadcasts_votes: bool,
    /// The signer's address.
    pub signer: String,
    /// The text of its blocks; `None` leaves it to the node.
    pub graffiti: Option<Root>,
    /// How many whole epochs a key that is new here listens before it signs (see
    /// [`blocksmith::beacon_validator::doppelganger`]); 0 leaves the protection out.
    pub doppelganger_epochs: u64,
    /// Counts what becomes of the duties.
    pub figures: DutyFigures,
    /// Counts what becomes of votes on payloads.
    pub payload_figures: PayloadFigures,
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

impl ClientError {
    /// Returns whether it is worth while to try again later: somebody does not answer yet.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(
                HttpError::Transport { .. } | HttpError::Busy { .. } | HttpError::NoAnswer,
            ) => true,
            Self::Http(error) => {
                error.status().is_some_and(|status| status == 404 || status >= 500)
            }
            _ => false,
        }
    }
}

/// A validator client whose threads run. Dropping it stops it.
pub struct ValidatorClient {
    handle: BeaconValidatorHandle<Std, Phase0Duties>,
    duties: Option<JoinHandle<Ending>>,
    /// If the chain has votes on payloads.
    payloads: Option<Payloads>,
    /// Their drop ends the threads that follow the node.
    stops: Vec<mpsc::Sender<()>>,
    validators: usize,
}

impl ValidatorClient {
    /// Asks a node for its chain and the signer for its keys, and starts. Blocks for a few calls.
    /// `journal` hears how each duty goes, and a clone of it how votes on payloads go, if the node's
    /// configuration has them. Each is called on the thread of its duties and must not block. If
    /// one of these threads ends by itself, the other goes on ([`ValidatorClient::ended`]).
    ///
    /// # Errors
    /// A [`ClientError`].
    pub fn start<J>(options: &Options, journal: J) -> Result<Self, ClientError>
    where
        J: Journal + PayloadJournal + Clone + 'static,
    {
        let nodes = BeaconNodes::new(&options.beacon_nodes)?;
        let signer = RemoteSigner::new(&options.signer)?;
        let genesis = nodes.ask(PATIENCE, |node, time| node.genesis(time))?;
        let spec = nodes.ask(PATIENCE, |node, time| node.spec(time))?;
        let protocol = protocol(&spec)?;
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
        let requests = Requests::new(nodes.clone(), signer.clone(), genesis, epoch, guard)
            .with_graffiti(options.graffiti)
            .with_broadcast_votes(options.broadcasts_votes)
            .with_figures(options.figures.clone());
        let (requests, heads) = (Arc::new(requests), Arc::new(Heads::new(epoch)));
        let pool = |name, threads| {
            let (requests, heads) = (requests.clone(), heads.clone());
            let perform = move |job| perform(job, &requests, &heads, clock);
            Box::new(Pool::start(name, threads, perform))
        };
        let counted = options.figures.clone();
        let ports = Ports {
            clock: Box::new(clock),
            node: pool("validator_node", NODE_THREADS),
            signer: pool("validator_sign", SIGNER_THREADS),
            // One thread: the guard is in memory, and answers in the order in which it is asked.
            protection: pool("validator_guard", 1),
            journal: Box::new(Figured {
                figures: counted,
                clock,
                timing,
                journal: journal.clone(),
            }),
        };
        let (service, handle) = BeaconValidatorService::new(protocol, limits, REQUESTS, ports);
        let told = handle.clone();
        heads.tell_to(move |head| told.head(head));
        let payloads = payload_timing(&spec, epoch, timing.slot_ms).map(|times| {
            let requests = PayloadRequests::new(nodes.clone(), signer, genesis, epoch)
                .with_broadcast(options.broadcasts_votes);
            let figures = options.payload_figures.clone();
            Payloads::start(requests, &heads, clock, times, figures, journal)
        });
        let votes = payloads.as_ref().map(|payloads| payloads.handle.clone());
        let on_payload = votes.clone().map(|votes| {
            heads.tell_to({
                let votes = votes.clone();
                move |head| votes.head(head)
            });
            Arc::new(move |slot, block| votes.available(slot, block)) as OnPayload
        });
        let duties = std::thread::spawn(move || service.run());
        let slot = Duration::from_millis(timing.slot_ms);
        let of_node = |node| follow_events(node, heads.clone(), on_payload.clone(), slot);
        let mut stops: Vec<_> = nodes.clients().cloned().map(of_node).collect();
        let validators = keys.len();
        let epochs = options.doppelganger_epochs;
        let keys = Keys::new(keys, epochs, limits.validators);
        if options.beacon_nodes.len() > 1 {
            stops.push(follow_health(nodes.clone(), clock, timing));
        }
        let told = handle.clone();
        let tell = move |validators: Vec<_>| {
            votes.iter().for_each(|votes| votes.validators(validators.clone()));
            told.validators(validators);
        };
        stops.push(follow_keys(nodes, keys, tell, clock, timing));
        Ok(Self { handle, duties: Some(duties), payloads, stops, validators })
    }

    /// Returns how many keys the signer has.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.validators
    }

    /// Stops: no message is sent from now on, except by a call that is under way. Blocks until the
    /// duties' thread has ended. Threads that wait for the node or the signer end by themselves,
    /// once their calls do. Returns how the duties have ended: [`Ending::TooManyPanics`] if they,
    /// or the votes on payloads, ended by themselves.
    pub fn stop(mut self) -> Ending {
        self.end()
    }

    fn end(&mut self) -> Ending {
        self.stops.clear();
        self.handle.stop();
        self.payloads.iter().for_each(|payloads| payloads.handle.stop());
        // The thread contains the panics of all that it calls. One that gets through has been
        // reported, and is one too many.
        let ended = self.duties.take().map(JoinHandle::join);
        let ended = ended.map_or(Ending::Stopped, |it| it.unwrap_or(Ending::TooManyPanics));
        match self.payloads.as_mut().map(Payloads::stop) {
            Some(Ending::TooManyPanics) => Ending::TooManyPanics,
            _ => ended,
        }
    }

    /// Returns what has ended by itself, after more panics than are tolerated: the duties, the
    /// votes on payloads, or both. What has ended has dropped its journal, and the other goes on.
    #[must_use]
    pub fn ended(&self) -> Vec<&'static str> {
        let duties = self.duties.as_ref().is_some_and(JoinHandle::is_finished);
        let votes = self.payloads.as_ref().is_some_and(Payloads::has_ended);
        let both = [(duties, "the duties"), (votes, "the votes on payloads")];
        both.into_iter().filter(|(has_ended, _)| *has_ended).map(|(_, what)| what).collect()
    }

    /// Returns whether the node's configuration has votes on payloads.
    #[must_use]
    pub fn votes_on_payloads(&self) -> bool {
        self.payloads.is_some()
    }
}

impl Drop for ValidatorClient {
    fn drop(&mut self) {
        self.end();
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
    // The newer name of the length of a slot is the exact one: the older one counts whole seconds.
    let length = match of("SLOT_DURATION_MS") {
        Some(_) => "SLOT_DURATION_MS",
        None => "SECONDS_PER_SLOT",
    };
    for name in [length, "ATTESTATION_DUE_BPS", "AGGREGATE_DUE_BPS"] {
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

#[cfg(test)]
mod tests {
    use blocksmith::beacon_validator::service::{Answer, BeaconNode, Clock, Port, SignerProtects};
    use blocksmith::beacon_validator::{DutyId, Listed, Outcome, Reading, Request, Validator};
    use blocksmith::payload_attestation::{self as payload, service as votes};
    use blocksmith_consensus::{PayloadVoteDuties, PublicKeyBytes};

    use super::*;

    type Key = <Phase0Duties as DutyProtocol>::Key;

    /// A test that waits longer than this has failed.
    const LONG: Duration = Duration::from_secs(60);

    /// A node that answers nothing, and a journal that keeps nothing.
    struct Nobody;

    /// A node that answers nothing, and says that it was asked.
    struct Tells(mpsc::Sender<()>);

    impl Port<Std, Phase0Duties> for Tells {
        fn start(&mut self, _: Request<Phase0Duties>, _: u64, _: Answer<Std, Phase0Duties>) {
            // A test that has ended needs no more.
            let _ = self.0.send(());
        }
    }

    impl BeaconNode<Std, Phase0Duties> for Tells {
        fn subscribe(&mut self, _: Vec<Listed<Key>>) {}
    }

    impl votes::Port<Std, PayloadVoteDuties> for Tells {
        fn start(
            &mut self,
            _: payload::Request<PayloadVoteDuties>,
            _: u64,
            _: votes::Answer<Std, PayloadVoteDuties>,
        ) {
            let _ = self.0.send(());
        }
    }

    impl votes::Journal for Nobody {
        fn began(&mut self, _: payload::DutyId) {}
        fn ended(&mut self, _: payload::DutyId, _: payload::Outcome) {}
        fn took(&mut self, _: u64, _: payload::Step, _: u64) {}
    }

    impl Port<Std, Phase0Duties> for Nobody {
        fn start(&mut self, _: Request<Phase0Duties>, _: u64, _: Answer<Std, Phase0Duties>) {}
    }

    impl BeaconNode<Std, Phase0Duties> for Nobody {
        fn subscribe(&mut self, _: Vec<Listed<Key>>) {}
    }

    impl Journal for Nobody {
        fn began(&mut self, _: DutyId) {}
        fn ended(&mut self, _: DutyId, _: Outcome) {}
    }

    /// Returns a client without keys, whose service is run by `run` on the duties' thread.
    fn client(
        run: impl FnOnce(BeaconValidatorService<Std, Phase0Duties>) -> Ending + Send + 'static,
    ) -> ValidatorClient {
        client_asking(Nobody, u64::MAX, run)
    }

    /// As [`client`], with a node and a genesis.
    fn client_asking(
        node: impl BeaconNode<Std, Phase0Duties> + 'static,
        genesis_time: u64,
        run: impl FnOnce(BeaconValidatorService<Std, Phase0Duties>) -> Ending + Send + 'static,
    ) -> ValidatorClient {
        let ports = Ports {
            clock: Box::new(WallClock { genesis_time }),
            node: Box::new(node),
            signer: Box::new(SignerProtects),
            protection: Box::new(SignerProtects),
            journal: Box::new(Nobody),
        };
        let protocol = Phase0Duties::new::<Minimal>(&ChainConfig::minimal());
        let (service, handle) = BeaconValidatorService::new(protocol, Limits::default(), 1, ports);
        let duties = Some(std::thread::spawn(move || run(service)));
        ValidatorClient { handle, duties, payloads: None, stops: Vec::new(), validators: 0 }
    }

    #[test]
    fn a_stop_tells_how_the_duties_have_ended() {
        // The service is stopped; has ended after too many panics; or a panic came through it.
        assert_eq!(client(BeaconValidatorService::run).stop(), Ending::Stopped);
        assert_eq!(client(|_| Ending::TooManyPanics).stop(), Ending::TooManyPanics);
        // Without the panic hook, as it is meant.
        let panics = client(|_| std::panic::resume_unwind(Box::new("meant")));
        assert_eq!(panics.stop(), Ending::TooManyPanics);
    }

    /// Returns votes on payloads of a chain that has begun, and what hears of their requests.
    fn votes(
        run: impl FnOnce(votes::PayloadAttestationService<Std, PayloadVoteDuties>) -> Ending
        + Send
        + 'static,
    ) -> (Payloads, mpsc::Receiver<()>) {
        let (tell, asked) = mpsc::channel();
        let ports = votes::Ports {
            clock: Box::new(WallClock { genesis_time: 0 }),
            node: Box::new(Tells(tell.clone())),
            signer: Box::new(Tells(tell)),
            journal: Box::new(Nobody),
        };
        let protocol = PayloadVoteDuties::new(payload::Timing::gloas(8, 12_000));
        let (service, handle) = votes::Builder::new(protocol).build(ports);
        (Payloads::spawn(handle, move || run(service)), asked)
    }

    #[test]
    fn duties_and_votes_on_payloads_do_not_end_with_each_other() {
        // One of the two ends by itself. The other one then asks for the lists of a validator that
        // it is told, and the stop tells of the end.
        let ours =
            || vec![Validator { index: 1, key: PublicKeyBytes::new([1; 48]), may_sign: true }];
        let mut client = client(|_| Ending::TooManyPanics);
        let (payloads, asked) = votes(votes::PayloadAttestationService::run);
        client.payloads = Some(payloads);
        let ended = client.duties.take().map(JoinHandle::join);
        assert_eq!(ended.and_then(Result::ok), Some(Ending::TooManyPanics));
        client.payloads.iter().for_each(|payloads| payloads.handle.validators(ours()));
        asked.recv_timeout(LONG).expect("the votes go on");
        assert!(client.ended().is_empty());
        client.payloads.iter().for_each(|payloads| payloads.handle.stop());
        assert_eq!(client.stop(), Ending::Stopped);

        let (tell, asked) = mpsc::channel();
        let mut client = client_asking(Tells(tell), 0, BeaconValidatorService::run);
        let (payloads, _) = votes(|_| Ending::TooManyPanics);
        client.payloads = Some(payloads);
        while client.ended().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(client.ended(), ["the votes on payloads"]);
        client.handle.validators(ours());
        asked.recv_timeout(LONG).expect("the duties go on");
        assert_eq!(client.stop(), Ending::TooManyPanics);
    }

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
        let newer = [minimal, ("SLOT_DURATION_MS", "500"), ("SECONDS_PER_SLOT", "0")];
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
