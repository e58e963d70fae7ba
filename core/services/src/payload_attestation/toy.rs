//! A protocol of votes for tests and models: signatures that say whose they are and of what.

use std::panic::resume_unwind;

use crate::consensus::Slot;
use crate::payload_attestation::protocol::{Claims, Timing, VoteProtocol};

/// The toy's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ToyVotes {
    /// The times of its slots.
    pub timing: Timing,
}

/// A block over whose data the toy panics, against its contract: for tests of what becomes of a
/// panic in the machine's step.
pub const POISON: u8 = u8::MAX;

/// A `PayloadAttestationData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToyVote {
    /// The slot.
    pub slot: Slot,
    /// The slot's block.
    pub block: u8,
    /// Whether payload and blobs are there.
    pub is_complete: bool,
}

/// A signature: the key, and what was signed.
pub type ToySignature = (u8, ToyVote);

impl VoteProtocol for ToyVotes {
    type Key = u8;
    type Root = u8;
    type Signature = ToySignature;
    type Data = ToyVote;

    fn timing(&self) -> Timing {
        self.timing
    }

    fn claims(&self, data: &ToyVote) -> Claims<u8> {
        let ToyVote { slot, block, is_complete } = *data;
        if block == POISON {
            // The panic hook does not run: the panic is ordered, and no accident.
            resume_unwind(Box::new("the data are poisoned"));
        }
        Claims { slot, block, payload_present: is_complete, blob_data_available: is_complete }
    }
}
