//! Questions about stored blocks: they hold up no record, and each has its answer.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn, yield_now};
use std::time::Duration;

use blocksmith_sync::Std;
use quickcheck::quickcheck;

use super::empty;
use crate::cold_db::reads::{self, CHUNK, QUESTIONS, Question, RangeReply, Reading, RootsReply};
use crate::consensus::Slot;
use crate::store::{
    FinalizedBlock, Loaded, MAX_REQUEST_BLOCKS, MemoryStore, Store, StoreError, Write,
};
use crate::toy::{Toy, ToyBlock, ToyRoot, ToyState};
use crate::{Anchor, Blocksmith, Client, Config, ReadError};

/// What a store was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Did {
    /// It committed these blocks, at least one.
    Committed(Vec<ToyRoot>),
    /// It read as many.
    Read(usize),
}

/// Where a store waits for the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Reads,
    Commits,
}

/// Returns the finalised block of a slot in a chain that has one in each.
fn finalized(slot: Slot) -> FinalizedBlock<Toy> {
    let root = ToyRoot::try_from(slot % 256).expect("small");
    FinalizedBlock { slot, root, block: ToyBlock::new(root, root.wrapping_sub(1), slot) }
}

/// A store with a finalised block in every slot. It tells of each read that begins, or of each
/// commit of a block, and does not go on before the test lets it.
struct Gated {
    gate: Gate,
    blocks: MemoryStore<Toy>,
    log: Arc<Mutex<Vec<Did>>>,
    begins: Sender<()>,
    go: Receiver<()>,
}

impl Gated {
    fn did(&self, what: Did, at: Gate) {
        self.log.lock().expect("nobody panics with it").push(what);
        if at == self.gate {
            // A test that is done with the gate has dropped its ends.
            let _ = self.begins.send(());
            let _ = self.go.recv();
        }
    }
}

impl Store<Toy> for Gated {
    fn load(&mut self) -> Result<Option<Loaded<Toy>>, StoreError> {
        self.blocks.load()
    }

    fn commit(&mut self, writes: &[Write<Toy>]) -> Result<(), StoreError> {
        let root = |write: &Write<Toy>| match write {
            Write::Block { root, .. } => Some(*root),
            _ => None,
        };
        let roots: Vec<_> = writes.iter().filter_map(root).collect();
        if !roots.is_empty() {
            self.did(Did::Committed(roots), Gate::Commits);
        }
        self.blocks.commit(writes)
    }

    fn by_range(
        &mut self,
        start: Slot,
        end: Slot,
        at_most: usize,
    ) -> Result<Vec<FinalizedBlock<Toy>>, StoreError> {
        let found: Vec<_> = (start..end).take(at_most).map(finalized).collect();
        self.did(Did::Read(found.len()), Gate::Reads);
        Ok(found)
    }

    fn by_root(&mut self, root: ToyRoot) -> Result<Option<ToyBlock>, StoreError> {
        self.did(Did::Read(1), Gate::Reads);
        self.blocks.by_root(root)
    }
}

/// The services over a [`Gated`] store, at slot 20.
struct Node {
    blocksmith: Blocksmith<Std, Toy>,
    log: Arc<Mutex<Vec<Did>>>,
    begins: Receiver<()>,
    go: Sender<()>,
}

impl Node {
    fn start(gate: Gate) -> Self {
        let (log, (begin, begins), (go, may_go)) = (Arc::default(), channel(), channel());
        let store =
            Gated { gate, blocks: empty(), log: Arc::clone(&log), begins: begin, go: may_go };
        let anchor = Anchor { root: 0, slot: 0, state: ToyState::anchor() };
        let config = Config { workers: 1, ..Config::default() };
        let started =
            Blocksmith::start_durable(config, Arc::new(Toy::default()), anchor, Box::new(store));
        let (blocksmith, _notices) = started.expect("it starts");
        blocksmith.client().tick(20, Duration::ZERO);
        blocksmith.client().rest();
        Self { blocksmith, log, begins, go }
    }

    fn client(&self) -> &Client<Std, Toy> {
        self.blocksmith.client()
    }

    /// Asks for the first `count` slots, on a thread of its own.
    fn ask(&self, count: usize) -> JoinHandle<Result<Vec<FinalizedBlock<Toy>>, ReadError>> {
        let client = self.client().clone();
        spawn(move || client.blocks_by_range(0, count as u64))
    }

    /// Returns once `questions` wait behind the one that is being read for.
    fn wait_for(&self, questions: usize) {
        let waiting = || self.client().counters().cold_db_questions.expect("a store").depth;
        while waiting() < questions as u64 {
            yield_now();
        }
    }

    /// Has the block `root` of a chain judged. Its record is then queued for the ColdDB.
    fn import(&self, root: ToyRoot) {
        let block = ToyBlock::new(root, root - 1, u64::from(root));
        let verdict = self.client().submit_block(block, 0, 1).wait();
        assert_eq!(verdict.class(), "valid");
    }
}

#[test]
fn a_record_waits_for_one_chunk_whatever_is_asked() {
    // Three ask for all they may. A block is imported during each of the first ten reads.
    let node = Node::start(Gate::Reads);
    let asked: Vec<_> = (0..3).map(|_| node.ask(MAX_REQUEST_BLOCKS)).collect();
    let mut expected = Vec::new();
    for root in 1..=10 {
        node.begins.recv().expect("the store lives");
        if root == 1 {
            node.wait_for(2);
        }
        node.import(root);
        node.go.send(()).expect("the store lives");
        expected.extend([Did::Read(CHUNK), Did::Committed(vec![root])]);
    }
    let Node { blocksmith, log, begins, go } = node;
    drop((begins, go));
    let whole: Vec<_> = (0..MAX_REQUEST_BLOCKS as u64).map(finalized).collect();
    for asked in asked {
        assert_eq!(asked.join().expect("no panic"), Ok(whole.clone()));
    }
    blocksmith.stop();
    let log = log.lock().expect("nobody panics with it");
    assert_eq!(log.iter().take(20).cloned().collect::<Vec<_>>(), expected);
    let chunks = 3 * MAX_REQUEST_BLOCKS / CHUNK;
    assert_eq!(log.iter().filter(|did| **did == Did::Read(CHUNK)).count(), chunks);
}

#[test]
fn a_question_is_answered_with_what_was_recorded_before_it() {
    // Blocks come while the store commits another; then somebody asks for the newest of them.
    let node = Node::start(Gate::Commits);
    node.import(1);
    node.begins.recv().expect("the store lives");
    (2..=3).for_each(|root| node.import(root));
    let client = node.client().clone();
    let second = spawn(move || client.blocks_by_root(&[3, 9]));
    node.wait_for(1);
    let Node { blocksmith, begins, go, .. } = node;
    drop((begins, go));
    let found = second.join().expect("no panic").expect("there is a store");
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    blocksmith.stop();
}

#[test]
fn a_question_too_many_is_answered_at_once_and_a_stop_answers_those_that_wait() {
    // The lane is full while the store reads a chunk. The services stop before the read ends.
    let node = Node::start(Gate::Reads);
    let first = node.ask(MAX_REQUEST_BLOCKS);
    node.begins.recv().expect("the store lives");
    let waiting: Vec<_> = (0..QUESTIONS).map(|_| node.ask(MAX_REQUEST_BLOCKS)).collect();
    node.wait_for(QUESTIONS);
    let client = node.client().clone();
    assert_eq!(client.blocks_by_range(0, 1), Err(ReadError::Busy));
    assert_eq!(client.blocks_by_root(&[1]), Err(ReadError::Busy));
    node.import(1);
    let Node { blocksmith, log, begins, go } = node;
    let stopped = spawn(move || blocksmith.stop());
    while client.blocks_by_range(0, 1) == Err(ReadError::Busy) {
        yield_now();
    }
    assert_eq!(client.blocks_by_range(0, 1), Err(ReadError::Gone));
    drop((begins, go));
    for asked in [first].into_iter().chain(waiting) {
        assert_eq!(asked.join().expect("no panic"), Err(ReadError::Gone));
    }
    let report = stopped.join().expect("no panic");
    assert_eq!(report.panicked, Vec::<String>::new());
    let cold_db = report.pending.last().map(|pending| pending.queued);
    assert!(cold_db.is_some_and(|queued| queued > QUESTIONS as u64), "{cold_db:?}");
    // The last record is in the store, and one chunk more was read behind it.
    let log = log.lock().expect("nobody panics with it").clone();
    assert_eq!(log, [Did::Read(CHUNK), Did::Committed(vec![1]), Did::Read(CHUNK)]);
}

/// Finalised blocks in some slots, and what was answered.
#[derive(Default)]
struct Chain {
    slots: Vec<Slot>,
    /// The reads that succeed before one fails.
    whole: Option<usize>,
    largest: usize,
    ranges: Vec<RangeReply<Toy>>,
    roots: Vec<RootsReply<Toy>>,
}

fn broken() -> StoreError {
    StoreError::Io { place: "memory".into(), reason: "it says so".into() }
}

impl Chain {
    fn of(slots: impl IntoIterator<Item = Slot>) -> Self {
        Self { slots: slots.into_iter().collect(), ..Self::default() }
    }

    fn read(&mut self, blocks: usize) -> Result<(), StoreError> {
        self.largest = self.largest.max(blocks);
        match &mut self.whole {
            Some(0) => Err(broken()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Reads until there is an answer; returns how many chunks that took.
    fn answer(&mut self, question: Question<Toy, (), ()>) -> usize {
        let (mut in_hand, mut chunks) = (Some(Reading::from(question)), 0);
        while let Some(reading) = in_hand {
            in_hand = reads::read(self, reading);
            chunks += 1;
        }
        assert_eq!(self.ranges.len() + self.roots.len(), 1, "one answer");
        assert!(self.largest <= CHUNK && chunks <= MAX_REQUEST_BLOCKS / CHUNK + 1);
        chunks
    }

    fn range(slots: impl IntoIterator<Item = Slot>, start: Slot, count: u64) -> (Vec<Slot>, usize) {
        let mut chain = Self::of(slots);
        let chunks = chain.answer(Question::Range { start, count, reply: () });
        let found = chain.ranges.remove(0).expect("nothing fails");
        (found.into_iter().map(|found| found.slot).collect(), chunks)
    }
}

impl reads::Ports<Toy> for Chain {
    type Range = ();
    type Roots = ();

    fn read_range(&mut self, start: Slot, end: Slot, at_most: usize) -> RangeReply<Toy> {
        let within = self.slots.iter().filter(|slot| (start..end).contains(*slot)).take(at_most);
        let found: Vec<_> = within.map(|slot| finalized(*slot)).collect();
        self.read(found.len()).map(|()| found)
    }

    fn read_roots(&mut self, roots: &[ToyRoot]) -> RootsReply<Toy> {
        self.read(roots.len())?;
        Ok(roots.iter().map(|root| Some(ToyBlock::new(*root, 0, 1))).collect())
    }

    fn range(&mut self, (): (), reply: RangeReply<Toy>) {
        self.ranges.push(reply);
    }

    fn roots(&mut self, (): (), reply: RootsReply<Toy>) {
        self.roots.push(reply);
    }
}

quickcheck! {
    fn chunks_together_are_the_range(gaps: Vec<u8>, start: u16, count: u16) -> bool {
        // A chain with up to three empty slots after each block, and any part of it.
        let slots: Vec<_> = (0..4_000).filter(|slot| {
            let gap = gaps.get(*slot as usize % gaps.len().max(1)).copied().unwrap_or(1);
            slot % (u64::from(gap % 4) + 1) == 0
        }).collect();
        let (start, count) = (u64::from(start % 4_200), u64::from(count % 1_025));
        let wanted: Vec<_> =
            slots.iter().copied().filter(|slot| (start..start + count).contains(slot)).collect();
        Chain::range(slots, start, count).0 == wanted
    }
}

#[test]
fn a_range_ends_with_its_slots_with_the_chain_or_with_the_largest_answer() {
    // Each end, exactly at the end of a chunk and beside it.
    let chunk = CHUNK as u64;
    let whole = MAX_REQUEST_BLOCKS as u64;
    assert_eq!(Chain::range(0..9_000, 5, chunk), ((5..5 + chunk).collect(), 1));
    assert_eq!(Chain::range(0..9_000, 5, chunk + 1), ((5..6 + chunk).collect(), 2));
    assert_eq!(Chain::range(0..chunk, 0, 2 * chunk), ((0..chunk).collect(), 2));
    assert_eq!(Chain::range(0..chunk - 1, 0, 2 * chunk), ((0..chunk - 1).collect(), 1));
    let chunks = MAX_REQUEST_BLOCKS / CHUNK;
    assert_eq!(Chain::range(0..9_000, 3, whole + 7), ((3..3 + whole).collect(), chunks));
    assert_eq!(Chain::range([Slot::MAX - 1], Slot::MAX - 1, 9), (vec![Slot::MAX - 1], 1));
    assert_eq!(Chain::range(0..9, 4, 0), (Vec::new(), 1));
}

#[test]
fn roots_are_answered_in_their_order_and_those_beyond_the_largest_request_left_out() {
    // None, one chunk, one more than a chunk, and too many.
    for (asked, chunks) in [(0, 1), (CHUNK, 1), (CHUNK + 1, 2), (2_000, 32)] {
        let roots: Vec<_> = (0..asked).map(|root| (root % 256) as ToyRoot).collect();
        let mut chain = Chain::default();
        assert_eq!(chain.answer(Question::Roots { roots: roots.clone(), reply: () }), chunks);
        let found = chain.roots.remove(0).expect("nothing fails");
        let found: Vec<_> = found.iter().flatten().map(|block| block.root).collect();
        assert_eq!(found, roots[..asked.min(MAX_REQUEST_BLOCKS)]);
    }
}

#[test]
fn the_first_error_of_the_store_is_the_answer() {
    // The second chunk cannot be read.
    let failing = || Chain { whole: Some(1), ..Chain::of(0..100) };
    let (mut range, mut roots) = (failing(), failing());
    assert_eq!(range.answer(Question::Range { start: 0, count: 100, reply: () }), 2);
    assert_eq!(range.ranges, [Err(broken())]);
    assert_eq!(roots.answer(Question::Roots { roots: vec![1; 100], reply: () }), 2);
    assert_eq!(roots.roots, [Err(broken())]);
}
