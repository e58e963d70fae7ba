//! The operations that a block may yet include outlast a restart, and are dropped once spent.

use super::rules::{FIRST, history, new};
use super::world::{Input, TOY, World};
use super::{empty, run};
use crate::clearance::{BuildOn, Wanted};
use crate::cold_db::{Effect, Event, Limits, Record};
use crate::consensus::Checkpoint;
use crate::gossip::{Operation, OperationKind};
use crate::machine::Machine;
use crate::store::{Entry, Write};
use crate::toy::{Toy, ToyAttestation, ToyOperation, ToySlashing};

/// What a proposer chooses from.
fn held(world: &World) -> Vec<Operation<Toy>> {
    world.clearance.material(BuildOn::Block(FIRST.root), Wanted::Block).operations
}

fn kinds(world: &World) -> Vec<OperationKind> {
    held(world).iter().map(Operation::kind).collect()
}

/// Plays a history, and starts again from what it has written.
fn restarted(inputs: &[Input]) -> (World, World) {
    let world = run(World::start(empty()).expect("an empty store"), inputs, 1);
    let mut store = empty();
    world.outside.log.concat().iter().for_each(|write| store.apply(write));
    (world, World::start(store).expect("what was stored"))
}

/// Returns how many operations the journal has.
fn recorded(world: &World) -> usize {
    let mut journal = std::collections::BTreeSet::new();
    for write in world.outside.log.iter().flatten() {
        match write {
            Write::Entry { number, entry: Entry::Operation { .. } } => {
                journal.insert(*number);
            }
            Write::ForgetEntry(number) => {
                journal.remove(number);
            }
            _ => {}
        }
    }
    journal.len()
}

fn exit(id: u8) -> Operation<Toy> {
    Operation::VoluntaryExit(ToyOperation { id, validators: 0, signed: true, valid: true })
}

#[test]
fn an_exit_and_a_slashing_are_held_after_a_restart_and_the_slashed_count_no_more() {
    // They come first. Finality passes them, and no block has included them.
    let early = [Input::Exit(50, 3), Input::Slashing(0b110)];
    let inputs: Vec<_> = early.into_iter().chain(history()).collect();
    let (world, again) = restarted(&inputs);
    assert_eq!(again.cold_db.point().checkpoint, FIRST);
    assert_eq!(kinds(&world), [OperationKind::AttesterSlashing, OperationKind::VoluntaryExit]);
    assert_eq!(held(&again), held(&world));
    for world in [&world, &again] {
        let known = [0, 1, 2, 3].map(|index| world.clearance.fork_choice().has_equivocated(index));
        assert_eq!(known, [false, true, true, false]);
    }
    // It is so after another restart, too.
    let mut again = again;
    let third = World::start(again.store().clone()).expect("what was stored");
    assert_eq!(held(&third), held(&world));
}

#[test]
fn a_slashing_that_was_found_here_is_held_after_a_restart() {
    // A validator votes twice before finality, and finality passes its votes.
    let vote = |id, head| {
        let target = Checkpoint { epoch: 1, root: 0 };
        Input::Vote(ToyAttestation { id, slot: 3, head, target, validator: 2, valid: true })
    };
    let mut inputs = history();
    inputs.splice(3..3, [vote(40, 1), vote(44, 5)]);
    let (world, again) = restarted(&inputs);
    assert_eq!(again.cold_db.point().checkpoint, FIRST);
    assert_eq!(kinds(&world), [OperationKind::AttesterSlashing]);
    assert_eq!(held(&again), held(&world));
}

#[test]
fn what_the_finalised_state_has_spent_leaves_the_journal() {
    // In the toy protocol the block of its number spends an operation: block 1 is finalised.
    let early = [Input::Exit(1, 3), Input::Exit(50, 4)];
    let inputs: Vec<_> = early.into_iter().chain(history()).collect();
    let (world, again) = restarted(&inputs);
    assert_eq!((held(&world).len(), recorded(&world)), (1, 1));
    assert_eq!(held(&again), held(&world));
}

#[test]
fn what_is_held_already_is_not_entered_again() {
    // An exit twice, and a second one of the same validator.
    let inputs = [Input::Exit(50, 3), Input::Exit(50, 3), Input::Exit(51, 3)];
    let (world, again) = restarted(&inputs);
    assert_eq!((recorded(&world), held(&again).len()), (1, 1));
}

#[test]
fn as_many_operations_of_a_kind_are_kept_as_the_bound_says() {
    // One fits: a slashing, and two exits, of which the older one is forgotten.
    let mut cold_db = new(Limits { operations: 1, ..Limits::default() });
    let given = ToyOperation { id: 9, validators: 1, signed: true, valid: true };
    let slashing = Operation::ProposerSlashing(ToySlashing::Given(given));
    for operation in [slashing, exit(1), exit(2)] {
        cold_db.handle(&TOY, Event::Record(Record::Operation { operation, validators: vec![0] }));
    }
    assert_eq!(cold_db.entries(), 2);
    let effects = cold_db.handle(&TOY, Event::Flush);
    let [Effect::Commit(writes)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(writes.last(), Some(&Write::ForgetEntry(2)));
}
