//! What finality refuses, gives up and releases.

use super::node;
use crate::consensus::Checkpoint;
use crate::quarantine::{Event, Item};
use crate::rewinder::Answer;
use crate::toy::{ToyAttestation, ToyBlock};

#[test]
fn finality_refuses_old_slots_and_dead_branches_and_gives_up_what_waits() {
    // Branch 0-1-2 is finalised at slot 4 (epoch 1); branch 0-5 is dead; an orphan waits.
    let mut node = node();
    for block in [ToyBlock::new(1, 0, 3), ToyBlock::new(2, 1, 4), ToyBlock::new(5, 0, 3)] {
        assert_eq!(node.judge(block), ("valid", "ok"));
    }
    let orphan = node.submit(ToyBlock::new(9, 8, 4));
    node.event(Event::Imported { request: None, finalized: Checkpoint { epoch: 1, root: 2 } });
    assert_eq!(node.answer_to(orphan), ("dropped", "finalized"));
    assert_eq!(node.judge(ToyBlock::new(6, 5, 4)), ("ignored", "not_after_finalized_slot"));
    assert_eq!(node.judge(ToyBlock::new(7, 5, 6)), ("invalid", "not_descendant_of_finalized"));
    assert_eq!(node.judge(ToyBlock::new(3, 2, 5)), ("valid", "ok"));
}

#[test]
fn finality_counts_if_it_is_newer_and_its_block_is_known() {
    // Epoch 1 with a block that nobody has seen; then with block 2; then epoch 1 again with block 3.
    let mut node = node();
    for block in [ToyBlock::new(1, 0, 3), ToyBlock::new(2, 1, 4), ToyBlock::new(3, 2, 5)] {
        assert_eq!(node.judge(block), ("valid", "ok"));
    }
    for (root, knows) in
        [(77, [true, true, true]), (2, [false, true, true]), (3, [false, true, true])]
    {
        let finalized = Checkpoint { epoch: 1, root };
        node.event(Event::Imported { request: None, finalized });
        assert_eq!([1, 2, 3].map(|block| node.machine.knows(block)), knows, "{root}");
    }
}

#[test]
fn finality_gives_up_the_votes_of_older_epochs_that_wait_and_no_others() {
    // Votes of epochs 1 and 2 for blocks that are not there, as attestations and as gossip. Epoch 2
    // becomes final.
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(1, 0, 8)), ("valid", "ok"));
    let vote = |id, slot, validator| {
        let target = Checkpoint { epoch: slot / 4, root: 9 };
        ToyAttestation { id, slot, head: 9, target, validator, valid: true }
    };
    let single = |attestation: ToyAttestation| {
        let subnet = attestation.validator;
        Item::Single { attestation, subnet }
    };
    let older = [Item::Attestation(vote(70, 7, 0)), single(vote(71, 7, 1))];
    let same = [Item::Attestation(vote(72, 9, 0)), single(vote(73, 9, 1))];
    let [older, same] = [older, same].map(|items| items.map(|item| node.hand_in(item, 0)));
    node.event(Event::Imported { request: None, finalized: Checkpoint { epoch: 2, root: 1 } });
    assert_eq!(older.map(|id| node.answer_to(id)), [("dropped", "finalized"); 2]);
    assert_eq!(same.map(|id| node.answer_to(id)), [("pending", "unknown_block"); 2]);
}

#[test]
fn an_attestation_of_the_finalized_epoch_counts_and_one_of_an_older_epoch_is_too_old() {
    // Epoch 2 is final, with block 1. The older vote is for a block that is not there.
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(1, 0, 8)), ("valid", "ok"));
    let finalized = Checkpoint { epoch: 2, root: 1 };
    node.event(Event::Imported { request: None, finalized });
    let vote =
        ToyAttestation { id: 70, slot: 9, head: 1, target: finalized, validator: 0, valid: true };
    let target = Checkpoint { epoch: 1, root: 9 };
    let older = ToyAttestation { id: 71, slot: 7, head: 9, target, ..vote };
    for (vote, expected) in [(older, ("ignored", "too_old")), (vote, ("valid", "ok"))] {
        let id = node.hand_in(Item::Attestation(vote), 0);
        node.settle();
        assert_eq!(node.answer_to(id), expected);
    }
}

#[test]
fn a_vote_whose_state_finality_has_pruned_is_too_old() {
    // The Rewinder answers so to the check of an attestation.
    let mut node = node();
    let target = Checkpoint { epoch: 2, root: 0 };
    let vote = ToyAttestation { id: 70, slot: 9, head: 0, target, validator: 0, valid: true };
    let id = node.hand_in(Item::Attestation(vote), 0);
    let (request, _) = node.checks.pop_first().expect("it is checked");
    node.event(Event::Answered { request, answer: Answer::Pruned });
    assert_eq!(node.answer_to(id), ("ignored", "too_old"));
}

#[test]
fn what_waits_for_a_block_on_a_dead_branch_is_released_with_it() {
    // Finality passes branch 0-5; a child and a vote wait for block 7 on it, which then comes.
    let mut node = node();
    for block in [ToyBlock::new(1, 0, 3), ToyBlock::new(2, 1, 4), ToyBlock::new(5, 0, 3)] {
        assert_eq!(node.judge(block), ("valid", "ok"));
    }
    node.event(Event::Imported { request: None, finalized: Checkpoint { epoch: 1, root: 2 } });
    let child = node.submit(ToyBlock::new(8, 7, 7));
    let target = Checkpoint { epoch: 2, root: 7 };
    let vote = ToyAttestation { id: 77, slot: 9, head: 7, target, validator: 0, valid: true };
    let vote = node.hand_in(Item::Attestation(vote), 0);
    assert_eq!(node.answer_to(vote), ("pending", "unknown_block"));
    assert_eq!(node.judge(ToyBlock::new(7, 5, 6)), ("invalid", "not_descendant_of_finalized"));
    assert_eq!(node.answer_to(child), ("invalid", "not_descendant_of_finalized"));
    assert_eq!(node.answer_to(vote), ("ignored", "too_old"));
    assert_eq!(node.judge(ToyBlock::new(7, 5, 6)), ("invalid", "not_descendant_of_finalized"));
}

#[test]
fn what_waits_for_a_block_that_comes_after_its_slot_is_final_is_released_with_it() {
    // A child waits for block 7. Slot 4 becomes final, and then block 7 comes, of that slot.
    let mut node = node();
    for block in [ToyBlock::new(1, 0, 3), ToyBlock::new(2, 1, 4)] {
        assert_eq!(node.judge(block), ("valid", "ok"));
    }
    let child = node.submit(ToyBlock::new(8, 7, 7));
    node.event(Event::Imported { request: None, finalized: Checkpoint { epoch: 1, root: 2 } });
    assert_eq!(node.answer_to(child), ("pending", "unknown_parent"));
    assert_eq!(node.judge(ToyBlock::new(7, 5, 4)), ("ignored", "not_after_finalized_slot"));
    assert_eq!(node.answer_to(child), ("invalid", "not_descendant_of_finalized"));
}

#[test]
fn a_block_whose_parent_finality_passes_while_it_is_checked_is_refused() {
    // The check of 6 on branch 0-5 is under way when 2 is finalised; its answer is "valid".
    let mut node = node();
    for block in [ToyBlock::new(1, 0, 3), ToyBlock::new(2, 1, 4), ToyBlock::new(5, 0, 3)] {
        assert_eq!(node.judge(block), ("valid", "ok"));
    }
    let late = node.submit(ToyBlock::new(6, 5, 6));
    node.event(Event::Imported { request: None, finalized: Checkpoint { epoch: 1, root: 2 } });
    node.settle();
    assert_eq!(node.answer_to(late), ("invalid", "not_descendant_of_finalized"));
    assert!(!node.machine.knows(6) && !node.cleared.contains(&6));
}

/// Block 1 of slot 3 is the checkpoint of epoch 1, which begins at slot 4. Its child 2 is of slot 5,
/// and another child, 5, is of slot 4: a chain with block 5 has another checkpoint.
const CHECKPOINT: Checkpoint<u8> = Checkpoint { epoch: 1, root: 1 };

#[test]
fn a_child_of_the_checkpoint_up_to_its_slot_is_on_a_dead_branch() {
    // Both children are there when the checkpoint is final; then blocks and votes come for each.
    let mut node = node();
    for block in [ToyBlock::new(1, 0, 3), ToyBlock::new(5, 1, 4), ToyBlock::new(2, 1, 5)] {
        assert_eq!(node.judge(block), ("valid", "ok"));
    }
    node.event(Event::Imported { request: None, finalized: CHECKPOINT });
    assert_eq!([1, 2, 5].map(|root| node.machine.knows(root)), [true, true, false]);
    assert_eq!(node.judge(ToyBlock::new(6, 5, 6)), ("invalid", "not_descendant_of_finalized"));
    assert_eq!(node.judge(ToyBlock::new(3, 2, 6)), ("valid", "ok"));
    for (head, expected) in [(5, ("ignored", "finalized_not_ancestor")), (2, ("valid", "ok"))] {
        let target = Checkpoint { epoch: 2, root: head };
        let validator = u64::from(head) % 4;
        let vote = ToyAttestation { id: head, slot: 9, head, target, validator, valid: true };
        let id = node.hand_in(Item::Single { attestation: vote, subnet: validator }, 0);
        node.settle();
        assert_eq!(node.answer_to(id), expected);
    }
}

#[test]
fn a_block_that_finality_passes_on_its_way_into_clearance_carries_nothing() {
    // Clearance tells of finality while block 5 is on the way there.
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(1, 0, 3)), ("valid", "ok"));
    let passed = node.submit(ToyBlock::new(5, 1, 4));
    let (request, job) = node.checks.pop_first().expect("it is checked");
    let answer = node.work(job);
    node.step(Event::Answered { request, answer });
    node.event(Event::Imported { request: None, finalized: CHECKPOINT });
    assert_eq!((node.answer_to(passed), node.machine.knows(5)), (("valid", "ok"), false));
    assert_eq!(node.judge(ToyBlock::new(6, 5, 6)), ("invalid", "not_descendant_of_finalized"));
}

#[test]
fn a_child_of_the_checkpoint_whose_slot_finality_passes_while_it_is_checked_is_late() {
    // The check of block 5 is under way when its parent, of an earlier slot, is final.
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(1, 0, 3)), ("valid", "ok"));
    let late = node.submit(ToyBlock::new(5, 1, 4));
    node.event(Event::Imported { request: None, finalized: CHECKPOINT });
    node.settle();
    assert_eq!(node.answer_to(late), ("ignored", "not_after_finalized_slot"));
    assert!(!node.cleared.contains(&5));
}

#[test]
fn a_block_that_the_hot_db_prunes_before_finality_is_told_here_is_not_refused() {
    // Two blocks are answered so; a child waits for one of them, and a grandchild and a vote for
    // that.
    let mut node = node();
    let target = Checkpoint { epoch: 2, root: 7 };
    let vote = ToyAttestation { id: 77, slot: 9, head: 7, target, validator: 0, valid: true };
    let vote = node.hand_in(Item::Attestation(vote), 0);
    let later = [ToyBlock::new(8, 7, 8), ToyBlock::new(7, 6, 7)].map(|block| node.submit(block));
    let early = [5, 6].map(|root| node.submit(ToyBlock::new(root, 0, 3)));
    while let Some((request, _)) = node.checks.pop_first() {
        node.event(Event::Answered { request, answer: Answer::Pruned });
    }
    assert_eq!(early.map(|id| node.answer_to(id)), [("dropped", "finalized"); 2]);
    assert_eq!(later.map(|id| node.answer_to(id)), [("dropped", "finalized"); 2]);
    assert_eq!((node.answer_to(vote), node.machine.held()), (("ignored", "too_old"), 0));
    // What comes later waits for none of them, and no block is refused for building on one: whether
    // it is late or on another chain is not known here.
    for (root, parent) in [(30, 5), (31, 8), (32, 30)] {
        let id = node.submit(ToyBlock::new(root, parent, 9));
        assert_eq!(node.answer_to(id), ("dropped", "finalized"));
    }
    let target = Checkpoint { epoch: 2, root: 5 };
    let vote = ToyAttestation { id: 78, slot: 9, head: 5, target, validator: 0, valid: true };
    let vote = node.hand_in(Item::Attestation(vote), 0);
    assert_eq!(node.answer_to(vote), ("ignored", "too_old"));
    // Once finality is told, what is late is late.
    assert_eq!(node.judge(ToyBlock::new(1, 0, 3)), ("valid", "ok"));
    node.event(Event::Imported { request: None, finalized: Checkpoint { epoch: 1, root: 1 } });
    assert_eq!(node.judge(ToyBlock::new(33, 5, 4)), ("ignored", "not_after_finalized_slot"));
    assert_eq!(node.judge(ToyBlock::new(34, 5, 6)), ("dropped", "finalized"));
}

#[test]
fn a_successor_whose_chain_lacks_the_finalized_block_refuses_what_builds_on_it() {
    // A block on the anchor.
    let mut node = node();
    let finalized = Checkpoint { epoch: 1, root: 77 };
    node.machine = node.machine.successor(&node.toy, finalized, [(0, 0, 0)]);
    let refused = ("invalid", "not_descendant_of_finalized");
    assert_eq!(node.judge(ToyBlock::new(1, 0, 5)), refused);
}
