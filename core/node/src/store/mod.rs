//! The durable store in a redb file: what the services need to go on after a restart, and the
//! finalised chain.
//!
//! **Contract.** [`RedbStore::open`] takes a folder, makes it if need be, and locks it, so that one
//! process has it at a time. It checks the format, the version, and whether the file belongs to the
//! same chain and configuration, before anything of its content is used. Every value has a checksum
//! of its own over table, key and content (see `value`), and the file has those of redb. All of
//! redb's are verified each time the file is opened. So a damaged file is an error that names file,
//! table and key, and never a wrong state.
//!
//! | file | what it is |
//! |---|---|
//! | `blocksmith.redb` | the store |
//! | `blocksmith.redb.new` | a store that is being made; it is thrown away if that was interrupted |
//! | `lock` | locked while a process has the folder; its content does not matter |
//!
//! A batch of the ColdDB is one transaction with `Durability::Immediate`: it is on the disk when
//! `commit` returns. A transaction that was interrupted has never happened. Each is committed in
//! two phases, with two syncs: redb then knows which of its two commit slots is the last one, and a
//! damaged slot of a file that was not closed is an error. With one sync it would take the damage
//! for an interruption, and fall back to the transaction before.
//!
//! **Limits.** redb's checksums are verified by reading the whole file, so the time to open grows
//! with the finalised chain. A file that was replaced by an older copy of itself is not noticed.

#[cfg(test)]
mod tests;
mod value;

use std::fs::{File, OpenOptions, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use std::collections::BTreeMap;

use blocksmith::consensus::Slot;
use blocksmith::hot_db::StateAt;
use blocksmith::store::{Codec, Entry, FinalizedBlock, Loaded, Point, Store, StoreError, Write};
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, WriteTransaction,
};

/// Name of the store's file in its folder.
pub const FILE: &str = "blocksmith.redb";
const NEW_FILE: &str = "blocksmith.redb.new";
const LOCK_FILE: &str = "lock";

/// What the table of the format begins with.
const MAGIC: &str = "blocksmith store";
/// The version of the format. A file of another version is refused.
const VERSION: u64 = 1;

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Numbered = TableDefinition<'static, u64, &'static [u8]>;

const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta");
const STATES: Bytes = TableDefinition::new("states");
const BLOCKS: Bytes = TableDefinition::new("blocks");
const JOURNAL: Numbered = TableDefinition::new("journal");
const FINALIZED: Numbered = TableDefinition::new("finalized");
const PASSED: Numbered = TableDefinition::new("passed");

const POINT: &str = "point";

/// A store in a folder; see the module's text.
pub struct RedbStore<C: Codec> {
    codec: Arc<C>,
    database: Database,
    path: PathBuf,
    /// The lock is held as long as this is open.
    _lock: File,
}

/// Where in a store something is wrong.
struct At<'a> {
    path: &'a Path,
    table: &'static str,
    key: String,
}

impl At<'_> {
    fn damaged(&self, problem: impl ToString) -> StoreError {
        StoreError::Damaged {
            place: self.path.display().to_string(),
            table: self.table,
            key: self.key.clone(),
            problem: problem.to_string(),
        }
    }
}

impl<C: Codec> RedbStore<C> {
    /// Opens the store in `folder`, or makes one for the chain that begins with block `genesis`.
    /// Blocks while the file is verified.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`] if the folder cannot be made, read or written; [`StoreError::InUse`] if
    /// another process has it; [`StoreError::Foreign`] if the file is of another version, chain or
    /// configuration; [`StoreError::Damaged`] if it is not what was written.
    pub fn open(folder: &Path, codec: Arc<C>, genesis: &C::Root) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| io(folder, error))?;
        let lock = lock(&folder.join(LOCK_FILE))?;
        let path = folder.join(FILE);
        let format = format(&*codec, genesis);
        if !path.try_exists().map_err(|error| io(&path, error))? {
            create(folder, &format)?;
        }
        let database = contained(&path, || {
            let opened = Database::builder().set_check_integrity_on_open(true).open(&path);
            opened.map_err(|error| of_database(&path, error))
        })?;
        let store = Self { codec, database, path, _lock: lock };
        contained(&store.path, || store.check(&format))?;
        Ok(store)
    }

    /// Compares the format, the chain and the configuration.
    fn check(&self, format: &[(&'static str, String)]) -> Result<(), StoreError> {
        let transaction = self.read()?;
        for (field, expected) in format {
            let at = self.at("meta", *field);
            let table = transaction.open_table(META).map_err(|error| at.damaged(error))?;
            let found = table.get(*field).map_err(|error| at.damaged(error))?;
            let found = found.ok_or_else(|| at.damaged("missing"))?;
            let found = value::unseal("meta", field.as_bytes(), found.value());
            let found = String::from_utf8_lossy(found.map_err(|why| at.damaged(why))?).into_owned();
            if found != *expected {
                let (expected, found) = difference(expected, &found);
                let place = self.path.display().to_string();
                return Err(StoreError::Foreign { place, field, expected, found });
            }
        }
        Ok(())
    }

    fn at(&self, table: &'static str, key: impl ToString) -> At<'_> {
        At { path: &self.path, table, key: key.to_string() }
    }

    fn read(&self) -> Result<ReadTransaction, StoreError> {
        self.database.begin_read().map_err(|error| self.at("file", "transaction").damaged(error))
    }

    fn point(&self, transaction: &ReadTransaction) -> Result<Option<Point<C::Root>>, StoreError> {
        let at = self.at("meta", POINT);
        let table = transaction.open_table(META).map_err(|error| at.damaged(error))?;
        let Some(sealed) = table.get(POINT).map_err(|error| at.damaged(error))? else {
            return Ok(None);
        };
        let bytes = value::unseal("meta", POINT.as_bytes(), sealed.value());
        let point = bytes.and_then(|bytes| value::decode_point(&*self.codec, bytes));
        point.map(Some).map_err(|why| at.damaged(why))
    }

    fn state(
        &self,
        read: &ReadTransaction,
        point: &Point<C::Root>,
    ) -> Result<C::State, StoreError> {
        let bytes = self.bytes(read, STATES, "states", &point.checkpoint.root)?;
        let at = self.at("states", format_args!("{:?}", point.checkpoint.root));
        let bytes = bytes.ok_or_else(|| at.damaged("missing"))?;
        self.codec.decode_state(&bytes).map_err(|why| at.damaged(why))
    }

    fn block(
        &self,
        read: &ReadTransaction,
        root: &C::Root,
    ) -> Result<Option<C::Block>, StoreError> {
        let Some(bytes) = self.bytes(read, BLOCKS, "blocks", root)? else { return Ok(None) };
        let at = self.at("blocks", format_args!("{root:?}"));
        self.codec.decode_block(&bytes).map(Some).map_err(|error| at.damaged(error))
    }

    /// Returns the value of a root, without its checksum.
    fn bytes(
        &self,
        read: &ReadTransaction,
        table: Bytes,
        name: &'static str,
        root: &C::Root,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let at = self.at(name, format_args!("{root:?}"));
        let table = read.open_table(table).map_err(|error| at.damaged(error))?;
        let key = self.codec.encode_root(root);
        let Some(sealed) = table.get(&*key).map_err(|error| at.damaged(error))? else {
            return Ok(None);
        };
        let bytes = value::unseal(name, &key, sealed.value()).map_err(|why| at.damaged(why))?;
        Ok(Some(bytes.to_vec()))
    }

    /// Reads a whole table that is keyed by numbers.
    fn numbered<T>(
        &self,
        read: &ReadTransaction,
        table: Numbered,
        name: &'static str,
        decode: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<BTreeMap<u64, T>, StoreError> {
        let at = self.at(name, "all");
        let table = read.open_table(table).map_err(|error| at.damaged(error))?;
        let mut rows = BTreeMap::new();
        for row in table.iter().map_err(|error| at.damaged(error))? {
            let (number, sealed) = row.map_err(|error| at.damaged(error))?;
            let number = number.value();
            let bytes = value::unseal(name, &number.to_le_bytes(), sealed.value());
            let decoded = bytes.and_then(&decode);
            let decoded = decoded.map_err(|why| self.at(name, number).damaged(why))?;
            rows.insert(number, decoded);
        }
        Ok(rows)
    }

    fn write(&self, writes: &[Write<C>]) -> Result<(), redb::Error> {
        let transaction = begin(&self.database)?;
        {
            let mut tables = Tables::open(&transaction)?;
            for write in writes {
                tables.apply(&*self.codec, write)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Begins a transaction that is committed in two phases.
fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

/// The tables of one transaction.
struct Tables<'a> {
    meta: redb::Table<'a, &'static str, &'static [u8]>,
    states: redb::Table<'a, &'static [u8], &'static [u8]>,
    blocks: redb::Table<'a, &'static [u8], &'static [u8]>,
    journal: redb::Table<'a, u64, &'static [u8]>,
    finalized: redb::Table<'a, u64, &'static [u8]>,
    passed: redb::Table<'a, u64, &'static [u8]>,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            states: transaction.open_table(STATES)?,
            blocks: transaction.open_table(BLOCKS)?,
            journal: transaction.open_table(JOURNAL)?,
            finalized: transaction.open_table(FINALIZED)?,
            passed: transaction.open_table(PASSED)?,
        })
    }

    fn apply<C: Codec>(&mut self, codec: &C, write: &Write<C>) -> Result<(), redb::Error> {
        match write {
            Write::Block { root, block } => {
                let key = codec.encode_root(root);
                let sealed = value::seal("blocks", &key, codec.encode_block(block));
                self.blocks.insert(&*key, &*sealed)?;
            }
            Write::State(at) => {
                let key = codec.encode_root(&at.root);
                let sealed = value::seal("states", &key, codec.encode_state(&at.state));
                self.states.insert(&*key, &*sealed)?;
            }
            Write::Entry { number, entry } => {
                let bytes = value::encode_entry(codec, entry);
                let sealed = value::seal("journal", &number.to_le_bytes(), bytes);
                self.journal.insert(number, &*sealed)?;
            }
            Write::Finalized { slot, root } => {
                let bytes = codec.encode_root(root);
                let sealed = value::seal("finalized", &slot.to_le_bytes(), bytes);
                self.finalized.insert(slot, &*sealed)?;
            }
            Write::Passed { number, root } => {
                let bytes = codec.encode_root(root);
                let sealed = value::seal("passed", &number.to_le_bytes(), bytes);
                self.passed.insert(number, &*sealed)?;
            }
            Write::Point(point) => {
                let bytes = value::encode_point(codec, point);
                let sealed = value::seal("meta", POINT.as_bytes(), bytes);
                self.meta.insert(POINT, &*sealed)?;
            }
            Write::ForgetEntry(number) => drop(self.journal.remove(number)?),
            Write::ForgetPassed(number) => drop(self.passed.remove(number)?),
            Write::ForgetBlock(root) => drop(self.blocks.remove(&*codec.encode_root(root))?),
            Write::ForgetState(root) => drop(self.states.remove(&*codec.encode_root(root))?),
        }
        Ok(())
    }
}

impl<C: Codec> Store<C> for RedbStore<C> {
    fn load(&mut self) -> Result<Option<Loaded<C>>, StoreError> {
        contained(&self.path, || {
            let read = self.read()?;
            let Some(point) = self.point(&read)? else { return Ok(None) };
            let (root, slot) = (point.checkpoint.root, point.slot);
            let state = StateAt { root, slot, state: self.state(&read, &point)? };
            let codec = &*self.codec;
            let entry = |bytes: &[u8]| value::decode_entry(codec, bytes);
            let journal = self.numbered(&read, JOURNAL, "journal", entry)?;
            let root = |bytes: &[u8]| value::root(codec, bytes);
            let passed = self.numbered(&read, PASSED, "passed", root)?;
            let mut blocks = BTreeMap::new();
            for (number, entry) in &journal {
                let Entry::Block { root, .. } = entry else { continue };
                let missing = || {
                    let at = self.at("blocks", format_args!("{root:?}"));
                    at.damaged(format_args!("missing, but entry {number} names it"))
                };
                blocks.insert(*root, self.block(&read, root)?.ok_or_else(missing)?);
            }
            Ok(Some(Loaded { point, state, journal, blocks, passed }))
        })
    }

    fn commit(&mut self, writes: &[Write<C>]) -> Result<(), StoreError> {
        contained(&self.path, || self.write(writes).map_err(|error| of_write(&self.path, error)))
    }

    fn by_range(
        &mut self,
        start: Slot,
        end: Slot,
        at_most: usize,
    ) -> Result<Vec<FinalizedBlock<C>>, StoreError> {
        if start >= end {
            return Ok(Vec::new());
        }
        contained(&self.path, || {
            let read = self.read()?;
            let at = self.at("finalized", format_args!("{start}..{end}"));
            let table = read.open_table(FINALIZED).map_err(|error| at.damaged(error))?;
            let rows = table.range(start..end).map_err(|error| at.damaged(error))?;
            let mut found = Vec::new();
            for row in rows.take(at_most) {
                let (slot, sealed) = row.map_err(|error| at.damaged(error))?;
                let slot = slot.value();
                let at = self.at("finalized", slot);
                let bytes = value::unseal("finalized", &slot.to_le_bytes(), sealed.value());
                let root = bytes.and_then(|bytes| value::root(&*self.codec, bytes));
                let root = root.map_err(|why| at.damaged(why))?;
                let missing = || at.damaged(format_args!("its block {root:?} is missing"));
                let block = self.block(&read, &root)?.ok_or_else(missing)?;
                found.push(FinalizedBlock { slot, root, block });
            }
            Ok(found)
        })
    }

    fn by_root(&mut self, root: C::Root) -> Result<Option<C::Block>, StoreError> {
        contained(&self.path, || self.block(&self.read()?, &root))
    }
}

/// Returns what the table of the format says, in the order in which it is compared.
fn format<C: Codec>(codec: &C, genesis: &C::Root) -> Vec<(&'static str, String)> {
    vec![
        ("format", format!("{MAGIC}, version {VERSION}")),
        ("protocol", codec.identity()),
        ("genesis", format!("{genesis:?}")),
    ]
}

/// Returns the first words in which two texts differ.
fn difference(expected: &str, found: &str) -> (String, String) {
    let pairs = expected.split(' ').zip(found.split(' '));
    let different = pairs.into_iter().find(|(expected, found)| expected != found);
    let (expected, found) = different.unwrap_or((expected, found));
    (expected.to_owned(), found.to_owned())
}

/// Makes a store that has its format and nothing else. It gets its name when it is whole.
fn create(folder: &Path, format: &[(&'static str, String)]) -> Result<(), StoreError> {
    let (new, path) = (folder.join(NEW_FILE), folder.join(FILE));
    if new.try_exists().map_err(|error| io(&new, error))? {
        std::fs::remove_file(&new).map_err(|error| io(&new, error))?;
    }
    contained(&new, || {
        let make = || -> Result<(), redb::Error> {
            let database = Database::create(&new)?;
            let transaction = begin(&database)?;
            {
                let mut tables = Tables::open(&transaction)?;
                for (field, text) in format {
                    let sealed = value::seal("meta", field.as_bytes(), text.clone().into_bytes());
                    tables.meta.insert(*field, &*sealed)?;
                }
            }
            transaction.commit()?;
            Ok(())
        };
        make().map_err(|error| of_write(&new, error))
    })?;
    std::fs::rename(&new, &path).map_err(|error| io(&path, error))?;
    // The new name is durable once the folder is.
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| io(folder, error))?;
    Ok(())
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = options.map_err(|error| io(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let place = path.parent().unwrap_or(path).display().to_string();
            Err(StoreError::InUse { place })
        }
        Err(TryLockError::Error(error)) => Err(io(path, error)),
    }
}

/// Runs code of redb. A panic there means that the file is not what redb wrote; it becomes an
/// error.
fn contained<T>(
    path: &Path,
    body: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        let at = At { path, table: "file", key: "structure".to_owned() };
        Err(at.damaged(text.unwrap_or_else(|| "a panic without text".to_owned())))
    })
}

/// Tells a full disk from what else the operating system may say.
pub(crate) fn io(path: &Path, error: std::io::Error) -> StoreError {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let (place, reason) = (path.display().to_string(), error.to_string());
    if matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull) {
        StoreError::Full { place, reason }
    } else {
        StoreError::Io { place, reason }
    }
}

fn of_database(path: &Path, error: DatabaseError) -> StoreError {
    let place = path.display().to_string();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { place },
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() != std::io::ErrorKind::InvalidData
                && error.kind() != std::io::ErrorKind::UnexpectedEof =>
        {
            io(path, error)
        }
        error => At { path, table: "file", key: "structure".to_owned() }.damaged(error),
    }
}

fn of_write(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => io(path, error),
        redb::Error::Corrupted(why) => {
            At { path, table: "file", key: "structure".to_owned() }.damaged(why)
        }
        error => StoreError::Io { place: path.display().to_string(), reason: error.to_string() },
    }
}
