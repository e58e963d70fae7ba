//! Judges what a signer has let out, with nothing of the machine that guards it: pair by pair, by
//! the definitions of the consensus specification, and record by record, by the file that the
//! signer exports.
//!
//! Reference: consensus specification, `is_slashable_attestation_data` and
//! `process_proposer_slashing`; EIP-3076, "JSON Schema".

use std::fmt;

use serde_json::Value;

use blocksmith_consensus::{PublicKeyBytes, Root, SignatureBytes, bls};

/// What was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Message {
    /// A block of a slot.
    Block(u64),
    /// An attestation, with the epochs of its source and its target.
    Vote(u64, u64),
}

/// A signature that has reached a client. BLS signatures are unique: another signature of a key is
/// one of another message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Signed {
    /// The public key, as 0x and digits.
    pub(crate) key: String,
    /// What was signed.
    pub(crate) message: Message,
    /// The signature, as 0x and digits.
    pub(crate) signature: String,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.get(..10).unwrap_or(&self.key);
        write!(f, "{key}.. {:?}", self.message)
    }
}

/// Whether two signatures are an offence.
fn is_offence(one: &Signed, other: &Signed) -> bool {
    if one.key != other.key || one.signature == other.signature {
        return false;
    }
    match (one.message, other.message) {
        (Message::Block(one), Message::Block(other)) => one == other,
        (Message::Vote(s1, t1), Message::Vote(s2, t2)) => {
            t1 == t2 || (s1 < s2 && t2 < t1) || (s2 < s1 && t1 < t2)
        }
        _ => false,
    }
}

/// Returns every pair that is an offence. Takes time quadratic in their number.
pub(crate) fn offences(signed: &[Signed]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, one) in signed.iter().enumerate() {
        for other in signed[at + 1..].iter().filter(|other| is_offence(one, other)) {
            found.push(format!("{one} and {other}"));
        }
    }
    found
}

/// Returns the signatures of which an exported file has no record: a record is of the same key,
/// with the same numbers, and with a root that the signature verifies over.
pub(crate) fn lost(signed: &[Signed], exported: &Value) -> Vec<String> {
    let is_on_record = |it: &Signed| {
        let list = |name| {
            let entries = exported["data"].as_array().into_iter().flatten();
            let of_key = entries.filter(|entry| entry["pubkey"] == it.key.as_str());
            of_key.flat_map(move |entry| entry[name].as_array().into_iter().flatten())
        };
        match it.message {
            Message::Block(slot) => list("signed_blocks")
                .any(|record| number(record, "slot") == Some(slot) && is_of(record, it)),
            Message::Vote(source, target) => list("signed_attestations").any(|record| {
                number(record, "source_epoch") == Some(source)
                    && number(record, "target_epoch") == Some(target)
                    && is_of(record, it)
            }),
        }
    };
    signed.iter().filter(|it| !is_on_record(it)).map(ToString::to_string).collect()
}

fn number(record: &Value, name: &str) -> Option<u64> {
    record[name].as_str()?.parse().ok()
}

/// Whether a signature verifies over a record's root.
fn is_of(record: &Value, signed: &Signed) -> bool {
    let root = record["signing_root"].as_str().and_then(|root| root.parse::<Root>().ok());
    let key = signed.key.parse::<PublicKeyBytes>().ok();
    let signature = signed.signature.parse::<SignatureBytes>().ok();
    let (Some(root), Some(key), Some(signature)) = (root, key, signature) else { return false };
    bls::verify(&key, root.as_bytes(), &signature)
}
