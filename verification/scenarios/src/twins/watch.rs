//! Faults of showing the latest value: a value and its version are touched in the wrong order.

use blocksmith_sync::Ordering::{Acquire, Release};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Primitives};

use crate::scenarios::notifier::join;

/// A value and its version, each in a word of its own. Nothing binds them together but the order in
/// which they are touched.
struct Loose<P: Primitives> {
    value: P::AtomicU32,
    version: P::AtomicU32,
    changed: EventNotifier<P>,
}

/// The order in which a thread touches the value and the version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    ValueLast,
    ValueFirst,
}

impl<P: Primitives> Loose<P> {
    fn send(&self, value: u32, order: Order) {
        match order {
            Order::ValueFirst => {
                self.value.store(value, Release);
                self.version.store(value, Release);
            }
            Order::ValueLast => {
                self.version.store(value, Release);
                self.value.store(value, Release);
            }
        }
        self.changed.notify_all();
    }

    /// Returns the value if its version is not the one that was seen.
    fn look(&self, seen: &mut u32, order: Order) -> Option<u32> {
        let (value, version) = match order {
            Order::ValueFirst => {
                let value = self.value.load(Acquire);
                (value, self.version.load(Acquire))
            }
            Order::ValueLast => {
                let version = self.version.load(Acquire);
                (self.value.load(Acquire), version)
            }
        };
        (version != core::mem::replace(seen, version)).then_some(value)
    }
}

/// Sends two values, and lets a reader follow until it has seen the version of the second. The last
/// value that it has read must be the second.
fn follow<P: Primitives>(sends: Order, reads: Order) {
    let shared = P::arc(Loose::<P> {
        value: Atomic::new(0),
        version: Atomic::new(0),
        changed: EventNotifier::new(),
    });
    let other = shared.clone();
    let sender = P::spawn("sender", move || {
        other.send(1, sends);
        other.send(2, sends);
    });
    let (mut seen, mut last) = (0, 0);
    while seen != 2 {
        last = shared.changed.wait_until(|| shared.look(&mut seen, reads));
    }
    assert_eq!(last, 2, "the last value that was seen");
    join(sender);
}

/// A11: the reader reads the value, then the version, and remembers the later of the two. The
/// counterpart is `watch::the_last_value_is_seen`.
pub fn the_value_is_read_before_the_version<P: Primitives>() {
    follow::<P>(Order::ValueFirst, Order::ValueFirst);
}

/// A11: a send publishes the version, then the value. The counterpart is
/// `watch::the_last_value_is_seen`.
pub fn the_version_is_published_before_the_value<P: Primitives>() {
    follow::<P>(Order::ValueLast, Order::ValueLast);
}

/// A11, as it must be: the value is published first and read last.
pub fn the_value_is_published_first_and_read_last<P: Primitives>() {
    follow::<P>(Order::ValueFirst, Order::ValueLast);
}

/// A11: a send wakes only one of two readers, and no other send follows. The counterpart is
/// `watch::every_reader_sees_it`.
pub fn a_value_wakes_one_reader<P: Primitives>() {
    let shared = P::arc((<P::AtomicU32 as Atomic<u32>>::new(0), EventNotifier::<P>::new()));
    let readers = ["reader 1", "reader 2"].map(|name| {
        let shared = shared.clone();
        P::spawn(name, move || {
            shared.1.wait_until(|| (shared.0.load(Acquire) == 1).then_some(()));
        })
    });
    shared.0.store(1, Release);
    shared.1.notify_one();
    readers.into_iter().for_each(join);
}
