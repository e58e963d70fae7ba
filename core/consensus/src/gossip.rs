//! The conditions of the gossip topics that need a state.
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

use crate::accessors::{
    get_attesting_indices, get_committee_count_per_slot, get_committees, get_domain, public_key,
    signature_set,
};
use crate::containers::{Attestation, SignedAggregateAndProof};
use crate::domains::compute_epoch_at_slot;
use crate::error::{AsFault, StateError};
use crate::hash_tree::HashTree;
use crate::operations::{AttestationError, IndexedAttestationError, is_valid_indexed_attestation};
use crate::phase0::{InvalidData, Phase0, Phase0Fault};
use crate::preset::Preset;
use crate::primitives::{
    CommitteeIndex, DOMAIN_AGGREGATE_AND_PROOF, DOMAIN_SELECTION_PROOF, SignatureBytes, Slot,
    ValidatorIndex, hash,
};
use crate::signatures::Signatures;
use crate::state::BeaconState;
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

/// Verifies votes of one target, whose state is `target_state`: first everything but the
/// signatures, one by one, then the signatures of all in one batch.
pub(crate) fn verify_votes<P: Preset>(
    target_state: &BeaconState<P>,
    votes: &[&GossipVote<Phase0<P>>],
) -> Vec<Outcome> {
    let mut signatures = Signatures::Collect(Vec::with_capacity(votes.len()));
    let mut checked: Vec<(Outcome, Range<usize>)> = votes
        .iter()
        .map(|vote| {
            let start = signatures.collected();
            let outcome = match vote {
                GossipVote::Single { attestation, subnet } => {
                    check_single(target_state, attestation.value(), *subnet, &mut signatures)
                }
                GossipVote::Aggregate(aggregate) => {
                    check_aggregate(target_state, aggregate.value(), &mut signatures)
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

/// Checks the committee's index and that there is one bit for each member. Returns the committees
/// in each slot.
fn check_committee<P: Preset>(
    state: &BeaconState<P>,
    attestation: &Attestation,
) -> Result<u64, AttestationError> {
    let data = &attestation.data;
    let count = get_committee_count_per_slot(state, data.target.epoch)?;
    if data.index >= count {
        return Err(AttestationError::Committee { index: data.index, count });
    }
    Ok(count)
}

fn members<P: Preset>(
    state: &BeaconState<P>,
    attestation: &Attestation,
) -> Result<Vec<ValidatorIndex>, AttestationError> {
    let data = &attestation.data;
    let epoch = compute_epoch_at_slot::<P>(data.slot);
    if data.target.epoch != epoch {
        let (target, slot) = (data.target.epoch, data.slot);
        return Err(AttestationError::TargetSlot { target, expected: epoch, slot });
    }
    let committees = get_committees(state, epoch)?;
    let count = committees.committees_per_slot();
    let members = committees
        .committee(data.slot % P::SLOTS_PER_EPOCH, data.index)
        .ok_or(StateError::UnknownCommittee { index: data.index, count })?;
    let (bits, committee) = (attestation.aggregation_bits.len(), members.len());
    if bits != committee {
        return Err(AttestationError::AggregationBits { bits, committee });
    }
    Ok(members.to_vec())
}

fn check_single<P: Preset>(
    state: &BeaconState<P>,
    attestation: &Attestation,
    subnet: u64,
    signatures: &mut Signatures,
) -> Outcome {
    let Attestation { aggregation_bits, data, signature } = attestation;
    let who = || -> Result<Vec<ValidatorIndex>, VoteError> {
        let count = check_committee(state, attestation)?;
        let expected = compute_subnet_for_attestation::<P>(count, data.slot, data.index);
        if subnet != expected {
            return Err(VoteError::Gossip(GossipError::WrongSubnet { subnet, expected }));
        }
        members(state, attestation)?;
        Ok(get_attesting_indices(state, data, aggregation_bits)?)
    };
    let indices = who().map_err(Failure::from)?;
    let attester = indices.first().copied();
    is_valid_indexed_attestation(state, &indices, data, signature, signatures).map_err(
        |error| {
            let failure = VoteError::from(error).into();
            VoteFailure { failure, attester }
        },
    )?;
    Ok(indices)
}

fn check_aggregate<P: Preset>(
    state: &BeaconState<P>,
    signed: &SignedAggregateAndProof,
    signatures: &mut Signatures,
) -> Outcome {
    let message = &signed.message;
    let (aggregate, index) = (&message.aggregate, message.aggregator_index);
    let data = &aggregate.data;
    let mut check = || -> Result<Vec<ValidatorIndex>, VoteError> {
        check_committee(state, aggregate)?;
        let committee = members(state, aggregate)?;
        if !is_aggregator(committee.len(), &message.selection_proof) {
            return Err(VoteError::Gossip(GossipError::NotAggregator(index)));
        }
        if !committee.contains(&index) {
            let committee = data.index;
            let error = GossipError::AggregatorNotInCommittee { index, committee };
            return Err(VoteError::Gossip(error));
        }
        let key = public_key(state, index)?;
        let selects = signatures.accept(|| {
            let domain = get_domain(state, DOMAIN_SELECTION_PROOF, data.target.epoch);
            let root = data.slot.hash_root();
            signature_set(key, root, domain, &message.selection_proof)
        });
        if !selects {
            return Err(VoteError::Gossip(GossipError::SelectionProof(index)));
        }
        let signs = signatures.accept(|| {
            let domain = get_domain(state, DOMAIN_AGGREGATE_AND_PROOF, data.target.epoch);
            signature_set(key, message.hash_tree_root(), domain, &signed.signature)
        });
        if !signs {
            return Err(VoteError::Gossip(GossipError::AggregatorSignature(index)));
        }
        let indices = get_attesting_indices(state, data, &aggregate.aggregation_bits)?;
        let signature = &aggregate.signature;
        is_valid_indexed_attestation(state, &indices, data, signature, signatures)?;
        Ok(indices)
    };
    check().map_err(|error| Failure::from(error).into())
}
