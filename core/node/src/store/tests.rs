//! The store in a file, over the toy protocol: what is written is read, and whatever is done to the
//! file, the answer is right or an error.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use blocksmith::consensus::Checkpoint;
use blocksmith::gossip::Operation;
use blocksmith::hot_db::StateAt;
use blocksmith::store::{Entry, FinalizedBlock, Loaded, Point, Store, StoreError, Write};
use blocksmith::toy::{
    Toy, ToyAttestation, ToyAttesterSlashing, ToyBlock, ToyOperation, ToySlashing, ToyState,
};
use tempfile::TempDir;

use super::{FILE, NEW_FILE, RedbStore};

const ROOT: Checkpoint<u8> = Checkpoint { epoch: 1, root: 1 };

fn open(folder: &Path) -> Result<RedbStore<Toy>, StoreError> {
    RedbStore::open(folder, Arc::new(Toy::default()), &0)
}

const GIVEN: ToyOperation = ToyOperation { id: 9, validators: 0b10, signed: true, valid: true };
const OTHER_BLOCK: ToyBlock = ToyBlock::new(4, 1, 4);

fn operation(number: u64, operation: Operation<Toy>) -> Write<Toy> {
    Write::Entry { number, entry: Entry::Operation { operation, validators: vec![1, 300] } }
}

fn writes() -> Vec<Write<Toy>> {
    let attestation = ToyAttestation {
        id: 7,
        slot: 4,
        head: 2,
        target: Checkpoint { epoch: 1, root: 1 },
        validator: 3,
        valid: true,
    };
    let blocks = [ToyBlock::new(3, 1, 4), ToyBlock { finalizes: Some(ROOT), ..OTHER_BLOCK }];
    let attestations = [attestation, ToyAttestation { id: 8, ..attestation }];
    let slashing = ToyAttesterSlashing { attestations, indices: [vec![3, 9], vec![3]] };
    vec![
        Write::Block { root: 1, block: ToyBlock::new(1, 0, 3) },
        Write::Block {
            root: 2,
            block: ToyBlock { finalizes: Some(ROOT), ..ToyBlock::new(2, 1, 4) },
        },
        Write::State(StateAt {
            root: 1,
            slot: 3,
            state: ToyState { block: 1, slot: 3, checkpoint: ROOT },
        }),
        Write::Entry { number: 2, entry: Entry::Tick { slot: 4 } },
        Write::Entry { number: 3, entry: Entry::Block { root: 2, timely: true } },
        Write::Entry { number: 4, entry: Entry::Attestation { attestation, indices: vec![3, 9] } },
        Write::Entry { number: 5, entry: Entry::Equivocation { indices: vec![2, 4] } },
        operation(6, Operation::VoluntaryExit(GIVEN)),
        operation(7, Operation::ProposerSlashing(ToySlashing::Given(GIVEN))),
        operation(8, Operation::ProposerSlashing(ToySlashing::Of(Arc::new(blocks)))),
        operation(9, Operation::AttesterSlashing(ToySlashing::Given(GIVEN))),
        operation(10, Operation::AttesterSlashing(ToySlashing::Of(Arc::new(slashing)))),
        Write::Finalized { slot: 3, root: 1 },
        Write::Passed { number: 0, root: 0 },
        Write::Point(Point { checkpoint: ROOT, slot: 3, number: 1 }),
    ]
}

/// Everything that a store tells.
type Content = (Option<Loaded<Toy>>, Vec<FinalizedBlock<Toy>>, Option<ToyBlock>);

fn content(store: &mut RedbStore<Toy>) -> Result<Content, StoreError> {
    Ok((store.load()?, store.by_range(0, 100, 10)?, store.by_root(2)?))
}

#[test]
fn what_is_written_is_there_after_it_was_opened_again() {
    // Every kind of write; the memory's store says what to expect.
    let folder = TempDir::new().expect("a temporary folder");
    let mut expected = blocksmith::store::MemoryStore::new(10);
    expected.commit(&writes()).expect("the memory holds");
    let mut store = open(folder.path()).expect("a new store");
    assert_eq!(store.load(), Ok(None));
    store.commit(&writes()).expect("there is room");
    drop(store);
    let mut store = open(folder.path()).expect("it is whole");
    assert_eq!(store.load(), expected.load());
    assert_eq!(store.by_range(0, 100, 10), expected.by_range(0, 100, 10));
    assert_eq!(store.by_range(0, 100, 0), Ok(Vec::new()));
    assert_eq!(store.by_range(4, 3, 10), Ok(Vec::new()));
    assert_eq!((store.by_root(2), store.by_root(9)), (expected.by_root(2), Ok(None)));
    let forget = [
        Write::ForgetEntry(3),
        Write::ForgetBlock(2),
        Write::ForgetPassed(0),
        Write::ForgetState(9),
    ];
    store.commit(&forget).expect("there is room");
    expected.commit(&forget).expect("the memory holds");
    assert_eq!(store.load(), expected.load());
    store.commit(&[Write::ForgetState(1)]).expect("there is room");
    let error = store.load().expect_err("the state is missing").to_string();
    assert!(error.contains(FILE) && error.contains("states 1: missing"), "{error}");
}

#[test]
fn a_folder_that_is_in_use_is_refused() {
    // Two stores in one folder; the second may open it once the first is gone.
    let folder = TempDir::new().expect("a temporary folder");
    let first = open(folder.path()).expect("a new store");
    let error = open(folder.path()).err();
    assert!(matches!(error, Some(StoreError::InUse { .. })), "{error:?}");
    drop(first);
    assert!(open(folder.path()).is_ok());
}

#[test]
fn a_store_of_another_chain_or_configuration_is_named() {
    // Another genesis, another number of validators.
    let folder = TempDir::new().expect("a temporary folder");
    drop(open(folder.path()).expect("a new store"));
    let other = RedbStore::open(folder.path(), Arc::new(Toy::default()), &5).err();
    let other = other.expect("another genesis").to_string();
    assert!(other.contains("genesis: expected 5, found 0"), "{other}");
    let toy = Toy { validators: 9, ..Toy::default() };
    let other = RedbStore::open(folder.path(), Arc::new(toy), &0).err();
    let other = other.expect("another protocol").to_string();
    assert!(other.contains("protocol: expected validators=9, found validators=4"), "{other}");
}

#[test]
fn a_store_whose_making_was_interrupted_is_made_anew() {
    // Half a file under the name that a new store has.
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join(NEW_FILE), [7; 5000]).expect("written");
    assert!(open(folder.path()).is_ok_and(|mut store| store.load() == Ok(None)));
    assert!(!folder.path().join(NEW_FILE).exists());
}

/// Opens a damaged copy: an error that names the file, or the content as it was written.
fn right_or_refused(bytes: &[u8], expected: &Content, what: &str) -> bool {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join(FILE), bytes).expect("written");
    match open(folder.path()).and_then(|mut store| content(&mut store)) {
        Ok(found) => {
            assert_eq!(found, *expected, "{what}");
            false
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(FILE), "{what}: {text}");
            true
        }
    }
}

/// Returns the bytes of a store that was closed in order, and its content.
fn whole() -> (Vec<u8>, Content) {
    let folder = TempDir::new().expect("a temporary folder");
    let mut store = open(folder.path()).expect("a new store");
    store.commit(&writes()).expect("there is room");
    let content = content(&mut store).expect("it is whole");
    drop(store);
    (fs::read(folder.path().join(FILE)).expect("it is there"), content)
}

#[test]
fn a_flipped_byte_is_an_error_or_changes_nothing() {
    // One byte in every 151 is altered, one at a time; the file's own header more densely.
    let (bytes, expected) = whole();
    let places = (0..512).step_by(5).chain((512..bytes.len()).step_by(151));
    let mut refused = 0;
    for place in places {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x41;
        refused += usize::from(right_or_refused(&damaged, &expected, &format!("byte {place}")));
    }
    assert!(refused > 20, "only {refused} were noticed, so the test altered nothing that counts");
}

#[test]
fn a_flipped_byte_in_a_commit_slot_of_a_file_that_was_not_closed_never_brings_back_the_past() {
    // The file is copied while it is open, after each of two batches more, so that each of redb's
    // two slots of 128 bytes is the newest once. Every byte of both is altered, one at a time.
    let folder = TempDir::new().expect("a temporary folder");
    let mut store = open(folder.path()).expect("a new store");
    store.commit(&writes()).expect("there is room");
    for slot in 5..7 {
        let entry = Entry::Tick { slot };
        store.commit(&[Write::Entry { number: slot + 1, entry }]).expect("there is room");
        let expected = content(&mut store).expect("it is whole");
        let bytes = fs::read(folder.path().join(FILE)).expect("it is there");
        assert!(!right_or_refused(&bytes, &expected, "an intact copy"));
        let mut refused = 0;
        for place in 64..320 {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x41;
            let what = format!("byte {place} after slot {slot}");
            refused += usize::from(right_or_refused(&damaged, &expected, &what));
        }
        assert!(refused > 40, "only {refused} were noticed");
    }
}

#[test]
fn a_file_that_was_cut_short_is_an_error_or_changes_nothing() {
    // Cuts over the whole length, and no file at all but its name.
    let (bytes, expected) = whole();
    let mut refused = 0;
    for length in (1..bytes.len()).step_by(bytes.len() / 40) {
        let what = format!("cut to {length}");
        refused += usize::from(right_or_refused(&bytes[..length], &expected, &what));
    }
    assert!(refused > 10, "{refused}");
    assert!(right_or_refused(&[], &expected, "an empty file"));
}
