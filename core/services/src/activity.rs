//! How the services know that they are at rest: nothing is queued and nothing is being handled.
//!
//! **Contract.** Every message carries a [`Busy`] from before it is sent until all that its
//! handling set off has been sent in turn. So the count of live `Busy`s falls to zero exactly when
//! every mailbox is empty and every service waits. Items that wait inside a machine (for a parent,
//! for a slot) do not count: nothing will happen to them by itself. Nor does an epoch that a worker
//! prepares, as nothing follows from it.
//!
//! **Memory order.** The last drop releases and [`Activity::rest`] acquires: a thread that returns
//! from `rest` sees what every handler did. Increments in between continue the release sequence.

use blocksmith_sync::mailbox::{self, Counters, Meter, SendError};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Ordering, Primitives};

/// The number of messages under way.
pub struct Activity<P: Primitives> {
    busy: P::AtomicUsize,
    idle: EventNotifier<P>,
}

impl<P: Primitives> Activity<P> {
    /// Returns a count of none.
    pub fn new() -> P::Arc<Self> {
        P::arc(Self { busy: P::AtomicUsize::new(0), idle: EventNotifier::new() })
    }

    /// Blocks until no message is under way; the handler of the last one wakes the caller.
    pub fn rest(&self) {
        // ORDERING: pairs with the release in `Busy::drop`.
        self.idle.wait_until(|| (self.busy.load(Ordering::Acquire) == 0).then_some(()));
    }
}

/// Proof that something is under way.
pub struct Busy<P: Primitives>(P::Arc<Activity<P>>);

impl<P: Primitives> Busy<P> {
    /// Counts one more message as under way, until the drop.
    #[must_use]
    pub fn new(activity: &P::Arc<Activity<P>>) -> Self {
        // ORDERING: relaxed; a thread that creates one holds another, or has not called `rest` yet.
        activity.busy.fetch_add(1, Ordering::Relaxed);
        Self(activity.clone())
    }
}

impl<P: Primitives> Drop for Busy<P> {
    fn drop(&mut self) {
        // ORDERING: pairs with the acquire in `Activity::rest`.
        if self.0.busy.fetch_sub(1, Ordering::Release) == 1 {
            self.0.idle.notify_all();
        }
    }
}

/// A message and the proof that it is under way.
pub(crate) struct Mail<P: Primitives, M> {
    pub(crate) message: M,
    pub(crate) busy: Busy<P>,
}

impl<P: Primitives, M> Mail<P, M> {
    pub(crate) fn new(activity: &P::Arc<Activity<P>>, message: M) -> Self {
        Self { message, busy: Busy::new(activity) }
    }
}

/// The sending end of a service's mailbox: every message that goes through it counts as under way.
pub(crate) struct Post<P: Primitives, M: Send> {
    mailbox: mailbox::Sender<P, Mail<P, M>>,
    activity: P::Arc<Activity<P>>,
}

impl<P: Primitives, M: Send> Clone for Post<P, M> {
    fn clone(&self) -> Self {
        Self { mailbox: self.mailbox.clone(), activity: self.activity.clone() }
    }
}

impl<P: Primitives, M: Send> Post<P, M> {
    pub(crate) fn new(
        mailbox: mailbox::Sender<P, Mail<P, M>>,
        activity: &P::Arc<Activity<P>>,
    ) -> Self {
        Self { mailbox, activity: activity.clone() }
    }

    /// Sends a message; blocks while the mailbox is full. If the service is gone, the message is
    /// dropped together with its reply end, and that drop is the answer. Returns whether the
    /// mailbox has taken the message.
    pub(crate) fn send(&self, message: M) -> bool {
        self.mailbox.send(Mail::new(&self.activity, message)).is_ok()
    }

    /// Sends a message if there is room, and never blocks. A message that is not sent is dropped
    /// together with its reply end.
    ///
    /// # Errors
    /// [`SendError::Full`], or [`SendError::Closed`] if the service is gone.
    pub(crate) fn offer(&self, message: M) -> Result<(), SendError<()>> {
        match self.mailbox.try_send(Mail::new(&self.activity, message)) {
            Ok(_) => Ok(()),
            Err(error) if error.is_closed() => Err(SendError::Closed(())),
            Err(_) => Err(SendError::Full(())),
        }
    }

    /// As [`Post::send`], for an async task: it awaits room. A future that is dropped before it is
    /// done has sent nothing.
    pub(crate) async fn send_async(&self, message: M) {
        drop(self.mailbox.send_async(Mail::new(&self.activity, message)).await);
    }

    /// Lets the service end once it has served what is queued.
    pub(crate) fn close(&self) {
        self.mailbox.close();
    }

    pub(crate) fn counters(&self) -> Counters {
        self.mailbox.counters()
    }

    /// Returns the meter of the mailbox.
    pub(crate) fn meter(&self) -> Meter<P, Mail<P, M>> {
        self.mailbox.meter()
    }
}

/// Receives until the mailbox is closed and empty, or a turn says that the service does not go on.
/// What a turn sets off has been sent by the time its message no longer counts as under way.
pub(crate) fn serve<P: Primitives, S, M: Send>(
    service: &mut S,
    mailbox: fn(&S) -> &mailbox::Receiver<P, Mail<P, M>>,
    mut turn: impl FnMut(&mut S, M) -> bool,
) {
    while let Ok(Mail { message, busy }) = mailbox(service).recv() {
        let goes_on = turn(service, message);
        drop(busy);
        if !goes_on {
            break;
        }
    }
}
