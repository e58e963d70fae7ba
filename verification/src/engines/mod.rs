//! The engines that run a scenario: a backend of the primitives each, and a runner that answers
//! with a verdict and its bounds.
//!
//! | engine | backend | explores | memory |
//! |---|---|---|---|
//! | [`loom`] | [`loom::Loom`] | all executions within a preemption bound | weak |
//! | [`shuttle`] | [`shuttle::Shuttle`] | a seeded sample | sequentially consistent |
//! | [`stepped`] | `blocksmith_models::stepped::Stepped` | all interleavings | sequentially consistent |
//! | [`threads`] | `blocksmith_sync::Std` | what happens | this machine's |

mod atomics;
pub mod loom;
pub mod mutant;
pub mod shuttle;
pub mod stepped;
pub mod threads;
pub mod trace;

use std::time::Duration;

use blocksmith_models::stepped::Stepped;
use blocksmith_sync::Primitives;

/// A backend under which code with a wrong ordering is safe to run: the checker sees the race and
/// reports it before the memory is touched, or its threads take turns and there is none.
///
/// # Safety
/// As said: [`mutant::Mutant`] weakens orderings on it.
pub unsafe trait Checker: Primitives {}

// SAFETY: loom tracks each cell access, and panics before it calls the closure of one that races.
unsafe impl Checker for loom::Loom {}
// SAFETY: the threads of an execution take turns on one thread of the operating system.
unsafe impl Checker for shuttle::Shuttle {}
// SAFETY: as for shuttle.
unsafe impl Checker for Stepped {}

/// What passes when a checker's clock jumps: longer than any deadline of a scenario.
pub(crate) const A_LONG_TIME: Duration = blocksmith_models::stepped::A_LONG_TIME;
