//! Cases of the encoding: a decoded value must encode to the same bytes and have the stated root.

use serde::Deserialize;

use super::error::{NotPassed, Outcome, ensure};
use super::files::Files;
use super::layout::Case;
use crate::types::Decode;

/// `roots.yaml`.
#[derive(Debug, Deserialize)]
struct Roots {
    root: String,
}

/// Decodes `serialized` as the type that the handler names; `decode` is its decoder, if there is
/// one.
pub(super) fn run(case: &Case, files: &Files, decode: Option<Decode>) -> Outcome {
    let decode = decode.ok_or_else(|| case.unknown("handler"))?;
    let bytes = files.required_ssz("serialized")?;
    let value = decode(&bytes).map_err(NotPassed::failed)?;
    let (encoded, root) = (value.encoding(), value.root());
    ensure(encoded == bytes, || {
        let at = encoded.iter().zip(&bytes).position(|(a, b)| a != b);
        format!(
            "encodes to {} bytes, not {}; first difference at {at:?}",
            encoded.len(),
            bytes.len()
        )
    })?;
    let expected: Roots = files.required_yaml("roots")?;
    ensure(expected.root == root.to_string(), || {
        format!("the root is {root}, not {}", expected.root)
    })
}
