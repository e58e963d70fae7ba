//! The fast path of a notification, and the same written by hand, to be compared instruction by
//! instruction:
//!
//! ```text
//! cargo build --release -p blocksmith-sync --example notify
//! objdump -dC --no-show-raw-insn target/release/examples/notify | grep -A9 -E '<notify::(ours|by_hand)>:'
//! ```

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use blocksmith_sync::EventNotifier;

#[inline(never)]
fn ours(notifier: &EventNotifier) {
    notifier.notify_one();
}

/// The words of a notifier.
struct Words {
    epoch: AtomicU32,
    waiters: AtomicU32,
}

#[inline(never)]
fn by_hand(words: &Words) {
    fence(Ordering::SeqCst);
    if words.waiters.load(Ordering::Relaxed) != 0 {
        move_epoch(words);
    }
}

#[cold]
#[inline(never)]
fn move_epoch(words: &Words) {
    words.epoch.fetch_add(1, Ordering::Relaxed);
}

fn main() {
    let notifier = EventNotifier::new();
    let words = Words { epoch: AtomicU32::new(0), waiters: AtomicU32::new(black_box(0)) };
    ours(black_box(&notifier));
    by_hand(black_box(&words));
    assert_eq!((notifier.waiters(), words.epoch.into_inner()), (0, 0));
}
