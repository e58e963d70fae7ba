//! The ends that the shells talk to in the composition.
//!
//! Every end leads into a mailbox of the model, into a lane, or to an observer. No end ever waits:
//! a send that finds no room marks the step as impossible.

use std::convert::Infallible;

use blocksmith::clearance::ChainView;
use blocksmith::clearance::Import;
use blocksmith::clearance::Material;
use blocksmith::clearance::shell::{Chain, Request, STATE_REQUESTS};
use blocksmith::consensus::{Checkpoint, Consensus, Slot};
use blocksmith::hot_db::{CommitReply, CommitteesAt, Prune, StateAt, TrailReply};
use blocksmith::identified::IdentifiedBlock;
use blocksmith::notice::{Notice, NoticeOf};
use blocksmith::quarantine::{Item, ItemId, RequestId};
use blocksmith::rewinder::shell::Task;
use blocksmith::rewinder::{Answer, GoesFirst, Job, Lane, StateKey, WorkerEffect, WorkerEvent};
use blocksmith::toy::{Toy, ToyInvalid, ToyRoot};
use blocksmith::verdict::{PendingReason, Verdict};
use blocksmith::{clearance, quarantine, rewinder};

use super::pipeline::Pipeline;
use super::process::{AckTo, Requester, ToClearance, ToHotDb, ToQuarantine, TrailTo, Wires};
use super::scenario::Fault;

/// The ends of one step.
pub(super) struct Ends<'a> {
    pub(super) model: &'a Pipeline,
    pub(super) wires: &'a mut Wires,
    /// Whether a send found no room, in which case the step is not possible now.
    pub(super) blocked: bool,
    /// The block whose verdict was "valid" in this step, if there was one.
    pub(super) accepted: Option<ToyRoot>,
}

impl<'a> Ends<'a> {
    pub(super) fn new(model: &'a Pipeline, wires: &'a mut Wires) -> Self {
        Self { model, wires, blocked: false, accepted: None }
    }

    fn send_clearance(&mut self, message: ToClearance) {
        let requests = self.wires.clearance.mailbox.iter().filter(|message| !message.is_reply());
        self.blocked |= requests.count() >= self.model.scenario.capacity;
        self.wires.clearance.mailbox.push_back(message);
    }

    fn send_hot_db(&mut self, message: ToHotDb) {
        self.blocked |= self.wires.hot_db.len() >= self.model.scenario.capacity;
        self.wires.hot_db.push_back(message);
    }

    /// Sends a reply to Quarantine. The reply has a slot of its own, unless the fault takes it
    /// away.
    fn reply_to_quarantine(&mut self, message: ToQuarantine) {
        let mailbox = &mut self.wires.quarantine.mailbox;
        let shared = self.model.has(Fault::NoReservedSlots);
        self.blocked |= shared && mailbox.len() >= self.model.scenario.capacity;
        mailbox.push_back(message);
    }

    /// Gives a task to the Rewinder.
    pub(super) fn submit(&mut self, lane: Lane, job: Job<Toy>, requester: Requester) {
        let lent = matches!(requester, Requester::HotDb(_));
        let task = Task::new(&self.model.toy, lane, job, requester).and_then(|task| {
            let key = task.key.filter(|_| !lent);
            let task = Task { key, ..task };
            match task.reply {
                Requester::Clearance(_) => task.submit_own(&mut self.wires.lanes),
                _ => task.submit(&mut self.wires.lanes),
            }
        });
        if let Err((requester, answer)) = task {
            self.wires.refused += 1;
            self.answer_task(requester, answer);
        }
    }

    /// Gives an item to the Rewinder.
    pub(super) fn hand_over(&mut self, request: RequestId, lane: Lane, job: Job<Toy>) {
        let wires = &mut *self.wires;
        if let Job::Block(block) = &job {
            let block = block.item();
            if !wires.committed.contains(&block.parent) {
                wires.too_early.insert(block.root);
            }
            if !wires.checked.insert((block.root, block.signed)) {
                wires.checked_again.insert(block.root);
            }
        }
        let waits = self.model.has(Fault::NoReservedSlots);
        self.blocked |= waits && self.wires.lanes.waiting() >= self.model.lane_capacity();
        self.submit(lane, job, Requester::Quarantine(request));
    }

    fn answer_task(&mut self, requester: Requester, answer: Answer<Toy>) {
        match requester {
            Requester::Quarantine(request) => {
                self.reply_to_quarantine(ToQuarantine::Answered { request, answer });
            }
            Requester::Clearance(checkpoint) => {
                let request = Request::Balances(checkpoint);
                let message = ToClearance::reply(&self.model.toy, request, answer);
                self.wires.clearance.mailbox.push_back(message);
            }
            Requester::Query(index) => self.wires.query_answers[index] += 1,
            Requester::HotDb(_) => {
                if let (Some(lending), Answer::State(at)) = (&mut self.wires.waits_for, answer) {
                    lending.given = Some(at);
                }
            }
        }
    }

    fn import_is(&mut self, request: Option<RequestId>, outcome: Option<Checkpoint<ToyRoot>>) {
        let message = ToQuarantine::of_import(request, outcome);
        message.into_iter().for_each(|message| self.reply_to_quarantine(message));
    }
}

impl quarantine::shell::Ports<Toy> for Ends<'_> {
    type Verdict = ();
    type Question = Infallible;
    type Slot = ();

    fn keep(&mut self, _: ItemId, (): ()) {}

    fn verdict(&mut self, id: ItemId, verdict: Verdict<ToyRoot, ToyInvalid>) {
        let index = id as usize;
        self.wires.answers[index].push(verdict.reason());
        if let Item::Block(block) = &self.model.scenario.items[index].0
            && verdict.class() == "valid"
        {
            if !self.wires.committed.contains(&block.root) {
                self.wires.too_early.insert(block.root);
            }
            self.accepted = Some(block.root);
        }
    }

    fn forget(&mut self) {}

    fn note_held(&mut self) {}

    fn pending(&mut self, to: Infallible, _: Vec<(ItemId, PendingReason)>) {
        match to {}
    }

    fn reserve(&mut self) -> Option<()> {
        self.wires.reserved += 1;
        Some(())
    }

    fn check(&mut self, (): (), request: RequestId, lane: Lane, job: Job<Toy>) {
        self.hand_over(request, lane, job);
    }

    fn import(&mut self, (): (), reply: Option<RequestId>, import: Import<Toy>) {
        if self.model.has(Fault::TwoClocks) && matches!(import, Import::Tick { .. }) {
            self.wires.reserved -= 1;
        } else {
            self.send_clearance(ToClearance::Import { import, reply });
        }
    }

    fn head(&mut self) -> Option<ToyRoot> {
        // No scenario has an operation.
        None
    }

    fn chain(&mut self) -> Option<Chain<ToyRoot>> {
        None
    }

    fn tell(&mut self, _: NoticeOf<Toy>) {}
}

impl clearance::shell::Ports<Toy> for Ends<'_> {
    type Receipt = Option<RequestId>;
    type View = Infallible;
    type Chain = Infallible;
    type Candidates = Infallible;
    type Slot = ();

    fn wants_detection(&self) -> bool {
        true
    }

    fn view(&mut self, to: Infallible, _: ChainView<ToyRoot>) {
        match to {}
    }

    fn chain(&mut self, to: Infallible, _: Chain<ToyRoot>) {
        match to {}
    }

    fn candidates(&mut self, to: Infallible, _: Material<Toy>) {
        match to {}
    }

    fn prune(&mut self, keep: Prune<ToyRoot>) {
        self.send_hot_db(ToHotDb::Prune(keep));
    }

    fn reserve(&mut self) -> Option<()> {
        (self.wires.asked < STATE_REQUESTS).then(|| self.wires.asked += 1)
    }

    fn request(&mut self, (): (), request: Request<Toy>, lane: Lane, job: Job<Toy>) {
        // No scenario has an operation, so none is asked about.
        if let Request::Balances(checkpoint) = request {
            self.submit(lane, job, Requester::Clearance(checkpoint));
        }
    }

    fn tell(&mut self, notice: NoticeOf<Toy>) {
        if let Notice::NotImported { root, .. } = notice {
            self.wires.missing.insert(root);
        }
    }

    fn taken(&mut self, to: Option<RequestId>, finalized: Checkpoint<ToyRoot>) {
        self.import_is(to, Some(finalized));
    }

    fn lost(&mut self, to: Option<RequestId>) {
        self.import_is(to, None);
    }
}

/// The ends of one step of a worker.
pub(super) struct WorkerEnds<'a> {
    pub(super) ends: Ends<'a>,
    pub(super) worker: usize,
    /// The trail that came with the task. Only the fault R3 sets it.
    pub(super) lent: Option<TrailReply<Toy>>,
    /// Whether every task in hand has its answer. It matters only with the fault R6.
    pub(super) answered: bool,
}

impl rewinder::shell::Ports<Toy> for WorkerEnds<'_> {
    type Reply = Requester;

    fn trail(&mut self, root: ToyRoot, slot: Slot) -> Option<WorkerEvent<Toy>> {
        if let Some(lent) = self.lent.take() {
            return Some(WorkerEvent::Trail(lent));
        }
        let reply = TrailTo { worker: self.worker, root, slot };
        self.ends.send_hot_db(ToHotDb::Trail { root, slot, reply });
        None
    }

    fn committees(&mut self, target: Checkpoint<ToyRoot>) -> Option<WorkerEvent<Toy>> {
        let slot = self.ends.model.toy.start_slot(target.epoch);
        let reply = TrailTo { worker: self.worker, root: target.root, slot };
        self.ends.send_hot_db(ToHotDb::Committees { target, reply });
        None
    }

    fn commit(
        &mut self,
        block: IdentifiedBlock<Toy>,
        state: StateAt<Toy>,
    ) -> Option<WorkerEvent<Toy>> {
        if self.ends.model.has(Fault::VerdictBeforeCommit) && !self.answered {
            // The worker is told at once that the block is committed, and it answers. The commit
            // itself is sent after that.
            let late = WorkerEffect::Commit { block, state };
            self.ends.wires.workers[self.worker].late = Some(late);
            return Some(WorkerEvent::Committed(CommitReply::Committed));
        }
        let reply = AckTo { worker: (!self.answered).then_some(self.worker), root: state.root };
        self.ends.send_hot_db(ToHotDb::Commit { block, state, reply });
        None
    }

    fn post_state(&mut self, state: StateAt<Toy>) {
        self.ends.send_hot_db(ToHotDb::PostState(state));
    }

    fn post_committees(&mut self, at: CommitteesAt<Toy>) {
        self.ends.send_hot_db(ToHotDb::PostCommittees(at));
    }

    fn claim(&mut self, key: StateKey<ToyRoot>) -> bool {
        self.ends.wires.lanes.claim(key)
    }

    fn requeue(&mut self, tasks: Vec<Task<Toy, Requester>>, after: StateKey<ToyRoot>) {
        Task::requeue(tasks, after, &mut self.ends.wires.lanes);
    }

    /// No load of a model is so long, and no batch so large.
    fn give_way(&mut self, _: GoesFirst) -> bool {
        true
    }

    fn loaded(&mut self, key: StateKey<ToyRoot>) {
        self.ends.wires.lanes.loaded(key);
    }

    fn answer(&mut self, to: Requester, answer: Answer<Toy>) {
        let model = self.ends.model;
        let first = &mut self.ends.wires.workers[self.worker].first_answer;
        let answer = match first {
            Some(_) if model.has(Fault::BatchAnswersFirst) => return,
            Some(Answer::Invalid(reason)) if model.has(Fault::BatchCondemned) => {
                Answer::Invalid(reason.clone())
            }
            _ => answer,
        };
        if model.has(Fault::BatchAnswersFirst) || model.has(Fault::BatchCondemned) {
            *first = Some(answer.clone());
        }
        self.ends.answer_task(to, answer);
    }
}
