//! The seam between the services and a consensus protocol.
//!
//! Services know blocks by their identity and states by what can be done with them; what a block
//! means is the business of an implementation of [`Consensus`]. `blocksmith-consensus` implements
//! it for phase0, and `crate::toy` (feature `testing`) implements it with a handful of roots for
//! the models. A node may bring its own.
//!
//! **Contract.** Every function is pure: the same arguments give the same answer, and it does no
//! I/O and does not wait. None may panic on data that came from a peer. What is wrong with the data
//! is an [`Invalid`]; what goes wrong on our side is a `Fault`. The two are different types, so
//! that a fault of ours never becomes a rejection of a peer's data.

mod proposer;

use std::error::Error;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use crate::attestation_pool::PoolAttestation;
use crate::gossip::{GossipVote, Operation, OperationHeader, VoteHeader, VoteOutcome};
use crate::payload::{PayloadVoteHeader, Places};
pub use proposer::{ProposerCheck, StateOf};

/// A slot number; slots are counted from genesis.
pub type Slot = u64;
/// An epoch number.
pub type Epoch = u64;
/// An index into the validator registry.
pub type ValidatorIndex = u64;
/// An amount in Gwei.
pub type Gwei = u64;

/// A checkpoint: the block at, or last before, the first slot of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Checkpoint<R> {
    /// The epoch.
    pub epoch: Epoch,
    /// Root of the block.
    pub root: R,
}

/// What identifies a block. The signature is not covered by the root: see hazard Q6.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Header<R, S> {
    /// `hash_tree_root` of the unsigned block.
    pub root: R,
    /// Root of the parent.
    pub parent: R,
    /// The slot the block claims.
    pub slot: Slot,
    /// The proposer the block claims.
    pub proposer: ValidatorIndex,
    /// The proposer's signature, unverified.
    pub signature: S,
}

/// What an attestation votes for, and its own identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vote<R> {
    /// `hash_tree_root` of the whole attestation, signature and bits included.
    pub id: R,
    /// The slot attested to.
    pub slot: Slot,
    /// The head voted for (LMD-GHOST).
    pub beacon_block_root: R,
    /// The source voted for (Casper FFG).
    pub source: Checkpoint<R>,
    /// The target voted for (Casper FFG).
    pub target: Checkpoint<R>,
}

/// An attestation whose committee is known: who voted for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexedVote<R> {
    /// What was voted for.
    pub vote: Vote<R>,
    /// Who voted, ascending.
    pub indices: Vec<ValidatorIndex>,
}

/// Checkpoints of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoints<R> {
    /// The state's `current_justified_checkpoint`.
    pub justified: Checkpoint<R>,
    /// The state's `finalized_checkpoint`.
    pub finalized: Checkpoint<R>,
    /// What `justified` would be after justification is run now ("pulled up").
    pub unrealized_justified: Checkpoint<R>,
    /// What `finalized` would be after justification is run now.
    pub unrealized_finalized: Checkpoint<R>,
}

/// What a valid block says to the fork choice and to the slashing detector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockEffects<R> {
    /// Root of the state after the block.
    pub post_state_root: R,
    /// Checkpoints of that state.
    pub checkpoints: Checkpoints<R>,
    /// The attestations that the block carries.
    pub votes: Vec<IndexedVote<R>>,
    /// Validators that the block's attester slashings prove to have equivocated, ascending.
    pub equivocating: Vec<ValidatorIndex>,
}

/// Weight of every validator's vote: its effective balance where it is active and not slashed, else
/// 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Balances {
    /// Entry `i` belongs to validator `i`.
    pub effective: Arc<[Gwei]>,
    /// `get_total_active_balance` of the same state, slashed validators included.
    pub total_active: Gwei,
}

/// Checks that a transition leaves out, for blocks that are known to be valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpdateFlags {
    /// Do not verify the Merkle proofs of deposits.
    pub skip_merkle_validation: bool,
    /// Do not verify signatures.
    pub skip_bls_validation: bool,
    /// Do not compare the block's state root with the state.
    pub skip_state_root_validation: bool,
    /// Do not compare the block's parent root with the state's latest header.
    pub skip_block_parent_root_validation: bool,
    /// Do not verify the proposer's signature over the block, as [`Consensus::verify_proposer`] has
    /// verified it. All other signatures are verified as ever.
    pub skip_proposer_signature: bool,
}

impl UpdateFlags {
    /// Returns the flags for replaying blocks that have been verified before.
    #[must_use]
    pub const fn replay() -> Self {
        Self {
            skip_merkle_validation: true,
            skip_bls_validation: true,
            skip_state_root_validation: true,
            skip_block_parent_root_validation: true,
            skip_proposer_signature: true,
        }
    }
}

/// Why data of a peer is invalid.
pub trait Invalid: Error + Clone + PartialEq + Eq + Hash + Send + Sync + 'static {
    /// Returns the project's word for the reason (`bad_randao`, `malformed_ssz`, ..).
    fn reason(&self) -> &'static str;
    /// Returns whether every block with the same root is invalid for this reason. False for what is
    /// outside the root: the proposer's signature, and the encoding.
    fn condemns_root(&self) -> bool;
}

/// How a function over a peer's data can fail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failure<I, F> {
    /// The peer's data is invalid.
    Invalid(I),
    /// We failed; the data may be valid.
    Fault(F),
}

/// The validators that voted with an attestation, ascending, or the first check that fails.
pub type AttestationOutcome<C> =
    Result<Vec<ValidatorIndex>, Failure<<C as Consensus>::Invalid, <C as Consensus>::Fault>>;

/// How much of each kind a block may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockLimits {
    /// Attestations.
    pub attestations: usize,
    /// Proposer slashings.
    pub proposer_slashings: usize,
    /// Attester slashings.
    pub attester_slashings: usize,
    /// Voluntary exits.
    pub voluntary_exits: usize,
}

/// What the services put into a block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockParts<C: Consensus> {
    /// Root of the parent.
    pub parent: C::Root,
    /// Attestations.
    pub attestations: Vec<C::Attestation>,
    /// Proposer slashings.
    pub proposer_slashings: Vec<C::ProposerSlashing>,
    /// Attester slashings.
    pub attester_slashings: Vec<C::AttesterSlashing>,
    /// Voluntary exits.
    pub voluntary_exits: Vec<C::VoluntaryExit>,
}

impl<C: Consensus> BlockParts<C> {
    /// Returns the parts of an empty block.
    #[must_use]
    pub fn new(parent: C::Root) -> Self {
        Self {
            parent,
            attestations: Vec::new(),
            proposer_slashings: Vec::new(),
            attester_slashings: Vec::new(),
            voluntary_exits: Vec::new(),
        }
    }
}

/// A consensus protocol; see the module's text.
pub trait Consensus: Send + Sync + Sized + 'static {
    /// A block root or state root.
    type Root: Copy + Eq + Ord + Hash + Debug + Send + Sync + 'static;
    /// A block's signature.
    type Signature: Clone + Eq + Ord + Hash + Debug + Send + Sync + 'static;
    /// A signed block. A clone costs a pointer.
    type Block: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// An attestation. A clone costs a pointer.
    type Attestation: PoolAttestation;
    /// A signed aggregate with the proof that its aggregator was selected. A clone costs a pointer.
    type Aggregate: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// A signed voluntary exit. A clone costs a pointer.
    type VoluntaryExit: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// A vote of a member of a payload-timeliness committee. A clone costs a pointer, or the vote.
    type PayloadVote: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// A state. A clone costs a few pointers.
    type State: Clone + Send + Sync + 'static;
    /// What attestations of one epoch of one branch are verified with: committees, their members'
    /// keys, and the domain. A clone costs a pointer.
    type Committees: Clone + Send + Sync + 'static;
    /// What can be wrong with a peer's data.
    type Invalid: Invalid;
    /// What can go wrong on our side.
    type Fault: Error + Clone + PartialEq + Eq + Hash + Send + Sync + 'static;

    /// Returns the number of slots of an epoch, at least 1.
    fn slots_per_epoch(&self) -> u64;
    /// Returns the length of a slot in milliseconds, at least 1 (`SLOT_DURATION_MS`).
    fn slot_duration_ms(&self) -> u64;
    /// Returns how many milliseconds into a slot attesters vote (`ATTESTATION_DUE_BPS` of a slot).
    /// A block that comes then or later is not timely.
    fn attestation_due_ms(&self) -> u64;

    /// Decodes a signed block from its wire form.
    ///
    /// # Errors
    /// If the bytes are not exactly one encoded block. Allocates no more than a small multiple of
    /// `bytes.len()`.
    fn decode_block(&self, bytes: &[u8]) -> Result<Self::Block, Self::Invalid>;
    /// Decodes an attestation from its wire form.
    ///
    /// # Errors
    /// If the bytes are not exactly one encoded attestation.
    fn decode_attestation(&self, bytes: &[u8]) -> Result<Self::Attestation, Self::Invalid>;

    /// Decodes a signed aggregate and proof from its wire form.
    ///
    /// # Errors
    /// If the bytes are not exactly one encoded message. So for the three below.
    fn decode_aggregate(&self, bytes: &[u8]) -> Result<Self::Aggregate, Self::Invalid>;
    /// Decodes a proposer slashing; see [`Consensus::decode_aggregate`].
    ///
    /// # Errors
    /// As there.
    fn decode_proposer_slashing(
        &self,
        bytes: &[u8],
    ) -> Result<Self::ProposerSlashing, Self::Invalid>;
    /// Decodes an attester slashing; see [`Consensus::decode_aggregate`].
    ///
    /// # Errors
    /// As there.
    fn decode_attester_slashing(
        &self,
        bytes: &[u8],
    ) -> Result<Self::AttesterSlashing, Self::Invalid>;
    /// Decodes a signed voluntary exit; see [`Consensus::decode_aggregate`].
    ///
    /// # Errors
    /// As there.
    fn decode_voluntary_exit(&self, bytes: &[u8]) -> Result<Self::VoluntaryExit, Self::Invalid>;

    /// Decodes a payload vote; see [`Consensus::decode_aggregate`].
    ///
    /// # Errors
    /// As there.
    fn decode_payload_vote(&self, bytes: &[u8]) -> Result<Self::PayloadVote, Self::Invalid>;

    /// Returns what identifies a block.
    fn header(&self, block: &Self::Block) -> Header<Self::Root, Self::Signature>;
    /// Returns what an attestation votes for.
    fn vote(&self, attestation: &Self::Attestation) -> Vote<Self::Root>;

    /// Returns what the gossip conditions ask of a vote without a state. The validators that an
    /// index or a bit stands for are not known yet.
    fn gossip_vote(&self, vote: &GossipVote<Self>) -> VoteHeader<Self::Root>;
    /// Returns what the gossip conditions ask of an operation without a state.
    fn operation(&self, operation: &Operation<Self>) -> OperationHeader<Self::Root>;

    /// Returns what the gossip conditions ask of a payload vote without a state.
    fn payload_vote(&self, vote: &Self::PayloadVote) -> PayloadVoteHeader<Self::Root>;
    /// Returns whether a block is built on the payload of its parent, so that it has to wait until
    /// that payload is there. By default no block is.
    fn needs_payload(&self, _block: &Self::Block) -> bool {
        false
    }

    /// Returns the attestation in an aggregate.
    fn aggregated(&self, aggregate: &Self::Aggregate) -> Self::Attestation;

    /// Returns the slot of a state.
    fn state_slot(&self, state: &Self::State) -> Slot;
    /// Returns `hash_tree_root` of a state.
    fn state_root(&self, state: &Self::State) -> Self::Root;
    /// Returns an estimate of the memory that keeping this state costs beside its neighbours.
    fn state_bytes(&self, state: &Self::State) -> usize;

    /// Returns an estimate of the memory that keeping this block costs.
    fn block_bytes(&self, _block: &Self::Block) -> usize {
        size_of::<Self::Block>()
    }
    /// Returns the root that the block claims for the state after it, or `None` if blocks claim
    /// none.
    fn post_state_root(&self, _block: &Self::Block) -> Option<Self::Root> {
        None
    }

    /// Runs empty slots up to `slot` (`process_slots`). Does nothing if the state is there already.
    ///
    /// # Errors
    /// If the state is past `slot`, or the protocol's arithmetic fails: a fault, as the state is
    /// ours.
    fn advance(&self, state: &mut Self::State, slot: Slot) -> Result<(), Self::Fault>;
    /// Runs `state_transition`: empty slots up to the block's slot (none if the state is there
    /// already), then the block. `state` must be that of the block's parent. After an error its
    /// content is unspecified.
    ///
    /// # Errors
    /// The first check that fails, in the order of the specification.
    fn transition(
        &self,
        state: &mut Self::State,
        block: &Self::Block,
        flags: UpdateFlags,
    ) -> Result<(), Failure<Self::Invalid, Self::Fault>>;
    /// Checks of a block, without its transition, as much as any state of its parent's branch
    /// allows: the proposer's signature, then, if the state is of the block's epoch, whether the
    /// proposer is the expected one. `state` may be of any ancestor, at any slot up to the block's;
    /// `whose` says whether it is the parent's. Or it is of a descendant of the parent, beside the
    /// block and at any slot: then only the signature is checked, with the key of the descendant's
    /// registry and the domain of the block's slot. By default no state can tell.
    ///
    /// A worker asks the state that its trail starts from. If that says `Unknown`, the worker asks
    /// a descendant's state, if the HotDB has given one, where only an error counts. Then it asks
    /// the parent's state before it advances that; if the epoch is still to come, once more at the
    /// epoch's start. If the state is an ancestor's and of the block's epoch,
    /// [`Consensus::proposers`] should have them from then on, whatever the outcome.
    ///
    /// # Errors
    /// The error that the transition would give: these are its first checks.
    fn verify_proposer(
        &self,
        _state: &Self::State,
        _block: &Self::Block,
        _whose: StateOf,
    ) -> Result<ProposerCheck, Failure<Self::Invalid, Self::Fault>> {
        Ok(ProposerCheck::Unknown)
    }
    /// Returns the proposers of the slots of the state's epoch, in order, if they are at hand.
    /// Within a branch every state of the epoch gives the same: they are a function of the epoch
    /// and of the last block before its start. By default they are not at hand.
    fn proposers(&self, _state: &Self::State) -> Option<Vec<ValidatorIndex>> {
        None
    }
    /// Checks that a block claims the proposer that is expected at its slot. It needs no state and
    /// verifies no signature. By default every proposer passes.
    ///
    /// # Errors
    /// The error that the transition would give, if it got that far.
    fn check_proposer(
        &self,
        _block: &Self::Block,
        _expected: ValidatorIndex,
    ) -> Result<(), Self::Invalid> {
        Ok(())
    }
    /// Returns what a valid block says, given the state after it.
    ///
    /// # Errors
    /// If the pulled-up checkpoints cannot be computed: a fault, as the block was valid.
    fn block_effects(
        &self,
        post_state: &Self::State,
        block: &Self::Block,
    ) -> Result<BlockEffects<Self::Root>, Self::Fault>;
    /// Returns the committees of `epoch` with all that attestations of that epoch are verified
    /// with. `state` belongs to the branch, and to `epoch`, to the one before or to the one after
    /// it. Within a branch every such state gives the same: committees are a function of the epoch
    /// and of its dependent root, the last block before the start of the preceding epoch.
    ///
    /// # Errors
    /// If the computation fails: a fault, as the state is ours.
    fn committees(
        &self,
        state: &Self::State,
        epoch: Epoch,
    ) -> Result<Self::Committees, Self::Fault>;
    /// Verifies committee, bits and signature of attestations whose target's epoch and branch are
    /// those of `committees`. Returns one outcome for each, in their order: who voted, ascending,
    /// or the first check that fails. An implementation may verify signatures together; an invalid
    /// one spoils no other attestation's outcome.
    fn verify_attestations_with(
        &self,
        committees: &Self::Committees,
        attestations: &[Self::Attestation],
    ) -> Vec<AttestationOutcome<Self>>;
    /// Verifies attestations of one target, whose state, advanced to the first slot of the target's
    /// epoch, is `target_state`. The outcomes are those of
    /// [`Consensus::verify_attestations_with`].
    fn verify_attestations(
        &self,
        target_state: &Self::State,
        attestations: &[Self::Attestation],
    ) -> Vec<AttestationOutcome<Self>> {
        match self.committees(target_state, self.epoch_at(self.state_slot(target_state))) {
            Ok(committees) => self.verify_attestations_with(&committees, attestations),
            Err(fault) => attestations.iter().map(|_| Err(Failure::Fault(fault.clone()))).collect(),
        }
    }
    /// Verifies one attestation, as [`Consensus::verify_attestations`] does.
    ///
    /// # Errors
    /// The first check that fails.
    fn verify_attestation(
        &self,
        target_state: &Self::State,
        attestation: &Self::Attestation,
    ) -> AttestationOutcome<Self>;
    /// Verifies gossip votes whose target's epoch and branch are those of `committees`, by the
    /// conditions of their topics that need committees. Returns one outcome for each, in their
    /// order, whatever the others are. An implementation may verify signatures together.
    ///
    /// For a single attestation: the committee's index, the subnet, one bit for each member, the
    /// signature. For an aggregate: the committee's index, one bit for each member, that the
    /// selection proof selects, that the aggregator is of the committee, then the signatures of the
    /// selection proof, of the message and of the aggregate.
    fn verify_gossip_votes(
        &self,
        committees: &Self::Committees,
        votes: &[&GossipVote<Self>],
    ) -> Vec<VoteOutcome<Self>>;
    /// Checks an operation as a block that follows `state` would, without changing the state.
    /// Returns the validators that it is about, ascending: those that are slashed or exit, and for
    /// an attester slashing all that both votes name.
    ///
    /// # Errors
    /// The first check that fails, in the order of the specification.
    fn verify_operation(
        &self,
        state: &Self::State,
        operation: &Operation<Self>,
    ) -> AttestationOutcome<Self>;
    /// Checks a payload vote for the block whose state `state` is; the vote's slot is the block's.
    /// In this order: the voter is registered, it holds a place of the slot's committee, it has
    /// signed. Returns the places that it holds.
    ///
    /// # Errors
    /// The first check that fails; a fault if the protocol has no such committee.
    fn verify_payload_vote(
        &self,
        state: &Self::State,
        vote: &Self::PayloadVote,
    ) -> Result<Places, Failure<Self::Invalid, Self::Fault>>;
    /// Returns whether no block on `state`, or on a descendant of it, can ever carry the operation:
    /// whom a slashing is about is slashed or can withdraw already, and whom an exit is about exits
    /// already. An operation about a validator that the state does not know is not spent. Once true
    /// on a chain, it stays true.
    fn is_spent(&self, state: &Self::State, operation: &Operation<Self>) -> bool;
    /// Computes in advance what the state's epoch will ask for, and keeps it where the state's
    /// clones and descendants find it. No answer depends on whether it has been called. What is
    /// known already costs nothing. By default there is nothing to prepare.
    ///
    /// A worker of the Rewinder calls it, when nothing waits, for the state of a committed block
    /// that is the first of its epoch on its branch. The worker takes no task before the call
    /// returns.
    ///
    /// # Errors
    /// If the computation fails: a fault, as the state is ours. The fault is logged, and that is
    /// all.
    fn prepare_epoch(&self, _state: &Self::State) -> Result<(), Self::Fault> {
        Ok(())
    }
    /// Returns the weights of votes in a state.
    ///
    /// # Errors
    /// If sums overflow: a fault, as the state is ours.
    fn balances(&self, state: &Self::State) -> Result<Balances, Self::Fault>;

    // What the slashing detector and the attestation pool need.

    /// A block's header with its signature: what a proposer slashing is made of. It has no memory
    /// beside itself.
    type SignedHeader: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// Two attestations that prove an offence, ready to be included in a block.
    type AttesterSlashing: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// Two headers that prove an offence, ready to be included in a block.
    type ProposerSlashing: Clone + Eq + Hash + Debug + Send + Sync + 'static;

    /// Returns a block's header with its signature.
    fn signed_header(&self, block: &Self::Block) -> Self::SignedHeader;
    /// Returns the attestations that a block carries, in the order of [`BlockEffects::votes`].
    fn attestations(&self, block: &Self::Block) -> Vec<Self::Attestation>;
    /// Returns the operation made of two verified attestations, each with those who cast it,
    /// ascending. If one vote surrounds the other, the first does.
    fn attester_slashing(
        &self,
        first: (&Self::Attestation, &[ValidatorIndex]),
        second: (&Self::Attestation, &[ValidatorIndex]),
    ) -> Self::AttesterSlashing;
    /// Returns the operation made of two headers of one slot and proposer, whose signatures were
    /// verified.
    fn proposer_slashing(
        &self,
        first: &Self::SignedHeader,
        second: &Self::SignedHeader,
    ) -> Self::ProposerSlashing;
    /// Returns what each bit of a verified attestation is worth in a block on `state`, which has
    /// been advanced to the block's slot: the effective balance of the member, or 0 if its vote
    /// earns nothing. `None` if no such block may carry the attestation.
    fn inclusion_weights(
        &self,
        state: &Self::State,
        attestation: &Self::Attestation,
    ) -> Option<Vec<Gwei>>;

    // What a proposer needs.

    /// What the proposer itself puts into a block: in phase0 its RANDAO reveal, graffiti, vote on
    /// the deposit contract and deposits.
    type BlockInputs: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// A block that is complete but for its proposer's signature. A clone costs a pointer.
    type UnsignedBlock: Clone + Eq + Hash + Debug + Send + Sync + 'static;

    /// Returns how much of each kind a block may carry.
    fn block_limits(&self) -> BlockLimits;
    /// Returns the block that `state`'s proposer can sign: at the state's slot, on the parent of
    /// `parts`, whose state `state` is, advanced. The block's transition is run on `state` for its
    /// state root, with every check but those of the proposer's signature and the state root.
    ///
    /// # Errors
    /// The first check that fails, in the order of the specification. Here that is no peer's
    /// doing: an input or a part is at fault.
    fn produce(
        &self,
        state: Self::State,
        parts: BlockParts<Self>,
        inputs: &Self::BlockInputs,
    ) -> Result<Self::UnsignedBlock, Failure<Self::Invalid, Self::Fault>>;

    /// Returns the epoch of a slot.
    fn epoch_at(&self, slot: Slot) -> Epoch {
        slot / self.slots_per_epoch()
    }
    /// Returns the first slot of an epoch (the largest slot number, if that overflows).
    fn start_slot(&self, epoch: Epoch) -> Slot {
        epoch.saturating_mul(self.slots_per_epoch())
    }
}

#[cfg(test)]
mod tests {
    use super::{Consensus, UpdateFlags};
    use crate::toy::{Toy, ToyState};

    #[test]
    fn a_replay_leaves_every_check_out() {
        // All that a transition can leave out.
        let UpdateFlags {
            skip_merkle_validation,
            skip_bls_validation,
            skip_state_root_validation,
            skip_block_parent_root_validation,
            skip_proposer_signature,
        } = UpdateFlags::replay();
        assert!(skip_merkle_validation && skip_bls_validation && skip_state_root_validation);
        assert!(skip_block_parent_root_validation && skip_proposer_signature);
    }

    #[test]
    fn by_default_no_proposers_are_at_hand() {
        // The toy protocol has the default.
        assert_eq!(Toy::default().proposers(&ToyState::anchor()), None);
    }
}
