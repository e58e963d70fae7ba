//! What comes by gossip beside blocks: votes (single attestations and aggregates) and operations
//! (slashings and voluntary exits).
//!
//! **Contract.** The protocol says once, when an item is first looked at, what the gossip
//! conditions ask of it without a state: [`VoteHeader`] and [`OperationHeader`]. The Quarantine
//! judges by them; what needs a state is a job of the Rewinder's.
//!
//! Reference: consensus specification, `phase0/p2p-interface.md`, "Topics and messages".

pub use crate::bits::Bits;
use crate::consensus::{Consensus, Failure, ValidatorIndex, Vote};
use crate::identified::Identified;

/// A vote is propagated until so many slots after its own have passed.
pub const ATTESTATION_PROPAGATION_SLOT_RANGE: u64 = 32;
/// Two honest clocks may differ by so many milliseconds.
pub const MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS: u64 = 500;

/// A vote as it travels on its topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GossipVote<C: Consensus> {
    /// An attestation of one validator.
    Single {
        /// The attestation.
        attestation: C::Attestation,
        /// The subnet that it came on.
        subnet: u64,
    },
    /// An aggregate, with the proof that its aggregator was selected.
    Aggregate(C::Aggregate),
}

impl<C: Consensus> GossipVote<C> {
    /// Returns the attestation, without what its topic adds.
    pub fn attestation(&self, consensus: &C) -> C::Attestation {
        match self {
            Self::Single { attestation, .. } => attestation.clone(),
            Self::Aggregate(aggregate) => consensus.aggregated(aggregate),
        }
    }
}

/// An operation as it travels on its topic. A clone costs a pointer.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Operation<C: Consensus> {
    /// Two headers that one proposer signed for one slot.
    ProposerSlashing(C::ProposerSlashing),
    /// Two votes that contradict each other.
    AttesterSlashing(C::AttesterSlashing),
    /// A validator's wish to stop.
    VoluntaryExit(C::VoluntaryExit),
}

// A derived `Clone` would ask for a protocol that can be cloned.
impl<C: Consensus> Clone for Operation<C> {
    fn clone(&self) -> Self {
        match self {
            Self::ProposerSlashing(slashing) => Self::ProposerSlashing(slashing.clone()),
            Self::AttesterSlashing(slashing) => Self::AttesterSlashing(slashing.clone()),
            Self::VoluntaryExit(exit) => Self::VoluntaryExit(exit.clone()),
        }
    }
}

/// The topic of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// `proposer_slashing`.
    ProposerSlashing,
    /// `attester_slashing`.
    AttesterSlashing,
    /// `voluntary_exit`.
    VoluntaryExit,
}

impl OperationKind {
    /// Returns the name of the topic.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ProposerSlashing => "proposer slashing",
            Self::AttesterSlashing => "attester slashing",
            Self::VoluntaryExit => "voluntary exit",
        }
    }
}

impl<C: Consensus> Operation<C> {
    /// Returns whether the other is the same operation, signatures included. A derived comparison
    /// would ask for a protocol that can be compared.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ProposerSlashing(one), Self::ProposerSlashing(other)) => one == other,
            (Self::AttesterSlashing(one), Self::AttesterSlashing(other)) => one == other,
            (Self::VoluntaryExit(one), Self::VoluntaryExit(other)) => one == other,
            _ => false,
        }
    }

    /// Returns its topic.
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::ProposerSlashing(_) => OperationKind::ProposerSlashing,
            Self::AttesterSlashing(_) => OperationKind::AttesterSlashing,
            Self::VoluntaryExit(_) => OperationKind::VoluntaryExit,
        }
    }
}

/// Which topic a vote came on, with what the topic adds to the attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VoteTopic {
    /// `beacon_attestation_{subnet}`.
    Subnet(u64),
    /// `beacon_aggregate_and_proof`, by this aggregator (as the message claims).
    Aggregate(ValidatorIndex),
}

/// What the gossip conditions ask of a vote without a state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VoteHeader<R> {
    /// What is voted for. `id` is the root of the whole message: signatures, bits and, for an
    /// aggregate, the proof.
    pub vote: Vote<R>,
    /// `hash_tree_root` of the attestation data.
    pub data: R,
    /// The committee's index in its slot.
    pub committee: u64,
    /// Which members vote.
    pub bits: Bits,
    /// Where it came from.
    pub topic: VoteTopic,
}

/// What the gossip conditions ask of an operation without a state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperationHeader<R> {
    /// `hash_tree_root` of the whole message, signatures included.
    pub id: R,
    /// The validators that it is about, ascending: the proposer (that of the first header), the
    /// attesters that both votes name, or the one that wishes to stop.
    pub validators: Vec<ValidatorIndex>,
}

/// A gossip vote with its [`VoteHeader`].
pub type IdentifiedVote<C> = Identified<GossipVote<C>, VoteHeader<<C as Consensus>::Root>>;
/// An operation with its [`OperationHeader`].
pub type IdentifiedOperation<C> = Identified<Operation<C>, OperationHeader<<C as Consensus>::Root>>;

/// Why a gossip vote did not pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VoteFailure<I, F> {
    /// The first check that fails.
    pub failure: Failure<I, F>,
    /// For a single attestation whose committee and bits are right: who is said to vote. That an
    /// earlier vote of this validator was seen counts before its signature does.
    pub attester: Option<ValidatorIndex>,
}

impl<I, F> From<Failure<I, F>> for VoteFailure<I, F> {
    fn from(failure: Failure<I, F>) -> Self {
        Self { failure, attester: None }
    }
}

/// The validators that voted, ascending, or why the vote did not pass.
pub type VoteOutcome<C> =
    Result<Vec<ValidatorIndex>, VoteFailure<<C as Consensus>::Invalid, <C as Consensus>::Fault>>;
