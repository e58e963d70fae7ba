//! A clock that goes wrong and is put right: its ticks, votes and blocks go to core's own fork
//! choice and attestation pool.
//!
//! Time moves on slot by slot. An adversary chooses, and changes at any time, what the node's clock
//! shows: the right slot, the slot before it (jitter), or one far ahead. While the clock is far
//! ahead, somebody votes in the slot that it shows.
//!
//! | property | meaning |
//! |---|---|
//! | a vote of the last slot counts | while the clock is right, the block has the weight of all votes that came while the clock was not far ahead, but for those that waited when it went wrong |
//! | an attestation of the last slot is held | unless the clock is far ahead, the pool has all attestations that have come since it last was |
//! | a block in time is boosted | a block that comes while the clock shows its slot has the boost, until the next slot |
//! | what a wrong clock lets in goes | unless the clock is far ahead, the pool has no more than that; while the clock is right, no vote waits in the fork choice |
//! | a clock one slot back changes nothing | neither machine is another after a tick from the right slot to the one before |

use std::collections::BTreeMap;
use std::sync::Arc;

use blocksmith::attestation_pool::{self, AttestationPool};
use blocksmith::consensus::{Balances, Checkpoint, Checkpoints, IndexedVote, Slot, Vote};
use blocksmith::fork_choice::{Config, Event, ForkChoice};
use blocksmith::machine::Machine;
use blocksmith::toy::{ToyAttestation, ToyRoot};
use stateright::{Model, Property};

use super::{Bounded, Instance, Rule, Twin};
use crate::hazard;
use blocksmith_engines::verdict::Breaks;

const SLOTS_PER_EPOCH: u64 = 4;
/// The first and the last slot; a new epoch begins between them.
const START: Slot = 10;
const END: Slot = 13;
/// How far ahead a wrong clock is, in slots.
const FAR: u64 = 100;
/// How often the clock goes wrong.
const TIMES: u8 = 2;
/// Votes that come, each of another validator, beside the one of a wrong slot.
const VOTES: u8 = 2;
const BALANCE: u64 = 100;
const ANCHOR: Checkpoint<ToyRoot> = Checkpoint { epoch: 0, root: 0 };
/// The block that all votes are for, which is its epoch's checkpoint and that of later ones.
const BLOCK: ToyRoot = 1;

const COUNTS: &str = "a vote of the last slot counts";
const HELD: &str = "an attestation of the last slot is held";
const BOOSTED: &str = "a block in time is boosted";
const GOES: &str = "what a wrong clock lets in goes";
const JITTER: &str = "a clock one slot back changes nothing";

/// What goes wrong at a port of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    /// The fork choice is told of no slot before the latest.
    ForkChoiceStays,
    /// The pool is told of no slot before the latest.
    PoolStays,
    /// Each step back passes for that of a clock that was far ahead.
    FollowsEveryStep,
}

/// What the clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Clock {
    Right,
    OneBack,
    FarAhead,
}

impl Clock {
    fn shows(self, now: Slot) -> Slot {
        match self {
            Self::Right => now,
            Self::OneBack => now - 1,
            Self::FarAhead => now + FAR,
        }
    }
}

#[derive(Clone, Debug)]
struct Corrected {
    fault: Option<Fault>,
    /// How many votes come that are not of a wrong slot, at most [`VOTES`].
    votes: u8,
    /// Whether one of a wrong slot comes.
    strays: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    fork_choice: ForkChoice<ToyRoot>,
    pool: AttestationPool<ToyRoot, ToyAttestation>,
    now: Slot,
    clock: Clock,
    /// How often the clock has gone wrong.
    wrong: u8,
    /// Votes that have come, and whether one of a wrong slot has.
    votes: u8,
    strayed: bool,
    /// The votes that are to count once the clock is right, and those that the pool is to have.
    count: u8,
    hold: u8,
    /// The block that came last, and its slot.
    last: (ToyRoot, Slot),
    /// The block that is to have the boost.
    boosted: Option<ToyRoot>,
    jitter_counts: bool,
    /// With a fault: the latest slot that the clock has shown.
    latest: Slot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    /// The next slot begins.
    Slot,
    /// From now on the clock shows another slot.
    Clock(Clock),
    /// A vote of the last slot comes.
    Vote,
    /// A block of this slot comes in time.
    Block,
    /// A vote of the slot comes that a wrong clock shows.
    Stray,
}

impl State {
    fn is_wrong(&self) -> bool {
        self.clock == Clock::FarAhead
    }

    /// Hands a block over that comes in time and justifies nothing.
    fn block(&mut self, root: ToyRoot, slot: Slot) {
        let checkpoints = Checkpoints {
            justified: ANCHOR,
            finalized: ANCHOR,
            unrealized_justified: ANCHOR,
            unrealized_finalized: ANCHOR,
        };
        let (votes, equivocating) = (Vec::new(), Vec::new());
        let (parent, proposer, timely) = (self.fork_choice.head(), slot, true);
        let event =
            Event::Block { root, parent, slot, proposer, checkpoints, timely, votes, equivocating };
        self.fork_choice.handle(&(), event);
        self.last = (root, slot);
    }

    /// Hands a validator's vote to both machines.
    fn vote(&mut self, validator: u8, slot: Slot) {
        let target = Checkpoint { epoch: slot / SLOTS_PER_EPOCH, root: BLOCK };
        let (id, head, valid, index) = (validator, BLOCK, true, u64::from(validator));
        let vote = Vote { id, slot, beacon_block_root: head, source: ANCHOR, target };
        let vote = IndexedVote { vote, indices: vec![index] };
        self.fork_choice.handle(&(), Event::Attestation { vote });
        let attestation = ToyAttestation { id, slot, head, target, validator: index, valid };
        self.pool.handle(&(), attestation_pool::Event::Attestation(attestation));
    }

    fn tick_fork_choice(&mut self, slot: Slot) {
        self.fork_choice.handle(&(), Event::Tick { slot });
    }

    fn tick_pool(&mut self, slot: Slot) {
        self.pool.handle(&(), attestation_pool::Event::Tick { slot });
    }
}

impl Corrected {
    /// Tells the machines what the clock shows.
    fn tick(&self, state: &mut State) {
        let slot = state.clock.shows(state.now);
        let steps_back = slot < state.latest;
        if self.fault == Some(Fault::FollowsEveryStep) && steps_back {
            state.tick_fork_choice(slot + FAR);
            state.tick_pool(slot + FAR);
        }
        if !(self.fault == Some(Fault::ForkChoiceStays) && steps_back) {
            state.tick_fork_choice(slot);
        }
        if !(self.fault == Some(Fault::PoolStays) && steps_back) {
            state.tick_pool(slot);
        }
        if self.fault.is_some() {
            state.latest = state.latest.max(slot);
        }
    }

    fn set_clock(&self, state: &mut State, clock: Clock) {
        let is_jitter = (state.clock, clock) == (Clock::Right, Clock::OneBack);
        let before = is_jitter.then(|| (state.fork_choice.clone(), state.pool.clone()));
        if clock == Clock::FarAhead {
            // Votes that wait are then too old, and so is what the pool has.
            let waiting = state.fork_choice.queued_attestations();
            state.count -= u8::try_from(waiting).unwrap_or(u8::MAX);
            (state.wrong, state.hold, state.boosted) = (state.wrong + 1, 0, None);
        }
        state.clock = clock;
        self.tick(state);
        if let Some((fork_choice, pool)) = before {
            state.jitter_counts |= fork_choice != state.fork_choice || pool != state.pool;
        }
    }
}

impl Bounded for Corrected {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("slots", (END - START + 1).to_string()),
            ("times_far_ahead", TIMES.to_string()),
            ("votes", self.votes.to_string()),
        ])
    }

    fn step_in_words(&self, state: &State, action: &Action) -> (String, String) {
        let (who, does) = match action {
            Action::Slot => ("time", format!("moves on to slot {}", state.now + 1)),
            Action::Clock(clock) => ("clock", format!("shows slot {}", clock.shows(state.now))),
            Action::Vote => ("network", format!("brings a vote of slot {}", state.now - 1)),
            Action::Block => ("network", format!("brings a block of slot {} in time", state.now)),
            Action::Stray => {
                ("network", format!("brings a vote of slot {}", state.clock.shows(state.now)))
            }
        };
        (who.to_owned(), does)
    }

    fn objects(&self, state: &State) -> Vec<(String, String)> {
        let weight = state.fork_choice.weight(BLOCK).unwrap_or(0) / u128::from(BALANCE);
        let boosted = |root: Option<ToyRoot>| root.map_or("none".to_owned(), |r| r.to_string());
        let all = [
            ("right slot", state.now.to_string()),
            ("clock", format!("shows slot {}", state.clock.shows(state.now))),
            ("slot of the fork choice", state.fork_choice.slot().to_string()),
            ("votes that count", format!("{weight}, and {} are to", state.count)),
            ("votes that wait", state.fork_choice.queued_attestations().to_string()),
            ("attestations in the pool", format!("{}, of {}", state.pool.len(), state.hold)),
            ("boosted block", boosted(state.fork_choice.proposer_boost_root())),
            ("block to be boosted", boosted(state.boosted)),
        ];
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Model for Corrected {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        // The validator that votes in a wrong slot is the last one, and has no balance.
        let effective = Arc::from([vec![BALANCE; VOTES.into()], vec![0]].concat());
        let balances = Balances { effective, total_active: BALANCE * u64::from(VOTES) };
        // A boost without weight leaves the votes to be counted.
        let config = Config { proposer_score_boost_percent: 0, ..Config::new(SLOTS_PER_EPOCH) };
        let mut state = State {
            fork_choice: ForkChoice::new(config, ANCHOR.root, 0, balances),
            pool: AttestationPool::new(attestation_pool::Limits::new(SLOTS_PER_EPOCH)),
            now: START,
            clock: Clock::Right,
            wrong: 0,
            votes: 0,
            strayed: false,
            count: 0,
            hold: 0,
            last: (ANCHOR.root, 0),
            boosted: None,
            jitter_counts: false,
            latest: 0,
        };
        self.tick(&mut state);
        state.block(BLOCK, START - 2);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend((state.now < END).then_some(Action::Slot));
        let clocks = [Clock::Right, Clock::OneBack, Clock::FarAhead].into_iter();
        let others = clocks.filter(|clock| *clock != state.clock);
        let may_be = |clock: &Clock| *clock != Clock::FarAhead || state.wrong < TIMES;
        actions.extend(others.filter(may_be).map(Action::Clock));
        actions.extend((state.votes < self.votes).then_some(Action::Vote));
        let is_due = state.clock == Clock::Right && state.last.1 < state.now;
        actions.extend(is_due.then_some(Action::Block));
        let may_stray = self.strays && !state.strayed;
        actions.extend((state.is_wrong() && may_stray).then_some(Action::Stray));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Slot => {
                state.now += 1;
                state.boosted = None;
                self.tick(&mut state);
            }
            Action::Clock(clock) => self.set_clock(&mut state, clock),
            Action::Vote => {
                let slot = state.now - 1;
                state.vote(last.votes, slot);
                state.votes += 1;
                let counts = u8::from(!state.is_wrong());
                (state.count, state.hold) = (state.count + counts, state.hold + counts);
            }
            Action::Block => {
                let (root, slot) = (state.last.0 + 1, state.now);
                state.block(root, slot);
                state.boosted = Some(root);
            }
            Action::Stray => {
                let slot = state.clock.shows(state.now);
                state.vote(VOTES, slot);
                state.strayed = true;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = Property::<Self>::always;
        vec![
            always(COUNTS, |_, state| {
                let weight = u128::from(state.count) * u128::from(BALANCE);
                state.clock != Clock::Right || state.fork_choice.weight(BLOCK) == Some(weight)
            }),
            always(HELD, |_, state| {
                state.is_wrong() || state.pool.len() >= usize::from(state.hold)
            }),
            always(BOOSTED, |_, state| {
                state.boosted.is_none() || state.fork_choice.proposer_boost_root() == state.boosted
            }),
            always(GOES, |_, state| {
                let queued = state.fork_choice.queued_attestations();
                (state.is_wrong() || state.pool.len() <= usize::from(state.hold))
                    && (state.clock != Clock::Right || queued == 0)
            }),
            always(JITTER, |_, state| !state.jitter_counts),
        ]
    }
}

fn corrected(fault: Option<Fault>) -> Box<dyn Instance> {
    Box::new(Corrected { fault, votes: VOTES, strays: true })
}

/// Without votes of the last slot, whose loss is seen as early as what else is lost.
fn without_votes(fault: Fault, strays: bool) -> Box<dyn Instance> {
    Box::new(Corrected { fault: Some(fault), votes: 0, strays })
}

pub(super) const RULES: &[Rule] = &[Rule {
    name: "corrected_clock",
    claim: "a clock is far ahead twice, and one slot back at any time: once it is put right, votes \
            count, attestations are held and blocks are boosted",
    states: 18_786,
    model: || corrected(None),
    twins: &[
        Twin {
            name: "fork_choice_never_goes_back",
            hazard: &hazard::A19,
            claim: "the fork choice stays at the largest slot that the clock has shown",
            model: || corrected(Some(Fault::ForkChoiceStays)),
            breaks: &[Breaks::Property(COUNTS)],
        },
        Twin {
            name: "pool_never_goes_back",
            hazard: &hazard::A19,
            claim: "the attestation pool stays at the largest slot that the clock has shown",
            model: || corrected(Some(Fault::PoolStays)),
            breaks: &[Breaks::Property(HELD)],
        },
        Twin {
            name: "no_boost_after_a_wrong_clock",
            hazard: &hazard::A19,
            claim: "the fork choice stays at the largest slot that the clock has shown, and blocks \
                    come and no votes",
            model: || without_votes(Fault::ForkChoiceStays, false),
            breaks: &[Breaks::Property(BOOSTED)],
        },
        Twin {
            name: "what_came_too_early_stays",
            hazard: &hazard::A19,
            claim: "the attestation pool stays at the largest slot that the clock has shown, and a \
                    vote of a wrong slot comes alone",
            model: || without_votes(Fault::PoolStays, true),
            breaks: &[Breaks::Property(GOES)],
        },
        Twin {
            name: "jitter_is_followed",
            hazard: &hazard::A19,
            claim: "a clock that is one slot back passes for one that was far ahead",
            model: || corrected(Some(Fault::FollowsEveryStep)),
            breaks: &[Breaks::Property(JITTER)],
        },
    ],
}];
