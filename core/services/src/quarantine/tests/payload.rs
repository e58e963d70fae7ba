//! Votes of payload-timeliness committees, and blocks that wait for their parents' payloads.

use super::{Node, node};
use crate::consensus::Checkpoint;
use crate::quarantine::{Event, Item, ItemId, Limits};
use crate::rewinder::Answer;
use crate::toy::{Toy, ToyBlock, ToyPayloadVote};
use crate::verdict::PendingReason;

/// A vote of validator 1 for block 1, both of slot 10.
const VOTE: ToyPayloadVote = ToyPayloadVote {
    id: 70,
    slot: 10,
    block: 1,
    validator: 1,
    present: true,
    available: true,
    valid: true,
};

fn with_block() -> Node {
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(1, 0, 10)), ("valid", "ok"));
    node
}

impl Node {
    fn payload_vote(&mut self, vote: ToyPayloadVote) -> (&'static str, &'static str) {
        let id = self.hand_in(Item::PayloadVote(vote), 0);
        self.settle();
        self.answer_to(id)
    }

    /// As [`Node::payload_vote`], for one that must be judged without the Rewinder.
    fn unchecked_vote(&mut self, vote: ToyPayloadVote) -> (&'static str, &'static str) {
        let id = self.hand_in(Item::PayloadVote(vote), 0);
        assert!(self.checks.is_empty(), "nothing is checked");
        self.answer_to(id)
    }
}

#[test]
fn a_payload_vote_is_of_the_current_slot_give_or_take_half_a_second() {
    // Slots of three seconds: the last millisecond that is too early, the first that is not, and
    // the same at the other end. A vote of a later slot does not wait for it.
    for (slot, millis, expected) in [
        (9, 2_499, ("ignored", "not_current_slot")),
        (9, 2_500, ("pending", "unknown_block")),
        (10, 0, ("pending", "unknown_block")),
        (11, 500, ("pending", "unknown_block")),
        (11, 501, ("ignored", "not_current_slot")),
        (12, 0, ("ignored", "not_current_slot")),
    ] {
        let mut node = node();
        node.event(Event::Tick { slot, into_slot_ms: millis });
        assert_eq!(node.unchecked_vote(VOTE), expected, "{slot} {millis}");
    }
}

#[test]
fn the_first_condition_that_fails_decides_about_a_payload_vote() {
    // Votes that fail a condition and every later one; each later vote passes one condition more.
    let mut node = node();
    let nobody = ToyPayloadVote { id: 60, slot: 12, block: 3, validator: 9, valid: false, ..VOTE };
    assert_eq!(node.unchecked_vote(nobody), ("ignored", "not_current_slot"));
    assert_eq!(node.judge(ToyBlock::new(1, 0, 10)), ("valid", "ok"));
    assert_eq!(node.judge(ToyBlock::new(2, 0, 9)), ("valid", "ok"));
    assert_eq!(node.judge(ToyBlock::new(3, 0, 10).invalid()), ("invalid", "bad_state_root"));
    assert_eq!(node.payload_vote(VOTE), ("valid", "ok"));
    // A second vote of validator 1, for an invalid block.
    let second = ToyPayloadVote { id: 61, block: 3, valid: false, ..VOTE };
    assert_eq!(node.unchecked_vote(second), ("ignored", "second_vote"));
    let invalid = ToyPayloadVote { id: 62, block: 3, validator: 9, valid: false, ..VOTE };
    assert_eq!(node.unchecked_vote(invalid), ("invalid", "invalid_ancestor"));
    let another = ToyPayloadVote { id: 63, block: 2, validator: 9, valid: false, ..VOTE };
    assert_eq!(node.unchecked_vote(another), ("ignored", "block_of_another_slot"));
    let stranger = ToyPayloadVote { id: 64, validator: 9, valid: false, ..VOTE };
    assert_eq!(node.payload_vote(stranger), ("invalid", "not_in_committee"));
    let unsigned = ToyPayloadVote { id: 65, validator: 2, valid: false, ..VOTE };
    assert_eq!(node.payload_vote(unsigned), ("invalid", "bad_signature"));
}

#[test]
fn a_payload_vote_marks_its_slot_and_validator_once_its_signature_is_verified() {
    // A forged vote hides no honest one. Of two that are checked at the same time, the first to be
    // found valid counts. The mark is of the slot and the validator, and goes with the slot.
    let mut node = with_block();
    assert_eq!(node.payload_vote(ToyPayloadVote { id: 71, valid: false, ..VOTE }).0, "invalid");
    let other = ToyPayloadVote { id: 72, present: false, ..VOTE };
    let ids = [VOTE, other].map(|vote| node.hand_in(Item::PayloadVote(vote), 0));
    assert_eq!(node.checks.len(), 2);
    node.settle();
    assert_eq!(ids.map(|id| node.answer_to(id)), [("valid", "ok"), ("ignored", "second_vote")]);
    assert_eq!(node.payload_vote(ToyPayloadVote { id: 73, validator: 2, ..VOTE }).1, "ok");
    node.event(Event::Tick { slot: 11, into_slot_ms: 0 });
    assert_eq!(node.unchecked_vote(ToyPayloadVote { id: 74, ..VOTE }).1, "second_vote");
    assert_eq!(node.judge(ToyBlock::new(4, 1, 11)), ("valid", "ok"));
    let next = ToyPayloadVote { id: 75, slot: 11, block: 4, ..VOTE };
    assert_eq!(node.payload_vote(next), ("valid", "ok"));
}

#[test]
fn a_payload_vote_that_clearance_loses_is_not_seen_and_may_come_again() {
    // The import fails; the same vote, and then another, of the same validator.
    let mut node = with_block();
    let id = node.hand_in(Item::PayloadVote(VOTE), 0);
    let (request, job) = node.checks.pop_first().expect("it is checked");
    let answer = node.work(job);
    assert!(matches!(answer, Answer::PayloadVote(_)));
    node.step(Event::Answered { request, answer });
    let import = node.imports.pop_front().expect("it is on the way");
    node.step(Event::NotImported { request: import });
    assert_eq!(node.answer_to(id), ("dropped", "fault"));
    assert_eq!(node.payload_vote(VOTE), ("valid", "ok"));
    assert_eq!(node.unchecked_vote(ToyPayloadVote { id: 76, ..VOTE }).1, "second_vote");
}

#[test]
fn a_payload_vote_waits_for_its_block_and_not_beyond_its_slot() {
    // One whose block comes in its slot, and one whose slot ends first.
    for comes in [true, false] {
        let mut node = node();
        let id = node.hand_in(Item::PayloadVote(VOTE), 0);
        assert_eq!(node.answer_to(id), ("pending", "unknown_block"));
        assert_eq!(
            (&node.needed[..], &node.parked[..]),
            (&[1][..], &[(id, PendingReason::UnknownBlock)][..])
        );
        let expected = if comes {
            assert_eq!(node.judge(ToyBlock::new(1, 0, 10)), ("valid", "ok"));
            ("valid", "ok")
        } else {
            node.event(Event::Tick { slot: 11, into_slot_ms: 0 });
            ("dropped", "expired")
        };
        assert_eq!(node.answer_to(id), expected);
    }
}

#[test]
fn a_payload_vote_waits_on_if_an_older_slot_becomes_final() {
    // A vote of slot 10 for a block that is not there. The epoch that begins with slot 8 is final.
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(2, 0, 8)), ("valid", "ok"));
    let id = node.hand_in(Item::PayloadVote(VOTE), 0);
    node.event(Event::Imported { request: None, finalized: Checkpoint { epoch: 2, root: 2 } });
    assert_eq!(node.answer_to(id), ("pending", "unknown_block"));
}

#[test]
fn a_payload_vote_for_a_block_that_turns_out_invalid_is_rejected_with_it() {
    // The vote waits; the block's transition fails.
    let mut node = node();
    let id = node.hand_in(Item::PayloadVote(VOTE), 0);
    assert_eq!(node.judge(ToyBlock::new(1, 0, 10).invalid()).0, "invalid");
    assert_eq!(node.answer_to(id), ("invalid", "invalid_ancestor"));
}

#[test]
fn payload_votes_have_their_own_room_and_give_way_by_peer() {
    // Room for two of a kind, a peer with three, and another's one; a block that waits meanwhile.
    let mut node = Node::new(Limits { items: 2, ..Limits::default() });
    let block = node.submit(ToyBlock::new(9, 8, 10));
    let vote = |id: u8| ToyPayloadVote { id, validator: u64::from(id), ..VOTE };
    let flood: Vec<ItemId> =
        (0..3).map(|id| node.hand_in(Item::PayloadVote(vote(id)), 7)).collect();
    let honest = node.hand_in(Item::PayloadVote(vote(3)), 8);
    assert_eq!(node.answer_to(flood[0]), ("dropped", "evicted"));
    assert_eq!(node.answer_to(flood[1]), ("dropped", "evicted"));
    let pending = ("pending", "unknown_block");
    assert_eq!([flood[2], honest].map(|id| node.answer_to(id)), [pending; 2]);
    assert_eq!(node.answer_to(block), ("pending", "unknown_parent"));
}

/// A node of a chain on which each block is built on its parent's payload, with block 1.
fn with_payloads(limits: Limits) -> Node {
    let mut node = Node::new(limits);
    node.toy = Toy { payloads: true, ..node.toy };
    assert_eq!(node.judge(ToyBlock::new(1, 0, 9)), ("valid", "ok"), "the anchor's is there");
    node
}

#[test]
fn a_child_waits_for_the_payload_of_its_parent_and_is_released_by_it() {
    // Child and grandchild; the payload of the child comes before the child.
    let mut node = with_payloads(Limits::default());
    let child = node.submit(ToyBlock::new(2, 1, 10));
    assert_eq!(node.answer_to(child), ("pending", "unknown_payload"));
    assert_eq!(node.needed_payloads, [1]);
    let grandchild = node.submit(ToyBlock::new(3, 2, 10));
    assert_eq!(node.answer_to(grandchild), ("pending", "unknown_parent"));
    node.event(Event::Payload { root: 2 });
    assert_eq!((&node.payloads[..], node.checks.len()), (&[][..], 0), "block 2 is not known");
    node.event(Event::Payload { root: 1 });
    node.settle();
    assert_eq!(node.answer_to(child), ("valid", "ok"));
    assert_eq!(node.answer_to(grandchild), ("invalid", "slot_not_after_parent"));
    assert_eq!(node.payloads, [1, 2], "each once its block is there");
    assert_eq!(node.judge(ToyBlock::new(4, 2, 10)).1, "slot_not_after_parent");
}

#[test]
fn a_payload_that_is_missing_is_asked_for_again_until_the_patience_ends() {
    // Patience of four slots from slot 10 on: asked for at once, after one slot, after two more.
    let mut node = with_payloads(Limits { patience: 4, ..Limits::default() });
    let child = node.submit(ToyBlock::new(2, 1, 10));
    for slot in 11..14 {
        node.event(Event::Tick { slot, into_slot_ms: 0 });
    }
    assert_eq!(node.needed_payloads, [1, 1, 1]);
    assert_eq!(node.answer_to(child), ("pending", "unknown_payload"));
    node.event(Event::Tick { slot: 14, into_slot_ms: 0 });
    assert_eq!(node.answer_to(child), ("dropped", "expired"));
    node.event(Event::Tick { slot: 60, into_slot_ms: 0 });
    assert_eq!(node.needed_payloads, [1, 1, 1], "nothing waits for it");
}

#[test]
fn a_child_that_passes_to_a_proven_peer_waits_for_the_payload_for_that_peer() {
    // Patience of four slots. Peer 7's child, which proven peer 9 brings as well, waits till then.
    // Whoever it was that brought it first, nothing is asked for afterwards.
    let mut node = with_payloads(Limits { patience: 4, needs: 1, ..Limits::default() });
    node.prove(9, 7);
    let child = node.hand_in(Item::Block(ToyBlock::new(2, 1, 10)), 7);
    node.hand_in(Item::Block(ToyBlock::new(2, 1, 10)), 9);
    assert_eq!(node.needed_payloads, [1]);
    node.event(Event::Tick { slot: 14, into_slot_ms: 0 });
    assert_eq!(node.answer_to(child), ("dropped", "expired"));
    let asked = node.needed_payloads.len();
    node.event(Event::Tick { slot: 60, into_slot_ms: 0 });
    assert_eq!(node.needed_payloads.len(), asked, "nothing waits for it");
}

#[test]
fn a_child_whose_parent_finality_passes_while_it_waits_for_the_payload_is_refused() {
    // Block 5 of slot 8 is finalised; block 1 is on another branch.
    let mut node = with_payloads(Limits::default());
    assert_eq!(node.judge(ToyBlock::new(5, 0, 8)), ("valid", "ok"));
    let child = node.submit(ToyBlock::new(2, 1, 10));
    assert_eq!(node.answer_to(child), ("pending", "unknown_payload"));
    node.event(Event::Imported { request: None, finalized: Checkpoint { epoch: 2, root: 5 } });
    assert_eq!(node.answer_to(child), ("invalid", "not_descendant_of_finalized"));
    // The finalised block's own payload counts as there.
    assert_eq!(node.judge(ToyBlock::new(6, 5, 10)), ("valid", "ok"));
}

#[test]
fn without_payloads_no_block_waits_for_one() {
    // The chain of the other tests.
    let mut node = with_block();
    assert_eq!(node.judge(ToyBlock::new(2, 1, 10)).1, "slot_not_after_parent");
    node.event(Event::Tick { slot: 11, into_slot_ms: 0 });
    assert_eq!(node.judge(ToyBlock::new(3, 1, 11)), ("valid", "ok"));
    assert!(node.needed_payloads.is_empty());
}
