//! Attestations.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "process_attestation" and
//! "is_valid_indexed_attestation".

use crate::accessors::{
    for_each_attester, get_beacon_proposer_index, get_committee_count_per_slot, get_committee_len,
    get_current_epoch, get_previous_epoch, get_validator, signature_set,
};
use crate::containers::{Attestation, AttestationData, PendingAttestation};
use crate::domains::{compute_epoch_at_slot, get_domain};
use crate::error::{Overflow, SafeMath, StateError};
use crate::operations::fault_in_state;
use crate::preset::Preset;
use crate::primitives::{DOMAIN_BEACON_ATTESTER, Epoch, SignatureBytes, Slot, ValidatorIndex};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::wire::Wire;

/// Why an attestation is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AttestationError {
    /// The target is neither of the current nor of the previous epoch.
    #[error("target epoch {target}, expected {current} or the one before")]
    TargetEpoch {
        /// The target's epoch.
        target: Epoch,
        /// The state's epoch.
        current: Epoch,
    },
    /// The target's epoch is not the slot's.
    #[error("target epoch {target}, expected that of slot {slot}")]
    TargetSlot {
        /// The target's epoch.
        target: Epoch,
        /// The attested slot.
        slot: Slot,
    },
    /// Included too early or too late.
    #[error("slot {attested}, expected within an epoch before {state}")]
    InclusionDelay {
        /// The attested slot.
        attested: Slot,
        /// The state's slot.
        state: Slot,
    },
    /// The slot has no such committee.
    #[error("committee index {0} is not below the slot's count")]
    Committee(u64),
    /// Not one bit per member.
    #[error("{bits} aggregation bits, expected {committee}")]
    AggregationBits {
        /// Number of bits.
        bits: usize,
        /// Size of the committee.
        committee: usize,
    },
    /// The source is not the justified checkpoint of its epoch.
    #[error("the source is not the justified checkpoint")]
    Source,
    /// Nobody attests.
    #[error("no attesters")]
    Empty,
    /// Attesters that are not ascending and distinct.
    #[error("the attesters are not ascending and distinct")]
    Unsorted,
    /// The signature is not that of the attesters.
    #[error("the signature does not verify")]
    Signature,
    /// A helper's condition.
    #[error(transparent)]
    State(#[from] StateError),
}

fault_in_state!(AttestationError);

impl From<Overflow> for AttestationError {
    fn from(overflow: Overflow) -> Self {
        Self::State(overflow.into())
    }
}

/// Checks that attesters are distinct and ascending, and that they signed.
///
/// # Errors
/// [`AttestationError::Empty`], [`AttestationError::Unsorted`], an unknown validator, or
/// [`AttestationError::Signature`].
pub fn is_valid_indexed_attestation<P: Preset>(
    state: &BeaconState<P>,
    indices: &[ValidatorIndex],
    data: &AttestationData,
    signature: &SignatureBytes,
    signatures: &mut Signatures,
) -> Result<(), AttestationError> {
    if indices.is_empty() {
        return Err(AttestationError::Empty);
    }
    if !indices.is_sorted_by(|left, right| left < right) {
        return Err(AttestationError::Unsorted);
    }
    // The last index is the highest: an unknown validator is found before a key is.
    get_validator(state, indices[indices.len() - 1])?;
    if accept_attesters(state, indices, data, signature, signatures) {
        Ok(())
    } else {
        Err(AttestationError::Signature)
    }
}

/// Whether known validators signed `data`, as far as `signatures` asks.
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

/// Includes an attestation: checks it and keeps it for the rewards of its epoch.
///
/// # Errors
/// [`AttestationError`] names the first condition that fails. The state may have changed.
pub fn process_attestation<P: Preset>(
    state: &mut BeaconState<P>,
    attestation: &Attestation,
    signatures: &mut Signatures,
) -> Result<(), AttestationError> {
    let data = &attestation.data;
    let current = get_current_epoch(state);
    let target = data.target.epoch;
    if target != current && target != get_previous_epoch(state) {
        return Err(AttestationError::TargetEpoch { target, current });
    }
    if target != compute_epoch_at_slot::<P>(data.slot) {
        return Err(AttestationError::TargetSlot { target, slot: data.slot });
    }
    let earliest = data.slot.safe_add(P::MIN_ATTESTATION_INCLUSION_DELAY)?;
    let latest = data.slot.safe_add(P::SLOTS_PER_EPOCH)?;
    if !(earliest..=latest).contains(&state.slot) {
        return Err(AttestationError::InclusionDelay { attested: data.slot, state: state.slot });
    }
    if data.index >= get_committee_count_per_slot(state, target)? {
        return Err(AttestationError::Committee(data.index));
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
        return Err(AttestationError::Source);
    }
    let pending = PendingAttestation {
        aggregation_bits: attestation.aggregation_bits.clone(),
        data: data.clone(),
        inclusion_delay: state.slot - data.slot,
        proposer_index: get_beacon_proposer_index(state)?,
    };
    // A committee's members are distinct and known; the sum of their keys asks for no order.
    let mut attesters = Vec::with_capacity(committee);
    for_each_attester(state, data, &attestation.aggregation_bits, |index| {
        attesters.push(index);
        Ok(())
    })?;
    if attesters.is_empty() {
        return Err(AttestationError::Empty);
    }
    if !accept_attesters(state, &attesters, data, &attestation.signature, signatures) {
        return Err(AttestationError::Signature);
    }
    let list = if target == current {
        &mut state.current_epoch_attestations
    } else {
        &mut state.previous_epoch_attestations
    };
    list.push(pending).map_err(|_| StateError::ListFull("pending attestations"))?;
    Ok(())
}
