//! Scenarios of tasks. A task is a future that waits, on a thread of its own that sleeps between
//! polls.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::{Acquire, Relaxed, Release};
use blocksmith_sync::mailbox::{Closed, OnFull, mailbox};
use blocksmith_sync::{Atomic, Futex, Primitives};

use super::notifier::{Shared, join};
use super::{RUNS, Row, SAMPLE, TOO_LARGE, restless, restless_states};
use crate::row;

/// The word that a task sleeps on between polls. Once it is woken, it stays awake.
pub(crate) struct Alarm<P: Primitives>(P::Futex);

impl<P: Primitives> Alarm<P> {
    pub(crate) fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Returns a waker on which no thread sleeps.
    pub(crate) fn waker() -> Waker {
        Waker::from(Arc::new(Self::new()))
    }

    /// Wakes the thread that sleeps on it, if there is one.
    pub(crate) fn ring(&self) {
        self.0.swap(1, Release);
        self.0.wake(1);
    }

    /// Sleeps until it is woken.
    pub(crate) fn wait(&self) {
        while !self.has_rung() {
            self.0.wait(0);
        }
    }

    /// Returns whether it has been woken.
    pub(crate) fn has_rung(&self) -> bool {
        self.0.load(Acquire) == 1
    }
}

impl<P: Primitives> Wake for Alarm<P> {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// Polls `future` with a new waker each time, and sleeps until that waker is woken.
pub(crate) fn block_on<P: Primitives, F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let alarm = Arc::new(Alarm::<P>::new());
        let waker = Waker::from(alarm.clone());
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        drop(waker);
        alarm.wait();
    }
}

/// Polls `future` once, with a waker on which no thread sleeps.
pub(crate) fn poll_once<P: Primitives, F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Alarm::<P>::waker()))
}

/// A thread publishes, and a task waits for it.
pub fn a_task_waits<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let producer = P::spawn("producer", move || {
        other.count.store(1, Relaxed);
        other.changed.notify_one();
    });
    let published = || (shared.count.load(Relaxed) == 1).then_some(());
    block_on::<P, _>(shared.changed.until(published));
    join(producer);
}

/// Two threads publish, and a task needs both publications.
pub fn two_producers<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let producers = ["producer 1", "producer 2"].map(|name| {
        let shared = shared.clone();
        P::spawn(name, move || shared.put())
    });
    let both = || (shared.count.load(Relaxed) == 2).then_some(());
    block_on::<P, _>(shared.changed.until(both));
    producers.into_iter().for_each(join);
}

/// A thread puts two permits one after the other, for two tasks.
pub fn two_tasks<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let tasks = ["task 1", "task 2"].map(|name| {
        let shared = shared.clone();
        P::spawn(name, move || block_on::<P, _>(shared.changed.until(|| shared.take())))
    });
    shared.put();
    shared.put();
    tasks.into_iter().for_each(join);
    assert_eq!(shared.count.load(Relaxed), 0);
}

/// A task polls once and is dropped, whether it was chosen or not. Another must get the only
/// permit.
pub fn a_task_cancels<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let (first, second) = (shared.clone(), shared.clone());
    let fickle = P::spawn("fickle", move || {
        let mut permit = first.changed.until(|| first.take());
        if poll_once::<P, _>(Pin::new(&mut permit)).is_ready() {
            first.put();
        }
    });
    let patient = P::spawn("patient", move || {
        block_on::<P, _>(second.changed.until(|| second.take()));
    });
    shared.put();
    join(fickle);
    join(patient);
}

/// A task and a thread wait for the same condition, and there is a permit for each.
pub fn a_task_and_a_thread<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let (first, second) = (shared.clone(), shared.clone());
    let task = P::spawn("task", move || {
        block_on::<P, _>(first.changed.until(|| first.take()));
    });
    let thread = P::spawn("thread", move || second.changed.wait_until(|| second.take()));
    shared.put();
    shared.put();
    join(task);
    join(thread);
}

/// A task is polled with one waker. Then it is polled with another, without having been woken.
pub fn a_task_hands_over<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let producer = P::spawn("producer", move || other.put());
    let mut permit = shared.changed.until(|| shared.take());
    if poll_once::<P, _>(Pin::new(&mut permit)).is_pending() {
        block_on::<P, _>(permit);
    }
    join(producer);
}

/// A task and a thread wait for one publication. The task has dropped an earlier wait.
pub fn notify_all<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let (first, second) = (shared.clone(), shared.clone());
    let there = |shared: &Shared<P>| (shared.count.load(Relaxed) == 1).then_some(());
    let task = P::spawn("task", move || {
        let _ = poll_once::<P, _>(Pin::new(&mut first.changed.until(|| there(&first))));
        block_on::<P, _>(first.changed.until(|| there(&first)));
    });
    let thread = P::spawn("thread", move || second.changed.wait_until(|| there(&second)));
    shared.count.store(1, Relaxed);
    shared.changed.notify_all();
    join(task);
    join(thread);
}

/// A thread sends through a mailbox and goes. A task receives, and learns of the end.
pub fn a_task_receives<P: Primitives>() {
    let (sender, mut receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let thread = P::spawn("sender", move || assert_eq!(sender.send(7), Ok(None)));
    assert_eq!(block_on::<P, _>(receiver.recv_async()), Ok(7));
    assert_eq!(block_on::<P, _>(receiver.recv_async()), Err(Closed));
    join(thread);
}

/// A task finds a mailbox full. A thread receives from it, and then closes it.
pub fn a_task_waits_for_room<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    assert_eq!(sender.send(1), Ok(None));
    let thread = P::spawn("receiver", move || {
        assert_eq!(receiver.recv(), Ok(1));
        receiver.close();
        receiver.iter().sum::<u32>()
    });
    let sent = match block_on::<P, _>(sender.send_async(2)) {
        Ok(None) => 2,
        Err(error) if error.is_closed() => 2 - error.into_inner(),
        answer => panic!("{answer:?}"),
    };
    assert_eq!(join(thread), sent);
}

/// A receiving task polls once and is dropped. Then its thread receives.
pub fn a_cancelled_receive_takes_nothing<P: Primitives>() {
    let (sender, mut receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let thread = P::spawn("sender", move || assert_eq!(sender.send(7), Ok(None)));
    let early = poll_once::<P, _>(pin!(receiver.recv_async()));
    let received = match early {
        Poll::Ready(item) => item,
        Poll::Pending => receiver.recv(),
    };
    assert_eq!(received, Ok(7));
    assert_eq!(receiver.recv(), Err(Closed));
    join(thread);
}

/// Two senders wait for the only place: a task that is dropped after one poll, and a thread.
pub fn a_cancelled_send_passes_the_place_on<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    assert_eq!(sender.send(1), Ok(None));
    let (first, second) = (sender.clone(), sender);
    let fickle = P::spawn("fickle", move || match poll_once::<P, _>(pin!(first.send_async(2))) {
        Poll::Ready(answer) => {
            assert_eq!(answer, Ok(None));
            2
        }
        Poll::Pending => 0,
    });
    let patient = P::spawn("patient", move || {
        assert_eq!(block_on::<P, _>(second.send_async(4)), Ok(None));
    });
    let received = receiver.iter().sum::<u32>();
    assert_eq!(received, 5 + join(fickle));
    join(patient);
}

/// Returns the scenarios of this module, with their bounds.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            task::a_task_waits,
            "a task sees a relaxed publication that was followed by a notification", Some(&hazard::N1),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(100_000), std: RUNS,
        },
        row! {
            task::two_producers,
            "a task that needs two publications gets both", Some(&hazard::N1),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(300_000), std: RUNS,
        },
        row! {
            task::two_tasks,
            "two permits with two notify_one release two tasks", Some(&hazard::N7),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            task::a_task_cancels,
            "a task that is dropped after it has been chosen passes the notification on", Some(&hazard::N7),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(300_000), std: RUNS,
        },
        row! {
            task::a_task_and_a_thread,
            "a task and a thread wait for the same, and both get it", Some(&hazard::N7),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            task::a_task_hands_over,
            "the waker of the last poll is the one that is woken", None,
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(100_000), std: RUNS,
        },
        row! {
            task::notify_all,
            "notify_all releases tasks and threads", None,
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(300_000), std: RUNS,
        },
        row! {
            task::a_task_receives,
            "a task receives from a thread, and learns of the end", Some(&hazard::M5),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(300_000), std: RUNS,
        },
        row! {
            task::a_task_waits_for_room,
            "a task that waits for room sends, or gets its item back at the close", Some(&hazard::M5),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(300_000), std: RUNS,
        },
        row! {
            task::a_cancelled_receive_takes_nothing,
            "a receive that is dropped has taken nothing", Some(&hazard::N7),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(300_000), std: RUNS,
        },
        row! {
            task::a_cancelled_send_passes_the_place_on,
            "a send that is dropped has sent nothing, and keeps no place from others", Some(&hazard::N7),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
    ]
}
