//! Instruction counts by callgrind: exact, where times depend on the neighbours.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// The rows that are counted.
const ROWS: [&str; 9] = [
    "root after decode",
    "empty slot and root",
    "epoch without shuffle",
    "epoch",
    "root after epoch",
    "block 5, skip",
    "block 5, batch + root",
    "block 128, skip",
    "block 128, batch + root",
];

/// A table of Markdown; a sentence if there is no valgrind.
pub(crate) fn table(folder: Option<&Path>) -> String {
    let mut text =
        "\n## Instructions\n\nBy callgrind, of one run on the inputs of the first table. \
                    Valgrind's machine has no SHA instructions: hashes are those of vector \
                    units.\n\n| operation | instructions |\n|---|---|\n"
            .to_owned();
    for row in ROWS {
        match count(row, folder) {
            Ok(count) => {
                println!("{row}: {count} instructions");
                let _ = writeln!(text, "| {row} | {count} |");
            }
            Err(why) => return format!("\n## Instructions\n\nNot counted: {why}.\n"),
        }
    }
    text
}

/// Runs this program on one row under callgrind, collecting inside of what is measured.
fn count(row: &str, folder: Option<&Path>) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*measured*"])
        .arg(program)
        .args(["--once", row]);
    if let Some(folder) = folder {
        command.arg("--inputs").arg(folder);
    }
    let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected :"));
    collected
        .and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| format!("valgrind does not say how many, {}", output.status))
}
