//! What validators ask for at their duties: a block to sign, data to attest to, and an aggregate.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use blocksmith::clearance::{BuildOn, ChainView};
use blocksmith::eth1::Proposal;
use blocksmith::gossip::ATTESTATION_PROPAGATION_SLOT_RANGE;
use blocksmith::rewinder::Lane;
use blocksmith::{Gone, ProduceError};
use blocksmith_consensus::{
    AttestationData, Checkpoint, Deposit, Eth1Data, InvalidData, Json, Preset, ProposerInputs,
    Root, SharedUnsignedBlock, SignatureBytes, Slot, Wire, compute_epoch_at_slot,
    compute_start_slot_at_epoch, get_block_root_at_slot, voting_state,
};

use super::beacon::Beacon;
use super::error::ApiError;
use super::eth1::Eth1Votes;
use super::request::{self, Answer, Asked, PHASE0, VERSION, data, json, parse};

/// The last data that were attested to, by slot and head.
pub(super) type VoteCache = Mutex<Option<((Slot, Root), AttestationData)>>;

/// Returns the graffiti in 32 bytes: hexadecimal digits after `0x`, or text, which is cut off.
fn graffiti(text: &str) -> Result<Root, ApiError> {
    if text.starts_with("0x") {
        return parse(text, "graffiti");
    }
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    Ok(Root::new(bytes))
}

/// Has the block of a slot produced, on the proposer's head.
async fn produce<P: Preset>(
    beacon: &Arc<Beacon<P>>,
    asked: &Asked,
) -> Result<SharedUnsignedBlock, ApiError> {
    beacon.synced()?;
    let slot = asked.number(0, "slot")?;
    let randao_reveal = asked.required::<SignatureBytes>("randao_reveal")?;
    let graffiti = graffiti(&asked.optional::<String>("graffiti")?.unwrap_or_default())?;
    let (now, into_slot) = beacon.clock.now().unwrap_or_default();
    if slot == 0 || slot > now.saturating_add(1) {
        return Err(ApiError::bad_request("the slot is not the current one, nor the next"));
    }
    let cutoff = u128::from(beacon.config().proposer_reorg_cutoff_ms());
    let on_time = slot > now || (slot == now && into_slot.as_millis() <= cutoff);
    let mut inputs = ProposerInputs { randao_reveal, graffiti, ..ProposerInputs::default() };
    let mut on = BuildOn::ProposerHead { slot, on_time };
    if let Some(eth1) = beacon.eth1.clone() {
        let parent = beacon.client.proposer_head_async(slot, on_time).await.ok_or(Gone)?;
        let proposal = eth1_proposal(beacon, eth1, parent, slot).await?;
        (inputs.eth1_data, inputs.deposits) = (Some(proposal.eth1_data), proposal.deposits);
        // The deposits are those that are due after this block, and no other.
        on = BuildOn::Block(parent);
    }
    let block = beacon.client.produce_block_async(on, slot, inputs).await.map_err(refusal)?;
    if let Some(dump) = beacon.dump.clone() {
        let block = block.clone();
        let write = move || dump.write("produced", slot, block.root(), &block.value().encode());
        beacon.compute(write).await?;
    }
    Ok(block)
}

/// Returns what a block of `slot` on `parent` says of the execution layer.
async fn eth1_proposal<P: Preset>(
    beacon: &Arc<Beacon<P>>,
    eth1: Arc<dyn Eth1Votes>,
    parent: Root,
    slot: Slot,
) -> Result<Proposal<Eth1Data, Deposit>, ApiError> {
    let view = beacon.view();
    let at = if parent == view.head {
        view.head_slot
    } else {
        let block = beacon.block(&view, parent).await?;
        block.map_or(slot, |block| block.value().message.slot)
    };
    let state = beacon.state_at(parent, at, Lane::Duties).await?;
    let voting = voting_state(&state, slot, beacon.config());
    let index = state.eth1_deposit_index;
    let proposal = beacon.compute(move || eth1.proposal(voting, index)).await?;
    proposal.map_err(|error| ApiError::unavailable(error.to_string()))
}

/// Says why there is no block.
fn refusal(error: ProduceError<InvalidData>) -> ApiError {
    let text = error.to_string();
    match error {
        ProduceError::NotAfterParent | ProduceError::Invalid(_) => ApiError::bad_request(text),
        ProduceError::Fault(_) => ApiError::fault(text),
        ProduceError::UnknownParent
        | ProduceError::Pruned
        | ProduceError::TooFar
        | ProduceError::Busy
        | ProduceError::Refused => ApiError::unavailable(text),
    }
}

/// `GET /eth/v1/validator/blocks/{slot}?randao_reveal=..&graffiti=..`, as older clients ask.
pub(super) async fn block_v1<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let block = produce(&beacon, &asked).await?.value().to_json();
    // A client of 2023 wants the value of the payload here, and ends without.
    Ok(json(format!(r#"{{"data":{block},"block_value":"0"}}"#)))
}

/// `GET /eth/v2/validator/blocks/{slot}`, in JSON or SSZ.
pub(super) async fn block_v2<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let as_ssz = asked.wants_ssz()?;
    let block = produce(&beacon, &asked).await?;
    if as_ssz {
        return Ok(request::ssz(block.value().encode()));
    }
    let text = format!(r#"{{"version":"{PHASE0}","data":{}}}"#, block.value().to_json());
    Ok(([(VERSION, PHASE0)], json(text)).into_response())
}

/// `GET /eth/v3/validator/blocks/{slot}`, in JSON or SSZ. A phase0 block has no payload, and nobody
/// has put a value on it.
pub(super) async fn block_v3<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let as_ssz = asked.wants_ssz()?;
    let block = produce(&beacon, &asked).await?;
    let headers = [
        (HeaderName::from_static("eth-execution-payload-blinded"), "false"),
        (HeaderName::from_static("eth-execution-payload-value"), "0"),
        (HeaderName::from_static("eth-consensus-block-value"), "0"),
    ];
    if as_ssz {
        return Ok((headers, request::ssz(block.value().encode())).into_response());
    }
    let text = format!(
        concat!(
            r#"{{"version":"{}","execution_payload_blinded":false,"#,
            r#""execution_payload_value":"0","consensus_block_value":"0","data":{}}}"#
        ),
        PHASE0,
        block.value().to_json()
    );
    Ok((headers, [(VERSION, PHASE0)], json(text)).into_response())
}

/// Returns what validators of `slot` attest to by a view of the chain, for committee 0.
async fn vote<P: Preset>(
    beacon: &Arc<Beacon<P>>,
    view: &ChainView<Root>,
    slot: Slot,
) -> Result<AttestationData, ApiError> {
    let known = beacon.votes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((_, data)) = known.filter(|(of, _)| *of == (slot, view.head)) {
        return Ok(data);
    }
    let epoch = compute_epoch_at_slot::<P>(slot);
    let start = compute_start_slot_at_epoch::<P>(epoch)?;
    // The head as it was at the slot: a block of a later slot may not be voted for.
    let unknown = || ApiError::not_found("the slot is not known any more");
    let head = beacon.canonical(view, slot).await?.ok_or_else(unknown)?;
    let at = if head == view.head { view.head_slot.max(start) } else { slot };
    let state = beacon.state_at(head, at, Lane::Duties).await?;
    // Without a block since the epoch began, the head is the last block before it.
    let target = if state.latest_block_header.slot <= start {
        head
    } else {
        get_block_root_at_slot(&state, start)?
    };
    let data = AttestationData {
        slot,
        index: 0,
        beacon_block_root: head,
        source: state.current_justified_checkpoint,
        target: Checkpoint { epoch, root: target },
    };
    *beacon.votes.lock().unwrap_or_else(PoisonError::into_inner) =
        Some(((slot, view.head), data.clone()));
    Ok(data)
}

/// `GET /eth/v1/validator/attestation_data?slot=..&committee_index=..`.
pub(super) async fn attestation_data<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    beacon.synced()?;
    let slot = asked.required::<Slot>("slot")?;
    let index = asked.required::<u64>("committee_index")?;
    let now = beacon.clock.slot();
    if slot > now.saturating_add(1) || slot.saturating_add(ATTESTATION_PROPAGATION_SLOT_RANGE) < now
    {
        return Err(ApiError::bad_request("nobody attests to the slot now"));
    }
    if index >= P::MAX_COMMITTEES_PER_SLOT {
        return Err(ApiError::bad_request("there are not so many committees"));
    }
    let vote = vote(&beacon, &beacon.view(), slot).await?;
    Ok(data(&AttestationData { index, ..vote }.to_json()))
}

/// Returns the aggregate of the pool that a request asks for.
async fn aggregate<P: Preset>(beacon: &Arc<Beacon<P>>, asked: &Asked) -> Result<String, ApiError> {
    beacon.synced()?;
    let root = asked.required::<Root>("attestation_data_root")?;
    let slot = asked.required("slot")?;
    let candidates = beacon.client.aggregates_async(slot, root).await?;
    // Signatures are summed.
    let found = beacon.compute(move || candidates.largest()).await?;
    let found = found.ok_or_else(|| ApiError::not_found("no such attestation is held"))?;
    let wanted = asked.optional::<u64>("committee_index")?;
    if wanted.is_some_and(|index| index != found.value().data.index) {
        return Err(ApiError::not_found("the attestation is of another committee"));
    }
    Ok(found.value().to_json())
}

/// `GET /eth/v1/validator/aggregate_attestation?attestation_data_root=..&slot=..`.
pub(super) async fn aggregate_v1<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    Ok(data(&aggregate(&beacon, &asked).await?))
}

/// `GET /eth/v2/validator/aggregate_attestation`, with the fork, and `committee_index`.
pub(super) async fn aggregate_v2<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let aggregate = aggregate(&beacon, &asked).await?;
    let text = format!(r#"{{"version":"{PHASE0}","data":{aggregate}}}"#);
    Ok(([(VERSION, PHASE0)], json(text)).into_response())
}

/// Requests that concern later forks alone, of clients that know those: nothing is to be done.
pub(super) async fn nothing<P: Preset>(_: Arc<Beacon<P>>, _: Asked) -> Answer {
    Ok(StatusCode::OK.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graffiti_is_text_or_32_bytes() {
        // Text is cut off or filled up; digits must be complete.
        let text = |text: &str| graffiti(text).map(|root| root.to_bytes());
        assert_eq!(text("ab").unwrap()[..3], [b'a', b'b', 0]);
        assert_eq!(text(&"x".repeat(40)).unwrap(), [b'x'; 32]);
        assert_eq!(text(&format!("0x{}", "07".repeat(32))).unwrap(), [7; 32]);
        assert!(text("0x07").is_err());
    }
}
