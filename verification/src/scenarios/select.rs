//! Scenarios of the select: one thread or task that receives from several mailboxes.

use blocksmith_models::hazard;
use blocksmith_sync::Ordering::{Acquire, Release};
use blocksmith_sync::mailbox::{OnFull, Receiver, Sender, mailbox_on};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::select::Select;
use blocksmith_sync::{Atomic, Closed, Primitives};

use super::notifier::join;
use super::task::block_on;
use super::{RUNS, SAMPLE, Scenario, TOO_LARGE, restless, restless_states};
use crate::scenario;

/// The ends of a mailbox.
pub(crate) type Ends<P> = (Sender<P, u32>, Receiver<P, u32>);

/// Returns two mailboxes of one place that wake one thread, and what it sleeps on.
pub(crate) fn two_mailboxes<P: Primitives>() -> (P::Arc<EventNotifier<P>>, Ends<P>, Ends<P>) {
    let notifier = P::arc(EventNotifier::<P>::new());
    let ends = || mailbox_on::<P, u32>(notifier.clone(), 1, 0, OnFull::Refuse);
    let (left, right) = (ends(), ends());
    (notifier, left, right)
}

/// A thread sends to the second of two mailboxes, then to the first, and goes; the other sums up.
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

/// A task receives from both, and nobody goes meanwhile.
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

/// What a flood may do before a stop that has been sent is heard: its budget.
pub(crate) const BUDGET: u32 = 2;

/// Serves two mailboxes through `receive`, of which `flood`, served first, gets an item for each
/// item that is taken out of it, and `stop` one from another thread. Asserts that the stop is heard
/// in time.
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
        stop // goes with the scenario, so that nobody hears of its end
    });
    assert_eq!(flood.send(1), Ok(None));
    let (mut late, mut served) = (0, 0);
    while receive() == 1 {
        let is_asked = asked.load(Acquire);
        late += is_asked;
        served += 1;
        // More than enough for the assertion, and a bound for what is explored.
        if served <= 2 * BUDGET || is_asked == 1 {
            assert_eq!(flood.send(1), Ok(None));
        }
        assert!(late <= BUDGET, "served {late} of the flood after the stop");
    }
    drop(join(thread));
}

/// An input that never ends, and a stop behind it.
pub fn a_flood_does_not_starve<P: Primitives>() {
    let (notifier, (flood, flood_in), (stop, stop_in)) = two_mailboxes::<P>();
    let mut inputs = Select::on(notifier)
        .source(BUDGET, flood_in, |item| item.unwrap_or(9))
        .source(1, stop_in, |item| item.unwrap_or(9));
    serve_a_flood::<P>(&flood, stop, || inputs.recv().unwrap_or(9));
}

/// Returns the list of the above, with their bounds.
pub(super) fn list() -> Vec<Scenario> {
    vec![
        scenario! {
            select::two_inputs,
            "every item and every end of two inputs arrives once", None,
            threads: 2, loom: restless(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            select::two_inputs_of_a_task,
            "a task that waits for two inputs misses neither", None,
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
        scenario! {
            select::a_flood_does_not_starve,
            "a stop is heard within the budget of an input that never ends", Some(&hazard::Q8),
            threads: 2, loom: restless(2), shuttle: SAMPLE, stepped: restless_states(400_000), std: RUNS,
        },
    ]
}
