//! Votes of a payload-timeliness committee, and what is kept of them: by the fork choice for each
//! block, and in a pool for the block that follows.
//!
//! **Contract.** A committee has places, and a validator may hold several. A vote counts at each of
//! them. What a place says of a block is its last vote.
//!
//! - V1 A block's lists are as long as its committee. A block that nobody has voted on has none,
//!   which says the same as lists without a vote.
//! - V2 A list has a majority for an answer if more than half of its places give that answer. Both
//!   questions are answered "no" unless this node has verified the payload itself.
//! - V3 The pool holds what was verified for the clock's slot and the one before it, in at most
//!   [`GROUPS`] groups of equal data. At each place of a group there is one vote.
//!
//! Reference: consensus specification 1.7.0-alpha.13, `gloas/fork-choice.md`, "Store",
//! "payload_timeliness", "payload_data_availability"; `gloas/beacon-chain.md`,
//! "process_payload_attestation".

use std::collections::BTreeMap;

use crate::consensus::{Consensus, Slot, ValidatorIndex};
use crate::identified::Identified;

/// Groups of equal data that the pool holds, at most: for two slots, sixteen blocks each with the
/// four answers that there are. Beyond that, the vote that would begin a group is not held.
pub const GROUPS: usize = 128;

/// What a vote says of a block's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadData<R> {
    /// The slot that the voter was assigned to.
    pub slot: Slot,
    /// Root of the block.
    pub block: R,
    /// Whether the voter saw the payload in time.
    pub present: bool,
    /// Whether the payload's blobs were available to the voter.
    pub available: bool,
}

/// What the gossip conditions ask of a vote without a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PayloadVoteHeader<R> {
    /// `hash_tree_root` of the whole message, signature included.
    pub id: R,
    /// What is said.
    pub data: PayloadData<R>,
    /// Who says it, unverified.
    pub validator: ValidatorIndex,
}

/// A vote with its [`PayloadVoteHeader`].
pub type IdentifiedPayloadVote<C> =
    Identified<<C as Consensus>::PayloadVote, PayloadVoteHeader<<C as Consensus>::Root>>;

/// The places of a committee that a voter holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Places {
    /// How many places the committee has.
    pub committee: usize,
    /// Those that the voter holds, ascending; at least one.
    pub held: Vec<usize>,
}

/// What the places of a committee last said of a block's payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlaceVotes {
    timely: Vec<Option<bool>>,
    available: Vec<Option<bool>>,
}

impl PlaceVotes {
    /// Returns lists of so many places, none of which has voted.
    #[must_use]
    pub fn new(committee: usize) -> Self {
        Self { timely: vec![None; committee], available: vec![None; committee] }
    }

    /// Returns what each place said of whether the payload was there in time.
    #[must_use]
    pub fn timely(&self) -> &[Option<bool>] {
        &self.timely
    }

    /// Returns what each place said of whether the payload's blobs are available.
    #[must_use]
    pub fn available(&self) -> &[Option<bool>] {
        &self.available
    }

    /// Counts a vote at each of `places`; one beyond the committee changes nothing.
    pub fn set(&mut self, places: &[usize], timely: bool, available: bool) {
        for place in places {
            if let (Some(one), Some(other)) =
                (self.timely.get_mut(*place), self.available.get_mut(*place))
            {
                (*one, *other) = (Some(timely), Some(available));
            }
        }
    }

    /// Returns whether more than half of the places say `timely` of the payload.
    #[must_use]
    pub fn is_timely(&self, timely: bool) -> bool {
        is_majority(&self.timely, timely)
    }

    /// Returns whether more than half of the places say `available` of the payload's blobs.
    #[must_use]
    pub fn is_available(&self, available: bool) -> bool {
        is_majority(&self.available, available)
    }
}

fn is_majority(votes: &[Option<bool>], said: bool) -> bool {
    votes.iter().filter(|vote| **vote == Some(said)).count() > votes.len() / 2
}

/// Votes that say the same, by the places that cast them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PayloadGroup<C: Consensus> {
    /// What they say.
    pub data: PayloadData<C::Root>,
    /// How many places the committee has.
    pub committee: usize,
    /// The vote of each place, ascending. A voter with several places is there several times.
    pub votes: Vec<(usize, C::PayloadVote)>,
}

/// The votes of one group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held<V> {
    committee: usize,
    places: BTreeMap<usize, V>,
}

/// The pool; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PayloadPool<C: Consensus> {
    groups: BTreeMap<PayloadData<C::Root>, Held<C::PayloadVote>>,
}

impl<C: Consensus> Default for PayloadPool<C> {
    fn default() -> Self {
        Self { groups: BTreeMap::new() }
    }
}

impl<C: Consensus> PayloadPool<C> {
    /// Takes a verified vote. Returns whether it is held now: not if the pool has as many groups as
    /// it may, nor if the places of its group have voted.
    pub fn insert(
        &mut self,
        data: PayloadData<C::Root>,
        places: &Places,
        vote: &C::PayloadVote,
    ) -> bool {
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&data) {
            return false;
        }
        let new = || Held { committee: places.committee, places: BTreeMap::new() };
        let group = self.groups.entry(data).or_insert_with(new);
        let before = group.places.len();
        for place in places.held.iter().filter(|place| **place < places.committee) {
            group.places.entry(*place).or_insert_with(|| vote.clone());
        }
        group.places.len() > before
    }

    /// Drops what no block after the clock's `slot` may carry: what is of two slots before it.
    pub fn tick(&mut self, slot: Slot) {
        let oldest = slot.saturating_sub(1);
        self.groups.retain(|data, _| data.slot >= oldest);
    }

    /// Returns what is held, by slot and block. It costs a clone of each vote.
    #[must_use]
    pub fn held(&self) -> Vec<PayloadGroup<C>> {
        let group = |(data, held): (&PayloadData<C::Root>, &Held<C::PayloadVote>)| PayloadGroup {
            data: *data,
            committee: held.committee,
            votes: held.places.iter().map(|(place, vote)| (*place, vote.clone())).collect(),
        };
        self.groups.iter().map(group).collect()
    }
}

/// Returns the groups that a block of `slot` on `parent` may carry: those of its parent and of the
/// slot before its own, the most places first, and at most `max`.
#[must_use]
pub fn pack<C: Consensus>(
    groups: Vec<PayloadGroup<C>>,
    parent: C::Root,
    slot: Slot,
    max: usize,
) -> Vec<PayloadGroup<C>> {
    let fits = |group: &PayloadGroup<C>| {
        group.data.block == parent && group.data.slot.checked_add(1) == Some(slot)
    };
    let mut groups: Vec<_> = groups.into_iter().filter(fits).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.votes.len()));
    groups.truncate(max);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Toy, ToyPayloadVote};

    fn vote(block: u8, slot: Slot, validator: ValidatorIndex) -> ToyPayloadVote {
        ToyPayloadVote {
            id: 0,
            slot,
            block,
            validator,
            present: true,
            available: true,
            valid: true,
        }
    }

    fn data(block: u8, slot: Slot, present: bool) -> PayloadData<u8> {
        PayloadData { slot, block, present, available: true }
    }

    fn at(held: &[usize]) -> Places {
        Places { committee: 4, held: held.to_vec() }
    }

    #[test]
    fn half_of_the_places_are_no_majority_and_one_more_is() {
        // The committee of the minimal preset: 16 places, more than 8 are needed.
        let mut votes = PlaceVotes::new(16);
        votes.set(&(0..8).collect::<Vec<_>>(), true, false);
        assert!(!votes.is_timely(true) && !votes.is_available(false));
        votes.set(&[8], true, false);
        assert!(votes.is_timely(true) && votes.is_available(false));
        assert!(!votes.is_timely(false) && !votes.is_available(true));
        // A later vote takes the place of the one before; a place beyond the committee is none.
        votes.set(&[8, 16], false, true);
        assert!(!votes.is_timely(true));
        assert_eq!((votes.timely().len(), votes.available()[8]), (16, Some(true)));
    }

    #[test]
    fn equal_votes_are_one_group_with_one_vote_for_each_place() {
        // A voter with two places, one with one, a copy, and another answer.
        let mut pool = PayloadPool::<Toy>::default();
        assert!(pool.insert(data(1, 5, true), &at(&[0, 3]), &vote(1, 5, 7)));
        assert!(pool.insert(data(1, 5, true), &at(&[1]), &vote(1, 5, 8)));
        assert!(!pool.insert(data(1, 5, true), &at(&[1]), &vote(1, 5, 8)));
        assert!(pool.insert(data(1, 5, false), &at(&[2]), &vote(1, 5, 9)));
        assert!(!pool.insert(data(1, 5, false), &at(&[4]), &vote(1, 5, 9)), "there are four");
        let held = pool.held();
        let places = |group: &PayloadGroup<Toy>| {
            group.votes.iter().map(|(place, vote)| (*place, vote.validator)).collect::<Vec<_>>()
        };
        assert_eq!(
            held.iter().map(places).collect::<Vec<_>>(),
            [vec![(2, 9)], vec![(0, 7), (1, 8), (3, 7)]]
        );
    }

    #[test]
    fn the_pool_is_bounded_and_forgets_what_no_block_may_carry() {
        // One group more than there is room for; then two slots pass.
        let mut pool = PayloadPool::<Toy>::default();
        for block in 0..=GROUPS {
            let block = u8::try_from(block).unwrap();
            let taken = pool.insert(data(block, 5, true), &at(&[0]), &vote(block, 5, 7));
            assert_eq!(taken, usize::from(block) < GROUPS, "{block}");
        }
        pool.tick(6);
        assert_eq!(pool.held().len(), GROUPS);
        pool.tick(7);
        assert_eq!(pool, PayloadPool::default());
    }

    #[test]
    fn a_block_carries_the_largest_groups_of_its_parent_alone() {
        // Five answers of one block, which there cannot be, one of another block, one of another
        // slot; and room for four.
        let group = |block, slot, size: usize| PayloadGroup::<Toy> {
            data: data(block, slot, true),
            committee: 8,
            votes: (0..size).map(|place| (place, vote(block, slot, 0))).collect(),
        };
        let mut groups: Vec<_> = [2, 5, 1, 4, 3].map(|size| group(1, 5, size)).into();
        groups.extend([group(2, 5, 8), group(1, 4, 8)]);
        let sizes = |slot| {
            let packed = pack(groups.clone(), 1, slot, 4);
            packed.iter().map(|group| group.votes.len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(6), [5, 4, 3, 2]);
        assert_eq!(sizes(7), [0; 0]);
        assert_eq!(sizes(0), [0; 0]);
    }
}
