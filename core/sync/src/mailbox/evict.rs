//! How senders that evict and the receiver take turns at the receiver's side of a mailbox.
//!
//! **Contract.** A thread that takes an item from the queue, be it the receiver or an evictor,
//! holds one lock for that one item (I3 and I5 of the parent module). The lock is never held across
//! a wait.
//!
//! A lock goes to the thread that runs. On a core that both share, a busy sender would leave the
//! receiver only the moments in which the sender happens to be interrupted without the lock. So an
//! evictor yields, without the lock and after it has pushed its item, each time that evictors have
//! taken [`PATIENCE`] requests since the receiver last looked. A receiver that waits for its turn
//! then runs, and finds the mailbox full. What is accepted, evicted or received does not depend on
//! this.

use std::collections::VecDeque;

use super::Shared;
use super::credits::{Claim, Refusal};
use crate::primitives::{Mutex, Primitives};

/// An evictor yields after this many evictions without a look by the receiver, and again after each
/// further as many.
const PATIENCE: u32 = 64;

/// What is accessed under the lock besides the queue.
pub(super) struct Aside<T> {
    /// Replies that evictors found in front of the oldest request (I5).
    replies: VecDeque<T>,
    /// How many requests evictors have taken since the receiver last looked.
    evictions: u32,
}

impl<T> Default for Aside<T> {
    fn default() -> Self {
        Self { replies: VecDeque::new(), evictions: 0 }
    }
}

/// The outcome when a request has been accepted.
pub(super) struct Eviction<T> {
    /// The request that was evicted for it.
    pub(super) evicted: Option<T>,
    pub(super) claim: Claim,
    /// Whether the caller must yield once it has pushed its item.
    pub(super) yields: bool,
}

impl<P: Primitives, T: Send> Shared<P, T> {
    /// Takes the oldest item, if it is written, under the lock that evictors take, too. Receiver
    /// only.
    pub(super) fn take_locked(&self) -> Option<(T, bool)> {
        let mut aside = self.consumer.lock();
        aside.evictions = 0;
        match aside.replies.pop_front() {
            Some(item) => Some((item, true)),
            None => self.pop_front(),
        }
    }

    /// Takes the oldest item, if it is written, and says whether it is a reply. The caller holds
    /// the lock (I3).
    fn pop_front(&self) -> Option<(T, bool)> {
        let front = self.queue.front()?;
        Some((self.queue.pop(&front, || self.credits.tail()), front.reply))
    }

    /// Accepts a request; if there is no room, makes room by taking the oldest request (I5). `Err`
    /// is `Closed`, or `Reserved` if there is nothing to evict.
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
            // The oldest request is accepted but not written: its sender is a few instructions
            // away.
            P::yield_now();
            P::rewind(mark);
        }
    }
}
