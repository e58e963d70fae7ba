//! The votes of one slot.

use std::collections::BTreeMap;

use crate::consensus::{Slot, ValidatorIndex};
use crate::payload_attestation::event::Reason;
use crate::payload_attestation::protocol::{Timing, VoteProtocol};

/// Where a vote stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage<V: VoteProtocol> {
    /// For the data.
    Waits,
    /// The signer is asked.
    Signing,
    /// The signer failed, and is asked again at this time.
    SignsAgain(u64),
    /// It is signed, and leaves with the next batch.
    Signed(V::Signature),
    /// It is on its way.
    Publishing(V::Signature),
    /// It has ended.
    Done,
}

/// The vote of a validator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Vote<V: VoteProtocol> {
    pub(super) key: V::Key,
    pub(super) stage: Stage<V>,
    /// Failures in a row of the signer, or of publications.
    pub(super) failures: u8,
    /// When it left for the first time, unless no node has taken it since.
    pub(super) left_ms: Option<u64>,
    /// Whether nobody knows if it has arrived, because a publication failed.
    pub(super) is_uncertain: bool,
}

impl<V: VoteProtocol> Vote<V> {
    pub(super) fn new(key: V::Key) -> Self {
        Self { key, stage: Stage::Waits, failures: 0, left_ms: None, is_uncertain: false }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Returns whether its signature is to come.
    pub(super) fn awaits_signature(&self) -> bool {
        matches!(self.stage, Stage::Signing | Stage::SignsAgain(_))
    }
}

/// What the votes of the slot will say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content<V: VoteProtocol> {
    /// There are no data.
    Nothing,
    /// These data cannot be signed yet: their head or their list of duties is not known.
    Held(V::Data),
    /// These data are what is signed, whatever comes (I4).
    Fixed(V::Data, V::Root),
}

/// The slot that the clock shows, and its votes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Round<V: VoteProtocol> {
    pub(super) slot: Slot,
    pub(super) votes: BTreeMap<ValidatorIndex, Vote<V>>,
    pub(super) content: Content<V>,
    /// The complete payload that was told of last.
    pub(super) available: Option<V::Root>,
    /// The complete payload for which data were asked last, before their time.
    pub(super) asked_early: Option<V::Root>,
    /// Requests for data before their time, and after it.
    pub(super) asks: [u8; 2],
    /// Data are not asked for again before this time.
    pub(super) rests_until_ms: u64,
    /// Why there are no data yet.
    pub(super) why: Option<Reason>,
    /// When what is signed leaves, though the rest is not.
    pub(super) leave_ms: u64,
    /// When a publication that failed is tried again.
    pub(super) publishes_again_ms: Option<u64>,
}

impl<V: VoteProtocol> Round<V> {
    pub(super) fn new(slot: Slot) -> Self {
        Self {
            slot,
            votes: BTreeMap::new(),
            content: Content::Nothing,
            available: None,
            asked_early: None,
            asks: [0, 0],
            rests_until_ms: 0,
            why: None,
            leave_ms: 0,
            publishes_again_ms: None,
        }
    }

    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.content, Content::Fixed(..))
    }

    /// Returns when what is signed leaves at the latest, if the signers were asked, or nothing was
    /// signed, at `now`: at the first time of the slot that is still to come, and not later than
    /// `window_ms` from now.
    pub(super) fn next_leave(&self, timing: &Timing, now: u64, window_ms: u64) -> u64 {
        let times = [timing.gather_ms, timing.due_ms, timing.late_ms];
        let mut times = times.into_iter().map(|ms| timing.at(self.slot, ms));
        let end = timing.at(self.slot.saturating_add(1), 0);
        times.find(|at| *at > now).unwrap_or(end).min(now.saturating_add(window_ms))
    }

    /// Returns why a vote is missed if its time is over. `is_asked` says that data are asked for,
    /// and `is_over` that the slot is over.
    pub(super) fn why_late(&self, vote: &Vote<V>, is_asked: bool, is_over: bool) -> Reason {
        match vote.stage {
            Stage::Waits => self.why.unwrap_or(match (is_asked, is_over) {
                (true, _) => Reason::NodeLate,
                (false, true) => Reason::SlotOver,
                (false, false) => Reason::DeadlineOver,
            }),
            Stage::Signing => Reason::SignerLate,
            Stage::SignsAgain(_) => Reason::SignerFailed,
            Stage::Signed(_) | Stage::Publishing(_) => Reason::PublishLate,
            Stage::Done => Reason::SlotOver,
        }
    }
}
