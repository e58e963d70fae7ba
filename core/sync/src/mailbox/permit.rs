//! Reply slots that are reserved before the question is asked; see the parent module, and C1 of
//! `credits`.

use super::Shared;
use crate::error::SendError;
use crate::primitives::Primitives;

/// A reserved reply slot. Dropping it returns the slot.
#[must_use = "a permit that is dropped delivers nothing"]
pub struct Permit<P: Primitives, T: Send> {
    shared: P::Arc<Shared<P, T>>,
    done: bool,
}

impl<P: Primitives, T: Send> Permit<P, T> {
    /// Makes a permit; the caller has reserved the slot.
    pub(super) fn new(shared: P::Arc<Shared<P, T>>) -> Self {
        Self { shared, done: false }
    }

    /// Delivers the item. Never blocks, whatever the mailbox holds and even if it is closed.
    ///
    /// # Errors
    /// [`SendError::Closed`], with the item, if the receiver is gone.
    pub fn send(mut self, item: T) -> Result<(), SendError<T>> {
        self.done = true;
        let Some(claim) = self.shared.credits.use_permit() else {
            return Err(SendError::Closed(item));
        };
        self.shared.push(claim, item, true);
        Ok(())
    }

    /// Returns whether the receiver is gone: nobody will see what is sent.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.shared.receivers_are_gone()
    }
}

impl<P: Primitives, T: Send> Drop for Permit<P, T> {
    fn drop(&mut self) {
        if !self.done {
            self.shared.credits.drop_permit();
            self.shared.not_empty.notify_all(); // I7
        }
    }
}
