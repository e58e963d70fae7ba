//! Sleeping on a word with the Linux futex.

use core::sync::atomic::AtomicU32;
use core::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex;

use crate::primitives::WaitOutcome;

/// See [`crate::Futex::wait`].
#[inline]
pub(super) fn wait(word: &AtomicU32, expected: u32) {
    // Woken, value differs, interrupted: the caller's loop handles them all.
    let _ = futex::wait(word, futex::Flags::PRIVATE, expected, None);
}

/// See [`crate::Futex::wait_timeout`].
#[inline]
pub(super) fn wait_timeout(word: &AtomicU32, expected: u32, timeout: Duration) -> WaitOutcome {
    // For a span that the kernel's clock cannot hold (some 292 billion years), the wait is
    // unlimited.
    let timeout = futex::Timespec::try_from(timeout).ok();
    match futex::wait(word, futex::Flags::PRIVATE, expected, timeout.as_ref()) {
        Err(Errno::TIMEDOUT) => WaitOutcome::TimedOut,
        _ => WaitOutcome::Woken,
    }
}

/// See [`crate::Futex::wake`].
#[inline]
pub(super) fn wake(word: &AtomicU32, count: u32) {
    // The kernel reads a signed count. Waking cannot fail on a live private word. What precedes the
    // call happens before the sleeper's return: the kernel takes the sleeper off its queue under a
    // lock, and makes it runnable by operations that order memory.
    let _ = futex::wake(word, futex::Flags::PRIVATE, count.min(i32::MAX as u32));
}
