//! Voluntary exits.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "process_voluntary_exit".

use crate::accessors::{
    get_current_epoch, get_validator, is_active_validator, public_key, signature_set,
};
use crate::config::ChainConfig;
use crate::containers::SignedVoluntaryExit;
use crate::domains::get_domain;
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
    /// The validator has no duties to stop.
    #[error("validator {0} is not active")]
    NotActive(ValidatorIndex),
    /// The validator is leaving already.
    #[error("validator {0} is exiting already")]
    AlreadyExiting(ValidatorIndex),
    /// The exit is for a later epoch.
    #[error("an exit for epoch {exit} in epoch {current}")]
    TooEarly {
        /// Epoch from which the exit holds.
        exit: Epoch,
        /// The state's epoch.
        current: Epoch,
    },
    /// The validator has not served long enough.
    #[error("validator {0} has not been active long enough")]
    TooYoung(ValidatorIndex),
    /// The signature is not the validator's.
    #[error("the signature does not verify")]
    Signature,
    /// A helper's condition.
    #[error(transparent)]
    State(#[from] StateError),
}

fault_in_state!(VoluntaryExitError);

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
    let exit = &signed_exit.message;
    let index = exit.validator_index;
    let current = get_current_epoch(state);
    let validator = get_validator(state, index)?;
    if !is_active_validator(validator, current) {
        return Err(VoluntaryExitError::NotActive(index));
    }
    if validator.exit_epoch != FAR_FUTURE_EPOCH {
        return Err(VoluntaryExitError::AlreadyExiting(index));
    }
    if current < exit.epoch {
        return Err(VoluntaryExitError::TooEarly { exit: exit.epoch, current });
    }
    if current < validator.activation_epoch.safe_add(config.shard_committee_period)? {
        return Err(VoluntaryExitError::TooYoung(index));
    }
    let key = public_key(state, index)?;
    let accepted = signatures.accept(|| {
        let domain = get_domain(state, DOMAIN_VOLUNTARY_EXIT, exit.epoch);
        signature_set(key, exit.hash_tree_root(), domain, &signed_exit.signature)
    });
    if !accepted {
        return Err(VoluntaryExitError::Signature);
    }
    Ok(initiate_validator_exit(state, index, config)?)
}
