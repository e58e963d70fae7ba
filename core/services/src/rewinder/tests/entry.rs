//! Blocks of a later epoch than their parent's whose proposer no cached state can tell: what it
//! costs to find out (P5 in `load`).

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::scripted::{Call, Calls, Scripted};
use crate::consensus::{Checkpoint, ProposerCheck, Slot, StateOf};
use crate::hot_db::{CommitteesAt, Effect, Event, HotDb, Limits, Prune, StateAt};
use crate::identified::{self, IdentifiedBlock};
use crate::machine::Machine;
use crate::rewinder::load::STEP_SLOTS;
use crate::rewinder::shell::{Hands, Lanes, Ports, Task};
use crate::rewinder::{Answer, Dispatcher, GoesFirst, Job, Lane, Role, StateKey, WorkerEvent};
use crate::supervision::Bare;
use crate::toy::{Toy, ToyBlock, ToyInvalid, ToyState};
use crate::verdict::RejectReason;

/// Parts of a load between the anchor and the epoch of [`FAR`].
const PARTS: usize = 4;
/// The last slot of an epoch that begins so many parts after the anchor.
const FAR: Slot = PARTS as Slot * STEP_SLOTS + 3;
/// Known blocks, more than states are kept that are no checkpoints.
const PARENTS: u8 = FORGED;
/// Blocks from this root on are of another proposer than their slot's, who has signed them.
const FORGED: u8 = 100;

/// The HotDB, which answers at once, and the lanes, from which two workers take blocks: the second
/// takes one whenever the first gives way.
struct Node {
    protocol: Arc<Scripted>,
    hot_db: HotDb<Scripted>,
    lanes: Lanes<Scripted, u8>,
    /// Whether the second worker has a task.
    second: bool,
    /// The roots of blocks, each with its answer.
    answers: Vec<(u8, &'static str)>,
    calls: Calls,
    /// How often a state was advanced.
    advances: Arc<AtomicUsize>,
    /// The states that were claimed.
    claims: Vec<StateKey<u8>>,
}

impl Node {
    /// `at_hand` says whether states have the proposers of their epoch at hand; `passing` is how
    /// many states are kept that are no checkpoints.
    fn new(at_hand: bool, passing: usize) -> Self {
        let (mut protocol, calls) = Scripted::new();
        let advances = Arc::new(AtomicUsize::new(0));
        let counter = advances.clone();
        protocol.load = Box::new(move |_| {
            counter.fetch_add(1, Relaxed);
        });
        protocol.propose = Box::new(|state, block, _| match block.root {
            _ if state.slot / 4 != block.slot / 4 => Ok(ProposerCheck::Signed),
            FORGED.. => Err(ToyInvalid::Proposer),
            _ => Ok(ProposerCheck::Complete),
        });
        if at_hand {
            // A block says that it is of the validator of its slot's number.
            let others = |state: &ToyState| (state.slot / 4 == FAR / 4).then(|| vec![77; 4]);
            protocol.proposers = Box::new(others);
        }
        let limits = Limits { checkpoint_slots: 1, passing_states: passing, ..Limits::default() };
        let hot_db = HotDb::new(&protocol, limits, 0, 0, ToyState::anchor());
        let lanes = Dispatcher::new(64, 8);
        let (protocol, answers, claims) = (Arc::new(protocol), Vec::new(), Vec::new());
        Self { protocol, hot_db, lanes, second: false, answers, calls, advances, claims }
    }

    /// Blocks 1 to 3 at slots 1 to 3. The state of block 1 has made room.
    fn with_chain(at_hand: bool, passing: usize) -> Self {
        let mut node = Self::new(at_hand, passing);
        (1..=3).for_each(|root| node.commit(root, root - 1, root.into()));
        node.pin_head(3);
        node
    }

    /// Only the anchor and this block are pinned from now on.
    fn pin_head(&mut self, head: u8) {
        let finalized = Checkpoint { epoch: 0, root: 0 };
        self.ask(Event::Prune(Prune { finalized, justified: 0, head }));
    }

    /// The anchor and [`PARENTS`] - 1 blocks on it, all of whose states are there. There is room
    /// for fewer passing states.
    fn with_branches(at_hand: bool) -> Self {
        let mut node = Self::new(at_hand, Limits::default().passing_states);
        (1..PARENTS).for_each(|root| node.commit(root, 0, 3));
        node
    }

    fn commit(&mut self, root: u8, parent: u8, slot: Slot) {
        let block = identified::block(&*self.protocol, ToyBlock::new(root, parent, slot));
        let state = ToyState { block: root, slot, ..ToyState::anchor() };
        self.ask(Event::Commit { block, state: StateAt { root, slot, state } });
    }

    /// From now on no block from [`FORGED`] on is of a validator that its parent's state knows.
    /// Any other is of one that the parent has registered.
    fn register_late(&mut self) {
        let protocol = Arc::get_mut(&mut self.protocol).expect("nobody else has it");
        protocol.propose = Box::new(|state, block, whose| match block.root {
            _ if whose == StateOf::Ancestor => Ok(ProposerCheck::Unknown),
            FORGED.. => Err(ToyInvalid::Signature),
            _ if state.slot / 4 != block.slot / 4 => Ok(ProposerCheck::Signed),
            _ => Ok(ProposerCheck::Complete),
        });
    }

    fn ask(&mut self, event: Event<Scripted>) -> Option<WorkerEvent<Scripted>> {
        match self.hot_db.handle(&self.protocol, event).pop()? {
            Effect::Trail(reply) => Some(WorkerEvent::Trail(reply)),
            Effect::Committed(reply) => Some(WorkerEvent::Committed(reply)),
        }
    }

    /// Has these blocks judged; returns their answers, and how often a state was advanced.
    fn judge(&mut self, blocks: &[ToyBlock]) -> (Vec<(u8, &'static str)>, usize) {
        for block in blocks {
            let job = Job::Block(identified::block(&*self.protocol, *block));
            let task = Task::new(&*self.protocol, Lane::Blocks, job, block.root);
            let queued = task.and_then(|task| task.submit(&mut self.lanes));
            assert!(queued.is_ok(), "there is room");
        }
        while self.serve() {}
        assert_eq!(self.lanes.waiting(), 0, "a task waits for a state that nobody loads");
        self.answers.sort_unstable();
        (std::mem::take(&mut self.answers), self.advances.swap(0, Relaxed))
    }

    fn serve(&mut self) -> bool {
        let tasks = self.lanes.pull(Role::General, 0);
        let found = !tasks.is_empty();
        let protocol = self.protocol.clone();
        Hands::default().serve(&*protocol, &Bare, self, tasks);
        found
    }
}

impl Ports<Scripted> for Node {
    type Reply = u8;

    fn trail(&mut self, root: u8, slot: Slot) -> Option<WorkerEvent<Scripted>> {
        self.ask(Event::Trail { root, slot })
    }

    fn committees(&mut self, target: Checkpoint<u8>) -> Option<WorkerEvent<Scripted>> {
        self.ask(Event::Committees { target })
    }

    fn commit(
        &mut self,
        block: IdentifiedBlock<Scripted>,
        state: StateAt<Scripted>,
    ) -> Option<WorkerEvent<Scripted>> {
        self.ask(Event::Commit { block, state })
    }

    fn post_state(&mut self, state: StateAt<Scripted>) {
        self.ask(Event::PostState(state));
    }

    fn post_committees(&mut self, _: CommitteesAt<Scripted>) {}

    fn claim(&mut self, key: StateKey<u8>) -> bool {
        self.claims.push(key);
        self.lanes.claim(key)
    }

    fn requeue(&mut self, tasks: Vec<Task<Scripted, u8>>, after: StateKey<u8>) {
        Task::requeue(tasks, after, &mut self.lanes);
    }

    fn give_way(&mut self, _: GoesFirst) -> bool {
        if !std::mem::replace(&mut self.second, true) {
            self.serve();
            self.second = false;
        }
        true
    }

    fn loaded(&mut self, key: StateKey<u8>) {
        self.lanes.loaded(key);
    }

    fn answer(&mut self, to: u8, answer: Answer<Scripted>) {
        let word = match answer {
            Answer::Block(_) => "ok",
            Answer::Invalid(RejectReason::Check(ToyInvalid::Proposer)) => "proposer",
            Answer::Invalid(RejectReason::Check(ToyInvalid::Signature)) => "signature",
            _ => "another",
        };
        self.answers.push((to, word));
    }
}

fn forged(number: u8, parent: u8, slot: Slot) -> ToyBlock {
    ToyBlock::new(FORGED + number, parent, slot)
}

#[test]
fn forged_blocks_of_one_parent_and_epoch_pay_for_one_advance_together() {
    // Twelve blocks on the anchor by two workers, in the epoch's slots; then twelve more. The HotDB
    // may have been told the proposers of the epoch or not.
    for at_hand in [false, true] {
        let mut node = Node::new(at_hand, 8);
        let blocks: Vec<_> = (0..24).map(|at| forged(at, 0, FAR - u64::from(at % 3))).collect();
        let refused = |blocks: &[ToyBlock]| -> Vec<_> {
            blocks.iter().map(|block| (block.root, "proposer")).collect()
        };
        assert_eq!(node.judge(&blocks[..12]), (refused(&blocks[..12]), PARTS));
        assert_eq!(node.judge(&blocks[12..]), (refused(&blocks[12..]), 0));
        assert_eq!(node.calls.rest(), [], "a forged block was run");
    }
}

#[test]
fn a_good_block_is_run_from_the_state_that_a_forged_one_has_paid_for() {
    // On the anchor, and on a block whose state has to be replayed.
    for (mut node, parent) in [(Node::new(false, 8), 0), (Node::with_chain(false, 8), 1)] {
        let (answers, advances) = node.judge(&[forged(0, parent, FAR)]);
        assert_eq!((answers, advances), (vec![(FORGED, "proposer")], PARTS));
        let good = ToyBlock::new(9, parent, FAR);
        assert_eq!(node.judge(&[good]), (vec![(9, "ok")], 0));
        assert_eq!(node.calls.rest(), [Call::Block(9)]);
    }
}

#[test]
fn forged_blocks_on_an_uncached_parent_are_judged_though_no_passing_state_is_kept() {
    // The parent's state is gone as soon as it was posted, so each block pays, and none waits for
    // what never stays.
    let mut node = Node::with_chain(false, 0);
    let (answers, advances) = node.judge(&[forged(0, 1, FAR), forged(1, 1, FAR)]);
    assert_eq!(answers, [(FORGED, "proposer"), (FORGED + 1, "proposer")]);
    assert_eq!(advances, 2 * PARTS);
}

#[test]
fn a_block_whose_slot_a_state_before_its_epoch_can_tell_claims_and_posts_nothing() {
    // The toy protocol's own blocks, far from the anchor.
    let mut node = Node::new(false, 8);
    let protocol = Arc::get_mut(&mut node.protocol).expect("nobody else has it");
    protocol.propose = Box::new(|_, _, _| Ok(ProposerCheck::Complete));
    assert_eq!(node.judge(&[ToyBlock::new(1, 0, FAR)]).0, [(1, "ok")]);
    // The anchor's state and the block's.
    assert_eq!(node.hot_db.states(), 2);
    assert_eq!(Toy::default().slots_per_epoch, 4);
}

#[test]
fn a_block_whose_proposer_the_hot_db_expects_claims_no_state_of_its_epoch() {
    // The state that the first block is run from tells the proposers, and is not kept.
    let mut node = Node::new(false, 0);
    let protocol = Arc::get_mut(&mut node.protocol).expect("nobody else has it");
    let of_slots =
        |state: &ToyState| (state.slot / 4 == FAR / 4).then(|| (FAR - 3..=FAR).collect());
    protocol.proposers = Box::new(of_slots);
    assert_eq!(node.judge(&[ToyBlock::new(1, 0, FAR)]).0, [(1, "ok")]);
    assert_eq!(std::mem::take(&mut node.claims), [(0, FAR - 3)]);
    assert_eq!(node.judge(&[ToyBlock::new(2, 0, FAR - 1)]).0, [(2, "ok")]);
    assert_eq!(node.claims, []);
}

#[test]
fn a_block_whose_proposer_no_state_can_tell_is_checked_by_its_transition() {
    // Signed, and not; of its parent's epoch, and of a later one.
    let mut node = Node::new(false, 8);
    let protocol = Arc::get_mut(&mut node.protocol).expect("nobody else has it");
    protocol.propose = Box::new(|_, _, _| Ok(ProposerCheck::Unknown));
    let good = [1, 2].map(|root| ToyBlock::new(root, 0, [3, FAR][usize::from(root) - 1]));
    let bad = good.map(|block| ToyBlock { root: block.root + 50, ..block }.badly_signed());
    assert_eq!(node.judge(&good).0, [(1, "ok"), (2, "ok")]);
    assert_eq!(node.judge(&bad).0, [(51, "signature"), (52, "signature")]);
}

/// A forged block of [`FAR`] on each of the parents, and how they are answered.
fn on_each_parent(word: &'static str) -> (Vec<ToyBlock>, Vec<(u8, &'static str)>) {
    let blocks: Vec<_> = (0..PARENTS).map(|parent| forged(parent, parent, FAR)).collect();
    let refused = blocks.iter().map(|block| (block.root, word)).collect();
    (blocks, refused)
}

#[test]
fn blocks_of_an_index_that_nobody_has_advance_no_state() {
    // On a hundred blocks, twice; on a parent whose state has to be replayed, by two workers.
    let mut node = Node::with_branches(true);
    node.register_late();
    let (blocks, refused) = on_each_parent("signature");
    for chunk in blocks.chunks(25).chain(blocks.chunks(25)) {
        let from = usize::from(chunk[0].root - FORGED);
        assert_eq!(node.judge(chunk), (refused[from..from + chunk.len()].to_vec(), 0));
    }
    // Where nothing that is pinned builds on the parent, its own state is replayed. The HotDB keeps
    // that beside three others, or has no room for it.
    for (passing, states) in [(8, 4), (0, 3)] {
        let mut node = Node::with_chain(true, passing);
        node.pin_head(0);
        node.register_late();
        let two = [forged(0, 1, FAR), forged(1, 1, FAR)];
        assert_eq!(node.judge(&two), (refused[..2].to_vec(), 0));
        assert_eq!((node.hot_db.states(), node.calls.rest()), (states, vec![]));
    }
}

#[test]
fn blocks_of_an_index_that_nobody_has_replay_nothing_on_old_parents_of_the_head() {
    // A chain of 32 blocks, most of whose states are gone. On each of the first 24 a block of such
    // an index, twice, and one whose proposer is registered later than its parent.
    let mut node = Node::new(false, 8);
    (1..=32).for_each(|root| node.commit(root, root - 1, root.into()));
    node.pin_head(32);
    let replayed = Arc::new(AtomicUsize::new(0));
    let counter = replayed.clone();
    let protocol = Arc::get_mut(&mut node.protocol).expect("nobody else has it");
    protocol.claims = Box::new(move |block| {
        counter.fetch_add(1, Relaxed);
        Some(block.root)
    });
    node.register_late();
    let states = node.hot_db.states();
    assert!(states < 16, "most states are gone: {states}");
    let blocks: Vec<_> = (0..24).map(|at| forged(at, at + 1, FAR)).collect();
    let refused: Vec<_> = blocks.iter().map(|block| (block.root, "signature")).collect();
    for _ in 0..2 {
        assert_eq!(node.judge(&blocks), (refused.clone(), 0));
    }
    assert_eq!((replayed.load(Relaxed), node.hot_db.states()), (0, states));
    assert_eq!(node.calls.rest(), [], "a forged block was run");
    // What a state on top of the parent knows is not the parent's knowledge.
    let protocol = Arc::get_mut(&mut node.protocol).expect("nobody else has it");
    protocol.propose = Box::new(|_, _, whose| match whose {
        StateOf::Ancestor => Ok(ProposerCheck::Unknown),
        StateOf::Parent => Err(ToyInvalid::Signature),
        StateOf::Descendant => Ok(ProposerCheck::Signed),
    });
    assert_eq!(node.judge(&blocks[..1]), (refused[..1].to_vec(), 0));
    assert_eq!(replayed.load(Relaxed), 1);
}

#[test]
fn a_block_is_run_whose_proposer_its_parent_has_registered() {
    // The trail starts from the anchor's state, which does not know the proposer of a block on
    // block 1, in a later epoch and in block 1's own.
    for (slot, advances) in [(FAR, PARTS), (3, 0)] {
        let mut node = Node::with_chain(false, 8);
        node.register_late();
        assert_eq!(node.judge(&[ToyBlock::new(9, 1, slot)]), (vec![(9, "ok")], advances));
        assert_eq!(node.calls.rest(), [Call::Block(9)]);
    }
}

#[test]
fn one_registered_key_has_each_branch_advanced_once_for_an_epoch() {
    // On a hundred blocks, twice: the passing states of the first have made room by then, and the
    // lists of proposers have not.
    let mut node = Node::with_branches(true);
    let (blocks, refused) = on_each_parent("proposer");
    let mut rounds = [0, 0];
    for round in &mut rounds {
        for chunk in blocks.chunks(25) {
            let from = usize::from(chunk[0].root - FORGED);
            let (answers, advances) = node.judge(chunk);
            assert_eq!(answers, refused[from..from + chunk.len()]);
            *round += advances;
        }
    }
    assert_eq!(rounds, [usize::from(PARENTS) * PARTS, 0]);
    assert_eq!(node.calls.rest(), [], "a forged block was run");
}
