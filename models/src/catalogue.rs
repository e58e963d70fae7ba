//! Every check of this crate as data: what is claimed, by which engine, and what must come of it.
//!
//! **Contract.** [`entries`] lists the scenarios of the composition, its twins, and the
//! configurations of the TLA+ specifications. An entry whose `expected` is `violated` is a must-fail
//! twin: a run that verifies it is a defect of the suite. The command, the tests and the reports read
//! this list; figures are produced by running an entry, never typed.
//!
//! [`explore`] serves stateright's Explorer for one of [`explorable`].

use std::net::{SocketAddr, TcpListener};

use stateright::Model;
use thiserror::Error;

use crate::composition::{self, Pipeline, SCENARIOS, TWINS};
use crate::tla::{self, Answer, CONFIGURATIONS};
use crate::verdict::{Engine, Verdict};

/// One check.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Unique; letters, digits, `-`, `_` and `/`.
    pub id: String,
    /// What is claimed of the code, or which fault must be found.
    pub claim: &'static str,
    /// The protocol that is checked: `services`, or the name of a specification.
    pub protocol: &'static str,
    /// The hazard that a twin is an instance of.
    pub hazard: Option<&'static str>,
    /// Who looks.
    pub engine: Engine,
    /// `verified` or `violated`.
    pub expected: &'static str,
    /// Runs the check; blocks until done.
    pub run: fn() -> Verdict,
}

/// A function for each index of a list: entries are plain function pointers.
macro_rules! for_each_index {
    ($run:ident: $($index:literal)*) => { [$($run::<$index>),*] };
}

fn run_scenario<const I: usize>() -> Verdict {
    composition::check(SCENARIOS[I](), None)
}

fn run_twin<const I: usize>() -> Verdict {
    let twin = &TWINS[I];
    composition::check(twin.scenario(), Some(twin.fault))
}

fn run_specification<const I: usize>() -> Verdict {
    let configuration = &CONFIGURATIONS[I];
    tla::check_spec(configuration.spec, configuration.cfg)
}

const RUN_SCENARIO: [fn() -> Verdict; SCENARIOS.len()] =
    for_each_index!(run_scenario: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
const RUN_TWIN: [fn() -> Verdict; TWINS.len()] = for_each_index!(run_twin: 0 1 2 3 4 5);
const RUN_SPECIFICATION: [fn() -> Verdict; CONFIGURATIONS.len()] =
    for_each_index!(run_specification: 0 1 2 3 4 5 6 7 8 9 10 11);

/// Returns every check of this crate.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let scenarios = SCENARIOS.iter().zip(RUN_SCENARIO).map(|(make, run)| {
        let scenario = make();
        Entry {
            id: format!("services/{}", scenario.name),
            claim: scenario.claim,
            protocol: "services",
            hazard: None,
            engine: Engine::Stateright,
            expected: "verified",
            run,
        }
    });
    let twins = TWINS.iter().zip(RUN_TWIN).map(|(twin, run)| Entry {
        id: format!("services/{}-{}", twin.scenario, twin.hazard.to_lowercase()),
        claim: twin.claim,
        protocol: "services",
        hazard: Some(twin.hazard),
        engine: Engine::Stateright,
        expected: "violated",
        run,
    });
    let specifications = CONFIGURATIONS.iter().zip(RUN_SPECIFICATION).map(|(entry, run)| Entry {
        id: format!("tla/{}", entry.cfg),
        claim: entry.claim,
        protocol: entry.spec,
        hazard: entry.hazard,
        engine: Engine::Tla,
        expected: if entry.answer == Answer::Holds { "verified" } else { "violated" },
        run,
    });
    scenarios.chain(twins).chain(specifications).collect()
}

/// Why the Explorer cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExploreError {
    /// There is no model of that name.
    #[error("no model is named {name:?}; there are {}", known.join(", "))]
    UnknownName {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The Explorer has no access control: it is served on the loopback interface only.
    #[error("{0} is not a loopback address with a port")]
    NotLoopback(SocketAddr),
    /// The address cannot be bound.
    #[error("{address}: {reason}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
}

/// Returns the names that [`explore`] knows: scenarios, and scenarios with a fault.
#[must_use]
pub fn explorable() -> Vec<String> {
    let names = entries().into_iter().filter(|entry| entry.engine == Engine::Stateright);
    names.map(|entry| entry.id).collect()
}

fn model(name: &str) -> Option<Pipeline> {
    let plain = SCENARIOS.iter().map(|make| make());
    let twins = TWINS.iter().map(|twin| (twin.scenario(), Some(twin.fault)));
    let all = plain.map(|scenario| (scenario, None)).chain(twins);
    let stateright = entries().into_iter().filter(|entry| entry.engine == Engine::Stateright);
    all.zip(stateright)
        .find(|(_, entry)| entry.id == name)
        .map(|((scenario, fault), _)| Pipeline::new(scenario, fault))
}

/// Checks that [`explore`] can begin, without beginning.
///
/// # Errors
/// As [`explore`].
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

/// Serves stateright's Explorer for the model of that name at `http://address/`. Does not return while
/// the server runs, which is until the process ends.
///
/// # Errors
/// If there is no such model, or the address is not a free one of the loopback interface.
pub fn explore(name: &str, address: SocketAddr) -> Result<(), ExploreError> {
    check_explorable(name, address)?;
    if let Some(model) = model(name) {
        let _ = model.checker().serve(address);
    }
    Ok(())
}
