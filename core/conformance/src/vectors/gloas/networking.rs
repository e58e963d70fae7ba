//! Cases of the topic `payload_attestation_message`.
//!
//! A block that a case calls valid is taken at its word, with the case's state at the block's slot:
//! see `votes.rs`. A block's root needs its whole body, which is not decoded. So the root of a
//! block is the one that the next block names as its parent, and the last block's is the one that
//! the messages name and no other block has.

use std::collections::{BTreeMap, BTreeSet};

use blocksmith_consensus::gloas::{
    GossipClass, GossipClock, PayloadAttestationMessage, VotedBlock,
    validate_payload_attestation_message,
};
use blocksmith_consensus::{
    BeaconState, ChainConfig, Preset, Root, Signatures, Slot, compute_epoch_at_slot,
};
use serde::Deserialize;

use super::needs_state;
use super::state::GloasState;
use crate::vectors::error::{NotPassed, Outcome, ensure};
use crate::vectors::files::Files;
use crate::vectors::networking::Block;

/// `meta.yaml` of a case.
#[derive(Debug, Deserialize)]
struct Meta {
    #[serde(default)]
    blocks: Vec<Block>,
    messages: Vec<Message>,
}

/// A message, when it comes, and the class that is expected.
#[derive(Debug, Deserialize)]
struct Message {
    message: String,
    current_time_ms: u64,
    expected: String,
    #[serde(default)]
    reason: String,
}

/// Runs a case.
pub(super) fn run<P: Preset>(files: &Files, config: &ChainConfig) -> Outcome {
    let meta: Meta = files.required_yaml("meta")?;
    let anchor = GloasState::<P>::new(files.required_ssz("state")?, config)?;
    let messages = meta
        .messages
        .iter()
        .map(|message| files.value::<PayloadAttestationMessage>(&message.message))
        .collect::<Result<Vec<_>, _>>()?;
    let blocks = blocks(files, &meta, &anchor, &messages)?;
    let genesis_ms = anchor.state.genesis_time.checked_mul(1000);
    let genesis_ms = genesis_ms.ok_or_else(|| NotPassed::failed("the genesis is out of range"))?;
    let mut seen = BTreeSet::new();
    for (message, expected) in messages.iter().zip(&meta.messages) {
        let (slot_ms, now_ms) = (config.slot_duration_ms.get(), expected.current_time_ms);
        let clock = GossipClock { genesis_ms, slot_ms, now_ms };
        let key = (message.data.slot, message.validator_index);
        let block = match blocks.get(&message.data.beacon_block_root) {
            None => VotedBlock::Unseen,
            Some(None) => VotedBlock::Invalid,
            Some(Some(state)) => VotedBlock::Valid { state, window: &anchor.window },
        };
        let (is_seen, mut signatures) = (seen.contains(&key), Signatures::Verify);
        let outcome =
            validate_payload_attestation_message(message, clock, is_seen, block, &mut signatures);
        let (class, reason) = match &outcome {
            Ok(()) => ("valid", "valid"),
            Err(error) if error.class() == GossipClass::Reject => ("reject", error.reason()),
            Err(error) => ("ignore", error.reason()),
        };
        if outcome.is_ok() {
            seen.insert(key);
        }
        ensure(class == expected.expected, || {
            let Message { message: name, expected, reason: why, .. } = expected;
            format!("{name}: {class} ({reason}), expected {expected} ({why})")
        })?;
    }
    Ok(())
}

/// The state after each block by the block's root; `None` for a block that is invalid.
fn blocks<P: Preset>(
    files: &Files,
    meta: &Meta,
    anchor: &GloasState<P>,
    messages: &[PayloadAttestationMessage],
) -> Result<BTreeMap<Root, Option<BeaconState<P>>>, NotPassed> {
    let mut headers = Vec::new();
    for Block { block, failed } in &meta.blocks {
        let (slot, parent) = slot_and_parent(&files.required_ssz(block)?)?;
        headers.push((slot, parent, *failed));
    }
    let parents: BTreeSet<Root> = headers.iter().map(|(_, parent, _)| *parent).collect();
    let named = messages.iter().map(|message| message.data.beacon_block_root);
    let last = named.into_iter().find(|root| !parents.contains(root));
    let mut blocks = BTreeMap::new();
    for (at, (slot, _, failed)) in headers.iter().enumerate() {
        let next = headers.get(at + 1).map(|(_, parent, _)| *parent);
        let Some(root) = next.or(last) else { continue };
        let epoch = compute_epoch_at_slot::<P>;
        if epoch(*slot) != epoch(anchor.state.slot) {
            return Err(needs_state("a block"));
        }
        let mut state = anchor.state.clone();
        state.slot = *slot;
        blocks.insert(root, (!failed).then_some(state));
    }
    Ok(blocks)
}

/// The slot and the parent of a signed block, which stand at the same place in every fork: behind
/// the block's offset, the signature and, for the parent, the slot and the proposer.
pub(super) fn slot_and_parent(signed: &[u8]) -> Result<(Slot, Root), NotPassed> {
    let field = |at, length| {
        let bytes: Option<&[u8]> = signed.get(at..at + length);
        bytes.ok_or_else(|| NotPassed::failed("the block ends before its body"))
    };
    let slot = field(100, 8)?.iter().rev().fold(0, |slot, byte| (slot << 8) | Slot::from(*byte));
    let parent = Root::try_from(field(116, 32)?).map_err(NotPassed::failed)?;
    Ok((slot, parent))
}
