//! What the blocks and attestations of an epoch will ask for, computed ahead; the proposers' keys.
//!
//! An epoch's proposers follow from its seed, its active validators and their effective balances,
//! all of which are fixed when it begins (C1 in `caches`):
//!
//! | what happens within the epoch | what it changes | hence the proposers |
//! |---|---|---|
//! | a RANDAO reveal | the mix of this epoch; the seed mixes one of two epochs before | stay |
//! | a slashing, an exit | `slashed`, exit and withdrawable epochs, the exit not before the fifth epoch from here; balances | stay; a slashed proposer's block is invalid, nobody takes its place |
//! | a deposit | balances; a new validator, which is not active | stay |
//! | the epoch's end | effective balances | are the next epoch's |
//!
//! Their keys are those of the registry, which never change. One validator signs block and RANDAO
//! reveal, so each slot has one key; all of an epoch's are looked up together, when the first is
//! needed or by [`prepare_epoch`], and shared by all clones of the epoch.

use crate::accessors::{
    epoch_context, get_beacon_proposer_index, get_committees, get_current_epoch, get_or_try_init,
    get_previous_epoch, get_total_active_balance, public_key,
};
use crate::bls::{BlsError, PublicKey};
use crate::error::{SafeMath, StateError};
use crate::preset::Preset;
use crate::primitives::ValidatorIndex;
use crate::state::BeaconState;

/// Computes what the state's epoch will ask for: committees of the epochs around it, proposers and
/// their decompressed keys, the total active balance. It is kept beside the state, for all clones
/// of the epoch on any thread: a thread that has time takes it from those that have not. What is
/// known already costs nothing.
///
/// # Errors
/// [`StateError::NoActiveValidators`] if there is nobody to choose; [`StateError::Overflow`] at the
/// end of time.
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
    // A registered key that is none is the block's misfortune, not the epoch's.
    let _ = proposer_key(state, proposer)?;
    Ok(())
}

/// The decompressed key of validator `index`, who is said to propose in the state's slot. Where
/// that is so and the epoch's proposers are known, it comes from the epoch's list; else from the
/// table.
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

    /// Effective balances differ, so that who proposes depends on them.
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
        // Slashes, exits and rewards in mid-epoch; what is known then equals what is computed anew.
        let config = ChainConfig::minimal();
        let mut state = genesis();
        process_slots(&mut state, 19, &config).unwrap();
        let known = proposers(&state);
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
        // The next epoch's are others: effective balances have followed.
        process_slots(&mut state, 24, &config).unwrap();
        let mut anew = state.clone();
        anew.drop_caches();
        assert_eq!(proposers(&anew), proposers(&state));
        assert_ne!(proposers(&state), known);
    }

    #[test]
    fn what_one_clone_prepares_serves_all_of_its_epoch() {
        // Prepares a clone; the other's context is full, and its keys are those of the registry.
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
        // Whoever else is named is judged by its own key.
        let stranger = (here + 1) % VALIDATORS;
        let key = proposer_key(&state, stranger).unwrap();
        assert_eq!(key, public_key(&state, stranger).unwrap());
        assert_ne!(key, keys[5]);
    }
}
