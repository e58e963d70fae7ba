//! Faults of queues with two locks.

use std::collections::VecDeque;

use blocksmith_sync::{Cell, Mutex, Primitives};

use crate::scenarios::notifier::join;

/// The number of items is plain memory, changed under the lock. It is touched and not read: what
/// matters is who touches it.
struct Counted<P: Primitives> {
    items: P::Mutex<VecDeque<u32>>,
    count: P::Cell<()>,
}

// SAFETY: the cell has no content; whether its accesses race is what the checker is to tell.
unsafe impl<P: Primitives> Send for Counted<P> {}
// SAFETY: as above.
unsafe impl<P: Primitives> Sync for Counted<P> {}

impl<P: Primitives> Counted<P> {
    fn send(&self, item: u32) {
        let mut items = self.items.lock();
        items.push_back(item);
        self.count.with_mut(|_| ());
    }

    /// With `FIRST`, the fault: it looks at the count first, to save the lock.
    fn try_recv<const FIRST: bool>(&self) -> Option<u32> {
        if FIRST {
            self.count.with(|_| ());
        }
        let mut items = self.items.lock();
        let item = items.pop_front()?;
        self.count.with_mut(|_| ());
        Some(item)
    }
}

fn send_and_look<P: Primitives, const FIRST: bool>() {
    let queue = P::arc(Counted::<P> { items: Mutex::new(VecDeque::new()), count: Cell::new(()) });
    let other = queue.clone();
    let sender = P::spawn("sender", move || other.send(7));
    let early = queue.try_recv::<FIRST>();
    join(sender);
    assert_eq!(early.or_else(|| queue.try_recv::<FIRST>()), Some(7));
}

/// M4: is it empty? asked without the lock. The counterpart is `mpmc::looks_share_the_items`.
pub fn an_unlocked_look<P: Primitives>() {
    send_and_look::<P, true>();
}

/// M4, with the question under the lock.
pub fn a_locked_look<P: Primitives>() {
    send_and_look::<P, false>();
}
