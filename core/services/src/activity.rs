//! How the services know that they are at rest: nothing is queued and nothing is being handled.
//!
//! **Contract.** Every message carries a [`Busy`] from before it is sent until all that its
//! handling set off has been sent in turn. So the count of live `Busy`s falls to zero exactly when
//! every mailbox is empty and every service waits. Items that wait inside a machine (for a parent,
//! for a slot) do not count: nothing will happen to them by itself. Nor does an epoch that a worker
//! prepares: nothing follows from it.
//!
//! **Memory order.** The last drop releases, [`Activity::rest`] acquires: who returns from `rest`
//! sees what every handler did. Increments in between continue the release sequence.

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

    /// Blocks until no message is under way; the handler of the last one wakes it.
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
        // ORDERING: relaxed; whoever creates one holds another, or has not called `rest` yet.
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
