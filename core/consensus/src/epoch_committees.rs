//! What attestations of one epoch of one branch are verified with, apart from any state.
//!
//! - E1: committees are a function of the epoch and its dependent root (K1 in `shufflings`). So are
//!   their members' keys: a member was registered before the dependent root's state, and a
//!   registered key never changes.
//! - E2: the domain is that of the chain at the epoch; in phase0 no block changes the fork.
//!
//! Hence every state of the branch around the epoch gives the same, and an attestation has the same
//! outcome as with its target's state. A clone costs a pointer; the registry behind it shares its
//! nodes with the states.

use std::sync::Arc;

use crate::accessors::{get_committees, get_domain, signature_set};
use crate::caches::PublicKeyTable;
use crate::containers::{Attestation, AttestationData, Validator};
use crate::domains::compute_epoch_at_slot;
use crate::error::StateError;
use crate::operations::{AttestationError, IndexedAttestationError};
use crate::preset::Preset;
use crate::primitives::{DOMAIN_BEACON_ATTESTER, Domain, Epoch, SignatureBytes, ValidatorIndex};
use crate::shufflings::Committees;
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::tree::PersistentList;
use crate::wire::Wire;

/// Committees of an epoch on one branch, the keys of their members, and the domain of their votes.
///
/// # Examples
/// ```
/// use blocksmith_consensus::{
///     ChainConfig, EpochCommittees, Minimal, Root, initialize_beacon_state_from_eth1,
/// };
/// let config = ChainConfig::minimal();
/// let state = initialize_beacon_state_from_eth1::<Minimal>(Root::ZERO, 0, &[], &config).unwrap();
/// assert_eq!(EpochCommittees::of(&state, 1).unwrap().epoch(), 1);
/// ```
#[derive(Debug)]
pub struct EpochCommittees<P: Preset> {
    inner: Arc<Inner<P>>,
}

#[derive(Debug)]
struct Inner<P: Preset> {
    epoch: Epoch,
    committees: Arc<Committees>,
    validators: PersistentList<Validator, P::ValidatorRegistryLimit>,
    public_keys: Arc<PublicKeyTable>,
    domain: Domain,
}

impl<P: Preset> Clone for EpochCommittees<P> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<P: Preset> EpochCommittees<P> {
    /// The committees of `epoch` on the branch of `state`, which is in that epoch or in one beside
    /// it.
    ///
    /// # Errors
    /// As [`get_committees`].
    pub fn of(state: &BeaconState<P>, epoch: Epoch) -> Result<Self, StateError> {
        let inner = Inner {
            epoch,
            committees: get_committees(state, epoch)?,
            validators: state.validators.clone(),
            public_keys: Arc::clone(&state.caches.public_keys),
            domain: get_domain(state, DOMAIN_BEACON_ATTESTER, epoch),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// Checks an attestation of the epoch, and treats its signature as `signatures` says. Returns
    /// who voted, ascending.
    ///
    /// # Errors
    /// [`AttestationError`] names the first condition that fails.
    pub(crate) fn check(
        &self,
        attestation: &Attestation,
        signatures: &mut Signatures,
    ) -> Result<Vec<ValidatorIndex>, AttestationError> {
        let Attestation { aggregation_bits, data, signature } = attestation;
        let (target, slot) = (data.target.epoch, data.slot);
        let expected = compute_epoch_at_slot::<P>(slot);
        if target != expected {
            return Err(AttestationError::TargetSlot { target, expected, slot });
        }
        let committee = self.committee(data)?;
        // Stricter than `on_attestation`, as the gossip rules require: there must be a bit for each
        // member.
        let (bits, members) = (aggregation_bits.len(), committee.len());
        if bits != members {
            return Err(AttestationError::AggregationBits { bits, committee: members });
        }
        let voted = committee.iter().zip(aggregation_bits.iter()).filter(|(_, bit)| **bit);
        let mut indices: Vec<_> = voted.map(|(member, _)| *member).collect();
        indices.sort_unstable();
        if indices.is_empty() {
            return Err(IndexedAttestationError::Empty.into());
        }
        if !self.accept(&indices, data, signature, signatures) {
            return Err(IndexedAttestationError::Signature { attesters: indices.len() }.into());
        }
        Ok(indices)
    }

    fn committee(&self, data: &AttestationData) -> Result<&[ValidatorIndex], StateError> {
        let committees = &self.inner.committees;
        let (index, count) = (data.index, committees.committees_per_slot());
        let committee = committees.committee(data.slot % P::SLOTS_PER_EPOCH, index);
        committee.ok_or(StateError::UnknownCommittee { index, count })
    }

    /// Whether these members of a committee signed `data`, as far as `signatures` asks for that.
    fn accept(
        &self,
        attesters: &[ValidatorIndex],
        data: &AttestationData,
        signature: &SignatureBytes,
        signatures: &mut Signatures,
    ) -> bool {
        let Inner { validators, public_keys, domain, .. } = &*self.inner;
        signatures.accept(|| {
            let compressed = |index: &ValidatorIndex| {
                Some((*index as usize, &validators.get(*index as usize)?.pubkey))
            };
            let key = public_keys.aggregate(attesters.iter().filter_map(compressed));
            signature_set(key, data.hash_tree_root(), *domain, signature)
        })
    }
}
