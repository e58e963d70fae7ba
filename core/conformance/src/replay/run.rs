//! One run of the recorded chain through services that are running; see [`super`].

use std::collections::BTreeMap;
use std::sync::Arc;

use blocksmith::clearance::ChainView;
use blocksmith::cold_db::Resumed;
use blocksmith::consensus::{Checkpoint, Consensus, Invalid};
use blocksmith::notice::Notice;
use blocksmith::rewinder::Lane;
use blocksmith::store::StoreError;
use blocksmith::verdict::{DropReason, Verdict};
use blocksmith::{Client, NoticeReceiver, StopReport, Submission};
use blocksmith_consensus::{InvalidData, Root};
use blocksmith_node::metrics::{Kind, VerdictTimes};
use blocksmith_node::recording::{Arrival, Event, RecordedCheckpoint, RecordedView, Recording};
use blocksmith_sync::Std;

use super::error::ReplayError;
use super::options::{ATTEMPTS, Options, Pace};
use super::report::{
    Entry, FinalView, Mismatch, Outcome, Tally, checkpoint, show_checkpoint, show_root,
};
use super::restated::restate;
use crate::protocol::Protocol;

type Answer = Verdict<Root, InvalidData>;

/// An item that was handed in.
enum Item {
    /// Its bytes did not decode, so the verdict came at once.
    Refused(&'static str),
    /// The Quarantine has it, or has answered; `attempts` counts how often the item was handed in.
    Submitted { submission: Submission<Std, Protocol>, answer: Option<Answer>, attempts: usize },
}

struct Handed {
    index: usize,
    kind: Kind,
    item: Item,
}

/// What drives services through the chain, and what it has found.
pub(super) struct Run {
    client: Client<Std, Protocol>,
    notices: NoticeReceiver<Std, Protocol>,
    times: VerdictTimes,
    recording: Arc<Recording>,
    pace: Pace,
    handed: Vec<Handed>,
    /// Whether items that failed on our side are handed in again, which is the case if faults are
    /// injected.
    insists: bool,
    /// How often an item was handed in again.
    resubmitted: usize,
    /// Events whose items a later copy has overtaken.
    overtaken: Vec<usize>,
    tally: Tally,
    entries: Vec<Entry>,
    mismatches: Vec<Mismatch>,
    compared: usize,
    /// From where the services went on, and the first tick that the clock had not passed.
    resumed: Option<Resumed<Root>>,
    first_tick: usize,
    /// The first event of the slot after that: from there on everything is compared.
    first_new: usize,
    store_failed: Option<StoreError>,
    slots: BTreeMap<Root, u64>,
}

/// What was read off the services before they were stopped.
pub(super) struct End {
    view: ChainView<Root>,
    state_root: Root,
    pending: BTreeMap<u64, &'static str>,
}

impl Run {
    /// Returns a run that has not begun. The anchor is the recording's genesis, at `anchor_slot`.
    pub(super) fn new(
        client: Client<Std, Protocol>,
        notices: NoticeReceiver<Std, Protocol>,
        times: VerdictTimes,
        mut recording: Arc<Recording>,
        options: &Options,
        anchor_slot: u64,
        resumed: Option<Resumed<Root>>,
    ) -> Self {
        for event in &mut Arc::make_mut(&mut recording).events {
            restate(&mut event.expected);
        }
        let first_from = |from: Option<u64>| {
            let Some(from) = from else { return 0 };
            let reached = |event: &Event| match event.arrival {
                Arrival::Tick { slot, .. } => slot >= from,
                _ => false,
            };
            recording.events.iter().position(reached).unwrap_or(recording.events.len())
        };
        let slot = resumed.map(|resumed| resumed.slot);
        Self {
            resumed,
            first_tick: first_from(slot),
            first_new: first_from(slot.map(|slot| slot.saturating_add(1))),
            store_failed: None,
            client,
            notices,
            times,
            slots: BTreeMap::from([(recording.genesis_block_root, anchor_slot)]),
            recording,
            pace: options.pace,
            handed: Vec::new(),
            insists: !options.faults.is_empty(),
            resubmitted: 0,
            overtaken: Vec::new(),
            tally: Tally::default(),
            entries: Vec::new(),
            mismatches: Vec::new(),
            compared: 0,
        }
    }

    /// Hands every event in and reads the end off the services. `progress` is called after each
    /// event.
    pub(super) fn all(&mut self, progress: &mut dyn FnMut(usize)) -> Result<End, ReplayError> {
        let recording = self.recording.clone();
        for (index, event) in recording.events.iter().enumerate() {
            self.event(index, event)?;
            progress(index);
        }
        self.end()
    }

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
            // The clock had passed that slot.
            Arrival::Tick { .. } if index < self.first_tick => {}
            Arrival::Tick { slot, into_slot } => {
                if self.pace == Pace::Flood {
                    self.settle()?;
                }
                self.client.tick(*slot, *into_slot);
            }
            Arrival::Block(bytes) => {
                let item = match self.client.consensus().decode_block(bytes) {
                    Ok(block) => {
                        let header = self.client.consensus().header(&block);
                        self.slots.insert(header.root, header.slot);
                        let submit = || self.client.submit_block(block, 0, bytes.len());
                        submitted(timed(&self.times, Kind::Block, submit))
                    }
                    Err(invalid) => Item::Refused(invalid.reason()),
                };
                self.handed.push(Handed { index, kind: Kind::Block, item });
            }
            Arrival::Attestation(bytes) => {
                let item = match self.client.consensus().decode_attestation(bytes) {
                    Ok(vote) => {
                        let submit = || self.client.submit_attestation(vote, 0, bytes.len());
                        submitted(timed(&self.times, Kind::Attestation, submit))
                    }
                    Err(invalid) => Item::Refused(invalid.reason()),
                };
                self.handed.push(Handed { index, kind: Kind::Attestation, item });
            }
        }
        if self.pace == Pace::Lockstep {
            self.settle()?;
            self.answer_in_lockstep(index, event)?;
        }
        Ok(())
    }

    /// Waits until the services rest, and hands in again, in order, the items that failed on our
    /// side, until none has failed.
    fn settle(&mut self) -> Result<(), ReplayError> {
        loop {
            self.client.rest();
            self.count_notices();
            if let Some(error) = self.store_failed.take() {
                return Err(ReplayError::Store(error));
            }
            let mut failed = false;
            for handed in &mut self.handed {
                let Item::Submitted { submission, answer, attempts } = &mut handed.item else {
                    continue;
                };
                if answer.is_none() {
                    *answer = submission.try_wait();
                }
                let failed_on_our_side = *answer == Some(Verdict::Dropped(DropReason::Fault));
                if !self.insists || !failed_on_our_side {
                    continue;
                }
                if *attempts == ATTEMPTS {
                    return Err(ReplayError::FailsForEver(format!("event {}", handed.index)));
                }
                let (client, times) = (&self.client, &self.times);
                let again = match &self.recording.events[handed.index].arrival {
                    Arrival::Block(bytes) => client.consensus().decode_block(bytes).map(|block| {
                        timed(times, Kind::Block, || client.submit_block(block, 0, bytes.len()))
                    }),
                    Arrival::Attestation(bytes) => {
                        client.consensus().decode_attestation(bytes).map(|vote| {
                            let submit = || client.submit_attestation(vote, 0, bytes.len());
                            timed(times, Kind::Attestation, submit)
                        })
                    }
                    Arrival::Tick { .. } => continue,
                };
                if let Ok(again) = again {
                    (*submission, *answer) = again;
                    *attempts += 1;
                    self.resubmitted += 1;
                    failed = true;
                }
            }
            if !failed {
                return Ok(());
            }
        }
    }

    /// Asks until the question is not lost. A service that has ended loses every question.
    fn ask<T>(
        &self,
        what: &'static str,
        mut question: impl FnMut(&Client<Std, Protocol>) -> Option<T>,
    ) -> Result<T, ReplayError> {
        (0..ATTEMPTS).find_map(|_| question(&self.client)).ok_or(ReplayError::Gone(what))
    }

    fn view(&self) -> Result<ChainView<Root>, ReplayError> {
        self.ask("Clearance", Client::view)
    }

    /// Records the answer to the newest event, and compares it.
    fn answer_in_lockstep(&mut self, index: usize, event: &Event) -> Result<(), ReplayError> {
        if !matches!(event.arrival, Arrival::Tick { .. }) {
            let pending = self.pending()?;
            if let Some(handed) = self.handed.last_mut() {
                let answer = handed.item.describe(&pending);
                self.entries[index].take(&answer);
            }
        }
        if !matches!(event.arrival, Arrival::Tick { .. }) && index >= self.first_new {
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
        if index < self.first_new {
            return Ok(());
        }
        let view = self.view()?;
        self.entries[index].view(&view);
        if let Some(expected) = &event.expected.view {
            self.compare_view(Some(index), expected, &view);
        }
        Ok(())
    }

    /// Returns whether the services went on from a store. They do not remember then what they
    /// refused before, so the words of their verdicts may differ.
    fn was_resumed(&self) -> bool {
        self.resumed.is_some()
    }

    fn pending(&self) -> Result<BTreeMap<u64, &'static str>, ReplayError> {
        let pending = self.ask("Quarantine", Client::pending)?;
        Ok(pending.into_iter().map(|(id, why)| (id, why.word())).collect())
    }

    /// Waits until the services rest, and reads the end off them.
    fn end(&mut self) -> Result<End, ReplayError> {
        self.settle()?;
        let view = self.view()?;
        let slot = self.slots.get(&view.head).copied().unwrap_or_default();
        let mut last = None;
        let state = self.ask("the Rewinder", |client| {
            let state = client.state_at(view.head, slot, Lane::Queries);
            state.map_err(|error| last = Some(error)).ok()
        });
        let state = match (state, last) {
            (Err(_), Some(error)) => return Err(error.into()),
            (state, _) => state?,
        };
        let state_root = self.client.consensus().state_root(&state);
        Ok(End { view, state_root, pending: self.pending()? })
    }

    /// Returns the outcome; after the stop every item has its one verdict.
    pub(super) fn outcome(
        mut self,
        options: &Options,
        end: End,
        stopped: &StopReport,
    ) -> Result<Outcome, ReplayError> {
        self.count_notices();
        if let Some(error) = self.store_failed.take() {
            return Err(ReplayError::Store(error));
        }
        let evicted = self.client.counters().notices.evicted;
        if evicted > 0 {
            return Err(ReplayError::NoticesLost(evicted));
        }
        let mut tally = std::mem::take(&mut self.tally);
        for mut handed in std::mem::take(&mut self.handed) {
            let answer = handed.item.describe(&end.pending);
            if answer.verdict == "pending" && !handed.item.was_answered() {
                return Err(ReplayError::NoVerdict(handed.index));
            }
            let row = (handed.kind.word(), answer.verdict, answer.reason);
            *tally.items.entry(row).or_default() += 1;
            if self.pace != Pace::Lockstep {
                self.entries[handed.index].take(&answer);
            }
            if self.pace != Pace::Race && !self.was_resumed() {
                self.compare_final(handed.index, &answer, handed.item.came_again());
            }
        }
        let recording = self.recording.clone();
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
            threads: stopped.joined,
            faults: options.faults.clone(),
            panics: stopped.panics,
            resubmitted: self.resubmitted,
            resumed: self.resumed,
        })
    }

    /// Compares what finally happened to an item.
    fn compare_final(&mut self, index: usize, answer: &Described, again: bool) {
        let events = &self.recording.events;
        // In the flood, an item that is handed in again may come after a copy that was recorded as
        // later: the two then change places.
        let is_copy = |other: &Event| other.arrival == events[index].arrival;
        let takes_place =
            |first: &&usize| is_copy(&events[**first]) && answer.is_final_of(&events[**first]);
        let place = self.overtaken.iter().find(takes_place).map_or(index, |first| *first);
        let mut later = events[index + 1..].iter();
        let overtaken = again
            && self.pace == Pace::Flood
            && (answer.reason == "duplicate"
                || !answer.is_final_of(&events[index])
                    && later.any(|later| is_copy(later) && answer.is_final_of(later)));
        let expected = events[place].expected.clone();
        let verdict = expected.final_verdict.or_else(|| expected.verdict.clone());
        let reason = expected.final_reason.or(expected.reason);
        // An item whose parent never arrived may be given up once finality has passed it.
        let gave_up = verdict.as_deref() == Some("pending") && answer.reason == "finalized";
        if overtaken {
            self.overtaken.push(index);
        } else if !gave_up {
            self.compare_words(index, "final verdict", &verdict, Some(answer.verdict));
            self.compare_words(index, "final reason", &reason, Some(answer.reason));
        }
        if answer.verdict == "valid" {
            let root = show_root(expected.post_state_root);
            let found = show_root(answer.post_state_root);
            self.compare(Some(index), "final post state root", root, found);
        }
    }

    /// Adds the notices that are there to the counts.
    fn count_notices(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            let tally = &mut self.tally;
            match notice {
                Notice::HeadChanged { reorg_depth, .. } if reorg_depth > 0 => tally.reorgs += 1,
                Notice::Equivocation { .. } => tally.equivocations += 1,
                Notice::DoubleVote { validators, .. } => tally.double_voters += validators.len(),
                Notice::StoreFailed(error) => self.store_failed = Some(*error),
                Notice::SurroundVote { validators, .. } => {
                    tally.surround_voters += validators.len();
                }
                _ => {}
            }
        }
    }

    fn compare_end(&mut self, end: &End) -> Vec<(&'static str, String, Option<bool>)> {
        let recording = self.recording.clone();
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

impl Described {
    /// Whether this is what the recording says finally happened to the event.
    fn is_final_of(&self, event: &Event) -> bool {
        let expected = &event.expected;
        let verdict = expected.final_verdict.as_ref().or(expected.verdict.as_ref());
        let reason = expected.final_reason.as_ref().or(expected.reason.as_ref());
        verdict.is_some_and(|word| word == self.verdict)
            && reason.is_some_and(|word| word == self.reason)
    }
}

impl Item {
    /// Takes the verdict if it has come, and describes it in the report's words: an item that was
    /// given up at the stop is still pending, for the reason for which it waited.
    fn describe(&mut self, pending: &BTreeMap<u64, &'static str>) -> Described {
        let described = |verdict, reason| Described { verdict, reason, post_state_root: None };
        let (submission, answer) = match self {
            Self::Refused(reason) => return described("invalid", reason),
            Self::Submitted { submission, answer, .. } => (submission, answer),
        };
        if answer.is_none() {
            *answer = submission.try_wait();
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
                    Verdict::Accept { post_state_root, .. } => *post_state_root,
                    _ => None,
                },
            },
        }
    }

    fn came_again(&self) -> bool {
        matches!(self, Self::Submitted { attempts, .. } if *attempts > 1)
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

/// A submission, and its verdict if that was there at once.
type Timed = (Submission<Std, Protocol>, Option<Answer>);

/// Submits an item, and has the time to its verdict observed when that is sent.
fn timed(
    times: &VerdictTimes,
    kind: Kind,
    submit: impl FnOnce() -> Submission<Std, Protocol>,
) -> Timed {
    let timer = times.start(kind);
    let mut submission = submit();
    let answer = timer.watch(&mut submission);
    (submission, answer)
}

fn submitted((submission, answer): Timed) -> Item {
    Item::Submitted { submission, answer, attempts: 1 }
}

fn pair(checkpoint: Checkpoint<Root>) -> RecordedCheckpoint {
    (checkpoint.epoch, checkpoint.root)
}
