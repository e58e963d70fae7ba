//! The type of a check, and every check of this crate as data.
//!
//! **Contract.** A [`Check`] states a claim, the engine that judges it, and the expected verdict.
//! [`checks`] lists the scenarios of the services, of their life cycle and of the ring, each also for
//! its end, and the rules of the machines, with their twins, and the configurations of the TLA+
//! specifications. A
//! must-fail twin is the same check over a variant that carries a fault; its expected verdict is
//! `violated`. A run that verifies a twin shows a defect of the suite. No check may end
//! `truncated`. The command, the tests and the reports read this list. A run of a check produces
//! the figures, so none is typed into a report.
//!
//! [`explore`] serves stateright's Explorer for one model. [`explorable`] lists the models' names.

use std::fmt;
use std::net::{SocketAddr, TcpListener};

use stateright::Model;
use thiserror::Error;

use crate::composition::{self, Pipeline, SCENARIOS, Scenario, TWINS, Twin};
use crate::hazard::Hazard;
use crate::lifecycle::{self, Lifecycle};
use crate::ring::{self, Ring};
use crate::rules;
use crate::tla::{self, CONFIGURATIONS};
use blocksmith_engines::verdict::{Engine, Verdict};

pub use blocksmith_engines::verdict::{Breaks, Expected};

/// One scenario, twin, model or specification under one engine. [`Check::run`] runs the check.
pub struct Check {
    /// Protocol, name and engine, separated by dots. No other check has the same id.
    pub id: String,
    /// What is claimed of the code, or which fault the engine must find.
    pub claim: &'static str,
    /// The protocol: `notifier`, `mailbox`, `oneshot`, `lifecycle`, `quarantine`, `services`, ..;
    /// or `engine`, for a check that tests the engines themselves.
    pub protocol: &'static str,
    /// The hazard that the check is about, if there is one.
    pub hazard: Option<&'static Hazard>,
    /// The engine that judges the claim.
    pub engine: Engine,
    /// The expected verdict.
    pub expected: Expected,
    /// The number of distinct states that the engine must visit, where the check pins it.
    pub states: Option<u64>,
    /// Runs the check. Blocks until the engine has its verdict.
    pub run: Box<dyn Fn() -> Verdict + Send + Sync>,
}

impl Check {
    /// Returns whether a verdict is the expected one. Its word must be the expected one. For a
    /// must-fail twin, so must be the property that broke. Where the check pins the number of
    /// states, so must be that number.
    #[must_use]
    pub fn is_as_expected(&self, verdict: &Verdict) -> bool {
        self.difference(verdict).is_none()
    }

    /// Returns how a verdict differs from the expected one, or `None` if it is the expected one.
    #[must_use]
    pub fn difference(&self, verdict: &Verdict) -> Option<String> {
        let expected = self.expected;
        match (expected, verdict.violation()) {
            _ if verdict.word() != expected.word() => {
                Some(format!("{}, expected {expected}", verdict.word()))
            }
            (Expected::Violated(breaks), Some(found)) if !breaks.iter().any(|b| b.is(found)) => {
                Some(format!("violated by {found}, expected {expected}"))
            }
            _ if self.states.is_some() && self.states != verdict.states => Some(format!(
                "{} states, expected {}",
                verdict.states.unwrap_or(0),
                self.states.unwrap_or(0)
            )),
            _ => None,
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("id", &self.id).field("expected", &self.expected).finish()
    }
}

/// Returns every check of this crate.
#[must_use]
pub fn checks() -> Vec<Check> {
    let scenarios = SCENARIOS.iter().map(|make| {
        let scenario = make();
        Check {
            id: format!("{}.stateright", scenario_name(&scenario)),
            claim: scenario.claim,
            protocol: "services",
            hazard: None,
            engine: Engine::Stateright,
            expected: Expected::Verified,
            states: Some(scenario.states),
            run: Box::new(|| composition::check(make(), None)),
        }
    });
    let twins = TWINS.iter().map(|twin| Check {
        id: format!("{}.stateright", twin_name(twin)),
        claim: twin.claim,
        protocol: "services",
        hazard: Some(twin.hazard),
        engine: Engine::Stateright,
        expected: Expected::Violated(twin.violates),
        states: None,
        run: Box::new(|| composition::check(twin.scenario(), Some(twin.fault))),
    });
    let specifications = CONFIGURATIONS.iter().map(|configuration| Check {
        id: format!("{}.{}.tla", configuration.protocol, configuration.cfg),
        claim: configuration.claim,
        protocol: configuration.protocol,
        hazard: configuration.hazard,
        engine: Engine::Tla,
        expected: configuration.expected,
        states: Some(configuration.states),
        run: Box::new(|| tla::check_spec(configuration.spec, configuration.cfg)),
    });
    scenarios
        .chain(twins)
        .chain(lifecycle_checks())
        .chain(ring_checks())
        .chain(ends())
        .chain(rules::checks())
        .chain(specifications)
        .collect()
}

fn lifecycle_checks() -> impl Iterator<Item = Check> {
    let scenarios = lifecycle::SCENARIOS.iter().map(|scenario| Check {
        id: format!("lifecycle.{}.stateright", scenario.name),
        claim: scenario.claim,
        protocol: "lifecycle",
        hazard: None,
        engine: Engine::Stateright,
        expected: Expected::Verified,
        states: Some(scenario.states),
        run: Box::new(|| lifecycle::check(scenario, None)),
    });
    let twins = lifecycle::TWINS.iter().map(|twin| {
        let scenario = &lifecycle::SCENARIOS[twin.scenario];
        Check {
            id: format!("{}.stateright", lifecycle_twin_name(twin)),
            claim: twin.claim,
            protocol: "lifecycle",
            hazard: Some(twin.hazard),
            engine: Engine::Stateright,
            expected: Expected::Violated(twin.violates),
            states: None,
            run: Box::new(|| lifecycle::check(scenario, Some(twin.fault))),
        }
    });
    scenarios.chain(twins)
}

fn ring_checks() -> impl Iterator<Item = Check> {
    let check = |name, claim, hazard, expected, scenario: &'static ring::Scenario, fault| Check {
        id: format!("ring.{name}.stateright"),
        claim,
        protocol: "ring",
        hazard,
        engine: Engine::Stateright,
        expected,
        states: Some(scenario.states).filter(|_| expected == Expected::Verified),
        run: Box::new(move || ring::check(scenario, fault)),
    };
    let scenarios = ring::SCENARIOS
        .iter()
        .map(move |one| check(one.name, one.claim, None, Expected::Verified, one, None));
    let twins = ring::TWINS.iter().map(move |twin| {
        let scenario = &ring::SCENARIOS[twin.scenario];
        let (hazard, fault) = (Some(twin.hazard), Some(twin.fault));
        check(twin.name, twin.claim, hazard, Expected::Violated(twin.violates), scenario, fault)
    });
    scenarios.chain(twins)
}

/// Returns the checks that every run ends, for each scenario whose states can be kept.
fn ends() -> impl Iterator<Item = Check> {
    type Run = Box<dyn Fn() -> Verdict + Send + Sync>;
    let holds = |protocol, name: &str, states, run: Run| Check {
        id: format!("{protocol}.{name}_ends.stateright"),
        claim: "every run ends, if each service goes on while it can: nothing is under way for ever",
        protocol,
        hazard: None,
        engine: Engine::Stateright,
        expected: Expected::Verified,
        states: Some(states),
        run,
    };
    let twin = |protocol, name: &str, claim, hazard, violates, run: Run| Check {
        claim,
        hazard: Some(hazard),
        expected: Expected::Violated(violates),
        states: None,
        ..holds(protocol, name, 0, run)
    };
    let kept = SCENARIOS.iter().filter(|make| make().states < composition::MAX_KEPT);
    let services = kept.map(move |make| {
        let run = Box::new(|| composition::check_end(make(), None));
        holds("services", make().name, make().states, run)
    });
    let lives = lifecycle::SCENARIOS.iter().map(move |one| {
        holds("lifecycle", one.name, one.states, Box::new(|| lifecycle::check_end(one, None)))
    });
    let rings = ring::SCENARIOS.iter().map(move |one| {
        holds("ring", one.name, one.states, Box::new(|| ring::check_end(one, None)))
    });
    let of_services = {
        let Twin { claim, hazard, violates, .. } = composition::ENDLESS;
        let (scenario, fault) = (composition::ENDLESS.scenario(), composition::ENDLESS.fault);
        let run = Box::new(move || composition::check_end(scenario.clone(), Some(fault)));
        twin("services", "looks_again", claim, hazard, violates, run)
    };
    let of_lives = {
        let lifecycle::Twin { fault, claim, hazard, scenario, violates } = lifecycle::UNANSWERED;
        let scenario = &lifecycle::SCENARIOS[scenario];
        let run = Box::new(move || lifecycle::check_end(scenario, Some(fault)));
        twin("lifecycle", "mailbox_made_by_the_thread", claim, hazard, violates, run)
    };
    let of_rings = {
        let ring::Twin { fault, claim, hazard, scenario, violates, .. } = ring::UNANSWERED;
        let scenario = &ring::SCENARIOS[scenario];
        let run = Box::new(move || ring::check_end(scenario, Some(fault)));
        twin("ring", "no_slot_reserved", claim, hazard, violates, run)
    };
    services.chain(lives).chain(rings).chain([of_services, of_lives, of_rings])
}

fn lifecycle_twin_name(twin: &lifecycle::Twin) -> String {
    let scenario = lifecycle::SCENARIOS[twin.scenario].name;
    format!("lifecycle.{scenario}_{}", twin.hazard.id.to_lowercase())
}

fn scenario_name(scenario: &Scenario) -> String {
    format!("services.{}", scenario.name)
}

fn twin_name(twin: &Twin) -> String {
    format!("services.{}_{}", twin.scenario, twin.hazard.id.to_lowercase())
}

/// The reason why the Explorer cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExploreError {
    /// No model has that name.
    #[error("no model is named {name:?}; there are {}", known.join(", "))]
    UnknownName {
        /// The name that was asked for.
        name: String,
        /// The names of all models.
        known: Vec<String>,
    },
    /// The address is not a loopback address with a port. The Explorer has no access control, so it
    /// is served on the loopback interface only.
    #[error("{0} is not a loopback address with a port")]
    NotLoopback(SocketAddr),
    /// The address cannot be bound.
    #[error("{address}: {reason}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's message.
        reason: String,
    },
}

/// A model that the Explorer can show.
enum Explorable {
    Services(Pipeline),
    Lifecycle(Lifecycle),
    Ring(Ring),
    Rule(Box<dyn rules::Instance>),
}

/// Returns the models that the Explorer can show, by name: scenarios, their twins, rules and
/// theirs.
fn models() -> Vec<(String, Explorable)> {
    let services = |scenario, fault| Explorable::Services(Pipeline::new(scenario, fault));
    let pipelines = SCENARIOS.iter().map(|make| (scenario_name(&make()), services(make(), None)));
    let faulty =
        TWINS.iter().map(|twin| (twin_name(twin), services(twin.scenario(), Some(twin.fault))));
    let lives = lifecycle::SCENARIOS.iter().map(|scenario| {
        let model = Lifecycle::new(scenario.clone(), None);
        (format!("lifecycle.{}", scenario.name), Explorable::Lifecycle(model))
    });
    let faulty_lives = lifecycle::TWINS.iter().map(|twin| {
        let scenario = lifecycle::SCENARIOS[twin.scenario].clone();
        (
            lifecycle_twin_name(twin),
            Explorable::Lifecycle(Lifecycle::new(scenario, Some(twin.fault))),
        )
    });
    let rings = ring::SCENARIOS.iter().map(|scenario| {
        let model = Ring::new(scenario.clone(), None);
        (format!("ring.{}", scenario.name), Explorable::Ring(model))
    });
    let faulty_rings = ring::TWINS.iter().map(|twin| {
        let scenario = ring::SCENARIOS[twin.scenario].clone();
        (format!("ring.{}", twin.name), Explorable::Ring(Ring::new(scenario, Some(twin.fault))))
    });
    let real = pipelines.chain(lives).chain(rings);
    let of_rules = rules::models().map(|(name, model)| (name, Explorable::Rule(model)));
    real.chain(faulty).chain(faulty_lives).chain(faulty_rings).chain(of_rules).collect()
}

/// Returns the names of the models that [`explore`] can show: scenarios, their twins, rules and
/// theirs.
#[must_use]
pub fn explorable() -> Vec<String> {
    models().into_iter().map(|(name, _)| name).collect()
}

/// Returns the model of that name. If the name is that of a protocol, returns its first model.
fn model(name: &str) -> Option<Explorable> {
    let is_meant =
        |known: &str| known == name || known.split_once('.').is_some_and(|(p, _)| p == name);
    models().into_iter().find(|(known, _)| is_meant(known)).map(|(_, model)| model)
}

/// Checks that [`explore`] could serve a model at an address. It serves nothing itself.
///
/// # Errors
/// As those of [`explore`].
pub fn check_explorable(name: &str, address: SocketAddr) -> Result<(), ExploreError> {
    if model(name).is_none() {
        return Err(ExploreError::UnknownName { name: name.to_owned(), known: explorable() });
    }
    if !address.ip().is_loopback() || address.port() == 0 {
        return Err(ExploreError::NotLoopback(address));
    }
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => Err(ExploreError::Bind { address, reason: error.to_string() }),
    }
}

/// Serves stateright's Explorer for the model of that name at `http://address/`. Blocks until the
/// process ends, because the server runs as long as the process.
///
/// # Errors
/// If no model has that name, if the address is not a loopback address with a port, or if the
/// system does not let it be bound.
pub fn explore(name: &str, address: SocketAddr) -> Result<(), ExploreError> {
    check_explorable(name, address)?;
    match model(name) {
        Some(Explorable::Services(model)) => drop(model.checker().serve(address)),
        Some(Explorable::Lifecycle(model)) => drop(model.checker().serve(address)),
        Some(Explorable::Ring(model)) => drop(model.checker().serve(address)),
        Some(Explorable::Rule(model)) => model.serve(address),
        None => {}
    }
    Ok(())
}
