//! Room that a sender of a pool's queue keeps before it has the item to put there.
//!
//! **Invariants** (for I1 to I6 see the parent module).
//! - R1 A [`SendPermit`] is counted in `reserved`, under the senders' lock, from its creation until
//!   `send` puts an item or the drop gives the room back. `RESERVED` is set in `tail` as long as
//!   the count is not zero.
//! - R2 When room is given back, a sender that waits for it is woken. If the queue is closed, all
//!   receivers are woken after the last permit has gone: that may be the end that they wait for.
//! - R3 A permit that finds, under the lock, that the last receiver is gone puts nothing. What was
//!   put before that, the last receiver finds and drops.

use crate::error::SendError;
use crate::policy::Backpressure;
use crate::primitives::Ordering::{Relaxed, Release};
use crate::primitives::{Atomic, Mutex, Primitives};

use super::{CLOSED, ITEM, RESERVED, Refusal, Sender, Shared};

impl<P: Primitives, T: Send> Shared<P, T> {
    /// Keeps room for one item, or says why not.
    fn reserve(&self) -> Result<(), Refusal> {
        let mut turn = self.enter(1)?;
        turn.side.reserved += 1;
        // ORDERING: pairs with the acquiring look in `ready`: that look may find the items of
        // earlier senders through this store.
        self.sending.word.store(turn.word | RESERVED, Release);
        Ok(())
    }

    /// Gives up one permit: puts the item, if there is one, and leaves `None`, unless the last
    /// receiver is gone.
    fn settle(&self, item: &mut Option<T>) {
        let (was_put, is_end) = {
            let mut side = self.sending.side.lock();
            // ORDERING: none needed; the word changes only under this lock.
            let mut word = self.sending.word.load(Relaxed);
            let item = if side.is_gone { None } else { item.take() };
            let was_put = item.is_some();
            if let Some(item) = item {
                self.put(&mut side, item);
                word = word.wrapping_add(ITEM);
            }
            side.reserved -= 1;
            if side.reserved == 0 {
                word &= !RESERVED;
            }
            // ORDERING: pairs with the acquiring look in `ready`, for the item, and for the end.
            self.sending.word.store(word, Release);
            (was_put, word & (CLOSED | RESERVED) == CLOSED)
        };
        if is_end {
            self.not_empty.notify_all();
        } else if was_put {
            self.not_empty.notify_one();
        }
        if !was_put && self.on_full == Backpressure::Block {
            self.not_full.notify_one();
        }
    }
}

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Keeps room for one item. Blocks only with [`Backpressure::Block`], until an item is
    /// received, another permit is dropped, or the queue closes.
    ///
    /// # Errors
    /// [`SendError::Full`] with [`Backpressure::Refuse`]; [`SendError::Closed`].
    ///
    /// ```
    /// use blocksmith_sync::mpmc::mpmc;
    /// use blocksmith_sync::{Backpressure, Closed, SendError, Std};
    ///
    /// let (tasks, pool) = mpmc::<Std, u32>(1, Backpressure::Refuse);
    /// let place = tasks.reserve().unwrap();
    /// assert_eq!(tasks.send(1), Err(SendError::Full(1)));
    /// tasks.close();
    /// assert_eq!(place.send(2), Ok(())); // whatever others do
    /// assert_eq!((pool.recv(), pool.recv()), (Ok(2), Err(Closed)));
    /// ```
    pub fn reserve(&self) -> Result<SendPermit<P, T>, SendError<()>> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_reserve();
        }
        self.shared.not_full.wait_until(|| self.keep())
    }

    /// Keeps room for one item, without blocking.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`].
    pub fn try_reserve(&self) -> Result<SendPermit<P, T>, SendError<()>> {
        self.keep().unwrap_or(Err(SendError::Full(())))
    }

    /// Keeps room like [`Sender::reserve`], and suspends the task where that would block.
    ///
    /// # Errors
    /// As [`Sender::reserve`].
    ///
    /// # Cancel safety
    /// A future that is dropped keeps no room. One that has been woken, and is neither polled again
    /// nor dropped, withholds that wake-up from others.
    pub async fn reserve_async(&self) -> Result<SendPermit<P, T>, SendError<()>> {
        if self.shared.on_full == Backpressure::Refuse {
            return self.try_reserve();
        }
        self.shared.not_full.until(|| self.keep()).await
    }

    /// Keeps room, or says why it cannot; `None` means wait.
    fn keep(&self) -> Option<Result<SendPermit<P, T>, SendError<()>>> {
        match self.shared.reserve() {
            Ok(()) => Some(Ok(SendPermit { shared: self.shared.clone(), is_used: false })),
            Err(Refusal::Closed) => Some(Err(SendError::Closed(()))),
            Err(Refusal::Full) => None,
        }
    }
}

/// Room for one item, kept by [`Sender::reserve`]. Dropping the permit gives the room back, and
/// wakes a sender that waits for it.
#[must_use = "a permit that is dropped gives its room back"]
pub struct SendPermit<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    is_used: bool,
}

impl<P: Primitives, T: Send> SendPermit<P, T> {
    /// Sends the item to the reserved place. Never blocks, whatever the queue holds and even if it
    /// is closed.
    ///
    /// # Errors
    /// [`SendError::Closed`], with the item, if no receiver is left.
    pub fn send(mut self, item: T) -> Result<(), SendError<T>> {
        self.is_used = true;
        let mut item = Some(item);
        self.shared.settle(&mut item);
        item.map_or(Ok(()), |item| Err(SendError::Closed(item)))
    }

    /// Returns whether no receiver is left: nobody will see what is sent.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.shared.receivers_are_gone()
    }
}

impl<P: Primitives, T: Send> Drop for SendPermit<P, T> {
    fn drop(&mut self) {
        if !self.is_used && !P::reporting() {
            self.shared.settle(&mut None);
        }
    }
}
