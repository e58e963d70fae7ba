//! Duties of validators.
//!
//! **Invariant.** T1 The dependent root of an answer and its duties come from one state, so that no
//! re-org can come between them (hazards V8, D2).

use std::collections::HashSet;
use std::sync::Arc;

use blocksmith_consensus::{
    BeaconState, Epoch, Preset, ValidatorIndex, compute_start_slot_at_epoch,
    get_attester_dependent_root, get_attesting_indices, get_committees, get_current_epoch,
    get_previous_epoch, get_proposer_dependent_root, get_proposer_duties, get_validator,
};

use super::beacon::Beacon;
use super::error::ApiError;
use super::request::{Answer, Asked, json};

/// Returns an answer of duties with what they depend on.
pub(super) fn answer(dependent_root: impl std::fmt::Display, list: &[String]) -> String {
    let list = list.join(",");
    format!(
        r#"{{"dependent_root":"{dependent_root}","execution_optimistic":false,"data":[{list}]}}"#
    )
}

/// `GET /eth/v1/validator/duties/proposer/{epoch}`: up to the next epoch.
pub(super) async fn proposer<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    beacon.synced()?;
    let epoch = asked.number(0, "epoch")?;
    let state = beacon.state_of_epoch(&beacon.view(), epoch).await?;
    let duties = move || {
        let mut list = Vec::new();
        for (slot, index) in get_proposer_duties(&state)? {
            let pubkey = get_validator(&state, index)?.pubkey;
            list.push(format!(
                r#"{{"pubkey":"{pubkey}","validator_index":"{index}","slot":"{slot}"}}"#
            ));
        }
        Ok::<_, ApiError>(answer(get_proposer_dependent_root(&state, epoch)?, &list))
    };
    Ok(json(beacon.compute(duties).await??))
}

/// Returns the duties of some validators.
fn attester_duties<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
    asked: &HashSet<ValidatorIndex>,
) -> Result<String, ApiError> {
    let committees = get_committees(state, epoch)?;
    let (count, first) =
        (committees.committees_per_slot(), compute_start_slot_at_epoch::<P>(epoch)?);
    let mut list = Vec::new();
    for at in 0..P::SLOTS_PER_EPOCH {
        for number in 0..count {
            let members = committees.committee(at, number).unwrap_or_default();
            let wanted = members.iter().enumerate().filter(|(_, index)| asked.contains(index));
            for (place, index) in wanted {
                let pubkey = get_validator(state, *index)?.pubkey;
                let (slot, length) = (first + at, members.len());
                list.push(format!(
                    concat!(
                        r#"{{"pubkey":"{}","validator_index":"{}","committee_index":"{}","#,
                        r#""committee_length":"{}","committees_at_slot":"{}","#,
                        r#""validator_committee_index":"{}","slot":"{}"}}"#
                    ),
                    pubkey, index, number, length, count, place, slot
                ));
            }
        }
    }
    Ok(answer(get_attester_dependent_root(state, epoch)?, &list))
}

/// `POST /eth/v1/validator/duties/attester/{epoch}`: up to the next epoch.
pub(super) async fn attester<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    beacon.synced()?;
    let epoch = asked.number(0, "epoch")?;
    let indices: HashSet<ValidatorIndex> =
        beacon.read::<Vec<u64>>(&asked).await?.into_iter().collect();
    if epoch > beacon.epoch().saturating_add(1) {
        return Err(ApiError::bad_request("the epoch lies after the next one"));
    }
    // The committees of an epoch are known an epoch before.
    let view = beacon.view();
    let head_epoch = view.head_slot / P::SLOTS_PER_EPOCH;
    let from = if head_epoch.saturating_add(1) == epoch { head_epoch } else { epoch };
    let state = beacon.state_of_epoch(&view, from).await?;
    let duties = move || attester_duties(&state, epoch, &indices);
    Ok(json(beacon.compute(duties).await??))
}

/// Returns for each validator whether a vote of it in the epoch is on the chain.
fn seen<P: Preset>(
    state: &BeaconState<P>,
    epoch: Epoch,
    indices: &[ValidatorIndex],
) -> Result<String, ApiError> {
    let votes = match epoch {
        epoch if epoch == get_current_epoch(state) => &state.current_epoch_attestations,
        epoch if epoch == get_previous_epoch(state) => &state.previous_epoch_attestations,
        _ => {
            return Err(ApiError::bad_request(
                "only the head's epoch and the one before are known",
            ));
        }
    };
    let mut live = HashSet::new();
    for vote in votes.iter() {
        live.extend(get_attesting_indices(state, &vote.data, &vote.aggregation_bits)?);
    }
    let one = |index: &ValidatorIndex| {
        format!(r#"{{"index":"{index}","is_live":{}}}"#, live.contains(index))
    };
    let list: Vec<_> = indices.iter().map(one).collect();
    Ok(format!(r#"{{"data":[{}]}}"#, list.join(",")))
}

/// `POST /eth/v1/validator/liveness/{epoch}`: by the votes that the head's chain includes.
pub(super) async fn liveness<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    beacon.synced()?;
    let epoch = asked.number(0, "epoch")?;
    let indices = beacon.read::<Vec<u64>>(&asked).await?;
    let state = beacon.head_state(&beacon.view()).await?;
    Ok(json(beacon.compute(move || seen(&state, epoch, &indices)).await??))
}

/// `POST /eth/v1/validator/beacon_committee_subscriptions`. Without a network there is no subnet to
/// join, but a malformed list is told.
pub(super) async fn subscribe<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    beacon.read::<Vec<Subscription>>(&asked).await?;
    Ok(super::request::done())
}

/// A wish to listen to a committee's subnet.
struct Subscription;

impl blocksmith_consensus::FromJson for Subscription {
    fn from_json(value: &serde_json::Value) -> Result<Self, blocksmith_consensus::JsonError> {
        use blocksmith_consensus::json_field;
        let wrong = || blocksmith_consensus::JsonError::new("expected an object");
        let object = value.as_object().ok_or_else(wrong)?;
        for name in ["validator_index", "committee_index", "committees_at_slot", "slot"] {
            json_field::<u64>(object, name)?;
        }
        json_field::<bool>(object, "is_aggregator")?;
        Ok(Self)
    }
}
