//! `blocksmith slots`, `transition`, `root` and `decode`: the state transition on files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, anyhow, ensure};
use blocksmith_conformance::{State, types};
use blocksmith_consensus::{
    ChainConfig, Mainnet, Minimal, Preset, Root, RootJob, SignedBeaconBlock, Slot, SlotsError,
    TransitionError, UpdateFlags, decode_exact,
};
use blocksmith_node::recording;
use blocksmith_terminal::{EXIT_DIFFERS, EXIT_OK, Failure, Output, Report};
use serde::Serialize;

use crate::files::{apply_config, read_config, read_ssz};

/// Largest number of empty slots between two requested ones: more than a month of mainnet.
const MAX_EMPTY_SLOTS: Slot = 1 << 18;

/// The chain to which a state belongs.
#[derive(clap::Args)]
pub(crate) struct Chain {
    /// Preset of the state.
    #[arg(long, value_name = "P", value_enum, default_value_t = PresetName::Mainnet)]
    preset: PresetName,
    /// Configuration in the form of the specification's configs/*.yaml, which overrides the
    /// preset's own; keys that phase0 does not know are reported and ignored.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PresetName {
    Minimal,
    Mainnet,
}

impl PresetName {
    fn name(self) -> &'static str {
        match self {
            Self::Minimal => Minimal::NAME,
            Self::Mainnet => Mainnet::NAME,
        }
    }
}

impl From<PresetName> for recording::PresetName {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Minimal => Self::Minimal,
            PresetName::Mainnet => Self::Mainnet,
        }
    }
}

impl Chain {
    fn config(&self) -> Result<ChainConfig, Failure> {
        let config = match self.preset {
            PresetName::Minimal => ChainConfig::minimal(),
            PresetName::Mainnet => ChainConfig::mainnet(),
        };
        let Some(path) = &self.config else { return Ok(config) };
        read_config(path)
            .and_then(|text| apply_config(path, &text, self.preset.name(), config))
            .map_err(Failure::input)
    }
}

/// Print the state root at the beginning of each given slot, without blocks.
#[derive(clap::Args)]
pub(crate) struct Slots {
    #[command(flatten)]
    chain: Chain,
    /// State in SSZ; compressed if its name ends in .ssz_snappy (block format) or .xz.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Slots, in ascending order, none before the state's.
    #[arg(long, value_name = "N", value_delimiter = ',', required = true)]
    to: Vec<Slot>,
    /// Write the roots as JSON to this file: {"roots":{"96":"0x.."}}.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Slots {
    pub(crate) fn reports_on_stdout(&self) -> bool {
        Report::goes_to_stdout(self.json.as_deref())
    }
}

/// The report of `slots`.
#[derive(Serialize)]
struct SlotRoots {
    roots: BTreeMap<Slot, String>,
}

pub(crate) fn slots(arguments: &Slots, out: Output) -> Result<u8, Failure> {
    let config = arguments.chain.config()?;
    let report = Report::maybe("--json", arguments.json.as_deref())?;
    let roots = slot_roots(arguments, &config)?;
    for (slot, root) in &roots {
        out.line(format_args!("{slot} {root}"))?;
    }
    if let Some(report) = report {
        let roots = roots.iter().map(|(slot, root)| (*slot, root.to_string())).collect();
        report.finish(&serde_json::to_string(&SlotRoots { roots }).map_err(Failure::fault)?)?;
    }
    Ok(EXIT_OK)
}

fn slot_roots(arguments: &Slots, config: &ChainConfig) -> Result<BTreeMap<Slot, Root>, Failure> {
    let mut state = read_state(arguments.chain.preset, &arguments.state)?;
    let mut roots = BTreeMap::new();
    for slot in &arguments.to {
        let at = state.slot();
        let check = || {
            ensure!(*slot >= at, "--to {slot}: the state is at slot {at}");
            let distance = *slot - at;
            ensure!(
                distance <= MAX_EMPTY_SLOTS,
                "--to {slot}: {distance} slots from {at}, at most {MAX_EMPTY_SLOTS} are run"
            );
            Ok(())
        };
        check().map_err(Failure::input)?;
        if *slot > at {
            state.process_slots(*slot, config).map_err(|error| match error {
                SlotsError::Epoch(error) => Failure::input(anyhow!("--state: {error}")),
                other @ SlotsError::NotAfterState { .. } => Failure::fault(other),
            })?;
        }
        roots.insert(*slot, state.hash_tree_root());
    }
    Ok(roots)
}

/// Apply a block to its parent's state: print the root of the state after it, or why it is invalid.
#[derive(clap::Args)]
pub(crate) struct Transition {
    #[command(flatten)]
    chain: Chain,
    /// State in SSZ, plain or compressed as for `slots`; its slot may be before the block's.
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// SignedBeaconBlock in SSZ, plain or compressed as for `slots`.
    #[arg(long, value_name = "FILE")]
    block: PathBuf,
    /// Take all signatures except those of deposits as valid.
    #[arg(long)]
    no_bls: bool,
}

pub(crate) fn transition(arguments: &Transition, out: Output) -> Result<u8, Failure> {
    let config = arguments.chain.config()?;
    apply(arguments, &config, out)
}

fn apply(arguments: &Transition, config: &ChainConfig, out: Output) -> Result<u8, Failure> {
    let mut state = read_state(arguments.chain.preset, &arguments.state)?;
    let bytes = read_ssz(&arguments.block).map_err(Failure::input)?;
    let block: SignedBeaconBlock = decode_exact(&bytes)
        .with_context(|| arguments.block.display().to_string())
        .map_err(Failure::input)?;
    let slot = block.message.slot;
    if slot.saturating_sub(state.slot()) > MAX_EMPTY_SLOTS {
        return Err(Failure::input(anyhow!(
            "{}: slot {slot} is more than {MAX_EMPTY_SLOTS} from the state's {}",
            arguments.block.display(),
            state.slot()
        )));
    }
    let flags = UpdateFlags { skip_bls_validation: arguments.no_bls, ..UpdateFlags::default() };
    match state.apply(&block, flags, config) {
        Ok(()) => {
            out.line(format_args!("valid {}", state.hash_tree_root()))?;
            Ok(EXIT_OK)
        }
        Err(TransitionError::Invalid(error)) => {
            out.line(format_args!("invalid {}: {error}", error.reason()))?;
            Ok(EXIT_DIFFERS)
        }
        Err(TransitionError::Fault(fault)) => Err(Failure::fault(fault)),
    }
}

/// Reads a state, and hashes it with the help of idle cores: whatever is done with it begins with
/// its root.
fn read_state(preset: PresetName, path: &Path) -> Result<State, Failure> {
    let bytes = read_ssz(path).map_err(Failure::input)?;
    let state = State::from_ssz_bytes(preset.into(), &bytes)
        .with_context(|| {
            format!("{}: not a BeaconState of preset {}", path.display(), preset.name())
        })
        .map_err(Failure::input)?;
    hash_on_all_cores(&state);
    Ok(state)
}

/// Computes the state's hashes, which it keeps.
fn hash_on_all_cores(state: &State) {
    /// More threads than this would wait for memory.
    const MAX_THREADS: usize = 8;
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_THREADS));
    let jobs = state.root_jobs(threads);
    let next = AtomicUsize::new(0);
    // ORDERING: pairs with nothing; each number is drawn once, and the end of the scope orders
    // everything else.
    let draw = || jobs.get(next.fetch_add(1, Ordering::Relaxed));
    thread::scope(|scope| {
        for _ in 1..threads.min(jobs.len()) {
            scope.spawn(|| {
                while let Some(job) = draw() {
                    RootJob::run(job)
                }
            });
        }
        while let Some(job) = draw() {
            job.run();
        }
    });
}

/// Print what is in an SSZ file.
#[derive(clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    chain: Chain,
    /// Name of the type in the specification, such as SignedBeaconBlock.
    #[arg(long = "type", value_name = "T")]
    name: String,
    /// SSZ file, plain or compressed as for `slots`.
    file: PathBuf,
}

/// Prints the value's hash tree root.
pub(crate) fn root(arguments: &Show, out: Output) -> Result<u8, Failure> {
    out.line(read_value(arguments)?.root())?;
    Ok(EXIT_OK)
}

/// Prints the value in the form of the beacon API.
pub(crate) fn decode(arguments: &Show, out: Output) -> Result<u8, Failure> {
    out.line(read_value(arguments)?.json())?;
    Ok(EXIT_OK)
}

fn read_value(arguments: &Show) -> Result<Box<dyn types::Value>, Failure> {
    let preset = arguments.chain.preset.into();
    let decode = types::decoder(preset, &arguments.name).ok_or_else(|| {
        let known = types::names().join(", ");
        Failure::input(anyhow!("--type {}: phase0 has {known}", arguments.name))
    })?;
    let bytes = read_ssz(&arguments.file).map_err(Failure::input)?;
    decode(&bytes)
        .with_context(|| format!("{}: not a {}", arguments.file.display(), arguments.name))
        .map_err(Failure::input)
}
