//! Faults of tasks that wait. Most of them use the real notifier wrongly: a closure around `until`
//! takes away what `until` does right.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::mailbox::{OnFull, mailbox};
use blocksmith_sync::{Atomic, Mutex, Primitives};

use crate::scenarios::notifier::{Shared, join};
use crate::scenarios::task::{Alarm, block_on, poll_once};

/// N1: a task's look after the registration finds nothing. The counterpart is `task::a_task_waits`.
pub fn no_second_look<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let producer = P::spawn("producer", move || other.put());
    let mut looks = 0;
    block_on::<P, _>(shared.changed.until(|| {
        looks += 1;
        if looks % 2 == 1 { shared.take() } else { None }
    }));
    join(producer);
}

/// N6: a thread notifies a task first and publishes afterwards. The counterpart is
/// `task::a_task_waits`.
pub fn notify_before_publish<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let producer = P::spawn("producer", move || {
        other.changed.notify_one();
        other.count.store(1, Relaxed);
    });
    block_on::<P, _>(shared.changed.until(|| shared.take()));
    join(producer);
}

/// N7: a chosen task is dropped, and does not pass the notification on. The counterpart is
/// `task::a_task_cancels`.
pub fn a_cancel_keeps_the_notification<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let (first, second) = (shared.clone(), shared.clone());
    let fickle = P::spawn("fickle", move || {
        let alarm = Arc::new(Alarm::<P>::new());
        let waker = Waker::from(alarm.clone());
        let mut permit = first.changed.until(|| first.take());
        if Pin::new(&mut permit).poll(&mut Context::from_waker(&waker)).is_ready() {
            first.put();
        } else if alarm.has_rung() {
            mem::forget(permit);
        }
    });
    let patient = P::spawn("patient", move || {
        block_on::<P, _>(second.changed.until(|| second.take()));
    });
    shared.put();
    join(fickle);
    join(patient);
}

/// N7: the first waker is kept, though a later poll brings another. The counterpart is
/// `task::a_task_hands_over`.
pub fn the_first_waker_is_kept<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let producer = P::spawn("producer", move || other.put());
    let mut permit = shared.changed.until(|| shared.take());
    let first = Alarm::<P>::waker();
    let mut polled = move || Pin::new(&mut permit).poll(&mut Context::from_waker(&first));
    if polled().is_pending() {
        block_on::<P, _>(poll_fn(|_| polled()));
    }
    join(producer);
}

/// N7: an item is taken in one poll and returned in the next. The counterpart is
/// `task::a_cancelled_receive_takes_nothing`.
pub fn a_receive_in_two_polls<P: Primitives>() {
    let (sender, mut receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let thread = P::spawn("sender", move || assert_eq!(sender.send(7), Ok(None)));
    let mut in_two = Box::pin(async {
        let item = receiver.recv_async().await;
        let mut returned = false;
        poll_fn(|_| {
            let ready = mem::replace(&mut returned, true);
            if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        item
    });
    let early = poll_once::<P, _>(in_two.as_mut()).is_ready();
    drop(in_two);
    assert!(!early);
    assert_eq!(receiver.recv(), Ok(7), "the item is lost");
    join(thread);
}

/// The number of tasks that are cancelled.
const TASKS: usize = 16;
/// The number of looks at the list that one cancelled task may take, on average.
const LOOKS: usize = 4;

/// Lets two threads cancel every second task each, in the order of their numbers, from a list in
/// which the tasks stand in the opposite order. `find` returns the place of a task, and the number
/// of looks that it took to find it.
fn cancel_all<P: Primitives>(find: fn(&[Option<usize>], usize) -> (usize, usize)) {
    let list: Vec<_> = (0..TASKS).rev().map(Some).collect();
    let list = P::arc(<P::Mutex<Vec<Option<usize>>> as Mutex<_>>::new(list));
    let cancel = move |list: P::Arc<P::Mutex<Vec<Option<usize>>>>, first: usize| {
        let mut looks = 0;
        for task in (first..TASKS).step_by(2) {
            let mut list = list.lock();
            let (place, needed) = find(&list, task);
            assert_eq!(list[place].take(), Some(task));
            looks += needed;
        }
        looks
    };
    let other = list.clone();
    let thread = P::spawn("canceller", move || cancel(other, 1));
    let looks = cancel(list, 0) + join(thread);
    assert!(looks <= LOOKS * TASKS, "looks at the list grow with its length");
}

/// N14: a cancelled task is searched for from the front of the list. In the notifier's list in
/// core, a task has a slot of its own, linked both ways.
pub fn a_cancel_searches<P: Primitives>() {
    cancel_all::<P>(|list, task| {
        let found = list.iter().position(|entry| *entry == Some(task)).unwrap_or(0);
        (found, found + 1)
    });
}

/// N14, as it must be: a cancelled task knows its place.
pub fn a_cancel_knows_its_place<P: Primitives>() {
    cancel_all::<P>(|list, task| (list.len() - 1 - task, 1));
}
