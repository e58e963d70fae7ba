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

/// The rows whose functions are shown, too.
const HOTTEST: [&str; 3] = ["block 128, batch + root", "root after decode", "epoch"];
/// How many functions of each are shown.
const FUNCTIONS: usize = 7;

/// Two tables of Markdown, or a sentence if there is no valgrind.
pub(crate) fn tables(folder: Option<&Path>) -> String {
    let mut text =
        "\n## Instructions\n\nBy callgrind, of one run on the inputs of the first table. \
                    Valgrind's machine has no SHA instructions: hashes are those of vector \
                    units.\n\n| operation | instructions |\n|---|---|\n"
            .to_owned();
    let mut profiles = "\nWhere they go, in the three rows that take longest:\n\n\
                        | operation | part | function |\n|---|---|---|\n"
        .to_owned();
    for row in ROWS {
        match count(row, folder) {
            Ok((count, functions)) => {
                println!("{row}: {count} instructions");
                let _ = writeln!(text, "| {row} | {count} |");
                for (name, instructions) in functions.iter().filter(|_| HOTTEST.contains(&row)) {
                    let part = *instructions as f64 / count as f64 * 100.0;
                    let _ = writeln!(profiles, "| {row} | {part:.1} % | `{name}` |");
                }
            }
            Err(why) => return format!("\n## Instructions\n\nNot counted: {why}.\n"),
        }
    }
    text + &profiles
}

/// Runs this program on one row under callgrind, which collects inside the measured function.
/// Returns how many instructions there were, and the functions with most of them.
fn count(row: &str, folder: Option<&Path>) -> Result<(u64, Vec<(String, u64)>), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = std::env::temp_dir().join(format!("callgrind-{}.out", std::process::id()));
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .args(["--collect-atstart=no", "--toggle-collect=*measured*"])
        .arg(program)
        .args(["--once", row]);
    if let Some(folder) = folder {
        command.arg("--inputs").arg(folder);
    }
    let output = command.output().map_err(|error| format!("valgrind: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected
        .and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| format!("valgrind does not say how many, {}", output.status))?;
    let functions = functions(&profile)?;
    std::fs::remove_file(&profile).map_err(|error| error.to_string())?;
    Ok((count, functions))
}

/// The functions of a profile with most instructions of their own.
fn functions(profile: &Path) -> Result<Vec<(String, u64)>, String> {
    let output = Command::new("callgrind_annotate").arg("--auto=no").arg(profile).output();
    let output = output.map_err(|error| format!("callgrind_annotate: {error}"))?;
    let mut functions: Vec<(String, u64)> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // `1,234 (56.7%)  path/of/file.rs:a::function [object]`
        let Some((figures, place)) = line.split_once(")  ") else { continue };
        let Some((_, name)) = place.split_once(':') else { continue };
        let digits: String =
            figures.chars().take_while(|sign| *sign != '(').filter(char::is_ascii_digit).collect();
        let Ok(instructions) = digits.parse::<u64>() else { continue };
        let name = name.split(" [").next().unwrap_or(name).trim_end_matches("'2").to_owned();
        match functions.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += instructions,
            None => functions.push((name, instructions)),
        }
    }
    functions.sort_by_key(|(_, instructions)| std::cmp::Reverse(*instructions));
    functions.truncate(FUNCTIONS);
    Ok(functions)
}
