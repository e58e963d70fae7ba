//! The HotDB near its bound on bytes: commits, states that workers post back, and finality, in any
//! order.
//!
//! | property | meaning |
//! |---|---|
//! | the budget is kept | blocks and states cost no more than the bound, or every state that is left is pinned |
//! | pins are kept | a state that was cached when it was pinned is there as long as it is pinned |
//! | a kept state is its block's | a trail starts from the state of the block that it names, at the slot that it names |
//! | a trail can be replayed | every live block has a trail, and its replay ends in the block's own state |
//! | live blocks stay | what descends from the finalised block is not pruned |

use std::collections::{BTreeMap, BTreeSet};

use blocksmith::consensus::{Checkpoint, Consensus, Slot, UpdateFlags};
use blocksmith::hot_db::{
    CommitReply, Effect, Event, HotDb, Limits, Prune, StateAt, Trail, TrailReply,
};
use blocksmith::identified;
use blocksmith::machine::Machine;
use blocksmith::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use stateright::{Model, Property};

use super::{Bounded, Instance, Rule, Twin};
use crate::hazard;
use blocksmith_engines::verdict::Breaks;

/// A fault in what the HotDB is told, or in its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// The number of states is bounded, and not their bytes.
    ByNumberAlone,
    /// A state is kept by its block, whatever slot it was advanced to.
    ByBlockAlone,
    /// The state before a block is committed as the state after it.
    PreState,
    /// Finality keeps the head's descendants alone.
    PrunesToTheHead,
}

/// Blocks that may be committed: a chain 1 to 4, and a branch 5, 6 on 1; 7 is on 2.
const BLOCKS: [(ToyRoot, ToyRoot, Slot); 7] =
    [(1, 0, 1), (2, 1, 2), (3, 2, 3), (4, 3, 5), (5, 1, 3), (6, 5, 6), (7, 2, 7)];
/// Advanced states that workers may post.
const POSTS: [(ToyRoot, Slot); 2] = [(2, 4), (5, 8)];
/// Finalised block, justified block and head, as they may move, in this order.
const PRUNES: [[ToyRoot; 3]; 3] = [[0, 1, 2], [1, 1, 6], [2, 3, 7]];
/// States for which there is room beside all blocks.
const ROOM: usize = 4;

#[derive(Clone, Debug)]
struct Cache {
    fault: Option<Fault>,
    toy: Toy,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    db: HotDb<Toy>,
    /// Committed blocks that descend from the finalised one.
    live: BTreeSet<ToyRoot>,
    posted: [bool; 2],
    /// How often finality, justification or the head has moved.
    moved: usize,
    /// States that were cached when they were pinned.
    pinned: BTreeSet<(ToyRoot, Slot)>,
    /// Whether a commit got another answer than the model expects.
    surprised: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// The block of that place in the list is committed.
    Commit(usize),
    /// The state of that place in the list is posted.
    Post(usize),
    /// Finality, justification and head move on.
    Keep,
}

fn slot_of(root: ToyRoot) -> Slot {
    BLOCKS.iter().find(|block| block.0 == root).map_or(0, |block| block.2)
}

fn parent_of(root: ToyRoot) -> ToyRoot {
    BLOCKS.iter().find(|block| block.0 == root).map_or(0, |block| block.1)
}

fn descends(root: ToyRoot, from: ToyRoot) -> bool {
    root == from || (root != 0 && descends(parent_of(root), from))
}

fn state_of(root: ToyRoot, slot: Slot) -> ToyState {
    ToyState { block: root, slot, ..ToyState::anchor() }
}

impl Cache {
    /// Returns the bytes that the instance allows.
    fn budget(&self) -> usize {
        let block = ToyBlock::new(1, 0, 1);
        ROOM * self.toy.state_bytes(&ToyState::anchor())
            + BLOCKS.len() * self.toy.block_bytes(&block)
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn commit(&self, state: &mut State, place: usize) {
        let (root, parent, slot) = BLOCKS[place];
        let block = identified::block(&self.toy, ToyBlock::new(root, parent, slot));
        let after = state_of(if self.has(Fault::PreState) { parent } else { root }, slot);
        let commit = Event::Commit { block, state: StateAt { root, slot, state: after } };
        let effects = state.db.handle(&self.toy, commit);
        state.surprised |= effects != [Effect::Committed(CommitReply::Committed)];
        state.live.insert(root);
    }

    fn post(&self, state: &mut State, place: usize) {
        let (root, advanced) = POSTS[place];
        state.posted[place] = true;
        let slot = if self.has(Fault::ByBlockAlone) { slot_of(root) } else { advanced };
        let at = StateAt { root, slot, state: state_of(root, advanced) };
        state.db.handle(&self.toy, Event::PostState(at));
    }

    fn keep(&self, state: &mut State) {
        let [finalized, justified, head] = PRUNES[state.moved];
        state.moved += 1;
        let cached = |root: &ToyRoot| {
            let slot = slot_of(*root);
            let trail = state.db.trail(*root, slot);
            matches!(trail, TrailReply::Trail(trail) if (trail.start.root, trail.start.slot) == (*root, slot))
        };
        state.pinned = [finalized, justified, head]
            .into_iter()
            .filter(cached)
            .map(|r| (r, slot_of(r)))
            .collect();
        state.live.retain(|root| descends(*root, finalized));
        let finalized = if self.has(Fault::PrunesToTheHead) { head } else { finalized };
        let finalized = Checkpoint { epoch: 1, root: finalized };
        state.db.handle(&self.toy, Event::Prune(Prune { finalized, justified, head }));
    }

    /// Returns the state to which a trail leads.
    fn replay(&self, trail: &Trail<Toy>) -> Option<ToyState> {
        let mut at = trail.start.state;
        for block in &trail.blocks {
            self.toy.transition(&mut at, block.item(), UpdateFlags::replay()).ok()?;
        }
        self.toy.advance(&mut at, trail.slot).ok()?;
        Some(at)
    }

    fn trails<'a>(state: &'a State) -> impl Iterator<Item = (ToyRoot, TrailReply<Toy>)> + 'a {
        let slots = |root: ToyRoot| [slot_of(root), slot_of(root) + 9];
        let live = state.live.iter().flat_map(move |root| slots(*root).map(|slot| (*root, slot)));
        live.map(|(root, slot)| (root, state.db.trail(root, slot)))
    }
}

impl Bounded for Cache {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("blocks", BLOCKS.len().to_string()),
            ("bytes", self.budget().to_string()),
            ("states_that_fit", ROOM.to_string()),
            ("moves_of_finality", PRUNES.len().to_string()),
        ])
    }
}

impl Model for Cache {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let bytes = if self.has(Fault::ByNumberAlone) { usize::MAX } else { self.budget() };
        let limits = Limits { bytes, checkpoint_slots: 8, passing_states: 2, ..Limits::default() };
        vec![State {
            db: HotDb::new(&self.toy, limits, 0, 0, ToyState::anchor()),
            live: BTreeSet::from([0]),
            posted: [false; 2],
            moved: 0,
            pinned: BTreeSet::new(),
            surprised: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let open = BLOCKS.iter().enumerate();
        let open = open.filter(|(_, (root, parent, _))| {
            !state.live.contains(root) && state.live.contains(parent)
        });
        actions.extend(open.map(|(place, _)| Action::Commit(place)));
        let posts = POSTS.iter().enumerate();
        let posts =
            posts.filter(|(place, (root, _))| !state.posted[*place] && state.live.contains(root));
        actions.extend(posts.map(|(place, _)| Action::Post(place)));
        // What is kept is committed.
        let next = PRUNES.get(state.moved);
        let may_move = next.is_some_and(|keep| keep.iter().all(|root| state.live.contains(root)));
        actions.extend(may_move.then_some(Action::Keep));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Commit(place) => self.commit(&mut state, place),
            Action::Post(place) => self.post(&mut state, place),
            Action::Keep => self.keep(&mut state),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("commits are taken", |_: &Self, state: &State| !state.surprised),
            Property::always("the budget is kept", |model: &Self, state: &State| {
                let bytes = state.db.bytes();
                let blocks = state.db.blocks() * model.toy.block_bytes(&ToyBlock::new(1, 0, 1));
                bytes <= model.budget() || bytes <= state.db.pinned_bytes() + blocks
            }),
            Property::always("live blocks stay", |_: &Self, state: &State| {
                state.live.iter().all(|root| state.db.contains(*root))
            }),
            Property::always("pins are kept", |_: &Self, state: &State| {
                state.pinned.iter().all(|(root, slot)| match state.db.trail(*root, *slot) {
                    TrailReply::Trail(trail) => {
                        trail.blocks.is_empty() && trail.start.root == *root
                    }
                    _ => !state.live.contains(root),
                })
            }),
            Property::always("a kept state is its block's", |_: &Self, state: &State| {
                Self::trails(state).all(|(_, reply)| match reply {
                    TrailReply::Trail(trail) => {
                        let at = trail.start.state;
                        (at.block, at.slot) == (trail.start.root, trail.start.slot)
                    }
                    _ => true,
                })
            }),
            Property::always("a trail can be replayed", |model: &Self, state: &State| {
                Self::trails(state).all(|(root, reply)| match reply {
                    TrailReply::Trail(trail) => {
                        model.replay(&trail) == Some(state_of(root, trail.slot))
                    }
                    _ => false,
                })
            }),
        ]
    }
}

fn cache(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Cache { fault, toy: Toy::default() })
}

pub(super) const RULES: &[Rule] = &[Rule {
    name: "byte_budget",
    claim: "room for four states: commits, posted states and finality in any order keep the budget, \
            the pins, and for every live block a trail that leads to its state",
    states: 871,
    model: || cache(None),
    twins: &[
        Twin {
            name: "bounded_by_number",
            hazard: &hazard::R10,
            claim: "states are bounded by their number alone",
            model: || cache(Some(Fault::ByNumberAlone)),
            breaks: &[Breaks::Property("the budget is kept")],
        },
        Twin {
            name: "memory_filled",
            hazard: &hazard::C12,
            claim: "a cache that is bounded by number holds more bytes than it may",
            model: || cache(Some(Fault::ByNumberAlone)),
            breaks: &[Breaks::Property("the budget is kept")],
        },
        Twin {
            name: "keyed_by_block",
            hazard: &hazard::R10,
            claim: "an advanced state is kept as if it were its block's own",
            model: || cache(Some(Fault::ByBlockAlone)),
            breaks: &[Breaks::Property("a kept state is its block's")],
        },
        Twin {
            name: "pre_state_in_the_cache",
            hazard: &hazard::R9,
            claim: "the state before a block is cached as the state after it",
            model: || cache(Some(Fault::PreState)),
            breaks: &[Breaks::Property("a kept state is its block's")],
        },
        Twin {
            name: "reset_on_finality",
            hazard: &hazard::R12,
            claim: "finality drops live branches beside the head's",
            model: || cache(Some(Fault::PrunesToTheHead)),
            breaks: &[Breaks::Property("live blocks stay")],
        },
    ],
}];
