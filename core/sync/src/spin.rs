//! Looking again for a moment before falling asleep.
//!
//! A peer that runs on another core is often a few hundred nanoseconds away, and a sleep with its
//! wake-up costs some microseconds on both sides, in a virtual machine some dozens. A waiter that
//! only looks is not registered, so nobody wakes it. On a machine with one core, and in the
//! checkers, there are no such looks ([`Primitives::looks`]): there, a look is no different from
//! the two that every wait has.
//!
//! **Patience.** Between two looks the processor pauses. How many pauses a wait may spend is what the
//! last waits at the same place were worth: towards four times what was needed, where a look found
//! something, and less by a quarter where none did. One fruitless wait in [`RARE`] is given the most,
//! because a place where both sides sleep looks, from either, as if it could not be otherwise.
//!
//! **Stepping aside.** Then the waiter lets others have its core a few times, for the peer may be
//! waiting for that one; but only as long as the core comes back at once
//! ([`Primitives::step_aside`]). Beside other busy threads it does not, and a sleep is better: who
//! is woken preempts, who has yielded waits for its turn.
//!
//! **Pace.** Where items come in a stream, to look at once is to find one item, and to fetch its
//! cache line from a sender that is about to write the next item into it: both ends then go at the
//! pace of the line. A receiver that pauses first finds some dozens or hundreds. Where items come
//! one by one, each an answer to the one before, a pause only delays them. A [`Pace`] tells them
//! apart by how much came through since the wait before, and tries a pause now and then, because a
//! stream that is looked at too often never shows itself. It makes the pause so long that half of what
//! the channel holds to twice as much comes through from wait to wait, up to [`LONGEST_PAUSE`]. It
//! decides when to look and nothing else; checkers, which have no use for it, see it do nothing.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::primitives::Primitives;

/// Pauses between two looks double up to so many.
const LONGEST: u32 = 64;
/// One wait in vain in so many tries the most patience.
const RARE: u32 = 512;

/// Processor pauses before the first look at a stream: some hundred nanoseconds to some
/// microseconds.
const SHORTEST_PAUSE: u32 = 64;
const LONGEST_PAUSE: u32 = 512;
/// Items between two waits that make a stream.
const STREAM: u64 = 4;
/// One wait in so many tries a pause, stream or not.
const TRIAL: u32 = 64;

/// What an end of a channel knows of how items come; see the module's text.
#[derive(Default)]
pub(crate) struct Pace {
    /// Items that had passed when this end waited last.
    passed: AtomicU64,
    /// Waits so far.
    waits: AtomicU32,
    /// How long the last pause was.
    pauses: AtomicU32,
}

impl Pace {
    /// Returns `condition` with a pause, and a second evaluation, the first time that it fails.
    /// `passed` is how many items have passed, of which the channel holds `capacity`.
    #[inline]
    pub(crate) fn paced<P: Primitives, R>(
        &self,
        capacity: usize,
        passed: impl Fn() -> u64,
        mut condition: impl FnMut() -> Option<R>,
    ) -> impl FnMut() -> Option<R> {
        let mut first = true;
        move || {
            let result = condition();
            if result.is_some()
                || !core::mem::take(&mut first)
                || !self.pause::<P>(capacity, passed())
            {
                return result;
            }
            condition()
        }
    }

    /// Pauses if the items come in a stream; returns whether it did. The arguments are as in
    /// `paced`.
    #[cold]
    #[inline(never)]
    pub(crate) fn pause<P: Primitives>(&self, capacity: usize, passed: u64) -> bool {
        if !P::looks() {
            return false;
        }
        // ORDERING: none needed in this function: these are figures, and ends that share them only
        // guess.
        let since = passed.wrapping_sub(self.passed.load(Relaxed));
        let waits = self.waits.load(Relaxed).wrapping_add(1);
        self.passed.store(passed, Relaxed);
        self.waits.store(waits, Relaxed);
        let is_stream = since >= STREAM;
        if is_stream || waits.is_multiple_of(TRIAL) {
            let last = self.pauses.load(Relaxed);
            let next = match since {
                _ if !is_stream => SHORTEST_PAUSE,
                _ if since < capacity as u64 / 2 => 2 * last,
                _ if since > 2 * capacity as u64 => last / 2,
                _ => last,
            };
            let next = next.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            self.pauses.store(next, Relaxed);
            (0..next).for_each(|_| core::hint::spin_loop());
            return true;
        }
        false
    }
}

/// How long the waits at one place look before they sleep; see the module's text. One word, a figure
/// that orders nothing: waits that share it only guess.
pub(crate) struct Patience(AtomicU32);

/// What the word holds, from below: 16 bits, 6 bits, 10 bits.
#[derive(Clone, Copy)]
struct Budget {
    /// Processor pauses.
    pauses: u32,
    /// Steps aside.
    steps: u32,
    /// Waits that looked in vain since the last trial.
    misses: u32,
}

impl Budget {
    /// Some hundred nanoseconds, to some dozen microseconds.
    const PAUSES: (u32, u32) = (16, 512);
    /// A microsecond or two, to some ten.
    const STEPS: (u32, u32) = (4, 32);

    const fn word(self) -> u32 {
        self.pauses | self.steps << 16 | self.misses << 22
    }
    const fn new(word: u32) -> Self {
        Self { pauses: word & 0xffff, steps: word >> 16 & 0x3f, misses: word >> 22 }
    }
    /// A look found something after so many pauses.
    fn paused(self, spent: u32) -> Self {
        let pauses = self.pauses - self.pauses / 8 + spent.div_ceil(2);
        Self { pauses: pauses.min(Self::PAUSES.1), ..self }
    }
    /// A look found something only after a step aside.
    fn stepped(self) -> Self {
        let pauses = (self.pauses - self.pauses / 4).max(Self::PAUSES.0);
        Self { pauses, steps: Self::STEPS.1, ..self }
    }
    /// No look found anything.
    fn missed(self) -> Self {
        if self.misses + 1 == RARE {
            return Self { pauses: Self::PAUSES.1, steps: Self::STEPS.1, misses: 0 };
        }
        let pauses = (self.pauses - self.pauses / 4).max(Self::PAUSES.0);
        let steps = (self.steps - 1).max(Self::STEPS.0);
        Self { pauses, steps, misses: self.misses + 1 }
    }
}

impl Patience {
    /// For a place where threads wait again and again.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(Budget { pauses: 16, steps: 32, misses: 0 }.word()))
    }
    /// For a wait that comes once.
    pub(crate) const fn once() -> Self {
        Self(AtomicU32::new(Budget { pauses: 128, steps: 4, misses: 0 }.word()))
    }

    /// Evaluates `condition` until it holds or the patience is at an end.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_again<P: Primitives, R>(
        &self,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        if !P::looks() {
            return None;
        }
        // ORDERING: none needed here and in `keep`, a figure.
        let budget = Budget::new(self.0.load(Relaxed));
        let (mut spent, mut step) = (0, 1);
        while spent < budget.pauses {
            (0..step).for_each(|_| core::hint::spin_loop());
            spent += step;
            step = (2 * step).min(LONGEST);
            if let Some(result) = condition() {
                self.keep(budget.paused(spent));
                return Some(result);
            }
        }
        for _ in 0..budget.steps {
            if !P::step_aside() {
                break;
            }
            if let Some(result) = condition() {
                self.keep(budget.stepped());
                return Some(result);
            }
        }
        self.keep(budget.missed());
        None
    }

    fn keep(&self, budget: Budget) {
        self.0.store(budget.word(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Patience, RARE};

    fn fresh() -> Budget {
        Budget::new(Patience::new().0.into_inner())
    }

    #[test]
    fn looks_that_find_something_are_worth_more() {
        let budget = (0..100).fold(fresh(), |budget, _| budget.paused(40));
        assert!((100..=160).contains(&budget.pauses), "{}: four times 40", budget.pauses);
        let budget = (0..100).fold(budget, |budget, _| budget.paused(u32::from(u16::MAX)));
        assert_eq!(budget.pauses, Budget::PAUSES.1);
        assert_eq!(Budget::new(budget.word()).word(), budget.word());
    }

    #[test]
    fn looks_in_vain_are_worth_less_and_a_trial_is_rare() {
        let mut budget = Budget { pauses: Budget::PAUSES.1, ..fresh() };
        for wait in 1..RARE {
            budget = Budget::new(budget.missed().word());
            assert!(budget.pauses < Budget::PAUSES.1, "a trial after {wait}");
        }
        assert_eq!((budget.pauses, budget.steps), (Budget::PAUSES.0, Budget::STEPS.0));
        let trial = budget.missed();
        assert_eq!((trial.pauses, trial.steps), (Budget::PAUSES.1, Budget::STEPS.1));
        assert_eq!(trial.stepped().steps, Budget::STEPS.1);
    }
}
