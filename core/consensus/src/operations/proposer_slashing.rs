//! Proposer slashings.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "process_proposer_slashing".

use crate::accessors::{
    get_current_epoch, get_validator, is_slashable_validator, public_key, signature_set,
};
use crate::config::ChainConfig;
use crate::containers::ProposerSlashing;
use crate::domains::{compute_epoch_at_slot, get_domain};
use crate::error::StateError;
use crate::mutators::slash_validator;
use crate::operations::fault_in_state;
use crate::preset::Preset;
use crate::primitives::{DOMAIN_BEACON_PROPOSER, ValidatorIndex};
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::wire::Wire;

/// Why a proposer slashing is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ProposerSlashingError {
    /// The headers are of different slots.
    #[error("the headers are of different slots")]
    Slots,
    /// The headers are of different proposers.
    #[error("the headers are of different proposers")]
    Proposers,
    /// The headers are the same.
    #[error("the headers are the same")]
    SameHeader,
    /// The proposer was slashed before, is not active yet, or may withdraw already.
    #[error("validator {0} cannot be slashed")]
    NotSlashable(ValidatorIndex),
    /// A header's signature is not the proposer's.
    #[error("a header's signature does not verify")]
    Signature,
    /// A helper's condition.
    #[error(transparent)]
    State(#[from] StateError),
}

fault_in_state!(ProposerSlashingError);

/// Slashes a proposer who signed two headers for one slot.
///
/// # Errors
/// [`ProposerSlashingError`] names the first condition that fails. The state may have changed.
pub fn process_proposer_slashing<P: Preset>(
    state: &mut BeaconState<P>,
    slashing: &ProposerSlashing,
    signatures: &mut Signatures,
    config: &ChainConfig,
) -> Result<(), ProposerSlashingError> {
    let signed_headers = [&slashing.signed_header_1, &slashing.signed_header_2];
    let [first, second] = signed_headers.map(|signed| &signed.message);
    if first.slot != second.slot {
        return Err(ProposerSlashingError::Slots);
    }
    if first.proposer_index != second.proposer_index {
        return Err(ProposerSlashingError::Proposers);
    }
    if first == second {
        return Err(ProposerSlashingError::SameHeader);
    }
    let proposer_index = first.proposer_index;
    if !is_slashable_validator(get_validator(state, proposer_index)?, get_current_epoch(state)) {
        return Err(ProposerSlashingError::NotSlashable(proposer_index));
    }
    for signed in signed_headers {
        let header = &signed.message;
        let key = public_key(state, proposer_index)?;
        let accepted = signatures.accept(|| {
            let epoch = compute_epoch_at_slot::<P>(header.slot);
            let domain = get_domain(state, DOMAIN_BEACON_PROPOSER, epoch);
            signature_set(key, header.hash_tree_root(), domain, &signed.signature)
        });
        if !accepted {
            return Err(ProposerSlashingError::Signature);
        }
    }
    Ok(slash_validator(state, proposer_index, None, config)?)
}
