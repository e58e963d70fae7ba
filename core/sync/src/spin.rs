//! Looking again for a moment before falling asleep.
//!
//! A peer that runs on another core is often a few hundred nanoseconds away, and a sleep with its wake-up
//! costs some microseconds on both sides. A waiter that only looks is not registered, so nobody wakes it.
//! The looks double their distance, then they yield; on a machine with one core, and in the checkers, there are none
//! ([`Primitives::looks`]): there, a look is no different from the two that every wait has.

use crate::primitives::Primitives;

/// Looks that pause the processor, each twice as long as the one before; the later ones yield.
const SPINS: u32 = 7;

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
