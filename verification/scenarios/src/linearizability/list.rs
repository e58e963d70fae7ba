//! The families of client programs of core's channels, as checks of the catalogue.

use blocksmith_models::catalogue::{Check, Expected};
use blocksmith_sync::OnFull;

use super::depth::Depth;
use super::entry::{
    BLOCK, Entry, Head, ONE, ONE_AND_TWO, Size, pair, told, two_receivers, two_senders,
};
use super::faults;
use super::program::{Calls, Shape};
use super::select::PoolAndRing;
use super::spec::Granularity::{self, AtOnce, Either, InSteps, Latest};
use super::subjects::{
    DEADLINES, DEADLINES_OF_ONE, DEADLINES_OF_READERS, FIGURES, FIGURES_OF_KEEPERS, KEEPERS,
    Keeping, ONE_SHOT, ONLOOKERS, OneShot, SELECT, Subject, TASKS, THREADS, WATCH, Watch,
};
use super::{Family, Runner};
use crate::channel::{Mailbox, Mpmc, Spsc};

const REFUSE: &[OnFull] = &[OnFull::Refuse];
const BACKPRESSURE: &[OnFull] = &[OnFull::Block, OnFull::Refuse];
const EVERY_POLICY: &[OnFull] = &[OnFull::Block, OnFull::Refuse, OnFull::EvictOldest];

/// The families of one channel, in CI and deep.
struct Channel<S> {
    subject: S,
    calls: Calls,
    granularity: Granularity,
    policies: &'static [OnFull],
    capacities: &'static [usize],
    /// The sizes of the programs for shuttle, in CI and deep.
    sampled: [Vec<Shape>; 2],
    /// The sizes of the programs for loom, in CI and deep.
    explored: [Vec<Shape>; 2],
    /// The sizes of the programs with a signal. In CI, loom runs them with one preemption less.
    told: [Vec<Shape>; 2],
}

impl<S: Subject> Channel<S> {
    fn checks(self, names: [&'static str; 2], claim: &'static str, depth: Depth) -> [Entry; 3] {
        let (place, schedules, preemptions, signalled) = match depth {
            Depth::Quick => (0, 10, 1, 1),
            Depth::Ci => (0, 40, 2, 1),
            Depth::Deep => (1, 100, 2, 2),
        };
        let family = |shapes: &[Vec<Shape>; 2], capacities, policies, runner| Family {
            subject: self.subject,
            calls: self.calls,
            granularity: self.granularity,
            shapes: shapes[place].clone(),
            capacities,
            policies,
            runner,
        };
        let (capacities, policies) = (self.capacities, self.policies);
        let head = Head { name: names[0], claim, hazard: None, expected: Expected::Verified };
        let told = Head { name: names[1], ..head };
        [
            head.check(family(&self.sampled, capacities, policies, Runner::Shuttle(schedules))),
            head.check(family(&self.explored, ONE, BLOCK, Runner::Loom(preemptions))),
            told.check(family(&self.told, ONE, policies, Runner::LoomSpurious(signalled))),
        ]
    }
}

/// Returns the checks: first those of core's channels, then those of faulty channels.
#[must_use]
pub fn checks(depth: Depth) -> Vec<Check> {
    entries(depth).into_iter().map(|entry| entry.check).collect()
}

/// Returns what each check that must hold enumerates, in words.
#[must_use]
pub fn sizes(depth: Depth) -> Vec<Size> {
    let holds = |entry: &Entry| entry.check.expected == Expected::Verified;
    entries(depth).into_iter().filter(holds).map(|entry| (entry.size)()).collect()
}

fn entries(depth: Depth) -> Vec<Entry> {
    let spsc = Channel {
        subject: Spsc,
        calls: THREADS,
        granularity: AtOnce,
        policies: BACKPRESSURE,
        capacities: ONE_AND_TWO,
        sampled: [vec![pair(2, 4)], vec![pair(3, 6)]],
        explored: [vec![pair(1, 2)], vec![pair(2, 3)]],
        told: [vec![told(pair(1, 2))], vec![told(pair(1, 2))]],
    };
    let mpmc = Channel {
        subject: Mpmc,
        calls: THREADS,
        granularity: AtOnce,
        policies: BACKPRESSURE,
        capacities: ONE_AND_TWO,
        sampled: [
            vec![pair(2, 4), two_senders(1, 3), two_receivers(1, 3)],
            vec![pair(3, 5), two_senders(2, 4), two_receivers(2, 4)],
        ],
        explored: [vec![pair(1, 2)], vec![pair(2, 3)]],
        told: [vec![told(pair(1, 2))], vec![told(pair(1, 2))]],
    };
    let mailbox = Channel {
        subject: Mailbox,
        calls: THREADS,
        granularity: InSteps,
        policies: EVERY_POLICY,
        capacities: ONE_AND_TWO,
        sampled: [vec![pair(2, 4), two_senders(1, 3)], vec![pair(3, 5), two_senders(2, 4)]],
        explored: [vec![pair(1, 2)], vec![pair(2, 3)]],
        told: [vec![told(pair(1, 2))], vec![told(pair(1, 2))]],
    };
    let oneshot = Channel {
        subject: OneShot,
        calls: ONE_SHOT,
        granularity: AtOnce,
        policies: BLOCK,
        capacities: ONE,
        sampled: [vec![pair(3, 4)], vec![pair(5, 6)]],
        explored: [vec![pair(3, 4)], vec![pair(5, 6)]],
        told: [vec![told(pair(2, 3))], vec![told(pair(4, 5))]],
    };
    let watch = Channel {
        subject: Watch,
        calls: WATCH,
        granularity: Latest,
        policies: BLOCK,
        capacities: ONE,
        sampled: [
            vec![pair(2, 4), two_senders(1, 3), two_receivers(1, 3)],
            vec![pair(3, 5), two_senders(2, 4), two_receivers(2, 4)],
        ],
        explored: [vec![pair(1, 2)], vec![pair(2, 3)]],
        told: [vec![told(pair(1, 2))], vec![told(pair(1, 2))]],
    };
    let mut all = Vec::new();
    all.extend(spsc.checks(["spsc", "spsc_told"], "the ring is a bounded FIFO with close", depth));
    all.extend(mpmc.checks(
        ["mpmc", "mpmc_told"],
        "the pool's queue is a bounded FIFO with close",
        depth,
    ));
    all.extend(mailbox.checks(
        ["mailbox", "mailbox_told"],
        "the mailbox is a bounded FIFO with close whose calls happen in steps",
        depth,
    ));
    all.extend(oneshot.checks(
        ["oneshot", "oneshot_told"],
        "the one-shot is a FIFO for one item with close",
        depth,
    ));
    all.extend(watch.checks(
        ["watch", "watch_told"],
        "the watch is, for each reader, a place for one item that a later one replaces, with close",
        depth,
    ));
    all.extend(keepers("mpmc_permits", Keeping(Mpmc), AtOnce, BACKPRESSURE, depth));
    all.extend(keepers("mailbox_permits", Keeping(Mailbox), InSteps, EVERY_POLICY, depth));
    all.extend(tasks("spsc_tasks", Spsc, AtOnce, depth));
    all.extend(tasks("mpmc_tasks", Mpmc, AtOnce, depth));
    all.extend(tasks("mailbox_tasks", Mailbox, InSteps, depth));
    all.extend(all_figures(depth));
    all.extend(deadlines("spsc_deadlines", Spsc, DEADLINES, AtOnce, ONE_AND_TWO, depth));
    all.extend(deadlines("mpmc_deadlines", Mpmc, DEADLINES, AtOnce, ONE_AND_TWO, depth));
    all.extend(deadlines("mailbox_deadlines", Mailbox, DEADLINES, InSteps, ONE_AND_TWO, depth));
    all.extend(deadlines("oneshot_deadlines", OneShot, DEADLINES_OF_ONE, AtOnce, ONE, depth));
    all.extend(deadlines("watch_deadlines", Watch, DEADLINES_OF_READERS, Latest, ONE, depth));
    all.extend(selects(depth));
    all.extend(faults::entries());
    all
}

/// Further calls of a channel. shuttle samples their programs. loom runs small ones, also with a
/// spurious wake-up at the first sleep.
struct Further<S> {
    subject: S,
    calls: Calls,
    granularity: Granularity,
    policies: &'static [OnFull],
    capacities: &'static [usize],
    /// The sizes of the programs for shuttle, in CI and deep.
    sampled: [Vec<Shape>; 2],
    /// The sizes of the programs for loom.
    explored: Vec<Shape>,
}

impl<S: Subject> Further<S> {
    fn checks(self, name: &'static str, claim: &'static str, depth: Depth) -> [Entry; 2] {
        let head = Head { name, claim, hazard: None, expected: Expected::Verified };
        let (place, schedules, preemptions) = match depth {
            Depth::Quick => (0, 10, 1),
            Depth::Ci => (0, 40, 1),
            Depth::Deep => (1, 100, 2),
        };
        let Self { subject, calls, granularity, policies, capacities, sampled, explored } = self;
        let family = |shapes, capacities, policies, runner| Family {
            subject,
            calls,
            granularity,
            shapes,
            capacities,
            policies,
            runner,
        };
        let (sampled, runner) = (sampled[place].clone(), Runner::LoomSpurious(preemptions));
        [
            head.check(family(sampled, capacities, policies, Runner::Shuttle(schedules))),
            head.check(family(explored, ONE, BLOCK, runner)),
        ]
    }
}

/// Returns the checks of the calls of threads that keep places.
fn keepers<S: Subject>(
    name: &'static str,
    subject: S,
    granularity: Granularity,
    policies: &'static [OnFull],
    depth: Depth,
) -> [Entry; 2] {
    let sampled = [vec![pair(2, 4), two_senders(1, 3)], vec![pair(3, 5), two_senders(2, 4)]];
    let claim = "the same for places that are kept, and used or given back";
    let (calls, capacities, explored) = (KEEPERS, ONE_AND_TWO, vec![pair(1, 2)]);
    Further { subject, calls, granularity, policies, capacities, sampled, explored }
        .checks(name, claim, depth)
}

/// Returns the checks of the calls of tasks and of batches.
fn tasks<S: Subject>(
    name: &'static str,
    subject: S,
    granularity: Granularity,
    depth: Depth,
) -> [Entry; 2] {
    let (policies, sampled) = (BLOCK, [vec![pair(2, 4)], vec![pair(3, 5)]]);
    let claim = "the same for the calls of tasks, awaited and dropped, and for batches";
    let (calls, capacities, explored) = (TASKS, ONE_AND_TWO, vec![pair(1, 2)]);
    Further { subject, calls, granularity, policies, capacities, sampled, explored }
        .checks(name, claim, depth)
}

/// Returns the checks of the calls of threads that look at figures.
fn figures<S: Subject>(
    name: &'static str,
    subject: S,
    calls: Calls,
    granularity: Granularity,
    policies: &'static [OnFull],
    sampled: [Vec<Shape>; 2],
    depth: Depth,
) -> [Entry; 2] {
    let claim = match granularity {
        InSteps => "the same for len, a count that takes a while, is_empty, is_full and capacity",
        _ => "the same for len, is_empty, is_full and capacity, each the figure of one moment",
    };
    let (capacities, explored) = (ONE_AND_TWO, vec![pair(1, 2), told(pair(1, 2))]);
    Further { subject, calls, granularity, policies, capacities, sampled, explored }
        .checks(name, claim, depth)
}

/// Returns the checks of the figures of every channel.
fn all_figures(depth: Depth) -> Vec<Entry> {
    let two = [vec![pair(2, 4)], vec![pair(3, 5)]];
    let three = [vec![pair(2, 4), two_senders(1, 3)], vec![pair(3, 5), two_senders(2, 4)]];
    let kept = FIGURES_OF_KEEPERS;
    let (mpmc, mailbox) = (Keeping(Mpmc), Keeping(Mailbox));
    [
        figures("spsc_figures", Spsc, FIGURES, AtOnce, BACKPRESSURE, two, depth),
        figures("mpmc_figures", Mpmc, FIGURES, AtOnce, BACKPRESSURE, three.clone(), depth),
        figures("mailbox_figures", Mailbox, FIGURES, InSteps, EVERY_POLICY, three.clone(), depth),
        figures("mpmc_permit_figures", mpmc, kept, AtOnce, REFUSE, three.clone(), depth),
        figures("mailbox_permit_figures", mailbox, kept, InSteps, REFUSE, three, depth),
    ]
    .into_iter()
    .flatten()
    .chain([
        onlookers("mpmc_onlookers", Mpmc, AtOnce, depth),
        onlookers("mailbox_onlookers", Mailbox, InSteps, depth),
    ])
    .collect()
}

/// Returns the checks in which a sender looks at figures while another sender sends and the
/// receiver receives. What it reads of one side may be older than what it reads of the other.
fn onlookers<S: Subject>(
    name: &'static str,
    subject: S,
    granularity: Granularity,
    depth: Depth,
) -> Entry {
    let claim =
        "the same for the figures that are seen by who neither sends nor receives meanwhile";
    let schedules = match depth {
        Depth::Quick => 50,
        Depth::Ci => 300,
        Depth::Deep => 3_000,
    };
    Head { name, claim, hazard: None, expected: Expected::Verified }.check(Family {
        subject,
        calls: ONLOOKERS,
        granularity,
        shapes: vec![two_senders(2, 5)],
        capacities: &[2],
        policies: REFUSE,
        runner: Runner::Shuttle(schedules),
    })
}

/// Returns the checks of threads that wait until a deadline, which may have passed already.
fn deadlines<S: Subject>(
    name: &'static str,
    subject: S,
    calls: Calls,
    granularity: Granularity,
    capacities: &'static [usize],
    depth: Depth,
) -> [Entry; 2] {
    let claim = "a wait with a deadline, passed or not, ends with Timeout at or after it, and after a \
                 moment at which there was nothing for it";
    let sampled = [vec![pair(2, 4)], vec![pair(3, 5)]];
    let (policies, explored) = (BLOCK, vec![pair(1, 2), told(pair(1, 2))]);
    Further { subject, calls, granularity, policies, capacities, sampled, explored }
        .checks(name, claim, depth)
}

/// Returns the checks of a thread or a task that selects.
fn selects(depth: Depth) -> [Entry; 2] {
    let claim = "a select over two channels receives what a receive from one of them would, by \
                 priority, and the end of each once";
    let sampled = [vec![two_senders(2, 4)], vec![two_senders(3, 5)]];
    let (subject, calls, granularity) = (PoolAndRing, SELECT, Either);
    let (policies, capacities, explored) = (BLOCK, ONE_AND_TWO, vec![two_senders(1, 2)]);
    Further { subject, calls, granularity, policies, capacities, sampled, explored }
        .checks("select", claim, depth)
}
