//! The ends of a pool's queue for tasks: a task waits where a thread would block.
//!
//! **Contract.** What `send` and `recv` do, these do, with the same policies, order and end; tasks and
//! threads may send and receive side by side. A future is cancelled by its drop; putting an item in and
//! taking one out are each within one poll, so that a future that is dropped is before that, or has
//! returned. A notification that had chosen it goes on to another waiter.

use crate::error::{Closed, SendError};
use crate::policy::Backpressure;
use crate::primitives::Primitives;

use super::{Receiver, Sender};

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends like [`Sender::send`], and suspends the task where that would block, until an item is
    /// received or the queue closes.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`Backpressure::Refuse`]; [`SendError::Closed`].
    ///
    /// # Cancel safety
    /// Until it is ready nothing has been sent, and the item is dropped with the future.
    pub async fn send_async(&self, item: T) -> Result<(), SendError<T>> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_send(item);
        }
        let mut item = Some(item);
        let accepted = self.shared.not_full.until(|| self.offer(&mut item)).await;
        self.finish(accepted, item)
    }
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Suspends the task until there is an item for this receiver, and returns the oldest; the task is
    /// woken by what wakes [`Receiver::recv`].
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing.
    pub fn recv_async(&self) -> impl Future<Output = Result<T, Closed>> + Send {
        self.shared.not_empty.until(|| self.poll())
    }
}
