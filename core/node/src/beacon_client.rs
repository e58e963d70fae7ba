//! A client of a beacon node's API: what a validator client asks for.
//!
//! **Contract.** Each call blocks until the node has answered, at most for the time that it is
//! given. Every value of an answer is checked for its form; a value of another form is an error
//! that names the field. Unknown fields are ignored. Nothing is retried here: a caller with several
//! nodes asks the next one.
//!
//! Of a route with several versions, the newest is asked for. A node that does not know it is asked
//! by the version before, then and from then on. Votes on payloads are sent in SSZ, and in JSON to
//! a node that does not take SSZ (415).
//!
//! Reference: Ethereum beacon-APIs, "Validator required API".

mod events;
mod payload;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use blocksmith_consensus::{
    Attestation, AttestationData, BeaconBlock, CommitteeIndex, Epoch, FromJson, Json, JsonError,
    PublicKeyBytes, Root, SignatureBytes, SignedAggregateAndProof, SignedBeaconBlock, Slot,
    ValidatorIndex, Version, json_field,
};
use serde_json::{Map, Value};

use crate::http_client::{HttpClient, HttpError, answer};

pub use events::{Events, HeadEvent, NodeEvent};
pub use payload::PtcDuty;

/// The node's answer to `GET /eth/v1/beacon/genesis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Seconds since the Unix epoch.
    pub genesis_time: u64,
    /// `genesis_validators_root`.
    pub genesis_validators_root: Root,
    /// The fork's version at genesis.
    pub genesis_fork_version: Version,
}

/// A validator that the node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownValidator {
    /// Its index.
    pub index: ValidatorIndex,
    /// Its key.
    pub pubkey: PublicKeyBytes,
    /// Whether its status begins with `active`.
    pub active: bool,
}

/// A list of duties, with the root that it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duties<T> {
    /// The root that came with the list.
    pub dependent_root: Root,
    /// The list.
    pub duties: Vec<T>,
}

/// A proposer's duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposerDuty {
    /// The key.
    pub pubkey: PublicKeyBytes,
    /// The index.
    pub validator_index: ValidatorIndex,
    /// The slot.
    pub slot: Slot,
}

/// An attester's duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttesterDuty {
    /// The key.
    pub pubkey: PublicKeyBytes,
    /// The index.
    pub validator_index: ValidatorIndex,
    /// The slot.
    pub slot: Slot,
    /// The committee.
    pub committee_index: CommitteeIndex,
    /// Members of the committee.
    pub committee_length: u64,
    /// Committees of the slot.
    pub committees_at_slot: u64,
    /// The validator's place in the committee.
    pub validator_committee_index: u64,
}

/// What `POST /eth/v1/validator/beacon_committee_subscriptions` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The duty that is coming.
    pub duty: AttesterDuty,
    /// Whether the validator aggregates.
    pub is_aggregator: bool,
}

/// The node's answer to `GET /eth/v1/node/syncing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syncing {
    /// The slot of its head.
    pub head_slot: Slot,
    /// How many slots it is behind.
    pub sync_distance: u64,
    /// Whether it is syncing.
    pub is_syncing: bool,
    /// Whether its head's payload has not been verified.
    pub is_optimistic: bool,
}

/// A client of one beacon node. A clone shares its connections, and what is known of its routes.
#[derive(Clone, Debug)]
pub struct BeaconClient {
    http: HttpClient,
    versions: Arc<Versions>,
}

/// For each route of several versions, whether the node has only the older one.
#[derive(Debug, Default)]
struct Versions {
    production: AtomicBool,
    publication: AtomicBool,
    votes: AtomicBool,
    aggregate: AtomicBool,
    aggregates: AtomicBool,
    /// The form of `payload_attestation_data` that takes the slot in its path.
    payload_data: AtomicBool,
    /// Whether votes on payloads are taken in JSON alone.
    payload_votes: AtomicBool,
}

/// Says that the node does not know a route, which may also mean that it has no such thing.
fn is_unknown<T>(answer: &Result<T, HttpError>) -> bool {
    matches!(answer.as_ref().map_err(HttpError::status), Err(Some(404 | 405 | 501)))
}

/// Asks by the version of a route that answered last, and by the other one if the node does not
/// know that. Both together take at most `timeout`. If neither is known, the first answer is
/// returned.
fn either<T>(
    older: &AtomicBool,
    timeout: Duration,
    mut ask: impl FnMut(bool, Duration) -> Result<T, HttpError>,
) -> Result<T, HttpError> {
    let end = Instant::now() + timeout;
    // ORDERING: pairs with nothing; any value leads to the right answer, one to it at once.
    let first = older.load(Relaxed);
    let answer = ask(first, timeout);
    let rest = end.saturating_duration_since(Instant::now());
    if !is_unknown(&answer) || rest.is_zero() {
        return answer;
    }
    let other = ask(!first, rest);
    if is_unknown(&other) {
        return answer;
    }
    // ORDERING: pairs with nothing, as the load.
    older.store(!first, Relaxed);
    other
}

impl BeaconClient {
    /// Returns a client of the node at `http://host:port`. Does not connect yet.
    ///
    /// # Errors
    /// [`HttpError::Url`].
    pub fn new(url: &str) -> Result<Self, HttpError> {
        Ok(Self { http: HttpClient::new(url)?, versions: Arc::default() })
    }

    /// Returns a client of a node whose answers a test gives.
    #[cfg(test)]
    pub(crate) fn scripted(url: &str, script: crate::http_client::Script) -> Self {
        Self { http: HttpClient::scripted(url, script), versions: Arc::default() }
    }

    /// Returns the node's address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.http.url()
    }

    /// Returns the genesis.
    ///
    /// # Errors
    /// An [`HttpError`]; status 404 before the node knows it. So for all calls below.
    pub fn genesis(&self, timeout: Duration) -> Result<Genesis, HttpError> {
        const PATH: &str = "/eth/v1/beacon/genesis";
        data(PATH, &self.http.get(PATH, timeout)?, |data| {
            Ok(Genesis {
                genesis_time: json_field(data, "genesis_time")?,
                genesis_validators_root: json_field(data, "genesis_validators_root")?,
                genesis_fork_version: json_field(data, "genesis_fork_version")?,
            })
        })
    }

    /// Returns the names and values of the node's configuration and preset that are texts.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`].
    pub fn spec(&self, timeout: Duration) -> Result<Vec<(String, String)>, HttpError> {
        const PATH: &str = "/eth/v1/config/spec";
        data(PATH, &self.http.get(PATH, timeout)?, |data| {
            let text = |(name, value): (&String, &Value)| {
                value.as_str().map(|value| (name.clone(), value.to_owned()))
            };
            Ok(data.iter().filter_map(text).collect())
        })
    }

    /// Returns whether the node is syncing.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`].
    pub fn syncing(&self, timeout: Duration) -> Result<Syncing, HttpError> {
        const PATH: &str = "/eth/v1/node/syncing";
        data(PATH, &self.http.get(PATH, timeout)?, |data| {
            // Older nodes do not say whether they are optimistic.
            let is_optimistic = match data.contains_key("is_optimistic") {
                true => json_field(data, "is_optimistic")?,
                false => false,
            };
            Ok(Syncing {
                head_slot: json_field(data, "head_slot")?,
                sync_distance: json_field(data, "sync_distance")?,
                is_syncing: json_field(data, "is_syncing")?,
                is_optimistic,
            })
        })
    }

    /// Returns those of the validators with these keys that the head's state knows.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`].
    pub fn validators(
        &self,
        keys: &[PublicKeyBytes],
        timeout: Duration,
    ) -> Result<Vec<KnownValidator>, HttpError> {
        // Each key takes 102 characters, and a server may bound its request line to 8 KiB.
        const AT_ONCE: usize = 64;
        const PATH: &str = "/eth/v1/beacon/states/head/validators";
        let mut known = Vec::new();
        for keys in keys.chunks(AT_ONCE) {
            let ids: Vec<String> = keys.iter().map(|key| format!("id={key}")).collect();
            let path = format!("{PATH}?{}", ids.join("&"));
            known.extend(list(PATH, &self.http.get(&path, timeout)?, |entry| {
                let validator = entry.get("validator").and_then(Value::as_object);
                let validator =
                    validator.ok_or_else(|| JsonError::new("is missing").in_field("validator"))?;
                let status = entry.get("status").and_then(Value::as_str).unwrap_or_default();
                Ok(KnownValidator {
                    index: json_field(entry, "index")?,
                    pubkey: json_field(validator, "pubkey")?,
                    active: status.starts_with("active"),
                })
            })?);
        }
        Ok(known)
    }

    /// Returns the slot of a block, and whether the block is on the chain of the node's head. A node
    /// that does not say so is believed to have it there.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`]; 404 if the node does not have the block.
    pub fn block_slot(&self, root: &Root, timeout: Duration) -> Result<(Slot, bool), HttpError> {
        const PATH: &str = "/eth/v1/beacon/headers";
        data(PATH, &self.http.get(&format!("{PATH}/{root}"), timeout)?, |data| {
            let message = data.get("header").and_then(|header| header.get("message"));
            let message = message.and_then(Value::as_object);
            let message =
                message.ok_or_else(|| JsonError::new("is missing").in_field("header.message"))?;
            let is_canonical = match data.contains_key("canonical") {
                true => json_field(data, "canonical")?,
                false => true,
            };
            Ok((json_field(message, "slot")?, is_canonical))
        })
    }

    /// Returns the proposers of an epoch: this one or the next.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`].
    pub fn proposer_duties(
        &self,
        epoch: Epoch,
        timeout: Duration,
    ) -> Result<Duties<ProposerDuty>, HttpError> {
        let path = format!("/eth/v1/validator/duties/proposer/{epoch}");
        let value = self.http.get(&path, timeout)?;
        duties(&path, &value, |duty| {
            Ok(ProposerDuty {
                pubkey: json_field(duty, "pubkey")?,
                validator_index: json_field(duty, "validator_index")?,
                slot: json_field(duty, "slot")?,
            })
        })
    }

    /// Returns when and where these validators attest in an epoch: this one or the next.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`].
    pub fn attester_duties(
        &self,
        epoch: Epoch,
        validators: &[ValidatorIndex],
        timeout: Duration,
    ) -> Result<Duties<AttesterDuty>, HttpError> {
        let path = format!("/eth/v1/validator/duties/attester/{epoch}");
        let value = self.http.post(&path, &array(validators), timeout)?;
        duties(&path, &value, |duty| {
            Ok(AttesterDuty {
                pubkey: json_field(duty, "pubkey")?,
                validator_index: json_field(duty, "validator_index")?,
                slot: json_field(duty, "slot")?,
                committee_index: json_field(duty, "committee_index")?,
                committee_length: json_field(duty, "committee_length")?,
                committees_at_slot: json_field(duty, "committees_at_slot")?,
                validator_committee_index: json_field(duty, "validator_committee_index")?,
            })
        })
    }

    /// Returns which of these validators the node has seen a message of in an epoch: the present
    /// one or the one before. A validator that the node leaves out is left out here as well.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`]; 400 for another epoch.
    pub fn liveness(
        &self,
        epoch: Epoch,
        validators: &[ValidatorIndex],
        timeout: Duration,
    ) -> Result<Vec<(ValidatorIndex, bool)>, HttpError> {
        let path = format!("/eth/v1/validator/liveness/{epoch}");
        let value = self.http.post(&path, &array(validators), timeout)?;
        list(&path, &value, |entry| {
            Ok((json_field(entry, "index")?, json_field(entry, "is_live")?))
        })
    }

    /// Returns a block by its slot, or `head`.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`]; 404 if the chain of the head has none in this slot.
    pub fn block(&self, id: &str, timeout: Duration) -> Result<SignedBeaconBlock, HttpError> {
        const PATH: &str = "/eth/v2/beacon/blocks";
        one(PATH, &self.http.get(&format!("{PATH}/{id}"), timeout)?)
    }

    /// Returns the justified and the finalised epoch of the head's state.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`].
    pub fn finality(&self, timeout: Duration) -> Result<(Epoch, Epoch), HttpError> {
        const PATH: &str = "/eth/v1/beacon/states/head/finality_checkpoints";
        data(PATH, &self.http.get(PATH, timeout)?, |data| {
            let epoch = |name: &str| match data.get(name).and_then(Value::as_object) {
                Some(checkpoint) => json_field(checkpoint, "epoch"),
                None => Err(JsonError::new("is missing").in_field(name)),
            };
            Ok((epoch("current_justified")?, epoch("finalized")?))
        })
    }

    /// Returns the node's figures, in the text exposition format of Prometheus. Not every node
    /// serves them on the address of its API.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`].
    pub fn metrics(&self, timeout: Duration) -> Result<String, HttpError> {
        self.http.text("/metrics", timeout)
    }

    /// Tells the node which committees to expect votes in.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`].
    pub fn subscribe(
        &self,
        subscriptions: &[Subscription],
        timeout: Duration,
    ) -> Result<(), HttpError> {
        const PATH: &str = "/eth/v1/validator/beacon_committee_subscriptions";
        let mut body = String::from("[");
        for (at, Subscription { duty, is_aggregator }) in subscriptions.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(
                body,
                "{comma}{{\"validator_index\":\"{}\",\"committee_index\":\"{}\",\
                 \"committees_at_slot\":\"{}\",\"slot\":\"{}\",\"is_aggregator\":{is_aggregator}}}",
                duty.validator_index, duty.committee_index, duty.committees_at_slot, duty.slot,
            );
        }
        body.push(']');
        self.http.post(PATH, &body, timeout).map(drop)
    }

    /// Returns an unsigned block of a slot. An empty `graffiti` leaves it to the node.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`]; 503 while the node is syncing.
    pub fn produce_block(
        &self,
        slot: Slot,
        randao_reveal: &SignatureBytes,
        graffiti: Option<&Root>,
        timeout: Duration,
    ) -> Result<BeaconBlock, HttpError> {
        let graffiti = graffiti.map(|text| format!("&graffiti={text}")).unwrap_or_default();
        either(&self.versions.production, timeout, |older, timeout| {
            let version = if older { "v2" } else { "v3" };
            let route = format!("/eth/{version}/validator/blocks");
            let path = format!("{route}/{slot}?randao_reveal={randao_reveal}{graffiti}");
            one(&route, &self.http.get(&path, timeout)?)
        })
    }

    /// Returns what a committee of a slot attests to.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`].
    pub fn attestation_data(
        &self,
        slot: Slot,
        committee: CommitteeIndex,
        timeout: Duration,
    ) -> Result<AttestationData, HttpError> {
        const PATH: &str = "/eth/v1/validator/attestation_data";
        let path = format!("{PATH}?slot={slot}&committee_index={committee}");
        one(PATH, &self.http.get(&path, timeout)?)
    }

    /// Returns the best aggregate that the node has of attestations with this data.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`]; 404 if it has none.
    pub fn aggregate_attestation(
        &self,
        slot: Slot,
        committee: CommitteeIndex,
        data_root: &Root,
        timeout: Duration,
    ) -> Result<Attestation, HttpError> {
        either(&self.versions.aggregate, timeout, |older, timeout| {
            let version = if older { "v1" } else { "v2" };
            let route = format!("/eth/{version}/validator/aggregate_attestation");
            let query = format!("attestation_data_root={data_root}&slot={slot}");
            // The root names the committee as well, but the second version asks for it.
            let committee = format!("&committee_index={committee}");
            let committee = if older { "" } else { &committee };
            one(&route, &self.http.get(&format!("{route}?{query}{committee}"), timeout)?)
        })
    }

    /// Publishes a block. Status 202 counts as published: the node has passed it on, and it may be
    /// invalid.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`]; 400 if the node refuses it.
    pub fn publish_block(
        &self,
        block: &SignedBeaconBlock,
        timeout: Duration,
    ) -> Result<(), HttpError> {
        let body = block.to_json();
        self.publish(&self.versions.publication, "beacon/blocks", &body, timeout)
    }

    /// Publishes attestations.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`]; 400 names those that are refused (`failures`), and the others
    /// are published.
    pub fn publish_attestations(
        &self,
        attestations: &[Attestation],
        timeout: Duration,
    ) -> Result<(), HttpError> {
        let body = array(attestations);
        self.publish(&self.versions.votes, "beacon/pool/attestations", &body, timeout)
    }

    /// Publishes aggregates with their proofs.
    ///
    /// # Errors
    /// As [`BeaconClient::publish_attestations`].
    pub fn publish_aggregates(
        &self,
        aggregates: &[SignedAggregateAndProof],
        timeout: Duration,
    ) -> Result<(), HttpError> {
        let body = array(aggregates);
        let route = "validator/aggregate_and_proofs";
        self.publish(&self.versions.aggregates, route, &body, timeout)
    }

    /// Publishes by the second version of a route, which names the fork, or by the first.
    fn publish(
        &self,
        older: &AtomicBool,
        route: &str,
        body: &str,
        timeout: Duration,
    ) -> Result<(), HttpError> {
        const FORK: [(&str, &str); 1] = [("Eth-Consensus-Version", "phase0")];
        either(older, timeout, |older, timeout| {
            let headers: &[(&str, &str)] = if older { &[] } else { &FORK };
            let version = if older { "v1" } else { "v2" };
            let path = format!("/eth/{version}/{route}");
            self.http.post_with(&path, body, headers, timeout).map(drop)
        })
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, JsonError> {
    value.as_object().ok_or_else(|| JsonError::new("expected an object"))
}

/// Reads the object under `data`.
fn data<T>(
    path: &str,
    value: &Value,
    read: impl FnOnce(&Map<String, Value>) -> Result<T, JsonError>,
) -> Result<T, HttpError> {
    let read = object(&value["data"]).and_then(read);
    read.map_err(|error| answer(path, error.in_field("data")))
}

/// Reads the value under `data`.
fn one<T: FromJson>(path: &str, value: &Value) -> Result<T, HttpError> {
    T::from_json(&value["data"]).map_err(|error| answer(path, error.in_field("data")))
}

/// Reads the list of objects under `data`.
fn list<T>(
    path: &str,
    value: &Value,
    read: impl Fn(&Map<String, Value>) -> Result<T, JsonError>,
) -> Result<Vec<T>, HttpError> {
    let entries = value["data"].as_array().ok_or_else(|| answer(path, "data: expected a list"))?;
    let read = |(at, entry)| {
        let read = object(entry).and_then(&read);
        read.map_err(|error| answer(path, error.in_element(at).in_field("data")))
    };
    entries.iter().enumerate().map(read).collect()
}

/// Reads a list of duties and the root that it depends on.
fn duties<T>(
    path: &str,
    value: &Value,
    read: impl Fn(&Map<String, Value>) -> Result<T, JsonError>,
) -> Result<Duties<T>, HttpError> {
    let root = object(value).and_then(|answer| json_field(answer, "dependent_root"));
    let dependent_root = root.map_err(|error| answer(path, error))?;
    Ok(Duties { dependent_root, duties: list(path, value, read)? })
}

/// Returns a list as JSON.
fn array<T: Json>(values: &[T]) -> String {
    let mut text = String::from("[");
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        value.write_json(&mut text);
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests;
