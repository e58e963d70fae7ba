//! `blocksmith attack`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use blocksmith_conformance::attack::{
    Attack, MAX_BRANCHES, MAX_ITEMS, MAX_SLOTS, Options, Report as Rows, run as run_attacks, svg,
};
use blocksmith_terminal::{EXIT_DIFFERS, EXIT_OK, Failure, Output, Report};
use indicatif::{ProgressBar, ProgressStyle};

/// Numbers of peers.
const PEERS: [u64; 3] = [1, 5, 64];
/// Honest slots of a run may take so many seconds.
const SECONDS: u64 = 20;
/// The same with `--quick`.
const QUICK_SECONDS: u64 = 3;
/// The long chain's slots.
const CHAIN: u64 = 1_031;
/// The same with `--quick`.
const QUICK_CHAIN: u64 = 263;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Attacks to run, A1 to A14, and pipeline, which compares honest items through the services
    /// with direct calls; the default is all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    attack: Vec<Attack>,
    /// Sizes to run them at, 1 to 65536; what an attack's size counts is printed with its curve. By
    /// default each attack has its own, most of them 64,256,1024.
    #[arg(
        long,
        value_name = "SIZES",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u64).range(1..=MAX_ITEMS)
    )]
    n: Vec<u64>,
    /// How many peers attack. Every number is a row where it makes a difference, as for A1; other
    /// attacks are run with the first. The default is 1,5,64, and 1,5 with --quick.
    #[arg(
        long,
        value_name = "NUMBERS",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u64).range(1..=65_536)
    )]
    peers: Vec<u64>,
    /// General Rewinder workers, 1 to 256; the default is one for each processor.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// How many seconds the honest traffic of one run may take, 1 to 3600; then no more slots are
    /// begun. The default is 20, and 3 with --quick.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// Slots of the long chain of A4, 16 to 16384. The default is 1031, and 263 with --quick.
    #[arg(long, value_name = "SLOTS", value_parser = clap::value_parser!(u64).range(16..=MAX_SLOTS))]
    chain: Option<u64>,
    /// Branches of that chain.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(0..=MAX_BRANCHES)
    )]
    branches: u64,
    /// Run every attack at its smallest size only, unless sizes are given: a minute or less.
    #[arg(long)]
    quick: bool,
    /// How often to measure each row, 1 to 99: its times are those of the median round, and what it
    /// counts as dropped or lost is what happened in any. Five on a machine without other work tell
    /// an attack from a chance.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=99)
    )]
    rounds: u8,
    /// Write the rows as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the curves of each attack to this folder, as A1.svg and so on.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn reports_on_stdout(&self) -> bool {
        Report::goes_to_stdout(self.json.as_deref())
    }

    fn options(&self) -> Options {
        let either = |given: Option<u64>, quick, full| {
            given.unwrap_or(if self.quick { quick } else { full })
        };
        let peers: &[u64] = match (self.peers.as_slice(), self.quick) {
            ([], true) => &PEERS[..2],
            ([], false) => &PEERS,
            (given, _) => given,
        };
        let all = self.attack.is_empty();
        Options {
            attacks: if all { Attack::ALL.to_vec() } else { sorted(&self.attack) },
            sizes: sorted(&self.n),
            peers: sorted(peers),
            workers: self.workers.map_or_else(processors, usize::from),
            time: Duration::from_secs(either(self.seconds, QUICK_SECONDS, SECONDS)),
            chain: either(self.chain, QUICK_CHAIN, CHAIN),
            branches: self.branches,
            smallest: self.quick,
            rounds: usize::from(self.rounds),
        }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the values in ascending order, each once.
fn sorted<T: Clone + Ord>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    values
}

/// Runs the attacks and prints the table. The exit code says whether a verdict was lost, or honest
/// items were dropped for an attack.
pub(crate) fn run(arguments: &Arguments, out: Output) -> Result<u8, Failure> {
    let report = Report::maybe("--json", arguments.json.as_deref())?;
    if let Some(folder) = &arguments.svg {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("--svg {}", folder.display()))
            .map_err(Failure::input)?;
    }
    let options = arguments.options();
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} rows {elapsed} {msg}") {
        bar.set_style(style);
    }
    let progress = |attack: Attack, n, peers, done: usize, count: usize| {
        bar.set_length(count as u64);
        bar.set_position(done as u64);
        bar.set_message(format!("{attack} n {n} peers {peers}"));
    };
    let rows = run_attacks(&options, progress).map_err(Failure::fault)?;
    bar.finish_and_clear();
    if let Some(report) = report {
        report.finish(&rows.json().map_err(Failure::fault)?)?;
    }
    if let Some(folder) = &arguments.svg {
        draw(&rows, &options.attacks, folder)?;
    }
    out.text(&rows)?;
    let as_expected = rows.is_as_expected();
    let dropped: u64 = rows.rows.iter().map(|row| row.dropped_by_attack).sum();
    out.line(out.painted(dropped == 0, format_args!("{dropped} honest items dropped by attacks")))?;
    let lost: u64 = rows.rows.iter().map(|row| row.verdicts_lost).sum();
    out.line(out.painted(lost == 0, format_args!("{lost} verdicts lost")))?;
    Ok(if as_expected { EXIT_OK } else { EXIT_DIFFERS })
}

/// Writes the curves of every attack that has rows.
fn draw(rows: &Rows, attacks: &[Attack], folder: &Path) -> Result<(), Failure> {
    for attack in attacks {
        if let Some(curves) = svg::curves(rows, *attack) {
            let path = folder.join(format!("{attack}.svg"));
            std::fs::write(&path, curves)
                .map_err(|error| Failure::writing(&path.display().to_string(), error))?;
        }
    }
    Ok(())
}
