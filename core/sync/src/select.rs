//! Several inputs, one receiving thread or task: it parks once, for all of them.
//!
//! **Contract.** A service's inputs share one notifier ([`crate::mailbox::mailbox_on`],
//! [`crate::spsc::spsc_on`]). [`Select`] lists them in order of priority, each with a budget, and
//! turns what they hold into messages of one type. It receives by the verbs of a channel: `recv`,
//! `try_recv`, `recv_timeout`, `recv_async`, `iter`.
//!
//! | | |
//! |---|---|
//! | order | the first source in the list that has an item and is within its budget |
//! | budget | messages of a source in one turn; a turn ends when every source is empty or has had its budget |
//! | a source that is closed and empty | is told once, to its closure, and not looked at any more |
//! | all sources closed, and told | [`Closed`] |
//! | within a source | the source's own order |
//!
//! Nothing is allocated after the list has been made, and no call is dynamic.
//!
//! **Invariants.**
//! - S1 Who makes an item available in a source, or closes it, notifies the notifier that the
//!   select sleeps on: `source` asserts that it is the same one.
//! - S2 An item at the front of a source is preceded by at most the budgets of all other sources,
//!   and once more by those of the sources listed before it, if it has just used up its own:
//!   nothing starves, whatever the others receive (hazard Q8).
//! - S3 A look that finds nothing leaves every budget whole: a turn ends before a sleep.
//! - S4 A source whose end has been told is out of the list for good.
//!
//! Sleeping and waking are the notifier's; this file has no memory order of its own.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use crate::error::{Closed, RecvTimeoutError, TryRecvError};
use crate::notifier::EventNotifier;
use crate::primitives::Primitives;

/// Something that a service receives from.
pub trait Source<P: Primitives> {
    /// What it holds.
    type Item;
    /// Returns the next item, or, for good, that there will be none; `None`: nothing now. Whoever
    /// changes that notifies [`Source::notifier`] afterwards. Does not block.
    fn look(&self) -> Option<Result<Self::Item, Closed>>;
    /// Returns what its receiver sleeps on.
    fn notifier(&self) -> &EventNotifier<P>;
}

impl<P: Primitives, S: Source<P>> Source<P> for &S {
    type Item = S::Item;
    fn look(&self) -> Option<Result<S::Item, Closed>> {
        S::look(self)
    }
    fn notifier(&self) -> &EventNotifier<P> {
        S::notifier(self)
    }
}

mod list {
    /// What a look at a list of sources has found.
    #[derive(Debug)]
    pub enum Look<M> {
        Message(M),
        /// Nothing; a source has had its budget and was not looked at.
        Spent,
        /// Nothing.
        Empty,
        /// Nothing ever again.
        Closed,
    }

    /// A list of sources. Sealed: it can be named in this file alone.
    pub trait Inputs<M> {
        /// Returns the message of the first source that has one and is within its budget.
        fn look(&mut self) -> Look<M>;
        /// Begins a turn.
        fn refill(&mut self);
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
}

/// A list, and a source behind it.
pub struct With<P, I, S, F> {
    before: I,
    source: S,
    primitives: PhantomData<P>,
    message: F,
    budget: u32,
    left: u32,
    /// Whether its end has been told (S4).
    told: bool,
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
        match self.source.look() {
            Some(input) => {
                self.left -= 1;
                self.told = input.is_err();
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
}

/// The inputs of a service; see the module's text.
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
    inputs: I,
    message: PhantomData<fn() -> M>,
}

impl<P: Primitives, M> Select<P, M> {
    /// Returns a select over nothing yet, which sleeps on `notifier`. No other thread may.
    #[must_use]
    pub fn on(notifier: P::Arc<EventNotifier<P>>) -> Self {
        Self { notifier, inputs: Nothing, message: PhantomData }
    }
}

impl<P: Primitives, M, I: Inputs<M>> Select<P, M, I> {
    /// Adds a source behind those that are there, with its messages in one turn, and the closure
    /// that makes a message of an item, or of its end. The source is a receiver, or a reference to
    /// one.
    ///
    /// # Panics
    /// If the budget is 0, or the source's receiver sleeps on another notifier (S1).
    #[must_use]
    pub fn source<S: Source<P>, F: FnMut(Result<S::Item, Closed>) -> M>(
        self,
        budget: u32,
        source: S,
        message: F,
    ) -> Select<P, M, With<P, I, S, F>> {
        assert!(budget > 0, "a source without a budget is never received from");
        let same = core::ptr::eq(source.notifier(), &*self.notifier);
        assert!(same, "the source does not wake this select");
        let inputs = With {
            before: self.inputs,
            source,
            primitives: PhantomData,
            message,
            budget,
            left: budget,
            told: false,
        };
        Select { notifier: self.notifier, inputs, message: PhantomData }
    }

    /// Blocks until a source has something, and returns the message made of it.
    ///
    /// # Errors
    /// [`Closed`] when the end of every source has been told.
    pub fn recv(&mut self) -> Result<M, Closed> {
        let Self { notifier, inputs, .. } = self;
        // After this look the budgets are whole whenever another finds nothing (S3).
        turn(inputs).unwrap_or_else(|| notifier.wait_until(|| turn(inputs)))
    }

    /// Returns a message if a source has something. Does not block. An item behind one whose sender
    /// is about to link it is not there yet; a later look, or the notification, finds it.
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
        let Self { notifier, inputs, .. } = self;
        let received =
            turn(inputs).or_else(|| notifier.wait_until_timeout(timeout, || turn(inputs)));
        match received {
            Some(Ok(message)) => Ok(message),
            Some(Err(Closed)) => Err(RecvTimeoutError::Closed),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Suspends the task until a source has something, and returns the message made of it.
    ///
    /// # Errors
    /// [`Closed`] as [`Select::recv`].
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing.
    pub fn recv_async(&mut self) -> impl Future<Output = Result<M, Closed>> {
        let Self { notifier, inputs, .. } = self;
        notifier.until(|| turn(inputs))
    }

    /// Returns an iterator that receives until the end of every source has been told; it blocks
    /// like `recv`.
    pub fn iter(&mut self) -> impl Iterator<Item = M> {
        core::iter::from_fn(|| self.recv().ok())
    }
}

/// Returns the next message; `None`: no source has any, and a new turn begins.
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
mod tests {
    use super::*;
    use crate::Std;
    use crate::mailbox::{OnFull, Receiver, Sender, mailbox_on};
    use crate::policy::Backpressure;
    use crate::spsc::spsc_on;

    type Ends = (Sender<Std, u32>, Receiver<Std, u32>);

    fn notifier() -> std::sync::Arc<EventNotifier<Std>> {
        Std::arc(EventNotifier::new())
    }

    fn ends(notifier: &std::sync::Arc<EventNotifier<Std>>) -> Ends {
        mailbox_on(notifier.clone(), 16, 0, OnFull::Refuse)
    }

    /// Two sources that are always full, with budgets of 2 and 1: the message says which.
    #[test]
    fn the_first_comes_first_and_the_second_does_not_starve() {
        let notifier = notifier();
        let ((urgent, first), (usual, second)) = (ends(&notifier), ends(&notifier));
        for item in 0..6 {
            urgent.send(item).unwrap();
            usual.send(item).unwrap();
        }
        let mut inputs = Select::on(notifier).source(2, first, |_| 'u').source(1, second, |_| '-');
        let received: String = (0..9).filter_map(|_| inputs.try_recv().ok()).collect();
        assert_eq!(received, "uu-uu-uu-");
    }

    /// A mailbox and a ring: each end is told once, and then all is over.
    #[test]
    fn an_end_is_told_once() {
        let notifier = notifier();
        let (left, left_in) = ends(&notifier);
        let (right, right_in) = spsc_on::<Std, u32>(notifier.clone(), 4, Backpressure::Refuse);
        let mut inputs = Select::on(notifier)
            .source(4, &left_in, |item| item.map_err(|Closed| "left"))
            .source(4, &right_in, |item| item.map_err(|Closed| "right"));
        right.send(2).unwrap();
        left.send(1).unwrap();
        drop(left);
        assert_eq!(inputs.recv(), Ok(Ok(1)));
        assert_eq!(inputs.recv(), Ok(Err("left")));
        assert_eq!(inputs.recv(), Ok(Ok(2)));
        assert_eq!(inputs.try_recv(), Err(TryRecvError::Empty));
        let soon = Duration::from_millis(1);
        assert_eq!(inputs.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
        drop(right);
        assert_eq!(inputs.recv_timeout(soon), Ok(Err("right")));
        assert_eq!(inputs.recv(), Err(Closed));
        assert_eq!(inputs.try_recv(), Err(TryRecvError::Closed));
    }

    /// A select that owns its receivers can be awaited in a task that changes threads.
    #[test]
    fn a_select_can_be_sent() {
        fn send<T: Send>(value: T) -> T {
            value
        }
        let notifier = notifier();
        let (sender, receiver) = ends(&notifier);
        let mut inputs = Select::on(notifier).source(1, receiver, |item| item.ok());
        sender.send(7).unwrap();
        let mut next = Box::pin(send(inputs.recv_async()));
        let mut context = core::task::Context::from_waker(core::task::Waker::noop());
        assert_eq!(next.as_mut().poll(&mut context), core::task::Poll::Ready(Ok(Some(7))));
    }

    /// A receiver with a notifier of its own would never wake the select.
    #[test]
    #[should_panic(expected = "does not wake this select")]
    fn a_source_of_another_notifier_is_refused() {
        let (_sender, receiver) = ends(&notifier());
        let _ = Select::on(notifier()).source(1, receiver, |_| ());
    }
}
