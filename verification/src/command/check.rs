//! The sub-command `check`: it runs checks and reports their verdicts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use blocksmith_engines::counterexample::{self, Counterexample};
use blocksmith_engines::verdict::Verdict;
use blocksmith_terminal::{Color, EXIT_OK, EXIT_TRUNCATED, Failure, Output, Report};
use quick_junit::{TestCase, TestSuite};

use super::counterexample::Folder;
use super::pool::{self, Deadline, End, News};
use super::progress::Progress;
use super::report::{self, Detail, Row};
use super::select::Selection;
use super::state::{Budget, State};
use super::{costs, mutants, workers};
use crate::catalogue::Check;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// The same as the command `mutants`.
    #[arg(long, conflicts_with_all = ["protocol", "engine", "id", "depth", "list", "junit",
        "budget", "resume"])]
    mutants: bool,
    /// Number of checks that run at the same time, 1 to 64; without it, one for each processor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
    /// End after this much time, as in 90s, 10m or 1h. A check that would take longer than what is
    /// left, by the recorded times, is not begun, and what is under way at the end is given up. What
    /// is left is named, and the exit code is 3.
    #[arg(long, value_name = "TIME", conflicts_with = "list")]
    budget: Option<Budget>,
    /// Keep what is done in this file. If it has verdicts of the same program and the same
    /// selection, go on with what is left, and report all.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    resume: Option<PathBuf>,
    /// List the checks without running them.
    #[arg(long)]
    list: bool,
    /// Print each verdict with all its bounds.
    #[arg(long, short)]
    verbose: bool,
    /// Print the counterexample of every refuted check, twins included.
    #[arg(long)]
    counterexamples: bool,
    /// Write the counterexample of every refuted check, twins included, to this folder, as
    /// ID.itf.json; `counterexample` shows it and runs it again. Without this, the counterexamples
    /// of checks that are not as expected are written to a temporary folder.
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

/// Runs a check. The counterexample is there if an engine that writes them down has refuted it.
pub(super) fn work(check: &Check) -> (Verdict, Option<Counterexample>) {
    drop(counterexample::take());
    let verdict = (check.run)();
    let is_refuted = verdict.violation().is_some();
    let found = counterexample::take().filter(|_| is_refuted);
    (verdict, found.map(|found| Counterexample { check: check.id.clone(), ..found }))
}

/// Writes a counterexample: to the folder, or, if the check differs and there is none, to a
/// temporary one. Prints the line that runs it again.
fn keep(
    found: &Counterexample,
    folder: Option<&Folder>,
    differs: bool,
    out: Output,
) -> Result<(), Failure> {
    let line = match folder {
        Some(folder) => folder.write(found)?,
        None if differs => Folder::temporary()?.write(found)?,
        None => return Ok(()),
    };
    out.line(format_args!("    {line}"))
}

/// What a run has to report to.
struct Run<'a> {
    out: Output,
    detail: Detail,
    folder: Option<&'a Folder>,
    results: Results,
    worst: u8,
    state: Option<State>,
}

impl Run<'_> {
    /// Takes in the verdict of a check, of this run or an earlier one.
    fn take(
        &mut self,
        place: usize,
        check: &Check,
        verdict: &Verdict,
        found: Option<&Counterexample>,
        seconds: f64,
    ) -> Result<(), Failure> {
        self.worst = self.worst.max(report::exit_code(check, verdict));
        self.results.add(place, check, verdict, seconds);
        report::print(self.out, check, verdict, found, seconds, self.detail)
    }

    /// Says what is left, and how long it takes by the recorded times.
    fn left(&mut self, checks: &[Check], why: &str) -> Result<(), Failure> {
        let is_left = |place: &usize| !self.results.0.contains_key(place);
        let left: Vec<_> = (0..checks.len()).filter(is_left).collect();
        if left.is_empty() {
            return Ok(());
        }
        self.worst = self.worst.max(EXIT_TRUNCATED);
        let mut sum = 0.0;
        for place in &left {
            let (id, seconds) = (&checks[*place].id, costs::seconds(&checks[*place].id));
            sum += seconds;
            self.out.line(report::left(id, seconds))?;
        }
        let (left, all) = (left.len(), checks.len());
        self.out.line(format_args!(
            "truncated {why}: {left} of {all} checks are left, about {sum:.0} s of one processor"
        ))
    }
}

fn run_all(
    checks: Vec<Check>,
    arguments: &Arguments,
    reports: Reports,
    folder: Option<&Folder>,
    out: Output,
) -> Result<u8, Failure> {
    let start = Instant::now();
    let detail = Detail { verbose: arguments.verbose, counterexamples: arguments.counterexamples };
    let opened = arguments.resume.as_deref().map(|path| State::open(path, &checks)).transpose()?;
    let (state, earlier) = opened.map_or((None, Vec::new()), |(state, done)| (Some(state), done));
    let mut run = Run { out, detail, folder, results: Results::default(), worst: EXIT_OK, state };
    out.line(report::head())?;
    let again = earlier.len();
    for (place, verdict, seconds) in earlier {
        run.take(place, &checks[place], &verdict, None, seconds)?;
    }
    if again > 0 {
        out.line(format_args!("{again} checks were done before; the others follow"))?;
    }
    let checks = Arc::new(checks);
    let deadline = arguments.budget.map(|Budget(time)| start + time);
    let (end, running) = run_left(&checks, workers(arguments.jobs), deadline, &mut run)?;
    let (done, all) = (run.results.0.len(), checks.len());
    match end {
        End::Interrupted(code) => {
            let signal = code - blocksmith_terminal::EXIT_INTERRUPTED;
            let left = running.join(", ");
            out.line(format_args!(
                "interrupted by signal {signal}: {done} of {all} checks are done"
            ))?;
            out.line(format_args!("not done, and left: {left}"))?;
            run.worst = code;
        }
        End::OutOfTime | End::Done => run.left(&checks, "by the budget")?,
    }
    let Run { results, worst, state, .. } = run;
    let (as_expected, twins) = (results.count(Row::is_as_expected), results.count(Row::is_twin));
    out.line(format_args!("{as_expected} of {done} as expected; {twins} of them must-fail twins"))?;
    state.map_or(Ok(()), State::finish)?;
    reports.finish(results)?;
    Ok(worst)
}

/// Runs the checks that have no verdict yet. Returns how that ended, and the checks that were under
/// way then.
fn run_left(
    checks: &Arc<Vec<Check>>,
    workers: usize,
    deadline: Option<Instant>,
    run: &mut Run<'_>,
) -> Result<(End, Vec<String>), Failure> {
    let is_left = |place: &usize| !run.results.0.contains_key(place);
    let left: Arc<Vec<usize>> = Arc::new((0..checks.len()).filter(is_left).collect());
    let recorded: Vec<_> = left.iter().map(|place| costs::seconds(&checks[*place].id)).collect();
    let mut progress = Progress::new(left.len(), recorded.iter().sum())?;
    let seconds = Arc::new(recorded);
    let deadline = deadline.map(|at| Deadline { at, seconds: seconds.clone() });
    let mut running: BTreeMap<usize, String> = BTreeMap::new();
    let all = checks.clone();
    let do_one = move |place: &usize| work(&all[*place]);
    let end = pool::run(&left, workers, deadline.as_ref(), do_one, |news| {
        match news {
            News::Begun(job) => drop(running.insert(job, checks[left[job]].id.clone())),
            News::Done(job, (verdict, found), took) => {
                running.remove(&job);
                progress.done(seconds[job]);
                let (place, check) = (left[job], &checks[left[job]]);
                if let Some(state) = &mut run.state {
                    state.add(check, &verdict, took);
                }
                progress.suspend(|| {
                    run.take(place, check, &verdict, found.as_ref(), took)?;
                    let differs = !check.is_as_expected(&verdict);
                    found.iter().try_for_each(|found| keep(found, run.folder, differs, run.out))
                })?;
            }
            News::Tick => {}
        }
        progress.draw(&running.values().cloned().collect::<Vec<_>>());
        Ok(())
    })?;
    Ok((end, running.into_values().collect()))
}
