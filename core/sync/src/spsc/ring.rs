//! The ring itself: its two cache lines, its places, its end. The parent module has the contract,
//! the invariants I1 to I8 that are cited here, and the memory order.

use core::mem::MaybeUninit;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::counters::{Counters, Figure};
use crate::error::{Closed, SendError};
use crate::notifier::{EventNotifier, Found};
use crate::policy::Backpressure;
use crate::primitives::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::primitives::{Atomic, Cell, Primitives};
use crate::spin::Pace;

/// Greater than every index: items are accepted.
const OPEN: usize = usize::MAX;
/// Greater than every index: the receiver is closing.
const CLOSING: usize = usize::MAX - 1;

/// What a side knows without looking.
struct Own {
    /// Its own index.
    index: usize,
    /// The other side's index when it was last seen (I3).
    seen: usize,
}

/// The cache line of one side; the other side reads `index`.
pub(super) struct Side<P: Primitives> {
    /// `tail` of the sender, `head` of the receiver.
    index: P::AtomicUsize,
    own: P::Cell<Own>,
    /// Items accepted, or received.
    count: Figure,
    /// The largest depth that this side has seen.
    high_water: Figure,
    /// Items refused; only the sender's side counts them.
    pub(super) refused: Figure,
    /// How this side has been waiting.
    pace: Pace,
    /// Whether its end has been dropped. It is a figure; nothing is concluded from it.
    gone: Figure,
}

impl<P: Primitives> Side<P> {
    fn new() -> CachePadded<Self> {
        CachePadded::new(Self {
            index: Atomic::new(0),
            own: Cell::new(Own { index: 0, seen: 0 }),
            count: Figure::default(),
            high_water: Figure::default(),
            refused: Figure::default(),
            pace: Pace::default(),
            gone: Figure::default(),
        })
    }

    /// Records that this side's end is gone.
    pub(super) fn leave(&self) {
        self.gone.add(1);
    }

    // The fields are read one by one: read as a whole right after a part of it was written, the
    // struct would wait for that store.

    /// Returns this side's index. Only this side calls it, as it does the three functions below.
    #[inline]
    fn own(&self) -> usize {
        // SAFETY: one thread at a time accesses a side's cell (the ends are not `Sync`).
        self.own.with(|own| unsafe { (*own).index })
    }

    #[inline]
    fn set_own(&self, index: usize) {
        // SAFETY: as in `own`.
        self.own.with_mut(|own| unsafe { (*own).index = index });
    }

    /// Returns the other side's index as this side has last seen it (I3).
    #[inline]
    fn seen(&self) -> usize {
        // SAFETY: as in `own`.
        self.own.with(|own| unsafe { (*own).seen })
    }

    #[inline]
    fn set_seen(&self, index: usize) {
        // SAFETY: as in `own`.
        self.own.with_mut(|own| unsafe { (*own).seen = index });
    }
}

pub(super) struct Shared<P: Primitives, T: Send> {
    pub(super) sending: CachePadded<Side<P>>,
    pub(super) receiving: CachePadded<Side<P>>,
    /// See the table in the parent module.
    end: P::AtomicUsize,
    places: Box<[P::Cell<MaybeUninit<T>>]>,
    /// The receiver sleeps on it; it may serve several channels of the receiver's thread. Every
    /// notification is for all (I8).
    pub(super) not_empty: P::Arc<EventNotifier<P>>,
    /// The sender sleeps on it until there is room, or until the ring closes. Every notification is
    /// for all (I8).
    pub(super) not_full: EventNotifier<P>,
    pub(super) on_full: Backpressure,
}

// SAFETY: one side at a time accesses a place (I2, I5), and only its one thread accesses what a
// side knows; everything else is atomic. Items travel from thread to thread, hence `T: Send`.
unsafe impl<P: Primitives, T: Send> Send for Shared<P, T> {}
// SAFETY: as above.
unsafe impl<P: Primitives, T: Send> Sync for Shared<P, T> {}

impl<P: Primitives, T: Send> Shared<P, T> {
    pub(super) fn new(
        not_empty: P::Arc<EventNotifier<P>>,
        capacity: usize,
        on_full: Backpressure,
    ) -> Self {
        Self {
            sending: Side::new(),
            receiving: Side::new(),
            end: Atomic::new(OPEN),
            places: (0..capacity).map(|_| Cell::new(MaybeUninit::uninit())).collect(),
            not_empty,
            not_full: EventNotifier::new(),
            on_full,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.places.len()
    }

    /// Returns the distance from `from` to `to` (I1).
    #[inline]
    fn distance(&self, from: usize, to: usize) -> usize {
        if from <= to { to - from } else { to + 2 * self.capacity() - from }
    }

    /// Returns the index `count` places on; `count` is at most the capacity.
    #[inline]
    fn advance(&self, index: usize, count: usize) -> usize {
        let sum = index + count;
        if sum < 2 * self.capacity() { sum } else { sum - 2 * self.capacity() }
    }

    #[inline]
    fn place(&self, index: usize) -> &P::Cell<MaybeUninit<T>> {
        let capacity = self.capacity();
        &self.places[if index < capacity { index } else { index - capacity }]
    }

    /// Puts an item into a place. Sender only; the place must be free.
    #[inline]
    fn put(&self, index: usize, item: T) {
        // SAFETY: the place is the sender's, and holds nothing (I1, I2).
        self.place(index).with_mut(|place| unsafe {
            (*place).write(item);
        });
    }

    /// Moves an item out of its place. Only the side that owns the item calls it, and moves the
    /// index afterwards.
    #[inline]
    fn take(&self, index: usize) -> T {
        // SAFETY: the place holds an item (I1). It is the receiver's (I2), or the sender takes back
        // what the receiver never touches (I5). The index then moves, so the item is moved out only
        // once.
        self.place(index).with_mut(|place| unsafe { (*place).assume_init_read() })
    }

    /// Returns for how many items there is room; looks at `head` if, as far as is known, there is
    /// room for fewer than `wanted`. Sender only.
    #[inline]
    pub(super) fn room(&self, wanted: usize) -> Result<usize, Closed> {
        // ORDERING: none needed: publishing looks again (I4).
        if self.end.load(Relaxed) != OPEN {
            return Err(Closed);
        }
        let (tail, seen) = (self.sending.own(), self.sending.seen());
        let known = self.capacity() - self.distance(seen, tail);
        if known >= wanted {
            return Ok(known);
        }
        // ORDERING: pairs with the release in `free`: the places up to there are empty.
        let head = self.receiving.index.load(Acquire);
        if head != seen {
            self.sending.set_seen(head);
        }
        let depth = self.distance(head, tail);
        self.sending.high_water.raise(depth as u64);
        Ok(self.capacity() - depth)
    }

    /// Returns whether there is room for an item as far as is known without a look. Sender only.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        let known = self.distance(self.sending.seen(), self.sending.own());
        // ORDERING: none needed; as in `room`.
        known < self.capacity() && self.end.load(Relaxed) == OPEN
    }

    /// Returns whether there is an item as far as is known without a look. Receiver only.
    #[inline]
    pub(super) fn has_item(&self) -> bool {
        self.receiving.own() != self.receiving.seen()
    }

    /// Returns for how many of `wanted` items there is room, at least for one; blocks until then.
    /// Sender only.
    #[inline]
    pub(super) fn wait_for_room(&self, wanted: usize) -> Result<usize, Closed> {
        self.not_full.wait_until(self.paced_room(wanted))
    }

    /// Like `wait_for_room`, until about `deadline`; `None` means that the deadline has passed.
    pub(super) fn wait_for_room_until(
        &self,
        wanted: usize,
        deadline: Duration,
    ) -> Option<Result<usize, Closed>> {
        self.not_full.wait_until_deadline(deadline, self.paced_room(wanted))
    }

    #[inline]
    fn paced_room(&self, wanted: usize) -> impl FnMut() -> Option<Result<usize, Closed>> + '_ {
        let Side { pace, count, .. } = &*self.sending;
        let wanted = wanted.min(self.capacity());
        pace.paced::<P, _>(
            self.capacity(),
            || count.get(),
            move || Some(self.room(wanted)).filter(|room| *room != Ok(0)),
        )
    }

    /// Publishes the `count` items in the places from `tail` on; returns whether they are accepted,
    /// and whom to wake once everything is done. If they are not accepted, `tail` is back where it
    /// was, and the sender has to take them back. Runs no foreign code (I7). Sender only.
    #[inline]
    fn publish(&self, count: usize) -> (bool, Found) {
        let before = self.sending.own();
        let tail = self.advance(before, count);
        self.sending.set_own(tail);
        self.sending.count.add(count as u64);
        // ORDERING: pairs with the acquiring loads of `tail` in `ready` and `close_by_receiver`.
        self.sending.index.store(tail, Release);
        let found = self.not_empty.find_waiters();
        // ORDERING: the notifier's fence (N) stands between; pairs with the fence in
        // `close_by_receiver`.
        if self.end.load(Relaxed) == OPEN || self.is_before_end(tail) {
            return (true, found);
        }
        // ORDERING: none needed; the receiver no longer looks at `tail` (I5).
        self.sending.index.store(before, Relaxed);
        self.sending.set_own(before);
        self.sending.count.subtract(count as u64);
        (false, found)
    }

    /// Returns whether the items up to `tail`, published while the receiver closed, are accepted
    /// (I4).
    #[cold]
    fn is_before_end(&self, tail: usize) -> bool {
        // ORDERING: fence (N) is the release half of this exchange; a failure hands nothing over.
        match self.end.compare_exchange(CLOSING, tail, Relaxed, Relaxed) {
            Ok(_) => true,
            Err(end) => end == tail,
        }
    }

    /// Sends one item; there must be room.
    #[inline]
    pub(super) fn send(&self, item: T) -> Result<(), SendError<T>> {
        let tail = self.sending.own();
        self.put(tail, item);
        let (accepted, found) = self.publish(1);
        let sent = if accepted { Ok(()) } else { Err(SendError::Closed(self.take(tail))) };
        self.not_empty.wake_found(found, u32::MAX); // I8
        sent
    }

    /// Sends the first `count` items; there must be room.
    pub(super) fn send_first(&self, items: &mut Vec<T>, count: usize) -> Result<usize, Closed> {
        let tail = self.sending.own();
        for (offset, item) in items.drain(..count).enumerate() {
            self.put(self.advance(tail, offset), item);
        }
        let (accepted, found) = self.publish(count);
        if !accepted {
            items.splice(0..0, (0..count).map(|offset| self.take(self.advance(tail, offset))));
        }
        self.not_empty.wake_found(found, u32::MAX); // I8
        if accepted { Ok(count) } else { Err(Closed) }
    }

    /// Returns how many items are there (0 means wait); looks at `tail` if, as far as is known,
    /// there are fewer than `wanted`. Receiver only.
    #[inline]
    pub(super) fn ready(&self, wanted: usize) -> Result<usize, Closed> {
        let (head, seen) = (self.receiving.own(), self.receiving.seen());
        let known = self.distance(head, seen);
        if known >= wanted {
            return Ok(known);
        }
        // ORDERING: pairs with the release in `close_by_sender`.
        let end = self.end.load(Acquire);
        // ORDERING: pairs with the release in `publish`: the items up to there are in place.
        let tail = if end == OPEN { self.sending.index.load(Acquire) } else { end };
        if tail != seen {
            self.receiving.set_seen(tail);
        }
        let depth = self.distance(head, tail);
        self.receiving.high_water.raise(depth as u64);
        if depth == 0 && end != OPEN { Err(Closed) } else { Ok(depth) }
    }

    /// Returns how many of `wanted` items are there, at least one; blocks until then. Receiver
    /// only.
    #[inline]
    pub(super) fn wait_for_items(&self, wanted: usize) -> Result<usize, Closed> {
        self.not_empty.wait_until(self.paced_ready(wanted))
    }

    /// Like `wait_for_items`, until about `deadline`; `None` means that the deadline has passed.
    pub(super) fn wait_for_items_until(
        &self,
        wanted: usize,
        deadline: Duration,
    ) -> Option<Result<usize, Closed>> {
        self.not_empty.wait_until_deadline(deadline, self.paced_ready(wanted))
    }

    #[inline]
    fn paced_ready(&self, wanted: usize) -> impl FnMut() -> Option<Result<usize, Closed>> + '_ {
        let Side { pace, count, .. } = &*self.receiving;
        let wanted = wanted.min(self.capacity());
        pace.paced::<P, _>(
            self.capacity(),
            || count.get(),
            move || Some(self.ready(wanted)).filter(|ready| *ready != Ok(0)),
        )
    }

    /// Gives back the places of the `count` oldest items, which have been taken. Receiver only.
    #[inline]
    fn free(&self, count: usize) {
        let head = self.advance(self.receiving.own(), count);
        self.receiving.set_own(head);
        self.receiving.count.add(count as u64);
        // ORDERING: pairs with the acquiring load of `head` in `room`.
        self.receiving.index.store(head, Release);
        if self.on_full == Backpressure::Block {
            self.not_full.notify_all(); // I8
        }
    }

    /// Receives the oldest item; there must be one.
    #[inline]
    pub(super) fn receive(&self) -> T {
        let item = self.take(self.receiving.own());
        self.free(1);
        item
    }

    /// Receives the oldest item, or says that nothing more can come; `None` means wait. Receiver
    /// only.
    pub(super) fn poll(&self) -> Option<Result<T, Closed>> {
        match self.ready(1) {
            Ok(0) => None,
            Ok(_) => Some(Ok(self.receive())),
            Err(Closed) => Some(Err(Closed)),
        }
    }

    /// Appends the `count` oldest items, which must be there.
    pub(super) fn receive_all(&self, items: &mut Vec<T>, count: usize) -> usize {
        if count > 0 {
            items.reserve(count);
            let head = self.receiving.own();
            let place = |offset| self.advance(head, offset);
            items.extend((0..count).map(|offset| self.take(place(offset))));
            self.free(count);
        }
        count
    }

    pub(super) fn close_by_sender(&self) {
        let tail = self.sending.own();
        // ORDERING: pairs with the acquiring loads of `end` in `ready` and `close_by_receiver`. If
        // the receiver closes, it finds by itself everything that was accepted (I4).
        let _ = self.end.compare_exchange(OPEN, tail, Release, Relaxed);
        self.wake_both_sides();
    }

    pub(super) fn close_by_receiver(&self) {
        // ORDERING: none needed; this comes before the fence; `ready` acquires an index found here.
        if self.end.compare_exchange(OPEN, CLOSING, Relaxed, Relaxed).is_ok() {
            // ORDERING: pairs with the notifier's fence (N) in `publish`; see the module
            // documentation.
            P::fence(SeqCst);
            // ORDERING: pairs with the release in `publish`: the items up to there are in place.
            // ORDERING(survives): the notification below begins with a SeqCst fence, which is an
            // acquire fence, too. The ordering is kept so that receiving does not depend on how
            // senders are woken.
            let tail = self.sending.index.load(Acquire);
            // ORDERING: none needed; `ready` acquires an index that the sender was first to set.
            let _ = self.end.compare_exchange(CLOSING, tail, Relaxed, Relaxed);
        }
        self.wake_both_sides();
    }

    /// Wakes all that wait for the end, on the side of the end that has closed, too: a task of that
    /// very side may wait while another closes it by reference (I8).
    fn wake_both_sides(&self) {
        self.not_empty.notify_all();
        self.not_full.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        // ORDERING: none needed; once the word leaves `OPEN`, it never returns to it.
        self.end.load(Relaxed) != OPEN
    }

    /// Returns how many items there are according to the two indices. An end, whose own index
    /// stands still, gets the number at the moment at which it reads the other's.
    pub(super) fn len(&self) -> usize {
        // ORDERING: none needed; it is a figure. An end reads its own index, and a place that a
        // sender finds empty here is acquired in `room`.
        let head = self.receiving.index.load(Relaxed);
        self.distance(head, self.sending.index.load(Relaxed))
    }

    /// Returns whether there is no room according to the two indices. It is a figure.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.capacity()
    }

    pub(super) fn senders_are_gone(&self) -> bool {
        self.sending.gone.get() != 0
    }

    pub(super) fn receivers_are_gone(&self) -> bool {
        self.receiving.gone.get() != 0
    }

    /// Returns what the sender sleeps on until the ring closes. A task of the sender may wait for
    /// that while the sender waits for room: a notification is for all (I8).
    pub(super) fn closing(&self) -> &EventNotifier<P> {
        &self.not_full
    }

    pub(super) fn counters(&self) -> Counters {
        let received = self.receiving.count.get();
        let sent = self.sending.count.get();
        let capacity = self.capacity() as u64;
        let depth = sent.saturating_sub(received).min(capacity);
        let seen = self.sending.high_water.get().max(self.receiving.high_water.get());
        Counters {
            depth,
            sent,
            received,
            refused: self.sending.refused.get(),
            evicted: 0,
            high_water: seen.max(depth),
            capacity,
        }
    }
}
