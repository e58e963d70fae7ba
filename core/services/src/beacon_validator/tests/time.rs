use super::*;

const FIVE: DutyId = DutyId { slot: 5, kind: Kind::Attestation, validator: 1 };

fn at_5() -> World {
    World::at_epoch_1(&[1], &[proposer(6, 1)], &[attester(5, 1, 0)])
}

#[test]
fn duties_of_a_slot_that_is_over_are_not_done_after_a_late_wake_up() {
    // The clock reads slot 4, and then slot 7.
    let mut world = at_5();
    world.clock(7, 0);
    assert_eq!(world.missed(FIVE), Some(Reason::SlotOver));
    assert_eq!(world.missed(duty(6, Kind::Proposal, 1)), Some(Reason::SlotOver));
    world.run();
    assert_eq!(world.published.len(), 0);
    assert_eq!(world.machine.planned(), 0);
}

#[test]
fn a_duty_that_is_learnt_after_its_deadline_is_missed_at_once() {
    // A proposal of this slot is listed when proposals are over.
    let mut world = at_5();
    world.clock(5, 9);
    world.answer_list(1, DutyList::Proposers, 3, &[proposer(5, 1), proposer(4, 1)]);
    assert_eq!(world.missed(duty(5, Kind::Proposal, 1)), Some(Reason::SlotOver));
    assert_eq!(world.outcome(duty(4, Kind::Proposal, 1)), None, "its slot was over before");
}

#[test]
fn a_duty_that_was_done_is_not_done_again_when_the_clock_steps_back() {
    // The clock steps from slot 6 back to slot 5, and the list of slot 5's duties comes again.
    let mut world = at_5();
    world.clock(5, 4);
    world.run();
    assert_eq!(world.outcome(FIVE), Some(Outcome::Sent));
    world.clock(6, 0);
    world.clock(5, 4);
    world.answer_list(1, DutyList::Attesters, 0, &[attester(5, 1, 0)]);
    world.clock(5, 5);
    assert_eq!(world.count(is_data), 0);
    assert_eq!(world.began.iter().filter(|began| **began == FIVE).count(), 1);
}

#[test]
fn within_a_slot_a_step_back_changes_nothing_that_has_begun() {
    // The data are asked for at 4 ms; the clock then reads 2 ms, and the data come.
    let mut world = at_5();
    world.clock(5, 4);
    world.clock(5, 2);
    assert_eq!(world.count(is_data), 1);
    world.run();
    assert_eq!(world.outcome(FIVE), Some(Outcome::Sent));
}

#[test]
fn a_step_back_by_more_than_an_epoch_is_a_restart() {
    // The clock jumps to slot 100 by mistake, and comes back to slot 5.
    let mut world = at_5();
    world.clock(100, 0);
    assert_eq!(world.missed(FIVE), Some(Reason::SlotOver));
    world.validators(&[1]);
    world.answer_list(25, DutyList::Attesters, 3, &[attester(100, 1, 0)]);
    let jumped = duty(100, Kind::Attestation, 1);
    assert_eq!(world.machine.under_way().collect::<Vec<_>>(), [jumped]);
    world.asked.clear();
    world.clock(6, 0);
    assert_eq!(world.machine.counters().resets, 1);
    assert_eq!(world.missed(jumped), Some(Reason::ClockStepped));
    world.answer_list(1, DutyList::Proposers, 3, &[proposer(6, 1)]);
    world.run();
    // Slot 6 is done anew: its first end was before the restart.
    let of_slot = world.ended.iter().filter(|(id, _)| *id == duty(6, Kind::Proposal, 1));
    let of_slot: Vec<_> = of_slot.map(|(_, outcome)| *outcome).collect();
    assert_eq!(of_slot, [Outcome::Missed(Reason::SlotOver), Outcome::Sent]);
}

#[test]
fn before_genesis_lists_are_asked_for_and_nothing_is_done() {
    // Then genesis comes, and slot 0's proposal is made.
    let mut world = World::new(limits());
    world.event(Event::Clock(Reading::BeforeGenesis));
    world.validators(&[1]);
    assert_eq!(world.machine.wake_at(), None);
    world.head(Head { root: 0, slot: 0, current_dependent: 0, previous_dependent: 0 });
    world.answer_list(0, DutyList::Attesters, 0, &[attester(0, 1, 0)]);
    assert_eq!((world.count(is_sign), world.began.len()), (0, 0));
    world.clock(0, 0);
    assert_eq!(world.began, [duty(0, Kind::Attestation, 1)]);
}

#[test]
fn the_machine_says_when_the_clock_has_to_be_read() {
    // The times of the slot one after the other, and a request's end between them.
    let mut world = World::at_epoch_1(&[1], &[], &[]);
    world.run();
    while world.answer(|_| true) > 0 {}
    let mut times = Vec::new();
    for _ in 0..5 {
        let at = world.machine.wake_at().expect("genesis has been");
        times.push(at);
        world.clock(at / 12, at % 12);
        while world.answer(|_| true) > 0 {}
    }
    assert_eq!(times.last(), Some(&60), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    let mut world = World::at_epoch_1(&[1], &[], &[attester(4, 1, 0)]);
    world.answer(is_selection);
    world.clock(4, 4);
    world.answer(|request| matches!(request, Request::Duties { .. }));
    world.clock(4, 5);
    world.asked.clear();
    assert_eq!(world.machine.wake_at(), Some(54), "the gathering ends");
    world.clock(4, 6);
    assert_eq!(world.machine.wake_at(), Some(55), "the node has had its time");
}

#[test]
fn the_largest_times_do_not_overflow() {
    // The clock reads the last millisecond that there is.
    let mut world = at_5();
    world.event(Event::Clock(Reading::SinceGenesis(u64::MAX)));
    assert_eq!(world.missed(FIVE), Some(Reason::SlotOver));
    assert!(world.machine.wake_at().is_some());
}
