//! Runs stateright over a model and turns what it found into a verdict.
//!
//! **Contract.** [`judge`] explores breadth first with one thread, so that the number of distinct
//! states is the same in every run, and a counterexample is a shortest one. It takes account of two
//! peculiarities of stateright's checker:
//! - the checker also says "done" when a target count stopped it: here the counts decide, never
//!   that word;
//! - while some property still holds everywhere, the checker continues for a while after a
//!   violation, and keeps the last one that it finds. So the properties are joined into one
//!   ([`Conjunction`]), which ends the search at the first violation.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::hash::Hash;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use crate::meter;
use crate::verdict::{Engine, Outcome, Verdict, Violation};

/// A model whose one property is that all properties of `M` hold. They must all be of the kind
/// `always`.
#[derive(Debug)]
pub struct Conjunction<M>(pub M);

const ALL: &str = "every property";

impl<M: Model> Conjunction<M> {
    /// Returns the first property that does not hold in a state.
    pub fn broken(&self, state: &M::State) -> Option<&'static str> {
        let properties = self.0.properties();
        debug_assert!(properties.iter().all(|p| p.expectation == Expectation::Always));
        properties.iter().find(|p| !(p.condition)(&self.0, state)).map(|p| p.name)
    }
}

impl<M: Model> Model for Conjunction<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<M::State> {
        self.0.init_states()
    }

    fn actions(&self, state: &M::State, actions: &mut Vec<M::Action>) {
        self.0.actions(state, actions);
    }

    fn next_state(&self, last: &M::State, action: M::Action) -> Option<M::State> {
        meter::count();
        self.0.next_state(last, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(ALL, |model: &Self, state: &M::State| model.broken(state).is_none())]
    }
}

/// A path: each state with the action that leaves it.
pub type Steps<S, A> = Vec<(S, Option<A>)>;

/// The result of an exploration.
#[derive(Clone, Debug)]
pub struct Exploration<S, A> {
    /// Distinct states visited.
    pub states: u64,
    /// Steps of the longest path followed.
    pub depth: usize,
    /// Whether the limit on states stopped it.
    pub stopped: bool,
    /// The property that is broken, and a shortest path to a state that breaks it.
    pub violation: Option<(&'static str, Steps<S, A>)>,
}

/// Explores `model` breadth first, up to `max_states` generated states (repeats included).
/// Blocks until done.
pub fn explore<M>(model: M, max_states: usize) -> Exploration<M::State, M::Action>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let checker = Conjunction(model)
        .checker()
        .finish_when(HasDiscoveries::Any)
        .target_state_count(max_states)
        .spawn_bfs()
        .join();
    let violation = checker.discovery(ALL).map(|path| {
        let steps = path.into_vec();
        let broken = steps.last().and_then(|(state, _)| checker.model().broken(state));
        (broken.unwrap_or(ALL), steps)
    });
    Exploration {
        states: checker.unique_state_count() as u64,
        depth: checker.max_depth().saturating_sub(1),
        stopped: checker.state_count() >= max_states,
        violation,
    }
}

/// Explores `model` and returns the verdict. `describe` says what an action does in a state, for
/// the counterexample; `bounds` says what the model leaves out. Blocks until done.
pub fn judge<M>(
    model: M,
    describe: impl Fn(&M::State, &M::Action) -> String,
    mut bounds: BTreeMap<&'static str, String>,
    max_states: usize,
) -> Verdict
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let found = explore(model, max_states);
    bounds.insert("depth", found.depth.to_string());
    bounds.insert("max_states", max_states.to_string());
    let outcome = if let Some((property, steps)) = found.violation {
        let violation = Violation::Property(property.to_owned());
        Outcome::Violated { violation, counterexample: listing(property, &steps, describe) }
    } else if found.stopped {
        Outcome::Truncated { by: format!("max_states {max_states}") }
    } else {
        Outcome::Verified
    };
    let engine = Engine::Stateright;
    Verdict { engine, bounds, states: Some(found.states), executions: None, outcome }
}

/// Lists the steps of a path, one per line, and the state in which they end.
fn listing<S: Debug, A>(
    property: &str,
    steps: &[(S, Option<A>)],
    describe: impl Fn(&S, &A) -> String,
) -> String {
    let mut text = format!("violates \"{property}\"\n");
    for (number, (state, action)) in steps.iter().enumerate() {
        if let Some(action) = action {
            let _ = writeln!(text, "{:>4}  {}", number + 1, describe(state, action));
        }
    }
    if let Some((state, _)) = steps.last() {
        let _ = writeln!(text, "then\n{state:?}");
    }
    text
}
