//! What the chain includes of the committees' votes, and whether any of it is slashable.

use std::collections::{BTreeMap, BTreeSet};

use blocksmith_consensus::{Root, SignedBeaconBlock, Wire};

/// A place in a committee: slot, committee, position.
type Place = (u64, u64, u64);

/// Committees, and the votes and blocks that a chain includes.
#[derive(Debug, Default)]
pub(super) struct Votes {
    members: BTreeMap<Place, u64>,
    included: BTreeSet<Place>,
    /// Of each validator: source, target and data.
    votes: BTreeMap<u64, BTreeSet<(u64, u64, Root)>>,
    blocks: BTreeMap<(u64, u64), BTreeSet<Root>>,
    slashings: u64,
}

impl Votes {
    /// Takes in who sits where, for the slots from `from` to `to`; an older list is replaced.
    pub(super) fn committees(&mut self, from: u64, to: u64, members: &[(Place, u64)]) {
        self.members.retain(|(slot, ..), _| !(from..=to).contains(slot));
        let within = members.iter().filter(|((slot, ..), _)| (from..=to).contains(slot));
        self.members.extend(within.copied());
    }

    /// Takes in a block. Bits beyond the committee that is known are passed over.
    pub(super) fn block(&mut self, signed: &SignedBeaconBlock) {
        let block = &signed.message;
        let root = block.hash_tree_root();
        self.blocks.entry((block.slot, block.proposer_index)).or_default().insert(root);
        let body = &block.body;
        self.slashings +=
            body.proposer_slashings.len() as u64 + body.attester_slashings.len() as u64;
        for attestation in body.attestations.iter() {
            let data = &attestation.data;
            let vote = (data.source.epoch, data.target.epoch, data.hash_tree_root());
            for (position, bit) in attestation.aggregation_bits.iter().enumerate() {
                let place = (data.slot, data.index, position as u64);
                if let Some(validator) = self.members.get(&place).filter(|_| *bit) {
                    self.included.insert(place);
                    self.votes.entry(*validator).or_default().insert(vote);
                }
            }
        }
    }

    /// Returns the part of the votes of the slots from `from` to `to` that is included; `None` if
    /// there is none to include.
    pub(super) fn participation(&self, from: u64, to: u64) -> Option<f64> {
        let within = |(slot, ..): &Place| (from..=to).contains(slot);
        let owed = self.members.keys().filter(|place| within(place)).count();
        let included = self.members.keys().filter(|place| within(place));
        let included = included.filter(|place| self.included.contains(place)).count();
        (owed > 0).then(|| included as f64 / owed as f64)
    }

    /// Returns how many blocks there are.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks.values().map(|roots| roots.len() as u64).sum()
    }

    /// Returns how many pairs of messages are slashable, and slashings are included.
    pub(super) fn slashable(&self) -> u64 {
        let pairs = |count: usize| (count * count.saturating_sub(1) / 2) as u64;
        let blocks: u64 = self.blocks.values().map(|roots| pairs(roots.len())).sum();
        let votes = self.votes.values().map(|votes| {
            let votes: Vec<_> = votes.iter().collect();
            let one = |(at, first): (usize, &&(u64, u64, Root))| {
                votes[at + 1..].iter().filter(|second| is_slashable(first, second)).count() as u64
            };
            votes.iter().enumerate().map(one).sum::<u64>()
        });
        blocks + votes.sum::<u64>() + self.slashings
    }
}

/// Two different votes with one target, or of which one surrounds the other.
fn is_slashable(first: &(u64, u64, Root), second: &(u64, u64, Root)) -> bool {
    let surrounds =
        |outer: &(u64, u64, Root), inner: &(u64, u64, Root)| outer.0 < inner.0 && inner.1 < outer.1;
    first.1 == second.1 || surrounds(first, second) || surrounds(second, first)
}

#[cfg(test)]
mod tests {
    use blocksmith_consensus::{AggregationBits, Attestation, AttestationData, Checkpoint};

    use super::*;

    /// A vote of the members that `bits` names, in committee 0 of a slot.
    fn attestation(slot: u64, bits: &[bool], source: u64, target: u64, head: u8) -> Attestation {
        let checkpoint = |epoch| Checkpoint { epoch, ..Checkpoint::default() };
        let data = AttestationData {
            slot,
            beacon_block_root: Root::new([head; 32]),
            source: checkpoint(source),
            target: checkpoint(target),
            ..AttestationData::default()
        };
        let mut aggregation_bits = AggregationBits::default();
        bits.iter().for_each(|bit| aggregation_bits.push(*bit));
        Attestation { aggregation_bits, data, ..Attestation::default() }
    }

    fn block(slot: u64, proposer: u64, attestations: Vec<Attestation>) -> SignedBeaconBlock {
        let mut block = SignedBeaconBlock::default();
        (block.message.slot, block.message.proposer_index) = (slot, proposer);
        block.message.body.attestations = attestations.try_into().expect("few");
        block
    }

    /// Slots 1 and 2, with two members each.
    fn votes() -> Votes {
        let mut votes = Votes::default();
        let members = [((1, 0, 0), 4), ((1, 0, 1), 5), ((2, 0, 0), 6), ((2, 0, 1), 7)];
        votes.committees(1, 2, &members);
        votes
    }

    #[test]
    fn a_vote_counts_once_and_only_where_somebody_sits() {
        // One vote twice; a bit beyond the committee; a slot of which nothing is known.
        let mut votes = votes();
        assert_eq!(votes.participation(1, 2), Some(0.0));
        votes.block(&block(2, 0, vec![attestation(1, &[true, false, true], 0, 0, 1)]));
        votes.block(&block(3, 0, vec![attestation(1, &[true, false], 0, 0, 1)]));
        votes.block(&block(4, 0, vec![attestation(9, &[true], 0, 0, 1)]));
        assert_eq!(votes.participation(1, 2), Some(0.25));
        assert_eq!(votes.participation(1, 1), Some(0.5));
        assert_eq!((votes.participation(5, 9), votes.blocks(), votes.slashable()), (None, 3, 0));
    }

    #[test]
    fn double_votes_surrounding_votes_and_double_blocks_are_slashable() {
        // The same member votes in both slots after the committees moved; each pair once.
        let mut votes = Votes::default();
        votes.committees(1, 3, &[((1, 0, 0), 4), ((2, 0, 0), 4), ((3, 0, 0), 4)]);
        votes.block(&block(4, 0, vec![attestation(1, &[true], 1, 2, 1)]));
        assert_eq!(votes.slashable(), 0);
        votes.block(&block(5, 0, vec![attestation(2, &[true], 1, 2, 2)]));
        assert_eq!(votes.slashable(), 1, "a double vote");
        votes.block(&block(6, 0, vec![attestation(3, &[true], 0, 3, 1)]));
        assert_eq!(votes.slashable(), 3, "it surrounds both");
        votes.block(&block(6, 0, vec![]));
        assert_eq!(votes.slashable(), 4, "two blocks of one proposer in a slot");
        votes.block(&block(6, 1, vec![]));
        assert_eq!(votes.slashable(), 4, "another proposer's");
    }
}
