//! What the machine has to ask about what it signs, and the times of a slot.

use std::fmt::Debug;
use std::hash::Hash;

use crate::consensus::{Epoch, Slot};

/// What the machine signs with, and what it signs. A protocol is a small value.
///
/// **Contract.** Every function is pure and does not panic, whatever a beacon node has sent.
pub trait VoteProtocol: Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// A validator's public key.
    type Key: Copy + Ord + Hash + Debug + Send + Sync + 'static;
    /// A block root.
    type Root: Copy + Ord + Hash + Debug + Send + Sync + 'static;
    /// A signature.
    type Signature: Clone + Eq + Hash + Debug + Send + Sync + 'static;
    /// A `PayloadAttestationData`.
    type Data: Clone + Eq + Hash + Debug + Send + Sync + 'static;

    /// Returns the times of a slot. They never change.
    fn timing(&self) -> Timing;
    /// Returns what a `PayloadAttestationData` says.
    fn claims(&self, data: &Self::Data) -> Claims<Self::Root>;
}

/// What a `PayloadAttestationData` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claims<R> {
    /// The slot that is voted on.
    pub slot: Slot,
    /// The slot's block.
    pub block: R,
    /// Whether its payload was seen in time.
    pub payload_present: bool,
    /// Whether the blobs of that payload were available.
    pub blob_data_available: bool,
}

/// A hundredth of a percent of a slot.
const BASIS_POINTS: u64 = 10_000;

/// The times of a slot, in milliseconds from its start, and the length of an epoch in slots.
///
/// They are in order: `fetch <= gather <= due <= late <= slot`. See [`Timing::check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// Slots of an epoch, at least 1.
    pub slots_per_epoch: u64,
    /// Length of a slot, at least 1.
    pub slot_ms: u64,
    /// When the data are asked for, if no complete payload made it earlier.
    pub fetch_ms: u64,
    /// When the votes that are signed leave, though others are not signed yet.
    pub gather_ms: u64,
    /// When votes are due. They should have left by then, and data are not asked for afterwards.
    pub due_ms: u64,
    /// When the votes leave that were signed too late for the first batch. What is not signed by
    /// then is given up.
    pub late_ms: u64,
}

impl Timing {
    /// Returns the times for a slot of `slot_ms` milliseconds whose votes are due after `due_bps`
    /// basis points of it (`PAYLOAD_ATTESTATION_DUE_BPS`). A twelfth of the slot before that is
    /// for the data and the signatures, and a twenty-fourth for the publication. With 7500 basis
    /// points the data are asked for at 62.5 % of the slot. That is after the time at which a
    /// payload has to be seen (`PAYLOAD_DUE_BPS`, a half). So the wait no longer changes whether
    /// it was. The late batch leaves halfway from the deadline to the slot's end.
    ///
    /// Beyond 10,000 basis points the votes are due at the slot's end.
    #[must_use]
    pub const fn from_basis_points(slots_per_epoch: u64, slot_ms: u64, due_bps: u64) -> Self {
        let bps = if due_bps < BASIS_POINTS { due_bps } else { BASIS_POINTS };
        let due_ms = (slot_ms as u128 * bps as u128 / BASIS_POINTS as u128) as u64;
        Self {
            slots_per_epoch,
            slot_ms,
            fetch_ms: due_ms.saturating_sub(slot_ms / 8),
            gather_ms: due_ms.saturating_sub(slot_ms / 24),
            due_ms,
            late_ms: due_ms + (slot_ms - due_ms) / 2,
        }
    }

    /// Returns the times of Gloas, where votes are due after 7500 basis points of the slot.
    #[must_use]
    pub const fn gloas(slots_per_epoch: u64, slot_ms: u64) -> Self {
        Self::from_basis_points(slots_per_epoch, slot_ms, 7500)
    }

    /// Returns whether the times are in order and no length is 0.
    #[must_use]
    pub const fn check(&self) -> bool {
        self.slots_per_epoch > 0
            && self.slot_ms > 0
            && self.fetch_ms <= self.gather_ms
            && self.gather_ms <= self.due_ms
            && self.due_ms <= self.late_ms
            && self.late_ms <= self.slot_ms
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

#[cfg(test)]
mod tests {
    use super::Timing;

    #[test]
    fn basis_points_give_a_deadline_with_time_before_it() {
        // The slots of mainnet and of the minimal preset; then the ends of what may be configured.
        let Timing { fetch_ms, gather_ms, due_ms, late_ms, .. } = Timing::gloas(32, 12_000);
        assert_eq!([fetch_ms, gather_ms, due_ms, late_ms], [7500, 8500, 9000, 10_500]);
        let Timing { fetch_ms, gather_ms, due_ms, late_ms, .. } = Timing::gloas(8, 6000);
        assert_eq!([fetch_ms, gather_ms, due_ms, late_ms], [3750, 4250, 4500, 5250]);
        for bps in [0, 1, 9_999, 10_000, u64::MAX] {
            for slot_ms in [1, 12_000, u64::MAX] {
                assert!(Timing::from_basis_points(1, slot_ms, bps).check(), "{slot_ms} {bps}");
            }
        }
    }

    #[test]
    fn times_out_of_order_are_found() {
        // Each time beyond the one that comes after it, and each length as 0.
        let timing = Timing::gloas(32, 12_000);
        assert!(timing.check());
        assert!(!Timing { fetch_ms: 8501, ..timing }.check());
        assert!(!Timing { gather_ms: 9001, ..timing }.check());
        assert!(!Timing { due_ms: 10_501, ..timing }.check());
        assert!(!Timing { late_ms: 12_001, ..timing }.check());
        assert!(!Timing { slot_ms: 0, ..timing }.check());
        assert!(!Timing::gloas(32, 0).check(), "all times are equal");
        assert!(!Timing { slots_per_epoch: 0, ..timing }.check());
        assert_eq!(timing.at(u64::MAX, 1), u64::MAX);
    }
}
