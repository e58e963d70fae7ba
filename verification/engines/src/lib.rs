//! Checkers for concurrent code that is written against [`Primitives`]: each engine is a backend
//! for the primitives, and a runner that answers with a verdict and its bounds.
//!
//! | engine | backend | explores | memory |
//! |---|---|---|---|
//! | [`loom`] | [`loom::Loom`] | all executions within a preemption bound | weak |
//! | [`shuttle`] | [`shuttle::Shuttle`] | a seeded sample | sequentially consistent |
//! | [`stepped`] | [`stepped::Stepped`] | all interleavings | sequentially consistent |
//! | [`threads`] | [`Std`] | what happens | this machine's |
//!
//! "Stepped" means that the code runs one operation at a time. [`scenario!`] instantiates a
//! function for all four engines. [`mutant`] weakens one memory ordering of the code under test at
//! a time; [`explore`] runs a stateright model and returns the same kind of verdict, and [`lasso`]
//! looks for starvation in one. [`symmetry`] searches a model whose processes are alike. [`litmus`] judges programs of a few operations by the axioms of a
//! memory model. [`counterexample`] is the form in which a failing execution travels.

mod atomics;
pub mod counterexample;
pub mod explore;
pub mod lasso;
pub mod litmus;
pub mod loom;
pub mod meter;
pub mod mutant;
mod recording;
pub mod scenario;
pub mod shuttle;
pub mod stepped;
pub mod symmetry;
pub mod threads;
pub mod thrown;
pub mod trace;
pub mod verdict;

use blocksmith_sync::Primitives;

pub use blocksmith_sync::Std;
use stepped::Stepped;

/// A backend under which code with a wrong ordering is safe to run: either the checker sees a race
/// and reports it before the memory is accessed, or its threads take turns and there is no race.
///
/// # Safety
/// The backend is as described above: [`mutant::Mutant`] weakens orderings on it.
pub unsafe trait Checker: Primitives {}

// SAFETY: loom tracks each cell access, and panics before it calls the closure of an access that
// races.
unsafe impl Checker for loom::Loom {}
// SAFETY: the threads of an execution take turns on one operating system thread.
unsafe impl Checker for shuttle::Shuttle {}
// SAFETY: as for shuttle; a replay on several threads hands the turn on through channels.
unsafe impl Checker for Stepped {}
