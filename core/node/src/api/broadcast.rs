//! The way out to the network.
//!
//! **Contract.** What a validator client submits is submitted to our own services first, like all
//! that comes from the network. What they accept, and say is to be relayed, is handed to
//! [`Broadcast`]. An implementation never blocks.

use blocksmith_consensus::{
    SharedAggregate, SharedAttestation, SharedAttesterSlashing, SharedBlock, SharedPayloadVote,
    SharedProposerSlashing, SharedVoluntaryExit,
};

/// What is to be sent to peers.
#[derive(Clone, Debug)]
pub enum Published {
    /// A block.
    Block(SharedBlock),
    /// An attestation of one validator.
    Attestation {
        /// The attestation.
        attestation: SharedAttestation,
        /// Its subnet.
        subnet: u64,
    },
    /// An aggregate.
    Aggregate(SharedAggregate),
    /// A proposer slashing.
    ProposerSlashing(SharedProposerSlashing),
    /// An attester slashing.
    AttesterSlashing(SharedAttesterSlashing),
    /// A voluntary exit.
    VoluntaryExit(SharedVoluntaryExit),
    /// A vote on a payload, in the test fork alone.
    PayloadVote(SharedPayloadVote),
}

/// A network, as the API sees it.
pub trait Broadcast: Send + Sync {
    /// Sends a message to peers, or drops it. Does not block.
    fn publish(&self, message: Published);

    /// Returns whether the node still fetches the chain from its peers. Then it answers no question
    /// of validators.
    fn is_syncing(&self) -> bool {
        false
    }

    /// Returns how many peers there are.
    fn peers(&self) -> u64 {
        0
    }
}

/// A network of one node: whatever is published has reached everybody already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loopback;

impl Broadcast for Loopback {
    fn publish(&self, _: Published) {}
}
