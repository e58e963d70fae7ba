//! What happens at the end of an epoch: ten steps, in the specification's order.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Epoch processing".

use crate::accessors::{
    get_block_root, get_current_epoch, get_previous_epoch, get_randao_mix, get_validator,
    get_validator_churn_limit, is_eligible_for_activation,
};
use crate::config::ChainConfig;
use crate::containers::Checkpoint;
use crate::domains::compute_activation_exit_epoch;
use crate::error::{AsFault, Fault, SafeMath, StateError};
use crate::gloas::process_ptc_window;
use crate::historical_batch::HistoricalBatch;
use crate::mutators::{decrease_balance, get_validator_mut, initiate_validator_exit};
use crate::operations::effective_balance;
use crate::preset::Preset;
use crate::primitives::{Epoch, GENESIS_EPOCH, Gwei, JUSTIFICATION_BITS_LENGTH, ValidatorIndex};
use crate::registry::Registry;
use crate::rewards::{Participation, attestation_deltas, get_target_attesting_balance};
use crate::state::BeaconState;
use crate::tree::PersistentList;

macro_rules! epoch_error {
    ($($(#[$meta:meta])* $step:ident / $function:literal,)+) => {
        /// Which step of an epoch's end failed on the state, and why.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum EpochError {
            $(
                $(#[$meta])*
                #[error("{step}: {0}", step = $function)]
                $step(StateError),
            )+
        }

        impl AsFault for EpochError {
            fn as_fault(&self) -> Option<&Fault> {
                match self {
                    $(Self::$step(error) => error.as_fault(),)+
                }
            }
        }
    };
}

epoch_error! {
    /// Justification and finality.
    Justification / "JustificationAndFinalization",
    /// Rewards and penalties.
    Rewards / "RewardsAndPenalties",
    /// Activations and ejections.
    Registry / "RegistryUpdates",
    /// Penalties of slashed validators.
    Slashings / "Slashings",
    /// The end of a voting period.
    Eth1DataReset / "Eth1DataReset",
    /// Effective balances.
    EffectiveBalances / "EffectiveBalanceUpdates",
    /// Room for the next epoch's slashed balance.
    SlashingsReset / "SlashingsReset",
    /// The next epoch's randomness.
    RandaoMixesReset / "RandaoMixesReset",
    /// The accumulator of past roots.
    HistoricalRoots / "HistoricalRootsUpdate",
    /// The committees of the epoch after the next, in the test fork alone.
    PtcWindow / "PtcWindow",
}

/// Ends the state's epoch. The state's slot must be the epoch's last one.
///
/// # Errors
/// [`EpochError`] names the first step that fails: the state contradicts itself, or a computation
/// overflows. The state is then unusable.
pub fn process_epoch<P: Preset>(
    state: &mut BeaconState<P>,
    config: &ChainConfig,
) -> Result<(), EpochError> {
    let registry = Registry::of(state);
    let participation = match get_current_epoch(state) {
        GENESIS_EPOCH => None,
        _ => Some(Participation::of(state, &registry).map_err(EpochError::Justification)?),
    };
    justify_and_finalize(state, &registry, participation.as_ref())
        .map_err(EpochError::Justification)?;
    if let Some(participation) = &participation {
        pay(state, &registry, participation).map_err(EpochError::Rewards)?;
    }
    update_registry(state, &registry, config).map_err(EpochError::Registry)?;
    penalize_slashed(state, &registry).map_err(EpochError::Slashings)?;
    process_eth1_data_reset(state).map_err(EpochError::Eth1DataReset)?;
    update_effective_balances(state, &registry).map_err(EpochError::EffectiveBalances)?;
    process_slashings_reset(state).map_err(EpochError::SlashingsReset)?;
    process_randao_mixes_reset(state).map_err(EpochError::RandaoMixesReset)?;
    process_historical_roots_update(state).map_err(EpochError::HistoricalRoots)?;
    process_participation_record_updates(state);
    if let Some(mut window) = state.ptc_window.take() {
        process_ptc_window(state, &mut window).map_err(EpochError::PtcWindow)?;
        state.ptc_window = Some(window);
    }
    Ok(())
}

/// Justifies epochs that two thirds of the stake voted for, and finalises what follows.
///
/// # Errors
/// [`StateError`] if a pending attestation does not fit the state or a sum overflows.
pub fn process_justification_and_finalization<P: Preset>(
    state: &mut BeaconState<P>,
) -> Result<(), StateError> {
    justify_and_finalize(state, &Registry::of(state), None)
}

/// Like [`process_justification_and_finalization`], with the participation of the previous epoch if
/// it is known.
fn justify_and_finalize<P: Preset>(
    state: &mut BeaconState<P>,
    registry: &Registry,
    participation: Option<&Participation>,
) -> Result<(), StateError> {
    let current = get_current_epoch(state);
    // The first two epochs have nothing before them to justify.
    if current <= GENESIS_EPOCH + 1 {
        return Ok(());
    }
    let previous_balance = match participation {
        Some(participation) => participation.target_balance,
        None => get_target_attesting_balance(state, registry, get_previous_epoch(state))?,
    };
    let current_balance = get_target_attesting_balance(state, registry, current)?;
    let total = registry.total_active_balance::<P>()?;
    weigh_justification_and_finalization(state, total, previous_balance, current_balance)
}

fn weigh_justification_and_finalization<P: Preset>(
    state: &mut BeaconState<P>,
    total_active_balance: Gwei,
    previous_target_balance: Gwei,
    current_target_balance: Gwei,
) -> Result<(), StateError> {
    let (previous_epoch, current_epoch) = (get_previous_epoch(state), get_current_epoch(state));
    let old_previous_justified = state.previous_justified_checkpoint;
    let old_current_justified = state.current_justified_checkpoint;
    let two_thirds = total_active_balance.safe_mul(2)?;

    state.previous_justified_checkpoint = state.current_justified_checkpoint;
    let mut bits = (state.justification_bits << 1) & ((1 << JUSTIFICATION_BITS_LENGTH) - 1);
    let votes =
        [(previous_target_balance, previous_epoch, 1), (current_target_balance, current_epoch, 0)];
    for (balance, epoch, bit) in votes {
        if balance.safe_mul(3)? >= two_thirds {
            let root = get_block_root(state, epoch)?;
            state.current_justified_checkpoint = Checkpoint { epoch, root };
            bits |= 1 << bit;
        }
    }
    state.justification_bits = bits;

    // Which recent epochs must be justified so that an epoch that many epochs back is final.
    let rules = [
        (0b1110, old_previous_justified, 3),
        (0b0110, old_previous_justified, 2),
        (0b0111, old_current_justified, 2),
        (0b0011, old_current_justified, 1),
    ];
    for (mask, checkpoint, distance) in rules {
        if bits & mask == mask && checkpoint.epoch.safe_add(distance)? == current_epoch {
            state.finalized_checkpoint = checkpoint;
        }
    }
    Ok(())
}

/// The checkpoints that would be justified and finalised if the epoch ended now.
///
/// # Errors
/// As [`process_justification_and_finalization`], which is run on a clone.
pub fn compute_pulled_up_checkpoints<P: Preset>(
    state: &BeaconState<P>,
) -> Result<(Checkpoint, Checkpoint), StateError> {
    let mut pulled_up = state.clone();
    process_justification_and_finalization(&mut pulled_up)?;
    Ok((pulled_up.current_justified_checkpoint, pulled_up.finalized_checkpoint))
}

/// Pays rewards and takes penalties for the previous epoch's attestations.
///
/// # Errors
/// [`StateError`] if a pending attestation does not fit the state or a balance overflows.
pub fn process_rewards_and_penalties<P: Preset>(
    state: &mut BeaconState<P>,
) -> Result<(), StateError> {
    // No validator could attest to an epoch before genesis.
    if get_current_epoch(state) == GENESIS_EPOCH {
        return Ok(());
    }
    let registry = Registry::of(state);
    let participation = Participation::of(state, &registry)?;
    pay(state, &registry, &participation)
}

fn pay<P: Preset>(
    state: &mut BeaconState<P>,
    registry: &Registry,
    participation: &Participation,
) -> Result<(), StateError> {
    let deltas = attestation_deltas(state, registry, participation)?;
    if state.balances.len() < deltas.rewards.len() {
        let count = state.balances.len();
        return Err(StateError::UnknownValidator { index: count as ValidatorIndex, count });
    }
    let mut balances = state.balances.to_vec();
    let changes = deltas.rewards.iter().zip(&deltas.penalties);
    for (balance, (reward, penalty)) in balances.iter_mut().zip(changes) {
        *balance = balance.safe_add(*reward)?.saturating_sub(*penalty);
    }
    state.balances = balances.try_into().map_err(|_| StateError::ListFull("balances"))?;
    Ok(())
}

/// Queues eligible validators for activation, ejects those with too low a balance, and activates as
/// many as the churn limit allows.
///
/// # Errors
/// [`StateError::Overflow`] if an epoch or slot number does not fit.
pub fn process_registry_updates<P: Preset>(
    state: &mut BeaconState<P>,
    config: &ChainConfig,
) -> Result<(), StateError> {
    update_registry(state, &Registry::of(state), config)
}

fn update_registry<P: Preset>(
    state: &mut BeaconState<P>,
    registry: &Registry,
    config: &ChainConfig,
) -> Result<(), StateError> {
    let epoch = get_current_epoch(state);
    let (mut eligible, mut ejected) = (Vec::new(), Vec::new());
    for (index, (facts, balance)) in
        (0..).zip(registry.facts.iter().zip(&registry.effective_balances))
    {
        if facts.unqueued() && *balance == P::MAX_EFFECTIVE_BALANCE {
            eligible.push(index);
        }
        if facts.active_now() && *balance <= config.ejection_balance {
            ejected.push(index);
        }
    }
    let next_epoch = epoch.safe_add(1)?;
    for index in eligible {
        get_validator_mut(state, index)?.activation_eligibility_epoch = next_epoch;
    }
    for index in ejected {
        initiate_validator_exit(state, index, config)?;
    }

    let mut queue: Vec<(Epoch, ValidatorIndex)> = Vec::new();
    for index in &registry.waiting {
        let validator = get_validator(state, *index)?;
        if is_eligible_for_activation(state, validator) {
            queue.push((validator.activation_eligibility_epoch, *index));
        }
    }
    queue.sort_unstable();
    let activation_epoch = compute_activation_exit_epoch::<P>(epoch)?;
    let churn_limit = usize::try_from(get_validator_churn_limit(state, config)?);
    for (_, index) in queue.into_iter().take(churn_limit.unwrap_or(usize::MAX)) {
        get_validator_mut(state, index)?.activation_epoch = activation_epoch;
    }
    Ok(())
}

/// Takes the penalty that grows with the number of validators slashed around the same time.
///
/// # Errors
/// [`StateError::Overflow`] if a sum does not fit.
pub fn process_slashings<P: Preset>(state: &mut BeaconState<P>) -> Result<(), StateError> {
    penalize_slashed(state, &Registry::of(state))
}

fn penalize_slashed<P: Preset>(
    state: &mut BeaconState<P>,
    registry: &Registry,
) -> Result<(), StateError> {
    let total_balance = registry.total_active_balance::<P>()?;
    let slashed_balance = state.slashings.iter().try_fold(0u64, |sum, part| sum.safe_add(*part))?;
    let adjusted =
        slashed_balance.safe_mul(P::PROPORTIONAL_SLASHING_MULTIPLIER)?.min(total_balance);
    let increment = P::EFFECTIVE_BALANCE_INCREMENT;
    for index in &registry.halfway {
        // Dividing by the increment first keeps the product within 64 bits.
        let effective_balance = get_validator(state, *index)?.effective_balance;
        let numerator = (effective_balance / increment).safe_mul(adjusted)?;
        decrease_balance(state, *index, (numerator / total_balance).safe_mul(increment)?)?;
    }
    Ok(())
}

/// Starts a new period of votes on the deposit contract.
///
/// # Errors
/// [`StateError::Overflow`] if an epoch or slot number does not fit.
pub fn process_eth1_data_reset<P: Preset>(state: &mut BeaconState<P>) -> Result<(), StateError> {
    let next_epoch = get_current_epoch(state).safe_add(1)?;
    if next_epoch % P::EPOCHS_PER_ETH1_VOTING_PERIOD == 0 {
        state.eth1_data_votes = PersistentList::empty();
    }
    Ok(())
}

/// Lets effective balances follow balances, with hysteresis. The epoch's caches end here.
///
/// # Errors
/// [`StateError`] if there are fewer balances than validators or a sum overflows.
pub fn process_effective_balance_updates<P: Preset>(
    state: &mut BeaconState<P>,
) -> Result<(), StateError> {
    update_effective_balances(state, &Registry::of(state))
}

fn update_effective_balances<P: Preset>(
    state: &mut BeaconState<P>,
    registry: &Registry,
) -> Result<(), StateError> {
    let hysteresis = P::EFFECTIVE_BALANCE_INCREMENT / P::HYSTERESIS_QUOTIENT;
    let downward = hysteresis * P::HYSTERESIS_DOWNWARD_MULTIPLIER;
    let upward = hysteresis * P::HYSTERESIS_UPWARD_MULTIPLIER;
    if state.balances.len() < state.validators.len() {
        let count = state.balances.len();
        return Err(StateError::UnknownValidator { index: count as ValidatorIndex, count });
    }
    let mut changed: Vec<(ValidatorIndex, Gwei)> = Vec::new();
    let balances = state.balances.chunks().flatten();
    for (index, (effective, balance)) in (0..).zip(registry.effective_balances.iter().zip(balances))
    {
        if balance.safe_add(downward)? < *effective || effective.safe_add(upward)? < *balance {
            changed.push((index, effective_balance::<P>(*balance)));
        }
    }
    for (index, effective) in changed {
        get_validator_mut(state, index)?.effective_balance = effective;
    }
    let next_epoch = get_current_epoch(state).safe_add(1)?;
    state.caches.start_epoch(next_epoch);
    Ok(())
}

/// Makes room for the next epoch's slashed balance.
///
/// # Errors
/// [`StateError::Overflow`] if an epoch or slot number does not fit.
pub fn process_slashings_reset<P: Preset>(state: &mut BeaconState<P>) -> Result<(), StateError> {
    let next_epoch = get_current_epoch(state).safe_add(1)?;
    if let Some(slashings) =
        state.slashings.get_mut((next_epoch % P::EPOCHS_PER_SLASHINGS_VECTOR) as usize)
    {
        *slashings = 0;
    }
    Ok(())
}

/// Lets the next epoch's randomness begin from this one's.
///
/// # Errors
/// [`StateError::Overflow`] if an epoch or slot number does not fit.
pub fn process_randao_mixes_reset<P: Preset>(state: &mut BeaconState<P>) -> Result<(), StateError> {
    let current = get_current_epoch(state);
    let next_epoch = current.safe_add(1)?;
    let mix = get_randao_mix(state, current);
    if let Some(next_mix) =
        state.randao_mixes.get_mut((next_epoch % P::EPOCHS_PER_HISTORICAL_VECTOR) as usize)
    {
        *next_mix = mix;
    }
    Ok(())
}

/// Accumulates a full period of block and state roots.
///
/// # Errors
/// [`StateError::ListFull`] if there is no room for another period.
pub fn process_historical_roots_update<P: Preset>(
    state: &mut BeaconState<P>,
) -> Result<(), StateError> {
    let next_epoch = get_current_epoch(state).safe_add(1)?;
    if next_epoch % (P::SLOTS_PER_HISTORICAL_ROOT / P::SLOTS_PER_EPOCH) == 0 {
        let batch = HistoricalBatch::<P> {
            block_roots: state.block_roots.clone(),
            state_roots: state.state_roots.clone(),
        };
        let root = batch.hash_tree_root();
        state.historical_roots.push(root).map_err(|_| StateError::ListFull("historical roots"))?;
    }
    Ok(())
}

/// Makes the current epoch's attestations the previous one's.
pub fn process_participation_record_updates<P: Preset>(state: &mut BeaconState<P>) {
    state.previous_epoch_attestations =
        std::mem::replace(&mut state.current_epoch_attestations, PersistentList::empty());
}
