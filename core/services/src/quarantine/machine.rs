//! The pure part of the Quarantine; see [`crate::quarantine`] for its contract.

mod finality;
mod judgement;

use std::collections::{BTreeMap, VecDeque};

use crate::bounded::{BoundedMap, BoundedSet};
use crate::consensus::{Checkpoint, Consensus, Header, Slot};
use crate::machine::Machine;
use crate::quarantine::event::{Effect, Event, Item, Limits, RequestId};
use crate::quarantine::machine::judgement::Judgement;
use crate::quarantine::table::{Entry, HeldItem, Key, Number, Place, Table};
use crate::rewinder::Answer;
use crate::verdict::{
    ClearedBlock, DropReason, IgnoreReason, ItemId, PendingReason, Quarantined, RejectReason,
    Verdict,
};

/// The number of intervals in a slot. A block that is judged in the first of them is timely
/// (`INTERVALS_PER_SLOT`).
const INTERVALS_PER_SLOT: u64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Known<R> {
    parent: R,
    slot: Slot,
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
    /// Roots that finality refused: they were never committed, and nothing below them can be.
    dead: BoundedSet<C::Root>,
    unviable: BoundedSet<C::Root>,
    /// Items that failed the Rewinder's check, with the reason. They are found by their keys, which
    /// tell all of their bytes.
    refused: BoundedMap<Key<C>, RejectReason<C::Invalid>>,
    seen: BoundedSet<C::Root>,
    table: Table<C>,
    ready_blocks: VecDeque<Number>,
    ready_attestations: VecDeque<Number>,
    /// Items at the Rewinder, and those on the way into Clearance: each item's place says which.
    requests: BTreeMap<RequestId, Number>,
    /// How many of them are at the Rewinder.
    in_flight: usize,
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
            refused: BoundedMap::new(limits.remembered),
            seen: BoundedSet::new(limits.remembered),
            table: Table::new(),
            ready_blocks: VecDeque::new(),
            ready_attestations: VecDeque::new(),
            requests: BTreeMap::new(),
            in_flight: 0,
            next_request: 0,
            stopping: false,
        }
    }

    /// Returns a machine that takes the place of this one, which may have been left in the middle
    /// of a step: only plain values are taken over (bounds, clock, the next number, whether it
    /// stops). `chain` is what Clearance has: root, parent and slot of each block, the finalised
    /// block among them. The new machine holds nothing. It does not remember what was refused
    /// before, so that is judged anew.
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
        self.in_flight
    }

    /// Returns how many items are held in all.
    #[must_use]
    pub fn held(&self) -> usize {
        self.table.len()
    }

    /// Returns every submission that has no verdict yet, with what it waits for.
    #[must_use]
    pub fn pending(&self) -> Vec<(ItemId, PendingReason)> {
        self.table.iter().flat_map(|e| e.submissions.iter().map(|(id, _)| (*id, e.why))).collect()
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
        let item = quarantined.map(|item| HeldItem::of(consensus, item));
        if self.table.of_peer(item.peer()) >= self.limits.items_per_peer {
            effects.push(dropped(id, DropReason::PeerQuota));
            return;
        }
        let key = item.item().key();
        if let Some(number) = self.table.copy_of(&key) {
            self.follow(number, id, item.peer(), effects);
            return;
        }
        if !self.make_room(item.bytes(), effects) {
            effects.push(dropped(id, DropReason::QuarantineFull));
            return;
        }
        let number = self.table.insert(key, id, item);
        self.judge_all(consensus, vec![number], effects);
    }

    /// Adds another copy of a held item: it gets its verdict with the first.
    fn follow(&mut self, number: Number, id: ItemId, peer: u64, effects: &mut Vec<Effect<C>>) {
        let Some(entry) = self.table.get(number) else { return };
        let (copies, why) = (entry.submissions.len(), entry.why);
        if copies > self.limits.followers || self.table.submissions() >= self.limits.items {
            let verdict = Verdict::Ignore(IgnoreReason::Duplicate);
            effects.push(Effect::Verdict { id, verdict });
        } else {
            self.table.follow(number, id, peer);
            effects.push(Effect::Parked { id, why });
        }
    }

    /// Evicts what has waited longest until one more item of `bytes` fits.
    fn make_room(&mut self, bytes: usize, effects: &mut Vec<Effect<C>>) -> bool {
        while self.table.submissions() >= self.limits.items
            || self.table.bytes().saturating_add(bytes) > self.limits.bytes
        {
            let Some(oldest) = self.table.longest_waiting() else { return false };
            self.finish(oldest, &Verdict::Dropped(DropReason::Evicted), effects);
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
        let Some(&number) = self.requests.get(&request) else { return };
        let Some(entry) = self.table.get(number) else { return };
        let Place::InFlight { timely } = entry.place else { return };
        let is_block = entry.item().block_root().is_some();
        self.requests.remove(&request);
        self.in_flight -= 1;
        match answer {
            Answer::Block(block) => {
                self.valid_block(consensus, request, number, block, timely, effects);
            }
            Answer::Attestation(attestation) => {
                self.import(request, number, None);
                effects.push(Effect::ClearAttestation { request, attestation });
            }
            Answer::Invalid(reason) => {
                self.remember(number, &reason);
                self.reject(consensus, number, reason, effects);
            }
            Answer::Pruned if is_block => {
                self.reject(consensus, number, RejectReason::NotDescendantOfFinalized, effects);
            }
            Answer::Pruned | Answer::Stale => {
                self.finish(number, &Verdict::Ignore(IgnoreReason::TooOld), effects);
            }
            Answer::Full => self.finish(number, &Verdict::Dropped(DropReason::HotDbFull), effects),
            Answer::Refused => {
                self.finish(number, &Verdict::Dropped(DropReason::Shutdown), effects);
            }
            Answer::Busy => {
                self.finish(number, &Verdict::Dropped(DropReason::RewinderFull), effects);
            }
            Answer::TooFar => {
                self.finish(number, &Verdict::Dropped(DropReason::TooFar), effects);
            }
            // The HotDB loses nothing but what finality passes, and remembers that for a while:
            // what it no longer knows may have been pruned long ago, or the fault is ours.
            Answer::UnknownParent | Answer::State(_) | Answer::Fault(_) => {
                self.fail(number, effects);
            }
        }
    }

    /// Passes a block that is valid and committed on to Clearance. Its verdict and its children
    /// wait until it is there. While it was checked, a copy of it may have come first, or finality
    /// may have passed its parent.
    fn valid_block(
        &mut self,
        consensus: &C,
        request: RequestId,
        number: Number,
        block: Box<ClearedBlock<C>>,
        timely: bool,
        effects: &mut Vec<Effect<C>>,
    ) {
        let header = block.item().identity();
        if self.known.contains_key(&header.root) {
            self.finish(number, &Verdict::Ignore(IgnoreReason::Duplicate), effects);
        } else if !self.known.contains_key(&header.parent) {
            self.reject(consensus, number, RejectReason::NotDescendantOfFinalized, effects);
        } else {
            self.import(request, number, Some(block.evidence().post_state_root));
            effects.push(Effect::ClearBlock { request, block, timely });
        }
    }

    /// Remembers why an item was refused, if that is a property of its bytes: a copy of it then costs
    /// a look-up (I9).
    fn remember(&mut self, number: Number, reason: &RejectReason<C::Invalid>) {
        if let (Some(item), RejectReason::Check(_)) = (self.table.item(number), reason) {
            self.refused.insert(item.key(), reason.clone());
        }
    }

    /// Notes that an item is valid and on the way into Clearance.
    fn import(&mut self, request: RequestId, number: Number, post_state_root: Option<C::Root>) {
        self.table.set(number, Place::Importing { post_state_root });
        self.requests.insert(request, number);
    }

    /// Takes the item of a request that was on the way into Clearance, and returns it.
    fn take_import(&mut self, request: RequestId) -> Option<Number> {
        let number = *self.requests.get(&request)?;
        let Place::Importing { .. } = self.table.get(number)?.place else { return None };
        self.requests.remove(&request)
    }

    /// Gives an item up for a fault of ours. Items that wait for it go on waiting, as it may come
    /// again.
    fn fail(&mut self, number: Number, effects: &mut Vec<Effect<C>>) {
        let root = self.table.item(number).and_then(HeldItem::block_root);
        self.finish(number, &Verdict::Dropped(DropReason::Fault), effects);
        if let Some(root) = root.filter(|root| self.table.is_awaited(root)) {
            effects.push(Effect::Need { root });
        }
    }

    fn reject(
        &mut self,
        consensus: &C,
        number: Number,
        reason: RejectReason<C::Invalid>,
        effects: &mut Vec<Effect<C>>,
    ) {
        let released = self.decide_against(number, reason, effects);
        self.judge_all(consensus, released, effects);
    }

    /// Gives the verdict, and remembers the root if the root covers the reason. Returns the items
    /// that waited for it. They are to be judged, as nothing else will ever release them.
    fn decide_against(
        &mut self,
        number: Number,
        reason: RejectReason<C::Invalid>,
        effects: &mut Vec<Effect<C>>,
    ) -> Vec<Number> {
        let condemns = reason.condemns_root();
        let passed = reason.is_finality();
        let root = self.table.item(number).and_then(HeldItem::block_root);
        self.finish(number, &Verdict::Reject(reason), effects);
        let Some(root) = root else { return Vec::new() };
        if condemns {
            self.unviable.insert(root);
        } else if passed {
            self.dead.insert(root);
        } else {
            return Vec::new();
        }
        self.table.take_waiting_for(root)
    }

    /// Judges items that are in no queue, and whatever that releases, depth first and in the order
    /// of arrival. The work is bounded by the number of items held, as each is judged at most once.
    fn judge_all(&mut self, consensus: &C, items: Vec<Number>, effects: &mut Vec<Effect<C>>) {
        let mut stack: Vec<_> = items.into_iter().rev().collect();
        while let Some(number) = stack.pop() {
            let Some(item) = self.table.item(number) else { continue };
            match self.judge_anew(consensus, item) {
                Judgement::Final(Verdict::Reject(reason)) => {
                    let released = self.decide_against(number, reason, effects);
                    stack.extend(released.into_iter().rev());
                }
                Judgement::Final(verdict) => self.finish(number, &verdict, effects),
                Judgement::AwaitRoot(root, why) => {
                    if self.table.wait_for_root(number, root, why) {
                        effects.push(Effect::Need { root });
                    }
                    self.announce(number, effects);
                }
                Judgement::AwaitSlot(slot) => {
                    self.table.wait_for_slot(number, slot);
                    self.announce(number, effects);
                }
                Judgement::Check => {
                    match item {
                        HeldItem::Block(_) => self.ready_blocks.push_back(number),
                        HeldItem::Attestation(_) => self.ready_attestations.push_back(number),
                    }
                    self.table.set(number, Place::Ready);
                }
            }
        }
    }

    /// Sends ready items off while the window has room, blocks first. Each is judged once more,
    /// because what was decided since it became ready counts.
    fn fill_window(&mut self, consensus: &C, effects: &mut Vec<Effect<C>>) {
        while self.in_flight < self.limits.window {
            let next =
                self.ready_blocks.pop_front().or_else(|| self.ready_attestations.pop_front());
            let Some(number) = next else { break };
            let Some(item) = self.table.item(number) else { continue };
            // A clock that has stepped back since makes no item wait again (I7).
            let judgement = self.judge(consensus, item);
            if !matches!(judgement, Judgement::Check | Judgement::AwaitSlot(_)) {
                self.judge_all(consensus, vec![number], effects);
                continue;
            }
            let (job, timely) = (item.job(), self.is_timely(consensus, item));
            self.table.set(number, Place::InFlight { timely });
            let request = self.next_request;
            self.next_request = self.next_request.wrapping_add(1);
            self.requests.insert(request, number);
            self.in_flight += 1;
            effects.push(Effect::Check { request, job });
        }
    }

    fn is_timely(&self, consensus: &C, item: &HeldItem<C>) -> bool {
        match item {
            HeldItem::Block(block) => {
                block.identity().slot == self.slot
                    && self.seconds_into_slot < consensus.seconds_per_slot() / INTERVALS_PER_SLOT
            }
            HeldItem::Attestation(_) => false,
        }
    }

    /// Takes note that an item is in Clearance. First the item is known, then finality moves, then
    /// its verdict is given and what waited for it is judged.
    fn imported(
        &mut self,
        consensus: &C,
        request: Option<RequestId>,
        finalized: Checkpoint<C::Root>,
        effects: &mut Vec<Effect<C>>,
    ) {
        let number = request.and_then(|request| self.take_import(request));
        let learnt = number.and_then(|number| Some((number, self.learn(number)?)));
        self.finality(consensus, finalized, effects);
        if let Some((number, verdict)) = learnt {
            let root = self.table.item(number).and_then(HeldItem::block_root);
            self.finish(number, &verdict, effects);
            if let Some(root) = root {
                let released = self.table.take_waiting_for(root);
                self.judge_all(consensus, released, effects);
            }
        }
    }

    /// Notes that an item is in Clearance, and returns its verdict. A block that finality has
    /// passed on the way is valid and already of no use.
    fn learn(&mut self, number: Number) -> Option<Verdict<C::Root, C::Invalid>> {
        let entry = self.table.get(number)?;
        let Place::Importing { post_state_root } = entry.place else { return None };
        match entry.item() {
            HeldItem::Block(block) => {
                let Header { root, parent, slot, .. } = *block.identity();
                if self.known.contains_key(&root) {
                    return Some(Verdict::Ignore(IgnoreReason::Duplicate));
                }
                if self.known.contains_key(&parent) {
                    self.known.insert(root, Known { parent, slot });
                } else {
                    self.pruned.insert(root);
                }
            }
            HeldItem::Attestation(attestation) => self.seen.insert(attestation.identity().id),
        }
        Some(Verdict::Accept { post_state_root })
    }

    fn stop(&mut self, effects: &mut Vec<Effect<C>>) {
        self.stopping = true;
        self.ready_blocks.clear();
        self.ready_attestations.clear();
        for number in self.table.not_in_flight() {
            self.finish(number, &Verdict::Dropped(DropReason::Shutdown), effects);
        }
    }

    /// Takes the item out and answers everyone who submitted it: the first gets the verdict, and
    /// the others get what they would have got had they come right after it.
    fn finish(
        &mut self,
        number: Number,
        verdict: &Verdict<C::Root, C::Invalid>,
        effects: &mut Vec<Effect<C>>,
    ) {
        let Some(Entry { submissions, .. }) = self.table.remove(number) else { return };
        for (position, (id, _)) in submissions.into_iter().enumerate() {
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

    fn announce(&self, number: Number, effects: &mut Vec<Effect<C>>) {
        if let Some(entry) = self.table.get(number) {
            let why = entry.why;
            let submissions = entry.submissions.iter();
            effects.extend(submissions.map(|(id, _)| Effect::Parked { id: *id, why }));
        }
    }
}

impl<C: Consensus> Machine<C> for Quarantine<C> {
    type Event = Event<C>;
    type Effect = Effect<C>;

    fn handle(&mut self, consensus: &C, event: Event<C>) -> Vec<Effect<C>> {
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
                if let Some(number) = self.take_import(request) {
                    self.fail(number, &mut effects);
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
}

fn dropped<C: Consensus>(id: ItemId, reason: DropReason) -> Effect<C> {
    Effect::Verdict { id, verdict: Verdict::Dropped(reason) }
}
