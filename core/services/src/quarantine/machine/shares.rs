//! Who is served next, and who gives way: the shares of peers and of kinds of items.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Quarantine;
use crate::consensus::Consensus;
use crate::quarantine::event::Effect;
use crate::quarantine::fair::Peer;
use crate::quarantine::held_item::{HeldItem, Kind};
use crate::quarantine::table::{Number, Place};
use crate::verdict::{DropReason, IgnoreReason, ItemId, Verdict};

/// An item costs its peer's share one, and one more for each of so many bytes.
const BYTES_PER_COST: usize = 4096;

/// How many items of a kind are at the Rewinder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Flights {
    pub(super) all: usize,
    /// Those of peers that were not proven when they were sent off.
    unproven: usize,
    /// Those of each peer that has some; it is the owner when they were sent off.
    by_peer: BTreeMap<Peer, usize>,
}

impl Flights {
    pub(super) fn begin(&mut self, peer: Peer, unproven: bool) {
        self.all += 1;
        self.unproven += usize::from(unproven);
        *self.by_peer.entry(peer).or_default() += 1;
    }

    pub(super) fn end(&mut self, peer: Peer, unproven: bool) {
        self.all -= 1;
        self.unproven -= usize::from(unproven);
        match self.of(peer) - 1 {
            0 => self.by_peer.remove(&peer),
            left => self.by_peer.insert(peer, left),
        };
    }

    fn of(&self, peer: Peer) -> usize {
        self.by_peer.get(&peer).copied().unwrap_or(0)
    }
}

impl<C: Consensus> Quarantine<C> {
    /// Adds another copy of a held item: it gets its verdict with the first. A copy of a peer of
    /// better rank makes that peer the item's owner, so that a peer without proof delays nothing by
    /// being first. That needs no place among the copies, which others may have filled.
    pub(super) fn follow(
        &mut self,
        number: Number,
        id: ItemId,
        peer: Peer,
        effects: &mut Vec<Effect<C>>,
    ) {
        let Some(entry) = self.table.get(number) else { return };
        let (copies, why) = (entry.submissions.len(), entry.why);
        if self.table.of_peer(peer) >= self.limits.items_per_peer {
            let verdict = Verdict::Dropped(DropReason::PeerQuota);
            effects.push(Effect::Verdict { id, verdict });
            return;
        }
        if copies > self.limits.followers || self.table.copies() >= self.limits.copies {
            let verdict = Verdict::Ignore(IgnoreReason::Duplicate);
            effects.push(Effect::Verdict { id, verdict });
        } else {
            self.table.follow(number, id, peer);
            effects.push(Effect::Parked { id, why });
        }
        self.pass_to(number, peer);
    }

    /// Makes a peer the owner of an item that it has submitted, if its rank is better than the
    /// owner's.
    fn pass_to(&mut self, number: Number, peer: Peer) {
        let Some(owner) = self.table.get(number).map(|entry| entry.owner) else { return };
        if self.standings.rank(peer) > self.standings.rank(owner) {
            self.table.adopt(number, peer, self.standings.is_proven(peer));
            self.requeue(number, owner);
        }
    }

    /// Returns the peer of the best rank, and of those the first.
    fn best(&self, peers: impl Iterator<Item = Peer>) -> Option<Peer> {
        peers.min_by_key(|peer| Reverse(self.standings.rank(*peer)))
    }

    /// Moves a ready item into the backlog of its owner. It was another peer's.
    fn requeue(&mut self, number: Number, before: Peer) {
        let Some(entry) = self.table.get(number) else { return };
        if entry.place == Place::Ready {
            let proven = self.standings.is_proven(entry.owner);
            let queue = &mut self.ready[entry.item().kind() as usize];
            queue.remove(before, number);
            queue.push(entry.owner, proven, number, cost(entry.bytes()));
        }
    }

    /// Takes an item from its owner, for whom there is no room. If other peers have submitted it,
    /// it becomes that of one of them, of the best rank; a peer that has room loses nothing by
    /// bringing an item second. Otherwise it goes.
    fn evict(&mut self, number: Number, reason: DropReason, effects: &mut Vec<Effect<C>>) {
        let Some(entry) = self.table.get(number) else { return };
        let owner = entry.owner;
        let others = entry.submissions.iter().map(|(_, peer)| *peer).filter(|p| *p != owner);
        let verdict = Verdict::Dropped(reason);
        let Some(heir) = self.best(others) else {
            self.finish(number, &verdict, effects);
            return;
        };
        let proven = self.standings.is_proven(heir);
        for id in self.table.hand_over(number, heir, proven) {
            effects.push(Effect::Verdict { id, verdict: verdict.clone() });
        }
        self.requeue(number, owner);
    }

    /// Takes note that the rank of a peer has changed. What it shares with others is that of a peer
    /// of the best rank among them, so that it waits behind no peer of a worse one. Of what others
    /// own a peer takes a bounded number over (T7 of the table).
    fn reassign(&mut self, peer: Peer, has_risen: bool) {
        if has_risen {
            let shared = self.table.shared_with(peer);
            shared.into_iter().for_each(|number| self.pass_to(number, peer));
            return;
        }
        for number in self.table.shared_of(peer) {
            let Some(entry) = self.table.get(number) else { continue };
            let heir = self.best(entry.submissions.iter().map(|(_, peer)| *peer));
            heir.into_iter().for_each(|heir| self.pass_to(number, heir));
        }
    }

    /// Evicts until the bounds hold. `newest` is the item that has just come. If its peer holds
    /// more than one peer may, the newest goes; but if others wait for it, it stays, and the peer's
    /// item that has waited longest goes. Of a chain that comes backwards that is the tip. Then
    /// items of whoever holds most of the kind go. What other peers have submitted as well passes to
    /// one of them.
    pub(super) fn make_room(
        &mut self,
        newest: Number,
        peer: Peer,
        kind: Kind,
        effects: &mut Vec<Effect<C>>,
    ) {
        if self.table.of_peer(peer) > self.limits.items_per_peer {
            let root = self.table.item(newest).and_then(HeldItem::block_root);
            let releases = root.is_some_and(|root| self.table.is_awaited(&root));
            let other = if releases { self.table.victim_of(peer, kind) } else { None };
            self.evict(other.unwrap_or(newest), DropReason::PeerQuota, effects);
            if self.table.of_peer(peer) > self.limits.items_per_peer {
                // The peer owned that item without a submission.
                self.evict(newest, DropReason::PeerQuota, effects);
            }
        }
        // Each turn of the loop takes an item out, or one owner's submissions of it.
        while let Some(victim) = self.table.victim(kind, self.limits.items, self.limits.bytes) {
            let reason =
                if victim == newest { DropReason::QuarantineFull } else { DropReason::Evicted };
            self.evict(victim, reason, effects);
        }
    }

    /// Makes room in the chains of waiting blocks for an item that is to wait for `root`. Returns
    /// whether the item is still there.
    pub(super) fn shorten_chain(
        &mut self,
        number: Number,
        root: C::Root,
        effects: &mut Vec<Effect<C>>,
    ) -> bool {
        let verdict = Verdict::Dropped(DropReason::TooDeep);
        // Each turn takes a block out.
        while self.table.is_too_deep(number, root, self.limits.depth) {
            let tip = self.table.tip_below(number);
            if tip.is_empty() {
                self.finish(number, &verdict, effects);
                return false;
            }
            tip.into_iter().for_each(|copy| self.finish(copy, &verdict, effects));
        }
        true
    }

    /// Puts an item that has been judged into the queue of its kind.
    pub(super) fn make_ready(&mut self, number: Number) {
        self.table.set(number, Place::Ready);
        if let Some(entry) = self.table.get(number) {
            let proven = self.standings.is_proven(entry.owner);
            let queue = &mut self.ready[entry.item().kind() as usize];
            queue.push(entry.owner, proven, number, cost(entry.bytes()));
        }
    }

    /// Takes the item that is to be sent off next, if the window has room for it. The kind that has
    /// been passed over most often since it was served comes first, then blocks before the other
    /// kinds, as far as the places that are kept for the others are left free. Those are an eighth of
    /// the window for each: a window of less than eight keeps none, and only the turns let all in.
    pub(super) fn next_ready(&mut self) -> Option<Number> {
        let mut kinds = Kind::ALL;
        kinds.sort_by_key(|kind| Reverse(self.passed_over[*kind as usize]));
        let (kind, number) =
            kinds.into_iter().find_map(|kind| Some((kind, self.next_of(kind)?)))?;
        for other in Kind::ALL {
            let passed_over = &mut self.passed_over[other as usize];
            let waits = other != kind && !self.ready[other as usize].is_empty();
            *passed_over = if waits { (Kind::COUNT as u8).min(*passed_over + 1) } else { 0 };
        }
        Some(number)
    }

    /// Takes the next item of a kind, if the window has room for one of the kind.
    fn next_of(&mut self, kind: Kind) -> Option<Number> {
        let window = self.limits.window;
        let others = Kind::ALL.into_iter().filter(|other| *other != kind);
        let free = others.map(|other| (window / 8).saturating_sub(self.flights(other).all));
        if self.in_flight() + free.sum::<usize>() >= window {
            return None;
        }
        let (standings, limits) = (&self.standings, &self.limits);
        let flights = &self.in_flight[kind as usize];
        let others = flights.unproven < limits.unproven;
        let may = |peer| flights.of(peer) < limits.of_peer(kind);
        self.ready[kind as usize].pop(others, may, |peer| standings.share(peer))
    }

    fn flights(&self, kind: Kind) -> &Flights {
        &self.in_flight[kind as usize]
    }

    /// Notes what a verdict says of the peer that sent the item. What is valid and yet not to be
    /// passed on says nothing: copies of one vote in every combination, or any number of blocks of
    /// one proposer, prove no peer.
    pub(super) fn rate(&mut self, peer: Peer, verdict: &Verdict<C::Root, C::Invalid>) {
        let before = self.standings.rank(peer);
        match verdict {
            Verdict::Accept { relay: true, .. } => self.standings.accepted(peer),
            Verdict::Reject(_) => self.standings.rejected(peer),
            Verdict::Accept { relay: false, .. } | Verdict::Ignore(_) | Verdict::Dropped(_) => {
                return;
            }
        }
        let proven = self.standings.is_proven(peer);
        self.table.classify(peer, proven);
        self.ready.iter_mut().for_each(|queue| queue.classify(peer, proven));
        let after = self.standings.rank(peer);
        if after != before {
            self.reassign(peer, after > before);
        }
    }

    /// Drops what has waited too long, and asks again for what is still waited for.
    pub(super) fn expire(&mut self, effects: &mut Vec<Effect<C>>) {
        for number in self.table.expired(self.slot) {
            self.finish(number, &Verdict::Dropped(DropReason::Expired), effects);
        }
        let (limit, proven) = (self.limits.needs, |peer| self.standings.is_proven(peer));
        let needed = self.table.needs_again(self.slot, limit, proven);
        effects.extend(needed.into_iter().map(|root| Effect::Need { root }));
        let needed = self.table.payload_needs_again(self.slot, limit, proven);
        effects.extend(needed.into_iter().map(|root| Effect::NeedPayload { root }));
    }
}

/// Returns what an item of so many bytes costs its peer's share.
fn cost(bytes: usize) -> u64 {
    1 + (bytes / BYTES_PER_COST) as u64
}

#[cfg(test)]
mod tests {
    use super::{BYTES_PER_COST, cost};

    #[test]
    fn every_item_costs_something_and_a_large_one_more() {
        // Around the sizes at which the cost rises.
        let sizes = [0, BYTES_PER_COST - 1, BYTES_PER_COST, 3 * BYTES_PER_COST];
        assert_eq!(sizes.map(cost), [1, 1, 2, 4]);
    }
}
