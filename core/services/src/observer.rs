//! The notices' way to the node: a bounded log that says how much of it is missing.

use std::iter::from_fn;
use std::time::Duration;

use blocksmith_sync::mailbox::{self, Counters, Meter, OnFull};
use blocksmith_sync::{Closed, Primitives, RecvTimeoutError, TryRecvError};

use crate::consensus::Consensus;
use crate::notice::{Notice, NoticeOf};

/// Sends notices to the node, whether or not it listens; never blocks.
pub(crate) struct Observer<P: Primitives, C: Consensus> {
    mailbox: mailbox::Sender<P, NoticeOf<C>>,
}

impl<P: Primitives, C: Consensus> Clone for Observer<P, C> {
    fn clone(&self) -> Self {
        Self { mailbox: self.mailbox.clone() }
    }
}

impl<P: Primitives, C: Consensus> Observer<P, C> {
    /// Returns an observer and the receiver of its notices. Beyond `capacity` unread notices, the
    /// oldest is evicted and counted.
    pub(crate) fn new(capacity: usize) -> (Self, NoticeReceiver<P, C>) {
        let (mailbox, receiver) = mailbox::mailbox(capacity, 0, OnFull::EvictOldest);
        (Self { mailbox }, NoticeReceiver { mailbox: receiver, told: 0 })
    }

    /// Sends a notice. The mailbox counts a notice that it evicts; a closed mailbox means that
    /// nobody listens.
    pub(crate) fn tell(&self, notice: NoticeOf<C>) {
        drop(self.mailbox.send(notice));
    }

    pub(crate) fn counters(&self) -> Counters {
        self.mailbox.counters()
    }

    /// Returns the meter of the unread notices.
    pub(crate) fn meter(&self) -> Meter<P, NoticeOf<C>> {
        self.mailbox.meter()
    }
}

/// The receiver of the notices: a log of at most [`super::Config::notices`] unread ones.
///
/// A reader that falls behind loses the oldest. It is told so: the next call returns
/// [`Notice::Lost`] with the number of notices that are missing at this place of the log. What must
/// not be lost is a state, which is read elsewhere: head and finality by
/// [`super::Client::watch_chain`], the load level by [`super::Client::broker`]. What an item waits
/// for is told again (see [`Notice::Need`]).
pub struct NoticeReceiver<P: Primitives, C: Consensus> {
    mailbox: mailbox::Receiver<P, NoticeOf<C>>,
    /// How many of the evicted notices the reader knows of.
    told: u64,
}

impl<P: Primitives, C: Consensus> NoticeReceiver<P, C> {
    /// Blocks until there is a notice and returns it.
    ///
    /// # Errors
    /// If the services have stopped and every notice was read.
    pub fn recv(&mut self) -> Result<NoticeOf<C>, Closed> {
        self.lost().map_or_else(|| self.mailbox.recv(), Ok)
    }

    /// Returns a notice if there is one, without blocking.
    ///
    /// # Errors
    /// If there is none, or if the services have stopped and every notice was read.
    pub fn try_recv(&mut self) -> Result<NoticeOf<C>, TryRecvError> {
        self.lost().map_or_else(|| self.mailbox.try_recv(), Ok)
    }

    /// Blocks until there is a notice, at most for `timeout`.
    ///
    /// # Errors
    /// If there is none in time, or if the services have stopped and every notice was read.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<NoticeOf<C>, RecvTimeoutError> {
        self.lost().map_or_else(|| self.mailbox.recv_timeout(timeout), Ok)
    }

    /// As [`NoticeReceiver::recv`], for an async task. A call that is dropped loses nothing.
    ///
    /// # Errors
    /// As [`NoticeReceiver::recv`].
    pub async fn recv_async(&mut self) -> Result<NoticeOf<C>, Closed> {
        match self.lost() {
            Some(notice) => Ok(notice),
            None => self.mailbox.recv_async().await,
        }
    }

    /// Returns the notices as they come; blocks between them. It ends when the services have
    /// stopped.
    pub fn iter(&mut self) -> impl Iterator<Item = NoticeOf<C>> {
        from_fn(|| self.recv().ok())
    }

    /// Returns depth and totals, without blocking.
    pub fn counters(&self) -> Counters {
        self.mailbox.counters()
    }

    /// Returns what is to be told of evicted notices. They were the oldest, so they are missing
    /// before the one that is read next.
    fn lost(&mut self) -> Option<NoticeOf<C>> {
        let evicted = self.mailbox.counters().evicted;
        let count = evicted.wrapping_sub(self.told);
        self.told = evicted;
        (count > 0).then_some(Notice::Lost { count })
    }
}

#[cfg(test)]
mod tests {
    use blocksmith_sync::{Std, TryRecvError};

    use super::Observer;
    use crate::notice::Notice;
    use crate::toy::Toy;

    #[test]
    fn a_reader_that_falls_behind_is_told_how_much_is_missing_and_where() {
        // Room for two: of five notices three are lost, and of the next three one.
        let (observer, mut notices) = Observer::<Std, Toy>::new(2);
        (0..5).for_each(|root| observer.tell(Notice::Need { root }));
        let need = |root| Ok(Notice::Need { root });
        let counters = observer.counters();
        assert_eq!((counters.sent, counters.evicted, counters.depth), (5, 3, 2));
        assert_eq!(notices.counters(), counters);
        assert_eq!(notices.recv(), Ok(Notice::Lost { count: 3 }));
        assert_eq!(notices.try_recv(), need(3));
        assert_eq!(notices.try_recv(), need(4));
        assert_eq!(notices.try_recv(), Err(TryRecvError::Empty));
        (5..8).for_each(|root| observer.tell(Notice::Need { root }));
        assert_eq!(notices.try_recv(), Ok(Notice::Lost { count: 1 }));
        drop(observer);
        assert_eq!(notices.iter().count(), 2);
    }
}
