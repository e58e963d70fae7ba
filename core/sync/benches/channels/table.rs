//! The table of results: medians over rounds and runs, and the ratio to the best peer.

use std::fmt::Write as _;

use crate::Row;
use crate::peers::Timed;
use crate::workloads::{CAPACITY, neighbours};

/// The number of runs. A run measures every row once, in rounds.
const RUNS: usize = 5;
const ROUNDS: usize = 11;
/// Round trips beside neighbours in one run.
const ROUND_TRIPS: u64 = 300;

/// What is measured.
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    /// Round trips beside neighbours.
    pub(crate) timed: Vec<(&'static str, Timed)>,
    /// Bytes of an empty channel, and for each queued `u64`.
    pub(crate) footprints: Vec<(&'static str, (usize, f64))>,
}

const BESIDE: &str = "beside busy neighbours";

impl Table {
    /// Measures the rows whose name contains `filter`, prints them, and without a filter writes the
    /// file.
    pub(crate) fn write(self, filter: Option<&String>) {
        let selected = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
        let rows: Vec<_> = self.rows.iter().filter(|row| selected(&row.name)).collect();
        let timed = if selected(BESIDE) { &*self.timed } else { &[] };
        let mut runs = vec![Vec::new(); rows.len()];
        let mut times = vec![Vec::new(); timed.len()];
        for run in 1..=RUNS {
            for (row, medians) in rows.iter().zip(&mut runs) {
                medians.push(measured(row));
            }
            for ((_, workload), times) in timed.iter().zip(&mut times) {
                times.push(percentiles(workload(ROUND_TRIPS)));
            }
            eprintln!("run {run} of {RUNS}");
        }
        let mut text = heading();
        for (row, runs) in rows.into_iter().zip(&runs) {
            streams(&mut text, row, runs);
        }
        if !timed.is_empty() {
            round_trips(&mut text, timed, &times);
        }
        text += "| memory | bytes, empty | bytes per queued u64 |\n|---|---|---|\n";
        for (name, (empty, item)) in self.footprints {
            let _ = writeln!(text, "| {name} | {empty} | {item:.1} |");
        }
        print!("{text}");
        if filter.is_none() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/RESULTS.md");
            std::fs::write(path, text).expect("the folder of the benches can be written");
            println!("written to {path}");
        }
    }
}

fn heading() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "# Notifier and channels against their peers\n\n\
         Written by `cargo bench -p blocksmith-sync -- --table`, on a machine with {cores} cores.\n\
         Nanoseconds per operation: the median of {RUNS} runs, each of which is the median of \
         {ROUNDS} rounds; in a round the peers of a row run one after the other. The ratio is ours \
         to the best peer of the same run, again the median of the runs, and the lowest and the \
         highest: below 1, ours is ahead. Capacity {CAPACITY}.\n\n"
    )
}

/// Runs the rounds of a row and returns the median of each entry.
fn measured(row: &Row) -> Vec<f64> {
    let mut samples = vec![Vec::new(); row.entries.len()];
    for _ in 0..ROUNDS {
        for ((_, run), samples) in row.entries.iter().zip(&mut samples) {
            samples.push(run(row.operations).as_nanos() as f64 / row.operations as f64);
        }
    }
    samples.into_iter().map(median).collect()
}

/// Writes a row as a table; `runs` has the medians of its entries for each run.
fn streams(text: &mut String, row: &Row, runs: &[Vec<f64>]) {
    let is_ours = |index: usize| row.entries[index].0.starts_with("blocksmith");
    let best = |medians: &[f64]| {
        let peers = medians.iter().enumerate().filter(|&(index, _)| !is_ours(index));
        peers.map(|(_, median)| *median).fold(f64::INFINITY, f64::min)
    };
    let _ = writeln!(text, "| {} | ns | ours / best peer |\n|---|---|---|", row.name);
    for (index, (name, _)) in row.entries.iter().enumerate() {
        let time = median(runs.iter().map(|medians| medians[index]).collect());
        let ratios: Vec<_> = runs.iter().map(|medians| medians[index] / best(medians)).collect();
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(0.0, f64::max);
        let ratio = if is_ours(index) {
            format!("{:.2} ({low:.2} to {high:.2})", median(ratios))
        } else {
            String::new()
        };
        let _ = writeln!(text, "| {name} | {time:.1} | {ratio} |");
    }
    text.push('\n');
}

/// Writes the percentiles of round trips, which `times` has for each run, in microseconds.
fn round_trips(text: &mut String, timed: &[(&str, Timed)], times: &[Vec<[f64; 3]>]) {
    let _ = writeln!(
        text,
        "| {BESIDE}: round trips through channels of 1, {} busy threads | p50, us | p99, us | max, us \
         |\n|---|---|---|---|",
        neighbours()
    );
    for ((name, _), runs) in timed.iter().zip(times) {
        let [p50, p99, max] =
            [0, 1, 2].map(|which| median(runs.iter().map(|run| run[which]).collect()) / 1e3);
        let _ = writeln!(text, "| {name} | {p50:.1} | {p99:.1} | {max:.0} |");
    }
    text.push('\n');
}

/// Returns the median, the 99th percentile, and the largest.
fn percentiles(mut times: Vec<u64>) -> [f64; 3] {
    times.sort_unstable();
    let at = |index: usize| times[index.min(times.len() - 1)] as f64;
    [at(times.len() / 2), at(times.len() * 99 / 100), at(times.len() - 1)]
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
