//! Tests of the select on real threads and polled by hand; the checkers explore every interleaving.

use core::pin::pin;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;
use core::task::{Context, Poll};

use super::*;
use crate::mailbox::{OnFull, Receiver, Sender, mailbox_on};
use crate::mpmc::mpmc;
use crate::policy::Backpressure;
use crate::scripted::counting_waker;
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

/// A waker that remembers that it was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// One task waits for a queue and a mailbox, another only for the queue. The first is chosen for an
/// item, and receives from the mailbox, or is dropped: the second is woken.
#[test]
fn a_wake_up_for_another_goes_on() {
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

/// Of two deadlines, and of a deadline and the limit of a wait, the earlier one ends the wait.
#[test]
fn the_earlier_deadline_ends_the_wait() {
    let (soon, later) =
        (Std::now() + Duration::from_millis(1), Std::now() + Duration::from_secs(9));
    let mut inputs =
        Select::<Std, _>::new().source(1, deadline(later), |_| 9).source(1, deadline(soon), |_| 1);
    assert_eq!(inputs.recv(), Ok(1));
    let limit = Std::now() + Duration::from_millis(1);
    assert_eq!(inputs.recv_deadline(limit), Err(RecvTimeoutError::Timeout));
    assert!(Std::now() < later, "it waited for the later one");
}

/// A look that finds nothing ends the turn: what a source had left of its budget does not count.
#[test]
fn a_turn_ends_with_a_look_that_finds_nothing() {
    let notifier = notifier();
    let ((urgent, first), (usual, second)) = (ends(&notifier), ends(&notifier));
    let mut inputs = Select::on(notifier).source(2, first, |_| 'u').source(1, second, |_| '-');
    urgent.send(1).unwrap();
    assert_eq!(inputs.try_recv(), Ok('u'));
    assert_eq!(inputs.try_recv(), Err(TryRecvError::Empty));
    for item in 0..2 {
        urgent.send(item).unwrap();
        usual.send(item).unwrap();
    }
    let received: String = (0..4).filter_map(|_| inputs.try_recv().ok()).collect();
    assert_eq!(received, "uu--");
}

/// A source that has had its budget is looked at again if no other has anything.
#[test]
fn a_budget_that_is_spent_hides_nothing() {
    let notifier = notifier();
    let ((urgent, first), (usual, second)) = (ends(&notifier), ends(&notifier));
    let mut inputs = Select::on(notifier).source(1, first, |_| 'u').source(1, second, |_| '-');
    (0..2).for_each(|item| assert!(urgent.send(item).is_ok()));
    assert_eq!([(); 2].map(|()| inputs.try_recv()), [Ok('u'); 2]);
    drop((urgent, usual));
}

/// A source without a notifier that uses its waker up with each message, and does not look at the
/// clock: it has to be told.
#[derive(Default)]
struct Plain {
    /// Items, and the waker.
    shared: Arc<std::sync::Mutex<(Vec<u32>, Option<Waker>)>>,
    at: Option<Duration>,
    has_passed: bool,
}

impl Source<Std> for Plain {
    type Item = u32;

    fn look(&mut self) -> Option<Result<u32, Closed>> {
        let late = self.has_passed.then(|| self.at.take()).flatten();
        self.shared.lock().unwrap().0.pop().or(late.map(|_| 0)).map(Ok)
    }
    fn notifier(&self) -> Option<&EventNotifier<Std>> {
        None
    }
    fn register(&mut self, waker: &Waker) {
        self.shared.lock().unwrap().1 = Some(waker.clone());
    }
    fn deadline(&self) -> Option<Duration> {
        self.at
    }
    fn expire(&mut self, now: Duration) {
        self.has_passed |= self.at.is_some_and(|at| at <= now);
    }
}

/// Such a source is given the waker in each wait anew.
#[test]
fn a_waker_that_is_used_up_is_given_again() {
    let source = Plain::default();
    let shared = source.shared.clone();
    let mut context = Context::from_waker(Waker::noop());
    let mut inputs = Select::<Std, _>::new().source(1, source, |item| item.unwrap_or(9));
    for item in 1..3 {
        let mut next = pin!(inputs.recv_async());
        assert!(next.as_mut().poll(&mut context).is_pending());
        let waker = shared.lock().unwrap().1.take();
        shared.lock().unwrap().0.push(item);
        waker.expect("it has been given a waker").wake();
        assert_eq!(next.poll(&mut context), Poll::Ready(Ok(item)));
    }
}

/// Such a source is told when its time has come, also where the wait ends at that time.
#[test]
fn a_source_is_told_the_time() {
    for limit in [Duration::ZERO, Duration::from_secs(9)] {
        let at = Std::now() + Duration::from_millis(1);
        let source = Plain { at: Some(at), ..Plain::default() };
        let mut inputs = Select::<Std, _>::new().source(1, source, |item| item.unwrap_or(9));
        assert_eq!(inputs.recv_deadline(at + limit), Ok(0));
        assert!(Std::now() >= at);
        let at = Std::now() + Duration::from_millis(1);
        let mut source = Plain { at: Some(at), ..Plain::default() };
        let mut inputs = Select::<Std, _>::new().source(1, &mut source, |item| item.unwrap_or(9));
        assert_eq!(inputs.recv_deadline(at + limit), Ok(0), "of a source that is lent");
        assert!(Std::now() >= at);
    }
}

/// The same, where the queue that has chosen the select is not the last of its sources.
#[test]
fn every_source_passes_its_wake_up_on() {
    let (tasks, pool) = mpmc::<Std, u32>(4, Backpressure::Block);
    let (others, other) = mpmc::<Std, u32>(4, Backpressure::Block);
    let mut inputs = Select::<Std, _>::new().source(1, &pool, |_| 1).source(1, &other, |_| 2);
    let mut first = Box::pin(inputs.recv_async());
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(flag.clone());
    let mut second = pin!(pool.recv_async());
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    tasks.send(1).unwrap();
    assert!(!flag.0.load(Relaxed), "the first has been chosen");
    drop(first);
    assert!(flag.0.load(Relaxed), "the notification goes on");
    drop(others);
}

/// A deadline that has passed is seen by a look, without a wait. Nobody wakes its receiver.
#[test]
fn a_deadline_that_has_passed_needs_no_wait() {
    let passed = deadline(Duration::ZERO);
    assert!(Source::<Std>::notifier(&passed).is_none());
    let mut inputs = Select::<Std, _>::new().source(1, passed, |_| 5);
    assert_eq!(inputs.try_recv(), Ok(5));
    let mut inputs = Select::<Std, _>::new().source(1, deadline(Duration::MAX), |_| 5);
    assert_eq!(inputs.try_recv(), Err(TryRecvError::Empty));
}

/// A source that is lent wakes the select as one that is owned.
#[test]
fn a_source_that_is_lent_wakes_the_select() {
    let (sender, mut receiver) = ends(&notifier());
    let (wakes, waker) = counting_waker();
    let mut inputs = Select::new().source(1, &mut receiver, |item| item.ok());
    let mut next = Box::pin(inputs.recv_async());
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    sender.send(3).unwrap();
    assert_eq!(wakes.get(), 1);
}

/// A select and its list name their types.
#[test]
fn debug_names_the_type() {
    let inputs = Select::<Std, _>::new().source(3, deadline(Duration::MAX), |_| 5);
    assert_eq!(format!("{inputs:?}"), "Select { .. }");
    assert_eq!(format!("{:?}", inputs.inputs), "With { budget: 3, .. }");
}
