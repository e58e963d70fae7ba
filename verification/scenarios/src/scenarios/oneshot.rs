//! Scenarios of the one-shot.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use blocksmith_models::hazard;
use blocksmith_sync::mailbox::{OnFull, mailbox};
use blocksmith_sync::oneshot::{Closed, RecvTimeoutError, SendError, channel};
use blocksmith_sync::{Atomic, Ordering::Relaxed, Primitives, oneshot};

use super::channel::{Counted, SOON};
use super::notifier::join;
use super::task::{Alarm, block_on};
use super::{RUNS, Row, SAMPLE, TOO_LARGE, UNBOUNDED, restless, restless_states};
use crate::row;

/// One thread sends while another receives.
pub fn the_value_arrives<P: Primitives>() {
    let (sender, receiver) = channel::<P, Box<u32>>();
    let thread = P::spawn("sender", move || assert!(sender.send(Box::new(7)).is_ok()));
    assert_eq!(receiver.recv().as_deref(), Ok(&7));
    join(thread);
}

/// One thread receives while another drops the sender.
pub fn the_sender_goes<P: Primitives>() {
    let (sender, receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || drop(sender));
    assert_eq!(receiver.recv(), Err(Closed));
    join(thread);
}

/// One thread sends while the receiver looks once and goes. The value counts its drops.
pub fn the_receiver_goes<P: Primitives>() {
    let drops = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let value = Counted::<P>(drops.clone());
    let (sender, mut receiver) = channel::<P, Counted<P>>();
    let thread = P::spawn("sender", move || drop(sender.send(value)));
    drop(receiver.try_recv());
    drop(receiver);
    join(thread);
    assert_eq!(drops.load(Relaxed), 1);
}

/// The receiver receives with a time limit, and then without one.
pub fn the_wait_may_expire<P: Primitives>() {
    let (sender, mut receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || assert_eq!(sender.send(7), Ok(())));
    match receiver.recv_timeout(SOON) {
        Ok(value) => assert_eq!(value, 7),
        Err(RecvTimeoutError::Timeout) => assert_eq!(receiver.recv(), Ok(7)),
        Err(RecvTimeoutError::Closed) => panic!("the sender has sent"),
    }
    join(thread);
}

/// A task awaits the value. It may be polled before the value is there, and after.
pub fn a_task_awaits<P: Primitives>() {
    let (sender, receiver) = channel::<P, Box<u32>>();
    let thread = P::spawn("sender", move || assert!(sender.send(Box::new(7)).is_ok()));
    assert_eq!(block_on::<P, _>(receiver).as_deref(), Ok(&7));
    join(thread);
}

/// A task awaits the value of a sender that goes.
pub fn a_task_awaits_nobody<P: Primitives>() {
    let (sender, receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || drop(sender));
    assert_eq!(block_on::<P, _>(receiver), Err(Closed));
    join(thread);
}

/// A task polls once. Another takes over with a waker of its own.
pub fn a_task_hands_over<P: Primitives>() {
    let (sender, mut receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || assert_eq!(sender.send(7), Ok(())));
    let first = Alarm::<P>::waker();
    match Pin::new(&mut receiver).poll(&mut Context::from_waker(&first)) {
        Poll::Ready(value) => assert_eq!(value, Ok(7)),
        Poll::Pending => assert_eq!(block_on::<P, _>(receiver), Ok(7)),
    }
    join(thread);
}

/// A task polls once and is dropped.
pub fn a_task_is_cancelled<P: Primitives>() {
    let (sender, mut receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || {
        let _ = sender.send(7);
    });
    let waker = Alarm::<P>::waker();
    let polled = Pin::new(&mut receiver).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending() || polled == Poll::Ready(Ok(7)));
    drop(receiver);
    join(thread);
}

/// A task polls once, and then its thread blocks in a receive.
pub fn a_task_becomes_a_thread<P: Primitives>() {
    let (sender, mut receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || assert_eq!(sender.send(7), Ok(())));
    let waker = Alarm::<P>::waker();
    match Pin::new(&mut receiver).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(value) => assert_eq!(value, Ok(7)),
        Poll::Pending => assert_eq!(receiver.recv(), Ok(7)),
    }
    join(thread);
}

/// The asker gives up the first of two questions after a while. The service answers both.
pub fn an_abandoned_exchange<P: Primitives>() {
    let (first_reply, mut first_answer) = channel::<P, u32>();
    let (second_reply, second_answer) = channel::<P, u32>();
    let service = P::spawn("service", move || {
        let _ = first_reply.send(1);
        assert_eq!(second_reply.send(2), Ok(()));
    });
    let first = first_answer.recv_timeout(SOON);
    assert!(first.is_err() || first == Ok(1));
    drop(first_answer);
    assert_eq!(second_answer.recv(), Ok(2), "a stale answer");
    join(service);
}

/// A sender waits for the receiver to go, with a time limit and then without one. The receiver has
/// been polled.
pub fn a_sender_waits_for_the_end<P: Primitives>() {
    let (sender, mut receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || {
        if !sender.closed_timeout(SOON) {
            sender.closed();
        }
        assert_eq!(sender.send(7), Err(SendError::Closed(7)));
    });
    let waker = Alarm::<P>::waker();
    assert!(Pin::new(&mut receiver).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(receiver);
    join(thread);
}

/// The receiver closes while the value comes. The value is received, or it comes back.
pub fn close_races_with_send<P: Primitives>() {
    let (sender, mut receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || sender.send(7).is_ok());
    receiver.close();
    let received = receiver.try_recv();
    assert_eq!(join(thread), received == Ok(7), "accepted and received differ");
    assert!(receiver.is_disconnected() && receiver.is_closed());
}

/// A service answers two questions with their numbers. The asker may give up the first.
pub fn one_reply_per_question<P: Primitives>() {
    let (questions, inbox) = mailbox::<P, (u32, oneshot::Sender<P, u32>)>(2, 0, OnFull::Refuse);
    let service = P::spawn("service", move || {
        for (question, reply) in inbox.iter() {
            let _ = reply.send(question);
        }
    });
    let ask = |question| {
        let (reply, answer) = channel::<P, u32>();
        assert!(questions.send((question, reply)).is_ok());
        answer
    };
    let first = ask(1).recv_timeout(SOON);
    assert!(first.is_err() || first == Ok(1));
    assert_eq!(ask(2).recv(), Ok(2), "a stale answer");
    drop(questions);
    join(service);
}

/// Returns the scenarios of this module, with their bounds.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            oneshot::the_value_arrives,
            "the value arrives, and its memory is the receiver's", Some(&hazard::M10),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: restless_states(10_000), std: RUNS,
        },
        row! {
            oneshot::the_sender_goes,
            "the drop of the sender ends the wait", Some(&hazard::M10),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: restless_states(10_000), std: RUNS,
        },
        row! {
            oneshot::the_receiver_goes,
            "a value that its receiver leaves behind is dropped once, and no freed memory is touched",
            Some(&hazard::M6),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: restless_states(50_000), std: RUNS,
        },
        row! {
            oneshot::the_wait_may_expire,
            "after a time-out the value can still be received", None,
            threads: 2, loom: restless(4), shuttle: SAMPLE, stepped: restless_states(50_000), std: RUNS,
        },
        row! {
            oneshot::a_task_awaits,
            "a task that awaits is woken with the value", Some(&hazard::M10),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            oneshot::a_task_awaits_nobody,
            "a task is told that the sender is gone", Some(&hazard::M10),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            oneshot::a_task_hands_over,
            "the waker of the last poll is the one that is woken", Some(&hazard::M10),
            threads: 2, loom: restless(4), shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            oneshot::a_task_is_cancelled,
            "a future that is dropped leaves nothing behind", Some(&hazard::M10),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            oneshot::a_task_becomes_a_thread,
            "a receiver that was polled can be waited for by its thread", Some(&hazard::M10),
            threads: 2, loom: restless(4), shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            oneshot::a_sender_waits_for_the_end,
            "a sender that waits for the receiver to go is woken by it", Some(&hazard::M10),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            oneshot::close_races_with_send,
            "a value that meets the close is received or comes back", Some(&hazard::M5),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: restless_states(50_000),
            std: RUNS,
        },
        row! {
            oneshot::an_abandoned_exchange,
            "the answer to a question that was given up is not taken for that to the next", Some(&hazard::M9),
            threads: 2, loom: restless(5), shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            oneshot::one_reply_per_question,
            "the same through a mailbox: each question carries its own way back", Some(&hazard::M9),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: None,
        },
    ]
}
