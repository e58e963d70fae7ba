//! An item that the Quarantine has looked at: what it is, what tells it from others, and what has
//! it checked. Its identity is computed once, when it comes.

use crate::consensus::Consensus;
use crate::gossip::{GossipVote, IdentifiedOperation, IdentifiedVote, OperationKind, VoteTopic};
use crate::identified::{self, IdentifiedAttestation, IdentifiedBlock};
use crate::payload::IdentifiedPayloadVote;
use crate::quarantine::event::{Effect, Item, RequestId};
use crate::rewinder::{Job, Lane};

/// What tells two items apart. A block's signature is part of it: until it is verified, a forged
/// copy must not stand for the honest block (hazard Q6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ItemKey<R, S> {
    /// A block's root and signature.
    Block(R, S),
    /// An attestation's own root, which covers its signature.
    Attestation(R),
    /// A gossip vote's own root, and its topic. On another subnet the same bytes are judged anew.
    Vote(R, VoteTopic),
    /// An operation's kind and its own root.
    Operation(OperationKind, R),
    /// A payload vote's own root, which covers its signature.
    PayloadVote(R),
}

/// The key of an item of `C`.
pub(crate) type Key<C> = ItemKey<<C as Consensus>::Root, <C as Consensus>::Signature>;

/// The kinds of item. Each has budgets of its own, so that none takes another's room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Blocks.
    Blocks,
    /// Attestations, and votes of the gossip topics.
    Attestations,
    /// Operations of the gossip topics: slashings and voluntary exits.
    Operations,
    /// Votes of payload-timeliness committees.
    PayloadVotes,
}

impl Kind {
    /// All kinds, in the order in which they are served.
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::Blocks, Self::Attestations, Self::Operations, Self::PayloadVotes];
    /// How many there are.
    pub(crate) const COUNT: usize = 4;
}

/// An item that has been looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HeldItem<C: Consensus> {
    /// A block with its header.
    Block(IdentifiedBlock<C>),
    /// An attestation with its vote.
    Attestation(IdentifiedAttestation<C>),
    /// A gossip vote with its header.
    Vote(IdentifiedVote<C>),
    /// An operation with its header.
    Operation(IdentifiedOperation<C>),
    /// A payload vote with its header.
    PayloadVote(IdentifiedPayloadVote<C>),
}

impl<C: Consensus> HeldItem<C> {
    /// Looks at an item for the first time.
    pub(crate) fn of(consensus: &C, item: Item<C>) -> Self {
        match item {
            Item::Block(block) => Self::Block(identified::block(consensus, block)),
            Item::Attestation(attestation) => {
                Self::Attestation(identified::attestation(consensus, attestation))
            }
            Item::Single { attestation, subnet } => {
                let single = GossipVote::Single { attestation, subnet };
                Self::Vote(identified::gossip_vote(consensus, single))
            }
            Item::Aggregate(aggregate) => {
                let aggregate = GossipVote::Aggregate(aggregate);
                Self::Vote(identified::gossip_vote(consensus, aggregate))
            }
            Item::Operation(operation) => {
                Self::Operation(identified::operation(consensus, operation))
            }
            Item::PayloadVote(vote) => Self::PayloadVote(identified::payload_vote(consensus, vote)),
        }
    }

    /// Returns what has the Rewinder check this item, of a peer that is proven or not.
    pub(crate) fn check(&self, request: RequestId, proven: bool) -> Effect<C> {
        let job = match self {
            Self::Block(block) => Job::Block(block.clone()),
            Self::Attestation(attestation) => Job::Attestation(attestation.clone()),
            Self::Vote(vote) => Job::Vote(vote.clone()),
            Self::PayloadVote(vote) => Job::PayloadVote(vote.clone()),
            Self::Operation(operation) => {
                return Effect::CheckAtHead { request, operation: operation.clone() };
            }
        };
        let lane = match job.lane() {
            Lane::Attestations if !proven => Lane::Unproven,
            lane => lane,
        };
        Effect::Check { request, lane, job }
    }

    /// Returns the kind of item.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Block(_) => Kind::Blocks,
            Self::Attestation(_) | Self::Vote(_) => Kind::Attestations,
            Self::Operation(_) => Kind::Operations,
            Self::PayloadVote(_) => Kind::PayloadVotes,
        }
    }

    /// Returns the root, if this is a block.
    pub(crate) fn block_root(&self) -> Option<C::Root> {
        match self {
            Self::Block(block) => Some(block.identity().root),
            Self::Attestation(_) | Self::Vote(_) | Self::Operation(_) | Self::PayloadVote(_) => {
                None
            }
        }
    }

    /// Returns what tells the item from others.
    pub(crate) fn key(&self) -> Key<C> {
        match self {
            Self::Block(block) => {
                let header = block.identity();
                ItemKey::Block(header.root, header.signature.clone())
            }
            Self::Attestation(attestation) => ItemKey::Attestation(attestation.identity().id),
            Self::Vote(vote) => ItemKey::Vote(vote.identity().vote.id, vote.identity().topic),
            Self::Operation(operation) => {
                ItemKey::Operation(operation.item().kind(), operation.identity().id)
            }
            Self::PayloadVote(vote) => ItemKey::PayloadVote(vote.identity().id),
        }
    }
}
