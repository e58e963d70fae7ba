//! The table: each row's minimum, beside the peers' figures as scaled by the yardsticks.

use std::fmt::Write;
use std::time::Duration;

use crate::rows::{Row, Run, yardstick_h, yardstick_v};

/// The yardsticks where the peers were measured, in nanoseconds: V and H.
const PEER_V_NS: f64 = 910_000.0;
const PEER_H_NS: f64 = 51.0;

/// Which yardstick scales a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// Signatures dominate.
    V,
    /// Everything else.
    H,
}

/// Lighthouse 8.1.0, Grandine (September 2025), Lodestar 1.41.0: CPU milliseconds on another
/// machine of this kind. `None`: not measured.
type Peers = [Option<f64>; 3];

fn peers(name: &str, large: bool) -> (Peers, Scale) {
    let some = |values: [f64; 3]| values.map(Some);
    let two = |lighthouse, grandine| [Some(lighthouse), Some(grandine), None];
    let figures = match (name, large) {
        ("decode", false) => some([14.0, 6.5, 96.0]),
        ("decode", true) => some([258.0, 117.0, 972.0]),
        ("encode", false) => some([3.4, 0.9, 13.0]),
        ("encode", true) => some([159.0, 42.0, 334.0]),
        ("root after decode", false) => some([48.0, 16.4, 126.0]),
        ("root after decode", true) => some([991.0, 398.0, 2617.0]),
        ("clone", _) => some([0.000_28, 0.000_17, 0.000_23]),
        ("empty slot and root", false) => some([0.025, 0.011, 0.055]),
        ("epoch", false) => some([11.3, 7.1, 29.0]),
        ("epoch", true) => some([380.0, 201.0, 545.0]),
        ("epoch without shuffle", false) => two(6.0, 1.8),
        ("epoch without shuffle", true) => two(240.0, 70.0),
        ("root after epoch", false) => some([1.7, 0.50, 1.2]),
        ("root after epoch", true) => some([48.0, 11.7, 144.0]),
        ("block 5, skip", false) => some([0.056, 0.023, 0.8]),
        ("block 5, batch + root", false) => some([4.4, 6.7, 9.3]),
        ("block 128, skip", false) => some([1.0, 0.48, 14.0]),
        ("block 128, batch + root", false) => some([76.0, 130.0, 101.0]),
        ("block 128, batch + root", true) => some([98.0, 235.0, 237.0]),
        ("root after block 128", false) => some([0.40, 0.18, 0.68]),
        _ => [None; 3],
    };
    let scale = if name.contains("batch") { Scale::V } else { Scale::H };
    (figures, scale)
}

/// The minimum of several rounds, in nanoseconds: what the operation costs when nothing interferes.
fn minimum(run: &mut Run, budget: Duration) -> f64 {
    const MAX_ROUNDS: u32 = 200;
    let (mut best, mut spent) = (f64::INFINITY, Duration::ZERO);
    run(1);
    for _ in 0..MAX_ROUNDS {
        let time = run(1);
        spent += time;
        best = best.min(time.as_nanos() as f64);
        if spent > budget {
            break;
        }
    }
    best
}

/// The yardsticks of this run, in nanoseconds.
pub(crate) struct Yardsticks {
    v: f64,
    h: f64,
}

impl Yardsticks {
    pub(crate) fn measure() -> Self {
        let budget = Duration::from_millis(500);
        Self { v: minimum(&mut yardstick_v(), budget), h: minimum(&mut yardstick_h(), budget) }
    }
}

/// One table of Markdown.
pub(crate) fn table(source: &str, rows: Vec<Row>, large: bool, yardsticks: &Yardsticks) -> String {
    let mut text = format!(
        "\n## {source}\n\n| operation | ms | V | ours / Lighthouse | ours / Grandine | ours / \
         Lodestar |\n|---|---|---|---|---|---|\n"
    );
    for Row { name, mut run } in rows {
        let ours = minimum(&mut run, Duration::from_secs(2));
        let (figures, scale) = peers(name, large);
        let factor = match scale {
            Scale::V => yardsticks.v / PEER_V_NS,
            Scale::H => yardsticks.h / PEER_H_NS,
        };
        let ratio = |figure: Option<f64>| {
            figure.map_or(String::new(), |ms| format!("{:.2}", ours / (ms * 1e6 * factor)))
        };
        let [lighthouse, grandine, lodestar] = figures.map(ratio);
        let line = format!(
            "| {name} | {:.5} | {:.3} | {lighthouse} | {grandine} | {lodestar} |",
            ours / 1e6,
            ours / yardsticks.v
        );
        println!("{line}");
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The head of the generated file.
pub(crate) fn head(yardsticks: &Yardsticks) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "# The state transition against production clients\n\n\
         Written by `cargo bench -p blocksmith-consensus -- --table`; `--inputs DIR` reads state and \
         blocks, `--large` adds a registry of 500,000.\n\
         CPU milliseconds of all threads, minimum of several runs. The peers' figures were taken on \
         another machine of the same kind; they are scaled by the yardsticks of this run (signature \
         rows by V, all others by H).\n\
         Peers: Lighthouse 8.1.0, Grandine (September 2025), Lodestar 1.41.0. Below 1, ours is \
         ahead. Without the shuffle the peers' figures are differences of theirs.\n\n\
         V, one verification without group checks: {:.3} ms (there 0.910). H, SHA-256 of 64 bytes: \
         {:.1} ns (there 51).\n",
        yardsticks.v / 1e6,
        yardsticks.h
    );
    text
}
