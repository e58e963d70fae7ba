//! The machine against a HotDB and a worker that answer at once, or only when the test says so.

mod chains;
mod finality;
mod gossip;
mod payload;
mod shares;
mod sharing;

use std::collections::{BTreeMap, VecDeque};

use super::{Effect, Event, Item, ItemId, Limits, Quarantine, RequestId};
use crate::consensus::Checkpoint;
use crate::hot_db::{self, HotDb};
use crate::machine::Machine;
use crate::rewinder::{Answer, Job, Lane, Worker, WorkerEffect, WorkerEvent};
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyState};
use crate::verdict::{PendingReason, Quarantined};

/// A Quarantine with everything below it, in one thread.
struct Node {
    toy: Toy,
    machine: Quarantine<Toy>,
    hot_db: HotDb<Toy>,
    /// Requests that are not answered yet.
    checks: BTreeMap<RequestId, Job<Toy>>,
    /// The lane of each request.
    lanes: Vec<Lane>,
    /// Class and reason of every verdict, by submission.
    verdicts: BTreeMap<ItemId, Vec<(&'static str, &'static str)>>,
    parked: Vec<(ItemId, PendingReason)>,
    needed: Vec<u8>,
    needed_payloads: Vec<u8>,
    /// Payloads that Clearance was told of.
    payloads: Vec<u8>,
    cleared: Vec<u8>,
    /// Ids of the gossip votes that Clearance was given.
    votes: Vec<u8>,
    /// The head as Clearance would tell it.
    head: u8,
    /// Items on the way into Clearance, which answers as soon as the event is through.
    imports: VecDeque<RequestId>,
    next: ItemId,
}

impl Node {
    fn new(limits: Limits) -> Self {
        let toy = Toy::default();
        let anchor = Checkpoint { epoch: 0, root: 0 };
        let hot_db = HotDb::new(&toy, hot_db::Limits::default(), 0, 0, ToyState::anchor());
        let mut node = Self {
            toy,
            machine: Quarantine::new(limits, anchor, 0),
            hot_db,
            checks: BTreeMap::new(),
            lanes: Vec::new(),
            verdicts: BTreeMap::new(),
            parked: Vec::new(),
            needed: Vec::new(),
            needed_payloads: Vec::new(),
            payloads: Vec::new(),
            cleared: Vec::new(),
            votes: Vec::new(),
            head: 0,
            imports: VecDeque::new(),
            next: 0,
        };
        node.event(Event::Tick { slot: 10, into_slot_ms: 0 });
        node
    }

    fn event(&mut self, event: Event<Toy>) {
        self.step(event);
        while let Some(request) = self.imports.pop_front() {
            let finalized = Checkpoint { epoch: 0, root: 0 };
            self.step(Event::Imported { request: Some(request), finalized });
        }
    }

    /// One event, without Clearance's answer to what it sends there.
    fn step(&mut self, event: Event<Toy>) {
        for effect in self.machine.handle(&self.toy, event) {
            match effect {
                Effect::Check { request, lane, job } => {
                    self.lanes.push(lane);
                    assert!(self.checks.insert(request, job).is_none(), "a number is used once");
                }
                Effect::ClearBlock { request, block, .. } => {
                    let block = block.item().item();
                    assert!(self.hot_db.contains(block.root), "committed before it is cleared");
                    self.cleared.push(block.root);
                    self.imports.push_back(request);
                }
                Effect::CheckAtHead { request, operation } => {
                    let slot = self.machine.slot_of_operations(&self.toy, self.head);
                    let job = Job::Operation { operation, root: self.head, slot };
                    assert!(self.checks.insert(request, job).is_none(), "a number is used once");
                }
                Effect::ClearVote { request, vote } => {
                    self.votes.push(vote.item().identity().vote.id);
                    self.imports.push_back(request);
                }
                Effect::ClearAttestation { request, .. }
                | Effect::ClearOperation { request, .. }
                | Effect::ClearPayloadVote { request, .. } => self.imports.push_back(request),
                Effect::ClearPayload { root } => self.payloads.push(root),
                Effect::NeedPayload { root } => self.needed_payloads.push(root),
                Effect::Verdict { id, verdict } => {
                    let words = (verdict.class(), verdict.reason());
                    self.verdicts.entry(id).or_default().push(words);
                }
                Effect::Parked { id, why } => self.parked.push((id, why)),
                Effect::Need { root } => self.needed.push(root),
            }
        }
    }

    fn hand_in(&mut self, item: Item<Toy>, peer: u64) -> ItemId {
        let id = self.next;
        self.next += 1;
        self.event(Event::Submit { id, item: Quarantined::new(item, peer, 100) });
        id
    }

    /// Submits without answering any check.
    fn submit(&mut self, block: ToyBlock) -> ItemId {
        self.hand_in(Item::Block(block), 0)
    }

    /// Answers the oldest check with what the worker says. Returns whether there was one.
    fn answer_one(&mut self) -> bool {
        let Some((request, job)) = self.checks.pop_first() else { return false };
        let answer = self.work(job);
        self.event(Event::Answered { request, answer });
        true
    }

    fn settle(&mut self) {
        while self.answer_one() {}
    }

    fn work(&mut self, job: Job<Toy>) -> Answer<Toy> {
        work(&self.toy, &mut self.hot_db, job)
    }

    /// Submits, answers every check, returns the verdict or what the item waits for.
    fn judge(&mut self, block: ToyBlock) -> (&'static str, &'static str) {
        let id = self.submit(block);
        self.settle();
        self.answer_to(id)
    }

    fn answer_to(&self, id: ItemId) -> (&'static str, &'static str) {
        match self.verdicts.get(&id).map(Vec::as_slice) {
            Some([one]) => *one,
            Some(many) => panic!("{} verdicts for one submission", many.len()),
            None => {
                let pending = self.machine.pending();
                let why = pending.iter().find(|(other, _)| *other == id).map(|(_, why)| why.word());
                ("pending", why.expect("an item without a verdict is held"))
            }
        }
    }
}

/// Does a job as a worker that has the HotDB to itself, and returns its answer.
pub(crate) fn work(toy: &Toy, hot_db: &mut HotDb<Toy>, job: Job<Toy>) -> Answer<Toy> {
    let mut worker = Worker::Idle;
    let mut event = WorkerEvent::Start(vec![job]);
    loop {
        let mut next = None;
        for effect in worker.handle(toy, event.clone()) {
            match effect {
                WorkerEffect::RequestTrail { root, slot } => {
                    next = Some(WorkerEvent::Trail(hot_db.trail(root, slot)));
                }
                WorkerEffect::RequestCommittees { target } => {
                    let reply = hot_db.committees(toy, target);
                    next = Some(WorkerEvent::Trail(reply));
                }
                WorkerEffect::Claim(_) => next = Some(WorkerEvent::Claimed(true)),
                WorkerEffect::Requeue { .. } => panic!("every claim is granted"),
                WorkerEffect::Commit { block, state } => {
                    let commit = hot_db::Event::Commit { block, state };
                    let effects = hot_db.handle(toy, commit);
                    let [hot_db::Effect::Committed(reply)] = effects[..] else {
                        panic!("{effects:?}")
                    };
                    next = Some(WorkerEvent::Committed(reply));
                }
                WorkerEffect::PostState(state) => {
                    hot_db.handle(toy, hot_db::Event::PostState(state));
                }
                WorkerEffect::Loaded(_) | WorkerEffect::PostCommittees(_) => {}
                WorkerEffect::Proceed | WorkerEffect::GiveWay(_) => {
                    next = Some(WorkerEvent::Proceed)
                }
                WorkerEffect::Answer(answer) => return answer,
            }
        }
        event = next.expect("a worker asks or answers");
    }
}

fn node() -> Node {
    Node::new(Limits::default())
}

#[test]
fn a_child_before_its_parent_waits_and_is_released_by_it() {
    // Grandchild, child, parent arrive in reverse; the parent's verdict releases the others in
    // order.
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(3, 2, 3)), ("pending", "unknown_parent"));
    assert_eq!(node.judge(ToyBlock::new(2, 1, 2)), ("pending", "unknown_parent"));
    assert_eq!(node.needed, [2, 1]);
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1)), ("valid", "ok"));
    assert_eq!([node.answer_to(0), node.answer_to(1)], [("valid", "ok"); 2]);
    assert_eq!(node.cleared, [1, 2, 3]);
}

#[test]
fn rejection_takes_waiting_descendants_along_and_is_remembered() {
    // An invalid parent arrives after child and grandchild; the child then comes again.
    let mut node = node();
    node.judge(ToyBlock::new(3, 2, 3));
    node.judge(ToyBlock::new(2, 1, 2));
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1).invalid()), ("invalid", "bad_state_root"));
    assert_eq!([node.answer_to(0), node.answer_to(1)], [("invalid", "invalid_ancestor"); 2]);
    assert_eq!(node.judge(ToyBlock::new(2, 1, 2)), ("invalid", "known_invalid"));
    assert_eq!([0, 1, 2].map(|root| node.machine.is_unviable(root)), [false, true, true]);
    assert_eq!(node.machine.held(), 0);
}

#[test]
fn a_badly_signed_copy_does_not_shadow_the_block_with_the_same_root() {
    // Forged before honest, in flight together, and after.
    let mut node = node();
    let honest = ToyBlock::new(1, 0, 1);
    assert_eq!(node.judge(honest.badly_signed()), ("invalid", "bad_proposer_signature"));
    let forged = node.submit(honest.badly_signed());
    assert_eq!(node.judge(honest), ("valid", "ok"));
    assert_eq!(node.answer_to(forged), ("invalid", "bad_proposer_signature"));
    assert_eq!(node.judge(honest.badly_signed()), ("ignored", "duplicate"));
}

#[test]
fn a_badly_signed_parent_does_not_condemn_its_children() {
    // The child keeps waiting for the root, and the honest copy releases it.
    let mut node = node();
    let child = node.submit(ToyBlock::new(2, 1, 2));
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1).badly_signed()).0, "invalid");
    assert_eq!(node.answer_to(child), ("pending", "unknown_parent"));
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1)), ("valid", "ok"));
    assert_eq!(node.answer_to(child), ("valid", "ok"));
}

#[test]
fn copies_in_flight_share_one_check_and_each_gets_its_own_verdict() {
    // Three peers send the same block before it is answered.
    let mut node = node();
    let ids = [0, 1, 2].map(|peer| node.hand_in(Item::Block(ToyBlock::new(1, 0, 1)), peer));
    assert_eq!(node.checks.len(), 1);
    node.settle();
    let verdicts = ids.map(|id| node.answer_to(id));
    assert_eq!(verdicts, [("valid", "ok"), ("ignored", "duplicate"), ("ignored", "duplicate")]);
}

#[test]
fn a_copy_of_a_block_that_turns_out_invalid_is_told_that_it_is_known() {
    // Two peers send an invalid block before it is answered.
    let mut node = node();
    let invalid = ToyBlock::new(1, 0, 1).invalid();
    let ids = [0, 1].map(|peer| node.hand_in(Item::Block(invalid), peer));
    node.settle();
    let verdicts = ids.map(|id| node.answer_to(id));
    assert_eq!(verdicts, [("invalid", "bad_state_root"), ("invalid", "known_invalid")]);
}

#[test]
fn a_future_block_is_released_by_its_slot_and_a_clock_that_steps_back_does_no_harm() {
    // Slots 11 and 12 while the clock shows 10, then 9, then 12.
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(1, 0, 12)), ("pending", "future_slot"));
    assert_eq!(node.judge(ToyBlock::new(2, 0, 11)), ("pending", "future_slot"));
    node.event(Event::Tick { slot: 9, into_slot_ms: 0 });
    assert_eq!(node.answer_to(0), ("pending", "future_slot"));
    node.event(Event::Tick { slot: 12, into_slot_ms: 0 });
    node.settle();
    assert_eq!([0, 1].map(|id| node.answer_to(id)), [("valid", "ok"); 2]);
}

#[test]
fn a_slot_not_after_the_parent_is_the_rewinders_verdict_and_condemns() {
    // Parent at slot 5, child at slot 5.
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(1, 0, 5)), ("valid", "ok"));
    assert_eq!(node.judge(ToyBlock::new(2, 1, 5)), ("invalid", "slot_not_after_parent"));
    assert_eq!(node.judge(ToyBlock::new(3, 2, 6)), ("invalid", "invalid_ancestor"));
}

#[test]
fn the_window_bounds_checks_and_ready_items_follow_in_order() {
    // A window of one: the second block is checked when the first is answered.
    let mut node = Node::new(Limits { window: 1, ..Limits::default() });
    node.submit(ToyBlock::new(1, 0, 1));
    node.submit(ToyBlock::new(2, 0, 2));
    assert_eq!((node.checks.len(), node.machine.held()), (1, 2));
    assert!(node.answer_one());
    assert_eq!((node.checks.len(), node.machine.held()), (1, 1));
    node.settle();
    assert_eq!(node.answer_to(1), ("valid", "ok"));
}

#[test]
fn at_the_stop_every_submission_gets_exactly_one_verdict() {
    // One in flight, one ready, one waiting; the stop; then the answer to the first, and a late
    // one.
    let mut node = Node::new(Limits { window: 1, ..Limits::default() });
    for block in [ToyBlock::new(1, 0, 1), ToyBlock::new(2, 0, 2), ToyBlock::new(9, 8, 3)] {
        node.submit(block);
    }
    node.event(Event::Stop);
    let late = node.submit(ToyBlock::new(4, 0, 4));
    node.settle();
    assert_eq!(node.answer_to(0), ("valid", "ok"));
    assert_eq!([1, 2, late].map(|id| node.answer_to(id)), [("dropped", "shutdown"); 3]);
    assert_eq!(node.machine.held(), 0);
}

#[test]
fn an_answer_counts_once_and_only_for_its_request() {
    // The answer comes twice, and one comes for a request that was never made.
    let mut node = node();
    node.submit(ToyBlock::new(1, 0, 1));
    let (request, job) = node.checks.pop_first().expect("one check is under way");
    let answer = node.work(job);
    for request in [request + 1, request, request] {
        node.event(Event::Answered { request, answer: answer.clone() });
    }
    assert_eq!(node.answer_to(0), ("valid", "ok"));
}

#[test]
fn a_fault_of_ours_is_no_rejection_and_the_block_may_come_again() {
    // The worker fails; the same block is then accepted.
    let mut node = node();
    let id = node.submit(ToyBlock::new(1, 0, 1));
    let (request, _) = node.checks.pop_first().expect("one check is under way");
    node.event(Event::Answered { request, answer: Answer::Fault("disk".to_owned()) });
    assert_eq!(node.answer_to(id), ("dropped", "fault"));
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1)), ("valid", "ok"));
}

#[test]
fn attestations_wait_for_their_block_and_slot_and_are_counted_once() {
    // A vote for a block that comes later; then the same vote again; then one for a bad target.
    let mut node = node();
    let target = Checkpoint { epoch: 2, root: 1 };
    let vote = ToyAttestation { id: 77, slot: 9, head: 1, target, validator: 0, valid: true };
    let first = node.hand_in(Item::Attestation(vote), 0);
    assert_eq!(node.answer_to(first), ("pending", "unknown_block"));
    assert_eq!(node.judge(ToyBlock::new(1, 0, 8)), ("valid", "ok"));
    assert_eq!(node.answer_to(first), ("valid", "ok"));
    let again = node.hand_in(Item::Attestation(vote), 0);
    assert_eq!(node.answer_to(again), ("ignored", "duplicate"));
    let wrong = Checkpoint { epoch: 2, root: 0 };
    let bad = node.hand_in(Item::Attestation(ToyAttestation { id: 78, target: wrong, ..vote }), 0);
    assert_eq!(node.answer_to(bad), ("invalid", "bad_target_root"));
}

#[test]
fn a_block_that_clearance_loses_fails_and_may_come_again_while_its_child_waits() {
    // The import of block 1 is answered by its loss; its child is not judged before it comes again.
    let mut node = node();
    let child = node.submit(ToyBlock::new(2, 1, 2));
    let parent = node.submit(ToyBlock::new(1, 0, 1));
    let (request, job) = node.checks.pop_first().expect("the parent is checked");
    let answer = node.work(job);
    node.step(Event::Answered { request, answer });
    assert_eq!(node.answer_to(parent), ("pending", "being_checked"));
    let import = node.imports.pop_front().expect("it goes on to Clearance");
    node.event(Event::NotImported { request: import });
    assert_eq!(node.answer_to(parent), ("dropped", "fault"));
    assert_eq!(node.answer_to(child), ("pending", "unknown_parent"));
    assert_eq!((node.needed.as_slice(), node.machine.knows(1)), (&[1, 1][..], false));
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1)), ("valid", "ok"));
    assert_eq!(node.answer_to(child), ("valid", "ok"));
}

#[test]
fn a_successor_knows_the_chain_holds_nothing_and_takes_no_old_answer() {
    // One block in the chain, one in flight; the answer to the old machine's request changes
    // nothing.
    let mut node = node();
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1)), ("valid", "ok"));
    node.submit(ToyBlock::new(2, 1, 2));
    let (request, job) = node.checks.pop_first().expect("block 2 is checked");
    let anchor = Checkpoint { epoch: 0, root: 0 };
    node.machine = node.machine.successor(&node.toy, anchor, [(0, 0, 0), (1, 0, 1)]);
    assert_eq!((node.machine.held(), node.machine.in_flight()), (0, 0));
    let answer = node.work(job);
    node.event(Event::Answered { request, answer });
    assert!(!node.machine.knows(2));
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1)), ("ignored", "duplicate"));
    // The clock is the old one's: block 2 is checked at once, and found committed.
    assert_eq!(node.judge(ToyBlock::new(2, 1, 2)), ("valid", "ok"));
}

#[test]
fn a_released_block_does_not_wait_again_when_the_clock_steps_back() {
    // A window of one: the clock shows 10 and releases a block behind another, then shows 9.
    let mut node = Node::new(Limits { window: 1, ..Limits::default() });
    node.submit(ToyBlock::new(1, 0, 1));
    let released = node.submit(ToyBlock::new(2, 0, 10));
    assert_eq!(node.answer_to(released), ("pending", "being_checked"));
    node.event(Event::Tick { slot: 9, into_slot_ms: 0 });
    node.settle();
    assert_eq!(node.answer_to(released), ("valid", "ok"));
}

#[test]
fn a_copy_of_what_was_refused_is_refused_without_another_check() {
    // A forged copy and a forged vote, each three times.
    let mut node = node();
    let forged = ToyBlock::new(1, 0, 1).badly_signed();
    let target = Checkpoint { epoch: 2, root: 0 };
    let vote = ToyAttestation { id: 77, slot: 9, head: 0, target, validator: 0, valid: false };
    for (item, reason) in [
        (Item::Block(forged), "bad_proposer_signature"),
        (Item::Attestation(vote), "bad_signature"),
    ] {
        let mut checks = 0;
        for _ in 0..3 {
            let id = node.hand_in(item.clone(), 0);
            checks += node.checks.len();
            node.settle();
            assert_eq!(node.answer_to(id), ("invalid", reason));
        }
        assert_eq!(checks, 1);
    }
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1)), ("valid", "ok"));
}

#[test]
fn what_is_refused_is_forgotten_in_order_and_checked_again_then() {
    // Room for one: a second forgery takes the first one's place.
    let mut node = Node::new(Limits { remembered: 1, ..Limits::default() });
    for root in [1, 2, 1] {
        node.submit(ToyBlock::new(root, 0, 1).badly_signed());
        assert_eq!(node.checks.len(), 1);
        node.settle();
    }
}

#[test]
fn what_is_in_flight_is_never_evicted() {
    // Room for one item, which is being checked: the next is dropped, the first gets its verdict.
    let mut node = Node::new(Limits { items: 1, ..Limits::default() });
    let first = node.submit(ToyBlock::new(1, 0, 1));
    let second = node.submit(ToyBlock::new(2, 0, 2));
    assert_eq!(node.answer_to(second), ("dropped", "quarantine_full"));
    node.settle();
    assert_eq!(node.answer_to(first), ("valid", "ok"));
}

#[test]
fn bytes_are_bounded_and_come_back_with_the_verdict() {
    // Room for three items of 100 bytes: the fourth evicts the first. Then room for two: a block
    // and its child get their verdicts, and leave room for two others.
    let mut node = Node::new(Limits { bytes: 300, ..Limits::default() });
    let ids = [11, 12, 13, 14].map(|root| node.submit(ToyBlock::new(root, root + 50, 5)));
    assert_eq!(node.answer_to(ids[0]), ("dropped", "evicted"));
    node.event(Event::Stop);
    assert_eq!(
        ids[1..].iter().map(|id| node.answer_to(*id).1).collect::<Vec<_>>(),
        ["shutdown"; 3]
    );
    let mut node = Node::new(Limits { bytes: 200, ..Limits::default() });
    let child = node.submit(ToyBlock::new(2, 1, 2));
    assert_eq!(node.judge(ToyBlock::new(1, 0, 1)), ("valid", "ok"));
    assert_eq!(node.answer_to(child), ("valid", "ok"));
    let orphans = [21, 22].map(|root| node.submit(ToyBlock::new(root, root + 50, 5)));
    assert_eq!(orphans.map(|id| node.answer_to(id).0), ["pending"; 2]);
}

#[test]
fn a_lane_that_is_full_and_a_state_that_is_too_far_are_named_and_the_block_may_come_again() {
    // The Rewinder answers so; the same block is then accepted.
    for (answer, reason) in [(Answer::Busy, "rewinder_full"), (Answer::TooFar, "too_far")] {
        let mut node = node();
        let id = node.submit(ToyBlock::new(1, 0, 1));
        let (request, _) = node.checks.pop_first().expect("one check is under way");
        node.event(Event::Answered { request, answer });
        assert_eq!(node.answer_to(id), ("dropped", reason));
        assert_eq!(node.judge(ToyBlock::new(1, 0, 1)), ("valid", "ok"));
    }
}

#[test]
fn a_block_is_timely_before_the_attestation_deadline_of_its_own_slot_alone() {
    // Attesters vote after a second: the last millisecond before, the first after it, and another
    // slot.
    for (slot, into_slot_ms, timely) in [(10, 999, true), (10, 1_000, false), (11, 0, false)] {
        let mut node = node();
        node.event(Event::Tick { slot, into_slot_ms });
        node.submit(ToyBlock::new(1, 0, 10));
        let (request, job) = node.checks.pop_first().expect("the block is checked");
        let answer = node.work(job);
        let effects = node.machine.handle(&node.toy, Event::Answered { request, answer });
        let [Effect::ClearBlock { timely: told, .. }] = effects[..] else { panic!("{effects:?}") };
        assert_eq!(told, timely, "{slot} {into_slot_ms}");
    }
}
