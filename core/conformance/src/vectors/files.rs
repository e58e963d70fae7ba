//! The files of one case: SSZ in snappy block format, and YAML.
//!
//! Bounds: a file is read up to [`MAX_FILE_BYTES`], and decompressed up to [`MAX_BLOCK_BYTES`]. A snappy block states its decompressed length
//! at the beginning. No element of the format yields more than 64 bytes for 3, so a claim of more
//! than [`MAX_EXPANSION`] times the input is refused before anything is allocated.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use blocksmith_consensus::{BeaconState, ChainConfig, Preset, Wire, decode_exact};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::NotPassed;
use crate::config::ConfigText;
use crate::yaml;

/// Largest file that is read.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// What a file decompresses to at most.
const MAX_BLOCK_BYTES: u64 = 256 << 20;
/// The largest number of bytes that one byte of a snappy block can stand for, rounded up (64 for
/// 3).
const MAX_EXPANSION: usize = 22;

/// `meta.yaml`; keys that no runner reads are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Meta {
    bls_setting: u64,
    pub(super) blocks_count: Option<usize>,
    pub(super) deposits_count: Option<usize>,
}

impl Meta {
    /// Whether signatures are verified, which they are unless the setting is 2.
    pub(super) fn verify_signatures(&self) -> bool {
        self.bls_setting != 2
    }
}

/// The files of a case.
#[derive(Clone, Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Returns a file's bytes; `None` if there is no such file.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, NotPassed> {
        let path = self.directory.join(name);
        let failed = |error: &dyn Display| NotPassed::Failed(format!("{name}: {error}"));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(failed(&"larger than 64 MiB"));
        }
        Ok(Some(bytes))
    }

    /// Returns what `name.ssz_snappy` decompresses to; `None` if there is no such file.
    pub(super) fn ssz(&self, name: &str) -> Result<Option<Vec<u8>>, NotPassed> {
        let name = format!("{name}.ssz_snappy");
        let Some(bytes) = self.read(&name)? else { return Ok(None) };
        let most = usize::try_from(MAX_BLOCK_BYTES).unwrap_or(usize::MAX);
        decompress(&bytes, most)
            .map(Some)
            .map_err(|why| NotPassed::Failed(format!("{name}: {why}")))
    }

    /// Like [`Self::ssz`], for a file that must be there.
    pub(super) fn required_ssz(&self, name: &str) -> Result<Vec<u8>, NotPassed> {
        self.ssz(name)?.ok_or_else(|| NotPassed::Failed(format!("{name}.ssz_snappy is missing")))
    }

    /// Returns the decoded value of `name.ssz_snappy`, which must be there and must decode.
    pub(super) fn value<T: Wire>(&self, name: &str) -> Result<T, NotPassed> {
        let bytes = self.required_ssz(name)?;
        decode_exact(&bytes).map_err(|error| NotPassed::Failed(format!("{name}: {error}")))
    }

    /// Returns the decoded state of `name.ssz_snappy`; `None` if there is no such file.
    pub(super) fn state<P: Preset>(&self, name: &str) -> Result<Option<BeaconState<P>>, NotPassed> {
        let Some(bytes) = self.ssz(name)? else { return Ok(None) };
        let state = BeaconState::from_ssz_bytes(&bytes);
        state.map(Some).map_err(|error| NotPassed::Failed(format!("{name}: {error}")))
    }

    /// Like [`Self::state`], for a file that must be there.
    pub(super) fn required_state<P: Preset>(
        &self,
        name: &str,
    ) -> Result<BeaconState<P>, NotPassed> {
        self.state(name)?.ok_or_else(|| NotPassed::Failed(format!("{name}.ssz_snappy is missing")))
    }

    /// Returns what `name.yaml` says; `None` if there is no such file.
    pub(super) fn yaml<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, NotPassed> {
        let name = format!("{name}.yaml");
        let Some(bytes) = self.read(&name)? else { return Ok(None) };
        let failed = |error: &dyn Display| NotPassed::Failed(format!("{name}: {error}"));
        let text = String::from_utf8(bytes).map_err(|error| failed(&error))?;
        // `null` and an empty mapping both mean that nothing is specified.
        yaml::read(&text).map(Some).map_err(|error| failed(&error))
    }

    /// Like [`Self::yaml`], for a file that must be there.
    pub(super) fn required_yaml<T: DeserializeOwned>(&self, name: &str) -> Result<T, NotPassed> {
        self.yaml(name)?.ok_or_else(|| NotPassed::Failed(format!("{name}.yaml is missing")))
    }

    /// Returns `meta.yaml`; the defaults if there is none.
    pub(super) fn meta(&self) -> Result<Meta, NotPassed> {
        Ok(self.yaml("meta")?.unwrap_or_default())
    }

    /// Replaces the values that `config.yaml` gives. Keys of later forks are ignored.
    pub(super) fn override_config(&self, config: &mut ChainConfig) -> Result<(), NotPassed> {
        let Some(text) = self.yaml::<ConfigText>("config")? else { return Ok(()) };
        text.apply(config).map_err(|error| NotPassed::Failed(format!("config.yaml: {error}")))
    }
}

/// Decompresses one snappy block to at most `most` bytes.
///
/// # Errors
/// If it is not a snappy block, or claims more than `most` or than it can expand to.
pub fn decompress(bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let claimed = snap::raw::decompress_len(bytes).map_err(|error| error.to_string())?;
    if claimed > most {
        return Err(format!("decompressed, it has {claimed} bytes, more than {most}"));
    }
    if claimed > bytes.len().saturating_mul(MAX_EXPANSION) {
        return Err(format!("{} bytes cannot hold the {claimed} they claim to", bytes.len()));
    }
    snap::raw::Decoder::new().decompress_vec(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_beyond_what_snappy_can_hold_is_refused_before_it_is_allocated() {
        // The largest length that the format can claim (4 GiB - 1), followed by one literal byte.
        let bytes = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x41];
        assert!(decompress(&bytes, usize::MAX).unwrap_err().contains("cannot hold"));
    }

    #[test]
    fn the_most_compressible_block_is_not_refused() {
        // Zeros compress as far as the format allows.
        let zeros = vec![0; 1 << 20];
        let block = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        assert_eq!(decompress(&block, 1 << 20), Ok(zeros));
    }

    #[test]
    fn a_block_that_is_larger_than_it_may_be_is_refused_before_it_is_allocated() {
        // A mebibyte, where one byte less is allowed.
        let block = snap::raw::Encoder::new().compress_vec(&vec![0; 1 << 20]).unwrap();
        let error = decompress(&block, (1 << 20) - 1).unwrap_err();
        assert_eq!(error, "decompressed, it has 1048576 bytes, more than 1048575");
    }

    #[test]
    fn configuration_values_are_read_with_and_without_quotes() {
        // A key of a later fork, a list, a version, a plain number.
        let directory = tempfile::tempdir().unwrap();
        let text = "ALTAIR_FORK_EPOCH: 74240\nBLOB_SCHEDULE: []\nMIN_GENESIS_TIME: 12\nGENESIS_FORK_VERSION: 0x01020304\n";
        std::fs::write(directory.path().join("config.yaml"), text).unwrap();
        let mut config = ChainConfig::minimal();
        Files::new(directory.path()).override_config(&mut config).unwrap();
        assert_eq!(config.min_genesis_time, 12);
        assert_eq!(config.genesis_fork_version.as_bytes(), &[1, 2, 3, 4]);
    }
}
