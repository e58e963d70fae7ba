//! Decides what is to become of an item from what the Quarantine knows; no state is needed for
//! that.

use super::Quarantine;
use crate::consensus::{Consensus, Header, Slot, Vote};
use crate::identified::IdentifiedBlock;
use crate::quarantine::fair::Peer;
use crate::quarantine::held_item::HeldItem;
use crate::verdict::{DropReason, IgnoreReason, PendingReason, RejectReason, Verdict};

/// What is to become of an item.
pub(super) enum Judgement<C: Consensus> {
    Final(Verdict<C::Root, C::Invalid>),
    AwaitRoot(C::Root, PendingReason),
    AwaitPayload(C::Root),
    AwaitSlot(Slot),
    Check,
}

impl<C: Consensus> Quarantine<C> {
    /// Judges an item.
    pub(super) fn judge(&self, consensus: &C, item: &HeldItem<C>) -> Judgement<C> {
        match item {
            HeldItem::Block(block) => self.judge_block(consensus, block),
            HeldItem::Attestation(attestation) => {
                self.judge_attestation(consensus, attestation.identity())
            }
            HeldItem::Vote(vote) => self.judge_vote(consensus, vote.identity()),
            HeldItem::Operation(operation) => {
                self.judge_operation(operation.item().kind(), operation.identity())
            }
            HeldItem::PayloadVote(vote) => self.judge_payload_vote(consensus, vote.identity()),
        }
    }

    /// Judges an item that is in no queue: what a copy of it was refused or ignored for counts as
    /// well (I9). While it is held there is no other copy, so that is not asked again.
    pub(super) fn judge_anew(&self, consensus: &C, item: &HeldItem<C>) -> Judgement<C> {
        let judgement = self.judge(consensus, item);
        if !matches!(judgement, Judgement::Check) {
            return judgement;
        }
        let key = item.key();
        if self.second_votes.contains(&key) {
            return Judgement::ignore(IgnoreReason::SecondVote);
        }
        self.refused.get(&key).cloned().map_or(judgement, Judgement::reject)
    }

    /// The order is that of the gossip conditions, after duplicates; but a block that may wait does
    /// so for its parent first, then for its slot, and then for its parent's payload.
    fn judge_block(&self, consensus: &C, block: &IdentifiedBlock<C>) -> Judgement<C> {
        use Judgement::{AwaitPayload, AwaitRoot, AwaitSlot, Check};
        let header = block.identity();
        if self.known.contains_key(&header.root) || self.pruned.contains(&header.root) {
            return Judgement::Final(Verdict::Ignore(IgnoreReason::Duplicate));
        }
        if header.slot <= consensus.start_slot(self.finalized.epoch) {
            return Judgement::ignore(IgnoreReason::NotAfterFinalizedSlot);
        }
        if self.unviable.contains(&header.root) {
            return Judgement::reject(RejectReason::KnownInvalid);
        }
        if self.unviable.contains(&header.parent) {
            return Judgement::reject(RejectReason::InvalidAncestor);
        }
        if self.has_equivocated_enough(header) {
            return Judgement::ignore(IgnoreReason::SecondProposal);
        }
        if self.left_behind.contains(&header.parent) {
            return Judgement::Final(Verdict::Dropped(DropReason::Finalized));
        }
        let parent_passed = self.is_passed(&header.parent);
        if !parent_passed && !self.known.contains_key(&header.parent) {
            return AwaitRoot(header.parent, PendingReason::UnknownParent);
        }
        if self.slot < header.slot {
            return AwaitSlot(header.slot);
        }
        if parent_passed || !self.finalized_is_known() {
            return Judgement::reject(RejectReason::NotDescendantOfFinalized);
        }
        if consensus.needs_payload(block.item()) && !self.has_payload(&header.parent) {
            return AwaitPayload(header.parent);
        }
        Check
    }

    /// Returns whether Clearance has, or is to have, as many blocks of this slot and proposer as
    /// are kept, and no peer vouches for this one.
    fn has_equivocated_enough(&self, header: &Header<C::Root, C::Signature>) -> bool {
        self.are_kept(header) && self.voucher(header).is_none()
    }

    /// Returns whether as many blocks of this slot and proposer are kept as are without a voucher.
    pub(super) fn are_kept(&self, header: &Header<C::Root, C::Signature>) -> bool {
        let bound = if self.table.is_awaited(&header.root) {
            self.limits.awaited_equivocations
        } else {
            self.limits.equivocations
        };
        self.gossip.proposals(header.slot, header.proposer) >= bound.max(1)
    }

    /// Returns a peer that vouches for a block, and whether it is proven.
    pub(super) fn voucher(&self, header: &Header<C::Root, C::Signature>) -> Option<(Peer, bool)> {
        let builders = self.table.builders(&header.root);
        let builders = builders.map(|peer| (peer, self.standings.is_proven(peer)));
        let bound = self.limits.awaited_equivocations;
        self.gossip.voucher(header.slot, header.proposer, builders, bound)
    }

    fn judge_attestation(&self, consensus: &C, vote: &Vote<C::Root>) -> Judgement<C> {
        use Judgement::{AwaitRoot, AwaitSlot, Check, Final};
        let (head, target) = (vote.beacon_block_root, vote.target);
        if self.seen.contains(&vote.id) {
            return Final(Verdict::Ignore(IgnoreReason::Duplicate));
        }
        if target.epoch != consensus.epoch_at(vote.slot) {
            return Judgement::reject(RejectReason::BadTargetEpoch);
        }
        if self.unviable.contains(&head) || self.unviable.contains(&target.root) {
            return Judgement::reject(RejectReason::InvalidAncestor);
        }
        if target.epoch.saturating_add(1) < consensus.epoch_at(self.slot)
            || target.epoch < self.finalized.epoch
            || self.is_passed(&head)
        {
            return Final(Verdict::Ignore(IgnoreReason::TooOld));
        }
        let Some(block) = self.known.get(&head) else {
            return AwaitRoot(head, PendingReason::UnknownBlock);
        };
        if block.slot > vote.slot {
            return Judgement::reject(RejectReason::BlockAfterAttestation);
        }
        if vote.slot > self.slot {
            return AwaitSlot(vote.slot);
        }
        if self.ancestor(head, consensus.start_slot(target.epoch)) != Some(target.root) {
            return Judgement::reject(RejectReason::BadTargetRoot);
        }
        Check
    }

    /// Returns whether finality has passed a block: it was pruned, or refused or given up for that.
    pub(super) fn is_passed(&self, root: &C::Root) -> bool {
        [&self.pruned, &self.dead, &self.left_behind].iter().any(|passed| passed.contains(root))
    }

    /// `get_ancestor`: the block of the branch at, or last before, `slot`.
    pub(super) fn ancestor(&self, root: C::Root, slot: Slot) -> Option<C::Root> {
        let mut at = root;
        // The loop is bounded by the number of known blocks: slots fall along parents, and the
        // anchor is its own parent.
        loop {
            let known = self.known.get(&at)?;
            if known.slot <= slot {
                return Some(at);
            }
            if known.parent == at {
                return None;
            }
            at = known.parent;
        }
    }
}

impl<C: Consensus> Judgement<C> {
    pub(super) fn reject(reason: RejectReason<C::Invalid>) -> Self {
        Self::Final(Verdict::Reject(reason))
    }

    pub(super) fn ignore(reason: IgnoreReason) -> Self {
        Self::Final(Verdict::Ignore(reason))
    }
}
