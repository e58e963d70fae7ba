//! The clock: late wake-ups, steps back, restarts.

use super::*;

#[test]
fn nothing_is_signed_for_a_slot_that_is_over() {
    // P5: the data's answer comes with the next slot's first reading.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.now = (SLOT + 1) * 1200;
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!(line.signers(), []);
    line.assert_ended(&[(1, missed(Reason::NodeLate))]);
    assert_eq!(line.machine.counters().stray, 1);
}

#[test]
fn a_vote_that_is_signed_when_its_slot_is_over_does_not_leave() {
    // P5, a step later.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    line.now = (SLOT + 1) * 1200;
    line.sign(1);
    assert!(line.batches().is_empty());
    line.assert_ended(&[(1, missed(Reason::SignerLate))]);
}

#[test]
fn duties_of_slots_that_were_slept_over_are_missed_once() {
    // Duties in slots 5, 6 and 8; the machine wakes in slot 9, and again there.
    let mut line = Line::listed(&[(1, 5), (2, 6), (3, 8)]);
    line.now = 9 * 1200 + 10;
    line.tell(Event::Wake);
    line.tell(Event::Wake);
    let over = |slot, validator| (id(slot, validator), missed(Reason::SlotOver));
    assert_eq!(line.ended, [over(5, 1), over(6, 2), over(8, 3)]);
    // A clock that steps back into them begins none again.
    line.now = 6 * 1200 + FETCH;
    line.tell(Event::Wake);
    assert_eq!((line.ended.len(), line.began.len(), line.data_requests()), (3, 3, 0));
}

#[test]
fn the_machine_is_woken_at_the_times_of_a_slot() {
    // A slot in which nothing is asked for.
    let mut line = Line::of(&[]);
    let mut times = Vec::new();
    while line.now < (SLOT + 1) * 1200 {
        line.now = line.machine.wake_at().expect("after genesis");
        line.tell(Event::Wake);
        times.push(line.now - SLOT * 1200);
    }
    assert_eq!(times, [FETCH, DUE, LATE, 1200]);
}

#[test]
fn a_duty_of_a_slot_that_was_left_before_its_time_is_missed() {
    // The machine knows the slot, and wakes in the next one.
    let mut line = Line::of(&[1]);
    line.now = (SLOT + 1) * 1200;
    line.tell(Event::Wake);
    line.assert_ended(&[(1, missed(Reason::SlotOver))]);
}

#[test]
fn requests_of_a_slot_that_the_clock_has_left_are_given_up() {
    // It goes to and fro a hundred times, and no list is answered.
    let mut line = Line::of(&[1]);
    line.root = None;
    for slot in [SLOT + 1, SLOT].repeat(100) {
        line.now = slot * 1200;
        line.tell(Event::Wake);
        assert!(line.machine.requests() <= 2, "{}", line.machine.requests());
    }
}

#[test]
fn a_process_votes_in_no_slot_that_had_begun_before_it() {
    // V10: it begins in the slot, so that its predecessor may have voted. The next slot is its own.
    let mut line = Line::at(SLOT * 1200 + 100, &[]);
    line.lists.insert(1, vec![(1, SLOT), (2, SLOT + 1)]);
    line.set_validators(&[1, 2]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    assert_eq!(line.data_requests(), 0);
    line.assert_ended(&[(1, missed(Reason::MayHaveVoted))]);
    line.tell(Event::Head(head('a', SLOT + 1)));
    line.until(SLOT + 1, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT + 1)));
    assert_eq!(line.signers(), [2]);
}

#[test]
fn no_data_are_asked_for_in_a_slot_that_had_begun_before_the_process() {
    // The list of the newest head's branch is not there, and that of another names somebody.
    let mut line = Line::at(SLOT * 1200 + 100, &[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.root = None;
    line.tell(Event::Head(head('b', SLOT)));
    line.until(SLOT, DUE);
    assert_eq!((line.data_requests(), line.began.len()), (0, 0));
}

#[test]
fn a_process_that_begins_before_genesis_votes_in_the_first_slot() {
    // Nobody can have voted before genesis.
    let mut line = Line::at(0, &[]);
    line.machine = PayloadAttestation::new(TOY, limits());
    assert_eq!(line.machine.handle(&Reading::BeforeGenesis, Event::Wake), []);
    assert_eq!(line.machine.wake_at(), None);
    line.lists.insert(1, vec![(1, 0)]);
    line.set_validators(&[1]);
    line.tell(Event::Head(head('a', 0)));
    line.until(0, FETCH);
    line.answer_data(Reply::Data(data('a', 0)));
    assert_eq!(line.signers(), [1]);
}

#[test]
fn a_clock_that_steps_back_over_a_slot_does_not_have_it_voted_twice() {
    // V10: the vote has left, the clock steps back by a slot, and the slot comes again.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    line.sign(1);
    line.now = SLOT * 1200 - 100;
    line.tell(Event::Wake);
    line.assert_ended(&[(1, missed(Reason::ClockStepped))]);
    assert_eq!(line.machine.counters().steps_back, 1);
    line.asked.clear();
    line.until(SLOT, DUE);
    assert_eq!((line.data_requests(), line.ended.len(), line.began.len()), (0, 1, 1));
}

#[test]
fn a_clock_that_steps_back_within_the_slot_keeps_no_signed_vote() {
    // It shows a time before that for the data, when the signature comes.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    line.now -= 50;
    line.sign(1);
    assert_eq!(line.batches(), [[1]]);
}

#[test]
fn a_clock_that_was_far_ahead_costs_no_later_vote() {
    // It shows a slot of the far future, where there are no duties, and is set right.
    let mut line = Line::listed(&[(1, SLOT), (2, SLOT + 1)]);
    line.now = 1_000_000 * 1200;
    line.tell(Event::Wake);
    line.now = SLOT * 1200;
    line.tell(Event::Wake);
    assert_eq!(line.ended, [], "the duties were too far back to be looked at");
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!(line.signers(), [1]);
}

#[test]
fn the_end_of_time_is_no_fault() {
    // The last slot that a clock can show.
    let mut line = Line::of(&[1]);
    line.now = u64::MAX;
    line.tell(Event::Wake);
    assert!(line.machine.wake_at().is_some());
}
