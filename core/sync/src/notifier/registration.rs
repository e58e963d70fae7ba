//! A place in a notifier's list of tasks that is held by something other than an
//! [`Until`](super::Until).
//!
//! **Contract.** A waiter that sleeps on something else, or between polls, registers a waker here.
//! It registers ([`Registration::renew`]), *then* looks, and sleeps only if that look found
//! nothing. It looks again only after another `renew`, which says whether the registration had been
//! chosen meanwhile. When it will not look again, it leaves ([`Registration::leave`]). Neither call
//! blocks (except on the list's lock).
//!
//! **Invariants** (T1 to T4: see `task`).
//! - G1 After `renew` the waker is in the list. Fence (W) stands between the entry of the waker, at
//!   this `renew` or an earlier one, and the look that follows. So the argument of `task` holds:
//!   the notification of a publication that the look does not see takes the entry out and wakes the
//!   waker.
//! - G2 A waiter that has been chosen looks at what the notification was about, or passes it on
//!   (T2). Only the caller knows whether it has looked, so passing on is up to the caller.

use core::task::Waker;

use super::EventNotifier;
use super::task::Ticket;
use crate::primitives::{Mutex, Primitives};

/// A place in a notifier's list; see the module documentation. All calls must name the same
/// notifier.
#[derive(Default)]
pub(crate) struct Registration {
    /// The place; `None` if not registered.
    ticket: Option<Ticket>,
}

impl Registration {
    /// Makes sure that `waker` is registered; returns whether a notification had chosen the
    /// previous registration.
    ///
    /// # Panics
    /// If [`super::MAX_TASKS`] tasks are registered already.
    pub(crate) fn renew<P: Primitives>(
        &mut self,
        notifier: &EventNotifier<P>,
        waker: &Waker,
    ) -> bool {
        let waker = waker.clone();
        let Some(ticket) = self.ticket else {
            self.ticket = Some(notifier.register(waker));
            return false;
        };
        let replaced = notifier.tasks.lock().replace(ticket, waker);
        match replaced {
            Ok(old) => {
                P::contain(|| drop(old));
                false
            }
            Err(waker) => {
                self.ticket = Some(notifier.register(waker));
                true
            }
        }
    }

    /// Leaves the list if registered; returns whether a notification had chosen this registration.
    pub(crate) fn leave<P: Primitives>(&mut self, notifier: &EventNotifier<P>) -> bool {
        let Some(ticket) = self.ticket.take() else { return false };
        let waker = {
            let mut tasks = notifier.tasks.lock();
            notifier.counted_out(tasks.remove(ticket))
        };
        let chosen = waker.is_none();
        P::contain(|| drop(waker));
        chosen
    }
}
