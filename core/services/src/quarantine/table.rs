//! The items that the Quarantine holds. What is ready, in flight and waiting has one owner here, so
//! that no item is looked up in one place and parked in another (hazard Q1).
//!
//! **Invariants.**
//! - T1 An entry is in `by_root` or `by_slot` exactly if its place is `WaitingForRoot` or
//!   `WaitingForSlot`. The entries in either of them are those in `waiting`.
//! - T2 `bytes`, `submissions` and `per_peer` are sums over the entries alone: an item costs its
//!   bytes once, and each of its submissions counts for the peer that made it.
//! - T3 `numbers` has the key of each entry, and no other key.

use std::collections::{BTreeMap, BTreeSet};

use crate::consensus::{Consensus, Slot};
use crate::identified::{self, IdentifiedAttestation, IdentifiedBlock};
use crate::quarantine::event::Item;
use crate::rewinder::Job;
use crate::verdict::{ItemId, PendingReason, Quarantined};

/// What tells two items apart. A block's signature is part of it: until it is verified, a forged
/// copy must not stand for the honest block (hazard Q6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ItemKey<R, S> {
    /// A block's root and signature.
    Block(R, S),
    /// An attestation's own root, which covers its signature.
    Attestation(R),
}

/// The key of an item of `C`.
pub(crate) type Key<C> = ItemKey<<C as Consensus>::Root, <C as Consensus>::Signature>;

/// The number of a held item: its place in the order of arrival. It is never used again.
pub(crate) type Number = u64;

/// An item that has been looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HeldItem<C: Consensus> {
    /// A block with its header.
    Block(IdentifiedBlock<C>),
    /// An attestation with its vote.
    Attestation(IdentifiedAttestation<C>),
}

impl<C: Consensus> HeldItem<C> {
    /// Looks at an item for the first time.
    pub(crate) fn of(consensus: &C, item: Item<C>) -> Self {
        match item {
            Item::Block(block) => Self::Block(identified::block(consensus, block)),
            Item::Attestation(attestation) => {
                Self::Attestation(identified::attestation(consensus, attestation))
            }
        }
    }

    /// Returns the Rewinder's job for this item.
    pub(crate) fn job(&self) -> Job<C> {
        match self {
            Self::Block(block) => Job::Block(block.clone()),
            Self::Attestation(attestation) => Job::Attestation(attestation.clone()),
        }
    }

    /// Returns the root, if this is a block.
    pub(crate) fn block_root(&self) -> Option<C::Root> {
        match self {
            Self::Block(block) => Some(block.identity().root),
            Self::Attestation(_) => None,
        }
    }

    /// Returns what tells the item from others.
    pub(crate) fn key(&self) -> Key<C> {
        match self {
            Self::Block(block) => {
                let header = block.identity();
                ItemKey::Block(header.root, header.signature.clone())
            }
            Self::Attestation(attestation) => ItemKey::Attestation(attestation.identity().id),
        }
    }
}

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
    },
    /// Valid, and on the way into Clearance.
    Importing {
        /// For a block: the root that its verdict tells.
        post_state_root: Option<R>,
    },
    /// Under `by_root`.
    WaitingForRoot(R),
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
    /// The item, with the peer and the size that quotas count.
    item: Quarantined<HeldItem<C>>,
}

/// All held items, and the indices over those that wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Table<C: Consensus> {
    entries: BTreeMap<Number, Entry<C>>,
    numbers: BTreeMap<Key<C>, Number>,
    by_root: BTreeMap<C::Root, BTreeSet<Number>>,
    by_slot: BTreeMap<Slot, BTreeSet<Number>>,
    waiting: BTreeSet<Number>,
    per_peer: BTreeMap<u64, usize>,
    submissions: usize,
    bytes: usize,
    arrivals: u64,
}

impl<C: Consensus> Table<C> {
    pub(crate) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            numbers: BTreeMap::new(),
            by_root: BTreeMap::new(),
            by_slot: BTreeMap::new(),
            waiting: BTreeSet::new(),
            per_peer: BTreeMap::new(),
            submissions: 0,
            bytes: 0,
            arrivals: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns how many submissions have no verdict.
    pub(crate) fn submissions(&self) -> usize {
        self.submissions
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many of them are of this peer.
    pub(crate) fn of_peer(&self, peer: u64) -> usize {
        self.per_peer.get(&peer).copied().unwrap_or(0)
    }

    pub(crate) fn get(&self, number: Number) -> Option<&Entry<C>> {
        self.entries.get(&number)
    }

    /// Returns the number of the item of this key that is held.
    pub(crate) fn copy_of(&self, key: &Key<C>) -> Option<Number> {
        self.numbers.get(key).copied()
    }

    /// Adds a submission of a held item.
    pub(crate) fn follow(&mut self, number: Number, id: ItemId, peer: u64) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.submissions.push((id, peer));
            self.submissions += 1;
            *self.per_peer.entry(peer).or_default() += 1;
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

    /// Adds an item of which no copy is held; it is in no queue yet. Returns its number.
    pub(crate) fn insert(
        &mut self,
        key: Key<C>,
        id: ItemId,
        item: Quarantined<HeldItem<C>>,
    ) -> Number {
        self.bytes = self.bytes.saturating_add(item.bytes());
        let number = self.arrivals;
        self.arrivals += 1;
        self.numbers.insert(key, number);
        let (peer, why) = (item.peer(), PendingReason::BeingChecked);
        let entry = Entry { submissions: Vec::new(), place: Place::Judged, why, item };
        self.entries.insert(number, entry);
        self.follow(number, id, peer);
        number
    }

    /// Takes an item out, wherever it is. A number in a ready queue is left there for its owner.
    pub(crate) fn remove(&mut self, number: Number) -> Option<Entry<C>> {
        self.unpark(number);
        let entry = self.entries.remove(&number)?;
        self.numbers.remove(&entry.item.item().key());
        self.bytes = self.bytes.saturating_sub(entry.item.bytes());
        self.submissions -= entry.submissions.len();
        for (_, peer) in &entry.submissions {
            if let Some(count) = self.per_peer.get_mut(peer) {
                *count -= 1;
                if *count == 0 {
                    self.per_peer.remove(peer);
                }
            }
        }
        Some(entry)
    }

    /// Parks an item until a block is decided. Returns whether it is the first to wait for it.
    pub(crate) fn wait_for_root(
        &mut self,
        number: Number,
        root: C::Root,
        why: PendingReason,
    ) -> bool {
        self.park(number, Place::WaitingForRoot(root), why);
        let waiting = self.by_root.entry(root).or_default();
        waiting.insert(number);
        waiting.len() == 1
    }

    /// Parks an item until its slot.
    pub(crate) fn wait_for_slot(&mut self, number: Number, slot: Slot) {
        self.park(number, Place::WaitingForSlot(slot), PendingReason::FutureSlot);
        self.by_slot.entry(slot).or_default().insert(number);
    }

    fn park(&mut self, number: Number, place: Place<C::Root>, why: PendingReason) {
        if let Some(entry) = self.entries.get_mut(&number) {
            (entry.place, entry.why) = (place, why);
            self.waiting.insert(number);
        }
    }

    /// Notes that an item is ready, at the Rewinder, or on the way into Clearance.
    pub(crate) fn set(&mut self, number: Number, place: Place<C::Root>) {
        if let Some(entry) = self.entries.get_mut(&number) {
            (entry.place, entry.why) = (place, PendingReason::BeingChecked);
        }
    }

    /// Returns whether some item waits for this block.
    pub(crate) fn is_awaited(&self, root: &C::Root) -> bool {
        self.by_root.contains_key(root)
    }

    /// Takes what waits for `root` out of its queue, in the order of arrival.
    pub(crate) fn take_waiting_for(&mut self, root: C::Root) -> Vec<Number> {
        let numbers = Vec::from_iter(self.by_root.remove(&root).unwrap_or_default());
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
            self.waiting.remove(number);
            self.set(*number, Place::Judged);
        }
    }

    fn unpark(&mut self, number: Number) {
        let Some(entry) = self.entries.get(&number) else { return };
        self.waiting.remove(&number);
        match entry.place {
            Place::WaitingForRoot(root) => without(&mut self.by_root, &root, number),
            Place::WaitingForSlot(slot) => without(&mut self.by_slot, &slot, number),
            Place::Judged | Place::Ready | Place::InFlight { .. } | Place::Importing { .. } => {}
        }
    }

    /// Returns the waiting item that arrived first.
    pub(crate) fn longest_waiting(&self) -> Option<Number> {
        self.waiting.first().copied()
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
