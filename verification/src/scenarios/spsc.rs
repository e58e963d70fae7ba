//! Scenarios of the ring.

use std::time::Duration;

use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::spsc::{Receiver, Sender, spsc, spsc_on};
use blocksmith_sync::{Atomic, Backpressure, Closed, Primitives, SendError, TryRecvError, oneshot};

use super::notifier::join;

/// Returns a ring whose indices have moved on by `turned` items.
fn ring<P: Primitives>(capacity: usize, turned: u32) -> (Sender<P, u32>, Receiver<P, u32>) {
    let (sender, receiver) = spsc::<P, u32>(capacity, Backpressure::Block);
    for item in 0..turned {
        assert_eq!(sender.try_send(item), Ok(()));
        assert_eq!(receiver.try_recv(), Ok(item));
    }
    (sender, receiver)
}

/// Counts its drops.
pub(super) struct Counted<P: Primitives>(pub(super) P::Arc<P::AtomicU32>);

impl<P: Primitives> Drop for Counted<P> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The sender blocks on a capacity of one; two items take the indices over their end.
pub fn in_order_through_one_place<P: Primitives>() {
    let (sender, receiver) = ring::<P>(1, 1);
    let thread = P::spawn("sender", move || {
        assert_eq!(sender.send(1), Ok(()));
        assert_eq!(sender.send(2), Ok(()));
    });
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.recv(), Ok(2));
    assert_eq!(receiver.recv(), Err(Closed));
    join(thread);
}

/// Two places, the indices on the last of their four values, one item in: the second send fills the
/// ring over the end of the indices, the third blocks.
pub fn in_order_over_the_end_of_the_indices<P: Primitives>() {
    let (sender, receiver) = ring::<P>(2, 3);
    assert_eq!(sender.try_send(1), Ok(()));
    let thread = P::spawn("sender", move || {
        assert_eq!(sender.send(2), Ok(()));
        assert_eq!(sender.send(3), Ok(()));
        sender
    });
    for item in 1..=3 {
        assert_eq!(receiver.recv(), Ok(item));
    }
    drop(join(thread));
}

/// Three items in a batch through two places, received in batches.
pub fn batches_through_two_places<P: Primitives>() {
    let (sender, receiver) = ring::<P>(2, 3);
    let thread = P::spawn("sender", move || {
        let mut items = vec![1, 2, 3];
        assert_eq!((sender.send_batch(&mut items), items.len()), (Ok(3), 0));
    });
    let mut items = Vec::new();
    while let Ok(count) = receiver.recv_batch(&mut items, 2) {
        assert!((1..=2).contains(&count));
    }
    assert_eq!(items, [1, 2, 3]);
    join(thread);
}

/// The receiver looks once, and no notifier helps.
pub fn a_look_finds_the_item<P: Primitives>() {
    let (sender, receiver) = ring::<P>(1, 0);
    let thread = P::spawn("sender", move || assert_eq!(sender.try_send(7), Ok(())));
    if let Ok(item) = receiver.try_recv() {
        assert_eq!(item, 7);
    }
    join(thread);
}

/// The sender looks once for the place that the receiver frees; again no notifier helps.
pub fn a_look_finds_the_place<P: Primitives>() {
    let (sender, receiver) = spsc::<P, u32>(1, Backpressure::Refuse);
    assert_eq!(sender.send(1), Ok(()));
    let thread = P::spawn("receiver", move || {
        assert_eq!(receiver.try_recv(), Ok(1));
        receiver
    });
    let sent = sender.send(2).is_ok();
    let receiver = join(thread);
    assert_eq!(receiver.try_recv(), if sent { Ok(2) } else { Err(TryRecvError::Empty) });
}

/// The receiver closes while one item is sent, and then receives what was accepted.
pub fn close_races_with_send<P: Primitives>() {
    let (sender, receiver) = ring::<P>(1, 1);
    let thread = P::spawn("receiver", move || {
        receiver.close();
        let received: Vec<_> = receiver.iter().collect();
        (received, receiver)
    });
    let accepted = match sender.send(7) {
        Ok(()) => vec![7],
        Err(error) => {
            assert!(error.is_closed() && error.into_inner() == 7);
            vec![]
        }
    };
    let (received, receiver) = join(thread);
    assert_eq!(received, accepted, "accepted and received differ");
    assert_eq!(receiver.recv(), Err(Closed), "closed, and then an item");
}

/// Both ends close while the sender, who sends last before that, is a thread of its own.
pub fn both_ends_close<P: Primitives>() {
    let (sender, receiver) = ring::<P>(1, 0);
    let thread = P::spawn("sender", move || {
        let accepted = sender.send(7).is_ok();
        drop(sender);
        accepted
    });
    receiver.close();
    let received = receiver.iter().inspect(|item| assert_eq!(*item, 7)).count();
    assert_eq!(received, usize::from(join(thread)), "accepted and received differ");
}

/// The receiver closes while a batch of two is sent: both are accepted, or both come back in order.
pub fn close_races_with_a_batch<P: Primitives>() {
    let (sender, receiver) = ring::<P>(2, 1);
    let thread = P::spawn("receiver", move || {
        receiver.close();
        receiver.iter().collect::<Vec<_>>()
    });
    let mut items = vec![1, 2];
    let accepted = sender.send_batch(&mut items).is_ok();
    assert_eq!(items, if accepted { vec![] } else { vec![1, 2] });
    assert_eq!(join(thread), if accepted { vec![1, 2] } else { vec![] });
}

/// The receiver goes while the sender sends twice into a capacity of one. The items are shared objects:
/// loom reports one that is leaked, and the count at the end one that is dropped twice.
pub fn the_receiver_goes<P: Primitives>() {
    let item = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (sender, receiver) = spsc::<P, Counted<P>>(1, Backpressure::Block);
    let origin = item.clone();
    let thread = P::spawn("sender", move || {
        drop(sender.send(Counted(origin.clone())));
        drop(sender.send(Counted(origin)));
    });
    drop(receiver);
    join(thread);
    assert_eq!(item.load(Relaxed), 2, "items dropped");
}

/// A question with a one-shot inside is accepted while the receiver goes; the sender stays alive.
pub fn a_reply_inside_is_dropped<P: Primitives>() {
    let (sender, receiver) = spsc::<P, oneshot::Sender<P, u32>>(1, Backpressure::Refuse);
    let thread = P::spawn("receiver", move || drop(receiver));
    let (reply, answer) = oneshot::channel::<P, u32>();
    drop(sender.send(reply));
    assert_eq!(answer.recv(), Err(oneshot::Dropped));
    join(thread);
    drop(sender);
}

/// The sender ends after a relaxed store. Nothing is sent, and the receiver looks once, without the
/// notifier's fences: the end alone orders the store.
pub fn closed_comes_after_the_sender<P: Primitives>() {
    let (sender, receiver) = ring::<P>(1, 0);
    let done = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let other = done.clone();
    let thread = P::spawn("sender", move || {
        other.store(1, Relaxed);
        drop(sender);
    });
    if receiver.try_recv() == Err(TryRecvError::Closed) {
        assert_eq!(done.load(Relaxed), 1, "not seen");
    }
    join(thread);
}

/// A sender with limited patience meets a receiver with limited patience.
pub fn waits_may_expire<P: Primitives>() {
    let soon = Duration::from_millis(1);
    let (sender, receiver) = ring::<P>(1, 0);
    assert_eq!(sender.send(1), Ok(()));
    let thread = P::spawn("sender", move || match sender.send_timeout(2, soon) {
        Ok(()) => 2,
        Err(SendError::Timeout(2)) => 0,
        Err(error) => panic!("{error}"),
    });
    assert_eq!(receiver.recv(), Ok(1));
    let early = receiver.recv_timeout(soon).unwrap_or(0);
    let sent = join(thread);
    assert_eq!(early + receiver.iter().sum::<u32>(), sent);
}

/// One thread writes to two rings; another waits for both through one notifier.
pub fn two_rings_one_thread<P: Primitives>() {
    let notifier = P::arc(EventNotifier::<P>::new());
    let (left, left_in) = spsc_on::<P, u32>(notifier.clone(), 1, Backpressure::Refuse);
    let (right, right_in) = spsc_on::<P, u32>(notifier.clone(), 1, Backpressure::Refuse);
    let thread = P::spawn("sender", move || {
        assert_eq!(right.send(2), Ok(()));
        assert_eq!(left.send(1), Ok(()));
    });
    let either = || left_in.try_recv().or_else(|_| right_in.try_recv()).ok();
    assert_eq!(notifier.wait_until(either) + notifier.wait_until(either), 3);
    join(thread);
}

/// Eight threads in a row, joined by rings of one and two places; the ends close one after another.
pub fn a_row_of_eight<P: Primitives>() {
    let (sender, mut last) = ring::<P>(1, 0);
    let mut threads = Vec::new();
    for stage in 0..6 {
        let (next, receiver) = ring::<P>(1 + stage % 2, 0);
        let input = std::mem::replace(&mut last, receiver);
        threads.push(P::spawn("stage", move || {
            assert!(input.iter().all(|item| next.send(item + 1).is_ok()));
        }));
    }
    threads.push(P::spawn("sender", move || assert!((0..4).all(|n| sender.send(n).is_ok()))));
    assert!(last.iter().eq(6..10));
    threads.into_iter().for_each(join);
}
