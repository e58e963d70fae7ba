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
use crate::operations::{IndexedAttestationError, is_valid_indexed_attestation};
use crate::preset::Preset;
use crate::primitives::{Epoch, ValidatorIndex};
use crate::signatures::Signatures;
use crate::state::BeaconState;

/// Why an attester slashing is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AttesterSlashingError {
    /// The two votes do not contradict each other.
    #[error(
        "AttesterSlashing: votes from epoch {} to {} and from {} to {}, \
         expected a double or a surrounding vote",
        .first.0, .first.1, .second.0, .second.1
    )]
    NotSlashable {
        /// Epochs of the first vote's source and target.
        first: (Epoch, Epoch),
        /// Epochs of the second vote's source and target.
        second: (Epoch, Epoch),
    },
    /// One of the attestations is invalid.
    #[error("AttesterSlashing: attestation {number}: {error}")]
    Attestation {
        /// Which attestation, 1 or 2.
        number: u8,
        /// What is wrong with it.
        error: IndexedAttestationError,
    },
    /// No validator that signed both can be slashed any more.
    #[error("AttesterSlashing: none of {common} common attesters slashable, expected at least one")]
    NobodySlashed {
        /// How many signed both.
        common: usize,
    },
    /// A condition of a helper does not hold.
    #[error("AttesterSlashing: {0}")]
    State(#[from] StateError),
}

impl AsFault for AttesterSlashingError {
    fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::Attestation { error, .. } => error.as_fault(),
            Self::State(error) => error.as_fault(),
            _ => None,
        }
    }
}

impl AttesterSlashingError {
    /// Whether the operation is invalid for this reason in every state.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::NotSlashable { .. } => true,
            Self::Attestation { error, .. } => !matches!(error, IndexedAttestationError::State(_)),
            Self::NobodySlashed { .. } | Self::State(_) => false,
        }
    }
}

/// The validators that signed both attestations, in ascending order. Both lists must be ascending.
pub fn slashable_indices(slashing: &AttesterSlashing) -> Vec<ValidatorIndex> {
    let others = &slashing.attestation_2.attesting_indices;
    let both = |index: &&ValidatorIndex| others.binary_search(index).is_ok();
    slashing.attestation_1.attesting_indices.iter().filter(both).copied().collect()
}

/// Slashes the validators that signed two contradicting attestations.
///
/// # Errors
/// [`AttesterSlashingError`] names the first condition that fails. The state may have changed.
pub fn process_attester_slashing<P: Preset>(
    state: &mut BeaconState<P>,
    slashing: &AttesterSlashing,
    signatures: &mut Signatures,
    config: &ChainConfig,
) -> Result<(), AttesterSlashingError> {
    for index in verify_attester_slashing(state, slashing, signatures)? {
        slash_validator(state, index, None, config)?;
    }
    Ok(())
}

/// Checks all conditions of an attester slashing; returns the validators that are slashed for it,
/// at least one, in ascending order.
///
/// # Errors
/// [`AttesterSlashingError`] names the first condition that fails.
pub fn verify_attester_slashing<P: Preset>(
    state: &BeaconState<P>,
    slashing: &AttesterSlashing,
    signatures: &mut Signatures,
) -> Result<Vec<ValidatorIndex>, AttesterSlashingError> {
    let (first, second) = (&slashing.attestation_1, &slashing.attestation_2);
    if !is_slashable_attestation_data(&first.data, &second.data) {
        let [first, second] = [first, second]
            .map(|attestation| (attestation.data.source.epoch, attestation.data.target.epoch));
        return Err(AttesterSlashingError::NotSlashable { first, second });
    }
    for (number, attestation) in [(1, first), (2, second)] {
        is_valid_indexed_attestation(
            state,
            &attestation.attesting_indices,
            &attestation.data,
            &attestation.signature,
            signatures,
        )
        .map_err(|error| AttesterSlashingError::Attestation { number, error })?;
    }
    let epoch = get_current_epoch(state);
    let common = slashable_indices(slashing);
    let mut slashed = Vec::with_capacity(common.len());
    for index in common.iter().copied() {
        if is_slashable_validator(get_validator(state, index)?, epoch) {
            slashed.push(index);
        }
    }
    if slashed.is_empty() {
        return Err(AttesterSlashingError::NobodySlashed { common: common.len() });
    }
    Ok(slashed)
}
