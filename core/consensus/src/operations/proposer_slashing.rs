//! Proposer slashings.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "process_proposer_slashing".

use crate::accessors::{
    get_current_epoch, get_domain, get_validator, is_slashable_validator, public_key, signature_set,
};
use crate::config::ChainConfig;
use crate::containers::ProposerSlashing;
use crate::domains::compute_epoch_at_slot;
use crate::error::StateError;
use crate::mutators::slash_validator;
use crate::operations::fault_in_state;
use crate::preset::Preset;
use crate::primitives::{DOMAIN_BEACON_PROPOSER, Epoch, Slot, ValidatorIndex};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::wire::Wire;

/// Why a proposer slashing is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ProposerSlashingError {
    /// The headers are of different slots.
    #[error("ProposerSlashing: slot {second} of header 2, expected {first}")]
    Slots {
        /// Slot of the first header.
        first: Slot,
        /// Slot of the second header.
        second: Slot,
    },
    /// The headers are of different proposers.
    #[error("ProposerSlashing: proposer index {second} of header 2, expected {first}")]
    Proposers {
        /// Proposer of the first header.
        first: ValidatorIndex,
        /// Proposer of the second header.
        second: ValidatorIndex,
    },
    /// The headers are the same.
    #[error(
        "ProposerSlashing: equal headers of slot {slot} by {proposer}, expected different ones"
    )]
    SameHeader {
        /// Their slot.
        slot: Slot,
        /// Their proposer.
        proposer: ValidatorIndex,
    },
    /// The proposer was slashed before, is not active yet, or may withdraw already.
    #[error(
        "ProposerSlashing: validator {index} with slashed {slashed}, activation epoch \
         {activation}, withdrawable epoch {withdrawable}, expected slashable in {current}"
    )]
    NotSlashable {
        /// The proposer.
        index: ValidatorIndex,
        /// Whether it was slashed before.
        slashed: bool,
        /// Its `activation_epoch`.
        activation: Epoch,
        /// Its `withdrawable_epoch`.
        withdrawable: Epoch,
        /// The state's epoch.
        current: Epoch,
    },
    /// A header's signature is not the proposer's.
    #[error(
        "ProposerSlashing: signature of header {header} does not verify, expected validator \
         {proposer}'s"
    )]
    Signature {
        /// Which header, 1 or 2.
        header: u8,
        /// The proposer.
        proposer: ValidatorIndex,
    },
    /// A condition of a helper does not hold.
    #[error("ProposerSlashing: {0}")]
    State(#[from] StateError),
}

fault_in_state!(ProposerSlashingError);

impl ProposerSlashingError {
    /// Whether the operation is invalid for this reason in every state.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Self::NotSlashable { .. } | Self::State(_))
    }
}

/// Slashes a proposer that signed two headers for one slot.
///
/// # Errors
/// [`ProposerSlashingError`] names the first condition that fails. The state may have changed.
pub fn process_proposer_slashing<P: Preset>(
    state: &mut BeaconState<P>,
    slashing: &ProposerSlashing,
    signatures: &mut Signatures,
    config: &ChainConfig,
) -> Result<(), ProposerSlashingError> {
    let proposer_index = verify_proposer_slashing(state, slashing, signatures)?;
    Ok(slash_validator(state, proposer_index, None, config)?)
}

/// Checks all conditions of a proposer slashing; returns the proposer.
///
/// # Errors
/// [`ProposerSlashingError`] names the first condition that fails.
pub fn verify_proposer_slashing<P: Preset>(
    state: &BeaconState<P>,
    slashing: &ProposerSlashing,
    signatures: &mut Signatures,
) -> Result<ValidatorIndex, ProposerSlashingError> {
    let signed_headers = [&slashing.signed_header_1, &slashing.signed_header_2];
    let [first, second] = signed_headers.map(|signed| &signed.message);
    if first.slot != second.slot {
        return Err(ProposerSlashingError::Slots { first: first.slot, second: second.slot });
    }
    if first.proposer_index != second.proposer_index {
        let (first, second) = (first.proposer_index, second.proposer_index);
        return Err(ProposerSlashingError::Proposers { first, second });
    }
    let proposer_index = first.proposer_index;
    if first == second {
        let (slot, proposer) = (first.slot, proposer_index);
        return Err(ProposerSlashingError::SameHeader { slot, proposer });
    }
    let (validator, current) = (get_validator(state, proposer_index)?, get_current_epoch(state));
    if !is_slashable_validator(validator, current) {
        return Err(ProposerSlashingError::NotSlashable {
            index: proposer_index,
            slashed: validator.slashed,
            activation: validator.activation_epoch,
            withdrawable: validator.withdrawable_epoch,
            current,
        });
    }
    for (number, signed) in (1..).zip(signed_headers) {
        let header = &signed.message;
        let key = public_key(state, proposer_index)?;
        let accepted = signatures.accept(|| {
            let epoch = compute_epoch_at_slot::<P>(header.slot);
            let domain = get_domain(state, DOMAIN_BEACON_PROPOSER, epoch);
            signature_set(key, header.hash_tree_root(), domain, &signed.signature)
        });
        if !accepted {
            let proposer = proposer_index;
            return Err(ProposerSlashingError::Signature { header: number, proposer });
        }
    }
    Ok(proposer_index)
}
