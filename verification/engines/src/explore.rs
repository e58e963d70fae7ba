//! Runs stateright over a model and turns what it found into a verdict.
//!
//! **Contract.** [`judge`] explores breadth first with one thread, so that the number of distinct
//! states is the same in every run, and a counterexample is a shortest one. It takes account of two
//! peculiarities of stateright's checker:
//! - the checker also says "done" when a target count stopped it: here the counts decide, never
//!   that word;
//! - while some property still holds everywhere, the checker continues for a while after a
//!   violation, and keeps the last one that it finds. So the properties are joined into one
//!   (`Conjunction`), which ends the search at the first violation.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::hash::Hash;
use std::sync::Arc;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use crate::counterexample::{self, Counterexample, Described, Path, Walk, Words};
use crate::meter;
use crate::verdict::{Engine, Outcome, Verdict, Violation};

/// A model whose one property is that all properties of `M` hold. They must all be of the kind
/// `always`.
#[derive(Debug)]
pub(crate) struct Conjunction<M>(pub(crate) Arc<M>);

impl<M> Clone for Conjunction<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

const ALL: &str = "every property";

impl<M: Model> Conjunction<M> {
    /// Returns the first property that does not hold in a state.
    pub(crate) fn broken(&self, state: &M::State) -> Option<&'static str> {
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
    explore_all(Conjunction(Arc::new(model)), max_states)
}

fn explore_all<M>(all: Conjunction<M>, max_states: usize) -> Exploration<M::State, M::Action>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + PartialEq,
{
    let checker = all
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
/// the counterexample: the actor, two spaces or more, and the rest; or the rest alone. `bounds` says
/// what the model leaves out. Blocks until done.
pub fn judge<M>(
    model: M,
    describe: impl Fn(&M::State, &M::Action) -> String,
    bounds: BTreeMap<&'static str, String>,
    max_states: usize,
) -> Verdict
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let tell = |state: &M::State, action: &M::Action| {
        let text = describe(state, action);
        let parts = text.split_once("  ").map(|(actor, does)| (actor.trim(), does.trim()));
        let (actor, does) = parts.unwrap_or(("model", text.trim()));
        (actor.to_owned(), does.to_owned())
    };
    check(model, &Described(tell), bounds, max_states)
}

const SHORTEST: &str = "The search is breadth first: within the bounds there is no shorter one.";

/// Explores `model` and returns the verdict; `words` tells of the model, and `bounds` says what it
/// leaves out. A counterexample is also kept as data ([`counterexample::take`]). Blocks until done.
pub fn check<M>(
    model: M,
    words: &dyn Words<M>,
    bounds: BTreeMap<&'static str, String>,
    max_states: usize,
) -> Verdict
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let all = Conjunction(Arc::new(model));
    check_with(&all, words, bounds, max_states, || explore_all(all.clone(), max_states))
}

/// Judges a model by what `search` finds, or follows a recorded path in place of it.
pub(crate) fn check_with<M>(
    all: &Conjunction<M>,
    words: &dyn Words<M>,
    mut bounds: BTreeMap<&'static str, String>,
    max_states: usize,
    search: impl FnOnce() -> Exploration<M::State, M::Action>,
) -> Verdict
where
    M: Model,
    M::State: Clone + Debug + PartialEq,
    M::Action: Clone + Debug,
{
    let engine = Engine::Stateright;
    bounds.insert("max_states", max_states.to_string());
    let (number, request) = counterexample::begin(engine);
    if let Some(request) = request {
        walk(all, words).again(request);
        let outcome = Outcome::Truncated { by: "one recorded path".to_owned() };
        return Verdict { engine, bounds, states: None, executions: None, outcome };
    }
    let found = search();
    bounds.insert("depth", found.depth.to_string());
    let outcome = if let Some((property, steps)) = found.violation {
        let violation = Violation::Property(property.to_owned());
        let text = listing(property, &steps, |state, action| words.step(&all.0, state, action));
        if let Some(path) = path(&*all.0, steps) {
            let written = walk(all, words).write_down(&path, &violation);
            counterexample::keep(Counterexample { run: number, ..written });
        }
        Outcome::Violated { violation, counterexample: text }
    } else if found.stopped {
        Outcome::Truncated { by: format!("max_states {max_states}") }
    } else {
        Outcome::Verified
    };
    Verdict { engine, bounds, states: Some(found.states), executions: None, outcome }
}

/// A path through a model.
type PathOf<M> = Path<<M as Model>::State, <M as Model>::Action>;

/// Returns what writes down the paths that end where a property does not hold.
fn walk<'a, M: Model>(
    all: &'a Conjunction<M>,
    words: &'a dyn Words<M>,
) -> Walk<'a, M, impl Fn(&PathOf<M>) -> Option<Violation>> {
    let violated = |path: &PathOf<M>| {
        let broken = all.broken(&path.last)?;
        Some(Violation::Property(broken.to_owned()))
    };
    Walk { model: &all.0, words, violated, has_cycles: false, search: SHORTEST }
}

/// Returns a path of the checker as one that can be written down.
fn path<M: Model>(model: &M, steps: Steps<M::State, M::Action>) -> Option<Path<M::State, M::Action>>
where
    M::State: PartialEq,
{
    let (first, _) = steps.first()?;
    let start = model.init_states().iter().position(|state| state == first)?;
    let (mut taken, mut last) = (Vec::new(), None);
    for (state, action) in steps {
        match action {
            Some(action) => taken.push((state, action)),
            None => last = Some(state),
        }
    }
    Some(Path { start, steps: taken, last: last?, cycle_from: None })
}

/// Lists the steps of a path, one per line, and the state in which they end.
fn listing<S: Debug, A>(
    property: &str,
    steps: &[(S, Option<A>)],
    tell: impl Fn(&S, &A) -> (String, String),
) -> String {
    let mut text = format!("violates \"{property}\"\n");
    for (number, (state, action)) in steps.iter().enumerate() {
        if let Some(action) = action {
            let (actor, does) = tell(state, action);
            let _ = writeln!(text, "{:>4}  {actor:<11} {does}", number + 1);
        }
    }
    if let Some((state, _)) = steps.last() {
        let _ = writeln!(text, "then\n{state:?}");
    }
    text
}
