//! Voluntary exits.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "process_voluntary_exit".

use crate::accessors::{
    get_current_epoch, get_domain, get_validator, is_active_validator, public_key, signature_set,
};
use crate::config::ChainConfig;
use crate::containers::SignedVoluntaryExit;
use crate::error::{Overflow, SafeMath, StateError};
use crate::mutators::initiate_validator_exit;
use crate::operations::fault_in_state;
use crate::preset::Preset;
use crate::primitives::{DOMAIN_VOLUNTARY_EXIT, Epoch, FAR_FUTURE_EPOCH, ValidatorIndex};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::wire::Wire;

/// Why a voluntary exit is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum VoluntaryExitError {
    /// The validator has no duties that it could stop.
    #[error(
        "VoluntaryExit: validator {index} active from epoch {activation} to {exit}, \
         expected active in {current}"
    )]
    NotActive {
        /// The validator.
        index: ValidatorIndex,
        /// Its `activation_epoch`.
        activation: Epoch,
        /// Its `exit_epoch`.
        exit: Epoch,
        /// The state's epoch.
        current: Epoch,
    },
    /// The validator is already leaving.
    #[error("VoluntaryExit: exit epoch {exit} of validator {index}, expected none")]
    AlreadyExiting {
        /// The validator.
        index: ValidatorIndex,
        /// Its `exit_epoch`.
        exit: Epoch,
    },
    /// The exit is for a later epoch.
    #[error("VoluntaryExit: epoch {exit}, expected at most {current}")]
    TooEarly {
        /// Epoch from which the exit holds.
        exit: Epoch,
        /// The state's epoch.
        current: Epoch,
    },
    /// The validator has not served long enough.
    #[error(
        "VoluntaryExit: epoch {current} of the state, \
         expected at least {earliest} for validator {index}"
    )]
    TooYoung {
        /// The validator.
        index: ValidatorIndex,
        /// The state's epoch.
        current: Epoch,
        /// First epoch in which the validator may exit.
        earliest: Epoch,
    },
    /// The signature is not the validator's.
    #[error("VoluntaryExit: signature does not verify, expected validator {0}'s")]
    Signature(ValidatorIndex),
    /// A condition of a helper does not hold.
    #[error("VoluntaryExit: {0}")]
    State(#[from] StateError),
}

fault_in_state!(VoluntaryExitError);

impl VoluntaryExitError {
    /// Whether the operation is invalid for this reason in every state.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Signature(_))
    }
}

impl From<Overflow> for VoluntaryExitError {
    fn from(overflow: Overflow) -> Self {
        Self::State(overflow.into())
    }
}

/// Puts a validator that wishes to stop into the exit queue.
///
/// # Errors
/// [`VoluntaryExitError`] names the first condition that fails; the state is then unchanged unless
/// arithmetic overflows.
pub fn process_voluntary_exit<P: Preset>(
    state: &mut BeaconState<P>,
    signed_exit: &SignedVoluntaryExit,
    signatures: &mut Signatures,
    config: &ChainConfig,
) -> Result<(), VoluntaryExitError> {
    verify_voluntary_exit(state, signed_exit, signatures, config)?;
    Ok(initiate_validator_exit(state, signed_exit.message.validator_index, config)?)
}

/// Checks all conditions of a voluntary exit.
///
/// # Errors
/// [`VoluntaryExitError`] names the first condition that fails.
pub fn verify_voluntary_exit<P: Preset>(
    state: &BeaconState<P>,
    signed_exit: &SignedVoluntaryExit,
    signatures: &mut Signatures,
    config: &ChainConfig,
) -> Result<(), VoluntaryExitError> {
    let exit = &signed_exit.message;
    let index = exit.validator_index;
    let current = get_current_epoch(state);
    let validator = get_validator(state, index)?;
    if !is_active_validator(validator, current) {
        return Err(VoluntaryExitError::NotActive {
            index,
            activation: validator.activation_epoch,
            exit: validator.exit_epoch,
            current,
        });
    }
    if validator.exit_epoch != FAR_FUTURE_EPOCH {
        return Err(VoluntaryExitError::AlreadyExiting { index, exit: validator.exit_epoch });
    }
    if current < exit.epoch {
        return Err(VoluntaryExitError::TooEarly { exit: exit.epoch, current });
    }
    let earliest = validator.activation_epoch.safe_add(config.shard_committee_period)?;
    if current < earliest {
        return Err(VoluntaryExitError::TooYoung { index, current, earliest });
    }
    let key = public_key(state, index)?;
    let accepted = signatures.accept(|| {
        let domain = get_domain(state, DOMAIN_VOLUNTARY_EXIT, exit.epoch);
        signature_set(key, exit.hash_tree_root(), domain, &signed_exit.signature)
    });
    if !accepted {
        return Err(VoluntaryExitError::Signature(index));
    }
    Ok(())
}
