//! A counterexample as text: a table, a Mermaid diagram, a graph.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Counterexample, Step};

/// Returns the operation with the change that it made to its object.
pub(super) fn change(step: &Step) -> String {
    let changed = match (&step.before, &step.after) {
        (Some(before), Some(after)) if before != after => format!(" ({before} -> {after})"),
        (Some(before), _) => format!(" ({before})"),
        _ => String::new(),
    };
    format!("{}{changed}", step.operation)
}

/// Returns a table with a column for each thread and a row for each step. Below it stands where each
/// thread is in the end, and the cycle of waits.
#[must_use]
pub fn table(of: &Counterexample) -> String {
    let names: Vec<_> = (0..of.threads.len()).map(|thread| of.thread(thread)).collect();
    let cells: Vec<_> = of.steps.iter().map(change).collect();
    let mut widths: Vec<_> = names.iter().map(|name| name.chars().count()).collect();
    for (step, cell) in of.steps.iter().zip(&cells) {
        if let Some(width) = widths.get_mut(step.thread) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = format!("{} by {}: violates {}\n", of.check, of.engine, of.violation);
    let row = |text: &mut String, number: &str, cells: &dyn Fn(usize) -> String, source: &str| {
        let mut line = format!("{number:>4}");
        for (thread, width) in widths.iter().enumerate() {
            let _ = write!(line, " | {:<width$}", cells(thread));
        }
        let _ = write!(line, " | {source}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    row(&mut text, "", &|thread| names[thread].clone(), "source");
    for ((step, cell), number) in of.steps.iter().zip(&cells).zip(1..) {
        let own = |thread| if thread == step.thread { cell.clone() } else { String::new() };
        row(&mut text, &number.to_string(), &own, &step.source);
    }
    text.push_str("in the end\n");
    for line in of.ending() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// Returns a text without what Mermaid takes for syntax.
fn plain(text: &str) -> String {
    text.replace([';', '#', '\n'], " ").replace("->", "to")
}

/// Returns a Mermaid sequence diagram: each step is a message from its thread to its object.
#[must_use]
pub fn mermaid(of: &Counterexample) -> String {
    let mut text = String::from("sequenceDiagram\n");
    for thread in 0..of.threads.len() {
        let _ = writeln!(text, "  participant T{thread} as {}", plain(&of.thread(thread)));
    }
    let mut objects = BTreeMap::new();
    for object in of.steps.iter().filter_map(|step| step.object.as_ref()) {
        let next = objects.len();
        if !objects.contains_key(object) {
            objects.insert(object, next);
            let _ = writeln!(text, "  participant O{next} as {}", plain(object));
        }
    }
    for step in &of.steps {
        let what = plain(&change(step));
        let _ = match step.object.as_ref().and_then(|object| objects.get(object)) {
            Some(object) => writeln!(text, "  T{}->>O{object}: {what}", step.thread),
            None => writeln!(text, "  Note over T{}: {what}", step.thread),
        };
    }
    for (thread, end) in of.end.iter().enumerate() {
        let _ = writeln!(text, "  Note over T{thread}: {}", plain(&end.what));
    }
    text
}

/// Returns a text inside double quotes for Graphviz.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}

/// Returns a graph for Graphviz. A solid edge is the order of a thread, a dashed one the order in
/// which an object was accessed; a red edge in the end leads from a thread to one that it waits for.
#[must_use]
pub fn dot(of: &Counterexample) -> String {
    let mut text = String::from("digraph counterexample {\n  node [shape=box];\n");
    for thread in 0..of.threads.len() {
        let _ = writeln!(text, "  subgraph cluster_{thread} {{");
        let _ = writeln!(text, "    label={};", quoted(&of.thread(thread)));
        let own = (1..).zip(&of.steps).filter(|(_, step)| step.thread == thread);
        for (number, step) in own {
            let label = format!("{number}: {} [{}]", change(step), step.source);
            let _ = writeln!(text, "    s{number} [label={}];", quoted(&label));
        }
        let what = of.end.get(thread).map_or("", |end| &end.what);
        let _ = writeln!(text, "    e{thread} [label={}, style=bold];\n  }}", quoted(what));
    }
    let (mut last, mut used) = (BTreeMap::new(), BTreeMap::new());
    for (number, step) in (1..).zip(&of.steps) {
        if let Some(before) = last.insert(step.thread, number) {
            let _ = writeln!(text, "  s{before} -> s{number};");
        }
        if let Some(object) = &step.object
            && let Some((before, thread)) = used.insert(object, (number, step.thread))
            && thread != step.thread
        {
            let _ = writeln!(text, "  s{before} -> s{number} [style=dashed];");
        }
    }
    for (thread, number) in last {
        let _ = writeln!(text, "  s{number} -> e{thread};");
    }
    for (thread, end) in of.end.iter().enumerate() {
        for other in &end.waits_for {
            let _ = writeln!(text, "  e{thread} -> e{other} [color=red, constraint=false];");
        }
    }
    text.push_str("}\n");
    text
}
