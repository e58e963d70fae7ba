//! The ColdDB over the toy protocol: every prefix of what it writes is a store from which the
//! services go on, and each rule has a test that fails without it.

mod independence;
mod operations;
mod reads;
mod rules;
mod threads;
mod ticks;
mod votes;
mod world;

use std::collections::BTreeSet;

use quickcheck::{Arbitrary, Gen, QuickCheck};

use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::store::{MemoryStore, Write};
use crate::toy::{ToyAttestation, ToyBlock, ToyRoot};

use world::{Input, TOY, World};

/// A random history: a DAG of blocks that finalise now and then, votes, attester slashings and
/// ticks.
#[derive(Clone, Debug)]
struct History(Vec<Input>);

impl Arbitrary for History {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut inputs = Vec::new();
        let mut blocks: Vec<(ToyRoot, ToyRoot, Slot, u64)> = vec![(0, 0, 0, 0)];
        let (mut clock, mut votes, mut waiting) = (0, 0, 0);
        let mut voted = BTreeSet::new();
        for root in 1..=24_u8 {
            let among = blocks.len().min(4);
            let behind = usize::arbitrary(g) % among.max(1);
            let (parent, _, parent_slot, finalized) = blocks[blocks.len() - 1 - behind];
            let slot = parent_slot + 1 + u64::arbitrary(g) % 3;
            while clock < slot {
                clock += 1 + u64::arbitrary(g) % 2;
                inputs.push(Input::Tick(clock));
            }
            let epoch = TOY.epoch_at(slot);
            // A state has no votes for a checkpoint that is its own block, or a later one.
            let voted_on = epoch > finalized && slot > TOY.start_slot(epoch);
            let finalizes = (voted_on && bool::arbitrary(g)).then(|| {
                let root = ancestor(&blocks, parent, TOY.start_slot(epoch));
                Checkpoint { epoch, root }
            });
            // No vote waits for its slot while finality moves: see the limits that `recovery`
            // states.
            if finalizes.is_some() && votes > 0 && waiting == clock {
                clock += 1;
                inputs.push(Input::Tick(clock));
            }
            let block = ToyBlock { finalizes, ..ToyBlock::new(root, parent, slot) };
            let carries = u8::arbitrary(g).is_multiple_of(16);
            let carrier = Input::Carrier(block, 1 << (u8::arbitrary(g) % 5));
            inputs.push(if carries { carrier } else { Input::Block(block) });
            let finalized = finalizes.map_or(finalized, |checkpoint| checkpoint.epoch);
            blocks.push((root, parent, slot, finalized));
            if u8::arbitrary(g).is_multiple_of(16) {
                inputs.push(Input::Slashing(1 << (u8::arbitrary(g) % 5)));
            }
            for _ in 0..u8::arbitrary(g) % 3 {
                let (head, _, head_slot, _) = blocks[usize::arbitrary(g) % blocks.len()];
                let slot = clock.max(head_slot);
                let epoch = TOY.epoch_at(slot);
                let target =
                    Checkpoint { epoch, root: ancestor(&blocks, head, TOY.start_slot(epoch)) };
                let validator = u64::arbitrary(g) % TOY.validators as u64;
                // Nobody votes twice in an epoch: see the limit that `recovery` states.
                if !voted.insert((validator, epoch)) {
                    continue;
                }
                let vote = ToyAttestation { id: votes, slot, head, target, validator, valid: true };
                inputs.push(Input::Vote(vote));
                (votes, waiting) = (votes + 1, clock);
            }
        }
        inputs.push(Input::Tick(clock + 1));
        Self(inputs)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let whole = self.0.clone();
        Box::new((0..whole.len()).rev().map(move |without| {
            let mut less = whole.clone();
            less.remove(without);
            Self(less)
        }))
    }
}

fn ancestor(blocks: &[(ToyRoot, ToyRoot, Slot, u64)], root: ToyRoot, slot: Slot) -> ToyRoot {
    let of = |root| blocks.iter().find(|block| block.0 == root).copied().unwrap_or_default();
    let mut at = of(root);
    while at.2 > slot {
        at = of(at.1);
    }
    at.0
}

/// As [`ancestor`], for blocks by root, parent and slot.
fn ancestor_of(blocks: &[(ToyRoot, ToyRoot, Slot)], root: ToyRoot, slot: Slot) -> ToyRoot {
    let blocks: Vec<_> =
        blocks.iter().map(|(root, parent, slot)| (*root, *parent, *slot, 0)).collect();
    ancestor(&blocks, root, slot)
}

fn empty() -> MemoryStore<crate::toy::Toy> {
    MemoryStore::new(usize::MAX)
}

/// Takes the whole history in, flushing after each `every` inputs and at the end.
fn run(mut world: World, inputs: &[Input], every: usize) -> World {
    for (index, input) in inputs.iter().enumerate() {
        world.take(*input);
        if index % every == 0 {
            world.flush();
        }
    }
    world.flush();
    // An answer that came with the flush may have moved the point.
    world.flush();
    world
}

/// Returns an error unless the store that holds exactly these writes is one from which the services
/// go on, and the same history leads to the same end.
fn goes_on(
    writes: &[Write<crate::toy::Toy>],
    history: &[Input],
    end: &mut World,
) -> Result<Checkpoint<ToyRoot>, String> {
    let mut store = empty();
    writes.iter().for_each(|write| store.apply(write));
    let world = World::start(store).map_err(|error| error.to_string())?;
    let finalized = world.clearance.view().finalized;
    for (root, ..) in world.clearance.fork_choice().blocks() {
        if !world.hot_db.contains(root) || !world.quarantine.knows(root) {
            return Err(format!("block {root} is not everywhere"));
        }
    }
    let mut world = run(world, history, 1);
    if world.chain() != end.chain() {
        return Err(format!("{:?} instead of {:?}", world.chain(), end.chain()));
    }
    let range = |world: &mut World| {
        let found = crate::store::Store::by_range(world.store(), 0, 1000, 1000);
        found.map_err(|error| error.to_string())
    };
    let (found, expected) = (range(&mut world)?, range(end)?);
    if found != expected || world.cold_db.point().checkpoint != end.cold_db.point().checkpoint {
        return Err(format!("{found:?} instead of {expected:?}"));
    }
    Ok(finalized)
}

#[test]
fn from_every_prefix_of_the_writes_the_services_go_on_to_the_same_end() {
    // Random histories; every cut between two writes, whether or not a transaction ends there.
    fn property(History(inputs): History, every: u8) -> Result<(), String> {
        let every = usize::from(every % 7) + 1;
        let mut end = run(World::start(empty()).expect("an empty store"), &inputs, every);
        let writes = end.outside.log.concat();
        for cut in 0..=writes.len() {
            let gone_on = goes_on(&writes[..cut], &inputs, &mut end);
            gone_on.map_err(|why| format!("after {cut} of {} writes: {why}", writes.len()))?;
        }
        Ok(())
    }
    QuickCheck::new().tests(60).quickcheck(property as fn(History, u8) -> Result<(), String>);
}

#[test]
fn after_every_transaction_finality_is_no_older_than_acknowledged() {
    // Random histories; every cut between two transactions.
    fn property(History(inputs): History) -> Result<bool, String> {
        let mut end = run(World::start(empty()).expect("an empty store"), &inputs, 1);
        let (log, durable) = (end.outside.log.clone(), end.outside.durable.clone());
        for cut in 1..=log.len() {
            let finalized = goes_on(&log[..cut].concat(), &inputs, &mut end)?;
            let acknowledged = durable.iter().rev().find(|(commits, _)| *commits <= cut);
            let epoch = acknowledged.map_or(0, |(_, checkpoint)| checkpoint.epoch);
            if finalized.epoch < epoch {
                return Err(format!("epoch {epoch} was acknowledged, found {finalized:?}"));
            }
        }
        Ok(true)
    }
    QuickCheck::new().tests(60).quickcheck(property as fn(History) -> Result<bool, String>);
}

#[test]
fn a_vote_for_a_block_that_finality_has_passed_still_takes_the_place_of_an_older_one() {
    // Validator 0 votes for block 3, and in the next epoch for block 2, which finality then passes.
    let mut world = World::start(empty()).expect("an empty store");
    let block = |root, parent, slot| Input::Block(ToyBlock::new(root, parent, slot));
    let vote = |id, slot, head, epoch, root| {
        let target = Checkpoint { epoch, root };
        Input::Vote(ToyAttestation { id, slot, head, target, validator: 0, valid: true })
    };
    let finalizes = Some(Checkpoint { epoch: 1, root: 1 });
    let (start, later) = (TOY.start_slot(1), TOY.start_slot(2));
    for input in [
        Input::Tick(start + 1),
        block(1, 0, 1),
        block(2, 1, 2),
        block(3, 1, start + 1),
        block(5, 1, start + 1),
        Input::Tick(start + 2),
        vote(101, start + 1, 3, 1, 1),
        Input::Tick(later),
        vote(102, later, 2, 2, 2),
        Input::Tick(later + 2),
        Input::Block(ToyBlock { finalizes, ..ToyBlock::new(9, 5, start + 2) }),
        Input::Tick(later + 3),
    ] {
        world.take(input);
        world.flush();
        let mut store = empty();
        world.outside.log.concat().iter().for_each(|write| store.apply(write));
        let again = World::start(store).expect("a store that was flushed");
        assert_eq!(again.chain(), world.chain(), "after {input:?}");
        let on_record = |world: &World| world.clearance.votes_on_record();
        assert_eq!(on_record(&again), on_record(&world), "after {input:?}");
    }
    assert_eq!(world.clearance.votes_on_record().len(), 2);
    let (view, blocks, _) = world.chain();
    assert_eq!(view.finalized.epoch, 1);
    assert!(blocks.contains(&(3, Some(0))), "the vote for block 3 is an old one: {blocks:?}");
}

#[test]
fn right_after_a_flush_the_rebuilt_machines_are_what_they_were() {
    // View, blocks, weights and clock are compared after each input, without handing anything in.
    fn property(History(inputs): History) -> Result<(), String> {
        let mut world = World::start(empty()).expect("an empty store");
        for input in &inputs {
            world.take(*input);
            world.flush();
            let mut store = empty();
            world.outside.log.concat().iter().for_each(|write| store.apply(write));
            let again = World::start(store).map_err(|error| error.to_string())?;
            if again.chain() != world.chain() {
                return Err(format!("{:?} instead of {:?}", again.chain(), world.chain()));
            }
        }
        Ok(())
    }
    QuickCheck::new().tests(60).quickcheck(property as fn(History) -> Result<(), String>);
}
