//! Receivers as streams of items, for code that is written against `futures_core::Stream`. This
//! module is behind the feature `stream`.
//!
//! **Contract.** [`ReceiverStream`] yields what the receiver's `recv_async` (for a watch,
//! `changed_async`) would return, and ends with the channel. It wraps the receiver, instead of
//! being the receiver itself, because a stream keeps its registration from one poll to the next.
//! When it is dropped or taken apart, it leaves the notifier, and a wake-up that had chosen it is
//! passed on to another receiver. If it is forgotten after it has been woken, that wake-up is lost
//! to the others.
//!
//! **Invariant.** F1 Between polls the stream is registered if and only if the last poll was
//! `Pending`; it looked after it had registered (G1 of the notifier's registration).

use core::fmt;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;

use crate::notifier::Registration;
use crate::primitives::Primitives;
use crate::select::Source;

/// A stream of the items that a receiver receives; see the module documentation.
///
/// ```
/// use std::pin::Pin;
/// use std::task::{Context, Poll, Waker};
/// use blocksmith_sync::Std;
/// use blocksmith_sync::mailbox::{OnFull, mailbox};
/// use futures_core::Stream;
///
/// let (sender, receiver) = mailbox::<Std, u32>(8, 0, OnFull::Block);
/// let mut items = receiver.into_stream();
/// let mut context = Context::from_waker(Waker::noop()); // a runtime brings its own
/// assert_eq!(Pin::new(&mut items).poll_next(&mut context), Poll::Pending);
/// sender.send(7).unwrap();
/// drop(sender);
/// assert_eq!(Pin::new(&mut items).poll_next(&mut context), Poll::Ready(Some(7)));
/// assert_eq!(Pin::new(&mut items).poll_next(&mut context), Poll::Ready(None));
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct ReceiverStream<P: Primitives, S: Source<P>> {
    source: S,
    place: Registration,
    is_registered: bool,
    /// Whether the end has come.
    is_over: bool,
    primitives: PhantomData<fn() -> P>,
}

impl<P: Primitives, S: Source<P>> ReceiverStream<P, S> {
    /// Returns a stream of what `source` receives: a receiver, or a mutable reference to one.
    pub fn new(source: S) -> Self {
        let (place, primitives) = (Registration::default(), PhantomData);
        Self { source, place, is_registered: false, is_over: false, primitives }
    }

    /// Returns the next item, or the end; `None` means that the caller has to wait.
    fn look(&mut self) -> Option<Option<S::Item>> {
        let found = self.source.look()?;
        self.is_over = S::ONCE || found.is_err();
        Some(found.ok())
    }

    /// Leaves the notifier; passes on a wake-up that no look has followed.
    fn leave(&mut self) {
        self.is_registered = false;
        if let Some(notifier) = self.source.notifier()
            && self.place.leave(notifier)
        {
            notifier.notify_one();
        }
    }
}

// The source is never pinned.
impl<P: Primitives, S: Source<P>> Unpin for ReceiverStream<P, S> {}

impl<P: Primitives, S: Source<P>> Stream for ReceiverStream<P, S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        if !this.is_registered
            && let Some(found) = this.look()
        {
            return Poll::Ready(found);
        }
        this.is_registered = true;
        match this.source.notifier() {
            // If the stream had been chosen, the look that follows is the one that T2 requires.
            Some(notifier) => {
                this.place.renew(notifier, context.waker());
            }
            None => this.source.register(context.waker()),
        }
        let Some(found) = this.look() else { return Poll::Pending };
        this.leave();
        Poll::Ready(found)
    }
}

impl<P: Primitives, S: Source<P>> Drop for ReceiverStream<P, S> {
    fn drop(&mut self) {
        if self.is_registered && !P::reporting() {
            self.leave();
        }
    }
}

impl<P: Primitives, S: Source<P>> fmt::Debug for ReceiverStream<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiverStream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::task::Waker;
    use core::time::Duration;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;
    use crate::mailbox::{OnFull, mailbox};
    use crate::mpmc::mpmc;
    use crate::scripted::{Scripted, while_reporting};
    use crate::select::deadline;
    use crate::spsc::spsc;
    use crate::watch::watch;
    use crate::{Backpressure, Std, oneshot};

    /// Counts its wake-ups.
    #[derive(Default)]
    struct Flag(AtomicU32);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn next<S: Stream + Unpin>(stream: &mut S, flag: &Arc<Flag>) -> Poll<Option<S::Item>> {
        let waker = Waker::from(flag.clone());
        Pin::new(stream).poll_next(&mut Context::from_waker(&waker))
    }

    /// The stream is pending, is woken by an item, is pending, and is woken by the end.
    macro_rules! streams {
        ($($name:ident: $open:expr, $send:expr;)*) => { $(
            #[test]
            fn $name() {
                let (sender, receiver) = $open;
                let mut items = receiver.into_stream();
                let flag = Arc::new(Flag::default());
                assert!(next(&mut items, &flag).is_pending());
                $send(&sender);
                assert_eq!(flag.0.load(Relaxed), 1);
                let item = next(&mut items, &flag).map(|item| item.map(|item| item.to_string()));
                assert_eq!(item, Poll::Ready(Some("7".to_owned())));
                assert!(next(&mut items, &flag).is_pending());
                drop(sender);
                assert_eq!(flag.0.load(Relaxed), 2);
                assert!(matches!(next(&mut items, &flag), Poll::Ready(None)));
                assert!(matches!(next(&mut items, &flag), Poll::Ready(None)));
            }
        )* };
    }
    streams! {
        of_a_mailbox: mailbox::<Std, u32>(2, 0, OnFull::Block),
            |sender: &crate::Sender<u32>| assert_eq!(sender.send(7), Ok(None));
        of_a_ring: spsc::<Std, u32>(2, Backpressure::Block),
            |sender: &crate::RingSender<u32>| assert_eq!(sender.send(7), Ok(()));
        of_a_pool: mpmc::<Std, u32>(2, Backpressure::Block),
            |sender: &crate::PoolSender<u32>| assert_eq!(sender.send(7), Ok(()));
        of_a_watch: watch::<Std, u32>(0),
            |sender: &crate::watch::Sender<Std, u32>| assert_eq!(sender.send(7), Ok(()));
    }

    /// The value is the whole stream; if the sender is dropped without sending, the stream is
    /// empty.
    #[test]
    fn of_a_one_shot() {
        let flag = Arc::new(Flag::default());
        let (sender, mut receiver) = oneshot::channel::<Std, u32>();
        let mut items = ReceiverStream::new(&mut receiver);
        assert!(next(&mut items, &flag).is_pending());
        assert_eq!(sender.send(7), Ok(()));
        assert_eq!(flag.0.load(Relaxed), 1);
        assert_eq!(next(&mut items, &flag), Poll::Ready(Some(7)));
        assert_eq!(next(&mut items, &flag), Poll::Ready(None));
        let (sender, receiver) = oneshot::channel::<Std, u32>();
        drop(sender);
        assert_eq!(next(&mut ReceiverStream::<Std, _>::new(receiver), &flag), Poll::Ready(None));
    }

    /// Of two streams of one queue, the first is chosen for an item, and dropped.
    #[test]
    fn a_dropped_stream_passes_its_wake_up_on() {
        let flags = [(); 2].map(|()| Arc::new(Flag::default()));
        let (tasks, mut pool) = mpmc::<Std, u32>(2, Backpressure::Block);
        let mut other = pool.clone();
        let (mut first, mut second) = (pool.stream(), other.stream());
        assert!(next(&mut first, &flags[0]).is_pending());
        assert!(next(&mut second, &flags[1]).is_pending());
        tasks.send(5).unwrap();
        assert_eq!(flags.each_ref().map(|flag| flag.0.load(Relaxed)), [1, 0]);
        drop(first);
        assert_eq!(flags[1].0.load(Relaxed), 1);
        assert_eq!(next(&mut second, &flags[1]), Poll::Ready(Some(5)));
    }

    /// Two streams of one queue wait; an item comes, and the one that was not chosen takes it. That
    /// stream waits no longer, so the next item does not wake it.
    #[test]
    fn a_stream_that_has_an_item_does_not_wait() {
        let flags = [(); 2].map(|()| Arc::new(Flag::default()));
        let (tasks, mut pool) = mpmc::<Std, u32>(2, Backpressure::Block);
        let mut other = pool.clone();
        let (mut first, mut second) = (pool.stream(), other.stream());
        assert!(next(&mut first, &flags[0]).is_pending());
        assert!(next(&mut second, &flags[1]).is_pending());
        tasks.send(5).unwrap();
        assert_eq!(next(&mut second, &flags[1]), Poll::Ready(Some(5)));
        tasks.send(6).unwrap();
        assert_eq!(flags.map(|flag| flag.0.load(Relaxed)), [1, 0]);
    }

    /// A source that has one message has nothing after it, whatever it would say if it were asked.
    #[test]
    fn of_a_deadline() {
        let flag = Arc::new(Flag::default());
        let mut items = ReceiverStream::<Std, _>::new(deadline(Duration::ZERO));
        assert_eq!(format!("{items:?}"), "ReceiverStream { .. }");
        assert_eq!(next(&mut items, &flag), Poll::Ready(Some(())));
        assert_eq!(next(&mut items, &flag), Poll::Ready(None));
    }

    /// While the backend reports a violation, a stream that is dropped does nothing: its waker
    /// stays where it is.
    #[test]
    fn a_stream_that_is_dropped_during_a_report_does_nothing() {
        let flag = Arc::new(Flag::default());
        let (tasks, pool) = mpmc::<Scripted, u32>(2, Backpressure::Block);
        let mut items = pool.clone().into_stream();
        assert!(next(&mut items, &flag).is_pending());
        while_reporting(|| drop(items));
        tasks.send(5).unwrap();
        assert_eq!((flag.0.load(Relaxed), pool.recv()), (1, Ok(5)));
    }
}
