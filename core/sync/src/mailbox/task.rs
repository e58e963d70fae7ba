//! The ends of a mailbox for tasks: a task waits where a thread would block.
//!
//! **Contract.** These calls do what `send` and `recv` do, with the same policies, order and end; a
//! task on any runtime may talk to a plain thread, and a mailbox may have senders of both kinds. A
//! future is cancelled by dropping it. To set a time limit, let the runtime drop it:
//! `timeout(limit, receiver.recv_async())`.
//!
//! **Invariants** (for I1 to I7 see the parent module).
//! - A1 Accepting and pushing an item happen in one evaluation of the condition that the future
//!   waits for, and so do taking and returning one. No foreign code runs between the two steps, and
//!   a future that is dropped has either not begun them, or has returned. So no item is half sent,
//!   an item that was taken has been returned, and nobody waits for an item that is not about to
//!   come.
//! - A2 An item waits inside the future that is to send it, and is dropped with that future.

use crate::error::{Closed, SendError};
use crate::policy::OnFull;
use crate::primitives::Primitives;

use super::credits::{Claim, Refusal};
use super::{Receiver, Sender};

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends like [`Sender::send`], and suspends the task where that would block, until an item is
    /// received or the mailbox closes. `Some` contains the request that was evicted to make room.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`OnFull::Refuse`]; [`SendError::Closed`].
    ///
    /// # Cancel safety
    /// Until the future is ready nothing has been sent (A1), and the item is dropped with it (A2);
    /// a wake-up that it had been given is passed on to another sender. A future that has been
    /// woken, and is neither polled again nor dropped (forgotten, say), keeps that wake-up.
    pub async fn send_async(&self, item: T) -> Result<Option<T>, SendError<T>> {
        if self.shared.on_full != OnFull::Block {
            return self.try_send(item);
        }
        let mut item = Some(item);
        let accepted = self.shared.not_full.until(|| self.offer(&mut item)).await;
        match item {
            None => Ok(None),
            Some(item) => self.finish(accepted, item),
        }
    }

    /// Accepts the item and pushes it, in one step (A1), or says why it never will; `None` means
    /// wait.
    fn offer(&self, item: &mut Option<T>) -> Option<Result<Claim, Refusal>> {
        let accepted = self.accept()?;
        if let Ok(claim) = accepted
            && let Some(item) = item.take()
        {
            self.shared.push(claim, item, false);
        }
        Some(accepted)
    }
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Suspends the task until there is an item, and returns the oldest; whatever wakes
    /// [`Receiver::recv`] wakes the task. Receivers that share a notifier are awaited through
    /// [`crate::select`]: among several futures at once, a notification might choose the wrong one
    /// (R1 of the notifier).
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing (A1). One that is forgotten instead, woken or
    /// not, takes no wake-up of this mailbox from a later one: each wake-up is for all that wait,
    /// and so is the end (I7 of the parent module). Where other channels share the notifier, it may
    /// take one of theirs.
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    /// use blocksmith_sync::Std;
    /// use blocksmith_sync::mailbox::{OnFull, mailbox};
    ///
    /// let (sender, mut receiver) = mailbox::<Std, u32>(8, 0, OnFull::Block);
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime brings its own
    /// let mut next = Box::pin(receiver.recv_async());
    /// assert!(next.as_mut().poll(&mut context).is_pending());
    /// std::thread::spawn(move || sender.send(7)).join().unwrap().unwrap();
    /// assert_eq!(next.as_mut().poll(&mut context), Poll::Ready(Ok(7)));
    /// ```
    pub fn recv_async(&mut self) -> impl Future<Output = Result<T, Closed>> + Send {
        let Self { shared, hand, .. } = self;
        let shared = &**shared;
        shared.not_empty.until(move || shared.poll(hand))
    }
}
