//! Mailbox: many senders, one receiver, a capacity, and reserved slots for replies.
//!
//! **Contract.** First in, first out per sender. At most `capacity` items of senders are held; what
//! happens to one more is the mailbox's [`OnFull`] policy. Besides, the receiver can give out at most
//! `replies` [`Permit`]s: each is a slot that is held free, so that an answer can always be sent without
//! blocking (HAZARDS M8). After [`Sender::close`] nothing more is accepted, everything accepted is
//! received, and then the receiver is told (M5). Items come back inside errors; none is lost in silence.
//!
//! ```text
//!   head (receiver)                                  tail (senders)
//!    │                                                │
//!    v                                                v
//!   [stub] ──next──> [item] ──next──> [item]   ...   [item]       swap(tail) ; previous.next = node
//!                                          ^^^ not linked yet: "busy", neither empty nor item
//! ```
//!
//! | bits of `state` | meaning |
//! |---|---|
//! | 0 | closed: no sender gets a slot any more |
//! | 1 | gone: the receiver was dropped |
//! | 2..32 | permits given out, plus replies queued |
//! | 32..63 | slots taken by senders: items queued, or about to be |
//!
//! **Invariants.**
//! - I1 A node is linked only by who took a slot or holds a permit, and the slot is given back only after
//!   the item was taken out. So `state == CLOSED` means: no item is queued, on its way, or can come.
//! - I2 `head` and the items behind it are touched under the consumer lock; the lock is never held across
//!   a wait. A node's item is written before the node is linked, and taken once.
//! - I3 The receiver is notified after the link, never between the swap and the link (M3). It sleeps on
//!   "busy" as on "empty": the sender that is about to link will notify.
//! - I4 Who links after the receiver is gone drains the queue itself, so that no reply inside it is kept
//!   from being dropped by a handle that happens to live (M6, M10).
//!
//! **Memory order.** `next` is stored with release and loaded with acquire: the item and the node's own
//! `next` are visible to who follows the link. `tail` is swapped with acquire-release: a sender writes
//! into a node that another has initialised. Slots are taken with acquire and given back with release on
//! `state`. Sleeping is the notifier's business. For I4, link and "gone" are a store-buffering pair: the
//! fence of the notification stands between link and look, another one between "gone" and the drain.
//!
//! Reference: D. Vyukov, "Non-intrusive MPSC node-based queue", 1024cores.net.

use core::time::Duration;
use std::fmt;
use std::ptr;

use crossbeam_utils::CachePadded;

use crate::notifier::EventNotifier;
use crate::primitives::{Atomic, AtomicPtr, Cell, Mutex, Ordering, Primitives};

const CLOSED: u64 = 1;
const GONE: u64 = 1 << 1;
const REPLY: u64 = 1 << 2;
const SLOT: u64 = 1 << 32;

/// What a mailbox does with an item that finds it full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFull {
    /// The sender waits for a slot.
    Block,
    /// The sender gets the item back.
    Refuse,
    /// The oldest item makes room and is given to the sender. If the oldest is not linked yet, because
    /// another sender is between two instructions, the new item is refused instead.
    EvictOldest,
}

/// Why an item was not accepted; it is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendError<T> {
    /// The mailbox is full.
    Full(T),
    /// The mailbox is closed, or its receiver gone.
    Closed(T),
    /// No slot came free in time.
    Timeout(T),
}

impl<T> SendError<T> {
    /// Returns the item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) | Self::Timeout(item) => item,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::Full(_) => "the mailbox is full",
            Self::Closed(_) => "the mailbox is closed",
            Self::Timeout(_) => "no slot came free in time",
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl<T> std::error::Error for SendError<T> {}

/// Why no item was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// None is there now.
    Empty,
    /// None is there and none will come.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the mailbox is empty",
            Self::Closed => "the mailbox is closed and empty",
        })
    }
}

impl std::error::Error for TryRecvError {}

/// The mailbox is closed and empty, and no permit is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mailbox is closed and empty")
    }
}

impl std::error::Error for Closed {}

/// Depth and totals, each read on its own without a lock: exact when the mailbox is at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Slots taken now: items queued or about to be, replies not counted.
    pub depth: u64,
    /// Slots there are.
    pub capacity: u64,
    /// Items accepted, replies included.
    pub sent: u64,
    /// Items received.
    pub received: u64,
    /// Items that came back because the mailbox was full.
    pub refused: u64,
    /// Items that made room for newer ones.
    pub evicted: u64,
    /// The largest depth so far.
    pub high_water: u64,
}

/// Which kind of slot an item came in by.
#[derive(Clone, Copy)]
enum Credit {
    Slot,
    Reply,
}

struct Node<P: Primitives, T: Send> {
    next: P::AtomicPtr<Node<P, T>>,
    /// `None` in the stub: the node whose item was taken last.
    item: P::Cell<Option<(T, Credit)>>,
}

/// What the consumer lock protects.
struct Consumer<P: Primitives, T: Send> {
    head: *mut Node<P, T>,
}

// SAFETY: the pointer is owned by the mailbox; by I2 who holds the lock alone follows it.
unsafe impl<P: Primitives, T: Send> Send for Consumer<P, T> {}

enum Pop<T> {
    Item(T, Credit),
    Empty,
    Busy,
}

struct Inner<P: Primitives, T: Send> {
    tail: CachePadded<P::AtomicPtr<Node<P, T>>>,
    state: CachePadded<P::AtomicU64>,
    consumer: P::Mutex<Consumer<P, T>>,
    not_empty: P::Arc<EventNotifier<P>>,
    not_full: EventNotifier<P>,
    senders: P::AtomicUsize,
    capacity: u64,
    replies: u64,
    on_full: OnFull,
    sent: P::AtomicU64,
    received: P::AtomicU64,
    refused: P::AtomicU64,
    evicted: P::AtomicU64,
    high_water: P::AtomicU64,
}

// SAFETY: items are handed from thread to thread, hence `T: Send`; by I2 each is touched by its sender
// before the link and under the consumer lock afterwards.
unsafe impl<P: Primitives, T: Send> Sync for Inner<P, T> {}
// SAFETY: as above.
unsafe impl<P: Primitives, T: Send> Send for Inner<P, T> {}

/// A sending end; the mailbox closes when the last one is dropped.
pub struct Sender<P: Primitives, T: Send>(P::Arc<Inner<P, T>>);

/// The receiving end.
pub struct Receiver<P: Primitives, T: Send>(P::Arc<Inner<P, T>>);

/// A reserved slot: one item can be sent without blocking, also after the mailbox was closed.
#[must_use = "dropping a permit gives the slot back and sends nothing"]
pub struct Permit<P: Primitives, T: Send>(Option<P::Arc<Inner<P, T>>>);

/// Returns the two ends of a new mailbox.
///
/// # Panics
/// If `capacity` is 0 or does not fit 30 bits, if `replies` does not, or if replies are wanted of a mailbox
/// that evicts (an answer must not be evicted).
///
/// # Examples
/// ```
/// use blocksmith_sync::mailbox::{self, OnFull, SendError};
/// use blocksmith_sync::Std;
/// let (sender, receiver) = mailbox::mailbox::<Std, u32>(1, 0, OnFull::Refuse);
/// assert_eq!(sender.send(1), Ok(None));
/// assert_eq!(sender.send(2), Err(SendError::Full(2)));
/// sender.close();
/// assert_eq!(receiver.recv(), Ok(1));
/// assert!(receiver.recv().is_err());
/// ```
#[must_use]
pub fn mailbox<P: Primitives, T: Send>(
    capacity: usize,
    replies: usize,
    on_full: OnFull,
) -> (Sender<P, T>, Receiver<P, T>) {
    mailbox_on(P::arc(EventNotifier::new()), capacity, replies, on_full)
}

/// Returns the two ends of a mailbox whose receiver sleeps on `notifier`, which several mailboxes of one
/// service may share.
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
    const LIMIT: usize = 1 << 30;
    assert!((1..LIMIT).contains(&capacity) && replies < LIMIT, "capacity out of range");
    assert!(replies == 0 || on_full != OnFull::EvictOldest, "replies are never evicted");
    let stub = Node::<P, T>::boxed(None);
    let inner = P::arc(Inner::<P, T> {
        tail: CachePadded::new(P::AtomicPtr::new(stub)),
        state: CachePadded::new(P::AtomicU64::new(0)),
        consumer: P::Mutex::new(Consumer { head: stub }),
        not_empty: notifier,
        not_full: EventNotifier::new(),
        senders: P::AtomicUsize::new(1),
        capacity: capacity as u64,
        replies: replies as u64,
        on_full,
        sent: P::AtomicU64::new(0),
        received: P::AtomicU64::new(0),
        refused: P::AtomicU64::new(0),
        evicted: P::AtomicU64::new(0),
        high_water: P::AtomicU64::new(0),
    });
    (Sender(inner.clone()), Receiver(inner))
}

impl<P: Primitives, T: Send> Node<P, T> {
    fn boxed(item: Option<(T, Credit)>) -> *mut Self {
        let next = P::AtomicPtr::new(ptr::null_mut());
        Box::into_raw(Box::new(Self { next, item: P::Cell::new(item) }))
    }
}

/// Why a slot was not taken.
enum NoSlot {
    Full,
    Closed,
}

impl<P: Primitives, T: Send> Inner<P, T> {
    /// Takes a slot unless the mailbox is closed or full.
    fn take_slot(&self) -> Result<(), NoSlot> {
        // ORDERING: relaxed; the compare-exchange decides.
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state & CLOSED != 0 {
                return Err(NoSlot::Closed);
            }
            if state / SLOT >= self.capacity {
                return Err(NoSlot::Full);
            }
            // ORDERING: acquire pairs with the release in `give_back`: who reuses a slot comes after
            // who emptied it. ORDERING(failure): relaxed, the value is only compared.
            let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
            match self.state.compare_exchange(state, state + SLOT, success, failure) {
                Ok(_) => {
                    // ORDERING: relaxed; a figure.
                    self.high_water.fetch_max(state / SLOT + 1, Ordering::Relaxed);
                    return Ok(());
                }
                Err(found) => state = found,
            }
        }
    }

    /// Gives back what an item that was taken out had come in by.
    fn give_back(&self, credit: Credit) {
        let unit = match credit {
            Credit::Slot => SLOT,
            Credit::Reply => REPLY,
        };
        // ORDERING: release pairs with the acquire in `take_slot`.
        let before = self.state.fetch_sub(unit, Ordering::Release);
        match credit {
            Credit::Slot if self.on_full == OnFull::Block => self.not_full.notify_one(),
            // The receiver may wait for this permit alone before it is told of the close.
            Credit::Reply if before - unit == CLOSED => self.not_empty.notify_all(),
            _ => {}
        }
    }

    /// Puts an item in. The caller has taken a slot or holds a permit (I1).
    fn push(&self, item: T, credit: Credit) {
        let node = Node::<P, T>::boxed(Some((item, credit)));
        // ORDERING: relaxed; a figure.
        self.sent.fetch_add(1, Ordering::Relaxed);
        // ORDERING: release publishes the node to the next sender, acquire sees the previous node made.
        let previous = self.tail.swap(node, Ordering::AcqRel);
        // SAFETY: by I1 `previous` is not freed before its `next` is set: the consumer frees a node only
        // when it moves on to the next.
        // ORDERING: release pairs with the acquire in `pop`.
        unsafe { (*previous).next.store(node, Ordering::Release) };
        self.not_empty.notify_one();
        // ORDERING: relaxed; the fence in `notify_one` stands between the link and this look (I4), and
        // pairs with the fence in the receiver's drop.
        if self.state.load(Ordering::Relaxed) & GONE != 0 {
            self.drain();
        }
    }

    /// Takes the oldest item out.
    fn pop(&self) -> Pop<T> {
        let mut consumer = self.consumer.lock();
        let head = consumer.head;
        // SAFETY: by I2 `head` is live while the lock is held.
        // ORDERING: acquire pairs with the release of the link in `push`.
        let next = unsafe { (*head).next.load(Ordering::Acquire) };
        if next.is_null() {
            // ORDERING: relaxed; who sees another tail reports "busy", and that is all.
            let tail = self.tail.load(Ordering::Relaxed);
            return if ptr::eq(tail, head) { Pop::Empty } else { Pop::Busy };
        }
        consumer.head = next;
        // SAFETY: by I2 the item was written before the link and is taken under the lock, once.
        let item = unsafe { (*next).item.with_mut(|item| (*item).take()) };
        drop(consumer);
        // SAFETY: `head` was made by `boxed`; its `next` is set, so no sender touches it any more, and
        // no consumer has it.
        drop(unsafe { Box::from_raw(head) });
        match item {
            Some((item, credit)) => Pop::Item(item, credit),
            None => unreachable!("by I2 a linked node holds its item until it is taken once"),
        }
    }

    /// Drops what is queued. What is being linked meanwhile is dropped by who links it (I4).
    fn drain(&self) {
        while let Pop::Item(item, credit) = self.pop() {
            self.give_back(credit);
            drop(item);
        }
    }

    fn close(&self, flags: u64) {
        // ORDERING: relaxed; the compare-exchange decides.
        let mut state = self.state.load(Ordering::Relaxed);
        // ORDERING: relaxed twice: the flag hands over nothing; sleepers are the notifiers' business.
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        while let Err(found) = self.state.compare_exchange(state, state | flags, success, failure) {
            state = found;
        }
        self.not_empty.notify_all();
        self.not_full.notify_all();
    }

    /// One look: an item, or nothing now, or nothing ever.
    fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.pop() {
            Pop::Item(item, credit) => {
                // ORDERING: relaxed; a figure.
                self.received.fetch_add(1, Ordering::Relaxed);
                self.give_back(credit);
                Ok(item)
            }
            // ORDERING: relaxed; by I1 the value alone says it: slots go up only while not closed.
            Pop::Empty if self.state.load(Ordering::Relaxed) == CLOSED => Err(TryRecvError::Closed),
            Pop::Empty | Pop::Busy => Err(TryRecvError::Empty),
        }
    }

    /// Returns what became of the item if that is decided without waiting.
    fn attempt(&self, item: T) -> Result<Option<T>, SendError<T>> {
        match self.take_slot() {
            Ok(()) => {
                self.push(item, Credit::Slot);
                Ok(None)
            }
            Err(NoSlot::Closed) => Err(SendError::Closed(item)),
            Err(NoSlot::Full) => Err(SendError::Full(item)),
        }
    }

    /// Takes the oldest item's place; the slot goes from one to the other.
    fn evict(&self, item: T) -> Result<Option<T>, SendError<T>> {
        match self.pop() {
            Pop::Item(oldest, _slot) => {
                // ORDERING: relaxed; a figure.
                self.evicted.fetch_add(1, Ordering::Relaxed);
                self.push(item, Credit::Slot);
                Ok(Some(oldest))
            }
            Pop::Empty | Pop::Busy => Err(SendError::Full(item)),
        }
    }

    fn counters(&self) -> Counters {
        // ORDERING: relaxed throughout; figures.
        let read = |counter: &P::AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            depth: read(&self.state) / SLOT,
            capacity: self.capacity,
            sent: read(&self.sent),
            received: read(&self.received),
            refused: read(&self.refused),
            evicted: read(&self.evicted),
            high_water: read(&self.high_water),
        }
    }

    fn refuse<R>(&self, error: SendError<R>) -> SendError<R> {
        if !matches!(error, SendError::Closed(_)) {
            // ORDERING: relaxed; a figure.
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        error
    }
}

impl<P: Primitives, T: Send> Drop for Inner<P, T> {
    fn drop(&mut self) {
        if P::reporting() {
            // A checker is reporting; its primitives must not be touched. The memory is leaked.
            return;
        }
        let mut node = self.consumer.lock().head;
        while !node.is_null() {
            // SAFETY: nobody else has the mailbox; nodes were made by `boxed` and each is linked once.
            let owned = unsafe { Box::from_raw(node) };
            // ORDERING: relaxed; the last drop of the shared pointer has synchronised.
            node = owned.next.load(Ordering::Relaxed);
        }
    }
}

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends by the mailbox's policy. `Ok(Some(oldest))` is the item that made room. Blocks only under
    /// [`OnFull::Block`]: until the receiver takes an item, or the mailbox is closed.
    ///
    /// # Errors
    /// `Closed`, or `Full` under the other policies; the item is inside.
    pub fn send(&self, item: T) -> Result<Option<T>, SendError<T>> {
        let inner = &*self.0;
        match (inner.attempt(item), inner.on_full) {
            (Err(SendError::Full(item)), OnFull::Block) => {
                let slot = inner.not_full.wait_until(|| decided(inner.take_slot()));
                finish(inner, item, slot)
            }
            (Err(SendError::Full(item)), OnFull::EvictOldest) => {
                inner.evict(item).map_err(|error| inner.refuse(error))
            }
            (result, _) => result.map_err(|error| inner.refuse(error)),
        }
    }

    /// Sends if there is a slot; never blocks and never evicts.
    ///
    /// # Errors
    /// `Full` or `Closed`; the item is inside.
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        self.0.attempt(item).map(drop).map_err(|error| self.0.refuse(error))
    }

    /// Waits for a slot, whatever the policy, for at most `timeout`.
    ///
    /// # Errors
    /// `Timeout` or `Closed`; the item is inside.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        let inner = &*self.0;
        let slot = inner.not_full.wait_until_timeout(timeout, || decided(inner.take_slot()));
        match slot {
            Some(slot) => finish(inner, item, slot).map(drop),
            None => Err(inner.refuse(SendError::Timeout(item))),
        }
    }

    /// Closes the mailbox for every sender. What was accepted will be received.
    pub fn close(&self) {
        self.0.close(CLOSED);
    }

    /// Returns whether the mailbox is closed: an item would come back.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        // ORDERING: relaxed; a hint, nothing is read on its strength.
        self.0.state.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// Returns depth and totals, without a lock.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.counters()
    }
}

/// A decided attempt at a slot, for waiting loops: full is not decided.
fn decided(slot: Result<(), NoSlot>) -> Option<bool> {
    match slot {
        Ok(()) => Some(true),
        Err(NoSlot::Closed) => Some(false),
        Err(NoSlot::Full) => None,
    }
}

fn finish<P: Primitives, T: Send>(
    inner: &Inner<P, T>,
    item: T,
    has_slot: bool,
) -> Result<Option<T>, SendError<T>> {
    if !has_slot {
        return Err(SendError::Closed(item));
    }
    inner.push(item, Credit::Slot);
    Ok(None)
}

impl<P: Primitives, T: Send> Clone for Sender<P, T> {
    fn clone(&self) -> Self {
        // ORDERING: relaxed; the clone is made from a live sender, as with reference counts.
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl<P: Primitives, T: Send> Drop for Sender<P, T> {
    fn drop(&mut self) {
        // ORDERING: relaxed; the close that may follow hands over nothing.
        if self.0.senders.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.close(CLOSED);
        }
    }
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Blocks until there is an item; a send, the close or the last permit wakes it.
    ///
    /// # Errors
    /// If the mailbox is closed and empty and no permit is out.
    pub fn recv(&self) -> Result<T, Closed> {
        let inner = &*self.0;
        inner.not_empty.wait_until(|| match inner.try_recv() {
            Ok(item) => Some(Ok(item)),
            Err(TryRecvError::Closed) => Some(Err(Closed)),
            Err(TryRecvError::Empty) => None,
        })
    }

    /// Returns an item if one is there; never blocks.
    ///
    /// # Errors
    /// See [`TryRecvError`].
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv()
    }

    /// Blocks like [`Receiver::recv`], for at most `timeout`.
    ///
    /// # Errors
    /// `Empty` if the time is over, `Closed` as in [`Receiver::recv`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, TryRecvError> {
        let inner = &*self.0;
        let decided = inner.not_empty.wait_until_timeout(timeout, || match inner.try_recv() {
            Err(TryRecvError::Empty) => None,
            decided => Some(decided),
        });
        decided.unwrap_or(Err(TryRecvError::Empty))
    }

    /// Takes at most `max` items that are there into `items`; never blocks. Returns how many.
    pub fn recv_batch(&self, items: &mut Vec<T>, max: usize) -> usize {
        let before = items.len();
        items.extend(std::iter::from_fn(|| self.try_recv().ok()).take(max));
        items.len() - before
    }

    /// Returns an iterator that blocks for each item and ends when the mailbox is closed and empty.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// Takes one of the reserved slots; `None` if all are out.
    #[must_use]
    pub fn permit(&self) -> Option<Permit<P, T>> {
        // ORDERING: relaxed; the receiver alone gives out permits, so the count cannot grow meanwhile.
        let state = self.0.state.load(Ordering::Relaxed);
        if state % SLOT / REPLY >= self.0.replies {
            return None;
        }
        // ORDERING: relaxed; the permit reaches its holder by other means, which order it.
        self.0.state.fetch_add(REPLY, Ordering::Relaxed);
        Some(Permit(Some(self.0.clone())))
    }

    /// Closes the mailbox for every sender. What was accepted can still be received.
    pub fn close(&self) {
        self.0.close(CLOSED);
    }

    /// Returns depth and totals, without a lock.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.0.counters()
    }
}

impl<P: Primitives, T: Send> Drop for Receiver<P, T> {
    fn drop(&mut self) {
        if P::reporting() {
            // A checker is reporting; its primitives must not be touched.
            return;
        }
        self.0.close(CLOSED | GONE);
        // ORDERING: SeqCst, between "gone" and the drain; pairs with the fence in `push` (I4).
        P::fence(Ordering::SeqCst);
        self.0.drain();
    }
}

impl<P: Primitives, T: Send> Permit<P, T> {
    /// Sends the item; never blocks, also when the mailbox is closed.
    ///
    /// # Errors
    /// The item, if the receiver is gone.
    pub fn send(mut self, item: T) -> Result<(), T> {
        let Some(inner) = self.0.take() else { return Err(item) };
        // ORDERING: relaxed; if the receiver goes right after this look, `push` drains (I4).
        if inner.state.load(Ordering::Relaxed) & GONE != 0 {
            inner.give_back(Credit::Reply);
            return Err(item);
        }
        inner.push(item, Credit::Reply);
        Ok(())
    }
}

impl<P: Primitives, T: Send> Drop for Permit<P, T> {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            inner.give_back(Credit::Reply);
        }
    }
}
