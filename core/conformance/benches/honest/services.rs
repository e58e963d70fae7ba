//! The gossip through the services, on std threads.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use blocksmith::consensus::Consensus;
use blocksmith::verdict::Verdict;
use blocksmith::{Blocksmith, Client, Config, Submission};
use blocksmith_consensus::{Mainnet, Phase0};
use blocksmith_sync::Std;

use crate::cpu_time;
use crate::floor::Parts;
use crate::slot::{Gossip, Item, SLOT};

/// A verdict that is not there by then never comes.
const DEADLINE: Duration = Duration::from_secs(120);
/// When single attestations come, after the beginning of the slot.
const SINGLES_AT: Duration = Duration::from_secs(4);
/// When aggregates come.
const AGGREGATES_AT: Duration = Duration::from_secs(8);

/// What a run took.
pub(crate) struct Played {
    pub(crate) cpu: Parts,
    /// From a submission to its verdict; votes ascending.
    pub(crate) block: Duration,
    pub(crate) singles: Vec<Duration>,
    pub(crate) aggregates: Vec<Duration>,
}

/// Counts verdicts, and knows when each was sent.
#[derive(Default)]
struct Bell {
    rung: Mutex<usize>,
    changed: Condvar,
}

struct Arrival {
    bell: Arc<Bell>,
    at: OnceLock<Instant>,
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        if self.at.set(Instant::now()).is_ok() {
            *self.bell.rung.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.bell.changed.notify_all();
        }
    }
}

/// A submission on its way.
struct Sent<C: Consensus> {
    start: Instant,
    submission: Submission<Std, C>,
    arrival: Arc<Arrival>,
}

impl<C: Consensus> Sent<C> {
    fn new(start: Instant, mut item: Submission<Std, C>, bell: &Arc<Bell>) -> Self {
        let arrival = Arc::new(Arrival { bell: bell.clone(), at: OnceLock::new() });
        let waker = Waker::from(arrival.clone());
        if Pin::new(&mut item).poll(&mut Context::from_waker(&waker)).is_ready() {
            waker.wake();
        }
        Self { start, submission: item, arrival }
    }

    /// Returns the time to the verdict.
    ///
    /// # Panics
    /// If the item was not accepted for relay: it is honest.
    fn latency(mut self) -> Duration {
        let verdict = self.submission.try_wait().expect("every item has its verdict");
        assert!(matches!(verdict, Verdict::Accept { relay: true, .. }), "{verdict:?}");
        self.arrival.at.get().expect("the bell rang").duration_since(self.start)
    }
}

pub(crate) fn submit<C: Consensus>(
    client: &Client<Std, C>,
    item: &Item,
    peer: u64,
) -> Submission<Std, C> {
    let submitted = match item {
        Item::Single(bytes, subnet) => client.submit_single_attestation_bytes(bytes, *subnet, peer),
        Item::Aggregate(bytes) => client.submit_aggregate_bytes(bytes, peer),
    };
    submitted.expect("honest bytes")
}

/// Sends items as fast as the services take them, and returns the time to each verdict, ascending.
pub(crate) fn burst<C: Consensus>(
    client: &Client<Std, C>,
    items: &[Item],
    peers: usize,
) -> Vec<Duration> {
    let bell = Arc::new(Bell::default());
    let each = items.iter().enumerate().map(|(at, item)| {
        let start = Instant::now();
        Sent::new(start, submit(client, item, (at % peers) as u64), &bell)
    });
    let sent: Vec<_> = each.collect();
    let rung = bell.rung.lock().unwrap_or_else(PoisonError::into_inner);
    drop(bell.changed.wait_timeout_while(rung, DEADLINE, |rung| *rung < sent.len()));
    let mut latencies: Vec<_> = sent.into_iter().map(Sent::latency).collect();
    latencies.sort_unstable();
    latencies
}

fn block<C: Consensus>(client: &Client<Std, C>, bytes: &[u8]) -> Duration {
    let start = Instant::now();
    let verdict = client.submit_block_bytes(bytes, 0).expect("an honest block").wait();
    assert!(matches!(verdict, Verdict::Accept { relay: true, .. }), "{verdict:?}");
    start.elapsed()
}

/// Returns the CPU time until the services rest, and what `step` returns.
fn cpu_of<C: Consensus, R>(client: &Client<Std, C>, step: impl FnOnce() -> R) -> (Duration, R) {
    let before = cpu_time();
    let result = step();
    client.rest();
    (cpu_time() - before, result)
}

/// Starts services, brings them to the slot before, and plays the slot.
pub(crate) fn run(gossip: &Gossip, config: Config) -> Played {
    let protocol = Arc::new(Phase0::new(gossip.config.clone()));
    let (blocksmith, _notices) =
        Blocksmith::<Std, Phase0<Mainnet>>::start(config, protocol, gossip.anchor())
            .expect("the services start");
    let client = blocksmith.client();
    for (bytes, slot) in gossip.before.iter().zip(1..) {
        client.tick(slot, Duration::ZERO);
        block(client, bytes);
    }
    let peers = gossip.introductions.len();
    burst(client, &gossip.introductions, peers);
    client.tick(SLOT, Duration::ZERO);
    client.rest();
    let (of_block, block) = cpu_of(client, || block(client, &gossip.block));
    client.tick(SLOT, SINGLES_AT);
    let (of_singles, singles) = cpu_of(client, || burst(client, &gossip.singles.items, peers));
    client.tick(SLOT, AGGREGATES_AT);
    let (of_aggregates, aggregates) =
        cpu_of(client, || burst(client, &gossip.aggregates.items, peers));
    let report = blocksmith.stop();
    assert_eq!((report.panics, report.cause), (0, None));
    let cpu = Parts { block: of_block, singles: of_singles, aggregates: of_aggregates };
    Played { cpu, block, singles, aggregates }
}
