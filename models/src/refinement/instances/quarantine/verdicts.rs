//! Parents, slots, invalid blocks and a forged copy, with workers that check, commit and tell.
//!
//! Each item has a number in the machine, by its arrival. States that look the same are one here,
//! in whatever order their items came: no bound is met, so that no order should make a difference.
//! A fault that shows in one order alone may not be noticed.

use std::hash::{Hash, Hasher};

use blocksmith::quarantine::Limits;
use blocksmith::toy::ToyBlock;
use blocksmith::verdict::PendingReason;
use stateright::Model;

use super::{Check, World};
use crate::refinement::graph::{Agreement, Side, TooMany};
use crate::refinement::value::{Value, Variables};
use crate::refinement::{Instance, Projected, Twin, variables, walk};

const NAMES: [&str; 6] = ["one", "copy", "two", "three", "four", "five"];
/// A chain, a copy with a bad signature, and a branch that begins with an invalid block.
const BLOCKS: [ToyBlock; 6] = [
    ToyBlock::new(1, 0, 1),
    ToyBlock::new(1, 0, 1).badly_signed(),
    ToyBlock::new(2, 1, 2),
    ToyBlock::new(3, 1, 1).invalid(),
    ToyBlock::new(4, 3, 2),
    ToyBlock::new(5, 4, 2),
];
const ROOTS: u8 = 5;
const WORKERS: usize = 2;
const LAST_SLOT: u64 = 2;
/// Room for everything: no bound is met.
const LIMITS: Limits = Limits {
    window: 12,
    unproven: 8,
    peer_blocks: 8,
    peer_votes: 8,
    items: 16,
    bytes: 64,
    items_per_peer: 16,
    followers: 4,
    copies: 4,
    remembered: 8,
    peers: 8,
    patience: 8,
    depth: 8,
    needs: 8,
    equivocations: 8,
    awaited_equivocations: 8,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The answer is on its way before the block is committed.
    ToldFirst,
    /// One root is remembered as invalid.
    Forgets,
    /// What waits expires at the next slot.
    Impatient,
}

/// How a state looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Looks {
    places: [&'static str; NAMES.len()],
    answers: [usize; NAMES.len()],
    known: Vec<u8>,
    unviable: Vec<u8>,
    committed: Vec<u8>,
    slot: u64,
}

#[derive(Clone, Debug)]
struct State {
    world: World<6>,
    looks: Looks,
}

impl State {
    fn new(world: World<6>) -> Self {
        let roots = |has: &dyn Fn(u8) -> bool| (0..=ROOTS).filter(|root| has(*root)).collect();
        let looks = Looks {
            places: std::array::from_fn(|item| place(&world, item)),
            answers: std::array::from_fn(|item| world.verdicts[item].len()),
            known: roots(&|root| world.machine.knows(root)),
            unviable: roots(&|root| world.machine.is_unviable(root)),
            committed: roots(&|root| world.hot_db.contains(root)),
            slot: world.slot,
        };
        Self { world, looks }
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.looks == other.looks
    }
}

impl Eq for State {}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.looks.hash(hasher);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Arrive(&'static str),
    Take(&'static str),
    Commit(&'static str),
    Tell(&'static str),
    Hear(&'static str),
    Tick,
}

struct Verdicts {
    fault: Option<Fault>,
}

fn is_good(item: usize) -> bool {
    BLOCKS[item].valid && BLOCKS[item].signed
}

/// Ends the work on an item: a worker that has not committed it finds it invalid, or has the fault.
fn tell(world: &mut World<6>, item: usize) -> Option<()> {
    let answer = match world.checks.remove(&item)? {
        Check::Committed(answer) => answer,
        Check::Busy(job) if is_good(item) => world.clone().run(job),
        Check::Busy(job) => world.run(job),
        Check::Queued(_) | Check::Told(_) => return None,
    };
    world.checks.insert(item, Check::Told(answer));
    Some(())
}

fn place(world: &World<6>, item: usize) -> &'static str {
    if !world.sent[item] {
        return "away";
    }
    if let Some((class, _)) = world.verdicts[item].first() {
        return match *class {
            "valid" => "accepted",
            "invalid" => "rejected",
            class => class,
        };
    }
    match (world.checks.get(&item), world.pending(item)) {
        (Some(Check::Queued(_)), _) => "ready",
        (Some(Check::Busy(_)), _) => "busy",
        (Some(Check::Committed(_)), _) => "committed",
        (Some(Check::Told(_)), _) => "told",
        (None, Some(PendingReason::UnknownParent)) => "parent",
        (None, Some(PendingReason::FutureSlot)) => "slot",
        (None, Some(_)) => "held",
        (None, None) => "lost",
    }
}

/// Returns the place of an item in the lists.
fn item(name: &str) -> usize {
    NAMES.iter().position(|other| *other == name).expect("it is one of the items")
}

impl Model for Verdicts {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let limits = match self.fault {
            Some(Fault::Forgets) => Limits { remembered: 1, ..LIMITS },
            Some(Fault::Impatient) => Limits { patience: 1, ..LIMITS },
            _ => LIMITS,
        };
        vec![State::new(World::new(limits, 1, &BLOCKS))]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let world = &state.world;
        let at_work = |check: &&Check| matches!(check, Check::Busy(_) | Check::Committed(_));
        let has_worker = world.checks.values().filter(at_work).count() < WORKERS;
        for (item, name) in NAMES.into_iter().enumerate() {
            if !world.sent[item] {
                actions.push(Action::Arrive(name));
                continue;
            }
            let told_first = self.fault == Some(Fault::ToldFirst);
            match world.checks.get(&item) {
                Some(Check::Queued(_)) => actions.extend(has_worker.then_some(Action::Take(name))),
                Some(Check::Busy(_)) if is_good(item) && !told_first => {
                    actions.push(Action::Commit(name));
                }
                Some(Check::Busy(_) | Check::Committed(_)) => actions.push(Action::Tell(name)),
                Some(Check::Told(_)) => actions.push(Action::Hear(name)),
                None => {}
            }
        }
        actions.extend((world.slot < LAST_SLOT).then_some(Action::Tick));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut world = last.world.clone();
        match action {
            // Each item comes from a peer of its own.
            Action::Arrive(name) => world.submit(item(name), item(name) as u64, &BLOCKS),
            Action::Take(name) => {
                let Check::Queued(job) = world.checks.remove(&item(name))? else { return None };
                world.checks.insert(item(name), Check::Busy(job));
            }
            Action::Commit(name) => {
                let Check::Busy(job) = world.checks.remove(&item(name))? else { return None };
                let answer = world.run(job);
                world.checks.insert(item(name), Check::Committed(answer));
            }
            Action::Tell(name) => tell(&mut world, item(name))?,
            Action::Hear(name) => {
                let Check::Told(answer) = world.checks.remove(&item(name))? else { return None };
                world.hear(item(name), answer, &BLOCKS);
                world.import(item(name), &BLOCKS);
            }
            Action::Tick => world.tick(world.slot + 1, &BLOCKS),
        }
        Some(State::new(world))
    }
}

impl Projected for Verdicts {
    fn variables(&self, state: &State) -> Variables {
        let Looks { places, answers, known, unviable, committed, slot } = &state.looks;
        let roots = |roots: &[u8]| Value::set(roots.iter().copied());
        variables([
            ("place", Value::function(NAMES.into_iter().zip(*places))),
            ("known", roots(known)),
            ("unviable", roots(unviable)),
            ("committed", roots(committed)),
            ("slot", (*slot).into()),
            ("answers", Value::function(NAMES.into_iter().zip(*answers))),
        ])
    }
}

fn machine(fault: Option<Fault>) -> Result<Side, TooMany> {
    walk(&Verdicts { fault })
}

pub(in crate::refinement::instances) const INSTANCE: Instance = Instance {
    name: "quarantine",
    spec: "Quarantine",
    cfg: "Quarantine",
    source: "quarantine: Quarantine; rewinder: Worker; hot_db: HotDb",
    bounds: "6 blocks of 6 peers, 2 workers, 2 slots; no bound of the machine is met",
    dropped: "the order of arrival, peers' standings, what is remembered of refused copies",
    is_whole: true,
    size: Agreement { states: 1752, edges: 6716 },
    machine: || machine(None),
    twins: &[
        Twin {
            name: "told_first",
            claim: "a worker tells its verdict before it commits",
            machine: || machine(Some(Fault::ToldFirst)),
            step: "Tell",
        },
        Twin {
            name: "forgets",
            claim: "one root is remembered as invalid",
            machine: || machine(Some(Fault::Forgets)),
            step: "",
        },
        Twin {
            name: "impatient",
            claim: "what waits expires with the next slot",
            machine: || machine(Some(Fault::Impatient)),
            step: "Tick",
        },
    ],
};
