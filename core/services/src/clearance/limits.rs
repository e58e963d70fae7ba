//! The bounds of what Clearance holds beside the fork choice, which the HotDB bounds.

use crate::{attestation_pool, slashing};

/// Bounds of the attestation pool, the operation pool and the slashing detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Aggregates of equal data in the attestation pool, at least 1. Beyond that the one with the
    /// fewest members goes.
    pub aggregates: usize,
    /// Attestations of one slot in the attestation pool, at least 1. A further one is not taken.
    pub attestations_per_slot: usize,
    /// Attestations in the attestation pool, at least 1. Beyond that those of the oldest slot go.
    pub attestations: usize,
    /// Memory of the attestation pool's attestations, in bytes, at least 1. The policy at the bound
    /// is the same.
    pub attestation_bytes: usize,
    /// Operations of each kind in the operation pool, at least 1: proposer slashings, attester
    /// slashings, and voluntary exits. Beyond that the oldest goes. A worker that produces a block
    /// asks the block's state about each of them.
    pub operations: usize,
    /// Epochs of the slashing detector's window, from 1 to 65,534; more are read as that many.
    pub detection_epochs: u64,
    /// Memory of the slashing detector, in bytes, at least 1. When it is used up, the window is
    /// shorter than `detection_epochs`.
    pub detection_bytes: usize,
    /// Different votes for one target, and different proposals for one slot, that the slashing
    /// detector keeps of a validator, at least 2: an offence takes two. A further one adds nothing
    /// to what is known.
    pub detection_items: usize,
    /// The slashing detector watches the validators with an index below this number, at least 1.
    pub detection_validators: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let (pool, detector) = (attestation_pool::Limits::new(1), slashing::Limits::new(1));
        Self {
            aggregates: pool.aggregates,
            attestations_per_slot: pool.per_slot,
            attestations: pool.items,
            attestation_bytes: pool.bytes,
            operations: 64,
            detection_epochs: detector.epochs,
            detection_bytes: detector.bytes,
            detection_items: detector.items_per_key,
            detection_validators: detector.validators,
        }
    }
}

impl Limits {
    /// Returns the attestation pool's limits for a protocol.
    pub(super) fn pool(&self, slots_per_epoch: u64) -> attestation_pool::Limits {
        attestation_pool::Limits {
            aggregates: self.aggregates,
            per_slot: self.attestations_per_slot,
            items: self.attestations,
            bytes: self.attestation_bytes,
            ..attestation_pool::Limits::new(slots_per_epoch)
        }
    }

    /// Returns the slashing detector's limits for a protocol.
    pub(super) fn detector(&self, slots_per_epoch: u64) -> slashing::Limits {
        slashing::Limits {
            slots_per_epoch,
            epochs: self.detection_epochs,
            bytes: self.detection_bytes,
            items_per_key: self.detection_items,
            validators: self.detection_validators,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;
    use crate::{attestation_pool, slashing};

    #[test]
    fn each_limit_is_that_of_its_part() {
        // Nine different numbers.
        let limits = Limits {
            aggregates: 1,
            attestations_per_slot: 2,
            attestations: 3,
            attestation_bytes: 4,
            operations: 5,
            detection_epochs: 6,
            detection_bytes: 7,
            detection_items: 8,
            detection_validators: 9,
        };
        let pool = attestation_pool::Limits::new(32);
        let expected =
            attestation_pool::Limits { aggregates: 1, per_slot: 2, items: 3, bytes: 4, ..pool };
        assert_eq!(limits.pool(32), expected);
        let slots_per_epoch = 32;
        let expected = slashing::Limits {
            slots_per_epoch,
            epochs: 6,
            bytes: 7,
            items_per_key: 8,
            validators: 9,
        };
        assert_eq!(limits.detector(32), expected);
    }

    #[test]
    fn the_defaults_are_those_of_a_node() {
        // They depend on the protocol through the slots of an epoch alone.
        let limits = Limits::default();
        assert_eq!(limits.pool(32), attestation_pool::Limits::new(32));
        assert_eq!(limits.detector(32), slashing::Limits::new(32));
    }
}
