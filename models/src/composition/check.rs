//! The exploration of the composition by stateright.

use std::collections::BTreeMap;

use blocksmith_engines::explore;
use blocksmith_engines::lasso::{self, Liveness, Process};
use blocksmith_engines::verdict::Verdict;
use stateright::{Model, Property};

use super::pipeline::{Action, Pipeline, State};
use super::properties;
use super::scenario::{COMES_TO_REST, Fault, Scenario};
use super::words::InWords;

/// A search that generates more states than this, repeats included, is truncated.
const MAX_STATES: usize = 3_000_000;
/// A search for runs without an end keeps every state, so it is for scenarios of fewer than this.
pub const MAX_KEPT: u64 = 50_000;

/// Explores a scenario, with or without a fault. Blocks until the search ends.
#[must_use]
pub fn check(scenario: Scenario, fault: Option<Fault>) -> Verdict {
    let bounds = bounds(&scenario);
    explore::check(Pipeline::new(scenario, fault), &InWords, bounds, MAX_STATES)
}

/// Looks for a run of a scenario that is never at rest again although each service goes on as long
/// as it can. That no state without steps is such a run, [`check`] shows, too; a run that goes round
/// in a circle shows here alone. Blocks until the search ends.
#[must_use]
pub fn check_end(scenario: Scenario, fault: Option<Fault>) -> Verdict {
    let bounds = bounds(&scenario);
    let property = Liveness {
        model: &Pipeline::new(scenario, fault),
        name: COMES_TO_REST,
        process: |action: &Action| match action {
            // The network, the clients, the clock and the owner may leave it at that.
            Action::Submit(_) | Action::Query(_) | Action::Tick | Action::Stop => None,
            Action::Quarantine => Some(0),
            Action::Park => Some(1),
            Action::Clearance => Some(2),
            Action::HotDb => Some(3),
            Action::Worker(index) => Some(4 + *index as Process),
        },
        waits: |state: &State| !state.at_rest(),
    };
    lasso::check(&property, &InWords, bounds, MAX_KEPT as usize)
}

fn bounds(scenario: &Scenario) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("items", scenario.items.len().to_string()),
        ("queries", scenario.queries.len().to_string()),
        ("workers", scenario.workers.to_string()),
        ("window", scenario.window.to_string()),
        ("mailbox_capacity", scenario.capacity.to_string()),
        ("ticks", (scenario.last_slot - scenario.first_slot).to_string()),
        ("crashes", "none".to_owned()),
    ])
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
