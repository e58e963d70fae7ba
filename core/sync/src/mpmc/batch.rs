//! Batches of a pool's queue: many items, one lock, one notification.
//!
//! For I1 to I6 see the parent module. To it, a batch is the same as that many items in direct
//! succession.

use crate::error::Closed;
use crate::policy::Backpressure;
use crate::primitives::Primitives;

use super::{Receiver, Refusal, Sender, Shared};

impl<P: Primitives, T: Send> Shared<P, T> {
    /// Puts the first items into places, as many as there is room for, but at least one; or says
    /// why not.
    fn offer_batch(&self, items: &mut Vec<T>) -> Result<usize, Refusal> {
        let mut turn = self.enter(items.len())?;
        let count = turn.count as usize;
        for item in items.drain(..count) {
            self.put(&mut turn.side, item);
        }
        self.sent(turn);
        Ok(count)
    }

    /// Appends the oldest items, at most `max`, and returns how many; 0 means wait. The vector is
    /// grown by the number of items that are there before the lock is taken, so that pushing under
    /// the lock neither allocates nor panics.
    fn receive_batch(&self, items: &mut Vec<T>, mut max: usize) -> Result<usize, Closed> {
        loop {
            let Some(mut turn) = self.visit(max)? else { return Ok(0) };
            let count = turn.count as usize;
            if count > items.capacity() - items.len() {
                drop(turn);
                items.reserve(count);
                max = count; // items that have come meanwhile belong to a later moment
                continue;
            }
            (0..count).for_each(|_| items.push(self.take(&mut turn.side)));
            self.received(turn);
            return Ok(count);
        }
    }

    /// Like `offer_batch`; `None` means wait.
    fn offer_some(&self, items: &mut Vec<T>) -> Option<Result<usize, Closed>> {
        match self.offer_batch(items) {
            Ok(count) => Some(Ok(count)),
            Err(Refusal::Closed) => Some(Err(Closed)),
            Err(Refusal::Full) => None,
        }
    }
}

impl<P: Primitives, T: Send> Sender<P, T> {
    /// Sends items from the front of the vector as the policy says, and returns how many: with
    /// [`Backpressure::Block`] all of them, with `Refuse` as many as there is room for. Items that
    /// are not accepted stay in the vector. Each time that the call has filled the queue, it wakes
    /// a receiver for each item; in between it blocks like [`Sender::send`], and other senders'
    /// items may come in.
    ///
    /// # Errors
    /// [`Closed`] if the queue is or becomes closed; the items that were not accepted are in the
    /// vector.
    ///
    /// ```
    /// use blocksmith_sync::mpmc::mpmc;
    /// use blocksmith_sync::{Backpressure, Closed, Std};
    ///
    /// let (tasks, pool) = mpmc::<Std, u32>(2, Backpressure::Refuse);
    /// let mut batch = vec![1, 2, 3];
    /// assert_eq!((tasks.send_batch(&mut batch), &*batch), (Ok(2), &[3][..]));
    /// assert!(pool.try_iter().eq([1, 2]));
    /// pool.close();
    /// assert_eq!((tasks.send_batch(&mut batch), batch), (Err(Closed), vec![3]));
    /// ```
    pub fn send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        if self.shared.on_full == Backpressure::Refuse || items.is_empty() {
            return self.try_send_batch(items);
        }
        let mut sent = 0;
        while !items.is_empty() {
            sent += self.shared.not_full.wait_until(|| self.shared.offer_some(items))?;
        }
        Ok(sent)
    }

    /// Sends as many items from the front of the vector as there is room for, without blocking, and
    /// returns how many. The others stay in the vector; they count as refused.
    ///
    /// # Errors
    /// [`Closed`] if the queue is closed; the vector is unchanged.
    pub fn try_send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        if items.is_empty() {
            return if self.is_closed() { Err(Closed) } else { Ok(0) };
        }
        let sent = self.shared.offer_some(items).unwrap_or(Ok(0))?;
        self.shared.counts.refused(items.len() as u64);
        Ok(sent)
    }

    /// Sends like [`Sender::send_batch`], and suspends the task where that would block.
    ///
    /// # Errors
    /// [`Closed`] if the queue is or becomes closed; the items that were not accepted are in the
    /// vector.
    ///
    /// # Cancel safety
    /// Items that have been sent before the future is dropped stay sent; all others are in the
    /// vector. If the future is forgotten instead, it keeps a wake-up that it had been given, as
    /// that of [`Sender::send_async`] does.
    pub async fn send_batch_async(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
        if self.shared.on_full == Backpressure::Refuse || items.is_empty() {
            return self.try_send_batch(items);
        }
        let mut sent = 0;
        while !items.is_empty() {
            sent += self.shared.not_full.until(|| self.shared.offer_some(items)).await?;
        }
        Ok(sent)
    }
}

impl<P: Primitives, T: Send> Receiver<P, T> {
    /// Blocks until there is an item, appends all items that are there, at most `max`, and returns
    /// how many. It reserves room in the vector for just those, and wakes one sender for each.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    pub fn recv_batch(&self, items: &mut Vec<T>, max: usize) -> Result<usize, Closed> {
        self.shared.not_empty.wait_until(|| self.receive_some(items, max))
    }

    /// Suspends the task where [`Receiver::recv_batch`] blocks its thread.
    ///
    /// # Errors
    /// [`Closed`] when nothing more can come.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing. If it is forgotten instead, it keeps a wake-up
    /// that it had been given, as that of [`Receiver::recv_async`] does.
    pub fn recv_batch_async(
        &self,
        items: &mut Vec<T>,
        max: usize,
    ) -> impl Future<Output = Result<usize, Closed>> + Send {
        self.shared.not_empty.until(move || self.receive_some(items, max))
    }

    /// Appends the items that are there, at most `max`, and returns how many. Does not block.
    pub fn drain(&self, items: &mut Vec<T>, max: usize) -> usize {
        self.shared.receive_batch(items, max).unwrap_or(0)
    }

    /// Returns how many were received, or that nothing more can come; `None` means wait.
    fn receive_some(&self, items: &mut Vec<T>, max: usize) -> Option<Result<usize, Closed>> {
        if max == 0 {
            return Some(Ok(0));
        }
        let received = self.shared.receive_batch(items, max);
        (received != Ok(0)).then_some(received)
    }
}
