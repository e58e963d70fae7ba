//! What the ends of every channel with several items have in common, written once: closing,
//! figures, iterators.
//!
//! **Contract.** A channel's `Shared` says how the channel closes, whether it is closed, who is
//! left, what its figures are, and where a sender that waits for the closing sleeps (`closing`).
//! That is a notifier on which nobody waits for anything else, or one whose every notification is
//! for all (R1 of the notifier). Closing notifies all that may wait for the end, the tasks of the
//! end that closes included.
//!
//! These calls hand nothing over: seeing that a channel is closed orders no memory. What `recv` and
//! its variants return at the end does.

/// Defines these methods and traits for the module's `Sender` and `Receiver`, both around `shared`.
macro_rules! ends {
    ($channel:literal) => {
        impl<P: Primitives, T: Send> Sender<P, T> {
            /// Closes the channel for all its ends: nothing more is accepted; what was accepted can
            /// still be received. Does not block (except on a lock that others hold for a few
            /// instructions).
            pub fn close(&self) {
                self.shared.close_by_sender();
            }

            /// Returns whether the channel is closed: no send will be accepted from then on.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.shared.is_closed()
            }

            /// Returns whether the other side is gone: no receiver is left, so nobody will see what
            /// is in the channel. The channel is then closed, and may have been closed before.
            #[must_use]
            pub fn is_disconnected(&self) -> bool {
                self.shared.receivers_are_gone()
            }

            /// Blocks until the channel is closed, by any end, or because the other side is gone;
            /// the closing wakes this thread. Nothing is sent.
            pub fn closed(&self) {
                self.shared.closing().wait_until(|| self.is_closed().then_some(()));
            }

            /// Blocks like `closed`, for at most about `timeout`, and returns whether the channel
            /// is closed.
            #[must_use]
            pub fn closed_timeout(&self, timeout: core::time::Duration) -> bool {
                self.closed_deadline(P::now().saturating_add(timeout))
            }

            /// Blocks like `closed_timeout`, until [`Primitives::now`] is about `deadline`.
            #[must_use]
            pub fn closed_deadline(&self, deadline: core::time::Duration) -> bool {
                let is_closed = || self.is_closed().then_some(());
                self.shared.closing().wait_until_deadline(deadline, is_closed).is_some()
            }

            /// Suspends the task until the channel is closed; the closing wakes it.
            ///
            /// # Cancel safety
            /// The future can be dropped at any moment; a new one can take its place.
            pub fn closed_async(&self) -> impl Future<Output = ()> + Send {
                let shared = &*self.shared;
                shared.closing().until(move || shared.is_closed().then_some(()))
            }

            $crate::ends::figures!();
        }

        impl<P: Primitives, T: Send> Receiver<P, T> {
            /// Closes the channel for all its ends: nothing more is accepted; what was accepted can
            /// still be received. Does not block (except on a lock that others hold for a few
            /// instructions).
            pub fn close(&self) {
                self.shared.close_by_receiver();
            }

            /// Returns whether the channel is closed; there may still be items in it.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.shared.is_closed()
            }

            /// Returns whether the other side is gone: nobody is left who could send. There may
            /// still be items in the channel.
            #[must_use]
            pub fn is_disconnected(&self) -> bool {
                self.shared.senders_are_gone()
            }

            /// Returns an iterator that receives until nothing more can come; it blocks like
            /// `recv`.
            pub fn iter(&self) -> $crate::iter::Iter<'_, Self> {
                $crate::iter::Iter(self)
            }

            /// Returns a stream of the items that this receives.
            #[cfg(feature = "stream")]
            pub fn into_stream(self) -> $crate::stream::ReceiverStream<P, Self> {
                $crate::stream::ReceiverStream::new(self)
            }

            /// Returns a stream of the items that this receives; it borrows the receiver.
            #[cfg(feature = "stream")]
            pub fn stream(&mut self) -> $crate::stream::ReceiverStream<P, &mut Self> {
                $crate::stream::ReceiverStream::new(self)
            }

            /// Returns an iterator that receives what is there; it does not block.
            pub fn try_iter(&self) -> $crate::iter::TryIter<'_, Self> {
                $crate::iter::TryIter(self)
            }

            $crate::ends::figures!();
        }

        /// Reads the figures of a channel without being one of its ends, from any thread. It keeps
        /// neither side alive: to senders and receivers it is as if the meter did not exist.
        pub struct Meter<P: Primitives, T: Send> {
            shared: P::Arc<Shared<P, T>>,
        }

        impl<P: Primitives, T: Send> Meter<P, T> {
            /// Returns the figures of the channel. Does not block.
            #[must_use]
            pub fn counters(&self) -> $crate::Counters {
                self.shared.counters()
            }
        }

        impl<P: Primitives, T: Send> $crate::iter::sealed::Receives for Receiver<P, T> {
            type Item = T;
            fn next(&self) -> Option<T> {
                self.recv().ok()
            }
            fn next_now(&self) -> Option<T> {
                self.try_recv().ok()
            }
        }

        impl<P: Primitives, T: Send> IntoIterator for Receiver<P, T> {
            type Item = T;
            type IntoIter = $crate::iter::IntoIter<Self>;
            fn into_iter(self) -> Self::IntoIter {
                $crate::iter::IntoIter(self)
            }
        }

        impl<'a, P: Primitives, T: Send> IntoIterator for &'a Receiver<P, T> {
            type Item = T;
            type IntoIter = $crate::iter::Iter<'a, Receiver<P, T>>;
            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }

        impl<P: Primitives, T: Send> $crate::select::Source<P> for Receiver<P, T> {
            type Item = T;
            fn look(&mut self) -> Option<Result<T, $crate::Closed>> {
                self.poll()
            }
            fn notifier(&self) -> Option<&$crate::notifier::EventNotifier<P>> {
                let notifier: &$crate::notifier::EventNotifier<P> = &self.shared.not_empty;
                Some(notifier)
            }
        }

        impl<P: Primitives, T: Send> $crate::select::Source<P> for &Receiver<P, T> {
            type Item = T;
            fn look(&mut self) -> Option<Result<T, $crate::Closed>> {
                self.poll()
            }
            fn notifier(&self) -> Option<&$crate::notifier::EventNotifier<P>> {
                let notifier: &$crate::notifier::EventNotifier<P> = &self.shared.not_empty;
                Some(notifier)
            }
        }

        $crate::ends::opaque_debug!($channel; Sender, Receiver, Meter);
        $crate::ends::unwind_safe!(Sender, Receiver, Meter);
    };
}

/// Defines what both ends tell of the channel.
macro_rules! figures {
    () => {
        /// Returns how many items are in the channel, while others send and receive. Does not block
        /// (beyond a lock that others hold for a few instructions).
        ///
        /// An item that is there during the whole call is counted, and none that is there at no
        /// moment of it. Of a ring and of a pool's queue the figure is that of one moment of the
        /// call. Of a mailbox, whose senders and receiver share no lock, it is that of a few
        /// moments: what others receive meanwhile is still counted beside what they send meanwhile,
        /// up to what the mailbox holds. (So 0 is that of one moment, too; but its figures order no
        /// memory, so a weakly ordered processor may show a receive before a send that preceded
        /// it.)
        #[must_use]
        pub fn len(&self) -> usize {
            self.shared.len()
        }

        /// Returns whether no item is in the channel, at one moment of the call. Does not block
        /// (beyond a lock, as [`Self::len`]).
        #[must_use]
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        /// Returns whether a send would find no room, at one moment of the call, places that are
        /// kept included; whether the channel is closed does not matter. Does not block (beyond a
        /// lock, as [`Self::len`]).
        #[must_use]
        pub fn is_full(&self) -> bool {
            self.shared.is_full()
        }

        /// Returns how many items the channel holds at most (reply slots not included).
        #[must_use]
        pub fn capacity(&self) -> usize {
            self.shared.capacity()
        }

        /// Returns the figures of the channel. Does not block.
        #[must_use]
        pub fn counters(&self) -> $crate::Counters {
            self.shared.counters()
        }

        /// Returns a meter, with which any thread can read the figures.
        #[must_use]
        pub fn meter(&self) -> Meter<P, T> {
            Meter { shared: self.shared.clone() }
        }
    };
}

/// Implements `Debug` without showing the content. `End: Sync` means that its items are `Sync`,
/// too.
macro_rules! opaque_debug {
    ($channel:literal; $($end:ident $(: $bound:ident)?),*) => { $(
        impl<P: Primitives, T: Send $(+ $bound)?> core::fmt::Debug for $end<P, T> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!($channel, "::", stringify!($end), " { .. }"))
            }
        }
    )* };
}

/// States that an end may be used after a panic that came out of one of its calls, as std's ends
/// may. Only foreign code can panic in a call (a waker, a condition, the drop of an item or of a
/// value). It runs before the first or after the last step of an operation and outside every lock,
/// so the channel is intact. One call drops several items, one after another: the drop of the
/// receiver. It contains the panic of each.
macro_rules! unwind_safe {
    ($($end:ident $(: $bound:ident)?),*) => { $(
        impl<P: Primitives, T: Send $(+ $bound)?> core::panic::UnwindSafe for $end<P, T> {}
        impl<P: Primitives, T: Send $(+ $bound)?> core::panic::RefUnwindSafe for $end<P, T> {}
    )* };
}

pub(crate) use {ends, figures, opaque_debug, unwind_safe};

#[cfg(test)]
mod tests {
    use core::panic::AssertUnwindSafe;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};
    use std::panic::catch_unwind;
    use std::sync::Arc;

    use crate::scripted::counting_waker;
    use crate::select::Select;
    use crate::{Backpressure, Closed, OnFull, Std, broker, mailbox, mpmc, oneshot, spsc, watch};

    fn send<F: Send>(future: F) -> F {
        future
    }

    /// Tasks send a batch of three through two places, in batches. What is not sent is in the
    /// vector, whether the future is dropped or not; a receive that is dropped has taken nothing;
    /// the futures may change threads.
    macro_rules! batches {
        ($($name:ident: $open:expr;)*) => { $(
            #[test]
            #[allow(unused_mut, reason = "the ends of a ring are awaited one future at a time")]
            fn $name() {
                let (mut sender, mut receiver) = $open;
                let mut context = Context::from_waker(Waker::noop());
                let (mut batch, mut items) = (vec![1, 2, 3], Vec::<u32>::new());
                let sent = pin!(send(sender.send_batch_async(&mut batch))).poll(&mut context);
                assert_eq!((sent, &*batch), (Poll::Pending, &[3][..]));
                let received = pin!(send(receiver.recv_batch_async(&mut items, 9))).poll(&mut context);
                assert_eq!((received, &*items), (Poll::Ready(Ok(2)), &[1, 2][..]));
                let received = pin!(receiver.recv_batch_async(&mut items, 9)).poll(&mut context);
                assert_eq!(received, Poll::Pending);
                let sent = pin!(sender.send_batch_async(&mut batch)).poll(&mut context);
                assert_eq!((sent, batch.len()), (Poll::Ready(Ok(1)), 0));
                assert_eq!(pin!(send(sender.closed_async())).poll(&mut context), Poll::Pending);
                receiver.close();
                assert_eq!(pin!(sender.closed_async()).poll(&mut context), Poll::Ready(()));
                let received = pin!(receiver.recv_batch_async(&mut items, 0)).poll(&mut context);
                assert_eq!((received, receiver.recv()), (Poll::Ready(Ok(0)), Ok(3)));
                let received = pin!(receiver.recv_batch_async(&mut items, 1)).poll(&mut context);
                assert_eq!(received, Poll::Ready(Err(Closed)));
            }
        )* };
    }

    /// An empty batch, in each call that takes one and under each policy: `Ok(0)` while the channel
    /// is open, even when it is full, and `Closed` afterwards.
    macro_rules! nothing {
        ($($name:ident: $($open:expr),*;)*) => { $(
            #[test]
            #[allow(unused_mut, reason = "the ends of a ring are awaited one future at a time")]
            fn $name() {
                let mut context = Context::from_waker(Waker::noop());
                $(
                    let (mut sender, receiver) = $open;
                    let mut batch = Vec::new();
                    for expected in [Ok(0), Ok(0), Err(Closed)] {
                        assert_eq!(sender.send_batch(&mut batch), expected);
                        assert_eq!(sender.try_send_batch(&mut batch), expected);
                        let sent = pin!(sender.send_batch_async(&mut batch)).poll(&mut context);
                        assert_eq!(sent, Poll::Ready(expected));
                        if sender.is_full() {
                            receiver.close();
                        } else {
                            assert!(sender.try_send(1).is_ok());
                        }
                    }
                    assert_eq!((receiver.len(), receiver.is_full()), (1, true));
                )*
            }
        )* };
    }

    nothing! {
        nothing_through_a_mailbox: mailbox::mailbox::<Std, u32>(1, 0, OnFull::Block),
            mailbox::mailbox::<Std, u32>(1, 0, OnFull::Refuse),
            mailbox::mailbox::<Std, u32>(1, 0, OnFull::EvictOldest);
        nothing_through_a_ring: spsc::spsc::<Std, u32>(1, Backpressure::Block),
            spsc::spsc::<Std, u32>(1, Backpressure::Refuse);
        nothing_through_a_pool: mpmc::mpmc::<Std, u32>(1, Backpressure::Block),
            mpmc::mpmc::<Std, u32>(1, Backpressure::Refuse);
    }

    batches! {
        batches_of_tasks_through_a_mailbox: mailbox::mailbox::<Std, u32>(2, 0, OnFull::Block);
        batches_of_tasks_through_a_ring: spsc::spsc::<Std, u32>(2, Backpressure::Block);
        batches_of_tasks_through_a_pool: mpmc::mpmc::<Std, u32>(2, Backpressure::Block);
    }

    /// A task of an end waits by reference, and another task of that end closes it: the first is
    /// woken. A sender's task waits for the end, a receiver's for an item.
    macro_rules! closings {
        ($($name:ident: $open:expr;)*) => { $(
            #[test]
            fn $name() {
                let (wakes, waker) = counting_waker();
                let mut context = Context::from_waker(&waker);
                let (sender, receiver) = $open;
                let mut closed = pin!(sender.closed_async());
                assert_eq!(closed.as_mut().poll(&mut context), Poll::Pending);
                sender.close();
                assert_eq!((wakes.get(), closed.poll(&mut context)), (1, Poll::Ready(())));
                assert_eq!(receiver.recv(), Err(Closed));
                let (_sender, receiver) = $open;
                let mut inputs = Select::<Std, _>::new().source(1, &receiver, |item| item);
                let mut next = pin!(inputs.recv_async());
                assert_eq!(next.as_mut().poll(&mut context), Poll::Pending);
                receiver.close();
                let told = Poll::Ready(Ok(Err(Closed)));
                assert_eq!((wakes.get(), next.poll(&mut context)), (2, told));
            }
        )* };
    }

    closings! {
        closing_a_mailbox_wakes_the_tasks_of_the_same_end:
            mailbox::mailbox::<Std, u32>(1, 0, OnFull::Block);
        closing_a_ring_wakes_the_tasks_of_the_same_end:
            spsc::spsc::<Std, u32>(1, Backpressure::Block);
        closing_a_pool_wakes_the_tasks_of_the_same_end:
            mpmc::mpmc::<Std, u32>(1, Backpressure::Block);
    }

    /// Two tasks of a receiver wait by reference. The channel is closed while a permit is out, so
    /// both wait on. Then the permit is dropped, or delivers: both are woken, the one that finds
    /// nothing is told the end, and nobody passes anything on.
    macro_rules! endings {
        ($($name:ident: $open:expr, $permit:expr;)*) => { $(
            #[test]
            fn $name() {
                for delivers in [false, true] {
                    let (sender, receiver) = $open;
                    let permit = $permit(&sender, &receiver);
                    let tasks = [(); 2].map(|()| counting_waker());
                    let wakes = || [tasks[0].0.get(), tasks[1].0.get()];
                    let [mut first, mut second] = [(); 2]
                        .map(|()| Select::<Std, _>::new().source(1, &receiver, |item| item));
                    let mut first = pin!(first.recv_async());
                    let mut second = pin!(second.recv_async());
                    let [mut one, mut two] =
                        [0, 1].map(|task: usize| Context::from_waker(&tasks[task].1));
                    assert!(first.as_mut().poll(&mut one).is_pending());
                    assert!(second.as_mut().poll(&mut two).is_pending());
                    drop(sender);
                    assert_eq!(wakes(), [1, 1], "it is closed");
                    assert!(first.as_mut().poll(&mut one).is_pending());
                    assert!(second.as_mut().poll(&mut two).is_pending());
                    let mut told = Ok(Err(Closed));
                    if delivers {
                        assert!(permit.send(7).is_ok());
                        told = Ok(Ok(7));
                    } else {
                        drop(permit);
                    }
                    assert_eq!(wakes(), [2, 2], "nothing more can come");
                    assert_eq!(first.poll(&mut one), Poll::Ready(told));
                    assert_eq!(second.poll(&mut two), Poll::Ready(Ok(Err(Closed))));
                }
            }
        )* };
    }

    endings! {
        every_task_is_told_that_the_last_reply_of_a_mailbox_has_come:
            mailbox::mailbox::<Std, u32>(2, 1, OnFull::Block),
            |_: &_, receiver: &mailbox::Receiver<Std, u32>| receiver.permit().unwrap();
        every_task_is_told_that_the_last_place_of_a_mailbox_is_used:
            mailbox::mailbox::<Std, u32>(2, 0, OnFull::Block),
            |sender: &mailbox::Sender<Std, u32>, _: &_| sender.reserve().unwrap();
        every_task_is_told_that_the_last_place_of_a_pool_is_used:
            mpmc::mpmc::<Std, u32>(2, Backpressure::Block),
            |sender: &mpmc::Sender<Std, u32>, _: &_| sender.reserve().unwrap();
    }

    /// An item: nothing special, a question that somebody waits for, or one whose drop panics.
    enum Item {
        Held(#[allow(dead_code, reason = "it is counted")] Arc<()>),
        Asks(#[allow(dead_code, reason = "its drop is the answer")] oneshot::Sender<Std, u32>),
        Panics,
    }

    impl Drop for Item {
        fn drop(&mut self) {
            if matches!(self, Self::Panics) {
                std::panic::panic_any("an item panics when it is dropped");
            }
        }
    }

    /// The receiver goes, first by itself and then while its thread unwinds. Every item is dropped,
    /// though the first panics.
    macro_rules! destructors {
        ($($name:ident: $open:expr;)*) => { $(
            #[test]
            fn $name() {
                for unwinds in [false, true] {
                    let (sender, receiver) = $open;
                    let (asker, answer) = oneshot::channel();
                    let value = Arc::new(());
                    let held = Item::Held(value.clone());
                    for item in [Item::Panics, Item::Asks(asker), Item::Panics, held] {
                        assert!(sender.send(item).is_ok());
                    }
                    let ended = catch_unwind(AssertUnwindSafe(move || {
                        let _receiver = receiver;
                        assert!(!unwinds, "the receiver's thread unwinds");
                    }));
                    assert_eq!(ended.is_err(), unwinds);
                    assert_eq!((answer.recv(), Arc::strong_count(&value)), (Err(Closed), 1));
                    assert!(sender.is_disconnected() && sender.is_empty());
                }
            }
        )* };
    }

    destructors! {
        an_item_that_panics_keeps_no_other_in_a_mailbox:
            mailbox::mailbox::<Std, Item>(4, 0, OnFull::Block);
        an_item_that_panics_keeps_no_other_in_a_mailbox_that_evicts:
            mailbox::mailbox::<Std, Item>(4, 0, OnFull::EvictOldest);
        an_item_that_panics_keeps_no_other_in_a_ring:
            spsc::spsc::<Std, Item>(4, Backpressure::Block);
        an_item_that_panics_keeps_no_other_in_a_pool:
            mpmc::mpmc::<Std, Item>(4, Backpressure::Block);
    }

    /// What holds for every end, whatever its items are: it may be used after a panic, it can be
    /// sent, and it can be shared, except for ends that belong to one thread.
    #[test]
    fn every_end_can_be_used_after_a_panic_and_be_sent() {
        use core::panic::{RefUnwindSafe, UnwindSafe};
        type Item = Box<dyn FnMut() + Send>;
        fn sent<E: UnwindSafe + RefUnwindSafe + Send>() {}
        fn shared<E: UnwindSafe + RefUnwindSafe + Send + Sync>() {}
        shared::<mailbox::Sender<Std, Item>>();
        shared::<mailbox::Permit<Std, Item>>();
        shared::<mailbox::Meter<Std, Item>>();
        sent::<mailbox::Receiver<Std, Item>>();
        sent::<spsc::Sender<Std, Item>>();
        sent::<spsc::Receiver<Std, Item>>();
        shared::<spsc::Meter<Std, Item>>();
        shared::<mpmc::Sender<Std, Item>>();
        shared::<mpmc::Receiver<Std, Item>>();
        shared::<mpmc::Meter<Std, Item>>();
        shared::<oneshot::Sender<Std, Item>>();
        shared::<oneshot::Receiver<Std, Item>>();
        shared::<watch::Sender<Std, std::sync::Mutex<Item>>>();
        shared::<watch::Receiver<Std, std::sync::Mutex<Item>>>();
        sent::<broker::Lease<Std, Item>>();
    }
}
