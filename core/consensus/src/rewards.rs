//! Rewards and penalties of attesters, component by component.
//!
//! The specification filters the pending attestations anew for every component and every
//! validator. Here one pass over them, [`Participation`], notes per validator whether it attested
//! the source, target and head of an epoch and how early it was included; each component is then
//! one pass over the registry.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Rewards and penalties".

use crate::accessors::{
    get_attesting_indices, get_block_root, get_block_root_at_slot, get_current_epoch,
    get_previous_epoch, get_total_active_balance, get_total_balance, is_active_validator,
};
use crate::containers::{PendingAttestation, Validator};
use crate::error::{SafeMath, StateError, integer_squareroot};
use crate::preset::Preset;
use crate::primitives::{BASE_REWARDS_PER_EPOCH, Epoch, Gwei, Slot, ValidatorIndex};
use crate::state::BeaconState;

/// Rewards and penalties in Gwei, one entry per validator each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deltas {
    /// What each validator gains.
    pub rewards: Vec<Gwei>,
    /// What each validator loses.
    pub penalties: Vec<Gwei>,
}

impl Deltas {
    fn zero(count: usize) -> Self {
        Self { rewards: vec![0; count], penalties: vec![0; count] }
    }

    fn add(&mut self, other: &Self) -> Result<(), StateError> {
        let sums = self.rewards.iter_mut().zip(&other.rewards);
        for (sum, part) in sums.chain(self.penalties.iter_mut().zip(&other.penalties)) {
            *sum = sum.safe_add(*part)?;
        }
        Ok(())
    }
}

/// The earliest inclusion of a validator's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inclusion {
    delay: Slot,
    proposer_index: ValidatorIndex,
}

/// What one validator did in an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Attested {
    source: Option<Inclusion>,
    target: bool,
    head: bool,
}

/// Who attested to what in the previous epoch, and with how much balance.
#[derive(Clone, Debug)]
struct Participation {
    attested: Vec<Attested>,
    /// Balance of the unslashed attesters of the source, target and head, each at least one
    /// increment.
    source_balance: Gwei,
    target_balance: Gwei,
    head_balance: Gwei,
}

impl Participation {
    /// Looks through the previous epoch's pending attestations.
    fn of<P: Preset>(state: &BeaconState<P>) -> Result<Self, StateError> {
        let epoch = get_previous_epoch(state);
        let mut attested = vec![Attested::default(); state.validators.len()];
        for attestation in get_matching_source_attestations(state, epoch) {
            note(state, epoch, attestation, &mut attested)?;
        }
        let balance = |counts: fn(&Attested) -> bool| -> Result<Gwei, StateError> {
            let mut sum: Gwei = 0;
            for (validator, attested) in state.validators.iter().zip(&attested) {
                if !validator.slashed && counts(attested) {
                    sum = sum.safe_add(validator.effective_balance)?;
                }
            }
            Ok(sum.max(P::EFFECTIVE_BALANCE_INCREMENT))
        };
        let source_balance = balance(|attested| attested.source.is_some())?;
        let target_balance = balance(|attested| attested.target)?;
        let head_balance = balance(|attested| attested.head)?;
        Ok(Self { attested, source_balance, target_balance, head_balance })
    }
}

/// The pending attestations of the current or the previous epoch.
fn get_matching_source_attestations<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
) -> impl Iterator<Item = &PendingAttestation> {
    if epoch == get_current_epoch(state) {
        state.current_epoch_attestations.iter()
    } else {
        state.previous_epoch_attestations.iter()
    }
}

/// Balance in Gwei of the unslashed validators that attested to the target of the current or the
/// previous epoch, at least one increment.
///
/// # Errors
/// [`StateError`] if such an attestation does not fit the state's committees, or the sum overflows.
pub(crate) fn get_target_attesting_balance<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
) -> Result<Gwei, StateError> {
    let mut attested = vec![false; state.validators.len()];
    for attestation in get_matching_source_attestations(state, epoch) {
        let data = &attestation.data;
        // Only asked for if there are attestations: an epoch's first slot has no root of it yet.
        if data.target.root != get_block_root(state, epoch)? {
            continue;
        }
        for index in get_attesting_indices(state, data, &attestation.aggregation_bits)? {
            *entry(&mut attested, index)? = true;
        }
    }
    Ok(get_total_balance(state, |index, validator| attested[index] && !validator.slashed)?)
}

/// The entry of validator `index` in a list that has one per validator.
fn entry<T>(list: &mut [T], index: ValidatorIndex) -> Result<&mut T, StateError> {
    let count = list.len();
    usize::try_from(index)
        .ok()
        .and_then(|at| list.get_mut(at))
        .ok_or(StateError::UnknownValidator { index, count })
}

fn note<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
    attestation: &PendingAttestation,
    attested: &mut [Attested],
) -> Result<(), StateError> {
    let data = &attestation.data;
    let target = data.target.root == get_block_root(state, epoch)?;
    let head = target && data.beacon_block_root == get_block_root_at_slot(state, data.slot)?;
    let inclusion = Inclusion {
        delay: attestation.inclusion_delay,
        proposer_index: attestation.proposer_index,
    };
    for index in get_attesting_indices(state, data, &attestation.aggregation_bits)? {
        let entry = entry(attested, index)?;
        entry.target |= target;
        entry.head |= head;
        // Of equally early inclusions the first counts.
        if entry.source.is_none_or(|known| inclusion.delay < known.delay) {
            entry.source = Some(inclusion);
        }
    }
    Ok(())
}

/// What every component needs to know of the state.
struct Context<'a, P: Preset> {
    state: &'a BeaconState<P>,
    participation: Participation,
    previous_epoch: Epoch,
    total_balance: Gwei,
    total_balance_root: u64,
    finality_delay: u64,
}

impl<'a, P: Preset> Context<'a, P> {
    fn new(state: &'a BeaconState<P>) -> Result<Self, StateError> {
        let previous_epoch = get_previous_epoch(state);
        let total_balance = get_total_active_balance(state)?;
        Ok(Self {
            state,
            participation: Participation::of(state)?,
            previous_epoch,
            total_balance,
            total_balance_root: integer_squareroot(total_balance),
            finality_delay: get_finality_delay(state)?,
        })
    }

    fn base_reward(&self, validator: &Validator) -> Result<Gwei, StateError> {
        let scaled = validator.effective_balance.safe_mul(P::BASE_REWARD_FACTOR)?;
        Ok(scaled.safe_div(self.total_balance_root)? / BASE_REWARDS_PER_EPOCH)
    }

    /// Whether rewards and penalties apply: active in the epoch, or slashed and not yet out.
    fn is_eligible(&self, validator: &Validator) -> Result<bool, StateError> {
        Ok(is_active_validator(validator, self.previous_epoch)
            || (validator.slashed
                && self.previous_epoch.safe_add(1)? < validator.withdrawable_epoch))
    }

    fn is_in_inactivity_leak(&self) -> bool {
        self.finality_delay > P::MIN_EPOCHS_TO_INACTIVITY_PENALTY
    }

    fn validators(&self) -> impl Iterator<Item = (usize, &Validator, &Attested)> {
        let pairs = self.state.validators.iter().zip(&self.participation.attested);
        pairs.enumerate().map(|(index, (validator, attested))| (index, validator, attested))
    }

    fn component_deltas(
        &self,
        attesting_balance: Gwei,
        counts: impl Fn(&Attested) -> bool,
    ) -> Result<Deltas, StateError> {
        let mut deltas = Deltas::zero(self.state.validators.len());
        let attesting_increments = attesting_balance / P::EFFECTIVE_BALANCE_INCREMENT;
        let total_increments = self.total_balance / P::EFFECTIVE_BALANCE_INCREMENT;
        for (index, validator, attested) in self.validators() {
            if !self.is_eligible(validator)? {
                continue;
            }
            let base_reward = self.base_reward(validator)?;
            if validator.slashed || !counts(attested) {
                deltas.penalties[index] = base_reward;
            } else if self.is_in_inactivity_leak() {
                // Full reward here is what the leak's penalty takes back from perfect attesters.
                deltas.rewards[index] = base_reward;
            } else {
                let scaled = base_reward.safe_mul(attesting_increments)?;
                deltas.rewards[index] = scaled.safe_div(total_increments)?;
            }
        }
        Ok(deltas)
    }

    fn source_deltas(&self) -> Result<Deltas, StateError> {
        self.component_deltas(self.participation.source_balance, |a| a.source.is_some())
    }

    fn target_deltas(&self) -> Result<Deltas, StateError> {
        self.component_deltas(self.participation.target_balance, |a| a.target)
    }

    fn head_deltas(&self) -> Result<Deltas, StateError> {
        self.component_deltas(self.participation.head_balance, |a| a.head)
    }

    fn inclusion_delay_deltas(&self) -> Result<Deltas, StateError> {
        let mut deltas = Deltas::zero(self.state.validators.len());
        for (index, validator, attested) in self.validators() {
            let Some(inclusion) = attested.source.filter(|_| !validator.slashed) else { continue };
            let base_reward = self.base_reward(validator)?;
            let proposer_reward = base_reward / P::PROPOSER_REWARD_QUOTIENT;
            let gained = entry(&mut deltas.rewards, inclusion.proposer_index)?;
            *gained = gained.safe_add(proposer_reward)?;
            let share = (base_reward - proposer_reward).safe_div(inclusion.delay)?;
            deltas.rewards[index] = deltas.rewards[index].safe_add(share)?;
        }
        Ok(deltas)
    }

    fn inactivity_penalty_deltas(&self) -> Result<Deltas, StateError> {
        let mut deltas = Deltas::zero(self.state.validators.len());
        if !self.is_in_inactivity_leak() {
            return Ok(deltas);
        }
        for (index, validator, attested) in self.validators() {
            if !self.is_eligible(validator)? {
                continue;
            }
            let base_reward = self.base_reward(validator)?;
            let proposer_reward = base_reward / P::PROPOSER_REWARD_QUOTIENT;
            let mut penalty =
                base_reward.safe_mul(BASE_REWARDS_PER_EPOCH)?.safe_sub(proposer_reward)?;
            if validator.slashed || !attested.target {
                let scaled = validator.effective_balance.safe_mul(self.finality_delay)?;
                penalty = penalty.safe_add(scaled / P::INACTIVITY_PENALTY_QUOTIENT)?;
            }
            deltas.penalties[index] = penalty;
        }
        Ok(deltas)
    }
}

/// Epochs between the previous one and the finalised one.
///
/// # Errors
/// [`StateError::Overflow`] if the state finalised a later epoch.
pub fn get_finality_delay<P: Preset>(state: &BeaconState<P>) -> Result<u64, StateError> {
    Ok(get_previous_epoch(state).safe_sub(state.finalized_checkpoint.epoch)?)
}

macro_rules! component {
    ($($(#[$meta:meta])* $function:ident => $component:ident;)+) => {$(
        $(#[$meta])*
        ///
        /// # Errors
        /// [`StateError`] if a pending attestation does not fit the state, or a sum overflows.
        pub fn $function<P: Preset>(state: &BeaconState<P>) -> Result<Deltas, StateError> {
            Context::new(state)?.$component()
        }
    )+};
}

component! {
    /// For attesting to the right source.
    get_source_deltas => source_deltas;
    /// For attesting to the right target.
    get_target_deltas => target_deltas;
    /// For attesting to the right head.
    get_head_deltas => head_deltas;
    /// For being included early, and for including.
    get_inclusion_delay_deltas => inclusion_delay_deltas;
    /// For not attesting while nothing is finalised.
    get_inactivity_penalty_deltas => inactivity_penalty_deltas;
}

/// The sum of all components.
///
/// # Errors
/// [`StateError`] if a pending attestation does not fit the state, or a sum overflows.
pub fn get_attestation_deltas<P: Preset>(state: &BeaconState<P>) -> Result<Deltas, StateError> {
    let context = Context::new(state)?;
    let mut sum = context.source_deltas()?;
    sum.add(&context.target_deltas()?)?;
    sum.add(&context.head_deltas()?)?;
    sum.add(&context.inclusion_delay_deltas()?)?;
    sum.add(&context.inactivity_penalty_deltas()?)?;
    Ok(sum)
}
