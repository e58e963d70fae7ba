//! What payload-timeliness committees say of blocks.

use super::{Root, all_at, block, block_with, checkpoint, run, store, tick};
use crate::fork_choice::event::{Effect, Event, Refusal};
use crate::fork_choice::machine::ForkChoice;
use crate::machine::Machine;
use crate::payload::{PayloadData, Places};

/// Places of the minimal preset's committee.
const COMMITTEE: usize = 16;

fn vote(block: Root, slot: u64, held: &[usize], present: bool, available: bool) -> Event<Root> {
    let data = PayloadData { slot, block, present, available };
    Event::PayloadVote { data, places: Places { committee: COMMITTEE, held: held.to_vec() } }
}

fn with_block() -> ForkChoice<Root> {
    let mut machine = store();
    run(&mut machine, vec![tick(1), block(7, 0, 1)]);
    machine
}

#[test]
fn more_than_half_of_the_places_and_a_verified_payload_make_it_timely() {
    // Eight places, of which one validator holds three; then the ninth; then the payload.
    let mut machine = with_block();
    let said = |machine: &ForkChoice<Root>| {
        let timely = [true, false].map(|said| machine.payload_timeliness(7, said));
        (timely, [true, false].map(|said| machine.payload_data_availability(7, said)))
    };
    run(
        &mut machine,
        vec![vote(7, 1, &[0, 4, 9], true, false), vote(7, 1, &[1, 2, 3, 5, 6], true, false)],
    );
    machine.handle(&(), Event::Payload { root: 7 });
    assert_eq!(said(&machine), ([false; 2], [false; 2]));
    machine.handle(&(), vote(7, 1, &[7], true, false));
    assert_eq!(said(&machine), ([true, false], [false, true]));
    // A later vote of the validator with three places takes the place of its first one.
    machine.handle(&(), vote(7, 1, &[0, 4, 9], false, true));
    assert_eq!(said(&machine), ([false; 2], [false; 2]));
    let counted = machine.payload(7).unwrap().votes.timely();
    assert_eq!(counted.iter().filter(|vote| **vote == Some(true)).count(), 6);
    assert_eq!(counted.iter().filter(|vote| vote.is_none()).count(), 7);
}

#[test]
fn nothing_is_timely_while_this_node_has_not_verified_the_payload() {
    // All places.
    let mut machine = with_block();
    let all: Vec<_> = (0..COMMITTEE).collect();
    machine.handle(&(), vote(7, 1, &all, true, true));
    assert!(!machine.payload_timeliness(7, true) && !machine.payload_data_availability(7, true));
    machine.handle(&(), Event::Payload { root: 7 });
    assert!(machine.payload_timeliness(7, true) && machine.payload_data_availability(7, true));
}

#[test]
fn a_vote_of_another_slot_changes_nothing_and_one_for_an_unknown_block_is_refused() {
    // The block is of slot 1. The head moves by none of it.
    let mut machine = with_block();
    let before = machine.clone();
    assert_eq!(machine.handle(&(), vote(7, 2, &[0], true, true)), []);
    let refused = vec![Effect::Refused(Refusal::UnknownBlock)];
    assert_eq!(machine.handle(&(), vote(8, 1, &[0], true, true)), refused);
    assert_eq!(machine.handle(&(), Event::Payload { root: 8 }), refused);
    assert_eq!(machine, before);
    assert_eq!(machine.handle(&(), vote(7, 1, &[0], true, true)), []);
    assert_ne!(machine, before);
}

#[test]
fn what_is_said_of_a_block_goes_with_the_block() {
    // Blocks 1 and 2 of two branches; block 4 finalises block 1.
    let mut machine = store();
    run(&mut machine, vec![tick(13), block(1, 0, 4), block(2, 0, 4)]);
    for root in [1, 2] {
        machine.handle(&(), vote(root, 4, &[0], true, true));
        machine.handle(&(), Event::Payload { root });
    }
    run(&mut machine, vec![block(3, 1, 8), block_with(4, 3, 12, all_at(checkpoint(1, 1)), false)]);
    assert_eq!(machine.finalized().root, 1);
    assert_eq!(machine.payloads().map(|(root, _)| root).collect::<Vec<_>>(), [1]);
}
