//! Judges votes of payload-timeliness committees, and keeps which payloads are there.
//!
//! | | if not | condition |
//! |---|---|---|
//! | 1 | ignored | the vote's slot is the current one, on some honest clock |
//! | 2 | ignored | no vote of this slot and validator has been found valid |
//! | 3 | parked | its block has been seen |
//! | 4 | rejected | its block is valid |
//! | 5 | ignored | its block is of the vote's slot |
//! | 6 to 8 | rejected | the Rewinder's: the voter is registered, in the committee, and has signed |
//!
//! A vote is marked as seen when the Rewinder has found it valid, and not before. A parked vote is
//! dropped when its slot is over: no block could make anything of it.
//!
//! The payload of the finalised block, and of what lies before it, counts as there.
//!
//! Reference: consensus specification 1.7.0-alpha.13, `gloas/p2p-interface.md`,
//! "payload_attestation_message".

use super::Quarantine;
use super::judgement::Judgement;
use crate::consensus::{Consensus, Slot};
use crate::gossip::MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS;
use crate::payload::PayloadVoteHeader;
use crate::quarantine::event::{Effect, RequestId};
use crate::quarantine::held_item::HeldItem;
use crate::quarantine::table::{Number, Place};
use crate::verdict::{ClearedPayloadVote, IgnoreReason, PendingReason, RejectReason, Verdict};

impl<C: Consensus> Quarantine<C> {
    /// Judges a payload vote.
    pub(super) fn judge_payload_vote(
        &self,
        consensus: &C,
        header: &PayloadVoteHeader<C::Root>,
    ) -> Judgement<C> {
        let data = &header.data;
        if !self.may_vote_of(consensus, data.slot) || !self.is_of_this_slot(data.slot) {
            return Judgement::ignore(IgnoreReason::NotCurrentSlot);
        }
        if self.gossip.has_payload_vote(data.slot, header.validator) {
            return Judgement::ignore(IgnoreReason::SecondVote);
        }
        if self.unviable.contains(&data.block) {
            return Judgement::reject(RejectReason::InvalidAncestor);
        }
        if self.is_passed(&data.block) {
            return Judgement::ignore(IgnoreReason::FinalizedNotAncestor);
        }
        match self.known.get(&data.block) {
            None => Judgement::AwaitRoot(data.block, PendingReason::UnknownBlock),
            Some(block) if block.slot != data.slot => {
                Judgement::ignore(IgnoreReason::BlockOfAnotherSlot)
            }
            Some(_) => Judgement::Check,
        }
    }

    /// Returns whether a slot that has begun is not over yet on some honest clock.
    fn is_of_this_slot(&self, slot: Slot) -> bool {
        let ended = slot.saturating_add(1);
        let late = self.into_slot_ms > MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS;
        self.slot < ended || self.slot == ended && !late
    }

    /// Returns when an item that waits has waited too long: a payload vote, once its slot is over.
    pub(super) fn expiry(&self, item: &HeldItem<C>) -> Slot {
        let patience = self.slot.saturating_add(self.limits.patience);
        match item {
            HeldItem::PayloadVote(vote) => {
                patience.min(vote.identity().data.slot.saturating_add(1))
            }
            _ => patience,
        }
    }

    /// Passes a valid payload vote on to Clearance, unless one of the same slot and validator came
    /// first. It counts as seen from now on.
    pub(super) fn valid_payload_vote(
        &mut self,
        request: RequestId,
        number: Number,
        vote: Box<ClearedPayloadVote<C>>,
        effects: &mut Vec<Effect<C>>,
    ) {
        let header = vote.item().identity();
        if !self.gossip.mark_payload_vote(header.data.slot, header.validator) {
            self.finish(number, &Verdict::Ignore(IgnoreReason::SecondVote), effects);
            return;
        }
        self.table.set(number, Place::Importing { post_state_root: None, attester: None });
        self.requests.insert(request, number);
        effects.push(Effect::ClearPayloadVote { request, vote });
    }

    /// Returns whether the payload of a known block is there.
    pub(super) fn has_payload(&self, root: &C::Root) -> bool {
        *root == self.finalized.root || self.payloads.contains(root)
    }

    /// Takes note that a payload is there, and judges what has waited for it. That may be told more
    /// than once.
    pub(super) fn payload(&mut self, consensus: &C, root: C::Root, effects: &mut Vec<Effect<C>>) {
        self.payloads.insert(root);
        if self.known.contains_key(&root) {
            effects.push(Effect::ClearPayload { root });
        }
        let released = self.table.take_waiting_for_payload(root);
        self.judge_all(consensus, released, effects);
    }

    /// Judges what waits for the payload of a block that is not known any more: finality has
    /// passed it.
    pub(super) fn leave_passed_payloads(&mut self, consensus: &C, effects: &mut Vec<Effect<C>>) {
        let known = |root: &C::Root| !self.known.contains_key(root) || self.has_payload(root);
        let passed: Vec<_> = self.table.awaited_payloads().into_iter().filter(known).collect();
        for root in passed {
            let released = self.table.take_waiting_for_payload(root);
            self.judge_all(consensus, released, effects);
        }
    }
}
