//! Faults of receiving from several inputs.

use blocksmith_sync::Primitives;
use blocksmith_sync::mailbox::{OnFull, mailbox};

use crate::scenarios::notifier::join;
use crate::scenarios::select::{serve_a_flood, two_mailboxes};

/// Each mailbox has a notifier of its own, and the thread sleeps on the first. The counterpart is
/// `select::two_inputs`.
pub fn parks_on_one_source<P: Primitives>() {
    let (left, left_in) = mailbox::<P, u32>(1, 0, OnFull::Refuse);
    let (right, right_in) = mailbox::<P, u32>(1, 0, OnFull::Refuse);
    let thread = P::spawn("sender", move || {
        assert_eq!(right.send(2), Ok(None));
        left // stays open
    });
    let either = left_in.try_recv().or_else(|_| right_in.try_recv());
    assert_eq!(either.or_else(|_| left_in.recv()), Ok(2));
    drop(join(thread));
}

/// Q8: the first source is looked at first, always. The counterpart is
/// `select::a_flood_does_not_starve`.
pub fn no_budget<P: Primitives>() {
    let (notifier, (flood, flood_in), (stop, stop_in)) = two_mailboxes::<P>();
    let either = || flood_in.try_recv().or_else(|_| stop_in.try_recv()).ok();
    serve_a_flood::<P>(&flood, stop, || notifier.wait_until(either));
}
