//! Items together with what identifies them.
//!
//! **Contract.** [`Consensus::header`] (or [`Consensus::vote`], [`Consensus::gossip_vote`],
//! [`Consensus::operation`], [`Consensus::payload_vote`]) is called once for an item, when the
//! Quarantine first looks at it. From then on the answer goes wherever the item goes. A clone costs
//! one reference count.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::consensus::{Consensus, Header, Vote};
use crate::gossip::{GossipVote, IdentifiedOperation, IdentifiedVote, Operation};
use crate::payload::IdentifiedPayloadVote;

/// An item and its identity. The pair is compared and hashed by the item alone, as the identity is
/// a function of the item.
pub struct Identified<T, I>(Arc<(T, I)>);

/// A signed block with its [`Header`].
pub type IdentifiedBlock<C> = Identified<
    <C as Consensus>::Block,
    Header<<C as Consensus>::Root, <C as Consensus>::Signature>,
>;
/// An attestation with its [`Vote`].
pub type IdentifiedAttestation<C> =
    Identified<<C as Consensus>::Attestation, Vote<<C as Consensus>::Root>>;

/// Asks the protocol for a block's header and keeps the two together.
pub fn block<C: Consensus>(consensus: &C, block: C::Block) -> IdentifiedBlock<C> {
    let header = consensus.header(&block);
    Identified(Arc::new((block, header)))
}

/// Asks the protocol for an attestation's vote and keeps the two together.
pub fn attestation<C: Consensus>(
    consensus: &C,
    attestation: C::Attestation,
) -> IdentifiedAttestation<C> {
    let vote = consensus.vote(&attestation);
    Identified(Arc::new((attestation, vote)))
}

/// Asks the protocol for what identifies a gossip vote and keeps the two together.
pub fn gossip_vote<C: Consensus>(consensus: &C, vote: GossipVote<C>) -> IdentifiedVote<C> {
    let header = consensus.gossip_vote(&vote);
    Identified(Arc::new((vote, header)))
}

/// Asks the protocol for what identifies an operation and keeps the two together.
pub fn operation<C: Consensus>(consensus: &C, operation: Operation<C>) -> IdentifiedOperation<C> {
    let header = consensus.operation(&operation);
    Identified(Arc::new((operation, header)))
}

/// Asks the protocol for what identifies a payload vote and keeps the two together.
pub fn payload_vote<C: Consensus>(consensus: &C, vote: C::PayloadVote) -> IdentifiedPayloadVote<C> {
    let header = consensus.payload_vote(&vote);
    Identified(Arc::new((vote, header)))
}

impl<T, I> Identified<T, I> {
    /// Returns the item.
    #[must_use]
    pub fn item(&self) -> &T {
        &self.0.0
    }

    /// Returns what identifies the item.
    #[must_use]
    pub fn identity(&self) -> &I {
        &self.0.1
    }
}

impl<T, I> Clone for Identified<T, I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: PartialEq, I> PartialEq for Identified<T, I> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.item() == other.item()
    }
}

impl<T: Eq, I> Eq for Identified<T, I> {}

impl<T: Hash, I> Hash for Identified<T, I> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.item().hash(hasher);
    }
}

impl<T: fmt::Debug, I> fmt::Debug for Identified<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.item().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::block;
    use crate::toy::{Toy, ToyBlock};

    #[test]
    fn an_item_is_compared_hashed_and_shown_by_itself() {
        // A block, a copy that was identified apart from it, and the same root signed otherwise.
        let plain = ToyBlock::new(3, 2, 5);
        let of = |one| block(&Toy::default(), one);
        let (one, copy, other) = (of(plain), of(plain), of(plain.badly_signed()));
        assert_eq!(one, copy);
        assert_ne!(one, other);
        let hashes = RandomState::new();
        assert_eq!(hashes.hash_one(&one), hashes.hash_one(plain));
        assert_ne!(hashes.hash_one(&one), hashes.hash_one(&other));
        assert_eq!(format!("{one:?}"), format!("{plain:?}"));
    }
}
