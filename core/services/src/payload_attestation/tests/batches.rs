//! Signatures, batches, and publications that fail.

use super::*;

/// A line whose data came at their time, and whose signers are asked.
fn fetched(validators: &[ValidatorIndex]) -> Line {
    let mut line = Line::of(validators);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!(line.signers(), validators);
    line
}

#[test]
fn what_is_asked_of_the_signers_when_a_batch_leaves_is_for_the_next_one() {
    // A first request for data is never answered. The data come at the very time of the first
    // batch, and one of two signatures soon after it.
    let mut line = Line::of(&[1, 2]);
    line.tell(Event::Head(head('a', SLOT)));
    line.until(SLOT, FETCH);
    line.take(|asked| matches!(asked, Request::Data { .. }));
    line.until(SLOT, GATHER);
    assert_eq!((line.machine.requests(), line.asked.len()), (1, 1));
    line.answer_data(Reply::Data(data('a', SLOT)));
    assert_eq!((line.machine.requests(), line.asked.len()), (2, 2));
    line.sign(1);
    line.until(SLOT, DUE - 1);
    assert_eq!(line.batches(), [[0; 0]; 0]);
    line.until(SLOT, DUE);
    assert_eq!(line.batches(), [[1]]);
}

#[test]
fn one_request_for_data_and_one_publication_serve_every_validator() {
    // A hundred validators, whose signers answer within a tenth of a second, in reverse.
    let validators: Vec<_> = (1..=100).collect();
    let mut line = fetched(&validators);
    line.until(SLOT, FETCH + 40);
    for validator in validators.iter().rev() {
        assert!(line.batches().is_empty());
        line.sign(*validator);
    }
    assert_eq!(line.batches(), [&validators[..]]);
    line.until(SLOT, FETCH + 50);
    line.answer_publish(all_taken());
    let lead = (DUE - FETCH - 40).cast_signed();
    assert!(line.ended.iter().all(|(_, how)| *how == sent(lead)));
    assert_eq!((line.ended.len(), line.began.len(), line.asked.len()), (100, 100, 0));
    let of = |step| line.took.iter().filter(|(of, _)| *of == step).collect::<Vec<_>>();
    assert_eq!(of(Step::Fetch), [&(Step::Fetch, 0)]);
    assert_eq!((of(Step::Sign).len(), of(Step::Sign)[0].1), (100, 40));
    assert_eq!(of(Step::Publish), [&(Step::Publish, 10)]);
}

#[test]
fn what_is_signed_leaves_before_the_deadline_and_the_rest_once_more() {
    // V7: one signer answers at once, one after the deadline, one never.
    let mut line = fetched(&[1, 2, 3]);
    line.sign(1);
    line.until(SLOT, GATHER - 1);
    assert!(line.batches().is_empty());
    line.until(SLOT, GATHER);
    assert_eq!(line.batches(), [[1]]);
    line.answer_publish(all_taken());
    line.until(SLOT, DUE + 50);
    line.sign(2);
    assert!(line.batches().is_empty(), "it waits for the other one, for a while");
    line.until(SLOT, LATE);
    assert_eq!(line.batches(), [[2]]);
    line.answer_publish(all_taken());
    let lead = (DUE - GATHER).cast_signed();
    let late = DUE.cast_signed() - LATE.cast_signed();
    line.assert_ended(&[(1, sent(lead)), (3, missed(Reason::SignerLate)), (2, sent(late))]);
    assert_eq!(line.machine.requests(), 0, "nobody waits for the dead signer any more");
}

#[test]
fn the_late_batch_does_not_wait_for_a_signer_that_rests() {
    // 1's signer has failed just before, and would be asked again after the late batch's time.
    let mut line = fetched(&[1, 2]);
    line.until(SLOT, LATE - 5);
    line.answer_sign(1, Reply::Failed);
    line.sign(2);
    line.until(SLOT, LATE - 1);
    assert!(line.batches().is_empty());
    line.now += 1;
    line.tell(Event::Wake);
    assert_eq!(line.batches(), [[2]]);
}

#[test]
fn what_is_signed_after_the_first_batch_and_by_the_deadline_leaves_by_it() {
    // Signed between the first time and the deadline; a dead signer keeps the batch open.
    let mut line = fetched(&[1, 2, 3]);
    line.sign(1);
    line.until(SLOT, GATHER);
    line.answer_publish(all_taken());
    line.until(SLOT, DUE - 1);
    line.sign(2);
    assert!(line.batches().is_empty());
    line.until(SLOT, DUE);
    assert_eq!(line.batches(), [[2]]);
    line.answer_publish(all_taken());
    line.assert_ended(&[(1, sent(50)), (2, sent(0))]);
}

#[test]
fn votes_on_data_that_came_early_do_not_wait_for_a_dead_signer_until_the_deadline() {
    // The payload is there at the start of the slot; what is signed leaves within `gather_ms`.
    let mut line = Line::at(SLOT * 1200 - 1200, &[1, 2]);
    line.machine = PayloadAttestation::new(TOY, Limits { gather_ms: 100, ..limits() });
    line.set_validators(&[1, 2]);
    line.until(SLOT, 200);
    line.tell(Event::Head(head('a', SLOT)));
    line.tell(Event::Available { slot: SLOT, block: head('a', SLOT).root });
    line.answer_data(Reply::Data(data('a', SLOT)));
    line.sign(1);
    line.until(SLOT, 299);
    assert!(line.batches().is_empty());
    line.until(SLOT, 300);
    assert_eq!(line.batches(), [[1]]);
}

#[test]
fn early_votes_leave_within_a_window_and_later_ones_at_the_times_of_the_slot() {
    // Nothing is signed in the first window of 100 ms; one vote in the second, and one after it.
    let mut line = Line::at(SLOT * 1200 - 1200, &[1, 2, 3]);
    line.machine = PayloadAttestation::new(TOY, Limits { gather_ms: 100, ..limits() });
    line.set_validators(&[1, 2, 3]);
    line.until(SLOT, 200);
    line.tell(Event::Head(head('a', SLOT)));
    line.tell(Event::Available { slot: SLOT, block: head('a', SLOT).root });
    line.answer_data(Reply::Data(data('a', SLOT)));
    line.until(SLOT, 350);
    line.sign(1);
    line.until(SLOT, 399);
    assert!(line.batches().is_empty());
    line.until(SLOT, 400);
    assert_eq!(line.batches(), [[1]]);
    line.answer_publish(all_taken());
    line.until(SLOT, 410);
    line.sign(2);
    line.until(SLOT, GATHER - 1);
    assert!(line.batches().is_empty());
    line.until(SLOT, GATHER);
    assert_eq!(line.batches(), [[2]]);
}

#[test]
fn a_vote_that_has_ended_stays_so_whatever_is_answered() {
    // 1 is being signed and 2 is on its way when both are taken away. Then the signer fails, and
    // the publication succeeds, fails, or says that nobody took it.
    for reply in [all_taken(), Reply::Failed, Reply::NotTaken] {
        let mut line = fetched(&[1, 2]);
        line.sign(2);
        line.until(SLOT, GATHER);
        assert_eq!(line.batches(), [[2]]);
        line.tell(Event::Validators(Vec::new()));
        line.answer_sign(1, Reply::Failed);
        line.answer_publish(reply);
        line.until(SLOT, LATE);
        assert_eq!((line.signers().len(), line.batches().len()), (0, 0));
        line.assert_ended(&[(1, missed(Reason::Removed)), (2, missed(Reason::Removed))]);
    }
}

#[test]
fn a_first_batch_that_would_be_empty_waits_for_the_next_time() {
    // Nobody has signed at the first time; one has at the deadline, and leaves then.
    let mut line = fetched(&[1, 2]);
    line.until(SLOT, GATHER + 10);
    line.sign(1);
    assert!(line.batches().is_empty());
    line.until(SLOT, DUE);
    assert_eq!(line.batches(), [[1]]);
}

#[test]
fn a_signer_that_fails_is_asked_again_for_the_same_data_as_often_as_is_tolerated() {
    // Two failures; the third is the last. A signature after a failure counts.
    let mut line = fetched(&[1, 2]);
    let (.., first) = line.look_sign(1);
    for rest in [20, 40] {
        line.answer_sign(1, Reply::Failed);
        line.until(SLOT, line.now - SLOT * 1200 + rest - 1);
        assert!(!line.signers().contains(&1), "it rests");
        line.until(SLOT, line.now - SLOT * 1200 + 1);
        assert_eq!(line.look_sign(1).2, first);
    }
    line.answer_sign(1, Reply::Failed);
    line.answer_sign(2, Reply::Failed);
    line.until(SLOT, line.now - SLOT * 1200 + 20);
    line.sign(2);
    assert_eq!(line.batches(), [[2]]);
    line.assert_ended(&[(1, missed(Reason::SignerFailed))]);
}

#[test]
fn a_signer_that_refuses_or_does_not_know_the_key_ends_the_duty() {
    // And answers of another kind are failures.
    let mut line = fetched(&[1, 2, 3]);
    line.answer_sign(1, Reply::Refused);
    line.answer_sign(2, Reply::UnknownKey);
    line.answer_sign(3, Reply::NoBlock);
    let unknown = (2, missed(Reason::UnknownKey));
    line.assert_ended(&[(1, missed(Reason::SignerRefused)), unknown]);
    assert_eq!(line.machine.counters().malformed, 1);
    line.until(SLOT, FETCH + 20);
    assert_eq!(line.signers(), [3]);
}

#[test]
fn a_publication_that_fails_is_made_again_and_counts_only_when_it_is_confirmed() {
    // P7: no answer, then a failure, then a confirmation. The lead is that of the first.
    let mut line = fetched(&[1]);
    line.sign(1);
    let at = line.now;
    line.until(SLOT, FETCH + 60);
    let (lost, ..) = line.take(|asked| matches!(asked, Request::Publish { .. }));
    assert!(line.ended.is_empty(), "it is not sent before it is confirmed");
    line.until(SLOT, FETCH + 80);
    line.answer_publish(Reply::Failed);
    line.until(SLOT, FETCH + 120);
    line.answer_publish(all_taken());
    line.assert_ended(&[(1, sent((SLOT * 1200 + DUE - at).cast_signed()))]);
    // The first request's answer is late: it changes nothing.
    line.tell(Event::Reply { request: lost, reply: Reply::Published { refused: vec![1] } });
    assert_eq!((line.ended.len(), line.machine.counters().stray), (1, 1));
}

#[test]
fn a_publication_that_fails_is_made_again_though_a_signer_hangs() {
    // 3's signer hangs. 1's vote does not wait for it a second time; 2's, which is signed when that
    // vote has arrived, waits for the next time of the slot.
    let mut line = fetched(&[1, 2, 3]);
    line.sign(1);
    line.until(SLOT, GATHER);
    line.answer_publish(Reply::Failed);
    line.until(SLOT, GATHER + 20);
    assert_eq!(line.batches(), [[1]]);
    line.answer_publish(all_taken());
    line.sign(2);
    line.until(SLOT, DUE - 1);
    assert!(line.batches().is_empty());
    line.until(SLOT, DUE);
    assert_eq!(line.batches(), [[2]]);
}

#[test]
fn a_publication_is_tried_as_often_as_is_tolerated() {
    // Three failures end the duty. Those of its signer do not count.
    let mut line = fetched(&[1]);
    for rest in [20, 40] {
        line.answer_sign(1, Reply::Failed);
        line.until(SLOT, line.now - SLOT * 1200 + rest);
    }
    line.sign(1);
    for rest in [20, 40, 80] {
        assert!(line.ended.is_empty());
        line.answer_publish(Reply::Failed);
        line.until(SLOT, line.now - SLOT * 1200 + rest);
    }
    assert!(line.batches().is_empty());
    line.assert_ended(&[(1, missed(Reason::PublishFailed))]);
}

#[test]
fn a_vote_that_no_node_took_is_published_again_until_the_deadline_and_after_it() {
    // Every node refuses at once until the deadline. Data and signature come early in the slot.
    let mut line = Line::at(SLOT * 1200 - 1200, &[1]);
    line.machine = PayloadAttestation::new(TOY, Limits { attempts: 20, ..limits() });
    line.set_validators(&[1]);
    line.until(SLOT, 0);
    line.tell(Event::Head(head('a', SLOT)));
    line.tell(Event::Available { slot: SLOT, block: head('a', SLOT).root });
    line.answer_data(Reply::Data(data('a', SLOT)));
    line.sign(1);
    let mut tries = Vec::new();
    while line.now < SLOT * 1200 + DUE {
        if !line.batches().is_empty() {
            tries.push(line.now - SLOT * 1200);
            line.answer_publish(Reply::NotTaken);
            assert!(line.batches().is_empty(), "it rests");
        }
        let next = line.machine.wake_at().expect("after genesis");
        line.until(SLOT, next - SLOT * 1200);
    }
    assert_eq!(tries, [0, 20, 60, 140, 300, 460, 620, 780]);
    // A try at the deadline, whatever the rest; and one after it. The lead is that of the last.
    line.answer_publish(Reply::NotTaken);
    line.until(SLOT, DUE + 160);
    line.answer_publish(all_taken());
    line.assert_ended(&[(1, sent(-160))]);
}

#[test]
fn a_vote_that_no_node_took_is_refused_by_a_refusal() {
    // P4: nothing has arrived, so what is refused then is not known already. With a failure
    // between the two, it may be.
    for (answers, how) in [
        (vec![Reply::NotTaken], missed(Reason::PublishRefused)),
        (vec![Reply::Failed, Reply::NotTaken], sent((DUE - FETCH).cast_signed())),
    ] {
        let mut line = fetched(&[1]);
        line.sign(1);
        for answer in answers {
            line.answer_publish(answer);
            line.until(SLOT, line.now - SLOT * 1200 + 40);
        }
        line.answer_publish(Reply::Published { refused: vec![1] });
        line.assert_ended(&[(1, how)]);
    }
}

#[test]
fn the_attempts_of_a_slot_last_until_it_ends() {
    // Failures that come at once, from the first moment of a slot of 12 s on.
    let limits = Limits::default();
    let rests = (1..limits.attempts).map(|failures| limits.rest_ms(failures));
    assert!(rests.sum::<u64>() >= 12_000);
    assert_eq!(limits.rest_ms(0), 100);
    assert_eq!(limits.rest_ms(u8::MAX), 800);
}

#[test]
fn a_refusal_is_a_success_only_if_the_vote_may_have_arrived_before() {
    // P4: the answer for 1 and 2 is lost. On the second try both are refused, with 3, which was
    // signed meanwhile.
    let mut line = fetched(&[1, 2, 3]);
    line.sign(1);
    line.sign(2);
    line.until(SLOT, GATHER);
    line.answer_publish(Reply::Failed);
    line.sign(3);
    assert!(line.batches().is_empty(), "it rests");
    line.until(SLOT, GATHER + 20);
    assert_eq!(line.batches(), [[1, 2, 3]]);
    line.answer_publish(Reply::Published { refused: vec![3, 2, 1] });
    let lead = (DUE - GATHER).cast_signed();
    let refused = (3, missed(Reason::PublishRefused));
    line.assert_ended(&[(1, sent(lead)), (2, sent(lead)), refused]);
}

#[test]
fn a_vote_whose_validator_is_taken_away_does_not_leave() {
    // 1 is gone before it has signed, 2 may no longer sign, 3 has another key.
    let mut line = fetched(&[1, 2, 3, 4]);
    line.sign(2);
    let of = |(index, key, may_sign)| Validator { index, key, may_sign };
    let now = [(2, 2, false), (3, 9, true), (4, 4, true)].map(of);
    line.tell(Event::Validators(now.to_vec()));
    line.sign(1);
    line.sign(4);
    assert_eq!(line.batches(), [[4]]);
    line.assert_ended(&[
        (1, missed(Reason::Removed)),
        (2, missed(Reason::MayNotSign)),
        (3, missed(Reason::Removed)),
    ]);
}

#[test]
fn the_slots_end_ends_what_is_not_confirmed() {
    // 2 rests after a failure of its signer and 3's has not answered when the late batch leaves;
    // 1 is on its way, and no node answers.
    let mut line = fetched(&[1, 2, 3]);
    line.until(SLOT, LATE - 5);
    line.sign(1);
    line.answer_sign(2, Reply::Failed);
    line.until(SLOT + 1, 0);
    line.assert_ended(&[
        (3, missed(Reason::SignerLate)),
        (2, missed(Reason::SignerFailed)),
        (1, missed(Reason::PublishLate)),
    ]);
}
