//! What the blocks and attestations of an epoch will need, computed ahead; the proposers' keys.
//!
//! An epoch's proposers follow from its seed, its active validators and their effective balances,
//! all of which are fixed when it begins (C1 in `caches`):
//!
//! | what happens within the epoch | what it changes | so the proposers |
//! |---|---|---|
//! | a RANDAO reveal | the mix of this epoch; the seed uses the mix of two epochs before | stay |
//! | a slashing, an exit | `slashed`, the exit epoch (not before the fifth epoch from here) and the withdrawable epoch; balances | stay; a slashed proposer's block is invalid, and nobody takes its place |
//! | a deposit | balances; a new validator, which is not active | stay |
//! | the epoch's end | effective balances | are the next epoch's |
//!
//! The proposers' keys are those of the registry, which never change. One validator signs both the
//! block and the RANDAO reveal, so each slot has one key. All keys of an epoch are looked up
//! together, when the first is needed or by [`prepare_epoch`], and all clones within the epoch
//! share them.

use crate::accessors::{
    epoch_context, get_beacon_proposer_index, get_committees, get_current_epoch, get_or_try_init,
    get_previous_epoch, get_total_active_balance, proposer_of_slot, public_key,
};
use crate::bls::{BlsError, PublicKey};
use crate::domains::compute_start_slot_at_epoch;
use crate::error::{SafeMath, StateError};
use crate::preset::Preset;
use crate::primitives::{Slot, ValidatorIndex};
use crate::state::BeaconState;

/// Computes what the state's epoch will need: committees of the epochs around it, proposers and
/// their decompressed keys, the total active balance. The results are kept beside the state, for
/// all clones within the epoch on any thread: an idle thread can thus spare busy ones this work.
/// What is already known costs nothing.
///
/// # Errors
/// [`StateError::NoActiveValidators`] if no validator can be chosen; [`StateError::Overflow`] if an
/// epoch or slot number does not fit.
///
/// # Examples
/// ```
/// use blocksmith_consensus::{
///     ChainConfig, Minimal, Root, StateError, initialize_beacon_state_from_eth1, prepare_epoch,
/// };
/// let config = ChainConfig::minimal();
/// let state = initialize_beacon_state_from_eth1::<Minimal>(Root::ZERO, 0, &[], &config).unwrap();
/// assert_eq!(prepare_epoch(&state), Err(StateError::NoActiveValidators(0)));
/// ```
pub fn prepare_epoch<P: Preset>(state: &BeaconState<P>) -> Result<(), StateError> {
    let current = get_current_epoch(state);
    for epoch in [get_previous_epoch(state), current, current.safe_add(1)?] {
        get_committees(state, epoch)?;
    }
    get_total_active_balance(state)?;
    let proposer = get_beacon_proposer_index(state)?;
    // A registered key that is not valid is a problem of the block, not of the epoch.
    let _ = proposer_key(state, proposer)?;
    Ok(())
}

/// The proposer of every slot of the state's epoch, in the order of the slots.
///
/// # Errors
/// [`StateError::NoActiveValidators`] if no validator can be chosen; [`StateError::Overflow`] if a
/// slot number does not fit.
pub fn get_proposer_duties<P: Preset>(
    state: &BeaconState<P>,
) -> Result<Vec<(Slot, ValidatorIndex)>, StateError> {
    let first = compute_start_slot_at_epoch::<P>(get_current_epoch(state))?;
    (0..P::SLOTS_PER_EPOCH)
        .map(|at| {
            let slot = first.safe_add(at)?;
            Ok((slot, proposer_of_slot(state, slot)?))
        })
        .collect()
}

/// The decompressed key of validator `index`, which is said to propose in the state's slot. If it
/// does, and the epoch's proposers are known, the key comes from the epoch's list; otherwise from
/// the table.
///
/// # Errors
/// As [`public_key`].
pub(crate) fn proposer_key<P: Preset>(
    state: &BeaconState<P>,
    index: ValidatorIndex,
) -> Result<Result<PublicKey, BlsError>, StateError> {
    let at = (state.slot % P::SLOTS_PER_EPOCH) as usize;
    if let Some(context) = epoch_context(state)
        && let Some(proposers) = context.proposers.get()
        && proposers[at] == index
    {
        let keys = || proposers.iter().map(|proposer| public_key(state, *proposer)).collect();
        return Ok(get_or_try_init(&context.proposer_keys, keys)?[at]);
    }
    public_key(state, index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bls::SecretKey;
    use crate::config::ChainConfig;
    use crate::containers::Validator;
    use crate::mutators::{increase_balance, initiate_validator_exit, slash_validator};
    use crate::preset::Minimal;
    use crate::primitives::{FAR_FUTURE_EPOCH, Root};
    use crate::state_transition::process_slots;
    use crate::{get_block_root_at_slot, initialize_beacon_state_from_eth1};

    const VALIDATORS: u64 = 32;

    /// Effective balances differ, so that the choice of proposers depends on them.
    fn genesis() -> BeaconState<Minimal> {
        let config = ChainConfig::minimal();
        let mut state =
            initialize_beacon_state_from_eth1(Root::new([3; 32]), 1, &[], &config).unwrap();
        for index in 0..VALIDATORS {
            let key = SecretKey::from_bytes(&[index as u8 + 1; 32]).unwrap();
            let effective_balance = (17 + index % 16) * 1_000_000_000;
            let validator = Validator {
                pubkey: key.public_key().to_bytes(),
                effective_balance,
                exit_epoch: FAR_FUTURE_EPOCH,
                withdrawable_epoch: FAR_FUTURE_EPOCH,
                ..Validator::default()
            };
            state.validators.push(validator).unwrap();
            state.balances.push(effective_balance).unwrap();
        }
        state.drop_caches();
        state
    }

    fn proposers(state: &BeaconState<Minimal>) -> Vec<ValidatorIndex> {
        let of_slot = |slot| {
            let mut state = state.clone();
            state.slot = state.slot / 8 * 8 + slot;
            get_beacon_proposer_index(&state).unwrap()
        };
        (0..8).map(of_slot).collect()
    }

    #[test]
    fn no_operation_changes_the_proposers_of_its_epoch() {
        // Slashes, exits and rewards within an epoch; what is known afterwards equals what is
        // computed anew.
        let config = ChainConfig::minimal();
        let mut state = genesis();
        process_slots(&mut state, 19, &config).unwrap();
        let known = proposers(&state);
        let duties = get_proposer_duties(&state).unwrap();
        assert_eq!(duties, (16..).zip(known.iter().copied()).collect::<Vec<_>>());
        for proposer in &known {
            slash_validator(&mut state, *proposer, None, &config).unwrap();
        }
        for index in 0..VALIDATORS {
            increase_balance(&mut state, index, 5_000_000_000).unwrap();
            initiate_validator_exit(&mut state, index, &config).unwrap();
        }
        let mut anew = state.clone();
        anew.drop_caches();
        assert_eq!(proposers(&anew), known);
        // The next epoch's proposers differ, since effective balances have followed.
        process_slots(&mut state, 24, &config).unwrap();
        let mut anew = state.clone();
        anew.drop_caches();
        assert_eq!(proposers(&anew), proposers(&state));
        assert_ne!(proposers(&state), known);
    }

    #[test]
    fn what_one_clone_prepares_serves_all_of_its_epoch() {
        // Prepares a clone; the original's context is then complete, and its keys are those of the
        // registry.
        let mut state = genesis();
        process_slots(&mut state, 9, &ChainConfig::minimal()).unwrap();
        let other = state.clone();
        prepare_epoch(&other).unwrap();
        process_slots(&mut state, 13, &ChainConfig::minimal()).unwrap();
        assert!(get_block_root_at_slot(&state, 12).is_ok());
        let context = epoch_context(&state).unwrap();
        assert!(context.previous.get().is_some() && context.current.get().is_some());
        assert!(context.next.get().is_some() && context.total_active_balance.get().is_some());
        let keys = context.proposer_keys.get().unwrap();
        for (proposer, key) in proposers(&state).into_iter().zip(keys) {
            assert_eq!(*key, public_key(&state, proposer).unwrap());
        }
        let here = get_beacon_proposer_index(&state).unwrap();
        assert_eq!(proposer_key(&state, here).unwrap(), keys[5]);
        // Any other validator that is named is judged by its own key.
        let stranger = (here + 1) % VALIDATORS;
        let key = proposer_key(&state, stranger).unwrap();
        assert_eq!(key, public_key(&state, stranger).unwrap());
        assert_ne!(key, keys[5]);
    }
}
