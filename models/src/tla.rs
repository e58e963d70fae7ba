//! The gate for the TLA+ specifications: it runs an explicit-state checker over each configuration.
//!
//! **Contract.** [`CONFIGURATIONS`] lists each specification with each of its configurations, the
//! verdict that the checker must give, and the exact number of distinct states. A must-fail
//! configuration switches on a fault of the specification. If the checker finds no violation in
//! it, or another one than the one named, the gate fails. The checker's own limits lie far above
//! what the specifications need. A run that reaches a limit is `Truncated`, never a pass.

mod list;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tla_checker::checker::{CheckResult, CheckStats, check, format_trace_with_actions};
use tla_checker::load::prepare_from_path;

use crate::hazard::Hazard;
pub use list::CONFIGURATIONS;

use blocksmith_engines::counterexample::{self, Counterexample};
use blocksmith_engines::verdict::{Engine, Expected, Outcome, Verdict, Violation};
use written::Writer;

/// The checker gives up after this many distinct states.
const MAX_STATES: usize = 2_000_000;
/// The checker gives up when a behaviour has this many states.
const MAX_DEPTH: usize = 1_000;

/// One specification under one configuration, with the expected verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The protocol that the specification describes.
    pub protocol: &'static str,
    /// Name of the module, without `.tla`.
    pub spec: &'static str,
    /// Name of the configuration, without `.cfg`.
    pub cfg: &'static str,
    /// The expected verdict.
    pub expected: Expected,
    /// The exact number of distinct states that the checker must visit, up to the violation if
    /// there is one.
    pub states: u64,
    /// What is claimed, or which fault the checker must find.
    pub claim: &'static str,
    /// The hazard that the fault is an instance of.
    pub hazard: Option<&'static Hazard>,
}

/// The reason why a specification could not be judged. It is a fault of ours, and no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// The files cannot be read or parsed, or the configuration does not fit the specification.
    #[error("{path}: {reason}")]
    Load {
        /// The specification.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An expression cannot be evaluated.
    #[error("{path}: {reason}")]
    Evaluation {
        /// The specification.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The checker's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The outcome. If a limit on states, depth or time stopped the checker, it is `Truncated`.
    pub outcome: Outcome,
    /// Number of distinct states visited.
    pub states: usize,
    /// Length of the longest behaviour that the checker followed.
    pub depth: usize,
    /// The behaviour that is violated, if one is.
    pub found: Option<Counterexample>,
}

/// Returns the folder that holds the specifications.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tla")
}

/// Runs the checker over a specification and a configuration. Blocks until the checker ends.
///
/// # Errors
/// If the files cannot be read or parsed, if the configuration does not fit, or if an expression
/// cannot be evaluated.
pub fn run(spec: &Path, cfg: &Path) -> Result<Report, SpecError> {
    let path = spec.to_path_buf();
    let mut prepared = prepare_from_path(spec, Some(cfg), &[])
        .map_err(|error| SpecError::Load { path: path.clone(), reason: error.to_string() })?;
    if let Some(warning) = prepared.warnings.first() {
        return Err(SpecError::Load { path, reason: warning.value.clone() });
    }
    let config = &mut prepared.checker_config;
    (config.max_states, config.max_depth) = (MAX_STATES, MAX_DEPTH);
    let result = check(&prepared.spec, &prepared.domains, &prepared.checker_config);
    let variables = &prepared.spec.vars;
    let name = spec.file_stem().unwrap_or_default().to_string_lossy();
    let writer = Writer { spec: &name, variables };
    let report = |outcome: Outcome, stats: &CheckStats| Report {
        outcome,
        states: stats.states_explored,
        depth: stats.max_depth_reached,
        found: None,
    };
    let violated =
        |violation: Violation, trace: String, found: Counterexample, stats: &CheckStats| {
            let counterexample = format!("violates {violation}\n{trace}");
            let outcome = Outcome::Violated { violation, counterexample };
            Ok(Report { found: Some(found), ..report(outcome, stats) })
        };
    let evaluation = |reason: String| Err(SpecError::Evaluation { path: path.clone(), reason });
    match result {
        CheckResult::Ok(stats) => Ok(report(Outcome::Verified, &stats)),
        CheckResult::Deadlock(trace, actions, stats) => {
            let violation = Violation::Deadlock;
            let found = writer.finite(&trace, &actions, &violation);
            let trace = format_trace_with_actions(&trace, &actions, variables);
            violated(violation, trace, found, &stats)
        }
        CheckResult::InvariantViolation(found, stats) => {
            let trace = format_trace_with_actions(&found.trace, &found.actions, variables);
            let name =
                prepared.spec.invariant_names.get(found.violated_invariant).cloned().flatten();
            let name = name.map_or_else(|| found.violated_invariant.to_string(), |n| n.to_string());
            let violation = Violation::Property(name);
            let found = writer.finite(&found.trace, &found.actions, &violation);
            violated(violation, trace, found, &stats)
        }
        CheckResult::LivenessViolation(lasso, stats) => {
            let violation = Violation::Property(lasso.property.clone());
            let found = writer.lasso(&lasso, &violation);
            let trace = counterexample::table(&found);
            violated(violation, trace, found, &stats)
        }
        CheckResult::MaxStatesExceeded(stats)
        | CheckResult::MaxDepthExceeded(stats)
        | CheckResult::MaxTimeExceeded(stats) => {
            let by = format!("{} states, depth {}", stats.states_explored, stats.max_depth_reached);
            Ok(report(Outcome::Truncated { by }, &stats))
        }
        other => evaluation(format!("{other:?}")),
    }
}

/// Runs one configuration of [`folder`] and returns the verdict. If the specification cannot be
/// judged, nothing is shown either way, so the verdict is `Truncated` with the reason. A
/// counterexample is also kept as data ([`counterexample::take`]).
#[must_use]
pub fn check_spec(spec: &str, cfg: &str) -> Verdict {
    let folder = folder();
    let result =
        run(&folder.join(spec).with_extension("tla"), &folder.join(cfg).with_extension("cfg"));
    let mut bounds = BTreeMap::from([
        ("configuration", cfg.to_owned()),
        ("max_depth", MAX_DEPTH.to_string()),
        ("max_states", MAX_STATES.to_string()),
    ]);
    let (states, outcome) = match result {
        Err(error) => (None, Outcome::Truncated { by: error.to_string() }),
        Ok(report) => {
            bounds.insert("depth", report.depth.to_string());
            counterexample::found(Engine::Tla, report.found);
            (Some(report.states as u64), report.outcome)
        }
    };
    Verdict { engine: Engine::Tla, bounds, states, executions: None, outcome }
}
