//! The ticks of the journal where the items between them are forgotten.

use super::rules::new;
use super::world::{Input, TOY, World, bounds};
use super::{empty, run};
use crate::cold_db::{Bounds, Event, Limits, Record};
use crate::consensus::{Checkpoint, Consensus};
use crate::machine::Machine;
use crate::toy::{ToyAttestation, ToyBlock};

#[test]
fn ticks_do_not_pile_up_where_the_items_between_them_are_forgotten() {
    // Room for three votes. Each of three thousand slots has one, or a slashing, or neither.
    let limits = Limits { attestations: 3, equivocations: 2, ..Limits::default() };
    let mut machine = new(limits);
    let mut most = 0;
    for slot in 1..3_000 {
        machine.handle(&TOY, Event::Record(Record::Tick { slot }));
        let record = match slot % 7 {
            0 => Record::Equivocation { indices: vec![1] },
            5 => continue,
            _ => {
                let target = Checkpoint { epoch: 0, root: 0 };
                let (id, head, validator, valid) = (1, 0, 0, true);
                let attestation = ToyAttestation { id, slot, head, target, validator, valid };
                Record::Attestation { attestation, indices: vec![0] }
            }
        };
        machine.handle(&TOY, Event::Record(record));
        most = most.max(machine.entries());
    }
    // Five items, and three ticks at most before each of them and after the last.
    assert!(most <= 5 + 6 * 3, "{most} entries");
}

#[test]
fn a_restart_from_a_trimmed_run_of_ticks_counts_the_votes_that_waited_before_it() {
    // Validator 0 votes for block 1 in each epoch, one slot ahead of the tick that counts the vote,
    // and its last vote alone is kept. A vote of validator 1 for block 2 comes before the last.
    let bounds = Bounds { cold_db: Limits { attestations: 2, ..Limits::default() }, ..bounds() };
    let mut inputs = vec![
        Input::Tick(2),
        Input::Block(ToyBlock::new(1, 0, 1)),
        Input::Block(ToyBlock::new(2, 0, 2)),
    ];
    let vote = |id, slot, head, validator| {
        let target = Checkpoint { epoch: TOY.epoch_at(slot), root: head };
        Input::Vote(ToyAttestation { id, slot, head, target, validator, valid: true })
    };
    for slot in 3..60 {
        inputs.push(Input::Tick(slot));
        if slot % 3 == 2 {
            inputs.push(vote(slot as u8, slot, 1, 0));
        }
    }
    inputs.push(vote(100, 59, 2, 1));
    inputs.extend((60..70).map(Input::Tick));
    let mut world = World::start_with(empty(), bounds).expect("an empty store");
    world = run(world, &inputs, 1);
    assert!(world.cold_db.entries() <= 4 + 3 * 5, "{}", world.cold_db.entries());
    let again = World::start_with(world.store().clone(), bounds).expect("the store is whole");
    assert_eq!(again.chain(), world.chain());
    assert!(world.clearance.fork_choice().weight(2).is_some_and(|weight| weight > 0));
}
