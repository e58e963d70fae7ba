//! Who holds what of one kind of item, and who gives way when there is no room.
//!
//! **Invariants.**
//! - H1 `items` and `bytes` are sums over `peers`. A peer without an item is not among them.
//! - H2 `waiting` and `ready` of a peer have its items that may be evicted. An item that is being
//!   checked or on its way into Clearance is in neither.
//! - H3 The peer that holds most gives way first, so a peer that holds less than an equal share
//!   loses nothing to others. What a peer holds counts [`UNPROVEN`] times if the peer is not
//!   proven. Of the peer's items the one that has waited longest goes, and else the one that was
//!   made ready last.

use std::collections::{BTreeMap, BTreeSet};

use super::fair::Peer;
use super::table::Number;

/// How many times an item of a peer that is not proven counts.
pub(super) const UNPROVEN: usize = 8;

/// What is scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scarce {
    /// Places.
    Items,
    /// Bytes.
    Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    proven: bool,
    items: usize,
    bytes: usize,
    waiting: BTreeSet<Number>,
    ready: BTreeSet<Number>,
}

impl Held {
    fn share(&self, scarce: Scarce) -> usize {
        let held = match scarce {
            Scarce::Items => self.items,
            Scarce::Bytes => self.bytes,
        };
        held.saturating_mul(if self.proven { 1 } else { UNPROVEN })
    }

    fn victim(&self) -> Option<Number> {
        self.waiting.first().or(self.ready.last()).copied()
    }
}

/// The holders of one kind of item; see the module's text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Holders {
    items: usize,
    bytes: usize,
    peers: BTreeMap<Peer, Held>,
    order: [BTreeSet<(usize, Peer)>; 2],
}

impl Holders {
    /// Returns how many items are held.
    pub(super) fn items(&self) -> usize {
        self.items
    }

    /// Returns how many bytes are held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an item that may not be evicted yet.
    pub(super) fn add(&mut self, peer: Peer, proven: bool, bytes: usize) {
        self.items += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.change(peer, |held| {
            held.proven = proven;
            held.items += 1;
            held.bytes = held.bytes.saturating_add(bytes);
        });
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, peer: Peer, number: Number, bytes: usize) {
        self.items -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.change(peer, |held| {
            held.items -= 1;
            held.bytes = held.bytes.saturating_sub(bytes);
            held.waiting.remove(&number);
            held.ready.remove(&number);
        });
    }

    /// Notes that an item waits.
    pub(super) fn waits(&mut self, peer: Peer, number: Number) {
        if let Some(held) = self.peers.get_mut(&peer) {
            held.ready.remove(&number);
            held.waiting.insert(number);
        }
    }

    /// Notes that an item is ready.
    pub(super) fn is_ready(&mut self, peer: Peer, number: Number) {
        if let Some(held) = self.peers.get_mut(&peer) {
            held.waiting.remove(&number);
            held.ready.insert(number);
        }
    }

    /// Notes that an item is neither waiting nor ready, so it may not be evicted.
    pub(super) fn is_busy(&mut self, peer: Peer, number: Number) {
        if let Some(held) = self.peers.get_mut(&peer) {
            held.waiting.remove(&number);
            held.ready.remove(&number);
        }
    }

    /// Notes whether a peer is proven.
    pub(super) fn classify(&mut self, peer: Peer, proven: bool) {
        if self.peers.get(&peer).is_some_and(|held| held.proven != proven) {
            self.change(peer, |held| held.proven = proven);
        }
    }

    /// Returns the item that gives way in all (H3). The number of steps is bounded by the number of
    /// peers that have nothing but items in flight.
    pub(super) fn victim(&self, scarce: Scarce) -> Option<Number> {
        let order = self.order[scarce as usize].iter().rev();
        order.filter_map(|(_, peer)| self.peers.get(peer)?.victim()).next()
    }

    /// Returns the item of a peer that gives way.
    pub(super) fn victim_of(&self, peer: Peer) -> Option<Number> {
        self.peers.get(&peer)?.victim()
    }

    fn change(&mut self, peer: Peer, change: impl FnOnce(&mut Held)) {
        let mut held = self.peers.remove(&peer).unwrap_or(Held {
            proven: false,
            items: 0,
            bytes: 0,
            waiting: BTreeSet::new(),
            ready: BTreeSet::new(),
        });
        for scarce in [Scarce::Items, Scarce::Bytes] {
            self.order[scarce as usize].remove(&(held.share(scarce), peer));
        }
        change(&mut held);
        if held.items == 0 {
            return;
        }
        for scarce in [Scarce::Items, Scarce::Bytes] {
            self.order[scarce as usize].insert((held.share(scarce), peer));
        }
        self.peers.insert(peer, held);
    }
}

#[cfg(test)]
mod tests {
    use super::{Holders, Scarce};

    /// Adds waiting items of a proven peer, of one byte each.
    fn hold(holders: &mut Holders, peer: u64, proven: bool, numbers: std::ops::Range<u64>) {
        for number in numbers {
            holders.add(peer, proven, 1);
            holders.waits(peer, number);
        }
    }

    #[test]
    fn the_peer_that_holds_most_gives_way_by_what_is_scarce() {
        // Peer 1 holds three items, peer 2 one large one, which came first.
        let mut holders = Holders::default();
        holders.add(2, true, 100);
        holders.waits(2, 0);
        hold(&mut holders, 1, true, 1..4);
        assert_eq!(holders.victim(Scarce::Items), Some(1));
        assert_eq!(holders.victim(Scarce::Bytes), Some(0));
        assert_eq!((holders.items(), holders.bytes()), (4, 103));
    }

    #[test]
    fn an_unproven_peer_counts_eightfold_until_it_is_proven() {
        // Seven items of a proven peer weigh less than one of another, nine weigh more.
        let mut holders = Holders::default();
        hold(&mut holders, 1, true, 0..7);
        hold(&mut holders, 2, false, 10..11);
        assert_eq!(holders.victim(Scarce::Items), Some(10));
        holders.classify(2, true);
        assert_eq!(holders.victim(Scarce::Items), Some(0));
        holders.classify(2, false);
        hold(&mut holders, 1, true, 7..9);
        assert_eq!(holders.victim(Scarce::Items), Some(0));
    }

    #[test]
    fn waiting_items_go_first_and_then_the_newest_that_is_ready_and_none_in_flight() {
        // Two ready, one waiting, one in flight.
        let mut holders = Holders::default();
        hold(&mut holders, 1, true, 0..4);
        [0, 1].iter().for_each(|number| holders.is_ready(1, *number));
        holders.is_busy(1, 3);
        let mut order = Vec::new();
        while let Some(number) = holders.victim(Scarce::Items) {
            assert_eq!(holders.victim_of(1), Some(number));
            order.push(number);
            holders.remove(1, number, 1);
        }
        assert_eq!((order, holders.items()), (vec![2, 1, 0], 1));
        holders.remove(1, 3, 1);
        assert_eq!(holders, Holders::default());
    }

    #[test]
    fn a_peer_with_nothing_to_give_is_passed_over() {
        // The largest holder has only items in flight.
        let mut holders = Holders::default();
        hold(&mut holders, 1, true, 0..3);
        (0..3).for_each(|number| holders.is_busy(1, number));
        hold(&mut holders, 2, true, 5..6);
        assert_eq!(holders.victim(Scarce::Items), Some(5));
        assert_eq!(holders.victim_of(1), None);
    }
}
