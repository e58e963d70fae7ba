//! Puts the beacon API under load: `cargo run --release -p blocksmith-node --features api --example
//! api_load -- [SECONDS] [CONNECTIONS] [RATE]`; by default 10 seconds, 16 connections and 10,000
//! requests a second.
//!
//! A process asks for small states of a node in another process, over connections that stay open,
//! while the node's validators propose through the same API and forged blocks come from five peers.
//! It prints how many answers came in a second, and their latency from the moment at which each
//! request was due, so that a late answer delays no later one's count. Then it prints the times of
//! the proposals, from the beginning of the slot to the network. It exits with 1 if a request
//! fails.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use blocksmith::{Client, Config, Submission};
use blocksmith_consensus::{
    BeaconBlock, ChainConfig, DOMAIN_BEACON_PROPOSER, DOMAIN_RANDAO, DomainType, FromJson, Json,
    Minimal, Phase0, Root, SharedBlock, SignatureBytes, SignedBeaconBlock, Wire, compute_domain,
    compute_signing_root,
};
use blocksmith_node::api::{Broadcast, Node, Options, Published, Time};
use blocksmith_node::interop;
use blocksmith_sync::Std;
use serde_json::Value;

type Failed = Box<dyn Error + Send + Sync>;

const VALIDATORS: u64 = 64;
const GENESIS_TIME: u64 = 1_795_835_595;
const SLOT_MS: u64 = 6_000;
/// Time from one block to the next, as the clock on the wall shows it.
const PACE: Duration = Duration::from_millis(500);
/// Forged blocks between two honest ones.
const FORGED: u64 = 200;
/// Peers that send them.
const PEERS: u64 = 5;
/// What is asked for, in turn.
const TARGETS: [&str; 4] = [
    "/eth/v1/beacon/states/head/finality_checkpoints",
    "/eth/v1/beacon/states/head/fork",
    "/eth/v1/beacon/states/head/root",
    "/eth/v1/beacon/headers/head",
];

/// One connection that stays open.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: SocketAddr) -> Result<Self, Failed> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Returns the body of an answer with status 200.
    fn ask(&mut self, method: &str, target: &str, body: &str) -> Result<Vec<u8>, Failed> {
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut first, mut length) = (String::new(), 0);
        self.0.read_line(&mut first)?;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        if first.split(' ').nth(1) != Some("200") {
            let text = String::from_utf8_lossy(&answer).into_owned();
            return Err(format!("{target}: {} {text}", first.trim()).into());
        }
        Ok(answer)
    }

    fn data(&mut self, target: &str) -> Result<Value, Failed> {
        let answer: Value = serde_json::from_slice(&self.ask("GET", target, "")?)?;
        Ok(answer["data"].clone())
    }
}

/// The process that asks. Returns the latencies of one connection.
fn ask(
    address: SocketAddr,
    first: usize,
    every: Duration,
    time: Duration,
) -> Result<Vec<Duration>, Failed> {
    let mut connection = Connection::open(address)?;
    let start = Instant::now();
    let mut latencies = Vec::new();
    let mut due = Duration::ZERO;
    while due < time {
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        connection.ask("GET", TARGETS[(first + latencies.len()) % TARGETS.len()], "")?;
        latencies.push(start.elapsed().saturating_sub(due));
        due += every;
    }
    Ok(latencies)
}

fn load(address: SocketAddr, seconds: u64, connections: u32, rate: u32) -> Result<(), Failed> {
    let (time, start) = (Duration::from_secs(seconds), Instant::now());
    let every = Duration::from_secs(1) * connections / rate;
    let askers: Vec<_> = (0..connections as usize)
        .map(|first| std::thread::spawn(move || ask(address, first, every, time)))
        .collect();
    let mut latencies = Vec::new();
    for asker in askers {
        latencies.extend(asker.join().map_err(|_| "a thread panicked")??);
    }
    let per_second = latencies.len() as f64 / start.elapsed().as_secs_f64();
    println!("{} GETs, {per_second:.0} per second of {rate} asked for", latencies.len());
    print("latency of a GET", latencies);
    Ok(())
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let Some(last) = times.last() else { return };
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{what}: p50 {:?}, p99 {:?}, longest {last:?}", at(50), at(99));
}

/// A network that tells when a block was published.
struct Network(mpsc::SyncSender<Instant>);

impl Broadcast for Network {
    fn publish(&self, message: Published) {
        if matches!(message, Published::Block(_)) {
            // Without a reader the figures are complete.
            let _ = self.0.try_send(Instant::now());
        }
    }
}

/// Signs with an interop key at genesis' version.
fn sign(
    node: &Node<Minimal>,
    genesis: Root,
    key: u64,
    root: Root,
    kind: DomainType,
) -> SignatureBytes {
    let version = node.client().consensus().config().genesis_fork_version;
    let domain = compute_domain(kind, version, genesis);
    interop::secret_key(key).sign(compute_signing_root(root, domain).as_bytes())
}

/// Produces, signs and publishes a block through the API.
fn propose(
    node: &Node<Minimal>,
    genesis: Root,
    api: &mut Connection,
    slot: u64,
    key: u64,
) -> Result<SignedBeaconBlock, Failed> {
    let mut epoch = [0; 32];
    epoch[..8].copy_from_slice(&(slot / 8).to_le_bytes());
    let reveal = sign(node, genesis, key, Root::new(epoch), DOMAIN_RANDAO);
    let data = api.data(&format!("/eth/v3/validator/blocks/{slot}?randao_reveal={reveal}"))?;
    let message = BeaconBlock::from_json(&data).map_err(|error| error.to_string())?;
    let signature = sign(node, genesis, key, message.hash_tree_root(), DOMAIN_BEACON_PROPOSER);
    let block = SignedBeaconBlock { message, signature };
    api.ask("POST", "/eth/v2/beacon/blocks", &block.to_json())?;
    Ok(block)
}

/// Sends blocks of a slot on the last block, by its proposer but without its signature, until it is
/// told to stop. Returns how many were answered.
fn flood(
    client: &Client<Std, Phase0<Minimal>>,
    last: &SignedBeaconBlock,
    (slot, proposer_index): (u64, u64),
    done: &AtomicBool,
) -> usize {
    let parent_root = last.message.hash_tree_root();
    let mut pending = Vec::new();
    for at in 0..FORGED {
        // ORDERING: pairs with nothing; it is a hint to end soon.
        if done.load(Relaxed) {
            break;
        }
        let mut forged = last.clone();
        let mut graffiti = [0; 32];
        graffiti[..8].copy_from_slice(&at.to_le_bytes());
        forged.message.body.graffiti = Root::new(graffiti);
        (forged.message.slot, forged.message.proposer_index) = (slot, proposer_index);
        forged.message.parent_root = parent_root;
        let bytes = forged.encode().len();
        pending.push(client.submit_block(SharedBlock::from(forged), at % PEERS, bytes));
    }
    pending.into_iter().map(Submission::wait).count()
}

fn serve(arguments: &[String], seconds: u64) -> Result<(), Failed> {
    let now_ms = Arc::new(AtomicU64::new(GENESIS_TIME * 1000));
    let (published, network) = mpsc::sync_channel(1024);
    let options = Options {
        config: ChainConfig::minimal(),
        validators: VALIDATORS,
        genesis_time: GENESIS_TIME,
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        data: None,
        ssz_dump: None,
        services: Config { workers: 2, ..Config::default() },
    };
    let time = Time::Manual(now_ms.clone());
    let node = Node::<Minimal>::start(options, time, Arc::new(Network(published)))?;
    let address = node.address();
    let mut api = Connection::open(address)?;
    let genesis = api.data("/eth/v1/beacon/genesis")?["genesis_validators_root"].clone();
    let genesis: Root = genesis.as_str().ok_or("no root")?.parse()?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg(format!("--ask={address}"))
        .args(arguments)
        .stdout(Stdio::inherit())
        .spawn()?;
    let (start, mut times, mut forged, mut slot) = (Instant::now(), Vec::new(), 0, 0);
    let mut last: Option<SignedBeaconBlock> = None;
    while start.elapsed() < Duration::from_secs(seconds) {
        slot += 1;
        let duties = api.data(&format!("/eth/v1/validator/duties/proposer/{}", slot / 8))?;
        let key = duties[(slot % 8) as usize]["validator_index"].as_str().ok_or("no duty")?;
        let key = key.parse::<u64>()?;
        let done = AtomicBool::new(false);
        let begin = Instant::now();
        // ORDERING: pairs with nothing; the clock is one number.
        now_ms.store(GENESIS_TIME * 1000 + slot * SLOT_MS, Relaxed);
        node.tick();
        let (block, sent) = std::thread::scope(|scope| {
            let flooding = last.as_ref().map(|last| {
                let (client, done) = (node.client().clone(), &done);
                scope.spawn(move || flood(&client, last, (slot, key), done))
            });
            let block = propose(&node, genesis, &mut api, slot, key);
            if let (Ok(_), Ok(at)) = (&block, network.recv_timeout(Duration::from_secs(30))) {
                times.push(at.saturating_duration_since(begin));
            }
            done.store(true, Relaxed);
            let sent = flooding.map_or(Ok(0), std::thread::ScopedJoinHandle::join);
            (block, sent.unwrap_or_default())
        });
        last = Some(block?);
        forged += sent;
        std::thread::sleep((PACE * slot as u32).saturating_sub(start.elapsed()));
    }
    let status = child.wait()?;
    println!("{} blocks proposed, {forged} forged ones beside them", times.len());
    print("slot's start to broadcast", times);
    node.stop(Duration::from_secs(10));
    if status.success() { Ok(()) } else { Err("the load failed".into()) }
}

fn main() -> Result<(), Failed> {
    let all: Vec<String> = std::env::args().skip(1).collect();
    let asked = all.first().and_then(|first| first.strip_prefix("--ask="));
    let numbers = if asked.is_some() { &all[1..] } else { &all[..] };
    let number = |at: usize, default: u32| -> Result<u32, Failed> {
        Ok(numbers.get(at).map_or(Ok(default), |text| text.parse())?)
    };
    let (seconds, connections) = (number(0, 10)?.max(1), number(1, 16)?.max(1));
    let rate = number(2, 10_000)?.max(1);
    match asked {
        Some(address) => load(address.parse()?, seconds.into(), connections, rate),
        None => serve(numbers, seconds.into()),
    }
}
