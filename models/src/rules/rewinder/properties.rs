//! What holds in every state; [`super`] says each in words.

use blocksmith::hot_db::TrailReply;
use blocksmith::rewinder::{Answer, Lane};
use blocksmith::toy::Toy;
use stateright::Property;

use super::model::{Rewinder, State, loaded_twice};
use super::{PART_SLOTS, STEP_VOTES};

/// Returns the word for an answer.
pub(super) fn word(answer: &Answer<Toy>) -> &'static str {
    match answer {
        Answer::Block(_)
        | Answer::Attestation(_)
        | Answer::Vote(_)
        | Answer::Operation(_)
        | Answer::PayloadVote(_)
        | Answer::State(_) => "ok",
        Answer::Invalid(_) | Answer::InvalidVote { .. } => "invalid",
        Answer::UnknownParent => "unknown_parent",
        Answer::Pruned => "pruned",
        Answer::Full => "full",
        Answer::Busy => "busy",
        Answer::Stale => "stale",
        Answer::TooFar => "too_far",
        Answer::Refused => "refused",
        Answer::Produced(_) => "produced",
        Answer::Fault(_) => "fault",
    }
}

pub(super) fn all() -> Vec<Property<Rewinder>> {
    let always = Property::<Rewinder>::always;
    vec![
        always("no deadlock", |model, state| {
            let answered = state.log.answers.iter().all(|answers| answers.len() == 1);
            !model.at_rest(state) || (answered && state.log.loading.is_empty())
        }),
        always("one answer each", |_, state| {
            state.log.answers.iter().all(|answers| answers.len() <= 1)
        }),
        always("right answers", |model, state| {
            let tasks = state.log.answers.iter().zip(&model.tasks);
            tasks.into_iter().all(|(answers, (_, _, allowed))| {
                answers.iter().all(|answer| allowed.contains(answer))
            })
        }),
        always("an idle worker gets what waits", idle_workers_get_what_waits),
        always("nothing waits for a busy worker", |_, state| {
            state.workers.iter().all(|process| {
                let first = usize::from(!process.busy);
                process.given.len() <= first
            })
        }),
        always("duties wait for duties alone", duties_wait_for_duties),
        always("a duty waits for one part", |_, state| state.log.duty_waited <= PART_SLOTS),
        always("a block waits for one step", |_, state| state.log.votes_first_most <= STEP_VOTES),
        always("a stop waits for one part", |_, state| {
            state.workers.iter().all(|process| process.after_stop <= PART_SLOTS)
        }),
        always("a stop waits for one step", |_, state| state.log.votes_after_stop <= STEP_VOTES),
        always("the distance is bounded", |model, state| {
            state.workers.iter().all(|process| process.ran <= model.limits.distance)
        }),
        always("a state is loaded by one", |_, state| !loaded_twice(&state.log)),
        always("a state is replayed once", |_, state| {
            state.log.posts.values().all(|times| *times <= 1)
        }),
        always("one load for a branch and epoch", |model, state| state.log.loads <= model.branches),
        always("a kept state is its block's", |_, state| {
            let blocks = state.clearance.blocks().into_iter();
            blocks.map(|(root, _, slot)| state.hot_db.trail(root, slot)).all(|reply| match reply {
                TrailReply::Trail(trail) => trail.start.state.block == trail.start.root,
                _ => true,
            })
        }),
        always("the fork choice follows", |_, state| {
            // Finality that comes from outside of the model passes Clearance by.
            let blocks = state.clearance.blocks().into_iter();
            state.pruned || blocks.map(|(root, ..)| root).all(|root| state.hot_db.contains(root))
        }),
        always("imported once", |_, state| state.log.imported.values().all(|times| *times <= 1)),
    ]
}

/// What waits and may be taken is known from the tasks and the loads alone, not from the queue.
fn idle_workers_get_what_waits(model: &Rewinder, state: &State) -> bool {
    let waiting = state.log.waiting.iter().filter(|waits| {
        let keys = [waits.key, waits.after];
        !keys.iter().flatten().any(|key| state.log.loading.contains(key))
    });
    let free: Vec<usize> = waiting.map(|waits| waits.task).collect();
    let duty = free.iter().any(|task| model.is_duty(*task));
    (0..model.workers).filter(|worker| !state.workers[*worker].busy).all(|worker| {
        let pulled = model.would_pull(state, worker);
        match pulled.first() {
            Some(first) => free.contains(first) && (!duty || model.is_duty(*first)),
            None => free.is_empty(),
        }
    })
}

fn duties_wait_for_duties(model: &Rewinder, state: &State) -> bool {
    let waits = state.log.waiting.iter().any(|waits| model.is_duty(waits.task));
    let reserved = model.workers;
    let Some(process) = state.workers.get(reserved).filter(|_| waits) else { return true };
    if process.busy {
        process.lane == Some(Lane::Duties)
    } else {
        !model.would_pull(state, reserved).is_empty()
    }
}
