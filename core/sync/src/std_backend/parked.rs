//! Sleeping on a word where the system has no futex, by a table of std's locks and condition
//! variables.
//!
//! **Contract.** That of [`crate::Futex`]: the comparison and the sleep are one step with regard to
//! [`wake`]. A word has a *bucket*, by its address; words may share one. A wake takes the sleepers
//! of its word off the bucket's list, those that have slept longest first.
//!
//! ```text
//!   BUCKETS   [ lock: sleepers (address, number), oldest first | condition variable ] . . .
//! ```
//!
//! **Invariants.**
//! - K1 A thread compares its word and enters the list under the bucket's lock, and sleeps until
//!   its entry has been taken out, or its time is over; then it takes the entry out itself.
//! - K2 A wake takes the lock after the word has been changed, by the caller. If a sleeper compared
//!   before, its entry is there; if later, the lock orders the change before its comparison. So no
//!   wake is lost.
//! - K3 A number is given once in a bucket: an entry that is missing has been taken out by a wake.
//!
//! No word is touched after its thread has returned: the table holds addresses and no references,
//! and an address that is used again merely shares a bucket with what is left of the former one,
//! which is nothing (K1).

use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::primitives::WaitOutcome;

/// Words of threads that run at once seldom share a bucket.
const BUCKETS: usize = 64;

struct Bucket {
    sleepers: Mutex<Sleepers>,
    /// All who sleep in this bucket are told of each wake, and look for their entries.
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

    /// No code of others runs under the lock, so a panic leaves the list whole.
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

/// As [`crate::Futex::wait`].
pub(super) fn wait(word: &AtomicU32, expected: u32) {
    let _ = sleep(word, expected, None);
}

/// As [`crate::Futex::wait_timeout`].
pub(super) fn wait_timeout(word: &AtomicU32, expected: u32, timeout: Duration) -> WaitOutcome {
    // A moment that the clock cannot hold is waited for without end.
    sleep(word, expected, Instant::now().checked_add(timeout))
}

fn sleep(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> WaitOutcome {
    let address = address(word);
    let bucket = Bucket::of(address);
    let mut sleepers = bucket.lock();
    // ORDERING: none needed, the lock orders it (K2).
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

/// As [`crate::Futex::wake`].
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
