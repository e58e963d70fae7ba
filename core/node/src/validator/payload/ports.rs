//! Threads that carry the requests of the votes out, behind ports that do not block.
//!
//! **Invariants.**
//! - I1 The head that data build on is told before the data, as
//!   [`blocksmith::payload_attestation::service::Ports`] asks for.
//! - I2 A request whose time is over when its turn comes is not made, and fails.

use std::sync::Arc;
use std::time::Duration;

use blocksmith::beacon_validator::Reading;
use blocksmith::beacon_validator::service::Clock;
use blocksmith::payload_attestation::service::{Answer, Port};
use blocksmith::payload_attestation::{Reply, Request};
use blocksmith_consensus::PayloadVoteDuties;
use blocksmith_sync::Std;

use super::super::WallClock;
use super::super::ports::{Heads, Pool};
use super::requests::{PayloadRequests, within};

/// A request, until when it is of use, and whom to answer.
struct Errand {
    request: Request<PayloadVoteDuties>,
    by_ms: u64,
    answer: Answer<Std, PayloadVoteDuties>,
}

/// A port whose requests a pool of threads performs.
pub(super) struct VotePool(Pool<Errand>);

impl VotePool {
    /// Starts the threads, which end like those of [`Pool::start`].
    pub(super) fn start(
        name: &str,
        threads: usize,
        requests: &Arc<PayloadRequests>,
        heads: &Arc<Heads>,
        clock: WallClock,
    ) -> Self {
        let (requests, heads) = (requests.clone(), heads.clone());
        Self(Pool::start(name, threads, move |errand| perform(errand, &requests, &heads, clock)))
    }
}

impl Port<Std, PayloadVoteDuties> for VotePool {
    fn start(
        &mut self,
        request: Request<PayloadVoteDuties>,
        by_ms: u64,
        answer: Answer<Std, PayloadVoteDuties>,
    ) {
        // A full queue drops the answer, which says that the request failed.
        self.0.put(Errand { request, by_ms, answer });
    }
}

fn perform(errand: Errand, requests: &PayloadRequests, heads: &Heads, clock: WallClock) {
    let Errand { request, by_ms, answer } = errand;
    let rest = || match clock.read() {
        Reading::SinceGenesis(now) => Duration::from_millis(by_ms.saturating_sub(now)),
        Reading::BeforeGenesis => Duration::ZERO,
    };
    if rest().is_zero() {
        return;
    }
    let time = within(&request, rest());
    let reply = requests.answer(request, time);
    if let Reply::Data(data) = &reply {
        heads.ensure(requests.nodes(), &data.beacon_block_root, rest());
    }
    answer.give(reply);
}
