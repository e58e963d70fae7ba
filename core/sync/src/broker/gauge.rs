//! Figures of a queue that is not a mailbox.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::counters::Counters;

/// Counts what goes through a queue, a set or a table that is not a channel of this crate, so that
/// the broker can watch it. Like all counters it orders nothing, and a checker has no reason to
/// interleave it.
///
/// ```
/// use blocksmith_sync::broker::Gauge;
///
/// let gauge = Gauge::new(8);
/// gauge.accepted(3);
/// gauge.received(1);
/// let counters = gauge.counters();
/// assert_eq!((counters.depth, counters.high_water, counters.capacity), (2, 3, 8));
/// ```
#[derive(Debug)]
pub struct Gauge {
    capacity: u64,
    accepted: AtomicU64,
    received: AtomicU64,
    refused: AtomicU64,
    evicted: AtomicU64,
    high_water: AtomicU64,
}

impl Gauge {
    /// Returns a gauge of something empty that can hold `capacity` items.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            capacity: capacity as u64,
            accepted: zero(),
            received: zero(),
            refused: zero(),
            evicted: zero(),
            high_water: zero(),
        }
    }

    // ORDERING: none needed from here on: nothing is concluded from these figures.
    /// Records that items came in.
    pub fn accepted(&self, items: u64) {
        self.accepted.fetch_add(items, Relaxed);
        self.high_water.fetch_max(self.counters().depth, Relaxed);
    }

    // ORDERING: as above.
    /// Records that items went out to be handled.
    pub fn received(&self, items: u64) {
        self.received.fetch_add(items, Relaxed);
    }

    /// Records that items were not taken in.
    pub fn refused(&self, items: u64) {
        self.refused.fetch_add(items, Relaxed);
    }

    /// Records that items went out unhandled.
    pub fn evicted(&self, items: u64) {
        self.evicted.fetch_add(items, Relaxed);
    }

    /// Returns the figures. They are read one after the other, so they may differ by what passes
    /// meanwhile.
    // ORDERING: as above.
    #[must_use]
    pub fn counters(&self) -> Counters {
        // What went out is read first, so that the depth is not too small.
        let (received, evicted) = (self.received.load(Relaxed), self.evicted.load(Relaxed));
        let sent = self.accepted.load(Relaxed).max(received + evicted);
        Counters {
            depth: sent - received - evicted,
            sent,
            received,
            refused: self.refused.load(Relaxed),
            evicted,
            high_water: self.high_water.load(Relaxed),
            capacity: self.capacity,
        }
    }
}
