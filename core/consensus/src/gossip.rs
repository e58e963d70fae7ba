//! The conditions of the gossip topics that need committees.
//!
//! The Quarantine has judged what needs none. Here, in the specification's order, is what needs the
//! committees, and last the signatures. Those of a whole batch are verified together: each message
//! sets its signatures aside in order, and the first that is invalid is the reason, as it would be
//! if each had been verified where it occurs.
//!
//! Reference: consensus specification, `phase0/p2p-interface.md`, "Topics and messages", and
//! `phase0/validator.md`, "Aggregation selection" and "Broadcast attestation".

use std::ops::Range;

use blocksmith::consensus::Failure;
use blocksmith::gossip::{GossipVote, VoteFailure};

use crate::containers::{Attestation, SignedAggregateAndProof};
use crate::epoch_committees::{EpochCommittees, Signed};
use crate::error::AsFault;
use crate::hash_tree::HashTree;
use crate::operations::{AttestationError, IndexedAttestationError};
use crate::phase0::Phase0;
use crate::preset::Preset;
use crate::primitives::{CommitteeIndex, SignatureBytes, Slot, ValidatorIndex, hash};
use crate::shared::{InvalidData, Phase0Fault};
use crate::signatures::Signatures;
use crate::wire::Wire;

/// Number of subnets on which single attestations travel.
pub const ATTESTATION_SUBNET_COUNT: u64 = 64;
/// How many members of a committee are selected as aggregators, on average.
pub const TARGET_AGGREGATORS_PER_COMMITTEE: u64 = 16;

/// Why a gossip vote is invalid, beside what its attestation breaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum GossipError {
    /// A single attestation came on a subnet that is not its committee's.
    #[error("Attestation: subnet {subnet}, expected {expected}")]
    WrongSubnet {
        /// The subnet that it came on.
        subnet: u64,
        /// The subnet of its committee.
        expected: u64,
    },
    /// The selection proof does not select.
    #[error("AggregateAndProof: the selection proof of validator {0} does not select it")]
    NotAggregator(ValidatorIndex),
    /// The aggregator is not a member of the committee.
    #[error("AggregateAndProof: aggregator {index}, expected a member of committee {committee}")]
    AggregatorNotInCommittee {
        /// The aggregator.
        index: ValidatorIndex,
        /// The committee's index.
        committee: CommitteeIndex,
    },
    /// The selection proof is not the aggregator's signature.
    #[error("AggregateAndProof: selection proof does not verify, expected validator {0}'s")]
    SelectionProof(ValidatorIndex),
    /// The message is not signed by the aggregator.
    #[error("AggregateAndProof: signature does not verify, expected validator {0}'s")]
    AggregatorSignature(ValidatorIndex),
}

impl GossipError {
    /// The project's word for the reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::WrongSubnet { .. } => "wrong_subnet",
            Self::NotAggregator(_) => "not_aggregator",
            Self::AggregatorNotInCommittee { .. } => "aggregator_not_in_committee",
            Self::SelectionProof(_) => "bad_selection_proof",
            Self::AggregatorSignature(_) => "bad_aggregator_signature",
        }
    }
}

/// The subnet of committee `index` of `slot`, of `committees_per_slot`.
///
/// # Examples
/// ```
/// use blocksmith_consensus::{Minimal, compute_subnet_for_attestation};
/// // The third slot of an epoch with two committees a slot.
/// assert_eq!(compute_subnet_for_attestation::<Minimal>(2, 10, 1), 5);
/// ```
pub fn compute_subnet_for_attestation<P: Preset>(
    committees_per_slot: u64,
    slot: Slot,
    index: CommitteeIndex,
) -> u64 {
    let before = committees_per_slot.wrapping_mul(slot % P::SLOTS_PER_EPOCH);
    before.wrapping_add(index) % ATTESTATION_SUBNET_COUNT
}

/// Whether a selection proof selects a member of a committee of `committee_len`.
pub fn is_aggregator(committee_len: usize, selection_proof: &SignatureBytes) -> bool {
    let modulo = (committee_len as u64 / TARGET_AGGREGATORS_PER_COMMITTEE).max(1);
    let digest = hash(selection_proof.as_bytes());
    let first = digest.as_bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    first % modulo == 0
}

/// What `verify_gossip_votes` returns of one vote.
type Outcome = Result<Vec<ValidatorIndex>, VoteFailure<InvalidData, Phase0Fault>>;

/// Verifies votes of the epoch and branch of `committees`: first everything but the signatures, one
/// by one, then the signatures of all in one batch.
pub(crate) fn verify_votes<P: Preset>(
    committees: &EpochCommittees<P>,
    votes: &[&GossipVote<Phase0<P>>],
) -> Vec<Outcome> {
    let mut signatures = Signatures::Collect(Vec::with_capacity(votes.len()));
    let mut checked: Vec<(Outcome, Range<usize>)> = votes
        .iter()
        .map(|vote| {
            let start = signatures.collected();
            let outcome = match vote {
                GossipVote::Single { attestation, subnet } => {
                    check_single(committees, attestation.value(), *subnet, &mut signatures)
                }
                GossipVote::Aggregate(aggregate) => {
                    check_aggregate(committees, aggregate.value(), &mut signatures)
                }
            };
            (outcome, start..signatures.collected())
        })
        .collect();
    match signatures.all_invalid() {
        Ok(invalid) => {
            for ((outcome, collected), vote) in checked.iter_mut().zip(votes) {
                let first = invalid.partition_point(|at| *at < collected.start);
                if let Some(at) = invalid.get(first).filter(|at| collected.contains(at)) {
                    let attesters = outcome.as_ref().map_or(0, Vec::len);
                    let attester =
                        outcome.as_ref().ok().and_then(|indices| indices.first().copied());
                    *outcome = Err(bad_signature(vote, at - collected.start, attesters, attester));
                }
            }
        }
        Err(fault) => {
            for (outcome, _) in checked.iter_mut().filter(|(outcome, _)| outcome.is_ok()) {
                *outcome = Err(Failure::Fault(Phase0Fault::from(fault.clone())).into());
            }
        }
    }
    checked.into_iter().map(|(outcome, _)| outcome).collect()
}

/// Names the signature of a vote that is invalid by its place among those that the vote set aside.
fn bad_signature<P: Preset>(
    vote: &GossipVote<Phase0<P>>,
    place: usize,
    attesters: usize,
    attester: Option<ValidatorIndex>,
) -> VoteFailure<InvalidData, Phase0Fault> {
    let of_attesters = AttestationError::Indexed(IndexedAttestationError::Signature { attesters });
    let (invalid, attester) = match vote {
        GossipVote::Single { .. } => (InvalidData::from(of_attesters), attester),
        GossipVote::Aggregate(aggregate) => {
            let index = aggregate.value().message.aggregator_index;
            let invalid = match place {
                0 => GossipError::SelectionProof(index).into(),
                1 => GossipError::AggregatorSignature(index).into(),
                _ => of_attesters.into(),
            };
            (invalid, None)
        }
    };
    VoteFailure { failure: Failure::Invalid(invalid), attester }
}

/// What is wrong with a vote.
#[derive(Debug)]
enum VoteError {
    Attestation(AttestationError),
    Gossip(GossipError),
}

impl<T: Into<AttestationError>> From<T> for VoteError {
    fn from(error: T) -> Self {
        Self::Attestation(error.into())
    }
}

impl From<VoteError> for Failure<InvalidData, Phase0Fault> {
    fn from(error: VoteError) -> Self {
        match error {
            VoteError::Gossip(error) => Self::Invalid(error.into()),
            VoteError::Attestation(error) => match error.as_fault() {
                Some(fault) => Self::Fault(fault.clone().into()),
                None => Self::Invalid(error.into()),
            },
        }
    }
}

/// Checks the committee's index. Returns the committees in each slot.
fn check_committee<P: Preset>(
    committees: &EpochCommittees<P>,
    attestation: &Attestation,
) -> Result<u64, AttestationError> {
    let (index, count) = (attestation.data.index, committees.committees_per_slot());
    if index >= count {
        return Err(AttestationError::Committee { index, count });
    }
    Ok(count)
}

fn check_single<P: Preset>(
    committees: &EpochCommittees<P>,
    attestation: &Attestation,
    subnet: u64,
    signatures: &mut Signatures,
) -> Outcome {
    let data = &attestation.data;
    let who = || -> Result<Vec<ValidatorIndex>, VoteError> {
        let count = check_committee(committees, attestation)?;
        let expected = compute_subnet_for_attestation::<P>(count, data.slot, data.index);
        if subnet != expected {
            return Err(VoteError::Gossip(GossipError::WrongSubnet { subnet, expected }));
        }
        Ok(committees.voters(attestation)?)
    };
    let indices = who().map_err(Failure::from)?;
    let attester = indices.first().copied();
    committees.verify(&indices, attestation, signatures).map_err(|error| {
        let failure = VoteError::from(error).into();
        VoteFailure { failure, attester }
    })?;
    Ok(indices)
}

fn check_aggregate<P: Preset>(
    committees: &EpochCommittees<P>,
    signed: &SignedAggregateAndProof,
    signatures: &mut Signatures,
) -> Outcome {
    let message = &signed.message;
    let (aggregate, index) = (&message.aggregate, message.aggregator_index);
    let data = &aggregate.data;
    let mut check = || -> Result<Vec<ValidatorIndex>, VoteError> {
        check_committee(committees, aggregate)?;
        let committee = committees.members(aggregate)?;
        if !is_aggregator(committee.len(), &message.selection_proof) {
            return Err(VoteError::Gossip(GossipError::NotAggregator(index)));
        }
        if !committee.contains(&index) {
            let committee = data.index;
            let error = GossipError::AggregatorNotInCommittee { index, committee };
            return Err(VoteError::Gossip(error));
        }
        let (slot, proof) = (data.slot.hash_root(), &message.selection_proof);
        if !committees.signed_by(index, Signed::Selection, slot, proof, signatures) {
            return Err(VoteError::Gossip(GossipError::SelectionProof(index)));
        }
        let (root, signature) = (message.hash_tree_root(), &signed.signature);
        if !committees.signed_by(index, Signed::Aggregate, root, signature, signatures) {
            return Err(VoteError::Gossip(GossipError::AggregatorSignature(index)));
        }
        let indices = committees.voters(aggregate)?;
        committees.verify(&indices, aggregate, signatures)?;
        Ok(indices)
    };
    check().map_err(|error| Failure::from(error).into())
}
