//! The services' side of the notices: a mailbox that evicts its oldest notice when it is full.

use blocksmith_sync::Primitives;
use blocksmith_sync::mailbox::{self, Counters, Meter, OnFull};

use crate::consensus::Consensus;
use crate::notice::NoticeOf;

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
    pub(crate) fn new(capacity: usize) -> (Self, mailbox::Receiver<P, NoticeOf<C>>) {
        let (mailbox, receiver) = mailbox::mailbox(capacity, 0, OnFull::EvictOldest);
        (Self { mailbox }, receiver)
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
