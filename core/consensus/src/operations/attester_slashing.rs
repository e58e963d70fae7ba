//! Attester slashings.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "process_attester_slashing".

use crate::accessors::{
    get_current_epoch, get_validator, is_slashable_attestation_data, is_slashable_validator,
};
use crate::config::ChainConfig;
use crate::containers::AttesterSlashing;
use crate::error::{AsFault, Fault, StateError};
use crate::mutators::slash_validator;
use crate::operations::{AttestationError, is_valid_indexed_attestation};
use crate::preset::Preset;
use crate::primitives::ValidatorIndex;
use crate::signatures::Signatures;
use crate::state::BeaconState;

/// Why an attester slashing is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AttesterSlashingError {
    /// The two votes do not contradict each other.
    #[error("the votes do not contradict each other")]
    NotSlashable,
    /// One of the attestations is invalid.
    #[error("an attestation is invalid: {0}")]
    Attestation(#[from] AttestationError),
    /// No validator that signed both can be slashed any more.
    #[error("nobody is slashed")]
    NobodySlashed,
    /// A helper's condition.
    #[error(transparent)]
    State(#[from] StateError),
}

impl AsFault for AttesterSlashingError {
    fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::Attestation(error) => error.as_fault(),
            Self::State(error) => error.as_fault(),
            _ => None,
        }
    }
}

/// Who signed both attestations, ascending. Both lists have to be ascending.
pub fn slashable_indices(slashing: &AttesterSlashing) -> Vec<ValidatorIndex> {
    let others = &slashing.attestation_2.attesting_indices;
    let both = |index: &&ValidatorIndex| others.binary_search(index).is_ok();
    slashing.attestation_1.attesting_indices.iter().filter(both).copied().collect()
}

/// Slashes those who signed two contradicting attestations.
///
/// # Errors
/// [`AttesterSlashingError`] names the first condition that fails. The state may have changed.
pub fn process_attester_slashing<P: Preset>(
    state: &mut BeaconState<P>,
    slashing: &AttesterSlashing,
    signatures: &mut Signatures,
    config: &ChainConfig,
) -> Result<(), AttesterSlashingError> {
    let (first, second) = (&slashing.attestation_1, &slashing.attestation_2);
    if !is_slashable_attestation_data(&first.data, &second.data) {
        return Err(AttesterSlashingError::NotSlashable);
    }
    for attestation in [first, second] {
        is_valid_indexed_attestation(
            state,
            &attestation.attesting_indices,
            &attestation.data,
            &attestation.signature,
            signatures,
        )?;
    }
    let epoch = get_current_epoch(state);
    let mut slashed_any = false;
    for index in slashable_indices(slashing) {
        if is_slashable_validator(get_validator(state, index)?, epoch) {
            slash_validator(state, index, None, config)?;
            slashed_any = true;
        }
    }
    if slashed_any { Ok(()) } else { Err(AttesterSlashingError::NobodySlashed) }
}
