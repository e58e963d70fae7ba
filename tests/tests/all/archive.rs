//! Unpacks the test cases that ship with the project.
//!
//! An archive is a tar file, compressed by xz. It is input like any other. So only folders and
//! plain files are unpacked, no path may lead out of the target folder, and the number of files and
//! of bytes is bounded.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use thiserror::Error;
use xz2::read::XzDecoder;

/// The most files that an archive may hold.
const MAX_FILES: usize = 100_000;
/// The most bytes that an archive may unpack to.
const MAX_BYTES: u64 = 1 << 30;

/// The reason why an archive was not unpacked to its end. Files that were written before stay in
/// the target folder.
#[derive(Debug, Error)]
pub(crate) enum UnpackError {
    /// Reading or writing failed, or the archive is damaged.
    #[error("{path}: {source}")]
    Io {
        /// The archive, or the file that was to be written.
        path: PathBuf,
        /// The system's error.
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

/// Unpacks a `.tar.xz` into the folder `target`, which must exist. Takes the files whose path
/// starts with one of `prefixes`, or all files if there are none. Returns the number of files
/// written.
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

    /// Makes an archive of entries (path, kind, content). The paths are written raw, because the
    /// `tar` crate would refuse some of them.
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
        // Unpacks an archive of two files, one of them below the prefix.
        let file = tar::EntryType::Regular;
        let archive = archive(&[("a/b/c", file, b"1"), ("ab/c", file, b"2")]);
        let target = tempfile::tempdir().unwrap();
        assert_eq!(unpack(archive.path(), &["a"], target.path()).unwrap(), 1);
        assert_eq!(fs::read(target.path().join("a/b/c")).unwrap(), b"1");
        assert!(!target.path().join("ab").exists());
    }

    #[test]
    fn a_path_that_leads_out_of_the_folder_is_refused() {
        // The archive holds a path through the parent folder, and then an absolute path.
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
        // The archive holds a symbolic link, through which a later entry could write.
        let archive = archive(&[("a", tar::EntryType::Symlink, b"")]);
        let target = tempfile::tempdir().unwrap();
        let outcome = unpack(archive.path(), &[], target.path());
        assert!(matches!(outcome, Err(UnpackError::NotAFile(_))));
    }

    #[test]
    fn a_damaged_archive_is_an_error() {
        // The bytes are no xz stream.
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"not an archive").unwrap();
        let target = tempfile::tempdir().unwrap();
        assert!(matches!(unpack(file.path(), &[], target.path()), Err(UnpackError::Io { .. })));
    }
}
