//! The machine of a service, and its successors: what becomes of a panic in the machine's step.
//!
//! **Contract.** [`Succession::step`] runs the machine's step and contains its panic. A machine
//! that was cut short is not used again: [`Succession::replace`] has to come next. It ends the
//! duties that were under way, and starts a successor.
//!
//! **Invariants.**
//! - S1 The successor is told what its predecessors took without a panic: the validators and the
//!   last heads. It is never told the event that was lost.
//! - S2 It begins no duty of a slot in which a predecessor has begun one. What a lost step has begun
//!   was told to nobody, and does not count.
//! - S3 Each duty that was told to have begun, and not to have ended, is ended by `replace`, once.
//! - S4 Machines are numbered. So a request of one is told from that of another with its number.
//! - S5 More than [`Intensity::max_restarts`] panics within its window leave no successor. Attempts
//!   to start one are panics, too, so that they are bounded.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::beacon_validator::{Head, Reading, Validator};
use crate::machine::Machine;
use crate::payload_attestation::event::{DutyId, Effect, Event, Outcome, Reason};
use crate::payload_attestation::machine::{Limits, Past, PayloadAttestation};
use crate::payload_attestation::protocol::VoteProtocol;
use crate::supervision::{Budget, Intensity, contain};

/// The machine panicked more often than is tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyPanics;

/// What an event leaves for a successor.
enum Lesson<V: VoteProtocol> {
    Head(Head<V::Root>),
    Validators(Vec<Validator<V::Key>>),
    Nothing,
}

/// A machine with what its successor will need.
pub(super) struct Succession<V: VoteProtocol> {
    protocol: V,
    limits: Limits,
    machine: PayloadAttestation<V>,
    /// The number of the machine, from 0.
    number: u64,
    budget: Budget,
    validators: Vec<Validator<V::Key>>,
    /// The last heads, the newest last; at most [`Limits::heads`].
    heads: VecDeque<Head<V::Root>>,
    /// Duties that were told to have begun, and not to have ended.
    under_way: BTreeSet<DutyId>,
    /// What the machine knew after the last step without a panic. A successor that knows nothing
    /// votes in no slot that its first reading shows.
    past: Past,
}

impl<V: VoteProtocol> Succession<V> {
    /// Returns the first machine.
    ///
    /// # Panics
    /// As [`PayloadAttestation::new`].
    pub(super) fn new(protocol: V, limits: Limits, intensity: Intensity) -> Self {
        Self {
            machine: PayloadAttestation::new(protocol.clone(), limits),
            protocol,
            limits,
            number: 0,
            budget: Budget::new(intensity),
            validators: Vec::new(),
            heads: VecDeque::new(),
            under_way: BTreeSet::new(),
            past: Past::Unknown,
        }
    }

    /// Returns the machine. After a step that has failed it must not be relied on.
    pub(super) fn get(&self) -> &PayloadAttestation<V> {
        &self.machine
    }

    /// Returns the number of the machine.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Has the machine handle an event at the time that the clock shows.
    ///
    /// # Errors
    /// Returns the text of the machine's panic. The event is lost.
    pub(super) fn step(&mut self, at: Reading, event: Event<V>) -> Result<Vec<Effect<V>>, String> {
        let lesson: Lesson<V> = match &event {
            Event::Head(head) => Lesson::Head(*head),
            Event::Validators(validators) => Lesson::Validators(validators.clone()),
            Event::Wake | Event::Available { .. } | Event::Reply { .. } => Lesson::Nothing,
        };
        let machine = &mut self.machine;
        let effects = contain(|| machine.handle(&at, event))?;
        self.past = self.machine.past();
        match lesson {
            Lesson::Head(head) => {
                self.heads.retain(|known| known.root != head.root);
                self.heads.push_back(head);
                let excess = self.heads.len().saturating_sub(self.limits.heads);
                self.heads.drain(..excess);
            }
            Lesson::Validators(validators) => self.validators = validators,
            Lesson::Nothing => {}
        }
        for effect in &effects {
            match effect {
                Effect::Began(duty) => drop(self.under_way.insert(*duty)),
                Effect::Ended { duty, .. } => drop(self.under_way.remove(duty)),
                Effect::Ask { .. } | Effect::Took { .. } => {}
            }
        }
        Ok(effects)
    }

    /// Puts a successor in the place of the machine, whose step has failed at `now`, a time from an
    /// arbitrary fixed moment. Returns how the duties under way end, and whether there is a
    /// successor.
    pub(super) fn replace(
        &mut self,
        now: Duration,
    ) -> (Vec<(DutyId, Outcome)>, Result<(), TooManyPanics>) {
        let under_way = std::mem::take(&mut self.under_way);
        let lost = under_way.into_iter().map(|duty| (duty, Outcome::Missed(Reason::Fault)));
        let mut succeeds = Err(TooManyPanics);
        while succeeds.is_err() && self.budget.bears(now) {
            self.number += 1;
            if let Ok(machine) = contain(|| self.successor()) {
                self.machine = machine;
                succeeds = Ok(());
            }
        }
        (lost.collect(), succeeds)
    }

    /// Returns a machine that has been told everything but the time. Before it knows the time, it
    /// asks for nothing.
    fn successor(&self) -> PayloadAttestation<V> {
        let past = self.past;
        let mut machine = PayloadAttestation::after(self.protocol.clone(), self.limits, past);
        let heads = self.heads.iter().map(|head| Event::Head(*head));
        for event in heads.chain([Event::Validators(self.validators.clone())]) {
            let effects = machine.handle(&Reading::BeforeGenesis, event);
            debug_assert!(effects.is_empty(), "a machine without a slot asks for nothing");
        }
        machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload_attestation::protocol::Timing;
    use crate::payload_attestation::toy::ToyVotes;

    #[test]
    fn the_last_heads_are_kept_for_a_successor_each_once() {
        // A hundred heads, each told twice, and one of the last once more.
        let limits = Limits { heads: 3, ..Limits::default() };
        let timing = Timing::gloas(4, 1200);
        let mut line = Succession::new(ToyVotes { timing }, limits, Intensity::default());
        for root in (0..100).flat_map(|root| [root, root]).chain([98]) {
            let head = Head { root, slot: 4, current_dependent: 1, previous_dependent: 1 };
            line.step(Reading::SinceGenesis(4800), Event::Head(head)).expect("no panic");
        }
        assert_eq!(line.heads.iter().map(|head| head.root).collect::<Vec<_>>(), [97, 99, 98]);
    }
}
