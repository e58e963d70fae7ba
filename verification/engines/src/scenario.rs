//! A scenario: one function over the primitives, instantiated for every engine, with the bounds for
//! each of them.
//!
//! **Contract.** The function spawns its threads with [`Primitives::spawn`], asserts what must
//! hold, and joins them. It is deterministic except for the schedule, keeps no state outside, and
//! ends under every schedule: a deadlock is a violation.
//!
//! [`Primitives::spawn`]: blocksmith_sync::Primitives::spawn

use crate::loom::LoomBounds;
use crate::shuttle::ShuttleBounds;
use crate::stepped::Limits;
use crate::verdict::{Engine, Verdict};
use crate::{loom, shuttle, stepped, threads};

/// A function for each engine, and its bounds; `None` means that the engine does not run the
/// scenario. [`scenario!`] makes one.
///
/// [`scenario!`]: crate::scenario!
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The name of the function.
    pub name: &'static str,
    /// Number of threads, including the main one.
    pub threads: usize,
    /// The function on loom, and its bounds.
    pub loom: (fn(), Option<LoomBounds>),
    /// The function on a loom backend whose orderings can be weakened.
    pub mutant: fn(),
    /// The function on shuttle, and its bounds.
    pub shuttle: (fn(), Option<ShuttleBounds>),
    /// The function on the stepped backend, and its limits.
    pub stepped: (fn(), Option<Limits>),
    /// The function on real threads, and how many times.
    pub std: (fn(), Option<usize>),
}

impl Scenario {
    /// Returns the engines that have bounds here.
    pub fn engines(&self) -> impl Iterator<Item = Engine> {
        let has_bounds = [
            (Engine::Loom, self.loom.1.is_some()),
            (Engine::Shuttle, self.shuttle.1.is_some()),
            (Engine::Stepped, self.stepped.1.is_some()),
            (Engine::Std, self.std.1.is_some()),
        ];
        has_bounds.into_iter().filter_map(|(engine, has)| has.then_some(engine))
    }

    /// Runs the scenario in one engine, within its bounds. `None` means that the engine has no
    /// bounds here, or runs no scenarios. Blocks until it is done, and uses one thread (except on
    /// real threads).
    #[must_use]
    pub fn check(&self, engine: Engine) -> Option<Verdict> {
        let threads = self.threads;
        match engine {
            Engine::Loom => self.loom.1.map(|bounds| loom::check(self.loom.0, threads, bounds)),
            Engine::Shuttle => {
                self.shuttle.1.map(|bounds| shuttle::check(self.shuttle.0, threads, bounds))
            }
            Engine::Stepped => {
                self.stepped.1.map(|limits| stepped::check(self.stepped.0, threads, limits))
            }
            Engine::Std => self.std.1.map(|runs| threads::check(self.std.0, threads, runs)),
            Engine::Stateright | Engine::Tla => None,
        }
    }

    /// Runs the scenario in all engines that have bounds, one after the other.
    pub fn check_all(&self) -> impl Iterator<Item = Verdict> {
        self.engines().filter_map(|engine| self.check(engine))
    }
}

/// Makes a [`Scenario`](crate::scenario::Scenario) from a function that is generic over the
/// primitives.
///
/// `scenario!(name, threads: N)` takes the usual bounds: two preemptions under loom, 4,000
/// schedules under shuttle, 200,000 states of the stepped backend, 500 runs on threads. Other
/// bounds are given for all four engines:
/// `loom: Some(..), shuttle: Some(..), stepped: Some(..), std: None`.
///
/// ```
/// use blocksmith_engines::scenario;
/// use blocksmith_engines::verdict::Outcome;
/// use blocksmith_sync::{Join, Primitives, oneshot};
///
/// fn hand_over<P: Primitives>() {
///     let (sender, receiver) = oneshot::channel::<P, u32>();
///     let thread = P::spawn("sender", move || sender.send(1));
///     assert_eq!(receiver.recv(), Ok(1));
///     thread.join().expect("it ends").expect("it is received");
/// }
///
/// for verdict in scenario!(hand_over, threads: 2).check_all() {
///     println!("{verdict}");
///     assert_eq!(verdict.outcome, Outcome::Verified);
/// }
/// ```
#[macro_export]
macro_rules! scenario {
    ($name:ident, threads: $threads:expr $(,)?) => {
        $crate::scenario!(
            $name,
            threads: $threads,
            loom: Some($crate::loom::LoomBounds::preemptions(2)),
            shuttle: Some($crate::shuttle::ShuttleBounds::iterations(4_000)),
            stepped: Some($crate::stepped::Limits::DEFAULT),
            std: Some(500),
        )
    };
    (
        $name:ident $(in $($module:ident)::+)? $(for $type:ty)?, threads: $threads:expr,
        loom: $loom:expr, shuttle: $shuttle:expr, stepped: $stepped:expr, std: $std:expr $(,)?
    ) => {
        $crate::scenario::Scenario {
            name: stringify!($name),
            threads: $threads,
            loom: ($($($module::)+)? $name::<$crate::loom::Loom $(, $type)?>, $loom),
            mutant:
                $($($module::)+)? $name::<$crate::mutant::Mutant<$crate::loom::Loom> $(, $type)?>,
            shuttle: ($($($module::)+)? $name::<$crate::shuttle::Shuttle $(, $type)?>, $shuttle),
            stepped: ($($($module::)+)? $name::<$crate::stepped::Stepped $(, $type)?>, $stepped),
            std: ($($($module::)+)? $name::<$crate::Std $(, $type)?>, $std),
        }
    };
}
