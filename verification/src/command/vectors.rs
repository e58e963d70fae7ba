//! `blocksmith vectors`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indicatif::ProgressBar;

use super::output::Report;
use super::{EXIT_DIFFERS, EXIT_OK, Failure};
use crate::vectors::{self, CaseResult};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder that holds <preset>/phase0/<runner>/<handler>/<suite>/<case>; files are snappy block
    /// format.
    dir: PathBuf,
    /// Run only cases whose path contains this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Write every case's result as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let report_file = Report::maybe(arguments.json.as_deref())?;
    let bar = ProgressBar::new(0);
    let filter = |path: &str| path.contains(&arguments.filter);
    let report = vectors::run(&arguments.dir, &filter, &|_, done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    })
    .map_err(Failure::input)?;
    bar.finish_and_clear();
    if let Some(file) = report_file {
        file.finish(&report.to_json())?;
    }
    let mut groups: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for case in &report.cases {
        let parts: Vec<_> = case.path.split('/').collect();
        let name = match parts.as_slice() {
            [preset, _, runner, ..] => format!("{preset} {runner}"),
            _ => case.path.clone(),
        };
        groups.entry(name).or_default()[case.result as usize] += 1;
    }
    println!("{:<28} {:>7} {:>7} {:>8}", "preset and runner", "passed", "failed", "skipped");
    for (name, [passed, failed, skipped]) in groups {
        println!("{name:<28} {passed:>7} {failed:>7} {skipped:>8}");
    }
    println!("{:<28} {:>7} {:>7} {:>8}", "all", report.passed, report.failed, report.skipped);
    for (title, result) in [("failed", CaseResult::Failed), ("skipped", CaseResult::Skipped)] {
        for case in report.cases.iter().filter(|case| case.result == result) {
            println!("{title}: {}: {}", case.path, case.why);
        }
    }
    Ok(if report.failed == 0 { EXIT_OK } else { EXIT_DIFFERS })
}
