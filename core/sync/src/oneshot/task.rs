//! A one-shot's receiver for tasks: it puts a waker into its cell where a thread would sleep.
//!
//! For I1 to I5 see the parent module.

use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::{EMPTY, Own, REGISTERED, Receiver, TryRecvError, WAITING};
use crate::error::Closed;
use crate::primitives::Ordering::{Relaxed, Release};
use crate::primitives::{Atomic, Cell, Primitives};

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Puts a waker into its cell and announces that; returns whether the sender will wake it (if
    /// not, the sender has ended).
    pub(super) fn register(&self, waker: Waker) -> bool {
        // ORDERING: none needed; a sender that ends after this look is seen by the exchange below.
        let before = match self.shared().state.load(Relaxed) {
            REGISTERED if self.retract() => EMPTY,
            found @ (EMPTY | WAITING) => found,
            _ => {
                P::contain(|| drop(waker));
                return false;
            }
        };
        // SAFETY: I4: the state is not `REGISTERED`, and only this end can make it so.
        let old = self.shared().waker.with_mut(|cell| unsafe { (*cell).replace(waker) });
        P::contain(|| drop(old));
        // ORDERING: pairs with the acquiring swap in `Sender::end`.
        let state = &self.shared().state;
        let registered = state.compare_exchange(before, REGISTERED, Release, Relaxed).is_ok();
        if registered {
            self.set_own(Own::Announced);
        }
        registered
    }
}

/// Awaits what [`Receiver::recv`] blocks for. Dropping the future drops the receiver.
impl<P: Primitives, T: Send> Future for Receiver<P, T> {
    type Output = Result<T, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.take() {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(TryRecvError::Closed) => return Poll::Ready(Err(Closed)),
                // The clone is made first: foreign code runs before the state is touched.
                Err(TryRecvError::Empty) if self.register(context.waker().clone()) => {
                    return Poll::Pending;
                }
                // The sender has ended: the next look finds what it left.
                Err(TryRecvError::Empty) => {}
            }
        }
    }
}

// The value is in the allocation: moving the receiver moves nothing that is pointed to.
impl<P: Primitives, T: Send> Unpin for Receiver<P, T> {}
