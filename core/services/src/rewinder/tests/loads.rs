//! How the worker's machine checks a block's signature first, claims what it replays, loads in
//! parts, and compares what it posts back.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::scripted::Scripted;
use crate::consensus::{Checkpoint, Consensus, ProposerCheck, Slot};
use crate::gossip::Operation;
use crate::hot_db::CommitteesAt;
use crate::hot_db::{CommitReply, Effect, Event, HotDb, Limits, StateAt, Trail, TrailReply};
use crate::identified::{self, IdentifiedBlock};
use crate::machine::Machine;
use crate::rewinder::load::STEP_SLOTS;
use crate::rewinder::shell::{Hands, Lanes, Ports, Task};
use crate::rewinder::{
    Answer, Dispatcher, GoesFirst, Job, Lane, Role, StateKey, Worker, WorkerEffect, WorkerEvent,
};
use crate::supervision::Bare;
use crate::toy::{Toy, ToyBlock, ToyInvalid, ToyOperation, ToyPayloadVote, ToyState};
use crate::verdict::RejectReason;

/// A trail from the anchor over blocks 1, 2, .. at these slots to the last of them, or beyond.
fn trail(slots: &[u64], slot: u64, wanted: &[u8]) -> TrailReply<Toy> {
    let mut blocks = Vec::new();
    for (root, slot) in (1..).zip(slots) {
        blocks.push(identified::block(&Toy::default(), ToyBlock::new(root, root - 1, *slot)));
    }
    let root = blocks.len() as u8;
    TrailReply::Trail(Box::new(Trail {
        start: StateAt { root: 0, slot: 0, state: ToyState::anchor() },
        blocks,
        root,
        block_slot: slots.last().copied().unwrap_or(0),
        slot,
        wanted: wanted.to_vec(),
        want_target: false,
        expected_proposer: None,
        descendant: None,
        committees: None,
    }))
}

fn query(root: u8, slot: u64) -> Vec<Job<Toy>> {
    vec![Job::State { root, slot }]
}

fn block(block: ToyBlock) -> Vec<Job<Toy>> {
    vec![Job::Block(identified::block(&Toy::default(), block))]
}

/// Has a worker take up jobs, and gives it a trail.
fn load(jobs: Vec<Job<Toy>>, trail: TrailReply<Toy>) -> (Worker<Toy>, Vec<WorkerEffect<Toy>>) {
    let mut worker = Worker::Idle;
    let asked = worker.handle(&Toy::default(), WorkerEvent::Start(jobs));
    assert!(matches!(asked[..], [WorkerEffect::RequestTrail { .. }]), "{asked:?}");
    let effects = worker.handle(&Toy::default(), WorkerEvent::Trail(trail));
    (worker, effects)
}

#[test]
fn a_bad_signature_is_answered_before_anything_is_claimed_or_replayed() {
    // A block whose parent's state has to be replayed; the same, invalid otherwise, has that word.
    let bad = ToyBlock::new(9, 3, 9).badly_signed();
    for bad in [bad, bad.invalid()] {
        let (worker, effects) = load(block(bad), trail(&[1, 2, 3], 9, &[3]));
        let invalid = Answer::Invalid(RejectReason::Check(ToyInvalid::Signature));
        assert_eq!(effects, [WorkerEffect::Answer(invalid)]);
        assert!(worker.is_idle());
    }
    // A slot that is not after the parent's comes before that.
    let (_, effects) =
        load(block(ToyBlock::new(9, 3, 3).badly_signed()), trail(&[1, 2, 3], 3, &[]));
    assert_eq!(effects, [WorkerEffect::Answer(Answer::Invalid(RejectReason::SlotNotAfterParent))]);
}

#[test]
fn a_block_of_another_than_the_expected_proposer_is_refused_before_its_signature() {
    // Blocks 1, 2 and 3 on the anchor enter epoch 2, whose proposers are asked for once, and say
    // that slot 10 is another validator's. A badly signed block of that slot needs no state for
    // that, on the anchor, whose only state is of slot 0, and on block 3. Its slot in epoch 3 is
    // anybody's.
    let (mut protocol, _calls) = Scripted::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    protocol.proposers = Box::new(move |state| {
        counter.fetch_add(1, Relaxed);
        (state.slot / 4 == 2).then(|| vec![8, 9, 77, 11])
    });
    let mut db = HotDb::new(&protocol, Limits::default(), 0, 0, ToyState::anchor());
    for (root, parent, slot) in [(1, 0, 8), (2, 1, 9), (3, 0, 9)] {
        let state =
            StateAt { root, slot, state: ToyState { block: root, slot, ..ToyState::anchor() } };
        let block = identified::block(&protocol, ToyBlock::new(root, parent, slot));
        db.handle(&protocol, Event::Commit { block, state });
    }
    assert_eq!(asked.load(Relaxed), 1);
    let mut judge = |parent, slot| {
        let bad = ToyBlock::new(9, parent, slot).badly_signed();
        let mut worker = Worker::<Scripted>::Idle;
        let job = Job::Block(identified::block(&protocol, bad));
        worker.handle(&protocol, WorkerEvent::Start(vec![job]));
        let mut replies = db.handle(&protocol, Event::Trail { root: parent, slot });
        let Some(Effect::Trail(reply)) = replies.pop() else { panic!("a trail") };
        match worker.handle(&protocol, WorkerEvent::Trail(reply)).pop() {
            Some(WorkerEffect::Answer(Answer::Invalid(RejectReason::Check(invalid)))) => invalid,
            _ => panic!("an invalid block"),
        }
    };
    for parent in [0, 2, 3] {
        assert_eq!(judge(parent, 10), ToyInvalid::Proposer);
        assert_eq!(judge(parent, 11), ToyInvalid::Signature);
        assert_eq!(judge(parent, 14), ToyInvalid::Signature);
    }
    assert_eq!(asked.load(Relaxed), 1);
}

#[test]
fn an_uncached_parent_is_claimed_posted_and_free_before_the_block_is_judged() {
    // The parent is block 3 at slot 3: a sibling that comes meanwhile finds it cached.
    let toy = Toy::default();
    let (mut worker, effects) = load(block(ToyBlock::new(9, 3, 4)), trail(&[1, 2, 3], 4, &[3]));
    assert_eq!(effects, [WorkerEffect::Claim((3, 3))]);
    let effects = worker.handle(&toy, WorkerEvent::Claimed(true));
    assert_eq!(effects, [WorkerEffect::RequestTrail { root: 3, slot: 4 }]);
    let effects = worker.handle(&toy, WorkerEvent::Trail(trail(&[1, 2, 3], 4, &[3])));
    let state = ToyState { block: 3, slot: 3, ..ToyState::anchor() };
    let posted = WorkerEffect::PostState(StateAt { root: 3, slot: 3, state });
    assert_eq!(effects, [posted, WorkerEffect::Loaded((3, 3)), WorkerEffect::Proceed]);
    let effects = worker.handle(&toy, WorkerEvent::Proceed);
    assert!(matches!(effects[..], [WorkerEffect::Commit { .. }]), "{effects:?}");
}

#[test]
fn what_another_worker_has_reported_since_the_trail_is_not_replayed_again() {
    // The claim succeeds because the other worker has reported. The second look finds the state, or
    // finds that the parent was pruned meanwhile, or nobody to ask.
    let toy = Toy::default();
    let claimed = || {
        let (mut worker, effects) = load(block(ToyBlock::new(9, 3, 4)), trail(&[1, 2, 3], 4, &[3]));
        assert_eq!(effects, [WorkerEffect::Claim((3, 3))]);
        worker.handle(&toy, WorkerEvent::Claimed(true));
        worker
    };
    let state = ToyState { block: 3, slot: 3, ..ToyState::anchor() };
    let TrailReply::Trail(mut cached) = trail(&[], 4, &[]) else { panic!("a trail") };
    (cached.start, cached.root, cached.block_slot) = (StateAt { root: 3, slot: 3, state }, 3, 3);
    let mut worker = claimed();
    let effects = worker.handle(&toy, WorkerEvent::Trail(TrailReply::Trail(cached)));
    let [WorkerEffect::Loaded((3, 3)), WorkerEffect::Commit { .. }] = effects[..] else {
        panic!("{effects:?}")
    };
    for (event, answer) in [
        (WorkerEvent::Trail(TrailReply::Pruned), Answer::Pruned),
        (WorkerEvent::HotDbGone, Answer::Fault("the HotDB gave no answer".to_owned())),
    ] {
        let mut worker = claimed();
        let effects = worker.handle(&toy, event);
        assert_eq!(effects, [WorkerEffect::Loaded((3, 3)), WorkerEffect::Answer(answer)]);
        assert!(worker.is_idle());
    }
}

#[test]
fn what_is_claimed_is_loaded_from_the_nearest_state_that_is_there_by_then() {
    // Block 2 lies three parts after block 1. When its state is claimed, one ten slots before is
    // there.
    let (mut worker, effects) = load(block(ToyBlock::new(9, 2, 101)), trail(&[1, 100], 101, &[]));
    assert_eq!(effects, [WorkerEffect::Claim((2, 100))]);
    worker.handle(&Toy::default(), WorkerEvent::Claimed(true));
    let TrailReply::Trail(mut nearer) = trail(&[1, 100], 101, &[]) else { panic!("a trail") };
    nearer.blocks.remove(0);
    let state = ToyState { block: 1, slot: 90, ..ToyState::anchor() };
    nearer.start = StateAt { root: 1, slot: 90, state };
    let effects =
        worker.handle(&Toy::default(), WorkerEvent::Trail(TrailReply::Trail(nearer.clone())));
    assert_eq!(effects, [WorkerEffect::Loaded((2, 100)), WorkerEffect::Proceed]);
}

#[test]
fn a_state_of_a_blocks_epoch_that_is_there_by_the_claim_is_not_loaded_again() {
    // The parent's state is at hand, and tells nothing of the epoch that begins with slot 128. When
    // that slot's state is claimed, another worker has posted it.
    let (mut protocol, _calls) = Scripted::new();
    protocol.propose = Box::new(|state, block, _| {
        let is_of_epoch = state.slot / 4 == block.slot / 4;
        Ok(if is_of_epoch { ProposerCheck::Complete } else { ProposerCheck::Signed })
    });
    let trail = |slot| {
        let start = StateAt { root: 0, slot, state: ToyState { slot, ..ToyState::anchor() } };
        WorkerEvent::Trail(TrailReply::Trail(Box::new(Trail::<Scripted> {
            start,
            blocks: Vec::new(),
            root: 0,
            block_slot: 0,
            slot: 130,
            wanted: Vec::new(),
            want_target: false,
            expected_proposer: None,
            descendant: None,
            committees: None,
        })))
    };
    let mut worker = Worker::Idle;
    let job = Job::Block(identified::block(&protocol, ToyBlock::new(9, 0, 130)));
    worker.handle(&protocol, WorkerEvent::Start(vec![job]));
    let [WorkerEffect::Claim((0, 128))] = worker.handle(&protocol, trail(0))[..] else {
        panic!("the epoch's first slot is claimed")
    };
    worker.handle(&protocol, WorkerEvent::Claimed(true));
    let effects = worker.handle(&protocol, trail(128));
    let [WorkerEffect::Loaded((0, 128)), WorkerEffect::Commit { .. }] = effects[..] else {
        panic!("it is free, and the block is run")
    };
}

#[test]
fn a_state_is_posted_and_free_before_an_operation_is_checked_in_it() {
    // The HotDB would like the state. Duties that wait for it go before the check; the state is
    // posted once.
    let toy = Toy::default();
    let exit = ToyOperation { id: 9, validators: 1, signed: true, valid: true };
    let operation = identified::operation(&toy, Operation::VoluntaryExit(exit));
    let TrailReply::Trail(mut wanted) = trail(&[], 4, &[]) else { panic!("a trail") };
    wanted.want_target = true;
    let job = Job::Operation { operation, root: 0, slot: 4 };
    let (mut worker, effects) = load(vec![job], TrailReply::Trail(wanted));
    let state = ToyState { slot: 4, ..ToyState::anchor() };
    let posted = WorkerEffect::PostState(StateAt { root: 0, slot: 4, state });
    let gives_way = WorkerEffect::GiveWay(GoesFirst::Duties);
    assert_eq!(effects, [posted, WorkerEffect::Loaded((0, 4)), gives_way]);
    let effects = worker.handle(&toy, WorkerEvent::Proceed);
    assert!(matches!(effects[..], [WorkerEffect::Answer(Answer::Operation(_))]), "{effects:?}");
    assert!(worker.is_idle());
}

#[test]
fn an_uncached_state_is_claimed_posted_and_free_before_a_payload_vote_is_checked_in_it() {
    // A vote for block 3 at slot 3. It waits for no state that has a key, so that no attestation
    // of the same target is taken along.
    let toy = Toy::default();
    let (id, present, available, valid) = (70, true, true, true);
    let vote = ToyPayloadVote { id, slot: 3, block: 3, validator: 1, present, available, valid };
    let job = Job::PayloadVote(identified::payload_vote(&toy, vote));
    assert_eq!((job.state_key(&toy), job.lane()), (None, Lane::Attestations));
    let (mut worker, effects) = load(vec![job], trail(&[1, 2, 3], 3, &[3]));
    assert_eq!(effects, [WorkerEffect::Claim((3, 3))]);
    let effects = worker.handle(&toy, WorkerEvent::Claimed(true));
    assert_eq!(effects, [WorkerEffect::RequestTrail { root: 3, slot: 3 }]);
    let effects = worker.handle(&toy, WorkerEvent::Trail(trail(&[1, 2, 3], 3, &[3])));
    let state = ToyState { block: 3, slot: 3, ..ToyState::anchor() };
    let posted = WorkerEffect::PostState(StateAt { root: 3, slot: 3, state });
    assert_eq!(effects, [posted, WorkerEffect::Loaded((3, 3)), WorkerEffect::Proceed]);
    let effects = worker.handle(&toy, WorkerEvent::Proceed);
    let [WorkerEffect::Answer(Answer::PayloadVote(cleared))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(cleared.evidence().held, [1]);
    assert!(worker.is_idle());
}

#[test]
fn a_block_on_a_cached_parent_claims_nothing() {
    // The trail has no block.
    let (_, effects) = load(block(ToyBlock::new(1, 0, 4)), trail(&[], 4, &[]));
    assert!(matches!(effects[..], [WorkerEffect::Commit { .. }]), "{effects:?}");
}

#[test]
fn what_another_worker_has_claimed_is_put_back_until_that_worker_reports() {
    // Of two blocks on one uncached parent, the second goes back before those of its lane. A block
    // that does not need the state is taken meanwhile.
    let (mut worker, _) = load(block(ToyBlock::new(9, 3, 4)), trail(&[1, 2, 3], 4, &[3]));
    let effects = worker.handle(&Toy::default(), WorkerEvent::Claimed(false));
    let jobs = block(ToyBlock::new(9, 3, 4));
    assert_eq!(effects, [WorkerEffect::Requeue { after: (3, 3), jobs }]);
    assert!(worker.is_idle());

    let mut queue = Dispatcher::new(1, 8);
    assert!(queue.claim((3, 3)) && !queue.claim((3, 3)));
    assert_eq!(queue.submit(Lane::Blocks, None, "other"), Ok(()));
    queue.requeue(Lane::Blocks, None, (3, 3), "sibling");
    assert_eq!(queue.waiting(), 2);
    assert_eq!(queue.pull(Role::General, 0), ["other"]);
    assert!(queue.pull(Role::General, 0).is_empty());
    queue.loaded((3, 3));
    assert_eq!(queue.pull(Role::General, 0), ["sibling"]);
}

/// A HotDB that gives one trail to whoever asks, and the lanes of the tasks. A task's reply end is
/// a number.
struct Around {
    trail: TrailReply<Toy>,
    lanes: Lanes<Toy, u8>,
    loaded: Vec<StateKey<u8>>,
    answered: Vec<u8>,
}

impl Around {
    fn new(trail: TrailReply<Toy>) -> Self {
        Self { trail, lanes: Dispatcher::new(1, 8), loaded: Vec::new(), answered: Vec::new() }
    }

    fn serve(&mut self, task: Task<Toy, u8>) {
        Hands::default().serve(&Toy::default(), &Bare, self, vec![task]);
    }
}

impl Ports<Toy> for Around {
    type Reply = u8;

    fn trail(&mut self, _: u8, _: Slot) -> Option<WorkerEvent<Toy>> {
        Some(WorkerEvent::Trail(self.trail.clone()))
    }

    fn committees(&mut self, _: Checkpoint<u8>) -> Option<WorkerEvent<Toy>> {
        Some(WorkerEvent::Trail(self.trail.clone()))
    }

    fn commit(&mut self, _: IdentifiedBlock<Toy>, _: StateAt<Toy>) -> Option<WorkerEvent<Toy>> {
        Some(WorkerEvent::Committed(CommitReply::Committed))
    }

    fn post_state(&mut self, _: StateAt<Toy>) {}

    fn post_committees(&mut self, _: CommitteesAt<Toy>) {}

    fn claim(&mut self, key: StateKey<u8>) -> bool {
        self.lanes.claim(key)
    }

    fn requeue(&mut self, tasks: Vec<Task<Toy, u8>>, after: StateKey<u8>) {
        Task::requeue(tasks, after, &mut self.lanes);
    }

    fn give_way(&mut self, _: GoesFirst) -> bool {
        true
    }

    fn loaded(&mut self, key: StateKey<u8>) {
        self.lanes.loaded(key);
        self.loaded.push(key);
    }

    fn answer(&mut self, to: u8, _: Answer<Toy>) {
        self.answered.push(to);
    }
}

#[test]
fn a_task_whose_state_another_has_claimed_goes_back_with_its_requester() {
    // A block on an uncached parent, whose state some worker has claimed and then reports.
    let mut around = Around::new(trail(&[1, 2, 3], 4, &[3]));
    assert!(around.claim((3, 3)));
    let [job] = <[_; 1]>::try_from(block(ToyBlock::new(9, 3, 4))).expect("one");
    let task = Task { lane: Lane::Blocks, job, key: None, reply: 7 };
    around.serve(task.clone());
    assert_eq!((around.answered.len(), around.lanes.waiting()), (0, 1));
    assert!(around.lanes.pull(Role::General, 0).is_empty());
    around.loaded((3, 3));
    let again = around.lanes.pull(Role::General, 0);
    assert_eq!(again, [task]);
    again.into_iter().for_each(|task| around.serve(task));
    assert_eq!(around.answered, [7]);
}

#[test]
fn each_state_that_others_wait_for_is_reported_once() {
    // A query whose state has to be replayed, and a block whose parent's has.
    for (job, key, reported) in
        [(query(3, 5), Some((3, 5)), (3, 5)), (block(ToyBlock::new(9, 3, 4)), None, (3, 3))]
    {
        let slot = if key.is_some() { 5 } else { 4 };
        let mut around = Around::new(trail(&[1, 2, 3], slot, &[3]));
        let [job] = <[_; 1]>::try_from(job).expect("one");
        around.serve(Task { lane: job.lane(), job, key, reply: 7 });
        assert_eq!((&around.loaded[..], &around.answered[..]), (&[reported][..], &[7][..]));
    }
}

#[test]
fn a_block_at_the_end_of_a_part_is_run_in_it() {
    // A block so many slots after its parent as a part may have; and one more.
    for (slot, expected) in [(STEP_SLOTS, 1), (STEP_SLOTS + 1, 2)] {
        let (mut worker, effects) = load(query(1, slot), trail(&[slot], slot, &[]));
        let parts = parts(&Toy::default(), &mut worker, effects);
        assert_eq!(parts.len(), expected, "{parts:?}");
    }
}

#[test]
fn every_waiting_task_is_taken_in_the_order_of_service() {
    // Two blocks and a duty, which came last.
    let mut queue = Dispatcher::<u8, _>::new(2, 8);
    for (lane, task) in [(Lane::Blocks, 1), (Lane::Blocks, 2), (Lane::Duties, 3)] {
        assert_eq!(queue.submit(lane, None, task), Ok(()));
    }
    let mut order = queue.clone();
    let served: Vec<_> = (0..3).flat_map(|_| order.pull(Role::General, 0)).collect();
    assert_eq!((queue.take_all(), queue.waiting()), (served, 0));
}

#[test]
fn a_task_that_is_put_back_stands_before_the_others_of_its_lane() {
    // The state is there at once.
    let mut queue = Dispatcher::<u8, _>::new(1, 8);
    assert_eq!(queue.submit(Lane::Blocks, None, "later"), Ok(()));
    queue.requeue(Lane::Blocks, None, (3, 3), "earlier");
    assert_eq!(queue.pull(Role::General, 0), ["earlier"]);
}

/// Lets a load go on until it answers; returns the slots that each part ran.
fn parts(toy: &Toy, worker: &mut Worker<Toy>, effects: Vec<WorkerEffect<Toy>>) -> Vec<u64> {
    let (mut effects, mut parts, mut before) = (effects, Vec::new(), 0);
    while let [WorkerEffect::GiveWay(GoesFirst::Duties)] = effects[..] {
        let Worker::Load(load) = &worker else { panic!("{worker:?}") };
        parts.push(load.slot_so_far() - before);
        before = load.slot_so_far();
        effects = worker.handle(toy, WorkerEvent::Proceed);
    }
    match &effects[..] {
        [.., WorkerEffect::Answer(Answer::State(at))] => parts.push(at.slot - before),
        [WorkerEffect::Commit { state, .. }] => parts.push(state.slot - before),
        other => panic!("{other:?}"),
    }
    parts
}

#[test]
fn a_long_load_is_done_in_parts_between_which_the_worker_gives_way() {
    // Empty slots; a block in each slot; a gap before a block, and within one part blocks and
    // slots.
    let (step, toy) = (STEP_SLOTS, Toy::default());
    let every: Vec<u64> = (1..=2 * step + 1).collect();
    for (slots, slot, expected) in [
        (&[][..], step, vec![step]),
        (&[], 2 * step + 5, vec![step, step, 5]),
        (&every, 2 * step + 1, vec![step, step, 1]),
        (&[step + 7, step + 8], step + 9, vec![step, 9]),
        (&[3, 2 * step], 2 * step + 1, vec![step, step, 1]),
    ] {
        let (mut worker, effects) = load(query(slots.len() as u8, slot), trail(slots, slot, &[]));
        assert_eq!(parts(&toy, &mut worker, effects), expected, "{slots:?}");
        assert!(worker.is_idle());
    }
}

#[test]
fn a_block_after_a_long_gap_is_approached_in_parts() {
    // What is left to the transition is no more than a part.
    let (step, toy) = (STEP_SLOTS, Toy::default());
    let slot = 3 * step;
    let (mut worker, effects) = load(block(ToyBlock::new(1, 0, slot)), trail(&[], slot, &[]));
    assert_eq!(parts(&toy, &mut worker, effects), [step, 2 * step]);
}

#[test]
fn a_stop_between_two_parts_is_answered_with_a_refusal() {
    // A query, whose state others wait for.
    let (mut worker, effects) = load(query(0, 9 * STEP_SLOTS), trail(&[], 9 * STEP_SLOTS, &[]));
    assert_eq!(effects, [WorkerEffect::GiveWay(GoesFirst::Duties)]);
    let effects = worker.handle(&Toy::default(), WorkerEvent::Stop);
    let loaded = WorkerEffect::Loaded((0, 9 * STEP_SLOTS));
    assert_eq!(effects, [loaded, WorkerEffect::Answer(Answer::Refused)]);
    assert!(worker.is_idle());
}

#[test]
fn a_replayed_state_that_is_not_the_blocks_is_a_fault_and_is_not_posted() {
    // The protocol says that block 2 claims another state root.
    let (mut protocol, _calls) = Scripted::new();
    protocol.claims = Box::new(|block| Some(if block.root == 2 { 99 } else { block.root }));
    let run = |root: u8, wanted: &[u8]| {
        let TrailReply::Trail(from) = trail(&[1, 2][..usize::from(root)], 2, wanted) else {
            panic!("a trail")
        };
        let mut worker = Worker::<Scripted>::Idle;
        worker.handle(&protocol, WorkerEvent::Start(vec![Job::State { root, slot: 2 }]));
        let again = |block: &IdentifiedBlock<Toy>| identified::block(&protocol, *block.item());
        let start = StateAt { root: 0, slot: 0, state: from.start.state };
        let Trail { root, block_slot, slot, want_target, .. } = *from;
        let (blocks, wanted) = (from.blocks.iter().map(again).collect(), wanted.to_vec());
        let (expected_proposer, committees) = (None, None);
        let trail = Trail {
            start,
            blocks,
            root,
            block_slot,
            slot,
            wanted,
            want_target,
            expected_proposer,
            descendant: None,
            committees,
        };
        worker.handle(&protocol, WorkerEvent::Trail(TrailReply::Trail(Box::new(trail))))
    };
    assert!(protocol.post_state_root(&ToyBlock::new(2, 1, 2)) == Some(99));
    let effects = run(2, &[2]);
    let [WorkerEffect::Loaded((2, 2)), WorkerEffect::Answer(Answer::Fault(text))] = &effects[..]
    else {
        panic!("{} effects", effects.len())
    };
    assert!(text.contains("not the block's"), "{text}");
    // What is not posted is not compared; what is right is posted.
    assert!(matches!(run(2, &[])[..], [_, WorkerEffect::Answer(Answer::State(_))]));
    assert!(matches!(run(1, &[1])[0], WorkerEffect::PostState(_)));
}
