//! The phase0 state transition of the Ethereum consensus specification: both presets, real
//! signatures, real encodings.
//!
//! | to | start at |
//! |---|---|
//! | decode what came from a peer | [`decode_exact`], [`BeaconState::from_ssz_bytes`] |
//! | apply a block | [`state_transition`], [`verify_and_process_block`] |
//! | pass empty slots | [`process_slots`] |
//! | run one step or one operation | [`process_epoch`], [`process_attestation`] and similar functions |
//! | make a genesis state | [`initialize_beacon_state_from_eth1`] |
//! | show a value as the beacon API does | [`Json`]; with the feature `json`, `FromJson` reads it |
//! | run it under the services | [`Phase0`] |
//! | judge votes of a payload-timeliness committee | [`gloas`] |
//!
//! **Contract.** No input makes this crate panic or allocate beyond a small multiple of the input's
//! own size. An invalid input yields an error that names the failed condition; a failure of ours
//! yields a [`Fault`]. Names and order of checks are those of the specification, version 1.1.10,
//! and a `uint64` that would overflow there is an error here. A clone of a state costs a few
//! pointers.
//!
//! The crate uses no thread, clock, socket or file. A caller that has idle threads may lend them
//! ([`BeaconState::root_jobs`], [`prepare_epoch`]). Randomness for signature batches comes from the
//! operating system.
//!
//! # Examples
//! ```
//! use blocksmith_consensus::{
//!     BeaconState, ChainConfig, Minimal, Root, initialize_beacon_state_from_eth1, process_slots,
//! };
//! let config = ChainConfig::minimal();
//! let genesis: BeaconState<Minimal> =
//!     initialize_beacon_state_from_eth1(Root::ZERO, 1_600_000_000, &[], &config).unwrap();
//! let mut state = genesis.clone();
//! process_slots(&mut state, 3, &config).unwrap();
//! assert_eq!(state.slot, 3);
//! assert_eq!(genesis.slot, 0);
//! ```

#![forbid(unsafe_code)]

mod accessors;
pub mod bls;
mod caches;
mod codec;
mod config;
mod containers;
mod deposit_cache;
mod domains;
mod duties;
mod elements;
mod epoch_committees;
mod error;
mod evidence;
mod genesis;
pub mod gloas;
mod gossip;
mod hash_tree;
mod hashing;
mod historical_batch;
mod json;
mod known_roots;
mod merkle;
mod mutators;
mod operations;
mod payload_committee;
mod phase0;
mod preset;
mod primitives;
mod production;
mod registry;
mod rewards;
mod shared;
mod shuffling;
mod shufflings;
mod signatures;
mod state;
mod state_transition;
#[cfg(feature = "testing")]
pub mod testing;
mod tree;
mod validator;
mod wire;

pub use accessors::{
    active_balances, attesting_indices, compute_proposer_index, get_active_validator_indices,
    get_attester_dependent_root, get_attesting_indices, get_beacon_committee,
    get_beacon_proposer_index, get_block_root, get_block_root_at_slot,
    get_committee_count_per_slot, get_committees, get_current_epoch, get_domain,
    get_indexed_attestation, get_previous_epoch, get_proposer_dependent_root, get_randao_mix,
    get_seed, get_total_active_balance, get_total_balance, get_validator,
    get_validator_churn_limit, is_active_validator, is_eligible_for_activation,
    is_eligible_for_activation_queue, is_slashable_attestation_data, is_slashable_validator,
};
pub use config::{BasisPoints, ChainConfig, ConfigError};
pub use containers::*;
pub use deposit_cache::{
    DepositCache, DepositCacheError, slots_per_eth1_voting_period, voting_state,
};
pub use domains::{
    compute_activation_exit_epoch, compute_domain, compute_epoch_at_slot, compute_fork_data_root,
    compute_signing_root, compute_start_slot_at_epoch,
};
pub use duties::{get_proposer_duties, prepare_epoch};
pub use epoch_committees::EpochCommittees;
pub use error::{AsFault, Fault, Overflow, StateError, integer_squareroot};
pub use genesis::{
    GenesisError, initialize_beacon_state_from_deposits, initialize_beacon_state_from_eth1,
    is_valid_genesis_state,
};
pub use gossip::{
    ATTESTATION_SUBNET_COUNT, GossipError, TARGET_AGGREGATORS_PER_COMMITTEE,
    compute_subnet_for_attestation, is_aggregator,
};
pub use hash_tree::HashTree;
pub use hashing::{hash_concat, hash_pairs};
pub use historical_batch::HistoricalBatch;
pub use json::Json;
#[cfg(feature = "json")]
pub use json::{FromJson, JsonError, json_field};
pub use merkle::{DepositTree, is_valid_merkle_branch};
pub use mutators::{decrease_balance, increase_balance, initiate_validator_exit, slash_validator};
pub use operations::*;
pub use payload_committee::{Payloads, aggregate_payload_votes};
pub use phase0::Phase0;
pub use preset::{Length, Mainnet, Minimal, Preset};
pub use primitives::*;
pub use production::ProposerInputs;
pub use rewards::{
    Deltas, get_attestation_deltas, get_finality_delay, get_head_deltas,
    get_inactivity_penalty_deltas, get_inclusion_delay_deltas, get_source_deltas,
    get_target_deltas,
};
pub use shared::{
    InvalidData, Phase0Fault, Shared, SharedAggregate, SharedAttestation, SharedAttesterSlashing,
    SharedBlock, SharedPayloadVote, SharedProposerSlashing, SharedUnsignedBlock,
    SharedVoluntaryExit,
};
pub use shuffling::{IndexOutOfRange, compute_shuffled_index, shuffle_list};
pub use shufflings::Committees;
pub use signatures::Signatures;
pub use state::BeaconState;
pub use state_transition::*;
pub use tree::{Element, Iter, ListFull, PersistentList, PersistentVector, RootJob};
pub use validator::{PayloadVoteDuties, Phase0Duties};
pub use wire::{DecodeError, Layout, Wire, decode_exact, decode_list};
