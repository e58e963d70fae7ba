//! Faults of the broker.

use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::broker::{Change, Level, Machine, Weight};
use blocksmith_sync::mailbox::{OnFull, Receiver, Sender, mailbox};
use blocksmith_sync::{Atomic, Mutex, Primitives};

use crate::scenarios::broker::{at_once, holds};
use crate::scenarios::notifier::join;

/// A broker of one mailbox, whose depth is given to it at each sample, and its subscribers.
struct Told<P: Primitives> {
    machine: P::Mutex<Machine>,
    subscribers: P::Mutex<Vec<Sender<P, Change>>>,
}

impl<P: Primitives> Told<P> {
    fn new() -> P::Arc<Self> {
        let Ok(mut machine) = Machine::new(at_once()) else { panic!("the limits make sense") };
        machine.watch("work", Weight::Counts);
        let subscribers = Mutex::new(Vec::new());
        P::arc(Self { machine: Mutex::new(machine), subscribers })
    }

    fn subscribe(&self) -> Receiver<P, Change> {
        let (sender, receiver) = mailbox(1, 0, OnFull::EvictOldest);
        self.subscribers.lock().push(sender);
        receiver
    }

    /// The fault of `told_after_the_lock`: a change is decided in one step and told in another.
    fn observe(&self, depth: u32) {
        let change = self.machine.lock().observe(P::now(), [("work", holds(depth))]);
        if let Some(change) = change {
            for subscriber in self.subscribers.lock().iter() {
                assert!(subscriber.send(change).is_ok());
            }
        }
    }
}

/// N1: a thread looks at the level and then subscribes. The counterpart is
/// `broker::a_subscriber_misses_nothing`.
pub fn a_look_before_the_subscription<P: Primitives>() {
    let broker = Told::<P>::new();
    let sampler = broker.clone();
    let thread = P::spawn("sampler", move || sampler.observe(10));
    let mut level = broker.machine.lock().level();
    let changes = broker.subscribe();
    join(thread);
    if level == Level::Normal {
        level = changes.try_recv().map_or(level, |change| change.to);
    }
    assert_eq!(level, Level::Critical, "the change was told before anybody listened");
}

/// B8: a subscriber is told under the lock, and asks for the level, which needs the lock. The
/// counterpart is `foreign::a_subscribers_waker_asks_the_broker`.
pub fn told_under_the_lock<P: Primitives>() {
    let broker = Told::<P>::new();
    let asks = broker.clone();
    let waker = move || asks.machine.lock().level();
    let mut machine = broker.machine.lock();
    if machine.observe(P::now(), [("work", holds(10))]).is_some() {
        assert_eq!(waker(), Level::Critical);
    }
}

/// B5: two samplers tell of their changes in another order than that in which they decided them.
/// The counterpart is `broker::changes_are_told_in_order`.
pub fn told_after_the_lock<P: Primitives>() {
    let broker = Told::<P>::new();
    let changes = broker.subscribe();
    let other = broker.clone();
    let thread = P::spawn("sampler", move || other.observe(10));
    broker.observe(0);
    join(thread);
    let last = changes.try_recv().map_or(Level::Normal, |change| change.to);
    assert_eq!(last, broker.machine.lock().level(), "an older change was told last");
}

/// B1: a level begins and ends at one threshold: more than half full. The counterpart is
/// `broker::no_flapping`.
pub fn a_single_threshold<P: Primitives>() {
    let depth = P::arc(<P::AtomicU32 as Atomic<u32>>::new(9));
    let load = depth.clone();
    let thread = P::spawn("load", move || {
        for next in [2, 8] {
            load.store(next, Relaxed);
        }
    });
    let (mut busy, mut changes) = (true, 0);
    for _ in 0..3 {
        let now = depth.load(Relaxed) > 5;
        changes += u32::from(now != busy);
        busy = now;
    }
    assert_eq!(changes, 0, "the level flaps");
    join(thread);
}
