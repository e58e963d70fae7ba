//! Epochs, fork versions and signature domains.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Misc".

use crate::containers::{ForkData, SigningData};
use crate::error::{Overflow, SafeMath};
use crate::preset::Preset;
use crate::primitives::{Domain, DomainType, Epoch, Root, Slot, Version};
use crate::wire::Wire;

/// The epoch that `slot` is in.
pub fn compute_epoch_at_slot<P: Preset>(slot: Slot) -> Epoch {
    slot / P::SLOTS_PER_EPOCH
}

/// The first slot of `epoch`.
///
/// # Errors
/// [`Overflow`] if there is no such slot.
pub fn compute_start_slot_at_epoch<P: Preset>(epoch: Epoch) -> Result<Slot, Overflow> {
    epoch.safe_mul(P::SLOTS_PER_EPOCH)
}

/// The epoch at which an activation or exit that is initiated in `epoch` takes effect.
///
/// # Errors
/// [`Overflow`] if an epoch or slot number does not fit.
pub fn compute_activation_exit_epoch<P: Preset>(epoch: Epoch) -> Result<Epoch, Overflow> {
    epoch.safe_add(1 + P::MAX_SEED_LOOKAHEAD)
}

/// The root that tells forks and chains apart.
pub fn compute_fork_data_root(version: Version, genesis_validators_root: Root) -> Root {
    ForkData { current_version: version, genesis_validators_root }.hash_tree_root()
}

/// The domain of a purpose on a fork of a chain.
pub fn compute_domain(
    domain_type: DomainType,
    fork_version: Version,
    genesis_validators_root: Root,
) -> Domain {
    let fork_data_root = compute_fork_data_root(fork_version, genesis_validators_root);
    let mut domain = [0; 32];
    domain[..4].copy_from_slice(&domain_type);
    domain[4..].copy_from_slice(&fork_data_root.as_bytes()[..28]);
    Domain::new(domain)
}

/// What is signed for an object whose root is `object_root`.
pub fn compute_signing_root(object_root: Root, domain: Domain) -> Root {
    SigningData { object_root, domain }.hash_tree_root()
}
