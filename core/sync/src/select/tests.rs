//! Tests of the select on real threads and polled by hand; the checkers explore every interleaving.

use core::pin::pin;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;
use core::task::{Context, Poll};

use super::*;
use crate::mailbox::{OnFull, Receiver, Sender, mailbox_on};
use crate::mpmc::mpmc;
use crate::policy::Backpressure;
use crate::spsc::spsc_on;
use crate::{Std, oneshot};

type Ends = (Sender<Std, u32>, Receiver<Std, u32>);

fn notifier() -> Arc<EventNotifier<Std>> {
    Std::arc(EventNotifier::new())
}

fn ends(notifier: &Arc<EventNotifier<Std>>) -> Ends {
    mailbox_on(notifier.clone(), 16, 0, OnFull::Refuse)
}

/// Two sources that are always full, with budgets of 2 and 1: the message says which.
#[test]
fn the_first_comes_first_and_the_second_does_not_starve() {
    let notifier = notifier();
    let ((urgent, first), (usual, second)) = (ends(&notifier), ends(&notifier));
    for item in 0..6 {
        urgent.send(item).unwrap();
        usual.send(item).unwrap();
    }
    let mut inputs = Select::on(notifier).source(2, first, |_| 'u').source(1, second, |_| '-');
    let received: String = (0..9).filter_map(|_| inputs.try_recv().ok()).collect();
    assert_eq!(received, "uu-uu-uu-");
}

/// A mailbox and a ring: each end is told once, and then the select is closed.
#[test]
fn an_end_is_told_once() {
    let notifier = notifier();
    let (left, left_in) = ends(&notifier);
    let (right, right_in) = spsc_on::<Std, u32>(notifier.clone(), 4, Backpressure::Refuse);
    let mut inputs = Select::on(notifier)
        .source(4, &left_in, |item| item.map_err(|Closed| "left"))
        .source(4, &right_in, |item| item.map_err(|Closed| "right"));
    right.send(2).unwrap();
    left.send(1).unwrap();
    drop(left);
    assert_eq!(inputs.recv(), Ok(Ok(1)));
    assert_eq!(inputs.recv(), Ok(Err("left")));
    assert_eq!(inputs.recv(), Ok(Ok(2)));
    assert_eq!(inputs.try_recv(), Err(TryRecvError::Empty));
    let soon = Duration::from_millis(1);
    assert_eq!(inputs.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
    drop(right);
    assert_eq!(inputs.recv_timeout(soon), Ok(Err("right")));
    assert_eq!(inputs.recv(), Err(Closed));
    assert_eq!(inputs.try_recv(), Err(TryRecvError::Closed));
}

/// A select that owns its receivers can be awaited in a task that changes threads.
#[test]
fn a_select_can_be_sent() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let notifier = notifier();
    let (sender, receiver) = ends(&notifier);
    let mut inputs = Select::on(notifier).source(1, receiver, |item| item.ok());
    sender.send(7).unwrap();
    let mut next = Box::pin(send(inputs.recv_async()));
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(next.as_mut().poll(&mut context), Poll::Ready(Ok(Some(7))));
}

/// A mailbox and a pool's queue with notifiers of their own, and a one-shot: the select sleeps, and
/// each of them wakes it. The select is registered while it waits, and no longer.
#[test]
fn sources_that_share_nothing_wake_the_select() {
    let (sender, receiver) = ends(&notifier());
    let (tasks, pool) = mpmc::<Std, u32>(4, Backpressure::Block);
    let (reply, answer) = oneshot::channel::<Std, u32>();
    let mut inputs = Select::new()
        .source(1, &receiver, |item| item.unwrap_or(10))
        .source(1, &pool, |item| item.unwrap_or(20))
        .source(1, answer, |item| item.unwrap_or(30));
    let thread = std::thread::spawn(move || {
        tasks.send(2).unwrap();
        reply.send(3).unwrap();
        sender.send(1).unwrap();
        (tasks, sender)
    });
    let sum: u32 = (0..3).filter_map(|_| inputs.recv().ok()).sum();
    assert_eq!(sum, 6);
    let soon = Duration::from_millis(1);
    assert_eq!(inputs.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
    drop(thread.join().unwrap());
    assert_eq!(inputs.iter().sum::<u32>(), 30);
    assert_eq!(inputs.recv(), Err(Closed)); // for the one-shot, its value was the end
}

/// One task waits for a queue and a mailbox, another only for the queue. The first is chosen for an
/// item, and receives from the mailbox, or is dropped: the second is woken.
#[test]
fn a_wake_up_for_another_goes_on() {
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }
    for receives in [false, true] {
        let notifier = notifier();
        let (sender, receiver) = ends(&notifier);
        let (tasks, pool) = mpmc::<Std, u32>(4, Backpressure::Block);
        let mut inputs =
            Select::on(notifier)
                .source(1, &receiver, |item| item.ok())
                .source(1, &pool, |item| item.ok());
        let mut context = Context::from_waker(Waker::noop());
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(flag.clone());
        let mut first = Box::pin(inputs.recv_async());
        assert!(first.as_mut().poll(&mut context).is_pending());
        let mut second = pin!(pool.recv_async());
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        tasks.send(1).unwrap();
        assert!(!flag.0.load(Relaxed), "the first has been chosen");
        if receives {
            sender.send(2).unwrap();
            assert_eq!(first.as_mut().poll(&mut context), Poll::Ready(Ok(Some(2))));
        } else {
            drop(first);
        }
        assert!(flag.0.load(Relaxed), "the notification goes on");
        assert_eq!(second.poll(&mut context), Poll::Ready(Ok(1)));
    }
}

/// A deadline is told once, and limits the wait for the others.
#[test]
fn a_deadline_is_told_once() {
    let (sender, receiver) = ends(&notifier());
    let soon = Std::now() + Duration::from_millis(2);
    let mut inputs = Select::new().source(1, receiver, |item| item.unwrap_or(9)).source(
        1,
        deadline(soon),
        |_| 5,
    );
    assert_eq!((inputs.try_recv(), inputs.recv()), (Err(TryRecvError::Empty), Ok(5)));
    assert!(Std::now() >= soon);
    sender.send(1).unwrap();
    assert_eq!(inputs.recv(), Ok(1));
    let later = Std::now() + Duration::from_millis(1);
    assert_eq!(inputs.recv_deadline(later), Err(RecvTimeoutError::Timeout));
    drop(sender);
    assert_eq!((inputs.recv(), inputs.recv()), (Ok(9), Err(Closed)));
}
