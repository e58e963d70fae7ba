//! `blocksmith vectors`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use blocksmith_conformance::vectors::{self, CaseResult, Configs};
use blocksmith_consensus::{Mainnet, Minimal, Preset};
use blocksmith_terminal::{EXIT_DIFFERS, EXIT_OK, Failure, Output, Report};
use indicatif::ProgressBar;

use crate::files::{apply_config, read_config};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder that holds <preset>/<fork>/<runner>/<handler>/<suite>/<case>, the fork phase0 or
    /// gloas; its files are in snappy block format.
    dir: PathBuf,
    /// Run only cases whose path contains this text.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// Configuration in the form of the specification's configs/*.yaml. It overrides that of each
    /// preset, or that of the preset that it names as PRESET_BASE; a case's own config.yaml
    /// overrides it in turn. Keys that phase0 does not know are reported and ignored.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write every case's result as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn reports_on_stdout(&self) -> bool {
        Report::goes_to_stdout(self.json.as_deref())
    }
}

pub(crate) fn run(arguments: &Arguments, out: Output) -> Result<u8, Failure> {
    let configs = match &arguments.config {
        Some(path) => configs(path).map_err(Failure::input)?,
        None => Configs::default(),
    };
    let report_file = Report::maybe("--json", arguments.json.as_deref())?;
    let bar = ProgressBar::new(0);
    let filter = |path: &str| path.contains(&arguments.filter);
    let report = vectors::run_with(&arguments.dir, &configs, &filter, &|_, done, total| {
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
            [preset, "phase0", runner, ..] => format!("{preset} {runner}"),
            [preset, fork, runner, ..] => format!("{preset} {fork} {runner}"),
            _ => case.path.clone(),
        };
        groups.entry(name).or_default()[case.result as usize] += 1;
    }
    out.line(format_args!(
        "{:<28} {:>7} {:>7} {:>8}",
        "preset and runner", "passed", "failed", "skipped"
    ))?;
    for (name, [passed, failed, skipped]) in groups {
        out.line(format_args!("{name:<28} {passed:>7} {failed:>7} {skipped:>8}"))?;
    }
    out.line(format_args!(
        "{:<28} {:>7} {:>7} {:>8}",
        "all", report.passed, report.failed, report.skipped
    ))?;
    for (title, result) in [("failed", CaseResult::Failed), ("skipped", CaseResult::Skipped)] {
        for case in report.cases.iter().filter(|case| case.result == result) {
            out.line(format_args!("{title}: {}: {}", case.path, case.why))?;
        }
    }
    Ok(if report.failed == 0 { EXIT_OK } else { EXIT_DIFFERS })
}

#[derive(clap::Args)]
pub(crate) struct SeedArguments {
    /// Folder that holds cases, as for `vectors`.
    dir: PathBuf,
    /// Folder to write to: it gets the folders block, attestation, slashing and state, and in them
    /// a file for each seed, named by its hash.
    out: PathBuf,
}

/// Prints how many seeds there are for each target.
pub(crate) fn seeds(arguments: &SeedArguments, out: Output) -> Result<u8, Failure> {
    let seeds = vectors::seeds(&arguments.dir, &arguments.out).map_err(Failure::opening)?;
    for (target, count) in seeds {
        out.line(format_args!("{target:<12} {count:>7}"))?;
    }
    Ok(EXIT_OK)
}

/// The presets' configurations, overridden with the values of a file.
fn configs(path: &Path) -> anyhow::Result<Configs> {
    let text = read_config(path)?;
    let mut configs = Configs::default();
    let mut applied = false;
    for (name, config) in
        [(Minimal::NAME, &mut configs.minimal), (Mainnet::NAME, &mut configs.mainnet)]
    {
        if text.preset.as_deref().is_none_or(|base| base == name) {
            *config = apply_config(path, &text, name, config.clone())?;
            applied = true;
        }
    }
    ensure!(
        applied,
        "{}: PRESET_BASE cannot be {}, expected minimal or mainnet",
        path.display(),
        text.preset.unwrap_or_default()
    );
    Ok(configs)
}
