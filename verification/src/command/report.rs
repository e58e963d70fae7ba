//! The results of a check in three forms: a line for a person, a row of the JSON report, and a case
//! of the JUnit report.

use std::collections::BTreeMap;
use std::time::Duration;

use blocksmith_engines::counterexample::{self, Counterexample};
use blocksmith_engines::verdict::{Engine, Outcome, Verdict};
use blocksmith_terminal::{EXIT_DIFFERS, EXIT_OK, EXIT_TRUNCATED, Failure, Output};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus};
use serde::Serialize;

use crate::catalogue::Check;

/// The result of a check, as a row of the JSON report.
#[derive(Serialize)]
pub(super) struct Row {
    id: String,
    protocol: &'static str,
    engine: Engine,
    expected: &'static str,
    /// The properties, one of which must break. A check that must hold has none.
    expected_violations: Vec<String>,
    /// The number of states that the check must visit, where it is pinned.
    expected_states: Option<u64>,
    verdict: &'static str,
    violation: Option<String>,
    /// How the verdict differs from the expected one, if it does.
    difference: Option<String>,
    bounds: BTreeMap<&'static str, String>,
    states: Option<u64>,
    executions: Option<u64>,
    pub(super) seconds: f64,
}

impl Row {
    pub(super) fn new(check: &Check, verdict: &Verdict, seconds: f64) -> Self {
        Self {
            id: check.id.clone(),
            protocol: check.protocol,
            engine: check.engine,
            expected: check.expected.word(),
            expected_violations: check.expected.breaks().iter().map(ToString::to_string).collect(),
            expected_states: check.states,
            verdict: verdict.word(),
            violation: verdict.violation().map(ToString::to_string),
            difference: check.difference(verdict),
            states: verdict.states,
            executions: verdict.executions,
            bounds: verdict.bounds.clone(),
            seconds,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn is_as_expected(&self) -> bool {
        self.difference.is_none()
    }

    pub(super) fn is_twin(&self) -> bool {
        !self.expected_violations.is_empty()
    }
}

/// How much is printed for a check.
#[derive(Clone, Copy)]
pub(super) struct Detail {
    /// Whether the verdict is printed with all its bounds.
    pub(super) verbose: bool,
    /// Whether the counterexample is printed.
    pub(super) counterexamples: bool,
}

/// The widths of the columns. With the spaces between them, a line has at most 100 characters.
const WORD: usize = 9;
const ID: usize = 65;
const LOOKED_AT: usize = 14;

/// Returns the heads of the columns, in as many characters as the longest line has.
pub(super) fn head() -> String {
    format!("{:<WORD$} {:<ID$} {:>LOOKED_AT$} {:>8}", "result", "check", "looked at", "seconds")
}

/// Returns the line of a check that is left, with the seconds that it takes by the recorded times.
pub(super) fn left(id: &str, seconds: f64) -> String {
    format!("{:<WORD$} {id:<ID$} {:>LOOKED_AT$} {seconds:>8.1}", "left", "about")
}

/// Prints a check's line. Prints more if that is asked for, or if the verdict is not as expected.
/// Of a counterexample whose threads say what they do, the table has that alone.
pub(super) fn print(
    out: Output,
    check: &Check,
    verdict: &Verdict,
    found: Option<&Counterexample>,
    seconds: f64,
    detail: Detail,
) -> Result<(), Failure> {
    let difference = check.difference(verdict);
    // The word "verified" stands only where its bounds do, which is in the whole verdict.
    let word = match (&difference, &verdict.outcome) {
        (None, Outcome::Verified) => "holds",
        (None, _) => "refuted",
        (Some(_), Outcome::Truncated { .. }) => "TRUNCATED",
        (Some(_), _) => "DIFFERS",
    };
    let word = out.painted(difference.is_none(), format_args!("{word:<WORD$}"));
    let looked_at = match (verdict.states, verdict.executions) {
        (Some(states), _) => format!("{states} states"),
        (None, Some(runs)) => format!("{runs} runs"),
        (None, None) => String::new(),
    };
    out.line(format_args!("{word} {:<ID$} {looked_at:>LOOKED_AT$} {seconds:>8.1}", check.id))?;
    let differs = difference.is_some();
    if let Some(difference) = difference {
        out.line(format_args!("    not as expected: {difference}"))?;
    }
    if detail.verbose || differs {
        out.line(format_args!("    {}", check.claim))?;
        out.line(format_args!("    {verdict}"))?;
    }
    if detail.counterexamples || differs {
        let text = verdict.counterexample().unwrap_or_default();
        let summary =
            found.and_then(Counterexample::landmarks).map(|it| counterexample::table(&it));
        for line in summary.as_deref().unwrap_or(text).lines() {
            out.line(format_args!("    {line}"))?;
        }
    }
    Ok(())
}

/// Returns the exit code that a verdict asks for.
pub(super) fn exit_code(check: &Check, verdict: &Verdict) -> u8 {
    match verdict.outcome {
        _ if check.is_as_expected(verdict) => EXIT_OK,
        Outcome::Truncated { .. } => EXIT_TRUNCATED,
        _ => EXIT_DIFFERS,
    }
}

/// Returns a check as a test case, which passes if the verdict is the expected one. The standard
/// output of the case has the verdict with its bounds and, for twins as well, the counterexample.
pub(super) fn test_case(check: &Check, verdict: &Verdict, seconds: f64) -> TestCase {
    let status = match check.difference(verdict) {
        None => TestCaseStatus::success(),
        Some(difference) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(difference);
            status
        }
    };
    let mut case = TestCase::new(check.id.clone(), status);
    case.set_classname(format!("blocksmith.{}", check.protocol));
    case.set_time(Duration::from_secs_f64(seconds));
    case.set_system_out(format!(
        "{}\n{verdict}\n{}",
        check.claim,
        verdict.counterexample().unwrap_or_default()
    ));
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::catalogue;

    #[test]
    fn every_line_fits_a_hundred_columns() {
        // The heads fill the width of a line, and the longest id fits into its column.
        assert_eq!(head().len(), 99);
        let longest = catalogue().iter().map(|check| check.id.len()).max();
        assert!(longest <= Some(ID), "an id has {longest:?} characters");
    }
}
