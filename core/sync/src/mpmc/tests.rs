//! Tests of the queue on real threads; the checkers explore every interleaving of small cases.

use super::*;
use crate::Std;
use crate::scripted::{Scripted, counting_waker, while_reporting};
use core::task::Context;
use std::sync::Arc;

const ITEMS: u32 = 100_000;

/// Four senders and four receivers through one, three and 64 places: each item arrives once, and
/// each receiver sees the items of a sender in order.
#[test]
fn every_item_arrives_once_and_in_its_senders_order() {
    for capacity in [1, 3, 64] {
        let (sender, receiver) = mpmc::<Std, (usize, u32)>(capacity, Backpressure::Block);
        let senders: Vec<_> = (0..4)
            .map(|who| {
                let sender = sender.clone();
                std::thread::spawn(move || (0..ITEMS / 4).all(|n| sender.send((who, n)).is_ok()))
            })
            .collect();
        drop(sender);
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let receiver = receiver.clone();
                std::thread::spawn(move || receiver.iter().collect::<Vec<_>>())
            })
            .collect();
        assert!(senders.into_iter().all(|thread| thread.join().unwrap()));
        let mut all = Vec::new();
        for thread in receivers {
            let received = thread.join().unwrap();
            for who in 0..4 {
                let of_one = received.iter().filter(|item| item.0 == who);
                assert!(of_one.is_sorted(), "capacity {capacity}");
            }
            all.extend(received);
        }
        all.sort_unstable();
        let sent = (0..4).flat_map(|who| (0..ITEMS / 4).map(move |number| (who, number)));
        assert!(all.into_iter().eq(sent), "capacity {capacity}");
        let counters = receiver.counters();
        assert_eq!((counters.sent, counters.received), (ITEMS.into(), ITEMS.into()));
        assert_eq!((counters.depth, counters.refused), (0, 0));
        assert!((1..=capacity as u64).contains(&counters.high_water));
    }
}

/// One sender, one receiver that takes batches.
#[test]
fn batches_arrive_in_order() {
    let (sender, receiver) = mpmc::<Std, u32>(5, Backpressure::Block);
    let thread = std::thread::spawn(move || (0..ITEMS).all(|n| sender.send(n).is_ok()));
    let mut items = Vec::new();
    while let Ok(count) = receiver.recv_batch(&mut items, 3) {
        assert!((1..=3).contains(&count));
    }
    assert!(items.into_iter().eq(0..ITEMS));
    assert!(thread.join().unwrap());
}

/// Every place is used, and a send into a full queue returns the item.
#[test]
fn refuse_returns_the_item() {
    let (sender, receiver) = mpmc::<Std, u32>(2, Backpressure::Refuse);
    for _ in 0..5 {
        assert_eq!((sender.send(1), sender.send(2)), (Ok(()), Ok(())));
        assert_eq!(sender.send(3), Err(SendError::Full(3)));
        let mut items = Vec::new();
        assert_eq!((receiver.drain(&mut items, 9), items), (2, vec![1, 2]));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
    let counters = sender.counters();
    assert_eq!((counters.refused, counters.high_water, counters.capacity), (5, 2, 2));
}

/// Nobody receives, nobody sends: the calls end, and the item is returned.
#[test]
fn timed_calls_end() {
    let (sender, receiver) = mpmc::<Std, u32>(1, Backpressure::Block);
    let soon = Duration::from_millis(1);
    assert_eq!(receiver.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
    assert_eq!(sender.send_timeout(1, soon), Ok(()));
    assert_eq!(sender.send_timeout(2, soon), Err(SendError::Timeout(2)));
    sender.close();
    assert_eq!(sender.send_timeout(3, soon), Err(SendError::Closed(3)));
    assert_eq!(receiver.recv_timeout(soon), Ok(1));
    assert_eq!(receiver.recv_timeout(soon), Err(RecvTimeoutError::Closed));
}

/// The drop of the last sender, not of the first, ends the stream for every receiver.
#[test]
fn the_last_sender_closes() {
    let (sender, receiver) = mpmc::<Std, u32>(2, Backpressure::Block);
    let other = receiver.clone();
    drop(sender.clone());
    assert_eq!(sender.send(1), Ok(()));
    assert!(!receiver.is_closed());
    drop(sender);
    assert!(receiver.is_closed());
    assert_eq!((receiver.recv(), receiver.recv(), other.recv()), (Ok(1), Err(Closed), Err(Closed)));
}

/// A sender blocks while the receivers go, one after the other; the owners of the items are
/// counted.
#[test]
fn the_last_receiver_wakes_senders_and_drops_items_once() {
    let value = Arc::new(());
    let (sender, receiver) = mpmc::<Std, Arc<()>>(1, Backpressure::Block);
    let other = receiver.clone();
    sender.send(Arc::clone(&value)).unwrap();
    drop(receiver);
    assert!(!sender.is_closed());
    let copy = Arc::clone(&value);
    let thread = std::thread::spawn(move || sender.send(copy).is_err_and(|e| e.is_closed()));
    drop(other);
    assert!(thread.join().unwrap());
    assert_eq!(Arc::strong_count(&value), 1);
}

/// Two senders of batches, two receivers of batches, through three places.
#[test]
fn every_item_of_batches_arrives_once() {
    let (sender, receiver) = mpmc::<Std, u32>(3, Backpressure::Block);
    let senders = [0, ITEMS / 2].map(|first| {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let mut batch = (first..first + ITEMS / 2).collect();
            (sender.send_batch(&mut batch), batch)
        })
    });
    drop(sender);
    let receivers = [receiver.clone(), receiver].map(|receiver| {
        std::thread::spawn(move || {
            let mut items = Vec::new();
            while let Ok(count) = receiver.recv_batch(&mut items, 2) {
                assert!((1..=2).contains(&count));
            }
            items
        })
    });
    for thread in senders {
        assert_eq!(thread.join().unwrap(), (Ok(ITEMS as usize / 2), vec![]));
    }
    let mut all: Vec<_> = receivers.into_iter().flat_map(|it| it.join().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..ITEMS));
}

/// A batch is refused, and another meets a closed queue: what is not accepted stays where it was.
#[test]
fn what_a_batch_finds_no_room_for_stays_in_it() {
    let (sender, receiver) = mpmc::<Std, u32>(2, Backpressure::Refuse);
    let mut batch = vec![1, 2, 3, 4];
    assert_eq!((sender.send_batch(&mut batch), &*batch), (Ok(2), &[3, 4][..]));
    assert_eq!((sender.try_send_batch(&mut batch), batch.len()), (Ok(0), 2));
    assert_eq!((sender.counters().refused, sender.counters().high_water), (4, 2));
    receiver.close();
    assert_eq!((sender.send_batch(&mut batch), &*batch), (Err(Closed), &[3, 4][..]));
    assert!(receiver.into_iter().eq([1, 2]));
}

/// A sender waits for the closing, which comes with the drop of the last receiver, not of the
/// first.
#[test]
fn a_sender_waits_for_the_end() {
    let (sender, receiver) = mpmc::<Std, u32>(1, Backpressure::Block);
    let (other, watcher, meter) = (receiver.clone(), sender.clone(), sender.meter());
    let thread = std::thread::spawn(move || watcher.closed());
    drop(receiver);
    assert!(!sender.closed_timeout(Duration::from_millis(1)) && !sender.is_disconnected());
    assert_eq!((sender.send(1), other.try_iter().count()), (Ok(()), 1));
    drop(other);
    thread.join().unwrap();
    assert!(sender.closed_timeout(Duration::ZERO) && sender.is_disconnected());
    assert_eq!(std::thread::spawn(move || meter.counters().received).join().unwrap(), 1);
}

/// The bounds of the argument are assertions.
#[test]
#[should_panic(expected = "a queue holds")]
fn a_capacity_of_zero_is_refused() {
    drop(mpmc::<Std, ()>(0, Backpressure::Block));
}

/// A permit's place is counted, given back, used after the close, and refused once the receivers
/// are gone; the end waits for outstanding permits.
#[test]
fn a_reserved_place_is_kept() {
    let (sender, receiver) = mpmc::<Std, u32>(2, Backpressure::Refuse);
    let (first, second) = (sender.reserve().unwrap(), sender.try_reserve().unwrap());
    assert!(sender.is_full() && sender.is_empty() && receiver.capacity() == 2);
    assert!(matches!(sender.reserve(), Err(SendError::Full(()))));
    assert_eq!(sender.send(1), Err(SendError::Full(1)));
    drop(first);
    assert_eq!((sender.send(1), sender.send(3)), (Ok(()), Err(SendError::Full(3))));
    assert_eq!((receiver.len(), receiver.try_recv()), (1, Ok(1)));
    let third = sender.try_reserve().unwrap();
    drop(sender);
    assert_eq!(
        (receiver.try_recv(), receiver.is_disconnected()),
        (Err(TryRecvError::Empty), false)
    );
    let waiting = receiver.clone();
    let thread = std::thread::spawn(move || (waiting.recv(), waiting.recv()));
    assert_eq!(second.send(2), Ok(()));
    drop(third);
    assert_eq!(thread.join().unwrap(), (Ok(2), Err(Closed)));
    assert!(receiver.is_disconnected());
    let (sender, receiver) = mpmc::<Std, u32>(1, Backpressure::Block);
    let place = sender.reserve().unwrap();
    assert!(!place.is_disconnected());
    drop(receiver);
    assert!(place.is_disconnected());
    assert_eq!(place.send(4), Err(SendError::Closed(4)));
}

/// A blocked sender, and one that reserves, wait for the drop of a permit.
#[test]
fn a_permit_that_is_dropped_wakes_who_waits() {
    let (sender, receiver) = mpmc::<Std, u32>(1, Backpressure::Block);
    let place = sender.reserve().unwrap();
    let other = sender.clone();
    let thread = std::thread::spawn(move || {
        assert_eq!(other.send(1), Ok(()));
        other.reserve().map(|place| place.send(2))
    });
    drop(place);
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
    assert!(matches!(thread.join().unwrap(), Ok(Ok(()))));
    struct Flag(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }
    let place = sender.reserve().unwrap();
    let flag = Arc::new(Flag(false.into()));
    let waker = core::task::Waker::from(flag.clone());
    let mut task = core::pin::pin!(sender.reserve_async());
    assert!(task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(place);
    assert!(flag.0.load(Relaxed), "the drop wakes it");
}

/// A vector grows by what is there, not by what could be there.
#[test]
fn a_batch_reserves_for_what_is_there() {
    let (sender, receiver) = mpmc::<Std, u32>(1 << 16, Backpressure::Block);
    let mut items = Vec::new();
    assert_eq!((receiver.drain(&mut items, usize::MAX), items.capacity()), (0, 0));
    sender.send(1).unwrap();
    assert_eq!(receiver.drain(&mut items, usize::MAX), 1);
    assert!(items.capacity() < 16, "{}", items.capacity());
    (2..=9).for_each(|item| sender.send(item).unwrap());
    assert_eq!(receiver.recv_batch(&mut items, 3), Ok(3));
    assert_eq!(receiver.recv_batch(&mut items, usize::MAX), Ok(5));
    assert!(items.capacity() < 64 && items.into_iter().eq(1..=9));
}

/// Two permits of a closed queue: the one that is used gives back no more than its own room, and
/// the end waits for the other.
#[test]
fn a_permit_that_is_used_is_one() {
    let (sender, receiver) = mpmc::<Std, u32>(2, Backpressure::Refuse);
    let (one, other) = (sender.reserve().unwrap(), sender.reserve().unwrap());
    assert_eq!(one.send(1), Ok(()));
    assert_eq!(sender.send(9), Err(SendError::Full(9)));
    sender.close();
    assert_eq!((receiver.recv(), receiver.try_recv()), (Ok(1), Err(TryRecvError::Empty)));
    assert_eq!(other.send(2), Ok(()));
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(2), Err(Closed)));
}

/// A receiver waits for the last permit of a closed queue, whether that is used or dropped. One
/// permit that goes before it wakes nobody.
#[test]
fn the_last_permit_of_a_closed_queue_ends_the_wait() {
    for is_used in [false, true] {
        let (sender, receiver) = mpmc::<Std, u32>(3, Backpressure::Block);
        let (first, last) = (sender.reserve().unwrap(), sender.reserve().unwrap());
        sender.close();
        let (wakes, waker) = counting_waker();
        let mut context = Context::from_waker(&waker);
        let mut items = [(); 2].map(|()| Box::pin(receiver.recv_async()));
        items.iter_mut().for_each(|item| assert!(item.as_mut().poll(&mut context).is_pending()));
        drop(first);
        assert_eq!(wakes.get(), 0, "the last one may still come");
        if is_used {
            assert_eq!(last.send(1), Ok(()));
        } else {
            drop(last);
        }
        assert_eq!(wakes.get(), 2, "of all that wait");
    }
}

/// A queue that is closed twice, the second time by the drop of its receiver, stays closed.
#[test]
fn a_queue_that_is_closed_stays_closed() {
    let (sender, receiver) = mpmc::<Std, u32>(1, Backpressure::Refuse);
    sender.close();
    receiver.close();
    assert!(sender.is_closed() && !sender.is_disconnected());
    drop(receiver);
    assert!(sender.is_closed() && sender.is_disconnected());
}

/// No end has had to look at the other's side yet: the figures know the depth all the same.
#[test]
fn the_high_water_is_at_least_the_depth() {
    let (sender, receiver) = mpmc::<Std, u32>(4, Backpressure::Refuse);
    (0..3).for_each(|item| sender.send(item).unwrap());
    let counters = receiver.counters();
    assert_eq!((counters.depth, counters.high_water, counters.sent), (3, 3, 3));
}

/// While the backend reports a violation, an end that is dropped does nothing.
#[test]
fn ends_that_are_dropped_during_a_report_do_nothing() {
    let (sender, receiver) = mpmc::<Scripted, u32>(2, Backpressure::Refuse);
    let place = sender.reserve().unwrap();
    while_reporting(|| drop(place));
    assert_eq!((sender.send(1), sender.send(2)), (Ok(()), Err(SendError::Full(2))));
    while_reporting(|| drop(receiver));
    assert!(!sender.is_closed());
}
