//! A signer with a clock, and clients that would bar its keys.

use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::signer::horizon::Horizon;
use crate::signer::horizon::tests::ManualClock;

const SLOT_MS: u64 = 2_000;

/// A signer whose clocks begin in a slot; the chain begins with the Unix epoch.
fn in_slot(slot: u64) -> (Running, ManualClock) {
    let clock = ManualClock::default();
    clock.system.store(slot * SLOT_MS, Relaxed);
    let horizon = Horizon::new(Box::new(clock.clone()), 0, SLOT_MS);
    (Running::with(Parts { horizon: Some(horizon), ..Parts::default() }), clock)
}

#[test]
fn what_lies_far_ahead_is_refused_and_leaves_no_record() {
    // In slot 12, of epoch 1. The first requests would bind the records to another chain.
    let (running, _) = in_slot(12);
    let other = Root::new([9; 32]).to_string();
    for body in [vote_request(0, 3, 1), block_request(21, 1)] {
        let elsewhere = body.replace(&GENESIS.to_string(), &other);
        for body in [elsewhere, body] {
            let message = refused(&running.sign(0, &body), 412);
            assert!(message.contains("more than an epoch ahead of the clock"), "{message}");
        }
    }
    assert_eq!(running.count(Some("ATTESTATION"), Answered::Refused), 2);
    assert_eq!(running.count(Some("BLOCK_V2"), Answered::Refused), 2);
    assert_eq!(running.signer.counters().expect("running").requests(), 0);
    let (_, text) = running.get("/metrics");
    let line = r#"blocksmith_signer_refused_total{rule="too_far_ahead"} 4"#;
    assert!(text.lines().any(|it| it == line), "{text}");
    // No key is barred: what comes next is signed, up to an epoch ahead.
    for body in
        [vote_request(0, 1, 1), vote_request(1, 2, 1), block_request(12, 1), block_request(20, 1)]
    {
        signature(&running.sign(0, &body));
    }
}

#[test]
fn a_signer_without_a_clock_signs_what_lies_far_ahead() {
    // What its clients say decides alone; the key's next vote is barred.
    let running = Running::start();
    signature(&running.sign(0, &vote_request(1, 1 << 40, 1)));
    refused(&running.sign(0, &vote_request(2, 3, 1)), 412);
}

#[test]
fn what_can_never_be_slashable_is_signed_for_any_time() {
    // A selection proof and a reveal, far ahead: they leave no record.
    let (running, _) = in_slot(0);
    for (kind, name, object) in [
        ("AGGREGATION_SLOT", "aggregation_slot", r#"{"slot":"9000"}"#),
        ("RANDAO_REVEAL", "randao_reveal", r#"{"epoch":"9000"}"#),
    ] {
        signature(&running.sign(0, &request(kind, name, object, "")));
    }
}

#[test]
fn a_vote_on_a_payload_far_ahead_is_refused_and_one_of_now_is_signed_again() {
    // In slot 12. It is never slashable: the same and another vote of a slot are signed.
    let (running, _) = in_slot(12);
    let vote = |slot: u64, present: bool| {
        let data = format!(
            r#"{{"beacon_block_root":"{}","slot":"{slot}","payload_present":{present},
            "blob_data_available":false}}"#,
            Root::new([4; 32])
        );
        request("PAYLOAD_ATTESTATION_MESSAGE", "payload_attestation_message", &data, "")
    };
    for (slot, present) in [(12, true), (12, true), (12, false), (20, true), (3, true)] {
        signature(&running.sign(0, &vote(slot, present)));
    }
    let message = refused(&running.sign(0, &vote(21, true)), 412);
    assert!(message.contains("slot 21 of the payload is more than an epoch ahead"), "{message}");
    let kind = Some("PAYLOAD_ATTESTATION_MESSAGE");
    assert_eq!(running.count(kind, Answered::Refused), 1);
    assert_eq!(running.signer.counters().expect("running").requests(), 0, "nothing is recorded");
}

#[test]
fn a_duty_is_signed_though_the_clock_has_stepped_back() {
    // The system's clock goes back by a hundred slots, and four more pass; then it is set right.
    let (running, clock) = in_slot(200);
    clock.system.fetch_sub(100 * SLOT_MS, Relaxed);
    let pass = |slots: u64| {
        clock.system.fetch_add(slots * SLOT_MS, Relaxed);
        clock.steady.fetch_add(slots * SLOT_MS, Relaxed);
    };
    pass(4);
    signature(&running.sign(0, &block_request(204, 1)));
    signature(&running.sign(0, &vote_request(24, 25, 1)));
    clock.system.fetch_add(100 * SLOT_MS, Relaxed);
    pass(8);
    signature(&running.sign(0, &block_request(212, 1)));
    signature(&running.sign(0, &vote_request(25, 26, 1)));
    refused(&running.sign(0, &block_request(221, 1)), 412);
}
