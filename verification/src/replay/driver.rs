//! The replay itself; see [`super`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use blocksmith::blocksmith::{
    Anchor, Blocksmith, Client, Config, NoticeReceiver, StartError, StateError, Submission,
};
use blocksmith::clearance::ChainView;
use blocksmith::consensus::{Checkpoint, Consensus, Invalid};
use blocksmith::notice::Notice;
use blocksmith::rewinder::Lane;
use blocksmith::verdict::{DropReason, Verdict};
use blocksmith_consensus::Root;
use blocksmith_node::recording::{Arrival, Event, RecordedCheckpoint, RecordedView, Recording};
use blocksmith_sync::Std;

use super::report::{
    Entry, FinalView, Mismatch, Outcome, Tally, checkpoint, show_checkpoint, show_root,
};

/// How fast the events follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Rest after every event.
    Lockstep,
    /// Rest before every tick.
    Flood,
    /// No rest before the end.
    Race,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lockstep => "lockstep",
            Self::Flood => "flood",
            Self::Race => "race",
        })
    }
}

/// How to replay.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The pace.
    pub pace: Pace,
    /// General Rewinder workers, at least 1.
    pub workers: usize,
}

/// Why a replay could not be carried out.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The services did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A service ended before it was told to.
    #[error("{0} ended before it was told to")]
    Gone(&'static str),
    /// The state of the final head could not be had.
    #[error("state of the final head: {0}")]
    State(#[from] StateError),
    /// A thread panicked.
    #[error("panicked: {}", .0.join(", "))]
    Panicked(Vec<String>),
    /// Notices were evicted, so the tally would be wrong.
    #[error("{0} notices were evicted unread")]
    NoticesLost(u64),
    /// An item had no verdict after everything had stopped.
    #[error("event {0} has no verdict though every service has ended")]
    NoVerdict(usize),
}

type Answer<C> = Verdict<Root, <C as Consensus>::Invalid>;

/// An item that was handed in.
enum Item<C: Consensus> {
    /// Its bytes did not decode: the verdict was there at once.
    Refused(&'static str),
    /// The Quarantine has it, or has answered.
    Submitted { submission: Submission<Std, C>, answer: Option<Answer<C>> },
}

struct Handed<C: Consensus> {
    index: usize,
    kind: &'static str,
    item: Item<C>,
}

/// Replays `recording` on real threads. `progress` is called with each event's number.
///
/// # Errors
/// If the services cannot be started, lose an item, or panic. A difference from the manifest is no
/// error: the outcome lists it.
pub fn replay<C: Consensus<Root = Root>>(
    recording: &Recording,
    consensus: Arc<C>,
    anchor: Anchor<C>,
    options: Options,
    mut progress: impl FnMut(usize),
) -> Result<Outcome, ReplayError> {
    let config = Config {
        workers: options.workers,
        // Every notice is counted: at most a handful per event, so none is evicted.
        notices: recording.events.len().saturating_mul(16).max(1024),
        ..Config::default()
    };
    let anchor_slot = anchor.slot;
    let (blocksmith, notices) = Blocksmith::<Std, C>::start(config, consensus, anchor)?;
    let client = blocksmith.client().clone();
    let mut run = Run {
        client,
        recording,
        pace: options.pace,
        handed: Vec::new(),
        entries: Vec::new(),
        mismatches: Vec::new(),
        compared: 0,
        slots: BTreeMap::from([(recording.genesis_block_root, anchor_slot)]),
    };
    for (index, event) in recording.events.iter().enumerate() {
        run.event(index, event)?;
        progress(index);
    }
    let end = run.end()?;
    let stopped = blocksmith.stop();
    if !stopped.panicked.is_empty() {
        return Err(ReplayError::Panicked(stopped.panicked));
    }
    run.outcome(options, end, stopped.joined, notices)
}

struct Run<'a, C: Consensus> {
    client: Client<Std, C>,
    recording: &'a Recording,
    pace: Pace,
    handed: Vec<Handed<C>>,
    entries: Vec<Entry>,
    mismatches: Vec<Mismatch>,
    compared: usize,
    slots: BTreeMap<Root, u64>,
}

/// What was read off the services before they were stopped.
struct End {
    view: ChainView<Root>,
    state_root: Root,
    pending: BTreeMap<u64, &'static str>,
}

impl<C: Consensus<Root = Root>> Run<'_, C> {
    fn event(&mut self, index: usize, event: &Event) -> Result<(), ReplayError> {
        self.entries.push(Entry {
            index,
            verdict: None,
            reason: None,
            post_state_root: None,
            head: None,
            justified: None,
            finalized: None,
        });
        match &event.arrival {
            Arrival::Tick { slot, into_slot } => {
                if self.pace == Pace::Flood {
                    self.client.rest();
                }
                self.client.tick(*slot, *into_slot);
            }
            Arrival::Block(bytes) => {
                let item = match self.client.consensus().decode_block(bytes) {
                    Ok(block) => {
                        let header = self.client.consensus().header(&block);
                        self.slots.insert(header.root, header.slot);
                        submitted(self.client.submit_block(block, 0, bytes.len()))
                    }
                    Err(invalid) => Item::Refused(invalid.reason()),
                };
                self.handed.push(Handed { index, kind: "block", item });
            }
            Arrival::Attestation(bytes) => {
                let item = match self.client.submit_attestation_bytes(bytes, 0) {
                    Ok(submission) => submitted(submission),
                    Err(invalid) => Item::Refused(invalid.reason()),
                };
                self.handed.push(Handed { index, kind: "attestation", item });
            }
        }
        if self.pace == Pace::Lockstep {
            self.client.rest();
            self.answer_in_lockstep(index, event)?;
        }
        Ok(())
    }

    /// Notes the answer to the newest event, and compares it.
    fn answer_in_lockstep(&mut self, index: usize, event: &Event) -> Result<(), ReplayError> {
        if !matches!(event.arrival, Arrival::Tick { .. }) {
            let pending = self.pending()?;
            if let Some(handed) = self.handed.last_mut() {
                let answer = handed.item.describe(&pending);
                self.entries[index].take(&answer);
            }
            let expected = &event.expected;
            let found = self.entries[index].clone();
            self.compare_words(index, "verdict", &expected.verdict, found.verdict);
            self.compare_words(index, "reason", &expected.reason, found.reason);
            // A pending block's root is recorded under the event, but belongs to its release.
            if found.verdict != Some("pending") {
                let root = show_root(expected.post_state_root);
                let found = found.post_state_root.unwrap_or_else(|| show_root(None));
                self.compare(Some(index), "post state root", root, found);
            }
        }
        let view = self.client.view().ok_or(ReplayError::Gone("Clearance"))?;
        self.entries[index].view(&view);
        if let Some(expected) = &event.expected.view {
            self.compare_view(Some(index), expected, &view);
        }
        Ok(())
    }

    fn pending(&self) -> Result<BTreeMap<u64, &'static str>, ReplayError> {
        let pending = self.client.pending().ok_or(ReplayError::Gone("Quarantine"))?;
        Ok(pending.into_iter().map(|(id, why)| (id, why.word())).collect())
    }

    /// Waits for rest and reads the end off the services.
    fn end(&mut self) -> Result<End, ReplayError> {
        self.client.rest();
        let view = self.client.view().ok_or(ReplayError::Gone("Clearance"))?;
        let slot = self.slots.get(&view.head).copied().unwrap_or_default();
        let state = self.client.state_at(view.head, slot, Lane::Queries)?;
        let state_root = self.client.consensus().state_root(&state);
        Ok(End { view, state_root, pending: self.pending()? })
    }

    /// After the stop every item has its one verdict.
    fn outcome(
        mut self,
        options: Options,
        end: End,
        threads: usize,
        notices: NoticeReceiver<Std, C>,
    ) -> Result<Outcome, ReplayError> {
        let mut tally = Tally::default();
        for mut handed in std::mem::take(&mut self.handed) {
            let answer = handed.item.describe(&end.pending);
            if answer.verdict == "pending" && !handed.item.was_answered() {
                return Err(ReplayError::NoVerdict(handed.index));
            }
            *tally.items.entry((handed.kind, answer.verdict, answer.reason)).or_default() += 1;
            if self.pace != Pace::Lockstep {
                self.entries[handed.index].take(&answer);
            }
            if self.pace != Pace::Race {
                self.compare_final(handed.index, &answer);
            }
        }
        count_notices::<C>(&mut tally, notices, &self.client)?;
        let recording = self.recording;
        let view = end.view;
        let equal = self.compare_end(&end);
        Ok(Outcome {
            pace: options.pace,
            workers: options.workers,
            entries: self.entries,
            last: FinalView {
                head: view.head.to_string(),
                state_root: end.state_root.to_string(),
                finalized: checkpoint(pair(view.finalized)),
            },
            justified: checkpoint(pair(view.justified)),
            tally,
            on_record: recording.offences,
            mismatches: self.mismatches,
            compared: self.compared,
            equal,
            threads,
        })
    }

    /// Compares what finally became of an item.
    fn compare_final(&mut self, index: usize, answer: &Described) {
        let expected = self.recording.events[index].expected.clone();
        let verdict = expected.final_verdict.or_else(|| expected.verdict.clone());
        let reason = expected.final_reason.or(expected.reason);
        // What never arrived may be given up once finality has passed it.
        let gave_up = verdict.as_deref() == Some("pending") && answer.reason == "finalized";
        if !gave_up {
            self.compare_words(index, "final verdict", &verdict, Some(answer.verdict));
            self.compare_words(index, "final reason", &reason, Some(answer.reason));
        }
        if answer.verdict == "valid" {
            let root = show_root(expected.post_state_root);
            let found = show_root(answer.post_state_root);
            self.compare(Some(index), "final post state root", root, found);
        }
    }

    fn compare_end(&mut self, end: &End) -> Vec<(&'static str, String, Option<bool>)> {
        let recording = self.recording;
        let judged = self.pace != Pace::Race;
        let last = recording.events.iter().rev().find_map(|event| event.expected.view);
        let justified = last.map(|view| show_checkpoint(view.justified));
        let rows = [
            ("head", Some(recording.final_head.to_string()), end.view.head.to_string()),
            ("justified", justified, show_checkpoint(pair(end.view.justified))),
            (
                "finalized",
                Some(show_checkpoint(recording.final_finalized)),
                show_checkpoint(pair(end.view.finalized)),
            ),
            (
                "state root",
                Some(recording.final_state_root.to_string()),
                end.state_root.to_string(),
            ),
        ];
        let mut equal = Vec::new();
        for (what, expected, found) in rows {
            let same = expected.as_ref().filter(|_| judged).map(|expected| *expected == found);
            equal.push((what, found.clone(), same));
            if let Some(expected) = expected.filter(|_| judged) {
                self.compare(None, what, expected, found);
            }
        }
        equal
    }

    fn compare_view(&mut self, event: Option<usize>, view: &RecordedView, found: &ChainView<Root>) {
        self.compare(event, "head", view.head.to_string(), found.head.to_string());
        for (what, expected, found) in [
            ("justified", view.justified, found.justified),
            ("finalized", view.finalized, found.finalized),
        ] {
            self.compare(event, what, show_checkpoint(expected), show_checkpoint(pair(found)));
        }
    }

    fn compare_words(
        &mut self,
        index: usize,
        what: &'static str,
        expected: &Option<String>,
        found: Option<&'static str>,
    ) {
        if let Some(expected) = expected {
            let found = found.unwrap_or("nothing").to_owned();
            self.compare(Some(index), what, expected.clone(), found);
        }
    }

    fn compare(
        &mut self,
        event: Option<usize>,
        what: &'static str,
        expected: String,
        found: String,
    ) {
        self.compared += 1;
        if expected != found {
            self.mismatches.push(Mismatch { event, what, expected, found });
        }
    }
}

/// An answer in the words of the report.
struct Described {
    verdict: &'static str,
    reason: &'static str,
    post_state_root: Option<Root>,
}

impl<C: Consensus<Root = Root>> Item<C> {
    /// Takes the verdict if it has come, and says it in the report's words: an item that was given up
    /// at the stop is still pending, for the reason it waited.
    fn describe(&mut self, pending: &BTreeMap<u64, &'static str>) -> Described {
        let described = |verdict, reason| Described { verdict, reason, post_state_root: None };
        let (submission, answer) = match self {
            Self::Refused(reason) => return described("invalid", reason),
            Self::Submitted { submission, answer } => (submission, answer),
        };
        if answer.is_none() {
            *answer = submission.poll();
        }
        let waits_for = pending.get(&submission.id()).copied();
        match answer {
            None | Some(Verdict::Dropped(DropReason::Shutdown)) => {
                described("pending", waits_for.unwrap_or("being_checked"))
            }
            Some(Verdict::Dropped(reason)) => described("ignored", reason.word()),
            Some(verdict) => Described {
                verdict: verdict.class(),
                reason: verdict.reason(),
                post_state_root: match verdict {
                    Verdict::Accept { post_state_root } => *post_state_root,
                    _ => None,
                },
            },
        }
    }

    fn was_answered(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Submitted { answer, .. } => answer.is_some(),
        }
    }
}

impl Entry {
    fn take(&mut self, answer: &Described) {
        self.verdict = Some(answer.verdict);
        self.reason = Some(answer.reason);
        self.post_state_root = answer.post_state_root.map(|root| root.to_string());
    }

    fn view(&mut self, view: &ChainView<Root>) {
        self.head = Some(view.head.to_string());
        self.justified = Some(checkpoint(pair(view.justified)));
        self.finalized = Some(checkpoint(pair(view.finalized)));
    }
}

fn submitted<C: Consensus>(submission: Submission<Std, C>) -> Item<C> {
    Item::Submitted { submission, answer: None }
}

fn pair(checkpoint: Checkpoint<Root>) -> RecordedCheckpoint {
    (checkpoint.epoch, checkpoint.root)
}

/// The services have ended, so every notice is there.
fn count_notices<C: Consensus<Root = Root>>(
    tally: &mut Tally,
    notices: NoticeReceiver<Std, C>,
    client: &Client<Std, C>,
) -> Result<(), ReplayError> {
    let evicted = client.counters().notices.evicted;
    if evicted > 0 {
        return Err(ReplayError::NoticesLost(evicted));
    }
    while let Ok(notice) = notices.try_recv() {
        match notice {
            Notice::HeadChanged { reorg_depth, .. } if reorg_depth > 0 => tally.reorgs += 1,
            Notice::Equivocation { .. } => tally.equivocations += 1,
            Notice::DoubleVote { validators } => tally.double_voters += validators.len(),
            Notice::SurroundVote { validators } => tally.surround_voters += validators.len(),
            _ => {}
        }
    }
    Ok(())
}
