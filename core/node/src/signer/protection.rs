//! Slashing protection in an SQLite file.
//!
//! **Contract.** [`SqliteStore::open`] opens a file, or makes it, and has it alone until it is
//! dropped: a second process, or a second handle, is told [`StoreError::InUse`]. The file's marks
//! and its integrity are checked before anything of its content is used. A transaction of a
//! [`ProtectionStore`] is one of SQLite's.
//!
//! | setting | value | why |
//! |---|---|---|
//! | `journal_mode` | `WAL` | a commit is one append and one sync |
//! | `synchronous` | `FULL` | the log is synced before a commit returns, so that it survives a power cut |
//! | `locking_mode` | `EXCLUSIVE` | the lock is held between transactions as well |
//!
//! **Invariants.**
//! - I1 A slot and a target of a key are primary keys of their tables. Even a process that got past
//!   the locks cannot record a second message there: its transaction fails, and nothing is signed.
//! - I2 A number is at most [`MAX_NUMBER`], so SQLite's signed integers hold it.
//!
//! **Limits.** A file that was replaced by an older copy of itself is not noticed. The file must be
//! on a disk of this machine: locks and syncs of network file systems are not relied upon.
//!
//! [`MAX_NUMBER`]: blocksmith::slashing_protection::MAX_NUMBER

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use blocksmith::slashing_protection::{
    Block, GenesisRoot, History, Key, ProtectionStore, SigningRoot, Transaction, Vote, Watermarks,
    Write,
};
use blocksmith::store::StoreError;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, ToSql, TransactionBehavior, params};

use crate::store;

/// Marks the file as ours: "blks" in ASCII.
const APPLICATION_ID: i64 = 0x626c_6b73;
/// The version of the format. A file of another version is refused.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    genesis_validators_root BLOB NOT NULL CHECK (length(genesis_validators_root) = 32)
) STRICT;
CREATE TABLE validators (
    id INTEGER PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 48),
    min_slot INTEGER CHECK (min_slot >= 0),
    min_source INTEGER CHECK (min_source >= 0),
    min_target INTEGER CHECK (min_target >= 0),
    CHECK ((min_source IS NULL) = (min_target IS NULL))
) STRICT;
CREATE TABLE blocks (
    validator INTEGER NOT NULL REFERENCES validators (id),
    slot INTEGER NOT NULL CHECK (slot >= 0),
    signing_root BLOB CHECK (length(signing_root) = 32),
    PRIMARY KEY (validator, slot)
) STRICT, WITHOUT ROWID;
CREATE TABLE attestations (
    validator INTEGER NOT NULL REFERENCES validators (id),
    target INTEGER NOT NULL CHECK (target >= 0),
    source INTEGER NOT NULL CHECK (source >= 0),
    signing_root BLOB CHECK (length(signing_root) = 32),
    PRIMARY KEY (validator, target)
) STRICT, WITHOUT ROWID;
";

/// Slashing protection in a file; see the module's text.
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    /// The lock is held as long as this is open.
    _lock: File,
}

impl SqliteStore {
    /// Opens the file, or makes it. Blocks while the file is verified.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another handle has the file; [`StoreError::Foreign`] if it is
    /// something else than slashing protection of this version; [`StoreError::Damaged`] if SQLite
    /// finds it damaged; [`StoreError::Io`] or [`StoreError::Full`] if the system refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        let connection = Connection::open(path).map_err(|error| failure(path, &error))?;
        let mut store = Self { connection, path: path.to_owned(), _lock: lock };
        store.prepare().map_err(|error| failure(path, &error))?;
        store.check_or_create()?;
        sync_folder(path)?;
        Ok(store)
    }

    /// Makes the settings of the module's table, and takes SQLite's own lock.
    fn prepare(&mut self) -> rusqlite::Result<()> {
        let connection = &self.connection;
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.set_prepared_statement_cache_capacity(32);
        self.connection.transaction_with_behavior(TransactionBehavior::Exclusive)?.commit()
    }

    fn check_or_create(&mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        let made = self.create_if_empty().map_err(|error| failure(&path, &error))?;
        if made {
            return Ok(());
        }
        for (field, expected) in [("application_id", APPLICATION_ID), ("user_version", VERSION)] {
            let found = self.pragma(field).map_err(|error| failure(&path, &error))?;
            if found != expected {
                let (place, found) = (path.display().to_string(), found.to_string());
                return Err(StoreError::Foreign {
                    place,
                    field,
                    expected: expected.to_string(),
                    found,
                });
            }
        }
        let check = "PRAGMA integrity_check(1)";
        let verdict = self.connection.query_row(check, [], |row| row.get::<_, String>(0));
        match verdict.map_err(|error| failure(&path, &error))?.as_str() {
            "ok" => Ok(()),
            problem => Err(damaged(&path, "file", "integrity_check", problem)),
        }
    }

    /// Returns `journal_mode`, `synchronous` and `locking_mode` as they are in force.
    #[cfg(test)]
    pub(super) fn settings(&self) -> rusqlite::Result<(String, i64, String)> {
        let text = |name| self.connection.pragma_query_value(None, name, |row| row.get(0));
        Ok((text("journal_mode")?, self.pragma("synchronous")?, text("locking_mode")?))
    }

    fn pragma(&self, name: &str) -> rusqlite::Result<i64> {
        self.connection.pragma_query_value(None, name, |row| row.get(0))
    }

    /// Makes the tables if the file has none; all of it or nothing.
    fn create_if_empty(&mut self) -> rusqlite::Result<bool> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let tables: i64 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 {
            return Ok(false);
        }
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
        Ok(true)
    }
}

impl ProtectionStore for SqliteStore {
    type Transaction<'a> = SqliteTransaction<'a>;

    fn begin(&mut self) -> Result<SqliteTransaction<'_>, StoreError> {
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let inner = begun.map_err(|error| failure(&self.path, &error))?;
        Ok(SqliteTransaction { inner, path: &self.path })
    }
}

/// A transaction of a [`SqliteStore`]; dropping it rolls it back.
pub struct SqliteTransaction<'a> {
    inner: rusqlite::Transaction<'a>,
    path: &'a Path,
}

/// A number of 64 bits that the table's check keeps non-negative.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column)
}

impl SqliteTransaction<'_> {
    fn execute(&self, sql: &str, parameters: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        self.inner.prepare_cached(sql)?.execute(parameters)
    }

    fn validator(&self, key: &Key) -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT id FROM validators WHERE public_key = ?1";
        self.inner.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()
    }

    fn validator_or_new(&self, key: &Key) -> rusqlite::Result<i64> {
        if let Some(validator) = self.validator(key)? {
            return Ok(validator);
        }
        self.execute("INSERT INTO validators (public_key) VALUES (?1)", &[key])?;
        Ok(self.inner.last_insert_rowid())
    }

    fn read(&self, key: &Key) -> rusqlite::Result<History> {
        let Some(validator) = self.validator(key)? else { return Ok(History::default()) };
        let sql = "SELECT min_slot, min_source, min_target FROM validators WHERE id = ?1";
        let watermarks = self.inner.prepare_cached(sql)?.query_row([validator], |row| {
            let (source, target): (Option<u64>, Option<u64>) = (row.get(1)?, row.get(2)?);
            Ok(Watermarks { slot: row.get(0)?, vote: source.zip(target) })
        })?;
        let sql = "SELECT slot, signing_root FROM blocks WHERE validator = ?1";
        let mut blocks = self.inner.prepare_cached(sql)?;
        let blocks = blocks.query_map([validator], |row| {
            Ok(Block { slot: number(row, 0)?, signing_root: row.get(1)? })
        })?;
        let sql = "SELECT target, source, signing_root FROM attestations WHERE validator = ?1";
        let mut votes = self.inner.prepare_cached(sql)?;
        let votes = votes.query_map([validator], |row| {
            let (target, source) = (number(row, 0)?, number(row, 1)?);
            Ok(Vote { source, target, signing_root: row.get(2)? })
        })?;
        let blocks: Vec<Block> = blocks.collect::<Result<_, _>>()?;
        let votes: Vec<Vote> = votes.collect::<Result<_, _>>()?;
        Ok(History::new(blocks, votes, watermarks))
    }

    fn insert_block(&self, validator: i64, block: Block) -> rusqlite::Result<()> {
        let sql = "INSERT INTO blocks (validator, slot, signing_root) VALUES (?1, ?2, ?3)";
        self.execute(sql, params![validator, block.slot, block.signing_root]).map(drop)
    }

    fn insert_vote(&self, validator: i64, vote: Vote) -> rusqlite::Result<()> {
        let sql = "INSERT INTO attestations (validator, target, source, signing_root) \
                   VALUES (?1, ?2, ?3, ?4)";
        let root: Option<SigningRoot> = vote.signing_root;
        self.execute(sql, params![validator, vote.target, vote.source, root]).map(drop)
    }

    fn set_watermarks(&self, validator: i64, watermarks: Watermarks) -> rusqlite::Result<()> {
        let sql = "UPDATE validators SET min_slot = ?2, min_source = ?3, min_target = ?4 \
                   WHERE id = ?1";
        let (source, target) = watermarks.vote.unzip();
        self.execute(sql, params![validator, watermarks.slot, source, target]).map(drop)
    }

    fn apply(&self, key: &Key, write: &Write) -> rusqlite::Result<()> {
        let validator = self.validator_or_new(key)?;
        match write {
            Write::Block(block) => self.insert_block(validator, *block),
            Write::Attestation(vote) => self.insert_vote(validator, *vote),
            Write::ForgetBlock(slot) => {
                let sql = "DELETE FROM blocks WHERE validator = ?1 AND slot = ?2";
                self.execute(sql, params![validator, slot]).map(drop)
            }
            Write::ForgetAttestation(target) => {
                let sql = "DELETE FROM attestations WHERE validator = ?1 AND target = ?2";
                self.execute(sql, params![validator, target]).map(drop)
            }
            Write::Watermarks(watermarks) => self.set_watermarks(validator, *watermarks),
            Write::Replace(history) => {
                self.execute("DELETE FROM blocks WHERE validator = ?1", params![validator])?;
                self.execute("DELETE FROM attestations WHERE validator = ?1", params![validator])?;
                history.blocks().try_for_each(|block| self.insert_block(validator, block))?;
                history.attestations().try_for_each(|vote| self.insert_vote(validator, vote))?;
                self.set_watermarks(validator, history.watermarks())
            }
        }
    }
}

impl Transaction for SqliteTransaction<'_> {
    fn genesis(&mut self) -> Result<Option<GenesisRoot>, StoreError> {
        let sql = "SELECT genesis_validators_root FROM chain";
        let found = self.inner.query_row(sql, [], |row| row.get(0)).optional();
        found.map_err(|error| failure(self.path, &error))
    }

    fn bind(&mut self, genesis: &GenesisRoot) -> Result<(), StoreError> {
        let sql = "INSERT INTO chain (id, genesis_validators_root) VALUES (1, ?1)";
        self.execute(sql, &[genesis]).map(drop).map_err(|error| failure(self.path, &error))
    }

    fn keys(&mut self) -> Result<Vec<Key>, StoreError> {
        let all = || -> rusqlite::Result<Vec<Key>> {
            let sql = "SELECT public_key FROM validators ORDER BY public_key";
            self.inner.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        all().map_err(|error| failure(self.path, &error))
    }

    fn history(&mut self, key: &Key) -> Result<History, StoreError> {
        self.read(key).map_err(|error| failure(self.path, &error))
    }

    fn write(&mut self, key: &Key, write: &Write) -> Result<(), StoreError> {
        self.apply(key, write).map_err(|error| failure(self.path, &error))
    }

    fn commit(self) -> Result<(), StoreError> {
        let path = self.path;
        self.inner.commit().map_err(|error| failure(path, &error))
    }
}

/// Locks the file beside the database. SQLite's own lock holds as well; this one is there before
/// SQLite touches the database.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
    let file = opened.map_err(|error| store::io(&name, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::InUse { place: path.display().to_string() })
        }
        Err(TryLockError::Error(error)) => Err(store::io(&name, error)),
    }
}

/// Makes a new file's name durable: a file whose name is lost takes its records with it.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|it| it.sync_all())
            .map_err(|error| store::io(folder, error))?;
    }
    Ok(())
}

fn damaged(path: &Path, table: &'static str, key: &str, problem: impl ToString) -> StoreError {
    let (place, problem) = (path.display().to_string(), problem.to_string());
    StoreError::Damaged { place, table, key: key.to_owned(), problem }
}

fn failure(path: &Path, error: &rusqlite::Error) -> StoreError {
    let (place, reason) = (path.display().to_string(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { place },
        Some(ErrorCode::DiskFull) => StoreError::Full { place, reason },
        Some(ErrorCode::DatabaseCorrupt) => damaged(path, "file", "structure", reason),
        Some(ErrorCode::NotADatabase) => StoreError::Foreign {
            place,
            field: "format",
            expected: "an SQLite database".to_owned(),
            found: "something else".to_owned(),
        },
        Some(ErrorCode::ConstraintViolation) => {
            StoreError::Refused { what: place, problem: reason }
        }
        Some(_) => StoreError::Io { place, reason },
        // A value of another type than the tables have.
        None => damaged(path, "value", "type", reason),
    }
}
