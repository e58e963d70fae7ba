//! Tests of tasks that wait, and of the list of their wakers.

use super::*;
use crate::Std;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{RawWaker, RawWakerVTable, Wake};

type Notifier = EventNotifier<Std>;

/// Counts its wake-ups.
#[derive(Default)]
struct Flag(AtomicUsize);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn flag() -> (Arc<Flag>, Waker) {
    let flag = Arc::new(Flag::default());
    (flag.clone(), Waker::from(flag))
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// A new notifier is four words, and has allocated nothing before a task waits.
#[test]
fn an_idle_notifier_is_small() {
    assert!(size_of::<Notifier>() <= 32, "{}", size_of::<Notifier>());
    let notifier = Notifier::new();
    notifier.notify_all();
    assert!(notifier.tasks.lock().unwrap().0.is_none());
}

/// Three tasks, one notification for one and one for all: the oldest is woken first, each once.
#[test]
fn tasks_are_chosen_in_order() {
    let notifier = Notifier::new();
    let (flags, wakers): (Vec<_>, Vec<_>) = (0..3).map(|_| flag()).unzip();
    let mut tasks = [(); 3].map(|()| notifier.until(|| None::<()>));
    for (task, waker) in tasks.iter_mut().zip(&wakers) {
        assert!(poll(task, waker).is_pending());
    }
    assert_eq!(notifier.waiters(), 3);
    let woken = || flags.iter().map(|flag| flag.0.load(Relaxed)).collect::<Vec<_>>();
    notifier.notify_one();
    assert_eq!(woken(), [1, 0, 0]);
    notifier.notify_all();
    assert_eq!((woken(), notifier.waiters()), (vec![1, 1, 1], 0));
}

/// A task that is polled again keeps its place, and only its last waker is woken.
#[test]
fn a_second_poll_replaces_the_waker() {
    let notifier = Notifier::new();
    let ((old, old_waker), (new, new_waker)) = (flag(), flag());
    let mut task = notifier.until(|| None::<()>);
    let mut behind = notifier.until(|| None::<()>);
    assert!(poll(&mut task, &old_waker).is_pending());
    assert!(poll(&mut behind, Waker::noop()).is_pending());
    assert!(poll(&mut task, &new_waker).is_pending());
    notifier.notify_one();
    assert_eq!((old.0.load(Relaxed), new.0.load(Relaxed)), (0, 1));
    drop((old_waker, new_waker));
    assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (1, 1));
}

/// Of two tasks, the first is dropped, after it has been chosen or without.
#[test]
fn a_cancelled_task_passes_on_what_it_was_given() {
    for chosen in [false, true] {
        let notifier = Notifier::new();
        let (second, waker) = flag();
        let mut first = notifier.until(|| None::<()>);
        let mut other = notifier.until(|| None::<()>);
        assert!(poll(&mut first, Waker::noop()).is_pending());
        assert!(poll(&mut other, &waker).is_pending());
        if chosen {
            notifier.notify_one();
        }
        drop(first);
        assert_eq!(second.0.load(Relaxed), usize::from(chosen));
        assert_eq!(notifier.waiters(), u32::from(!chosen));
    }
}

/// A waker that drops another task of the same list while it is woken.
#[test]
fn a_waker_may_drop_a_task() {
    struct Drops(std::sync::Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);
    impl Wake for Drops {
        fn wake(self: Arc<Self>) {
            let task = self.0.lock().unwrap().take();
            drop(task);
        }
    }
    let notifier = Arc::new(Notifier::new());
    let (third, third_waker) = flag();
    let drops = Arc::new(Drops(std::sync::Mutex::new(None)));
    let mut first = notifier.until(|| None::<()>);
    assert!(poll(&mut first, &Waker::from(drops.clone())).is_pending());
    let other = notifier.clone();
    let mut second = Box::pin(async move { other.until(|| None::<()>).await });
    assert!(poll(&mut second, Waker::noop()).is_pending());
    *drops.0.lock().unwrap() = Some(second);
    let mut last = notifier.until(|| None::<()>);
    assert!(poll(&mut last, &third_waker).is_pending());
    notifier.notify_many(2); // the first, whose waker drops the second, and the last
    assert_eq!((third.0.load(Relaxed), notifier.waiters()), (1, 0));
}

/// Futures come and go at random, in the list and in a plain one beside it: the same entries are
/// chosen and left in both.
#[test]
fn the_list_is_a_queue_from_which_anyone_may_leave() {
    fn holds(steps: Vec<(u8, u8)>) -> bool {
        let mut list = Tasks::NONE;
        let mut plain: Vec<(Ticket, Arc<Flag>)> = Vec::new();
        steps.into_iter().all(|(step, which)| {
            let place = usize::from(which) % plain.len().max(1);
            match step % 4 {
                0 | 1 => {
                    let (flag, waker) = flag();
                    plain.push((list.push(waker).unwrap(), flag));
                    true
                }
                2 if !plain.is_empty() => {
                    let (ticket, flag) = plain.remove(place);
                    let waker = list.remove(ticket).expect("it is there");
                    waker.wake();
                    flag.0.load(Relaxed) == 1 && list.remove(ticket).is_none()
                }
                _ => match list.pop(u64::MAX) {
                    None => plain.is_empty(),
                    Some((waker, has_next)) => {
                        waker.wake();
                        let is_oldest = plain.remove(0).1.0.load(Relaxed) == 1;
                        is_oldest && has_next != plain.is_empty()
                    }
                },
            }
        }) && plain.iter().all(|(ticket, _)| list.replace(*ticket, Waker::noop().clone()).is_ok())
    }
    quickcheck::QuickCheck::new().tests(1_000).quickcheck(holds as fn(Vec<(u8, u8)>) -> bool);
}

/// A slot that is used again belongs to its new entry alone.
#[test]
fn a_ticket_is_given_once() {
    let mut list = Tasks::NONE;
    let first = list.push(Waker::noop().clone()).unwrap();
    assert!(list.remove(first).is_some());
    let second = list.push(Waker::noop().clone()).unwrap();
    assert_eq!((first.slot, list.remove(first).is_none()), (second.slot, true));
    assert!(list.pop(second.number).is_none(), "it is not older than itself");
    assert!(list.pop(second.number + 1).is_some());
}

/// The condition of a task that has been chosen panics: the notification is passed on to the other.
#[test]
fn a_condition_that_panics_passes_the_notification_on() {
    let notifier = Notifier::new();
    let (second, waker) = flag();
    let mut looks = 0;
    let mut first = Box::pin(notifier.until(|| {
        looks += 1;
        assert!(looks <= 2, "the third look panics");
        None::<()>
    }));
    let mut other = notifier.until(|| None::<()>);
    assert!(poll(&mut first, Waker::noop()).is_pending());
    assert!(poll(&mut other, &waker).is_pending());
    notifier.notify_one();
    assert_eq!(second.0.load(Relaxed), 0);
    let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut first, Waker::noop()).is_pending()));
    assert!(polled.is_err());
    assert_eq!(second.0.load(Relaxed), 1);
    drop(first);
    assert_eq!(notifier.waiters(), 0);
}

/// A waker whose clone, wake or drop panics, as its data says.
fn bad_waker(panics_at: &'static str) -> Waker {
    fn panics(data: *const (), at: &str) {
        // SAFETY: the data points to a leaked `&'static str`.
        let panics_at = unsafe { *data.cast::<&'static str>() };
        assert_ne!(panics_at, at, "foreign code panics");
    }
    fn clone(data: *const ()) -> RawWaker {
        panics(data, "clone");
        RawWaker::new(data, &TABLE)
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(
        clone,
        |data| panics(data, "wake"),
        |data| panics(data, "wake"),
        |data| panics(data, "drop"),
    );
    let data: *const &'static str = Box::leak(Box::new(panics_at));
    // SAFETY: the functions only read the data, which lives for ever; a call may panic.
    unsafe { Waker::new(data.cast(), &TABLE) }
}

/// Wakers that panic as they are cloned, woken or dropped, each in front of one that does not: that
/// one is woken, the list is empty afterwards, and no call but the poll that clones panics.
#[test]
fn a_waker_may_panic_wherever_it_is_called() {
    for panics_at in ["clone", "wake", "drop"] {
        let notifier = Notifier::new();
        let (second, waker) = flag();
        let bad = ManuallyDrop::new(bad_waker(panics_at));
        let mut first = Box::pin(notifier.until(|| None::<()>));
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut first, &bad).is_pending()));
        assert_eq!(polled.is_err(), panics_at == "clone");
        // The first waker is replaced, which drops it.
        assert!(poll(&mut first, Waker::noop()).is_pending());
        let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut first, &bad).is_pending()));
        assert_eq!(polled.is_err(), panics_at == "clone");
        let mut other = notifier.until(|| None::<()>);
        assert!(poll(&mut other, &waker).is_pending());
        assert_eq!(notifier.waiters(), 2);
        notifier.notify_all();
        assert_eq!((second.0.load(Relaxed), notifier.waiters()), (1, 0));
        // One that leaves by itself.
        if panics_at != "clone" {
            let mut third = Box::pin(notifier.until(|| None::<()>));
            assert!(poll(&mut third, &bad).is_pending());
            drop(third);
        }
        assert_eq!(notifier.waiters(), 0);
    }
}
