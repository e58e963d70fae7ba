//! Scenarios of the pool's queue.

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::mpmc::{Receiver, Sender, mpmc};
use blocksmith_sync::{Atomic, Backpressure, Primitives, TryRecvError};

use super::channel::Counted;
use super::notifier::join;
use super::{RUNS, Row, SAMPLE, TOO_LARGE, restless, restless_states, states};
use crate::row;

/// Returns a blocking queue with the items 1 to `filled` in it.
fn queue<P: Primitives>(capacity: usize, filled: u32) -> (Sender<P, u32>, Receiver<P, u32>) {
    let (sender, receiver) = mpmc::<P, u32>(capacity, Backpressure::Block);
    for item in 1..=filled {
        assert_eq!(sender.try_send(item), Ok(()));
    }
    (sender, receiver)
}

/// Two receivers wait for one item each.
pub fn an_item_wakes_a_receiver<P: Primitives>() {
    let (sender, receiver) = queue::<P>(2, 0);
    let threads = [receiver.clone(), receiver]
        .map(|receiver| P::spawn("receiver", move || receiver.recv().unwrap_or(0)));
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.try_send(2), Ok(()));
    assert_eq!(threads.map(join).iter().sum::<u32>(), 3);
}

/// Two receivers share the items of a queue of one place, and both learn of the end.
pub fn two_receivers_share<P: Primitives>() {
    let (sender, receiver) = queue::<P>(1, 1);
    let threads = [receiver.clone(), receiver]
        .map(|receiver| P::spawn("receiver", move || receiver.iter().sum::<u32>()));
    assert_eq!(sender.send(2), Ok(()));
    drop(sender);
    assert_eq!(threads.map(join).iter().sum::<u32>(), 3);
}

/// Two senders block on a full queue, and a batch makes room for both.
pub fn a_batch_wakes_as_many_senders<P: Primitives>() {
    let (sender, receiver) = queue::<P>(2, 2);
    let threads = [3, 4].map(|item| {
        let sender = sender.clone();
        P::spawn("sender", move || assert_eq!(sender.send(item), Ok(())))
    });
    let mut items = Vec::new();
    assert_eq!(receiver.recv_batch(&mut items, 2), Ok(2));
    threads.into_iter().for_each(join);
    assert_eq!(receiver.recv_batch(&mut items, 9), Ok(2));
    items.sort_unstable();
    assert_eq!(items, [1, 2, 3, 4]);
}

/// Two receivers and the sender look once each, without the notifier's fences. The second item may
/// take the place of the first. A receiver that looked for the first may then find the second.
pub fn looks_share_the_items<P: Primitives>() {
    let (sender, receiver) = mpmc::<P, u32>(1, Backpressure::Refuse);
    assert_eq!(sender.send(1), Ok(()));
    let threads = [(); 2].map(|()| {
        let receiver = receiver.clone();
        P::spawn("receiver", move || receiver.try_recv().unwrap_or(0))
    });
    let sent = if sender.send(2).is_ok() { 3 } else { 1 };
    let received: u32 = threads.map(join).iter().sum();
    assert_eq!(received + receiver.try_recv().unwrap_or(0), sent);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

/// Two threads drop a receiver each, while a third sends twice into a queue of one place.
pub fn the_receivers_go<P: Primitives>() {
    let item = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (sender, receiver) = mpmc::<P, Counted<P>>(1, Backpressure::Block);
    let other = receiver.clone();
    let origin = item.clone();
    let sending = P::spawn("sender", move || {
        drop(sender.send(Counted(origin.clone())));
        drop(sender.send(Counted(origin)));
    });
    let receiving = P::spawn("receiver", move || drop(other));
    drop(receiver);
    join(receiving);
    join(sending);
    assert_eq!(item.load(Relaxed), 2, "items dropped");
}

/// Returns the scenarios of this module, with their bounds.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            mpmc::an_item_wakes_a_receiver,
            "two items wake two receivers, one each", None,
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            mpmc::two_receivers_share,
            "each item goes to one of two receivers, and both learn of the end", None,
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            mpmc::a_batch_wakes_as_many_senders,
            "a batch wakes a blocked sender for each item", None,
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: states(500_000), std: RUNS,
        },
        row! {
            mpmc::looks_share_the_items,
            "two receivers and a sender that do not wait share the items: none is lost, none comes twice", Some(&hazard::M4),
            threads: 3, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
        row! {
            mpmc::the_receivers_go,
            "the last receiver's drop wakes senders, and every item is dropped once", Some(&hazard::M6),
            threads: 3, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
    ]
}
