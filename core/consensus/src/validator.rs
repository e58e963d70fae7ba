//! What the validators' duties sign in phase0, and the votes on payloads of Gloas.
//!
//! Reference: consensus specification, `phase0/validator.md` and `gloas/validator.md`.

use blocksmith::beacon_validator::{BlockClaims, DataClaims, DutyProtocol, Timing};
use blocksmith::payload_attestation::{self, Claims, VoteProtocol};

use crate::config::ChainConfig;
use crate::containers::AttestationData;
use crate::gloas::PayloadAttestationData;
use crate::gossip::is_aggregator;
use crate::preset::Preset;
use crate::primitives::{PublicKeyBytes, Root, SignatureBytes};
use crate::shared::{SharedAttestation, SharedUnsignedBlock};

/// Phase0, as the machine of the duties looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phase0Duties {
    timing: Timing,
}

impl Phase0Duties {
    /// Returns the duties of a chain with this preset and configuration. Attestations and
    /// aggregates are due as the configuration says. What is signed waits for the rest until
    /// half-way to the next time: from the time of attestations to that of aggregates, and from
    /// there to the end of the slot.
    #[must_use]
    pub fn new<P: Preset>(config: &ChainConfig) -> Self {
        let slot_ms = config.slot_duration_ms.get();
        let aggregate_ms = config.aggregate_due_ms().min(slot_ms);
        let attestation_ms = config.attestation_due_ms().min(aggregate_ms);
        let timing = Timing {
            attestation_ms,
            attestation_gather_ms: attestation_ms + (aggregate_ms - attestation_ms) / 2,
            aggregate_ms,
            aggregate_gather_ms: aggregate_ms + (slot_ms - aggregate_ms) / 2,
            proposal_end_ms: aggregate_ms,
            ..Timing::phase0(P::SLOTS_PER_EPOCH, slot_ms)
        };
        Self { timing }
    }
}

/// Votes of a payload-timeliness committee, as the machine of the votes looks at them.
///
/// # Examples
/// ```
/// use blocksmith::payload_attestation::{Timing, VoteProtocol};
/// use blocksmith_consensus::PayloadVoteDuties;
/// let votes = PayloadVoteDuties::new(Timing::gloas(32, 12_000));
/// assert_eq!(votes.timing().due_ms, 9_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PayloadVoteDuties {
    timing: payload_attestation::Timing,
}

impl PayloadVoteDuties {
    /// Returns the votes of a chain with these times of a slot.
    #[must_use]
    pub const fn new(timing: payload_attestation::Timing) -> Self {
        Self { timing }
    }
}

impl VoteProtocol for PayloadVoteDuties {
    type Key = PublicKeyBytes;
    type Root = Root;
    type Signature = SignatureBytes;
    type Data = PayloadAttestationData;

    fn timing(&self) -> payload_attestation::Timing {
        self.timing
    }

    fn claims(&self, data: &PayloadAttestationData) -> Claims<Root> {
        Claims {
            slot: data.slot,
            block: data.beacon_block_root,
            payload_present: data.payload_present,
            blob_data_available: data.blob_data_available,
        }
    }
}

impl DutyProtocol for Phase0Duties {
    type Key = PublicKeyBytes;
    type Root = Root;
    type Signature = SignatureBytes;
    type Block = SharedUnsignedBlock;
    type Data = AttestationData;
    type Aggregate = SharedAttestation;

    fn timing(&self) -> Timing {
        self.timing
    }

    fn block_claims(&self, block: &SharedUnsignedBlock) -> BlockClaims<Root> {
        let block = block.value();
        BlockClaims { slot: block.slot, proposer: block.proposer_index, parent: block.parent_root }
    }

    fn carries_reveal(&self, block: &SharedUnsignedBlock, reveal: &SignatureBytes) -> bool {
        block.value().body.randao_reveal == *reveal
    }

    fn data_claims(&self, data: &AttestationData) -> DataClaims<Root> {
        DataClaims {
            slot: data.slot,
            committee: data.index,
            head: data.beacon_block_root,
            source: data.source.epoch,
            target: data.target.epoch,
        }
    }

    fn aggregate_data<'a>(&self, aggregate: &'a SharedAttestation) -> &'a AttestationData {
        &aggregate.value().data
    }

    fn is_aggregator(&self, committee_length: u64, proof: &SignatureBytes) -> bool {
        // A committee has at most 2,048 members; a node may say anything.
        is_aggregator(usize::try_from(committee_length).unwrap_or(usize::MAX), proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::{Attestation, BeaconBlock, Checkpoint};
    use crate::preset::{Mainnet, Minimal};

    #[test]
    fn the_times_are_those_of_the_configuration_and_in_order() {
        // Both presets, and a configuration whose attestations are due after its aggregates.
        let timing = Phase0Duties::new::<Mainnet>(&ChainConfig::mainnet()).timing();
        assert_eq!((timing.slots_per_epoch, timing.slot_ms), (32, 12_000));
        assert_eq!((timing.attestation_ms, timing.attestation_gather_ms), (3_999, 5_999));
        assert_eq!((timing.aggregate_ms, timing.aggregate_gather_ms), (8_000, 10_000));
        assert!(timing.check());
        let mut config = ChainConfig::minimal();
        config.set("ATTESTATION_DUE_BPS", "9000").unwrap();
        let timing = Phase0Duties::new::<Minimal>(&config).timing();
        assert!(timing.check());
        assert_eq!((timing.slots_per_epoch, timing.attestation_ms), (8, 4_000));
    }

    #[test]
    fn claims_are_read_from_the_fields_of_their_name() {
        // Values that differ from each other.
        let duties = Phase0Duties::new::<Minimal>(&ChainConfig::minimal());
        let (parent_root, head) = (Root::new([1; 32]), Root::new([2; 32]));
        let mut block =
            BeaconBlock { slot: 3, proposer_index: 4, parent_root, ..BeaconBlock::default() };
        block.body.randao_reveal = SignatureBytes::new([5; 96]);
        let block = SharedUnsignedBlock::from(block);
        let claims = BlockClaims { slot: 3, proposer: 4, parent: parent_root };
        assert_eq!(duties.block_claims(&block), claims);
        assert!(duties.carries_reveal(&block, &SignatureBytes::new([5; 96])));
        assert!(!duties.carries_reveal(&block, &SignatureBytes::ZERO));
        let data = AttestationData {
            slot: 6,
            index: 7,
            beacon_block_root: head,
            source: Checkpoint { epoch: 8, root: parent_root },
            target: Checkpoint { epoch: 9, root: parent_root },
        };
        let claims = DataClaims { slot: 6, committee: 7, head, source: 8, target: 9 };
        assert_eq!(duties.data_claims(&data), claims);
        let aggregate = Attestation { data: data.clone(), ..Attestation::default() };
        assert_eq!(duties.aggregate_data(&SharedAttestation::from(aggregate)), &data);
        let anybody = duties.is_aggregator(1, &SignatureBytes::ZERO);
        assert!(anybody, "of a small committee everybody aggregates");
        let _ = duties.is_aggregator(u64::MAX, &SignatureBytes::ZERO);
    }
}
