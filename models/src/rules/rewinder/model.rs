//! States and steps; see [`super`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use blocksmith::clearance::{Clearance, Effect as Imported, Event as Import, Import as Item};
use blocksmith::consensus::{Checkpoint, Consensus, Slot, UpdateFlags};
use blocksmith::fork_choice;
use blocksmith::hot_db::{Event as HotEvent, HotDb, Limits, Prune, StateAt};
use blocksmith::identified;
use blocksmith::machine::Machine;
use blocksmith::rewinder::shell::{Hands, Task};
use blocksmith::rewinder::{
    Answer, Dispatcher, GoesFirst, Job, Lane, Role, StateKey, Worker, WorkerEvent,
};
use blocksmith::supervision::Bare;
use blocksmith::toy::{Toy, ToyAttestation, ToyBlock, ToyRoot, ToyState};
use blocksmith::verdict::ClearedBlock;
use stateright::{Model, Property};

use super::ports::Ends;
use super::{Fault, properties};
use crate::rules::Bounded;
use blocksmith_engines::counterexample::Stand;

/// What a task asks for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Block(ToyBlock),
    Vote(ToyAttestation),
    State(ToyRoot, Slot),
}

/// An instance.
#[derive(Clone, Debug)]
pub(super) struct Rewinder {
    pub(super) fault: Option<Fault>,
    /// Tasks, each with its lane and the answers that it may get.
    pub(super) tasks: Vec<(Lane, Ask, &'static [&'static str])>,
    /// How many of the tasks, from the first on, wait from the beginning.
    pub(super) prepared: usize,
    /// Blocks that are in the HotDB from the beginning, parents first.
    pub(super) committed: Vec<ToyBlock>,
    pub(super) limits: Limits,
    /// Workers that serve every lane. One more serves duties alone if `reserved`.
    pub(super) workers: usize,
    pub(super) reserved: bool,
    pub(super) capacity: usize,
    /// Most votes that a worker verifies together.
    pub(super) batch: usize,
    /// What finality may keep, at any moment, once.
    pub(super) prune: Option<Prune<ToyRoot>>,
    /// Whether a stop may come, and a panic of a worker.
    pub(super) stop: bool,
    pub(super) panic: bool,
    /// Branches on which votes are cast.
    pub(super) branches: usize,
    pub(super) toy: Toy,
}

/// A worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) hands: Hands<Toy, usize>,
    /// The next event of its machine.
    pub(super) next: Option<WorkerEvent<Toy>>,
    /// Whether a task is in hand.
    pub(super) busy: bool,
    /// The lane of that task.
    pub(super) lane: Option<Lane>,
    /// Slot of the state at the last look.
    pub(super) at: Slot,
    /// Slots that the load in hand has run, and those since the stop.
    pub(super) ran: u64,
    pub(super) after_stop: u64,
    /// Tasks that were given to the worker while it was busy. Only a fault puts any here.
    pub(super) given: VecDeque<Vec<Task<Toy, usize>>>,
}

/// What the model knows of a task that waits in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Waiting {
    pub(super) task: usize,
    pub(super) key: Option<StateKey<ToyRoot>>,
    pub(super) after: Option<StateKey<ToyRoot>>,
}

/// What happened, as far as the properties ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Log {
    pub(super) answers: Vec<Vec<&'static str>>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) loading: Vec<StateKey<ToyRoot>>,
    pub(super) posts: BTreeMap<StateKey<ToyRoot>, u8>,
    /// Loads for votes.
    pub(super) loads: usize,
    pub(super) imported: BTreeMap<ToyRoot, u8>,
    /// Most slots that a worker ran while a duty waited, and those since the present one came.
    pub(super) duty_waited: u64,
    pub(super) duty_waits: u64,
    /// Most votes that were verified while a block or a duty waited, and those since the present
    /// one came; and those since the stop.
    pub(super) votes_first_most: u64,
    pub(super) votes_first: u64,
    pub(super) votes_after_stop: u64,
    /// A commit that is to come after its verdict. Only a fault puts one here.
    pub(super) late: Vec<HotEvent<Toy>>,
    /// What a worker saw when it first asked. Only a fault keeps it.
    pub(super) seen: BTreeMap<usize, WorkerEvent<Toy>>,
}

/// A state of the instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) lanes: Dispatcher<ToyRoot, Task<Toy, usize>>,
    pub(super) workers: Vec<Process>,
    pub(super) hot_db: HotDb<Toy>,
    pub(super) clearance: Clearance<Toy>,
    /// Cleared blocks on their way to Clearance. With a fault, whether each is new is known.
    pub(super) imports: VecDeque<(Box<ClearedBlock<Toy>>, Option<bool>)>,
    pub(super) submitted: Vec<bool>,
    pub(super) pruned: bool,
    pub(super) stopping: bool,
    pub(super) panicked: bool,
    pub(super) log: Log,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// The task of that number comes.
    Submit(usize),
    /// A worker pulls, or goes on.
    Work(usize),
    /// The oldest waiting task is given to a worker. Only a fault does so.
    Give(usize),
    /// A commit comes after its verdict. Only a fault does so.
    LateCommit,
    /// Whether the oldest import that nobody has looked at is new is found out. Only a fault does
    /// so.
    Look,
    /// Clearance takes the oldest import.
    Import,
    /// Finality moves.
    Prune,
    /// The stop comes.
    Stop,
    /// A worker's machine panics.
    Panic(usize),
}

impl Rewinder {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    /// Returns the number that answers to a worker's own task go to. Only a fault makes such tasks.
    pub(super) fn own_task(&self, worker: usize) -> usize {
        self.tasks.len() + worker
    }

    fn role(&self, worker: usize) -> Role {
        let reserved = worker >= self.workers || self.has(Fault::NoConsumer);
        if reserved { Role::Reserved } else { Role::General }
    }

    /// Returns the job of a task.
    fn job(&self, ask: Ask) -> Job<Toy> {
        match ask {
            Ask::Block(block) => Job::Block(identified::block(&self.toy, block)),
            Ask::Vote(vote) => Job::Attestation(identified::attestation(&self.toy, vote)),
            Ask::State(root, slot) => Job::State { root, slot },
        }
    }

    fn start(&self) -> State {
        let distance = if self.has(Fault::AnyDistance) { u64::MAX } else { self.limits.distance };
        let pruned_roots =
            if self.has(Fault::PrunedIsForgotten) { 0 } else { self.limits.pruned_roots };
        let limits = Limits { distance, pruned_roots, ..self.limits };
        let anchor = ToyState::anchor();
        let mut hot_db = HotDb::new(&self.toy, limits, 0, 0, anchor);
        let mut states = BTreeMap::from([(0, anchor)]);
        for block in &self.committed {
            let mut state = states[&block.parent];
            let run = self.toy.transition(&mut state, block, UpdateFlags::default());
            run.expect("the instance's blocks are valid");
            states.insert(block.root, state);
            let state = StateAt { root: block.root, slot: block.slot, state };
            let block = identified::block(&self.toy, *block);
            hot_db.handle(&self.toy, HotEvent::Commit { block, state });
        }
        let config = fork_choice::Config::new(self.toy.slots_per_epoch);
        let balances = self.toy.balances(&anchor).expect("the toy has balances");
        let mut clearance = Clearance::new(config, 0, 0, balances);
        clearance.handle(&self.toy, Import::Import(Item::Tick { slot: 16 }));
        let answers = vec![Vec::new(); self.tasks.len()];
        let mut state = State {
            lanes: Dispatcher::new(self.capacity, self.batch),
            workers: vec![Process::default(); self.workers + usize::from(self.reserved)],
            hot_db,
            clearance,
            imports: VecDeque::new(),
            submitted: vec![false; self.tasks.len()],
            pruned: false,
            stopping: false,
            panicked: false,
            log: Log { answers, ..Log::default() },
        };
        (0..self.prepared).for_each(|task| self.submit(&mut state, task));
        state
    }

    /// Returns how many workers of all lanes are idle, one worker aside.
    pub(super) fn others_idle(&self, state: &State, worker: usize) -> usize {
        let others = (0..self.workers).filter(|other| *other != worker);
        others.filter(|other| !state.workers[*other].busy).count()
    }

    /// Returns what a worker would pull now.
    pub(super) fn would_pull(&self, state: &State, worker: usize) -> Vec<usize> {
        let others = self.others_idle(state, worker);
        let tasks = state.lanes.clone().pull(self.role(worker), others);
        tasks.into_iter().map(|task| task.reply).collect()
    }

    fn can_work(&self, state: &State, worker: usize) -> bool {
        let process = &state.workers[worker];
        match process.busy {
            true => process.next.is_some(),
            false => {
                !process.given.is_empty()
                    || (!self.has(Fault::GivesToTheReady)
                        && !self.would_pull(state, worker).is_empty())
            }
        }
    }

    /// Returns whether nothing but the environment can take a step.
    pub(super) fn at_rest(&self, state: &State) -> bool {
        let mut workers = 0..state.workers.len();
        let gives = self.has(Fault::GivesToTheReady) && state.lanes.waiting() > 0;
        !workers.any(|worker| self.can_work(state, worker))
            && !gives
            && state.imports.is_empty()
            && state.log.late.is_empty()
            && state.submitted.iter().all(|submitted| *submitted)
    }

    fn submit(&self, state: &mut State, number: usize) {
        let (lane, ask, _) = self.tasks[number];
        state.submitted[number] = true;
        let lane = if self.has(Fault::OneLane) { Lane::Queries } else { lane };
        self.queue(state, lane, self.job(ask), number);
    }

    /// Puts a task into its lane, or answers it.
    pub(super) fn queue(&self, state: &mut State, lane: Lane, job: Job<Toy>, number: usize) {
        let Ok(mut task) = Task::new(&self.toy, lane, job, number) else { return };
        if self.has(Fault::ClaimsNothing) {
            task.key = None;
        }
        let key = task.key;
        match task.submit(&mut state.lanes) {
            Ok(()) => state.log.waiting.push(Waiting { task: number, key, after: None }),
            Err(_) if self.has(Fault::RefusedInSilence) => {}
            Err((number, answer)) => {
                let answers = state.log.answers.get_mut(number);
                answers.into_iter().for_each(|answers| answers.push(properties::word(&answer)));
            }
        }
    }

    /// Notes that tasks of one key have been pulled.
    pub(super) fn note_pulled(&self, log: &mut Log, tasks: &[Task<Toy, usize>]) {
        for task in tasks {
            log.waiting.retain(|waits| waits.task != task.reply);
        }
        log.loading.extend(tasks.first().and_then(|task| task.key));
        let duty = |waits: &Waiting| self.is_duty(waits.task);
        if !log.waiting.iter().any(duty) {
            log.duty_waits = 0;
        }
        if !log.waiting.iter().any(|waits| self.is_urgent(waits.task)) {
            log.votes_first = 0;
        }
    }

    /// Notes, for an instance with a batch, that a vote has been answered.
    pub(super) fn note_vote(&self, state: &mut State, answer: &Answer<Toy>) {
        if self.prepared == 0 || matches!(answer, Answer::Refused) {
            return;
        }
        let log = &mut state.log;
        log.votes_after_stop += u64::from(state.stopping);
        if log.waiting.iter().any(|waits| self.is_urgent(waits.task)) {
            log.votes_first += 1;
            log.votes_first_most = log.votes_first_most.max(log.votes_first);
        }
    }

    fn is_urgent(&self, task: usize) -> bool {
        let urgent = |(lane, ..): &(Lane, _, _)| matches!(lane, Lane::Duties | Lane::Blocks);
        self.tasks.get(task).is_some_and(urgent)
    }

    pub(super) fn is_duty(&self, task: usize) -> bool {
        self.tasks.get(task).is_some_and(|(lane, ..)| *lane == Lane::Duties)
    }

    fn work(&self, state: &mut State, worker: usize) {
        let duty_waits = state.log.waiting.iter().any(|waits| self.is_duty(waits.task));
        let process = &mut state.workers[worker];
        let effects = if let Some(event) = process.next.take() {
            if let WorkerEvent::Trail(blocksmith::hot_db::TrailReply::Trail(trail)) = &event {
                process.at = trail.start.slot;
            }
            process.hands.handle(&self.toy, &Bare, event)
        } else {
            let tasks = if self.has(Fault::GivesToTheReady) {
                process.given.pop_front().unwrap_or_default()
            } else {
                let (role, others) = (self.role(worker), self.others_idle(state, worker));
                let tasks = state.lanes.pull(role, others);
                self.note_pulled(&mut state.log, &tasks);
                tasks
            };
            state.log.seen.remove(&worker);
            let process = &mut state.workers[worker];
            let Some(first) = tasks.first() else { return };
            (process.busy, process.lane, process.ran) = (true, Some(first.lane), 0);
            process.hands.start(&self.toy, &Bare, tasks)
        };
        let effects = effects.expect("nothing panics here");
        self.count_slots(state, worker, duty_waits);
        let mut process = std::mem::take(&mut state.workers[worker]);
        let mut ends = self.ends(state, worker);
        for effect in effects {
            let event = process.hands.carry_out(&self.toy, &mut ends, effect);
            process.next = process.next.or(event);
        }
        if ends.waits {
            process.next = None;
        } else if process.next.is_none() {
            process.hands.finish(&mut ends);
            process = Process { given: process.given, ..Process::default() };
        }
        state.workers[worker] = process;
    }

    fn ends<'a>(&'a self, state: &'a mut State, worker: usize) -> Ends<'a> {
        let allowed = GoesFirst::of_role(self.role(worker));
        Ends { model: self, state, worker, waits: false, allowed }
    }

    /// Notes how many slots a part of a load has run.
    fn count_slots(&self, state: &mut State, worker: usize, duty_waits: bool) {
        let State { workers, log, .. } = state;
        let process = &mut workers[worker];
        let Worker::Load(load) = process.hands.machine() else { return };
        let part = load.slot_so_far().saturating_sub(process.at);
        (process.at, process.ran) = (load.slot_so_far(), process.ran.saturating_add(part));
        if duty_waits && worker < self.workers {
            log.duty_waits = log.duty_waits.saturating_add(part);
            log.duty_waited = log.duty_waited.max(log.duty_waits);
        }
        if state.stopping {
            process.after_stop = process.after_stop.saturating_add(part);
        }
    }

    fn import(&self, state: &mut State) -> Option<()> {
        let (block, looked) = state.imports.pop_front()?;
        let root = block.item().identity().root;
        let is_new = looked.unwrap_or_else(|| !state.clearance.fork_choice().contains(root));
        *state.log.imported.entry(root).or_default() += u8::from(is_new);
        let item = Item::Block { block, timely: false };
        for effect in state.clearance.handle(&self.toy, Import::Import(item)) {
            if let Imported::Prune(keep) = effect {
                state.hot_db.handle(&self.toy, HotEvent::Prune(keep));
            }
        }
        Some(())
    }

    fn panic(&self, state: &mut State, worker: usize) {
        state.panicked = true;
        let mut process = std::mem::take(&mut state.workers[worker]);
        if !self.has(Fault::PromiseForgotten) {
            process.hands.finish(&mut self.ends(state, worker));
        }
    }
}

impl Bounded for Rewinder {
    fn bounds(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("tasks", self.tasks.len().to_string()),
            ("workers", self.workers.to_string()),
            ("reserved_workers", usize::from(self.reserved).to_string()),
            ("panics", usize::from(self.panic).to_string()),
        ])
    }

    fn step_in_words(&self, state: &State, action: &Action) -> (String, String) {
        self.tell(state, *action)
    }

    fn objects(&self, state: &State) -> Vec<(String, String)> {
        self.held(state)
    }

    fn stands(&self, state: &State) -> Vec<Stand> {
        self.standing(state)
    }
}

impl Model for Rewinder {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let open = (0..self.tasks.len()).filter(|task| !state.submitted[*task]);
        actions.extend(open.map(Action::Submit));
        let workers = 0..state.workers.len();
        actions.extend(workers.clone().filter(|w| self.can_work(state, *w)).map(Action::Work));
        if self.has(Fault::GivesToTheReady) && state.lanes.waiting() > 0 {
            let ready = workers.clone().filter(|worker| !state.workers[*worker].busy);
            actions.extend(ready.map(Action::Give));
        }
        actions.extend((!state.log.late.is_empty()).then_some(Action::LateCommit));
        let looks = self.has(Fault::LooksThenImports);
        let unseen = state.imports.iter().any(|(_, looked)| looked.is_none());
        actions.extend((looks && unseen).then_some(Action::Look));
        let first = state.imports.front();
        let may_import = first.is_some_and(|(_, looked)| !looks || looked.is_some());
        actions.extend(may_import.then_some(Action::Import));
        actions.extend((self.prune.is_some() && !state.pruned).then_some(Action::Prune));
        actions.extend((self.stop && !state.stopping).then_some(Action::Stop));
        if self.panic && !state.panicked {
            let busy = workers.filter(|worker| state.workers[*worker].next.is_some());
            actions.extend(busy.map(Action::Panic));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Submit(task) => self.submit(&mut state, task),
            Action::Work(worker) => self.work(&mut state, worker),
            Action::Give(worker) => {
                let State { lanes, log, .. } = &mut state;
                let tasks = lanes.pull(Role::General, 0);
                self.note_pulled(log, &tasks);
                state.workers[worker].given.push_back(tasks);
            }
            Action::LateCommit => {
                let commit = state.log.late.remove(0);
                state.hot_db.handle(&self.toy, commit);
            }
            Action::Look => {
                let contains = |root| state.clearance.fork_choice().contains(root);
                let unseen = state.imports.iter_mut().find(|(_, looked)| looked.is_none())?;
                unseen.1 = Some(!contains(unseen.0.item().identity().root));
            }
            Action::Import => self.import(&mut state)?,
            Action::Prune => {
                state.pruned = true;
                state.hot_db.handle(&self.toy, HotEvent::Prune(self.prune?));
            }
            Action::Stop => state.stopping = true,
            Action::Panic(worker) => self.panic(&mut state, worker),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

/// Returns what is to be kept.
pub(super) fn keep(finalized: ToyRoot, head: ToyRoot) -> Prune<ToyRoot> {
    let finalized = Checkpoint { epoch: 1, root: finalized };
    Prune { finalized, justified: finalized.root, head }
}

/// Returns the states that two workers load.
pub(super) fn loaded_twice(log: &Log) -> bool {
    let all: BTreeSet<_> = log.loading.iter().collect();
    all.len() < log.loading.len()
}
