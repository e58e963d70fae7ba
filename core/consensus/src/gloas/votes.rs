//! The votes on a block's payload, as the fork choice counts them.
//!
//! **Contract.** A [`PayloadVotes`] belongs to one block that passed validation. Every place of the
//! committee of the block's slot has voted or not, and what counts is its last vote. A vote for a
//! block that is not known waits until there are [`PayloadVotes`] for it.
//!
//! Reference: consensus specification, `gloas/fork-choice.md`, "on_payload_attestation_message",
//! "notify_ptc_messages", "payload_timeliness" and "payload_data_availability".

use std::marker::PhantomData;

use blocksmith::payload::PlaceVotes;

use super::containers::{IndexedPayloadAttestation, PayloadAttestation, PayloadAttestationMessage};
use super::operation::{
    PayloadAttestationError, get_indexed_payload_attestation, is_valid_indexed_payload_attestation,
};
use super::window::{PtcOutOfRange, PtcWindow, get_ptc};
use crate::error::{AsFault, Fault, StateError};
use crate::preset::Preset;
use crate::primitives::{SignatureBytes, Slot, ValidatorIndex};
use crate::signatures::Signatures;
use crate::state::BeaconState;

/// Where a vote comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageSource {
    /// From a peer; the slot is that of the fork choice's clock.
    Wire {
        /// The current slot.
        current_slot: Slot,
    },
    /// From a block that carries it, whose transition has verified it.
    Block,
}

/// Why a vote is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PayloadVoteError {
    /// The voter holds no place of the slot's committee.
    #[error(
        "PayloadAttestationMessage: validator {index}, expected a member of slot {slot}'s committee"
    )]
    NotInCommittee {
        /// The voter.
        index: ValidatorIndex,
        /// The slot.
        slot: Slot,
    },
    /// The vote came from a peer, and not in its slot.
    #[error("PayloadAttestationMessage: slot {slot}, expected the current one, {current}")]
    NotCurrentSlot {
        /// The vote's slot.
        slot: Slot,
        /// The current slot.
        current: Slot,
    },
    /// The state does not know the committee.
    #[error("PayloadAttestationMessage: {0}")]
    OutOfRange(#[from] PtcOutOfRange),
    /// The voter did not sign it.
    #[error(transparent)]
    Attestation(#[from] PayloadAttestationError),
}

impl AsFault for PayloadVoteError {
    fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::Attestation(error) => error.as_fault(),
            _ => None,
        }
    }
}

/// What every place of a committee last said of a block's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadVotes<P: Preset> {
    votes: PlaceVotes,
    preset: PhantomData<P>,
}

impl<P: Preset> Default for PayloadVotes<P> {
    fn default() -> Self {
        Self { votes: PlaceVotes::new(P::PTC_SIZE), preset: PhantomData }
    }
}

impl<P: Preset> PayloadVotes<P> {
    /// What every place said of whether the payload was there in time; `None` if nothing yet.
    pub fn timeliness_votes(&self) -> &[Option<bool>] {
        self.votes.timely()
    }

    /// What every place said of whether the payload's blobs are available; `None` if nothing yet.
    pub fn availability_votes(&self) -> &[Option<bool>] {
        self.votes.available()
    }

    /// Whether more than half of the places say `timely` of the payload. Never, unless this node
    /// has verified the payload itself.
    pub fn payload_timeliness(&self, timely: bool, verified: bool) -> bool {
        verified && self.votes.is_timely(timely)
    }

    /// Whether more than half of the places say `available` of the payload's blobs. Never, unless
    /// this node has verified the payload itself.
    pub fn payload_data_availability(&self, available: bool, verified: bool) -> bool {
        verified && self.votes.is_available(available)
    }

    /// Counts a vote at every place that the voter holds (P1); `state` is the block's state, and
    /// `window` the state's. Returns the number of places: 0 if the vote is of another slot than
    /// the block, which changes nothing and is no error.
    ///
    /// # Errors
    /// [`PayloadVoteError`] names the first condition that fails; nothing is counted then. What
    /// comes from a block is not verified again.
    pub fn on_payload_attestation_message(
        &mut self,
        state: &BeaconState<P>,
        window: &PtcWindow<P>,
        message: &PayloadAttestationMessage,
        source: MessageSource,
        signatures: &mut Signatures,
    ) -> Result<usize, PayloadVoteError> {
        let (data, index) = (&message.data, message.validator_index);
        if data.slot != state.slot {
            return Ok(0);
        }
        let ptc = get_ptc(state, window, data.slot)?;
        let holds = |(_, holder): &(usize, &ValidatorIndex)| **holder == index;
        let places: Vec<_> = (0..).zip(ptc).filter(holds).map(|(at, _)| at).collect();
        if places.is_empty() {
            return Err(PayloadVoteError::NotInCommittee { index, slot: data.slot });
        }
        if let MessageSource::Wire { current_slot: current } = source {
            if data.slot != current {
                return Err(PayloadVoteError::NotCurrentSlot { slot: data.slot, current });
            }
            verify_message(state, message, signatures)?;
        }
        self.votes.set(&places, data.payload_present, data.blob_data_available);
        Ok(places.len())
    }

    /// Counts votes that a block carries, for this block, its parent. The specification calls this
    /// `notify_ptc_messages`; the carrying block's transition has verified the votes.
    ///
    /// # Errors
    /// As [`on_payload_attestation_message`](Self::on_payload_attestation_message); votes before
    /// the one that fails are counted.
    pub fn on_payload_attestation(
        &mut self,
        state: &BeaconState<P>,
        window: &PtcWindow<P>,
        attestation: &PayloadAttestation<P>,
    ) -> Result<(), PayloadVoteError> {
        let indexed = get_indexed_payload_attestation(state, window, attestation)?;
        for validator_index in &indexed.attesting_indices {
            let message = PayloadAttestationMessage {
                validator_index: *validator_index,
                data: indexed.data,
                signature: SignatureBytes::ZERO,
            };
            let (source, mut skip) = (MessageSource::Block, Signatures::Skip);
            self.on_payload_attestation_message(state, window, &message, source, &mut skip)?;
        }
        Ok(())
    }
}

/// Checks that the voter signed the vote.
///
/// # Errors
/// As [`is_valid_indexed_payload_attestation`].
pub(super) fn verify_message<P: Preset>(
    state: &BeaconState<P>,
    message: &PayloadAttestationMessage,
    signatures: &mut Signatures,
) -> Result<(), PayloadAttestationError> {
    let attesting_indices = vec![message.validator_index]
        .try_into()
        .map_err(|_| StateError::ListFull("attesting indices"))?;
    let (data, signature) = (message.data, message.signature);
    let indexed = IndexedPayloadAttestation { attesting_indices, data, signature };
    is_valid_indexed_payload_attestation(state, &indexed, signatures)
}
