//! The sub-command `trace`: it judges a recorded trace of the services.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::Context;
use blocksmith_models::trace::read::{Problem, judge};
use blocksmith_terminal::{EXIT_DIFFERS, EXIT_OK, EXIT_TRUNCATED, Failure, Output};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The file that `blocksmith replay --trace` or `blocksmith node --trace` has written.
    file: PathBuf,
}

pub(super) fn run(arguments: &Arguments, out: Output) -> Result<u8, Failure> {
    let name = || arguments.file.display().to_string();
    let file = File::open(&arguments.file).with_context(name).map_err(Failure::input)?;
    match judge(BufReader::new(file)) {
        Ok(summary) => {
            let word = out.painted(true, "behaviour");
            out.line(format_args!(
                "{word} of the specification: {} steps of {} start(s), {} submissions with {} \
                 verdicts, {} blocks taken in",
                summary.steps,
                summary.instances,
                summary.submissions,
                summary.verdicts,
                summary.blocks
            ))?;
            Ok(EXIT_OK)
        }
        Err(problem @ Problem::Refuted { .. }) => {
            out.line(format_args!("{} at {problem}", out.painted(false, "refuted")))?;
            Ok(EXIT_DIFFERS)
        }
        Err(problem @ Problem::Incomplete(_)) => {
            out.line(out.painted(false, &problem))?;
            Ok(EXIT_TRUNCATED)
        }
        Err(problem) => Err(Failure::input(anyhow::Error::from(problem).context(name()))),
    }
}
