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
//! - P5 If nothing before it has told whether a block's slot is its proposer's, the load of a block
//!   of a later epoch than its parent's has a second half, with a claim of its own. It takes the
//!   parent's state into the block's epoch, checks the proposer there, and posts that state, valid
//!   block or not. So of any number of blocks on that parent in that epoch one pays for the slots
//!   between, as it is with attestations (hazard A4).
//! - P6 No slot after the parent's own is run for a block before the parent's state has been asked
//!   about the proposer, unless an earlier state has verified the signature. Nobody is registered
//!   in slots without blocks, so a block without a proposer's key has no state advanced.
//! - P7 If the first state of a trail does not know a block's proposer, and the HotDB has a state on
//!   top of the parent, that one is asked before anything is replayed. So a block without a
//!   proposer's key costs a replay only on a parent that no pinned block descends from.

use std::collections::VecDeque;

use crate::consensus::{Consensus, Failure, ProposerCheck, Slot, StateOf, UpdateFlags};
use crate::hot_db::{CommitteesAt, CommitteesKey, StateAt, Trail};
use crate::identified::IdentifiedBlock;
use crate::rewinder::dispatcher::StateKey;
use crate::rewinder::gossip;
use crate::rewinder::precedence::GoesFirst;
use crate::rewinder::production;
use crate::rewinder::worker::{Answer, Effects, Job, Stop, WorkerEffect, fault, fault_of, stop};
use crate::verdict::{Cleared, ClearedBlock, RejectReason};

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
    /// What has been told of a block's proposer.
    proposer: ProposerCheck,
    /// Whether the parent's state is still to be asked about a block's proposer (P6).
    asks_parent: bool,
    /// The slot of the block's epoch at which its proposer is to be checked (P5).
    entry: Option<Slot>,
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
    /// `proposer` says what has been told of a block's proposer, by the state that the trail starts
    /// from or before.
    pub(super) fn new(
        consensus: &C,
        jobs: Vec<Job<C>>,
        trail: Trail<C>,
        proposer: ProposerCheck,
    ) -> Self {
        let shared = jobs.first().and_then(|job| job.state_key(consensus));
        let is_block = matches!(jobs.first(), Some(Job::Block(_)));
        // The transition runs the last empty slots before its block itself.
        let late = trail.slot.saturating_sub(STEP_SLOTS).max(trail.block_slot);
        let epoch = consensus.start_slot(consensus.epoch_at(trail.slot));
        let enters = is_block && proposer != ProposerCheck::Complete && trail.block_slot < epoch;
        let entry = enters.then_some(late.max(epoch));
        // A state of the epoch may be there.
        let to_load = entry.filter(|entry| trail.start.slot < *entry);
        // A query's state is shared by its key already, and committees are one for many targets.
        let claim = match jobs.first() {
            Some(Job::Block(_) | Job::PayloadVote(_)) if trail.replays() => {
                Some((trail.root, trail.block_slot))
            }
            Some(Job::Block(_)) => to_load.map(|slot| (trail.root, slot)),
            Some(Job::Attestation(_) | Job::Vote(_)) => {
                trail.committees.map(|key| (key.dependent_root, consensus.start_slot(key.epoch)))
            }
            _ => None,
        };
        let claim = claim.filter(|claim| shared != Some(*claim));
        let slot = match entry {
            // The second half has a claim of its own.
            Some(_) if trail.replays() => trail.block_slot,
            Some(entry) => entry,
            None if is_block => late,
            None => trail.slot,
        };
        // Otherwise the state at hand is the parent's, and has been asked.
        let asks_parent = is_block && proposer == ProposerCheck::Unknown && trail.replays();
        Self {
            jobs,
            at: trail.start,
            blocks: trail.blocks.into(),
            root: trail.root,
            slot,
            wanted: trail.wanted,
            want_target: if enters { to_load.is_some() } else { trail.want_target },
            committees: trail.committees,
            proposer,
            asks_parent,
            entry,
            keys: shared.into_iter().chain(claim).collect(),
            claims: claim.is_some(),
        }
    }

    /// Returns the jobs that the load is for.
    #[must_use]
    pub fn jobs(&self) -> &[Job<C>] {
        &self.jobs
    }

    /// Gives back the jobs.
    pub(super) fn into_jobs(self) -> Vec<Job<C>> {
        self.jobs
    }

    /// Returns what has been told of a block's proposer.
    pub(super) fn proposer(&self) -> ProposerCheck {
        self.proposer
    }

    /// Returns whether nothing is left to replay.
    pub(super) fn has_replayed(&self) -> bool {
        self.blocks.is_empty()
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
        self.ask_parent(consensus)?;
        let gap = self.slot.saturating_sub(self.at.slot);
        if gap > 0 {
            self.advance(consensus, self.at.slot.saturating_add(gap.min(left)))?;
        }
        Ok(gap <= left)
    }

    /// Asks the parent's state about a block's proposer, if no earlier state could tell (P6).
    fn ask_parent(&mut self, consensus: &C) -> Result<(), Stop<C>> {
        if std::mem::take(&mut self.asks_parent)
            && let [Job::Block(block)] = self.jobs.as_slice()
        {
            let state = &self.at.state;
            let checked = consensus.verify_proposer(state, block.item(), StateOf::Parent);
            self.proposer = checked.map_err(stop)?;
        }
        Ok(())
    }

    /// Checks a block's proposer, once the state has reached the block's epoch (P5). Then the state
    /// is posted, with the proposers that the check has made known.
    pub(super) fn enter(&mut self, consensus: &C, effects: &mut Effects<C>) -> Result<(), Stop<C>> {
        let [Job::Block(block)] = self.jobs.as_slice() else { return Ok(()) };
        if self.entry.is_none_or(|entry| self.slot < entry) {
            return Ok(());
        }
        self.entry = None;
        let checked = consensus.verify_proposer(&self.at.state, block.item(), StateOf::Parent);
        self.post_target(effects);
        self.proposer = checked.map_err(stop)?;
        Ok(())
    }

    /// Goes over to the second half of a load (P5), after the first. Returns the state to claim.
    pub(super) fn second_half(&mut self) -> Option<StateKey<C::Root>> {
        self.slot = self.entry?;
        let claim = (self.root, self.slot);
        (self.keys, self.claims) = (vec![claim], true);
        Some(claim)
    }

    /// Takes what other workers wait for out of the load, if that is there now and more than an
    /// answer is left: the transition of a block, the check of an operation or of a payload vote,
    /// or a production. A state that the HotDB would like is posted first, so that whoever waits
    /// finds it (P4).
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
            let signed = self.proposer != ProposerCheck::Unknown;
            return transition(consensus, block, self.at, signed);
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

/// Checks what a trail tells of a block's proposer, of whom `known` was told before: whom the trail
/// expects, if it does, then what its first state knows, and if that is nothing, whether a state
/// on top of the parent refutes the block (P7). Returns what is known now.
pub(super) fn check_proposer<C: Consensus>(
    consensus: &C,
    block: &IdentifiedBlock<C>,
    trail: &Trail<C>,
    known: ProposerCheck,
) -> Result<ProposerCheck, Stop<C>> {
    if let Some(expected) = trail.expected_proposer {
        let checked = consensus.check_proposer(block.item(), expected);
        checked.map_err(|invalid| Answer::Invalid(RejectReason::Check(invalid)))?;
    }
    let checked = match known {
        ProposerCheck::Unknown => {
            let whose = if trail.replays() { StateOf::Ancestor } else { StateOf::Parent };
            consensus.verify_proposer(&trail.start.state, block.item(), whose).map_err(stop)?
        }
        known => known,
    };
    if let (ProposerCheck::Unknown, Some(on_top)) = (checked, &trail.descendant) {
        // Whom it knows, a block after the parent may have registered: so that is not taken over.
        let refuted = consensus.verify_proposer(&on_top.state, block.item(), StateOf::Descendant);
        refuted.map_err(stop)?;
    }
    Ok(match checked {
        ProposerCheck::Signed if trail.expected_proposer.is_some() => ProposerCheck::Complete,
        checked => checked,
    })
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
