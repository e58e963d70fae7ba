//! What the receiver has taken and not yet given back: credits, and wake-ups of senders.
//!
//! **Contract.** Only the receiver, which is one thread at a time (I3 of the parent module), calls
//! functions with a `hand`. The hand is empty after each of [`Shared::release`], [`Shared::drain`]
//! and [`Shared::ended`] (I4).

use core::cell::Cell;

use super::queue::Front;
use super::{OnFull, Shared};
use crate::error::Closed;
use crate::primitives::Primitives;

/// Blocked senders are woken for this many batches of credits at once (I4): half of the capacity.
const WAKE_BATCHES: u32 = 4;

/// Returns how many credits make a batch, and after how many returned credits senders are woken.
pub(super) fn batches(capacity: usize, on_full: OnFull) -> (u32, u32) {
    let batch = match on_full {
        OnFull::Block => (capacity as u32 / 8).max(1),
        OnFull::Refuse | OnFull::EvictOldest => 1,
    };
    (batch, if batch == 1 { 1 } else { batch * WAKE_BATCHES })
}

/// What the receiver has in hand (I4).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hand {
    /// Items taken whose credits have not been returned.
    requests: u32,
    replies: u32,
    /// Requests whose credits have been returned, but for which no sender has been woken.
    returned: u32,
}

impl<P: Primitives, T: Send> Shared<P, T> {
    /// Returns the oldest item, or that nothing more can come; `None` means wait.
    pub(super) fn poll(&self, hand: &Cell<Hand>) -> Option<Result<T, Closed>> {
        match self.take(hand) {
            Some(item) => {
                self.release_batch(hand);
                Some(Ok(item))
            }
            None => self.ended(hand).then_some(Err(Closed)),
        }
    }

    /// Takes the oldest item, if it is written, and keeps its credit.
    pub(super) fn take(&self, hand: &Cell<Hand>) -> Option<T> {
        if self.on_full == OnFull::EvictOldest {
            let (item, reply) = self.take_locked()?;
            self.count(hand, reply);
            return Some(item);
        }
        self.queue.front().map(|front| self.take_front(hand, &front))
    }

    /// Takes what the queue's `front` has returned, and keeps its credit. It must not be used where
    /// there are evictors.
    #[inline]
    pub(super) fn take_front(&self, hand: &Cell<Hand>, front: &Front<P, T>) -> T {
        self.count(hand, front.reply);
        self.queue.pop(front, || self.credits.tail())
    }

    /// Counts an item that has been taken.
    #[inline]
    fn count(&self, hand: &Cell<Hand>, reply: bool) {
        let mut held = hand.get();
        held.requests += u32::from(!reply);
        held.replies += u32::from(reply);
        hand.set(held);
        self.queue.received().add(1);
    }

    /// Takes the items that are written, at most `max`, and returns their credits.
    pub(super) fn drain(&self, hand: &Cell<Hand>, items: &mut Vec<T>, max: usize) -> usize {
        let mut count = 0;
        while count < max
            && let Some(item) = self.take(hand)
        {
            items.push(item);
            count += 1;
        }
        self.release(hand);
        count
    }

    /// Returns whether nothing more can come, after the queue has been found empty.
    pub(super) fn ended(&self, hand: &Cell<Hand>) -> bool {
        self.release(hand);
        self.credits.is_finished()
    }

    /// Returns the credits if there is a batch of them, and wakes senders if there is room enough
    /// (I4).
    #[inline]
    pub(super) fn release_batch(&self, hand: &Cell<Hand>) {
        let Hand { requests, replies, .. } = hand.get();
        if requests + replies >= self.batch {
            let returned = self.return_credits(hand);
            if returned >= self.wake_at {
                self.wake_senders(hand);
            }
        }
    }

    /// Returns all withheld credits, and wakes the senders that wait for them (I4). It looks again
    /// after that, for a waker may have received through the same end.
    pub(super) fn release(&self, hand: &Cell<Hand>) {
        while hand.get() != Hand::default() {
            self.return_credits(hand);
            self.wake_senders(hand);
        }
    }

    /// Gives back all withheld credits; returns for how many returned credits no sender has been
    /// woken.
    fn return_credits(&self, hand: &Cell<Hand>) -> u32 {
        let Hand { requests, replies, returned } = hand.get();
        self.credits.release(requests, replies);
        let returned = returned + requests;
        hand.set(Hand { requests: 0, replies: 0, returned });
        returned
    }

    fn wake_senders(&self, hand: &Cell<Hand>) {
        let Hand { returned, .. } = hand.take();
        if self.on_full == OnFull::Block && returned > 0 {
            self.not_full.notify_many(returned);
        }
    }
}
