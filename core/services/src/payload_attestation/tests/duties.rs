//! Who votes: the lists, and the branch that the data are of.

use super::*;
use crate::ptc_duties;

#[test]
fn nobody_is_asked_in_a_slot_without_duties() {
    // Two slots without, and one with a duty.
    let mut line = Line::listed(&[(1, SLOT + 2)]);
    line.until(SLOT + 1, DUE);
    assert_eq!((line.data_requests(), line.began.len()), (0, 0));
    line.until(SLOT + 2, FETCH);
    assert_eq!((line.data_requests(), line.began.len()), (1, 1));
}

#[test]
fn votes_are_signed_for_those_whom_the_branch_of_the_data_lists() {
    // D3: the heads are of branch a, on which 1 and 2 vote. The data are of b: 2 and 3 do.
    let mut line = Line::listed(&[(1, SLOT), (2, SLOT), (3, SLOT + 1)]);
    line.lists.insert(2, vec![(1, SLOT + 1), (2, SLOT), (3, SLOT)]);
    line.serve(2, Event::Head(head('b', 4)));
    line.tell(Event::Head(head('b', SLOT)));
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('b', SLOT)));
    assert_eq!(line.signers(), [2, 3]);
    line.assert_ended(&[(1, missed(Reason::OtherBranch))]);
}

#[test]
fn a_vote_on_a_branch_without_a_list_waits_for_the_list() {
    // The data are of branch b, whose list comes later: the votes are signed then.
    let mut line = Line::of(&[1]);
    line.lists.insert(2, vec![(1, SLOT)]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.root = None;
    line.tell(Event::Head(head('b', SLOT)));
    line.answer_data(Reply::Data(data('b', SLOT)));
    assert_eq!(line.signers(), []);
    line.serve(2, Event::Wake);
    assert_eq!(line.signers(), [1]);
}

#[test]
fn the_list_of_the_datas_branch_is_asked_for_though_the_newest_head_is_on_another() {
    // The node was on a when b's head was told. It is on b when the data are there.
    let mut line = Line::of(&[1]);
    line.lists.insert(2, vec![(1, SLOT)]);
    line.tell(Event::Head(head('b', SLOT)));
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.root = Some(2);
    line.answer_data(Reply::Data(data('b', SLOT)));
    assert_eq!(line.signers(), [1]);
}

#[test]
fn data_are_asked_for_if_a_list_of_another_branch_names_somebody() {
    // The newest head is on b, whose list is not there; the data are of a.
    let mut line = Line::of(&[1]);
    line.root = None;
    line.tell(Event::Head(head('a', SLOT)));
    line.tell(Event::Head(head('b', SLOT)));
    line.until(SLOT, FETCH);
    assert_eq!(line.began, []);
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!((line.signers(), line.began.clone()), (vec![1], vec![id(SLOT, 1)]));
}

#[test]
fn a_vote_on_a_branch_whose_list_never_comes_is_missed() {
    // The duty began on branch a. The data are of b, and no node answers for its list.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.root = None;
    line.tell(Event::Head(head('b', SLOT)));
    line.answer_data(Reply::Data(data('b', SLOT)));
    line.until(SLOT, DUE);
    assert_eq!(line.signers(), []);
    line.assert_ended(&[(1, missed(Reason::NoList))]);
}

#[test]
fn a_validator_that_is_learnt_in_the_slot_still_votes() {
    // D1: it is learnt after the data have come. It votes on the same data.
    let mut line = Line::of(&[1]);
    line.lists.insert(1, vec![(1, SLOT), (2, SLOT)]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!(line.signers(), [1]);
    line.set_validators(&[1, 2]);
    assert_eq!((line.signers(), line.data_requests()), (vec![1, 2], 0));
    line.sign(1);
    line.sign(2);
    assert_eq!(line.batches(), [[1, 2]]);
}

#[test]
fn a_validator_that_may_not_sign_does_not_vote() {
    // Doppelganger protection listens for it.
    let mut line = Line::of(&[1, 2]);
    let of = |index: u64| Validator { index, key: index as u8, may_sign: index != 2 };
    line.tell(Event::Validators([1, 2].map(of).to_vec()));
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!(line.signers(), [1]);
    line.assert_ended(&[(2, missed(Reason::MayNotSign))]);
}

#[test]
fn the_first_entry_of_a_validator_that_is_there_twice_counts() {
    // By the second entry it may not sign.
    let mut line = Line::of(&[1]);
    let of = |may_sign| Validator { index: 1, key: 1, may_sign };
    line.tell(Event::Validators([true, false].map(of).to_vec()));
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!(line.signers(), [1]);
}

#[test]
fn a_validator_beyond_the_bound_has_no_duty() {
    // One is taken. Its duty is under way when another one stands before it.
    let mut line = Line::at(SLOT * 1200 - 1200, &[]);
    let duties = ptc_duties::Limits { validators: 1, ..ptc_duties::Limits::default() };
    line.machine = PayloadAttestation::new(TOY, Limits { duties, ..limits() });
    line.lists.insert(1, vec![(1, SLOT)]);
    line.set_validators(&[1]);
    line.tell(Event::Head(head('a', 4)));
    line.until(SLOT, FETCH);
    assert_eq!(line.began, [id(SLOT, 1)]);
    line.set_validators(&[2, 1]);
    line.assert_ended(&[(1, missed(Reason::Removed))]);
}

#[test]
fn a_head_of_another_branch_has_both_epochs_asked_about() {
    // Two lists are asked for as soon as it is told.
    let mut line = Line::of(&[1]);
    line.root = None;
    line.tell(Event::Head(head('b', SLOT)));
    let epoch = |asked: &Asked| match asked.2 {
        Request::Duties { epoch, .. } => Some(epoch),
        _ => None,
    };
    assert_eq!(line.asked.iter().filter_map(epoch).collect::<Vec<_>>(), [SLOT / 4, SLOT / 4 + 1]);
}

#[test]
fn a_list_that_hangs_is_asked_for_again_within_the_slot() {
    // The node's time is over after 60 ms.
    let mut line = Line::of(&[1]);
    line.root = None;
    line.tell(Event::Head(head('b', SLOT)));
    let lists = |line: &Line| {
        let is_list = |asked: &&Asked| matches!(asked.2, Request::Duties { .. });
        line.asked.iter().filter(is_list).count()
    };
    let before = lists(&line);
    line.until(SLOT, 59);
    assert_eq!(lists(&line), before);
    line.until(SLOT, 60);
    assert!(lists(&line) > before);
}

#[test]
fn lists_that_are_not_there_are_asked_for_and_the_votes_then_begin() {
    // Nothing is known of the slot's duties until after the time for the data.
    let mut line = Line::at(SLOT * 1200 - 1200, &[]);
    line.tell(Event::Head(head('a', 4)));
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH + 10);
    assert_eq!(line.data_requests(), 0);
    line.lists.insert(1, vec![(1, SLOT)]);
    line.set_validators(&[1]);
    assert_eq!((line.data_requests(), line.began.clone()), (1, vec![id(SLOT, 1)]));
}

#[test]
fn a_known_list_of_the_newest_heads_branch_decides_whether_data_are_asked_for() {
    // On branch a validator 1 votes in this slot, on b in the next. The newest head is of b.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.serve(2, Event::Head(head('b', SLOT)));
    line.until(SLOT, DUE);
    assert_eq!((line.data_requests(), line.began.len()), (0, 0));
}

#[test]
fn data_that_are_signed_are_not_asked_for_again() {
    // A head whose branch has no list is told after the data: who votes on it is not known.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    line.root = None;
    line.tell(Event::Head(head('b', SLOT)));
    assert_eq!((line.signers(), line.data_requests()), (vec![1], 0));
}

#[test]
fn a_validator_that_is_learnt_when_the_late_batch_has_left_is_not_signed_for() {
    // Its duty ends, and nobody waits for a signature that could not leave.
    let mut line = Line::of(&[1]);
    line.lists.insert(1, vec![(1, SLOT), (2, SLOT)]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    line.sign(1);
    line.answer_publish(all_taken());
    line.until(SLOT, LATE);
    line.set_validators(&[1, 2]);
    assert_eq!((line.signers().len(), line.ended.len()), (0, 2));
    assert_eq!(line.ended[1], (id(SLOT, 2), missed(Reason::DeadlineOver)));
}

#[test]
fn the_list_of_the_datas_branch_is_asked_for_once_while_nothing_is_new() {
    // The data are of b, and the node answers with the list of a. It is asked once, though the
    // answer is not the list that is wanted.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('b', SLOT)));
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    let before = line.list_requests;
    line.answer_data(Reply::Data(data('b', SLOT)));
    (0..10).for_each(|_| line.tell(Event::Wake));
    assert_eq!(line.list_requests - before, 1);
}
