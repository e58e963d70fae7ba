//! The fork-choice rules of version 1.1.10, for the cases that were made with them.
//!
//! The project follows v1.7.0-alpha.13. Where a case of 1.1.10 gets another answer from the
//! project's machine, this store, which shares nothing with the machine, tells whether the case is
//! sound under the old rules. Only then may the case be skipped because of the difference;
//! otherwise it fails.
//!
//! | rule | v1.1.10 | v1.7.0-alpha.13 |
//! |---|---|---|
//! | proposer boost | 70 %, for the last timely block of the slot | 40 %, for the first, if its shuffling is the head's |
//! | weight of slashed or equivocating validators | counts | does not count |
//! | justified checkpoint | bouncing-attack rule; the best is kept for the next epoch | pulled-up tips |
//! | viable leaf | its checkpoints are the store's | voting source not more than two epochs old |
//!
//! It is as slow as the specification's text. Reference: consensus-specs v1.1.10
//! `phase0/fork-choice.md`.

use std::collections::BTreeMap;

use blocksmith::consensus::{Checkpoint, Epoch, IndexedVote, Slot, ValidatorIndex};
use blocksmith_consensus::Root;

/// `PROPOSER_SCORE_BOOST` in percent.
const PROPOSER_SCORE_BOOST: u64 = 70;

/// Constants of the preset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constants {
    pub(super) slots_per_epoch: u64,
    pub(super) safe_slots_to_update_justified: u64,
}

/// A block and the checkpoints of its post-state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) parent: Root,
    pub(super) slot: Slot,
    pub(super) justified: Checkpoint<Root>,
    pub(super) finalized: Checkpoint<Root>,
}

/// Effective balances of the validators that are active in a checkpoint's state, slashed or not.
#[derive(Clone, Debug, Default)]
pub(super) struct ActiveBalances {
    pub(super) by_index: BTreeMap<ValidatorIndex, u64>,
    /// `get_total_active_balance`.
    pub(super) total: u64,
}

/// The store.
#[derive(Clone, Debug)]
pub(super) struct Store {
    constants: Constants,
    slot: Slot,
    pub(super) justified: Checkpoint<Root>,
    pub(super) finalized: Checkpoint<Root>,
    pub(super) best_justified: Checkpoint<Root>,
    pub(super) proposer_boost_root: Root,
    blocks: BTreeMap<Root, Block>,
    latest_messages: BTreeMap<ValidatorIndex, (Epoch, Root)>,
}

impl Store {
    /// `get_forkchoice_store`.
    pub(super) fn new(constants: Constants, anchor: Root, block: Block) -> Self {
        let checkpoint = Checkpoint { epoch: block.slot / constants.slots_per_epoch, root: anchor };
        Self {
            constants,
            slot: block.slot,
            justified: checkpoint,
            finalized: checkpoint,
            best_justified: checkpoint,
            proposer_boost_root: Root::ZERO,
            blocks: BTreeMap::from([(anchor, block)]),
            latest_messages: BTreeMap::new(),
        }
    }

    pub(super) fn slot_of(&self, root: Root) -> Option<Slot> {
        self.blocks.get(&root).map(|block| block.slot)
    }

    /// `on_tick`.
    pub(super) fn on_tick(&mut self, slot: Slot) {
        if slot <= self.slot {
            return;
        }
        self.slot = slot;
        self.proposer_boost_root = Root::ZERO;
        if self.slots_since_epoch_start() == 0
            && self.best_justified.epoch > self.justified.epoch
            && self.descends_from_finalized(self.best_justified.root)
        {
            self.justified = self.best_justified;
        }
    }

    /// `on_block`, after the transition; returns whether it was accepted.
    pub(super) fn on_block(&mut self, root: Root, block: Block, timely: bool) -> bool {
        if !self.blocks.contains_key(&block.parent)
            || block.slot > self.slot
            || block.slot <= self.start_slot(self.finalized.epoch)
            || !self.descends_from_finalized(block.parent)
        {
            return false;
        }
        self.blocks.insert(root, block);
        if timely && block.slot == self.slot {
            self.proposer_boost_root = root;
        }
        if block.justified.epoch > self.justified.epoch {
            if block.justified.epoch > self.best_justified.epoch {
                self.best_justified = block.justified;
            }
            if self.should_update_justified_checkpoint(block.justified) {
                self.justified = block.justified;
            }
        }
        if block.finalized.epoch > self.finalized.epoch {
            self.finalized = block.finalized;
            self.justified = block.justified;
        }
        true
    }

    /// `on_attestation`, after its verification; returns whether it was accepted.
    pub(super) fn on_attestation(&mut self, indexed: &IndexedVote<Root>, from_block: bool) -> bool {
        let vote = &indexed.vote;
        let current = self.slot / self.constants.slots_per_epoch;
        let recent = [current, current.saturating_sub(1)].contains(&vote.target.epoch);
        let known = self.slot_of(vote.beacon_block_root).is_some_and(|slot| slot <= vote.slot)
            && self.blocks.contains_key(&vote.target.root);
        let target_slot = self.start_slot(vote.target.epoch);
        if (!recent && !from_block)
            || vote.target.epoch != vote.slot / self.constants.slots_per_epoch
            || !known
            || self.ancestor(vote.beacon_block_root, target_slot) != Some(vote.target.root)
            || self.slot <= vote.slot
        {
            return false;
        }
        for &index in &indexed.indices {
            let known = self.latest_messages.get(&index);
            if known.is_none_or(|(epoch, _)| vote.target.epoch > *epoch) {
                self.latest_messages.insert(index, (vote.target.epoch, vote.beacon_block_root));
            }
        }
        true
    }

    /// `get_head`, with the balances of the justified checkpoint.
    pub(super) fn head(&self, balances: &ActiveBalances) -> Root {
        let mut viable = BTreeMap::new();
        self.filter_block_tree(self.justified.root, &mut viable);
        let mut head = self.justified.root;
        loop {
            let children = self.children(head).filter(|child| viable.get(child) == Some(&true));
            match children.max_by_key(|&child| (self.weight(child, balances), child)) {
                Some(child) => head = child,
                None => return head,
            }
        }
    }

    fn filter_block_tree(&self, root: Root, viable: &mut BTreeMap<Root, bool>) -> bool {
        let mut leaf = true;
        let mut any = false;
        for child in self.children(root) {
            leaf = false;
            any |= self.filter_block_tree(child, viable);
        }
        if leaf && let Some(block) = self.blocks.get(&root) {
            any = (self.justified.epoch == 0 || block.justified == self.justified)
                && (self.finalized.epoch == 0 || block.finalized == self.finalized);
        }
        viable.insert(root, any);
        any
    }

    /// `get_latest_attesting_balance`.
    fn weight(&self, root: Root, balances: &ActiveBalances) -> u128 {
        let slot = self.slot_of(root).unwrap_or(0);
        let supports = |vote: Root| self.ancestor(vote, slot) == Some(root);
        let votes: u128 = balances
            .by_index
            .iter()
            .filter(|(index, _)| self.latest_messages.get(index).is_some_and(|m| supports(m.1)))
            .map(|(_, balance)| u128::from(*balance))
            .sum();
        if self.proposer_boost_root.is_zero() || !supports(self.proposer_boost_root) {
            return votes;
        }
        let count = balances.by_index.len() as u64;
        let average = balances.total.checked_div(count).unwrap_or(0);
        let committee = u128::from(count / self.constants.slots_per_epoch) * u128::from(average);
        votes + committee * u128::from(PROPOSER_SCORE_BOOST) / 100
    }

    fn should_update_justified_checkpoint(&self, new: Checkpoint<Root>) -> bool {
        self.slots_since_epoch_start() < self.constants.safe_slots_to_update_justified
            || self.ancestor(new.root, self.start_slot(self.justified.epoch))
                == Some(self.justified.root)
    }

    fn descends_from_finalized(&self, root: Root) -> bool {
        let start = self.start_slot(self.finalized.epoch);
        self.ancestor(root, start) == Some(self.finalized.root)
    }

    /// `get_ancestor`.
    fn ancestor(&self, mut root: Root, slot: Slot) -> Option<Root> {
        loop {
            let block = self.blocks.get(&root)?;
            if block.slot <= slot {
                return Some(root);
            }
            root = block.parent;
        }
    }

    fn children(&self, parent: Root) -> impl Iterator<Item = Root> {
        self.blocks.iter().filter(move |(_, block)| block.parent == parent).map(|(&root, _)| root)
    }

    fn slots_since_epoch_start(&self) -> u64 {
        self.slot % self.constants.slots_per_epoch
    }

    fn start_slot(&self, epoch: Epoch) -> Slot {
        epoch.saturating_mul(self.constants.slots_per_epoch)
    }
}
