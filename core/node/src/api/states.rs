//! States: roots, forks, checkpoints, validators, committees, and whole ones.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use blocksmith_consensus::{
    BeaconState, Epoch, FAR_FUTURE_EPOCH, FromJson, Gwei, Json, JsonError, Preset, PublicKeyBytes,
    Validator, ValidatorIndex, compute_start_slot_at_epoch, get_committees, get_current_epoch,
};
use serde_json::Value;

use super::beacon::Beacon;
use super::error::ApiError;
use super::request::{self, Answer, Asked, PHASE0, VERSION, json, parse};

/// Validators that one request may name.
const MAX_IDS: usize = 1 << 14;

/// Answers with what is said of every state beside its data.
pub(super) fn flagged(finalized: bool, data: &str) -> String {
    format!(r#"{{"execution_optimistic":false,"finalized":{finalized},"data":{data}}}"#)
}

/// `GET /eth/v1/beacon/states/{state_id}/root`.
pub(super) async fn root<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let found = beacon.state(asked.part(0)).await?;
    let root = found.state.hash_tree_root();
    Ok(json(flagged(found.finalized, &format!(r#"{{"root":"{root}"}}"#))))
}

/// `GET /eth/v1/beacon/states/{state_id}/fork`.
pub(super) async fn fork<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let found = beacon.state(asked.part(0)).await?;
    Ok(json(flagged(found.finalized, &found.state.fork.to_json())))
}

/// `GET /eth/v1/beacon/states/{state_id}/finality_checkpoints`.
pub(super) async fn finality<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let found = beacon.state(asked.part(0)).await?;
    let state = &found.state;
    let data = format!(
        r#"{{"previous_justified":{},"current_justified":{},"finalized":{}}}"#,
        state.previous_justified_checkpoint.to_json(),
        state.current_justified_checkpoint.to_json(),
        state.finalized_checkpoint.to_json(),
    );
    Ok(json(flagged(found.finalized, &data)))
}

/// `GET /eth/v2/debug/beacon/states/{state_id}`: the whole state, in JSON or SSZ.
pub(super) async fn whole<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let as_ssz = asked.wants_ssz()?;
    let found = beacon.state(asked.part(0)).await?;
    if as_ssz {
        return Ok(request::ssz(beacon.compute(move || found.state.encode()).await?));
    }
    let text = move || {
        let finalized = found.finalized;
        let state = found.state.to_json();
        format!(
            r#"{{"version":"{PHASE0}","execution_optimistic":false,"finalized":{finalized},"data":{state}}}"#
        )
    };
    let mut answer = json(beacon.compute(text).await?);
    answer.headers_mut().insert(VERSION, PHASE0.parse().expect("a name of letters"));
    Ok(answer)
}

/// A validator's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ValidatorId {
    Index(ValidatorIndex),
    Key(PublicKeyBytes),
}

impl FromStr for ValidatorId {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        if text.starts_with("0x") {
            return Ok(Self::Key(parse(text, "id")?));
        }
        Ok(Self::Index(parse(text, "id")?))
    }
}

/// What validators are asked for. Without ids, all are.
struct Filter {
    ids: Option<BTreeSet<ValidatorId>>,
    statuses: Vec<String>,
}

/// A body that names validators and statuses; both may be missing.
struct Names {
    ids: Option<Vec<String>>,
    statuses: Option<Vec<String>>,
}

/// A list of strings, or nothing at all.
fn strings(value: Option<&Value>) -> Result<Option<Vec<String>>, JsonError> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let list = value.as_array().ok_or_else(|| JsonError::new("expected a list"))?;
    let text = |value: &Value| {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| JsonError::new("expected a text"))
    };
    list.iter().map(text).collect::<Result<_, _>>().map(Some)
}

impl FromJson for Names {
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        Ok(Self { ids: strings(value.get("ids"))?, statuses: strings(value.get("statuses"))? })
    }
}

impl Filter {
    fn new(ids: Option<&[&str]>, statuses: Vec<String>) -> Result<Self, ApiError> {
        let ids = ids.filter(|ids| !ids.is_empty());
        if ids.is_some_and(|ids| ids.len() > MAX_IDS) {
            return Err(ApiError::bad_request(format!("more than {MAX_IDS} validators")));
        }
        let ids = ids.map(|ids| ids.iter().map(|id| id.parse()).collect()).transpose()?;
        let known =
            |word: &String| STATUSES.contains(&word.as_str()) || GROUPS.contains(&word.as_str());
        if let Some(word) = statuses.iter().find(|word| !known(word)) {
            return Err(ApiError::bad_request(format!("there is no status {word}")));
        }
        Ok(Self { ids, statuses })
    }

    fn of_query(asked: &Asked) -> Result<Self, ApiError> {
        let statuses = asked.all("status").into_iter().map(str::to_owned).collect();
        Self::new(Some(&asked.all("id")), statuses)
    }

    fn of_body(asked: &Asked) -> Result<Self, ApiError> {
        if asked.body.is_empty() {
            return Self::new(None, Vec::new());
        }
        let names: Names = asked.json()?;
        let ids: Option<Vec<&str>> =
            names.ids.as_ref().map(|ids| ids.iter().map(String::as_str).collect());
        Self::new(ids.as_deref(), names.statuses.unwrap_or_default())
    }

    fn wants(&self, status: &str) -> bool {
        self.statuses.is_empty()
            || self
                .statuses
                .iter()
                .any(|wanted| status == wanted || status.starts_with(&format!("{wanted}_")))
    }

    /// Returns those that are asked for, by index. Names of no validator are left out.
    fn choose<P: Preset>(&self, state: &BeaconState<P>) -> Vec<(ValidatorIndex, Validator)> {
        let entry = |index: ValidatorIndex| {
            let at = usize::try_from(index).ok()?;
            Some((index, state.validators.get(at)?.clone()))
        };
        let Some(ids) = &self.ids else {
            return (0..).zip(state.validators.iter().cloned()).collect();
        };
        let by_key = |key: &PublicKeyBytes| ids.contains(&ValidatorId::Key(*key));
        let keys = ids.iter().any(|id| matches!(id, ValidatorId::Key(_)));
        let indices = ids.iter().filter_map(|id| match id {
            ValidatorId::Index(index) => Some(*index),
            ValidatorId::Key(_) => None,
        });
        let mut chosen: BTreeMap<_, _> = indices.filter_map(entry).collect();
        if keys {
            let all = (0..).zip(state.validators.iter());
            let named = all.filter(|(_, validator)| by_key(&validator.pubkey));
            chosen.extend(named.map(|(index, validator)| (index, validator.clone())));
        }
        chosen.into_iter().collect()
    }
}

const STATUSES: [&str; 9] = [
    "pending_initialized",
    "pending_queued",
    "active_ongoing",
    "active_exiting",
    "active_slashed",
    "exited_unslashed",
    "exited_slashed",
    "withdrawal_possible",
    "withdrawal_done",
];
/// What several statuses begin with.
const GROUPS: [&str; 4] = ["pending", "active", "exited", "withdrawal"];

/// Returns a validator's status at an epoch, as the beacon API defines it.
fn status(validator: &Validator, balance: Gwei, epoch: Epoch) -> &'static str {
    if epoch < validator.activation_epoch {
        return if validator.activation_eligibility_epoch == FAR_FUTURE_EPOCH {
            "pending_initialized"
        } else {
            "pending_queued"
        };
    }
    if epoch < validator.exit_epoch {
        return match (validator.exit_epoch, validator.slashed) {
            (FAR_FUTURE_EPOCH, _) => "active_ongoing",
            (_, true) => "active_slashed",
            (_, false) => "active_exiting",
        };
    }
    match (epoch < validator.withdrawable_epoch, validator.slashed, balance) {
        (true, true, _) => "exited_slashed",
        (true, false, _) => "exited_unslashed",
        (false, _, 0) => "withdrawal_done",
        (false, _, _) => "withdrawal_possible",
    }
}

/// Returns the list of the validators that are asked for.
fn list<P: Preset>(state: &BeaconState<P>, filter: &Filter) -> String {
    let epoch = get_current_epoch(state);
    let mut text = String::from("[");
    for (index, validator) in filter.choose(state) {
        let balance = usize::try_from(index).ok().and_then(|at| state.balances.get(at));
        let balance = balance.copied().unwrap_or_default();
        let status = status(&validator, balance, epoch);
        if !filter.wants(status) {
            continue;
        }
        if text.len() > 1 {
            text.push(',');
        }
        text += &format!(r#"{{"index":"{index}","balance":"{balance}","status":"{status}","#);
        text += r#""validator":"#;
        validator.write_json(&mut text);
        text.push('}');
    }
    text.push(']');
    text
}

async fn answer<P: Preset>(beacon: Arc<Beacon<P>>, id: &str, filter: Filter) -> Answer {
    let found = beacon.state(id).await?;
    let finalized = found.finalized;
    let text = beacon.compute(move || list(&found.state, &filter)).await?;
    Ok(json(flagged(finalized, &text)))
}

/// `GET /eth/v1/beacon/states/{state_id}/validators?id=..&status=..`.
pub(super) async fn validators<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let filter = Filter::of_query(&asked)?;
    answer(beacon, asked.part(0), filter).await
}

/// `POST /eth/v1/beacon/states/{state_id}/validators`.
pub(super) async fn post_validators<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let filter = Filter::of_body(&asked)?;
    answer(beacon, asked.part(0), filter).await
}

/// `GET /eth/v1/beacon/states/{state_id}/validators/{validator_id}`.
pub(super) async fn validator<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let filter = Filter::new(Some(&[asked.part(1)]), Vec::new())?;
    let found = beacon.state(asked.part(0)).await?;
    let finalized = found.finalized;
    let text = beacon.compute(move || list(&found.state, &filter)).await?;
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(one) if !one.is_empty() => Ok(json(flagged(finalized, one))),
        _ => Err(ApiError::not_found("there is no such validator")),
    }
}

/// `GET /eth/v1/beacon/states/{state_id}/committees?epoch=..&index=..&slot=..`.
pub(super) async fn committees<P: Preset>(beacon: Arc<Beacon<P>>, asked: Asked) -> Answer {
    let found = beacon.state(asked.part(0)).await?;
    let (state, finalized) = (found.state, found.finalized);
    let current = get_current_epoch(&state);
    let epoch = asked.optional("epoch")?.unwrap_or(current);
    let (index, slot) = (asked.optional::<u64>("index")?, asked.optional::<u64>("slot")?);
    if epoch > current.saturating_add(1) || epoch.saturating_add(1) < current {
        return Err(ApiError::bad_request("the state does not know the committees of the epoch"));
    }
    let first = compute_start_slot_at_epoch::<P>(epoch)?;
    if slot.is_some_and(|slot| slot < first || slot - first >= P::SLOTS_PER_EPOCH) {
        return Err(ApiError::bad_request("the slot is not of the epoch"));
    }
    let text = beacon
        .compute(move || {
            let committees = get_committees(&state, epoch)?;
            let mut all = Vec::new();
            for at in 0..P::SLOTS_PER_EPOCH {
                for number in 0..committees.committees_per_slot() {
                    let wanted = slot.is_none_or(|slot| slot == first + at)
                        && index.is_none_or(|index| index == number);
                    let Some(members) = committees.committee(at, number).filter(|_| wanted) else {
                        continue;
                    };
                    let members: Vec<_> = members.iter().map(|one| one.to_json()).collect();
                    let (slot, members) = (first + at, members.join(","));
                    all.push(format!(
                        r#"{{"index":"{number}","slot":"{slot}","validators":[{members}]}}"#
                    ));
                }
            }
            Ok::<_, ApiError>(format!("[{}]", all.join(",")))
        })
        .await??;
    Ok(json(flagged(finalized, &text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_follows_from_epochs_slashing_and_balance() {
        // Every row of the API's table, for a validator that is active in the epochs 5 to 9.
        let ongoing = Validator {
            activation_epoch: 5,
            exit_epoch: FAR_FUTURE_EPOCH,
            withdrawable_epoch: FAR_FUTURE_EPOCH,
            ..Validator::default()
        };
        let exiting = Validator { exit_epoch: 10, withdrawable_epoch: 12, ..ongoing.clone() };
        let slashed = Validator { slashed: true, ..exiting.clone() };
        let new = Validator { activation_eligibility_epoch: FAR_FUTURE_EPOCH, ..ongoing.clone() };
        let rows = [
            (&new, 1, 4, "pending_initialized"),
            (&ongoing, 1, 4, "pending_queued"),
            (&ongoing, 1, 5, "active_ongoing"),
            (&exiting, 1, 9, "active_exiting"),
            (&slashed, 1, 9, "active_slashed"),
            (&exiting, 1, 10, "exited_unslashed"),
            (&slashed, 1, 11, "exited_slashed"),
            (&exiting, 1, 12, "withdrawal_possible"),
            (&slashed, 0, 12, "withdrawal_done"),
        ];
        for (validator, balance, epoch, expected) in rows {
            assert_eq!(status(validator, balance, epoch), expected);
            assert!(STATUSES.contains(&expected));
        }
    }
}
