//! Faults of receiving from several inputs.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use blocksmith_sync::mailbox::{OnFull, mailbox};
use blocksmith_sync::mpmc::mpmc;
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Backpressure, Primitives};

use crate::scenarios::notifier::join;
use crate::scenarios::select::{serve_a_flood, two_mailboxes};
use crate::scenarios::task::{Alarm, block_on};

/// Q8: each mailbox has a notifier of its own, and the thread sleeps on that of the first. The
/// counterpart is `select::two_inputs`.
pub fn parks_on_one_source<P: Primitives>() {
    let (left, left_in) = mailbox::<P, u32>(1, 0, OnFull::Refuse);
    let (right, right_in) = mailbox::<P, u32>(1, 0, OnFull::Refuse);
    let thread = P::spawn("sender", move || {
        assert_eq!(right.send(2), Ok(None));
        left // returned, so that it stays open
    });
    let either = left_in.try_recv().or_else(|_| right_in.try_recv());
    assert_eq!(either.or_else(|_| left_in.recv()), Ok(2));
    drop(join(thread));
}

/// Q8: the thread always looks at the first source first, without a budget. The counterpart is
/// `select::a_flood_does_not_starve`.
pub fn no_budget<P: Primitives>() {
    let (notifier, (flood, flood_in), (stop, stop_in)) = two_mailboxes::<P>();
    let either = || flood_in.try_recv().or_else(|_| stop_in.try_recv()).ok();
    serve_a_flood::<P>(&flood, stop, || notifier.wait_until(either));
}

/// N7: a worker that waits for a stop and for a pool's items is woken for an item. It hears the
/// stop and goes, without waking the other worker. The counterpart is
/// `select::a_stop_gives_the_item_to_another`.
pub fn a_select_keeps_a_wake_up<P: Primitives>() {
    let (stop, stopped) = mailbox::<P, u32>(1, 0, OnFull::Refuse);
    let (tasks, pool) = mpmc::<P, u32>(2, Backpressure::Block);
    let other = pool.clone();
    let first = P::spawn("first", move || {
        let alarm = Arc::new(Alarm::<P>::new());
        let waker = Waker::from(alarm.clone());
        let message = {
            let mut item = Box::pin(pool.recv_async());
            match item.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(item) => item,
                Poll::Pending => {
                    let stopped = stopped.recv();
                    if alarm.has_rung() {
                        mem::forget(item); // chosen, and not passed on
                    }
                    stopped
                }
            }
        };
        (message, pool, stopped)
    });
    let second = P::spawn("second", move || {
        let item = block_on::<P, _>(other.recv_async());
        (item, other)
    });
    assert_eq!(tasks.send(7), Ok(()));
    assert_eq!(stop.send(1), Ok(None));
    let (message, pool, stopped) = join(first);
    if message == Ok(7) {
        assert_eq!(tasks.send(7), Ok(()));
    }
    let (item, other) = join(second);
    assert_eq!(item, Ok(7));
    drop((stop, stopped, tasks, pool, other));
}

/// N7: a select registers with its sources before its first look, and does not register again once
/// it has been chosen. So the second item wakes no thread. The counterpart is
/// `select::a_rival_takes_the_first_item`.
pub fn a_registration_is_not_renewed<P: Primitives>() {
    let (tasks, pool) = mpmc::<P, u32>(2, Backpressure::Block);
    let rival = pool.clone();
    let thread = P::spawn("owner", move || {
        assert_eq!(tasks.send(1), Ok(()));
        let taken = rival.try_recv();
        assert_eq!(tasks.send(2), Ok(()));
        (taken, tasks, rival)
    });
    let notifier = P::arc(EventNotifier::<P>::new());
    let hub = Waker::from(Arc::new(Hub::<P>(notifier.clone())));
    let mut item = Box::pin(pool.recv_async());
    let early = item.as_mut().poll(&mut Context::from_waker(&hub));
    let received = match early {
        Poll::Ready(item) => item.unwrap_or(9),
        // From here on it looks by itself, and is not registered once it has been chosen.
        Poll::Pending => notifier.wait_until(|| pool.try_recv().ok()),
    };
    let (taken, ..) = join(thread);
    assert!(received == 2 || taken.is_err());
}

/// A waker that notifies the notifier on which a select sleeps.
struct Hub<P: Primitives>(P::Arc<EventNotifier<P>>);

impl<P: Primitives> Wake for Hub<P> {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}
