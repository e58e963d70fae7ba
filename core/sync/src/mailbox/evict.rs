//! Taking turns at the receiver's side of a mailbox whose senders evict.
//!
//! **Contract.** Whoever takes from the queue, the receiver or an evictor, holds one lock for that
//! one item (I3, I5 of the module above). The lock is never held across a wait.
//!
//! A lock goes to whoever runs. On a core that they share, a busy sender would leave the receiver
//! no more than the moments at which it happens to be interrupted without the lock. So an evictor
//! yields, without the lock and after it has pushed its item, each time that evictors have taken
//! [`PATIENCE`] requests since the receiver looked last: a receiver that waits for its turn runs
//! then, and finds the mailbox full. What is accepted, evicted or received does not depend on it.

use std::collections::VecDeque;

use super::Shared;
use super::credits::{Claim, Refusal};
use crate::primitives::{Mutex, Primitives};

/// So many evictions without a look of the receiver, and each time as many more, make an evictor
/// yield.
const PATIENCE: u32 = 64;

/// What is reached under the lock, beside the queue.
pub(super) struct Aside<T> {
    /// Replies that evictors found in front of the oldest request (I5).
    replies: VecDeque<T>,
    /// How many requests they have taken since the receiver looked last.
    evictions: u32,
}

impl<T> Default for Aside<T> {
    fn default() -> Self {
        Self { replies: VecDeque::new(), evictions: 0 }
    }
}

/// A request has been accepted.
pub(super) struct Eviction<T> {
    /// The one that had to go for it.
    pub(super) evicted: Option<T>,
    pub(super) claim: Claim,
    /// Whether the caller is to yield, once it has pushed its item.
    pub(super) yields: bool,
}

impl<P: Primitives, T: Send> Shared<P, T> {
    /// Takes the oldest item, if it is written, under the lock that evictors take. Receiver only.
    pub(super) fn take_locked(&self) -> Option<(T, bool)> {
        let mut aside = self.consumer.lock();
        aside.evictions = 0;
        match aside.replies.pop_front() {
            Some(item) => Some((item, true)),
            None => self.pop_front(),
        }
    }

    /// Takes the oldest item, if it is written, and says whether it is a reply; under the lock (I3).
    fn pop_front(&self) -> Option<(T, bool)> {
        let front = self.queue.front()?;
        Some((self.queue.pop(&front, || self.credits.tail()), front.reply))
    }

    /// Accepts a request, for which it makes room by taking the oldest (I5); `Err` is `Closed`,
    /// or `Reserved`: there is nothing to evict.
    pub(super) fn accept_or_evict(&self) -> Result<Eviction<T>, Refusal> {
        let mark = P::mark();
        loop {
            {
                let mut aside = self.consumer.lock();
                match self.credits.accept_or_confirm_full() {
                    Ok(claim) => return Ok(Eviction { evicted: None, claim, yields: false }),
                    Err(Refusal::Full) => {}
                    Err(refusal) => return Err(refusal),
                }
                while let Some((item, reply)) = self.pop_front() {
                    if !reply {
                        self.counts.evicted();
                        aside.evictions = aside.evictions.wrapping_add(1);
                        let yields = aside.evictions.is_multiple_of(PATIENCE);
                        let claim = self.credits.replace();
                        return Ok(Eviction { evicted: Some(item), claim, yields });
                    }
                    aside.replies.push_back(item);
                }
            }
            // The oldest request is accepted but not written: its sender is a few instructions away.
            P::yield_now();
            P::rewind(mark);
        }
    }
}
