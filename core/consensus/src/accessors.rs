//! Reading a state: epochs, roots, seeds, domains, committees, proposers, balances.
//!
//! Names and conditions are the specification's; where it asserts, indexes or overflows, these
//! functions return a [`StateError`]. Expensive values are first looked up in the state's epoch
//! context (see `caches`), and computed into it if they are not there.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Beacon state accessors" and
//! "Predicates".

use std::sync::{Arc, OnceLock};

use crate::bls::{BlsError, PublicKey, Signature, SignatureSet};
use crate::caches::EpochContext;
use crate::config::ChainConfig;
use crate::containers::{
    AggregationBits, Attestation, AttestationData, IndexedAttestation, Validator,
};
use crate::domains::{
    compute_domain, compute_epoch_at_slot, compute_signing_root, compute_start_slot_at_epoch,
};
use crate::error::{Overflow, SafeMath, StateError};
use crate::preset::Preset;
use crate::primitives::{
    CommitteeIndex, DOMAIN_BEACON_ATTESTER, DOMAIN_BEACON_PROPOSER, Domain, DomainType, Epoch,
    FAR_FUTURE_EPOCH, Gwei, Root, SignatureBytes, Slot, ValidatorIndex, hash,
};
use crate::shuffling::{compute_shuffled_index, shuffle_list};
use crate::shufflings::{Committees, ShufflingId};
use crate::state::BeaconState;
use crate::wire::Wire;

/// Whether `validator` has duties in `epoch`.
pub fn is_active_validator(validator: &Validator, epoch: Epoch) -> bool {
    validator.activation_epoch <= epoch && epoch < validator.exit_epoch
}

/// Whether `validator` may enter the activation queue.
pub fn is_eligible_for_activation_queue<P: Preset>(validator: &Validator) -> bool {
    validator.activation_eligibility_epoch == FAR_FUTURE_EPOCH
        && validator.effective_balance == P::MAX_EFFECTIVE_BALANCE
}

/// Whether `validator` may be activated: its place in the queue is final.
pub fn is_eligible_for_activation<P: Preset>(
    state: &BeaconState<P>,
    validator: &Validator,
) -> bool {
    validator.activation_eligibility_epoch <= state.finalized_checkpoint.epoch
        && validator.activation_epoch == FAR_FUTURE_EPOCH
}

/// Whether `validator` can be slashed in `epoch`.
pub fn is_slashable_validator(validator: &Validator, epoch: Epoch) -> bool {
    !validator.slashed
        && validator.activation_epoch <= epoch
        && epoch < validator.withdrawable_epoch
}

/// Whether two votes contradict each other: a double vote, or the first surrounds the second.
pub fn is_slashable_attestation_data(data_1: &AttestationData, data_2: &AttestationData) -> bool {
    let double = data_1 != data_2 && data_1.target.epoch == data_2.target.epoch;
    let surround =
        data_1.source.epoch < data_2.source.epoch && data_2.target.epoch < data_1.target.epoch;
    double || surround
}

/// The state's epoch.
pub fn get_current_epoch<P: Preset>(state: &BeaconState<P>) -> Epoch {
    compute_epoch_at_slot::<P>(state.slot)
}

/// The epoch before the state's, or the genesis epoch.
pub fn get_previous_epoch<P: Preset>(state: &BeaconState<P>) -> Epoch {
    // The genesis epoch is zero.
    get_current_epoch(state).saturating_sub(1)
}

/// Validator `index` of the registry.
///
/// # Errors
/// [`StateError::UnknownValidator`].
pub fn get_validator<P: Preset>(
    state: &BeaconState<P>,
    index: ValidatorIndex,
) -> Result<&Validator, StateError> {
    let count = state.validators.len();
    let at = usize::try_from(index).map_err(|_| StateError::UnknownValidator { index, count })?;
    state.validators.get(at).ok_or(StateError::UnknownValidator { index, count })
}

/// The block root at the first slot of `epoch`.
///
/// # Errors
/// As [`get_block_root_at_slot`].
pub fn get_block_root<P: Preset>(state: &BeaconState<P>, epoch: Epoch) -> Result<Root, StateError> {
    get_block_root_at_slot(state, compute_start_slot_at_epoch::<P>(epoch)?)
}

/// The block root at `slot`: that of the block in this slot, or of the last one before it.
///
/// # Errors
/// [`StateError::SlotOutOfRange`] unless the slot is past and recent.
pub fn get_block_root_at_slot<P: Preset>(
    state: &BeaconState<P>,
    slot: Slot,
) -> Result<Root, StateError> {
    let error = StateError::SlotOutOfRange { slot, state_slot: state.slot };
    if slot >= state.slot || state.slot > slot.safe_add(P::SLOTS_PER_HISTORICAL_ROOT)? {
        return Err(error);
    }
    let at = (slot % P::SLOTS_PER_HISTORICAL_ROOT) as usize;
    state.block_roots.get(at).copied().ok_or(error)
}

/// The randomness of `epoch`, as far as the state still holds it.
pub fn get_randao_mix<P: Preset>(state: &BeaconState<P>, epoch: Epoch) -> Root {
    let at = (epoch % P::EPOCHS_PER_HISTORICAL_VECTOR) as usize;
    *state.randao_mixes.get(at).expect("a remainder is below the vector's length")
}

/// The seed of a purpose in `epoch`.
///
/// # Errors
/// [`Overflow`] if an epoch or slot number does not fit.
pub fn get_seed<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
    domain_type: DomainType,
) -> Result<Root, Overflow> {
    let lookback = P::EPOCHS_PER_HISTORICAL_VECTOR - P::MIN_SEED_LOOKAHEAD - 1;
    let mix = get_randao_mix(state, epoch.safe_add(lookback)?);
    let mut input = [0; 44];
    input[..4].copy_from_slice(&domain_type);
    input[4..12].copy_from_slice(&epoch.to_le_bytes());
    input[12..].copy_from_slice(mix.as_ref());
    Ok(hash(&input))
}

/// The domain of a purpose at `epoch` on the state's chain.
pub fn get_domain<P: Preset>(
    state: &BeaconState<P>,
    domain_type: DomainType,
    epoch: Epoch,
) -> Domain {
    let version = if epoch < state.fork.epoch {
        state.fork.previous_version
    } else {
        state.fork.current_version
    };
    compute_domain(domain_type, version, state.genesis_validators_root)
}

/// The validators that have duties in `epoch`, ascending.
pub fn get_active_validator_indices<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
) -> Vec<ValidatorIndex> {
    (0..)
        .zip(&state.validators)
        .filter(|(_, validator)| is_active_validator(validator, epoch))
        .map(|(index, _)| index)
        .collect()
}

/// How many validators may be activated, and how many may exit, per epoch.
///
/// # Errors
/// As [`get_committees`].
pub fn get_validator_churn_limit<P: Preset>(
    state: &BeaconState<P>,
    config: &ChainConfig,
) -> Result<u64, StateError> {
    let active = get_active_validator_count(state)?;
    Ok(config.min_per_epoch_churn_limit.max(active.safe_div(config.churn_limit_quotient)?))
}

/// How many validators are active in the state's epoch.
fn get_active_validator_count<P: Preset>(state: &BeaconState<P>) -> Result<u64, StateError> {
    let epoch = get_current_epoch(state);
    let compute = || {
        let active = state.validators.iter().filter(|v| is_active_validator(v, epoch));
        Ok(active.count() as u64)
    };
    match epoch_context(state) {
        Some(context) => get_or_try_init(&context.active_validator_count, compute).copied(),
        None => compute(),
    }
}

/// The root of the block that the committees of `epoch` depend on: the last block before the start
/// of the preceding epoch, or the genesis block for the first two epochs. Together with the epoch
/// it identifies a shuffling across all branches. The beacon API calls it the dependent root of
/// attester duties.
///
/// # Errors
/// [`StateError::SlotOutOfRange`] unless the state knows such a block, which it does up to the
/// epoch after its own.
pub fn get_attester_dependent_root<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
) -> Result<Root, StateError> {
    let slot = compute_start_slot_at_epoch::<P>(epoch.saturating_sub(1))?.saturating_sub(1);
    last_block_root(state, slot)
}

/// The root of the block that the proposers of `epoch` depend on: the last block before its start,
/// or the genesis block for the first epoch. The beacon API calls it the dependent root of proposer
/// duties.
///
/// # Errors
/// As [`get_attester_dependent_root`], for epochs up to the state's own.
pub fn get_proposer_dependent_root<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
) -> Result<Root, StateError> {
    last_block_root(state, compute_start_slot_at_epoch::<P>(epoch)?.saturating_sub(1))
}

/// The root of the last block at or before `slot`; of the genesis block, if the state is that of
/// genesis.
fn last_block_root<P: Preset>(state: &BeaconState<P>, slot: Slot) -> Result<Root, StateError> {
    if slot > 0 || state.slot > 0 {
        return get_block_root_at_slot(state, slot);
    }
    // At genesis nothing is remembered yet; compute what `process_slot` will remember.
    let mut header = state.latest_block_header.clone();
    if header.state_root == Root::ZERO {
        header.state_root = state.hash_tree_root();
    }
    Ok(header.hash_tree_root())
}

/// The committees of `epoch`. Those of the state's epoch and its neighbours are computed once for
/// all states with a common ancestor and the same [dependent root](get_attester_dependent_root). A
/// thread that asks while another one computes them waits for the result.
///
/// # Errors
/// [`StateError::Overflow`] if an epoch or slot number does not fit.
pub fn get_committees<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
) -> Result<Arc<Committees>, StateError> {
    let seed = || get_seed(state, epoch, DOMAIN_BEACON_ATTESTER);
    let Some(context) = epoch_context(state) else { return Ok(shuffled(state, epoch, &seed()?)) };
    let cell = match () {
        () if epoch == context.epoch => &context.current,
        () if epoch.checked_add(1) == Some(context.epoch) => &context.previous,
        () if context.epoch.checked_add(1) == Some(epoch) => &context.next,
        () => return Ok(shuffled(state, epoch, &seed()?)),
    };
    let look_up = || {
        let seed = seed()?;
        let compute = || shuffled(state, epoch, &seed);
        Ok(match get_attester_dependent_root(state, epoch) {
            Ok(dependent_root) => {
                let id = ShufflingId { dependent_root, epoch };
                state.caches.shufflings.get_or_compute(id, compute)
            }
            Err(_) => compute(),
        })
    };
    get_or_try_init(cell, look_up).map(Arc::clone)
}

/// Computes the committees of `epoch`.
fn shuffled<P: Preset>(state: &BeaconState<P>, epoch: Epoch, seed: &Root) -> Arc<Committees> {
    let mut indices = get_active_validator_indices(state, epoch);
    let per_slot = committee_count::<P>(indices.len() as u64);
    shuffle_list(&mut indices, seed, P::SHUFFLE_ROUND_COUNT);
    Arc::new(Committees::new(indices, per_slot, P::SLOTS_PER_EPOCH))
}

fn committee_count<P: Preset>(active: u64) -> u64 {
    (active / P::SLOTS_PER_EPOCH / P::TARGET_COMMITTEE_SIZE).clamp(1, P::MAX_COMMITTEES_PER_SLOT)
}

/// The context of the state's epoch, if the state has it.
pub(crate) fn epoch_context<P: Preset>(state: &BeaconState<P>) -> Option<&EpochContext> {
    let context = state.caches.epoch.as_deref()?;
    (context.epoch == get_current_epoch(state)).then_some(context)
}

/// The method of this name that std does not have yet; two threads may both compute the value.
pub(crate) fn get_or_try_init<T>(
    cell: &OnceLock<T>,
    compute: impl FnOnce() -> Result<T, StateError>,
) -> Result<&T, StateError> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = compute()?;
    Ok(cell.get_or_init(|| value))
}

/// Committees in each slot of `epoch`, at least one.
///
/// # Errors
/// As [`get_committees`].
pub fn get_committee_count_per_slot<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
) -> Result<u64, StateError> {
    Ok(get_committees(state, epoch)?.committees_per_slot())
}

/// The members of committee `index` of `slot`.
///
/// # Errors
/// [`StateError::UnknownCommittee`] if the slot has no such committee.
pub fn get_beacon_committee<P: Preset>(
    state: &BeaconState<P>,
    slot: Slot,
    index: CommitteeIndex,
) -> Result<Vec<ValidatorIndex>, StateError> {
    let committees = get_committees(state, compute_epoch_at_slot::<P>(slot))?;
    let count = committees.committees_per_slot();
    let committee = committees.committee(slot % P::SLOTS_PER_EPOCH, index);
    Ok(committee.ok_or(StateError::UnknownCommittee { index, count })?.to_vec())
}

/// Number of members of the attested committee.
///
/// # Errors
/// As [`get_beacon_committee`].
pub(crate) fn get_committee_len<P: Preset>(
    state: &BeaconState<P>,
    data: &AttestationData,
) -> Result<usize, StateError> {
    let committees = get_committees(state, compute_epoch_at_slot::<P>(data.slot))?;
    let count = committees.committees_per_slot();
    let committee = committees.committee(data.slot % P::SLOTS_PER_EPOCH, data.index);
    Ok(committee.ok_or(StateError::UnknownCommittee { index: data.index, count })?.len())
}

/// The proposer of the state's slot.
///
/// # Errors
/// [`StateError::NoActiveValidators`] if no validator can be chosen.
pub fn get_beacon_proposer_index<P: Preset>(
    state: &BeaconState<P>,
) -> Result<ValidatorIndex, StateError> {
    proposer_of_slot(state, state.slot)
}

/// The proposer of `slot`, which is in the state's epoch.
///
/// # Errors
/// As [`get_beacon_proposer_index`].
pub(crate) fn proposer_of_slot<P: Preset>(
    state: &BeaconState<P>,
    slot: Slot,
) -> Result<ValidatorIndex, StateError> {
    let Some(context) = epoch_context(state) else {
        let indices = get_active_validator_indices(state, get_current_epoch(state));
        return compute_proposer(state, slot, &indices);
    };
    let compute = || {
        // The seed, the active validators and their effective balances are fixed for the epoch
        // (C1).
        let first = compute_start_slot_at_epoch::<P>(context.epoch)?;
        let indices = get_active_validator_indices(state, context.epoch);
        (0..P::SLOTS_PER_EPOCH)
            .map(|slot| compute_proposer(state, first.safe_add(slot)?, &indices))
            .collect()
    };
    Ok(get_or_try_init(&context.proposers, compute)?[(slot % P::SLOTS_PER_EPOCH) as usize])
}

/// The proposers of the slots of the state's epoch, in order, if some state of that epoch and
/// branch has computed them. Nothing is computed.
pub(crate) fn known_proposers<P: Preset>(state: &BeaconState<P>) -> Option<Vec<ValidatorIndex>> {
    epoch_context(state)?.proposers.get().map(|proposers| proposers.to_vec())
}

/// The proposer of `slot`, which is in the state's epoch; `indices` are the active validators.
fn compute_proposer<P: Preset>(
    state: &BeaconState<P>,
    slot: Slot,
    indices: &[ValidatorIndex],
) -> Result<ValidatorIndex, StateError> {
    let epoch_seed = get_seed(state, get_current_epoch(state), DOMAIN_BEACON_PROPOSER)?;
    let mut input = [0; 40];
    input[..32].copy_from_slice(epoch_seed.as_ref());
    input[32..].copy_from_slice(&slot.to_le_bytes());
    compute_proposer_index(state, indices, &hash(&input))
}

/// One of `indices`, chosen by `seed` with a chance in proportion to its effective balance.
///
/// # Errors
/// [`StateError::NoActiveValidators`] if there are none.
pub fn compute_proposer_index<P: Preset>(
    state: &BeaconState<P>,
    indices: &[ValidatorIndex],
    seed: &Root,
) -> Result<ValidatorIndex, StateError> {
    const MAX_RANDOM_BYTE: u64 = u8::MAX as u64;
    let total = indices.len() as u64;
    if total == 0 {
        return Err(StateError::NoActiveValidators(get_current_epoch(state)));
    }
    let mut random = Root::ZERO;
    // The loop ends with probability one: a random byte of zero accepts any candidate.
    for attempt in 0u64.. {
        if attempt % 32 == 0 {
            let mut input = [0; 40];
            input[..32].copy_from_slice(seed.as_ref());
            input[32..].copy_from_slice(&(attempt / 32).to_le_bytes());
            random = hash(&input);
        }
        let shuffled = compute_shuffled_index(attempt % total, total, seed, P::SHUFFLE_ROUND_COUNT)
            .map_err(|_| StateError::NoActiveValidators(get_current_epoch(state)))?;
        let candidate = indices[shuffled as usize];
        let random_byte = u64::from(random.as_bytes()[(attempt % 32) as usize]);
        let effective_balance = get_validator(state, candidate)?.effective_balance;
        if effective_balance.safe_mul(MAX_RANDOM_BYTE)? >= P::MAX_EFFECTIVE_BALANCE * random_byte {
            return Ok(candidate);
        }
    }
    Err(StateError::NoActiveValidators(get_current_epoch(state)))
}

/// The sum of effective balances of the validators for which `counts` holds, at least one
/// increment.
///
/// # Errors
/// [`Overflow`] if the sum does not fit.
pub fn get_total_balance<P: Preset>(
    state: &BeaconState<P>,
    mut counts: impl FnMut(usize, &Validator) -> bool,
) -> Result<Gwei, Overflow> {
    let mut total: Gwei = 0;
    for (index, validator) in state.validators.iter().enumerate() {
        if counts(index, validator) {
            total = total.safe_add(validator.effective_balance)?;
        }
    }
    Ok(total.max(P::EFFECTIVE_BALANCE_INCREMENT))
}

/// The sum of effective balances of all active validators, at least one increment.
///
/// # Errors
/// [`StateError::Overflow`] if the sum does not fit.
pub fn get_total_active_balance<P: Preset>(state: &BeaconState<P>) -> Result<Gwei, StateError> {
    let epoch = get_current_epoch(state);
    let compute =
        || Ok(get_total_balance(state, |_, validator| is_active_validator(validator, epoch))?);
    match epoch_context(state) {
        Some(context) => get_or_try_init(&context.total_active_balance, compute).copied(),
        None => compute(),
    }
}

/// The members of the attested committee whose bit is set, in ascending order.
///
/// # Errors
/// [`StateError::UnknownCommittee`], or [`StateError::AggregationBitsTooShort`] if there are fewer
/// bits than members.
pub fn get_attesting_indices<P: Preset>(
    state: &BeaconState<P>,
    data: &AttestationData,
    bits: &AggregationBits,
) -> Result<Vec<ValidatorIndex>, StateError> {
    let mut indices = Vec::with_capacity(bits.len());
    for_each_attester(state, data, bits, |index| {
        indices.push(index);
        Ok(())
    })?;
    indices.sort_unstable();
    Ok(indices)
}

/// Passes each member of the attested committee whose bit is set to `visit`, in the committee's
/// order.
///
/// # Errors
/// As [`get_attesting_indices`], or the visitor's own error.
pub(crate) fn for_each_attester<P: Preset>(
    state: &BeaconState<P>,
    data: &AttestationData,
    bits: &AggregationBits,
    mut visit: impl FnMut(ValidatorIndex) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let committees = get_committees(state, compute_epoch_at_slot::<P>(data.slot))?;
    let count = committees.committees_per_slot();
    let committee = committees
        .committee(data.slot % P::SLOTS_PER_EPOCH, data.index)
        .ok_or(StateError::UnknownCommittee { index: data.index, count })?;
    if bits.len() < committee.len() {
        let (bits, committee) = (bits.len(), committee.len());
        return Err(StateError::AggregationBitsTooShort { bits, committee });
    }
    // Bits beyond the committee belong to no member.
    for (members, byte) in committee.chunks(8).zip(bits.as_raw_slice()) {
        let mut byte = *byte;
        while let Some(member) = members.get(byte.trailing_zeros() as usize) {
            visit(*member)?;
            byte &= byte - 1;
        }
    }
    Ok(())
}

/// The attestation with its attesters listed.
///
/// # Errors
/// As [`get_attesting_indices`].
pub fn get_indexed_attestation<P: Preset>(
    state: &BeaconState<P>,
    attestation: &Attestation,
) -> Result<IndexedAttestation, StateError> {
    let indices = get_attesting_indices(state, &attestation.data, &attestation.aggregation_bits)?;
    let attesting_indices =
        indices.try_into().map_err(|_| StateError::ListFull("attesting indices"))?;
    Ok(IndexedAttestation {
        attesting_indices,
        data: attestation.data.clone(),
        signature: attestation.signature,
    })
}

/// The decompressed key of validator `index`.
///
/// # Errors
/// [`StateError`] for an unknown validator; the inner result is [`BlsError`] for a registered key
/// that is not a valid key.
pub(crate) fn public_key<P: Preset>(
    state: &BeaconState<P>,
    index: ValidatorIndex,
) -> Result<Result<PublicKey, BlsError>, StateError> {
    let compressed = &get_validator(state, index)?.pubkey;
    Ok(state.caches.public_keys.get(index as usize, compressed))
}

/// The signature set of one validator's signature over a message.
pub(crate) fn signature_set(
    public_key: Result<PublicKey, BlsError>,
    object_root: Root,
    domain: Domain,
    signature: &SignatureBytes,
) -> Result<SignatureSet, BlsError> {
    Ok(SignatureSet {
        public_key: public_key?,
        message: compute_signing_root(object_root, domain),
        signature: Signature::from_bytes(signature)?,
    })
}

/// The effective balance of each validator that is active and not slashed, and 0 for the others:
/// the weights of votes in the fork choice.
pub fn active_balances<P: Preset>(state: &BeaconState<P>) -> Vec<Gwei> {
    let epoch = get_current_epoch(state);
    let counts = |v: &Validator| is_active_validator(v, epoch) && !v.slashed;
    state
        .validators
        .iter()
        .map(|validator| if counts(validator) { validator.effective_balance } else { 0 })
        .collect()
}

/// The validators that voted with `attestation`, in ascending order, according to the committees of
/// `state`.
///
/// # Errors
/// As [`get_attesting_indices`].
pub fn attesting_indices<P: Preset>(
    state: &BeaconState<P>,
    attestation: &Attestation,
) -> Result<Vec<ValidatorIndex>, StateError> {
    get_attesting_indices(state, &attestation.data, &attestation.aggregation_bits)
}
