//! Millions of items through every channel. Each must come out once, in its producer's order, and
//! be dropped once.
//!
//! ```text
//! cargo run --release -p blocksmith-sync --example stress -- [ITEMS]
//!
//! valgrind --leak-check=full --errors-for-leak-kinds=definite,indirect --fair-sched=yes \
//!     --error-exitcode=9 target/release/examples/stress 20000
//! ```
//! `ITEMS` is how many items go through each channel; the default is 10 million. The exit code is 1
//! if an item was lost, came out twice or out of order, or was not dropped exactly once; it is 2 if
//! `ITEMS` is not a number above 0. (What valgrind calls possibly lost is the C library's record of
//! one thread's stack, which it keeps for the next thread.)

mod cases;
mod ledger;

use std::process::ExitCode;

const ITEMS: u64 = 10_000_000;

fn main() -> ExitCode {
    let items = match std::env::args().nth(1).map(|text| (text.parse::<u64>(), text)) {
        None => ITEMS,
        Some((Ok(items), _)) if items > 0 => items,
        Some((_, text)) => {
            eprintln!("ITEMS: {text:?} is no number above 0");
            return ExitCode::from(2);
        }
    };
    println!(
        "{:<22} {:>9} {:>9} {:>11} {:>11}",
        "channel", "producers", "consumers", "received", "back"
    );
    let mut sound = true;
    cases::run(items, |case| {
        let (totals, name) = (&case.totals, case.channel);
        let verdict = if totals.faults.is_empty() {
            format!("{} made, each dropped once", totals.made)
        } else {
            sound = false;
            totals.faults.join(", ")
        };
        println!(
            "{name:<22} {:>9} {:>9} {:>11} {:>11}  {verdict}",
            case.producers, case.consumers, totals.received, totals.handed_back
        );
    });
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
