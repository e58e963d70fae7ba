//! A duty and the steps in which it is done.
//!
//! ```text
//! proposal:     Reveal > Produce > Protect > Sign > Publish
//! attestation:  Data   > Protect > Sign > Publish
//! aggregation:  Select > Wait > Merge > Sign > Publish
//! ```

use crate::beacon_validator::event::{Message, Place, Reason};
use crate::beacon_validator::protocol::DutyProtocol;

/// What is done next for a duty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step<V: DutyProtocol> {
    /// The RANDAO reveal is signed.
    Reveal,
    /// The block is produced.
    Produce(V::Signature),
    /// The committee's data are asked for.
    Data,
    /// The selection proof is signed.
    Select,
    /// The aggregate is due later, or its data are not there.
    Wait(V::Signature),
    /// The aggregate is asked for.
    Merge(V::Signature, V::Data),
    /// The message is checked and recorded.
    Protect(Message<V>),
    /// The message is signed.
    Sign(Message<V>),
    /// What was signed is published.
    Publish(Message<V>, V::Signature),
}

/// Where a duty stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage<V: DutyProtocol> {
    /// The step has not begun.
    Next(Step<V>),
    /// The answer to the step's request is awaited.
    Asked(Step<V>),
    /// The duty has ended, or there was none.
    Done,
}

/// A duty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Duty<V: DutyProtocol> {
    pub(super) key: V::Key,
    pub(super) place: Option<Place>,
    /// The root of the list that the duty stands in.
    pub(super) dependent_root: V::Root,
    pub(super) stage: Stage<V>,
    pub(super) began: bool,
    pub(super) failures: u8,
    /// Whether the step waits for the next reading of the clock.
    pub(super) rests: bool,
    /// Why the step was tried in vain.
    pub(super) last: Option<Reason>,
    /// Whether a publication failed, so that nobody knows whether it arrived.
    pub(super) uncertain: bool,
}

impl<V: DutyProtocol> Duty<V> {
    pub(super) fn new(
        key: V::Key,
        place: Option<Place>,
        dependent_root: V::Root,
        first: Step<V>,
    ) -> Self {
        Self {
            key,
            place,
            dependent_root,
            stage: Stage::Next(first),
            began: false,
            failures: 0,
            rests: false,
            last: None,
            uncertain: false,
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.began && !matches!(self.stage, Stage::Done)
    }

    /// Returns whether nothing was made yet that another place in the list would make wrong.
    pub(super) fn is_early(&self) -> bool {
        let (Stage::Next(step) | Stage::Asked(step)) = &self.stage else { return false };
        matches!(step, Step::Reveal | Step::Produce(_) | Step::Data | Step::Select)
    }

    /// Takes the step, if its answer is awaited.
    pub(super) fn take_asked(&mut self) -> Option<Step<V>> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Asked(step) => Some(step),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// Goes back to before the step's request, until the next reading of the clock.
    pub(super) fn go_back(&mut self) {
        if let Some(step) = self.take_asked() {
            self.stage = Stage::Next(step);
        }
        self.rests = !matches!(self.stage, Stage::Done);
    }

    /// Returns why the duty is missed if its deadline is now.
    pub(super) fn late_reason(&self) -> Reason {
        match &self.stage {
            // If it rests, it has failed once, and may have arrived.
            Stage::Next(Step::Publish(..)) => Reason::PublishLate,
            Stage::Next(_) if self.rests => self.last.unwrap_or(Reason::SlotOver),
            Stage::Next(Step::Reveal | Step::Data) | Stage::Done => Reason::SlotOver,
            Stage::Next(step) | Stage::Asked(step) => match step {
                Step::Produce(_) | Step::Data | Step::Wait(_) | Step::Merge(..) => Reason::NodeLate,
                Step::Protect(_) => Reason::ProtectionLate,
                Step::Reveal | Step::Select | Step::Sign(_) => Reason::SignerLate,
                Step::Publish(..) => Reason::PublishLate,
            },
        }
    }
}
