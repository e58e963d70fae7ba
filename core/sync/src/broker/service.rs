//! The shared part of the broker; see [`crate::broker`] for its contract.

use core::any::Any;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::sync::atomic::AtomicU8;
use core::time::Duration;
use std::collections::BTreeMap;

use thiserror::Error;

use crate::broker::machine::{Ask, Change, Level, Limits, LimitsError, Machine, Snapshot, Weight};
use crate::counters::Counters;
use crate::error::Closed;
use crate::mailbox::{self, Receiver, Sender};
use crate::notifier::EventNotifier;
use crate::policy::OnFull;
use crate::primitives::Ordering::Relaxed;
use crate::primitives::{Atomic, Mutex, Primitives};
use crate::select::Source;

/// The largest number of mailboxes that a broker watches.
pub const MAX_MAILBOXES: usize = 256;
/// The largest number of subscriptions that a broker serves at once.
pub const MAX_SUBSCRIBERS: usize = 64;
/// The largest number of characters in a name.
const MAX_NAME: usize = 64;

/// Why a mailbox is not watched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegisterError {
    /// Another mailbox has the name.
    #[error("a mailbox named {0:?} is watched already")]
    Taken(String),
    /// The name is empty, or has more than 64 characters, or any other than a to z, 0 to 9, `_` and
    /// `.`.
    #[error("{0:?} is no name: 1 to 64 letters of a-z, 0-9, _ and . are")]
    Name(String),
    /// [`MAX_MAILBOXES`] are watched already.
    #[error("{MAX_MAILBOXES} mailboxes are watched already")]
    Full,
}

/// Why a mailbox is not lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// The broker has no mailbox of that name.
    #[error("there is no such mailbox")]
    Unknown,
    /// It is watched but not owned, or it is lent: its lease has not been dropped.
    #[error("the mailbox is not here")]
    Away,
    /// Its items are of another type.
    #[error("the mailbox holds items of another type")]
    OtherType,
}

/// [`MAX_SUBSCRIBERS`] are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{MAX_SUBSCRIBERS} subscriptions are served already")]
pub struct TooManySubscribers;

/// The receiving end for changes of the level; it holds the latest one if there were several (B6).
pub type Subscription<P> = Receiver<P, Change>;

/// A mailbox that the broker owns: its sending end, and its receiving end, which is lent.
pub type Opened<P, T> = (Sender<P, T>, Lease<P, T>);

type Read = Box<dyn Fn() -> Counters + Send>;
type Notifier<P> = <P as Primitives>::Arc<EventNotifier<P>>;
type Subscriber<P> = Sender<P, Change>;

/// A change of the level that has been put into the mailboxes of the subscribers.
struct Judged<P: Primitives> {
    change: Change,
    /// The notifiers of the subscribers that must be woken.
    told: Vec<Notifier<P>>,
    /// Senders whose subscribers are gone.
    gone: Vec<Subscriber<P>>,
}

/// Where the receiving end of a mailbox is.
enum Place {
    /// With the owner that registered it, or lent.
    Away,
    /// With the broker: a `Receiver<P, T>`.
    Here(Box<dyn Any + Send>),
}

struct Entry {
    read: Read,
    place: Place,
    /// Distinguishes the mailbox from a later one of the same name.
    number: u64,
}

struct Inner<P: Primitives> {
    machine: Machine,
    mailboxes: BTreeMap<String, Entry>,
    next_number: u64,
    subscribers: Vec<Subscriber<P>>,
}

struct Shared<P: Primitives> {
    inner: P::Mutex<Inner<P>>,
    /// A copy of the level for a look without the lock; see "Memory order".
    level: AtomicU8,
    stopped: P::AtomicU32,
    /// The thread in `serve` sleeps on it.
    wake: EventNotifier<P>,
}

/// A broker; a clone is another handle to the same one. See the module's text.
///
/// ```
/// use blocksmith_sync::broker::{Level, Limits, Weight};
/// use blocksmith_sync::mailbox::OnFull;
/// use blocksmith_sync::{Broker, Closed};
///
/// let broker = Broker::new(Limits::default())?;
/// let (sender, lease) = broker.open::<u32>("work", Weight::Counts, 4, 0, OnFull::Refuse)?;
/// let (level, changes) = broker.subscribe()?;
/// assert_eq!(level, Level::Normal);
/// (0..4).for_each(|n| assert_eq!(sender.send(n), Ok(None)));
/// broker.observe();
/// assert_eq!(changes.try_recv().map(|change| change.to), Ok(Level::Critical));
///
/// assert_eq!(lease.recv(), Ok(0));
/// drop(lease); // its service crashed; the mailbox keeps what is pending
/// let successor = broker.claim::<u32>("work")?;
/// drop(sender);
/// assert_eq!(successor.iter().collect::<Vec<_>>(), [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Broker<P: Primitives> {
    shared: P::Arc<Shared<P>>,
}

impl<P: Primitives> Clone for Broker<P> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<P: Primitives> Broker<P> {
    /// Returns a broker that watches nothing.
    ///
    /// # Errors
    /// If the limits make no sense.
    pub fn new(limits: Limits) -> Result<Self, LimitsError> {
        let inner = Inner {
            machine: Machine::new(limits)?,
            mailboxes: BTreeMap::new(),
            next_number: 0,
            subscribers: Vec::new(),
        };
        let shared = P::arc(Shared {
            inner: Mutex::new(inner),
            level: AtomicU8::new(0),
            stopped: Atomic::new(0),
            wake: EventNotifier::new(),
        });
        Ok(Self { shared })
    }

    /// Watches a mailbox that somebody else owns. `read` returns its counters; it must not block or
    /// call the broker ([`Sender::meter`] provides what it needs).
    ///
    /// # Errors
    /// If the name is invalid or taken, or there are too many mailboxes.
    pub fn watch(
        &self,
        name: &str,
        weight: Weight,
        read: impl Fn() -> Counters + Send + 'static,
    ) -> Result<(), RegisterError> {
        self.register(name, weight, Box::new(read)).map(drop)
    }

    /// Makes a mailbox that the broker owns (see [`mailbox::mailbox`]), and lends out its receiving
    /// end.
    ///
    /// # Errors
    /// If the name is invalid or taken, or there are too many mailboxes.
    ///
    /// # Panics
    /// As [`mailbox::mailbox`].
    pub fn open<T: Send + 'static>(
        &self,
        name: &str,
        weight: Weight,
        capacity: usize,
        replies: usize,
        on_full: OnFull,
    ) -> Result<Opened<P, T>, RegisterError> {
        let (sender, receiver) = mailbox::mailbox(capacity, replies, on_full);
        let meter = sender.meter();
        let number = self.register(name, weight, Box::new(move || meter.counters()))?;
        Ok((sender, Lease::new(self, name, number, receiver)))
    }

    /// Lends out a mailbox that came back, with everything that is queued (B7). The successor of a
    /// service that ended calls this once its predecessor has dropped its lease.
    ///
    /// # Errors
    /// If the mailbox is not here, or holds items of another type.
    pub fn claim<T: Send + 'static>(&self, name: &str) -> Result<Lease<P, T>, ClaimError> {
        let mut inner = self.shared.inner.lock();
        let entry = inner.mailboxes.get_mut(name).ok_or(ClaimError::Unknown)?;
        let Place::Here(receiver) = core::mem::replace(&mut entry.place, Place::Away) else {
            return Err(ClaimError::Away);
        };
        let number = entry.number;
        match receiver.downcast::<Receiver<P, T>>() {
            Ok(receiver) => {
                drop(inner);
                Ok(Lease::new(self, name, number, *receiver))
            }
            Err(receiver) => {
                entry.place = Place::Here(receiver);
                Err(ClaimError::OtherType)
            }
        }
    }

    /// Forgets a mailbox; drops its receiving end if that is here. Returns whether there was one.
    pub fn forget(&self, name: &str) -> bool {
        self.forget_if(name, |_| true)
    }

    /// Takes a sample of every mailbox at the time of [`Primitives::now`], and tells subscribers if
    /// the level changed.
    pub fn observe(&self) -> Option<Change> {
        self.observe_at(P::now())
    }

    /// Like [`Broker::observe`], at a time that the caller gives.
    pub fn observe_at(&self, now: Duration) -> Option<Change> {
        // From here on wakers of subscribers run, and senders are dropped, without the lock (B8).
        let Judged { change, told, gone } = self.judge(now)?;
        told.iter().for_each(|subscriber| subscriber.notify_all()); // I7 of the mailbox
        drop(gone);
        Some(change)
    }

    /// Takes a sample, and puts a change of the level into the mailboxes of the subscribers, in one
    /// step (B5).
    fn judge(&self, now: Duration) -> Option<Judged<P>> {
        let mut inner = self.shared.inner.lock();
        let Inner { machine, mailboxes, subscribers, .. } = &mut *inner;
        let samples = mailboxes.iter().map(|(name, entry)| (name.as_str(), (entry.read)()));
        let change = machine.observe(now, samples)?;
        // ORDERING: none needed: the level is advisory, see the module documentation.
        self.shared.level.store(change.to as u8, Relaxed);
        let mut told = Vec::with_capacity(subscribers.len());
        // It does not wait (B6).
        let gone = subscribers.extract_if(.., |subscriber| match subscriber.put(change) {
            Ok(notifier) => {
                told.push(notifier);
                false
            }
            Err(Closed) => true,
        });
        let gone = gone.collect();
        Some(Judged { change, told, gone })
    }

    /// Returns the level without taking the lock. It is cheap enough for a look per message.
    #[must_use]
    pub fn level(&self) -> Level {
        // ORDERING: none needed: the level is advisory, see the module documentation.
        Level::ALL[usize::from(self.shared.level.load(Relaxed))]
    }

    /// Returns whether the current level makes this ask.
    #[must_use]
    pub fn asks(&self, ask: Ask) -> bool {
        self.level().asks().contains(&ask)
    }

    /// Returns the level, and a subscription that receives every change that follows. Dropping the
    /// subscription ends it.
    ///
    /// # Errors
    /// If there are too many.
    pub fn subscribe(&self) -> Result<(Level, Subscription<P>), TooManySubscribers> {
        self.subscribe_on(P::arc(EventNotifier::new()))
    }

    /// Like [`Broker::subscribe`], with a notifier that the subscriber's other mailboxes share, so
    /// that it waits for all of them at once (see [`mailbox::mailbox_on`]).
    ///
    /// # Errors
    /// If there are too many.
    pub fn subscribe_on(
        &self,
        notifier: P::Arc<EventNotifier<P>>,
    ) -> Result<(Level, Subscription<P>), TooManySubscribers> {
        let (sender, receiver) = mailbox::mailbox_on(notifier, 1, 0, OnFull::EvictOldest);
        // Declared before the guard, so dropped after it (B8), as are the ends above.
        let _gone: Vec<_>;
        let mut inner = self.shared.inner.lock();
        _gone = inner.subscribers.extract_if(.., |subscriber| subscriber.is_closed()).collect();
        if inner.subscribers.len() == MAX_SUBSCRIBERS {
            return Err(TooManySubscribers);
        }
        // The level is read and the place in the list taken in one step (B5).
        inner.subscribers.push(sender);
        Ok((inner.machine.level(), receiver))
    }

    /// Returns the figures of every mailbox, as of the last sample.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.inner.lock().machine.snapshot()
    }

    /// Takes a sample at intervals of `every`, and passes changes to `told`, until
    /// [`Broker::stop`], which wakes it. Blocks between samples.
    pub fn serve(&self, every: Duration, mut told: impl FnMut(Change)) {
        // ORDERING: none needed: the notifier hands the flag over.
        let stopped = || (self.shared.stopped.load(Relaxed) != 0).then_some(());
        while self.shared.wake.wait_until_timeout(every, stopped).is_none() {
            if let Some(change) = self.observe() {
                told(change);
            }
        }
    }

    /// Makes every [`Broker::serve`] return, now and later. The rest of the broker keeps working.
    pub fn stop(&self) {
        // ORDERING: none needed: the flag is published, then the notifier notified.
        self.shared.stopped.store(1, Relaxed);
        self.shared.wake.notify_all();
    }

    fn register(&self, name: &str, weight: Weight, read: Read) -> Result<u64, RegisterError> {
        let letter =
            |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'.');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(letter) {
            return Err(RegisterError::Name(name.to_owned()));
        }
        let mut inner = self.shared.inner.lock();
        if inner.mailboxes.contains_key(name) {
            return Err(RegisterError::Taken(name.to_owned()));
        }
        if inner.mailboxes.len() == MAX_MAILBOXES {
            return Err(RegisterError::Full);
        }
        let number = inner.next_number;
        inner.next_number += 1;
        inner.machine.watch(name, weight);
        inner.mailboxes.insert(name.to_owned(), Entry { read, place: Place::Away, number });
        Ok(number)
    }

    fn forget_if(&self, name: &str, which: impl FnOnce(&Entry) -> bool) -> bool {
        let forgotten = {
            let mut inner = self.shared.inner.lock();
            if !inner.mailboxes.get(name).is_some_and(which) {
                return false;
            }
            inner.machine.forget(name);
            inner.mailboxes.remove(name)
        };
        // Dropping a receiver waits for senders that are about to write, so it must not happen
        // under the lock.
        forgotten.is_some()
    }

    /// Takes a receiver back (B7), or drops it if its mailbox has been forgotten.
    fn take_back<T: Send + 'static>(&self, name: &str, number: u64, receiver: Receiver<P, T>) {
        let unwanted = {
            let mut inner = self.shared.inner.lock();
            match inner.mailboxes.get_mut(name).filter(|entry| entry.number == number) {
                Some(entry) => {
                    entry.place = Place::Here(Box::new(receiver));
                    None
                }
                None => Some(receiver),
            }
        };
        drop(unwanted);
    }
}

impl<P: Primitives> fmt::Debug for Broker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("level", &self.level()).finish_non_exhaustive()
    }
}

/// The receiving end of a mailbox that the broker owns, for as long as the lease lives: it is used
/// as a [`Receiver`]. When the lease is dropped, even while a thread unwinds, the mailbox goes back
/// to the broker with what is queued.
pub struct Lease<P: Primitives, T: Send + 'static> {
    broker: Broker<P>,
    name: String,
    number: u64,
    /// Taken out when the lease ends.
    receiver: Option<Receiver<P, T>>,
}

impl<P: Primitives, T: Send + 'static> Lease<P, T> {
    fn new(broker: &Broker<P>, name: &str, number: u64, receiver: Receiver<P, T>) -> Self {
        Self { broker: broker.clone(), name: name.to_owned(), number, receiver: Some(receiver) }
    }

    /// Ends the mailbox for good: the broker forgets it, and it is dropped with what is queued.
    pub fn end(mut self) {
        let number = self.number;
        self.broker.forget_if(&self.name, |entry| entry.number == number);
        drop(self.receiver.take());
    }
}

impl<P: Primitives, T: Send + 'static> Deref for Lease<P, T> {
    type Target = Receiver<P, T>;

    fn deref(&self) -> &Receiver<P, T> {
        // Only `end` and the drop take it out, and both own the lease.
        self.receiver.as_ref().expect("a lease has its receiver")
    }
}

impl<P: Primitives, T: Send + 'static> DerefMut for Lease<P, T> {
    /// Allows [`Receiver::recv_async`], which borrows the receiver for as long as it waits.
    fn deref_mut(&mut self) -> &mut Receiver<P, T> {
        self.receiver.as_mut().expect("a lease has its receiver")
    }
}

impl<P: Primitives, T: Send + 'static> Source<P> for Lease<P, T> {
    type Item = T;

    fn look(&mut self) -> Option<Result<T, Closed>> {
        (&**self).look()
    }

    fn notifier(&self) -> Option<&EventNotifier<P>> {
        (**self).notifier()
    }
}

// A lent mailbox is intact after a panic, as its receiver is. The only foreign code that the broker
// runs under its lock are the functions that read figures, which change nothing of the broker.
impl<P: Primitives, T: Send + 'static> UnwindSafe for Lease<P, T> {}
impl<P: Primitives, T: Send + 'static> RefUnwindSafe for Lease<P, T> {}

impl<P: Primitives, T: Send + 'static> Drop for Lease<P, T> {
    fn drop(&mut self) {
        if P::reporting() {
            return;
        }
        if let Some(receiver) = self.receiver.take() {
            self.broker.take_back(&self.name, self.number, receiver);
        }
    }
}

impl<P: Primitives, T: Send + 'static> fmt::Debug for Lease<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("name", &self.name).finish_non_exhaustive()
    }
}
