//! Which duties there were, and what became of them.
//!
//! **Invariants.**
//! - L1 A duty that was planned is in the end either sent or missed with a reason.
//! - L2 Sent outweighs missed: after a restart, a validator may begin a duty anew that it has done.
//! - L3 A list replaces what an older one of the same epoch planned for the slots that have not
//!   begun.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A kind of duty, in the words of the validator's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Proposal,
    Attestation,
    Aggregation,
    #[serde(rename = "payload_attestation")]
    PayloadVote,
}

impl Kind {
    pub(super) const ALL: [Self; 4] =
        [Self::Proposal, Self::Attestation, Self::Aggregation, Self::PayloadVote];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Attestation => "attestation",
            Self::Aggregation => "aggregation",
            Self::PayloadVote => "payload vote",
        }
    }
}

/// A line of the validator.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Line {
    slot: u64,
    kind: Kind,
    validator: u64,
    step: Step,
    #[serde(default)]
    why: Option<String>,
    /// How long before the deadline a vote on a payload left, in milliseconds.
    #[serde(default)]
    lead_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    Planned,
    Sent,
    Missed,
}

/// Slot, kind and validator.
type Duty = (u64, Kind, u64);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// The node lists it.
    Listed,
    /// The validator has begun it.
    Begun,
    Missed(String),
    Sent,
}

/// A duty that was missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Missed {
    pub(super) slot: u64,
    pub(super) kind: Kind,
    pub(super) why: String,
}

/// The duties of a range of slots.
#[derive(Debug)]
pub(super) struct Ledger {
    first: u64,
    last: u64,
    duties: BTreeMap<Duty, Standing>,
    /// Of the votes on payloads that were sent.
    leads_ms: Vec<i64>,
    /// Votes on payloads that were sent again for the same duty.
    doubled: u64,
}

impl Ledger {
    /// Returns a ledger of the slots `first` to `last`, which lie within 2^20 of each other; duties
    /// of other slots are not kept.
    pub(super) fn new(first: u64, last: u64) -> Self {
        Self { first, last, duties: BTreeMap::new(), leads_ms: Vec::new(), doubled: 0 }
    }

    fn covers(&self, slot: u64) -> bool {
        (self.first..=self.last).contains(&slot)
    }

    /// Takes in a list of the node for the slots from `from` to `to`; `from` has not begun yet.
    pub(super) fn list(&mut self, kind: Kind, from: u64, to: u64, listed: &[(u64, u64)]) {
        let is_old = |(slot, of, _): &Duty| *of == kind && (from..=to).contains(slot);
        self.duties.retain(|duty, standing| !is_old(duty) || *standing != Standing::Listed);
        for (slot, validator) in listed {
            if (from..=to).contains(slot) && self.covers(*slot) {
                self.duties.entry((*slot, kind, *validator)).or_insert(Standing::Listed);
            }
        }
    }

    /// Takes in a line of the validator.
    pub(super) fn line(&mut self, Line { slot, kind, validator, step, why, lead_ms }: Line) {
        if !self.covers(slot) {
            return;
        }
        if let (Kind::PayloadVote, Step::Sent) = (kind, step) {
            let before = self.duties.get(&(slot, kind, validator));
            self.doubled += u64::from(before == Some(&Standing::Sent));
            self.leads_ms.extend(lead_ms);
        }
        let standing = self.duties.entry((slot, kind, validator)).or_insert(Standing::Listed);
        let next = match step {
            Step::Planned => Standing::Begun,
            Step::Sent => Standing::Sent,
            Step::Missed => Standing::Missed(why.unwrap_or_default()),
        };
        // L2; and a beginning does not undo an end.
        let undoes = matches!((&*standing, &next), (Standing::Missed(_), Standing::Begun));
        if *standing != Standing::Sent && !undoes {
            *standing = next;
        }
    }

    /// Returns the leads of the votes on payloads over the deadline, ascending, in milliseconds, and
    /// how many of these votes were sent for a duty that was done before.
    pub(super) fn payload_votes(&self) -> (Vec<i64>, u64) {
        let mut leads = self.leads_ms.clone();
        leads.sort_unstable();
        (leads, self.doubled)
    }

    /// Returns how many duties of a kind were planned, and how many of these were sent.
    pub(super) fn counts(&self, kind: Kind) -> (u64, u64) {
        let of_kind = self.duties.iter().filter(|((_, of, _), _)| *of == kind);
        of_kind.fold((0, 0), |(planned, sent), (_, standing)| {
            (planned + 1, sent + u64::from(*standing == Standing::Sent))
        })
    }

    /// Returns what was missed in the slots up to `slot`, in their order. `down` says which process
    /// was down or hung in a slot: a duty that nobody ended is put down to it.
    pub(super) fn missed(
        &self,
        slot: u64,
        down: impl Fn(u64) -> Option<&'static str>,
    ) -> Vec<Missed> {
        let until = self.duties.iter().take_while(|((of, ..), _)| *of <= slot);
        let missed = |(&(slot, kind, _), standing): (&Duty, &Standing)| {
            let why = match standing {
                Standing::Sent => return None,
                Standing::Missed(why) => why.clone(),
                Standing::Listed | Standing::Begun => match down(slot) {
                    Some(process) => format!("{process}_down"),
                    None if *standing == Standing::Listed => "not_begun".to_owned(),
                    None => "not_ended".to_owned(),
                },
            };
            Some(Missed { slot, kind, why })
        };
        until.filter_map(missed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(slot: u64, step: Step, why: Option<&str>) -> Line {
        let why = why.map(str::to_owned);
        Line { slot, kind: Kind::Attestation, validator: 7, step, why, lead_ms: None }
    }

    #[test]
    fn a_line_is_read_as_the_validator_writes_it() {
        // One that begins and one that is missed; what is no line of a duty is none.
        let text = r#"{"slot":9,"kind":"attestation","validator":7,"step":"planned"}"#;
        assert_eq!(serde_json::from_str::<Line>(text).unwrap(), line(9, Step::Planned, None));
        let text =
            r#"{"slot":9,"kind":"attestation","validator":7,"step":"missed","why":"signer_late"}"#;
        let missed = line(9, Step::Missed, Some("signer_late"));
        assert_eq!(serde_json::from_str::<Line>(text).unwrap(), missed);
        assert!(serde_json::from_str::<Line>("duties of 16 keys begin").is_err());
    }

    #[test]
    fn votes_on_payloads_have_leads_and_one_that_is_sent_twice_is_counted() {
        // Two votes of different duties, and the first one again.
        let vote = |slot, lead| {
            let text = format!(
                r#"{{"slot":{slot},"kind":"payload_attestation","validator":7,"step":"sent","lead_ms":{lead}}}"#
            );
            serde_json::from_str::<Line>(&text).unwrap()
        };
        let mut ledger = Ledger::new(1, 9);
        for line in [vote(2, 50), vote(3, -4), vote(11, 1)] {
            ledger.line(line);
        }
        assert_eq!(ledger.payload_votes(), (vec![-4, 50], 0));
        ledger.line(vote(2, 40));
        assert_eq!(ledger.payload_votes(), (vec![-4, 40, 50], 1));
        assert_eq!(ledger.counts(Kind::PayloadVote), (2, 2));
    }

    #[test]
    fn every_planned_duty_is_sent_or_missed_with_a_reason() {
        // Listed and never begun; begun and not ended; missed; sent; one of another slot.
        let mut ledger = Ledger::new(1, 9);
        ledger.list(Kind::Attestation, 1, 8, &[(1, 7), (2, 7), (3, 7), (4, 7), (10, 7)]);
        ledger.line(line(2, Step::Planned, None));
        ledger.line(line(3, Step::Missed, Some("node_late")));
        ledger.line(line(4, Step::Sent, None));
        ledger.line(line(11, Step::Sent, None));
        assert_eq!(ledger.counts(Kind::Attestation), (4, 1));
        let missed = ledger.missed(9, |slot| (slot == 1).then_some("validator"));
        let whys: Vec<_> = missed.iter().map(|it| (it.slot, it.why.as_str())).collect();
        assert_eq!(whys, [(1, "validator_down"), (2, "not_ended"), (3, "node_late")]);
        assert_eq!(ledger.missed(2, |_| None).len(), 2, "later slots are not over");
    }

    #[test]
    fn what_was_sent_stays_sent_and_what_was_missed_may_still_be_sent() {
        // A validator that is started again begins a duty anew.
        let mut ledger = Ledger::new(1, 9);
        ledger.line(line(2, Step::Sent, None));
        ledger.line(line(2, Step::Planned, None));
        ledger.line(line(2, Step::Missed, Some("already_signed")));
        ledger.line(line(3, Step::Missed, Some("signer_late")));
        ledger.line(line(3, Step::Planned, None));
        assert_eq!(ledger.missed(9, |_| None)[0].why, "signer_late");
        ledger.line(line(3, Step::Sent, None));
        assert_eq!(ledger.counts(Kind::Attestation), (2, 2));
    }

    #[test]
    fn a_newer_list_replaces_what_has_not_begun() {
        // After a re-organisation another validator has the slot; slot 2 has begun.
        let mut ledger = Ledger::new(1, 9);
        ledger.list(Kind::Proposal, 1, 8, &[(2, 1), (5, 1), (6, 2)]);
        ledger.list(Kind::Proposal, 3, 8, &[(2, 9), (5, 4), (6, 2)]);
        let planned: Vec<_> = ledger.duties.keys().map(|(slot, _, of)| (*slot, *of)).collect();
        assert_eq!(planned, [(2, 1), (5, 4), (6, 2)]);
    }
}
