//! What is cleared depends on what has come, and on nothing else: not on the order of arrival, not
//! on the number of workers, not on a restart.
//!
//! A history has a DAG of blocks with equivocations, orphans, invalid and badly signed ones;
//! attestations; and ticks, so that the clock goes forwards and back. It is handed to the
//! Quarantine in a random order. A random schedule chooses what comes next: an item arrives, one of
//! the workers answers, Clearance answers, the ColdDB flushes. In between the process may restart
//! from its store; what came before then comes again. In the end the clock reaches every slot, and
//! then a slot at which all that still waits expires.
//!
//! The limits are so large that nothing is dropped for want of room. Nothing is finalised: what
//! finality excludes depends on when it comes. Nor does anybody vote for a target that another
//! block follows before the epoch begins: such a vote is too old once the HotDB does without the
//! target's state, and that depends on what was loaded before.

use std::collections::{BTreeMap, VecDeque};

use quickcheck::{Arbitrary, Gen, QuickCheck};

use super::empty;
use super::world::{Input, TOY, World, bounds};
use crate::cold_db::Bounds;
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::hot_db::HotDb;
use crate::machine::Machine;
use crate::quarantine::tests::work;
use crate::quarantine::{self, Effect, Event, Item, Quarantine, RequestId};
use crate::rewinder::Job;
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyRoot};
use crate::verdict::{Quarantined, Verdict};

/// The first and the last slot of the clock, before the end. Votes of these two epochs are current.
const CLOCK: std::ops::RangeInclusive<Slot> = 3..=8;

/// What comes, each with its place in another order of arrival.
#[derive(Clone, Debug)]
struct History(Vec<(u16, Input)>);

/// Returns whether something of a chance of one in `n` happens.
fn one_in(n: u8, g: &mut Gen) -> bool {
    u8::arbitrary(g).is_multiple_of(n)
}

impl Arbitrary for History {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut inputs = Vec::new();
        let mut blocks: Vec<(ToyRoot, ToyRoot, Slot)> = vec![(0, 0, 0)];
        for root in 1..=10 {
            let (parent, _, before) = blocks[usize::arbitrary(g) % blocks.len()];
            let parent = if one_in(8, g) { 200 + root } else { parent };
            let slot = (before + 1 + u64::from(one_in(3, g))).min(*CLOCK.end());
            let block = ToyBlock { valid: !one_in(8, g), ..ToyBlock::new(root, parent, slot) };
            let (forged, copied) = (one_in(6, g), one_in(6, g));
            if forged {
                inputs.push(Input::Block(block.badly_signed()));
            }
            if !forged || !one_in(3, g) {
                inputs.push(Input::Block(block));
            }
            if copied {
                inputs.push(Input::Block(block));
            }
            blocks.push((root, parent, slot));
        }
        for id in 100..106 {
            let (head, ..) = blocks[usize::arbitrary(g) % blocks.len()];
            let head = if one_in(8, g) { 250 } else { head };
            let slot = *CLOCK.start() + u64::arbitrary(g) % 6;
            let epoch = TOY.epoch_at(slot);
            let root = super::ancestor_of(&blocks, head, TOY.start_slot(epoch));
            let target = Checkpoint { epoch, root: if one_in(8, g) { 9 } else { root } };
            if blocks.iter().any(|block| block.1 == target.root && block.2 < TOY.start_slot(epoch))
            {
                continue;
            }
            let (validator, valid) = (u64::arbitrary(g) % 5, !one_in(8, g));
            inputs.push(Input::Vote(ToyAttestation { id, slot, head, target, validator, valid }));
        }
        for _ in 0..4 {
            inputs.push(Input::Tick(CLOCK.start() + u64::arbitrary(g) % 6));
        }
        Self(inputs.into_iter().map(|input| (u16::arbitrary(g), input)).collect())
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let whole = self.0.clone();
        Box::new((0..whole.len()).map(move |without| {
            let mut less = whole.clone();
            less.remove(without);
            Self(less)
        }))
    }
}

/// How a history is played.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    workers: usize,
    /// After how many steps the process restarts.
    restarts: Option<usize>,
    seed: u64,
}

/// The Quarantine with a HotDB and workers, over Clearance and a ColdDB with its store.
struct Node {
    quarantine: Quarantine<Toy>,
    hot_db: HotDb<Toy>,
    world: World,
    jobs: VecDeque<(RequestId, Job<Toy>)>,
    imports: VecDeque<(RequestId, Option<Input>)>,
    verdicts: BTreeMap<u64, Verdict<ToyRoot, crate::toy::ToyInvalid>>,
    bounds: Bounds,
    random: u64,
}

impl Node {
    fn new(limits: quarantine::Limits, seed: u64) -> Self {
        let bounds = Bounds { quarantine: limits, ..bounds() };
        let world = World::start_with(empty(), bounds).expect("an empty store");
        let mut node = Self {
            quarantine: world.quarantine.clone(),
            hot_db: world.hot_db.clone(),
            world,
            jobs: VecDeque::new(),
            imports: VecDeque::new(),
            verdicts: BTreeMap::new(),
            bounds,
            random: seed,
        };
        node.tick(*CLOCK.start());
        node
    }

    /// Returns the next of a sequence of numbers below `n` (Steele, Lea, Flood: SplitMix).
    fn below(&mut self, n: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % n as u64) as usize
    }

    fn handle(&mut self, event: Event<Toy>) {
        for effect in self.quarantine.handle(&TOY, event) {
            match effect {
                Effect::Check { request, job, .. } => self.jobs.push_back((request, job)),
                Effect::ClearBlock { request, block, .. } => {
                    let block = *block.item().item();
                    self.imports.push_back((request, Some(Input::Block(block))));
                }
                Effect::ClearAttestation { request, attestation } => {
                    let vote = *attestation.item().item();
                    self.imports.push_back((request, Some(Input::Vote(vote))));
                }
                Effect::Verdict { id, verdict } => {
                    assert!(self.verdicts.insert(id, verdict).is_none(), "one verdict");
                }
                Effect::Parked { .. } | Effect::Need { .. } => {}
                other => panic!("the history has no such item: {other:?}"),
            }
        }
    }

    fn tick(&mut self, slot: Slot) {
        self.world.take(Input::Tick(slot));
        self.handle(Event::Tick { slot, into_slot_ms: 0 });
    }

    fn arrive(&mut self, id: u64, input: Input) {
        let item = match input {
            Input::Tick(slot) | Input::PutRight(slot) => return self.tick(slot),
            Input::Block(block) => Item::Block(block),
            Input::Vote(vote) => Item::Attestation(vote),
            Input::Slashing(_) | Input::Exit(..) | Input::Carrier(..) => {
                unreachable!("the history has none")
            }
        };
        self.handle(Event::Submit { id, item: Quarantined::new(item, id % 3, 1) });
    }

    /// Has one of the first `workers` jobs done. Which is under way, its worker says when.
    fn answer(&mut self, workers: usize) {
        let at = self.below(workers.min(self.jobs.len()));
        let Some((request, job)) = self.jobs.remove(at) else { return };
        let answer = work(&TOY, &mut self.hot_db, job);
        self.handle(Event::Answered { request, answer });
    }

    fn import(&mut self) {
        let Some((request, input)) = self.imports.pop_front() else { return };
        input.into_iter().for_each(|input| self.world.take(input));
        let finalized = self.world.clearance.view().finalized;
        self.handle(Event::Imported { request: Some(request), finalized });
    }

    /// Starts again from what the store has. What was held, and what was not written, is lost.
    fn restart(&mut self) {
        let store = self.world.store().clone();
        self.world = World::start_with(store, self.bounds).expect("the store is whole");
        (self.quarantine, self.hot_db) = (self.world.quarantine.clone(), self.world.hot_db.clone());
        self.jobs.clear();
        self.imports.clear();
        self.verdicts.clear();
        self.tick(*CLOCK.start());
    }

    fn is_decided(&self, root: ToyRoot) -> bool {
        self.quarantine.knows(root) || self.quarantine.is_unviable(root)
    }

    /// Lets something happen that is not an arrival; returns whether anything could.
    fn step(&mut self, workers: usize) -> bool {
        match (self.below(3), self.jobs.is_empty(), self.imports.is_empty()) {
            (_, true, true) => return false,
            (0, _, _) => self.world.flush(),
            (1, _, false) | (_, true, _) => self.import(),
            _ => self.answer(workers),
        }
        true
    }
}

/// Plays a history in the given order. Returns for each root and attestation what became of it in
/// the end: `valid` if it is cleared, else the class of its verdicts.
fn play(
    inputs: &[Input],
    schedule: Schedule,
    limits: quarantine::Limits,
    again: bool,
) -> BTreeMap<ToyRoot, &'static str> {
    let Schedule { workers, restarts, seed } = schedule;
    let limits = quarantine::Limits { window: workers, unproven: workers, ..limits };
    let mut node = Node::new(limits, seed);
    let mut queue: VecDeque<_> = inputs.iter().copied().zip(0..).collect();
    // Each turn takes an input, or takes work off: the loop ends.
    for turn in 0.. {
        if restarts == Some(turn) {
            node.restart();
            if again {
                queue = inputs.iter().copied().zip(0..).collect();
            }
        }
        let arrives = node.below(3) > 0;
        match queue.front() {
            Some(&(input, id)) if arrives => {
                queue.pop_front();
                node.arrive(id, input);
            }
            Some(_) => drop(node.step(workers)),
            None => {
                if !node.step(workers) && restarts.is_none_or(|at| turn >= at) {
                    break;
                }
            }
        }
    }
    for slot in CLOCK.chain([10_000]) {
        node.tick(slot);
        while node.step(workers) {}
    }
    assert_eq!(node.quarantine.held(), 0, "nothing waits");
    let mut outcome = BTreeMap::new();
    for (id, input) in (0..).zip(inputs) {
        let (root, known) = match input {
            Input::Block(block) => (block.root, node.quarantine.knows(block.root)),
            Input::Vote(vote) => (vote.id, false),
            _ => continue,
        };
        let told = node.verdicts.get(&id).map_or("nothing", |verdict| match verdict {
            Verdict::Dropped(_) => verdict.reason(),
            _ => verdict.class(),
        });
        // A vote for a block that is never decided waits until it expires; but if it comes after
        // its target was found invalid, it is rejected. It is not cleared either way.
        let undecided = matches!(input, Input::Vote(vote) if !node.is_decided(vote.head));
        outcome.insert(
            root,
            match told {
                _ if known => "valid",
                "invalid" | "expired" if undecided => "undecided",
                told => told,
            },
        );
    }
    outcome
}

fn large() -> quarantine::Limits {
    quarantine::Limits {
        patience: 1_000,
        equivocations: 100,
        awaited_equivocations: 100,
        ..quarantine::Limits::default()
    }
}

/// Returns an error unless a history comes to the same end in its own order with one worker, and in
/// another order under another schedule.
fn independent(
    History(history): &History,
    (seed, workers, restarts): (u64, u8, Option<u8>),
    limits: quarantine::Limits,
    again: bool,
) -> Result<(), String> {
    let inputs: Vec<_> = history.iter().map(|(_, input)| *input).collect();
    let mut other = history.clone();
    other.sort_by_key(|(place, _)| *place);
    let other: Vec<_> = other.into_iter().map(|(_, input)| input).collect();
    let straight = Schedule { workers: 1, restarts: None, seed: 0 };
    let workers = [1, 2, 4][usize::from(workers % 3)];
    let restarts = restarts.map(|at| usize::from(at % 64));
    let one = play(&inputs, straight, limits, true);
    let two = play(&other, Schedule { workers, restarts, seed }, limits, again);
    if one == two { Ok(()) } else { Err(format!("{one:?} instead of {two:?}")) }
}

#[test]
fn what_is_cleared_depends_on_the_inputs_alone() {
    // Four thousand histories, each in two orders, with 1, 2 or 4 workers, half with a restart.
    fn property(history: History, schedule: (u64, u8, Option<u8>)) -> Result<(), String> {
        independent(&history, schedule, large(), true)
    }
    QuickCheck::new()
        .tests(4_000)
        .quickcheck(property as fn(History, (u64, u8, Option<u8>)) -> Result<(), String>);
}

/// Returns whether some of a few hundred random histories depends on how it is played.
fn is_refuted(limits: quarantine::Limits, restarts: bool, again: bool) -> bool {
    let mut g = Gen::new(64);
    (0..500).any(|_| {
        let (seed, workers) = (u64::arbitrary(&mut g), u8::arbitrary(&mut g));
        let restarts = restarts.then(|| u8::arbitrary(&mut g));
        let history = History::arbitrary(&mut g);
        independent(&history, (seed, workers, restarts), limits, again).is_err()
    })
}

#[test]
fn the_generator_makes_every_class() {
    // Of a hundred histories: what is cleared, what is rejected, and what waits until it expires.
    let mut g = Gen::new(64);
    let schedule = Schedule { workers: 2, restarts: None, seed: 1 };
    let classes: std::collections::BTreeSet<_> = (0..100)
        .flat_map(|_| {
            let inputs = History::arbitrary(&mut g).0.into_iter().map(|(_, input)| input);
            play(&inputs.collect::<Vec<_>>(), schedule, large(), true).into_values()
        })
        .collect();
    assert!(
        ["valid", "invalid", "expired", "undecided"].iter().all(|class| classes.contains(class))
    );
}

#[test]
fn twin_the_first_block_of_a_proposer_wins_is_refuted() {
    // Of blocks of one slot and proposer, the one that comes first is kept.
    let limits = quarantine::Limits { equivocations: 1, awaited_equivocations: 1, ..large() };
    assert!(is_refuted(limits, false, true));
}

#[test]
fn twin_room_for_few_is_refuted() {
    // Two items of each kind may be held, so who comes first decides who waits.
    assert!(is_refuted(quarantine::Limits { items: 2, ..large() }, false, true));
}

#[test]
fn twin_nothing_comes_again_after_a_restart_is_refuted() {
    // What waited when the process ended is lost.
    assert!(is_refuted(large(), true, false));
}
