//! Places that a sender keeps before it has the item to put there; see the parent module, and C1 to
//! C3 of `credits`.
//!
//! **Invariants** (for I1 to I7 see the parent module).
//! - R1 A [`SendPermit`] holds one reserved place from its creation until `send` uses the place or
//!   the drop gives it back. Each of these three is one change of the word.
//! - R2 When a place is given back, a sender that waits for one is woken. All that wait at
//!   the receiver are woken, too, since the end may have waited for that place (I7).
//! - R3 A sender that waits to reserve waits for the same as a blocked send, namely one place, and
//!   takes it when it finds one (R1 of the notifier). Where the number of permits is at its bound
//!   it does not wait, or waits no longer. It then leaves the place to others, and passes on the
//!   wake-up that it may have been given for it (R2 of the notifier).

use super::credits::Refusal;
use super::{OnFull, Sender, Shared};
use crate::error::SendError;
use crate::primitives::Primitives;

/// A place that was kept, or why it was not.
type Kept<P, T> = Result<SendPermit<P, T>, SendError<()>>;

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Keeps a place for one request. Blocks only with [`OnFull::Block`], until an item is
    /// received, another permit is dropped, or the mailbox closes. It never evicts.
    ///
    /// # Errors
    /// [`SendError::Full`] with another policy, or if 255 places are reserved;
    /// [`SendError::Closed`].
    ///
    /// ```
    /// use blocksmith_sync::mailbox::{OnFull, mailbox};
    /// use blocksmith_sync::{SendError, Std};
    ///
    /// let (sender, receiver) = mailbox::<Std, u32>(1, 0, OnFull::Refuse);
    /// let place = sender.reserve().unwrap();
    /// assert_eq!(sender.send(1), Err(SendError::Full(1)));
    /// assert_eq!(place.send(2), Ok(())); // whatever others do
    /// assert_eq!(receiver.recv(), Ok(2));
    /// ```
    pub fn reserve(&self) -> Result<SendPermit<P, T>, SendError<()>> {
        if self.shared.on_full != OnFull::Block {
            return self.try_reserve();
        }
        let kept = self.shared.not_full.wait_until(|| self.keep());
        self.pass_on(kept)
    }

    /// Keeps a place for one request, without blocking.
    ///
    /// # Errors
    /// [`SendError::Full`] and [`SendError::Closed`].
    pub fn try_reserve(&self) -> Result<SendPermit<P, T>, SendError<()>> {
        self.keep().unwrap_or(Err(SendError::Full(())))
    }

    /// Keeps a place like [`Sender::reserve`], and suspends the task where that would block.
    ///
    /// # Errors
    /// As [`Sender::reserve`].
    ///
    /// # Cancel safety
    /// A future that is dropped keeps no place. One that has been woken, and is neither polled
    /// again nor dropped, withholds that wake-up from others.
    pub async fn reserve_async(&self) -> Result<SendPermit<P, T>, SendError<()>> {
        if self.shared.on_full != OnFull::Block {
            return self.try_reserve();
        }
        let kept = self.shared.not_full.until(|| self.keep()).await;
        self.pass_on(kept)
    }

    /// Keeps a place, or says why it cannot; `None` means wait (R3).
    fn keep(&self) -> Option<Kept<P, T>> {
        match self.shared.credits.reserve() {
            Ok(()) => Some(Ok(SendPermit { shared: self.shared.clone(), is_used: false })),
            Err(Refusal::Closed) => Some(Err(SendError::Closed(()))),
            Err(Refusal::Reserved) => Some(Err(SendError::Full(()))),
            Err(Refusal::Full) => None,
        }
    }

    /// Ends a wait. If it ends for the bound on permits, the wake-up that may have ended it was for
    /// a place that this sender has not taken: it wakes another sender (R3).
    fn pass_on(&self, kept: Kept<P, T>) -> Kept<P, T> {
        if matches!(kept, Err(SendError::Full(()))) {
            self.shared.not_full.notify_one();
        }
        kept
    }
}

/// A place for one request, kept by [`Sender::reserve`]. Dropping the permit gives the place back,
/// and wakes a sender that waits for one.
#[must_use = "a permit that is dropped gives its place back"]
pub struct SendPermit<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    is_used: bool,
}

impl<P: Primitives, T: Send> SendPermit<P, T> {
    /// Sends the item to the reserved place. Never blocks, whatever the mailbox holds and even if
    /// it is closed.
    ///
    /// # Errors
    /// [`SendError::Closed`], with the item, if the receiver is gone.
    pub fn send(mut self, item: T) -> Result<(), SendError<T>> {
        let Some(claim) = self.shared.credits.use_reserved() else {
            return Err(SendError::Closed(item)); // the drop gives the place back
        };
        self.is_used = true;
        self.shared.push(claim, item, false);
        Ok(())
    }

    /// Returns whether the receiver is gone: nobody will see what is sent.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.shared.receivers_are_gone()
    }
}

impl<P: Primitives, T: Send> Drop for SendPermit<P, T> {
    fn drop(&mut self) {
        if !self.is_used && !P::reporting() {
            self.shared.credits.drop_reserved();
            // R2.
            self.shared.not_full.notify_one();
            self.shared.not_empty.notify_all(); // I7
        }
    }
}
