//! The sub-command `corpus`: it writes the counterexamples of the must-fail twins, a page for each
//! hazard, or checks those that were written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use blocksmith_engines::counterexample::Again;
use blocksmith_engines::verdict::Engine;
use blocksmith_terminal::{Color, EXIT_DIFFERS, EXIT_OK, Failure, Output, Report};

use super::pool::{self, End, News};
use super::progress::Progress;
use super::{check, costs, counterexample, workers};
use crate::catalogue::{Check, catalogue};
use crate::corpus::{Corpus, ITF, Run};
use crate::linearizability::Depth;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The folder.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Write nothing: say which files differ, run every counterexample of the folder again, and
    /// exit with 1 if a file differs or no longer fits.
    #[arg(long)]
    check: bool,
    /// Number of twins that run at the same time, 1 to 64; without it, one for each processor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
}

pub(super) fn run(arguments: &Arguments, color: Color) -> Result<u8, Failure> {
    let out = Output::new(color, false);
    let all = Arc::new(catalogue());
    let twins: Vec<_> = (0..all.len())
        .filter(|place| is_twin(&all[*place]) && all[*place].engine != Engine::Tla)
        .collect();
    let (count, twins) = (twins.len(), Arc::new(twins));
    let recorded = |place: usize| costs::seconds(&all[twins[place]].id);
    let mut progress = Progress::new(count, (0..count).map(recorded).sum())?;
    let (mut results, mut seconds) = (BTreeMap::new(), BTreeMap::new());
    let work = {
        let all = all.clone();
        move |twin: &usize| check::work(&all[*twin])
    };
    let end = pool::run(&twins, workers(arguments.jobs), None, work, |news| {
        if let News::Done(place, result, took) = news {
            progress.done(recorded(place));
            results.insert(place, result);
            seconds.insert(place, took);
        }
        progress.draw(&[]);
        Ok(())
    })?;
    if let End::Interrupted(code) = end {
        return Ok(code);
    }
    times(&seconds, |place| all[twins[place]].engine, out)?;
    let lost = pool::lost(count, results.len());
    let mut differs = lost.is_some();
    lost.iter().try_for_each(|lost| out.line(lost))?;
    let mut runs = Vec::new();
    for (place, (verdict, found)) in results {
        let check = &all[twins[place]];
        if let Some(difference) = check.difference(&verdict) {
            out.line(format_args!("{}: {difference}", check.id))?;
            differs = true;
        } else {
            runs.push(Run::new(check, &verdict, found));
        }
    }
    // The gate runs these, and compares their numbers.
    let specified = all.iter().filter(|check| is_twin(check) && check.engine == Engine::Tla);
    runs.extend(specified.map(Run::of_specification));
    let mut corpus = Corpus::of(runs, &all);
    shrink(&mut corpus)?;
    let files = corpus.files();
    if arguments.check {
        differs |= compare(&files, &arguments.out, out)?;
        differs |= replay(&files, &arguments.out, out)?;
    } else {
        write(&files, &arguments.out)?;
    }
    drop(progress);
    let bytes: usize = files.values().map(String::len).sum();
    out.line(format_args!("{} files, {} KiB", files.len(), bytes / 1024))?;
    Ok(if differs { EXIT_DIFFERS } else { EXIT_OK })
}

fn is_twin(check: &Check) -> bool {
    check.expected.is_violated() && check.hazard.is_some()
}

/// Prints how long the twins of each engine took.
fn times(
    seconds: &BTreeMap<usize, f64>,
    engine: impl Fn(usize) -> Engine,
    out: Output,
) -> Result<(), Failure> {
    let mut all: BTreeMap<Engine, (usize, f64)> = BTreeMap::new();
    for (place, took) in seconds {
        let (count, sum) = all.entry(engine(*place)).or_default();
        (*count, *sum) = (*count + 1, *sum + took);
    }
    all.iter().try_for_each(|(engine, (count, sum))| {
        out.line(format_args!("{engine:<10} {count:>4} twins {sum:>8.1} s"))
    })
}

/// Makes those smaller that are the first of a sample.
fn shrink(corpus: &mut Corpus<'_>) -> Result<(), Failure> {
    for run in corpus.chosen_mut().filter(|run| run.check.engine == Engine::Shuttle) {
        let Some(found) = &run.found else { continue };
        let smaller = counterexample::again(found, Again::Shrink, Depth::default())?;
        run.found = Some(smaller.map_err(Failure::fault)?);
    }
    Ok(())
}

/// Writes the files, and removes pages and counterexamples that are none of them.
fn write(files: &BTreeMap<String, String>, folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).context(folder.display().to_string()).map_err(Failure::input)?;
    for name in names(folder)?.iter().filter(|name| !files.contains_key(*name)) {
        let file = folder.join(name);
        fs::remove_file(&file).context(file.display().to_string()).map_err(Failure::input)?;
    }
    for (name, text) in files {
        Report::open("--out", &folder.join(name))?.finish(text.trim_end())?;
    }
    Ok(())
}

/// Returns the names of the pages and counterexamples of a folder.
fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    let list = || -> std::io::Result<Vec<_>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string())).collect()
    };
    let all = list().context(folder.display().to_string()).map_err(Failure::input)?;
    let is_ours = |name: &String| name.ends_with(ITF) || name.ends_with(".md");
    Ok(all.into_iter().filter_map(Result::ok).filter(is_ours).collect())
}

/// Names the files that differ. Returns whether some do.
fn compare(files: &BTreeMap<String, String>, folder: &Path, out: Output) -> Result<bool, Failure> {
    let mut differs = false;
    for name in names(folder)?.iter().filter(|name| !files.contains_key(*name)) {
        out.line(format_args!("{name}: there is no such counterexample any more"))?;
        differs = true;
    }
    for (name, text) in files {
        let is_same = fs::read_to_string(folder.join(name))
            .is_ok_and(|there| there.trim_end() == text.trim_end());
        if !is_same {
            out.line(format_args!("{name}: out of date"))?;
            differs = true;
        }
    }
    Ok(differs)
}

/// Runs the counterexamples of a folder again. Returns whether one does not fit any more.
fn replay(files: &BTreeMap<String, String>, folder: &Path, out: Output) -> Result<bool, Failure> {
    let mut differs = false;
    let mut replayed = 0;
    for name in files.keys().filter(|name| name.ends_with(ITF)) {
        let file = folder.join(name);
        if !file.exists() {
            continue;
        }
        let recorded = counterexample::read(&file)?;
        match counterexample::again(&recorded, Again::Replay, Depth::default())? {
            Ok(_) => replayed += 1,
            Err(misfit) => {
                out.line(format_args!("{name}: {misfit}"))?;
                differs = true;
            }
        }
    }
    out.line(format_args!("{replayed} counterexamples were run again"))?;
    Ok(differs)
}
