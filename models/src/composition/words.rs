//! Steps and states of the composition in words: for counterexamples and the Explorer.

use std::fmt;

use blocksmith::clearance;
use blocksmith::clearance::Import;
use blocksmith::hot_db::{Prune, TrailReply};
use blocksmith::quarantine::{Effect, Item};
use blocksmith::rewinder::{Answer, Job, Role, Worker, WorkerEffect, WorkerEvent};
use blocksmith::toy::{Toy, ToyAttestation, ToyBlock};

use blocksmith_engines::counterexample::{Stand, Words};

use super::pipeline::{Action, Pipeline, State};
use super::process::{
    ClearanceWork, QuarantineWork, Requester, ToClearance, ToHotDb, ToQuarantine,
};

impl Pipeline {
    /// Returns a line for a step: actor, operation, object and value.
    pub(super) fn describe(&self, state: &State, action: Action) -> String {
        let (actor, does) = self.tell(state, action);
        format!("{actor:<11} {does}")
    }

    /// Returns the actor of a step, and what it does.
    fn tell(&self, state: &State, action: Action) -> (String, String) {
        match action {
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
        }
    }

    /// Returns whether a process has something to do that it cannot do now.
    fn is_blocked(&self, state: &State, action: Action) -> bool {
        let mut actions = Vec::new();
        self.steps(state, &mut actions);
        actions.contains(&action) && self.step(state, action).is_none()
    }

    /// Says what Quarantine waits for, and the processes that could let it go on.
    fn quarantine_waits(&self, state: &State) -> Option<(&'static str, Vec<String>)> {
        if !self.is_blocked(state, Action::Quarantine) {
            return None;
        }
        match state.wires.quarantine.work.front() {
            Some(QuarantineWork::Effect(Effect::Check { .. })) => {
                Some(("room in the lanes", workers(state)))
            }
            _ => Some(("room in clearance's mailbox", vec!["clearance".to_owned()])),
        }
    }

    fn clearance_waits(&self, state: &State) -> Option<(&'static str, Vec<String>)> {
        if !self.is_blocked(state, Action::Clearance) {
            return None;
        }
        match state.wires.clearance.work.front() {
            Some(ClearanceWork::Effect(clearance::Effect::RequestBalances(_))) => {
                Some(("room in the lanes", workers(state)))
            }
            Some(ClearanceWork::Taken(_) | ClearanceWork::Lost(_)) => {
                Some(("room in quarantine's mailbox", vec!["quarantine".to_owned()]))
            }
            _ => Some(("room in hot_db's mailbox", vec!["hot_db".to_owned()])),
        }
    }

    fn worker_waits(&self, state: &State, index: usize) -> Option<(&'static str, Vec<String>)> {
        let hot_db = || vec!["hot_db".to_owned()];
        let line = &state.wires.workers[index];
        if !line.is_quiet() {
            if !self.is_blocked(state, Action::Worker(index)) {
                return None;
            }
            return match line.work.front() {
                Some(WorkerEffect::Answer(_)) => {
                    Some(("room in quarantine's mailbox", vec!["quarantine".to_owned()]))
                }
                _ => Some(("room in hot_db's mailbox", hot_db())),
            };
        }
        match state.machines.workers[index].machine() {
            Worker::AwaitTrail(_) => Some(("the trail from hot_db", hot_db())),
            Worker::AwaitCommit(_) => Some(("the acknowledgement of hot_db", hot_db())),
            _ => None,
        }
    }
}

/// Returns the names of the workers.
fn workers(state: &State) -> Vec<String> {
    (0..state.wires.workers.len()).map(|index| format!("worker {index}")).collect()
}

/// Tells of the composition in counterexamples.
pub(super) struct InWords;

impl Words<Pipeline> for InWords {
    fn step(&self, model: &Pipeline, state: &State, action: &Action) -> (String, String) {
        model.tell(state, *action)
    }

    fn objects(&self, _: &Pipeline, state: &State) -> Vec<(String, String)> {
        state.parts().into_iter().map(|(name, parts)| (name, parts.join("; "))).collect()
    }

    fn stands(&self, model: &Pipeline, state: &State) -> Vec<Stand> {
        let lending = state.wires.waits_for.as_ref().filter(|lending| lending.given.is_none());
        let hot_db = lending.map(|_| ("a state that a worker is to make", workers(state)));
        let mut all = vec![
            ("quarantine".to_owned(), model.quarantine_waits(state)),
            ("clearance".to_owned(), model.clearance_waits(state)),
            ("hot_db".to_owned(), hot_db),
        ];
        let names = workers(state).into_iter().enumerate();
        all.extend(names.map(|(index, name)| (name, model.worker_waits(state, index))));
        let parts = state.parts();
        let stand = |(process, waits): (String, Option<(&str, Vec<String>)>)| {
            let has = parts.iter().find(|(name, _)| *name == process);
            let has = has.map_or_else(String::new, |(_, parts)| parts.join("; "));
            let (what, waits_for) = match waits {
                Some((for_what, whom)) => (format!("waits for {for_what} ({has})"), whom),
                None if has.is_empty() => ("has nothing to do".to_owned(), Vec::new()),
                None => (has, Vec::new()),
            };
            Stand { process, what, waits_for }
        };
        all.into_iter().map(stand).collect()
    }
}

fn quarantine_step(state: &State) -> String {
    match (state.wires.quarantine.work.front(), state.wires.quarantine.mailbox.front()) {
        (Some(work), _) => quarantine_work(work),
        (None, Some(message)) => format!("takes {}", to_quarantine(message)),
        (None, None) => String::new(),
    }
}

fn clearance_step(state: &State) -> String {
    match (state.wires.clearance.work.front(), state.wires.clearance.mailbox.front()) {
        (Some(work), _) => clearance_work(work),
        (None, Some(message)) => format!("takes {}", to_clearance(message)),
        (None, None) => String::new(),
    }
}

fn hot_db_step(state: &State) -> String {
    match (&state.wires.waits_for, state.wires.hot_db.front()) {
        (Some(lending), _) => format!("has its state, replies to worker {}", lending.to.worker),
        (None, Some(message)) => format!("takes {}", to_hot_db(message)),
        (None, None) => String::new(),
    }
}

fn worker_step(state: &State, index: usize) -> String {
    let worker = &state.wires.workers[index];
    match (worker.work.front(), &worker.inbox) {
        (Some(effect), _) => worker_effect(effect, state.machines.workers[index].replies().next()),
        (None, Some(event)) => format!("takes {}", worker_event(event)),
        (None, None) => {
            let tasks = state.wires.lanes.clone().pull(Role::General, state.others_free());
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

pub(crate) fn item(item: &Item<Toy>) -> String {
    match item {
        Item::Block(inner) => block(inner),
        Item::Attestation(inner) => attestation(inner),
        other => format!("{other:?}"),
    }
}

pub(crate) fn job(job: &Job<Toy>) -> String {
    match job {
        Job::Block(inner) => block(inner.item()),
        Job::Attestation(inner) => attestation(inner.item()),
        Job::State { root, slot } => format!("state of {root} at {slot}"),
        other => format!("{other:?}"),
    }
}

pub(crate) fn jobs<'a>(list: impl Iterator<Item = &'a Job<Toy>>) -> String {
    list.map(job).collect::<Vec<_>>().join(" and ")
}

pub(crate) fn answer(answer: &Answer<Toy>) -> String {
    match answer {
        Answer::Block(cleared) => format!("valid {}", block(cleared.item().item())),
        Answer::Attestation(cleared) => format!("valid {}", attestation(cleared.item().item())),
        Answer::State(at) => format!("{at:?}"),
        Answer::Invalid(reason) => format!("invalid ({})", reason.word()),
        other => format!("{other:?}"),
    }
}

fn to_quarantine(message: &ToQuarantine) -> String {
    match message {
        ToQuarantine::Submit { id, item: inner, .. } => {
            format!("item {id}, {}", item(inner.item()))
        }
        ToQuarantine::Tick { slot, .. } => format!("tick of slot {slot}"),
        ToQuarantine::Weigh { peer, weight } => format!("weight {weight} of peer {peer}"),
        ToQuarantine::Payload { root } => format!("payload of block {root}"),
        ToQuarantine::Stop => "stop".to_owned(),
        ToQuarantine::Answered { request, answer: inner } => {
            format!("answer to request {request}: {}", answer(inner))
        }
        ToQuarantine::Imported { finalized, .. } => {
            format!("imported, finalized {}", finalized.root)
        }
        ToQuarantine::NotImported { request } => format!("request {request} not imported"),
        ToQuarantine::Pending(never) => match *never {},
    }
}

fn quarantine_work(work: &QuarantineWork) -> String {
    match work {
        QuarantineWork::TellSlot(slot) => format!("sends clearance slot {slot}"),
        QuarantineWork::Event(event) => format!("goes on with {event:?}"),
        QuarantineWork::Effect(effect) => match effect {
            Effect::Check { request, job: inner, .. } => {
                format!("submits request {request}: {}", job(inner))
            }
            Effect::ClearBlock { block: cleared, .. } => {
                format!("sends clearance {}", block(cleared.item().item()))
            }
            Effect::ClearAttestation { attestation: cleared, .. } => {
                format!("sends clearance {}", attestation(cleared.item().item()))
            }
            Effect::Verdict { id, verdict } => format!("answers item {id}: {}", verdict.reason()),
            other => format!("{other:?}"),
        },
    }
}

fn to_clearance(message: &ToClearance) -> String {
    match message {
        ToClearance::Import { import, .. } => match import {
            Import::Block { block: cleared, .. } => block(cleared.item().item()),
            Import::Attestation(cleared) => attestation(cleared.item().item()),
            Import::Tick { slot } => format!("tick of slot {slot}"),
            other => format!("{other:?}"),
        },
        ToClearance::View(never)
        | ToClearance::Chain(never)
        | ToClearance::Material { reply: never, .. } => match *never {},
        ToClearance::Balances { checkpoint, balances } => {
            let kind = if balances.is_some() { "balances" } else { "no balances" };
            format!("{kind} of checkpoint {}", checkpoint.root)
        }
        ToClearance::Spent(operations) => format!("{} spent operations", operations.len()),
    }
}

fn clearance_work(work: &ClearanceWork) -> String {
    match work {
        ClearanceWork::Record(record) => format!("gives cold_db {record:?}"),
        ClearanceWork::Taken(_) => "replies to quarantine: imported".to_owned(),
        ClearanceWork::Lost(_) => "replies to quarantine: not imported".to_owned(),
        ClearanceWork::Effect(clearance::Effect::Prune(Prune { finalized, head, .. })) => {
            format!("sends hot_db prune, finalized {}, head {head}", finalized.root)
        }
        ClearanceWork::Effect(clearance::Effect::RequestBalances(checkpoint)) => {
            format!("submits a request for the balances of {}", checkpoint.root)
        }
        ClearanceWork::Effect(other) => format!("{other:?}"),
    }
}

fn to_hot_db(message: &ToHotDb) -> String {
    match message {
        ToHotDb::Trail { root, slot, reply } => {
            format!("request for the trail of {root} at {slot} by worker {}", reply.worker)
        }
        ToHotDb::Committees { target, reply } => {
            format!("committees of {target:?} for worker {}", reply.worker)
        }
        ToHotDb::PostCommittees(at) => format!("posted {at:?}"),
        ToHotDb::Commit { block: inner, .. } => format!("commit of {}", block(inner.item())),
        ToHotDb::PostState(at) => format!("posted {at:?}"),
        ToHotDb::Prune(Prune { finalized, head, .. }) => {
            format!("prune, finalized {}, head {head}", finalized.root)
        }
    }
}

fn worker_effect(effect: &WorkerEffect<Toy>, requester: Option<&Requester>) -> String {
    match effect {
        WorkerEffect::RequestTrail { root, slot } => {
            format!("asks hot_db for the trail of {root} at {slot}")
        }
        WorkerEffect::RequestCommittees { target } => {
            format!("asks hot_db for the committees of {target:?}")
        }
        WorkerEffect::Claim((root, slot)) => format!("claims the state of {root} at {slot}"),
        WorkerEffect::Requeue { after: (root, slot), .. } => {
            format!("puts its tasks back until the state of {root} at {slot} is loaded")
        }
        WorkerEffect::PostCommittees(at) => format!("posts {at:?} to hot_db"),
        WorkerEffect::GiveWay(_) => "gives way".to_owned(),
        WorkerEffect::Commit { block: inner, .. } => {
            format!("sends hot_db {}", block(inner.item()))
        }
        WorkerEffect::PostState(at) => format!("posts {at:?} to hot_db"),
        WorkerEffect::Loaded((root, slot)) => format!("has loaded the state of {root} at {slot}"),
        WorkerEffect::Proceed => "verifies".to_owned(),
        WorkerEffect::Answer(inner) => {
            let to = match requester {
                Some(Requester::Quarantine(request)) => format!("quarantine's request {request}"),
                Some(Requester::Clearance(_)) => "clearance".to_owned(),
                Some(Requester::Query(index)) => format!("query {index}"),
                Some(Requester::HotDb(_)) => "hot_db".to_owned(),
                None => "nobody".to_owned(),
            };
            format!("answers {to}: {}", answer(inner))
        }
    }
}

pub(crate) fn worker_event(event: &WorkerEvent<Toy>) -> String {
    match event {
        WorkerEvent::Start(inner) => jobs(inner.iter()),
        WorkerEvent::Trail(TrailReply::Trail(trail)) => {
            format!("trail of {} blocks from {:?}", trail.blocks.len(), trail.start)
        }
        WorkerEvent::Trail(reply) => format!("{reply:?}"),
        WorkerEvent::Committed(reply) => format!("{reply:?}"),
        WorkerEvent::Claimed(claimed) => format!("its claim: {claimed}"),
        WorkerEvent::Proceed => "its word to go on".to_owned(),
        WorkerEvent::Stop => "its word to stop".to_owned(),
        WorkerEvent::HotDbGone => "loss of the HotDB".to_owned(),
    }
}

impl State {
    /// Returns every process with what it holds. The content of the machines is left out.
    fn parts(&self) -> Vec<(String, Vec<String>)> {
        let mut all = vec![
            ("quarantine".to_owned(), self.quarantine_parts()),
            ("clearance".to_owned(), self.clearance_parts()),
            ("hot_db".to_owned(), self.hot_db_parts()),
        ];
        let wires = &self.wires;
        let workers = 0..wires.workers.len();
        all.extend(workers.map(|index| (format!("worker {index}"), self.worker_parts(index))));
        let waiting = format!("{} tasks wait", wires.lanes.waiting());
        let answers = format!("{:?} {:?}", wires.answers, wires.query_answers);
        all.push(("lanes".to_owned(), vec![waiting]));
        all.push(("committed".to_owned(), vec![format!("{:?}", wires.committed)]));
        all.push(("answers".to_owned(), vec![answers]));
        all
    }

    fn quarantine_parts(&self) -> Vec<String> {
        let Self { machines, wires, .. } = self;
        let mut parts: Vec<_> = wires.quarantine.work.iter().map(quarantine_work).collect();
        let mail = wires.quarantine.mailbox.iter();
        parts.extend(mail.map(|message| format!("mail: {}", to_quarantine(message))));
        let orphans = wires.orphans.looked_up.iter().chain(&wires.orphans.parked);
        parts.extend(orphans.map(|(_, inner)| format!("aside: {}", item(inner.item()))));
        let pending = machines.quarantine.pending();
        parts.extend(pending.iter().map(|(id, why)| format!("item {id}: {}", why.word())));
        parts
    }

    fn clearance_parts(&self) -> Vec<String> {
        let Self { machines, wires, .. } = self;
        let mut parts: Vec<_> = wires.clearance.work.iter().map(clearance_work).collect();
        let mail = wires.clearance.mailbox.iter();
        parts.extend(mail.map(|message| format!("mail: {}", to_clearance(message))));
        parts.push(format!("head {}", machines.clearance.view().head));
        parts
    }

    fn hot_db_parts(&self) -> Vec<String> {
        let wires = &self.wires;
        let mail = wires.hot_db.iter();
        let mut parts: Vec<_> = mail.map(|m| format!("mail: {}", to_hot_db(m))).collect();
        let waits = wires.waits_for.iter();
        parts.extend(waits.map(|l| format!("waits for a state, worker {} for it", l.to.worker)));
        parts
    }

    fn worker_parts(&self, index: usize) -> Vec<String> {
        let (line, hands) = (&self.wires.workers[index], &self.machines.workers[index]);
        let next = hands.replies().next();
        let work = line.work.iter();
        let mut parts: Vec<_> = work.map(|effect| worker_effect(effect, next)).collect();
        parts.extend(line.inbox.iter().map(|event| format!("mail: {}", worker_event(event))));
        parts.push(worker_words(hands.machine()));
        parts
    }
}

/// Says what a worker does or waits for.
pub(crate) fn worker_words(worker: &Worker<Toy>) -> String {
    match worker {
        Worker::Idle => "idle".to_owned(),
        Worker::AwaitTrail(inner) => {
            format!("waits for the trail for {}", jobs(inner.iter()))
        }
        Worker::AwaitClaim(load) => format!("claims for {}", jobs(load.jobs().iter())),
        Worker::AwaitAgain(load) => format!("looks again for {}", jobs(load.jobs().iter())),
        Worker::Load(load) => format!("loads for {}", jobs(load.jobs().iter())),
        Worker::Verify(batch) => format!("has {} attestations to verify", batch.left()),
        Worker::AwaitCommit(_) => "waits for the acknowledgement".to_owned(),
    }
}

impl fmt::Debug for State {
    /// Lists every process with what it holds, one a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        parts.iter().try_for_each(|(name, parts)| writeln!(f, "  {name:<11} {}", parts.join("; ")))
    }
}
