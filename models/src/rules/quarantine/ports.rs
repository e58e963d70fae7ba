//! The ports of the machine, with the faults.

use blocksmith::consensus::Slot;
use blocksmith::machine::Machine;
use blocksmith::quarantine::{Effect, Event, Item, ItemId, RequestId};
use blocksmith::rewinder::{Answer, Job};
use blocksmith::toy::{Toy, ToyInvalid, ToyRoot};
use blocksmith::verdict::{
    DropReason, IgnoreReason, PendingReason, Quarantined, RejectReason, Verdict,
};

use super::Fault;
use super::model::{BEFORE, Firewall, State, Word};
use crate::work::work;

/// What a port remembers because of a fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Front {
    /// Imports of which the machine is not told yet.
    withheld: Vec<RequestId>,
    /// A vote whose block was not there at the look-up.
    pub(super) looked_up: Option<usize>,
    /// Votes that wait in front of the machine, with their blocks.
    pub(super) parked: Vec<(ToyRoot, usize)>,
    /// Checks that wait for their slot again.
    early: Vec<(RequestId, Job<Toy>)>,
    /// Payloads of which the machine is not told yet.
    payloads: Vec<ToyRoot>,
    /// Whether the last tick stepped back.
    stepped_back: bool,
}

impl Front {
    /// Returns whether no check and no import waits here.
    pub(super) fn is_quiet(&self) -> bool {
        self.withheld.is_empty() && self.early.is_empty()
    }
}

impl Firewall {
    /// A peer hands an item in.
    pub(super) fn submit(&self, state: &mut State, number: usize) {
        state.log.items[number].sent = Some((state.slot, state.slot));
        let handed = &self.palette[number];
        if let Some(verdict) = self.refusal(state, number) {
            let (id, is_awaited) = (number as ItemId, self.is_awaited(state, number));
            self.effect(state, Effect::Verdict { id, verdict }, false);
            self.note_refusal(state, number, is_awaited);
            return;
        }
        if let (true, Item::Single { attestation, .. }) =
            (self.has(Fault::LookUpThenPark), &handed.item)
            && !state.machine.knows(attestation.head)
        {
            state.front.looked_up = Some(number);
            return;
        }
        self.hand_over(state, number);
    }

    /// Returns the verdict that a faulty port gives before the machine has judged the item.
    fn refusal(&self, state: &State, number: usize) -> Option<Verdict<ToyRoot, ToyInvalid>> {
        let handed = &self.palette[number];
        let pending = state.machine.pending();
        let of_peer = |(id, _): &&(ItemId, PendingReason)| {
            self.palette.get(*id as usize).is_some_and(|other| other.peer == handed.peer)
        };
        match self.fault? {
            Fault::OneRoom if pending.len() >= self.limits.items => {
                Some(Verdict::Dropped(DropReason::QuarantineFull))
            }
            Fault::QuotaFirst
                if pending.iter().filter(of_peer).count() >= self.limits.items_per_peer =>
            {
                Some(Verdict::Dropped(DropReason::PeerQuota))
            }
            Fault::ForgetsCopies if self.pending_copies(state, number) > 0 => {
                Some(Verdict::Ignore(IgnoreReason::Duplicate))
            }
            Fault::CopiesNeedAPlace
                if self.pending_copies(state, number) > self.limits.followers =>
            {
                Some(Verdict::Ignore(IgnoreReason::Duplicate))
            }
            Fault::IgnoresSecondVotes => {
                let voter = handed.voter()?;
                let mut accepted = state.log.accepted.iter();
                let has_voted = accepted.any(|other| self.palette[*other].voter() == Some(voter));
                has_voted.then_some(Verdict::Ignore(IgnoreReason::SecondVote))
            }
            Fault::NobodyVouches => {
                let block = handed.block()?;
                let kept = state.log.cleared.iter().filter(|other| other.slot == block.slot);
                let bound = if self.is_awaited(state, number) {
                    self.limits.awaited_equivocations
                } else {
                    self.limits.equivocations
                };
                (kept.count() >= bound).then_some(Verdict::Ignore(IgnoreReason::SecondProposal))
            }
            Fault::KeyIsRoot => {
                let root = handed.block()?.root;
                let is_sent = |(other, number): (&super::model::Handed, usize)| {
                    state.log.items[number].sent.is_some()
                        && other.block().is_some_and(|block| block.root == root)
                };
                let mut others = self.palette.iter().zip(0..).filter(|(_, n)| *n != number);
                others.any(is_sent).then_some(Verdict::Ignore(IgnoreReason::Duplicate))
            }
            _ => None,
        }
    }

    /// Returns how many submissions of the same item the machine holds.
    fn pending_copies(&self, state: &State, number: usize) -> usize {
        let item = &self.palette[number].item;
        let is_copy = |id: ItemId| self.palette.get(id as usize).is_some_and(|o| o.item == *item);
        state.machine.pending().iter().filter(|(id, _)| is_copy(*id)).count()
    }

    /// Gives an item to the machine.
    fn hand_over(&self, state: &mut State, number: usize) {
        let handed = &self.palette[number];
        let mut item = handed.item.clone();
        match &mut item {
            Item::Single { attestation, subnet } if self.has(Fault::OtherVoters) => {
                attestation.validator = number as u64 % self.toy.validators as u64;
                *subnet = attestation.validator;
            }
            Item::Aggregate(aggregate) if self.has(Fault::OtherData) => {
                aggregate.data = aggregate.id;
            }
            _ => {}
        }
        let peer = if self.has(Fault::ErasesPeers) { 0 } else { handed.peer };
        let is_awaited = self.is_awaited(state, number);
        let item = Quarantined::new(item, peer, 1);
        self.deliver(state, Event::Submit { id: number as ItemId, item });
        self.note_refusal(state, number, is_awaited);
    }

    fn is_awaited(&self, state: &State, number: usize) -> bool {
        let block = self.palette[number].block();
        block.is_some_and(|block| state.machine.awaited_roots().contains(&block.root))
    }

    fn note_refusal(&self, state: &mut State, number: usize, is_awaited: bool) {
        let quota = |word: &Word| word.reason == DropReason::PeerQuota.word();
        let refused = state.log.items[number].verdicts.iter().any(quota);
        state.log.refused_what_is_awaited |= is_awaited && refused;
    }

    /// The second step of a look-up: the vote waits in front of the machine.
    pub(super) fn park(&self, state: &mut State) {
        let Some(number) = state.front.looked_up.take() else { return };
        if let Item::Single { attestation, .. } = &self.palette[number].item {
            state.front.parked.push((attestation.head, number));
        }
    }

    /// The Rewinder answers a check.
    pub(super) fn answer(&self, state: &mut State, request: RequestId) {
        let Some(job) = state.checks.remove(&request) else { return };
        let mut answer = work(&self.toy, &mut state.hot_db, job);
        if self.has(Fault::ForgetsTheInvalid) && matches!(answer, Answer::Invalid(_)) {
            answer = Answer::Busy;
        }
        self.deliver(state, Event::Answered { request, answer });
    }

    /// Clearance has taken an item in, and tells so.
    pub(super) fn import(&self, state: &mut State, request: RequestId) {
        let Some(root) = state.importing.remove(&request) else { return };
        state.log.imported.extend(root);
        let withholds = match self.fault {
            Some(Fault::ImportsAtTick | Fault::ImportsWithVotes) => root.is_some(),
            _ => false,
        };
        if withholds {
            state.front.withheld.push(request);
            return;
        }
        self.tell_import(state, request);
        if self.has(Fault::ImportsWithVotes) {
            self.tell_withheld(state);
        }
        let parked = std::mem::take(&mut state.front.parked);
        let (released, waiting) = parked.into_iter().partition(|(head, _)| Some(*head) == root);
        state.front.parked = waiting;
        let released: Vec<(ToyRoot, usize)> = released;
        released.into_iter().for_each(|(_, number)| self.hand_over(state, number));
    }

    fn tell_import(&self, state: &mut State, request: RequestId) {
        let finalized = state.finalized;
        self.deliver(state, Event::Imported { request: Some(request), finalized });
    }

    fn tell_withheld(&self, state: &mut State) {
        let withheld = std::mem::take(&mut state.front.withheld);
        withheld.into_iter().for_each(|request| self.tell_import(state, request));
    }

    /// The payload of a block comes.
    pub(super) fn payload(&self, state: &mut State, root: ToyRoot) {
        state.log.payloads.insert(root);
        match self.fault {
            Some(Fault::DropsEarlyPayloads) if !state.machine.knows(root) => {}
            Some(Fault::PayloadsAtTick) => state.front.payloads.push(root),
            _ => self.deliver(state, Event::Payload { root }),
        }
    }

    /// The clock reads `slot`.
    pub(super) fn tick(&self, state: &mut State, slot: Slot) {
        let after_step_back = std::mem::replace(&mut state.front.stepped_back, slot < state.slot);
        state.slot = slot;
        for history in &mut state.log.items {
            history.sent = history.sent.map(|(sent, latest)| (sent, latest.max(slot)));
        }
        let lost = self.has(Fault::LosesATick) && after_step_back
            || self.has(Fault::TimerNotSetAgain) && state.ticks > 1;
        if !lost {
            self.deliver(state, Event::Tick { slot, into_slot_ms: 0 });
        }
        self.tell_withheld(state);
        for root in std::mem::take(&mut state.front.payloads) {
            self.deliver(state, Event::Payload { root });
        }
        let early = std::mem::take(&mut state.front.early);
        for (request, job) in early {
            self.effect(state, Effect::Check { request, lane: job.lane(), job }, true);
        }
    }

    /// Has the machine handle an event.
    pub(super) fn deliver(&self, state: &mut State, event: Event<Toy>) {
        let is_tick = matches!(event, Event::Tick { .. });
        for effect in state.machine.handle(&self.toy, event) {
            self.effect(state, effect, is_tick);
        }
        let awaited = state.machine.awaited_roots();
        state.log.asked.retain(|root, _| awaited.contains(root));
    }

    /// Takes an effect of the machine through the port.
    fn effect(&self, state: &mut State, effect: Effect<Toy>, of_tick: bool) {
        match effect {
            Effect::Check { request, job, .. } => {
                if let (true, Job::Block(block)) = (self.has(Fault::ParksAgain), &job)
                    && block.identity().slot > state.slot
                {
                    self.note_parked(state, self.first_of(&job), PendingReason::FutureSlot);
                    state.front.early.push((request, job));
                    return;
                }
                self.note_check(state, request, job);
            }
            Effect::ClearBlock { request, block, .. } => {
                let block = *block.item().item();
                state.log.cleared.push(block);
                state.importing.insert(request, Some(block.root));
            }
            Effect::ClearVote { request, vote } => {
                state.log.shown.insert(vote.item().identity().vote.id);
                state.importing.insert(request, None);
            }
            Effect::ClearAttestation { request, .. } | Effect::ClearPayloadVote { request, .. } => {
                state.importing.insert(request, None);
            }
            Effect::CheckAtHead { .. } | Effect::ClearOperation { .. } => {
                unreachable!("no palette has an operation")
            }
            Effect::Verdict { id, verdict } => {
                let verdict = self.rewritten(verdict);
                if self.has(Fault::EvictsForAll) {
                    self.answer_all(state, id, &verdict);
                } else {
                    self.note_verdict(state, id, &verdict);
                }
            }
            Effect::Parked { id, why } => self.note_parked(state, Some(id as usize), why),
            // What the fork choice makes of a payload, and requests for one, are not looked at.
            Effect::ClearPayload { .. } | Effect::NeedPayload { .. } => {}
            Effect::Need { root } => {
                if !(of_tick && self.has(Fault::AsksOnce)) {
                    let slot = state.slot;
                    state.log.asked.entry(root).or_insert((slot, 0)).1 += 1;
                }
            }
        }
    }

    /// Returns the verdict that a faulty port tells.
    fn rewritten(&self, verdict: Verdict<ToyRoot, ToyInvalid>) -> Verdict<ToyRoot, ToyInvalid> {
        use {DropReason as D, IgnoreReason as I};
        match (self.fault, verdict) {
            (Some(Fault::RejectsTheLate), Verdict::Ignore(I::NotAfterFinalizedSlot)) => {
                Verdict::Reject(RejectReason::NotDescendantOfFinalized)
            }
            (
                Some(Fault::RejectsBeyondLimits),
                Verdict::Dropped(_) | Verdict::Ignore(I::SecondProposal),
            ) => Verdict::Reject(RejectReason::KnownInvalid),
            (Some(Fault::ForgetsTheInvalid), Verdict::Dropped(D::RewinderFull)) => {
                Verdict::Reject(RejectReason::Check(ToyInvalid::Signature))
            }
            (Some(Fault::RelaysAll), Verdict::Accept { post_state_root, .. }) => {
                Verdict::Accept { post_state_root, relay: true }
            }
            (_, verdict) => verdict,
        }
    }

    fn note_check(&self, state: &mut State, request: RequestId, job: Job<Toy>) {
        let (first, duplicate) = (self.first_of(&job), IgnoreReason::Duplicate.word());
        for (number, history) in state.log.items.iter_mut().enumerate() {
            let is_own =
                first.is_some_and(|first| self.palette[first].item == self.palette[number].item);
            // A copy without a place is called a duplicate of what is held.
            let mut verdicts = history.verdicts.iter();
            let waits = history.sent.is_some() && verdicts.all(|word| word.reason == duplicate);
            history.overtaken += usize::from(!is_own && waits && history.checks == 0);
            history.checks += usize::from(is_own);
        }
        state.checks.insert(request, job);
    }

    /// Gives a verdict about want of room to all who have brought the item; nobody has two.
    fn answer_all(&self, state: &mut State, id: ItemId, verdict: &Verdict<ToyRoot, ToyInvalid>) {
        let is_full = matches!(verdict, Verdict::Dropped(DropReason::Evicted));
        let item = self.palette.get(id as usize).map(|handed| &handed.item);
        for (number, handed) in self.palette.iter().enumerate() {
            let is_told = number as ItemId == id || is_full && Some(&handed.item) == item;
            let history = &state.log.items[number];
            if is_told && history.sent.is_some() && history.verdicts.is_empty() {
                self.note_verdict(state, number as ItemId, verdict);
            }
        }
    }

    fn note_verdict(&self, state: &mut State, id: ItemId, verdict: &Verdict<ToyRoot, ToyInvalid>) {
        if id >= BEFORE {
            return;
        }
        let relay = matches!(verdict, Verdict::Accept { relay: true, .. });
        let word = Word { class: verdict.class(), reason: verdict.reason(), relay };
        if word.reason == IgnoreReason::SecondProposal.word() {
            state.log.ignored_what_is_built_on |= self.is_built_on(state, id as usize);
        }
        state.log.items[id as usize].verdicts.push(word);
        if let Verdict::Accept { .. } = verdict {
            state.log.accepted.push(id as usize);
        }
    }

    /// Returns whether a block that a peer below its share has handed in waits for this one.
    fn is_built_on(&self, state: &State, number: usize) -> bool {
        let Some(root) = self.palette[number].block().map(|block| block.root) else { return false };
        let mut items = self.palette.iter().zip(&state.log.items);
        items.any(|(handed, history)| {
            let waits = history.sent.is_some() && history.verdicts.is_empty();
            handed.in_share && waits && handed.block().is_some_and(|block| block.parent == root)
        })
    }

    fn note_parked(&self, state: &mut State, number: Option<usize>, why: PendingReason) {
        let Some(number) = number.filter(|number| *number < self.palette.len()) else { return };
        let (block, sent) = (self.palette[number].block(), state.log.items[number].sent);
        if let (PendingReason::FutureSlot, Some(block), Some((_, latest))) = (why, block, sent) {
            state.log.parked_again |= latest >= block.slot;
        }
    }
}
