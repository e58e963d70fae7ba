//! A bounded ring: one sender, one receiver, no lock and no read-modify-write on the way of an item.
//!
//! **Contract.** Items are received in the order in which they were accepted, each exactly once. A ring
//! of `capacity` places holds `capacity` items, any number from 1. It allocates all its places at once,
//! and nothing afterwards.
//!
//! | call | when full | blocks | woken by |
//! |---|---|---|---|
//! | `send`, `send_batch`, [`Backpressure::Block`] | waits | until accepted or closed | items received; close |
//! | the same, [`Backpressure::Refuse`] | `Full(item)`; the rest stays in the batch | no | - |
//! | `try_send`, `try_send_batch` | as with `Refuse` | no | - |
//! | `send_timeout` | as `send`, then `Timeout(item)` | at most the time given | as `send` |
//! | `recv`, `recv_batch` | | until an item is there, or nothing more can come | items accepted; close |
//! | `try_recv`, `drain` | | no | - |
//! | `send_async`, `recv_async` | as `send`, `recv` | the task, not its thread | as `send`, `recv` |
//!
//! A batch publishes its index once and notifies once. Evicting the oldest item is no policy of a ring:
//! only the receiver moves `head`, and a sender that took from the other end would race with it. Hence
//! the type [`Backpressure`], which does not name it; the mailbox can evict.
//!
//! **The end.** `close` by either end, or its drop: from then on no item is accepted (it comes back as
//! `Closed(item)`), every accepted one is still received, then comes [`Closed`]. The drop of the receiver
//! drops what was accepted and not received, each item once (the rest leaks if a destructor panics).
//!
//! ```text
//!   sending line: tail, Own { tail, head as last seen }      written by the sender alone
//!   receiving line: head, Own { head, tail as last seen }    written by the receiver alone
//!   end: OPEN | CLOSING | the index after the last item      written once or twice, at the end
//!
//!   index   0 . . . . capacity . . . . 2*capacity    place = index, or index - capacity
//!                 head ------> tail                  empty: equal    full: capacity apart
//! ```
//!
//! | `end` | meaning | who leaves it, for what |
//! |---|---|---|
//! | `OPEN` | items are accepted | the sender, for its `tail`; the receiver, for `CLOSING` |
//! | `CLOSING` | the receiver asks which item is the last | the receiver, for the `tail` it reads then; the sender, for the `tail` it has just published |
//! | an index | the items before it are accepted, no other will be | nobody |
//!
//! **Invariants.**
//! - I1 Indices are in [0, 2*capacity), and `tail - head`, taken round, is in [0, capacity]. The places
//!   from `head` to `tail` hold items; the others hold nothing.
//! - I2 The place at `tail` is the sender's until `tail` has moved over it, the place at `head` the
//!   receiver's until `head` has. Each side moves its own index only, and after the access.
//! - I3 The index that a side has last seen of the other is at most behind it: the sender finds room, and
//!   the receiver items, at most too late, and looks again before it says full or empty.
//! - I4 The sender publishes only after it has read `OPEN`. Then it notifies, and only then looks at
//!   `end` again: `OPEN` or its new index mean accepted. At `CLOSING` it proposes its new index. Any other
//!   index ends before what it has published: it takes the items back.
//! - I5 The receiver reads `tail` after it has read `OPEN` in `end`, or, once, at `CLOSING`; when `end` is
//!   an index, it takes that for `tail`. So it never touches what the sender takes back.
//! - I6 `end` becomes an index once. A receiver that has read the index and taken all before it says
//!   `Closed`; by I4 nothing was accepted beyond.
//!
//! **Memory order.** Two pairs hand the places over: `tail` (release, acquire) with the items, `head`
//! (release, acquire) with the places freed. A sender that closes releases with its index in `end`.
//!
//! When the receiver closes, an item may be published at the same moment, and both must agree whether it
//! is accepted. Two SeqCst fences stand between writing and looking: in the sender the notifier's fence
//! (N), between `tail` and `end`; in the receiver the one in `close`, between `CLOSING` and its look at
//! `tail`. Either (N) comes first: then the receiver reads the new `tail`, and the item is before any
//! index that `end` can become. Or the receiver's comes first: then the sender reads `CLOSING` or the
//! index, and what the one exchange says that took `end` from `CLOSING` is what both sides keep to. That
//! exchange by the sender is relaxed: fence (N), before it, is its release half.
//!
//! So an item costs the sender, as long as it has seen enough room, a store to its own line, two loads of
//! a line that nobody writes, and the notifier's fence and load.
//!
//! Reference: L. Lamport, *Specifying Concurrent Program Modules* (1983), for the ring; P. P. C. Lee, T. Bu
//! and G. Chandranmenon, *A Lock-Free, Cache-Efficient Multi-Core Synchronization Mechanism for Line-Rate
//! Network Traffic Monitoring* (2010), for what each side remembers of the other.

mod task;

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::counters::{Counters, Figure};
use crate::error::{Closed, RecvTimeoutError, SendError, TryRecvError};
use crate::notifier::EventNotifier;
use crate::policy::Backpressure;
use crate::primitives::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::primitives::{Atomic, Cell, Primitives};

/// The largest capacity.
pub const MAX_CAPACITY: usize = (1 << 30) - 1;

/// Above every index: items are accepted.
const OPEN: usize = usize::MAX;
/// Above every index: the receiver is closing.
const CLOSING: usize = usize::MAX - 1;

/// What a side knows without looking.
#[derive(Clone, Copy)]
struct Own {
    /// Its own index.
    index: usize,
    /// The other side's, when it was last seen (I3).
    seen: usize,
}

/// A cache line of one side; the other reads `index`.
struct Side<P: Primitives> {
    /// `tail` of the sender, `head` of the receiver.
    index: P::AtomicUsize,
    own: P::Cell<Own>,
    /// Items accepted, or received.
    count: Figure,
    /// The largest depth that this side has seen.
    high_water: Figure,
    /// Items refused; the sender's.
    refused: Figure,
}

impl<P: Primitives> Side<P> {
    fn new() -> CachePadded<Self> {
        CachePadded::new(Self {
            index: Atomic::new(0),
            own: Cell::new(Own { index: 0, seen: 0 }),
            count: Figure::default(),
            high_water: Figure::default(),
            refused: Figure::default(),
        })
    }

    /// Returns what this side knows. By this side alone.
    #[inline]
    fn own(&self) -> Own {
        // SAFETY: one thread at a time reaches a side's cell (the ends are not `Sync`).
        self.own.with(|own| unsafe { *own })
    }

    /// By this side alone.
    #[inline]
    fn set_own(&self, value: Own) {
        // SAFETY: as in `own`.
        self.own.with_mut(|own| unsafe { *own = value });
    }
}

struct Shared<P: Primitives, T: Send> {
    sending: CachePadded<Side<P>>,
    receiving: CachePadded<Side<P>>,
    /// See the table at the top of the file.
    end: P::AtomicUsize,
    places: Box<[P::Cell<MaybeUninit<T>>]>,
    /// The receiver sleeps on it; it may serve several channels.
    not_empty: P::Arc<EventNotifier<P>>,
    /// The blocked sender sleeps on it.
    not_full: EventNotifier<P>,
    on_full: Backpressure,
}

// SAFETY: a place is reached by one side at a time (I2, I5), what a side knows by its one thread; all else
// is atomic. Items travel from thread to thread, hence `T: Send`.
unsafe impl<P: Primitives, T: Send> Send for Shared<P, T> {}
// SAFETY: as above.
unsafe impl<P: Primitives, T: Send> Sync for Shared<P, T> {}

/// Returns the two ends of a new ring of `capacity` places.
///
/// ```
/// use blocksmith_sync::spsc::spsc;
/// use blocksmith_sync::{Backpressure, Closed, Std};
///
/// let (sender, receiver) = spsc::<Std, u32>(8, Backpressure::Block);
/// let producer = std::thread::spawn(move || {
///     let mut batch: Vec<_> = (0..100).collect();
///     sender.send_batch(&mut batch)
/// });
/// assert!(receiver.iter().eq(0..100));
/// assert_eq!(receiver.recv(), Err(Closed)); // the sender is gone
/// assert_eq!(producer.join().unwrap(), Ok(100));
/// ```
///
/// # Panics
/// If `capacity` is 0 or above [`MAX_CAPACITY`].
#[must_use]
pub fn spsc<P: Primitives, T: Send>(
    capacity: usize,
    on_full: Backpressure,
) -> (Sender<P, T>, Receiver<P, T>) {
    spsc_on(P::arc(EventNotifier::new()), capacity, on_full)
}

/// Returns a ring like [`spsc`], whose receiver is woken through `notifier`. Several channels *of one
/// receiving thread* may share one: see [`crate::mailbox::mailbox_on`].
///
/// # Panics
/// As [`spsc`].
#[must_use]
pub fn spsc_on<P: Primitives, T: Send>(
    notifier: P::Arc<EventNotifier<P>>,
    capacity: usize,
    on_full: Backpressure,
) -> (Sender<P, T>, Receiver<P, T>) {
    assert!((1..=MAX_CAPACITY).contains(&capacity), "a ring holds 1 to 2^30-1 items");
    let shared = P::arc(Shared {
        sending: Side::new(),
        receiving: Side::new(),
        end: Atomic::new(OPEN),
        places: (0..capacity).map(|_| Cell::new(MaybeUninit::uninit())).collect(),
        not_empty: notifier,
        not_full: EventNotifier::new(),
        on_full,
    });
    let sender = Sender { shared: shared.clone(), one_thread: PhantomData };
    (sender, Receiver { shared, one_thread: PhantomData })
}

impl<P: Primitives, T: Send> Shared<P, T> {
    fn capacity(&self) -> usize {
        self.places.len()
    }

    /// Returns how far it is from `from` to `to` (I1).
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

    /// Puts an item in place. Sender only; the index is free.
    #[inline]
    fn put(&self, index: usize, item: T) {
        // SAFETY: the place is the sender's, and holds nothing (I1, I2).
        self.place(index).with_mut(|place| unsafe {
            (*place).write(item);
        });
    }

    /// Moves an item out of its place. By the side that owns the item; the index moves afterwards.
    #[inline]
    fn take(&self, index: usize) -> T {
        // SAFETY: the place holds an item (I1); it is the receiver's (I2), or the sender takes back what
        // the receiver never touches (I5). The index moves, so that it is moved out once.
        self.place(index).with_mut(|place| unsafe { (*place).assume_init_read() })
    }

    /// Returns for how many items there is room; looks at `head` if for fewer than `wanted` as far as is
    /// known. Sender only.
    #[inline]
    fn room(&self, wanted: usize) -> Result<usize, Closed> {
        // ORDERING: none needed: publishing looks again (I4).
        if self.end.load(Relaxed) != OPEN {
            return Err(Closed);
        }
        let Own { index: tail, seen } = self.sending.own();
        let known = self.capacity() - self.distance(seen, tail);
        if known >= wanted {
            return Ok(known);
        }
        // ORDERING: pairs with the release in `free`: the places up to there are empty.
        let head = self.receiving.index.load(Acquire);
        if head != seen {
            self.sending.set_own(Own { index: tail, seen: head });
        }
        let depth = self.distance(head, tail);
        self.sending.high_water.raise(depth as u64);
        Ok(self.capacity() - depth)
    }

    /// Publishes the `count` items that stand behind `tail`; returns whether they are accepted. If not,
    /// `tail` is where it was, and they are the sender's to take back. Sender only.
    #[inline]
    fn publish(&self, count: usize) -> bool {
        let own = self.sending.own();
        let tail = self.advance(own.index, count);
        self.sending.set_own(Own { index: tail, ..own });
        self.sending.count.add(count as u64);
        // ORDERING: pairs with the acquiring loads of `tail` in `ready` and `close_by_receiver`.
        self.sending.index.store(tail, Release);
        self.not_empty.notify_one();
        // ORDERING: the notifier's fence (N) stands between; pairs with the fence in
        // `close_by_receiver`.
        if self.end.load(Relaxed) == OPEN || self.is_before_end(tail) {
            return true;
        }
        // ORDERING: none needed, the receiver does not look at `tail` any more (I5).
        self.sending.index.store(own.index, Relaxed);
        self.sending.set_own(own);
        self.sending.count.subtract(count as u64);
        false
    }

    /// Returns whether what was published up to `tail`, while the receiver closed, is accepted (I4).
    #[cold]
    fn is_before_end(&self, tail: usize) -> bool {
        // ORDERING: fence (N) is the release half of this exchange; a failure hands nothing over.
        match self.end.compare_exchange(CLOSING, tail, Relaxed, Relaxed) {
            Ok(_) => true,
            Err(end) => end == tail,
        }
    }

    /// Sends one item; there is room.
    #[inline]
    fn send(&self, item: T) -> Result<(), SendError<T>> {
        let tail = self.sending.own().index;
        self.put(tail, item);
        if self.publish(1) { Ok(()) } else { Err(SendError::Closed(self.take(tail))) }
    }

    /// Sends the first `count` items; there is room.
    fn send_first(&self, items: &mut Vec<T>, count: usize) -> Result<usize, Closed> {
        let tail = self.sending.own().index;
        for (offset, item) in items.drain(..count).enumerate() {
            self.put(self.advance(tail, offset), item);
        }
        if self.publish(count) {
            return Ok(count);
        }
        items.splice(0..0, (0..count).map(|offset| self.take(self.advance(tail, offset))));
        Err(Closed)
    }

    /// Returns how many items are there, 0: wait; looks at `tail` if fewer than `wanted` as far as is
    /// known. Receiver only.
    #[inline]
    fn ready(&self, wanted: usize) -> Result<usize, Closed> {
        let Own { index: head, seen } = self.receiving.own();
        let known = self.distance(head, seen);
        if known >= wanted {
            return Ok(known);
        }
        // ORDERING: pairs with the release in `close_by_sender`.
        let end = self.end.load(Acquire);
        // ORDERING: pairs with the release in `publish`: the items up to there are in place.
        let tail = if end == OPEN { self.sending.index.load(Acquire) } else { end };
        if tail != seen {
            self.receiving.set_own(Own { index: head, seen: tail });
        }
        let depth = self.distance(head, tail);
        self.receiving.high_water.raise(depth as u64);
        if depth == 0 && end != OPEN { Err(Closed) } else { Ok(depth) }
    }

    /// Gives the places of the `count` oldest items, which have been taken, back. Receiver only.
    #[inline]
    fn free(&self, count: usize) {
        let own = self.receiving.own();
        let head = self.advance(own.index, count);
        self.receiving.set_own(Own { index: head, ..own });
        self.receiving.count.add(count as u64);
        // ORDERING: pairs with the acquiring load of `head` in `room`.
        self.receiving.index.store(head, Release);
        if self.on_full == Backpressure::Block {
            self.not_full.notify_one();
        }
    }

    /// Receives the oldest item; there is one.
    #[inline]
    fn receive(&self) -> T {
        let item = self.take(self.receiving.own().index);
        self.free(1);
        item
    }

    fn close_by_sender(&self) {
        let tail = self.sending.own().index;
        // ORDERING: pairs with the acquiring loads of `end` in `ready` and `close_by_receiver`. If the
        // receiver closes, it finds all that was accepted by itself (I4).
        let _ = self.end.compare_exchange(OPEN, tail, Release, Relaxed);
        self.not_empty.notify_all();
    }

    fn close_by_receiver(&self) {
        // ORDERING: none needed, it stands before the fence; `ready` acquires an index found here.
        if self.end.compare_exchange(OPEN, CLOSING, Relaxed, Relaxed).is_ok() {
            // ORDERING: pairs with the notifier's fence (N) in `publish`; see the module's text.
            P::fence(SeqCst);
            // ORDERING: pairs with the release in `publish`: the items up to there are in place.
            // ORDERING(survives): the notification below begins with a SeqCst fence, which is an acquire
            // fence too. Kept, so that receiving does not rest on how senders are woken.
            let tail = self.sending.index.load(Acquire);
            // ORDERING: none needed; `ready` acquires an index that the sender was first to set.
            let _ = self.end.compare_exchange(CLOSING, tail, Relaxed, Relaxed);
        }
        self.not_full.notify_all();
    }

    fn is_closed(&self) -> bool {
        // ORDERING: none needed, a word that leaves `OPEN` for good.
        self.end.load(Relaxed) != OPEN
    }

    fn counters(&self) -> Counters {
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

/// The end that sends: one thread at a time (it can be moved, not shared). Its drop closes the ring.
pub struct Sender<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    /// Not `Sync` (I2).
    one_thread: PhantomData<core::cell::Cell<()>>,
}

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends as the policy says. Blocks only with [`Backpressure::Block`], until an item is received or
    /// the ring closes.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`Backpressure::Refuse`]; [`SendError::Closed`].
    #[inline]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_send(item);
        }
        match self.shared.not_full.wait_until(|| self.room(1)) {
            Ok(_) => self.shared.send(item),
            Err(Closed) => Err(SendError::Closed(item)),
        }
    }

    /// Sends without blocking, as if the policy were to refuse.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`].
    #[inline]
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        match self.shared.room(1) {
            Ok(0) => {
                self.shared.sending.refused.add(1);
                Err(SendError::Full(item))
            }
            Ok(_) => self.shared.send(item),
            Err(Closed) => Err(SendError::Closed(item)),
        }
    }

    /// Sends like [`Sender::send`]; where that would block, for at most about `timeout`.
    ///
    /// # Errors
    /// [`SendError::Timeout`], and those of `send`.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_send(item);
        }
        match self.shared.not_full.wait_until_timeout(timeout, || self.room(1)) {
            Some(Ok(_)) => self.shared.send(item),
            Some(Err(Closed)) => Err(SendError::Closed(item)),
            None => {
                self.shared.sending.refused.add(1);
                Err(SendError::Timeout(item))
            }
        }
    }

    /// Sends items from the front of the vector as the policy says, and returns how many: with
    /// [`Backpressure::Block`] all of them, with `Refuse` as many as there is room for. What is not
    /// accepted stays in the vector. Each time that it has filled the ring it notifies the receiver
    /// once, and moves the rest of the vector forward; blocks like [`Sender::send`] in between.
    ///
    /// # Errors
    /// [`Closed`] if the ring is or gets closed; the items that were not accepted are in the vector.
    pub fn send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_send_batch(items);
        }
        let mut sent = 0;
        while !items.is_empty() {
            let room = self.shared.not_full.wait_until(|| self.room(items.len()))?;
            sent += self.shared.send_first(items, room.min(items.len()))?;
        }
        Ok(sent)
    }

    /// Sends as many items from the front of the vector as there is room for, without blocking, and
    /// returns how many. The others stay in the vector; they count as refused.
    ///
    /// # Errors
    /// [`Closed`] if the ring is closed; the vector is as it was.
    pub fn try_send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        let room = self.shared.room(items.len().min(self.shared.capacity()))?;
        let count = room.min(items.len());
        self.shared.sending.refused.add((items.len() - count) as u64);
        if count == 0 { Ok(0) } else { self.shared.send_first(items, count) }
    }

    /// Closes the ring: what was accepted can still be received. Does not block.
    pub fn close(&self) {
        self.shared.close_by_sender();
    }

    /// Returns whether the ring is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Returns the figures of this ring.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Returns the room for items, at least one; `None`: wait.
    #[inline]
    fn room(&self, wanted: usize) -> Option<Result<usize, Closed>> {
        let room = self.shared.room(wanted.min(self.shared.capacity()));
        (room != Ok(0)).then_some(room)
    }
}

impl<P: Primitives, T: Send> Drop for Sender<P, T> {
    fn drop(&mut self) {
        self.shared.close_by_sender();
    }
}

/// The end that receives: one thread at a time (it can be moved, not shared). Its drop closes the ring
/// and drops what is in it.
pub struct Receiver<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    /// Not `Sync` (I2).
    one_thread: PhantomData<core::cell::Cell<()>>,
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Blocks until there is an item, and returns the oldest.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    #[inline]
    pub fn recv(&self) -> Result<T, Closed> {
        self.shared.not_empty.wait_until(|| self.ready(1))?;
        Ok(self.shared.receive())
    }

    /// Returns the oldest item if there is one. Does not block.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`], or [`TryRecvError::Closed`] when nothing more can come.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.shared.ready(1) {
            Ok(0) => Err(TryRecvError::Empty),
            Ok(_) => Ok(self.shared.receive()),
            Err(Closed) => Err(TryRecvError::Closed),
        }
    }

    /// Blocks like [`Receiver::recv`], for at most about `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`], or [`RecvTimeoutError::Closed`] when nothing more can come.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match self.shared.not_empty.wait_until_timeout(timeout, || self.ready(1)) {
            Some(Ok(_)) => Ok(self.shared.receive()),
            Some(Err(Closed)) => Err(RecvTimeoutError::Closed),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Blocks until there is an item, appends all that are there, at most `max`, and returns how many.
    /// It wakes the sender once.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    pub fn recv_batch(&self, items: &mut Vec<T>, max: usize) -> Result<usize, Closed> {
        if max == 0 {
            return Ok(0);
        }
        let ready = self.shared.not_empty.wait_until(|| self.ready(max))?;
        Ok(self.receive_all(items, ready.min(max)))
    }

    /// Appends the items that are there, at most `max`, and returns how many. Does not block; wakes the
    /// sender once.
    pub fn drain(&self, items: &mut Vec<T>, max: usize) -> usize {
        let ready = self.shared.ready(max.min(self.shared.capacity())).unwrap_or(0);
        self.receive_all(items, ready.min(max))
    }

    /// Returns an iterator that receives until nothing more can come; it blocks like `recv`.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        core::iter::from_fn(|| self.recv().ok())
    }

    /// Closes the ring; what was accepted can still be received. Does not block.
    pub fn close(&self) {
        self.shared.close_by_receiver();
    }

    /// Returns whether the ring is closed; there may still be items in it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Returns the figures of this ring.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Returns how many items are there, at least one; `None`: wait.
    #[inline]
    fn ready(&self, wanted: usize) -> Option<Result<usize, Closed>> {
        let ready = self.shared.ready(wanted.min(self.shared.capacity()));
        (ready != Ok(0)).then_some(ready)
    }

    /// Appends the `count` oldest items, which are there.
    fn receive_all(&self, items: &mut Vec<T>, count: usize) -> usize {
        if count > 0 {
            items.reserve(count);
            let head = self.shared.receiving.own().index;
            let place = |offset| self.shared.advance(head, offset);
            items.extend((0..count).map(|offset| self.shared.take(place(offset))));
            self.shared.free(count);
        }
        count
    }
}

impl<P: Primitives, T: Send> Drop for Receiver<P, T> {
    fn drop(&mut self) {
        if P::reporting() {
            return;
        }
        self.shared.close_by_receiver();
        while self.try_recv().is_ok() {}
    }
}

macro_rules! opaque_debug {
    ($($end:ident),*) => { $(
        impl<P: Primitives, T: Send> fmt::Debug for $end<P, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!("spsc::", stringify!($end), " { .. }"))
            }
        }
    )* };
}
opaque_debug!(Sender, Receiver);

#[cfg(test)]
mod tests;
