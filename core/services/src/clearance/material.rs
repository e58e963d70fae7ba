//! What a proposer builds on, and what there is to build with.

use std::fmt::Debug;
use std::hash::Hash;

use crate::attestation_pool::{Candidates, PoolAttestation};
use crate::consensus::{Consensus, Slot};
use crate::fork_choice::{BlockPayload, ForkChoice};
use crate::gossip::Operation;
use crate::payload::PayloadGroup;

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
    /// The payload votes of the pool, and what the fork choice has counted.
    PayloadVotes,
}

/// What is known of the payload of a block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KnownPayload<R> {
    /// Root of the block.
    pub root: R,
    /// Its slot.
    pub slot: Slot,
    /// What the fork choice has.
    pub payload: BlockPayload,
}

/// Returns what is known of the payloads of the tree's blocks, by root.
pub(super) fn known_payloads<R: Copy + Ord + Hash + Debug>(
    fork_choice: &ForkChoice<R>,
) -> Vec<KnownPayload<R>> {
    let known = |(root, payload): (R, &BlockPayload)| KnownPayload {
        root,
        // The block is in the tree, as its entry goes with it.
        slot: fork_choice.slot_of(root).unwrap_or_default(),
        payload: payload.clone(),
    };
    fork_choice.payloads().map(known).collect()
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
    /// The payload votes of the pool.
    pub payload_votes: Vec<PayloadGroup<C>>,
    /// What is known of payloads, by block.
    pub payloads: Vec<KnownPayload<C::Root>>,
}

impl<C: Consensus> Material<C> {
    /// Returns a block to build on, and nothing beside it.
    #[must_use]
    pub fn new(parent: C::Root) -> Self {
        Self {
            parent,
            attestations: Candidates::default(),
            operations: Vec::new(),
            payload_votes: Vec::new(),
            payloads: Vec::new(),
        }
    }
}
