//! The Rewinder's queue and worker threads; see [`crate::rewinder`].

use std::sync::Arc;

use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Mutex, Primitives};

use crate::activity::{Activity, Busy};
use crate::consensus::Consensus;
use crate::hot_db::HotDbHandle;
use crate::rewinder::dispatcher::{Dispatcher, Lane, Role, StateKey};
use crate::rewinder::worker::{Answer, Job, Worker, WorkerEffect, WorkerEvent};

type Send1<C> = Box<dyn FnOnce(Answer<C>) + Send>;

/// Where an answer goes. Dropped without one, it sends a fault: a panic in a worker, or a queue that
/// goes away, leaves nobody waiting (I1).
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

struct Task<P: Primitives, C: Consensus> {
    job: Job<C>,
    reply: ReplyTo<C>,
    busy: Busy<P>,
}

type Queue<P, C> = Dispatcher<<C as Consensus>::Root, Task<P, C>>;

struct Shared<P: Primitives, C: Consensus> {
    queue: P::Mutex<Inner<P, C>>,
    general: EventNotifier<P>,
    reserved: EventNotifier<P>,
}

struct Inner<P: Primitives, C: Consensus> {
    queue: Queue<P, C>,
    general_workers: usize,
}

/// Workers that have not been started.
pub(crate) struct RewinderService<P: Primitives, C: Consensus> {
    shared: P::Arc<Shared<P, C>>,
    hot_db: HotDbHandle<P, C>,
    consensus: Arc<C>,
}

/// The way to the Rewinder.
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
    /// Returns the service and the way to it. `workers` general workers serve lanes of `capacity`.
    pub(crate) fn new(
        consensus: Arc<C>,
        hot_db: HotDbHandle<P, C>,
        workers: usize,
        capacity: usize,
        activity: &P::Arc<Activity<P>>,
    ) -> (Self, RewinderHandle<P, C>) {
        let inner = Inner { queue: Dispatcher::new(capacity), general_workers: workers };
        let shared = P::arc(Shared {
            queue: P::Mutex::new(inner),
            general: EventNotifier::new(),
            reserved: EventNotifier::new(),
        });
        let handle = RewinderHandle {
            shared: shared.clone(),
            consensus: consensus.clone(),
            activity: activity.clone(),
        };
        (Self { shared, hot_db, consensus }, handle)
    }

    /// Returns the body of one worker's thread. It ends when the queue is closed and empty.
    pub(crate) fn worker(&self, role: Role) -> impl FnOnce() + Send + 'static {
        let (shared, hot_db) = (self.shared.clone(), self.hot_db.clone());
        let consensus = self.consensus.clone();
        move || {
            let _lost = WorkerGuard { shared: &*shared, role };
            while let Some(task) = shared.next(role) {
                serve(&*consensus, &*shared, &hot_db, task);
            }
        }
    }
}

impl<P: Primitives, C: Consensus> Shared<P, C> {
    /// Blocks for the next task; a submission, a loaded state or the close wakes it.
    fn next(&self, role: Role) -> Option<Task<P, C>> {
        let notifier = match role {
            Role::General => &self.general,
            Role::Reserved => &self.reserved,
        };
        notifier.wait_until(|| {
            let queue = &mut self.queue.lock().queue;
            match queue.pull(role) {
                Some(task) => Some(Some(task)),
                None if queue.is_closed() && (role == Role::Reserved || queue.waiting() == 0) => {
                    Some(None)
                }
                None => None,
            }
        })
    }

    fn loaded(&self, key: StateKey<C::Root>) {
        self.queue.lock().queue.loaded(key);
        // Any number of tasks may have waited for this state.
        self.general.notify_all();
    }

    fn close(&self) {
        self.queue.lock().queue.close();
        self.general.notify_all();
        self.reserved.notify_all();
    }
}

/// Runs one task. The worker machine says what to ask of the HotDB; this thread asks and waits.
fn serve<P: Primitives, C: Consensus>(
    consensus: &C,
    shared: &Shared<P, C>,
    hot_db: &HotDbHandle<P, C>,
    task: Task<P, C>,
) {
    let Task { job, reply, busy } = task;
    let _loading = job.state_key(consensus).map(|key| LoadingGuard { shared, key });
    let mut reply = Some(reply);
    let mut worker = Worker::Idle;
    let mut event = Some(WorkerEvent::Start(job));
    // At most three rounds: the machine asks for a trail, then at most for a commit, then answers.
    while let Some(now) = event.take() {
        for effect in worker.handle(consensus, now) {
            match effect {
                WorkerEffect::RequestTrail { root, slot } => {
                    let trail = hot_db.trail(root, slot);
                    event = Some(trail.map_or(WorkerEvent::HotDbGone, WorkerEvent::Trail));
                }
                WorkerEffect::Commit { block, state } => {
                    let commit = hot_db.commit(block, state);
                    event = Some(commit.map_or(WorkerEvent::HotDbGone, WorkerEvent::Committed));
                }
                WorkerEffect::PostState(state) => hot_db.post_state(state),
                WorkerEffect::Loaded(key) => shared.loaded(key),
                WorkerEffect::Answer(answer) => {
                    if let Some(reply) = reply.take() {
                        reply.answer(answer);
                    }
                }
            }
        }
    }
    drop(busy);
}

/// Frees the state key if the worker panics while it loads.
struct LoadingGuard<'a, P: Primitives, C: Consensus> {
    shared: &'a Shared<P, C>,
    key: StateKey<C::Root>,
}

impl<P: Primitives, C: Consensus> Drop for LoadingGuard<'_, P, C> {
    fn drop(&mut self) {
        // A checker that reports a violation unwinds as well; nothing is left to repair then.
        if std::thread::panicking() && !P::reporting() {
            self.shared.loaded(self.key);
        }
    }
}

/// When the last general worker panics, nobody is left to serve: what waits is answered as a fault and
/// the queue closes (I1).
struct WorkerGuard<'a, P: Primitives, C: Consensus> {
    shared: &'a Shared<P, C>,
    role: Role,
}

impl<P: Primitives, C: Consensus> Drop for WorkerGuard<'_, P, C> {
    fn drop(&mut self) {
        if !std::thread::panicking() || P::reporting() || self.role == Role::Reserved {
            return;
        }
        let stranded = {
            let mut inner = self.shared.queue.lock();
            inner.general_workers = inner.general_workers.saturating_sub(1);
            if inner.general_workers == 0 {
                inner.queue.close();
                inner.queue.take_all()
            } else {
                Vec::new()
            }
        };
        drop(stranded);
        self.shared.general.notify_all();
        self.shared.reserved.notify_all();
    }
}

impl<P: Primitives, C: Consensus> RewinderHandle<P, C> {
    /// Queues a job; never blocks. The answer is `Refused` if the lane is full or the queue closed.
    pub(crate) fn submit(&self, lane: Lane, job: Job<C>, reply: ReplyTo<C>) {
        let key = job.state_key(&self.consensus);
        let task = Task { job, reply, busy: Busy::new(&self.activity) };
        let refused = self.shared.queue.lock().queue.submit(lane, key, task).err();
        match refused {
            Some(task) => task.reply.answer(Answer::Refused),
            None => {
                self.shared.general.notify_one();
                if lane == Lane::Duties {
                    self.shared.reserved.notify_one();
                }
            }
        }
    }

    /// Returns how many tasks wait.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.queue.lock().queue.waiting()
    }

    /// Lets the workers end once they have served what is queued.
    pub(crate) fn close(&self) {
        self.shared.close();
    }
}
