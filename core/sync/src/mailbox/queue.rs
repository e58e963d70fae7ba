//! A queue of numbered places, with many producers and one consumer at a time.
//!
//! **Contract.** A producer claims the next positions by an accepted send (`credits`), and then
//! pushes one item to each ([`Queue::push`]), which never fails and never waits for anybody.
//! [`Queue::front`] and [`Queue::pop`] belong to the consumer: calls of them may not overlap, and
//! one must happen before the next. Positions are counted modulo 2^26.
//!
//! ```text
//!   position     0 .. 3    4 .. 7    8 .. 11   12 .. 15   16 .. 19         (blocks of 4 places)
//!   entries    [ null  ] [   *   ] [   *   ] [    *   ] [  null  ]         position / 4, modulo 5
//!                            |         |          |
//!                            v         v          v
//!   blocks               [t t i i] [i . i i]  [. . . .]   t taken, i item, . not (yet) written
//!                              ^        ^      ^
//!                           consumer    |      the next position; this block is a spare
//!                                       a producer between its claim and its mark
//! ```
//!
//! A producer that finds no block for its position allocates one, and puts it there unless another
//! producer was faster. The consumer takes a block out when it has taken its last item, and moves
//! it ahead of all claims, to the first free entry. So two blocks serve a short queue, and where
//! items come and go in bursts, memory does not. The consumer frees a block that it cannot place.
//!
//! | word | value | meaning | who changes it |
//! |---|---|---|---|
//! | an entry | null | no block | a producer or the consumer, by an exchange |
//! | | a block | the block for the next block of positions that maps to this entry and is not consumed | the consumer, by a store, when it has consumed those |
//! | a mark | 0, or the mark of an earlier block | not written | the producer that has claimed the position |
//! | | the mark of this block | written: a request or a reply | nobody: the next use of the place has another mark |
//!
//! **Invariants.**
//! - Q1 Each position is claimed once, and consumed once; positions are consumed in order.
//! - Q2 At most `bound` positions are claimed and not consumed. The consumption of position
//!   `p - bound` happens before the claim of `p` (C5 of `credits`; `bound` is the capacity plus the
//!   reply slots).
//! - Q3 There are so many entries that, by Q2, a producer that claims a position of a block comes
//!   after the consumption of the whole block that used its entry before, and after the consumer
//!   took that block out. So an entry that a producer finds null has no block, or none yet. An
//!   entry that it finds set has the block for its position.
//! - Q4 A place belongs to the producer that has claimed its position until that producer writes
//!   the mark, its last access. Then the place belongs to the consumer, which moves the item out
//!   once. A block that has been passed belongs to the consumer alone.
//! - Q5 The blocks ahead of all claims have at most [`MAX_SPARE`] places together, or there is only
//!   one.
//! - Q6 All places of a block that is moved have the marks of its last use. That use lies at most
//!   as many blocks back as there are entries, which is less than half of the numbers that a mark
//!   can tell apart.
//!
//! **Busy is not empty.** Between a claim and its mark the queue may hold items that the consumer
//! cannot reach yet, among them items of producers that came later and are done. `front` then
//! returns `None`, although the next position to be claimed is not the consumer's position. A
//! producer notifies after its mark, so the consumer may sleep on a busy queue.

use core::mem::MaybeUninit;
use core::ptr;

use crossbeam_utils::CachePadded;

use super::credits::COUNT;
use crate::counters::Figure;
use crate::primitives::Ordering::{Acquire, Relaxed, Release};
use crate::primitives::{Atomic, AtomicPtr, Cell, Primitives};

/// Places of the largest block.
const MAX_BLOCK: usize = 32;
/// Places of a block of large items or of a small queue, unless the queue has fewer positions.
const MIN_BLOCK: usize = 4;
/// The largest size of a block in bytes that has more than [`MIN_BLOCK`] places: sixteen items of
/// 1 KiB and their marks. Both ends fetch the line of the entry once more for each block.
const BLOCK_BYTES: usize = 16 * (1024 + 64);
/// The largest number of places in spare blocks.
const MAX_SPARE: u64 = 1024;
/// How many entries the consumer tries in order to place a block that it has passed.
const TRIES: usize = 2;

/// In a mark: the place is written. The bits above the two flags are the number of the block.
const WRITTEN: u32 = 0b01;
/// In a mark: the item occupies a reply slot.
const REPLY: u32 = 0b10;

/// One place of a block.
struct Place<P: Primitives, T> {
    /// Hands items from the producer to the consumer.
    mark: P::AtomicU32,
    item: P::Cell<MaybeUninit<T>>,
}

/// A block, as a pointer to its first place.
type Block<P, T> = *mut Place<P, T>;

/// Returns a position, or the number of a block, as the word of `credits` counts it.
const fn wrapped(count: u64) -> u32 {
    count as u32 & COUNT
}

/// Where the consumer stands.
struct Consumer<P: Primitives, T> {
    /// Not wrapped.
    position: u64,
    /// The block of that position, or null if the consumer has not found it yet.
    block: Block<P, T>,
    /// The consumer has put no block at this number or beyond.
    ahead: u64,
}

impl<P: Primitives, T> Clone for Consumer<P, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<P: Primitives, T> Copy for Consumer<P, T> {}

pub(super) struct Queue<P: Primitives, T> {
    /// The blocks in use, and the spare ones; there are 2^n entries.
    entries: Box<[P::AtomicPtr<Place<P, T>>]>,
    /// A block has 2^shift places.
    shift: u32,
    consumer: CachePadded<Side<P, T>>,
}

/// What the consumer writes, on one cache line.
struct Side<P: Primitives, T> {
    own: P::Cell<Consumer<P, T>>,
    /// Items received.
    received: Figure,
}

// SAFETY: `consumer` and the items are accessed by the consumer, whose calls are ordered (contract,
// Q4); everything else is atomic. Items travel from thread to thread, hence `T: Send`.
unsafe impl<P: Primitives, T: Send> Send for Queue<P, T> {}
// SAFETY: as above.
unsafe impl<P: Primitives, T: Send> Sync for Queue<P, T> {}

/// An item that has been pushed, at the consumer's position.
pub(super) struct Front<P: Primitives, T> {
    place: *const Place<P, T>,
    /// Whether it is a reply.
    pub(super) reply: bool,
}

impl<P: Primitives, T> Queue<P, T> {
    /// Returns an empty queue for at most `bound` positions that are claimed and not consumed.
    pub(super) fn new(bound: usize) -> Self {
        let fitting = BLOCK_BYTES / size_of::<Place<P, T>>();
        // At most half of the positions, so that a few items do not allocate for all of them.
        let half = (bound / 2).next_power_of_two().max(MIN_BLOCK);
        let places = fitting.clamp(MIN_BLOCK, MAX_BLOCK).min(half).min(bound.next_power_of_two());
        let shift = places.ilog2();
        // Q3: all entries but one hold at least `bound - 1` positions.
        let entries = ((bound - 1).div_ceil(1 << shift) + 1).next_power_of_two();
        Self {
            entries: (0..entries).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
            shift,
            consumer: CachePadded::new(Side {
                own: Cell::new(Consumer { position: 0, block: ptr::null_mut(), ahead: 0 }),
                received: Figure::default(),
            }),
        }
    }

    const fn places(&self) -> usize {
        1 << self.shift
    }

    /// Returns the entry of a block by its number.
    #[inline]
    fn entry(&self, number: u32) -> &P::AtomicPtr<Place<P, T>> {
        &self.entries[number as usize & (self.entries.len() - 1)]
    }

    /// Returns the place of a position in its block.
    ///
    /// # Safety
    /// The block is alive.
    #[inline]
    unsafe fn place(&self, block: Block<P, T>, position: u32) -> *const Place<P, T> {
        // SAFETY: a block has that many places.
        unsafe { block.add(position as usize & (self.places() - 1)) }
    }

    /// Returns the mark of a request at this position.
    #[inline]
    const fn mark(&self, position: u32) -> u32 {
        (position >> self.shift) << 2 | WRITTEN
    }

    /// Writes the item of a position that the caller has claimed; to be called once for each.
    #[inline]
    pub(super) fn push(&self, position: u32, item: T, reply: bool) {
        let entry = self.entry(position >> self.shift);
        // ORDERING: pairs with the releasing exchanges in `install` and `pass`.
        let mut block = entry.load(Acquire);
        if block.is_null() {
            block = self.install(entry);
        }
        // SAFETY: the block is the one of this position (Q3), and alive until this place has its
        // mark (Q4).
        let place = unsafe { &*self.place(block, position) };
        // SAFETY: the place is the caller's (Q4).
        place.item.with_mut(|to| unsafe {
            (*to).write(item);
        });
        let mark = self.mark(position) | if reply { REPLY } else { 0 };
        // ORDERING: pairs with the acquiring load in `front`: it carries the item.
        place.mark.store(mark, Release);
    }

    /// Returns a block for an entry that had none: a new one, or that of a producer that was
    /// faster.
    #[cold]
    #[inline(never)]
    fn install(&self, entry: &P::AtomicPtr<Place<P, T>>) -> Block<P, T> {
        let place = || Place { mark: Atomic::new(0), item: Cell::new(MaybeUninit::uninit()) };
        let places: Box<[Place<P, T>]> = (0..self.places()).map(|_| place()).collect();
        let block = Box::into_raw(places).cast();
        // ORDERING: success pairs with the acquiring loads of the entry, failure with the releasing
        // exchange of the producer that was faster.
        match entry.compare_exchange(ptr::null_mut(), block, Release, Acquire) {
            Ok(_) => block,
            Err(found) => {
                // SAFETY: it was allocated above, and nobody has seen it.
                unsafe { self.free(block) };
                found
            }
        }
    }

    /// Frees a block without items.
    ///
    /// # Safety
    /// The block comes from `install`, and belongs to the caller alone.
    unsafe fn free(&self, block: Block<P, T>) {
        // SAFETY: the caller promises it; this many places were allocated.
        let places = unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(block, self.places())) };
        // For checkers of data races: freeing counts as a write.
        places.iter().for_each(|place| place.item.with_mut(|_| ()));
    }

    /// Returns the oldest item if it has been written. Consumer only.
    #[inline]
    pub(super) fn front(&self) -> Option<Front<P, T>> {
        // SAFETY: the cell is the consumer's.
        let (position, block) =
            self.consumer.own.with(|own| unsafe { ((*own).position, (*own).block) });
        let position = wrapped(position);
        let block = if block.is_null() { self.find(position)? } else { block };
        // SAFETY: the block of a position that is not consumed is alive (Q4).
        let place = unsafe { self.place(block, position) };
        // SAFETY: as above.
        // ORDERING: pairs with the releasing store in `push`.
        let mark = unsafe { &(*place).mark }.load(Acquire);
        let found = mark & !REPLY == self.mark(position);
        found.then_some(Front { place, reply: mark & REPLY != 0 })
    }

    /// Returns the block of the consumer's position, if a producer has put one there.
    #[cold]
    fn find(&self, position: u32) -> Option<Block<P, T>> {
        // ORDERING: pairs with the releasing exchange in `install`.
        let block = self.entry(position >> self.shift).load(Acquire);
        if block.is_null() {
            return None;
        }
        // SAFETY: the cell is the consumer's.
        self.consumer.own.with_mut(|own| unsafe { (*own).block = block });
        Some(block)
    }

    /// Takes the item that [`Queue::front`] has just returned. `claimed` returns the position that
    /// will be claimed next, or a lower one. Consumer only.
    #[inline]
    pub(super) fn pop(&self, front: &Front<P, T>, claimed: impl FnOnce() -> u32) -> T {
        // SAFETY: the item is written, and belongs to the consumer (Q4). The position moves on, so
        // the item is moved out once.
        let item =
            unsafe { &(*front.place).item }.with(|place| unsafe { (*place).assume_init_read() });
        // SAFETY: the cell is the consumer's.
        let next = self.consumer.own.with_mut(|own| unsafe {
            (*own).position += 1;
            (*own).position
        });
        if next as usize & (self.places() - 1) == 0 {
            self.pass(claimed());
        }
        item
    }

    /// Takes out the block that ends before the consumer's position, and moves it ahead or frees
    /// it.
    #[inline(never)]
    fn pass(&self, claimed: u32) {
        // SAFETY: the cell is the consumer's.
        let mut own = self.consumer.own.with(|own| unsafe { *own });
        let block = core::mem::replace(&mut own.block, ptr::null_mut());
        let next = own.position >> self.shift;
        // ORDERING: none needed: the producer that claims the next position that uses this entry
        // comes after this (Q3).
        self.entry(wrapped(next - 1)).store(ptr::null_mut(), Relaxed);
        // No producer has claimed a position of the block `fresh`; or one has by now, and may be
        // faster.
        let pending = claimed.wrapping_sub(wrapped(own.position)) & COUNT;
        let fresh = next + u64::from(pending).div_ceil(self.places() as u64);
        let spare = (MAX_SPARE >> self.shift).max(1);
        // The entry of the block that was passed is free; those of later blocks are not.
        let end = (fresh + spare).min(next + self.entries.len() as u64);
        let first = own.ahead.max(fresh);
        let mut is_placed = false;
        for number in (first..end).take(TRIES) {
            own.ahead = number + 1;
            // ORDERING: pairs with the acquiring load in `push`, since the consumer is done with
            // the places.
            let exchanged = self.entry(wrapped(number)).compare_exchange(
                ptr::null_mut(),
                block,
                Release,
                Relaxed,
            );
            is_placed = exchanged.is_ok();
            if is_placed {
                break;
            }
        }
        // SAFETY: the cell is the consumer's.
        self.consumer.own.with_mut(|kept| unsafe { *kept = own });
        if !is_placed {
            // SAFETY: the block has been taken out, and all of its places belong to the consumer
            // (Q4).
            unsafe { self.free(block) };
        }
    }

    /// Returns how many items have been received: a figure, which the receiver alone writes.
    #[inline]
    pub(super) fn received(&self) -> &Figure {
        &self.consumer.received
    }

    /// Returns the next position to be consumed. Consumer only.
    pub(super) fn position(&self) -> u32 {
        // SAFETY: the cell is the consumer's.
        wrapped(self.consumer.own.with(|own| unsafe { (*own).position }))
    }
}

impl<P: Primitives, T> Drop for Queue<P, T> {
    fn drop(&mut self) {
        if P::reporting() {
            return; // it leaks; the process only prints its report
        }
        while let Some(front) = self.front() {
            let item = self.pop(&front, || self.position());
            P::contain(|| drop(item));
        }
        for entry in &self.entries {
            // ORDERING: none needed: `&mut self` says that all uses happen before.
            let block = entry.load(Relaxed);
            if !block.is_null() {
                // SAFETY: `&mut self` is exclusive, and the items have been taken.
                unsafe { self.free(block) };
            }
        }
    }
}

#[cfg(test)]
impl<T> Queue<crate::Std, T> {
    /// Makes the position what it would be if this many had been consumed.
    pub(super) fn set_position(&self, position: u64) {
        // SAFETY: the cell is the consumer's.
        self.consumer.own.with_mut(|own| unsafe {
            (*own).position = position;
            (*own).ahead = position >> self.shift;
        });
    }

    /// Returns how many places the blocks have together.
    pub(super) fn places_in_blocks(&self) -> usize {
        let blocks = self.entries.iter().filter(|entry| !entry.load(Relaxed).is_null());
        blocks.count() * self.places()
    }
}
