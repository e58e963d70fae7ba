//! Figures about a channel, for reports and load decisions.
//!
//! They are std's atomics, and deliberately not those of [`crate::Primitives`]: they order nothing,
//! no decision of a channel depends on them, and a checker has no reason to interleave them.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

/// What has passed through a channel. The figures are read without locks, field by field: while the
/// channel is in use, the fields may be some items apart. `sent == received + evicted + depth`
/// always holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Items accepted and not yet received, replies included.
    pub depth: u64,
    /// Items accepted, replies included.
    pub sent: u64,
    /// Items received.
    pub received: u64,
    /// Sends that ended with `Full` or `Timeout`.
    pub refused: u64,
    /// Items handed back to make room for newer ones.
    pub evicted: u64,
    /// The largest depth seen right after an item was accepted. In a mailbox that blocks, credits
    /// that the receiver has not returned yet count as items here, so the figure may be up to an
    /// eighth of the capacity too high. In [`crate::spsc`] and [`crate::mpmc`] it is the largest
    /// depth that an end saw when it looked at the other's index. That is at most the true depth,
    /// but a full channel is always seen.
    pub high_water: u64,
    /// The number of items that the channel can hold, not counting reply slots.
    pub capacity: u64,
}

/// The figures of a channel with several writers. Sent items are not counted: their number follows
/// from the rest, so a sender has nothing to write. Receivers count the received items, on a cache
/// line that senders do not read.
#[derive(Default)]
pub(crate) struct Counts {
    high_water: AtomicU64,
    refused: AtomicU64,
    evicted: AtomicU64,
}

// ORDERING: none needed in this block; nothing is concluded from these figures.
impl Counts {
    /// Records that the channel was seen `depth` deep.
    #[inline]
    pub(crate) fn depth_seen(&self, depth: u64) {
        if depth > self.high_water.load(Relaxed) {
            self.high_water.fetch_max(depth, Relaxed);
        }
    }
    pub(crate) fn refused(&self, count: u64) {
        self.refused.fetch_add(count, Relaxed);
    }
    pub(crate) fn evicted(&self) {
        self.evicted.fetch_add(1, Relaxed);
    }
    pub(crate) fn evictions(&self) -> u64 {
        // ORDERING: as above.
        self.evicted.load(Relaxed)
    }
    // ORDERING: as above.
    pub(crate) fn read(&self, received: u64, depth: u64, capacity: u64) -> Counters {
        let evicted = self.evicted.load(Relaxed);
        Counters {
            depth,
            sent: received + evicted + depth,
            received,
            refused: self.refused.load(Relaxed),
            evicted,
            high_water: self.high_water.load(Relaxed),
            capacity,
        }
    }
}

/// One figure with one writer at a time: no read-modify-write, so it costs what a plain field
/// costs.
#[derive(Default)]
pub(crate) struct Figure(AtomicU64);

// ORDERING: none needed in this block; as above.
impl Figure {
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.get().wrapping_add(count), Relaxed);
    }
    pub(crate) fn subtract(&self, count: u64) {
        self.0.store(self.get().wrapping_sub(count), Relaxed);
    }
    pub(crate) fn raise(&self, to: u64) {
        if to > self.get() {
            self.0.store(to, Relaxed);
        }
    }
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        // ORDERING: as above.
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_is_not_counted() {
        // A sender counts a batch before it learns that the channel has been closed.
        let sent = Figure::default();
        sent.add(5);
        sent.subtract(3);
        assert_eq!(sent.get(), 2);
    }
}
