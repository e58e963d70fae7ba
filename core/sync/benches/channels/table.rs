//! The table of results: medians over rounds, and the ratio to the best peer.

use std::fmt::Write as _;

use crate::Row;

const ROUNDS: usize = 11;

/// Measures the rows whose name contains `filter`, prints them, and without a filter writes the
/// file.
pub(crate) fn write(
    rows: Vec<Row>,
    footprints: Vec<(&'static str, (usize, f64))>,
    filter: Option<&String>,
) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!(
        "# Notifier and channels against their peers\n\n\
         Written by `cargo bench -p blocksmith-sync -- --table`, on a machine with {cores} cores.\n\
         Nanoseconds per operation, median of {ROUNDS} rounds; in a round the peers of a row run one \
         after the other.\nThe ratio is ours to the best peer: below 1, ours is ahead. Capacity {}.\n\n",
        crate::workloads::CAPACITY
    );
    let selected = |row: &Row| filter.is_none_or(|filter| row.name.contains(filter.as_str()));
    for row in rows.into_iter().filter(selected) {
        let part = measured(&row);
        print!("{part}");
        text += &part;
    }
    text += "| memory | bytes, empty | bytes per queued u64 |\n|---|---|---|\n";
    for (name, (empty, item)) in footprints {
        let _ = writeln!(text, "| {name} | {empty} | {item:.1} |");
    }
    if filter.is_none() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/RESULTS.md");
        std::fs::write(path, text).expect("the folder of the benches can be written");
        println!("written to {path}");
    }
}

/// Runs the rounds of a row and returns it as a table.
fn measured(row: &Row) -> String {
    let mut samples = vec![Vec::new(); row.entries.len()];
    for _ in 0..ROUNDS {
        for ((_, run), samples) in row.entries.iter().zip(&mut samples) {
            samples.push(run(row.operations).as_nanos() as f64 / row.operations as f64);
        }
    }
    let medians: Vec<f64> = samples.iter_mut().map(|samples| median(samples)).collect();
    let is_ours = |index: usize| row.entries[index].0.starts_with("blocksmith");
    let peers = medians.iter().enumerate().filter(|&(index, _)| !is_ours(index));
    let best = peers.map(|(_, median)| *median).fold(f64::INFINITY, f64::min);
    let mut text = format!("| {} | ns | ours / best peer |\n|---|---|---|\n", row.name);
    for (index, ((name, _), median)) in row.entries.iter().zip(&medians).enumerate() {
        let ratio = if is_ours(index) { format!("{:.2}", median / best) } else { String::new() };
        let _ = writeln!(text, "| {name} | {median:.1} | {ratio} |");
    }
    text + "\n"
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
