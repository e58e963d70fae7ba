//! The scenarios: small programs over core, each generic over the primitives, run by all engines.
//!
//! **Contract.** A scenario is a `fn name<P: Primitives>()` that spawns its threads, asserts what
//! must hold, and joins them. It is deterministic except for the schedule. It holds no state
//! outside itself. It ends under every schedule, so a deadlock is a violation. [`scenarios`] is the
//! only list of them. A row says what the scenario shows and how far each engine explores it
//! (`None` means that the engine has no use for it).

pub mod broker;
pub mod channel;
pub mod foreign;
pub mod lifecycle;
pub mod mailbox;
pub mod mpmc;
pub mod notifier;
pub mod oneshot;
pub mod payload_attestation;
pub mod reserve;
pub mod select;
pub mod services;
pub mod spsc;
mod steps;
pub mod task;
pub mod time;
pub mod trace;
pub mod validator;
pub mod watch;

use blocksmith_engines::loom::LoomBounds;
use blocksmith_engines::scenario::Scenario;
use blocksmith_engines::shuttle::ShuttleBounds;
use blocksmith_engines::stepped::Limits;
use blocksmith_models::hazard::Hazard;

use crate::channel::{Mailbox, Mpmc, Spsc};

/// A row of the list.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The protocol of the scenario, which is the name of its module.
    pub protocol: &'static str,
    /// What holds if the scenario is verified.
    pub claim: &'static str,
    /// The hazard that the scenario is about, if there is one.
    pub hazard: Option<&'static Hazard>,
    /// The program, instantiated for each engine, and its bounds.
    pub scenario: Scenario,
}

/// Instantiates a generic function of a module for all engines. With `for C`, the function is
/// instantiated for that channel.
#[allow(clippy::crate_in_macro_def, reason = "for this crate, whose scenarios they are")]
#[macro_export]
macro_rules! row {
    (
        $module:ident :: $name:ident $(for $channel:ident)?, $claim:expr, $hazard:expr,
        $($bounds:tt)+
    ) => {
        $crate::scenarios::Row {
            protocol: $crate::protocol!($module $($channel)?),
            claim: $claim,
            hazard: $hazard,
            scenario: blocksmith_engines::scenario!(
                $name in crate::scenarios::$module $(for $channel)?, $($bounds)+
            ),
        }
    };
}

/// Returns the name of a module, or that of a channel.
#[macro_export]
macro_rules! protocol {
    ($module:ident) => {
        stringify!($module)
    };
    ($module:ident $channel:ident) => {
        $channel::NAME
    };
}

/// Bounds for loom: any number of preemptions, and then again with a spurious wake-up that ends the
/// first sleep of each execution.
const UNBOUNDED: Option<LoomBounds> = Some(LoomBounds { spurious: 1, ..LoomBounds::unbounded() });

const fn preemptions(bound: usize) -> Option<LoomBounds> {
    Some(LoomBounds::preemptions(bound))
}

/// Returns the bounds of `preemptions`, with a second run in which a spurious wake-up ends the
/// first sleep of each execution. The second run has one preemption fewer if `bound` is two or
/// more.
const fn restless(bound: usize) -> Option<LoomBounds> {
    let spurious_preemptions = Some(if bound > 1 { bound - 1 } else { bound });
    Some(LoomBounds { spurious: 1, spurious_preemptions, ..LoomBounds::preemptions(bound) })
}

/// The schedules of a scenario under shuttle.
const SAMPLE: Option<ShuttleBounds> = Some(ShuttleBounds::iterations(4_000));
/// The schedules of a scenario of eight threads: there are more of them, and those of PCT change
/// priorities more often.
const EIGHT: Option<ShuttleBounds> =
    Some(ShuttleBounds { depth: 6, ..ShuttleBounds::iterations(10_000) });
/// The number of runs of a scenario on real threads.
const RUNS: Option<usize> = Some(500);

/// No bounds for the stepped engine: it does not run the scenario, which has several million
/// states. It runs a smaller scenario of the list that is like it.
const TOO_LARGE: Option<Limits> = None;

/// Returns the bounds for the stepped engine. A run that reaches them is truncated, and is not
/// taken for a complete one.
const fn states(max_states: usize) -> Option<Limits> {
    Some(Limits { max_states, ..Limits::DEFAULT })
}

/// Returns the bounds of `states`, where in each execution a spurious wake-up may also end one
/// sleep at any moment.
const fn restless_states(max_states: usize) -> Option<Limits> {
    Some(Limits { max_states, spurious_wakeups: 1, ..Limits::DEFAULT })
}

/// Returns all scenarios.
#[must_use]
pub fn scenarios() -> Vec<Row> {
    [
        notifier::list(),
        channel::list::<Mailbox>(),
        foreign::list::<Mailbox>(),
        channel::shared::<Mailbox>(),
        time::shared::<Mailbox>(),
        channel::many::<Mailbox>(),
        foreign::many::<Mailbox>(),
        time::many::<Mailbox>(),
        reserve::list::<Mailbox>(),
        mailbox::list(),
        channel::list::<Spsc>(),
        foreign::list::<Spsc>(),
        channel::shared::<Spsc>(),
        time::shared::<Spsc>(),
        spsc::list(),
        channel::list::<Mpmc>(),
        foreign::list::<Mpmc>(),
        channel::many::<Mpmc>(),
        foreign::many::<Mpmc>(),
        time::many::<Mpmc>(),
        mpmc::list(),
        oneshot::list(),
        task::list(),
        foreign::others(),
        time::list(),
        reserve::list::<Mpmc>(),
        watch::list(),
        select::list(),
        broker::list(),
        services::list(),
        trace::list(),
        lifecycle::list(),
        validator::list(),
        payload_attestation::list(),
    ]
    .concat()
}
