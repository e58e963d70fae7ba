//! The `blocksmith-check` command.
//!
//! **Contract.** Results go to stdout, a line a check, as they come; on stderr is a progress line
//! where that is a terminal, and nothing else. The first SIGINT or SIGTERM ends a run in order: what
//! is done is in the reports, what is not done is counted, the exit code is 128 and the signal's
//! number. Exit codes otherwise: see `blocksmith_terminal`.

mod check;
mod costs;
mod mutants;
mod pool;
mod progress;
mod report;
mod select;

use std::path::PathBuf;
use std::process::ExitCode;

use blocksmith_models::catalogue as models;
use blocksmith_terminal::{Color, EXIT_OK, Failure, Output, Page, Report, end, log_if_asked, note};
use clap::{CommandFactory, Parser, Subcommand};

use crate::catalogue::catalogue;
use crate::document;

/// Checks Blocksmith's protocols: the real code under loom, shuttle and a stepper, its machines
/// under stateright, its specifications in TLA+; and, for each, variants with a fault that the same
/// engine must refute.
///
/// Exit codes: 0 all as expected; 1 something is not; 2 wrong usage or input; 3 a check was
/// truncated; 4 a fault of ours, or a full disk; 128 and a signal's number: ended by it, in order.
#[derive(Parser)]
#[command(name = "blocksmith-check", version, max_term_width = 100)]
struct Arguments {
    /// When to colour what is printed; NO_COLOR is heeded, too.
    #[arg(long, value_enum, default_value = "auto", global = true, value_name = "WHEN")]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the checks of the protocols and their must-fail twins.
    Check(Box<check::Arguments>),
    /// Weaken every ordering and fence of core, one at a time; list the killed and the survivors.
    Mutants(mutants::Arguments),
    /// Open stateright's Explorer for a model on the loopback interface.
    Explore(ExploreArguments),
    /// Write what is checked, by hazard and by protocol, as Markdown; run nothing.
    Document {
        /// The file; `-` is stdout.
        file: PathBuf,
    },
    #[command(flatten)]
    Page(Page),
}

#[derive(clap::Args)]
struct ExploreArguments {
    /// Which model; without it, the names are listed.
    model: Option<String>,
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

/// Runs the command with the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What the code under test logs is expected: faults are what is looked for.
    log_if_asked(arguments.color);
    end(run(arguments))
}

fn run(Arguments { color, command }: Arguments) -> Result<u8, Failure> {
    match command {
        Command::Check(arguments) => check::run(&arguments, color),
        Command::Mutants(arguments) => mutants::run(&arguments, color),
        Command::Explore(arguments) => explore(&arguments, Output::new(color, false)),
        Command::Document { file } => {
            Report::open("document", &file)?.finish(document::text(&catalogue()).trim_end())?;
            Ok(EXIT_OK)
        }
        Command::Page(page) => page.print(Arguments::command()),
    }
}

fn explore(arguments: &ExploreArguments, out: Output) -> Result<u8, Failure> {
    let Some(model) = &arguments.model else {
        models::explorable().iter().try_for_each(|name| out.line(name))?;
        return Ok(EXIT_OK);
    };
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], arguments.port));
    models::check_explorable(model, address).map_err(Failure::input)?;
    note(format_args!("http://{address}/ shows {model}; interrupt to end"));
    models::explore(model, address).map_err(Failure::input)?;
    Ok(EXIT_OK)
}

/// Returns how many threads run checks: so many, or one for each processor.
fn workers(jobs: Option<u8>) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    jobs.map_or_else(processors, usize::from)
}
