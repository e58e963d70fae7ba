//! The machine of a service, and its successors: what becomes of a panic in the machine's step.
//!
//! **Contract.** [`Succession::step`] runs the machine's step and contains its panic. A machine
//! that was cut short is not used again: [`Succession::replace`] has to come next. It ends the
//! duties that were under way, and starts a successor.
//!
//! **Invariants.**
//! - S1 The successor is told what its predecessors took without a panic: the validators and the
//!   last heads. It is never told the event that was lost.
//! - S2 It begins no duty of the slot of the last duty that a predecessor began, nor of an earlier
//!   one. What a lost step has begun was told to nobody, and does not count.
//! - S3 Each duty that was told to have begun, and not to have ended, is ended by `replace`, once.
//! - S4 Machines are numbered. So a request of one is told from that of another with its number.
//! - S5 More than [`Intensity::max_restarts`] panics within its window leave no successor. Attempts
//!   to start one are panics, too, so that they are bounded.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::beacon_validator::event::{DutyId, Effect, Event, Outcome, Reason, Validator};
use crate::beacon_validator::machine::{BeaconValidator, Limits};
use crate::beacon_validator::protocol::{DutyProtocol, Head};
use crate::consensus::Slot;
use crate::machine::Machine;
use crate::supervision::{Budget, Intensity, contain};

/// The machine panicked more often than is tolerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyPanics;

/// What an event leaves for a successor.
enum Lesson<V: DutyProtocol> {
    Head(Head<V::Root>),
    Validators(Vec<Validator<V::Key>>),
    Nothing,
}

/// A machine with what its successor will need.
pub(super) struct Succession<V: DutyProtocol> {
    protocol: V,
    limits: Limits,
    machine: BeaconValidator<V>,
    /// The number of the machine, from 0.
    number: u64,
    budget: Budget,
    validators: Vec<Validator<V::Key>>,
    /// The last heads, the newest last; at most [`Limits::heads`].
    heads: VecDeque<Head<V::Root>>,
    /// Duties that were told to have begun, and not to have ended.
    under_way: BTreeSet<DutyId>,
    /// The slot of the last duty that was told to have begun.
    begun: Option<Slot>,
}

impl<V: DutyProtocol> Succession<V> {
    /// Returns the first machine.
    ///
    /// # Panics
    /// As [`BeaconValidator::new`].
    pub(super) fn new(protocol: V, limits: Limits, intensity: Intensity) -> Self {
        let machine = BeaconValidator::new(&protocol, limits);
        Self {
            protocol,
            limits,
            machine,
            number: 0,
            budget: Budget::new(intensity),
            validators: Vec::new(),
            heads: VecDeque::new(),
            under_way: BTreeSet::new(),
            begun: None,
        }
    }

    /// Returns the machine. After a step that has failed it must not be relied on.
    pub(super) fn get(&self) -> &BeaconValidator<V> {
        &self.machine
    }

    /// Returns the number of the machine.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the protocol of the duties.
    pub(super) fn protocol(&self) -> &V {
        &self.protocol
    }

    /// Has the machine handle an event.
    ///
    /// # Errors
    /// Returns the text of the machine's panic. The event is lost.
    pub(super) fn step(&mut self, event: Event<V>) -> Result<Vec<Effect<V>>, String> {
        let lesson: Lesson<V> = match &event {
            Event::Head(head) => Lesson::Head(*head),
            Event::Validators(validators) => Lesson::Validators(validators.clone()),
            Event::Clock(_) | Event::Reply { .. } => Lesson::Nothing,
        };
        let Self { protocol, machine, .. } = self;
        let effects = contain(|| machine.handle(protocol, event))?;
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
                Effect::Began(duty) => {
                    self.begun = Some(duty.slot);
                    self.under_way.insert(*duty);
                }
                Effect::Ended { duty, .. } => {
                    self.under_way.remove(duty);
                }
                Effect::Ask { .. } | Effect::Subscribe(_) => {}
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
    fn successor(&self) -> BeaconValidator<V> {
        let mut machine = BeaconValidator::after(&self.protocol, self.limits, self.begun);
        let heads = self.heads.iter().map(|head| Event::Head(*head));
        for event in heads.chain([Event::Validators(self.validators.clone())]) {
            let effects = machine.handle(&self.protocol, event);
            debug_assert!(effects.is_empty(), "a machine that has read no clock asks for nothing");
        }
        machine
    }
}
