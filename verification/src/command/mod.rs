//! The `blocksmith` command.
//!
//! Results go to stdout, progress and logs to stderr. Exit codes: 0 all as expected; 1 something is
//! not; 2 wrong usage or input; 3 a check was truncated; 4 a fault of the harness itself; 128 and
//! a signal's number: interrupted by it, in order.

mod check;
mod files;
mod output;
mod replay;
mod state;
mod vectors;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code: everything is as expected.
pub const EXIT_OK: u8 = 0;
/// Exit code: something differs from what was expected.
pub const EXIT_DIFFERS: u8 = 1;
/// Exit code: wrong usage or input.
pub const EXIT_INPUT: u8 = 2;
/// Exit code: a limit stopped a check before its bounds were exhausted.
pub const EXIT_TRUNCATED: u8 = 3;
/// Exit code: the harness itself failed.
pub const EXIT_FAULT: u8 = 4;

/// Exit code: this and the number of the signal that interrupted the command.
pub const EXIT_INTERRUPTED: u8 = 128;

/// A failure that ends the command: what to print on stderr, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// Wrong usage or input.
    pub(crate) fn input(error: impl Into<anyhow::Error>) -> Self {
        Self { code: EXIT_INPUT, error: error.into() }
    }

    /// A fault of ours.
    pub(crate) fn fault(error: impl Into<anyhow::Error>) -> Self {
        Self { code: EXIT_FAULT, error: error.into() }
    }
}

/// A concurrency core for Ethereum consensus clients, model-checked in the code that runs.
///
/// Without a command, replays the recorded chain that ships with the program.
#[derive(Parser)]
#[command(name = "blocksmith", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Drive a recorded chain through the services on real threads and compare every answer.
    Replay(replay::Arguments),
    /// Run test vectors in the official layout <preset>/phase0/<runner>/<handler>/<suite>/<case>.
    Vectors(vectors::Arguments),
    /// Write the SSZ of test vectors as seeds for fuzzing, a folder for each target.
    Seeds(vectors::SeedArguments),
    /// Print the state root at the beginning of each of some slots, without blocks.
    Slots(state::Slots),
    /// Apply a block to a state: print the root of the state after it, or why it is invalid.
    Transition(state::Transition),
    /// Print the hash tree root of a file of SSZ.
    Root(state::Show),
    /// Print a file of SSZ in the form of the beacon API.
    Decode(state::Show),
    /// Run the checks of the protocols and their must-fail twins, or the mutation sweep.
    Check(check::Arguments),
    /// Open stateright's Explorer for a protocol's model on the loopback interface.
    Explore(ExploreArguments),
}

#[derive(clap::Args)]
struct ExploreArguments {
    /// Which model; without it, the names are listed.
    protocol: Option<String>,
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

/// Runs the command with the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .finish();
    // A second subscriber in one process would be refused; there is none.
    let _ = tracing::subscriber::set_global_default(subscriber);
    let result = match Arguments::parse().command {
        None => replay::run(&replay::Arguments::embedded()),
        Some(Command::Replay(arguments)) => replay::run(&arguments),
        Some(Command::Vectors(arguments)) => vectors::run(&arguments),
        Some(Command::Seeds(arguments)) => vectors::seeds(&arguments),
        Some(Command::Slots(arguments)) => state::slots(&arguments),
        Some(Command::Transition(arguments)) => state::transition(&arguments),
        Some(Command::Root(arguments)) => state::root(&arguments),
        Some(Command::Decode(arguments)) => state::decode(&arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Explore(arguments)) => explore(&arguments),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("error: {:#}", failure.error);
            ExitCode::from(failure.code)
        }
    }
}

fn explore(arguments: &ExploreArguments) -> Result<u8, Failure> {
    use blocksmith_models::catalogue;
    let Some(protocol) = &arguments.protocol else {
        for name in catalogue::explorable() {
            println!("{name}");
        }
        return Ok(EXIT_OK);
    };
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], arguments.port));
    catalogue::check_explorable(protocol, address).map_err(Failure::input)?;
    eprintln!("http://{address}/ shows {protocol}; interrupt to end");
    catalogue::explore(protocol, address).map_err(Failure::input)?;
    Ok(EXIT_OK)
}
