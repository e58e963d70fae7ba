//! `blocksmith check`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Instant;

use clap::ValueEnum;
use serde::Serialize;

use blocksmith_models::verdict::{Engine, Outcome, Verdict};

use super::output::Report;
use super::{EXIT_DIFFERS, EXIT_OK, EXIT_TRUNCATED, Failure};
use crate::catalogue::{Check, catalogue};
use crate::sweep;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineArgument {
    /// Weak memory, exhaustive up to bounds.
    Loom,
    /// Random and PCT schedules.
    Shuttle,
    /// The real code, every interleaving.
    Stepped,
    /// State machines as communicating processes.
    Stateright,
    /// TLA+ specifications.
    Tla,
    /// Real threads.
    Std,
}

impl EngineArgument {
    fn engine(self) -> Engine {
        match self {
            Self::Loom => Engine::Loom,
            Self::Shuttle => Engine::Shuttle,
            Self::Stepped => Engine::Stepped,
            Self::Stateright => Engine::Stateright,
            Self::Tla => Engine::Tla,
            Self::Std => Engine::Std,
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only checks of this protocol.
    #[arg(long)]
    protocol: Option<String>,
    /// Only checks by this engine.
    #[arg(long, value_enum)]
    engine: Option<EngineArgument>,
    /// Weaken every ordering and fence of sync, one at a time, instead; list killed and survived.
    #[arg(long, conflicts_with_all = ["protocol", "engine"])]
    mutants: bool,
    /// Checks that run at the same time, 1 to 64; as many as there are processors if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: Option<u8>,
    /// List the checks without running them.
    #[arg(long, conflicts_with = "mutants")]
    list: bool,
    /// Print the counterexample of every refuted check, twins included.
    #[arg(long)]
    counterexamples: bool,
    /// Write the results as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A result as the JSON report has it.
#[derive(Serialize)]
struct Row {
    id: String,
    protocol: &'static str,
    engine: Engine,
    expected: &'static str,
    verdict: &'static str,
    bounds: BTreeMap<&'static str, String>,
    states: Option<u64>,
    executions: Option<u64>,
    seconds: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let report = Report::maybe(arguments.json.as_deref())?;
    if arguments.mutants {
        return mutants(jobs(arguments), report);
    }
    let checks = selected(arguments)?;
    if arguments.list {
        for check in &checks {
            let (id, claim) = (&check.id, &check.claim);
            println!("{id:<58} {:<8} {claim}", check.expected.word());
        }
        return Ok(EXIT_OK);
    }
    let mut rows = Vec::new();
    let mut worst = EXIT_OK;
    println!("{:<58} {:<8} {:>7}  verdict", "check", "expected", "seconds");
    in_order(&checks, jobs(arguments), |check, verdict, seconds| {
        let mark = if check.is_as_expected(&verdict) { "" } else { "  <-- NOT AS EXPECTED" };
        println!("{:<58} {:<8} {seconds:>7.1}  {verdict}{mark}", check.id, check.expected.word());
        if arguments.counterexamples || !mark.is_empty() {
            print_counterexample(&verdict);
        }
        worst = worst.max(exit_code(check, &verdict));
        rows.push(row(check, verdict, seconds));
    });
    let as_expected = rows.iter().filter(|row| row.expected == row.verdict).count();
    let twins = rows.iter().filter(|row| row.expected == "violated").count();
    println!("{as_expected} of {} as expected; {twins} of them must-fail twins", rows.len());
    if let Some(report) = report {
        report.finish(&serde_json::to_string(&rows).map_err(Failure::fault)?)?;
    }
    Ok(worst)
}

fn jobs(arguments: &Arguments) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    arguments.jobs.map_or_else(processors, usize::from)
}

/// Runs the checks on `jobs` threads, and gives each result with its seconds to `each`, in order.
fn in_order(checks: &[Check], jobs: usize, mut each: impl FnMut(&Check, Verdict, f64)) {
    let next = AtomicUsize::new(0);
    let (results, collected) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (next, results) = (&next, results.clone());
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Relaxed);
                    let Some(check) = checks.get(index) else { return };
                    let start = Instant::now();
                    let verdict = (check.run)();
                    // The receiver is gone only if `each` has panicked.
                    let _ = results.send((index, (verdict, start.elapsed().as_secs_f64())));
                }
            });
        }
        drop(results);
        let mut waiting = BTreeMap::new();
        let mut shown = 0;
        for (index, result) in collected {
            waiting.insert(index, result);
            while let Some((verdict, seconds)) = waiting.remove(&shown) {
                each(&checks[shown], verdict, seconds);
                shown += 1;
            }
        }
    });
}

fn selected(arguments: &Arguments) -> Result<Vec<Check>, Failure> {
    let all = catalogue();
    let protocols: std::collections::BTreeSet<_> = all.iter().map(|check| check.protocol).collect();
    let engine = arguments.engine.map(EngineArgument::engine);
    let checks: Vec<_> = all
        .into_iter()
        .filter(|check| arguments.protocol.as_ref().is_none_or(|name| name == check.protocol))
        .filter(|check| engine.is_none_or(|engine| engine == check.engine))
        .collect();
    if checks.is_empty() {
        let names: Vec<_> = protocols.into_iter().collect();
        let error = anyhow::anyhow!(
            "no check matches --protocol {} --engine {}; protocols are: {}",
            arguments.protocol.as_deref().unwrap_or("(any)"),
            engine.map_or("(any)", Engine::name),
            names.join(", ")
        );
        return Err(Failure::input(error));
    }
    Ok(checks)
}

fn print_counterexample(verdict: &Verdict) {
    for line in verdict.counterexample().unwrap_or_default().lines() {
        println!("    {line}");
    }
}

fn exit_code(check: &Check, verdict: &Verdict) -> u8 {
    match verdict.outcome {
        _ if check.is_as_expected(verdict) => EXIT_OK,
        Outcome::Truncated { .. } => EXIT_TRUNCATED,
        _ => EXIT_DIFFERS,
    }
}

fn row(check: &Check, verdict: Verdict, seconds: f64) -> Row {
    Row {
        id: check.id.clone(),
        protocol: check.protocol,
        engine: check.engine,
        expected: check.expected.word(),
        verdict: verdict.word(),
        states: verdict.states,
        executions: verdict.executions,
        bounds: verdict.bounds,
        seconds,
    }
}

fn mutants(jobs: usize, report: Option<Report>) -> Result<u8, Failure> {
    eprintln!("weakening every ordering of core/sync, one at a time, under loom");
    let (results, unvisited) = sweep::sweep(jobs);
    for site in &results {
        let place = format!("{}:{}:{}", site.file, site.line, site.column);
        let change = format!("{} {} -> {}", site.operation, site.ordering, site.weakened_to);
        let fate = match (&site.killed_by, &site.reason) {
            (Some(scenario), _) => format!("killed by {scenario}"),
            (None, Some(reason)) => format!("survived: {reason}"),
            (None, None) => "survived WITHOUT A REASON in the source".to_owned(),
        };
        println!("{place:<44} {change:<36} {:>6.1} s  {fate}", site.seconds);
    }
    let killed = results.iter().filter(|site| site.killed_by.is_some()).count();
    let unsettled = results.iter().filter(|site| !site.is_settled()).count();
    for (file, line) in &unvisited {
        println!("core/{file}:{line}: NO SCENARIO VISITS this ordering");
    }
    println!(
        "{} weakenings, {killed} killed, {} survived with a reason, {unsettled} unsettled; {} orderings unvisited",
        results.len(),
        results.len() - killed - unsettled,
        unvisited.len()
    );
    if let Some(report) = report {
        report.finish(&serde_json::to_string(&results).map_err(Failure::fault)?)?;
    }
    Ok(if unsettled == 0 && unvisited.is_empty() && !results.is_empty() {
        EXIT_OK
    } else {
        EXIT_DIFFERS
    })
}
