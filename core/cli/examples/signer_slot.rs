//! A slot's attestations of 10,000 validators: checked, recorded and signed.
//!
//! `cargo run --release -p blocksmith-cli --features node --example signer_slot` prints a table.
//! Times are wall-clock times, the median of several runs, each with validators of its own. Every
//! validator has a full history of records, so that each new record makes the oldest one be
//! forgotten, as in a signer that has run for hours. The database is in a temporary folder:
//! `TMPDIR` chooses the disk.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use blocksmith::slashing_protection::{
    Limits, Merge, Outcome, Records, Request, Statement, Vote, check_and_record, import,
};
use blocksmith_consensus::bls::{self, SecretKey};
use blocksmith_consensus::{
    AttestationData, Checkpoint, DOMAIN_BEACON_ATTESTER, Json, Root, Version, Wire, compute_domain,
    compute_signing_root,
};
use blocksmith_node::interop;
use blocksmith_node::signer::keystore::LockedKey;
use blocksmith_node::signer::protection::SqliteStore;
use blocksmith_node::signer::{Config, Parts, Signer};

const VALIDATORS: u64 = 10_000;
/// Validators of a slot: a 32nd of all.
const OF_SLOT: usize = 313;
/// Runs of each row.
const RUNS: usize = 5;
/// Slots of the table, for each of which other validators attest.
const SLOTS: usize = 3 * RUNS;
const SLOTS_PER_EPOCH: u64 = 32;
/// The time within which a slot's attestations have to be signed.
const GOAL: Duration = Duration::from_millis(250);
const VERSION: Version = Version::new([0, 0, 0, 1]);
const GENESIS: Root = Root::new([7; 32]);

type Failure = Box<dyn std::error::Error>;

/// The vote of an epoch, which all validators of a slot share.
fn data(epoch: u64) -> AttestationData {
    AttestationData {
        slot: epoch * SLOTS_PER_EPOCH,
        index: 0,
        beacon_block_root: Root::new([1; 32]),
        source: Checkpoint { epoch: epoch - 1, root: Root::new([2; 32]) },
        target: Checkpoint { epoch, root: Root::new([3; 32]) },
    }
}

fn signing_root(data: &AttestationData) -> Root {
    let domain = compute_domain(DOMAIN_BEACON_ATTESTER, VERSION, GENESIS);
    compute_signing_root(data.hash_tree_root(), domain)
}

/// What is measured: keys, and the path of a database with full histories.
struct Ground {
    keys: Vec<SecretKey>,
    public: Vec<[u8; 48]>,
    database: PathBuf,
    /// The epoch that is next for every validator.
    epoch: u64,
}

impl Ground {
    fn build(folder: &Path) -> Result<Self, Failure> {
        let keys: Vec<SecretKey> = (0..VALIDATORS).map(interop::secret_key).collect();
        let public: Vec<[u8; 48]> =
            keys.iter().map(|key| key.public_key().to_bytes().to_bytes()).collect();
        let database = folder.join("protection.sqlite");
        let limits = Limits::default();
        let epoch = limits.attestations as u64 + 1;
        let old = (1..epoch).map(|target| Vote {
            source: target - 1,
            target,
            signing_root: Some(signing_root(&data(target)).to_bytes()),
        });
        let records = Records { blocks: Vec::new(), attestations: old.collect() };
        let entries = public.iter().map(|key| (*key, records.clone()));
        let mut store = SqliteStore::open(&database)?;
        import(&mut store, &limits, &GENESIS.to_bytes(), entries, Merge::Complete)?;
        Ok(Self { keys, public, database, epoch })
    }

    /// The validators of a slot of the table.
    fn of_slot(&self, slot: usize) -> impl Iterator<Item = usize> {
        (0..OF_SLOT).map(move |at| slot + at * SLOTS)
    }

    fn requests(&self, slot: usize) -> Vec<Request> {
        let signing_root = signing_root(&data(self.epoch)).to_bytes();
        let (source, target) = (self.epoch - 1, self.epoch);
        let statement = Statement::Attestation { source, target, signing_root };
        let genesis = GENESIS.to_bytes();
        self.of_slot(slot).map(|at| Request { genesis, key: self.public[at], statement }).collect()
    }

    /// Signs a slot's attestations in so many threads; returns the time.
    fn sign(&self, slot: usize, threads: usize) -> Result<Duration, Failure> {
        let root = signing_root(&data(self.epoch));
        let keys: Vec<&SecretKey> = self.of_slot(slot).map(|at| &self.keys[at]).collect();
        let start = Instant::now();
        let last = std::thread::scope(|scope| {
            let parts = keys.chunks(OF_SLOT.div_ceil(threads));
            let threads: Vec<_> = parts
                .map(|part| {
                    // Every key signs; the last signature stands for all, so that none is left out.
                    let signed = |_, key: &&SecretKey| Some(key.sign(root.as_bytes()));
                    let sign = move || part.iter().fold(None, signed);
                    scope.spawn(sign)
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).next_back()
        });
        let time = start.elapsed();
        let (signature, key) = (last.flatten().ok_or("no signature")?, keys[OF_SLOT - 1]);
        if !bls::verify(&key.public_key().to_bytes(), root.as_bytes(), &signature) {
            return Err("a signature does not verify".into());
        }
        Ok(time)
    }
}

/// Checks and records a slot's attestations in batches of that size; returns the time.
fn record(
    store: &mut SqliteStore,
    requests: &[Request],
    batch: usize,
) -> Result<Duration, Failure> {
    let start = Instant::now();
    let mut outcomes = Vec::new();
    for batch in requests.chunks(batch) {
        outcomes.extend(check_and_record(store, &Limits::default(), batch)?);
    }
    let time = start.elapsed();
    if outcomes.len() != OF_SLOT || outcomes.iter().any(|it| *it != Outcome::Recorded) {
        return Err("an attestation was refused".into());
    }
    Ok(time)
}

/// Sends a slot's attestations to a signer, each on a connection that is open already, and reads
/// all signatures; returns the time.
fn over_http(ground: &Ground, slot: usize, address: SocketAddr) -> Result<Duration, Failure> {
    let object = data(ground.epoch).to_json();
    let versions = format!(r#""previous_version":"{VERSION}","current_version":"{VERSION}""#);
    let fork = format!(r#""fork":{{{versions},"epoch":"0"}}"#);
    let fork_info = format!(r#"{{{fork},"genesis_validators_root":"{GENESIS}"}}"#);
    let body =
        format!(r#"{{"type":"ATTESTATION","attestation":{object},"fork_info":{fork_info}}}"#);
    let length = body.len();
    let mut asked = Vec::new();
    for at in ground.of_slot(slot) {
        let key = ground.keys[at].public_key().to_bytes();
        let head = format!("POST /api/v1/eth2/sign/{key} HTTP/1.1\r\nHost: s\r\n");
        let rest = format!("Connection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        asked.push((TcpStream::connect(address)?, head + &rest));
    }
    let start = Instant::now();
    for (stream, request) in &mut asked {
        stream.write_all(request.as_bytes())?;
    }
    let mut answers = vec![String::new(); asked.len()];
    for ((stream, _), answer) in asked.iter_mut().zip(&mut answers) {
        stream.read_to_string(answer)?;
    }
    let time = start.elapsed();
    match answers.iter().find(|answer| !answer.starts_with("HTTP/1.1 200")) {
        Some(answer) => Err(format!("a request was not signed: {answer}").into()),
        None => Ok(time),
    }
}

/// The times of one row.
struct Row {
    name: String,
    times: Vec<Duration>,
}

impl Row {
    fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[times.len() / 2]
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn measure(ground: &Ground, processors: usize) -> Result<(Vec<Row>, f64), Failure> {
    let names = [
        "checked and recorded, one commit".to_owned(),
        "checked and recorded, one commit each".to_owned(),
        "signed by one thread".to_owned(),
        format!("signed by {processors} threads"),
        format!("one commit, then signed by {processors} threads"),
        format!("one commit each, then signed by {processors} threads"),
        format!("over HTTP, {OF_SLOT} connections"),
    ];
    let mut rows: Vec<Row> =
        names.into_iter().map(|name| Row { name, times: Vec::new() }).collect();
    let mut store = SqliteStore::open(&ground.database)?;
    let mut slots = 0..SLOTS;
    let mut next = || slots.next().ok_or("too few slots");
    for _ in 0..RUNS {
        let (together, apart) = (next()?, next()?);
        let joined = record(&mut store, &ground.requests(together), OF_SLOT)?;
        let signed = ground.sign(together, processors)?;
        let each = record(&mut store, &ground.requests(apart), 1)?;
        let alone = ground.sign(apart, 1)?;
        let times = [joined, each, alone, signed, joined + signed, each + signed];
        rows.iter_mut().zip(times).for_each(|(row, time)| row.times.push(time));
    }
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        beyond_loopback: false,
        slots_per_epoch: SLOTS_PER_EPOCH,
        limits: Limits::default(),
    };
    let keys = ground.keys.iter().map(|key| LockedKey::without_file(key.clone(), "an interop key"));
    let signer =
        Signer::start(config, keys.collect(), store, Parts::default(), |error| panic!("{error}"))?;
    for _ in 0..RUNS {
        let time = over_http(ground, next()?, signer.address())?;
        rows.last_mut().ok_or("no rows")?.times.push(time);
    }
    let counters = signer.counters().ok_or("the signer runs")?;
    Ok((rows, counters.transactions() as f64 / RUNS as f64))
}

fn table(rows: &[Row], commits: f64, processors: usize) -> String {
    let median = |at: usize| milliseconds(rows[at].median());
    let mut text = String::from("# A slot's attestations through the signer\n\n");
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{VALIDATORS} validators, {OF_SLOT} attestations, {processors} processors; wall-clock times, \
         median and longest of {RUNS} runs.\n\n| what | ms | longest |\n|---|---|---|"
    );
    for row in rows {
        let longest = row.times.iter().max().copied().unwrap_or_default();
        let (median, longest) = (milliseconds(row.median()), milliseconds(longest));
        let _ = writeln!(text, "| {} | {median:.1} | {longest:.1} |", row.name);
    }
    let _ = writeln!(
        text,
        "\nOne commit instead of one each: {:.2} of the time to record, {:.2} of the whole. With one \
         commit, signing takes {:.0} % of the whole. Over HTTP a slot takes {commits:.1} commits. \
         The goal is {} ms: over HTTP {:.2} of it are needed.",
        median(0) / median(1),
        median(4) / median(5),
        100.0 * median(3) / median(4),
        GOAL.as_millis(),
        median(6) / milliseconds(GOAL),
    );
    text
}

fn main() -> Result<(), Failure> {
    let folder = tempfile::TempDir::new()?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let ground = Ground::build(folder.path())?;
    let (rows, commits) = measure(&ground, processors)?;
    let text = table(&rows, commits, processors);
    print!("{text}");
    Ok(())
}
