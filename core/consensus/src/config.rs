//! Run-time configuration of a chain: what may differ between networks of one preset.
//!
//! Reference: consensus specification, `configs/{minimal,mainnet}.yaml`. The project's vectors were
//! made with version 1.1.10, whose minimal configuration has a minimal churn limit of 4. The
//! proposer boost is that of the current rules, 40 %.

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
            pub const KEYS: &[&str] = &[$($key),+];

            /// Returns every name of [`Self::KEYS`] with its value.
            pub fn values(&self) -> Vec<(&'static str, String)> {
                vec![$(($key, self.$field.to_string())),+]
            }

            /// Sets a value by its name in the specification's configuration files.
            ///
            /// # Errors
            /// [`ConfigError::UnknownKey`] for a name that phase0 does not know,
            /// [`ConfigError::InvalidValue`] for a value that does not parse.
            pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
                match key {
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
    /// Seconds in a slot.
    seconds_per_slot / "SECONDS_PER_SLOT": u64 = 6, 12;
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
    /// Chain of the deposit contract.
    deposit_chain_id / "DEPOSIT_CHAIN_ID": u64 = 5, 1;
    /// Network of the deposit contract.
    deposit_network_id / "DEPOSIT_NETWORK_ID": u64 = 5, 1;
}
