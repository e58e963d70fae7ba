//! Files that commands read: SSZ, plain or packed, and configurations.
//!
//! Bounds: a file is read, and unpacked, up to [`MAX_BYTES`].

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use blocksmith_consensus::ChainConfig;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// Largest file, packed or not: a mainnet state with room for growth.
const MAX_BYTES: u64 = 1 << 30;

fn read_bounded(reader: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MAX_BYTES, "larger than {} MiB", MAX_BYTES >> 20);
    Ok(bytes)
}

/// Returns the SSZ bytes of a file, unpacked by the end of its name: `.ssz_snappy` (block format) or
/// `.xz`.
///
/// # Errors
/// If the file cannot be read or unpacked, or is too large; the path is named.
pub(crate) fn read_ssz(path: &Path) -> anyhow::Result<Vec<u8>> {
    let read = || {
        let file = File::open(path)?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => read_bounded(xz2::read::XzDecoder::new(file)),
            Some("ssz_snappy") => {
                crate::vectors::decompress(&read_bounded(file)?).map_err(|why| anyhow!(why))
            }
            _ => read_bounded(file),
        }
    };
    read().with_context(|| path.display().to_string())
}

/// Replaces what a YAML file of the specification's form gives. What phase0 does not know is reported
/// on stderr and passed over.
///
/// # Errors
/// If the file cannot be read, is no mapping, or gives a value that its key cannot have.
pub(crate) fn read_config(path: &Path, mut config: ChainConfig) -> anyhow::Result<ChainConfig> {
    let mut read = || {
        let text = String::from_utf8(read_bounded(File::open(path)?)?)?;
        let Values(values) = serde_saphyr::from_str(&text)?;
        for (key, value) in values {
            match value {
                Some(value) => config.set(&key, &value)?,
                None => eprintln!("warning: {}: unknown key {key}", path.display()),
            }
        }
        anyhow::Ok(())
    };
    read().with_context(|| path.display().to_string())?;
    Ok(config)
}

/// The keys of a mapping, with the text of those values that phase0 knows.
struct Values(BTreeMap<String, Option<String>>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Mapping)
    }
}

struct Mapping;

impl<'de> Visitor<'de> for Mapping {
    type Value = Values;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping of configuration keys to values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
        let mut values = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            // Asked for as text, a version stays what is written and does not become a number.
            let value = if ChainConfig::KEYS.contains(&key.as_str()) {
                Some(map.next_value()?)
            } else {
                map.next_value::<IgnoredAny>()?;
                None
            };
            values.insert(key, value);
        }
        Ok(Values(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> anyhow::Result<ChainConfig> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_config(file.path(), ChainConfig::minimal())
    }

    #[test]
    fn a_configuration_replaces_what_it_names() {
        // Numbers, quoted numbers, a version in hexadecimal, a key and a list of later forks.
        let text = "CONFIG_NAME: 'x'\nSECONDS_PER_SLOT: 3\nGENESIS_DELAY: '7'\n\
                    GENESIS_FORK_VERSION: 0x00000009\nBLOB_SCHEDULE: []\n";
        let config = config(text).unwrap();
        assert_eq!((config.seconds_per_slot, config.genesis_delay), (3, 7));
        assert_eq!(config.genesis_fork_version.as_bytes(), &[0, 0, 0, 9]);
        assert_eq!(config.churn_limit_quotient, ChainConfig::minimal().churn_limit_quotient);
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error_that_names_it() {
        // A number that is none, and a text that is no mapping.
        let error = format!("{:#}", config("SECONDS_PER_SLOT: soon\n").unwrap_err());
        assert!(error.contains("SECONDS_PER_SLOT cannot be soon"), "{error}");
        assert!(config("- 1\n").is_err());
    }
}
