//! Scenarios of the mailbox.

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::{Acquire, Relaxed, Release};
use blocksmith_sync::mailbox::{Closed, OnFull, TryRecvError, mailbox, mailbox_on};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Primitives};

use super::notifier::join;
use super::{RUNS, Row, SAMPLE, TOO_LARGE, restless, restless_states, states};
use crate::row;

/// Two senders send one item each. There is room for both, and the mailbox stays open.
pub fn two_senders<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(2, 0, OnFull::Refuse);
    let threads = [1, 2].map(|item| {
        let sender = sender.clone();
        P::spawn("sender", move || assert_eq!(sender.try_send(item), Ok(None)))
    });
    assert_eq!(receiver.recv().unwrap_or(0) + receiver.recv().unwrap_or(0), 3);
    threads.into_iter().for_each(join);
}

/// One sender may be between its swap and its link when the other has returned, and says so.
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

/// Two senders evict from a mailbox of one place. The receiver takes what is left.
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

/// The mailbox is full. One thread sends and evicts while the receiver takes an item.
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

/// A permit is used while the mailbox is full and, because its only sender has gone, closed.
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

/// The mailbox is closed. Two threads drop a permit each, after a relaxed store each. The receiver
/// looks once, without the notifier's fences.
pub fn closed_comes_after_the_replies<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 2, OnFull::Block);
    let permits = [0, 1].map(|index| (index, receiver.permit()));
    drop(sender);
    let done = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let threads = permits.map(|(index, permit): (usize, _)| {
        let flags = done.clone();
        P::spawn("service", move || {
            flags[index].store(1, Relaxed);
            drop(permit);
        })
    });
    if receiver.try_recv() == Err(TryRecvError::Closed) {
        assert!(done.iter().all(|done| done.load(Relaxed) == 1), "not seen");
    }
    threads.into_iter().for_each(join);
}

/// Two senders send to a mailbox each. One thread waits for both mailboxes.
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

/// The mailbox has one place, so the next item goes where the receiver has just taken one. Nothing
/// orders the two but the credit.
pub fn a_place_is_used_again<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Refuse);
    assert_eq!(sender.try_send(1), Ok(None));
    let thread = P::spawn("receiver", move || {
        assert_eq!(receiver.try_recv(), Ok(1));
        receiver
    });
    let accepted = (2..=3).filter(|item| sender.try_send(*item).is_ok()).count();
    let receiver = join(thread);
    drop(sender);
    assert_eq!(receiver.iter().count(), accepted, "an item was lost");
}

/// A place of two is kept while other threads send and receive, until each block has been used
/// again. Each item is sent by a thread of its own, so that no notification comes between what it
/// saw and its claim. So only the claims tell the other threads that the kept place has been used.
pub fn a_place_is_kept_for_long<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(2, 0, OnFull::Refuse);
    let Ok(kept) = sender.reserve() else { panic!("there is room") };
    assert_eq!(sender.try_send(1), Ok(None));
    let thread = P::spawn("receiver", move || {
        let mut sum = 0;
        for item in [2, 3, 4] {
            sum += receiver.try_recv().unwrap_or(0);
            let once = sender.clone();
            join(P::spawn("once", move || assert_eq!(once.try_send(item), Ok(None))));
        }
        (sum, sender, receiver)
    });
    assert_eq!(kept.send(100), Ok(()));
    let (sum, sender, receiver) = join(thread);
    drop(sender);
    assert_eq!(sum + receiver.iter().sum::<u32>(), 110);
}

/// An item so large that a block holds four of them.
type Large = [u64; 64];

/// The receiver passes a block of four places, and moves it on to where the sender sends next. The
/// sender would have room without that.
pub fn a_block_moves_ahead<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, Large>(8, 0, OnFull::Refuse);
    (0..4).for_each(|item| assert!(sender.try_send([item; 64]).is_ok()));
    let thread = P::spawn("receiver", move || {
        (0..4).for_each(|item| assert_eq!(receiver.try_recv(), Ok([item; 64])));
        receiver
    });
    assert!(sender.try_send([4; 64]).is_ok());
    let receiver = join(thread);
    drop(sender);
    assert_eq!(receiver.recv(), Ok([4; 64]));
    assert_eq!(receiver.recv(), Err(Closed));
}

/// The receiver passes the first block while two senders allocate the second. One of the three is
/// the first to put a block there, and all use that block.
pub fn three_bring_a_block<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, Large>(8, 0, OnFull::Refuse);
    (0..4).for_each(|item| assert!(sender.try_send([item; 64]).is_ok()));
    assert!((0..3).all(|item| receiver.try_recv() == Ok([item; 64])));
    let threads = [4, 5].map(|item| {
        let sender = sender.clone();
        P::spawn("sender", move || assert!(sender.try_send([item; 64]).is_ok()))
    });
    assert_eq!(receiver.try_recv(), Ok([3; 64])); // passes the block
    threads.into_iter().for_each(join);
    drop(sender);
    assert_eq!(receiver.iter().map(|item| item[63]).sum::<u64>(), 9);
}

/// The mailbox is full and a sender blocks. The receiver returns its credits in batches of two, and
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

/// A service loops over its mailbox. Its owner sends work, closes the mailbox, and joins the
/// service.
pub fn stop_by_closing<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let service = P::spawn("service", move || receiver.iter().sum::<u32>());
    assert_eq!(sender.send(1), Ok(None));
    assert_eq!(sender.send(2), Ok(None));
    sender.close();
    assert_eq!(join(service), 3);
}

/// Returns the scenarios of this module, with their bounds.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            mailbox::two_senders,
            "each item of two senders arrives once; recv sleeps on busy and is woken",
            Some(&hazard::M3),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: states(3_000_000), std: RUNS,
        },
        row! {
            mailbox::busy_is_not_empty,
            "try_recv does not say Empty when a send has returned", Some(&hazard::M3),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
        row! {
            mailbox::evictions_are_returned,
            "two senders that evict: each item is received or returned, once", Some(&hazard::M7),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            mailbox::an_eviction_races_with_a_receive,
            "the receiver and an evictor never take the same item", Some(&hazard::M7),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(1_000_000), std: RUNS,
        },
        row! {
            mailbox::a_permit_delivers,
            "a permit delivers into a full and closed mailbox, without blocking", Some(&hazard::M8),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(1_000_000), std: RUNS,
        },
        row! {
            mailbox::a_dropped_permit_ends_the_stream,
            "the drop of the last permit ends the wait of the receiver", Some(&hazard::M10),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            mailbox::closed_comes_after_the_replies,
            "who receives Closed sees what every holder of a permit did before", None,
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
        row! {
            mailbox::two_mailboxes_one_thread,
            "one thread waits for two mailboxes through one notifier", None,
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            mailbox::a_place_is_used_again,
            "a place is written again only after its item has been taken", Some(&hazard::M1),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            mailbox::a_place_is_kept_for_long,
            "who kept a place long ago finds the block of today", Some(&hazard::M1),
            threads: 5, loom: restless(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            mailbox::a_block_moves_ahead,
            "a block that is moved ahead of the claims is written after it has been emptied",
            Some(&hazard::M1),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            mailbox::three_bring_a_block,
            "of blocks that several threads bring for the same places one is used", Some(&hazard::M1),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            mailbox::credits_return_in_batches,
            "a sender that waits for a credit gets it, though credits return in batches", None,
            threads: 2, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            mailbox::stop_by_closing,
            "a service whose mailbox closes does all its work and ends", Some(&hazard::L1),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: states(3_000_000), std: RUNS,
        },
    ]
}
