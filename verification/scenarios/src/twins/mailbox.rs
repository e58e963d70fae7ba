//! Faults of mailboxes.

use std::collections::VecDeque;

use blocksmith_sync::Ordering::{self, AcqRel, Acquire, Relaxed, Release};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Ghost, Mutex, Primitives};

use crate::scenarios::notifier::join;

/// A linked queue of at most eight nodes, which are numbered instead of allocated. Node 0 is the
/// dummy.
struct Linked<P: Primitives> {
    /// The node pushed last.
    tail: P::AtomicU32,
    /// The successor of each node, or 0 if there is none.
    next: [P::AtomicU32; 8],
    not_empty: EventNotifier<P>,
}

impl<P: Primitives> Linked<P> {
    /// The fault: the receiver is told before there is anything to find.
    fn push(&self, node: u32) {
        let before = self.tail.swap(node, AcqRel);
        self.not_empty.notify_one();
        self.next[before as usize].store(node, Release);
    }

    fn pop(&self, head: u32) -> u32 {
        self.not_empty
            .wait_until(|| Some(self.next[head as usize].load(Acquire)).filter(|&node| node != 0))
    }
}

fn notify_early<P: Primitives>(senders: u32) {
    let queue = P::arc(Linked::<P> {
        tail: Atomic::new(0),
        next: [0; 8].map(Atomic::new),
        not_empty: EventNotifier::new(),
    });
    let spawn = |node| {
        let queue = queue.clone();
        P::spawn("sender", move || queue.push(node))
    };
    let threads: Vec<_> = (1..=senders).map(spawn).collect();
    let (mut head, mut sum) = (0, 0);
    for _ in 0..senders {
        head = queue.pop(head);
        sum += head;
    }
    assert_eq!(sum, senders * (senders + 1) / 2);
    threads.into_iter().for_each(join);
}

/// M3: a sender notifies before it links its node. The counterpart is `mailbox::two_senders`.
pub fn notify_before_link<P: Primitives>() {
    notify_early::<P>(2);
}

/// M3 with eight threads. The counterpart is `mailbox::eight_threads`.
pub fn seven_notify_before_link<P: Primitives>() {
    notify_early::<P>(7);
}

/// A locked queue with a flag beside it.
struct Flagged<P: Primitives> {
    closed: P::AtomicU32,
    items: P::Mutex<VecDeque<u32>>,
}

impl<P: Primitives> Flagged<P> {
    /// The fault: the mailbox may close between the look and the push.
    fn send(&self, item: u32) -> bool {
        if self.closed.load(Acquire) == 1 {
            return false;
        }
        self.items.lock().push_back(item);
        true
    }

    /// Closes, and returns how many items are received until the queue is closed and empty.
    fn close_and_drain(&self) -> usize {
        self.closed.store(1, Release);
        std::iter::from_fn(|| self.items.lock().pop_front()).count()
    }
}

/// M5: a send looks at the flag before it takes the lock. The counterpart is
/// `mailbox::close_races_with_send`.
pub fn close_beside_the_queue<P: Primitives>() {
    let mailbox =
        P::arc(Flagged::<P> { closed: Atomic::new(0), items: Mutex::new(VecDeque::new()) });
    let other = mailbox.clone();
    let sender = P::spawn("sender", move || other.send(7));
    let received = mailbox.close_and_drain();
    assert_eq!(received, usize::from(join(sender)), "accepted and received differ");
    // ORDERING: none is needed, because the thread has ended.
    assert_eq!(mailbox.closed.load(Relaxed), 1);
}

/// An entry of a directory, and a place in the block that the receiver moves to that entry.
struct Moved<P: Primitives> {
    entry: P::AtomicU32,
    place: Ghost<P>,
}

fn move_ahead<P: Primitives>(find: Ordering) {
    let moved = P::arc(Moved::<P> { entry: Atomic::new(0), place: Ghost::new() });
    let other = moved.clone();
    let receiver = P::spawn("receiver", move || {
        other.place.write(); // takes the item
        other.entry.store(1, Release);
    });
    if moved.entry.load(find) == 1 {
        moved.place.write();
    }
    join(receiver);
}

/// M1: the sender finds a block by a relaxed load, so it need not see that the receiver is done
/// with the block. The counterpart in core is `mailbox::a_block_moves_ahead`.
pub fn a_block_found_relaxed<P: Primitives>() {
    move_ahead::<P>(Relaxed);
}

/// M1, as it must be: the sender acquires the block as it finds it.
pub fn a_block_found_with_acquire<P: Primitives>() {
    move_ahead::<P>(Acquire);
}

/// A block of two places, without the items.
struct Pair<P: Primitives> {
    claimed: P::AtomicU32,
    marks: [P::AtomicU32; 2],
    places: [Ghost<P>; 2],
    /// The memory of the block, which the receiver writes when it frees the block.
    block: Ghost<P>,
}

impl<P: Primitives> Pair<P> {
    fn new() -> Self {
        Self {
            claimed: Atomic::new(0),
            marks: [0; 2].map(Atomic::new),
            places: [Ghost::new(), Ghost::new()],
            block: Ghost::new(),
        }
    }

    fn send(&self) {
        let place = self.claimed.fetch_add(1, AcqRel) as usize;
        self.block.read();
        self.places[place].write();
        self.marks[place].store(1, Release);
    }

    /// Frees the block if all the places in `awaited` have been written.
    fn receive(&self, awaited: &[usize]) {
        if awaited.iter().all(|place| self.marks[*place].load(Acquire) == 1) {
            self.block.write();
        }
    }
}

fn free<P: Primitives>(awaited: &'static [usize]) {
    let pair = P::arc(Pair::<P>::new());
    let senders = [pair.clone(), pair.clone()].map(|pair| P::spawn("sender", move || pair.send()));
    pair.receive(awaited);
    senders.into_iter().for_each(join);
}

/// M1: the receiver frees a block when its last place has been written, while a slow sender still
/// writes the first. The counterpart in core is `mailbox::three_bring_a_block`.
pub fn a_block_freed_under_a_sender<P: Primitives>() {
    free::<P>(&[1]);
}

/// M1, as it must be: the receiver frees a block when all its places have been written.
pub fn a_block_freed_when_all_is_written<P: Primitives>() {
    free::<P>(&[0, 1]);
}

/// M1: the receiver takes an item from a place that is claimed and not yet written. The counterpart
/// in core is `mailbox::busy_is_not_empty`.
pub fn an_item_taken_when_claimed<P: Primitives>() {
    let pair = P::arc(Pair::<P>::new());
    let other = pair.clone();
    let sender = P::spawn("sender", move || other.send());
    if pair.claimed.load(Acquire) == 1 {
        pair.places[0].read();
    }
    join(sender);
}

/// A mailbox of one place, without the items.
struct Withheld<P: Primitives> {
    free: P::AtomicU32,
    queued: P::AtomicU32,
    not_full: EventNotifier<P>,
    not_empty: EventNotifier<P>,
}

fn take<P: Primitives>(count: &P::AtomicU32) -> Option<()> {
    let found = count.load(Relaxed);
    (found > 0 && count.compare_exchange(found, found - 1, AcqRel, Relaxed).is_ok()).then_some(())
}

/// M8: the receiver returns credits in pairs, and keeps an odd one while it sleeps. The counterpart
/// is `mailbox::credits_return_in_batches`.
pub fn a_credit_kept_asleep<P: Primitives>() {
    let mailbox = P::arc(Withheld::<P> {
        free: Atomic::new(1),
        queued: Atomic::new(0),
        not_full: EventNotifier::new(),
        not_empty: EventNotifier::new(),
    });
    let other = mailbox.clone();
    let sender = P::spawn("sender", move || {
        for _ in 0..2 {
            other.not_full.wait_until(|| take::<P>(&other.free));
            other.queued.fetch_add(1, Release);
            other.not_empty.notify_one();
        }
    });
    (0..2).for_each(|_| mailbox.not_empty.wait_until(|| take::<P>(&mailbox.queued)));
    mailbox.free.fetch_add(2, Release);
    mailbox.not_full.notify_many(2);
    join(sender);
}

/// A mailbox of one place, which is taken.
struct Full<P: Primitives> {
    closed: P::AtomicU32,
    not_full: EventNotifier<P>,
    not_empty: EventNotifier<P>,
}

impl<P: Primitives> Full<P> {
    fn send(&self) {
        self.not_full.wait_until(|| (self.closed.load(Acquire) == 1).then_some(()));
    }

    fn close(&self, wake_senders: bool) {
        self.closed.store(1, Release);
        self.not_empty.notify_all();
        if wake_senders {
            self.not_full.notify_all();
        }
    }
}

fn close_a_full_mailbox<P: Primitives>(wake_senders: bool) {
    let mailbox = P::arc(Full::<P> {
        closed: Atomic::new(0),
        not_full: EventNotifier::new(),
        not_empty: EventNotifier::new(),
    });
    let other = mailbox.clone();
    let sender = P::spawn("sender", move || other.send());
    mailbox.close(wake_senders);
    join(sender);
}

/// M14: the close wakes the receiver's side only. The counterparts in core are
/// `a_close_wakes_blocked_senders` of every channel.
pub fn a_close_that_wakes_no_sender<P: Primitives>() {
    close_a_full_mailbox::<P>(false);
}

/// M14, as it must be: the close wakes both sides.
pub fn a_close_that_wakes_senders<P: Primitives>() {
    close_a_full_mailbox::<P>(true);
}
