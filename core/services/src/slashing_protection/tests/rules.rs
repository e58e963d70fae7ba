//! Each rule of EIP-3076 alone, with the message that only this rule refuses.

use super::*;
use crate::machine::Machine;
use crate::slashing_protection::{Event, History, ImportError, MAX_NUMBER, ProtectionStore};
use crate::slashing_protection::{Transaction, Write};

#[test]
fn a_slot_has_one_block_and_the_same_one_may_be_signed_again() {
    // The second root is refused; a root that is not known is never equal.
    let mut store = MemoryStore::default();
    assert_eq!(sign(&mut store, block(10, 1)), Outcome::Recorded);
    assert_eq!(sign(&mut store, block(10, 1)), Outcome::AlreadySigned);
    assert_eq!(refusal(&mut store, block(10, 2)), Refusal::DoubleBlock(10));
    take(&mut store, blocks(&[(12, None)]), Merge::Complete);
    assert_eq!(refusal(&mut store, block(12, 0)), Refusal::DoubleBlock(12));
    assert_eq!(sign(&mut store, block(11, 1)), Outcome::Recorded);
}

#[test]
fn no_block_below_the_first_that_is_known_is_signed() {
    // Slot 9 contradicts nothing on record.
    let mut store = MemoryStore::default();
    assert_eq!(sign(&mut store, block(10, 1)), Outcome::Recorded);
    assert_eq!(refusal(&mut store, block(9, 1)), Refusal::OldBlock { slot: 9, watermark: 10 });
}

#[test]
fn a_target_has_one_attestation_and_the_same_one_may_be_signed_again() {
    // Another root, and another source with the same root.
    let mut store = MemoryStore::default();
    assert_eq!(sign(&mut store, vote(3, 5, 1)), Outcome::Recorded);
    assert_eq!(sign(&mut store, vote(3, 5, 1)), Outcome::AlreadySigned);
    assert_eq!(refusal(&mut store, vote(3, 5, 2)), Refusal::DoubleVote(5));
    assert_eq!(refusal(&mut store, vote(4, 5, 1)), Refusal::DoubleVote(5));
}

#[test]
fn an_attestation_neither_surrounds_nor_is_surrounded() {
    // The watermarks are (2, 3), so they refuse none of these.
    let mut store = MemoryStore::default();
    assert_eq!(sign(&mut store, vote(2, 3, 1)), Outcome::Recorded);
    assert_eq!(sign(&mut store, vote(4, 8, 1)), Outcome::Recorded);
    assert_eq!(refusal(&mut store, vote(3, 9, 1)), Refusal::Surrounds(4, 8));
    assert_eq!(refusal(&mut store, vote(5, 7, 1)), Refusal::Surrounded(4, 8));
    assert_eq!(sign(&mut store, vote(4, 7, 1)), Outcome::Recorded);
    assert_eq!(sign(&mut store, vote(4, 9, 1)), Outcome::Recorded);
}

#[test]
fn no_attestation_below_the_first_that_is_known_is_signed() {
    // Neither message contradicts what is on record: one shares nothing with it, one its source.
    let mut store = MemoryStore::default();
    assert_eq!(sign(&mut store, vote(4, 6, 1)), Outcome::Recorded);
    let source = Refusal::OldSource { epoch: 3, watermark: 4 };
    assert_eq!(refusal(&mut store, vote(3, 5, 1)), source);
    let target = Refusal::OldTarget { epoch: 5, watermark: 6 };
    assert_eq!(refusal(&mut store, vote(4, 5, 1)), target);
}

#[test]
fn impossible_numbers_are_refused() {
    // A source after its target, and numbers that no store keeps; then the last of those that are
    // possible.
    let mut store = MemoryStore::default();
    let turned = Refusal::SourceAfterTarget { source_epoch: 6, target_epoch: 5 };
    assert_eq!(refusal(&mut store, vote(6, 5, 1)), turned);
    let large = MAX_NUMBER + 1;
    assert_eq!(refusal(&mut store, block(large, 1)), Refusal::OutOfRange(large));
    assert_eq!(refusal(&mut store, vote(0, large, 1)), Refusal::OutOfRange(large));
    assert_eq!(sign(&mut store, block(MAX_NUMBER, 1)), Outcome::Recorded);
    let error = import(
        &mut store,
        &Limits::default(),
        &GENESIS,
        [(ALICE, votes(&[(large, 3, None)]))],
        Merge::Complete,
    );
    assert_eq!(error, Err(ImportError::OutOfRange(large)));
    assert_eq!(sign(&mut store, vote(5, 5, 1)), Outcome::Recorded);
    assert_eq!(sign(&mut store, vote(5, MAX_NUMBER, 1)), Outcome::Recorded);
    take(&mut store, blocks(&[(MAX_NUMBER, None)]), Merge::Complete);
}

#[test]
fn an_import_says_of_how_many_keys_more_is_known() {
    // A file about two keys, and the same file again.
    let mut store = MemoryStore::default();
    for expected in [2, 0] {
        let entries = [ALICE, BOB].map(|key| (key, blocks(&[(5, Some(1))])));
        let known = import(&mut store, &Limits::default(), &GENESIS, entries, Merge::Complete);
        assert_eq!(known, Ok(expected));
    }
}

#[test]
fn what_an_import_repeats_may_be_signed_again() {
    // The file says the same of a block and of a vote that are on record; then a file that raises
    // the watermarks to what it says itself.
    let mut store = MemoryStore::default();
    assert_eq!(sign(&mut store, block(5, 1)), Outcome::Recorded);
    assert_eq!(sign(&mut store, vote(1, 5, 1)), Outcome::Recorded);
    let mut file = blocks(&[(5, Some(1))]);
    file.attestations = votes(&[(1, 5, Some(1))]).attestations;
    for merge in [Merge::Complete, Merge::Raise] {
        take(&mut store, file.clone(), merge);
        assert_eq!(sign(&mut store, block(5, 1)), Outcome::AlreadySigned, "{merge:?}");
        assert_eq!(sign(&mut store, vote(1, 5, 1)), Outcome::AlreadySigned, "{merge:?}");
    }
}

#[test]
fn a_key_is_not_bound_by_what_another_has_signed() {
    // One batch for two keys.
    let mut store = MemoryStore::default();
    let batch = [of(ALICE, block(10, 1)), of(BOB, block(10, 2)), of(BOB, block(10, 3))];
    let outcomes = check_and_record(&mut store, &Limits::default(), &batch);
    let double = Outcome::Refused(Refusal::DoubleBlock(10));
    assert_eq!(outcomes, Ok(vec![Outcome::Recorded, Outcome::Recorded, double]));
}

#[test]
fn the_items_of_a_batch_see_those_before_them() {
    // Two messages of one key that are slashable together, and a repetition.
    let mut store = MemoryStore::default();
    let batch = [vote(2, 8, 1), vote(3, 7, 1), vote(2, 8, 1), vote(2, 8, 2)];
    let batch = batch.map(|statement| of(ALICE, statement));
    let outcomes = check_and_record(&mut store, &Limits::default(), &batch);
    let expected = vec![
        Outcome::Recorded,
        Outcome::Refused(Refusal::OldTarget { epoch: 7, watermark: 8 }),
        Outcome::AlreadySigned,
        Outcome::Refused(Refusal::DoubleVote(8)),
    ];
    assert_eq!(outcomes, Ok(expected));
}

#[test]
fn the_records_are_of_one_chain() {
    // The first request that is recorded binds the store; a refused one does not.
    let mut store = MemoryStore::default();
    let other = |statement| Request { genesis: [8; 32], ..of(ALICE, statement) };
    let limits = Limits::default();
    let first = check_and_record(&mut store, &limits, &[other(vote(2, 1, 1))]).expect("memory");
    assert!(!first[0].allows());
    let batch = [other(vote(2, 1, 1)), of(ALICE, block(1, 1)), other(block(2, 1))];
    let outcomes = check_and_record(&mut store, &limits, &batch);
    let chain = Outcome::Refused(Refusal::OtherChain);
    assert_eq!(outcomes, Ok(vec![first[0], Outcome::Recorded, chain]));
    let entries = [(ALICE, blocks(&[(3, None)]))];
    let error = import(&mut store, &limits, &[8; 32], entries, Merge::Raise);
    assert_eq!(error, Err(ImportError::OtherChain));
    assert_eq!(sign(&mut store, block(3, 1)), Outcome::Recorded);
}

#[test]
fn what_is_forgotten_stays_refused() {
    // Two records of each kind are kept. Epoch 2 to 9 is forgotten last, so its source stands.
    let limits = Limits { blocks: 2, attestations: 2 };
    let mut store = MemoryStore::default();
    let mut ask = |statement| {
        check_and_record(&mut store, &limits, &[of(ALICE, statement)]).expect("memory")[0]
    };
    for slot in [1, 3, 5] {
        assert_eq!(ask(block(slot, 1)), Outcome::Recorded);
    }
    let old = |slot| Outcome::Refused(Refusal::OldBlock { slot, watermark: 1 });
    assert_eq!(ask(block(1, 1)), old(1));
    assert_eq!(ask(block(2, 1)), Outcome::Recorded);
    for (source, target) in [(1, 2), (1, 3), (2, 9), (2, 10)] {
        assert_eq!(ask(vote(source, target, 1)), Outcome::Recorded);
    }
    let old = Outcome::Refused(Refusal::OldTarget { epoch: 3, watermark: 3 });
    assert_eq!(ask(vote(1, 3, 1)), old);
    assert_eq!(ask(vote(2, 11, 1)), Outcome::Recorded);
    let old = Outcome::Refused(Refusal::OldSource { epoch: 1, watermark: 2 });
    assert_eq!(ask(vote(1, 12, 1)), old);
    let exported = export(&mut store, false).expect("memory").expect("something was signed");
    let records = &exported.entries[0].1;
    // The records, and the watermarks of what was forgotten.
    assert_eq!(records.blocks.iter().map(|block| block.slot).collect::<Vec<_>>(), [2, 3, 5]);
    let targets: Vec<_> = records.attestations.iter().map(|vote| vote.target).collect();
    assert_eq!(targets, [9, 10, 11]);
}

#[test]
fn a_store_has_each_slot_and_each_target_once() {
    // Writes that the machine would not make.
    let mut store = MemoryStore::default();
    assert_eq!(sign(&mut store, block(1, 1)), Outcome::Recorded);
    assert_eq!(sign(&mut store, vote(1, 2, 1)), Outcome::Recorded);
    let mut transaction = store.begin().expect("memory");
    let again = Block { slot: 1, signing_root: Some(root(2)) };
    let refused = transaction.write(&ALICE, &Write::Block(again));
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    let again = Vote { source: 1, target: 2, signing_root: Some(root(2)) };
    let refused = transaction.write(&ALICE, &Write::Attestation(again));
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
}

#[test]
fn an_import_that_contradicts_the_record_erases_the_root() {
    // Afterwards neither message can be signed again.
    let mut store = MemoryStore::default();
    assert_eq!(sign(&mut store, block(5, 1)), Outcome::Recorded);
    assert_eq!(sign(&mut store, vote(1, 5, 1)), Outcome::Recorded);
    take(&mut store, blocks(&[(5, Some(2))]), Merge::Complete);
    take(&mut store, votes(&[(1, 5, Some(2))]), Merge::Complete);
    for number in [1, 2] {
        assert_eq!(refusal(&mut store, block(5, number)), Refusal::DoubleBlock(5));
        assert_eq!(refusal(&mut store, vote(1, 5, number)), Refusal::DoubleVote(5));
    }
    // Another source for the same target: everything up to both is refused.
    take(&mut store, votes(&[(3, 5, Some(1))]), Merge::Complete);
    let old = Refusal::OldSource { epoch: 2, watermark: 3 };
    assert_eq!(refusal(&mut store, vote(2, 6, 1)), old);
    assert_eq!(sign(&mut store, vote(3, 6, 1)), Outcome::Recorded);
}

#[test]
fn an_import_brings_no_root_to_what_was_forgotten() {
    // Slot 1 was signed and forgotten; a file says that another root was signed there. There is room
    // for what it says.
    let limits = Limits { blocks: 1, attestations: 1 };
    let mut history = History::default();
    for number in [1, 2] {
        history.handle(&limits, Event::Sign(block(number, 1)));
        history.handle(&limits, Event::Sign(vote(0, number, 1)));
    }
    let mut records = blocks(&[(1, Some(2))]);
    records.attestations = votes(&[(0, 1, Some(2))]).attestations;
    history.handle(&Limits::default(), Event::Import(records, Merge::Complete));
    let old = Refusal::OldBlock { slot: 1, watermark: 1 };
    assert_eq!(history.judge(block(1, 2)), Outcome::Refused(old));
    let old = Refusal::OldTarget { epoch: 1, watermark: 1 };
    assert_eq!(history.judge(vote(0, 1, 2)), Outcome::Refused(old));
}

#[test]
fn a_minimal_file_stands_for_what_it_leaves_out() {
    // Something is known already. Read as complete, the file would leave a gap below itself.
    for (merge, expected) in [(Merge::Raise, false), (Merge::Complete, true)] {
        let mut store = MemoryStore::default();
        assert_eq!(sign(&mut store, block(40, 1)), Outcome::Recorded);
        assert_eq!(sign(&mut store, vote(2, 30, 1)), Outcome::Recorded);
        let mut file = blocks(&[(50, None)]);
        file.attestations = votes(&[(10, 50, None)]).attestations;
        take(&mut store, file, merge);
        assert_eq!(sign(&mut store, block(45, 1)).allows(), expected, "{merge:?}");
        assert_eq!(sign(&mut store, vote(3, 31, 1)).allows(), expected, "{merge:?}");
        assert_eq!(sign(&mut store, block(51, 1)), Outcome::Recorded);
        assert_eq!(sign(&mut store, vote(10, 51, 1)), Outcome::Recorded);
    }
}

#[test]
fn an_imported_vote_that_contradicts_the_record_is_not_signed_again() {
    // The file says that it was signed elsewhere; to sign it here as well would be slashable.
    for foreign in [(8, 11), (2, 3)] {
        let mut store = MemoryStore::default();
        assert_eq!(sign(&mut store, vote(1, 2, 1)), Outcome::Recorded);
        let own = if foreign.0 == 8 { (9, 10) } else { (1, 4) };
        assert_eq!(sign(&mut store, vote(own.0, own.1, 1)), Outcome::Recorded);
        take(&mut store, votes(&[(foreign.0, foreign.1, Some(5))]), Merge::Complete);
        let double = Refusal::DoubleVote(foreign.1);
        assert_eq!(refusal(&mut store, vote(foreign.0, foreign.1, 5)), double);
        assert_eq!(sign(&mut store, vote(own.0, own.1, 1)), Outcome::AlreadySigned);
    }
}

#[test]
fn an_import_of_a_vote_below_the_watermarks_raises_them() {
    // The vote is not put on record, since its target is covered; what surrounds it must be refused
    // all the same, and what contradicts neither is signed.
    let mut store = MemoryStore::default();
    assert_eq!(sign(&mut store, vote(1, 5, 1)), Outcome::Recorded);
    take(&mut store, votes(&[(3, 4, Some(2))]), Merge::Complete);
    let old = Refusal::OldSource { epoch: 2, watermark: 3 };
    assert_eq!(refusal(&mut store, vote(2, 6, 1)), old);
    assert_eq!(sign(&mut store, vote(3, 6, 1)), Outcome::Recorded);
}
