//! The state of the composition and its steps.

use std::collections::{BTreeSet, VecDeque};

use blocksmith::clearance::{self, Clearance};
use blocksmith::consensus::{Checkpoint, Consensus, Slot};
use blocksmith::fork_choice;
use blocksmith::hot_db::{self, CommitReply, HotDb, TrailReply, shell};
use blocksmith::quarantine::{self, Item, ItemId, Quarantine};
use blocksmith::rewinder::{Answer, Dispatcher, Job, Role, WorkerEffect, WorkerEvent};
use blocksmith::supervision::Bare;
use blocksmith::toy::{Toy, ToyRoot, ToyState};
use blocksmith::verdict::Quarantined;
use stateright::{Model, Property};

use super::process::{
    AckTo, ClearanceProcess, ClearanceWork, HotDbProcess, HotDbReplies, Lending, Orphans,
    QuarantineProcess, QuarantineWork, Requester, Task, ToClearance, ToHotDb, ToQuarantine,
    TrailTo, WorkerProcess,
};
use super::properties;
use super::scenario::{Fault, Scenario, query};

/// Most attestations that a worker verifies together.
const BATCH: usize = 2;

/// Requests for balances that Clearance may have under way.
const BALANCE_REQUESTS: usize = 2;

/// Who takes the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The network submits the item of that index.
    Submit(usize),
    /// Somebody asks for the state of that index.
    Query(usize),
    /// The clock ticks.
    Tick,
    /// The stop is sent.
    Stop,
    /// Quarantine carries out an effect or takes a message.
    Quarantine,
    /// The second half of an arrival (fault Q1).
    Park,
    /// Clearance carries out an effect or takes a message.
    Clearance,
    /// The HotDB takes a message.
    HotDb,
    /// A worker carries out an effect, takes a reply, or takes a task.
    Worker(usize),
}

/// The composition in one scenario, with or without a fault.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub(super) scenario: Scenario,
    pub(super) fault: Option<Fault>,
    pub(super) toy: Toy,
}

/// A state of the composition.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) quarantine: QuarantineProcess,
    pub(super) clearance: ClearanceProcess,
    pub(super) hot_db: HotDbProcess,
    pub(super) lanes: Dispatcher<ToyRoot, Task>,
    pub(super) workers: Vec<WorkerProcess>,
    /// Whether each item has been submitted, and each query made.
    pub(super) submitted: Vec<bool>,
    pub(super) queried: Vec<bool>,
    pub(super) slot: Slot,
    pub(super) stopped: bool,
    /// The words of the answers that each item and each query got.
    pub(super) answers: Vec<Vec<&'static str>>,
    pub(super) query_answers: Vec<usize>,
    /// Every root that was ever committed.
    pub(super) committed: BTreeSet<ToyRoot>,
    /// Blocks that were checked, cleared or imported before they might.
    pub(super) too_early: BTreeSet<ToyRoot>,
    /// Blocks that were handed to the Rewinder, by root and signature, and those handed over again.
    pub(super) checked: BTreeSet<(ToyRoot, bool)>,
    pub(super) checked_again: BTreeSet<ToyRoot>,
    /// Cleared blocks that the fork choice did not take.
    pub(super) missing: BTreeSet<ToyRoot>,
    /// Tasks that a lane refused.
    pub(super) refused: usize,
}

impl Pipeline {
    /// Returns the composition.
    #[must_use]
    pub fn new(scenario: Scenario, fault: Option<Fault>) -> Self {
        Self { scenario, fault, toy: Toy::default() }
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn init(&self) -> State {
        let scenario = &self.scenario;
        let anchor = ToyState::anchor();
        let finalized = Checkpoint { epoch: 0, root: 0 };
        let limits = quarantine::Limits {
            window: scenario.window,
            items: scenario.held,
            remembered: 8,
            ..quarantine::Limits::default()
        };
        let mut machine = Quarantine::new(limits, finalized, 0);
        let first = quarantine::Event::Tick { slot: scenario.first_slot, seconds_into_slot: 0 };
        assert!(machine.handle(&self.toy, first).is_empty());
        let quarantine = QuarantineProcess {
            machine,
            mailbox: VecDeque::new(),
            work: VecDeque::new(),
            orphans: Orphans::default(),
        };
        let balances = self.toy.balances(&anchor).expect("the toy has balances");
        let config = fork_choice::Config::new(self.toy.slots_per_epoch);
        let mut machine = Clearance::new(config, 0, 0, balances);
        machine.handle(&self.toy, clearance::Event::Tick { slot: scenario.first_slot });
        let clearance =
            ClearanceProcess { machine, mailbox: VecDeque::new(), work: VecDeque::new(), asked: 0 };
        let limits = hot_db::Limits {
            blocks: scenario.hot_db_blocks,
            pruned_roots: scenario.pruned_roots,
            ..hot_db::Limits::default()
        };
        let machine = HotDb::new(&self.toy, limits, 0, 0, anchor);
        let hot_db = HotDbProcess { machine, mailbox: VecDeque::new(), waits_for: None };
        State {
            quarantine,
            clearance,
            hot_db,
            lanes: Dispatcher::new(self.lane_capacity(), BATCH),
            workers: vec![WorkerProcess::new(); scenario.workers],
            submitted: vec![false; scenario.items.len()],
            queried: vec![false; scenario.queries.len()],
            slot: scenario.first_slot,
            stopped: false,
            answers: vec![Vec::new(); scenario.items.len()],
            query_answers: vec![0; scenario.queries.len()],
            committed: BTreeSet::from([0]),
            too_early: BTreeSet::new(),
            checked: BTreeSet::new(),
            checked_again: BTreeSet::new(),
            missing: BTreeSet::new(),
            refused: 0,
        }
    }

    /// Places of a lane: those of Quarantine's window, and of the queries.
    pub(super) fn lane_capacity(&self) -> usize {
        if self.has(Fault::NoReservedSlots) {
            1
        } else {
            self.scenario.window + self.scenario.queries.len() + BALANCE_REQUESTS
        }
    }

    // ---- the steps

    fn submit_task(&self, state: &mut State, task: Task) {
        let key = match task.requester {
            Requester::HotDb => None,
            _ => task.job.state_key(&self.toy),
        };
        if let Err(task) = state.lanes.submit(task.job.lane(), key, task) {
            state.refused += 1;
            self.answer(state, task.requester, Answer::Refused);
        }
    }

    fn answer(&self, state: &mut State, requester: Requester, answer: Answer<Toy>) {
        match requester {
            Requester::Quarantine(request) => {
                state.quarantine.mailbox.push_back(ToQuarantine::Answered { request, answer });
            }
            Requester::Clearance(checkpoint) => {
                let balances = match answer {
                    Answer::State(at) => self.toy.balances(&at.state).ok(),
                    _ => None,
                };
                let message = ToClearance::Balances { checkpoint, balances };
                state.clearance.mailbox.push_back(message);
            }
            Requester::Query(index) => state.query_answers[index] += 1,
            Requester::HotDb => {
                if let (Some(lending), Answer::State(at)) = (&mut state.hot_db.waits_for, answer) {
                    lending.given = Some(at);
                }
            }
        }
    }

    fn quarantine_step(&self, state: &mut State) {
        if let Some(work) = state.quarantine.work.pop_front() {
            self.carry_out(state, work);
        } else if let Some(message) = state.quarantine.mailbox.pop_front() {
            let event = match message {
                ToQuarantine::Submit { id, item } => {
                    if self.diverts(state, &item) {
                        self.divert(state, id, item);
                        return;
                    }
                    if let Item::Block(block) = item.item()
                        && self.has(Fault::CopiesAreChecked)
                        && state.checked.contains(&(block.root, block.signed))
                    {
                        let copy = Requester::Quarantine(quarantine::RequestId::MAX);
                        self.hand_over(state, copy, Job::Block(*block));
                    }
                    quarantine::Event::Submit { id, item }
                }
                ToQuarantine::Tick { slot } => {
                    if !self.has(Fault::TwoClocks) {
                        state.quarantine.work.push_back(QuarantineWork::TellSlot(slot));
                    }
                    quarantine::Event::Tick { slot, seconds_into_slot: 0 }
                }
                ToQuarantine::Stop => quarantine::Event::Stop,
                ToQuarantine::Answered { request, answer } => {
                    quarantine::Event::Answered { request, answer }
                }
                ToQuarantine::Imported { request, finalized } => {
                    quarantine::Event::Imported { request, finalized }
                }
            };
            self.quarantine_handles(state, event);
        }
        // What nobody else can see happens together with the step before it.
        while let Some(QuarantineWork::Machine(
            quarantine::Effect::Verdict { .. }
            | quarantine::Effect::Parked { .. }
            | quarantine::Effect::Need { .. },
        )) = state.quarantine.work.front()
        {
            let work = state.quarantine.work.pop_front();
            work.into_iter().for_each(|work| self.carry_out(state, work));
        }
    }

    fn quarantine_handles(&self, state: &mut State, event: quarantine::Event<Toy>) {
        let effects = state.quarantine.machine.handle(&self.toy, event);
        state.quarantine.work.extend(effects.into_iter().map(QuarantineWork::Machine));
    }

    /// Gives an item to the Rewinder.
    fn hand_over(&self, state: &mut State, requester: Requester, job: Job<Toy>) {
        if let Job::Block(block) = &job {
            if !state.committed.contains(&block.parent) {
                state.too_early.insert(block.root);
            }
            if !state.checked.insert((block.root, block.signed)) {
                state.checked_again.insert(block.root);
            }
        }
        self.submit_task(state, Task { job, requester, trail: None });
    }

    fn carry_out(&self, state: &mut State, work: QuarantineWork) {
        let effect = match work {
            QuarantineWork::TellSlot(slot) => {
                state.clearance.mailbox.push_back(ToClearance::Tick { slot });
                return;
            }
            QuarantineWork::Machine(effect) => effect,
        };
        match effect {
            quarantine::Effect::Check { request, job } => {
                self.hand_over(state, Requester::Quarantine(request), job);
            }
            quarantine::Effect::ClearBlock { request, block, timely } => {
                let message = ToClearance::Block { request, block, timely };
                state.clearance.mailbox.push_back(message);
            }
            quarantine::Effect::ClearAttestation { request, attestation } => {
                let message = ToClearance::Attestation { request, attestation };
                state.clearance.mailbox.push_back(message);
            }
            quarantine::Effect::Verdict { id, verdict } => {
                let index = id as usize;
                state.answers[index].push(verdict.reason());
                if let Item::Block(block) = &self.scenario.items[index].0
                    && verdict.class() == "valid"
                {
                    if !state.committed.contains(&block.root) {
                        state.too_early.insert(block.root);
                    }
                    self.release(state, block.root);
                }
            }
            quarantine::Effect::Parked { .. } | quarantine::Effect::Need { .. } => {}
        }
    }

    // ---- the second table of the faults Q1 and Q4

    fn diverts(&self, state: &State, item: &Quarantined<Item<Toy>>) -> bool {
        let Item::Block(block) = item.item() else { return false };
        let machine = &state.quarantine.machine;
        (self.has(Fault::LookUpThenPark) || self.has(Fault::NoCascade))
            && !machine.knows(block.parent)
            && !machine.is_unviable(block.parent)
    }

    fn divert(&self, state: &mut State, id: ItemId, item: Quarantined<Item<Toy>>) {
        let orphans = &mut state.quarantine.orphans;
        if self.has(Fault::LookUpThenPark) {
            orphans.looked_up.push_back((id, item));
        } else {
            orphans.parked.push_back((id, item));
        }
    }

    /// Hands the parked children of a valid block to the machine.
    fn release(&self, state: &mut State, root: ToyRoot) {
        let parked = std::mem::take(&mut state.quarantine.orphans.parked);
        for (id, item) in parked {
            match item.item() {
                Item::Block(block) if block.parent == root => {
                    self.quarantine_handles(state, quarantine::Event::Submit { id, item });
                }
                _ => state.quarantine.orphans.parked.push_back((id, item)),
            }
        }
    }

    // ---- clearance, hotdb, workers

    fn clearance_step(&self, state: &mut State) {
        if let Some(work) = state.clearance.work.pop_front() {
            match work {
                ClearanceWork::Reply(request) => {
                    let finalized = state.clearance.machine.view().finalized;
                    state
                        .quarantine
                        .mailbox
                        .push_back(ToQuarantine::Imported { request, finalized });
                }
                ClearanceWork::Machine(clearance::Effect::Prune { finalized, justified, head }) => {
                    let message = ToHotDb::Prune { finalized, justified, head };
                    state.hot_db.mailbox.push_back(message);
                }
                ClearanceWork::Machine(clearance::Effect::RequestBalances(checkpoint)) => {
                    self.request_balances(state, checkpoint);
                }
                ClearanceWork::Machine(_) => {}
            }
        } else if let Some(message) = state.clearance.mailbox.pop_front() {
            let (event, reply) = match message {
                ToClearance::Block { request, block, timely } => {
                    if !state.committed.contains(&block.item().root) {
                        state.too_early.insert(block.item().root);
                    }
                    (clearance::Event::Block { block, timely }, Some(Some(request)))
                }
                ToClearance::Attestation { request, attestation } => {
                    (clearance::Event::Attestation(attestation), Some(Some(request)))
                }
                ToClearance::Tick { slot } => (clearance::Event::Tick { slot }, Some(None)),
                ToClearance::Balances { checkpoint, balances } => {
                    state.clearance.asked -= 1;
                    (clearance::Event::Balances { checkpoint, balances }, None)
                }
            };
            let effects = state.clearance.machine.handle(&self.toy, event);
            state.missing.extend(effects.iter().filter_map(|effect| match effect {
                clearance::Effect::NotImported { root, .. } => Some(*root),
                _ => None,
            }));
            // Notices go to observers, who change nothing here.
            let seen = effects.into_iter().filter(|effect| {
                matches!(
                    effect,
                    clearance::Effect::Prune { .. } | clearance::Effect::RequestBalances(_)
                )
            });
            state.clearance.work.extend(seen.map(ClearanceWork::Machine));
            state.clearance.work.extend(reply.map(ClearanceWork::Reply));
        }
    }

    fn request_balances(&self, state: &mut State, checkpoint: Checkpoint<ToyRoot>) {
        if state.clearance.asked >= BALANCE_REQUESTS {
            let event = clearance::Event::Balances { checkpoint, balances: None };
            state.clearance.machine.handle(&self.toy, event);
            return;
        }
        state.clearance.asked += 1;
        let slot = self.toy.start_slot(checkpoint.epoch);
        let job = Job::State { root: checkpoint.root, slot };
        self.submit_task(
            state,
            Task { job, requester: Requester::Clearance(checkpoint), trail: None },
        );
    }

    fn hot_db_step(&self, state: &mut State) {
        if let Some(Lending { to, given }) = state.hot_db.waits_for.take() {
            if let Some(at) = given {
                self.hot_db_turn(state, ToHotDb::PostState(at));
            }
            let again = ToHotDb::Trail { root: to.root, slot: to.slot, reply: to };
            if let Some((to, reply)) = self.hot_db_turn(state, again).trail {
                state.workers[to.worker].inbox = Some(WorkerEvent::Trail(reply));
            }
            return;
        }
        let Some(message) = state.hot_db.mailbox.pop_front() else { return };
        let HotDbReplies { trail, ack } = self.hot_db_turn(state, message);
        if let Some((to, reply)) = trail {
            self.deliver_trail(state, to, reply);
        }
        if let Some((to, reply)) = ack {
            if reply == CommitReply::Committed {
                state.committed.insert(to.root);
            }
            if let Some(worker) = to.worker {
                state.workers[worker].inbox = Some(WorkerEvent::Committed(reply));
            }
        }
    }

    /// The turn that a thread takes, too.
    fn hot_db_turn(&self, state: &mut State, message: ToHotDb) -> HotDbReplies {
        let mut replies = HotDbReplies::default();
        let machine = &mut state.hot_db.machine;
        let turn = shell::turn(machine, &self.toy, &Bare, &mut replies, message);
        debug_assert_eq!(turn, Ok(()), "nothing panics here");
        replies
    }

    fn deliver_trail(&self, state: &mut State, to: TrailTo, reply: TrailReply<Toy>) {
        match reply {
            TrailReply::UnknownParent | TrailReply::Pruned if self.has(Fault::NoErrorReply) => {}
            TrailReply::Trail(trail)
                if trail.want_target && self.has(Fault::HotDbWaitsForRewinder) =>
            {
                state.hot_db.waits_for = Some(Lending { to, given: None });
                let job = query((to.root, to.slot));
                let requester = Requester::HotDb;
                self.submit_task(state, Task { job, requester, trail: Some(trail) });
            }
            reply => state.workers[to.worker].inbox = Some(WorkerEvent::Trail(reply)),
        }
    }

    fn worker_step(&self, state: &mut State, index: usize) {
        if let Some(effect) = state.workers[index].work.pop_front() {
            self.worker_effect(state, index, effect);
        } else if let Some(event) = state.workers[index].inbox.take() {
            self.worker_handles(state, index, event);
        } else {
            let tasks = state.lanes.pull(Role::General, state.others_free());
            let worker = &mut state.workers[index];
            let mut jobs = Vec::new();
            for task in tasks {
                worker.requesters.push_back(task.requester);
                worker.trail = task.trail;
                jobs.push(task.job);
            }
            self.worker_handles(state, index, WorkerEvent::Start(jobs));
        }
    }

    fn worker_handles(&self, state: &mut State, index: usize, event: WorkerEvent<Toy>) {
        let worker = &mut state.workers[index];
        worker.work.extend(worker.machine.handle(&self.toy, event));
    }

    fn worker_effect(&self, state: &mut State, index: usize, effect: WorkerEffect<Toy>) {
        match effect {
            WorkerEffect::RequestTrail { root, slot } => {
                if let Some(trail) = state.workers[index].trail.take() {
                    let reply = WorkerEvent::Trail(TrailReply::Trail(trail));
                    state.workers[index].inbox = Some(reply);
                } else {
                    let reply = TrailTo { worker: index, root, slot };
                    state.hot_db.mailbox.push_back(ToHotDb::Trail { root, slot, reply });
                }
            }
            WorkerEffect::Commit { block, state: at } => {
                let answered = state.workers[index].requesters.is_empty();
                if self.has(Fault::VerdictBeforeCommit) && !answered {
                    // The worker is told at once, and answers; the commit goes off after that.
                    let told = WorkerEvent::Committed(CommitReply::Committed);
                    self.worker_handles(state, index, told);
                    let late = WorkerEffect::Commit { block, state: at };
                    state.workers[index].work.push_back(late);
                    return;
                }
                let reply = AckTo { worker: (!answered).then_some(index), root: block.root };
                state.hot_db.mailbox.push_back(ToHotDb::Commit { block, state: at, reply });
            }
            WorkerEffect::PostState(at) => state.hot_db.mailbox.push_back(ToHotDb::PostState(at)),
            WorkerEffect::Loaded(key) => state.lanes.loaded(key),
            WorkerEffect::Proceed => self.worker_handles(state, index, WorkerEvent::Proceed),
            WorkerEffect::Answer(answer) => {
                let requesters = &mut state.workers[index].requesters;
                let Some(requester) = requesters.pop_front() else { return };
                let batch = &mut state.workers[index];
                if self.has(Fault::BatchAnswersFirst) {
                    batch.requesters.clear();
                } else if self.has(Fault::BatchCondemned) && matches!(answer, Answer::Invalid(_)) {
                    let others = batch.work.iter_mut().filter_map(|effect| match effect {
                        WorkerEffect::Answer(answer) => Some(answer),
                        _ => None,
                    });
                    others.for_each(|other| *other = answer.clone());
                }
                self.answer(state, requester, answer);
            }
        }
    }
}

impl Model for Pipeline {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.init()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.steps(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Submit(index) => {
                state.submitted[index] = true;
                let item = Quarantined::new(self.scenario.items[index].0.clone(), 0, 1);
                let message = ToQuarantine::Submit { id: index as ItemId, item };
                state.quarantine.mailbox.push_back(message);
            }
            Action::Query(index) => {
                state.queried[index] = true;
                let job = query(self.scenario.queries[index]);
                let requester = Requester::Query(index);
                self.submit_task(&mut state, Task { job, requester, trail: None });
            }
            Action::Tick => {
                state.slot += 1;
                let message = ToQuarantine::Tick { slot: state.slot };
                state.quarantine.mailbox.push_back(message);
            }
            Action::Stop => {
                state.stopped = true;
                state.quarantine.mailbox.push_back(ToQuarantine::Stop);
            }
            Action::Park => {
                let orphans = &mut state.quarantine.orphans;
                orphans.parked.extend(orphans.looked_up.pop_front());
            }
            Action::Quarantine => self.quarantine_step(&mut state),
            Action::Clearance => self.clearance_step(&mut state),
            Action::HotDb => self.hot_db_step(&mut state),
            Action::Worker(index) => self.worker_step(&mut state, index),
        }
        Some(state)
    }

    fn format_step(&self, last: &State, action: Action) -> Option<String> {
        let next = self.next_state(last, action)?;
        Some(format!("{}\n{next:?}", self.describe(last, action)))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
