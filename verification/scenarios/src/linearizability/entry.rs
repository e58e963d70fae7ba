//! The parts from which a check of a family of client programs is made.

use blocksmith_engines::verdict::Engine;
use blocksmith_models::catalogue::{Breaks, Check, Expected};
use blocksmith_models::hazard::Hazard;
use blocksmith_sync::OnFull;

use super::program::Shape;
use super::subjects::Subject;
use super::{Family, LINEARIZABLE, Runner, check};

pub(super) const BLOCK: &[OnFull] = &[OnFull::Block];
pub(super) const ONE: &[usize] = &[1];
pub(super) const ONE_AND_TWO: &[usize] = &[1, 2];

/// The shape with one sender and one receiver.
pub(super) const fn pair(calls: usize, in_all: usize) -> Shape {
    Shape { senders: 1, receivers: 1, calls, in_all, signal: false }
}

pub(super) const fn told(shape: Shape) -> Shape {
    Shape { signal: true, ..shape }
}

/// The shape with two senders and one receiver.
pub(super) const fn two_senders(calls: usize, in_all: usize) -> Shape {
    Shape { senders: 2, ..pair(calls, in_all) }
}

/// The shape with one sender and two receivers.
pub(super) const fn two_receivers(calls: usize, in_all: usize) -> Shape {
    Shape { receivers: 2, ..pair(calls, in_all) }
}

/// The expected verdict on a faulty channel.
pub(super) const NOT_LINEARIZABLE: Expected = Expected::Violated(&[Breaks::Property(LINEARIZABLE)]);

/// The parts of a check that do not come from its family.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) name: &'static str,
    pub(super) claim: &'static str,
    pub(super) hazard: Option<&'static Hazard>,
    pub(super) expected: Expected,
}

/// A check, and the description of what it enumerates.
pub(super) struct Entry {
    pub(super) check: Check,
    pub(super) size: Box<dyn Fn() -> Size>,
}

/// A description of what a family enumerates, in words.
pub struct Size {
    /// The check's id.
    pub id: String,
    /// The threads and their numbers of calls.
    pub clients: String,
    /// The capacities, then the policies.
    pub channels: String,
    /// The number of client programs.
    pub programs: usize,
}

impl Head {
    pub(super) fn check<S: Subject>(self, family: Family<S>) -> Entry {
        let engine = match family.runner {
            Runner::Shuttle(_) => Engine::Shuttle,
            Runner::Loom(_) | Runner::LoomSpurious(_) => Engine::Loom,
        };
        let id = format!("linearizability.{}.{engine}", self.name);
        let (sized, name) = (family.clone(), id.clone());
        let size = move || Size {
            id: name.clone(),
            clients: sized.clients(),
            channels: format!("{:?}, {:?}", sized.capacities, sized.policies),
            programs: sized.programs().len(),
        };
        let check = Check {
            id,
            claim: self.claim,
            protocol: "linearizability",
            hazard: self.hazard,
            engine,
            expected: self.expected,
            states: None,
            run: Box::new(move || check(&family)),
        };
        Entry { check, size: Box::new(size) }
    }
}
