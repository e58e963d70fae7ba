//! Faults of replies.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use blocksmith_sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use blocksmith_sync::mailbox::{OnFull, mailbox};
use blocksmith_sync::{Atomic, Futex, Ghost, Mutex, Primitives};

use crate::scenarios::notifier::join;
use crate::scenarios::task::block_on;

/// M9: all answers come through one channel. The counterpart is `oneshot::one_reply_per_question`.
pub fn reused_reply_channel<P: Primitives>() {
    let (questions, inbox) = mailbox::<P, u32>(2, 0, OnFull::Refuse);
    let (replies, answers) = mailbox::<P, u32>(2, 0, OnFull::Refuse);
    let service = P::spawn("service", move || {
        for question in inbox.iter() {
            let _ = replies.send(question);
        }
    });
    assert!(questions.send(1).is_ok());
    let first = answers.recv_timeout(Duration::from_millis(1));
    assert!(first.is_err() || first == Ok(1));
    assert!(questions.send(2).is_ok());
    assert_eq!(answers.recv(), Ok(2), "a stale answer");
    drop(questions);
    join(service);
}

/// The sending end of a reply that does nothing when it is dropped.
struct SilentSender<P: Primitives>(P::Arc<P::Futex>);

impl<P: Primitives> SilentSender<P> {
    fn send(self, value: u32) {
        self.0.store(value, Release);
        self.0.wake(1);
    }
}

/// M10: the service drops the question, and the asker is not told. The counterpart is
/// `oneshot::the_sender_goes`.
pub fn silent_drop<P: Primitives>() {
    let word = P::arc(<P::Futex as Atomic<u32>>::new(0));
    let sender = SilentSender::<P>(word.clone());
    let busy = P::arc(<P::AtomicU32 as Atomic<u32>>::new(1));
    let seen = busy.clone();
    let service = P::spawn("service", move || {
        if seen.load(Relaxed) == 0 {
            sender.send(7);
        }
    });
    while word.load(Acquire) == 0 {
        word.wait(0);
    }
    join(service);
    drop(busy);
}

/// A reply that a task awaits. The task stores its waker, and does not look at the value again.
struct NoSecondLook<P: Primitives> {
    sent: P::AtomicU32,
    waker: P::Mutex<Option<Waker>>,
}

impl<P: Primitives> NoSecondLook<P> {
    fn send(&self) {
        self.sent.store(1, Release);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.sent.load(Acquire) == 1 {
            return Poll::Ready(());
        }
        *self.waker.lock() = Some(context.waker().clone());
        Poll::Pending
    }
}

/// M10: the sender finds no waker yet, and the task does not look again. The counterpart is
/// `oneshot::a_task_awaits`.
pub fn waker_without_a_second_look<P: Primitives>() {
    let reply = P::arc(NoSecondLook::<P> { sent: Atomic::new(0), waker: Mutex::new(None) });
    let other = reply.clone();
    let thread = P::spawn("sender", move || other.send());
    block_on::<P, _>(poll_fn(|context| reply.poll(context)));
    join(thread);
}

/// A reply in memory that its receiver frees. Each use reads `life`, and the freeing writes it.
struct Freed<P: Primitives> {
    state: P::Futex,
    life: Ghost<P>,
}

/// L3: the receiver frees the reply as soon as it reads that the sender has ended. The sender,
/// which has found it asleep, has yet to wake it. The counterpart is `oneshot::the_value_arrives`.
pub fn freed_under_the_waker<P: Primitives>() {
    const EMPTY: u32 = 0;
    const WAITING: u32 = 1;
    const ENDED: u32 = 2;
    let (state, life) = (Atomic::new(EMPTY), Ghost::new());
    let reply = P::arc(Freed::<P> { state, life });
    let other = reply.clone();
    let sender = P::spawn("sender", move || {
        if other.state.swap(ENDED, AcqRel) == WAITING {
            other.life.read();
            other.state.wake(1);
        }
    });
    let _ = reply.state.compare_exchange(EMPTY, WAITING, Relaxed, Relaxed);
    while reply.state.load(Acquire) != ENDED {
        reply.state.wait(WAITING);
    }
    reply.life.write();
    join(sender);
}
