//! What holds at certain moments, which a scripted backend or the order of the steps brings about:
//! an item is accepted and not yet written, an end goes, a lock is held.

use std::sync::Arc;

use super::super::*;
use super::numbers;
use crate::scripted::{Scripted, script, while_reporting};

/// A sender has been accepted and has not written yet: a look waits for it, and does not say that
/// the mailbox is empty. The sender writes while the receiver yields.
#[test]
fn an_item_that_is_about_to_be_written_is_waited_for() {
    for policy in [OnFull::Block, OnFull::Refuse, OnFull::EvictOldest] {
        let (sender, receiver) = mailbox::<Scripted, u32>(2, 0, policy);
        let Ok(claim) = sender.shared.credits.offer(1) else { panic!("there is room") };
        let writer = sender.clone();
        let write = move || writer.shared.push(claim, 7, false);
        script(|script| script.at_yield.set(Some(Box::new(write))));
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(7), Err(TryRecvError::Empty)));
    }
}

/// The same for a reply, after the mailbox has been closed: nothing more can come only after that.
#[test]
fn a_reply_that_is_about_to_be_written_is_not_the_end() {
    let (sender, receiver) = numbers(1, OnFull::Block);
    assert!(sender.shared.credits.take_permit());
    let claim = sender.shared.credits.use_permit().expect("the receiver is there");
    sender.close();
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    sender.shared.push(claim, 8, true);
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(8), Err(Closed)));
}

/// The receiver goes while an item is about to be written: it waits, and drops that item.
#[test]
fn the_drop_of_the_receiver_waits_for_what_was_accepted() {
    let value = Arc::new(());
    let (sender, receiver) = mailbox::<Scripted, Arc<()>>(1, 0, OnFull::Block);
    let Ok(claim) = sender.shared.credits.offer(1) else { panic!("there is room") };
    let thread = std::thread::spawn(move || drop(receiver));
    sender.shared.not_empty.until_asleep(1);
    sender.shared.push(claim, value.clone(), false);
    thread.join().unwrap();
    assert_eq!(Arc::strong_count(&value), 1);
}

/// The last end gives the memory back, which is counted in cells.
#[test]
fn no_memory_is_left() {
    let cells = || script(|script| script.cells.get());
    let before = cells();
    let (sender, receiver) = mailbox::<Scripted, u32>(100, 0, OnFull::Refuse);
    assert!((0..100).all(|item| sender.send(item).is_ok()));
    assert!(receiver.try_iter().take(70).eq(0..70));
    assert!(cells() >= before + 30);
    drop((sender, receiver));
    assert_eq!(cells(), before);
}

/// While the backend reports a violation, an end that is dropped does nothing.
#[test]
fn ends_that_are_dropped_during_a_report_do_nothing() {
    let (sender, receiver) = mailbox::<Scripted, u32>(2, 0, OnFull::Refuse);
    let place = sender.reserve().unwrap();
    while_reporting(|| drop(place));
    assert_eq!((sender.send(1), sender.send(2)), (Ok(None), Err(SendError::Full(2))));
    while_reporting(|| drop(receiver));
    assert!(!sender.is_closed());
}

/// Where nobody evicts, the receiver alone takes from the queue, and does without the lock: here
/// somebody holds it all the time.
#[test]
fn a_receiver_without_evictors_takes_no_lock() {
    for policy in [OnFull::Block, OnFull::Refuse] {
        let (sender, receiver) = numbers(1, policy);
        let _held = sender.shared.consumer.lock();
        assert_eq!(sender.send(1), Ok(None));
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Err(TryRecvError::Empty)));
    }
}
