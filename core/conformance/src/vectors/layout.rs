//! Finds the cases of a folder in the official layout.
//!
//! ```text
//!   root / preset / fork / runner / handler / suite / case /
//! ```
//!
//! Names matter only at the first two levels: a folder of another fork, or one beside the known
//! presets, becomes one entry that is skipped with its reason.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{NotPassed, VectorsError};

/// Presets that are executed.
const PRESETS: [&str; 3] = ["general", "mainnet", "minimal"];
/// The fork that is executed.
const FORK: &str = "phase0";

/// A case to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) path: String,
    pub(super) preset: String,
    pub(super) runner: String,
    pub(super) handler: String,
    pub(super) directory: PathBuf,
}

impl Case {
    /// Returns that this case's runner or handler is unknown.
    pub(super) fn unknown(&self, what: &str) -> NotPassed {
        NotPassed::Skipped(format!("no such {what} in phase0: {}/{}", self.runner, self.handler))
    }
}

/// What the walk finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A case.
    Case(Case),
    /// A folder that is not one of ours.
    Foreign {
        /// Its path below the root.
        path: String,
        /// Why it is skipped.
        why: String,
    },
}

impl Entry {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Case(case) => &case.path,
            Self::Foreign { path, .. } => path,
        }
    }
}

/// Returns the entries of `root`, cases in the order of their paths.
///
/// # Errors
/// If a folder cannot be read, or there is no case at all.
pub(super) fn walk(root: &Path) -> Result<Vec<Entry>, VectorsError> {
    let mut entries = Vec::new();
    for preset in directories(root)? {
        if !PRESETS.contains(&preset.as_str()) {
            entries.push(Entry::Foreign { path: preset, why: "not a preset".to_owned() });
            continue;
        }
        for fork in directories(&root.join(&preset))? {
            if fork == FORK {
                walk_fork(root, &preset, &mut entries)?;
            } else {
                let path = format!("{preset}/{fork}");
                entries.push(Entry::Foreign { path, why: format!("not of {FORK}") });
            }
        }
    }
    if entries.iter().any(|entry| matches!(entry, Entry::Case(_))) {
        Ok(entries)
    } else {
        Err(VectorsError::NotInLayout(root.to_owned()))
    }
}

fn walk_fork(root: &Path, preset: &str, entries: &mut Vec<Entry>) -> Result<(), VectorsError> {
    let fork = root.join(preset).join(FORK);
    for runner in directories(&fork)? {
        for handler in directories(&fork.join(&runner))? {
            let directory = fork.join(&runner).join(&handler);
            for suite in directories(&directory)? {
                let suite_directory = directory.join(&suite);
                for name in directories(&suite_directory)? {
                    entries.push(Entry::Case(Case {
                        path: format!("{preset}/{FORK}/{runner}/{handler}/{suite}/{name}"),
                        preset: preset.to_owned(),
                        runner: runner.clone(),
                        handler: handler.clone(),
                        directory: suite_directory.join(name),
                    }));
                }
            }
        }
    }
    Ok(())
}

/// Names of the folders in `path`, sorted. No case has a name that is not UTF-8.
fn directories(path: &Path) -> Result<Vec<String>, VectorsError> {
    let io = |source| VectorsError::Io { path: path.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.path().is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
