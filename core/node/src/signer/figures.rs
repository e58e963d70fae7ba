//! What the signer has signed, refused, and why, for Prometheus.
//!
//! **Contract.** Each request to sign counts once in `blocksmith_signer_requests_total`, under the
//! type of its object and the result that its answer tells. A type that was not read, because the
//! request was refused before, is `none`. What slashing protection or the clock
//! refuses counts in `blocksmith_signer_refused_total` as well, under the rule that refuses it. The
//! time of what was signed is from the complete body to the signature. A request whose client
//! leaves before its body is complete counts nowhere.
//!
//! Counting takes atomic additions alone; reading allocates one page of text.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use blocksmith::slashing_protection::Refusal;

use super::batch::Counters;
use super::signing::KINDS;
use crate::metrics::Histogram;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It was signed, and is on record if it could be slashable.
    Signed,
    /// It was signed before, and the same signature was returned.
    Repeated,
    /// Slashing protection or the clock has refused it.
    Refused,
    /// It is not well-formed, of an unknown type, or states another signing root.
    Malformed,
    /// The signer does not have the key.
    UnknownKey,
    /// Its body is too long, or did not come in time.
    Unread,
    /// A page of a browser has sent it.
    Page,
    /// Too many requests were signed at once.
    Busy,
    /// The signer has failed.
    Failed,
}

impl Answered {
    /// The words for the results, in their order.
    const WORDS: [&str; 9] = [
        "signed",
        "repeated",
        "refused",
        "malformed",
        "unknown_key",
        "unread",
        "page",
        "busy",
        "failed",
    ];

    /// Returns the word for it, which is the value of the label `result`.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// The words for the rules: those of [`Refusal`] in their order, and that of the clock.
const RULES: [&str; 11] = [
    "out_of_range",
    "double_block",
    "old_block",
    "source_after_target",
    "double_vote",
    "old_source",
    "old_target",
    "surrounds",
    "surrounded",
    "other_chain",
    "too_far_ahead",
];
/// The place of the clock's rule in [`RULES`].
const TOO_FAR_AHEAD: usize = 10;

/// Returns the place of a rule in [`RULES`].
fn rule(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::OutOfRange(_) => 0,
        Refusal::DoubleBlock(_) => 1,
        Refusal::OldBlock { .. } => 2,
        Refusal::SourceAfterTarget { .. } => 3,
        Refusal::DoubleVote(_) => 4,
        Refusal::OldSource { .. } => 5,
        Refusal::OldTarget { .. } => 6,
        Refusal::Surrounds(..) => 7,
        Refusal::Surrounded(..) => 8,
        Refusal::OtherChain => 9,
    }
}

/// The figures of one signer; they only grow.
#[derive(Debug, Default)]
pub struct Figures {
    /// By type, the last row being that of none, and result.
    requests: [[AtomicU64; Answered::WORDS.len()]; KINDS.len() + 1],
    refused: [AtomicU64; RULES.len()],
    times: Histogram,
}

impl Figures {
    fn row(kind: Option<&str>) -> usize {
        let known = KINDS.iter().position(|it| Some(*it) == kind);
        known.unwrap_or(KINDS.len())
    }

    /// Counts an answer. `kind` is one of [`KINDS`], or `None` if the type was not read.
    pub fn answered(&self, kind: Option<&str>, answered: Answered) {
        // ORDERING: pairs with nothing; a figure for people.
        self.requests[Self::row(kind)][answered as usize].fetch_add(1, Relaxed);
    }

    /// Counts the rule by which slashing protection refuses.
    pub fn refused(&self, refusal: &Refusal) {
        // ORDERING: as above.
        self.refused[rule(refusal)].fetch_add(1, Relaxed);
    }

    /// Counts a message that lies too far ahead of the clock.
    pub fn too_far_ahead(&self) {
        // ORDERING: as above.
        self.refused[TOO_FAR_AHEAD].fetch_add(1, Relaxed);
    }

    /// Counts the time to a signature.
    pub fn signed_within(&self, time: Duration) {
        self.times.observe(time);
    }

    /// Returns how many requests of a type had a result.
    #[must_use]
    pub fn count(&self, kind: Option<&str>, answered: Answered) -> u64 {
        // ORDERING: as above.
        self.requests[Self::row(kind)][answered as usize].load(Relaxed)
    }

    /// Returns the figures in the text exposition format. Samples of zero are left out of the
    /// families with many labels.
    #[must_use]
    pub fn exposition(&self, keys: usize, counters: &Counters) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP blocksmith_signer_{name} {help}");
            let _ = writeln!(text, "# TYPE blocksmith_signer_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "blocksmith_signer_{name}{labels} {value}");
            }
        };
        let plain = |value: u64| [(String::new(), value)];
        let mut requests = Vec::new();
        for (row, kind) in self.requests.iter().zip(KINDS.into_iter().chain(["none"])) {
            for (count, word) in row.iter().zip(Answered::WORDS) {
                // ORDERING: as above.
                let labels = format!("{{type=\"{kind}\",result=\"{word}\"}}");
                requests.push((labels, count.load(Relaxed)));
            }
        }
        requests.retain(|(_, count)| *count > 0);
        family("requests_total", "counter", "Requests to sign, by what came of them.", &requests);
        let refused = self.refused.iter().zip(RULES).map(|(count, word)| {
            // ORDERING: as above.
            (format!("{{rule=\"{word}\"}}"), count.load(Relaxed))
        });
        let refused: Vec<_> = refused.filter(|(_, count)| *count > 0).collect();
        let help = "Requests that slashing protection or the clock has refused, by rule.";
        family("refused_total", "counter", help, &refused);
        let help = "Transactions of slashing protection.";
        family("transactions_total", "counter", help, &plain(counters.transactions()));
        let help = "Requests that slashing protection has judged.";
        family("judged_total", "counter", help, &plain(counters.requests()));
        family("keys", "gauge", "Keys that the signer has.", &plain(keys as u64));
        let name = "blocksmith_signer_duration_seconds";
        let help = "Time from the complete body to the signature.";
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        self.times.write(name, "result=\"signed\"", &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_a_count_of_its_own() {
        // One refusal by each rule, counted one time more than the one before.
        let refusals = [
            (Refusal::OutOfRange(1), "out_of_range"),
            (Refusal::DoubleBlock(1), "double_block"),
            (Refusal::OldBlock { slot: 1, watermark: 2 }, "old_block"),
            (
                Refusal::SourceAfterTarget { source_epoch: 2, target_epoch: 1 },
                "source_after_target",
            ),
            (Refusal::DoubleVote(1), "double_vote"),
            (Refusal::OldSource { epoch: 1, watermark: 2 }, "old_source"),
            (Refusal::OldTarget { epoch: 1, watermark: 2 }, "old_target"),
            (Refusal::Surrounds(1, 2), "surrounds"),
            (Refusal::Surrounded(1, 2), "surrounded"),
            (Refusal::OtherChain, "other_chain"),
        ];
        let figures = Figures::default();
        for (times, (refusal, _)) in (1..).zip(&refusals) {
            (0..times).for_each(|_| figures.refused(refusal));
        }
        (0..11).for_each(|_| figures.too_far_ahead());
        let text = figures.exposition(0, &Counters::default());
        assert!(!text.contains("_requests_total{"), "nothing was answered: {text}");
        let words = refusals.iter().map(|(_, word)| *word).chain(["too_far_ahead"]);
        for (times, word) in (1..).zip(words) {
            let line = format!("blocksmith_signer_refused_total{{rule=\"{word}\"}} {times}");
            assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
        }
    }
}
