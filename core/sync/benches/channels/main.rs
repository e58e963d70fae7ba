//! Notifier and channels against their peers, in one run on one machine.
//!
//! `cargo bench -p blocksmith-sync` measures with criterion.
//! `cargo bench -p blocksmith-sync -- --table` measures every row in five runs of some rounds each,
//! one peer after the other in each round, and writes medians and ratios to `benches/RESULTS.md`. A
//! part of a row's name as a further argument selects rows; then nothing is written.

mod memory;
mod peers;
mod table;
mod workloads;

use std::time::Duration;

use criterion::Criterion;

use peers::{
    Channel, Crossbeam, Flume, Kanal, Large, Mailbox, Pool, Ring, Rtrb, Run, StdSync, Timed,
};
use workloads as w;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// One row of the table: what is measured, and on which peers.
struct Row {
    name: String,
    /// Operations of one round of the table.
    operations: u64,
    /// Entries whose name begins with `blocksmith` are ours.
    entries: Vec<(&'static str, Run)>,
}

fn row(name: impl Into<String>, operations: u64, entries: Vec<(&'static str, Run)>) -> Row {
    Row { name: name.into(), operations, entries }
}

fn entry(name: &'static str, run: impl Fn(u64) -> Duration + 'static) -> (&'static str, Run) {
    (name, Box::new(run))
}

/// A row of streams over the channels that can carry it.
macro_rules! streams {
    ($name:expr, $operations:expr, $item:expr, $senders:expr, $receivers:expr; $($channel:ty),+) => {
        row($name, $operations, vec![
            $(entry(<$channel>::NAME, move |n| {
                w::stream::<$channel, _>(n, $item, $senders, $receivers)
            })),+
        ])
    };
}

/// A row of single items, each to a receiver that sleeps.
macro_rules! sleeping {
    ($name:expr, $item:expr; $($channel:ty),+) => {
        row($name, 300, vec![
            $(entry(<$channel>::NAME, |n| w::idle::<$channel, _>(n, $item))),+
        ])
    };
}

fn rows() -> Vec<Row> {
    const LARGE: Large = [7; 1024];
    let mut rows = vec![
        row(
            "notify, nobody waits",
            5_000_000,
            vec![
                entry("blocksmith notifier", w::notify_alone),
                entry("by hand", w::notify_by_hand),
                entry("event-listener", w::notify_event_listener),
                entry("std Mutex and Condvar", w::notify_condvar),
                entry("parking_lot Mutex and Condvar", w::notify_parking_lot),
            ],
        ),
        row(
            "ping-pong, flags",
            20_000,
            vec![
                entry("blocksmith notifier", w::ping_pong_notifier),
                entry("thread::park", w::ping_pong_park),
                entry("crossbeam Parker", w::ping_pong_parker),
                entry("event-listener", w::ping_pong_event_listener),
            ],
        ),
        row(
            "ping-pong, channels of 1",
            20_000,
            vec![
                entry(Mailbox::NAME, w::ping_pong::<Mailbox>),
                entry(Ring::NAME, w::ping_pong::<Ring>),
                entry(Kanal::NAME, w::ping_pong::<Kanal>),
                entry(Crossbeam::NAME, w::ping_pong::<Crossbeam>),
                entry(Flume::NAME, w::ping_pong::<Flume>),
                entry(StdSync::NAME, w::ping_pong::<StdSync>),
            ],
        ),
        row(
            "one-shot, make + send + receive",
            500_000,
            vec![
                entry("blocksmith oneshot", w::one_shot),
                entry("oneshot", w::one_shot_crate),
                entry(StdSync::NAME, w::one_shot_channel::<StdSync>),
                entry(Kanal::NAME, w::one_shot_channel::<Kanal>),
            ],
        ),
    ];
    rows.push(streams!("1 to 1, 8 bytes", 500_000, 1_u64, 1, 1;
        Ring, Mailbox, Rtrb, Crossbeam, Kanal, Flume, StdSync));
    rows.push(streams!("1 to 1, 1 KiB", 100_000, LARGE, 1, 1;
        Ring, Mailbox, Rtrb, Crossbeam, Kanal, Flume, StdSync));
    for senders in [2, 4] {
        rows.push(streams!(format!("{senders} to 1, 8 bytes"), 500_000, 1_u64, senders, 1;
            Mailbox, Crossbeam, Kanal, Flume, StdSync));
        rows.push(streams!(format!("{senders} to 1, 1 KiB"), 100_000, LARGE, senders, 1;
            Mailbox, Crossbeam, Kanal, Flume, StdSync));
    }
    rows.push(streams!("2 to 2, 8 bytes", 500_000, 1_u64, 2, 2; Pool, Crossbeam, Kanal, Flume));
    rows.push(streams!("2 to 2, 1 KiB", 100_000, LARGE, 2, 2; Pool, Crossbeam, Kanal, Flume));
    rows.push(sleeping!("to a sleeping receiver, 8 bytes", 1_u64;
        Mailbox, Ring, Pool, Crossbeam, Kanal, Flume, StdSync));
    rows.push(sleeping!("to a sleeping receiver, 1 KiB", LARGE;
        Mailbox, Ring, Pool, Crossbeam, Kanal, Flume, StdSync));
    rows
}

/// Round trips beside neighbours.
fn timed() -> Vec<(&'static str, Timed)> {
    vec![
        (Mailbox::NAME, w::beside_neighbours::<Mailbox>),
        (Ring::NAME, w::beside_neighbours::<Ring>),
        (Pool::NAME, w::beside_neighbours::<Pool>),
        (Crossbeam::NAME, w::beside_neighbours::<Crossbeam>),
        (Kanal::NAME, w::beside_neighbours::<Kanal>),
        (Flume::NAME, w::beside_neighbours::<Flume>),
        (StdSync::NAME, w::beside_neighbours::<StdSync>),
    ]
}

fn footprints() -> Vec<(&'static str, (usize, f64))> {
    vec![
        (Mailbox::NAME, memory::of::<Mailbox>()),
        (Ring::NAME, memory::of::<Ring>()),
        (Pool::NAME, memory::of::<Pool>()),
        (Rtrb::NAME, memory::of::<Rtrb>()),
        (Crossbeam::NAME, memory::of::<Crossbeam>()),
        (Kanal::NAME, memory::of::<Kanal>()),
        (Flume::NAME, memory::of::<Flume>()),
        (StdSync::NAME, memory::of::<StdSync>()),
    ]
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--table") {
        let filter = arguments.iter().skip_while(|argument| *argument != "--table").nth(1);
        let table = table::Table { rows: rows(), timed: timed(), footprints: footprints() };
        table.write(filter.filter(|text| !text.starts_with("--")));
        return;
    }
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    for Row { name, entries, .. } in rows() {
        let mut group = criterion.benchmark_group(name);
        for (peer, run) in entries {
            group.bench_function(peer, |bencher| bencher.iter_custom(&run));
        }
        group.finish();
    }
    criterion.final_summary();
}
