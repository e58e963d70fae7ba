//! Judges gossip votes and operations from what the Quarantine knows, and takes up what the
//! Rewinder says of them.
//!
//! What needs no state comes first, and in the order of the gossip specification; then, at the
//! Rewinder, what needs the committees, and the signatures. An item that fails conditions of both
//! kinds therefore gets the class of the cheaper one. What the specification lets wait (a slot that
//! has not begun, a block that is not known) is parked: on its topic it is ignored meanwhile.
//!
//! A vote may be a little early, as honest clocks differ. It is then checked at once. A block that
//! is early waits for its slot, because the fork choice takes none before.
//!
//! Reference: consensus specification, `phase0/p2p-interface.md`.

use std::collections::BTreeSet;

use super::Quarantine;
use super::judgement::Judgement;
use crate::consensus::{Consensus, Header, Slot, ValidatorIndex, Vote};
use crate::gossip::{
    ATTESTATION_PROPAGATION_SLOT_RANGE, MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS, OperationHeader,
    OperationKind, VoteHeader, VoteTopic,
};
use crate::quarantine::event::{Effect, RequestId};
use crate::quarantine::held_item::HeldItem;
use crate::quarantine::table::{Entry, Number, Place};
use crate::verdict::{
    ClearedOperation, ClearedVote, IgnoreReason, PendingReason, RejectReason, Verdict,
};

impl<C: Consensus> Quarantine<C> {
    /// Judges a gossip vote. One that differs from the first of its place is ignored by its topic,
    /// whatever is wrong with it. If nothing is wrong with the blocks that it names, it is checked
    /// all the same, as the two may be an offence.
    pub(super) fn judge_vote(&self, consensus: &C, header: &VoteHeader<C::Root>) -> Judgement<C> {
        use Judgement::AwaitSlot;
        let (vote, target) = (&header.vote, header.vote.target);
        if vote.slot > self.slot.saturating_add(consensus.slots_per_epoch()) {
            return Judgement::ignore(IgnoreReason::FutureSlot);
        }
        if !self.may_vote_of(consensus, vote.slot) {
            return AwaitSlot(vote.slot);
        }
        if !self.is_propagated(vote.slot) || target.epoch < self.finalized.epoch {
            return Judgement::ignore(IgnoreReason::TooOld);
        }
        if target.epoch != consensus.epoch_at(vote.slot) {
            return Judgement::reject(RejectReason::BadTargetEpoch);
        }
        match (header.topic, header.bits.count()) {
            (VoteTopic::Subnet(_), count) if count != 1 => {
                return Judgement::reject(RejectReason::NotUnaggregated);
            }
            (VoteTopic::Aggregate(_), 0) => {
                return Judgement::reject(RejectReason::NoParticipants);
            }
            _ => {}
        }
        if let Some(reason) = self.gossip.repeats(header) {
            return Judgement::ignore(reason);
        }
        match self.judge_branch(consensus, vote) {
            Judgement::Final(_) if self.gossip.contradicts(header) => {
                Judgement::ignore(IgnoreReason::SecondVote)
            }
            judgement => judgement,
        }
    }

    /// Judges a gossip vote by the blocks that it names.
    fn judge_branch(&self, consensus: &C, vote: &Vote<C::Root>) -> Judgement<C> {
        use Judgement::{AwaitRoot, Check};
        let (head, target) = (vote.beacon_block_root, vote.target);
        if self.unviable.contains(&head) || self.unviable.contains(&target.root) {
            return Judgement::reject(RejectReason::InvalidAncestor);
        }
        if self.is_passed(&head) {
            return Judgement::ignore(IgnoreReason::FinalizedNotAncestor);
        }
        let Some(block) = self.known.get(&head) else {
            return AwaitRoot(head, PendingReason::UnknownBlock);
        };
        if self.ancestor(head, consensus.start_slot(target.epoch)) != Some(target.root) {
            return Judgement::reject(RejectReason::BadTargetRoot);
        }
        if !self.finalized_is_known() {
            return Judgement::ignore(IgnoreReason::FinalizedNotAncestor);
        }
        // The gossip conditions say nothing of this, so honest peers may pass it on. The fork
        // choice has no use for it.
        if block.slot > vote.slot {
            return Judgement::ignore(IgnoreReason::BlockAfterAttestation);
        }
        Check
    }

    /// Judges an operation. All that it is about is in the head's state, but for what was accepted
    /// before.
    pub(super) fn judge_operation(
        &self,
        kind: OperationKind,
        header: &OperationHeader<C::Root>,
    ) -> Judgement<C> {
        if self.gossip.repeats_operation(kind, header) {
            return Judgement::ignore(IgnoreReason::SeenOperation);
        }
        Judgement::Check
    }

    /// Returns whether every known block descends from the finalised one. The finalised block is
    /// then known: whatever does not descend from it is taken out when finality moves.
    pub(super) fn finalized_is_known(&self) -> bool {
        self.known.contains_key(&self.finalized.root)
    }

    /// Returns whether a vote of this slot may be there by now: its slot has begun on some honest
    /// clock.
    pub(super) fn may_vote_of(&self, consensus: &C, slot: Slot) -> bool {
        let ahead = self.into_slot_ms.saturating_add(MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS);
        slot <= self.slot
            || slot == self.slot.saturating_add(1) && ahead >= consensus.slot_duration_ms()
    }

    /// Returns whether a vote of this slot is still propagated on some honest clock.
    fn is_propagated(&self, slot: Slot) -> bool {
        let end = slot.saturating_add(ATTESTATION_PROPAGATION_SLOT_RANGE).saturating_add(1);
        let late = self.into_slot_ms > MAXIMUM_GOSSIP_CLOCK_DISPARITY_MS;
        self.slot < end || self.slot == end && !late
    }

    /// Drops what was seen of epochs of which no vote is propagated any more.
    pub(super) fn forget_old_votes(&mut self, consensus: &C) {
        let range = ATTESTATION_PROPAGATION_SLOT_RANGE.saturating_add(1);
        self.gossip.forget_votes_before(consensus.epoch_at(self.slot.saturating_sub(range)));
        self.gossip.forget_payload_votes_before(self.slot.saturating_sub(1));
    }

    /// Returns the slot to which the state of the head, block `head`, is advanced to check an
    /// operation: the first of the clock's epoch, or the block's own if that is later.
    #[must_use]
    pub fn slot_of_operations(&self, consensus: &C, head: C::Root) -> Slot {
        // A block that Clearance has and the Quarantine has not been told of is of this slot or
        // before.
        let own = self.known.get(&head).map_or(self.slot, |known| known.slot);
        own.max(consensus.start_slot(consensus.epoch_at(self.slot)))
    }

    /// Passes a valid vote on to Clearance, unless two of the same validator came first. One that
    /// came second is ignored by its topic, and passed on for the slashing detector's sake.
    pub(super) fn valid_vote(
        &mut self,
        request: RequestId,
        number: Number,
        vote: Box<ClearedVote<C>>,
        effects: &mut Vec<Effect<C>>,
    ) {
        let header = vote.item().identity();
        let epoch = header.vote.target.epoch;
        let attester = match header.topic {
            VoteTopic::Subnet(_) => vote.evidence().indices.first().copied(),
            VoteTopic::Aggregate(_) => None,
        };
        if attester.is_some_and(|index| self.gossip.has_voted_twice(epoch, index)) {
            self.second_vote(number, effects);
            return;
        }
        self.table.set(number, Place::Importing { post_state_root: None, attester });
        self.requests.insert(request, number);
        effects.push(Effect::ClearVote { request, vote });
    }

    /// Refuses a vote. That another one of its validator was accepted comes before what is wrong
    /// with its signature. But nobody passes on what is wrong: so it counts as junk of those who
    /// brought it all the same.
    pub(super) fn invalid_vote(
        &mut self,
        consensus: &C,
        number: Number,
        reason: RejectReason<C::Invalid>,
        attester: Option<ValidatorIndex>,
        effects: &mut Vec<Effect<C>>,
    ) {
        let epoch = match self.table.item(number) {
            Some(HeldItem::Vote(vote)) => vote.identity().vote.target.epoch,
            _ => return,
        };
        if attester.is_some_and(|index| self.gossip.has_voted(epoch, index)) {
            let peers = self.table.get(number).into_iter().flat_map(Entry::peers);
            let peers: BTreeSet<_> = peers.collect();
            self.second_vote(number, effects);
            let verdict = Verdict::Reject(reason);
            peers.into_iter().for_each(|peer| self.rate(peer, &verdict));
            return;
        }
        self.remember(number, &reason);
        self.reject(consensus, number, reason, effects);
    }

    /// Ignores a vote that was checked and is not passed on, as another one of its validator was
    /// accepted. A copy of it then costs a look-up (I9).
    fn second_vote(&mut self, number: Number, effects: &mut Vec<Effect<C>>) {
        if let Some(item) = self.table.item(number) {
            self.second_votes.insert(item.key());
        }
        self.finish(number, &Verdict::Ignore(IgnoreReason::SecondVote), effects);
    }

    /// Takes back the count of a block, or the mark of a payload vote, that Clearance has lost.
    pub(super) fn discount(&mut self, number: Number) {
        match self.table.item(number) {
            Some(HeldItem::Block(block)) => {
                let Header { slot, proposer, .. } = *block.identity();
                self.gossip.discount_proposal(slot, proposer);
            }
            Some(HeldItem::PayloadVote(vote)) => {
                let (slot, validator) = (vote.identity().data.slot, vote.identity().validator);
                self.gossip.unmark_payload_vote(slot, validator);
            }
            _ => {}
        }
    }

    /// Passes a valid operation on to Clearance.
    pub(super) fn valid_operation(
        &mut self,
        request: RequestId,
        number: Number,
        operation: Box<ClearedOperation<C>>,
        effects: &mut Vec<Effect<C>>,
    ) {
        self.table.set(number, Place::Importing { post_state_root: None, attester: None });
        self.requests.insert(request, number);
        effects.push(Effect::ClearOperation { request, operation });
    }
}

#[cfg(test)]
mod tests {
    use crate::consensus::{Checkpoint, Consensus};
    use crate::gossip::GossipVote;
    use crate::machine::Machine;
    use crate::quarantine::machine::seen::Seen;
    use crate::quarantine::{Event, Limits, Quarantine};
    use crate::toy::{Toy, ToyAttestation};

    #[test]
    fn what_was_seen_of_an_epoch_goes_once_no_vote_of_it_is_propagated() {
        // A vote of epoch 2, whose last slot is 11. It is propagated up to 33 slots later.
        let (toy, limits) = (Toy::default(), Limits::default());
        let anchor = Checkpoint { epoch: 0, root: 0 };
        let mut machine = Quarantine::<Toy>::new(limits, anchor, 10);
        let target = Checkpoint { epoch: 2, root: 0 };
        let attestation =
            ToyAttestation { id: 9, slot: 9, head: 0, target, validator: 1, valid: true };
        let header = toy.gossip_vote(&GossipVote::Single { attestation, subnet: 1 });
        assert_eq!(machine.gossip.accept_vote(&header, Some(1)), None);
        for (slot, is_kept) in [(44, true), (45, false)] {
            machine.handle(&toy, Event::Tick { slot, into_slot_ms: 0 });
            assert_eq!(machine.gossip != Seen::new(limits.remembered), is_kept, "{slot}");
        }
    }
}
