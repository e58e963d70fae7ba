//! The pure part of a Rewinder worker; see [`crate::rewinder`] for its contract.

use std::iter::once;

use crate::consensus::{
    AttestationOutcome, Consensus, Failure, IndexedVote, Slot, UpdateFlags, ValidatorIndex,
};
use crate::gossip::{IdentifiedOperation, IdentifiedVote};
use crate::hot_db::{CommitReply, StateAt, Trail, TrailReply};
use crate::identified::{IdentifiedAttestation, IdentifiedBlock};
use crate::machine::Machine;
use crate::rewinder::dispatcher::{Lane, StateKey};
use crate::rewinder::gossip;
use crate::verdict::{
    Cleared, ClearedAttestation, ClearedBlock, ClearedOperation, ClearedVote, RejectReason,
};

/// What a worker can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Job<C: Consensus> {
    /// Run the full transition of a block and commit it.
    Block(IdentifiedBlock<C>),
    /// Verify an attestation against the state of its target.
    Attestation(IdentifiedAttestation<C>),
    /// Verify a gossip vote against the state of its target.
    Vote(IdentifiedVote<C>),
    /// Check an operation against the state of block `root` advanced to `slot`.
    Operation {
        /// The operation.
        operation: IdentifiedOperation<C>,
        /// Root of the head.
        root: C::Root,
        /// The slot to advance to, at least the head's.
        slot: Slot,
    },
    /// Return the state of block `root` advanced to `slot`.
    State {
        /// Root of the block.
        root: C::Root,
        /// The slot to advance to, at least the block's.
        slot: Slot,
    },
}

impl<C: Consensus> Job<C> {
    /// Returns the state that has to be loaded first and is worth sharing. Blocks have none: each
    /// continues from its parent's own state, which is cached when the parent is committed.
    pub fn state_key(&self, consensus: &C) -> Option<StateKey<C::Root>> {
        match self {
            Self::Block(_) => None,
            _ => Some(self.origin(consensus)),
        }
    }

    /// Returns the kind of job, for reports.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Block(_) => "block",
            Self::Attestation(_) => "attestation",
            Self::Vote(_) => "vote",
            Self::Operation { .. } => "operation",
            Self::State { .. } => "state",
        }
    }

    /// Returns the lane of the job, unless its requester knows better.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::Block(_) => Lane::Blocks,
            Self::Attestation(_) | Self::Vote(_) => Lane::Attestations,
            Self::Operation { .. } | Self::State { .. } => Lane::Queries,
        }
    }

    /// Returns the trail to ask for.
    fn origin(&self, consensus: &C) -> StateKey<C::Root> {
        match self {
            Self::Block(block) => {
                let header = block.identity();
                (header.parent, header.slot)
            }
            Self::Attestation(attestation) => {
                let target = attestation.identity().target;
                (target.root, consensus.start_slot(target.epoch))
            }
            Self::Vote(vote) => {
                let target = vote.identity().vote.target;
                (target.root, consensus.start_slot(target.epoch))
            }
            Self::Operation { root, slot, .. } | Self::State { root, slot } => (*root, *slot),
        }
    }
}

/// The answer to a job. There is always exactly one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Answer<C: Consensus> {
    /// The block is valid and in the HotDB.
    Block(Box<ClearedBlock<C>>),
    /// The attestation is valid.
    Attestation(Box<ClearedAttestation<C>>),
    /// The gossip vote is valid.
    Vote(Box<ClearedVote<C>>),
    /// The operation is valid.
    Operation(Box<ClearedOperation<C>>),
    /// The state.
    State(StateAt<C>),
    /// The item is invalid.
    Invalid(RejectReason<C::Invalid>),
    /// The gossip vote is invalid.
    InvalidVote {
        /// Why.
        reason: RejectReason<C::Invalid>,
        /// Who is said to vote; see [`crate::gossip::VoteFailure::attester`].
        attester: Option<ValidatorIndex>,
    },
    /// The HotDB does not have the block to start from.
    UnknownParent,
    /// The block to start from was pruned.
    Pruned,
    /// The HotDB holds as many blocks as it may.
    Full,
    /// The lane is full.
    Busy,
    /// The state lies further from its block than the HotDB lets a state be advanced.
    TooFar,
    /// The services are stopping.
    Refused,
    /// We failed. The text is for the log.
    Fault(String),
}

// A derived `Clone` would ask for a protocol that can be cloned.
impl<C: Consensus> Clone for Answer<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Block(block) => Self::Block(block.clone()),
            Self::Attestation(attestation) => Self::Attestation(attestation.clone()),
            Self::Vote(vote) => Self::Vote(vote.clone()),
            Self::Operation(operation) => Self::Operation(operation.clone()),
            Self::State(state) => Self::State(state.clone()),
            Self::Invalid(reason) => Self::Invalid(reason.clone()),
            Self::InvalidVote { reason, attester } => {
                Self::InvalidVote { reason: reason.clone(), attester: *attester }
            }
            Self::UnknownParent => Self::UnknownParent,
            Self::Pruned => Self::Pruned,
            Self::Full => Self::Full,
            Self::Busy => Self::Busy,
            Self::TooFar => Self::TooFar,
            Self::Refused => Self::Refused,
            Self::Fault(text) => Self::Fault(text.clone()),
        }
    }
}

/// What happens to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WorkerEvent<C: Consensus> {
    /// It pulled a job, or attestations of one target. Each is answered, in this order.
    Start(Vec<Job<C>>),
    /// The HotDB answered its request for a trail.
    Trail(TrailReply<C>),
    /// It asked to go on.
    Proceed,
    /// The HotDB acknowledged its commit.
    Committed(CommitReply),
    /// The HotDB is gone, or has lost the request.
    HotDbGone,
}

/// What a worker asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WorkerEffect<C: Consensus> {
    /// Ask the HotDB for a trail; the reply is the next event.
    RequestTrail {
        /// Root of the block to reach.
        root: C::Root,
        /// Slot to reach.
        slot: Slot,
    },
    /// Commit a verified block; the acknowledgement is the next event.
    Commit {
        /// The block.
        block: IdentifiedBlock<C>,
        /// The state after it.
        state: StateAt<C>,
    },
    /// Give the HotDB a state that a trail asked for.
    PostState(StateAt<C>),
    /// Tell the dispatcher that the state is cached, or will not be.
    Loaded(StateKey<C::Root>),
    /// Go on with the state in hand; [`WorkerEvent::Proceed`] is the next event.
    Proceed,
    /// Answer the requester of the first job that has no answer. After the last one the worker is
    /// idle.
    Answer(Answer<C>),
}

/// Where a worker is: `Idle -> AwaitTrail -> (AwaitCommit | Verify ->) Idle`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Worker<C: Consensus> {
    /// It has no job.
    Idle,
    /// It waits for a trail.
    AwaitTrail(Vec<Job<C>>),
    /// It has the state of a target, which others may load now, and verifies attestations.
    Verify {
        /// The state.
        state: StateAt<C>,
        /// Attestations of that target, at least one.
        attestations: Vec<IdentifiedAttestation<C>>,
    },
    /// It has a state, which others may load now, and does jobs among which are gossip votes of one
    /// target, or an operation.
    Gossip {
        /// The state.
        state: StateAt<C>,
        /// The jobs, at least one.
        jobs: Vec<Job<C>>,
    },
    /// It waits for the acknowledgement of a commit, with the verdict in hand (hazard R6).
    AwaitCommit(Box<ClearedBlock<C>>),
}

type Effects<C> = Vec<WorkerEffect<C>>;
type Stop<C> = Answer<C>;

impl<C: Consensus> Worker<C> {
    /// Returns whether the worker can take a job.
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// Returns how many jobs in hand have no answer.
    fn unanswered(&self) -> usize {
        match self {
            Self::Idle => 0,
            Self::AwaitTrail(jobs) | Self::Gossip { jobs, .. } => jobs.len(),
            Self::Verify { attestations, .. } => attestations.len(),
            Self::AwaitCommit(_) => 1,
        }
    }

    /// Replays the trail and does the jobs. `Err` is the answer to each.
    fn run(
        &mut self,
        consensus: &C,
        jobs: Vec<Job<C>>,
        trail: Trail<C>,
        effects: &mut Effects<C>,
    ) -> Result<Next, Stop<C>> {
        if jobs.iter().any(|job| matches!(job, Job::Vote(_) | Job::Operation { .. }))
            && let Some((root, slot)) = origin(consensus, &jobs)
        {
            let state = load(consensus, trail, slot, root, effects)?;
            *self = Self::Gossip { state, jobs };
            return Ok(Next::Proceed);
        }
        let mut jobs = jobs.into_iter();
        match jobs.next() {
            Some(Job::Block(block)) => {
                let header = block.identity();
                if header.slot <= trail.block_slot {
                    return Err(Answer::Invalid(RejectReason::SlotNotAfterParent));
                }
                let mut state = replay(consensus, trail, effects)?.state;
                let flags = UpdateFlags::default();
                consensus.transition(&mut state, block.item(), flags).map_err(stop)?;
                let evidence = consensus.block_effects(&state, block.item()).map_err(fault)?;
                let state = StateAt { root: header.root, slot: header.slot, state };
                // One copy is for Clearance, and one for the HotDB.
                *self = Self::AwaitCommit(Box::new(Cleared::new(block.clone(), evidence)));
                effects.push(WorkerEffect::Commit { block, state });
                Ok(Next::Committed)
            }
            Some(Job::Attestation(first)) => {
                let target = first.identity().target;
                let slot = consensus.start_slot(target.epoch);
                let state = load(consensus, trail, slot, target.root, effects)?;
                let attestation = |job| match job {
                    Job::Attestation(attestation) => Some(attestation),
                    _ => None,
                };
                let attestations = once(first).chain(jobs.filter_map(attestation)).collect();
                *self = Self::Verify { state, attestations };
                Ok(Next::Proceed)
            }
            Some(Job::State { root, slot }) => {
                Err(Answer::State(load(consensus, trail, slot, root, effects)?))
            }
            Some(Job::Vote(_) | Job::Operation { .. }) | None => Err(fault_of("no job")),
        }
    }
}

impl<C: Consensus> Machine<C> for Worker<C> {
    type Event = WorkerEvent<C>;
    type Effect = WorkerEffect<C>;

    /// An event that does not fit the state is a fault, and every job in hand is answered with it.
    fn handle(&mut self, consensus: &C, event: WorkerEvent<C>) -> Effects<C> {
        match (std::mem::replace(self, Self::Idle), event) {
            (Self::Idle, WorkerEvent::Start(jobs)) => match origin(consensus, &jobs) {
                Some((root, slot)) => {
                    *self = Self::AwaitTrail(jobs);
                    vec![WorkerEffect::RequestTrail { root, slot }]
                }
                None => answer_all(jobs.len(), &fault_of("jobs that do not go together")),
            },
            (Self::AwaitTrail(jobs), WorkerEvent::Trail(reply)) => {
                let (mut effects, count) = (Vec::new(), jobs.len());
                let key = jobs.first().and_then(|job| job.state_key(consensus));
                let answer = match reply {
                    TrailReply::Trail(trail) => self.run(consensus, jobs, *trail, &mut effects),
                    TrailReply::UnknownParent => Err(Answer::UnknownParent),
                    TrailReply::Pruned => Err(Answer::Pruned),
                    TrailReply::TooFar { .. } => Err(Answer::TooFar),
                    TrailReply::BeforeBlock { .. } => {
                        Err(Answer::Invalid(RejectReason::SlotNotAfterParent))
                    }
                };
                effects.extend(key.map(WorkerEffect::Loaded));
                match answer {
                    Err(answer) => effects.extend(answer_all(count, &answer)),
                    Ok(Next::Proceed) => effects.push(WorkerEffect::Proceed),
                    Ok(Next::Committed) => {}
                }
                effects
            }
            (Self::Verify { state, attestations }, WorkerEvent::Proceed) => {
                verify(consensus, &state, attestations)
            }
            (Self::Gossip { state, jobs }, WorkerEvent::Proceed) => {
                gossip::verify(consensus, &state, jobs)
            }
            (Self::AwaitTrail(jobs), WorkerEvent::HotDbGone) => {
                let key = jobs.first().and_then(|job| job.state_key(consensus));
                let answers = answer_all(jobs.len(), &fault_of("the HotDB gave no answer"));
                key.map(WorkerEffect::Loaded).into_iter().chain(answers).collect()
            }
            (Self::AwaitCommit(cleared), WorkerEvent::Committed(reply)) => {
                vec![WorkerEffect::Answer(match reply {
                    CommitReply::Committed | CommitReply::AlreadyCommitted => {
                        Answer::Block(cleared)
                    }
                    CommitReply::UnknownParent => Answer::UnknownParent,
                    CommitReply::Pruned => Answer::Pruned,
                    CommitReply::Full => Answer::Full,
                })]
            }
            (Self::AwaitCommit(_), WorkerEvent::HotDbGone) => {
                vec![WorkerEffect::Answer(fault_of("the HotDB gave no answer"))]
            }
            (state, event) => {
                let answer = fault_of(&format!("unexpected {}", event.name()));
                answer_all(state.unanswered() + event.jobs(), &answer)
            }
        }
    }
}

/// What a worker does once it has replayed a trail and is not done.
enum Next {
    /// It has asked for a commit.
    Committed,
    /// It has the state, and asks to go on.
    Proceed,
}

/// Returns the trail that the jobs need: a single job's own, or that of the attestations' target.
/// `None` if the jobs do not go together.
fn origin<C: Consensus>(consensus: &C, jobs: &[Job<C>]) -> Option<StateKey<C::Root>> {
    let (first, more) = jobs.split_first()?;
    let origin = first.origin(consensus);
    let together = |job: &Job<C>| {
        let is_vote = |job: &Job<C>| matches!(job, Job::Attestation(_) | Job::Vote(_));
        is_vote(first) && is_vote(job) && job.origin(consensus) == origin
    };
    more.iter().all(together).then_some(origin)
}

/// Verifies attestations of one target; answers each, in order.
fn verify<C: Consensus>(
    consensus: &C,
    target: &StateAt<C>,
    attestations: Vec<IdentifiedAttestation<C>>,
) -> Effects<C> {
    let items: Vec<_> = attestations.iter().map(|attestation| attestation.item().clone()).collect();
    let outcomes = consensus.verify_attestations(&target.state, &items);
    if outcomes.len() != attestations.len() {
        let text = format!("{} outcomes of {} attestations", outcomes.len(), attestations.len());
        return answer_all(attestations.len(), &fault_of(&text));
    }
    let answer =
        |(attestation, outcome): (IdentifiedAttestation<C>, AttestationOutcome<C>)| match outcome {
            Ok(indices) => {
                let vote = attestation.identity().clone();
                let cleared = Cleared::new(attestation, IndexedVote { vote, indices });
                Answer::Attestation(Box::new(cleared))
            }
            Err(failure) => stop(failure),
        };
    attestations.into_iter().zip(outcomes).map(answer).map(WorkerEffect::Answer).collect()
}

/// Replays the trail's blocks, which were verified before they were committed.
fn replay<C: Consensus>(
    consensus: &C,
    trail: Trail<C>,
    effects: &mut Effects<C>,
) -> Result<StateAt<C>, Stop<C>> {
    let mut at = trail.start;
    for block in &trail.blocks {
        let flags = UpdateFlags::replay();
        let replayed = consensus.transition(&mut at.state, block.item(), flags);
        replayed.map_err(|failure| match failure {
            Failure::Invalid(invalid) => Answer::Fault(format!("committed block: {invalid}")),
            Failure::Fault(error) => fault(error),
        })?;
        let header = block.identity();
        (at.root, at.slot) = (header.root, header.slot);
        if trail.wanted.contains(&at.root) {
            effects.push(WorkerEffect::PostState(at.clone()));
        }
    }
    Ok(at)
}

/// Replays, then advances to `slot`.
fn load<C: Consensus>(
    consensus: &C,
    trail: Trail<C>,
    slot: Slot,
    root: C::Root,
    effects: &mut Effects<C>,
) -> Result<StateAt<C>, Stop<C>> {
    let want_target = trail.want_target;
    let mut at = replay(consensus, trail, effects)?;
    consensus.advance(&mut at.state, slot).map_err(fault)?;
    (at.root, at.slot) = (root, slot);
    if want_target {
        effects.push(WorkerEffect::PostState(at.clone()));
    }
    Ok(at)
}

pub(super) fn stop<C: Consensus>(failure: Failure<C::Invalid, C::Fault>) -> Stop<C> {
    match failure {
        Failure::Invalid(invalid) => Answer::Invalid(RejectReason::Check(invalid)),
        Failure::Fault(error) => fault(error),
    }
}

fn fault<C: Consensus>(error: impl std::error::Error) -> Stop<C> {
    Answer::Fault(error.to_string())
}

pub(super) fn fault_of<C: Consensus>(text: &str) -> Answer<C> {
    Answer::Fault(text.to_owned())
}

/// Gives the same answer to each of `count` jobs.
fn answer_all<C: Consensus>(count: usize, answer: &Answer<C>) -> Effects<C> {
    (0..count).map(|_| WorkerEffect::Answer(answer.clone())).collect()
}

impl<C: Consensus> WorkerEvent<C> {
    /// Returns how many jobs the event brings.
    fn jobs(&self) -> usize {
        if let Self::Start(jobs) = self { jobs.len() } else { 0 }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "job",
            Self::Trail(_) => "trail",
            Self::Committed(_) => "acknowledgement",
            Self::Proceed => "word to go on",
            Self::HotDbGone => "loss of the HotDB",
        }
    }
}
