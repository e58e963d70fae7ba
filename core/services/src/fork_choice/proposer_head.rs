//! The block that the next proposer builds on.
//!
//! Reference: consensus-specs v1.7.0-alpha.13 `get_proposer_head` and its helpers.

use std::fmt::Debug;
use std::hash::Hash;

use super::machine::ForkChoice;
use super::proto_array::Node;
use crate::consensus::Slot;

impl<R: Copy + Eq + Ord + Hash + Debug> ForkChoice<R> {
    /// Returns the block that a proposer of `slot` builds on: the head, or the head's parent
    /// (`get_proposer_head`). `on_time` says whether the proposer is not later into the slot than
    /// `PROPOSER_REORG_CUTOFF_BPS` (`is_proposing_on_time`).
    ///
    /// The parent is returned in two cases. In both the head is of the slot before, it is weak, and
    /// the boost is not on it.
    /// - The head came late, its parent is strong and of the slot before the head's, finality is
    ///   recent, the shuffling cannot change, the head justifies no more than its parent does, and
    ///   the proposer is on time.
    /// - The head's proposer has made another block of the same slot.
    ///
    /// Costs a visit for each block of the tree if the head is weak, and else next to nothing.
    pub fn proposer_head(&self, slot: Slot, on_time: bool) -> R {
        let parent = self
            .tree
            .node(self.head)
            .and_then(|head| Some((head, self.tree.parent(head)?)))
            .filter(|(head, parent)| self.may_be_left_out(head, parent, slot, on_time));
        parent.map_or(self.head, |(_, parent)| parent.root)
    }

    fn may_be_left_out(&self, head: &Node<R>, parent: &Node<R>, slot: Slot, on_time: bool) -> bool {
        let head_is_of_slot_before = head.slot.checked_add(1) == Some(slot);
        let boost_is_over = self.proposer_boost_root != Some(head.root);
        if !head_is_of_slot_before || !boost_is_over || !self.is_weak(head) {
            return false;
        }
        let is_single_slot_reorg = parent.slot.checked_add(1) == Some(head.slot);
        let late_head_may_be_left_out = !head.timely
            && on_time
            && is_single_slot_reorg
            && self.is_shuffling_stable(slot)
            && is_ffg_competitive(head, parent)
            && self.is_finalization_ok(slot)
            && self.is_strong(parent);
        late_head_may_be_left_out || self.tree.has_equivocation(head)
    }

    /// `is_head_weak`.
    fn is_weak(&self, head: &Node<R>) -> bool {
        let threshold = self.committee_fraction(self.config.reorg_head_weight_threshold_percent);
        self.weight(head.root).is_some_and(|weight| weight < threshold)
    }

    /// `is_parent_strong`.
    fn is_strong(&self, parent: &Node<R>) -> bool {
        let threshold = self.committee_fraction(self.config.reorg_parent_weight_threshold_percent);
        self.weight(parent.root).is_some_and(|weight| weight > threshold)
    }

    /// Whether the proposer of `slot` does not depend on which of two blocks before it counts: only
    /// at an epoch's start it may.
    fn is_shuffling_stable(&self, slot: Slot) -> bool {
        !slot.is_multiple_of(self.config.slots_per_epoch)
    }

    fn is_finalization_ok(&self, slot: Slot) -> bool {
        let since = self.epoch_at(slot).saturating_sub(self.finalized.epoch);
        since <= self.config.reorg_max_epochs_since_finalization
    }
}

/// Whether the head justifies nothing that its parent does not. The specification compares
/// checkpoints. On one chain there is one checkpoint to an epoch, so the epochs tell: a state
/// justifies no epoch that starts at its block's slot or later, as it holds no votes of it.
fn is_ffg_competitive<R>(head: &Node<R>, parent: &Node<R>) -> bool {
    head.unrealized_justified_epoch == parent.unrealized_justified_epoch
}
