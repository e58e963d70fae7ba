//! The worker's machine with several attestations in hand; what its threads do is in `threads`.

mod scripted;
mod threads;

use super::{Answer, Job, Worker, WorkerEffect, WorkerEvent};
use crate::consensus::Checkpoint;
use crate::hot_db::{HotDb, Limits, TrailReply};
use crate::identified;
use crate::machine::Machine;
use crate::toy::{Toy, ToyAttestation, ToyBlock, ToyInvalid, ToyState};
use crate::verdict::RejectReason;

fn vote(id: u8, epoch: u64, valid: bool) -> Job<Toy> {
    let target = Checkpoint { epoch, root: 0 };
    let slot = 4 * epoch;
    let vote = ToyAttestation { id, slot, head: 0, target, validator: 0, valid };
    Job::Attestation(identified::attestation(&Toy::default(), vote))
}

fn trail() -> TrailReply<Toy> {
    let machine = HotDb::new(&Toy::default(), Limits::default(), 0, 0, ToyState::anchor());
    machine.trail(0, 4)
}

/// A worker that has asked for the trail of three attestations, the second of them invalid.
fn with_three() -> Worker<Toy> {
    let mut worker = Worker::Idle;
    let jobs = vec![vote(1, 1, true), vote(2, 1, false), vote(3, 1, true)];
    let effects = worker.handle(&Toy::default(), WorkerEvent::Start(jobs));
    assert_eq!(effects, [WorkerEffect::RequestTrail { root: 0, slot: 4 }]);
    worker
}

/// The words of answers, in order; nothing else is among the effects.
fn words(effects: Vec<WorkerEffect<Toy>>) -> Vec<&'static str> {
    let word = |effect| match effect {
        WorkerEffect::Answer(Answer::Attestation(_)) => "valid",
        WorkerEffect::Answer(Answer::Invalid(RejectReason::Check(ToyInvalid::Attestation))) => {
            "invalid"
        }
        WorkerEffect::Answer(Answer::Pruned) => "pruned",
        WorkerEffect::Answer(Answer::Fault(_)) => "fault",
        other => panic!("{other:?}"),
    };
    effects.into_iter().map(word).collect()
}

#[test]
fn the_state_is_free_for_others_before_attestations_are_verified_with_it() {
    // The trail comes: the state is reported as loaded, then the worker asks to go on, then it
    // answers.
    let mut worker = with_three();
    let effects = worker.handle(&Toy::default(), WorkerEvent::Trail(trail()));
    let [.., WorkerEffect::Loaded((0, 4)), WorkerEffect::Proceed] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert!(!worker.is_idle());
    let answers = worker.handle(&Toy::default(), WorkerEvent::Proceed);
    assert_eq!(words(answers), ["valid", "invalid", "valid"]);
    assert!(worker.is_idle());
}

#[test]
fn what_stops_the_load_is_answered_to_each() {
    // The target is pruned; the HotDB is gone; an event comes that does not fit.
    for (event, word) in [
        (WorkerEvent::Trail(TrailReply::Pruned), "pruned"),
        (WorkerEvent::HotDbGone, "fault"),
        (WorkerEvent::Proceed, "fault"),
    ] {
        let mut worker = with_three();
        let mut effects = worker.handle(&Toy::default(), event);
        effects.retain(|effect| *effect != WorkerEffect::Loaded((0, 4)));
        assert_eq!(words(effects), [word; 3]);
        assert!(worker.is_idle());
    }
}

#[test]
fn jobs_that_do_not_go_together_are_faults_of_ours() {
    // Two targets, and a block beside an attestation.
    let block = Job::Block(identified::block(&Toy::default(), ToyBlock::new(1, 0, 1)));
    for jobs in [vec![vote(1, 1, true), vote(2, 2, true)], vec![block, vote(1, 1, true)]] {
        let mut worker = Worker::Idle;
        let answers = worker.handle(&Toy::default(), WorkerEvent::Start(jobs));
        assert_eq!(words(answers), ["fault"; 2]);
        assert!(worker.is_idle());
    }
}
