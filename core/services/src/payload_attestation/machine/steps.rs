//! What is done next for the votes of the slot.

use std::collections::BTreeSet;

use super::round::{Content, Round, Stage, Vote};
use super::{Asked, Effects, Past, PayloadAttestation};
use crate::beacon_validator::Head;
use crate::consensus::{Slot, ValidatorIndex};
use crate::payload_attestation::event::{DutyId, Effect, Reason, Request, SignedVote};
use crate::payload_attestation::protocol::VoteProtocol;
use crate::ptc_duties::{Listed, NoDuties};

impl<V: VoteProtocol> PayloadAttestation<V> {
    /// Begins every step that can begin.
    pub(super) fn drive(&mut self, effects: &mut Effects<V>) {
        if self.is_open() {
            self.begin_listed(effects);
            self.settle(effects);
            self.ask_data(effects);
            self.sign_again(effects);
            self.publish(effects);
            self.end_late(effects);
        }
    }

    /// Returns whether the votes of the slot have begun: it is time for the data, or a payload and
    /// its blobs are there.
    fn is_open(&self) -> bool {
        self.round.as_ref().is_some_and(|round| {
            let is_time = self.now_ms >= self.timing.at(round.slot, self.timing.fetch_ms);
            is_time || round.available.is_some() || round.is_fixed()
        })
    }

    /// Returns why there can be no vote in a slot: one may have left in it before.
    fn past_vote(&self, slot: Slot) -> Option<Reason> {
        let Past::Known { first, done } = self.past else { return Some(Reason::MayHaveVoted) };
        (Some(slot) <= first.max(done)).then_some(Reason::MayHaveVoted)
    }

    /// Begins the duties of the slot on the branch that the data are of; before there are data, on
    /// the branch of the newest head.
    pub(super) fn begin_listed(&mut self, effects: &mut Effects<V>) {
        let Some(round) = &self.round else { return };
        let slot = round.slot;
        let Past::Known { done, .. } = self.past else { return };
        if Some(slot) <= done {
            // Its duties have ended (I1).
            return;
        }
        let root = match &round.content {
            Content::Fixed(_, root) => Some(*root),
            _ => self.heads.back().and_then(|head| {
                head.shuffling_root(self.timing.slots_per_epoch, self.timing.epoch(slot))
            }),
        };
        let listed = root.map_or(Err(NoDuties::Unknown), |root| self.duties.duties(slot, root));
        for Listed { validator, key, .. } in listed.unwrap_or_default() {
            self.begin(validator, key, effects);
        }
    }

    fn begin(&mut self, validator: ValidatorIndex, key: V::Key, effects: &mut Effects<V>) {
        let Some(round) = &mut self.round else { return };
        let slot = round.slot;
        if round.votes.contains_key(&validator) {
            return;
        }
        round.votes.insert(validator, Vote::new(key));
        effects.push(Effect::Began(DutyId { slot, validator }));
        let may_sign = self.validators.get(&validator).is_some_and(|(_, may_sign)| *may_sign);
        if let Some(why) = self.past_vote(slot) {
            self.miss(validator, why, effects);
        } else if !may_sign {
            self.miss(validator, Reason::MayNotSign, effects);
        }
        let is_fixed = self.round.as_ref().is_some_and(Round::is_fixed);
        if is_fixed {
            self.sign(validator, effects);
        }
    }

    /// Fixes what the votes say, once it is known who votes on the branch of the data's block (D3).
    fn settle(&mut self, effects: &mut Effects<V>) {
        let Some(round) = &self.round else { return };
        let (slot, Content::Held(data)) = (round.slot, &round.content) else { return };
        let claims = self.protocol.claims(data);
        let head = self.heads.iter().find(|head| head.root == claims.block).copied();
        let epoch = self.timing.epoch(slot);
        let of_branch = |head: Head<V::Root>| {
            let root = head.shuffling_root(self.timing.slots_per_epoch, epoch);
            let root = root.filter(|_| head.slot == slot).ok_or(Reason::BadAnswer)?;
            match self.duties.duties(slot, root) {
                Ok(duties) => Ok((root, duties)),
                Err(NoDuties::Unknown | NoDuties::OtherBranch) => Err(Reason::NoList),
            }
        };
        match head.ok_or(Reason::UnknownHead).and_then(of_branch) {
            Ok((root, duties)) => self.fix(root, &duties, effects),
            Err(why) => {
                let is_new = self.round.as_ref().is_some_and(|round| round.why != Some(why));
                if why == Reason::BadAnswer {
                    self.drop_data();
                }
                if is_new {
                    self.data_failed(why);
                }
                if let (true, Reason::NoList, Some(head)) = (is_new, why, head) {
                    self.tell_head(head, epoch, effects);
                }
            }
        }
    }

    fn drop_data(&mut self) {
        if let Some(round) = &mut self.round {
            round.content = Content::Nothing;
        }
    }

    fn fix(&mut self, root: V::Root, duties: &[Listed<V::Key>], effects: &mut Effects<V>) {
        let Some(round) = &mut self.round else { return };
        let Content::Held(data) = std::mem::replace(&mut round.content, Content::Nothing) else {
            return;
        };
        round.content = Content::Fixed(data, root);
        let listed: BTreeSet<_> = duties.iter().map(|duty| duty.validator).collect();
        let begun: Vec<_> = round.votes.keys().copied().collect();
        for validator in begun {
            if listed.contains(&validator) {
                self.sign(validator, effects);
            } else {
                self.miss(validator, Reason::OtherBranch, effects);
            }
        }
        self.begin_listed(effects);
    }

    /// Asks for the data, while somebody has to vote in the slot and there are none.
    fn ask_data(&mut self, effects: &mut Effects<V>) {
        let due = |slot| self.timing.at(slot, self.timing.due_ms);
        let Some(round) = self.round.as_ref().filter(|round| self.now_ms < due(round.slot)) else {
            return;
        };
        let (slot, now) = (round.slot, self.now_ms);
        let is_time = now >= self.timing.at(slot, self.timing.fetch_ms);
        let rests = now < round.rests_until_ms;
        // An early request is made once for each payload; those in their time, until there are data.
        let has_cause = if is_time { !rests } else { round.available != round.asked_early };
        let is_spent = round.asks[usize::from(is_time)] >= self.limits.asks_per_slot;
        if round.is_fixed() || !has_cause || is_spent || self.asks_data() {
            return;
        }
        if self.past_vote(slot).is_some() || !self.has_voters() {
            return;
        }
        let by_ms = self.node_by_ms(due(slot));
        if let Some(round) = &mut self.round {
            round.asks[usize::from(is_time)] += 1;
            round.asked_early = round.available;
        }
        self.ask(effects, Asked::Data, by_ms, Request::Data { slot });
    }

    /// Returns whether a vote waits for data. If it is not known who votes on the branch of the
    /// newest head, returns whether somebody does on another.
    fn has_voters(&self) -> bool {
        let Some(round) = &self.round else { return false };
        let waits = round.votes.values().any(|vote| vote.stage == Stage::Waits);
        let epoch = self.timing.epoch(round.slot);
        let root = self
            .heads
            .back()
            .and_then(|head| head.shuffling_root(self.timing.slots_per_epoch, epoch));
        let is_known = root.is_some_and(|root| self.duties.duties(round.slot, root).is_ok());
        waits || !is_known && self.duties.has_duties(round.slot)
    }

    /// Asks for the signature of a vote that waits for it.
    fn sign(&mut self, validator: ValidatorIndex, effects: &mut Effects<V>) {
        let Some(round) = &mut self.round else { return };
        let Content::Fixed(data, _) = &round.content else { return };
        let (slot, data) = (round.slot, data.clone());
        let by_ms = self.timing.at(slot, self.timing.late_ms);
        let Some(vote) = round.votes.get_mut(&validator) else { return };
        if !matches!(vote.stage, Stage::Waits | Stage::SignsAgain(_)) || self.now_ms >= by_ms {
            return;
        }
        vote.stage = Stage::Signing;
        let (duty, key) = (DutyId { slot, validator }, vote.key);
        let request = Request::Sign { duty, key, data };
        self.ask(effects, Asked::Sign(validator), by_ms, request);
    }

    fn sign_again(&mut self, effects: &mut Effects<V>) {
        let now = self.now_ms;
        let votes = self.round.iter().flat_map(|round| &round.votes);
        let rested = votes.filter_map(|(validator, vote)| match vote.stage {
            Stage::SignsAgain(at) if at <= now => Some(*validator),
            _ => None,
        });
        for validator in rested.collect::<Vec<_>>() {
            self.sign(validator, effects);
        }
    }

    /// Publishes what is signed in one request: once all of it is; at the time when the first batch
    /// leaves, or the late one, though others are not signed; or again after a failure (V7).
    fn publish(&mut self, effects: &mut Effects<V>) {
        let (now, timing, window) = (self.now_ms, self.timing, self.limits.gather_ms);
        let Some(round) = &mut self.round else { return };
        let Content::Fixed(data, _) = &round.content else { return };
        let is_complete = !round.votes.values().any(Vote::awaits_signature);
        let is_time = now >= round.leave_ms;
        let rests = round.publishes_again_ms.is_some_and(|again| now < again);
        let is_again = round.publishes_again_ms.is_some() && !rests;
        if rests || !(is_complete || is_time || is_again) {
            return;
        }
        let slot = round.slot;
        let mut votes = Vec::new();
        for (validator, vote) in &mut round.votes {
            let Stage::Signed(signature) = &vote.stage else { continue };
            let (data, signature) = (data.clone(), signature.clone());
            votes.push(SignedVote { validator: *validator, data, signature: signature.clone() });
            vote.left_ms = vote.left_ms.or(Some(now));
            vote.stage = Stage::Publishing(signature);
        }
        // So it is right after the signers were asked: the first batch's time is set here.
        if votes.is_empty() {
            round.leave_ms = round.next_leave(&timing, now, window);
            return;
        }
        round.publishes_again_ms = None;
        // What is signed later leaves at the next time of the slot (V7).
        round.leave_ms = round.next_leave(&timing, now, u64::MAX);
        let batch = votes.iter().map(|vote| vote.validator).collect();
        let by_ms = self.node_by_ms(timing.at(slot.saturating_add(1), 0));
        self.ask(effects, Asked::Publish(batch), by_ms, Request::Publish { slot, votes });
    }

    /// Ends the votes that have no data at the deadline, and those that are not signed when the
    /// late batch has left.
    fn end_late(&mut self, effects: &mut Effects<V>) {
        let Some(round) = &self.round else { return };
        let is_due = self.now_ms >= self.timing.at(round.slot, self.timing.due_ms);
        let is_last = self.now_ms >= self.timing.at(round.slot, self.timing.late_ms);
        let is_asked = self.asks_data();
        let late = round.votes.iter().filter(|(_, vote)| match vote.stage {
            Stage::Waits => is_due,
            Stage::Signing | Stage::SignsAgain(_) => is_last,
            Stage::Signed(_) | Stage::Publishing(_) | Stage::Done => false,
        });
        let late =
            late.map(|(validator, vote)| (*validator, round.why_late(vote, is_asked, false)));
        for (validator, why) in late.collect::<Vec<_>>() {
            self.miss(validator, why, effects);
        }
    }
}
