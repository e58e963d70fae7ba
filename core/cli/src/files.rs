//! Files that commands read: SSZ, plain or compressed, and configurations.
//!
//! Bounds: a file is read, and decompressed, up to [`MAX_BYTES`].

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use blocksmith_consensus::ChainConfig;
use blocksmith_terminal::note;

use blocksmith_conformance::config::ConfigText;

/// Largest file, compressed or not: a mainnet state with room for growth.
const MAX_BYTES: u64 = 1 << 30;

fn read_bounded(reader: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MAX_BYTES, "larger than {} MiB", MAX_BYTES >> 20);
    Ok(bytes)
}

/// Returns the SSZ bytes of a file, decompressed if its name ends in `.ssz_snappy` (block format)
/// or `.xz`.
///
/// # Errors
/// If the file cannot be read or decompressed, or is too large; the error names the path.
pub(crate) fn read_ssz(path: &Path) -> anyhow::Result<Vec<u8>> {
    let read = || {
        let file = File::open(path)?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => read_bounded(xz2::read::XzDecoder::new(file)),
            Some("ssz_snappy") => {
                let most = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
                blocksmith_conformance::vectors::decompress(&read_bounded(file)?, most)
                    .map_err(|why| anyhow!(why))
            }
            _ => read_bounded(file),
        }
    };
    read().with_context(|| path.display().to_string())
}

/// Returns what a configuration in YAML says. Keys that phase0 does not know are reported on stderr
/// and ignored.
///
/// # Errors
/// If the file cannot be read or is not a mapping; the error names the path.
pub(crate) fn read_config(path: &Path) -> anyhow::Result<ConfigText> {
    let read = || {
        let text = String::from_utf8(read_bounded(File::open(path)?)?)?;
        anyhow::Ok(ConfigText::parse(&text)?)
    };
    let text = read().with_context(|| path.display().to_string())?;
    for key in &text.unknown {
        note(format_args!("warning: {}: unknown key {key}", path.display()));
    }
    Ok(text)
}

/// Replaces the values of `config`, which is that of `preset`, by those given in the file at
/// `path`.
///
/// # Errors
/// If the file gives a value that its key cannot have, or says that it is for another preset.
pub(crate) fn apply_config(
    path: &Path,
    text: &ConfigText,
    preset: &str,
    mut config: ChainConfig,
) -> anyhow::Result<ChainConfig> {
    let mut apply = || {
        if let Some(base) = text.preset.as_deref().filter(|base| *base != preset) {
            return Err(anyhow!("PRESET_BASE cannot be {base}, expected {preset}"));
        }
        Ok(text.apply(&mut config)?)
    };
    apply().with_context(|| path.display().to_string())?;
    Ok(config)
}
