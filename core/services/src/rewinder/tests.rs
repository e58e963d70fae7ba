//! The worker's machine with several attestations in hand. How it loads states is in `loads` and
//! `entry`, how it verifies a batch step by step and what goes first between two steps in `steps`,
//! what its threads do in `threads`, and what they do with questions of clients in `questions`.

mod entry;
mod loads;
mod production;
mod questions;
pub(crate) mod scripted;
mod steps;
mod threads;

use super::{Answer, GoesFirst, Job, Worker, WorkerEffect, WorkerEvent};
use crate::consensus::{Checkpoint, Consensus};
use crate::hot_db::{CommitteesAt, CommitteesKey, HotDb, Limits, TrailReply};
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

fn db() -> HotDb<Toy> {
    HotDb::new(&Toy::default(), Limits::default(), 0, 0, ToyState::anchor())
}

fn target(epoch: u64) -> Checkpoint<u8> {
    Checkpoint { epoch, root: 0 }
}

/// A worker that has asked for the committees of three attestations, the second of them invalid.
fn with_three() -> Worker<Toy> {
    let mut worker = Worker::Idle;
    let jobs = vec![vote(1, 1, true), vote(2, 1, false), vote(3, 1, true)];
    let effects = worker.handle(&Toy::default(), WorkerEvent::Start(jobs));
    assert_eq!(effects, [WorkerEffect::RequestCommittees { target: target(1) }]);
    worker
}

/// The words of answers, in order, and of a pause after them; nothing else is among the effects.
fn words(effects: Vec<WorkerEffect<Toy>>) -> Vec<&'static str> {
    let word = |effect| match effect {
        WorkerEffect::Answer(Answer::Attestation(_)) => "valid",
        WorkerEffect::Answer(Answer::Invalid(RejectReason::Check(ToyInvalid::Attestation))) => {
            "invalid"
        }
        WorkerEffect::Answer(Answer::Pruned) => "pruned",
        WorkerEffect::Answer(Answer::Stale) => "stale",
        WorkerEffect::Answer(Answer::Refused) => "refused",
        WorkerEffect::Answer(Answer::Fault(_)) => "fault",
        WorkerEffect::GiveWay(GoesFirst::Blocks) => "gives way",
        other => panic!("{other:?}"),
    };
    effects.into_iter().map(word).collect()
}

#[test]
fn committees_are_posted_and_free_for_others_before_attestations_are_verified_with_them() {
    // The target is the dependent root itself, so there is nothing to claim beside it. The trail
    // comes: the committees are posted, then reported, then the worker asks to go on, then answers.
    let mut worker = with_three();
    let reply = db().committees(&Toy::default(), target(1));
    let effects = worker.handle(&Toy::default(), WorkerEvent::Trail(reply));
    let key = CommitteesKey { dependent_root: 0, epoch: 1 };
    let posted = WorkerEffect::PostCommittees(CommitteesAt { key, committees: () });
    assert_eq!(effects, [posted, WorkerEffect::Loaded((0, 4)), WorkerEffect::Proceed]);
    assert!(!worker.is_idle());
    let answers = worker.handle(&Toy::default(), WorkerEvent::Proceed);
    assert_eq!(words(answers), ["valid", "invalid", "valid"]);
    assert!(worker.is_idle());
}

#[test]
fn what_stops_the_load_is_answered_to_each() {
    // The target is pruned, or stale; the HotDB is gone; an event comes that does not fit.
    for (event, word) in [
        (WorkerEvent::Trail(TrailReply::Pruned), "pruned"),
        (WorkerEvent::Trail(TrailReply::Stale), "stale"),
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

#[test]
fn an_event_that_does_not_fit_is_a_fault_to_what_is_in_hand_and_to_what_it_brings() {
    // A fourth attestation comes while three wait for their committees.
    let mut worker = with_three();
    let answers = worker.handle(&Toy::default(), WorkerEvent::Start(vec![vote(4, 1, true)]));
    let fault = WorkerEffect::Answer(Answer::Fault("unexpected job".to_owned()));
    assert_eq!(answers, vec![fault; 4]);
    assert!(worker.is_idle());
}

#[test]
fn by_default_a_block_costs_its_own_size() {
    // The scripted protocol has the default.
    let (protocol, _) = scripted::Scripted::new();
    let bytes = protocol.block_bytes(&ToyBlock::new(1, 0, 1));
    assert_eq!(bytes, size_of::<ToyBlock>());
}
