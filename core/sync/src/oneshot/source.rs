//! A one-shot as a source of a [select](crate::select): its value or its end counts as one message.
//!
//! The select's waker takes the place of the waker of a task that awaits the receiver. So the state
//! machine of the parent module is unchanged, and a one-shot that no select uses has nothing more
//! to do. A waker that is left behind when the wait ends causes one spurious wake-up of the select.

use core::task::Waker;

use super::{Receiver, TryRecvError};
use crate::error::Closed;
use crate::notifier::EventNotifier;
use crate::primitives::Primitives;
use crate::select::Source;

impl<P: Primitives, T: Send> Source<P> for Receiver<P, T> {
    type Item = T;
    const ONCE: bool = true;

    fn look(&mut self) -> Option<Result<T, Closed>> {
        match self.take() {
            Ok(value) => Some(Ok(value)),
            Err(TryRecvError::Closed) => Some(Err(Closed)),
            Err(TryRecvError::Empty) => None,
        }
    }

    fn notifier(&self) -> Option<&EventNotifier<P>> {
        None
    }

    fn register(&mut self, waker: &Waker) {
        // If the sender has ended instead, the look that follows finds what it left.
        let _ = Self::register(self, waker.clone());
    }
}
