//! Votes of a payload-timeliness committee that a block carries.
//!
//! Reference: consensus specification, `gloas/beacon-chain.md`, "process_payload_attestation",
//! "get_indexed_payload_attestation" and "is_valid_indexed_payload_attestation".

use super::DOMAIN_PTC_ATTESTER;
use super::containers::{IndexedPayloadAttestation, PayloadAttestation, PayloadAttestationData};
use super::window::{PtcOutOfRange, PtcWindow, get_ptc};
use crate::accessors::{get_domain, get_validator, signature_set};
use crate::domains::{compute_epoch_at_slot, compute_signing_root};
use crate::error::{AsFault, Fault, Overflow, SafeMath, StateError};
use crate::preset::Preset;
use crate::primitives::{Domain, Root, Slot, ValidatorIndex};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::wire::Wire;

/// Why votes of a payload-timeliness committee are invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PayloadAttestationError {
    /// The votes are not for the parent of the block that carries them.
    #[error("PayloadAttestation: block {provided}, expected the parent {expected}")]
    BeaconBlockRoot {
        /// The block that the votes are for.
        provided: Root,
        /// The parent.
        expected: Root,
    },
    /// The votes are not of the slot before the block that carries them.
    #[error("PayloadAttestation: slot {slot}, expected the one before {state}")]
    Slot {
        /// The votes' slot.
        slot: Slot,
        /// The state's slot.
        state: Slot,
    },
    /// There are no voters.
    #[error("PayloadAttestation: 0 attesting indices, expected at least one")]
    Empty,
    /// The voters are not in ascending order.
    #[error(
        "PayloadAttestation: attesting index {index} after {previous}, expected ascending ones"
    )]
    Unsorted {
        /// The previous index.
        previous: ValidatorIndex,
        /// The index that is less.
        index: ValidatorIndex,
    },
    /// The signature is not that of the voters.
    #[error("PayloadAttestation: signature does not verify, expected that of {attesters} places")]
    Signature {
        /// How many places are said to have signed.
        attesters: usize,
    },
    /// The state does not know the committee.
    #[error("PayloadAttestation: {0}")]
    OutOfRange(#[from] PtcOutOfRange),
    /// A condition of a helper does not hold.
    #[error("PayloadAttestation: {0}")]
    State(#[from] StateError),
}

impl AsFault for PayloadAttestationError {
    fn as_fault(&self) -> Option<&Fault> {
        match self {
            Self::State(error) => error.as_fault(),
            _ => None,
        }
    }
}

impl From<Overflow> for PayloadAttestationError {
    fn from(overflow: Overflow) -> Self {
        Self::State(overflow.into())
    }
}

/// The domain of votes on the state's chain: that of the epoch of what is said.
fn domain<P: Preset>(state: &BeaconState<P>, data: &PayloadAttestationData) -> Domain {
    get_domain(state, DOMAIN_PTC_ATTESTER, compute_epoch_at_slot::<P>(data.slot))
}

/// What a member signs. It says nothing of who the member is.
pub fn payload_attestation_signing_root<P: Preset>(
    state: &BeaconState<P>,
    data: &PayloadAttestationData,
) -> Root {
    compute_signing_root(data.hash_tree_root(), domain(state, data))
}

/// The votes with their voters listed: for each place of the slot's committee that votes its
/// holder, in ascending order.
///
/// # Errors
/// [`PtcOutOfRange`] if the state does not know the committee.
pub fn get_indexed_payload_attestation<P: Preset>(
    state: &BeaconState<P>,
    window: &PtcWindow<P>,
    attestation: &PayloadAttestation<P>,
) -> Result<IndexedPayloadAttestation<P>, PayloadAttestationError> {
    let data = attestation.data;
    let ptc = get_ptc(state, window, data.slot)?;
    let places = attestation.aggregation_bits.ones();
    let mut indices: Vec<_> = places.filter_map(|place| ptc.get(place).copied()).collect();
    indices.sort_unstable();
    let attesting_indices =
        indices.try_into().map_err(|_| StateError::ListFull("attesting indices"))?;
    Ok(IndexedPayloadAttestation { attesting_indices, data, signature: attestation.signature })
}

/// Checks that there are voters, that they are in ascending order, and that each signed once for
/// each time that it is listed.
///
/// # Errors
/// [`PayloadAttestationError`] names the first condition that fails.
pub fn is_valid_indexed_payload_attestation<P: Preset>(
    state: &BeaconState<P>,
    attestation: &IndexedPayloadAttestation<P>,
    signatures: &mut Signatures,
) -> Result<(), PayloadAttestationError> {
    let indices = attestation.attesting_indices.to_vec();
    let Some(highest) = indices.last() else { return Err(PayloadAttestationError::Empty) };
    if let Some(pair) = indices.windows(2).find(|pair| pair[0] > pair[1]) {
        let (previous, index) = (pair[0], pair[1]);
        return Err(PayloadAttestationError::Unsorted { previous, index });
    }
    // An unknown validator is found before any key is looked up.
    get_validator(state, *highest)?;
    let data = &attestation.data;
    let signed = signatures.accept(|| {
        let compressed = |index: &ValidatorIndex| {
            let validator = state.validators.get(*index as usize)?;
            Some((*index as usize, &validator.pubkey))
        };
        let key = state.caches.public_keys.aggregate(indices.iter().filter_map(compressed));
        signature_set(key, data.hash_tree_root(), domain(state, data), &attestation.signature)
    });
    let attesters = indices.len();
    if signed { Ok(()) } else { Err(PayloadAttestationError::Signature { attesters }) }
}

/// Checks votes that a block of the state's slot carries; `state` is the block's pre-state with its
/// header applied. The votes change nothing in the state.
///
/// # Errors
/// [`PayloadAttestationError`] names the first condition that fails.
pub fn process_payload_attestation<P: Preset>(
    state: &BeaconState<P>,
    window: &PtcWindow<P>,
    attestation: &PayloadAttestation<P>,
    signatures: &mut Signatures,
) -> Result<(), PayloadAttestationError> {
    let data = &attestation.data;
    let (provided, expected) = (data.beacon_block_root, state.latest_block_header.parent_root);
    if provided != expected {
        return Err(PayloadAttestationError::BeaconBlockRoot { provided, expected });
    }
    if data.slot.safe_add(1)? != state.slot {
        return Err(PayloadAttestationError::Slot { slot: data.slot, state: state.slot });
    }
    let indexed = get_indexed_payload_attestation(state, window, attestation)?;
    is_valid_indexed_payload_attestation(state, &indexed, signatures)
}
