//! Scenarios of the select: one thread or task that receives from several sources.

use std::pin::pin;
use std::task::Poll;

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::{Acquire, Release};
use blocksmith_sync::mailbox::{OnFull, Receiver, Sender, mailbox, mailbox_on};
use blocksmith_sync::mpmc::mpmc;
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::select::{Select, deadline};
use blocksmith_sync::watch::watch;
use blocksmith_sync::{Atomic, Backpressure, Closed, Primitives, oneshot};

use super::channel::SOON;
use super::notifier::join;
use super::task::{block_on, poll_once};
use super::{RUNS, Row, SAMPLE, TOO_LARGE, restless, restless_states, states};
use crate::row;

/// The ends of a mailbox.
pub(crate) type Ends<P> = (Sender<P, u32>, Receiver<P, u32>);

/// Returns the notifier that a thread sleeps on, and two mailboxes of one place that share it.
pub(crate) fn two_mailboxes<P: Primitives>() -> (P::Arc<EventNotifier<P>>, Ends<P>, Ends<P>) {
    let notifier = P::arc(EventNotifier::<P>::new());
    let ends = || mailbox_on::<P, u32>(notifier.clone(), 1, 0, OnFull::Refuse);
    let (left, right) = (ends(), ends());
    (notifier, left, right)
}

/// A thread sends to the second of two mailboxes, then to the first, and goes. The other sums up
/// what it receives.
pub fn two_inputs<P: Primitives>() {
    let (notifier, (left, left_in), (right, right_in)) = two_mailboxes::<P>();
    let thread = P::spawn("sender", move || {
        assert_eq!(right.send(2), Ok(None));
        assert_eq!(left.send(1), Ok(None));
    });
    let mut inputs = Select::on(notifier).source(1, left_in, |item| item.unwrap_or(10)).source(
        1,
        right_in,
        |item| item.unwrap_or(20),
    );
    assert_eq!(inputs.iter().sum::<u32>(), 33, "each item once, and each end once");
    assert_eq!(inputs.recv(), Err(Closed));
    join(thread);
}

/// A task receives from two mailboxes. No sender is dropped meanwhile.
pub fn two_inputs_of_a_task<P: Primitives>() {
    let (notifier, (left, left_in), (right, right_in)) = two_mailboxes::<P>();
    let thread = P::spawn("sender", move || {
        assert_eq!(right.send(2), Ok(None));
        assert_eq!(left.send(1), Ok(None));
        (left, right)
    });
    let mut inputs = Select::on(notifier).source(1, &left_in, |item| item.unwrap_or(10)).source(
        1,
        &right_in,
        |item| item.unwrap_or(20),
    );
    let both = [(); 2].map(|()| block_on::<P, _>(inputs.recv_async()).unwrap_or(9));
    assert_eq!(both[0] + both[1], 3);
    drop(join(thread));
}

/// The budget of the flood: so many of its items may be served before a stop that was sent is
/// heard.
pub(crate) const BUDGET: u32 = 2;

/// Serves two mailboxes through `receive`. `flood` is served first, and gets a new item for each
/// one taken from it. `stop` gets one item from another thread. Asserts that the stop is heard
/// within the budget.
pub(crate) fn serve_a_flood<P: Primitives>(
    flood: &Sender<P, u32>,
    stop: Sender<P, u32>,
    mut receive: impl FnMut() -> u32,
) {
    let asked = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let flag = asked.clone();
    let thread = P::spawn("owner", move || {
        assert_eq!(stop.send(0), Ok(None));
        flag.store(1, Release);
        stop // returned, so that the receiver does not hear of its end
    });
    assert_eq!(flood.send(1), Ok(None));
    let (mut late, mut served) = (0, 0);
    while receive() == 1 {
        let is_asked = asked.load(Acquire);
        late += is_asked;
        served += 1;
        // This is more than the assertion needs, and bounds what is explored.
        if served <= 2 * BUDGET || is_asked == 1 {
            assert_eq!(flood.send(1), Ok(None));
        }
        assert!(late <= BUDGET, "served {late} of the flood after the stop");
    }
    drop(join(thread));
}

/// An input never runs dry, and a stop comes behind it.
pub fn a_flood_does_not_starve<P: Primitives>() {
    let (notifier, (flood, flood_in), (stop, stop_in)) = two_mailboxes::<P>();
    let mut inputs = Select::on(notifier)
        .source(BUDGET, flood_in, |item| item.unwrap_or(9))
        .source(1, stop_in, |item| item.unwrap_or(9));
    serve_a_flood::<P>(&flood, stop, || inputs.recv().unwrap_or(9));
}

/// A pool has two workers. One also listens for a stop, which has priority, and goes after one
/// message. The other waits for an item. No channel closes meanwhile, so a wake-up that the first
/// keeps leaves the second asleep.
pub fn a_stop_gives_the_item_to_another<P: Primitives>() {
    let notifier = P::arc(EventNotifier::<P>::new());
    let (stop, stopped) = mailbox_on::<P, u32>(notifier.clone(), 1, 0, OnFull::Refuse);
    let (tasks, pool) = mpmc::<P, u32>(2, Backpressure::Block);
    let other = pool.clone();
    let first =
        P::spawn("first", move || {
            let mut inputs = Select::on(notifier)
                .source(1, &stopped, |item| item.unwrap_or(9))
                .source(1, &pool, |item| item.unwrap_or(9));
            let message = inputs.recv();
            (message, stopped, pool)
        });
    let second = P::spawn("second", move || {
        let item = other.recv();
        (item, other)
    });
    assert_eq!(tasks.send(7), Ok(()));
    assert_eq!(stop.send(1), Ok(None));
    let (message, stopped, pool) = join(first);
    if message == Ok(7) {
        assert_eq!(tasks.send(7), Ok(()));
    } else {
        assert_eq!(message, Ok(1));
    }
    let (item, other) = join(second);
    assert_eq!(item, Ok(7));
    drop((stop, stopped, tasks, pool, other));
}

/// A worker with a notifier of its own waits for a stop and for a pool's items. An item and the
/// stop come, and then the ends of both.
pub fn a_pool_and_a_stop<P: Primitives>() {
    let (stop, stopped) = mailbox::<P, u32>(1, 0, OnFull::Refuse);
    let (tasks, pool) = mpmc::<P, u32>(1, Backpressure::Block);
    let thread = P::spawn("owner", move || {
        assert_eq!(tasks.send(2), Ok(()));
        assert_eq!(stop.send(1), Ok(None));
        (tasks, stop)
    });
    let mut inputs =
        Select::new()
            .source(1, stopped, |item| item.unwrap_or(10))
            .source(1, pool, |item| item.unwrap_or(20));
    let both = [(); 2].map(|()| inputs.recv().unwrap_or(99));
    assert_eq!(both[0] + both[1], 3);
    drop(join(thread));
    assert_eq!(inputs.iter().sum::<u32>(), 30);
}

/// A rival may take the first of two items, for which the select has been woken. The select is
/// woken for the second as well.
pub fn a_rival_takes_the_first_item<P: Primitives>() {
    let (tasks, pool) = mpmc::<P, u32>(2, Backpressure::Block);
    let rival = pool.clone();
    let thread = P::spawn("owner", move || {
        assert_eq!(tasks.send(1), Ok(()));
        let taken = rival.try_recv();
        assert_eq!(tasks.send(2), Ok(()));
        (taken, tasks, rival)
    });
    let mut inputs = Select::new().source(1, pool, |item| item.unwrap_or(9));
    let received = inputs.recv();
    let (taken, ..) = join(thread);
    assert!(received == Ok(2) || received == Ok(1) && taken != Ok(1), "{received:?}, {taken:?}");
}

/// Selects over a one-shot and an input with a notifier of its own. Without `replies`, the sender
/// of the one-shot goes without a value.
fn a_reply_and_an_input<P: Primitives>(replies: bool) {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Refuse);
    let (reply, answer) = oneshot::channel::<P, u32>();
    let thread = P::spawn("sender", move || {
        if replies {
            assert_eq!(reply.send(2), Ok(()));
        }
        assert_eq!(sender.send(1), Ok(None));
        sender
    });
    let mut inputs =
        Select::new()
            .source(1, answer, |reply| reply.unwrap_or(5))
            .source(1, receiver, |item| item.unwrap_or(10));
    let both = [(); 2].map(|()| inputs.recv().unwrap_or(99));
    assert_eq!(both[0] + both[1], if replies { 3 } else { 6 });
    drop(join(thread));
}

/// A select receives a one-shot's value and an item.
pub fn a_reply_among_inputs<P: Primitives>() {
    a_reply_and_an_input::<P>(true);
}

/// A select learns that a one-shot's sender has gone, and receives an item.
pub fn no_reply_among_inputs<P: Primitives>() {
    a_reply_and_an_input::<P>(false);
}

/// A select receives a value of a watch and an item. No end is dropped meanwhile.
pub fn a_watch_among_inputs<P: Primitives>() {
    let notifier = P::arc(EventNotifier::<P>::new());
    let (sender, receiver) = mailbox_on::<P, u32>(notifier.clone(), 1, 0, OnFull::Refuse);
    let (head, reader) = watch::<P, u32>(0);
    let thread = P::spawn("sender", move || {
        assert!(head.send(2).is_ok());
        assert_eq!(sender.send(1), Ok(None));
        (head, sender)
    });
    let mut inputs = Select::on(notifier)
        .source(1, reader, |value| value.map_or(20, |value| *value))
        .source(1, receiver, |item| item.unwrap_or(10));
    let both = [(); 2].map(|()| inputs.recv().unwrap_or(99));
    assert_eq!(both[0] + both[1], 3);
    drop(join(thread));
}

/// A deadline limits the wait for an item that may come before or after it.
pub fn a_deadline_among_inputs<P: Primitives>() {
    let notifier = P::arc(EventNotifier::<P>::new());
    let (sender, receiver) = mailbox_on::<P, u32>(notifier.clone(), 1, 0, OnFull::Refuse);
    let thread = P::spawn("sender", move || {
        assert_eq!(sender.send(1), Ok(None));
        sender
    });
    let mut inputs = Select::on(notifier).source(1, receiver, |item| item.unwrap_or(10)).source(
        1,
        deadline(P::now() + SOON),
        |_| 5,
    );
    let both = [(); 2].map(|()| inputs.recv().unwrap_or(99));
    assert_eq!(both[0] + both[1], 6, "the item and the deadline, once each");
    drop(join(thread));
}

/// A deadline passes, and no item ever comes.
pub fn a_deadline_passes<P: Primitives>() {
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Refuse);
    let mut inputs = Select::new().source(1, receiver, |item| item.unwrap_or(10)).source(
        1,
        deadline(P::now() + SOON),
        |_| 5,
    );
    assert_eq!(inputs.recv(), Ok(5));
    drop(sender);
    assert_eq!((inputs.recv(), inputs.recv()), (Ok(10), Err(Closed)));
}

/// A task that waits for a stop and for a pool's items polls once and is dropped. Another task
/// waits for the item for which the first may have been chosen.
pub fn a_dropped_select_gives_the_item_to_another<P: Primitives>() {
    let (stop, stopped) = mailbox::<P, u32>(1, 0, OnFull::Refuse);
    let (tasks, pool) = mpmc::<P, u32>(2, Backpressure::Block);
    let other = pool.clone();
    let fickle = P::spawn("fickle", move || {
        let mut inputs =
            Select::new()
                .source(1, &stopped, |item| item.unwrap_or(9))
                .source(1, &pool, |item| item.unwrap_or(9));
        let early = poll_once::<P, _>(pin!(inputs.recv_async()));
        (early, stopped, pool)
    });
    let patient = P::spawn("patient", move || {
        let item = block_on::<P, _>(other.recv_async());
        (item, other)
    });
    assert_eq!(tasks.send(7), Ok(()));
    let (early, stopped, pool) = join(fickle);
    if early.is_ready() {
        assert_eq!((early, tasks.send(7)), (Poll::Ready(Ok(7)), Ok(())));
    }
    let (item, other) = join(patient);
    assert_eq!(item, Ok(7));
    drop((stop, stopped, tasks, pool, other));
}

/// Returns the scenarios of this module, with their bounds.
pub(super) fn list() -> Vec<Row> {
    vec![
        row! {
            select::two_inputs,
            "every item and every end of two inputs arrives once", None,
            threads: 2, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            select::two_inputs_of_a_task,
            "a task that waits for two inputs misses neither", None,
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(1_000_000), std: RUNS,
        },
        row! {
            select::a_flood_does_not_starve,
            "a stop is heard within the budget of an input that never ends", Some(&hazard::Q8),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
        row! {
            select::a_stop_gives_the_item_to_another,
            "a worker that is woken for an item and hears a stop instead wakes another worker",
            Some(&hazard::N7),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            select::a_dropped_select_gives_the_item_to_another,
            "a select that is woken for an item and dropped wakes another receiver", Some(&hazard::N7),
            threads: 3, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            select::a_pool_and_a_stop,
            "a select misses neither items nor ends of sources that share no notifier with it",
            Some(&hazard::Q8),
            threads: 2, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            select::a_rival_takes_the_first_item,
            "a select that was woken for an item that another takes is woken for the next",
            Some(&hazard::N7),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            select::a_reply_among_inputs,
            "a select over a one-shot misses neither its value nor an item", None,
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            select::no_reply_among_inputs,
            "a select over a one-shot hears that its sender has gone", Some(&hazard::M10),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            select::a_watch_among_inputs,
            "a select over a watch misses neither a change nor an item", Some(&hazard::A11),
            threads: 2, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            select::a_deadline_among_inputs,
            "a deadline is told once, and costs no item", Some(&hazard::N7),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        row! {
            select::a_deadline_passes,
            "a wait for sources that have nothing ends with the deadline", Some(&hazard::N11),
            threads: 1, loom: restless(2), shuttle: None, stepped: states(10_000), std: Some(20),
        },
    ]
}
