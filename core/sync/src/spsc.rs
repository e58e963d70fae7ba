//! A bounded ring: one sender, one receiver, and no lock or read-modify-write on an item's path.
//!
//! **Contract.** Items are received in the order in which they were accepted, each exactly once. A
//! ring of `capacity` places, at least 1, holds `capacity` items. It allocates all its places at
//! once, and nothing afterwards.
//!
//! | call | when full | blocks | woken by |
//! |---|---|---|---|
//! | `send`, `send_batch`, [`Backpressure::Block`] | waits | until accepted or closed | items received; close |
//! | the same, [`Backpressure::Refuse`] | `Full(item)`; the rest stays in the batch | no | - |
//! | `try_send`, `try_send_batch` | as with `Refuse` | no | - |
//! | `send_timeout`, `send_deadline` | as `send`, then `Timeout(item)` | at most the time given | as `send` |
//! | `recv`, `recv_batch`; `recv_timeout`, `recv_deadline` | | until an item is there, or nothing more can come; at most the time given | items accepted; close |
//! | `try_recv`, `drain` | | no | - |
//! | `closed`, `closed_timeout`, `closed_deadline` | | until closed; at most the time given | close |
//! | `send_async`, `send_batch_async`, `recv_async`, `recv_batch_async`, `closed_async` | as without `_async` | the task, not its thread | as without `_async` |
//!
//! A batch publishes its index once and notifies once. A received batch is what was there when the
//! receiver looked; all its places become free once it has been taken. A ring has no policy of
//! evicting the oldest item: only the receiver moves `head`, and a sender that took items out would
//! race with it. Hence the type [`Backpressure`], which lacks that policy; the mailbox can evict.
//!
//! **Fairness, and reserving.** There is only one sender: nobody takes the place that it waits for,
//! and the first place that is given back wakes it. For the same reason a ring has no permits: the
//! room that the sender has seen stays until it sends. So after `is_full` has returned `false` to
//! the sender, its next `try_send` does not return `Full`.
//!
//! **The end.** The ring closes when either end calls `close` or is dropped. From then on no item
//! is accepted (it is returned as `Closed(item)`). Every accepted item can still be received, and
//! then the receiver gets [`Closed`]. Dropping the receiver drops the items that were accepted and
//! not received, each once; the panic of a destructor is contained, so it keeps no later item.
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
//! | `end` | meaning | who changes it, and to what |
//! |---|---|---|
//! | `OPEN` | items are accepted | the sender, to its `tail`; the receiver, to `CLOSING` |
//! | `CLOSING` | the receiver asks which item is the last | the receiver, to the `tail` that it then reads; the sender, to the `tail` that it has just published |
//! | an index | the items before it are accepted; no others will be | nobody |
//!
//! **Invariants.**
//! - I1 Indices are in [0, 2*capacity), and `tail - head`, modulo 2*capacity, is in [0, capacity].
//!   The places from `head` to `tail` hold items; the others hold nothing.
//! - I2 The place at `tail` is the sender's until `tail` has moved past it. The place at `head` is
//!   the receiver's until `head` has moved past it. Each side moves only its own index, and only
//!   after its access to the place.
//! - I3 The index that a side has last seen of the other is never ahead of it, but may lag behind.
//!   So the sender may notice room late, and the receiver items. Each looks again before it reports
//!   full or empty.
//! - I4 The sender publishes only after it has read `OPEN`. Then it passes fence (N), and only then
//!   looks at `end` again. `OPEN` or its own new index means that the items are accepted. If it
//!   finds `CLOSING`, it proposes its new index. Any other index lies before what it has published,
//!   so it takes the items back.
//! - I5 The receiver reads `tail` after it has read `OPEN` in `end`, and once more at `CLOSING`.
//!   When `end` is an index, it uses that in place of `tail`. So it never touches items that the
//!   sender takes back.
//! - I6 `end` becomes an index only once. A receiver that has read the index and taken all items
//!   before it returns `Closed`; by I4 nothing beyond was accepted.
//! - I7 Foreign code runs as the last step of each operation: wakers run after the items are
//!   accepted or taken back, or after the places are given back. A waker may use the same end,
//!   since the end is used by reference. It then finds no operation half done, and no operation
//!   that began earlier acts on what the waker has changed.
//! - I8 Every notification is for all that are registered. A side is one thread, but it may have
//!   several tasks that wait by reference (two streams, or a wait for the end beside another), and
//!   each of them may wait for something else (R1 of the notifier). Nor does a future that was
//!   forgotten take the wake-up of a later one: its stale entry leaves the list with the next
//!   notification. So a list has no more stale entries than futures were forgotten since its last
//!   notification (with `Refuse`, the sender's list is notified at the close alone). Closing
//!   notifies both sides.
//!
//! **Memory order.** Two pairs hand the places over: `tail` (release, acquire) with the items,
//! `head` (release, acquire) with the places freed. A sender that closes releases its items with
//! its index in `end`.
//!
//! When the receiver closes, an item may be published at the same moment, and both sides must agree
//! whether it is accepted. Two SeqCst fences stand between writing and looking: in the sender the
//! notifier's fence (N), between `tail` and `end`; in the receiver the fence in `close`, between
//! `CLOSING` and its look at `tail`. If (N) comes first, the receiver reads the new `tail`, and the
//! item lies before any index that `end` can become. If the receiver's fence comes first, the
//! sender reads `CLOSING` or the index, and both sides abide by the one exchange that takes `end`
//! from `CLOSING`. The sender's exchange is relaxed: fence (N), before it, is its release half.
//!
//! So as long as the sender has seen enough room, an item costs it a store to its own line, two
//! loads of a line that nobody writes, and the notifier's fence and load.
//!
//! Reference: L. Lamport, *Specifying Concurrent Program Modules* (1983), for the ring; P. P. C.
//! Lee, T. Bu and G. Chandranmenon, *A Lock-Free, Cache-Efficient Multi-Core Synchronization
//! Mechanism for Line-Rate Network Traffic Monitoring* (2010), for the copy of the other's index
//! that each side keeps.

mod ring;
mod task;

use core::marker::PhantomData;
use core::time::Duration;

use crate::ends::ends;
use crate::error::{Closed, RecvTimeoutError, SendError, TryRecvError};
use crate::notifier::EventNotifier;
use crate::policy::Backpressure;
use crate::primitives::Primitives;
use ring::Shared;

/// The largest capacity.
pub const MAX_CAPACITY: usize = (1 << 30) - 1;

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

/// Returns a ring like [`spsc`], whose receiver is woken through `notifier`. Several channels *of
/// one receiving thread* may share one: see [`crate::mailbox::mailbox_on`].
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
    let shared = P::arc(Shared::new(notifier, capacity, on_full));
    let sender = Sender { shared: shared.clone(), one_thread: PhantomData };
    (sender, Receiver { shared, one_thread: PhantomData })
}

/// The end that sends. One thread at a time uses it (it can be moved but not shared). Dropping it
/// closes the ring.
pub struct Sender<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    /// Not `Sync` (I2).
    one_thread: PhantomData<core::cell::Cell<()>>,
}

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends as the policy says. Blocks only with [`Backpressure::Block`], until an item is
    /// received or the ring closes.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`Backpressure::Refuse`]; [`SendError::Closed`].
    #[inline]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        if self.shared.has_room() { self.shared.send(item) } else { self.send_after_a_look(item) }
    }

    #[cold]
    #[inline(never)]
    fn send_after_a_look(&self, item: T) -> Result<(), SendError<T>> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_send(item);
        }
        match self.shared.wait_for_room(1) {
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
        match self.shared.wait_for_room_until(1, deadline) {
            Some(Ok(_)) => self.shared.send(item),
            Some(Err(Closed)) => Err(SendError::Closed(item)),
            None => {
                self.shared.sending.refused.add(1);
                Err(SendError::Timeout(item))
            }
        }
    }

    /// Sends items from the front of the vector as the policy says, and returns how many: with
    /// [`Backpressure::Block`] all of them, with `Refuse` as many as there is room for. Items that
    /// are not accepted stay in the vector. Each time that the call has filled the ring, it
    /// notifies the receiver once and moves the rest of the vector forward; in between it blocks
    /// like [`Sender::send`].
    ///
    /// # Errors
    /// [`Closed`] if the ring is or becomes closed; the items that were not accepted are in the
    /// vector.
    pub fn send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        if self.shared.on_full == Backpressure::Refuse || items.is_empty() {
            return self.try_send_batch(items);
        }
        let mut sent = 0;
        while !items.is_empty() {
            let room = self.shared.wait_for_room(items.len())?;
            sent += self.shared.send_first(items, room.min(items.len()))?;
        }
        Ok(sent)
    }

    /// Sends as many items from the front of the vector as there is room for, without blocking, and
    /// returns how many. The others stay in the vector; they count as refused.
    ///
    /// # Errors
    /// [`Closed`] if the ring is closed; the vector is unchanged.
    pub fn try_send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        let room = self.shared.room(items.len().min(self.shared.capacity()))?;
        let count = room.min(items.len());
        self.shared.sending.refused.add((items.len() - count) as u64);
        if count == 0 { Ok(0) } else { self.shared.send_first(items, count) }
    }
}

impl<P: Primitives, T: Send> Drop for Sender<P, T> {
    fn drop(&mut self) {
        self.shared.sending.leave();
        self.shared.close_by_sender();
    }
}

/// The end that receives. One thread at a time uses it (it can be moved but not shared). Dropping
/// it closes the ring and drops what is in it.
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
        if !self.shared.has_item() {
            self.look()?;
        }
        Ok(self.shared.receive())
    }

    #[cold]
    #[inline(never)]
    fn look(&self) -> Result<usize, Closed> {
        self.shared.wait_for_items(1)
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
        self.recv_deadline(P::now().saturating_add(timeout))
    }

    /// Blocks like [`Receiver::recv`], until [`Primitives::now`] is about `deadline`.
    ///
    /// # Errors
    /// As [`Receiver::recv_timeout`].
    pub fn recv_deadline(&self, deadline: Duration) -> Result<T, RecvTimeoutError> {
        match self.shared.wait_for_items_until(1, deadline) {
            Some(Ok(_)) => Ok(self.shared.receive()),
            Some(Err(Closed)) => Err(RecvTimeoutError::Closed),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    fn poll(&self) -> Option<Result<T, Closed>> {
        self.shared.poll()
    }

    /// Blocks until there is an item, appends all items that are there, at most `max`, and returns
    /// how many. It wakes the sender once.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    pub fn recv_batch(&self, items: &mut Vec<T>, max: usize) -> Result<usize, Closed> {
        if max == 0 {
            return Ok(0);
        }
        let ready = self.shared.wait_for_items(max)?;
        Ok(self.shared.receive_all(items, ready.min(max)))
    }

    /// Appends the items that are there, at most `max`, and returns how many. Does not block; wakes
    /// the sender once.
    pub fn drain(&self, items: &mut Vec<T>, max: usize) -> usize {
        let ready = self.shared.ready(max.min(self.shared.capacity())).unwrap_or(0);
        self.shared.receive_all(items, ready.min(max))
    }
}

impl<P: Primitives, T: Send> Drop for Receiver<P, T> {
    fn drop(&mut self) {
        if P::reporting() {
            return;
        }
        self.shared.receiving.leave();
        self.shared.close_by_receiver();
        while let Ok(item) = self.try_recv() {
            P::contain(|| drop(item));
        }
    }
}

ends!("spsc");

#[cfg(test)]
mod tests;
