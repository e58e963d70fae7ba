//! The machine alone, with what the toy clears.

use std::sync::Arc;

use super::{Clearance, Effect, Event, Import};
use crate::attestation_pool::{self, PoolAttestation};
use crate::clearance::{BuildOn, Wanted};
use crate::consensus::{
    Balances, BlockEffects, Checkpoint, Checkpoints, Consensus, IndexedVote, Vote,
};
use crate::fork_choice::{Config, Refusal};
use crate::gossip::Operation;
use crate::identified;
use crate::machine::Machine;
use crate::payload::Places;
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyOperation, ToyPayloadVote, ToySlashing};
use crate::verdict::Cleared;

/// Block `root` on `parent` at `slot`, cleared; the anchor is all that it justifies.
fn cleared(root: u8, parent: u8, slot: u64) -> Event<Toy> {
    carrying(root, parent, slot, Vec::new(), Vec::new())
}

/// Like [`cleared`], with votes and the validators of slashings.
fn carrying(
    root: u8,
    parent: u8,
    slot: u64,
    votes: Vec<IndexedVote<u8>>,
    equivocating: Vec<u64>,
) -> Event<Toy> {
    let anchor = Checkpoint { epoch: 0, root: 0 };
    let evidence = BlockEffects {
        post_state_root: root,
        checkpoints: Checkpoints {
            justified: anchor,
            finalized: anchor,
            unrealized_justified: anchor,
            unrealized_finalized: anchor,
        },
        votes,
        equivocating,
    };
    let block = Box::new(Cleared::new(
        identified::block(&Toy::default(), ToyBlock::new(root, parent, slot)),
        evidence,
    ));
    Event::Import(Import::Block { block, timely: false })
}

/// A machine at slot 3 with two branches of one block, and validators of weight 1.
fn with_branches() -> Clearance<Toy> {
    let balances = Balances { effective: Arc::from([1; 4]), total_active: 4 };
    let mut machine = Clearance::<Toy>::new(Config::new(4), 0, 0, balances);
    for event in [Event::Import(Import::Tick { slot: 3 }), cleared(1, 0, 1), cleared(2, 0, 1)] {
        machine.handle(&Toy::default(), event);
    }
    machine
}

fn vote(validator: u64, block: u8) -> IndexedVote<u8> {
    let anchor = Checkpoint { epoch: 0, root: 0 };
    let vote =
        Vote { id: block, slot: 1, beacon_block_root: block, source: anchor, target: anchor };
    IndexedVote { vote, indices: vec![validator] }
}

fn heads(effects: &[Effect<Toy>]) -> Vec<(u8, u8)> {
    let head = |effect: &Effect<Toy>| match effect {
        Effect::HeadChanged { old, new, .. } => Some((*old, *new)),
        _ => None,
    };
    effects.iter().filter_map(head).collect()
}

#[test]
fn the_votes_and_slashings_of_a_block_reach_the_fork_choice_at_once() {
    // Block 3 on branch 2 carries two votes for branch 1, which becomes head without 3 having
    // been head before. Block 4 carries a slashing of both voters.
    let mut machine = with_branches();
    let votes = vec![vote(0, 1), vote(1, 1)];
    let effects = machine.handle(&Toy::default(), carrying(3, 2, 2, votes, Vec::new()));
    assert_eq!(heads(&effects), [(2, 1)]);
    let effects = machine.handle(&Toy::default(), carrying(4, 1, 2, Vec::new(), vec![0, 1]));
    assert_eq!(heads(&effects), [(1, 3)]);
}

#[test]
fn an_attester_slashing_takes_the_weight_of_votes() {
    // Branch 1 is head by one vote until its voter is known to have equivocated. The head that
    // is to stay cached is told, too.
    let mut machine = with_branches();
    machine.handle(&Toy::default(), carrying(3, 1, 2, vec![vote(0, 1)], Vec::new()));
    assert_eq!(machine.view().head, 3);
    let operation = |operation| {
        let operation = identified::operation(&Toy::default(), operation);
        Event::Import(Import::Operation(Box::new(Cleared::new(operation, vec![0]))))
    };
    // No other operation does.
    let exit = ToyOperation { id: 50, validators: 1, signed: true, valid: true };
    let exit = operation(Operation::VoluntaryExit(exit));
    assert_eq!(machine.handle(&Toy::default(), exit), []);
    let target = Checkpoint { epoch: 0, root: 0 };
    let [first, second] = [60, 61].map(|id| ToyAttestation {
        id,
        slot: 1,
        head: 1,
        target,
        validator: 0,
        valid: true,
    });
    let slashing = Toy::default().attester_slashing((&first, &[0]), (&second, &[0]));
    let slashing = operation(Operation::AttesterSlashing(slashing));
    let effects = machine.handle(&Toy::default(), slashing.clone());
    assert_eq!(heads(&effects), [(3, 2)]);
    assert!(matches!(effects[1], Effect::Prune(keep) if keep.head == 2), "{effects:?}");
    assert_eq!(machine.handle(&Toy::default(), slashing), []);
}

#[test]
fn every_operation_that_clears_is_there_for_a_block() {
    // The detector has found the slashing of the proposer of both branches. One of each kind comes
    // by gossip, twice. Whoever does not pack gets none.
    let mut machine = with_branches();
    let given = |id, validators| ToyOperation { id, validators, signed: true, valid: true };
    let all = [
        (Operation::ProposerSlashing(ToySlashing::Given(given(50, 0b100))), vec![2]),
        (Operation::AttesterSlashing(ToySlashing::Given(given(51, 0b110))), vec![1, 2]),
        (Operation::VoluntaryExit(given(52, 0b1000)), vec![3]),
    ];
    for (operation, about) in all.iter().chain(&all) {
        let operation = identified::operation(&Toy::default(), operation.clone());
        let cleared = Box::new(Cleared::new(operation, about.clone()));
        machine.handle(&Toy::default(), Event::Import(Import::Operation(cleared)));
    }
    let held = machine.material(BuildOn::Block(1), Wanted::Block).operations;
    assert!(matches!(held[0], Operation::ProposerSlashing(ToySlashing::Of(_))), "{held:?}");
    assert_eq!(held[1..], all.map(|(operation, _)| operation));
    assert_eq!(machine.material(BuildOn::Block(1), Wanted::Parent).operations, []);
}

/// Block `root` on `parent` at `slot`, which finalises the checkpoint of `epoch` and `parent`.
fn finalizing(root: u8, parent: u8, slot: u64, epoch: u64) -> Event<Toy> {
    let checkpoint = Checkpoint { epoch, root: parent };
    let evidence = BlockEffects {
        post_state_root: root,
        checkpoints: Checkpoints {
            justified: checkpoint,
            finalized: checkpoint,
            unrealized_justified: checkpoint,
            unrealized_finalized: checkpoint,
        },
        votes: Vec::new(),
        equivocating: Vec::new(),
    };
    let block = identified::block(&Toy::default(), ToyBlock::new(root, parent, slot));
    let block = Box::new(Cleared::new(block, evidence));
    Event::Import(Import::Block { block, timely: false })
}

fn asked(effects: &[Effect<Toy>]) -> Vec<(u64, Vec<Operation<Toy>>)> {
    let asked = |effect: &Effect<Toy>| match effect {
        Effect::RequestSpent { checkpoint, operations } => {
            Some((checkpoint.epoch, operations.clone()))
        }
        _ => None,
    };
    effects.iter().filter_map(asked).collect()
}

#[test]
fn finality_asks_which_operations_are_spent_and_those_are_dropped() {
    // Blocks 1 to 4 in epochs 1 to 4; each finalises its parent. There is no operation at the first
    // finality, two exits at the second, and at the third the answer is still under way.
    let balances = Balances { effective: Arc::from([1; 4]), total_active: 4 };
    let mut machine = Clearance::<Toy>::new(Config::new(4), 0, 0, balances);
    let mut handle = |event| machine.handle(&Toy::default(), event);
    handle(Event::Import(Import::Tick { slot: 30 }));
    handle(cleared(1, 0, 4));
    assert_eq!(asked(&handle(finalizing(2, 1, 8, 1))), []);
    let exits = [(50, 1), (51, 2)].map(|(id, validator)| {
        let operation = ToyOperation { id, validators: 1 << validator, signed: true, valid: true };
        let operation = Operation::VoluntaryExit(operation);
        let identified = identified::operation(&Toy::default(), operation.clone());
        let cleared = Box::new(Cleared::new(identified, vec![validator]));
        handle(Event::Import(Import::Operation(cleared)));
        operation
    });
    assert_eq!(asked(&handle(finalizing(3, 2, 12, 2))), [(2, exits.to_vec())]);
    assert_eq!(asked(&handle(finalizing(4, 3, 16, 3))), [], "one request at a time");
    assert_eq!(handle(Event::Spent(vec![exits[0].clone()])), []);
    assert_eq!(asked(&handle(finalizing(5, 4, 20, 4))), [(4, vec![exits[1].clone()])]);
    // A request that failed drops nothing, and the next finality asks again.
    handle(Event::Spent(Vec::new()));
    assert_eq!(asked(&handle(finalizing(6, 5, 24, 5))), [(5, vec![exits[1].clone()])]);
    let held = machine.material(BuildOn::Block(6), Wanted::Block).operations;
    assert_eq!(held, [exits[1].clone()]);
}

#[test]
fn balances_that_could_not_be_had_are_asked_for_in_the_next_slot_if_they_are_still_needed() {
    // The first request fails. A tick asks again, once; then a newer checkpoint is justified while
    // that request is under way, and it fails too: only the newer one's balances are needed.
    let balances = Balances { effective: Arc::from([1; 4]), total_active: 4 };
    let mut machine = Clearance::<Toy>::new(Config::new(4), 0, 0, balances.clone());
    let mut asks = |event| {
        let effects = machine.handle(&Toy::default(), event);
        let epoch = |effect: &Effect<Toy>| match effect {
            Effect::RequestBalances(checkpoint) => Some(checkpoint.epoch),
            _ => None,
        };
        effects.iter().filter_map(epoch).collect::<Vec<_>>()
    };
    let tick = |slot| Event::Import(Import::Tick { slot });
    let failed = |epoch, root| {
        let checkpoint = Checkpoint { epoch, root };
        Event::Balances { checkpoint, balances: None }
    };
    assert_eq!((asks(tick(30)), asks(cleared(1, 0, 4))), (vec![], vec![]));
    assert_eq!(asks(finalizing(2, 1, 8, 1)), [1]);
    assert_eq!(asks(tick(31)), [], "it is under way");
    assert_eq!((asks(failed(1, 1)), asks(tick(32)), asks(tick(33))), (vec![], vec![1], vec![]));
    assert_eq!(asks(finalizing(3, 2, 12, 2)), [2]);
    assert_eq!((asks(failed(1, 1)), asks(tick(34))), (vec![], vec![]));
    assert_eq!((asks(failed(2, 2)), asks(tick(35))), (vec![], vec![2]));
    let checkpoint = Checkpoint { epoch: 2, root: 2 };
    let event = Event::Balances { checkpoint, balances: Some(balances) };
    assert_eq!((asks(event), asks(tick(36))), (vec![], vec![]));
}

#[test]
fn the_slashings_of_a_block_that_is_refused_count_all_the_same() {
    // The block's parent is not in the fork choice.
    let mut machine = with_branches();
    machine.handle(&Toy::default(), carrying(3, 1, 2, vec![vote(0, 1)], Vec::new()));
    let refused = carrying(9, 8, 2, vec![vote(1, 1)], vec![0]);
    assert_eq!(heads(&machine.handle(&Toy::default(), refused)), [(3, 2)]);
}

#[test]
fn what_comes_while_detection_is_off_is_counted_and_not_looked_at() {
    // Of two pairs of blocks for one slot, the pair that comes while it is off is not found.
    let balances = Balances { effective: Arc::from([]), total_active: 1 };
    let mut machine = Clearance::<Toy>::new(Config::new(4), 0, 0, balances);
    let mut handle = |event| machine.handle(&Toy::default(), event);
    handle(Event::Import(Import::Tick { slot: 9 }));
    let found = |effects: &[Effect<Toy>]| {
        effects.iter().any(|effect| matches!(effect, Effect::Equivocation { .. }))
    };
    assert!(found(&[1, 2].map(|root| handle(cleared(root, 0, 1))).concat()));
    let off = Effect::Detection { on: false, skipped: 0 };
    assert_eq!(handle(Event::Detection { on: false }), [off]);
    assert!(!found(&[3, 4].map(|root| handle(cleared(root, 0, 2))).concat()));
    let on = Effect::Detection { on: true, skipped: 2 };
    assert_eq!(handle(Event::Detection { on: true }), [on]);
    assert_eq!(handle(Event::Detection { on: true }), []);
}

#[test]
fn a_cleared_attestation_is_a_candidate_until_no_block_may_include_it() {
    // Of slot 3, with epochs of four slots: there in slot 7 and gone in slot 8.
    let balances = Balances { effective: Arc::from([1]), total_active: 1 };
    let mut machine = Clearance::<Toy>::new(Config::new(4), 0, 0, balances);
    let toy = Toy::default();
    let target = Checkpoint { epoch: 0, root: 0 };
    let attestation = ToyAttestation { id: 9, slot: 3, head: 0, target, validator: 0, valid: true };
    let vote = toy.vote(&attestation);
    let cleared = Cleared::new(
        identified::attestation(&toy, attestation),
        IndexedVote { vote, indices: vec![0] },
    );
    machine.handle(&toy, Event::Import(Import::Tick { slot: 4 }));
    machine.handle(&toy, Event::Import(Import::Attestation(Box::new(cleared))));
    for (slot, left) in [(7, vec![attestation]), (8, vec![])] {
        machine.handle(&toy, Event::Import(Import::Tick { slot }));
        assert_eq!(machine.candidates(0).pack(|_| Some(vec![1]), 9), left, "slot {slot}");
        let (slot, root) = (attestation.slot, attestation.data_root());
        let material = machine.material(BuildOn::Block(0), Wanted::Data { slot, root });
        assert_eq!(material.attestations.largest(), left.first().copied());
    }
}

#[test]
fn what_an_ancestor_includes_is_no_candidate_and_on_another_branch_it_is() {
    // A vote of slot 1 that block 1 includes. Block 3 builds on block 1, and block 2 does not.
    let (toy, mut machine) = (Toy::default(), with_branches());
    machine.handle(&toy, cleared(3, 1, 2));
    let target = Checkpoint { epoch: 0, root: 0 };
    let attestation = ToyAttestation { id: 9, slot: 1, head: 0, target, validator: 0, valid: true };
    let indexed = IndexedVote { vote: toy.vote(&attestation), indices: vec![0] };
    let cleared = Cleared::new(identified::attestation(&toy, attestation), indexed);
    machine.handle(&toy, Event::Import(Import::Attestation(Box::new(cleared))));
    // Blocks of the toy protocol carry nothing, so the pool is told as one that does would tell it.
    let attestations = vec![attestation];
    let included = attestation_pool::Event::Block { root: 1, slot: 1, attestations };
    machine.pool.handle(&(), included);
    let packed = |parent| machine.candidates(parent).pack(|_| Some(vec![1]), 9);
    assert_eq!([1, 3, 2].map(packed), [vec![], vec![], vec![attestation]]);
}

#[test]
fn a_cleared_payload_vote_is_counted_and_held_until_no_block_may_carry_it() {
    // Validator 0 has places 0 and 4 of five. One vote is for a block that is not there. Of slot 1:
    // there in slot 2 and gone in slot 3.
    let balances = Balances { effective: Arc::from([1; 4]), total_active: 4 };
    let mut machine = Clearance::<Toy>::new(Config::new(4), 0, 0, balances);
    let toy = Toy::default();
    machine.handle(&toy, Event::Import(Import::Tick { slot: 1 }));
    machine.handle(&toy, cleared(1, 0, 1));
    machine.handle(&toy, Event::Import(Import::Payload { root: 1 }));
    for block in [1, 9] {
        let (present, available) = (true, false);
        let vote =
            ToyPayloadVote { id: 8, slot: 1, block, validator: 0, present, available, valid: true };
        let places = toy.verify_payload_vote(&crate::toy::ToyState::anchor(), &vote).unwrap();
        assert_eq!(places, Places { committee: 5, held: vec![0, 4] });
        let cleared = Box::new(Cleared::new(identified::payload_vote(&toy, vote), places));
        machine.handle(&toy, Event::Import(Import::PayloadVote(cleared)));
    }
    let material = machine.material(BuildOn::Block(1), Wanted::PayloadVotes);
    let [group] = &material.payload_votes[..] else { panic!("{:?}", material.payload_votes) };
    let places: Vec<_> = group.votes.iter().map(|(place, _)| *place).collect();
    assert_eq!((group.data.block, places), (1, vec![0, 4]));
    let [known] = &material.payloads[..] else { panic!("{:?}", material.payloads) };
    let counted = known.payload.votes.timely().iter().flatten().count();
    assert_eq!((known.root, known.slot, known.payload.verified, counted), (1, 1, true, 2));
    for (slot, held) in [(2, 1), (3, 0)] {
        machine.handle(&toy, Event::Import(Import::Tick { slot }));
        let material = machine.material(BuildOn::Block(1), Wanted::PayloadVotes);
        assert_eq!(material.payload_votes.len(), held, "slot {slot}");
    }
}

#[test]
fn a_cleared_block_that_the_fork_choice_refuses_is_told() {
    // One of the future is our fault; a copy, and one whose parent is pruned, are harmless.
    let balances = Balances { effective: Arc::from([]), total_active: 1 };
    let mut machine = Clearance::<Toy>::new(Config::new(4), 0, 0, balances);
    let mut handle = |event| machine.handle(&Toy::default(), event);
    handle(Event::Import(Import::Tick { slot: 3 }));
    let expected = Effect::NotImported { root: 1, refusal: Refusal::FutureSlot };
    assert_eq!(handle(cleared(1, 0, 4)), [expected]);
    assert_eq!(handle(cleared(1, 0, 3)).len(), 2, "a new head, and what to keep");
    assert_eq!(handle(cleared(1, 0, 3)), []);
    assert_eq!(handle(cleared(9, 8, 2)), []);
}
