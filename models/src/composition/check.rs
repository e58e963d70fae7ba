//! The exploration of the composition by stateright.

use std::collections::BTreeMap;

use blocksmith_engines::explore;
use blocksmith_engines::verdict::Verdict;
use stateright::{Model, Property};

use super::pipeline::{Action, Pipeline, State};
use super::properties;
use super::scenario::{Fault, Scenario};
use super::words::InWords;

/// A search that generates more states than this, repeats included, is truncated.
const MAX_STATES: usize = 3_000_000;

/// Explores a scenario, with or without a fault. Blocks until the search ends.
#[must_use]
pub fn check(scenario: Scenario, fault: Option<Fault>) -> Verdict {
    let bounds = BTreeMap::from([
        ("items", scenario.items.len().to_string()),
        ("queries", scenario.queries.len().to_string()),
        ("workers", scenario.workers.to_string()),
        ("window", scenario.window.to_string()),
        ("mailbox_capacity", scenario.capacity.to_string()),
        ("ticks", (scenario.last_slot - scenario.first_slot).to_string()),
        ("crashes", "none".to_owned()),
    ]);
    explore::check(Pipeline::new(scenario, fault), &InWords, bounds, MAX_STATES)
}

impl Model for Pipeline {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.init()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        self.step(last, action)
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        let next = self.next_state(last, action)?;
        Some(format!("{}\n{next:?}", self.describe(last, action)))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
