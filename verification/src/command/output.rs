//! Report files: written whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

use super::Failure;

/// A report file that does not exist yet. Opened before the work, so that a bad path is told at
/// once; put in place after it, in one step, so that nothing half-written is ever there.
pub(crate) struct Report {
    /// The option that names it, for errors.
    option: &'static str,
    target: PathBuf,
    file: NamedTempFile,
}

impl Report {
    /// Opens a report that will be at `target`, which `option` of the command line names.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub(crate) fn open(option: &'static str, target: &Path) -> Result<Self, Failure> {
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let open = || {
            anyhow::ensure!(!target.is_dir(), "is a folder");
            Ok(NamedTempFile::new_in(folder)?)
        };
        let file = open()
            .with_context(|| format!("{option} {}", target.display()))
            .map_err(Failure::input)?;
        Ok(Self { option, target: target.to_owned(), file })
    }

    /// Opens the report of `--json`, if one is wanted.
    ///
    /// # Errors
    /// As [`Report::open`].
    pub(crate) fn maybe(target: Option<&Path>) -> Result<Option<Self>, Failure> {
        Self::named("--json", target)
    }

    /// Opens a report that another option names, if one is wanted.
    ///
    /// # Errors
    /// As [`Report::open`].
    pub(crate) fn named(
        option: &'static str,
        target: Option<&Path>,
    ) -> Result<Option<Self>, Failure> {
        target.map(|target| Self::open(option, target)).transpose()
    }

    /// Writes the report and puts it in place.
    ///
    /// # Errors
    /// If the disk is full, say.
    pub(crate) fn finish(mut self, text: &str) -> Result<(), Failure> {
        let mut write = || -> anyhow::Result<()> {
            self.file.write_all(text.as_bytes())?;
            self.file.write_all(b"\n")?;
            self.file.as_file().sync_all()?;
            Ok(())
        };
        write()
            .and_then(|()| Ok(self.file.persist(&self.target)?))
            .with_context(|| format!("{} {}", self.option, self.target.display()))
            .map_err(Failure::fault)?;
        Ok(())
    }
}
