//! The mailbox on real threads; every interleaving of small cases is the checkers' business.

use super::*;
use crate::Std;
use std::sync::Arc;

fn numbers(capacity: usize, on_full: OnFull) -> (Sender<Std, u32>, Receiver<Std, u32>) {
    mailbox(capacity, 1, on_full)
}

/// Four senders through two places: everything arrives, in each sender's order.
#[test]
fn each_senders_items_arrive_in_order_and_once() {
    let (sender, receiver) = mailbox::<Std, (usize, u32)>(2, 0, OnFull::Block);
    let threads: Vec<_> = (0..4)
        .map(|who| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                (0..2_000).all(|number| sender.send((who, number)) == Ok(None))
            })
        })
        .collect();
    drop(sender);
    let mut next = [0; 4];
    for (who, number) in receiver.iter() {
        assert_eq!(number, next[who]);
        next[who] += 1;
    }
    assert_eq!(next, [2_000; 4]);
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    let counters = receiver.counters();
    assert_eq!((counters.sent, counters.received, counters.depth), (8_000, 8_000, 0));
    assert!(counters.high_water <= 2);
}

/// The second send finds one place taken.
#[test]
fn refuse_returns_the_item() {
    let (sender, receiver) = numbers(1, OnFull::Refuse);
    assert_eq!(sender.send(1), Ok(None));
    assert_eq!(sender.send(2), Err(SendError::Full(2)));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.counters().refused, 1);
}

/// A reply lies in front of the oldest request: it is kept, and received first.
#[test]
fn eviction_returns_the_oldest_request_and_keeps_replies() {
    let (sender, receiver) = numbers(2, OnFull::EvictOldest);
    let permit = receiver.permit().unwrap();
    permit.send(100).unwrap();
    assert_eq!(sender.send(1), Ok(None));
    assert_eq!(sender.send(2), Ok(None));
    assert_eq!(sender.send(3), Ok(Some(1)));
    assert_eq!(receiver.counters().depth, 3);
    let mut items = Vec::new();
    assert_eq!(receiver.recv_batch(&mut items, 9), Ok(3));
    assert_eq!(items, [100, 2, 3]);
    let counters = receiver.counters();
    assert_eq!((counters.sent, counters.received, counters.evicted), (4, 3, 1));
}

/// Nobody receives: the call gives the item back.
#[test]
fn send_timeout_returns_the_item() {
    let (sender, _receiver) = numbers(1, OnFull::Block);
    assert_eq!(sender.send_timeout(1, Duration::ZERO), Ok(None));
    assert_eq!(sender.try_send(2), Err(SendError::Full(2)));
    assert_eq!(sender.send_timeout(3, Duration::from_millis(1)), Err(SendError::Timeout(3)));
}

/// What was accepted before the closing is received, what comes after is returned.
#[test]
fn close_refuses_new_items_and_delivers_accepted_ones() {
    let (sender, receiver) = numbers(4, OnFull::Block);
    assert_eq!(sender.send(1), Ok(None));
    receiver.close();
    assert!(sender.is_closed());
    assert_eq!(sender.send(2), Err(SendError::Closed(2)));
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.recv(), Err(Closed));
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Closed));
}

/// One slot: taken, queued, received; each time the next permit says whether it is free.
#[test]
fn a_permit_delivers_after_close_and_its_slot_comes_back() {
    let (sender, receiver) = numbers(1, OnFull::Block);
    let permit = receiver.permit().unwrap();
    assert!(receiver.permit().is_none());
    assert_eq!(sender.send(1), Ok(None));
    sender.close();
    permit.send(2).unwrap();
    assert!(receiver.permit().is_none());
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    drop(receiver.permit().unwrap());
    assert!(receiver.permit().is_some());
}

/// The receiver blocks while the only thing that can still come is a permit's item.
#[test]
fn a_dropped_permit_ends_the_wait() {
    let (sender, receiver) = numbers(1, OnFull::Block);
    let permit = receiver.permit().unwrap();
    drop(sender);
    let thread = std::thread::spawn(move || receiver.recv());
    drop(permit);
    assert_eq!(thread.join().unwrap(), Err(Closed));
}

/// A sender blocks on a full mailbox while the receiver goes away.
#[test]
fn the_drop_of_the_receiver_wakes_senders_and_drops_items_once() {
    let value = Arc::new(());
    let (sender, receiver) = mailbox::<Std, Arc<()>>(1, 1, OnFull::Block);
    let permit = receiver.permit().unwrap();
    sender.send(Arc::clone(&value)).unwrap();
    let (second, copy) = (sender.clone(), Arc::clone(&value));
    let thread = std::thread::spawn(move || second.send(copy).is_err_and(|e| e.is_closed()));
    drop(receiver);
    assert!(thread.join().unwrap());
    assert!(permit.send(Arc::clone(&value)).is_err());
    assert_eq!(Arc::strong_count(&value), 1);
}

/// One thread waits for two mailboxes through one notifier.
#[test]
fn mailboxes_of_one_thread_can_share_a_notifier() {
    let notifier = Arc::new(EventNotifier::new());
    let (left, left_in) = mailbox_on::<Std, u32>(Arc::clone(&notifier), 1, 0, OnFull::Block);
    let (right, right_in) = mailbox_on::<Std, u32>(Arc::clone(&notifier), 1, 0, OnFull::Block);
    let threads = [left, right].map(|sender| {
        std::thread::spawn(move || (0..500).for_each(|n| assert_eq!(sender.send(n), Ok(None))))
    });
    let mut sum = 0;
    for _ in 0..1_000 {
        sum += notifier.wait_until(|| left_in.try_recv().or_else(|_| right_in.try_recv()).ok());
    }
    assert_eq!(sum, 2 * (0..500).sum::<u32>());
    for thread in threads {
        thread.join().unwrap();
    }
}

/// The bounds of the arguments are assertions.
#[test]
#[should_panic(expected = "a mailbox holds")]
fn a_capacity_of_zero_is_refused() {
    drop(numbers(0, OnFull::Block));
}
