//! The pure part of the Quarantine; see [`crate::quarantine`] for its contract.

mod finality;

use std::collections::{BTreeMap, VecDeque};

use crate::bounded::BoundedSet;
use crate::consensus::{Checkpoint, Consensus, Header, Slot};
use crate::quarantine::event::{Effect, Event, Item, ItemId, Limits, RequestId};
use crate::quarantine::table::{Entry, ItemKey, Key, Place, Table};
use crate::rewinder::Answer;
use crate::verdict::{
    ClearedBlock, DropReason, IgnoreReason, PendingReason, Quarantined, RejectReason, Verdict,
};

/// A third of the slot: a block that is judged earlier is timely (`INTERVALS_PER_SLOT`).
const INTERVALS_PER_SLOT: u64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Known<R> {
    parent: R,
    slot: Slot,
}

/// What is to become of an item.
enum Judgement<C: Consensus> {
    Final(Verdict<C::Root, C::Invalid>),
    AwaitRoot(C::Root, PendingReason),
    AwaitSlot(Slot),
    Check,
}

/// The firewall; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quarantine<C: Consensus> {
    limits: Limits,
    slot: Slot,
    seconds_into_slot: u64,
    finalized: Checkpoint<C::Root>,
    known: BTreeMap<C::Root, Known<C::Root>>,
    pruned: BoundedSet<C::Root>,
    /// Refused by finality: never committed, and nothing below them can be.
    dead: BoundedSet<C::Root>,
    unviable: BoundedSet<C::Root>,
    seen: BoundedSet<C::Root>,
    table: Table<C>,
    ready_blocks: VecDeque<Key<C>>,
    ready_attestations: VecDeque<Key<C>>,
    in_flight: BTreeMap<RequestId, Key<C>>,
    /// Valid, and on the way into Clearance.
    importing: BTreeMap<RequestId, Key<C>>,
    next_request: RequestId,
    stopping: bool,
}

impl<C: Consensus> Quarantine<C> {
    /// Returns its bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns a Quarantine that knows the anchor: a finalised block and its slot.
    ///
    /// # Panics
    /// If `window` or `items` is 0.
    #[must_use]
    pub fn new(limits: Limits, finalized: Checkpoint<C::Root>, anchor_slot: Slot) -> Self {
        assert!(limits.window >= 1 && limits.items >= 1, "bounds must not be zero");
        let anchor = Known { parent: finalized.root, slot: anchor_slot };
        Self {
            limits,
            slot: anchor_slot,
            seconds_into_slot: 0,
            finalized,
            known: BTreeMap::from([(finalized.root, anchor)]),
            pruned: BoundedSet::new(limits.remembered),
            dead: BoundedSet::new(limits.remembered),
            unviable: BoundedSet::new(limits.remembered),
            seen: BoundedSet::new(limits.remembered),
            table: Table::new(),
            ready_blocks: VecDeque::new(),
            ready_attestations: VecDeque::new(),
            in_flight: BTreeMap::new(),
            importing: BTreeMap::new(),
            next_request: 0,
            stopping: false,
        }
    }

    /// Returns a machine that takes the place of this one, which may have been left in the middle
    /// of a step: only plain values are taken over (bounds, clock, the next number, whether it
    /// stops). `chain` is what Clearance has: root, parent and slot of each block; the finalised
    /// block among them. Nothing is held, and what was refused before is not remembered: it is
    /// judged anew.
    #[must_use]
    pub fn successor(
        &self,
        finalized: Checkpoint<C::Root>,
        chain: impl IntoIterator<Item = (C::Root, C::Root, Slot)>,
    ) -> Self {
        let mut new = Self::new(self.limits, finalized, self.slot);
        new.known =
            chain.into_iter().map(|(root, parent, slot)| (root, Known { parent, slot })).collect();
        (new.seconds_into_slot, new.stopping) = (self.seconds_into_slot, self.stopping);
        if new.known.contains_key(&finalized.root) {
            new.prune_known(finalized.root);
        }
        // Answers to the old machine's requests may still come: their numbers are not used again.
        new.next_request = self.next_request;
        new
    }

    /// Returns how many requests to the Rewinder are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Returns how many items are held in all.
    #[must_use]
    pub fn held(&self) -> usize {
        self.table.len()
    }

    /// Returns every submission that has no verdict yet, with what it waits for.
    #[must_use]
    pub fn pending(&self) -> Vec<(ItemId, PendingReason)> {
        self.table.iter().flat_map(|e| e.ids.iter().map(|id| (*id, e.why))).collect()
    }

    /// Returns the roots that held items wait for.
    #[must_use]
    pub fn awaited_roots(&self) -> Vec<C::Root> {
        self.table.awaited_roots()
    }

    /// Returns whether a block is committed, as far as the Quarantine was told.
    #[must_use]
    pub fn knows(&self, root: C::Root) -> bool {
        self.known.contains_key(&root)
    }

    /// Returns whether a root is remembered as invalid.
    #[must_use]
    pub fn is_unviable(&self, root: C::Root) -> bool {
        self.unviable.contains(&root)
    }

    /// Handles one event.
    pub fn handle(&mut self, consensus: &C, event: Event<C>) -> Vec<Effect<C>> {
        let mut effects = Vec::new();
        match event {
            Event::Submit { id, item } => self.submit(consensus, id, item, &mut effects),
            Event::Answered { request, answer } => {
                self.answered(consensus, request, answer, &mut effects);
            }
            Event::Imported { request, finalized } => {
                self.imported(consensus, request, finalized, &mut effects);
            }
            Event::NotImported { request } => {
                if let Some(key) = self.importing.remove(&request) {
                    self.fail(&key, &mut effects);
                }
            }
            Event::Tick { slot, seconds_into_slot } => {
                (self.slot, self.seconds_into_slot) = (slot, seconds_into_slot);
                let due = self.table.take_slots_until(slot);
                self.judge_all(consensus, due, &mut effects);
            }
            Event::Stop => self.stop(&mut effects),
        }
        self.fill_window(consensus, &mut effects);
        effects
    }

    fn submit(
        &mut self,
        consensus: &C,
        id: ItemId,
        quarantined: Quarantined<Item<C>>,
        effects: &mut Vec<Effect<C>>,
    ) {
        if self.stopping {
            effects.push(dropped(id, DropReason::Shutdown));
            return;
        }
        let key = ItemKey::of(consensus, quarantined.item());
        if let Some(entry) = self.table.get_mut(&key) {
            if entry.ids.len() > self.limits.followers {
                let verdict = Verdict::Ignore(IgnoreReason::Duplicate);
                effects.push(Effect::Verdict { id, verdict });
                return;
            }
            entry.ids.push(id);
            effects.push(Effect::Parked { id, why: entry.why });
            return;
        }
        if self.table.of_peer(quarantined.peer()) >= self.limits.items_per_peer {
            effects.push(dropped(id, DropReason::PeerQuota));
            return;
        }
        if !self.make_room(quarantined.bytes(), effects) {
            effects.push(dropped(id, DropReason::QuarantineFull));
            return;
        }
        self.table.insert(key.clone(), id, quarantined);
        self.judge_all(consensus, vec![key], effects);
    }

    /// Evicts what has waited longest until one more item of `bytes` fits.
    fn make_room(&mut self, bytes: usize, effects: &mut Vec<Effect<C>>) -> bool {
        while self.table.len() >= self.limits.items
            || self.table.bytes().saturating_add(bytes) > self.limits.bytes
        {
            let Some(oldest) = self.table.longest_waiting() else { return false };
            self.finish(&oldest, &Verdict::Dropped(DropReason::Evicted), effects);
        }
        true
    }

    fn answered(
        &mut self,
        consensus: &C,
        request: RequestId,
        answer: Answer<C>,
        effects: &mut Vec<Effect<C>>,
    ) {
        // An answer that nobody asked for, or a second one, changes nothing.
        let Some(key) = self.in_flight.remove(&request) else { return };
        let Some(entry) = self.table.get_mut(&key) else { return };
        let Place::InFlight { timely } = entry.place else { return };
        match answer {
            Answer::Block(block) => {
                self.valid_block(consensus, request, key, block, timely, effects);
            }
            Answer::Attestation(attestation) => {
                self.table.set_importing(&key, None);
                self.importing.insert(request, key);
                effects.push(Effect::ClearAttestation { request, attestation });
            }
            Answer::Invalid(reason) => self.reject(consensus, &key, reason, effects),
            Answer::Pruned => match &key {
                ItemKey::Block(..) => {
                    self.reject(consensus, &key, RejectReason::NotDescendantOfFinalized, effects);
                }
                ItemKey::Attestation(_) => {
                    self.finish(&key, &Verdict::Ignore(IgnoreReason::TooOld), effects);
                }
            },
            Answer::Full => self.finish(&key, &Verdict::Dropped(DropReason::HotDbFull), effects),
            Answer::Refused => self.finish(&key, &Verdict::Dropped(DropReason::Shutdown), effects),
            // The HotDB loses nothing but what finality passes, and remembers that for a while:
            // what it no longer knows may have been pruned long ago, or the fault is ours.
            Answer::UnknownParent | Answer::State(_) | Answer::Fault(_) => {
                self.fail(&key, effects);
            }
        }
    }

    /// A block that is valid and committed goes on to Clearance; its verdict, and its children,
    /// wait until it is there. While it was checked, its copy may have come first, or finality may
    /// have passed its parent.
    fn valid_block(
        &mut self,
        consensus: &C,
        request: RequestId,
        key: Key<C>,
        block: Box<ClearedBlock<C>>,
        timely: bool,
        effects: &mut Vec<Effect<C>>,
    ) {
        let header = consensus.header(block.item());
        if self.known.contains_key(&header.root) {
            self.finish(&key, &Verdict::Ignore(IgnoreReason::Duplicate), effects);
            return;
        }
        if !self.known.contains_key(&header.parent) {
            self.reject(consensus, &key, RejectReason::NotDescendantOfFinalized, effects);
            return;
        }
        self.table.set_importing(&key, Some(block.evidence().post_state_root));
        self.importing.insert(request, key);
        effects.push(Effect::ClearBlock { request, block, timely });
    }

    /// Gives an item up for a fault of ours. What waits for it goes on waiting: it may come again.
    fn fail(&mut self, key: &Key<C>, effects: &mut Vec<Effect<C>>) {
        self.finish(key, &Verdict::Dropped(DropReason::Fault), effects);
        if let Some(root) = key.block_root()
            && self.table.is_awaited(&root)
        {
            effects.push(Effect::Need { root });
        }
    }

    fn reject(
        &mut self,
        consensus: &C,
        key: &Key<C>,
        reason: RejectReason<C::Invalid>,
        effects: &mut Vec<Effect<C>>,
    ) {
        let released = self.decide_against(key, reason, effects);
        self.judge_all(consensus, released, effects);
    }

    /// Gives the verdict and remembers the root, if the reason is in the root. Returns what waited
    /// for it: to be judged, as nothing else will ever release it.
    fn decide_against(
        &mut self,
        key: &Key<C>,
        reason: RejectReason<C::Invalid>,
        effects: &mut Vec<Effect<C>>,
    ) -> Vec<Key<C>> {
        let condemns = reason.condemns_root();
        let passed = reason.is_finality();
        self.finish(key, &Verdict::Reject(reason), effects);
        let Some(root) = key.block_root() else { return Vec::new() };
        if condemns {
            self.unviable.insert(root);
        } else if passed {
            self.dead.insert(root);
        } else {
            return Vec::new();
        }
        self.table.take_waiting_for(root)
    }

    /// Judges items that are in no queue, and whatever that releases: depth first, in the order of
    /// arrival. Bounded by the number of items held, as each is judged at most once.
    fn judge_all(&mut self, consensus: &C, items: Vec<Key<C>>, effects: &mut Vec<Effect<C>>) {
        let mut stack: Vec<_> = items.into_iter().rev().collect();
        while let Some(key) = stack.pop() {
            let judgement = self.judge(consensus, &key);
            match judgement {
                Judgement::Final(Verdict::Reject(reason)) => {
                    let released = self.decide_against(&key, reason, effects);
                    stack.extend(released.into_iter().rev());
                }
                Judgement::Final(verdict) => self.finish(&key, &verdict, effects),
                Judgement::AwaitRoot(root, why) => {
                    if self.table.wait_for_root(&key, root, why) {
                        effects.push(Effect::Need { root });
                    }
                    self.announce(&key, effects);
                }
                Judgement::AwaitSlot(slot) => {
                    self.table.wait_for_slot(&key, slot);
                    self.announce(&key, effects);
                }
                Judgement::Check => {
                    self.table.set_ready(&key);
                    match &key {
                        ItemKey::Block(..) => self.ready_blocks.push_back(key),
                        ItemKey::Attestation(_) => self.ready_attestations.push_back(key),
                    }
                }
            }
        }
    }

    fn judge(&self, consensus: &C, key: &Key<C>) -> Judgement<C> {
        match self.table.item(key) {
            Some(Item::Block(block)) => self.judge_block(consensus, block),
            Some(Item::Attestation(attestation)) => self.judge_attestation(consensus, attestation),
            None => Judgement::Final(Verdict::Dropped(DropReason::Fault)),
        }
    }

    /// The order is `on_block`'s, after duplicates and bad ancestors.
    fn judge_block(&self, consensus: &C, block: &C::Block) -> Judgement<C> {
        use Judgement::{AwaitRoot, AwaitSlot, Check};
        let header = consensus.header(block);
        if self.known.contains_key(&header.root) || self.pruned.contains(&header.root) {
            return Judgement::Final(Verdict::Ignore(IgnoreReason::Duplicate));
        }
        if self.unviable.contains(&header.root) {
            return Judgement::reject(RejectReason::KnownInvalid);
        }
        if self.unviable.contains(&header.parent) {
            return Judgement::reject(RejectReason::InvalidAncestor);
        }
        let parent_passed = self.is_passed(&header.parent);
        if !parent_passed && !self.known.contains_key(&header.parent) {
            return AwaitRoot(header.parent, PendingReason::UnknownParent);
        }
        if self.slot < header.slot {
            return AwaitSlot(header.slot);
        }
        if header.slot <= consensus.start_slot(self.finalized.epoch) {
            return Judgement::reject(RejectReason::NotAfterFinalizedSlot);
        }
        if parent_passed {
            return Judgement::reject(RejectReason::NotDescendantOfFinalized);
        }
        Check
    }

    fn judge_attestation(&self, consensus: &C, attestation: &C::Attestation) -> Judgement<C> {
        use Judgement::{AwaitRoot, AwaitSlot, Check, Final};
        let vote = consensus.vote(attestation);
        let (head, target) = (vote.beacon_block_root, vote.target);
        if self.seen.contains(&vote.id) {
            return Final(Verdict::Ignore(IgnoreReason::Duplicate));
        }
        if target.epoch != consensus.epoch_at(vote.slot) {
            return Judgement::reject(RejectReason::BadTargetEpoch);
        }
        if self.unviable.contains(&head) || self.unviable.contains(&target.root) {
            return Judgement::reject(RejectReason::InvalidAncestor);
        }
        if target.epoch.saturating_add(1) < consensus.epoch_at(self.slot)
            || target.epoch < self.finalized.epoch
            || self.is_passed(&head)
        {
            return Final(Verdict::Ignore(IgnoreReason::TooOld));
        }
        let Some(block) = self.known.get(&head) else {
            return AwaitRoot(head, PendingReason::UnknownBlock);
        };
        if block.slot > vote.slot {
            return Judgement::reject(RejectReason::BlockAfterAttestation);
        }
        if vote.slot > self.slot {
            return AwaitSlot(vote.slot);
        }
        if self.ancestor(head, consensus.start_slot(target.epoch)) != Some(target.root) {
            return Judgement::reject(RejectReason::BadTargetRoot);
        }
        Check
    }

    /// Returns whether finality has passed a block: it was pruned, or refused for that.
    fn is_passed(&self, root: &C::Root) -> bool {
        self.pruned.contains(root) || self.dead.contains(root)
    }

    /// `get_ancestor`: the block of the branch at, or last before, `slot`.
    fn ancestor(&self, root: C::Root, slot: Slot) -> Option<C::Root> {
        let mut at = root;
        // Bounded by the number of known blocks: slots fall along parents, the anchor is its own.
        loop {
            let known = self.known.get(&at)?;
            if known.slot <= slot {
                return Some(at);
            }
            if known.parent == at {
                return None;
            }
            at = known.parent;
        }
    }

    /// Sends ready items off while the window has room, blocks first, each judged once more: what
    /// was decided since it became ready counts.
    fn fill_window(&mut self, consensus: &C, effects: &mut Vec<Effect<C>>) {
        while self.in_flight.len() < self.limits.window {
            let next =
                self.ready_blocks.pop_front().or_else(|| self.ready_attestations.pop_front());
            let Some(key) = next else { break };
            if !matches!(self.judge(consensus, &key), Judgement::Check) {
                self.judge_all(consensus, vec![key], effects);
                continue;
            }
            let Some(job) = self.table.item(&key).map(Item::job) else { continue };
            let timely = self.is_timely(consensus, &key);
            self.table.set_in_flight(&key, timely);
            let request = self.next_request;
            self.next_request = self.next_request.wrapping_add(1);
            self.in_flight.insert(request, key);
            effects.push(Effect::Check { request, job });
        }
    }

    fn is_timely(&self, consensus: &C, key: &Key<C>) -> bool {
        match self.table.item(key) {
            Some(Item::Block(block)) => {
                consensus.header(block).slot == self.slot
                    && self.seconds_into_slot < consensus.seconds_per_slot() / INTERVALS_PER_SLOT
            }
            _ => false,
        }
    }

    /// An item is in Clearance: it is known, then finality moves, then its verdict is given and
    /// what waited for it is judged.
    fn imported(
        &mut self,
        consensus: &C,
        request: Option<RequestId>,
        finalized: Checkpoint<C::Root>,
        effects: &mut Vec<Effect<C>>,
    ) {
        let key = request.and_then(|request| self.importing.remove(&request));
        let verdict = key.as_ref().and_then(|key| self.learn(consensus, key));
        self.finality(consensus, finalized, effects);
        if let (Some(key), Some(verdict)) = (key, verdict) {
            self.finish(&key, &verdict, effects);
            if let Some(root) = key.block_root() {
                let released = self.table.take_waiting_for(root);
                self.judge_all(consensus, released, effects);
            }
        }
    }

    /// Notes that an item is in Clearance, and returns its verdict. If finality has passed a block
    /// on the way, it is valid and already of no use.
    fn learn(&mut self, consensus: &C, key: &Key<C>) -> Option<Verdict<C::Root, C::Invalid>> {
        let entry = self.table.get(key)?;
        let Place::Importing { post_state_root } = entry.place else { return None };
        match self.table.item(key)? {
            Item::Block(block) => {
                let Header { root, parent, slot, .. } = consensus.header(block);
                if self.known.contains_key(&root) {
                    return Some(Verdict::Ignore(IgnoreReason::Duplicate));
                }
                if self.known.contains_key(&parent) {
                    self.known.insert(root, Known { parent, slot });
                } else {
                    self.pruned.insert(root);
                }
            }
            Item::Attestation(attestation) => self.seen.insert(consensus.vote(attestation).id),
        }
        Some(Verdict::Accept { post_state_root })
    }

    fn stop(&mut self, effects: &mut Vec<Effect<C>>) {
        self.stopping = true;
        self.ready_blocks.clear();
        self.ready_attestations.clear();
        for key in self.table.not_in_flight() {
            self.finish(&key, &Verdict::Dropped(DropReason::Shutdown), effects);
        }
    }

    /// Takes the item out and answers everyone who submitted it: the first gets the verdict, the
    /// others what they would have got had they come right after it.
    fn finish(
        &mut self,
        key: &Key<C>,
        verdict: &Verdict<C::Root, C::Invalid>,
        effects: &mut Vec<Effect<C>>,
    ) {
        let Some(Entry { ids, .. }) = self.table.remove(key) else { return };
        for (position, id) in ids.into_iter().enumerate() {
            let verdict = match verdict {
                Verdict::Accept { .. } if position > 0 => Verdict::Ignore(IgnoreReason::Duplicate),
                Verdict::Reject(reason) if position > 0 && reason.condemns_root() => {
                    Verdict::Reject(RejectReason::KnownInvalid)
                }
                _ => verdict.clone(),
            };
            effects.push(Effect::Verdict { id, verdict });
        }
    }

    fn announce(&self, key: &Key<C>, effects: &mut Vec<Effect<C>>) {
        if let Some(entry) = self.table.get(key) {
            let why = entry.why;
            effects.extend(entry.ids.iter().map(|id| Effect::Parked { id: *id, why }));
        }
    }
}

impl<C: Consensus> Judgement<C> {
    fn reject(reason: RejectReason<C::Invalid>) -> Self {
        Self::Final(Verdict::Reject(reason))
    }
}

fn dropped<C: Consensus>(id: ItemId, reason: DropReason) -> Effect<C> {
    Effect::Verdict { id, verdict: Verdict::Dropped(reason) }
}
