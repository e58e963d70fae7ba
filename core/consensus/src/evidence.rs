//! What is kept of verified blocks and attestations for later: the operations that prove an
//! offence, sums of attestations, and what an attestation is worth in a block.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "ProposerSlashing" and
//! "AttesterSlashing"; `phase0/validator.md`, "Attestations" of a block proposal and "Construct
//! aggregate".

use blocksmith::attestation_pool::{Bits, PoolAttestation};

use crate::accessors::{get_beacon_committee, get_block_root, get_current_epoch, get_validator};
use crate::bls;
use crate::containers::{
    AggregationBits, Attestation, AttesterSlashing, BeaconBlockHeader, IndexedAttestation,
    SignedBeaconBlock, SignedBeaconBlockHeader,
};
use crate::operations::check_inclusion;
use crate::preset::Preset;
use crate::primitives::{FAR_FUTURE_EPOCH, Gwei, Root, SignatureBytes, Slot, ValidatorIndex};
use crate::shared::SharedAttestation;
use crate::state::BeaconState;
use crate::wire::Wire;

/// Returns a block's header with its signature. It costs the root of the block's body.
pub(crate) fn signed_header(block: &SignedBeaconBlock) -> SignedBeaconBlockHeader {
    let message = &block.message;
    SignedBeaconBlockHeader {
        message: BeaconBlockHeader {
            slot: message.slot,
            proposer_index: message.proposer_index,
            parent_root: message.parent_root,
            state_root: message.state_root,
            body_root: message.body.hash_tree_root(),
        },
        signature: block.signature,
    }
}

/// Returns the operation made of two verified attestations and those who cast them, ascending.
pub(crate) fn attester_slashing(
    first: (&SharedAttestation, &[ValidatorIndex]),
    second: (&SharedAttestation, &[ValidatorIndex]),
) -> AttesterSlashing {
    let indexed = |(attestation, indices): (&SharedAttestation, &[ValidatorIndex])| {
        let Attestation { data, signature, .. } = attestation.value();
        IndexedAttestation {
            // A verified attestation has no more attesters than a committee has members.
            attesting_indices: indices.to_vec().try_into().unwrap_or_default(),
            data: data.clone(),
            signature: *signature,
        }
    };
    AttesterSlashing { attestation_1: indexed(first), attestation_2: indexed(second) }
}

/// Returns whether each of the validators is slashed, or can withdraw: none can be slashed on this
/// chain any more. One that the state does not know may be slashed yet.
pub(crate) fn cannot_be_slashed<P: Preset>(
    state: &BeaconState<P>,
    indices: &[ValidatorIndex],
) -> bool {
    let epoch = get_current_epoch(state);
    indices.iter().all(|index| {
        get_validator(state, *index)
            .is_ok_and(|validator| validator.slashed || validator.withdrawable_epoch <= epoch)
    })
}

/// Returns whether the validator has begun to exit, of its own will or because it was slashed.
pub(crate) fn exits<P: Preset>(state: &BeaconState<P>, index: ValidatorIndex) -> bool {
    get_validator(state, index).is_ok_and(|validator| validator.exit_epoch != FAR_FUTURE_EPOCH)
}

/// Returns what each member's vote is worth in a block at the state's slot: its effective balance,
/// or 0 if it is slashed. `None` if `process_attestation` would refuse the attestation, or if the
/// target is not on the state's chain: then nobody is rewarded, and the committee may be another.
pub(crate) fn inclusion_weights<P: Preset>(
    state: &BeaconState<P>,
    attestation: &Attestation,
) -> Option<Vec<Gwei>> {
    check_inclusion(state, attestation).ok()?;
    let data = &attestation.data;
    if get_block_root(state, data.target.epoch) != Ok(data.target.root) {
        return None;
    }
    let committee = get_beacon_committee(state, data.slot, data.index).ok()?;
    let weight = |index: ValidatorIndex| {
        let validator = get_validator(state, index).ok()?;
        Some(if validator.slashed { 0 } else { validator.effective_balance })
    };
    committee.into_iter().map(weight).collect()
}

impl PoolAttestation for SharedAttestation {
    type DataRoot = Root;

    fn data_root(&self) -> Root {
        self.value().data.hash_tree_root()
    }

    fn slot(&self) -> Slot {
        self.value().data.slot
    }

    fn committee(&self) -> u64 {
        self.value().data.index
    }

    fn bits(&self) -> Bits {
        let bits = &self.value().aggregation_bits;
        bits.iter().map(|bit| *bit).collect()
    }

    fn bytes(&self) -> usize {
        /// The two counts of an `Arc`.
        const COUNTS: usize = 2 * size_of::<usize>();
        // Bits are kept in whole words.
        let bits = self.value().aggregation_bits.len().div_ceil(64) * 8;
        COUNTS + size_of::<(Root, Attestation)>() + bits
    }

    fn aggregate(parts: &[Self]) -> Option<Self> {
        let (first, rest) = parts.split_first()?;
        if rest.is_empty() {
            return Some(first.clone());
        }
        let data = &first.value().data;
        let mut union = first.bits();
        for part in rest {
            let bits = part.bits();
            let fits = part.value().data == *data && bits.size() == union.size();
            if !fits || !bits.is_disjoint(&union) {
                return None;
            }
            union.add(&bits);
        }
        let mut flags = vec![false; union.size()];
        union.iter().for_each(|place| flags[place] = true);
        let signatures: Vec<SignatureBytes> =
            parts.iter().map(|part| part.value().signature).collect();
        let aggregation_bits = AggregationBits::try_from(flags.as_slice()).ok()?;
        let signature = bls::aggregate(&signatures).ok()?;
        Some(Attestation { aggregation_bits, data: data.clone(), signature }.into())
    }
}
