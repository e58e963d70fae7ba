use super::*;

const LIST: fn(&Request<ToyDuties>) -> bool = |request| matches!(request, Request::Duties { .. });

fn list(world: &World, epoch: Epoch, which: DutyList) -> RequestId {
    world.find(asks_list(epoch, which))
}

#[test]
fn lists_of_this_and_the_next_epoch_are_asked_for_once_a_slot() {
    // Reads the clock several times in slots 4 and 5; proposers of epoch 2 are asked for in slot 7.
    let mut world = World::new(limits());
    world.validators(&[1]);
    assert_eq!(world.count(LIST), 0, "nobody knows the epoch");
    world.clock(4, 0);
    assert_eq!(world.count(LIST), 3);
    list(&world, 1, DutyList::Proposers);
    list(&world, 1, DutyList::Attesters);
    list(&world, 2, DutyList::Attesters);
    for which in [DutyList::Proposers, DutyList::Attesters] {
        world.answer_list(1, which, 3, &[]);
    }
    world.answer_list(2, DutyList::Attesters, 3, &[]);
    world.clock(4, 1);
    assert_eq!(world.count(LIST), 0);
    world.clock(5, 0);
    assert_eq!(world.count(LIST), 3);
    world.clock(7, 0);
    list(&world, 2, DutyList::Proposers);
}

#[test]
fn a_list_that_keeps_changing_or_failing_is_asked_for_a_bounded_number_of_times() {
    // Two branches alternate, and each head makes the list stale; then all answers fail.
    let mut world = World::at_epoch_1(&[1], &[], &[]);
    let mut asks = 1;
    for (root, slot) in (10..40).zip(std::iter::repeat(4)) {
        world.head(Head { root, slot, current_dependent: 3, previous_dependent: root });
        if world.count(|request| {
            matches!(request, Request::Duties { epoch: 1, list: DutyList::Attesters, .. })
        }) == 1
        {
            world.answer_list(1, DutyList::Attesters, 99, &[]);
            asks += 1;
        }
    }
    assert_eq!(asks, limits().asks_per_slot);
    let mut world = World::new(limits());
    world.validators(&[1]);
    let mut asks = 0;
    for ms in 0..12 {
        world.clock(4, ms);
        asks += world.answer(LIST);
    }
    assert_eq!(asks, 3 * usize::from(limits().asks_per_slot));
    world.clock(5, 0);
    assert_eq!(world.count(LIST), 3);
}

#[test]
fn the_root_of_a_list_is_that_of_the_answer_that_carried_it() {
    // Two requests straddle a re-organisation: the list of branch 7 comes when the head is of
    // branch 3. It is kept under 7, is asked for again, and nothing of it is signed on branch 3.
    let mut world = World::at_epoch_1(&[1], &[], &[]);
    world.clock(5, 0);
    world.answer_list(1, DutyList::Attesters, 7, &[attester(5, 1, 0)]);
    list(&world, 1, DutyList::Attesters);
    world.clock(5, 4);
    let id = world.find(is_data);
    world.reply(id, Reply::Data(data(5, 0)));
    assert_eq!(world.count(is_protect), 0);
    world.answer_list(1, DutyList::Attesters, 0, &[attester(5, 1, 0)]);
    assert_eq!(world.count(is_protect), 1);
}

#[test]
fn a_request_for_a_list_outlives_its_slot_and_not_its_epoch() {
    // Lists are asked for at the end of slot 7, the last of epoch 1, and come in slot 8: that of
    // epoch 2 is taken, and that of epoch 1 is of no use.
    let mut world = World::new(limits());
    world.validators(&[1]);
    world.clock(7, 11);
    let [first, second] = [1, 2].map(|epoch| list(&world, epoch, DutyList::Attesters));
    world.clock(8, 0);
    world.reply(second, Reply::Duties { dependent_root: 3, listed: vec![attester(9, 1, 0)] });
    assert_eq!((world.machine.planned(), world.machine.counters().stray), (2, 0));
    world.reply(first, Reply::Duties { dependent_root: 3, listed: vec![] });
    assert_eq!(world.machine.counters().stray, 1);
}

#[test]
fn a_list_of_attesters_with_something_new_has_the_node_subscribe_to_all_of_it() {
    // A list of proposers and one of attesters; the same attesters again; and one more.
    let mut world = World::at_epoch_1(&[1, 2], &[proposer(7, 1)], &[attester(7, 1, 0)]);
    assert_eq!(world.subscribed, [[1]]);
    let both = [attester(7, 1, 0), attester(7, 2, 0)];
    for (slot, attesters, subscriptions) in [(5, &both[..1], 1), (6, &both[..], 2)] {
        world.clock(slot, 0);
        world.answer_list(1, DutyList::Proposers, HEAD.root, &[proposer(7, 1)]);
        world.answer_list(1, DutyList::Attesters, HEAD.current_dependent, attesters);
        assert_eq!(world.subscribed.len(), subscriptions);
    }
    assert_eq!(world.subscribed[1], [1, 2]);
}

#[test]
fn a_list_withdraws_no_duty_of_another_epoch() {
    // A duty of the first slot of epoch 2 is known when a list of epoch 1 comes that is empty.
    let mut world = World::at_epoch_1(&[1], &[], &[]);
    world.answer_list(2, DutyList::Attesters, HEAD.root, &[attester(8, 1, 0)]);
    world.clock(5, 0);
    world.answer_list(1, DutyList::Attesters, HEAD.current_dependent, &[]);
    assert_eq!(world.machine.planned(), 2, "an attestation and an aggregation");
}

#[test]
fn a_head_of_another_branch_has_the_lists_asked_for_again() {
    // The head's branch has another last block before epoch 0.
    let mut world = World::at_epoch_1(&[1], &[], &[]);
    assert_eq!(world.count(|request| matches!(request, Request::Duties { epoch: 1, .. })), 0);
    world.head(Head { root: 9, slot: 4, current_dependent: 3, previous_dependent: 7 });
    list(&world, 1, DutyList::Attesters);
    assert_eq!(world.count(|request| matches!(request, Request::Duties { epoch: 1, .. })), 1);
}

#[test]
fn entries_that_cannot_be_duties_of_ours_are_dropped() {
    // A foreign validator, a wrong key, a slot of another epoch, a position outside of the
    // committee, no committee, a second duty in the epoch, a second proposer of a slot.
    let fine = attester(5, 1, 0);
    let place = fine.place.expect("it has one");
    let bad = [
        attester(5, 8, 0),
        Listed { key: 2, ..fine },
        attester(8, 1, 0),
        Listed { place: Some(Place { position: 8, ..place }), ..fine },
        Listed { place: Some(Place { committee_length: 0, position: 0, ..place }), ..fine },
        Listed { place: None, ..fine },
    ];
    for entry in bad {
        let world = World::at_epoch_1(&[1], &[], &[entry]);
        assert_eq!(world.machine.planned(), 0, "{entry:?}");
        assert_eq!(world.machine.counters().dropped, 1, "{entry:?}");
    }
    let world = World::at_epoch_1(&[1], &[], &[fine, attester(6, 1, 0)]);
    assert_eq!(world.machine.planned(), 2, "an attestation and an aggregation");
    let world = World::at_epoch_1(&[1, 2], &[proposer(5, 1), proposer(5, 2), proposer(9, 1)], &[]);
    assert_eq!(world.machine.planned(), 1);
    let world = World::at_epoch_1(&[1], &[proposer(5, 1), proposer(6, 1)], &[]);
    assert_eq!(world.machine.planned(), 2, "one validator may propose twice");
}

#[test]
fn a_duty_that_the_next_list_does_not_have_is_withdrawn() {
    // Before its slot it is no duty; in its slot, with nothing made yet, it is missed.
    let mut world = World::at_epoch_1(&[1, 2], &[], &[attester(5, 1, 0), attester(6, 2, 0)]);
    world.clock(5, 0);
    assert_eq!(world.began, [duty(5, Kind::Attestation, 1)]);
    world.answer_list(1, DutyList::Attesters, 0, &[]);
    assert_eq!(world.missed(duty(5, Kind::Attestation, 1)), Some(Reason::Reassigned));
    world.clock(6, 0);
    world.clock(7, 0);
    assert_eq!(world.outcome(duty(6, Kind::Attestation, 2)), None);
    assert_eq!(world.began.len(), 1);
}

#[test]
fn an_answer_for_a_duty_that_was_withdrawn_is_counted() {
    // The selection proof comes after a list without the duty.
    let mut world = World::at_epoch_1(&[2], &[], &[attester(5, 2, 0)]);
    world.clock(5, 0);
    let selection = world.find(is_selection);
    let reply = honest(&world.asked[&selection]);
    world.answer_list(1, DutyList::Attesters, 0, &[]);
    assert_eq!(world.machine.counters().stray, 0);
    world.reply(selection, reply);
    assert_eq!(world.machine.counters().stray, 1);
    assert_eq!(world.began, [duty(5, Kind::Attestation, 2)], "there is no aggregation");
}

#[test]
fn an_aggregation_that_moves_alone_is_news_for_the_node() {
    // The attestation is on record, and stays; the selection proof has not come, so that the
    // aggregation moves to the committee of the new list.
    let mut world = World::at_epoch_1(&[2], &[], &[attester(4, 2, 0)]);
    world.clock(4, 4);
    world.answer(is_data);
    world.head(Head { root: 9, slot: 4, current_dependent: 3, previous_dependent: 7 });
    world.answer_list(1, DutyList::Attesters, 7, &[attester(4, 2, 1)]);
    assert_eq!(world.subscribed, [[2], [2]]);
}

#[test]
fn an_attestation_that_is_on_record_is_finished_though_the_list_has_changed() {
    // The record cannot be taken back, and no other attestation of the epoch may be signed.
    let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
    world.clock(4, 4);
    world.answer(is_data);
    world.head(Head { root: 9, slot: 4, current_dependent: 3, previous_dependent: 7 });
    world.answer_list(1, DutyList::Attesters, 7, &[attester(4, 1, 1)]);
    world.run();
    assert_eq!(world.outcome(duty(4, Kind::Attestation, 1)), Some(Outcome::Sent));
    assert_eq!(world.published[0][0].place.map(|place| place.committee), Some(0));
}

#[test]
fn a_duty_moves_to_another_committee_while_its_data_are_asked_for() {
    // The data of the old committee are not signed.
    let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
    world.clock(4, 4);
    let old = world.find(is_data);
    world.head(Head { root: 9, slot: 4, current_dependent: 3, previous_dependent: 7 });
    world.answer_list(1, DutyList::Attesters, 7, &[attester(4, 1, 1)]);
    world.reply(old, Reply::Data(data(4, 0)));
    assert_eq!(world.count(is_protect), 0);
    let id = world.find(is_data);
    world.reply(id, Reply::Data(ToyData { head: 9, ..data(4, 1) }));
    assert_eq!(world.count(is_protect), 1);
}

#[test]
fn a_validator_that_is_learnt_late_gets_its_duties_at_once() {
    // The lists of the epoch were there before the validator was (D1).
    let mut world = World::at_epoch_1(&[1], &[], &[]);
    world.asked.clear();
    world.validators(&[1, 2]);
    let epoch_1 = list(&world, 1, DutyList::Attesters);
    let Request::Duties { validators, .. } = &world.asked[&epoch_1] else { unreachable!() };
    assert_eq!(*validators, [1, 2]);
    world.answer_list(1, DutyList::Attesters, 0, &[attester(4, 2, 0)]);
    assert_eq!(world.began, [duty(4, Kind::Attestation, 2)]);
}

#[test]
fn a_validator_that_may_not_sign_signs_nothing() {
    // Doppelganger protection listens; then the validator is allowed, and later forbidden again.
    let mut world = World::new(limits());
    world.head(HEAD);
    let of = |may_sign| Event::Validators(vec![Validator { index: 2, key: 2, may_sign }]);
    world.event(of(false));
    world.clock(4, 0);
    let listed = [attester(4, 2, 0)];
    world.answer_list(1, DutyList::Attesters, 0, &listed);
    assert_eq!(world.missed(duty(4, Kind::Attestation, 2)), Some(Reason::MayNotSign));
    world.clock(4, 4);
    assert_eq!((world.count(is_sign), world.count(is_data)), (0, 0));
    world.event(of(true));
    world.clock(5, 0);
    world.answer_list(1, DutyList::Proposers, 3, &[proposer(5, 2)]);
    assert_eq!(world.count(is_sign), 1);
    world.event(of(false));
    assert_eq!(world.missed(duty(5, Kind::Proposal, 2)), Some(Reason::MayNotSign));
    world.run();
    assert_eq!(world.published.len(), 0);
}

#[test]
fn a_validator_that_is_taken_away_ends_its_duties() {
    // It goes while its attestation is signed, and another takes its index.
    for validators in [vec![], vec![Validator { index: 1, key: 9, may_sign: true }]] {
        let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
        world.clock(4, 4);
        world.answer(is_data);
        world.answer(is_protect);
        world.event(Event::Validators(validators));
        assert_eq!(world.missed(duty(4, Kind::Attestation, 1)), Some(Reason::Reassigned));
        world.run();
        assert_eq!(world.published.len(), 0);
    }
}

#[test]
fn validators_beyond_the_limit_or_with_a_key_or_index_twice_are_not_taken() {
    // Two are allowed; the second entry has the first one's key, the third its index.
    let mut world = World::new(Limits { validators: 2, ..limits() });
    let of = |(index, key)| Validator { index, key, may_sign: true };
    let validators = [(1, 1), (2, 1), (1, 3), (4, 4), (5, 5)].map(of);
    world.event(Event::Validators(validators.to_vec()));
    assert_eq!(world.machine.counters().dropped, 3);
    world.clock(4, 0);
    let id = list(&world, 1, DutyList::Attesters);
    let Request::Duties { validators, .. } = &world.asked[&id] else { unreachable!() };
    assert_eq!(*validators, [1, 4]);
}

#[test]
fn heads_are_remembered_up_to_a_bound() {
    // Fifteen other heads, of which one is told twice, leave the one that the data are of; sixteen
    // push it out.
    for (others, protects) in [(15, 1), (16, 0)] {
        let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
        for root in (20..20 + others).chain([20]) {
            world.head(Head { root, ..HEAD });
        }
        world.clock(4, 4);
        world.answer(is_data);
        assert_eq!(world.count(is_protect), protects, "{others}");
    }
    let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
    for root in 20..36 {
        world.head(Head { root, ..HEAD });
    }
    world.clock(4, 4);
    world.answer(is_data);
    assert_eq!(world.count(is_protect), 0);
    world.head(HEAD);
    assert_eq!(world.count(is_protect), 1);
}
