//! The queue and the ports of a worker, without the worker.

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
    RewinderHandle { shared, consensus: Arc::new(Toy::default()), activity: Activity::<Std>::new() }
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
    next_of(queue, role, false)
}

/// As [`next`]; `entered` says whether the worker has an epoch to prepare.
fn next_of(queue: &RewinderHandle<Std, Toy>, role: Role, entered: bool) -> Receiver<&'static str> {
    let (tell, turn) = channel();
    let shared = queue.shared.clone();
    drop(Std::spawn("worker", move || {
        let word = match shared.next(role, entered) {
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
fn a_worker_that_is_to_stop_prepares_nothing() {
    // One prepares before the stop. Another looks after it, waits, and ends with the close; a
    // task that comes meanwhile would be taken.
    let queue = queue(1);
    assert_eq!(next_of(&queue, Role::General, true).recv_timeout(LONG), Ok("prepare"));
    queue.give_up_long_loads();
    let turn = next_of(&queue, Role::General, true);
    let mut early = turn.try_recv();
    while early.is_err() && Mutex::lock(&queue.shared.queue).idle == 0 {
        early = turn.try_recv();
        std::thread::yield_now();
    }
    assert!(early.is_err(), "{early:?}");
    queue.close();
    assert_eq!(turn.recv_timeout(LONG), Ok("end"));
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
fn a_task_wakes_a_general_worker_and_a_duty_the_reserved_one_as_well() {
    // One is submitted while both wait.
    for (lane, expected) in [(Lane::Queries, [true, false]), (Lane::Duties, [true, true])] {
        let queue = queue(1);
        let tokens = [queue.shared.general.prepare(), queue.shared.reserved.prepare()];
        queue.submit(lane, Job::State { root: 0, slot: 4 }, ReplyTo::new(drop));
        let woken = tokens.map(|token| token.wait_timeout(Duration::ZERO) == WaitOutcome::Woken);
        assert_eq!(woken, expected, "{lane:?}");
    }
}

#[test]
fn the_ports_of_a_worker_reach_the_queue_and_the_hot_db() {
    // A state is claimed twice; a task is put back behind it; the state is posted and reported.
    let toy = Arc::new(Toy::default());
    let (observer, _notices) = Observer::<Std, Toy>::new(4);
    let supervisor = Supervisor::new(Intensity::default(), None, observer);
    let guard = |service| Guard::new(service, true, &supervisor, None, Tracer::new(service, 0, 0));
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
