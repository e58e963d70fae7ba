//! Run-time configuration of a chain: what may differ between networks of one preset.
//!
//! Reference: consensus specification, `configs/{minimal,mainnet}.yaml`. The project's vectors were
//! made with version 1.1.10, whose minimal configuration has a minimal churn limit of 4. The
//! values of the fork choice (boost, thresholds, deadlines within a slot) are those of
//! v1.7.0-alpha.13.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::primitives::{Epoch, Gwei, Version};

/// A configuration value that could not be set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ConfigError {
    /// Phase0 has no such key.
    #[error("unknown configuration key {0}")]
    UnknownKey(String),
    /// The value does not parse as the key's type.
    #[error("{key} cannot be {value}")]
    InvalidValue {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
    },
    /// Two values that are given together say different things.
    #[error("{SECONDS_PER_SLOT} {seconds} contradicts SLOT_DURATION_MS {milliseconds}")]
    SlotDurations {
        /// What was given for `SECONDS_PER_SLOT`.
        seconds: String,
        /// What was given for `SLOT_DURATION_MS`.
        milliseconds: String,
    },
}

/// The older name of the length of a slot: `SLOT_DURATION_MS` in whole seconds.
const SECONDS_PER_SLOT: &str = "SECONDS_PER_SLOT";
/// Milliseconds of a second.
const MILLISECONDS: NonZeroU64 = NonZeroU64::new(1_000).unwrap();

/// A part of a slot in units of a ten-thousandth; at most the whole slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BasisPoints(u64);

impl BasisPoints {
    /// The whole (`BASIS_POINTS`).
    const WHOLE: u64 = 10_000;

    /// Returns so many ten-thousandths; `None` if they are more than the whole.
    #[must_use]
    pub const fn new(ten_thousandths: u64) -> Option<Self> {
        if ten_thousandths <= Self::WHOLE { Some(Self(ten_thousandths)) } else { None }
    }

    /// Returns this part of a duration in milliseconds, rounded down
    /// (`get_slot_component_duration_ms`).
    #[must_use]
    pub fn of(self, duration_ms: u64) -> u64 {
        let part = u128::from(self.0) * u128::from(duration_ms) / u128::from(Self::WHOLE);
        u64::try_from(part).expect("a part is not more than the whole")
    }
}

impl FromStr for BasisPoints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.parse().map_err(|error: std::num::ParseIntError| error.to_string())?;
        Self::new(number).ok_or_else(|| format!("{number} is more than {}", Self::WHOLE))
    }
}

impl fmt::Display for BasisPoints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

macro_rules! chain_config {
    ($(
        $(#[$meta:meta])* $field:ident / $key:literal: $type:ty = $minimal:expr, $mainnet:expr;
    )+) => {
        /// Values that a network chooses without a new build.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct ChainConfig {
            $($(#[$meta])* pub $field: $type,)+
        }

        impl ChainConfig {
            /// The configuration of the minimal preset (version 1.1.10).
            pub const fn minimal() -> Self {
                Self { $($field: $minimal,)+ }
            }

            /// The configuration of mainnet.
            pub const fn mainnet() -> Self {
                Self { $($field: $mainnet,)+ }
            }

            /// The names that [`Self::set`] knows.
            pub const KEYS: &[&str] = &[SECONDS_PER_SLOT, $($key),+];

            /// Returns every name of [`Self::KEYS`] with its value.
            pub fn values(&self) -> Vec<(&'static str, String)> {
                vec![$(($key, self.$field.to_string())),+]
            }

            /// Sets a value by its name in the specification's configuration files.
            /// `SECONDS_PER_SLOT`, the older name, sets `SLOT_DURATION_MS`.
            ///
            /// # Errors
            /// [`ConfigError::UnknownKey`] for a name that phase0 does not know,
            /// [`ConfigError::InvalidValue`] for a value that does not parse.
            pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
                match key {
                    SECONDS_PER_SLOT => self.slot_duration_ms = parse_seconds(value)?,
                    $($key => self.$field = parse($key, value)?,)+
                    _ => return Err(ConfigError::UnknownKey(key.to_owned())),
                }
                Ok(())
            }
        }
    };
}

fn parse<T: FromStr>(key: &'static str, value: &str) -> Result<T, ConfigError> {
    value.trim().parse().map_err(|_| ConfigError::InvalidValue { key, value: value.to_owned() })
}

/// Parses whole seconds, of which there is at least one, into milliseconds.
fn parse_seconds(value: &str) -> Result<NonZeroU64, ConfigError> {
    let seconds: NonZeroU64 = parse(SECONDS_PER_SLOT, value)?;
    seconds
        .checked_mul(MILLISECONDS)
        .ok_or_else(|| ConfigError::InvalidValue { key: SECONDS_PER_SLOT, value: value.to_owned() })
}

/// Returns a part of a slot that is written here.
const fn part(ten_thousandths: u64) -> BasisPoints {
    match BasisPoints::new(ten_thousandths) {
        Some(part) => part,
        None => panic!("more than the whole"),
    }
}

const fn milliseconds(seconds: u64) -> NonZeroU64 {
    match NonZeroU64::new(seconds * MILLISECONDS.get()) {
        Some(milliseconds) => milliseconds,
        None => panic!("a slot takes time"),
    }
}

impl ChainConfig {
    /// Returns how many milliseconds into a slot attesters vote, at the latest
    /// (`get_attestation_due_ms`). A block that comes then or later is not timely.
    #[must_use]
    pub fn attestation_due_ms(&self) -> u64 {
        self.attestation_due.of(self.slot_duration_ms.get())
    }

    /// Returns how many milliseconds into a slot aggregates are due (`get_aggregate_due_ms`).
    #[must_use]
    pub fn aggregate_due_ms(&self) -> u64 {
        self.aggregate_due.of(self.slot_duration_ms.get())
    }

    /// Returns up to how many milliseconds into a slot its proposer may leave a late head out
    /// (`get_proposer_reorg_cutoff_ms`).
    #[must_use]
    pub fn proposer_reorg_cutoff_ms(&self) -> u64 {
        self.proposer_reorg_cutoff.of(self.slot_duration_ms.get())
    }
}

chain_config! {
    /// Number of active validators that genesis waits for.
    min_genesis_active_validator_count / "MIN_GENESIS_ACTIVE_VALIDATOR_COUNT": u64 = 64, 16_384;
    /// Earliest genesis, in seconds since the Unix epoch.
    min_genesis_time / "MIN_GENESIS_TIME": u64 = 1_578_009_600, 1_606_824_000;
    /// Fork version at genesis.
    genesis_fork_version / "GENESIS_FORK_VERSION": Version =
        Version::new([0, 0, 0, 1]), Version::new([0, 0, 0, 0]);
    /// Seconds between the triggering execution-layer block and genesis.
    genesis_delay / "GENESIS_DELAY": u64 = 300, 604_800;
    /// Length of a slot in milliseconds.
    slot_duration_ms / "SLOT_DURATION_MS": NonZeroU64 = milliseconds(6), milliseconds(12);
    /// The part of a slot after which attesters vote.
    attestation_due / "ATTESTATION_DUE_BPS": BasisPoints = part(3_333), part(3_333);
    /// The part of a slot after which aggregates are due.
    aggregate_due / "AGGREGATE_DUE_BPS": BasisPoints = part(6_667), part(6_667);
    /// The part of a slot up to which its proposer may leave a late head out.
    proposer_reorg_cutoff / "PROPOSER_REORG_CUTOFF_BPS": BasisPoints = part(1_667), part(1_667);
    /// Approximate number of seconds between execution-layer blocks.
    seconds_per_eth1_block / "SECONDS_PER_ETH1_BLOCK": u64 = 14, 14;
    /// Epochs between exit and withdrawal.
    min_validator_withdrawability_delay / "MIN_VALIDATOR_WITHDRAWABILITY_DELAY": Epoch = 256, 256;
    /// Epochs that a validator has to serve before it may exit.
    shard_committee_period / "SHARD_COMMITTEE_PERIOD": Epoch = 64, 256;
    /// Number of execution-layer blocks by which votes lag behind.
    eth1_follow_distance / "ETH1_FOLLOW_DISTANCE": u64 = 16, 2_048;
    /// Effective balance, in Gwei, at which a validator is ejected.
    ejection_balance / "EJECTION_BALANCE": Gwei = 16_000_000_000, 16_000_000_000;
    /// Lowest churn limit: activations and exits per epoch.
    min_per_epoch_churn_limit / "MIN_PER_EPOCH_CHURN_LIMIT": u64 = 4, 4;
    /// Divisor of the active count that gives the churn limit.
    churn_limit_quotient / "CHURN_LIMIT_QUOTIENT": u64 = 32, 65_536;
    /// Weight of a timely block, in percent of a slot's committees.
    proposer_score_boost / "PROPOSER_SCORE_BOOST": u64 = 40, 40;
    /// Weight below which a head is weak, in percent of a slot's committees.
    reorg_head_weight_threshold / "REORG_HEAD_WEIGHT_THRESHOLD": u64 = 20, 20;
    /// Weight above which a head's parent is strong, in percent of a slot's committees.
    reorg_parent_weight_threshold / "REORG_PARENT_WEIGHT_THRESHOLD": u64 = 160, 160;
    /// Epochs since finality up to which a proposer may leave a late head out.
    reorg_max_epochs_since_finalization / "REORG_MAX_EPOCHS_SINCE_FINALIZATION": Epoch = 2, 2;
    /// Chain of the deposit contract.
    deposit_chain_id / "DEPOSIT_CHAIN_ID": u64 = 5, 1;
    /// Network of the deposit contract.
    deposit_network_id / "DEPOSIT_NETWORK_ID": u64 = 5, 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_parts_of_a_slot_in_milliseconds() {
        // A third, two thirds and a sixth of twelve and of six seconds, rounded down.
        let deadlines = |config: ChainConfig| {
            let (attestation, aggregate) = (config.attestation_due_ms(), config.aggregate_due_ms());
            [attestation, aggregate, config.proposer_reorg_cutoff_ms()]
        };
        assert_eq!(deadlines(ChainConfig::mainnet()), [3_999, 8_000, 2_000]);
        assert_eq!(deadlines(ChainConfig::minimal()), [1_999, 4_000, 1_000]);
        assert_eq!(BasisPoints(10_000).of(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_slot_has_one_length_under_either_name() {
        // The older name in seconds, the newer in milliseconds.
        let mut config = ChainConfig::minimal();
        config.set("SECONDS_PER_SLOT", "5").unwrap();
        assert_eq!(config.slot_duration_ms.get(), 5_000);
        config.set("SLOT_DURATION_MS", "1500").unwrap();
        assert_eq!(config.slot_duration_ms.get(), 1_500);
        assert_eq!(config.attestation_due_ms(), 499);
    }

    #[test]
    fn lengths_and_parts_that_cannot_be_are_errors_that_name_them() {
        // No time, more than fits, and more than the whole.
        for (key, value) in [
            ("SLOT_DURATION_MS", "0"),
            ("SECONDS_PER_SLOT", "0"),
            ("SECONDS_PER_SLOT", "18446744073709551615"),
            ("ATTESTATION_DUE_BPS", "10001"),
            ("REORG_HEAD_WEIGHT_THRESHOLD", "-1"),
        ] {
            let error = ChainConfig::minimal().set(key, value).unwrap_err();
            assert_eq!(error.to_string(), format!("{key} cannot be {value}"));
        }
    }
}
