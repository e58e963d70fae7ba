//! A load: from the trail that the HotDB gave to what the jobs of a worker need.
//!
//! A load is done in bounded parts, so that a worker can look for a stop and for more urgent work
//! between them (hazard A12).
//!
//! - P1 A part runs at most [`STEP_SLOTS`] slots, with or without a block.
//! - P2 What is left to a block's transition is at most [`STEP_SLOTS`] empty slots and the block.
//! - P3 A block's own state is posted back only if its root is the one that the block claims
//!   (hazard R9).
//! - P4 A state that others wait for is posted and reported before the last step of the job that it
//!   was loaded for, if that step takes time. A block's parent, too.

use std::collections::VecDeque;

use crate::consensus::{Consensus, Failure, Slot, UpdateFlags};
use crate::hot_db::{CommitteesAt, CommitteesKey, StateAt, Trail};
use crate::identified::IdentifiedBlock;
use crate::rewinder::dispatcher::StateKey;
use crate::rewinder::gossip;
use crate::rewinder::precedence::GoesFirst;
use crate::rewinder::production;
use crate::rewinder::worker::{Answer, Effects, Job, Stop, WorkerEffect, fault, fault_of, stop};
use crate::verdict::{Cleared, ClearedBlock};

/// Slots that are run in one part of a load: an epoch of mainnet.
pub(super) const STEP_SLOTS: u64 = 32;

/// A load that is under way, with the jobs that it is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Load<C: Consensus> {
    /// A block, a query, an operation, a production, or attestations and votes of one target.
    jobs: Vec<Job<C>>,
    /// The state so far.
    at: StateAt<C>,
    /// The blocks that are left to replay, oldest first.
    blocks: VecDeque<IdentifiedBlock<C>>,
    /// Root of the block whose state is wanted.
    root: C::Root,
    /// Slot to which that state is to be advanced.
    slot: Slot,
    wanted: Vec<C::Root>,
    want_target: bool,
    committees: Option<CommitteesKey<C::Root>>,
    signature_verified: bool,
    /// What other workers wait for: the state that the jobs share, and the one that was claimed.
    keys: Vec<StateKey<C::Root>>,
    /// Whether something is to be claimed; if so, it is the last of `keys`.
    claims: bool,
}

/// What a load ends with.
pub(super) enum Loaded<C: Consensus> {
    /// A valid block, and the request to commit it.
    Block(Box<ClearedBlock<C>>, WorkerEffect<C>),
    /// The committees for these jobs.
    Committees(Vec<Job<C>>, CommitteesAt<C>),
    /// What was asked for: a state, or what an operation comes to.
    Answer(Answer<C>),
}

impl<C: Consensus> Load<C> {
    /// `signature_verified` says whether a block's proposer has been found to have signed it.
    pub(super) fn new(
        consensus: &C,
        jobs: Vec<Job<C>>,
        trail: Trail<C>,
        signature_verified: bool,
    ) -> Self {
        let shared = jobs.first().and_then(|job| job.state_key(consensus));
        // A query's state is shared by its key already, and committees are one for many targets.
        let claim = match jobs.first() {
            Some(Job::Block(_) | Job::PayloadVote(_)) if trail.replays() => {
                Some((trail.root, trail.block_slot))
            }
            Some(Job::Attestation(_) | Job::Vote(_)) => {
                trail.committees.map(|key| (key.dependent_root, consensus.start_slot(key.epoch)))
            }
            _ => None,
        };
        let claim = claim.filter(|claim| shared != Some(*claim));
        // The transition runs the last empty slots before its block itself.
        let slot = match jobs.first() {
            Some(Job::Block(_)) => trail.slot.saturating_sub(STEP_SLOTS).max(trail.block_slot),
            _ => trail.slot,
        };
        Self {
            jobs,
            at: trail.start,
            blocks: trail.blocks.into(),
            root: trail.root,
            slot,
            wanted: trail.wanted,
            want_target: trail.want_target,
            committees: trail.committees,
            signature_verified,
            keys: shared.into_iter().chain(claim).collect(),
            claims: claim.is_some(),
        }
    }

    /// Returns the jobs that the load is for.
    #[must_use]
    pub fn jobs(&self) -> &[Job<C>] {
        &self.jobs
    }

    /// Gives back the jobs, and whether a block's proposer has been found to have signed it.
    pub(super) fn into_jobs(self) -> (Vec<Job<C>>, bool) {
        (self.jobs, self.signature_verified)
    }

    /// Returns the slot that the state has reached.
    #[must_use]
    pub fn slot_so_far(&self) -> Slot {
        self.at.slot
    }

    /// Returns what other workers wait for while this goes on.
    pub(super) fn keys(&self) -> &[StateKey<C::Root>] {
        &self.keys
    }

    /// Returns the state to claim before the first part, if there is one.
    pub(super) fn claim(&self) -> Option<StateKey<C::Root>> {
        self.keys.last().copied().filter(|_| self.claims)
    }

    /// Gives up the jobs: another worker has claimed the state.
    pub(super) fn requeue(mut self) -> Effects<C> {
        let Some(after) = self.keys.pop() else { return Vec::new() };
        let loaded = self.keys.into_iter().map(WorkerEffect::Loaded);
        loaded.chain([WorkerEffect::Requeue { after, jobs: self.jobs }]).collect()
    }

    /// Does a part (P1). Returns whether the state is there.
    pub(super) fn step(
        &mut self,
        consensus: &C,
        effects: &mut Effects<C>,
    ) -> Result<bool, Stop<C>> {
        let mut left = STEP_SLOTS;
        while let Some(block) = self.blocks.front() {
            let gap = block.identity().slot.saturating_sub(self.at.slot);
            if gap > left {
                self.advance(consensus, self.at.slot.saturating_add(left))?;
                return Ok(false);
            }
            left -= gap;
            self.replay(consensus, effects)?;
        }
        let gap = self.slot.saturating_sub(self.at.slot);
        if gap > 0 {
            self.advance(consensus, self.at.slot.saturating_add(gap.min(left)))?;
        }
        Ok(gap <= left)
    }

    /// Takes what other workers wait for out of the load, if that is there now and more than an
    /// answer is left: the transition of a block, the check of an operation or of a payload vote, or
    /// a production. A state that the HotDB would like is posted first, so that whoever waits finds it (P4).
    pub(super) fn release(&mut self, effects: &mut Effects<C>) -> Vec<StateKey<C::Root>> {
        match self.jobs.as_slice() {
            [Job::Block(_) | Job::PayloadVote(_)] => {}
            [Job::Operation { .. } | Job::Produce { .. }] => self.post_target(effects),
            _ => return Vec::new(),
        }
        std::mem::take(&mut self.keys)
    }

    /// Returns how a load goes on that has been told of: an operation's check lets duties that have
    /// waited for its state go first.
    pub(super) fn goes_on(&self) -> WorkerEffect<C> {
        match self.jobs.as_slice() {
            [Job::Operation { .. }] => WorkerEffect::GiveWay(GoesFirst::Duties),
            _ => WorkerEffect::Proceed,
        }
    }

    fn post_target(&mut self, effects: &mut Effects<C>) {
        self.at.root = self.root;
        if std::mem::take(&mut self.want_target) {
            effects.push(WorkerEffect::PostState(self.at.clone()));
        }
    }

    fn advance(&mut self, consensus: &C, slot: Slot) -> Result<(), Stop<C>> {
        consensus.advance(&mut self.at.state, slot).map_err(fault)?;
        self.at.slot = slot;
        Ok(())
    }

    /// Replays a block, which was verified before it was committed.
    fn replay(&mut self, consensus: &C, effects: &mut Effects<C>) -> Result<(), Stop<C>> {
        let Some(block) = self.blocks.pop_front() else { return Ok(()) };
        let flags = UpdateFlags::replay();
        let replayed = consensus.transition(&mut self.at.state, block.item(), flags);
        replayed.map_err(|failure| match failure {
            Failure::Invalid(invalid) => Answer::Fault(format!("committed block: {invalid}")),
            Failure::Fault(error) => fault(error),
        })?;
        let header = block.identity();
        (self.at.root, self.at.slot) = (header.root, header.slot);
        if self.wanted.contains(&header.root) {
            // A state that is cached must be the block's (P3).
            if let Some(claimed) = consensus.post_state_root(block.item())
                && claimed != consensus.state_root(&self.at.state)
            {
                let text = format!("the replayed state of {:?} is not the block's", header.root);
                tracing::error!("{text}");
                return Err(Answer::Fault(text));
            }
            effects.push(WorkerEffect::PostState(self.at.clone()));
        }
        Ok(())
    }

    /// Does what the state was loaded for.
    pub(super) fn finish(
        mut self,
        consensus: &C,
        effects: &mut Effects<C>,
    ) -> Result<Loaded<C>, Stop<C>> {
        if let [Job::Block(block)] = self.jobs.as_slice() {
            return transition(consensus, block, self.at, self.signature_verified);
        }
        self.post_target(effects);
        match (self.committees, self.jobs.first()) {
            (Some(key), _) => {
                let committees = consensus.committees(&self.at.state, key.epoch).map_err(fault)?;
                let committees = CommitteesAt { key, committees };
                effects.push(WorkerEffect::PostCommittees(committees.clone()));
                Ok(Loaded::Committees(self.jobs, committees))
            }
            (None, Some(Job::State { .. })) => Ok(Loaded::Answer(Answer::State(self.at))),
            (None, Some(Job::Operation { operation, .. })) => {
                Ok(Loaded::Answer(gossip::operation(consensus, &self.at.state, operation)))
            }
            (None, Some(Job::PayloadVote(vote))) => {
                Ok(Loaded::Answer(gossip::payload_vote(consensus, &self.at.state, vote)))
            }
            (None, Some(Job::Produce { production, .. })) => {
                production::produce(consensus, self.root, self.at.state, production)
                    .map(Loaded::Answer)
            }
            (None, _) => Err(fault_of("a trail that the jobs have not asked for")),
        }
    }
}

/// Runs the full transition of a block on top of its parent's state.
fn transition<C: Consensus>(
    consensus: &C,
    block: &IdentifiedBlock<C>,
    parent: StateAt<C>,
    skip_proposer_signature: bool,
) -> Result<Loaded<C>, Stop<C>> {
    let mut state = parent.state;
    let flags = UpdateFlags { skip_proposer_signature, ..UpdateFlags::default() };
    consensus.transition(&mut state, block.item(), flags).map_err(stop)?;
    let evidence = consensus.block_effects(&state, block.item()).map_err(fault)?;
    let header = block.identity();
    let state = StateAt { root: header.root, slot: header.slot, state };
    // One copy is for Clearance, and one for the HotDB.
    let commit = WorkerEffect::Commit { block: block.clone(), state };
    Ok(Loaded::Block(Box::new(Cleared::new(block.clone(), evidence)), commit))
}
