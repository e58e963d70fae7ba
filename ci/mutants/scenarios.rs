//! The scenarios of core/sync, and the linearizability of its channels, one test for each check of
//! an engine: what `ci/mutants.sh` runs over a mutant after the unit tests.
//!
//! The checks are those of `blocksmith-check`, those of linearizability at the depth `quick`. They
//! are known only at run time, so this program lists and runs them itself, and says it in the words
//! of the standard test harness, as far as `ci/mutants/run.py` reads them. Loom is left out: a
//! fault of the logic needs no weak memory, and loom takes ten times as long as shuttle.

use std::io::Write;

use blocksmith_engines::verdict::{Engine, Outcome, Verdict};
use blocksmith_scenarios::linearizability::{Depth, list};
use blocksmith_scenarios::scenarios::scenarios;

const ENGINES: [Engine; 3] = [Engine::Stepped, Engine::Shuttle, Engine::Std];

struct Check {
    name: String,
    run: Box<dyn Fn() -> Verdict>,
}

fn checks() -> Vec<Check> {
    let of_scenarios = scenarios().into_iter().flat_map(|row| {
        let scenario = row.scenario;
        let engines = scenario.engines().collect::<Vec<_>>();
        engines.into_iter().filter(|engine| ENGINES.contains(engine)).map(move |engine| Check {
            name: format!("{}::{}::{engine}", row.protocol, scenario.name),
            run: Box::new(move || scenario.check(engine).expect("the engine has bounds")),
        })
    });
    let families = list::checks(Depth::Quick).into_iter();
    let of_families = families
        .filter(|check| ENGINES.contains(&check.engine) && !check.expected.is_violated())
        .map(|check| Check { name: check.id.replace('.', "::"), run: check.run });
    of_scenarios.chain(of_families).collect()
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let checks = checks();
    if arguments.iter().any(|argument| argument == "--list") {
        return checks.iter().for_each(|check| println!("{}: test", check.name));
    }
    let mut failed = 0;
    for check in checks.iter().filter(|check| arguments.contains(&check.name)) {
        print!("test {} ... ", check.name);
        std::io::stdout().flush().expect("stdout is open");
        let verdict = (check.run)();
        let holds = verdict.outcome == Outcome::Verified;
        failed += i32::from(!holds);
        println!("{}", if holds { "ok" } else { "FAILED" });
        if !holds {
            println!("{verdict}");
        }
    }
    println!("\ntest result: {}.", if failed == 0 { "ok" } else { "FAILED" });
    std::process::exit(if failed == 0 { 0 } else { 101 });
}
