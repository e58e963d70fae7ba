//! One test for each rule of the ColdDB, and must-fail twins: the check of the prefixes refutes
//! writes that break a rule on purpose.

use super::world::{Input, TOY, World, bounds};
use super::{empty, goes_on, run};
use crate::clearance::{self, Import};
use crate::cold_db::shell::{self, Message};
use crate::cold_db::{ColdDb, Effect, Event, Limits, Record, recover};
use crate::consensus::{Checkpoint, Consensus};
use crate::hot_db::{StateAt, TrailReply};
use crate::identified;
use crate::machine::Machine;
use crate::store::{Entry, MemoryStore, Point, Store, StoreError, Write};
use crate::supervision::{Loss, Steps};
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyState};

pub(super) const FIRST: Checkpoint<u8> = Checkpoint { epoch: 1, root: 1 };

/// A chain 1-2-3-4 in which block 3 finalises block 1 in epoch 1, and a dead branch 5 beside it.
pub(super) fn history() -> Vec<Input> {
    let finalizes = Some(FIRST);
    vec![
        Input::Tick(3),
        Input::Block(ToyBlock::new(1, 0, 2)),
        Input::Block(ToyBlock::new(5, 0, 3)),
        Input::Tick(4),
        Input::Block(ToyBlock::new(2, 1, 4)),
        Input::Tick(5),
        Input::Block(ToyBlock { finalizes, ..ToyBlock::new(3, 2, 5) }),
        Input::Tick(6),
        Input::Block(ToyBlock::new(4, 3, 6)),
        Input::Tick(7),
    ]
}

fn whole() -> World {
    run(World::start(empty()).expect("an empty store"), &history(), 1)
}

/// Returns the writes of the whole history, and where one of them is.
fn writes(is: impl Fn(&Write<Toy>) -> bool) -> (Vec<Write<Toy>>, usize) {
    let writes = whole().outside.log.concat();
    let at = writes.iter().position(is).expect("it is written");
    (writes, at)
}

/// Returns whether every prefix of the writes is one from which the services go on.
fn all_prefixes_go_on(writes: &[Write<Toy>]) -> bool {
    let mut end = whole();
    (0..=writes.len()).all(|cut| goes_on(&writes[..cut], &history(), &mut end).is_ok())
}

fn is_point(write: &Write<Toy>) -> bool {
    matches!(write, Write::Point(point) if point.checkpoint == FIRST)
}

#[test]
fn the_order_of_the_writes_is_one_whose_prefixes_all_go_on() {
    // The control of the twins below.
    assert!(all_prefixes_go_on(&whole().outside.log.concat()));
}

#[test]
fn twin_an_entry_before_its_block_is_refuted() {
    // Block 2 and the entry that names it change places.
    let (mut writes, at) = writes(|write| matches!(write, Write::Block { root: 2, .. }));
    assert!(matches!(writes[at + 1], Write::Entry { entry: Entry::Block { root: 2, .. }, .. }));
    writes.swap(at, at + 1);
    assert!(!all_prefixes_go_on(&writes));
}

#[test]
fn twin_a_point_before_its_state_is_refuted() {
    // The point of epoch 1 is written before the state of its block.
    let (mut writes, at) = writes(is_point);
    let point = writes.remove(at);
    let state = writes.iter().position(|write| matches!(write, Write::State(at) if at.root == 1));
    writes.insert(state.expect("it is written"), point);
    assert!(!all_prefixes_go_on(&writes));
}

#[test]
fn twin_a_state_that_goes_before_the_point_moves_is_refuted() {
    // The anchor's state is dropped before the point of epoch 1 is written.
    let (mut writes, at) = writes(is_point);
    writes.insert(at, Write::ForgetState(0));
    assert!(!all_prefixes_go_on(&writes));
}

#[test]
fn twin_a_block_that_goes_before_its_entry_is_refuted() {
    // The dead block 5 is dropped before the entry that names it.
    let (mut writes, at) = writes(|write| matches!(write, Write::ForgetBlock(5)));
    let forget = writes.remove(at);
    let entry = writes.iter().position(is_point).expect("it is written");
    writes.insert(entry, forget);
    assert!(!all_prefixes_go_on(&writes));
}

#[test]
fn twin_finality_before_its_block_is_refuted() {
    // Block 1, which becomes final, is only written after the point has moved to it.
    let (mut writes, at) = writes(|write| matches!(write, Write::Block { root: 1, .. }));
    let late: Vec<_> = writes.drain(at..at + 1).collect();
    let point = writes.iter().position(is_point).expect("it is written");
    writes.splice(point + 1..point + 1, late);
    assert!(!all_prefixes_go_on(&writes));
}

#[test]
fn twin_a_chain_that_follows_the_point_is_refuted() {
    // The finalised block is indexed by slot only after the point, and after that nobody does it.
    let (mut writes, at) = writes(|write| matches!(write, Write::Finalized { root: 1, .. }));
    let index = writes.remove(at);
    let point = writes.iter().position(is_point).expect("it is written");
    writes.insert(point + 1, index);
    assert!(!all_prefixes_go_on(&writes));
}

#[test]
fn finalised_blocks_are_kept_by_slot_and_root_and_dead_ones_go() {
    // The chain to block 1 is final; block 5 lies beside it.
    let mut world = whole();
    let store = world.store();
    let range = store.by_range(0, 100, 10).expect("the memory holds");
    assert_eq!(range.iter().map(|found| (found.slot, found.root)).collect::<Vec<_>>(), [(2, 1)]);
    assert_eq!(store.by_range(3, 100, 10), Ok(Vec::new()));
    let by_root = |store: &mut MemoryStore<Toy>, root| store.by_root(root).expect("as above");
    assert!(by_root(store, 1).is_some() && by_root(store, 4).is_some());
    assert_eq!(by_root(store, 5), None);
    assert_eq!(store.load().expect("as above").map(|loaded| loaded.point.checkpoint), Some(FIRST));
}

#[test]
fn after_a_full_disk_nothing_is_written_and_a_restart_goes_on_from_before_it() {
    // There is room for so many transactions; one notice tells of the failure, whatever follows.
    let mut end = whole();
    for room in 1..end.outside.log.len() {
        let mut world = World::start(empty()).expect("an empty store");
        world.outside.room = room;
        let mut world = run(world, &history(), 1);
        assert_eq!(world.outside.failed.len(), 1, "room for {room}");
        assert_eq!(world.outside.log.len(), room);
        assert_eq!(world.chain(), end.chain(), "the services go on in memory");
        // The disk has room again, too late: there would be a gap.
        world.outside.room = usize::MAX;
        let mut world = run(world, &[Input::Tick(20)], 1);
        assert_eq!(world.outside.log.len(), room);
        assert!(world.cold_db.failure().is_some_and(|dropped| dropped > 0));
        let written = world.outside.log.concat();
        goes_on(&written, &history(), &mut end).expect("it goes on");
        assert!(world.store().load().is_ok());
    }
}

#[test]
fn a_lost_record_ends_the_writing() {
    // A panic took a message; two later records are not written.
    let mut machine = new(Limits::default());
    assert_eq!(machine.handle(&TOY, Event::Lost), [Effect::Failed(StoreError::Gap)]);
    assert_eq!(machine.failure(), Some(0));
    machine.handle(&TOY, block(1, 0, 1));
    machine.handle(&TOY, block(2, 1, 2));
    assert_eq!(machine.handle(&TOY, Event::Flush), []);
    assert_eq!(machine.failure(), Some(2));
}

#[test]
fn a_batch_is_full_once_it_has_as_many_writes_as_the_limit() {
    // A block is two writes: itself and its entry.
    let mut machine = new(Limits { batch: 4, ..Limits::default() });
    machine.handle(&TOY, Event::Flush);
    machine.handle(&TOY, Event::Committed(Ok(())));
    let mut full = vec![machine.is_full()];
    for root in 1..=3 {
        machine.handle(&TOY, block(root, root - 1, u64::from(root)));
        full.push(machine.is_full());
    }
    assert_eq!(full, [false, false, true, true]);
}

/// Loses each message of one kind, as a panic before its step does.
struct Losing(&'static str);

impl Steps for Losing {
    fn step<T>(&self, word: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
        if word == self.0 { Err(Loss::Message) } else { Ok(step()) }
    }

    fn look<T>(&self, word: &'static str, look: impl FnOnce() -> T) -> Result<T, Loss> {
        self.step(word, look)
    }

    fn follow_up<T>(&self, _: &'static str, step: impl FnOnce() -> T) -> Result<T, Loss> {
        Ok(step())
    }
}

#[test]
fn what_was_gathered_before_a_lost_message_is_written() {
    // Two records of one batch, then finality that is lost, then a record after the gap. With a
    // full disk the failure that is told is the disk's, once.
    let record = |root| match block(root, root - 1, u64::from(root)) {
        Event::Record(record) => Message::Record(record),
        _ => unreachable!("a block is a record"),
    };
    for (room, failure) in [(usize::MAX, "gap"), (1, "full")] {
        let mut world = World::start(empty()).expect("an empty store");
        world.outside.room = room;
        let World { cold_db, outside, .. } = &mut world;
        for message in [record(1), record(2), Message::Finalized(FIRST), record(3)] {
            let turn = shell::turn(cold_db, &TOY, &Losing("finality"), outside, message);
            assert!(turn.is_ok());
        }
        let flushed = shell::flush(cold_db, &TOY, &Losing("finality"), outside);
        assert!(flushed.is_ok());
        let written = outside.log.concat();
        let has =
            |root| written.iter().any(|w| matches!(w, Write::Block { root: r, .. } if *r == root));
        let is_gap = outside.failed == [StoreError::Gap];
        assert_eq!((outside.failed.len(), is_gap), (1, failure == "gap"));
        assert_eq!([1, 2, 3].map(has), [failure == "gap", failure == "gap", false]);
    }
}

#[test]
fn a_state_that_cannot_be_had_is_asked_for_again_when_the_clock_moves() {
    // The Rewinder is busy during the whole history; then it is not.
    let mut world = World::start(empty()).expect("an empty store");
    world.outside.busy = true;
    let mut world = run(world, &history(), 1);
    assert_eq!(world.cold_db.point().checkpoint.epoch, 0);
    world.outside.busy = false;
    let mut world = run(world, &[Input::Tick(8)], 1);
    assert_eq!(world.cold_db.point().checkpoint, FIRST);
    assert_eq!(world.outside.durable.last().map(|(_, checkpoint)| *checkpoint), Some(FIRST));
    assert_eq!(world.store().load().expect("it holds").map(|l| l.point.checkpoint), Some(FIRST));
}

#[test]
fn finality_is_acknowledged_after_its_commit_and_not_before() {
    // The state has come; Durable follows the commit, not the move.
    let mut machine = new(Limits::default());
    machine.handle(&TOY, Event::Flush);
    assert_eq!(
        machine.handle(&TOY, Event::Committed(Ok(()))),
        [Effect::Durable(Checkpoint { epoch: 0, root: 0 })]
    );
    machine.handle(&TOY, block(1, 0, 2));
    let ask = Effect::AskState { root: 1, slot: 2 };
    assert_eq!(machine.handle(&TOY, Event::Finalized(FIRST)), [ask]);
    assert_eq!(machine.handle(&TOY, Event::Finalized(FIRST)), [], "it is asked for once");
    let state = Some(ToyState { block: 1, slot: 2, checkpoint: FIRST });
    assert_eq!(machine.handle(&TOY, Event::State { root: 1, state }), []);
    assert!(matches!(machine.handle(&TOY, Event::Flush)[..], [Effect::Commit(_)]));
    assert_eq!(machine.handle(&TOY, Event::Committed(Ok(()))), [Effect::Durable(FIRST)]);
    assert_eq!(machine.handle(&TOY, Event::Committed(Ok(()))), [], "once");
}

/// Commits what is gathered, and returns it.
fn committed(machine: &mut ColdDb<Toy>) -> Vec<Write<Toy>> {
    let effects = machine.handle(&TOY, Event::Flush);
    machine.handle(&TOY, Event::Committed(Ok(())));
    match effects.into_iter().next() {
        Some(Effect::Commit(writes)) => writes,
        _ => Vec::new(),
    }
}

/// Moves the point to block 1 of slot 2, and returns what that writes.
fn moved(machine: &mut ColdDb<Toy>, checkpoint: Checkpoint<u8>) -> Vec<Write<Toy>> {
    let ask = Effect::AskState { root: 1, slot: 2 };
    assert_eq!(machine.handle(&TOY, Event::Finalized(checkpoint)), [ask]);
    let state = Some(ToyState { block: 1, slot: 2, checkpoint });
    assert_eq!(machine.handle(&TOY, Event::State { root: 1, state }), []);
    committed(machine)
}

#[test]
fn finality_that_stays_at_its_block_moves_the_point_and_drops_nothing() {
    // Block 1 is finalised in epoch 1, which passes the anchor, and then in epoch 2 as well. After
    // that the same again, and a block that was never recorded.
    let mut machine = new(Limits::default());
    machine.handle(&TOY, block(1, 0, 2));
    committed(&mut machine);
    let first = moved(&mut machine, FIRST);
    assert!(first.contains(&Write::Passed { number: 0, root: 0 }), "{first:?}");
    assert!(first.contains(&Write::ForgetState(0)), "{first:?}");
    let checkpoint = Checkpoint { epoch: 2, root: 1 };
    let point = Point { checkpoint, slot: 2, number: 1 };
    assert_eq!(moved(&mut machine, checkpoint), [Write::Point(point)]);
    assert_eq!(machine.handle(&TOY, Event::Finalized(checkpoint)), []);
    let unknown = Checkpoint { epoch: 3, root: 77 };
    assert_eq!(machine.handle(&TOY, Event::Finalized(unknown)), []);
}

#[test]
fn what_the_point_has_passed_goes_but_for_the_last_tick_before_it() {
    // Two ticks and a vote before block 1; then block 6 in the first slot of epoch 1, whose own
    // checkpoint of that epoch it would be, and block 2 after it. Both are children of block 1.
    let mut machine = new(Limits::default());
    let target = Checkpoint { epoch: 0, root: 0 };
    let (id, slot, head, validator, valid) = (9, 1, 0, 0, true);
    let attestation = ToyAttestation { id, slot, head, target, validator, valid };
    for event in [
        Event::Record(Record::Tick { slot: 1 }),
        Event::Record(Record::Attestation { attestation, indices: vec![0] }),
        Event::Record(Record::Tick { slot: 2 }),
        block(1, 0, 2),
        block(6, 1, TOY.start_slot(1)),
        block(2, 1, TOY.start_slot(1) + 1),
    ] {
        machine.handle(&TOY, event);
    }
    committed(&mut machine);
    let writes = moved(&mut machine, FIRST);
    let forgotten: Vec<_> = writes
        .iter()
        .filter_map(|write| match write {
            Write::ForgetEntry(number) => Some(*number),
            _ => None,
        })
        .collect();
    assert_eq!(forgotten, [1, 2, 4, 5], "of the six entries in their order");
    assert!(writes.contains(&Write::ForgetBlock(6)) && machine.entries() == 2, "{writes:?}");
}

#[test]
fn a_restart_counts_what_it_takes_in_again() {
    // Blocks 2, 3 and 4 descend from the point, and two validators have voted for block 4.
    let mut inputs = history();
    let target = Checkpoint { epoch: 2, root: 4 };
    for validator in [1, 2] {
        let (id, slot, head, valid) = (validator as u8, 6, 4, true);
        inputs.push(Input::Vote(ToyAttestation { id, slot, head, target, validator, valid }));
    }
    let mut world = run(World::start(empty()).expect("an empty store"), &inputs, 1);
    let loaded = world.store().load().expect("it holds").expect("something");
    let resumed = recover(&TOY, &bounds(), loaded).expect("it is whole").resumed;
    assert_eq!((resumed.finalized, resumed.head, resumed.slot), (FIRST, 4, 7));
    assert_eq!((resumed.blocks, resumed.attestations), (3, 2));
}

#[test]
fn a_restart_leaves_out_signatures_that_were_verified_before() {
    // A block is stored with a signature that does not verify.
    let mut store = empty();
    whole().outside.log.concat().iter().for_each(|write| store.apply(write));
    store.apply(&Write::Block { root: 4, block: ToyBlock::new(4, 3, 6).badly_signed() });
    let world = World::start(store).expect("signatures are not looked at");
    assert_eq!(world.clearance.view().head, 4);
}

#[test]
fn finality_that_the_point_has_not_followed_is_carried_out_by_a_restart() {
    // Blocks 1 and 7 are of one slot and proposer, so that an operation is held when finality
    // moves. The process ends before the point does.
    let mut inputs = history();
    inputs.insert(2, Input::Block(ToyBlock::new(7, 0, 2)));
    let world = run(World::start(empty()).expect("an empty store"), &inputs, 1);
    let is_state = |write: &Write<Toy>| matches!(write, Write::State(at) if at.root == 1);
    let mut before = world.outside.log.concat();
    before.truncate(before.iter().position(is_state).expect("the point moves"));
    let mut store = empty();
    before.iter().for_each(|write| store.apply(write));
    let loaded = store.load().expect("it holds").expect("something");
    assert_eq!(loaded.point.checkpoint.epoch, 0);
    let again = recover(&TOY, &bounds(), loaded).expect("it is whole");
    assert_eq!(again.clearance.view().finalized, FIRST);
    // The HotDB has pruned what finality has passed.
    assert_eq!(
        [5, 7].map(|root| again.hot_db.trail(root, 3)),
        [TrailReply::Pruned, TrailReply::Pruned]
    );
    assert!(again.hot_db.contains(3));
    // What Clearance asked has been answered: to hear it once more changes nothing, and nothing is
    // asked again.
    let balances = TOY.balances(&ToyState::anchor()).ok();
    for answer in [
        clearance::Event::Balances { checkpoint: FIRST, balances },
        clearance::Event::Spent(Vec::new()),
    ] {
        let mut told = again.clearance.clone();
        assert_eq!(told.handle(&TOY, answer.clone()), []);
        assert_eq!(told, again.clearance, "{answer:?}");
    }
    let mut later = again.clearance.clone();
    let effects = later.handle(&TOY, clearance::Event::Import(Import::Tick { slot: 8 }));
    assert_eq!(effects, []);
}

#[test]
fn the_journal_is_bounded() {
    // Ticks without end, then attestations without end, then passed blocks beyond their bound.
    let mut machine = new(Limits { attestations: 3, passed: 1, ..Limits::default() });
    for slot in 1..100 {
        machine.handle(&TOY, Event::Record(Record::Tick { slot }));
    }
    assert_eq!(machine.entries(), 3);
    for id in 0..100 {
        let attestation = ToyAttestation {
            id,
            slot: 1,
            head: 0,
            target: Checkpoint { epoch: 0, root: 0 },
            validator: 0,
            valid: true,
        };
        let record = Record::Attestation { attestation, indices: vec![0] };
        machine.handle(&TOY, Event::Record(record));
    }
    assert_eq!(machine.entries(), 6);
    let mut world = World::start_with(
        empty(),
        crate::cold_db::Bounds { cold_db: Limits { passed: 1, ..Limits::default() }, ..bounds() },
    )
    .expect("an empty store");
    world = run(world, &history(), 1);
    let loaded = world.store().load().expect("it holds").expect("something");
    assert_eq!(loaded.passed.into_values().collect::<Vec<_>>(), [5], "the newest of 0 and 5");
}

#[test]
fn a_block_is_recorded_once_and_after_its_parent() {
    // A copy, and a block whose parent was never recorded, write nothing.
    let mut machine = new(Limits::default());
    machine.handle(&TOY, block(1, 0, 1));
    machine.handle(&TOY, block(1, 0, 1));
    machine.handle(&TOY, block(9, 8, 1));
    assert_eq!(machine.entries(), 1);
}

#[test]
fn a_slashing_by_gossip_outlasts_finality_and_a_restart() {
    // Validator 2 is slashed before finality moves, and votes for block 4 afterwards. So does
    // validator 3, whose vote counts.
    let mut inputs = history();
    inputs.insert(4, Input::Slashing(1 << 2));
    let target = Checkpoint { epoch: 2, root: 4 };
    for validator in [2, 3] {
        let (id, slot, head, valid) = (validator as u8, 6, 4, true);
        inputs.push(Input::Vote(ToyAttestation { id, slot, head, target, validator, valid }));
    }
    let world = run(World::start(empty()).expect("an empty store"), &inputs, 1);
    let mut store = empty();
    world.outside.log.concat().iter().for_each(|write| store.apply(write));
    let again = World::start(store).expect("what was stored");
    assert_eq!(again.cold_db.point().checkpoint, FIRST);
    assert_eq!(again.chain(), world.chain());
    let each = world.clearance.fork_choice().weight(4);
    let fork_choice = again.clearance.fork_choice();
    assert_eq!((fork_choice.weight(4), each.is_some_and(|weight| weight > 0)), (each, true));
}

#[test]
fn a_clock_that_was_far_ahead_is_followed_and_does_not_outlast_a_restart() {
    // Block 1 of slot 1; the clock says 1,000 and then 2. Then a vote for the block, which counts
    // from slot 3 on.
    let target = Checkpoint { epoch: 0, root: 0 };
    let (id, slot, head, validator, valid) = (9, 1, 1, 0, true);
    let vote = ToyAttestation { id, slot, head, target, validator, valid };
    let block = ToyBlock::new(1, 0, 1);
    let mut inputs = vec![Input::Tick(1), Input::Block(block), Input::Tick(1000)];
    inputs.extend([Input::PutRight(2), Input::Vote(vote), Input::Tick(3)]);
    let world = run(World::start(empty()).expect("an empty store"), &inputs, 1);
    let mut store = empty();
    world.outside.log.concat().iter().for_each(|write| store.apply(write));
    let again = World::start(store).expect("what was stored");
    for clearance in [&world.clearance, &again.clearance] {
        let fork_choice = clearance.fork_choice();
        assert_eq!(fork_choice.slot(), 3);
        assert!(fork_choice.weight(1) > Some(0), "the vote has no weight");
    }
}

#[test]
fn a_slashing_that_only_a_dead_block_carried_counts_after_a_restart() {
    // Block 5 dies by finality. Its slashing has proved that validators 1 and 2 equivocate.
    let mut inputs = history();
    inputs[2] = Input::Carrier(ToyBlock::new(5, 0, 3), 0b110);
    let world = run(World::start(empty()).expect("an empty store"), &inputs, 1);
    let mut store = empty();
    world.outside.log.concat().iter().for_each(|write| store.apply(write));
    let again = World::start(store).expect("what was stored");
    assert_eq!(again.hot_db.trail(5, 3), TrailReply::Pruned);
    for world in [&world, &again] {
        let known = [0, 1, 2].map(|index| world.clearance.fork_choice().has_equivocated(index));
        assert_eq!(known, [false, true, true]);
    }
}

#[test]
fn as_many_slashings_are_kept_as_the_bound_says() {
    // Two fit; the first of three is forgotten.
    let mut cold_db = new(Limits { equivocations: 2, ..Limits::default() });
    for validator in 0..3 {
        let record = Record::Equivocation { indices: vec![validator] };
        cold_db.handle(&TOY, Event::Record(record));
    }
    assert_eq!(cold_db.entries(), 2);
    let effects = cold_db.handle(&TOY, Event::Flush);
    let [Effect::Commit(writes)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(writes.last(), Some(&Write::ForgetEntry(1)));
}

#[test]
fn what_finality_has_passed_is_known_as_pruned_after_a_restart() {
    // A child of the dead block 5 is refused by the machines that were rebuilt, not parked.
    let mut store = empty();
    whole().outside.log.concat().iter().for_each(|write| store.apply(write));
    let world = World::start(store).expect("it holds");
    assert_eq!(world.hot_db.trail(5, 3), TrailReply::Pruned);
    assert_eq!(world.hot_db.trail(7, 3), TrailReply::UnknownParent);
    assert!(!world.quarantine.knows(5) && world.quarantine.knows(4));
}

#[test]
fn what_the_protocol_refuses_is_an_error_and_not_a_state() {
    // A block that is invalid, and a state of another block, both stored whole.
    let mut store = empty();
    whole().outside.log.concat().iter().for_each(|write| store.apply(write));
    let mut bad = store.clone();
    bad.apply(&Write::Block { root: 4, block: ToyBlock::new(4, 3, 6).invalid() });
    assert!(matches!(World::start(bad), Err(StoreError::Refused { .. })));
    let mut bad = store.clone();
    let state = ToyState { block: 1, slot: 9, checkpoint: FIRST };
    bad.apply(&Write::State(StateAt { root: 1, slot: 9, state }));
    assert!(matches!(World::start(bad), Err(StoreError::Refused { .. })));
    let mut bad = store.clone();
    bad.apply(&Write::Block { root: 4, block: ToyBlock::new(7, 3, 6) });
    assert!(matches!(World::start(bad), Err(StoreError::Refused { .. })));
    store.apply(&Write::ForgetBlock(4));
    assert!(matches!(World::start(store), Err(StoreError::Damaged { table: "blocks", .. })));
}

#[test]
fn a_restart_keeps_to_the_limits_of_the_pools() {
    // Two votes are in the journal, and the pool has room for one.
    let pools = clearance::Limits { attestations: 1, ..Default::default() };
    let bounds = crate::cold_db::Bounds { clearance: pools, ..bounds() };
    let target = Checkpoint { epoch: 1, root: 1 };
    let vote = |id, validator| {
        Input::Vote(ToyAttestation { id, slot: 3, head: 1, target, validator, valid: true })
    };
    let inputs = [Input::Tick(3), Input::Block(ToyBlock::new(1, 0, 2)), vote(1, 1), vote(2, 2)];
    let mut world = run(World::start(empty()).expect("an empty store"), &inputs, 1);
    let state = ToyState { block: 1, slot: 4, checkpoint: Checkpoint { epoch: 0, root: 0 } };
    let packed = |world: &World| {
        let candidates = world.clearance.candidates(1);
        candidates.pack(|vote| TOY.inclusion_weights(&state, vote), 9).len()
    };
    assert_eq!(packed(&world), 2);
    let again = World::start_with(world.store().clone(), bounds).expect("the store is whole");
    assert_eq!(packed(&again), 1);
}

pub(super) fn new(limits: Limits) -> ColdDb<Toy> {
    let state = StateAt { root: 0, slot: 0, state: ToyState::anchor() };
    ColdDb::new(limits, Checkpoint { epoch: 0, root: 0 }, state)
}

fn block(root: u8, parent: u8, slot: u64) -> Event<Toy> {
    let block = identified::block(&TOY, ToyBlock::new(root, parent, slot));
    Event::Record(Record::Block { block, timely: false })
}
