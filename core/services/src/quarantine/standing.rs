//! What the Quarantine thinks of each peer, from the verdicts on what the peer sent. A peer's
//! standing decides its share; it never decides a verdict.
//!
//! **Rules.**
//! - P1 A peer that is not on record has standing 0. A peer is *proven* while its standing is above
//!   0: it takes one item that was accepted and is to be passed on.
//! - P2 Such an item is worth one point, up to [`BEST`]. A rejected one takes all that is above
//!   0 and [`JUNK`] points more, down to [`WORST`]. So one rejected item undoes every proof.
//! - P3 A standing below 0 rises by one point in a slot. A clock that steps back changes nothing;
//!   but if it does so by more than the slots in which the worst standing is mended, it was wrong
//!   before, and every standing counts as changed in the slot that it now tells.
//! - P4 At most `capacity` peers are on record, and a quarter of that (rounded down) is kept for
//!   peers that are not proven. Room for a peer that is not proven is made by forgetting another
//!   such peer, the one that was changed first; it never takes the place of a proven peer. Room for
//!   a proven peer is made in the same way as long as fewer than three quarters are proven, and
//!   else by forgetting the proven peer that was changed first. A forgotten peer has standing 0. So
//!   neither a flood of names nor a flood of proofs gives a share back to all that were rejected.
//! - P5 The node may give a peer a weight from 1 to [`MAX_WEIGHT`], by which its share is
//!   multiplied; a peer without one has weight 1. At most `capacity` weights are kept; beyond that
//!   the one that was given first is forgotten. A weight proves nobody, and no verdict changes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::consensus::Slot;

/// The best standing.
pub(super) const BEST: i8 = 16;
/// What a rejected item costs.
pub(super) const JUNK: i8 = 8;
/// The worst standing.
pub(super) const WORST: i8 = -64;

/// The share of a proven peer of weight 1, in the units of [`Standings::share`].
pub(super) const FULL_SHARE: u64 = 64;
/// The largest weight that a node gives a peer.
pub const MAX_WEIGHT: u8 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Standing {
    points: i8,
    since: Slot,
}

/// The peers' standings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Standings {
    capacity: usize,
    slot: Slot,
    peers: BTreeMap<u64, Standing>,
    /// The number of proven peers among them.
    proofs: usize,
    /// The same peers by whether they are proven, and by the slot of their last change.
    order: BTreeSet<(bool, Slot, u64)>,
    /// The weights above 1 that the node has given, and their peers in the order in which they were
    /// given (P5).
    weights: BTreeMap<u64, u8>,
    weighed: VecDeque<u64>,
}

impl Standings {
    /// Returns an empty record of at most `capacity` peers.
    pub(super) fn new(capacity: usize, slot: Slot) -> Self {
        let (peers, order) = (BTreeMap::new(), BTreeSet::new());
        let (weights, weighed) = (BTreeMap::new(), VecDeque::new());
        Self { capacity, slot, peers, proofs: 0, order, weights, weighed }
    }

    /// Takes note of the time.
    pub(super) fn tick(&mut self, slot: Slot) {
        let mends = u64::from(WORST.unsigned_abs());
        if slot.saturating_add(mends) < self.slot {
            self.peers.values_mut().for_each(|standing| standing.since = slot);
            let order = std::mem::take(&mut self.order);
            self.order = order.into_iter().map(|(proven, _, peer)| (proven, slot, peer)).collect();
            self.slot = slot;
        }
        self.slot = self.slot.max(slot);
    }

    /// Returns the points of a peer.
    pub(super) fn points(&self, peer: u64) -> i8 {
        let Some(standing) = self.peers.get(&peer) else { return 0 };
        if standing.points >= 0 {
            return standing.points;
        }
        let risen = i64::from(standing.points)
            .saturating_add_unsigned(self.slot.saturating_sub(standing.since));
        i8::try_from(risen.min(0)).unwrap_or(0)
    }

    /// Returns whether a peer is proven (P1).
    pub(super) fn is_proven(&self, peer: u64) -> bool {
        self.points(peer) > 0
    }

    /// Returns 1 for a proven peer, 0 at standing 0, and -1 below.
    pub(super) fn rank(&self, peer: u64) -> i8 {
        self.points(peer).signum()
    }

    /// Returns the proven peers.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn proven(&self) -> impl Iterator<Item = u64> {
        self.peers.keys().copied().filter(|peer| self.is_proven(*peer))
    }

    /// Returns the share of a peer: [`FULL_SHARE`] for a proven one, an eighth of that at standing
    /// 0, and half of it less for each 16 points below 0; all this times the weight that the node
    /// has given the peer (P5).
    pub(super) fn share(&self, peer: u64) -> u64 {
        let share = match self.points(peer) {
            1.. => FULL_SHARE,
            points => (FULL_SHARE / 8) >> (points.unsigned_abs() / 16).min(3),
        };
        share * u64::from(self.weights.get(&peer).copied().unwrap_or(1))
    }

    /// Gives a peer a weight; one outside of the bounds is read as the bound (P5). The cost is
    /// linear in the number of weights that are kept.
    pub(super) fn weigh(&mut self, peer: u64, weight: u8) {
        let weight = weight.clamp(1, MAX_WEIGHT);
        if self.weights.remove(&peer).is_some() {
            self.weighed.retain(|other| *other != peer);
        }
        if weight == 1 {
            return;
        }
        self.weights.insert(peer, weight);
        self.weighed.push_back(peer);
        if self.weighed.len() > self.capacity
            && let Some(first) = self.weighed.pop_front()
        {
            self.weights.remove(&first);
        }
    }

    /// Notes that an item of the peer was accepted to be passed on.
    pub(super) fn accepted(&mut self, peer: u64) {
        let points = self.points(peer);
        self.set(peer, points.saturating_add(1).min(BEST));
    }

    /// Notes that an item of the peer was rejected.
    pub(super) fn rejected(&mut self, peer: u64) {
        let points = self.points(peer).min(0);
        self.set(peer, points.saturating_sub(JUNK).max(WORST));
    }

    fn set(&mut self, peer: u64, points: i8) {
        let proven = points > 0;
        self.forget(peer);
        if let Some(other) = self.gives_way_to(proven) {
            self.forget(other);
        }
        if self.peers.len() < self.capacity {
            self.peers.insert(peer, Standing { points, since: self.slot });
            self.order.insert((proven, self.slot, peer));
            self.proofs += usize::from(proven);
        }
    }

    /// Returns the peer that has to be forgotten before another is taken on record (P4).
    fn gives_way_to(&self, proven: bool) -> Option<u64> {
        let first = |proven| {
            let mut from = self.order.range((proven, 0, 0)..).take_while(|key| key.0 == proven);
            from.next().map(|(.., peer)| *peer)
        };
        match proven {
            true if self.proofs >= self.capacity - self.capacity / 4 => first(true),
            _ if self.peers.len() >= self.capacity => first(false),
            _ => None,
        }
    }

    fn forget(&mut self, peer: u64) {
        let Some(old) = self.peers.remove(&peer) else { return };
        self.order.remove(&(old.points > 0, old.since, peer));
        self.proofs -= usize::from(old.points > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::{BEST, FULL_SHARE, MAX_WEIGHT, Standings, WORST};

    #[test]
    fn one_accepted_item_proves_a_peer_and_one_rejected_item_undoes_it() {
        // The best standing there is falls below 0 by one rejected item.
        let mut peers = Standings::new(4, 0);
        assert!(!peers.is_proven(7));
        for _ in 0..100 {
            peers.accepted(7);
        }
        assert_eq!((peers.points(7), peers.share(7)), (BEST, FULL_SHARE));
        assert_eq!(peers.proven().collect::<Vec<_>>(), [7]);
        peers.rejected(7);
        assert!(!peers.is_proven(7));
        assert_eq!(peers.proven().count(), 0);
        assert_eq!(peers.points(7), -8);
    }

    #[test]
    fn a_standing_sinks_with_each_rejected_item_and_rises_with_the_slots() {
        // To the worst, then half of it back in 32 slots; a clock that steps back gives nothing.
        let mut peers = Standings::new(4, 10);
        let mut shares = Vec::new();
        for _ in 0..9 {
            peers.rejected(7);
            shares.push(peers.share(7));
        }
        assert_eq!(shares, [8, 4, 4, 2, 2, 1, 1, 1, 1]);
        assert_eq!(peers.points(7), WORST);
        peers.tick(42);
        assert_eq!(peers.points(7), WORST + 32);
        peers.tick(9);
        assert_eq!(peers.points(7), WORST + 32);
        peers.tick(u64::MAX);
        assert_eq!(peers.points(7), 0);
        // By 64 slots it may have been right.
        let mut right = peers.clone();
        right.tick(u64::MAX - 64);
        assert_eq!(right.points(7), 0);
        right.tick(u64::MAX - 63);
        assert_eq!(right.points(7), 0);
        // It was wrong by more than 64 slots, so what the last slots had mended is not there yet.
        peers.tick(50);
        assert_eq!(peers.points(7), WORST);
        peers.tick(60);
        assert_eq!(peers.points(7), WORST + 10);
        peers.rejected(7);
        assert_eq!((peers.points(7), peers.peers.len(), peers.order.len()), (WORST + 2, 1, 1));
    }

    #[test]
    fn a_flood_of_names_forgets_no_proven_peer() {
        // Room for two: the proven one stays, whoever misbehaves; the older junk gives way.
        let mut peers = Standings::new(2, 0);
        peers.accepted(1);
        for name in 100..200 {
            peers.rejected(name);
        }
        assert!(peers.is_proven(1));
        assert_eq!((peers.points(198), peers.points(199)), (0, -8));
        // A second proof takes the place of the junk, and then nobody without proof gets in.
        peers.accepted(2);
        peers.rejected(3);
        assert_eq!([1, 2, 3].map(|peer| peers.points(peer)), [1, 1, 0]);
        // A third proof takes the place of the proof that is older.
        peers.tick(1);
        peers.accepted(1);
        peers.accepted(4);
        assert_eq!([1, 2, 4].map(|peer| peers.points(peer)), [2, 0, 1]);
    }

    #[test]
    fn a_flood_of_proofs_leaves_a_quarter_to_the_rejected() {
        // Room for eight, of which two are kept: the peers that were rejected last stay on record
        // beside any number of proofs, and the proofs beside any number of rejected peers.
        let mut peers = Standings::new(8, 0);
        for peer in 0..8 {
            peers.rejected(peer);
        }
        for peer in 100..200 {
            peers.accepted(peer);
        }
        assert_eq!([5, 6, 7].map(|peer| peers.points(peer)), [0, -8, -8]);
        assert_eq!(peers.proven().collect::<Vec<_>>(), [194, 195, 196, 197, 198, 199]);
        for peer in 200..300 {
            peers.rejected(peer);
        }
        assert_eq!([297, 298, 299].map(|peer| peers.points(peer)), [0, -8, -8]);
        assert_eq!(peers.proven().count(), 6);
        // A proof that is undone leaves its room to the next proof.
        peers.tick(1);
        peers.rejected(199);
        peers.accepted(1);
        assert!([1, 194, 198].iter().all(|peer| peers.is_proven(*peer)));
        assert_eq!((peers.points(298), peers.points(299), peers.points(199)), (0, -7, -8));
    }

    #[test]
    fn a_peer_that_has_risen_to_nothing_is_not_proven_and_may_be_later() {
        // Room for two: peer 1 is rejected, and accepted once the slots have mended that; peer 2 is
        // proven. Peer 1 gives way to a third, unless it was proven meanwhile.
        let mut peers = Standings::new(2, 0);
        peers.rejected(1);
        peers.tick(7);
        peers.accepted(1);
        peers.accepted(2);
        assert_eq!([1, 2].map(|peer| peers.points(peer)), [0, 1]);
        let mut early = peers.clone();
        early.rejected(3);
        assert_eq!([1, 2, 3].map(|peer| early.points(peer)), [0, 1, -8]);
        peers.tick(8);
        peers.accepted(1);
        peers.rejected(3);
        assert_eq!([1, 2, 3].map(|peer| peers.points(peer)), [1, 1, 0]);
    }

    #[test]
    fn a_weight_multiplies_the_share_and_is_bounded_by_value_and_by_number() {
        // Room for two weights. Below 1 and above the largest, the bound counts; the weight that
        // was given first gives way to a third, and one that is given anew is the newest.
        let mut peers = Standings::new(2, 0);
        peers.accepted(1);
        for (weight, share) in [(2, 2), (0, 1), (3, 3), (u8::MAX, u64::from(MAX_WEIGHT))] {
            peers.weigh(1, weight);
            assert_eq!(peers.share(1), share * FULL_SHARE);
        }
        assert!(peers.is_proven(1));
        peers.weigh(2, 4);
        assert_eq!((peers.share(2), peers.is_proven(2)), (4 * FULL_SHARE / 8, false));
        peers.weigh(1, 5);
        peers.weigh(3, 6);
        assert_eq!([1, 2, 3].map(|peer| peers.share(peer)), [5 * 64, 8, 6 * 8]);
        // A weight of 1 is none, so it takes no room.
        peers.weigh(1, 1);
        peers.weigh(2, 7);
        assert_eq!([1, 2, 3].map(|peer| peers.share(peer)), [64, 7 * 8, 6 * 8]);
    }
}
