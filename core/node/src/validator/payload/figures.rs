//! What becomes of the votes on payloads, in numbers.
//!
//! | family | labels | counts |
//! |---|---|---|
//! | `blocksmith_payload_votes_planned_total` | | votes that began |
//! | `blocksmith_payload_votes_sent_total` | | votes that a beacon node has taken |
//! | `blocksmith_payload_votes_late_total` | | those of them that left after the deadline |
//! | `blocksmith_payload_votes_missed_total` | `why` | votes that were missed |
//! | `blocksmith_payload_vote_step_seconds` | `step` | how long the data, a signature and a publication took |
//! | `blocksmith_payload_vote_lead_seconds` | | how long before the deadline a vote left, if it did |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blocksmith::consensus::Slot;
use blocksmith::payload_attestation::service::Journal;
use blocksmith::payload_attestation::{DutyId, Outcome, Reason, Step};

use crate::metrics::Histogram;

/// Every step, in the order in which it is taken.
const STEPS: [Step; 3] = [Step::Fetch, Step::Sign, Step::Publish];

/// Counters of votes on payloads. A clone counts into the same ones. They are few, and each is
/// changed in a few instructions, so one lock does.
#[derive(Clone, Debug, Default)]
pub struct PayloadFigures(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    steps: [Histogram; 3],
    lead: Histogram,
}

#[derive(Debug, Default)]
struct Counts {
    planned: u64,
    sent: u64,
    late: u64,
    missed: BTreeMap<Reason, u64>,
}

impl PayloadFigures {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a vote that begins.
    pub fn planned(&self) {
        self.counts().planned += 1;
    }

    /// Counts a vote that ends.
    pub fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Sent { lead_ms } => {
                self.counts().sent += 1;
                match u64::try_from(lead_ms) {
                    Ok(ms) => self.0.lead.observe(Duration::from_millis(ms)),
                    Err(_) => self.counts().late += 1,
                }
            }
            Outcome::Missed(why) => *self.counts().missed.entry(why).or_default() += 1,
        }
    }

    /// Counts a step that took this long, in milliseconds.
    pub fn took(&self, step: Step, ms: u64) {
        self.0.steps[step as usize].observe(Duration::from_millis(ms));
    }

    /// Returns how many votes were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.counts().sent
    }

    /// Returns how many votes were missed, by reason.
    #[must_use]
    pub fn missed(&self) -> Vec<(Reason, u64)> {
        self.counts().missed.iter().map(|(why, count)| (*why, *count)).collect()
    }

    /// Returns the figures in the text exposition format.
    #[must_use]
    pub fn exposition(&self) -> String {
        let mut text = String::new();
        let counts = self.counts();
        let families = [
            ("planned", "Votes on payloads that began.", counts.planned),
            ("sent", "Votes on payloads that a beacon node has taken.", counts.sent),
            ("late", "Votes on payloads that left after the deadline.", counts.late),
        ];
        // Writing to a string does not fail.
        for (name, help, value) in families {
            let name = format!("blocksmith_payload_votes_{name}_total");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}");
        }
        let name = "blocksmith_payload_votes_missed_total";
        let help = "Votes on payloads that were missed.";
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for (why, count) in &counts.missed {
            let _ = writeln!(text, "{name}{{why=\"{}\"}} {count}", why.word());
        }
        let name = "blocksmith_payload_vote_step_seconds";
        let help = "How long a step of votes on a payload took.";
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        for step in STEPS {
            let label = format!("step=\"{}\"", step.word());
            self.0.steps[step as usize].write(name, &label, &mut text);
        }
        let name = "blocksmith_payload_vote_lead_seconds";
        let help = "How long before the deadline a vote on a payload left.";
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        self.0.lead.write(name, "when=\"before\"", &mut text);
        text
    }
}

/// A journal that counts, and hands on to another one.
pub(super) struct Figured<J> {
    pub(super) figures: PayloadFigures,
    pub(super) journal: J,
}

impl<J: Journal> Journal for Figured<J> {
    fn began(&mut self, duty: DutyId) {
        self.figures.planned();
        self.journal.began(duty);
    }

    fn ended(&mut self, duty: DutyId, outcome: Outcome) {
        self.figures.ended(outcome);
        self.journal.ended(duty, outcome);
    }

    fn took(&mut self, slot: Slot, step: Step, ms: u64) {
        self.figures.took(step, ms);
        self.journal.took(slot, step, ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_are_counted_by_what_became_of_them_and_steps_by_their_time() {
        // One sent a second early, one at the deadline, one late, one missed; two signatures.
        let figures = PayloadFigures::default();
        (0..4).for_each(|_| figures.planned());
        for lead_ms in [1_000, 0, -5] {
            figures.ended(Outcome::Sent { lead_ms });
        }
        figures.ended(Outcome::Missed(Reason::NoBlock));
        figures.took(Step::Sign, 4);
        figures.took(Step::Sign, 700);
        assert_eq!((figures.sent(), figures.missed()), (3, vec![(Reason::NoBlock, 1)]));
        let text = figures.exposition();
        for line in [
            "blocksmith_payload_votes_planned_total 4",
            "blocksmith_payload_votes_late_total 1",
            "blocksmith_payload_votes_missed_total{why=\"no_block\"} 1",
            "blocksmith_payload_vote_step_seconds_bucket{step=\"sign\",le=\"0.005\"} 1",
            "blocksmith_payload_vote_step_seconds_count{step=\"sign\"} 2",
            "blocksmith_payload_vote_step_seconds_count{step=\"fetch\"} 0",
            "blocksmith_payload_vote_lead_seconds_bucket{when=\"before\",le=\"1\"} 2",
            "blocksmith_payload_vote_lead_seconds_count{when=\"before\"} 2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
