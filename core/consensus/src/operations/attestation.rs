//! Attestations.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "process_attestation" and
//! "is_valid_indexed_attestation".

use crate::accessors::{
    for_each_attester, get_beacon_proposer_index, get_committee_count_per_slot, get_committee_len,
    get_current_epoch, get_domain, get_previous_epoch, get_validator, signature_set,
};
use crate::containers::{Attestation, AttestationData, Checkpoint, PendingAttestation};
use crate::domains::compute_epoch_at_slot;
use crate::error::{AsFault, Fault, Overflow, SafeMath, StateError};
use crate::operations::fault_in_state;
use crate::preset::Preset;
use crate::primitives::{
    CommitteeIndex, DOMAIN_BEACON_ATTESTER, Epoch, SignatureBytes, Slot, ValidatorIndex,
};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::wire::Wire;

/// Why a list of attesters with their signature is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum IndexedAttestationError {
    /// There are no attesters.
    #[error("0 attesting indices, expected at least one")]
    Empty,
    /// The attesters are not ascending and distinct.
    #[error("attesting index {index} after {previous}, expected ascending and distinct ones")]
    Unsorted {
        /// The previous index.
        previous: ValidatorIndex,
        /// The index that is not greater.
        index: ValidatorIndex,
    },
    /// The signature is not that of the attesters.
    #[error("signature does not verify, expected that of {attesters} attesters")]
    Signature {
        /// How many are said to have signed.
        attesters: usize,
    },
    /// A condition of a helper does not hold.
    #[error(transparent)]
    State(#[from] StateError),
}

fault_in_state!(IndexedAttestationError);

/// Why an attestation is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AttestationError {
    /// The target is neither of the current nor of the previous epoch.
    #[error("Attestation: target epoch {target}, expected {previous} or {current}")]
    TargetEpoch {
        /// The target's epoch.
        target: Epoch,
        /// The epoch before the state's, or genesis.
        previous: Epoch,
        /// The state's epoch.
        current: Epoch,
    },
    /// The target's epoch is not the slot's.
    #[error("Attestation: target epoch {target}, expected {expected} of slot {slot}")]
    TargetSlot {
        /// The target's epoch.
        target: Epoch,
        /// The slot's epoch.
        expected: Epoch,
        /// The attested slot.
        slot: Slot,
    },
    /// The attestation is included too early or too late.
    #[error("Attestation: included at slot {state}, expected from {earliest} to {latest}")]
    InclusionDelay {
        /// The state's slot.
        state: Slot,
        /// First slot that may include it.
        earliest: Slot,
        /// Last slot that may include it.
        latest: Slot,
    },
    /// The slot has no such committee.
    #[error("Attestation: committee index {index}, expected less than {count}")]
    Committee {
        /// The committee.
        index: CommitteeIndex,
        /// Committees of the slot.
        count: u64,
    },
    /// There is not exactly one bit per member.
    #[error("Attestation: {bits} aggregation bits, expected {committee}")]
    AggregationBits {
        /// Number of bits.
        bits: usize,
        /// Size of the committee.
        committee: usize,
    },
    /// The source is not the justified checkpoint of its epoch.
    #[error(
        "Attestation: source of epoch {} and root {}, expected epoch {} and root {}",
        .provided.epoch, .provided.root, .expected.epoch, .expected.root
    )]
    Source {
        /// What the attestation says.
        provided: Checkpoint,
        /// The state's justified checkpoint for the target's epoch.
        expected: Checkpoint,
    },
    /// Its attesters or their signature are invalid.
    #[error("Attestation: {0}")]
    Indexed(#[from] IndexedAttestationError),
    /// A condition of a helper does not hold.
    #[error("Attestation: {0}")]
    State(#[from] StateError),
}

impl AsFault for AttestationError {
    fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::Indexed(error) => error.as_fault(),
            Self::State(error) => error.as_fault(),
            _ => None,
        }
    }
}

impl From<Overflow> for AttestationError {
    fn from(overflow: Overflow) -> Self {
        Self::State(overflow.into())
    }
}

/// Checks that attesters are distinct and ascending, and that they signed.
///
/// # Errors
/// [`IndexedAttestationError`] names the first condition that fails.
pub fn is_valid_indexed_attestation<P: Preset>(
    state: &BeaconState<P>,
    indices: &[ValidatorIndex],
    data: &AttestationData,
    signature: &SignatureBytes,
    signatures: &mut Signatures,
) -> Result<(), IndexedAttestationError> {
    if indices.is_empty() {
        return Err(IndexedAttestationError::Empty);
    }
    if let Some(pair) = indices.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(IndexedAttestationError::Unsorted { previous: pair[0], index: pair[1] });
    }
    // The last index is the highest: an unknown validator is found before any key is looked up.
    get_validator(state, indices[indices.len() - 1])?;
    if accept_attesters(state, indices, data, signature, signatures) {
        Ok(())
    } else {
        Err(IndexedAttestationError::Signature { attesters: indices.len() })
    }
}

/// Whether the given validators, which are known, signed `data`, as far as `signatures` asks for
/// that.
fn accept_attesters<P: Preset>(
    state: &BeaconState<P>,
    attesters: &[ValidatorIndex],
    data: &AttestationData,
    signature: &SignatureBytes,
    signatures: &mut Signatures,
) -> bool {
    signatures.accept(|| {
        let domain = get_domain(state, DOMAIN_BEACON_ATTESTER, data.target.epoch);
        let compressed = |index: &ValidatorIndex| {
            let validator = state.validators.get(*index as usize)?;
            Some((*index as usize, &validator.pubkey))
        };
        let key = state.caches.public_keys.aggregate(attesters.iter().filter_map(compressed));
        signature_set(key, data.hash_tree_root(), domain, signature)
    })
}

/// Checks all that `process_attestation` asks of an attestation but its attesters and signature.
/// Returns the size of its committee.
///
/// # Errors
/// [`AttestationError`] names the first condition that fails.
pub(crate) fn check_inclusion<P: Preset>(
    state: &BeaconState<P>,
    attestation: &Attestation,
) -> Result<usize, AttestationError> {
    let data = &attestation.data;
    let current = get_current_epoch(state);
    let target = data.target.epoch;
    let previous = get_previous_epoch(state);
    if target != current && target != previous {
        return Err(AttestationError::TargetEpoch { target, previous, current });
    }
    let expected = compute_epoch_at_slot::<P>(data.slot);
    if target != expected {
        return Err(AttestationError::TargetSlot { target, expected, slot: data.slot });
    }
    let earliest = data.slot.safe_add(P::MIN_ATTESTATION_INCLUSION_DELAY)?;
    let latest = data.slot.safe_add(P::SLOTS_PER_EPOCH)?;
    if !(earliest..=latest).contains(&state.slot) {
        return Err(AttestationError::InclusionDelay { state: state.slot, earliest, latest });
    }
    let count = get_committee_count_per_slot(state, target)?;
    if data.index >= count {
        return Err(AttestationError::Committee { index: data.index, count });
    }
    let committee = get_committee_len(state, data)?;
    if attestation.aggregation_bits.len() != committee {
        let bits = attestation.aggregation_bits.len();
        return Err(AttestationError::AggregationBits { bits, committee });
    }
    let justified = if target == current {
        &state.current_justified_checkpoint
    } else {
        &state.previous_justified_checkpoint
    };
    if data.source != *justified {
        return Err(AttestationError::Source { provided: data.source, expected: *justified });
    }
    Ok(committee)
}

/// Includes an attestation: checks it, and keeps it for the rewards of its epoch.
///
/// # Errors
/// [`AttestationError`] names the first condition that fails. The state may have changed.
pub fn process_attestation<P: Preset>(
    state: &mut BeaconState<P>,
    attestation: &Attestation,
    signatures: &mut Signatures,
) -> Result<(), AttestationError> {
    let committee = check_inclusion(state, attestation)?;
    let data = &attestation.data;
    let pending = PendingAttestation {
        aggregation_bits: attestation.aggregation_bits.clone(),
        data: data.clone(),
        inclusion_delay: state.slot - data.slot,
        proposer_index: get_beacon_proposer_index(state)?,
    };
    // A committee's members are distinct and known; the sum of their keys does not depend on the
    // order.
    let mut attesters = Vec::with_capacity(committee);
    for_each_attester(state, data, &attestation.aggregation_bits, |index| {
        attesters.push(index);
        Ok(())
    })?;
    if attesters.is_empty() {
        return Err(IndexedAttestationError::Empty.into());
    }
    if !accept_attesters(state, &attesters, data, &attestation.signature, signatures) {
        return Err(IndexedAttestationError::Signature { attesters: attesters.len() }.into());
    }
    let list = if data.target.epoch == get_current_epoch(state) {
        &mut state.current_epoch_attestations
    } else {
        &mut state.previous_epoch_attestations
    };
    list.push(pending).map_err(|_| StateError::ListFull("pending attestations"))?;
    Ok(())
}
