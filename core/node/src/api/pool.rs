//! What validators submit beside blocks: attestations, aggregates, slashings, exits, and in the test
//! fork votes on payloads.
//!
//! **Contract.** Each is submitted to our own services on the topic on which the network would
//! bring it, so the same checks hold. What is accepted is told to the listeners of events and
//! handed to [`Broadcast`](super::Broadcast). What was known before counts as accepted: a client
//! that has lost an answer asks again.
//!
//! **Invariants.**
//! - S1 Of a list, each item is judged by itself; an answer names those that failed by their
//!   places.
//! - S2 Of one request, at most [`WINDOW`] items are on the way to the services.
//! - S3 An item that waits for its block longer than [`PATIENCE`] counts as taken: the services go
//!   on waiting.

use std::sync::Arc;
use std::time::Duration;

use blocksmith::Submission;
use blocksmith::gossip::Operation;
use blocksmith::verdict::{DropReason, IgnoreReason, Verdict};
use blocksmith_consensus::{
    Attestation, AttesterSlashing, BeaconState, FromJson, InvalidData, Json, Phase0, Preset,
    ProposerSlashing, Root, SharedAggregate, SharedAttestation, SharedAttesterSlashing,
    SharedPayloadVote, SharedProposerSlashing, SharedVoluntaryExit, SignedAggregateAndProof,
    SignedVoluntaryExit, Wire, compute_epoch_at_slot, compute_start_slot_at_epoch,
    compute_subnet_for_attestation, get_committee_count_per_slot, get_current_epoch,
};
use blocksmith_sync::Std;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::beacon::Beacon;
use super::broadcast::Published;
use super::error::ApiError;
use super::events::Topic;
use super::request::{Answer, Asked, done};
use crate::metrics::Kind;

/// The peer that stands for validator clients.
pub(super) const LOCAL: u64 = u64::MAX;
/// How long a client waits for a verdict.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Items of one request on the way to the services.
const WINDOW: usize = 64;

/// What a client may submit.
#[derive(Clone)]
pub(super) enum Submitted<P: Preset> {
    Single(SharedAttestation, u64),
    Aggregate(SharedAggregate),
    Operation(Operation<Phase0<P>>),
    PayloadVote(SharedPayloadVote),
}

impl<P: Preset> Submitted<P> {
    async fn submit(self, beacon: &Beacon<P>, bytes: usize) -> Submission<Std, Phase0<P>> {
        let client = &beacon.client;
        match self {
            Self::Single(attestation, subnet) => {
                client.submit_single_attestation_async(attestation, subnet, LOCAL, bytes).await
            }
            Self::Aggregate(aggregate) => {
                client.submit_aggregate_async(aggregate, LOCAL, bytes).await
            }
            Self::Operation(operation) => {
                client.submit_operation_async(operation, LOCAL, bytes).await
            }
            Self::PayloadVote(vote) => client.submit_payload_vote_async(vote, LOCAL, bytes).await,
        }
    }

    /// Tells of an item that was accepted.
    fn accepted(self, beacon: &Beacon<P>, relay: bool) {
        match &self {
            Self::Single(attestation, _) => {
                beacon.events.send(Topic::Attestation, &attestation.value().to_json());
            }
            Self::Aggregate(aggregate) => {
                let attestation = &aggregate.value().message.aggregate;
                beacon.events.send(Topic::Attestation, &attestation.to_json());
            }
            Self::Operation(Operation::VoluntaryExit(exit)) => {
                beacon.events.send(Topic::VoluntaryExit, &exit.value().to_json());
            }
            Self::Operation(_) => {}
            Self::PayloadVote(vote) => {
                let data = format!(r#"{{"version":"gloas","data":{}}}"#, vote.value().to_json());
                beacon.events.send(Topic::PayloadAttestationMessage, &data);
            }
        }
        if relay {
            beacon.network.publish(match self {
                Self::Single(attestation, subnet) => Published::Attestation { attestation, subnet },
                Self::Aggregate(aggregate) => Published::Aggregate(aggregate),
                Self::Operation(Operation::ProposerSlashing(one)) => {
                    Published::ProposerSlashing(one)
                }
                Self::Operation(Operation::AttesterSlashing(one)) => {
                    Published::AttesterSlashing(one)
                }
                Self::Operation(Operation::VoluntaryExit(one)) => Published::VoluntaryExit(one),
                Self::PayloadVote(vote) => Published::PayloadVote(vote),
            });
        }
    }
}

/// Submits an item and awaits what becomes of it, for a while.
async fn settle<P: Preset>(
    beacon: Arc<Beacon<P>>,
    item: Submitted<P>,
    bytes: usize,
) -> Result<(), ApiError> {
    let timer = beacon.times.start(Kind::Attestation);
    let submission = item.clone().submit(&beacon, bytes).await;
    // It may be accepted long after the client has its answer.
    let settled = tokio::spawn(async move {
        let verdict = timer.time(submission).await;
        if let Submitted::PayloadVote(_) = &item {
            beacon.payload_figures.count(&verdict);
        }
        if let Verdict::Accept { relay, .. } = verdict {
            item.accepted(&beacon, relay);
        }
        outcome(&verdict)
    });
    match timeout(PATIENCE, settled).await {
        Ok(outcome) => outcome.map_err(|_| ApiError::fault("the item was lost"))?,
        Err(_) => Ok(()),
    }
}

/// Returns what the client is told.
fn outcome(verdict: &Verdict<Root, InvalidData>) -> Result<(), ApiError> {
    match verdict {
        Verdict::Accept { .. }
        | Verdict::Ignore(
            // A vote whose answer was lost comes again as the second one of its validator.
            IgnoreReason::Duplicate
            | IgnoreReason::SecondVote
            | IgnoreReason::SeenAggregate
            | IgnoreReason::SecondAggregate
            | IgnoreReason::SeenOperation,
        ) => Ok(()),
        Verdict::Ignore(_) | Verdict::Reject(_) => {
            Err(ApiError::bad_request(format!("{}: {}", verdict.class(), verdict.reason())))
        }
        Verdict::Dropped(DropReason::TooFar | DropReason::Expired | DropReason::Finalized) => {
            Err(ApiError::bad_request(format!("dropped: {}", verdict.reason())))
        }
        Verdict::Dropped(_) => Err(ApiError::unavailable(format!("dropped: {}", verdict.reason()))),
    }
}

/// Submits a list and answers for all of it (S1, S2).
pub(super) async fn settle_all<P: Preset>(
    beacon: Arc<Beacon<P>>,
    items: Vec<(Result<Submitted<P>, String>, usize)>,
) -> Answer {
    let mut failures = Vec::new();
    let mut running = JoinSet::new();
    let mut take = |joined: Option<Result<(usize, Result<(), ApiError>), _>>| match joined {
        Some(Ok((at, Err(error)))) => failures.push((at, error.message().to_owned())),
        Some(Ok((_, Ok(())))) | None => {}
        Some(Err::<_, tokio::task::JoinError>(_)) => {}
    };
    let mut refused = Vec::new();
    for (at, (item, bytes)) in items.into_iter().enumerate() {
        let item = match item {
            Ok(item) => item,
            Err(why) => {
                refused.push((at, why));
                continue;
            }
        };
        if running.len() >= WINDOW {
            take(running.join_next().await);
        }
        let beacon = beacon.clone();
        running.spawn(async move { (at, settle(beacon, item, bytes).await) });
    }
    while let Some(joined) = running.join_next().await {
        take(Some(joined));
    }
    failures.extend(refused);
    failures.sort();
    if failures.is_empty() { Ok(done()) } else { Err(ApiError::of_list(failures)) }
}

/// Returns on which subnet an attestation travels, or why it does not.
fn subnet<P: Preset>(state: &BeaconState<P>, attestation: &Attestation) -> Result<u64, String> {
    let data = &attestation.data;
    let epoch = compute_epoch_at_slot::<P>(data.slot);
    let current = get_current_epoch(state);
    if epoch > current.saturating_add(1) || epoch.saturating_add(2) < current {
        return Err("the attestation is of an epoch that is not known".to_owned());
    }
    let count = get_committee_count_per_slot(state, epoch).map_err(|error| error.to_string())?;
    Ok(compute_subnet_for_attestation::<P>(count, data.slot, data.index))
}

/// `POST /eth/v1/beacon/pool/attestations` and its second version, in JSON or SSZ: attestations of
/// one validator each.
pub(super) async fn attestations<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    beacon.synced()?;
    let list: Vec<Attestation> = beacon.read_list(&asked).await?;
    let view = beacon.view();
    // Committees are known up to the epoch after the state's own.
    let start = compute_start_slot_at_epoch::<P>(beacon.epoch())?;
    let slot = view.head_slot.max(start);
    let state = beacon.state_at(view.head, slot, blocksmith::rewinder::Lane::Duties).await?;
    let items = move || {
        let item = |attestation: Attestation| {
            let bytes = attestation.encode().len();
            let subnet = subnet(&state, &attestation);
            (subnet.map(|subnet| Submitted::Single(attestation.into(), subnet)), bytes)
        };
        list.into_iter().map(item).collect()
    };
    let items = beacon.compute(items).await?;
    settle_all(beacon, items).await
}

/// `POST /eth/v1/validator/aggregate_and_proofs` and its second version, in JSON or SSZ.
pub(super) async fn aggregates<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    beacon.synced()?;
    let list: Vec<SignedAggregateAndProof> = beacon.read_list(&asked).await?;
    let item = |aggregate: SignedAggregateAndProof| {
        let bytes = aggregate.encode().len();
        (Ok(Submitted::Aggregate(aggregate.into())), bytes)
    };
    settle_all(beacon, list.into_iter().map(item).collect()).await
}

/// Submits one operation.
async fn operation<P: Preset, T: FromJson + Send + 'static>(
    beacon: Arc<Beacon<P>>,
    asked: &Asked,
    wrap: impl FnOnce(T) -> Operation<Phase0<P>>,
) -> Answer {
    beacon.synced()?;
    let value: T = beacon.read(asked).await?;
    settle(beacon, Submitted::Operation(wrap(value)), asked.body.len()).await?;
    Ok(done())
}

/// `POST /eth/v1/beacon/pool/proposer_slashings`.
pub(super) async fn proposer_slashings<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let wrap =
        |one: ProposerSlashing| Operation::ProposerSlashing(SharedProposerSlashing::from(one));
    operation(beacon, &asked, wrap).await
}

/// `POST /eth/v1/beacon/pool/attester_slashings` and its second version.
pub(super) async fn attester_slashings<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let wrap =
        |one: AttesterSlashing| Operation::AttesterSlashing(SharedAttesterSlashing::from(one));
    operation(beacon, &asked, wrap).await
}

/// `POST /eth/v1/beacon/pool/voluntary_exits`.
pub(super) async fn voluntary_exits<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let wrap = |one: SignedVoluntaryExit| Operation::VoluntaryExit(SharedVoluntaryExit::from(one));
    operation(beacon, &asked, wrap).await
}
