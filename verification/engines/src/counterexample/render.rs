//! A counterexample as text: a table, a Mermaid diagram, a graph.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Counterexample, Step};

/// The widest a table may be without breaking the lines of its cells, in characters.
const WIDEST: usize = 150;
/// The narrowest a column becomes.
const NARROWEST: usize = 26;
/// The longest that a value is shown, in characters. A file has all of it.
const LONGEST: usize = 160;

/// Returns the operation with the change that it made to its object, and what it returned.
pub(super) fn change(step: &Step) -> String {
    let changed = match (&step.before, &step.after) {
        (Some(before), Some(after)) if before != after => format!(" ({before} -> {after})"),
        (Some(before), _) => format!(" ({before})"),
        (None, Some(after)) => format!(" (-> {after})"),
        _ => String::new(),
    };
    let result = if step.result.is_empty() { "" } else { &format!(" {}", step.result) };
    format!("{}{changed}{result}", step.operation)
}

/// Returns what else a step changed, one object a line.
pub(super) fn changes(step: &Step) -> impl Iterator<Item = String> + '_ {
    step.changes.iter().map(|change| {
        let (before, after) = difference(&change.before, &change.after);
        format!("{}: {before} -> {after}", change.object)
    })
}

/// Returns two values without the long beginning and end that they have in common.
pub(super) fn difference(before: &str, after: &str) -> (String, String) {
    const SHORT: usize = 48;
    let word = |text: &str| if text.is_empty() { "nothing".to_owned() } else { cut(text) };
    if before.chars().count().max(after.chars().count()) <= SHORT {
        return (word(before), word(after));
    }
    let (one, other): (Vec<_>, Vec<_>) = (before.chars().collect(), after.chars().collect());
    let is_end = |c: char| !c.is_alphanumeric() && c != '_';
    let shorter = one.len().min(other.len());
    let mut head = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    while head > 0 && head < one.len().max(other.len()) && !is_end(one[head - 1]) {
        head -= 1;
    }
    let ends = one.iter().rev().zip(other.iter().rev());
    let mut tail = ends.take(shorter - head).take_while(|(a, b)| a == b).count();
    while tail > 0 && !is_end(one[one.len() - tail]) {
        tail -= 1;
    }
    let part = |all: &[char]| {
        let middle: String = all[head..all.len() - tail].iter().collect();
        let left = if head > 0 { ".." } else { "" };
        let right = if tail > 0 { ".." } else { "" };
        cut(&format!("{left}{}{right}", middle.trim()))
    };
    (part(&one), part(&other))
}

/// Returns a value, without its middle if it is too long.
pub(super) fn cut(text: &str) -> String {
    let count = text.chars().count();
    if count <= LONGEST {
        return text.to_owned();
    }
    let half = LONGEST / 2 - 2;
    let (head, tail) = (text.chars().take(half), text.chars().skip(count - half));
    head.chain(" .. ".chars()).chain(tail).collect()
}

/// Breaks a text into lines of at most this many characters, at spaces where there are some. Lines
/// after the first are set in.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<_> = word.chars().collect();
        loop {
            let line = lines.last_mut().expect("there is a line");
            let (used, gap) = (line.chars().count(), usize::from(!line.trim().is_empty()));
            if used + gap + word.len() <= width {
                line.extend(std::iter::repeat_n(' ', gap).chain(word));
                break;
            }
            if gap == 0 {
                let rest = word.split_off(width.saturating_sub(used).clamp(1, word.len()));
                line.extend(word);
                word = rest;
            }
            lines.push("  ".to_owned());
        }
    }
    lines
}

/// The rows of a table whose columns are the threads.
struct Table {
    widths: Vec<usize>,
    text: String,
}

impl Table {
    /// Writes a row of one or more lines. `cells` are the lines of each thread.
    fn row(&mut self, number: &str, cells: &[Vec<String>], source: &str) {
        let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for at in 0..height {
            let (number, source) = if at == 0 { (number, source) } else { ("", "") };
            let mut line = format!("{number:>4}");
            for (cell, width) in cells.iter().zip(&self.widths) {
                let part = cell.get(at).map_or("", String::as_str);
                let _ = write!(line, " | {part:<width$}");
            }
            let gap = if source.is_empty() { "" } else { " | " };
            let _ = writeln!(self.text, "{}", format!("{line}{gap}{source}").trim_end());
        }
    }

    /// Writes a line between the steps that says how they go on.
    fn say(&mut self, text: &str) {
        let _ = writeln!(self.text, "     -- {text}");
    }
}

/// Returns a table with a column for each thread and a row for each step. Below it stands where each
/// thread is in the end, and the cycle of waits.
#[must_use]
pub fn table(of: &Counterexample) -> String {
    let names: Vec<_> = (0..of.threads.len()).map(|thread| of.thread(thread)).collect();
    let texts: Vec<Vec<String>> = of
        .steps
        .iter()
        .map(|step| [change(step)].into_iter().chain(changes(step)).collect())
        .collect();
    let count = |text: &String| text.chars().count();
    let mut widths: Vec<_> = names.iter().map(count).collect();
    for (step, text) in of.steps.iter().zip(&texts) {
        if let Some(width) = widths.get_mut(step.thread) {
            *width = (*width).max(text.iter().map(|line| count(line) + 2).max().unwrap_or(0));
        }
    }
    if widths.iter().sum::<usize>() > WIDEST {
        let widest = (WIDEST / widths.len().max(1)).max(NARROWEST);
        widths.iter_mut().for_each(|width| *width = (*width).min(widest));
    }
    let mut head = format!("{} by {}: violates {}\n", of.check, of.engine, of.violation);
    if !of.search.is_empty() {
        let _ = writeln!(head, "{}", of.search);
    }
    let mut table = Table { widths, text: head };
    let source = if of.steps.iter().any(|step| !step.source.is_empty()) { "source" } else { "" };
    let heads: Vec<_> = names.into_iter().map(|name| vec![name]).collect();
    table.row("", &heads, source);
    for (number, (step, texts)) in of.steps.iter().zip(&texts).enumerate() {
        if of.cycle_from == Some(number) {
            table.say("from here on, for ever:");
        }
        let mut cells = vec![Vec::new(); of.threads.len()];
        let width = table.widths.get(step.thread).copied().unwrap_or(NARROWEST);
        if let Some(cell) = cells.get_mut(step.thread) {
            for (place, text) in texts.iter().enumerate() {
                let shown = if place == 0 { text.clone() } else { format!("  {text}") };
                cell.extend(lines(&shown, width));
            }
        }
        table.row(&(number + 1).to_string(), &cells, &step.source);
    }
    if let Some(cycle) = of.cycle_from {
        let nothing = cycle == of.steps.len();
        table.say(if nothing { "and nothing happens any more" } else { "and again" });
    }
    let mut text = table.text;
    text.push_str("in the end\n");
    for line in of.ending() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// The steps of a listing: of a longer counterexample the last ones are listed.
const LISTED: usize = 400;

/// Returns the table of the last steps.
pub(crate) fn listing(of: &Counterexample) -> String {
    let skipped = of.steps.len().saturating_sub(LISTED);
    let last = Counterexample { steps: of.steps[skipped..].to_vec(), ..of.clone() };
    let table = table(&last);
    if skipped == 0 { table } else { format!("{skipped} earlier steps, and then\n{table}") }
}

/// Returns a text without what Mermaid takes for syntax or markup.
fn plain(text: &str) -> String {
    let text = text.replace([';', '#', '\n'], " ").replace("->", "to");
    text.replace('<', "#lt;").replace('>', "#gt;")
}

/// Returns a text for Mermaid in short lines.
fn broken(text: &str) -> String {
    const WIDTH: usize = 36;
    let lines = lines(text, WIDTH);
    lines.iter().map(|line| plain(line.trim())).collect::<Vec<_>>().join("<br/>")
}

/// Returns the thread that a step sends to: another one whose own object it changed, or, where a
/// thread says what it does, one that it names.
pub(super) fn receiver(of: &Counterexample, step: &Step) -> Option<usize> {
    if step.is_landmark {
        let to = |label: &String| step.operation.contains(&format!(" to {label}"));
        return of.threads.iter().position(to).filter(|other| *other != step.thread);
    }
    let mut changed = step.changes.iter();
    changed.find_map(|change| {
        let owner = of.threads.iter().position(|thread| *thread == change.object);
        owner.filter(|owner| *owner != step.thread)
    })
}

/// Returns a Mermaid sequence diagram: each step is a message from its thread to its object, or to
/// the process that it sends something to.
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
    for (number, step) in of.steps.iter().enumerate() {
        if of.cycle_from == Some(number) {
            text.push_str("  loop for ever\n");
        }
        let (what, thread) = (broken(&format!("{}: {}", number + 1, change(step))), step.thread);
        let object = step.object.as_ref().and_then(|object| objects.get(object));
        let _ = match (object, receiver(of, step)) {
            (Some(object), _) => writeln!(text, "  T{thread}->>O{object}: {what}"),
            (None, Some(other)) => writeln!(text, "  T{thread}->>T{other}: {what}"),
            (None, None) => writeln!(text, "  Note over T{thread}: {what}"),
        };
    }
    if of.cycle_from.is_some_and(|from| from < of.steps.len()) {
        text.push_str("  end\n");
    }
    for (thread, end) in of.end.iter().enumerate().filter(|(_, end)| !end.what.is_empty()) {
        let _ = writeln!(text, "  Note over T{thread}: {}", broken(&end.what));
    }
    if let (Some(line), Some(last)) = (of.cycle_line(), of.threads.len().checked_sub(1)) {
        let _ = writeln!(text, "  Note over T0,T{last}: {}", broken(&line));
    }
    text
}

/// Returns a text inside double quotes for Graphviz.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}

/// Returns a graph for Graphviz. A solid edge is the order of a thread, a dashed one the order in
/// which an object was accessed, or leads to the next step of a process that was sent something; a
/// blue edge closes the steps that are taken for ever; a red edge in the end leads from a thread to one that it waits for.
#[must_use]
pub fn dot(of: &Counterexample) -> String {
    let mut text = String::from("digraph counterexample {\n  node [shape=box];\n");
    for thread in 0..of.threads.len() {
        let _ = writeln!(text, "  subgraph cluster_{thread} {{");
        let _ = writeln!(text, "    label={};", quoted(&of.thread(thread)));
        let own = (1..).zip(&of.steps).filter(|(_, step)| step.thread == thread);
        for (number, step) in own {
            let mut label = format!("{number}: {}", change(step));
            if !step.source.is_empty() {
                let _ = write!(label, " [{}]", step.source);
            }
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
        if let Some(other) = receiver(of, step) {
            let next = of.steps.iter().skip(number).position(|step| step.thread == other);
            if let Some(next) = next.map(|next| number + 1 + next) {
                let _ = writeln!(text, "  s{number} -> s{next} [style=dashed];");
            }
        }
        if let Some(object) = &step.object
            && let Some((before, thread)) = used.insert(object, (number, step.thread))
            && thread != step.thread
        {
            let _ = writeln!(text, "  s{before} -> s{number} [style=dashed];");
        }
    }
    if let Some(from) = of.cycle_from.filter(|from| *from < of.steps.len()) {
        let (first, last) = (from + 1, of.steps.len());
        let _ = writeln!(text, "  s{last} -> s{first} [color=blue, label=\"for ever\"];");
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
