//! Scenarios of the ring.

use blocksmith_models::hazard;
use blocksmith_sync::spsc::{Receiver, Sender, spsc};
use blocksmith_sync::{Backpressure, Primitives, TryRecvError};

use super::notifier::join;
use super::{EIGHT, RUNS, Row, SAMPLE, UNBOUNDED, restless_states};
use crate::row;

/// Returns a ring whose indices have moved on by `turned` items.
fn ring<P: Primitives>(capacity: usize, turned: u32) -> (Sender<P, u32>, Receiver<P, u32>) {
    let (sender, receiver) = spsc::<P, u32>(capacity, Backpressure::Block);
    for item in 0..turned {
        assert_eq!(sender.try_send(item), Ok(()));
        assert_eq!(receiver.try_recv(), Ok(item));
    }
    (sender, receiver)
}

/// The receiver looks once for an item, without the notifier's fences.
pub fn a_look_finds_the_item<P: Primitives>() {
    let (sender, receiver) = ring::<P>(1, 0);
    let thread = P::spawn("sender", move || assert_eq!(sender.try_send(7), Ok(())));
    if let Ok(item) = receiver.try_recv() {
        assert_eq!(item, 7);
    }
    join(thread);
}

/// The sender looks once for the place that the receiver frees, without the notifier's fences.
pub fn a_look_finds_the_place<P: Primitives>() {
    let (sender, receiver) = spsc::<P, u32>(1, Backpressure::Refuse);
    assert_eq!(sender.send(1), Ok(()));
    let thread = P::spawn("receiver", move || {
        assert_eq!(receiver.try_recv(), Ok(1));
        receiver
    });
    let sent = sender.send(2).is_ok();
    let receiver = join(thread);
    assert_eq!(receiver.try_recv(), if sent { Ok(2) } else { Err(TryRecvError::Empty) });
}

/// Eight threads stand in a row, joined by rings of one and two places. The ends close one after
/// another.
pub fn a_row_of_eight<P: Primitives>() {
    let (sender, mut last) = ring::<P>(1, 0);
    let mut threads = Vec::new();
    for stage in 0..6 {
        let (next, receiver) = ring::<P>(1 + stage % 2, 0);
        let input = std::mem::replace(&mut last, receiver);
        threads.push(P::spawn("stage", move || {
            assert!(input.iter().all(|item| next.send(item + 1).is_ok()));
        }));
    }
    threads.push(P::spawn("sender", move || assert!((0..4).all(|n| sender.send(n).is_ok()))));
    assert!(last.iter().eq(6..10));
    threads.into_iter().for_each(join);
}

/// Returns the scenarios of this module, with their bounds.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            spsc::a_look_finds_the_item,
            "an item that a look finds is the receiver's", Some(&hazard::M1),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: restless_states(100_000), std: RUNS,
        },
        row! {
            spsc::a_look_finds_the_place,
            "a place that a look finds free is the sender's", Some(&hazard::M1),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: restless_states(100_000), std: RUNS,
        },
        row! {
            spsc::a_row_of_eight,
            "eight threads in a row pass everything on in order, and end", None,
            threads: 8, loom: None, shuttle: EIGHT, stepped: None, std: Some(100),
        },
    ]
}
