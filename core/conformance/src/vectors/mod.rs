//! Runs a folder of cases in the layout of the official consensus specification tests.
//!
//! **Contract.** [`run`] walks `<root>/<preset>/<fork>/<runner>/<handler>/<suite>/<case>`, executes
//! every case that the filter lets through on two threads, and returns one [`CaseReport`] for each,
//! in the order of their paths. Nothing in a case can stop the run: a file that does not decode, a
//! step that is wrongly refused, or even a panic fails that case and no other.
//!
//! | runner | what is executed |
//! |---|---|
//! | `operations`, `epoch_processing` | one function of the state transition |
//! | `sanity`, `finality`, `random` | empty slots, or whole blocks with signatures and roots |
//! | `rewards` | the five components of the attestation deltas |
//! | `shuffling` | `compute_shuffled_index`, and the shuffle of a whole list |
//! | `ssz_static` | decode, encode again, root |
//! | `genesis` | `initialize_beacon_state_from_eth1`, `is_valid_genesis_state` |
//! | `bls` | sign, verify, aggregate and the two aggregate verifications |
//! | `fork_choice` | blocks, attestations and slashings through the transition and the fork choice |
//! | `networking` | messages of the gossip topics through the Quarantine |
//!
//! Of Gloas, what concerns the payload-timeliness committee is executed: see `gloas/mod.rs`.
//!
//! A case without `post` must be rejected. With `bls_setting: 2` in `meta.yaml` signatures are
//! taken as valid; `config.yaml` replaces values of the preset's configuration.
//!
//! **Skipped** is reported with a reason, and only for cases of another fork, cases of an unknown
//! preset, runner or handler, cases that need a whole state of Gloas, and fork-choice cases whose
//! answer has changed since v1.1.10 or that have a check that is not known (see `fork_choice.rs`).
//!
//! **Bounds.** Files are read up to a stated size; a snappy block's claimed length is compared with
//! what its input can expand to before anything is allocated.

mod bls;
mod error;
mod files;
mod fork_choice;
mod fork_choice_steps;
mod fork_choice_v1_1_10;
mod genesis;
mod gloas;
mod layout;
mod networking;
mod seeds;
mod ssz_static;
mod transition;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use blocksmith_consensus::{BeaconState, ChainConfig, Preset};
use blocksmith_node::recording::PresetName;
use serde::Serialize;

pub use error::VectorsError;
pub use files::decompress;
pub use seeds::{Seeds, seeds};

use error::{NotPassed, Outcome};
use files::Files;
use layout::{Case, Entry};

use crate::protocol::State;
use crate::types;

/// Threads that execute cases.
const THREADS: usize = 2;

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CaseResult {
    /// Everything that the case states holds.
    Passed,
    /// Something does not hold.
    Failed,
    /// Not executed, or not comparable; the report gives the reason.
    Skipped,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseReport {
    /// Path below the root folder, with `/` between its parts.
    pub path: String,
    /// How it ended.
    pub result: CaseResult,
    /// Why it failed or was skipped; empty if it passed.
    pub why: String,
}

/// All cases of a run, in the order of their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Number of cases that passed.
    pub passed: usize,
    /// Number of cases that failed.
    pub failed: usize,
    /// Number of cases that were skipped.
    pub skipped: usize,
    /// The cases.
    pub cases: Vec<CaseReport>,
}

impl Report {
    fn new(cases: Vec<CaseReport>) -> Self {
        let count = |result| cases.iter().filter(|case| case.result == result).count();
        Self {
            passed: count(CaseResult::Passed),
            failed: count(CaseResult::Failed),
            skipped: count(CaseResult::Skipped),
            cases,
        }
    }

    /// Returns the report as one line of JSON:
    /// `{"passed":n,"failed":n,"skipped":n,"cases":[{"path":"..","result":"passed","why":".."}]}`.
    ///
    /// # Panics
    /// Never: the report consists of numbers and strings.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings have a JSON form")
    }
}

/// Runs every case below `root` whose path passes `filter`. `progress` is called once per case,
/// from either thread, with its report, the number of cases done and the number to do.
///
/// # Errors
/// If `root` cannot be read or is not in the official layout, or if no case passes the filter. A
/// case that fails is not an error but an entry in the report.
///
/// # Examples
/// ```
/// use blocksmith_conformance::vectors::{VectorsError, run};
///
/// let empty = tempfile::tempdir().unwrap();
/// let outcome = run(empty.path(), &|_| true, &|_, _, _| ());
/// assert!(matches!(outcome, Err(VectorsError::NotInLayout(_))));
/// ```
pub fn run(
    root: &Path,
    filter: &dyn Fn(&str) -> bool,
    progress: &(dyn Fn(&CaseReport, usize, usize) + Sync),
) -> Result<Report, VectorsError> {
    run_with(root, &Configs::default(), filter, progress)
}

/// The configuration of each preset, before a case's own is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configs {
    /// For cases of the minimal preset.
    pub minimal: ChainConfig,
    /// For cases of the mainnet preset.
    pub mainnet: ChainConfig,
}

impl Default for Configs {
    fn default() -> Self {
        Self { minimal: ChainConfig::minimal(), mainnet: ChainConfig::mainnet() }
    }
}

/// Like [`run`], with configurations other than the presets' own.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    root: &Path,
    configs: &Configs,
    filter: &dyn Fn(&str) -> bool,
    progress: &(dyn Fn(&CaseReport, usize, usize) + Sync),
) -> Result<Report, VectorsError> {
    let mut entries = layout::walk(root)?;
    entries.retain(|entry| filter(entry.path()));
    if entries.is_empty() {
        return Err(VectorsError::NothingLeft(root.to_owned()));
    }
    // ORDERING: Relaxed: the counters hand out numbers and publish nothing; joining publishes the
    // reports.
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut reports = Vec::new();
        while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
            let report = report(entry, configs);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            progress(&report, done, entries.len());
            reports.push(report);
        }
        reports
    };
    let mut reports: Vec<CaseReport> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|reports| reports.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    reports.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Report::new(reports))
}

/// Executes one entry; a panic makes it fail.
fn report(entry: &Entry, configs: &Configs) -> CaseReport {
    let outcome = match entry {
        Entry::Case(case) => catch_unwind(AssertUnwindSafe(|| execute(case, configs)))
            .unwrap_or_else(|panic| Err(NotPassed::Failed(panic_message(&*panic)))),
        Entry::Foreign { why, .. } => Err(NotPassed::Skipped(why.clone())),
    };
    let (result, why) = match outcome {
        Ok(()) => (CaseResult::Passed, String::new()),
        Err(NotPassed::Failed(why)) => (CaseResult::Failed, why),
        Err(NotPassed::Skipped(why)) => (CaseResult::Skipped, why),
    };
    CaseReport { path: entry.path().to_owned(), result, why }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}

fn execute(case: &Case, configs: &Configs) -> Outcome {
    match case.preset.as_str() {
        "minimal" => {
            execute_with(case, PresetName::Minimal, configs.minimal.clone(), State::Minimal)
        }
        "mainnet" => {
            execute_with(case, PresetName::Mainnet, configs.mainnet.clone(), State::Mainnet)
        }
        _ if case.is_of_gloas() => Err(case.unknown("runner")),
        _ => bls::run(case),
    }
}

fn execute_with<P: Preset>(
    case: &Case,
    preset: PresetName,
    mut config: ChainConfig,
    of_preset: fn(BeaconState<P>) -> State,
) -> Outcome {
    let files = Files::new(&case.directory);
    files.override_config(&mut config)?;
    if case.is_of_gloas() {
        return gloas::run::<P>(case, &files, &config);
    }
    match case.runner.as_str() {
        "operations" => transition::operation::<P>(case, &files, &config),
        "epoch_processing" => transition::epoch_processing::<P>(case, &files, &config),
        "sanity" if case.handler == "slots" => transition::slots::<P>(&files, &config),
        "sanity" | "finality" | "random" => transition::blocks::<P>(case, &files, &config),
        "rewards" => transition::rewards::<P>(case, &files),
        "shuffling" => genesis::shuffling::<P>(case, &files),
        "genesis" => genesis::genesis::<P>(case, &files, &config),
        "ssz_static" => ssz_static::run(case, &files, types::decoder(preset, &case.handler)),
        "fork_choice" => fork_choice::run::<P>(case, &files, &config),
        "networking" => networking::run(case, &files, &config, of_preset),
        "bls" => bls::run(case),
        _ => Err(case.unknown("runner")),
    }
}

#[cfg(test)]
mod fork_choice_tests;
#[cfg(test)]
mod tests;
