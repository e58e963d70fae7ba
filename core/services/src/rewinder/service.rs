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
    /// Whether long loads and batches are to be given up.
    stopping: bool,
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
            let turn = if let Some(first) = tasks.first() {
                self.gauges[first.lane as usize].received(tasks.len() as u64);
                Some(Turn::Serve(tasks))
            } else if queue.is_closed() {
                (role == Role::Reserved || queue.waiting() == 0).then_some(Turn::End)
            } else {
                (entered && queue.waiting() == 0).then_some(Turn::Prepare)
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
        let Self { reply, busy } = self;
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
    /// Queues a job; never blocks. The answer is `Busy` if the lane is full, and `Refused` if the
    /// queue is closed.
    pub(crate) fn submit(&self, lane: Lane, job: Job<C>, reply: ReplyTo<C>) {
        let requester = Requester { reply, busy: Busy::new(&self.activity) };
        // This runs on the requester's thread, outside of its step.
        let outcome = Task::new(&*self.consensus, lane, job, requester).and_then(|task| {
            let gauge = &self.shared.gauges[lane as usize];
            let mut inner = self.shared.queue.lock();
            let outcome = task.submit(&mut inner.queue);
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
    /// answered `Refused`. Short tasks are not concerned.
    pub(crate) fn give_up_long_loads(&self) {
        self.shared.queue.lock().stopping = true;
    }

    /// Lets the workers end once they have served what is queued.
    pub(crate) fn close(&self) {
        self.shared.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use blocksmith_sync::{Std, WaitOutcome};

    use super::*;
    use crate::hot_db::{HotDb, HotDbService, Limits};
    use crate::observer::Observer;
    use crate::supervision::{Intensity, ServiceName, Supervisor};
    use crate::toy::{Toy, ToyState};
    use crate::trace::Tracer;

    /// A test that waits longer than this has failed.
    const LONG: Duration = Duration::from_secs(30);

    /// A queue for so many general workers and one more that is reserved, and its handle.
    fn queue(general: usize) -> RewinderHandle<Std, Toy> {
        let inner = Inner {
            queue: Dispatcher::new(4, 8),
            workers: general + 1,
            general_workers: general,
            idle: 0,
            stopping: false,
        };
        let shared = Std::arc(Shared {
            queue: <Std as Primitives>::Mutex::new(inner),
            gauges: Lane::ALL.map(|_| Arc::new(Gauge::new(4))),
            general: EventNotifier::new(),
            reserved: EventNotifier::new(),
        });
        RewinderHandle {
            shared,
            consensus: Arc::new(Toy::default()),
            activity: Activity::<Std>::new(),
        }
    }

    /// Submits a query for the anchor's state; returns where the answer comes.
    fn ask(queue: &RewinderHandle<Std, Toy>) -> Receiver<Answer<Toy>> {
        let (send, answer) = channel();
        // A test that has ended needs no more.
        let reply = ReplyTo::new(move |answer| drop(send.send(answer)));
        queue.submit(Lane::Queries, Job::State { root: 0, slot: 4 }, reply);
        answer
    }

    /// Asks on another thread what a worker does next; returns where the word for it comes.
    fn next(queue: &RewinderHandle<Std, Toy>, role: Role) -> Receiver<&'static str> {
        let (tell, turn) = channel();
        let shared = queue.shared.clone();
        drop(Std::spawn("worker", move || {
            let word = match shared.next(role, false) {
                Turn::Serve(_) => "serve",
                Turn::Prepare => "prepare",
                Turn::End => "end",
            };
            // As above.
            let _ = tell.send(word);
        }));
        turn
    }

    #[test]
    fn the_last_general_worker_leaves_nobody_without_an_answer() {
        // A task waits while two general workers end, and then the reserved one does.
        let queue = queue(2);
        let answer = ask(&queue);
        let gauge = queue.gauge(Lane::Queries);
        assert!(!queue.shared.worker_ends(Role::General));
        assert!(answer.try_recv().is_err() && gauge.counters().evicted == 0);
        assert!(!queue.shared.worker_ends(Role::General));
        let fault = Answer::Fault("the task was dropped".to_owned());
        assert_eq!((answer.try_recv(), gauge.counters().evicted), (Ok(fault), 1));
        assert_eq!(ask(&queue).try_recv(), Ok(Answer::Refused));
        assert!(queue.shared.worker_ends(Role::Reserved));
    }

    #[test]
    fn a_reserved_worker_leaves_what_it_may_not_take_to_others_and_ends() {
        // A query waits when the queue is closed.
        let queue = queue(1);
        let _answer = ask(&queue);
        queue.close();
        assert_eq!(next(&queue, Role::Reserved).recv_timeout(LONG), Ok("end"));
        assert_eq!(next(&queue, Role::General).recv_timeout(LONG), Ok("serve"));
    }

    #[test]
    fn a_general_worker_that_finds_nothing_waits_until_something_comes() {
        // It is counted among the idle by then, unless it has returned.
        let queue = queue(1);
        let turn = next(&queue, Role::General);
        let mut early = turn.try_recv();
        while early.is_err() && Mutex::lock(&queue.shared.queue).idle == 0 {
            early = turn.try_recv();
            std::thread::yield_now();
        }
        assert!(early.is_err(), "{early:?}");
        let _answer = ask(&queue);
        assert_eq!(turn.recv_timeout(LONG), Ok("serve"));
    }

    #[test]
    fn a_loaded_state_wakes_those_whom_a_task_waits_for() {
        // Nothing waits, then a query, and then a duty as well.
        let woken = |queue: &RewinderHandle<Std, Toy>| {
            let shared = &queue.shared;
            let tokens = [shared.general.prepare(), shared.reserved.prepare()];
            shared.loaded((1, 4));
            tokens.map(|token| token.wait_timeout(Duration::ZERO) == WaitOutcome::Woken)
        };
        let queue = queue(1);
        assert_eq!(woken(&queue), [false, false]);
        let _answer = ask(&queue);
        assert_eq!(woken(&queue), [true, false]);
        let reply = ReplyTo::new(drop);
        queue.submit(Lane::Duties, Job::State { root: 0, slot: 4 }, reply);
        assert_eq!(woken(&queue), [true, true]);
    }

    #[test]
    fn the_ports_of_a_worker_reach_the_queue_and_the_hot_db() {
        // A state is claimed twice; a task is put back behind it; the state is posted and reported.
        let toy = Arc::new(Toy::default());
        let (observer, _notices) = Observer::<Std, Toy>::new(4);
        let supervisor = Supervisor::new(Intensity::default(), None, observer);
        let guard =
            |service| Guard::new(service, true, &supervisor, None, Tracer::new(service, 0, 0));
        let machine = HotDb::new(&*toy, Limits::default(), 0, 0, ToyState::anchor());
        let queue = queue(1);
        let (_service, hot_db) = HotDbService::new(
            toy.clone(),
            Box::new(machine),
            4,
            &queue.activity,
            guard(ServiceName::HotDb),
        );
        let guard = guard(ServiceName::Rewinder);
        let mut ports = Threads {
            shared: &*queue.shared,
            hot_db: &hot_db,
            consensus: &*toy,
            guard: &guard,
            allowed: GoesFirst::Nothing,
            entered: None,
        };
        assert_eq!([(); 2].map(|()| ports.claim((1, 4))), [true, false]);
        let _answer = ask(&queue);
        let pull = || Mutex::lock(&queue.shared.queue).queue.pull(Role::General, 0);
        ports.requeue(pull(), (1, 4));
        ports.loaded((0, 4));
        assert_eq!((pull().len(), queue.waiting()), (0, 1));
        ports.post_state(StateAt { root: 1, slot: 4, state: ToyState::anchor() });
        assert_eq!(hot_db.post().counters().depth, 1);
        ports.loaded((1, 4));
        assert_eq!(pull().len(), 1);
    }
}
