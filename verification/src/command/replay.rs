//! `blocksmith replay`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use blocksmith::blocksmith::Anchor;
use blocksmith_consensus::{BeaconState, ChainConfig, Mainnet, Minimal, Phase0, Preset};
use blocksmith_node::recording::{Embedded, Files, Folder, PresetName, Recording};

use super::output::Report;
use super::{EXIT_DIFFERS, EXIT_OK, Failure};
use crate::replay::{Options, Outcome, Pace, ReplayError, replay};

/// The recorded chain that is part of the program.
const CHAIN: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/chain.rs"));

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PaceArgument {
    /// The services come to rest after every event.
    Lockstep,
    /// All events of a slot at once; rest only before the next tick.
    Flood,
    /// No waiting at all.
    Race,
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder with manifest.json, genesis.ssz, blocks/ and attestations/; without it, the chain that
    /// is part of the program.
    dir: Option<PathBuf>,
    /// How fast the events follow one another.
    #[arg(long, value_enum, default_value = "lockstep")]
    pace: PaceArgument,
    /// General Rewinder workers, 1 to 256; one more serves duties alone.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Write every event's answer as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Arguments {
    /// The main job: the embedded chain in lockstep.
    pub(crate) fn embedded() -> Self {
        Self { dir: None, pace: PaceArgument::Lockstep, workers: 2, json: None }
    }
}

/// Loads everything, replays, reports. Nothing is written before all input has been checked.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
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
    let outcome = match recording.preset {
        PresetName::Minimal => {
            run_preset::<Minimal>(&recording, &place, ChainConfig::minimal(), arguments)
        }
        PresetName::Mainnet => {
            run_preset::<Mainnet>(&recording, &place, ChainConfig::mainnet(), arguments)
        }
    }?;
    print!("{outcome}");
    Ok(if outcome.mismatches.is_empty() { EXIT_OK } else { EXIT_DIFFERS })
}

fn run_preset<P: Preset>(
    recording: &Recording,
    place: &str,
    config: ChainConfig,
    arguments: &Arguments,
) -> Result<Outcome, Failure> {
    let consensus = Phase0::<P>::new(config);
    let input = |problem: String| Failure::input(anyhow::anyhow!("{place}: {problem}"));
    let state = BeaconState::<P>::from_ssz_bytes(&recording.genesis).map_err(|error| {
        input(format!("genesis.ssz: not a state of the {} preset: {error}", recording.preset))
    })?;
    let root = state.hash_tree_root().map_err(Failure::fault)?;
    let recorded = recording.genesis_state_root;
    if root != recorded {
        let problem =
            format!("genesis.ssz: hash_tree_root: {root}, but manifest.json says {recorded}");
        return Err(input(problem));
    }
    let anchor = Anchor { root: recording.genesis_block_root, slot: 0, state };
    let report = Report::maybe(arguments.json.as_deref())?;
    let options = Options {
        pace: match arguments.pace {
            PaceArgument::Lockstep => Pace::Lockstep,
            PaceArgument::Flood => Pace::Flood,
            PaceArgument::Race => Pace::Race,
        },
        workers: usize::from(arguments.workers),
    };
    let bar = ProgressBar::new(recording.events.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events {elapsed}") {
        bar.set_style(style);
    }
    let outcome = replay(recording, Arc::new(consensus), anchor, options, |index| {
        bar.set_position(index as u64 + 1);
    });
    bar.finish_and_clear();
    let outcome = outcome.map_err(|error| match error {
        ReplayError::Start(error) => Failure::input(error),
        error => Failure::fault(error),
    })?;
    if let Some(report) = report {
        report.finish(&outcome.json().map_err(Failure::fault)?)?;
    }
    Ok(outcome)
}
