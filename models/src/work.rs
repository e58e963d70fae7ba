//! A check of one item by a worker of core, from its start to its answer.

use blocksmith::hot_db::{Effect, Event, HotDb};
use blocksmith::machine::Machine;
use blocksmith::rewinder::{Answer, Job, Worker, WorkerEffect, WorkerEvent};
use blocksmith::toy::Toy;

/// Does a job with a worker of core. The HotDB answers at once, and every claim is granted.
pub(crate) fn work(toy: &Toy, hot_db: &mut HotDb<Toy>, job: Job<Toy>) -> Answer<Toy> {
    let mut worker = Worker::Idle;
    let mut event = WorkerEvent::Start(vec![job]);
    loop {
        let mut next = None;
        for effect in worker.handle(toy, event) {
            match effect {
                WorkerEffect::RequestTrail { root, slot } => {
                    next = Some(WorkerEvent::Trail(hot_db.trail(root, slot)));
                }
                WorkerEffect::RequestCommittees { target } => {
                    next = Some(WorkerEvent::Trail(hot_db.committees(toy, target)));
                }
                WorkerEffect::Claim(_) => next = Some(WorkerEvent::Claimed(true)),
                WorkerEffect::Commit { block, state } => {
                    let effects = hot_db.handle(toy, Event::Commit { block, state });
                    next = effects.into_iter().find_map(|effect| match effect {
                        Effect::Committed(reply) => Some(WorkerEvent::Committed(reply)),
                        Effect::Trail(_) => None,
                    });
                }
                WorkerEffect::PostState(_)
                | WorkerEffect::PostCommittees(_)
                | WorkerEffect::Loaded(_)
                | WorkerEffect::Requeue { .. } => {}
                WorkerEffect::Proceed | WorkerEffect::GiveWay(_) => {
                    next = Some(WorkerEvent::Proceed)
                }
                WorkerEffect::Answer(answer) => return answer,
            }
        }
        event = next.expect("a worker asks or answers");
    }
}
