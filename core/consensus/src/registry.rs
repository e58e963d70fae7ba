//! One pass over the registry at the end of an epoch.
//!
//! The steps of an epoch's end ask the same questions about every validator: its effective balance,
//! and whether it is active, slashed, or waiting. [`Registry`] looks once and keeps the answers
//! side by side, at 9 bytes a validator; without it, the registry's own 121 bytes would be read for
//! each step.
//!
//! The answers hold until `process_effective_balance_updates` writes effective balances. Rewards
//! and penalties change only balances. Ejections change the exit epochs of validators that none of
//! the later questions is about (the slashed ones have already left, and those that wait are not
//! active).

use crate::accessors::{get_current_epoch, get_previous_epoch, is_active_validator};
use crate::containers::Validator;
use crate::error::{Overflow, SafeMath};
use crate::preset::Preset;
use crate::primitives::{Epoch, FAR_FUTURE_EPOCH, Gwei, ValidatorIndex};
use crate::state::BeaconState;

/// What is known about a validator, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts(u8);

impl Facts {
    const ACTIVE_NOW: u8 = 1;
    const SLASHED: u8 = 1 << 1;
    /// Rewards and penalties of the previous epoch apply.
    const ELIGIBLE: u8 = 1 << 2;
    /// Not yet eligible for the activation queue.
    const UNQUEUED: u8 = 1 << 3;

    fn of(validator: &Validator, previous: Epoch, current: Epoch) -> Self {
        let leaving =
            validator.slashed && previous.saturating_add(1) < validator.withdrawable_epoch;
        let facts = [
            (is_active_validator(validator, current), Self::ACTIVE_NOW),
            (validator.slashed, Self::SLASHED),
            (is_active_validator(validator, previous) || leaving, Self::ELIGIBLE),
            (validator.activation_eligibility_epoch == FAR_FUTURE_EPOCH, Self::UNQUEUED),
        ];
        Self(facts.iter().fold(0, |bits, (holds, bit)| bits | if *holds { *bit } else { 0 }))
    }

    pub(crate) fn active_now(self) -> bool {
        self.0 & Self::ACTIVE_NOW != 0
    }

    pub(crate) fn slashed(self) -> bool {
        self.0 & Self::SLASHED != 0
    }

    pub(crate) fn eligible(self) -> bool {
        self.0 & Self::ELIGIBLE != 0
    }

    pub(crate) fn unqueued(self) -> bool {
        self.0 & Self::UNQUEUED != 0
    }
}

/// What the steps of an epoch's end need to know of the validators.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    /// Indexed by validator.
    pub(crate) effective_balances: Vec<Gwei>,
    /// Indexed by validator.
    pub(crate) facts: Vec<Facts>,
    /// Validators that have not been activated.
    pub(crate) waiting: Vec<ValidatorIndex>,
    /// Slashed validators halfway to their withdrawal.
    pub(crate) halfway: Vec<ValidatorIndex>,
    active_balance: Result<Gwei, Overflow>,
}

impl Registry {
    /// Looks through the registry of `state`.
    pub(crate) fn of<P: Preset>(state: &BeaconState<P>) -> Self {
        let (previous, current) = (get_previous_epoch(state), get_current_epoch(state));
        let halfway_epoch = current.checked_add(P::EPOCHS_PER_SLASHINGS_VECTOR / 2);
        let count = state.validators.len();
        let mut registry = Self {
            effective_balances: Vec::with_capacity(count),
            facts: Vec::with_capacity(count),
            waiting: Vec::new(),
            halfway: Vec::new(),
            active_balance: Ok(0),
        };
        for (index, validator) in (0..).zip(&state.validators) {
            let facts = Facts::of(validator, previous, current);
            if facts.active_now() {
                registry.active_balance = registry
                    .active_balance
                    .and_then(|sum| sum.safe_add(validator.effective_balance));
            }
            if validator.activation_epoch == FAR_FUTURE_EPOCH {
                registry.waiting.push(index);
            }
            if facts.slashed() && Some(validator.withdrawable_epoch) == halfway_epoch {
                registry.halfway.push(index);
            }
            registry.effective_balances.push(validator.effective_balance);
            registry.facts.push(facts);
        }
        registry
    }

    /// The sum of effective balances of the active validators, at least one increment.
    ///
    /// # Errors
    /// [`Overflow`] if the sum does not fit.
    pub(crate) fn total_active_balance<P: Preset>(&self) -> Result<Gwei, Overflow> {
        Ok(self.active_balance?.max(P::EFFECTIVE_BALANCE_INCREMENT))
    }

    /// The sum of effective balances of the unslashed validators for which `counts` holds, at least
    /// one increment.
    ///
    /// # Errors
    /// [`Overflow`] if the sum does not fit.
    pub(crate) fn unslashed_balance<P: Preset>(
        &self,
        mut counts: impl FnMut(usize) -> bool,
    ) -> Result<Gwei, Overflow> {
        let mut sum: Gwei = 0;
        for (index, (balance, facts)) in self.effective_balances.iter().zip(&self.facts).enumerate()
        {
            if !facts.slashed() && counts(index) {
                sum = sum.safe_add(*balance)?;
            }
        }
        Ok(sum.max(P::EFFECTIVE_BALANCE_INCREMENT))
    }
}
