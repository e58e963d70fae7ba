//! Cases of the signature scheme. Input that cannot be decoded has no output, or verifies as false.

use blocksmith_consensus::{PublicKeyBytes, SignatureBytes, bls};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{Outcome, ensure};
use super::files::Files;
use super::layout::Case;

/// `data.yaml`.
#[derive(Debug, Deserialize)]
struct Data<I, O> {
    input: I,
    output: O,
}

#[derive(Debug, Deserialize)]
struct Sign {
    privkey: String,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Verify {
    pubkey: String,
    message: String,
    signature: String,
}

#[derive(Debug, Deserialize)]
struct FastAggregateVerify {
    pubkeys: Vec<String>,
    message: String,
    signature: String,
}

#[derive(Debug, Deserialize)]
struct AggregateVerify {
    pubkeys: Vec<String>,
    messages: Vec<String>,
    signature: String,
}

/// Runs one case of `general/phase0/bls`.
pub(super) fn run(case: &Case) -> Outcome {
    if case.runner != "bls" {
        return Err(case.unknown("runner"));
    }
    let files = Files::new(&case.directory);
    match case.handler.as_str() {
        "sign" => check(&files, |input: Sign| {
            let key = bytes(&input.privkey)?.try_into().ok()?;
            Some(bls::sign(&key, &bytes(&input.message)?).ok()?.to_string())
        }),
        "aggregate" => check(&files, |input: Vec<String>| {
            let parts: Option<Vec<SignatureBytes>> =
                input.iter().map(|part| part.parse().ok()).collect();
            Some(bls::aggregate(&parts?).ok()?.to_string())
        }),
        "verify" => check(&files, |input: Verify| holds(verify(&input))),
        "fast_aggregate_verify" => {
            check(&files, |input: FastAggregateVerify| holds(fast_aggregate_verify(&input)))
        }
        "aggregate_verify" => {
            check(&files, |input: AggregateVerify| holds(aggregate_verify(&input)))
        }
        _ => Err(case.unknown("handler")),
    }
}

/// Reads the input, computes, and compares with the output.
fn check<I: DeserializeOwned, O: DeserializeOwned + PartialEq + std::fmt::Debug>(
    files: &Files,
    compute: impl FnOnce(I) -> O,
) -> Outcome {
    let data: Data<I, O> = files.required_yaml("data")?;
    let computed = compute(data.input);
    ensure(computed == data.output, || format!("gives {computed:?}, not {:?}", data.output))
}

/// Returns whether a signature verified; input that does not decode does not verify.
fn holds(verified: Option<bool>) -> bool {
    verified.unwrap_or(false)
}

fn verify(input: &Verify) -> Option<bool> {
    let key = input.pubkey.parse().ok()?;
    Some(bls::verify(&key, &bytes(&input.message)?, &input.signature.parse().ok()?))
}

fn fast_aggregate_verify(input: &FastAggregateVerify) -> Option<bool> {
    let signature = input.signature.parse().ok()?;
    Some(bls::fast_aggregate_verify(&keys(&input.pubkeys)?, &bytes(&input.message)?, &signature))
}

fn aggregate_verify(input: &AggregateVerify) -> Option<bool> {
    let messages: Option<Vec<Vec<u8>>> = input.messages.iter().map(|text| bytes(text)).collect();
    let messages = messages?;
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    Some(bls::aggregate_verify(&keys(&input.pubkeys)?, &messages, &input.signature.parse().ok()?))
}

fn keys(texts: &[String]) -> Option<Vec<PublicKeyBytes>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x")?).ok()
}
