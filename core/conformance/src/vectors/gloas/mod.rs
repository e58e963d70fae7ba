//! Cases of Gloas that concern the payload-timeliness committee.
//!
//! There is no state of Gloas in the project. What these cases need of one is read from its bytes
//! (`state.rs`): the fields that it shares with phase0, and the window of committees.
//!
//! | runner / handler | what is executed | what is compared |
//! |---|---|---|
//! | `ssz_static` | decode, encode again, root | bytes and root |
//! | `operations/payload_attestation` | the operation | whether it passes; `post` |
//! | `epoch_processing/ptc_window` | the step | all bytes of `post` |
//! | `networking/gossip_payload_attestation_message` | the topic's conditions | class |
//! | `fork_choice/on_payload_attestation_message` | the votes | the votes of every place |
//!
//! A fork-choice case is never passed: it also compares heads, which need the transition of a whole
//! state. It fails if a vote differs, and is skipped otherwise. All other cases are skipped.

mod networking;
mod state;
mod votes;

use blocksmith_consensus::gloas::{
    PayloadAttestation, process_payload_attestation, process_ptc_window,
};
use blocksmith_consensus::{ChainConfig, Preset, Signatures};

use super::error::{NotPassed, Outcome, ensure};
use super::files::Files;
use super::layout::Case;
use super::ssz_static;
use crate::types;
use state::GloasState;

/// Runs a case.
pub(super) fn run<P: Preset>(case: &Case, files: &Files, config: &ChainConfig) -> Outcome {
    match (case.runner.as_str(), case.handler.as_str()) {
        ("ssz_static", name) => ssz_static::run(case, files, types::gloas_decoder::<P>(name)),
        ("operations", "payload_attestation") => operation::<P>(files, config),
        ("epoch_processing", "ptc_window") => ptc_window::<P>(files, config),
        ("networking", "gossip_payload_attestation_message") => networking::run::<P>(files, config),
        ("fork_choice", "on_payload_attestation_message") => votes::run::<P>(files, config),
        _ => Err(needs_state("the case")),
    }
}

/// Returns that something cannot be executed without a state of Gloas.
fn needs_state(what: &str) -> NotPassed {
    NotPassed::Skipped(format!("{what} needs a whole state of Gloas"))
}

/// Processes an aggregate. It changes nothing, so `post` is `pre`.
fn operation<P: Preset>(files: &Files, config: &ChainConfig) -> Outcome {
    let pre = GloasState::<P>::new(files.required_ssz("pre")?, config)?;
    let bytes = files.required_ssz("payload_attestation")?;
    let attestation = PayloadAttestation::from_ssz_bytes(&bytes).map_err(NotPassed::failed)?;
    let verify = files.meta()?.verify_signatures();
    let mut signatures = if verify { Signatures::Verify } else { Signatures::Skip };
    let outcome =
        process_payload_attestation(&pre.state, &pre.window, &attestation, &mut signatures);
    match (files.ssz("post")?, outcome) {
        (Some(post), Ok(())) => ensure(post == pre.bytes, || "post is not pre".to_owned()),
        (Some(_), Err(error)) => Err(NotPassed::failed(error)),
        (None, Ok(())) => Err(NotPassed::failed("accepted, expected to be rejected")),
        (None, Err(_)) => Ok(()),
    }
}

/// Moves the window. The window is compared, and with it that nothing else changes.
fn ptc_window<P: Preset>(files: &Files, config: &ChainConfig) -> Outcome {
    let mut pre = GloasState::<P>::new(files.required_ssz("pre")?, config)?;
    let post = files.required_ssz("post")?;
    process_ptc_window(&pre.state, &mut pre.window).map_err(NotPassed::failed)?;
    let bytes = pre.with_window();
    ensure(bytes == post, || {
        let at = bytes.iter().zip(&post).position(|(a, b)| a != b);
        format!("{} bytes, not {}; first difference at {at:?}", bytes.len(), post.len())
    })
}
