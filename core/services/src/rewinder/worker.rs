//! The pure part of a Rewinder worker; see [`crate::rewinder`] for its contract.

use std::sync::Arc;

use crate::consensus::{Checkpoint, Consensus, Failure, ProposerCheck, Slot, ValidatorIndex};
use crate::gossip::{IdentifiedOperation, IdentifiedVote};
use crate::hot_db::{CommitReply, CommitteesAt, StateAt, Trail, TrailReply};
use crate::identified::{IdentifiedAttestation, IdentifiedBlock};
use crate::machine::Machine;
use crate::payload::IdentifiedPayloadVote;
use crate::rewinder::batch::Batch;
use crate::rewinder::dispatcher::{Lane, StateKey};
use crate::rewinder::load::{Load, Loaded, check_proposer};
use crate::rewinder::precedence::GoesFirst;
use crate::rewinder::production::Production;
use crate::verdict::{
    ClearedAttestation, ClearedBlock, ClearedOperation, ClearedPayloadVote, ClearedVote,
    RejectReason,
};

/// What a worker can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Job<C: Consensus> {
    /// Run the full transition of a block and commit it.
    Block(IdentifiedBlock<C>),
    /// Verify an attestation with the committees of its target's epoch and branch.
    Attestation(IdentifiedAttestation<C>),
    /// Verify a gossip vote with the committees of its target's epoch and branch.
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
    /// Check a payload vote against the state of its block, which is of the vote's slot.
    PayloadVote(IdentifiedPayloadVote<C>),
    /// Return the state of block `root` advanced to `slot`.
    State {
        /// Root of the block.
        root: C::Root,
        /// The slot to advance to, at least the block's.
        slot: Slot,
    },
    /// Produce an unsigned block of `slot` on block `root`.
    Produce {
        /// Root of the parent.
        root: C::Root,
        /// The block's slot, after the parent's.
        slot: Slot,
        /// What the block is made of.
        production: Arc<Production<C>>,
    },
}

impl<C: Consensus> Job<C> {
    /// Returns what other tasks may need as well: the state of a query or an operation, or the
    /// target of an attestation or a vote. Blocks and payload votes have none: each needs the own
    /// state of a block, which is cached when that block is committed. If it is not, the worker
    /// claims it (I9).
    pub fn state_key(&self, consensus: &C) -> Option<StateKey<C::Root>> {
        match self {
            Self::Block(_) | Self::PayloadVote(_) => None,
            Self::Attestation(_) | Self::Vote(_) => {
                let target = self.target()?;
                Some((target.root, consensus.start_slot(target.epoch)))
            }
            Self::Operation { root, slot, .. }
            | Self::State { root, slot }
            | Self::Produce { root, slot, .. } => Some((*root, *slot)),
        }
    }

    /// Returns the target, if this is an attestation or a gossip vote.
    pub(super) fn target(&self) -> Option<Checkpoint<C::Root>> {
        match self {
            Self::Attestation(attestation) => Some(attestation.identity().target),
            Self::Vote(vote) => Some(vote.identity().vote.target),
            Self::Block(_)
            | Self::Operation { .. }
            | Self::PayloadVote(_)
            | Self::State { .. }
            | Self::Produce { .. } => None,
        }
    }

    /// Returns whether a stop refuses the job while it waits: somebody asks, and nobody has been
    /// promised a verdict.
    pub(super) fn is_question(&self) -> bool {
        matches!(self, Self::State { .. } | Self::Produce { .. })
    }

    /// Returns the kind of job, for reports.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Block(_) => "block",
            Self::Attestation(_) => "attestation",
            Self::Vote(_) => "vote",
            Self::Operation { .. } => "operation",
            Self::PayloadVote(_) => "payload vote",
            Self::State { .. } => "state",
            Self::Produce { .. } => "production",
        }
    }

    /// Returns the lane of the job, unless its requester knows better.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            Self::Block(_) => Lane::Blocks,
            Self::Attestation(_) | Self::Vote(_) | Self::PayloadVote(_) => Lane::Attestations,
            Self::Operation { .. } | Self::State { .. } => Lane::Queries,
            Self::Produce { .. } => Lane::Duties,
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
    /// The payload vote is valid.
    PayloadVote(Box<ClearedPayloadVote<C>>),
    /// The state.
    State(StateAt<C>),
    /// The block, which only its proposer's signature is missing from.
    Produced(C::UnsignedBlock),
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
    /// The attestation's target is one that no live branch builds on.
    Stale,
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
            Self::PayloadVote(vote) => Self::PayloadVote(vote.clone()),
            Self::State(state) => Self::State(state.clone()),
            Self::Produced(block) => Self::Produced(block.clone()),
            Self::Invalid(reason) => Self::Invalid(reason.clone()),
            Self::InvalidVote { reason, attester } => {
                Self::InvalidVote { reason: reason.clone(), attester: *attester }
            }
            Self::UnknownParent => Self::UnknownParent,
            Self::Pruned => Self::Pruned,
            Self::Full => Self::Full,
            Self::Busy => Self::Busy,
            Self::Stale => Self::Stale,
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
    /// The HotDB answered its request for a trail or for committees.
    Trail(TrailReply<C>),
    /// It asked to claim a state, and no other worker had (`true`), or one had.
    Claimed(bool),
    /// It asked to go on.
    Proceed,
    /// It asked to go on, and is to give up instead: the services are stopping.
    Stop,
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
    /// Ask the HotDB for the committees of a target; the reply is the next event.
    RequestCommittees {
        /// The target.
        target: Checkpoint<C::Root>,
    },
    /// Claim a state that is to be replayed; [`WorkerEvent::Claimed`] is the next event.
    Claim(StateKey<C::Root>),
    /// Put the jobs back at the head of their lane: another worker has claimed the state that they
    /// need. They may be pulled once that worker reports. The worker is idle.
    Requeue {
        /// The claimed state.
        after: StateKey<C::Root>,
        /// All jobs in hand, in order.
        jobs: Vec<Job<C>>,
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
    /// Give the HotDB committees that a trail asked for.
    PostCommittees(CommitteesAt<C>),
    /// Tell the dispatcher that the state is cached, or will not be.
    Loaded(StateKey<C::Root>),
    /// Go on with what is in hand; [`WorkerEvent::Proceed`] is the next event.
    Proceed,
    /// A bounded part of a load, or a step of a batch, is done: look for a stop, and for work that
    /// goes first here. [`WorkerEvent::Proceed`] or [`WorkerEvent::Stop`] is the next event.
    GiveWay(GoesFirst),
    /// Answer the requester of the first job that has no answer. After the last one the worker is
    /// idle.
    Answer(Answer<C>),
}

/// Where a worker is: `Idle -> AwaitTrail -> (AwaitClaim -> AwaitAgain ->) (Load ->) (AwaitCommit |
/// Verify ->) Idle`. From `Load` a block may go to `AwaitClaim` once more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Worker<C: Consensus> {
    /// It has no job.
    Idle,
    /// It waits for a trail, or for committees.
    AwaitTrail(Vec<Job<C>>),
    /// It has a trail, and asks whether another worker is replaying the same.
    AwaitClaim(Box<Load<C>>),
    /// It has claimed what is to be replayed, and asks once more: another worker may have reported
    /// it between the trail and the claim.
    AwaitAgain(Box<Load<C>>),
    /// It has replayed a part of the trail.
    Load(Box<Load<C>>),
    /// It has the committees of a target, which others may ask for now, and verifies attestations
    /// and gossip votes of that target, step by step.
    Verify(Box<Batch<C>>),
    /// It waits for the acknowledgement of a commit, with the verdict in hand (hazard R6).
    AwaitCommit(Box<ClearedBlock<C>>),
}

pub(super) type Effects<C> = Vec<WorkerEffect<C>>;
/// The answer to every job in hand, when a load ends early.
pub(super) type Stop<C> = Answer<C>;

impl<C: Consensus> Worker<C> {
    /// Returns whether the worker can take a job.
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// Returns how many jobs in hand have no answer.
    fn unanswered(&self) -> usize {
        match self {
            Self::Idle => 0,
            Self::AwaitTrail(jobs) => jobs.len(),
            Self::AwaitClaim(load) | Self::AwaitAgain(load) | Self::Load(load) => load.jobs().len(),
            Self::Verify(batch) => batch.left(),
            Self::AwaitCommit(_) => 1,
        }
    }

    fn start(&mut self, jobs: Vec<Job<C>>) -> Effects<C> {
        let Some(request) = request(&jobs) else {
            return answer_all(jobs.len(), &fault_of("jobs that do not go together"));
        };
        *self = Self::AwaitTrail(jobs);
        vec![request]
    }

    /// Takes in the HotDB's answer for `jobs`.
    fn trail(&mut self, consensus: &C, jobs: Vec<Job<C>>, reply: TrailReply<C>) -> Effects<C> {
        let key = jobs.first().and_then(|job| job.state_key(consensus));
        let count = jobs.len();
        let answer = match reply {
            TrailReply::Trail(trail) => return self.check(consensus, jobs, *trail),
            TrailReply::Committees(committees) => {
                let effects = key.map(WorkerEffect::Loaded).into_iter().collect();
                return self.verify_next(jobs, committees, effects);
            }
            TrailReply::UnknownParent => Answer::UnknownParent,
            TrailReply::Pruned => Answer::Pruned,
            TrailReply::Stale => Answer::Stale,
            TrailReply::TooFar { .. } => Answer::TooFar,
            TrailReply::BeforeBlock { .. } => Answer::Invalid(RejectReason::SlotNotAfterParent),
        };
        key.map(WorkerEffect::Loaded).into_iter().chain(answer_all(count, &answer)).collect()
    }

    /// Checks what can be checked of a block before its parent's state is loaded. Then claims what
    /// is to be replayed, or goes on at once if nothing is.
    fn check(&mut self, consensus: &C, jobs: Vec<Job<C>>, trail: Trail<C>) -> Effects<C> {
        let mut proposer = ProposerCheck::Unknown;
        if let [Job::Block(block)] = jobs.as_slice() {
            if block.identity().slot <= trail.block_slot {
                let answer = Answer::Invalid(RejectReason::SlotNotAfterParent);
                return vec![WorkerEffect::Answer(answer)];
            }
            match check_proposer(consensus, block, &trail, proposer) {
                Ok(checked) => proposer = checked,
                Err(answer) => return vec![WorkerEffect::Answer(answer)],
            }
        }
        if let [Job::Produce { root, slot, .. }] = jobs.as_slice()
            && *slot <= trail.block_slot
        {
            let answer = Answer::Invalid(RejectReason::SlotNotAfterParent);
            return vec![WorkerEffect::Loaded((*root, *slot)), WorkerEffect::Answer(answer)];
        }
        let load = Box::new(Load::new(consensus, jobs, trail, proposer));
        match load.claim() {
            Some(claim) => {
                *self = Self::AwaitClaim(load);
                vec![WorkerEffect::Claim(claim)]
            }
            None => self.load(consensus, load),
        }
    }

    /// Asks the HotDB once more for what was claimed.
    fn look_again(&mut self, load: Box<Load<C>>) -> Effects<C> {
        let Some(request) = request(load.jobs()) else {
            return answer_all(load.jobs().len(), &fault_of("jobs that do not go together"));
        };
        *self = Self::AwaitAgain(load);
        vec![request]
    }

    /// Takes in the HotDB's answer to a worker that has claimed what it is about to replay.
    fn trail_again(&mut self, consensus: &C, load: Load<C>, reply: TrailReply<C>) -> Effects<C> {
        let claimed = load.claim();
        let mut effects: Effects<C> = Vec::new();
        let TrailReply::Trail(trail) = reply else {
            effects.extend(claimed.map(WorkerEffect::Loaded));
            effects.extend(self.trail(consensus, load.into_jobs(), reply));
            return effects;
        };
        let mut proposer = load.proposer();
        if let [Job::Block(block)] = load.jobs() {
            match check_proposer(consensus, block, &trail, proposer) {
                Ok(checked) => proposer = checked,
                Err(answer) => {
                    effects.extend(claimed.map(WorkerEffect::Loaded));
                    effects.push(WorkerEffect::Answer(answer));
                    return effects;
                }
            }
        }
        if load.has_replayed() && trail.replays() {
            // The state in hand has made room for others meanwhile.
            return self.load(consensus, Box::new(load));
        }
        let load = Box::new(Load::new(consensus, load.into_jobs(), *trail, proposer));
        if load.claim() == claimed {
            return self.load(consensus, load);
        }
        // The state is there now; or finality has moved, and what is to be claimed is another.
        effects.extend(claimed.map(WorkerEffect::Loaded));
        match load.claim() {
            Some(claim) => {
                *self = Self::AwaitClaim(load);
                effects.push(WorkerEffect::Claim(claim));
            }
            None => effects.extend(self.load(consensus, load)),
        }
        effects
    }

    /// Does a bounded part of a load, and what follows the last one.
    fn load(&mut self, consensus: &C, mut load: Box<Load<C>>) -> Effects<C> {
        let mut effects = Vec::new();
        let step = load.step(consensus, &mut effects);
        if let Ok(false) = step {
            effects.push(WorkerEffect::GiveWay(GoesFirst::Duties));
            *self = Self::Load(load);
            return effects;
        }
        let step = step.and_then(|_| load.enter(consensus, &mut effects));
        let free = if step.is_ok() { load.release(&mut effects) } else { Vec::new() };
        if !free.is_empty() {
            effects.extend(free.into_iter().map(WorkerEffect::Loaded));
            if let Some(claim) = load.second_half() {
                effects.push(WorkerEffect::Claim(claim));
                *self = Self::AwaitClaim(load);
                return effects;
            }
            effects.push(load.goes_on());
            *self = Self::Load(load);
            return effects;
        }
        let (count, keys) = (load.jobs().len(), load.keys().to_vec());
        let loaded = step.and_then(|()| load.finish(consensus, &mut effects));
        effects.extend(keys.into_iter().map(WorkerEffect::Loaded));
        match loaded {
            Ok(Loaded::Block(cleared, commit)) => {
                *self = Self::AwaitCommit(cleared);
                effects.push(commit);
                effects
            }
            Ok(Loaded::Committees(jobs, committees)) => self.verify_next(jobs, committees, effects),
            Ok(Loaded::Answer(answer)) => {
                effects.push(WorkerEffect::Answer(answer));
                effects
            }
            Err(answer) => {
                effects.extend(answer_all(count, &answer));
                effects
            }
        }
    }

    fn verify_next(
        &mut self,
        jobs: Vec<Job<C>>,
        committees: CommitteesAt<C>,
        mut effects: Effects<C>,
    ) -> Effects<C> {
        if jobs.iter().any(|job| job.target().is_none()) {
            effects.extend(answer_all(jobs.len(), &fault_of("committees are for attestations")));
            return effects;
        }
        *self = Self::Verify(Box::new(Batch::new(committees, jobs)));
        effects.push(WorkerEffect::Proceed);
        effects
    }

    /// Does a step of a batch. It holds no claim, so what goes first after it may need anything.
    fn verify(&mut self, consensus: &C, mut batch: Box<Batch<C>>) -> Effects<C> {
        let answers = batch.step(consensus);
        let mut effects: Effects<C> = answers.into_iter().map(WorkerEffect::Answer).collect();
        if batch.left() > 0 {
            effects.push(WorkerEffect::GiveWay(GoesFirst::Blocks));
            *self = Self::Verify(batch);
        }
        effects
    }
}

impl<C: Consensus> Machine<C> for Worker<C> {
    type Event = WorkerEvent<C>;
    type Effect = WorkerEffect<C>;

    /// An event that does not fit the state is a fault, and every job in hand is answered with it.
    fn handle(&mut self, consensus: &C, event: WorkerEvent<C>) -> Effects<C> {
        match (std::mem::replace(self, Self::Idle), event) {
            (Self::Idle, WorkerEvent::Start(jobs)) => self.start(jobs),
            (Self::AwaitTrail(jobs), WorkerEvent::Trail(reply)) => {
                self.trail(consensus, jobs, reply)
            }
            (Self::AwaitClaim(load), WorkerEvent::Claimed(true)) => self.look_again(load),
            (Self::AwaitClaim(load), WorkerEvent::Claimed(false)) => load.requeue(),
            (Self::AwaitAgain(load), WorkerEvent::Trail(reply)) => {
                self.trail_again(consensus, *load, reply)
            }
            (Self::AwaitAgain(load), WorkerEvent::HotDbGone) => {
                let answers = answer_all(load.jobs().len(), &fault_of("the HotDB gave no answer"));
                load.keys().iter().copied().map(WorkerEffect::Loaded).chain(answers).collect()
            }
            (Self::Load(load), WorkerEvent::Proceed) => self.load(consensus, load),
            (Self::Load(load), WorkerEvent::Stop) => {
                let answers = answer_all(load.jobs().len(), &Answer::Refused);
                load.keys().iter().copied().map(WorkerEffect::Loaded).chain(answers).collect()
            }
            (Self::Verify(batch), WorkerEvent::Proceed) => self.verify(consensus, batch),
            (Self::Verify(batch), WorkerEvent::Stop) => answer_all(batch.left(), &Answer::Refused),
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

/// Returns the question to the HotDB: a single job's own, or that of the attestations' target.
/// `None` if the jobs do not go together.
fn request<C: Consensus>(jobs: &[Job<C>]) -> Option<WorkerEffect<C>> {
    match jobs {
        [Job::Block(block)] => {
            let header = block.identity();
            Some(WorkerEffect::RequestTrail { root: header.parent, slot: header.slot })
        }
        [Job::PayloadVote(vote)] => {
            let data = vote.identity().data;
            Some(WorkerEffect::RequestTrail { root: data.block, slot: data.slot })
        }
        [
            Job::State { root, slot }
            | Job::Operation { root, slot, .. }
            | Job::Produce { root, slot, .. },
        ] => Some(WorkerEffect::RequestTrail { root: *root, slot: *slot }),
        [first, more @ ..] => {
            let target = first.target()?;
            let together = |job: &Job<C>| job.target() == Some(target);
            more.iter().all(together).then_some(WorkerEffect::RequestCommittees { target })
        }
        [] => None,
    }
}

pub(super) fn stop<C: Consensus>(failure: Failure<C::Invalid, C::Fault>) -> Stop<C> {
    match failure {
        Failure::Invalid(invalid) => Answer::Invalid(RejectReason::Check(invalid)),
        Failure::Fault(error) => fault(error),
    }
}

pub(super) fn fault<C: Consensus>(error: impl std::error::Error) -> Stop<C> {
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
            Self::Claimed(_) => "answer to a claim",
            Self::Proceed => "word to go on",
            Self::Stop => "word to stop",
            Self::HotDbGone => "loss of the HotDB",
        }
    }
}
