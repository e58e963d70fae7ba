//! The two sides of a pool's queue: their locks, and what is done under them.
//!
//! For I1 to I6 see the parent module. A [`Turn`] is a side's lock, held for items for which there
//! is room, or which are there. It ends with [`Shared::sent`] or [`Shared::received`], which move
//! the side's word, release the lock and notify the other side.

use crossbeam_utils::CachePadded;

use super::{CLOSED, ITEM, RESERVED, Shared};
use crate::error::Closed;
use crate::policy::Backpressure;
use crate::primitives::Ordering::{Acquire, Relaxed, Release};
use crate::primitives::{Atomic, Cell, Mutex, Primitives};

/// What one side knows, under its lock.
#[derive(Default)]
pub(super) struct Side {
    /// The next place to fill, or to empty.
    pub(super) place: usize,
    /// What the other side's word was, without its flags, when this side last looked (I5).
    pub(super) seen: u64,
    /// For the senders: places that permits keep (I2).
    pub(super) reserved: u64,
    /// For the senders: whether the last receiver is gone.
    pub(super) is_gone: bool,
}

/// A side's lock, and its word: see the table in the parent module.
pub(super) struct Half<P: Primitives> {
    pub(super) side: P::Mutex<Side>,
    pub(super) word: P::AtomicU64,
}

impl<P: Primitives> Half<P> {
    pub(super) fn new() -> CachePadded<Self> {
        CachePadded::new(Self { side: Mutex::new(Side::default()), word: Atomic::new(0) })
    }
}

/// A side's lock, held for as many items as there is room for, or as there are.
pub(super) struct Turn<'a, P: Primitives> {
    pub(super) side: Locked<'a, P>,
    /// The side's word, as it was found.
    pub(super) word: u64,
    pub(super) count: u64,
}

pub(super) type Locked<'a, P> = <<P as Primitives>::Mutex<Side> as Mutex<Side>>::Guard<'a>;

/// Why an item is not accepted now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Closed,
}

impl<P: Primitives, T: Send> Shared<P, T> {
    fn next(&self, place: usize) -> usize {
        if place + 1 == self.places.len() { 0 } else { place + 1 }
    }

    /// Returns for how many of `want` items there is room, at least one; `tail` must have been read
    /// under the senders' lock.
    pub(super) fn room(&self, tail: u64, side: &mut Side, want: u64) -> Result<u64, Refusal> {
        if tail & CLOSED != 0 {
            return Err(Refusal::Closed);
        }
        let free = self.places.len() as u64 - side.reserved;
        let mut room = free - tail.wrapping_sub(side.seen) / ITEM;
        if room < want {
            // ORDERING: pairs with the release in `received`: the places before it are empty.
            side.seen = self.receiving.word.load(Acquire);
            room = free - tail.wrapping_sub(side.seen) / ITEM;
            self.counts.depth_seen(free - room);
            if room == 0 {
                return Err(Refusal::Full);
            }
        }
        Ok(room.min(want))
    }

    /// Puts an item into the next place; there must be room. No receiver sees it before `tail`
    /// moves.
    #[inline]
    pub(super) fn put(&self, side: &mut Side, item: T) {
        // SAFETY: the place is the lock holder's, and holds nothing (I1, I2).
        self.places[side.place].with_mut(|place| unsafe {
            (*place).write(item);
        });
        side.place = self.next(side.place);
    }

    /// Takes the senders' lock if the queue is open and has room, for at most `want` items.
    #[inline]
    pub(super) fn enter(&self, want: usize) -> Result<Turn<'_, P>, Refusal> {
        let mut side = self.sending.side.lock();
        // ORDERING: none needed; the word changes only under this lock.
        let word = self.sending.word.load(Relaxed);
        let count = self.room(word, &mut side, want as u64)?;
        Ok(Turn { side, word, count })
    }

    /// Ends a sender's turn, in which it has put as many items as the turn counts.
    #[inline]
    pub(super) fn sent(&self, turn: Turn<'_, P>) {
        // ORDERING: pairs with the acquiring look in `ready`.
        self.sending.word.store(turn.word.wrapping_add(turn.count * ITEM), Release);
        drop(turn.side);
        self.not_empty.notify_many(u32::try_from(turn.count).unwrap_or(u32::MAX));
    }

    /// Sends `item` in a turn for one.
    #[inline]
    pub(super) fn send(&self, mut turn: Turn<'_, P>, item: T) {
        self.put(&mut turn.side, item);
        self.sent(turn);
    }

    /// Sends `item`, which must be `Some`, and leaves `None`; or says why not.
    pub(super) fn offer(&self, item: &mut Option<T>) -> Result<(), Refusal> {
        let turn = self.enter(1)?;
        if let Some(item) = item.take() {
            self.send(turn, item);
        }
        Ok(())
    }

    /// Returns how many of `max` items there are; `head` must have been read under the receivers'
    /// lock.
    pub(super) fn ready(&self, head: u64, seen: &mut u64, max: u64) -> Result<u64, Closed> {
        let mut ready = seen.wrapping_sub(head) / ITEM;
        if ready < max {
            // ORDERING: pairs with the releases in `sent`: the items before it are in place; and in
            // `close`.
            let tail = self.sending.word.load(Acquire);
            *seen = tail & !(CLOSED | RESERVED);
            ready = seen.wrapping_sub(head) / ITEM;
            self.counts.depth_seen(ready);
            if ready == 0 && tail & (CLOSED | RESERVED) == CLOSED {
                return Err(Closed);
            }
        }
        Ok(ready.min(max))
    }

    /// Takes the receivers' lock if there are items, for at most `max` of them; `None` means wait.
    #[inline]
    pub(super) fn visit(&self, max: usize) -> Result<Option<Turn<'_, P>>, Closed> {
        let mut side = self.receiving.side.lock();
        // ORDERING: none needed; the word changes only under this lock.
        let word = self.receiving.word.load(Relaxed);
        let count = self.ready(word, &mut side.seen, max as u64)?;
        Ok((count > 0).then_some(Turn { side, word, count }))
    }

    /// Moves the oldest item out of its place.
    #[inline]
    pub(super) fn take(&self, side: &mut Side) -> T {
        // SAFETY: the place holds an item, which belongs to the lock holder (I1, I3). `place` moves
        // on, so the item is moved out only once.
        let item = self.places[side.place].with_mut(|place| unsafe { (*place).assume_init_read() });
        side.place = self.next(side.place);
        item
    }

    /// Ends a receiver's turn, in which it has taken as many items as the turn counts.
    #[inline]
    pub(super) fn received(&self, turn: Turn<'_, P>) {
        // ORDERING: pairs with the acquiring look in `room`.
        self.receiving.word.store(turn.word.wrapping_add(turn.count * ITEM), Release);
        drop(turn.side);
        if self.on_full == Backpressure::Block {
            self.not_full.notify_many(u32::try_from(turn.count).unwrap_or(u32::MAX));
        }
    }

    /// Receives the oldest item; `None` means wait.
    #[inline]
    pub(super) fn receive(&self) -> Result<Option<T>, Closed> {
        let Some(mut turn) = self.visit(1)? else { return Ok(None) };
        let item = self.take(&mut turn.side);
        self.received(turn);
        Ok(Some(item))
    }
}
