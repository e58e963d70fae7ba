//! Steps and states of the composition, in few words: for counterexamples and the Explorer.

use std::fmt;

use blocksmith::clearance;
use blocksmith::hot_db::TrailReply;
use blocksmith::quarantine::{Effect, Item};
use blocksmith::rewinder::{Answer, Job, Role, Worker, WorkerEffect, WorkerEvent};
use blocksmith::toy::{Toy, ToyAttestation, ToyBlock};

use super::pipeline::{Action, Pipeline, State};
use super::process::{
    ClearanceWork, QuarantineWork, Requester, ToClearance, ToHotDb, ToQuarantine,
};

impl Pipeline {
    /// Returns a line for a step: actor, operation, object, value.
    pub(super) fn describe(&self, state: &State, action: Action) -> String {
        let (actor, does) = match action {
            Action::Submit(index) => {
                ("network".to_owned(), format!("submits {}", item(&self.scenario.items[index].0)))
            }
            Action::Query(index) => {
                let (root, slot) = self.scenario.queries[index];
                ("client".to_owned(), format!("asks for the state of {root} at {slot}"))
            }
            Action::Tick => ("clock".to_owned(), format!("ticks to slot {}", state.slot + 1)),
            Action::Stop => ("blocksmith".to_owned(), "sends the stop".to_owned()),
            Action::Park => {
                ("quarantine".to_owned(), "parks the block it had looked up".to_owned())
            }
            Action::Quarantine => ("quarantine".to_owned(), quarantine_step(state)),
            Action::Clearance => ("clearance".to_owned(), clearance_step(state)),
            Action::HotDb => ("hot_db".to_owned(), hot_db_step(state)),
            Action::Worker(index) => (format!("worker {index}"), worker_step(state, index)),
        };
        format!("{actor:<11} {does}")
    }
}

fn quarantine_step(state: &State) -> String {
    match (state.quarantine.work.front(), state.quarantine.mailbox.front()) {
        (Some(work), _) => quarantine_work(work),
        (None, Some(message)) => format!("takes {}", to_quarantine(message)),
        (None, None) => String::new(),
    }
}

fn clearance_step(state: &State) -> String {
    match (state.clearance.work.front(), state.clearance.mailbox.front()) {
        (Some(work), _) => clearance_work(work),
        (None, Some(message)) => format!("takes {}", to_clearance(message)),
        (None, None) => String::new(),
    }
}

fn hot_db_step(state: &State) -> String {
    match (&state.hot_db.waits_for, state.hot_db.mailbox.front()) {
        (Some(lending), _) => format!("has its state, replies to worker {}", lending.to.worker),
        (None, Some(message)) => format!("takes {}", to_hot_db(message)),
        (None, None) => String::new(),
    }
}

fn worker_step(state: &State, index: usize) -> String {
    let worker = &state.workers[index];
    match (worker.work.front(), &worker.inbox) {
        (Some(effect), _) => worker_effect(effect, worker.requesters.front()),
        (None, Some(event)) => format!("takes {}", worker_event(event)),
        (None, None) => {
            let tasks = state.lanes.clone().pull(Role::General, state.others_free());
            format!("pulls {}", jobs(tasks.iter().map(|task| &task.job)))
        }
    }
}

fn block(block: &ToyBlock) -> String {
    let kind = match (block.valid, block.signed) {
        (false, _) => "invalid ",
        (_, false) => "forged ",
        _ => "",
    };
    format!("{kind}block {} on {} at {}", block.root, block.parent, block.slot)
}

fn attestation(attestation: &ToyAttestation) -> String {
    format!("attestation {} to {}", attestation.id, attestation.head)
}

fn item(item: &Item<Toy>) -> String {
    match item {
        Item::Block(inner) => block(inner),
        Item::Attestation(inner) => attestation(inner),
    }
}

fn job(job: &Job<Toy>) -> String {
    match job {
        Job::Block(inner) => block(inner),
        Job::Attestation(inner) => attestation(inner),
        Job::State { root, slot } => format!("state of {root} at {slot}"),
    }
}

fn jobs<'a>(list: impl Iterator<Item = &'a Job<Toy>>) -> String {
    list.map(job).collect::<Vec<_>>().join(" and ")
}

fn answer(answer: &Answer<Toy>) -> String {
    match answer {
        Answer::Block(cleared) => format!("valid {}", block(cleared.item())),
        Answer::Attestation(cleared) => format!("valid {}", attestation(cleared.item())),
        Answer::State(at) => format!("{at:?}"),
        Answer::Invalid(reason) => format!("invalid ({})", reason.word()),
        other => format!("{other:?}"),
    }
}

fn to_quarantine(message: &ToQuarantine) -> String {
    match message {
        ToQuarantine::Submit { id, item: inner } => format!("item {id}, {}", item(inner.item())),
        ToQuarantine::Tick { slot } => format!("tick of slot {slot}"),
        ToQuarantine::Stop => "stop".to_owned(),
        ToQuarantine::Answered { request, answer: inner } => {
            format!("answer to request {request}: {}", answer(inner))
        }
        ToQuarantine::Imported { finalized, .. } => {
            format!("imported, finalized {}", finalized.root)
        }
    }
}

fn quarantine_work(work: &QuarantineWork) -> String {
    match work {
        QuarantineWork::TellSlot(slot) => format!("sends clearance slot {slot}"),
        QuarantineWork::Machine(effect) => match effect {
            Effect::Check { request, job: inner } => {
                format!("submits request {request}: {}", job(inner))
            }
            Effect::ClearBlock { block: cleared, .. } => {
                format!("sends clearance {}", block(cleared.item()))
            }
            Effect::ClearAttestation { attestation: cleared, .. } => {
                format!("sends clearance {}", attestation(cleared.item()))
            }
            Effect::Verdict { id, verdict } => format!("answers item {id}: {}", verdict.reason()),
            other => format!("{other:?}"),
        },
    }
}

fn to_clearance(message: &ToClearance) -> String {
    match message {
        ToClearance::Block { block: cleared, .. } => block(cleared.item()),
        ToClearance::Attestation { attestation: cleared, .. } => attestation(cleared.item()),
        ToClearance::Tick { slot } => format!("tick of slot {slot}"),
        ToClearance::Balances { checkpoint, balances } => {
            let kind = if balances.is_some() { "balances" } else { "no balances" };
            format!("{kind} of checkpoint {}", checkpoint.root)
        }
    }
}

fn clearance_work(work: &ClearanceWork) -> String {
    match work {
        ClearanceWork::Reply(_) => "replies to quarantine: imported".to_owned(),
        ClearanceWork::Machine(clearance::Effect::Prune { finalized, head, .. }) => {
            format!("sends hot_db prune, finalized {}, head {head}", finalized.root)
        }
        ClearanceWork::Machine(clearance::Effect::RequestBalances(checkpoint)) => {
            format!("submits a request for the balances of {}", checkpoint.root)
        }
        ClearanceWork::Machine(other) => format!("{other:?}"),
    }
}

fn to_hot_db(message: &ToHotDb) -> String {
    match message {
        ToHotDb::Trail { root, slot, reply } => {
            format!("request for the trail of {root} at {slot} by worker {}", reply.worker)
        }
        ToHotDb::Commit { block: inner, .. } => format!("commit of {}", block(inner)),
        ToHotDb::PostState(at) => format!("posted {at:?}"),
        ToHotDb::Prune { finalized, head, .. } => {
            format!("prune, finalized {}, head {head}", finalized.root)
        }
    }
}

fn worker_effect(effect: &WorkerEffect<Toy>, requester: Option<&Requester>) -> String {
    match effect {
        WorkerEffect::RequestTrail { root, slot } => {
            format!("asks hot_db for the trail of {root} at {slot}")
        }
        WorkerEffect::Commit { block: inner, .. } => format!("sends hot_db {}", block(inner)),
        WorkerEffect::PostState(at) => format!("posts {at:?} to hot_db"),
        WorkerEffect::Loaded((root, slot)) => format!("has loaded the state of {root} at {slot}"),
        WorkerEffect::Proceed => "verifies".to_owned(),
        WorkerEffect::Answer(inner) => {
            let to = match requester {
                Some(Requester::Quarantine(request)) => format!("quarantine's request {request}"),
                Some(Requester::Clearance(_)) => "clearance".to_owned(),
                Some(Requester::Query(index)) => format!("query {index}"),
                Some(Requester::HotDb) => "hot_db".to_owned(),
                None => "nobody".to_owned(),
            };
            format!("answers {to}: {}", answer(inner))
        }
    }
}

fn worker_event(event: &WorkerEvent<Toy>) -> String {
    match event {
        WorkerEvent::Start(inner) => jobs(inner.iter()),
        WorkerEvent::Trail(TrailReply::Trail(trail)) => {
            format!("trail of {} blocks from {:?}", trail.blocks.len(), trail.start)
        }
        WorkerEvent::Trail(reply) => format!("{reply:?}"),
        WorkerEvent::Committed(reply) => format!("{reply:?}"),
        WorkerEvent::Proceed => "its word to go on".to_owned(),
        WorkerEvent::HotDbGone => "loss of the HotDB".to_owned(),
    }
}

impl fmt::Debug for State {
    /// Lists every process with what it holds; the machines themselves are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, name: &str, parts: Vec<String>| {
            writeln!(f, "  {name:<11} {}", parts.join("; "))
        };
        let quarantine = &self.quarantine;
        let mut parts: Vec<_> = quarantine.work.iter().map(quarantine_work).collect();
        parts.extend(quarantine.mailbox.iter().map(|m| format!("mail: {}", to_quarantine(m))));
        let orphans = quarantine.orphans.looked_up.iter().chain(&quarantine.orphans.parked);
        parts.extend(orphans.map(|(_, inner)| format!("aside: {}", item(inner.item()))));
        let pending = quarantine.machine.pending();
        parts.extend(pending.iter().map(|(id, why)| format!("item {id}: {}", why.word())));
        list(f, "quarantine", parts)?;
        let mut parts: Vec<_> = self.clearance.work.iter().map(clearance_work).collect();
        parts.extend(self.clearance.mailbox.iter().map(|m| format!("mail: {}", to_clearance(m))));
        parts.push(format!("head {}", self.clearance.machine.view().head));
        list(f, "clearance", parts)?;
        let mut parts: Vec<_> =
            self.hot_db.mailbox.iter().map(|m| format!("mail: {}", to_hot_db(m))).collect();
        let waits = self.hot_db.waits_for.iter();
        parts.extend(waits.map(|l| format!("waits for a state, worker {} for it", l.to.worker)));
        list(f, "hot_db", parts)?;
        for (index, worker) in self.workers.iter().enumerate() {
            let mut parts: Vec<_> = worker
                .work
                .iter()
                .map(|effect| worker_effect(effect, worker.requesters.front()))
                .collect();
            parts.extend(worker.inbox.iter().map(|event| format!("mail: {}", worker_event(event))));
            parts.push(match &worker.machine {
                Worker::Idle => "idle".to_owned(),
                Worker::AwaitTrail(inner) => {
                    format!("waits for the trail for {}", jobs(inner.iter()))
                }
                Worker::Verify { attestations, .. } => {
                    format!("has {} attestations to verify", attestations.len())
                }
                Worker::AwaitCommit(_) => "waits for the acknowledgement".to_owned(),
            });
            list(f, &format!("worker {index}"), parts)?;
        }
        list(f, "lanes", vec![format!("{} tasks wait", self.lanes.waiting())])?;
        list(f, "committed", vec![format!("{:?}", self.committed)])?;
        list(f, "answers", vec![format!("{:?} {:?}", self.answers, self.query_answers)])
    }
}
