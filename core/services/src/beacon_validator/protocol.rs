//! What the machine has to ask about what it signs, and the times of a slot.

use std::fmt::Debug;
use std::hash::Hash;

use crate::consensus::{Epoch, Slot, ValidatorIndex};

/// What the machine signs with, and what it signs. A protocol is a small value.
///
/// **Contract.** Every function is pure and does not panic, whatever a beacon node has sent.
pub trait DutyProtocol: Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// A validator's public key.
    type Key: Copy + Ord + Hash + Debug + Send + Sync + 'static;
    /// A block root.
    type Root: Copy + Ord + Hash + Debug + Send + Sync + 'static;
    /// A signature.
    type Signature: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// An unsigned block. A clone costs a pointer.
    type Block: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// An `AttestationData`.
    type Data: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// An unsigned aggregate attestation. A clone costs a pointer.
    type Aggregate: Clone + Eq + Hash + Debug + Send + Sync + 'static;

    /// Returns the times of a slot.
    fn timing(&self) -> Timing;
    /// Returns what a block says of itself.
    fn block_claims(&self, block: &Self::Block) -> BlockClaims<Self::Root>;
    /// Returns whether a block carries this RANDAO reveal.
    fn carries_reveal(&self, block: &Self::Block, reveal: &Self::Signature) -> bool;
    /// Returns what an `AttestationData` says.
    fn data_claims(&self, data: &Self::Data) -> DataClaims<Self::Root>;
    /// Returns the data that an aggregate attests to.
    fn aggregate_data<'a>(&self, aggregate: &'a Self::Aggregate) -> &'a Self::Data;
    /// Returns whether the validator with this selection proof aggregates (`is_aggregator`).
    fn is_aggregator(&self, committee_length: u64, proof: &Self::Signature) -> bool;
}

/// What a block says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockClaims<R> {
    /// Its slot.
    pub slot: Slot,
    /// Its proposer.
    pub proposer: ValidatorIndex,
    /// Root of its parent.
    pub parent: R,
}

/// What an `AttestationData` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataClaims<R> {
    /// The slot attested to.
    pub slot: Slot,
    /// The committee.
    pub committee: u64,
    /// The head voted for.
    pub head: R,
    /// Epoch of the source.
    pub source: Epoch,
    /// Epoch of the target.
    pub target: Epoch,
}

/// The times of a slot, in milliseconds from its start, and the length of an epoch in slots.
///
/// They are in order: `attestation <= attestation_gather <= slot`, `attestation <= aggregate <=
/// aggregate_gather <= slot`, and `proposal_end <= slot`. See [`Timing::check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// Slots of an epoch, at least 1.
    pub slots_per_epoch: u64,
    /// Length of a slot, at least 1.
    pub slot_ms: u64,
    /// When a proposal is given up.
    pub proposal_end_ms: u64,
    /// When attestations are due; the slot's own block as head makes them due earlier.
    pub attestation_ms: u64,
    /// When the attestations that are signed are published though others are not signed yet.
    pub attestation_gather_ms: u64,
    /// When aggregates are due.
    pub aggregate_ms: u64,
    /// When the aggregates that are signed are published though others are not signed yet.
    pub aggregate_gather_ms: u64,
}

impl Timing {
    /// Returns the times of phase0 for a slot of `slot_ms` milliseconds: attestations at a third
    /// and aggregates at two thirds. A proposal is given up at two thirds. Signed attestations wait
    /// for others until half of the slot, and signed aggregates until five sixths.
    #[must_use]
    pub const fn phase0(slots_per_epoch: u64, slot_ms: u64) -> Self {
        Self {
            slots_per_epoch,
            slot_ms,
            proposal_end_ms: slot_ms / 3 * 2,
            attestation_ms: slot_ms / 3,
            attestation_gather_ms: slot_ms / 2,
            aggregate_ms: slot_ms / 3 * 2,
            aggregate_gather_ms: slot_ms / 6 * 5,
        }
    }

    /// Returns whether the times are in order and no length is 0.
    #[must_use]
    pub const fn check(&self) -> bool {
        self.slots_per_epoch > 0
            && self.slot_ms > 0
            && self.attestation_ms <= self.attestation_gather_ms
            && self.attestation_gather_ms <= self.slot_ms
            && self.attestation_ms <= self.aggregate_ms
            && self.aggregate_ms <= self.aggregate_gather_ms
            && self.aggregate_gather_ms <= self.slot_ms
            && self.proposal_end_ms <= self.slot_ms
    }

    /// Returns the epoch of a slot.
    #[must_use]
    pub const fn epoch(&self, slot: Slot) -> Epoch {
        slot / self.slots_per_epoch
    }

    /// Returns a time in a slot as milliseconds since genesis; it saturates.
    #[must_use]
    pub const fn at(&self, slot: Slot, into_slot_ms: u64) -> u64 {
        slot.saturating_mul(self.slot_ms).saturating_add(into_slot_ms)
    }
}

/// A reading of the slot clock. It may step back, jump, and be before genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    /// Genesis has not come.
    BeforeGenesis,
    /// Milliseconds since genesis.
    SinceGenesis(u64),
}

/// A block that a beacon node holds for the head, with the roots that duties depend on (the fields
/// of the `head` event).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head<R> {
    /// Root of the block.
    pub root: R,
    /// Its slot.
    pub slot: Slot,
    /// `current_duty_dependent_root`: the last block before the epoch of `slot`.
    pub current_dependent: R,
    /// `previous_duty_dependent_root`: the last block before the epoch before that.
    pub previous_dependent: R,
}

/// A list of duties that a beacon node has for each epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DutyList {
    /// Who proposes which slot; fixed by the last block of the epoch before.
    Proposers,
    /// Who attests in which committee; fixed by the last block of two epochs before.
    Attesters,
}

impl<R: Copy> Head<R> {
    /// Returns the root that fixes a list of an epoch on the branch of this head. `None` if the
    /// head's epoch is later than `epoch`, because then the event does not say it.
    #[must_use]
    pub fn dependent_root(&self, timing: &Timing, list: DutyList, epoch: Epoch) -> Option<R> {
        match list {
            DutyList::Attesters => self.shuffling_root(timing.slots_per_epoch, epoch),
            DutyList::Proposers => match epoch.checked_sub(timing.epoch(self.slot))? {
                0 => Some(self.current_dependent),
                // The deciding slot has not come on this branch: its last block is the head.
                _ => Some(self.root),
            },
        }
    }

    /// Returns the root that fixes the committees of an epoch on the branch of this head: those of
    /// attesters, and those of votes on payloads. `None` if the head's epoch is later than `epoch`,
    /// because then the event does not say it.
    ///
    /// # Panics
    /// If an epoch has no slots.
    #[must_use]
    pub fn shuffling_root(&self, slots_per_epoch: u64, epoch: Epoch) -> Option<R> {
        // How many epochs the deciding block lies before the end of the head's own.
        Some(match epoch.checked_sub(self.slot / slots_per_epoch)? {
            0 => self.previous_dependent,
            1 => self.current_dependent,
            // The deciding slot has not come on this branch: its last block is the head.
            _ => self.root,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DutyList, Head, Timing};

    #[test]
    fn the_root_that_duties_depend_on_is_told_by_the_head_of_their_branch() {
        // A head in epoch 5 and the lists of epochs 4 to 7.
        let timing = Timing::phase0(8, 12);
        let head = Head { root: 'h', slot: 43, current_dependent: 'c', previous_dependent: 'p' };
        let of = |list, epoch| head.dependent_root(&timing, list, epoch);
        assert_eq!(
            (4..=7).map(|epoch| of(DutyList::Attesters, epoch)).collect::<Vec<_>>(),
            [None, Some('p'), Some('c'), Some('h')]
        );
        assert_eq!(
            (4..=6).map(|epoch| of(DutyList::Proposers, epoch)).collect::<Vec<_>>(),
            [None, Some('c'), Some('h')]
        );
    }

    #[test]
    fn times_out_of_order_are_found() {
        // The times of phase0, then each time beyond the one that comes after it.
        let timing = Timing::phase0(32, 12_000);
        assert!(timing.check());
        assert_eq!((timing.attestation_ms, timing.aggregate_ms), (4000, 8000));
        assert!(!Timing { attestation_ms: 6001, ..timing }.check());
        assert!(!Timing { attestation_gather_ms: 12_001, ..timing }.check());
        assert!(!Timing { aggregate_ms: 3999, ..timing }.check());
        assert!(!Timing { aggregate_gather_ms: 7999, ..timing }.check());
        assert!(!Timing { aggregate_gather_ms: 12_001, ..timing }.check());
        assert!(!Timing { proposal_end_ms: 12_001, ..timing }.check());
        assert!(!Timing { slot_ms: 0, ..timing }.check());
        assert!(!Timing::phase0(32, 0).check(), "all times are equal");
        assert!(!Timing { slots_per_epoch: 0, ..timing }.check());
        assert_eq!(timing.at(u64::MAX, 1), u64::MAX);
    }
}
