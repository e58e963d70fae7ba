//! The answers to requests: each is taken by the request that it is for, or dropped.

use super::duty::{Stage, Step};
use super::{Asked, BeaconValidator, Effects};
use crate::beacon_validator::event::{
    DutyId, Effect, Message, Outcome, Protection, Reason, Reply, RequestId,
};
use crate::beacon_validator::protocol::{DutyList, DutyProtocol};

impl<V: DutyProtocol> BeaconValidator<V> {
    /// Takes an answer. One to nothing that was asked, or that is no longer awaited, is counted.
    pub(super) fn answer(
        &mut self,
        protocol: &V,
        request: RequestId,
        reply: Reply<V>,
        effects: &mut Effects<V>,
    ) {
        let Some(pending) = self.requests.remove(&request) else {
            self.counters.stray += 1;
            return;
        };
        match pending.asked {
            Asked::List(epoch, list) => match reply {
                Reply::Duties { dependent_root, listed } => {
                    self.listed(epoch, list, dependent_root, &listed, effects);
                }
                other => {
                    self.note_malformed(&other);
                    self.list_failed(epoch, list);
                }
            },
            Asked::Data(committee) => self.answer_data(protocol, committee, reply, effects),
            Asked::Duty(id) => self.answer_duty(protocol, id, reply, effects),
            Asked::Batch(ids) => self.answer_batch(&ids, &reply, effects),
        }
    }

    fn note_malformed(&mut self, reply: &Reply<V>) {
        self.counters.malformed += u64::from(*reply != Reply::Failed);
    }

    fn answer_data(
        &mut self,
        protocol: &V,
        committee: u64,
        reply: Reply<V>,
        effects: &mut Effects<V>,
    ) {
        let Reply::Data(data) = reply else {
            self.note_malformed(&reply);
            for id in self.awaiting_data(committee) {
                self.fail(id, Reason::NodeFailed, effects);
            }
            self.data.remove(&committee);
            return;
        };
        self.data.insert(committee, Some(data.clone()));
        for id in self.awaiting_data(committee) {
            self.take_data(protocol, id, &data, effects);
        }
    }

    /// The request for a committee's data was given up.
    pub(super) fn data_failed(&mut self, committee: u64) {
        for id in self.awaiting_data(committee) {
            self.time_out(id);
        }
        self.data.remove(&committee);
    }

    fn awaiting_data(&self, committee: u64) -> Vec<DutyId> {
        let Some(slot) = self.slot else { return Vec::new() };
        let waiting = self.of_slot(slot).filter(|(_, duty)| {
            let is_here = duty.place.is_some_and(|place| place.committee == committee);
            is_here && matches!(duty.stage, Stage::Asked(Step::Data))
        });
        waiting.map(|(id, _)| *id).collect()
    }

    /// Makes a duty's attestation of its committee's data, if they are of the slot and of the
    /// branch that the duty is on.
    pub(super) fn take_data(
        &mut self,
        protocol: &V,
        id: DutyId,
        data: &V::Data,
        effects: &mut Effects<V>,
    ) {
        let claims = protocol.data_claims(data);
        let Some(duty) = self.duties.get(&id) else { return };
        let committee = duty.place.map(|place| place.committee);
        let epoch = self.timing.epoch(id.slot);
        let is_source = claims.source < claims.target || (claims.source, claims.target) == (0, 0);
        let fits = claims.slot == id.slot
            && Some(claims.committee) == committee
            && claims.target == epoch
            && is_source;
        let wrong = if fits {
            self.wrong_branch(id, DutyList::Attesters, claims.head, duty.dependent_root)
        } else {
            Some(Reason::BadAnswer)
        };
        self.take_message(id, wrong, Message::Attestation(data.clone()), effects);
    }

    /// Returns what is wrong with a message that builds on `head`, for a duty that stands in a list
    /// under `root`.
    fn wrong_branch(
        &self,
        id: DutyId,
        list: DutyList,
        head: V::Root,
        root: V::Root,
    ) -> Option<Reason> {
        let Some(head) = self.head(head) else { return Some(Reason::UnknownHead) };
        let is_before = match list {
            DutyList::Proposers => head.slot < id.slot,
            DutyList::Attesters => head.slot <= id.slot,
        };
        if !is_before {
            return Some(Reason::BadAnswer);
        }
        let branch = head.dependent_root(&self.timing, list, self.timing.epoch(id.slot));
        (branch != Some(root)).then_some(Reason::OtherBranch)
    }

    fn take_message(
        &mut self,
        id: DutyId,
        wrong: Option<Reason>,
        message: Message<V>,
        effects: &mut Effects<V>,
    ) {
        if let Some(reason) = wrong {
            self.fail(id, reason, effects);
            return;
        }
        self.go_on(id, Step::Protect(message));
    }

    /// Goes on to a duty's next step.
    fn go_on(&mut self, id: DutyId, step: Step<V>) {
        if let Some(duty) = self.duties.get_mut(&id) {
            duty.stage = Stage::Next(step);
            duty.last = None;
        }
    }

    fn answer_duty(&mut self, protocol: &V, id: DutyId, reply: Reply<V>, effects: &mut Effects<V>) {
        let step = match self.duties.get(&id).map(|duty| &duty.stage) {
            Some(Stage::Asked(step)) => step.clone(),
            _ => {
                self.counters.stray += 1;
                return;
            }
        };
        match (step, reply) {
            (Step::Reveal, Reply::Signature(reveal)) => self.go_on(id, Step::Produce(reveal)),
            (Step::Select, Reply::Signature(proof)) => self.selected(protocol, id, proof, effects),
            (Step::Sign(message), Reply::Signature(signature)) => {
                self.go_on(id, Step::Publish(message, signature));
            }
            (Step::Reveal | Step::Select | Step::Sign(_), Reply::Refused) => {
                self.end(id, Outcome::Missed(Reason::Refused), effects);
            }
            (Step::Reveal | Step::Select | Step::Sign(_), Reply::UnknownKey) => {
                self.end(id, Outcome::Missed(Reason::UnknownKey), effects);
            }
            (Step::Produce(reveal), Reply::Block(block)) => {
                self.take_block(protocol, id, &reveal, block, effects);
            }
            (Step::Merge(proof, data), Reply::Aggregate(aggregate)) => {
                if *protocol.aggregate_data(&aggregate) != data {
                    self.fail(id, Reason::BadAnswer, effects);
                    return;
                }
                let aggregator = id.validator;
                self.go_on(id, Step::Sign(Message::Aggregate { aggregate, aggregator, proof }));
            }
            (step, other) => {
                self.note_malformed(&other);
                let by_node = matches!(step, Step::Produce(_) | Step::Merge(..));
                let reason = if by_node { Reason::NodeFailed } else { Reason::SignerFailed };
                self.fail(id, reason, effects);
            }
        }
    }

    fn take_block(
        &mut self,
        protocol: &V,
        id: DutyId,
        reveal: &V::Signature,
        block: V::Block,
        effects: &mut Effects<V>,
    ) {
        let claims = protocol.block_claims(&block);
        let Some(duty) = self.duties.get(&id) else { return };
        let fits = claims.slot == id.slot
            && claims.proposer == id.validator
            && protocol.carries_reveal(&block, reveal);
        let wrong = if fits {
            self.wrong_branch(id, DutyList::Proposers, claims.parent, duty.dependent_root)
        } else {
            Some(Reason::BadAnswer)
        };
        self.take_message(id, wrong, Message::Block(block), effects);
    }

    /// A selection proof tells whether there is an aggregation at all.
    fn selected(
        &mut self,
        protocol: &V,
        id: DutyId,
        proof: V::Signature,
        effects: &mut Effects<V>,
    ) {
        let Some(duty) = self.duties.get_mut(&id) else { return };
        let length = duty.place.map_or(0, |place| place.committee_length);
        if !protocol.is_aggregator(length, &proof) {
            duty.stage = Stage::Done;
            return;
        }
        (duty.stage, duty.began) = (Stage::Next(Step::Wait(proof)), true);
        effects.push(Effect::Began(id));
    }

    /// Takes the answer about several duties, each by its own identity.
    fn answer_batch(&mut self, ids: &[DutyId], reply: &Reply<V>, effects: &mut Effects<V>) {
        for id in ids {
            let step = match self.duties.get(id).map(|duty| &duty.stage) {
                Some(Stage::Asked(step)) => step.clone(),
                _ => continue,
            };
            match (step, reply) {
                (Step::Protect(message), Reply::Protected(answers)) => {
                    self.protected(*id, message, answers, effects);
                }
                (Step::Publish(..), Reply::Published { refused }) => {
                    self.published(*id, refused.contains(id), effects);
                }
                (Step::Publish(..), _) => {
                    if let Some(duty) = self.duties.get_mut(id) {
                        duty.uncertain = true;
                    }
                    self.fail(*id, Reason::PublishFailed, effects);
                }
                _ => self.fail(*id, Reason::ProtectionFailed, effects),
            }
        }
        let is_answer = matches!(reply, Reply::Protected(_) | Reply::Published { .. });
        if !is_answer {
            self.note_malformed(reply);
        }
    }

    /// Signs only what every answer about the duty says is on record.
    fn protected(
        &mut self,
        id: DutyId,
        message: Message<V>,
        answers: &[(DutyId, Protection)],
        effects: &mut Effects<V>,
    ) {
        let mut own = answers.iter().filter(|(of, _)| *of == id).map(|(_, answer)| *answer);
        let first = own.next().unwrap_or(Protection::Failed);
        let worst = own.find(|answer| *answer != Protection::Recorded).unwrap_or(first);
        let answer = if first == Protection::Recorded { worst } else { first };
        match answer {
            Protection::Recorded => self.go_on(id, Step::Sign(message)),
            Protection::AlreadySigned => {
                self.end(id, Outcome::Missed(Reason::AlreadySigned), effects);
            }
            Protection::Refused => self.end(id, Outcome::Missed(Reason::Refused), effects),
            Protection::Failed => self.fail(id, Reason::ProtectionFailed, effects),
        }
    }

    /// A refusal after a publication of which nobody knows whether it arrived is no failure: what
    /// arrived the first time is refused the second time (P4).
    fn published(&mut self, id: DutyId, is_refused: bool, effects: &mut Effects<V>) {
        let is_uncertain = self.duties.get(&id).is_some_and(|duty| duty.uncertain);
        let outcome = if is_refused && !is_uncertain {
            Outcome::Missed(Reason::PublishFailed)
        } else {
            Outcome::Sent
        };
        self.end(id, outcome, effects);
    }
}
