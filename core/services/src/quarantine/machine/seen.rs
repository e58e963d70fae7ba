//! What has been accepted before, as the gossip conditions ask for it.
//!
//! **Invariants.**
//! - S1 An item is marked when it is accepted, and not before. Forged items mark nothing, so they
//!   can shadow no honest one.
//! - S2 Votes are kept by target epoch. An epoch is dropped once no vote of it is propagated any
//!   more, so at most as many epochs are kept as the range of propagation touches. Within one,
//!   there is at most one entry for each validator that has voted, at most two places of it, and
//!   one entry for each validator that has aggregated. An aggregate that another one covers is not
//!   kept.
//! - S3 Blocks are counted by slot and proposer from the time they are passed on to Clearance;
//!   there is one entry at most for each block that Clearance has or is to have. Entries up to the
//!   finalised slot are dropped, as blocks from there are ignored.
//! - S4 Operations are kept by the validators that they are about, the newest `remembered` of each
//!   kind, the oldest forgotten first. What is forgotten is checked again.
//! - S5 Of each validator and target epoch two different single votes pass: the first is accepted,
//!   and the second is shown to Clearance, as the two are an offence.
//! - S6 A payload vote is marked when its signature has been verified. The mark is taken back if
//!   Clearance loses the vote. Marks of slots before the last one are dropped; a slot has one for
//!   each member of its committees at most.

use std::collections::{BTreeMap, BTreeSet};

use crate::bits::Bits;
use crate::bounded::BoundedSet;
use crate::consensus::{Epoch, Slot, ValidatorIndex};
use crate::gossip::{OperationHeader, OperationKind, VoteHeader, VoteTopic};
use crate::quarantine::fair::Peer;
use crate::quarantine::vouchers::Vouchers;
use crate::verdict::IgnoreReason;

/// A member of a committee, told by its place. Two votes of one place and target are of the same
/// validator, which is not known before the committee is.
type Member<R> = (R, Slot, u64, usize);

/// What has been accepted; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seen<R> {
    epochs: BTreeMap<Epoch, Votes<R>>,
    proposals: BTreeMap<(Slot, ValidatorIndex), Proposals>,
    proposer_slashings: BoundedSet<ValidatorIndex>,
    attester_slashings: BoundedSet<ValidatorIndex>,
    voluntary_exits: BoundedSet<ValidatorIndex>,
    payload_votes: BTreeMap<Slot, BTreeSet<ValidatorIndex>>,
}

/// The blocks of one slot and proposer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Proposals {
    /// How many Clearance has or is to have.
    count: usize,
    /// Whether the first of them was accepted, which is passed on to peers.
    accepted: bool,
    /// Who has vouched for some of them.
    vouchers: Vouchers,
}

/// The votes of one target epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Votes<R> {
    /// The places of single votes, each with the root of the attestation data; without it where a
    /// second vote was cast, as no third is of use.
    members: BTreeMap<Member<R>, Option<R>>,
    /// Who has cast a single vote, and whether a second one, too.
    attesters: BTreeMap<ValidatorIndex, bool>,
    aggregators: BTreeSet<ValidatorIndex>,
    /// By root of the attestation data; none of a row's bits are a subset of another's.
    aggregates: BTreeMap<R, Vec<Bits>>,
}

impl<R> Default for Votes<R> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            attesters: BTreeMap::new(),
            aggregators: BTreeSet::new(),
            aggregates: BTreeMap::new(),
        }
    }
}

impl<R: Copy + Ord> Seen<R> {
    /// Returns an empty record that keeps `remembered` validators for each kind of operation.
    pub(super) fn new(remembered: usize) -> Self {
        Self {
            epochs: BTreeMap::new(),
            proposals: BTreeMap::new(),
            proposer_slashings: BoundedSet::new(remembered),
            attester_slashings: BoundedSet::new(remembered),
            voluntary_exits: BoundedSet::new(remembered),
            payload_votes: BTreeMap::new(),
        }
    }

    /// Returns why a vote is of no use after those that were accepted, as far as that can be told
    /// without its committee.
    pub(super) fn repeats(&self, header: &VoteHeader<R>) -> Option<IgnoreReason> {
        let votes = self.epochs.get(&header.vote.target.epoch)?;
        match header.topic {
            VoteTopic::Subnet(_) => {
                let first = *votes.members.get(&member(header)?)?;
                first.is_none_or(|data| data == header.data).then_some(IgnoreReason::SecondVote)
            }
            VoteTopic::Aggregate(aggregator) => {
                let rows = votes.aggregates.get(&header.data);
                let covers = |bits: &Bits| header.bits.is_covered_by(bits);
                if rows.is_some_and(|rows| rows.iter().any(covers)) {
                    return Some(IgnoreReason::SeenAggregate);
                }
                votes.aggregators.contains(&aggregator).then_some(IgnoreReason::SecondAggregate)
            }
        }
    }

    /// Returns whether a single vote is the second one of its place, with other data than the
    /// first.
    pub(super) fn contradicts(&self, header: &VoteHeader<R>) -> bool {
        let is_single = matches!(header.topic, VoteTopic::Subnet(_));
        let votes = self.epochs.get(&header.vote.target.epoch).filter(|_| is_single);
        let first = votes.and_then(|votes| votes.members.get(&member(header)?));
        first.is_some_and(|data| data.is_some_and(|data| data != header.data))
    }

    /// Returns whether a single attestation of this validator for this target epoch was accepted.
    pub(super) fn has_voted(&self, epoch: Epoch, validator: ValidatorIndex) -> bool {
        self.epochs.get(&epoch).is_some_and(|votes| votes.attesters.contains_key(&validator))
    }

    /// Returns whether two single attestations of this validator for this target epoch have passed.
    pub(super) fn has_voted_twice(&self, epoch: Epoch, validator: ValidatorIndex) -> bool {
        let votes = self.epochs.get(&epoch);
        votes.and_then(|votes| votes.attesters.get(&validator)).is_some_and(|twice| *twice)
    }

    /// Marks a vote that Clearance has; `attester` is who casts it, if it is a single attestation.
    /// Returns the reason if it repeats another one. It is then not accepted, and marked only as
    /// its validator's second vote.
    pub(super) fn accept_vote(
        &mut self,
        header: &VoteHeader<R>,
        attester: Option<ValidatorIndex>,
    ) -> Option<IgnoreReason> {
        if let Some(reason) = self.repeats(header) {
            return Some(reason);
        }
        let epoch = header.vote.target.epoch;
        let voted = attester.is_some_and(|index| self.has_voted(epoch, index));
        self.mark_vote(header, attester, voted);
        voted.then_some(IgnoreReason::SecondVote)
    }

    fn mark_vote(&mut self, header: &VoteHeader<R>, attester: Option<ValidatorIndex>, twice: bool) {
        let votes = self.epochs.entry(header.vote.target.epoch).or_default();
        match header.topic {
            VoteTopic::Subnet(_) => {
                let data = (!twice).then_some(header.data);
                votes.members.extend(member(header).map(|place| (place, data)));
                votes.attesters.extend(attester.map(|index| (index, twice)));
            }
            VoteTopic::Aggregate(aggregator) => {
                votes.aggregators.insert(aggregator);
                let row = votes.aggregates.entry(header.data).or_default();
                row.retain(|bits| !bits.is_covered_by(&header.bits));
                row.push(header.bits.clone());
            }
        }
    }

    /// Drops the votes of epochs before `epoch`.
    pub(super) fn forget_votes_before(&mut self, epoch: Epoch) {
        self.epochs = self.epochs.split_off(&epoch);
    }

    /// Returns how many blocks of this slot and proposer Clearance has or is to have.
    pub(super) fn proposals(&self, slot: Slot, proposer: ValidatorIndex) -> usize {
        self.proposals.get(&(slot, proposer)).map_or(0, |proposals| proposals.count)
    }

    /// Returns who may vouch for one more of them: see [`Vouchers::next`].
    pub(super) fn voucher(
        &self,
        slot: Slot,
        proposer: ValidatorIndex,
        builders: impl Iterator<Item = (Peer, bool)>,
        unproven: usize,
    ) -> Option<(Peer, bool)> {
        self.proposals.get(&(slot, proposer))?.vouchers.next(builders, unproven)
    }

    /// Counts a block that is passed on to Clearance, and against the peer that vouches for it.
    pub(super) fn count_proposal(
        &mut self,
        slot: Slot,
        proposer: ValidatorIndex,
        voucher: Option<(Peer, bool)>,
    ) {
        let proposals = self.proposals.entry((slot, proposer)).or_default();
        proposals.count += 1;
        if let Some((peer, proven)) = voucher {
            proposals.vouchers.charge(peer, proven);
        }
    }

    /// Takes back the count of a block that Clearance has lost.
    pub(super) fn discount_proposal(&mut self, slot: Slot, proposer: ValidatorIndex) {
        if let Some(proposals) = self.proposals.get_mut(&(slot, proposer)) {
            proposals.count = proposals.count.saturating_sub(1);
            if proposals.count == 0 {
                self.proposals.remove(&(slot, proposer));
            }
        }
    }

    /// Marks a block that is accepted. Returns whether it is the first of its slot and proposer.
    pub(super) fn mark_proposal(&mut self, slot: Slot, proposer: ValidatorIndex) -> bool {
        let proposals = self.proposals.entry((slot, proposer)).or_default();
        !std::mem::replace(&mut proposals.accepted, true)
    }

    /// Drops the counts of blocks up to `slot`.
    pub(super) fn forget_proposals_until(&mut self, slot: Slot) {
        self.proposals = self.proposals.split_off(&(slot.saturating_add(1), 0));
    }

    /// Returns whether a payload vote of this slot and validator has been found valid.
    pub(super) fn has_payload_vote(&self, slot: Slot, validator: ValidatorIndex) -> bool {
        self.payload_votes.get(&slot).is_some_and(|voters| voters.contains(&validator))
    }

    /// Marks a payload vote that is valid. Returns `false` if one of its slot and validator is
    /// marked.
    pub(super) fn mark_payload_vote(&mut self, slot: Slot, validator: ValidatorIndex) -> bool {
        self.payload_votes.entry(slot).or_default().insert(validator)
    }

    /// Takes back the mark of a payload vote that Clearance has lost.
    pub(super) fn unmark_payload_vote(&mut self, slot: Slot, validator: ValidatorIndex) {
        if let Some(voters) = self.payload_votes.get_mut(&slot) {
            voters.remove(&validator);
        }
    }

    /// Drops the marks of payload votes of slots before `slot`.
    pub(super) fn forget_payload_votes_before(&mut self, slot: Slot) {
        if self.payload_votes.first_key_value().is_some_and(|(first, _)| *first < slot) {
            self.payload_votes = self.payload_votes.split_off(&slot);
        }
    }

    fn operations(&self, kind: OperationKind) -> &BoundedSet<ValidatorIndex> {
        match kind {
            OperationKind::ProposerSlashing => &self.proposer_slashings,
            OperationKind::AttesterSlashing => &self.attester_slashings,
            OperationKind::VoluntaryExit => &self.voluntary_exits,
        }
    }

    /// Returns whether operations of this kind have been accepted about each of the validators:
    /// always, if there is none (as with an attester slashing that nobody signed twice).
    pub(super) fn repeats_operation(
        &self,
        kind: OperationKind,
        header: &OperationHeader<R>,
    ) -> bool {
        header.validators.iter().all(|index| self.operations(kind).contains(index))
    }

    /// Marks an operation that is accepted. Returns `false`, and marks nothing, if it repeats
    /// others.
    pub(super) fn accept_operation(
        &mut self,
        kind: OperationKind,
        header: &OperationHeader<R>,
    ) -> bool {
        if self.repeats_operation(kind, header) {
            return false;
        }
        let seen = match kind {
            OperationKind::ProposerSlashing => &mut self.proposer_slashings,
            OperationKind::AttesterSlashing => &mut self.attester_slashings,
            OperationKind::VoluntaryExit => &mut self.voluntary_exits,
        };
        header.validators.iter().for_each(|index| seen.insert(*index));
        true
    }
}

/// Returns the place of the one that votes, if any bit is set.
fn member<R: Copy>(header: &VoteHeader<R>) -> Option<Member<R>> {
    let vote = &header.vote;
    Some((vote.target.root, vote.slot, header.committee, header.bits.first()?))
}

#[cfg(test)]
mod tests {
    use super::Seen;
    use crate::consensus::{Checkpoint, Vote};
    use crate::gossip::{VoteHeader, VoteTopic};

    #[test]
    fn a_block_that_is_lost_leaves_the_others_of_its_slot_and_proposer_counted() {
        // Two are counted; one is lost, and then the other.
        let mut seen: Seen<u8> = Seen::new(1);
        seen.count_proposal(5, 7, None);
        seen.count_proposal(5, 7, None);
        seen.discount_proposal(5, 7);
        assert_eq!(seen.proposals(5, 7), 1);
        seen.discount_proposal(5, 7);
        assert_eq!(seen, Seen::new(1), "nothing is kept of them");
    }

    #[test]
    fn counts_are_dropped_up_to_the_finalized_slot_and_kept_from_there_on() {
        // One block in each of three slots, the second of which is final.
        let mut seen: Seen<u8> = Seen::new(1);
        (4..=6).for_each(|slot| seen.count_proposal(slot, 7, None));
        seen.forget_proposals_until(5);
        assert_eq!([4, 5, 6].map(|slot| seen.proposals(slot, 7)), [0, 0, 1]);
    }

    #[test]
    fn votes_are_dropped_by_epoch_and_payload_votes_by_slot() {
        // A vote in each of three epochs, and in each of three slots. The second is the first kept.
        let mut seen: Seen<u8> = Seen::new(1);
        for at in 4..=6 {
            let target = Checkpoint { epoch: at, root: 0 };
            let source = Checkpoint { epoch: 0, root: 0 };
            let vote = Vote { id: 0, slot: 8 * at, beacon_block_root: 0, source, target };
            let bits = [true].into_iter().collect();
            let topic = VoteTopic::Subnet(0);
            let header = VoteHeader { vote, data: 0, committee: 0, bits, topic };
            assert_eq!(seen.accept_vote(&header, Some(7)), None);
            assert!(seen.mark_payload_vote(at, 7));
        }
        seen.forget_votes_before(5);
        seen.forget_payload_votes_before(5);
        assert_eq!([4, 5, 6].map(|epoch| seen.has_voted(epoch, 7)), [false, true, true]);
        assert_eq!([4, 5, 6].map(|slot| seen.has_payload_vote(slot, 7)), [false, true, true]);
    }
}
