//! Programs whose assertion fails in one order of events that a checker may overlook. They test the
//! engines, not core.
//!
//! loom's partial-order reduction remembers only the last access of each atomic. It forgets an
//! earlier load by another thread after a load by the thread that is about to write, or by a thread
//! whose load happens before the write. Then it never tries the order "write first" (loom's issues
//! 166 and 392). For this reason the Loom backend takes a turn before each access. Without it the
//! first two programs are `verified`.

use blocksmith_sync::Ordering::{Acquire, Relaxed, Release};
use blocksmith_sync::{Atomic, Primitives};

use crate::scenarios::notifier::join;

/// Main looks at a word once, while the other thread loads and exchanges it.
pub fn a_look_before_the_change<P: Primitives>() {
    let word = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let other = word.clone();
    let thread = P::spawn("writer", move || {
        let found = other.load(Relaxed);
        assert_eq!(other.compare_exchange(found, found + 1, Release, Relaxed), Ok(0));
    });
    assert_eq!(word.load(Acquire), 0, "the change comes first");
    join(thread);
}

/// Main looks at a word once. A second thread looks at it, too, and tells a third, which then
/// stores.
pub fn a_look_of_somebody_else<P: Primitives>() {
    let words = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let (first, second) = (words.clone(), words.clone());
    let reader = P::spawn("reader", move || {
        first[0].load(Relaxed);
        first[1].store(1, Release);
    });
    let writer = P::spawn("writer", move || {
        if second[1].load(Acquire) == 1 {
            second[0].store(1, Release);
        }
    });
    assert_eq!(words[0].load(Acquire), 0, "the change comes first");
    [reader, writer].into_iter().for_each(join);
}

/// Each of two threads stores to a flag of its own and then looks at the other's. Without fences,
/// both may look too early.
pub fn two_late_stores<P: Primitives>() {
    let words = P::arc([0; 2].map(<P::AtomicU32 as Atomic<u32>>::new));
    let other = words.clone();
    let thread = P::spawn("other", move || {
        other[0].store(1, Relaxed);
        other[1].load(Relaxed)
    });
    words[1].store(1, Relaxed);
    let seen = words[0].load(Relaxed);
    let theirs = join(thread);
    assert_eq!(seen.max(theirs), 1, "neither store is seen");
}
