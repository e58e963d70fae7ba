//! A consensus protocol of a handful of roots, for models and for tests of the services.
//!
//! Roots are small numbers that the scenario chooses. A block says of itself whether it is valid
//! and whether its signature is; a state remembers the last block and the checkpoints that block
//! announced. Everything else (one validator per attestation, equal weights, no committees) is as
//! little as the services need in order to show every branch of their behaviour.

use std::sync::Arc;

use thiserror::Error;

use crate::consensus::{
    Balances, BlockEffects, Checkpoint, Checkpoints, Consensus, Failure, Header, Invalid, Slot,
    UpdateFlags, ValidatorIndex, Vote,
};
use crate::toy_codec;

/// A root; 0 is the anchor's.
pub type ToyRoot = u8;

/// The toy protocol. Validators have equal weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Toy {
    /// Slots of an epoch, at least 1.
    pub slots_per_epoch: u64,
    /// Number of validators.
    pub validators: usize,
}

impl Default for Toy {
    fn default() -> Self {
        Self { slots_per_epoch: 4, validators: 4 }
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

/// What can be wrong with a toy item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum ToyInvalid {
    /// The encoding is wrong.
    #[error("the bytes are not the encoding of a toy item")]
    Malformed,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// The transition rejects the block.
    #[error("the block says of itself that it is invalid")]
    Block,
    /// The attestation does not verify.
    #[error("the attestation says of itself that it is invalid")]
    Attestation,
}

impl Invalid for ToyInvalid {
    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed_ssz",
            Self::Signature => "bad_proposer_signature",
            Self::Block => "bad_state_root",
            Self::Attestation => "bad_signature",
        }
    }

    fn condemns_root(&self) -> bool {
        matches!(self, Self::Block)
    }
}

/// What can go wrong on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum ToyFault {
    /// A state was asked to run backwards, or a block was applied to another block's state.
    #[error("state of block {block} at slot {slot} does not fit the request")]
    WrongState {
        /// The block the state follows.
        block: ToyRoot,
        /// The state's slot.
        slot: Slot,
    },
}

impl ToyState {
    fn wrong(&self) -> ToyFault {
        ToyFault::WrongState { block: self.block, slot: self.slot }
    }
}

impl Consensus for Toy {
    type Root = ToyRoot;
    type Signature = bool;
    type Block = ToyBlock;
    type Attestation = ToyAttestation;
    type State = ToyState;
    type Invalid = ToyInvalid;
    type Fault = ToyFault;

    fn slots_per_epoch(&self) -> u64 {
        self.slots_per_epoch
    }

    fn seconds_per_slot(&self) -> u64 {
        3
    }

    fn decode_block(&self, bytes: &[u8]) -> Result<ToyBlock, ToyInvalid> {
        toy_codec::decode_block(bytes).ok_or(ToyInvalid::Malformed)
    }

    fn decode_attestation(&self, bytes: &[u8]) -> Result<ToyAttestation, ToyInvalid> {
        toy_codec::decode_attestation(bytes).ok_or(ToyInvalid::Malformed)
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

    fn state_slot(&self, state: &ToyState) -> Slot {
        state.slot
    }

    fn state_root(&self, state: &ToyState) -> ToyRoot {
        state.block
    }

    fn state_bytes(&self, _state: &ToyState) -> usize {
        size_of::<ToyState>()
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
        if !flags.skip_bls_validation && !block.signed {
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

    fn verify_attestation(
        &self,
        _target_state: &ToyState,
        attestation: &ToyAttestation,
    ) -> Result<Vec<ValidatorIndex>, Failure<ToyInvalid, ToyFault>> {
        if attestation.valid {
            Ok(vec![attestation.validator])
        } else {
            Err(Failure::Invalid(ToyInvalid::Attestation))
        }
    }

    fn balances(&self, _state: &ToyState) -> Result<Balances, ToyFault> {
        Ok(Balances {
            effective: Arc::from(vec![1; self.validators]),
            total_active: self.validators as u64,
        })
    }
}
