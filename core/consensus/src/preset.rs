//! The two presets: sizes and constants that are fixed at compile time.
//!
//! What may change without a new build (churn limit, fork version, timing) is in
//! [`crate::ChainConfig`] instead.
//!
//! Reference: consensus specification, `presets/{minimal,mainnet}/phase0.yaml`; for the
//! payload-timeliness committee `gloas.yaml` beside it.

use std::fmt::Debug;

use typenum::{
    U16, U32, U64, U512, U1024, U2048, U4096, U8192, U65536, U16777216, U1099511627776, Unsigned,
};

use crate::primitives::{Epoch, Gwei, Slot};

/// A list's or vector's length as a type.
pub trait Length: Unsigned + Debug + Eq + Send + Sync {}

impl<T: Unsigned + Debug + Eq + Send + Sync> Length for T {}

/// Sizes and constants of one preset.
pub trait Preset: Copy + Debug + Default + Eq + Send + Sync + 'static {
    /// The preset's name, as used in folders and messages.
    const NAME: &'static str;

    /// Length of `block_roots` and `state_roots`.
    type SlotsPerHistoricalRoot: Length;
    /// Length of `randao_mixes`.
    type EpochsPerHistoricalVector: Length;
    /// Length of `slashings`.
    type EpochsPerSlashingsVector: Length;
    /// Limit of `historical_roots`.
    type HistoricalRootsLimit: Length;
    /// Limit of `validators` and `balances`.
    type ValidatorRegistryLimit: Length;
    /// Limit of `eth1_data_votes`.
    type SlotsPerEth1VotingPeriod: Length;
    /// Limit of each list of pending attestations.
    type MaxPendingAttestations: Length;
    /// Places in a payload-timeliness committee.
    type PtcSize: Length;

    /// Slots in an epoch.
    const SLOTS_PER_EPOCH: Slot;
    /// Largest number of committees in a slot.
    const MAX_COMMITTEES_PER_SLOT: u64;
    /// Target size of a committee.
    const TARGET_COMMITTEE_SIZE: u64;
    /// Rounds of the shuffle.
    const SHUFFLE_ROUND_COUNT: u8;
    /// Epochs after which votes on the deposit contract start over.
    const EPOCHS_PER_ETH1_VOTING_PERIOD: Epoch;
    /// Divisor of a balance that gives the quadratic leak per epoch.
    const INACTIVITY_PENALTY_QUOTIENT: u64;
    /// Divisor of a balance that gives the immediate penalty of a slashing.
    const MIN_SLASHING_PENALTY_QUOTIENT: u64;
    /// Multiplier of the correlated penalty of slashings.
    const PROPORTIONAL_SLASHING_MULTIPLIER: u64;

    /// Slots into an epoch during which justification may still move (fork choice, before v1.3).
    const SAFE_SLOTS_TO_UPDATE_JUSTIFIED: Slot;
    /// Smallest distance between attesting and inclusion.
    const MIN_ATTESTATION_INCLUSION_DELAY: Slot = 1;
    /// Epochs between a seed's mix and its use.
    const MIN_SEED_LOOKAHEAD: Epoch = 1;
    /// Epochs by which activations and exits are delayed.
    const MAX_SEED_LOOKAHEAD: Epoch = 4;
    /// Epochs without finality before the leak.
    const MIN_EPOCHS_TO_INACTIVITY_PENALTY: Epoch = 4;
    /// Smallest deposit in Gwei.
    const MIN_DEPOSIT_AMOUNT: Gwei = 1_000_000_000;
    /// The largest part of a balance that counts, in Gwei.
    const MAX_EFFECTIVE_BALANCE: Gwei = 32_000_000_000;
    /// Step of effective balances in Gwei.
    const EFFECTIVE_BALANCE_INCREMENT: Gwei = 1_000_000_000;
    /// Hysteresis counts in this fraction of the increment.
    const HYSTERESIS_QUOTIENT: u64 = 4;
    /// Hysteresis downwards, in fractions.
    const HYSTERESIS_DOWNWARD_MULTIPLIER: u64 = 1;
    /// Hysteresis upwards, in fractions.
    const HYSTERESIS_UPWARD_MULTIPLIER: u64 = 5;
    /// Scale of base rewards.
    const BASE_REWARD_FACTOR: u64 = 64;
    /// Divisor of a slashed balance that rewards the whistleblower.
    const WHISTLEBLOWER_REWARD_QUOTIENT: u64 = 512;
    /// Divisor of a reward that goes to the proposer.
    const PROPOSER_REWARD_QUOTIENT: u64 = 8;

    /// Length of `block_roots` and `state_roots` as a number.
    const SLOTS_PER_HISTORICAL_ROOT: u64 = Self::SlotsPerHistoricalRoot::U64;
    /// Length of `randao_mixes` as a number.
    const EPOCHS_PER_HISTORICAL_VECTOR: u64 = Self::EpochsPerHistoricalVector::U64;
    /// Length of `slashings` as a number.
    const EPOCHS_PER_SLASHINGS_VECTOR: u64 = Self::EpochsPerSlashingsVector::U64;
    /// Places in a payload-timeliness committee as a number.
    const PTC_SIZE: usize = Self::PtcSize::USIZE;
}

/// The preset that tests use: short epochs, small committees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minimal;

impl Preset for Minimal {
    const NAME: &'static str = "minimal";

    type SlotsPerHistoricalRoot = U64;
    type EpochsPerHistoricalVector = U64;
    type EpochsPerSlashingsVector = U64;
    type HistoricalRootsLimit = U16777216;
    type ValidatorRegistryLimit = U1099511627776;
    type SlotsPerEth1VotingPeriod = U32;
    type MaxPendingAttestations = U1024;
    type PtcSize = U16;

    const SLOTS_PER_EPOCH: Slot = 8;
    const MAX_COMMITTEES_PER_SLOT: u64 = 4;
    const TARGET_COMMITTEE_SIZE: u64 = 4;
    const SHUFFLE_ROUND_COUNT: u8 = 10;
    const EPOCHS_PER_ETH1_VOTING_PERIOD: Epoch = 4;
    const INACTIVITY_PENALTY_QUOTIENT: u64 = 1 << 25;
    const MIN_SLASHING_PENALTY_QUOTIENT: u64 = 64;
    const PROPORTIONAL_SLASHING_MULTIPLIER: u64 = 2;
    const SAFE_SLOTS_TO_UPDATE_JUSTIFIED: Slot = 2;
}

/// The preset of the public networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mainnet;

impl Preset for Mainnet {
    const NAME: &'static str = "mainnet";

    type SlotsPerHistoricalRoot = U8192;
    type EpochsPerHistoricalVector = U65536;
    type EpochsPerSlashingsVector = U8192;
    type HistoricalRootsLimit = U16777216;
    type ValidatorRegistryLimit = U1099511627776;
    type SlotsPerEth1VotingPeriod = U2048;
    type MaxPendingAttestations = U4096;
    type PtcSize = U512;

    const SLOTS_PER_EPOCH: Slot = 32;
    const MAX_COMMITTEES_PER_SLOT: u64 = 64;
    const TARGET_COMMITTEE_SIZE: u64 = 128;
    const SHUFFLE_ROUND_COUNT: u8 = 90;
    const EPOCHS_PER_ETH1_VOTING_PERIOD: Epoch = 64;
    const INACTIVITY_PENALTY_QUOTIENT: u64 = 1 << 26;
    const MIN_SLASHING_PENALTY_QUOTIENT: u64 = 128;
    const PROPORTIONAL_SLASHING_MULTIPLIER: u64 = 1;
    const SAFE_SLOTS_TO_UPDATE_JUSTIFIED: Slot = 8;
}
