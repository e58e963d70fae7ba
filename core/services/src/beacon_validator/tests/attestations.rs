use super::*;

const ONE: DutyId = DutyId { slot: 4, kind: Kind::Attestation, validator: 1 };
const THREE: DutyId = DutyId { slot: 4, kind: Kind::Attestation, validator: 3 };
const TWO: DutyId = DutyId { slot: 4, kind: Kind::Aggregation, validator: 2 };

/// Validators 1 and 3 attest in committee 0 of slot 4, and 5 in committee 1.
fn three() -> World {
    let attesters = [attester(4, 1, 0), attester(4, 3, 0), attester(4, 5, 1)];
    let mut world = World::at_epoch_1(&[1, 3, 5], &[], &attesters);
    assert_eq!(world.answer(is_selection), 3);
    world
}

#[test]
fn the_attestations_of_a_slot_take_one_request_a_committee_one_record_and_one_publication() {
    // Three attesters in two committees.
    let mut world = three();
    world.clock(4, 4);
    assert_eq!(world.answer(is_data), 2);
    assert_eq!(world.answer(is_protect), 1);
    assert_eq!(world.answer(is_sign), 3);
    assert_eq!(world.answer(is_publish), 1);
    assert_eq!(world.published[0].len(), 3);
    for validator in [1, 3, 5] {
        let sent = duty(4, Kind::Attestation, validator);
        assert_eq!(world.outcome(sent), Some(Outcome::Sent));
    }
}

#[test]
fn attestations_are_due_at_their_time_or_with_the_slots_own_block() {
    // Another block as head makes nothing due.
    let mut world = three();
    world.clock(4, 3);
    world.head(Head { root: 8, ..HEAD });
    assert_eq!(world.count(is_data), 0);
    world.clock(4, 4);
    assert_eq!(world.count(is_data), 2);
    let mut world = three();
    world.clock(4, 1);
    let own = Head { root: 4, slot: 4, current_dependent: 3, previous_dependent: 0 };
    world.head(own);
    assert_eq!(world.count(is_data), 2);
}

#[test]
fn a_committee_whose_data_do_not_come_holds_the_others_up_until_the_next_reading() {
    // The data of one committee come, and those of the other do not.
    let mut world = three();
    world.clock(4, 4);
    let id = world.find(|request| matches!(request, Request::Data { committee: 0, .. }));
    let reply = honest(&world.asked[&id]);
    world.reply(id, reply);
    assert_eq!(world.count(is_protect), 0, "the other committee's may come");
    assert_eq!(world.machine.wake_at(), Some(4 * 12 + 5));
    world.clock(4, 5);
    assert_eq!(world.count(is_protect), 1);
}

#[test]
fn data_of_another_slot_committee_or_epoch_are_not_signed() {
    // Has otherwise honest data changed in one way each.
    let fine = data(4, 0);
    let wrong = [
        ToyData { slot: 5, ..fine },
        ToyData { committee: 1, ..fine },
        ToyData { target: 2, ..fine },
        ToyData { target: 0, ..fine },
        ToyData { source: 1, ..fine },
        ToyData { source: 2, ..fine },
    ];
    for data in wrong {
        let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
        world.clock(4, 4);
        let id = world.find(is_data);
        world.reply(id, Reply::Data(data));
        assert_eq!(world.count(is_protect), 0, "{data:?}");
        world.clock(5, 0);
        assert_eq!(world.missed(ONE), Some(Reason::BadAnswer), "{data:?}");
    }
}

#[test]
fn data_of_a_head_after_the_slot_are_not_signed() {
    // The head is of slot 5, the duty of slot 4.
    let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
    world.head(Head { root: 5, slot: 5, current_dependent: 3, previous_dependent: 0 });
    world.clock(4, 4);
    let id = world.find(is_data);
    world.reply(id, Reply::Data(ToyData { head: 5, ..data(4, 0) }));
    assert_eq!(world.count(is_protect), 0);
}

#[test]
fn data_of_another_branch_than_the_duty_are_not_signed() {
    // The head of the data is of epoch 1 and has another last block before epoch 0's end.
    let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
    world.head(Head { root: 9, slot: 4, current_dependent: 8, previous_dependent: 7 });
    let id = world.find(is_data);
    world.reply(id, Reply::Data(ToyData { head: 9, ..data(4, 0) }));
    assert_eq!(world.count(is_protect), 0);
    // The list of that branch comes, and the same data are taken.
    world.answer_list(1, DutyList::Attesters, 7, &[attester(4, 1, 0)]);
    assert_eq!(world.count(is_protect), 1);
}

#[test]
fn data_whose_head_is_not_known_wait_for_it() {
    // The head comes after the data; the head of other data does not help.
    let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
    world.clock(4, 4);
    let id = world.find(is_data);
    world.reply(id, Reply::Data(ToyData { head: 9, ..data(4, 0) }));
    assert_eq!(world.count(is_protect), 0);
    for root in 20..30 {
        world.head(Head { root, ..HEAD });
    }
    assert_eq!(world.missed(ONE), None, "other heads use up no attempt");
    world.head(Head { root: 9, ..HEAD });
    assert_eq!(world.count(is_protect), 1);
}

#[test]
fn a_signer_that_hangs_costs_its_own_keys_duties_alone() {
    // Validator 3's signature never comes: the others' are published when the gathering ends.
    let mut world = three();
    world.clock(4, 4);
    world.answer(is_data);
    world.answer(is_protect);
    for validator in [1, 5] {
        let id = world.find(signs(duty(4, Kind::Attestation, validator)));
        let reply = honest(&world.asked[&id]);
        world.reply(id, reply);
    }
    assert_eq!(world.published.len(), 0, "the third may come");
    world.clock(4, 6);
    assert_eq!(world.published[0].len(), 2);
    world.answer(is_publish);
    world.clock(5, 0);
    assert_eq!(world.outcome(ONE), Some(Outcome::Sent));
    assert_eq!(world.missed(THREE), Some(Reason::SignerLate));
}

#[test]
fn what_is_signed_after_the_gathering_is_published_as_it_comes() {
    // Validator 3's signature comes after the others are published.
    let mut world = three();
    world.clock(4, 4);
    world.answer(is_data);
    world.answer(is_protect);
    let late = world.find(signs(THREE));
    let request = world.asked.remove(&late).expect("it is there");
    world.answer(is_sign);
    world.clock(4, 6);
    world.answer(is_publish);
    world.clock(4, 7);
    world.reply(late, honest(&request));
    assert_eq!(world.published[1].len(), 1);
    world.answer(is_publish);
    assert_eq!(world.outcome(THREE), Some(Outcome::Sent));
}

#[test]
fn signatures_are_matched_by_duty_in_whatever_order_they_come() {
    // The three signatures come in the reverse of the order in which they were asked for.
    let mut world = three();
    world.clock(4, 4);
    world.answer(is_data);
    world.answer(is_protect);
    let ids: Vec<_> =
        world.asked.iter().filter(|(_, request)| is_sign(request)).map(|(id, _)| *id).collect();
    for id in ids.into_iter().rev() {
        let reply = honest(&world.asked[&id]);
        world.reply(id, reply);
    }
    for signed in &world.published[0] {
        assert_eq!(u64::from(signed.signature.key), signed.duty.validator);
        assert_eq!(signed.signature.of, Signed::of(&signed.message));
    }
}

#[test]
fn answers_of_protection_are_matched_by_duty() {
    // They come in reverse, and the one in the middle is a refusal.
    let mut world = three();
    world.clock(4, 4);
    world.answer(is_data);
    let id = world.find(is_protect);
    let five = duty(4, Kind::Attestation, 5);
    let answers = vec![
        (five, Protection::Recorded),
        (THREE, Protection::AlreadySigned),
        (ONE, Protection::Recorded),
    ];
    world.reply(id, Reply::Protected(answers));
    assert_eq!(world.count(signs(THREE)), 0);
    assert_eq!((world.count(signs(ONE)), world.count(signs(five))), (1, 1));
    assert_eq!(world.missed(THREE), Some(Reason::AlreadySigned));
}

#[test]
fn what_fails_rests_until_the_clock_is_read_again() {
    // Protection fails once, and then the node. Each is asked again at the next reading.
    let mut world = three();
    world.clock(4, 4);
    world.answer(is_data);
    let failed = world.find(is_protect);
    world.reply(failed, Reply::Failed);
    assert_eq!(world.count(is_protect), 0);
    world.clock(4, 5);
    assert_eq!(world.answer(is_protect), 1);
    world.answer(is_sign);
    let failed = world.find(is_publish);
    world.reply(failed, Reply::Failed);
    assert_eq!(world.count(is_publish), 0);
    world.clock(4, 6);
    assert_eq!(world.answer(is_publish), 1);
    assert_eq!(world.outcome(ONE), Some(Outcome::Sent));
    assert_eq!(world.machine.counters().malformed, 0, "a failure is an answer");
}

#[test]
fn data_that_do_not_fit_are_asked_for_again_at_the_next_reading() {
    // The first answer is of another slot.
    let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
    world.clock(4, 4);
    let id = world.find(is_data);
    world.reply(id, Reply::Data(ToyData { slot: 5, ..data(4, 0) }));
    assert_eq!(world.count(is_data), 0);
    world.clock(4, 5);
    assert_eq!(world.answer(is_data), 1);
    assert_eq!(world.count(is_protect), 1);
}

#[test]
fn a_signer_that_fails_costs_a_committee_no_data() {
    // The proof of selection fails twice and the attestation's signature once. The data that came
    // between serve both.
    let mut world = World::at_epoch_1(&[2], &[], &[attester(4, 2, 0)]);
    for ms in [0, 4] {
        world.clock(4, ms);
        let failed = world.find(is_selection);
        world.reply(failed, Reply::Failed);
    }
    assert_eq!((world.answer(is_data), world.answer(is_protect)), (1, 1));
    let failed = world.find(signs_protected);
    world.reply(failed, Reply::Failed);
    // A head that is told again is no reason to ask the signer again.
    world.head(HEAD);
    assert_eq!(world.count(is_sign), 0);
    world.clock(4, 5);
    assert_eq!((world.count(is_data), world.answer(is_sign)), (0, 2));
    world.answer(is_publish);
    world.clock(4, 8);
    assert_eq!((world.count(is_data), world.count(is_merge)), (0, 1));
}

#[test]
fn aggregates_wait_for_others_until_the_gathering_ends() {
    // Two aggregators of one committee, of whom one's signature never comes.
    let mut world = World::at_epoch_1(&[2, 4], &[], &[attester(4, 2, 0), attester(4, 4, 0)]);
    world.answer(is_selection);
    world.clock(4, 4);
    world.run();
    world.clock(4, 8);
    world.answer(is_merge);
    let id = world.find(signs(TWO));
    let reply = honest(&world.asked[&id]);
    world.reply(id, reply);
    world.clock(4, 9);
    assert_eq!(world.published.len(), 1, "the attestations alone");
    world.clock(4, 10);
    assert_eq!(world.published[1].iter().map(|signed| signed.duty).collect::<Vec<_>>(), [TWO]);
}

#[test]
fn as_many_requests_are_under_way_as_have_no_answer() {
    // Data of two committees, a record and three signatures come in turn.
    let mut world = three();
    world.clock(4, 4);
    for (fits, more) in [(is_data as fn(&_) -> bool, 2), (is_protect, 1), (is_sign, 3)] {
        assert_eq!(world.count(fits), more);
        assert_eq!(world.machine.requests(), world.asked.len());
        world.answer(fits);
    }
    assert_eq!(world.machine.requests(), world.asked.len());
}

#[test]
fn what_may_have_been_published_when_its_time_is_over_is_late() {
    // The publication fails, and the slot ends before the next one.
    let mut world = three();
    world.clock(4, 4);
    for fits in [is_data, is_protect, is_sign] {
        world.answer(fits);
    }
    let failed = world.find(is_publish);
    world.reply(failed, Reply::Failed);
    world.clock(5, 0);
    assert_eq!(world.missed(ONE), Some(Reason::PublishLate));
}

#[test]
fn one_attestation_that_is_refused_costs_no_other() {
    // The node takes two of three.
    let mut world = three();
    world.clock(4, 4);
    for fits in [is_data, is_protect, is_sign] {
        world.answer(fits);
    }
    let id = world.find(is_publish);
    world.reply(id, Reply::Published { refused: vec![THREE] });
    assert_eq!(world.outcome(ONE), Some(Outcome::Sent));
    assert_eq!(world.missed(THREE), Some(Reason::PublishFailed));
}

#[test]
fn a_node_that_hangs_is_asked_again() {
    // The first answer never comes; the second node's does.
    let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
    world.clock(4, 4);
    let first = world.find(is_data);
    world.asked.remove(&first);
    world.clock(4, 7);
    assert_eq!(world.count(is_data), 1);
    world.run();
    assert_eq!(world.outcome(ONE), Some(Outcome::Sent));
}

#[test]
fn aggregates_are_due_at_two_thirds_and_only_for_whom_the_proof_selects() {
    // In the toy even keys aggregate.
    let attesters = [attester(4, 1, 0), attester(4, 2, 0)];
    let mut world = World::at_epoch_1(&[1, 2], &[], &attesters);
    assert_eq!(world.answer(is_selection), 2);
    assert!(world.began.contains(&TWO));
    assert!(!world.began.contains(&DutyId { validator: 1, ..TWO }));
    world.clock(4, 4);
    world.run();
    world.clock(4, 7);
    assert_eq!(world.count(is_merge), 0);
    world.clock(4, 8);
    world.run();
    assert_eq!(world.outcome(TWO), Some(Outcome::Sent));
    let aggregate = &world.published[1][0];
    assert_eq!(aggregate.signature.of, Signed::Aggregate(data(4, 0), 2));
}

#[test]
fn an_aggregate_of_other_data_is_not_signed() {
    // The node answers with an aggregate for another head.
    let mut world = World::at_epoch_1(&[2], &[], &[attester(4, 2, 0)]);
    world.answer(is_selection);
    world.clock(4, 4);
    world.run();
    world.clock(4, 8);
    let id = world.find(is_merge);
    world.reply(id, Reply::Aggregate(ToyData { head: 9, ..data(4, 0) }));
    assert_eq!(world.count(is_sign), 0);
    world.clock(5, 0);
    assert_eq!(world.missed(TWO), Some(Reason::BadAnswer));
}

#[test]
fn an_aggregation_without_data_is_missed_at_the_end_of_the_slot() {
    // No data ever come.
    let mut world = World::at_epoch_1(&[2], &[], &[attester(4, 2, 0)]);
    world.answer(is_selection);
    world.clock(4, 8);
    world.clock(5, 0);
    assert_eq!(world.missed(TWO), Some(Reason::NodeLate));
}
