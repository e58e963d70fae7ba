//! What of phase0 the services hold and tell: shared values with their roots, and what can be wrong
//! with them.
//!
//! Roots are computed once, when the values are decoded.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use blocksmith::consensus::Invalid;

use crate::containers::{
    Attestation, AttesterSlashing, BeaconBlock, ProposerSlashing, SignedAggregateAndProof,
    SignedBeaconBlock, SignedVoluntaryExit,
};
use crate::error::{Fault, StateError};
use crate::gloas::{PayloadAttestationMessage, PayloadGossipError};
use crate::gossip::GossipError;
use crate::operations::{
    AttestationError, AttesterSlashingError, IndexedAttestationError, ProposerSlashingError,
    VoluntaryExitError,
};
use crate::primitives::{Epoch, Root};
use crate::state_transition::{BlockError, SlotsError};
use crate::wire::{DecodeError, Wire};

/// A shared value of a type that travels, with the root that identifies it.
#[derive(Debug)]
pub struct Shared<T> {
    inner: Arc<(Root, T)>,
}

/// A shared signed block; its root is that of the message, its identity includes the signature.
pub type SharedBlock = Shared<SignedBeaconBlock>;
/// A shared attestation; its root covers all of it.
pub type SharedAttestation = Shared<Attestation>;
/// A shared aggregate; its root covers all of it. So do those of the three operations.
pub type SharedAggregate = Shared<SignedAggregateAndProof>;
/// A shared proposer slashing.
pub type SharedProposerSlashing = Shared<ProposerSlashing>;
/// A shared attester slashing.
pub type SharedAttesterSlashing = Shared<AttesterSlashing>;
/// A shared block without a signature; its root is that of the block.
pub type SharedUnsignedBlock = Shared<BeaconBlock>;
/// A shared voluntary exit.
pub type SharedVoluntaryExit = Shared<SignedVoluntaryExit>;

/// A shared vote on a payload; its root covers all of it.
pub type SharedPayloadVote = Shared<PayloadAttestationMessage>;

impl<T> Shared<T> {
    /// The root that was computed when the value was wrapped.
    pub fn root(&self) -> Root {
        self.inner.0
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.inner.1
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || self.inner == other.inner
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.inner.0.hash(hasher);
    }
}

impl From<SignedBeaconBlock> for SharedBlock {
    fn from(block: SignedBeaconBlock) -> Self {
        Self { inner: Arc::new((block.message.hash_tree_root(), block)) }
    }
}

/// Values whose root covers all of them.
macro_rules! shared_whole {
    ($($value:ty),+) => {$(
        impl From<$value> for Shared<$value> {
            fn from(value: $value) -> Self {
                Self { inner: Arc::new((value.hash_tree_root(), value)) }
            }
        }
    )+};
}
shared_whole!(
    Attestation,
    SignedAggregateAndProof,
    ProposerSlashing,
    AttesterSlashing,
    SignedVoluntaryExit,
    BeaconBlock,
    PayloadAttestationMessage
);

/// What can be wrong with a peer's data.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidData {
    /// The bytes are not the encoding of anything.
    #[error("malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// A block breaks a rule.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// An attestation breaks a rule.
    #[error(transparent)]
    Attestation(#[from] AttestationError),
    /// A gossip vote breaks a rule of its topic.
    #[error(transparent)]
    Gossip(#[from] GossipError),
    /// A proposer slashing breaks a rule.
    #[error(transparent)]
    ProposerSlashing(#[from] ProposerSlashingError),
    /// An attester slashing breaks a rule.
    #[error(transparent)]
    AttesterSlashing(#[from] AttesterSlashingError),
    /// A voluntary exit breaks a rule.
    #[error(transparent)]
    VoluntaryExit(#[from] VoluntaryExitError),
    /// A vote on a payload breaks a rule of its topic.
    #[error(transparent)]
    PayloadVote(#[from] PayloadGossipError),
}

impl Invalid for InvalidData {
    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_ssz",
            Self::Block(error) => error.reason(),
            Self::Attestation(AttestationError::Indexed(IndexedAttestationError::Signature {
                ..
            })) => "bad_signature",
            Self::Attestation(_) => "bad_attestation",
            Self::Gossip(error) => error.reason(),
            Self::ProposerSlashing(_) => "bad_proposer_slashing",
            Self::AttesterSlashing(_) => "bad_attester_slashing",
            Self::VoluntaryExit(_) => "bad_voluntary_exit",
            Self::PayloadVote(error) => error.reason(),
        }
    }

    fn condemns_root(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::Block(BlockError::ProposerSignature(_)) => false,
            Self::Block(_) | Self::Attestation(_) | Self::Gossip(_) | Self::PayloadVote(_) => true,
            Self::ProposerSlashing(error) => error.is_lasting(),
            Self::AttesterSlashing(error) => error.is_lasting(),
            Self::VoluntaryExit(error) => error.is_lasting(),
        }
    }
}

/// What can go wrong on our side.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Phase0Fault {
    /// A machine's fault.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// One of our states does not support what was asked of it.
    #[error("our state: {0}")]
    State(#[from] StateError),
    /// An attestation was to be verified with committees of another epoch.
    #[error("committees of epoch {epoch}, asked for those of {asked}")]
    Committees {
        /// The epoch of the committees.
        epoch: Epoch,
        /// The attestation's epoch.
        asked: Epoch,
    },
    /// A vote on a payload was to be verified, and the protocol has no committee for that.
    #[error("there is no payload-timeliness committee")]
    NoPayloadCommittee,
    /// A state was to be brought back in time.
    #[error("our state: {0}")]
    Slots(#[from] SlotsError),
}
