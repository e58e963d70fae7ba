//! A bounded queue for a pool: any number of senders and receivers, and each item goes to one
//! receiver.
//!
//! **Contract.** Items leave in the order in which they were accepted, each exactly once, to
//! whichever receiver comes first. The queue allocates its `capacity` places at once, and nothing
//! afterwards.
//!
//! | call | when full | blocks | woken by |
//! |---|---|---|---|
//! | `send`, `send_batch`, [`Backpressure::Block`] | waits | until accepted or closed | each item received; close |
//! | the same, [`Backpressure::Refuse`] | `Full(item)`; the rest stays in the batch | no | - |
//! | `try_send`, `try_send_batch` | as with `Refuse` | no | - |
//! | `reserve`, [`Backpressure::Block`] | waits | until a place is kept or closed | as `send`; the drop of a `SendPermit` |
//! | `reserve` with `Refuse`, `try_reserve` | `Full` | no | - |
//! | `SendPermit::send` | cannot be | no | - |
//! | `send_timeout`, `send_deadline` | as `send`, then `Timeout(item)` | at most the time given | as `send` |
//! | `recv`, `recv_batch`; `recv_timeout`, `recv_deadline` | | until an item is there, or nothing more can come; at most the time given | each item accepted; close |
//! | `try_recv`, `drain` | | no | - |
//! | `closed`, `closed_timeout`, `closed_deadline` | | until closed; at most the time given | close |
//! | `send_async`, `send_batch_async`, `reserve_async`, `recv_async`, `recv_batch_async`, `closed_async` | as without `_async` | the task, not its thread | as without `_async` |
//!
//! "No" means: except on a lock that others hold for the few instructions of one item (or one
//! batch). No lock is held across a wait, and no thread holds both locks. As many items of a batch
//! as there is room for are accepted under one lock, adjacent to each other, with one notification.
//! A received batch is what was there when the receiver looked, and its places become free once all
//! of it has been taken.
//!
//! **The end.** The queue closes when any end calls `close`, or when the last sender or the last
//! receiver is dropped. From then on no item is accepted (it is returned as `Closed(item)`). Every
//! accepted item can still be received, outstanding permits still deliver, and then every receiver
//! gets [`Closed`]. Dropping the last receiver drops what is left, each item once, and makes the
//! `send` of permits fail. The panic of a destructor is contained, so it keeps no later item.
//!
//! **Reserved places.** A [`SendPermit`] keeps room for one item, but no position in the queue: its
//! item is accepted when it is sent, behind the items that were accepted before.
//!
//! **Fairness.** Items leave in the order in which they were accepted. For each item taken one
//! blocked sender is woken, and for each item put one receiver. Of the tasks it is the one that has
//! waited longest; of the threads it is the one that the kernel chooses (on Linux, among those of
//! the same priority, the one that has slept longest; that is not guaranteed). Where both tasks and
//! threads wait, one of each is woken. A woken waiter takes the lock like any other, and one that
//! has not slept may be faster; then the woken one sleeps again, behind the others. So for every
//! item taken some sender makes progress, and for every item put some receiver, but there is no
//! bound on how often a particular one is overtaken.
//!
//! ```text
//!   receiving, locked: place, seen             sending, locked: place, seen
//!        |                                         |
//!     [ item ] [ item ] . . . . . . . . . [ item ] [      ]      places, used round and round
//!
//!   head = 4 * items taken so far       tail = 4 * items put so far + 2 if places are reserved
//!                                                                   + 1 if closed
//! ```
//!
//! | word | changed by |
//! |---|---|
//! | `tail` | a sender that has filled a place; the first and the last permit; `close`, for good; always under the senders' lock |
//! | `head` | a receiver that has emptied places; always under the receivers' lock |
//!
//! **Invariants.**
//! - I1 The `tail - head` places from the receivers' `place` on, at most all places, hold items.
//!   The others hold nothing.
//! - I2 While a sender holds the senders' lock, no other thread changes `tail`, and the room does
//!   not shrink. If `tail` is ahead of `head` by less than the capacity, the next place belongs to
//!   the holder until it has moved `tail`. It may fill the place if `tail` is open and there is
//!   room besides the `reserved` places, or if it has a permit. So items and reserved places
//!   together never exceed the capacity.
//! - I3 While a receiver holds the receivers' lock, no other thread changes `head`, and the items
//!   do not become fewer. If `tail` is ahead, the oldest item belongs to the holder until it has
//!   moved `head`.
//! - I4 The flag `closed`, whether places are reserved, and the number of items put are one word.
//!   After `closed` only permits put items, while there are any (I2). So "closed, nothing reserved,
//!   and all taken" is final.
//! - I5 What a side has last `seen` of the other's word is never ahead of it, but may lag behind.
//!   So a side may notice room, or items, late; it looks again before it reports full, empty or
//!   closed. The two sides thus fetch each other's cache line only once in many items.
//! - I6 Each item put is followed by a wake-up of one receiver, and each item taken by a wake-up of
//!   one sender (a batch is followed by one notification for as many). All sleepers on one notifier
//!   wait for the same condition.
//!
//! **Memory order.** The locks order senders among themselves, and receivers among themselves;
//! `tail` and `head` order the two sides. Moving `tail` releases the item, and a receiver's look
//! acquires it. Moving `head` releases the place, and a sender's look acquires it. What a holder of
//! a lock releases includes what the previous holders did. Closing releases what the senders did,
//! and the look that ends in `Closed` acquires it. Sleeping and waking rely on the notifier's
//! fences.
//!
//! Reference: M. M. Michael and M. L. Scott, *Simple, Fast, and Practical Non-Blocking and Blocking
//! Concurrent Queue Algorithms* (1996), for the two-lock queue. This one has places instead of
//! nodes, because it is bounded, and each side remembers the other's word as in [`crate::spsc`].

mod batch;
mod reserve;
mod task;
mod turn;

use core::mem::MaybeUninit;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::counters::{Counters, Counts};
use crate::ends::{ends, opaque_debug, unwind_safe};
use crate::error::{Closed, RecvTimeoutError, SendError, TryRecvError};
use crate::notifier::EventNotifier;
use crate::policy::Backpressure;
use crate::primitives::Ordering::{AcqRel, Relaxed, Release};
use crate::primitives::{Atomic, Cell, Mutex, Primitives};
use crate::spin::Pace;
pub use reserve::SendPermit;
use turn::{Half, Refusal};

/// The largest capacity.
pub const MAX_CAPACITY: usize = (1 << 30) - 1;

const CLOSED: u64 = 1;
const RESERVED: u64 = 2;
const ITEM: u64 = 4;

struct Shared<P: Primitives, T: Send> {
    /// The senders' half, with `tail`.
    sending: CachePadded<Half<P>>,
    /// The receivers' half, with `head`.
    receiving: CachePadded<Half<P>>,
    places: Box<[P::Cell<MaybeUninit<T>>]>,
    /// Receivers sleep on it.
    not_empty: EventNotifier<P>,
    /// Blocked senders sleep on it.
    not_full: EventNotifier<P>,
    /// Senders that only wait for the closing sleep on it.
    closing: EventNotifier<P>,
    /// Live senders; the last one closes.
    senders: P::AtomicUsize,
    /// Live receivers; the last one closes and empties the queue.
    receivers: P::AtomicUsize,
    on_full: Backpressure,
    counts: Counts,
    /// How the two sides have been waiting.
    senders_pace: CachePadded<Pace>,
    receivers_pace: CachePadded<Pace>,
}

// SAFETY: a place is accessed under the senders' lock before `tail` moves past it, and under the
// receivers' lock from then until `head` does (I2, I3); everything else is atomic or locked. Items
// travel from thread to thread, hence `T: Send`.
unsafe impl<P: Primitives, T: Send> Send for Shared<P, T> {}
// SAFETY: as above.
unsafe impl<P: Primitives, T: Send> Sync for Shared<P, T> {}

/// Returns the two ends of a new queue of `capacity` places; clone them to get more senders and
/// receivers.
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
        sending: Half::new(),
        receiving: Half::new(),
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

impl<P: Primitives, T: Send> Shared<P, T> {
    fn close(&self, is_gone: bool) {
        {
            let mut side = self.sending.side.lock();
            side.is_gone |= is_gone;
            // ORDERING: none needed; the word changes only under this lock.
            let tail = self.sending.word.load(Relaxed);
            // ORDERING: pairs with the acquiring look in `ready` that ends in `Closed`.
            self.sending.word.store(tail | CLOSED, Release);
        }
        self.not_empty.notify_all();
        self.not_full.notify_all();
        self.closing.notify_all();
    }

    fn close_by_sender(&self) {
        self.close(false);
    }

    fn close_by_receiver(&self) {
        self.close(false);
    }

    fn closing(&self) -> &EventNotifier<P> {
        &self.closing
    }

    fn senders_are_gone(&self) -> bool {
        // ORDERING: none needed; it looks at a count that stays at zero, and at a figure.
        self.senders.load(Relaxed) == 0 && self.sending.word.load(Relaxed) & RESERVED == 0
    }

    fn receivers_are_gone(&self) -> bool {
        // ORDERING: none needed; as above.
        self.receivers.load(Relaxed) == 0
    }

    fn is_closed(&self) -> bool {
        // ORDERING: none needed; it looks at a bit that is never cleared.
        self.sending.word.load(Relaxed) & CLOSED != 0
    }

    fn capacity(&self) -> usize {
        self.places.len()
    }

    /// Returns how many items there are, and for how many more room is kept: at the moment at which
    /// `head` is read, for the senders' half stands still under its lock.
    fn held(&self) -> (u64, u64) {
        let side = self.sending.side.lock();
        // ORDERING: none needed; a figure.
        let (tail, head) = (self.sending.word.load(Relaxed), self.receiving.word.load(Relaxed));
        (tail.wrapping_sub(head) / ITEM, side.reserved)
    }

    fn len(&self) -> usize {
        self.held().0 as usize
    }

    fn is_full(&self) -> bool {
        let (items, reserved) = self.held();
        items + reserved >= self.capacity() as u64
    }

    /// Returns how many items have been taken so far. It is a figure.
    fn taken(&self) -> u64 {
        // ORDERING: none needed; a figure.
        self.receiving.word.load(Relaxed) / ITEM
    }

    fn counters(&self) -> Counters {
        let received = self.taken();
        // ORDERING: none needed; a figure.
        let sent = self.sending.word.load(Relaxed) / ITEM;
        let capacity = self.places.len() as u64;
        let depth = sent.saturating_sub(received).min(capacity);
        let counters = self.counts.read(received, depth, capacity);
        Counters { high_water: counters.high_water.max(depth), ..counters }
    }
}

/// The end that sends. Clone it to get more senders; when all are dropped, the queue closes.
pub struct Sender<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
}

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends as the policy says. Blocks only with [`Backpressure::Block`], until an item is
    /// received or the queue closes.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`Backpressure::Refuse`]; [`SendError::Closed`].
    #[inline]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        match self.shared.enter(1) {
            Ok(turn) => {
                self.shared.send(turn, item);
                Ok(())
            }
            Err(refusal) => self.send_after_a_look(item, refusal),
        }
    }

    #[cold]
    #[inline(never)]
    fn send_after_a_look(&self, item: T, refusal: Refusal) -> Result<(), SendError<T>> {
        let mut item = Some(item);
        if refusal == Refusal::Closed || self.shared.on_full == Backpressure::Refuse {
            return self.finish(Err(refusal), item);
        }
        self.shared.senders_pace.pause::<P>(self.shared.capacity(), self.shared.taken());
        let accepted = self.shared.not_full.wait_until(|| self.offer(&mut item));
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
        self.send_deadline(item, P::now().saturating_add(timeout))
    }

    /// Sends like [`Sender::send_timeout`]; where that would block, until [`Primitives::now`] is
    /// about `deadline`.
    ///
    /// # Errors
    /// As [`Sender::send_timeout`].
    pub fn send_deadline(&self, item: T, deadline: Duration) -> Result<(), SendError<T>> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_send(item);
        }
        let mut item = Some(item);
        let accepted = self.shared.not_full.wait_until_deadline(deadline, || self.offer(&mut item));
        match self.finish(accepted.unwrap_or(Err(Refusal::Full)), item) {
            Err(SendError::Full(item)) => Err(SendError::Timeout(item)),
            result => result,
        }
    }

    /// Offers the item; `None` means wait.
    fn offer(&self, item: &mut Option<T>) -> Option<Result<(), Refusal>> {
        Some(self.shared.offer(item)).filter(|accepted| *accepted != Err(Refusal::Full))
    }

    /// Turns the outcome into that of a send; an item that is left was not accepted.
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
        // ORDERING: pairs with itself in the other senders: what they did happens before the
        // closing, hence before a receiver's `Closed`.
        if self.shared.senders.fetch_sub(1, AcqRel) == 1 {
            self.shared.close(false);
        }
    }
}

/// The end that receives. Clone it to get more receivers; when all are dropped, the queue closes,
/// and what is left in it is dropped.
pub struct Receiver<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Blocks until there is an item for this receiver, and returns the oldest.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    #[inline]
    pub fn recv(&self) -> Result<T, Closed> {
        match self.shared.visit(1)? {
            Some(mut turn) => {
                let item = self.shared.take(&mut turn.side);
                self.shared.received(turn);
                Ok(item)
            }
            None => self.recv_after_a_look(),
        }
    }

    #[cold]
    #[inline(never)]
    fn recv_after_a_look(&self) -> Result<T, Closed> {
        self.shared.receivers_pace.pause::<P>(self.shared.capacity(), self.shared.taken());
        self.shared.not_empty.wait_until(|| self.poll())
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
        self.recv_deadline(P::now().saturating_add(timeout))
    }

    /// Blocks like [`Receiver::recv`], until [`Primitives::now`] is about `deadline`.
    ///
    /// # Errors
    /// As [`Receiver::recv_timeout`].
    pub fn recv_deadline(&self, deadline: Duration) -> Result<T, RecvTimeoutError> {
        match self.shared.not_empty.wait_until_deadline(deadline, || self.poll()) {
            Some(Ok(item)) => Ok(item),
            Some(Err(Closed)) => Err(RecvTimeoutError::Closed),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Returns the oldest item, or that nothing more can come; `None` means wait.
    fn poll(&self) -> Option<Result<T, Closed>> {
        self.shared.receive().transpose()
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
        // ORDERING: none needed: what is left is found through the lock and the two words.
        if P::reporting() || self.shared.receivers.fetch_sub(1, Relaxed) != 1 {
            return;
        }
        self.shared.close(true);
        while let Ok(item) = self.try_recv() {
            P::contain(|| drop(item));
        }
    }
}

ends!("mpmc");
opaque_debug!("mpmc"; SendPermit);
unwind_safe!(SendPermit);

#[cfg(test)]
mod tests;
