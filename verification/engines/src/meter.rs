//! A meter of how much the engines have looked at, for progress displays.
//!
//! There is one figure for all checks of the process. It counts executions of loom, of shuttle and
//! on threads, and states of the stepped backend and of models.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

// ORDERING: pairs with nothing; it is a figure for a person to look at.
static LOOKED_AT: AtomicU64 = AtomicU64::new(0);

/// Returns how many executions and states have been looked at since the process began.
#[must_use]
pub fn looked_at() -> u64 {
    LOOKED_AT.load(Relaxed)
}

/// Counts one more execution or state.
#[inline]
pub(crate) fn count() {
    LOOKED_AT.fetch_add(1, Relaxed);
}
