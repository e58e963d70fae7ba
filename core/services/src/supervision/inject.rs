//! Injected faults: a panic, a delay or a stall before a message is handled.
//!
//! They are configured when the services start. A service without a rule has no probe; with one it
//! counts its messages. The Rewinder's workers share one count, a message being a task, or the
//! attestations that are pulled together.

use std::time::Duration;

use blocksmith_sync::notifier::EventNotifier;
use blocksmith_sync::{Atomic, Ordering, Primitives};

use crate::supervision::machine::ServiceName;

/// Which messages of a service are struck; they are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// The nth message, once; 0 is none.
    At(u64),
    /// The nth message, and every nth after it; 0 is none.
    Every(u64),
}

impl When {
    fn strikes(self, number: u64) -> bool {
        match self {
            Self::At(nth) => number == nth,
            Self::Every(nth) => nth > 0 && number.is_multiple_of(nth),
        }
    }
}

/// What strikes.
pub enum Fault<P: Primitives> {
    /// A panic, before the machine is touched.
    Panic,
    /// A panic as if in the middle of the machine's step: the machine is given up.
    Tear,
    /// The message is handled this much later.
    Delay(Duration),
    /// The message is handled once the gate is open.
    Stall(P::Arc<Gate<P>>),
}

impl<P: Primitives> Clone for Fault<P> {
    fn clone(&self) -> Self {
        match self {
            Self::Panic => Self::Panic,
            Self::Tear => Self::Tear,
            Self::Delay(time) => Self::Delay(*time),
            Self::Stall(gate) => Self::Stall(gate.clone()),
        }
    }
}

/// A fault for some messages of one service.
pub struct Injection<P: Primitives> {
    /// The service.
    pub service: ServiceName,
    /// Which of its messages.
    pub when: When,
    /// What happens to them.
    pub fault: Fault<P>,
}

impl<P: Primitives> Clone for Injection<P> {
    fn clone(&self) -> Self {
        Self { service: self.service, when: self.when, fault: self.fault.clone() }
    }
}

/// Holds up every thread that passes until it is opened, once and for all.
pub struct Gate<P: Primitives> {
    open: P::AtomicU32,
    opened: EventNotifier<P>,
    reached: P::AtomicU32,
}

impl<P: Primitives> Gate<P> {
    /// Returns a closed gate.
    pub fn new() -> P::Arc<Self> {
        P::arc(Self {
            open: P::AtomicU32::new(0),
            opened: EventNotifier::new(),
            reached: P::AtomicU32::new(0),
        })
    }

    /// Opens the gate and wakes the threads that wait at it.
    pub fn open(&self) {
        // ORDERING: pairs with the acquiring load in `pass`.
        self.open.store(1, Ordering::Release);
        self.opened.notify_all();
    }

    /// Blocks until somebody has come to the gate.
    pub fn wait_for_arrival(&self) {
        // ORDERING: pairs with the releasing store in `pass`.
        let arrived = || (self.reached.load(Ordering::Acquire) == 1).then_some(());
        self.opened.wait_until(arrived);
    }

    /// Blocks until the gate is open.
    pub fn pass(&self) {
        // ORDERING: pairs with the acquiring load in `wait_for_arrival`.
        self.reached.store(1, Ordering::Release);
        self.opened.notify_all();
        // ORDERING: pairs with the releasing store in `open`.
        self.opened.wait_until(|| (self.open.load(Ordering::Acquire) == 1).then_some(()));
    }
}

/// How an injected panic strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// Before the machine is touched.
    Before,
    /// As if in the middle of its step.
    Middle,
}

/// The rules for one service, and the count of its messages.
pub(crate) struct Probe<P: Primitives> {
    rules: Vec<(When, Fault<P>)>,
    messages: P::AtomicU64,
}

impl<P: Primitives> Probe<P> {
    /// Counts a message, and holds it up as the rules say. Returns how it is to panic, if it is,
    /// and its number.
    pub(crate) fn strike(&self) -> Option<(Strike, u64)> {
        // ORDERING: relaxed; numbers are unique, and nothing else depends on them.
        let number = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        let mut strike = None;
        for (_, fault) in self.rules.iter().filter(|(when, _)| when.strikes(number)) {
            match fault {
                Fault::Panic => strike = strike.or(Some(Strike::Before)),
                Fault::Tear => strike = Some(Strike::Middle),
                // Nobody notifies this notifier: the wait ends with its time.
                Fault::Delay(time) => {
                    let silence = EventNotifier::<P>::new();
                    silence.wait_until_timeout(*time, || None::<()>);
                }
                Fault::Stall(gate) => gate.pass(),
            }
        }
        strike.map(|strike| (strike, number))
    }
}

/// The probes of all services.
pub(crate) struct Probes<P: Primitives>(Vec<Injection<P>>);

impl<P: Primitives> Probes<P> {
    pub(crate) fn new(injections: Vec<Injection<P>>) -> Self {
        Self(injections)
    }

    /// Returns the probe of a service; `None` if no rule names it.
    pub(crate) fn of(&self, service: ServiceName) -> Option<P::Arc<Probe<P>>> {
        let rules: Vec<_> = self
            .0
            .iter()
            .filter(|injection| injection.service == service)
            .map(|injection| (injection.when, injection.fault.clone()))
            .collect();
        let some = !rules.is_empty();
        some.then(|| P::arc(Probe { rules, messages: P::AtomicU64::new(0) }))
    }
}
