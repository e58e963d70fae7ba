//! What a Rewinder worker does with attestations, gossip votes and operations; see
//! [`crate::rewinder`].
//!
//! A batch may mix attestations that came without a proof with gossip votes of the same target,
//! since both need the same committees. Each job has its own answer, in the order of the jobs.

use crate::consensus::{AttestationOutcome, Consensus, Failure, IndexedVote};
use crate::gossip::{IdentifiedOperation, IdentifiedVote, VoteFailure, VoteOutcome};
use crate::identified::IdentifiedAttestation;
use crate::payload::IdentifiedPayloadVote;
use crate::rewinder::worker::{Answer, Job, fault_of, stop};
use crate::verdict::{Cleared, RejectReason};

/// Verifies attestations and votes of one target together; returns the answer to each, in order.
pub(super) fn verify<C: Consensus>(
    consensus: &C,
    committees: &C::Committees,
    jobs: Vec<Job<C>>,
) -> Vec<Answer<C>> {
    let (mut attestations, mut votes) = (Vec::new(), Vec::new());
    for job in &jobs {
        match job {
            Job::Attestation(attestation) => attestations.push(attestation.item().clone()),
            Job::Vote(vote) => votes.push(vote.item()),
            Job::Block(_)
            | Job::State { .. }
            | Job::Operation { .. }
            | Job::PayloadVote(_)
            | Job::Produce { .. } => {}
        }
    }
    let mut of_attestations = match attestations.as_slice() {
        [] => Vec::new(),
        some => consensus.verify_attestations_with(committees, some),
    };
    let mut of_votes = match votes.as_slice() {
        [] => Vec::new(),
        some => consensus.verify_gossip_votes(committees, some),
    };
    if (of_attestations.len(), of_votes.len()) != (attestations.len(), votes.len()) {
        let found = of_attestations.len() + of_votes.len();
        let answer = fault_of(&format!("{found} outcomes of {} attestations", jobs.len()));
        return vec![answer; jobs.len()];
    }
    let (mut of_attestations, mut of_votes) = (of_attestations.drain(..), of_votes.drain(..));
    let answer = |job| match job {
        Job::Attestation(attestation) => attestation_answer(attestation, of_attestations.next()),
        Job::Vote(vote) => vote_answer(vote, of_votes.next()),
        Job::Block(_)
        | Job::State { .. }
        | Job::Operation { .. }
        | Job::PayloadVote(_)
        | Job::Produce { .. } => fault_of("jobs that do not go together"),
    };
    jobs.into_iter().map(answer).collect()
}

/// Checks an operation against the state that was loaded for it.
pub(super) fn operation<C: Consensus>(
    consensus: &C,
    state: &C::State,
    operation: &IdentifiedOperation<C>,
) -> Answer<C> {
    match consensus.verify_operation(state, operation.item()) {
        Ok(validators) => Answer::Operation(Box::new(Cleared::new(operation.clone(), validators))),
        Err(failure) => stop(failure),
    }
}

/// Checks a payload vote against the state of its block.
pub(super) fn payload_vote<C: Consensus>(
    consensus: &C,
    state: &C::State,
    vote: &IdentifiedPayloadVote<C>,
) -> Answer<C> {
    match consensus.verify_payload_vote(state, vote.item()) {
        Ok(places) => Answer::PayloadVote(Box::new(Cleared::new(vote.clone(), places))),
        Err(failure) => stop(failure),
    }
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
