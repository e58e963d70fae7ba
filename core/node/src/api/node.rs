//! A node of a development network: services, a clock, and the server; see [`super`].

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use blocksmith::clearance::ChainView;
use blocksmith::gossip::MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS;
use blocksmith::notice::{Notice, NoticeOf};
use blocksmith::store::{Store, StoreError};
use blocksmith::{Anchor, Blocksmith, Client, Config, NoticeReceiver, StartError, StopReport};
use blocksmith_consensus::{ChainConfig, GenesisError, Payloads, Phase0, Preset, Root};
use blocksmith_sync::{RecvTimeoutError as RecvTimeout, Std, watch};
use thiserror::Error;

use super::beacon::{Beacon, Genesis, Offences};
use super::broadcast::Broadcast;
use super::clock::{SlotClock, Time};
use super::dump::Dump;
use super::eth1::Eth1Votes;
use super::follower::follow;
use super::routes::router;
use super::server::{Limits, Server};
use crate::interop;
use crate::store::RedbStore;

/// The longest that the clock's thread sleeps before it looks at the time again: a clock that steps
/// is followed after that.
const LOOK: Duration = Duration::from_millis(500);

/// How often the reader of notices looks whether the services have ended, if they tell nothing.
const QUIET: Duration = Duration::from_millis(100);

/// What a node is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The chain's configuration.
    pub config: ChainConfig,
    /// Validators at genesis, whose keys everybody knows (see [`crate::interop`]); at least 1.
    pub validators: u64,
    /// When the chain begins, in seconds since the Unix epoch.
    pub genesis_time: u64,
    /// Where the API is served. With port 0 the operating system chooses one.
    pub listen: SocketAddr,
    /// Where what a restart needs is kept; without it, the chain is kept in memory alone, and
    /// finalised blocks are had only as long as they are among the last ones.
    pub data: Option<PathBuf>,
    /// Where blocks are dumped.
    pub ssz_dump: Option<PathBuf>,
    /// Sizes of the services.
    pub services: Config,
}

/// What a node may have besides; by default it has no execution layer, and the usual limits.
#[derive(Clone, Default)]
pub struct Parts {
    /// What clients may take.
    pub limits: Limits,
    /// Where the votes and deposits of blocks come from.
    pub eth1: Option<Arc<dyn Eth1Votes>>,
    /// If it is set, the chain is the test fork "phase0 with a payload-timeliness committee", and
    /// this says when payloads are there.
    pub payload_committee: Option<Payloads>,
}

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum NodeError {
    /// Nobody could make a block.
    #[error("there must be at least one validator")]
    NoValidators,
    /// There is no genesis.
    #[error("genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The services do not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address cannot be served.
    #[error("{address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// The folder of the dump cannot be made.
    #[error("{path}: {error}")]
    Dump {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}

/// A thread that runs until it is told to stop.
struct Ticker {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

/// A running node. To drop it stops it, however long the services take.
pub struct Node<P: Preset> {
    services: Option<Blocksmith<Std, Phase0<P>>>,
    server: Option<Server>,
    ticker: Option<Ticker>,
    /// The follower of the chain and the reader of notices: they end with the services.
    readers: Vec<JoinHandle<()>>,
    beacon: Arc<Beacon<P>>,
}

impl<P: Preset> Node<P> {
    /// Starts a node. Blocks while genesis is made, and while a store is read.
    ///
    /// # Errors
    /// [`NodeError`]; then nothing runs.
    pub fn start(
        options: Options,
        time: Time,
        network: Arc<dyn Broadcast>,
    ) -> Result<Self, NodeError> {
        Self::start_with(options, time, network, Parts::default())
    }

    /// As [`Node::start`], with parts of one's own.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(
        options: Options,
        time: Time,
        network: Arc<dyn Broadcast>,
        parts: Parts,
    ) -> Result<Self, NodeError> {
        if options.validators == 0 {
            return Err(NodeError::NoValidators);
        }
        let config = options.config;
        let state = interop::genesis::<P>(options.validators, options.genesis_time, &config)?;
        let genesis = Genesis::new(state.clone());
        let dump = options
            .ssz_dump
            .map(|path| Dump::new(path.clone()).map_err(|error| NodeError::Dump { path, error }));
        let dump = dump.transpose()?;
        let clock =
            SlotClock::new(time.clone(), options.genesis_time, config.slot_duration_ms.get());
        let protocol = Arc::new(match parts.payload_committee {
            Some(payloads) => Phase0::<P>::with_payload_committee(config, payloads),
            None => Phase0::<P>::new(config),
        });
        let anchor = Anchor { root: genesis.root(), slot: 0, state };
        // Validators' items all come from one source, whose calls wait for room.
        let services =
            Config { mailbox_per_peer: options.services.mailbox_capacity, ..options.services };
        let (services, notices) = match options.data {
            Some(folder) => {
                let store = RedbStore::open(&folder, protocol.clone(), &genesis.root())?;
                let store: Box<dyn Store<Phase0<P>>> = Box::new(store);
                Blocksmith::start_durable(services, protocol, anchor, store)?
            }
            None => Blocksmith::start(services, protocol, anchor)?,
        };
        let client = services.client().clone();
        tick(&client, &clock);
        let limits = parts.limits;
        let beacon = Beacon::new(client.clone(), genesis, clock.clone(), network, dump, parts);
        let beacon = Arc::new(beacon);
        let chain = client.watch_chain();
        let mut node = Self {
            services: Some(services),
            server: None,
            ticker: None,
            readers: vec![],
            beacon: beacon.clone(),
        };
        let counted = beacon.clone();
        node.readers.push(std::thread::spawn(move || report(notices, &chain, &counted)));
        let followed = beacon.clone();
        node.readers.push(std::thread::spawn(move || follow(&followed)));
        if matches!(time, Time::System) {
            node.ticker = Some(Ticker::start(client, clock));
        }
        let address = options.listen;
        let server = Server::serve(address, router(&beacon), limits);
        node.server = Some(server.map_err(|error| NodeError::Listen { address, error })?);
        Ok(node)
    }

    /// Returns where the API is served.
    ///
    /// # Panics
    /// Never: a node that has started has a server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("it has started").address()
    }

    /// Returns how many connections clients have.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.as_ref().map_or(0, Server::connections)
    }

    /// Returns the services' handle.
    #[must_use]
    pub fn client(&self) -> &Client<Std, Phase0<P>> {
        &self.beacon.client
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &SlotClock {
        &self.beacon.clock
    }

    /// Returns the root of the genesis block.
    #[must_use]
    pub fn genesis_root(&self) -> Root {
        self.beacon.genesis.root()
    }

    #[cfg(test)]
    pub(super) fn beacon(&self) -> &Beacon<P> {
        &self.beacon
    }

    /// Tells the services the time. A node with the system's time does so by itself.
    pub fn tick(&self) {
        tick(self.client(), self.clock());
    }

    /// Returns whether the services have stopped by themselves.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.beacon.chain.is_closed()
    }

    /// Stops the server, then the clock, then the services, and returns after about `deadline` and
    /// [`super::STOP`] at the latest.
    pub fn stop(mut self, deadline: Duration) -> StopReport {
        self.shut_down(Some(deadline))
    }

    fn shut_down(&mut self, deadline: Option<Duration>) -> StopReport {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        if let Some(Ticker { stop, thread }) = self.ticker.take() {
            // It is gone if it has panicked.
            let _ = stop.send(());
            join(thread);
        }
        let report = match (self.services.take(), deadline) {
            (Some(services), Some(deadline)) => services.stop_within(deadline),
            (Some(services), None) => services.stop(),
            (None, _) => StopReport::default(),
        };
        if report.late.is_empty() {
            self.readers.drain(..).for_each(join);
        }
        report
    }
}

impl<P: Preset> Drop for Node<P> {
    fn drop(&mut self) {
        if self.services.is_some() {
            self.shut_down(None);
        }
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the node had panicked");
    }
}

fn tick<P: Preset>(client: &Client<Std, Phase0<P>>, clock: &SlotClock) {
    if let Some((slot, into)) = clock.now() {
        client.tick(slot, into);
    }
}

impl Ticker {
    fn start<P: Preset>(client: Client<Std, Phase0<P>>, clock: SlotClock) -> Self {
        let (stop, stopped) = mpsc::channel();
        let early = Duration::from_millis(MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS);
        let body = move || {
            let mut told = None;
            loop {
                let until = clock.until_tick(early);
                match stopped.recv_timeout(until.min(LOOK)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
                // Between ticks, a look changes nothing; after a step of the clock it is a tick, and
                // so is the first look at which no honest clock shows the slot before any more.
                let now = clock.now().map(|(slot, into)| (slot, into > early));
                if until <= LOOK || now != told {
                    tick(&client, &clock);
                    told = now;
                }
            }
        };
        Self { stop, thread: std::thread::spawn(body) }
    }
}

/// Logs what the services tell, until they end. The handles of the services are senders of notices
/// as well, and outlive the services, so that it is the chain that tells of the end.
fn report<P: Preset>(
    mut notices: NoticeReceiver<Std, Phase0<P>>,
    chain: &watch::Receiver<Std, ChainView<Root>>,
    beacon: &Beacon<P>,
) {
    loop {
        match notices.recv_timeout(QUIET) {
            Ok(notice) => {
                count::<P>(&notice, &beacon.offences);
                // The Quarantine may have been rebuilt, and then knows of no payload.
                if let Notice::NeedPayload { root } = &notice
                    && beacon.arrivals.has(root)
                {
                    beacon.client.payload(*root);
                }
                log::<P>(notice);
            }
            Err(RecvTimeout::Timeout) if !chain.is_closed() => {}
            Err(_) => return,
        }
    }
}

fn count<P: Preset>(notice: &NoticeOf<Phase0<P>>, offences: &Offences) {
    let (counter, validators) = match notice {
        Notice::Equivocation { .. } => (&offences.double_blocks, 1),
        Notice::DoubleVote { validators, .. } => (&offences.double_votes, validators.len()),
        Notice::SurroundVote { validators, .. } => (&offences.surround_votes, validators.len()),
        _ => return,
    };
    // ORDERING: pairs with nothing; nothing but the number is handed over.
    counter.fetch_add(validators as u64, Ordering::Relaxed);
}

fn log<P: Preset>(notice: NoticeOf<Phase0<P>>) {
    match notice {
        Notice::HeadChanged { new, reorg_depth, .. } => {
            tracing::info!(head = %new, reorg_depth, "head");
        }
        Notice::Justified(checkpoint) => tracing::info!(epoch = checkpoint.epoch, "justified"),
        Notice::Finalized(checkpoint) => tracing::info!(epoch = checkpoint.epoch, "finalized"),
        Notice::Equivocation { proposer, slot, .. } => {
            tracing::warn!(proposer, slot, "a proposer signed two blocks");
        }
        Notice::DoubleVote { validators, .. } => {
            tracing::warn!(?validators, "validators voted twice");
        }
        Notice::SurroundVote { validators, .. } => {
            tracing::warn!(?validators, "validators' votes surround one another");
        }
        Notice::StoreFailed(error) => tracing::error!(%error, "the store has failed"),
        Notice::Panicked { service, message, text, .. } => {
            tracing::error!(?service, message, text, "a service panicked");
        }
        Notice::Escalated { cause } => tracing::error!(?cause, "the services stop"),
        notice => tracing::debug!(?notice, "notice"),
    }
}
