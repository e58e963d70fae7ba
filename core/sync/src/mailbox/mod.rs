//! A bounded mailbox: many senders, one receiver, a policy on full, an orderly end.
//!
//! **Contract.** Items are received in the order in which they were accepted from each sender, each
//! exactly once. The capacity bounds the requests; replies have slots of their own, reserved before
//! the question is asked ([`Receiver::permit`]), so that answering never blocks and two services
//! that write to each other cannot block each other in a circle. Nodes are recycled, within a bound
//! (`nodes`).
//!
//! | call | when full | blocks | woken by |
//! |---|---|---|---|
//! | `send`, `send_batch`, [`OnFull::Block`] | waits | until accepted or closed | items received, see below; close |
//! | the same, [`OnFull::Refuse`] | `Full(item)`; the rest stays in the batch | no | - |
//! | the same, [`OnFull::EvictOldest`] | returns the oldest request | no (it yields while the oldest is between two instructions of its sender, and now and then to the receiver) | - |
//! | `try_send`, `try_send_batch` | as with `Refuse`, or evicts | no | - |
//! | `send_timeout`, `send_deadline` | as `send`, then `Timeout(item)` | at most the time given | as `send` |
//! | `Permit::send`, `SendPermit::send` | cannot be | no | - |
//! | `reserve`, [`OnFull::Block`] | waits | until a place is kept or closed | as `send`; the drop of a `SendPermit` |
//! | `reserve` otherwise, `try_reserve` | `Full` | no | - |
//! | `recv`, `recv_batch`; `recv_timeout`, `recv_deadline` | | until an item is there, or nothing more can come; at most the time given | each item accepted; close; the end of senders and permits |
//! | `try_recv`, `drain` | | no (they yield while an item is being linked) | - |
//! | `closed`, `closed_timeout`, `closed_deadline` | | until closed; at most the time given | close |
//! | `send_async`, `send_batch_async`, `reserve_async`, `recv_async`, `recv_batch_async`, `closed_async` | as without `_async` | the task, not its thread | as without `_async` |
//!
//! **Credits come back in batches.** Every send takes a credit from one word. The receiver returns
//! credits by the batch, and wakes blocked senders once per batch, so that the two sides do not
//! fight over the word for every item. With [`OnFull::Block`] and a capacity from 16 on, a batch is
//! an eighth of the capacity: fewer than that many places may be free and not yet given back, so a
//! send may find the mailbox full a little early, and a blocked sender is woken a little late.
//! Nothing stays behind: the receiver returns all it has before it says that the mailbox is empty,
//! before it sleeps, at the end of `drain` and `recv_batch`, before it reserves a permit, and in
//! its drop. A receiver that takes an item and then waits for something else than this mailbox does
//! keep up to a batch less one. With the other policies, and below 16, each credit returns at once.
//!
//! **The end.** `close` (by any side), or the drop of the last sender: from then on no request is
//! accepted (it comes back as `Closed(item)`), every accepted one is still received, permits of
//! both kinds that are out still deliver, and only when all of this is through does `recv` return
//! [`Closed`]. The drop of the receiver closes, drops what was accepted and makes the `send` of
//! permits fail; it waits for senders that have been accepted and are about to link (a few
//! instructions of theirs), and for no permit.
//!
//! **Reserved places.** A [`SendPermit`] keeps a place of the capacity for one request, at most
//! 255 of them at once. It stands in no line: its item is accepted when it is sent, behind what
//! was accepted before. A place that is kept cannot be evicted; a mailbox all of whose places are
//! kept answers `Full` whatever its policy.
//!
//! **Fairness.** Items are received in the order in which they were accepted, so no accepted item
//! starves. Blocked senders are woken one for each credit that comes back: of tasks the one that
//! has waited longest, of threads the one that the kernel chooses (Linux: of the same priority the
//! one that has slept longest; nobody promises it), one of each kind where both wait. A sender that
//! is woken asks for a credit like any other: one that has not slept may take it first, and the
//! sender sleeps again, behind the others. So whenever credits come back some sender goes on, but
//! there is no bound on how often a single one is overtaken. Whoever needs a bound reserves, or
//! has a mailbox of its own in a [select](crate::select), which is fair by budgets.
//!
//! **Invariants.**
//! - I1 What is accepted, and when nothing more can come, is decided by one word: see `credits`,
//!   C1-C3.
//! - I2 An accepted item (of a batch: all that are accepted with it) is linked before its sender
//!   does anything else, and the receiver is notified after the link. So the receiver may sleep on
//!   a queue that is busy (see `queue`).
//! - I3 The consumer's side of the queue is touched by the receiver, which is one thread at a time;
//!   with `EvictOldest`, by whoever holds the `consumer` lock. The lock is never held across a
//!   wait.
//! - I4 The receiver withholds at most `batch - 1` credits, and none when it returns `None` from a
//!   look that may be followed by sleep. Returned credits are followed by as many wake-ups on
//!   `not_full`.
//! - I5 An evictor is accepted when it finds the mailbox full and open in one read-modify-write; it
//!   holds the consumer's lock, so the oldest request is its to take, and that one's credit its to
//!   keep. Replies in front of it move to a side list, from which the receiver takes first.
//! - I6 After the receiver's drop nothing accepted is left: accepting and `gone` are ordered by the
//!   same word (C2), and the drop waits until all that was accepted has been linked.
//!
//! **Memory order.** An item is handed over by its link (`queue`); sleeping and waking by the
//! notifier's fences; the end by the credit word. This file has one ordering of its own, at the
//! sender count.

mod batch;
mod credits;
mod evict;
mod nodes;
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

use crossbeam_utils::CachePadded;

use crate::counters::{Counts, Figure};
use crate::ends::{ends, opaque_debug, unwind_safe};
use crate::notifier::EventNotifier;
use crate::primitives::Ordering::{AcqRel, Relaxed};
use crate::primitives::{Atomic, Mutex, Primitives};
use crate::spin::Pace;
use credits::{Answer, Credits};
use evict::{Aside, Eviction};
use nodes::Stash;
pub use permit::Permit;
use queue::{Front, Queue};
pub use reserve::SendPermit;

/// An item on its way, and whether it occupies a reply slot.
struct Envelope<T> {
    item: T,
    reply: bool,
}

struct Shared<P: Primitives, T: Send> {
    queue: Queue<P, Envelope<T>>,
    credits: CachePadded<Credits<P>>,
    /// The receiver sleeps on it; it may serve several mailboxes.
    not_empty: P::Arc<EventNotifier<P>>,
    /// Blocked senders sleep on it.
    not_full: EventNotifier<P>,
    /// Senders sleep on it that wait for the closing alone.
    closing: EventNotifier<P>,
    /// Live senders; the last one closes.
    senders: P::AtomicUsize,
    /// The right to take from the queue, where there are evictors (I3).
    consumer: P::Mutex<Aside<T>>,
    on_full: OnFull,
    /// How many credits the receiver withholds at most, and 1 (I4).
    batch: u64,
    /// Items received whose credits are returned (I4).
    released: Figure,
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
    let shared = P::arc(Shared {
        queue: Queue::new(capacity),
        credits: CachePadded::new(Credits::new(capacity, replies)),
        not_empty: notifier,
        not_full: EventNotifier::new(),
        closing: EventNotifier::new(),
        senders: Atomic::new(1),
        consumer: Mutex::new(Aside::default()),
        on_full,
        batch: match on_full {
            OnFull::Block => (capacity as u64 / 8).max(1),
            OnFull::Refuse | OnFull::EvictOldest => 1,
        },
        counts: Counts::default(),
        released: Figure::default(),
    });
    (
        Sender::new(shared.clone()),
        Receiver { shared, withheld: Cell::default(), pace: Pace::default() },
    )
}

impl<P: Primitives, T: Send> Shared<P, T> {
    /// Links an item that has been accepted, then notifies (I2).
    #[inline]
    fn link(&self, stash: &Stash<P, Envelope<T>>, item: T, depth: u64) {
        self.counts.depth_seen(depth);
        self.queue.push(stash, Envelope { item, reply: false });
        self.not_empty.notify_one();
    }

    /// The same for an item whose place was kept, by a sender that comes once.
    fn link_once(&self, item: T, reply: bool, depth: u64) {
        self.counts.depth_seen(depth);
        self.queue.push_once(Envelope { item, reply });
        self.not_empty.notify_one();
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
        self.credits.capacity() as usize
    }

    fn is_full(&self) -> bool {
        self.credits.is_full()
    }

    fn senders_are_gone(&self) -> bool {
        // ORDERING: none needed, a look at a count that stays at zero.
        self.senders.load(Relaxed) == 0 && self.credits.permits_out() == 0
    }

    fn receivers_are_gone(&self) -> bool {
        self.credits.is_gone()
    }

    /// Returns whether an item is about to be linked. Receiver only.
    fn is_busy(&self) -> bool {
        let _consumer = (self.on_full == OnFull::EvictOldest).then(|| self.consumer.lock());
        self.queue.is_busy()
    }

    /// Returns the oldest item, or that nothing more can come; `None`: wait. Receiver only, like
    /// all that have a `hand`, which is the receiver's.
    fn poll(&self, hand: &Cell<Withheld>) -> Option<Result<T, Closed>> {
        match self.take(hand) {
            Some(item) => {
                self.release_batch(hand);
                Some(Ok(item))
            }
            None => self.ended(hand).then_some(Err(Closed)),
        }
    }

    /// Takes the oldest item that is linked, and keeps its credit.
    fn take(&self, hand: &Cell<Withheld>) -> Option<T> {
        let envelope = if self.on_full == OnFull::EvictOldest {
            self.take_locked()
        } else {
            self.queue.front().map(|front| self.queue.pop(front))
        };
        envelope.map(|envelope| self.count(hand, envelope))
    }

    /// Counts an item that has been taken.
    #[inline]
    fn count(&self, hand: &Cell<Withheld>, Envelope { item, reply }: Envelope<T>) -> T {
        let Withheld { requests, replies } = hand.get();
        let (request, reply) = (u32::from(!reply), u32::from(reply));
        hand.set(Withheld { requests: requests + request, replies: replies + reply });
        self.counts.received_by_one(1);
        item
    }

    /// Takes the items that are linked, at most `max`, and returns their credits.
    fn drain(&self, hand: &Cell<Withheld>, items: &mut Vec<T>, max: usize) -> usize {
        let mut count = 0;
        while count < max
            && let Some(item) = self.take(hand)
        {
            items.push(item);
            count += 1;
        }
        self.release(hand);
        count
    }

    /// Returns whether nothing more can come, after the queue has been found empty.
    fn ended(&self, hand: &Cell<Withheld>) -> bool {
        self.release(hand);
        self.credits.is_finished()
    }

    /// Returns the credits if there is a batch of them.
    #[inline]
    fn release_batch(&self, hand: &Cell<Withheld>) {
        let Withheld { requests, replies } = hand.get();
        if u64::from(requests + replies) >= self.batch {
            self.release(hand);
        }
    }

    /// Returns all credits that are withheld, and wakes who waits for them (I4).
    fn release(&self, hand: &Cell<Withheld>) {
        let Withheld { requests, replies } = hand.take();
        if requests + replies == 0 {
            return;
        }
        self.released.add(u64::from(requests + replies));
        self.credits.release(requests.into(), replies.into());
        if self.on_full == OnFull::Block && requests > 0 {
            self.not_full.notify_many(requests);
        }
    }
}

/// The end that sends. Clone it for every sender; when all are dropped, the mailbox closes.
pub struct Sender<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    stash: Stash<P, Envelope<T>>,
}

impl<P: Primitives, T: Send> Sender<P, T> {
    fn new(shared: P::Arc<Shared<P, T>>) -> Self {
        Self { shared, stash: Stash::new() }
    }

    /// Sends as the policy says. `Some` is the request that was evicted to make room.
    /// Blocks only with [`OnFull::Block`], until an item is received or the mailbox closes.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`OnFull::Refuse`]; [`SendError::Closed`].
    pub fn send(&self, item: T) -> Result<Option<T>, SendError<T>> {
        if self.shared.on_full != OnFull::Block {
            return self.try_send(item);
        }
        let answer = self.shared.not_full.wait_until(|| self.accept());
        self.finish(answer, item)
    }

    /// Sends without blocking: with [`OnFull::Block`] as if the policy were to refuse.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`].
    pub fn try_send(&self, item: T) -> Result<Option<T>, SendError<T>> {
        let answer = self.shared.credits.accept();
        if answer != Answer::Full || self.shared.on_full != OnFull::EvictOldest {
            return self.finish(answer, item);
        }
        match self.shared.accept_or_evict() {
            Ok(Eviction { evicted, depth, yields }) => {
                let result = self.finish(Answer::Accepted(depth), item);
                if yields {
                    P::yield_now();
                }
                result.map(|_| evicted)
            }
            Err(answer) => self.finish(answer, item),
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
            Some(answer) => self.finish(answer, item),
            None => {
                self.shared.counts.refused(1);
                Err(SendError::Timeout(item))
            }
        }
    }

    /// Asks for a credit; `None` means wait.
    fn accept(&self) -> Option<Answer> {
        Some(self.shared.credits.accept()).filter(|&answer| answer != Answer::Full)
    }

    /// Sends plain data like [`Sender::try_send`] into a mailbox that evicts, but notifies nobody:
    /// that is for the caller to do, by what is returned, once it has released its lock.
    pub(crate) fn put(&self, item: T) -> Result<P::Arc<EventNotifier<P>>, Closed>
    where
        T: Copy,
    {
        let Eviction { depth, .. } = self.shared.accept_or_evict().map_err(|_| Closed)?;
        self.shared.counts.depth_seen(depth);
        self.shared.queue.push(&self.stash, Envelope { item, reply: false });
        Ok(self.shared.not_empty.clone())
    }

    fn finish(&self, answer: Answer, item: T) -> Result<Option<T>, SendError<T>> {
        match answer {
            Answer::Accepted(depth) => {
                self.shared.link(&self.stash, item, depth);
                Ok(None)
            }
            Answer::Closed => Err(SendError::Closed(item)),
            Answer::Full | Answer::Reserved => {
                self.shared.counts.refused(1);
                Err(SendError::Full(item))
            }
        }
    }
}

impl<P: Primitives, T: Send> Shared<P, T> {
    fn counters(&self) -> Counters {
        let (requests, replies) = self.credits.queued();
        let mut counters = self.counts.read(0, self.credits.capacity());
        let withheld = counters.received.saturating_sub(self.released.get());
        counters.depth = (requests + replies).saturating_sub(withheld);
        counters.sent += counters.depth;
        counters
    }
}

impl<P: Primitives, T: Send> Clone for Sender<P, T> {
    fn clone(&self) -> Self {
        // ORDERING: none needed: the sender that is cloned is alive.
        self.shared.senders.fetch_add(1, Relaxed);
        Self::new(self.shared.clone())
    }
}

impl<P: Primitives, T: Send> Drop for Sender<P, T> {
    fn drop(&mut self) {
        if !P::reporting() {
            self.stash.empty_into(self.shared.queue.cache());
        }
        // ORDERING: pairs with itself in the other senders: what they did happens before the
        // closing, hence before the receiver's `Closed`.
        if self.shared.senders.fetch_sub(1, AcqRel) == 1 {
            self.shared.close(false);
        }
    }
}

/// The end that receives: one thread at a time (it can be moved, not shared).
pub struct Receiver<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    /// Credits that are not returned yet (I4). It also makes this end not `Sync` (I3).
    withheld: Cell<Withheld>,
    pace: Pace,
}

/// Items taken whose credits are not returned.
#[derive(Clone, Copy, Default)]
struct Withheld {
    requests: u32,
    replies: u32,
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
        let ready = self.pace.paced::<P, _>(|| self.shared.counts.taken(), || self.ready());
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

    /// Reserves a reply slot; `None` if all are out or queued. The holder of the permit can answer
    /// without blocking, even after `close`. Does not block.
    #[must_use]
    pub fn permit(&self) -> Option<Permit<P, T>> {
        self.shared.release(&self.withheld);
        let reserved = self.shared.credits.take_permit();
        reserved.then(|| Permit::new(self.shared.clone()))
    }

    fn poll(&self) -> Option<Result<T, Closed>> {
        self.shared.poll(&self.withheld)
    }

    /// Returns that there is an item, or that nothing more can come; `None`: wait. Not where there
    /// are evictors.
    #[inline]
    fn ready(&self) -> Option<Result<Front<P, Envelope<T>>, Closed>> {
        match self.shared.queue.front() {
            Some(front) => Some(Ok(front)),
            None => self.shared.ended(&self.withheld).then_some(Err(Closed)),
        }
    }

    /// Takes what `ready` has found.
    #[inline]
    fn receive(&self, front: Front<P, Envelope<T>>) -> T {
        let item = self.shared.count(&self.withheld, self.shared.queue.pop(front));
        self.shared.release_batch(&self.withheld);
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
            while self.shared.take(&self.withheld).is_some() {}
            self.shared.release(&self.withheld);
            (self.shared.credits.queued() == (0, 0)).then_some(())
        });
    }
}

ends!("mailbox");
opaque_debug!("mailbox"; Permit, SendPermit);
unwind_safe!(Permit, SendPermit);

#[cfg(test)]
mod tests;
