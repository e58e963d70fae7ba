//! Traits over the channels of core. What every channel must pass is written once over these
//! traits, and instantiated for each channel.
//!
//! **Contract.** The traits add nothing to the ends that they stand for. Each method is the call of
//! that name. If the channel can evict, a send returns the item that it evicted.

use std::fmt::Debug;
use std::time::Duration;

use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{
    Backpressure, Closed, Counters, OnFull, Primitives, RecvTimeoutError, SendError, TryRecvError,
    mailbox, mpmc, spsc,
};

/// The result of a send: the item that it evicted, if it evicted one.
pub type Sent<T> = Result<Option<T>, SendError<T>>;

/// The calls of both ends.
pub trait Closes: Send + Sized + 'static {
    /// Calls `close`.
    fn close(&self);
    /// Calls `is_closed`.
    fn is_closed(&self) -> bool;
    /// Calls `is_disconnected`.
    fn is_disconnected(&self) -> bool;
    /// Calls `len`.
    fn len(&self) -> usize;
    /// Calls `is_empty`.
    fn is_empty(&self) -> bool;
    /// Calls `is_full`.
    fn is_full(&self) -> bool;
    /// Calls `capacity`.
    fn capacity(&self) -> usize;
}

/// The calls of a sender.
pub trait Sends<T>: Closes {
    /// Calls `send`.
    fn send(&self, item: T) -> Sent<T>;
    /// Calls `try_send`.
    fn try_send(&self, item: T) -> Sent<T>;
    /// Calls `send_timeout`.
    fn send_timeout(&self, item: T, timeout: Duration) -> Sent<T>;
    /// Calls `send_deadline`.
    fn send_deadline(&self, item: T, deadline: Duration) -> Sent<T>;
    /// Calls `send_async`.
    fn send_async(&mut self, item: T) -> impl Future<Output = Sent<T>>;
    /// Calls `send_batch`.
    fn send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed>;
    /// Calls `try_send_batch`.
    fn try_send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed>;
    /// Calls `send_batch_async`.
    fn send_batch_async(
        &mut self,
        items: &mut Vec<T>,
    ) -> impl Future<Output = Result<usize, Closed>>;
    /// Calls `closed`.
    fn closed(&self);
    /// Calls `closed_timeout`.
    fn closed_timeout(&self, timeout: Duration) -> bool;
    /// Calls `closed_deadline`.
    fn closed_deadline(&self, deadline: Duration) -> bool;
    /// Calls `closed_async`.
    fn closed_async(&self) -> impl Future<Output = ()>;
    /// Calls `counters`.
    fn counters(&self) -> Counters;
}

/// The calls of a receiver.
pub trait Receives<T>: Closes {
    /// Calls `recv`.
    ///
    /// # Errors
    /// If no item can come any more.
    fn recv(&self) -> Result<T, Closed>;
    /// Calls `try_recv`.
    ///
    /// # Errors
    /// If no item is there.
    fn try_recv(&self) -> Result<T, TryRecvError>;
    /// Calls `recv_timeout`.
    ///
    /// # Errors
    /// If no item came in time, or none can come any more.
    fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError>;
    /// Calls `recv_deadline`.
    ///
    /// # Errors
    /// If no item came in time, or none can come any more.
    fn recv_deadline(&self, deadline: Duration) -> Result<T, RecvTimeoutError>;
    /// Calls `recv_async`.
    fn recv_async(&mut self) -> impl Future<Output = Result<T, Closed>>;
    /// Calls `recv_batch`.
    ///
    /// # Errors
    /// If no item can come any more.
    fn recv_batch(&self, items: &mut Vec<T>, max: usize) -> Result<usize, Closed>;
    /// Calls `recv_batch_async`.
    fn recv_batch_async(
        &mut self,
        items: &mut Vec<T>,
        max: usize,
    ) -> impl Future<Output = Result<usize, Closed>>;
    /// Calls `drain`.
    fn drain(&self, items: &mut Vec<T>, max: usize) -> usize;
    /// Calls `iter`.
    fn iter(&self) -> impl Iterator<Item = T>;
}

/// A channel, described by its ends.
pub trait Channel: Copy + Debug + Send + Sync + 'static {
    /// The protocol's name, which is that of its module.
    const NAME: &'static str;
    /// The end that sends.
    type Sender<P: Primitives, T: Send + 'static>: Sends<T>;
    /// The end that receives.
    type Receiver<P: Primitives, T: Send + 'static>: Receives<T>;

    /// Returns a new channel of `capacity` places.
    fn open<P: Primitives, T: Send + 'static>(
        capacity: usize,
        on_full: OnFull,
    ) -> (Self::Sender<P, T>, Self::Receiver<P, T>);

    /// Returns `wanted` senders, or as many as the channel can have. `sender` is one of them.
    fn senders<P: Primitives, T: Send + 'static>(
        sender: Self::Sender<P, T>,
        wanted: usize,
    ) -> Vec<Self::Sender<P, T>>;

    /// Returns `wanted` receivers, or as many as the channel can have. `receiver` is one of them.
    fn receivers<P: Primitives, T: Send + 'static>(
        receiver: Self::Receiver<P, T>,
        wanted: usize,
    ) -> Vec<Self::Receiver<P, T>>;
}

/// A channel whose receiver can share a notifier with others.
pub trait Shares: Channel {
    /// Returns a new channel whose receiver is woken through `notifier`.
    fn open_on<P: Primitives, T: Send + 'static>(
        notifier: P::Arc<EventNotifier<P>>,
        capacity: usize,
        on_full: OnFull,
    ) -> (Self::Sender<P, T>, Self::Receiver<P, T>);
}

/// A channel whose senders can keep a place.
pub trait Reserves: Channel {
    /// The permit, which stands for a kept place.
    type Permit<P: Primitives, T: Send + 'static>: Send + 'static;

    /// Calls `reserve`.
    ///
    /// # Errors
    /// If no place can be kept.
    fn reserve<P: Primitives, T: Send + 'static>(
        sender: &Self::Sender<P, T>,
    ) -> Result<Self::Permit<P, T>, SendError<()>>;
    /// Calls `try_reserve`.
    ///
    /// # Errors
    /// If no place can be kept at this moment.
    fn try_reserve<P: Primitives, T: Send + 'static>(
        sender: &Self::Sender<P, T>,
    ) -> Result<Self::Permit<P, T>, SendError<()>>;
    /// Calls `reserve_async`.
    fn reserve_async<P: Primitives, T: Send + 'static>(
        sender: &Self::Sender<P, T>,
    ) -> impl Future<Output = Result<Self::Permit<P, T>, SendError<()>>>;
    /// Calls the permit's `send`.
    ///
    /// # Errors
    /// If no receiver is left.
    fn send<P: Primitives, T: Send + 'static>(
        permit: Self::Permit<P, T>,
        item: T,
    ) -> Result<(), SendError<T>>;
}

macro_rules! reserves {
    ($name:ident, $module:ident) => {
        impl Reserves for $name {
            type Permit<P: Primitives, T: Send + 'static> = $module::SendPermit<P, T>;

            fn reserve<P: Primitives, T: Send + 'static>(
                sender: &$module::Sender<P, T>,
            ) -> Result<$module::SendPermit<P, T>, SendError<()>> {
                sender.reserve()
            }
            fn try_reserve<P: Primitives, T: Send + 'static>(
                sender: &$module::Sender<P, T>,
            ) -> Result<$module::SendPermit<P, T>, SendError<()>> {
                sender.try_reserve()
            }
            fn reserve_async<P: Primitives, T: Send + 'static>(
                sender: &$module::Sender<P, T>,
            ) -> impl Future<Output = Result<$module::SendPermit<P, T>, SendError<()>>> {
                sender.reserve_async()
            }
            fn send<P: Primitives, T: Send + 'static>(
                permit: $module::SendPermit<P, T>,
                item: T,
            ) -> Result<(), SendError<T>> {
                permit.send(item)
            }
        }
    };
}

/// The value that a send returns when it has accepted the item.
trait Accepted<T> {
    fn evicted(self) -> Option<T>;
}
impl<T> Accepted<T> for () {
    fn evicted(self) -> Option<T> {
        None
    }
}
impl<T> Accepted<T> for Option<T> {
    fn evicted(self) -> Option<T> {
        self
    }
}

macro_rules! closes {
    ($end:ty) => {
        impl<P: Primitives, T: Send + 'static> Closes for $end {
            fn close(&self) {
                self.close();
            }
            fn is_closed(&self) -> bool {
                self.is_closed()
            }
            fn is_disconnected(&self) -> bool {
                self.is_disconnected()
            }
            fn len(&self) -> usize {
                self.len()
            }
            fn is_empty(&self) -> bool {
                self.is_empty()
            }
            fn is_full(&self) -> bool {
                self.is_full()
            }
            fn capacity(&self) -> usize {
                self.capacity()
            }
        }
    };
}

macro_rules! ends {
    ($module:ident) => {
        closes!($module::Sender<P, T>);
        closes!($module::Receiver<P, T>);

        impl<P: Primitives, T: Send + 'static> Sends<T> for $module::Sender<P, T> {
            fn send(&self, item: T) -> Sent<T> {
                self.send(item).map(Accepted::evicted)
            }
            fn try_send(&self, item: T) -> Sent<T> {
                self.try_send(item).map(Accepted::evicted)
            }
            fn send_timeout(&self, item: T, timeout: Duration) -> Sent<T> {
                self.send_timeout(item, timeout).map(Accepted::evicted)
            }
            fn send_deadline(&self, item: T, deadline: Duration) -> Sent<T> {
                self.send_deadline(item, deadline).map(Accepted::evicted)
            }
            async fn send_async(&mut self, item: T) -> Sent<T> {
                Self::send_async(self, item).await.map(Accepted::evicted)
            }
            fn send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
                self.send_batch(items)
            }
            fn try_send_batch(&self, items: &mut Vec<T>) -> Result<usize, Closed> {
                self.try_send_batch(items)
            }
            fn send_batch_async(
                &mut self,
                items: &mut Vec<T>,
            ) -> impl Future<Output = Result<usize, Closed>> {
                Self::send_batch_async(self, items)
            }
            fn closed(&self) {
                self.closed();
            }
            fn closed_timeout(&self, timeout: Duration) -> bool {
                self.closed_timeout(timeout)
            }
            fn closed_deadline(&self, deadline: Duration) -> bool {
                self.closed_deadline(deadline)
            }
            fn closed_async(&self) -> impl Future<Output = ()> {
                self.closed_async()
            }
            fn counters(&self) -> Counters {
                self.counters()
            }
        }

        impl<P: Primitives, T: Send + 'static> Receives<T> for $module::Receiver<P, T> {
            fn recv(&self) -> Result<T, Closed> {
                self.recv()
            }
            fn try_recv(&self) -> Result<T, TryRecvError> {
                self.try_recv()
            }
            fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
                self.recv_timeout(timeout)
            }
            fn recv_deadline(&self, deadline: Duration) -> Result<T, RecvTimeoutError> {
                self.recv_deadline(deadline)
            }
            fn recv_async(&mut self) -> impl Future<Output = Result<T, Closed>> {
                Self::recv_async(self)
            }
            fn recv_batch(&self, items: &mut Vec<T>, max: usize) -> Result<usize, Closed> {
                self.recv_batch(items, max)
            }
            fn recv_batch_async(
                &mut self,
                items: &mut Vec<T>,
                max: usize,
            ) -> impl Future<Output = Result<usize, Closed>> {
                Self::recv_batch_async(self, items, max)
            }
            fn drain(&self, items: &mut Vec<T>, max: usize) -> usize {
                self.drain(items, max)
            }
            fn iter(&self) -> impl Iterator<Item = T> {
                self.iter()
            }
        }
    };
}
ends!(mailbox);
ends!(spsc);
ends!(mpmc);

/// Returns the policy, for a channel that cannot evict.
fn backpressure(on_full: OnFull) -> Backpressure {
    Backpressure::try_from(on_full).expect("a policy of this channel")
}

/// Returns `count` ends, of which `end` is one.
fn copies<E: Clone>(end: E, count: usize) -> Vec<E> {
    let mut ends: Vec<_> = (1..count).map(|_| end.clone()).collect();
    ends.push(end);
    ends
}

macro_rules! channel {
    (
        $(#[$text:meta])* $name:ident, $module:ident,
        open: $open:expr, senders: $senders:expr, receivers: $receivers:expr
    ) => {
        $(#[$text])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Channel for $name {
            const NAME: &'static str = stringify!($module);
            type Sender<P: Primitives, T: Send + 'static> = $module::Sender<P, T>;
            type Receiver<P: Primitives, T: Send + 'static> = $module::Receiver<P, T>;

            fn open<P: Primitives, T: Send + 'static>(
                capacity: usize,
                on_full: OnFull,
            ) -> (Self::Sender<P, T>, Self::Receiver<P, T>) {
                $open(capacity, on_full)
            }

            fn senders<P: Primitives, T: Send + 'static>(
                sender: Self::Sender<P, T>,
                wanted: usize,
            ) -> Vec<Self::Sender<P, T>> {
                $senders(sender, wanted)
            }

            fn receivers<P: Primitives, T: Send + 'static>(
                receiver: Self::Receiver<P, T>,
                wanted: usize,
            ) -> Vec<Self::Receiver<P, T>> {
                $receivers(receiver, wanted)
            }
        }
    };
}

channel! {
    /// The mailbox, with many senders and one receiver. It has no slots for replies here.
    Mailbox, mailbox,
    open: |capacity, on_full| mailbox::mailbox(capacity, 0, on_full),
    senders: copies, receivers: |receiver, _| vec![receiver]
}

channel! {
    /// The ring, with one sender and one receiver.
    Spsc, spsc,
    open: |capacity, on_full| spsc::spsc(capacity, backpressure(on_full)),
    senders: |sender, _| vec![sender], receivers: |receiver, _| vec![receiver]
}

channel! {
    /// The pool's queue, with many senders and many receivers.
    Mpmc, mpmc,
    open: |capacity, on_full| mpmc::mpmc(capacity, backpressure(on_full)),
    senders: copies, receivers: copies
}

impl Shares for Mailbox {
    fn open_on<P: Primitives, T: Send + 'static>(
        notifier: P::Arc<EventNotifier<P>>,
        capacity: usize,
        on_full: OnFull,
    ) -> (Self::Sender<P, T>, Self::Receiver<P, T>) {
        mailbox::mailbox_on(notifier, capacity, 0, on_full)
    }
}

impl Shares for Spsc {
    fn open_on<P: Primitives, T: Send + 'static>(
        notifier: P::Arc<EventNotifier<P>>,
        capacity: usize,
        on_full: OnFull,
    ) -> (Self::Sender<P, T>, Self::Receiver<P, T>) {
        spsc::spsc_on(notifier, capacity, backpressure(on_full))
    }
}

reserves!(Mailbox, mailbox);
reserves!(Mpmc, mpmc);
