//! Scenarios that every channel must pass, written once over [`Channel`] and listed for each.
//!
//! A channel with several senders must pass those of `many` as well. The scenarios of what one
//! channel alone can do are in its own module.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Closed, OnFull, Primitives, SendError, TryRecvError, oneshot};

use super::notifier::join;
use super::task::{Alarm, block_on, poll_once};
use super::{
    EIGHT, RUNS, Row, SAMPLE, TOO_LARGE, UNBOUNDED, preemptions, restless, restless_states, states,
};
use crate::channel::{Channel, Closes, Receives, Sends, Shares};
use crate::row;

/// A time limit. Its length does not matter, because a checker may let it expire at any moment.
pub(super) const SOON: Duration = Duration::from_millis(1);

/// The ends of a channel of numbers.
type Ends<P, C> = (<C as Channel>::Sender<P, u32>, <C as Channel>::Receiver<P, u32>);

/// Returns a blocking channel through which `turned` items have passed.
fn open<P: Primitives, C: Channel>(capacity: usize, turned: u32) -> Ends<P, C> {
    let (sender, receiver) = C::open::<P, u32>(capacity, OnFull::Block);
    for item in 0..turned {
        assert_eq!(sender.try_send(item), Ok(None));
        assert_eq!(receiver.try_recv(), Ok(item));
    }
    (sender, receiver)
}

/// An item that counts its drops.
pub(super) struct Counted<P: Primitives>(pub(super) P::Arc<P::AtomicU32>);

impl<P: Primitives> Drop for Counted<P> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The sender blocks on a channel of one place. The indices of a ring run over their end.
pub fn in_order_through_one_place<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 1);
    let thread = P::spawn("sender", move || {
        assert_eq!(sender.send(1), Ok(None));
        assert_eq!(sender.send(2), Ok(None));
    });
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.recv(), Ok(2));
    assert_eq!(receiver.recv(), Err(Closed));
    join(thread);
}

/// The channel has two places and holds one item, and a ring's indices are at the last of their
/// four values. The second send fills the channel, and the third blocks.
pub fn in_order_through_two_places<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(2, 3);
    assert_eq!(sender.try_send(1), Ok(None));
    let thread = P::spawn("sender", move || {
        assert_eq!(sender.send(2), Ok(None));
        assert_eq!(sender.send(3), Ok(None));
        sender
    });
    for item in 1..=3 {
        assert_eq!(receiver.recv(), Ok(item));
    }
    drop(join(thread));
}

/// A batch of three items goes through two places, and is received in batches.
pub fn batches_through_two_places<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(2, 3);
    let thread = P::spawn("sender", move || {
        let mut items = vec![1, 2, 3];
        assert_eq!((sender.send_batch(&mut items), items.len()), (Ok(3), 0));
    });
    let mut items = Vec::new();
    while let Ok(count) = receiver.recv_batch(&mut items, 2) {
        assert!((1..=2).contains(&count));
    }
    assert_eq!(items, [1, 2, 3]);
    join(thread);
}

/// A batch of two is sent without waiting, while the receiver looks. It finds room for one item or
/// for two.
pub fn a_batch_meets_a_look<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(2, 1);
    assert_eq!(sender.try_send(1), Ok(None));
    let thread = P::spawn("sender", move || {
        let mut items = vec![2, 3];
        let sent = sender.try_send_batch(&mut items);
        assert_eq!(items, [2, 3][sent.unwrap_or(9)..]);
        assert_eq!(sender.counters().refused, items.len() as u64);
    });
    let mut items = Vec::new();
    receiver.drain(&mut items, 2);
    join(thread);
    items.extend(receiver.iter());
    assert!([1, 2, 3].starts_with(&items) && items.len() >= 2, "{items:?}");
}

/// The receiver closes while one item is sent. Then it receives the item if it was accepted.
pub fn close_races_with_send<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 1);
    let thread = P::spawn("receiver", move || {
        receiver.close();
        let received: Vec<_> = receiver.iter().collect();
        (received, receiver)
    });
    let accepted = match sender.send(7) {
        Ok(_) => vec![7],
        Err(error) => {
            assert!(error.is_closed() && error.into_inner() == 7);
            vec![]
        }
    };
    let (received, receiver) = join(thread);
    assert_eq!(received, accepted, "accepted and received differ");
    assert_eq!(receiver.recv(), Err(Closed), "closed, and then an item");
}

/// Both ends close, each in a thread of its own. The sender sends just before it closes.
pub fn both_ends_close<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 0);
    let thread = P::spawn("sender", move || {
        let accepted = sender.send(7).is_ok();
        drop(sender);
        accepted
    });
    receiver.close();
    let received = receiver.iter().inspect(|item| assert_eq!(*item, 7)).count();
    assert_eq!(received, usize::from(join(thread)), "accepted and received differ");
}

/// The receiver closes while a batch of two is sent. Both items are accepted, or both come back in
/// order.
pub fn close_races_with_a_batch<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(2, 1);
    let thread = P::spawn("receiver", move || {
        receiver.close();
        receiver.iter().collect::<Vec<_>>()
    });
    let mut items = vec![1, 2];
    let accepted = sender.send_batch(&mut items).is_ok();
    assert_eq!(items, if accepted { vec![] } else { vec![1, 2] });
    assert_eq!(join(thread), if accepted { vec![1, 2] } else { vec![] });
}

/// The channel is full, and senders block in `send`: two of them if the channel can have two. The
/// receiver closes and stays, and receives nothing until they have ended. So only the close can
/// wake them.
pub fn a_close_wakes_blocked_senders<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 0);
    assert_eq!(sender.try_send(1), Ok(None));
    let threads: Vec<_> = (2..)
        .zip(C::senders(sender, 2))
        .map(|(item, sender)| {
            P::spawn("sender", move || {
                assert_eq!(sender.send(item), Err(SendError::Closed(item)));
            })
        })
        .collect();
    receiver.close();
    threads.into_iter().for_each(join);
    assert_eq!([receiver.recv(), receiver.recv()], [Ok(1), Err(Closed)]);
}

/// The channel is full, and a task waits in `send_async`. The receiver closes and stays, and
/// receives nothing until the task has ended.
pub fn a_close_wakes_a_sending_task<P: Primitives, C: Channel>() {
    let (mut sender, receiver) = open::<P, C>(1, 0);
    assert_eq!(sender.try_send(1), Ok(None));
    let thread = P::spawn("sender", move || {
        assert_eq!(block_on::<P, _>(sender.send_async(2)), Err(SendError::Closed(2)));
    });
    receiver.close();
    join(thread);
    assert_eq!([receiver.recv(), receiver.recv()], [Ok(1), Err(Closed)]);
}

/// The receiver goes while the sender sends twice into a channel of one place. The items are shared
/// objects. loom reports an item that leaks, and the count at the end shows one that is dropped
/// twice.
pub fn the_receiver_goes<P: Primitives, C: Channel>() {
    let item = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (sender, receiver) = C::open::<P, Counted<P>>(1, OnFull::Block);
    let origin = item.clone();
    let thread = P::spawn("sender", move || {
        drop(sender.send(Counted(origin.clone())));
        drop(sender.send(Counted(origin)));
    });
    drop(receiver);
    join(thread);
    assert_eq!(item.load(Relaxed), 2, "items dropped");
}

/// A question with a one-shot inside is accepted while the receiver goes. The sender stays.
pub fn a_reply_inside_is_dropped<P: Primitives, C: Channel>() {
    let (sender, receiver) = C::open::<P, oneshot::Sender<P, u32>>(1, OnFull::Refuse);
    let thread = P::spawn("receiver", move || drop(receiver));
    let (reply, answer) = oneshot::channel::<P, u32>();
    drop(sender.send(reply));
    assert_eq!(answer.recv(), Err(Closed));
    join(thread);
    drop(sender);
}

/// The senders (two if the channel can have two) end in threads of their own, each after a relaxed
/// store. Nothing is sent. The receiver looks once, without the notifier's fences, so the end alone
/// orders the stores.
pub fn closed_comes_after_the_senders<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 0);
    let done = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let senders = C::senders(sender, 2);
    let count = senders.len();
    let threads: Vec<_> = (0..)
        .zip(senders)
        .map(|(index, sender): (usize, _)| {
            let done = done.clone();
            P::spawn("sender", move || {
                done[index].store(1, Relaxed);
                drop(sender);
            })
        })
        .collect();
    if receiver.try_recv() == Err(TryRecvError::Closed) {
        assert!(done[..count].iter().all(|done| done.load(Relaxed) == 1), "not seen");
    }
    threads.into_iter().for_each(join);
}

/// A sender with a time limit meets a receiver with a time limit.
pub fn waits_may_expire<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 0);
    assert_eq!(sender.send(1), Ok(None));
    let soon = P::now() + SOON;
    let thread = P::spawn("sender", move || match sender.send_deadline(2, soon) {
        Ok(_) => 2,
        Err(SendError::Timeout(2)) => 0,
        Err(error) => panic!("{error}"),
    });
    assert_eq!(receiver.recv(), Ok(1));
    let early = receiver.recv_timeout(SOON).unwrap_or(0);
    let sent = join(thread);
    assert_eq!(early + receiver.iter().sum::<u32>(), sent);
}

/// A sender waits for the end alone, with a time limit and then without one, while the receiver
/// goes.
pub fn a_sender_waits_for_the_end<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 0);
    let thread = P::spawn("sender", move || {
        if !sender.closed_deadline(P::now() + SOON) {
            sender.closed();
        }
        assert!(sender.is_closed());
        sender
    });
    drop(receiver);
    assert!(join(thread).is_disconnected());
}

/// A task waits for the end alone, after a wait that was polled once.
pub fn a_task_waits_for_the_end<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 0);
    let thread = P::spawn("receiver", move || receiver.close());
    let _ = poll_once::<P, _>(pin!(sender.closed_async()));
    block_on::<P, _>(sender.closed_async());
    assert!(sender.is_closed());
    join(thread);
}

/// A task of the sender waits for the end. The same sender closes, and only that can wake the task:
/// the receiver closes nothing and stays.
pub fn an_end_closes_while_its_task_waits<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 0);
    let thread = P::spawn("sender", move || {
        let mut closed = Box::pin(sender.closed_async());
        assert!(poll_once::<P, _>(closed.as_mut()).is_pending());
        let alarm = Arc::new(Alarm::<P>::new());
        let waker = Waker::from(alarm.clone());
        assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        sender.close();
        alarm.wait();
        assert!(poll_once::<P, _>(closed.as_mut()).is_ready());
    });
    assert_eq!(receiver.recv(), Err(Closed));
    join(thread);
}

/// A task sends two items through one place. Another receives them and learns of the end.
pub fn between_tasks<P: Primitives, C: Channel>() {
    let (mut sender, mut receiver) = open::<P, C>(1, 0);
    let thread = P::spawn("sender", move || {
        for item in [1, 2] {
            assert_eq!(block_on::<P, _>(sender.send_async(item)), Ok(None));
        }
    });
    for expected in [Ok(1), Ok(2), Err(Closed)] {
        assert_eq!(block_on::<P, _>(receiver.recv_async()), expected);
    }
    join(thread);
}

/// A task sends a batch of two through one place. Another receives in batches. A receive that is
/// dropped after one poll has taken nothing.
pub fn batches_between_tasks<P: Primitives, C: Channel>() {
    let (mut sender, mut receiver) = open::<P, C>(1, 0);
    let thread = P::spawn("sender", move || {
        let mut items = vec![1, 2];
        assert_eq!(block_on::<P, _>(sender.send_batch_async(&mut items)), Ok(2));
    });
    let mut items = Vec::new();
    let early = poll_once::<P, _>(pin!(receiver.recv_batch_async(&mut items, 2)));
    assert_eq!(items.len(), if let Poll::Ready(count) = early { count.unwrap_or(9) } else { 0 });
    while block_on::<P, _>(receiver.recv_batch_async(&mut items, 2)).is_ok() {}
    assert_eq!(items, [1, 2]);
    join(thread);
}

/// One thread sends to two channels. Another waits for both through one notifier.
pub fn two_inputs_one_thread<P: Primitives, C: Shares>() {
    let notifier = P::arc(EventNotifier::<P>::new());
    let (left, left_in) = C::open_on::<P, u32>(notifier.clone(), 1, OnFull::Refuse);
    let (right, right_in) = C::open_on::<P, u32>(notifier.clone(), 1, OnFull::Refuse);
    let thread = P::spawn("sender", move || {
        assert_eq!(right.send(2), Ok(None));
        assert_eq!(left.send(1), Ok(None));
    });
    let either = || left_in.try_recv().or_else(|_| right_in.try_recv()).ok();
    assert_eq!(notifier.wait_until(either) + notifier.wait_until(either), 3);
    join(thread);
}

/// Two senders find the only place taken. The receiver makes room twice.
pub fn senders_block<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 0);
    assert_eq!(sender.send(0), Ok(None));
    let threads: Vec<_> = (1..)
        .zip(C::senders(sender, 2))
        .map(|(item, sender)| P::spawn("sender", move || assert_eq!(sender.send(item), Ok(None))))
        .collect();
    let received = [(); 3].map(|()| receiver.recv().unwrap_or(9));
    assert_eq!(received[0], 0);
    assert_eq!(received[1] + received[2], 3);
    threads.into_iter().for_each(join);
}

/// One sender waits for the end alone, another for the only place. When the place becomes free, the
/// one that wants it is woken.
pub fn a_watcher_takes_no_wake_up<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(1, 0);
    assert_eq!(sender.send(1), Ok(None));
    let mut senders = C::senders(sender, 2);
    let (blocked, watcher) = (senders.pop(), senders.pop());
    let watching = P::spawn("watcher", move || watcher.iter().for_each(Sends::closed));
    let sending = P::spawn("sender", move || {
        assert_eq!(blocked.map(|sender| sender.send(2)), Some(Ok(None)));
    });
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
    join(sending);
    drop(receiver);
    join(watching);
}

/// Two senders send a batch each, more than there is room for. Every item is received, in the order
/// of its batch.
pub fn two_senders_of_batches<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(2, 0);
    let threads: Vec<_> = [10, 20]
        .into_iter()
        .zip(C::senders(sender, 2))
        .map(|(first, sender)| {
            P::spawn("sender", move || {
                assert_eq!(sender.send_batch(&mut vec![first, first + 1]), Ok(2));
            })
        })
        .collect();
    let received: Vec<_> = receiver.iter().collect();
    for first in [10, 20] {
        let of_one = received.iter().filter(|item| **item / 10 == first / 10);
        assert!(of_one.eq(&[first, first + 1]), "{received:?}");
    }
    assert_eq!(received.len(), 4);
    threads.into_iter().for_each(join);
}

/// Eight threads: three receivers if the channel can have several, a sender that waits for the end
/// alone, and as many other senders as are left, of single items and of batches. The eighth is
/// main, which closes when all is sent.
pub fn eight_threads<P: Primitives, C: Channel>() {
    let (sender, receiver) = open::<P, C>(2, 0);
    let receivers = C::receivers(receiver, 3);
    let mut senders = C::senders(sender, 8 - receivers.len());
    let (closer, watcher) = (senders.pop(), senders.pop());
    let count = u32::try_from(senders.len()).unwrap_or(0);
    let watching = P::spawn("watcher", move || watcher.iter().for_each(Sends::closed));
    let receiving: Vec<_> = receivers
        .into_iter()
        .map(|receiver| P::spawn("receiver", move || receiver.iter().sum::<u32>()))
        .collect();
    let sending: Vec<_> = senders
        .into_iter()
        .map(|sender| {
            P::spawn("sender", move || {
                assert_eq!(sender.send(1), Ok(None));
                assert_eq!(sender.send_batch(&mut vec![10, 100]), Ok(2));
            })
        })
        .collect();
    assert_eq!(sending.len() + receiving.len() + 2, 8);
    sending.into_iter().for_each(join);
    closer.iter().for_each(Closes::close);
    join(watching);
    assert_eq!(receiving.into_iter().map(join).sum::<u32>(), 111 * count);
}

/// Returns the value that is meant for this channel.
pub(super) fn of<C: Channel, V>(mailbox: V, spsc: V, mpmc: V) -> V {
    match C::NAME {
        "mailbox" => mailbox,
        "spsc" => spsc,
        _ => mpmc,
    }
}

/// Returns the scenarios of every channel.
pub(super) fn list<C: Channel>() -> Vec<Row> {
    let senders = of::<C, _>(3, 2, 3);
    vec![
        row! {
            channel::in_order_through_one_place for C,
            "items arrive in order through a capacity of one, then Closed", Some(&hazard::N9),
            threads: 2, loom: restless(2), shuttle: SAMPLE,
            stepped: of::<C, _>(states(2_000_000), restless_states(200_000), states(400_000)),
            std: RUNS,
        },
        row! {
            channel::in_order_through_two_places for C,
            "places are used again in order, over the end of the indices, and only once they are \
             empty",
            Some(&hazard::M2),
            threads: 2, loom: restless(of::<C, _>(1, 2, 2)), shuttle: SAMPLE, stepped: of::<C, _>(TOO_LARGE, restless_states(200_000), restless_states(200_000)),
            std: RUNS,
        },
        row! {
            channel::batches_through_two_places for C,
            "a batch larger than the channel arrives in order, received in batches", None,
            threads: 2, loom: restless(of::<C, _>(1, 2, 2)), shuttle: SAMPLE, stepped: of::<C, _>(TOO_LARGE, restless_states(200_000), states(300_000)),
            std: RUNS,
        },
        row! {
            channel::a_batch_meets_a_look for C,
            "a batch that does not wait is accepted as far as there is room; the rest comes back",
            Some(&hazard::M1),
            threads: 2, loom: preemptions(3), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        row! {
            channel::close_races_with_send for C,
            "what is accepted while the receiver closes is received, what is not comes back",
            Some(&hazard::M5),
            threads: 2, loom: restless(of::<C, _>(3, 5, 4)), shuttle: SAMPLE,
            stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            channel::both_ends_close for C,
            "whichever end closes first, what was accepted is received", Some(&hazard::M5),
            threads: 2, loom: restless(of::<C, _>(3, 4, 4)), shuttle: SAMPLE,
            stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            channel::close_races_with_a_batch for C,
            "a batch that meets the end is accepted or comes back, as a whole", Some(&hazard::M5),
            threads: 2, loom: restless(of::<C, _>(3, 4, 3)), shuttle: SAMPLE,
            stepped: restless_states(200_000), std: RUNS,
        },
        row! {
            channel::a_close_wakes_blocked_senders for C,
            "a close gives every blocked sender its item back, though nothing is received",
            Some(&hazard::M14),
            threads: senders, loom: restless(of::<C, _>(2, 3, 2)), shuttle: SAMPLE,
            stepped: of::<C, _>(TOO_LARGE, restless_states(200_000), TOO_LARGE), std: RUNS,
        },
        row! {
            channel::a_close_wakes_a_sending_task for C,
            "a close gives a task that waits to send its item back, though nothing is received",
            Some(&hazard::M14),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            channel::the_receiver_goes for C,
            "the receiver's drop wakes the sender, and every item is dropped once", Some(&hazard::M6),
            threads: 2, loom: restless(of::<C, _>(2, 3, 2)), shuttle: SAMPLE,
            stepped: restless_states(400_000), std: RUNS,
        },
        row! {
            channel::a_reply_inside_is_dropped for C,
            "a question that the receiver leaves behind tells its asker so", Some(&hazard::M10),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            channel::closed_comes_after_the_senders for C,
            "who receives Closed sees what every sender did before it went", None,
            threads: senders, loom: of::<C, _>(preemptions(2), UNBOUNDED, preemptions(2)),
            shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            channel::waits_may_expire for C,
            "timed sends and receives lose no item", Some(&hazard::N7),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(1_000_000),
            std: RUNS,
        },
        row! {
            channel::a_sender_waits_for_the_end for C,
            "a sender that waits for the end alone is woken by it", Some(&hazard::M10),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            channel::a_task_waits_for_the_end for C,
            "a task that waits for the end alone is woken by it", Some(&hazard::M10),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            channel::an_end_closes_while_its_task_waits for C,
            "an end that closes wakes its own task that waits for the end, too", Some(&hazard::M14),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            channel::between_tasks for C,
            "items arrive in order between two tasks, through one place", Some(&hazard::N9),
            threads: 2, loom: restless(of::<C, _>(1, 2, 1)), shuttle: SAMPLE,
            stepped: of::<C, _>(TOO_LARGE, states(300_000), TOO_LARGE), std: RUNS,
        },
        row! {
            channel::batches_between_tasks for C,
            "a batch arrives in order between two tasks; a receive that is dropped takes nothing",
            Some(&hazard::N7),
            threads: 2, loom: restless(of::<C, _>(1, 2, 1)), shuttle: SAMPLE,
            stepped: TOO_LARGE, std: RUNS,
        },
    ]
}

/// Returns the scenarios of a channel whose receiver can share a notifier with others.
pub(super) fn shared<C: Shares>() -> Vec<Row> {
    vec![row! {
        channel::two_inputs_one_thread for C,
        "a thread that waits for two channels through one notifier misses neither", None,
        threads: 2, loom: restless(of::<C, _>(1, 2, 2)), shuttle: SAMPLE, stepped: of::<C, _>(TOO_LARGE, restless_states(400_000), None),
        std: RUNS,
    }]
}

/// Returns the scenarios of a channel with several senders.
pub(super) fn many<C: Channel>() -> Vec<Row> {
    vec![
        row! {
            channel::senders_block for C,
            "blocked senders are woken one per item received", None,
            threads: 3, loom: preemptions(of::<C, _>(0, 1, 1)), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            channel::a_watcher_takes_no_wake_up for C,
            "a sender that waits for the end alone takes no wake-up from one that waits for room",
            Some(&hazard::N7),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            channel::two_senders_of_batches for C,
            "batches of two senders arrive whole, each in order", None,
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            channel::eight_threads for C,
            "eight threads on one channel: every item to one of them, and all end", Some(&hazard::N8),
            threads: 8, loom: None, shuttle: EIGHT, stepped: None, std: Some(100),
        },
    ]
}
