//! Scenarios of the mailbox.

use std::time::Duration;

use blocksmith_sync::Ordering::{Acquire, Relaxed, Release};
use blocksmith_sync::mailbox::{Closed, OnFull, SendError, TryRecvError, mailbox, mailbox_on};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Primitives, oneshot};

use super::notifier::join;

/// One sender blocks on a capacity of one.
pub fn in_order_through_one_place<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let thread = P::spawn("sender", move || {
        assert_eq!(sender.send(1), Ok(None));
        assert_eq!(sender.send(2), Ok(None));
    });
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.recv(), Ok(2));
    assert_eq!(receiver.recv(), Err(Closed));
    join(thread);
}

/// Two senders, one item each, room for both; the mailbox stays open.
pub fn two_senders<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(2, 0, OnFull::Refuse);
    let threads = [1, 2].map(|item| {
        let sender = sender.clone();
        P::spawn("sender", move || assert_eq!(sender.try_send(item), Ok(None)))
    });
    assert_eq!(receiver.recv().unwrap_or(0) + receiver.recv().unwrap_or(0), 3);
    threads.into_iter().for_each(join);
}

/// Two senders find the only place taken; the receiver makes room twice.
pub fn senders_block<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    assert_eq!(sender.send(0), Ok(None));
    let threads = [1, 2].map(|item| {
        let sender = sender.clone();
        P::spawn("sender", move || assert_eq!(sender.send(item), Ok(None)))
    });
    let received = [(); 3].map(|()| receiver.recv().unwrap_or(9));
    assert_eq!(received[0], 0);
    assert_eq!(received[1] + received[2], 3);
    threads.into_iter().for_each(join);
}

/// One sender may be between swap and link while the other has returned, and says so.
pub fn busy_is_not_empty<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(2, 0, OnFull::Refuse);
    let returned = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (second, flag) = (sender.clone(), returned.clone());
    let slow = P::spawn("slow", move || assert_eq!(sender.send(1), Ok(None)));
    let quick = P::spawn("quick", move || {
        assert_eq!(second.send(2), Ok(None));
        flag.store(1, Release);
    });
    if returned.load(Acquire) == 1 {
        assert!(receiver.try_recv().is_ok(), "a send has returned, yet the mailbox is empty");
    }
    join(slow);
    join(quick);
}

/// A send and a close at the same time.
pub fn close_races_with_send<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let thread = P::spawn("sender", move || match sender.send(7) {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_closed() && error.into_inner() == 7);
            false
        }
    });
    receiver.close();
    let received = receiver.iter().fold(0, |count, item| {
        assert_eq!(item, 7);
        count + 1
    });
    assert_eq!(received, u32::from(join(thread)), "accepted and received differ");
}

/// The receiver goes while a sender sends twice into a capacity of one. The items are shared objects:
/// loom reports one that is leaked, and the count at the end one that is dropped twice.
pub fn the_receiver_goes<P: Primitives>() {
    let item = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (sender, receiver) = mailbox::<P, Counted<P>>(1, 0, OnFull::Block);
    let origin = item.clone();
    let thread = P::spawn("sender", move || {
        drop(sender.send(Counted(origin.clone())));
        drop(sender.send(Counted(origin)));
    });
    drop(receiver);
    join(thread);
    assert_eq!(item.load(Relaxed), 2, "items dropped");
}

/// Counts its drops.
struct Counted<P: Primitives>(P::Arc<P::AtomicU32>);

impl<P: Primitives> Drop for Counted<P> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A question with a one-shot inside is accepted while the receiver goes; the sender stays alive.
pub fn a_reply_inside_is_dropped<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, oneshot::Sender<P, u32>>(1, 0, OnFull::Refuse);
    let thread = P::spawn("receiver", move || drop(receiver));
    let (reply, answer) = oneshot::channel::<P, u32>();
    drop(sender.send(reply));
    assert_eq!(answer.recv(), Err(oneshot::Dropped));
    join(thread);
    drop(sender);
}

/// Two senders evict from a capacity of one; the receiver takes what is left.
pub fn evictions_are_returned<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::EvictOldest);
    let threads = [(sender.clone(), 1), (sender, 2)].map(|(sender, item)| {
        P::spawn("sender", move || match sender.send(item) {
            Ok(evicted) => evicted.unwrap_or(0),
            Err(error) => panic!("{error}"),
        })
    });
    let received: u32 = receiver.iter().sum();
    let evicted: u32 = threads.into_iter().map(join).sum();
    assert_eq!(received + evicted, 3);
}

/// The mailbox is full; one thread sends over it while the receiver takes.
pub fn an_eviction_races_with_a_receive<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::EvictOldest);
    assert_eq!(sender.send(1), Ok(None));
    let thread = P::spawn("sender", move || match sender.send(2) {
        Ok(evicted) => evicted.unwrap_or(0),
        Err(error) => panic!("{error}"),
    });
    let received: u32 = receiver.iter().sum();
    assert_eq!(received + join(thread), 3);
}

/// A permit is used while the mailbox is full, and closed by the loss of its only sender.
pub fn a_permit_delivers<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 1, OnFull::Block);
    let permit = receiver.permit();
    assert!(receiver.permit().is_none(), "there is one slot");
    let thread = P::spawn("service", move || {
        assert_eq!(sender.send(1), Ok(None));
        drop(sender);
        assert_eq!(permit.map(|permit| permit.send(2)), Some(Ok(())));
    });
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.recv(), Ok(2));
    assert_eq!(receiver.recv(), Err(Closed));
    join(thread);
}

/// The receiver waits for a permit alone, and the permit is dropped.
pub fn a_dropped_permit_ends_the_stream<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 1, OnFull::Block);
    let permit = receiver.permit();
    drop(sender);
    let thread = P::spawn("service", move || drop(permit));
    assert_eq!(receiver.recv(), Err(Closed));
    join(thread);
}

/// Two senders end in two threads, each after a relaxed store. Nothing is sent, and the receiver looks
/// once, without the notifier's fences: the end alone orders the stores.
pub fn closed_comes_after_the_senders<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
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

/// The same for the drop of a permit.
pub fn closed_comes_after_the_permits<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 1, OnFull::Block);
    let done = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (permit, other) = (receiver.permit(), done.clone());
    drop(sender);
    let thread = P::spawn("service", move || {
        other.store(1, Relaxed);
        drop(permit);
    });
    if receiver.try_recv() == Err(TryRecvError::Closed) {
        assert_eq!(done.load(Relaxed), 1, "not seen");
    }
    join(thread);
}

/// A sender with limited patience meets a receiver with limited patience.
pub fn waits_may_expire<P: Primitives>() {
    let soon = Duration::from_millis(1);
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    assert_eq!(sender.send(1), Ok(None));
    let thread = P::spawn("sender", move || match sender.send_timeout(2, soon) {
        Ok(_) => 2,
        Err(SendError::Timeout(2)) => 0,
        Err(error) => panic!("{error}"),
    });
    assert_eq!(receiver.recv(), Ok(1));
    let early = receiver.recv_timeout(soon).unwrap_or(0);
    let sent = join(thread);
    assert_eq!(early + receiver.iter().sum::<u32>(), sent);
}

/// Two senders, each with its own mailbox; one thread waits for both.
pub fn two_mailboxes_one_thread<P: Primitives>() {
    let notifier = P::arc(EventNotifier::<P>::new());
    let (left, left_in) = mailbox_on::<P, u32>(notifier.clone(), 1, 0, OnFull::Refuse);
    let (right, right_in) = mailbox_on::<P, u32>(notifier.clone(), 1, 0, OnFull::Refuse);
    let threads = [(left, 1), (right, 2)]
        .map(|(sender, item)| P::spawn("sender", move || assert_eq!(sender.send(item), Ok(None))));
    let either = || left_in.try_recv().or_else(|_| right_in.try_recv()).ok();
    assert_eq!(notifier.wait_until(either) + notifier.wait_until(either), 3);
    threads.into_iter().for_each(join);
}

/// The same with one sender, who writes to both.
pub fn two_mailboxes_one_sender<P: Primitives>() {
    let notifier = P::arc(EventNotifier::<P>::new());
    let (left, left_in) = mailbox_on::<P, u32>(notifier.clone(), 1, 0, OnFull::Refuse);
    let (right, right_in) = mailbox_on::<P, u32>(notifier.clone(), 1, 0, OnFull::Refuse);
    let thread = P::spawn("sender", move || {
        assert_eq!(right.send(2), Ok(None));
        assert_eq!(left.send(1), Ok(None));
    });
    let either = || left_in.try_recv().or_else(|_| right_in.try_recv()).ok();
    assert_eq!(notifier.wait_until(either) + notifier.wait_until(either), 3);
    join(thread);
}

/// The receiver has passed two nodes when, by its own word, the sender sends again. Nothing else orders the
/// two: whether the sender may write into the nodes is the node cache's to say. A capacity of 8 is the
/// smallest that keeps nodes, in chains of one.
pub fn a_node_is_used_again<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(8, 0, OnFull::Refuse);
    (1..=2).for_each(|item| assert_eq!(sender.try_send(item), Ok(None)));
    let passed = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let flag = passed.clone();
    let thread = P::spawn("receiver", move || {
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(receiver.try_recv(), Ok(2));
        flag.store(1, Relaxed);
        receiver
    });
    if passed.load(Relaxed) == 1 {
        (3..=4).for_each(|item| assert_eq!(sender.try_send(item), Ok(None)));
    }
    let receiver = join(thread);
    drop(sender);
    assert!(matches!(receiver.iter().sum(), 0 | 7), "an item was lost");
}

/// Two threads send through one end, one after the other by a relaxed word: a chain of two nodes, which a
/// third has passed, is handed from one to the other by the end's stash.
pub fn two_threads_share_an_end<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(16, 0, OnFull::Refuse);
    (1..=3).for_each(|item| assert_eq!(sender.try_send(item), Ok(None)));
    let sender = P::arc(sender);
    let sent = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (other, flag) = (sender.clone(), sent.clone());
    let second = P::spawn("second", move || {
        if flag.load(Relaxed) == 1 {
            assert_eq!(other.try_send(5), Ok(None));
        }
    });
    let thread = P::spawn("receiver", move || {
        (1..=3).for_each(|item| assert_eq!(receiver.try_recv(), Ok(item)));
        receiver
    });
    let receiver = join(thread);
    assert_eq!(sender.try_send(4), Ok(None));
    sent.store(1, Relaxed);
    join(second);
    drop(sender);
    assert!(matches!(receiver.iter().sum(), 4 | 9), "an item was lost");
}

/// The mailbox is full and a sender blocks; the receiver's credits come back in batches of two, and the
/// last one when it finds the mailbox empty.
pub fn credits_return_in_batches<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(16, 0, OnFull::Block);
    (0..16).for_each(|item| assert_eq!(sender.send(item), Ok(None)));
    let thread = P::spawn("sender", move || assert_eq!(sender.send(16), Ok(None)));
    (0..17).for_each(|item| assert_eq!(receiver.recv(), Ok(item)));
    assert_eq!(receiver.recv(), Err(Closed));
    assert_eq!(receiver.counters().depth, 0);
    join(thread);
}

/// A service loops over its mailbox; its owner sends work, closes, and joins.
pub fn stop_by_closing<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let service = P::spawn("service", move || receiver.iter().sum::<u32>());
    assert_eq!(sender.send(1), Ok(None));
    assert_eq!(sender.send(2), Ok(None));
    sender.close();
    assert_eq!(join(service), 3);
}
