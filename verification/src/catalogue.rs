//! Every check that there is, as data: the command, the tests and the reports read this list.
//!
//! An entry is one scenario, twin or model under one engine, with the answer that is expected. What is
//! expected of a must-fail twin is `violated`; no entry may be `truncated`.

use std::fmt;

use blocksmith_models::verdict::{Engine, Outcome, Verdict};

use crate::engines::loom::{Loom, LoomBounds};
use crate::engines::{loom, shuttle, stepped, threads};
use crate::mutant::{self, Mutant, Weakening};
use crate::scenarios::{self, Scenario};
use crate::twins::{self, Twin};

/// The answer that a check must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The property holds within the bounds.
    Verified,
    /// It does not: a must-fail twin.
    Violated,
}

impl Expected {
    /// Returns the word that [`Verdict::word`] uses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Violated => "violated",
        }
    }
}

/// A check; [`Check::run`] does it.
pub struct Check {
    /// Protocol, name and engine, separated by dots; unique.
    pub id: String,
    /// What is claimed.
    pub claim: String,
    /// The protocol: `notifier`, `mailbox`, `oneshot`, `lifecycle`, `services`, those of the models; or
    /// `engine`, for what tests the engines themselves.
    pub protocol: String,
    /// The hazard that it is about, if one.
    pub hazard: Option<String>,
    /// Who looks.
    pub engine: Engine,
    /// What the answer must be.
    pub expected: Expected,
    /// Does it. Blocks until done.
    pub run: Box<dyn Fn() -> Verdict + Send + Sync>,
}

impl Check {
    /// Returns whether a verdict is the expected one.
    #[must_use]
    pub fn is_as_expected(&self, verdict: &Verdict) -> bool {
        verdict.word() == self.expected.word()
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("id", &self.id).field("expected", &self.expected).finish()
    }
}

/// Returns all checks of this crate, scenarios first; those of the models are added by the caller of
/// both.
#[must_use]
pub fn catalogue() -> Vec<Check> {
    let mut checks = Vec::new();
    for scenario in scenarios::scenarios() {
        add_scenario(&mut checks, scenario);
    }
    for twin in twins::twins() {
        add_twin(&mut checks, twin);
    }
    for (index, name) in ["prepare", "notify"].into_iter().enumerate() {
        checks.push(Check {
            id: format!("notifier.fence_dropped_in_{name}.loom"),
            claim: format!("the notifier without the fence in {name}"),
            protocol: "notifier".to_owned(),
            hazard: Some("N2".to_owned()),
            engine: Engine::Loom,
            expected: Expected::Violated,
            run: Box::new(move || notifier_without_fence(index)),
        });
    }
    checks
}

fn add_scenario(checks: &mut Vec<Check>, scenario: Scenario) {
    let Scenario { name, protocol, claim, hazard, threads: count, .. } = scenario;
    let mut add = |engine: Engine, run: Box<dyn Fn() -> Verdict + Send + Sync>| {
        checks.push(Check {
            id: format!("{protocol}.{name}.{engine}"),
            claim: claim.to_owned(),
            protocol: protocol.to_owned(),
            hazard: hazard.map(str::to_owned),
            engine,
            expected: Expected::Verified,
            run,
        });
    };
    if let (body, Some(bounds)) = scenario.loom {
        add(Engine::Loom, Box::new(move || loom::check(body, count, bounds)));
    }
    if let (body, Some(bounds)) = scenario.shuttle {
        add(Engine::Shuttle, Box::new(move || shuttle::check(body, count, bounds)));
    }
    if let (body, Some(limits)) = scenario.stepped {
        add(Engine::Stepped, Box::new(move || stepped::check(body, count, limits)));
    }
    if let (body, Some(iterations)) = scenario.std {
        add(Engine::Std, Box::new(move || threads::check(body, count, iterations)));
    }
}

fn add_twin(checks: &mut Vec<Check>, twin: Twin) {
    for &engine in twin.engines {
        let run: Box<dyn Fn() -> Verdict + Send + Sync> = match engine {
            Engine::Loom => {
                Box::new(move || loom::check(twin.loom, twin.threads, twin.loom_bounds()))
            }
            Engine::Shuttle => {
                Box::new(move || shuttle::check(twin.shuttle, twin.threads, twin.shuttle_bounds()))
            }
            _ => {
                Box::new(move || stepped::check(twin.stepped, twin.threads, twin.stepped_limits()))
            }
        };
        checks.push(Check {
            id: format!("{}.{}.{engine}", twin.protocol, twin.name),
            claim: twin.claim.to_owned(),
            protocol: twin.protocol.to_owned(),
            hazard: Some(twin.hazard.to_owned()),
            engine,
            expected: if twin.fails { Expected::Violated } else { Expected::Verified },
            run,
        });
    }
}

/// N2: the real notifier with its first (0, in `prepare`) or second fence left out.
fn notifier_without_fence(index: usize) -> Verdict {
    let scenario = scenarios::notifier::relaxed_flag::<Mutant<Loom>>;
    let bounds = LoomBounds::preemptions(2);
    let sites = mutant::record(|| {
        let _ = loom::check(scenario, 2, LoomBounds::preemptions(1));
    });
    let mut fences = sites.into_iter().filter(|site| site.operation == "fence");
    let Some(site) = fences.nth(index) else {
        let mut verdict = loom::check(scenario, 2, bounds);
        verdict.outcome = Outcome::Truncated { by: format!("there is no fence number {index}") };
        return verdict;
    };
    mutant::weaken(Weakening { site, to: None }, || loom::check(scenario, 2, bounds))
}
