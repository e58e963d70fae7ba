//! What a Rewinder worker does with its tasks. It is written once for everything that runs a
//! worker: threads, the processes of a model, and twins (variants with a deliberate fault, which a
//! check must catch).
//!
//! **Contract.** [`Hands::start`] and [`Hands::handle`] hand one event to the machine and return
//! its effects; [`Hands::carry_out`] carries out one of them, through [`Ports`]. The caller carries
//! all of them out, in order, before the next event. A port that has the machine's next event at
//! once returns it. Otherwise the event comes later, and comes once. [`Hands::finish`] ends the
//! tasks in hand: each task that has no answer by then gets one (I1).

use std::collections::VecDeque;

use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::hot_db::{CommitReply, CommitteesAt, StateAt, TrailReply};
use crate::identified::IdentifiedBlock;
use crate::rewinder::dispatcher::{Dispatcher, Lane, StateKey};
use crate::rewinder::precedence::GoesFirst;
use crate::rewinder::worker::{Answer, Job, Worker, WorkerEffect, WorkerEvent};
use crate::supervision::{Loss, Steps, Turn, contain};

/// A job that waits for a worker. `R` is its reply end, on which the answer is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task<C: Consensus, R> {
    /// Its lane.
    pub lane: Lane,
    /// What is to be done.
    pub job: Job<C>,
    /// The state that has to be loaded first.
    pub key: Option<StateKey<C::Root>>,
    /// The end on which the answer is sent.
    pub reply: R,
}

/// Returns how many places suffice for each lane: for what the Quarantine has under way at once,
/// and for `queries` other requests.
#[must_use]
pub fn lane_capacity(window: usize, queries: usize) -> usize {
    window.saturating_add(queries)
}

/// The lanes of waiting tasks.
pub type Lanes<C, R> = Dispatcher<<C as Consensus>::Root, Task<C, R>>;

impl<C: Consensus, R> Task<C, R> {
    /// Returns a task. This runs the protocol's code outside of any step, so a panic of that code
    /// is contained here.
    ///
    /// # Errors
    /// Returns the reply end and the answer if that code panics.
    pub fn new(consensus: &C, lane: Lane, job: Job<C>, reply: R) -> Result<Self, (R, Answer<C>)> {
        match contain(|| job.state_key(consensus)) {
            Ok(key) => Ok(Self { lane, job, key, reply }),
            Err(text) => Err((reply, Answer::Fault(text))),
        }
    }

    /// Puts the task behind those of its lane.
    ///
    /// # Errors
    /// Returns the reply end and the answer if the lane is full or the queue is closed.
    pub fn submit(self, lanes: &mut Lanes<C, R>) -> Result<(), (R, Answer<C>)> {
        let answer = if lanes.is_closed() { Answer::Refused } else { Answer::Busy };
        lanes.submit(self.lane, self.key, self).map_err(|task| (task.reply, answer))
    }

    /// Puts a task of the node itself before those of its lane. Its place does not depend on what
    /// clients ask for.
    ///
    /// # Errors
    /// Returns the reply end and the answer if the queue is closed.
    pub fn submit_own(self, lanes: &mut Lanes<C, R>) -> Result<(), (R, Answer<C>)> {
        lanes.submit_own(self.lane, self.key, self).map_err(|task| (task.reply, Answer::Refused))
    }

    /// Puts tasks of one lane back before the others of their lane, in their order. They may be
    /// pulled once `after` is loaded.
    pub fn requeue(tasks: Vec<Self>, after: StateKey<C::Root>, lanes: &mut Lanes<C, R>) {
        for task in tasks.into_iter().rev() {
            lanes.requeue(task.lane, task.key, after, task);
        }
    }
}

/// A worker's connections to the other services. Each of the first three methods asks the HotDB a
/// question.
pub trait Ports<C: Consensus> {
    /// The end on which the answer to a task is sent.
    type Reply;

    /// Asks for a trail. If it waits for the reply, it returns [`WorkerEvent::Trail`] or
    /// [`WorkerEvent::HotDbGone`].
    fn trail(&mut self, root: C::Root, slot: Slot) -> Option<WorkerEvent<C>>;
    /// Asks for the committees of a target. If it waits for the reply, it returns what
    /// [`Ports::trail`] does.
    fn committees(&mut self, target: Checkpoint<C::Root>) -> Option<WorkerEvent<C>>;
    /// Commits a block. If it waits for the reply, it returns [`WorkerEvent::Committed`] or
    /// [`WorkerEvent::HotDbGone`].
    fn commit(&mut self, block: IdentifiedBlock<C>, state: StateAt<C>) -> Option<WorkerEvent<C>>;
    /// Gives the HotDB a state. May wait for room.
    fn post_state(&mut self, state: StateAt<C>);
    /// Gives the HotDB committees. May wait for room.
    fn post_committees(&mut self, at: CommitteesAt<C>);
    /// Claims a state that is to be replayed. Returns whether no other worker has it.
    fn claim(&mut self, key: StateKey<C::Root>) -> bool;
    /// Puts tasks back in the queue, as [`Task::requeue`] does. Does not wait.
    fn requeue(&mut self, tasks: Vec<Task<C, Self::Reply>>, after: StateKey<C::Root>);
    /// Is called between two parts of a load and between two steps of a batch. Serves what goes
    /// first, as a [`crate::rewinder::Pause`] says; `place` is what may go first here at most.
    /// Returns whether the work in hand is to go on; it is not, once the services are stopping.
    fn give_way(&mut self, place: GoesFirst) -> bool;
    /// Says that a state is cached, or will not be: other workers may load it.
    fn loaded(&mut self, key: StateKey<C::Root>);
    /// Answers a task. Does not wait.
    fn answer(&mut self, to: Self::Reply, answer: Answer<C>);
}

/// A worker's machine, and what it has in hand for its tasks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hands<C: Consensus, R> {
    machine: Worker<C>,
    /// The kind of job, for reports.
    word: &'static str,
    /// The lane of the tasks in hand.
    lane: Lane,
    /// The reply ends of the tasks that have no answer yet, in the order of the tasks.
    replies: VecDeque<R>,
    /// The states that other workers wait for, at most two: that of the tasks, and a claimed one.
    keys: Vec<StateKey<C::Root>>,
    /// Slot of the block that the trail leads to, until the block is to be committed.
    parent_slot: Slot,
    /// The state of a block that is being committed, if the block is the first of its epoch on its
    /// branch.
    entering: Option<StateAt<C>>,
    /// The same, once the block is committed.
    entered: Option<StateAt<C>>,
}

impl<C: Consensus, R> Default for Hands<C, R> {
    fn default() -> Self {
        Self {
            machine: Worker::Idle,
            word: "",
            lane: Lane::Queries,
            replies: VecDeque::new(),
            keys: Vec::new(),
            parent_slot: Slot::MAX,
            entering: None,
            entered: None,
        }
    }
}

impl<C: Consensus, R> Hands<C, R> {
    /// Serves one task, or attestations of one target, from the first event to the last answer. The
    /// ports must wait: each question to the HotDB returns its reply. A panic of the machine, which
    /// runs the transition, ends the tasks, and the machine is dropped with them. Returns what
    /// [`Hands::finish`] does.
    pub fn serve<P: Ports<C, Reply = R>>(
        mut self,
        consensus: &C,
        steps: &impl Steps,
        ports: &mut P,
        tasks: Vec<Task<C, R>>,
    ) -> Option<StateAt<C>> {
        let mut step = self.start(consensus, steps, tasks);
        // The machine asks for a trail, for a claim, to go on once for each bounded part of the
        // trail, then for a commit or to go on once for each step of a batch, and answers.
        while let Ok(effects) = step {
            let mut event = None;
            for effect in effects {
                event = event.or(self.carry_out(consensus, ports, effect));
            }
            let Some(event) = event else { break };
            step = self.handle(consensus, steps, event);
        }
        self.finish(ports)
    }

    /// Takes up one task, or attestations of one target. The worker must have none in hand.
    ///
    /// # Errors
    /// Returns the [`Loss`] if the step panics.
    pub fn start(
        &mut self,
        consensus: &C,
        steps: &impl Steps,
        tasks: Vec<Task<C, R>>,
    ) -> Result<Vec<WorkerEffect<C>>, Loss> {
        let Some(first) = tasks.first() else { return Ok(Vec::new()) };
        (self.word, self.lane) = (first.job.word(), first.lane);
        self.keys.extend(first.key);
        let mut jobs = Vec::with_capacity(tasks.len());
        for task in tasks {
            jobs.push(task.job);
            self.replies.push_back(task.reply);
        }
        let machine = &mut self.machine;
        steps.hand(Turn::Step, self.word, machine, consensus, WorkerEvent::Start(jobs))
    }

    /// Goes on with the event that one of the ports returned, or that came later.
    ///
    /// # Errors
    /// Returns the [`Loss`] if the step panics.
    pub fn handle(
        &mut self,
        consensus: &C,
        steps: &impl Steps,
        event: WorkerEvent<C>,
    ) -> Result<Vec<WorkerEffect<C>>, Loss> {
        match &event {
            WorkerEvent::Trail(TrailReply::Trail(trail)) => self.parent_slot = trail.block_slot,
            WorkerEvent::Committed(reply) => {
                let committed = *reply == CommitReply::Committed;
                self.entered = self.entering.take().filter(|_| committed);
            }
            _ => {}
        }
        let machine = &mut self.machine;
        steps.hand(Turn::FollowUp, self.word, machine, consensus, event)
    }

    /// Carries out an effect. Returns the machine's next event, if it is there already.
    pub fn carry_out<P: Ports<C, Reply = R>>(
        &mut self,
        consensus: &C,
        ports: &mut P,
        effect: WorkerEffect<C>,
    ) -> Option<WorkerEvent<C>> {
        match effect {
            WorkerEffect::RequestTrail { root, slot } => return ports.trail(root, slot),
            WorkerEffect::RequestCommittees { target } => return ports.committees(target),
            WorkerEffect::Claim(key) => {
                let claimed = ports.claim(key);
                self.keys.extend(claimed.then_some(key));
                return Some(WorkerEvent::Claimed(claimed));
            }
            WorkerEffect::Requeue { after, jobs } => {
                let tasks = self.tasks(consensus, jobs);
                ports.requeue(tasks, after);
            }
            WorkerEffect::Commit { block, state } => {
                let parent_slot = std::mem::replace(&mut self.parent_slot, Slot::MAX);
                let enters = consensus.epoch_at(parent_slot) < consensus.epoch_at(state.slot);
                self.entering = enters.then(|| state.clone());
                return ports.commit(block, state);
            }
            WorkerEffect::PostState(state) => ports.post_state(state),
            WorkerEffect::PostCommittees(at) => ports.post_committees(at),
            WorkerEffect::Loaded(key) => {
                // From now on another worker may be loading it.
                self.keys.retain(|other| *other != key);
                ports.loaded(key);
            }
            WorkerEffect::Proceed => return Some(WorkerEvent::Proceed),
            WorkerEffect::GiveWay(place) => {
                let goes_on = ports.give_way(place);
                return Some(if goes_on { WorkerEvent::Proceed } else { WorkerEvent::Stop });
            }
            WorkerEffect::Answer(answer) => {
                if let Some(reply) = self.replies.pop_front() {
                    ports.answer(reply, answer);
                }
            }
        }
        None
    }

    /// Joins jobs and their requesters to tasks again.
    fn tasks(&mut self, consensus: &C, jobs: Vec<Job<C>>) -> Vec<Task<C, R>> {
        let lane = self.lane;
        let task = |(job, reply): (Job<C>, R)| {
            let key = job.state_key(consensus);
            Task { lane, job, key, reply }
        };
        jobs.into_iter().zip(self.replies.drain(..)).map(task).collect()
    }

    /// Ends the tasks in hand, once their machine has nothing more to ask or was cut short. The
    /// state that other workers wait for is free again, and each requester that has no answer is
    /// told of a fault. Returns the state of a committed block that is the first of its epoch on
    /// its branch.
    pub fn finish<P: Ports<C, Reply = R>>(&mut self, ports: &mut P) -> Option<StateAt<C>> {
        let hands = std::mem::take(self);
        hands.keys.into_iter().for_each(|key| ports.loaded(key));
        for reply in hands.replies {
            ports.answer(reply, Answer::Fault("the worker panicked".to_owned()));
        }
        hands.entered
    }

    /// Returns the machine.
    #[must_use]
    pub fn machine(&self) -> &Worker<C> {
        &self.machine
    }

    /// Returns the reply ends of the tasks that have no answer yet, in the order of the tasks.
    pub fn replies(&self) -> impl ExactSizeIterator<Item = &R> {
        self.replies.iter()
    }
}
