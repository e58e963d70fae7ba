//! Tests of bytes: an accepted input is the only encoding of its value, and everything else is an
//! error.

use std::fmt::Debug;

use blocksmith_consensus::{
    AggregateAndProof, Attestation, AttesterSlashing, BeaconBlock, BeaconBlockBody,
    BeaconBlockHeader, BeaconState, Checkpoint, DecodeError, Deposit, Eth1Data, HistoricalBatch,
    IndexedAttestation, Minimal, PendingAttestation, ProposerSlashing, SignedAggregateAndProof,
    SignedBeaconBlock, SignedVoluntaryExit, Validator, Wire, decode_exact,
};
use quickcheck::{Arbitrary, Gen, QuickCheck, TestResult};

use crate::support::{advanced, attestation, complete, draft, genesis};

/// Decodes `bytes` as a `T`; returns whether the outcome is sound: an error, or the exact value.
fn sound<T: Wire + Debug + PartialEq>(bytes: &[u8]) -> bool {
    match decode_exact::<T>(bytes) {
        Err(_) => true,
        Ok(value) => {
            value.encode() == bytes
                && decode_exact::<T>(&value.encode()).is_ok_and(|again| {
                    again == value && again.hash_tree_root() == value.hash_tree_root()
                })
        }
    }
}

fn all_sound(bytes: &[u8]) -> bool {
    sound::<Checkpoint>(bytes)
        && sound::<Validator>(bytes)
        && sound::<Eth1Data>(bytes)
        && sound::<BeaconBlockHeader>(bytes)
        && sound::<Deposit>(bytes)
        && sound::<Attestation>(bytes)
        && sound::<PendingAttestation>(bytes)
        && sound::<IndexedAttestation>(bytes)
        && sound::<ProposerSlashing>(bytes)
        && sound::<AttesterSlashing>(bytes)
        && sound::<SignedVoluntaryExit>(bytes)
        && sound::<AggregateAndProof>(bytes)
        && sound::<SignedAggregateAndProof>(bytes)
        && sound::<BeaconBlockBody>(bytes)
        && sound::<BeaconBlock>(bytes)
        && sound::<SignedBeaconBlock>(bytes)
        && state_sound(bytes)
}

fn state_sound(bytes: &[u8]) -> bool {
    let batch = HistoricalBatch::<Minimal>::from_ssz_bytes(bytes);
    let state = BeaconState::<Minimal>::from_ssz_bytes(bytes);
    batch.map_or(true, |batch| batch.encode() == bytes)
        && state.map_or(true, |state| {
            state.encode() == bytes && state.hash_tree_root() == state.clone().hash_tree_root()
        })
}

/// Damages an encoding once: changes a byte, cuts out or doubles a stretch, or cuts off the end.
pub(crate) fn damage(bytes: &[u8], (kind, at, value): (u8, usize, u8)) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    let at = at % bytes.len();
    match kind % 6 {
        0 => damaged[at] = value,
        1 => damaged[at] ^= 1 << (value % 8),
        2 => damaged.truncate(at),
        3 => damaged.extend(std::iter::repeat_n(value, at % 40 + 1)),
        4 => drop(damaged.drain(at..(at + usize::from(value)).min(bytes.len()))),
        // An offset is four bytes; small values point into the fixed part.
        _ => {
            let start = at / 4 * 4 % 400 % bytes.len();
            damaged[start] = value;
        }
    }
    damaged
}

fn full_block() -> SignedBeaconBlock {
    let state = advanced(&genesis(), 2);
    let mut block = draft(&state);
    let attestation = attestation(&state);
    let indexed = IndexedAttestation {
        attesting_indices: vec![1, 5, 9].try_into().unwrap(),
        data: attestation.data.clone(),
        signature: attestation.signature,
    };
    let slashing =
        AttesterSlashing { attestation_1: indexed.clone(), attestation_2: indexed.clone() };
    block.body.attestations = vec![attestation.clone(), attestation].try_into().unwrap();
    block.body.attester_slashings = vec![slashing.clone(), slashing].try_into().unwrap();
    block.body.deposits = vec![Deposit::default()].try_into().unwrap();
    block.body.voluntary_exits = vec![SignedVoluntaryExit::default()].try_into().unwrap();
    block.body.proposer_slashings = vec![ProposerSlashing::default()].try_into().unwrap();
    complete(&state, block)
}

#[test]
fn arbitrary_bytes_are_an_error_or_the_encoding_of_their_value() {
    // Feeds random bytes to the decoder of every type.
    fn property(bytes: Vec<u8>) -> bool {
        all_sound(&bytes)
    }
    QuickCheck::new().tests(500).quickcheck(property as fn(Vec<u8>) -> bool);
}

#[test]
fn a_damaged_block_is_an_error_or_the_encoding_of_its_value() {
    // Damages a block that carries every operation, up to four times over.
    let encoding = full_block().encode();
    assert!(sound::<SignedBeaconBlock>(&encoding));
    assert!(decode_exact::<SignedBeaconBlock>(&encoding).is_ok());
    let property = move |damages: Vec<(u8, usize, u8)>| {
        let mut bytes = encoding.clone();
        for step in damages.into_iter().take(4) {
            if bytes.is_empty() {
                return TestResult::discard();
            }
            bytes = damage(&bytes, step);
        }
        TestResult::from_bool(sound::<SignedBeaconBlock>(&bytes))
    };
    check_closure(property, 3_000);
}

#[test]
fn a_damaged_state_is_an_error_or_the_encoding_of_its_value() {
    // Damages a state that holds pending attestations, above all its lengths and offsets.
    let state = advanced(&genesis(), 2);
    let mut block = draft(&state);
    block.body.attestations = vec![attestation(&state)].try_into().unwrap();
    let mut post = state.clone();
    let signed = complete(&state, block);
    blocksmith_consensus::verify_and_process_block(
        &mut post,
        &signed,
        Default::default(),
        &crate::support::config(),
    )
    .unwrap();
    let encoding = post.encode();
    assert!(BeaconState::<Minimal>::from_ssz_bytes(&encoding).is_ok());
    let property =
        move |step: (u8, usize, u8)| TestResult::from_bool(state_sound(&damage(&encoding, step)));
    check_closure(property, 300);
}

/// Runs a property that captures its example; `quickcheck` itself takes functions only.
pub(crate) fn check_closure<T: Arbitrary + Debug>(
    property: impl Fn(T) -> TestResult,
    tests: usize,
) {
    let mut generator = Gen::new(6);
    for _ in 0..tests {
        let input = T::arbitrary(&mut generator);
        assert!(!property(input.clone()).is_failure(), "damage {input:?}");
    }
}

#[test]
fn a_first_offset_that_is_not_the_fixed_length_is_an_error() {
    // Moves the only offset of an attestation up and down by one.
    let attestation = full_block().message.body.attestations[0].clone();
    for change in [1i64, -1] {
        let mut bytes = attestation.encode();
        bytes[0] = (i64::from(bytes[0]) + change) as u8;
        let error = decode_exact::<Attestation>(&bytes).unwrap_err();
        assert!(matches!(error, DecodeError::FirstOffset { .. }), "{error}");
    }
}

#[test]
fn an_offset_beyond_the_input_or_before_its_predecessor_is_an_error() {
    // Sets the second offset of an attester slashing to values on both sides of the legal range.
    let slashing = full_block().message.body.attester_slashings[0].clone();
    for offset in [0u32, 7, u32::MAX] {
        let mut bytes = slashing.encode();
        bytes[4..8].copy_from_slice(&offset.to_le_bytes());
        let error = decode_exact::<AttesterSlashing>(&bytes).unwrap_err();
        assert!(matches!(error, DecodeError::Offset { .. }), "{error}");
    }
}

#[test]
fn a_bit_list_without_delimiter_or_beyond_its_limit_is_an_error() {
    // Ends the bits with a zero byte, then gives 2049 of them.
    let mut bytes = Attestation::default().encode();
    *bytes.last_mut().unwrap() = 0;
    assert_eq!(decode_exact::<Attestation>(&bytes).unwrap_err(), DecodeError::Bitlist);
    bytes.pop();
    bytes.extend([0; 256]);
    bytes.push(0b10);
    let limit = DecodeError::Limit { length: 2049, limit: 2048 };
    assert_eq!(decode_exact::<Attestation>(&bytes).unwrap_err(), limit);
}

#[test]
fn a_list_beyond_its_limit_is_an_error_before_it_is_built() {
    // Gives 2049 attesting indices.
    let mut bytes = IndexedAttestation::default().encode();
    bytes.extend([0; 2049 * 8]);
    let limit = DecodeError::Limit { length: 2049, limit: 2048 };
    assert_eq!(decode_exact::<IndexedAttestation>(&bytes).unwrap_err(), limit);
}

#[test]
fn a_state_is_appended_as_it_is_encoded() {
    // Appends to a buffer that is not empty: offsets count from the state's own first byte.
    let state = genesis();
    let mut buffer = vec![7; 13];
    state.append_ssz(&mut buffer);
    assert_eq!(buffer[13..], state.encode());
    assert!(BeaconState::<Minimal>::from_ssz_bytes(&buffer[13..]).is_ok());
}

#[test]
fn justification_bits_beyond_the_fourth_are_an_error() {
    // Sets the fifth bit in the encoding of a state.
    let mut state = genesis();
    state.justification_bits = 0b1_0000;
    assert!(BeaconState::<Minimal>::from_ssz_bytes(&state.encode()).is_err());
    state.justification_bits = 0b1111;
    assert!(BeaconState::<Minimal>::from_ssz_bytes(&state.encode()).is_ok());
}
