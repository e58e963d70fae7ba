//! A consensus protocol of a handful of roots, for models and for tests of the services.
//!
//! Roots are small numbers that the scenario chooses. A block says of itself whether it is valid
//! and whether its signature is; a state remembers the last block and the checkpoints that block
//! announced. Everything else (one validator per attestation, equal weights, one committee of all
//! validators) is as little as the services need in order to show every branch of their behaviour.

use std::sync::Arc;

use crate::bits::Bits;
use crate::consensus::{
    AttestationOutcome, Balances, BlockEffects, BlockLimits, BlockParts, Checkpoint, Checkpoints,
    Consensus, Epoch, Failure, Gwei, Header, ProposerCheck, Slot, StateOf, UpdateFlags,
    ValidatorIndex, Vote,
};
use crate::gossip::{
    GossipVote, Operation, OperationHeader, VoteFailure, VoteHeader, VoteOutcome, VoteTopic,
};
use crate::payload::{PayloadVoteHeader, Places};
use crate::toy_codec;
pub use crate::toy_invalid::{ToyFault, ToyInvalid};
pub use crate::toy_payload::ToyPayloadVote;
use crate::toy_production;
pub use crate::toy_production::ToyUnsigned;

/// A root; 0 is the anchor's.
pub type ToyRoot = u8;

/// The toy protocol. Validators have equal weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Toy {
    /// Slots of an epoch, at least 1.
    pub slots_per_epoch: u64,
    /// Number of validators.
    pub validators: usize,
    /// Whether each block is built on the payload of its parent.
    pub payloads: bool,
}

impl Default for Toy {
    fn default() -> Self {
        Self { slots_per_epoch: 4, validators: 4, payloads: false }
    }
}

/// A block that says what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToyBlock {
    /// Its root.
    pub root: ToyRoot,
    /// Root of its parent.
    pub parent: ToyRoot,
    /// Its slot.
    pub slot: Slot,
    /// Whether the transition accepts it.
    pub valid: bool,
    /// Whether its signature verifies.
    pub signed: bool,
    /// The checkpoint that is justified and finalised in the state after it, if it moves.
    pub finalizes: Option<Checkpoint<ToyRoot>>,
}

impl ToyBlock {
    /// Returns a valid, properly signed block.
    #[must_use]
    pub const fn new(root: ToyRoot, parent: ToyRoot, slot: Slot) -> Self {
        Self { root, parent, slot, valid: true, signed: true, finalizes: None }
    }

    /// Returns the same block, but one that the transition rejects.
    #[must_use]
    pub const fn invalid(self) -> Self {
        Self { valid: false, ..self }
    }

    /// Returns the same block (and root) under a signature that does not verify.
    #[must_use]
    pub const fn badly_signed(self) -> Self {
        Self { signed: false, ..self }
    }
}

/// An attestation by one validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToyAttestation {
    /// Its identity.
    pub id: ToyRoot,
    /// The slot attested to.
    pub slot: Slot,
    /// The block voted for.
    pub head: ToyRoot,
    /// The target voted for.
    pub target: Checkpoint<ToyRoot>,
    /// Who votes.
    pub validator: ValidatorIndex,
    /// Whether it verifies.
    pub valid: bool,
}

/// A signed aggregate with its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToyAggregate {
    /// Its identity.
    pub id: ToyRoot,
    /// Root of what is voted for.
    pub data: ToyRoot,
    /// The slot attested to.
    pub slot: Slot,
    /// The block voted for.
    pub head: ToyRoot,
    /// The target voted for.
    pub target: Checkpoint<ToyRoot>,
    /// Who aggregated.
    pub aggregator: ValidatorIndex,
    /// Who votes: bit `i` is validator `i`.
    pub voters: u8,
    /// Whether it verifies.
    pub valid: bool,
}

/// An operation of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToyOperation {
    /// Its identity.
    pub id: ToyRoot,
    /// Whom it is about: bit `i` is validator `i`.
    pub validators: u8,
    /// Whether its signatures verify.
    pub signed: bool,
    /// Whether every state allows it.
    pub valid: bool,
}

impl ToyAttestation {
    /// Returns who votes, if the attestation verifies.
    fn outcome(&self) -> AttestationOutcome<Toy> {
        if self.valid {
            Ok(vec![self.validator])
        } else {
            Err(Failure::Invalid(ToyInvalid::Attestation))
        }
    }
}

/// A state: the block it follows, its slot, and its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ToyState {
    /// Root of the last block.
    pub block: ToyRoot,
    /// The slot.
    pub slot: Slot,
    /// The justified and finalised checkpoint.
    pub checkpoint: Checkpoint<ToyRoot>,
}

impl ToyState {
    /// Returns the state that a scenario starts from: block 0 at slot 0, finalised.
    #[must_use]
    pub const fn anchor() -> Self {
        Self { block: 0, slot: 0, checkpoint: Checkpoint { epoch: 0, root: 0 } }
    }
}

impl ToyState {
    fn wrong(&self) -> ToyFault {
        ToyFault::WrongState { block: self.block, slot: self.slot }
    }
}

impl Toy {
    /// Returns the bits of all validators, of which those that `set` holds for are set.
    fn bits(&self, set: impl Fn(ValidatorIndex) -> bool) -> Bits {
        (0..self.validators as ValidatorIndex).map(set).collect()
    }
}

/// Returns what a slashing or an exit comes to, whatever its kind: a slashing has the number of its
/// two parts combined, and is valid if they differ.
pub(crate) fn toy_operation(operation: &Operation<Toy>) -> ToyOperation {
    match operation {
        Operation::ProposerSlashing(ToySlashing::Given(inner))
        | Operation::AttesterSlashing(ToySlashing::Given(inner))
        | Operation::VoluntaryExit(inner) => *inner,
        Operation::ProposerSlashing(ToySlashing::Of(blocks)) => {
            let [first, second] = **blocks;
            ToyOperation {
                id: first.root ^ second.root,
                validators: 1,
                signed: first.signed && second.signed,
                valid: first.slot == second.slot && first.root != second.root,
            }
        }
        Operation::AttesterSlashing(ToySlashing::Of(slashing)) => {
            let ToyAttesterSlashing { attestations: [first, second], indices } = &**slashing;
            let both = indices[0].iter().filter(|index| indices[1].contains(index));
            ToyOperation {
                id: first.id ^ second.id,
                validators: both.filter(|index| **index < 8).fold(0, |mask, i| mask | 1 << i),
                signed: first.valid && second.valid,
                valid: first.id != second.id,
            }
        }
    }
}

/// Returns the validators of a mask, ascending.
fn members(mask: u8) -> Vec<ValidatorIndex> {
    (0..8).filter(|index| mask >> index & 1 == 1).collect()
}

/// A slashing: made of its evidence, or given by what it comes to. A clone costs a pointer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ToySlashing<E> {
    /// Made of this.
    Of(Arc<E>),
    /// Given.
    Given(ToyOperation),
}

impl<E> ToySlashing<E> {
    /// Returns what it was made of.
    ///
    /// # Panics
    /// If it was given: a test has taken the wrong one.
    pub fn evidence(&self) -> &E {
        match self {
            Self::Of(evidence) => evidence,
            Self::Given(operation) => panic!("{operation:?} has no evidence"),
        }
    }
}

/// Two attestations and who cast each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ToyAttesterSlashing {
    /// The attestations; the surrounding one comes first.
    pub attestations: [ToyAttestation; 2],
    /// Who cast each.
    pub indices: [Vec<ValidatorIndex>; 2],
}

/// A single attestation's subnet is its validator. A validator that is not there sets no bit.
impl Consensus for Toy {
    type Root = ToyRoot;
    type SignedHeader = ToyBlock;
    type AttesterSlashing = ToySlashing<ToyAttesterSlashing>;
    type ProposerSlashing = ToySlashing<[ToyBlock; 2]>;
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

    fn slots_per_epoch(&self) -> u64 {
        self.slots_per_epoch
    }

    fn slot_duration_ms(&self) -> u64 {
        3_000
    }

    fn attestation_due_ms(&self) -> u64 {
        1_000
    }

    fn decode_block(&self, bytes: &[u8]) -> Result<ToyBlock, ToyInvalid> {
        toy_codec::decode_block(bytes).ok_or(ToyInvalid::Malformed)
    }

    fn decode_attestation(&self, bytes: &[u8]) -> Result<ToyAttestation, ToyInvalid> {
        toy_codec::decode_attestation(bytes).ok_or(ToyInvalid::Malformed)
    }

    fn decode_aggregate(&self, _bytes: &[u8]) -> Result<ToyAggregate, ToyInvalid> {
        Err(ToyInvalid::Malformed)
    }

    fn decode_proposer_slashing(
        &self,
        bytes: &[u8],
    ) -> Result<ToySlashing<[ToyBlock; 2]>, ToyInvalid> {
        toy_codec::decode_proposer_slashing(bytes).ok_or(ToyInvalid::Malformed)
    }

    fn decode_attester_slashing(
        &self,
        bytes: &[u8],
    ) -> Result<ToySlashing<ToyAttesterSlashing>, ToyInvalid> {
        toy_codec::decode_attester_slashing(bytes).ok_or(ToyInvalid::Malformed)
    }

    fn decode_voluntary_exit(&self, bytes: &[u8]) -> Result<ToyOperation, ToyInvalid> {
        toy_codec::decode_voluntary_exit(bytes).ok_or(ToyInvalid::Malformed)
    }

    fn decode_payload_vote(&self, _bytes: &[u8]) -> Result<ToyPayloadVote, ToyInvalid> {
        Err(ToyInvalid::Malformed)
    }

    fn header(&self, block: &ToyBlock) -> Header<ToyRoot, bool> {
        Header {
            root: block.root,
            parent: block.parent,
            slot: block.slot,
            proposer: block.slot,
            signature: block.signed,
        }
    }

    fn vote(&self, attestation: &ToyAttestation) -> Vote<ToyRoot> {
        Vote {
            id: attestation.id,
            slot: attestation.slot,
            beacon_block_root: attestation.head,
            source: Checkpoint { epoch: 0, root: 0 },
            target: attestation.target,
        }
    }

    fn gossip_vote(&self, vote: &GossipVote<Self>) -> VoteHeader<ToyRoot> {
        match vote {
            GossipVote::Single { attestation, subnet } => VoteHeader {
                vote: self.vote(attestation),
                data: attestation.id,
                committee: 0,
                bits: self.bits(|index| index == attestation.validator),
                topic: VoteTopic::Subnet(*subnet),
            },
            GossipVote::Aggregate(aggregate) => VoteHeader {
                vote: Vote {
                    id: aggregate.id,
                    slot: aggregate.slot,
                    beacon_block_root: aggregate.head,
                    source: Checkpoint { epoch: 0, root: 0 },
                    target: aggregate.target,
                },
                data: aggregate.data,
                committee: 0,
                bits: self.bits(|index| members(aggregate.voters).contains(&index)),
                topic: VoteTopic::Aggregate(aggregate.aggregator),
            },
        }
    }

    fn operation(&self, operation: &Operation<Self>) -> OperationHeader<ToyRoot> {
        let operation = toy_operation(operation);
        OperationHeader { id: operation.id, validators: members(operation.validators) }
    }

    fn payload_vote(&self, vote: &ToyPayloadVote) -> PayloadVoteHeader<ToyRoot> {
        vote.header()
    }

    fn needs_payload(&self, _block: &ToyBlock) -> bool {
        self.payloads
    }

    fn verify_payload_vote(
        &self,
        _state: &ToyState,
        vote: &ToyPayloadVote,
    ) -> Result<Places, Failure<ToyInvalid, ToyFault>> {
        vote.places(self.validators).map_err(Failure::Invalid)
    }

    fn state_slot(&self, state: &ToyState) -> Slot {
        state.slot
    }

    fn state_root(&self, state: &ToyState) -> ToyRoot {
        state.block
    }

    fn state_bytes(&self, _state: &ToyState) -> usize {
        size_of::<ToyState>()
    }

    fn block_bytes(&self, _block: &ToyBlock) -> usize {
        1
    }

    fn post_state_root(&self, block: &ToyBlock) -> Option<ToyRoot> {
        Some(block.root)
    }

    fn advance(&self, state: &mut ToyState, slot: Slot) -> Result<(), ToyFault> {
        if slot < state.slot {
            return Err(state.wrong());
        }
        state.slot = slot;
        Ok(())
    }

    fn transition(
        &self,
        state: &mut ToyState,
        block: &ToyBlock,
        flags: UpdateFlags,
    ) -> Result<(), Failure<ToyInvalid, ToyFault>> {
        self.advance(state, block.slot).map_err(Failure::Fault)?;
        if state.block != block.parent {
            return Err(Failure::Fault(state.wrong()));
        }
        let signature = !flags.skip_bls_validation && !flags.skip_proposer_signature;
        if signature && !block.signed {
            return Err(Failure::Invalid(ToyInvalid::Signature));
        }
        if !flags.skip_state_root_validation && !block.valid {
            return Err(Failure::Invalid(ToyInvalid::Block));
        }
        state.block = block.root;
        state.checkpoint = block.finalizes.unwrap_or(state.checkpoint);
        Ok(())
    }

    fn block_effects(
        &self,
        post_state: &ToyState,
        _block: &ToyBlock,
    ) -> Result<BlockEffects<ToyRoot>, ToyFault> {
        let checkpoint = post_state.checkpoint;
        Ok(BlockEffects {
            post_state_root: post_state.block,
            checkpoints: Checkpoints {
                justified: checkpoint,
                finalized: checkpoint,
                unrealized_justified: checkpoint,
                unrealized_finalized: checkpoint,
            },
            votes: Vec::new(),
            equivocating: Vec::new(),
        })
    }

    fn verify_proposer(
        &self,
        _state: &ToyState,
        block: &ToyBlock,
        _whose: StateOf,
    ) -> Result<ProposerCheck, Failure<ToyInvalid, ToyFault>> {
        // Every slot is everybody's.
        if block.signed {
            Ok(ProposerCheck::Complete)
        } else {
            Err(Failure::Invalid(ToyInvalid::Signature))
        }
    }

    fn check_proposer(&self, block: &ToyBlock, expected: ValidatorIndex) -> Result<(), ToyInvalid> {
        if self.header(block).proposer == expected { Ok(()) } else { Err(ToyInvalid::Proposer) }
    }

    fn committees(&self, _state: &ToyState, _epoch: Epoch) -> Result<(), ToyFault> {
        Ok(())
    }

    fn verify_attestations_with(
        &self,
        (): &(),
        attestations: &[ToyAttestation],
    ) -> Vec<AttestationOutcome<Self>> {
        let verify = |attestation: &ToyAttestation| attestation.outcome();
        attestations.iter().map(verify).collect()
    }

    fn verify_attestation(
        &self,
        _target_state: &ToyState,
        attestation: &ToyAttestation,
    ) -> AttestationOutcome<Self> {
        attestation.outcome()
    }

    fn verify_gossip_votes(&self, (): &(), votes: &[&GossipVote<Self>]) -> Vec<VoteOutcome<Self>> {
        let verify = |vote: &&GossipVote<Self>| match vote {
            GossipVote::Single { attestation, subnet } if *subnet != attestation.validator => {
                Err(Failure::Invalid(ToyInvalid::Subnet).into())
            }
            GossipVote::Single { attestation, .. } if attestation.valid => {
                Ok(vec![attestation.validator])
            }
            GossipVote::Single { attestation, .. } => Err(VoteFailure {
                failure: Failure::Invalid(ToyInvalid::Attestation),
                attester: Some(attestation.validator),
            }),
            GossipVote::Aggregate(aggregate) if aggregate.valid => Ok(members(aggregate.voters)),
            GossipVote::Aggregate(_) => Err(Failure::Invalid(ToyInvalid::Attestation).into()),
        };
        votes.iter().map(verify).collect()
    }

    fn verify_operation(
        &self,
        _state: &ToyState,
        operation: &Operation<Self>,
    ) -> Result<Vec<ValidatorIndex>, Failure<ToyInvalid, ToyFault>> {
        let operation = toy_operation(operation);
        match operation {
            ToyOperation { valid: false, .. } => Err(Failure::Invalid(ToyInvalid::Operation)),
            ToyOperation { signed: false, .. } => {
                Err(Failure::Invalid(ToyInvalid::OperationSignature))
            }
            ToyOperation { validators, .. } => Ok(members(validators)),
        }
    }

    /// The block whose root is an operation's identity is the one that carries it.
    fn is_spent(&self, state: &ToyState, operation: &Operation<Self>) -> bool {
        toy_operation(operation).id == state.block
    }

    fn balances(&self, _state: &ToyState) -> Result<Balances, ToyFault> {
        Ok(Balances {
            effective: Arc::from(vec![1; self.validators]),
            total_active: self.validators as u64,
        })
    }

    fn aggregated(&self, aggregate: &ToyAggregate) -> ToyAttestation {
        let ToyAggregate { id, slot, head, target, aggregator, valid, .. } = *aggregate;
        ToyAttestation { id, slot, head, target, validator: aggregator, valid }
    }

    fn signed_header(&self, block: &ToyBlock) -> ToyBlock {
        *block
    }

    fn attestations(&self, _block: &ToyBlock) -> Vec<ToyAttestation> {
        Vec::new()
    }

    fn attester_slashing(
        &self,
        first: (&ToyAttestation, &[ValidatorIndex]),
        second: (&ToyAttestation, &[ValidatorIndex]),
    ) -> ToySlashing<ToyAttesterSlashing> {
        ToySlashing::Of(Arc::new(ToyAttesterSlashing {
            attestations: [*first.0, *second.0],
            indices: [first.1.to_vec(), second.1.to_vec()],
        }))
    }

    fn proposer_slashing(&self, first: &ToyBlock, second: &ToyBlock) -> ToySlashing<[ToyBlock; 2]> {
        ToySlashing::Of(Arc::new([*first, *second]))
    }

    fn inclusion_weights(
        &self,
        state: &ToyState,
        attestation: &ToyAttestation,
    ) -> Option<Vec<Gwei>> {
        let latest = attestation.slot.saturating_add(self.slots_per_epoch);
        (attestation.slot < state.slot && state.slot <= latest).then(|| vec![1])
    }

    type BlockInputs = ToyRoot;
    type UnsignedBlock = ToyUnsigned;

    fn block_limits(&self) -> BlockLimits {
        toy_production::LIMITS
    }

    fn produce(
        &self,
        state: ToyState,
        parts: BlockParts<Self>,
        inputs: &ToyRoot,
    ) -> Result<ToyUnsigned, Failure<ToyInvalid, ToyFault>> {
        toy_production::produce(self, state, parts, *inputs)
    }
}
