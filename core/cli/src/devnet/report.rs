//! The table and the JSON of a run.

use std::collections::BTreeMap;

use blocksmith_terminal::{Failure, Output};
use serde::Serialize;

use super::Role;
use super::ledger::{Kind, Ledger, Missed};

/// With fewer slots than this, nothing needs to be final yet: in the minimal preset, a quiet chain
/// finalises an epoch in slot 32.
const MUST_FINALISE: u64 = 64;

/// What became of the duties.
#[derive(Debug, Serialize)]
pub(super) struct Duties {
    pub(super) planned: u64,
    pub(super) sent: u64,
    pub(super) missed: Vec<Missed>,
}

/// The figures of a run.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) slots: u64,
    pub(super) justified_epoch: u64,
    pub(super) finalized_epoch: u64,
    /// 0 to 1, of the slots that an epoch has followed; `null` if there is none.
    pub(super) participation: Option<f64>,
    pub(super) duties: Duties,
    pub(super) slashable: u64,
    pub(super) verdicts_lost: u64,
    /// Blocks of the chain, without genesis.
    pub(super) blocks: u64,
    /// How often each process was killed or hung.
    pub(super) disturbances: Vec<Disturbances>,
    /// With `--ptc` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload_votes: Option<PayloadVotes>,
    /// With `--ptc` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload_duties: Option<PayloadDuties>,
    /// What was final when the run began.
    #[serde(skip)]
    pub(super) finalized_before: u64,
}

/// What the node has counted of votes on payloads.
#[derive(Debug, Serialize)]
pub(super) struct PayloadVotes {
    pub(super) accepted: u64,
    /// Second votes of a validator and slot. A client that has lost an answer sends them again;
    /// none was counted.
    pub(super) second: u64,
    /// Blocks that are not final and were voted on.
    pub(super) blocks: u64,
    /// Places of these blocks' committees that have voted.
    pub(super) places: u64,
    /// Of these blocks, those on which the whole committee has voted.
    pub(super) full: u64,
}

/// What the validator says of its votes on payloads.
#[derive(Debug, Serialize)]
pub(super) struct PayloadDuties {
    pub(super) planned: u64,
    pub(super) sent: u64,
    /// Votes that left after the deadline.
    pub(super) late: u64,
    /// Votes that were sent for a duty that was done before.
    pub(super) doubled: u64,
    /// How long before the deadline votes left, in milliseconds: the least, the median and the
    /// most. Negative if later. `null` if none was sent.
    pub(super) lead_ms: Option<[i64; 3]>,
}

impl PayloadDuties {
    /// Returns the figures of what a ledger has.
    pub(super) fn of(ledger: &Ledger) -> Self {
        let (planned, sent) = ledger.counts(Kind::PayloadVote);
        let (leads, doubled) = ledger.payload_votes();
        let late = leads.iter().filter(|lead| **lead < 0).count();
        let at = |place: usize| leads.get(place).copied();
        let lead_ms = at(0).zip(at(leads.len() / 2)).zip(leads.last().copied());
        let lead_ms = lead_ms.map(|((least, median), most)| [least, median, most]);
        Self { planned, sent, late: u64::try_from(late).unwrap_or(u64::MAX), doubled, lead_ms }
    }
}

/// How often a process was disturbed.
#[derive(Debug, Serialize)]
pub(super) struct Disturbances {
    pub(super) process: &'static str,
    pub(super) kills: u64,
    pub(super) hangs: u64,
}

impl Disturbances {
    pub(super) fn of(role: Role, (kills, hangs): (u64, u64)) -> Self {
        Self { process: role.word(), kills, hangs }
    }
}

impl Figures {
    /// Returns what is not as it should be.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.slashable > 0 {
            faults.push(format!("{} slashable messages were signed", self.slashable));
        }
        let doubled = self.payload_duties.as_ref().map_or(0, |duties| duties.doubled);
        if doubled > 0 {
            faults.push(format!("{doubled} votes on payloads were sent twice"));
        }
        if self.verdicts_lost > 0 {
            faults.push(format!("{} items got no verdict", self.verdicts_lost));
        }
        if self.slots >= MUST_FINALISE && self.finalized_epoch <= self.finalized_before {
            faults.push(format!("nothing was finalised in {} slots", self.slots));
        }
        faults
    }

    /// Prints the table.
    pub(super) fn print(&self, ledger: &Ledger, out: Output) -> Result<(), Failure> {
        let Self { slots, justified_epoch, finalized_epoch, blocks, .. } = self;
        out.line(format_args!("slots          {slots}"))?;
        out.line(format_args!("blocks         {blocks}"))?;
        let participation = self.participation.map(|part| format!("{:.1} %", part * 100.0));
        out.line(format_args!("participation  {}", participation.unwrap_or("-".into())))?;
        out.line(format_args!("justified      epoch {justified_epoch}"))?;
        out.line(format_args!("finalised      epoch {finalized_epoch}"))?;
        for Disturbances { process, kills, hangs } in &self.disturbances {
            out.line(format_args!("{process:14} killed {kills} times, hung {hangs} times"))?;
        }
        out.line(format_args!("{:14} {:>8} {:>8} {:>8}", "duties", "planned", "sent", "missed"))?;
        for kind in Kind::ALL {
            let (planned, sent) = ledger.counts(kind);
            if kind == Kind::PayloadVote && planned == 0 {
                continue;
            }
            let (word, missed) = (kind.word(), planned - sent);
            out.line(format_args!("{word:14} {planned:>8} {sent:>8} {missed:>8}"))?;
        }
        let mut whys = BTreeMap::<_, u64>::new();
        for Missed { kind, why, .. } in &self.duties.missed {
            *whys.entry((*kind, why.as_str())).or_default() += 1;
        }
        for ((kind, why), count) in whys {
            out.line(format_args!("  {} missed: {why} {count}", kind.word()))?;
        }
        if let Some(PayloadVotes { accepted, second, blocks, places, full }) = &self.payload_votes {
            out.line(format_args!(
                "payload votes  {accepted} accepted, {second} second ones; of the last {blocks} \
                 blocks {places} places have voted, and all of {full}"
            ))?;
        }
        if let Some(PayloadDuties { late, doubled, lead_ms, .. }) = &self.payload_duties {
            let lead = lead_ms.map_or("-".to_owned(), |[least, median, most]| {
                format!("least {least} ms, median {median} ms, most {most} ms")
            });
            out.line(format_args!("payload lead   {lead}; {late} late, {doubled} doubled"))?;
        }
        let line = |name: &str, count: u64| out.painted(count == 0, format!("{name:14} {count}"));
        out.line(line("slashable", self.slashable))?;
        out.line(line("verdicts lost", self.verdicts_lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(slots: u64, finalized_epoch: u64, slashable: u64, verdicts_lost: u64) -> Figures {
        let missed = vec![Missed { slot: 3, kind: Kind::Proposal, why: "signer_late".into() }];
        Figures {
            slots,
            justified_epoch: finalized_epoch + 1,
            finalized_epoch,
            participation: Some(0.5),
            duties: Duties { planned: 9, sent: 8, missed },
            slashable,
            verdicts_lost,
            blocks: 2,
            disturbances: vec![],
            payload_votes: None,
            payload_duties: None,
            finalized_before: 1,
        }
    }

    #[test]
    fn a_run_is_good_only_if_it_finalises_and_nothing_slashable_was_signed_or_lost() {
        // Each fault by itself; a short run need not finalise.
        assert_eq!(figures(64, 2, 0, 0).faults(), [""; 0]);
        assert_eq!(figures(63, 1, 0, 0).faults(), [""; 0]);
        for bad in [figures(64, 1, 0, 0), figures(64, 2, 1, 0), figures(8, 2, 0, 1)] {
            assert_eq!(bad.faults().len(), 1, "{bad:?}");
        }
    }

    #[test]
    fn the_json_has_the_names_that_are_documented() {
        // One missed duty.
        let value = serde_json::to_value(figures(64, 2, 0, 0)).unwrap();
        assert_eq!(value["duties"]["missed"][0]["why"], "signer_late");
        assert_eq!(value["duties"]["missed"][0]["kind"], "proposal");
        for name in ["slots", "justified_epoch", "finalized_epoch", "slashable", "verdicts_lost"] {
            assert!(value[name].is_u64(), "{name}");
        }
        assert_eq!((value.get("payload_votes"), value.get("payload_duties")), (None, None));
        let counted = PayloadVotes { accepted: 9, second: 2, blocks: 3, places: 40, full: 2 };
        let with = Figures { payload_votes: Some(counted), ..figures(64, 2, 0, 0) };
        let with = serde_json::to_value(with).unwrap();
        assert_eq!(
            (&with["payload_votes"]["accepted"], &with["payload_votes"]["places"]),
            (&9.into(), &40.into())
        );
        assert!(value["participation"].is_f64() && value["duties"]["planned"].is_u64());
    }

    #[test]
    fn a_vote_that_is_sent_twice_is_a_fault_and_leads_have_a_median() {
        // Three votes, of which one is late and one is sent again.
        let mut ledger = Ledger::new(1, 9);
        for (slot, lead) in [(1, 30), (2, -2), (3, 10), (3, 9)] {
            let text = format!(
                r#"{{"slot":{slot},"kind":"payload_attestation","validator":7,"step":"sent","lead_ms":{lead}}}"#
            );
            ledger.line(serde_json::from_str(&text).unwrap());
        }
        let duties = PayloadDuties::of(&ledger);
        assert_eq!((duties.sent, duties.late, duties.doubled), (3, 1, 1));
        assert_eq!(duties.lead_ms, Some([-2, 10, 30]));
        let faulty = Figures { payload_duties: Some(duties), ..figures(16, 0, 0, 0) };
        assert_eq!(faulty.faults(), ["1 votes on payloads were sent twice"]);
        assert_eq!(PayloadDuties::of(&Ledger::new(1, 9)).lead_ms, None);
    }
}
