//! An event count: threads and tasks sleep until a condition that they evaluate themselves may have
//! changed.
//!
//! **Contract.** The condition lives elsewhere (in a queue, in a flag). A thread that makes the
//! condition true *publishes first and then notifies*; the other order loses wake-ups. A thread
//! that waits for the condition registers ([`EventNotifier::prepare`]), evaluates the condition
//! *again*, and then sleeps ([`Token::wait`]) or cancels by dropping the token.
//! [`EventNotifier::wait_until`] takes these steps in this order. A task does the same by awaiting
//! [`EventNotifier::until`], and cancels by dropping that future.
//!
//! | call | effect | blocks |
//! |---|---|---|
//! | `prepare` | remembers the epoch, registers | no |
//! | `Token::wait` | sleeps if the epoch is the remembered one | until a notification that follows `prepare`, or a spurious wake-up |
//! | drop of a `Token` | unregisters | no |
//! | `until`, polled | registers the task's waker, evaluates the condition again | no |
//! | drop of an `Until` | unregisters the task; if it had been chosen, notifies another | no |
//! | `notify_one` | moves the epoch and wakes a sleeper, if there is one to which no wake is on its way | no |
//! | `notify_many(n)` | the same for `n` sleepers | no |
//! | `notify_all` | the same for all of them | no |
//!
//! Where tasks are registered, "no" means: except on a lock that others hold for the few
//! instructions of one registration. No waker runs under that lock, and without tasks nobody takes
//! it.
//!
//! **Foreign code.** A notification runs the wakers of tasks. It runs them as its last step, with
//! no lock held, and contains their panics ([`Primitives::contain`]): each waker that was chosen is
//! called, whatever the others do. A waker may notify, register, drop futures, and use the channel
//! whose end woke it. If the condition of a thread or task that was woken panics, the notification
//! is passed on.
//!
//! **Which waiter a notification is for.** A token that was prepared before a notification moved
//! the epoch, and whose thread is still awake, ends its wait at once or never begins it. Of the
//! threads already asleep, `notify_one` wakes one. Of the tasks, it *chooses* the one that has been
//! registered longest. Threads and tasks are counted separately: where both are registered, it
//! wakes one of each. Hence there are two rules for clients:
//! - R1 All registered waiters wait for the same kind of event, so that any of them can act on it.
//!   Otherwise every notification must be a `notify_all`.
//! - R2 A thread whose wait ended with [`WaitOutcome::Woken`], and a task that has been chosen,
//!   evaluate the condition before they give up. If they cannot, they call `notify_one` themselves.
//!   The helpers of this module obey R2 on time-outs, on cancellation, and when a condition panics.
//!
//! **Deadlines.** A stream of notifications cannot prolong a timed wait: its thread reads the clock
//! *before* each look, and the look that follows a reading past the deadline is the last one.
//!
//! **One wake for many notifications.** The kernel is called only when it has something to do. A
//! token is a *sleeper* until a notification claims it; from then on a *wake is on its way* to it.
//! `waiters` holds both figures, and the number of tasks:
//!
//! | bits | counts | raised by | lowered by |
//! |---|---|---|---|
//! | 0 to 19 | wakes on their way | a notification, by what it claims | a token that is dropped, if not zero |
//! | 20 to 39 | sleepers | `prepare` | a notification, by what it claims; a token that is dropped while no wake is on its way |
//! | 40 to 63 | tasks in the list | a task that registers | a notification that chooses it; a task that leaves |
//!
//! A notification claims first, then moves the epoch, then wakes. One that finds no sleeper left
//! does nothing at all: every registered token ends its wait anyway, and its thread looks again,
//! past a fence (W), before it sleeps the next time. For this it relies on the claiming
//! notification to run to its end: if that thread is suspended between its claim and its wake, the
//! wake comes when the thread runs again.
//!
//! **Invariants.**
//! - I1 Wakes on their way and sleepers add up to the number of live tokens. `prepare` adds a
//!   sleeper, a drop takes one of either off, and a claim turns sleepers into wakes on their way.
//!   The count of tasks is the number of entries in the list, and changes under the list's lock.
//! - I2 The epoch is the futex word, and only claims move it. The futex compares and goes to sleep
//!   in one step, so a move between `prepare` and the sleep prevents the sleep.
//! - I3 Cancelling loses no notification that another waiter needs. Only a thread that a
//!   notification wakes *in the futex* takes it away from the others, and such a thread returns
//!   `Woken` (R2). A token that has not slept takes nothing. A sleeper that registered after the
//!   epoch moved may still be woken by that notification's `wake`. In that case its second look
//!   came after the move and saw everything published before it, and it looks once more.
//! - I4 The three figures never overflow: `prepare` and `until` assert [`MAX_THREADS`] and
//!   [`MAX_TASKS`].
//! - I5 A task is registered for as long as its entry is in the list. A notification chooses it by
//!   taking the entry out, and wakes it afterwards. It is then the task that has to act on the
//!   notification (R2, see `task`).
//! - I6 At least as many tokens as there are wakes on their way have ended their wait, or will have
//!   once the claims made so far have run to their end. A claim of `n` raises the figure by `n`.
//!   Its move ends the wait of all tokens that have remembered an older epoch and whose threads are
//!   awake. Its wake then ends `n` sleeps, or all if there are fewer. A token that is awake and
//!   whose wait has not ended can only be one that has remembered the new epoch: it registered
//!   after the claim (see below), so it is not among those that were claimed. A token that is
//!   dropped takes one wake off, whichever token that wake was meant for, and whether its own wait
//!   ended, timed out, or was cancelled. The figure may therefore be too low, which costs an
//!   unnecessary wake. It is never too high, which would leave a thread asleep. For the same
//!   reason, a sleep that has ended, for whatever reason, is never resumed by the same token.
//!
//! The epoch wraps around: a thread that is suspended between `prepare` and its sleep while exactly
//! 2^32 claims are made, no more and no fewer, sleeps through them.
//!
//! **Memory order.** There are two SeqCst fences, (W) in `prepare` and (N) in the notification, and
//! one pair of ordered accesses; all other accesses are relaxed. One of the fences comes first in
//! their single total order. If (N) comes first, the waiter's second look, which follows (W), sees
//! what was published before (N). If (W) comes first, the notifier's look at `waiters`, which
//! follows (N), sees the registration. If it finds a sleeper there, it claims and moves the epoch.
//! If it finds none, the waiter's wait ends (I6), and what the waiter reads after its next (W) is
//! what was published before (N), because its next registration changes `waiters` after that look.
//! If the waiter has already remembered the moved epoch, then (N), which comes before the move, and
//! (W), which comes after the read, synchronise as release and acquire fences: again the second
//! look sees the publication. So the condition itself may be written and read relaxed.
//!
//! The pair is this: a token reads the epoch *before* it registers; the registration releases, and
//! the claim acquires. So the read of a claimed token happens before the move that follows the
//! claim. Without the pair, a token could be claimed, then remember the epoch that its own
//! notification has moved, and sleep.
//!
//! A thread that a notification wakes in the futex owes one look (R2), and this look may be its
//! last: if its deadline has passed, it gives up, and passes no other (W). The wake orders this
//! look: what precedes a wake happens before the return of the wait that it ends ([`Futex`]), and
//! (N) precedes the wake. A thread that gives up without having been woken has taken no
//! notification (I3).
//!
//! A task that registers passes a fence (W) in the same place; `task` says what holds when it is
//! polled again.
//!
//! Reference: the "event count" of D. P. Reed and R. K. Kanodia, *Synchronization with Eventcounts
//! and Sequencers* (1979); the futex form needs no lock.

mod registration;
mod task;

use core::cell::Cell;
use core::fmt;
use core::time::Duration;

use crate::primitives::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::primitives::{Atomic, Futex, Mutex, Primitives, WaitOutcome};
use crate::spin::Patience;
pub(crate) use registration::Registration;
use task::Tasks;
pub use task::Until;

/// The largest number of threads that may be registered at once (I4).
pub const MAX_THREADS: u32 = 1 << 19;
/// The largest number of tasks that may be registered at once (I4).
pub const MAX_TASKS: u32 = 1 << 23;

/// In `waiters`: one wake on its way, one sleeper, one task (I1).
const WAKE: u64 = 1;
const SLEEPER: u64 = 1 << 20;
const TASK: u64 = 1 << 40;

const fn wakes(waiters: u64) -> u32 {
    (waiters % SLEEPER) as u32
}
const fn sleepers(waiters: u64) -> u32 {
    (waiters % TASK / SLEEPER) as u32
}
const fn tasks(waiters: u64) -> u32 {
    (waiters / TASK) as u32
}

/// The waiters that a notification found when it looked; see [`EventNotifier::find_waiters`].
#[derive(Clone, Copy)]
#[must_use = "whoever waits is woken by `wake_found`"]
pub(crate) struct Found(u64);

/// An event count; see the module documentation.
///
/// The notifying thread may still be about to wake sleepers when a woken thread returns. Keep a
/// notifier in a `P::Arc` (or a static) that both threads hold.
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
    /// Wakes on their way, sleepers, tasks in the list (I1).
    waiters: P::AtomicU64,
    /// Counts the claims; threads sleep on it (I2).
    epoch: P::Futex,
    /// The tasks that wait (I5).
    tasks: P::Mutex<Tasks>,
    /// How long threads look before they sleep.
    patience: Patience,
}

impl<P: Primitives> EventNotifier<P> {
    /// Returns a notifier without waiters. For a static see [`EventNotifier::new_static`].
    #[must_use]
    #[inline(always)] // so that what contains it is written in place, not copied from the stack
    pub fn new() -> Self {
        Self {
            waiters: Atomic::new(0),
            epoch: Atomic::new(0),
            tasks: Mutex::new(Tasks::NONE),
            patience: Patience::new(),
        }
    }

    /// Registers the calling thread as a waiter. Evaluate the condition again before you
    /// [`Token::wait`]; drop the token to cancel. Does not block.
    ///
    /// # Panics
    /// If [`MAX_THREADS`] threads are registered already.
    #[inline]
    pub fn prepare(&self) -> Token<'_, P> {
        let mark = P::mark();
        // ORDERING: read before fence (W), which therefore is the acquire half of this load.
        let epoch = self.epoch.load(Relaxed);
        // ORDERING: release pairs with the acquiring claim, for the load above. Fence (W) orders
        // the registration before the caller's second look.
        // ORDERING(survives): loom does not let a load return what a later write of its own thread
        // leads to.
        let others = self.waiters.fetch_add(SLEEPER, Release);
        let token = Token { notifier: self, epoch };
        assert!(wakes(others) + sleepers(others) < MAX_THREADS, "more than 2^19 threads wait");
        // ORDERING: fence (W), pairs with fence (N) in `find_waiters`.
        P::fence(SeqCst);
        P::checkpoint(mark.wrapping_add(u64::from(epoch)));
        token
    }

    /// Wakes at least one of the threads and tasks that sleep, if any is registered that is not
    /// about to look again anyway. Call it *after* publishing what they wait for. Rules R1 and R2
    /// of the module apply. Does not block.
    #[inline]
    pub fn notify_one(&self) {
        self.notify_many(1);
    }

    /// Wakes all threads and tasks that are registered. Call it *after* publishing. Does not block.
    #[inline]
    pub fn notify_all(&self) {
        self.notify_many(u32::MAX);
    }

    /// Wakes at least `count` of the waiters that sleep (all of them, if there are fewer). It is
    /// for a publication that `count` of them can act on. Call it *after* publishing. Does not
    /// block.
    #[inline]
    pub fn notify_many(&self, count: u32) {
        let mark = P::mark();
        let found = self.find_waiters();
        self.wake_found(found, count);
        if tasks(found.0) == 0 {
            P::checkpoint(mark); // nothing read here is kept; wakers may leave something
        }
    }

    /// The first half of a notification, which runs no foreign code: it passes fence (N), and looks
    /// for waiters. Between the halves a caller may do whatever belongs to its publication.
    #[inline]
    pub(crate) fn find_waiters(&self) -> Found {
        // ORDERING: fence (N), pairs with the fences (W) in `prepare` and `register`.
        P::fence(SeqCst);
        // ORDERING: fence (N) stands between the publication and this look.
        Found(self.waiters.load(Relaxed))
    }

    /// The second half: it wakes `count` of the waiters that were found.
    #[inline]
    pub(crate) fn wake_found(&self, Found(waiters): Found, count: u32) {
        // There is a sleeper or a task; wakes on their way are in the bits below.
        if waiters >= SLEEPER {
            self.wake(waiters, count);
        }
    }

    /// Wakes `count` of the threads and `count` of the tasks, as far as there are any.
    #[cold]
    #[inline(never)]
    fn wake(&self, waiters: u64, count: u32) {
        let mark = P::mark();
        if self.claim(waiters, count) {
            // ORDERING: fence (N), before it, is the release half for a waiter that reads this
            // epoch.
            self.epoch.fetch_add(1, Relaxed);
            // Not only as many as were claimed: where a `notify_all` serves different conditions
            // (R1), a thread that came after the move must not get the wake of one that was there
            // before.
            self.epoch.wake(count);
        }
        P::checkpoint(mark);
        if tasks(waiters) != 0 {
            self.wake_tasks(count);
        }
    }

    /// Announces wakes to at most `count` sleepers; returns whether there is one (I6).
    fn claim(&self, mut waiters: u64, count: u32) -> bool {
        loop {
            let claimed = u64::from(count.min(sleepers(waiters)));
            if claimed == 0 {
                return false;
            }
            let after = waiters - claimed * SLEEPER + claimed * WAKE;
            // ORDERING: pairs with the releasing registration in `prepare`: what the claimed tokens
            // have read of the epoch precedes its move.
            // ORDERING(survives): as there.
            match self.waiters.compare_exchange(waiters, after, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(found) => waiters = found,
            }
        }
    }

    /// Blocks until `condition` returns `Some`, and returns its content. A notification from the
    /// thread that makes the condition true wakes this thread. The condition runs at least once,
    /// and several times between sleeps; it must leave no side effect when it returns `None`. If it
    /// panics, a notification that had woken this thread is passed on to another waiter.
    #[inline]
    pub fn wait_until<R>(&self, condition: impl FnMut() -> Option<R>) -> R {
        self.wait_for(condition, |token| token.wait())
    }

    /// Blocks like [`EventNotifier::wait_until`], for at most about `timeout`. `None` means that
    /// the time was up and that the condition, evaluated once more after that, still did not hold.
    pub fn wait_until_timeout<R>(
        &self,
        timeout: Duration,
        condition: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        self.wait_until_deadline(P::now().saturating_add(timeout), condition)
    }

    /// Blocks like [`EventNotifier::wait_until_timeout`], until about `deadline`, as
    /// [`Primitives::now`] tells the time. Once the clock has been seen past the deadline, the
    /// condition is evaluated one last time, however many notifications come meanwhile.
    pub fn wait_until_deadline<R>(
        &self,
        deadline: Duration,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let now = Cell::new(Duration::ZERO);
        let look = || {
            now.set(P::now());
            let found = condition();
            (found.is_some() || now.get() >= deadline).then_some(found)
        };
        // How the sleep ended does not matter: the clock decides, and the look that follows.
        self.wait_for(look, |token| {
            let _ = token.wait_timeout(deadline.saturating_sub(now.get()));
        })
    }

    /// Looks until there is an answer, and sleeps in between.
    #[inline]
    fn wait_for<R>(
        &self,
        mut look: impl FnMut() -> Option<R>,
        mut sleep: impl FnMut(Token<'_, P>),
    ) -> R {
        let mark = P::mark();
        if let Some(answer) = look() {
            return answer;
        }
        loop {
            if let Some(answer) = self.patience.look_again::<P, R>(&mut look) {
                return answer;
            }
            let token = self.prepare();
            if let Some(answer) = look() {
                return answer;
            }
            sleep(token);
            P::rewind(mark);
            if let Some(answer) = self.owed(&mut look) {
                return answer;
            }
        }
    }

    /// Evaluates the condition, as a woken thread or a chosen task must (R2). If the condition
    /// panics, the notification is passed on to another waiter.
    #[inline]
    fn owed<R>(&self, look: impl FnOnce() -> Option<R>) -> Option<R> {
        let pass_on = PassOn(self);
        let result = look();
        core::mem::forget(pass_on);
        result
    }

    /// Returns the number of threads and tasks that are registered at this moment. It is a figure
    /// for reports.
    #[must_use]
    pub fn waiters(&self) -> u32 {
        // ORDERING: none needed; nothing is concluded from it.
        let waiters = self.waiters.load(Relaxed);
        wakes(waiters) + sleepers(waiters) + tasks(waiters)
    }
}

impl EventNotifier<crate::Std> {
    /// Returns a notifier without waiters, in a constant context.
    #[must_use]
    pub const fn new_static() -> Self {
        use core::sync::atomic::{AtomicU32, AtomicU64};
        let tasks = std::sync::Mutex::new(Tasks::NONE);
        let (waiters, epoch) = (AtomicU64::new(0), AtomicU32::new(0));
        Self { waiters, epoch, tasks, patience: Patience::new() }
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

/// Passes a notification on when it is dropped, which happens while the condition panics.
struct PassOn<'a, P: Primitives>(&'a EventNotifier<P>);

impl<P: Primitives> Drop for PassOn<'_, P> {
    fn drop(&mut self) {
        if !P::reporting() {
            self.0.notify_one();
        }
    }
}

/// A registration of the calling thread: evaluate the condition again, then wait, or drop the
/// token.
#[must_use = "a token that is dropped at once cancels the wait"]
pub struct Token<'a, P: Primitives> {
    notifier: &'a EventNotifier<P>,
    epoch: u32,
}

impl<P: Primitives> Token<'_, P> {
    /// Sleeps until a notification that follows the `prepare` of this token; returns at once if
    /// there has been one. A wake-up may also be spurious, so wait in a loop over the condition.
    pub fn wait(self) {
        if !self.is_notified() {
            self.notifier.epoch.wait(self.epoch);
        }
    }

    /// Sleeps like [`Token::wait`], for at most about `timeout`.
    ///
    /// A thread returns `TimedOut` only if no notification has woken it (I3). `Woken` obliges the
    /// caller to follow rule R2.
    pub fn wait_timeout(self, timeout: Duration) -> WaitOutcome {
        if self.is_notified() {
            return WaitOutcome::Woken;
        }
        match self.notifier.epoch.wait_timeout(self.epoch, timeout) {
            WaitOutcome::TimedOut if !self.is_notified() => WaitOutcome::TimedOut,
            _ => WaitOutcome::Woken,
        }
    }

    fn is_notified(&self) -> bool {
        // ORDERING: none needed; it hands nothing over. A caller that sleeps again passes the fence
        // of its next `prepare`. One that gives up was either woken in the futex, and that wake
        // orders its last look, or has taken no notification (I3). A stale value here only leads to
        // the futex, which compares the current one (I2).
        self.notifier.epoch.load(Relaxed) != self.epoch
    }
}

impl<P: Primitives> Drop for Token<'_, P> {
    /// Takes a wake off the count if one is on its way, otherwise a sleeper (I6).
    #[inline]
    fn drop(&mut self) {
        if P::reporting() {
            return;
        }
        let mark = P::mark();
        let waiters = &self.notifier.waiters;
        // ORDERING: none needed in this function: an exchange acts on the latest figures, and a
        // claim acquires across it from the registrations before.
        let mut found = SLEEPER; // a guess: it was alone, and nobody has notified
        loop {
            let one = if wakes(found) == 0 { SLEEPER } else { WAKE };
            match waiters.compare_exchange(found, found - one, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(latest) => found = latest,
            }
        }
        P::checkpoint(mark);
    }
}

#[cfg(test)]
mod tests;
