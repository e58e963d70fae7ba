//! The checks of faulty channels, which the harness must refute, and of the same channels without a
//! fault, which must pass.

use blocksmith_models::hazard::{self, Hazard};
use blocksmith_sync::OnFull;

use super::entry::{
    BLOCK, Entry, Head, NOT_LINEARIZABLE, ONE, ONE_AND_TWO, pair, told, two_receivers, two_senders,
};
use super::faulty::{self, Fault, Faulty};
use super::faulty_select::{self, Fault as SelectFault, FaultySelect};
use super::faulty_watch::{self, Fault as WatchFault, FaultyWatch};
use super::spec::Granularity::{AtOnce, Either, Latest};
use super::subjects::{FIGURES, THREADS, WATCH, Watch};
use super::{Family, Runner};
use crate::channel::Mailbox;
use blocksmith_models::catalogue::Expected;

const REFUSE: &[OnFull] = &[OnFull::Refuse];
const EVICT: &[OnFull] = &[OnFull::EvictOldest];

/// Returns the checks of all faulty channels.
pub(super) fn entries() -> Vec<Entry> {
    [faults(), faults_of_keepers(), faults_of_watches(), faults_of_figures(), faults_of_deadlines()]
        .into_iter()
        .chain([faults_of_selects()])
        .flatten()
        .collect()
}

/// The channel of which the faulty ones are variants.
const FAULTLESS: Head = Head {
    name: "a_locked_queue",
    claim: "the queue of which the faulty ones are variants",
    hazard: None,
    expected: Expected::Verified,
};

const SAMPLE: Runner = Runner::Shuttle(200);

const fn twin(name: &'static str, claim: &'static str, hazard: Option<&'static Hazard>) -> Head {
    Head { name, claim, hazard, expected: NOT_LINEARIZABLE }
}

/// Returns the checks of the queue: without a fault it passes, and each fault is refuted.
fn faults() -> Vec<Entry> {
    let faulty = |head: Head, fault, shape, policies, runner| {
        let (granularity, shapes, capacities) = (AtOnce, vec![shape], ONE_AND_TWO);
        let (subject, calls) = (Faulty(fault), faulty::CALLS);
        head.check(Family { subject, calls, granularity, shapes, capacities, policies, runner })
    };
    let lifo = twin("last_in_first_out", "the newest item is received first", Some(&hazard::M15));
    let late = twin(
        "accepted_after_close",
        "an item is accepted after the end was seen",
        Some(&hazard::M5),
    );
    let stale = twin("stale_empty", "empty, though a send has returned", Some(&hazard::M3));
    let more = twin("one_too_many", "two senders find the same room", Some(&hazard::M7));
    let twice = twin("received_twice", "two receivers take the same item", Some(&hazard::M6));
    let lost =
        twin("lost_on_eviction", "an item that evicted another is dropped", Some(&hazard::M7));
    let strict = twin(
        "mailbox_at_once",
        "the mailbox, if its calls are to happen at once: why they happen in steps",
        Some(&hazard::M3),
    );
    let mailbox = Family {
        subject: Mailbox,
        calls: THREADS,
        granularity: AtOnce,
        shapes: vec![two_senders(1, 3)],
        capacities: ONE,
        policies: BLOCK,
        runner: Runner::Shuttle(400),
    };
    vec![
        faulty(FAULTLESS, Fault::None, two_senders(1, 3), EVICT, SAMPLE),
        faulty(FAULTLESS, Fault::None, pair(1, 2), REFUSE, Runner::Loom(2)),
        faulty(lifo, Fault::LastInFirstOut, pair(2, 4), REFUSE, SAMPLE),
        faulty(lifo, Fault::LastInFirstOut, pair(2, 3), REFUSE, Runner::Loom(2)),
        faulty(late, Fault::AcceptedAfterClose, pair(2, 4), REFUSE, SAMPLE),
        faulty(late, Fault::AcceptedAfterClose, pair(2, 3), REFUSE, Runner::Loom(2)),
        faulty(stale, Fault::StaleEmpty, pair(2, 3), REFUSE, SAMPLE),
        faulty(stale, Fault::StaleEmpty, told(pair(1, 2)), REFUSE, Runner::Loom(2)),
        faulty(more, Fault::OneTooMany, two_senders(1, 3), REFUSE, SAMPLE),
        faulty(twice, Fault::ReceivedTwice, two_receivers(1, 3), REFUSE, SAMPLE),
        faulty(lost, Fault::LostOnEviction, two_senders(2, 4), EVICT, SAMPLE),
        strict.check(mailbox),
    ]
}

/// Returns the checks of the queue whose senders keep places.
fn faults_of_keepers() -> Vec<Entry> {
    let keeping = |head: Head, fault, shape, runner| {
        let (granularity, shapes, capacities) = (AtOnce, vec![shape], ONE_AND_TWO);
        let (subject, calls, policies) = (Faulty(fault), faulty::KEEPERS, REFUSE);
        head.check(Family { subject, calls, granularity, shapes, capacities, policies, runner })
    };
    let none = Head { name: "a_locked_queue_keeps", ..FAULTLESS };
    let unkept =
        twin("a_place_is_not_kept", "another item takes a place that was kept", Some(&hazard::M7));
    let unfreed = twin(
        "a_place_is_not_freed",
        "full, though the place that was kept is given back",
        Some(&hazard::M7),
    );
    vec![
        keeping(none, Fault::None, two_senders(1, 3), SAMPLE),
        keeping(none, Fault::None, pair(1, 2), Runner::Loom(2)),
        keeping(unkept, Fault::PlaceNotKept, two_senders(1, 3), SAMPLE),
        keeping(unkept, Fault::PlaceNotKept, two_senders(1, 2), Runner::Loom(2)),
        keeping(unfreed, Fault::PlaceNotFreed, pair(2, 3), SAMPLE),
        keeping(unfreed, Fault::PlaceNotFreed, pair(2, 3), Runner::Loom(2)),
    ]
}

/// Returns the checks of the watch.
fn faults_of_watches() -> Vec<Entry> {
    let watching = |head: Head, fault, shape, runner| {
        let (granularity, shapes, capacities, policies) = (Latest, vec![shape], ONE, BLOCK);
        let (subject, calls) = (FaultyWatch(fault), faulty_watch::CALLS);
        head.check(Family { subject, calls, granularity, shapes, capacities, policies, runner })
    };
    let none = Head {
        name: "a_locked_place",
        claim: "the watch of which the faulty ones are variants",
        ..FAULTLESS
    };
    let seen = twin(
        "seen_by_all",
        "what one reader of a watch has seen is not told to the other",
        Some(&hazard::A11),
    );
    let seen_late = twin(
        "seen_too_late",
        "a value that comes while a reader reads counts as seen",
        Some(&hazard::A11),
    );
    let queued = twin(
        "watch_in_line",
        "the watch, if each of its values were to be read: why a later one replaces an earlier",
        Some(&hazard::A11),
    );
    let watch = Family {
        subject: Watch,
        calls: WATCH,
        granularity: AtOnce,
        shapes: vec![pair(2, 3)],
        capacities: ONE_AND_TWO,
        policies: BLOCK,
        runner: Runner::Shuttle(100),
    };
    vec![
        watching(none, WatchFault::None, two_receivers(1, 3), SAMPLE),
        watching(none, WatchFault::None, pair(2, 3), Runner::Loom(2)),
        watching(seen, WatchFault::SeenByAll, two_receivers(1, 3), SAMPLE),
        watching(seen, WatchFault::SeenByAll, two_receivers(1, 3), Runner::Loom(1)),
        watching(seen_late, WatchFault::SeenTooLate, pair(2, 4), SAMPLE),
        watching(seen_late, WatchFault::SeenTooLate, pair(2, 4), Runner::Loom(3)),
        queued.check(watch),
    ]
}

/// Returns the checks of the queue whose ends look at figures.
fn faults_of_figures() -> Vec<Entry> {
    let counting = |head: Head, fault, shape, runner| {
        let (granularity, shapes, capacities) = (AtOnce, vec![shape], ONE_AND_TWO);
        let (subject, calls, policies) = (Faulty(fault), faulty::FIGURES, REFUSE);
        head.check(Family { subject, calls, granularity, shapes, capacities, policies, runner })
    };
    let none = Head { name: "a_locked_queue_counts", ..FAULTLESS };
    let still = twin(
        "a_received_item_is_counted",
        "an item that was received by the call before is still counted",
        Some(&hazard::M16),
    );
    let late =
        twin("full_too_late", "not full, though a send would find no room", Some(&hazard::M16));
    let strict = twin(
        "mailbox_counts_at_once",
        "the mailbox, if its len were that of one moment: why it is a count that takes a while",
        Some(&hazard::M16),
    );
    let mailbox = Family {
        subject: Mailbox,
        calls: FIGURES,
        granularity: AtOnce,
        shapes: vec![two_senders(2, 4)],
        capacities: &[2],
        policies: REFUSE,
        runner: Runner::Shuttle(100),
    };
    vec![
        counting(none, Fault::None, two_senders(1, 3), SAMPLE),
        counting(none, Fault::None, told(pair(1, 2)), Runner::Loom(2)),
        counting(still, Fault::StillCounted, pair(2, 3), SAMPLE),
        counting(still, Fault::StillCounted, pair(2, 3), Runner::Loom(2)),
        counting(late, Fault::FullTooLate, pair(2, 3), SAMPLE),
        counting(late, Fault::FullTooLate, pair(2, 3), Runner::Loom(2)),
        strict.check(mailbox),
    ]
}

/// Returns the checks of the queue whose ends wait with a deadline.
fn faults_of_deadlines() -> Vec<Entry> {
    let waiting = |head: Head, fault, shape, runner| {
        let (granularity, shapes, capacities) = (AtOnce, vec![shape], ONE_AND_TWO);
        let (subject, calls, policies) = (Faulty(fault), faulty::DEADLINES, REFUSE);
        head.check(Family { subject, calls, granularity, shapes, capacities, policies, runner })
    };
    let none = Head { name: "a_locked_queue_with_deadlines", ..FAULTLESS };
    let blind = twin(
        "late_without_a_look",
        "a receive whose deadline has passed says so, although an item is there",
        Some(&hazard::N15),
    );
    let lost = twin(
        "late_with_an_item",
        "a receive takes an item, finds that its deadline has passed, and drops the item",
        Some(&hazard::N15),
    );
    vec![
        waiting(none, Fault::None, pair(2, 3), SAMPLE),
        waiting(none, Fault::None, told(pair(1, 2)), Runner::Loom(2)),
        waiting(blind, Fault::LateWithoutALook, pair(2, 3), SAMPLE),
        waiting(blind, Fault::LateWithoutALook, told(pair(1, 2)), Runner::Loom(2)),
        waiting(lost, Fault::LateWithAnItem, pair(2, 3), SAMPLE),
        waiting(lost, Fault::LateWithAnItem, pair(2, 3), Runner::LoomSpurious(2)),
    ]
}

/// Returns the checks of the select over two queues.
fn faults_of_selects() -> Vec<Entry> {
    let selecting = |head: Head, fault, shape, runner| {
        let (granularity, shapes, capacities) = (Either, vec![shape], ONE);
        let (subject, calls, policies) = (FaultySelect(fault), faulty_select::CALLS, BLOCK);
        head.check(Family { subject, calls, granularity, shapes, capacities, policies, runner })
    };
    let (few, more) = (two_senders(2, 3), two_senders(2, 4));
    let none = Head {
        name: "two_locked_queues",
        claim: "the select of which the faulty ones are variants",
        ..FAULTLESS
    };
    let both = twin(
        "a_select_takes_from_both",
        "a select takes an item from each of two channels, and drops one",
        Some(&hazard::M17),
    );
    let one = twin(
        "one_end_is_the_end",
        "a select says that nothing more can come when one of its channels has ended",
        Some(&hazard::M17),
    );
    let last = twin(
        "the_last_comes_first",
        "a select receives from its second channel, although the first has something",
        Some(&hazard::Q8),
    );
    vec![
        selecting(none, SelectFault::None, few, SAMPLE),
        selecting(none, SelectFault::None, few, Runner::Loom(1)),
        selecting(both, SelectFault::TakesFromBoth, more, SAMPLE),
        selecting(both, SelectFault::TakesFromBoth, more, Runner::Loom(2)),
        selecting(one, SelectFault::OneEndIsAll, few, SAMPLE),
        selecting(one, SelectFault::OneEndIsAll, few, Runner::Loom(1)),
        selecting(last, SelectFault::LastFirst, few, SAMPLE),
    ]
}
