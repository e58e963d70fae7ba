//! The items that the Quarantine holds: one owner of what is ready, in flight and waiting, so that
//! no item is looked up in one place and parked in another (hazard Q1).
//!
//! **Invariants.**
//! - T1 An entry is in `by_root` or `by_slot` exactly if its place is `Waiting`.
//! - T2 `bytes`, `per_peer` and `order` are sums and orders over the entries alone.

use std::collections::BTreeMap;

use crate::consensus::{Consensus, Slot};
use crate::quarantine::event::{Item, ItemId};
use crate::verdict::{PendingReason, Quarantined};

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

impl<R: Copy, S> ItemKey<R, S> {
    /// Returns the key of an item.
    pub(crate) fn of<C: Consensus<Root = R, Signature = S>>(consensus: &C, item: &Item<C>) -> Self {
        match item {
            Item::Block(block) => {
                let header = consensus.header(block);
                Self::Block(header.root, header.signature)
            }
            Item::Attestation(attestation) => Self::Attestation(consensus.vote(attestation).id),
        }
    }

    /// Returns the root, if this is a block's key.
    pub(crate) fn block_root(&self) -> Option<R> {
        match self {
            Self::Block(root, _) => Some(*root),
            Self::Attestation(_) => None,
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
        /// Whether it was sent off in the first third of its own slot.
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
    /// Who submitted it, in the order of arrival; never empty.
    pub(crate) ids: Vec<ItemId>,
    /// Where it is.
    pub(crate) place: Place<C::Root>,
    /// What its submitters are told it waits for.
    pub(crate) why: PendingReason,
    item: Quarantined<Item<C>>,
    arrival: u64,
}

/// All held items, and the indices over those that wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Table<C: Consensus> {
    entries: BTreeMap<Key<C>, Entry<C>>,
    by_root: BTreeMap<C::Root, Vec<Key<C>>>,
    by_slot: BTreeMap<Slot, Vec<Key<C>>>,
    order: BTreeMap<u64, Key<C>>,
    per_peer: BTreeMap<u64, usize>,
    bytes: usize,
    arrivals: u64,
}

impl<C: Consensus> Table<C> {
    pub(crate) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            by_root: BTreeMap::new(),
            by_slot: BTreeMap::new(),
            order: BTreeMap::new(),
            per_peer: BTreeMap::new(),
            bytes: 0,
            arrivals: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn of_peer(&self, peer: u64) -> usize {
        self.per_peer.get(&peer).copied().unwrap_or(0)
    }

    pub(crate) fn get(&self, key: &Key<C>) -> Option<&Entry<C>> {
        self.entries.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &Key<C>) -> Option<&mut Entry<C>> {
        self.entries.get_mut(key)
    }

    pub(crate) fn item(&self, key: &Key<C>) -> Option<&Item<C>> {
        self.entries.get(key).map(|entry| entry.item.item())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<C>> {
        self.entries.values()
    }

    pub(crate) fn awaited_roots(&self) -> Vec<C::Root> {
        self.by_root.keys().copied().collect()
    }

    /// Adds an item whose key is new; it is in no queue yet.
    pub(crate) fn insert(&mut self, key: Key<C>, id: ItemId, item: Quarantined<Item<C>>) {
        self.bytes = self.bytes.saturating_add(item.bytes());
        *self.per_peer.entry(item.peer()).or_default() += 1;
        let arrival = self.arrivals;
        self.arrivals += 1;
        let why = PendingReason::BeingChecked;
        let entry = Entry { ids: vec![id], place: Place::Judged, why, item, arrival };
        self.entries.insert(key, entry);
    }

    /// Takes an item out, wherever it is. A key in a ready queue is left there for its owner.
    pub(crate) fn remove(&mut self, key: &Key<C>) -> Option<Entry<C>> {
        self.unpark(key);
        let entry = self.entries.remove(key)?;
        self.bytes = self.bytes.saturating_sub(entry.item.bytes());
        if let Some(count) = self.per_peer.get_mut(&entry.item.peer()) {
            *count -= 1;
            if *count == 0 {
                self.per_peer.remove(&entry.item.peer());
            }
        }
        Some(entry)
    }

    /// Parks an item until a block is decided. Returns whether it is the first to wait for it.
    pub(crate) fn wait_for_root(
        &mut self,
        key: &Key<C>,
        root: C::Root,
        why: PendingReason,
    ) -> bool {
        self.park(key, Place::WaitingForRoot(root), why);
        let waiting = self.by_root.entry(root).or_default();
        waiting.push(key.clone());
        waiting.len() == 1
    }

    /// Parks an item until its slot.
    pub(crate) fn wait_for_slot(&mut self, key: &Key<C>, slot: Slot) {
        self.park(key, Place::WaitingForSlot(slot), PendingReason::FutureSlot);
        self.by_slot.entry(slot).or_default().push(key.clone());
    }

    fn park(&mut self, key: &Key<C>, place: Place<C::Root>, why: PendingReason) {
        if let Some(entry) = self.entries.get_mut(key) {
            (entry.place, entry.why) = (place, why);
            self.order.insert(entry.arrival, key.clone());
        }
    }

    pub(crate) fn set_ready(&mut self, key: &Key<C>) {
        self.set(key, Place::Ready);
    }

    pub(crate) fn set_in_flight(&mut self, key: &Key<C>, timely: bool) {
        self.set(key, Place::InFlight { timely });
    }

    /// Notes that an item is valid and on the way into Clearance.
    pub(crate) fn set_importing(&mut self, key: &Key<C>, post_state_root: Option<C::Root>) {
        self.set(key, Place::Importing { post_state_root });
    }

    /// Returns whether some item waits for this block.
    pub(crate) fn is_awaited(&self, root: &C::Root) -> bool {
        self.by_root.contains_key(root)
    }

    fn set(&mut self, key: &Key<C>, place: Place<C::Root>) {
        if let Some(entry) = self.entries.get_mut(key) {
            (entry.place, entry.why) = (place, PendingReason::BeingChecked);
        }
    }

    /// Takes what waits for `root` out of its queue, in the order of arrival.
    pub(crate) fn take_waiting_for(&mut self, root: C::Root) -> Vec<Key<C>> {
        let keys = self.by_root.remove(&root).unwrap_or_default();
        self.leave(&keys);
        keys
    }

    /// Takes what waits for a slot up to `slot` out of its queue, by slot and then arrival.
    pub(crate) fn take_slots_until(&mut self, slot: Slot) -> Vec<Key<C>> {
        let mut keys = Vec::new();
        while let Some(first) = self.by_slot.first_entry() {
            if *first.key() > slot {
                break;
            }
            keys.extend(first.remove());
        }
        self.leave(&keys);
        keys
    }

    fn leave(&mut self, keys: &[Key<C>]) {
        for key in keys {
            if let Some(entry) = self.entries.get_mut(key) {
                entry.place = Place::Judged;
                self.order.remove(&entry.arrival);
            }
        }
    }

    fn unpark(&mut self, key: &Key<C>) {
        let Some(entry) = self.entries.get(key) else { return };
        self.order.remove(&entry.arrival);
        match entry.place {
            Place::WaitingForRoot(root) => without(&mut self.by_root, &root, key),
            Place::WaitingForSlot(slot) => without(&mut self.by_slot, &slot, key),
            Place::Judged | Place::Ready | Place::InFlight { .. } | Place::Importing { .. } => {}
        }
    }

    /// Returns the waiting item that arrived first.
    pub(crate) fn longest_waiting(&self) -> Option<Key<C>> {
        self.order.first_key_value().map(|(_, key)| key.clone())
    }

    /// Returns the waiting items for which `passed` holds.
    pub(crate) fn waiting_until(&self, passed: impl Fn(&Item<C>) -> bool) -> Vec<Key<C>> {
        let holds = |key: &&Key<C>| self.item(key).is_some_and(&passed);
        self.order.values().filter(holds).cloned().collect()
    }

    /// Returns every item that is neither at the Rewinder nor on the way into Clearance, in the
    /// order of arrival.
    pub(crate) fn not_in_flight(&self) -> Vec<Key<C>> {
        let mut keys: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| {
                !matches!(entry.place, Place::InFlight { .. } | Place::Importing { .. })
            })
            .map(|(key, entry)| (entry.arrival, key.clone()))
            .collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }
}

/// Takes one key out of an index, and the index's row with the last one.
fn without<I: Ord + Copy, K: PartialEq>(index: &mut BTreeMap<I, Vec<K>>, row: &I, key: &K) {
    if let Some(keys) = index.get_mut(row) {
        keys.retain(|other| other != key);
        if keys.is_empty() {
            index.remove(row);
        }
    }
}
