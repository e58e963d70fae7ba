//! How the worker's machine produces a block, and that nothing delays it by more than a step.

use std::sync::Arc;

use crate::attestation_pool::{AttestationPool, Candidates, Event, Limits};
use crate::consensus::Checkpoint;
use crate::gossip::Operation;
use crate::hot_db::{StateAt, Trail, TrailReply};
use crate::identified;
use crate::machine::Machine;
use crate::rewinder::load::STEP_SLOTS;
use crate::rewinder::shell::{Lanes, Task};
use crate::rewinder::{
    Answer, Dispatcher, GoesFirst, Job, Lane, Production, Role, Worker, WorkerEffect, WorkerEvent,
};
use crate::toy::{
    Toy, ToyAttestation, ToyBlock, ToyInvalid, ToyOperation, ToySlashing, ToyState, ToyUnsigned,
};
use crate::verdict::RejectReason;

/// The production of block 7 on the anchor, of no attestations and these operations.
fn production(operations: Vec<Operation<Toy>>) -> Production<Toy> {
    Production { inputs: 7, attestations: Candidates::default(), operations }
}

fn job(slot: u64, production: Production<Toy>) -> Job<Toy> {
    Job::Produce { root: 0, slot, production: Arc::new(production) }
}

/// A trail that leads to the anchor, whose block has `block_slot`, and on to `slot`.
fn anchor_trail(block_slot: u64, slot: u64) -> WorkerEvent<Toy> {
    let start = StateAt { root: 0, slot: block_slot, state: ToyState::anchor() };
    WorkerEvent::Trail(TrailReply::Trail(Box::new(Trail {
        start,
        blocks: Vec::new(),
        root: 0,
        block_slot,
        slot,
        wanted: Vec::new(),
        want_target: false,
        expected_proposer: None,
        descendant: None,
        committees: None,
    })))
}

/// Has a worker produce a block of a slot within one part of a load.
fn produced(slot: u64, production: Production<Toy>) -> Answer<Toy> {
    let mut worker = Worker::Idle;
    let asked = worker.handle(&Toy::default(), WorkerEvent::Start(vec![job(slot, production)]));
    assert_eq!(asked, [WorkerEffect::RequestTrail { root: 0, slot }]);
    let effects = worker.handle(&Toy::default(), anchor_trail(0, slot));
    assert_eq!(effects, [WorkerEffect::Loaded((0, slot)), WorkerEffect::Proceed]);
    let mut effects = worker.handle(&Toy::default(), WorkerEvent::Proceed);
    assert!(worker.is_idle());
    match effects.pop() {
        Some(WorkerEffect::Answer(answer)) if effects.is_empty() => answer,
        other => panic!("{other:?}"),
    }
}

fn operation(id: u8, validators: u8, valid: bool) -> ToyOperation {
    ToyOperation { id, validators, signed: true, valid }
}

fn block_of(answer: Answer<Toy>) -> ToyUnsigned {
    match answer {
        Answer::Produced(block) => block,
        other => panic!("{other:?}"),
    }
}

#[test]
fn operations_that_the_state_does_not_admit_are_left_out_and_none_share_a_validator() {
    // An invalid slashing of validator 0, a valid one of 1; exits of 1 and 2, of 2, of 3.
    let slashing = |inner| Operation::ProposerSlashing(ToySlashing::Given(inner));
    let operations = vec![
        slashing(operation(1, 0b1, false)),
        slashing(operation(2, 0b10, true)),
        Operation::VoluntaryExit(operation(3, 0b110, true)),
        Operation::VoluntaryExit(operation(4, 0b100, true)),
        Operation::VoluntaryExit(operation(5, 0b1000, true)),
    ];
    let block = block_of(produced(3, production(operations)));
    assert_eq!(block.block, ToyBlock::new(7, 0, 3).badly_signed());
    let ids: Vec<_> = block.operations.iter().map(|operation| operation.id).collect();
    assert_eq!(ids, [2, 4, 5]);
}

#[test]
fn a_block_has_no_more_of_a_kind_than_it_may() {
    // Of each kind one more than the protocol allows, the validators all different.
    let slashing = |id, of| ToySlashing::Given(operation(id, of, true));
    let proposer = |id, of| Operation::ProposerSlashing(slashing(id, of));
    let attester =
        |id, of| Operation::<Toy>::AttesterSlashing(ToySlashing::Given(operation(id, of, true)));
    let exit = |id, of| Operation::VoluntaryExit(operation(id, of, true));
    let operations = vec![
        proposer(1, 1),
        proposer(2, 2),
        attester(3, 4),
        attester(4, 8),
        exit(5, 16),
        exit(6, 32),
        exit(7, 64),
    ];
    let block = block_of(produced(3, production(operations)));
    let ids: Vec<_> = block.operations.iter().map(|operation| operation.id).collect();
    assert_eq!(ids, [1, 3, 5, 6]);
}

#[test]
fn attestations_are_packed_from_those_that_the_state_admits() {
    // For a block of slot 9: one of slot 4 is too old, one of its own slot too young. Of three
    // others there is room for two.
    let mut pool = AttestationPool::<u8, ToyAttestation>::new(Limits::new(16));
    let target = Checkpoint { epoch: 1, root: 0 };
    for (id, slot) in [(1, 4), (2, 9), (3, 6), (4, 7), (5, 8)] {
        let validator = u64::from(id);
        let vote = ToyAttestation { id, slot, head: 0, target, validator, valid: true };
        assert!(pool.handle(&(), Event::Attestation(vote)).is_empty());
    }
    let attestations = pool.candidates([]);
    let block = block_of(produced(9, Production { attestations, ..production(Vec::new()) }));
    let ids: Vec<_> = block.attestations.iter().map(|vote| vote.id).collect();
    assert_eq!(ids, [3, 4]);
}

#[test]
fn a_block_that_the_transition_refuses_is_an_error() {
    // The toy refuses a block whose root is its parent's.
    let answer = produced(3, Production { inputs: 0, ..production(Vec::new()) });
    assert_eq!(answer, Answer::Invalid(RejectReason::Check(ToyInvalid::Block)));
}

#[test]
fn a_slot_that_is_not_after_the_parents_is_told_and_the_state_is_free_for_others() {
    // The parent is of slot 3, and so is the block.
    let mut worker = Worker::Idle;
    worker.handle(&Toy::default(), WorkerEvent::Start(vec![job(3, production(Vec::new()))]));
    let effects = worker.handle(&Toy::default(), anchor_trail(3, 3));
    let answer = WorkerEffect::Answer(Answer::Invalid(RejectReason::SlotNotAfterParent));
    assert_eq!(effects, [WorkerEffect::Loaded((0, 3)), answer]);
    assert!(worker.is_idle());
}

#[test]
fn a_parent_that_is_pruned_is_told() {
    let mut worker = Worker::Idle;
    worker.handle(&Toy::default(), WorkerEvent::Start(vec![job(3, production(Vec::new()))]));
    let effects = worker.handle(&Toy::default(), WorkerEvent::Trail(TrailReply::Pruned));
    assert_eq!(effects, [WorkerEffect::Loaded((0, 3)), WorkerEffect::Answer(Answer::Pruned)]);
}

#[test]
fn a_production_over_many_slots_gives_way_after_each_part() {
    // Two parts and one slot: it gives way twice, and is answered with the third part.
    let slot = 2 * STEP_SLOTS + 1;
    let mut worker = Worker::Idle;
    worker.handle(&Toy::default(), WorkerEvent::Start(vec![job(slot, production(Vec::new()))]));
    let mut effects = worker.handle(&Toy::default(), anchor_trail(0, slot));
    for _ in 0..2 {
        assert_eq!(effects, [WorkerEffect::GiveWay(GoesFirst::Duties)]);
        effects = worker.handle(&Toy::default(), WorkerEvent::Proceed);
    }
    assert_eq!(effects, [WorkerEffect::Loaded((0, slot)), WorkerEffect::Proceed]);
    let effects = worker.handle(&Toy::default(), WorkerEvent::Proceed);
    assert!(matches!(effects[..], [WorkerEffect::Answer(Answer::Produced(_))]), "{effects:?}");
}

/// Fills the lanes of all but duties.
fn flood(lanes: &mut Lanes<Toy, u8>) {
    let toy = Toy::default();
    for _ in 0..32 {
        let block = Job::Block(identified::block(&toy, ToyBlock::new(1, 0, 1)));
        let target = Checkpoint { epoch: 1, root: 0 };
        let vote = ToyAttestation { id: 1, slot: 4, head: 0, target, validator: 0, valid: true };
        let vote = Job::Attestation(identified::attestation(&toy, vote));
        for job in [block, vote, Job::State { root: 0, slot: 1 }] {
            let task = Task::new(&toy, job.lane(), job, 0).expect("no panic");
            assert!(task.submit(lanes).is_ok());
        }
    }
}

#[test]
fn a_flood_of_all_other_lanes_delays_a_production_by_no_more_than_one_part() {
    // Every other lane is full, and the worker is within a load of a thousand parts.
    let toy = Toy::default();
    let mut lanes: Lanes<Toy, u8> = Dispatcher::new(32, 8);
    flood(&mut lanes);
    let far = 1_000 * STEP_SLOTS;
    let mut worker = Worker::Idle;
    worker.handle(&toy, WorkerEvent::Start(vec![Job::State { root: 0, slot: far }]));
    assert_eq!(
        worker.handle(&toy, anchor_trail(0, far)),
        [WorkerEffect::GiveWay(GoesFirst::Duties)]
    );
    // The duty comes now. It is there at the end of the part that is in hand, and after that a
    // worker without a load takes it first, too.
    for role in [Role::Reserved, Role::General] {
        let duty = job(3, production(Vec::new()));
        assert_eq!(duty.lane(), Lane::Duties);
        let task = Task::new(&toy, duty.lane(), duty, 1).expect("no panic");
        assert!(task.submit(&mut lanes).is_ok());
        assert_eq!(
            worker.handle(&toy, WorkerEvent::Proceed),
            [WorkerEffect::GiveWay(GoesFirst::Duties)]
        );
        let pulled = lanes.pull(role, 0);
        assert_eq!(pulled.iter().map(|task| task.reply).collect::<Vec<_>>(), [1]);
        lanes.loaded((0, 3));
    }
}
