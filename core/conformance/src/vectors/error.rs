//! Why a folder cannot be run, and why a case does not pass.

use std::path::PathBuf;

use thiserror::Error;

/// Why a folder could not be run at all.
#[derive(Debug, Error)]
pub enum VectorsError {
    /// The folder, or one within, could not be read or written.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The folder holds nothing in the official layout.
    #[error(
        "{0} is not in the layout <preset>/<fork>/<runner>/<handler>/<suite>/<case>, \
         with a preset of minimal, mainnet or general and the fork phase0 or gloas"
    )]
    NotInLayout(PathBuf),
    /// The filter left nothing to run.
    #[error("no case of {0} passes the filter")]
    NothingLeft(PathBuf),
}

/// Why a case did not pass. What a case's files or checks lack makes it fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotPassed {
    /// Something does not hold.
    Failed(String),
    /// It is not executed, or not comparable.
    Skipped(String),
}

impl NotPassed {
    pub(super) fn failed(why: impl ToString) -> Self {
        Self::Failed(why.to_string())
    }
}

pub(super) type Outcome = Result<(), NotPassed>;

/// Fails a case unless `holds`.
pub(super) fn ensure(holds: bool, why: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(NotPassed::Failed(why())) }
}
