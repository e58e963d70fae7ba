//! What the Quarantine is told, what it asks for, and its bounds; see [`crate::quarantine`].

use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::rewinder::{Answer, Job};
use crate::verdict::{
    ClearedAttestation, ClearedBlock, ItemId, PendingReason, Quarantined, Verdict,
};

/// Identifies a request to the Rewinder. An answer carries it, so that no answer is taken for that
/// of another request.
pub type RequestId = u64;

/// Bounds of a Quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Requests to the Rewinder under way at once, at least 1.
    pub window: usize,
    /// Submissions held in all, of items that wait, are ready or are in flight; at least 1. At the
    /// bound, the item that has waited longest is evicted. If none waits, the new one is dropped. A
    /// copy of a held item is then ignored as a duplicate.
    pub items: usize,
    /// Bytes held in all. The policy at the bound is the same.
    pub bytes: usize,
    /// Submissions held of one peer, including copies of items that other peers brought. A further
    /// one is dropped.
    pub items_per_peer: usize,
    /// Submissions that may share one held item (same root and signature). A further one is
    /// ignored as a duplicate.
    pub followers: usize,
    /// How much is remembered of each kind: roots as invalid, roots as pruned, items as refused,
    /// and attestations as seen.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: 64,
            items: 1 << 14,
            bytes: 1 << 27,
            items_per_peer: 1 << 12,
            followers: 64,
            remembered: 1 << 14,
        }
    }
}

/// A block or an attestation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item<C: Consensus> {
    /// A signed block.
    Block(C::Block),
    /// An attestation.
    Attestation(C::Attestation),
}

/// What happens to the Quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<C: Consensus> {
    /// The network gave an item.
    Submit {
        /// Its number.
        id: ItemId,
        /// The item.
        item: Quarantined<Item<C>>,
    },
    /// The Rewinder answered.
    Answered {
        /// The request it answers.
        request: RequestId,
        /// The answer.
        answer: Answer<C>,
    },
    /// Clearance has taken in an item or a tick.
    Imported {
        /// The request whose item it was; `None` for a tick.
        request: Option<RequestId>,
        /// The finalised checkpoint afterwards.
        finalized: Checkpoint<C::Root>,
    },
    /// Clearance has lost the item: a fault of ours, so it may be submitted again.
    NotImported {
        /// The request whose item it was.
        request: RequestId,
    },
    /// The clock. It may step back.
    Tick {
        /// The current slot.
        slot: Slot,
        /// Milliseconds since the slot began.
        into_slot_ms: u64,
    },
    /// Judge nothing new: what is not in flight is given up.
    Stop,
}

/// What the Quarantine asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<C: Consensus> {
    /// Have the Rewinder check an item; `Answered` with this number follows.
    Check {
        /// The number of the request.
        request: RequestId,
        /// What to check.
        job: Job<C>,
    },
    /// Pass a block on to Clearance; `Imported` or `NotImported` with this number follows.
    ClearBlock {
        /// The number of the request that it was checked under.
        request: RequestId,
        /// The block, cleared.
        block: Box<ClearedBlock<C>>,
        /// Whether it was sent off in its own slot, before the attestation deadline.
        timely: bool,
    },
    /// Pass an attestation on to Clearance; `Imported` or `NotImported` with this number follows.
    ClearAttestation {
        /// The number of the request that it was checked under.
        request: RequestId,
        /// The attestation, cleared.
        attestation: Box<ClearedAttestation<C>>,
    },
    /// The one answer to a submission.
    Verdict {
        /// The submission.
        id: ItemId,
        /// The answer.
        verdict: Verdict<C::Root, C::Invalid>,
    },
    /// A submission has to wait.
    Parked {
        /// The submission.
        id: ItemId,
        /// What it waits for.
        why: PendingReason,
    },
    /// A hint to the network: an item waits for this block.
    Need {
        /// Root of the block.
        root: C::Root,
    },
}

impl<C: Consensus> Event<C> {
    /// Returns the kind of event, for reports.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Submit { .. } => "submission",
            Self::Answered { .. } => "answer",
            Self::Imported { .. } => "import",
            Self::NotImported { .. } => "failed import",
            Self::Tick { .. } => "tick",
            Self::Stop => "stop",
        }
    }
}
