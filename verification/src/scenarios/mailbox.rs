//! Scenarios of the mailbox.

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::{Acquire, Relaxed, Release};
use blocksmith_sync::mailbox::{Closed, OnFull, TryRecvError, mailbox, mailbox_on};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Primitives};

use super::notifier::join;
use super::{RUNS, SAMPLE, Scenario, TOO_LARGE, restless, restless_states, states};
use crate::scenario;

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

/// The receiver has passed two nodes when, by its own word, the sender sends again. Nothing else
/// orders the two: whether the sender may write into the nodes is the node cache's to say. A
/// capacity of 8 is the smallest that keeps nodes, in chains of one.
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

/// Two threads send through one end, one after the other by a relaxed word: a chain of two nodes,
/// which a third has passed, is handed from one to the other by the end's stash.
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

/// The mailbox is full and a sender blocks; the receiver's credits come back in batches of two, and
/// the last one when it finds the mailbox empty.
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

/// Returns the list of the above, with their bounds.
pub(super) fn list() -> Vec<Scenario> {
    vec![
        scenario! {
            mailbox::two_senders,
            "each item of two senders arrives once; recv sleeps on busy and is woken",
            Some(&hazard::M3),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: states(3_000_000), std: RUNS,
        },
        scenario! {
            mailbox::busy_is_not_empty,
            "try_recv does not say Empty when a send has returned", Some(&hazard::M3),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
        scenario! {
            mailbox::evictions_are_returned,
            "two senders that evict: each item is received or returned, once", Some(&hazard::M7),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mailbox::an_eviction_races_with_a_receive,
            "the receiver and an evictor never take the same item", Some(&hazard::M7),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(1_000_000), std: RUNS,
        },
        scenario! {
            mailbox::a_permit_delivers,
            "a permit delivers into a full and closed mailbox, without blocking", Some(&hazard::M8),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(1_000_000), std: RUNS,
        },
        scenario! {
            mailbox::a_dropped_permit_ends_the_stream,
            "the drop of the last permit ends the wait of the receiver", Some(&hazard::M10),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
        scenario! {
            mailbox::closed_comes_after_the_permits,
            "who receives Closed sees what the holder of a permit did before", None,
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(100_000), std: RUNS,
        },
        scenario! {
            mailbox::two_mailboxes_one_thread,
            "one thread waits for two mailboxes through one notifier", None,
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mailbox::a_node_is_used_again,
            "a node is written again only after its item has been taken", Some(&hazard::M1),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(100_000), std: RUNS,
        },
        scenario! {
            mailbox::two_threads_share_an_end,
            "two threads that send through one end never use the same node", Some(&hazard::M1),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mailbox::credits_return_in_batches,
            "a sender that waits for a credit gets it, though credits return in batches", None,
            threads: 2, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mailbox::stop_by_closing,
            "a service whose mailbox closes does all its work and ends", Some(&hazard::L1),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(3_000_000), std: RUNS,
        },
    ]
}
