//! What becomes of the duties, in numbers.
//!
//! | family | labels | counts |
//! |---|---|---|
//! | `blocksmith_duties_planned_total` | `kind` | duties that began |
//! | `blocksmith_duties_signed_total` | `kind` | signatures that came back, selection proofs and reveals among them |
//! | `blocksmith_duties_sent_total` | `kind` | duties whose message a beacon node has taken |
//! | `blocksmith_duties_missed_total` | `kind`, `why` | duties that were missed |
//! | `blocksmith_duty_sent_seconds` | `kind` | when in its slot a duty was sent |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blocksmith::beacon_validator::service::{Clock, Journal};
use blocksmith::beacon_validator::{DutyId, Kind, Outcome, Reading, Reason, Timing};

use super::WallClock;
use crate::metrics::Histogram;

/// Every kind of duty.
const KINDS: [Kind; 3] = [Kind::Proposal, Kind::Attestation, Kind::Aggregation];

/// Counters of duties. A clone counts into the same ones. They are few, and each is changed in a
/// few instructions, so one lock does.
#[derive(Clone, Debug, Default)]
pub struct DutyFigures(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    sent_at: [Histogram; 3],
}

#[derive(Debug, Default)]
struct Counts {
    planned: [u64; 3],
    signed: [u64; 3],
    sent: [u64; 3],
    missed: BTreeMap<(Kind, Reason), u64>,
}

impl DutyFigures {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a duty that begins.
    pub fn planned(&self, kind: Kind) {
        self.counts().planned[kind as usize] += 1;
    }

    /// Counts a signature.
    pub fn signed(&self, kind: Kind) {
        self.counts().signed[kind as usize] += 1;
    }

    /// Counts a duty that ends, at a time of its slot.
    pub fn ended(&self, kind: Kind, outcome: Outcome, into_slot: Option<Duration>) {
        match outcome {
            Outcome::Sent => {
                self.counts().sent[kind as usize] += 1;
                if let Some(at) = into_slot {
                    self.0.sent_at[kind as usize].observe(at);
                }
            }
            Outcome::Missed(why) => *self.counts().missed.entry((kind, why)).or_default() += 1,
        }
    }

    /// Returns how many duties of a kind were sent.
    #[must_use]
    pub fn sent(&self, kind: Kind) -> u64 {
        self.counts().sent[kind as usize]
    }

    /// Returns how many duties were missed, by kind and reason.
    #[must_use]
    pub fn missed(&self) -> Vec<(Kind, Reason, u64)> {
        let missed = &self.counts().missed;
        missed.iter().map(|((kind, why), count)| (*kind, *why, *count)).collect()
    }

    /// Returns the figures in the text exposition format.
    #[must_use]
    pub fn exposition(&self) -> String {
        let mut text = String::new();
        let counts = self.counts();
        let families = [
            ("planned", "Duties that began.", counts.planned),
            ("signed", "Signatures that came back.", counts.signed),
            ("sent", "Duties whose message a beacon node has taken.", counts.sent),
        ];
        // Writing to a string does not fail.
        for (name, help, values) in families {
            let name = format!("blocksmith_duties_{name}_total");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            for kind in KINDS {
                let value = values[kind as usize];
                let _ = writeln!(text, "{name}{{kind=\"{}\"}} {value}", kind.word());
            }
        }
        let name = "blocksmith_duties_missed_total";
        let _ = writeln!(text, "# HELP {name} Duties that were missed.\n# TYPE {name} counter");
        for ((kind, why), count) in &counts.missed {
            let (kind, why) = (kind.word(), why.word());
            let _ = writeln!(text, "{name}{{kind=\"{kind}\",why=\"{why}\"}} {count}");
        }
        let name = "blocksmith_duty_sent_seconds";
        let help = "When in its slot a duty was sent.";
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        for kind in KINDS {
            let label = format!("kind=\"{}\"", kind.word());
            self.0.sent_at[kind as usize].write(name, &label, &mut text);
        }
        text
    }
}

/// A journal that counts, and hands on to another one.
pub(super) struct Figured<J> {
    pub(super) figures: DutyFigures,
    pub(super) clock: WallClock,
    pub(super) timing: Timing,
    pub(super) journal: J,
}

impl<J: Journal> Journal for Figured<J> {
    fn began(&mut self, duty: DutyId) {
        self.figures.planned(duty.kind);
        self.journal.began(duty);
    }

    fn ended(&mut self, duty: DutyId, outcome: Outcome) {
        let into_slot = match self.clock.read() {
            Reading::SinceGenesis(ms) => {
                ms.checked_sub(duty.slot.saturating_mul(self.timing.slot_ms))
            }
            Reading::BeforeGenesis => None,
        };
        self.figures.ended(duty.kind, outcome, into_slot.map(Duration::from_millis));
        self.journal.ended(duty, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duties_are_counted_by_kind_and_reason() {
        // One attestation sent in the first second of its slot, one proposal missed twice.
        let figures = DutyFigures::default();
        figures.planned(Kind::Attestation);
        figures.signed(Kind::Attestation);
        figures.ended(Kind::Attestation, Outcome::Sent, Some(Duration::from_millis(700)));
        for _ in 0..2 {
            figures.ended(Kind::Proposal, Outcome::Missed(Reason::SignerLate), None);
        }
        assert_eq!((figures.sent(Kind::Attestation), figures.sent(Kind::Proposal)), (1, 0));
        assert_eq!(figures.missed(), [(Kind::Proposal, Reason::SignerLate, 2)]);
        let text = figures.exposition();
        for line in [
            "blocksmith_duties_planned_total{kind=\"attestation\"} 1",
            "blocksmith_duties_signed_total{kind=\"attestation\"} 1",
            "blocksmith_duties_signed_total{kind=\"aggregation\"} 0",
            "blocksmith_duties_missed_total{kind=\"proposal\",why=\"signer_late\"} 2",
            "blocksmith_duty_sent_seconds_bucket{kind=\"attestation\",le=\"1\"} 1",
            "blocksmith_duty_sent_seconds_count{kind=\"proposal\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
