//! One small model for each rule of the Quarantine, of the Rewinder, of the stores, of the fork
//! choice, of slashing protection and of the validators' duties, and for the faults of real clients
//! that the rules exclude.
//!
//! **Contract.** A [`Rule`] is an instance of a model with a claim. Its model runs core's own
//! machines and shells over the toy protocol; what the services do not decide (what arrives and
//! when, which worker goes next, finality, a crash) is an action. The properties are statements of
//! safety, but those of `turns`, which are about behaviours that go on for ever. A must-fail twin is
//! the same instance with a fault at a port of a machine: the fault rewrites an event or an effect,
//! and changes no machine. It must be refuted by the property that it names.
//!
//! | module | runs | rows |
//! |---|---|---|
//! | `rewinder` | dispatcher, workers, HotDB, Clearance | R1 R2 R5 R7 R9 R11 R13 R14, A4 A12, C3 C4 C8 C9 C11 |
//! | `cache` | HotDB near its bound on bytes | R9 R10 R12, C12 |
//! | `ages` | HotDB as a chain grows old | R10 |
//! | `store` | Clearance, HotDB, ColdDB, recovery; a crash between any two writes | S1 to S5 |
//! | `costs` | fork choice over roots that count their comparisons | A13 |
//! | `protection` | slashing protection: rules and store; a crash between any two steps | V1 V2 V5 |
//! | `clock` | fork choice, attestation pool, under a clock that is put right | A19 |
//! | `detection` | Quarantine, worker, slashing detector and slashing protection | Q9 |
//! | `waits` | none: a read-write lock by its policy, and messages | C6 C7 |
//! | `adoption` | a client's queue for early votes, and the Quarantine in its place | C1 |
//! | `turns` | the dispatcher as time goes on: liveness | Q8 |
//! | `quarantine` | Quarantine, HotDB | Q3 Q7 Q11, A1 A2 A3 A5 A7 A8 A9 A11 A14 to A18, C1 C2 C10 C13 C14 C15 |
//! | `validator` | BeaconValidator, in one process or two, and its successors | V1 to V8 V11, D1 to D5, P4 P5 P7, L5 L6, M9 |
//! | `ptc` | PayloadAttestation with its lists; the design that it comes from | V7 to V10, D1 to D5, P1 to P8 |
//! | `eth1` | Eth1Monitor | E1 to E6 |
//!
//! **Bounds.** The instances are those of the lists below: a handful of blocks and tasks, at most
//! three workers, at most two crashes. A search of more than 500,000 states is truncated,
//! which is not a success.

/// A twin of an instance: the fault that the function `$instance` is given, and the property that
/// it breaks.
macro_rules! twin {
    ($name:literal, $row:ident, $instance:ident, $fault:ident, $breaks:literal, $claim:literal) => {
        Twin {
            name: $name,
            hazard: &hazard::$row,
            claim: $claim,
            model: || $instance(Some(Fault::$fault)),
            breaks: &[Breaks::Property($breaks)],
        }
    };
}

mod adoption;
mod ages;
mod cache;
mod clock;
mod costs;
mod detection;
mod eth1;
mod protection;
mod ptc;
mod quarantine;
mod rewinder;
mod store;
mod turns;
mod validator;
mod waits;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::net::SocketAddr;

use stateright::Model;

use crate::catalogue::{Check, Expected};
use crate::hazard::Hazard;
use blocksmith_engines::counterexample::{Stand, Words, fields};
use blocksmith_engines::explore;
use blocksmith_engines::verdict::{Breaks, Engine, Verdict};

/// A search that generates more states than this, repeats included, is truncated.
const MAX_STATES: usize = 500_000;

/// An instance of a model, and what holds in it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, which no other rule has.
    pub name: &'static str,
    /// What holds if the instance is verified.
    pub claim: &'static str,
    /// The pinned number of distinct states.
    pub states: u64,
    /// The instance.
    pub model: fn() -> Box<dyn Instance>,
    /// The same instance with a fault, once for each fault that it shows.
    pub twins: &'static [Twin],
}

/// An instance with a fault.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    /// Its name, which no other twin and no rule has.
    pub name: &'static str,
    /// The hazard of which the fault is an instance.
    pub hazard: &'static Hazard,
    /// What goes wrong.
    pub claim: &'static str,
    /// The instance with the fault.
    pub model: fn() -> Box<dyn Instance>,
    /// The property that must be reported as broken.
    pub breaks: &'static [Breaks],
}

/// A model whose bounds are known.
pub trait Instance {
    /// Explores the model. Blocks until the search ends.
    fn check(self: Box<Self>) -> Verdict;
    /// Serves stateright's Explorer at an address. Blocks as long as the server runs.
    fn serve(self: Box<Self>, address: SocketAddr);
}

/// What a model of this module says of itself.
trait Bounded: Model<State: Debug, Action: Debug> {
    /// Returns what the instance is bounded by, in words.
    fn bounds(&self) -> BTreeMap<&'static str, String>;

    /// Returns the process that takes a step, and what it does. By default a process is what the
    /// action's name says, and the step is the action itself.
    fn step_in_words(&self, state: &Self::State, action: &Self::Action) -> (String, String) {
        let _ = state;
        let text = format!("{action:?}");
        let name = text.split(['(', ' ']).next().unwrap_or_default();
        (name.to_lowercase(), text)
    }

    /// Returns what each object holds. By default these are the fields of the state.
    fn objects(&self, state: &Self::State) -> Vec<(String, String)> {
        fields(&format!("{state:?}"))
    }

    /// Returns where each process stands. By default nothing is said of that.
    fn stands(&self, state: &Self::State) -> Vec<Stand> {
        let _ = state;
        Vec::new()
    }
}

/// Tells of a rule's model in counterexamples.
struct InWords;

impl<M: Bounded> Words<M> for InWords {
    fn step(&self, model: &M, state: &M::State, action: &M::Action) -> (String, String) {
        model.step_in_words(state, action)
    }

    fn objects(&self, model: &M, state: &M::State) -> Vec<(String, String)> {
        model.objects(state)
    }

    fn stands(&self, model: &M, state: &M::State) -> Vec<Stand> {
        model.stands(state)
    }
}

impl<M> Instance for M
where
    M: Bounded + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    fn check(self: Box<Self>) -> Verdict {
        let bounds = self.bounds();
        explore::check(*self, &InWords, bounds, MAX_STATES)
    }

    fn serve(self: Box<Self>, address: SocketAddr) {
        drop(self.checker().serve(address));
    }
}

/// Returns every rule.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let lists = [
        quarantine::RULES,
        adoption::RULES,
        rewinder::RULES,
        cache::RULES,
        ages::RULES,
        store::RULES,
        costs::RULES,
        clock::RULES,
        detection::RULES,
        waits::RULES,
        validator::RULES,
        ptc::RULES,
        ptc::DESIGN,
        eth1::RULES,
        protection::RULES,
        turns::RULES,
    ];
    lists.into_iter().flatten()
}

/// Returns a check for each rule and each twin.
pub(crate) fn checks() -> impl Iterator<Item = Check> {
    rules().flat_map(|rule| {
        let real = Check {
            id: format!("rules.{}.stateright", rule.name),
            claim: rule.claim,
            protocol: "rules",
            hazard: None,
            engine: Engine::Stateright,
            expected: Expected::Verified,
            states: Some(rule.states),
            run: Box::new(|| (rule.model)().check()),
        };
        let twins = rule.twins.iter().map(|twin| Check {
            id: format!("rules.{}.stateright", twin.name),
            claim: twin.claim,
            protocol: "rules",
            hazard: Some(twin.hazard),
            engine: Engine::Stateright,
            expected: Expected::Violated(twin.breaks),
            states: None,
            run: Box::new(|| (twin.model)().check()),
        });
        std::iter::once(real).chain(twins)
    })
}

/// Returns the models by their names, for the Explorer: first all rules, then all twins.
pub(crate) fn models() -> impl Iterator<Item = (String, Box<dyn Instance>)> {
    let real = rules().map(|rule| (format!("rules.{}", rule.name), (rule.model)()));
    let twins = rules().flat_map(|rule| rule.twins);
    real.chain(twins.map(|twin| (format!("rules.{}", twin.name), (twin.model)())))
}
