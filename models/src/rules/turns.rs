//! The Rewinder's lanes as time goes on for ever: a query is served in the end, however many blocks
//! come. Core's own dispatcher decides what the worker takes.
//!
//! | property | meaning |
//! |---|---|
//! | a query is served in the end | there is no behaviour, fair to the worker, in which a query waits for ever |
//!
//! Blocks and queries come or do not come, as an adversary likes. The worker is fair: it does not
//! stand still for ever while there is something to take.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use blocksmith::rewinder::{Dispatcher, Lane, Role};
use blocksmith::toy::ToyRoot;
use blocksmith_engines::counterexample::{Stand, Words};
use blocksmith_engines::lasso::{self, Liveness, Process};
use blocksmith_engines::verdict::{Breaks, Verdict};
use stateright::{Model, Property};

use super::{Instance, MAX_STATES, Rule, Twin};
use crate::hazard;

/// The number of blocks that wait at the most.
const BLOCKS: usize = 2;

/// The worker; blocks and queries come from nobody.
const WORKER: Process = 1;

/// What is wrong with the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// It takes a block whenever there is one.
    BlocksFirst,
}

#[derive(Clone, Debug)]
struct Turns {
    fault: Option<Fault>,
}

/// The lanes, and what waits in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    lanes: Dispatcher<ToyRoot, Lane>,
    blocks: usize,
    query: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Block,
    Query,
    Pull,
}

impl Turns {
    fn pull(&self, state: &mut State) -> Option<Lane> {
        let first = match self.fault {
            Some(Fault::BlocksFirst) => state.lanes.pull_first(&[Lane::Blocks]),
            None => None,
        };
        first.or_else(|| state.lanes.pull(Role::General, 0).pop())
    }
}

impl Model for Turns {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State { lanes: Dispatcher::new(BLOCKS, 1), blocks: 0, query: false }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend((state.blocks < BLOCKS).then_some(Action::Block));
        actions.extend((!state.query).then_some(Action::Query));
        actions.extend((state.lanes.waiting() > 0).then_some(Action::Pull));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Block => {
                state.blocks += 1;
                state.lanes.submit(Lane::Blocks, None, Lane::Blocks).ok()?;
            }
            Action::Query => {
                state.query = true;
                state.lanes.submit(Lane::Queries, None, Lane::Queries).ok()?;
            }
            Action::Pull => match self.pull(&mut state)? {
                Lane::Blocks => state.blocks -= 1,
                _ => state.query = false,
            },
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        Vec::new()
    }
}

/// Tells of the lanes in counterexamples.
struct InWords;

impl Words<Turns> for InWords {
    fn step(&self, model: &Turns, state: &State, action: &Action) -> (String, String) {
        let (actor, does) = match action {
            Action::Block => ("network", "sends a block to the lanes"),
            Action::Query => ("client", "sends a query to the lanes"),
            Action::Pull => match model.pull(&mut state.clone()) {
                Some(Lane::Blocks) => ("worker", "takes a block"),
                _ => ("worker", "takes the query"),
            },
        };
        (actor.to_owned(), does.to_owned())
    }

    fn objects(&self, _: &Turns, state: &State) -> Vec<(String, String)> {
        let query = if state.query { "1 waits" } else { "none waits" };
        let all = [("blocks", format!("{} wait", state.blocks)), ("query", query.to_owned())];
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn stands(&self, _: &Turns, state: &State) -> Vec<Stand> {
        let stand = |process: &str, what: &str, waits_for: &[&str]| Stand {
            process: process.to_owned(),
            what: what.to_owned(),
            waits_for: waits_for.iter().map(|whom| (*whom).to_owned()).collect(),
        };
        let client = match state.query {
            true => stand("client", "waits for the answer to its query", &["worker"]),
            false => stand("client", "waits for nothing", &[]),
        };
        vec![client, stand("worker", "goes on for ever", &[])]
    }
}

impl Instance for Turns {
    fn check(self: Box<Self>) -> Verdict {
        let property = Liveness {
            model: &*self,
            name: "a query is served in the end",
            process: |action: &Action| (*action == Action::Pull).then_some(WORKER),
            waits: |state: &State| state.query,
        };
        let bounds = BTreeMap::from([
            ("blocks_that_wait", BLOCKS.to_string()),
            ("queries_that_wait", "1".to_owned()),
            ("workers", "1".to_owned()),
        ]);
        lasso::check(&property, &InWords, bounds, MAX_STATES)
    }

    fn serve(self: Box<Self>, address: SocketAddr) {
        drop(self.checker().serve(address));
    }
}

fn turns(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Turns { fault })
}

pub(super) const RULES: &[Rule] = &[Rule {
    name: "queries_get_their_turn",
    claim: "blocks come for ever: a lane is passed over four times at most, so a query is served",
    states: 22,
    model: || turns(None),
    twins: &[twin!(
        "blocks_first_for_ever",
        Q8,
        turns,
        BlocksFirst,
        "a query is served in the end",
        "a worker takes a block whenever there is one, and blocks come for ever"
    )],
}];
