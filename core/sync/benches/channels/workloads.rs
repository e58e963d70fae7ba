//! The workloads that are measured. Each function runs `n` operations and returns the time that
//! they took together.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use blocksmith_sync::{EventNotifier, Std, oneshot};

use crate::peers::Channel;

/// Capacity of the channels that carry streams.
pub(crate) const CAPACITY: usize = 512;

/// Returns the time of `n` calls.
pub(crate) fn repeat(n: u64, mut operation: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..n {
        operation();
    }
    start.elapsed()
}

/// `n` items through one channel, both ends as fast as they can.
pub(crate) fn stream<C: Channel, T: Copy + Send + 'static>(
    n: u64,
    item: T,
    senders: usize,
    receivers: usize,
) -> Duration {
    let (sending, receiving) = C::make::<T>(CAPACITY, senders, receivers);
    let barrier = Arc::new(Barrier::new(senders + receivers + 1));
    let share = |index: usize, parts: usize| {
        n / parts as u64 + u64::from((index as u64) < n % parts as u64)
    };
    let mut threads = Vec::new();
    for (index, mut sender) in sending.into_iter().enumerate() {
        let (barrier, count) = (barrier.clone(), share(index, senders));
        threads.push(thread::spawn(move || {
            barrier.wait();
            (0..count).for_each(|_| C::send(&mut sender, black_box(item)));
            barrier.wait();
        }));
    }
    for (index, mut receiver) in receiving.into_iter().enumerate() {
        let (barrier, count) = (barrier.clone(), share(index, receivers));
        threads.push(thread::spawn(move || {
            barrier.wait();
            for _ in 0..count {
                black_box(C::recv(&mut receiver));
            }
            barrier.wait();
        }));
    }
    barrier.wait();
    let start = Instant::now();
    barrier.wait();
    let elapsed = start.elapsed();
    for thread in threads {
        thread.join().expect("the workload does not panic");
    }
    elapsed
}

/// `n` items one at a time to a receiver that sleeps: from the beginning of `send` to the return of
/// `recv`.
pub(crate) fn idle<C: Channel, T: Copy + Send + 'static>(n: u64, item: T) -> Duration {
    /// Long enough for a receiver that spins or yields first to fall asleep.
    const PAUSE: Duration = Duration::from_micros(200);
    let (mut sending, mut receiving) = C::make::<T>(CAPACITY, 1, 1);
    let (mut sender, mut receiver) = (sending.remove(0), receiving.remove(0));
    let epoch = Instant::now();
    let now = move || u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let sent = Arc::new(AtomicU64::new(0));
    let latency = Arc::new(AtomicU64::new(0));
    let received = Arc::new(AtomicU64::new(0));
    let shared = (sent.clone(), latency.clone(), received.clone());
    let thread = thread::spawn(move || {
        for _ in 0..n {
            black_box(C::recv(&mut receiver));
            let arrived = now();
            shared.1.fetch_add(arrived - shared.0.load(Ordering::Acquire), Ordering::Relaxed);
            shared.2.fetch_add(1, Ordering::Release);
        }
    });
    for index in 0..n {
        while received.load(Ordering::Acquire) < index {
            thread::yield_now();
        }
        thread::sleep(PAUSE);
        sent.store(now(), Ordering::Release);
        C::send(&mut sender, item);
    }
    thread.join().expect("the workload does not panic");
    Duration::from_nanos(latency.load(Ordering::Relaxed))
}

/// Starts a thread that sends back each of `n` items; returns the ends to talk to it, over two
/// channels of capacity one.
fn echo<C: Channel>(n: u64) -> (C::Sender<u64>, C::Receiver<u64>, thread::JoinHandle<()>) {
    let (mut there, mut echo_in) = C::make::<u64>(1, 1, 1);
    let (mut echo_out, mut back) = C::make::<u64>(1, 1, 1);
    let (mut echo_in, mut echo_out) = (echo_in.remove(0), echo_out.remove(0));
    let thread = thread::spawn(move || {
        for _ in 0..n {
            let item = C::recv(&mut echo_in);
            C::send(&mut echo_out, item);
        }
    });
    (there.remove(0), back.remove(0), thread)
}

/// `n` round trips between two threads over two channels of capacity one.
pub(crate) fn ping_pong<C: Channel>(n: u64) -> Duration {
    let (mut there, mut back, thread) = echo::<C>(n);
    let elapsed = repeat(n, || {
        C::send(&mut there, 1);
        black_box(C::recv(&mut back));
    });
    thread.join().expect("the workload does not panic");
    elapsed
}

/// The time of each of `n` round trips like those of [`ping_pong`], in nanoseconds, while as many
/// other threads as there are cores do nothing but count.
pub(crate) fn beside_neighbours<C: Channel>(n: u64) -> Vec<u64> {
    let is_over = Arc::new(AtomicBool::new(false));
    let neighbours: Vec<_> = (0..neighbours())
        .map(|_| {
            let is_over = is_over.clone();
            thread::spawn(move || {
                let mut count = 0_u64;
                while !is_over.load(Ordering::Relaxed) {
                    count = black_box(count + 1);
                }
            })
        })
        .collect();
    let (mut there, mut back, thread) = echo::<C>(n);
    let round_trip = |_| {
        let start = Instant::now();
        C::send(&mut there, 1);
        black_box(C::recv(&mut back));
        u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    };
    let times = (0..n).map(round_trip).collect();
    is_over.store(true, Ordering::Relaxed);
    thread.join().expect("the workload does not panic");
    neighbours.into_iter().for_each(|thread| thread.join().expect("the workload does not panic"));
    times
}

/// Returns how many threads keep the cores busy: one for each.
pub(crate) fn neighbours() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// `n` round trips through a flag that says whose turn it is; `wait` and `wake` are given the side,
/// 0 or 1.
fn flags<W, K>(n: u64, wait: W, wake: K) -> Duration
where
    W: Fn(usize, &dyn Fn() -> bool) + Send + Sync + 'static,
    K: Fn(usize) + Send + Sync + 'static,
{
    let shared = Arc::new((AtomicU32::new(0), wait, wake));
    let other = shared.clone();
    let round = |side: u32, (turn, wait, wake): &(AtomicU32, W, K)| {
        wait(side as usize, &|| turn.load(Ordering::Acquire) == side);
        turn.store(1 - side, Ordering::Release);
        wake(1 - side as usize);
    };
    let thread = thread::spawn(move || (0..n).for_each(|_| round(1, &other)));
    let elapsed = repeat(n, || round(0, &shared));
    thread.join().expect("the workload does not panic");
    elapsed
}

/// Ping-pong over two event notifiers.
pub(crate) fn ping_pong_notifier(n: u64) -> Duration {
    let notifiers = Arc::new([EventNotifier::new(), EventNotifier::new()]);
    let others = notifiers.clone();
    flags(
        n,
        move |side, ready| notifiers[side].wait_until(|| ready().then_some(())),
        move |side| others[side].notify_one(),
    )
}

/// Ping-pong over two event-listener events.
pub(crate) fn ping_pong_event_listener(n: u64) -> Duration {
    let events = Arc::new([event_listener::Event::new(), event_listener::Event::new()]);
    let others = events.clone();
    flags(
        n,
        move |side, ready| {
            while !ready() {
                let listener = events[side].listen();
                if ready() {
                    return;
                }
                event_listener::Listener::wait(listener);
            }
        },
        move |side| {
            others[side].notify(1);
        },
    )
}

/// Ping-pong over std's `park` and `unpark`.
pub(crate) fn ping_pong_park(n: u64) -> Duration {
    let main = thread::current();
    let turn = Arc::new(AtomicU32::new(0));
    let other = turn.clone();
    let round = |side: u32, turn: &AtomicU32, peer: &thread::Thread| {
        while turn.load(Ordering::Acquire) != side {
            thread::park();
        }
        turn.store(1 - side, Ordering::Release);
        peer.unpark();
    };
    let thread = thread::spawn(move || (0..n).for_each(|_| round(1, &other, &main)));
    let peer = thread.thread().clone();
    let elapsed = repeat(n, || round(0, &turn, &peer));
    thread.join().expect("the workload does not panic");
    elapsed
}

/// Ping-pong over two crossbeam parkers.
pub(crate) fn ping_pong_parker(n: u64) -> Duration {
    use crossbeam_utils::sync::Parker;
    let parkers = [Parker::new(), Parker::new()];
    let unparkers = [parkers[0].unparker().clone(), parkers[1].unparker().clone()];
    let parkers = parkers.map(std::sync::Mutex::new);
    flags(
        n,
        move |side, ready| {
            let parker = parkers[side].lock().expect("used by one thread");
            while !ready() {
                parker.park();
            }
        },
        move |side| unparkers[side].unpark(),
    )
}

/// `notify_one` while nobody waits.
pub(crate) fn notify_alone(n: u64) -> Duration {
    let notifier = EventNotifier::new();
    repeat(n, || black_box(&notifier).notify_one())
}

/// The same, written by hand: a fence, a load, a branch that is not taken.
pub(crate) fn notify_by_hand(n: u64) -> Duration {
    let waiters = AtomicU32::new(0);
    let woken = AtomicBool::new(false);
    repeat(n, || {
        let waiters = black_box(&waiters);
        std::sync::atomic::fence(Ordering::SeqCst);
        if waiters.load(Ordering::Relaxed) != 0 {
            woken.store(true, Ordering::Relaxed);
        }
    })
}

/// The same on event-listener.
pub(crate) fn notify_event_listener(n: u64) -> Duration {
    let event = event_listener::Event::new();
    repeat(n, || {
        black_box(&event).notify(1);
    })
}

/// The same on std's condition variable, whose lock is taken for the publication.
pub(crate) fn notify_condvar(n: u64) -> Duration {
    let shared = (std::sync::Mutex::new(()), std::sync::Condvar::new());
    repeat(n, || {
        drop(black_box(&shared).0.lock());
        shared.1.notify_one();
    })
}

/// The same on parking_lot's.
pub(crate) fn notify_parking_lot(n: u64) -> Duration {
    let shared = (parking_lot::Mutex::new(()), parking_lot::Condvar::new());
    repeat(n, || {
        drop(black_box(&shared).0.lock());
        shared.1.notify_one();
    })
}

/// A one-shot made, sent into and received from, in one thread.
pub(crate) fn one_shot(n: u64) -> Duration {
    repeat(n, || {
        let (sender, receiver) = oneshot::channel::<Std, u64>();
        assert!(sender.send(black_box(1)).is_ok());
        black_box(receiver.recv().expect("it was sent"));
    })
}

/// The same on the `oneshot` crate.
pub(crate) fn one_shot_crate(n: u64) -> Duration {
    repeat(n, || {
        let (sender, receiver) = ::oneshot::channel::<u64>();
        assert!(sender.send(black_box(1)).is_ok());
        black_box(receiver.recv().expect("it was sent"));
    })
}

/// The same on a channel of capacity one.
pub(crate) fn one_shot_channel<C: Channel>(n: u64) -> Duration {
    repeat(n, || {
        let (mut sending, mut receiving) = C::make::<u64>(1, 1, 1);
        C::send(&mut sending[0], black_box(1));
        black_box(C::recv(&mut receiving[0]));
    })
}
