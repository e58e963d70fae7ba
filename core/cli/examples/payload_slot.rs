//! A slot's votes on a payload: the data fetched, the votes signed, the list published.
//!
//! `cargo run --release -p blocksmith-cli --features node --example payload_slot` prints a table.
//! Times are wall-clock times, the median of several runs. One beacon node, which answers at once,
//! and one signer are servers of this process, over HTTP on loopback. The requests are those of the
//! validator client (`PayloadRequests`), signed in as many threads as it has for that. What the
//! machine of the votes adds between the steps is not measured.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use blocksmith::payload_attestation::{DutyId, Reply, Request, SignedVote};
use blocksmith::slashing_protection::Limits;
use blocksmith_consensus::gloas::PayloadAttestationData;
use blocksmith_consensus::{Json, PayloadVoteDuties, Root, SignatureBytes, Version};
use blocksmith_node::beacon_client::Genesis;
use blocksmith_node::beacon_nodes::BeaconNodes;
use blocksmith_node::interop;
use blocksmith_node::remote_signer::RemoteSigner;
use blocksmith_node::signer::keystore::LockedKey;
use blocksmith_node::signer::protection::SqliteStore;
use blocksmith_node::signer::{Config, Parts, Signer};
use blocksmith_node::validator::PayloadRequests;

/// Duties of a slot, row by row.
const DUTIES: [u64; 3] = [1, 100, 1_000];
/// Runs of each row.
const RUNS: usize = 7;
/// Threads that ask the signer, as in the validator client.
const SIGNERS: usize = 32;
const SLOTS_PER_EPOCH: u64 = 32;
const PATIENCE: Duration = Duration::from_secs(30);
/// The time of a slot of 12 s that is kept before the deadline for all three steps.
const KEPT: Duration = Duration::from_millis(1_500);

type Failure = Box<dyn std::error::Error>;
type Vote = Request<PayloadVoteDuties>;

fn data() -> PayloadAttestationData {
    PayloadAttestationData {
        beacon_block_root: Root::new([1; 32]),
        slot: 9,
        payload_present: true,
        blob_data_available: true,
    }
}

/// Starts a node that has the data of slot 9 and takes all votes. It ends with the process.
fn start_node() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that goes away shows in the client's own answer.
            let _ = serve(stream);
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    let body = match first.starts_with("GET") {
        true => format!(r#"{{"version":"gloas","data":{}}}"#, data().to_json()),
        false => String::new(),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + &body).as_bytes())
}

/// Signs the votes of so many validators in the client's number of threads.
fn sign(requests: &PayloadRequests, duties: u64) -> Result<Vec<(u64, SignatureBytes)>, Failure> {
    let (next, signed) = (Mutex::new(0..duties), Mutex::new(Vec::new()));
    let lock = || next.lock().ok().and_then(|mut next| next.next());
    std::thread::scope(|scope| {
        for _ in 0..SIGNERS {
            scope.spawn(|| {
                while let Some(validator) = lock() {
                    let key = interop::secret_key(validator).public_key().to_bytes();
                    let duty = DutyId { slot: 9, validator };
                    let request = Vote::Sign { duty, key, data: data() };
                    if let Reply::Signature(signature) = requests.answer(request, PATIENCE)
                        && let Ok(mut signed) = signed.lock()
                    {
                        signed.push((validator, signature));
                    }
                }
            });
        }
    });
    let signed = signed.into_inner().map_err(|_| "a signer's thread has panicked")?;
    match u64::try_from(signed.len())? == duties {
        true => Ok(signed),
        false => Err(format!("{} of {duties} votes were signed", signed.len()).into()),
    }
}

/// Does the votes of a slot once; returns the times of the three steps.
fn slot(requests: &PayloadRequests, duties: u64) -> Result<[Duration; 3], Failure> {
    let start = Instant::now();
    if requests.answer(Vote::Data { slot: 9 }, PATIENCE) != Reply::Data(data()) {
        return Err("the data are others".into());
    }
    let fetched = start.elapsed();
    let signatures = sign(requests, duties)?;
    let signed = start.elapsed();
    let vote = |(validator, signature)| SignedVote { validator, data: data(), signature };
    let votes = signatures.into_iter().map(vote).collect();
    match requests.answer(Vote::Publish { slot: 9, votes }, PATIENCE) {
        Reply::Published { refused } if refused.is_empty() => {}
        other => return Err(format!("the votes were not taken: {other:?}").into()),
    }
    Ok([fetched, signed - fetched, start.elapsed() - signed])
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn row(requests: &PayloadRequests, duties: u64, text: &mut String) -> Result<Duration, Failure> {
    // The first run opens the connections.
    slot(requests, duties)?;
    let runs = (0..RUNS).map(|_| slot(requests, duties)).collect::<Result<Vec<_>, _>>()?;
    let step = |at: usize| milliseconds(median(runs.iter().map(|run| run[at]).collect()));
    let whole = |run: &[Duration; 3]| run.iter().sum::<Duration>();
    let all = median(runs.iter().map(whole).collect());
    let longest = runs.iter().map(whole).max().unwrap_or_default();
    writeln!(
        text,
        "| {duties} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
        step(0),
        step(1),
        step(2),
        milliseconds(all),
        milliseconds(longest)
    )?;
    Ok(all)
}

fn main() -> Result<(), Failure> {
    let folder = tempfile::TempDir::new()?;
    let node = start_node()?;
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        beyond_loopback: false,
        slots_per_epoch: SLOTS_PER_EPOCH,
        limits: Limits::default(),
    };
    let most = DUTIES[DUTIES.len() - 1];
    let key = |index| LockedKey::without_file(interop::secret_key(index), "an interop key");
    let store = SqliteStore::open(&folder.path().join("protection.sqlite"))?;
    let keys = (0..most).map(key).collect();
    let signer = Signer::start(config, keys, store, Parts::default(), |error| panic!("{error}"))?;
    let genesis = Genesis {
        genesis_time: 0,
        genesis_validators_root: Root::new([7; 32]),
        genesis_fork_version: Version::new([0, 0, 0, 1]),
    };
    let nodes = BeaconNodes::new(&[format!("http://{node}")])?;
    let remote = RemoteSigner::new(&format!("http://{}", signer.address()))?;
    let requests = PayloadRequests::new(nodes, remote, genesis, SLOTS_PER_EPOCH);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut text =
        String::from("# A slot's votes on a payload through one node and one signer\n\n");
    writeln!(
        text,
        "{SIGNERS} threads ask the signer; {processors} processors; wall-clock times in \
         milliseconds, medians of {RUNS} runs.\n\n\
         | duties | fetch | sign | publish | all | longest |\n|---|---|---|---|---|---|"
    )?;
    let mut last = Duration::ZERO;
    for duties in DUTIES {
        last = row(&requests, duties, &mut text)?;
    }
    writeln!(
        text,
        "\nBefore the deadline of a slot of 12 s, {} ms are kept: {most} duties need {:.2} of them.",
        KEPT.as_millis(),
        milliseconds(last) / milliseconds(KEPT)
    )?;
    print!("{text}");
    Ok(())
}
