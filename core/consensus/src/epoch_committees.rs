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
use crate::bls::{BlsError, PublicKey};
use crate::caches::PublicKeyTable;
use crate::containers::{Attestation, AttestationData, Validator};
use crate::domains::compute_epoch_at_slot;
use crate::error::StateError;
use crate::operations::{AttestationError, IndexedAttestationError};
use crate::preset::Preset;
use crate::primitives::{
    DOMAIN_AGGREGATE_AND_PROOF, DOMAIN_BEACON_ATTESTER, DOMAIN_SELECTION_PROOF, Domain, Epoch,
    Root, SignatureBytes, ValidatorIndex,
};
use crate::shufflings::Committees;
use crate::signatures::Signatures;
use crate::state::BeaconState;
use crate::tree::PersistentList;
use crate::wire::Wire;

/// What a member of a committee signs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signed {
    /// An attestation.
    Attestation,
    /// The slot, to be selected as an aggregator.
    Selection,
    /// An aggregate with its proof.
    Aggregate,
}

/// Committees of an epoch on one branch, the keys of their members, and the domains of what they
/// sign.
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
    /// By [`Signed`].
    domains: [Domain; 3],
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
            domains: [DOMAIN_BEACON_ATTESTER, DOMAIN_SELECTION_PROOF, DOMAIN_AGGREGATE_AND_PROOF]
                .map(|domain| get_domain(state, domain, epoch)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// The number of committees in each slot.
    pub(crate) fn committees_per_slot(&self) -> u64 {
        self.inner.committees.committees_per_slot()
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
        let indices = self.voters(attestation)?;
        self.verify(&indices, attestation, signatures)?;
        Ok(indices)
    }

    /// The members of the attestation's committee. There must be a bit for each: that is stricter
    /// than `on_attestation`, as the gossip rules require.
    ///
    /// # Errors
    /// If the target's epoch is not that of the slot, or there is no such committee, or there are
    /// more or fewer bits.
    pub(crate) fn members(
        &self,
        attestation: &Attestation,
    ) -> Result<&[ValidatorIndex], AttestationError> {
        let data = &attestation.data;
        let (target, slot) = (data.target.epoch, data.slot);
        let expected = compute_epoch_at_slot::<P>(slot);
        if target != expected {
            return Err(AttestationError::TargetSlot { target, expected, slot });
        }
        let members = self.committee(data)?;
        let (bits, committee) = (attestation.aggregation_bits.len(), members.len());
        if bits != committee {
            return Err(AttestationError::AggregationBits { bits, committee });
        }
        Ok(members)
    }

    /// Who voted, ascending.
    ///
    /// # Errors
    /// As [`EpochCommittees::members`].
    pub(crate) fn voters(
        &self,
        attestation: &Attestation,
    ) -> Result<Vec<ValidatorIndex>, AttestationError> {
        let bits = attestation.aggregation_bits.iter();
        let voted = self.members(attestation)?.iter().zip(bits).filter(|(_, bit)| **bit);
        let mut indices: Vec<_> = voted.map(|(member, _)| *member).collect();
        indices.sort_unstable();
        Ok(indices)
    }

    /// Checks that these members, at least one, signed the attestation.
    ///
    /// # Errors
    /// If there is none, or the signature does not verify, as far as `signatures` asks for that.
    pub(crate) fn verify(
        &self,
        indices: &[ValidatorIndex],
        attestation: &Attestation,
        signatures: &mut Signatures,
    ) -> Result<(), IndexedAttestationError> {
        if indices.is_empty() {
            return Err(IndexedAttestationError::Empty);
        }
        if !self.accept(indices, &attestation.data, &attestation.signature, signatures) {
            return Err(IndexedAttestationError::Signature { attesters: indices.len() });
        }
        Ok(())
    }

    /// Whether a member signed what has this root, as far as `signatures` asks for that.
    pub(crate) fn signed_by(
        &self,
        index: ValidatorIndex,
        what: Signed,
        root: Root,
        signature: &SignatureBytes,
        signatures: &mut Signatures,
    ) -> bool {
        let domain = self.inner.domains[what as usize];
        signatures.accept(|| signature_set(self.key(&[index]), root, domain, signature))
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
        let domain = self.inner.domains[Signed::Attestation as usize];
        signatures
            .accept(|| signature_set(self.key(attesters), data.hash_tree_root(), domain, signature))
    }

    /// The sum of the members' keys.
    fn key(&self, members: &[ValidatorIndex]) -> Result<PublicKey, BlsError> {
        let Inner { validators, public_keys, .. } = &*self.inner;
        let compressed = |index: &ValidatorIndex| {
            Some((*index as usize, &validators.get(*index as usize)?.pubkey))
        };
        public_keys.aggregate(members.iter().filter_map(compressed))
    }
}
