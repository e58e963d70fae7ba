//! The firewall's types: what the network gave, what has been cleared, and the answer to every
//! item.
//!
//! [`Quarantined`] can be made by anyone. [`Cleared`] cannot: its one constructor is the Rewinder's
//! and takes what only a full transition (or a full attestation check) yields.

use crate::consensus::{BlockEffects, Consensus, IndexedVote, Invalid, ValidatorIndex};
use crate::gossip::{IdentifiedOperation, IdentifiedVote};
use crate::identified::{IdentifiedAttestation, IdentifiedBlock};
use crate::payload::{IdentifiedPayloadVote, Places};

/// Identifies a submitted item. The numbers are the caller's and are never reused.
pub type ItemId = u64;

/// An item as the network gave it: nothing about it has been checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quarantined<T> {
    item: T,
    peer: u64,
    bytes: usize,
}

impl<T> Quarantined<T> {
    /// Marks `item` as coming from `peer`. `bytes` is the size that quotas count.
    pub fn new(item: T, peer: u64, bytes: usize) -> Self {
        Self { item, peer, bytes }
    }

    /// Turns the item into another form of it. Peer and size stay.
    pub(crate) fn map<U>(self, into: impl FnOnce(T) -> U) -> Quarantined<U> {
        Quarantined { item: into(self.item), peer: self.peer, bytes: self.bytes }
    }

    /// Returns the unchecked item.
    pub fn item(&self) -> &T {
        &self.item
    }

    /// Returns the peer that sent it: any number that tells peers apart.
    #[must_use]
    pub fn peer(&self) -> u64 {
        self.peer
    }

    /// Returns the size that quotas count, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// An item that passed, with the proof that it did: what the full check yielded.
///
/// Nobody but the Rewinder can make one (hazard R8): the constructor is not public,
///
/// ```compile_fail,E0624
/// let cleared = blocksmith::verdict::Cleared::new((), ());
/// ```
///
/// nor are the fields.
///
/// ```compile_fail,E0451
/// let cleared = blocksmith::verdict::Cleared { item: (), evidence: () };
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cleared<T, E> {
    item: T,
    evidence: E,
}

impl<T, E> Cleared<T, E> {
    /// Only the Rewinder's worker calls this, with the evidence of a full check.
    pub(crate) fn new(item: T, evidence: E) -> Self {
        Self { item, evidence }
    }

    /// Returns the item.
    pub fn item(&self) -> &T {
        &self.item
    }

    /// Returns what the full check yielded.
    pub fn evidence(&self) -> &E {
        &self.evidence
    }
}

/// A block that a full state transition accepted and that the HotDB has.
pub type ClearedBlock<C> = Cleared<IdentifiedBlock<C>, BlockEffects<<C as Consensus>::Root>>;
/// An attestation whose committee and signature were verified.
pub type ClearedAttestation<C> =
    Cleared<IdentifiedAttestation<C>, IndexedVote<<C as Consensus>::Root>>;

/// A gossip vote that met every condition which needs a state: who voted for what.
pub type ClearedVote<C> = Cleared<IdentifiedVote<C>, IndexedVote<<C as Consensus>::Root>>;
/// An operation that the head's state allows, with the validators that it is about, ascending.
pub type ClearedOperation<C> = Cleared<IdentifiedOperation<C>, Vec<ValidatorIndex>>;
/// A payload vote that met every condition which needs a state, with the places that it counts at.
pub type ClearedPayloadVote<C> = Cleared<IdentifiedPayloadVote<C>, Places>;

/// Why an item is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason<I> {
    /// The root was rejected before.
    KnownInvalid,
    /// An ancestor (or the block or target attested to) is invalid.
    InvalidAncestor,
    /// The block's branch does not contain the finalised block.
    NotDescendantOfFinalized,
    /// The block's slot is not after its parent's.
    SlotNotAfterParent,
    /// An attestation's target epoch is not the epoch of its slot.
    BadTargetEpoch,
    /// An attestation's target is not the checkpoint of the branch it votes for.
    BadTargetRoot,
    /// An attestation votes for a block of a later slot.
    BlockAfterAttestation,
    /// A single attestation has not exactly one bit set.
    NotUnaggregated,
    /// An aggregate has no bit set.
    NoParticipants,
    /// The protocol's own check.
    Check(I),
}

impl<I: Invalid> RejectReason<I> {
    /// Returns the project's word for the reason.
    pub fn word(&self) -> &'static str {
        match self {
            Self::KnownInvalid => "known_invalid",
            Self::InvalidAncestor => "invalid_ancestor",
            Self::NotDescendantOfFinalized => "not_descendant_of_finalized",
            Self::SlotNotAfterParent => "slot_not_after_parent",
            Self::BadTargetEpoch => "bad_target_epoch",
            Self::BadTargetRoot => "bad_target_root",
            Self::BlockAfterAttestation => "block_after_attestation",
            Self::NotUnaggregated => "not_unaggregated",
            Self::NoParticipants => "no_participants",
            Self::Check(invalid) => invalid.reason(),
        }
    }

    /// Returns whether finality is the reason. That depends on the root, and it will not change.
    pub fn is_finality(&self) -> bool {
        matches!(self, Self::NotDescendantOfFinalized)
    }

    /// Returns whether every item with the same root is invalid for this reason, for ever.
    pub fn condemns_root(&self) -> bool {
        match self {
            Self::KnownInvalid | Self::InvalidAncestor | Self::SlotNotAfterParent => true,
            Self::Check(invalid) => invalid.condemns_root(),
            _ => false,
        }
    }
}

/// Why an item is of no use, though nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IgnoreReason {
    /// It is known already.
    Duplicate,
    /// Its target epoch lies before the previous one, it is no longer propagated, or its target is
    /// a block on which every branch has built before that.
    TooOld,
    /// It lies further in the future than an item may wait for.
    FutureSlot,
    /// The block lies at or before the finalised slot.
    NotAfterFinalizedSlot,
    /// As many blocks of its slot and proposer have been imported as are kept.
    SecondProposal,
    /// A vote of its validator for its target epoch has been accepted.
    SecondVote,
    /// An aggregate of the same data with all of its bits has been accepted.
    SeenAggregate,
    /// An aggregate of its aggregator for its target epoch has been accepted.
    SecondAggregate,
    /// An operation of its kind about the same validators has been accepted.
    SeenOperation,
    /// A payload vote is not of the current slot.
    NotCurrentSlot,
    /// A payload vote is for a block of another slot than its own.
    BlockOfAnotherSlot,
    /// It votes for a block of a later slot, which has no weight.
    BlockAfterAttestation,
    /// It votes for a block that does not descend from the finalised one.
    FinalizedNotAncestor,
}

impl IgnoreReason {
    /// Returns the project's word for the reason.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::TooOld => "too_old",
            Self::FutureSlot => "future_slot",
            Self::NotAfterFinalizedSlot => "not_after_finalized_slot",
            Self::SecondProposal => "second_proposal",
            Self::SecondVote => "second_vote",
            Self::SeenAggregate => "seen_aggregate",
            Self::SecondAggregate => "second_aggregate",
            Self::SeenOperation => "seen_operation",
            Self::NotCurrentSlot => "not_current_slot",
            Self::BlockOfAnotherSlot => "block_of_another_slot",
            Self::BlockAfterAttestation => "block_after_attestation",
            Self::FinalizedNotAncestor => "finalized_not_ancestor",
        }
    }

    /// Returns whether finality is the reason. That depends on the root, and it will not change.
    #[must_use]
    pub fn is_finality(self) -> bool {
        matches!(self, Self::NotAfterFinalizedSlot)
    }
}

/// Why an item was given up without a judgement; it may be submitted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Quarantine is full of items that came before.
    QuarantineFull,
    /// It waited longest when room was needed.
    Evicted,
    /// As many submissions of its peer are held as are allowed.
    PeerQuota,
    /// Its peer has as many messages in the Quarantine's mailbox as it may.
    PeerBusy,
    /// So many blocks that wait would hang together with it as one chain may not. A node gets a gap
    /// that long by range, from its begin.
    TooDeep,
    /// It waited longer than an item may.
    Expired,
    /// Finality passed it while it waited.
    Finalized,
    /// The HotDB holds as many blocks as it may.
    HotDbFull,
    /// The Rewinder has as many tasks of this kind as it may.
    RewinderFull,
    /// It lies further after its parent, or its target, than the HotDB lets a state be advanced.
    TooFar,
    /// The services are stopping.
    Shutdown,
    /// We failed.
    Fault,
}

impl DropReason {
    /// Returns the project's word for the reason.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::QuarantineFull => "quarantine_full",
            Self::Evicted => "evicted",
            Self::PeerQuota => "peer_quota",
            Self::PeerBusy => "peer_busy",
            Self::TooDeep => "too_deep",
            Self::Expired => "expired",
            Self::Finalized => "finalized",
            Self::HotDbFull => "hot_db_full",
            Self::RewinderFull => "rewinder_full",
            Self::TooFar => "too_far",
            Self::Shutdown => "shutdown",
            Self::Fault => "fault",
        }
    }
}

/// The one final answer to a submitted item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict<R, I> {
    /// Valid. For a block: the root of the state after it.
    Accept {
        /// `None` for anything but a block.
        post_state_root: Option<R>,
        /// Whether the item is to be passed on to peers. The gossip conditions ask that a valid
        /// item be ignored all the same if it is a second block of its slot and proposer. Such a
        /// block is kept for the fork choice and for the slashing detector. An attestation that
        /// came without a proof ([`crate::quarantine::Item::Attestation`]) is never passed on.
        relay: bool,
    },
    /// Of no use.
    Ignore(IgnoreReason),
    /// Invalid.
    Reject(RejectReason<I>),
    /// Not judged.
    Dropped(DropReason),
}

impl<R, I: Invalid> Verdict<R, I> {
    /// Returns the class: `valid`, `ignored`, `invalid` or `dropped`.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Accept { .. } => "valid",
            Self::Ignore(_) => "ignored",
            Self::Reject(_) => "invalid",
            Self::Dropped(_) => "dropped",
        }
    }

    /// Returns the project's word for the reason; `ok` for an accepted item.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Accept { .. } => "ok",
            Self::Ignore(reason) => reason.word(),
            Self::Reject(reason) => reason.word(),
            Self::Dropped(reason) => reason.word(),
        }
    }
}

/// What an item without a verdict waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PendingReason {
    /// A block's parent.
    UnknownParent,
    /// The block that an attestation votes for.
    UnknownBlock,
    /// The payload of a block's parent.
    UnknownPayload,
    /// The slot it belongs to.
    FutureSlot,
    /// The Rewinder's answer, or its turn.
    BeingChecked,
}

impl PendingReason {
    /// Returns the project's word for the reason.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::UnknownParent => "unknown_parent",
            Self::UnknownBlock => "unknown_block",
            Self::UnknownPayload => "unknown_payload",
            Self::FutureSlot => "future_slot",
            Self::BeingChecked => "being_checked",
        }
    }
}
