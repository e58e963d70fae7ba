//! Tests of the ring on real threads; the checkers explore every interleaving of small cases.

use super::*;
use crate::Std;
use crate::scripted::{Scripted, counting_waker, forget_pending, script, while_reporting};
use core::task::{Context, Poll};
use std::sync::Arc;

const ITEMS: u32 = 100_000;

fn numbers(capacity: usize, on_full: Backpressure) -> (Sender<Std, u32>, Receiver<Std, u32>) {
    spsc(capacity, on_full)
}

/// A hundred thousand items through rings of one, two, three and 64 places, one by one.
#[test]
fn every_item_arrives_in_order() {
    for capacity in [1, 2, 3, 64] {
        let (sender, receiver) = numbers(capacity, Backpressure::Block);
        let thread = std::thread::spawn(move || {
            assert!((0..ITEMS).all(|n| sender.send(n).is_ok()));
            sender.counters()
        });
        assert!(receiver.iter().eq(0..ITEMS), "capacity {capacity}");
        let sent = thread.join().unwrap();
        let counters = receiver.counters();
        assert_eq!(sent.sent, u64::from(ITEMS));
        assert_eq!((counters.sent, counters.received), (sent.sent, sent.sent));
        assert_eq!((counters.depth, counters.refused), (0, 0));
        assert!((1..=capacity as u64).contains(&counters.high_water));
    }
}

/// The same items are sent in batches of seven and received in batches of at most five.
#[test]
fn every_item_of_batches_arrives_in_order() {
    for capacity in [1, 3, 64] {
        let (sender, receiver) = numbers(capacity, Backpressure::Block);
        let thread = std::thread::spawn(move || {
            for start in (0..ITEMS).step_by(7) {
                let mut batch: Vec<_> = (start..ITEMS.min(start + 7)).collect();
                assert_eq!(sender.send_batch(&mut batch), Ok((ITEMS - start).min(7) as usize));
                assert!(batch.is_empty());
            }
        });
        let mut items = Vec::new();
        while let Ok(count) = receiver.recv_batch(&mut items, 5) {
            assert!((1..=5.min(capacity)).contains(&count));
        }
        assert!(items.iter().copied().eq(0..ITEMS), "capacity {capacity}");
        thread.join().unwrap();
    }
}

/// A ring of one place takes one item and a ring of three places three, whatever the index.
#[test]
fn no_place_is_wasted() {
    for capacity in 1..=3 {
        let (sender, receiver) = numbers(capacity, Backpressure::Refuse);
        for round in 0..9 {
            for item in 0..capacity as u32 {
                assert_eq!(sender.send(item), Ok(()));
            }
            assert_eq!(sender.send(9), Err(SendError::Full(9)));
            assert_eq!(sender.counters().high_water, capacity as u64);
            assert_eq!(sender.counters().refused, round + 1);
            let mut items = Vec::new();
            assert_eq!(receiver.drain(&mut items, 9), capacity);
            assert!(items.into_iter().eq(0..capacity as u32));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        }
    }
}

/// A batch that does not fit is taken in part, and its rest once there is room.
#[test]
fn what_a_batch_finds_no_room_for_stays_in_it() {
    let (sender, receiver) = numbers(3, Backpressure::Refuse);
    let mut batch = vec![1, 2, 3, 4, 5];
    assert_eq!(sender.send_batch(&mut batch), Ok(3));
    assert_eq!(batch, [4, 5]);
    assert_eq!((sender.try_send_batch(&mut batch), batch.len()), (Ok(0), 2));
    assert_eq!(sender.counters().refused, 4);
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!((sender.try_send_batch(&mut batch), batch.len()), (Ok(1), 1));
    assert_eq!((sender.counters().refused, sender.counters().sent), (5, 4));
    receiver.close();
    assert_eq!((sender.send_batch(&mut batch), batch), (Err(Closed), vec![5]));
    assert!(receiver.iter().eq(2..=4));
}

/// Nobody receives, nobody sends: the calls end, and the item is returned.
#[test]
fn timed_calls_end() {
    let (sender, receiver) = numbers(1, Backpressure::Block);
    let soon = Duration::from_millis(1);
    assert_eq!(receiver.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
    assert_eq!(sender.send_timeout(1, soon), Ok(()));
    assert_eq!(sender.send_timeout(2, soon), Err(SendError::Timeout(2)));
    assert_eq!(receiver.recv_timeout(soon), Ok(1));
    receiver.close();
    assert_eq!(sender.send_timeout(3, soon), Err(SendError::Closed(3)));
    assert_eq!(receiver.recv_timeout(soon), Err(RecvTimeoutError::Closed));
}

/// Either end closes; what was accepted is received, what comes after is returned.
#[test]
fn close_delivers_what_was_accepted() {
    for by_sender in [true, false] {
        let (sender, receiver) = numbers(4, Backpressure::Block);
        assert_eq!(sender.send(1), Ok(()));
        if by_sender {
            sender.close();
        } else {
            receiver.close();
        }
        assert!(sender.is_closed() && receiver.is_closed());
        assert_eq!(sender.send(2), Err(SendError::Closed(2)));
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv(), Err(Closed));
    }
}

/// A sender blocks on a full ring while the receiver goes away; the owners of the items are
/// counted.
#[test]
fn the_drop_of_the_receiver_wakes_the_sender_and_drops_items_once() {
    let value = Arc::new(());
    let (sender, receiver) = spsc::<Std, Arc<()>>(2, Backpressure::Block);
    let copies: Vec<_> = (0..9).map(|_| Arc::clone(&value)).collect();
    let thread = std::thread::spawn(move || {
        let mut batch = copies;
        (sender.send_batch(&mut batch), batch.len() >= 7)
    });
    drop(receiver);
    assert_eq!(thread.join().unwrap(), (Err(Closed), true));
    assert_eq!(Arc::strong_count(&value), 1);
}

/// Items without a size are counted like others.
#[test]
fn items_may_have_no_size() {
    let (sender, receiver) = spsc::<Std, ()>(2, Backpressure::Refuse);
    let mut batch = vec![(); 5];
    assert_eq!(sender.send_batch(&mut batch), Ok(2));
    drop(sender);
    assert_eq!(receiver.iter().count(), 2);
}

/// A sender waits for the closing; a meter in a third thread reads the figures.
#[test]
fn a_sender_waits_for_the_end() {
    let (sender, receiver) = numbers(1, Backpressure::Block);
    let meter = sender.meter();
    assert_eq!((sender.send(1), receiver.try_iter().count()), (Ok(()), 1));
    assert!(!sender.closed_timeout(Duration::from_millis(1)) && !sender.is_disconnected());
    let thread = std::thread::spawn(move || {
        sender.closed();
        sender.is_disconnected()
    });
    drop(receiver);
    assert!(thread.join().unwrap());
    assert_eq!(std::thread::spawn(move || meter.counters().received).join().unwrap(), 1);
}

/// A receiver tells whether the sender is there; an iterator that owns it yields what the sender
/// left.
#[test]
fn a_receiver_knows_whether_somebody_is_left() {
    let (sender, receiver) = numbers(2, Backpressure::Refuse);
    assert_eq!(sender.send(1), Ok(()));
    sender.close();
    assert!(receiver.is_closed() && !receiver.is_disconnected());
    drop(sender);
    assert!(receiver.is_disconnected());
    assert_eq!((&receiver).into_iter().next(), Some(1));
    assert_eq!(receiver.into_iter().next(), None);
}

/// The bounds of the argument are assertions.
#[test]
#[should_panic(expected = "a ring holds")]
fn a_capacity_of_zero_is_refused() {
    drop(numbers(0, Backpressure::Block));
}

/// A task waits for the closing; the receiver closes, and stays.
#[test]
fn the_closing_wakes_a_task_that_waits_for_it() {
    let (sender, receiver) = numbers(1, Backpressure::Block);
    let (wakes, waker) = counting_waker();
    let mut closed = Box::pin(sender.closed_async());
    assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    receiver.close();
    assert_eq!(wakes.get(), 1);
    assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

/// A full ring. Sending tasks are forgotten while they wait, and another waits. Each way of
/// receiving wakes the one that is there, and the list is empty then.
#[test]
fn a_send_that_was_forgotten_takes_no_wake_up_from_the_next() {
    for in_a_batch in [false, true] {
        let (mut sender, receiver) = numbers(1, Backpressure::Block);
        assert_eq!(sender.send(1), Ok(()));
        let ((stale, other), (wakes, waker)) = (counting_waker(), counting_waker());
        forget_pending(sender.closed_async(), &other);
        forget_pending(sender.send_async(2), &other);
        let mut next = Box::pin(sender.send_async(3));
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if in_a_batch {
            assert_eq!(receiver.drain(&mut Vec::new(), 9), 1);
        } else {
            assert_eq!(receiver.recv(), Ok(1));
        }
        assert_eq!((wakes.get(), stale.get()), (1, 2));
        assert_eq!(next.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(())));
        drop(next);
        assert_eq!((receiver.recv(), sender.shared.not_full.waiters()), (Ok(3), 0));
    }
}

/// An empty ring. Receiving tasks are forgotten while they wait, and another waits. Each way of
/// sending wakes the one that is there, and the list is empty then.
#[test]
fn a_receive_that_was_forgotten_takes_no_wake_up_from_the_next() {
    for in_a_batch in [false, true] {
        let (sender, mut receiver) = numbers(1, Backpressure::Refuse);
        let ((stale, other), (wakes, waker)) = (counting_waker(), counting_waker());
        forget_pending(receiver.recv_async(), &other);
        forget_pending(receiver.recv_batch_async(&mut Vec::new(), 9), &other);
        let mut next = Box::pin(receiver.recv_async());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if in_a_batch {
            assert_eq!(sender.send_batch(&mut vec![7]), Ok(1));
        } else {
            assert_eq!(sender.send(7), Ok(()));
        }
        assert_eq!((wakes.get(), stale.get()), (1, 2));
        assert_eq!(next.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(7)));
        assert_eq!(sender.shared.not_empty.waiters(), 0);
    }
}

/// While the backend reports a violation, a receiver that is dropped does nothing.
#[test]
fn a_receiver_that_is_dropped_during_a_report_does_nothing() {
    let (sender, receiver) = spsc::<Scripted, u32>(1, Backpressure::Refuse);
    while_reporting(|| drop(receiver));
    assert!(!sender.is_closed());
}

/// A sender that finds the ring closed puts its item nowhere, and so the figures never show it.
#[test]
fn nothing_is_put_into_a_closed_ring() {
    let (sender, receiver) = spsc::<Scripted, u32>(1, Backpressure::Refuse);
    receiver.close();
    let writes = || script(|script| script.accesses.get().1);
    let before = writes();
    assert_eq!((sender.send(1), writes()), (Err(SendError::Closed(1)), before));
}
