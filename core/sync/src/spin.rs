//! Looking again for a moment before falling asleep.
//!
//! A peer that runs on another core often needs only a few hundred nanoseconds, whereas a sleep and
//! its wake-up cost both sides some microseconds, and some dozens in a virtual machine. A waiter
//! that only looks is not registered, so no peer spends a wake on it. On a machine with one core,
//! and in the checkers, there are no such looks ([`Primitives::looks`]): there, they would be no
//! different from the two looks that every wait takes.
//!
//! **Patience.** Between two looks the processor pauses. How many pauses a wait may spend depends
//! on what pauses were worth in the last waits at the same place. Where a look found something, the
//! budget moves towards four times what was needed; where none did, it shrinks by a quarter. One
//! fruitless wait in [`RARE`] is given the most patience, because at a place where both sides
//! sleep, neither can tell that looking would help.
//!
//! **Stepping aside.** After the pauses, the waiter lets others have its core a few times, because
//! the peer may be waiting for that very core. It does so only as long as it gets the core back at
//! once ([`Primitives::step_aside`]). Beside other busy threads it does not, and a sleep is better:
//! a thread that is woken preempts, while one that has yielded waits for its turn.
//!
//! **Pace.** Where items come in a stream, a receiver that looks at once finds one item, and takes
//! that item's cache line away from a sender that is about to write the next item into it. Both
//! ends then run at the pace of that line. A receiver that pauses first finds some dozens or
//! hundreds of items. Where items come one by one, each an answer to the one before, a pause only
//! delays them. A [`Pace`] tells the two cases apart by how many items came through since the
//! previous wait. It also tries a pause now and then, because a stream that is looked at too often
//! never shows itself. It adjusts the length of the pause so that between half of the channel's
//! capacity and twice as much comes through from wait to wait; a pause is never longer than
//! [`LONGEST_PAUSE`]. A `Pace` decides when to look and nothing else; checkers have no use for it,
//! and in them it does nothing.

use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::primitives::Primitives;

/// The number of pauses between two looks doubles up to this.
const LONGEST: u32 = 64;
/// One fruitless wait in this many is given the most patience.
const RARE: u32 = 512;

/// Processor pauses before the first look at a stream: from some hundred nanoseconds to some
/// microseconds.
const SHORTEST_PAUSE: u32 = 64;
const LONGEST_PAUSE: u32 = 512;
/// This many items between two waits make a stream.
const STREAM: u64 = 4;
/// One wait in this many tries a pause, stream or not.
const TRIAL: u32 = 64;

/// What an end of a channel knows about how items arrive; see the module documentation.
#[derive(Default)]
pub(crate) struct Pace {
    /// Items that had passed when this end last waited.
    passed: AtomicU64,
    /// Waits so far.
    waits: AtomicU32,
    /// How long the last pause was.
    pauses: AtomicU32,
}

impl Pace {
    /// Returns `condition` with a pause and a second evaluation the first time that it fails.
    /// `passed` is the number of items that have passed; the channel can hold `capacity` of them.
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

    /// Pauses if the items come in a stream; returns whether it paused. The arguments are as in
    /// `paced`.
    #[cold]
    #[inline(never)]
    pub(crate) fn pause<P: Primitives>(&self, capacity: usize, passed: u64) -> bool {
        if !P::looks() {
            return false;
        }
        // ORDERING: none needed in this function: these are figures, and ends that share them only
        // estimate.
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
            // ORDERING: as above.
            self.pauses.store(next, Relaxed);
            (0..next).for_each(|_| core::hint::spin_loop());
            return true;
        }
        false
    }
}

/// How long the waits at one place look before they sleep; see the module documentation. It is one
/// word, a figure that orders nothing: waits that share it only estimate.
pub(crate) struct Patience(AtomicU32);

/// What the word holds, from the lowest bit: 16 bits, 6 bits, 10 bits.
#[derive(Clone, Copy)]
struct Budget {
    /// Processor pauses.
    pauses: u32,
    /// Steps aside.
    steps: u32,
    /// Waits that looked in vain since the last trial with the most patience.
    misses: u32,
}

impl Budget {
    /// From some hundred nanoseconds to some dozen microseconds.
    const PAUSES: (u32, u32) = (16, 512);
    /// From a microsecond or two to some ten.
    const STEPS: (u32, u32) = (4, 32);

    const fn word(self) -> u32 {
        self.pauses | self.steps << 16 | self.misses << 22
    }
    const fn new(word: u32) -> Self {
        Self { pauses: word & 0xffff, steps: word >> 16 & 0x3f, misses: word >> 22 }
    }
    /// Returns the budget after a look found something with `spent` pauses.
    fn paused(self, spent: u32) -> Self {
        let pauses = self.pauses - self.pauses / 8 + spent.div_ceil(2);
        Self { pauses: pauses.min(Self::PAUSES.1), ..self }
    }
    /// Returns the budget after a look found something only after a step aside.
    fn stepped(self) -> Self {
        let pauses = (self.pauses - self.pauses / 4).max(Self::PAUSES.0);
        Self { pauses, steps: Self::STEPS.1, ..self }
    }
    /// Returns the budget after no look found anything.
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
    /// Returns the patience of a place where threads wait again and again.
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(Budget { pauses: 16, steps: 32, misses: 0 }.word()))
    }
    /// Returns the patience of a wait that comes once.
    pub(crate) const fn once() -> Self {
        Self(AtomicU32::new(Budget { pauses: 128, steps: 4, misses: 0 }.word()))
    }

    /// Evaluates `condition` until it holds or the patience is exhausted.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_again<P: Primitives, R>(
        &self,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        if !P::looks() {
            return None;
        }
        // ORDERING: none needed; it is a figure.
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
        // ORDERING: none needed; it is a figure.
        self.0.store(budget.word(), Relaxed);
    }
}

#[cfg(test)]
mod tests;
