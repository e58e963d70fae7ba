//! Kills a signer at random moments while clients ask it for messages that contradict each other:
//! `cargo run --release -p blocksmith-cli --example signer_kills -- 200 [SEED]`. Build the command
//! first, in the same profile, with the feature `node`.
//!
//! It prints what has left that is slashable, and every signature that is not on record. The exit
//! code is 0 if there is none and the signer has opened after each kill, else 1.
#![forbid(unsafe_code)]

mod campaign;
mod client;
mod judge;

use std::path::Path;
use std::process::ExitCode;

use campaign::{Failure, Plan, run};

fn main() -> Result<ExitCode, Failure> {
    let mut arguments = std::env::args().skip(1);
    let kills: usize = arguments.next().map_or(Ok(200), |count| count.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let example = std::env::current_exe()?;
    let folder = example.parent().and_then(Path::parent).ok_or("a target folder")?;
    let command = folder.join(format!("blocksmith{}", std::env::consts::EXE_SUFFIX));
    let work = std::env::temp_dir().join(format!("blocksmith-signer-{}", std::process::id()));
    std::fs::create_dir_all(&work)?;
    let plan =
        Plan { command: &command, folder: &work, kills, keys: 8, clients: 6, answers: 150, seed };
    let mut report = run(&plan)?;
    std::fs::remove_dir_all(&work)?;
    for (what, list) in [
        ("slashable", &report.offences),
        ("not on record", &report.lost),
        ("no answer of the API", &report.strange),
    ] {
        list.iter().for_each(|it| println!("{what}: {it}"));
    }
    report.opened.sort_unstable();
    let middle = report.opened.get(report.opened.len() / 2).copied().unwrap_or_default();
    let longest = report.opened.last().copied().unwrap_or_default();
    println!(
        "{kills} kills: {} requests answered, {} refused, {} cut off; {} different signatures left",
        report.answered,
        report.refused,
        report.cut,
        report.signed.len()
    );
    println!("{} slashable pairs, {} lost records", report.offences.len(), report.lost.len());
    println!("the signer opened in {middle:.1?} (median), {longest:.1?} (longest)");
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
