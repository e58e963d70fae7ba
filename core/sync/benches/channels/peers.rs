//! The channels that are compared, behind one trait.

use std::time::Duration;

use blocksmith_sync::mailbox::{self, OnFull};
use blocksmith_sync::{Backpressure, Std, mpmc, spsc};

/// An item of 1 KiB, beside the `u64` of the other rows.
pub(crate) type Large = [u8; 1024];

/// The two kinds of ends of a channel.
pub(crate) type Ends<C, T> = (Vec<<C as Channel>::Sender<T>>, Vec<<C as Channel>::Receiver<T>>);

/// A bounded channel as the workloads see it; both calls block.
pub(crate) trait Channel: Sized + 'static {
    /// The name in the table.
    const NAME: &'static str;
    type Sender<T: Send + 'static>: Send + 'static;
    type Receiver<T: Send + 'static>: Send + 'static;
    fn make<T: Send + 'static>(capacity: usize, senders: usize, receivers: usize) -> Ends<Self, T>;
    fn send<T: Send + 'static>(sender: &mut Self::Sender<T>, item: T);
    fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> T;
}

/// Returns `count` clones of an end that can be cloned.
fn clones<E: Clone>(end: E, count: usize) -> Vec<E> {
    vec![end; count]
}

/// Returns the one end of a kind that cannot be cloned.
fn only<E>(end: E, count: usize) -> Vec<E> {
    assert_eq!(count, 1, "this end has no clones");
    vec![end]
}

/// Implements [`Channel`] for ends that block in `send` and `recv`.
macro_rules! blocking {
    (
        $name:ident, $text:literal, $sender:ty, $receiver:ty, $make:expr, $senders:path, $receivers:path
    ) => {
        pub(crate) struct $name;

        impl Channel for $name {
            const NAME: &'static str = $text;
            type Sender<T: Send + 'static> = $sender;
            type Receiver<T: Send + 'static> = $receiver;

            fn make<T: Send + 'static>(
                capacity: usize,
                senders: usize,
                receivers: usize,
            ) -> Ends<Self, T> {
                let (sender, receiver) = $make(capacity);
                ($senders(sender, senders), $receivers(receiver, receivers))
            }
            fn send<T: Send + 'static>(sender: &mut Self::Sender<T>, item: T) {
                assert!(sender.send(item).is_ok(), "the receiver lives");
            }
            fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> T {
                receiver.recv().unwrap_or_else(|_| panic!("the sender lives"))
            }
        }
    };
}

fn blocking_mailbox<T: Send>(
    capacity: usize,
) -> (mailbox::Sender<Std, T>, mailbox::Receiver<Std, T>) {
    mailbox::mailbox(capacity, 0, OnFull::Block)
}

blocking!(
    Mailbox, "blocksmith mailbox", mailbox::Sender<Std, T>, mailbox::Receiver<Std, T>,
    blocking_mailbox, clones, only
);
fn blocking_ring<T: Send>(capacity: usize) -> (spsc::Sender<Std, T>, spsc::Receiver<Std, T>) {
    spsc::spsc(capacity, Backpressure::Block)
}

fn blocking_pool<T: Send>(capacity: usize) -> (mpmc::Sender<Std, T>, mpmc::Receiver<Std, T>) {
    mpmc::mpmc(capacity, Backpressure::Block)
}

blocking!(
    Ring,
    "blocksmith spsc",
    spsc::Sender<Std, T>,
    spsc::Receiver<Std, T>,
    blocking_ring,
    only,
    only
);
blocking!(
    Pool,
    "blocksmith mpmc",
    mpmc::Sender<Std, T>,
    mpmc::Receiver<Std, T>,
    blocking_pool,
    clones,
    clones
);
blocking!(
    Crossbeam,
    "crossbeam-channel",
    crossbeam_channel::Sender<T>,
    crossbeam_channel::Receiver<T>,
    crossbeam_channel::bounded,
    clones,
    clones
);
blocking!(Kanal, "kanal", kanal::Sender<T>, kanal::Receiver<T>, kanal::bounded, clones, clones);
blocking!(Flume, "flume", flume::Sender<T>, flume::Receiver<T>, flume::bounded, clones, clones);
blocking!(
    StdSync,
    "std sync_channel",
    std::sync::mpsc::SyncSender<T>,
    std::sync::mpsc::Receiver<T>,
    std::sync::mpsc::sync_channel,
    clones,
    only
);

/// rtrb does not block: both ends yield while they cannot go on.
pub(crate) struct Rtrb;

impl Channel for Rtrb {
    const NAME: &'static str = "rtrb (yields)";
    type Sender<T: Send + 'static> = rtrb::Producer<T>;
    type Receiver<T: Send + 'static> = rtrb::Consumer<T>;

    fn make<T: Send + 'static>(capacity: usize, senders: usize, receivers: usize) -> Ends<Self, T> {
        let (producer, consumer) = rtrb::RingBuffer::new(capacity);
        (only(producer, senders), only(consumer, receivers))
    }
    fn send<T: Send + 'static>(sender: &mut Self::Sender<T>, mut item: T) {
        while let Err(rtrb::PushError::Full(back)) = sender.push(item) {
            item = back;
            std::thread::yield_now();
        }
    }
    fn recv<T: Send + 'static>(receiver: &mut Self::Receiver<T>) -> T {
        loop {
            match receiver.pop() {
                Ok(item) => return item,
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}

/// A named workload: runs `n` operations and returns the time they took.
pub(crate) type Run = Box<dyn Fn(u64) -> Duration>;

/// A workload of which each operation is timed: runs `n` and returns their nanoseconds.
pub(crate) type Timed = fn(u64) -> Vec<u64>;
