//! Scenarios of time, which may pass between any two operations. A wait with a deadline ends at its
//! deadline, however many notifications come.

use std::time::Duration;

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, OnFull, Primitives, RecvTimeoutError, SendError, oneshot};

use super::channel::SOON;
use super::notifier::{Shared, join};
use super::{RUNS, Row, SAMPLE, restless, restless_states};
use crate::channel::{Channel, Closes, Receives, Sends, Shares};
use crate::row;

/// Counts the looks that began after the waiter had seen the clock past its deadline.
pub(crate) struct Looks {
    deadline: Duration,
    is_over: bool,
    late: u32,
}

impl Looks {
    pub(crate) fn new<P: Primitives>() -> Self {
        Self { deadline: P::now() + SOON, is_over: false, late: 0 }
    }

    /// Returns the deadline.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Looks at a condition that never holds.
    pub(crate) fn look<P: Primitives>(&mut self) -> Option<()> {
        self.late += u32::from(self.is_over);
        assert!(self.late <= 1, "a second look after the deadline was seen to be over");
        self.is_over = self.is_over || P::now() >= self.deadline;
        None
    }
}

/// A thread notifies again and again, though the waiter's condition never holds.
pub fn a_stream_keeps_no_wait<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let thread = P::spawn("stream", move || {
        (0..3).for_each(|_| other.changed.notify_one());
    });
    let mut looks = Looks::new::<P>();
    let deadline = looks.deadline;
    let found = shared.changed.wait_until_deadline(deadline, || looks.look::<P>());
    assert_eq!(found, None);
    assert!(P::now() >= deadline, "a wait ended before its deadline");
    join(thread);
}

/// A thread notifies for as long as another waits with a time limit.
pub fn a_flood_keeps_no_wait<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let thread = P::spawn("flood", move || {
        while other.count.load(Relaxed) == 0 {
            other.changed.notify_one();
            P::yield_now();
        }
    });
    assert_eq!(shared.changed.wait_until_timeout(SOON, || None::<()>), None);
    shared.count.store(1, Relaxed);
    join(thread);
}

/// A thread has two channels, and waits with a time limit for an item of one. The other channel is
/// flooded for as long as it waits.
pub fn a_flooded_neighbour_keeps_no_receive<P: Primitives, C: Shares>() {
    let notifier = P::arc(EventNotifier::<P>::new());
    let (sender, flooded) = C::open_on::<P, u32>(notifier.clone(), 1, OnFull::Refuse);
    let (quiet, receiver) = C::open_on::<P, u32>(notifier, 1, OnFull::Refuse);
    let thread = P::spawn("flood", move || {
        while !sender.is_closed() {
            let _ = sender.send(1);
            P::yield_now();
        }
    });
    assert_eq!(receiver.recv_timeout(SOON), Err(RecvTimeoutError::Timeout));
    flooded.close();
    join(thread);
    drop(quiet);
}

/// A sender with a time limit finds, again and again, that a rival has taken the only place.
pub fn rivals_keep_no_send<P: Primitives, C: Channel>() {
    let (sender, receiver) = C::open::<P, u32>(1, OnFull::Block);
    let mut senders = C::senders(sender, 2);
    let (Some(rival), Some(sender)) = (senders.pop(), senders.pop()) else {
        panic!("a channel with several senders")
    };
    let rival = P::spawn("rival", move || while rival.send(1).is_ok() {});
    let receiving = P::spawn("receiver", move || {
        let mut received = 0;
        while received != 2 && !receiver.is_closed() {
            received = receiver.recv().unwrap_or(2);
        }
        receiver.close();
    });
    match sender.send_timeout(2, SOON) {
        Ok(_) => {}
        Err(SendError::Timeout(2)) => sender.close(),
        Err(error) => panic!("{error}"),
    }
    join(rival);
    join(receiving);
}

/// A receiver waits for a one-shot with a time limit. The value comes in time, or does not.
pub fn a_reply_that_is_late<P: Primitives>() {
    let (sender, mut receiver) = oneshot::channel::<P, u32>();
    let deadline = P::now() + SOON;
    let thread = P::spawn("sender", move || {
        sender.closed();
        drop(sender);
    });
    assert_eq!(receiver.recv_deadline(deadline), Err(RecvTimeoutError::Timeout));
    assert!(P::now() >= deadline, "a wait ended before its deadline");
    drop(receiver);
    join(thread);
}

/// Returns the scenarios of a channel whose receiver can share a notifier with others.
pub(super) fn shared<C: Shares>() -> Vec<Row> {
    vec![row! {
        time::a_flooded_neighbour_keeps_no_receive for C,
        "a receive with a limit ends, though another channel of its thread is flooded", Some(&hazard::N11),
        threads: 2, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
    }]
}

/// Returns the scenarios of a channel with several senders.
pub(super) fn many<C: Channel>() -> Vec<Row> {
    vec![row! {
        time::rivals_keep_no_send for C,
        "a send with a limit ends, though its rivals take every place", Some(&hazard::N11),
        threads: 3, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
    }]
}

/// Returns the other scenarios of this module.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            time::a_stream_keeps_no_wait,
            "a wait looks at most once after its deadline has been seen to be over, and does not end \
             before it is",
            Some(&hazard::N11),
            threads: 2, loom: restless(3), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
        row! {
            time::a_flood_keeps_no_wait,
            "a wait ends at its deadline, however many notifications come", Some(&hazard::N11),
            threads: 2, loom: None, shuttle: SAMPLE, stepped: None, std: RUNS,
        },
        row! {
            time::a_reply_that_is_late,
            "a one-shot's wait ends at its deadline, and not before", Some(&hazard::N11),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(200_000), std: RUNS,
        },
    ]
}
