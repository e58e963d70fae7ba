//! The scenarios: small programs over core, each generic over the primitives, run by all engines.
//!
//! **Contract.** A scenario is a `fn name<P: Primitives>()` that spawns its threads, asserts what must
//! hold, and joins them. It is deterministic but for the schedule, holds no state outside, and ends under
//! every schedule: a deadlock is a violation. [`scenarios`] is the one list; a row says what the scenario
//! shows and how far each engine goes (`None`: that engine has no use for it).

pub mod broker;
pub mod lifecycle;
pub mod mailbox;
pub mod mpmc;
pub mod notifier;
pub mod oneshot;
pub mod select;
pub mod services;
pub mod spsc;
pub mod task;

use blocksmith_models::stepped::{Limits, Stepped};
use blocksmith_sync::Std;

use crate::engines::loom::{Loom, LoomBounds};
use crate::engines::shuttle::{Shuttle, ShuttleBounds};
use crate::mutant::Mutant;

/// A row of the list.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name, that of the function.
    pub name: &'static str,
    /// The protocol that it belongs to: the name of its module.
    pub protocol: &'static str,
    /// What holds if it is verified.
    pub claim: &'static str,
    /// The hazard that it is about, if one.
    pub hazard: Option<&'static str>,
    /// Threads, the main one included.
    pub threads: usize,
    /// The scenario on loom, and how far to go.
    pub loom: (fn(), Option<LoomBounds>),
    /// The scenario on a loom whose orderings can be weakened.
    pub mutant: fn(),
    /// The scenario on shuttle, and how far to go.
    pub shuttle: (fn(), Option<ShuttleBounds>),
    /// The scenario on the stepped backend, and how far to go.
    pub stepped: (fn(), Option<Limits>),
    /// The scenario on real threads, and how many times.
    pub std: (fn(), Option<usize>),
}

/// Instantiates a generic function for all backends.
#[macro_export]
macro_rules! scenario {
    (
        $protocol:ident :: $name:ident, $claim:expr, $hazard:expr, threads: $threads:expr,
        loom: $loom:expr, shuttle: $shuttle:expr, stepped: $stepped:expr, std: $std:expr $(,)?
    ) => {
        Scenario {
            name: stringify!($name),
            protocol: stringify!($protocol),
            claim: $claim,
            hazard: $hazard,
            threads: $threads,
            loom: ($protocol::$name::<Loom>, $loom),
            mutant: $protocol::$name::<Mutant<Loom>>,
            shuttle: ($protocol::$name::<Shuttle>, $shuttle),
            stepped: ($protocol::$name::<Stepped>, $stepped),
            std: ($protocol::$name::<Std>, $std),
        }
    };
}

const UNBOUNDED: Option<LoomBounds> = Some(LoomBounds::unbounded());

const fn preemptions(bound: usize) -> Option<LoomBounds> {
    Some(LoomBounds::preemptions(bound))
}

/// Schedules of a scenario under shuttle.
const SAMPLE: Option<ShuttleBounds> = Some(ShuttleBounds::iterations(4_000));
/// Runs of a scenario on real threads.
const RUNS: Option<usize> = Some(500);

/// Not run on the stepped engine: several million states. A smaller relative in the list is.
const TOO_LARGE: Option<Limits> = None;

/// Bounds for the stepped engine: complete or truncated, never silently cut.
fn states(max_states: usize) -> Option<Limits> {
    Some(Limits { max_states, ..Limits::default() })
}

/// Returns all scenarios.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    [
        notifier_scenarios(),
        mailbox_scenarios(),
        spsc_scenarios(),
        mpmc_scenarios(),
        oneshot_scenarios(),
        task_scenarios(),
        select_scenarios(),
        broker::list(),
        services::list(),
        lifecycle::list(),
    ]
    .concat()
}

fn notifier_scenarios() -> Vec<Scenario> {
    vec![
        scenario! {
            notifier::relaxed_flag,
            "a waiter sees a relaxed publication that was followed by a notification", Some("N2"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(10_000), std: RUNS,
        },
        scenario! {
            notifier::two_producers,
            "a waiter that needs two publications gets both", Some("N1"),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            notifier::two_waiters,
            "two permits with two notify_one release two waiters", None,
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            notifier::a_waiter_gives_up,
            "a waiter whose time runs out takes no notification from another", Some("N7"),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: None,
        },
        scenario! {
            notifier::a_waiter_cancels,
            "a waiter that cancels takes no notification from another", Some("N7"),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            notifier::notify_all,
            "notify_all releases every waiter", None,
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
    ]
}

fn mailbox_scenarios() -> Vec<Scenario> {
    vec![
        scenario! {
            mailbox::in_order_through_one_place,
            "items arrive in order through a capacity of one, then Closed", Some("N9"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(2_000_000), std: RUNS,
        },
        scenario! {
            mailbox::two_senders,
            "each item of two senders arrives once; recv sleeps on busy and is woken",
            Some("M3"),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(3_000_000), std: RUNS,
        },
        scenario! {
            mailbox::senders_block,
            "blocked senders are woken one per credit", None,
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mailbox::busy_is_not_empty,
            "try_recv does not say Empty when a send has returned", Some("M3"),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mailbox::close_races_with_send,
            "what is accepted is received, what is not comes back", Some("M5"),
            threads: 2, loom: preemptions(3), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            mailbox::the_receiver_goes,
            "the receiver's drop wakes senders, and every item is dropped once", Some("M6"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mailbox::a_reply_inside_is_dropped,
            "a question that the receiver leaves behind tells its asker so", Some("M10"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            mailbox::evictions_are_returned,
            "two senders that evict: each item is received or returned, once", Some("M7"),
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mailbox::an_eviction_races_with_a_receive,
            "the receiver and an evictor never take the same item", Some("M7"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            mailbox::a_permit_delivers,
            "a permit delivers into a full and closed mailbox, without blocking", Some("M8"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            mailbox::a_dropped_permit_ends_the_stream,
            "the drop of the last permit ends the wait of the receiver", Some("M10"),
            threads: 2, loom: preemptions(3), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            mailbox::closed_comes_after_the_senders,
            "who receives Closed sees what every sender did before it went", None,
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mailbox::closed_comes_after_the_permits,
            "who receives Closed sees what the holder of a permit did before", None,
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(100_000), std: RUNS,
        },
        scenario! {
            mailbox::waits_may_expire,
            "timed sends and receives lose no item", Some("N7"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mailbox::two_mailboxes_one_thread,
            "one thread waits for two mailboxes through one notifier", None,
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mailbox::two_mailboxes_one_sender,
            "a thread that waits for two mailboxes through one notifier misses neither", None,
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mailbox::a_node_is_used_again,
            "a node is written again only after its item has been taken", Some("M1"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(100_000), std: RUNS,
        },
        scenario! {
            mailbox::two_threads_share_an_end,
            "two threads that send through one end never use the same node", Some("M1"),
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mailbox::credits_return_in_batches,
            "a sender that waits for a credit gets it, though credits return in batches", None,
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mailbox::stop_by_closing,
            "a service whose mailbox closes does all its work and ends", Some("L1"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(3_000_000), std: RUNS,
        },
    ]
}

fn spsc_scenarios() -> Vec<Scenario> {
    vec![
        scenario! {
            spsc::in_order_through_one_place,
            "items arrive in order through a capacity of one, then Closed", Some("N9"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            spsc::in_order_over_the_end_of_the_indices,
            "the indices start again at twice the capacity, and no item is missed", Some("M2"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(500_000), std: RUNS,
        },
        scenario! {
            spsc::batches_through_two_places,
            "a batch larger than the ring arrives in order; each end notifies once a batch", None,
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            spsc::a_look_finds_the_item,
            "an item that a look finds is the receiver's", Some("M1"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(100_000), std: RUNS,
        },
        scenario! {
            spsc::a_look_finds_the_place,
            "a place that a look finds free is the sender's", Some("M1"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(100_000), std: RUNS,
        },
        scenario! {
            spsc::close_races_with_send,
            "what is accepted while the receiver closes is received, what is not comes back", Some("M5"),
            threads: 2, loom: preemptions(5), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            spsc::both_ends_close,
            "whichever end closes first, what was accepted is received", Some("M5"),
            threads: 2, loom: preemptions(4), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            spsc::close_races_with_a_batch,
            "a batch that meets the end is accepted or comes back, as a whole", Some("M5"),
            threads: 2, loom: preemptions(4), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            spsc::the_receiver_goes,
            "the receiver's drop wakes the sender, and every item is dropped once", Some("M6"),
            threads: 2, loom: preemptions(3), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            spsc::a_reply_inside_is_dropped,
            "a question that the receiver leaves behind tells its asker so", Some("M10"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            spsc::closed_comes_after_the_sender,
            "who receives Closed sees what the sender did before it went", None,
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(100_000), std: RUNS,
        },
        scenario! {
            spsc::waits_may_expire,
            "timed sends and receives lose no item", Some("N7"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            spsc::two_rings_one_thread,
            "a thread that waits for two rings through one notifier misses neither", None,
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            spsc::a_row_of_eight,
            "eight threads in a row pass everything on in order, and end", None,
            threads: 8, loom: None, shuttle: SAMPLE, stepped: None, std: Some(100),
        },
    ]
}

fn mpmc_scenarios() -> Vec<Scenario> {
    vec![
        scenario! {
            mpmc::in_order_through_one_place,
            "items arrive in order through a capacity of one, then Closed", Some("N9"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mpmc::in_order_through_two_places,
            "places are used again in order, and only once they are empty", None,
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mpmc::an_item_wakes_a_receiver,
            "two items wake two receivers, one each", None,
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mpmc::two_receivers_share,
            "each item goes to one of two receivers, and both learn of the end", None,
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mpmc::senders_block,
            "blocked senders are woken one per item received", None,
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            mpmc::a_batch_wakes_as_many_senders,
            "a batch wakes a blocked sender for each item", None,
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(500_000), std: RUNS,
        },
        scenario! {
            mpmc::looks_share_the_items,
            "looks without a lock race with nothing, and lose no item", Some("M4"),
            threads: 3, loom: preemptions(3), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mpmc::close_races_with_send,
            "what is accepted is received, what is not comes back", Some("M5"),
            threads: 2, loom: preemptions(4), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            mpmc::the_receivers_go,
            "the last receiver's drop wakes senders, and every item is dropped once", Some("M6"),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mpmc::a_reply_inside_is_dropped,
            "a question that the receivers leave behind tells its asker so", Some("M10"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            mpmc::closed_comes_after_the_senders,
            "who receives Closed sees what every sender did before it went", None,
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mpmc::waits_may_expire,
            "timed sends and receives lose no item", Some("N7"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            mpmc::a_pool_of_eight,
            "three senders, four receivers: every item to one of them, and all end", None,
            threads: 8, loom: None, shuttle: SAMPLE, stepped: None, std: Some(100),
        },
    ]
}

fn oneshot_scenarios() -> Vec<Scenario> {
    vec![
        scenario! {
            oneshot::the_value_arrives,
            "the value arrives, and its memory is the receiver's", Some("M10"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(10_000), std: RUNS,
        },
        scenario! {
            oneshot::the_sender_goes,
            "the drop of the sender ends the wait", Some("M10"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(10_000), std: RUNS,
        },
        scenario! {
            oneshot::the_receiver_goes,
            "the value is received, returned or dropped: exactly one, once", Some("M10"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(10_000), std: RUNS,
        },
        scenario! {
            oneshot::the_wait_may_expire,
            "after a time-out the value can still be received", None,
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(50_000), std: RUNS,
        },
        scenario! {
            oneshot::a_task_awaits,
            "a task that awaits is woken with the value", Some("M10"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            oneshot::a_task_awaits_nobody,
            "a task is told that the sender is gone", Some("M10"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            oneshot::a_task_hands_over,
            "the waker of the last poll is the one that is woken", Some("M10"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            oneshot::a_task_is_cancelled,
            "a future that is dropped leaves nothing behind", Some("M10"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            oneshot::a_task_becomes_a_thread,
            "a receiver that was polled can be waited for by its thread", Some("M10"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            oneshot::an_abandoned_exchange,
            "the answer to a question that was given up is not taken for that to the next", Some("M9"),
            threads: 2, loom: UNBOUNDED, shuttle: SAMPLE, stepped: states(200_000), std: RUNS,
        },
        scenario! {
            oneshot::one_reply_per_question,
            "the same through a mailbox: each question carries its own way back", Some("M9"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: None,
        },
    ]
}

fn task_scenarios() -> Vec<Scenario> {
    vec![
        scenario! {
            task::a_task_waits,
            "a task sees a relaxed publication that was followed by a notification", Some("N1"),
            threads: 2, loom: preemptions(3), shuttle: SAMPLE, stepped: states(100_000), std: RUNS,
        },
        scenario! {
            task::two_producers,
            "a task that needs two publications gets both", Some("N1"),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(300_000), std: RUNS,
        },
        scenario! {
            task::two_tasks,
            "two permits with two notify_one release two tasks", Some("N7"),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            task::a_task_cancels,
            "a task that is dropped after it has been chosen passes the notification on", Some("N7"),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(300_000), std: RUNS,
        },
        scenario! {
            task::a_task_and_a_thread,
            "a task and a thread wait for the same, and both get it", Some("N7"),
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(300_000), std: RUNS,
        },
        scenario! {
            task::a_task_hands_over,
            "the waker of the last poll is the one that is woken", None,
            threads: 2, loom: preemptions(3), shuttle: SAMPLE, stepped: states(100_000), std: RUNS,
        },
        scenario! {
            task::notify_all,
            "notify_all releases tasks and threads", None,
            threads: 3, loom: preemptions(2), shuttle: SAMPLE, stepped: states(300_000), std: RUNS,
        },
        scenario! {
            task::a_task_receives,
            "a task receives from a thread, and learns of the end", Some("M5"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(300_000), std: RUNS,
        },
        scenario! {
            task::a_task_waits_for_room,
            "a task that waits for room sends, or gets its item back at the close", Some("M5"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(300_000), std: RUNS,
        },
        scenario! {
            task::a_cancelled_receive_takes_nothing,
            "a receive that is dropped has taken nothing", Some("N7"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(300_000), std: RUNS,
        },
        scenario! {
            task::a_cancelled_send_passes_the_place_on,
            "a send that is dropped has sent nothing, and keeps no place from others", Some("N7"),
            threads: 3, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            task::a_ring_between_tasks,
            "items arrive in order between two tasks, through a ring of one place", Some("N9"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(300_000), std: RUNS,
        },
        scenario! {
            task::a_pool_between_tasks,
            "items arrive in order between two tasks, through a pool's queue", Some("N9"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
    ]
}

fn select_scenarios() -> Vec<Scenario> {
    vec![
        scenario! {
            select::two_inputs,
            "every item and every end of two inputs arrives once", None,
            threads: 2, loom: preemptions(1), shuttle: SAMPLE, stepped: TOO_LARGE, std: RUNS,
        },
        scenario! {
            select::two_inputs_of_a_task,
            "a task that waits for two inputs misses neither", None,
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
        scenario! {
            select::a_flood_does_not_starve,
            "a stop is heard within the budget of an input that never ends", Some("Q8"),
            threads: 2, loom: preemptions(2), shuttle: SAMPLE, stepped: states(400_000), std: RUNS,
        },
    ]
}
