//! The pure part of the Quarantine; see [`crate::quarantine`] for its contract.

mod finality;
mod gossip;
mod judgement;
#[cfg(any(test, feature = "testing"))]
mod look;
mod payload;
mod seen;
mod shares;

#[cfg(any(test, feature = "testing"))]
pub use look::Shares;

use std::collections::BTreeMap;

use crate::bounded::{BoundedMap, BoundedSet};
use crate::consensus::{Checkpoint, Consensus, Header, Slot};
use crate::machine::Machine;
use crate::quarantine::event::{Effect, Event, Item, Limits, RequestId};
use crate::quarantine::fair::FairQueue;
use crate::quarantine::held_item::{HeldItem, Key, Kind};
use crate::quarantine::machine::judgement::Judgement;
use crate::quarantine::machine::seen::Seen;
use crate::quarantine::machine::shares::Flights;
use crate::quarantine::standing::Standings;
use crate::quarantine::table::{Entry, Number, Place, Table};
use crate::rewinder::Answer;
use crate::verdict::{
    ClearedBlock, DropReason, IgnoreReason, ItemId, PendingReason, Quarantined, RejectReason,
    Verdict,
};

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
    into_slot_ms: u64,
    finalized: Checkpoint<C::Root>,
    known: BTreeMap<C::Root, Known<C::Root>>,
    pruned: BoundedSet<C::Root>,
    /// Roots that finality refused: they were never committed, and nothing below them can be.
    dead: BoundedSet<C::Root>,
    /// Roots that the HotDB had pruned the trail of before this machine was told of finality, and
    /// those of blocks on them. What builds on one is of no use, but it may be merely late.
    left_behind: BoundedSet<C::Root>,
    unviable: BoundedSet<C::Root>,
    /// Items that failed the Rewinder's check, with the reason. They are found by their keys, which
    /// tell all of their bytes.
    refused: BoundedMap<Key<C>, RejectReason<C::Invalid>>,
    /// Votes that were checked though another one of their validator had been accepted.
    second_votes: BoundedSet<Key<C>>,
    seen: BoundedSet<C::Root>,
    /// Blocks whose payloads are there, known or not. A payload that is forgotten is asked for
    /// again if something waits for it.
    payloads: BoundedSet<C::Root>,
    /// What has been accepted, as the conditions of the topics ask for it.
    gossip: Seen<C::Root>,
    table: Table<C>,
    standings: Standings,
    /// What is ready, by kind.
    ready: [FairQueue; Kind::COUNT],
    /// How often each kind with something ready has been passed over since it was served.
    passed_over: [u8; Kind::COUNT],
    /// Items at the Rewinder, and those on the way into Clearance: each item's place says which.
    requests: BTreeMap<RequestId, Number>,
    /// How many of them are at the Rewinder, by kind.
    in_flight: [Flights; Kind::COUNT],
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
    /// If `window`, `unproven`, `peer_blocks`, `peer_votes`, `items` or `patience` is 0.
    #[must_use]
    pub fn new(limits: Limits, finalized: Checkpoint<C::Root>, anchor_slot: Slot) -> Self {
        let Limits { window, unproven, peer_blocks, peer_votes, items, patience, .. } = limits;
        let least = [window, unproven, peer_blocks, peer_votes, items].into_iter().min();
        assert!(least >= Some(1) && patience >= 1, "bounds must not be zero");
        let anchor = Known { parent: finalized.root, slot: anchor_slot };
        Self {
            limits,
            slot: anchor_slot,
            into_slot_ms: 0,
            finalized,
            known: BTreeMap::from([(finalized.root, anchor)]),
            pruned: BoundedSet::new(limits.remembered),
            dead: BoundedSet::new(limits.remembered),
            left_behind: BoundedSet::new(limits.remembered),
            unviable: BoundedSet::new(limits.remembered),
            refused: BoundedMap::new(limits.remembered),
            second_votes: BoundedSet::new(limits.remembered),
            seen: BoundedSet::new(limits.remembered),
            payloads: BoundedSet::new(limits.remembered),
            gossip: Seen::new(limits.remembered),
            table: Table::new(),
            standings: Standings::new(limits.peers, anchor_slot),
            ready: Kind::ALL.map(|_| FairQueue::new(limits.peers)),
            passed_over: Default::default(),
            requests: BTreeMap::new(),
            in_flight: Default::default(),
            next_request: 0,
            stopping: false,
        }
    }

    /// Returns a machine that takes the place of this one, which may have been left in the middle
    /// of a step: only plain values are taken over (bounds, clock, the next number, whether it
    /// stops). `chain` is what Clearance has: root, parent and slot of each block, the finalised
    /// block among them. The new machine holds nothing. It does not remember what was refused or
    /// accepted before, so that is judged anew.
    #[must_use]
    pub fn successor(
        &self,
        consensus: &C,
        finalized: Checkpoint<C::Root>,
        chain: impl IntoIterator<Item = (C::Root, C::Root, Slot)>,
    ) -> Self {
        let mut new = Self::new(self.limits, finalized, self.slot);
        new.known =
            chain.into_iter().map(|(root, parent, slot)| (root, Known { parent, slot })).collect();
        (new.into_slot_ms, new.stopping) = (self.into_slot_ms, self.stopping);
        if new.known.contains_key(&finalized.root) {
            new.prune_known(consensus);
        }
        // Answers to the old machine's requests may still come: their numbers are not used again.
        new.next_request = self.next_request;
        new
    }

    /// Returns how many requests to the Rewinder are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.iter().map(|flights| flights.all).sum()
    }

    /// Returns how many items are held in all.
    #[must_use]
    pub fn held(&self) -> usize {
        self.table.len()
    }

    /// Returns how many items are looked at when a peer falls, and when it rises.
    #[cfg(test)]
    pub(crate) fn shared(&self, peer: u64) -> [usize; 2] {
        [self.table.shared_of(peer).len(), self.table.shared_with(peer).len()]
    }

    /// Returns how many numbers the ready queues have.
    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        self.ready.iter().map(FairQueue::len).sum()
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
        let (peer, key, kind) = (item.peer(), item.item().key(), item.item().kind());
        if let Some(number) = self.table.copy_of(&key) {
            self.follow(number, id, peer, effects);
            return;
        }
        let (proven, expires) = (self.standings.is_proven(peer), self.expiry(item.item()));
        let number = self.table.insert(key, id, item, proven, expires);
        self.judge_all(consensus, vec![number], effects);
        // What is decided at once needs no room, and what others wait for lets them go: only what
        // is left counts (A5).
        self.make_room(number, peer, kind, effects);
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
        let Place::InFlight { timely, peer, unproven } = entry.place else { return };
        let is_block = entry.item().block_root().is_some();
        self.in_flight[entry.item().kind() as usize].end(peer, unproven);
        self.requests.remove(&request);
        match answer {
            Answer::Block(block) => {
                self.valid_block(consensus, request, number, block, timely, effects);
            }
            Answer::Attestation(attestation) => {
                self.import(request, number, None);
                effects.push(Effect::ClearAttestation { request, attestation });
            }
            Answer::Vote(vote) => self.valid_vote(request, number, vote, effects),
            Answer::Operation(operation) => {
                self.valid_operation(request, number, operation, effects);
            }
            Answer::PayloadVote(vote) => {
                self.valid_payload_vote(request, number, vote, effects);
            }
            Answer::InvalidVote { reason, attester } => {
                self.invalid_vote(consensus, number, reason, attester, effects);
            }
            Answer::Invalid(RejectReason::SlotNotAfterParent) if !is_block => {
                // The clock has stepped back to before the head's slot.
                self.fail(number, effects);
            }
            Answer::Invalid(reason) => {
                self.remember(number, &reason);
                self.reject(consensus, number, reason, effects);
            }
            Answer::Pruned if is_block => self.pruned_block(consensus, number, effects),
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
            Answer::UnknownParent | Answer::State(_) | Answer::Produced(_) | Answer::Fault(_) => {
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
        } else if !self.is_viable(consensus, &header.parent, header.slot) {
            self.passed(consensus, number, effects);
        } else {
            let voucher = self.are_kept(header).then(|| self.voucher(header)).flatten();
            self.gossip.count_proposal(header.slot, header.proposer, voucher);
            self.import(request, number, Some(block.evidence().post_state_root));
            effects.push(Effect::ClearBlock { request, block, timely });
        }
    }

    /// Remembers why an item was refused, if that is a property of its bytes: a copy of it then
    /// costs a look-up (I9). What is wrong with an operation may be the head's state alone.
    fn remember(&mut self, number: Number, reason: &RejectReason<C::Invalid>) {
        let Some(item) = self.table.item(number) else { return };
        let lasts = match item {
            HeldItem::Operation(_) => reason.condemns_root(),
            _ => matches!(reason, RejectReason::Check(_)),
        };
        if lasts {
            self.refused.insert(item.key(), reason.clone());
        }
    }

    /// Notes that an item is valid and on the way into Clearance.
    fn import(&mut self, request: RequestId, number: Number, post_state_root: Option<C::Root>) {
        self.table.set(number, Place::Importing { post_state_root, attester: None });
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
        let released = self.decide_against(number, &Verdict::Reject(reason), effects);
        self.judge_all(consensus, released, effects);
    }

    /// Gives the verdict, and remembers the root if the root covers the reason. Returns the items
    /// that waited for it. They are to be judged, as nothing else will ever release them.
    fn decide_against(
        &mut self,
        number: Number,
        verdict: &Verdict<C::Root, C::Invalid>,
        effects: &mut Vec<Effect<C>>,
    ) -> Vec<Number> {
        let root = self.table.item(number).and_then(HeldItem::block_root);
        self.finish(number, verdict, effects);
        let Some(root) = root else { return Vec::new() };
        match verdict {
            Verdict::Reject(reason) if reason.condemns_root() => self.unviable.insert(root),
            Verdict::Reject(reason) if reason.is_finality() => self.dead.insert(root),
            Verdict::Ignore(reason) if reason.is_finality() => self.dead.insert(root),
            Verdict::Dropped(DropReason::Finalized) => self.left_behind.insert(root),
            _ => return Vec::new(),
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
                Judgement::Final(verdict) => {
                    let released = self.decide_against(number, &verdict, effects);
                    stack.extend(released.into_iter().rev());
                }
                Judgement::AwaitRoot(root, why) => {
                    if !self.shorten_chain(number, root, effects) {
                        continue;
                    }
                    if self.table.wait_for_root(number, root, why, self.slot) {
                        effects.push(Effect::Need { root });
                    }
                    self.announce(number, effects);
                }
                Judgement::AwaitPayload(root) => {
                    if self.table.wait_for_payload(number, root, self.slot) {
                        effects.push(Effect::NeedPayload { root });
                    }
                    self.announce(number, effects);
                }
                Judgement::AwaitSlot(slot) => {
                    self.table.wait_for_slot(number, slot);
                    self.announce(number, effects);
                }
                Judgement::Check => self.make_ready(number),
            }
        }
    }

    /// Sends ready items off while the window has room. Each is judged once more, because what was
    /// decided since it became ready counts.
    fn fill_window(&mut self, consensus: &C, effects: &mut Vec<Effect<C>>) {
        while let Some(number) = self.next_ready() {
            let Some(entry) = self.table.get(number) else { continue };
            let (item, owner, kind) = (entry.item(), entry.owner, entry.item().kind());
            // A clock that has stepped back since makes no item wait again (I7).
            let judgement = self.judge(consensus, item);
            if !matches!(judgement, Judgement::Check | Judgement::AwaitSlot(_)) {
                self.judge_all(consensus, vec![number], effects);
                continue;
            }
            let unproven = !self.standings.is_proven(owner);
            let request = self.next_request;
            let (check, timely) = (item.check(request, !unproven), self.is_timely(consensus, item));
            self.table.set(number, Place::InFlight { timely, peer: owner, unproven });
            self.next_request = self.next_request.wrapping_add(1);
            self.requests.insert(request, number);
            self.in_flight[kind as usize].begin(owner, unproven);
            effects.push(check);
        }
    }

    fn is_timely(&self, consensus: &C, item: &HeldItem<C>) -> bool {
        match item {
            HeldItem::Block(block) => {
                block.identity().slot == self.slot
                    && self.into_slot_ms < consensus.attestation_due_ms()
            }
            _ => false,
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
        let learnt = number.and_then(|number| Some((number, self.learn(consensus, number)?)));
        self.finality(consensus, finalized, effects);
        if let Some((number, verdict)) = learnt {
            let root = self.table.item(number).and_then(HeldItem::block_root);
            self.finish(number, &verdict, effects);
            if let Some(root) = root {
                if self.known.contains_key(&root) && self.payloads.contains(&root) {
                    effects.push(Effect::ClearPayload { root });
                }
                let released = self.table.take_waiting_for(root);
                self.judge_all(consensus, released, effects);
            }
        }
    }

    /// Notes that an item is in Clearance, and returns its verdict. A block that finality has
    /// passed on the way is valid and already of no use. What the conditions of its topic call a
    /// repetition is told here, too, as another item may have been accepted on the way.
    fn learn(&mut self, consensus: &C, number: Number) -> Option<Verdict<C::Root, C::Invalid>> {
        let entry = self.table.get(number)?;
        let Place::Importing { post_state_root, attester } = entry.place else { return None };
        let relay = match entry.item() {
            HeldItem::Block(block) => {
                let Header { root, parent, slot, proposer, .. } = *block.identity();
                if self.known.contains_key(&root) {
                    return Some(Verdict::Ignore(IgnoreReason::Duplicate));
                }
                if self.is_viable(consensus, &parent, slot) {
                    self.known.insert(root, Known { parent, slot });
                    self.gossip.mark_proposal(slot, proposer)
                } else {
                    self.pruned.insert(root);
                    false
                }
            }
            HeldItem::Attestation(attestation) => {
                self.seen.insert(attestation.identity().id);
                false
            }
            HeldItem::Vote(vote) => {
                if let Some(reason) = self.gossip.accept_vote(vote.identity(), attester) {
                    return Some(Verdict::Ignore(reason));
                }
                true
            }
            HeldItem::Operation(operation) => {
                if !self.gossip.accept_operation(operation.item().kind(), operation.identity()) {
                    return Some(Verdict::Ignore(IgnoreReason::SeenOperation));
                }
                true
            }
            HeldItem::PayloadVote(_) => true,
        };
        Some(Verdict::Accept { post_state_root, relay })
    }

    fn stop(&mut self, effects: &mut Vec<Effect<C>>) {
        self.stopping = true;
        self.ready.iter_mut().for_each(FairQueue::clear);
        self.passed_over = Default::default();
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
        let Some(entry) = self.table.remove(number) else { return };
        if entry.place == Place::Ready {
            self.ready[entry.item().kind() as usize].remove(entry.owner, number);
        }
        let Entry { submissions, owner, .. } = entry;
        // An owner whose copy had no place has its answer already. It has spent its share on junk.
        let has_submitted = submissions.iter().any(|(_, peer)| *peer == owner);
        for (position, (id, peer)) in submissions.into_iter().enumerate() {
            let verdict = match verdict {
                Verdict::Accept { .. } if position > 0 => Verdict::Ignore(IgnoreReason::Duplicate),
                Verdict::Reject(reason) if position > 0 && reason.condemns_root() => {
                    Verdict::Reject(RejectReason::KnownInvalid)
                }
                _ => verdict.clone(),
            };
            self.rate(peer, &verdict);
            effects.push(Effect::Verdict { id, verdict });
        }
        if !has_submitted && matches!(verdict, Verdict::Reject(_)) {
            self.rate(owner, verdict);
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
                    self.discount(number);
                    self.fail(number, &mut effects);
                }
            }
            Event::Payload { root } => self.payload(consensus, root, &mut effects),
            Event::Tick { slot, into_slot_ms } => {
                (self.slot, self.into_slot_ms) = (slot, into_slot_ms);
                self.standings.tick(slot);
                self.forget_old_votes(consensus);
                let due = self.table.take_slots_until(slot);
                self.judge_all(consensus, due, &mut effects);
                self.expire(&mut effects);
            }
            Event::Weigh { peer, weight } => self.standings.weigh(peer, weight),
            Event::Stop => self.stop(&mut effects),
        }
        self.fill_window(consensus, &mut effects);
        effects
    }
}

fn dropped<C: Consensus>(id: ItemId, reason: DropReason) -> Effect<C> {
    Effect::Verdict { id, verdict: Verdict::Dropped(reason) }
}
