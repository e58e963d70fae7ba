//! The database: durable, alone, and equal to the store in memory.

use std::fs;
use std::path::Path;

use blocksmith::slashing_protection::{
    Block, Key, Limits, MemoryStore, Merge, Outcome, ProtectionStore, Records, Request, Statement,
    Transaction, Vote, Write, check_and_record, export, import,
};
use blocksmith::store::StoreError;
use quickcheck::{Arbitrary, Gen, QuickCheck};
use tempfile::TempDir;

use super::genesis;
use crate::signer::protection::SqliteStore;

const KEY: Key = [3; 48];

fn open(folder: &TempDir) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&folder.path().join("protection.sqlite"))
}

fn block(slot: u64, root: u8) -> Request {
    let statement = Statement::Block { slot, signing_root: [root; 32] };
    Request { genesis: genesis(), key: KEY, statement }
}

fn ask(store: &mut SqliteStore, request: Request) -> Outcome {
    check_and_record(store, &Limits::default(), &[request]).expect("a store")[0]
}

#[test]
fn what_is_recorded_is_there_after_a_restart_and_what_was_cut_short_is_not() {
    // A transaction is dropped after its write.
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder).unwrap();
    assert_eq!(ask(&mut store, block(5, 1)), Outcome::Recorded);
    let mut cut = store.begin().unwrap();
    let lost = Block { slot: 6, signing_root: Some([1; 32]) };
    cut.write(&KEY, &Write::Block(lost)).unwrap();
    drop(cut);
    drop(store);
    let mut store = open(&folder).unwrap();
    assert!(!ask(&mut store, block(5, 2)).allows());
    assert_eq!(ask(&mut store, block(5, 1)), Outcome::AlreadySigned);
    assert_eq!(ask(&mut store, block(6, 2)), Outcome::Recorded);
}

#[test]
fn a_database_in_use_is_refused() {
    // A second handle of ours, and one that does not know of our lock file.
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder).unwrap();
    assert!(matches!(open(&folder), Err(StoreError::InUse { .. })));
    let stranger = rusqlite::Connection::open(folder.path().join("protection.sqlite")).unwrap();
    stranger.busy_timeout(std::time::Duration::ZERO).unwrap();
    let error = stranger.execute("DELETE FROM blocks", []).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
    drop(stranger);
    assert_eq!(ask(&mut store, block(5, 1)), Outcome::Recorded);
    drop(store);

    // The other way round: somebody else has it, without a lock file.
    let stranger = rusqlite::Connection::open(folder.path().join("protection.sqlite")).unwrap();
    stranger.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    assert!(matches!(open(&folder), Err(StoreError::InUse { .. })));
    drop(stranger);
    assert!(open(&folder).is_ok());
}

#[test]
fn the_tables_themselves_refuse_a_second_message() {
    // Writes that got past the check, as those of a second process would.
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder).unwrap();
    assert_eq!(ask(&mut store, block(5, 1)), Outcome::Recorded);
    let vote = Vote { source: 1, target: 2, signing_root: Some([1; 32]) };
    let statement = Statement::Attestation { source: 1, target: 2, signing_root: [1; 32] };
    assert_eq!(ask(&mut store, Request { statement, ..block(0, 0) }), Outcome::Recorded);
    for second in [
        Write::Block(Block { slot: 5, signing_root: Some([2; 32]) }),
        Write::Attestation(Vote { signing_root: Some([2; 32]), ..vote }),
    ] {
        let mut transaction = store.begin().unwrap();
        let refused = transaction.write(&KEY, &second);
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    }
    let mut transaction = store.begin().unwrap();
    let again = transaction.bind(&[9; 32]);
    assert!(matches!(again, Err(StoreError::Refused { .. })), "{again:?}");
}

#[test]
fn the_settings_that_make_a_commit_durable_are_in_force() {
    // As SQLite reports them.
    let folder = TempDir::new().unwrap();
    let store = open(&folder).unwrap();
    assert_eq!(store.settings().unwrap(), ("wal".to_owned(), 2, "exclusive".to_owned()));
}

fn place(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_file_that_is_something_else_is_an_error_that_names_it() {
    // Text, another program's database, another version, and a page overwritten.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("protection.sqlite");
    let error = |_: ()| SqliteStore::open(&path).err().expect("an error").to_string();
    fs::write(&path, "no database, but a text that is long enough to look like a header").unwrap();
    assert!(error(()).starts_with(&format!("{}: format: ", place(&path))), "{}", error(()));

    fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE chain (id INTEGER)").unwrap();
    drop(other);
    assert!(error(()).contains("application_id: expected 1651272563, found 0"), "{}", error(()));

    fs::remove_file(&path).unwrap();
    drop(SqliteStore::open(&path).unwrap());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 2).unwrap();
    drop(other);
    assert!(error(()).contains("user_version: expected 1, found 2"), "{}", error(()));

    for name in ["protection.sqlite-wal", "protection.sqlite-shm"] {
        let _ = fs::remove_file(folder.path().join(name));
    }
    fs::remove_file(&path).unwrap();
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(ask(&mut store, block(5, 1)), Outcome::Recorded);
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    // The second page begins with the kind of its tree.
    bytes[4096] = 0x77;
    fs::write(&path, bytes).unwrap();
    let text = error(());
    assert!(text.starts_with(&format!("{}: ", place(&path))) && text.contains("damaged"), "{text}");
}

/// Requests and imports of one key, for both stores.
#[derive(Clone, Debug)]
enum Step {
    Sign(Vec<(u8, u8, u8)>),
    Import(Vec<(u8, u8, u8)>, bool),
    Restart,
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut some = || {
            let count = 1 + u8::arbitrary(g) % 4;
            let mut number = |below| u8::arbitrary(g) % below;
            (0..count).map(|_| (number(12), number(13), number(3))).collect::<Vec<_>>()
        };
        let items = some();
        match u8::arbitrary(g) % 8 {
            0 => Self::Restart,
            1 | 2 => Self::Import(items, bool::arbitrary(g)),
            _ => Self::Sign(items),
        }
    }
}

fn request((one, two, root): (u8, u8, u8)) -> Request {
    let signing_root = [root; 32];
    // Twelve stands for "a block".
    let statement = if two == 12 {
        Statement::Block { slot: one.into(), signing_root }
    } else {
        Statement::Attestation { source: one.into(), target: two.into(), signing_root }
    };
    Request { genesis: genesis(), key: KEY, statement }
}

fn records(items: &[(u8, u8, u8)]) -> Records {
    let mut records = Records::default();
    for (one, two, root) in items {
        let signing_root = Some([*root; 32]).filter(|_| *root < 2);
        let (one, two) = (u64::from(*one), u64::from(*two));
        records.blocks.push(Block { slot: one, signing_root });
        records.attestations.push(Vote { source: one, target: two, signing_root });
    }
    records
}

#[test]
fn the_database_answers_and_exports_as_the_store_in_memory_does() {
    // Random steps with restarts; few records are kept.
    fn property(steps: Vec<Step>) -> bool {
        let limits = Limits { blocks: 2, attestations: 3 };
        let folder = TempDir::new().unwrap();
        let mut store = open(&folder).unwrap();
        let mut memory = MemoryStore::default();
        for step in steps {
            match step {
                Step::Restart => {
                    drop(store);
                    store = open(&folder).unwrap();
                }
                Step::Sign(items) => {
                    let requests: Vec<_> = items.into_iter().map(request).collect();
                    let expected = check_and_record(&mut memory, &limits, &requests);
                    if check_and_record(&mut store, &limits, &requests) != expected {
                        return false;
                    }
                }
                Step::Import(items, complete) => {
                    let merge = if complete { Merge::Complete } else { Merge::Raise };
                    let entries = [(KEY, records(&items))];
                    let of_memory =
                        import(&mut memory, &limits, &genesis(), entries.clone(), merge);
                    if import(&mut store, &limits, &genesis(), entries, merge) != of_memory {
                        return false;
                    }
                }
            }
        }
        [true, false].into_iter().all(|minimal| {
            export(&mut store, minimal).unwrap() == export(&mut memory, minimal).unwrap()
        })
    }
    QuickCheck::new().tests(60).quickcheck(property as fn(Vec<Step>) -> bool);
}
