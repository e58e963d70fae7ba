//! A row that was measured several times.
//!
//! A run has few honest items, nine in each of its slots, so its 99th percentile is one of the few
//! slowest, and one run differs from the next by more than a bound on it allows.
//! The row of several rounds is that of the median round; what must not happen at all, and what must
//! stay below a bound, is that of the worst.

use super::report::Row;

/// What the services took, in CPU time, for each second of the direct calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overhead {
    /// While there is work whenever a thread looks.
    pub busy: f64,
    /// While threads wait for nearly each item.
    pub paced: f64,
}

/// Returns the row of the rounds of one attack, each of the same size by as many peers: the median
/// one by the CPU time beside direct calls, or else by how many times longer the 99th percentile is
/// under attack. The lower of two medians is taken.
///
/// # Panics
/// If there is no round.
pub(super) fn median(mut rounds: Vec<Row>) -> Row {
    rounds.sort_by(|one, other| measure(one).total_cmp(&measure(other)));
    let mut row = rounds[(rounds.len() - 1) / 2].clone();
    if rounds.len() == 1 {
        return row;
    }
    row.peak_bytes = rounds.iter().map(|round| round.peak_bytes).max().unwrap_or_default();
    row.stop_ms = rounds.iter().map(|round| round.stop_ms).fold(0.0, f64::max);
    row.honest.dropped = rounds.iter().map(|round| round.honest.dropped).max().unwrap_or_default();
    row.verdicts_lost = rounds.iter().map(|round| round.verdicts_lost).sum();
    row.dropped_by_attack =
        rounds.iter().map(|round| round.dropped_by_attack).max().unwrap_or_default();
    row.notes.push(note(&rounds));
    row
}

/// What rounds are compared by.
fn measure(row: &Row) -> f64 {
    row.overhead.map_or_else(|| row.ratio(), |overhead| overhead.busy)
}

/// Says what the rounds were.
fn note(rounds: &[Row]) -> String {
    let spread = |of: &dyn Fn(&Row) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        let (least, most) = (all[0], all[all.len() - 1]);
        format!("{:.3} ({least:.3} to {most:.3})", all[(all.len() - 1) / 2])
    };
    let count = rounds.len();
    match rounds[0].overhead {
        Some(_) => {
            let of = |figure: fn(Overhead) -> f64| {
                spread(&move |row: &Row| row.overhead.map_or(0.0, figure))
            };
            let (busy, paced) = (of(|overhead| overhead.busy), of(|overhead| overhead.paced));
            format!("the median of {count} rounds is {busy} times busy, and {paced} paced")
        }
        None => format!("p99 is {} times the quiet one in {count} rounds", spread(&Row::ratio)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{Honest, Row};
    use super::{Overhead, median};

    /// A round whose 99th percentile is so many times the quiet one.
    fn round(ratio: f64, dropped: u64) -> Row {
        Row {
            attack: "A1",
            n: 64,
            peers: 1,
            slots_run: 0,
            blocks_replayed: 0,
            cpu_ms: ratio,
            peak_bytes: 10 * dropped,
            honest: Honest { p99_ms: ratio, quiet_p99_ms: 1.0, dropped, ..Honest::default() },
            verdicts_lost: dropped,
            overhead: None,
            stop_ms: ratio,
            dropped_by_attack: dropped,
            notes: Vec::new(),
        }
    }

    #[test]
    fn the_row_of_one_round_is_that_round() {
        assert_eq!(median(vec![round(1.5, 2)]), round(1.5, 2));
    }

    #[test]
    fn times_are_those_of_the_median_round_and_failures_those_of_the_worst() {
        let row = median(vec![round(3.0, 0), round(1.0, 4), round(2.0, 1)]);
        assert_eq!((row.ratio(), row.cpu_ms), (2.0, 2.0));
        assert_eq!((row.honest.dropped, row.verdicts_lost, row.dropped_by_attack), (4, 5, 4));
        assert_eq!((row.peak_bytes, row.stop_ms), (40, 3.0));
        assert_eq!(row.notes, ["p99 is 2.000 (1.000 to 3.000) times the quiet one in 3 rounds"]);
    }

    #[test]
    fn rounds_beside_direct_calls_are_compared_by_their_overhead() {
        // The ratios of latencies are in the other order.
        let beside = |busy, ratio| Row {
            overhead: Some(Overhead { busy, paced: busy + 0.5 }),
            ..round(ratio, 0)
        };
        let row = median(vec![beside(1.1, 1.0), beside(0.9, 3.0), beside(1.0, 2.0)]);
        assert_eq!(row.overhead, Some(Overhead { busy: 1.0, paced: 1.5 }));
        let note = "the median of 3 rounds is 1.000 (0.900 to 1.100) times busy, and \
                    1.500 (1.400 to 1.600) paced";
        assert_eq!(row.notes, [note]);
    }

    #[test]
    fn of_two_rounds_the_lower_one_is_taken() {
        assert_eq!(median(vec![round(2.0, 0), round(1.0, 0)]).ratio(), 1.0);
    }
}
