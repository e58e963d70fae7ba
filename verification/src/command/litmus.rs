//! The sub-command `litmus`: it judges the ordering arguments of core by the axioms of memory
//! models, and runs the same programs under loom.

use std::collections::BTreeMap;
use std::path::PathBuf;

use blocksmith_engines::litmus::{Answer, MODELS, judge_under, literature};
use blocksmith_terminal::{Color, EXIT_DIFFERS, EXIT_OK, EXIT_TRUNCATED, Failure, Output, Report};
use serde::Serialize;

use crate::litmus::{Argument, Compared, Judged, Variant, arguments};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Judge only the arguments whose name contains this.
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
    /// Judge the litmus tests of the literature, too, whose answers are known.
    #[arg(long)]
    literature: bool,
    /// Print each program and, where it is not forbidden, an execution.
    #[arg(long, short)]
    verbose: bool,
    /// Write the results as JSON to this file; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One program, as a row of the JSON report.
#[derive(Serialize)]
struct Row {
    id: &'static str,
    /// What is weakened; the source for a test of the literature.
    variant: &'static str,
    /// What must not come out; none for a test of the literature.
    claim: Option<&'static str>,
    program: String,
    /// The answer of each model.
    answers: BTreeMap<&'static str, Answer>,
    expected: BTreeMap<&'static str, Answer>,
    /// How loom compares with RC11, and how many executions it ran.
    loom: Option<Compared>,
    runs: Option<u64>,
    redundant: Option<&'static str>,
    /// An execution with the outcome that is asked about.
    witness: Option<String>,
    difference: Option<String>,
}

/// The width of the column with the names.
const NAME: usize = 46;
/// The width of the column with one model's answer.
const ANSWER: usize = 9;

fn named(answers: [Answer; 4]) -> BTreeMap<&'static str, Answer> {
    MODELS.map(|model| model.name).into_iter().zip(answers).collect()
}

/// Returns a line of the table: a name, the four answers, and what is said of loom.
fn line(name: &str, answers: [impl std::fmt::Display; 4], loom: &str) -> String {
    let answers = answers.map(|answer| format!("{answer:<ANSWER$}")).join(" ");
    format!("{name:<NAME$} {answers} {loom}").trim_end().to_owned()
}

impl Row {
    fn of(id: &'static str, claim: &'static str, variant: &Variant, judged: Judged) -> Self {
        Self {
            id,
            variant: variant.what,
            claim: Some(claim),
            program: variant.program.to_string(),
            answers: named(judged.answers),
            expected: named(variant.expected),
            loom: Some(judged.loom),
            runs: Some(judged.runs),
            redundant: variant.redundant,
            difference: variant.difference(&judged),
            witness: judged.witness,
        }
    }

    /// Prints what is not in the table's line.
    fn print_more(&self, out: Output, verbose: bool) -> Result<(), Failure> {
        let differs = self.difference.is_some();
        if let Some(difference) = &self.difference {
            let text = format_args!("not as expected: {difference}");
            out.line(format_args!("    {}", out.painted(false, text)))?;
        }
        if let Some(reason) = self.redundant {
            for line in wrapped(6, &format!("redundant: {reason}")) {
                out.line(line)?;
            }
        }
        let witness = self.witness.as_deref().unwrap_or_default();
        for line in self.program.lines().filter(|_| verbose || differs) {
            for line in wrapped(6, line) {
                out.line(line)?;
            }
        }
        for line in witness.lines().filter(|_| verbose || differs) {
            out.line(format_args!("      | {line}"))?;
        }
        Ok(())
    }
}

pub(super) fn run(arguments: &Arguments, color: Color) -> Result<u8, Failure> {
    let json = arguments.json.as_deref();
    let out = Output::new(color, Report::goes_to_stdout(json));
    let of_core = selected(arguments.id.as_deref())?;
    let report = Report::maybe("--json", json)?;
    let mut rows = Vec::new();
    out.line(line("", MODELS.map(|model| model.name), "loom"))?;
    if arguments.literature {
        known(&mut rows, arguments.verbose, out)?;
    }
    for argument in of_core {
        judge(&mut rows, argument, arguments.verbose, out)?;
    }
    finish(&rows, report, out)
}

/// Returns the arguments whose names contain a text.
fn selected(text: Option<&str>) -> Result<Vec<Argument>, Failure> {
    let mut found = arguments();
    if let Some(text) = text {
        found.retain(|argument| argument.id.contains(text));
        if found.is_empty() {
            return Err(Failure::input(anyhow::anyhow!("no argument's name contains {text}")));
        }
    }
    Ok(found)
}

/// Prints the sum, writes the report, and returns the exit code.
fn finish(rows: &[Row], report: Option<Report>, out: Output) -> Result<u8, Failure> {
    let differ = rows.iter().filter(|row| row.difference.is_some()).count();
    let truncated = rows.iter().any(|row| row.loom == Some(Compared::Truncated));
    let of_core = rows.iter().filter(|row| row.claim.is_some());
    let (programs, holding) = of_core.fold((0, 0), |(programs, holding), row| {
        (programs + 1, holding + usize::from(row.answers.values().all(|a| *a == Answer::Forbidden)))
    });
    out.line(format_args!(
        "{} programs of the literature; {programs} of core: {holding} forbidden, {} not; {differ} \
         not as expected",
        rows.len() - programs,
        programs - holding,
    ))?;
    if let Some(report) = report {
        report.finish(&serde_json::to_string(rows).map_err(Failure::fault)?)?;
    }
    Ok(match (differ, truncated) {
        (0, _) => EXIT_OK,
        (_, true) => EXIT_TRUNCATED,
        _ => EXIT_DIFFERS,
    })
}

/// Judges the tests of the literature.
fn known(rows: &mut Vec<Row>, verbose: bool, out: Output) -> Result<(), Failure> {
    for literature::Test { program, expected, source } in literature::tests() {
        let judged = judge_under(&program, MODELS).map_err(Failure::fault)?;
        let answers = judged.each_ref().map(|judgement| judgement.answer);
        let row = Row {
            id: program.name,
            variant: source,
            claim: None,
            program: program.to_string(),
            answers: named(answers),
            expected: named(expected),
            loom: None,
            runs: None,
            redundant: None,
            witness: judged.into_iter().find_map(|judgement| judgement.witness),
            difference: (answers != expected).then(|| "the literature differs".to_owned()),
        };
        let name = format!("{:<20} {source}", row.id);
        out.line(line(&name, answers, ""))?;
        row.print_more(out, verbose)?;
        rows.push(row);
    }
    Ok(())
}

/// Judges one argument of core.
fn judge(
    rows: &mut Vec<Row>,
    Argument { id, claim, variants, .. }: Argument,
    verbose: bool,
    out: Output,
) -> Result<(), Failure> {
    for line in wrapped(0, &format!("{id}: {claim}")) {
        out.line(line)?;
    }
    for variant in variants {
        let judged = variant.judge().map_err(Failure::fault)?;
        let name = format!("    {}", variant.what);
        out.line(line(&name, judged.answers, judged.loom.word()))?;
        let row = Row::of(id, claim, &variant, judged);
        row.print_more(out, verbose)?;
        rows.push(row);
    }
    Ok(())
}

/// Returns the lines of a text, at most a hundred columns wide and indented by so many spaces; the
/// second line and later ones by two more.
fn wrapped(indent: usize, text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= 100 => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{:1$}{word}", "", indent + 2)),
            None => lines.push(format!("{:indent$}{word}", "")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{line, wrapped};
    use crate::litmus::{Compared, arguments};

    #[test]
    fn every_line_of_the_table_fits_a_hundred_columns() {
        // The names fit into their column, and the longest word about loom fits behind the answers.
        let words = ["forbidden"; 4];
        assert!(line("", words, Compared::Truncated.word()).len() <= 100);
        for argument in arguments() {
            let lines = wrapped(0, &format!("{}: {}", argument.id, argument.claim));
            assert!(lines.iter().all(|line| line.len() <= 100), "{lines:?}");
            for variant in argument.variants {
                assert!(variant.what.len() <= super::NAME - 4, "{}", variant.what);
            }
        }
    }
}
