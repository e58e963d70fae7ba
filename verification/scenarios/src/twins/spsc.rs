//! Faults of rings. Memory is a cell that is touched and not read, since it only matters which
//! thread touches it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use blocksmith_sync::Ordering::{self, Acquire, Relaxed, Release};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Ghost, Primitives};

use crate::scenarios::notifier::join;
use crate::scenarios::task::Alarm;

/// A ring of one place, and the index behind its item.
struct OnePlace<P: Primitives> {
    tail: P::AtomicU32,
    place: Ghost<P>,
}

fn publish_and_look<P: Primitives>(publication: Ordering) {
    let ring = P::arc(OnePlace::<P> { tail: Atomic::new(0), place: Ghost::new() });
    let other = ring.clone();
    let sender = P::spawn("sender", move || {
        other.place.write();
        other.tail.store(1, publication);
    });
    if ring.tail.load(Acquire) == 1 {
        ring.place.write();
    }
    join(sender);
}

/// M1: the sender publishes the index by a relaxed store, which does not release the item.
pub fn index_published_relaxed<P: Primitives>() {
    publish_and_look::<P>(Relaxed);
}

/// M1, as it must be: the index releases the item. The counterpart in core is
/// `spsc::a_look_finds_the_item`.
pub fn index_published_with_release<P: Primitives>() {
    publish_and_look::<P>(Release);
}

/// A ring whose indices are places. Equal indices mean empty, so the ring is full when one place is
/// still unused.
struct Wasteful<P: Primitives> {
    head: P::AtomicU32,
    tail: P::AtomicU32,
    places: u32,
}

impl<P: Primitives> Wasteful<P> {
    fn try_send(&self) -> bool {
        let tail = self.tail.load(Relaxed);
        let next = (tail + 1) % self.places;
        if next == self.head.load(Acquire) {
            return false;
        }
        self.tail.store(next, Release);
        true
    }
}

/// M2: a ring of one place accepts no item. The counterpart is `spsc::in_order_through_one_place`.
pub fn a_wasted_place<P: Primitives>() {
    let ring = P::arc(Wasteful::<P> { head: Atomic::new(0), tail: Atomic::new(0), places: 1 });
    let other = ring.clone();
    let sender = P::spawn("sender", move || assert!(other.try_send(), "an empty ring is full"));
    join(sender);
    drop(ring);
}

/// A sender closes while a task of the same sender waits for the end; the receiver waits, too.
fn close_while_a_task_waits<P: Primitives>(both_sides: bool) {
    let end = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let [not_empty, not_full] = [(); 2].map(|()| P::arc(EventNotifier::<P>::new()));
    let (closing, receiving) = (end.clone(), not_empty.clone());
    let sender = P::spawn("sender", move || {
        let is_closed = || (closing.load(Relaxed) == 1).then_some(());
        let mut closed = not_full.until(is_closed);
        let alarm = Arc::new(Alarm::<P>::new());
        let waker = Waker::from(alarm.clone());
        assert!(Pin::new(&mut closed).poll(&mut Context::from_waker(&waker)).is_pending());
        closing.store(1, Relaxed);
        receiving.notify_all();
        if both_sides {
            not_full.notify_all();
        }
        alarm.wait();
    });
    not_empty.wait_until(|| (end.load(Relaxed) == 1).then_some(()));
    join(sender);
}

/// M14: an end that closes wakes the other side alone. The counterpart is
/// `spsc::an_end_closes_while_its_task_waits`.
pub fn a_close_that_wakes_the_other_side<P: Primitives>() {
    close_while_a_task_waits::<P>(false);
}

/// M14, as it must be: the end wakes both sides.
pub fn a_close_that_wakes_both_sides<P: Primitives>() {
    close_while_a_task_waits::<P>(true);
}

/// A count of the items that were accepted, and of the drops of items.
struct Ledger<P: Primitives> {
    gone: P::AtomicU32,
    tail: P::AtomicU32,
    dropped: P::AtomicU32,
}

impl<P: Primitives> Ledger<P> {
    fn new() -> P::Arc<Self> {
        let [gone, tail, dropped] = [0; 3].map(Atomic::new);
        P::arc(Self { gone, tail, dropped })
    }

    /// Accepts an item, or drops what came back.
    fn send(&self) {
        if self.gone.load(Acquire) == 1 {
            self.dropped.fetch_add(1, Relaxed);
        } else {
            self.tail.fetch_add(1, Release);
        }
    }

    /// Drops all the items that are there, as a destructor does.
    fn drain(&self) {
        self.dropped.fetch_add(self.tail.load(Acquire), Relaxed);
    }
}

/// M6: the receiver's drain may come between the sender's look and its publication, and no thread
/// drops an item that comes after the drain. The counterpart is `spsc::the_receiver_goes`.
pub fn an_item_after_the_drain<P: Primitives>() {
    let ledger = Ledger::<P>::new();
    let other = ledger.clone();
    let sender = P::spawn("sender", move || other.send());
    ledger.gone.store(1, Release);
    ledger.drain();
    join(sender);
    assert_eq!(ledger.dropped.load(Relaxed), 1, "the item is left behind");
}

/// M6: the receiver's destructor drops the items, and so does that of the last owner, which does
/// not know of the first.
pub fn both_destructors_drain<P: Primitives>() {
    let ledger = Ledger::<P>::new();
    let other = ledger.clone();
    ledger.send();
    let receiver = P::spawn("receiver", move || {
        other.gone.store(1, Release);
        other.drain();
    });
    join(receiver);
    ledger.drain();
    assert_eq!(ledger.dropped.load(Relaxed), 1, "the item is dropped twice");
}
