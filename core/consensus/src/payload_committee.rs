//! "Phase0 with a payload-timeliness committee": a test fork, which no network runs.
//!
//! **What it is.** Blocks, states, their roots and the transition are those of phase0. Beside each
//! state there is a [`PtcWindow`], which the end of an epoch moves on as in Gloas. Committees vote
//! on the payloads of blocks, and the fork choice counts what they say.
//!
//! - F1 A block has no payload of its own. What stands for it is a word of the node that it is
//!   there: with the block ([`Payloads::WithBlock`]), or apart from it ([`Payloads::Apart`]). Then
//!   a block is built on its parent's payload, and waits for it.
//! - F2 Blocks carry no votes. The body of a phase0 block has eight fields, which are all the leaves
//!   of its tree. A ninth for `payload_attestations` would make the tree deeper, so that every
//!   block, also one without votes, had another root than in phase0. A list beside the block would
//!   have no root that the proposer signs, and would be a format of our own. So production puts no
//!   votes into a block, and `process_payload_attestation` is called by the vectors and tests alone.
//!   What the next block would carry, at most
//!   [`MAX_PAYLOAD_ATTESTATIONS`](crate::gloas::MAX_PAYLOAD_ATTESTATIONS) aggregates, is what
//!   [`blocksmith::payload::pack`] chooses of the pool's groups. The API serves the whole pool.
//! - F3 The window is no part of the state's encoding. A state that is decoded, or of genesis,
//!   begins a new one, as a state of Gloas does right after the fork: the committees of its own
//!   epoch and the next follow from its own balances, and later ones are exactly those of Gloas. A
//!   node that restarts from the finalised epoch votes two epochs later at the earliest, so it has
//!   those.
//!
//! The module is off unless [`Phase0::with_payload_committee`](crate::Phase0) is asked for it. Then
//! nothing here is called.

use std::borrow::Cow;

use blocksmith::consensus::Failure;
use blocksmith::payload::{PayloadData, PayloadVoteHeader, Places};

use crate::error::StateError;
use crate::gloas::{
    BitVector, PayloadAttestation, PayloadAttestationData, PayloadAttestationMessage, PtcWindow,
    verify_payload_attestation_message,
};
use crate::phase0::{BlockFailure, failure};
use crate::preset::Preset;
use crate::primitives::{Root, SignatureBytes};
use crate::shared::{Phase0Fault, SharedPayloadVote};
use crate::signatures::Signatures;
use crate::state::BeaconState;

/// When the payload of a block is there (F1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payloads {
    /// As soon as the block is.
    WithBlock,
    /// When the node says so. A child of the block waits for that.
    Apart,
}

/// The window of a state, or the one that the state begins (F3).
pub(crate) fn window<P: Preset>(
    state: &BeaconState<P>,
) -> Result<Cow<'_, PtcWindow<P>>, StateError> {
    match &state.ptc_window {
        Some(window) => Ok(Cow::Borrowed(window)),
        None => PtcWindow::initial(state).map(Cow::Owned),
    }
}

/// Has a state begin its window, if it has none.
pub(crate) fn begin_window<P: Preset>(state: &mut BeaconState<P>) -> Result<(), StateError> {
    if state.ptc_window.is_none() {
        state.ptc_window = Some(PtcWindow::initial(state)?);
    }
    Ok(())
}

/// What the services ask of a vote.
pub(crate) fn header(vote: &SharedPayloadVote) -> PayloadVoteHeader<Root> {
    let PayloadAttestationMessage { validator_index, data, .. } = *vote.value();
    let data = PayloadData {
        slot: data.slot,
        block: data.beacon_block_root,
        present: data.payload_present,
        available: data.blob_data_available,
    };
    PayloadVoteHeader { id: vote.root(), data, validator: validator_index }
}

/// Checks a vote by the state of its block.
pub(crate) fn verify<P: Preset>(
    state: &BeaconState<P>,
    message: &PayloadAttestationMessage,
) -> Result<Places, BlockFailure> {
    let fault = |error: StateError| Failure::Fault(Phase0Fault::from(error));
    let window = window(state).map_err(fault)?;
    let mut signatures = Signatures::Verify;
    let held = verify_payload_attestation_message(state, &window, message, &mut signatures)
        .map_err(failure)?;
    Ok(Places { committee: P::PTC_SIZE, held })
}

/// The aggregate of votes that say the same, one for each place of the committee that cast one;
/// `None` if there is none, or if a signature is no point. The signature of a voter with several
/// places is summed for each.
pub fn aggregate_payload_votes<P: Preset>(
    data: PayloadAttestationData,
    votes: &[(usize, SignatureBytes)],
) -> Option<PayloadAttestation<P>> {
    let mut aggregation_bits = BitVector::default();
    for (place, _) in votes {
        // A place that is set twice would be signed for twice and counted once.
        if aggregation_bits.get(*place) != Some(false) {
            return None;
        }
        aggregation_bits.set(*place, true);
    }
    let signatures: Vec<_> = votes.iter().map(|(_, signature)| *signature).collect();
    let signature = crate::bls::aggregate(&signatures).ok()?;
    Some(PayloadAttestation { aggregation_bits, data, signature })
}
