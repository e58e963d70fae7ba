//! What an event costs the fork choice, counted in comparisons of roots.
//!
//! A tree grows as a chain, or as a chain with a sibling beside each block. At every size, a block
//! on the head, a block beside the head, a vote for the head or a vote for the oldest block may
//! come next, and ends the run. Every look-up of a root compares roots, so looking all blocks up
//! shows.
//!
//! **Limit.** What visits blocks by their places in the array compares no roots and is not counted:
//! a fork choice that builds its whole index anew at each event passes. The example `fork_choice`
//! measures the times.
//!
//! | property | meaning |
//! |---|---|
//! | an event costs its path | the comparisons of one event on n blocks are at most [`LOOK_UPS`] look-ups in a map of n roots, and one for each fork on the path |

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use blocksmith::consensus::{
    Balances, Checkpoint, Checkpoints, IndexedVote, Slot, ValidatorIndex, Vote,
};
use blocksmith::fork_choice::{Config, Event, ForkChoice};
use blocksmith::machine::Machine;
use stateright::{Model, Property};

use super::{Bounded, Instance, Rule, Twin};
use crate::hazard;
use blocksmith_engines::verdict::Breaks;

/// Look-ups of a root that one event may make.
const LOOK_UPS: u64 = 8;
/// Comparisons of one look-up in a map of n roots: the members of a node for each level of a tree.
const NODE: u64 = 12;
/// Blocks beside the anchor.
const BLOCKS: u16 = 192;
const SLOTS_PER_EPOCH: u64 = 1 << 20;

thread_local! {
    static COMPARED: Cell<u64> = const { Cell::new(0) };
}

/// A root that counts how often this thread compares roots by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Counted(u16);

impl Ord for Counted {
    fn cmp(&self, other: &Self) -> Ordering {
        COMPARED.with(|count| count.set(count.get() + 1));
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Counted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone, Debug)]
struct Costs {
    /// Whether every event looks at all blocks for the head, as the specification's `get_head`
    /// does.
    looks_at_all: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    fork_choice: ForkChoice<Counted>,
    forks: bool,
    /// The last block of the chain, and the one before it.
    tip: [Counted; 2],
    blocks: u16,
    /// Comparisons of the last event.
    cost: u64,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// The tree grows by a block on the tip, and by one beside it where the tree has forks.
    Grow,
    /// The last event: a block on the tip or beside it, a vote for the tip or the oldest block.
    BlockOnTip,
    BlockBesideTip,
    VoteForTip,
    VoteForOldest,
}

impl State {
    fn slot(&self) -> Slot {
        u64::from(self.blocks) + 1
    }

    /// Hands over a block on `parent` and returns its root.
    fn block(&mut self, model: &Costs, parent: Counted) -> Counted {
        self.blocks += 1;
        let (root, slot) = (Counted(self.blocks), u64::from(self.blocks));
        let first = Checkpoint { epoch: 0, root: Counted(0) };
        let checkpoints = Checkpoints {
            justified: first,
            finalized: first,
            unrealized_justified: first,
            unrealized_finalized: first,
        };
        let proposer = slot;
        let (votes, equivocating, timely) = (Vec::new(), Vec::new(), false);
        let event =
            Event::Block { root, parent, slot, proposer, checkpoints, timely, votes, equivocating };
        self.measure(model, event);
        root
    }

    fn vote(&mut self, model: &Costs, head: Counted, validator: ValidatorIndex) {
        let target = Checkpoint { epoch: 0, root: Counted(0) };
        let vote = Vote {
            id: Counted(0),
            slot: self.slot() - 1,
            beacon_block_root: head,
            source: target,
            target,
        };
        let vote = IndexedVote { vote, indices: vec![validator] };
        self.measure(model, Event::Attestation { vote });
    }

    fn measure(&mut self, model: &Costs, event: Event<Counted>) {
        COMPARED.with(|count| count.set(0));
        self.fork_choice.handle(&(), event);
        if model.looks_at_all {
            let blocks = self.fork_choice.blocks().into_iter();
            let weights = blocks.filter_map(|(root, ..)| self.fork_choice.weight(root));
            assert!(weights.count() > 0, "the anchor has a weight");
        }
        self.cost = COMPARED.with(Cell::get);
    }
}

impl Bounded for Costs {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([("blocks", BLOCKS.to_string()), ("shapes", "2".to_owned())])
    }
}

impl Model for Costs {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let start = |forks| {
            let effective = std::sync::Arc::from(vec![1; 2]);
            let balances = Balances { effective, total_active: 2 };
            let config = Config::new(SLOTS_PER_EPOCH);
            let mut fork_choice = ForkChoice::new(config, Counted(0), 0, balances);
            fork_choice.handle(&(), Event::Tick { slot: u64::from(BLOCKS) + 8 });
            let tip = [Counted(0); 2];
            State { fork_choice, forks, tip, blocks: 0, cost: 0, ended: false }
        };
        vec![start(false), start(true)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.ended {
            return;
        }
        actions.extend((state.blocks < BLOCKS).then_some(Action::Grow));
        actions.extend([
            Action::BlockOnTip,
            Action::BlockBesideTip,
            Action::VoteForTip,
            Action::VoteForOldest,
        ]);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let [tip, before] = state.tip;
        state.ended = action != Action::Grow;
        match action {
            Action::Grow => {
                let root = state.block(self, tip);
                if state.forks {
                    state.block(self, tip);
                }
                state.tip = [root, tip];
            }
            Action::BlockOnTip => drop(state.block(self, tip)),
            Action::BlockBesideTip => drop(state.block(self, before)),
            Action::VoteForTip => state.vote(self, tip, 0),
            Action::VoteForOldest => state.vote(self, Counted(0), 1),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("an event costs its path", |_: &Self, state: &State| {
            let blocks = u64::from(state.blocks) + 1;
            // A map's node has 6 members at least, so a map of n roots has log6(n) + 1 levels.
            let levels = u64::from(blocks.ilog(6)) + 1;
            let forks = if state.forks { blocks } else { 0 };
            state.cost <= LOOK_UPS * NODE * levels + forks
        })]
    }
}

pub(super) const RULES: &[Rule] = &[Rule {
    name: "cost_of_an_event",
    claim: "chains and forks of up to 192 blocks: a block or a vote costs the fork choice a few \
            look-ups of roots and the forks on its path; visits by place are not counted",
    states: 1448,
    model: || Box::new(Costs { looks_at_all: false }) as Box<dyn Instance>,
    twins: &[Twin {
        name: "head_over_all_blocks",
        hazard: &hazard::A13,
        claim: "the head is looked for over all blocks at each event",
        model: || Box::new(Costs { looks_at_all: true }),
        breaks: &[Breaks::Property("an event costs its path")],
    }],
}];
