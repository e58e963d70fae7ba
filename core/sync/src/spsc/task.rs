//! The ends of a ring for tasks: a task waits where a thread would block.
//!
//! **Contract.** What `send` and `recv` do, these do, with the same policies, order and end; one end may be
//! a task's and the other a thread's. A future is cancelled by its drop. Seeing that there is room (that
//! there is an item) changes nothing, and putting it in (taking it out) is one poll with it: a future
//! that is dropped is before that, or has returned.

use crate::error::{Closed, SendError};
use crate::notifier::EventNotifier;
use crate::policy::Backpressure;
use crate::primitives::Primitives;
use crate::select::Source;

use super::{Receiver, Sender};

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends like [`Sender::send`], and suspends the task where that would block, until an item is
    /// received or the ring closes.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`Backpressure::Refuse`]; [`SendError::Closed`].
    ///
    /// # Cancel safety
    /// Until it is ready nothing has been sent, and the item is dropped with the future.
    pub async fn send_async(&mut self, item: T) -> Result<(), SendError<T>> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_send(item);
        }
        let shared = &*self.shared;
        let room = || Some(shared.room(1)).filter(|room| *room != Ok(0));
        match shared.not_full.until(room).await {
            Ok(_) => shared.send(item),
            Err(Closed) => Err(SendError::Closed(item)),
        }
    }
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Suspends the task until there is an item, and returns the oldest; the task is woken by what wakes
    /// [`Receiver::recv`]. Receivers that share a notifier are awaited through [`crate::select`].
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing.
    pub fn recv_async(&mut self) -> impl Future<Output = Result<T, Closed>> + Send {
        let shared = &*self.shared;
        shared.not_empty.until(|| match shared.ready(1) {
            Ok(0) => None,
            Ok(_) => Some(Ok(shared.receive())),
            Err(Closed) => Some(Err(Closed)),
        })
    }
}

impl<P: Primitives, T: Send> Source<P> for Receiver<P, T> {
    type Item = T;

    fn look(&self) -> Option<Result<T, Closed>> {
        let ready = self.ready(1)?;
        Some(ready.map(|_| self.shared.receive()))
    }

    fn notifier(&self) -> &EventNotifier<P> {
        &self.shared.not_empty
    }
}
