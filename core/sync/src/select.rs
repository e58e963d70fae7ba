//! Several inputs and one receiving thread or task, which sleeps once for all of them.
//!
//! **Contract.** [`Select`] lists a service's inputs in order of priority, each with a budget, and
//! turns what they hold into messages of one type. It has the calls of a receiver: `recv`,
//! `try_recv`, `recv_timeout`, `recv_deadline`, `recv_async`, `iter`. An input is the receiver of a
//! mailbox, a ring, a pool's queue, a [watch](crate::watch) or a one-shot, a broker's lease, a
//! [`Deadline`], or a reference to one of them.
//!
//! | | |
//! |---|---|
//! | order | the first source in the list that has an item and is within its budget |
//! | budget | messages of a source in one turn; a turn ends when every source is empty or has used up its budget |
//! | a source that is closed and empty | its end is told to its closure once, and the source is not looked at any more |
//! | a one-shot, a deadline | it has one message, which is its end |
//! | all sources closed, and told | [`Closed`] |
//! | within a source | the source's own order |
//! | a deadline | it wakes a thread when its time has come; a task has no clock here, so it learns of a deadline when it is next polled after it |
//!
//! **Sharing a notifier, or not.** The select sleeps on one notifier. A source may share it
//! ([`crate::mailbox::mailbox_on`], [`crate::spsc::spsc_on`], [`crate::watch::watch_on`]); then
//! waiting for the source costs the select nothing. With any other source the select is
//! *registered* while it waits: it puts a waker, which notifies the select's own notifier, into the
//! source's list of tasks. A pool's queue cannot share a notifier: it has many receivers, each item
//! is for one of them, and they differ in what else they wait for. A registration takes the lock of
//! that list twice in each wait that does not find something at once.
//!
//! A look allocates nothing, and no call is dynamically dispatched. The waker is one allocation,
//! made with the list; a source's list of tasks grows as it does for any task.
//!
//! **Invariants.**
//! - S1 A thread that makes an item available in a source, or closes it, wakes the select. It
//!   notifies the notifier that the select sleeps on, or one with which the select is registered,
//!   or it wakes the waker that the source keeps. The select sleeps only while this holds for every
//!   source whose end has not been told, and only after a subsequent look at all of them.
//! - S2 An item at the front of a source waits for at most the budgets of all other sources. If the
//!   source has just used up its own budget, it also waits once more for the budgets of the sources
//!   listed before it. So no source starves, whatever the others receive (hazard Q8).
//! - S3 A look that finds nothing leaves every budget whole: a turn ends before a sleep.
//! - S4 A source whose end has been told is never looked at again.
//! - S5 A notification that has chosen the select's registration was meant for one receiver of that
//!   source. The select looks at that source afterwards. If it returns before that look, it passes
//!   the notification on (R2 of the notifier). A registration lives no longer than the wait.
//!
//! **No wake-up is lost.** First, none that the select needs. The item is published, then the
//! source's notifier is notified. By G1 of the notifier's registration, either the select's look
//! has seen the item, or the notification finds the registration, or another notification had found
//! it before. In the last two cases the waker runs after the publication, and notifies the notifier
//! that the select sleeps on. If the select's token was prepared before that, its wait ends. If it
//! is prepared later, the look that follows finds the item, or finds the registration gone, in
//! which case the select registers and looks again. Second, none that another receiver of the same
//! source needs: by S5 a notification that the select does not use is passed on. Where the select
//! cannot tell whether it was chosen before its last look, it passes the notification on: there may
//! be one wake-up too many, never one too few.
//!
//! The notifier does all sleeping and waking; this file has no memory order of its own.

use core::fmt;
use core::marker::PhantomData;
use core::task::Waker;
use core::time::Duration;
use std::sync::Arc;
use std::task::Wake;

use crate::error::{Closed, RecvTimeoutError, TryRecvError};
use crate::notifier::{EventNotifier, Registration};
use crate::primitives::Primitives;

/// Something that a service receives from.
pub trait Source<P: Primitives> {
    /// The type of its items.
    type Item;
    /// Whether its first message is its last, so that no end is told after it.
    const ONCE: bool = false;

    /// Returns the next item, or, finally, that there will be none; `None` means that there is
    /// nothing now. A thread that changes this notifies [`Source::notifier`] afterwards, or wakes
    /// the waker that [`Source::register`] was given. Does not block.
    fn look(&mut self) -> Option<Result<Self::Item, Closed>>;

    /// Returns what its receiver sleeps on, if that is a notifier. One notification must suffice
    /// for any one of its sleepers (R1 of the notifier).
    fn notifier(&self) -> Option<&EventNotifier<P>>;

    /// Keeps `waker`, to be woken when there is something. It is for a source without a notifier. A
    /// look follows. Does not block.
    fn register(&mut self, _waker: &Waker) {}

    /// Returns the time, as told by [`Primitives::now`], at which the source must be looked at even
    /// if nobody wakes its receiver.
    fn deadline(&self) -> Option<Duration> {
        None
    }

    /// Tells the source that the time is `now` or later.
    fn expire(&mut self, _now: Duration) {}
}

impl<P: Primitives, S: Source<P>> Source<P> for &mut S {
    type Item = S::Item;
    const ONCE: bool = S::ONCE;

    fn look(&mut self) -> Option<Result<S::Item, Closed>> {
        S::look(self)
    }
    fn notifier(&self) -> Option<&EventNotifier<P>> {
        S::notifier(self)
    }
    fn register(&mut self, waker: &Waker) {
        S::register(self, waker);
    }
    fn deadline(&self) -> Option<Duration> {
        S::deadline(self)
    }
    fn expire(&mut self, now: Duration) {
        S::expire(self, now);
    }
}

/// A source that has one message, `Ok(())`, when its time has come. See [`deadline`].
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Duration,
    has_passed: bool,
}

/// Returns a source that has its message once [`Primitives::now`] has reached `at`. It limits how
/// long a service waits for all its other inputs.
///
/// ```
/// use std::time::Duration;
/// use blocksmith_sync::mailbox::{OnFull, mailbox};
/// use blocksmith_sync::select::{Select, deadline};
/// use blocksmith_sync::{Primitives, Std};
///
/// let (votes, received) = mailbox::<Std, u32>(16, 0, OnFull::Refuse);
/// let mut inputs = Select::new()
///     .source(8, received, |vote| vote.ok())
///     .source(1, deadline(Std::now() + Duration::from_millis(2)), |_| None);
/// votes.send(7).unwrap();
/// assert_eq!(inputs.recv(), Ok(Some(7)));
/// assert_eq!(inputs.recv(), Ok(None)); // the time has come
/// ```
#[must_use]
pub const fn deadline(at: Duration) -> Deadline {
    Deadline { at, has_passed: false }
}

impl<P: Primitives> Source<P> for Deadline {
    type Item = ();
    const ONCE: bool = true;

    fn look(&mut self) -> Option<Result<(), Closed>> {
        (self.has_passed || P::now() >= self.at).then_some(Ok(()))
    }
    fn notifier(&self) -> Option<&EventNotifier<P>> {
        None
    }
    fn deadline(&self) -> Option<Duration> {
        Some(self.at)
    }
    fn expire(&mut self, now: Duration) {
        self.has_passed |= now >= self.at;
    }
}

mod list {
    use core::task::Waker;
    use core::time::Duration;

    /// What a look at a list of sources found.
    #[derive(Debug)]
    pub enum Look<M> {
        Message(M),
        /// Nothing; but a source has used up its budget and was not looked at.
        Spent,
        /// Nothing.
        Empty,
        /// Nothing will ever come again.
        Closed,
    }

    /// A list of sources. The trait is sealed: it can be named only in this file.
    pub trait Inputs<M> {
        /// Returns the message of the first source that has one and is within its budget.
        fn look(&mut self) -> Look<M>;
        /// Begins a turn.
        fn refill(&mut self);
        /// Registers with every source that does not share the notifier; a look follows.
        fn renew(&mut self, waker: &Waker);
        /// Ends the registrations; passes on notifications that have chosen one and that no look
        /// has followed (S5).
        fn leave(&mut self);
        /// Returns when the next source must be looked at even if nobody wakes the select.
        fn deadline(&self) -> Option<Duration>;
        /// Tells the source that the time is `now` or later.
        fn expire(&mut self, now: Duration);
    }
}
use list::{Inputs, Look};

/// The list without a source.
#[derive(Debug)]
pub struct Nothing;

impl<M> Inputs<M> for Nothing {
    fn look(&mut self) -> Look<M> {
        Look::Closed
    }
    fn refill(&mut self) {}
    fn renew(&mut self, _: &Waker) {}
    fn leave(&mut self) {}
    fn deadline(&self) -> Option<Duration> {
        None
    }
    fn expire(&mut self, _: Duration) {}
}

/// A list, followed by one more source.
pub struct With<P, I, S, F> {
    before: I,
    source: S,
    primitives: PhantomData<P>,
    message: F,
    budget: u32,
    left: u32,
    /// Whether its end has been told (S4).
    told: bool,
    /// Whether it shares the select's notifier, or is registered by `register`.
    shares: bool,
    /// Where the select is registered while it waits.
    place: Registration,
    /// Whether a notification has chosen the select and no look has followed yet (S5).
    chosen: bool,
    /// Whether the source has been given the waker in this wait.
    has_waker: bool,
}

impl<P, M, I, S, F> Inputs<M> for With<P, I, S, F>
where
    P: Primitives,
    I: Inputs<M>,
    S: Source<P>,
    F: FnMut(Result<S::Item, Closed>) -> M,
{
    fn look(&mut self) -> Look<M> {
        let before = self.before.look();
        if self.told || matches!(before, Look::Message(_)) {
            return before;
        }
        if self.left == 0 {
            return Look::Spent;
        }
        let input = self.source.look();
        self.chosen = false;
        match input {
            Some(input) => {
                self.left -= 1;
                self.told = S::ONCE || input.is_err();
                Look::Message((self.message)(input))
            }
            None if matches!(before, Look::Spent) => Look::Spent,
            None => Look::Empty,
        }
    }

    fn refill(&mut self) {
        self.before.refill();
        self.left = self.budget;
    }

    fn renew(&mut self, waker: &Waker) {
        self.before.renew(waker);
        if self.told || self.shares {
            return;
        }
        if let Some(notifier) = self.source.notifier() {
            self.chosen |= self.place.renew(notifier, waker);
        } else if !self.has_waker {
            self.source.register(waker);
            self.has_waker = true;
        }
    }

    fn leave(&mut self) {
        self.before.leave();
        self.has_waker = false;
        if let Some(notifier) = self.source.notifier().filter(|_| !self.shares) {
            let chosen = self.place.leave(notifier) || self.chosen;
            self.chosen = false;
            if chosen {
                notifier.notify_one();
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let own = if self.told { None } else { self.source.deadline() };
        earlier(self.before.deadline(), own)
    }

    fn expire(&mut self, now: Duration) {
        self.before.expire(now);
        self.source.expire(now);
    }
}

/// Returns the earlier of two times; `None` means never.
fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// What a source is given where it does not share the select's notifier.
struct Hub<P: Primitives>(P::Arc<EventNotifier<P>>);

impl<P: Primitives> Wake for Hub<P> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// The inputs of a service; see the module documentation.
///
/// ```
/// use blocksmith_sync::mailbox::{OnFull, mailbox_on};
/// use blocksmith_sync::notifier::EventNotifier;
/// use blocksmith_sync::select::Select;
/// use blocksmith_sync::{Closed, Primitives, Std};
///
/// #[derive(Debug, PartialEq)]
/// enum Message {
///     Stop,
///     Verdict(u32),
///     Block(&'static str),
/// }
///
/// let notifier = Std::arc(EventNotifier::<Std>::new());
/// let (stop, control) = mailbox_on::<Std, ()>(notifier.clone(), 1, 0, OnFull::Refuse);
/// let (rewinder, verdicts) = mailbox_on::<Std, u32>(notifier.clone(), 16, 0, OnFull::Block);
/// let (network, blocks) = mailbox_on::<Std, &str>(notifier.clone(), 16, 0, OnFull::Refuse);
/// let mut inputs = Select::on(notifier)
///     .source(1, control, |_| Message::Stop) // also when nobody is left who could say it
///     .source(8, verdicts, |verdict| verdict.map_or(Message::Stop, Message::Verdict))
///     .source(2, blocks, |block| block.map_or(Message::Stop, Message::Block));
///
/// network.send("a block").unwrap();
/// rewinder.send(1).unwrap();
/// assert_eq!(inputs.recv(), Ok(Message::Verdict(1)));
/// assert_eq!(inputs.recv(), Ok(Message::Block("a block")));
/// stop.send(()).unwrap();
/// assert_eq!(inputs.recv(), Ok(Message::Stop));
/// drop((stop, rewinder, network));
/// assert_eq!(inputs.iter().count(), 3); // each end is told once
/// assert_eq!(inputs.recv(), Err(Closed));
/// ```
pub struct Select<P: Primitives, M, I = Nothing> {
    notifier: P::Arc<EventNotifier<P>>,
    /// A [`Hub`], from the first source that needs it.
    waker: Option<Waker>,
    inputs: I,
    message: PhantomData<fn() -> M>,
}

impl<P: Primitives, M> Select<P, M> {
    /// Returns a select over nothing yet, with a notifier of its own.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a select without a source is not of use")]
    pub fn new() -> Self {
        Self::on(P::arc(EventNotifier::new()))
    }

    /// Returns a select over nothing yet, which sleeps on `notifier`. No other thread may sleep on
    /// it.
    #[must_use]
    pub fn on(notifier: P::Arc<EventNotifier<P>>) -> Self {
        Self { notifier, waker: None, inputs: Nothing, message: PhantomData }
    }
}

impl<P: Primitives, M, I: Inputs<M>> Select<P, M, I> {
    /// Adds a source behind those that are there. `budget` is the number of its messages in one
    /// turn; the closure makes a message of an item, or of the source's end. The source is a
    /// receiver, or a reference to one. If its receiver does not sleep on this select's notifier,
    /// the select registers with it in each wait.
    ///
    /// # Panics
    /// If the budget is 0.
    #[must_use]
    pub fn source<S: Source<P>, F: FnMut(Result<S::Item, Closed>) -> M>(
        self,
        budget: u32,
        source: S,
        message: F,
    ) -> Select<P, M, With<P, I, S, F>> {
        assert!(budget > 0, "a source without a budget is never received from");
        let shares =
            source.notifier().is_some_and(|notifier| core::ptr::eq(notifier, &*self.notifier));
        let hub = || Waker::from(Arc::new(Hub::<P>(self.notifier.clone())));
        let waker = self.waker.or_else(|| (!shares).then(hub));
        let inputs = With {
            before: self.inputs,
            source,
            primitives: PhantomData,
            message,
            budget,
            left: budget,
            told: false,
            shares,
            place: Registration::default(),
            chosen: false,
            has_waker: false,
        };
        Select { notifier: self.notifier, waker, inputs, message: PhantomData }
    }

    /// Blocks until a source has something, and returns the message made from it.
    ///
    /// # Errors
    /// [`Closed`] when the end of every source has been told.
    pub fn recv(&mut self) -> Result<M, Closed> {
        loop {
            // After this look the budgets are whole whenever another look finds nothing (S3).
            if let Some(received) = turn(&mut self.inputs).or_else(|| self.wait(None)) {
                return received;
            }
        }
    }

    /// Returns a message if a source has something. Does not block. An item behind one that its
    /// sender is still about to write is not there yet; a later look, or one after the
    /// notification, finds it.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`], or [`TryRecvError::Closed`] as [`Select::recv`].
    pub fn try_recv(&mut self) -> Result<M, TryRecvError> {
        match turn(&mut self.inputs) {
            Some(Ok(message)) => Ok(message),
            Some(Err(Closed)) => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Blocks like [`Select::recv`], for at most about `timeout`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`], or [`RecvTimeoutError::Closed`] as [`Select::recv`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<M, RecvTimeoutError> {
        self.recv_deadline(P::now().saturating_add(timeout))
    }

    /// Blocks like [`Select::recv`], until [`Primitives::now`] is about `deadline`.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`], or [`RecvTimeoutError::Closed`] as [`Select::recv`].
    pub fn recv_deadline(&mut self, deadline: Duration) -> Result<M, RecvTimeoutError> {
        match turn(&mut self.inputs).or_else(|| self.wait(Some(deadline))) {
            Some(Ok(message)) => Ok(message),
            Some(Err(Closed)) => Err(RecvTimeoutError::Closed),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Suspends the task until a source has something, and returns the message made from it. A
    /// [`Deadline`] does not wake the task.
    ///
    /// # Errors
    /// [`Closed`] as [`Select::recv`].
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing, and a wake-up that it had been given is passed
    /// on to another receiver. One that is forgotten instead (`core::mem::forget`), or neither
    /// polled nor dropped, keeps it.
    pub fn recv_async(&mut self) -> impl Future<Output = Result<M, Closed>> {
        let Self { notifier, inputs, waker, .. } = self;
        let mut waiting = Waiting::<P, M, I> { inputs, waker: waker.as_ref(), types: PhantomData };
        notifier.until(move || waiting.look())
    }

    /// Returns an iterator that receives until the end of every source has been told; it blocks
    /// like `recv`.
    pub fn iter(&mut self) -> impl Iterator<Item = M> {
        core::iter::from_fn(|| self.recv().ok())
    }

    /// Waits until a source has something, or until `limit`; then it returns `None`.
    fn wait(&mut self, limit: Option<Duration>) -> Option<Result<M, Closed>> {
        let Self { notifier, inputs, waker, .. } = self;
        let mut waiting = Waiting::<P, M, I> { inputs, waker: waker.as_ref(), types: PhantomData };
        loop {
            let Some(due) = earlier(waiting.inputs.deadline(), limit) else {
                return Some(notifier.wait_until(|| waiting.look()));
            };
            if let Some(received) = notifier.wait_until_deadline(due, || waiting.look()) {
                return Some(received);
            }
            // The time of a source has come: the next look tells it.
            waiting.inputs.expire(due);
            if limit.is_some_and(|limit| limit <= due) {
                return waiting.look();
            }
        }
    }
}

/// A wait; the registrations end with it.
struct Waiting<'a, P: Primitives, M, I: Inputs<M>> {
    inputs: &'a mut I,
    waker: Option<&'a Waker>,
    types: PhantomData<fn(P) -> M>,
}

impl<P: Primitives, M, I: Inputs<M>> Waiting<'_, P, M, I> {
    /// Returns the next message; `None` means that the select has to wait, and that any of the
    /// sources will wake it (S1).
    fn look(&mut self) -> Option<Result<M, Closed>> {
        if let Some(waker) = self.waker {
            self.inputs.renew(waker);
        }
        let received = turn(self.inputs)?;
        self.leave();
        Some(received)
    }

    fn leave(&mut self) {
        if self.waker.is_some() {
            self.inputs.leave();
        }
    }
}

impl<P: Primitives, M, I: Inputs<M>> Drop for Waiting<'_, P, M, I> {
    fn drop(&mut self) {
        if !P::reporting() {
            self.leave();
        }
    }
}

/// Returns the next message; `None` means that no source has any, and that a new turn begins.
fn turn<M, I: Inputs<M>>(inputs: &mut I) -> Option<Result<M, Closed>> {
    let mut look = inputs.look();
    if matches!(look, Look::Spent) {
        inputs.refill();
        look = inputs.look();
    }
    match look {
        Look::Message(message) => Some(Ok(message)),
        Look::Closed => Some(Err(Closed)),
        Look::Empty | Look::Spent => {
            inputs.refill();
            None
        }
    }
}

impl<P: Primitives, M, I> fmt::Debug for Select<P, M, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select").finish_non_exhaustive()
    }
}

impl<P, I, S, F> fmt::Debug for With<P, I, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("With").field("budget", &self.budget).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
