//! An event count: threads sleep until a condition that they evaluate themselves may have changed.
//!
//! **Contract.** The condition lives elsewhere (a queue, a flag). Who makes it true *publishes first
//! and notifies afterwards*; the other order loses wake-ups. Who needs it registers
//! ([`EventNotifier::prepare`]), evaluates the condition *again*, and then sleeps ([`Token::wait`]) or
//! drops the token, which cancels. [`EventNotifier::wait_until`] does these steps in this order.
//!
//! | call | effect | blocks |
//! |---|---|---|
//! | `prepare` | registers, remembers the epoch | no |
//! | `Token::wait` | sleeps while the epoch is the remembered one | until a notification that follows `prepare` |
//! | drop of a `Token` | unregisters | no |
//! | `notify_one` | if anyone is registered: moves the epoch, wakes at least one sleeper | no |
//! | `notify_many(n)` | the same for `n` sleepers | no |
//! | `notify_all` | the same for all of them | no |
//!
//! **Which waiter a notification is for.** Every token prepared before a notification moved the epoch
//! ends its wait, or never begins it, if it is still awake; of those already asleep `notify_one` wakes
//! one. Hence the two rules for clients of `notify_one`:
//! - R1 All registered threads wait for the same kind of thing, so that any of them can act on it.
//!   Otherwise use `notify_all`.
//! - R2 A thread whose wait ended with [`WaitOutcome::Woken`] evaluates the condition before it gives
//!   up. If it cannot, it calls `notify_one` itself. The helpers of this file obey R2, on time-outs too.
//!
//! **Invariants.**
//! - I1 `waiters` is the number of live tokens; each adds one before it reads the epoch and subtracts
//!   one when dropped.
//! - I2 The epoch is the futex word, and only notifications change it: comparing and going to sleep are
//!   one step, so a notification between `prepare` and the sleep prevents the sleep.
//! - I3 A cancel loses no notification that another waiter needs: a notification is taken away from the
//!   others only by a thread that it wakes *in the futex*, and such a thread finds the epoch moved and
//!   returns `Woken` (R2). A token that has not slept takes nothing. A sleeper that registered after
//!   the epoch moved, but was woken by that notification's `wake` all the same, goes back to sleep: its
//!   second look at the condition came after the move and saw all that was published before it, so
//!   nothing was left for anybody else.
//! - I4 `waiters` stays below 2^31: [`EventNotifier::prepare`] asserts it.
//!
//! The epoch wraps: a thread that is suspended between `prepare` and its sleep for exactly 2^32
//! notifications, none more, none fewer, sleeps through them.
//!
//! **Memory order.** There are two SeqCst fences, (W) in `prepare` and (N) in the notification, and no
//! ordered access. In their single total order either (N) comes first: then the waiter's second look,
//! which follows (W), sees what was published before (N). Or (W) comes first: then the notifier's look
//! at `waiters`, which follows (N), sees the registration, and it moves the epoch. If the waiter read
//! the moved epoch already in `prepare`, then (N), standing before the move, and (W), standing after
//! the read, synchronise as release and acquire fences: again the second look sees the publication.
//! So the condition itself may be written and read relaxed.
//!
//! Reference: the "event count" of D. P. Reed and R. K. Kanodia, *Synchronization with Eventcounts and
//! Sequencers* (1979); the futex form needs no lock.

use core::fmt;
use core::time::Duration;

use crate::primitives::Ordering::{Relaxed, SeqCst};
use crate::primitives::{Atomic, Futex, Primitives, WaitOutcome};
use crate::spin::look_again;

/// The largest number of threads that may be registered at once (I4).
pub const MAX_WAITERS: u32 = 1 << 31;

/// An event count; see the module's text.
///
/// The thread that notifies may still be about to wake sleepers when a woken thread returns: keep a
/// notifier in a `P::Arc` (or a static) that both hold.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use blocksmith_sync::EventNotifier;
///
/// static READY: AtomicBool = AtomicBool::new(false);
/// static CHANGED: EventNotifier = EventNotifier::new_static();
///
/// let setter = std::thread::spawn(|| {
///     READY.store(true, Ordering::Relaxed); // publish,
///     CHANGED.notify_one(); // then notify
/// });
/// CHANGED.wait_until(|| READY.load(Ordering::Relaxed).then_some(()));
/// setter.join().unwrap();
/// ```
pub struct EventNotifier<P: Primitives> {
    /// Counts the notifications that met a waiter; threads sleep on it (I2).
    epoch: P::Futex,
    /// Live tokens (I1).
    waiters: P::AtomicU32,
}

impl<P: Primitives> EventNotifier<P> {
    /// Returns a notifier without waiters. For a static see [`EventNotifier::new_static`].
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: Atomic::new(0), waiters: Atomic::new(0) }
    }

    /// Registers the calling thread as a waiter. Evaluate the condition again before you
    /// [`Token::wait`]; drop the token to cancel. Does not block.
    ///
    /// # Panics
    /// If [`MAX_WAITERS`] are registered already.
    #[inline]
    pub fn prepare(&self) -> Token<'_, P> {
        // ORDERING: fence (W) orders the registration before the caller's second look.
        let others = self.waiters.fetch_add(1, Relaxed);
        assert!(others < MAX_WAITERS, "more than 2^31 waiters");
        // ORDERING: read before fence (W), which therefore is the acquire half for this load.
        let epoch = self.epoch.load(Relaxed);
        // ORDERING: fence (W), pairs with fence (N) in `notify_many`.
        P::fence(SeqCst);
        Token { notifier: self, epoch }
    }

    /// Wakes at least one of the threads that sleep, if any thread is registered. Call it *after*
    /// publishing what they wait for. Rules R1 and R2 of the module apply. Does not block.
    #[inline]
    pub fn notify_one(&self) {
        self.notify_many(1);
    }

    /// Wakes all threads that are registered. Call it *after* publishing. Does not block.
    #[inline]
    pub fn notify_all(&self) {
        self.notify_many(u32::MAX);
    }

    /// Wakes at least `count` of the threads that sleep (all, if they are fewer): for a publication
    /// that `count` of them can act on. Call it *after* publishing. Does not block.
    #[inline]
    pub fn notify_many(&self, count: u32) {
        // ORDERING: fence (N), pairs with fence (W) in `prepare`.
        P::fence(SeqCst);
        // ORDERING: fence (N) stands between the publication and this look.
        if self.waiters.load(Relaxed) != 0 {
            self.move_epoch_and_wake(count);
        }
    }

    #[cold]
    #[inline(never)]
    fn move_epoch_and_wake(&self, count: u32) {
        // ORDERING: fence (N), before it, is the release half for a waiter that reads this epoch.
        self.epoch.fetch_add(1, Relaxed);
        self.epoch.wake(count);
    }

    /// Blocks until `condition` returns `Some`, and returns what is in it. Whoever makes the condition
    /// true wakes this thread by a notification. The condition runs at least once, and several times
    /// between sleeps; it must leave nothing behind when it returns `None`.
    #[inline]
    pub fn wait_until<R>(&self, mut condition: impl FnMut() -> Option<R>) -> R {
        let mark = P::mark();
        loop {
            if let Some(result) = condition().or_else(|| look_again::<P, R>(&mut condition)) {
                return result;
            }
            let token = self.prepare();
            if let Some(result) = condition() {
                return result;
            }
            token.wait();
            P::rewind(mark);
        }
    }

    /// Blocks like [`EventNotifier::wait_until`], for at most about `timeout`; `None` says that the
    /// time was over and that the condition, evaluated once more after that, still did not hold.
    pub fn wait_until_timeout<R>(
        &self,
        timeout: Duration,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let deadline = P::now().saturating_add(timeout);
        let mark = P::mark();
        loop {
            if let Some(result) = condition().or_else(|| look_again::<P, R>(&mut condition)) {
                return Some(result);
            }
            let token = self.prepare();
            if let Some(result) = condition() {
                return Some(result);
            }
            match token.wait_timeout(deadline.saturating_sub(P::now())) {
                WaitOutcome::TimedOut => return condition(),
                WaitOutcome::Woken => P::rewind(mark),
            }
        }
    }

    /// Returns the number of threads that are registered at this moment: a figure for reports.
    #[must_use]
    pub fn waiters(&self) -> u32 {
        // ORDERING: none needed, nothing is concluded from it.
        self.waiters.load(Relaxed)
    }
}

impl EventNotifier<crate::Std> {
    /// Returns a notifier without waiters, in a constant context.
    #[must_use]
    pub const fn new_static() -> Self {
        use core::sync::atomic::AtomicU32;
        Self { epoch: AtomicU32::new(0), waiters: AtomicU32::new(0) }
    }
}

impl<P: Primitives> Default for EventNotifier<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Primitives> fmt::Debug for EventNotifier<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventNotifier").finish_non_exhaustive()
    }
}

/// A registration of the calling thread: evaluate the condition again, then wait or drop.
#[must_use = "a token that is dropped at once cancels the wait"]
pub struct Token<'a, P: Primitives> {
    notifier: &'a EventNotifier<P>,
    epoch: u32,
}

impl<P: Primitives> Token<'_, P> {
    /// Sleeps until a notification that follows the `prepare` of this token; returns at once if there
    /// has been one.
    pub fn wait(self) {
        let mark = P::mark();
        while !self.is_notified() {
            self.notifier.epoch.wait(self.epoch);
            P::rewind(mark);
        }
    }

    /// Sleeps like [`Token::wait`], for at most about `timeout`.
    ///
    /// `TimedOut` is returned only by a thread that no notification has woken (I3), `Woken` obliges the
    /// caller to rule R2.
    pub fn wait_timeout(self, timeout: Duration) -> WaitOutcome {
        let deadline = P::now().saturating_add(timeout);
        let mark = P::mark();
        let mut outcome = WaitOutcome::Woken;
        loop {
            if self.is_notified() {
                return WaitOutcome::Woken;
            }
            if outcome == WaitOutcome::TimedOut {
                return outcome;
            }
            let left = deadline.saturating_sub(P::now());
            outcome = self.notifier.epoch.wait_timeout(self.epoch, left);
            if outcome == WaitOutcome::Woken {
                P::rewind(mark);
            }
        }
    }

    fn is_notified(&self) -> bool {
        // ORDERING: the caller's next `prepare` or its second look orders what it reads; a stale value
        // here only leads to the futex, which compares the current one (I2).
        self.notifier.epoch.load(Relaxed) != self.epoch
    }
}

impl<P: Primitives> Drop for Token<'_, P> {
    #[inline]
    fn drop(&mut self) {
        // ORDERING: a read-modify-write acts on the latest count; nothing else depends on it (I1).
        self.notifier.waiters.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Std;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, AtomicUsize};

    type Notifier = EventNotifier<Std>;

    /// Two threads hand a baton to each other ten thousand times; a lost wake-up hangs the test.
    #[test]
    fn every_handover_arrives() {
        let shared = Arc::new((AtomicUsize::new(0), Notifier::new()));
        let other = Arc::clone(&shared);
        let turn = |(count, changed): &(AtomicUsize, Notifier), parity: usize| {
            for _ in 0..10_000 {
                changed.wait_until(|| (count.load(Relaxed) % 2 == parity).then_some(()));
                count.fetch_add(1, Relaxed);
                changed.notify_one();
            }
        };
        let thread = std::thread::spawn(move || turn(&other, 1));
        turn(&shared, 0);
        thread.join().unwrap();
        assert_eq!(shared.0.load(Relaxed), 20_000);
    }

    /// The condition never holds: the call returns `None`, after the time and not before.
    #[test]
    fn a_timed_wait_ends() {
        let notifier = Notifier::new();
        let before = Std::now();
        let found = notifier.wait_until_timeout(Duration::from_millis(5), || None::<()>);
        assert_eq!(found, None);
        assert!(Std::now() - before >= Duration::from_millis(5));
        assert_eq!(notifier.waiters(), 0);
    }

    /// A token prepared before a notification does not sleep, without any timing involved.
    #[test]
    fn a_notification_between_prepare_and_wait_prevents_the_sleep() {
        let notifier = Notifier::new();
        let token = notifier.prepare();
        notifier.notify_one();
        token.wait();
        let token = notifier.prepare();
        notifier.notify_one();
        assert_eq!(token.wait_timeout(Duration::ZERO), WaitOutcome::Woken);
        drop(notifier.prepare());
        assert_eq!(notifier.waiters(), 0);
    }

    /// Eight sleepers, `notify_all` until all have left: each leaves exactly once.
    #[test]
    fn notify_all_releases_every_waiter() {
        static GO: AtomicU32 = AtomicU32::new(0);
        static CHANGED: Notifier = Notifier::new_static();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(|| {
                    CHANGED.wait_until(|| (GO.load(Relaxed) == 1).then_some(()));
                })
            })
            .collect();
        GO.store(1, Relaxed);
        CHANGED.notify_all();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(CHANGED.waiters(), 0);
    }
}
