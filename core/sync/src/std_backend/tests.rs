//! Tests of what the backend decides by itself: when a thread yields, and whether it looks.

use super::*;

/// The clock is given, in microseconds. A yield of 300 is long, one of 299 is short.
#[test]
fn long_yields_are_tried_again_later_and_later() {
    let yields = Yields::new();
    assert!(yields.are_due(0), "none has been long");
    yields.note(0, LONG_YIELD - 1);
    assert!(yields.are_due(LONG_YIELD - 1));
    let mut now = 5_000;
    for pause in [10, 20, 40, 80, 160, 320, 640, 1000, 1000].map(|milliseconds| milliseconds * 1000)
    {
        let after = now + LONG_YIELD;
        yields.note(now, after);
        assert!(!yields.are_due(after + pause - 1), "{pause} after {now}");
        now = after + pause;
        assert!(yields.are_due(now), "{pause} after {now}");
    }
    yields.note(now, now + 1);
    assert!(yields.are_due(now + 1));
    yields.note(now, now + LONG_YIELD);
    assert!(!yields.are_due(now + LONG_YIELD + SHORTEST_WHILE - 1), "it begins anew");
    assert!(yields.are_due(now + LONG_YIELD + SHORTEST_WHILE));
}

/// Other tests note their yields in the same place, hence the attempts.
#[test]
fn a_thread_steps_aside_where_yields_are_short() {
    let year = 365 * 24 * 3_600 * 1_000_000;
    let yields_after = |again: u64| {
        // ORDERING: none needed; a figure.
        YIELDS.again.store(again, Ordering::Relaxed);
        Std::step_aside()
    };
    assert!((0..1000).any(|_| yields_after(0)));
    assert!((0..1000).any(|_| !yields_after(year)));
    yields_after(0);
}

/// The machine is asked once; on one core nothing can change while a thread looks.
#[test]
fn a_thread_looks_where_there_are_other_cores() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(Std::looks(), cores > 1);
}

/// Each operation of std's atomic pointer, by what it returns and what it leaves.
#[test]
fn a_pointer_is_exchanged() {
    let (mut one, mut two) = (1, 2);
    let (one, two) = (&raw mut one, &raw mut two);
    let pointer = <<Std as Primitives>::AtomicPtr<i32> as AtomicPtr<i32>>::new(one);
    assert_eq!(AtomicPtr::swap(&pointer, two, Ordering::Relaxed), one);
    let wrong =
        AtomicPtr::compare_exchange(&pointer, one, one, Ordering::Relaxed, Ordering::Relaxed);
    assert_eq!((wrong, AtomicPtr::load(&pointer, Ordering::Relaxed)), (Err(two), two));
}

/// Two threads store their own number, pass a fence, and read the other's, again and again. Of two
/// rounds, one in each thread, the later fence comes after the store of the earlier: one of the two
/// reads sees it. Without a fence, processors with store buffers break this within moments.
#[test]
fn a_fence_orders_a_store_before_a_load() {
    const ROUNDS: usize = 1_000_000;
    static START: std::sync::Barrier = std::sync::Barrier::new(2);
    static NUMBERS: [atomic::AtomicUsize; 2] = [const { atomic::AtomicUsize::new(0) }; 2];
    let threads = [0, 1].map(|own| {
        std::thread::spawn(move || {
            let round = |number| {
                NUMBERS[own].store(number, Ordering::Relaxed);
                Std::fence(Ordering::SeqCst);
                NUMBERS[1 - own].load(Ordering::Relaxed)
            };
            START.wait();
            (1..=ROUNDS).map(round).collect::<Vec<_>>()
        })
    });
    let [one, other] = threads.map(|thread| thread.join().expect("it ends"));
    for (seen, number) in one.into_iter().zip(1..) {
        // The first round of the other thread that was not seen is at this place.
        assert!(other.get(seen).is_none_or(|seen| *seen >= number), "{number} and {}", seen + 1);
    }
}
