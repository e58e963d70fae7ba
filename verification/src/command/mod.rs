//! The command `blocksmith-check`.
//!
//! **Contract.** Results go to stdout as they come, one line per check. stderr has a progress line
//! if it is a terminal, and nothing else. The first SIGINT or SIGTERM ends a run in order: the
//! reports have the checks that are done, the output names those that are not, and the exit code is
//! 128 plus the signal's number. `blocksmith_terminal` lists the other exit codes.

mod check;
mod corpus;
mod costs;
mod counterexample;
mod litmus;
mod mutants;
mod pool;
mod progress;
mod prove;
mod refinement;
mod report;
mod select;
mod state;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use blocksmith_models::catalogue as models;
use blocksmith_terminal::{Color, EXIT_OK, Failure, Output, Page, Report, end, log_if_asked, note};
use clap::{CommandFactory, Parser, Subcommand};

use crate::catalogue::catalogue;
use crate::document;

/// Checks Blocksmith's protocols: the real code under loom, shuttle and Stepped, its machines under
/// stateright, and its specifications in TLA+. It also checks variants with a fault, which the same
/// engines must refute.
///
/// Exit codes: 0 if all is as expected; 1 if something differs; 2 on wrong usage or input; 3 if a
/// check was truncated; 4 on a fault of its own or a full disk; 128 plus the signal's number after
/// a signal.
#[derive(Parser)]
#[command(name = "blocksmith-check", version, max_term_width = 100)]
struct Arguments {
    /// When to colour the output; NO_COLOR is respected.
    #[arg(long, value_enum, default_value = "auto", global = true, value_name = "WHEN")]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the checks of the protocols and their must-fail twins.
    Check(Box<check::Arguments>),
    /// Weaken every ordering and fence of core, one at a time; list which were killed and survived.
    Mutants(mutants::Arguments),
    /// Have SMT solvers prove the relations of the protocols for any number of threads and items.
    Prove(prove::Arguments),
    /// Compare the machines with their TLA+ specifications: the same states, and the same steps.
    Refinement(refinement::Arguments),
    /// Show a counterexample that `check --write-counterexamples` has written, or run it again.
    Counterexample(counterexample::Arguments),
    /// Write the counterexamples of the must-fail twins as a corpus, a page for each hazard, with the
    /// table of which engine finds which; or check one.
    Corpus(corpus::Arguments),
    /// Judge the ordering arguments of core by the axioms of memory models (SC, x86-TSO, RC11, and
    /// RC11 with load buffering), and run the same programs under loom.
    Litmus(litmus::Arguments),
    /// Decide whether a recorded trace of the services is a behaviour of their specification.
    ///
    /// Exit codes: 0 if it is; 1 if a step is refuted, with its line, event and rule; 2 if the file
    /// cannot be read; 3 if the trace is not whole, which is no pass.
    Trace(trace::Arguments),
    /// Open stateright's Explorer for a model on the loopback interface.
    Explore(ExploreArguments),
    /// Write the list of checks, by hazard and by protocol, as Markdown; run nothing.
    Document {
        /// The file; `-` is stdout.
        file: PathBuf,
    },
    #[command(flatten)]
    Page(Page),
}

#[derive(clap::Args)]
struct ExploreArguments {
    /// The name of the model; without it, the names are listed.
    model: Option<String>,
    /// The port on 127.0.0.1.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

/// Runs the command with the process's arguments. Returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The code under test logs faults, which are expected here; they are shown only if asked for.
    log_if_asked(arguments.color);
    end(run(arguments))
}

fn run(Arguments { color, command }: Arguments) -> Result<u8, Failure> {
    match command {
        Command::Check(arguments) => check::run(&arguments, color),
        Command::Mutants(arguments) => mutants::run(&arguments, color),
        Command::Prove(arguments) => prove::run(&arguments, color),
        Command::Refinement(arguments) => refinement::run(&arguments, color),
        Command::Counterexample(arguments) => counterexample::run(&arguments, color),
        Command::Corpus(arguments) => corpus::run(&arguments, color),
        Command::Litmus(arguments) => litmus::run(&arguments, color),
        Command::Trace(arguments) => trace::run(&arguments, Output::new(color, false)),
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

/// Returns how many threads run checks: the given number, or one for each processor.
fn workers(jobs: Option<u8>) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    jobs.map_or_else(processors, usize::from)
}
