//! Cases of the fork choice, as far as they concern votes of the payload-timeliness committee.
//!
//! A block that a case calls valid is taken at its word, with the state of the anchor at the
//! block's slot: within an epoch no block changes the registry's keys, the fork or the window that
//! votes are checked by. Blocks carry no votes in these cases. Heads are not compared.

use std::collections::BTreeMap;

use blocksmith_consensus::gloas::{MessageSource, PayloadAttestationMessage, PayloadVotes};
use blocksmith_consensus::{
    BeaconState, ChainConfig, Preset, Root, Signatures, Slot, compute_epoch_at_slot,
};
use serde::Deserialize;

use super::needs_state;
use super::networking::slot_and_parent;
use super::state::GloasState;
use crate::vectors::error::{NotPassed, Outcome, ensure};
use crate::vectors::files::Files;

/// An entry of `steps.yaml`; what is not read needs a whole state.
#[derive(Debug, Deserialize)]
struct Step {
    tick: Option<u64>,
    block: Option<String>,
    payload_attestation_message: Option<String>,
    execution_payload: Option<String>,
    checks: Option<Checks>,
    #[serde(default = "yes")]
    valid: bool,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
struct Checks {
    payload_timeliness_vote: Option<Votes>,
    payload_data_availability_vote: Option<Votes>,
}

#[derive(Debug, Deserialize)]
struct Votes {
    block_root: String,
    votes: Vec<Option<bool>>,
}

/// The votes for each block, and the clock.
struct Store<P: Preset> {
    anchor: GloasState<P>,
    slot: Slot,
    blocks: BTreeMap<Root, (BeaconState<P>, PayloadVotes<P>)>,
}

/// Runs a case. Returns that it is skipped if all its votes are as expected.
pub(super) fn run<P: Preset>(files: &Files, config: &ChainConfig) -> Outcome {
    let anchor = GloasState::<P>::new(files.required_ssz("anchor_state")?, config)?;
    let steps: Vec<Step> = files.required_yaml("steps")?;
    let slot = anchor.state.slot;
    let mut store = Store { anchor, slot, blocks: BTreeMap::new() };
    let mut compared = 0;
    for (at, step) in steps.iter().enumerate() {
        let in_step = |why: NotPassed| match why {
            NotPassed::Failed(why) => NotPassed::Failed(format!("step {at}: {why}")),
            skipped @ NotPassed::Skipped(_) => skipped,
        };
        compared += store.step(files, config, step).map_err(in_step)?;
    }
    ensure(compared > 0, || "no votes are compared".to_owned())?;
    Err(needs_state("its votes hold; comparing its heads"))
}

impl<P: Preset> Store<P> {
    /// Takes a step. Returns how many lists of votes were compared.
    fn step(
        &mut self,
        files: &Files,
        config: &ChainConfig,
        step: &Step,
    ) -> Result<usize, NotPassed> {
        if step.execution_payload.is_some() {
            return Err(needs_state("an envelope"));
        }
        if let Some(seconds) = step.tick {
            let since = seconds.saturating_sub(self.anchor.state.genesis_time);
            self.slot = since.saturating_mul(1000) / config.slot_duration_ms.get();
        }
        if let Some(name) = &step.block {
            self.block(&files.required_ssz(name)?, name, step.valid)?;
        }
        if let Some(name) = &step.payload_attestation_message {
            let outcome = self.vote(files, name);
            ensure(outcome.is_ok() == step.valid, || {
                format!("{name}: {outcome:?}, expected valid: {}", step.valid)
            })?;
        }
        let Some(checks) = &step.checks else { return Ok(0) };
        let timely = PayloadVotes::<P>::timeliness_votes;
        let available = PayloadVotes::<P>::availability_votes;
        let timely = self.compare(checks.payload_timeliness_vote.as_ref(), timely)?;
        Ok(timely + self.compare(checks.payload_data_availability_vote.as_ref(), available)?)
    }

    /// Takes in a block; its root stands in its name.
    fn block(&mut self, bytes: &[u8], name: &str, valid: bool) -> Outcome {
        let (slot, _) = slot_and_parent(bytes)?;
        let anchor = &self.anchor.state;
        let epoch = compute_epoch_at_slot::<P>;
        if !valid || epoch(slot) != epoch(anchor.slot) {
            return Err(needs_state("a block"));
        }
        let root = name.strip_prefix("block_").unwrap_or(name);
        let root = root.parse().map_err(NotPassed::failed)?;
        let mut state = anchor.clone();
        state.slot = slot;
        self.blocks.insert(root, (state, PayloadVotes::default()));
        Ok(())
    }

    fn vote(&mut self, files: &Files, name: &str) -> Outcome {
        let message: PayloadAttestationMessage = files.value(name)?;
        let root = message.data.beacon_block_root;
        let (state, votes) =
            self.blocks.get_mut(&root).ok_or_else(|| NotPassed::failed("an unknown block"))?;
        let verify = files.meta()?.verify_signatures();
        let mut signatures = if verify { Signatures::Verify } else { Signatures::Skip };
        let source = MessageSource::Wire { current_slot: self.slot };
        let window = &self.anchor.window;
        votes
            .on_payload_attestation_message(state, window, &message, source, &mut signatures)
            .map(drop)
            .map_err(NotPassed::failed)
    }

    fn compare(
        &self,
        expected: Option<&Votes>,
        votes: impl Fn(&PayloadVotes<P>) -> &[Option<bool>],
    ) -> Result<usize, NotPassed> {
        let Some(expected) = expected else { return Ok(0) };
        let root: Root = expected.block_root.parse().map_err(NotPassed::failed)?;
        let block = self.blocks.get(&root);
        let (_, found) = block.ok_or_else(|| NotPassed::failed("votes of an unknown block"))?;
        ensure(votes(found) == expected.votes, || {
            format!("votes {:?}, expected {:?}", votes(found), expected.votes)
        })?;
        Ok(1)
    }
}
