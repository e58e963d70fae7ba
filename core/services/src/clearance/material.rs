//! What a proposer builds on, and what there is to build with.

use crate::attestation_pool::{Candidates, PoolAttestation};
use crate::consensus::{Consensus, Slot};
use crate::gossip::Operation;

/// The block that a proposer builds on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuildOn<R> {
    /// This block.
    Block(R),
    /// The block that the fork choice says
    /// ([`proposer_head`](crate::fork_choice::ForkChoice::proposer_head)).
    ProposerHead {
        /// The proposer's slot.
        slot: Slot,
        /// Whether the proposer is not later into the slot than `PROPOSER_REORG_CUTOFF_BPS`.
        on_time: bool,
    },
}

/// What is wanted beside the block to build on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted<D> {
    /// Nothing: it costs no more than to find the block.
    Parent,
    /// What a block can be built with.
    Block,
    /// The aggregates of one data, for an aggregator: no operations, and no votes that the chain
    /// includes.
    Data {
        /// The slot attested to.
        slot: Slot,
        /// What identifies the data.
        root: D,
    },
}

/// What a requester wants of a protocol's Clearance.
pub type WantedOf<C> = Wanted<<<C as Consensus>::Attestation as PoolAttestation>::DataRoot>;

/// What a block can be built with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Material<C: Consensus> {
    /// Root of the block to build on.
    pub parent: C::Root,
    /// The attestations of the pool, and the votes that the parent's chain includes already.
    pub attestations: Candidates<C::Attestation>,
    /// Verified operations; a block's state may not admit all of them.
    pub operations: Vec<Operation<C>>,
}
