//! One channel in one thread, to be counted instruction by instruction:
//!
//! ```text
//! cargo build --release -p blocksmith-sync --example instructions
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!     target/release/examples/instructions mailbox 2000
//! ```
//! Each round sends 256 items of 8 bytes and then receives them (`oneshot`, `oneshot-peer`: makes
//! 256 channels, one after the other, with one item each). To get the cost of an item, count for
//! two numbers of rounds, and divide the difference of the counts by 256 times the difference of
//! the rounds. The exit code is 2 for an unknown channel or number.

use std::hint::black_box;
use std::process::ExitCode;

use blocksmith_sync::{Backpressure, OnFull, Std, mailbox, mpmc, oneshot, spsc};

const CAPACITY: usize = 512;
const ITEMS: u64 = 256;

fn rounds(rounds: u64, mut send: impl FnMut(u64), mut receive: impl FnMut() -> u64) {
    for _ in 0..rounds {
        (0..ITEMS).for_each(|item| send(black_box(item)));
        assert_eq!((0..ITEMS).map(|_| receive()).sum::<u64>(), (0..ITEMS).sum());
    }
}

/// Runs the rounds of one channel; returns whether there is one of that name.
fn run(channel: &str, count: u64) -> bool {
    match channel {
        "spsc" => {
            let (to, from) = spsc::spsc::<Std, u64>(CAPACITY, Backpressure::Block);
            rounds(count, |item| to.send(item).unwrap(), || from.recv().unwrap());
        }
        "mailbox" => {
            let (to, from) = mailbox::mailbox::<Std, u64>(CAPACITY, 0, OnFull::Block);
            rounds(count, |item| assert_eq!(to.send(item), Ok(None)), || from.recv().unwrap());
        }
        "mpmc" => {
            let (to, from) = mpmc::mpmc::<Std, u64>(CAPACITY, Backpressure::Block);
            rounds(count, |item| to.send(item).unwrap(), || from.recv().unwrap());
        }
        "rtrb" => {
            let (mut to, mut from) = rtrb::RingBuffer::new(CAPACITY);
            rounds(count, |item| to.push(item).unwrap(), || from.pop().unwrap());
        }
        "kanal" => {
            let (to, from) = kanal::bounded(CAPACITY);
            rounds(count, |item| to.send(item).unwrap(), || from.recv().unwrap());
        }
        "flume" => {
            let (to, from) = flume::bounded(CAPACITY);
            rounds(count, |item| to.send(item).unwrap(), || from.recv().unwrap());
        }
        "std" => {
            let (to, from) = std::sync::mpsc::sync_channel(CAPACITY);
            rounds(count, |item| to.send(item).unwrap(), || from.recv().unwrap());
        }
        "crossbeam" => {
            let (to, from) = crossbeam_channel::bounded(CAPACITY);
            rounds(count, |item| to.send(item).unwrap(), || from.recv().unwrap());
        }
        "oneshot" => (0..count * ITEMS).for_each(|item| {
            let (to, from) = oneshot::channel::<Std, u64>();
            to.send(black_box(item)).unwrap();
            assert_eq!(from.recv(), Ok(item));
        }),
        "oneshot-peer" => (0..count * ITEMS).for_each(|item| {
            let (to, from) = ::oneshot::channel::<u64>();
            to.send(black_box(item)).unwrap();
            assert_eq!(from.recv(), Ok(item));
        }),
        _ => return false,
    }
    true
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let channel = arguments.next().unwrap_or_default();
    let Some(count) = arguments.next().and_then(|text| text.parse().ok()) else {
        eprintln!("usage: instructions CHANNEL ROUNDS");
        return ExitCode::from(2);
    };
    if run(&channel, count) { ExitCode::SUCCESS } else { ExitCode::from(2) }
}
