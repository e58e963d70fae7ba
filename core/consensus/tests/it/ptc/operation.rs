//! What a block carries: each condition by itself.

use blocksmith_consensus::gloas::{
    IndexedPayloadAttestation, PayloadAttestation, PayloadAttestationError, PtcOutOfRange,
    PtcWindow, get_indexed_payload_attestation, get_ptc, is_valid_indexed_payload_attestation,
    payload_attestation_signing_root, process_payload_attestation,
};
use blocksmith_consensus::{
    Minimal, Root, SignatureBytes, Signatures, StateError, ValidatorIndex, Version, Wire, bls,
    compute_domain, compute_signing_root,
};

use super::{data, signature, state_at, with_several_places};
use crate::support::State;

type Attestation = PayloadAttestation<Minimal>;

const PARENT: Root = Root::new([0x55; 32]);

/// A state in which a block at `slot` on `PARENT` is applied, and its window.
fn state_of_block(slot: u64) -> (State, PtcWindow<Minimal>) {
    let (mut state, window) = state_at(slot);
    state.latest_block_header.parent_root = PARENT;
    (state, window)
}

/// The votes of these places of the committee of the slot before the state's, and who votes.
fn votes(
    state: &State,
    window: &PtcWindow<Minimal>,
    places: &[usize],
) -> (Attestation, Vec<ValidatorIndex>) {
    let data = data(PARENT, state.slot - 1);
    let ptc = get_ptc(state, window, data.slot).unwrap();
    let mut attestation =
        Attestation { aggregation_bits: Default::default(), data, signature: SignatureBytes::ZERO };
    let mut voters = Vec::new();
    for place in places {
        assert!(attestation.aggregation_bits.set(*place, true));
        voters.push(ptc[*place]);
    }
    attestation.signature = signature(state, &data, &voters);
    voters.sort_unstable();
    (attestation, voters)
}

fn process(
    (state, window): &(State, PtcWindow<Minimal>),
    attestation: &Attestation,
) -> Result<(), PayloadAttestationError> {
    process_payload_attestation(state, window, attestation, &mut Signatures::Verify)
}

const ALL: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

#[test]
fn a_place_that_votes_has_signed_even_if_its_holder_has_several() {
    // All places, one of them, and all of one holder; then as many places, but one signature of the
    // holder only.
    let at = state_of_block(11);
    let (holder, places) = with_several_places(&at.0, &at.1, 10);
    for places in [&ALL[..], &[3], &places] {
        let (attestation, voters) = votes(&at.0, &at.1, places);
        let indexed = get_indexed_payload_attestation(&at.0, &at.1, &attestation).unwrap();
        assert_eq!(indexed.attesting_indices.to_vec(), voters);
        assert_eq!(process(&at, &attestation), Ok(()));
    }
    let (mut attestation, _) = votes(&at.0, &at.1, &places);
    attestation.signature = signature(&at.0, &attestation.data, &[holder]);
    let attesters = places.len();
    assert_eq!(process(&at, &attestation), Err(PayloadAttestationError::Signature { attesters }));
}

#[test]
fn votes_across_an_epochs_start_are_checked_by_the_window() {
    // The first block of epoch 2 carries the votes of the last slot of epoch 1.
    let (state, window) = state_of_block(15);
    let (mut next, mut moved) = state_of_block(16);
    moved.clone_from(&window);
    blocksmith_consensus::gloas::process_ptc_window(&state, &mut moved).unwrap();
    next.latest_block_header.parent_root = PARENT;
    let (attestation, _) = votes(&next, &moved, &ALL);
    assert_eq!(get_ptc(&next, &moved, 15), get_ptc(&state, &window, 15));
    assert_eq!(process(&(next, moved), &attestation), Ok(()));
}

#[test]
fn votes_for_another_block_than_the_parent_are_invalid() {
    // The voters name another block, and sign that.
    let at = state_of_block(11);
    let (mut attestation, voters) = votes(&at.0, &at.1, &ALL);
    attestation.data.beacon_block_root = Root::new([1; 32]);
    attestation.signature = signature(&at.0, &attestation.data, &voters);
    let (provided, expected) = (Root::new([1; 32]), PARENT);
    let error = PayloadAttestationError::BeaconBlockRoot { provided, expected };
    assert_eq!(process(&at, &attestation), Err(error));
}

#[test]
fn votes_of_another_slot_than_the_one_before_are_invalid() {
    // The slot of the block itself, the one two before, and the last of all.
    let at = state_of_block(11);
    for slot in [9, 11] {
        let (mut attestation, _) = votes(&at.0, &at.1, &ALL);
        attestation.data.slot = slot;
        let error = PayloadAttestationError::Slot { slot, state: 11 };
        assert_eq!(process(&at, &attestation), Err(error));
    }
    let (mut attestation, _) = votes(&at.0, &at.1, &ALL);
    attestation.data.slot = u64::MAX;
    let error = process(&at, &attestation).unwrap_err();
    assert!(matches!(error, PayloadAttestationError::State(StateError::Overflow(_))), "{error}");
}

#[test]
fn votes_of_nobody_are_invalid() {
    // No bit is set; the signature is that of the sum of nothing.
    let at = state_of_block(11);
    let (mut attestation, _) = votes(&at.0, &at.1, &[0]);
    attestation.aggregation_bits.set(0, false);
    assert_eq!(process(&at, &attestation), Err(PayloadAttestationError::Empty));
}

#[test]
fn voters_are_listed_in_ascending_order() {
    // Twice the same is in order, a lower one after a higher one is not; the signature is right.
    let (state, _) = state_of_block(11);
    let data = data(PARENT, 10);
    let check = |indices: Vec<ValidatorIndex>| {
        let signature = signature(&state, &data, &indices);
        let attesting_indices = indices.try_into().unwrap();
        let indexed = IndexedPayloadAttestation::<Minimal> { attesting_indices, data, signature };
        is_valid_indexed_payload_attestation(&state, &indexed, &mut Signatures::Verify)
    };
    assert_eq!(check(vec![3, 3, 5]), Ok(()));
    let error = PayloadAttestationError::Unsorted { previous: 5, index: 3 };
    assert_eq!(check(vec![5, 3]), Err(error));
    let unknown = StateError::UnknownValidator { index: 64, count: 64 };
    assert_eq!(check(vec![5, 64]), Err(unknown.into()));
}

#[test]
fn a_signature_of_other_data_is_invalid() {
    // The voters signed that the payload was missing.
    let at = state_of_block(11);
    let (mut attestation, _) = votes(&at.0, &at.1, &ALL);
    attestation.data.payload_present = false;
    let error = PayloadAttestationError::Signature { attesters: 16 };
    assert_eq!(process(&at, &attestation), Err(error));
}

#[test]
fn a_committee_that_the_state_does_not_know_is_an_error() {
    // The votes are listed from a state two epochs ahead.
    let (state, window) = state_of_block(11);
    let (attestation, _) = votes(&state, &window, &ALL);
    let (later, window) = state_of_block(24);
    let error = PtcOutOfRange { epoch: 1, current: 3 }.into();
    assert_eq!(get_indexed_payload_attestation(&later, &window, &attestation), Err(error));
}

#[test]
fn what_is_signed_is_the_data_in_the_domain_of_their_epoch() {
    // The fork is at the state's epoch: the last slot before it has the previous version.
    let (mut state, _) = state_at(16);
    state.fork.previous_version = Version::new([1, 2, 3, 4]);
    state.fork.current_version = Version::new([5, 6, 7, 8]);
    state.fork.epoch = 2;
    for (slot, version) in [(15, [1, 2, 3, 4]), (16, [5, 6, 7, 8])] {
        let data = data(PARENT, slot);
        let domain = compute_domain([0x0c, 0, 0, 0], version.into(), state.genesis_validators_root);
        let expected = compute_signing_root(data.hash_tree_root(), domain);
        assert_eq!(payload_attestation_signing_root(&state, &data), expected);
        // The validator's key signs this root, and the check accepts it.
        let signature = signature(&state, &data, &[7]);
        let key = state.validators.get(7).unwrap().pubkey;
        assert!(bls::verify(&key, expected.as_ref(), &signature));
    }
}
