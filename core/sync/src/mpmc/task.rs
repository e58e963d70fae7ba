//! The ends of a pool's queue for tasks: a task waits where a thread would block.
//!
//! **Contract.** These calls do what `send` and `recv` do, with the same policies, order and end;
//! tasks and threads may send and receive side by side. A future is cancelled by dropping it.
//! Putting an item in and taking one out each happen within one poll, so a future that is dropped
//! has either not reached that poll, or has returned. A notification that had chosen it is passed
//! on to another waiter.

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
    /// Until the future is ready nothing has been sent, and the item is dropped with it; a wake-up
    /// that it had been given is passed on to another sender. A future that has been woken, and is
    /// neither polled again nor dropped (forgotten, say), keeps that wake-up.
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
    /// Suspends the task until there is an item for this receiver, and returns the oldest; whatever
    /// wakes [`Receiver::recv`] wakes the task.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing, and a wake-up that it had been given is passed
    /// on to another receiver. A future that has been woken, and is neither polled again nor
    /// dropped (forgotten, say), keeps that wake-up.
    pub fn recv_async(&self) -> impl Future<Output = Result<T, Closed>> + Send {
        self.shared.not_empty.until(|| self.poll())
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use super::*;
    use crate::Std;
    use crate::mpmc::mpmc;

    fn send<F: Send>(future: F) -> F {
        future
    }

    /// One place: a send that is dropped while it waits has sent nothing. The futures may change
    /// threads.
    #[test]
    fn a_cancelled_send_leaves_nothing() {
        let (sender, receiver) = mpmc::<Std, u32>(1, Backpressure::Block);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(pin!(send(sender.send_async(1))).poll(&mut context), Poll::Ready(Ok(())));
        {
            let second = pin!(send(sender.send_async(2)));
            assert_eq!(second.poll(&mut context), Poll::Pending);
        }
        drop(sender);
        assert_eq!(pin!(send(receiver.recv_async())).poll(&mut context), Poll::Ready(Ok(1)));
        assert_eq!(pin!(receiver.recv_async()).poll(&mut context), Poll::Ready(Err(Closed)));
    }
}
