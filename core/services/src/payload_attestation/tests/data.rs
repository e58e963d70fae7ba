//! The data: when they are asked for, and which are signed.

use std::collections::VecDeque;

use super::super::{Claims, VoteProtocol};
use super::*;

fn no_votes(slot: Slot) -> Reply<ToyVotes> {
    Reply::Data(ToyVote { is_complete: false, ..data('a', slot) })
}

#[test]
fn a_negative_vote_leaves_by_the_deadline() {
    // P1: nothing is told of a payload. Data, signature and publication fit before the deadline.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH - 1);
    assert_eq!((line.data_requests(), line.began.len()), (0, 0));
    line.until(SLOT, FETCH);
    line.answer_data(no_votes(SLOT));
    line.until(SLOT, FETCH + 50);
    line.sign(1);
    line.answer_publish(all_taken());
    line.assert_ended(&[(1, sent(100))]);
}

#[test]
fn a_complete_payload_is_voted_for_as_soon_as_it_is_told_of() {
    // Told twice, and for another slot: there is one request.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, 300);
    line.tell(Event::Available { slot: SLOT + 1, block: 9 });
    assert_eq!(line.data_requests(), 0);
    for _ in 0..2 {
        line.tell(Event::Available { slot: SLOT, block: head('a', SLOT).root });
        assert_eq!(line.data_requests(), 1);
    }
    line.answer_data(Reply::Data(data('a', SLOT)));
    line.sign(1);
    line.answer_publish(all_taken());
    line.assert_ended(&[(1, sent(600))]);
}

#[test]
fn a_node_that_fails_until_the_deadline_is_not_said_to_be_late() {
    // Every request for data fails at once.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    for ms in FETCH..=DUE {
        line.until(SLOT, ms);
        if line.data_requests() > 0 {
            line.answer_data(Reply::Failed);
        }
    }
    line.until(SLOT + 1, 0);
    line.assert_ended(&[(1, missed(Reason::NodeFailed))]);
}

/// A protocol whose data say of the payload and of its blobs apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Apart;

impl VoteProtocol for Apart {
    type Key = u8;
    type Root = u8;
    type Signature = ();
    type Data = (Slot, bool, bool);

    fn timing(&self) -> Timing {
        TOY.timing
    }

    fn claims(&self, data: &Self::Data) -> Claims<u8> {
        let (slot, payload_present, blob_data_available) = *data;
        Claims { slot, block: head('a', slot).root, payload_present, blob_data_available }
    }
}

/// Returns whether early data that say this of the payload and of its blobs are signed at once.
fn signs_early(present: bool, available: bool) -> bool {
    let mut machine = PayloadAttestation::new(Apart, limits());
    let ours = vec![Validator { index: 1, key: 1, may_sign: true }];
    let there = Event::Available { slot: SLOT, block: head('a', SLOT).root };
    let mut events = VecDeque::from([
        (SLOT - 1, Event::Head(head('a', SLOT - 1))),
        (SLOT - 1, Event::Validators(ours)),
        (SLOT, Event::Head(head('a', SLOT))),
        (SLOT, there),
    ]);
    let mut signs = false;
    while let Some((at, event)) = events.pop_front() {
        for effect in machine.handle(&Reading::SinceGenesis(at * 1200), event) {
            let Effect::Ask { id, request, .. } = effect else { continue };
            let reply = match request {
                Request::Duties { epoch, .. } => {
                    let duty = Listed { validator: 1, key: 1, slot: SLOT };
                    let duties = (epoch == SLOT / 4).then_some(duty).into_iter().collect();
                    Reply::Duties { dependent_root: 1, duties }
                }
                Request::Data { slot } => Reply::Data((slot, present, available)),
                Request::Sign { .. } | Request::Publish { .. } => {
                    signs = true;
                    continue;
                }
            };
            events.push_front((at, Event::Reply { request: id, reply }));
        }
    }
    signs
}

#[test]
fn a_payload_without_its_blobs_is_not_voted_on_early_nor_are_blobs_without_it() {
    // Both, one of the two, or none are there, by what the early data say.
    let of = |(present, available)| signs_early(present, available);
    let all = [(true, true), (true, false), (false, true), (false, false)];
    assert_eq!(all.map(of), [true, false, false, false]);
}

#[test]
fn heads_are_remembered_up_to_a_bound() {
    // Two are; data of the block that was a head before them are not signed.
    let mut line = Line::at(SLOT * 1200 - 1200, &[1]);
    line.machine = PayloadAttestation::new(TOY, Limits { heads: 2, ..limits() });
    line.tell(Event::Head(head('a', 4)));
    line.set_validators(&[1]);
    line.until(SLOT, FETCH);
    for (root, is_known) in [(90, false), (91, true)] {
        let named = |root| Head { root, ..head('a', SLOT) };
        for root in [90, 91, 92] {
            line.tell(Event::Head(named(root)));
        }
        line.answer_data(Reply::Data(ToyVote { block: root, ..data('a', SLOT) }));
        assert_eq!(!line.signers().is_empty(), is_known, "{root}");
        line.until(SLOT, line.now - SLOT * 1200 + 20);
    }
}

#[test]
fn an_early_answer_that_is_no_vote_for_all_of_it_is_asked_for_again_in_its_time() {
    // The node that told of the payload is another one than the one that is asked.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, 300);
    let available = Event::Available { slot: SLOT, block: head('a', SLOT).root };
    line.tell(available.clone());
    line.answer_data(no_votes(SLOT));
    line.tell(available);
    line.until(SLOT, FETCH - 1);
    assert_eq!((line.data_requests(), line.signers().len()), (0, 0), "no vote against it so early");
    line.until(SLOT, FETCH);
    line.answer_data(no_votes(SLOT));
    assert_eq!(line.signers(), [1]);
}

#[test]
fn that_no_block_was_seen_is_asked_again_until_the_deadline() {
    // P3: no block at first; then it is there, just in time.
    let mut line = Line::of(&[1]);
    line.until(SLOT, FETCH);
    line.answer_data(Reply::NoBlock);
    assert_eq!(line.data_requests(), 0, "it rests");
    line.until(SLOT, FETCH + 20);
    line.answer_data(Reply::NoBlock);
    assert!(line.ended.is_empty());
    // A head of an earlier slot, which was not told before, says nothing of this slot's block.
    line.tell(Event::Head(head('a', 3)));
    assert_eq!(line.data_requests(), 0, "it rests");
    // The block is told as a head: there is no need to rest.
    line.until(SLOT, FETCH + 25);
    line.tell(Event::Head(head('a', SLOT)));
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!(line.signers(), [1]);
}

#[test]
fn without_a_block_the_duty_ends_at_the_deadline_and_says_why() {
    // No block ever; failures; a node that hangs; a node that is asked too late.
    let mut line = Line::of(&[1]);
    line.until(SLOT, FETCH);
    while line.ended.is_empty() {
        if line.data_requests() == 1 {
            line.answer_data(Reply::NoBlock);
        }
        line.until(SLOT, line.now - SLOT * 1200 + 5);
    }
    assert_eq!(line.now, SLOT * 1200 + DUE);
    line.assert_ended(&[(1, missed(Reason::NoBlock))]);

    let mut line = Line::of(&[1]);
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Failed);
    line.until(SLOT, FETCH + 20);
    line.answer_data(Reply::Failed);
    line.until(SLOT, DUE);
    line.assert_ended(&[(1, missed(Reason::NodeLate))]);

    let mut line = Line::of(&[1]);
    line.now = SLOT * 1200 + DUE;
    line.tell(Event::Wake);
    line.assert_ended(&[(1, missed(Reason::DeadlineOver))]);
    assert_eq!(line.data_requests(), 0);
}

#[test]
fn a_node_that_hangs_is_asked_again_before_the_deadline() {
    // P2: the first request gets a share of the time. The second is answered.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    let (hung, by_ms, _) = line.take(|asked| matches!(asked, Request::Data { .. }));
    assert_eq!(by_ms, SLOT * 1200 + FETCH + 60);
    line.until(SLOT, FETCH + 80);
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!(line.signers(), [1]);
    line.tell(Event::Reply { request: hung, reply: Reply::Data(data('b', SLOT)) });
    assert_eq!((line.machine.counters().stray, line.signers().len()), (1, 1));
}

#[test]
fn no_request_for_data_lasts_beyond_the_deadline() {
    // The second one takes its whole share, and the third has less than that left.
    let mut line = Line::of(&[1]);
    line.until(SLOT, FETCH);
    line.answer_data(Reply::NoBlock);
    line.until(SLOT, FETCH + 20);
    line.take(|asked| matches!(asked, Request::Data { .. }));
    line.until(SLOT, FETCH + 100);
    let (_, by_ms, _) = line.take(|asked| matches!(asked, Request::Data { .. }));
    assert_eq!(by_ms, SLOT * 1200 + DUE);
}

#[test]
fn data_of_another_slot_or_of_another_slots_block_are_not_signed() {
    // The block of the slot before, as a node serves it that has seen none of this slot; that block
    // as one of this slot; and this slot's block in the slot before.
    let mut line = Line::of(&[1]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    let before = data('a', SLOT - 1);
    for (again, answer) in [
        (0, before),
        (20, ToyVote { slot: SLOT, ..before }),
        (40, ToyVote { slot: SLOT - 1, ..data('a', SLOT) }),
    ] {
        line.until(SLOT, FETCH + again);
        line.answer_data(Reply::Data(answer));
    }
    line.until(SLOT, DUE - 1);
    assert_eq!(line.signers(), []);
    line.asked.clear();
    line.until(SLOT, DUE);
    line.assert_ended(&[(1, missed(Reason::NodeLate))]);
}

#[test]
fn data_wait_for_their_head_and_are_asked_for_again_meanwhile() {
    // The head is told after the data, against the contract of the port.
    let mut line = Line::of(&[1]);
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!((line.signers().len(), line.data_requests()), (0, 0));
    line.until(SLOT, FETCH + 20);
    assert_eq!(line.data_requests(), 1);
    line.tell(Event::Head(head('a', SLOT)));
    assert_eq!(line.signers(), [1]);
    // The second answer changes nothing: what is signed is fixed.
    line.answer_data(Reply::Data(ToyVote { is_complete: false, ..data('a', SLOT) }));
    let (.., Request::Sign { data: signed, .. }) = line.look_sign(1) else {
        unreachable!("it was looked for")
    };
    assert_eq!((line.signers(), signed), (vec![1], data('a', SLOT)));
    line.sign(1);
    let (.., published) = line.take(|asked| matches!(asked, Request::Publish { .. }));
    let Request::Publish { votes, .. } = published else { unreachable!("it was looked for") };
    assert_eq!(votes[0].data, data('a', SLOT));

    // A head that is never told. The data are asked for at each time to try again, and only then.
    let mut line = Line::of(&[1]);
    line.until(SLOT, FETCH);
    for again in [0, 20] {
        line.until(SLOT, FETCH + again);
        line.answer_data(Reply::Data(data('a', SLOT)));
        assert_eq!(line.data_requests(), 0);
    }
    line.until(SLOT, DUE);
    line.assert_ended(&[(1, missed(Reason::UnknownHead))]);
}

#[test]
fn heads_and_payloads_that_repeat_make_no_requests_of_their_own() {
    // P6: a stream that fires without end. A slot has four requests early and four in time.
    let mut line = Line::of(&[1]);
    let mut early = 0;
    for block in 0..50 {
        line.tell(Event::Available { slot: SLOT, block });
        if line.data_requests() == 1 {
            early += 1;
            line.answer_data(Reply::NoBlock);
        }
        line.tell(Event::Available { slot: SLOT, block });
        line.tell(Event::Head(head('a', SLOT)));
        assert_eq!(line.data_requests(), 0);
    }
    assert_eq!(early, 4);
    line.until(SLOT, FETCH);
    let mut in_time = 0;
    for root in 0..50 {
        line.tell(Event::Head(Head { root, ..head('a', SLOT) }));
        for _ in 0..10 {
            line.tell(Event::Wake);
            line.tell(Event::Head(Head { root, ..head('a', SLOT) }));
        }
        if line.data_requests() == 1 {
            in_time += 1;
            line.answer_data(Reply::NoBlock);
            line.tell(Event::Head(Head { root, ..head('a', SLOT) }));
            assert_eq!(line.data_requests(), 0, "a head again is no news");
        }
    }
    assert_eq!(in_time, 4);
}
