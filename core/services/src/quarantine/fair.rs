//! A queue of the items that are ready, which peers share fairly.
//!
//! It is a fair queue by start tags (Goyal, Vin, Cheng: "Start-time Fair Queueing", 1996), which
//! has the fairness of a deficit round robin and finds the next item in logarithmic time. Each
//! backlog has a tag in virtual time: when its next item may start. The lowest tag is served first.
//! A served item moves its peer's tag on by the item's cost over the peer's share.
//!
//! **Invariants.**
//! - F1 A backlog is in `heads` exactly once, by its tag, and it is never empty. A peer's items
//!   leave in the order of their numbers.
//! - F2 While two peers have a backlog, what each is served, divided by its share, differs by at
//!   most the cost of one item of each. So a peer waits for at most one item of each other peer of
//!   its share, however much they send. Of two peers with equal standings, one that the node has
//!   given weight 2 is served twice as much as one of weight 1.
//! - F3 A peer whose backlog is empty keeps its tag while that lies ahead of the virtual time. It
//!   gains nothing by sending one item at a time. At most `capacity` such tags are kept; the lowest
//!   are forgotten. When nothing is queued, all are forgotten, and the virtual time is 0 again.
//! - F4 A peer that may not be served at the moment is passed over. It saves nothing up by that: its
//!   next item starts at the virtual time of its service, not before.

use std::collections::{BTreeMap, BTreeSet};

use super::standing::FULL_SHARE;
use super::table::Number;

/// A peer, by the number that tells peers apart.
pub(super) type Peer = u64;

/// Virtual time: an item of cost 1 takes [`UNIT`] over its peer's share.
type Tag = u64;

/// Divisible by every share of a proven peer: a power of two times the least common multiple of the
/// weights that a node can give. So no peer gains by rounding.
pub(super) const UNIT: u64 = FULL_SHARE * 840;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Backlog {
    proven: bool,
    tag: Tag,
    /// The items, each with its cost.
    items: BTreeMap<Number, u64>,
}

/// The queue; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FairQueue {
    capacity: usize,
    now: Tag,
    backlogs: BTreeMap<Peer, Backlog>,
    /// Backlogs of proven peers, and of others: tag, first item, peer.
    heads: [BTreeSet<(Tag, Number, Peer)>; 2],
    /// Tags of peers without a backlog that lie ahead of `now`.
    ahead: BTreeMap<Peer, Tag>,
    ahead_order: BTreeSet<(Tag, Peer)>,
    len: usize,
}

impl FairQueue {
    /// Returns an empty queue that remembers the tags of at most `capacity` idle peers.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            now: 0,
            backlogs: BTreeMap::new(),
            heads: [BTreeSet::new(), BTreeSet::new()],
            ahead: BTreeMap::new(),
            ahead_order: BTreeSet::new(),
            len: 0,
        }
    }

    /// Returns whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many items are queued.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the virtual time, and the tags of the peers that have a backlog or a tag ahead of it.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn tags(&self) -> (Tag, BTreeMap<Peer, Tag>) {
        let queued = self.backlogs.iter().map(|(peer, backlog)| (*peer, backlog.tag));
        let ahead = self.ahead.iter().map(|(peer, tag)| (*peer, *tag));
        (self.now, ahead.filter(|(_, tag)| *tag > self.now).chain(queued).collect())
    }

    /// Queues an item of a peer; `cost` is at least 1.
    pub(super) fn push(&mut self, peer: Peer, proven: bool, number: Number, cost: u64) {
        let mut backlog = self.take(peer).unwrap_or_else(|| {
            let tag = self.ahead.remove(&peer).unwrap_or(0);
            self.ahead_order.remove(&(tag, peer));
            Backlog { proven, tag: tag.max(self.now), items: BTreeMap::new() }
        });
        backlog.proven = proven;
        if backlog.items.insert(number, cost.max(1)).is_none() {
            self.len += 1;
        }
        self.put(peer, backlog);
    }

    /// Takes an item out of a peer's backlog. Returns whether it was there.
    pub(super) fn remove(&mut self, peer: Peer, number: Number) -> bool {
        let Some(mut backlog) = self.take(peer) else { return false };
        let found = backlog.items.remove(&number).is_some();
        self.len -= usize::from(found);
        self.put(peer, backlog);
        found
    }

    /// Notes whether a peer is proven.
    pub(super) fn classify(&mut self, peer: Peer, proven: bool) {
        if self.backlogs.get(&peer).is_some_and(|backlog| backlog.proven != proven)
            && let Some(mut backlog) = self.take(peer)
        {
            backlog.proven = proven;
            self.put(peer, backlog);
        }
    }

    /// Takes the next item of a peer for which `may` holds. Only proven peers are served unless
    /// `others` says that the rest may be. Between equal tags a proven peer comes first. `share`
    /// tells a peer's share, at least 1. The cost is linear in the number of peers passed over.
    pub(super) fn pop(
        &mut self,
        others: bool,
        may: impl Fn(Peer) -> bool,
        share: impl Fn(Peer) -> u64,
    ) -> Option<Number> {
        let first = |heads: &BTreeSet<(Tag, Number, Peer)>| {
            heads.iter().find(|(_, _, peer)| may(*peer)).copied()
        };
        let proven = first(&self.heads[0]);
        let rest = if others { first(&self.heads[1]) } else { None };
        let (_, _, peer) = match (proven, rest) {
            (Some(proven), Some(rest)) if rest.0 < proven.0 => rest,
            (Some(next), _) | (None, Some(next)) => next,
            (None, None) => return None,
        };
        let mut backlog = self.take(peer)?;
        let (number, cost) = backlog.items.pop_first()?;
        self.len -= 1;
        self.now = self.now.max(backlog.tag);
        let moved = cost.saturating_mul(UNIT) / share(peer).max(1);
        backlog.tag = self.now.saturating_add(moved);
        self.put(peer, backlog);
        Some(number)
    }

    /// Forgets every item and tag.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    fn take(&mut self, peer: Peer) -> Option<Backlog> {
        let backlog = self.backlogs.remove(&peer)?;
        if let Some((&first, _)) = backlog.items.first_key_value() {
            self.heads[usize::from(!backlog.proven)].remove(&(backlog.tag, first, peer));
        }
        Some(backlog)
    }

    fn put(&mut self, peer: Peer, backlog: Backlog) {
        if let Some((&first, _)) = backlog.items.first_key_value() {
            self.heads[usize::from(!backlog.proven)].insert((backlog.tag, first, peer));
            self.backlogs.insert(peer, backlog);
        } else if self.len == 0 {
            self.clear();
        } else {
            self.remember(peer, backlog.tag);
        }
    }

    /// Keeps the tag of a peer that has nothing queued (F3).
    fn remember(&mut self, peer: Peer, tag: Tag) {
        self.ahead.insert(peer, tag);
        self.ahead_order.insert((tag, peer));
        while let Some(&(lowest, idle)) = self.ahead_order.first() {
            if lowest > self.now && self.ahead.len() <= self.capacity {
                break;
            }
            self.ahead_order.remove(&(lowest, idle));
            self.ahead.remove(&idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quickcheck::{QuickCheck, TestResult};

    use super::{FairQueue, Peer, UNIT};
    use crate::quarantine::standing::{FULL_SHARE, MAX_WEIGHT};

    const FULL: fn(Peer) -> u64 = |_| FULL_SHARE;
    const ANY: fn(Peer) -> bool = |_| true;

    #[test]
    fn a_peer_with_one_item_waits_for_one_of_each_other_peer() {
        // Two peers have a hundred items each when a third brings one.
        let mut queue = FairQueue::new(8);
        for number in 0..200 {
            queue.push(number % 2, true, number, 1);
        }
        for number in 0..20 {
            assert_eq!(queue.pop(true, ANY, FULL), Some(number));
        }
        queue.push(9, true, 500, 1);
        let served: Vec<_> = (0..3).filter_map(|_| queue.pop(true, ANY, FULL)).collect();
        assert!(served.contains(&500), "{served:?}");
    }

    #[test]
    fn a_peer_is_served_by_its_share() {
        // Peer 1 has an eighth of the share of peer 0: it gets one item in nine.
        let mut queue = FairQueue::new(8);
        for number in 0..90 {
            queue.push(0, true, number, 1);
            queue.push(1, true, 100 + number, 1);
        }
        let share = |peer| if peer == 0 { FULL_SHARE } else { FULL_SHARE / 8 };
        let served =
            (0..90).filter_map(|_| queue.pop(true, ANY, share)).filter(|n| *n >= 100).count();
        assert_eq!(served, 10);
    }

    #[test]
    fn two_backlogs_are_served_in_the_ratio_of_their_weights() {
        // Every pair of weights, over a whole number of rounds; items of any cost.
        for (a, b) in (1..=u64::from(MAX_WEIGHT)).flat_map(|a| (1..=a).map(move |b| (a, b))) {
            let mut queue = FairQueue::new(8);
            for number in 0..200 {
                queue.push(0, true, number, 1 + (a + b) % 3);
                queue.push(1, true, 1000 + number, 1 + (a + b) % 3);
            }
            let share = |peer| FULL_SHARE * if peer == 0 { a } else { b };
            let served: Vec<_> =
                (0..10 * (a + b)).filter_map(|_| queue.pop(true, ANY, share)).collect();
            let of_first = served.iter().filter(|number| **number < 1000).count() as u64;
            assert_eq!(of_first, 10 * a, "weights {a} and {b}");
        }
    }

    #[test]
    fn a_dear_item_uses_its_peers_share_up() {
        // Peer 0 sends items of cost 4 and peer 1 items of cost 1: four to one.
        let mut queue = FairQueue::new(8);
        for number in 0..40 {
            queue.push(0, true, number, 4);
            queue.push(1, true, 100 + number, 1);
        }
        let served =
            (0..40).filter_map(|_| queue.pop(true, ANY, FULL)).filter(|n| *n >= 100).count();
        assert_eq!(served, 32);
    }

    #[test]
    fn one_item_at_a_time_gains_nothing() {
        // Peer 1 of an eighth of the weight always has one item queued, never two, beside a
        // backlog.
        let mut queue = FairQueue::new(8);
        for number in 0..90 {
            queue.push(0, true, number, 1);
        }
        let share = |peer| if peer == 0 { FULL_SHARE } else { FULL_SHARE / 8 };
        let (mut served, mut next) = (0, 1000);
        queue.push(1, true, next, 1);
        for _ in 0..90 {
            if queue.pop(true, ANY, share) == Some(next) {
                (served, next) = (served + 1, next + 1);
                queue.push(1, true, next, 1);
            }
        }
        assert_eq!(served, 10);
    }

    #[test]
    fn a_peer_that_was_idle_has_saved_nothing_up() {
        // Peer 0 is served a hundred items; then peer 1 brings ten at once: they take turns.
        let mut queue = FairQueue::new(8);
        for number in 0..200 {
            queue.push(0, true, number, 1);
        }
        for _ in 0..100 {
            queue.pop(true, ANY, FULL);
        }
        for number in 500..510 {
            queue.push(1, true, number, 1);
        }
        let served =
            (0..10).filter_map(|_| queue.pop(true, ANY, FULL)).filter(|n| *n >= 500).count();
        assert!((5..=6).contains(&served), "{served}");
    }

    #[test]
    fn the_proven_come_first_and_the_rest_only_where_it_may() {
        // One item of each; then the rest are allowed; then the second peer is proven.
        let mut queue = FairQueue::new(8);
        queue.push(1, false, 10, 1);
        queue.push(2, true, 20, 1);
        assert_eq!(queue.pop(true, ANY, FULL), Some(20));
        assert_eq!(queue.pop(false, ANY, FULL), None);
        queue.classify(1, true);
        assert_eq!(queue.pop(false, ANY, FULL), Some(10));
        assert_eq!((queue.pop(true, ANY, FULL), queue.len()), (None, 0));
    }

    #[test]
    fn a_peer_that_may_not_be_served_is_passed_over_and_saves_nothing_up() {
        // Peer 0 may not be served while peer 1 is served ten items; then they take turns.
        let mut queue = FairQueue::new(8);
        for number in 0..40 {
            queue.push(0, true, number, 1);
            queue.push(1, true, 100 + number, 1);
        }
        for number in 100..110 {
            assert_eq!(queue.pop(true, |peer| peer != 0, FULL), Some(number));
        }
        let served: Vec<_> = (0..10).filter_map(|_| queue.pop(true, ANY, FULL)).collect();
        let of_first = served.iter().filter(|number| **number < 100).count();
        assert!((5..=6).contains(&of_first), "{served:?}");
        assert_eq!(queue.pop(true, |_| false, FULL), None);
    }

    #[test]
    fn an_item_taken_out_leaves_the_others_in_order() {
        // The first of three goes; a second removal finds nothing.
        let mut queue = FairQueue::new(8);
        for number in [1, 2, 3] {
            queue.push(7, true, number, 1);
        }
        assert!(queue.remove(7, 1) && !queue.remove(7, 1) && !queue.remove(8, 2));
        assert_eq!(
            (queue.len(), queue.pop(true, ANY, FULL), queue.pop(true, ANY, FULL)),
            (2, Some(2), Some(3))
        );
    }

    #[test]
    fn an_empty_queue_is_as_new() {
        // Whatever was served before, equal content is equal.
        let mut queue = FairQueue::new(8);
        queue.push(7, false, 1, 3);
        queue.push(8, true, 2, 3);
        assert_eq!((queue.pop(true, ANY, FULL), queue.pop(true, ANY, FULL)), (Some(2), Some(1)));
        assert_eq!(queue, FairQueue::new(8));
    }

    #[test]
    fn a_look_tells_the_tags_of_those_that_wait_and_of_those_that_are_ahead() {
        // Peer 7 has one item and peer 8 three, all of one cost. The virtual time comes to peer 7's
        // tag with the third that is served.
        let mut queue = FairQueue::new(8);
        for (peer, number) in [(7, 1), (8, 2), (8, 3), (8, 4)] {
            queue.push(peer, true, number, 3);
        }
        let step = 3 * UNIT / FULL_SHARE;
        let mut look = || {
            queue.pop(true, ANY, FULL);
            queue.tags()
        };
        assert_eq!(look(), (0, BTreeMap::from([(7, step), (8, 0)])));
        assert_eq!(look(), (0, BTreeMap::from([(7, step), (8, step)])));
        assert_eq!(look(), (step, BTreeMap::from([(8, 2 * step)])));
    }

    #[test]
    fn tags_of_idle_peers_are_bounded() {
        // A hundred peers of low weight are served once while another has a backlog.
        let mut queue = FairQueue::new(4);
        for number in 0..100 {
            queue.push(0, true, number, 1);
            queue.push(1 + number, true, 1000 + number, 1);
        }
        let share = |peer| if peer == 0 { FULL_SHARE } else { 1 };
        for _ in 0..150 {
            queue.pop(true, ANY, share);
        }
        assert!(queue.ahead.len() <= 4 && queue.ahead.len() == queue.ahead_order.len());
    }

    #[test]
    fn no_peer_gets_more_than_its_share_and_one_item_in_any_order_of_arrival() {
        // Random pushes of three peers, each of which keeps a backlog: by cost, they stay together.
        fn property(arrivals: Vec<(u8, u8)>) -> TestResult {
            let mut queue = FairQueue::new(8);
            let mut costs = BTreeMap::new();
            for (number, (peer, cost)) in (0..).zip(&arrivals) {
                let (peer, cost) = (u64::from(peer % 3), u64::from(cost % 8) + 1);
                costs.insert(number, (peer, cost));
                queue.push(peer, number % 2 == 0, number, cost);
            }
            let mut left = [0; 3];
            costs.values().for_each(|(peer, _)| left[*peer as usize] += 1);
            let mut spent = [0u64; 3];
            while left.iter().all(|left| *left > 0) {
                let Some(number) = queue.pop(true, ANY, FULL) else { return TestResult::failed() };
                let (peer, cost) = costs[&number];
                left[peer as usize] -= 1;
                spent[peer as usize] += cost;
                let (least, most) = (spent.iter().min(), spent.iter().max());
                if most.zip(least).is_some_and(|(most, least)| most - least > 16) {
                    return TestResult::failed();
                }
            }
            let rest = (0..).map_while(|_| queue.pop(true, ANY, FULL)).count();
            TestResult::from_bool(rest == left.iter().sum::<usize>())
        }
        QuickCheck::new().tests(500).quickcheck(property as fn(Vec<(u8, u8)>) -> TestResult);
    }
}
