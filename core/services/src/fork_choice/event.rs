//! What the fork choice is told, what it answers, and its constants.

use thiserror::Error;

use crate::consensus::{Balances, Checkpoint, Checkpoints, IndexedVote, Slot, ValidatorIndex};
use crate::payload::{PayloadData, Places};

/// Constants of the fork choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Slots of an epoch; 0 is read as 1.
    pub slots_per_epoch: u64,
    /// `PROPOSER_SCORE_BOOST`, in percent of a slot's committee weight.
    pub proposer_score_boost_percent: u64,
    /// `REORG_HEAD_WEIGHT_THRESHOLD`: a head of less than this many percent of a slot's committee
    /// weight is weak.
    pub reorg_head_weight_threshold_percent: u64,
    /// `REORG_PARENT_WEIGHT_THRESHOLD`: a head's parent of more than this many percent of a slot's
    /// committee weight is strong.
    pub reorg_parent_weight_threshold_percent: u64,
    /// `REORG_MAX_EPOCHS_SINCE_FINALIZATION`: if finality is further back, no proposer leaves a
    /// late head out.
    pub reorg_max_epochs_since_finalization: u64,
    /// Attestations that may wait for their slot; one more is refused.
    pub max_queued_attestations: usize,
}

impl Config {
    /// Returns the constants of v1.7.0-alpha.13: a boost of 40 %, thresholds of 20 % and 160 % and
    /// two epochs for the proposer's head. There is room for 65,536 waiting attestations.
    #[must_use]
    pub const fn new(slots_per_epoch: u64) -> Self {
        Self {
            slots_per_epoch,
            proposer_score_boost_percent: 40,
            reorg_head_weight_threshold_percent: 20,
            reorg_parent_weight_threshold_percent: 160,
            reorg_max_epochs_since_finalization: 2,
            max_queued_attestations: 65_536,
        }
    }
}

/// What the machine is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<R> {
    /// The clock shows `slot`. Slots may be skipped; an earlier slot than the last changes nothing.
    Tick {
        /// The current slot.
        slot: Slot,
    },
    /// A block passed its full transition. A block that is known changes nothing.
    Block {
        /// Its root.
        root: R,
        /// Its parent's root.
        parent: R,
        /// Its slot.
        slot: Slot,
        /// Its proposer.
        proposer: ValidatorIndex,
        /// Checkpoints of its post-state, realised and pulled up.
        checkpoints: Checkpoints<R>,
        /// Whether it arrived in its own slot, before the attestation deadline.
        timely: bool,
        /// The attestations that it carries; their targets may be of any epoch. One that the rules
        /// do not admit does not count, and nothing is said of it.
        votes: Vec<IndexedVote<R>>,
        /// The validators that its attester slashings prove to have equivocated.
        equivocating: Vec<ValidatorIndex>,
    },
    /// An attestation that no block carried was verified.
    Attestation {
        /// Who voted for what.
        vote: IndexedVote<R>,
    },
    /// An attester slashing that no block carried was verified.
    AttesterSlashing {
        /// The validators that signed both attestations.
        indices: Vec<ValidatorIndex>,
    },
    /// A payload vote that no block carried was verified.
    PayloadVote {
        /// What is said. If the block is of another slot, nothing changes.
        data: PayloadData<R>,
        /// The places of the voter.
        places: Places,
    },
    /// The payload of a block was verified.
    Payload {
        /// Root of the block.
        root: R,
    },
    /// The answer to [`Effect::NeedBalances`].
    JustifiedBalances {
        /// The checkpoint whose state the balances are from.
        checkpoint: Checkpoint<R>,
        /// The balances of the checkpoint's root, advanced to its epoch's first slot.
        balances: Balances,
    },
}

/// What the machine reports and asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<R> {
    /// The head is another block.
    HeadChanged {
        /// The head before.
        old: R,
        /// The head now.
        new: R,
        /// Number of blocks of the old chain that the new head does not descend from; 0 if it
        /// extends the old head.
        reorg_depth: u64,
    },
    /// The justified checkpoint has changed.
    Justified(Checkpoint<R>),
    /// The finalised checkpoint has changed; what does not descend from it is pruned.
    Finalized(Checkpoint<R>),
    /// Answer with [`Event::JustifiedBalances`] for this checkpoint.
    NeedBalances(Checkpoint<R>),
    /// The event was not admitted and changed nothing.
    Refused(Refusal),
}

/// Why an event was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum Refusal {
    /// The block's parent is not in the tree.
    #[error("the parent is not in the tree")]
    UnknownParent,
    /// The item's slot has not come.
    #[error("the slot has not come")]
    FutureSlot,
    /// The block's slot is not after its parent's.
    #[error("the slot is not after the parent's")]
    SlotNotAfterParent,
    /// The block's slot is not after the finalised checkpoint's first slot.
    #[error("the slot is not after the finalised slot")]
    NotAfterFinalizedSlot,
    /// The block's chain does not go through the finalised checkpoint.
    #[error("the block does not descend from the finalised checkpoint")]
    NotDescendantOfFinalized,
    /// A checkpoint newer than the store's is not on the block's own chain, or its epoch starts at
    /// the block's slot or later.
    #[error("a checkpoint of the post-state is not an ancestor of the block")]
    CheckpointNotAncestor,
    /// The attestation's target is neither of the current nor of the previous epoch.
    #[error("the target epoch is neither current nor previous")]
    TargetEpochOutOfRange,
    /// The attestation's target epoch is not that of its slot.
    #[error("the target epoch is not that of the slot")]
    TargetEpochNotOfSlot,
    /// The attestation's target is not in the tree.
    #[error("the target block is not in the tree")]
    UnknownTarget,
    /// The attestation's block is not in the tree.
    #[error("the attested block is not in the tree")]
    UnknownBlock,
    /// The attestation's block is newer than the attestation.
    #[error("the attested block is newer than the attestation")]
    BlockAfterAttestation,
    /// The attestation's target is not the checkpoint of its block's chain.
    #[error("the target is not the checkpoint of the attested block")]
    TargetNotAncestor,
    /// As many attestations as may wait for their slot are waiting.
    #[error("too many attestations wait for their slot")]
    QueueFull,
    /// The balances are not those of the justified checkpoint.
    #[error("the balances are of another checkpoint than the justified one")]
    StaleBalances,
}
