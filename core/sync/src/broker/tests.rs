//! Tests of the machine's invariants as properties, and of the shell on real threads.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use quickcheck::{Arbitrary, Gen, QuickCheck, TestResult};

use super::{
    Age, Ask, Broker, Change, ClaimError, Gauge, Level, Limits, LimitsError, MAX_SUBSCRIBERS,
    Machine, RegisterError, Threshold, TooManySubscribers, Weight,
};
use crate::counters::Counters;
use crate::error::{Closed, TryRecvError};
use crate::policy::OnFull;
use crate::primitives::Primitives;
use crate::scripted::{counting_waker, forget_pending};
use crate::select::Select;
use crate::std_backend::Std;

const CAPACITY: u64 = 1000;
const SECOND: Duration = Duration::from_secs(1);

/// Limits without ages, so that the depth is the load.
fn by_depth() -> Limits {
    Limits { full_age: Duration::MAX, ..Limits::default() }
}

fn machine(limits: Limits) -> Machine {
    let mut machine = Machine::new(limits).expect("limits that make sense");
    machine.watch("box", Weight::Counts);
    machine
}

/// Counters of a mailbox that took `sent` items and gave `received`.
fn counters(sent: u64, received: u64) -> Counters {
    let depth = sent - received;
    Counters { depth, sent, received, capacity: CAPACITY, ..Counters::default() }
}

/// Shows the machine a mailbox with this depth.
fn show(machine: &mut Machine, now: Duration, depth: u64) -> Option<Change> {
    machine.observe(now, [("box", counters(depth, 0))])
}

fn check<A: quickcheck::Testable>(property: A) {
    QuickCheck::new().tests(500).quickcheck(property);
}

/// Depths with the time that passes before each, in milliseconds.
type Load = Vec<(u16, u16)>;

fn run(machine: &mut Machine, load: &Load) -> Vec<(Level, Option<Change>)> {
    let mut now = Duration::ZERO;
    let sample = |&(depth, pause): &(u16, u16)| {
        now += Duration::from_millis(u64::from(pause));
        let change = show(machine, now, u64::from(depth) % (CAPACITY + 1));
        (machine.level(), change)
    };
    load.iter().map(sample).collect()
}

#[test]
fn every_change_is_told_exactly_once_and_they_form_a_chain() {
    // Any depths at any times: a change is reported exactly when the level differs from before.
    fn property(load: Load) -> bool {
        let mut machine = machine(by_depth());
        let mut before = Level::Normal;
        let told = run(&mut machine, &load).into_iter().all(|(level, change)| {
            let expected = (level != before).then_some((before, level));
            before = level;
            change.map(|change| (change.from, change.to)) == expected
        });
        told && machine.snapshot().highest >= before
    }
    check(property as fn(Load) -> bool);
}

#[test]
fn a_load_between_the_thresholds_never_changes_the_level() {
    // From each level: depths between its fall and the next level's rise, however they oscillate.
    fn property(start: u8, load: Load) -> bool {
        let limits = by_depth();
        let index = usize::from(start % 4);
        let depth = |permille: u32| u64::from(permille) * CAPACITY / 1000;
        let reached = index.checked_sub(1).map(|below| limits.thresholds[below]);
        let lowest = reached.map_or(0, |threshold| depth(threshold.fall));
        let above = limits.thresholds.get(index).map_or(CAPACITY, |t| depth(t.rise) - 1);
        let mut machine = machine(limits);
        show(&mut machine, Duration::ZERO, reached.map_or(0, |threshold| depth(threshold.rise)));
        let mut now = Duration::ZERO;
        load.iter().all(|&(wish, pause)| {
            now += Duration::from_millis(u64::from(pause));
            let depth = lowest + u64::from(wish) % (above - lowest + 1);
            show(&mut machine, now, depth).is_none() && machine.level() == Level::ALL[index]
        })
    }
    check(property as fn(u8, Load) -> bool);
}

#[test]
fn more_load_is_never_a_lower_level() {
    // Two machines get the same times; the second gets as much load or more at every sample.
    fn property(load: Vec<(u16, u16, u16)>) -> bool {
        let [mut less, mut more] = [machine(by_depth()), machine(by_depth())];
        let mut now = Duration::ZERO;
        load.iter().all(|&(depth, extra, pause)| {
            now += Duration::from_millis(u64::from(pause));
            let depth = u64::from(depth) % (CAPACITY + 1);
            show(&mut less, now, depth);
            show(&mut more, now, (depth + u64::from(extra) % 500).min(CAPACITY));
            less.level() <= more.level()
        })
    }
    check(property as fn(Vec<(u16, u16, u16)>) -> bool);
}

#[test]
fn a_level_ends_only_after_the_load_was_low_for_the_dwell() {
    // One sample in between that is not low starts the wait over.
    let mut machine = machine(by_depth());
    assert_eq!(show(&mut machine, SECOND, 700).map(|change| change.to), Some(Level::Busy));
    for (seconds, depth, level) in [
        (2, 300, Level::Busy),
        (3, 450, Level::Busy),
        (4, 300, Level::Busy),
        (5, 300, Level::Busy),
        (6, 300, Level::Normal),
    ] {
        show(&mut machine, SECOND * seconds, depth);
        assert_eq!(machine.level(), level, "after {seconds} s");
    }
    assert_eq!(machine.snapshot().changes, 2);
}

#[test]
fn a_steady_flow_is_approached_at_the_stated_speed_whatever_the_distance_of_the_samples() {
    // After t seconds of a constant rate the figure is rate * (1 - exp(-t / time_constant)).
    fn property(rate: u16, pauses: Vec<u16>) -> TestResult {
        if pauses.is_empty() {
            return TestResult::discard();
        }
        let mut machine = machine(Limits::default());
        let (mut now, mut sent) = (Duration::ZERO, 0);
        machine.observe(now, [("box", counters(0, 0))]);
        for pause in &pauses {
            // Whole tenths of a second and ten times the rate, so that items are whole.
            now += Duration::from_millis(100 * u64::from(pause % 50 + 1));
            sent += u64::from(rate) * u64::from(pause % 50 + 1);
            machine.observe(now, [("box", counters(sent, sent))]);
        }
        let share = 1.0 - (-now.as_secs_f64() / 5.0).exp();
        let expected = 10.0 * f64::from(rate) * share;
        let figures = &machine.snapshot().mailboxes[0];
        let near = |found: f64| (found - expected).abs() <= 1e-6 * (1.0 + expected);
        TestResult::from_bool(near(figures.rate_in) && near(figures.rate_out))
    }
    check(property as fn(u16, Vec<u16>) -> TestResult);
}

/// Anything that a sample can be.
#[derive(Clone, Debug)]
struct Wild(Duration, Counters);

impl Arbitrary for Wild {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut number = || {
            let any = u64::arbitrary(g);
            *g.choose(&[0, 1, any % 100, any, u64::MAX]).unwrap_or(&any)
        };
        let now = Duration::from_millis(number());
        let (depth, sent, received) = (number(), number(), number());
        let (refused, evicted, high_water) = (number(), number(), number());
        let capacity = number();
        let counters = Counters { depth, sent, received, refused, evicted, high_water, capacity };
        Self(now, counters)
    }
}

#[test]
fn no_sample_makes_a_figure_infinite_negative_or_a_panic() {
    // Clocks jump, stand still and step back; counters are inconsistent.
    fn property(samples: Vec<Wild>) -> bool {
        let mut machine = machine(Limits::default());
        samples.into_iter().all(|Wild(now, counters)| {
            machine.observe(now, [("box", counters), ("nobody", counters)]);
            let snapshot = machine.snapshot();
            let figures = &snapshot.mailboxes[0];
            let sane = |rate: f64| rate.is_finite() && rate >= 0.0;
            sane(figures.rate_in)
                && sane(figures.rate_out)
                && figures.load <= 1000
                && figures.oldest.at_most.is_none_or(|most| figures.oldest.at_least <= most)
        })
    }
    check(property as fn(Vec<Wild>) -> bool);
}

#[test]
fn the_age_of_the_oldest_item_lies_between_its_bounds() {
    // Items are sent and received between samples; the test also keeps the true times of sending.
    fn property(steps: Vec<(u8, u8, u8)>) -> bool {
        let mut machine = machine(Limits::default());
        let (mut now, mut times, mut received) = (Duration::ZERO, Vec::new(), 0);
        machine.observe(now, [("box", counters(0, 0))]);
        steps.iter().cycle().take(steps.len() * 20).all(|&(sends, receives, pause)| {
            now += Duration::from_millis(u64::from(pause));
            times.extend(std::iter::repeat_n(now, usize::from(sends % 4)));
            received = times.len().min(received + usize::from(receives % 4));
            now += Duration::from_millis(1);
            machine.observe(now, [("box", counters(times.len() as u64, received as u64))]);
            let Age { at_least, at_most } = machine.snapshot().mailboxes[0].oldest;
            let age = times.get(received).map_or(Duration::ZERO, |sent| now - *sent);
            at_least <= age && at_most.is_some_and(|most| age <= most)
        })
    }
    check(property as fn(Vec<(u8, u8, u8)>) -> bool);
}

#[test]
fn an_item_that_waits_too_long_is_a_load_of_its_own() {
    // One item lies in a thousand places; by default twelve seconds count as full.
    let mut machine = machine(Limits::default());
    for second in 0..=13 {
        show(&mut machine, SECOND * second, u64::from(second > 0));
    }
    let snapshot = machine.snapshot();
    assert_eq!((snapshot.level, snapshot.load), (Level::Critical, 1000));
    let oldest = Age { at_least: SECOND * 12, at_most: Some(SECOND * 13) };
    assert_eq!(snapshot.mailboxes[0].oldest, oldest);
}

#[test]
fn where_items_wait_for_something_else_their_age_is_no_load() {
    // One item is in a table of a thousand for an hour.
    let mut machine = Machine::new(Limits::default()).expect("the defaults");
    machine.watch("table", Weight::Depth);
    for hour in 0..=1 {
        assert_eq!(machine.observe(SECOND * 3600 * hour, [("table", counters(1, 0))]), None);
    }
    assert_eq!(machine.snapshot().load, 1);
}

#[test]
fn a_mailbox_that_is_only_shown_raises_no_level() {
    // The mailbox that is shown is full; the one that counts is empty.
    let mut machine = machine(Limits::default());
    machine.watch("notices", Weight::Shown);
    let full = counters(CAPACITY, 0);
    assert_eq!(machine.observe(SECOND, [("box", counters(0, 0)), ("notices", full)]), None);
    let loads: Vec<_> = machine.snapshot().mailboxes.iter().map(|figures| figures.load).collect();
    assert_eq!(loads, [0, 1000]);
}

#[test]
fn each_level_asks_for_what_the_one_below_does_and_for_one_thing_more() {
    // Detection is the last to stop; protection is never mentioned.
    assert_eq!(Level::Normal.asks(), []);
    assert_eq!(Level::Busy.asks(), [Ask::DropPeers]);
    assert_eq!(Level::High.asks(), [Ask::DropPeers, Ask::DropSyncRequests]);
    assert_eq!(Level::Critical.asks(), Ask::ALL);
    assert_eq!(Ask::ALL.last(), Some(&Ask::StopSlashingDetection));
}

#[test]
fn limits_that_would_flap_or_are_out_of_order_are_refused() {
    // A single threshold; a level that begins or ends before the one below; a load beyond a full
    // mailbox; a divisor that is zero. Levels may begin and end together.
    let with = |index: usize, rise, fall| {
        let mut limits = Limits::default();
        limits.thresholds[index] = Threshold { rise, fall };
        Broker::<Std>::new(limits).err()
    };
    let flaps = LimitsError::Hysteresis { level: Level::Busy, rise: 500, fall: 500 };
    assert_eq!(with(0, 500, 500), Some(flaps));
    assert_eq!(with(1, 550, 410), Some(LimitsError::Order(Level::High)));
    assert_eq!(with(1, 700, 399), Some(LimitsError::Order(Level::High)));
    let beyond = LimitsError::Hysteresis { level: Level::Critical, rise: 1001, fall: 800 };
    assert_eq!(with(2, 1001, 800), Some(beyond));
    assert_eq!((with(2, 1000, 800), with(1, 600, 400)), (None, None));
    let limits = Limits { time_constant: Duration::ZERO, ..Limits::default() };
    assert_eq!(Broker::<Std>::new(limits).err(), Some(LimitsError::Zero("time_constant")));
}

#[test]
fn a_gauge_counts_what_comes_and_each_way_out() {
    // Five come in and four do not; two go out to be handled, and one unhandled.
    let gauge = Gauge::new(8);
    gauge.received(2);
    gauge.evicted(3);
    let early = gauge.counters();
    assert_eq!((early.depth, early.sent), (0, 5), "what went out had come in");
    let gauge = Gauge::new(8);
    gauge.accepted(5);
    gauge.refused(4);
    gauge.received(2);
    gauge.evicted(1);
    let (depth, high_water, capacity) = (2, 5, 8);
    let expected =
        Counters { depth, sent: 5, received: 2, refused: 4, evicted: 1, high_water, capacity };
    assert_eq!(gauge.counters(), expected);
}

#[test]
fn names_are_checked_and_unique() {
    // A name has no spaces or capitals, is not empty, and belongs to one mailbox until that is
    // forgotten.
    let broker = Broker::<Std>::new(Limits::default()).expect("the defaults");
    let watch = |name: &str| broker.watch(name, Weight::Counts, Counters::default);
    for name in ["", "Work", "a b", "x\"y", &"a".repeat(65)] {
        assert_eq!(watch(name), Err(RegisterError::Name(name.to_owned())));
    }
    assert_eq!(watch(&"a".repeat(64)), Ok(()));
    assert_eq!(watch("rewinder.blocks"), Ok(()));
    assert_eq!(watch("rewinder.blocks"), Err(RegisterError::Taken("rewinder.blocks".to_owned())));
    assert!(broker.forget("rewinder.blocks"));
    assert_eq!(watch("rewinder.blocks"), Ok(()));
}

#[test]
fn a_mailbox_that_is_forgotten_is_no_load() {
    // A full mailbox is watched, and then forgotten: the next sample neither shows nor counts it.
    let broker = Broker::<Std>::new(by_depth()).expect("limits that make sense");
    assert_eq!(broker.watch("full", Weight::Counts, || counters(CAPACITY, 0)), Ok(()));
    broker.observe_at(SECOND);
    let before = broker.snapshot();
    assert!(before.load > 0 && before.mailboxes.len() == 1, "{before:?}");
    assert!(broker.forget("full") && !broker.forget("full"));
    broker.observe_at(2 * SECOND);
    let after = broker.snapshot();
    assert!(after.load == 0 && after.mailboxes.is_empty(), "{after:?}");
}

#[test]
fn a_mailbox_comes_back_with_what_is_pending_and_can_be_ended() {
    // A mailbox is lent, claimed as the wrong type, claimed, and ended; then its senders learn that
    // it is closed.
    let broker = Broker::<Std>::new(Limits::default()).expect("the defaults");
    let opened = broker.open::<u32>("work", Weight::Counts, 4, 0, OnFull::Refuse);
    let (sender, lease) = opened.expect("a new name");
    assert!((1..=3).all(|n| sender.send(n) == Ok(None)));
    assert_eq!(broker.claim::<u32>("work").err(), Some(ClaimError::Away));
    assert_eq!(lease.recv(), Ok(1));
    drop(lease);
    assert_eq!(broker.claim::<String>("work").err(), Some(ClaimError::OtherType));
    assert_eq!(broker.claim::<u32>("play").err(), Some(ClaimError::Unknown));
    let lease = broker.claim::<u32>("work").expect("it is back");
    assert_eq!(lease.try_recv(), Ok(2));
    broker.observe();
    let counters = broker.snapshot().mailboxes[0].counters;
    assert_eq!((counters.depth, counters.sent, counters.received), (1, 3, 2));
    lease.end();
    assert!(sender.send(4).is_err_and(|error| error.is_closed()));
    assert_eq!(broker.claim::<u32>("work").err(), Some(ClaimError::Unknown));
}

#[test]
fn a_subscription_keeps_the_latest_change_and_is_bounded_in_number() {
    // Of three unread changes the last is there. One subscription too many is refused, until one
    // goes.
    let broker = Broker::<Std>::new(by_depth()).expect("they make sense");
    let depth = Std::arc(core::sync::atomic::AtomicU64::new(0));
    let shown = depth.clone();
    // ORDERING: none needed; one thread.
    let read = move || counters(shown.load(core::sync::atomic::Ordering::Relaxed), 0);
    broker.watch("box", Weight::Counts, read).expect("a new name");
    let mut held: Vec<_> =
        (0..MAX_SUBSCRIBERS).map(|_| broker.subscribe().expect("there is room")).collect();
    assert_eq!(broker.subscribe().err(), Some(TooManySubscribers));
    assert!(Ask::ALL.into_iter().all(|ask| !broker.asks(ask)));
    for now in [700, 850, 1000] {
        depth.store(now, core::sync::atomic::Ordering::Relaxed);
        broker.observe_at(SECOND);
    }
    let (level, changes) = held.swap_remove(0);
    let change = Change { from: Level::High, to: Level::Critical, at: SECOND };
    assert_eq!((level, changes.try_recv()), (Level::Normal, Ok(change)));
    assert!(broker.asks(Ask::StopSlashingDetection));
    drop(changes);
    assert_eq!(broker.subscribe().map(|(level, _)| level), Ok(Level::Critical));
}

#[test]
fn a_wait_for_a_change_that_was_forgotten_takes_no_wake_up_from_the_next() {
    // A future of a subscription is forgotten while it waits; the change wakes the next future.
    let broker = Broker::<Std>::new(by_depth()).expect("they make sense");
    broker.watch("box", Weight::Counts, || counters(700, 0)).expect("a new name");
    let (_, mut changes) = broker.subscribe().expect("there is room");
    let ((stale, other), (wakes, waker)) = (counting_waker(), counting_waker());
    forget_pending(changes.recv_async(), &other);
    let mut next = pin!(changes.recv_async());
    let mut context = Context::from_waker(&waker);
    assert!(next.as_mut().poll(&mut context).is_pending());
    let change = broker.observe_at(SECOND).expect("the level rises");
    assert_eq!((wakes.get(), stale.get()), (1, 1));
    assert_eq!(next.poll(&mut context), Poll::Ready(Ok(change)));
}

#[test]
fn a_thread_that_serves_ends_when_it_is_told_to() {
    // The thread sleeps for an hour between samples; the test does not take that long.
    let broker = Broker::<Std>::new(Limits::default()).expect("the defaults");
    let server = broker.clone();
    let thread = std::thread::spawn(move || server.serve(SECOND * 3600, |_| ()));
    broker.stop();
    assert!(thread.join().is_ok());
}

#[test]
fn a_lease_is_awaited_and_selected_over() {
    // A task receives one item; a select that borrows the lease receives one and the end; a select
    // that owns the lease receives one.
    let broker = Broker::<Std>::new(Limits::default()).expect("the defaults");
    let opened = broker.open::<u32>("work", Weight::Counts, 4, 0, OnFull::Refuse);
    let (sender, mut lease) = opened.expect("a new name");
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut item = pin!(lease.recv_async());
        assert!(item.as_mut().poll(&mut context).is_pending());
        sender.send(1).expect("there is room");
        assert_eq!(item.poll(&mut context), Poll::Ready(Ok(1)));
    }
    {
        let (wakes, waker) = counting_waker();
        let mut inputs = Select::new().source(1, &mut lease, |item| item);
        let mut next = pin!(inputs.recv_async());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        sender.send(1).expect("there is room");
        assert_eq!(wakes.get(), 1);
        assert_eq!(next.poll(&mut context), Poll::Ready(Ok(Ok(1))));
    }
    sender.send(2).expect("there is room");
    assert_eq!(Select::new().source(1, &mut lease, |item| item).recv(), Ok(Ok(2)));
    let mut inputs = Select::new().source(1, lease, |item| item);
    assert_eq!(inputs.try_recv(), Err(TryRecvError::Empty));
    drop(inputs); // the lease ends, and the mailbox is back
    sender.send(3).expect("there is room");
    let lease = broker.claim::<u32>("work").expect("it is here");
    drop(sender);
    let mut inputs = Select::new().source(1, lease, |item| item);
    assert_eq!([(); 2].map(|()| inputs.recv()), [Ok(Ok(3)), Ok(Err(Closed))]);
}

#[test]
fn a_thread_that_serves_takes_samples_and_tells_changes() {
    // A full mailbox is watched; who is told of it ends the service.
    let broker = Broker::<Std>::new(by_depth()).expect("limits that make sense");
    assert_eq!(broker.watch("full", Weight::Counts, || counters(CAPACITY, 0)), Ok(()));
    let mut told = Vec::new();
    broker.serve(Duration::from_millis(1), |change| {
        told.push(change.to);
        broker.stop();
    });
    assert_eq!(told, [Level::Critical]);
}

#[test]
fn a_lease_of_a_mailbox_that_was_forgotten_does_not_come_back_as_another() {
    // The mailbox is forgotten while it is lent, and another gets its name.
    let broker = Broker::<Std>::new(Limits::default()).expect("the defaults");
    let open = || broker.open::<u32>("work", Weight::Counts, 4, 0, OnFull::Refuse);
    let (old_sender, old_lease) = open().expect("a new name");
    assert!(broker.forget("work"));
    let (sender, lease) = open().expect("a name that is free again");
    drop(old_lease);
    assert!(old_sender.is_closed(), "it was dropped");
    assert_eq!(broker.claim::<u32>("work").err(), Some(ClaimError::Away));
    sender.send(1).expect("there is room");
    drop(lease);
    assert_eq!(broker.claim::<u32>("work").map(|lease| lease.recv()), Ok(Ok(1)));
}

#[test]
fn levels_and_asks_have_their_words() {
    // Reports and logs name them so.
    let words = Level::ALL.map(|level| (level.word(), level.to_string()));
    let expected = ["normal", "busy", "high", "critical"];
    assert_eq!(words, expected.map(|word| (word, word.to_owned())));
    let asks = Ask::ALL.map(Ask::word);
    assert_eq!(asks, ["drop_peers", "drop_sync_requests", "stop_slashing_detection"]);
    let broker = Broker::<Std>::new(Limits::default()).expect("the defaults");
    assert_eq!(format!("{broker:?}"), "Broker { level: Normal, .. }");
    let opened = broker.open::<u32>("work", Weight::Counts, 4, 0, OnFull::Refuse);
    let (_, lease) = opened.expect("a new name");
    assert_eq!(format!("{lease:?}"), "Lease { name: \"work\", .. }");
}
