//! `blocksmith check`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use blocksmith_models::verdict::{Engine, Outcome, Verdict};

use super::output::Report;
use super::{EXIT_DIFFERS, EXIT_OK, EXIT_TRUNCATED, Failure};
use crate::catalogue::{Check, Depth, catalogue, catalogue_at};
use crate::{document, sweep};

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DepthArgument {
    /// Fewer schedules of each client program.
    Quick,
    /// What CI runs.
    Ci,
    /// Longer client programs, more threads.
    Deep,
}

impl DepthArgument {
    fn depth(self) -> Depth {
        match self {
            Self::Quick => Depth::Quick,
            Self::Ci => Depth::Ci,
            Self::Deep => Depth::Deep,
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
    /// Only checks whose id is this or begins with it and a dot; may be given several times.
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Only the Ith of N parts of the selected checks, as I/N: every Nth, from the Ith on.
    #[arg(long, value_name = "I/N", conflicts_with = "mutants", value_parser = shard)]
    shard: Option<Shard>,
    /// How far the checks of linearizability look; `ci` if not given.
    #[arg(long, value_enum)]
    depth: Option<DepthArgument>,
    /// Weaken every ordering and fence of core, one at a time, instead; list killed and survived.
    #[arg(long, conflicts_with_all = ["protocol", "engine", "id", "depth"])]
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
    /// Write the results as JUnit XML to this file; what is not as expected is a failure there.
    #[arg(long, value_name = "FILE", conflicts_with = "mutants")]
    junit: Option<PathBuf>,
    /// Write what is checked, by hazard and by protocol, as Markdown to this file; run nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "mutants", "protocol", "engine", "id", "shard", "list", "json", "junit",
    ])]
    document: Option<PathBuf>,
}

/// A part of the checks: every `of`th, from the `part`th on, counted from 1.
#[derive(Clone, Copy, Debug)]
struct Shard {
    part: usize,
    of: usize,
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text
        .split_once('/')
        .and_then(|(part, of)| Some(Shard { part: part.parse().ok()?, of: of.parse().ok()? }));
    parts
        .filter(|shard| (1..=shard.of).contains(&shard.part))
        .ok_or_else(|| "two numbers as in 1/4, the first at least 1 and at most the second".into())
}

/// A result as the JSON report has it.
#[derive(Serialize)]
struct Row {
    id: String,
    protocol: &'static str,
    engine: Engine,
    expected: &'static str,
    /// The properties of which one must break; none for a check that must hold.
    expected_violations: Vec<String>,
    /// The number of states that must be visited, where it is pinned.
    expected_states: Option<u64>,
    verdict: &'static str,
    violation: Option<String>,
    /// In what the verdict differs from the expected one.
    difference: Option<String>,
    bounds: BTreeMap<&'static str, String>,
    states: Option<u64>,
    executions: Option<u64>,
    seconds: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    if let Some(file) = Report::named("--document", arguments.document.as_deref())? {
        file.finish(document::text(&catalogue()).trim_end())?;
        return Ok(EXIT_OK);
    }
    let report = Report::maybe(arguments.json.as_deref())?;
    let junit_file = Report::named("--junit", arguments.junit.as_deref())?;
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
    let mut suite = TestSuite::new("blocksmith check");
    let mut worst = EXIT_OK;
    println!("{:<58} {:<8} {:>7}  verdict", "check", "expected", "seconds");
    in_order(&checks, jobs(arguments), |check, verdict, seconds| {
        let difference = check.difference(&verdict);
        let mark =
            difference.map_or(String::new(), |what| format!("  <-- NOT AS EXPECTED: {what}"));
        println!("{:<58} {:<8} {seconds:>7.1}  {verdict}{mark}", check.id, check.expected.word());
        if arguments.counterexamples || !mark.is_empty() {
            print_counterexample(&verdict);
        }
        worst = worst.max(exit_code(check, &verdict));
        suite.add_test_case(test_case(check, &verdict, seconds));
        rows.push(row(check, verdict, seconds));
    });
    let as_expected = rows.iter().filter(|row| row.difference.is_none()).count();
    let twins = rows.iter().filter(|row| row.expected == "violated").count();
    println!("{as_expected} of {} as expected; {twins} of them must-fail twins", rows.len());
    if let Some(report) = report {
        report.finish(&serde_json::to_string(&rows).map_err(Failure::fault)?)?;
    }
    if let Some(file) = junit_file {
        let mut report = quick_junit::Report::new("blocksmith");
        report.add_test_suite(suite);
        file.finish(report.to_string().map_err(Failure::fault)?.trim_end())?;
    }
    Ok(worst)
}

/// A check as a test case: it passes if the verdict is the one expected. The verdict with its
/// bounds is in the standard output of the case, and its counterexample, twins' included.
fn test_case(check: &Check, verdict: &Verdict, seconds: f64) -> TestCase {
    let status = match check.difference(verdict) {
        None => TestCaseStatus::success(),
        Some(difference) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(difference);
            status
        }
    };
    let mut case = TestCase::new(check.id.clone(), status);
    case.set_classname(format!("blocksmith.{}", check.protocol));
    case.set_time(Duration::from_secs_f64(seconds));
    case.set_system_out(format!(
        "{}\n{verdict}\n{}",
        check.claim,
        verdict.counterexample().unwrap_or_default()
    ));
    case
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
    let all = catalogue_at(arguments.depth.map_or(Depth::default(), DepthArgument::depth));
    let protocols: std::collections::BTreeSet<_> = all.iter().map(|check| check.protocol).collect();
    let engine = arguments.engine.map(EngineArgument::engine);
    let checks: Vec<_> = all
        .into_iter()
        .filter(|check| arguments.protocol.as_ref().is_none_or(|name| name == check.protocol))
        .filter(|check| engine.is_none_or(|engine| engine == check.engine))
        .filter(|check| arguments.id.is_empty() || arguments.id.iter().any(|id| is_of(check, id)))
        .collect();
    if checks.is_empty() {
        let names: Vec<_> = protocols.into_iter().collect();
        let error = anyhow::anyhow!(
            "no check matches --protocol {} --engine {} --id {}; protocols are: {}",
            arguments.protocol.as_deref().unwrap_or("(any)"),
            engine.map_or("(any)", Engine::name),
            if arguments.id.is_empty() { "(any)".to_owned() } else { arguments.id.join(", ") },
            names.join(", ")
        );
        return Err(Failure::input(error));
    }
    let Shard { part, of } = arguments.shard.unwrap_or(Shard { part: 1, of: 1 });
    Ok(checks.into_iter().skip(part - 1).step_by(of).collect())
}

/// Whether the check's id is `id`, or begins with it and a dot.
fn is_of(check: &Check, id: &str) -> bool {
    check.id.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
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
        expected_violations: check.expected.breaks().iter().map(ToString::to_string).collect(),
        expected_states: check.states,
        verdict: verdict.word(),
        violation: verdict.violation().map(ToString::to_string),
        difference: check.difference(&verdict),
        states: verdict.states,
        executions: verdict.executions,
        bounds: verdict.bounds,
        seconds,
    }
}

fn mutants(jobs: usize, report: Option<Report>) -> Result<u8, Failure> {
    eprintln!("weakening every ordering of core, one at a time, under loom");
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
