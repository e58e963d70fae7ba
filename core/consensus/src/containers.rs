//! The phase0 containers that travel: blocks, attestations, slashings, deposits and their parts.
//!
//! Their list limits are the same in both presets, so they need no preset parameter. Each is an
//! `ssz_rs` container (encoding, decoding, root) whose [`Layout`] is derived from the same field
//! list, so that shape and value cannot diverge; decode with [`crate::decode_exact`]. Roots are
//! computed in place ([`HashTree`]), also from that list.
//!
//! Reference: consensus specification, `phase0/beacon-chain.md`, "Containers", and
//! `phase0/validator.md` for `Eth1Block` and the aggregates.

use ssz_rs::prelude::*;

use crate::hash_tree::{HashTree, container_root, container_roots};
use crate::json::{Json, write_object};
use crate::primitives::{
    CommitteeIndex, Epoch, Gwei, PublicKeyBytes, Root, SignatureBytes, Slot, ValidatorIndex,
    Version,
};
use crate::wire::{DecodeError, Field, Layout, check_container, container_fixed_len};

/// Largest committee, hence the limit of aggregation bits and of attesting indices.
pub const MAX_VALIDATORS_PER_COMMITTEE: usize = 2048;
/// Proposer slashings per block.
pub const MAX_PROPOSER_SLASHINGS: usize = 16;
/// Attester slashings per block.
pub const MAX_ATTESTER_SLASHINGS: usize = 2;
/// Attestations per block.
pub const MAX_ATTESTATIONS: usize = 128;
/// Deposits per block.
pub const MAX_DEPOSITS: usize = 16;
/// Voluntary exits per block.
pub const MAX_VOLUNTARY_EXITS: usize = 16;
/// Length of a deposit's Merkle proof: the tree's depth and the mixed-in count.
pub const DEPOSIT_PROOF_LENGTH: usize = 33;

/// Which members of a committee attested.
pub type AggregationBits = Bitlist<MAX_VALIDATORS_PER_COMMITTEE>;

macro_rules! wire_container {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)+
    })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, SimpleSerialize)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)+
        }

        impl Layout for $name {
            const FIXED_LEN: Option<usize> = container_fixed_len(&[$(Field::of::<$type>()),+]);

            fn check(bytes: &[u8]) -> Result<(), DecodeError> {
                check_container(bytes, &[$(Field::of::<$type>()),+])
            }
        }

        impl Json for $name {
            fn write_json(&self, text: &mut String) {
                write_object(&[$((stringify!($field), &self.$field as &dyn Json)),+], text);
            }
        }

        #[cfg(feature = "json")]
        impl crate::json::FromJson for $name {
            fn from_json(value: &serde_json::Value) -> Result<Self, crate::json::JsonError> {
                let object = crate::json::object(value)?;
                Ok(Self { $($field: crate::json::json_field(object, stringify!($field))?,)+ })
            }
        }

        impl HashTree for $name {
            fn hash_root(&self) -> Root {
                container_root(&[$(HashTree::hash_root(&self.$field)),+])
            }

            fn hash_roots(values: &[&Self]) -> Vec<Root> {
                let fields = [$({
                    let field: Vec<&$type> = values.iter().map(|value| &value.$field).collect();
                    <$type as HashTree>::hash_roots(&field)
                }),+];
                container_roots(values.len(), &fields)
            }
        }
    )+};
}

pub(crate) use wire_container;

wire_container! {
    /// The fork that a chain is on and the one it came from.
    pub struct Fork {
        /// Version before `epoch`.
        pub previous_version: Version,
        /// Version from `epoch` on.
        pub current_version: Version,
        /// Epoch of the change.
        pub epoch: Epoch,
    }

    /// What a fork digest commits to.
    pub struct ForkData {
        /// Version of the fork.
        pub current_version: Version,
        /// Root of the genesis registry, which tells chains apart.
        pub genesis_validators_root: Root,
    }

    /// A vote's source or target.
    #[derive(Copy, Hash)]
    pub struct Checkpoint {
        /// Epoch of the checkpoint.
        pub epoch: Epoch,
        /// Block root at the epoch's first slot (or the last block before it).
        pub root: Root,
    }

    /// A registered validator.
    pub struct Validator {
        /// Compressed public key.
        pub pubkey: PublicKeyBytes,
        /// Commitment to the key or address that withdraws.
        pub withdrawal_credentials: Root,
        /// Balance at stake, in Gwei, a multiple of the increment.
        pub effective_balance: Gwei,
        /// Whether it was slashed.
        pub slashed: bool,
        /// When it became eligible for the activation queue.
        pub activation_eligibility_epoch: Epoch,
        /// When its duties begin.
        pub activation_epoch: Epoch,
        /// When its duties end.
        pub exit_epoch: Epoch,
        /// When it may withdraw.
        pub withdrawable_epoch: Epoch,
    }

    /// What an attestation says.
    #[derive(Hash)]
    pub struct AttestationData {
        /// Slot that is attested.
        pub slot: Slot,
        /// Committee within the slot.
        pub index: CommitteeIndex,
        /// Vote for the head.
        pub beacon_block_root: Root,
        /// Vote's source checkpoint.
        pub source: Checkpoint,
        /// Vote's target checkpoint.
        pub target: Checkpoint,
    }

    /// An attestation with its attesters listed.
    pub struct IndexedAttestation {
        /// Attesters, in ascending order and without repetition if valid.
        pub attesting_indices: List<ValidatorIndex, MAX_VALIDATORS_PER_COMMITTEE>,
        /// What the attesters say.
        pub data: AttestationData,
        /// Aggregate of their signatures.
        pub signature: SignatureBytes,
    }

    /// An included attestation that waits for its rewards at the end of the epoch.
    pub struct PendingAttestation {
        /// Which members of the committee attested.
        pub aggregation_bits: AggregationBits,
        /// What the attesters say.
        pub data: AttestationData,
        /// Slots between attesting and inclusion.
        pub inclusion_delay: Slot,
        /// The proposer that included it.
        pub proposer_index: ValidatorIndex,
    }

    /// A vote on the deposit contract's state.
    #[derive(Hash)]
    pub struct Eth1Data {
        /// Root of the deposit tree.
        pub deposit_root: Root,
        /// Number of deposits.
        pub deposit_count: u64,
        /// Execution-layer block.
        pub block_hash: Root,
    }

    /// An execution-layer block, as far as voting looks at it.
    pub struct Eth1Block {
        /// Its time in seconds since the Unix epoch.
        pub timestamp: u64,
        /// Root of the deposit tree.
        pub deposit_root: Root,
        /// Number of deposits.
        pub deposit_count: u64,
    }

    /// The part of a deposit that is signed.
    pub struct DepositMessage {
        /// Compressed public key.
        pub pubkey: PublicKeyBytes,
        /// Commitment to the key or address that withdraws.
        pub withdrawal_credentials: Root,
        /// Amount in Gwei.
        pub amount: Gwei,
    }

    /// A deposit as the contract recorded it.
    pub struct DepositData {
        /// Compressed public key.
        pub pubkey: PublicKeyBytes,
        /// Commitment to the key or address that withdraws.
        pub withdrawal_credentials: Root,
        /// Amount in Gwei.
        pub amount: Gwei,
        /// Proof of possession over the message.
        pub signature: SignatureBytes,
    }

    /// A deposit with its proof of inclusion.
    pub struct Deposit {
        /// Merkle path to the deposit root.
        pub proof: Vector<Root, DEPOSIT_PROOF_LENGTH>,
        /// The deposit.
        pub data: DepositData,
    }

    /// A block without its body.
    #[derive(Hash)]
    pub struct BeaconBlockHeader {
        /// The block's slot.
        pub slot: Slot,
        /// The validator that proposed it.
        pub proposer_index: ValidatorIndex,
        /// Root of its parent.
        pub parent_root: Root,
        /// Root of the state after it.
        pub state_root: Root,
        /// Root of its body.
        pub body_root: Root,
    }

    /// A header and its proposer's signature.
    #[derive(Hash)]
    pub struct SignedBeaconBlockHeader {
        /// The header.
        pub message: BeaconBlockHeader,
        /// The proposer's signature.
        pub signature: SignatureBytes,
    }

    /// What is signed: an object and its domain.
    pub struct SigningData {
        /// Root of the object.
        pub object_root: Root,
        /// Purpose, fork and chain.
        pub domain: Root,
    }

    /// Two headers that one proposer signed for one slot.
    #[derive(Hash)]
    pub struct ProposerSlashing {
        /// One header.
        pub signed_header_1: SignedBeaconBlockHeader,
        /// Another header.
        pub signed_header_2: SignedBeaconBlockHeader,
    }

    /// Two attestations that contradict each other.
    pub struct AttesterSlashing {
        /// One attestation (the surrounding one, if one surrounds).
        pub attestation_1: IndexedAttestation,
        /// Another attestation.
        pub attestation_2: IndexedAttestation,
    }

    /// An attestation by members of one committee.
    pub struct Attestation {
        /// Which members of the committee attested.
        pub aggregation_bits: AggregationBits,
        /// What the attesters say.
        pub data: AttestationData,
        /// Aggregate of their signatures.
        pub signature: SignatureBytes,
    }

    /// A validator's wish to stop.
    pub struct VoluntaryExit {
        /// Earliest epoch at which the exit holds.
        pub epoch: Epoch,
        /// The validator that wishes to stop.
        pub validator_index: ValidatorIndex,
    }

    /// A wish to stop and its signature.
    pub struct SignedVoluntaryExit {
        /// The wish.
        pub message: VoluntaryExit,
        /// The validator's signature.
        pub signature: SignatureBytes,
    }

    /// What a block contains.
    pub struct BeaconBlockBody {
        /// The proposer's signature over the epoch: its contribution to the randomness.
        pub randao_reveal: SignatureBytes,
        /// The proposer's vote on the deposit contract.
        pub eth1_data: Eth1Data,
        /// Free text.
        pub graffiti: Root,
        /// Proposers caught signing twice.
        pub proposer_slashings: List<ProposerSlashing, MAX_PROPOSER_SLASHINGS>,
        /// Attesters caught contradicting themselves.
        pub attester_slashings: List<AttesterSlashing, MAX_ATTESTER_SLASHINGS>,
        /// Attestations to include.
        pub attestations: List<Attestation, MAX_ATTESTATIONS>,
        /// Deposits to include.
        pub deposits: List<Deposit, MAX_DEPOSITS>,
        /// Exits to include.
        pub voluntary_exits: List<SignedVoluntaryExit, MAX_VOLUNTARY_EXITS>,
    }

    /// A block.
    pub struct BeaconBlock {
        /// Its slot.
        pub slot: Slot,
        /// The validator that proposed it.
        pub proposer_index: ValidatorIndex,
        /// Root of its parent.
        pub parent_root: Root,
        /// Root of the state after it.
        pub state_root: Root,
        /// What it contains.
        pub body: BeaconBlockBody,
    }

    /// A block and its proposer's signature.
    pub struct SignedBeaconBlock {
        /// The block.
        pub message: BeaconBlock,
        /// The proposer's signature.
        pub signature: SignatureBytes,
    }

    /// An aggregate attestation and the proof that its aggregator was selected.
    pub struct AggregateAndProof {
        /// The validator that aggregated.
        pub aggregator_index: ValidatorIndex,
        /// The aggregate.
        pub aggregate: Attestation,
        /// Signature over the slot that selects the aggregator.
        pub selection_proof: SignatureBytes,
    }

    /// An aggregate, its proof, and the aggregator's signature.
    pub struct SignedAggregateAndProof {
        /// The aggregate and its proof.
        pub message: AggregateAndProof,
        /// The aggregator's signature.
        pub signature: SignatureBytes,
    }
}
