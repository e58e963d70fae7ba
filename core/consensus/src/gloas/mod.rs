//! The payload-timeliness committee of Gloas: who is in it, what its members say, and what a block,
//! the fork choice and gossip make of their votes.
//!
//! In every slot a committee of [`Preset::PTC_SIZE`](crate::Preset::PTC_SIZE) places votes on
//! whether the payload of the slot's block arrived in time, and on whether its blobs are available.
//!
//! | to | start at |
//! |---|---|
//! | choose a committee | [`compute_ptc`] |
//! | remember the committees of three epochs | [`PtcWindow`], [`process_ptc_window`] |
//! | find duties | [`get_ptc_assignment`], [`get_ptc_dependent_root`] |
//! | check what a block carries | [`process_payload_attestation`] |
//! | count votes for the fork choice | [`PayloadVotes`] |
//! | judge what comes by gossip | [`validate_payload_attestation_message`] |
//! | run all of it on a chain of phase0 | [`Phase0::with_payload_committee`](crate::Phase0) |
//!
//! **Contract.** There is no state of Gloas here. Every function takes what it needs of one in two
//! parts: a [`BeaconState`](crate::BeaconState), of which it reads the slot, the fork, the latest
//! header, the registry, the randomness and the block roots, and a [`PtcWindow`], which a state of
//! Gloas holds beside them. No input panics or allocates beyond a small multiple of its own size.
//!
//! - P1: a validator may hold several places of a committee. A vote counts for each of them, and a
//!   block's aggregate holds a signature for each that votes.
//! - P2: the committees of an epoch are fixed two epochs before its start, at the end of the epoch
//!   in which its seed is. Later changes of balances do not move them: they are read from the
//!   window and not computed again.
//!
//! Reference: consensus specification 1.7.0-alpha.13, `gloas/beacon-chain.md`,
//! `gloas/fork-choice.md`, `gloas/validator.md`, `gloas/p2p-interface.md`.

mod bit_vector;
mod committee;
mod containers;
mod gossip;
mod operation;
mod progressive;
mod votes;
mod window;

pub use bit_vector::BitVector;
pub use committee::{compute_balance_weighted_selection, compute_ptc};
pub use containers::{
    IndexedPayloadAttestation, PayloadAttestation, PayloadAttestationData,
    PayloadAttestationMessage,
};
pub use gossip::{
    GossipClass, GossipClock, PayloadGossipError, VotedBlock, validate_payload_attestation_message,
    verify_payload_attestation_message,
};
pub use operation::{
    PayloadAttestationError, get_indexed_payload_attestation, is_valid_indexed_payload_attestation,
    payload_attestation_signing_root, process_payload_attestation,
};
pub use votes::{MessageSource, PayloadVoteError, PayloadVotes};
pub use window::{
    PtcOutOfRange, PtcWindow, get_ptc, get_ptc_assignment, get_ptc_dependent_root,
    process_ptc_window,
};

use crate::primitives::{DomainType, Gwei};

/// Domain of votes of a payload-timeliness committee.
pub const DOMAIN_PTC_ATTESTER: DomainType = [0x0c, 0, 0, 0];
/// Aggregates of votes per block.
pub const MAX_PAYLOAD_ATTESTATIONS: usize = 4;
/// The largest effective balance of a validator since Electra, in Gwei.
pub const MAX_EFFECTIVE_BALANCE_ELECTRA: Gwei = 2_048_000_000_000;
