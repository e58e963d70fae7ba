//! Blocks as SSZ files, for whoever looks for a fault: those that were produced here, and those
//! that were submitted, by what became of them.
//!
//! **Bound.** At most [`FILES`] files are written in the life of a node; then nothing more is, and
//! the log says so once. A file that cannot be written is logged and changes nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use blocksmith_consensus::{Root, Slot};

/// Files, at most.
pub const FILES: usize = 4096;

/// A folder for blocks.
#[derive(Clone, Debug)]
pub(super) struct Dump {
    folder: Arc<Path>,
    written: Arc<AtomicUsize>,
}

impl Dump {
    /// Returns the folder, which is made if need be.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub(super) fn new(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder: folder.into(), written: Arc::default() })
    }

    /// Writes a file. Blocks until the operating system has taken it.
    pub(super) fn write(&self, what: &str, slot: Slot, root: Root, bytes: &[u8]) {
        // ORDERING: pairs with nothing; only the number matters.
        let before = self.written.fetch_add(1, Relaxed);
        if before >= FILES {
            if before == FILES {
                tracing::warn!(files = FILES, "no more blocks are dumped");
            }
            return;
        }
        let name = format!("{slot:08}-{}-{what}.ssz", &root.to_string()[2..10]);
        if let Err(error) = std::fs::write(self.folder.join(&name), bytes) {
            tracing::warn!(name, %error, "a block was not dumped");
        }
    }
}
