//! The steps of the composition. Each step is one piece of what a thread does in its loop.

use blocksmith::clearance;
use blocksmith::hot_db::{self, CommitReply, TrailReply};
use blocksmith::identified;
use blocksmith::quarantine::{self, Item, ItemId};
use blocksmith::rewinder::{Job, Role, WorkerEvent};
use blocksmith::supervision::Bare;
use blocksmith::toy::{Toy, ToyRoot};
use blocksmith::verdict::Quarantined;

use super::ends::{Ends, WorkerEnds};
use super::pipeline::{Action, Pipeline, State};
use super::process::{
    ClearanceWork, HotDbReplies, Lending, QuarantineWork, Requester, ToClearance, ToHotDb,
    ToQuarantine, TrailTo,
};
use super::scenario::{Fault, query};

impl Pipeline {
    // ---- the processes that may have something to do

    /// Lists the steps of every process that has something to do. Whether there is room for a step
    /// turns out when it is taken: a step without room leads to no state.
    pub(super) fn steps(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.stopped {
            if self.network_has_room(state) {
                let left = state.submitted.iter().enumerate().filter(|(_, done)| !**done);
                actions.extend(left.map(|(index, _)| Action::Submit(index)));
                if state.slot < self.scenario.last_slot {
                    actions.push(Action::Tick);
                }
            }
            // The stop has a slot of its own, so it always has room.
            if self.scenario.stop {
                actions.push(Action::Stop);
            }
        }
        let open = state.queried.iter().position(|queried| !queried);
        actions.extend(open.map(Action::Query));
        let wires = &state.wires;
        if !wires.quarantine.is_quiet() {
            actions.push(Action::Quarantine);
        }
        if !wires.orphans.looked_up.is_empty() {
            actions.push(Action::Park);
        }
        if !wires.clearance.is_quiet() {
            actions.push(Action::Clearance);
        }
        let given = wires.waits_for.as_ref().map(|lending| lending.given.is_some());
        if given.unwrap_or(!wires.hot_db.is_empty()) {
            actions.push(Action::HotDb);
        }
        // Workers without a task are interchangeable, so only the first of them pulls.
        let first_free = (0..wires.workers.len()).find(|worker| state.is_free(*worker));
        let busy =
            |worker: &usize| !wires.workers[*worker].is_quiet() || first_free == Some(*worker);
        actions.extend((0..wires.workers.len()).filter(busy).map(Action::Worker));
    }

    fn network_has_room(&self, state: &State) -> bool {
        let mailbox = &state.wires.quarantine.mailbox;
        let shared = self.has(Fault::NoReservedSlots);
        let taken = mailbox.iter().filter(|message| shared || !message.is_reply());
        taken.count() < self.scenario.capacity
    }

    /// Takes a step and returns the next state, or `None` if there is no room for the step.
    pub(super) fn step(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Submit(index) => {
                state.submitted[index] = true;
                let item = Quarantined::new(self.scenario.items[index].0.clone(), 0, 1);
                let id = index as ItemId;
                let message = ToQuarantine::Submit { id, item, verdict: () };
                state.wires.quarantine.mailbox.push_back(message);
            }
            Action::Query(index) => {
                state.queried[index] = true;
                let job = query(self.scenario.queries[index]);
                let mut ends = Ends::new(self, &mut state.wires);
                ends.submit(job.lane(), job, Requester::Query(index));
            }
            Action::Tick => {
                state.slot += 1;
                let message = ToQuarantine::Tick { slot: state.slot, into_slot_ms: 0 };
                state.wires.quarantine.mailbox.push_back(message);
            }
            Action::Stop => {
                state.stopped = true;
                state.wires.quarantine.mailbox.push_back(ToQuarantine::Stop);
            }
            Action::Park => {
                let orphans = &mut state.wires.orphans;
                orphans.parked.extend(orphans.looked_up.pop_front());
            }
            Action::Quarantine => self.quarantine_step(&mut state)?,
            Action::Clearance => self.clearance_step(&mut state)?,
            Action::HotDb => self.hot_db_step(&mut state)?,
            Action::Worker(index) => self.worker_step(&mut state, index)?,
        }
        Some(state)
    }

    // ---- the steps of each process; none without room for it

    fn quarantine_step(&self, state: &mut State) -> Option<()> {
        if let Some(work) = state.wires.quarantine.work.pop_front() {
            self.quarantine_carries_out(state, work)?;
        } else {
            let message = state.wires.quarantine.mailbox.pop_front()?;
            if message.is_reply() && message != ToQuarantine::Stop {
                state.wires.reserved -= 1;
            }
            if let ToQuarantine::Submit { id, item, .. } = &message {
                if self.diverts(state, item) {
                    self.divert(state, *id, item.clone());
                    return Some(());
                }
                self.check_a_copy(state, item)?;
            }
            self.quarantine_turn(state, message);
        }
        // An effect that no other process can see happens together with the step before it.
        while let Some(QuarantineWork::Effect(
            quarantine::Effect::Verdict { .. }
            | quarantine::Effect::Parked { .. }
            | quarantine::Effect::Need { .. }
            | quarantine::Effect::NeedPayload { .. },
        )) = state.wires.quarantine.work.front()
        {
            let work = state.wires.quarantine.work.pop_front()?;
            self.quarantine_carries_out(state, work)?;
        }
        Some(())
    }

    /// Runs a turn of Quarantine, as its thread does.
    fn quarantine_turn(&self, state: &mut State, message: ToQuarantine) {
        let State { machines, wires, .. } = state;
        let mut ends = Ends::new(self, wires);
        let machine = &mut machines.quarantine;
        let work = quarantine::shell::turn(machine, &self.toy, &Bare, &mut ends, message);
        wires.quarantine.work.extend(work.expect("nothing panics here"));
    }

    fn quarantine_carries_out(&self, state: &mut State, work: QuarantineWork) -> Option<()> {
        let State { machines, wires, .. } = state;
        let mut ends = Ends::new(self, wires);
        let machine = &mut machines.quarantine;
        let more = quarantine::shell::carry_out(machine, &self.toy, &Bare, &mut ends, work);
        let (blocked, accepted) = (ends.blocked, ends.accepted);
        wires.quarantine.work.extend(more.expect("nothing panics here"));
        accepted.into_iter().for_each(|root| self.release(state, root));
        (!blocked).then_some(())
    }

    // ---- a second table (faults Q1 and Q4), and copies that are checked (Q5)

    fn diverts(&self, state: &State, item: &Quarantined<Item<Toy>>) -> bool {
        let Item::Block(block) = item.item() else { return false };
        let machine = &state.machines.quarantine;
        (self.has(Fault::LookUpThenPark) || self.has(Fault::NoCascade))
            && !machine.knows(block.parent)
            && !machine.is_unviable(block.parent)
    }

    fn divert(&self, state: &mut State, id: ItemId, item: Quarantined<Item<Toy>>) {
        let orphans = &mut state.wires.orphans;
        if self.has(Fault::LookUpThenPark) {
            orphans.looked_up.push_back((id, item));
        } else {
            orphans.parked.push_back((id, item));
        }
    }

    /// Hands the parked children of a valid block to the machine.
    fn release(&self, state: &mut State, root: ToyRoot) {
        let parked = std::mem::take(&mut state.wires.orphans.parked);
        for (id, item) in parked {
            match item.item() {
                Item::Block(block) if block.parent == root => {
                    self.quarantine_turn(state, ToQuarantine::Submit { id, item, verdict: () });
                }
                _ => state.wires.orphans.parked.push_back((id, item)),
            }
        }
    }

    fn check_a_copy(&self, state: &mut State, item: &Quarantined<Item<Toy>>) -> Option<()> {
        if let Item::Block(block) = item.item()
            && self.has(Fault::CopiesAreChecked)
            && state.wires.checked.contains(&(block.root, block.signed))
        {
            let job = Job::Block(identified::block(&self.toy, *block));
            let mut ends = Ends::new(self, &mut state.wires);
            ends.hand_over(quarantine::RequestId::MAX, job.lane(), job);
            return (!ends.blocked).then_some(());
        }
        Some(())
    }

    // ---- clearance, hotdb, workers

    fn clearance_step(&self, state: &mut State) -> Option<()> {
        let State { machines, wires, .. } = state;
        let machine = &mut machines.clearance;
        let mut work = std::mem::take(&mut wires.clearance.work);
        if work.is_empty() {
            let message = wires.clearance.mailbox.pop_front()?;
            wires.asked -= usize::from(message.is_reply());
            if let ToClearance::Import { import: clearance::Import::Block { block, .. }, .. } =
                &message
            {
                let root = block.item().identity().root;
                if !wires.committed.contains(&root) {
                    wires.too_early.insert(root);
                }
            }
            let mut ends = Ends::new(self, wires);
            let turn = clearance::shell::turn(machine, &self.toy, &Bare, &mut ends, message);
            work.extend(turn.expect("nothing panics here"));
        } else {
            let piece = work.pop_front()?;
            let mut ends = Ends::new(self, wires);
            let done = clearance::shell::carry_out(machine, &self.toy, &Bare, &mut ends, piece);
            done.expect("nothing panics here");
            if ends.blocked {
                return None;
            }
        }
        // Notices go to observers, which change nothing here, so a notice leaves together with the
        // step before it.
        while work.front().is_some_and(is_notice) {
            let piece = work.pop_front()?;
            let mut ends = Ends::new(self, wires);
            let done = clearance::shell::carry_out(machine, &self.toy, &Bare, &mut ends, piece);
            done.expect("nothing panics here");
        }
        wires.clearance.work = work;
        Some(())
    }

    fn hot_db_step(&self, state: &mut State) -> Option<()> {
        if let Some(Lending { to, given }) = state.wires.waits_for.take() {
            if let Some(at) = given {
                self.hot_db_turn(state, ToHotDb::PostState(at));
            }
            let again = ToHotDb::Trail { root: to.root, slot: to.slot, reply: to };
            if let Some((to, reply)) = self.hot_db_turn(state, again).trail {
                state.wires.workers[to.worker].inbox = Some(WorkerEvent::Trail(reply));
            }
            return Some(());
        }
        let message = state.wires.hot_db.pop_front()?;
        let HotDbReplies { trail, ack } = self.hot_db_turn(state, message);
        if let Some((to, reply)) = trail {
            self.deliver_trail(state, to, reply);
        }
        if let Some((to, reply)) = ack {
            if reply == CommitReply::Committed {
                state.wires.committed.insert(to.root);
            }
            if let Some(worker) = to.worker {
                state.wires.workers[worker].inbox = Some(WorkerEvent::Committed(reply));
            }
        }
        Some(())
    }

    /// Runs a turn of the HotDB, as its thread does.
    fn hot_db_turn(&self, state: &mut State, message: ToHotDb) -> HotDbReplies {
        let mut replies = HotDbReplies::default();
        let machine = &mut state.machines.hot_db;
        let turn = hot_db::shell::turn(machine, &self.toy, &Bare, &mut replies, message);
        debug_assert_eq!(turn, Ok(()), "nothing panics here");
        replies
    }

    fn deliver_trail(&self, state: &mut State, to: TrailTo, reply: TrailReply<Toy>) {
        match reply {
            TrailReply::UnknownParent | TrailReply::Pruned if self.has(Fault::NoErrorReply) => {}
            TrailReply::UnknownParent | TrailReply::Pruned if self.has(Fault::LooksAgain) => {
                let again = ToHotDb::Trail { root: to.root, slot: to.slot, reply: to };
                state.wires.hot_db.push_back(again);
            }
            TrailReply::Trail(trail)
                if trail.want_target && self.has(Fault::HotDbWaitsForRewinder) =>
            {
                state.wires.waits_for = Some(Lending { to, given: None });
                let job = query((to.root, to.slot));
                let requester = Requester::HotDb(trail);
                Ends::new(self, &mut state.wires).submit(job.lane(), job, requester);
            }
            reply => state.wires.workers[to.worker].inbox = Some(WorkerEvent::Trail(reply)),
        }
    }

    fn worker_step(&self, state: &mut State, index: usize) -> Option<()> {
        if let Some(effect) = state.wires.workers[index].work.pop_front() {
            let hands = &mut state.machines.workers[index];
            let lent = match hands.replies().next() {
                Some(Requester::HotDb(trail)) => Some(TrailReply::Trail(trail.clone())),
                _ => None,
            };
            let answered = hands.replies().len() == 0;
            let ends = Ends::new(self, &mut state.wires);
            let mut ends = WorkerEnds { ends, worker: index, lent, answered };
            let event = hands.carry_out(&self.toy, &mut ends, effect);
            if ends.ends.blocked {
                return None;
            }
            event.into_iter().for_each(|event| self.worker_handles(state, index, event));
            let line = &mut state.wires.workers[index];
            line.work.extend(line.late.take());
        } else if let Some(event) = state.wires.workers[index].inbox.take() {
            self.worker_handles(state, index, event);
        } else {
            let tasks = state.wires.lanes.pull(Role::General, state.others_free());
            if tasks.is_empty() {
                return None;
            }
            let hands = &mut state.machines.workers[index];
            let effects = hands.start(&self.toy, &Bare, tasks).expect("nothing panics here");
            state.wires.workers[index].work.extend(effects);
        }
        self.worker_finishes(state, index);
        Some(())
    }

    fn worker_handles(&self, state: &mut State, index: usize, event: WorkerEvent<Toy>) {
        let hands = &mut state.machines.workers[index];
        let effects = hands.handle(&self.toy, &Bare, event).expect("nothing panics here");
        state.wires.workers[index].work.extend(effects);
    }

    /// Ends the tasks of a worker that has nothing more to do for them.
    fn worker_finishes(&self, state: &mut State, index: usize) {
        let State { machines, wires, .. } = state;
        let hands = &mut machines.workers[index];
        if wires.workers[index].is_quiet() && hands.machine().is_idle() {
            wires.workers[index].first_answer = None;
            let ends = Ends::new(self, wires);
            hands.finish(&mut WorkerEnds { ends, worker: index, lent: None, answered: true });
        }
    }
}

/// Returns whether a piece of work is for observers alone.
fn is_notice(work: &ClearanceWork) -> bool {
    use clearance::Effect::{Prune, RequestBalances, RequestSpent};
    match work {
        clearance::shell::Work::Effect(effect) => {
            !matches!(effect, Prune(_) | RequestBalances(_) | RequestSpent { .. })
        }
        clearance::shell::Work::Record(_)
        | clearance::shell::Work::Taken(_)
        | clearance::shell::Work::Lost(_) => false,
    }
}
