//! The specification's fork choice, rule by rule over maps: slow, recursive, and plain enough to be
//! compared with the text of consensus-specs v1.7.0-alpha.13 line by line.

use std::collections::{BTreeMap, BTreeSet};

use super::{Root, SLOTS_PER_EPOCH, VALIDATORS, checkpoint};
use crate::consensus::{Checkpoint, Checkpoints, Epoch, IndexedVote, Slot, ValidatorIndex};

#[derive(Clone, Copy)]
pub(super) struct SpecBlock {
    pub(super) parent: Root,
    pub(super) slot: Slot,
    pub(super) proposer: ValidatorIndex,
    pub(super) justified: Epoch,
    pub(super) unrealized_justified: Checkpoint<Root>,
}

pub(super) struct Spec {
    pub(super) slot: Slot,
    pub(super) blocks: BTreeMap<Root, SpecBlock>,
    pub(super) justified: Checkpoint<Root>,
    pub(super) finalized: Checkpoint<Root>,
    unrealized_justified: Checkpoint<Root>,
    unrealized_finalized: Checkpoint<Root>,
    boost: Option<Root>,
    messages: BTreeMap<ValidatorIndex, (Epoch, Root)>,
    pub(super) equivocating: BTreeSet<ValidatorIndex>,
    pub(super) waiting: Vec<IndexedVote<Root>>,
    pub(super) balance: Vec<u64>,
    timely: BTreeMap<Root, bool>,
}

impl Spec {
    pub(super) fn new() -> Self {
        let anchor = SpecBlock {
            parent: Root::MAX,
            slot: 0,
            proposer: ValidatorIndex::MAX,
            justified: 0,
            unrealized_justified: checkpoint(0, 0),
        };
        Self {
            slot: 0,
            blocks: BTreeMap::from([(0, anchor)]),
            justified: checkpoint(0, 0),
            finalized: checkpoint(0, 0),
            unrealized_justified: checkpoint(0, 0),
            unrealized_finalized: checkpoint(0, 0),
            boost: None,
            messages: BTreeMap::new(),
            equivocating: BTreeSet::new(),
            waiting: Vec::new(),
            balance: vec![100; VALIDATORS],
            timely: BTreeMap::new(),
        }
    }

    pub(super) fn ancestor(&self, root: Root, slot: Slot) -> Root {
        let block = self.blocks[&root];
        if block.slot > slot { self.ancestor(block.parent, slot) } else { root }
    }

    pub(super) fn weight(&self, root: Root) -> u64 {
        let slot = self.blocks[&root].slot;
        let votes: u64 = (0_u64..)
            .zip(&self.balance)
            .filter(|(index, _)| !self.equivocating.contains(index))
            .filter(|(index, _)| {
                self.messages.get(index).is_some_and(|m| self.ancestor(m.1, slot) == root)
            })
            .map(|(_, balance)| balance)
            .sum();
        let boosted = self.boost.is_some_and(|boost| self.ancestor(boost, slot) == root);
        votes + if boosted { self.committee_fraction(40) } else { 0 }
    }

    fn committee_fraction(&self, percent: u64) -> u64 {
        self.balance.iter().sum::<u64>() / SLOTS_PER_EPOCH * percent / 100
    }

    fn dependent_root(&self, root: Root) -> Root {
        let epoch = (self.slot / SLOTS_PER_EPOCH).saturating_sub(1);
        self.ancestor(root, (epoch * SLOTS_PER_EPOCH).saturating_sub(1))
    }

    fn children(&self, root: Root) -> Vec<Root> {
        self.blocks.iter().filter(|(_, b)| b.parent == root).map(|(&child, _)| child).collect()
    }

    fn filter_block_tree(&self, root: Root, filtered: &mut BTreeSet<Root>) -> bool {
        let children = self.children(root);
        if !children.is_empty() {
            let viable: Vec<bool> =
                children.iter().map(|&child| self.filter_block_tree(child, filtered)).collect();
            if viable.contains(&true) {
                filtered.insert(root);
                return true;
            }
            return false;
        }
        let (block, epoch) = (self.blocks[&root], self.slot / SLOTS_PER_EPOCH);
        let pulled_up = epoch > block.slot / SLOTS_PER_EPOCH;
        let source = if pulled_up { block.unrealized_justified.epoch } else { block.justified };
        let correct_justified =
            self.justified.epoch == 0 || source == self.justified.epoch || source + 2 >= epoch;
        let start = self.finalized.epoch * SLOTS_PER_EPOCH;
        let correct_finalized =
            self.finalized.epoch == 0 || self.finalized.root == self.ancestor(root, start);
        if correct_justified && correct_finalized {
            filtered.insert(root);
            return true;
        }
        false
    }

    fn filtered_block_tree(&self) -> BTreeSet<Root> {
        let mut filtered = BTreeSet::new();
        self.filter_block_tree(self.justified.root, &mut filtered);
        filtered
    }

    /// The leaves of the filtered tree with their weights.
    pub(super) fn viable_heads(&self) -> BTreeSet<(Root, u128)> {
        let filtered = self.filtered_block_tree();
        let is_leaf = |root: &&Root| !self.children(**root).iter().any(|c| filtered.contains(c));
        filtered.iter().filter(is_leaf).map(|&r| (r, u128::from(self.weight(r)))).collect()
    }

    pub(super) fn head(&self) -> Root {
        let filtered = self.filtered_block_tree();
        let mut head = self.justified.root;
        loop {
            let children = self.children(head).into_iter().filter(|root| filtered.contains(root));
            match children.max_by_key(|&root| (self.weight(root), root)) {
                None => return head,
                Some(child) => head = child,
            }
        }
    }

    /// `get_proposer_head`; the head, where the specification demands that the boost be over, and
    /// where the head has no parent that is `kept`.
    pub(super) fn proposer_head(
        &self,
        slot: Slot,
        on_time: bool,
        kept: impl Fn(Root) -> bool,
    ) -> Root {
        let root = self.head();
        let head = self.blocks[&root];
        let Some(parent) = self.blocks.get(&head.parent).filter(|_| kept(head.parent)) else {
            return root;
        };
        let head_late = !self.timely[&root];
        let shuffling_stable = !slot.is_multiple_of(SLOTS_PER_EPOCH);
        let ffg_competitive = head.unrealized_justified == parent.unrealized_justified;
        let finalization_ok = slot / SLOTS_PER_EPOCH - self.finalized.epoch <= 2;
        let parent_slot_ok = parent.slot + 1 == head.slot;
        let current_time_ok = head.slot + 1 == slot;
        if self.boost == Some(root) {
            return root;
        }
        let head_weak = self.weight(root) < self.committee_fraction(20);
        let parent_strong = self.weight(head.parent) > self.committee_fraction(160);
        let same = |other: &&SpecBlock| other.slot == head.slot && other.proposer == head.proposer;
        let kept = self.blocks.iter().filter(|(root, _)| kept(**root)).map(|(_, block)| block);
        let equivocation = kept.filter(same).count() > 1;
        let late = [
            head_late,
            shuffling_stable,
            ffg_competitive,
            finalization_ok,
            on_time,
            parent_slot_ok,
            current_time_ok,
            head_weak,
            parent_strong,
        ];
        let equivocated = [head_weak, current_time_ok, equivocation];
        if late == [true; 9] || equivocated == [true; 3] { head.parent } else { root }
    }

    fn update(&mut self, justified: Checkpoint<Root>, finalized: Checkpoint<Root>) {
        if justified.epoch > self.justified.epoch {
            self.justified = justified;
        }
        if finalized.epoch > self.finalized.epoch {
            self.finalized = finalized;
        }
    }

    pub(super) fn on_tick(&mut self, slot: Slot) {
        while self.slot < slot {
            self.slot += 1;
            self.boost = None;
            if self.slot.is_multiple_of(SLOTS_PER_EPOCH) {
                self.update(self.unrealized_justified, self.unrealized_finalized);
            }
        }
        let slot = self.slot;
        let due: Vec<_> = self.waiting.extract_if(.., |vote| vote.vote.slot < slot).collect();
        for vote in due {
            self.on_attestation(&vote, false);
        }
    }

    pub(super) fn on_block(
        &mut self,
        root: Root,
        block: SpecBlock,
        states: &Checkpoints<Root>,
        timely: bool,
    ) {
        let start = self.finalized.epoch * SLOTS_PER_EPOCH;
        if block.slot > self.slot
            || block.slot <= start
            || self.ancestor(block.parent, start) != self.finalized.root
        {
            return;
        }
        let head = self.head();
        self.blocks.insert(root, block);
        let timely = timely && block.slot == self.slot;
        self.timely.insert(root, timely);
        let same_dependent_root = self.dependent_root(root) == self.dependent_root(head);
        if timely && self.boost.is_none() && same_dependent_root {
            self.boost = Some(root);
        }
        self.update(states.justified, states.finalized);
        if states.unrealized_justified.epoch > self.unrealized_justified.epoch {
            self.unrealized_justified = states.unrealized_justified;
        }
        if states.unrealized_finalized.epoch > self.unrealized_finalized.epoch {
            self.unrealized_finalized = states.unrealized_finalized;
        }
        if block.slot / SLOTS_PER_EPOCH < self.slot / SLOTS_PER_EPOCH {
            self.update(states.unrealized_justified, states.unrealized_finalized);
        }
    }

    pub(super) fn on_attestation(&mut self, indexed: &IndexedVote<Root>, from_block: bool) {
        let vote = &indexed.vote;
        let current = self.slot / SLOTS_PER_EPOCH;
        let Some(block) = self.blocks.get(&vote.beacon_block_root) else { return };
        let start = vote.target.epoch * SLOTS_PER_EPOCH;
        if (!from_block && vote.target.epoch + 1 < current)
            || !self.blocks.contains_key(&vote.target.root)
            || block.slot > vote.slot
            || self.ancestor(vote.beacon_block_root, start) != vote.target.root
        {
            return;
        }
        for &index in &indexed.indices {
            let known = self.messages.get(&index);
            if !self.equivocating.contains(&index)
                && known.is_none_or(|known| vote.target.epoch > known.0)
            {
                self.messages.insert(index, (vote.target.epoch, vote.beacon_block_root));
            }
        }
    }
}
