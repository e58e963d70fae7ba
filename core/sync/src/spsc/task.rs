//! The ends of a ring for tasks: a task waits where a thread would block.
//!
//! **Contract.** These calls do what `send` and `recv` do, with the same policies, order and end;
//! one end may be a task's and the other a thread's. A future is cancelled by dropping it. Seeing
//! that there is room (or an item) changes nothing, and putting the item in (or taking it out)
//! happens in the same poll. So a future that is dropped has either not reached that poll, or has
//! returned.

use crate::error::{Closed, SendError};
use crate::policy::Backpressure;
use crate::primitives::Primitives;

use super::{Receiver, Sender};

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends like [`Sender::send`], and suspends the task where that would block, until an item is
    /// received or the ring closes.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`Backpressure::Refuse`]; [`SendError::Closed`].
    ///
    /// # Cancel safety
    /// Until the future is ready nothing has been sent, and the item is dropped with it. A future
    /// that is forgotten instead, woken or not, takes no wake-up from a later one (I8 of the parent
    /// module).
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

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends like [`Sender::send_batch`], and suspends the task where that would block.
    ///
    /// # Errors
    /// [`Closed`] if the ring is or becomes closed; the items that were not accepted are in the
    /// vector.
    ///
    /// # Cancel safety
    /// Items that have been sent before the future is dropped stay sent; all others are in the
    /// vector.
    pub async fn send_batch_async(&mut self, items: &mut Vec<T>) -> Result<usize, Closed> {
        if self.shared.on_full == Backpressure::Refuse || items.is_empty() {
            return self.try_send_batch(items);
        }
        let shared = &*self.shared;
        let mut sent = 0;
        while !items.is_empty() {
            let wanted = items.len().min(shared.capacity());
            let room = || Some(shared.room(wanted)).filter(|room| *room != Ok(0));
            let room = shared.not_full.until(room).await?;
            sent += shared.send_first(items, room.min(items.len()))?;
        }
        Ok(sent)
    }
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Suspends the task until there is an item, and returns the oldest; whatever wakes
    /// [`Receiver::recv`] wakes the task. Receivers that share a notifier are awaited through
    /// [`crate::select`].
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing. One that is forgotten instead, woken or not,
    /// takes no wake-up of this ring from a later one. Where other channels share the notifier, it
    /// may take one of theirs.
    pub fn recv_async(&mut self) -> impl Future<Output = Result<T, Closed>> + Send {
        let shared = &*self.shared;
        shared.not_empty.until(|| shared.poll())
    }

    /// Suspends the task until there is an item, appends all items that are there, at most `max`,
    /// and returns how many. It wakes the sender once.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing.
    pub fn recv_batch_async(
        &mut self,
        items: &mut Vec<T>,
        max: usize,
    ) -> impl Future<Output = Result<usize, Closed>> + Send {
        let shared = &*self.shared;
        let wanted = max.min(shared.capacity());
        shared.not_empty.until(move || match shared.ready(wanted) {
            _ if max == 0 => Some(Ok(0)),
            Ok(0) => None,
            Ok(ready) => Some(Ok(shared.receive_all(items, ready.min(max)))),
            Err(Closed) => Some(Err(Closed)),
        })
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use super::*;
    use crate::Std;
    use crate::spsc::spsc;

    fn send<F: Send>(future: F) -> F {
        future
    }

    /// One place: the second send is pending until an item is taken. The futures may change
    /// threads.
    #[test]
    fn a_send_waits_for_room() {
        let (mut sender, mut receiver) = spsc::<Std, u32>(1, Backpressure::Block);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(pin!(send(sender.send_async(1))).poll(&mut context), Poll::Ready(Ok(())));
        {
            let mut second = pin!(send(sender.send_async(2)));
            assert_eq!(second.as_mut().poll(&mut context), Poll::Pending);
            assert_eq!(pin!(send(receiver.recv_async())).poll(&mut context), Poll::Ready(Ok(1)));
            assert_eq!(second.poll(&mut context), Poll::Ready(Ok(())));
        }
        receiver.close();
        let late = pin!(sender.send_async(3)).poll(&mut context);
        assert_eq!(late, Poll::Ready(Err(SendError::Closed(3))));
    }
}
