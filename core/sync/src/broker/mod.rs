//! The broker: names mailboxes, watches how full they are, says how much load is to be shed, and
//! keeps the mailbox of a service that is being restarted.
//!
//! **Contract.** A mailbox is watched under a name, by a function that reads its [`Counters`]
//! without locking it; or the broker makes it, owns it, and lends its receiving end out. Whoever
//! calls [`Broker::observe`] (a thread in [`Broker::serve`], or any other) takes a sample of all of
//! them. From samples come the figures of each, and one load [`Level`]. Subscribers are told of
//! every change of it. Senders and receivers of the mailboxes pay nothing for being watched.
//!
//! | level | begins at | ends below, after `dwell` | asks for |
//! |---|---|---|---|
//! | Normal | | | nothing |
//! | Busy | 60 % | 40 % | drop peers with a low score |
//! | High | 80 % | 60 % | also drop requests of others who synchronise |
//! | Critical | 95 % | 80 % | also stop looking for slashable offences; never their prevention |
//!
//! (The defaults of [`Limits`].) The load is that of the fullest mailbox that counts: its depth, or
//! the age of its oldest item, each against what counts as full. A mailbox of very few places is
//! full with every item: watch it as [`Weight::Shown`], or take many places.
//!
//! ```text
//!   a lent mailbox:   open ──> lent ──drop of the lease──> here ──claim──> lent ──> ..
//!                                └──end, or forget──> gone: what is queued is dropped, senders are told
//! ```
//!
//! **Invariants.** The machine's, each a property test:
//! - B1 A change is reported exactly when the level after a sample is not that before it, so
//!   changes form a chain from Normal. A load between `fall` and `rise` changes nothing, whatever
//!   it does there.
//! - B2 Rates are exponentially weighted by time: with samples at any distance a steady flow is
//!   approached by `1 - exp(-t / time_constant)`. Every figure is finite and not negative, whatever
//!   the clock does: one that stands still or steps back adds nothing, one that jumps is believed.
//! - B3 The age of the oldest item is bounded from both sides and costs its sender nothing: it was
//!   accepted between the last sample that had not seen it and the first that had. At most 64
//!   samples of a mailbox are kept; beyond that they thin out, the bounds grow apart and stay true.
//!   (As counters are read field by field, up to the few items that pass while they are read. Where
//!   items overtake one another, the lower bound holds.)
//! - B4 The level is monotone in the load: had every sample shown more, the level would be no
//!   lower. As thresholds rise with the levels, a level is held only if all below it are.
//!
//! The shell's, each a scenario:
//! - B5 Sampling, judging and telling are one step under one lock, so subscribers hear of changes
//!   in the order in which they happen, and a subscription starts with the level that the next
//!   change departs from: none is missed between looking and subscribing.
//! - B6 A subscription holds the latest change: its mailbox has one place, from which a newer
//!   change evicts an older one. Telling never waits for a subscriber; one that is gone is dropped.
//! - B7 A lent receiver comes back when its lease is dropped, with everything that is queued;
//!   nothing is received twice or lost but what the borrower had taken.
//! - B8 No waker runs, and no end of a mailbox is dropped, while the lock is held: a change is put
//!   into the mailboxes of the subscribers under the lock, and they are woken after it. A waker may
//!   call the broker.
//!
//! **Blocking.** No call waits, but [`Broker::serve`], which sleeps between samples until
//! [`Broker::stop`]. The lock is held for a look at each mailbox. A reader given to [`Broker::watch`] must not block or call the broker.
//!
//! **Memory order.** None of its own: the lock and the notifier hand everything over. The level
//! that [`Broker::level`] reads without the lock is advice, as the counters are: nothing is
//! concluded from it about other memory.

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
