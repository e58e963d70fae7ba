//! Scenarios of the pool's queue.

use std::time::Duration;

use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::mpmc::{Receiver, Sender, mpmc};
use blocksmith_sync::{Atomic, Backpressure, Closed, Primitives, SendError, TryRecvError, oneshot};

use super::notifier::join;
use super::spsc::Counted;

/// Returns a blocking queue with the items 1 to `filled` in it.
fn queue<P: Primitives>(capacity: usize, filled: u32) -> (Sender<P, u32>, Receiver<P, u32>) {
    let (sender, receiver) = mpmc::<P, u32>(capacity, Backpressure::Block);
    for item in 1..=filled {
        assert_eq!(sender.try_send(item), Ok(()));
    }
    (sender, receiver)
}

/// The sender blocks on a capacity of one.
pub fn in_order_through_one_place<P: Primitives>() {
    let (sender, receiver) = queue::<P>(1, 0);
    let thread = P::spawn("sender", move || {
        assert_eq!(sender.send(1), Ok(()));
        assert_eq!(sender.send(2), Ok(()));
    });
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.recv(), Ok(2));
    assert_eq!(receiver.recv(), Err(Closed));
    join(thread);
}

/// Two places, one item in: the places are used round, and the second send blocks.
pub fn in_order_through_two_places<P: Primitives>() {
    let (sender, receiver) = queue::<P>(2, 1);
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

/// Two receivers wait, one item each.
pub fn an_item_wakes_a_receiver<P: Primitives>() {
    let (sender, receiver) = queue::<P>(2, 0);
    let threads = [receiver.clone(), receiver]
        .map(|receiver| P::spawn("receiver", move || receiver.recv().unwrap_or(0)));
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.try_send(2), Ok(()));
    assert_eq!(threads.map(join).iter().sum::<u32>(), 3);
}

/// Two receivers share what one place lets through, and both learn that it is over.
pub fn two_receivers_share<P: Primitives>() {
    let (sender, receiver) = queue::<P>(1, 1);
    let threads = [receiver.clone(), receiver]
        .map(|receiver| P::spawn("receiver", move || receiver.iter().sum::<u32>()));
    assert_eq!(sender.send(2), Ok(()));
    drop(sender);
    assert_eq!(threads.map(join).iter().sum::<u32>(), 3);
}

/// Two senders find the only place taken; the receiver makes room twice.
pub fn senders_block<P: Primitives>() {
    let (sender, receiver) = queue::<P>(1, 1);
    let threads = [2, 3].map(|item| {
        let sender = sender.clone();
        P::spawn("sender", move || assert_eq!(sender.send(item), Ok(())))
    });
    let received = [(); 3].map(|()| receiver.recv().unwrap_or(9));
    assert_eq!(received[0], 1);
    assert_eq!(received[1] + received[2], 5);
    threads.into_iter().for_each(join);
}

/// Two senders block on a full queue, and a batch makes room for both.
pub fn a_batch_wakes_as_many_senders<P: Primitives>() {
    let (sender, receiver) = queue::<P>(2, 2);
    let threads = [3, 4].map(|item| {
        let sender = sender.clone();
        P::spawn("sender", move || assert_eq!(sender.send(item), Ok(())))
    });
    let mut items = Vec::new();
    assert_eq!(receiver.recv_batch(&mut items, 2), Ok(2));
    threads.into_iter().for_each(join);
    assert_eq!(receiver.recv_batch(&mut items, 9), Ok(2));
    items.sort_unstable();
    assert_eq!(items, [1, 2, 3, 4]);
}

/// Two receivers and the sender look once each, and no notifier helps; the second item may take the
/// place of the first, and its receiver's look may have been for that.
pub fn looks_share_the_items<P: Primitives>() {
    let (sender, receiver) = mpmc::<P, u32>(1, Backpressure::Refuse);
    assert_eq!(sender.send(1), Ok(()));
    let threads = [(); 2].map(|()| {
        let receiver = receiver.clone();
        P::spawn("receiver", move || receiver.try_recv().unwrap_or(0))
    });
    let sent = if sender.send(2).is_ok() { 3 } else { 1 };
    let received: u32 = threads.map(join).iter().sum();
    assert_eq!(received + receiver.try_recv().unwrap_or(0), sent);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

/// A send and a close at the same time.
pub fn close_races_with_send<P: Primitives>() {
    let (sender, receiver) = queue::<P>(1, 0);
    let thread = P::spawn("sender", move || match sender.send(7) {
        Ok(()) => true,
        Err(error) => {
            assert!(error.is_closed() && error.into_inner() == 7);
            false
        }
    });
    receiver.close();
    let received = receiver.iter().inspect(|item| assert_eq!(*item, 7)).count();
    assert_eq!(received, usize::from(join(thread)), "accepted and received differ");
}

/// Two receivers go, in two threads, while a third sends twice into a capacity of one.
pub fn the_receivers_go<P: Primitives>() {
    let item = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (sender, receiver) = mpmc::<P, Counted<P>>(1, Backpressure::Block);
    let other = receiver.clone();
    let origin = item.clone();
    let sending = P::spawn("sender", move || {
        drop(sender.send(Counted(origin.clone())));
        drop(sender.send(Counted(origin)));
    });
    let receiving = P::spawn("receiver", move || drop(other));
    drop(receiver);
    join(receiving);
    join(sending);
    assert_eq!(item.load(Relaxed), 2, "items dropped");
}

/// A question with a one-shot inside is accepted while the receiver goes; the sender stays alive.
pub fn a_reply_inside_is_dropped<P: Primitives>() {
    let (sender, receiver) = mpmc::<P, oneshot::Sender<P, u32>>(1, Backpressure::Refuse);
    let thread = P::spawn("receiver", move || drop(receiver));
    let (reply, answer) = oneshot::channel::<P, u32>();
    drop(sender.send(reply));
    assert_eq!(answer.recv(), Err(oneshot::Dropped));
    join(thread);
    drop(sender);
}

/// Two senders end in two threads, each after a relaxed store. Nothing is sent, and the receiver looks
/// once, without the notifier's fences: the end alone orders the stores.
pub fn closed_comes_after_the_senders<P: Primitives>() {
    let (sender, receiver) = queue::<P>(1, 0);
    let done = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let threads = [(0, sender.clone()), (1, sender)].map(|(index, sender)| {
        let done = done.clone();
        P::spawn("sender", move || {
            done[index].store(1, Relaxed);
            drop(sender);
        })
    });
    if receiver.try_recv() == Err(TryRecvError::Closed) {
        assert!(done.iter().all(|done| done.load(Relaxed) == 1), "not seen");
    }
    threads.into_iter().for_each(join);
}

/// A sender with limited patience meets a receiver with limited patience.
pub fn waits_may_expire<P: Primitives>() {
    let soon = Duration::from_millis(1);
    let (sender, receiver) = queue::<P>(1, 1);
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

/// Three senders and four receivers through two places.
pub fn a_pool_of_eight<P: Primitives>() {
    let (sender, receiver) = queue::<P>(2, 0);
    let senders = [1, 10, 100].map(|item| {
        let sender = sender.clone();
        P::spawn("sender", move || assert!((0..3).all(|_| sender.send(item).is_ok())))
    });
    drop(sender);
    let receivers = [(); 4].map(|()| {
        let receiver = receiver.clone();
        P::spawn("receiver", move || receiver.iter().sum::<u32>())
    });
    senders.into_iter().for_each(join);
    assert_eq!(receivers.map(join).iter().sum::<u32>(), 333);
}
