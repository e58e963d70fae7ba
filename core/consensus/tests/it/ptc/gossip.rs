//! The conditions of the topic, each by itself, and which comes before which.

use blocksmith_consensus::gloas::{
    GossipClass, GossipClock, PayloadAttestationError, PayloadAttestationMessage,
    PayloadGossipError, PtcWindow, VotedBlock, validate_payload_attestation_message,
};
use blocksmith_consensus::{Minimal, Root, Signatures};

use super::{data, outsider, signature, state_at, with_several_places};
use crate::support::{State, VALIDATORS};

const ROOT: Root = Root::new([0x55; 32]);
const SLOT: u64 = 11;
const GENESIS_MS: u64 = 1_606_824_000_000;
const SLOT_MS: u64 = 6_000;

/// A clock that shows so many milliseconds after the beginning of `SLOT`.
fn clock(into_slot_ms: i64) -> GossipClock {
    let start = GENESIS_MS + SLOT * SLOT_MS;
    let now_ms = start.checked_add_signed(into_slot_ms).unwrap();
    GossipClock { genesis_ms: GENESIS_MS, slot_ms: SLOT_MS, now_ms }
}

/// A vote that passes, with the state after its block.
fn vote() -> (PayloadAttestationMessage, State, PtcWindow<Minimal>) {
    let (state, window) = state_at(SLOT);
    let (validator_index, _) = with_several_places(&state, &window, SLOT);
    let data = data(ROOT, SLOT);
    let signature = signature(&state, &data, &[validator_index]);
    (PayloadAttestationMessage { validator_index, data, signature }, state, window)
}

fn validate(
    message: &PayloadAttestationMessage,
    clock: GossipClock,
    is_seen: bool,
    block: VotedBlock<'_, Minimal>,
) -> Result<(), PayloadGossipError> {
    validate_payload_attestation_message(message, clock, is_seen, block, &mut Signatures::Verify)
}

#[test]
fn the_first_condition_that_fails_decides() {
    // Breaks the last condition, then the one before it as well, and so on up to the first.
    let (mut message, mut state, window) = vote();
    let ptc_outsider = outsider(&state, &window, SLOT);
    let voter = message.validator_index;
    let valid = VotedBlock::Valid { state: &state, window: &window };
    assert_eq!(validate(&message, clock(0), false, valid), Ok(()));

    message.data.payload_present = false;
    let error = PayloadAttestationError::Signature { attesters: 1 };
    assert_eq!(validate(&message, clock(0), false, valid), Err(error.into()));
    message.validator_index = ptc_outsider;
    let error = PayloadGossipError::NotInCommittee { index: ptc_outsider };
    assert_eq!(validate(&message, clock(0), false, valid), Err(error));
    message.validator_index = VALIDATORS;
    let (index, count) = (VALIDATORS, VALIDATORS as usize);
    let error = PayloadGossipError::UnknownValidator { index, count };
    assert_eq!(validate(&message, clock(0), false, valid), Err(error));

    state.slot = SLOT - 1;
    let earlier = VotedBlock::Valid { state: &state, window: &window };
    let error = PayloadGossipError::BlockSlot { slot: SLOT, block: SLOT - 1 };
    assert_eq!(validate(&message, clock(0), false, earlier), Err(error));
    let invalid = PayloadGossipError::InvalidBlock(ROOT);
    assert_eq!(validate(&message, clock(0), false, VotedBlock::Invalid), Err(invalid));
    let unseen = PayloadGossipError::UnknownBlock(ROOT);
    assert_eq!(validate(&message, clock(0), false, VotedBlock::Unseen), Err(unseen));
    let second = PayloadGossipError::SecondVote { index: VALIDATORS, slot: SLOT };
    for block in [VotedBlock::Unseen, VotedBlock::Invalid, earlier] {
        assert_eq!(validate(&message, clock(0), true, block), Err(second.clone()));
    }
    let late = PayloadGossipError::NotCurrentSlot(SLOT);
    assert_eq!(validate(&message, clock(6_501), true, VotedBlock::Unseen), Err(late));
    assert_ne!(voter, ptc_outsider);
}

#[test]
fn a_vote_is_of_the_current_slot_on_the_clock_of_some_honest_peer() {
    // Half a second before the slot begins and after it ends, and a millisecond beyond each.
    let (message, state, window) = vote();
    let block = VotedBlock::Valid { state: &state, window: &window };
    for (into_slot_ms, passes) in
        [(-501, false), (-500, true), (0, true), (6_000, true), (6_500, true), (6_501, false)]
    {
        let outcome = validate(&message, clock(into_slot_ms), false, block);
        let expected = if passes { Ok(()) } else { Err(PayloadGossipError::NotCurrentSlot(SLOT)) };
        assert_eq!(outcome, expected, "{into_slot_ms} ms into the slot");
    }
}

#[test]
fn a_slot_that_no_clock_can_show_is_not_the_current_one() {
    // The last slot of all, on a clock at its end, and slots of the longest length.
    let (mut message, state, window) = vote();
    message.data.slot = u64::MAX;
    let block = VotedBlock::Valid { state: &state, window: &window };
    for slot_ms in [0, 1, SLOT_MS, u64::MAX] {
        let clock = GossipClock { genesis_ms: GENESIS_MS, slot_ms, now_ms: u64::MAX };
        let outcome = validate(&message, clock, false, block);
        assert!(outcome.is_err(), "{slot_ms} ms");
    }
    let clock = GossipClock { genesis_ms: 1, slot_ms: 1, now_ms: u64::MAX };
    assert!(!clock.is_current_slot(u64::MAX) && clock.is_current_slot(u64::MAX - 2));
}

#[test]
fn each_reason_has_the_class_that_the_specification_gives_it() {
    // Where a peer is not to blame it must not be punished; only an unknown block is awaited.
    use PayloadGossipError as Error;
    let (index, slot) = (3, SLOT);
    let signature = PayloadAttestationError::Signature { attesters: 1 };
    let expected = [
        (Error::NotCurrentSlot(slot), GossipClass::Ignore, "not_current_slot"),
        (Error::SecondVote { index, slot }, GossipClass::Ignore, "second_vote"),
        (Error::UnknownBlock(ROOT), GossipClass::Await, "unknown_block"),
        (Error::InvalidBlock(ROOT), GossipClass::Reject, "invalid_block"),
        (Error::BlockSlot { slot, block: 1 }, GossipClass::Ignore, "block_of_another_slot"),
        (Error::UnknownValidator { index, count: 2 }, GossipClass::Reject, "unknown_validator"),
        (Error::NotInCommittee { index }, GossipClass::Reject, "not_in_committee"),
        (Error::Signature(signature), GossipClass::Reject, "bad_signature"),
    ];
    for (error, class, reason) in expected {
        assert_eq!((error.class(), error.reason()), (class, reason), "{error}");
    }
}
