//! The sub-command `refinement`: it compares the machines with their TLA+ specifications, states
//! and edges both ways.

use std::path::PathBuf;

use blocksmith_models::refinement::{Compared, INSTANCES, Instance};
use blocksmith_models::tla::CONFIGURATIONS;
use blocksmith_terminal::{Color, EXIT_DIFFERS, EXIT_OK, Failure, Output, Report};
use serde::Serialize;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Compare only the instances whose name contains this.
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
    /// Compare the variants with a fault, too, and print the first difference of each.
    #[arg(long)]
    twins: bool,
    /// Write the results, and what the gate expects of each configuration, as JSON to this file;
    /// `-` is stdout.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Explore nothing: write what is pinned, as JSON, to stdout.
    #[arg(long, conflicts_with_all = ["id", "twins", "json"])]
    pinned: bool,
}

/// What the specification of no instance stands for, and where it is compared instead.
const ELSEWHERE: &str = "EventNotifier is compared by `prove`: the relation that is proved has the \
    states and steps that the code has under Stepped";

/// The widths of the columns with a name, and with a number.
const NAME: usize = 24;
const COUNT: usize = 8;

#[derive(Serialize)]
struct Document {
    instances: Vec<Row>,
    configurations: Vec<Expectation>,
}

/// What `--pinned` writes.
#[derive(Serialize)]
struct PinnedDocument {
    instances: Vec<Pinned>,
    configurations: Vec<Expectation>,
}

/// The numbers that a comparison must give.
#[derive(Serialize)]
struct Pinned {
    name: &'static str,
    cfg: &'static str,
    /// Whether the machine must have as many states as the configuration.
    is_whole: bool,
    states: usize,
    edges: usize,
}

/// One comparison.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    spec: &'static str,
    cfg: &'static str,
    source: &'static str,
    bounds: &'static str,
    dropped: &'static str,
    /// Visible states and edges, if they are the same.
    states: Option<usize>,
    edges: Option<usize>,
    machine_states: usize,
    spec_states: usize,
    difference: Option<String>,
    twins: Vec<TwinRow>,
}

#[derive(Serialize)]
struct TwinRow {
    name: &'static str,
    claim: &'static str,
    difference: Option<String>,
}

/// What the gate expects of a configuration.
#[derive(Serialize)]
struct Expectation {
    spec: &'static str,
    cfg: &'static str,
    /// The properties, one of which must break; none if the configuration must hold.
    violations: Vec<String>,
    states: u64,
}

impl Row {
    fn new(instance: &Instance, compared: Compared) -> Self {
        let is_whole = compared.is_whole();
        let Compared { verdict, machine_states, spec_states } = compared;
        let Instance { name, spec, cfg, source, bounds, dropped, size, .. } = *instance;
        let (agreement, difference) = match verdict {
            Ok(agreement) if is_whole != Some(instance.is_whole) => {
                let pinned = format!("pinned is that is_whole is {}", instance.is_whole);
                (Some(agreement), Some(pinned))
            }
            Ok(agreement) if agreement == size => (Some(agreement), None),
            Ok(agreement) => {
                let pinned = format!("pinned are {} states, {} edges", size.states, size.edges);
                (Some(agreement), Some(pinned))
            }
            Err(difference) => (None, Some(difference.to_string())),
        };
        let (states, edges) = (agreement.map(|it| it.states), agreement.map(|it| it.edges));
        let twins = Vec::new();
        Self {
            name,
            spec,
            cfg,
            source,
            bounds,
            dropped,
            states,
            edges,
            machine_states,
            spec_states,
            difference,
            twins,
        }
    }

    fn print(&self, instance: &Instance, out: Output) -> Result<(), Failure> {
        let count = |count: Option<usize>| count.map_or("-".to_owned(), |n| n.to_string());
        let word = if self.difference.is_none() { "the same" } else { "DIFFERENT" };
        let word = out.painted(self.difference.is_none(), word);
        let (states, edges) = (count(self.states), count(self.edges));
        out.line(format_args!(
            "{:<NAME$} {states:>COUNT$} {edges:>COUNT$} {:>COUNT$} {:>COUNT$} {word}",
            self.name, self.machine_states, self.spec_states,
        ))?;
        for text in [instance.source, instance.bounds] {
            out.line(format_args!("    {text}"))?;
        }
        out.line(format_args!("    not compared: {}", instance.dropped))?;
        for line in self.difference.iter().flat_map(|difference| difference.lines()) {
            out.line(format_args!("    {line}"))?;
        }
        Ok(())
    }
}

impl TwinRow {
    fn print(&self, out: Output) -> Result<(), Failure> {
        let is_told = self.difference.is_some();
        let word = out.painted(is_told, if is_told { "told" } else { "NOT TOLD" });
        out.line(format_args!("  twin {}: {word}: {}", self.name, self.claim))?;
        for line in self.difference.iter().flat_map(|difference| difference.lines()) {
            out.line(format_args!("      {line}"))?;
        }
        Ok(())
    }
}

pub(super) fn run(arguments: &Arguments, color: Color) -> Result<u8, Failure> {
    if arguments.pinned {
        let document = PinnedDocument { instances: pinned(), configurations: expectations() };
        let json = serde_json::to_string(&document).map_err(Failure::fault)?;
        Output::new(color, false).line(format_args!("{json}"))?;
        return Ok(EXIT_OK);
    }
    let json = arguments.json.as_deref();
    let out = Output::new(color, Report::goes_to_stdout(json));
    let wanted = arguments.id.as_deref().unwrap_or_default();
    let instances: Vec<_> = INSTANCES.iter().filter(|it| it.name.contains(wanted)).collect();
    if instances.is_empty() {
        let error = format!("--id {wanted}: no instance has this in its name");
        return Err(Failure::input(anyhow::Error::msg(error)));
    }
    let report = Report::maybe("--json", json)?;
    out.line(format_args!(
        "{:<NAME$} {:>COUNT$} {:>COUNT$} {:>COUNT$} {:>COUNT$}",
        "instance", "states", "edges", "Rust", "TLA+"
    ))?;
    let mut rows = Vec::new();
    for instance in instances {
        let explored = instance.explore().map_err(Failure::fault)?;
        let mut row = Row::new(instance, explored.compare());
        row.print(instance, out)?;
        for twin in instance.twins.iter().filter(|_| arguments.twins) {
            let compared = explored.compare_twin(twin).map_err(Failure::fault)?;
            let difference = compared.verdict.err().map(|difference| difference.to_string());
            let of_twin = TwinRow { name: twin.name, claim: twin.claim, difference };
            of_twin.print(out)?;
            row.twins.push(of_twin);
        }
        rows.push(row);
    }
    if wanted.is_empty() {
        out.line(format_args!("{ELSEWHERE}"))?;
    }
    let is_told = |row: &Row| row.twins.iter().all(|twin| twin.difference.is_some());
    let holds = rows.iter().all(|row| row.difference.is_none() && is_told(row));
    if let Some(report) = report {
        let document = Document { instances: rows, configurations: expectations() };
        report.finish(&serde_json::to_string(&document).map_err(Failure::fault)?)?;
    }
    Ok(if holds { EXIT_OK } else { EXIT_DIFFERS })
}

fn pinned() -> Vec<Pinned> {
    let pinned = |it: &Instance| {
        let (states, edges) = (it.size.states, it.size.edges);
        Pinned { name: it.name, cfg: it.cfg, is_whole: it.is_whole, states, edges }
    };
    INSTANCES.iter().map(pinned).collect()
}

fn expectations() -> Vec<Expectation> {
    let expectation = |it: &blocksmith_models::tla::Configuration| Expectation {
        spec: it.spec,
        cfg: it.cfg,
        violations: it.expected.breaks().iter().map(ToString::to_string).collect(),
        states: it.states,
    };
    CONFIGURATIONS.iter().map(expectation).collect()
}
