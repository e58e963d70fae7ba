//! Blocks of a proposer that has equivocated more than is kept: which of them are let in all the
//! same, since blocks build on them.
//!
//! Anyone can make items that wait for a block, so a proposer could use up what is kept for awaited
//! blocks, and a block of its that the others follow would be ignored until finality moves, which
//! it then may never do. So each peer may vouch for [`VOUCHED`] further blocks of a slot and
//! proposer, by a block of its own that waits for them. An honest peer passes on no block that it
//! has not checked, so a proposer needs the keys of as many others to use up what such a peer may
//! vouch for.
//!
//! **Invariants.**
//! - V1 `Builders` has, for each block, the owners of the blocks that wait for it, with how many
//!   each owns, and nothing else.
//! - V2 A peer vouches for at most [`VOUCHED`] blocks of a slot and proposer. Those that peers
//!   without proof vouch for are bounded in all, so a flood of names adds no more than that.

use std::collections::BTreeMap;

use super::fair::Peer;

/// How many blocks of one slot and proposer a peer may vouch for.
pub(super) const VOUCHED: usize = 4;

/// The owners of the blocks that wait for a block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Builders<R> {
    of: BTreeMap<R, BTreeMap<Peer, usize>>,
}

impl<R: Copy + Ord> Builders<R> {
    pub(super) fn new() -> Self {
        Self { of: BTreeMap::new() }
    }

    /// Notes that a block of `owner` begins to wait for its parent.
    pub(super) fn begin(&mut self, parent: R, owner: Peer) {
        *self.of.entry(parent).or_default().entry(owner).or_default() += 1;
    }

    /// Notes that a block of `owner` waits for its parent no more.
    pub(super) fn end(&mut self, parent: &R, owner: Peer) {
        let Some(owners) = self.of.get_mut(parent) else { return };
        if let Some(blocks) = owners.get_mut(&owner) {
            *blocks -= 1;
            if *blocks == 0 {
                owners.remove(&owner);
            }
        }
        if owners.is_empty() {
            self.of.remove(parent);
        }
    }

    /// Notes that nothing waits for a block any more.
    pub(super) fn forget(&mut self, parent: &R) {
        self.of.remove(parent);
    }

    /// Returns who owns a block that waits for this one.
    pub(super) fn of(&self, parent: &R) -> impl Iterator<Item = Peer> {
        self.of.get(parent).into_iter().flat_map(BTreeMap::keys).copied()
    }
}

/// What peers have vouched for, of one slot and proposer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Vouchers {
    by_peer: BTreeMap<Peer, usize>,
    /// How many of them were without proof then.
    unproven: usize,
}

impl Vouchers {
    /// Returns a peer that may vouch for one more: of the proven ones, or else of the others, the
    /// one that has vouched for the fewest. `builders` tells of each peer whether it is proven;
    /// `unproven` bounds what all peers without proof vouch for. The cost is linear in the number
    /// of builders.
    pub(super) fn next(
        &self,
        builders: impl Iterator<Item = (Peer, bool)>,
        unproven: usize,
    ) -> Option<(Peer, bool)> {
        builders
            .map(|(peer, proven)| (!proven, self.by_peer.get(&peer).copied().unwrap_or(0), peer))
            .filter(|(new, spent, _)| *spent < VOUCHED && (!new || self.unproven < unproven))
            .min()
            .map(|(new, _, peer)| (peer, !new))
    }

    /// Notes that a peer vouches for one more.
    pub(super) fn charge(&mut self, peer: Peer, proven: bool) {
        *self.by_peer.entry(peer).or_default() += 1;
        self.unproven += usize::from(!proven);
    }
}

#[cfg(test)]
mod tests {
    use super::{Builders, VOUCHED, Vouchers};

    #[test]
    fn a_peer_builds_on_a_block_until_the_last_of_its_blocks_waits_no_more() {
        // Two blocks of peer 7 and one of peer 8 wait for `a`.
        let mut builders = Builders::new();
        [7, 7, 8].iter().for_each(|peer| builders.begin('a', *peer));
        builders.end(&'a', 7);
        assert_eq!(builders.of(&'a').collect::<Vec<_>>(), [7, 8]);
        builders.end(&'a', 7);
        assert_eq!(builders.of(&'a').collect::<Vec<_>>(), [8]);
        let mut forgotten = builders.clone();
        builders.end(&'a', 8);
        forgotten.forget(&'a');
        assert_eq!([builders, forgotten], [(); 2].map(|()| Builders::new()));
    }

    #[test]
    fn each_proven_peer_vouches_for_a_few_and_all_others_together_for_a_bounded_number() {
        // Peers 1 to 3 without proof, of which all together may vouch for six; 8 and 9 are proven.
        let mut vouchers = Vouchers::default();
        let mut drawn = |peers: &[u64]| {
            let mut drawn = Vec::new();
            let builders = || peers.iter().map(|peer| (*peer, *peer >= 8));
            while let Some((peer, proven)) = vouchers.next(builders(), 6) {
                vouchers.charge(peer, proven);
                drawn.push(peer);
            }
            drawn
        };
        assert_eq!(drawn(&[1]), [1; VOUCHED]);
        assert_eq!(drawn(&[1, 2, 3]), [2, 3]);
        assert_eq!(drawn(&[1, 8, 9]), [8, 9, 8, 9, 8, 9, 8, 9]);
        assert_eq!(drawn(&[1, 2, 3, 8, 9]), []);
    }
}
