//! The `blocksmith-check` command; `blocksmith-check --help` tells what it does.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    blocksmith_verification::command::main()
}
