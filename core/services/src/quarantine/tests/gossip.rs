//! The conditions of the gossip topics.

use super::{Node, node};
use crate::consensus::Checkpoint;
use crate::gossip::Operation;
use crate::quarantine::{Event, Item, Limits};
use crate::rewinder::Answer;
use crate::toy::{Toy, ToyAggregate, ToyAttestation, ToyBlock, ToyOperation, ToySlashing};
use crate::verdict::RejectReason;

/// A vote of validator 1 for block 1, which lies at slot 8.
const VOTE: ToyAttestation = ToyAttestation {
    id: 70,
    slot: 9,
    head: 1,
    target: Checkpoint { epoch: 2, root: 1 },
    validator: 1,
    valid: true,
};

/// An aggregate of validators 0 and 1 for the same block.
const AGGREGATE: ToyAggregate = ToyAggregate {
    id: 80,
    data: 90,
    slot: 9,
    head: 1,
    target: VOTE.target,
    aggregator: 2,
    voters: 0b0011,
    valid: true,
};

fn with_block() -> Node {
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(1, 0, 8)), ("valid", "ok"));
    node
}

impl Node {
    fn gossip(&mut self, item: Item<Toy>) -> (&'static str, &'static str) {
        let id = self.hand_in(item, 0);
        self.settle();
        self.answer_to(id)
    }

    /// As [`Node::gossip`], for an item that must be judged without the Rewinder.
    fn unchecked(&mut self, item: Item<Toy>) -> (&'static str, &'static str) {
        let id = self.hand_in(item, 0);
        assert!(self.checks.is_empty(), "nothing is checked");
        self.answer_to(id)
    }

    fn single(&mut self, attestation: ToyAttestation) -> (&'static str, &'static str) {
        self.gossip(Item::Single { attestation, subnet: attestation.validator })
    }
}

#[test]
fn the_first_vote_of_a_validator_and_target_is_accepted_and_marked_then_alone() {
    // A forged one marks nothing; then the vote, its copy under another signature, and two forged
    // ones of other data: at the same place, and at another slot.
    let mut node = with_block();
    let forged = |id, slot| ToyAttestation { id, slot, valid: false, ..VOTE };
    assert_eq!(node.single(forged(71, 9)), ("invalid", "bad_signature"));
    assert_eq!(node.single(VOTE), ("valid", "ok"));
    let copy = Item::Single { attestation: forged(70, 9), subnet: 1 };
    assert_eq!(node.unchecked(copy), ("ignored", "second_vote"));
    assert_eq!(node.single(forged(72, 9)), ("ignored", "second_vote"));
    assert_eq!(node.single(forged(73, 10)), ("ignored", "second_vote"));
    assert_eq!(node.votes, [70]);
}

#[test]
fn two_votes_of_a_validator_and_target_are_shown_and_a_third_is_not() {
    // The second is of other data at the same place, or of another slot, and is ignored by its
    // topic. Then another one at its place, which costs a look-up, and one of a third slot.
    for slot in [9, 10] {
        let mut node = with_block();
        assert_eq!(node.single(VOTE), ("valid", "ok"));
        let vote = |id, slot| ToyAttestation { id, slot, ..VOTE };
        assert_eq!(node.single(vote(71, slot)), ("ignored", "second_vote"));
        assert_eq!(node.votes, [70, 71], "both are shown");
        let third = Item::Single { attestation: vote(72, slot), subnet: 1 };
        assert_eq!(node.unchecked(third), ("ignored", "second_vote"));
        assert_eq!(node.single(vote(73, 8)), ("ignored", "second_vote"));
        assert_eq!(node.votes, [70, 71], "no third one is");
    }
}

#[test]
fn a_second_vote_is_ignored_for_any_fault_and_waits_for_its_block() {
    // Validator 1 has voted. Another vote of it is for an invalid block, and one for a block that
    // comes later.
    let mut node = with_block();
    assert_eq!(node.judge(ToyBlock::new(5, 1, 9).invalid()).0, "invalid");
    assert_eq!(node.single(VOTE), ("valid", "ok"));
    let invalid =
        Item::Single { attestation: ToyAttestation { id: 71, head: 5, ..VOTE }, subnet: 1 };
    assert_eq!(node.unchecked(invalid), ("ignored", "second_vote"));
    let early = ToyAttestation { id: 72, head: 6, ..VOTE };
    let early = node.hand_in(Item::Single { attestation: early, subnet: 1 }, 0);
    assert_eq!(node.answer_to(early), ("pending", "unknown_block"));
    assert_eq!(node.judge(ToyBlock::new(6, 1, 9)), ("valid", "ok"));
    assert_eq!(
        (node.answer_to(early), &node.votes[..]),
        (("ignored", "second_vote"), &[70, 72][..])
    );
}

#[test]
fn a_second_vote_that_clearance_loses_may_come_again() {
    let mut node = with_block();
    assert_eq!(node.single(VOTE), ("valid", "ok"));
    let second = Item::Single { attestation: ToyAttestation { id: 71, ..VOTE }, subnet: 1 };
    let id = node.hand_in(second.clone(), 0);
    let (request, job) = node.checks.pop_first().expect("it is checked");
    let answer = node.work(job);
    node.step(Event::Answered { request, answer });
    let import = node.imports.pop_front().expect("it is on the way");
    node.step(Event::NotImported { request: import });
    assert_eq!(node.answer_to(id), ("dropped", "fault"));
    assert_eq!(node.gossip(second), ("ignored", "second_vote"));
    assert_eq!(node.votes, [70, 71, 71]);
}

#[test]
fn a_later_vote_is_checked_once_and_a_forged_one_is_junk_of_all_who_brought_it() {
    // Validator 1 has voted twice. Peer 9, proven, brings another vote of it, and then a forged
    // one, for whose copy by proven peer 8 there is no place. Then copies of both.
    let mut node = Node::new(Limits { followers: 0, ..Limits::default() });
    node.prove(9, 1);
    node.prove(8, 2);
    let target = Checkpoint { epoch: 2, root: 0 };
    let vote = ToyAttestation { head: 0, target, ..VOTE };
    assert_eq!(node.single(vote), ("valid", "ok"));
    assert_eq!(node.single(ToyAttestation { id: 75, ..vote }), ("ignored", "second_vote"));
    let proven = |node: &Node| node.machine.shares_of_blocks().proven;
    let hand_in = |node: &mut Node, attestation, peer| {
        node.hand_in(Item::Single { attestation, subnet: 1 }, peer)
    };
    let [valid, forged] =
        [(74, true), (73, false)].map(|(id, valid)| ToyAttestation { id, slot: 10, valid, ..vote });
    let third = hand_in(&mut node, valid, 9);
    node.settle();
    assert_eq!(node.answer_to(third), ("ignored", "second_vote"));
    assert_eq!(proven(&node), [0, 8, 9]);
    let junk = hand_in(&mut node, forged, 7);
    let copies = [8, 9].map(|peer| hand_in(&mut node, forged, peer));
    assert_eq!(copies.map(|id| node.answer_to(id)), [("ignored", "duplicate"); 2]);
    node.settle();
    assert_eq!((node.answer_to(junk), proven(&node)), (("ignored", "second_vote"), vec![0, 9]));
    for vote in [valid, forged] {
        let item = Item::Single { attestation: vote, subnet: 1 };
        assert_eq!(node.unchecked(item), ("ignored", "second_vote"));
    }
}

#[test]
fn a_vote_is_rejected_for_what_its_bytes_show() {
    // Another target epoch, no bit, another subnet, another target.
    let mut node = with_block();
    let target = Checkpoint { epoch: 1, root: 0 };
    assert_eq!(node.single(ToyAttestation { id: 71, target, ..VOTE }).1, "bad_target_epoch");
    assert_eq!(node.single(ToyAttestation { id: 72, validator: 9, ..VOTE }).1, "not_unaggregated");
    let item = Item::Single { attestation: VOTE, subnet: 0 };
    assert_eq!(node.gossip(item), ("invalid", "wrong_subnet"));
    let target = Checkpoint { epoch: 2, root: 0 };
    assert_eq!(node.single(ToyAttestation { id: 73, target, ..VOTE }).1, "bad_target_root");
    assert_eq!(node.single(VOTE), ("valid", "ok"));
}

#[test]
fn a_vote_is_propagated_from_half_a_second_before_its_slot_to_33_slots_later() {
    // Slots of three seconds: the last millisecond that is too early, the first that is not, and
    // the same at the other end.
    for (slot, millis, expected) in [
        (8, 2_499, ("pending", "future_slot")),
        (8, 2_500, ("valid", "ok")),
        (42, 500, ("valid", "ok")),
        (42, 501, ("ignored", "too_old")),
    ] {
        let mut node = with_block();
        node.event(Event::Tick { slot, into_slot_ms: millis });
        assert_eq!(node.single(VOTE), expected, "{slot} {millis}");
    }
}

#[test]
fn an_aggregate_that_another_covers_and_a_second_of_its_aggregator_are_ignored() {
    // No bit; the aggregate; a subset by another; a second by the same; another of both; and once
    // more a subset of the first, which the other one does not contain.
    let mut node = with_block();
    let mut judge = |aggregate| node.gossip(Item::Aggregate(aggregate));
    assert_eq!(judge(ToyAggregate { id: 81, voters: 0, ..AGGREGATE }).1, "no_participants");
    assert_eq!(judge(AGGREGATE), ("valid", "ok"));
    let subset = ToyAggregate { id: 82, aggregator: 3, voters: 0b0001, ..AGGREGATE };
    assert_eq!(judge(subset), ("ignored", "seen_aggregate"));
    let second = ToyAggregate { id: 83, voters: 0b1100, ..AGGREGATE };
    assert_eq!(judge(second), ("ignored", "second_aggregate"));
    let other = ToyAggregate { id: 84, aggregator: 3, voters: 0b0110, ..AGGREGATE };
    assert_eq!(judge(other), ("valid", "ok"));
    let subset = ToyAggregate { id: 85, aggregator: 4, voters: 0b0001, ..AGGREGATE };
    assert_eq!(judge(subset), ("ignored", "seen_aggregate"));
}

#[test]
fn a_vote_waits_for_its_slot_for_an_epoch_at_most() {
    // The clock shows slot 10, and an epoch has four slots.
    for (slot, expected) in [(14, ("pending", "future_slot")), (15, ("ignored", "future_slot"))] {
        let target = Checkpoint { epoch: slot / 4, root: 1 };
        let mut node = with_block();
        assert_eq!(node.single(ToyAttestation { slot, target, ..VOTE }), expected, "{slot}");
    }
}

#[test]
fn a_vote_for_the_finalized_epoch_counts_and_one_for_an_older_epoch_is_too_old() {
    // Block 1 of slot 8 becomes final, with epoch 2.
    let mut node = with_block();
    node.event(Event::Imported { request: None, finalized: VOTE.target });
    let target = Checkpoint { epoch: 1, root: 0 };
    let older = ToyAttestation { id: 71, slot: 7, head: 0, target, ..VOTE };
    assert_eq!(node.single(older), ("ignored", "too_old"));
    assert_eq!(node.single(VOTE), ("valid", "ok"));
}

#[test]
fn a_vote_for_an_invalid_block_is_rejected_although_its_target_is_valid() {
    // Block 5 is invalid; its parent is the target.
    let mut node = with_block();
    assert_eq!(node.judge(ToyBlock::new(5, 1, 9).invalid()).0, "invalid");
    let vote = ToyAttestation { head: 5, ..VOTE };
    assert_eq!(node.single(vote), ("invalid", "invalid_ancestor"));
}

#[test]
fn a_vote_of_its_blocks_slot_counts_and_one_of_the_slot_before_does_not() {
    // Block 5 lies at slot 9, and descends from the target.
    let mut node = with_block();
    assert_eq!(node.judge(ToyBlock::new(5, 1, 9)), ("valid", "ok"));
    let before = ToyAttestation { id: 71, slot: 8, head: 5, ..VOTE };
    assert_eq!(node.single(before), ("ignored", "block_after_attestation"));
    assert_eq!(node.single(ToyAttestation { head: 5, ..VOTE }), ("valid", "ok"));
}

#[test]
fn an_operation_about_validators_that_are_all_seen_is_ignored() {
    // For each kind: an invalid one marks nothing, then a valid one, another, and a larger one.
    let kinds: [fn(ToyOperation) -> Operation<Toy>; 3] = [
        |operation| Operation::ProposerSlashing(ToySlashing::Given(operation)),
        |operation| Operation::AttesterSlashing(ToySlashing::Given(operation)),
        Operation::VoluntaryExit,
    ];
    let mut node = node();
    for kind in kinds {
        let mut judge = |id, validators, valid| {
            let operation = ToyOperation { id, validators, signed: true, valid };
            node.gossip(Item::Operation(kind(operation)))
        };
        assert_eq!(judge(1, 0b0010, false), ("invalid", "bad_operation"));
        assert_eq!(judge(2, 0b0010, true), ("valid", "ok"));
        assert_eq!(judge(4, 0b0110, true), ("valid", "ok"));
        let seen = ToyOperation { id: 3, validators: 0b0010, signed: true, valid: false };
        let seen = node.unchecked(Item::Operation(kind(seen)));
        assert_eq!(seen, ("ignored", "seen_operation"));
    }
}

#[test]
fn an_operation_that_was_invalid_is_checked_again() {
    // The head's state alone may have been what was wrong with it. Then the clock has stepped back
    // to before the head's slot, which is no fault of the operation.
    let mut node = node();
    let exit = ToyOperation { id: 1, validators: 0b0010, signed: true, valid: false };
    for checked in 1..=2 {
        let id = node.hand_in(Item::Operation(Operation::VoluntaryExit(exit)), 0);
        assert_eq!(node.checks.len(), 1, "time {checked}");
        node.settle();
        assert_eq!(node.answer_to(id), ("invalid", "bad_operation"));
    }
    let id = node.hand_in(Item::Operation(Operation::VoluntaryExit(exit)), 0);
    let (request, _) = node.checks.pop_first().expect("it is checked");
    let answer = Answer::Invalid(RejectReason::SlotNotAfterParent);
    node.event(Event::Answered { request, answer });
    assert_eq!(node.answer_to(id), ("dropped", "fault"));
}

#[test]
fn blocks_of_one_proposer_and_slot_are_bounded_but_for_those_that_are_awaited() {
    // A bound of two, and of three for what is awaited.
    let limits = Limits { equivocations: 2, awaited_equivocations: 3, ..Limits::default() };
    let mut node = Node::new(limits);
    for root in [1, 2] {
        assert_eq!(node.judge(ToyBlock::new(root, 0, 1)), ("valid", "ok"));
    }
    assert_eq!(node.judge(ToyBlock::new(3, 0, 1)), ("ignored", "second_proposal"));
    let child = node.submit(ToyBlock::new(5, 3, 2));
    assert_eq!(node.judge(ToyBlock::new(3, 0, 1)), ("valid", "ok"));
    assert_eq!(node.answer_to(child), ("valid", "ok"));
    // A vote alone vouches for nothing.
    node.hand_in(Item::Attestation(ToyAttestation { id: 90, head: 4, ..VOTE }), 0);
    assert!(node.machine.awaited_roots().contains(&4));
    assert_eq!(node.judge(ToyBlock::new(4, 0, 1)), ("ignored", "second_proposal"));
}

#[test]
fn a_proposer_cannot_use_up_what_other_peers_vouch_for() {
    // Peers 7 and 8 have the key of slot 1 and bring forged blocks that wait for its blocks. One
    // block is kept, one more if something waits for it, and one that they vouch for together. The
    // block that the others follow comes last, and peer 9 has one that waits for it.
    let limits = Limits { equivocations: 1, awaited_equivocations: 2, ..Limits::default() };
    let mut node = Node::new(limits);
    node.hand_in(Item::Block(ToyBlock::new(60, 0, 2)), 9);
    node.settle();
    let follows = |node: &mut Node, root: u8, peer: u64| {
        node.hand_in(
            Item::Block(ToyBlock { valid: false, ..ToyBlock::new(100 + root, root, 3) }),
            peer,
        );
        let id = node.hand_in(Item::Block(ToyBlock::new(root, 0, 1)), peer);
        node.settle();
        node.answer_to(id)
    };
    let theirs: Vec<_> =
        (1..=9).map(|root| follows(&mut node, root, 7 + u64::from(root) % 2)).collect();
    assert_eq!(theirs.iter().filter(|answer| answer.0 == "valid").count(), 4, "{theirs:?}");
    let child = node.hand_in(Item::Block(ToyBlock::new(50, 40, 4)), 9);
    assert_eq!(node.judge(ToyBlock::new(40, 0, 1)), ("valid", "ok"));
    assert_eq!(node.answer_to(child), ("valid", "ok"));
    // Peer 9 vouches for four in all.
    let more: Vec<_> = (41..=45)
        .map(|root| {
            node.hand_in(Item::Block(ToyBlock::new(10 + root, root, u64::from(root) - 36)), 9);
            node.judge(ToyBlock::new(root, 0, 1)).0
        })
        .collect();
    assert_eq!(more, ["valid", "valid", "valid", "ignored", "ignored"]);
}

#[test]
fn blocks_on_the_way_into_clearance_count_against_the_bound_and_lost_ones_do_not() {
    // A bound and a window of one, three blocks, and a Clearance that loses the first: while it is
    // on the way nothing is checked, and afterwards one is.
    let limits = Limits { equivocations: 1, window: 1, ..Limits::default() };
    for is_lost in [false, true] {
        let mut node = Node::new(limits);
        let ids = [1, 2].map(|root| node.submit(ToyBlock::new(root, 0, 1)));
        let (request, job) = node.checks.pop_first().expect("the first is checked");
        let answer = node.work(job);
        node.step(Event::Answered { request, answer });
        assert_eq!((node.checks.len(), node.answer_to(ids[1]).1), (0, "second_proposal"));
        let import = node.imports.pop_front().expect("the first is on the way");
        if is_lost {
            node.step(Event::NotImported { request: import });
        } else {
            node.step(Event::Imported {
                request: Some(import),
                finalized: Checkpoint { epoch: 0, root: 0 },
            });
        }
        let expected = if is_lost { ("valid", "ok") } else { ("ignored", "second_proposal") };
        assert_eq!(node.judge(ToyBlock::new(3, 0, 1)), expected);
    }
}

#[test]
fn a_block_that_finality_passes_while_it_is_checked_is_late_and_not_invalid() {
    // Slot 4 becomes final while blocks of slots 3 and 5 are checked, both on the anchor; the
    // Rewinder finds them valid, or their parent pruned.
    for is_pruned in [false, true] {
        let mut node = node();
        assert_eq!(node.judge(ToyBlock::new(1, 0, 4)), ("valid", "ok"));
        let ids = [3, 5].map(|slot| node.submit(ToyBlock::new(10 + slot as u8, 0, slot)));
        let finalized = Checkpoint { epoch: 1, root: 1 };
        node.event(Event::Imported { request: None, finalized });
        while let Some((request, job)) = node.checks.pop_first() {
            let answer = if is_pruned { Answer::Pruned } else { node.work(job) };
            node.event(Event::Answered { request, answer });
        }
        assert_eq!(node.answer_to(ids[0]), ("ignored", "not_after_finalized_slot"));
        assert_eq!(node.answer_to(ids[1]), ("invalid", "not_descendant_of_finalized"));
    }
}
