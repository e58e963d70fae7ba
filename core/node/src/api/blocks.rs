//! Blocks and headers: asked for, and published.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use blocksmith::verdict::{DropReason, IgnoreReason, Verdict};
use blocksmith_consensus::{
    BeaconBlockHeader, InvalidData, Json, Preset, Root, SharedBlock, SignedBeaconBlock,
    SignedBeaconBlockHeader, Wire,
};
use tokio::time::timeout;

use super::beacon::{Beacon, FoundBlock};
use super::broadcast::Published;
use super::error::ApiError;
use super::events::Topic;
use super::payloads;
use super::pool::{LOCAL, PATIENCE};
use super::recent::Arrival;
use super::request::{self, Answer, Asked, PHASE0, VERSION, json};
use crate::metrics::Kind;

fn header_of<P: Preset>(found: &FoundBlock) -> String {
    let block = found.block.value();
    let message = BeaconBlockHeader {
        slot: block.message.slot,
        proposer_index: block.message.proposer_index,
        parent_root: block.message.parent_root,
        state_root: block.message.state_root,
        body_root: Beacon::<P>::body_root(&found.block),
    };
    let header = SignedBeaconBlockHeader { message, signature: block.signature };
    let (root, canonical) = (found.block.root(), found.canonical);
    format!(r#"{{"root":"{root}","canonical":{canonical},"header":{}}}"#, header.to_json())
}

/// `GET /eth/v1/beacon/headers/{block_id}`.
pub(super) async fn header<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let found = beacon.block_of(asked.part(0)).await?;
    Ok(json(super::states::flagged(found.finalized, &header_of::<P>(&found))))
}

/// `GET /eth/v1/beacon/headers?slot=..&parent_root=..`: of the canonical chain; without a slot,
/// that of the head.
pub(super) async fn headers<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let (slot, parent) = (asked.optional::<u64>("slot")?, asked.optional::<Root>("parent_root")?);
    let id = slot.map_or_else(|| "head".to_owned(), |slot| slot.to_string());
    let found = match beacon.block_of(&id).await {
        Err(error) if error.status() == StatusCode::NOT_FOUND => None,
        found => Some(found?),
    };
    let of_parent = |found: &FoundBlock| {
        parent.is_none_or(|parent| found.block.value().message.parent_root == parent)
    };
    let found = found.filter(of_parent);
    let finalized = found.as_ref().is_some_and(|found| found.finalized);
    let list = found.as_ref().map(header_of::<P>).unwrap_or_default();
    Ok(json(super::states::flagged(finalized, &format!("[{list}]"))))
}

/// `GET /eth/v1/beacon/blocks/{block_id}/root`.
pub(super) async fn root<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let found = beacon.block_of(asked.part(0)).await?;
    let data = format!(r#"{{"root":"{}"}}"#, found.block.root());
    Ok(json(super::states::flagged(found.finalized, &data)))
}

/// `GET /eth/v2/beacon/blocks/{block_id}`, in JSON or SSZ.
pub(super) async fn block<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let as_ssz = asked.wants_ssz()?;
    let found = beacon.block_of(asked.part(0)).await?;
    if as_ssz {
        return Ok(request::ssz(found.block.value().encode()));
    }
    Ok(of_fork(found.finalized, &found.block.value().to_json()))
}

/// Answers with what is said of every block beside its data, and the fork.
fn of_fork(finalized: bool, data: &str) -> Response {
    let text = format!(
        r#"{{"version":"{PHASE0}","execution_optimistic":false,"finalized":{finalized},"data":{data}}}"#
    );
    ([(VERSION, PHASE0)], json(text)).into_response()
}

/// `GET /eth/v1/beacon/blocks/{block_id}/attestations`.
pub(super) async fn attestations<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let found = beacon.block_of(asked.part(0)).await?;
    let list = found.block.value().message.body.attestations.to_json();
    Ok(json(super::states::flagged(found.finalized, &list)))
}

/// `GET /eth/v2/beacon/blocks/{block_id}/attestations`, with the fork.
pub(super) async fn attestations_v2<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let found = beacon.block_of(asked.part(0)).await?;
    let list = found.block.value().message.body.attestations.to_json();
    Ok(of_fork(found.finalized, &list))
}

/// `POST /eth/v1/beacon/blocks` and its second version, in JSON or SSZ.
///
/// | what becomes of the block | answer |
/// |---|---|
/// | it is imported, or was imported before | 200 |
/// | it waits for its parent or its slot, or its check takes long | 202 |
/// | it is invalid, or of no use | 400 |
/// | we cannot take it now | 503 |
pub(super) async fn publish<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    if let Some(validation) = asked.optional::<String>("broadcast_validation")? {
        let known = ["gossip", "consensus", "consensus_and_equivocation"];
        if !known.contains(&validation.as_str()) {
            let message = format!("there is no broadcast_validation {validation}");
            return Err(ApiError::bad_request(message));
        }
    }
    let block: SignedBeaconBlock = asked.value()?;
    let block = SharedBlock::from(block);
    let (bytes, timer) = (asked.body.len(), beacon.times.start(Kind::Block));
    let arrival = beacon.recent.arrive(&block, beacon.clock.moment());
    let submission = beacon.client.submit_block_async(block.clone(), LOCAL, bytes).await;
    // The block may be imported long after the client has its answer, or has gone.
    let settled = tokio::spawn(settle(beacon, block, arrival, timer.time(submission)));
    let verdict = match timeout(PATIENCE, settled).await {
        Ok(verdict) => Some(verdict.map_err(|_| ApiError::fault("the block was lost"))?),
        Err(_) => None,
    };
    outcome(verdict.as_ref()).map(IntoResponse::into_response)
}

/// Awaits what becomes of a block, and tells of it.
async fn settle<P: Preset>(
    beacon: Arc<Beacon<P>>,
    block: SharedBlock,
    arrival: Arrival,
    verdict: impl Future<Output = Verdict<Root, InvalidData>>,
) -> Verdict<Root, InvalidData> {
    let verdict = verdict.await;
    if matches!(verdict, Verdict::Accept { .. }) {
        beacon.recent.insert(block.clone());
        payloads::block_came(&beacon, block.root(), arrival.came);
    }
    drop(arrival);
    if let Verdict::Accept { relay, .. } = verdict {
        let (slot, root) = (block.value().message.slot, block.root());
        let data = format!(r#"{{"slot":"{slot}","block":"{root}","execution_optimistic":false}}"#);
        beacon.events.send(Topic::Block, &data);
        if relay {
            beacon.network.publish(Published::Block(block.clone()));
        }
        // The view of the chain follows the verdict: who asks next shall see the block.
        beacon.client.view_async().await;
        payloads::block_accepted(&beacon, root, slot).await;
    }
    let what = if outcome(Some(&verdict)).is_ok() { "submitted" } else { "refused" };
    dump(&beacon, &block, what).await;
    verdict
}

/// Returns the answer to who submitted a block; `None` stands for no verdict in time.
fn outcome(verdict: Option<&Verdict<Root, InvalidData>>) -> Result<StatusCode, ApiError> {
    match verdict {
        None => Ok(StatusCode::ACCEPTED),
        Some(Verdict::Accept { .. } | Verdict::Ignore(IgnoreReason::Duplicate)) => {
            Ok(StatusCode::OK)
        }
        Some(verdict @ (Verdict::Ignore(_) | Verdict::Reject(_))) => {
            let message = format!("the block is {}: {}", verdict.class(), verdict.reason());
            Err(ApiError::bad_request(message))
        }
        Some(Verdict::Dropped(DropReason::TooDeep | DropReason::TooFar)) => {
            Err(ApiError::bad_request("the block lies too far from what is known"))
        }
        Some(verdict @ Verdict::Dropped(_)) => {
            Err(ApiError::unavailable(format!("the block was dropped: {}", verdict.reason())))
        }
    }
}

/// Writes a block to the dump, if there is one.
async fn dump<P: Preset>(beacon: &Beacon<P>, block: &SharedBlock, what: &'static str) {
    let Some(dump) = beacon.dump.clone() else { return };
    let block = block.clone();
    let slot = block.value().message.slot;
    let write = move || dump.write(what, slot, block.root(), &block.value().encode());
    // Without room for it the node is stopping.
    let _ = beacon.compute(write).await;
}
