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
    let is_good = unsettled == 0 && unvisited.is_empty() && !results.is_empty();
    Ok(match end {
        End::Interrupted(code) => code,
        End::Done | End::OutOfTime if is_good => EXIT_OK,
        End::Done | End::OutOfTime => EXIT_DIFFERS,
    })
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
