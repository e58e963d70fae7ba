//! A bounded mailbox: many senders, one receiver, a policy on full, an orderly end.
//!
//! **Contract.** Items are received in the order in which they were accepted from each sender, each
//! exactly once. The capacity bounds the requests. Replies have slots of their own, which are
//! reserved before the question is asked ([`Receiver::permit`]), so that answering never blocks,
//! and two services that write to each other cannot block each other in a cycle. The queue's memory
//! comes in blocks of up to 32 places, as many as needed; blocks are reused, within a bound
//! (`queue`).
//!
//! | call | when full | blocks | woken by |
//! |---|---|---|---|
//! | `send`, `send_batch`, [`OnFull::Block`] | waits | until accepted or closed | items received, see below; close |
//! | the same, [`OnFull::Refuse`] | `Full(item)`; the rest stays in the batch | no | - |
//! | the same, [`OnFull::EvictOldest`] | returns the oldest request | no (but it yields while the sender of the oldest request is about to write it, and now and then to the receiver) | - |
//! | `try_send`, `try_send_batch` | as with `Refuse`, or evicts | no | - |
//! | `send_timeout`, `send_deadline` | as `send`, then `Timeout(item)` | at most the time given | as `send` |
//! | `Permit::send`, `SendPermit::send` | cannot be | no | - |
//! | `reserve`, [`OnFull::Block`] | waits | until a place is kept or closed | as `send`; the drop of a `SendPermit` |
//! | `reserve` otherwise, `try_reserve` | `Full` | no | - |
//! | `recv`, `recv_batch`; `recv_timeout`, `recv_deadline` | | until an item is there, or nothing more can come; at most the time given | each item accepted; close; the drop of the last sender, or of a permit |
//! | `try_recv`, `drain` | | no (they yield while an item is being written) | - |
//! | `closed`, `closed_timeout`, `closed_deadline` | | until closed; at most the time given | close |
//! | `send_async`, `send_batch_async`, `reserve_async`, `recv_async`, `recv_batch_async`, `closed_async` | as without `_async` | the task, not its thread | as without `_async` |
//!
//! **Credits are returned in batches.** Every send takes a credit from one word, and with it its
//! place in the order. The receiver returns credits in batches, and wakes blocked senders when
//! there are several batches, so that a cache line does not change cores for every item, nor the
//! threads take turns for every batch. With [`OnFull::Block`] and a capacity of at least 16, a
//! batch is an eighth of the capacity. Fewer places than that may be free and not yet given back,
//! so a send may find the mailbox full a little early. A sender that has blocked is woken when half
//! of the capacity has been taken since, or when the mailbox is found empty. Nothing stays behind:
//! the receiver returns all the credits it holds, and wakes senders for them, before it reports
//! that the mailbox is empty, before it sleeps, at the end of `drain` and `recv_batch`, before it
//! reserves a permit, and when it is dropped. But a receiver that takes an item and then waits for
//! something other than this mailbox does withhold up to a batch less one, and the wake-ups for up
//! to half of the capacity less one. With the other policies, and below a capacity of 16, each
//! credit is returned at once.
//!
//! **The end.** The mailbox closes when either side calls `close`, or when the last sender is
//! dropped. From then on no request is accepted (it is returned as `Closed(item)`). Every accepted
//! request can still be received, and outstanding permits of both kinds still deliver. Only after
//! all of that does `recv` return [`Closed`]. Dropping the receiver closes the mailbox, drops what
//! was accepted, and makes the `send` of permits fail. The drop waits for senders that have been
//! accepted and are about to write (a few instructions of theirs), but not for permits.
//!
//! **Reserved places.** A [`SendPermit`] keeps a place of the capacity for one request; there are
//! at most 255 of them at once. It keeps no position in the queue: its item is accepted when it is
//! sent, behind the items that were accepted before. A reserved place cannot be evicted; a mailbox
//! all of whose places are reserved answers `Full`, whatever its policy.
//!
//! **Fairness.** Items are received in the order in which they were accepted, so no accepted item
//! starves. For each credit that is returned one blocked sender is woken. Of the tasks it is the
//! one that has waited longest; of the threads it is the one that the kernel chooses (on Linux,
//! among those of the same priority, the one that has slept longest; that is not guaranteed). Where
//! both tasks and threads wait, one of each is woken. A woken sender asks for a credit like any
//! other: one that has not slept may take it first, and the woken sender sleeps again, behind the
//! others. So whenever credits are returned some sender makes progress, but there is no bound on
//! how often a particular one is overtaken. A sender that needs a bound can reserve, or have a
//! mailbox of its own in a [select](crate::select), which is fair by budgets.
//!
//! **Invariants.**
//! - I1 One word decides what is accepted, in which order, and when nothing more can come: see
//!   `credits`, C1-C5.
//! - I2 A sender pushes an accepted item (in a batch, all items that are accepted with it) to the
//!   place that it claimed before it does anything else, and notifies the receiver after that. So
//!   the receiver may sleep on a queue that is busy (see `queue`).
//! - I3 Only the receiver, which is one thread at a time, accesses the consumer's side of the
//!   queue. With `EvictOldest`, it is the holder of the `consumer` lock. The lock is never held
//!   across a wait.
//! - I4 The receiver withholds at most `batch - 1` credits, and wake-ups on `not_full` for at most
//!   `wake_at - 1` credits that it has returned. It withholds none of either when it returns `None`
//!   from a look that a sleep may follow. Returned credits are followed by as many wake-ups.
//! - I5 An evictor is accepted when it finds the mailbox full and open in one read-modify-write. It
//!   holds the consumer's lock, so it may take the oldest request, and claim the room that this
//!   makes. Replies in front of that request move to a side list, from which the receiver takes
//!   first.
//! - I6 After the receiver's drop no accepted item is left. The same word orders accepting and
//!   `gone` (C2), and the drop waits until everything that was accepted has been pushed. The panic
//!   of an item's destructor is contained, so it keeps no later item.
//! - I7 Every notification of `not_empty` is for all that are registered. The receiver is one
//!   thread, but it may have several tasks that wait by reference (two streams, say). Each of them
//!   waits for an item or the end, and the end is for all of them (R1 of the notifier): the one
//!   that takes the last item wakes nobody. Nor does a future that was forgotten take the wake-up
//!   of a later one: its stale entry leaves the list with the next notification. With one waiter,
//!   a notification costs what `notify_one` costs.
//!
//! **Memory order.** The mark of a place hands its item over (`queue`), and the credit gives the
//! place back (`credits`). The notifier's fences order sleeping and waking, and the credit word
//! orders the end. This file has one ordering of its own, at the sender count.

mod batch;
mod credits;
mod evict;
mod hand;
mod permit;
mod queue;
mod reserve;
mod task;

use core::cell::Cell;
use core::time::Duration;

pub use crate::counters::Counters;
pub use crate::error::{Closed, RecvTimeoutError, SendError, TryRecvError};
pub use crate::policy::OnFull;
pub use credits::{MAX_CAPACITY, MAX_REPLIES};

use crate::counters::Counts;
use crate::ends::{ends, opaque_debug, unwind_safe};
use crate::notifier::EventNotifier;
use crate::primitives::Ordering::{AcqRel, Relaxed};
use crate::primitives::{Atomic, Mutex, Primitives};
use crate::spin::Pace;
use credits::{Claim, Credits, Refusal};
use evict::{Aside, Eviction};
use hand::Hand;
pub use permit::Permit;
use queue::{Front, Queue};
pub use reserve::SendPermit;

struct Shared<P: Primitives, T: Send> {
    credits: Credits<P>,
    queue: Queue<P, T>,
    /// The receiver sleeps on it; it may serve several mailboxes.
    not_empty: P::Arc<EventNotifier<P>>,
    /// Blocked senders sleep on it.
    not_full: EventNotifier<P>,
    /// Senders that only wait for the closing sleep on it.
    closing: EventNotifier<P>,
    /// Live senders; the last one closes.
    senders: P::AtomicUsize,
    /// The right to take from the queue, where there are evictors (I3).
    consumer: P::Mutex<Aside<T>>,
    on_full: OnFull,
    /// One more than the number of credits that the receiver may withhold (I4).
    batch: u32,
    /// After how many returned credits the receiver wakes senders at the latest (I4).
    wake_at: u32,
    counts: Counts,
}

/// Returns the two ends of a new mailbox for `capacity` requests and `replies` reserved replies.
///
/// ```
/// use blocksmith_sync::Std;
/// use blocksmith_sync::mailbox::{Closed, OnFull, mailbox};
///
/// let (sender, receiver) = mailbox::<Std, u32>(8, 0, OnFull::Block);
/// let producer = std::thread::spawn(move || (0..100).try_for_each(|n| sender.send(n).map(drop)));
/// let sum: u32 = receiver.iter().sum();
/// assert_eq!(sum, 4950);
/// assert_eq!(receiver.recv(), Err(Closed)); // the only sender is gone
/// assert!(producer.join().unwrap().is_ok());
/// ```
///
/// # Panics
/// If `capacity` is 0 or above 2^24-1, or `replies` above 2^15-1.
#[must_use]
pub fn mailbox<P: Primitives, T: Send>(
    capacity: usize,
    replies: usize,
    on_full: OnFull,
) -> (Sender<P, T>, Receiver<P, T>) {
    mailbox_on(P::arc(EventNotifier::new()), capacity, replies, on_full)
}

/// Returns a mailbox like [`mailbox`], whose receiver is woken through `notifier`. Several
/// mailboxes *of one receiving thread* may share one: that thread then waits for all of them at
/// once, with `notifier.wait_until(|| ..)` over their `try_recv`.
///
/// # Panics
/// As [`mailbox`].
#[must_use]
pub fn mailbox_on<P: Primitives, T: Send>(
    notifier: P::Arc<EventNotifier<P>>,
    capacity: usize,
    replies: usize,
    on_full: OnFull,
) -> (Sender<P, T>, Receiver<P, T>) {
    let (batch, wake_at) = hand::batches(capacity, on_full);
    let shared = P::arc(Shared {
        credits: Credits::new(capacity, replies),
        queue: Queue::new(capacity + replies),
        not_empty: notifier,
        not_full: EventNotifier::new(),
        closing: EventNotifier::new(),
        senders: Atomic::new(1),
        consumer: Mutex::new(Aside::default()),
        on_full,
        batch,
        wake_at,
        counts: Counts::default(),
    });
    (
        Sender { shared: shared.clone() },
        Receiver { shared, hand: Cell::default(), pace: Pace::default() },
    )
}

impl<P: Primitives, T: Send> Shared<P, T> {
    /// Pushes an item that has been accepted, then notifies (I2).
    #[inline]
    fn push(&self, claim: Claim, item: T, reply: bool) {
        self.queue.push(claim.first, item, reply);
        self.counts.depth_seen(claim.depth);
        self.not_empty.notify_all(); // I7
    }

    fn close(&self, gone: bool) {
        self.credits.close(gone);
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

    fn is_closed(&self) -> bool {
        self.credits.is_closed()
    }

    fn capacity(&self) -> usize {
        self.credits.capacity()
    }

    fn is_full(&self) -> bool {
        self.credits.is_full()
    }

    fn senders_are_gone(&self) -> bool {
        // ORDERING: none needed; it looks at a count that stays at zero.
        self.senders.load(Relaxed) == 0 && self.credits.permits_out() == 0
    }

    fn receivers_are_gone(&self) -> bool {
        self.credits.is_gone()
    }

    /// Returns whether an item is about to be written. Receiver only.
    fn is_busy(&self) -> bool {
        let _consumer = (self.on_full == OnFull::EvictOldest).then(|| self.consumer.lock());
        self.queue.position() != self.credits.tail()
    }
}

/// The end that sends. Clone it to get more senders; when all are dropped, the mailbox closes.
pub struct Sender<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
}

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends as the policy says. `Some` contains the request that was evicted to make room. Blocks
    /// only with [`OnFull::Block`], until an item is received or the mailbox closes.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`OnFull::Refuse`]; [`SendError::Closed`].
    #[inline]
    pub fn send(&self, item: T) -> Result<Option<T>, SendError<T>> {
        match self.shared.credits.offer(1) {
            Ok(claim) => {
                self.shared.push(claim, item, false);
                Ok(None)
            }
            Err(refusal) => self.send_after_a_look(item, refusal),
        }
    }

    #[cold]
    #[inline(never)]
    fn send_after_a_look(&self, item: T, refusal: Refusal) -> Result<Option<T>, SendError<T>> {
        if self.shared.on_full != OnFull::Block {
            return self.try_send(item);
        }
        if refusal != Refusal::Full {
            return self.finish(Err(refusal), item);
        }
        let accepted = self.shared.not_full.wait_until(|| self.accept());
        self.finish(accepted, item)
    }

    /// Sends without blocking; with [`OnFull::Block`], as if the policy were to refuse.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`].
    pub fn try_send(&self, item: T) -> Result<Option<T>, SendError<T>> {
        let accepted = self.shared.credits.accept(1);
        if accepted != Err(Refusal::Full) || self.shared.on_full != OnFull::EvictOldest {
            return self.finish(accepted, item);
        }
        match self.shared.accept_or_evict() {
            Ok(Eviction { evicted, claim, yields }) => {
                let result = self.finish(Ok(claim), item);
                if yields {
                    P::yield_now();
                }
                result.map(|_| evicted)
            }
            Err(refusal) => self.finish(Err(refusal), item),
        }
    }

    /// Sends like [`Sender::send`]; where that would block, for at most about `timeout`.
    ///
    /// # Errors
    /// [`SendError::Timeout`], and those of `send`.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<Option<T>, SendError<T>> {
        self.send_deadline(item, P::now().saturating_add(timeout))
    }

    /// Sends like [`Sender::send_timeout`]; where that would block, until [`Primitives::now`] is
    /// about `deadline`.
    ///
    /// # Errors
    /// As [`Sender::send_timeout`].
    pub fn send_deadline(&self, item: T, deadline: Duration) -> Result<Option<T>, SendError<T>> {
        if self.shared.on_full != OnFull::Block {
            return self.try_send(item);
        }
        match self.shared.not_full.wait_until_deadline(deadline, || self.accept()) {
            Some(accepted) => self.finish(accepted, item),
            None => {
                self.shared.counts.refused(1);
                Err(SendError::Timeout(item))
            }
        }
    }

    /// Asks for a credit; `None` means wait.
    fn accept(&self) -> Option<Result<Claim, Refusal>> {
        Some(self.shared.credits.offer(1)).filter(|accepted| *accepted != Err(Refusal::Full))
    }

    /// Sends plain data like [`Sender::try_send`] into a mailbox that evicts, but notifies nobody.
    /// The caller has to notify all through the returned notifier, once it has released its lock
    /// (I7).
    pub(crate) fn put(&self, item: T) -> Result<P::Arc<EventNotifier<P>>, Closed>
    where
        T: Copy,
    {
        let Eviction { claim, .. } = self.shared.accept_or_evict().map_err(|_| Closed)?;
        self.shared.queue.push(claim.first, item, false);
        self.shared.counts.depth_seen(claim.depth);
        Ok(self.shared.not_empty.clone())
    }

    fn finish(&self, accepted: Result<Claim, Refusal>, item: T) -> Result<Option<T>, SendError<T>> {
        match accepted {
            Ok(claim) => {
                self.shared.push(claim, item, false);
                Ok(None)
            }
            Err(Refusal::Closed) => Err(SendError::Closed(item)),
            Err(Refusal::Full | Refusal::Reserved) => {
                self.shared.counts.refused(1);
                Err(SendError::Full(item))
            }
        }
    }
}

impl<P: Primitives, T: Send> Shared<P, T> {
    fn counters(&self) -> Counters {
        let mut received = 0;
        let depth = self.credits.claimed_since(|| {
            received = self.queue.received().get();
            received.wrapping_add(self.counts.evictions())
        });
        self.counts.read(received, depth, self.credits.capacity() as u64)
    }

    /// Returns how many items are accepted and not received: those that are received after this has
    /// begun are counted, too.
    fn len(&self) -> usize {
        let gone = || self.queue.received().get().wrapping_add(self.counts.evictions());
        self.credits.claimed_since(gone) as usize
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
        // closing, hence before the receiver's `Closed`.
        if self.shared.senders.fetch_sub(1, AcqRel) == 1 {
            self.shared.close(false);
        }
    }
}

/// The end that receives. One thread at a time uses it (it can be moved but not shared).
pub struct Receiver<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    /// Credits that are not returned yet (I4). It also makes this end not `Sync` (I3).
    hand: Cell<Hand>,
    pace: Pace,
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Blocks until there is an item, and returns the oldest.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    #[inline]
    pub fn recv(&self) -> Result<T, Closed> {
        if self.shared.on_full == OnFull::EvictOldest {
            return self.shared.not_empty.wait_until(|| self.poll());
        }
        let shared = &*self.shared;
        let ready = self.pace.paced::<P, _>(
            shared.capacity(),
            || shared.queue.received().get(),
            || self.ready(),
        );
        let front = self.shared.not_empty.wait_until(ready)?;
        Ok(self.receive(front))
    }

    /// Returns the oldest item if there is one. Does not block.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`], or [`TryRecvError::Closed`] when nothing more can come.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mark = P::mark();
        loop {
            match self.poll() {
                Some(Ok(item)) => return Ok(item),
                Some(Err(Closed)) => return Err(TryRecvError::Closed),
                None if !self.shared.is_busy() => return Err(TryRecvError::Empty),
                None => P::yield_now(),
            }
            P::rewind(mark);
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

    /// Reserves a reply slot; `None` if all slots are in use, by a permit or by a queued reply. The
    /// holder of the permit can answer without blocking, even after `close`. Does not block.
    #[must_use]
    pub fn permit(&self) -> Option<Permit<P, T>> {
        self.shared.release(&self.hand);
        let reserved = self.shared.credits.take_permit();
        reserved.then(|| Permit::new(self.shared.clone()))
    }

    fn poll(&self) -> Option<Result<T, Closed>> {
        self.shared.poll(&self.hand)
    }

    /// Returns that there is an item, or that nothing more can come; `None` means wait. It must not
    /// be used where there are evictors.
    #[inline]
    fn ready(&self) -> Option<Result<Front<P, T>, Closed>> {
        match self.shared.queue.front() {
            Some(front) => Some(Ok(front)),
            None => self.shared.ended(&self.hand).then_some(Err(Closed)),
        }
    }

    /// Takes what `ready` has found.
    #[inline]
    fn receive(&self, front: Front<P, T>) -> T {
        let item = self.shared.take_front(&self.hand, &front);
        self.shared.release_batch(&self.hand);
        item
    }
}

impl<P: Primitives, T: Send> Drop for Receiver<P, T> {
    fn drop(&mut self) {
        if P::reporting() {
            return;
        }
        self.shared.close(true);
        self.shared.not_empty.wait_until(|| {
            while let Some(item) = self.shared.take(&self.hand) {
                P::contain(|| drop(item));
            }
            self.shared.release(&self.hand);
            (self.shared.credits.queued() == (0, 0)).then_some(())
        });
    }
}

ends!("mailbox");
opaque_debug!("mailbox"; Permit, SendPermit);
unwind_safe!(Permit, SendPermit);

#[cfg(test)]
mod tests;
