//! What is done next for the duties of the slot.

use super::duty::{Duty, Stage, Step};
use super::{Asked, BeaconValidator, Effects};
use crate::beacon_validator::event::{DutyId, Guarded, Kind, Message, Request, SignedDuty};
use crate::beacon_validator::protocol::DutyProtocol;
use crate::consensus::Slot;

impl<V: DutyProtocol> BeaconValidator<V> {
    /// Begins every step that can begin. `is_reading` says that the clock was read: then
    /// attestations no longer wait for the data of other committees.
    pub(super) fn drive(&mut self, protocol: &V, is_reading: bool, effects: &mut Effects<V>) {
        let (Some(now), Some(slot)) = (self.now_ms, self.slot) else { return };
        let can_begin = |duty: &Duty<V>| !duty.rests && matches!(duty.stage, Stage::Next(_));
        let ids: Vec<_> =
            self.of_slot(slot).filter(|(_, duty)| can_begin(duty)).map(|(id, _)| *id).collect();
        for id in ids {
            self.step(protocol, id, now, effects);
        }
        let awaits_data = self.data.values().any(Option::is_none);
        if is_reading || !awaits_data {
            self.protect_attestations(slot, effects);
        }
        let gathered = self.timing.at(slot, self.timing.attestation_gather_ms);
        self.publish(slot, Kind::Attestation, now >= gathered, effects);
        let gathered = self.timing.at(slot, self.timing.aggregate_gather_ms);
        self.publish(slot, Kind::Aggregation, now >= gathered, effects);
    }

    /// Begins the next step of one duty, if it is one that waits for no other.
    fn step(&mut self, protocol: &V, id: DutyId, now: u64, effects: &mut Effects<V>) {
        let deadline = self.deadline_ms(id);
        let epoch = self.timing.epoch(id.slot);
        let Some(duty) = self.duties.get(&id) else { return };
        let (key, place) = (duty.key, duty.place);
        let Stage::Next(step) = &duty.stage else { return };
        let (by_ms, request) = match step {
            Step::Reveal => {
                if now < self.timing.at(id.slot, 0) {
                    return;
                }
                (deadline, Request::Sign { duty: id, key, message: Message::Randao(epoch) })
            }
            Step::Produce(reveal) => {
                let request = Request::Produce { slot: id.slot, reveal: reveal.clone() };
                (self.node_by_ms(deadline), request)
            }
            Step::Data => return self.step_data(protocol, id, now, effects),
            Step::Select => {
                (deadline, Request::Sign { duty: id, key, message: Message::Selection(id.slot) })
            }
            Step::Wait(proof) => {
                let proof = proof.clone();
                let Some(data) = self.aggregate_of(place.map(|place| place.committee), now) else {
                    return;
                };
                let request = Request::Aggregate { slot: id.slot, data: data.clone() };
                self.set_step(id, Step::Merge(proof, data));
                (self.node_by_ms(deadline), request)
            }
            Step::Merge(_, data) => {
                let request = Request::Aggregate { slot: id.slot, data: data.clone() };
                (self.node_by_ms(deadline), request)
            }
            Step::Protect(message) if id.kind == Kind::Proposal => (
                deadline,
                Request::Protect(vec![Guarded { duty: id, key, message: message.clone() }]),
            ),
            Step::Sign(message) => {
                (deadline, Request::Sign { duty: id, key, message: message.clone() })
            }
            Step::Publish(message, signature) if id.kind == Kind::Proposal => {
                let (message, signature) = (message.clone(), signature.clone());
                let signed = SignedDuty { duty: id, place, message, signature };
                (self.node_by_ms(deadline), Request::Publish(vec![signed]))
            }
            Step::Protect(_) | Step::Publish(..) => return,
        };
        let asked = match request {
            Request::Protect(_) | Request::Publish(_) => Asked::Batch(vec![id]),
            _ => Asked::Duty(id),
        };
        self.note_asked(id);
        self.ask(effects, asked, by_ms, request);
    }

    fn set_step(&mut self, id: DutyId, step: Step<V>) {
        if let Some(duty) = self.duties.get_mut(&id) {
            duty.stage = Stage::Next(step);
        }
    }

    fn note_asked(&mut self, id: DutyId) {
        let Some(duty) = self.duties.get_mut(&id) else { return };
        duty.stage = match std::mem::replace(&mut duty.stage, Stage::Done) {
            Stage::Next(step) => Stage::Asked(step),
            other => other,
        };
    }

    /// Returns the data to aggregate once aggregates are due: those that we have attested with.
    fn aggregate_of(&self, committee: Option<u64>, now: u64) -> Option<V::Data> {
        let due = self.timing.at(self.slot?, self.timing.aggregate_ms);
        if now < due {
            return None;
        }
        self.data.get(&committee?).cloned().flatten()
    }

    /// Attestations are due at their time, or once the slot's own block is the head.
    fn attestations_are_due(&self, slot: Slot, now: u64) -> bool {
        let is_time = now >= self.timing.at(slot, self.timing.attestation_ms);
        let has_block = self.heads.back().is_some_and(|head| head.slot == slot);
        is_time || has_block && now >= self.timing.at(slot, 0)
    }

    /// One request for data serves all of our attesters in a committee.
    fn step_data(&mut self, protocol: &V, id: DutyId, now: u64, effects: &mut Effects<V>) {
        let place = self.duties.get(&id).and_then(|duty| duty.place);
        let Some(committee) = place.map(|place| place.committee) else { return };
        if !self.attestations_are_due(id.slot, now) {
            return;
        }
        match self.data.get(&committee).cloned() {
            Some(Some(data)) => self.take_data(protocol, id, &data, effects),
            Some(None) => self.note_asked(id),
            None => {
                self.note_asked(id);
                self.data.insert(committee, None);
                let by_ms = self.node_by_ms(self.deadline_ms(id));
                let request = Request::Data { slot: id.slot, committee };
                self.ask(effects, Asked::Data(committee), by_ms, request);
            }
        }
    }

    /// Has all attestations that are ready for it checked and recorded in one transaction.
    fn protect_attestations(&mut self, slot: Slot, effects: &mut Effects<V>) {
        let mut batch = Vec::new();
        for (id, duty) in self.of_slot(slot) {
            let is_ours = id.kind == Kind::Attestation && !duty.rests;
            if let (true, Stage::Next(Step::Protect(message))) = (is_ours, &duty.stage) {
                batch.push(Guarded { duty: *id, key: duty.key, message: message.clone() });
            }
        }
        let Some(first) = batch.first() else { return };
        let by_ms = self.deadline_ms(first.duty);
        let ids: Vec<_> = batch.iter().map(|guarded| guarded.duty).collect();
        ids.iter().for_each(|id| self.note_asked(*id));
        self.ask(effects, Asked::Batch(ids), by_ms, Request::Protect(batch));
    }

    /// Publishes what is signed of a kind in one request: once all of it is, or at once if
    /// `gathered`, when the time to wait for others is over.
    fn publish(&mut self, slot: Slot, kind: Kind, gathered: bool, effects: &mut Effects<V>) {
        let mut batch = Vec::new();
        for (id, duty) in self.of_slot(slot).filter(|(id, _)| id.kind == kind) {
            match &duty.stage {
                Stage::Next(Step::Publish(message, signature)) if !duty.rests => {
                    let (message, signature) = (message.clone(), signature.clone());
                    batch.push(SignedDuty { duty: *id, place: duty.place, message, signature });
                }
                Stage::Next(Step::Publish(..)) | Stage::Asked(Step::Publish(..)) | Stage::Done => {}
                Stage::Next(_) | Stage::Asked(_) if gathered => {}
                Stage::Next(_) | Stage::Asked(_) => return,
            }
        }
        let Some(first) = batch.first() else { return };
        let by_ms = self.node_by_ms(self.deadline_ms(first.duty));
        let ids: Vec<_> = batch.iter().map(|signed| signed.duty).collect();
        ids.iter().for_each(|id| self.note_asked(*id));
        self.ask(effects, Asked::Batch(ids), by_ms, Request::Publish(batch));
    }
}
