//! The HotDB as a chain grows old: a block in each slot, one gap of empty slots and one fork, each
//! wherever it may be, and nothing finalised.
//!
//! | property | meaning |
//! |---|---|
//! | states are logarithmic in slots | a branch of n slots has no more states than `(spacing + 1) * (log2(n) + 1)` |
//! | a trail is short for its age | a block that is `age` slots old lies less than `2^j` slots after a state, where `j` is the least with `(spacing - 1) * 2^j >= age` |

use std::collections::BTreeMap;

use blocksmith::consensus::Slot;
use blocksmith::hot_db::{Event, HotDb, Limits, StateAt, TrailReply};
use blocksmith::identified;
use blocksmith::machine::Machine;
use blocksmith::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use stateright::{Model, Property};

use super::{Bounded, Instance, Rule, Twin};
use crate::hazard;
use blocksmith_engines::verdict::Breaks;

/// Blocks beside the anchor.
const BLOCKS: u8 = 40;
/// Empty slots of the gap.
const GAP: Slot = 7;
/// Blocks that the fork goes back.
const BACK: usize = 3;
/// Slots for which every state is kept.
const SPACING: u64 = 3;
/// Pinned states: the anchor's, which is also the head's as long as nothing is pruned.
const PINNED: usize = 1;

/// What the HotDB keeps, as the properties know it or otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// No state expires.
    KeepsAll,
    /// States expire sooner than said.
    ExpiresSooner,
}

#[derive(Clone, Debug)]
struct Ages {
    fault: Option<Fault>,
    toy: Toy,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    db: HotDb<Toy>,
    /// The blocks of the branch that grows, oldest first: root and slot.
    branch: Vec<(ToyRoot, Slot)>,
    /// The blocks that the fork has left.
    left: Vec<(ToyRoot, Slot)>,
    next: ToyRoot,
    gap: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// A block in the next slot.
    Grow,
    /// A block after the gap.
    Gap,
    /// A block on one that lies further back.
    Fork,
}

impl State {
    fn newest(&self) -> Slot {
        self.branch.iter().chain(&self.left).map(|(_, slot)| *slot).max().unwrap_or(0)
    }
}

impl Bounded for Ages {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("blocks", BLOCKS.to_string()),
            ("gaps", format!("one of {GAP} slots")),
            ("forks", format!("one, {BACK} blocks back")),
        ])
    }
}

impl Model for Ages {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let checkpoint_slots = match self.fault {
            None => SPACING,
            Some(Fault::KeepsAll) => 1 << 32,
            Some(Fault::ExpiresSooner) => 1,
        };
        let limits = Limits { checkpoint_slots, passing_states: 0, ..Limits::default() };
        let db = HotDb::new(&self.toy, limits, 0, 0, ToyState::anchor());
        let (branch, left) = (vec![(0, 0)], Vec::new());
        vec![State { db, branch, left, next: 1, gap: false }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.next > BLOCKS {
            return;
        }
        actions.push(Action::Grow);
        actions.extend((!state.gap).then_some(Action::Gap));
        let may_fork = state.left.is_empty() && state.branch.len() > BACK;
        actions.extend(may_fork.then_some(Action::Fork));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        if action == Action::Fork {
            state.left = state.branch.split_off(state.branch.len() - BACK);
        }
        let (parent, above) = *state.branch.last()?;
        let slot = above + 1 + if action == Action::Gap { GAP } else { 0 };
        state.gap |= action == Action::Gap;
        let root = state.next;
        let block = identified::block(&self.toy, ToyBlock::new(root, parent, slot));
        let after = ToyState { block: root, slot, ..ToyState::anchor() };
        let commit = Event::Commit { block, state: StateAt { root, slot, state: after } };
        state.db.handle(&self.toy, commit);
        state.branch.push((root, slot));
        state.next += 1;
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("states are logarithmic in slots", |_: &Self, state: &State| {
                let branches = 1 + usize::from(!state.left.is_empty());
                let levels = state.newest().max(1).ilog2() as usize + 1;
                state.db.states() <= branches * (SPACING as usize + 1) * levels + PINNED
            }),
            Property::always("a trail is short for its age", |_: &Self, state: &State| {
                let newest = state.newest();
                state.branch.iter().chain(&state.left).all(|(root, slot)| {
                    let TrailReply::Trail(trail) = state.db.trail(*root, *slot) else {
                        return false;
                    };
                    let age = newest - slot;
                    let level = (0..).find(|level| (SPACING - 1) << level >= age).unwrap_or(63);
                    slot - trail.start.slot < 1 << level || trail.start.root == 0
                })
            }),
        ]
    }
}

fn ages(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Ages { fault, toy: Toy::default() })
}

pub(super) const RULES: &[Rule] = &[Rule {
    name: "thinning",
    claim: "forty blocks with a gap and a fork anywhere: O(log n) states for each branch of n \
            slots, and a trail no longer than in proportion to its block's age",
    states: 20_545,
    model: || ages(None),
    twins: &[
        Twin {
            name: "every_state_is_kept",
            hazard: &hazard::R10,
            claim: "a branch of n slots has n states",
            model: || ages(Some(Fault::KeepsAll)),
            breaks: &[Breaks::Property("states are logarithmic in slots")],
        },
        Twin {
            name: "states_expire_sooner",
            hazard: &hazard::R10,
            claim: "states go sooner than the rule of thinning says, and trails are longer",
            model: || ages(Some(Fault::ExpiresSooner)),
            breaks: &[Breaks::Property("a trail is short for its age")],
        },
    ],
}];
