//! The list of twins, each with the verdict that it must have.

use blocksmith_engines::loom::Loom;
use blocksmith_engines::shuttle::Shuttle;
use blocksmith_engines::stepped::Stepped;
use blocksmith_engines::verdict::Breaks::{DataRace, Deadlock, Panic};
use blocksmith_engines::verdict::Engine;
use blocksmith_engines::verdict::Expected::{Verified, Violated};
use blocksmith_models::hazard;

use super::{
    Twin, broker, engine, foreign, lifecycle, mailbox, mpmc, notifier, oneshot,
    payload_attestation, select, services, spsc, task, time, trace, validator, watch,
};

const ALL: &[Engine] = &[Engine::Loom, Engine::Shuttle, Engine::Stepped];
const LOOM: &[Engine] = &[Engine::Loom];
const SHUTTLE: &[Engine] = &[Engine::Shuttle];
const STEPPED: &[Engine] = &[Engine::Stepped];
const SEQUENTIAL: &[Engine] = &[Engine::Shuttle, Engine::Stepped];

macro_rules! twin {
    (
        $protocol:ident :: $name:ident, $hazard:expr, $claim:expr, threads: $threads:expr,
        preemptions: $preemptions:expr, expected: $expected:expr, by: $engines:expr $(,)?
    ) => {
        Twin {
            name: stringify!($name),
            protocol: stringify!($protocol),
            claim: $claim,
            hazard: $hazard,
            threads: $threads,
            expected: $expected,
            engines: $engines,
            preemptions: $preemptions,
            loom: $protocol::$name::<Loom>,
            shuttle: $protocol::$name::<Shuttle>,
            stepped: $protocol::$name::<Stepped>,
        }
    };
}

/// Returns all twins but those of N2.
pub(super) fn list() -> Vec<Twin> {
    vec![
        twin! {
            engine::a_look_before_the_change, &hazard::ENGINE,
            "what a thread reads before it changes a value hides no order of events",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("the change comes first")]), by: ALL,
        },
        twin! {
            engine::a_look_of_somebody_else, &hazard::ENGINE,
            "nor does what a third thread reads before it",
            threads: 3, preemptions: 3,
            expected: Violated(&[Panic("the change comes first")]), by: ALL,
        },
        twin! {
            engine::two_late_stores, &hazard::ENGINE,
            "each of two threads may look before the other's store is seen",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("neither store is seen")]), by: LOOM,
        },
        twin! {
            notifier::no_second_look, &hazard::N1, "sleeps without looking again after registering",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            notifier::another_word, &hazard::N3, "the futex compares a word that is not the epoch",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            notifier::seed_notifier, &hazard::N4, "the design notes' notifier, weak memory",
            threads: 3, preemptions: 3, expected: Violated(&[Deadlock]), by: LOOM,
        },
        twin! {
            notifier::seed_notifier, &hazard::N4,
            "the design notes' notifier, sequentially consistent: why its model did not see it",
            threads: 3, preemptions: 3, expected: Verified, by: SEQUENTIAL,
        },
        twin! {
            notifier::seed_notifier_with_fences, &hazard::N4,
            "the design notes' notifier with two fences, weak memory",
            threads: 3, preemptions: 2, expected: Verified, by: LOOM,
        },
        twin! {
            notifier::remembered_signal, &hazard::N5,
            "a condition variable that remembers a signal",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            notifier::forgotten_signal, &hazard::N5,
            "the same on a real condition variable: a signal without a waiter is nothing",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            notifier::notify_before_publish, &hazard::N6, "notifies, and publishes afterwards",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            notifier::a_wake_that_stays_counted, &hazard::N7,
            "who goes takes no wake off the count: the next notification finds one on its way",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            notifier::an_epoch_read_after_registering, &hazard::N7,
            "the epoch is read after registering: who is claimed may sleep on the moved one",
            threads: 2, preemptions: 3, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            notifier::a_count_of_one_bit, &hazard::N8,
            "two waiters are counted in one bit, and are none",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            notifier::a_count_of_two_bits, &hazard::N8, "the same two waiters, counted in two bits",
            threads: 3, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            notifier::four_in_two_bits, &hazard::N8,
            "eight threads: four waiters are counted in two bits, and are none",
            threads: 8, preemptions: 2, expected: Violated(&[Deadlock]), by: SHUTTLE,
        },
        twin! {
            notifier::four_in_three_bits, &hazard::N8,
            "the same eight threads, four waiters counted in three bits",
            threads: 8, preemptions: 2, expected: Verified, by: SHUTTLE,
        },
        twin! {
            notifier::two_kinds_of_waiters, &hazard::N7,
            "who waits for the end takes the wake-up of one that waits for a permit",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            notifier::an_expiry_loses_the_item, &hazard::N7,
            "an item handed to a receiver whose time is just over is lost",
            threads: 2, preemptions: 2, expected: Violated(&[Panic("an item is lost")]), by: ALL,
        },
        twin! {
            notifier::an_expiry_looks_again, &hazard::N7,
            "the same receiver, which looks once more after its time",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            notifier::an_expiry_stays_in_line, &hazard::N7,
            "a waiter whose time is over keeps its place in the line",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            notifier::a_sleep_that_ends_is_a_message, &hazard::N9,
            "a sleep that ends for no reason is taken for a message",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("a message out of nothing")]), by: ALL,
        },
        twin! {
            notifier::naps_that_double, &hazard::N10,
            "naps that double, and that a close does not end",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("after it was told to")]), by: STEPPED,
        },
        twin! {
            notifier::naps_that_can_be_ended, &hazard::N10,
            "naps of one length, which a close ends",
            threads: 2, preemptions: 2, expected: Verified, by: STEPPED,
        },
        twin! {
            task::no_second_look, &hazard::N1, "a task does not look again after registering",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            task::notify_before_publish, &hazard::N6,
            "a task is notified before there is anything to find",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            task::a_cancel_keeps_the_notification, &hazard::N7,
            "a task that has been chosen goes, and does not pass the notification on",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            task::the_first_waker_is_kept, &hazard::N7, "a second poll does not replace the waker",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            task::a_receive_in_two_polls, &hazard::N7,
            "an item is taken in one poll and returned in the next",
            threads: 2, preemptions: 2, expected: Violated(&[Panic("the item is lost")]), by: ALL,
        },
        twin! {
            task::a_cancel_searches, &hazard::N14,
            "a task that is cancelled is looked for from the front of the list",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("looks at the list grow with its length")]), by: ALL,
        },
        twin! {
            task::a_cancel_knows_its_place, &hazard::N14,
            "a task that is cancelled leaves the list from its place",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            mailbox::notify_before_link, &hazard::M3, "notifies between the swap and the link",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            mailbox::seven_notify_before_link, &hazard::M3,
            "eight threads: seven senders notify between the swap and the link",
            threads: 8, preemptions: 2, expected: Violated(&[Deadlock]), by: SHUTTLE,
        },
        twin! {
            mailbox::close_beside_the_queue, &hazard::M5,
            "closed is a flag that a send looks at first",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("accepted and received differ")]), by: ALL,
        },
        twin! {
            mailbox::a_block_found_relaxed, &hazard::M1,
            "a block that was moved is found without acquiring it",
            threads: 2, preemptions: 2, expected: Violated(&[DataRace]), by: LOOM,
        },
        twin! {
            mailbox::a_block_found_with_acquire, &hazard::M1,
            "a block that was moved is acquired as it is found",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            mailbox::a_block_freed_under_a_sender, &hazard::M1,
            "a block is freed when its last place is written, though not the first",
            threads: 3, preemptions: 2, expected: Violated(&[DataRace]), by: LOOM,
        },
        twin! {
            mailbox::a_block_freed_when_all_is_written, &hazard::M1,
            "a block is freed when all its places are written",
            threads: 3, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            mailbox::an_item_taken_when_claimed, &hazard::M1,
            "an item is taken from a place that is claimed and not written",
            threads: 2, preemptions: 2, expected: Violated(&[DataRace]), by: LOOM,
        },
        twin! {
            mailbox::a_credit_kept_asleep, &hazard::M8,
            "the receiver sleeps on a credit that a sender waits for",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            mailbox::a_close_that_wakes_no_sender, &hazard::M14,
            "a close wakes the receiver's side, and leaves blocked senders asleep",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            mailbox::a_close_that_wakes_senders, &hazard::M14,
            "the same close, which wakes both sides",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            spsc::index_published_relaxed, &hazard::M1,
            "the index does not release the item behind it",
            threads: 2, preemptions: 2, expected: Violated(&[DataRace]), by: LOOM,
        },
        twin! {
            spsc::index_published_with_release, &hazard::M1,
            "the index releases the item behind it",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            spsc::a_wasted_place, &hazard::M2,
            "full and empty are told apart by one place that is never used",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("an empty ring is full")]), by: ALL,
        },
        twin! {
            spsc::an_item_after_the_drain, &hazard::M6,
            "an item accepted after the receiver's drain leaks",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("the item is left behind")]), by: ALL,
        },
        twin! {
            spsc::both_destructors_drain, &hazard::M6, "two destructors drop the same item",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("the item is dropped twice")]), by: ALL,
        },
        twin! {
            spsc::a_close_that_wakes_the_other_side, &hazard::M14,
            "an end that closes wakes the other side, and not a task of its own",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            spsc::a_close_that_wakes_both_sides, &hazard::M14,
            "the same, but it wakes both sides",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            mpmc::an_unlocked_look, &hazard::M4, "plain memory is looked at without the lock",
            threads: 2, preemptions: 2, expected: Violated(&[DataRace]), by: LOOM,
        },
        twin! {
            mpmc::a_locked_look, &hazard::M4, "the same memory, looked at under the lock",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            mpmc::a_permit_that_wakes_nobody, &hazard::N7, "a permit that is dropped wakes no blocked sender",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            mpmc::a_permit_that_wakes_a_sender, &hazard::N7, "a permit that is dropped wakes a blocked sender",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            oneshot::reused_reply_channel, &hazard::M9,
            "answers come through one channel, unnumbered",
            threads: 2, preemptions: 2, expected: Violated(&[Panic("a stale answer")]), by: ALL,
        },
        twin! {
            oneshot::silent_drop, &hazard::M10, "the drop of a sender tells nobody",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            oneshot::waker_without_a_second_look, &hazard::M10,
            "a task puts its waker down and does not look again",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            oneshot::freed_under_the_waker, &hazard::L3,
            "the receiver frees a reply whose sender has yet to wake it",
            threads: 2, preemptions: 2, expected: Violated(&[DataRace]), by: LOOM,
        },
        twin! {
            select::parks_on_one_source, &hazard::Q8,
            "sleeps on the first input; the item is in the second",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            select::no_budget, &hazard::Q8,
            "the first input is looked at first, always, and starves the second",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("of the flood after the stop")]), by: ALL,
        },
        twin! {
            select::a_select_keeps_a_wake_up, &hazard::N7,
            "a worker that was woken for an item hears a stop and goes, and tells nobody",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            select::a_registration_is_not_renewed, &hazard::N7,
            "a select that has been chosen once sleeps without a registration",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            watch::the_value_is_read_before_the_version, &hazard::A11,
            "a reader reads a value, then a version, and takes the one for the other's",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("the last value that was seen")]), by: ALL,
        },
        twin! {
            watch::the_version_is_published_before_the_value, &hazard::A11,
            "a version is published before its value",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("the last value that was seen")]), by: ALL,
        },
        twin! {
            watch::the_value_is_published_first_and_read_last, &hazard::A11,
            "the same two words in the order that serves",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            watch::a_value_wakes_one_reader, &hazard::A11, "a value wakes one of two readers that wait for it",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            broker::a_look_before_the_subscription, &hazard::N1,
            "looks at the level, then subscribes",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("the change was told before anybody listened")]), by: ALL,
        },
        twin! {
            broker::told_under_the_lock, &hazard::B8,
            "a subscriber is told under the lock, and asks the broker",
            threads: 1, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            broker::told_after_the_lock, &hazard::B5,
            "a change is decided under the lock and told after it",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("an older change was told last")]), by: ALL,
        },
        twin! {
            broker::a_single_threshold, &hazard::B1, "a level begins and ends at one threshold",
            threads: 2, preemptions: 2, expected: Violated(&[Panic("the level flaps")]), by: ALL,
        },
        twin! {
            lifecycle::flag_beside_the_mailbox, &hazard::L1,
            "stop is a flag that a blocked receiver misses",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            lifecycle::mailbox_made_by_its_thread, &hazard::L2,
            "the mailbox is made by its own thread, and used before",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("the mailbox is not there yet")]), by: ALL,
        },
        twin! {
            lifecycle::replies_freed_by_the_teardown, &hazard::L3,
            "the reply channel is freed while a worker holds it",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("the reply channel was freed")]), by: ALL,
        },
        twin! {
            lifecycle::the_consumer_stops_first, &hazard::L4,
            "the consumer is stopped before its producer",
            threads: 3, preemptions: 2,
            expected: Violated(&[Panic("the consumer is gone before its producer")]), by: ALL,
        },
        twin! {
            lifecycle::nobody_hears_of_the_panic, &hazard::L5,
            "a worker's panic is contained, and its requester not answered",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            lifecycle::the_requester_hears_of_the_panic, &hazard::L5,
            "the same, but what was in hand is given up after the unwinding",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            lifecycle::poison_is_retried, &hazard::L6,
            "the successor tries the poisoned message again",
            threads: 2, preemptions: 2, expected: Violated(&[Panic("a restart loop")]), by: ALL,
        },
        twin! {
            lifecycle::a_stop_without_a_deadline, &hazard::L3,
            "a stop waits for a worker that is held up, whatever its deadline",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            lifecycle::a_stop_with_a_deadline, &hazard::L3,
            "the same stop, which returns at its deadline",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            services::a_share_of_the_whole_mailbox, &hazard::A1,
            "a peer may fill the Quarantine's mailbox, so the callers of the others wait",
            threads: 5, preemptions: 0,
            expected: Violated(&[Panic("the peer has another's place")]), by: SHUTTLE,
        },
        twin! {
            services::crossed_verdicts, &hazard::Q2, "two clients are answered crosswise",
            threads: 3, preemptions: 2,
            expected: Violated(&[Panic("the other client's verdict")]), by: SEQUENTIAL,
        },
        twin! {
            services::a_state_that_nobody_reports, &hazard::R11,
            "a task is passed over for a state that is loaded, and nobody says so",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            services::a_state_that_is_reported, &hazard::R11,
            "the same two tasks; the worker that loads the state says so",
            threads: 3, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            services::hot_db_waits_for_the_worker, &hazard::R3,
            "the HotDB waits for a state that the only worker, which waits for it, is to make",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: SHUTTLE,
        },
        twin! {
            services::no_error_reply, &hazard::R4,
            "a trail to an unknown parent is not answered until the parent comes",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: SHUTTLE,
        },
        twin! {
            services::verdict_before_commit, &hazard::R6, "the worker answers, then commits",
            threads: 3, preemptions: 2,
            expected: Violated(&[Panic("a valid block is not in the HotDB")]), by: SHUTTLE,
        },
        twin! {
            trace::of_a_verdict_before_commit, &hazard::R6,
            "the trace of a worker that answers, then commits, is refuted",
            threads: 3, preemptions: 0,
            expected: Violated(&[Panic("refuted by \"the commit before the verdict\"")]),
            by: &[Engine::Loom, Engine::Shuttle],
        },
        twin! {
            trace::of_a_commit_before_verdict, &hazard::R6,
            "the trace of the same pair as it must be is a behaviour",
            threads: 3, preemptions: 0, expected: Verified, by: &[Engine::Loom, Engine::Shuttle],
        },
        twin! {
            services::send_cycle, &hazard::M8,
            "two full mailboxes whose services wait for room in each other's",
            threads: 3, preemptions: 2, expected: Violated(&[Deadlock]), by: SHUTTLE,
        },
        twin! {
            services::too_few_reply_slots, &hazard::M8,
            "window + capacity + 1 reply slots: none for answers that are given but unread",
            threads: 3, preemptions: 2,
            expected: Violated(&[Panic("a slot for the answer")]), by: SHUTTLE,
        },
        twin! {
            services::enough_reply_slots, &hazard::M8,
            "as many reply slots as answers can be outstanding or unread",
            threads: 3, preemptions: 2, expected: Verified, by: SHUTTLE,
        },
        twin! {
            validator::an_answer_taken_by_its_number, &hazard::M9,
            "a successor takes an answer to its predecessor, whose request had the same number",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("another machine's signature")]), by: ALL,
        },
        twin! {
            validator::an_answer_taken_by_machine_and_number, &hazard::M9,
            "the same, but an answer says whose request it answers",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            validator::a_port_that_waits, &hazard::V6,
            "a port waits for its signer, which never answers, and the stop for the port",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            validator::a_port_that_returns, &hazard::V6,
            "the same signer; the port starts the request and returns",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            validator::a_stop_that_waits_for_room, &hazard::M8,
            "a journal stops the service that calls it, whose mailbox is full",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            validator::a_stop_that_has_its_room, &hazard::M8,
            "the same journal; the stop has a slot of its own",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            validator::a_lost_machine_ends_nothing, &hazard::L5,
            "the duty of a machine that has panicked has no end, and who waits for it waits on",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            validator::a_lost_machine_has_its_duties_ended, &hazard::L5,
            "the same; the successor's thread ends the duty as missed",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            payload_attestation::a_closed_stream_is_waited_for, &hazard::P6,
            "a stream of payloads that has ended is waited for again, and is ready at once",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("a stream that has ended is looked at again")]), by: ALL,
        },
        twin! {
            payload_attestation::a_closed_stream_is_left_out, &hazard::P6,
            "the same stream; the thread leaves out what has ended",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            foreign::a_wake_before_the_look, &hazard::M11,
            "the receiver's waker runs between the publication and the look at the end",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("what the ring accepted and what it ended with differ")]), by: ALL,
        },
        twin! {
            foreign::a_wake_after_the_look, &hazard::M11, "the receiver's waker runs after the look",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            foreign::a_waker_before_the_link, &hazard::M12,
            "a waker that drops the receiver runs between accepting and linking",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            foreign::a_waker_after_the_link, &hazard::M12,
            "a waker that drops the receiver runs after the link",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            foreign::told_under_the_lock, &hazard::N12,
            "a waker runs under the lock that it asks for",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            foreign::told_without_the_lock, &hazard::N12, "a waker runs after the lock",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            foreign::a_throw_ends_the_notification, &hazard::N13,
            "the panic of one waker ends the notification of all",
            threads: 2, preemptions: 2, expected: Violated(&[Deadlock]), by: ALL,
        },
        twin! {
            foreign::a_throw_is_contained, &hazard::N13, "the panic of each waker is contained",
            threads: 2, preemptions: 2, expected: Verified, by: ALL,
        },
        twin! {
            time::a_deadline_seen_at_an_expiry_alone, &hazard::N11,
            "a timed wait looks at its deadline only when a sleep has timed out",
            threads: 2, preemptions: 2,
            expected: Violated(&[Panic("a second look after the deadline")]), by: ALL,
        },
    ]
}
