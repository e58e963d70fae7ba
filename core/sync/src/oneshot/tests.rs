//! Tests of one-shots on std threads and in tasks that are polled by hand.

use super::*;
use crate::Std;
use crate::scripted::{Scripted, counting_waker, while_reporting};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A thousand exchanges with the sender in another thread.
#[test]
fn the_value_arrives() {
    for round in 0..1000_u32 {
        let (tx, rx) = channel::<Std, u32>();
        let thread = std::thread::spawn(move || tx.send(round));
        assert_eq!(rx.recv(), Ok(round));
        assert_eq!(thread.join().unwrap(), Ok(()));
    }
}

/// The receiver blocks in another thread while the sender goes away.
#[test]
fn a_dropped_sender_ends_the_wait() {
    let (tx, rx) = channel::<Std, u32>();
    let thread = std::thread::spawn(move || rx.recv());
    drop(tx);
    assert_eq!(thread.join().unwrap(), Err(Closed));
}

/// The value is returned in the error, and `is_closed` says so beforehand.
#[test]
fn a_dropped_receiver_refuses_the_value() {
    let (tx, rx) = channel::<Std, u32>();
    assert!(!tx.is_closed());
    drop(rx);
    assert!(tx.is_closed());
    assert_eq!(tx.send(7), Err(SendError::Closed(7)));
}

/// A time-out leaves the receiver usable; a second receive finds nothing.
#[test]
fn after_a_time_out_the_value_can_still_be_received_once() {
    let (tx, mut rx) = channel::<Std, u32>();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    let before = Std::now();
    assert_eq!(rx.recv_timeout(Duration::from_millis(2)), Err(RecvTimeoutError::Timeout));
    assert!(Std::now() - before >= Duration::from_millis(2));
    assert_eq!(tx.send(9), Ok(()));
    assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(9));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
}

/// Counts its wake-ups.
#[derive(Default)]
struct Flag(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The receiver is polled with two wakers: only the later one is woken, and neither outlives the
/// exchange.
#[test]
fn the_last_waker_is_woken() {
    let flags = [Arc::new(Flag::default()), Arc::new(Flag::default())];
    let (tx, mut rx) = channel::<Std, u32>();
    for flag in &flags {
        let waker = Waker::from(Arc::clone(flag));
        let polled = Pin::new(&mut rx).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    tx.send(5).unwrap();
    assert_eq!(flags.each_ref().map(|flag| flag.0.load(Relaxed)), [0, 1]);
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(Pin::new(&mut rx).poll(&mut context), Poll::Ready(Ok(5)));
    drop(rx);
    assert_eq!(flags.each_ref().map(Arc::strong_count), [1, 1]);
}

/// A receiver is polled and then blocks; another is polled and then dropped. The waker is left
/// alone.
#[test]
fn a_task_may_become_a_thread_or_leave() {
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let mut context = Context::from_waker(&waker);
    let (tx, mut rx) = channel::<Std, u32>();
    assert!(Pin::new(&mut rx).poll(&mut context).is_pending());
    let thread = std::thread::spawn(move || rx.recv());
    tx.send(6).unwrap();
    assert_eq!(thread.join().unwrap(), Ok(6));
    let (tx, mut rx) = channel::<Std, u32>();
    assert!(Pin::new(&mut rx).poll(&mut context).is_pending());
    drop(rx);
    assert_eq!(tx.send(7), Err(SendError::Closed(7)));
    drop(waker);
    assert!(flag.0.load(Relaxed) <= 1 && Arc::strong_count(&flag) == 1);
}

/// A receiver is polled, and then closed: its task is woken, and learns of the end. A receiver that
/// goes wakes nobody.
#[test]
fn closing_wakes_the_task_that_waits() {
    let (wakes, waker) = counting_waker();
    let mut context = Context::from_waker(&waker);
    let (_tx, mut rx) = channel::<Std, u32>();
    assert!(Pin::new(&mut rx).poll(&mut context).is_pending());
    rx.close();
    assert_eq!(wakes.get(), 1);
    assert_eq!(Pin::new(&mut rx).poll(&mut context), Poll::Ready(Err(Closed)));
    rx.close();
    let (_tx, mut rx) = channel::<Std, u32>();
    assert!(Pin::new(&mut rx).poll(&mut context).is_pending());
    drop(rx);
    assert_eq!(wakes.get(), 1);
}

/// A waker that panics when it is dropped.
struct Bomb;

impl std::task::Wake for Bomb {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a waker panics when it is dropped");
    }
}

/// The receiver is polled, waits as a thread, and goes: the waker that it leaves behind is dropped
/// by the sender, which still gets its value back.
#[test]
fn a_waker_left_behind_takes_no_refused_value_with_it() {
    let (tx, mut rx) = channel::<Std, u32>();
    let bomb = Waker::from(Arc::new(Bomb));
    assert!(Pin::new(&mut rx).poll(&mut Context::from_waker(&bomb)).is_pending());
    drop(bomb); // the clone in the one-shot is the last
    assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    drop(rx);
    assert_eq!(tx.send(7), Err(SendError::Closed(7)));
}

/// A sender awaits the closing and forgets that future, whose waker then stays in the notifier: the
/// receiver frees it, and still gets the value.
#[test]
fn a_forgotten_waker_takes_no_value_with_it() {
    let (tx, rx) = channel::<Std, u32>();
    let bomb = Waker::from(Arc::new(Bomb));
    let mut closed = Box::pin(tx.closed_async());
    assert!(closed.as_mut().poll(&mut Context::from_waker(&bomb)).is_pending());
    std::mem::forget(closed);
    drop(bomb); // the clone in the notifier is the last
    assert_eq!(tx.send(8), Ok(()));
    assert_eq!(rx.recv(), Ok(8));
}

/// Counts the owners of a value that is sent and never received.
#[test]
fn an_unreceived_value_is_dropped_once() {
    let value = Arc::new(());
    let (tx, rx) = channel::<Std, Arc<()>>();
    tx.send(Arc::clone(&value)).unwrap();
    assert_eq!(Arc::strong_count(&value), 2);
    drop(rx);
    assert_eq!(Arc::strong_count(&value), 1);
}

/// If the receiver closes before the value comes, the value is returned; if after, it is received.
#[test]
fn a_close_refuses_what_is_not_there_yet() {
    let (tx, mut rx) = channel::<Std, u32>();
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut rx).poll(&mut context).is_pending());
    assert!(!rx.is_closed() && !rx.is_disconnected());
    rx.close();
    assert!(tx.is_closed() && rx.is_closed() && !rx.is_disconnected());
    assert_eq!(tx.send(7), Err(SendError::Closed(7)));
    assert!(rx.is_disconnected());
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(Pin::new(&mut rx).poll(&mut context), Poll::Ready(Err(Closed)));
    let (tx, mut rx) = channel::<Std, u32>();
    tx.send(8).unwrap();
    rx.close();
    assert!(rx.is_closed() && rx.is_disconnected());
    assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(8));
    assert_eq!(rx.recv(), Err(Closed));
}

/// A thread and a task each wait for the receiver to go, after a time-out.
#[test]
fn a_sender_waits_for_the_end() {
    let (tx, rx) = channel::<Std, u32>();
    let mut context = Context::from_waker(Waker::noop());
    assert!(!tx.closed_timeout(Duration::from_millis(1)) && !tx.is_disconnected());
    assert!(std::pin::pin!(tx.closed_async()).poll(&mut context).is_pending());
    let tx = Arc::new(tx);
    let other = Arc::clone(&tx);
    let thread = std::thread::spawn(move || other.closed());
    drop(rx);
    thread.join().unwrap();
    assert!(std::pin::pin!(tx.closed_async()).poll(&mut context).is_ready());
    assert!(tx.closed_timeout(Duration::ZERO) && tx.is_disconnected());
}

/// A task waits for the closing; the receiver closes, and stays.
#[test]
fn the_closing_wakes_a_task_that_waits_for_it() {
    let (tx, mut rx) = channel::<Std, u32>();
    let (wakes, waker) = counting_waker();
    let mut closed = Box::pin(tx.closed_async());
    assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    rx.close();
    assert_eq!(wakes.get(), 1);
    assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
}

/// The sender sleeps until the receiver goes.
#[test]
fn a_sender_sleeps_until_the_end() {
    let (tx, rx) = channel::<Scripted, u32>();
    let tx = Arc::new(tx);
    let other = tx.clone();
    let thread = std::thread::spawn(move || {
        other.closed();
        other.is_closed()
    });
    tx.shared().closing.until_asleep(1);
    drop(rx);
    assert!(thread.join().unwrap());
}

/// The receiver says that it waits before it sleeps, and sleeps again after a spurious wake-up.
#[test]
fn a_receiver_that_blocks_is_asleep() {
    let (tx, rx) = channel::<Scripted, u32>();
    let thread = std::thread::spawn(move || rx.recv());
    let state = &tx.shared().state;
    state.until_asleep(1);
    assert_eq!(state.load(Relaxed), WAITING);
    while state.sleeps.load(Relaxed) < 3 {
        state.wake(1); // for nothing, and perhaps before the thread sleeps
        std::thread::yield_now();
    }
    assert_eq!(state.load(Relaxed), WAITING);
    tx.send(4).unwrap();
    assert_eq!(thread.join().unwrap(), Ok(4));
}

/// A receiver that has closed, and stays, keeps no waker.
#[test]
fn a_close_keeps_no_waker() {
    let (_tx, mut rx) = channel::<Std, u32>();
    let (wakes, waker) = counting_waker();
    assert!(Pin::new(&mut rx).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 2);
    rx.close();
    assert_eq!((Arc::strong_count(&wakes), wakes.get()), (1, 1));
}

/// A waker is left behind in the allocation, which lives as long as that waker. The receiver comes
/// to its end before the sender and after it, with the value and without.
#[test]
fn the_last_end_frees_the_allocation() {
    let left_behind = || {
        let (tx, mut rx) = channel::<Std, u32>();
        let (wakes, waker) = counting_waker();
        assert!(Pin::new(&mut rx).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
        drop(waker);
        assert_eq!(Arc::strong_count(&wakes), 2);
        (tx, rx, wakes)
    };
    let (tx, rx, wakes) = left_behind();
    tx.send(1).unwrap();
    assert_eq!((rx.recv(), Arc::strong_count(&wakes)), (Ok(1), 1));
    let (tx, rx, wakes) = left_behind();
    drop(tx);
    drop(rx);
    assert_eq!(Arc::strong_count(&wakes), 1);
    let (tx, rx, wakes) = left_behind();
    drop(rx);
    assert_eq!((tx.send(2), Arc::strong_count(&wakes)), (Err(SendError::Closed(2)), 1));
    let (tx, mut rx, wakes) = left_behind();
    rx.close();
    assert_eq!((tx.send(3), rx.try_recv()), (Err(SendError::Closed(3)), Err(TryRecvError::Closed)));
    drop(rx);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

/// While the backend reports a violation, an end that is dropped does nothing.
#[test]
fn ends_that_are_dropped_during_a_report_do_nothing() {
    let (tx, rx) = channel::<Scripted, u32>();
    while_reporting(|| drop(rx));
    assert!(!tx.is_closed());
    let (tx, rx) = channel::<Scripted, u32>();
    while_reporting(|| drop(tx));
    assert!(!rx.is_disconnected());
}
