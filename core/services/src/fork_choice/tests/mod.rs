//! Tests of the fork choice: each of its rules on a history of a few events. Random histories are
//! in [`histories`], which compares the machine with [`specification`].

mod histories;
mod payload;
mod proposer;
mod specification;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::event::{Config, Effect, Event, Refusal};
use super::machine::ForkChoice;
use crate::consensus::{Balances, Checkpoint, Checkpoints, Epoch, IndexedVote, Slot, Vote};
use crate::machine::Machine;

type Root = u32;

const SLOTS_PER_EPOCH: u64 = 4;
const VALIDATORS: usize = 8;

fn checkpoint(epoch: Epoch, root: Root) -> Checkpoint<Root> {
    Checkpoint { epoch, root }
}

fn all_at(checkpoint: Checkpoint<Root>) -> Checkpoints<Root> {
    Checkpoints {
        justified: checkpoint,
        finalized: checkpoint,
        unrealized_justified: checkpoint,
        unrealized_finalized: checkpoint,
    }
}

fn balances(each: u64) -> Balances {
    Balances { effective: Arc::from(vec![each; VALIDATORS]), total_active: each * 8 }
}

fn store() -> ForkChoice<Root> {
    ForkChoice::new(Config::new(SLOTS_PER_EPOCH), 0, 0, balances(100))
}

fn tick(slot: Slot) -> Event<Root> {
    Event::Tick { slot }
}

fn block_with(
    root: Root,
    parent: Root,
    slot: Slot,
    checkpoints: Checkpoints<Root>,
    timely: bool,
) -> Event<Root> {
    let (votes, equivocating) = (Vec::new(), Vec::new());
    let proposer = u64::from(root);
    Event::Block { root, parent, slot, proposer, checkpoints, timely, votes, equivocating }
}

/// A block that came before the deadline of its slot and justifies nothing.
fn timely(root: Root, parent: Root, slot: Slot) -> Event<Root> {
    block_with(root, parent, slot, all_at(checkpoint(0, 0)), true)
}

/// A block that carries votes and slashings.
fn carrying(
    mut event: Event<Root>,
    carried: Vec<IndexedVote<Root>>,
    slashed: Vec<u64>,
) -> Event<Root> {
    if let Event::Block { votes, equivocating, .. } = &mut event {
        (*votes, *equivocating) = (carried, slashed);
    }
    event
}

fn block(root: Root, parent: Root, slot: Slot) -> Event<Root> {
    block_with(root, parent, slot, all_at(checkpoint(0, 0)), false)
}

fn vote(indices: &[u64], root: Root, slot: Slot, target: Root) -> IndexedVote<Root> {
    let target = checkpoint(slot / SLOTS_PER_EPOCH, target);
    IndexedVote {
        vote: Vote { id: 0, slot, beacon_block_root: root, source: checkpoint(0, 0), target },
        indices: indices.to_vec(),
    }
}

fn attestation(indices: &[u64], root: Root, slot: Slot) -> Event<Root> {
    Event::Attestation { vote: vote(indices, root, slot, 0) }
}

fn run(machine: &mut ForkChoice<Root>, events: Vec<Event<Root>>) -> Vec<Effect<Root>> {
    events.into_iter().flat_map(|event| machine.handle(&(), event)).collect()
}

#[test]
fn of_equal_branches_the_larger_root_is_head() {
    // Two children of the anchor without votes.
    let mut machine = store();
    let effects = run(&mut machine, vec![tick(1), block(7, 0, 1), block(5, 0, 1)]);
    assert_eq!(machine.head(), 7);
    assert_eq!(effects, vec![Effect::HeadChanged { old: 0, new: 7, reorg_depth: 0 }]);
}

#[test]
fn a_vote_counts_from_the_slot_after_its_own() {
    // The vote of slot 1 waits in the queue until the tick of slot 2.
    let mut machine = store();
    run(&mut machine, vec![tick(1), block(7, 0, 1), block(5, 0, 1), attestation(&[0], 5, 1)]);
    assert_eq!((machine.head(), machine.queued_attestations()), (7, 1));
    let effects = machine.handle(&(), tick(2));
    assert_eq!(effects, vec![Effect::HeadChanged { old: 7, new: 5, reorg_depth: 1 }]);
    assert_eq!(machine.queued_attestations(), 0);
}

#[test]
fn a_clock_that_was_more_than_an_epoch_ahead_is_followed_and_a_smaller_step_back_is_not() {
    // The clock says 6 or 7 in place of 2; an epoch has four slots. A vote of slot 1 counts once
    // the clock is right, and so does a block of slot 2 that comes in time. What the wrong clock
    // let wait is dropped.
    for (wrong, follows) in [(6, false), (7, true)] {
        let mut machine = store();
        run(&mut machine, vec![tick(1), block(7, 0, 1), tick(wrong)]);
        let ahead = Event::Attestation { vote: vote(&[1], 7, wrong, 7) };
        assert_eq!(machine.handle(&(), ahead), []);
        machine.handle(&(), tick(2));
        assert_eq!(
            (machine.slot(), machine.queued_attestations()),
            if follows { (2, 0) } else { (6, 1) }
        );
        run(&mut machine, vec![attestation(&[0], 7, 1), timely(5, 7, 2)]);
        let boosted = machine.weight(5).is_some_and(|weight| weight > 0);
        assert_eq!((machine.weight(7) >= Some(100), boosted), (true, follows));
        if !follows {
            continue;
        }
        // Time goes on from there.
        machine.handle(&(), tick(3));
        assert_eq!((machine.slot(), machine.weight(5)), (3, Some(0)));
    }
}

#[test]
fn a_vote_of_the_next_slot_waits_and_one_of_a_later_slot_is_refused() {
    // Both come in slot 1. A block of slot 1 that carries a vote of slot 1 does not make it count.
    let mut machine = store();
    run(&mut machine, vec![tick(1), block(7, 0, 1)]);
    assert_eq!(machine.handle(&(), attestation(&[0], 7, 2)), []);
    assert_eq!(machine.queued_attestations(), 1);
    let effects = machine.handle(&(), attestation(&[1], 7, 3));
    assert_eq!(effects, [Effect::Refused(Refusal::FutureSlot)]);
    let carried = vec![vote(&[2], 7, 1, 0)];
    machine.handle(&(), carrying(block(5, 0, 1), carried, Vec::new()));
    assert_eq!(machine.weight(7), Some(0));
}

#[test]
fn the_ancestor_of_a_block_at_a_slot_is_the_last_one_up_to_it() {
    // Blocks of slots 1 and 3 on the anchor; then a slot before, between and after them.
    let mut machine = store();
    run(&mut machine, vec![tick(3), block(7, 0, 1), block(5, 7, 3)]);
    let ancestors = [0, 1, 2, 3, 4].map(|slot| machine.ancestor(5, slot));
    assert_eq!(ancestors, [Some(0), Some(7), Some(7), Some(5), Some(5)]);
    assert_eq!(machine.ancestor(99, 3), None);
}

#[test]
fn a_vote_that_is_resumed_counts_if_its_slot_is_past() {
    // In slot 2: votes of slots 3, 2 and 1 for the smaller root, whose target nobody knows any more.
    let mut machine = store();
    run(&mut machine, vec![tick(2), block(7, 0, 1), block(5, 0, 1)]);
    for (slot, counts) in [(3, false), (2, false), (1, true)] {
        assert_eq!(machine.resume_vote(&vote(&[0], 5, slot, 99)), counts, "{slot}");
        machine.handle(&(), tick(2));
        assert_eq!(machine.weight(5), Some(if counts { 100 } else { 0 }), "{slot}");
    }
}

#[test]
fn a_full_queue_refuses_the_newcomer_and_keeps_the_rest() {
    // Room for one: the first counts at the tick, the second was refused.
    let config = Config { max_queued_attestations: 1, ..Config::new(SLOTS_PER_EPOCH) };
    let mut machine = ForkChoice::new(config, 0, 0, balances(100));
    run(&mut machine, vec![tick(1), block(7, 0, 1), block(5, 0, 1), attestation(&[0], 5, 1)]);
    let effects = machine.handle(&(), attestation(&[1, 2], 7, 1));
    assert_eq!(effects, vec![Effect::Refused(Refusal::QueueFull)]);
    machine.handle(&(), tick(2));
    assert_eq!(machine.head(), 5);
}

#[test]
fn only_the_first_timely_block_of_a_slot_is_boosted_and_only_in_that_slot() {
    // 40 % of a slot's committee (800 / 4 = 200) is 80, less than one vote of 100.
    let mut machine = store();
    run(&mut machine, vec![tick(1), timely(5, 0, 1), timely(7, 0, 1)]);
    assert_eq!((machine.head(), machine.proposer_boost_root()), (5, Some(5)));
    assert_eq!(machine.weight(5), Some(80));
    run(&mut machine, vec![attestation(&[0], 7, 1), tick(2), timely(6, 5, 2)]);
    assert_eq!(machine.head(), 7, "a boost of 80 does not outweigh a vote of 100");
    assert_eq!(machine.weight(5), Some(80), "the boost of a descendant");
    machine.handle(&(), tick(3));
    assert_eq!((machine.proposer_boost_root(), machine.weight(5)), (None, Some(0)));
}

#[test]
fn a_late_block_of_the_current_slot_is_not_boosted() {
    // Nothing but the deadline was missed. The block after it is the first timely one.
    let mut machine = store();
    run(&mut machine, vec![tick(1), block(5, 0, 1)]);
    assert_eq!((machine.proposer_boost_root(), machine.weight(5)), (None, Some(0)));
    machine.handle(&(), timely(6, 0, 1));
    assert_eq!(machine.proposer_boost_root(), Some(6));
}

#[test]
fn a_block_is_boosted_if_its_shuffling_is_that_of_the_head_before_it() {
    // The shuffling of epoch 2 follows from the last block at or before slot 3. The head is 3, and
    // the new block forks off before slot 3, right at it, or after it.
    for (parent, boosted) in [(0, None), (1, Some(9)), (2, Some(9)), (3, Some(9))] {
        let mut machine = store();
        let chain = vec![tick(6), block(1, 0, 3), block(2, 1, 4), block(3, 2, 5)];
        run(&mut machine, chain);
        run(&mut machine, vec![attestation(&[0], 3, 5), tick(9)]);
        assert_eq!(machine.head(), 3);
        machine.handle(&(), timely(9, parent, 9));
        assert_eq!(machine.proposer_boost_root(), boosted, "on {parent}");
    }
}

#[test]
fn a_shuffling_that_follows_from_what_is_pruned_is_the_same_for_all() {
    // Block 8 finalises epoch 2, at slot 8; the shuffling of epoch 2 follows from slot 3, which is
    // gone. The timely block is not a child of the head.
    let mut machine = store();
    run(&mut machine, vec![tick(9), block(4, 0, 4), block(8, 4, 8), block(5, 8, 9)]);
    let finalizes = all_at(checkpoint(2, 8));
    run(&mut machine, vec![tick(11), block_with(6, 8, 10, finalizes, false)]);
    assert!(!machine.contains(4) && machine.head() == 6);
    machine.handle(&(), timely(7, 5, 11));
    assert_eq!(machine.proposer_boost_root(), Some(7));
}

#[test]
fn a_known_block_is_admitted_silently_and_changes_nothing() {
    // The copy is called timely and carries a vote and a slashing, which are not looked at again.
    let mut machine = store();
    run(&mut machine, vec![tick(1), block(5, 0, 1), tick(2)]);
    let before = machine.clone();
    let copy = carrying(timely(5, 0, 1), vec![vote(&[0], 5, 1, 0)], vec![1]);
    assert_eq!(machine.handle(&(), copy), []);
    assert_eq!(machine, before);
}

#[test]
fn what_a_block_carries_counts_and_the_head_is_looked_for_once() {
    // Block 7 would be head by its root. It carries votes for its sibling 5, one of an equivocator,
    // and a vote for a block that nobody knows.
    let mut machine = store();
    run(&mut machine, vec![tick(1), block(5, 0, 1), tick(2)]);
    let votes = vec![vote(&[0, 1], 5, 1, 0), vote(&[2], 99, 1, 0)];
    let effects = machine.handle(&(), carrying(block(7, 0, 2), votes, vec![1]));
    assert_eq!(effects, [], "the head is 5 before and after");
    assert_eq!((machine.head(), machine.weight(5)), (5, Some(100)));
    let later = vec![vote(&[1], 7, 2, 0)];
    run(&mut machine, vec![tick(3), carrying(block(8, 7, 3), later, vec![])]);
    assert_eq!(machine.weight(7), Some(0), "an equivocator's vote counts no more");
}

#[test]
fn a_vote_that_a_block_carries_may_have_an_old_target() {
    // The vote is of epoch 0 and the clock shows epoch 2: gossip is too late with it, a block not.
    let mut machine = store();
    run(&mut machine, vec![tick(8), block(5, 0, 1)]);
    let effects = machine.handle(&(), attestation(&[0], 5, 1));
    assert_eq!(effects, [Effect::Refused(Refusal::TargetEpochOutOfRange)]);
    machine.handle(&(), carrying(block(6, 5, 8), vec![vote(&[0], 5, 1, 0)], vec![]));
    assert_eq!(machine.weight(5), Some(100));
}

#[test]
fn a_refused_block_brings_neither_votes_nor_slashings() {
    // The parent is not known; what the block carries would count otherwise.
    let mut machine = store();
    run(&mut machine, vec![tick(1), block(5, 0, 1), tick(2)]);
    let before = machine.clone();
    let orphan = carrying(block(7, 6, 2), vec![vote(&[0], 5, 1, 0)], vec![1]);
    assert_eq!(machine.handle(&(), orphan), [Effect::Refused(Refusal::UnknownParent)]);
    assert_eq!(machine, before);
}

#[test]
fn stores_are_equal_whatever_their_indices_have_been_through() {
    // The same blocks and votes. A block that forks off early parts the index where its upper part
    // is shorter; in one store new balances have it made anew, and so numbered otherwise.
    let mut one = store();
    run(&mut one, vec![tick(4), block(1, 0, 1), block(2, 1, 2), block(3, 2, 3), block(4, 3, 4)]);
    run(&mut one, vec![block(5, 1, 4)]);
    let mut other = one.clone();
    let checkpoint = other.justified();
    other.handle(&(), Event::JustifiedBalances { checkpoint, balances: balances(100) });
    run(&mut one, vec![attestation(&[0], 3, 3), attestation(&[1, 2], 2, 3)]);
    run(&mut other, vec![attestation(&[1, 2], 2, 3), attestation(&[0], 3, 3)]);
    assert_eq!(one, other);
    let hash = |machine: &ForkChoice<Root>| {
        let mut hasher = DefaultHasher::new();
        machine.hash(&mut hasher);
        hasher.finish()
    };
    assert_eq!(hash(&one), hash(&other));
    run(&mut other, vec![attestation(&[3], 2, 3)]);
    assert_ne!(one, other);
}

#[test]
fn a_boost_weighs_what_the_new_balances_say() {
    // Balances of a hundred, and then of seven: 40 % of a fourth of them.
    let mut machine = store();
    run(&mut machine, vec![tick(1), timely(5, 0, 1)]);
    assert_eq!(machine.weight(5), Some(80));
    let checkpoint = machine.justified();
    machine.handle(&(), Event::JustifiedBalances { checkpoint, balances: balances(7) });
    assert_eq!(machine.weight(5), Some(5));
    machine.handle(&(), tick(2));
    assert_eq!(machine.weight(5), Some(0));
}

#[test]
fn a_block_of_an_earlier_slot_is_not_boosted_even_if_it_is_called_timely() {
    // The block of slot 1 is told in slot 2.
    let mut machine = store();
    run(&mut machine, vec![tick(2), block_with(5, 0, 1, all_at(checkpoint(0, 0)), true)]);
    assert_eq!(machine.proposer_boost_root(), None);
}

#[test]
fn equivocating_validators_count_no_more_before_or_after() {
    // Validator 0 votes, is slashed, and votes again in a later epoch.
    let mut machine = store();
    run(
        &mut machine,
        vec![tick(1), block(7, 0, 1), block(5, 0, 1), attestation(&[0], 5, 1), tick(2)],
    );
    assert_eq!(machine.head(), 5);
    machine.handle(&(), Event::AttesterSlashing { indices: vec![0] });
    assert_eq!((machine.head(), machine.weight(5)), (7, Some(0)));
    let later = Event::Attestation { vote: vote(&[0], 5, 4, 5) };
    run(&mut machine, vec![tick(4), later, tick(5)]);
    assert_eq!(machine.weight(5), Some(0));
}

#[test]
fn a_new_justified_checkpoint_asks_for_balances_and_takes_no_others() {
    // The pull-up at the start of epoch 2 justifies block 4; balances of another checkpoint are
    // refused.
    let mut machine = store();
    let mut pulled = all_at(checkpoint(0, 0));
    pulled.unrealized_justified = checkpoint(1, 4);
    let mut effects =
        run(&mut machine, vec![tick(5), block(4, 0, 4), block_with(5, 4, 5, pulled, false)]);
    assert_eq!(machine.justified(), checkpoint(0, 0), "not before the epoch ends");
    effects.extend(machine.handle(&(), tick(8)));
    assert!(effects.contains(&Effect::Justified(checkpoint(1, 4))));
    assert!(effects.contains(&Effect::NeedBalances(checkpoint(1, 4))));
    let answer = |checkpoint| Event::JustifiedBalances { checkpoint, balances: balances(7) };
    assert_eq!(
        machine.handle(&(), answer(checkpoint(0, 0))),
        vec![Effect::Refused(Refusal::StaleBalances)]
    );
    assert_eq!(machine.handle(&(), answer(checkpoint(1, 4))), vec![]);
}

#[test]
fn finality_prunes_what_does_not_descend_and_nothing_else() {
    // Two branches at slot 1; the branch over 4 finalises epoch 1, the sibling 7 goes.
    let mut machine = store();
    let effects = run(
        &mut machine,
        vec![
            tick(9),
            block(1, 0, 1),
            block(7, 0, 1),
            block(4, 1, 4),
            block(6, 4, 5),
            block_with(5, 4, 9, all_at(checkpoint(1, 4)), false),
        ],
    );
    assert!(effects.contains(&Effect::Finalized(checkpoint(1, 4))));
    let kept: Vec<Root> = (0..8).filter(|&root| machine.contains(root)).collect();
    assert_eq!(kept, vec![4, 5, 6]);
    assert_eq!(machine.handle(&(), block(8, 7, 9)), vec![Effect::Refused(Refusal::UnknownParent)]);
    assert_eq!(
        machine.handle(&(), block(8, 4, 4)),
        vec![Effect::Refused(Refusal::SlotNotAfterParent)]
    );
}

#[test]
fn a_child_of_the_finalised_root_at_or_before_its_epoch_goes_too() {
    // Block 1 of slot 1 is the checkpoint of epoch 1 on the branch that skips to slot 9; its child
    // of slot 3 is on a chain whose checkpoint is that child.
    let mut machine = store();
    run(
        &mut machine,
        vec![
            tick(9),
            block(1, 0, 1),
            block(3, 1, 3),
            block_with(5, 1, 9, all_at(checkpoint(1, 1)), false),
        ],
    );
    assert!(machine.contains(1) && machine.contains(5) && !machine.contains(3));
}

#[test]
fn nothing_is_pruned_while_finality_contradicts_the_justified_block() {
    // Block 4 is justified for epoch 1 by one branch, its sibling 5 finalised for epoch 1 by
    // another, as only a third of slashable validators can bring about: the head stays on what is
    // justified.
    let mut machine = store();
    let mut states = all_at(checkpoint(0, 0));
    states.justified = checkpoint(1, 4);
    run(
        &mut machine,
        vec![
            tick(9),
            block(4, 0, 4),
            block(5, 0, 4),
            block_with(6, 4, 9, states, false),
            block_with(7, 5, 9, all_at(checkpoint(1, 5)), false),
        ],
    );
    assert_eq!((machine.justified(), machine.finalized()), (checkpoint(1, 4), checkpoint(1, 5)));
    assert_eq!((machine.head(), machine.block_count()), (4, 5));
    machine.handle(&(), tick(10));
    let effects = machine.handle(&(), block(8, 6, 10));
    assert_eq!(effects, vec![Effect::Refused(Refusal::NotDescendantOfFinalized)]);
    // Once justification has followed to the finalised branch, the other one goes.
    let states = Checkpoints {
        justified: checkpoint(2, 5),
        unrealized_justified: checkpoint(2, 5),
        ..all_at(checkpoint(1, 5))
    };
    run(&mut machine, vec![tick(13), block_with(9, 7, 13, states, false)]);
    assert_eq!((machine.justified(), machine.finalized()), (checkpoint(2, 5), checkpoint(1, 5)));
    assert_eq!((machine.head(), machine.block_count()), (9, 3));
}

#[test]
fn a_checkpoint_that_is_no_newer_than_the_stores_is_not_looked_for() {
    // Block 1's post-state has another root for epoch 0.
    let mut machine = store();
    run(&mut machine, vec![tick(5), block_with(1, 0, 2, all_at(checkpoint(0, 99)), false)]);
    assert!(machine.contains(1));
    assert_eq!(machine.justified(), checkpoint(0, 0));
}

#[test]
fn an_epoch_of_no_slots_is_read_as_one_of_one_slot() {
    // The anchor is at slot 3, so its checkpoint is that of epoch 3.
    let mut machine = ForkChoice::new(Config::new(0), 0, 3, balances(100));
    assert_eq!(machine.finalized(), checkpoint(3, 0));
    let effects =
        run(&mut machine, vec![tick(4), block_with(1, 0, 4, all_at(checkpoint(3, 0)), false)]);
    assert_eq!(effects, [Effect::HeadChanged { old: 0, new: 1, reorg_depth: 0 }]);
}

#[test]
fn stores_with_other_blocks_differ_though_nothing_else_does() {
    // The head is block 7 in all of them; a model tells states apart by their hashes.
    let of = |root| {
        let mut machine = store();
        run(&mut machine, vec![tick(1), block(7, 0, 1), block(root, 0, 1)]);
        assert_eq!(machine.head(), 7);
        machine
    };
    let hash = |machine: &ForkChoice<Root>| {
        let mut hasher = DefaultHasher::new();
        machine.hash(&mut hasher);
        hasher.finish()
    };
    let (one, same, other) = (of(5), of(5), of(6));
    assert_eq!((&one, hash(&one)), (&same, hash(&same)));
    assert_ne!(one, other);
    assert_ne!(hash(&one), hash(&other));
}

#[test]
fn a_checkpoint_that_is_not_an_ancestor_is_refused() {
    // Block 4's post-state claims to finalise a root that nobody has seen.
    let mut machine = store();
    let effects =
        run(&mut machine, vec![tick(9), block_with(4, 0, 9, all_at(checkpoint(1, 99)), false)]);
    assert_eq!(effects, vec![Effect::Refused(Refusal::CheckpointNotAncestor)]);
    assert!(!machine.contains(4));
}

#[test]
fn a_checkpoint_whose_epoch_starts_at_the_block_or_later_is_refused() {
    // Block 4 is the first of epoch 1, so that epoch's checkpoint on its chain is block 4 itself,
    // and no state of it holds votes of epoch 1. Its parent is not that checkpoint, nor is it that
    // of an epoch to come. One slot later the same parent may be.
    let justifies = |epoch| {
        let unrealized_justified = checkpoint(epoch, 1);
        Checkpoints { unrealized_justified, ..all_at(checkpoint(0, 0)) }
    };
    let mut machine = store();
    run(&mut machine, vec![tick(5), block(1, 0, 2)]);
    let before = machine.clone();
    for (slot, epoch) in [(4, 1), (5, 2)] {
        let effects = machine.handle(&(), block_with(4, 1, slot, justifies(epoch), false));
        assert_eq!(effects, [Effect::Refused(Refusal::CheckpointNotAncestor)], "{slot} {epoch}");
        assert_eq!(machine, before);
    }
    machine.handle(&(), block_with(4, 1, 5, justifies(1), false));
    assert!(machine.contains(4));
}

#[test]
fn extreme_numbers_are_refused_without_overflow() {
    // Slots, epochs and indices at the end of their range.
    let mut machine = store();
    let far = vote(&[u64::MAX], 0, u64::MAX, 0);
    assert_eq!(
        run(&mut machine, vec![Event::Attestation { vote: far }]),
        vec![Effect::Refused(Refusal::FutureSlot)]
    );
    run(&mut machine, vec![tick(u64::MAX), block(1, 0, u64::MAX)]);
    let mut wild = vote(&[u64::MAX], 1, u64::MAX - 1, 0);
    wild.vote.target.epoch = u64::MAX;
    let effects = machine.handle(&(), Event::Attestation { vote: wild });
    assert_eq!(effects, vec![Effect::Refused(Refusal::TargetEpochOutOfRange)]);
    assert_eq!(machine.head(), 1);
}
