//! A client of a remote signer.
//!
//! **Contract.** [`RemoteSigner::sign`] blocks until the signer has answered, at most for the time
//! that it is given, and tells a refusal by slashing protection and an unknown key from a failure.
//! A failure says nothing of what the signer has recorded: the same request may be made again, and
//! another must not be made in its place. A returned signature has the right length; whether it is
//! the key's is not checked here.
//!
//! Reference: Ethereum remote-signing-api.

use std::time::Duration;

use blocksmith_consensus::gloas::PayloadAttestationData;
use blocksmith_consensus::{
    AggregateAndProof, AttestationData, BeaconBlockHeader, Epoch, Fork, FromJson, Json,
    PublicKeyBytes, Root, SignatureBytes, Slot, VoluntaryExit,
};
use serde_json::Value;
use thiserror::Error;

use crate::http_client::{HttpClient, HttpError, answer};

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningObject {
    /// The RANDAO reveal of an epoch.
    RandaoReveal(Epoch),
    /// A block, by its header, which has the same root.
    Block(BeaconBlockHeader),
    /// An attestation.
    Attestation(AttestationData),
    /// The selection proof of a slot.
    AggregationSlot(Slot),
    /// An aggregate and proof.
    AggregateAndProof(Box<AggregateAndProof>),
    /// A voluntary exit.
    VoluntaryExit(VoluntaryExit),
    /// What a member of a payload-timeliness committee says.
    PayloadAttestation(PayloadAttestationData),
}

impl SigningObject {
    /// Returns the API's word for the type, the name of the field, and the field's value.
    fn parts(&self) -> (&'static str, &'static str, String) {
        match self {
            Self::RandaoReveal(epoch) => {
                ("RANDAO_REVEAL", "randao_reveal", format!("{{\"epoch\":\"{epoch}\"}}"))
            }
            Self::Block(header) => {
                let header = header.to_json();
                let block = format!("{{\"version\":\"PHASE0\",\"block_header\":{header}}}");
                ("BLOCK_V2", "beacon_block", block)
            }
            Self::Attestation(data) => ("ATTESTATION", "attestation", data.to_json()),
            Self::AggregationSlot(slot) => {
                ("AGGREGATION_SLOT", "aggregation_slot", format!("{{\"slot\":\"{slot}\"}}"))
            }
            Self::AggregateAndProof(proof) => {
                ("AGGREGATE_AND_PROOF", "aggregate_and_proof", proof.to_json())
            }
            Self::VoluntaryExit(exit) => ("VOLUNTARY_EXIT", "voluntary_exit", exit.to_json()),
            Self::PayloadAttestation(data) => {
                // As the newest clients send it: with the fork that the data are of.
                let data = format!("{{\"version\":\"GLOAS\",\"data\":{}}}", data.to_json());
                ("PAYLOAD_ATTESTATION_MESSAGE", "payload_attestation_message", data)
            }
        }
    }
}

/// Why there is no signature.
#[derive(Debug, Error)]
pub enum SignError {
    /// The signer does not have the key (404).
    #[error("the signer does not know the key")]
    UnknownKey,
    /// The signer's slashing protection refuses (412).
    #[error("the signer's slashing protection refuses")]
    Refused,
    /// The call failed. Whether the signer has recorded the message is not known.
    #[error(transparent)]
    Failed(#[from] HttpError),
}

/// A client of one signer. A clone shares its connections.
#[derive(Clone, Debug)]
pub struct RemoteSigner {
    http: HttpClient,
}

impl RemoteSigner {
    /// Returns a client of the signer at `http://host:port`. Does not connect yet.
    ///
    /// # Errors
    /// [`HttpError::Url`].
    pub fn new(url: &str) -> Result<Self, HttpError> {
        Ok(Self { http: HttpClient::new(url)? })
    }

    /// Returns the signer's address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.http.url()
    }

    /// Returns the keys that the signer has.
    ///
    /// # Errors
    /// An [`HttpError`].
    pub fn public_keys(&self, timeout: Duration) -> Result<Vec<PublicKeyBytes>, HttpError> {
        const PATH: &str = "/api/v1/eth2/publicKeys";
        let value = self.http.get(PATH, timeout)?;
        Vec::from_json(&value).map_err(|error| answer(PATH, error))
    }

    /// Has an object signed. `fork` and `genesis_validators_root` are those of the object's domain;
    /// the signer computes the signing root itself and refuses one that differs from
    /// `signing_root`.
    ///
    /// # Errors
    /// A [`SignError`].
    pub fn sign(
        &self,
        key: &PublicKeyBytes,
        object: &SigningObject,
        fork: &Fork,
        genesis_validators_root: &Root,
        signing_root: &Root,
        timeout: Duration,
    ) -> Result<SignatureBytes, SignError> {
        let (kind, name, value) = object.parts();
        let fork = fork.to_json();
        let body = format!(
            "{{\"type\":\"{kind}\",\"fork_info\":{{\"fork\":{fork},\
             \"genesis_validators_root\":\"{genesis_validators_root}\"}},\
             \"signingRoot\":\"{signing_root}\",\"{name}\":{value}}}"
        );
        let path = format!("/api/v1/eth2/sign/{key}");
        match self.http.post(&path, &body, timeout) {
            Ok(value) => Ok(signature(&path, &value)?),
            Err(error) => Err(match error.status() {
                Some(404) => SignError::UnknownKey,
                Some(412) => SignError::Refused,
                _ => SignError::Failed(error),
            }),
        }
    }
}

fn signature(path: &str, value: &Value) -> Result<SignatureBytes, HttpError> {
    let read = SignatureBytes::from_json(&value["signature"]);
    read.map_err(|error| answer(path, error.in_field("signature")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::tests::serve;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn sign(signer: &RemoteSigner, object: &SigningObject) -> Result<SignatureBytes, SignError> {
        let key = PublicKeyBytes::new([0xaa; 48]);
        let fork = Fork { epoch: 7, ..Fork::default() };
        let roots = [Root::new([1; 32]), Root::new([2; 32])];
        signer.sign(&key, object, &fork, &roots[0], &roots[1], TIMEOUT)
    }

    #[test]
    fn each_type_is_sent_under_its_name_with_the_fork_and_the_root() {
        // One request of each type; the bodies are looked at as the signer saw them.
        let objects = [
            (SigningObject::RandaoReveal(9), "RANDAO_REVEAL", "/randao_reveal/epoch", "9"),
            (
                SigningObject::Block(BeaconBlockHeader { slot: 3, ..BeaconBlockHeader::default() }),
                "BLOCK_V2",
                "/beacon_block/block_header/slot",
                "3",
            ),
            (
                SigningObject::Attestation(AttestationData { slot: 4, ..Default::default() }),
                "ATTESTATION",
                "/attestation/slot",
                "4",
            ),
            (SigningObject::AggregationSlot(5), "AGGREGATION_SLOT", "/aggregation_slot/slot", "5"),
            (
                SigningObject::AggregateAndProof(Box::new(AggregateAndProof {
                    aggregator_index: 6,
                    ..Default::default()
                })),
                "AGGREGATE_AND_PROOF",
                "/aggregate_and_proof/aggregator_index",
                "6",
            ),
            (
                SigningObject::VoluntaryExit(VoluntaryExit { epoch: 8, ..Default::default() }),
                "VOLUNTARY_EXIT",
                "/voluntary_exit/epoch",
                "8",
            ),
            (
                SigningObject::PayloadAttestation(PayloadAttestationData {
                    slot: 10,
                    ..Default::default()
                }),
                "PAYLOAD_ATTESTATION_MESSAGE",
                "/payload_attestation_message/data/slot",
                "10",
            ),
        ];
        let signature = SignatureBytes::new([5; 96]);
        let answer = format!("{{\"signature\":\"{signature}\"}}");
        let (url, server) = serve(vec![(200, answer); objects.len()]);
        let signer = RemoteSigner::new(&url).unwrap();
        for (object, ..) in &objects {
            assert_eq!(sign(&signer, object).unwrap(), signature);
        }
        for ((path, body), (_, kind, pointer, value)) in server.join().unwrap().iter().zip(objects)
        {
            assert_eq!(*path, format!("POST /api/v1/eth2/sign/0x{}", "aa".repeat(48)));
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["type"], kind);
            assert_eq!(body.pointer(pointer).unwrap(), value);
            assert_eq!(body["fork_info"]["fork"]["epoch"], "7");
            assert_eq!(body["signingRoot"], Root::new([2; 32]).to_string());
        }
    }

    #[test]
    fn a_refusal_an_unknown_key_and_a_failure_are_told_apart() {
        // The two statuses that have a meaning, one that has none, and a signature that is none.
        let short = r#"{"signature":"0x00"}"#.to_owned();
        let replies = vec![
            (412, r#"{"error":"slashable"}"#.to_owned()),
            (404, String::new()),
            (500, String::new()),
            (200, short),
        ];
        let (url, server) = serve(replies);
        let signer = RemoteSigner::new(&url).unwrap();
        let object = SigningObject::AggregationSlot(5);
        assert!(matches!(sign(&signer, &object), Err(SignError::Refused)));
        assert!(matches!(sign(&signer, &object), Err(SignError::UnknownKey)));
        let failed = sign(&signer, &object).unwrap_err();
        assert!(matches!(failed, SignError::Failed(HttpError::Status { status: 500, .. })));
        let failed = sign(&signer, &object).unwrap_err();
        assert!(failed.to_string().contains("signature:"), "{failed}");
        server.join().unwrap();
        assert!(matches!(sign(&signer, &object), Err(SignError::Failed(_))), "nobody is there");
    }

    #[test]
    fn the_keys_of_a_signer_are_a_list_of_keys() {
        // Two keys, and something that is no list.
        let keys = [PublicKeyBytes::new([1; 48]), PublicKeyBytes::new([2; 48])];
        let list = format!("[\"{}\",\"{}\"]", keys[0], keys[1]);
        let (url, server) = serve(vec![(200, list), (200, "{}".to_owned())]);
        let signer = RemoteSigner::new(&url).unwrap();
        assert_eq!(signer.public_keys(TIMEOUT).unwrap(), keys);
        assert!(matches!(signer.public_keys(TIMEOUT), Err(HttpError::Answer { .. })));
        server.join().unwrap();
    }
}
