//! The recorded time of each check.
//!
//! The times are those of one machine, and only their ratios matter. `check --record
//! verification/costs.tsv` writes them anew.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// The recorded times. Each line is a check's id, a tab, and the seconds that it took.
const RECORDED: &str = include_str!("../../costs.tsv");

static SECONDS: LazyLock<HashMap<&str, f64>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (id, seconds) = line.split_once('\t')?;
        Some((id, seconds.parse().ok()?))
    };
    RECORDED.lines().filter_map(line).collect()
});

/// The seconds that are assumed for a check without a recorded time.
const UNKNOWN: f64 = 0.5;

/// Returns the estimated seconds that a check takes.
pub(super) fn seconds(id: &str) -> f64 {
    SECONDS.get(id).copied().unwrap_or(UNKNOWN)
}

/// Returns the text of the file for these checks and their seconds.
pub(super) fn text<'a>(costs: impl Iterator<Item = (&'a str, f64)>) -> String {
    let mut text = String::new();
    for (id, seconds) in costs {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{id}\t{:.2}", seconds.max(0.01));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_read_again() {
        // Reads every line of the file, and of one that is written anew.
        assert_eq!(SECONDS.len(), RECORDED.lines().count(), "a line is not understood, or twice");
        let costs = SECONDS.iter().map(|(id, seconds)| (*id, *seconds));
        let again = text(costs);
        assert_eq!(again.lines().count(), RECORDED.lines().count());
        assert!(again.lines().all(|line| RECORDED.lines().any(|recorded| recorded == line)));
    }
}
