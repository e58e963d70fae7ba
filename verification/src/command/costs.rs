//! What each check took when that was last recorded.
//!
//! The figures are one machine's; only their ratios matter. `check --record verification/costs.tsv`
//! writes them anew.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// A line a check: its id, a tab, seconds.
const RECORDED: &str = include_str!("../../costs.tsv");

static SECONDS: LazyLock<HashMap<&str, f64>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (id, seconds) = line.split_once('\t')?;
        Some((id, seconds.parse().ok()?))
    };
    RECORDED.lines().filter_map(line).collect()
});

/// A check of which nothing is recorded.
const UNKNOWN: f64 = 0.5;

/// Returns about how many seconds a check takes.
pub(super) fn seconds(id: &str) -> f64 {
    SECONDS.get(id).copied().unwrap_or(UNKNOWN)
}

/// Returns the text of the file for what some checks took.
pub(super) fn text<'a>(costs: impl Iterator<Item = (&'a str, f64)>) -> String {
    let mut text = String::new();
    for (id, seconds) in costs {
        // A string takes any text.
        let _ = writeln!(text, "{id}\t{:.2}", seconds.max(0.01));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_read_again() {
        // Every line of the file, and of one that is written anew.
        assert_eq!(SECONDS.len(), RECORDED.lines().count(), "a line is not understood, or twice");
        let costs = SECONDS.iter().map(|(id, seconds)| (*id, *seconds));
        let again = text(costs);
        assert_eq!(again.lines().count(), RECORDED.lines().count());
        assert!(again.lines().all(|line| RECORDED.lines().any(|recorded| recorded == line)));
    }
}
