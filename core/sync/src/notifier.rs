//! An event count: threads and tasks sleep until a condition that they evaluate themselves may have
//! changed.
//!
//! **Contract.** The condition lives elsewhere (a queue, a flag). Who makes it true *publishes first
//! and notifies afterwards*; the other order loses wake-ups. Who needs it registers
//! ([`EventNotifier::prepare`]), evaluates the condition *again*, and then sleeps ([`Token::wait`]) or
//! drops the token, which cancels. [`EventNotifier::wait_until`] does these steps in this order. A task
//! does the same by awaiting [`EventNotifier::until`], and cancels by dropping that.
//!
//! | call | effect | blocks |
//! |---|---|---|
//! | `prepare` | registers, remembers the epoch | no |
//! | `Token::wait` | sleeps while the epoch is the remembered one | until a notification that follows `prepare` |
//! | drop of a `Token` | unregisters | no |
//! | `until`, polled | registers the task's waker, evaluates the condition again | no |
//! | drop of an `Until` | unregisters; if it had been chosen, notifies another | no |
//! | `notify_one` | if anyone is registered: moves the epoch, wakes at least one sleeper | no |
//! | `notify_many(n)` | the same for `n` sleepers | no |
//! | `notify_all` | the same for all of them | no |
//!
//! "No" means, where tasks are registered: beyond a lock that others hold for the few instructions of
//! one registration. No waker runs under it, and without tasks nobody takes it.
//!
//! **Which waiter a notification is for.** Every token prepared before a notification moved the epoch
//! ends its wait, or never begins it, if it is still awake; of those already asleep `notify_one` wakes
//! one. Of the tasks it *chooses* the one that has been registered longest. Threads and tasks are counted
//! apart: where both are registered it wakes one of each. Hence the two rules for clients of
//! `notify_one`:
//! - R1 All that are registered wait for the same kind of thing, so that any of them can act on it.
//!   Otherwise use `notify_all`.
//! - R2 A thread whose wait ended with [`WaitOutcome::Woken`], and a task that has been chosen, evaluate
//!   the condition before they give up. If they cannot, they call `notify_one` themselves. The helpers
//!   of this module obey R2, on time-outs and on cancellation too.
//!
//! **Invariants.**
//! - I1 The lower half of `waiters` is the number of live tokens; each adds one before it reads the epoch
//!   and subtracts one when dropped. The upper half is the number of entries in the list of tasks; both
//!   change under the list's lock.
//! - I2 The epoch is the futex word, and only notifications change it: comparing and going to sleep are
//!   one step, so a notification between `prepare` and the sleep prevents the sleep.
//! - I3 A cancel loses no notification that another waiter needs: a notification is taken away from the
//!   others only by a thread that it wakes *in the futex*, and such a thread finds the epoch moved and
//!   returns `Woken` (R2). A token that has not slept takes nothing. A sleeper that registered after
//!   the epoch moved, but was woken by that notification's `wake` all the same, goes back to sleep: its
//!   second look at the condition came after the move and saw all that was published before it, so
//!   nothing was left for anybody else.
//! - I4 Both halves of `waiters` stay below 2^31, so that neither runs over: `prepare` and `until`
//!   assert it.
//! - I5 A task is registered as long as its entry is in the list. A notification chooses it by taking
//!   the entry out, wakes it afterwards, and is then the task's to act on (R2, see `task`).
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
//! So the condition itself may be written and read relaxed. A task that registers passes a fence (W) in
//! the same place; `task` says what holds when it is polled again.
//!
//! Reference: the "event count" of D. P. Reed and R. K. Kanodia, *Synchronization with Eventcounts and
//! Sequencers* (1979); the futex form needs no lock.

mod task;

use core::fmt;
use core::time::Duration;

use crate::primitives::Ordering::{Relaxed, SeqCst};
use crate::primitives::{Atomic, Futex, Mutex, Primitives, WaitOutcome};
use crate::spin::look_again;
use task::Tasks;
pub use task::Until;

/// The largest number of threads, and of tasks, that may be registered at once (I4).
pub const MAX_WAITERS: u32 = 1 << 31;

/// In `waiters`: one thread, and one task.
const THREAD: u64 = 1;
const TASK: u64 = 1 << 32;

const fn threads(waiters: u64) -> u32 {
    (waiters % TASK) as u32
}
const fn tasks(waiters: u64) -> u32 {
    (waiters / TASK) as u32
}

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
    /// Live tokens, and tasks in the list (I1).
    waiters: P::AtomicU64,
    /// Counts the notifications that met a thread; threads sleep on it (I2).
    epoch: P::Futex,
    /// The tasks that wait (I5).
    tasks: P::Mutex<Tasks>,
}

impl<P: Primitives> EventNotifier<P> {
    /// Returns a notifier without waiters. For a static see [`EventNotifier::new_static`].
    #[must_use]
    pub fn new() -> Self {
        Self { waiters: Atomic::new(0), epoch: Atomic::new(0), tasks: Mutex::new(Tasks::NONE) }
    }

    /// Registers the calling thread as a waiter. Evaluate the condition again before you
    /// [`Token::wait`]; drop the token to cancel. Does not block.
    ///
    /// # Panics
    /// If [`MAX_WAITERS`] threads are registered already.
    #[inline]
    pub fn prepare(&self) -> Token<'_, P> {
        // ORDERING: fence (W) orders the registration before the caller's second look.
        let others = self.waiters.fetch_add(THREAD, Relaxed);
        assert!(threads(others) < MAX_WAITERS, "more than 2^31 threads wait");
        // ORDERING: read before fence (W), which therefore is the acquire half for this load.
        let epoch = self.epoch.load(Relaxed);
        // ORDERING: fence (W), pairs with fence (N) in `notify_many`.
        P::fence(SeqCst);
        Token { notifier: self, epoch }
    }

    /// Wakes at least one of the threads and tasks that sleep, if any is registered. Call it *after*
    /// publishing what they wait for. Rules R1 and R2 of the module apply. Does not block.
    #[inline]
    pub fn notify_one(&self) {
        self.notify_many(1);
    }

    /// Wakes all threads and tasks that are registered. Call it *after* publishing. Does not block.
    #[inline]
    pub fn notify_all(&self) {
        self.notify_many(u32::MAX);
    }

    /// Wakes at least `count` of those that sleep (all, if they are fewer): for a publication that
    /// `count` of them can act on. Call it *after* publishing. Does not block.
    #[inline]
    pub fn notify_many(&self, count: u32) {
        // ORDERING: fence (N), pairs with the fences (W) in `prepare` and `register`.
        P::fence(SeqCst);
        // ORDERING: fence (N) stands between the publication and this look.
        let waiters = self.waiters.load(Relaxed);
        if waiters != 0 {
            self.wake(waiters, count);
        }
    }

    /// Wakes `count` of the threads and `count` of the tasks, as far as there are any.
    #[cold]
    #[inline(never)]
    fn wake(&self, waiters: u64, count: u32) {
        if threads(waiters) != 0 {
            // ORDERING: fence (N), before it, is the release half for a waiter that reads this epoch.
            self.epoch.fetch_add(1, Relaxed);
            self.epoch.wake(count);
        }
        if tasks(waiters) != 0 {
            self.wake_tasks(count);
        }
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

    /// Returns the number of threads and tasks that are registered at this moment: a figure for reports.
    #[must_use]
    pub fn waiters(&self) -> u32 {
        // ORDERING: none needed, nothing is concluded from it.
        let waiters = self.waiters.load(Relaxed);
        threads(waiters).saturating_add(tasks(waiters))
    }
}

impl EventNotifier<crate::Std> {
    /// Returns a notifier without waiters, in a constant context.
    #[must_use]
    pub const fn new_static() -> Self {
        use core::sync::atomic::{AtomicU32, AtomicU64};
        let tasks = std::sync::Mutex::new(Tasks::NONE);
        Self { waiters: AtomicU64::new(0), epoch: AtomicU32::new(0), tasks }
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
        self.notifier.waiters.fetch_sub(THREAD, Relaxed);
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
