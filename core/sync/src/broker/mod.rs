//! The broker: it names mailboxes, watches how full they are, says how much load should be shed,
//! and keeps the mailbox of a service that is being restarted.
//!
//! **Contract.** A mailbox is watched under a name, either through a function that reads its
//! [`Counters`] without locking it, or because the broker makes the mailbox, owns it, and lends out
//! its receiving end. A thread that calls [`Broker::observe`] (one in [`Broker::serve`], or any
//! other) takes a sample of all mailboxes. From the samples the broker computes the figures of each
//! mailbox, and one load [`Level`]. Subscribers are told of every change of the level. Senders and
//! receivers of the mailboxes pay nothing for being watched.
//!
//! | level | begins at | ends below, after `dwell` | asks for |
//! |---|---|---|---|
//! | Normal | | | nothing |
//! | Busy | 60 % | 40 % | drop peers with a low score |
//! | High | 80 % | 60 % | also drop requests from peers that are synchronising |
//! | Critical | 95 % | 80 % | also stop looking for slashable offences; never their prevention |
//!
//! (These are the defaults of [`Limits`].) The load is that of the fullest mailbox that counts: its
//! depth or the age of its oldest item, each relative to what counts as full. Every item all but
//! fills a mailbox of very few places: watch such a mailbox as [`Weight::Shown`], or give it more
//! places.
//!
//! ```text
//!   a lent mailbox:   open ──> lent ──drop of the lease──> here ──claim──> lent ──> ..
//!                                └──end, or forget──> gone: what is queued is dropped, senders are told
//! ```
//!
//! **Invariants.** Those of the machine, each with a property test:
//! - B1 A change is reported exactly when the level after a sample differs from the level before
//!   it, so changes form a chain from Normal. A load that moves between `fall` and `rise` changes
//!   nothing.
//! - B2 Rates are exponentially weighted by time: whatever the intervals between samples, a steady
//!   flow is approached as `1 - exp(-t / time_constant)`. Every figure is finite and not negative,
//!   whatever the clock does. A clock that stands still or steps back adds nothing; one that jumps
//!   is believed.
//! - B3 The age of the oldest item is bounded from both sides and costs its sender nothing: the
//!   item was accepted between the last sample that had not seen it and the first that had. At most
//!   64 samples of a mailbox are kept; beyond that they are thinned out, and the bounds grow apart
//!   but stay true. (Since counters are read field by field, this holds up to the few items that
//!   pass while they are read. Where items overtake one another, only the lower bound holds.)
//! - B4 The level is monotone in the load: had every sample shown more, the level would be no
//!   lower. Since thresholds rise with the levels, a level is held only if all levels below it are.
//!
//! Those of the shell (the part with threads and locks), each with a scenario:
//! - B5 Sampling, judging and telling are one step under one lock, so subscribers hear of changes
//!   in the order in which they happen. A subscription starts with the level from which the next
//!   change departs: no change is missed between looking and subscribing.
//! - B6 A subscription holds the latest change: its mailbox has one place, from which a newer
//!   change evicts an older one. Telling never waits for a subscriber; one that is gone is dropped.
//! - B7 A lent receiver comes back when its lease is dropped, with everything that is queued.
//!   Nothing is received twice, and nothing is lost except what the borrower had taken.
//! - B8 No waker runs, and no end of a mailbox is dropped, while the lock is held. A change is put
//!   into the mailboxes of the subscribers under the lock, and they are woken afterwards. A waker
//!   may call the broker.
//!
//! **Blocking.** No call waits except [`Broker::serve`], which sleeps between samples until
//! [`Broker::stop`]. The lock is held for a look at each mailbox. A function given to
//! [`Broker::watch`] must not block or call the broker.
//!
//! **Memory order.** The broker has none of its own: the lock and the notifier hand everything
//! over. The level that [`Broker::level`] reads without the lock is advisory, as the counters are:
//! nothing is concluded from it about other memory.

mod gauge;
mod machine;
mod service;
#[cfg(test)]
mod tests;

pub use gauge::Gauge;
pub use machine::{
    Age, Ask, Change, FULL, Figures, Level, Limits, LimitsError, Machine, Snapshot, Threshold,
    Weight,
};
pub use service::{
    Broker, ClaimError, Lease, MAX_MAILBOXES, MAX_SUBSCRIBERS, Opened, RegisterError, Subscription,
    TooManySubscribers,
};

#[cfg(doc)]
use crate::counters::Counters;
