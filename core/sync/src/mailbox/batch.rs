//! Batches of a mailbox: many items, one change of the credits, one notification.
//!
//! For I1 to I7 see the parent module. The items of a batch that are accepted at once have
//! consecutive positions, so that no item of another sender comes between them; then the receiver
//! is notified once.

use core::mem;

use super::credits::{COUNT, Claim, Refusal};
use super::evict::Eviction;
use super::{OnFull, Receiver, Sender};
use crate::error::Closed;
use crate::primitives::Primitives;

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends items from the front of the vector as the policy says, and returns how many: with
    /// [`OnFull::Block`] all of them, with [`OnFull::Refuse`] as many as there is room for. Items
    /// that are not accepted stay in the vector. The call notifies the receiver once each time that
    /// it has filled the mailbox, and in between it blocks like [`Sender::send`].
    ///
    /// With [`OnFull::EvictOldest`] all of them are sent, and the vector then holds the evicted
    /// requests, the oldest first. If the batch is larger than the capacity, its own first items
    /// are among them. If the mailbox is closed meanwhile, or all its places are reserved, the
    /// items that were not accepted follow them in the vector.
    ///
    /// # Errors
    /// [`Closed`] if the mailbox is or becomes closed; the items that were not accepted are in the
    /// vector. With [`OnFull::EvictOldest`], only if no item was accepted.
    ///
    /// ```
    /// use blocksmith_sync::Std;
    /// use blocksmith_sync::mailbox::{Closed, OnFull, mailbox};
    ///
    /// let (sender, receiver) = mailbox::<Std, u32>(2, 0, OnFull::EvictOldest);
    /// let mut batch = vec![1, 2, 3];
    /// assert_eq!((sender.send_batch(&mut batch), &*batch), (Ok(3), &[1][..]));
    /// assert!(receiver.try_iter().eq([2, 3]));
    /// receiver.close();
    /// assert_eq!((sender.send_batch(&mut batch), batch), (Err(Closed), vec![1]));
    /// ```
    pub fn send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        if self.shared.on_full != OnFull::Block || items.is_empty() {
            return self.try_send_batch(items);
        }
        let mut sent = 0;
        while !items.is_empty() {
            sent += self.shared.not_full.wait_until(|| self.offer_batch(items))?;
        }
        Ok(sent)
    }

    /// Sends as many items from the front of the vector as there is room for, without blocking, and
    /// returns how many. The others stay in the vector; they count as refused. With
    /// [`OnFull::EvictOldest`] it does what [`Sender::send_batch`] does.
    ///
    /// # Errors
    /// [`Closed`] if the mailbox is closed; the vector is unchanged.
    pub fn try_send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        if items.is_empty() {
            return if self.is_closed() { Err(Closed) } else { Ok(0) };
        }
        if self.shared.on_full == OnFull::EvictOldest {
            return self.send_and_evict(items);
        }
        let sent = self.offer_batch(items).unwrap_or(Ok(0))?;
        self.shared.counts.refused(items.len() as u64);
        Ok(sent)
    }

    /// Sends like [`Sender::send_batch`], and suspends the task where that would block.
    ///
    /// # Errors
    /// As [`Sender::send_batch`].
    ///
    /// # Cancel safety
    /// Items that have been sent before the future is dropped stay sent; all others are in the
    /// vector. If the future is forgotten instead, it keeps a wake-up that it had been given, as
    /// that of [`Sender::send_async`] does.
    pub async fn send_batch_async(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        if self.shared.on_full != OnFull::Block || items.is_empty() {
            return self.try_send_batch(items);
        }
        let mut sent = 0;
        while !items.is_empty() {
            sent += self.shared.not_full.until(|| self.offer_batch(items)).await?;
        }
        Ok(sent)
    }

    /// Sends the first items, as many as there are credits for, but at least one; `None` means
    /// wait.
    fn offer_batch(&self, items: &mut Vec<T>) -> Option<Result<usize, Closed>> {
        let shared = &*self.shared;
        match shared.credits.accept(items.len()) {
            Ok(Claim { first, count, depth }) => {
                let count = count as usize;
                for (index, item) in items.drain(..count).enumerate() {
                    shared.queue.push(first.wrapping_add(index as u32) & COUNT, item, false);
                }
                shared.counts.depth_seen(depth);
                shared.not_empty.notify_all(); // I7
                Some(Ok(count))
            }
            Err(Refusal::Closed) => Some(Err(Closed)),
            Err(_) => None,
        }
    }

    /// Sends all items, one by one; leaves in the vector the evicted ones, and those that could not
    /// be sent because the mailbox closed.
    fn send_and_evict(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        let shared = &*self.shared;
        let mut sent = 0;
        let mut rest = mem::take(items).into_iter();
        let mut is_closed = shared.credits.is_closed();
        let mut is_over = is_closed;
        while !is_over && let Some(item) = rest.next() {
            let accepted = match shared.credits.accept(1) {
                Ok(claim) => Ok(Eviction { evicted: None, claim, yields: false }),
                Err(Refusal::Full) => shared.accept_or_evict(),
                Err(refusal) => Err(refusal),
            };
            match accepted {
                Ok(Eviction { evicted, claim, yields }) => {
                    // The item is pushed at once: an evictor waits for the oldest item, which may
                    // be this one.
                    shared.queue.push(claim.first, item, false);
                    shared.counts.depth_seen(claim.depth);
                    items.extend(evicted);
                    sent += 1;
                    if yields {
                        P::yield_now();
                    }
                }
                Err(refusal) => {
                    items.push(item);
                    is_closed = refusal == Refusal::Closed;
                    is_over = true;
                }
            }
        }
        items.extend(rest);
        if sent > 0 {
            shared.not_empty.notify_all(); // I7
        }
        if is_closed && sent == 0 { Err(Closed) } else { Ok(sent) }
    }
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Blocks until there is an item, appends all items that are there, at most `max`, and returns
    /// how many.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    pub fn recv_batch(&self, items: &mut Vec<T>, max: usize) -> Result<usize, Closed> {
        if max == 0 {
            return Ok(0);
        }
        items.push(self.recv()?);
        Ok(1 + self.drain(items, max - 1))
    }

    /// Suspends the task where [`Receiver::recv_batch`] blocks its thread.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing (A1 of `task`). One that is forgotten instead
    /// takes no wake-up from a later one, as that of [`Receiver::recv_async`].
    pub fn recv_batch_async(
        &mut self,
        items: &mut Vec<T>,
        max: usize,
    ) -> impl Future<Output = Result<usize, Closed>> + Send {
        let Self { shared, hand, .. } = self;
        let shared = &**shared;
        shared.not_empty.until(move || {
            let count = shared.drain(hand, items, max);
            match count {
                0 if max > 0 => shared.ended(hand).then_some(Err(Closed)),
                _ => Some(Ok(count)),
            }
        })
    }

    /// Appends the items that are written, at most `max`, and returns how many. Does not block.
    pub fn drain(&self, items: &mut Vec<T>, max: usize) -> usize {
        self.shared.drain(&self.hand, items, max)
    }
}
