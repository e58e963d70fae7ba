//! The record of votes and proposals, and the comparison; the contract is in the module above.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use crate::consensus::{Epoch, IndexedVote, Slot, ValidatorIndex, Vote};
use crate::machine::Machine;

/// Bounds of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Slots of an epoch; 0 is read as 1.
    pub slots_per_epoch: u64,
    /// Epochs before the finalised one that stay on record.
    pub epochs_behind_finality: u64,
    /// Target epochs on record for one validator; the oldest gives way.
    pub targets_per_validator: usize,
    /// Different votes for one target of a validator, and different proposals for one of its slots.
    pub items_per_key: usize,
}

impl Limits {
    /// Returns limits for a node: 8 epochs behind finality, 256 targets for each validator and 4
    /// items for each key. A recorded vote costs about 100 bytes for each validator that cast it.
    #[must_use]
    pub const fn new(slots_per_epoch: u64) -> Self {
        Self {
            slots_per_epoch,
            epochs_behind_finality: 8,
            targets_per_validator: 256,
            items_per_key: 4,
        }
    }
}

/// A verified item, or news of finality.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event<R> {
    /// An attestation, from the network or from a block.
    Attestation(IndexedVote<R>),
    /// A block whose proposer's signature was verified.
    Proposal {
        /// The block's slot.
        slot: Slot,
        /// Its proposer.
        proposer: ValidatorIndex,
        /// Its root.
        root: R,
    },
    /// An epoch was finalised.
    Finalized {
        /// The finalised epoch.
        epoch: Epoch,
    },
}

/// An offence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect<R> {
    /// Two votes for one target epoch with different data.
    DoubleVote {
        /// Who cast both, ascending.
        validators: Vec<ValidatorIndex>,
        /// The vote that was on record.
        first: Vote<R>,
        /// The vote that came.
        second: Vote<R>,
    },
    /// One vote surrounds the other.
    SurroundVote {
        /// Who cast both, ascending.
        validators: Vec<ValidatorIndex>,
        /// The vote with the older source and the newer target.
        surrounding: Vote<R>,
        /// The vote between them.
        surrounded: Vote<R>,
    },
    /// Two blocks for one slot.
    DoubleProposal {
        /// Who proposed both.
        proposer: ValidatorIndex,
        /// The slot.
        slot: Slot,
        /// Root of the block that was on record.
        first: R,
        /// Root of the block that came.
        second: R,
    },
}

/// The votes of one validator by target epoch. Votes are shared between the validators that cast
/// them.
type Record<R> = BTreeMap<Epoch, Vec<Arc<Vote<R>>>>;

/// The detector; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlashingDetector<R> {
    limits: Limits,
    finalized_epoch: Epoch,
    votes: BTreeMap<ValidatorIndex, Record<R>>,
    proposals: BTreeMap<(Slot, ValidatorIndex), Vec<R>>,
    not_recorded: u64,
}

/// How a vote on record relates to one that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Relation {
    Double,
    Surrounds,
    Surrounded,
}

impl<R: Copy + Eq + Ord + Hash + Debug> SlashingDetector<R> {
    /// Returns a detector without any record.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: Limits { slots_per_epoch: limits.slots_per_epoch.max(1), ..limits },
            finalized_epoch: 0,
            votes: BTreeMap::new(),
            proposals: BTreeMap::new(),
            not_recorded: 0,
        }
    }

    /// Returns the number of items that were compared but not recorded, as the record was full
    /// (I2).
    pub fn not_recorded(&self) -> u64 {
        self.not_recorded
    }

    /// Returns the number of validators with a vote on record.
    pub fn validators(&self) -> usize {
        self.votes.len()
    }

    fn on_attestation(&mut self, indexed: IndexedVote<R>) -> Vec<Effect<R>> {
        let vote = Arc::new(indexed.vote);
        // No state admits a source after its target, and the search relies on it.
        if vote.target.epoch < self.oldest_epoch() || vote.source.epoch > vote.target.epoch {
            return Vec::new();
        }
        let mut offences: BTreeMap<(Relation, Arc<Vote<R>>), Vec<ValidatorIndex>> = BTreeMap::new();
        for &index in &indexed.indices {
            let record = self.votes.entry(index).or_default();
            let same_target = record.get(&vote.target.epoch).map_or(&[][..], Vec::as_slice);
            if same_target.iter().any(|known| same_data(known, &vote)) {
                continue;
            }
            let full = same_target.len() >= self.limits.items_per_key;
            if full {
                self.not_recorded = self.not_recorded.saturating_add(1);
                continue;
            }
            for (relation, known) in contradictions(record, &vote) {
                offences.entry((relation, known)).or_default().push(index);
            }
            record.entry(vote.target.epoch).or_default().push(Arc::clone(&vote));
            if record.len() > self.limits.targets_per_validator {
                record.pop_first();
            }
        }
        offences.into_iter().map(|(key, validators)| offence(key, validators, &vote)).collect()
    }

    fn on_proposal(&mut self, slot: Slot, proposer: ValidatorIndex, root: R) -> Vec<Effect<R>> {
        if slot / self.limits.slots_per_epoch < self.oldest_epoch() {
            return Vec::new();
        }
        let known = self.proposals.entry((slot, proposer)).or_default();
        if known.contains(&root) {
            return Vec::new();
        }
        if known.len() >= self.limits.items_per_key {
            self.not_recorded = self.not_recorded.saturating_add(1);
            return Vec::new();
        }
        let second = root;
        let offences = known
            .iter()
            .map(|&first| Effect::DoubleProposal { proposer, slot, first, second })
            .collect();
        known.push(root);
        offences
    }

    fn on_finalized(&mut self, epoch: Epoch) {
        self.finalized_epoch = self.finalized_epoch.max(epoch);
        let oldest = self.oldest_epoch();
        self.votes.retain(|_, record| {
            *record = record.split_off(&oldest);
            !record.is_empty()
        });
        let first_slot = oldest.saturating_mul(self.limits.slots_per_epoch);
        self.proposals = self.proposals.split_off(&(first_slot, 0));
    }

    /// Returns the oldest target epoch that is taken (I3).
    fn oldest_epoch(&self) -> Epoch {
        self.finalized_epoch.saturating_sub(self.limits.epochs_behind_finality)
    }
}

impl<R: Copy + Eq + Ord + Hash + Debug> Machine for SlashingDetector<R> {
    type Event = Event<R>;
    type Effect = Effect<R>;

    /// Takes one event and returns the offences that it completes. It costs, for each validator
    /// that voted, one visit per target epoch on record between the vote's source and target, and
    /// after its target.
    fn handle(&mut self, (): &(), event: Event<R>) -> Vec<Effect<R>> {
        match event {
            Event::Attestation(indexed) => self.on_attestation(indexed),
            Event::Proposal { slot, proposer, root } => self.on_proposal(slot, proposer, root),
            Event::Finalized { epoch } => {
                self.on_finalized(epoch);
                Vec::new()
            }
        }
    }
}

/// Returns whether two votes have the same `AttestationData`. A validator sits in one committee of
/// an epoch, so the committee's index follows from the slot.
fn same_data<R: Eq>(a: &Vote<R>, b: &Vote<R>) -> bool {
    (a.slot, &a.beacon_block_root, &a.source, &a.target)
        == (b.slot, &b.beacon_block_root, &b.source, &b.target)
}

/// Returns the votes on record that contradict `vote`, and how.
fn contradictions<R: Clone>(record: &Record<R>, vote: &Vote<R>) -> Vec<(Relation, Arc<Vote<R>>)> {
    let (source, target) = (vote.source.epoch, vote.target.epoch);
    let mut found: Vec<(Relation, Arc<Vote<R>>)> = Vec::new();
    for known in record.get(&target).into_iter().flatten() {
        found.push((Relation::Double, Arc::clone(known)));
    }
    // A surrounded vote has its target after its source, and so after this source.
    for known in record.range(source..target).flat_map(|(_, votes)| votes) {
        if source < known.source.epoch {
            found.push((Relation::Surrounded, Arc::clone(known)));
        }
    }
    let after = (std::ops::Bound::Excluded(target), std::ops::Bound::Unbounded);
    for known in record.range(after).flat_map(|(_, votes)| votes) {
        if known.source.epoch < source {
            found.push((Relation::Surrounds, Arc::clone(known)));
        }
    }
    found
}

/// Returns the offence of one group of validators with the same contradiction. The relation is that
/// of the vote on record to the one that came.
fn offence<R: Clone>(
    (relation, known): (Relation, Arc<Vote<R>>),
    mut validators: Vec<ValidatorIndex>,
    vote: &Vote<R>,
) -> Effect<R> {
    validators.sort_unstable();
    let (known, vote) = (Vote::clone(&known), vote.clone());
    match relation {
        Relation::Double => Effect::DoubleVote { validators, first: known, second: vote },
        Relation::Surrounds => {
            Effect::SurroundVote { validators, surrounding: known, surrounded: vote }
        }
        Relation::Surrounded => {
            Effect::SurroundVote { validators, surrounding: vote, surrounded: known }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use quickcheck::quickcheck;

    use super::*;
    use crate::consensus::Checkpoint;

    fn vote(root: u32, source: Epoch, target: Epoch) -> Vote<u32> {
        let checkpoint = |epoch| Checkpoint { epoch, root: 0 };
        Vote {
            id: root,
            slot: target.saturating_mul(8),
            beacon_block_root: root,
            source: checkpoint(source),
            target: checkpoint(target),
        }
    }

    fn cast(indices: &[u64], vote: Vote<u32>) -> Event<u32> {
        Event::Attestation(IndexedVote { vote, indices: indices.to_vec() })
    }

    fn detector() -> SlashingDetector<u32> {
        SlashingDetector::new(Limits::new(8))
    }

    #[test]
    fn a_double_vote_names_those_who_cast_both_and_only_once() {
        // 1 and 2 vote twice, 3 once; the second vote is seen again in another aggregate.
        let mut detector = detector();
        assert_eq!(detector.handle(&(), cast(&[1, 2], vote(7, 0, 1))), vec![]);
        let found = detector.handle(&(), cast(&[3, 2, 1], vote(9, 0, 1)));
        let (first, second) = (vote(7, 0, 1), vote(9, 0, 1));
        assert_eq!(found, vec![Effect::DoubleVote { validators: vec![1, 2], first, second }]);
        let again = Vote { id: 77, ..vote(9, 0, 1) };
        assert_eq!(detector.handle(&(), cast(&[1, 2, 3], again)), vec![]);
    }

    #[test]
    fn a_surround_vote_is_found_in_either_order() {
        // (2, 5) surrounds (3, 4), whichever comes first.
        let (outer, inner) = (vote(1, 2, 5), vote(2, 3, 4));
        for order in [[outer.clone(), inner.clone()], [inner.clone(), outer.clone()]] {
            let mut detector = detector();
            let found: Vec<_> = order
                .into_iter()
                .flat_map(|vote| detector.handle(&(), cast(&[47], vote)))
                .collect();
            let (surrounding, surrounded) = (outer.clone(), inner.clone());
            let expected = Effect::SurroundVote { validators: vec![47], surrounding, surrounded };
            assert_eq!(found, vec![expected]);
        }
    }

    #[test]
    fn honest_chains_of_votes_are_no_offence() {
        // Equal sources, and sources that move with the targets.
        let mut detector = detector();
        for (source, target) in [(0, 1), (0, 2), (1, 3), (1, 4), (3, 5)] {
            assert_eq!(detector.handle(&(), cast(&[0], vote(1, source, target))), vec![]);
        }
    }

    #[test]
    fn two_blocks_of_one_slot_are_reported_once_for_each_pair() {
        // Three roots make three pairs; a root seen again makes none; another proposer is another
        // matter.
        let mut detector = detector();
        let mut propose = |proposer, root| {
            detector.handle(&(), Event::Proposal { slot: 27, proposer, root }).len()
        };
        assert_eq!([propose(42, 1), propose(42, 1), propose(43, 2)], [0, 0, 0]);
        assert_eq!([propose(42, 2), propose(42, 2), propose(42, 3)], [1, 0, 2]);
    }

    #[test]
    fn what_is_far_behind_finality_is_forgotten() {
        // With one epoch behind finality kept, a vote of epoch 3 is gone once 5 is final, one of 4
        // is not.
        let limits = Limits { epochs_behind_finality: 1, ..Limits::new(8) };
        let mut detector = SlashingDetector::new(limits);
        detector.handle(&(), cast(&[0], vote(1, 2, 3)));
        detector.handle(&(), cast(&[1], vote(1, 3, 4)));
        detector.handle(&(), Event::Proposal { slot: 31, proposer: 0, root: 1 });
        detector.handle(&(), Event::Finalized { epoch: 5 });
        assert_eq!(detector.validators(), 1);
        assert_eq!(detector.handle(&(), cast(&[0], vote(2, 2, 3))), vec![]);
        assert_eq!(detector.handle(&(), cast(&[1], vote(2, 3, 4))).len(), 1);
        let late = Event::Proposal { slot: 31, proposer: 0, root: 2 };
        assert_eq!(detector.handle(&(), late), vec![]);
    }

    #[test]
    fn a_validator_cannot_fill_the_record() {
        // Ten different votes for one target, and votes for ten targets, with room for two of each.
        let limits = Limits { targets_per_validator: 2, items_per_key: 2, ..Limits::new(8) };
        let mut detector = SlashingDetector::new(limits);
        for root in 0..10 {
            detector.handle(&(), cast(&[0], vote(root, 0, 1)));
        }
        assert_eq!(detector.not_recorded(), 8);
        for target in 2..10 {
            detector.handle(&(), cast(&[0], vote(0, target - 1, target)));
        }
        let targets: Vec<Epoch> = detector.votes[&0].keys().copied().collect();
        assert_eq!(targets, vec![8, 9]);
    }

    quickcheck! {
        /// Against a comparison of every vote with every earlier one: same pairs, each once, no
        /// panic.
        fn every_contradicting_pair_is_found_once(votes: Vec<(u8, u8, u8)>) -> bool {
            let limits = Limits { items_per_key: usize::MAX, ..Limits::new(8) };
            let mut detector = SlashingDetector::new(limits);
            let (mut seen, mut expected) = (Vec::<Vote<u32>>::new(), BTreeSet::new());
            let mut found = Vec::new();
            for (root, source, target) in votes {
                let (source, target) = (u64::from(source % 8), u64::from(target % 8));
                let vote = vote(u32::from(root % 3), source.min(target), target);
                found.extend(detector.handle(&(), cast(&[0], vote.clone())));
                if seen.contains(&vote) {
                    continue;
                }
                for known in &seen {
                    let (a, b) = (known, &vote);
                    let around = |x: &Vote<u32>, y: &Vote<u32>| {
                        x.source.epoch < y.source.epoch && y.target.epoch < x.target.epoch
                    };
                    if a.target.epoch == b.target.epoch {
                        expected.insert((0, a.clone(), b.clone()));
                    } else if around(a, b) {
                        expected.insert((1, a.clone(), b.clone()));
                    } else if around(b, a) {
                        expected.insert((1, b.clone(), a.clone()));
                    }
                }
                seen.push(vote);
            }
            let count = found.len();
            let found: BTreeSet<_> = found.into_iter().map(|effect| match effect {
                Effect::DoubleVote { first, second, .. } => (0, first, second),
                Effect::SurroundVote { surrounding, surrounded, .. } => (1, surrounding, surrounded),
                Effect::DoubleProposal { .. } => unreachable!("no proposals were given"),
            }).collect();
            count == expected.len() && found == expected
        }
    }
}
