//! A log of what was signed: one JSON line for each signature of a block or an attestation.
//!
//! ```text
//! {"key":"0x..","type":"BLOCK","slot":3,"signing_root":"0x.."}
//! {"key":"0x..","type":"ATTESTATION","source":1,"target":2,"signing_root":"0x.."}
//! ```
//!
//! **Contract.** [`SignatureLog::append`] writes the lines of a batch with one write, after their
//! records were committed and before any of their signatures is made. The log is for a judge of the
//! signer and guards nothing: it is not synced, so it outlives a killed process, not a power cut. A
//! message that is signed again has another line.
//!
//! **Invariants.**
//! - L1 Of a line that does not end, no signature was made: a kill has cut the write of its batch.
//!   [`SignatureLog::open`] cuts such a line off, so that the next one begins on a line of its own.
//! - L2 One process at a time has the log; it is locked.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use blocksmith::slashing_protection::{Key, Statement};
use blocksmith::store::StoreError;

use crate::store;

/// How every line begins.
const BEGIN: &str = r#"{"key":"0x"#;
/// Bytes of a line, at most: a key and a root in hexadecimal, two numbers, and the names.
const MAX_LINE: u64 = 512;

/// The open log.
#[derive(Debug)]
pub struct SignatureLog {
    file: File,
    path: PathBuf,
}

impl SignatureLog {
    /// Opens a log to append to; it is made if it does not exist. A line that a kill has cut is
    /// removed.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has it; [`StoreError::Foreign`] if the file ends
    /// with what is not the beginning of a line; [`StoreError::Io`] or [`StoreError::Full`] if the
    /// system refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let refused = |error| store::io(path, error);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path).map_err(refused)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse { place: path.display().to_string() });
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        let (length, rest) = unended(&mut file).map_err(refused)?;
        // A file of something else is left as it is.
        let begin = BEGIN.as_bytes();
        let is_begun = rest.starts_with(begin) || begin.starts_with(&rest);
        if !is_begun || rest.len() as u64 >= MAX_LINE {
            return Err(StoreError::Foreign {
                place: path.display().to_string(),
                field: "format",
                expected: "a log of signatures".to_owned(),
                found: "something else".to_owned(),
            });
        }
        if !rest.is_empty() {
            file.set_len(length - rest.len() as u64).map_err(refused)?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends a line for each message, with one write. Blocks for the system's cache alone.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::Full`] if the system refuses. Then part of the lines may
    /// be there, and none of the messages must be signed.
    pub fn append<'a>(
        &mut self,
        signed: impl Iterator<Item = (&'a Key, &'a Statement)>,
    ) -> Result<(), StoreError> {
        let mut lines = String::new();
        signed.for_each(|(key, statement)| line(&mut lines, key, statement));
        self.file.write_all(lines.as_bytes()).map_err(|error| store::io(&self.path, error))
    }

    /// Returns a log to which nothing can be written.
    #[cfg(test)]
    pub(super) fn read_only(path: &Path) -> Self {
        File::create(path).expect("an empty file");
        Self { file: File::open(path).expect("a file"), path: path.to_owned() }
    }
}

/// Returns the length of a file, and what follows its last line's end, up to [`MAX_LINE`] bytes.
fn unended(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LINE)))?;
    let mut rest = Vec::new();
    file.take(MAX_LINE.min(length)).read_to_end(&mut rest)?;
    if let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') {
        rest.drain(..=end);
    }
    Ok((length, rest))
}

fn line(lines: &mut String, key: &Key, statement: &Statement) {
    let (of_type, signing_root) = match statement {
        Statement::Block { slot, signing_root } => {
            (format!(r#""BLOCK","slot":{slot}"#), signing_root)
        }
        Statement::Attestation { source, target, signing_root } => {
            (format!(r#""ATTESTATION","source":{source},"target":{target}"#), signing_root)
        }
    };
    lines.push_str(BEGIN);
    digits(lines, key);
    // Writing to a string does not fail.
    let _ = write!(lines, r#"","type":{of_type},"signing_root":"0x"#);
    digits(lines, signing_root);
    lines.push_str("\"}\n");
}

fn digits(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // As above.
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;

    const BLOCK: Statement = Statement::Block { slot: 3, signing_root: [0xab; 32] };
    const VOTE: Statement =
        Statement::Attestation { source: 1, target: u64::MAX, signing_root: [2; 32] };

    fn append(log: &mut SignatureLog, statements: &[Statement]) {
        let key = [0x0c; 48];
        log.append(statements.iter().map(|statement| (&key, statement))).expect("it is written");
    }

    #[test]
    fn a_line_says_the_key_and_what_was_signed() {
        // A block and an attestation, over two openings; no line is longer than the bound.
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("log");
        append(&mut SignatureLog::open(&path).expect("a new log"), &[BLOCK]);
        append(&mut SignatureLog::open(&path).expect("the same log"), &[VOTE]);
        let text = fs::read_to_string(&path).expect("text");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let (key, root) = (format!("0x{}", "0c".repeat(48)), format!("0x{}", "ab".repeat(32)));
        let block =
            serde_json::json!({"key": key, "type": "BLOCK", "slot": 3, "signing_root": root});
        let root = format!("0x{}", "02".repeat(32));
        let vote = serde_json::json!({
            "key": key, "type": "ATTESTATION", "source": 1, "target": u64::MAX,
            "signing_root": root,
        });
        assert_eq!(lines, [block, vote]);
        // The longest numbers.
        let longest =
            Statement::Attestation { source: u64::MAX, target: u64::MAX, signing_root: [0; 32] };
        let mut lines = String::new();
        line(&mut lines, &[0; 48], &longest);
        assert!((lines.len() as u64) < MAX_LINE, "{}", lines.len());
    }

    #[test]
    fn a_line_that_a_kill_has_cut_is_removed_wherever_it_was_cut() {
        // Every length of a second line without its end.
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("log");
        append(&mut SignatureLog::open(&path).expect("a new log"), &[BLOCK, VOTE]);
        let whole = fs::read(&path).expect("a file");
        let first = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        for cut in first..whole.len() {
            fs::write(&path, &whole[..cut]).expect("a file");
            append(&mut SignatureLog::open(&path).expect("the log"), &[VOTE]);
            assert_eq!(fs::read(&path).expect("a file"), whole, "{cut}");
        }
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_left_as_it_is() {
        // Short, and longer than any line though it begins as one; neither has an end.
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("log");
        for content in ["a secret".to_owned(), BEGIN.repeat(99) + "12"] {
            fs::write(&path, &content).expect("a file");
            let refused = SignatureLog::open(&path);
            assert!(matches!(refused, Err(StoreError::Foreign { .. })), "{refused:?}");
            assert_eq!(fs::read_to_string(&path).expect("text"), content);
        }
    }

    #[test]
    fn one_signer_at_a_time_has_the_log() {
        // A second opening, before and after the first one is closed.
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("log");
        let log = SignatureLog::open(&path).expect("a new log");
        let second = SignatureLog::open(&path);
        assert!(matches!(second, Err(StoreError::InUse { .. })), "{second:?}");
        drop(log);
        assert!(SignatureLog::open(&path).is_ok());
    }

    #[test]
    fn what_cannot_be_written_is_told_and_a_full_disk_by_its_name() {
        // A log that is open to read alone; and what the system says of a full disk.
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("log");
        let refused = SignatureLog::read_only(&path).append([(&[0; 48], &BLOCK)].into_iter());
        assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
        let full = store::io(&path, io::ErrorKind::StorageFull.into());
        assert!(matches!(full, StoreError::Full { .. }), "{full:?}");
    }
}
