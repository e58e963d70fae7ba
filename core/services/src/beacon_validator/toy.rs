//! A protocol of duties for tests and models: signatures that say whose they are and of what.

use std::panic::resume_unwind;

use crate::beacon_validator::event::Message;
use crate::beacon_validator::protocol::{BlockClaims, DataClaims, DutyProtocol, Timing};
use crate::consensus::{Epoch, Slot, ValidatorIndex};

/// The toy's protocol. Every validator with an even key aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ToyDuties {
    /// The times of its slots.
    pub timing: Timing,
}

/// A head over whose data the toy panics, against its contract: for tests of what becomes of a
/// panic in the machine's step.
pub const POISON: u8 = u8::MAX;

/// An unsigned block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToyProposal {
    /// Its slot.
    pub slot: Slot,
    /// Its proposer.
    pub proposer: ValidatorIndex,
    /// Its parent.
    pub parent: u8,
    /// Key and epoch of its RANDAO reveal.
    pub reveal: (u8, Epoch),
}

/// An `AttestationData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToyData {
    /// The slot.
    pub slot: Slot,
    /// The committee.
    pub committee: u64,
    /// The head voted for.
    pub head: u8,
    /// Epoch of the source.
    pub source: Epoch,
    /// Epoch of the target.
    pub target: Epoch,
}

/// What a signature is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signed {
    /// A RANDAO reveal.
    Randao(Epoch),
    /// A block.
    Block(ToyProposal),
    /// An attestation.
    Attestation(ToyData),
    /// A selection proof.
    Selection(Slot),
    /// An aggregate.
    Aggregate(ToyData, ValidatorIndex),
}

impl Signed {
    /// Returns what a signature of a message is of.
    #[must_use]
    pub fn of(message: &Message<ToyDuties>) -> Self {
        match message {
            Message::Randao(epoch) => Self::Randao(*epoch),
            Message::Block(block) => Self::Block(*block),
            Message::Attestation(data) => Self::Attestation(*data),
            Message::Selection(slot) => Self::Selection(*slot),
            Message::Aggregate { aggregate, aggregator, .. } => {
                Self::Aggregate(*aggregate, *aggregator)
            }
        }
    }

    /// Returns whether two messages of one key are a slashable offence.
    #[must_use]
    pub fn is_slashable_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Block(one), Self::Block(two)) => one != two && one.slot == two.slot,
            (Self::Attestation(one), Self::Attestation(two)) => {
                let surrounds = |outer: ToyData, inner: ToyData| {
                    outer.source < inner.source && inner.target < outer.target
                };
                (one != two && one.target == two.target)
                    || surrounds(one, two)
                    || surrounds(two, one)
            }
            _ => false,
        }
    }
}

/// A signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ToySignature {
    /// Whose it is.
    pub key: u8,
    /// What it is of.
    pub of: Signed,
}

impl DutyProtocol for ToyDuties {
    type Key = u8;
    type Root = u8;
    type Signature = ToySignature;
    type Block = ToyProposal;
    type Data = ToyData;
    type Aggregate = ToyData;

    fn timing(&self) -> Timing {
        self.timing
    }

    fn block_claims(&self, block: &ToyProposal) -> BlockClaims<u8> {
        BlockClaims { slot: block.slot, proposer: block.proposer, parent: block.parent }
    }

    fn carries_reveal(&self, block: &ToyProposal, reveal: &ToySignature) -> bool {
        let (key, epoch) = block.reveal;
        *reveal == ToySignature { key, of: Signed::Randao(epoch) }
    }

    fn data_claims(&self, data: &ToyData) -> DataClaims<u8> {
        let ToyData { slot, committee, head, source, target } = *data;
        if head == POISON {
            // The panic hook does not run: the panic is ordered, and no accident.
            resume_unwind(Box::new("the data are poisoned"));
        }
        DataClaims { slot, committee, head, source, target }
    }

    fn aggregate_data<'a>(&self, aggregate: &'a ToyData) -> &'a ToyData {
        aggregate
    }

    fn is_aggregator(&self, _: u64, proof: &ToySignature) -> bool {
        proof.key.is_multiple_of(2)
    }
}
