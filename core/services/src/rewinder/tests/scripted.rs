//! The toy protocol, with hooks for what a test wants to see or to make happen.

use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::consensus::{
    AttestationOutcome, Balances, BlockEffects, BlockLimits, BlockParts, Consensus, Epoch, Failure,
    Gwei, Header, ProposerCheck, Slot, StateOf, UpdateFlags, ValidatorIndex, Vote,
};
use crate::gossip::{GossipVote, Operation, OperationHeader, VoteHeader, VoteOutcome};
use crate::payload::{PayloadVoteHeader, Places};
use crate::toy::{
    Toy, ToyAggregate, ToyAttestation, ToyAttesterSlashing, ToyBlock, ToyFault, ToyInvalid,
    ToyOperation, ToyPayloadVote, ToyRoot, ToySlashing, ToyState, ToyUnsigned,
};

/// What was asked of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The full transition of this block.
    Block(ToyRoot),
    /// The committees of this epoch.
    Committees(Epoch),
    /// To verify so many attestations together.
    Attestations(usize),
    /// To prepare the epoch of the state of this block, at this slot.
    Prepare(ToyRoot, Slot),
}

type Load = Box<dyn Fn(Slot) + Send + Sync>;
type Prepare = Box<dyn Fn(&ToyState) -> Result<(), ToyFault> + Send + Sync>;
type Claims = Box<dyn Fn(&ToyBlock) -> Option<ToyRoot> + Send + Sync>;
type ChangeEffects = Box<dyn Fn(&ToyBlock, &mut BlockEffects<ToyRoot>) + Send + Sync>;
type Verify = Box<dyn Fn(&[ToyAttestation], usize) + Send + Sync>;
type Proposed = Result<ProposerCheck, ToyInvalid>;
type Propose = Box<dyn Fn(&ToyState, &ToyBlock, StateOf) -> Proposed + Send + Sync>;
type Proposers = Box<dyn Fn(&ToyState) -> Option<Vec<ValidatorIndex>> + Send + Sync>;

/// The toy protocol, which reports its calls and runs its hooks.
pub(crate) struct Scripted {
    toy: Toy,
    /// How often a block's header and an attestation's vote were asked for.
    pub(crate) looks: [AtomicUsize; 2],
    calls: Mutex<Sender<Call>>,
    /// Runs before a state is advanced to this slot.
    pub(crate) load: Load,
    /// Runs when an epoch is prepared, after the call has been told.
    pub(crate) prepare: Prepare,
    /// The state root that a block claims.
    pub(crate) claims: Claims,
    /// Runs for a batch of attestations before each of them, and after the last: with how many have
    /// been verified.
    pub(crate) verify: Verify,
    /// Changes what a valid block says.
    pub(crate) effects: ChangeEffects,
    /// The proposers of the epoch of a state.
    pub(crate) proposers: Proposers,
    /// What a state tells of the proposer of a block. Unless that is nothing, one that has not
    /// signed is told first.
    pub(crate) propose: Propose,
    /// Runs before the balances of a state are computed.
    pub(crate) weigh: Box<dyn Fn() + Send + Sync>,
    /// Runs before an operation is checked.
    pub(crate) operate: Box<dyn Fn() + Send + Sync>,
}

impl Scripted {
    /// Returns a protocol without hooks, and its calls.
    pub(crate) fn new() -> (Self, Calls) {
        let (sender, calls) = channel();
        let protocol = Self {
            toy: Toy::default(),
            looks: [const { AtomicUsize::new(0) }; 2],
            calls: Mutex::new(sender),
            load: Box::new(|_| {}),
            prepare: Box::new(|_| Ok(())),
            claims: Box::new(|block| Some(block.root)),
            verify: Box::new(|_, _| {}),
            effects: Box::new(|_, _| {}),
            proposers: Box::new(|_| None),
            propose: Box::new(|_, _, _| Ok(ProposerCheck::Complete)),
            weigh: Box::new(|| {}),
            operate: Box::new(|| {}),
        };
        (protocol, Calls(calls))
    }

    fn tell(&self, call: Call) {
        // A test may have seen enough.
        let _ = self.calls.lock().expect("no test panics here").send(call);
    }
}

/// The calls of a protocol, in order.
pub(crate) struct Calls(Receiver<Call>);

impl Calls {
    /// Blocks until the next call comes.
    pub(crate) fn next(&self) -> Call {
        soon(&self.0)
    }

    /// Returns the calls that have been made and not been seen; once the services have stopped,
    /// these are all.
    pub(crate) fn rest(&self) -> Vec<Call> {
        self.0.try_iter().collect()
    }
}

/// Blocks for what comes, within a time that only a mistake exceeds.
pub(crate) fn soon<T: Debug>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(Duration::from_secs(20)).expect("it comes")
}

fn of_toy(vote: &GossipVote<Scripted>) -> GossipVote<Toy> {
    match vote {
        GossipVote::Single { attestation, subnet } => {
            GossipVote::Single { attestation: *attestation, subnet: *subnet }
        }
        GossipVote::Aggregate(aggregate) => GossipVote::Aggregate(*aggregate),
    }
}

fn operation_of_toy(operation: &Operation<Scripted>) -> Operation<Toy> {
    match operation {
        Operation::ProposerSlashing(inner) => Operation::ProposerSlashing(inner.clone()),
        Operation::AttesterSlashing(inner) => Operation::AttesterSlashing(inner.clone()),
        Operation::VoluntaryExit(inner) => Operation::VoluntaryExit(*inner),
    }
}

impl Consensus for Scripted {
    type Root = ToyRoot;
    type Signature = bool;
    type Block = ToyBlock;
    type Attestation = ToyAttestation;
    type Aggregate = ToyAggregate;
    type VoluntaryExit = ToyOperation;
    type PayloadVote = ToyPayloadVote;
    type State = ToyState;
    type Committees = ();
    type Invalid = ToyInvalid;
    type Fault = ToyFault;
    type SignedHeader = ToyBlock;
    type AttesterSlashing = ToySlashing<ToyAttesterSlashing>;
    type ProposerSlashing = ToySlashing<[ToyBlock; 2]>;

    type BlockInputs = ToyRoot;
    type UnsignedBlock = ToyUnsigned;

    fn block_limits(&self) -> BlockLimits {
        self.toy.block_limits()
    }

    fn produce(
        &self,
        state: ToyState,
        parts: BlockParts<Self>,
        inputs: &ToyRoot,
    ) -> Result<ToyUnsigned, Failure<ToyInvalid, ToyFault>> {
        let parts = BlockParts {
            parent: parts.parent,
            attestations: parts.attestations,
            proposer_slashings: parts.proposer_slashings,
            attester_slashings: parts.attester_slashings,
            voluntary_exits: parts.voluntary_exits,
        };
        self.toy.produce(state, parts, inputs)
    }

    fn slots_per_epoch(&self) -> u64 {
        self.toy.slots_per_epoch()
    }

    fn slot_duration_ms(&self) -> u64 {
        self.toy.slot_duration_ms()
    }

    fn attestation_due_ms(&self) -> u64 {
        self.toy.attestation_due_ms()
    }

    fn decode_block(&self, bytes: &[u8]) -> Result<ToyBlock, ToyInvalid> {
        self.toy.decode_block(bytes)
    }

    fn decode_attestation(&self, bytes: &[u8]) -> Result<ToyAttestation, ToyInvalid> {
        self.toy.decode_attestation(bytes)
    }

    fn decode_aggregate(&self, bytes: &[u8]) -> Result<ToyAggregate, ToyInvalid> {
        self.toy.decode_aggregate(bytes)
    }

    fn decode_proposer_slashing(
        &self,
        bytes: &[u8],
    ) -> Result<ToySlashing<[ToyBlock; 2]>, ToyInvalid> {
        self.toy.decode_proposer_slashing(bytes)
    }

    fn decode_attester_slashing(
        &self,
        bytes: &[u8],
    ) -> Result<ToySlashing<ToyAttesterSlashing>, ToyInvalid> {
        self.toy.decode_attester_slashing(bytes)
    }

    fn decode_voluntary_exit(&self, bytes: &[u8]) -> Result<ToyOperation, ToyInvalid> {
        self.toy.decode_voluntary_exit(bytes)
    }

    fn decode_payload_vote(&self, bytes: &[u8]) -> Result<ToyPayloadVote, ToyInvalid> {
        self.toy.decode_payload_vote(bytes)
    }

    fn payload_vote(&self, vote: &ToyPayloadVote) -> PayloadVoteHeader<ToyRoot> {
        self.toy.payload_vote(vote)
    }

    fn verify_payload_vote(
        &self,
        state: &ToyState,
        vote: &ToyPayloadVote,
    ) -> Result<Places, Failure<ToyInvalid, ToyFault>> {
        self.toy.verify_payload_vote(state, vote)
    }

    fn header(&self, block: &ToyBlock) -> Header<ToyRoot, bool> {
        self.looks[0].fetch_add(1, Relaxed);
        self.toy.header(block)
    }

    fn vote(&self, attestation: &ToyAttestation) -> Vote<ToyRoot> {
        self.looks[1].fetch_add(1, Relaxed);
        self.toy.vote(attestation)
    }

    fn gossip_vote(&self, vote: &GossipVote<Self>) -> VoteHeader<ToyRoot> {
        self.toy.gossip_vote(&of_toy(vote))
    }

    fn operation(&self, operation: &Operation<Self>) -> OperationHeader<ToyRoot> {
        self.toy.operation(&operation_of_toy(operation))
    }

    fn state_slot(&self, state: &ToyState) -> Slot {
        self.toy.state_slot(state)
    }

    fn state_root(&self, state: &ToyState) -> ToyRoot {
        self.toy.state_root(state)
    }

    fn state_bytes(&self, state: &ToyState) -> usize {
        self.toy.state_bytes(state)
    }

    fn post_state_root(&self, block: &ToyBlock) -> Option<ToyRoot> {
        (self.claims)(block)
    }

    fn advance(&self, state: &mut ToyState, slot: Slot) -> Result<(), ToyFault> {
        (self.load)(slot);
        self.toy.advance(state, slot)
    }

    fn transition(
        &self,
        state: &mut ToyState,
        block: &ToyBlock,
        flags: UpdateFlags,
    ) -> Result<(), Failure<ToyInvalid, ToyFault>> {
        if !flags.skip_state_root_validation {
            self.tell(Call::Block(block.root));
        }
        self.toy.transition(state, block, flags)
    }

    fn block_effects(
        &self,
        post_state: &ToyState,
        block: &ToyBlock,
    ) -> Result<BlockEffects<ToyRoot>, ToyFault> {
        let mut effects = self.toy.block_effects(post_state, block)?;
        (self.effects)(block, &mut effects);
        Ok(effects)
    }

    fn proposers(&self, state: &ToyState) -> Option<Vec<ValidatorIndex>> {
        (self.proposers)(state)
    }

    fn check_proposer(&self, block: &ToyBlock, expected: ValidatorIndex) -> Result<(), ToyInvalid> {
        self.toy.check_proposer(block, expected)
    }

    fn verify_proposer(
        &self,
        state: &ToyState,
        block: &ToyBlock,
        whose: StateOf,
    ) -> Result<ProposerCheck, Failure<ToyInvalid, ToyFault>> {
        let told = (self.propose)(state, block, whose);
        if told != Ok(ProposerCheck::Unknown) {
            self.toy.verify_proposer(state, block, whose)?;
        }
        told.map_err(Failure::Invalid)
    }

    fn committees(&self, state: &ToyState, epoch: Epoch) -> Result<(), ToyFault> {
        self.tell(Call::Committees(epoch));
        self.toy.committees(state, epoch)
    }

    fn verify_attestations_with(
        &self,
        (): &(),
        attestations: &[ToyAttestation],
    ) -> Vec<AttestationOutcome<Self>> {
        self.tell(Call::Attestations(attestations.len()));
        let one = |(at, attestation)| {
            (self.verify)(attestations, at);
            self.verify_attestation(&ToyState::anchor(), attestation)
        };
        let outcomes = attestations.iter().enumerate().map(one).collect();
        (self.verify)(attestations, attestations.len());
        outcomes
    }

    fn verify_attestation(
        &self,
        target_state: &ToyState,
        attestation: &ToyAttestation,
    ) -> AttestationOutcome<Self> {
        self.toy.verify_attestation(target_state, attestation)
    }

    fn verify_gossip_votes(
        &self,
        committees: &(),
        votes: &[&GossipVote<Self>],
    ) -> Vec<VoteOutcome<Self>> {
        let votes: Vec<_> = votes.iter().map(|vote| of_toy(vote)).collect();
        self.toy.verify_gossip_votes(committees, &votes.iter().collect::<Vec<_>>())
    }

    fn verify_operation(
        &self,
        state: &ToyState,
        operation: &Operation<Self>,
    ) -> AttestationOutcome<Self> {
        (self.operate)();
        self.toy.verify_operation(state, &operation_of_toy(operation))
    }

    fn is_spent(&self, state: &ToyState, operation: &Operation<Self>) -> bool {
        self.toy.is_spent(state, &operation_of_toy(operation))
    }

    fn prepare_epoch(&self, state: &ToyState) -> Result<(), ToyFault> {
        self.tell(Call::Prepare(state.block, state.slot));
        (self.prepare)(state)
    }

    fn balances(&self, state: &ToyState) -> Result<Balances, ToyFault> {
        (self.weigh)();
        self.toy.balances(state)
    }

    fn aggregated(&self, aggregate: &ToyAggregate) -> ToyAttestation {
        self.toy.aggregated(aggregate)
    }

    fn signed_header(&self, block: &ToyBlock) -> ToyBlock {
        self.toy.signed_header(block)
    }

    fn attestations(&self, block: &ToyBlock) -> Vec<ToyAttestation> {
        self.toy.attestations(block)
    }

    fn attester_slashing(
        &self,
        first: (&ToyAttestation, &[ValidatorIndex]),
        second: (&ToyAttestation, &[ValidatorIndex]),
    ) -> ToySlashing<ToyAttesterSlashing> {
        self.toy.attester_slashing(first, second)
    }

    fn proposer_slashing(&self, first: &ToyBlock, second: &ToyBlock) -> ToySlashing<[ToyBlock; 2]> {
        self.toy.proposer_slashing(first, second)
    }

    fn inclusion_weights(
        &self,
        state: &ToyState,
        attestation: &ToyAttestation,
    ) -> Option<Vec<Gwei>> {
        self.toy.inclusion_weights(state, attestation)
    }
}
