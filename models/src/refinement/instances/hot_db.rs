//! The HotDB, with finality that moves, and workers that replay what is not cached.

use blocksmith::consensus::Checkpoint;
use blocksmith::hot_db::{Event, HotDb, Limits, Prune, StateAt, TrailReply};
use blocksmith::identified;
use blocksmith::machine::Machine;
use blocksmith::rewinder::Dispatcher;
use blocksmith::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use stateright::Model;

use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

const TOY: Toy = Toy { slots_per_epoch: 4, validators: 4, payloads: false };

/// A chain with two branches; the root of a block is its place, from 1.
const BLOCKS: [ToyBlock; 6] = [
    ToyBlock::new(1, 0, 1),
    ToyBlock::new(2, 1, 2),
    ToyBlock::new(3, 2, 3),
    ToyBlock::new(4, 3, 4),
    ToyBlock::new(5, 1, 4),
    ToyBlock::new(6, 1, 6),
];
/// What a variable shows that has no block.
const NONE: u8 = 9;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A worker replays without a claim.
    NoClaim,
    /// States are kept for twice as long.
    Spacing,
    /// What a worker has replayed is not posted back.
    NotPosted,
    /// A state that comes when its time is over has no line to wait in.
    LateGoes,
    /// The finalised block is told to be the head.
    HeadNotPinned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Idle,
    Replays(ToyRoot),
    Waits(ToyRoot),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    machine: HotDb<Toy>,
    claims: Dispatcher<ToyRoot, ()>,
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Commit(ToyRoot),
    Prune { finalized: ToyRoot, head: ToyRoot },
    Want { worker: usize, root: ToyRoot },
    AskAgain(usize),
    Replay(usize),
}

struct Trail {
    /// The blocks that come.
    blocks: &'static [ToyRoot],
    /// What workers want.
    wanted: &'static [ToyRoot],
    workers: usize,
    fault: Option<Fault>,
}

fn block(root: ToyRoot) -> ToyBlock {
    BLOCKS[usize::from(root) - 1]
}

fn slot(root: ToyRoot) -> u64 {
    if root == 0 { 0 } else { block(root).slot }
}

/// Returns the state after a block.
fn state_of(root: ToyRoot) -> StateAt<Toy> {
    let checkpoint = Checkpoint { epoch: 0, root: 0 };
    StateAt {
        root,
        slot: slot(root),
        state: ToyState { block: root, slot: slot(root), checkpoint },
    }
}

/// Returns whether the state after a committed block is cached.
fn is_cached(machine: &HotDb<Toy>, root: ToyRoot) -> bool {
    match machine.trail(root, slot(root)) {
        TrailReply::Trail(trail) => (trail.start.root, trail.blocks.len()) == (root, 0),
        _ => false,
    }
}

fn all() -> impl Iterator<Item = ToyRoot> {
    std::iter::once(0).chain(BLOCKS.iter().map(|block| block.root))
}

/// Returns the committed block whose parent is not: the base.
fn base(machine: &HotDb<Toy>) -> ToyRoot {
    let is_base = |root: &ToyRoot| {
        let has_parent = *root != 0 && machine.contains(block(*root).parent);
        machine.contains(*root) && !has_parent
    };
    all().find(is_base).expect("there is a base")
}

fn descends(root: ToyRoot, from: ToyRoot) -> bool {
    root == from || root != 0 && descends(block(root).parent, from)
}

impl Trail {
    /// A worker asks for the trail to a block, and claims it if there is something to replay.
    fn ask(&self, state: &mut State, worker: usize, root: ToyRoot) {
        let replays = match state.machine.trail(root, slot(root)) {
            TrailReply::Trail(trail) => trail.replays(),
            _ => false,
        };
        state.places[worker] = if !replays {
            Place::Idle
        } else if self.fault == Some(Fault::NoClaim) || state.claims.claim((root, slot(root))) {
            Place::Replays(root)
        } else {
            Place::Waits(root)
        };
    }

    fn prune(&self, state: &mut State, finalized: ToyRoot, head: ToyRoot) {
        let head = if self.fault == Some(Fault::HeadNotPinned) { finalized } else { head };
        let finalized = Checkpoint { epoch: 0, root: finalized };
        let keep = Prune { finalized, justified: finalized.root, head };
        state.machine.handle(&TOY, Event::Prune(keep));
    }

    fn replay(&self, state: &mut State, worker: usize) {
        let Place::Replays(root) = state.places[worker] else { return };
        if self.fault != Some(Fault::NotPosted) {
            state.machine.handle(&TOY, Event::PostState(state_of(root)));
        }
        state.claims.loaded((root, slot(root)));
        state.places[worker] = Place::Idle;
    }
}

impl Model for Trail {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let longer = u64::from(self.fault == Some(Fault::Spacing));
        let mut limits = Limits { checkpoint_slots: 1 + longer, ..Limits::default() };
        if self.fault == Some(Fault::LateGoes) {
            limits.passing_states = 0;
        }
        let machine = HotDb::new(&TOY, limits, 0, 0, ToyState::anchor());
        let places = vec![Place::Idle; self.workers];
        vec![State { machine, claims: Dispatcher::new(1, 1), places }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend(self.blocks.iter().map(|root| Action::Commit(*root)));
        let there = || BLOCKS.iter().map(|it| it.root).filter(|it| state.machine.contains(*it));
        for finalized in there() {
            let heads = there().filter(|head| descends(*head, finalized));
            actions.extend(heads.map(|head| Action::Prune { finalized, head }));
        }
        for (worker, place) in state.places.iter().enumerate() {
            match place {
                Place::Idle => {
                    let wanted = self.wanted.iter().copied();
                    actions.extend(wanted.map(|root| Action::Want { worker, root }));
                }
                Place::Replays(_) => actions.push(Action::Replay(worker)),
                Place::Waits(root) => {
                    let is_free = state.claims.clone().claim((*root, slot(*root)));
                    actions.extend(is_free.then_some(Action::AskAgain(worker)));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Commit(root) => {
                let block = identified::block(&TOY, block(root));
                state.machine.handle(&TOY, Event::Commit { block, state: state_of(root) });
            }
            Action::Prune { finalized, head } => self.prune(&mut state, finalized, head),
            Action::Want { worker, root } => self.ask(&mut state, worker, root),
            Action::AskAgain(worker) => {
                if let Place::Waits(root) = state.places[worker] {
                    self.ask(&mut state, worker, root);
                }
            }
            Action::Replay(worker) => self.replay(&mut state, worker),
        }
        Some(state)
    }
}

impl Projected for Trail {
    fn variables(&self, state: &State) -> Variables {
        let machine = &state.machine;
        let committed = all().filter(|root| machine.contains(*root));
        let cached = all().filter(|root| is_cached(machine, *root));
        let pruned =
            all().filter(|root| matches!(machine.trail(*root, slot(*root)), TrailReply::Pruned));
        let claimed = BLOCKS.iter().map(|block| block.root);
        let claimed = claimed.filter(|root| !state.claims.clone().claim((*root, slot(*root))));
        let place = |place: &Place| match place {
            Place::Idle => "idle",
            Place::Replays(_) => "replays",
            Place::Waits(_) => "waits",
        };
        let wants = |place: &Place| match place {
            Place::Idle => NONE,
            Place::Replays(root) | Place::Waits(root) => *root,
        };
        variables([
            ("committed", Value::set(committed)),
            ("base", base(machine).into()),
            ("cached", Value::set(cached)),
            ("pruned", Value::set(pruned)),
            ("wants", Value::sequence(state.places.iter().map(wants))),
            ("place", Value::sequence(state.places.iter().map(place))),
            ("claimed", Value::set(claimed)),
        ])
    }
}

fn machine(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Trail { blocks: &[1, 2, 3, 4, 5], wanted: &[1, 3], workers: 2, fault })
}

/// Block 6 comes so much later than 2 and 3 that their time is over with it.
fn late(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Trail { blocks: &[1, 2, 3, 6], wanted: &[3], workers: 1, fault })
}

pub(super) const TRAIL: Instance = Instance {
    name: "hot_db",
    spec: "HotDbTrail",
    cfg: "HotDbTrail",
    source: "hot_db: HotDb; the claims of rewinder: Dispatcher",
    bounds: "5 blocks of 4 slots in 2 branches, 2 workers, states kept for a slot",
    dropped: "which states are pinned, which came late, and the newest slot",
    is_whole: false,
    size: Agreement { states: 177, edges: 516 },
    machine: || machine(None),
    twins: &[
        Twin {
            name: "no_claim",
            claim: "a worker replays without a claim",
            machine: || machine(Some(Fault::NoClaim)),
            step: "Want",
        },
        Twin {
            name: "spacing",
            claim: "states are kept for twice as long",
            machine: || machine(Some(Fault::Spacing)),
            step: "Commit",
        },
        Twin {
            name: "not_posted",
            claim: "a worker keeps the state that it has replayed to itself",
            machine: || machine(Some(Fault::NotPosted)),
            step: "",
        },
    ],
};

pub(super) const LATE: Instance = Instance {
    name: "hot_db_late",
    cfg: "HotDbTrail_Late",
    bounds: "4 blocks of 6 slots in 2 branches, 1 worker, states kept for a slot",
    size: Agreement { states: 37, edges: 84 },
    machine: || late(None),
    twins: &[
        Twin {
            name: "late_goes",
            claim: "the state of a block that comes late is not kept for its children",
            machine: || late(Some(Fault::LateGoes)),
            step: "Commit",
        },
        Twin {
            name: "head_not_pinned",
            claim: "finality pins the finalised block's state, and not the head's",
            machine: || late(Some(Fault::HeadNotPinned)),
            step: "Commit",
        },
    ],
    ..TRAIL
};
