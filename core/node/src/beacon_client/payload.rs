//! What a beacon node says of a payload-timeliness committee, and takes from it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use blocksmith_consensus::gloas::{PayloadAttestationData, PayloadAttestationMessage};
use blocksmith_consensus::{
    Epoch, PublicKeyBytes, Slot, ValidatorIndex, Wire, decode_exact, json_field,
};

use super::{BeaconClient, Duties, array, duties, is_unknown, one};
use crate::http_client::{HttpError, answer, json};

/// The duty to vote on the payload of a slot's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PtcDuty {
    /// The key.
    pub pubkey: PublicKeyBytes,
    /// The index.
    pub validator_index: ValidatorIndex,
    /// The slot.
    pub slot: Slot,
}

/// Returns whether the node does not take the form of what was sent.
fn is_form_refused(said: &Result<(), HttpError>) -> bool {
    said.as_ref().is_err_and(|error| error.status() == Some(415))
}

impl BeaconClient {
    /// Returns when these validators vote on payloads in an epoch: this one or the next.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`].
    pub fn ptc_duties(
        &self,
        epoch: Epoch,
        validators: &[ValidatorIndex],
        timeout: Duration,
    ) -> Result<Duties<PtcDuty>, HttpError> {
        let path = format!("/eth/v1/validator/duties/ptc/{epoch}");
        let value = self.http.post(&path, &array(validators), timeout)?;
        duties(&path, &value, |duty| {
            Ok(PtcDuty {
                pubkey: json_field(duty, "pubkey")?,
                validator_index: json_field(duty, "validator_index")?,
                slot: json_field(duty, "slot")?,
            })
        })
    }

    /// Returns what is to be said of the payload of a slot's block. The slot is asked for in the
    /// query, or in the path if the node knows that form alone. Which of them it knows is concluded
    /// from an answer that is no refusal: 404 may also say that it has seen no block.
    ///
    /// # Errors
    /// See [`BeaconClient::genesis`]; 204 or 404 if the node has seen no block of the slot.
    pub fn payload_attestation_data(
        &self,
        slot: Slot,
        timeout: Duration,
    ) -> Result<PayloadAttestationData, HttpError> {
        let end = Instant::now() + timeout;
        let older = &self.versions.payload_data;
        // ORDERING: pairs with nothing; any value leads to the right answer, one to it at once.
        let first = older.load(Relaxed);
        let said = self.payload_data(slot, first, timeout);
        let rest = end.saturating_duration_since(Instant::now());
        if !is_unknown(&said) || rest.is_zero() {
            return said;
        }
        let other = self.payload_data(slot, !first, rest);
        let is_known = matches!(other.as_ref().map_err(HttpError::status), Ok(_) | Err(Some(204)));
        if !is_known {
            return said;
        }
        // ORDERING: pairs with nothing, as the load.
        older.store(!first, Relaxed);
        other
    }

    fn payload_data(
        &self,
        slot: Slot,
        in_path: bool,
        timeout: Duration,
    ) -> Result<PayloadAttestationData, HttpError> {
        const PATH: &str = "/eth/v1/validator/payload_attestation_data";
        let separator = if in_path { "/" } else { "?slot=" };
        let response = self.http.get_either(&format!("{PATH}{separator}{slot}"), timeout)?;
        let data: PayloadAttestationData = match (response.body.is_empty(), response.is_ssz) {
            (true, _) => {
                let message = "no block of the slot was seen".to_owned();
                let (path, failures) = (PATH.to_owned(), Vec::new());
                return Err(HttpError::Status { path, status: 204, message, failures });
            }
            (false, true) => {
                let data = decode_exact(&response.body);
                data.map_err(|error| answer(PATH, error))?
            }
            (false, false) => one(PATH, &json(PATH, &response.body)?)?,
        };
        match data.slot == slot {
            true => Ok(data),
            false => Err(answer(PATH, format!("data.slot: is {}, not {slot}", data.slot))),
        }
    }

    /// Publishes votes on a payload: in SSZ, or in JSON to a node that has refused SSZ as a form
    /// that it does not take (415). Such a node has taken nothing. It is sent JSON from then on,
    /// unless it refuses that as well.
    ///
    /// # Errors
    /// As [`BeaconClient::publish_attestations`].
    pub fn publish_payload_attestations(
        &self,
        votes: &[PayloadAttestationMessage],
        timeout: Duration,
    ) -> Result<(), HttpError> {
        const PATH: &str = "/eth/v1/beacon/pool/payload_attestations";
        const FORK: [(&str, &str); 1] = [("Eth-Consensus-Version", "gloas")];
        let end = Instant::now() + timeout;
        let in_json = &self.versions.payload_votes;
        // ORDERING: pairs with nothing; any value leads to the right form, one to it at once.
        let is_known = in_json.load(Relaxed);
        if !is_known {
            let bytes: Vec<u8> = votes.iter().flat_map(Wire::encode).collect();
            let said = self.http.post_ssz(PATH, &bytes, &FORK, timeout);
            if !is_form_refused(&said) || Instant::now() >= end {
                return said;
            }
        }
        let rest = end.saturating_duration_since(Instant::now());
        let said = self.http.post_with(PATH, &array(votes), &FORK, rest).map(drop);
        if !is_known && !is_form_refused(&said) {
            // ORDERING: pairs with nothing, as the load.
            in_json.store(true, Relaxed);
        }
        said
    }
}
