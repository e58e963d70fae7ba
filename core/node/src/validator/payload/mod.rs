//! Votes on payloads: the machine of the votes between beacon nodes and a signer, over HTTP.
//!
//! **Contract.** [`Payloads::start`] runs [`blocksmith::payload_attestation`] with the nodes and the
//! signer of the validator client. Its heads, complete payloads and validators are told by the
//! threads that follow the nodes. Beacon nodes and signer have pools of threads of their own, apart
//! from those of the other duties: a signer that is busy with attestations delays no vote.
//!
//! **Threads.** One for the machine, [`NODE_THREADS`] for calls to the nodes, and
//! [`SIGNER_THREADS`] for calls to the signer.

mod figures;
mod ports;
mod requests;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::JoinHandle;

use blocksmith::beacon_validator::service::Ending;
use blocksmith::payload_attestation::service::{Builder, Journal, PayloadAttestationHandle, Ports};
use blocksmith::payload_attestation::{Limits, Timing, VoteProtocol};
use blocksmith_consensus::PayloadVoteDuties;
use blocksmith_sync::Std;

use figures::Figured;
pub use figures::PayloadFigures;
use ports::VotePool;
pub use requests::PayloadRequests;

use super::WallClock;
use super::ports::Heads;

/// Threads that ask the beacon nodes: for data, for two lists, and for a publication.
const NODE_THREADS: usize = 4;
/// Threads that ask the signer.
const SIGNER_THREADS: usize = 32;
/// Requests under way at once, at most.
const REQUESTS: usize = 4096;

/// `PAYLOAD_ATTESTATION_DUE_BPS` where a configuration does not say it.
const DUE_BPS: u64 = 7_500;

/// The handle of the votes.
pub(super) type VotesHandle = PayloadAttestationHandle<Std, PayloadVoteDuties>;

/// Votes on payloads whose threads run.
pub(super) struct Payloads {
    pub(super) handle: VotesHandle,
    thread: Option<JoinHandle<Ending>>,
}

impl Payloads {
    /// Starts the votes.
    pub(super) fn start(
        requests: PayloadRequests,
        heads: &Arc<Heads>,
        clock: WallClock,
        timing: Timing,
        figures: PayloadFigures,
        journal: impl Journal + 'static,
    ) -> Self {
        let requests = Arc::new(requests);
        let pool =
            |name, threads| Box::new(VotePool::start(name, threads, &requests, heads, clock));
        let ports = Ports {
            clock: Box::new(clock),
            node: pool("payload_node", NODE_THREADS),
            signer: pool("payload_sign", SIGNER_THREADS),
            journal: Box::new(Figured { figures, journal }),
        };
        let protocol = PayloadVoteDuties::new(timing);
        let limits = limits(protocol.timing().slot_ms);
        let builder = Builder::new(protocol).limits(limits).requests(REQUESTS);
        let (service, handle) = builder.build(ports);
        Self::spawn(handle, move || service.run())
    }

    /// Starts the thread of the votes, which runs their service.
    pub(super) fn spawn(
        handle: VotesHandle,
        run: impl FnOnce() -> Ending + Send + 'static,
    ) -> Self {
        Self { handle, thread: Some(std::thread::spawn(run)) }
    }

    /// Returns whether the thread has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Stops the votes, and blocks until their thread has ended. Returns how they have ended.
    pub(super) fn stop(&mut self) -> Ending {
        self.handle.stop();
        // The thread contains the panics of all that it calls. One that gets through has been
        // reported, and is one too many.
        let ended = self.thread.take().map(JoinHandle::join);
        ended.map_or(Ending::Stopped, |ended| ended.unwrap_or(Ending::TooManyPanics))
    }
}

/// Returns the times of a slot for votes on payloads, if a chain with this configuration has such
/// votes: it names the committee's size or the votes' time, and does not put the fork off for ever.
pub(super) fn payload_timing(
    spec: &[(String, String)],
    slots_per_epoch: u64,
    slot_ms: u64,
) -> Option<Timing> {
    let of = |name: &str| spec.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let never = u64::MAX.to_string();
    if of("GLOAS_FORK_EPOCH").is_some_and(|epoch| epoch == never) {
        return None;
    }
    let due = of("PAYLOAD_ATTESTATION_DUE_BPS");
    due.or(of("PTC_SIZE"))?;
    let due_bps = due.and_then(|due| due.parse().ok()).unwrap_or(DUE_BPS);
    let timing = Timing::from_basis_points(slots_per_epoch, slot_ms, due_bps);
    timing.check().then_some(timing)
}

/// Returns the bounds of the machine for slots of this length: the default ones are for 12 s.
pub(super) fn limits(slot_ms: u64) -> Limits {
    let all = Limits::default();
    let part = |ms: u64| (ms.saturating_mul(slot_ms) / 12_000).clamp(1, ms);
    Limits {
        node_ms: part(all.node_ms),
        retry_ms: part(all.retry_ms),
        gather_ms: part(all.gather_ms),
        ..all
    }
}
