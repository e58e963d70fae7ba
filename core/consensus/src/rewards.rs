//! Rewards and penalties of attesters.
//!
//! The specification filters the pending attestations anew for every component and every validator.
//! Here one pass over them, [`Participation`], records for each validator whether it attested to
//! the source, target and head of an epoch, and how early it was included. One pass over the
//! validators then computes all components at once. A single component is the same pass with the
//! others left out.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Rewards and penalties".

use crate::accessors::{
    for_each_attester, get_block_root, get_block_root_at_slot, get_current_epoch,
    get_previous_epoch,
};
use crate::containers::PendingAttestation;
use crate::error::{Overflow, SafeMath, StateError, integer_squareroot};
use crate::preset::Preset;
use crate::primitives::{BASE_REWARDS_PER_EPOCH, Epoch, Gwei, Slot, ValidatorIndex};
use crate::registry::{Facts, Registry};
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
pub(crate) struct Participation {
    attested: Vec<Attested>,
    /// Balance of the unslashed attesters of the source, target and head, each at least one
    /// increment.
    source_balance: Gwei,
    pub(crate) target_balance: Gwei,
    head_balance: Gwei,
}

impl Participation {
    /// Looks through the previous epoch's pending attestations.
    ///
    /// # Errors
    /// [`StateError`] if one does not fit the state, or a sum overflows.
    pub(crate) fn of<P: Preset>(
        state: &BeaconState<P>,
        registry: &Registry,
    ) -> Result<Self, StateError> {
        let epoch = get_previous_epoch(state);
        let mut attested = vec![Attested::default(); registry.facts.len()];
        for attestation in get_matching_source_attestations(state, epoch) {
            note(state, epoch, attestation, &mut attested)?;
        }
        let (mut source, mut target, mut head): (Gwei, Gwei, Gwei) = (0, 0, 0);
        let validators = registry.effective_balances.iter().zip(&registry.facts).zip(&attested);
        for ((balance, facts), attested) in validators {
            if facts.slashed() {
                continue;
            }
            let share = |counts: bool| if counts { *balance } else { 0 };
            source = source.safe_add(share(attested.source.is_some()))?;
            target = target.safe_add(share(attested.target))?;
            head = head.safe_add(share(attested.head))?;
        }
        let [source_balance, target_balance, head_balance] =
            [source, target, head].map(|sum| sum.max(P::EFFECTIVE_BALANCE_INCREMENT));
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
    registry: &Registry,
    epoch: Epoch,
) -> Result<Gwei, StateError> {
    let mut attested = vec![false; registry.facts.len()];
    for attestation in get_matching_source_attestations(state, epoch) {
        let data = &attestation.data;
        // It is only asked for if there are attestations: in an epoch's first slot its root is not
        // known yet.
        if data.target.root != get_block_root(state, epoch)? {
            continue;
        }
        for_each_attester(state, data, &attestation.aggregation_bits, |index| {
            *entry(&mut attested, index)? = true;
            Ok(())
        })?;
    }
    Ok(registry.unslashed_balance::<P>(|index| attested[index])?)
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
    for_each_attester(state, data, &attestation.aggregation_bits, |index| {
        let entry = entry(attested, index)?;
        entry.target |= target;
        entry.head |= head;
        // Of several equally early inclusions, the first counts.
        if entry.source.is_none_or(|known| inclusion.delay < known.delay) {
            entry.source = Some(inclusion);
        }
        Ok(())
    })
}

/// What one validator gains and loses, part by part.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    source: (Gwei, Gwei),
    target: (Gwei, Gwei),
    head: (Gwei, Gwei),
    /// Its own reward for being included early.
    inclusion: Gwei,
    /// The proposer that its inclusion rewards, and by how much.
    proposer: Option<(ValidatorIndex, Gwei)>,
    /// What it loses in an inactivity leak.
    inactivity: Gwei,
}

/// Which parts are asked for.
type Choice = fn(&Parts) -> Parts;

/// Rewards that depend only on the effective balance, and so are the same for most validators.
#[derive(Clone, Copy, Debug)]
struct Rates {
    effective_balance: Gwei,
    base: Gwei,
    source: Gwei,
    target: Gwei,
    head: Gwei,
}

/// What every component needs to know about the state.
struct Context<'a> {
    registry: &'a Registry,
    participation: &'a Participation,
    total_balance: Gwei,
    total_balance_root: u64,
    finality_delay: u64,
}

impl<'a> Context<'a> {
    fn new<P: Preset>(
        state: &BeaconState<P>,
        registry: &'a Registry,
        participation: &'a Participation,
    ) -> Result<Self, StateError> {
        let total_balance = registry.total_active_balance::<P>()?;
        Ok(Self {
            registry,
            participation,
            total_balance,
            total_balance_root: integer_squareroot(total_balance),
            finality_delay: get_finality_delay(state)?,
        })
    }

    fn is_in_inactivity_leak<P: Preset>(&self) -> bool {
        self.finality_delay > P::MIN_EPOCHS_TO_INACTIVITY_PENALTY
    }

    fn rates<P: Preset>(&self, effective_balance: Gwei) -> Result<Rates, Overflow> {
        let scaled = effective_balance.safe_mul(P::BASE_REWARD_FACTOR)?;
        let base = scaled.safe_div(self.total_balance_root)? / BASE_REWARDS_PER_EPOCH;
        let total_increments = self.total_balance / P::EFFECTIVE_BALANCE_INCREMENT;
        let component = |attesting_balance: Gwei| {
            if self.is_in_inactivity_leak::<P>() {
                // In a leak the full reward is given here; the leak's penalty takes it back from
                // perfect attesters.
                return Ok(base);
            }
            let increments = attesting_balance / P::EFFECTIVE_BALANCE_INCREMENT;
            base.safe_mul(increments)?.safe_div(total_increments)
        };
        let Participation { source_balance, target_balance, head_balance, .. } = self.participation;
        Ok(Rates {
            effective_balance,
            base,
            source: component(*source_balance)?,
            target: component(*target_balance)?,
            head: component(*head_balance)?,
        })
    }

    fn parts<P: Preset>(
        &self,
        rates: &Rates,
        facts: Facts,
        attested: &Attested,
    ) -> Result<Parts, Overflow> {
        let mut parts = Parts::default();
        let proposer_reward = rates.base / P::PROPOSER_REWARD_QUOTIENT;
        if facts.eligible() {
            let component = |counts: bool, reward: Gwei| {
                if counts && !facts.slashed() { (reward, 0) } else { (0, rates.base) }
            };
            parts.source = component(attested.source.is_some(), rates.source);
            parts.target = component(attested.target, rates.target);
            parts.head = component(attested.head, rates.head);
            if self.is_in_inactivity_leak::<P>() {
                let full = rates.base.safe_mul(BASE_REWARDS_PER_EPOCH)?;
                parts.inactivity = full.safe_sub(proposer_reward)?;
                if facts.slashed() || !attested.target {
                    let scaled = rates.effective_balance.safe_mul(self.finality_delay)?;
                    parts.inactivity =
                        parts.inactivity.safe_add(scaled / P::INACTIVITY_PENALTY_QUOTIENT)?;
                }
            }
        }
        if let Some(inclusion) = attested.source.filter(|_| !facts.slashed()) {
            parts.proposer = Some((inclusion.proposer_index, proposer_reward));
            parts.inclusion = match inclusion.delay {
                1 => rates.base - proposer_reward,
                delay => (rates.base - proposer_reward).safe_div(delay)?,
            };
        }
        Ok(parts)
    }

    fn deltas<P: Preset>(&self, choose: Choice) -> Result<Deltas, StateError> {
        let count = self.registry.facts.len();
        let mut deltas = Deltas::zero(count);
        let mut rates: Option<Rates> = None;
        for index in 0..count {
            let facts = self.registry.facts[index];
            let attested = &self.participation.attested[index];
            if !facts.eligible() && attested.source.is_none() {
                continue;
            }
            let balance = self.registry.effective_balances[index];
            let rates = match rates {
                Some(known) if known.effective_balance == balance => known,
                _ => *rates.insert(self.rates::<P>(balance)?),
            };
            let parts = choose(&self.parts::<P>(&rates, facts, attested)?);
            let gains = [parts.source.0, parts.target.0, parts.head.0, parts.inclusion];
            let losses = [parts.source.1, parts.target.1, parts.head.1, parts.inactivity];
            let sum = |start: Gwei, parts: [Gwei; 4]| {
                parts.into_iter().try_fold(start, |sum, part| sum.safe_add(part))
            };
            deltas.rewards[index] = sum(deltas.rewards[index], gains)?;
            deltas.penalties[index] = sum(0, losses)?;
            if let Some((proposer, reward)) = parts.proposer {
                let gained = entry(&mut deltas.rewards, proposer)?;
                *gained = gained.safe_add(reward)?;
            }
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

/// The sum of the chosen components, from what one look at the registry and the attestations found.
///
/// # Errors
/// [`StateError`] if a proposer is unknown, or a sum overflows.
pub(crate) fn attestation_deltas<P: Preset>(
    state: &BeaconState<P>,
    registry: &Registry,
    participation: &Participation,
) -> Result<Deltas, StateError> {
    Context::new(state, registry, participation)?.deltas::<P>(|parts| *parts)
}

macro_rules! component {
    ($($(#[$meta:meta])* $function:ident => $choice:expr;)+) => {$(
        $(#[$meta])*
        ///
        /// # Errors
        /// [`StateError`] if a pending attestation does not fit the state, or a sum overflows.
        pub fn $function<P: Preset>(state: &BeaconState<P>) -> Result<Deltas, StateError> {
            let registry = Registry::of(state);
            let participation = Participation::of(state, &registry)?;
            Context::new(state, &registry, &participation)?.deltas::<P>($choice)
        }
    )+};
}

component! {
    /// For attesting to the right source.
    get_source_deltas => |parts| Parts { source: parts.source, ..Parts::default() };
    /// For attesting to the right target.
    get_target_deltas => |parts| Parts { target: parts.target, ..Parts::default() };
    /// For attesting to the right head.
    get_head_deltas => |parts| Parts { head: parts.head, ..Parts::default() };
    /// For being included early, and for including.
    get_inclusion_delay_deltas => |parts| {
        let Parts { inclusion, proposer, .. } = *parts;
        Parts { inclusion, proposer, ..Parts::default() }
    };
    /// For not attesting while nothing is finalised.
    get_inactivity_penalty_deltas => |parts| {
        Parts { inactivity: parts.inactivity, ..Parts::default() }
    };
    /// The sum of all components.
    get_attestation_deltas => |parts| *parts;
}
