//! What is asked of a state about a block's proposer, and what the state tells; see
//! [`Consensus::verify_proposer`](super::Consensus::verify_proposer).

/// Which block's state is asked about a block's proposer.
///
/// Only the operations of a block register validators, and empty slots register nobody. So if the
/// parent's state, at any slot, does not know the proposer, that is final. An earlier ancestor's
/// state leaves it open: a block between may register the proposer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateOf {
    /// The block's parent's, advanced by empty slots or not.
    Parent,
    /// An earlier ancestor's, advanced by empty slots or not.
    Ancestor,
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
