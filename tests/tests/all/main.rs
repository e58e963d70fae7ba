//! Tests of the whole workspace: official vectors, the recorded chain, malformed input,
//! dependencies between crates, the steps of CI, and rules that a reader would tire of checking.

mod archive;
mod ci;
mod dependencies;
mod malformed;
mod recorded_chain;
mod tidy;
mod trace;
mod vectors;

use std::path::{Path, PathBuf};

/// Returns the path of something in this crate's folder.
fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns the path of something in the workspace's folder.
fn workspace(path: &str) -> PathBuf {
    here("..").join(path)
}
