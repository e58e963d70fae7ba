//! Faults of replies.

use std::time::Duration;

use blocksmith_sync::Ordering::{Acquire, Relaxed, Release};
use blocksmith_sync::mailbox::{OnFull, mailbox};
use blocksmith_sync::{Atomic, Futex, Primitives};

use crate::scenarios::notifier::join;

/// M9: one channel for all answers. The counterpart is `oneshot::one_reply_per_question`.
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

/// M10: the service drops the question. The counterpart is `oneshot::the_sender_goes`.
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
