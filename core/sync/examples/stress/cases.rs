//! Every channel, with one to four producers and consumers, on threads of the operating system.

use std::collections::VecDeque;
use std::thread;

use blocksmith_sync::{Backpressure, OnFull, SendError, Std, mailbox, mpmc, oneshot, spsc};

use super::ledger::{Item, Ledger, Totals};

/// The capacity of every channel: small enough that both ends wait often.
const CAPACITY: usize = 64;
/// Items that are received at once.
const BATCH: usize = 32;
/// Replies that a requester waits for at a time.
const WINDOW: usize = 64;

/// A run, and what happened to its items.
pub(crate) struct Case {
    /// The channel and how it was used.
    pub(crate) channel: &'static str,
    /// Threads that sent.
    pub(crate) producers: usize,
    /// Threads that received.
    pub(crate) consumers: usize,
    /// The totals of the ledger.
    pub(crate) totals: Totals,
}

/// Runs every case with about `items` items each, and passes each to `report` when it ends.
pub(crate) fn run(items: u64, mut report: impl FnMut(&Case)) {
    let mut case = |channel, producers, consumers, totals| {
        report(&Case { channel, producers, consumers, totals });
    };
    for threads in 1..=4 {
        case("oneshot", threads, threads, replies(items, threads));
    }
    case("spsc", 1, 1, ring(items, false));
    case("spsc, batches", 1, 1, ring(items, true));
    for producers in 1..=4 {
        case("mailbox, block", producers, 1, letters(items, producers, OnFull::Block, None));
        case("mailbox, refuse", producers, 1, letters(items, producers, OnFull::Refuse, None));
        let evict = OnFull::EvictOldest;
        case("mailbox, evict oldest", producers, 1, letters(items, producers, evict, None));
        // The receiver leaves after half of the items, with the mailbox full.
        let half = Some(items / 2);
        case("mailbox, cut short", producers, 1, letters(items, producers, OnFull::Block, half));
    }
    for (producers, consumers) in [(1, 1), (1, 4), (2, 2), (3, 3), (4, 1), (4, 4)] {
        case("mpmc", producers, consumers, pool(items, producers, consumers, None));
    }
    case("mpmc, cut short", 4, 4, pool(items, 4, 4, Some(items / 16)));
}

/// A requester with up to [`WINDOW`] requests under way, and a thread that answers, `pairs` times.
fn replies(items: u64, pairs: usize) -> Totals {
    let ledger = Ledger::new(items, pairs);
    thread::scope(|scope| {
        for pair in 0..pairs {
            let (requests, inbox) = spsc::spsc::<Std, _>(CAPACITY, Backpressure::Block);
            let ledger = &ledger;
            scope.spawn(move || {
                let mut reader = ledger.receiver();
                let mut waiting = VecDeque::new();
                for _ in 0..ledger.share(pair) {
                    let (sender, receiver) = oneshot::channel::<Std, Item<'_>>();
                    assert!(
                        requests.send(sender).is_ok(),
                        "the other end serves until we drop ours"
                    );
                    waiting.push_back(receiver);
                    if waiting.len() == WINDOW {
                        waiting
                            .pop_front()
                            .map(|first| reader.got(&first.recv().expect("answered")));
                    }
                }
                for receiver in waiting {
                    reader.got(&receiver.recv().expect("answered"));
                }
            });
            scope.spawn(move || {
                for (sender, item) in inbox.iter().zip(ledger.items(pair)) {
                    assert!(sender.send(item).is_ok(), "the requester waits for it");
                }
            });
        }
    });
    ledger.close(true)
}

fn ring(items: u64, batches: bool) -> Totals {
    let ledger = Ledger::new(items, 1);
    let (sender, receiver) = spsc::spsc::<Std, Item<'_>>(CAPACITY, Backpressure::Block);
    let ledger_ref = &ledger;
    thread::scope(|scope| {
        scope.spawn(move || {
            if !batches {
                return ledger_ref.items(0).for_each(|item| {
                    assert!(sender.send(item).is_ok(), "the receiver stays");
                });
            }
            let mut items = ledger_ref.items(0);
            loop {
                let mut batch: Vec<_> = items.by_ref().take(BATCH).collect();
                if batch.is_empty() {
                    return;
                }
                while !batch.is_empty() {
                    sender.send_batch(&mut batch).expect("the receiver stays");
                }
            }
        });
        scope.spawn(move || {
            let mut reader = ledger_ref.receiver();
            let mut batch = Vec::new();
            let max = if batches { BATCH } else { 1 };
            while receiver.recv_batch(&mut batch, max).is_ok() {
                batch.drain(..).for_each(|item| {
                    reader.got(&item);
                });
            }
        });
    });
    ledger.close(true)
}

/// `leaves`: after how many items the receiver goes away, if it does.
fn letters(items: u64, producers: usize, on_full: OnFull, leaves: Option<u64>) -> Totals {
    let ledger = Ledger::new(items, producers);
    let (first, receiver) = mailbox::mailbox::<Std, Item<'_>>(CAPACITY, 0, on_full);
    let ledger_ref = &ledger;
    thread::scope(|scope| {
        for producer in 0..producers {
            let sender = first.clone();
            scope.spawn(move || {
                for item in ledger_ref.items(producer) {
                    if let Some(back) = insist(&sender, item) {
                        ledger_ref.handed_back(back);
                    }
                }
            });
        }
        drop(first);
        scope.spawn(move || {
            let mut reader = ledger_ref.receiver();
            let mut batch = Vec::new();
            while receiver.recv_batch(&mut batch, BATCH).is_ok() {
                let mut count = 0;
                batch.drain(..).for_each(|item| count = reader.got(&item));
                if leaves.is_some_and(|most| count >= most) {
                    return;
                }
            }
        });
    });
    ledger.close(leaves.is_none())
}

/// Sends, again and again if the mailbox refuses; returns an item that came back: an older one that
/// was evicted, or this one if the mailbox is closed.
fn insist<'a>(sender: &mailbox::Sender<Std, Item<'a>>, mut item: Item<'a>) -> Option<Item<'a>> {
    loop {
        match sender.send(item) {
            Ok(evicted) => return evicted,
            Err(SendError::Full(back)) => item = back,
            Err(SendError::Closed(back) | SendError::Timeout(back)) => return Some(back),
        }
        thread::yield_now();
    }
}

/// `leaves`: after how many items each consumer goes away, if it does.
fn pool(items: u64, producers: usize, consumers: usize, leaves: Option<u64>) -> Totals {
    let ledger = Ledger::new(items, producers);
    let (sender, receiver) = mpmc::mpmc::<Std, Item<'_>>(CAPACITY, Backpressure::Block);
    let ledger_ref = &ledger;
    thread::scope(|scope| {
        for producer in 0..producers {
            let sender = sender.clone();
            scope.spawn(move || {
                for item in ledger_ref.items(producer) {
                    match sender.send(item) {
                        Ok(()) => {}
                        Err(error) => ledger_ref.handed_back(error.into_inner()),
                    }
                }
            });
        }
        for _ in 0..consumers {
            let receiver = receiver.clone();
            scope.spawn(move || {
                let mut reader = ledger_ref.receiver();
                for item in receiver.iter() {
                    let count = reader.got(&item);
                    if leaves.is_some_and(|most| count >= most) {
                        return;
                    }
                }
            });
        }
        drop((sender, receiver));
    });
    ledger.close(leaves.is_none())
}
