//! A place in a notifier's list of tasks, kept by somebody else than an [`Until`](super::Until).
//!
//! **Contract.** Who sleeps on something else, or between polls, registers a waker here. It
//! registers ([`Registration::renew`]), *then* looks, and sleeps only if that look found nothing; it
//! looks again only after another `renew`, which says whether the registration had been chosen
//! meanwhile. When it will not look again it leaves ([`Registration::leave`]). Neither blocks
//! (beyond the list's lock).
//!
//! **Invariants** (T1 to T4: see `task`).
//! - G1 After `renew` the waker is in the list, and fence (W) stands between its coming there and
//!   the look that follows, at this `renew` or an earlier one. So the argument of `task` holds: a
//!   publication that the look does not see takes the entry out and wakes the waker.
//! - G2 Whoever has been chosen looks at what the notification was about, or passes it on (T2). The
//!   caller knows whether it has looked, so it passes on.

use core::task::Waker;

use super::EventNotifier;
use super::task::Ticket;
use crate::primitives::{Mutex, Primitives};

/// A place in a notifier's list; see the module's text. All calls are for the same notifier.
#[derive(Default)]
pub(crate) struct Registration {
    /// The place; `None`: not registered.
    ticket: Option<Ticket>,
}

impl Registration {
    /// Sees to it that `waker` is registered; returns whether a notification had chosen the
    /// registration that was there.
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

    /// Leaves the list, if this is registered; returns whether a notification had chosen it.
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
