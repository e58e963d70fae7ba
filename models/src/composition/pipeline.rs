//! The composition of the services in one scenario, and its states.

use std::collections::BTreeSet;

use blocksmith::clearance::shell::STATE_REQUESTS;
use blocksmith::clearance::{self, Clearance};
use blocksmith::consensus::{Checkpoint, Consensus, Slot};
use blocksmith::fork_choice;
use blocksmith::hot_db::{self, HotDb};
use blocksmith::machine::Machine;
use blocksmith::quarantine::{self, Quarantine};
use blocksmith::rewinder::Dispatcher;
use blocksmith::rewinder::shell::{Hands, lane_capacity};
use blocksmith::toy::{Toy, ToyState};

use super::process::{Line, Machines, Orphans, Wires, WorkerLine};
use super::scenario::{Fault, Scenario};

/// The most attestations that a worker verifies in one batch.
const BATCH: usize = 2;

/// The next step, named by the process that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The network submits the item of that index.
    Submit(usize),
    /// A client makes the query of that index.
    Query(usize),
    /// The clock ticks.
    Tick,
    /// The owner sends the stop.
    Stop,
    /// Quarantine carries out an effect or takes a message.
    Quarantine,
    /// Quarantine parks a block whose parent it looked up in an earlier step. Only the fault Q1
    /// splits an arrival into two steps.
    Park,
    /// Clearance carries out an effect or takes a message.
    Clearance,
    /// The HotDB takes a message.
    HotDb,
    /// A worker carries out an effect, takes a reply, or takes a task.
    Worker(usize),
}

/// The composition in one scenario, with or without a fault.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub(super) scenario: Scenario,
    pub(super) fault: Option<Fault>,
    pub(super) toy: Toy,
}

/// A state of the composition.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) machines: Machines,
    pub(super) wires: Wires,
    /// Whether each item has been submitted.
    pub(super) submitted: Vec<bool>,
    /// Whether each query has been made.
    pub(super) queried: Vec<bool>,
    pub(super) slot: Slot,
    pub(super) stopped: bool,
}

impl Pipeline {
    /// Returns the composition.
    #[must_use]
    pub fn new(scenario: Scenario, fault: Option<Fault>) -> Self {
        Self { scenario, fault, toy: Toy::default() }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn init(&self) -> State {
        let scenario = &self.scenario;
        let wires = Wires {
            quarantine: Line::new(),
            reserved: 0,
            orphans: Orphans::default(),
            clearance: Line::new(),
            asked: 0,
            hot_db: [].into(),
            waits_for: None,
            lanes: Dispatcher::new(self.lane_capacity(), BATCH),
            workers: vec![WorkerLine::default(); scenario.workers],
            answers: vec![Vec::new(); scenario.items.len()],
            query_answers: vec![0; scenario.queries.len()],
            committed: BTreeSet::from([0]),
            too_early: BTreeSet::new(),
            checked: BTreeSet::new(),
            checked_again: BTreeSet::new(),
            missing: BTreeSet::new(),
            refused: 0,
        };
        State {
            machines: self.machines(),
            wires,
            submitted: vec![false; scenario.items.len()],
            queried: vec![false; scenario.queries.len()],
            slot: scenario.first_slot,
            stopped: false,
        }
    }

    /// Returns the machines as they start. They know the anchor alone, in the first slot.
    fn machines(&self) -> Machines {
        let (scenario, anchor) = (&self.scenario, ToyState::anchor());
        let finalized = Checkpoint { epoch: 0, root: 0 };
        let limits = quarantine::Limits {
            window: scenario.window,
            unproven: scenario.window,
            items: scenario.held,
            remembered: 8,
            ..quarantine::Limits::default()
        };
        let mut quarantine = Quarantine::new(limits, finalized, 0);
        let first = quarantine::Event::Tick { slot: scenario.first_slot, into_slot_ms: 0 };
        assert!(quarantine.handle(&self.toy, first).is_empty());
        let balances = self.toy.balances(&anchor).expect("the toy has balances");
        let config = fork_choice::Config::new(self.toy.slots_per_epoch);
        let mut clearance = Clearance::new(config, 0, 0, balances);
        let tick = clearance::Import::Tick { slot: scenario.first_slot };
        clearance.handle(&self.toy, clearance::Event::Import(tick));
        let limits = hot_db::Limits {
            blocks: scenario.hot_db_blocks,
            pruned_roots: scenario.pruned_roots,
            ..hot_db::Limits::default()
        };
        let hot_db = HotDb::new(&self.toy, limits, 0, 0, anchor);
        let workers = vec![Hands::default(); scenario.workers];
        Machines { quarantine, clearance, hot_db, workers }
    }

    /// Returns the capacity of a lane, by core's own formula. Its queries are those of clients and
    /// those of Clearance.
    pub(super) fn lane_capacity(&self) -> usize {
        if self.has(Fault::NoReservedSlots) {
            1
        } else {
            let queries = self.scenario.queries.len() + STATE_REQUESTS;
            lane_capacity(self.scenario.window, queries)
        }
    }
}

impl State {
    /// Returns whether nothing is queued, under way or held by a process.
    pub(super) fn at_rest(&self) -> bool {
        let Wires { quarantine, orphans, clearance, hot_db, waits_for, lanes, .. } = &self.wires;
        quarantine.is_quiet()
            && orphans.looked_up.is_empty()
            && clearance.is_quiet()
            && hot_db.is_empty()
            && waits_for.is_none()
            && lanes.waiting() == 0
            && self.machines.workers.iter().all(|hands| hands.machine().is_idle())
            && self.wires.workers.iter().all(WorkerLine::is_quiet)
    }

    /// Returns whether a worker has no task and nothing to do.
    pub(super) fn is_free(&self, worker: usize) -> bool {
        self.machines.workers[worker].replies().len() == 0 && self.wires.workers[worker].is_quiet()
    }

    /// Returns how many workers have no task, not counting the one that pulls.
    pub(super) fn others_free(&self) -> usize {
        let workers = 0..self.wires.workers.len();
        workers.filter(|worker| self.is_free(*worker)).count().saturating_sub(1)
    }
}
