//! What the Quarantine is told, what it asks for, and its bounds; see [`crate::quarantine`].

use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::gossip::{IdentifiedOperation, Operation};
use crate::quarantine::held_item::Kind;
use crate::rewinder::{Answer, Job, Lane};
use crate::verdict::{
    ClearedAttestation, ClearedBlock, ClearedOperation, ClearedPayloadVote, ClearedVote, ItemId,
    PendingReason, Quarantined, Verdict,
};

/// Identifies a request to the Rewinder. An answer carries it, so that no answer is taken for that
/// of another request.
pub type RequestId = u64;

/// Bounds of a Quarantine.
///
/// Each kind of item has its own room (`items`, `bytes`) and its own part of the window, so that no
/// kind takes another's. Where room is short, the peer that holds most gives way; what a peer holds
/// counts eight times until the peer is proven, that is, until an item of it was accepted to be
/// passed on, and none rejected since. So a peer that holds less than its share loses nothing to
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Requests to the Rewinder under way at once, at least 1. An eighth of them, rounded down, is
    /// kept for each kind of item (blocks; attestations and votes; operations; payload votes).
    pub window: usize,
    /// How many of the requests of each kind may be for peers that are not proven, at least 1. It
    /// is what a proven peer's item finds ahead of it, so more than the number of workers is of
    /// little use.
    pub unproven: usize,
    /// How many of the requests for blocks may be for one peer, at least 1. It bounds what another
    /// peer's block finds ahead of it of one peer, whose items may all be valid.
    pub peer_blocks: usize,
    /// How many of the requests of each other kind may be for one peer, at least 1. Such items are
    /// checked together, so fewer than a batch's largest step would make them dearer.
    pub peer_votes: usize,
    /// Items held of each kind that wait, are ready or are in flight; at least 1. At the bound, the
    /// peer that holds most loses the item that has waited longest, or else the one that was made
    /// ready last. What is in flight is never evicted.
    pub items: usize,
    /// Bytes held of each kind, at least 1. The policy at the bound is the same.
    pub bytes: usize,
    /// Submissions held of one peer, at least 1, including copies of items that other peers brought.
    /// A further one is dropped. But a block that others wait for is taken, and the item of this
    /// peer that has waited longest is dropped in its place.
    pub items_per_peer: usize,
    /// Submissions that may share one held item (same root and signature). A further one is
    /// ignored as a duplicate.
    pub followers: usize,
    /// Submissions that share a held item, in all. A further one is ignored as a duplicate.
    pub copies: usize,
    /// How much is remembered of each kind: roots as invalid, roots as pruned, items as refused,
    /// attestations as seen, and the validators of each kind of operation that was accepted.
    pub remembered: usize,
    /// Peers whose standing is remembered. Those that are not proven are forgotten first. As many
    /// weights that the node has given are kept; the one that was given first is forgotten first.
    pub peers: usize,
    /// How many slots an item may wait for a block or a slot, at least 1. One that waits longer is
    /// dropped.
    pub patience: u64,
    /// How many blocks that wait may form one chain, at least 1. Where there would be more, the tip
    /// of the chain is dropped, so that what would release it stays. Peers' quotas bound what one
    /// peer holds; this bounds what many peers build together, and the walk along it. The default
    /// is twice `patience`: as many slots of gossip as are waited for, and as many ancestors that
    /// the node has asked for by root. A node that is further behind asks by range, and the blocks
    /// it gets so have a known parent.
    pub depth: usize,
    /// How many blocks that items wait for are asked for again at a tick, at least 1. The others
    /// are asked for at the next ticks. An eighth, rounded down, is kept for peers that are not
    /// proven.
    pub needs: usize,
    /// Blocks of one slot and proposer that are imported or on the way there, at least 1. The first
    /// is passed on to peers. The others count for the fork choice and the slashing detector alone,
    /// so that one key cannot fill anything. Once there are so many, a further one is ignored
    /// without a transition. Blocks that are being checked at that moment are not counted: `window`
    /// bounds them. So at most `equivocations + window - 1` are imported.
    pub equivocations: usize,
    /// The same bound for a block that a held item waits for, at least 1. It is larger, since such
    /// a block may be on the chain that the others follow: a proposer that shows each node other
    /// blocks must not cut a node off from it. Anyone can make items that wait for a block; so
    /// beyond this bound each peer may vouch for four blocks more, by a block of its own that waits
    /// for them, and all peers that are not proven together for as many as this bound.
    pub awaited_equivocations: usize,
}

impl Limits {
    /// Returns how many requests of a kind may be under way for one peer.
    pub(super) fn of_peer(&self, kind: Kind) -> usize {
        match kind {
            Kind::Blocks => self.peer_blocks,
            _ => self.peer_votes,
        }
    }

    /// Returns the largest number of submissions that can be held.
    #[must_use]
    pub fn submissions(&self) -> usize {
        self.items.saturating_mul(Kind::ALL.len()).saturating_add(self.copies)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: 64,
            unproven: 2,
            peer_blocks: 4,
            peer_votes: 8,
            items: 1 << 14,
            bytes: 1 << 26,
            items_per_peer: 1 << 12,
            followers: 64,
            copies: 1 << 14,
            remembered: 1 << 14,
            peers: 1 << 10,
            patience: 32,
            depth: 64,
            needs: 64,
            equivocations: 3,
            awaited_equivocations: 48,
        }
    }
}

/// What the network gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item<C: Consensus> {
    /// A signed block.
    Block(C::Block),
    /// An attestation that comes without a proof and may have many bits: from a recorded chain or
    /// an API. The conditions of no topic hold for it, and it is never passed on to peers.
    Attestation(C::Attestation),
    /// An attestation of one validator, from `beacon_attestation_{subnet}`.
    Single {
        /// The attestation.
        attestation: C::Attestation,
        /// The subnet that it came on.
        subnet: u64,
    },
    /// A signed aggregate, from `beacon_aggregate_and_proof`.
    Aggregate(C::Aggregate),
    /// A slashing or an exit, from the topic of its kind.
    Operation(Operation<C>),
    /// A vote of a member of a payload-timeliness committee, from `payload_attestation_message`.
    PayloadVote(C::PayloadVote),
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
    /// The payload of a block is there, and this node has verified it. The block need not be known.
    Payload {
        /// Root of the block.
        root: C::Root,
    },
    /// The clock. It may step back.
    Tick {
        /// The current slot.
        slot: Slot,
        /// Milliseconds since the slot began.
        into_slot_ms: u64,
    },
    /// The node gives a peer a weight: its share of what is checked is multiplied by it.
    Weigh {
        /// The peer.
        peer: u64,
        /// From 1, which every peer has at first, to [`crate::quarantine::MAX_WEIGHT`].
        weight: u8,
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
        /// The lane of the job.
        lane: Lane,
        /// What to check.
        job: Job<C>,
    },
    /// Have the Rewinder check an operation by the state of the head, advanced to the slot that
    /// [`crate::quarantine::Quarantine::slot_of_operations`] returns; `Answered` with this number
    /// follows. Clearance knows the head.
    CheckAtHead {
        /// The number of the request.
        request: RequestId,
        /// The operation.
        operation: IdentifiedOperation<C>,
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
    /// Pass a gossip vote on to Clearance; `Imported` or `NotImported` with this number follows.
    ClearVote {
        /// The number of the request that it was checked under.
        request: RequestId,
        /// The vote, cleared.
        vote: Box<ClearedVote<C>>,
    },
    /// Pass an operation on to Clearance; `Imported` or `NotImported` with this number follows.
    ClearOperation {
        /// The number of the request that it was checked under.
        request: RequestId,
        /// The operation, cleared.
        operation: Box<ClearedOperation<C>>,
    },
    /// Pass a payload vote on to Clearance; `Imported` or `NotImported` with this number follows.
    ClearPayloadVote {
        /// The number of the request that it was checked under.
        request: RequestId,
        /// The vote, cleared.
        vote: Box<ClearedPayloadVote<C>>,
    },
    /// Tell Clearance that the payload of a block, which it has, is there.
    ClearPayload {
        /// Root of the block.
        root: C::Root,
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
    /// A hint to the network: an item waits for the payload of this block, which is known.
    NeedPayload {
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
            Self::Payload { .. } => "payload",
            Self::Tick { .. } => "tick",
            Self::Weigh { .. } => "weight",
            Self::Stop => "stop",
        }
    }
}
