//! Writing to a state: balances, exits, slashings.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Beacon state mutators".

use crate::accessors::{get_beacon_proposer_index, get_current_epoch, get_validator_churn_limit};
use crate::caches::ExitQueue;
use crate::config::ChainConfig;
use crate::containers::Validator;
use crate::domains::compute_activation_exit_epoch;
use crate::error::{SafeMath, StateError};
use crate::preset::Preset;
use crate::primitives::{FAR_FUTURE_EPOCH, Gwei, ValidatorIndex};
use crate::state::BeaconState;

/// Validator `index` of the registry, to be written.
///
/// # Errors
/// [`StateError::UnknownValidator`].
pub(crate) fn get_validator_mut<P: Preset>(
    state: &mut BeaconState<P>,
    index: ValidatorIndex,
) -> Result<&mut Validator, StateError> {
    let count = state.validators.len();
    let at = usize::try_from(index).map_err(|_| StateError::UnknownValidator { index, count })?;
    state.validators.get_mut(at).ok_or(StateError::UnknownValidator { index, count })
}

fn get_balance_mut<P: Preset>(
    state: &mut BeaconState<P>,
    index: ValidatorIndex,
) -> Result<&mut Gwei, StateError> {
    let count = state.balances.len();
    let at = usize::try_from(index).map_err(|_| StateError::UnknownValidator { index, count })?;
    state.balances.get_mut(at).ok_or(StateError::UnknownValidator { index, count })
}

/// Adds `delta` Gwei to a balance.
///
/// # Errors
/// [`StateError::UnknownValidator`]; [`StateError::Overflow`] if the sum does not fit.
pub fn increase_balance<P: Preset>(
    state: &mut BeaconState<P>,
    index: ValidatorIndex,
    delta: Gwei,
) -> Result<(), StateError> {
    let balance = get_balance_mut(state, index)?;
    *balance = balance.safe_add(delta)?;
    Ok(())
}

/// Takes `delta` Gwei from a balance, or all of it if there is less.
///
/// # Errors
/// [`StateError::UnknownValidator`].
pub fn decrease_balance<P: Preset>(
    state: &mut BeaconState<P>,
    index: ValidatorIndex,
    delta: Gwei,
) -> Result<(), StateError> {
    let balance = get_balance_mut(state, index)?;
    *balance = balance.saturating_sub(delta);
    Ok(())
}

/// Puts a validator into the exit queue, unless it is already there.
///
/// # Errors
/// [`StateError::UnknownValidator`]; [`StateError::Overflow`] if an epoch or slot number does not
/// fit.
pub fn initiate_validator_exit<P: Preset>(
    state: &mut BeaconState<P>,
    index: ValidatorIndex,
    config: &ChainConfig,
) -> Result<(), StateError> {
    if get_validator_mut(state, index)?.exit_epoch != FAR_FUTURE_EPOCH {
        return Ok(());
    }
    let queue = state.caches.exit_queue.unwrap_or_else(|| exit_queue(state));
    let earliest = compute_activation_exit_epoch::<P>(get_current_epoch(state))?;
    let (mut exit_epoch, mut exits) = if queue.exits > 0 && queue.last_epoch >= earliest {
        (queue.last_epoch, queue.exits)
    } else {
        (earliest, 0)
    };
    if exits >= get_validator_churn_limit(state, config)? {
        exit_epoch = exit_epoch.safe_add(1)?;
        exits = 0;
    }
    let withdrawable_epoch = exit_epoch.safe_add(config.min_validator_withdrawability_delay)?;
    let validator = get_validator_mut(state, index)?;
    validator.exit_epoch = exit_epoch;
    validator.withdrawable_epoch = withdrawable_epoch;
    // With the largest epoch numbers, the exit epoch may be the one that means "never"; then look
    // again.
    state.caches.exit_queue = (exit_epoch != FAR_FUTURE_EPOCH)
        .then_some(ExitQueue { last_epoch: exit_epoch, exits: exits + 1 });
    Ok(())
}

/// Finds the end of the exit queue in the registry.
fn exit_queue<P: Preset>(state: &BeaconState<P>) -> ExitQueue {
    let mut queue = ExitQueue { last_epoch: 0, exits: 0 };
    for validator in &state.validators {
        let exit_epoch = validator.exit_epoch;
        if exit_epoch == FAR_FUTURE_EPOCH || exit_epoch < queue.last_epoch {
            continue;
        }
        if exit_epoch > queue.last_epoch {
            queue = ExitQueue { last_epoch: exit_epoch, exits: 0 };
        }
        queue.exits += 1;
    }
    queue
}

/// Slashes a validator, and rewards `whistleblower` (by default the proposer).
///
/// # Errors
/// [`StateError::UnknownValidator`]; [`StateError::NoActiveValidators`] if there is no proposer;
/// [`StateError::Overflow`] if an epoch or slot number does not fit.
pub fn slash_validator<P: Preset>(
    state: &mut BeaconState<P>,
    slashed_index: ValidatorIndex,
    whistleblower: Option<ValidatorIndex>,
    config: &ChainConfig,
) -> Result<(), StateError> {
    let epoch = get_current_epoch(state);
    initiate_validator_exit(state, slashed_index, config)?;
    let earliest_withdrawal = epoch.safe_add(P::EPOCHS_PER_SLASHINGS_VECTOR)?;
    let validator = get_validator_mut(state, slashed_index)?;
    validator.slashed = true;
    validator.withdrawable_epoch = validator.withdrawable_epoch.max(earliest_withdrawal);
    let effective_balance = validator.effective_balance;

    let at = (epoch % P::EPOCHS_PER_SLASHINGS_VECTOR) as usize;
    if let Some(slashings) = state.slashings.get_mut(at) {
        *slashings = slashings.safe_add(effective_balance)?;
    }
    let penalty = effective_balance / P::MIN_SLASHING_PENALTY_QUOTIENT;
    decrease_balance(state, slashed_index, penalty)?;

    let proposer_index = get_beacon_proposer_index(state)?;
    let whistleblower_reward = effective_balance / P::WHISTLEBLOWER_REWARD_QUOTIENT;
    let proposer_reward = whistleblower_reward / P::PROPOSER_REWARD_QUOTIENT;
    increase_balance(state, proposer_index, proposer_reward)?;
    increase_balance(
        state,
        whistleblower.unwrap_or(proposer_index),
        whistleblower_reward - proposer_reward,
    )
}
