//! Unpacks the packed cases that ship with the project.
//!
//! An archive is a tar file under xz. Only folders and plain files are taken, none leads out of the
//! target folder, and what is written is bounded in number and in bytes: an archive is input like
//! any other.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use thiserror::Error;
use xz2::read::XzDecoder;

/// Most files of an archive.
const MAX_FILES: usize = 100_000;
/// Most bytes that an archive may unpack to.
const MAX_BYTES: u64 = 1 << 30;

/// Why an archive was not unpacked to its end. What was written before stays in the target folder.
#[derive(Debug, Error)]
pub(crate) enum UnpackError {
    /// Reading or writing failed, or the archive is damaged.
    #[error("{path}: {source}")]
    Io {
        /// The archive, or the file that was to be written.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A path in the archive is absolute or climbs out of the folder.
    #[error("the archive holds the path {0}, which leads out of the target folder")]
    UnsafePath(PathBuf),
    /// An entry is neither a folder nor a plain file.
    #[error("the archive holds {0}, which is neither a folder nor a plain file")]
    NotAFile(PathBuf),
    /// The archive unpacks to more than the bounds allow.
    #[error("the archive holds more than {MAX_FILES} files or {MAX_BYTES} bytes")]
    TooLarge,
}

/// Unpacks the files of a `.tar.xz` whose path starts with one of `prefixes` (all, if none is
/// given) into the folder `target`, which has to exist. Returns the number of files written.
///
/// # Errors
/// If the archive is damaged, leads out of the folder, exceeds the bounds, or writing fails.
pub(crate) fn unpack(
    archive: &Path,
    prefixes: &[&str],
    target: &Path,
) -> Result<usize, UnpackError> {
    let io = |source| UnpackError::Io { path: archive.to_owned(), source };
    let file = File::open(archive).map_err(io)?;
    let mut tar = tar::Archive::new(XzDecoder::new(file).take(MAX_BYTES));
    let (mut files, mut bytes) = (0_usize, 0_u64);
    for entry in tar.entries().map_err(io)? {
        let mut entry = entry.map_err(io)?;
        let path = entry.path().map_err(io)?.into_owned();
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(UnpackError::UnsafePath(path));
        }
        if entry.header().entry_type().is_dir() {
            continue;
        }
        if !entry.header().entry_type().is_file() {
            return Err(UnpackError::NotAFile(path));
        }
        if !prefixes.is_empty() && !prefixes.iter().any(|prefix| path.starts_with(prefix)) {
            continue;
        }
        files += 1;
        bytes = bytes.saturating_add(entry.size());
        if files > MAX_FILES || bytes > MAX_BYTES {
            return Err(UnpackError::TooLarge);
        }
        write(&mut entry, &target.join(&path))?;
    }
    Ok(files)
}

fn write(from: &mut impl Read, path: &Path) -> Result<(), UnpackError> {
    let io = |source| UnpackError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io)?;
    }
    let mut file = File::create_new(path).map_err(io)?;
    io::copy(from, &mut file).map_err(io)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use xz2::write::XzEncoder;

    use super::*;

    /// Makes an archive of (path, kind, content); paths are written raw, as `tar` would refuse
    /// some.
    fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> tempfile::NamedTempFile {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = XzEncoder::new(Vec::new(), 0);
        encoder.write_all(&builder.into_inner().unwrap()).unwrap();
        file.write_all(&encoder.finish().unwrap()).unwrap();
        file
    }

    #[test]
    fn only_what_the_prefixes_name_is_written() {
        // Two files, one of them below the prefix.
        let file = tar::EntryType::Regular;
        let archive = archive(&[("a/b/c", file, b"1"), ("ab/c", file, b"2")]);
        let target = tempfile::tempdir().unwrap();
        assert_eq!(unpack(archive.path(), &["a"], target.path()).unwrap(), 1);
        assert_eq!(fs::read(target.path().join("a/b/c")).unwrap(), b"1");
        assert!(!target.path().join("ab").exists());
    }

    #[test]
    fn a_path_that_leads_out_of_the_folder_is_refused() {
        // A parent folder, and an absolute path.
        let file = tar::EntryType::Regular;
        for path in ["a/../../escaped", "/escaped"] {
            let archive = archive(&[(path, file, b"1")]);
            let target = tempfile::tempdir().unwrap();
            let outcome = unpack(archive.path(), &[], target.path());
            assert!(matches!(outcome, Err(UnpackError::UnsafePath(_))), "{path}");
            assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_link_is_refused() {
        // A symbolic link, which could be written through later.
        let archive = archive(&[("a", tar::EntryType::Symlink, b"")]);
        let target = tempfile::tempdir().unwrap();
        let outcome = unpack(archive.path(), &[], target.path());
        assert!(matches!(outcome, Err(UnpackError::NotAFile(_))));
    }

    #[test]
    fn a_damaged_archive_is_an_error() {
        // Bytes that are no xz stream.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"not an archive").unwrap();
        let target = tempfile::tempdir().unwrap();
        assert!(matches!(unpack(file.path(), &[], target.path()), Err(UnpackError::Io { .. })));
    }
}
