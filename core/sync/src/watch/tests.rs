//! Tests of the watch on real threads and polled by hand; the checkers explore every interleaving.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Weak};

use super::*;
use crate::Std;
use crate::mailbox::{OnFull, mailbox_on};
use crate::scripted::{Scripted, counting_waker, while_reporting};
use crate::select::Select;

/// Four readers, one of them made by the sender, read 10,000 values: each sees an ascending subset,
/// and the last.
#[test]
fn every_reader_sees_the_last_value() {
    const LAST: u32 = 10_000;
    let (sender, reader) = watch::<Std, u32>(0);
    let readers = [reader.clone(), reader.clone(), sender.subscribe(), reader];
    let threads = readers.map(|mut reader| {
        std::thread::spawn(move || {
            let mut seen = Vec::new();
            while let Ok(value) = reader.changed() {
                seen.push(*value);
            }
            assert!(!reader.has_changed() && reader.is_closed() && reader.is_disconnected());
            seen
        })
    });
    (1..=LAST).for_each(|value| sender.send(value).unwrap());
    drop(sender);
    for thread in threads {
        let seen = thread.join().unwrap();
        assert!(seen.is_sorted_by(|a, b| a < b));
        assert_eq!(seen.last(), Some(&LAST));
    }
}

/// A reader is cloned after it has seen a value: the clone does not see it again, and each of the
/// two sees the next one.
#[test]
fn a_clone_has_seen_what_its_reader_has() {
    let (sender, mut reader) = watch::<Std, u32>(0);
    sender.send(1).unwrap();
    assert_eq!(reader.changed().map(|value| *value), Ok(1));
    let mut other = reader.clone();
    assert_eq!(other.try_changed(), Err(TryRecvError::Empty));
    sender.send(2).unwrap();
    assert_eq!(other.try_changed().map(|value| *value), Ok(2));
    assert_eq!(reader.try_changed().map(|value| *value), Ok(2));
}

/// What counts as seen, and for whom.
#[test]
fn each_reader_remembers_what_it_has_seen() {
    let (sender, mut reader) = watch::<Std, u32>(0);
    assert_eq!(reader.try_changed(), Err(TryRecvError::Empty));
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    let mut copy = reader.clone();
    let mut late = sender.subscribe();
    assert_eq!((*reader.get(), reader.with(|value| *value)), (2, 2));
    assert_eq!([&reader, &copy, &late].map(Receiver::has_changed), [true, true, false]);
    assert_eq!(reader.try_changed().as_deref(), Ok(&2));
    assert_eq!(*copy.get_and_mark(), 2);
    assert_eq!([&reader, &copy, &late].map(Receiver::has_changed), [false; 3]);
    let soon = Duration::from_millis(1);
    assert_eq!(late.changed_timeout(soon), Err(RecvTimeoutError::Timeout));
    sender.send(3).unwrap();
    sender.close();
    assert_eq!(late.changed_deadline(Duration::ZERO).as_deref(), Ok(&3));
    assert_eq!(late.changed_timeout(soon), Err(RecvTimeoutError::Closed));
    assert_eq!((reader.changed().as_deref(), reader.changed()), (Ok(&3), Err(Closed)));
    assert_eq!(*reader.get(), 3);
}

/// A closed watch returns the value, and tells `update`, too, that it is closed.
#[test]
fn nothing_is_accepted_after_the_end() {
    let (sender, reader) = watch::<Std, u32>(0);
    let other = sender.clone();
    drop(sender);
    assert!(!reader.is_closed());
    other.close();
    assert_eq!(other.send(1).map_err(|error| *error.into_inner()), Err(1));
    assert_eq!(other.update(|_| None), Err(Closed));
    assert_eq!(other.update(|value| Some(value + 1)), Err(Closed));
    assert_eq!((*other.get(), reader.is_disconnected()), (0, false));
}

/// Four senders add by `update`; no addition is lost.
#[test]
fn updates_of_several_senders_add_up() {
    let (sender, reader) = watch::<Std, u32>(0);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                (0..500).all(|_| sender.update(|value| Some(value + 1)) == Ok(true))
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    assert_eq!(*reader.get(), 2_000);
}

/// A value's drop reads the watch that it was in, and sends to another: no lock is held.
#[test]
fn a_value_may_use_the_watch_as_it_is_dropped() {
    struct Nosy(u32, Weak<Sender<Std, Nosy>>, Sender<Std, u32>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            let now = self.1.upgrade().map_or(0, |sender| sender.get().0);
            self.2.send(now).unwrap();
        }
    }
    let (told, heard) = watch::<Std, u32>(9);
    let (sender, reader) = watch::<Std, Nosy>(Nosy(1, Weak::new(), told.clone()));
    let sender = Arc::new(sender);
    let nosy = |number| Nosy(number, Arc::downgrade(&sender), told.clone());
    sender.send(nosy(2)).unwrap();
    assert_eq!(*heard.get(), 0);
    let kept = reader.get();
    sender.send(nosy(3)).unwrap();
    assert_eq!((kept.0, *heard.get()), (2, 0)); // kept by the reader
    reader.with(|value| assert_eq!(value.0, 3));
    drop(kept);
    assert_eq!(*heard.get(), 3);
    sender.send(nosy(4)).unwrap();
    assert_eq!(*heard.get(), 4); // dropped by the send that replaced it
}

/// The drop of the last reader wakes a thread and a task that wait for it; a new reader may come.
#[test]
fn a_sender_learns_that_nobody_reads() {
    let (sender, reader) = watch::<Std, u32>(0);
    let mut context = Context::from_waker(Waker::noop());
    let other = reader.clone();
    drop(reader);
    assert!(!sender.closed_timeout(Duration::from_millis(1)) && !sender.is_disconnected());
    assert!(pin!(sender.closed_async()).poll(&mut context).is_pending());
    let waiting = sender.clone();
    let thread = std::thread::spawn(move || waiting.closed());
    drop(other);
    thread.join().unwrap();
    assert!(sender.is_disconnected() && !sender.is_closed());
    assert!(sender.closed_timeout(Duration::ZERO) && sender.closed_deadline(Duration::ZERO));
    assert!(pin!(sender.closed_async()).poll(&mut context).is_ready());
    sender.send(1).unwrap();
    let reader = sender.subscribe();
    assert_eq!((sender.is_disconnected(), *reader.get()), (false, 1));
}

/// A task is pending, then gets the latest of two values, then is pending again; the future may
/// change threads.
#[test]
fn a_task_waits_for_a_change() {
    fn send<F: Send>(future: F) -> F {
        future
    }
    let (sender, mut reader) = watch::<Std, u32>(0);
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut next = pin!(send(reader.changed_async()));
        assert!(next.as_mut().poll(&mut context).is_pending());
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        let polled = next.poll(&mut context).map(|value| value.map(|value| *value));
        assert_eq!(polled, Poll::Ready(Ok(2)));
    }
    assert!(pin!(reader.changed_async()).poll(&mut context).is_pending());
}

/// The watch is beside a mailbox that shares its notifier, and in a select that does not.
#[test]
fn a_watch_is_a_source() {
    let notifier = Std::arc(EventNotifier::new());
    let (head, reader) = watch_on::<Std, u32>(notifier.clone(), 0);
    let (mut abroad, local) = (head.subscribe(), head.clone());
    let (work, receiver) = mailbox_on::<Std, u32>(notifier.clone(), 4, 0, OnFull::Block);
    let thread = std::thread::spawn(move || {
        work.send(1).unwrap();
        head.send(20).unwrap();
        (work, head)
    });
    let mut inputs = Select::on(notifier).source(1, receiver, |item| item.unwrap_or(100)).source(
        1,
        reader,
        |value| value.map_or(200, |value| *value),
    );
    let sum: u32 = (0..2).filter_map(|_| inputs.recv().ok()).sum();
    assert_eq!(sum, 21);
    let mut elsewhere = Select::new().source(1, &mut abroad, |value| value.map(|value| *value));
    assert_eq!(elsewhere.recv(), Ok(Ok(20)));
    drop((thread.join().unwrap(), local));
    assert_eq!(inputs.iter().sum::<u32>(), 300);
    assert_eq!(elsewhere.recv(), Ok(Err(Closed)));
}

/// A thread sleeps, and a task waits, until the last reader goes; the first to go wakes neither.
#[test]
fn the_last_reader_wakes_who_waits_for_it() {
    let (sender, reader) = watch::<Scripted, u32>(0);
    let (wakes, waker) = counting_waker();
    let mut closed = Box::pin(sender.closed_async());
    assert!(closed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let waiting = sender.clone();
    let thread = std::thread::spawn(move || {
        waiting.closed();
        waiting.is_disconnected()
    });
    sender.shared.closing.until_asleep(1);
    drop(reader.clone());
    assert_eq!(wakes.get(), 0);
    drop(reader);
    assert!(thread.join().unwrap());
    assert_eq!(wakes.get(), 1);
}

/// While the backend reports a violation, a reader that is dropped does nothing.
#[test]
fn a_reader_that_is_dropped_during_a_report_does_nothing() {
    let (sender, reader) = watch::<Scripted, u32>(0);
    while_reporting(|| drop(reader));
    assert!(!sender.is_disconnected());
}

/// A watch that is closed twice, the second time by the drop of its sender, stays closed.
#[test]
fn a_watch_that_is_closed_stays_closed() {
    let (sender, reader) = watch::<Std, u32>(0);
    sender.close();
    sender.close();
    assert!(sender.is_closed());
    drop(sender);
    assert!(reader.is_closed() && reader.is_disconnected());
}
