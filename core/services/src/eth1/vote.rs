//! The vote on the deposit contract.
//!
//! Reference: consensus specification, `phase0/validator.md`, "get_eth1_vote".

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::machine::Followed;

/// The values of a state that a proposer's vote depends on. `D` is the chain's view of the contract
/// (`Eth1Data`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VotingState<D> {
    /// When the voting period began, in seconds since the Unix epoch
    /// (`voting_period_start_time`).
    pub period_start: u64,
    /// The state's `eth1_data`.
    pub eth1_data: D,
    /// `eth1_data.deposit_count`.
    pub deposit_count: u64,
    /// The state's `eth1_data_votes`, in their order.
    pub votes: Vec<D>,
}

/// Which blocks may be voted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// `SECONDS_PER_ETH1_BLOCK * ETH1_FOLLOW_DISTANCE`.
    pub distance_seconds: u64,
}

impl Candidates {
    /// Whether a block may be voted for in the period that began then (`is_candidate_block`), and
    /// has as many deposits as the chain has voted for.
    pub fn admit<H, D>(&self, block: &Followed<H>, state: &VotingState<D>) -> bool {
        let (timestamp, start) = (block.header.timestamp, state.period_start);
        let newest = timestamp.saturating_add(self.distance_seconds);
        let oldest = newest.saturating_add(self.distance_seconds);
        newest <= start && oldest >= start && block.deposits >= state.deposit_count
    }
}

/// Returns the vote of a proposer: of the state's votes that are `considered`, the most frequent,
/// the earliest of those that are equally frequent; else the last that is considered; else the
/// state's own view. `considered` are the candidates' views, oldest first.
///
/// Takes as many steps as there are votes and candidates.
pub fn get_eth1_vote<D: Clone + Eq + Hash>(considered: &[D], state: &VotingState<D>) -> D {
    let known: HashSet<&D> = considered.iter().collect();
    let mut count: HashMap<&D, (usize, usize)> = HashMap::new();
    for (place, vote) in state.votes.iter().enumerate().filter(|(_, vote)| known.contains(vote)) {
        count.entry(vote).or_insert((0, place)).0 += 1;
    }
    let most = count.into_iter().max_by(|(_, (votes, place)), (_, (other, other_place))| {
        votes.cmp(other).then(other_place.cmp(place))
    });
    let default = || considered.last().unwrap_or(&state.eth1_data);
    most.map_or_else(default, |(vote, _)| vote).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eth1::BlockHeader;

    fn state(votes: &[u8]) -> VotingState<u8> {
        VotingState { period_start: 1_000, eth1_data: 0, deposit_count: 5, votes: votes.to_vec() }
    }

    #[test]
    fn the_most_frequent_vote_for_a_candidate_wins_and_the_earliest_of_equals() {
        // Votes for what is no candidate do not count, however many.
        let vote = |considered: &[u8], votes: &[u8]| get_eth1_vote(considered, &state(votes));
        assert_eq!(vote(&[1, 2, 3], &[9, 9, 9, 2, 1, 2]), 2);
        assert_eq!(vote(&[1, 2, 3], &[1, 2, 2]), 2);
        assert_eq!(vote(&[1, 2, 3], &[2, 1, 1, 2]), 2);
        assert_eq!(vote(&[1, 2, 3], &[1, 2, 2, 1]), 1);
    }

    #[test]
    fn without_such_a_vote_the_last_candidate_and_without_one_the_state_is_repeated() {
        // No votes, votes for others, and no candidates at all.
        assert_eq!(get_eth1_vote(&[1, 2, 3], &state(&[])), 3);
        assert_eq!(get_eth1_vote(&[1, 2, 3], &state(&[8, 9])), 3);
        assert_eq!(get_eth1_vote(&[], &state(&[8, 9])), 0);
    }

    #[test]
    fn a_candidate_is_one_to_two_follow_distances_old_and_loses_no_deposit() {
        // Each bound, and one beyond it.
        let candidates = Candidates { distance_seconds: 100 };
        let admits = |timestamp, deposits| {
            let header = BlockHeader { number: 1, hash: 1, parent: 0, timestamp };
            candidates.admit(&Followed { header, deposits }, &state(&[]))
        };
        assert!(admits(900, 5) && !admits(901, 5));
        assert!(admits(800, 5) && !admits(799, 5));
        assert!(admits(850, 6) && !admits(850, 4));
        assert!(!admits(u64::MAX, 5));
    }
}
