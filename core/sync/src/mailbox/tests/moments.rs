//! What holds at certain moments, which a scripted backend or the order of the steps brings about:
//! an item is accepted and not yet written, an end goes, a lock is held.

use core::pin::pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use super::super::*;
use super::numbers;
use crate::Std;
use crate::scripted::{Scripted, counting_waker, forget_pending, script, while_reporting};

/// A sender has been accepted and has not written yet: a look waits for it, and does not say that
/// the mailbox is empty. The sender writes while the receiver yields.
#[test]
fn an_item_that_is_about_to_be_written_is_waited_for() {
    for policy in [OnFull::Block, OnFull::Refuse, OnFull::EvictOldest] {
        let (sender, receiver) = mailbox::<Scripted, u32>(2, 0, policy);
        let Ok(claim) = sender.shared.credits.offer(1) else { panic!("there is room") };
        let writer = sender.clone();
        let write = move || writer.shared.push(claim, 7, false);
        script(|script| script.at_yield.set(Some(Box::new(write))));
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(7), Err(TryRecvError::Empty)));
    }
}

/// The same for a reply, after the mailbox has been closed: nothing more can come only after that.
#[test]
fn a_reply_that_is_about_to_be_written_is_not_the_end() {
    let (sender, receiver) = numbers(1, OnFull::Block);
    assert!(sender.shared.credits.take_permit());
    let claim = sender.shared.credits.use_permit().expect("the receiver is there");
    sender.close();
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    sender.shared.push(claim, 8, true);
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(8), Err(Closed)));
}

/// The receiver goes while an item is about to be written: it waits, and drops that item.
#[test]
fn the_drop_of_the_receiver_waits_for_what_was_accepted() {
    let value = Arc::new(());
    let (sender, receiver) = mailbox::<Scripted, Arc<()>>(1, 0, OnFull::Block);
    let Ok(claim) = sender.shared.credits.offer(1) else { panic!("there is room") };
    let thread = std::thread::spawn(move || drop(receiver));
    sender.shared.not_empty.until_asleep(1);
    sender.shared.push(claim, value.clone(), false);
    thread.join().unwrap();
    assert_eq!(Arc::strong_count(&value), 1);
}

/// The last end gives the memory back, which is counted in cells.
#[test]
fn no_memory_is_left() {
    let cells = || script(|script| script.cells.get());
    let before = cells();
    let (sender, receiver) = mailbox::<Scripted, u32>(100, 0, OnFull::Refuse);
    assert!((0..100).all(|item| sender.send(item).is_ok()));
    assert!(receiver.try_iter().take(70).eq(0..70));
    assert!(cells() >= before + 30);
    drop((sender, receiver));
    assert_eq!(cells(), before);
}

/// While the backend reports a violation, an end that is dropped does nothing.
#[test]
fn ends_that_are_dropped_during_a_report_do_nothing() {
    let (sender, receiver) = mailbox::<Scripted, u32>(2, 0, OnFull::Refuse);
    let place = sender.reserve().unwrap();
    while_reporting(|| drop(place));
    assert_eq!((sender.send(1), sender.send(2)), (Ok(None), Err(SendError::Full(2))));
    while_reporting(|| drop(receiver));
    assert!(!sender.is_closed());
}

/// Where nobody evicts, the receiver alone takes from the queue, and does without the lock: here
/// somebody holds it all the time.
#[test]
fn a_receiver_without_evictors_takes_no_lock() {
    for policy in [OnFull::Block, OnFull::Refuse] {
        let (sender, receiver) = numbers(1, policy);
        let _held = sender.shared.consumer.lock();
        assert_eq!(sender.send(1), Ok(None));
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Err(TryRecvError::Empty)));
    }
}

/// All places but two are kept, and those two are taken. Two tasks wait to keep a place, a third to
/// send. Both places become free, and both reservers are woken; but before they look, another
/// keeps the last place that may be kept. They are refused, and the sender gets the place that is
/// left.
#[test]
fn who_is_refused_a_place_that_is_free_wakes_another_sender() {
    let (sender, receiver) = numbers(256, OnFull::Block);
    let places: Vec<_> = (0..254).map(|_| sender.reserve().unwrap()).collect();
    assert_eq!((sender.send(1), sender.send(2)), (Ok(None), Ok(None)));
    let ((_, reserver), (wakes, waker)) = (counting_waker(), counting_waker());
    let mut context = Context::from_waker(&reserver);
    let mut reservers = [(); 2].map(|()| Box::pin(sender.reserve_async()));
    for reserver in &mut reservers {
        assert!(reserver.as_mut().poll(&mut context).is_pending());
    }
    let mut blocked = Box::pin(sender.send_async(3));
    assert!(blocked.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!((receiver.drain(&mut Vec::new(), 9), wakes.get()), (2, 0));
    let last = sender.try_reserve().unwrap();
    for reserver in reservers {
        let refused = pin!(reserver).poll(&mut context);
        assert!(matches!(refused, Poll::Ready(Err(SendError::Full(())))));
    }
    assert_eq!(wakes.get(), 1, "a place is free");
    assert_eq!(blocked.as_mut().poll(&mut context), Poll::Ready(Ok(None)));
    drop((places, last));
}

/// The same for threads. The two that keep a place go to sleep first, and are held in their sleep
/// until the last place that may be kept is. Which of three sleepers the system wakes is its own
/// choice; it is these two where it wakes those that have slept longest.
#[test]
fn a_thread_that_is_refused_a_place_that_is_free_wakes_another_sender() {
    let (sender, receiver) = mailbox::<Scripted, u32>(256, 0, OnFull::Block);
    let places: Vec<_> = (0..254).map(|_| sender.reserve().unwrap()).collect();
    assert_eq!((sender.send(1), sender.send(2)), (Ok(None), Ok(None)));
    let reservers = [1, 2].map(|sleeper| {
        let other = sender.clone();
        let thread = std::thread::spawn(move || other.reserve().map(drop));
        sender.shared.not_full.until_asleep(sleeper);
        thread
    });
    let other = sender.clone();
    let blocked = std::thread::spawn(move || other.send(3));
    sender.shared.not_full.until_asleep(3);
    let last = sender.shared.not_full.while_asleep(|| {
        assert_eq!(receiver.drain(&mut Vec::new(), 9), 2);
        sender.try_reserve().unwrap()
    });
    let refused = reservers.map(|thread| thread.join().unwrap());
    assert!(refused.iter().all(|kept| matches!(kept, Err(SendError::Full(())))));
    assert_eq!(blocked.join().unwrap(), Ok(None));
    drop((places, last));
}

/// An empty mailbox. Receiving tasks are forgotten while they wait, and another waits. Each way of
/// sending wakes the one that is there, and the list is empty then.
#[test]
fn a_receive_that_was_forgotten_takes_no_wake_up_from_the_next() {
    type Send = fn(&Sender<Std, u32>, &mut Option<Permit<Std, u32>>);
    let alone: Send = |sender, _| assert_eq!(sender.send(7), Ok(None));
    let batch: Send = |sender, _| assert_eq!(sender.send_batch(&mut vec![7]), Ok(1));
    let reply: Send = |_, permit| assert_eq!(permit.take().unwrap().send(7), Ok(()));
    let place: Send = |sender, _| assert_eq!(sender.reserve().unwrap().send(7), Ok(()));
    let ways = [
        (OnFull::Block, alone),
        (OnFull::Block, batch),
        (OnFull::EvictOldest, alone),
        (OnFull::EvictOldest, batch),
        (OnFull::Block, reply),
        (OnFull::Block, place),
    ];
    for (policy, send) in ways {
        let (sender, mut receiver) = numbers(1, policy);
        let mut permit = receiver.permit(); // its drop would wake, too
        let ((stale, other), (wakes, waker)) = (counting_waker(), counting_waker());
        forget_pending(receiver.recv_async(), &other);
        forget_pending(receiver.recv_batch_async(&mut Vec::new(), 9), &other);
        let mut next = Box::pin(receiver.recv_async());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        send(&sender, &mut permit);
        assert_eq!((wakes.get(), stale.get()), (1, 2));
        assert_eq!(next.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(7)));
        assert_eq!(sender.shared.not_empty.waiters(), 0);
    }
}
