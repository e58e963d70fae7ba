//! The state transition, compared with what production clients need for the same inputs.
//!
//! `cargo bench -p blocksmith-consensus` measures with criterion. With `-- --table` each row's
//! minimum goes to `benches/RESULTS.md`, beside the peers' figures scaled by two yardsticks of the
//! same run.
//!
//! | flag | effect |
//! |---|---|
//! | `--inputs DIR` (or `BLOCKSMITH_BENCH_INPUTS`) | reads `state_95.ssz` and two blocks instead of building a chain of 21,063 validators |
//! | `--large` | adds a chain of 500,000 validators, which takes minutes to build |
//! | `--instructions` | adds instruction counts and the hottest functions of some rows, by callgrind, if valgrind is there |
//! | `--once ROW` | runs one row once: what `--instructions` does under callgrind |
//! | `--kept FILE` | prints what keeping a state of each epoch costs; `--table` runs this in a process of its own |
//! | `--parallel first FILE` | prints the time of a root with and without an idle thread's help; `--table` runs this in a process of its own |

mod chain;
mod clock;
mod instructions;
mod memory;
mod parallel;
mod rows;
mod table;

use std::path::{Path, PathBuf};

use blocksmith_consensus::ChainConfig;
use criterion::Criterion;

use chain::Inputs;

/// Validators of mainnet's genesis.
const VALIDATORS: u64 = 21_063;
const LARGE: u64 = 500_000;
/// The last slot of the third epoch, which is the first whose attestations are all rewarded.
const LAST_SLOT: u64 = 95;

fn inputs(folder: Option<&Path>, config: &ChainConfig) -> Inputs {
    match folder {
        Some(folder) => chain::read(folder, config).unwrap_or_else(|error| {
            eprintln!("error: --inputs {}: {error}", folder.display());
            std::process::exit(2);
        }),
        None => chain::build(VALIDATORS, LAST_SLOT, config),
    }
}

fn write_table(
    inputs: &Inputs,
    folder: Option<&Path>,
    [large, count_instructions]: [bool; 2],
    config: &ChainConfig,
) {
    let yardsticks = table::Yardsticks::measure();
    let mut text = table::head(&yardsticks);
    print!("{text}");
    let source = |inputs: &Inputs| {
        let ground = match inputs.parent {
            Some(_) => "blocks with every check on",
            None => "blocks without checks of parent and state root",
        };
        format!("{} ({ground})", inputs.source)
    };
    let beside = |inputs: &Inputs, large| {
        let kept = memory::table(&inputs.state, large).expect("this program can be run again");
        kept + &parallel::table(&inputs.state).expect("this program can be run again")
    };
    text +=
        &table::table(&source(inputs), rows::rows(inputs, config, &|_| true), false, &yardsticks);
    text += &beside(inputs, false);
    if count_instructions {
        text += &instructions::tables(folder);
    }
    if large {
        let inputs = chain::build(LARGE, LAST_SLOT, config);
        text += &table::table(
            &source(&inputs),
            rows::rows(&inputs, config, &|_| true),
            true,
            &yardsticks,
        );
        text += &beside(&inputs, true);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/RESULTS.md");
    std::fs::write(path, text).expect("the package's folder can be written to");
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let value = |name: &str| arguments.iter().skip_while(|argument| *argument != name).nth(1);
    let folder = value("--inputs")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("BLOCKSMITH_BENCH_INPUTS").map(PathBuf::from));
    let config = ChainConfig::mainnet();
    if let Some(path) = value("--kept") {
        return memory::keep(Path::new(path), &config).expect("a state that can be read");
    }
    if let (Some(cores), Some(path)) = (value("--parallel"), arguments.last()) {
        let cores = if cores == "first" { "to itself" } else { "shared with others" };
        let text = parallel::compare(Path::new(path), cores).expect("a state that can be read");
        return print!("{text}");
    }
    let inputs = inputs(folder.as_deref(), &config);
    if flag("--table") {
        let options = [flag("--large"), flag("--instructions")];
        return write_table(&inputs, folder.as_deref(), options, &config);
    }
    if let Some(name) = value("--once") {
        clock::stop();
        for mut row in rows::rows(&inputs, &config, &|row| row == name) {
            (row.run)(1);
        }
        return;
    }
    let mut criterion = Criterion::default().sample_size(10);
    for mut row in rows::rows(&inputs, &config, &|_| true) {
        criterion.bench_function(row.name, |bencher| bencher.iter_custom(|runs| (row.run)(runs)));
    }
    criterion.final_summary();
}
