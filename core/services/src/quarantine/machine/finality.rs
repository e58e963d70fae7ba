//! What finality does to the Quarantine: blocks and items that finality has passed are pruned or
//! given up.

use std::collections::BTreeMap;

use super::{Known, Quarantine};
use crate::consensus::{Checkpoint, Consensus};
use crate::quarantine::event::Effect;
use crate::quarantine::held_item::HeldItem;
use crate::verdict::{DropReason, Verdict};

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
        self.prune_known(finalized.root);
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

    /// Moves what does not descend from the finalised block from `known` to `pruned`.
    pub(super) fn prune_known(&mut self, finalized: C::Root) {
        let mut by_slot: Vec<_> = self.known.iter().map(|(r, k)| (k.slot, *r, k.parent)).collect();
        by_slot.sort_unstable();
        let mut kept = BTreeMap::new();
        for (slot, root, parent) in by_slot {
            if root == finalized {
                kept.insert(root, Known { parent: root, slot });
            } else if kept.contains_key(&parent) {
                kept.insert(root, Known { parent, slot });
            } else {
                self.pruned.insert(root);
            }
        }
        self.known = kept;
    }
}
