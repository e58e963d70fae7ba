//! The bytes of votes: an accepted input is the only encoding of its value, everything else is an
//! error, and nothing allocates beyond a small multiple of its input.

use blocksmith_consensus::gloas::{
    BitVector, IndexedPayloadAttestation, PayloadAttestation, PayloadAttestationData,
    PayloadAttestationMessage, PtcWindow,
};
use blocksmith_consensus::{
    DecodeError, FromJson, HashTree, Json, Mainnet, Minimal, Preset, Root, SignatureBytes, Wire,
    decode_exact,
};
use quickcheck::{QuickCheck, TestResult};

use super::data;
use crate::allocation::{check, excess, hostile};
use crate::bytes::{check_closure, damage};

fn message() -> PayloadAttestationMessage {
    let (data, signature) = (data(Root::new([3; 32]), 77), SignatureBytes::new([9; 96]));
    PayloadAttestationMessage { validator_index: 5, data, signature }
}

fn aggregate<P: Preset>() -> PayloadAttestation<P> {
    let mut aggregation_bits = BitVector::default();
    for place in [0, 5, P::PTC_SIZE - 1] {
        assert!(aggregation_bits.set(place, true));
    }
    let PayloadAttestationMessage { data, signature, .. } = message();
    PayloadAttestation { aggregation_bits, data, signature }
}

fn indexed<P: Preset>(count: u64) -> IndexedPayloadAttestation<P> {
    let PayloadAttestationMessage { data, signature, .. } = message();
    let attesting_indices = (0..count).collect::<Vec<_>>().try_into().unwrap();
    IndexedPayloadAttestation { attesting_indices, data, signature }
}

/// Whether each decoder finds an error, or a value whose encoding is `bytes`.
fn all_sound(bytes: &[u8]) -> bool {
    fn of_preset<P: Preset>(bytes: &[u8]) -> bool {
        let aggregate = PayloadAttestation::<P>::from_ssz_bytes(bytes);
        let indexed = IndexedPayloadAttestation::<P>::from_ssz_bytes(bytes);
        let bits = BitVector::<P::PtcSize>::from_ssz_bytes(bytes);
        let window = PtcWindow::<P>::from_ssz_bytes(bytes);
        aggregate.is_ok_and(|value| value.encode() != bytes)
            || indexed.is_ok_and(|value| value.encode() != bytes)
            || bits.is_ok_and(|value| value.as_bytes() != bytes)
            || window.is_ok_and(|value| value.encode() != bytes)
    }
    let data = decode_exact::<PayloadAttestationData>(bytes);
    let message = decode_exact::<PayloadAttestationMessage>(bytes);
    let unsound = data.is_ok_and(|value| value.encode() != bytes)
        || message.is_ok_and(|value| value.encode() != bytes)
        || of_preset::<Minimal>(bytes)
        || of_preset::<Mainnet>(bytes);
    !unsound
}

#[test]
fn arbitrary_bytes_are_an_error_or_the_encoding_of_their_votes() {
    // Feeds random bytes, and encodings that are damaged up to four times over, to every decoder.
    fn property(bytes: Vec<u8>) -> bool {
        all_sound(&bytes)
    }
    QuickCheck::new().tests(500).quickcheck(property as fn(Vec<u8>) -> bool);
    let encodings = [
        message().encode(),
        aggregate::<Minimal>().encode(),
        aggregate::<Mainnet>().encode(),
        indexed::<Minimal>(16).encode(),
        indexed::<Mainnet>(3).encode(),
    ];
    for encoding in encodings {
        assert!(all_sound(&encoding));
        let property = |damages: Vec<(u8, usize, u8)>| {
            let mut bytes = encoding.clone();
            for step in damages.into_iter().take(4) {
                if bytes.is_empty() {
                    return TestResult::discard();
                }
                bytes = damage(&bytes, step);
            }
            TestResult::from_bool(all_sound(&bytes))
        };
        check_closure(property, 500);
    }
}

#[test]
fn votes_decode_from_their_encoding() {
    // Every type, at both presets; the message also from its form in the beacon API.
    let value = message();
    assert_eq!(decode_exact::<PayloadAttestationMessage>(&value.encode()), Ok(value));
    assert_eq!(PayloadAttestationMessage::from_json_text(value.to_json().as_bytes()), Ok(value));
    let bytes = aggregate::<Mainnet>().encode();
    assert_eq!(bytes.len(), 64 + 42 + 96);
    assert_eq!(PayloadAttestation::from_ssz_bytes(&bytes), Ok(aggregate::<Mainnet>()));
    let bytes = indexed::<Minimal>(16).encode();
    assert_eq!(bytes.len(), 4 + 42 + 96 + 16 * 8);
    assert_eq!(IndexedPayloadAttestation::from_ssz_bytes(&bytes), Ok(indexed::<Minimal>(16)));
}

#[test]
fn more_voters_than_places_are_an_error_before_they_are_built() {
    // Gives 17 indices to a committee of 16 places, and moves the only offset by one.
    let mut bytes = indexed::<Minimal>(16).encode();
    bytes.extend([0; 8]);
    let error = IndexedPayloadAttestation::<Minimal>::from_ssz_bytes(&bytes).unwrap_err();
    assert_eq!(error, DecodeError::Limit { length: 17, limit: 16 });
    bytes.truncate(142);
    bytes[0] += 1;
    let error = IndexedPayloadAttestation::<Minimal>::from_ssz_bytes(&bytes).unwrap_err();
    assert_eq!(error, DecodeError::FirstOffset { provided: 143, expected: 142 });
}

#[test]
fn a_boolean_is_zero_or_one() {
    // The two booleans are the last bytes of the data.
    let mut bytes = message().data.encode();
    for at in [40, 41] {
        let before = std::mem::replace(&mut bytes[at], 2);
        assert!(decode_exact::<PayloadAttestationData>(&bytes).is_err());
        bytes[at] = before;
    }
    assert!(decode_exact::<PayloadAttestationData>(&bytes).is_ok());
}

#[test]
fn votes_allocate_no_more_than_a_multiple_of_their_bytes() {
    // Sends hostile bytes in place of every type.
    check("PayloadAttestationMessage", &message());
    let mut inputs = 0;
    for encoding in [aggregate::<Minimal>().encode(), indexed::<Mainnet>(40).encode()] {
        hostile(&encoding, |bytes| {
            inputs += 1;
            let excesses = [
                excess(PayloadAttestation::<Minimal>::from_ssz_bytes, bytes),
                excess(PayloadAttestation::<Mainnet>::from_ssz_bytes, bytes),
                excess(IndexedPayloadAttestation::<Minimal>::from_ssz_bytes, bytes),
                excess(IndexedPayloadAttestation::<Mainnet>::from_ssz_bytes, bytes),
                excess(PtcWindow::<Minimal>::from_ssz_bytes, bytes),
            ];
            assert_eq!(excesses, [0; 5], "{} bytes, input {inputs}", bytes.len());
        });
    }
    assert!(inputs > 1_000);
}

#[test]
fn roots_of_many_messages_are_those_of_each() {
    // Containers are hashed side by side; the aggregates' roots differ from those of their parts.
    let (first, second) = (message(), PayloadAttestationMessage::default());
    let roots = PayloadAttestationMessage::hash_roots(&[&first, &second]);
    assert_eq!(roots, [first.hash_tree_root(), second.hash_tree_root()]);
    assert_ne!(aggregate::<Minimal>().hash_tree_root(), aggregate::<Mainnet>().hash_tree_root());
    assert_ne!(indexed::<Minimal>(3).hash_tree_root(), indexed::<Minimal>(4).hash_tree_root());
}
