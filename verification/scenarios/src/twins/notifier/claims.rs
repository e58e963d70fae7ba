//! An event count that counts the wakes on their way, with its faults.

use blocksmith_sync::Ordering::{AcqRel, Relaxed, SeqCst};
use blocksmith_sync::{Atomic, Futex, Primitives};

use crate::scenarios::notifier::join;

/// The faults of a notifier that counts the wakes on their way.
mod fault {
    /// A waiter that goes takes no wake off the count.
    pub(super) const KEEPS: u8 = 0;
    /// A waiter reads the epoch after it has registered.
    pub(super) const REGISTERS_FIRST: u8 = 1;
}

/// An event count that counts the wakes on their way, as core's does, with one fault of `fault`. It
/// guards a number of permits.
struct Claims<P: Primitives, const FAULT: u8> {
    epoch: P::Futex,
    /// The number of registrations in the upper half, and of wakes on their way in the lower half.
    waiters: P::AtomicU32,
    count: P::AtomicU32,
}

impl<P: Primitives, const FAULT: u8> Claims<P, FAULT> {
    const WAITER: u32 = 1 << 16;

    fn new() -> P::Arc<Self> {
        let [waiters, count] = [0; 2].map(Atomic::new);
        P::arc(Self { epoch: Atomic::new(0), waiters, count })
    }

    /// Applies a change to the counts. Returns whether there was one, that is, whether `change` did
    /// not return `None`.
    fn change(&self, change: impl Fn(u32) -> Option<u32>) -> bool {
        let mut found = self.waiters.load(Relaxed);
        while let Some(after) = change(found) {
            match self.waiters.compare_exchange(found, after, AcqRel, Relaxed) {
                Ok(_) => return true,
                Err(latest) => found = latest,
            }
        }
        false
    }

    fn put(&self) {
        let mark = P::mark();
        self.count.fetch_add(1, Relaxed);
        P::fence(SeqCst);
        let (waiters, wakes) = (|word| word / Self::WAITER, |word| word % Self::WAITER);
        if self.change(|word| (waiters(word) > wakes(word)).then_some(word + 1)) {
            self.epoch.fetch_add(1, Relaxed);
            self.epoch.wake(1);
        }
        P::checkpoint(mark);
    }

    fn take(&self, permits: u32) -> bool {
        let mut count = self.count.load(Relaxed);
        while count >= permits {
            match self.count.compare_exchange(count, count - permits, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(found) => count = found,
            }
        }
        false
    }

    fn wait_for(&self, permits: u32) {
        let mark = P::mark();
        while !self.take(permits) {
            let mut epoch = self.epoch.load(Relaxed);
            self.waiters.fetch_add(Self::WAITER, AcqRel);
            if FAULT == fault::REGISTERS_FIRST {
                epoch = self.epoch.load(Relaxed);
            }
            P::fence(SeqCst);
            let found = self.take(permits);
            if !found {
                self.epoch.wait(epoch);
            }
            self.change(|word| {
                let wakes = FAULT != fault::KEEPS && word % Self::WAITER > 0;
                Some(word - Self::WAITER - u32::from(wakes))
            });
            if found {
                return;
            }
            P::rewind(mark);
        }
    }
}

/// Lets a producer put two permits, for one waiter that needs both, at once or one after the other.
fn claims<P: Primitives, const FAULT: u8>(waits: &[u32]) {
    let shared = Claims::<P, FAULT>::new();
    let other = shared.clone();
    let producer = P::spawn("producer", move || (0..2).for_each(|_| other.put()));
    waits.iter().for_each(|&permits| shared.wait_for(permits));
    join(producer);
}

/// N7: a waiter that goes takes no wake off the count. The counterpart is
/// `notifier::one_wait_after_another`.
pub fn a_wake_that_stays_counted<P: Primitives>() {
    claims::<P, { fault::KEEPS }>(&[1, 1]);
}

/// N7: a waiter reads the epoch after it has registered. The counterpart is
/// `notifier::a_wake_for_two`.
pub fn an_epoch_read_after_registering<P: Primitives>() {
    claims::<P, { fault::REGISTERS_FIRST }>(&[2]);
}
