//! A bounded queue for a pool: any number of senders, any number of receivers, each item to one of them.
//!
//! **Contract.** Items leave in the order in which they were accepted, each exactly once, to whichever
//! receiver comes first. The queue allocates its `capacity` places at once, and nothing afterwards.
//!
//! | call | when full | blocks | woken by |
//! |---|---|---|---|
//! | `send`, `send_batch`, [`Backpressure::Block`] | waits | until accepted or closed | each item received; close |
//! | the same, [`Backpressure::Refuse`] | `Full(item)`; the rest stays in the batch | no | - |
//! | `try_send`, `try_send_batch` | as with `Refuse` | no | - |
//! | `send_timeout` | as `send`, then `Timeout(item)` | at most the time given | as `send` |
//! | `recv`, `recv_batch` | | until an item is there, or nothing more can come | each item accepted; close |
//! | `try_recv`, `drain` | | no | - |
//! | `closed`, `closed_timeout` | | until closed; at most the time given | close |
//! | `send_async`, `send_batch_async`, `recv_async`, `recv_batch_async`, `closed_async` | as without `_async` | the task, not its thread | as without `_async` |
//!
//! "No" means: beyond a lock that others hold for the few instructions of one item (of one batch). No
//! lock is held across a wait, and nobody holds both. What there is room for of a batch is accepted under one
//! lock, next to each other, and notified once. A batch that is received is what was there when the receiver
//! looked, and its places are free once all of it has been taken.
//!
//! **The end.** `close` by any end, the drop of the last sender, or of the last receiver: from then on no
//! item is accepted (it comes back as `Closed(item)`), every accepted one is still received, then comes
//! [`Closed`], to every receiver. The drop of the last receiver drops what is left, each item once (the
//! rest leaks if a destructor panics).
//!
//! ```text
//!   head lock: the next place to empty        tail lock: the next place to fill
//!        |                                         |
//!     [ item ] [ item ] . . . . . . . . . [ item ] [      ]      places, used round and round
//!
//!   state = 2 * items in the places + 1 if closed
//! ```
//!
//! | `state` | raised by | lowered by |
//! |---|---|---|
//! | items | a sender that has filled a place, under the tail lock | a receiver that has emptied places, under the head lock |
//! | closed | `close`, under the tail lock, for good | - |
//!
//! **Invariants.**
//! - I1 The places from `head`, as many as `state` counts, hold items; the others hold nothing.
//! - I2 Under the tail lock the number of items does not rise and `closed` is not set by others: who reads
//!   "open, and room" there keeps it, and the place at `tail` is its own until it has counted the item.
//! - I3 Under the head lock the number of items does not fall by others: the item at `head` is its own
//!   until it has been counted out.
//! - I4 `closed` and the number are one word, and nothing is accepted after `closed` (I2). So the value
//!   "closed, no items" is final.
//! - I5 The looks without a lock are atomic, and only save the lock: what they let through is judged
//!   again under it, and what they turn away is as if judged when the value was written.
//! - I6 Each item counted in is followed by one wake-up of a receiver, each counted out by one of a
//!   sender (of a batch, by a notification of as many). All sleepers of one notifier wait for the same.
//!
//! **Memory order.** The locks order senders among themselves, and receivers; between the two sides
//! `state` does. Counting in releases the item, a receiver's look under the lock acquires it; counting
//! out releases the place, a sender's look under the lock acquires that. All changes are
//! read-modify-writes, so no release is cut off by a later change. Closing releases what the senders
//! did, and the look that ends in `Closed` acquires it. Sleeping and waking: the notifier's fences.
//!
//! Reference: M. M. Michael and M. L. Scott, *Simple, Fast, and Practical Non-Blocking and Blocking
//! Concurrent Queue Algorithms* (1996), the two-lock queue; places instead of nodes and an atomic count, as
//! D. Lea's `LinkedBlockingQueue` has it, because it is bounded.

mod batch;
mod task;

use core::mem::MaybeUninit;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::counters::{Counters, Counts};
use crate::ends::ends;
use crate::error::{Closed, RecvTimeoutError, SendError, TryRecvError};
use crate::notifier::EventNotifier;
use crate::policy::Backpressure;
use crate::primitives::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::primitives::{Atomic, Cell, Mutex, Primitives};
use crate::spin::Pace;

/// The largest capacity.
pub const MAX_CAPACITY: usize = (1 << 30) - 1;

const CLOSED: usize = 1;
const ITEM: usize = 2;

struct Shared<P: Primitives, T: Send> {
    /// See the table at the top of the file.
    state: CachePadded<P::AtomicUsize>,
    /// The next place to fill.
    tail: CachePadded<P::Mutex<usize>>,
    /// The next place to empty.
    head: CachePadded<P::Mutex<usize>>,
    places: Box<[P::Cell<MaybeUninit<T>>]>,
    /// Receivers sleep on it.
    not_empty: EventNotifier<P>,
    /// Blocked senders sleep on it.
    not_full: EventNotifier<P>,
    /// Senders sleep on it that wait for the closing alone.
    closing: EventNotifier<P>,
    /// Live senders; the last one closes.
    senders: P::AtomicUsize,
    /// Live receivers; the last one closes and empties.
    receivers: P::AtomicUsize,
    on_full: Backpressure,
    counts: Counts,
    /// How the two sides have been waiting.
    senders_pace: CachePadded<Pace>,
    receivers_pace: CachePadded<Pace>,
}

// SAFETY: a place is reached under the tail lock before it is counted in, under the head lock until it is
// counted out (I2, I3); all else is atomic or locked. Items travel from thread to thread, hence `T: Send`.
unsafe impl<P: Primitives, T: Send> Send for Shared<P, T> {}
// SAFETY: as above.
unsafe impl<P: Primitives, T: Send> Sync for Shared<P, T> {}

/// Returns the two ends of a new queue of `capacity` places; clone them for every sender and receiver.
///
/// ```
/// use blocksmith_sync::mpmc::mpmc;
/// use blocksmith_sync::{Backpressure, Std};
///
/// let (tasks, pool) = mpmc::<Std, u32>(8, Backpressure::Block);
/// let workers = [pool.clone(), pool].map(|tasks| {
///     std::thread::spawn(move || tasks.iter().sum::<u32>())
/// });
/// assert!((0..100).all(|task| tasks.send(task).is_ok()));
/// drop(tasks); // the workers end
/// let sum: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
/// assert_eq!(sum, 4950);
/// ```
///
/// # Panics
/// If `capacity` is 0 or above [`MAX_CAPACITY`].
#[must_use]
pub fn mpmc<P: Primitives, T: Send>(
    capacity: usize,
    on_full: Backpressure,
) -> (Sender<P, T>, Receiver<P, T>) {
    assert!((1..=MAX_CAPACITY).contains(&capacity), "a queue holds 1 to 2^30-1 items");
    let shared = P::arc(Shared {
        state: CachePadded::new(Atomic::new(0)),
        tail: CachePadded::new(Mutex::new(0)),
        head: CachePadded::new(Mutex::new(0)),
        places: (0..capacity).map(|_| Cell::new(MaybeUninit::uninit())).collect(),
        not_empty: EventNotifier::new(),
        not_full: EventNotifier::new(),
        closing: EventNotifier::new(),
        senders: Atomic::new(1),
        receivers: Atomic::new(1),
        on_full,
        counts: Counts::default(),
        senders_pace: CachePadded::default(),
        receivers_pace: CachePadded::default(),
    });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

/// Why an item is not accepted now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Full,
    Closed,
}

impl<P: Primitives, T: Send> Shared<P, T> {
    fn next(&self, place: usize) -> usize {
        if place + 1 == self.places.len() { 0 } else { place + 1 }
    }

    /// Returns whether a state has room.
    fn room_in(&self, state: usize) -> Result<(), Refusal> {
        if state & CLOSED != 0 {
            Err(Refusal::Closed)
        } else if state / ITEM == self.places.len() {
            Err(Refusal::Full)
        } else {
            Ok(())
        }
    }

    /// Puts `item`, which is there, in a place, and leaves `None`; or says why not.
    fn offer(&self, item: &mut Option<T>) -> Result<(), Refusal> {
        // ORDERING: none needed, a look that saves the lock (I5).
        self.room_in(self.state.load(Relaxed))?;
        {
            let mut tail = self.tail.lock();
            // ORDERING: pairs with the release in `receive`: the place is empty.
            let state = self.state.load(Acquire);
            self.room_in(state)?;
            if let Some(item) = item.take() {
                // SAFETY: the place is the lock holder's, and holds nothing (I1, I2).
                self.places[*tail].with_mut(|place| unsafe {
                    (*place).write(item);
                });
                *tail = self.next(*tail);
                self.counts.accepted((state / ITEM + 1) as u64);
                // ORDERING: pairs with the acquiring look under the lock in `receive`.
                self.state.fetch_add(ITEM, Release);
            }
        }
        self.not_empty.notify_one();
        Ok(())
    }

    /// Passes the oldest items, at most `max`, to `sink`, which must not panic, and returns how many; 0:
    /// wait.
    fn receive(&self, max: usize, mut sink: impl FnMut(T)) -> Result<usize, Closed> {
        // ORDERING: pairs with the release in `close`.
        let state = self.state.load(Acquire);
        if state < ITEM || max == 0 {
            return if state == CLOSED { Err(Closed) } else { Ok(0) };
        }
        let count = {
            let mut head = self.head.lock();
            // ORDERING: pairs with the release in `offer`: the items are in place; and with that in
            // `close`.
            let state = self.state.load(Acquire);
            if state == CLOSED {
                return Err(Closed);
            }
            let count = max.min(state / ITEM);
            if count == 0 {
                return Ok(0);
            }
            for _ in 0..count {
                // SAFETY: the place holds an item, the lock holder's (I1, I3); `head` moves on, so it is
                // moved out once.
                let place = &self.places[*head];
                sink(place.with_mut(|place| unsafe { (*place).assume_init_read() }));
                *head = self.next(*head);
            }
            self.counts.received(count as u64);
            // ORDERING: pairs with the acquiring look under the lock in `offer`.
            self.state.fetch_sub(count * ITEM, Release);
            count
        };
        if self.on_full == Backpressure::Block {
            self.not_full.notify_many(u32::try_from(count).unwrap_or(u32::MAX));
        }
        Ok(count)
    }

    fn close(&self) {
        {
            let _tail = self.tail.lock();
            // ORDERING: none needed, `closed` is set under this lock alone.
            if self.state.load(Relaxed) & CLOSED == 0 {
                // ORDERING: pairs with the acquiring looks in `receive` that end in `Closed`.
                self.state.fetch_add(CLOSED, Release);
            }
        }
        self.not_empty.notify_all();
        self.not_full.notify_all();
        self.closing.notify_all();
    }

    fn close_by_sender(&self) {
        self.close();
    }

    fn close_by_receiver(&self) {
        self.close();
    }

    fn closing(&self) -> &EventNotifier<P> {
        &self.closing
    }

    fn senders_are_gone(&self) -> bool {
        // ORDERING: none needed, a look at a count that stays at zero.
        self.senders.load(Relaxed) == 0
    }

    fn receivers_are_gone(&self) -> bool {
        // ORDERING: none needed, as above.
        self.receivers.load(Relaxed) == 0
    }

    fn is_closed(&self) -> bool {
        // ORDERING: none needed, a look at a bit that is never unset.
        self.state.load(Relaxed) & CLOSED != 0
    }

    fn counters(&self) -> Counters {
        // ORDERING: none needed, a figure.
        let depth = self.state.load(Relaxed) / ITEM;
        self.counts.read(depth as u64, self.places.len() as u64)
    }
}

/// The end that sends. Clone it for every sender; when all are dropped, the queue closes.
pub struct Sender<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
}

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends as the policy says. Blocks only with [`Backpressure::Block`], until an item is received or
    /// the queue closes.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`Backpressure::Refuse`]; [`SendError::Closed`].
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_send(item);
        }
        let mut item = Some(item);
        let offer = self
            .shared
            .senders_pace
            .paced::<P, _>(|| self.shared.counts.taken(), || self.offer(&mut item));
        let accepted = self.shared.not_full.wait_until(offer);
        self.finish(accepted, item)
    }

    /// Sends without blocking, as if the policy were to refuse.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`].
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        let mut item = Some(item);
        let accepted = self.shared.offer(&mut item);
        self.finish(accepted, item)
    }

    /// Sends like [`Sender::send`]; where that would block, for at most about `timeout`.
    ///
    /// # Errors
    /// [`SendError::Timeout`], and those of `send`.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_send(item);
        }
        let mut item = Some(item);
        let accepted = self.shared.not_full.wait_until_timeout(timeout, || self.offer(&mut item));
        match self.finish(accepted.unwrap_or(Err(Refusal::Full)), item) {
            Err(SendError::Full(item)) => Err(SendError::Timeout(item)),
            result => result,
        }
    }

    /// Offers the item; `None`: wait.
    fn offer(&self, item: &mut Option<T>) -> Option<Result<(), Refusal>> {
        Some(self.shared.offer(item)).filter(|accepted| *accepted != Err(Refusal::Full))
    }

    /// An item that is left was not accepted.
    fn finish(&self, accepted: Result<(), Refusal>, item: Option<T>) -> Result<(), SendError<T>> {
        match (item, accepted) {
            (None, _) => Ok(()),
            (Some(item), Err(Refusal::Full)) => {
                self.shared.counts.refused(1);
                Err(SendError::Full(item))
            }
            (Some(item), _) => Err(SendError::Closed(item)),
        }
    }
}

impl<P: Primitives, T: Send> Clone for Sender<P, T> {
    fn clone(&self) -> Self {
        // ORDERING: none needed: the sender that is cloned is alive.
        self.shared.senders.fetch_add(1, Relaxed);
        Self { shared: self.shared.clone() }
    }
}

impl<P: Primitives, T: Send> Drop for Sender<P, T> {
    fn drop(&mut self) {
        // ORDERING: pairs with itself in the other senders: what they did happens before the closing,
        // hence before a receiver's `Closed`.
        if self.shared.senders.fetch_sub(1, AcqRel) == 1 {
            self.shared.close();
        }
    }
}

/// The end that receives. Clone it for every receiver; when all are dropped, the queue closes, and what
/// is left in it is dropped.
pub struct Receiver<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Blocks until there is an item for this receiver, and returns the oldest.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    pub fn recv(&self) -> Result<T, Closed> {
        let poll =
            self.shared.receivers_pace.paced::<P, _>(|| self.shared.counts.taken(), || self.poll());
        self.shared.not_empty.wait_until(poll)
    }

    /// Returns the oldest item if there is one. Does not block.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`], or [`TryRecvError::Closed`] when nothing more can come.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.poll() {
            Some(Ok(item)) => Ok(item),
            Some(Err(Closed)) => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Blocks like [`Receiver::recv`], for at most about `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`], or [`RecvTimeoutError::Closed`] when nothing more can come.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match self.shared.not_empty.wait_until_timeout(timeout, || self.poll()) {
            Some(Ok(item)) => Ok(item),
            Some(Err(Closed)) => Err(RecvTimeoutError::Closed),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Returns the oldest item, or that nothing more can come; `None`: wait.
    fn poll(&self) -> Option<Result<T, Closed>> {
        let mut received = None;
        match self.shared.receive(1, |item| received = Some(item)) {
            Ok(_) => received.map(Ok),
            Err(Closed) => Some(Err(Closed)),
        }
    }
}

impl<P: Primitives, T: Send> Clone for Receiver<P, T> {
    fn clone(&self) -> Self {
        // ORDERING: none needed: the receiver that is cloned is alive.
        self.shared.receivers.fetch_add(1, Relaxed);
        Self { shared: self.shared.clone() }
    }
}

impl<P: Primitives, T: Send> Drop for Receiver<P, T> {
    fn drop(&mut self) {
        // ORDERING: none needed: what is left is found through the lock and `state`.
        if P::reporting() || self.shared.receivers.fetch_sub(1, Relaxed) != 1 {
            return;
        }
        self.shared.close();
        while self.try_recv().is_ok() {}
    }
}

ends!("mpmc");

#[cfg(test)]
mod tests;
