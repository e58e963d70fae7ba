//! A protocol that counts what is asked of it, and notes when.
//!
//! **Contract.** [`Counting`] answers what the protocol inside answers. Beside that it counts, over
//! all threads: slots that states were advanced by, blocks that were applied again, blocks that
//! were applied with their signatures verified, and attestations that were verified. It notes when
//! the last block was produced and applied ([`Moments`]).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use blocksmith::consensus::{
    AttestationOutcome, Balances, BlockEffects, BlockLimits, BlockParts, Consensus, Epoch, Failure,
    Gwei, Header, Slot, UpdateFlags, ValidatorIndex, Vote,
};
use blocksmith::gossip::{GossipVote, Operation, OperationHeader, VoteHeader, VoteOutcome};

/// The counts and moments; a clone is another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    slots: AtomicU64,
    replayed: AtomicU64,
    checked: AtomicU64,
    verified: AtomicU64,
    moments: Mutex<Moments>,
}

/// When the steps of a proposal were done, since [`Counts::take_moments`] was called last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// The first attestation was weighed for a block.
    pub packing: Option<Instant>,
    /// The last block began to be produced from what was packed, and was there.
    pub production: Option<(Instant, Instant)>,
    /// The last block with its signatures began to be applied, and was.
    pub transition: Option<(Instant, Instant)>,
}

/// The counts at one moment, or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Slots that states were advanced by, those of blocks included.
    pub slots: u64,
    /// Blocks that were applied without their signatures: they had been verified before.
    pub replayed: u64,
    /// Blocks that were applied with their signatures, whatever came of it.
    pub checked: u64,
    /// Attestations that were verified, whatever came of it.
    pub verified: u64,
}

impl Counts {
    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.0.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what was noted, and forgets it.
    pub fn take_moments(&self) -> Moments {
        std::mem::take(&mut *self.moments())
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn work(&self) -> Work {
        // ORDERING: relaxed; the counts are figures for a report, read while the services rest.
        let counters = &self.0;
        Work {
            slots: counters.slots.load(Relaxed),
            replayed: counters.replayed.load(Relaxed),
            checked: counters.checked.load(Relaxed),
            verified: counters.verified.load(Relaxed),
        }
    }
}

impl Work {
    /// Returns what was done since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            slots: self.slots.saturating_sub(earlier.slots),
            replayed: self.replayed.saturating_sub(earlier.replayed),
            checked: self.checked.saturating_sub(earlier.checked),
            verified: self.verified.saturating_sub(earlier.verified),
        }
    }
}

/// A protocol with counts; see the module's text.
#[derive(Debug)]
pub struct Counting<C> {
    inner: C,
    counts: Counts,
}

impl<C: Consensus> Counting<C> {
    /// Counts what is asked of `inner`.
    #[must_use]
    pub fn new(inner: C) -> Self {
        Self { inner, counts: Counts::default() }
    }

    /// Returns a handle to the counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Runs `step` on the state, and counts the slots by which it moved.
    fn moving<R>(&self, state: &mut C::State, step: impl FnOnce(&mut C::State) -> R) -> R {
        let before = self.inner.state_slot(state);
        let result = step(state);
        let slots = self.inner.state_slot(state).saturating_sub(before);
        self.counts.0.slots.fetch_add(slots, Relaxed);
        result
    }
}

impl<C: Consensus> Consensus for Counting<C> {
    type Root = C::Root;
    type Signature = C::Signature;
    type Block = C::Block;
    type Attestation = C::Attestation;
    type Aggregate = C::Aggregate;
    type VoluntaryExit = C::VoluntaryExit;
    type SignedHeader = C::SignedHeader;
    type AttesterSlashing = C::AttesterSlashing;
    type ProposerSlashing = C::ProposerSlashing;
    type Committees = C::Committees;
    type State = C::State;
    type Invalid = C::Invalid;
    type Fault = C::Fault;

    type BlockInputs = C::BlockInputs;
    type UnsignedBlock = C::UnsignedBlock;

    fn block_limits(&self) -> BlockLimits {
        self.inner.block_limits()
    }

    fn produce(
        &self,
        state: C::State,
        parts: BlockParts<Self>,
        inputs: &C::BlockInputs,
    ) -> Result<C::UnsignedBlock, Failure<C::Invalid, C::Fault>> {
        let parts = BlockParts {
            parent: parts.parent,
            attestations: parts.attestations,
            proposer_slashings: parts.proposer_slashings,
            attester_slashings: parts.attester_slashings,
            voluntary_exits: parts.voluntary_exits,
        };
        let start = Instant::now();
        let block = self.inner.produce(state, parts, inputs);
        self.counts.moments().production = Some((start, Instant::now()));
        block
    }

    fn advance(&self, state: &mut C::State, slot: Slot) -> Result<(), C::Fault> {
        self.moving(state, |state| self.inner.advance(state, slot))
    }

    fn transition(
        &self,
        state: &mut C::State,
        block: &C::Block,
        flags: UpdateFlags,
    ) -> Result<(), Failure<C::Invalid, C::Fault>> {
        let counters = &self.counts.0;
        let kind = if flags.skip_bls_validation { &counters.replayed } else { &counters.checked };
        kind.fetch_add(1, Relaxed);
        let start = Instant::now();
        let applied = self.moving(state, |state| self.inner.transition(state, block, flags));
        if !flags.skip_bls_validation {
            self.counts.moments().transition = Some((start, Instant::now()));
        }
        applied
    }

    fn verify_attestation(
        &self,
        target_state: &C::State,
        attestation: &C::Attestation,
    ) -> AttestationOutcome<Self> {
        self.counts.0.verified.fetch_add(1, Relaxed);
        self.inner.verify_attestation(target_state, attestation)
    }

    fn verify_attestations_with(
        &self,
        committees: &C::Committees,
        attestations: &[C::Attestation],
    ) -> Vec<AttestationOutcome<Self>> {
        self.counts.0.verified.fetch_add(attestations.len() as u64, Relaxed);
        self.inner.verify_attestations_with(committees, attestations)
    }

    fn verify_gossip_votes(
        &self,
        committees: &C::Committees,
        votes: &[&GossipVote<Self>],
    ) -> Vec<VoteOutcome<Self>> {
        self.counts.0.verified.fetch_add(votes.len() as u64, Relaxed);
        let votes: Vec<_> = votes.iter().map(|vote| inner_vote::<C>(vote)).collect();
        self.inner.verify_gossip_votes(committees, &votes.iter().collect::<Vec<_>>())
    }

    fn verify_operation(
        &self,
        state: &C::State,
        operation: &Operation<Self>,
    ) -> AttestationOutcome<Self> {
        self.inner.verify_operation(state, &inner_operation::<C>(operation))
    }

    fn is_spent(&self, state: &C::State, operation: &Operation<Self>) -> bool {
        self.inner.is_spent(state, &inner_operation::<C>(operation))
    }

    fn committees(&self, state: &C::State, epoch: Epoch) -> Result<C::Committees, C::Fault> {
        self.inner.committees(state, epoch)
    }

    fn proposers(&self, state: &C::State) -> Option<Vec<ValidatorIndex>> {
        self.inner.proposers(state)
    }

    fn check_proposer(&self, block: &C::Block, expected: ValidatorIndex) -> Result<(), C::Invalid> {
        self.inner.check_proposer(block, expected)
    }

    fn verify_proposer(
        &self,
        state: &C::State,
        block: &C::Block,
    ) -> Result<bool, Failure<C::Invalid, C::Fault>> {
        self.inner.verify_proposer(state, block)
    }

    fn block_bytes(&self, block: &C::Block) -> usize {
        self.inner.block_bytes(block)
    }

    fn post_state_root(&self, block: &C::Block) -> Option<C::Root> {
        self.inner.post_state_root(block)
    }

    fn decode_aggregate(&self, bytes: &[u8]) -> Result<C::Aggregate, C::Invalid> {
        self.inner.decode_aggregate(bytes)
    }

    fn decode_proposer_slashing(&self, bytes: &[u8]) -> Result<C::ProposerSlashing, C::Invalid> {
        self.inner.decode_proposer_slashing(bytes)
    }

    fn decode_attester_slashing(&self, bytes: &[u8]) -> Result<C::AttesterSlashing, C::Invalid> {
        self.inner.decode_attester_slashing(bytes)
    }

    fn decode_voluntary_exit(&self, bytes: &[u8]) -> Result<C::VoluntaryExit, C::Invalid> {
        self.inner.decode_voluntary_exit(bytes)
    }

    fn gossip_vote(&self, vote: &GossipVote<Self>) -> VoteHeader<C::Root> {
        self.inner.gossip_vote(&inner_vote::<C>(vote))
    }

    fn operation(&self, operation: &Operation<Self>) -> OperationHeader<C::Root> {
        self.inner.operation(&inner_operation::<C>(operation))
    }

    fn aggregated(&self, aggregate: &C::Aggregate) -> C::Attestation {
        self.inner.aggregated(aggregate)
    }

    fn signed_header(&self, block: &C::Block) -> C::SignedHeader {
        self.inner.signed_header(block)
    }

    fn attestations(&self, block: &C::Block) -> Vec<C::Attestation> {
        self.inner.attestations(block)
    }

    fn attester_slashing(
        &self,
        first: (&C::Attestation, &[ValidatorIndex]),
        second: (&C::Attestation, &[ValidatorIndex]),
    ) -> C::AttesterSlashing {
        self.inner.attester_slashing(first, second)
    }

    fn proposer_slashing(
        &self,
        first: &C::SignedHeader,
        second: &C::SignedHeader,
    ) -> C::ProposerSlashing {
        self.inner.proposer_slashing(first, second)
    }

    fn inclusion_weights(
        &self,
        state: &C::State,
        attestation: &C::Attestation,
    ) -> Option<Vec<Gwei>> {
        self.counts.moments().packing.get_or_insert_with(Instant::now);
        self.inner.inclusion_weights(state, attestation)
    }

    fn slots_per_epoch(&self) -> u64 {
        self.inner.slots_per_epoch()
    }

    fn slot_duration_ms(&self) -> u64 {
        self.inner.slot_duration_ms()
    }

    fn attestation_due_ms(&self) -> u64 {
        self.inner.attestation_due_ms()
    }

    fn decode_block(&self, bytes: &[u8]) -> Result<C::Block, C::Invalid> {
        self.inner.decode_block(bytes)
    }

    fn decode_attestation(&self, bytes: &[u8]) -> Result<C::Attestation, C::Invalid> {
        self.inner.decode_attestation(bytes)
    }

    fn header(&self, block: &C::Block) -> Header<C::Root, C::Signature> {
        self.inner.header(block)
    }

    fn vote(&self, attestation: &C::Attestation) -> Vote<C::Root> {
        self.inner.vote(attestation)
    }

    fn state_slot(&self, state: &C::State) -> Slot {
        self.inner.state_slot(state)
    }

    fn state_root(&self, state: &C::State) -> C::Root {
        self.inner.state_root(state)
    }

    fn state_bytes(&self, state: &C::State) -> usize {
        self.inner.state_bytes(state)
    }

    fn block_effects(
        &self,
        post_state: &C::State,
        block: &C::Block,
    ) -> Result<BlockEffects<C::Root>, C::Fault> {
        self.inner.block_effects(post_state, block)
    }

    fn prepare_epoch(&self, state: &C::State) -> Result<(), C::Fault> {
        self.inner.prepare_epoch(state)
    }

    fn balances(&self, state: &C::State) -> Result<Balances, C::Fault> {
        self.inner.balances(state)
    }
}

/// Returns the vote as one of the protocol inside; that costs a pointer.
fn inner_vote<C: Consensus>(vote: &GossipVote<Counting<C>>) -> GossipVote<C> {
    match vote {
        GossipVote::Single { attestation, subnet } => {
            GossipVote::Single { attestation: attestation.clone(), subnet: *subnet }
        }
        GossipVote::Aggregate(aggregate) => GossipVote::Aggregate(aggregate.clone()),
    }
}

/// Returns the operation as one of the protocol inside; that costs a pointer.
fn inner_operation<C: Consensus>(operation: &Operation<Counting<C>>) -> Operation<C> {
    match operation {
        Operation::ProposerSlashing(slashing) => Operation::ProposerSlashing(slashing.clone()),
        Operation::AttesterSlashing(slashing) => Operation::AttesterSlashing(slashing.clone()),
        Operation::VoluntaryExit(exit) => Operation::VoluntaryExit(exit.clone()),
    }
}
