//! Scenarios of permits, the places that senders keep, for every channel that has them.

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::{Atomic, Closed, OnFull, Primitives, SendError, TryRecvError, oneshot};

use super::notifier::join;
use super::task::block_on;
use super::{RUNS, Row, SAMPLE, TOO_LARGE, preemptions, restless, restless_states, states};
use crate::channel::{Closes, Receives, Reserves, Sends};
use crate::row;

/// The only place is kept. A sender blocks until the place is given back.
pub fn a_dropped_permit_wakes_a_sender<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, u32>(1, OnFull::Block);
    let permit = C::reserve(&sender);
    let thread = P::spawn("sender", move || {
        assert_eq!(sender.send(7), Ok(None));
        sender // returned, because its drop would wake a waiter, too
    });
    drop(permit);
    let sender = join(thread);
    assert_eq!(receiver.try_recv(), Ok(7));
    drop(sender);
}

/// The only place is kept. A task waits to keep it next, and sends.
pub fn a_dropped_permit_wakes_a_task<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, u32>(1, OnFull::Block);
    let permit = C::reserve(&sender);
    let thread = P::spawn("task", move || {
        let permit = block_on::<P, _>(C::reserve_async(&sender));
        assert_eq!(permit.map(|permit| C::send(permit, 7)), Ok(Ok(())));
        sender
    });
    drop(permit);
    let sender = join(thread);
    assert_eq!(receiver.try_recv(), Ok(7));
    drop(sender);
}

/// A sender sends, and another keeps a place and sends, through the only place.
pub fn a_send_and_a_permit_share_a_place<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, u32>(1, OnFull::Block);
    let mut senders = C::senders(sender, 2);
    let (one, other) = (senders.pop(), senders.pop());
    let sending =
        P::spawn("sender", move || one.iter().for_each(|it| assert_eq!(it.send(1), Ok(None))));
    let keeping = P::spawn("keeper", move || {
        let permit = other.iter().map(C::reserve::<P, u32>).next();
        assert!(permit.is_some_and(|it| it.is_ok_and(|permit| C::send(permit, 2).is_ok())));
    });
    assert_eq!(receiver.iter().sum::<u32>(), 3);
    join(sending);
    join(keeping);
}

/// The receiver closes, and receives until the end, while a permit is out.
pub fn a_permit_delivers_after_the_close<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, u32>(1, OnFull::Block);
    let permit = C::reserve(&sender);
    let thread = P::spawn("receiver", move || {
        receiver.close();
        receiver.iter().collect::<Vec<_>>()
    });
    assert_eq!(permit.map(|permit| C::send(permit, 7)), Ok(Ok(())));
    assert_eq!(join(thread), [7]);
    assert!(matches!(C::try_reserve(&sender), Err(SendError::Closed(()))));
}

/// The channel is closed and two permits are out. One thread uses a permit and another drops one,
/// while the receiver waits for the end.
pub fn the_end_waits_for_permits<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, u32>(2, OnFull::Block);
    let (used, dropped) = (C::reserve(&sender), C::reserve(&sender));
    drop(sender);
    let using = P::spawn("user", move || used.map(|permit| C::send(permit, 7)));
    let dropping = P::spawn("dropper", move || drop(dropped));
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(7), Err(Closed)));
    assert_eq!(join(using), Ok(Ok(())));
    join(dropping);
}

/// Every receiver waits for the end, which comes when the last permit is dropped.
pub fn the_end_of_a_permit_wakes_every_receiver<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, u32>(1, OnFull::Block);
    let permit = C::reserve(&sender);
    drop(sender);
    let waiting = C::receivers(receiver, 2)
        .into_iter()
        .map(|receiver| P::spawn("receiver", move || (receiver.recv(), receiver)));
    let waiting: Vec<_> = waiting.collect();
    drop(permit);
    let heard: Vec<_> = waiting.into_iter().map(join).collect(); // no receiver goes before that
    assert!(heard.iter().all(|(item, _)| *item == Err(Closed)));
}

/// A permit sends a question with a one-shot inside while the receiver goes. The sender stays.
pub fn a_permit_meets_the_receivers_end<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, oneshot::Sender<P, u32>>(1, OnFull::Refuse);
    let permit = C::reserve(&sender);
    let thread = P::spawn("receiver", move || drop(receiver));
    let (reply, answer) = oneshot::channel::<P, u32>();
    drop(permit.map(|permit| C::send(permit, reply)));
    assert_eq!(answer.recv(), Err(Closed));
    join(thread);
    drop(sender);
}

/// The receiver goes while two permits are out, and waits for neither. If one is used meanwhile,
/// its item is dropped or comes back.
pub fn the_receiver_waits_for_no_permit<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, u32>(2, OnFull::Block);
    let (kept, used) = (C::reserve(&sender), C::reserve(&sender));
    let thread = P::spawn("receiver", move || drop(receiver));
    let sent = used.map(|permit| C::send(permit, 6));
    assert!(matches!(sent, Ok(Ok(()) | Err(SendError::Closed(6)))));
    join(thread);
    let sent = kept.map(|permit| C::send(permit, 7));
    assert_eq!(sent, Ok(Err(SendError::Closed(7))));
}

/// The channel is closed. Two threads drop a permit each, after a relaxed store each. The receiver
/// looks once, without the notifier's fences.
pub fn closed_comes_after_the_permits<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, u32>(2, OnFull::Block);
    let permits = [0, 1].map(|index| (index, C::reserve(&sender)));
    drop(sender);
    let done = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let threads = permits.map(|(index, permit): (usize, _)| {
        let flags = done.clone();
        P::spawn("sender", move || {
            flags[index].store(1, Relaxed);
            drop(permit);
        })
    });
    if receiver.try_recv() == Err(TryRecvError::Closed) {
        assert!(done.iter().all(|done| done.load(Relaxed) == 1), "not seen");
    }
    threads.into_iter().for_each(join);
}

/// A thread sends an item and then keeps a place, while the receiver looks once. An item that the
/// receiver finds by the later change is whole.
pub fn a_permit_hides_no_item<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, Box<u32>>(3, OnFull::Block);
    let thread = P::spawn("sender", move || {
        assert!(sender.try_send(Box::new(1)).is_ok());
        let permit = C::try_reserve(&sender);
        let other = C::try_reserve(&sender);
        assert!(permit.is_ok_and(|permit| C::send(permit, Box::new(2)).is_ok()));
        drop(other);
    });
    let early = receiver.try_recv().map_or(0, |item| *item);
    assert!(early < 2, "the first comes first");
    join(thread);
    assert_eq!(early + receiver.iter().map(|item| *item).sum::<u32>(), 3);
}

/// One thread sends, and another keeps a place without a fence of its own before. The receiver
/// looks once. It may find the item by the second thread's change.
pub fn a_place_kept_by_another_hides_no_item<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, Box<u32>>(3, OnFull::Block);
    let mut senders = C::senders(sender, 2);
    let (one, other) = (senders.pop(), senders.pop());
    let sending = P::spawn("sender", move || {
        assert!(one.iter().all(|sender| sender.try_send(Box::new(1)).is_ok()));
    });
    let keeping = P::spawn("keeper", move || {
        let permits: Vec<_> = other.iter().map(C::try_reserve::<P, Box<u32>>).collect();
        assert!(permits.iter().all(Result::is_ok));
    });
    let early = receiver.try_recv().map_or(0, |item| *item);
    join(sending);
    join(keeping);
    assert_eq!(early + receiver.iter().map(|item| *item).sum::<u32>(), 1);
}

/// There are two places, and one thread never fills more than one. Another thread is told that
/// there is room, and can keep a place, in whatever order it reads the figures.
pub fn a_place_is_not_refused_in_vain<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, u32>(2, OnFull::Block);
    let mut senders = C::senders(sender, 2);
    let (Some(sender), Some(other)) = (senders.pop(), senders.pop()) else {
        panic!("a channel with several senders")
    };
    let thread = P::spawn("keeper", move || {
        assert!(!other.is_full(), "full, with one item of two");
        assert!(C::try_reserve(&other).is_ok(), "refused, with one item of two");
    });
    assert_eq!(sender.try_send(1), Ok(None));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(sender.try_send(2), Ok(None));
    join(thread);
}

/// At least one item is there from the beginning to the end, though not always the same one. A
/// thread that looks on counts at least one.
pub fn what_is_there_is_counted<P: Primitives, C: Reserves>() {
    let (sender, receiver) = C::open::<P, u32>(3, OnFull::Block);
    let mut senders = C::senders(sender, 2);
    let (Some(sender), Some(other)) = (senders.pop(), senders.pop()) else {
        panic!("a channel with several senders")
    };
    assert_eq!(sender.try_send(1), Ok(None));
    let thread = P::spawn("onlooker", move || {
        assert!((1..=2).contains(&other.len()), "an item is there, and never more than two");
        other
    });
    assert_eq!(sender.try_send(2), Ok(None));
    assert_eq!(receiver.try_recv(), Ok(1));
    drop((join(thread), receiver));
}

/// Returns the value that is meant for this channel.
fn of<C: Reserves, V>(mailbox: V, mpmc: V) -> V {
    if C::NAME == "mailbox" { mailbox } else { mpmc }
}

/// Returns the scenarios of this module, with their bounds.
pub(super) fn list<C: Reserves>() -> Vec<Row> {
    vec![
        row! {
            reserve::a_dropped_permit_wakes_a_sender for C,
            "a permit that is dropped gives its place to a blocked sender", Some(&hazard::N7),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            reserve::a_dropped_permit_wakes_a_task for C,
            "a permit that is dropped gives its place to a task", Some(&hazard::N7),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            reserve::a_send_and_a_permit_share_a_place for C,
            "one place serves senders and those that keep it, in turn", None,
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            reserve::a_permit_delivers_after_the_close for C,
            "a permit that is out when the channel closes still delivers, before the end",
            Some(&hazard::M5),
            threads: 2, loom: restless(of::<C, _>(3, 2)), shuttle: SAMPLE,
            stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            reserve::the_end_waits_for_permits for C,
            "the end comes after the last permit, used or dropped, and wakes the receiver",
            Some(&hazard::M10),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            reserve::the_end_of_a_permit_wakes_every_receiver for C,
            "the end that comes with the last permit wakes all who wait for it", Some(&hazard::M10),
            threads: 3, loom: restless(of::<C, _>(2, 1)), shuttle: SAMPLE, stepped: TOO_LARGE,
            std: RUNS,
        },
        row! {
            reserve::a_permit_meets_the_receivers_end for C,
            "what a permit sends while the receiver goes comes back or is dropped", Some(&hazard::M10),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            reserve::the_receiver_waits_for_no_permit for C,
            "the receiver's drop does not wait for permits, which then fail", Some(&hazard::M10),
            threads: 2, loom: restless(3), shuttle: None, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            reserve::closed_comes_after_the_permits for C,
            "who receives Closed sees what every holder of a permit did before it went", None,
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(1_000_000), std: RUNS,
        },
        row! {
            reserve::a_permit_hides_no_item for C,
            "an item that a receiver finds by a later permit is whole, and in order", Some(&hazard::M1),
            threads: 2, loom: preemptions(of::<C, _>(2, 3)), shuttle: SAMPLE, stepped: states(400_000),
            std: RUNS,
        },
        row! {
            reserve::a_place_is_not_refused_in_vain for C,
            "who is refused a place for want of room has found none at a moment", Some(&hazard::M16),
            threads: 2, loom: preemptions(3), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            reserve::what_is_there_is_counted for C,
            "len counts what is there during the whole call", Some(&hazard::M16),
            // Under weak memory a mailbox's figures need not be those of the call's duration, so
            // loom does not run this on a mailbox.
            threads: 2, loom: of::<C, _>(None, preemptions(3)), shuttle: SAMPLE,
            stepped: states(400_000), std: RUNS,
        },
        row! {
            reserve::a_place_kept_by_another_hides_no_item for C,
            "an item that a receiver finds by a place that another keeps is whole",
            Some(&hazard::M1),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
    ]
}
