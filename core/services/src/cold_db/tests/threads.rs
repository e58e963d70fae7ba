//! The running services with a store, on real threads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use blocksmith_sync::Std;

use super::empty;
use crate::blocksmith::StartError;
use crate::consensus::{Checkpoint, Slot};
use crate::notice::Notice;
use crate::store::{FinalizedBlock, Loaded, MemoryStore, Store, StoreError, Write};
use crate::supervision::{Fault, Injection, ServiceName, When};
use crate::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use crate::{Anchor, Blocksmith, Config, NoticeReceiver, ReadError};

/// A store that outlives the services that write to it.
#[derive(Clone)]
struct Kept(Arc<Mutex<MemoryStore<Toy>>>);

impl Kept {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(empty())))
    }
}

impl Store<Toy> for Kept {
    fn load(&mut self) -> Result<Option<Loaded<Toy>>, StoreError> {
        self.0.lock().expect("nobody panics with it").load()
    }

    fn commit(&mut self, writes: &[Write<Toy>]) -> Result<(), StoreError> {
        self.0.lock().expect("nobody panics with it").commit(writes)
    }

    fn by_range(
        &mut self,
        start: Slot,
        end: Slot,
        at_most: usize,
    ) -> Result<Vec<FinalizedBlock<Toy>>, StoreError> {
        self.0.lock().expect("nobody panics with it").by_range(start, end, at_most)
    }

    fn by_root(&mut self, root: ToyRoot) -> Result<Option<ToyBlock>, StoreError> {
        self.0.lock().expect("nobody panics with it").by_root(root)
    }
}

type Started = (Blocksmith<Std, Toy>, NoticeReceiver<Std, Toy>);

fn start(store: &Kept, faults: Vec<Injection<Std>>) -> Started {
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let (config, toy) = (Config { workers: 1, ..Config::default() }, Arc::new(Toy::default()));
    let store = Box::new(store.clone());
    Blocksmith::start_durable_with_faults(config, toy, anchor, faults, store).expect("it starts")
}

/// Submits a chain in which block 3 finalises block 2, and waits until all is at rest.
fn submit(blocksmith: &Blocksmith<Std, Toy>) {
    let client = blocksmith.client();
    client.tick(10, Duration::ZERO);
    let finalizes = Some(Checkpoint { epoch: 1, root: 2 });
    let blocks = [
        ToyBlock::new(1, 0, 3),
        ToyBlock::new(2, 1, 4),
        ToyBlock { finalizes, ..ToyBlock::new(3, 2, 5) },
        ToyBlock::new(4, 3, 6),
    ];
    for block in blocks {
        let _ = client.submit_block(block, 0, 1).wait();
    }
    client.rest();
}

#[test]
fn services_that_are_started_again_go_on_and_serve_what_is_final() {
    // Finality is told as durable; blocks are served by slot and root; a restart knows them all.
    let store = Kept::new();
    let (first, mut notices) = start(&store, Vec::new());
    assert_eq!(first.resumed(), None);
    submit(&first);
    let told = std::iter::from_fn(|| notices.try_recv().ok());
    let durable = Notice::Durable(Checkpoint { epoch: 1, root: 2 });
    assert_eq!(told.filter(|notice| *notice == durable).count(), 1);
    let client = first.client().clone();
    let range = client.blocks_by_range(0, 1024).expect("there is a store");
    assert_eq!(range.iter().map(|found| found.root).collect::<Vec<_>>(), [1, 2]);
    let found = client.blocks_by_root(&[2, 4, 9]).expect("there is a store");
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(client.blocks_by_range(0, 1025), Err(ReadError::TooMany { asked: 1025 }));
    assert_eq!(client.blocks_by_root(&[0; 1025]), Err(ReadError::TooMany { asked: 1025 }));
    assert_eq!(client.blocks_by_root(&[9; 1024]).map(|found| found.len()), Ok(1024));
    let view = client.view();
    assert_eq!(first.stop().panicked, Vec::<String>::new());
    assert_eq!(client.blocks_by_range(0, 1), Err(ReadError::Gone));

    let (second, _notices) = start(&store, Vec::new());
    assert_eq!(second.resumed().map(|resumed| (resumed.head, resumed.slot)), Some((4, 10)));
    assert_eq!(second.client().view(), view);
    let copy = second.client().submit_block(ToyBlock::new(4, 3, 6), 0, 1).wait();
    assert_eq!(copy.reason(), "duplicate");
    let next = second.client().submit_block(ToyBlock::new(5, 4, 7), 0, 1).wait();
    assert_eq!(next.class(), "valid");
}

#[test]
fn without_a_store_nothing_is_served() {
    // The default of the library.
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let started = Blocksmith::<Std, Toy>::start(Config::default(), Arc::default(), anchor);
    let (blocksmith, _notices) = started.expect("it starts");
    assert_eq!(blocksmith.client().blocks_by_range(0, 1), Err(ReadError::NoStore));
    assert_eq!(blocksmith.client().blocks_by_root(&[0]), Err(ReadError::NoStore));
}

#[test]
fn a_record_that_a_panic_takes_ends_the_writing_and_is_told() {
    // The ColdDB's third message is lost; the services go on, and a restart goes on from before it.
    let store = Kept::new();
    let panic = Injection { service: ServiceName::ColdDb, when: When::At(3), fault: Fault::Panic };
    let (first, mut notices) = start(&store, vec![panic]);
    submit(&first);
    assert_eq!(first.client().view().map(|view| view.head), Some(4));
    let told: Vec<_> = std::iter::from_fn(|| notices.try_recv().ok()).collect();
    assert!(told.contains(&Notice::StoreFailed(Box::new(StoreError::Gap))), "{told:?}");
    first.stop();
    let (second, _notices) = start(&store, Vec::new());
    assert_eq!(second.resumed().map(|resumed| resumed.head), Some(1));
    submit(&second);
    assert_eq!(second.client().view().map(|view| view.head), Some(4));
}

/// A store on a disk that is full.
struct Full;

impl Store<Toy> for Full {
    fn load(&mut self) -> Result<Option<Loaded<Toy>>, StoreError> {
        Ok(None)
    }

    fn commit(&mut self, _: &[Write<Toy>]) -> Result<(), StoreError> {
        Err(StoreError::Full { place: "memory".into(), reason: "no room".into() })
    }

    fn by_range(
        &mut self,
        _: Slot,
        _: Slot,
        _: usize,
    ) -> Result<Vec<FinalizedBlock<Toy>>, StoreError> {
        Ok(Vec::new())
    }

    fn by_root(&mut self, _: ToyRoot) -> Result<Option<ToyBlock>, StoreError> {
        Ok(None)
    }
}

#[test]
fn a_store_that_cannot_take_the_anchor_is_refused_at_the_start() {
    // Nothing is started, so that nothing is lost.
    let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
    let config = Config { workers: 1, ..Config::default() };
    let started =
        Blocksmith::<Std, Toy>::start_durable(config, Arc::default(), anchor, Box::new(Full));
    assert!(matches!(started.err(), Some(StartError::Store(StoreError::Full { .. }))));
}
