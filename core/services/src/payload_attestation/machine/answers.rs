//! What becomes of answers, and of requests without one.

use std::collections::BTreeSet;

use super::round::{Content, Stage};
use super::{Asked, Effects, PayloadAttestation, Pending};
use crate::consensus::ValidatorIndex;
use crate::payload_attestation::event::{Effect, Outcome, Reason, Reply, RequestId, Step};
use crate::payload_attestation::protocol::VoteProtocol;
use crate::ptc_duties;

impl<V: VoteProtocol> PayloadAttestation<V> {
    /// Takes an answer for its request; everything else is stray (I2).
    pub(super) fn answer(&mut self, id: RequestId, reply: Reply<V>, effects: &mut Effects<V>) {
        let Some(Pending { since_ms, asked, .. }) = self.requests.remove(&id) else {
            self.counters.stray += 1;
            return;
        };
        let took = self.now_ms.saturating_sub(since_ms);
        match (asked, reply) {
            (Asked::Duties(request), Reply::Duties { dependent_root, duties }) => {
                let reply = ptc_duties::Reply::Duties { dependent_root, duties };
                self.tell_duties(ptc_duties::Event::Answered { request, reply }, effects);
            }
            (Asked::Data, Reply::Data(data)) => {
                self.took(Step::Fetch, took, effects);
                self.take_data(data);
            }
            (Asked::Data, Reply::NoBlock) => self.data_failed(Reason::NoBlock),
            (Asked::Sign(validator), Reply::Signature(signature)) => {
                self.took(Step::Sign, took, effects);
                self.take_signature(validator, signature);
            }
            (Asked::Sign(validator), Reply::Refused) => {
                self.miss(validator, Reason::SignerRefused, effects);
            }
            (Asked::Sign(validator), Reply::UnknownKey) => {
                self.miss(validator, Reason::UnknownKey, effects);
            }
            (Asked::Publish(batch), Reply::Published { refused }) => {
                self.took(Step::Publish, took, effects);
                self.published(&batch, &refused, effects);
            }
            (Asked::Publish(batch), Reply::NotTaken) => {
                for validator in batch {
                    self.publish_failed(validator, false, effects);
                }
            }
            (asked, Reply::Failed) => self.failed(asked, false, effects),
            (asked, _) => {
                self.counters.malformed += 1;
                self.failed(asked, false, effects);
            }
        }
    }

    fn took(&self, step: Step, ms: u64, effects: &mut Effects<V>) {
        let slot = self.round.as_ref().map(|round| round.slot);
        effects.extend(slot.map(|slot| Effect::Took { slot, step, ms }));
    }

    /// A request has failed, or was given up if `is_late`.
    pub(super) fn failed(&mut self, asked: Asked, is_late: bool, effects: &mut Effects<V>) {
        match asked {
            Asked::Duties(request) => {
                let reply = ptc_duties::Reply::Failed;
                self.tell_duties(ptc_duties::Event::Answered { request, reply }, effects);
            }
            Asked::Data if is_late => self.data_failed(Reason::NodeLate),
            Asked::Data => self.data_failed(Reason::NodeFailed),
            Asked::Sign(validator) => self.sign_failed(validator, is_late, effects),
            Asked::Publish(batch) => {
                for validator in batch {
                    self.publish_failed(validator, true, effects);
                }
            }
        }
    }

    /// Keeps data that may be signed. Those that are not for a complete payload are asked for again
    /// in their time.
    fn take_data(&mut self, data: V::Data) {
        let claims = self.protocol.claims(&data);
        let Some(round) = self.round.as_mut().filter(|round| !round.is_fixed()) else { return };
        if claims.slot != round.slot {
            self.data_failed(Reason::BadAnswer);
            return;
        }
        let fetch = self.timing.at(round.slot, self.timing.fetch_ms);
        let is_complete = claims.payload_present && claims.blob_data_available;
        if is_complete || self.now_ms >= fetch {
            round.content = Content::Held(data);
            round.why = None;
        }
    }

    /// There are no data, or none that can be signed: they are asked for again, until the deadline
    /// (P3).
    pub(super) fn data_failed(&mut self, why: Reason) {
        let again = self.now_ms.saturating_add(self.limits.retry_ms);
        let Some(round) = &mut self.round else { return };
        round.why = Some(why);
        round.rests_until_ms = again;
    }

    fn take_signature(&mut self, validator: ValidatorIndex, signature: V::Signature) {
        let vote = self.round.as_mut().and_then(|round| round.votes.get_mut(&validator));
        // A vote that has ended meanwhile needs no signature.
        if let Some(vote) = vote.filter(|vote| vote.stage == Stage::Signing) {
            vote.stage = Stage::Signed(signature);
            vote.failures = 0;
        }
    }

    /// The same data are signed again later, unless the signer is dead: its time was all that there
    /// is.
    fn sign_failed(&mut self, validator: ValidatorIndex, is_late: bool, effects: &mut Effects<V>) {
        let (now, limits) = (self.now_ms, self.limits);
        let vote = self.round.as_mut().and_then(|round| round.votes.get_mut(&validator));
        let Some(vote) = vote.filter(|vote| vote.stage == Stage::Signing) else { return };
        vote.failures = vote.failures.saturating_add(1);
        if is_late {
            self.miss(validator, Reason::SignerLate, effects);
        } else if vote.failures >= limits.attempts {
            self.miss(validator, Reason::SignerFailed, effects);
        } else {
            let again = now.saturating_add(limits.rest_ms(vote.failures));
            vote.stage = Stage::SignsAgain(again);
        }
    }

    /// A vote is published again, whether it `may_have_arrived` or not: a second copy does no harm
    /// (P4, P7). It rests before that (P6), but not beyond the deadline.
    fn publish_failed(
        &mut self,
        validator: ValidatorIndex,
        may_have_arrived: bool,
        effects: &mut Effects<V>,
    ) {
        let (now, timing, limits) = (self.now_ms, self.timing, self.limits);
        let Some(round) = &mut self.round else { return };
        let Some(vote) = round.votes.get_mut(&validator) else { return };
        let Stage::Publishing(signature) = &vote.stage else { return };
        vote.stage = Stage::Signed(signature.clone());
        vote.is_uncertain |= may_have_arrived;
        if !vote.is_uncertain {
            vote.left_ms = None;
        }
        vote.failures = vote.failures.saturating_add(1);
        let again = now.saturating_add(limits.rest_ms(vote.failures));
        let due = Some(timing.at(round.slot, timing.due_ms)).filter(|due| now < *due);
        round.publishes_again_ms = Some(due.map_or(again, |due| again.min(due)));
        if vote.failures >= limits.attempts {
            self.miss(validator, Reason::PublishFailed, effects);
        }
    }

    fn published(
        &mut self,
        batch: &[ValidatorIndex],
        refused: &[ValidatorIndex],
        effects: &mut Effects<V>,
    ) {
        let refused: BTreeSet<_> = refused.iter().collect();
        for validator in batch {
            let Some(round) = &self.round else { return };
            let due = self.timing.at(round.slot, self.timing.due_ms);
            let Some(vote) = round.votes.get(validator) else { continue };
            // What is refused after it may have arrived is known already (P4).
            let outcome = if refused.contains(validator) && !vote.is_uncertain {
                Outcome::Missed(Reason::PublishRefused)
            } else {
                let left = vote.left_ms.unwrap_or(self.now_ms);
                Outcome::Sent { lead_ms: due.cast_signed().saturating_sub_unsigned(left) }
            };
            self.end(*validator, outcome, effects);
        }
    }
}
