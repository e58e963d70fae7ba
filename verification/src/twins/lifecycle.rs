//! Faults of starting and stopping.

use blocksmith_sync::Ordering::Relaxed;
use blocksmith_sync::mailbox::{OnFull, mailbox};
use blocksmith_sync::{Atomic, Primitives};

use crate::scenarios::notifier::join;

/// L1: `while !stop { recv }`. The counterpart is `mailbox::stop_by_closing`.
pub fn flag_beside_the_mailbox<P: Primitives>() {
    let stop = P::arc(<P::AtomicU32 as Atomic<u32>>::new(0));
    let (sender, receiver) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let seen = stop.clone();
    let service = P::spawn("service", move || {
        while seen.load(Relaxed) == 0 {
            let _ = receiver.recv();
        }
    });
    assert_eq!(sender.send(1), Ok(None));
    stop.store(1, Relaxed);
    join(service);
    drop(sender);
}
