//! The conditions of the topic `payload_attestation_message`.
//!
//! **Contract.** [`validate_payload_attestation_message`] is a pure function of the vote, the clock
//! and what is known of the block that the vote names. It says which condition fails first, in the
//! specification's order, and each has its class. The caller remembers a vote as seen after the
//! function has passed it, and not before: a vote that is refused hides no later one.
//!
//! | | class if not | condition |
//! |---|---|---|
//! | 1 | ignore | the vote's slot is the current one, on some honest clock |
//! | 2 | ignore | no vote of this slot and validator has passed |
//! | 3 | await | the block has been seen |
//! | 4 | reject | the block is valid |
//! | 5 | ignore | the block is of the vote's slot |
//! | 6 | reject | the voter is registered |
//! | 7 | reject | the voter is in the slot's committee |
//! | 8 | reject | the voter signed the vote |
//!
//! Reference: consensus specification, `gloas/p2p-interface.md`, "payload_attestation_message".

use blocksmith::gossip::MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS;

use super::containers::PayloadAttestationMessage;
use super::operation::PayloadAttestationError;
use super::votes::verify_message;
use super::window::{PtcOutOfRange, PtcWindow, get_ptc};
use crate::error::{AsFault, Fault};
use crate::preset::Preset;
use crate::primitives::{Root, Slot, ValidatorIndex};
use crate::signatures::Signatures;
use crate::state::BeaconState;

/// A reading of the clock, with what turns it into slots. Times are in milliseconds, since any one
/// point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GossipClock {
    /// When slot 0 begins.
    pub genesis_ms: u64,
    /// Length of a slot.
    pub slot_ms: u64,
    /// The time of the reading.
    pub now_ms: u64,
}

impl GossipClock {
    /// Whether `slot` is the current one on the clock of some honest peer.
    pub fn is_current_slot(&self, slot: Slot) -> bool {
        let since_genesis = slot.checked_mul(self.slot_ms);
        // A slot beyond what the clock can show has not begun.
        let Some(start) = since_genesis.and_then(|ms| self.genesis_ms.checked_add(ms)) else {
            return false;
        };
        let ahead = self.now_ms.saturating_add(MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS);
        let end = start.saturating_add(self.slot_ms);
        start <= ahead && self.now_ms <= end.saturating_add(MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS)
    }
}

/// What is known of the block that a vote names.
#[derive(Clone, Copy, Debug)]
pub enum VotedBlock<'a, P: Preset> {
    /// It has not been seen.
    Unseen,
    /// It has been seen, and did not pass validation.
    Invalid,
    /// It is valid.
    Valid {
        /// The state after the block.
        state: &'a BeaconState<P>,
        /// The window of that state.
        window: &'a PtcWindow<P>,
    },
}

/// What a topic makes of a message that a condition does not hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GossipClass {
    /// It is dropped, and its sender is not to blame.
    Ignore,
    /// It is ignored, and may be looked at again when its block has been seen.
    Await,
    /// It is dropped, and its sender is to blame.
    Reject,
}

/// Why a vote is not passed on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PayloadGossipError {
    /// Its slot is not the current one.
    #[error("PayloadAttestationMessage: slot {0}, expected the current one")]
    NotCurrentSlot(Slot),
    /// A vote of its slot and validator has passed.
    #[error("PayloadAttestationMessage: a second vote of validator {index} in slot {slot}")]
    SecondVote {
        /// The voter.
        index: ValidatorIndex,
        /// The slot.
        slot: Slot,
    },
    /// Its block has not been seen.
    #[error("PayloadAttestationMessage: block {0}, expected one that has been seen")]
    UnknownBlock(Root),
    /// Its block is invalid.
    #[error("PayloadAttestationMessage: block {0}, expected a valid one")]
    InvalidBlock(Root),
    /// Its block is of another slot.
    #[error("PayloadAttestationMessage: slot {slot}, expected {block} of the block")]
    BlockSlot {
        /// The vote's slot.
        slot: Slot,
        /// The block's slot.
        block: Slot,
    },
    /// Its voter is not registered.
    #[error("PayloadAttestationMessage: validator index {index}, expected less than {count}")]
    UnknownValidator {
        /// The voter.
        index: ValidatorIndex,
        /// Number of validators.
        count: usize,
    },
    /// Its voter holds no place of the committee.
    #[error("PayloadAttestationMessage: validator {index}, expected a member of the committee")]
    NotInCommittee {
        /// The voter.
        index: ValidatorIndex,
    },
    /// Its voter did not sign it.
    #[error(transparent)]
    Signature(#[from] PayloadAttestationError),
    /// The state does not know the committee of its own slot.
    #[error(transparent)]
    OutOfRange(#[from] PtcOutOfRange),
}

impl PayloadGossipError {
    /// What the topic makes of the vote.
    pub fn class(&self) -> GossipClass {
        match self {
            Self::NotCurrentSlot(_) | Self::SecondVote { .. } | Self::BlockSlot { .. } => {
                GossipClass::Ignore
            }
            Self::UnknownBlock(_) => GossipClass::Await,
            Self::InvalidBlock(_)
            | Self::UnknownValidator { .. }
            | Self::NotInCommittee { .. }
            | Self::Signature(_)
            | Self::OutOfRange(_) => GossipClass::Reject,
        }
    }

    /// The project's word for the reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotCurrentSlot(_) => "not_current_slot",
            Self::SecondVote { .. } => "second_vote",
            Self::UnknownBlock(_) => "unknown_block",
            Self::InvalidBlock(_) => "invalid_block",
            Self::BlockSlot { .. } => "block_of_another_slot",
            Self::UnknownValidator { .. } => "unknown_validator",
            Self::NotInCommittee { .. } | Self::OutOfRange(_) => "not_in_committee",
            Self::Signature(_) => "bad_signature",
        }
    }
}

impl AsFault for PayloadGossipError {
    fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::Signature(error) => error.as_fault(),
            _ => None,
        }
    }
}

/// Checks a vote that came by gossip. `is_seen` says whether a vote of its slot and validator has
/// passed before.
///
/// # Errors
/// [`PayloadGossipError`] names the first condition that fails, in the order of the module's table.
pub fn validate_payload_attestation_message<P: Preset>(
    message: &PayloadAttestationMessage,
    clock: GossipClock,
    is_seen: bool,
    block: VotedBlock<'_, P>,
    signatures: &mut Signatures,
) -> Result<(), PayloadGossipError> {
    let (data, index) = (&message.data, message.validator_index);
    let (slot, root) = (data.slot, data.beacon_block_root);
    if !clock.is_current_slot(slot) {
        return Err(PayloadGossipError::NotCurrentSlot(slot));
    }
    if is_seen {
        return Err(PayloadGossipError::SecondVote { index, slot });
    }
    let (state, window) = match block {
        VotedBlock::Unseen => return Err(PayloadGossipError::UnknownBlock(root)),
        VotedBlock::Invalid => return Err(PayloadGossipError::InvalidBlock(root)),
        VotedBlock::Valid { state, window } => (state, window),
    };
    if state.slot != slot {
        return Err(PayloadGossipError::BlockSlot { slot, block: state.slot });
    }
    verify_payload_attestation_message(state, window, message, signatures).map(|_| ())
}

/// Checks what needs a state: conditions 6 to 8 of the module's table, for a vote of the slot of the
/// block whose state `state` is. Returns the places of the committee that the voter holds,
/// ascending.
///
/// # Errors
/// [`PayloadGossipError`] names the first condition that fails.
pub fn verify_payload_attestation_message<P: Preset>(
    state: &BeaconState<P>,
    window: &PtcWindow<P>,
    message: &PayloadAttestationMessage,
    signatures: &mut Signatures,
) -> Result<Vec<usize>, PayloadGossipError> {
    let (index, count) = (message.validator_index, state.validators.len());
    if index >= count as u64 {
        return Err(PayloadGossipError::UnknownValidator { index, count });
    }
    let ptc = get_ptc(state, window, message.data.slot)?.iter().enumerate();
    let held: Vec<_> = ptc.filter(|(_, holder)| **holder == index).map(|(at, _)| at).collect();
    if held.is_empty() {
        return Err(PayloadGossipError::NotInCommittee { index });
    }
    verify_message(state, message, signatures)?;
    Ok(held)
}
