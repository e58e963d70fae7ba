//! What a replay yields: one entry per event, the final view, counts, and every difference.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use blocksmith::cold_db::Resumed;
use blocksmith_consensus::Root;
use blocksmith_node::recording::{Offences, RecordedCheckpoint};

use super::inject::Inject;
use super::options::Pace;

/// The answer to one event. Fields that do not apply are `null`.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its number in the manifest, from 0.
    pub index: usize,
    /// `valid`, `invalid`, `pending` or `ignored`.
    pub verdict: Option<&'static str>,
    /// The reason, in one word.
    pub reason: Option<&'static str>,
    /// For a valid block: root of the state after it.
    pub post_state_root: Option<String>,
    /// Head after the event, in lockstep.
    pub head: Option<String>,
    /// Justified checkpoint after the event, in lockstep.
    pub justified: Option<(u64, String)>,
    /// Finalised checkpoint after the event, in lockstep.
    pub finalized: Option<(u64, String)>,
}

/// The chain when everything has come to rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FinalView {
    /// The head.
    pub head: String,
    /// Root of the state after the head block.
    pub state_root: String,
    /// The finalised checkpoint.
    pub finalized: (u64, String),
}

/// A difference from the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The event, or `None` for the end.
    pub event: Option<usize>,
    /// What differs.
    pub what: &'static str,
    /// What the manifest says.
    pub expected: String,
    /// What the services say.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            Some(index) => write!(f, "event {index}: ")?,
            None => f.write_str("at the end: ")?,
        }
        write!(f, "{}: expected {}, found {}", self.what, self.expected, self.found)
    }
}

/// Counts of a replay.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Items by kind, verdict and reason.
    pub items: BTreeMap<(&'static str, &'static str, &'static str), usize>,
    /// Changes of the head to a block that does not descend from the old one.
    pub reorgs: usize,
    /// Pairs of valid blocks of one proposer and slot.
    pub equivocations: usize,
    /// Validators found to have voted twice for a target.
    pub double_voters: usize,
    /// Validators found to have cast surrounding votes.
    pub surround_voters: usize,
}

/// Everything a replay yields.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The pace of the replay.
    pub pace: Pace,
    /// General Rewinder workers.
    pub workers: usize,
    /// One entry per event.
    pub entries: Vec<Entry>,
    /// The chain at the end.
    pub last: FinalView,
    /// The justified checkpoint at the end.
    pub justified: (u64, String),
    /// Counts.
    pub tally: Tally,
    /// What the manifest has on record.
    pub on_record: Offences,
    /// Every difference.
    pub mismatches: Vec<Mismatch>,
    /// How many values were compared.
    pub compared: usize,
    /// Head, justified, finalised, state root: name, and whether each equals the manifest's
    /// (`None` if this pace does not determine it).
    pub equal: Vec<(&'static str, String, Option<bool>)>,
    /// Threads joined at the stop.
    pub threads: usize,
    /// Faults that were injected.
    pub faults: Vec<Inject>,
    /// Panics that they caused.
    pub panics: u64,
    /// How often an item was handed in again because a panic lost its verdict.
    pub resubmitted: usize,
    /// From where the services went on, if a store held something.
    pub resumed: Option<Resumed<Root>>,
}

#[derive(Serialize)]
struct Json<'a> {
    events: &'a [Entry],
    #[serde(rename = "final")]
    last: &'a FinalView,
}

impl Outcome {
    /// Returns the JSON form.
    ///
    /// # Errors
    /// If serialisation fails.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Json { events: &self.entries, last: &self.last })
    }
}

/// Formats a checkpoint for JSON.
pub(super) fn checkpoint((epoch, root): RecordedCheckpoint) -> (u64, String) {
    (epoch, root.to_string())
}

/// Formats a checkpoint for people.
pub(super) fn show_checkpoint((epoch, root): RecordedCheckpoint) -> String {
    format!("epoch {epoch} {root}")
}

/// Formats an optional root.
pub(super) fn show_root(root: Option<Root>) -> String {
    root.map_or_else(|| "none".to_owned(), |root| root.to_string())
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: usize = self.tally.items.values().sum();
        writeln!(
            f,
            "{} events, {items} items, pace {}, {} general worker(s) and 1 for duties, {} threads",
            self.entries.len(),
            self.pace,
            self.workers,
            self.threads
        )?;
        if let Some(resumed) = &self.resumed {
            writeln!(
                f,
                "resumed at slot {}, finalised epoch {}, with {} blocks and {} attestations since",
                resumed.slot, resumed.finalized.epoch, resumed.blocks, resumed.attestations
            )?;
        }
        writeln!(f)?;
        writeln!(f, "  {:<12} {:<9} {:<30} {:>6}", "item", "verdict", "reason", "count")?;
        for ((kind, verdict, reason), count) in &self.tally.items {
            writeln!(f, "  {kind:<12} {verdict:<9} {reason:<30} {count:>6}")?;
        }
        writeln!(f)?;
        let rows = [
            ("reorgs", self.tally.reorgs, None),
            ("equivocations", self.tally.equivocations, Some(self.on_record.equivocations)),
            ("double voters", self.tally.double_voters, Some(self.on_record.double_voters)),
            ("surround voters", self.tally.surround_voters, Some(self.on_record.surround_voters)),
        ];
        for (name, found, on_record) in rows {
            write!(f, "  {name:<16} {found:>3}")?;
            match on_record {
                Some(expected) => writeln!(f, "   (on record: {expected})")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f)?;
        for (name, value, equal) in &self.equal {
            let word = match equal {
                Some(true) => "equals the manifest",
                Some(false) => "DIFFERS from the manifest",
                None => "not determined at this pace",
            };
            writeln!(f, "  {name:<12} {value}  {word}")?;
        }
        writeln!(f)?;
        if !self.faults.is_empty() {
            let faults: Vec<_> = self.faults.iter().map(ToString::to_string).collect();
            writeln!(f, "  injected {}: {} panics", faults.join(", "), self.panics)?;
            writeln!(
                f,
                "  {} times an item was handed in again, its verdict being dropped: fault",
                self.resubmitted
            )?;
        }
        writeln!(f, "  {items} items, one verdict each")?;
        writeln!(f, "  {} values compared, {} differ", self.compared, self.mismatches.len())?;
        const SHOWN: usize = 20;
        for mismatch in self.mismatches.iter().take(SHOWN) {
            writeln!(f, "    {mismatch}")?;
        }
        if self.mismatches.len() > SHOWN {
            writeln!(f, "    and {} more", self.mismatches.len() - SHOWN)?;
        }
        Ok(())
    }
}
