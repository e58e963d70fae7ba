//! The `blocksmith` command; `blocksmith --help` tells what it does.
#![forbid(unsafe_code)]
#![allow(rustdoc::invalid_html_tags, reason = "these texts are the command's help, which is plain")]

mod attack;
mod devnet;
mod files;
mod node;
mod replay;
mod signer;
mod state;
mod trace;
mod validator;
mod vectors;

use std::process::ExitCode;

use blocksmith_terminal::{Color, Failure, Output, end, log_to_stderr};
use clap::{Parser, Subcommand};

/// A concurrency core for Ethereum consensus clients, model-checked in the code that runs.
///
/// Without a command, replays the recorded chain that ships with the program.
///
/// Results go to stdout, progress and logs to stderr (RUST_LOG sets the level). Exit codes: 0 all
/// is as expected; 1 something differs; 2 wrong usage or input; 4 a fault of ours, or a full disk;
/// 128 plus a signal's number: the signal ended the command in order.
///
/// The checks of the protocols are a separate command, blocksmith-check.
#[derive(Parser)]
#[command(name = "blocksmith", version, max_term_width = 100)]
struct Arguments {
    /// When to colour what is printed; NO_COLOR is heeded, too.
    #[arg(long, value_enum, default_value = "auto", global = true, value_name = "WHEN")]
    color: Color,
    /// End in order once standard input ends: for a process that another one starts.
    #[arg(long, global = true, hide = true)]
    while_stdin_is_open: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Drive a recorded chain through the services on real threads and compare every answer.
    Replay(Box<replay::Arguments>),
    /// Attack the services, with honest traffic beside, and print what each attack costs.
    Attack(attack::Arguments),
    /// Run test vectors in the official layout, <preset>/phase0/<runner>/<handler>/<suite>/<case>.
    Vectors(vectors::Arguments),
    /// Write the SSZ of test vectors as seeds for fuzzing, with a folder for each target.
    Seeds(vectors::SeedArguments),
    /// Print the state root at the beginning of each given slot, without blocks.
    Slots(state::Slots),
    /// Apply a block to a state: print the root of the state after it, or why it is invalid.
    Transition(state::Transition),
    /// Print the hash tree root of an SSZ file.
    Root(state::Show),
    /// Print an SSZ file in the form of the beacon API.
    Decode(state::Show),
    /// Run a node of a development network: services, a clock, and the beacon API.
    Node(Box<node::Arguments>),
    /// Sign for validators: keys, slashing protection, and the remote-signing API.
    Signer(Box<signer::Arguments>),
    /// Do the duties of validators: ask beacon nodes, have a signer sign, and publish.
    Validator(Box<validator::Arguments>),
    /// Run a whole network on loopback: a node, a signer and a validator, each a process.
    Devnet(Box<devnet::Arguments>),
    /// Belongs to the other command.
    #[command(hide = true, aliases = ["mutants", "explore", "document"])]
    Check {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<std::ffi::OsString>,
    },
    #[cfg(feature = "pages")]
    #[command(flatten)]
    Page(blocksmith_terminal::Page),
}

impl Command {
    /// Returns whether a report goes to stdout.
    fn reports_on_stdout(&self) -> bool {
        match self {
            Self::Replay(arguments) => arguments.reports_on_stdout(),
            Self::Attack(arguments) => arguments.reports_on_stdout(),
            Self::Vectors(arguments) => arguments.reports_on_stdout(),
            Self::Slots(arguments) => arguments.reports_on_stdout(),
            Self::Devnet(arguments) => arguments.reports_on_stdout(),
            _ => false,
        }
    }
}

fn run(arguments: Arguments) -> Result<u8, Failure> {
    let on_stdout = arguments.command.as_ref().is_some_and(Command::reports_on_stdout);
    let out = Output::new(arguments.color, on_stdout);
    match arguments.command {
        None => replay::run(&replay::Arguments::embedded(), out),
        Some(Command::Replay(arguments)) => replay::run(&arguments, out),
        Some(Command::Attack(arguments)) => attack::run(&arguments, out),
        Some(Command::Vectors(arguments)) => vectors::run(&arguments, out),
        Some(Command::Seeds(arguments)) => vectors::seeds(&arguments, out),
        Some(Command::Slots(arguments)) => state::slots(&arguments, out),
        Some(Command::Transition(arguments)) => state::transition(&arguments, out),
        Some(Command::Root(arguments)) => state::root(&arguments, out),
        Some(Command::Decode(arguments)) => state::decode(&arguments, out),
        Some(Command::Node(arguments)) => node::run(&arguments, out),
        Some(Command::Signer(arguments)) => signer::run(&arguments, out),
        Some(Command::Validator(arguments)) => validator::run(&arguments, out),
        Some(Command::Devnet(arguments)) => devnet::run(&arguments, out),
        Some(Command::Check { .. }) => Err(Failure::input(anyhow::anyhow!(
            "the checks are a command of their own, blocksmith-check: `cargo verify check`"
        ))),
        #[cfg(feature = "pages")]
        Some(Command::Page(page)) => page.print(<Arguments as clap::CommandFactory>::command()),
    }
}

/// Ends the process in order, as a signal would, once standard input ends.
fn end_with_stdin() {
    // An error is an end as well.
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    if let Err(error) = signal_hook::low_level::raise(signal_hook::consts::SIGTERM) {
        blocksmith_terminal::note(format_args!("error: the process does not end: {error}"));
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr(arguments.color);
    if arguments.while_stdin_is_open {
        std::thread::spawn(end_with_stdin);
    }
    end(run(arguments))
}
