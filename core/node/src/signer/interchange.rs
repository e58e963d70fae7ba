//! Files of EIP-3076: what was signed, from one signer to another.
//!
//! **Contract.** [`read`] takes the bytes of a file and returns all of it or an error that names
//! the field. It allocates at most a small multiple of the file's size. [`write()`] writes what
//! [`read`] reads.
//!
//! | version | read | written | why |
//! |---|---|---|---|
//! | 5 | yes | yes | the version of EIP-3076 |
//! | 4 | yes | no | Lodestar 1.5.1 writes this number above the content of version 5 |
//! | another | no | no | its meaning is not known |
//!
//! A file of the older version 4 proper has other fields: it is refused because `signed_blocks` or
//! `signed_attestations` is missing. Lodestar 1.5.1 also lists the names of other rows of its
//! database as if they were keys, with nothing signed; an entry that is no key and has no message
//! is passed over.
//!
//! Reference: EIP-3076, "JSON Schema" and "Requirements".

use blocksmith::slashing_protection::{
    Block, Export, GenesisRoot, Key, MAX_NUMBER, Records, SigningRoot, Vote,
};
use blocksmith_consensus::{FixedBytes, ParseHexError};
use serde::{Deserialize, Deserializer, Serialize};

/// The versions that are read; the first is written.
const VERSIONS: [&str; 2] = ["5", "4"];

/// Why a file is not what EIP-3076 describes.
#[derive(Debug, thiserror::Error)]
pub enum InterchangeError {
    /// It is not JSON of the right form.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// It is of another version.
    #[error("metadata.interchange_format_version: expected \"5\" or \"4\", found {0:?}")]
    Version(String),
    /// Something was signed with what is no key.
    #[error("pubkey {pubkey:?}: {error}")]
    Key {
        /// What stands for the key.
        pubkey: String,
        /// What is wrong with it.
        error: ParseHexError,
    },
}

#[derive(Deserialize)]
struct ReadFile {
    metadata: Metadata,
    data: Vec<ReadEntry>,
}

#[derive(Serialize)]
struct File {
    metadata: Metadata,
    data: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    interchange_format_version: String,
    genesis_validators_root: Hex<32>,
}

#[derive(Serialize)]
struct Entry {
    pubkey: Hex<48>,
    signed_blocks: Vec<SignedBlock>,
    signed_attestations: Vec<SignedAttestation>,
}

/// An entry whose key has still to be parsed.
#[derive(Deserialize)]
struct ReadEntry {
    pubkey: String,
    signed_blocks: Vec<SignedBlock>,
    signed_attestations: Vec<SignedAttestation>,
}

impl ReadEntry {
    /// Returns the key; `None` if it is none, and nothing was signed with it.
    fn key(&self) -> Result<Option<Key>, InterchangeError> {
        match self.pubkey.parse::<FixedBytes<48>>() {
            Ok(key) => Ok(Some(key.to_bytes())),
            Err(_) if self.signed_blocks.is_empty() && self.signed_attestations.is_empty() => {
                Ok(None)
            }
            Err(error) => Err(InterchangeError::Key { pubkey: self.pubkey.clone(), error }),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct SignedBlock {
    slot: Quoted,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signing_root: Option<Hex<32>>,
}

#[derive(Serialize, Deserialize)]
struct SignedAttestation {
    source_epoch: Quoted,
    target_epoch: Quoted,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signing_root: Option<Hex<32>>,
}

/// A number in quotes that can be recorded.
#[derive(Clone, Copy)]
struct Quoted(u64);

impl Serialize for Quoted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quoted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number <= MAX_NUMBER);
        let wrong = || format!("{text:?} is not a number in quotes up to {MAX_NUMBER}");
        number.map(Self).ok_or_else(|| serde::de::Error::custom(wrong()))
    }
}

/// Bytes as `0x` and hexadecimal digits.
#[derive(Clone, Copy)]
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&FixedBytes::new(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes: FixedBytes<N> = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.to_bytes()))
    }
}

fn root(hex: Option<Hex<32>>) -> Option<SigningRoot> {
    hex.map(|hex| hex.0)
}

/// Reads a file. Entries of one key may come more than once, and are returned as they come.
///
/// # Errors
/// [`InterchangeError`] names the first place that is not of the right form, the version, or a key.
pub fn read(bytes: &[u8]) -> Result<(GenesisRoot, Vec<(Key, Records)>), InterchangeError> {
    let file: ReadFile = serde_json::from_slice(bytes)?;
    let version = file.metadata.interchange_format_version;
    if !VERSIONS.contains(&version.as_str()) {
        return Err(InterchangeError::Version(version));
    }
    let mut entries = Vec::new();
    for entry in file.data {
        let Some(key) = entry.key()? else { continue };
        let blocks = entry
            .signed_blocks
            .into_iter()
            .map(|block| Block { slot: block.slot.0, signing_root: root(block.signing_root) });
        let votes = entry.signed_attestations.into_iter().map(|vote| Vote {
            source: vote.source_epoch.0,
            target: vote.target_epoch.0,
            signing_root: root(vote.signing_root),
        });
        let records = Records { blocks: blocks.collect(), attestations: votes.collect() };
        entries.push((key, records));
    }
    Ok((file.metadata.genesis_validators_root.0, entries))
}

/// Writes a file of version 5.
///
/// # Errors
/// Never with numbers and bytes; the error is that of the JSON writer.
pub fn write(export: &Export) -> Result<String, serde_json::Error> {
    let entry = |(key, records): &(Key, Records)| Entry {
        pubkey: Hex(*key),
        signed_blocks: (records.blocks.iter())
            .map(|block| SignedBlock {
                slot: Quoted(block.slot),
                signing_root: block.signing_root.map(Hex),
            })
            .collect(),
        signed_attestations: (records.attestations.iter())
            .map(|vote| SignedAttestation {
                source_epoch: Quoted(vote.source),
                target_epoch: Quoted(vote.target),
                signing_root: vote.signing_root.map(Hex),
            })
            .collect(),
    };
    let file = File {
        metadata: Metadata {
            interchange_format_version: VERSIONS[0].to_owned(),
            genesis_validators_root: Hex(export.genesis),
        },
        data: export.entries.iter().map(entry).collect(),
    };
    serde_json::to_string_pretty(&file)
}
