//! Refinement, both ways: the machines that run, compared with their TLA+ specifications, on named
//! instances.
//!
//! **Contract.** Each [`Instance`] is a model whose steps call the real machine (the services' own,
//! or the real channel). Everything that can be reached is projected to the specification's
//! variables. The visible states are then *the same set* as the specification's under the
//! configuration named, and the steps that change a variable are the same edges. A step that
//! changes none does not count, on either side. A [`graph::Difference`] is told with a shortest
//! path to the first state or edge that only one side has.
//!
//! ```text
//!   X.tla, X.cfg ──checker──> graph ──────────────┐
//!                                                 ├─ compare ──> the same, or the first difference
//!   machine + surroundings ──walk──> project ─────┘
//! ```
//!
//! What is shown is the equality of the two graphs on that instance, not more: two sides that agree
//! may differ on a larger one. Where a machine has state that the specification has not, the
//! projection drops it (the field [`Instance::dropped`] says what). Edges are then those of all the
//! states with one projection together.
//!
//! **Twins.** Each instance has variants of the machine or of its surroundings with a fault. The
//! comparison must tell each of them from the specification.
//!
//! **Bounds.** Those of the configuration, and [`graph::MAX_STATES`].

pub mod graph;
mod instances;
pub mod spec;
pub mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::Hash;

use stateright::Model;
use thiserror::Error;

use crate::tla::SpecError;
use graph::{Agreement, Difference, Side, TooMany, compare};
use value::{Value, Variables};

pub use instances::INSTANCES;

/// A model whose states show the variables of a specification.
pub trait Projected: Model {
    /// Returns the values of the variables that are compared, the same ones in every state.
    fn variables(&self, state: &Self::State) -> Variables;
}

/// A protocol with its specification.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    /// Its name.
    pub name: &'static str,
    /// The specification.
    pub spec: &'static str,
    /// The configuration.
    pub cfg: &'static str,
    /// What of the source is run.
    pub source: &'static str,
    /// The bounds of the instance.
    pub bounds: &'static str,
    /// What of the machine's state, or of the specification's, is not compared.
    pub dropped: &'static str,
    /// Whether no two states of the specification are the same in what is compared, so that the
    /// machine must have as many visible states as the specification has states. It is pinned, and
    /// [`Compared::is_whole`] tells what is so.
    pub is_whole: bool,
    /// The pinned number of visible states, and of the edges between them.
    pub size: Agreement,
    /// Explores the machine.
    pub machine: fn() -> Result<Side, TooMany>,
    /// Variants that must be told from the specification.
    pub twins: &'static [Twin],
}

/// A variant with a fault.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    /// Its name.
    pub name: &'static str,
    /// What is wrong with it.
    pub claim: &'static str,
    /// Explores the variant.
    pub machine: fn() -> Result<Side, TooMany>,
    /// A word of the step by which the first difference is reached.
    pub step: &'static str,
}

/// The outcome of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The visible states and edges of both sides, if they are the same.
    pub verdict: Result<Agreement, Box<Difference>>,
    /// How many whole states the machine has.
    pub machine_states: usize,
    /// How many whole states the specification has.
    pub spec_states: usize,
}

impl Compared {
    /// Returns whether no two states of the specification are the same in what is compared; `None`
    /// if the sides differ.
    #[must_use]
    pub fn is_whole(&self) -> Option<bool> {
        self.verdict.as_ref().ok().map(|agreement| agreement.states == self.spec_states)
    }
}

/// Why two sides could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompareError {
    /// The specification.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The machine.
    #[error("the machine: {0}")]
    Machine(#[from] TooMany),
}

/// An instance whose specification has been explored.
#[derive(Debug)]
pub struct Explored {
    machine: Side,
    spec: Side,
}

impl Instance {
    /// Explores the machine and the specification. Blocks until both are done.
    ///
    /// # Errors
    /// If one of the two cannot be explored.
    pub fn explore(&self) -> Result<Explored, CompareError> {
        let machine = (self.machine)()?;
        let names = machine.names();
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let spec = spec::explore(self.spec, self.cfg, &names)?;
        Ok(Explored { machine, spec })
    }
}

impl Explored {
    /// Compares the machine with the specification.
    #[must_use]
    pub fn compare(&self) -> Compared {
        self.compare_with(&self.machine)
    }

    /// Compares a variant with the specification. Blocks until the variant is explored.
    ///
    /// # Errors
    /// If it cannot be explored.
    pub fn compare_twin(&self, twin: &Twin) -> Result<Compared, CompareError> {
        Ok(self.compare_with(&(twin.machine)()?))
    }

    fn compare_with(&self, machine: &Side) -> Compared {
        Compared {
            verdict: compare(machine, &self.spec),
            machine_states: machine.nodes(),
            spec_states: self.spec.nodes(),
        }
    }
}

/// Explores a model, breadth first.
fn walk<M: Projected>(model: &M) -> Result<Side, TooMany>
where
    M::State: Clone + Eq + Hash,
    M::Action: Clone + Debug,
{
    let steps = |state: &M::State| {
        let mut actions = Vec::new();
        model.actions(state, &mut actions);
        let step = |action: M::Action| Some((action.clone(), model.next_state(state, action)?));
        actions.into_iter().filter_map(step).collect()
    };
    let (word, show) = (
        |action: &M::Action| model.format_action(action),
        |state: &M::State| model.variables(state),
    );
    Side::explore("the machine", model.init_states(), steps, word, show)
}

/// Returns variables from names and values.
fn variables<const N: usize>(values: [(&str, Value); N]) -> Variables {
    BTreeMap::from(values.map(|(name, value)| (name.to_owned(), value)))
}
