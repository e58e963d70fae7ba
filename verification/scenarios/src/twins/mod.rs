//! Must-fail twins: small programs that carry a fault. The engines that can see the fault must
//! refute them.
//!
//! **Contract.** A twin is generic, as a scenario is. Most twins are small programs written here.
//! Where core itself carries the fault once a fence is left out, the twin is the real scenario on a
//! mutant. [`twins`] lists them. A twin that passes is a defect of the suite. Each twin has a
//! counterpart that must pass. A counterpart that exists only for the comparison is in this list,
//! too; one that is core's own code is among the scenarios.

pub mod broker;
pub mod engine;
pub mod foreign;
pub mod lifecycle;
mod list;
pub mod mailbox;
pub mod mpmc;
pub mod notifier;
pub mod oneshot;
pub mod payload_attestation;
pub mod select;
pub mod services;
pub mod spsc;
pub mod task;
pub mod time;
pub mod trace;
pub mod validator;
pub mod watch;

use blocksmith_engines::stepped::Limits;
use blocksmith_engines::verdict::{Engine, Expected};
use blocksmith_models::hazard::{self, Hazard};

use blocksmith_engines::loom::LoomBounds;
use blocksmith_engines::shuttle::ShuttleBounds;

/// A row of the list.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    /// The function's name.
    pub name: &'static str,
    /// The protocol whose fault it carries.
    pub protocol: &'static str,
    /// What the twin does wrong, or what a counterpart does right.
    pub claim: &'static str,
    /// The hazard.
    pub hazard: &'static Hazard,
    /// The number of threads, the main one included.
    pub threads: usize,
    /// The verdict that the engines below must give, with the property that must break.
    pub expected: Expected,
    /// The engines that must give that verdict.
    pub engines: &'static [Engine],
    /// The preemption bound for loom.
    pub preemptions: usize,
    /// The instance for loom.
    pub loom: fn(),
    /// The instance for shuttle.
    pub shuttle: fn(),
    /// The instance for the stepped engine.
    pub stepped: fn(),
}

impl Twin {
    /// Returns the bounds for loom.
    #[must_use]
    pub fn loom_bounds(&self) -> LoomBounds {
        LoomBounds { spurious: self.spurious(), ..LoomBounds::preemptions(self.preemptions) }
    }

    /// Returns how many spurious wake-ups the fault needs.
    fn spurious(&self) -> u32 {
        u32::from(*self.hazard == hazard::N9)
    }

    /// Returns the bounds for shuttle.
    #[must_use]
    pub fn shuttle_bounds(&self) -> ShuttleBounds {
        ShuttleBounds::iterations(20_000)
    }

    /// Returns the bounds for the stepped engine.
    #[must_use]
    pub fn stepped_limits(&self) -> Limits {
        // The fault of N10 is measured by the clock, so the clock must not jump.
        let jumps = u32::from(*self.hazard != hazard::N10);
        let spurious_wakeups = self.spurious();
        Limits { max_states: 1_000_000, spurious_wakeups, jumps, ..Limits::default() }
    }
}

/// Returns all twins except those of N2. The catalogue adds these, which are the real notifier on a
/// mutant.
#[must_use]
pub fn twins() -> Vec<Twin> {
    list::list()
}
