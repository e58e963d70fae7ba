//! Tests of the mailbox on real threads; the checkers explore every interleaving of small cases.

use super::*;
use crate::Std;
use crate::scripted::counting_waker;
use std::sync::Arc;
use std::task::{Context, Waker};

mod moments;

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
    let counters = sender.counters();
    assert_eq!((counters.refused, counters.high_water, counters.depth), (1, 1, 0));
}

/// An evicted request is not counted any more, and a reply that an evictor has moved aside is.
#[test]
fn len_counts_neither_what_was_evicted_nor_what_was_received() {
    let (sender, receiver) = numbers(2, OnFull::EvictOldest);
    receiver.permit().unwrap().send(100).unwrap();
    let evicted = [1, 2, 3].map(|item| sender.send(item).unwrap());
    assert_eq!((evicted, receiver.len()), ([None, None, Some(1)], 3));
    assert_eq!((receiver.recv(), sender.len()), (Ok(100), 2));
    assert!(receiver.try_iter().eq([2, 3]) && sender.is_empty());
}

/// What was received is read before what was claimed. So a count that is ahead of the claims means
/// that the claims are seen late, and one that lies far behind means that more was claimed
/// meanwhile than the mailbox holds.
#[test]
fn len_is_neither_negative_nor_above_what_the_mailbox_holds() {
    let (sender, receiver) = mailbox::<Std, u32>(2, 1, OnFull::Refuse);
    let credits = &sender.shared.credits;
    assert_eq!(credits.claimed_since(|| 0), 0);
    assert_eq!(credits.claimed_since(|| 1), 0, "one was received whose claim is not seen");
    for item in 0..9 {
        assert_eq!((sender.send(item), receiver.recv()), (Ok(None), Ok(item)));
    }
    assert_eq!(credits.claimed_since(|| 8), 1);
    assert_eq!(credits.claimed_since(|| 10), 0, "as above");
    assert_eq!(credits.claimed_since(|| 1), 3, "two requests and a reply");
}

/// While `len` counts, just after it has read how many were received, another item is sent and the
/// only one that was there is received: one item was there at each moment, so 0 is wrong. In the
/// other order it would be 0.
#[test]
fn len_reads_what_was_received_before_what_was_claimed() {
    let (sender, receiver) = numbers(3, OnFull::Refuse);
    assert_eq!(sender.send(1), Ok(None));
    let exchange = || assert_eq!((sender.send(2), receiver.recv()), (Ok(None), Ok(1)));
    let received_first = || {
        let received = receiver.counters().received;
        exchange();
        received
    };
    assert_eq!(sender.shared.credits.claimed_since(received_first), 2);
    assert_eq!(sender.len(), 1);
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

/// Two replies lie in front of the oldest request: they keep their order.
#[test]
fn replies_that_are_moved_aside_keep_their_order() {
    let (sender, receiver) = mailbox::<Std, u32>(1, 2, OnFull::EvictOldest);
    for (permit, item) in [receiver.permit(), receiver.permit()].into_iter().zip([100, 101]) {
        assert_eq!(permit.map(|permit| permit.send(item)), Some(Ok(())));
    }
    assert_eq!((sender.send(1), sender.send(2)), (Ok(None), Ok(Some(1))));
    assert!(receiver.try_iter().eq([100, 101, 2]));
}

/// Nobody receives: the call returns the item.
#[test]
fn send_timeout_returns_the_item() {
    let (sender, _receiver) = numbers(1, OnFull::Block);
    assert_eq!(sender.send_timeout(1, Duration::ZERO), Ok(None));
    assert_eq!(sender.try_send(2), Err(SendError::Full(2)));
    assert_eq!(sender.send_timeout(3, Duration::from_millis(1)), Err(SendError::Timeout(3)));
}

/// What was accepted before the closing is received; what comes after is returned.
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

/// The one slot is taken, queued, and received; each time, asking for the next permit shows whether
/// it is free.
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

/// A mailbox of sixteen returns credits in batches of two, but a permit does not wait for a batch.
#[test]
fn a_slot_whose_credit_is_withheld_is_there_for_the_next_permit() {
    let (_sender, receiver) = numbers(16, OnFull::Block);
    assert_eq!(receiver.permit().map(|permit| permit.send(1)), Some(Ok(())));
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.permit().map(|permit| permit.send(2)), Some(Ok(())));
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

/// A batch of two thousand through two places, while the receiver takes batches.
#[test]
fn a_batch_is_sent_in_parts_and_in_order() {
    let (sender, receiver) = numbers(2, OnFull::Block);
    let thread = std::thread::spawn(move || {
        let mut batch = (0..2_000).collect();
        (sender.send_batch(&mut batch), batch)
    });
    let mut items = Vec::new();
    while let Ok(count) = receiver.recv_batch(&mut items, 9) {
        assert!((1..=9).contains(&count));
    }
    assert!(items.into_iter().eq(0..2_000));
    assert_eq!(thread.join().unwrap(), (Ok(2_000), vec![]));
    assert_eq!(receiver.counters().sent, 2_000);
}

/// A batch is refused, and another meets a closed mailbox: what is not accepted stays where it was.
#[test]
fn what_a_batch_finds_no_room_for_stays_in_it() {
    let (sender, receiver) = numbers(2, OnFull::Refuse);
    let mut batch = vec![1, 2, 3, 4];
    assert_eq!((sender.send_batch(&mut batch), &*batch), (Ok(2), &[3, 4][..]));
    assert_eq!((sender.try_send_batch(&mut batch), &*batch), (Ok(0), &[3, 4][..]));
    let counters = sender.counters();
    assert_eq!((counters.refused, counters.sent, counters.high_water), (4, 2, 2));
    receiver.close();
    assert_eq!((sender.send_batch(&mut batch), &*batch), (Err(Closed), &[3, 4][..]));
    assert!(receiver.iter().eq([1, 2]));
}

/// Four items are sent into two places: two of another batch and two of its own are evicted.
#[test]
fn a_batch_that_evicts_returns_what_had_to_go() {
    let (sender, receiver) = numbers(2, OnFull::EvictOldest);
    let mut batch = vec![1, 2];
    assert_eq!((sender.send_batch(&mut batch), batch.len()), (Ok(2), 0));
    let mut batch = vec![3, 4, 5, 6];
    assert_eq!((sender.send_batch(&mut batch), &*batch), (Ok(4), &[1, 2, 3, 4][..]));
    assert!(receiver.try_iter().eq([5, 6]));
    let counters = receiver.counters();
    assert_eq!((counters.sent, counters.received, counters.evicted), (6, 2, 4));
    receiver.close();
    assert_eq!((sender.send_batch(&mut batch), batch.len()), (Err(Closed), 4));
}

/// The receiver goes while one sender waits for just that, and while another sends.
#[test]
fn a_sender_waits_for_the_end() {
    let (sender, receiver) = numbers(1, OnFull::Block);
    assert!(!sender.closed_timeout(Duration::from_millis(1)) && !sender.is_disconnected());
    let (watcher, permit) = (sender.clone(), receiver.permit().unwrap());
    assert!(!permit.is_disconnected());
    let thread = std::thread::spawn(move || watcher.closed());
    assert_eq!(sender.send(1), Ok(None));
    drop(receiver);
    thread.join().unwrap();
    assert!(sender.closed_timeout(Duration::ZERO) && sender.is_disconnected());
    assert!(permit.is_disconnected());
    assert_eq!(permit.send(2), Err(SendError::Closed(2)));
}

/// A task waits for the closing; the receiver closes, and stays.
#[test]
fn the_closing_wakes_a_task_that_waits_for_it() {
    let (sender, receiver) = numbers(1, OnFull::Block);
    let waiter = Arc::new(Counting::default());
    let waker = Waker::from(waiter.clone());
    let mut closed = Box::pin(sender.closed_async());
    assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    receiver.close();
    assert_eq!(waiter.0.load(Relaxed), 1);
    assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

/// A sender could still send, then only a permit, then nobody.
#[test]
fn a_receiver_knows_whether_somebody_is_left() {
    let (sender, receiver) = numbers(2, OnFull::Refuse);
    let (permit, meter) = (receiver.permit().unwrap(), receiver.meter());
    assert_eq!(sender.send(1), Ok(None));
    drop(sender);
    assert!(receiver.is_closed() && !receiver.is_disconnected());
    permit.send(2).unwrap();
    assert!(receiver.is_disconnected());
    assert!((&receiver).into_iter().eq([1, 2]));
    assert_eq!(std::thread::spawn(move || meter.counters().received).join().unwrap(), 2);
    assert_eq!(receiver.into_iter().next(), None);
}

/// The bounds of the arguments are assertions.
#[test]
#[should_panic(expected = "a mailbox holds")]
fn a_capacity_of_zero_is_refused() {
    drop(numbers(0, OnFull::Block));
}

/// A permit's place is counted, given back, used after the close, and refused once the receiver is
/// gone; the drop of the receiver does not wait for outstanding permits.
#[test]
fn a_reserved_place_is_kept() {
    let (sender, receiver) = numbers(2, OnFull::Refuse);
    let (first, second) = (sender.reserve().unwrap(), sender.try_reserve().unwrap());
    assert!(sender.is_full() && sender.is_empty() && receiver.capacity() == 2);
    assert!(!second.is_disconnected());
    assert!(matches!(sender.reserve(), Err(SendError::Full(()))));
    assert_eq!(sender.send(1), Err(SendError::Full(1)));
    drop(first);
    assert_eq!((sender.send(1), sender.send(3)), (Ok(None), Err(SendError::Full(3))));
    let third = receiver.try_recv().map(|_| sender.try_reserve().unwrap());
    sender.close();
    assert!(matches!(sender.try_reserve(), Err(SendError::Closed(()))));
    drop(sender);
    assert_eq!(
        (receiver.try_recv(), receiver.is_disconnected()),
        (Err(TryRecvError::Empty), false)
    );
    assert_eq!(second.send(2), Ok(()));
    assert_eq!((receiver.recv(), receiver.len()), (Ok(2), 0));
    drop(receiver); // it does not wait for the third
    assert!(third.as_ref().is_ok_and(SendPermit::is_disconnected));
    assert_eq!(third.map(|place| place.send(4)), Ok(Err(SendError::Closed(4))));
}

/// With some places reserved an evictor takes what it may, and gives up where nothing is left to
/// evict.
#[test]
fn a_reserved_place_is_not_evicted() {
    let (sender, receiver) = numbers(2, OnFull::EvictOldest);
    let place = sender.reserve().unwrap();
    assert_eq!((sender.send(1), sender.send(2)), (Ok(None), Ok(Some(1))));
    assert_eq!(receiver.recv(), Ok(2));
    let other = sender.reserve().unwrap();
    assert_eq!(sender.send(3), Err(SendError::Full(3)));
    let mut batch = vec![4, 5];
    assert_eq!((sender.send_batch(&mut batch), &*batch), (Ok(0), &[4, 5][..]));
    drop(other);
    assert_eq!((sender.send_batch(&mut batch), &*batch), (Ok(2), &[4][..]));
    assert_eq!(place.send(6), Ok(()));
    assert!(receiver.try_iter().eq([5, 6]));
}

/// A call that meets the bound on permits does not wait: it is refused at once.
#[test]
fn permits_have_a_bound() {
    let (sender, receiver) = numbers(5_000, OnFull::Block);
    let mut places: Vec<_> = (0..255).map(|_| sender.reserve().unwrap()).collect();
    assert!(matches!(sender.reserve(), Err(SendError::Full(()))));
    assert_eq!((sender.send(1), sender.counters().depth), (Ok(None), 1));
    drop(places.pop());
    drop(sender.reserve().unwrap());
    drop(places);
    drop(sender);
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(Closed)));
}

/// A blocked sender, then a blocked `reserve`, and a task that reserves, wait for the drop of a
/// permit.
#[test]
fn a_permit_that_is_dropped_wakes_who_waits() {
    use core::task::{Context, Poll, Waker};
    struct Flag(std::sync::atomic::AtomicBool);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }
    let (sender, receiver) = numbers(1, OnFull::Block);
    let place = sender.reserve().unwrap();
    let other = sender.clone();
    let thread = std::thread::spawn(move || {
        assert_eq!(other.send(1), Ok(None));
        other.reserve().map(drop)
    });
    drop(place);
    assert_eq!(receiver.recv(), Ok(1));
    assert!(thread.join().unwrap().is_ok());
    let place = sender.reserve().unwrap();
    let flag = Arc::new(Flag(false.into()));
    let waker = Waker::from(flag.clone());
    let mut context = Context::from_waker(&waker);
    let mut task = core::pin::pin!(sender.reserve_async());
    assert!(task.as_mut().poll(&mut context).is_pending());
    drop(place);
    assert!(flag.0.load(Relaxed), "the drop wakes it");
    let Poll::Ready(Ok(place)) = task.poll(&mut context) else { panic!("there is room") };
    assert_eq!((place.send(2), receiver.recv()), (Ok(()), Ok(2)));
}

/// Counts and positions wrap, those of requests and of replies at different times.
#[test]
fn counts_wrap() {
    const BEFORE: u32 = (1 << 26) - 40;
    for (requests, replies) in [(BEFORE, 0), (7, BEFORE), (BEFORE, BEFORE), (BEFORE, 40)] {
        let (sender, receiver) = mailbox::<Std, [u32; 70]>(5, 3, OnFull::Refuse);
        let shared = &sender.shared;
        shared.credits.set_passed(requests, replies);
        let passed = u64::from(requests) + u64::from(replies);
        shared.queue.set_position(passed);
        shared.queue.received().add(passed);
        for round in 0..100 {
            let permits: Vec<_> = std::iter::from_fn(|| receiver.permit()).collect();
            assert_eq!(permits.len(), 3);
            let sent = (0..7).filter(|item| sender.send([round + item; 70]).is_ok()).count();
            assert_eq!((sent, receiver.len()), (5, 5));
            for permit in permits {
                assert_eq!(permit.send([round; 70]), Ok(()));
            }
            let expected = (0..5).map(|item| round + item).chain([round; 3]);
            assert!(receiver.try_iter().map(|item| item[69]).eq(expected), "round {round}");
        }
        sender.close();
        assert_eq!(receiver.recv(), Err(Closed));
    }
}

/// A burst leaves spare blocks within the bound; a short queue makes do with two.
#[test]
fn blocks_are_used_again_and_freed() {
    let (sender, receiver) = mailbox::<Std, u64>(10_000, 0, OnFull::Refuse);
    let places = || sender.shared.queue.places_in_blocks();
    assert_eq!(places(), 0);
    for item in 0..1000 {
        assert_eq!(sender.send(item), Ok(None));
        assert_eq!(receiver.recv(), Ok(item));
        assert!(places() <= 64, "{}", places());
    }
    for _ in 0..3 {
        (0..10_000).for_each(|item| assert_eq!(sender.send(item), Ok(None)));
        assert!((10_000..10_000 + 1024 + 64).contains(&places()), "{}", places());
        assert!(receiver.try_iter().eq(0..10_000));
        assert!((1024..=1024 + 32).contains(&places()), "{}", places());
    }
}

/// A blocked sender is woken when half of the capacity is free, or the receiver finds nothing; in a
/// small mailbox it is woken at once.
#[test]
fn blocked_senders_are_woken_by_the_batch() {
    for (capacity, woken_after) in [(1, 1), (15, 1), (16, 8), (512, 256)] {
        let (sender, receiver) = mailbox::<Std, u32>(capacity, 0, OnFull::Block);
        (0..capacity).for_each(|_| assert_eq!(sender.send(0), Ok(None)));
        let waiter = Arc::new(Counting::default());
        let waker = Waker::from(waiter.clone());
        let mut blocked = Box::pin(sender.send_async(1));
        assert!(blocked.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let wakes = |waiter: &Counting| waiter.0.load(Relaxed);
        for received in 1..=woken_after {
            assert_eq!(wakes(&waiter), 0, "of {capacity}, after {}", received - 1);
            assert_eq!(receiver.recv(), Ok(0));
        }
        assert_eq!(wakes(&waiter), 1, "of {capacity}, after {woken_after}");
    }
}

thread_local! {
    /// What [`Reentering`] uses.
    static ENDS: std::cell::RefCell<Option<Ends>> = const { std::cell::RefCell::new(None) };
}
type Ends = (Sender<Std, u32>, std::rc::Rc<Receiver<Std, u32>>);

/// A waker of a sending task that sends, and receives, through the ends of the thread that wakes
/// it.
struct Reentering;

impl std::task::Wake for Reentering {
    fn wake(self: Arc<Self>) {
        if let Some((sender, receiver)) = ENDS.take() {
            assert_eq!((sender.send(100), receiver.try_recv()), (Ok(None), Ok(1)));
        }
    }
}

/// Two sending tasks wait. The waker of the first fills the place that has become free, and takes
/// another item: its place wakes the second task before the call returns.
#[test]
fn credits_that_a_waker_takes_are_returned_with_the_others() {
    let (sender, receiver) = numbers(16, OnFull::Block);
    (0..16).for_each(|item| assert_eq!(sender.send(item), Ok(None)));
    let receiver = std::rc::Rc::new(receiver);
    ENDS.set(Some((sender.clone(), receiver.clone())));
    let waiter = Arc::new(Counting::default());
    let wakers = [Waker::from(Arc::new(Reentering)), Waker::from(waiter.clone())];
    let mut blocked = wakers.map(|waker| {
        let mut blocked = Box::pin(sender.send_async(101));
        assert!(blocked.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        blocked
    });
    assert_eq!(receiver.drain(&mut Vec::new(), 1), 1);
    assert_eq!(waiter.0.load(Relaxed), 1, "there is room, and the second task knows");
    let mut context = Context::from_waker(Waker::noop());
    assert!(blocked[1].as_mut().poll(&mut context).is_ready());
}

/// Counts how often it was woken.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU32);

impl std::task::Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A place that was kept is used up by its item: it is free again once that item is received, and
/// the mailbox stays open.
#[test]
fn a_reserved_place_is_used_once() {
    let (sender, receiver) = numbers(1, OnFull::Refuse);
    for item in 0..300 {
        assert_eq!(sender.reserve().unwrap().send(item), Ok(()));
        assert_eq!((receiver.recv(), sender.is_closed()), (Ok(item), false));
    }
    drop(sender);
    assert_eq!(receiver.recv(), Err(Closed));
}

/// A mailbox that is closed twice, the second time by the drop of its receiver, stays closed.
#[test]
fn a_mailbox_that_is_closed_stays_closed() {
    let (sender, receiver) = numbers(1, OnFull::Refuse);
    sender.close();
    receiver.close();
    assert!(sender.is_closed() && !sender.is_disconnected());
    drop(receiver);
    assert!(sender.is_closed() && sender.is_disconnected());
}

/// Of five items a batch takes at most as many as are asked for.
#[test]
fn a_batch_has_at_most_as_many_items_as_asked_for() {
    let (sender, receiver) = numbers(5, OnFull::Refuse);
    assert_eq!(sender.send_batch(&mut (1..=5).collect()), Ok(5));
    let mut items = Vec::new();
    assert_eq!([3, 1, 9].map(|max| receiver.recv_batch(&mut items, max)), [Ok(3), Ok(1), Ok(1)]);
    assert_eq!(items, [1, 2, 3, 4, 5]);
}

/// A batch that evicts wakes a task that waits for an item, once.
#[test]
fn a_batch_that_evicts_wakes_the_receiver() {
    let (sender, mut receiver) = numbers(2, OnFull::EvictOldest);
    let (wakes, waker) = counting_waker();
    let mut item = Box::pin(receiver.recv_async());
    assert!(item.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!((sender.send_batch(&mut vec![1, 2, 3]), wakes.get()), (Ok(3), 1));
}

/// Ends and permits name their types.
#[test]
fn debug_names_the_type() {
    let (sender, receiver) = numbers(1, OnFull::Block);
    assert_eq!(format!("{receiver:?}"), "mailbox::Receiver { .. }");
    assert_eq!(format!("{:?}", sender.reserve().unwrap()), "mailbox::SendPermit { .. }");
}
