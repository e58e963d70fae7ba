//! The command `blocksmith-check`. `blocksmith-check --help` says what it does.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    blocksmith_verification::command::main()
}
