//! Scenarios of the one-shot.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use blocksmith_sync::mailbox::{OnFull, mailbox};
use blocksmith_sync::oneshot::{Dropped, RecvTimeoutError, channel};
use blocksmith_sync::{Atomic, Ordering::Relaxed, Primitives, oneshot};

use super::notifier::join;
use super::task::{Alarm, block_on};

/// A send and a receive at the same time.
pub fn the_value_arrives<P: Primitives>() {
    let (sender, receiver) = channel::<P, Box<u32>>();
    let thread = P::spawn("sender", move || assert!(sender.send(Box::new(7)).is_ok()));
    assert_eq!(receiver.recv().as_deref(), Ok(&7));
    join(thread);
}

/// A receive, and the drop of the sender.
pub fn the_sender_goes<P: Primitives>() {
    let (sender, receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || drop(sender));
    assert_eq!(receiver.recv(), Err(Dropped));
    join(thread);
}

/// A send, and a receiver that looks once and goes. The value counts its drops.
pub fn the_receiver_goes<P: Primitives>() {
    struct Counted<P: Primitives>(P::Arc<P::AtomicU32>);
    impl<P: Primitives> Drop for Counted<P> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let drops = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let value = Counted::<P>(drops.clone());
    let (sender, mut receiver) = channel::<P, Counted<P>>();
    let thread = P::spawn("sender", move || drop(sender.send(value)));
    drop(receiver.try_recv());
    drop(receiver);
    join(thread);
    assert_eq!(drops.load(Relaxed), 1);
}

/// A receive with limited patience, then one without.
pub fn the_wait_may_expire<P: Primitives>() {
    let (sender, mut receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || assert_eq!(sender.send(7), Ok(())));
    match receiver.recv_timeout(Duration::from_millis(1)) {
        Ok(value) => assert_eq!(value, 7),
        Err(RecvTimeoutError::Timeout) => assert_eq!(receiver.recv(), Ok(7)),
        Err(RecvTimeoutError::Dropped) => panic!("the sender has sent"),
    }
    join(thread);
}

/// A task awaits; it may be polled before and after the value is there.
pub fn a_task_awaits<P: Primitives>() {
    let (sender, receiver) = channel::<P, Box<u32>>();
    let thread = P::spawn("sender", move || assert!(sender.send(Box::new(7)).is_ok()));
    assert_eq!(block_on::<P, _>(receiver).as_deref(), Ok(&7));
    join(thread);
}

/// A task awaits a sender that goes.
pub fn a_task_awaits_nobody<P: Primitives>() {
    let (sender, receiver) = channel::<P, u32>();
    let thread = P::spawn("sender", move || drop(sender));
    assert_eq!(block_on::<P, _>(receiver), Err(Dropped));
    join(thread);
}

/// A task looks once, another takes over with a waker of its own.
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

/// A task looks once and is dropped.
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

/// A task looks once and then blocks its thread.
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

/// The first of two questions is given up after a while; the service answers both.
pub fn an_abandoned_exchange<P: Primitives>() {
    let (first_reply, mut first_answer) = channel::<P, u32>();
    let (second_reply, second_answer) = channel::<P, u32>();
    let service = P::spawn("service", move || {
        let _ = first_reply.send(1);
        assert_eq!(second_reply.send(2), Ok(()));
    });
    let first = first_answer.recv_timeout(Duration::from_millis(1));
    assert!(first.is_err() || first == Ok(1));
    drop(first_answer);
    assert_eq!(second_answer.recv(), Ok(2), "a stale answer");
    join(service);
}

/// Two questions to a service that answers with the question; the first may be given up.
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
    let first = ask(1).recv_timeout(Duration::from_millis(1));
    assert!(first.is_err() || first == Ok(1));
    assert_eq!(ask(2).recv(), Ok(2), "a stale answer");
    drop(questions);
    join(service);
}
