//! A trace from a file: lines of JSON, with a first line and an end mark.
//!
//! **Contract.** [`judge`] reads line by line and keeps no line. A trace passes only if it is read
//! to its end mark, if nothing was left out, and if every thread that began has ended: a trace that
//! was cut short is no pass, whatever it has. Input never panics, and allocates no more than a
//! small multiple of its longest line and what the [`Judge`] keeps.

use std::io::{self, BufRead};

use blocksmith::trace::{Step, VERSION};
use serde::Deserialize;
use thiserror::Error;

use super::{Judge, Refusal, Rule, Summary};

/// The name of the format, in the first line.
pub const FORMAT: &str = "blocksmith-trace";

/// Why a trace is no pass.
#[derive(Debug, Error)]
pub enum Problem {
    /// It cannot be read.
    #[error("line {line}: {field}: {why}")]
    Unreadable {
        /// The line, from 1.
        line: usize,
        /// The field.
        field: String,
        /// What is wrong, with the value.
        why: String,
    },
    /// It is not that of a behaviour.
    #[error("line {line}: {event}\n    {rule}: {why}")]
    Refuted {
        /// The line, from 1.
        line: usize,
        /// The service and its event.
        event: String,
        /// The rule.
        rule: Rule,
        /// What is wrong, with the identities.
        why: String,
    },
    /// It is not whole.
    #[error("incomplete: {0}")]
    Incomplete(String),
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    steps: u64,
    left_out: u64,
}

/// A line after the first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    End { end: End },
    Step(StepLine),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepLine {
    service: String,
    instance: u64,
    thread: u64,
    life: u64,
    number: u64,
    event: String,
    effects: Vec<String>,
    lost: String,
}

impl From<StepLine> for Step {
    fn from(line: StepLine) -> Self {
        let StepLine { service, instance, thread, life, number, event, effects, lost } = line;
        Self { service, instance, thread, life, number, event, effects, lost }
    }
}

fn unreadable(line: usize, field: &str, why: impl ToString) -> Problem {
    Problem::Unreadable { line, field: field.to_owned(), why: why.to_string() }
}

/// Reads a line; returns it with whether it ends with a line break, or `None` at the end.
fn next_line(file: &mut impl BufRead, number: usize) -> Result<Option<(String, bool)>, Problem> {
    let mut line = Vec::new();
    file.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let is_whole = line.pop_if(|byte| *byte == b'\n').is_some();
    let text = String::from_utf8(line).map_err(|error| unreadable(number, "text", error))?;
    Ok(Some((text, is_whole)))
}

fn head(file: &mut impl BufRead) -> Result<(), Problem> {
    let Some((text, is_whole)) = next_line(file, 1)? else {
        return Err(Problem::Incomplete("the file is empty".to_owned()));
    };
    let head: Head = match serde_json::from_str(&text) {
        Ok(head) => head,
        Err(_) if !is_whole && text.starts_with('{') => {
            return Err(Problem::Incomplete("the first line was cut short".to_owned()));
        }
        Err(error) => return Err(unreadable(1, "first line", error)),
    };
    if head.format != FORMAT {
        return Err(unreadable(1, "format", format!("{:?} is not {FORMAT:?}", head.format)));
    }
    if head.version != VERSION {
        let why = format!("{} is not the version that is read here, {VERSION}", head.version);
        return Err(unreadable(1, "version", why));
    }
    Ok(())
}

/// Judges a trace. Blocks for the file.
///
/// # Errors
/// If the trace is no pass: see [`Problem`]. Of several problems, one in reading comes first, then
/// what was left out, then the first step that is refuted.
pub fn judge(mut file: impl BufRead) -> Result<Summary, Problem> {
    head(&mut file)?;
    let (mut judge, mut refuted, mut steps) = (Judge::default(), None, 0);
    for number in 2.. {
        let Some((text, is_whole)) = next_line(&mut file, number)? else { break };
        let line = match serde_json::from_str(&text) {
            Ok(line) => line,
            Err(_) if !is_whole => break,
            Err(error) => return Err(unreadable(number, "line", error)),
        };
        let step = match line {
            Line::Step(step) => Step::from(step),
            Line::End { end } => {
                if next_line(&mut file, number + 1)?.is_some() {
                    return Err(unreadable(number + 1, "line", "something follows the end mark"));
                }
                return whole(&end, steps, refuted, &judge);
            }
        };
        steps += 1;
        if refuted.is_none() {
            match judge.step(&step) {
                Ok(()) => {}
                Err(Refusal::Unreadable { field, why }) => {
                    return Err(unreadable(number, field, why));
                }
                Err(Refusal::Refuted { rule, why }) => {
                    let event = format!("{}: {}", step.service, step.event);
                    refuted = Some(Problem::Refuted { line: number, event, rule, why });
                }
            }
        }
    }
    let cut = format!("it has {steps} steps and no end mark");
    Err(refuted.unwrap_or(Problem::Incomplete(cut)))
}

/// Judges what a trace with an end mark comes to.
fn whole(
    end: &End,
    steps: u64,
    refuted: Option<Problem>,
    judge: &Judge,
) -> Result<Summary, Problem> {
    if end.left_out > 0 {
        let why = format!("{} steps were left out when it was recorded", end.left_out);
        return Err(Problem::Incomplete(why));
    }
    if let Some(refuted) = refuted {
        return Err(refuted);
    }
    if end.steps != steps {
        let why = format!("it has {steps} steps, and {} were recorded", end.steps);
        return Err(Problem::Incomplete(why));
    }
    match judge.lacks() {
        Some(what) => Err(Problem::Incomplete(format!("it lacks {what}"))),
        None => Ok(judge.summary()),
    }
}
