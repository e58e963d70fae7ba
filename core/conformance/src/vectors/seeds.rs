//! Seeds for fuzzing: the SSZ of a folder of cases, decompressed and sorted by the decoder for it.
//!
//! Bounds: those of a case's files, and [`MAX_SEED_BYTES`] for a seed, since a fuzzer with long
//! inputs tries only few.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use blocksmith_consensus::hash;

use super::error::{NotPassed, VectorsError};
use super::files::Files;
use super::layout::{self, Case, Entry};

/// Longest seed: enough for a state of the minimal preset, but not for a mainnet one.
const MAX_SEED_BYTES: usize = 1 << 17;
/// How the name of a compressed file ends.
const PACKED: &str = ".ssz_snappy";

/// Number of seeds by fuzz target.
pub type Seeds = BTreeMap<&'static str, usize>;

/// Writes the seeds of every case below `root` to a folder of `out` for each fuzz target, each
/// under the hash of its bytes, and returns how many there are. Existing files stay; files that do
/// not decompress or are too long are ignored, and so are cases of Gloas.
///
/// # Errors
/// If `root` cannot be read or is not in the official layout, or `out` cannot be written.
pub fn seeds(root: &Path, out: &Path) -> Result<Seeds, VectorsError> {
    let mut seeds: BTreeMap<&'static str, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for entry in layout::walk(root)? {
        let Entry::Case(case) = entry else { continue };
        if case.is_of_gloas() {
            continue;
        }
        let files = Files::new(&case.directory);
        for name in packed(&case.directory)? {
            let Some(target) = target(&case, &name) else { continue };
            let bytes: Result<Option<Vec<u8>>, NotPassed> = files.ssz(&name);
            if let Ok(Some(bytes)) = bytes
                && bytes.len() <= MAX_SEED_BYTES
            {
                let digits = hash(&bytes).to_string();
                seeds.entry(target).or_default().insert(digits[2..18].to_owned(), bytes);
            }
        }
    }
    for (target, seeds) in &seeds {
        let folder = out.join(target);
        let io = |source| VectorsError::Io { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(io)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes).map_err(io)?;
        }
    }
    Ok(seeds.into_iter().map(|(target, seeds)| (target, seeds.len())).collect())
}

/// The names of a folder's compressed files, without their ending, sorted.
fn packed(directory: &Path) -> Result<Vec<String>, VectorsError> {
    let io = |source| VectorsError::Io { path: directory.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(PACKED)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// The fuzz target that decodes a case's file.
fn target(case: &Case, name: &str) -> Option<&'static str> {
    let kind = match case.runner.as_str() {
        "ssz_static" if name == "serialized" => case.handler.as_str(),
        // A block among the operations has no signature.
        "operations" if name == "block" => return None,
        // The others are numbered by position, or named by root.
        _ => name.split_once("_0x").map_or(name, |(kind, _)| kind),
    };
    match kind.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "SignedBeaconBlock" | "blocks_" | "block" => Some("block"),
        "Attestation" | "SignedAggregateAndProof" | "attestation" => Some("attestation"),
        "AttesterSlashing" | "ProposerSlashing" | "attester_slashing" | "proposer_slashing" => {
            Some("slashing")
        }
        "BeaconState" | "pre" | "post" | "genesis" | "state" | "anchor_state" => Some("state"),
        _ => None,
    }
}
