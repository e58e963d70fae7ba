//! What a Rewinder worker does with gossip votes and operations; see [`crate::rewinder`].
//!
//! A batch may mix attestations that came without a proof with gossip votes of the same target,
//! since both need the same state. Each job has its own answer, in the order of the jobs.

use crate::consensus::{AttestationOutcome, Consensus, Failure, IndexedVote};
use crate::gossip::{IdentifiedOperation, IdentifiedVote, VoteFailure, VoteOutcome};
use crate::hot_db::StateAt;
use crate::identified::IdentifiedAttestation;
use crate::rewinder::worker::{Answer, Job, WorkerEffect, fault_of, stop};
use crate::verdict::{Cleared, RejectReason};

/// Does jobs that need the state that is loaded; answers each, in order.
pub(super) fn verify<C: Consensus>(
    consensus: &C,
    at: &StateAt<C>,
    jobs: Vec<Job<C>>,
) -> Vec<WorkerEffect<C>> {
    let (mut attestations, mut votes) = (Vec::new(), Vec::new());
    for job in &jobs {
        match job {
            Job::Attestation(attestation) => attestations.push(attestation.item().clone()),
            Job::Vote(vote) => votes.push(vote.item()),
            Job::Block(_) | Job::State { .. } | Job::Operation { .. } => {}
        }
    }
    let mut of_attestations = match attestations.as_slice() {
        [] => Vec::new(),
        some => consensus.verify_attestations(&at.state, some),
    }
    .into_iter();
    let mut of_votes = match votes.as_slice() {
        [] => Vec::new(),
        some => consensus.verify_gossip_votes(&at.state, some),
    }
    .into_iter();
    let answer = |job| match job {
        Job::Attestation(attestation) => attestation_answer(attestation, of_attestations.next()),
        Job::Vote(vote) => vote_answer(vote, of_votes.next()),
        Job::Operation { operation, .. } => {
            let outcome = consensus.verify_operation(&at.state, operation.item());
            operation_answer(operation, outcome)
        }
        Job::Block(_) | Job::State { .. } => fault_of("jobs that do not go together"),
    };
    jobs.into_iter().map(answer).map(WorkerEffect::Answer).collect()
}

fn attestation_answer<C: Consensus>(
    attestation: IdentifiedAttestation<C>,
    outcome: Option<AttestationOutcome<C>>,
) -> Answer<C> {
    match outcome {
        Some(Ok(indices)) => {
            let vote = attestation.identity().clone();
            let cleared = Cleared::new(attestation, IndexedVote { vote, indices });
            Answer::Attestation(Box::new(cleared))
        }
        Some(Err(failure)) => stop(failure),
        None => fault_of("an attestation without an outcome"),
    }
}

fn vote_answer<C: Consensus>(
    vote: IdentifiedVote<C>,
    outcome: Option<VoteOutcome<C>>,
) -> Answer<C> {
    match outcome {
        Some(Ok(indices)) => {
            let evidence = IndexedVote { vote: vote.identity().vote.clone(), indices };
            Answer::Vote(Box::new(Cleared::new(vote, evidence)))
        }
        Some(Err(VoteFailure { failure: Failure::Invalid(invalid), attester })) => {
            Answer::InvalidVote { reason: RejectReason::Check(invalid), attester }
        }
        Some(Err(VoteFailure { failure, .. })) => stop(failure),
        None => fault_of("a vote without an outcome"),
    }
}

fn operation_answer<C: Consensus>(
    operation: IdentifiedOperation<C>,
    outcome: AttestationOutcome<C>,
) -> Answer<C> {
    match outcome {
        Ok(validators) => Answer::Operation(Box::new(Cleared::new(operation, validators))),
        Err(failure) => stop(failure),
    }
}
