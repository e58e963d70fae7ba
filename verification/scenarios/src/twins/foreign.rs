//! Faults around foreign code: an operation calls a waker when it has begun something and not ended
//! it.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Wake, Waker};

use blocksmith_engines::thrown::{contain, throw};
use blocksmith_sync::Ordering::{Acquire, Relaxed, Release, SeqCst};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Mutex, Primitives};

use crate::scenarios::notifier::join;
use crate::scenarios::task::Alarm;

const OPEN: u32 = u32::MAX;
const CLOSING: u32 = OPEN - 1;

/// A ring without its places. It only counts the items that it has accepted.
struct Indices<P: Primitives> {
    tail: P::AtomicU32,
    /// `OPEN`, `CLOSING`, or the index after the last item that is accepted.
    end: P::AtomicU32,
}

impl<P: Primitives> Indices<P> {
    /// Sends an item. `own` is the sender's index. Returns whether the item is accepted. `EARLY` is
    /// the fault: the receiver's waker runs between the publication and the look at the end.
    fn send<const EARLY: bool>(&self, own: &Cell<u32>, wake: &dyn Fn()) -> bool {
        if self.end.load(Relaxed) != OPEN {
            return false;
        }
        let (before, tail) = (own.get(), own.get() + 1);
        own.set(tail);
        self.tail.store(tail, Release);
        if EARLY {
            wake();
        }
        P::fence(SeqCst);
        let accepted = self.end.load(Relaxed) == OPEN
            || match self.end.compare_exchange(CLOSING, tail, Relaxed, Relaxed) {
                Ok(_) => true,
                Err(end) => end == tail,
            };
        if !accepted {
            own.set(before);
            self.tail.store(before, Relaxed);
        }
        if !EARLY {
            wake();
        }
        accepted
    }

    /// Closes, and returns how many items were accepted.
    fn close(&self) -> u32 {
        if self.end.compare_exchange(OPEN, CLOSING, Relaxed, Relaxed).is_ok() {
            P::fence(SeqCst);
            let tail = self.tail.load(Acquire);
            let _ = self.end.compare_exchange(CLOSING, tail, Relaxed, Relaxed);
        }
        self.end.load(Acquire)
    }
}

fn send_again<P: Primitives, const EARLY: bool>() {
    let ring = P::arc(Indices::<P> { tail: Atomic::new(0), end: Atomic::new(OPEN) });
    let other = ring.clone();
    let sender = P::spawn("sender", move || {
        let (own, again) = (Cell::new(0), Cell::new(0));
        let first = other.send::<EARLY>(&own, &|| {
            again.set(u32::from(other.send::<EARLY>(&own, &|| {})));
        });
        u32::from(first) + again.get()
    });
    let received = ring.close();
    assert_eq!(join(sender), received, "what the ring accepted and what it ended with differ");
}

/// M11: the receiver's waker sends in the middle of the send that wakes it. The counterpart in core
/// is `spsc::a_waker_sends_again`.
pub fn a_wake_before_the_look<P: Primitives>() {
    send_again::<P, true>();
}

/// M11, as it must be: the receiver's waker runs after the look at the end.
pub fn a_wake_after_the_look<P: Primitives>() {
    send_again::<P, false>();
}

/// A mailbox without its items. It only counts how many are accepted and how many are linked.
struct Linking<P: Primitives> {
    accepted: P::AtomicU32,
    linked: P::AtomicU32,
    not_empty: EventNotifier<P>,
}

impl<P: Primitives> Linking<P> {
    /// Drops the receiver, which waits until every accepted item is linked.
    fn drop_receiver(&self) {
        self.not_empty.wait_until(|| {
            (self.accepted.load(Acquire) == self.linked.load(Acquire)).then_some(())
        });
    }

    fn link(&self) {
        self.linked.fetch_add(1, Release);
        self.not_empty.notify_one();
    }
}

fn accept_and_link<P: Primitives, const EARLY: bool>() {
    let mailbox = P::arc(Linking::<P> {
        accepted: Atomic::new(0),
        linked: Atomic::new(0),
        not_empty: EventNotifier::new(),
    });
    let other = mailbox.clone();
    let rival = P::spawn("rival", move || {
        other.accepted.fetch_add(1, Release);
        other.link();
    });
    mailbox.accepted.fetch_add(1, Release);
    if EARLY {
        mailbox.drop_receiver();
    }
    mailbox.link();
    if !EARLY {
        mailbox.drop_receiver();
    }
    join(rival);
}

/// M12: a sender accepts an item, then runs a waker that drops the receiver, and would link the
/// item afterwards. The counterpart in core is
/// `mailbox::a_chosen_sender_wakes_one_that_drops_the_receiver`.
pub fn a_waker_before_the_link<P: Primitives>() {
    accept_and_link::<P, true>();
}

/// M12, as it must be: the waker runs after the link.
pub fn a_waker_after_the_link<P: Primitives>() {
    accept_and_link::<P, false>();
}

/// Changes a level under a lock and wakes a subscriber, whose waker asks for the level. With
/// `LOCKED`, the waker runs under the lock.
fn tell<P: Primitives, const LOCKED: bool>() {
    let level = P::arc(P::Mutex::<u32>::new(0));
    let (other, asked) = (level.clone(), level.clone());
    let observer = P::spawn("observer", move || {
        let wake = || assert_eq!(*asked.lock(), 1, "the waker asks for the level");
        let mut level = other.lock();
        *level = 1;
        if LOCKED {
            wake();
        }
        drop(level);
        if !LOCKED {
            wake();
        }
    });
    assert!(*level.lock() <= 1, "another asks meanwhile");
    join(observer);
}

/// N12: a waker that asks for the level runs under the level's lock. The counterpart in core is
/// `foreign::a_subscribers_waker_asks_the_broker`.
pub fn told_under_the_lock<P: Primitives>() {
    tell::<P, true>();
}

/// N12, as it must be: the waker runs after the lock has been released.
pub fn told_without_the_lock<P: Primitives>() {
    tell::<P, false>();
}

/// A waker that throws.
struct Throws;

impl Wake for Throws {
    fn wake(self: Arc<Self>) {
        throw();
    }
}

fn wake_two<P: Primitives, const EACH: bool>() {
    let alarm = Arc::new(Alarm::<P>::new());
    let wakers = [Waker::from(Arc::new(Throws)), Waker::from(alarm.clone())];
    let notifier = P::spawn("notifier", move || {
        if EACH {
            wakers.into_iter().for_each(|waker| contain(|| waker.wake()));
        } else {
            contain(|| wakers.into_iter().for_each(Waker::wake));
        }
    });
    alarm.wait();
    join(notifier);
}

/// N13: the panic of the first waker ends the notification, so the second is never called. The
/// counterpart in core is `foreign::a_notification_for_all`.
pub fn a_throw_ends_the_notification<P: Primitives>() {
    wake_two::<P, false>();
}

/// N13, as it must be: each panic is contained, and the notification goes on.
pub fn a_throw_is_contained<P: Primitives>() {
    wake_two::<P, true>();
}
