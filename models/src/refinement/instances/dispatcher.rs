//! The pull queue of the Rewinder, and workers that pull, end and put back.

use blocksmith::rewinder::{Dispatcher, Lane, Role, StateKey};
use stateright::Model;

use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

/// What the instance has.
#[derive(Clone, Copy, Debug)]
struct Size {
    lanes: &'static [Lane],
    keys: &'static [&'static str],
    /// The workers. The last is the reserved one.
    workers: &'static [&'static str],
    capacity: usize,
    puts_back: bool,
}

const BATCH: usize = 2;

const ALL: Size = Size {
    lanes: &[Lane::Duties, Lane::Blocks, Lane::Attestations, Lane::Queries],
    keys: &["k"],
    workers: &["one", "reserved"],
    capacity: 1,
    puts_back: false,
};

const PUT_BACK: Size = Size {
    lanes: &[Lane::Blocks, Lane::Attestations],
    workers: &["one", "two", "reserved"],
    capacity: 2,
    puts_back: true,
    ..ALL
};

const SHARES: Size = Size {
    lanes: &[Lane::Attestations],
    keys: &["k", "j"],
    capacity: 3,
    puts_back: false,
    ..PUT_BACK
};

const UNPROVEN: Size = Size {
    lanes: &[Lane::Attestations, Lane::Unproven],
    capacity: 2,
    workers: &["one", "reserved"],
    puts_back: false,
    ..ALL
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The reserved worker pulls as the others do.
    NotReserved,
    /// A worker that panics does not end its claim.
    KeepsClaim,
    /// A worker takes what it could take if nobody else were idle.
    DoesNotShare,
    /// A block that is put back goes to the end of its lane.
    GoesBehind,
    /// A pull may take one task more.
    LargeBatch,
    /// Attestations of peers that are not proven go into the lane of the others.
    OneLane,
}

/// A task: its lane, and the place of the key that it waits for.
type Task = (Lane, Option<usize>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    queue: Dispatcher<usize, Task>,
    hand: Vec<Vec<Task>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Submit(Lane, Option<usize>),
    Pull(usize),
    Done(usize),
    Panic(usize),
    PutBack { worker: usize, key: usize },
    Close,
}

struct Queue {
    size: Size,
    fault: Option<Fault>,
}

fn state_key(key: usize) -> StateKey<usize> {
    (key, 0)
}

impl Queue {
    fn is_reserved(&self, worker: usize) -> bool {
        worker + 1 == self.size.workers.len()
    }

    fn pull(&self, state: &mut State, worker: usize) {
        let is_idle = |other: &usize| *other != worker && state.hand[*other].is_empty();
        let others = (0..self.size.workers.len() - 1).filter(is_idle).count();
        let idle = if self.fault == Some(Fault::DoesNotShare) { 0 } else { others };
        let is_reserved = self.is_reserved(worker) && self.fault != Some(Fault::NotReserved);
        let role = if is_reserved { Role::Reserved } else { Role::General };
        state.hand[worker] = state.queue.pull(role, idle);
    }

    /// Takes the tasks from a worker, and ends its claim.
    fn lay(state: &mut State, worker: usize, frees: bool) {
        let tasks = std::mem::take(&mut state.hand[worker]);
        if let Some((Lane::Attestations | Lane::Unproven, Some(key))) = tasks.first()
            && frees
        {
            state.queue.loaded(state_key(*key));
        }
    }

    fn put_back(&self, state: &mut State, worker: usize, key: usize) {
        state.hand[worker].clear();
        let task = (Lane::Blocks, Some(key));
        if self.fault == Some(Fault::GoesBehind) {
            let _ = state.queue.submit(Lane::Blocks, None, task);
        } else {
            state.queue.requeue(Lane::Blocks, None, state_key(key), task);
        }
    }
}

fn loads(queue: &Dispatcher<usize, Task>, key: usize) -> bool {
    !queue.clone().claim(state_key(key))
}

impl Model for Queue {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let more = usize::from(self.fault == Some(Fault::LargeBatch));
        let queue = Dispatcher::new(self.size.capacity, BATCH + more);
        vec![State { queue, hand: vec![Vec::new(); self.size.workers.len()] }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for lane in self.size.lanes {
            if matches!(lane, Lane::Attestations | Lane::Unproven) {
                let keys = 0..self.size.keys.len();
                actions.extend(keys.map(|key| Action::Submit(*lane, Some(key))));
            } else {
                actions.push(Action::Submit(*lane, None));
            }
        }
        for (worker, hand) in state.hand.iter().enumerate() {
            let Some((lane, _)) = hand.first() else {
                actions.push(Action::Pull(worker));
                continue;
            };
            actions.extend([Action::Done(worker), Action::Panic(worker)]);
            if *lane == Lane::Blocks && self.size.puts_back {
                let keys = (0..self.size.keys.len()).filter(|key| loads(&state.queue, *key));
                actions.extend(keys.map(|key| Action::PutBack { worker, key }));
            }
        }
        actions.push(Action::Close);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Submit(lane, key) => {
                // What is refused goes back to whoever asked.
                let key_of_lane = key.map(state_key);
                let is_unproven = lane == Lane::Unproven;
                let mixes = is_unproven && self.fault == Some(Fault::OneLane);
                let place = if mixes { Lane::Attestations } else { lane };
                let _ = state.queue.submit(place, key_of_lane, (place, key));
            }
            Action::Pull(worker) => self.pull(&mut state, worker),
            Action::Done(worker) => Self::lay(&mut state, worker, true),
            Action::Panic(worker) => {
                Self::lay(&mut state, worker, self.fault != Some(Fault::KeepsClaim));
            }
            Action::PutBack { worker, key } => self.put_back(&mut state, worker, key),
            Action::Close => state.queue.close(),
        }
        Some(state)
    }
}

impl Projected for Queue {
    fn variables(&self, state: &State) -> Variables {
        let key = |key: Option<usize>| key.map_or("none", |key| self.size.keys[key]);
        let task = |(lane, after): &Task| Value::sequence([lane.word(), key(*after)]);
        let waiting = state.queue.clone().take_all();
        let lane = |lane: Lane| {
            let tasks = waiting.iter().filter(|(of, _)| *of == lane);
            (lane.word(), Value::sequence(tasks.map(task)))
        };
        let loading = (0..self.size.keys.len()).filter(|key| loads(&state.queue, *key));
        let passed = |lane: Lane| (lane.word(), state.queue.passed_over(lane));
        let workers = || self.size.workers.iter().zip(&state.hand);
        let hand = |(worker, hand): (&&'static str, &Vec<Task>)| {
            (*worker, Value::sequence(hand.iter().map(task)))
        };
        let from = |(worker, hand): (&&'static str, &Vec<Task>)| {
            (*worker, hand.first().map_or("none", |(lane, _)| lane.word()))
        };
        variables([
            ("lanes", Value::function(Lane::ALL.map(lane))),
            ("loading", Value::set(loading.map(|at| self.size.keys[at]))),
            ("passed", Value::function(Lane::ALL.map(passed))),
            ("hand", Value::function(workers().map(hand))),
            ("from", Value::function(workers().map(from))),
            ("closed", state.queue.is_closed().into()),
        ])
    }
}

fn machine(size: Size, fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Queue { size, fault })
}

pub(super) const LANES: Instance = Instance {
    name: "dispatcher",
    spec: "Dispatcher",
    cfg: "Dispatcher",
    source: "rewinder: Dispatcher",
    bounds: "4 of the 5 lanes, of 1 task, 1 worker and the reserved one",
    dropped: "nothing",
    is_whole: true,
    size: Agreement { states: 2992, edges: 8728 },
    machine: || machine(ALL, None),
    twins: &[
        Twin {
            name: "not_reserved",
            claim: "the reserved worker takes what there is",
            machine: || machine(ALL, Some(Fault::NotReserved)),
            step: "Pull",
        },
        Twin {
            name: "keeps_claim",
            claim: "the claim of a worker that panics stays",
            machine: || machine(ALL, Some(Fault::KeepsClaim)),
            step: "Panic",
        },
    ],
};

pub(super) const BACK: Instance = Instance {
    name: "dispatcher_put_back",
    cfg: "Dispatcher_PutBack",
    bounds: "2 lanes of 2 tasks, 1 state, 2 workers and the reserved one",
    size: Agreement { states: 1530, edges: 4884 },
    machine: || machine(PUT_BACK, None),
    twins: &[Twin {
        name: "goes_behind",
        claim: "a block that is put back goes to the end of its lane",
        machine: || machine(PUT_BACK, Some(Fault::GoesBehind)),
        step: "PutBack",
    }],
    ..LANES
};

pub(super) const STANDINGS: Instance = Instance {
    name: "dispatcher_unproven",
    cfg: "Dispatcher_Unproven",
    bounds: "2 lanes of 2 tasks, 1 state, 1 worker and the reserved one, batches of 2",
    size: Agreement { states: 270, edges: 568 },
    machine: || machine(UNPROVEN, None),
    twins: &[Twin {
        name: "one_lane",
        claim: "attestations of peers that are not proven wait among the others",
        machine: || machine(UNPROVEN, Some(Fault::OneLane)),
        step: "Submit",
    }],
    ..LANES
};

pub(super) const BATCHES: Instance = Instance {
    name: "dispatcher_shares",
    cfg: "Dispatcher_Shares",
    bounds: "1 lane of 3 tasks, 2 states, 2 workers and the reserved one, batches of 2",
    size: Agreement { states: 510, edges: 1445 },
    machine: || machine(SHARES, None),
    twins: &[
        Twin {
            name: "does_not_share",
            claim: "a worker leaves nothing to those that idle",
            machine: || machine(SHARES, Some(Fault::DoesNotShare)),
            step: "Pull",
        },
        Twin {
            name: "large_batch",
            claim: "a pull takes one task more than the bound",
            machine: || machine(SHARES, Some(Fault::LargeBatch)),
            step: "Pull",
        },
    ],
    ..LANES
};
