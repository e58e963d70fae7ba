//! Faults of queues with two locks.

use std::collections::VecDeque;

use blocksmith_sync::{Ghost, Mutex, Primitives};

use crate::scenarios::notifier::join;

/// The number of items is plain memory, changed under the lock. It is touched and not read: what
/// matters is who touches it.
struct Counted<P: Primitives> {
    items: P::Mutex<VecDeque<u32>>,
    count: Ghost<P>,
}

impl<P: Primitives> Counted<P> {
    fn send(&self, item: u32) {
        let mut items = self.items.lock();
        items.push_back(item);
        self.count.write();
    }

    /// With `FIRST`, the fault: it looks at the count first, to save the lock.
    fn try_recv<const FIRST: bool>(&self) -> Option<u32> {
        if FIRST {
            self.count.read();
        }
        let mut items = self.items.lock();
        let item = items.pop_front()?;
        self.count.write();
        Some(item)
    }
}

fn send_and_look<P: Primitives, const FIRST: bool>() {
    let queue = P::arc(Counted::<P> { items: Mutex::new(VecDeque::new()), count: Ghost::new() });
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
