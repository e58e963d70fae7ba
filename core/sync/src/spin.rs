//! Looking again for a moment before falling asleep.
//!
//! A peer that runs on another core is often a few hundred nanoseconds away, and a sleep with its
//! wake-up costs some microseconds on both sides. A waiter that only looks is not registered, so
//! nobody wakes it. The looks double their distance, then they yield; on a machine with one core,
//! and in the checkers, there are none ([`Primitives::looks`]): there, a look is no different from
//! the two that every wait has.
//!
//! **Pace.** Where items come in a stream, to look at once is to find one item, and to fetch its
//! cache line from a sender that is about to write the next item into it: both ends then go at the
//! pace of the line. A receiver that pauses first finds some dozens. Where items come one by one,
//! each an answer to the one before, a pause only delays them. A [`Pace`] tells them apart by how
//! much came through since the wait before, and tries a pause now and then, because a stream that
//! is looked at too often never shows itself. It decides when to look and nothing else; checkers,
//! which have no use for it, see it do nothing.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::primitives::Primitives;

/// Looks that pause the processor, each twice as long as the one before; the later ones yield.
const SPINS: u32 = 7;

/// Processor pauses before the first look at a stream: some hundred nanoseconds.
const PAUSE: u32 = 64;
/// Items between two waits that make a stream.
const STREAM: u64 = 4;
/// One wait in so many pauses, stream or not.
const TRIAL: u64 = 64;

/// What an end of a channel knows of how items come; see the module's text.
#[derive(Default)]
pub(crate) struct Pace {
    /// Items that had passed when this end waited last.
    passed: AtomicU64,
    /// Waits so far.
    waits: AtomicU64,
}

impl Pace {
    /// Returns `condition` with a pause, and a second evaluation, the first time that it fails.
    /// `passed` is how many items have passed.
    #[inline]
    pub(crate) fn paced<P: Primitives, R>(
        &self,
        passed: impl Fn() -> u64,
        mut condition: impl FnMut() -> Option<R>,
    ) -> impl FnMut() -> Option<R> {
        let mut first = true;
        move || {
            let result = condition();
            if result.is_some() || !core::mem::take(&mut first) || !self.pause::<P>(passed()) {
                return result;
            }
            condition()
        }
    }

    /// Pauses if the items come in a stream; returns whether it did. `passed` as in `paced`.
    #[cold]
    #[inline(never)]
    pub(crate) fn pause<P: Primitives>(&self, passed: u64) -> bool {
        if P::looks() == 0 {
            return false;
        }
        // ORDERING: none needed in this function: these are figures, and ends that share them only
        // guess.
        let since = passed.wrapping_sub(self.passed.load(Relaxed));
        let waits = self.waits.load(Relaxed).wrapping_add(1);
        self.passed.store(passed, Relaxed);
        self.waits.store(waits, Relaxed);
        let pauses = since >= STREAM || waits.is_multiple_of(TRIAL);
        if pauses {
            (0..PAUSE).for_each(|_| core::hint::spin_loop());
        }
        pauses
    }
}

/// Evaluates `condition` until it holds, at most [`Primitives::looks`] times.
#[inline]
pub(crate) fn look_again<P: Primitives, R>(mut condition: impl FnMut() -> Option<R>) -> Option<R> {
    for look in 0..P::looks() {
        if look < SPINS {
            (0..1_u32 << look).for_each(|_| core::hint::spin_loop());
        } else {
            P::yield_now();
        }
        if let Some(result) = condition() {
            return Some(result);
        }
    }
    None
}
