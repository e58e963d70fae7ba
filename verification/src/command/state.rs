//! `--budget` and `--resume`: how long a run may take, and what it has done, in a file.
//!
//! **Contract.** The file has the verdict of each check that is done. It is bound to the checks
//! that were selected, to what is expected of them, and to the very program: a file of others is
//! refused, since a union of their verdicts would say nothing. It is written whole when a run ends,
//! beside the old one and then in its place, so an interrupted run leaves the old file or the new.
//!
//! **Bounds.** A file of more than [`MOST_BYTES`] is refused, and so is one with more than
//! [`MOST_NAMES`] names of bounds, as names are kept until the process ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use blocksmith_engines::verdict::{Outcome, Verdict, Violation};
use blocksmith_terminal::Failure;
use serde::{Deserialize, Serialize};

use crate::catalogue::Check;

const FORMAT: &str = "blocksmith-check";
const MOST_BYTES: u64 = 1 << 26;
const MOST_NAMES: usize = 256;

/// A length of time as the command line gives it: a number and `s`, `m` or `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget(pub(super) Duration);

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "a number from 1 with its unit, as in 90s, 10m or 1h".to_owned();
        let unit = match text.as_bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            _ => return Err(expected()),
        };
        // The last byte is an ASCII letter.
        let number: u64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
        let seconds = number.checked_mul(unit).filter(|seconds| (1..=1 << 32).contains(seconds));
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or_else(expected)
    }
}

/// A check that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    id: String,
    pub(super) seconds: f64,
    bounds: BTreeMap<String, String>,
    states: Option<u64>,
    executions: Option<u64>,
    outcome: Saved,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Saved {
    Verified,
    Violated { by: Broken, counterexample: String },
    Truncated { by: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Broken {
    Deadlock,
    DataRace,
    Leak,
    Panic(String),
    Property(String),
}

impl Done {
    pub(super) fn new(check: &Check, verdict: &Verdict, seconds: f64) -> Self {
        let outcome = match &verdict.outcome {
            Outcome::Verified => Saved::Verified,
            Outcome::Violated { violation, counterexample } => Saved::Violated {
                by: match violation {
                    Violation::Deadlock => Broken::Deadlock,
                    Violation::DataRace => Broken::DataRace,
                    Violation::Leak => Broken::Leak,
                    Violation::Panic(message) => Broken::Panic(message.clone()),
                    Violation::Property(name) => Broken::Property(name.clone()),
                },
                counterexample: counterexample.clone(),
            },
            Outcome::Truncated { by } => Saved::Truncated { by: by.clone() },
        };
        let bounds = verdict.bounds.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Self {
            id: check.id.clone(),
            seconds,
            bounds: bounds.collect(),
            states: verdict.states,
            executions: verdict.executions,
            outcome,
        }
    }

    /// Returns the verdict again, of the check of this id.
    fn verdict(self, check: &Check, names: &mut Names) -> anyhow::Result<Verdict> {
        let outcome = match self.outcome {
            Saved::Verified => Outcome::Verified,
            Saved::Violated { by, counterexample } => Outcome::Violated {
                violation: match by {
                    Broken::Deadlock => Violation::Deadlock,
                    Broken::DataRace => Violation::DataRace,
                    Broken::Leak => Violation::Leak,
                    Broken::Panic(message) => Violation::Panic(message),
                    Broken::Property(name) => Violation::Property(name),
                },
                counterexample,
            },
            Saved::Truncated { by } => Outcome::Truncated { by },
        };
        let bounds = self.bounds.into_iter().map(|(name, value)| Ok((names.keep(name)?, value)));
        Ok(Verdict {
            engine: check.engine,
            bounds: bounds.collect::<anyhow::Result<_>>()?,
            states: self.states,
            executions: self.executions,
            outcome,
        })
    }
}

/// Names of bounds, which a verdict has for as long as the process lives.
#[derive(Default)]
struct Names(BTreeSet<&'static str>);

impl Names {
    fn keep(&mut self, name: String) -> anyhow::Result<&'static str> {
        if let Some(known) = self.0.get(name.as_str()) {
            return Ok(*known);
        }
        if self.0.len() >= MOST_NAMES {
            bail!("bounds: {name:?}: more than {MOST_NAMES} names");
        }
        let kept: &'static str = Box::leak(name.into_boxed_str());
        self.0.insert(kept);
        Ok(kept)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: String,
    version: String,
    /// Digests of the program and of the checks.
    program: String,
    checks: String,
    done: Vec<Done>,
}

/// The file of a run that may be gone on with.
pub(super) struct State {
    path: PathBuf,
    program: String,
    checks: String,
    /// Those that are done, in the order in which they were.
    done: Vec<Done>,
}

/// FNV-1a of 64 bits: it tells files apart that nobody has made to be alike.
struct Digest(u64);

impl Digest {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}

/// Returns the digest of this program's file.
fn program() -> anyhow::Result<String> {
    let mut file = File::open(std::env::current_exe()?)?;
    let (mut digest, mut buffer) = (Digest::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.text()),
            read => digest.add(&buffer[..read]),
        }
    }
}

/// Returns the digest of the checks that are selected, with what is expected of them.
fn digest(checks: &[Check]) -> String {
    let mut digest = Digest::new();
    for check in checks {
        digest.add(format!("{} {} {:?}\n", check.id, check.expected, check.states).as_bytes());
    }
    digest.text()
}

/// A verdict of an earlier run, by the check's place in the selection.
pub(super) type Earlier = (usize, Verdict, f64);

impl State {
    /// Opens the file, or prepares one where there is none, and returns the verdicts that it has.
    ///
    /// # Errors
    /// If the file cannot be read, or is that of another program or of other checks.
    pub(super) fn open(path: &Path, checks: &[Check]) -> Result<(Self, Vec<Earlier>), Failure> {
        let name = || format!("--resume {}", path.display());
        let program = program().context("the program's own file").map_err(Failure::fault)?;
        let checks_digest = digest(checks);
        let state =
            Self { path: path.to_owned(), program, checks: checks_digest, done: Vec::new() };
        if !path.exists() {
            // Whether the file can be written is found out before the work.
            state.write().with_context(name).map_err(Failure::input)?;
            return Ok((state, Vec::new()));
        }
        state.read(checks).with_context(name).map_err(Failure::input)
    }

    fn read(mut self, checks: &[Check]) -> anyhow::Result<(Self, Vec<Earlier>)> {
        let mut text = String::new();
        let file = File::open(&self.path)?;
        if file.take(MOST_BYTES + 1).read_to_string(&mut text)? as u64 > MOST_BYTES {
            bail!("it has more than {MOST_BYTES} bytes");
        }
        let text: Text = serde_json::from_str(&text)?;
        let own = [
            ("format", &text.format, FORMAT),
            ("version", &text.version, env!("CARGO_PKG_VERSION")),
            ("program", &text.program, self.program.as_str()),
            ("checks", &text.checks, self.checks.as_str()),
        ];
        for (field, found, expected) in own {
            if found != expected {
                bail!("{field}: it is of {found:?}, and this run is of {expected:?}");
            }
        }
        let places: BTreeMap<_, _> =
            checks.iter().enumerate().map(|(place, check)| (check.id.as_str(), place)).collect();
        let (mut earlier, mut names, mut seen) = (Vec::new(), Names::default(), BTreeSet::new());
        for done in text.done {
            let place = places.get(done.id.as_str()).copied();
            let place = place.ok_or_else(|| anyhow!("done: id: {:?}: no such check", done.id))?;
            if !seen.insert(place) {
                bail!("done: id: {:?} is there twice", done.id);
            }
            if !done.seconds.is_finite() || done.seconds < 0.0 {
                bail!("done: {}: seconds: {} is no length of time", done.id, done.seconds);
            }
            let seconds = done.seconds;
            self.done.push(done.clone());
            earlier.push((place, done.verdict(&checks[place], &mut names)?, seconds));
        }
        Ok((self, earlier))
    }

    /// Notes a check that is done. One that was truncated is not: it is run again.
    pub(super) fn add(&mut self, check: &Check, verdict: &Verdict, seconds: f64) {
        if !matches!(verdict.outcome, Outcome::Truncated { .. }) {
            self.done.push(Done::new(check, verdict, seconds));
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If the disk is full, say; the old file stays then.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let name = format!("--resume {}", self.path.display());
        self.write().context(name).map_err(Failure::fault)
    }

    fn write(&self) -> anyhow::Result<()> {
        let text = serde_json::to_string(&Text {
            format: FORMAT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: self.program.clone(),
            checks: self.checks.clone(),
            done: self.done.clone(),
        })?;
        let mut beside = self.path.clone().into_os_string();
        beside.push(format!(".{}", std::process::id()));
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &self.path));
        if written.is_err() {
            // Whatever is there of it is of no use.
            let _ = fs::remove_file(&beside);
        }
        Ok(written?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::catalogue;

    #[test]
    fn a_budget_is_a_number_with_a_unit() {
        // Reads lengths of time, and texts that are none.
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h", 3600)] {
            assert_eq!(text.parse(), Ok(Budget(Duration::from_secs(seconds))));
        }
        for text in ["", "s", "0s", "10", "-1s", "1.5h", "10 m", "ten m", "99999999999h", "1ü"] {
            assert!(text.parse::<Budget>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_verdict_is_read_again_as_it_was() {
        // Saves and restores one verdict of each kind.
        let check = &catalogue()[0];
        let violated = |violation| Outcome::Violated { violation, counterexample: "x".to_owned() };
        for outcome in [
            Outcome::Verified,
            Outcome::Truncated { by: "time".to_owned() },
            violated(Violation::Deadlock),
            violated(Violation::DataRace),
            violated(Violation::Leak),
            violated(Violation::Panic("a message".to_owned())),
            violated(Violation::Property("a name".to_owned())),
        ] {
            let bounds = BTreeMap::from([("threads", "3".to_owned())]);
            let (states, executions) = (Some(7), None);
            let verdict = Verdict { engine: check.engine, bounds, states, executions, outcome };
            let text = serde_json::to_string(&Done::new(check, &verdict, 1.5)).unwrap();
            let done: Done = serde_json::from_str(&text).unwrap();
            assert_eq!(done.verdict(check, &mut Names::default()).unwrap(), verdict);
        }
    }

    #[test]
    fn a_file_of_other_checks_is_refused() {
        // The same checks but one, and the same with another expectation.
        let mut checks = catalogue();
        let digest_of_all = digest(&checks);
        checks[0].states = Some(1);
        assert_ne!(digest(&checks), digest_of_all);
        checks[0].states = None;
        assert_eq!(digest(&checks), digest_of_all);
        checks.pop();
        assert_ne!(digest(&checks), digest_of_all);
    }
}
