//! Configurations in the form of the specification's `configs/*.yaml`: a mapping of keys to values.
//!
//! Only keys that phase0 knows are parsed. The others are listed, whatever their value is: a list,
//! a mapping, a later fork's number.

use std::collections::BTreeMap;
use std::fmt;

use blocksmith_consensus::{ChainConfig, ConfigError};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::yaml;

/// The key that says which preset a configuration is for.
const PRESET_BASE: &str = "PRESET_BASE";
/// Keys of phase0's configurations that have no effect here: a name, and a contract that other
/// software watches.
const WITHOUT_EFFECT: [&str; 2] = ["CONFIG_NAME", "DEPOSIT_CONTRACT_ADDRESS"];

/// What a configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigText {
    /// The preset that the configuration is for, if it says so.
    pub preset: Option<String>,
    /// Keys that phase0 does not know.
    pub unknown: Vec<String>,
    values: BTreeMap<String, String>,
}

impl ConfigText {
    /// Reads a mapping.
    ///
    /// # Errors
    /// If the text is not a mapping, or has aliases.
    pub fn parse(text: &str) -> Result<Self, yaml_serde::Error> {
        yaml::read(text)
    }

    /// Replaces the values that the text gives.
    ///
    /// # Errors
    /// If a value does not parse as its key's type, or if the length of a slot is given in seconds
    /// and in milliseconds and the two differ.
    pub fn apply(&self, config: &mut ChainConfig) -> Result<(), ConfigError> {
        self.values.iter().try_for_each(|(key, value)| config.set(key, value))?;
        if let [Some(seconds), Some(milliseconds)] =
            ["SECONDS_PER_SLOT", "SLOT_DURATION_MS"].map(|key| self.values.get(key))
        {
            let in_milliseconds = config.slot_duration_ms;
            config.set("SECONDS_PER_SLOT", seconds)?;
            if config.slot_duration_ms != in_milliseconds {
                let (seconds, milliseconds) = (seconds.clone(), milliseconds.clone());
                return Err(ConfigError::SlotDurations { seconds, milliseconds });
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ConfigText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Mapping)
    }
}

struct Mapping;

impl<'de> Visitor<'de> for Mapping {
    type Value = ConfigText;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping of configuration keys to values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ConfigText, A::Error> {
        let mut text = ConfigText::default();
        while let Some(key) = map.next_key::<String>()? {
            // If it is read as text, a version stays as written and does not become a number.
            if ChainConfig::KEYS.contains(&key.as_str()) {
                text.values.insert(key, map.next_value()?);
            } else if key == PRESET_BASE {
                text.preset = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                if !WITHOUT_EFFECT.contains(&key.as_str()) {
                    text.unknown.push(key);
                }
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<ChainConfig, String> {
        let mut config = ChainConfig::minimal();
        let text = ConfigText::parse(text).map_err(|error| error.to_string())?;
        text.apply(&mut config).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_configuration_replaces_what_it_names() {
        // Numbers, quoted numbers, a version in hexadecimal.
        let text = "SECONDS_PER_SLOT: 3\nGENESIS_DELAY: '7'\nGENESIS_FORK_VERSION: 0x00000009\n";
        let config = config(text).unwrap();
        assert_eq!((config.slot_duration_ms.get(), config.genesis_delay), (3_000, 7));
        assert_eq!(config.genesis_fork_version.as_bytes(), &[0, 0, 0, 9]);
        assert_eq!(config.churn_limit_quotient, ChainConfig::minimal().churn_limit_quotient);
    }

    #[test]
    fn keys_of_other_forks_are_named_whatever_their_values_are() {
        // A name and a preset, which are known, and a number, a list and a mapping, which are not.
        let text = "PRESET_BASE: 'minimal'\nCONFIG_NAME: x\nDEPOSIT_CONTRACT_ADDRESS: 0x12\n\
                    ALTAIR_FORK_EPOCH: 74240\nBLOB_SCHEDULE: []\nNESTED: {a: 1}\n";
        let text = ConfigText::parse(text).unwrap();
        assert_eq!(text.preset.as_deref(), Some("minimal"));
        assert_eq!(text.unknown, ["ALTAIR_FORK_EPOCH", "BLOB_SCHEDULE", "NESTED"]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error_that_names_it() {
        // A value that is not a number, a number that is too large, a version of three bytes, and a
        // text that is not a mapping.
        let error = config("SECONDS_PER_SLOT: soon\n").unwrap_err();
        assert_eq!(error, "SECONDS_PER_SLOT cannot be soon");
        assert!(config("GENESIS_DELAY: 18446744073709551616\n").is_err());
        assert!(config("GENESIS_FORK_VERSION: 0x000001\n").is_err());
        assert!(config("- 1\n").is_err());
        let error = config("SLOT_DURATION_MS: [6000]\n").unwrap_err();
        assert!(error.contains("SLOT_DURATION_MS"), "{error}");
    }

    #[test]
    fn the_length_of_a_slot_may_be_given_twice_if_both_agree() {
        // Current configurations give seconds and milliseconds, in either order.
        let text = "SLOT_DURATION_MS: 4000\nSECONDS_PER_SLOT: 4\nATTESTATION_DUE_BPS: 2500\n";
        let both = config(text).unwrap();
        assert_eq!((both.slot_duration_ms.get(), both.attestation_due_ms()), (4_000, 1_000));
        let error = config("SECONDS_PER_SLOT: 4\nSLOT_DURATION_MS: 4500\n").unwrap_err();
        assert_eq!(error, "SECONDS_PER_SLOT 4 contradicts SLOT_DURATION_MS 4500");
    }
}
