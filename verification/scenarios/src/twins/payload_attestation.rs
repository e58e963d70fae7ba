//! Faults of the thread of votes on payloads. The counterparts in core are the scenarios of
//! `scenarios::payload_attestation`.

use blocksmith_sync::mailbox::{OnFull, mailbox};
use blocksmith_sync::{Primitives, TryRecvError};

use crate::scenarios::notifier::join;

/// How often the thread may look at its stream, which ends after one item.
const LOOKS: u32 = 2;

/// A node tells of a payload on a stream, and closes it. The thread looks at the stream when it is
/// woken, and goes on until it is stopped. With `leaves_out`, it does not look again at a stream
/// that has ended.
fn a_stream_ends<P: Primitives>(leaves_out: bool) {
    let (payloads, stream) = mailbox::<P, u32>(1, 0, OnFull::Block);
    let (stops, stopped) = mailbox::<P, &str>(1, 0, OnFull::Block);
    let thread = P::spawn("votes", move || {
        let (mut has_ended, mut looks, mut taken) = (false, 0, 0);
        // What has ended is ready at once, whenever it is waited for.
        while !has_ended || !leaves_out {
            looks += 1;
            if looks > LOOKS {
                break;
            }
            match stream.recv() {
                Ok(_) => taken += 1,
                Err(_) => has_ended = true,
            }
        }
        let stop = match stopped.try_recv() {
            Err(TryRecvError::Empty) => stopped.recv().ok(),
            other => other.ok(),
        };
        (looks, taken, stop)
    });
    assert_eq!(payloads.send(1), Ok(None));
    drop(payloads);
    assert_eq!(stops.send("stop"), Ok(None));
    let (looks, taken, stop) = join(thread);
    assert_eq!((taken, stop), (1, Some("stop")));
    assert!(looks <= LOOKS, "a stream that has ended is looked at again");
}

/// P6: a stream that has ended is waited for again, and is ready at once.
pub fn a_closed_stream_is_waited_for<P: Primitives>() {
    a_stream_ends::<P>(false);
}

/// P6, as it must be: a stream that has ended is left out.
pub fn a_closed_stream_is_left_out<P: Primitives>() {
    a_stream_ends::<P>(true);
}
