//! Cases of the encoding: what decodes has to encode to the same bytes and to have the stated root.

use blocksmith_consensus::{
    AggregateAndProof, Attestation, AttestationData, AttesterSlashing, BeaconBlock,
    BeaconBlockBody, BeaconBlockHeader, BeaconState, Checkpoint, Deposit, DepositData,
    DepositMessage, Eth1Block, Eth1Data, Fork, ForkData, HistoricalBatch, IndexedAttestation,
    PendingAttestation, Preset, ProposerSlashing, Root, SignedAggregateAndProof, SignedBeaconBlock,
    SignedBeaconBlockHeader, SignedVoluntaryExit, SigningData, Validator, VoluntaryExit, Wire,
    decode_exact,
};
use serde::Deserialize;

use super::files::Files;
use super::layout::Case;
use super::{NotPassed, Outcome, ensure};

/// `roots.yaml`.
#[derive(Debug, Deserialize)]
struct Roots {
    root: String,
}

/// Decodes `serialized` as the type that the handler names.
pub(super) fn run<P: Preset>(case: &Case, files: &Files) -> Outcome {
    let bytes = files.required_ssz("serialized")?;
    let round_trip = match case.handler.as_str() {
        "AggregateAndProof" => wire::<AggregateAndProof>,
        "Attestation" => wire::<Attestation>,
        "AttestationData" => wire::<AttestationData>,
        "AttesterSlashing" => wire::<AttesterSlashing>,
        "BeaconBlock" => wire::<BeaconBlock>,
        "BeaconBlockBody" => wire::<BeaconBlockBody>,
        "BeaconBlockHeader" => wire::<BeaconBlockHeader>,
        "BeaconState" => beacon_state::<P>,
        "Checkpoint" => wire::<Checkpoint>,
        "Deposit" => wire::<Deposit>,
        "DepositData" => wire::<DepositData>,
        "DepositMessage" => wire::<DepositMessage>,
        "Eth1Block" => wire::<Eth1Block>,
        "Eth1Data" => wire::<Eth1Data>,
        "Fork" => wire::<Fork>,
        "ForkData" => wire::<ForkData>,
        "HistoricalBatch" => historical_batch::<P>,
        "IndexedAttestation" => wire::<IndexedAttestation>,
        "PendingAttestation" => wire::<PendingAttestation>,
        "ProposerSlashing" => wire::<ProposerSlashing>,
        "SignedAggregateAndProof" => wire::<SignedAggregateAndProof>,
        "SignedBeaconBlock" => wire::<SignedBeaconBlock>,
        "SignedBeaconBlockHeader" => wire::<SignedBeaconBlockHeader>,
        "SignedVoluntaryExit" => wire::<SignedVoluntaryExit>,
        "SigningData" => wire::<SigningData>,
        "Validator" => wire::<Validator>,
        "VoluntaryExit" => wire::<VoluntaryExit>,
        _ => return Err(case.unknown("handler")),
    };
    let (encoded, root) = round_trip(&bytes)?;
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

/// The encoding of the decoded value, and its root.
type RoundTrip = Result<(Vec<u8>, Root), NotPassed>;

fn wire<T: Wire>(bytes: &[u8]) -> RoundTrip {
    let value: T = decode_exact(bytes).map_err(NotPassed::failed)?;
    Ok((value.encode(), value.hash_tree_root()))
}

fn beacon_state<P: Preset>(bytes: &[u8]) -> RoundTrip {
    let state = BeaconState::<P>::from_ssz_bytes(bytes).map_err(NotPassed::failed)?;
    Ok((state.encode(), state.hash_tree_root()))
}

fn historical_batch<P: Preset>(bytes: &[u8]) -> RoundTrip {
    let batch = HistoricalBatch::<P>::from_ssz_bytes(bytes).map_err(NotPassed::failed)?;
    Ok((batch.encode(), batch.hash_tree_root()))
}
