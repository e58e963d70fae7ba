//! The sub-command `counterexample`: it shows a counterexample that a check has written to a file,
//! and runs it again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use blocksmith_engines::counterexample::{self, Again, Counterexample, Itf, Misfit};
use blocksmith_terminal::{Color, EXIT_DIFFERS, EXIT_OK, Failure, Output};

use super::progress::Progress;
use super::select::DepthArgument;
use crate::catalogue::catalogue_at;
use crate::linearizability::Depth;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The file, as `check --write-counterexamples` writes it.
    file: PathBuf,
    /// The form in which it is shown, on stdout.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Run the recorded execution again in its engine, and show what it does now. If the code no
    /// longer fits the schedule, say at which step, and exit with 1; so, too, if something else is
    /// violated, or after another number of steps.
    #[arg(long)]
    replay: bool,
    /// Run it again with each of its threads on a thread of the operating system of the same name,
    /// held at a turnstile before each operation, as a debugger shows it. For what stepped recorded.
    #[arg(long, conflicts_with = "replay")]
    threads: bool,
    /// Run it again, and take away what the violation does not need: steps, switches between
    /// threads, or, under loom, preemptions.
    #[arg(long, conflicts_with_all = ["replay", "threads"])]
    shrink: bool,
    /// Show every operation, also where the threads themselves say what they do.
    #[arg(long)]
    operations: bool,
    /// The depth with which `check` found it; without it, `ci`.
    #[arg(long, value_enum)]
    depth: Option<DepthArgument>,
}

/// A form of a counterexample.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Format {
    /// A column for each thread, a row for each step.
    Table,
    /// One self-contained page.
    Html,
    /// A Mermaid sequence diagram.
    Mermaid,
    /// A graph for Graphviz.
    Dot,
    /// The Informal Trace Format of the TLA+ tools.
    Itf,
    /// The steps as plain JSON.
    Json,
}

impl Format {
    pub(super) fn text(self, of: &Counterexample) -> Result<String, Failure> {
        let text = match self {
            Self::Table => counterexample::table(of),
            Self::Html => counterexample::html(of),
            Self::Mermaid => counterexample::mermaid(of),
            Self::Dot => counterexample::dot(of),
            Self::Itf => serde_json::to_string(&Itf::from(of)).map_err(Failure::fault)?,
            Self::Json => serde_json::to_string(of).map_err(Failure::fault)?,
        };
        Ok(text)
    }
}

impl Arguments {
    /// Returns how the execution is to be run again, if it is.
    fn how(&self) -> Option<Again> {
        let asked = [
            (self.replay, Again::Replay),
            (self.threads, Again::Threads),
            (self.shrink, Again::Shrink),
        ];
        asked.into_iter().find(|(is_asked, _)| *is_asked).map(|(_, how)| how)
    }
}

pub(super) fn run(arguments: &Arguments, color: Color) -> Result<u8, Failure> {
    let out = Output::new(color, false);
    let mut shown = read(&arguments.file)?;
    if let Some(how) = arguments.how() {
        let depth = arguments.depth.map_or(Depth::default(), DepthArgument::depth);
        // It hides what shuttle prints when an execution fails, as is expected here.
        let progress = Progress::new(1, 0.0)?;
        let answer = again(&shown, how, depth)?;
        drop(progress);
        match answer {
            Ok(now) => shown = now,
            Err(misfit) => {
                out.line(format_args!("{}: {misfit}", shown.check))?;
                return Ok(EXIT_DIFFERS);
            }
        }
    }
    let is_picture = matches!(arguments.format, Format::Table | Format::Mermaid);
    let summary = shown.landmarks().filter(|_| is_picture && !arguments.operations);
    let text = arguments.format.text(summary.as_ref().unwrap_or(&shown))?;
    out.line(text.trim_end())?;
    if let (Some(summary), Format::Table) = (summary, arguments.format) {
        let left_out = shown.steps.len() - summary.steps.len();
        out.line(format_args!("{left_out} operations between these steps: --operations"))?;
    }
    Ok(EXIT_OK)
}

/// Has the check run a recorded execution again.
///
/// # Errors
/// If the catalogue has no such check.
pub(super) fn again(
    recorded: &Counterexample,
    how: Again,
    depth: Depth,
) -> Result<Result<Counterexample, Misfit>, Failure> {
    let checks = catalogue_at(depth);
    let Some(check) = checks.iter().find(|check| check.id == recorded.check) else {
        let check = &recorded.check;
        return Err(Failure::input(anyhow::anyhow!("no check {check:?} can be replayed")));
    };
    Ok(counterexample::again(recorded, how, || drop((check.run)())))
}

/// Reads a file that `check` or `corpus` has written.
pub(super) fn read(file: &Path) -> Result<Counterexample, Failure> {
    let read = || -> anyhow::Result<Counterexample> {
        let itf: Itf = serde_json::from_str(&fs::read_to_string(file)?)?;
        Ok(Counterexample::try_from(itf)?)
    };
    read().with_context(|| file.display().to_string()).map_err(Failure::input)
}

/// A folder into which a run writes counterexamples.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let made = fs::create_dir_all(path);
        made.with_context(|| format!("--write-counterexamples {}", path.display()))
            .map_err(Failure::input)?;
        Ok(Self(path.to_owned()))
    }

    /// Makes a folder of this process among the system's temporary ones, if it is not there.
    pub(super) fn temporary() -> Result<Self, Failure> {
        let name = format!("blocksmith-check-{}", std::process::id());
        Self::open(&std::env::temp_dir().join(name))
    }

    /// Writes the counterexample of a check. Returns the line that runs it again.
    pub(super) fn write(&self, of: &Counterexample) -> Result<String, Failure> {
        let file = self.0.join(format!("{}.itf.json", of.check));
        let text = Format::Itf.text(of)?;
        fs::write(&file, text + "\n")
            .with_context(|| file.display().to_string())
            .map_err(Failure::fault)?;
        Ok(format!("blocksmith-check counterexample {} --replay", file.display()))
    }
}
