//! Sleeping on a word where the system has no futex, with a table of std's locks and condition
//! variables.
//!
//! **Contract.** It is that of [`crate::Futex`]: the comparison and the sleep are one atomic step
//! with respect to [`wake`]. A word's address determines its *bucket*; words may share one. A wake
//! takes sleepers of its word off the bucket's list, those that have slept longest first.
//!
//! ```text
//!   BUCKETS   [ lock: sleepers (address, number), oldest first | condition variable ] . . .
//! ```
//!
//! **Invariants.**
//! - K1 A thread compares its word and enters the list under the bucket's lock. It sleeps until its
//!   entry has been taken out, or until its time is up; in the latter case it takes the entry out
//!   itself.
//! - K2 A wake takes the lock after its caller has changed the word. If a sleeper compared under
//!   the lock before, its entry is there. If it compares later, the lock orders the change before
//!   the comparison. So no wake is lost.
//!   The same lock orders what precedes a wake before the return of the sleeper whose entry it has
//!   taken out.
//! - K3 A number is given only once in a bucket: an entry that is missing has been taken out by a
//!   wake.
//!
//! No word is touched after its thread has returned: the table holds addresses, not references. An
//! address that is used again finds nothing left of its former use (K1).

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::primitives::WaitOutcome;

/// Large enough that words of threads that run at the same time seldom share a bucket.
const BUCKETS: usize = 64;

struct Bucket {
    sleepers: Mutex<Sleepers>,
    /// All threads that sleep in this bucket are notified of each wake, and look for their entries.
    changed: Condvar,
}

struct Sleepers {
    /// Addresses and numbers (K3), the oldest first.
    entries: Vec<(usize, u64)>,
    next_number: u64,
}

static TABLE: [Bucket; BUCKETS] = [const {
    Bucket {
        sleepers: Mutex::new(Sleepers { entries: Vec::new(), next_number: 0 }),
        changed: Condvar::new(),
    }
}; BUCKETS];

fn address(word: &AtomicU32) -> usize {
    core::ptr::from_ref(word).addr()
}

impl Bucket {
    /// Returns the bucket of an address: neighbours in memory have different ones.
    fn of(address: usize) -> &'static Self {
        &TABLE[(address / align_of::<AtomicU32>()) % BUCKETS]
    }

    /// No foreign code runs under the lock, so a panic leaves the list intact.
    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sleepers {
    /// Returns whether an entry is still there.
    fn has(&self, number: u64) -> bool {
        self.entries.iter().any(|entry| entry.1 == number)
    }
}

/// See [`crate::Futex::wait`].
pub(super) fn wait(word: &AtomicU32, expected: u32) {
    let _ = sleep(word, expected, None);
}

/// See [`crate::Futex::wait_timeout`].
pub(super) fn wait_timeout(word: &AtomicU32, expected: u32, timeout: Duration) -> WaitOutcome {
    // If the clock cannot represent the moment, the wait is unlimited.
    sleep(word, expected, Instant::now().checked_add(timeout))
}

fn sleep(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> WaitOutcome {
    let address = address(word);
    let bucket = Bucket::of(address);
    let mut sleepers = bucket.lock();
    // ORDERING: none needed; the lock orders it (K2).
    if word.load(Relaxed) != expected {
        return WaitOutcome::Woken;
    }
    let number = sleepers.next_number;
    sleepers.next_number += 1;
    sleepers.entries.push((address, number));
    while sleepers.has(number) {
        let Some(deadline) = deadline else {
            sleepers = bucket.changed.wait(sleepers).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            sleepers.entries.retain(|entry| entry.1 != number); // K1
            return WaitOutcome::TimedOut;
        }
        let waited = bucket.changed.wait_timeout(sleepers, left);
        sleepers = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    WaitOutcome::Woken
}

/// See [`crate::Futex::wake`].
pub(super) fn wake(word: &AtomicU32, count: u32) {
    let address = address(word);
    let bucket = Bucket::of(address);
    let mut left = count;
    bucket.lock().entries.retain(|entry| {
        let wakes = left > 0 && entry.0 == address;
        left -= u32::from(wakes);
        !wakes
    });
    if left < count {
        bucket.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
