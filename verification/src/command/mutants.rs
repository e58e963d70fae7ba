//! The sub-command `mutants`: it runs the sweep of orderings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use blocksmith_terminal::{
    Color, EXIT_DIFFERS, EXIT_INTERRUPTED, EXIT_OK, Failure, Output, Report,
};

use super::pool::{self, End, News};
use super::progress::Progress;
use super::select::{Shard, shard};
use super::workers;
use crate::sweep::{SiteResult, Sweep};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Run only the Ith of N parts of the weakenings, as I/N: every Nth, from the Ith on.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    shard: Option<Shard>,
    /// Number of weakenings that run at the same time, 1 to 64; without it, one for each processor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
    /// Write the results as JSON to this file; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, color: Color) -> Result<u8, Failure> {
    let json = arguments.json.as_deref();
    let out = Output::new(color, Report::goes_to_stdout(json));
    sweep(workers(arguments.jobs), arguments.shard, json, out)
}

/// Runs every weakening, or those of a part, and prints the result of each.
pub(super) fn sweep(
    workers: usize,
    shard: Option<Shard>,
    json: Option<&Path>,
    out: Output,
) -> Result<u8, Failure> {
    let report = Report::maybe("--json", json)?;
    let Sweep { mut jobs, unvisited } = Sweep::record();
    if let Some(Shard { part, of }) = shard {
        jobs = jobs.into_iter().skip(part - 1).step_by(of).collect();
    }
    let jobs = Arc::new(jobs);
    let mut progress = Progress::new(jobs.len(), jobs.len() as f64)?;
    let mut results: Vec<SiteResult> = Vec::new();
    let end = pool::run(
        &jobs,
        workers,
        None,
        |job| job.run(),
        |news| {
            if let News::Done(_, result, _) = news {
                progress.done(1.0);
                progress.suspend(|| print(out, &result))?;
                results.push(result);
            }
            progress.draw(&[]);
            Ok(())
        },
    )?;
    drop(progress);
    results.sort_by_key(SiteResult::place);
    for (file, line) in &unvisited {
        out.line(format_args!("core/{file}:{line}: NO SCENARIO VISITS this ordering"))?;
    }
    let killed = results.iter().filter(|site| site.killed_by.is_some()).count();
    let unsettled = results.iter().filter(|site| !site.is_settled()).count();
    let survived = results.len() - killed - unsettled;
    if let End::Interrupted(code) = end {
        let signal = code - EXIT_INTERRUPTED;
        let (done, all) = (results.len(), jobs.len());
        out.line(format_args!("interrupted by signal {signal}: {done} of {all} are done"))?;
    }
    out.line(format_args!(
        "{} weakenings, {killed} killed, {survived} survived with a reason, {unsettled} unsettled; \
         {} orderings unvisited",
        results.len(),
        unvisited.len()
    ))?;
    if let Some(report) = report {
        report.finish(&serde_json::to_string(&results).map_err(Failure::fault)?)?;
    }
    let is_done = matches!(end, End::Done);
    if let Some(lost) = pool::lost(jobs.len(), results.len()).filter(|_| is_done) {
        out.line(lost)?;
    }
    let is_good = unvisited.is_empty() && are_settled(jobs.len(), &results);
    Ok(match end {
        End::Interrupted(code) => code,
        End::Done | End::OutOfTime if is_good => EXIT_OK,
        End::Done | End::OutOfTime => EXIT_DIFFERS,
    })
}

/// Returns whether there are weakenings, and each has a result that is settled. A job has no result
/// if its worker has panicked.
fn are_settled(jobs: usize, results: &[SiteResult]) -> bool {
    jobs > 0 && results.len() == jobs && results.iter().all(SiteResult::is_settled)
}

fn print(out: Output, site: &SiteResult) -> Result<(), Failure> {
    let place = format!("{}:{}:{}", site.file, site.line, site.column);
    let change = format!("{} {} -> {}", site.operation, site.ordering, site.weakened_to);
    out.line(format_args!("{place:<44} {change:<46} {:>6.1}", site.seconds))?;
    match (&site.killed_by, &site.truncated, &site.reason) {
        (Some(scenario), ..) => out.line(format_args!("    killed by {scenario}")),
        (None, Some(limit), _) => {
            out.line(format_args!("    {}", out.painted(false, format_args!("TRUNCATED: {limit}"))))
        }
        (None, None, Some(reason)) => out.line(format_args!("    survived: {reason}")),
        (None, None, None) => {
            out.line(format_args!("    {}", out.painted(false, "survived WITHOUT A REASON")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{End, News, SiteResult, are_settled, pool};

    fn killed() -> SiteResult {
        SiteResult {
            file: "core/sync/src/notifier.rs",
            line: 1,
            column: 1,
            operation: "load",
            ordering: "Acquire",
            weakened_to: "Relaxed",
            killed_by: Some("a scenario"),
            failure: None,
            truncated: None,
            reason: None,
            seconds: 0.0,
        }
    }

    #[test]
    fn a_job_whose_worker_panics_is_not_taken_for_settled() {
        // Two workers do three jobs, all of them, or with a panic in one.
        let jobs = Arc::new(vec![0, 1, 2]);
        let swept = |panics: Option<i32>| {
            let mut results = Vec::new();
            let work = move |job: &i32| {
                assert_ne!(Some(*job), panics, "the job is lost");
                killed()
            };
            let end = pool::run(&jobs, 2, None, work, |news| {
                if let News::Done(_, result, _) = news {
                    results.push(result);
                }
                Ok(())
            });
            assert!(matches!(end, Ok(End::Done)));
            results
        };
        assert!(are_settled(jobs.len(), &swept(None)));
        let results = swept(Some(1));
        assert_eq!(results.len(), 2);
        assert!(!are_settled(jobs.len(), &results));
        // A survivor without a reason is not settled, and nothing is no sweep.
        assert!(!are_settled(1, &[SiteResult { killed_by: None, ..killed() }]));
        assert!(!are_settled(0, &[]));
    }
}
