//! What is asked of a state about a block's proposer, and what the state tells; see
//! [`Consensus::verify_proposer`](super::Consensus::verify_proposer).

/// Which block's state is asked about a block's proposer.
///
/// Only the operations of a block register validators, and empty slots register nobody. So if the
/// parent's state, at any slot, does not know the proposer, that is final. An earlier ancestor's
/// state leaves it open: a block between may register the proposer. The state of a block on top of
/// the parent has the parent's registry and perhaps more, and a registered key never changes. So
/// whom it does not know, the parent's does not know either, and a signature that its key refutes
/// is a bad one. It tells no more than that: it may be of another branch than the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateOf {
    /// The block's parent's, advanced by empty slots or not.
    Parent,
    /// An earlier ancestor's, advanced by empty slots or not.
    Ancestor,
    /// That of a block which descends from the parent, at any slot. If no error comes of it,
    /// nothing is told.
    Descendant,
}

/// What a state tells of a block's proposer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProposerCheck {
    /// Nothing. The state of a later block may know the proposer. A parent's state should not say
    /// so: the worker then advances it for a block that nobody may have signed.
    Unknown,
    /// The proposer has signed. Whether the slot is its own, only a state of the block's epoch can
    /// tell.
    Signed,
    /// The proposer has signed, and the slot is its own.
    Complete,
}
