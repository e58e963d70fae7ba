//! Honest load: one slot's gossip at mainnet size through the services, against the floor of its
//! signatures alone.
//!
//! `cargo bench -p blocksmith-conformance --bench honest -- [VALIDATORS]`; 500,000 by default. With
//! the word `proposals` before the number, proposals are measured instead; see `proposals.rs`.
//!
//! **What is compared.** The services take a block with the votes of two slots, the single
//! attestations of four subnets, and the aggregates with proof, from their bytes, on [`WORKERS`]
//! workers. The floor verifies the same signatures in batches of the size that a worker takes at
//! most, on as many threads: it reads each signature's bytes, sums the keys of its signers, and
//! verifies the batch by one pairing product. A second floor has read and summed before, and
//! verifies only. Figures are CPU times of the process. Both take turns, after a run that is not
//! counted: it leaves the keys decompressed and the committees known, as they are in a node that
//! follows the chain. The figure of a row is the median of [`ROUNDS`].

#![forbid(unsafe_code)]

mod floor;
mod proposals;
mod services;
mod slot;

use std::time::Duration;

use blocksmith::Config;

use floor::Parts;
use services::Played;
use slot::Gossip;

/// General workers of the services, and threads of the floor.
const WORKERS: usize = 2;
/// Peers that take turns to send.
const PEERS: usize = 64;
/// Counted runs.
const ROUNDS: usize = 3;
/// Validators, if no number is given.
const VALIDATORS: u64 = 500_000;

/// Returns the user and system time of all threads so far; zero where the system does not tell.
fn cpu_time() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
    }
    #[cfg(not(unix))]
    Duration::ZERO
}

/// Returns a size of `/proc/self/status` in MiB; 0 where there is none.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let size = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    size.unwrap_or_default() / 1024
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn medians(all: &[Parts]) -> Parts {
    let of = |part: fn(&Parts) -> Duration| median(all.iter().map(part).collect());
    Parts {
        block: of(|parts| parts.block),
        singles: of(|parts| parts.singles),
        aggregates: of(|parts| parts.aggregates),
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn row(name: &str, services: Duration, floor: Duration, pairings: Duration) {
    let ratio = |floor: Duration| services.as_secs_f64() / floor.as_secs_f64();
    println!(
        "| {name} | {:.1} | {:.1} | {:.3} | {:.1} | {:.3} |",
        ms(services),
        ms(floor),
        ratio(floor),
        ms(pairings),
        ratio(pairings),
    );
}

fn latencies(name: &str, all: &[Duration]) {
    let at = |percent: usize| ms(all[(all.len() * percent / 100).min(all.len() - 1)]);
    println!("| {name} | {} | {:.1} | {:.1} |", all.len(), at(50), at(99));
}

fn report(played: &[Played], floors: &[[Parts; 2]]) {
    let services = medians(&played.iter().map(|played| played.cpu).collect::<Vec<_>>());
    let [floor, pairings] =
        [0, 1].map(|at| medians(&floors.iter().map(|floors| floors[at]).collect::<Vec<_>>()));
    println!("\n| | services, CPU ms | floor, CPU ms | ratio | pairings alone | ratio |");
    println!("|---|---|---|---|---|---|");
    row("block", services.block, floor.block, pairings.block);
    row("singles", services.singles, floor.singles, pairings.singles);
    row("aggregates", services.aggregates, floor.aggregates, pairings.aggregates);
    row("the slot", services.total(), floor.total(), pairings.total());
    println!("\n| time to the verdict | items | p50 ms | p99 ms |\n|---|---|---|---|");
    let blocks: Vec<_> = played.iter().map(|played| played.block).collect();
    latencies("block, median of the runs", &[median(blocks)]);
    // The last run's, as an example of a whole one.
    if let Some(last) = played.last() {
        latencies("singles, all at once", &last.singles);
        latencies("aggregates, all at once", &last.aggregates);
    }
}

fn main() {
    let validators = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let validators = validators.unwrap_or(VALIDATORS);
    if std::env::args().any(|argument| argument == "proposals") {
        return proposals::run(validators);
    }
    let gossip = Gossip::build(validators, PEERS);
    // One thread sends everything, as fast as the services take it: a full mailbox makes it wait.
    let mailbox_per_peer = Config::default().mailbox_capacity;
    let config = Config { workers: WORKERS, mailbox_per_peer, ..Config::default() };
    let (signatures, keys) = gossip.signatures();
    println!(
        "{validators} validators, mainnet preset: a block with {} attestations, {} singles, {} \
         aggregates; {signatures} signatures by {keys} keys. {WORKERS} workers, batches of {}.",
        gossip.carried,
        gossip.singles.items.len(),
        gossip.aggregates.items.len(),
        config.attestation_batch,
    );
    let before = memory("VmRSS");
    services::run(&gossip, config);
    let (mut played, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(floor::run(&gossip, config.attestation_batch, WORKERS));
        played.push(services::run(&gossip, config));
        let (services, floor) = (&played[played.len() - 1].cpu, &floors[floors.len() - 1][0]);
        println!("services {:.1} ms, floor {:.1} ms", ms(services.total()), ms(floor.total()));
    }
    report(&played, &floors);
    println!(
        "\nmemory: {before} MiB before the services start (state, encoded gossip and the floor's \
         keys), {} MiB at most.",
        memory("VmHWM"),
    );
}
