//! Faults of starting, panicking and stopping.

use std::panic::{catch_unwind, resume_unwind};
use std::time::Duration;

use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::mailbox::{OnFull, mailbox};
use blocksmith_sync::{Atomic, Mutex, Primitives, oneshot};

use crate::scenarios::notifier::join;

/// L1: a service loops `while !stop { recv }`, and misses the stop while it blocks. The counterpart
/// is `mailbox::stop_by_closing`.
pub fn flag_beside_the_mailbox<P: Primitives>() {
    let stop = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let seen = stop.clone();
    let service = P::spawn("service", move || {
        while seen.load(Relaxed) == 0 {
            let _ = receiver.recv();
        }
    });
    assert_eq!(sender.send(1), Ok(None));
    stop.store(1, Relaxed);
    join(service);
    drop(sender);
}

/// L2: the service's thread makes its mailbox, and the thread that started it may use the mailbox
/// too early. The counterpart is `services::start_and_stop`, where mailboxes exist before threads.
pub fn mailbox_made_by_its_thread<P: Primitives>() {
    let place = P::arc(P::Mutex::new(None));
    let made = place.clone();
    let service = P::spawn("service", move || {
        let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
        *made.lock() = Some(sender);
        assert_eq!(receiver.recv(), Ok(1));
    });
    let sender = place.lock().take();
    let sender = sender.expect("the mailbox is not there yet");
    assert_eq!(sender.send(1), Ok(None));
    join(service);
}

/// L3: replies come through a table that the teardown clears while a worker holds a place in it.
/// The counterpart is `lifecycle::a_torn_hot_db_stops_everything`, where the request owns its
/// reply.
pub fn replies_freed_by_the_teardown<P: Primitives>() {
    let (tasks, inbox) = mailbox::<P, usize>(1, 0, OnFull::Block);
    let replies = P::arc(P::Mutex::new(vec![None::<u32>]));
    let table = replies.clone();
    let worker = P::spawn("worker", move || {
        while let Ok(place) = inbox.recv() {
            let mut table = table.lock();
            *table.get_mut(place).expect("the reply channel was freed") = Some(1);
        }
    });
    assert_eq!(tasks.send(0), Ok(None));
    // The teardown clears the replies, because their requester has given up.
    replies.lock().clear();
    drop(tasks);
    join(worker);
}

/// L4: the consumer is stopped before its producer. The counterpart is
/// `lifecycle::a_stop_with_queued_work`.
pub fn the_consumer_stops_first<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(2, 0, OnFull::Block);
    let stop = sender.clone();
    let consumer = P::spawn("consumer", move || while receiver.recv().is_ok() {});
    let producer = P::spawn("producer", move || {
        assert_eq!(sender.send(1), Ok(None), "the consumer is gone before its producer");
    });
    stop.close();
    join(consumer);
    join(producer);
}

/// The reply end that a worker keeps outside of its turn. It drops the end, or does not, when the
/// turn panics.
type InHand<P> = Option<oneshot::Sender<P, u32>>;

/// Lets a worker panic over its first task. With `answers`, the worker then drops the reply end
/// that it has in hand.
fn a_worker_that_panics<P: Primitives>(answers: bool) {
    let (tasks, inbox) = mailbox::<P, oneshot::Sender<P, u32>>(1, 0, OnFull::Block);
    let worker = P::spawn("worker", move || {
        let mut in_hand: InHand<P> = None;
        while let Ok(reply) = inbox.recv() {
            in_hand = Some(reply);
            let turn: Result<(), _> = catch_unwind(|| resume_unwind(Box::new("the task")));
            assert!(turn.is_err());
            if answers {
                in_hand = None;
            }
        }
        drop(in_hand);
    });
    let (reply, answer) = oneshot::channel();
    assert!(tasks.send(reply).is_ok());
    assert!(answer.recv().is_err(), "there is no answer but the drop");
    drop(tasks);
    join(worker);
}

/// L5: the panic is contained, and the requester does not hear of it.
pub fn nobody_hears_of_the_panic<P: Primitives>() {
    a_worker_that_panics::<P>(false);
}

/// L5, as it must be: the worker drops the reply end after the unwinding.
pub fn the_requester_hears_of_the_panic<P: Primitives>() {
    a_worker_that_panics::<P>(true);
}

/// L6: each successor tries the poisoned message again. The counterpart is
/// `lifecycle::too_many_panics`.
pub fn poison_is_retried<P: Primitives>() {
    const BORNE: usize = 3;
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let service = P::spawn("service", move || {
        let mut restarts = 0;
        while let Ok(message) = receiver.recv() {
            let turn = || catch_unwind(move || -> () { resume_unwind(Box::new(message)) });
            while turn().is_err() {
                restarts += 1;
                assert!(restarts <= BORNE, "a restart loop");
            }
        }
    });
    assert_eq!(sender.send(1), Ok(None));
    drop(sender);
    join(service);
}

/// Stops a worker that is held up until the stop has returned. Without a deadline, the stop waits
/// for the worker.
fn stop_a_worker_held_up<P: Primitives>(deadline: Option<Duration>) {
    let (open, gate) = oneshot::channel::<P, ()>();
    let (ends, mut ended) = oneshot::channel::<P, ()>();
    let worker = P::spawn("worker", move || {
        assert_eq!(gate.recv(), Ok(()));
        drop(ends);
    });
    let late = match deadline {
        None => ended.recv().is_ok(),
        Some(deadline) => ended.recv_timeout(deadline) == Err(oneshot::RecvTimeoutError::Timeout),
    };
    assert!(late, "the worker is held up, and not late");
    assert_eq!(open.send(()), Ok(()));
    join(worker);
}

/// L3: a stop does not look at its deadline. The counterpart in core is
/// `lifecycle::a_deadline_passes`.
pub fn a_stop_without_a_deadline<P: Primitives>() {
    stop_a_worker_held_up::<P>(None);
}

/// L3, as it must be: the stop returns at its deadline, and knows which worker is late.
pub fn a_stop_with_a_deadline<P: Primitives>() {
    stop_a_worker_held_up::<P>(Some(Duration::from_millis(1)));
}
