//! `blocksmith replay`.

use std::io::IsTerminal;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use signal_hook::iterator::Signals;

use blocksmith::store::{Store, StoreError};
use blocksmith::{Anchor, StartError};
use blocksmith_conformance::replay::{
    Inject, Monitor, Options, Outcome, Pace, ReplayError, Soak, Span, Stage, replay, soak,
};
use blocksmith_conformance::{Protocol, State};
use blocksmith_consensus::ChainConfig;
use blocksmith_node::metrics::Metrics;
use blocksmith_node::recording::{Embedded, Files, Folder, PresetName, Recording};
use blocksmith_node::store::RedbStore;

use crate::trace::Trace;
use blocksmith_terminal::{
    EXIT_DIFFERS, EXIT_INTERRUPTED, EXIT_OK, Failure, Output, Report, SIGNALS, note,
};

/// The recorded chain that is part of the program.
const CHAIN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/chain.rs"));

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PaceArgument {
    /// The services come to rest after every event.
    Lockstep,
    /// All events of a slot come at once; the services come to rest only before the next tick.
    Flood,
    /// There is no waiting at all.
    Race,
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder with manifest.json, genesis.ssz, blocks/ and attestations/; the default is the chain
    /// that is part of the program.
    dir: Option<PathBuf>,
    /// How fast the events follow one another.
    #[arg(long, value_enum, default_value = "lockstep")]
    pace: PaceArgument,
    /// General Rewinder workers, 1 to 256; one more serves only duties.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Inject a fault; may be repeated. SERVICE is quarantine, clearance, rewinder, hot_db or
    /// cold_db;
    /// SERVICE:panic@N panics at its Nth message, SERVICE:panic/N at every Nth, SERVICE:delay=MS
    /// delays every message by that many milliseconds. An item that a panic loses is handed in
    /// again, so the end is the same as without; no number of panics stops the services.
    #[arg(long, value_name = "SERVICE:FAULT")]
    inject: Vec<Inject>,
    /// On SIGINT or SIGTERM, stop within this many milliseconds, print what was pending, and exit
    /// with 128 plus the signal's number (130, 143).
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    deadline: u64,
    /// Replay again and again, with fresh services each time, until this much time has passed (30s,
    /// 10m, 2h); then print rounds, memory, threads and what went through each queue. The exit code
    /// is 1 if a round ends differently, or if a thread is left over.
    #[arg(long = "for", value_name = "DURATION")]
    time: Option<Span>,
    /// Keep in this folder what a restart needs. If a replay of the same chain was interrupted
    /// there, even by a power cut, go on from the last moment that is on the disk; the end is that
    /// of an undisturbed replay. One process at a time may use the folder.
    #[arg(long, value_name = "DIR", conflicts_with = "time")]
    data: Option<PathBuf>,
    /// Show the queues of the services live on stderr: bars on a terminal, elsewhere a line each
    /// second.
    #[arg(long)]
    monitor: bool,
    /// While replaying, serve the same figures: drawn live on a page at http://ADDR/, as Prometheus
    /// text at http://ADDR/metrics, with histograms of the time to a verdict. ADDR is a host and a
    /// port, as in localhost:9100; only on loopback; port 0 takes a free one. The address is
    /// printed on stderr.
    #[arg(long, value_name = "ADDR", value_parser = address)]
    metrics: Option<SocketAddr>,
    /// Write every step of the services' machines to this file, one line of JSON each;
    /// `blocksmith-check trace FILE` judges it. What the disk is too slow for is left out and
    /// counted, and the trace is then no pass.
    #[arg(long, value_name = "FILE", conflicts_with = "time")]
    trace: Option<PathBuf>,
    /// Write the answer to every event as JSON to this file; with --for, the answers of the last
    /// round.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Finds the address of a host and a port, on loopback if the host has one there.
fn address(text: &str) -> Result<SocketAddr, String> {
    let found: Vec<_> = text.to_socket_addrs().map_err(|error| error.to_string())?.collect();
    let local = found.iter().find(|address| address.ip().is_loopback());
    local.or(found.first()).copied().ok_or_else(|| "the host has no address".to_owned())
}

impl Arguments {
    pub(crate) fn reports_on_stdout(&self) -> bool {
        Report::goes_to_stdout(self.json.as_deref())
    }

    /// The default: the embedded chain in lockstep.
    pub(crate) fn embedded() -> Self {
        Self {
            dir: None,
            pace: PaceArgument::Lockstep,
            workers: 2,
            inject: Vec::new(),
            deadline: 5000,
            time: None,
            data: None,
            monitor: false,
            metrics: None,
            trace: None,
            json: None,
        }
    }
}

/// Loads everything, replays, reports. Nothing is written before all input has been checked.
pub(crate) fn run(arguments: &Arguments, out: Output) -> Result<u8, Failure> {
    let files: Box<dyn Files> = match &arguments.dir {
        Some(folder) => Box::new(Folder(folder.clone())),
        None => Box::new(Embedded(CHAIN)),
    };
    let place = arguments
        .dir
        .as_ref()
        .map_or_else(|| "the embedded chain".to_owned(), |folder| folder.display().to_string());
    let recording =
        Recording::load(&*files).with_context(|| place.clone()).map_err(Failure::input)?;
    run_loaded(&Arc::new(recording), &place, arguments, out)
}

/// Checks the rest of the input, replays, reports.
fn run_loaded(
    recording: &Arc<Recording>,
    place: &str,
    arguments: &Arguments,
    out: Output,
) -> Result<u8, Failure> {
    let config = match recording.preset {
        PresetName::Minimal => ChainConfig::minimal(),
        PresetName::Mainnet => ChainConfig::mainnet(),
    };
    let consensus = Arc::new(Protocol::new(recording.preset, config));
    let anchor = anchor(recording, place)?;
    let store = arguments
        .data
        .as_deref()
        .map(|folder| RedbStore::open(folder, consensus.clone(), &anchor.root));
    let store = store.transpose().map_err(of_store)?;
    let store = store.map(|store| Box::new(store) as Box<dyn Store<Protocol>>);
    let report = Report::maybe("--json", arguments.json.as_deref())?;
    let options = Options {
        pace: match arguments.pace {
            PaceArgument::Lockstep => Pace::Lockstep,
            PaceArgument::Flood => Pace::Flood,
            PaceArgument::Race => Pace::Race,
        },
        workers: usize::from(arguments.workers),
        faults: arguments.inject.clone(),
        deadline: Duration::from_millis(arguments.deadline),
    };
    let stage = Stage::default();
    let figures = stage.clone();
    let serve = |address| Metrics::serve(address, stage.times(), move || figures.snapshot());
    let metrics = arguments.metrics.map(serve).transpose();
    let metrics = metrics.context("--metrics").map_err(Failure::input)?;
    if let Some(metrics) = &metrics {
        let address = metrics.address();
        note(format_args!("metrics at http://{address}/metrics, drawn at http://{address}/"));
    }
    let signals = Signals::new(SIGNALS).map_err(Failure::fault)?;
    let screen = MultiProgress::new();
    let bar = screen.add(ProgressBar::new(recording.events.len() as u64));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events {elapsed} {msg}") {
        bar.set_style(style);
    }
    let monitor = arguments.monitor.then(|| {
        if std::io::stderr().is_terminal() {
            Monitor::bars(stage.clone(), screen)
        } else {
            Monitor::lines(stage.clone(), |line| note(line))
        }
    });
    let trace = Trace::begin(arguments.trace.as_deref())?;
    let position = bar.clone();
    let progress = move |index| position.set_position(index as u64 + 1);
    let mut soaked = None;
    let outcome = match arguments.time {
        None => {
            let signals = Some(signals);
            replay(
                recording,
                consensus,
                anchor,
                &options,
                store,
                signals,
                &stage,
                Box::new(progress),
            )
        }
        Some(Span(time)) => {
            let rounds = bar.clone();
            let progress: Arc<dyn Fn(usize, usize) + Send + Sync> =
                Arc::new(move |round, index| {
                    rounds.set_message(format!("round {}", round + 1));
                    progress(index);
                });
            let (mut soak, result) = soak(
                recording,
                &consensus,
                &anchor,
                &options,
                time,
                Some(signals),
                &stage,
                &progress,
            );
            let last = soak.last.take();
            soaked = Some(soak);
            result.and_then(|()| last.ok_or(ReplayError::Driver))
        }
    };
    // What they show is cleared before anything is printed.
    bar.finish_and_clear();
    drop(monitor);
    drop(metrics);
    trace.map_or(Ok(()), Trace::finish)?;
    print(outcome, soaked.as_ref(), report, out)
}

/// Returns the recording's genesis, once its root is what the manifest says.
fn anchor(recording: &Recording, place: &str) -> Result<Anchor<Protocol>, Failure> {
    let input = |problem: String| Failure::input(anyhow::anyhow!("{place}: {problem}"));
    let state = State::from_ssz_bytes(recording.preset, &recording.genesis).map_err(|error| {
        input(format!("genesis.ssz: not a state of the {} preset: {error}", recording.preset))
    })?;
    let root = state.hash_tree_root();
    let recorded = recording.genesis_state_root;
    if root != recorded {
        let problem =
            format!("genesis.ssz: hash_tree_root: {root}, but manifest.json says {recorded}");
        return Err(input(problem));
    }
    Ok(Anchor { root: recording.genesis_block_root, slot: 0, state })
}

/// A folder that cannot be used is wrong input; a full disk is not.
fn of_store(error: StoreError) -> Failure {
    let full = matches!(error, StoreError::Full { .. });
    let error = anyhow::Error::from(error).context("--data");
    if full { Failure::fault(error) } else { Failure::input(error) }
}

/// Prints what a replay or a soak has found, and returns the exit code.
fn print(
    outcome: Result<Outcome, ReplayError>,
    soak: Option<&Soak>,
    report: Option<Report>,
    out: Output,
) -> Result<u8, Failure> {
    if let Some(soak) = soak {
        out.text(soak)?;
    }
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(ReplayError::Interrupted { signal, events, of, report }) => {
            out.line(format_args!("interrupted by signal {signal} after {events} of {of} events"))?;
            out.text(report)?;
            return Ok(EXIT_INTERRUPTED.saturating_add(u8::try_from(signal).unwrap_or(0)));
        }
        Err(ReplayError::Start(StartError::Store(error))) => return Err(of_store(error)),
        Err(ReplayError::Start(error)) => return Err(Failure::input(error)),
        Err(error) => return Err(Failure::fault(error)),
    };
    if let Some(report) = report {
        report.finish(&outcome.json().map_err(Failure::fault)?)?;
    }
    let as_expected = match soak {
        Some(soak) => soak.is_as_expected(),
        None => {
            out.text(&outcome)?;
            outcome.mismatches.is_empty()
        }
    };
    Ok(if as_expected { EXIT_OK } else { EXIT_DIFFERS })
}
