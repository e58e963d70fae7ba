//! Faults of sleeping and waking.
//!
//! The programs write futex words by exchanges and not by stores. loom lets a read-modify-write,
//! such as the comparison in a wait, miss a store that no happens-before edge orders. No machine
//! does that.

mod claims;

use std::collections::VecDeque;
use std::time::Duration;

use blocksmith_sync::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Futex, Mutex, Primitives, WaitOutcome};

pub use claims::{a_wake_that_stays_counted, an_epoch_read_after_registering};

use crate::scenarios::notifier::{Shared, join};

/// N1: a waiter uses the real notifier without the second look. The counterpart is
/// `notifier::relaxed_flag`.
pub fn no_second_look<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let producer = P::spawn("producer", move || other.put());
    let mark = P::mark();
    while shared.take().is_none() {
        shared.changed.prepare().wait();
        P::rewind(mark);
    }
    join(producer);
}

/// An event count that sleeps on a word of its own, which waiters clear and notifiers set.
struct AnotherWord<P: Primitives> {
    epoch: P::AtomicU32,
    word: P::Futex,
    count: P::AtomicU32,
}

impl<P: Primitives> AnotherWord<P> {
    fn put(&self) {
        self.count.fetch_add(1, Relaxed);
        P::fence(SeqCst);
        self.epoch.fetch_add(1, Relaxed);
        self.word.swap(1, Release);
        self.word.wake(1);
    }

    fn wait_for(&self, count: u32) {
        loop {
            let epoch = self.epoch.load(Relaxed);
            P::fence(SeqCst);
            if self.count.load(Relaxed) == count {
                return;
            }
            // The fault: the clearing wipes out a notification that comes after the comparison.
            if self.epoch.load(Relaxed) == epoch {
                self.word.swap(0, Relaxed);
                self.word.wait(0);
            }
        }
    }
}

/// N3: the futex compares a word that is not the epoch. The counterpart is
/// `notifier::two_producers`.
pub fn another_word<P: Primitives>() {
    let shared = P::arc(AnotherWord::<P> {
        epoch: Atomic::new(0),
        word: Atomic::new(0),
        count: Atomic::new(0),
    });
    let producers = [(); 2].map(|()| {
        let shared = shared.clone();
        P::spawn("producer", move || shared.put())
    });
    shared.wait_for(2);
    producers.into_iter().for_each(join);
}

/// The design notes' notifier, for one consumer and many producers, with a queue that has one place
/// for each of two producers. With `FENCES`, it has the two fences that mend it: one between
/// publishing and looking, the other between resetting and looking.
struct Seed<P: Primitives, const FENCES: bool> {
    phase: P::AtomicU32,
    signaled: P::AtomicU32,
    futex: P::Futex,
    places: [P::AtomicU32; 2],
}

impl<P: Primitives, const FENCES: bool> Seed<P, FENCES> {
    fn new() -> P::Arc<Self> {
        P::arc(Self {
            phase: Atomic::new(0),
            signaled: Atomic::new(0),
            futex: Atomic::new(0),
            places: [0; 2].map(Atomic::new),
        })
    }

    fn fence() {
        if FENCES {
            P::fence(SeqCst);
        }
    }

    fn produce(&self, place: usize) {
        self.places[place].store(1, Release);
        Self::fence();
        if self.signaled.load(Relaxed) == 1 {
            return;
        }
        self.signaled.store(1, Release);
        // The phase is zero or one. It is the lowest bit of the word, so adding one flips it.
        self.phase.fetch_add(1, Relaxed);
        self.futex.swap(1, Release);
        self.futex.wake(1);
    }

    /// Counts the items that are there.
    fn drain(&self) -> u32 {
        self.places.iter().map(|place| place.load(Acquire)).sum()
    }

    fn consume_both(&self) {
        let mut ticket = 0;
        while self.drain() < 2 {
            if self.signaled.load(Relaxed) == 0 {
                ticket = self.phase.load(Relaxed) % 2;
            }
            if self.drain() == 2 {
                return;
            }
            let signaled = self.signaled.load(Relaxed) == 1;
            if !signaled && self.phase.load(Relaxed) % 2 == ticket {
                self.futex.wait(0);
            }
            self.signaled.store(0, Relaxed);
            self.futex.swap(0, Relaxed);
            Self::fence();
        }
    }
}

fn seed<P: Primitives, const FENCES: bool>() {
    let seed = Seed::<P, FENCES>::new();
    let producers = [0, 1].map(|place| {
        let seed = seed.clone();
        let name = ["producer 1", "producer 2"][place];
        P::spawn(name, move || seed.produce(place))
    });
    seed.consume_both();
    producers.into_iter().for_each(join);
}

/// N4: the notifier is that of the design notes.
pub fn seed_notifier<P: Primitives>() {
    seed::<P, false>();
}

/// N4, mended by two fences. The counterpart in core is `notifier::two_producers`.
pub fn seed_notifier_with_fences<P: Primitives>() {
    seed::<P, true>();
}

/// The part of a condition variable that one waiter needs.
trait Condition<P: Primitives>: Send + Sync {
    fn new() -> Self;
    /// Releases the guard and waits for a signal, in one step with regard to signals under the
    /// lock.
    fn wait<G>(&self, guard: G);
    fn signal(&self);
}

/// A condition variable on which a signal without a waiter does nothing.
struct Real<P: Primitives>(P::Futex);

impl<P: Primitives> Condition<P> for Real<P> {
    fn new() -> Self {
        Self(Atomic::new(0))
    }
    fn wait<G>(&self, guard: G) {
        let signals = self.0.load(Relaxed);
        drop(guard);
        while self.0.load(Relaxed) == signals {
            self.0.wait(signals);
        }
    }
    fn signal(&self) {
        self.0.fetch_add(1, Relaxed);
        self.0.wake(1);
    }
}

/// A condition variable that keeps a signal without a waiter for the next waiter. A model whose
/// flag stays set describes this one.
struct Sticky<P: Primitives>(P::Futex);

impl<P: Primitives> Condition<P> for Sticky<P> {
    fn new() -> Self {
        Self(Atomic::new(0))
    }
    fn wait<G>(&self, guard: G) {
        drop(guard);
        while self.0.swap(0, Acquire) == 0 {
            self.0.wait(0);
        }
    }
    fn signal(&self) {
        self.0.swap(1, Release);
        self.0.wake(1);
    }
}

/// A waiter that looks and waits under the lock, and a producer that signals without the lock.
struct Signalled<P: Primitives, C: Condition<P>> {
    ready: P::AtomicU32,
    lock: P::Mutex<()>,
    condition: C,
}

fn signal_without_lock<P: Primitives, C: Condition<P> + 'static>() {
    let shared = P::arc(Signalled::<P, C> {
        ready: Atomic::new(0),
        lock: Mutex::new(()),
        condition: C::new(),
    });
    let other = shared.clone();
    let producer = P::spawn("producer", move || {
        other.ready.store(1, Release);
        other.condition.signal();
    });
    loop {
        let guard = shared.lock.lock();
        if shared.ready.load(Acquire) == 1 {
            break;
        }
        shared.condition.wait(guard);
    }
    join(producer);
}

/// N5, the first half: it passes, because the signal is remembered.
pub fn remembered_signal<P: Primitives>() {
    signal_without_lock::<P, Sticky<P>>();
}

/// N5, the second half: the signal comes between the look and the wait, and is lost.
pub fn forgotten_signal<P: Primitives>() {
    signal_without_lock::<P, Real<P>>();
}

/// N6: a thread notifies first and publishes afterwards. The counterpart is
/// `notifier::relaxed_flag`.
pub fn notify_before_publish<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let producer = P::spawn("producer", move || {
        other.changed.notify_one();
        other.count.store(1, Relaxed);
    });
    shared.changed.wait_until(|| shared.take());
    join(producer);
}

/// An event count that counts its waiters in `BITS` bits.
struct Narrow<P: Primitives, const BITS: u32> {
    epoch: P::Futex,
    waiters: P::AtomicU32,
    ready: P::AtomicU32,
}

impl<P: Primitives, const BITS: u32> Narrow<P, BITS> {
    fn wait(&self) {
        while self.ready.load(Relaxed) == 0 {
            self.waiters.fetch_add(1, Relaxed);
            let epoch = self.epoch.load(Relaxed);
            P::fence(SeqCst);
            if self.ready.load(Relaxed) == 0 {
                self.epoch.wait(epoch);
            }
            self.waiters.fetch_sub(1, Relaxed);
        }
    }

    /// The fault: if the bits overflow, the waiters look like none and are not woken.
    fn publish(&self) {
        self.ready.store(1, Relaxed);
        P::fence(SeqCst);
        if self.waiters.load(Relaxed) % (1 << BITS) != 0 {
            self.epoch.fetch_add(1, Relaxed);
            self.epoch.wake(u32::MAX);
        }
    }
}

/// Lets `waiters` threads wait for a condition that each of `publishers` threads makes true. Main
/// is one of the publishers.
fn narrow<P: Primitives, const BITS: u32>(waiters: usize, publishers: usize) {
    let shared = P::arc(Narrow::<P, BITS> {
        epoch: Atomic::new(0),
        waiters: Atomic::new(0),
        ready: Atomic::new(0),
    });
    let spawn = |name, body: fn(&Narrow<P, BITS>)| {
        let shared = shared.clone();
        P::spawn(name, move || body(&shared))
    };
    let mut threads: Vec<_> = (0..waiters).map(|_| spawn("waiter", Narrow::wait)).collect();
    threads.extend((1..publishers).map(|_| spawn("publisher", Narrow::publish)));
    shared.publish();
    threads.into_iter().for_each(join);
}

/// N8: two waiters are counted in one bit. The real count is wider, and asserts its bound. The
/// counterpart in core is `notifier::notify_all`.
pub fn a_count_of_one_bit<P: Primitives>() {
    narrow::<P, 1>(2, 1);
}

/// N8, as it must be: the same two waiters are counted in two bits.
pub fn a_count_of_two_bits<P: Primitives>() {
    narrow::<P, 2>(2, 1);
}

/// N8 with eight threads: four waiters are counted in two bits, and there are four publishers.
pub fn four_in_two_bits<P: Primitives>() {
    narrow::<P, 2>(4, 4);
}

/// N8 with eight threads, as it must be: four waiters are counted in three bits.
pub fn four_in_three_bits<P: Primitives>() {
    narrow::<P, 3>(4, 4);
}

/// N7: one thread waits for a permit and another for the end, both on one notifier. In core the end
/// has a notifier of its own; the counterpart is `mailbox::a_watcher_takes_no_wake_up`.
pub fn two_kinds_of_waiters<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let over = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (first, second, end) = (shared.clone(), shared.clone(), over.clone());
    let watcher = P::spawn("watcher", move || {
        first.changed.wait_until(|| (end.load(Relaxed) == 1).then_some(()));
    });
    let sender = P::spawn("sender", move || second.changed.wait_until(|| second.take()));
    shared.put();
    join(sender);
    over.store(1, Relaxed);
    shared.changed.notify_all();
    join(watcher);
}

/// N9: the receiver takes the end of a sleep for a message. The counterparts in core wait in a
/// loop:
/// `in_order_through_one_place` of every channel.
pub fn a_sleep_that_ends_is_a_message<P: Primitives>() {
    let word = P::arc(<P::Futex as Atomic<u32>>::new(0));
    let other = word.clone();
    let sender = P::spawn("sender", move || {
        other.swap(7, Release);
        other.wake(1);
    });
    if word.load(Relaxed) == 0 {
        word.wait(0);
    }
    assert_eq!(word.swap(0, Acquire), 7, "a message out of nothing");
    join(sender);
}

/// A receiver that waits with a time limit, and a sender. The sender hands its item to the receiver
/// if that waits, and otherwise puts it in a queue.
struct Handover<P: Primitives> {
    /// 1 if the receiver waits, 2 if an item was handed to it, otherwise 0.
    state: P::Futex,
    queued: P::AtomicU32,
}

/// Hands an item over. With `looks`, the receiver looks after its time is over, in case an item was
/// handed to it at the last moment.
fn hand_over<P: Primitives>(looks: bool) {
    let shared = P::arc(Handover::<P> { state: Atomic::new(0), queued: Atomic::new(0) });
    let other = shared.clone();
    let sender =
        P::spawn("sender", move || match other.state.compare_exchange(1, 2, AcqRel, Relaxed) {
            Ok(_) => other.state.wake(1),
            Err(_) => {
                other.queued.fetch_add(1, Relaxed);
            }
        });
    shared.state.swap(1, AcqRel);
    let outcome = shared.state.wait_timeout(1, Duration::from_millis(1));
    let handed = shared.state.swap(0, AcqRel) == 2;
    let received = u32::from(handed && (looks || outcome == WaitOutcome::Woken));
    join(sender);
    assert_eq!(received + shared.queued.load(Relaxed), 1, "an item is lost");
}

/// N7: the receiver's time is over just as the item is handed to it, and the item is lost. The
/// counterparts in core are `waits_may_expire` of every channel.
pub fn an_expiry_loses_the_item<P: Primitives>() {
    hand_over::<P>(false);
}

/// N7, as it must be: the receiver looks after its time is over.
pub fn an_expiry_looks_again<P: Primitives>() {
    hand_over::<P>(true);
}

/// A waiter's place in the line: its name, and the word on which it sleeps.
struct Place<P: Primitives> {
    name: &'static str,
    word: P::Arc<P::Futex>,
}

/// Permits, and the waiters in line for one, the oldest first.
struct Lined<P: Primitives> {
    permits: P::AtomicU32,
    line: P::Mutex<VecDeque<Place<P>>>,
}

impl<P: Primitives> Lined<P> {
    fn take(&self) -> bool {
        self.permits.compare_exchange(1, 0, AcqRel, Relaxed).is_ok()
    }

    fn put(&self) {
        self.permits.swap(1, AcqRel);
        let first = self.line.lock().pop_front();
        if let Some(Place { word, .. }) = first {
            word.swap(1, Release);
            word.wake(1);
        }
    }

    fn stand_in_line(&self, name: &'static str) -> P::Arc<P::Futex> {
        let word = P::arc(<P::Futex as Atomic<u32>>::new(0));
        self.line.lock().push_back(Place { name, word: word.clone() });
        word
    }

    fn leave(&self, name: &'static str) {
        self.line.lock().retain(|place| place.name != name);
    }
}

/// N7: a waiter whose time is over stays in the line, and is then told of the next permit. The
/// counterpart is `notifier::a_waiter_gives_up`.
pub fn an_expiry_stays_in_line<P: Primitives>() {
    let (permits, line) = (Atomic::new(0), Mutex::new(VecDeque::new()));
    let shared = P::arc(Lined::<P> { permits, line });
    let (first, second) = (shared.clone(), shared.clone());
    let patient = P::spawn("patient", move || {
        loop {
            let word = first.stand_in_line("patient");
            if first.take() {
                return first.leave("patient");
            }
            while word.load(Acquire) == 0 {
                word.wait(0);
            }
        }
    });
    let producer = P::spawn("producer", move || second.put());
    let word = shared.stand_in_line("impatient");
    if shared.take() {
        shared.leave("impatient");
        shared.put();
    } else {
        word.wait_timeout(0, Duration::from_millis(1));
        // The fault: a waiter that has not been told should leave the line.
        if word.load(Acquire) == 1 && shared.take() {
            shared.put();
        }
    }
    join(patient);
    join(producer);
}

/// The longest nap of a service that looks for its end between naps.
const NAP: Duration = Duration::from_secs(1);

/// Lets a service nap until it is closed. With `interruptible`, the close ends a nap. Otherwise it
/// does not, and each nap is twice as long as the one before.
fn naps<P: Primitives>(interruptible: bool) {
    let closed = P::arc((<P::AtomicU32 as Atomic<u32>>::new(0), EventNotifier::<P>::new()));
    let other = closed.clone();
    let service = P::spawn("service", move || {
        let (closed, changed) = &*other;
        let (never, mut nap) = (EventNotifier::<P>::new(), NAP);
        while closed.load(Acquire) == 0 {
            if interruptible {
                let is_closed = || (closed.load(Acquire) == 1).then_some(());
                let _ = changed.wait_until_timeout(nap, is_closed);
            } else {
                let _ = never.wait_until_timeout(nap, || None::<()>);
                nap *= 2;
            }
        }
    });
    closed.0.store(1, Release);
    let asked = P::now();
    closed.1.notify_all();
    join(service);
    let took = P::now() - asked;
    assert!(took <= NAP, "it ended {took:?} after it was told to");
}

/// N10: the naps double without a bound, and a close ends none of them.
pub fn naps_that_double<P: Primitives>() {
    naps::<P>(false);
}

/// N10, as it must be: a close ends the nap, and no nap is longer than the first.
pub fn naps_that_can_be_ended<P: Primitives>() {
    naps::<P>(true);
}
