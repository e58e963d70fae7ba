//! What `steps.yaml` of a fork-choice case says: what happens, and what must hold in between.

use std::collections::BTreeMap;

use blocksmith::consensus::{Checkpoint, Slot};
use blocksmith_consensus::Root;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// An entry: one of the optional members, or one that the runner does not know.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) tick: Option<u64>,
    pub(super) block: Option<String>,
    pub(super) attestation: Option<String>,
    pub(super) attester_slashing: Option<String>,
    pub(super) checks: Option<Checks>,
    /// Whether the store accepts what happens.
    #[serde(default = "yes")]
    pub(super) valid: bool,
}

fn yes() -> bool {
    true
}

/// What a `checks` step says; every member that is there is compared.
#[derive(Debug, Deserialize)]
pub(super) struct Checks {
    pub(super) time: Option<u64>,
    pub(super) genesis_time: Option<u64>,
    pub(super) head: Option<Head>,
    pub(super) justified_checkpoint: Option<CheckpointText>,
    pub(super) finalized_checkpoint: Option<CheckpointText>,
    pub(super) best_justified_checkpoint: Option<CheckpointText>,
    /// The older forms of the three above, which give no epoch.
    pub(super) justified_checkpoint_root: Option<String>,
    pub(super) finalized_checkpoint_root: Option<String>,
    pub(super) best_justified_checkpoint_root: Option<String>,
    pub(super) proposer_boost_root: Option<String>,
    /// `get_proposer_head` for the current slot.
    pub(super) get_proposer_head: Option<String>,
    /// The leaves of `get_filtered_block_tree`, in any order.
    pub(super) viable_for_head_roots_and_weights: Option<Vec<ViableHead>>,
    /// Checks that the runner does not know.
    #[serde(flatten)]
    pub(super) unknown: BTreeMap<String, IgnoredAny>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Head {
    pub(super) slot: Slot,
    pub(super) root: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct CheckpointText {
    epoch: u64,
    root: String,
}

impl From<Checkpoint<Root>> for CheckpointText {
    fn from(checkpoint: Checkpoint<Root>) -> Self {
        Self { epoch: checkpoint.epoch, root: checkpoint.root.to_string() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct ViableHead {
    root: String,
    weight: u128,
}

impl ViableHead {
    pub(super) fn new((root, weight): (Root, u128)) -> Self {
        Self { root: root.to_string(), weight }
    }
}
