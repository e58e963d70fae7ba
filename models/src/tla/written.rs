//! What the checker finds, in the form of the other engines' counterexamples.
//!
//! A specification has no threads: its behaviour is one column, each step is an action, and the
//! objects are the variables. The checker's search is the same each time. So a recorded
//! counterexample is run again by the same search, and what it finds is compared step by step.

use std::collections::BTreeMap;
use std::sync::Arc;

use blocksmith_engines::counterexample::{Change, Counterexample, Standing, Step};
use blocksmith_engines::verdict::{Engine, Violation};
use tla_checker::ast::State;
use tla_checker::checker::format_value;
use tla_checker::liveness::LivenessViolation;

/// Why there is no shorter counterexample, or may be one.
const SHORTEST: &str = "The search is breadth first: within the constants there is no shorter one.";
const FIRST: &str = "It is the first lasso that the checker finds; there may be a shorter one.";
/// The action of a step of a lasso, which the checker does not name.
const UNNAMED: &str = "a step";

/// A specification, as far as its counterexamples name it.
pub(super) struct Writer<'a> {
    pub(super) spec: &'a str,
    pub(super) variables: &'a [Arc<str>],
}

impl Writer<'_> {
    /// Writes down a behaviour that ends where an invariant is broken or nothing is possible.
    /// `actions[n]` is the action by which state `n` is reached.
    pub(super) fn finite(
        &self,
        states: &[State],
        actions: &[Option<Arc<str>>],
        violation: &Violation,
    ) -> Counterexample {
        let name = |number: usize| actions.get(number).cloned().flatten();
        let steps = states.windows(2).enumerate().map(|(number, pair)| {
            let action = name(number + 1);
            self.step(action.as_deref().unwrap_or(UNNAMED), &pair[0], &pair[1])
        });
        self.whole(states.first(), steps.collect(), None, violation, SHORTEST)
    }

    /// Writes down a behaviour that goes on for ever.
    pub(super) fn lasso(&self, found: &LivenessViolation, violation: &Violation) -> Counterexample {
        // The prefix ends with the first state of the cycle, and the cycle's last leads back to it.
        let back = (found.cycle.len() > 1).then(|| found.cycle.first()).flatten();
        let states: Vec<_> =
            found.prefix.iter().chain(found.cycle.iter().skip(1)).chain(back).collect();
        let steps = states.windows(2).map(|pair| self.step(UNNAMED, pair[0], pair[1])).collect();
        let cycle_from = Some(found.prefix.len().saturating_sub(1));
        self.whole(states.first().copied(), steps, cycle_from, violation, FIRST)
    }

    fn whole(
        &self,
        first: Option<&State>,
        steps: Vec<Step>,
        cycle_from: Option<usize>,
        violation: &Violation,
        search: &str,
    ) -> Counterexample {
        Counterexample {
            check: String::new(),
            engine: Engine::Tla.to_string(),
            violation: violation.to_string(),
            search: search.to_owned(),
            handle_steps: false,
            run: 0,
            start: String::new(),
            initial: first.map(|state| self.held(state).collect()).unwrap_or_default(),
            threads: vec![self.spec.to_owned()],
            steps,
            cycle_from,
            end: vec![Standing {
                what: String::new(),
                waits_for: Vec::new(),
                source: String::new(),
            }],
        }
    }

    fn step(&self, action: &str, before: &State, after: &State) -> Step {
        let [before, after] = [before, after].map(|it| self.held(it).collect::<BTreeMap<_, _>>());
        let change = |(object, before): (String, String)| {
            let after = after.get(&object)?.clone();
            (before != after).then_some(Change { object, before, after })
        };
        Step {
            thread: 0,
            choice: action.to_owned(),
            operation: action.to_owned(),
            object: None,
            before: None,
            after: None,
            result: String::new(),
            source: String::new(),
            changes: before.into_iter().filter_map(change).collect(),
            is_landmark: false,
        }
    }

    /// Returns the variables with their values.
    fn held<'a>(&'a self, state: &'a State) -> impl Iterator<Item = (String, String)> + 'a {
        let named = self.variables.iter().zip(&state.values);
        named.map(|(name, value)| (name.to_string(), format_value(value)))
    }
}
