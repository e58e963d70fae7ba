//! What is known of a key: records and watermarks, and the forgetting of records (invariants I4 to
//! I6 of the module).

use crate::consensus::{Epoch, Slot};

/// The root of what is signed: an object and its domain.
pub type SigningRoot = [u8; 32];

/// The largest slot or epoch that is ever recorded. Stores keep signed numbers of 64 bits.
pub const MAX_NUMBER: u64 = i64::MAX as u64;

/// A block that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// Its slot.
    pub slot: Slot,
    /// What was signed. `None` if that is not known, or if there was more than one.
    pub signing_root: Option<SigningRoot>,
}

/// An attestation that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// The epoch of its source.
    pub source: Epoch,
    /// The epoch of its target.
    pub target: Epoch,
    /// What was signed. `None` if that is not known, or if there was more than one.
    pub signing_root: Option<SigningRoot>,
}

/// Bounds below which nothing is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Watermarks {
    /// No block at or below this slot is signed, but those on record.
    pub slot: Option<Slot>,
    /// No attestation with a source below the first number is signed, nor one with a target at or
    /// below the second, but those on record.
    pub vote: Option<(Epoch, Epoch)>,
}

impl Watermarks {
    /// Raises the slot; it never goes down (I3).
    pub(super) fn raise_slot(&mut self, slot: Slot) {
        self.slot = Some(self.slot.map_or(slot, |old| old.max(slot)));
    }

    /// Raises source and target; they never go down (I3).
    pub(super) fn raise_vote(&mut self, source: Epoch, target: Epoch) {
        let (old_source, old_target) = self.vote.unwrap_or((source, target));
        self.vote = Some((old_source.max(source), old_target.max(target)));
    }
}

/// The messages of one key, as a file of EIP-3076 has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The blocks, in any order.
    pub blocks: Vec<Block>,
    /// The attestations, in any order.
    pub attestations: Vec<Vote>,
}

impl Records {
    /// Returns the watermarks that refuse everything up to the newest of these messages.
    pub(super) fn newest(&self) -> Watermarks {
        let mut newest = Watermarks::default();
        self.blocks.iter().for_each(|block| newest.raise_slot(block.slot));
        self.attestations.iter().for_each(|vote| newest.raise_vote(vote.source, vote.target));
        newest
    }

    /// Returns the least numbers of these messages: EIP-3076's bounds for what may follow them.
    pub(super) fn least(&self) -> Watermarks {
        let slot = self.blocks.iter().map(|block| block.slot).min();
        let source = self.attestations.iter().map(|vote| vote.source).min();
        let target = self.attestations.iter().map(|vote| vote.target).min();
        Watermarks { slot, vote: source.zip(target) }
    }

    /// Returns the attestations, the oldest target first, those of one target in the order in which
    /// they are here. Each comes with whether it contradicts no other one. Of two sources of one
    /// target, neither stands alone.
    pub(super) fn by_target(&self) -> Vec<(Vote, bool)> {
        let mut votes: Vec<_> = self.attestations.iter().map(|vote| (*vote, true)).collect();
        votes.sort_by_key(|(vote, _)| vote.target);
        let mut newest = Epoch::MIN;
        for (vote, alone) in &mut votes {
            // An older source than one before it: it surrounds that one.
            *alone &= vote.source >= newest;
            newest = newest.max(vote.source);
        }
        let mut oldest = Epoch::MAX;
        for (vote, alone) in votes.iter_mut().rev() {
            // A newer source than one after it: it is surrounded by that one.
            *alone &= vote.source <= oldest;
            oldest = oldest.min(vote.source);
        }
        votes
    }
}

/// Joins what two sources say of the same message: a root stands only if both agree (I7).
pub(super) fn agreed(one: Option<SigningRoot>, other: Option<SigningRoot>) -> Option<SigningRoot> {
    one.filter(|_| one == other)
}

#[cfg(test)]
mod tests {
    use super::{Records, Vote};

    #[test]
    fn of_attestations_by_target_those_stand_alone_that_no_other_one_surrounds_or_is_within() {
        // From epoch 1 to 8 around 2 to 7, in both orders; and one beside each of them.
        let vote = |(source, target)| Vote { source, target, signing_root: None };
        for order in [[(1, 8), (2, 7), (2, 9), (0, 1)], [(0, 1), (2, 9), (2, 7), (1, 8)]] {
            let records = Records { attestations: order.map(vote).to_vec(), ..Records::default() };
            let sorted: Vec<_> = records.by_target().into_iter().collect();
            let told = sorted.iter().map(|(vote, alone)| (vote.source, vote.target, *alone));
            let expected = [(0, 1, true), (2, 7, false), (1, 8, false), (2, 9, true)];
            assert_eq!(told.collect::<Vec<_>>(), expected);
        }
    }
}
