//! The choice of a committee: candidates in turn, each taken with a chance in proportion to its
//! balance.
//!
//! Reference: consensus specification, `gloas/beacon-chain.md`,
//! "compute_balance_weighted_selection" and "compute_ptc".

use super::{DOMAIN_PTC_ATTESTER, MAX_EFFECTIVE_BALANCE_ELECTRA};
use crate::accessors::{get_committees, get_current_epoch, get_seed, get_validator};
use crate::domains::{compute_epoch_at_slot, compute_start_slot_at_epoch};
use crate::error::{SafeMath, StateError};
use crate::preset::Preset;
use crate::primitives::{Epoch, Gwei, Root, Slot, ValidatorIndex, hash_one_block};
use crate::shufflings::Committees;
use crate::state::BeaconState;

/// The largest random number that a candidate's balance is compared with.
const MAX_RANDOM_VALUE: u64 = u16::MAX as u64;

/// Walks the candidates in order, round and round, and takes each with a chance in proportion to
/// its effective balance until there are `size`, with duplicates. The specification's function with
/// `shuffle_indices` false.
///
/// # Errors
/// [`StateError::NoActiveValidators`] if there are no candidates; [`StateError::UnknownValidator`]
/// if one is not registered; [`StateError::Overflow`] if a balance is out of any range.
pub fn compute_balance_weighted_selection<P: Preset>(
    state: &BeaconState<P>,
    candidates: &[ValidatorIndex],
    seed: &Root,
    size: usize,
) -> Result<Vec<ValidatorIndex>, StateError> {
    let candidates = candidates
        .iter()
        .map(|index| Ok((*index, get_validator(state, *index)?.effective_balance)))
        .collect::<Result<Vec<_>, StateError>>()?;
    if candidates.is_empty() {
        return Err(StateError::NoActiveValidators(get_current_epoch(state)));
    }
    select(&candidates, seed, size)
}

/// Like [`compute_balance_weighted_selection`], from candidates with their effective balances;
/// there is at least one.
fn select(
    candidates: &[(ValidatorIndex, Gwei)],
    seed: &Root,
    size: usize,
) -> Result<Vec<ValidatorIndex>, StateError> {
    let mut selected = Vec::with_capacity(size);
    let mut in_turn = candidates.iter().cycle();
    let mut input = [0; 40];
    input[..32].copy_from_slice(seed.as_ref());
    // The loop ends with probability one: a random value of zero takes any candidate.
    for block in 0u64.. {
        input[32..].copy_from_slice(&block.to_le_bytes());
        let random = hash_one_block(&input);
        for (value, (index, balance)) in random.as_bytes().chunks_exact(2).zip(&mut in_turn) {
            if selected.len() == size {
                return Ok(selected);
            }
            let value = u64::from(u16::from_le_bytes([value[0], value[1]]));
            if balance.safe_mul(MAX_RANDOM_VALUE)? >= MAX_EFFECTIVE_BALANCE_ELECTRA * value {
                selected.push(*index);
            }
        }
    }
    Ok(selected)
}

/// Chooses the committee of `slot` from the members of the slot's beacon committees, by the
/// balances that they have in `state`. For the committee that counts see
/// [`get_ptc`](super::get_ptc).
///
/// # Errors
/// [`StateError::NoActiveValidators`] if the slot's committees are empty; [`StateError::Overflow`]
/// if an epoch or slot number does not fit.
pub fn compute_ptc<P: Preset>(
    state: &BeaconState<P>,
    slot: Slot,
) -> Result<Vec<ValidatorIndex>, StateError> {
    let epoch = compute_epoch_at_slot::<P>(slot);
    let epoch_seed = get_seed(state, epoch, DOMAIN_PTC_ATTESTER)?;
    of_slot(state, &*get_committees(state, epoch)?, &epoch_seed, slot)
}

/// The committees of all slots of `epoch`, one after the other, as [`compute_ptc`] chooses them.
///
/// # Errors
/// As [`compute_ptc`].
pub(super) fn compute_epoch_ptcs<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
) -> Result<Vec<ValidatorIndex>, StateError> {
    let first = compute_start_slot_at_epoch::<P>(epoch)?;
    let epoch_seed = get_seed(state, epoch, DOMAIN_PTC_ATTESTER)?;
    let committees = get_committees(state, epoch)?;
    let mut members = Vec::with_capacity(P::SLOTS_PER_EPOCH as usize * P::PTC_SIZE);
    for at in 0..P::SLOTS_PER_EPOCH {
        members.extend(of_slot(state, &committees, &epoch_seed, first.safe_add(at)?)?);
    }
    Ok(members)
}

fn of_slot<P: Preset>(
    state: &BeaconState<P>,
    committees: &Committees,
    epoch_seed: &Root,
    slot: Slot,
) -> Result<Vec<ValidatorIndex>, StateError> {
    let mut input = [0; 40];
    input[..32].copy_from_slice(epoch_seed.as_ref());
    input[32..].copy_from_slice(&slot.to_le_bytes());
    let of_index = |index| committees.committee(slot % P::SLOTS_PER_EPOCH, index);
    let candidates: Vec<ValidatorIndex> =
        (0..committees.committees_per_slot()).filter_map(of_index).flatten().copied().collect();
    compute_balance_weighted_selection(state, &candidates, &hash_one_block(&input), P::PTC_SIZE)
}
