//! What a protocol counts and notes over all threads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The counts and moments; a clone is another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Counts(pub(super) Arc<Counters>);

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) slots: AtomicU64,
    pub(super) replayed: AtomicU64,
    pub(super) checked: AtomicU64,
    verified: AtomicU64,
    batches: AtomicU64,
    moments: Mutex<Moments>,
}

/// When the steps of a proposal were done, since [`Counts::take_moments`] was called last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// The first attestation was weighed for a block.
    pub packing: Option<Instant>,
    /// The last block began to be produced from what was packed, and was there.
    pub production: Option<(Instant, Instant)>,
    /// The last block with its signatures began to be applied, and was.
    pub transition: Option<(Instant, Instant)>,
}

/// The counts at one moment, or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Slots that states were advanced by, those of blocks included.
    pub slots: u64,
    /// Blocks that were applied without their signatures: they had been verified before.
    pub replayed: u64,
    /// Blocks that were applied with their signatures, whatever came of it.
    pub checked: u64,
    /// Attestations that were verified, whatever came of it.
    pub verified: u64,
    /// Calls that verified them, each of which may verify signatures together.
    pub batches: u64,
}

impl Counts {
    /// Counts attestations that are verified by one call.
    pub(super) fn verifies(&self, attestations: usize) {
        self.0.verified.fetch_add(attestations as u64, Relaxed);
        self.0.batches.fetch_add(u64::from(attestations > 0), Relaxed);
    }

    pub(super) fn moments(&self) -> MutexGuard<'_, Moments> {
        self.0.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what was noted, and forgets it.
    pub fn take_moments(&self) -> Moments {
        std::mem::take(&mut *self.moments())
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn work(&self) -> Work {
        // ORDERING: relaxed; the counts are figures for a report, read while the services rest.
        let counters = &self.0;
        Work {
            slots: counters.slots.load(Relaxed),
            replayed: counters.replayed.load(Relaxed),
            checked: counters.checked.load(Relaxed),
            verified: counters.verified.load(Relaxed),
            batches: counters.batches.load(Relaxed),
        }
    }
}

impl Work {
    /// Returns what was done since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            slots: self.slots.saturating_sub(earlier.slots),
            replayed: self.replayed.saturating_sub(earlier.replayed),
            checked: self.checked.saturating_sub(earlier.checked),
            verified: self.verified.saturating_sub(earlier.verified),
            batches: self.batches.saturating_sub(earlier.batches),
        }
    }
}
