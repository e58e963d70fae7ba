//! The Rewinder's queue and worker threads; see [`crate::rewinder`].

use std::cell::Cell;
use std::sync::Arc;

use blocksmith_sync::broker::Gauge;
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Mutex, Primitives, oneshot};

use crate::activity::{Activity, Busy};
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::hot_db::{CommitteesAt, HotDbHandle, StateAt};
use crate::identified::IdentifiedBlock;
use crate::rewinder::dispatcher::{Dispatcher, Lane, Role, StateKey};
use crate::rewinder::precedence::{GoesFirst, Pause};
use crate::rewinder::shell::{self, Hands, Lanes, Ports};
use crate::rewinder::worker::{Answer, Job, WorkerEvent};
use crate::supervision::{EndGuard, Guard, Steps};

type Send1<C> = Box<dyn FnOnce(Answer<C>) + Send>;

/// The end on which an answer is sent. If it is dropped without one, it sends a fault: a queue that
/// goes away leaves nobody waiting (I1).
pub(crate) struct ReplyTo<C: Consensus>(Option<Send1<C>>);

impl<C: Consensus> ReplyTo<C> {
    /// `send` must not block.
    pub(crate) fn new(send: impl FnOnce(Answer<C>) + Send + 'static) -> Self {
        Self(Some(Box::new(send)))
    }

    fn answer(mut self, answer: Answer<C>) {
        if let Some(send) = self.0.take() {
            send(answer);
        }
    }
}

impl<C: Consensus> Drop for ReplyTo<C> {
    fn drop(&mut self) {
        if let Some(send) = self.0.take() {
            send(Answer::Fault("the task was dropped".to_owned()));
        }
    }
}

/// The end on which the answer to a task is sent, and the proof that the task is under way.
struct Requester<P: Primitives, C: Consensus> {
    reply: ReplyTo<C>,
    busy: Busy<P>,
    /// Whether the node itself asks, and not a client or a peer.
    own: bool,
}

type Task<P, C> = shell::Task<C, Requester<P, C>>;
type Queue<P, C> = Lanes<C, Requester<P, C>>;

/// What a worker does next.
enum Turn<P: Primitives, C: Consensus> {
    /// Serve these tasks, at least one.
    Serve(Vec<Task<P, C>>),
    /// Prepare the epoch of the state that it has kept: nothing waits.
    Prepare,
    /// End: the queue is closed and empty.
    End,
}

struct Shared<P: Primitives, C: Consensus> {
    queue: P::Mutex<Inner<P, C>>,
    /// What goes through each lane.
    gauges: [Arc<Gauge>; Lane::COUNT],
    general: EventNotifier<P>,
    reserved: EventNotifier<P>,
}

struct Inner<P: Primitives, C: Consensus> {
    queue: Queue<P, C>,
    /// Workers that have not ended, and those of them that serve every lane.
    workers: usize,
    general_workers: usize,
    /// Workers that serve every lane and have no task.
    idle: usize,
    /// Whether long loads and batches are to be given up, questions of clients refused, and
    /// preparations left out.
    stopping: bool,
}

impl<P: Primitives, C: Consensus> Inner<P, C> {
    /// Queues a task, or returns its requester with the answer to it.
    fn submit(&mut self, task: Task<P, C>) -> Result<(), (Requester<P, C>, Answer<C>)> {
        if self.stopping && is_refused_by_a_stop(&task) {
            Err((task.reply, Answer::Refused))
        } else if task.reply.own {
            task.submit_own(&mut self.queue)
        } else {
            task.submit(&mut self.queue)
        }
    }
}

/// Returns whether a stop refuses a task that waits: items are judged, and what the node itself
/// asks for, at most a few states, is bounded by their number.
fn is_refused_by_a_stop<P: Primitives, C: Consensus>(task: &Task<P, C>) -> bool {
    !task.reply.own && task.job.is_question()
}

/// Workers that have not been started.
pub(crate) struct RewinderService<P: Primitives, C: Consensus> {
    shared: P::Arc<Shared<P, C>>,
    hot_db: HotDbHandle<P, C>,
    consensus: Arc<C>,
    guard: Guard<P, C>,
    /// How many workers have been made.
    workers: Cell<u64>,
}

/// The handle of the Rewinder.
pub(crate) struct RewinderHandle<P: Primitives, C: Consensus> {
    shared: P::Arc<Shared<P, C>>,
    consensus: Arc<C>,
    activity: P::Arc<Activity<P>>,
}

impl<P: Primitives, C: Consensus> Clone for RewinderHandle<P, C> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            consensus: self.consensus.clone(),
            activity: self.activity.clone(),
        }
    }
}

impl<P: Primitives, C: Consensus> RewinderService<P, C> {
    /// Returns the service and its handle. `workers` general workers serve lanes of `capacity` and
    /// verify up to `batch` attestations at once.
    pub(crate) fn new(
        consensus: Arc<C>,
        hot_db: HotDbHandle<P, C>,
        workers: usize,
        (capacity, batch): (usize, usize),
        activity: &P::Arc<Activity<P>>,
        guard: Guard<P, C>,
    ) -> (Self, RewinderHandle<P, C>) {
        let inner = Inner {
            queue: Dispatcher::new(capacity, batch),
            workers,
            general_workers: workers,
            idle: 0,
            stopping: false,
        };
        let shared = P::arc(Shared {
            queue: P::Mutex::new(inner),
            gauges: Lane::ALL.map(|_| Arc::new(Gauge::new(capacity))),
            general: EventNotifier::new(),
            reserved: EventNotifier::new(),
        });
        let handle = RewinderHandle {
            shared: shared.clone(),
            consensus: consensus.clone(),
            activity: activity.clone(),
        };
        (Self { shared, hot_db, consensus, guard, workers: Cell::new(0) }, handle)
    }

    /// Returns the body of one worker's thread. The thread ends when the queue is closed and empty;
    /// the last one lets the HotDB end. `ended` is dropped last. There are `workers` general
    /// workers, and all are made before one of them runs.
    pub(crate) fn worker(
        &self,
        role: Role,
        ended: oneshot::Sender<P, ()>,
    ) -> impl FnOnce() + Send + 'static {
        let (shared, hot_db) = (self.shared.clone(), self.hot_db.clone());
        // This runs on the starter's thread, before a worker runs.
        let number = self.workers.get();
        self.workers.set(number + 1);
        let (consensus, guard) = (self.consensus.clone(), self.guard.another(number));
        guard.begin();
        if role == Role::Reserved {
            shared.queue.lock().workers += 1;
        }
        move || {
            let (all, below) = (shared.clone(), hot_db.clone());
            let _end = EndGuard::new(&guard, ended, move || {
                if all.worker_ends(role) {
                    below.post().close();
                }
            });
            // The newest state that waits to be prepared, at most one (I8).
            let mut entered = None;
            loop {
                match shared.next(role, entered.is_some()) {
                    Turn::Serve(tasks) => {
                        let mut ports = Threads {
                            shared: &*shared,
                            hot_db: &hot_db,
                            consensus: &*consensus,
                            guard: &guard,
                            allowed: GoesFirst::of_role(role),
                            entered: None,
                        };
                        ports.serve(tasks);
                        if role == Role::General {
                            entered = ports.entered.map(|at| at.state).or(entered);
                        }
                    }
                    Turn::Prepare => {
                        if let Some(state) = entered.take() {
                            prepare(&*consensus, &guard, &state);
                        }
                    }
                    Turn::End => break,
                }
            }
        }
    }
}

impl<P: Primitives, C: Consensus> Shared<P, C> {
    /// Blocks until there is something to do and returns it. A submission, a loaded state or the
    /// close wakes the worker. `entered` says whether the worker has kept a state whose epoch is to
    /// be prepared.
    fn next(&self, role: Role, entered: bool) -> Turn<P, C> {
        let notifier = match role {
            Role::General => &self.general,
            Role::Reserved => &self.reserved,
        };
        // Whether this worker is counted among the idle.
        let mut counted = false;
        notifier.wait_until(|| {
            let mut inner = self.queue.lock();
            let others = inner.idle - usize::from(counted);
            let tasks = inner.queue.pull(role, others);
            let queue = &inner.queue;
            let prepares = entered && !inner.stopping && queue.waiting() == 0;
            let turn = if let Some(first) = tasks.first() {
                self.gauges[first.lane as usize].received(tasks.len() as u64);
                Some(Turn::Serve(tasks))
            } else if queue.is_closed() {
                (role == Role::Reserved || queue.waiting() == 0).then_some(Turn::End)
            } else {
                prepares.then_some(Turn::Prepare)
            };
            counted = turn.is_none() && role == Role::General;
            inner.idle = others + usize::from(counted);
            turn
        })
    }

    /// Any number of tasks may have waited for this state, duties that were put back among them. A
    /// worker that finds none that it may take has nothing to wake up for.
    fn loaded(&self, key: StateKey<C::Root>) {
        let (tasks, duties) = {
            let mut inner = self.queue.lock();
            inner.queue.loaded(key);
            (inner.queue.waiting(), inner.queue.waiting_in(Lane::Duties))
        };
        if tasks > 0 {
            self.general.notify_all();
        }
        if duties > 0 {
            self.reserved.notify_all();
        }
    }

    fn requeue(&self, tasks: Vec<Task<P, C>>, after: StateKey<C::Root>) {
        // This worker pulls next, so it need not wake another: if the state is there by then, it
        // takes the tasks itself, and else whoever reports the state wakes all.
        if let Some(first) = tasks.first() {
            self.gauges[first.lane as usize].accepted(tasks.len() as u64);
        }
        Task::requeue(tasks, after, &mut self.queue.lock().queue);
    }

    /// Returns what is to be served next in a pause of other work, or `None` if the services are
    /// stopping.
    fn next_in(&self, pause: &mut Pause) -> Option<Option<(Task<P, C>, GoesFirst)>> {
        let mut inner = self.queue.lock();
        if inner.stopping {
            return None;
        }
        let next = pause.next(&mut inner.queue);
        if let Some((task, _)) = &next {
            self.gauges[task.lane as usize].received(1);
        }
        Some(next)
    }

    fn close(&self) {
        self.queue.lock().queue.close();
        self.general.notify_all();
        self.reserved.notify_all();
    }

    /// Counts a worker out and returns whether it was the last. After the last general worker
    /// nobody is left to serve: the queue closes, and what waits in it is answered by its drop
    /// (I1).
    fn worker_ends(&self, role: Role) -> bool {
        let (last, stranded) = {
            let mut inner = self.queue.lock();
            inner.workers -= 1;
            inner.general_workers -= usize::from(role == Role::General);
            let stranded = if inner.general_workers == 0 {
                inner.queue.close();
                inner.queue.take_all()
            } else {
                Vec::new()
            };
            (inner.workers == 0, stranded)
        };
        if !stranded.is_empty() {
            stranded.iter().for_each(|task| self.gauges[task.lane as usize].evicted(1));
            drop(stranded);
            self.reserved.notify_all();
        }
        last
    }
}

/// A worker's connections where it is a thread.
struct Threads<'a, P: Primitives, C: Consensus> {
    shared: &'a Shared<P, C>,
    hot_db: &'a HotDbHandle<P, C>,
    consensus: &'a C,
    guard: &'a Guard<P, C>,
    /// What may interrupt the tasks in hand.
    allowed: GoesFirst,
    /// The newest state of an epoch's first block that was committed through these ends (I8).
    entered: Option<StateAt<C>>,
}

impl<P: Primitives, C: Consensus> Threads<'_, P, C> {
    fn serve(&mut self, tasks: Vec<Task<P, C>>) {
        let (consensus, guard) = (self.consensus, self.guard);
        let entered = Hands::default().serve(consensus, guard, self, tasks);
        self.entered = entered.or(self.entered.take());
    }
}

impl<P: Primitives, C: Consensus> Ports<C> for Threads<'_, P, C> {
    type Reply = Requester<P, C>;

    fn trail(&mut self, root: C::Root, slot: Slot) -> Option<WorkerEvent<C>> {
        let trail = self.hot_db.trail(root, slot);
        Some(trail.map_or(WorkerEvent::HotDbGone, WorkerEvent::Trail))
    }

    fn commit(&mut self, block: IdentifiedBlock<C>, state: StateAt<C>) -> Option<WorkerEvent<C>> {
        let reply = self.hot_db.commit(block, state);
        Some(reply.map_or(WorkerEvent::HotDbGone, WorkerEvent::Committed))
    }

    fn committees(&mut self, target: Checkpoint<C::Root>) -> Option<WorkerEvent<C>> {
        let reply = self.hot_db.committees(target);
        Some(reply.map_or(WorkerEvent::HotDbGone, WorkerEvent::Trail))
    }

    fn post_state(&mut self, state: StateAt<C>) {
        self.hot_db.post_state(state);
    }

    fn post_committees(&mut self, at: CommitteesAt<C>) {
        self.hot_db.post_committees(at);
    }

    fn claim(&mut self, key: StateKey<C::Root>) -> bool {
        self.shared.queue.lock().queue.claim(key)
    }

    fn requeue(&mut self, tasks: Vec<Task<P, C>>, after: StateKey<C::Root>) {
        self.shared.requeue(tasks, after);
    }

    /// The loop ends: blocks are counted, and duties are the node's own, not a peer's.
    fn give_way(&mut self, place: GoesFirst) -> bool {
        let mut pause = Pause::new(place, self.allowed);
        while let Some(next) = self.shared.next_in(&mut pause) {
            let Some((task, allowed)) = next else { return true };
            let outer = std::mem::replace(&mut self.allowed, allowed);
            self.serve(vec![task]);
            self.allowed = outer;
        }
        false
    }

    fn loaded(&mut self, key: StateKey<C::Root>) {
        self.shared.loaded(key);
    }

    fn answer(&mut self, to: Requester<P, C>, answer: Answer<C>) {
        to.answer(answer);
    }
}

impl<P: Primitives, C: Consensus> Requester<P, C> {
    /// The task is under way until its answer has been sent.
    fn answer(self, answer: Answer<C>) {
        let Self { reply, busy, own: _ } = self;
        reply.answer(answer);
        drop(busy);
    }
}

/// Prepares the state's epoch. Nobody waits for it, so nobody is told of a fault (I8); a panic
/// counts as one of the worker's.
fn prepare<P: Primitives, C: Consensus>(consensus: &C, guard: &Guard<P, C>, state: &C::State) {
    if let Ok(Err(fault)) = guard.follow_up("epoch", || consensus.prepare_epoch(state)) {
        tracing::warn!(%fault, "an epoch could not be prepared");
    }
}

impl<P: Primitives, C: Consensus> RewinderHandle<P, C> {
    /// Queues a job of a client or a peer; never blocks. The answer is `Busy` if the lane is full,
    /// and `Refused` if the queue is closed, or the services are stopping and the job is a
    /// question.
    pub(crate) fn submit(&self, lane: Lane, job: Job<C>, reply: ReplyTo<C>) {
        self.queue(lane, job, reply, false);
    }

    /// Queues a job of the node itself, before the others of its lane and beside its capacity;
    /// never blocks. Clearance has at most [`crate::clearance::shell::STATE_REQUESTS`] under way,
    /// and the ColdDB [`crate::cold_db::shell::STATE_REQUESTS`]: four together. The answer is
    /// `Refused` if the queue is closed.
    pub(crate) fn submit_own(&self, lane: Lane, job: Job<C>, reply: ReplyTo<C>) {
        self.queue(lane, job, reply, true);
    }

    fn queue(&self, lane: Lane, job: Job<C>, reply: ReplyTo<C>, own: bool) {
        let requester = Requester { reply, busy: Busy::new(&self.activity), own };
        // This runs on the requester's thread, outside of its step.
        let outcome = Task::new(&*self.consensus, lane, job, requester).and_then(|task| {
            let gauge = &self.shared.gauges[lane as usize];
            let mut inner = self.shared.queue.lock();
            let outcome = inner.submit(task);
            // The gauge counts the task before a worker can count it out.
            match &outcome {
                Ok(()) => gauge.accepted(1),
                Err(_) => gauge.refused(1),
            }
            outcome
        });
        match outcome {
            Err((requester, answer)) => requester.answer(answer),
            Ok(()) => {
                self.shared.general.notify_one();
                if lane == Lane::Duties {
                    self.shared.reserved.notify_one();
                }
            }
        }
    }

    /// Returns the gauge of a lane.
    pub(crate) fn gauge(&self, lane: Lane) -> Arc<Gauge> {
        self.shared.gauges[lane as usize].clone()
    }

    /// Returns how many tasks wait.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.queue.lock().queue.waiting()
    }

    /// Has long loads and batches be given up between two of their parts: what is left of them is
    /// answered `Refused`. So are questions that wait, and those that come from now on, so that
    /// each worker runs one more part at most for them. No epoch is prepared. Items that wait are judged, if that is
    /// short.
    pub(crate) fn give_up_long_loads(&self) {
        let refused = {
            let mut inner = self.shared.queue.lock();
            inner.stopping = true;
            inner.queue.take_where(is_refused_by_a_stop)
        };
        if refused.is_empty() {
            return;
        }
        for task in refused {
            self.shared.gauges[task.lane as usize].evicted(1);
            task.reply.answer(Answer::Refused);
        }
        // A worker may have waited for a state that such a task needed.
        self.shared.general.notify_all();
    }

    /// Lets the workers end once they have served what is queued.
    pub(crate) fn close(&self) {
        self.shared.close();
    }
}

#[cfg(test)]
mod tests;
