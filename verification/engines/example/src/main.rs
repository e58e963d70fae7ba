//! A protocol of your own, checked under four engines: first wrong on purpose, then right.

use blocksmith_engines::scenario;
use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::{Atomic, Join, Primitives};

/// Two threads each add one.
fn count<P: Primitives>(add: fn(&P::AtomicU32)) {
    let counter = P::arc(P::AtomicU32::new(0));
    let threads = ["left", "right"].map(|name| {
        let counter = counter.clone();
        P::spawn(name, move || add(&counter))
    });
    threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
    assert_eq!(counter.load(Relaxed), 2, "an addition is lost");
}

fn in_two_steps<P: Primitives>() {
    count::<P>(|counter| counter.store(counter.load(Relaxed) + 1, Relaxed));
}

fn in_one_step<P: Primitives>() {
    count::<P>(|counter| drop(counter.fetch_add(1, Relaxed)));
}

fn main() {
    for scenario in [scenario!(in_two_steps, threads: 3), scenario!(in_one_step, threads: 3)] {
        for verdict in scenario.check_all() {
            println!("{}: {verdict}", scenario.name);
            println!("{}", verdict.counterexample().unwrap_or_default());
        }
    }
}
