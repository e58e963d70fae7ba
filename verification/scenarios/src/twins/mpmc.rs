//! Faults of queues with two locks.

use std::collections::VecDeque;

use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Ghost, Mutex, Primitives};

use crate::scenarios::notifier::join;

/// A queue whose number of items is plain memory, changed under the lock. The memory is touched and
/// not read, since it only matters which thread touches it.
struct Counted<P: Primitives> {
    items: P::Mutex<VecDeque<u32>>,
    count: Ghost<P>,
}

impl<P: Primitives> Counted<P> {
    fn send(&self, item: u32) {
        let mut items = self.items.lock();
        items.push_back(item);
        self.count.write();
    }

    /// Receives an item. `FIRST` is the fault: the receiver looks at the number first, without the
    /// lock.
    fn try_recv<const FIRST: bool>(&self) -> Option<u32> {
        if FIRST {
            self.count.read();
        }
        let mut items = self.items.lock();
        let item = items.pop_front()?;
        self.count.write();
        Some(item)
    }
}

fn send_and_look<P: Primitives, const FIRST: bool>() {
    let queue = P::arc(Counted::<P> { items: Mutex::new(VecDeque::new()), count: Ghost::new() });
    let other = queue.clone();
    let sender = P::spawn("sender", move || other.send(7));
    let early = queue.try_recv::<FIRST>();
    join(sender);
    assert_eq!(early.or_else(|| queue.try_recv::<FIRST>()), Some(7));
}

/// M4: a receiver looks without the lock whether the queue is empty. The counterpart is
/// `mpmc::looks_share_the_items`.
pub fn an_unlocked_look<P: Primitives>() {
    send_and_look::<P, true>();
}

/// M4, as it must be: the receiver looks under the lock.
pub fn a_locked_look<P: Primitives>() {
    send_and_look::<P, false>();
}

/// The places of a queue, of which a sender keeps some.
struct Places<P: Primitives> {
    free: P::AtomicU32,
    not_full: EventNotifier<P>,
}

impl<P: Primitives> Places<P> {
    fn take(&self) -> Option<()> {
        let free = self.free.load(Relaxed);
        (free > 0 && self.free.compare_exchange(free, free - 1, Relaxed, Relaxed).is_ok())
            .then_some(())
    }

    /// Gives a kept place back. With `TELLS`, it wakes a sender that waits for a place.
    fn give_back<const TELLS: bool>(&self) {
        self.free.fetch_add(1, Relaxed);
        if TELLS {
            self.not_full.notify_one();
        }
    }
}

fn keep_and_give_back<P: Primitives, const TELLS: bool>() {
    let places = P::arc(Places::<P> { free: Atomic::new(1), not_full: EventNotifier::new() });
    assert!(places.take().is_some());
    let other = places.clone();
    let sender = P::spawn("sender", move || other.not_full.wait_until(|| other.take()));
    places.give_back::<TELLS>();
    join(sender);
}

/// N7: a dropped permit gives its place back and wakes no sender. The counterpart is
/// `reserve::a_dropped_permit_wakes_a_sender`.
pub fn a_permit_that_wakes_nobody<P: Primitives>() {
    keep_and_give_back::<P, false>();
}

/// N7, as it must be: a dropped permit wakes a sender.
pub fn a_permit_that_wakes_a_sender<P: Primitives>() {
    keep_and_give_back::<P, true>();
}
