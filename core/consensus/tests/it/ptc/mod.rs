//! The payload-timeliness committee of Gloas, over a phase0 state and a window beside it.

mod bytes;
mod committee;
mod fork;
mod gossip;
mod operation;
mod votes;
mod window;

use blocksmith_consensus::gloas::{
    PayloadAttestationData, PtcWindow, get_ptc, payload_attestation_signing_root,
};
use blocksmith_consensus::testing::{self, secret_key};
use blocksmith_consensus::{Minimal, Root, SignatureBytes, Slot, ValidatorIndex};

use crate::support::{State, VALIDATORS, advanced, config};

/// A state at `slot` whose validators have different balances, and its window.
fn state_at(slot: Slot) -> (State, PtcWindow<Minimal>) {
    let mut state: State = testing::genesis(VALIDATORS, &config());
    for index in 0..VALIDATORS as usize {
        let validator = state.validators.get_mut(index).unwrap();
        validator.effective_balance = (16 + 7 * index as u64) * 1_000_000_000;
    }
    state.drop_caches();
    let state = if slot > 0 { advanced(&state, slot) } else { state };
    let window = PtcWindow::initial(&state).unwrap();
    (state, window)
}

/// What a member of the committee of `slot` says of the block `root`.
fn data(root: Root, slot: Slot) -> PayloadAttestationData {
    PayloadAttestationData {
        beacon_block_root: root,
        slot,
        payload_present: true,
        blob_data_available: false,
    }
}

/// The aggregate of the signatures of these validators, each as often as it is named.
fn signature(
    state: &State,
    data: &PayloadAttestationData,
    signers: &[ValidatorIndex],
) -> SignatureBytes {
    let scalar = signers.iter().map(|index| index + 1).sum();
    secret_key(scalar).sign(payload_attestation_signing_root(state, data).as_ref())
}

/// A validator that holds several places of the slot's committee, and these places.
fn with_several_places(
    state: &State,
    window: &PtcWindow<Minimal>,
    slot: Slot,
) -> (ValidatorIndex, Vec<usize>) {
    let ptc = get_ptc(state, window, slot).unwrap();
    let places = |index| (0..ptc.len()).filter(|at| ptc[*at] == index).collect::<Vec<_>>();
    let found = ptc.iter().map(|index| (*index, places(*index))).find(|(_, at)| at.len() > 1);
    found.expect("sixteen places and eight candidates")
}

/// A validator that holds no place of the slot's committee.
fn outsider(state: &State, window: &PtcWindow<Minimal>, slot: Slot) -> ValidatorIndex {
    let ptc = get_ptc(state, window, slot).unwrap();
    (0..VALIDATORS).find(|index| !ptc.contains(index)).expect("more validators than places")
}
