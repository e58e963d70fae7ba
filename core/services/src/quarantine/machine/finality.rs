//! What finality does to the Quarantine: blocks and items that finality has passed are pruned or
//! given up.

use std::collections::BTreeMap;

use super::{Known, Quarantine};
use crate::consensus::{Checkpoint, Consensus, Slot};
use crate::quarantine::event::Effect;
use crate::quarantine::held_item::HeldItem;
use crate::quarantine::table::Number;
use crate::verdict::{DropReason, IgnoreReason, RejectReason, Verdict};

impl<C: Consensus> Quarantine<C> {
    /// Takes note of the finalised checkpoint, and gives up what it has passed.
    pub(super) fn finality(
        &mut self,
        consensus: &C,
        finalized: Checkpoint<C::Root>,
        effects: &mut Vec<Effect<C>>,
    ) {
        if finalized.epoch <= self.finalized.epoch || !self.known.contains_key(&finalized.root) {
            return;
        }
        self.finalized = finalized;
        self.prune_known(consensus);
        self.gossip.forget_proposals_until(consensus.start_slot(finalized.epoch));
        let slot = consensus.start_slot(finalized.epoch);
        let passed = self.table.waiting_until(|item| match item {
            HeldItem::Block(block) => block.identity().slot <= slot,
            HeldItem::Attestation(attestation) => {
                attestation.identity().target.epoch < finalized.epoch
            }
            HeldItem::Vote(vote) => vote.identity().vote.target.epoch < finalized.epoch,
            HeldItem::Operation(_) => false,
            HeldItem::PayloadVote(vote) => vote.identity().data.slot <= slot,
        });
        for number in passed {
            self.finish(number, &Verdict::Dropped(DropReason::Finalized), effects);
        }
        self.leave_passed_payloads(consensus, effects);
    }

    /// Returns whether a block of this parent and slot may be on a chain that holds the finalised
    /// checkpoint: its parent is, and its slot is after the checkpoint's. The checkpoint's block may
    /// be of an earlier slot. Then its child of a slot up to the checkpoint's is on a chain that has
    /// another block there.
    pub(super) fn is_viable(&self, consensus: &C, parent: &C::Root, slot: Slot) -> bool {
        self.known.contains_key(parent) && slot > consensus.start_slot(self.finalized.epoch)
    }

    /// Decides against a block whose parent finality has passed while the block was checked. If
    /// finality has passed its slot as well, it is merely late (A7).
    pub(super) fn passed(&mut self, consensus: &C, number: Number, effects: &mut Vec<Effect<C>>) {
        let Some(HeldItem::Block(block)) = self.table.item(number) else { return };
        let is_late = block.identity().slot <= consensus.start_slot(self.finalized.epoch);
        let verdict = if is_late {
            Verdict::Ignore(IgnoreReason::NotAfterFinalizedSlot)
        } else {
            Verdict::Reject(RejectReason::NotDescendantOfFinalized)
        };
        let released = self.decide_against(number, &verdict, effects);
        self.judge_all(consensus, released, effects);
    }

    /// Gives up a block whose trail the HotDB has pruned. The HotDB may have been told of finality
    /// before this machine is. Whether the block is late or on another chain is not known then, so
    /// it is no reason to refuse it, nor what builds on it, now or later; but none of that is of
    /// use, and nothing may wait for it.
    pub(super) fn pruned_block(
        &mut self,
        consensus: &C,
        number: Number,
        effects: &mut Vec<Effect<C>>,
    ) {
        let Some(HeldItem::Block(block)) = self.table.item(number) else { return };
        let header = block.identity();
        if !self.is_viable(consensus, &header.parent, header.slot) {
            self.passed(consensus, number, effects);
            return;
        }
        let verdict = Verdict::Dropped(DropReason::Finalized);
        let released = self.decide_against(number, &verdict, effects);
        self.judge_all(consensus, released, effects);
    }

    /// Moves what is not on a chain that holds the finalised checkpoint from `known` to `pruned`.
    /// The checkpoint's block is known.
    pub(super) fn prune_known(&mut self, consensus: &C) {
        let Checkpoint { epoch, root: finalized } = self.finalized;
        let boundary = consensus.start_slot(epoch);
        let mut by_slot: Vec<_> = self.known.iter().map(|(r, k)| (k.slot, *r, k.parent)).collect();
        by_slot.sort_unstable();
        let mut kept = BTreeMap::new();
        for (slot, root, parent) in by_slot {
            if root == finalized {
                kept.insert(root, Known { parent: root, slot });
            } else if slot > boundary && kept.contains_key(&parent) {
                kept.insert(root, Known { parent, slot });
            } else {
                self.pruned.insert(root);
            }
        }
        self.known = kept;
    }
}
