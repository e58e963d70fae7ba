//! The items that the Quarantine holds. What is ready, in flight and waiting has one owner here, so
//! that no item is looked up in one place and parked in another (hazard Q1).
//!
//! **Invariants.**
//! - T1 An entry is in `by_root`, `by_payload` or `by_slot` exactly if its place is
//!   `WaitingForRoot`, `WaitingForPayload` or `WaitingForSlot`. The entries in any of them are
//!   those in `waiting`.
//! - T2 `holders`, `copies` and `per_peer` are sums over the entries alone: an item costs its place
//!   and its bytes once, for its owner; each of its submissions counts for the peer that made it.
//! - T3 `numbers` has the key of each entry, and no other key.
//! - T4 `expiry` has each entry that waits, by the slot at whose begin it has waited too long.
//! - T5 `needs` has each root in `by_root` with the owners of what waits for it, and no other root;
//!   so has `payload_needs` for `by_payload`.
//! - T6 `chains` has each block that waits for its parent, and no other.
//! - T7 `builders` has each root that a block waits for with the owners of such blocks.
//! - T8 `shared` has the entries of which a peer other than the owner has a submission, by owner;
//!   `sharers` has them by each such peer, for each the first [`SHARED`] that find room. So what
//!   goes from a peer that falls comes back to it by copies alone, but for a bounded number.

use std::collections::{BTreeMap, BTreeSet};

use super::chains::Chains;
use super::fair::Peer;
use super::held_item::{HeldItem, Key, Kind};
use super::holders::{Holders, Scarce};
use super::needs::Needs;
use super::vouchers::Builders;
use crate::consensus::{Consensus, Slot, ValidatorIndex};
use crate::verdict::{ItemId, PendingReason, Quarantined};

/// The number of a held item: its place in the order of arrival. It is never used again.
pub(crate) type Number = u64;

/// How many entries of others a peer that rises takes over. One beyond stays with its owner, until
/// that falls, a copy comes, or it gives way.
pub(crate) const SHARED: usize = 256;

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place<R> {
    /// In no queue: it is being judged.
    Judged,
    /// In one of the ready queues.
    Ready,
    /// At the Rewinder.
    InFlight {
        /// Whether it was sent off in its own slot, before the attestation deadline.
        timely: bool,
        /// Its owner then.
        peer: Peer,
        /// Whether that owner was not proven then.
        unproven: bool,
    },
    /// Valid, and on the way into Clearance.
    Importing {
        /// For a block: the root that its verdict tells.
        post_state_root: Option<R>,
        /// For a single attestation: who votes.
        attester: Option<ValidatorIndex>,
    },
    /// Under `by_root`.
    WaitingForRoot(R),
    /// Under `by_payload`.
    WaitingForPayload(R),
    /// Under `by_slot`.
    WaitingForSlot(Slot),
}

/// A held item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry<C: Consensus> {
    /// Its submissions, in the order of arrival, each with its peer; never empty.
    pub(crate) submissions: Vec<(ItemId, u64)>,
    /// Where it is.
    pub(crate) place: Place<C::Root>,
    /// What its submitters are told it waits for.
    pub(crate) why: PendingReason,
    /// The peer for whose share it counts: the one that brought it, or a proven one that brought a
    /// copy.
    pub(crate) owner: Peer,
    /// The slot at whose begin it has waited too long.
    expires: Slot,
    /// The item, with the peer and the size that quotas count.
    item: Quarantined<HeldItem<C>>,
}

/// All held items, and the indices over those that wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Table<C: Consensus> {
    entries: BTreeMap<Number, Entry<C>>,
    numbers: BTreeMap<Key<C>, Number>,
    by_root: BTreeMap<C::Root, BTreeSet<Number>>,
    /// Items that wait for the payload of a block that is known.
    by_payload: BTreeMap<C::Root, BTreeSet<Number>>,
    by_slot: BTreeMap<Slot, BTreeSet<Number>>,
    waiting: BTreeSet<Number>,
    expiry: BTreeSet<(Slot, Number)>,
    needs: Needs<C::Root>,
    payload_needs: Needs<C::Root>,
    builders: Builders<C::Root>,
    chains: Chains<C::Root>,
    holders: [Holders; Kind::COUNT],
    per_peer: BTreeMap<Peer, usize>,
    shared: BTreeMap<Peer, BTreeSet<Number>>,
    sharers: BTreeMap<Peer, BTreeSet<Number>>,
    copies: usize,
    arrivals: u64,
}

impl<C: Consensus> Table<C> {
    pub(crate) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            numbers: BTreeMap::new(),
            by_root: BTreeMap::new(),
            by_payload: BTreeMap::new(),
            by_slot: BTreeMap::new(),
            waiting: BTreeSet::new(),
            expiry: BTreeSet::new(),
            needs: Needs::new(),
            payload_needs: Needs::new(),
            builders: Builders::new(),
            chains: Chains::new(),
            holders: Kind::ALL.map(|_| Holders::default()),
            per_peer: BTreeMap::new(),
            shared: BTreeMap::new(),
            sharers: BTreeMap::new(),
            copies: 0,
            arrivals: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns how many submissions share an item with an earlier one.
    pub(crate) fn copies(&self) -> usize {
        self.copies
    }

    /// Returns how many submissions of a peer are held.
    pub(crate) fn of_peer(&self, peer: Peer) -> usize {
        self.per_peer.get(&peer).copied().unwrap_or(0)
    }

    /// Returns who holds items of a kind.
    pub(crate) fn holders(&self, kind: Kind) -> &Holders {
        &self.holders[kind as usize]
    }

    /// Returns the item of `kind` that gives way, if the kind holds more than it may.
    pub(crate) fn victim(&self, kind: Kind, items: usize, bytes: usize) -> Option<Number> {
        let holders = self.holders(kind);
        if holders.items() > items {
            holders.victim(Scarce::Items)
        } else if holders.bytes() > bytes {
            holders.victim(Scarce::Bytes)
        } else {
            None
        }
    }

    /// Returns the item of a peer that gives way to another one of the same peer: of the kind asked
    /// for if there is one, and else of any.
    pub(crate) fn victim_of(&self, peer: Peer, kind: Kind) -> Option<Number> {
        let of = |kind| self.holders(kind).victim_of(peer);
        of(kind).or_else(|| Kind::ALL.into_iter().find_map(of))
    }

    /// Notes whether a peer is proven.
    pub(crate) fn classify(&mut self, peer: Peer, proven: bool) {
        self.holders.iter_mut().for_each(|holders| holders.classify(peer, proven));
    }

    pub(crate) fn get(&self, number: Number) -> Option<&Entry<C>> {
        self.entries.get(&number)
    }

    /// Returns the number of the item of this key that is held.
    pub(crate) fn copy_of(&self, key: &Key<C>) -> Option<Number> {
        self.numbers.get(key).copied()
    }

    /// Adds a submission of a held item.
    pub(crate) fn follow(&mut self, number: Number, id: ItemId, peer: Peer) {
        if let Some(entry) = self.entries.get_mut(&number) {
            self.copies += usize::from(!entry.submissions.is_empty());
            entry.submissions.push((id, peer));
            *self.per_peer.entry(peer).or_default() += 1;
            if peer != entry.owner {
                let owner = entry.owner;
                self.share_with(owner, peer, number);
            }
        }
    }

    /// Returns the items of a peer that others have submitted, too.
    pub(crate) fn shared_of(&self, owner: Peer) -> Vec<Number> {
        self.shared.get(&owner).into_iter().flatten().copied().collect()
    }

    /// Returns items of others that a peer has submitted, too: at most [`SHARED`].
    pub(crate) fn shared_with(&self, peer: Peer) -> Vec<Number> {
        self.sharers.get(&peer).into_iter().flatten().copied().collect()
    }

    /// Gives an item to another owner, which is proven or not.
    pub(crate) fn adopt(&mut self, number: Number, owner: Peer, proven: bool) {
        self.unshare(number);
        let Some(entry) = self.entries.get_mut(&number) else { return };
        let (before, bytes, place) = (entry.owner, entry.item.bytes(), entry.place);
        entry.owner = owner;
        let holders = &mut self.holders[entry.item.item().kind() as usize];
        holders.remove(before, number, bytes);
        holders.add(owner, proven, bytes);
        note(holders, owner, number, place);
        match place {
            Place::WaitingForRoot(root) => {
                self.needs.pass_on(root, before, owner);
                if entry.item().block_root().is_some() {
                    self.builders.begin(root, owner);
                    self.builders.end(&root, before);
                }
            }
            Place::WaitingForPayload(root) => self.payload_needs.pass_on(root, before, owner),
            _ => {}
        }
        self.share(number);
    }

    /// Takes the owner's submissions of an item out and gives the item to `heir`, which has
    /// submitted it as well. Returns what was taken out.
    pub(crate) fn hand_over(&mut self, number: Number, heir: Peer, proven: bool) -> Vec<ItemId> {
        let taken = self.take_of_owner(number);
        self.adopt(number, heir, proven);
        taken
    }

    fn take_of_owner(&mut self, number: Number) -> Vec<ItemId> {
        let Some(entry) = self.entries.get_mut(&number) else { return Vec::new() };
        let (owner, before) = (entry.owner, entry.submissions.len());
        let of_owner = entry.submissions.extract_if(.., |(_, peer)| *peer == owner);
        let taken: Vec<_> = of_owner.map(|(id, _)| id).collect();
        let copies = |submissions: usize| submissions.saturating_sub(1);
        self.copies -= copies(before) - copies(before - taken.len());
        uncount(&mut self.per_peer, owner, taken.len());
        taken
    }

    fn share(&mut self, number: Number) {
        let Some(entry) = self.entries.get(&number) else { return };
        let owner = entry.owner;
        let others: Vec<_> = entry.peers().filter(|peer| *peer != owner).collect();
        others.into_iter().for_each(|peer| self.share_with(owner, peer, number));
    }

    fn share_with(&mut self, owner: Peer, peer: Peer, number: Number) {
        self.shared.entry(owner).or_default().insert(number);
        let shared = self.sharers.entry(peer).or_default();
        if shared.len() < SHARED {
            shared.insert(number);
        }
    }

    fn unshare(&mut self, number: Number) {
        let Some(entry) = self.entries.get(&number) else { return };
        without(&mut self.shared, &entry.owner, number);
        for peer in entry.peers() {
            without(&mut self.sharers, &peer, number);
        }
    }

    pub(crate) fn item(&self, number: Number) -> Option<&HeldItem<C>> {
        self.entries.get(&number).map(|entry| entry.item.item())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<C>> {
        self.entries.values()
    }

    pub(crate) fn awaited_roots(&self) -> Vec<C::Root> {
        self.by_root.keys().copied().collect()
    }

    /// Adds an item of which no copy is held; it is in no queue yet. Returns its number. `proven`
    /// tells of the peer. From slot `expires` on the item has waited too long.
    pub(crate) fn insert(
        &mut self,
        key: Key<C>,
        id: ItemId,
        item: Quarantined<HeldItem<C>>,
        proven: bool,
        expires: Slot,
    ) -> Number {
        let number = self.arrivals;
        self.arrivals += 1;
        self.numbers.insert(key, number);
        let (owner, why) = (item.peer(), PendingReason::BeingChecked);
        self.holders[item.item().kind() as usize].add(owner, proven, item.bytes());
        let place = Place::Judged;
        let entry = Entry { submissions: Vec::new(), place, why, owner, expires, item };
        self.entries.insert(number, entry);
        self.follow(number, id, owner);
        number
    }

    /// Takes an item out, wherever it is. A number in a ready queue is left there for its owner.
    pub(crate) fn remove(&mut self, number: Number) -> Option<Entry<C>> {
        self.unpark(number);
        self.unshare(number);
        let entry = self.entries.remove(&number)?;
        let item = entry.item.item();
        self.numbers.remove(&item.key());
        let holders = &mut self.holders[item.kind() as usize];
        holders.remove(entry.owner, number, entry.item.bytes());
        self.copies -= entry.submissions.len() - 1;
        for (_, peer) in &entry.submissions {
            uncount(&mut self.per_peer, *peer, 1);
        }
        Some(entry)
    }

    /// Parks an item until a block is decided. Returns whether it is the first to wait for it; the
    /// network is then to be asked for the block, at slot `now`.
    pub(crate) fn wait_for_root(
        &mut self,
        number: Number,
        root: C::Root,
        why: PendingReason,
        now: Slot,
    ) -> bool {
        self.park(number, Place::WaitingForRoot(root), why);
        self.by_root.entry(root).or_default().insert(number);
        let Some(entry) = self.entries.get(&number) else { return false };
        if let Some(block) = entry.item().block_root() {
            self.chains.add(number, block, root);
            self.builders.begin(root, entry.owner);
        }
        self.needs.begin(root, entry.owner, now)
    }

    /// Returns whether a chain of more than `depth` blocks would wait if this item waited for
    /// `root`.
    pub(crate) fn is_too_deep(&self, number: Number, root: C::Root, depth: usize) -> bool {
        let block = self.item(number).and_then(HeldItem::block_root);
        block.is_some_and(|block| self.chains.is_too_deep(block, root, depth))
    }

    /// Returns the copies of the tip of the longest chain that waits for this item.
    pub(crate) fn tip_below(&self, number: Number) -> Vec<Number> {
        let block = self.item(number).and_then(HeldItem::block_root);
        block.map(|block| self.chains.tip(block)).unwrap_or_default()
    }

    /// Parks an item until the payload of a block is there. Returns what
    /// [`Table::wait_for_root`] does.
    pub(crate) fn wait_for_payload(&mut self, number: Number, root: C::Root, now: Slot) -> bool {
        self.park(number, Place::WaitingForPayload(root), PendingReason::UnknownPayload);
        self.by_payload.entry(root).or_default().insert(number);
        let owner = self.entries.get(&number).map(|entry| entry.owner);
        owner.is_some_and(|owner| self.payload_needs.begin(root, owner, now))
    }

    /// Returns the blocks whose payloads items wait for.
    pub(crate) fn awaited_payloads(&self) -> Vec<C::Root> {
        self.by_payload.keys().copied().collect()
    }

    /// Parks an item until its slot.
    pub(crate) fn wait_for_slot(&mut self, number: Number, slot: Slot) {
        self.park(number, Place::WaitingForSlot(slot), PendingReason::FutureSlot);
        self.by_slot.entry(slot).or_default().insert(number);
    }

    fn park(&mut self, number: Number, place: Place<C::Root>, why: PendingReason) {
        self.place(number, place, why);
        if let Some(entry) = self.entries.get(&number) {
            self.waiting.insert(number);
            self.expiry.insert((entry.expires, number));
        }
    }

    /// Notes that an item is ready, at the Rewinder, or on the way into Clearance.
    pub(crate) fn set(&mut self, number: Number, place: Place<C::Root>) {
        self.place(number, place, PendingReason::BeingChecked);
    }

    fn place(&mut self, number: Number, place: Place<C::Root>, why: PendingReason) {
        if let Some(entry) = self.entries.get_mut(&number) {
            (entry.place, entry.why) = (place, why);
            let holders = &mut self.holders[entry.item.item().kind() as usize];
            note(holders, entry.owner, number, place);
        }
    }

    /// Returns whether some item waits for this block.
    pub(crate) fn is_awaited(&self, root: &C::Root) -> bool {
        self.by_root.contains_key(root)
    }

    /// Returns who owns a block that waits for this one.
    pub(crate) fn builders(&self, root: &C::Root) -> impl Iterator<Item = Peer> {
        self.builders.of(root)
    }

    /// Returns at most `limit` roots that the network is to be asked for again at slot `now`.
    /// `proven` tells of a peer.
    pub(crate) fn needs_again(
        &mut self,
        now: Slot,
        limit: usize,
        proven: impl Fn(Peer) -> bool,
    ) -> Vec<C::Root> {
        self.needs.again(now, limit, proven)
    }

    /// As [`Table::needs_again`], for payloads.
    pub(crate) fn payload_needs_again(
        &mut self,
        now: Slot,
        limit: usize,
        proven: impl Fn(Peer) -> bool,
    ) -> Vec<C::Root> {
        self.payload_needs.again(now, limit, proven)
    }

    /// Takes what waits for the payload of `root` out of its queue, in the order of arrival.
    pub(crate) fn take_waiting_for_payload(&mut self, root: C::Root) -> Vec<Number> {
        let numbers = Vec::from_iter(self.by_payload.remove(&root).unwrap_or_default());
        self.payload_needs.forget(&root);
        self.leave(&numbers);
        numbers
    }

    /// Takes what waits for `root` out of its queue, in the order of arrival.
    pub(crate) fn take_waiting_for(&mut self, root: C::Root) -> Vec<Number> {
        let numbers = Vec::from_iter(self.by_root.remove(&root).unwrap_or_default());
        self.needs.forget(&root);
        self.builders.forget(&root);
        self.leave(&numbers);
        numbers
    }

    /// Takes what waits for a slot up to `slot` out of its queue, by slot and then arrival.
    pub(crate) fn take_slots_until(&mut self, slot: Slot) -> Vec<Number> {
        let mut numbers = Vec::new();
        while let Some(first) = self.by_slot.first_entry() {
            if *first.key() > slot {
                break;
            }
            numbers.extend(first.remove());
        }
        self.leave(&numbers);
        numbers
    }

    fn leave(&mut self, numbers: &[Number]) {
        for number in numbers {
            self.waits_no_more(*number);
            self.set(*number, Place::Judged);
        }
    }

    fn waits_no_more(&mut self, number: Number) {
        if self.waiting.remove(&number)
            && let Some(entry) = self.entries.get(&number)
        {
            self.expiry.remove(&(entry.expires, number));
            if let (Place::WaitingForRoot(_), Some(block)) =
                (entry.place, entry.item().block_root())
            {
                self.chains.remove(number, block);
            }
        }
    }

    fn unpark(&mut self, number: Number) {
        let Some(entry) = self.entries.get(&number) else { return };
        let (place, owner, block) = (entry.place, entry.owner, entry.item().block_root());
        self.waits_no_more(number);
        match place {
            Place::WaitingForRoot(root) => {
                if block.is_some() {
                    self.builders.end(&root, owner);
                }
                without(&mut self.by_root, &root, number);
                self.needs.end(&root, owner);
            }
            Place::WaitingForPayload(root) => {
                without(&mut self.by_payload, &root, number);
                self.payload_needs.end(&root, owner);
            }
            Place::WaitingForSlot(slot) => without(&mut self.by_slot, &slot, number),
            Place::Judged | Place::Ready | Place::InFlight { .. } | Place::Importing { .. } => {}
        }
    }

    /// Returns the items that have waited too long at slot `now`, by the slot and then by arrival.
    pub(crate) fn expired(&self, now: Slot) -> Vec<Number> {
        self.expiry.iter().take_while(|(at, _)| *at <= now).map(|(_, number)| *number).collect()
    }

    /// Returns the waiting items for which `passed` holds.
    pub(crate) fn waiting_until(&self, passed: impl Fn(&HeldItem<C>) -> bool) -> Vec<Number> {
        let holds = |number: &&Number| self.item(**number).is_some_and(&passed);
        self.waiting.iter().filter(holds).copied().collect()
    }

    /// Returns every item that is neither at the Rewinder nor on the way into Clearance, in the
    /// order of arrival.
    pub(crate) fn not_in_flight(&self) -> Vec<Number> {
        let here = |entry: &Entry<C>| {
            !matches!(entry.place, Place::InFlight { .. } | Place::Importing { .. })
        };
        self.entries.iter().filter(|(_, entry)| here(entry)).map(|(number, _)| *number).collect()
    }
}

impl<C: Consensus> Entry<C> {
    /// Returns the item.
    pub(crate) fn item(&self) -> &HeldItem<C> {
        self.item.item()
    }

    /// Returns its owner and the peers that have submitted it, some of them more than once.
    pub(crate) fn peers(&self) -> impl Iterator<Item = Peer> {
        let submitters = self.submissions.iter().map(|(_, peer)| *peer);
        submitters.chain([self.owner])
    }

    /// Returns the item's size, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.item.bytes()
    }
}

/// Tells the holders where an item is.
fn note<R>(holders: &mut Holders, owner: Peer, number: Number, place: Place<R>) {
    match place {
        Place::WaitingForRoot(_) | Place::WaitingForPayload(_) | Place::WaitingForSlot(_) => {
            holders.waits(owner, number);
        }
        Place::Ready => holders.is_ready(owner, number),
        Place::Judged | Place::InFlight { .. } | Place::Importing { .. } => {
            holders.is_busy(owner, number);
        }
    }
}

/// Takes some of a peer's submissions off their count, and the count with the last one.
fn uncount(per_peer: &mut BTreeMap<Peer, usize>, peer: Peer, submissions: usize) {
    if let Some(count) = per_peer.get_mut(&peer) {
        *count -= submissions;
        if *count == 0 {
            per_peer.remove(&peer);
        }
    }
}

/// Takes one number out of an index, and the index's row with the last one.
fn without<I: Ord>(index: &mut BTreeMap<I, BTreeSet<Number>>, row: &I, number: Number) {
    if let Some(numbers) = index.get_mut(row) {
        numbers.remove(&number);
        if numbers.is_empty() {
            index.remove(row);
        }
    }
}
