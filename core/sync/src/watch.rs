//! The latest value of something, for any number of readers: the head of a chain, or what is final.
//!
//! **Contract.** A watch holds one value. A sender replaces it; every reader learns that there is a
//! new one, and reads the latest. A slow reader skips values, but never the last: after the last
//! send each reader sees the last value, and learns of the end only after that. Nothing is queued,
//! so no sender waits for a reader, and there is no policy on full.
//!
//! | call | blocks | woken by |
//! |---|---|---|
//! | `send`, `update`, `close` | no | - |
//! | `get`, `get_and_mark`, `with`, `has_changed` | no | - |
//! | `changed` | until there is a value that this reader has not seen, or none will come | a send; the end |
//! | `changed_timeout`, `changed_deadline` | as `changed`, at most the time given | as `changed` |
//! | `changed_async` | as `changed`, the task, not its thread | as `changed` |
//! | a sender's `closed`, `closed_timeout`, `closed_deadline`, `closed_async` | until nobody reads, or it is closed | the drop of the last reader; `close` |
//!
//! "No" means: except on a lock that others hold for the few instructions that exchange pointers.
//!
//! **Versions.** The value that a watch begins with has version 0, and each send makes the next
//! version. A reader remembers the version that it has seen last. At first that is the version of
//! the moment at which [`watch`] or [`Sender::subscribe`] made the reader, or, for a clone, the
//! version of the original. `changed` and `get_and_mark` return a value and remember its version;
//! the other calls remember nothing.
//!
//! **Values are shared.** Each value is in an allocation of its own, which a send makes before it
//! takes the lock; a reader gets another handle to it. So no code of the value's type (its drop,
//! its `Clone`, a closure) runs under the lock, and a reader may keep what it has read for as long
//! as it likes. The value that a send replaces is dropped with the last handle to it.
//!
//! **Several senders.** A [`Sender`] can be cloned, so that several places may decide what a watch
//! shows. [`Sender::update`] lets them agree: it replaces the value that it has read only if that
//! is still the latest. For watches with only one sender, this costs a counter.
//!
//! **The end.** A watch closes when any sender calls `close`, or when the last sender is dropped.
//! From then on nothing is accepted (a value is returned as `Closed(value)`). Every reader sees the
//! last value if it has not yet, and then gets [`Closed`]. A reader cannot close the watch, since
//! there may be others. Nor does the watch end when the last reader goes: `subscribe` makes new
//! readers, which see what was sent meanwhile.
//!
//! ```text
//!   word = 2 * version + 1 if closed            slot, locked: the value of that version
//!   changed by a sender, under the lock         readers take a handle to it under the lock
//! ```
//!
//! | `word` and what a reader has seen | meaning |
//! |---|---|
//! | the same version, open | nothing new: wait |
//! | the same version, closed | the end |
//! | another version | there is something to read, closed or not |
//!
//! **Invariants.**
//! - W1 `word` and the slot change together, under the lock: a thread that holds the lock finds the
//!   value of the version that `word` names.
//! - W2 Versions ascend, and none follows `closed`, which is in the same word. So once "closed, and
//!   this version seen" holds, it is final, and the last value was seen.
//! - W3 A reader remembers a version only together with a handle to its value, both taken under one
//!   hold of the lock. The only exception is the version that counts as seen when the reader is
//!   made.
//! - W4 Each change of `word` is followed by a notification of all readers that wait for it.
//! - W5 Under the lock, pointers and numbers are moved and copied, and nothing else happens.
//!
//! **Memory order.** The lock orders values, and what their senders did before, for the readers. A
//! reader's look at `word` without the lock only decides whether to take the lock or to wait; the
//! notifier's fences order the look that a sleep follows. Closing releases, and the look that ends
//! in `Closed` acquires: a reader that learns that nothing more will come sees what every sender
//! did before it was dropped.
//!
//! Reference: tokio's `sync::watch`, for the vocabulary; there, a reader holds a lock while it
//! reads.

use core::mem;
use core::time::Duration;

use crate::ends::{opaque_debug, unwind_safe};
use crate::error::{Closed, RecvTimeoutError, SendError, TryRecvError};
use crate::notifier::EventNotifier;
use crate::primitives::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::primitives::{Atomic, Mutex, Primitives};
use crate::select::Source;

const CLOSED: u64 = 1;
const VERSION: u64 = 2;

/// What the ends of a watch share; see the table at the top of the file.
struct Shared<P: Primitives, T: Send + Sync> {
    word: P::AtomicU64,
    slot: P::Mutex<P::Arc<T>>,
    /// Readers sleep on it; it may serve other channels, too.
    changed: P::Arc<EventNotifier<P>>,
    /// Senders that wait for the readers to go sleep on it.
    closing: EventNotifier<P>,
    /// Live senders; the last one closes.
    senders: P::AtomicUsize,
    /// Live readers.
    readers: P::AtomicUsize,
}

/// Returns the two ends of a new watch that holds `value`, which the reader counts as seen.
///
/// ```
/// use blocksmith_sync::watch::watch;
/// use blocksmith_sync::{Closed, Std};
///
/// let (head, mut reader) = watch::<Std, u64>(0);
/// assert!(!reader.has_changed());
/// let follower = std::thread::spawn(move || {
///     let mut seen = vec![*reader.get()];
///     while let Ok(slot) = reader.changed() {
///         seen.push(*slot); // some slots may be skipped
///     }
///     seen
/// });
/// for slot in 1..=100 {
///     head.send(slot).unwrap();
/// }
/// drop(head);
/// let seen = follower.join().unwrap();
/// assert!(seen.is_sorted());
/// assert_eq!(seen.last(), Some(&100)); // the last one never is
/// ```
#[must_use]
pub fn watch<P: Primitives, T: Send + Sync>(value: T) -> (Sender<P, T>, Receiver<P, T>) {
    watch_on(P::arc(EventNotifier::new()), value)
}

/// Returns a watch like [`watch`], whose readers are woken through `notifier`. Other channels *of
/// one receiving thread* may share it: see [`crate::mailbox::mailbox_on`]. Every reader that waits
/// must then belong to that thread. Readers elsewhere must be awaited through a
/// [select](crate::select::Select) over a watch with a notifier of its own.
#[must_use]
pub fn watch_on<P: Primitives, T: Send + Sync>(
    notifier: P::Arc<EventNotifier<P>>,
    value: T,
) -> (Sender<P, T>, Receiver<P, T>) {
    let shared = P::arc(Shared {
        word: Atomic::new(0),
        slot: Mutex::new(P::arc(value)),
        changed: notifier,
        closing: EventNotifier::new(),
        senders: Atomic::new(1),
        readers: Atomic::new(1),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
}

impl<P: Primitives, T: Send + Sync> Shared<P, T> {
    /// Replaces the value by `next`, unless the watch is closed, or the version is not `expected`.
    /// Returns whether it did; if so, `next` is then the previous value, which the caller drops
    /// (W5).
    fn replace(&self, expected: Option<u64>, next: &mut P::Arc<T>) -> Result<bool, Closed> {
        {
            let mut slot = self.slot.lock();
            // ORDERING: none needed; the word changes only under this lock.
            let word = self.word.load(Relaxed);
            if word & CLOSED != 0 {
                return Err(Closed);
            }
            if expected.is_some_and(|expected| expected != word) {
                return Ok(false);
            }
            mem::swap(&mut *slot, next);
            // ORDERING: none needed: a reader that sees it takes the value under the lock.
            self.word.store(word.wrapping_add(VERSION), Relaxed);
        }
        self.changed.notify_all();
        Ok(true)
    }

    /// Returns the value, and its version (W3).
    fn read(&self) -> (P::Arc<T>, u64) {
        let slot = self.slot.lock();
        // ORDERING: none needed; the word changes only under this lock.
        (slot.clone(), self.word.load(Relaxed) & !CLOSED)
    }

    /// Returns the value if its version is not `seen`, and sets `seen` to that version; or says
    /// that there will be none. `None` means wait.
    fn look(&self, seen: &mut u64) -> Option<Result<P::Arc<T>, Closed>> {
        // ORDERING: pairs with the release in `close`, where this look ends in `Closed`.
        let word = self.word.load(Acquire);
        if word & !CLOSED == *seen {
            return (word & CLOSED != 0).then_some(Err(Closed));
        }
        let (value, version) = self.read();
        *seen = version;
        Some(Ok(value))
    }

    fn close(&self) {
        {
            let _slot = self.slot.lock();
            // ORDERING: none needed; the word changes only under this lock.
            let word = self.word.load(Relaxed);
            // ORDERING: pairs with the acquiring look in `look` that ends in `Closed`.
            self.word.store(word | CLOSED, Release);
        }
        self.changed.notify_all();
        self.closing.notify_all();
    }

    fn is_closed(&self) -> bool {
        // ORDERING: none needed; it looks at a bit that is never cleared.
        self.word.load(Relaxed) & CLOSED != 0
    }

    fn senders_are_gone(&self) -> bool {
        // ORDERING: none needed; it looks at a count that stays at zero.
        self.senders.load(Relaxed) == 0
    }

    fn nobody_reads(&self) -> bool {
        // ORDERING: none needed: it looks at a count; the notifier orders a look that a sleep
        // follows.
        self.readers.load(Relaxed) == 0
    }

    /// Returns `Some` once a sender need not wait: there is nobody left to send to, or nothing is
    /// accepted.
    fn is_over(&self) -> Option<()> {
        (self.is_closed() || self.nobody_reads()).then_some(())
    }
}

/// The end that sends. Clone it to get more senders; when all are dropped, the watch closes.
pub struct Sender<P: Primitives, T: Send + Sync> {
    shared: P::Arc<Shared<P, T>>,
}

impl<P: Primitives, T: Send + Sync> Sender<P, T> {
    /// Replaces the value, and wakes every reader that waits. Never blocks, whether there are
    /// readers or not. The previous value is dropped with the last handle to it, perhaps at the end
    /// of this call.
    ///
    /// # Errors
    /// [`SendError::Closed`], with the value, if the watch is closed.
    pub fn send(&self, value: T) -> Result<(), SendError<P::Arc<T>>> {
        let mut next = P::arc(value);
        match self.shared.replace(None, &mut next) {
            Ok(_) => Ok(()),
            Err(Closed) => Err(SendError::Closed(next)),
        }
    }

    /// Replaces the value by what `change` makes of it, and returns whether it did. `None` from
    /// `change` means that the value is to stay. `change` runs again if another sender was faster;
    /// no lock is held meanwhile. Never blocks.
    ///
    /// # Errors
    /// [`Closed`] if the watch is closed.
    ///
    /// ```
    /// use blocksmith_sync::Std;
    /// use blocksmith_sync::watch::watch;
    ///
    /// let (head, _reader) = watch::<Std, u64>(7);
    /// let later = |slot| move |current: &u64| (slot > *current).then_some(slot);
    /// assert_eq!(head.update(later(9)), Ok(true));
    /// assert_eq!(head.update(later(8)), Ok(false));
    /// assert_eq!(*head.get(), 9);
    /// ```
    pub fn update(&self, mut change: impl FnMut(&T) -> Option<T>) -> Result<bool, Closed> {
        let mark = P::mark();
        loop {
            let (value, version) = self.shared.read();
            let Some(next) = change(&value) else {
                return if self.is_closed() { Err(Closed) } else { Ok(false) };
            };
            if self.shared.replace(Some(version), &mut P::arc(next))? {
                return Ok(true);
            }
            P::rewind(mark);
        }
    }

    /// Returns the value. Does not block.
    #[must_use]
    pub fn get(&self) -> P::Arc<T> {
        self.shared.read().0
    }

    /// Returns a new reader, for which the current value counts as seen. Does not block.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<P, T> {
        // ORDERING: none needed: a sender that waits for no reader may have seen that before.
        self.shared.readers.fetch_add(1, Relaxed);
        let seen = self.shared.read().1;
        Receiver { shared: self.shared.clone(), seen }
    }

    /// Closes the watch for all its senders: no value is accepted from then on; every reader sees
    /// the last one, and then the end. Does not block.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Returns whether the watch is closed: no send will be accepted from then on.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Returns whether nobody reads at the moment; [`Sender::subscribe`] changes that.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.shared.nobody_reads()
    }

    /// Blocks until nobody reads, or the watch is closed; the drop of the last reader, or the
    /// closing, wakes this thread.
    pub fn closed(&self) {
        self.shared.closing.wait_until(|| self.shared.is_over());
    }

    /// Blocks like [`Sender::closed`], for at most about `timeout`, and returns whether nobody
    /// reads, or the watch is closed.
    #[must_use]
    pub fn closed_timeout(&self, timeout: Duration) -> bool {
        self.closed_deadline(P::now().saturating_add(timeout))
    }

    /// Blocks like [`Sender::closed_timeout`], until [`Primitives::now`] is about `deadline`.
    #[must_use]
    pub fn closed_deadline(&self, deadline: Duration) -> bool {
        self.shared.closing.wait_until_deadline(deadline, || self.shared.is_over()).is_some()
    }

    /// Suspends the task until nobody reads, or the watch is closed.
    ///
    /// # Cancel safety
    /// The future can be dropped at any moment; a new one can take its place.
    pub fn closed_async(&self) -> impl Future<Output = ()> + Send {
        let shared = &*self.shared;
        shared.closing.until(move || shared.is_over())
    }
}

impl<P: Primitives, T: Send + Sync> Clone for Sender<P, T> {
    fn clone(&self) -> Self {
        // ORDERING: none needed: the sender that is cloned is alive.
        self.shared.senders.fetch_add(1, Relaxed);
        Self { shared: self.shared.clone() }
    }
}

impl<P: Primitives, T: Send + Sync> Drop for Sender<P, T> {
    fn drop(&mut self) {
        // ORDERING: pairs with itself in the other senders: what they did happens before the
        // closing, hence before a reader's `Closed`.
        if self.shared.senders.fetch_sub(1, AcqRel) == 1 {
            self.shared.close();
        }
    }
}

/// The end that reads. To get more readers, clone it or call [`Sender::subscribe`].
pub struct Receiver<P: Primitives, T: Send + Sync> {
    shared: P::Arc<Shared<P, T>>,
    /// The version that this reader has seen (W3).
    seen: u64,
}

impl<P: Primitives, T: Send + Sync> Receiver<P, T> {
    /// Returns the value. It does not count as seen: `changed` may return it again. Does not block.
    #[must_use]
    pub fn get(&self) -> P::Arc<T> {
        self.shared.read().0
    }

    /// Returns the value, which counts as seen. Does not block.
    #[must_use]
    pub fn get_and_mark(&mut self) -> P::Arc<T> {
        let (value, version) = self.shared.read();
        self.seen = version;
        value
    }

    /// Returns what `read` makes of the value, which does not count as seen. No lock is held while
    /// `read` runs, so it may use the watch. Does not block.
    pub fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.get())
    }

    /// Returns whether there is a value that this reader has not seen. Does not block.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        // ORDERING: none needed; nothing is taken.
        self.shared.word.load(Relaxed) & !CLOSED != self.seen
    }

    /// Blocks until there is a value that this reader has not seen, and returns the latest, which
    /// then counts as seen. A send wakes this thread, and so does the end.
    ///
    /// # Errors
    /// [`Closed`] when the last value has been seen, and no other will come.
    pub fn changed(&mut self) -> Result<P::Arc<T>, Closed> {
        let Self { shared, seen } = self;
        shared.changed.wait_until(|| shared.look(seen))
    }

    /// Returns the latest value if this reader has not seen it; then it counts as seen. Does not
    /// block.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if it has seen it, [`TryRecvError::Closed`] if, in addition, no
    /// other value will come.
    pub fn try_changed(&mut self) -> Result<P::Arc<T>, TryRecvError> {
        match self.shared.look(&mut self.seen) {
            Some(Ok(value)) => Ok(value),
            Some(Err(Closed)) => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Blocks like [`Receiver::changed`], for at most about `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`], or [`RecvTimeoutError::Closed`] as [`Receiver::changed`].
    pub fn changed_timeout(&mut self, timeout: Duration) -> Result<P::Arc<T>, RecvTimeoutError> {
        self.changed_deadline(P::now().saturating_add(timeout))
    }

    /// Blocks like [`Receiver::changed`], until [`Primitives::now`] is about `deadline`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`], or [`RecvTimeoutError::Closed`] as [`Receiver::changed`].
    pub fn changed_deadline(&mut self, deadline: Duration) -> Result<P::Arc<T>, RecvTimeoutError> {
        let Self { shared, seen } = self;
        match shared.changed.wait_until_deadline(deadline, || shared.look(seen)) {
            Some(Ok(value)) => Ok(value),
            Some(Err(Closed)) => Err(RecvTimeoutError::Closed),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Suspends the task until there is a value that this reader has not seen, and returns the
    /// latest, which then counts as seen.
    ///
    /// # Errors
    /// [`Closed`] as [`Receiver::changed`].
    ///
    /// # Cancel safety
    /// A future that is dropped has marked nothing as seen. A send wakes all readers that wait, so
    /// a future that is forgotten withholds a wake-up from none of them.
    pub fn changed_async(&mut self) -> impl Future<Output = Result<P::Arc<T>, Closed>> + Send {
        let Self { shared, seen } = self;
        let shared = &**shared;
        shared.changed.until(move || shared.look(seen))
    }

    /// Returns a stream of the values that this reader has not seen.
    #[cfg(feature = "stream")]
    pub fn into_stream(self) -> crate::stream::ReceiverStream<P, Self> {
        crate::stream::ReceiverStream::new(self)
    }

    /// Returns a stream of the values that this reader has not seen; it borrows the reader.
    #[cfg(feature = "stream")]
    pub fn stream(&mut self) -> crate::stream::ReceiverStream<P, &mut Self> {
        crate::stream::ReceiverStream::new(self)
    }

    /// Returns whether the watch is closed; there may still be a value that this reader has not
    /// seen.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Returns whether no sender is left.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.shared.senders_are_gone()
    }
}

impl<P: Primitives, T: Send + Sync> Clone for Receiver<P, T> {
    /// Returns another reader, which has seen what this one has.
    fn clone(&self) -> Self {
        // ORDERING: none needed: the reader that is cloned is alive.
        self.shared.readers.fetch_add(1, Relaxed);
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<P: Primitives, T: Send + Sync> Drop for Receiver<P, T> {
    fn drop(&mut self) {
        // ORDERING: none needed: the notifier orders this before the look of a sender that waits.
        if !P::reporting() && self.shared.readers.fetch_sub(1, Relaxed) == 1 {
            self.shared.closing.notify_all();
        }
    }
}

/// Each message is a value that this reader had not seen; it may be a later value than the one that
/// woke the select.
impl<P: Primitives, T: Send + Sync> Source<P> for Receiver<P, T> {
    type Item = P::Arc<T>;

    fn look(&mut self) -> Option<Result<P::Arc<T>, Closed>> {
        self.shared.look(&mut self.seen)
    }

    fn notifier(&self) -> Option<&EventNotifier<P>> {
        Some(&*self.shared.changed)
    }
}

opaque_debug!("watch"; Sender: Sync, Receiver: Sync);
unwind_safe!(Sender: Sync, Receiver: Sync);

#[cfg(test)]
mod tests;
