//! Faults of waits with a deadline.

use std::time::Duration;

use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Primitives, WaitOutcome};

use crate::scenarios::notifier::{Shared, join};
use crate::scenarios::time::Looks;

/// Waits as core once did. It looks at the deadline only when a sleep has timed out.
fn wait<P: Primitives>(
    notifier: &EventNotifier<P>,
    deadline: Duration,
    mut condition: impl FnMut() -> Option<()>,
) -> Option<()> {
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        let token = notifier.prepare();
        if let Some(found) = condition() {
            return Some(found);
        }
        if token.wait_timeout(deadline.saturating_sub(P::now())) == WaitOutcome::TimedOut {
            return condition();
        }
    }
}

/// N11: a wait looks at its deadline only when a sleep has timed out. The counterpart in core is
/// `time::a_stream_keeps_no_wait`.
pub fn a_deadline_seen_at_an_expiry_alone<P: Primitives>() {
    let shared = Shared::<P>::new(0);
    let other = shared.clone();
    let stream = P::spawn("stream", move || {
        (0..3).for_each(|_| other.changed.notify_one());
    });
    let mut looks = Looks::new::<P>();
    let found = wait(&shared.changed, looks.deadline(), || looks.look::<P>());
    assert_eq!(found, None);
    join(stream);
}
