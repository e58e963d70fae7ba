//! Tasks that wait for a notifier: a list of wakers, and the future that keeps a place in it.
//!
//! **Contract.** [`EventNotifier::until`] is [`EventNotifier::wait_until`] for a task. It needs no
//! runtime: the caller that polls it supplies the waker. It is cancelled by being dropped, at any
//! moment. Cancelling does not affect the condition, since a condition that has returned `Some`
//! ends the future in the same poll.
//!
//! | the entry | when | whose action |
//! |---|---|---|
//! | enters at the back | a poll has found that the condition does not hold | the task |
//! | keeps its place, with the new waker | a poll finds the entry still there | the task |
//! | leaves: the task is chosen | a notification; the oldest entry first | the notifier |
//! | leaves | the condition held, or the future is dropped | the task |
//!
//! **Invariants** (I1, I4, I5: see the module above).
//! - T1 Entries are linked in the order in which they were made. A ticket is never given twice,
//!   because its number is not: a task whose ticket is missing has been chosen. An entry enters the
//!   list, and leaves it from any position, in a number of steps that does not depend on the length
//!   of the list.
//! - T2 A task that has been chosen evaluates the condition once more, or passes the notification
//!   on. It also passes it on where it cannot tell whether its last evaluation came before or after
//!   the choice, and where the evaluation panics. There may be one wake-up too many, never one too
//!   few.
//! - T3 While the list is locked, no waker is cloned, woken or dropped: that is foreign code, which
//!   may drop futures of this list. Panics of `wake` and `drop` are contained. A panic of `clone`
//!   goes to the caller of `poll`, and leaves the future as it was.
//! - T4 The list has as many entries as there are waiting futures. A future that was forgotten
//!   counts until a notification chooses it. The list allocates nothing until the first of them
//!   comes. From then on it keeps its slots: as many as futures have ever waited at once.
//!
//! **Memory order.** A task registers under the lock, passes fence (W), and looks again: the
//! argument of the parent module holds for it as for a thread. From then on it needs no fence. A
//! notification whose fence (N) follows (W) sees an entry in the count, and takes the lock. If it
//! takes this entry out before the task has put its new waker there, the task finds no entry, and
//! the lock orders what the task reads next after the publication. If it takes the entry out later,
//! it wakes the new waker. If it no longer sees an entry, another notification has chosen the task,
//! which will register again, pass a fence (W), and look.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::{EventNotifier, MAX_TASKS, TASK};
use crate::primitives::Ordering::{Relaxed, SeqCst};
use crate::primitives::{Atomic, Mutex, Primitives};

/// A place in the list: its slot, and the number that tells which of the slot's entries it is.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    slot: u32,
    number: u64,
}

/// No slot.
const END: u32 = u32::MAX;

/// A slot of the list. A free slot has no waker, and its `next` is the next free slot.
struct Slot {
    /// How many entries, in all slots, had been made before this one: tickets are ordered by it.
    number: u64,
    waker: Option<Waker>,
    before: u32,
    next: u32,
}

/// The tasks that wait (T1, T4).
pub(super) struct Tasks(Option<Box<List>>);

/// A linked list in slots, so that an entry can leave from any position in a few steps.
struct List {
    slots: Vec<Slot>,
    oldest: u32,
    newest: u32,
    free: u32,
    next_number: u64,
}

impl Default for List {
    fn default() -> Self {
        Self { slots: Vec::new(), oldest: END, newest: END, free: END, next_number: 0 }
    }
}

impl List {
    fn slot(&mut self, slot: u32) -> &mut Slot {
        &mut self.slots[slot as usize]
    }

    /// Makes an entry; returns the waker if there are too many entries.
    fn push(&mut self, waker: Waker) -> Result<Ticket, Waker> {
        let slot = if self.free == END { self.slots.len() as u32 } else { self.free };
        if slot >= MAX_TASKS {
            return Err(waker);
        }
        let number = self.next_number;
        self.next_number += 1;
        let entry = Slot { number, waker: Some(waker), before: self.newest, next: END };
        if self.free == END {
            self.slots.push(entry);
        } else {
            self.free = core::mem::replace(self.slot(slot), entry).next;
        }
        match self.newest {
            END => self.oldest = slot,
            newest => self.slot(newest).next = slot,
        }
        self.newest = slot;
        Ok(Ticket { slot, number })
    }

    /// Takes the waker out of a slot, which is then free; returns `None` if it was free already.
    fn take(&mut self, slot: u32) -> Option<Waker> {
        let free = self.free;
        let entry = self.slot(slot);
        let waker = entry.waker.take()?;
        let (before, next) = (entry.before, entry.next);
        entry.next = free;
        self.free = slot;
        match before {
            END => self.oldest = next,
            before => self.slot(before).next = next,
        }
        match next {
            END => self.newest = before,
            next => self.slot(next).before = before,
        }
        Some(waker)
    }

    /// Returns the slot of the oldest entry, if it was made before the entry numbered `end`.
    fn oldest_before(&mut self, end: u64) -> Option<u32> {
        let oldest = self.oldest;
        (oldest != END && self.slot(oldest).number < end).then_some(oldest)
    }

    /// Returns the waker of a ticket, unless its task has been chosen.
    fn waker(&mut self, Ticket { slot, number }: Ticket) -> Option<&mut Waker> {
        let entry = self.slot(slot);
        if entry.number == number { entry.waker.as_mut() } else { None }
    }
}

impl Tasks {
    /// No task, and no memory.
    pub(super) const NONE: Self = Self(None);

    fn push(&mut self, waker: Waker) -> Result<Ticket, Waker> {
        self.0.get_or_insert_default().push(waker)
    }

    /// Exchanges the waker of an entry and returns the one that is not kept: the old one, or the
    /// new one if there is no such entry.
    pub(super) fn replace(&mut self, ticket: Ticket, waker: Waker) -> Result<Waker, Waker> {
        match self.0.as_deref_mut().and_then(|list| list.waker(ticket)) {
            Some(place) => Ok(core::mem::replace(place, waker)),
            None => Err(waker),
        }
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waker> {
        let list = self.0.as_deref_mut()?;
        list.waker(ticket)?;
        list.take(ticket.slot)
    }

    /// Takes the oldest entry, if it was made before the entry numbered `end`. Says, too, whether
    /// the entry that is then the oldest was made before that.
    fn pop(&mut self, end: u64) -> Option<(Waker, bool)> {
        let list = self.0.as_deref_mut()?;
        let oldest = list.oldest_before(end)?;
        let waker = list.take(oldest)?;
        Some((waker, list.oldest_before(end).is_some()))
    }

    fn next_number(&self) -> u64 {
        self.0.as_ref().map_or(0, |list| list.next_number)
    }
}

impl<P: Primitives> EventNotifier<P> {
    /// Returns a future of the content of the `Some` that `condition` returns. A notification from
    /// the thread that makes the condition true wakes the task. The condition runs at least once in
    /// each poll; it must not block, and must leave no side effect when it returns `None`.
    ///
    /// # Cancel safety
    /// The future can be dropped at any moment. A notification that had chosen it is passed on to
    /// another waiter. A future that has been chosen keeps that notification until it is polled or
    /// dropped. If neither happens, or if the future is forgotten, the notification is lost to
    /// other waiters for good.
    ///
    /// # Panics
    /// When polled, if [`MAX_TASKS`] tasks are registered already.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::task::{Context, Waker};
    /// use blocksmith_sync::EventNotifier;
    ///
    /// static READY: AtomicBool = AtomicBool::new(false);
    /// static CHANGED: EventNotifier = EventNotifier::new_static();
    ///
    /// let mut ready = Box::pin(CHANGED.until(|| READY.load(Ordering::Relaxed).then_some(())));
    /// let mut context = Context::from_waker(Waker::noop()); // a runtime brings its own
    /// assert!(ready.as_mut().poll(&mut context).is_pending());
    /// READY.store(true, Ordering::Relaxed); // publish,
    /// CHANGED.notify_one(); // then notify
    /// assert!(ready.as_mut().poll(&mut context).is_ready());
    /// ```
    pub fn until<R, F: FnMut() -> Option<R>>(&self, condition: F) -> Until<'_, P, F> {
        Until { notifier: self, condition, ticket: None }
    }

    /// Chooses, of the tasks that wait now, the `count` that have waited longest, and wakes them
    /// (I5).
    pub(super) fn wake_tasks(&self, count: u32) {
        // The loop is bounded: a task that is woken and registers again gets a ticket that is not
        // below `end`.
        let mut end = None;
        for _ in 0..count {
            let popped = {
                let mut tasks = self.tasks.lock();
                let end = *end.get_or_insert_with(|| tasks.next_number());
                self.counted_out(tasks.pop(end))
            };
            let Some((waker, has_next)) = popped else { return };
            P::contain(|| waker.wake());
            if !has_next {
                return;
            }
        }
    }

    /// Enters a task and passes fence (W). The caller must then look at the condition again.
    pub(super) fn register(&self, waker: Waker) -> Ticket {
        let pushed = {
            let mut tasks = self.tasks.lock();
            let pushed = tasks.push(waker);
            if pushed.is_ok() {
                // ORDERING: fence (W) orders the registration before the second look.
                self.waiters.fetch_add(TASK, Relaxed);
            }
            pushed
        };
        match pushed {
            Ok(ticket) => {
                // ORDERING: fence (W), pairs with fence (N) in `find_waiters`.
                P::fence(SeqCst);
                ticket
            }
            Err(waker) => {
                P::contain(|| drop(waker));
                panic!("more than 2^23 tasks wait");
            }
        }
    }

    /// Takes one off the count for an entry that has been taken from the list; the list is locked.
    pub(super) fn counted_out<T>(&self, taken: Option<T>) -> Option<T> {
        if taken.is_some() {
            // ORDERING: a read-modify-write acts on the latest count; see the module documentation.
            self.waiters.fetch_sub(TASK, Relaxed);
        }
        taken
    }
}

/// The future of [`EventNotifier::until`].
#[must_use = "a future does nothing unless it is polled"]
pub struct Until<'a, P: Primitives, F> {
    notifier: &'a EventNotifier<P>,
    condition: F,
    /// The place in the list, until the future has seen that it is chosen.
    ticket: Option<Ticket>,
}

impl<P: Primitives, F> Until<'_, P, F> {
    /// Leaves the list; if a notification has chosen this task meanwhile, passes it on (T2).
    fn leave(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let waker = {
            let mut tasks = self.notifier.tasks.lock();
            self.notifier.counted_out(tasks.remove(ticket))
        };
        match waker {
            Some(waker) => P::contain(|| drop(waker)),
            None => self.notifier.notify_one(),
        }
    }

    /// Evaluates the condition; leaves the list if it holds.
    fn look<R>(&mut self) -> Option<R>
    where
        F: FnMut() -> Option<R>,
    {
        let result = (self.condition)()?;
        self.leave();
        Some(result)
    }
}

// The condition is never pinned.
impl<P: Primitives, F> Unpin for Until<'_, P, F> {}

impl<P: Primitives, R, F: FnMut() -> Option<R>> Future for Until<'_, P, F> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let this = &mut *self;
        let mut is_chosen = false;
        if let Some(ticket) = this.ticket {
            let waker = context.waker().clone();
            let replaced = this.notifier.tasks.lock().replace(ticket, waker);
            is_chosen = replaced.is_err();
            P::contain(|| drop(replaced));
        }
        let found = if is_chosen {
            // This is the look that T2 requires.
            this.ticket = None;
            let Self { notifier, condition, .. } = this;
            notifier.owed(condition)
        } else {
            this.look()
        };
        if let Some(result) = found {
            return Poll::Ready(result);
        }
        if this.ticket.is_none() {
            this.ticket = Some(this.notifier.register(context.waker().clone()));
            if let Some(result) = this.look() {
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    }
}

impl<P: Primitives, F> Drop for Until<'_, P, F> {
    fn drop(&mut self) {
        if !P::reporting() {
            self.leave();
        }
    }
}

impl<P: Primitives, F> fmt::Debug for Until<'_, P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Until").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
