//! Which steps are possible: who has something to do, and room to do it.

use blocksmith::clearance;
use blocksmith::quarantine;
use blocksmith::rewinder::{Role, WorkerEffect};

use super::pipeline::{Action, Pipeline, State};
use super::process::{ClearanceWork, QuarantineWork, Requester, ToClearance, WorkerProcess};
use super::scenario::Fault;

impl Pipeline {
    fn network_has_room(&self, state: &State) -> bool {
        let mailbox = &state.quarantine.mailbox;
        let taken = if self.has(Fault::NoReservedSlots) {
            mailbox.len()
        } else {
            mailbox.iter().filter(|message| !message.is_reply()).count()
        };
        taken < self.scenario.capacity && !state.stopped
    }

    /// Replies have reserved slots, unless that is the fault.
    fn reply_has_room(&self, state: &State) -> bool {
        !self.has(Fault::NoReservedSlots) || state.quarantine.mailbox.len() < self.scenario.capacity
    }

    fn clearance_has_room(&self, state: &State) -> bool {
        let requests = state
            .clearance
            .mailbox
            .iter()
            .filter(|message| !matches!(message, ToClearance::Balances { .. }))
            .count();
        requests < self.scenario.capacity
    }

    fn hot_db_has_room(&self, state: &State) -> bool {
        state.hot_db.mailbox.len() < self.scenario.capacity
    }

    fn quarantine_can(&self, state: &State) -> bool {
        match state.quarantine.work.front() {
            Some(QuarantineWork::TellSlot(_)) => self.clearance_has_room(state),
            Some(QuarantineWork::Machine(effect)) => match effect {
                quarantine::Effect::ClearBlock { .. }
                | quarantine::Effect::ClearAttestation { .. } => self.clearance_has_room(state),
                quarantine::Effect::Check { .. } => {
                    !self.has(Fault::NoReservedSlots)
                        || state.lanes.waiting() < self.lane_capacity()
                }
                _ => true,
            },
            None => !state.quarantine.mailbox.is_empty(),
        }
    }

    fn clearance_can(&self, state: &State) -> bool {
        match state.clearance.work.front() {
            Some(ClearanceWork::Reply(_)) => self.reply_has_room(state),
            Some(ClearanceWork::Machine(clearance::Effect::Prune { .. })) => {
                self.hot_db_has_room(state)
            }
            Some(ClearanceWork::Machine(_)) => true,
            None => !state.clearance.mailbox.is_empty(),
        }
    }

    fn hot_db_can(&self, state: &State) -> bool {
        match &state.hot_db.waits_for {
            Some(lending) => lending.given.is_some(),
            None => !state.hot_db.mailbox.is_empty(),
        }
    }

    fn worker_can(&self, state: &State, index: usize) -> bool {
        let worker = &state.workers[index];
        match worker.work.front() {
            Some(WorkerEffect::RequestTrail { .. }) => {
                worker.trail.is_some() || self.hot_db_has_room(state)
            }
            Some(WorkerEffect::Commit { .. } | WorkerEffect::PostState(_)) => {
                self.hot_db_has_room(state)
            }
            Some(WorkerEffect::Answer(_)) => match worker.requesters.front() {
                Some(Requester::Quarantine(_)) => self.reply_has_room(state),
                _ => true,
            },
            Some(WorkerEffect::Loaded(_) | WorkerEffect::Proceed) => true,
            None if worker.inbox.is_some() => true,
            // Workers without a task are alike: the first of them pulls.
            None => {
                worker.is_free()
                    && !state.workers[..index].iter().any(WorkerProcess::is_free)
                    && !state.lanes.clone().pull(Role::General, state.others_free()).is_empty()
            }
        }
    }

    pub(super) fn steps(&self, state: &State, actions: &mut Vec<Action>) {
        if self.network_has_room(state) {
            let left = |done: &[bool]| {
                let open = done.iter().enumerate().filter(|(_, done)| !**done);
                open.map(|(index, _)| index).collect::<Vec<_>>()
            };
            actions.extend(left(&state.submitted).into_iter().map(Action::Submit));
            if state.slot < self.scenario.last_slot {
                actions.push(Action::Tick);
            }
            if self.scenario.stop {
                actions.push(Action::Stop);
            }
        }
        let open = state.queried.iter().position(|queried| !queried);
        actions.extend(open.map(Action::Query));
        if self.quarantine_can(state) {
            actions.push(Action::Quarantine);
        }
        if !state.quarantine.orphans.looked_up.is_empty() {
            actions.push(Action::Park);
        }
        if self.clearance_can(state) {
            actions.push(Action::Clearance);
        }
        if self.hot_db_can(state) {
            actions.push(Action::HotDb);
        }
        let workers = 0..state.workers.len();
        actions.extend(workers.filter(|w| self.worker_can(state, *w)).map(Action::Worker));
    }
}
