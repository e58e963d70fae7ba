//! The sub-command `check`: it runs checks and reports their verdicts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use blocksmith_engines::counterexample::{self, Counterexample};
use blocksmith_engines::verdict::{Engine, Verdict};
use blocksmith_terminal::{Color, EXIT_OK, Failure, Output, Report};
use quick_junit::{TestCase, TestSuite};

use super::counterexample::Folder;
use super::pool::{self, End, News};
use super::progress::Progress;
use super::report::{self, Detail, Row};
use super::select::Selection;
use super::{costs, mutants, workers};
use crate::catalogue::Check;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// The same as the command `mutants`.
    #[arg(long, conflicts_with_all = ["protocol", "engine", "id", "depth", "list", "junit"])]
    mutants: bool,
    /// Number of checks that run at the same time, 1 to 64; without it, one for each processor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
    /// List the checks without running them.
    #[arg(long)]
    list: bool,
    /// Print each verdict with all its bounds.
    #[arg(long, short)]
    verbose: bool,
    /// Print the counterexample of every refuted check, twins included.
    #[arg(long)]
    counterexamples: bool,
    /// Write the counterexample of every check that Stepped refutes, twins included, to this folder,
    /// as ID.itf.json; `counterexample` shows it and runs it again.
    #[arg(long, value_name = "FOLDER")]
    write_counterexamples: Option<PathBuf>,
    /// Write the results as JSON to this file; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the results as JUnit XML to this file; a verdict that is not as expected is a failure.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the time that each check took to this file, from which `--shard` and the progress line
    /// estimate times.
    #[arg(long, value_name = "FILE", hide = true)]
    record: Option<PathBuf>,
}

/// The files into which the results are written when the run has ended.
struct Reports {
    json: Option<Report>,
    junit: Option<Report>,
    record: Option<Report>,
}

impl Reports {
    fn open(arguments: &Arguments) -> Result<Self, Failure> {
        Ok(Self {
            json: Report::maybe("--json", arguments.json.as_deref())?,
            junit: Report::maybe("--junit", arguments.junit.as_deref())?,
            record: Report::maybe("--record", arguments.record.as_deref())?,
        })
    }

    fn finish(self, results: Results) -> Result<(), Failure> {
        let (rows, cases): (Vec<_>, Vec<_>) = results.0.into_values().unzip();
        if let Some(file) = self.json {
            file.finish(&serde_json::to_string(&rows).map_err(Failure::fault)?)?;
        }
        if let Some(file) = self.record {
            let costs = rows.iter().map(|row| (row.id(), row.seconds));
            file.finish(costs::text(costs).trim_end())?;
        }
        if let Some(file) = self.junit {
            let mut suite = TestSuite::new("blocksmith-check");
            suite.add_test_cases(cases);
            let mut report = quick_junit::Report::new("blocksmith");
            report.add_test_suite(suite);
            file.finish(report.to_string().map_err(Failure::fault)?.trim_end())?;
        }
        Ok(())
    }
}

/// The results so far, by the check's place in the selection.
#[derive(Default)]
struct Results(BTreeMap<usize, (Row, TestCase)>);

impl Results {
    fn add(&mut self, place: usize, check: &Check, verdict: &Verdict, seconds: f64) {
        let row = Row::new(check, verdict, seconds);
        self.0.insert(place, (row, report::test_case(check, verdict, seconds)));
    }

    fn count(&self, is: impl Fn(&Row) -> bool) -> usize {
        self.0.values().filter(|(row, _)| is(row)).count()
    }
}

pub(super) fn run(arguments: &Arguments, color: Color) -> Result<u8, Failure> {
    let reports = [&arguments.json, &arguments.junit, &arguments.record];
    let on_stdout = reports.iter().any(|file| Report::goes_to_stdout(file.as_deref()));
    let out = Output::new(color, on_stdout);
    if arguments.mutants {
        let shard = arguments.selection.shard();
        let json = arguments.json.as_deref();
        return mutants::sweep(workers(arguments.jobs), shard, json, out);
    }
    let checks = arguments.selection.checks()?;
    if arguments.list {
        for check in &checks {
            let (id, word, claim) = (&check.id, check.expected.word(), check.claim);
            out.line(format_args!("{id:<65} {word:<8} {claim}"))?;
        }
        return Ok(EXIT_OK);
    }
    let reports = Reports::open(arguments)?;
    let folder = arguments.write_counterexamples.as_deref().map(Folder::open).transpose()?;
    run_all(checks, arguments, reports, folder.as_ref(), out)
}

/// Runs a check. The counterexample is that of Stepped, if Stepped has refuted it.
fn work(check: &Check) -> (Verdict, Option<Counterexample>) {
    drop(counterexample::take());
    let verdict = (check.run)();
    let is_refuted = check.engine == Engine::Stepped && verdict.violation().is_some();
    let found = counterexample::take().filter(|_| is_refuted);
    (verdict, found.map(|found| Counterexample { check: check.id.clone(), ..found }))
}

/// Writes a counterexample, or says how to get one where a check differs.
fn keep(
    found: &Counterexample,
    folder: Option<&Folder>,
    differs: bool,
    out: Output,
) -> Result<(), Failure> {
    match folder {
        Some(folder) => out.line(format_args!("    {}", folder.write(found)?)),
        None if differs => out.line(format_args!(
            "    blocksmith-check check --id {} --write-counterexamples FOLDER",
            found.check
        )),
        None => Ok(()),
    }
}

fn run_all(
    checks: Vec<Check>,
    arguments: &Arguments,
    reports: Reports,
    folder: Option<&Folder>,
    out: Output,
) -> Result<u8, Failure> {
    let detail = Detail { verbose: arguments.verbose, counterexamples: arguments.counterexamples };
    let checks = Arc::new(checks);
    let recorded = |place: usize| costs::seconds(&checks[place].id);
    let mut progress = Progress::new(checks.len(), (0..checks.len()).map(recorded).sum())?;
    let mut running: BTreeMap<usize, String> = BTreeMap::new();
    let (mut results, mut worst) = (Results::default(), EXIT_OK);
    out.line(report::head())?;
    let end = pool::run(&checks, workers(arguments.jobs), work, |news| {
        match news {
            News::Begun(place) => drop(running.insert(place, checks[place].id.clone())),
            News::Done(place, (verdict, found), seconds) => {
                running.remove(&place);
                progress.done(recorded(place));
                let check = &checks[place];
                worst = worst.max(report::exit_code(check, &verdict));
                results.add(place, check, &verdict, seconds);
                progress.suspend(|| {
                    report::print(out, check, &verdict, seconds, detail)?;
                    let differs = !check.is_as_expected(&verdict);
                    found.iter().try_for_each(|found| keep(found, folder, differs, out))
                })?;
            }
            News::Tick => {}
        }
        progress.draw(&running.values().cloned().collect::<Vec<_>>());
        Ok(())
    })?;
    drop(progress);
    let (done, all) = (results.0.len(), checks.len());
    if let End::Interrupted(code) = end {
        let signal = code - blocksmith_terminal::EXIT_INTERRUPTED;
        let left: Vec<_> = running.into_values().collect();
        out.line(format_args!("interrupted by signal {signal}: {done} of {all} checks are done"))?;
        out.line(format_args!("not done, and left: {}", left.join(", ")))?;
        worst = code;
    }
    let (as_expected, twins) = (results.count(Row::is_as_expected), results.count(Row::is_twin));
    out.line(format_args!("{as_expected} of {done} as expected; {twins} of them must-fail twins"))?;
    reports.finish(results)?;
    Ok(worst)
}
