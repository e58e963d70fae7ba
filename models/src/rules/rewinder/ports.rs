//! The ports of a worker: the HotDB, which answers at once, and the queue; with the faults.

use blocksmith::consensus::{Checkpoint, Consensus, Slot};
use blocksmith::hot_db::{
    CommitReply, CommitteesAt, CommitteesKey, Effect as HotEffect, Event as HotEvent, StateAt,
    TrailReply,
};
use blocksmith::identified::IdentifiedBlock;
use blocksmith::machine::Machine;
use blocksmith::rewinder::shell::{Hands, Ports, Task};
use blocksmith::rewinder::{Answer, GoesFirst, Job, Lane, Pause, StateKey, WorkerEvent};
use blocksmith::supervision::Bare;
use blocksmith::toy::{Toy, ToyRoot};

use super::Fault;
use super::model::{Ask, Rewinder, State, Waiting};
use super::properties::word;

/// The ends of one step of a worker.
pub(super) struct Ends<'a> {
    pub(super) model: &'a Rewinder,
    pub(super) state: &'a mut State,
    pub(super) worker: usize,
    /// Whether the worker waits for something that comes later. Only faults set it.
    pub(super) waits: bool,
    /// What may interrupt the tasks in hand.
    pub(super) allowed: GoesFirst,
}

impl Ends<'_> {
    fn ask(&mut self, event: HotEvent<Toy>) -> Option<WorkerEvent<Toy>> {
        let effects = self.state.hot_db.handle(&self.model.toy, event);
        effects.into_iter().next().map(|effect| match effect {
            HotEffect::Trail(reply) => WorkerEvent::Trail(reply),
            HotEffect::Committed(reply) => WorkerEvent::Committed(reply),
        })
    }

    /// Returns the reply to a worker's question for what it is to load. With a fault, the second
    /// look sees what the first one saw.
    fn look(&mut self, event: HotEvent<Toy>) -> Option<WorkerEvent<Toy>> {
        if !self.model.has(Fault::NoSecondLook) {
            return self.ask(event);
        }
        let seen = self.state.log.seen.remove(&self.worker);
        if seen.is_some() {
            return seen;
        }
        let reply = self.ask(event)?;
        self.state.log.seen.insert(self.worker, reply.clone());
        Some(reply)
    }

    /// Returns the state before a block, as if it were the state after it.
    fn pre_state(&self, block: &IdentifiedBlock<Toy>, after: StateAt<Toy>) -> StateAt<Toy> {
        let parent = block.identity().parent;
        let slot = block.identity().slot;
        match self.state.hot_db.trail(parent, slot) {
            TrailReply::Trail(trail) => StateAt { state: trail.start.state, ..after },
            _ => after,
        }
    }
}

impl Ports<Toy> for Ends<'_> {
    type Reply = usize;

    fn trail(&mut self, root: ToyRoot, slot: Slot) -> Option<WorkerEvent<Toy>> {
        let slot = if self.model.has(Fault::SlotWraps) { slot.wrapping_sub(1) } else { slot };
        let reply = self.look(HotEvent::Trail { root, slot });
        let pruned = reply == Some(WorkerEvent::Trail(TrailReply::Pruned));
        if pruned && self.model.has(Fault::PrunedInSilence) {
            self.waits = true;
            return None;
        }
        reply
    }

    fn committees(&mut self, target: Checkpoint<ToyRoot>) -> Option<WorkerEvent<Toy>> {
        if self.model.has(Fault::EpochWraps) {
            let slot = target.epoch.wrapping_mul(self.model.toy.slots_per_epoch);
            return self.ask(HotEvent::Trail { root: target.root, slot });
        }
        if !self.model.has(Fault::StateForEachTarget) {
            return self.look(HotEvent::Committees { target });
        }
        let slot = self.model.toy.start_slot(target.epoch);
        let reply = self.ask(HotEvent::Trail { root: target.root, slot });
        let Some(WorkerEvent::Trail(TrailReply::Trail(mut trail))) = reply else { return reply };
        let dependent_root = target.root;
        trail.committees = Some(CommitteesKey { dependent_root, epoch: target.epoch });
        Some(WorkerEvent::Trail(TrailReply::Trail(trail)))
    }

    fn commit(
        &mut self,
        block: IdentifiedBlock<Toy>,
        mut state: StateAt<Toy>,
    ) -> Option<WorkerEvent<Toy>> {
        if self.model.has(Fault::KeepsThePreState) {
            state = self.pre_state(&block, state);
        }
        let commit = HotEvent::Commit { block, state };
        if self.model.has(Fault::ImportsFirst) {
            self.state.log.late.push(commit);
            return Some(WorkerEvent::Committed(CommitReply::Committed));
        }
        self.ask(commit)
    }

    fn post_state(&mut self, state: StateAt<Toy>) {
        *self.state.log.posts.entry((state.root, state.slot)).or_default() += 1;
        self.ask(HotEvent::PostState(state));
    }

    fn post_committees(&mut self, at: CommitteesAt<Toy>) {
        self.state.log.loads += 1;
        if !self.model.has(Fault::CommitteesMiss) {
            self.ask(HotEvent::PostCommittees(at));
        }
    }

    fn claim(&mut self, key: StateKey<ToyRoot>) -> bool {
        let (model, state) = (self.model, &mut *self.state);
        if model.has(Fault::WaitsForThePool) {
            let job = Job::State { root: key.0, slot: key.1 };
            model.queue(state, Lane::Queries, job, model.own_task(self.worker));
            self.waits = true;
            return true;
        }
        let claimed = state.lanes.claim(key) || model.has(Fault::ClaimsNothing);
        state.log.loading.extend(claimed.then_some(key));
        claimed
    }

    fn requeue(&mut self, tasks: Vec<Task<Toy, usize>>, after: StateKey<ToyRoot>) {
        let back = tasks.iter().map(|task| Waiting {
            task: task.reply,
            key: task.key,
            after: Some(after),
        });
        self.state.log.waiting.extend(back);
        Task::requeue(tasks, after, &mut self.state.lanes);
    }

    fn give_way(&mut self, place: GoesFirst) -> bool {
        if self.model.has(Fault::NeverLooks) {
            return true;
        }
        let no_block = self.model.has(Fault::NoBlockFirst);
        let place = if no_block { place.min(GoesFirst::Duties) } else { place };
        let mut pause = Pause::new(place, self.allowed);
        while !self.state.stopping {
            let State { lanes, log, .. } = &mut *self.state;
            let Some((task, allowed)) = pause.next(lanes) else { return true };
            let task = vec![task];
            self.model.note_pulled(log, &task);
            let outer = std::mem::replace(&mut self.allowed, allowed);
            Hands::default().serve(&self.model.toy, &Bare, self, task);
            self.allowed = outer;
            if self.model.has(Fault::OneDutyAtATime) {
                return true;
            }
        }
        false
    }

    fn loaded(&mut self, key: StateKey<ToyRoot>) {
        let loading = &mut self.state.log.loading;
        if let Some(place) = loading.iter().position(|other| *other == key) {
            loading.remove(place);
        }
        self.state.lanes.loaded(key);
    }

    fn answer(&mut self, to: usize, answer: Answer<Toy>) {
        // A worker's own task has no place among the answers; only a fault makes one.
        if let Some(Ask::Vote(_)) = self.model.tasks.get(to).map(|(_, ask, _)| ask) {
            self.model.note_vote(self.state, &answer);
        }
        if let Some(answers) = self.state.log.answers.get_mut(to) {
            answers.push(word(&answer));
        } else if let Some(process) = self.state.workers.get_mut(to - self.model.tasks.len()) {
            process.next = Some(WorkerEvent::Claimed(true));
        }
        if let Answer::Block(block) = answer {
            self.state.imports.push_back((block, None));
        }
    }
}
