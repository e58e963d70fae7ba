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
const PHASE0: &str = "phase0";
/// The fork of which the payload-timeliness committee is executed.
const GLOAS: &str = "gloas";
/// Forks whose cases are looked at.
const FORKS: [&str; 2] = [GLOAS, PHASE0];

/// A case to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) path: String,
    pub(super) preset: String,
    fork: &'static str,
    pub(super) runner: String,
    pub(super) handler: String,
    pub(super) directory: PathBuf,
}

impl Case {
    /// Returns that this case's runner or handler is unknown.
    pub(super) fn unknown(&self, what: &str) -> NotPassed {
        let Self { fork, runner, handler, .. } = self;
        NotPassed::Skipped(format!("no such {what} in {fork}: {runner}/{handler}"))
    }

    /// Returns whether it is a case of Gloas rather than of phase0.
    pub(super) fn is_of_gloas(&self) -> bool {
        self.fork == GLOAS
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
            if let Some(fork) = FORKS.into_iter().find(|known| *known == fork) {
                walk_fork(root, &preset, fork, &mut entries)?;
            } else {
                let path = format!("{preset}/{fork}");
                let why = format!("not of {}", FORKS.join(" or "));
                entries.push(Entry::Foreign { path, why });
            }
        }
    }
    if entries.iter().any(|entry| matches!(entry, Entry::Case(_))) {
        Ok(entries)
    } else {
        Err(VectorsError::NotInLayout(root.to_owned()))
    }
}

fn walk_fork(
    root: &Path,
    preset: &str,
    fork: &'static str,
    entries: &mut Vec<Entry>,
) -> Result<(), VectorsError> {
    let of_fork = root.join(preset).join(fork);
    for runner in directories(&of_fork)? {
        for handler in directories(&of_fork.join(&runner))? {
            let directory = of_fork.join(&runner).join(&handler);
            for suite in directories(&directory)? {
                let suite_directory = directory.join(&suite);
                for name in directories(&suite_directory)? {
                    entries.push(Entry::Case(Case {
                        path: format!("{preset}/{fork}/{runner}/{handler}/{suite}/{name}"),
                        preset: preset.to_owned(),
                        fork,
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
