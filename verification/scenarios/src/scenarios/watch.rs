//! Scenarios of the watch.

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::watch::{Receiver, watch};
use blocksmith_sync::{Atomic, Closed, Primitives, RecvTimeoutError, TryRecvError};

use super::channel::{Counted, SOON};
use super::notifier::join;
use super::task::{block_on, poll_once};
use super::{RUNS, Row, SAMPLE, TOO_LARGE, preemptions, restless, restless_states, states};
use crate::row;

/// Reads until the end, and asserts that each value is later than the one before. Returns the last.
fn follow<P: Primitives>(mut reader: Receiver<P, u32>) -> u32 {
    let mut last = 0;
    loop {
        match reader.changed() {
            Ok(value) if *value > last => last = *value,
            Ok(value) => panic!("{} after {last}", *value),
            Err(Closed) => return last,
        }
    }
}

/// A sender sends two values and goes, while a reader waits for each value and for the end.
pub fn the_last_value_is_seen<P: Primitives>() {
    let (sender, reader) = watch::<P, u32>(0);
    let thread = P::spawn("sender", move || {
        assert!(sender.send(1).is_ok());
        assert!(sender.send(2).is_ok());
    });
    assert_eq!(follow(reader), 2);
    join(thread);
}

/// A reader waits for a value. Neither end is dropped meanwhile.
pub fn a_reader_waits<P: Primitives>() {
    let (sender, mut reader) = watch::<P, u32>(0);
    let thread = P::spawn("sender", move || {
        assert!(sender.send(1).is_ok());
        sender
    });
    assert_eq!(reader.changed().map(|value| *value), Ok(1));
    assert!(!reader.has_changed());
    drop(join(thread));
}

/// Two readers wait for one value and for the end.
pub fn every_reader_sees_it<P: Primitives>() {
    let (sender, reader) = watch::<P, u32>(0);
    let readers =
        [sender.subscribe(), reader].map(|reader| P::spawn("reader", move || follow(reader)));
    assert!(sender.send(1).is_ok());
    drop(sender);
    assert_eq!(readers.map(join), [1, 1]);
}

/// Two readers wait for one value. No end is dropped meanwhile, so only the value can wake them.
pub fn a_value_wakes_every_reader<P: Primitives>() {
    let (sender, reader) = watch::<P, u32>(0);
    let readers = [reader.clone(), reader].map(|mut reader| {
        P::spawn("reader", move || (reader.changed().map(|value| *value), reader))
    });
    assert!(sender.send(1).is_ok());
    let seen = readers.map(join);
    assert!(seen.iter().all(|(value, _)| *value == Ok(1)));
    drop(sender);
}

/// A reader takes the value and marks it as seen, while another value comes. Either it has taken
/// the new one, or it still learns of it.
pub fn what_is_marked_was_read<P: Primitives>() {
    let (sender, mut reader) = watch::<P, u32>(0);
    let thread = P::spawn("sender", move || {
        assert!(sender.send(1).is_ok());
        sender
    });
    if *reader.get_and_mark() == 0 {
        assert_eq!(reader.changed().map(|value| *value), Ok(1));
    }
    assert!(!reader.has_changed());
    drop(join(thread));
}

/// A sender waits until no reader is left. Another sender closes, and the reader stays.
pub fn a_sender_that_waits_hears_of_a_close<P: Primitives>() {
    let (sender, reader) = watch::<P, u32>(0);
    let other = sender.clone();
    let thread = P::spawn("sender", move || {
        other.close();
        other
    });
    sender.closed();
    assert!(sender.is_closed() && !sender.is_disconnected());
    drop((join(thread), reader));
}

/// Two threads drop a sender each, after a relaxed store each. One of them sends a value before.
/// The reader polls, without the notifier's fences.
pub fn closed_comes_after_the_senders<P: Primitives>() {
    let (sender, mut reader) = watch::<P, u32>(0);
    let done = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let (other, flags) = (sender.clone(), done.clone());
    let quiet = P::spawn("quiet", move || {
        flags[0].store(1, Relaxed);
        drop(other);
    });
    let flags = done.clone();
    let loud = P::spawn("loud", move || {
        flags[1].store(1, Relaxed);
        assert!(sender.send(1).is_ok());
    });
    let mut looked = reader.try_changed();
    if let Ok(value) = &looked {
        assert_eq!((**value, done[1].load(Relaxed)), (1, 1), "the value came before its cause");
        looked = reader.try_changed();
    }
    if looked.is_err_and(|error| error == TryRecvError::Closed) {
        assert!(done.iter().all(|done| done.load(Relaxed) == 1), "not seen");
        assert_eq!(*reader.get(), 1);
    }
    join(quiet);
    join(loud);
}

/// A reader waits with a time limit, and then without one.
pub fn the_wait_may_expire<P: Primitives>() {
    let (sender, mut reader) = watch::<P, u32>(0);
    let thread = P::spawn("sender", move || {
        assert!(sender.send(1).is_ok());
        sender
    });
    match reader.changed_deadline(P::now() + SOON) {
        Ok(value) => assert_eq!(*value, 1),
        Err(RecvTimeoutError::Timeout) => assert_eq!(reader.changed().map(|value| *value), Ok(1)),
        Err(RecvTimeoutError::Closed) => panic!("nobody has gone"),
    }
    drop(join(thread));
}

/// A task drops a wait after one poll, which marks nothing as seen. Then it awaits the value and
/// the end.
pub fn a_task_reads<P: Primitives>() {
    let (sender, mut reader) = watch::<P, u32>(0);
    let thread = P::spawn("sender", move || assert!(sender.send(1).is_ok()));
    let early = poll_once::<P, _>(std::pin::pin!(reader.changed_async()));
    if early.is_pending() {
        assert_eq!(block_on::<P, _>(reader.changed_async()).map(|value| *value), Ok(1));
    }
    assert_eq!(block_on::<P, _>(reader.changed_async()).map(|value| *value), Err(Closed));
    assert_eq!(*reader.get(), 1);
    join(thread);
}

/// Two senders add one each to the value. One of them reads the watch in its closure, so no lock
/// may be held meanwhile.
pub fn updates_add_up<P: Primitives>() {
    let (sender, reader) = watch::<P, u32>(0);
    let other = sender.clone();
    let thread = P::spawn("sender", move || other.update(|value| Some(value + 1)));
    let later = |value: &u32| (*reader.get() >= *value).then_some(value + 1);
    assert_eq!(sender.update(later), Ok(true));
    assert_eq!(join(thread), Ok(true));
    drop(sender);
    assert_eq!((*reader.get(), follow(reader)), (2, 2));
}

/// A sender waits until no reader is left. Two readers go, one of them in a thread of its own.
pub fn a_sender_waits_for_the_readers<P: Primitives>() {
    let (sender, reader) = watch::<P, u32>(0);
    let other = sender.subscribe();
    let thread = P::spawn("reader", move || drop(other));
    drop(reader);
    if !sender.closed_deadline(P::now() + SOON) {
        sender.closed();
    }
    assert!(sender.is_disconnected());
    join(thread);
}

/// A value is replaced while a reader takes it and keeps it. Each value is dropped once, by the
/// last thread that has it.
pub fn a_replaced_value_is_dropped_once<P: Primitives>() {
    let drops = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (sender, reader) = watch::<P, Counted<P>>(Counted(drops.clone()));
    let threads = [sender.clone(), sender].map(|sender| {
        let next = Counted(drops.clone());
        P::spawn("sender", move || assert!(sender.send(next).is_ok()))
    });
    let kept = reader.get();
    assert!(kept.0.load(Relaxed) < 3);
    threads.into_iter().for_each(join);
    drop(reader);
    assert_eq!(drops.load(Relaxed), 2, "values dropped before the last");
    drop(kept);
    assert_eq!(drops.load(Relaxed), 3, "values dropped");
}

/// Returns the scenarios of this module, with their bounds.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            watch::the_last_value_is_seen,
            "a reader sees values in order, the last one always, and then the end", Some(&hazard::A11),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000),
            std: RUNS,
        },
        row! {
            watch::a_reader_waits,
            "a reader that waits is woken by a value", Some(&hazard::A11),
            threads: 2, loom: restless(4), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            watch::every_reader_sees_it,
            "one value and the end reach every reader", Some(&hazard::A11),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            watch::a_value_wakes_every_reader,
            "one value wakes every reader that waits for it", Some(&hazard::A11),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            watch::what_is_marked_was_read,
            "a reader that marks a value as seen while another comes has read it or learns of it",
            Some(&hazard::A11),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000),
            std: RUNS,
        },
        row! {
            watch::a_sender_that_waits_hears_of_a_close,
            "a sender that waits until nobody reads is woken by a close", Some(&hazard::M14),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            watch::closed_comes_after_the_senders,
            "who reads a value, or the end, sees what was done before it", None,
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            watch::the_wait_may_expire,
            "a timed wait for a value loses none", Some(&hazard::N7),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000),
            std: RUNS,
        },
        row! {
            watch::a_task_reads,
            "a task is woken by a value and by the end; a dropped wait marks nothing as seen",
            Some(&hazard::N7),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000),
            std: RUNS,
        },
        row! {
            watch::updates_add_up,
            "a value that depends on the one before replaces that one and no other", None,
            threads: 2, loom: preemptions(3), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        row! {
            watch::a_sender_waits_for_the_readers,
            "a sender that waits until nobody reads is woken by the last reader", Some(&hazard::M10),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(200_000),
            std: RUNS,
        },
        row! {
            watch::a_replaced_value_is_dropped_once,
            "a value lives as long as anybody has it, and is dropped once", Some(&hazard::M6),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(1_000_000), std: RUNS,
        },
    ]
}
